//! Files of evidence: in as they are, out as an attachment that no browser takes for a page.

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use zeroize::Zeroizing;

use crate::error::Refusal;
use crate::flow::Service;
use crate::flow::self_service::{EvidenceFile, KeptEvidence, Official, read_limit};
use crate::http::answer::{Problem, ProblemDocument};
use crate::http::extract::{self, InPath};

/// The bytes of a file, not read yet.
pub struct Upload(Body);

impl<S: Send + Sync> FromRequest<S> for Upload {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        Ok(Self(request.into_body()))
    }
}

/// Keeps a file of yours to put beside a proposal: JPEG, PNG or PDF by its content, at most 10 MB. Its name comes in
/// `Content-Disposition`, if at all.
#[utoipa::path(post, operation_id = "me_keep", path = "/api/v1/me/evidence", tag = "me", security(("official" = [])),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, body = KeptEvidence), (status = 422, body = ProblemDocument), (status = 503, body = ProblemDocument)))]
pub async fn keep(
    State(service): State<Service>,
    official: Official,
    headers: HeaderMap,
    Upload(body): Upload,
) -> Result<Response, Problem> {
    let most = read_limit(&service);
    let too_much = || Refusal::TooMuch(format!("a file may have {most} bytes"));
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > most) {
        return Err(too_much().into());
    }
    let place = service.evidence_place()?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(announced.unwrap_or(0)));
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Refusal::malformed("body", "could not be read"))?;
        if bytes.len() + chunk.len() > most {
            return Err(too_much().into());
        }
        bytes.extend_from_slice(&chunk);
    }
    let name = extract::file_name(&headers).unwrap_or_default();
    let kept = service.keep_evidence(&official, place, &name, bytes).await?;
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(kept)).into_response())
}

/// One of your files.
#[utoipa::path(get, operation_id = "me_file", path = "/api/v1/me/evidence/{id}", tag = "me", params(("id" = String, Path)), security(("official" = [])),
    responses((status = 200, content((String = "application/pdf"), (String = "image/jpeg"), (String = "image/png"))), (status = 404, body = ProblemDocument)))]
pub async fn file(
    State(service): State<Service>,
    official: Official,
    InPath(id): InPath<String>,
) -> Result<Response, Problem> {
    Ok(attached(service.self_evidence(&official, &id).await?))
}

/// Takes back a file that is beside no proposal.
#[utoipa::path(delete, operation_id = "me_remove", path = "/api/v1/me/evidence/{id}", tag = "me", params(("id" = String, Path)), security(("official" = [])),
    responses((status = 204), (status = 404, body = ProblemDocument)))]
pub async fn remove(
    State(service): State<Service>,
    official: Official,
    InPath(id): InPath<String>,
) -> Result<StatusCode, Problem> {
    service.self_remove_evidence(&official, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A file as an answer: to be saved, of the type that it was found to be, and in no context of ours.
pub fn attached(file: EvidenceFile) -> Response {
    let EvidenceFile { about, bytes } = file;
    // RFC 6266 with RFC 8187: everything but letters and digits is escaped.
    let escaped: String =
        url::form_urlencoded::byte_serialize(about.name.as_bytes()).collect::<String>().replace('+', "%20");
    let disposition = format!("attachment; filename*=UTF-8''{}", escaped.replace('*', "%2A"));
    let fixed: [(HeaderName, &str); 4] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; sandbox"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    let mut response = (fixed, bytes.to_vec()).into_response();
    let headers = response.headers_mut();
    for (name, text) in [(header::CONTENT_TYPE, &about.media_type), (header::CONTENT_DISPOSITION, &disposition)] {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    }
    response
}
