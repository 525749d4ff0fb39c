//! The wallet's endpoints: OpenID4VCI 1.0.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::answer::{OAuthError, Problem};
use super::extract::{Bearer, Form, InPath, NotificationJson, WalletBody};
use crate::flow::{Sealed, Service};
use crate::protocol::oauth::TokenRequest;
use crate::protocol::oid4vci;

/// The credential offer by reference (section 4.1.3).
pub async fn offer(State(service): State<Service>, InPath(id): InPath<String>) -> Result<Response, Problem> {
    Ok(not_stored(service.offer(&id).await?))
}

/// The token endpoint (section 6): wallets with a pre-authorized code, programs with client credentials.
pub async fn token(State(service): State<Service>, Form(form): Form) -> Result<Response, OAuthError> {
    let answer = match TokenRequest::parse(form)? {
        TokenRequest::PreAuthorized { code, tx_code, client } => {
            service.wallet_token(&code, tx_code.as_deref(), client.as_ref()).await?
        }
        TokenRequest::ClientCredentials { client, scopes } => service.client_token(&client, &scopes).await?,
    };
    Ok(not_stored(answer))
}

/// The nonce endpoint (section 7).
pub async fn nonce(State(service): State<Service>) -> Response {
    not_stored(json!({"c_nonce": service.nonce()}))
}

/// The credential endpoint (section 8).
pub async fn credential(
    State(service): State<Service>,
    Bearer(token): Bearer,
    WalletBody(body): WalletBody,
) -> Result<Response, OAuthError> {
    let issued = service.issue(&token, body).await?;
    let answer = oid4vci::credential_response(&issued.credentials, &issued.notification_id);
    Ok(sealed(StatusCode::OK, service.seal_response(answer, issued.encryption.as_ref())?))
}

/// The notification endpoint (section 11).
pub async fn notification(
    State(service): State<Service>,
    Bearer(token): Bearer,
    NotificationJson(body): NotificationJson,
) -> Result<StatusCode, OAuthError> {
    service.notify(&token, &body).await?;
    Ok(StatusCode::NO_CONTENT)
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
