//! Documents for everybody: metadata, status lists, the trust list.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::answer::Problem;
use super::extract::InPath;
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

/// A status list, as JWT or CWT by `Accept`; a JWT unless the CWT is wanted more.
pub async fn status_list(
    State(service): State<Service>,
    InPath(list): InPath<i64>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if query.is_some_and(|query| query.split('&').any(|pair| pair.starts_with("time="))) {
        // Section 8.4 of the draft: we keep no past lists.
        return Ok(StatusCode::NOT_IMPLEMENTED.into_response());
    }
    let [jwt, cwt] = [StatusFormat::Jwt, StatusFormat::Cwt]
        .map(|format| weight(&headers, &header::ACCEPT, format.media_type(), &["application/*", "*/*"]));
    let format = if cwt > jwt { StatusFormat::Cwt } else { StatusFormat::Jwt };
    let list = service.status_list(list, format).await?;
    let gzip = list.gzip.as_ref().filter(|_| weight(&headers, &header::ACCEPT_ENCODING, "gzip", &["*"]) > 0.0);
    // Other bytes, another tag (RFC 9110 section 8.8.3.3).
    let etag = if gzip.is_some() { format!("\"{}-gz\"", list.etag) } else { format!("\"{}\"", list.etag) };
    let held = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_held = held.split(',').any(|held| ["*", &etag].contains(&held.trim().trim_start_matches("W/")));
    let mut response = match gzip {
        _ if is_held => StatusCode::NOT_MODIFIED.into_response(),
        Some(gzip) => ([(header::CONTENT_ENCODING, "gzip")], gzip.clone()).into_response(),
        None => list.bytes.clone().into_response(),
    };
    // A cache may not hide a withdrawal for longer than it takes to ask whether there was one.
    let max_age = list.issued_at + service.config.limits.status_ttl_seconds - service.clock.now();
    let cache = format!("public, max-age={}, no-cache", max_age.max(0));
    let own = response.headers_mut();
    own.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    own.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    for (name, value) in [(header::ETAG, etag), (header::CACHE_CONTROL, cache)] {
        own.extend(HeaderValue::try_from(value).ok().map(|value| (name, value)));
    }
    Ok(response)
}

/// How much a client wants something (RFC 9110 section 12.4.2), which may also be meant by one of these wildcards: 0 not
/// at all, 1 most.
pub(super) fn weight(headers: &HeaderMap, name: &HeaderName, wanted: &str, wildcards: &[&str]) -> f32 {
    let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let weight_of = |meant: &str| {
        value.split(',').find_map(|choice| {
            let mut parts = choice.split(';').map(str::trim);
            if !parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case(meant)) {
                return None;
            }
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map(|weight| weight.parse().unwrap_or(0.0));
            Some(weight.unwrap_or(1.0))
        })
    };
    weight_of(wanted).or_else(|| wildcards.iter().find_map(|wildcard| weight_of(wildcard))).unwrap_or(0.0)
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

/// `GET /api/v1/bundle`: all that a checkpoint needs to verify without network, signed in its parts.
#[utoipa::path(get, path = "/api/v1/bundle", tag = "Verification", responses((status = 200, body = crate::flow::Bundle)))]
pub async fn bundle(State(service): State<Service>) -> Result<Response, Problem> {
    Ok(([(header::CACHE_CONTROL, "no-cache")], Json(service.bundle().await?)).into_response())
}
