//! `/api/v1`: the VNeID backend and the units.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{Problem, ProblemDocument};
use super::extract::{ApiJson, InPath, InQuery, handle};
use super::office_cards::CardListed;
use crate::error::Refusal;
use crate::flow::{BadgeFormat, Caller, Handover, MadeOffer, OfferGrant, OfferRequest, Service, VerifyRequest};
use crate::model::card::{Card, Reason, Selector, State as CardState, StateName, Step};
use crate::model::id::{Handle, PersonalNumber};
use crate::model::unit::UnitCode;
use crate::protocol::oid4vci::Configuration;

/// A request for an offer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOffer {
    /// The person's 12-digit personal identification number.
    #[schema(example = "001199000018", pattern = "^[0-9]{12}$")]
    personal_id_number: String,
    /// The identity assurance level at which VNeID knows the person: 2 is required.
    #[schema(minimum = 1, maximum = 2, example = 2)]
    assurance_level: u8,
    /// Credential configurations to offer; all when absent.
    #[serde(default)]
    #[schema(example = json!(["official-card-sdjwt", "official-card-qr"]))]
    configurations: Vec<String>,
    /// The unit, where the person has verified records in several.
    #[serde(default)]
    unit: Option<String>,
    /// How the wallet can take the offer; empty means by its pre-authorized code.
    #[serde(default)]
    grants: Vec<OfferGrant>,
    /// How the offer gets to the wallet.
    #[serde(default)]
    delivery: OfferDelivery,
}

/// How an offer gets to the person's wallet.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OfferDelivery {
    /// You get link and transaction code and bring them to the person on two channels.
    #[default]
    Link,
    /// The link goes to the VNeID backend alone; you get the transaction code and tell it to the person.
    Push,
}

impl From<OfferDelivery> for Handover {
    fn from(delivery: OfferDelivery) -> Self {
        match delivery {
            OfferDelivery::Link => Self::Caller,
            OfferDelivery::Push => Self::Push,
        }
    }
}

/// An offer to hand to the wallet.
#[derive(Debug, Serialize, ToSchema)]
pub struct OfferMade {
    /// The card that the offer is for.
    #[schema(example = "7Q2M8K3D5N9R1T4V")]
    card: String,
    /// Where the wallet fetches the offer; absent when it is pushed. A secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    credential_offer_uri: Option<String>,
    /// The link that opens a wallet; absent when the offer is pushed. A secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    credential_offer: Option<String>,
    /// Where you, with your token, get the link as a QR code; absent when the offer is pushed.
    #[serde(skip_serializing_if = "Option::is_none")]
    qr_svg: Option<String>,
    /// Tell it to the person on another channel. Only with a pre-authorized code.
    #[schema(example = "493021")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tx_code: Option<String>,
    /// Unix seconds.
    expires_at: i64,
}

impl OfferMade {
    /// What a caller learns of an offer that is handed over so: not the link, when it is pushed.
    pub(super) fn new(made: MadeOffer, handover: Handover) -> Self {
        let is_pushed = handover == Handover::Push;
        Self {
            card: made.card.to_string(),
            qr_svg: (!is_pushed).then_some(made.qr_svg),
            credential_offer_uri: (!is_pushed).then_some(made.uri),
            credential_offer: (!is_pushed).then_some(made.link),
            tx_code: made.tx_code,
            expires_at: made.expires_at,
        }
    }
}

/// `POST /api/v1/offers`: makes an offer. `Idempotency-Key` repeats the answer.
#[utoipa::path(post, path = "/api/v1/offers", tag = "Offers", request_body = NewOffer,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 128 printable ASCII characters; the same key and request give the same offer")),
    responses((status = 201, body = OfferMade), (status = 403, body = ProblemDocument), (status = 409, body = ProblemDocument), (status = 422, body = ProblemDocument)),
    security(("client" = ["offers:create"])))]
pub async fn make_offer(
    State(service): State<Service>,
    caller: Caller,
    headers: HeaderMap,
    ApiJson(request): ApiJson<NewOffer>,
) -> Result<Response, Problem> {
    let handover = request.delivery.into();
    let request = OfferRequest {
        person: person(&request.personal_id_number)?,
        assurance_level: request.assurance_level,
        configurations: configurations(&request.configurations)?,
        unit: request.unit,
        grants: request.grants,
        idempotency_key: idempotency_key(&headers)?,
    };
    let ttl = service.config.limits.offer_ttl_seconds;
    let made = service.make_offer_to(&caller, request, handover, ttl).await?;
    let answer = OfferMade::new(made, handover);
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

/// A card, without the personal number and without what only its holder discloses.
#[derive(Debug, Serialize, ToSchema)]
pub struct CardAnswer {
    /// The card's random name.
    #[schema(example = "7Q2M8K3D5N9R1T4V")]
    card: String,
    /// Its state now.
    state: StateName,
    /// Since when (Unix seconds), unless it is active.
    since: Option<i64>,
    /// Why it was locked or withdrawn.
    reason: Option<Reason>,
    /// The card number with its middle part masked.
    #[schema(example = "H26.*********018.CC")]
    card_number_masked: String,
    /// Code of the employing unit.
    unit: String,
    /// Unix seconds.
    created_at: i64,
    /// Unix seconds.
    valid_until: i64,
    /// The card that took its place.
    replaced_by: Option<String>,
}

impl CardAnswer {
    pub(super) fn new(card: &Card, now: i64) -> Self {
        let state = card.state_at(now);
        let (since, reason) = match &state {
            CardState::Active => (None, None),
            CardState::Locked { at, reason } | CardState::Withdrawn { at, reason } => (Some(*at), Some(*reason)),
            CardState::Expired { at } => (Some(*at), None),
        };
        Self {
            card: card.handle.to_string(),
            state: state.name(),
            since,
            reason,
            card_number_masked: card.masked_number.clone(),
            unit: card.unit.clone(),
            created_at: card.created_at,
            valid_until: card.valid_until,
            replaced_by: card.replaced_by.as_ref().map(ToString::to_string),
        }
    }
}

/// Something that happened to a card.
#[derive(Debug, Serialize, ToSchema)]
pub struct HistoryLine {
    /// Unix seconds.
    at: i64,
    /// The client or part of the system.
    actor: String,
    /// For example `card.withdrawn`.
    action: String,
    /// Codes and counts.
    detail: String,
}

/// A card and its history.
#[derive(Debug, Serialize, ToSchema)]
pub struct CardWithHistory {
    /// The card.
    #[serde(flatten)]
    card: CardListed,
    /// Oldest first.
    history: Vec<HistoryLine>,
}

/// `GET /api/v1/cards/{handle}`: one card and what happened to it.
#[utoipa::path(get, path = "/api/v1/cards/{handle}", tag = "Cards", params(("handle" = String, Path, description = "The card's random name")),
    responses((status = 200, body = CardWithHistory), (status = 404, body = ProblemDocument)), security(("client" = ["cards:read"])))]
pub async fn card(
    State(service): State<Service>,
    caller: Caller,
    InPath(name): InPath<String>,
) -> Result<Response, Problem> {
    let handle = handle(&name, "card")?;
    let found = service.find_card(&caller, &handle).await?;
    let history = service.card_history(&handle).await?.into_iter();
    let history = history.map(|(at, actor, action, detail)| HistoryLine { at, actor, action, detail }).collect();
    let answer = CardWithHistory { card: CardListed::new(found, service.clock.now()), history };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

/// Why a card is locked, unlocked, withdrawn or replaced.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Why {
    /// One of the reasons that fit the step.
    reason: Reason,
}

/// Whose cards a step is taken on: exactly one of person and unit.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Many {
    /// All cards of this person.
    #[serde(default)]
    personal_id_number: Option<String>,
    /// All cards of this unit and of all units below it.
    #[serde(default)]
    unit: Option<String>,
    /// One of the reasons that fit the step.
    reason: Reason,
}

/// What a step did.
#[derive(Debug, Serialize, ToSchema)]
pub struct Done {
    /// The cards that changed.
    cards: Vec<String>,
    /// Credentials (wallet copies and badges) that changed with them.
    credentials: u64,
}

async fn take(
    service: &Service,
    caller: &Caller,
    selector: Selector,
    step: Step,
    reason: Reason,
) -> Result<Json<Done>, Problem> {
    let moved = service.move_cards(caller, selector, step, reason).await?;
    Ok(Json(Done { cards: moved.cards.iter().map(ToString::to_string).collect(), credentials: moved.credentials }))
}

fn selector(many: &Many) -> Result<Selector, Refusal> {
    match (&many.personal_id_number, &many.unit) {
        (Some(number), None) => Ok(Selector::Person(person(number)?)),
        (None, Some(code)) => {
            let unit = UnitCode::parse(code);
            Ok(Selector::Unit(
                unit.ok_or_else(|| Refusal::malformed("body.unit", "must be a unit code such as H26.05"))?,
            ))
        }
        _ => Err(Refusal::malformed("body", "exactly one of personal_id_number and unit is needed")),
    }
}

/// Defines the two handlers of a step: on one card, and on the cards of a person or unit.
macro_rules! step {
    ($one:ident, $many:ident, $step:expr, $verb:literal, $scope:literal) => {
        #[doc = concat!("`POST /api/v1/cards/{handle}/", $verb, "`: on one card and all its copies.")]
        #[utoipa::path(post, path = concat!("/api/v1/cards/{handle}/", $verb), tag = "Cards", request_body = Why,
            params(("handle" = String, Path, description = "The card's random name")),
            responses((status = 200, body = Done), (status = 400, body = ProblemDocument), (status = 404, body = ProblemDocument), (status = 409, body = ProblemDocument)),
            security(("client" = [$scope])))]
        pub async fn $one(
            State(service): State<Service>,
            caller: Caller,
            InPath(name): InPath<String>,
            ApiJson(why): ApiJson<Why>,
        ) -> Result<Json<Done>, Problem> {
            take(&service, &caller, Selector::Card(handle(&name, "card")?), $step, why.reason).await
        }

        #[doc = concat!("`POST /api/v1/cards/", $verb, "`: on all cards of a person or unit, in one transaction.")]
        #[utoipa::path(post, path = concat!("/api/v1/cards/", $verb), tag = "Cards", request_body = Many,
            responses((status = 200, body = Done), (status = 400, body = ProblemDocument), (status = 403, body = ProblemDocument), (status = 409, body = ProblemDocument)),
            security(("client" = [$scope])))]
        pub async fn $many(
            State(service): State<Service>,
            caller: Caller,
            ApiJson(many): ApiJson<Many>,
        ) -> Result<Json<Done>, Problem> {
            take(&service, &caller, selector(&many)?, $step, many.reason).await
        }
    };
}

step!(lock_card, lock_cards, Step::Lock, "lock", "cards:lock");
step!(unlock_card, unlock_cards, Step::Unlock, "unlock", "cards:unlock");
step!(withdraw_card, withdraw_cards, Step::Withdraw, "withdraw", "cards:withdraw");

/// The card that took another's place.
#[derive(Debug, Serialize, ToSchema)]
pub struct Replaced {
    /// The new card.
    card: String,
}

/// `POST /api/v1/cards/{handle}/replace`: withdraws a card and makes a new one from the verified record, in one
/// transaction.
#[utoipa::path(post, path = "/api/v1/cards/{handle}/replace", tag = "Cards", request_body = Why,
    params(("handle" = String, Path, description = "The card's random name")),
    responses((status = 201, body = Replaced), (status = 404, body = ProblemDocument), (status = 409, body = ProblemDocument)),
    security(("client" = ["cards:replace"])))]
pub async fn replace_card(
    State(service): State<Service>,
    caller: Caller,
    InPath(name): InPath<String>,
    ApiJson(why): ApiJson<Why>,
) -> Result<(StatusCode, Json<Replaced>), Problem> {
    let new = service.replace_card(&caller, &handle(&name, "card")?, why.reason).await?;
    Ok((StatusCode::CREATED, Json(Replaced { card: new.to_string() })))
}

/// How a badge is drawn.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct BadgeQuery {
    /// Pixels per module of a PNG, 1 to 32; 8 when absent.
    #[serde(default)]
    scale: Option<u32>,
    /// The width in millimetres at which the code will be printed, without its quiet zone; one that no camera could read
    /// is refused.
    #[serde(default)]
    width_mm: Option<f64>,
}

/// `GET /api/v1/cards/{handle}/badge.svg`: the QR code of the printed badge (profile S).
#[utoipa::path(get, path = "/api/v1/cards/{handle}/badge.svg", tag = "Badges", params(("handle" = String, Path, description = "The card's random name"), BadgeQuery),
    responses((status = 200, content_type = "image/svg+xml"), (status = 404, body = ProblemDocument), (status = 409, body = ProblemDocument)), security(("client" = ["badges:read"])))]
pub async fn badge_svg(
    state: State<Service>,
    caller: Caller,
    name: InPath<String>,
    InQuery(query): InQuery<BadgeQuery>,
) -> Result<Response, Problem> {
    badge(state, caller, name, BadgeFormat::Svg, query.width_mm, "image/svg+xml").await
}

/// `GET /api/v1/cards/{handle}/badge.png`: the same as a picture.
#[utoipa::path(get, path = "/api/v1/cards/{handle}/badge.png", tag = "Badges", params(("handle" = String, Path, description = "The card's random name"), BadgeQuery),
    responses((status = 200, content_type = "image/png"), (status = 404, body = ProblemDocument), (status = 409, body = ProblemDocument)), security(("client" = ["badges:read"])))]
pub async fn badge_png(
    state: State<Service>,
    caller: Caller,
    name: InPath<String>,
    InQuery(query): InQuery<BadgeQuery>,
) -> Result<Response, Problem> {
    let scale = query.scale.unwrap_or(8);
    if !(1..=32).contains(&scale) {
        return Err(Refusal::malformed("scale", "must be 1 to 32").into());
    }
    badge(state, caller, name, BadgeFormat::Png(scale), query.width_mm, "image/png").await
}

async fn badge(
    State(service): State<Service>,
    caller: Caller,
    InPath(name): InPath<String>,
    format: BadgeFormat,
    width_mm: Option<f64>,
    media_type: &'static str,
) -> Result<Response, Problem> {
    if width_mm.is_some_and(|width| !(1.0..=1000.0).contains(&width)) {
        return Err(Refusal::malformed("width_mm", "must be 1 to 1000").into());
    }
    let badge = service.badge(&caller, &handle(&name, "card")?, format, width_mm).await?;
    let headers = [(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, "private, no-store")];
    Ok((headers, badge.picture).into_response())
}

/// Which records a unit confirms.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ToConfirm {
    /// Code of the managing unit.
    #[schema(example = "H26")]
    unit: String,
    /// Numbers that the unit gave (`agency_personnel_number`), of records in exactly this unit; all records of the unit
    /// and of all units below it when absent.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 1000, example = json!(["CB000001"]))]
    numbers: Option<Vec<String>>,
    /// Instead: records of the unit or below it, each at exactly the version that was seen.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 1000)]
    records: Option<Vec<SeenRecord>>,
}

/// A record as it was seen.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SeenRecord {
    /// Its name.
    #[serde(alias = "handle")]
    #[schema(example = "7Q2M8K3D5N9R1T4V")]
    record: String,
    /// The version that was seen.
    version: i64,
}

/// What became of a record that was confirmed as it was seen.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordSaid {
    /// Its name.
    record: String,
    /// `confirmed`, `already`, `moved_on`, `own` (you uploaded or submitted it), `self` (it is about you) or `not_found`.
    #[schema(example = "confirmed")]
    outcome: &'static str,
}

/// What was confirmed.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordsConfirmed {
    /// Records that were not confirmed as they stand, and now are.
    confirmed: u64,
    /// Records that somebody else has to confirm: you uploaded or submitted them, or they are about you; absent when there
    /// are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    own: Option<u64>,
    /// Each record that was named with its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<Vec<RecordSaid>>,
}

/// `POST /api/v1/records/confirm`: the unit confirms its records as they stand now. A record that changes later has to be
/// confirmed again.
#[utoipa::path(post, path = "/api/v1/records/confirm", tag = "Records", request_body = ToConfirm,
    responses((status = 200, body = RecordsConfirmed), (status = 400, body = ProblemDocument), (status = 403, body = ProblemDocument)),
    security(("client" = ["records:confirm"])))]
pub async fn confirm_records(
    State(service): State<Service>,
    caller: Caller,
    ApiJson(which): ApiJson<ToConfirm>,
) -> Result<Json<RecordsConfirmed>, Problem> {
    let Some(seen) = which.records else {
        let (confirmed, own) = service.confirm_records(&caller, &which.unit, which.numbers).await?;
        return Ok(Json(RecordsConfirmed { confirmed, own: Some(own).filter(|own| *own > 0), records: None }));
    };
    if which.numbers.is_some() {
        return Err(Refusal::malformed("body", "at most one of numbers and records can be given").into());
    }
    let handle = |(place, one): (usize, SeenRecord)| {
        let handle = Handle::parse(&one.record);
        let rule = "must be the name of a record";
        handle
            .map(|handle| (handle, one.version))
            .ok_or_else(|| Refusal::malformed(format!("body.records[{place}]"), rule))
    };
    let seen = seen.into_iter().enumerate().map(handle).collect::<Result<_, _>>()?;
    let said = service.confirm_seen(&caller, &which.unit, seen).await?;
    let count = |word: &str| said.iter().filter(|(_, said)| said.word() == word).count() as u64;
    let (confirmed, own) = (count("confirmed"), count("own") + count("self"));
    let records = said.iter().map(|(record, said)| RecordSaid { record: record.to_string(), outcome: said.word() });
    Ok(Json(RecordsConfirmed { confirmed, own: Some(own).filter(|own| *own > 0), records: Some(records.collect()) }))
}

/// What is presented, and what was asked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Presented {
    /// The text of a scanned code exactly as read (Base45 has spaces), or an SD-JWT presentation.
    text: String,
    /// For an SD-JWT presentation: the nonce that you chose.
    #[serde(default)]
    nonce: Option<String>,
    /// For an SD-JWT presentation: the audience that you named.
    #[serde(default)]
    audience: Option<String>,
    /// For a QR code: the 4 to 6 digits that you asked the holder to type.
    #[serde(default)]
    challenge: Option<String>,
    /// Agency code whose people, and those of all units below, your gate lets in.
    #[serde(default)]
    gate: Option<String>,
}

/// `POST /api/v1/verify`: the verdict on a code or presentation. Needs no token; nothing is kept.
#[utoipa::path(post, path = "/api/v1/verify", tag = "Verification", request_body = Presented,
    responses((status = 200, body = crate::flow::Verdict), (status = 400, body = ProblemDocument)))]
pub async fn verify(
    State(service): State<Service>,
    ApiJson(presented): ApiJson<Presented>,
) -> Result<Response, Problem> {
    let request = VerifyRequest {
        text: presented.text,
        nonce: presented.nonce,
        audience: presented.audience,
        challenge: presented.challenge,
        gate: presented.gate,
    };
    let verdict = service.verify(&request).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(verdict)).into_response())
}

pub(super) fn configurations(ids: &[String]) -> Result<Vec<Configuration>, Refusal> {
    let known = ids.iter().enumerate().map(|(position, id)| {
        Configuration::parse(id).ok_or_else(|| {
            Refusal::malformed(
                format!("body.configurations[{position}]"),
                "is not a credential configuration of this issuer",
            )
        })
    });
    known.collect()
}

pub(super) fn person(number: &str) -> Result<PersonalNumber, Refusal> {
    PersonalNumber::parse(number).ok_or_else(|| Refusal::malformed("body.personal_id_number", "must be 12 digits"))
}

pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(key) = headers.get("Idempotency-Key") else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=128).contains(&key.len()));
    key.map(|key| Some(key.to_owned()))
        .ok_or_else(|| Refusal::malformed("Idempotency-Key", "must be 1 to 128 printable ASCII characters"))
}
