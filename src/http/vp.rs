//! The wallet's endpoints of OpenID4VP 1.0: where it fetches a signed request, and where it answers.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::answer::OAuthError;
use super::extract::{InPath, has_media_type};
use crate::error::Refusal;
use crate::flow::Service;
use crate::flow::present::RequestFetch;
use crate::protocol::oid4vp::REQUEST_MEDIA_TYPE;

/// The largest answer of a wallet, in bytes: several cards with portraits, encrypted.
pub const MAX_RESPONSE_BYTES: usize = 2 << 20;

/// `GET /vp/{request}`: the request, by reference (section 5.10).
pub async fn request(State(service): State<Service>, path: InPath<String>) -> Result<Response, OAuthError> {
    signed(&service, &path.0, RequestFetch::Get).await
}

/// `POST /vp/{request}`: the same, after the wallet has said something (section 5.10).
pub async fn request_by_post(
    State(service): State<Service>,
    path: InPath<String>,
    form: Result<WalletForm, Response>,
) -> Response {
    match form {
        Ok(WalletForm(form)) => signed(&service, &path.0, RequestFetch::Post(form)).await.into_response(),
        Err(refused) => refused,
    }
}

async fn signed(service: &Service, name: &str, fetch: RequestFetch) -> Result<Response, OAuthError> {
    let request = service.presentation_request(name, fetch).await?;
    Ok(([(header::CONTENT_TYPE, REQUEST_MEDIA_TYPE), (header::CACHE_CONTROL, "no-store")], request).into_response())
}

/// `POST /vp/{response}/response`: the answer (section 8.2). It is verified before ours is given: 200 with a JSON object
/// when it is accepted, and for a wallet's error; else 4xx, which says nothing about the holder.
pub async fn respond(
    State(service): State<Service>,
    path: InPath<String>,
    form: Result<WalletForm, Response>,
) -> Response {
    let form = match form {
        Ok(WalletForm(form)) => form,
        Err(refused) => return refused,
    };
    let answer = service.presentation_response(&path.0, &form).await.map(|redirect_uri| match redirect_uri {
        Some(redirect_uri) => json!({"redirect_uri": redirect_uri}),
        None => json!({}),
    });
    let answer = answer.map_err(OAuthError::from);
    answer.map(|body| ([(header::CACHE_CONTROL, "no-store")], Json(body))).into_response()
}

/// The parameters of a wallet's form, in order and with their repetitions.
pub struct WalletForm(pub Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for WalletForm {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        if !has_media_type(request.headers(), "application/x-www-form-urlencoded") {
            let rule = "the body must be application/x-www-form-urlencoded";
            let mut response = OAuthError::from(Refusal::InvalidTokenRequest(rule)).into_response();
            *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(response);
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            let rule = "the body is too large or could not be read";
            let mut response = OAuthError::from(Refusal::InvalidTokenRequest(rule)).into_response();
            *response.status_mut() = rejection.status();
            response
        })?;
        Ok(Self(url::form_urlencoded::parse(&bytes).into_owned().collect()))
    }
}
