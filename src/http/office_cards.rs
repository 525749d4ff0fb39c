//! `/api/v1/cards` and `/api/v1/badges` as an office uses them: lists, searches, sheets of badges.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{Problem, ProblemDocument, attachment};
use super::api::{CardAnswer, person};
use super::extract::{ApiJson, InQuery, handle, page_size};
use super::officers::{MAX_PAGE, PAGE};
use crate::error::Refusal;
use crate::flow::{BadgeChoice, Caller, CardFilter, CardSearch, ListedCard, MOST_BADGES, Service};
use crate::model::card::StateName;
use crate::model::id::Handle;
use crate::model::unit::UnitCode;

/// The longest name that is looked for, in characters.
const MAX_NAME_LENGTH: usize = 200;

/// A card with what tells it from others at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub struct CardListed {
    /// The card.
    #[serde(flatten)]
    card: CardAnswer,
    /// The record that it was made from.
    #[schema(example = "0T4V7Q2M8K3D5N9R")]
    record: String,
    /// The name that it prints.
    name: String,
    /// Position or title that it prints.
    position: Option<String>,
}

impl CardListed {
    pub(super) fn new(listed: ListedCard, now: i64) -> Self {
        Self {
            card: CardAnswer::new(&listed.card, now),
            record: listed.card.record.to_string(),
            name: listed.name,
            position: listed.position,
        }
    }
}

/// Which cards are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CardsQuery {
    /// Of this unit and all below.
    #[serde(default)]
    unit: Option<String>,
    /// In this state.
    #[serde(default)]
    state: Option<StateName>,
    /// `next` of the page before.
    #[serde(default)]
    after: Option<String>,
    /// 1 to 200; 50 when absent.
    #[serde(default)]
    limit: Option<usize>,
}

/// A page of cards.
#[derive(Debug, Serialize, ToSchema)]
pub struct CardsPage {
    /// Newest first.
    items: Vec<CardListed>,
    /// For `after` of the next page; null on the last.
    next: Option<String>,
}

/// `GET /api/v1/cards`: the cards that the caller may see.
#[utoipa::path(get, path = "/api/v1/cards", tag = "Cards", params(CardsQuery),
    responses((status = 200, body = CardsPage)), security(("client" = ["cards:read"])))]
pub async fn list_cards(
    State(service): State<Service>,
    caller: Caller,
    InQuery(query): InQuery<CardsQuery>,
) -> Result<Response, Problem> {
    let after = query.after.as_deref().map(|after| {
        Handle::parse(after).ok_or_else(|| Refusal::malformed("after", "must be the next of a page before"))
    });
    let filter = CardFilter {
        unit: query.unit,
        state: query.state,
        after: after.transpose()?,
        limit: page_size(query.limit, PAGE, MAX_PAGE)?,
        ..CardFilter::default()
    };
    let (cards, has_more) = service.list_cards(&caller, filter).await?;
    let next = cards.last().filter(|_| has_more).map(|last| last.card.handle.to_string());
    let now = service.clock.now();
    let items = cards.into_iter().map(|listed| CardListed::new(listed, now)).collect();
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(CardsPage { items, next })).into_response())
}

/// What cards are looked for by: exactly one of number of the person, number of the card, and name. In a body, because
/// none of them belongs in a URL.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// The person's 12-digit personal identification number.
    #[serde(default)]
    #[schema(example = "001199000018", pattern = "^[0-9]{12}$")]
    personal_id_number: Option<String>,
    /// The whole number of a card.
    #[serde(default)]
    #[schema(max_length = 64)]
    number: Option<String>,
    /// Words of the name that a card prints; case and accents do not matter.
    #[serde(default)]
    #[schema(max_length = 200)]
    name: Option<String>,
    /// With a name: of this unit and all below.
    #[serde(default)]
    unit: Option<String>,
}

/// Cards that were found.
#[derive(Debug, Serialize, ToSchema)]
pub struct Found {
    /// Newest first, at most 100.
    cards: Vec<CardListed>,
}

/// `POST /api/v1/cards/search`: the cards of a person, of a number, or of a name.
#[utoipa::path(post, path = "/api/v1/cards/search", tag = "Cards", request_body = Search,
    responses((status = 200, body = Found)), security(("client" = ["cards:read"])))]
pub async fn search_cards(
    State(service): State<Service>,
    caller: Caller,
    ApiJson(search): ApiJson<Search>,
) -> Result<Response, Problem> {
    let search = match (search.personal_id_number, search.number, search.name, search.unit) {
        (Some(number), None, None, None) => CardSearch::Person(person(&number)?),
        (None, Some(number), None, None) => CardSearch::Number(number),
        (None, None, Some(name), unit) if name.chars().count() <= MAX_NAME_LENGTH => CardSearch::Name { name, unit },
        _ => {
            let rule = "must have exactly one of personal_id_number, number and name (at most 200 characters)";
            return Err(Refusal::malformed("body", rule).into());
        }
    };
    let now = service.clock.now();
    let found = service.search_cards(&caller, search).await?;
    let cards = found.into_iter().map(|listed| CardListed::new(listed, now)).collect();
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(Found { cards })).into_response())
}

/// Whose badges are printed: exactly one of cards and unit.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BadgesWanted {
    /// These cards, in this order.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 500, example = json!(["7Q2M8K3D5N9R1T4V"]))]
    cards: Option<Vec<String>>,
    /// All cards in force of this unit and of all below, by name.
    #[serde(default)]
    unit: Option<String>,
}

/// `POST /api/v1/badges/sheet.pdf`: printed badges (profile S), twelve on a page of A4, for cards in force.
#[utoipa::path(post, path = "/api/v1/badges/sheet.pdf", tag = "Badges", request_body = BadgesWanted,
    responses((status = 200, content_type = "application/pdf"), (status = 404, body = ProblemDocument), (status = 409, body = ProblemDocument)),
    security(("client" = ["badges:read"])))]
pub async fn badge_sheet(
    State(service): State<Service>,
    caller: Caller,
    ApiJson(wanted): ApiJson<BadgesWanted>,
) -> Result<Response, Problem> {
    let choice = match (wanted.cards, wanted.unit) {
        (Some(cards), None) => {
            if !(1..=MOST_BADGES).contains(&cards.len()) {
                return Err(Refusal::TooMuch(format!("body.cards: must name 1 to {MOST_BADGES} cards")).into());
            }
            BadgeChoice::Cards(cards.iter().map(|card| handle(card, "card")).collect::<Result<_, _>>()?)
        }
        (None, Some(unit)) => {
            let unit = UnitCode::parse(&unit).ok_or_else(|| Refusal::malformed("body.unit", "is not a unit's code"))?;
            BadgeChoice::Unit(unit)
        }
        _ => return Err(Refusal::malformed("body", "must have exactly one of cards and unit").into()),
    };
    let sheet = service.badge_sheet(&caller, choice).await?;
    Ok(attachment("application/pdf", "badges.pdf", sheet))
}
