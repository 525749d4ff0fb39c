//! `/api/v1`: how offers and events reach others: QR codes of offers, the change feed, the state of webhooks.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{Problem, ProblemDocument};
use super::extract::{InPath, InQuery};
use super::negotiate::Choices;
use crate::error::Refusal;
use crate::flow::{BadgeFormat, Caller, EventsRequest, PAGE_EVENTS, Service, WAIT_SECONDS};
use crate::protocol::delivery::EventsMessage;

/// Events of a page when nothing is said.
const USUAL_PAGE_EVENTS: i64 = 100;
/// Pixels of a module of an offer's PNG.
const MODULE_PIXELS: u32 = 8;

/// `GET /api/v1/offers/{id}/qr.svg`: the link of an offer as a QR code, for the client that made it and while the offer is
/// open. The link is a secret: show it to the person alone, and tell the transaction code on another channel.
#[utoipa::path(get, path = "/api/v1/offers/{id}/qr.svg", tag = "Offers", params(("id" = String, Path, description = "The last part of credential_offer_uri")),
    responses((status = 200, content_type = "image/svg+xml"), (status = 404, body = ProblemDocument), (status = 410, body = ProblemDocument)),
    security(("client" = ["offers:create"])))]
pub async fn offer_qr_svg(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
) -> Result<Response, Problem> {
    let picture = service.offer_qr(&caller, &id, BadgeFormat::Svg).await?;
    Ok(([(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, "private, no-store")], picture)
        .into_response())
}

/// `GET /api/v1/offers/{id}/qr.png`: the same as a picture.
#[utoipa::path(get, path = "/api/v1/offers/{id}/qr.png", tag = "Offers", params(("id" = String, Path, description = "The last part of credential_offer_uri")),
    responses((status = 200, content_type = "image/png"), (status = 404, body = ProblemDocument), (status = 410, body = ProblemDocument)),
    security(("client" = ["offers:create"])))]
pub async fn offer_qr_png(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
) -> Result<Response, Problem> {
    let picture = service.offer_qr(&caller, &id, BadgeFormat::Png(MODULE_PIXELS)).await?;
    Ok(([(header::CONTENT_TYPE, "image/png"), (header::CACHE_CONTROL, "private, no-store")], picture).into_response())
}

/// Which part of the feed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct EventsQuery {
    /// The events after this number: `next` of the page before; 0 is the beginning.
    #[serde(default)]
    after: i64,
    /// At most so many, 1 to 500; 100 when absent.
    #[serde(default)]
    limit: Option<i64>,
    /// Seconds to wait for an event if there is none yet, 0 to 30. The answer may come earlier, and empty.
    #[serde(default)]
    wait: u64,
}

/// `GET /api/v1/events`: what happened to cards after a number, as a JWS that proves it (typ
/// `officials-card-events+jwt`, payload as the JSON; `x5c` leads to the trust anchor), or as plain JSON if you want that
/// more. Numbers have no gap, and no event appears before those with smaller numbers. A client that is limited to units
/// gets only their events, under the same numbers; `next` goes on over those of others.
#[utoipa::path(get, path = "/api/v1/events", tag = "Change feed", params(EventsQuery),
    responses((status = 200, description = "A page of the feed", content((EventsMessage = "application/json"), (String = "application/jwt"))), (status = 503, body = ProblemDocument)),
    security(("client" = ["events:read"])))]
pub async fn events(
    State(service): State<Service>,
    caller: Caller,
    InQuery(query): InQuery<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let limit = query.limit.unwrap_or(USUAL_PAGE_EVENTS);
    if query.after < 0 {
        return Err(Refusal::malformed("after", "must be 0 or more").into());
    }
    if !(1..=PAGE_EVENTS).contains(&limit) {
        return Err(Refusal::malformed("limit", format!("must be 1 to {PAGE_EVENTS}")).into());
    }
    if query.wait > WAIT_SECONDS {
        return Err(Refusal::malformed("wait", format!("must be 0 to {WAIT_SECONDS}")).into());
    }
    let message =
        service.events(&caller, EventsRequest { after: query.after, limit, wait_seconds: query.wait }).await?;
    let accepted = Choices::of(&headers, &header::ACCEPT);
    let [signed, plain] =
        ["application/jwt", "application/json"].map(|kind| accepted.weight(&[kind, "application/*", "*/*"]));
    let fixed = [(header::CACHE_CONTROL, "no-store"), (header::VARY, "Accept")];
    if plain > signed {
        return Ok((fixed, Json(message)).into_response());
    }
    let jws = service.sign_events(&message)?;
    Ok((fixed, [(header::CONTENT_TYPE, "application/jwt")], jws).into_response())
}

/// How a subscriber of webhooks stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookState {
    /// Its name in the configuration.
    name: String,
    /// Everything up to this number was acknowledged; absent before the first round.
    delivered: Option<i64>,
    /// Failures since the last success.
    failures: i64,
    /// Since when it fails for so long that somebody should look (Unix seconds). It is still tried, once an hour.
    parked_at: Option<i64>,
    /// When it is tried next, if it has to wait (Unix seconds).
    next_attempt_at: Option<i64>,
    /// How the last attempt ended: `delivered`, `no answer` or a status.
    outcome: Option<String>,
}

/// How many offers that are pushed are in which state.
#[derive(Debug, Serialize, ToSchema)]
pub struct OfferPushes {
    /// Acknowledged by the backend.
    delivered: i64,
    /// On their way.
    waiting: i64,
    /// Of those, tried before.
    failing: i64,
    /// Given up because the offer expired first.
    expired: i64,
}

/// How delivery stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryAnswer {
    /// The newest number of the feed.
    newest: i64,
    /// The subscribers of the configuration.
    webhooks: Vec<WebhookState>,
    /// Offers that are pushed.
    offer_pushes: OfferPushes,
}

/// `GET /api/v1/webhooks`: how far each subscriber has got, and how the push of offers stands. For clients that see the
/// whole nation.
#[utoipa::path(get, path = "/api/v1/webhooks", tag = "Change feed",
    responses((status = 200, body = DeliveryAnswer), (status = 403, body = ProblemDocument)), security(("client" = ["events:read"])))]
pub async fn webhooks(State(service): State<Service>, caller: Caller) -> Result<Json<DeliveryAnswer>, Problem> {
    let state = service.delivery_state_for(&caller).await?;
    let now = service.clock.now();
    let webhooks = state.subscribers.into_iter().map(|(name, known)| WebhookState {
        delivered: known.as_ref().map(|known| known.delivered),
        failures: known.as_ref().map_or(0, |known| known.failures),
        parked_at: known.as_ref().and_then(|known| known.parked_at),
        next_attempt_at: known.as_ref().map(|known| known.next_attempt_at).filter(|at| *at > now),
        outcome: known.and_then(|known| known.outcome),
        name,
    });
    let pushes = state.pushes;
    Ok(Json(DeliveryAnswer {
        newest: state.newest,
        webhooks: webhooks.collect(),
        offer_pushes: OfferPushes {
            delivered: pushes.delivered,
            waiting: pushes.waiting,
            failing: pushes.failing,
            expired: pushes.expired,
        },
    }))
}
