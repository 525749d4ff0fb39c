//! `/api/v1/presentations`: services that want to know that somebody is an official.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::answer::{Problem, ProblemDocument};
use super::api::idempotency_key;
use super::events::server_sent;
use super::extract::{ApiJson, InPath, InQuery};
use crate::error::Refusal;
use crate::flow::present::{PresentationAnswer, PresentationMade, PresentationRequest};
use crate::flow::{BadgeFormat, Caller, Place, Service, WAIT_SECONDS};
use crate::model::presentation::PresentationState;

/// Pixels of a module of a PNG.
const MODULE_PIXELS: u32 = 8;

/// What to ask for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPresentation {
    /// A template of this deployment: what is asked for, and why.
    #[schema(example = "gate-identity")]
    template: String,
    /// The agency that the card must be of, or of a unit below it.
    #[serde(default)]
    #[schema(example = "H26")]
    agency: Option<String>,
    /// Whether browser and wallet are on the same device. Then the answer counts only when the browser that began on `page`
    /// comes back. As the template says when absent.
    #[serde(default)]
    same_device: Option<bool>,
    /// Where the browser goes at the end: an address of one of the client's `return_origins`. With `same_device` it brings
    /// `response_code` there, and only with that the result is handed out.
    #[serde(default)]
    return_url: Option<String>,
    /// Your own name for the matter, 1 to 128 characters. No personal data.
    #[serde(default)]
    reference: Option<String>,
}

/// A transaction to show to somebody.
#[derive(Debug, Serialize, ToSchema)]
pub struct PresentationStarted {
    /// Its name; only you can ask for it.
    id: String,
    /// The link that opens a wallet.
    #[schema(example = "openid4vp://?client_id=x509_hash%3A…&request_uri=…")]
    link: String,
    /// Where the wallet fetches the signed request.
    request_uri: String,
    /// Where you, with your token, get the link as a QR code.
    qr_svg: String,
    /// The same as a PNG.
    qr_png: String,
    /// A page that shows it, for the one browser that begins on it first.
    page: String,
    /// Until when an answer counts (Unix seconds).
    expires_at: i64,
    /// `created`, unless the idempotency key was used before.
    #[schema(example = "created")]
    state: &'static str,
}

impl From<PresentationMade> for PresentationStarted {
    fn from(made: PresentationMade) -> Self {
        Self {
            id: made.id,
            link: made.link,
            request_uri: made.request_uri,
            qr_svg: made.qr_svg,
            qr_png: made.qr_png,
            page: made.page,
            expires_at: made.expires_at,
            state: made.state.word(),
        }
    }
}

/// A transaction as it stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct PresentationNow {
    /// Its name.
    id: String,
    /// The template.
    template: String,
    /// `created`, `response_received`, `verified`, `rejected`, `wallet_error`, `consumed`, `expired` or `cancelled`.
    #[schema(example = "verified")]
    state: &'static str,
    /// Since when (Unix seconds).
    since: i64,
    /// Until when an answer counts (Unix seconds).
    expires_at: i64,
    /// Your reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    /// Why it was not accepted: a code, nothing about the holder.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What was asked for and presented: that, and no state, says that the person before you has a card. It is there for a minute after it was first fetched, and for ten if it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    result: Option<Value>,
}

impl From<PresentationAnswer> for PresentationNow {
    fn from(answer: PresentationAnswer) -> Self {
        Self {
            id: answer.id,
            template: answer.template,
            state: answer.state.word(),
            since: answer.since,
            expires_at: answer.expires_at,
            reference: answer.reference,
            reason: answer.reason,
            result: answer.result,
        }
    }
}

/// `POST /api/v1/presentations`: asks for a presentation. `Idempotency-Key` repeats the answer.
#[utoipa::path(post, path = "/api/v1/presentations", tag = "Presentations", request_body = NewPresentation,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 128 printable ASCII characters; the same key and request give the same transaction")),
    responses((status = 201, body = PresentationStarted), (status = 403, body = ProblemDocument), (status = 422, body = ProblemDocument)),
    security(("client" = ["presentations:create"])))]
pub async fn begin(
    State(service): State<Service>,
    caller: Caller,
    headers: HeaderMap,
    ApiJson(new): ApiJson<NewPresentation>,
) -> Result<Response, Problem> {
    let request = PresentationRequest {
        template: new.template,
        agency: new.agency,
        same_device: new.same_device,
        return_url: new.return_url,
        reference: new.reference,
        idempotency_key: idempotency_key(&headers)?,
    };
    let made = PresentationStarted::from(service.make_presentation(&caller, request).await?);
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(made)).into_response())
}

/// How long to wait, and for whom.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct WaitQuery {
    /// Seconds to wait for the transaction to move while it is not over, 0 to 30. The answer may come earlier.
    #[serde(default)]
    wait: u64,
    /// What the browser brought to `return_url` under this name: with `same_device` and `return_url` the result is handed
    /// out for it alone. Take it from the session that began the transaction, and from no other.
    #[serde(default)]
    response_code: Option<String>,
}

/// `GET /api/v1/presentations/{id}`: how a transaction of yours stands, and its result.
#[utoipa::path(get, path = "/api/v1/presentations/{id}", tag = "Presentations", params(("id" = String, Path, description = "The transaction"), WaitQuery),
    responses((status = 200, body = PresentationNow), (status = 404, body = ProblemDocument), (status = 503, body = ProblemDocument)),
    security(("client" = ["presentations:read"])))]
pub async fn read(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
    InQuery(query): InQuery<WaitQuery>,
) -> Result<Response, Problem> {
    if query.wait > WAIT_SECONDS {
        return Err(Refusal::malformed("wait", format!("must be 0 to {WAIT_SECONDS}")).into());
    }
    let answer =
        PresentationNow::from(service.presentation(&caller, &id, query.response_code.as_deref(), query.wait).await?);
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

/// `GET /api/v1/presentations/{id}/events`: the same as server-sent events named `state`, each with a state as its data,
/// until the transaction is over. The result is fetched.
#[utoipa::path(get, path = "/api/v1/presentations/{id}/events", operation_id = "presentation_events", tag = "Presentations", params(("id" = String, Path, description = "The transaction")),
    responses((status = 200, content_type = "text/event-stream"), (status = 404, body = ProblemDocument), (status = 503, body = ProblemDocument)),
    security(("client" = ["presentations:read"])))]
pub async fn events(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
) -> Result<Response, Problem> {
    let place = service.presentation_stream(&caller, &id).await?;
    Ok(streamed(service, id, place))
}

/// States of a transaction as server-sent events, until it is over.
pub(super) fn streamed(service: Service, id: String, place: Place) -> Response {
    server_sent(&service.clone(), states(service, id, place))
}

fn states(service: Service, id: String, place: Place) -> impl Stream<Item = Result<Event, crate::error::Error>> {
    stream::unfold(Some((service, id, None::<PresentationState>, place)), |going| async {
        let (service, id, seen, place) = going?;
        let state = match service.next_presentation_state(&id, seen).await {
            Ok(state) => state,
            Err(error) => return Some((Err(error), None)),
        };
        let event = Ok(Event::default().event("state").data(state.word()));
        Some((event, (!state.is_over()).then_some((service, id, Some(state), place))))
    })
}

/// `GET /api/v1/presentations/{id}/qr.svg`: the link as a QR code, while nobody has answered.
#[utoipa::path(get, path = "/api/v1/presentations/{id}/qr.svg", tag = "Presentations", params(("id" = String, Path, description = "The transaction")),
    responses((status = 200, content_type = "image/svg+xml"), (status = 404, body = ProblemDocument), (status = 410, body = ProblemDocument)),
    security(("client" = ["presentations:read"])))]
pub async fn qr_svg(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
) -> Result<Response, Problem> {
    let picture = service.presentation_qr(&caller, &id, BadgeFormat::Svg).await?;
    Ok(([(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, "private, no-store")], picture)
        .into_response())
}

/// `GET /api/v1/presentations/{id}/qr.png`: the same as a picture.
#[utoipa::path(get, path = "/api/v1/presentations/{id}/qr.png", tag = "Presentations", params(("id" = String, Path, description = "The transaction")),
    responses((status = 200, content_type = "image/png"), (status = 404, body = ProblemDocument), (status = 410, body = ProblemDocument)),
    security(("client" = ["presentations:read"])))]
pub async fn qr_png(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
) -> Result<Response, Problem> {
    let picture = service.presentation_qr(&caller, &id, BadgeFormat::Png(MODULE_PIXELS)).await?;
    Ok(([(header::CONTENT_TYPE, "image/png"), (header::CACHE_CONTROL, "private, no-store")], picture).into_response())
}

/// `DELETE /api/v1/presentations/{id}`: takes back what was asked; of what is over the result is forgotten.
#[utoipa::path(delete, path = "/api/v1/presentations/{id}", tag = "Presentations", params(("id" = String, Path, description = "The transaction")),
    responses((status = 204), (status = 404, body = ProblemDocument), (status = 410, body = ProblemDocument)),
    security(("client" = ["presentations:create"])))]
pub async fn cancel(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
) -> Result<StatusCode, Problem> {
    service.cancel_presentation(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
