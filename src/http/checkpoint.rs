//! What checkpoints fetch, and what the units say about their gates.

use std::convert::Infallible;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::{Problem, ProblemDocument};
use super::events::server_sent;
use super::extract::{ApiJson, InPath, InQuery};
use super::public::is_held;
use crate::error::Refusal;
use crate::flow::{Caller, CheckpointDocument, GateRules, GateState, Service};

/// Asks for what has changed since a version.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Since {
    #[serde(default)]
    since: Option<i64>,
}

/// Asks for the changes of a gate as well.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfGate {
    #[serde(default)]
    gate: Option<String>,
}

/// `GET /checkpoint/data/statuses`: the signed status snapshot; with `since`, a delta from that version (304 when it is
/// the newest, the whole snapshot when there is no delta).
pub async fn statuses(
    State(service): State<Service>,
    InQuery(Since { since }): InQuery<Since>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    match since {
        None => Ok(document(&service.status_snapshot().await?, &headers)),
        Some(since) => Ok(match service.statuses_since(since).await? {
            Some(changes) => document(&changes, &headers),
            None => not_modified(),
        }),
    }
}

/// `GET /checkpoint/data/agencies`: the signed names of agencies.
pub async fn agencies(State(service): State<Service>, headers: HeaderMap) -> Result<Response, Problem> {
    Ok(document(&service.agency_names().await?, &headers))
}

/// `GET /checkpoint/data/gates/{id}`: the signed rules of a gate. Who has its id may read them.
pub async fn gate(
    State(service): State<Service>,
    InPath(id): InPath<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Ok(document(&service.gate_document(&id).await?, &headers))
}

/// `GET /checkpoint/data/changes`: server-sent events `versions` with the newest version of every document, at once and
/// whenever one has changed. With `gate`, of that gate's rules too. The stream ends after five minutes; come again.
pub async fn changes(
    State(service): State<Service>,
    InQuery(OfGate { gate }): InQuery<OfGate>,
) -> Result<Response, Problem> {
    let versions = service.checkpoint_changes(gate).await?;
    let events = versions.map(|versions| {
        let event = Event::default().event("versions").json_data(&versions).unwrap_or_default();
        Ok::<_, Infallible>(event)
    });
    Ok(server_sent(&service, events))
}

fn document(document: &CheckpointDocument, headers: &HeaderMap) -> Response {
    let is_delta = document.media_type.contains("delta");
    let etag = format!("\"{}{}\"", document.version, if is_delta { "-delta" } else { "" });
    let mut response = if is_held(headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        document.bytes.to_vec().into_response()
    };
    let own = response.headers_mut();
    own.insert(header::CONTENT_TYPE, HeaderValue::from_static(document.media_type));
    // A cache may not hide a withdrawal for longer than it takes to ask whether there was one.
    own.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, no-cache"));
    own.extend(HeaderValue::try_from(etag).ok().map(|etag| (header::ETAG, etag)));
    response
}

fn not_modified() -> Response {
    (StatusCode::NOT_MODIFIED, [(header::CACHE_CONTROL, "public, no-cache")]).into_response()
}

/// `POST /api/v1/gates`: opens a gate of one of your units.
#[utoipa::path(post, path = "/api/v1/gates", tag = "Gates", request_body = GateRules,
    responses((status = 201, body = GateState), (status = 403, body = ProblemDocument)),
    security(("client" = ["gates:write"])))]
pub async fn open_gate(
    State(service): State<Service>,
    caller: Caller,
    ApiJson(rules): ApiJson<GateRules>,
) -> Result<Response, Problem> {
    let gate = service.open_gate(&caller, rules).await?;
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(gate)).into_response())
}

/// `GET /api/v1/gates/{id}`: a gate of your units.
#[utoipa::path(get, path = "/api/v1/gates/{id}", tag = "Gates", params(("id" = String, Path, description = "The gate's random id")),
    responses((status = 200, body = GateState), (status = 404, body = ProblemDocument)),
    security(("client" = ["gates:write"])))]
pub async fn read_gate(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
) -> Result<Response, Problem> {
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(service.gate(&caller, &id).await?)).into_response())
}

/// `PUT /api/v1/gates/{id}`: other rules for a gate. Its checkpoints have them within seconds while they are online.
#[utoipa::path(put, path = "/api/v1/gates/{id}", tag = "Gates", params(("id" = String, Path, description = "The gate's random id")), request_body = GateRules,
    responses((status = 200, body = GateState), (status = 404, body = ProblemDocument), (status = 410, body = ProblemDocument)),
    security(("client" = ["gates:write"])))]
pub async fn change_gate(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
    ApiJson(rules): ApiJson<GateRules>,
) -> Result<Response, Problem> {
    let gate = service.change_gate(&caller, &id, rules).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(gate)).into_response())
}

/// `DELETE /api/v1/gates/{id}`: closes a gate for good. Its checkpoints stop when they learn it.
#[utoipa::path(delete, path = "/api/v1/gates/{id}", tag = "Gates", params(("id" = String, Path, description = "The gate's random id")),
    responses((status = 204), (status = 404, body = ProblemDocument), (status = 410, body = ProblemDocument)),
    security(("client" = ["gates:write"])))]
pub async fn close_gate(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
) -> Result<Response, Problem> {
    service.close_gate(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// What a checkpoint's device has signed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceReceipt {
    /// A compact JWS (ES256, typ `checkpoint-receipt+jwt`, the device's key in `jwk`), at most 4 KiB.
    receipt: String,
}

/// The issuer's word on it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConfirmedReceipt {
    /// A compact JWS (typ `checkpoint-receipt-confirmed+jwt`, `x5c` leads to the trust anchor) with the receipt inside.
    confirmation: String,
}

/// `POST /api/v1/receipts`: confirms the receipt of a check: when it came, and whether the versions of trust list,
/// statuses and rules that it names were really published. Needs no token; nothing is kept.
#[utoipa::path(post, path = "/api/v1/receipts", tag = "Verification", request_body = DeviceReceipt,
    responses((status = 200, body = ConfirmedReceipt), (status = 400, body = ProblemDocument)))]
pub async fn confirm_receipt(
    State(service): State<Service>,
    ApiJson(DeviceReceipt { receipt }): ApiJson<DeviceReceipt>,
) -> Result<Response, Problem> {
    if receipt.is_empty() {
        return Err(Refusal::malformed("body.receipt", "must not be empty").into());
    }
    let confirmation = service.confirm_receipt(receipt).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(ConfirmedReceipt { confirmation })).into_response())
}
