//! Documents for everybody: metadata, status lists, the trust list.

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::answer::Problem;
use crate::error::Refusal;
use crate::flow::{Service, StatusFormat};
use crate::protocol::oauth;

const SHORT: &str = "public, max-age=300";

/// Credential issuer metadata.
pub async fn issuer_metadata(State(service): State<Service>) -> Response {
    ([(header::CACHE_CONTROL, SHORT), (header::VARY, "Accept, Accept-Language")], Json(service.issuer_metadata()))
        .into_response()
}

/// Authorization server metadata.
pub async fn server_metadata(State(service): State<Service>) -> Response {
    ([(header::CACHE_CONTROL, SHORT)], Json(oauth::server_metadata(&service.config.public_url))).into_response()
}

/// The public keys.
pub async fn jwks(State(service): State<Service>) -> Response {
    ([(header::CACHE_CONTROL, SHORT)], Json(service.jwks())).into_response()
}

/// The type metadata of the SD-JWT VC: the very bytes that `vct#integrity` is over, for ever.
pub async fn type_metadata(State(service): State<Service>) -> Response {
    let headers =
        [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
    (headers, service.type_metadata().to_vec()).into_response()
}

/// The addresses of all status lists.
pub async fn status_lists(State(service): State<Service>) -> Result<Response, Problem> {
    let uris = service.status_list_uris().await?;
    Ok(([(header::CACHE_CONTROL, SHORT)], Json(json!({"status_lists": uris}))).into_response())
}

/// A status list, as JWT or CWT by `Accept`.
pub async fn status_list(
    State(service): State<Service>,
    Path(list): Path<i64>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if query.is_some_and(|query| query.split('&').any(|pair| pair.starts_with("time="))) {
        // Section 8.4 of the draft: we keep no past lists.
        return Ok(StatusCode::NOT_IMPLEMENTED.into_response());
    }
    let accepts = |name, what| headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains(what));
    let format = if accepts(header::ACCEPT, StatusFormat::Cwt.media_type()) { StatusFormat::Cwt } else { StatusFormat::Jwt };
    let list = service.status_list(list, format).await?;
    let max_age = list.issued_at + service.config.limits.status_ttl_seconds - service.clock.now();
    let mut response = if accepts(header::IF_NONE_MATCH, list.etag.as_str()) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        match &list.gzip {
            Some(gzip) if accepts(header::ACCEPT_ENCODING, "gzip") => {
                ([(header::CONTENT_ENCODING, "gzip")], gzip.clone()).into_response()
            }
            _ => list.bytes.clone().into_response(),
        }
    };
    let own = response.headers_mut();
    own.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(format.media_type()));
    own.insert(header::VARY, header::HeaderValue::from_static("Accept, Accept-Encoding"));
    for (name, value) in [
        (header::ETAG, list.etag.clone()),
        // A cache may not hide a withdrawal for longer than it takes to ask whether there was one.
        (header::CACHE_CONTROL, format!("public, max-age={}, no-cache", max_age.max(0))),
    ] {
        own.insert(name, value.parse().map_err(|_| Refusal::NotFound("status list"))?);
    }
    Ok(response)
}

/// The signed trust list.
pub async fn trust_list(State(service): State<Service>) -> Result<Response, Problem> {
    let list = service.trust_list().await?;
    let headers = [
        (header::CONTENT_TYPE, service.trust_list_media_type().to_owned()),
        (header::CACHE_CONTROL, SHORT.to_owned()),
        (header::ETAG, format!("\"{}\"", list.version)),
    ];
    Ok((headers, list.bytes).into_response())
}

/// The root certificate. Pin it once, over a channel that you trust.
pub async fn trust_anchor(State(service): State<Service>) -> Response {
    ([(header::CONTENT_TYPE, "application/x-pem-file")], service.anchor_pem().to_owned()).into_response()
}

/// All that a checkpoint needs without network.
pub async fn bundle(State(service): State<Service>) -> Result<Response, Problem> {
    Ok(([(header::CACHE_CONTROL, "no-cache")], Json(service.bundle().await?)).into_response())
}
