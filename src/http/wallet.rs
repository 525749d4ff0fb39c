//! The wallet's endpoints: OpenID4VCI 1.0.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::answer::{OAuthError, Problem, ResourceError};
use super::extract::{ATTESTATION, Attestation, DPOP, Dpop, Form, InPath, NotificationJson, WalletBody, WalletToken};
use crate::flow::{Answer, Issued, Sealed, Service};
use crate::protocol::authorize::PushedRequest;
use crate::protocol::oauth::TokenRequest;
use crate::protocol::oid4vci;

const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
const ATTESTATION_CHALLENGE: HeaderName = HeaderName::from_static("oauth-client-attestation-challenge");

/// The credential offer by reference (section 4.1.3).
pub async fn offer(State(service): State<Service>, InPath(id): InPath<String>) -> Result<Response, Problem> {
    Ok(not_stored(service.offer(&id).await?))
}

/// The pushed authorization request endpoint (RFC 9126).
pub async fn push(
    State(service): State<Service>,
    Attestation(attestation): Attestation,
    Dpop(dpop): Dpop,
    Form(form): Form,
) -> Result<Response, OAuthError> {
    let answer = service.push(PushedRequest::parse(form, attestation)?, &dpop).await?;
    Ok((StatusCode::CREATED, not_stored(answer)).into_response())
}

/// The challenge endpoint of attestation-based client authentication.
pub async fn challenge(State(service): State<Service>) -> Response {
    not_stored(json!({"attestation_challenge": service.challenge()}))
}

/// The token endpoint (section 6): wallets, and programs with client credentials.
pub async fn token(
    State(service): State<Service>,
    Attestation(attestation): Attestation,
    Dpop(dpop): Dpop,
    Form(form): Form,
) -> Result<Response, OAuthError> {
    Ok(not_stored(service.token(TokenRequest::parse(form, attestation)?, &dpop).await?))
}

/// The nonce endpoint (section 7).
pub async fn nonce(State(service): State<Service>) -> Response {
    not_stored(json!({"c_nonce": service.nonce()}))
}

/// The credential endpoint (section 8).
pub async fn credential(
    State(service): State<Service>,
    WalletToken(call): WalletToken,
    WalletBody(body): WalletBody,
) -> Result<Response, ResourceError> {
    answered(&service, service.issue(&call, body).await?)
}

/// The deferred credential endpoint (section 9).
pub async fn deferred(
    State(service): State<Service>,
    WalletToken(call): WalletToken,
    WalletBody(body): WalletBody,
) -> Result<Response, ResourceError> {
    answered(&service, service.deferred(&call, body).await?)
}

/// The notification endpoint (section 11).
pub async fn notification(
    State(service): State<Service>,
    WalletToken(call): WalletToken,
    NotificationJson(body): NotificationJson,
) -> Result<StatusCode, ResourceError> {
    service.notify(&call, &body).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives every answer to a request with a DPoP proof or an attestation a fresh nonce or challenge for the next one.
pub async fn fresh_nonces(State(service): State<Service>, request: Request, next: Next) -> Response {
    let proves = request.headers().contains_key(DPOP);
    let is_attested = request.headers().contains_key(ATTESTATION);
    let mut response = next.run(request).await;
    let mut give = |name: HeaderName, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    };
    if proves {
        give(DPOP_NONCE, service.dpop_nonce());
    }
    if is_attested {
        give(ATTESTATION_CHALLENGE, service.challenge());
    }
    response
}

fn answered(service: &Service, issued: Issued) -> Result<Response, ResourceError> {
    let (status, answer) = match issued.answer {
        Answer::Credentials(issued) => {
            (StatusCode::OK, oid4vci::credential_response(&issued.credentials, &issued.notification_id))
        }
        Answer::Later { transaction_id, interval_seconds } => {
            (StatusCode::ACCEPTED, oid4vci::deferred_response(&transaction_id, interval_seconds))
        }
    };
    Ok(sealed(status, service.seal_response(answer, issued.encryption.as_ref())?))
}

/// The offer for everybody: it names nobody, and is taken by signing in.
pub async fn open_offer(State(service): State<Service>) -> Result<Response, Problem> {
    let headers = [(header::CACHE_CONTROL, "public, max-age=300")];
    Ok((headers, Json(service.open_offer()?)).into_response())
}

/// An answer in the form that the wallet asked for (section 10).
fn sealed(status: StatusCode, answer: Sealed) -> Response {
    match answer {
        Sealed::Json(answer) => (status, not_stored(answer)).into_response(),
        Sealed::Jwt(answer) => {
            let headers = [(header::CONTENT_TYPE, "application/jwt"), (header::CACHE_CONTROL, "no-store")];
            (status, headers, answer).into_response()
        }
    }
}

fn not_stored(body: Value) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}
