//! The Ministry's synchronisation interface for units' own systems, and the log of its calls under `/api/v1`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::answer::{Problem, ProblemDocument};
use super::extract::{InPath, InQuery, bearer};
use super::throttle;
use crate::error::{Error, Refusal};
use crate::flow::sync::{SyncAccount, SyncCallQuery, SyncLogin};
use crate::flow::{Caller, Service, SyncCall};
use crate::protocol::ministry::{Operation, answer, login_answer};

const BAD_TOKEN: &str = "Xác thực không thành công. Token không đúng hoặc đã hết phiên làm việc!";
const BUSY: &str = "Hệ thống đang bận, đề nghị gửi lại sau!";

/// `POST /apiauth/oauth/login`: user name and password for a token.
pub async fn login(State(service): State<Service>, body: Bytes) -> Response {
    let (outcome, response) = match service.sync_login(&body).await {
        Ok(SyncLogin::In { token, expires_at }) => {
            ("accepted", said(StatusCode::OK, &login_answer(&token, expires_at)))
        }
        Ok(SyncLogin::Refused(message)) => ("refused", said(StatusCode::OK, &answer(&message, false, None))),
        Err(error) => ("failed", failed(&error)),
    };
    metrics::counter!("officials_sync_logins_total", "outcome" => outcome).increment(1);
    response
}

/// Who calls what, known before four megabytes are read for it.
pub struct Called {
    operation: Operation,
    account: SyncAccount,
}

impl FromRequestParts<Service> for Called {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, Response> {
        let word = Option::<Path<String>>::from_request_parts(parts, service).await.ok().flatten();
        let Some(operation) = word.and_then(|Path(word)| Operation::parse(&word)) else {
            return Err(said(StatusCode::NOT_FOUND, &answer("Không có dịch vụ này!", false, None)));
        };
        let token = bearer(&parts.headers).ok_or_else(|| failed(&Refusal::NoToken.into()))?;
        let account = service.sync_sender(token).await.map_err(|error| {
            let labels = [("operation", operation.word()), ("outcome", "failed")];
            metrics::counter!("officials_sync_calls_total", &labels).increment(1);
            failed(&error)
        })?;
        Ok(Self { operation, account })
    }
}

/// `POST /apisyncmsg/syncmsg/servicem0001` to `servicem0006`.
pub async fn call(
    State(service): State<Service>,
    Called { operation, account }: Called,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let (status, answered) = match body {
        Ok(body) => (StatusCode::OK, service.sync_call(&account, operation, &body).await),
        Err(rejection) => {
            let status = rejection.status();
            let is_too_large = status == StatusCode::PAYLOAD_TOO_LARGE;
            (status, service.sync_call_unread(&account, operation, is_too_large).await)
        }
    };
    let (outcome, response) = match answered {
        Ok(done) => {
            let outcome = if done.succeeded { "accepted" } else { "refused" };
            let answer = answer(&done.message, done.succeeded, Some(&done.transaction));
            (outcome, said(status, &answer))
        }
        Err(error) => ("failed", failed(&error)),
    };
    metrics::counter!("officials_sync_calls_total", "operation" => operation.word(), "outcome" => outcome).increment(1);
    response
}

/// How often an address may call, told in the interface's own form; and that a body is too large or an answer takes too
/// long, likewise.
pub async fn in_own_form(State(service): State<Service>, request: Request, next: Next) -> Response {
    if let Err(refusal) = throttle::documents_of(&service, &request) {
        return failed(&refusal.into());
    }
    let response = next.run(request).await;
    let own = HeaderValue::from_static("application/json");
    match response.status() {
        _ if response.headers().get(header::CONTENT_TYPE) == Some(&own) => response,
        status @ StatusCode::PAYLOAD_TOO_LARGE => {
            said(status, &answer("Gói tin vượt quá dung lượng cho phép!", false, None))
        }
        status @ StatusCode::SERVICE_UNAVAILABLE => said(status, &answer(BUSY, false, None)),
        _ => response,
    }
}

/// What is no answer to what was asked: who asks, how often, and faults of ours.
fn failed(error: &Error) -> Response {
    let (status, message) = match error {
        Error::Refusal(Refusal::NoToken | Refusal::InvalidToken) => (StatusCode::UNAUTHORIZED, BAD_TOKEN),
        Error::Refusal(Refusal::TooManyRequests { .. }) => {
            (StatusCode::TOO_MANY_REQUESTS, "Vượt quá số lần gọi cho phép, đề nghị gửi lại sau!")
        }
        Error::Refusal(_) => (StatusCode::SERVICE_UNAVAILABLE, BUSY),
        Error::Fault(fault) => {
            tracing::error!(%fault, "a call of the synchronisation interface failed");
            (StatusCode::INTERNAL_SERVER_ERROR, "Hệ thống gặp sự cố, đề nghị gửi lại sau!")
        }
    };
    let mut response = said(status, &answer(message, false, None));
    if let Error::Refusal(Refusal::TooManyRequests { retry_after_seconds }) = error {
        response.headers_mut().insert(header::RETRY_AFTER, (*retry_after_seconds).into());
    }
    response
}

fn said(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// One call of the synchronisation interface. No names, numbers or values of people.
#[derive(Debug, Serialize, ToSchema)]
pub struct SyncCallAnswer {
    /// The id that the client was told.
    #[schema(example = "0d5c7c0e-6a0c-4c1f-8f0b-3a6a2d6f2c11")]
    transaction_id: String,
    /// Unix seconds.
    at: i64,
    /// The account that called.
    #[schema(example = "hanoi-hrm")]
    account: String,
    /// The sending agency.
    #[schema(example = "H26")]
    unit: String,
    /// `servicem0001` to `servicem0006`, or `login` for one that failed.
    #[schema(example = "servicem0001")]
    operation: String,
    /// `ADD`, `EDIT` or `DEL`; absent when it could not be read.
    action: Option<String>,
    /// Dossiers of the packet.
    dossiers: i64,
    /// `accepted`, `refused`, or `begun`: under way, or ended without an answer.
    #[schema(example = "refused")]
    outcome: &'static str,
    /// Why it was refused.
    #[schema(example = json!(["rule"]))]
    codes: Vec<String>,
    /// How long it took.
    duration_ms: i64,
    /// The first call, when this one repeated it after a lost answer.
    repeats: Option<String>,
}

impl From<&SyncCall> for SyncCallAnswer {
    fn from(call: &SyncCall) -> Self {
        Self {
            transaction_id: call.transaction.clone(),
            at: call.at,
            account: call.account.clone(),
            unit: call.unit.clone(),
            operation: call.operation.clone(),
            action: call.action.clone(),
            dossiers: call.dossiers,
            outcome: call.outcome.word(),
            codes: call.codes.clone(),
            duration_ms: call.duration_ms,
            repeats: call.repeats.clone(),
        }
    }
}

/// A page of calls, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct SyncCallList {
    /// The calls.
    items: Vec<SyncCallAnswer>,
    /// For `after`: where the next page begins; null at the end.
    next: Option<String>,
}

/// What was wrong with one dossier of a call.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub struct SyncFaultAnswer {
    /// Which dossier, from 1; 0 for the call as a whole.
    dossier: u64,
    /// Where in the packet, in the interface's names.
    #[schema(example = "THONGTINCHUNG.NgaySinh")]
    field: String,
    /// The kind of fault.
    #[schema(example = "rule")]
    code: String,
    /// The rule as the catalogue words it.
    #[schema(example = "date partial")]
    rule: String,
    /// What the client was told, in Vietnamese.
    message: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Detail {
    records: Vec<String>,
    ignored: Vec<String>,
    faults: Vec<SyncFaultAnswer>,
}

/// One call with what was wrong with it.
#[derive(Debug, Serialize, ToSchema)]
pub struct SyncCallDetail {
    /// The call.
    #[serde(flatten)]
    call: SyncCallAnswer,
    /// SHA-256 of what it asked, base64url.
    digest: String,
    /// What the client was told, in Vietnamese.
    message: String,
    /// The records that it wrote, by their random names.
    records: Vec<String>,
    /// Members of the packet that are not known, or that the operation does not carry.
    #[schema(example = json!(["THONGTINCHUNG.MauMat"]))]
    ignored: Vec<String>,
    /// What was wrong.
    faults: Vec<SyncFaultAnswer>,
}

/// Which calls to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CallsQuery {
    /// Of this unit and those below; all that you may see when absent.
    unit: Option<String>,
    /// `accepted`, `refused` or `begun`.
    outcome: Option<String>,
    /// Of this account.
    account: Option<String>,
    /// `next` of the page before.
    after: Option<String>,
    /// 1 to 200; 50 when absent.
    limit: Option<i64>,
}

/// `GET /api/v1/sync-calls`: what units' systems sent, newest first.
#[utoipa::path(get, path = "/api/v1/sync-calls", tag = "Synchronisation", params(CallsQuery),
    responses((status = 200, body = SyncCallList)), security(("client" = ["sync:read"])))]
pub async fn calls(
    State(service): State<Service>,
    caller: Caller,
    InQuery(query): InQuery<CallsQuery>,
) -> Result<Json<SyncCallList>, Problem> {
    let CallsQuery { unit, outcome, account, after, limit } = query;
    let page = service.sync_calls(&caller, SyncCallQuery { unit, outcome, account, after, limit }).await?;
    Ok(Json(SyncCallList { items: page.items.iter().map(SyncCallAnswer::from).collect(), next: page.next }))
}

/// `GET /api/v1/sync-calls/{transaction_id}`: one call, with what was wrong with each dossier.
#[utoipa::path(get, path = "/api/v1/sync-calls/{transaction_id}", tag = "Synchronisation",
    params(("transaction_id" = String, Path, description = "The id that the client was told")),
    responses((status = 200, body = SyncCallDetail), (status = 404, body = ProblemDocument)), security(("client" = ["sync:read"])))]
pub async fn call_detail(
    State(service): State<Service>,
    caller: Caller,
    InPath(transaction): InPath<String>,
) -> Result<Json<SyncCallDetail>, Problem> {
    let call = service.sync_call_named(&caller, &transaction).await?;
    let Detail { records, ignored, faults } = serde_json::from_str(&call.detail).unwrap_or_default();
    let (digest, message) = (call.digest.clone(), call.message.clone());
    Ok(Json(SyncCallDetail { call: SyncCallAnswer::from(&call), digest, message, records, ignored, faults }))
}
