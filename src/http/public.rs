//! Documents for everybody: metadata, status lists, the trust list.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::answer::Problem;
use super::extract::{InPath, InQuery};
use super::negotiate::{Choices, languages};
use crate::flow::{MetadataForm, Service, StatusFormat};
use crate::protocol::display::Language;

const SHORT: &str = "public, max-age=300";

/// The logo of the metadata: our own, a card with a star.
const LOGO: &str = include_str!("logo.svg");
const MONTH: &str = "public, max-age=2592000";

/// Credential issuer metadata (OpenID4VCI 1.0 section 12.2.2), in the languages of `Accept-Language`. JSON, unless signed
/// metadata is wanted more; also for those who would accept neither, who can read it or leave it (RFC 9110 section
/// 12.4.1).
pub async fn issuer_metadata(State(service): State<Service>, headers: HeaderMap) -> Result<Response, Problem> {
    let accepted = Choices::of(&headers, &header::ACCEPT);
    let [json, jwt] = [MetadataForm::Json, MetadataForm::Jwt]
        .map(|form| accepted.weight(&[form.media_type(), "application/*", "*/*"]));
    let form = if jwt > json { MetadataForm::Jwt } else { MetadataForm::Json };
    let languages = languages(&headers);
    let document = service.metadata_document(form, &languages)?;
    let mut response = if is_held(&headers, &document.etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        document.bytes.clone().into_response()
    };
    let own = response.headers_mut();
    own.insert(header::CONTENT_TYPE, HeaderValue::from_static(form.media_type()));
    own.insert(header::CACHE_CONTROL, HeaderValue::from_static(SHORT));
    own.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Language"));
    let tags = languages.into_iter().map(Language::tag).collect::<Vec<_>>().join(", ");
    for (name, value) in [(header::CONTENT_LANGUAGE, &tags), (header::ETAG, &document.etag)] {
        own.extend(HeaderValue::try_from(value).ok().map(|value| (name, value)));
    }
    Ok(response)
}

/// JWT VC issuer metadata (SD-JWT VC section 4): the keys of the SD-JWT VCs.
pub async fn vc_issuer(State(service): State<Service>) -> Response {
    ([(header::CACHE_CONTROL, SHORT)], Json(service.vc_issuer_metadata())).into_response()
}

/// The logo. A picture and nothing else, also for a browser that opens it as a document.
pub async fn logo() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "image/svg+xml"),
        (header::CACHE_CONTROL, MONTH),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox; frame-ancestors 'none'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, LOGO).into_response()
}

/// Authorization server metadata.
pub async fn server_metadata(State(service): State<Service>) -> Response {
    ([(header::CACHE_CONTROL, SHORT)], Json(service.server_metadata())).into_response()
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
    let accepted = Choices::of(&headers, &header::ACCEPT);
    let [jwt, cwt] = [StatusFormat::Jwt, StatusFormat::Cwt]
        .map(|format| accepted.weight(&[format.media_type(), "application/*", "*/*"]));
    let format = if cwt > jwt { StatusFormat::Cwt } else { StatusFormat::Jwt };
    let list = service.status_list(list, format).await?;
    let encodings = Choices::of(&headers, &header::ACCEPT_ENCODING);
    let gzip = list.gzip.as_ref().filter(|_| encodings.weight(&["gzip", "*"]) > 0);
    // Other bytes, another tag (RFC 9110 section 8.8.3.3).
    let etag = if gzip.is_some() { format!("\"{}-gz\"", list.etag) } else { format!("\"{}\"", list.etag) };
    let mut response = match gzip {
        _ if is_held(&headers, &etag) => StatusCode::NOT_MODIFIED.into_response(),
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

/// Whether the client has the document of this tag already (`If-None-Match`, compared weakly: RFC 9110 section 13.1.2).
pub(super) fn is_held(headers: &HeaderMap, etag: &str) -> bool {
    let held = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    held.split(',').any(|held| held.trim() == "*" || opaque(held) == opaque(etag))
}

/// The signed trust list.
pub async fn trust_list(State(service): State<Service>, asked: HeaderMap) -> Result<Response, Problem> {
    let list = service.trust_list().await?;
    let etag = format!("\"{}\"", list.version);
    let body =
        if is_held(&asked, &etag) { StatusCode::NOT_MODIFIED.into_response() } else { list.bytes.into_response() };
    let headers = [
        (header::CONTENT_TYPE, service.trust_list_media_type().to_owned()),
        (header::CACHE_CONTROL, SHORT.to_owned()),
        (header::ETAG, etag),
    ];
    Ok((headers, body).into_response())
}

/// The root certificate. Pin it once, over a channel that you trust.
pub async fn trust_anchor(State(service): State<Service>) -> Response {
    ([(header::CONTENT_TYPE, "application/x-pem-file")], service.anchor_pem().to_owned()).into_response()
}

/// The IACA certificate, for readers of mdocs. Pin it once, over a channel that you trust.
pub async fn iaca(State(service): State<Service>) -> Response {
    ([(header::CONTENT_TYPE, "application/x-pem-file")], service.iaca_pem().to_owned()).into_response()
}

/// The revocation list of the IACA (RFC 2585 section 4.2), which its certificates name.
pub async fn iaca_crl(State(service): State<Service>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/pkix-crl"), (header::CACHE_CONTROL, SHORT)];
    (headers, service.iaca_crl().to_vec()).into_response()
}

/// What the bundle is to have.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    #[serde(default)]
    online: bool,
}

/// `GET /api/v1/bundle`: all that a checkpoint needs to verify QR codes without network, signed in its parts; with
/// `online=true` also the status lists of the credentials that are shown online (SD-JWT).
#[utoipa::path(get, path = "/api/v1/bundle", tag = "Verification",
    params(("online" = Option<bool>, Query, description = "Also the status lists of credentials that are shown online")),
    responses((status = 200, body = crate::flow::Bundle)))]
pub async fn bundle(
    State(service): State<Service>,
    InQuery(Wanted { online }): InQuery<Wanted>,
) -> Result<Response, Problem> {
    Ok(([(header::CACHE_CONTROL, "no-cache")], Json(service.bundle(online).await?)).into_response())
}
