//! `/api/v1/me`: the official's own side. A session instead of a program's token: a bearer token in the wallet, a cookie in
//! the browser.

mod evidence;
mod own;
mod sign_in;

pub(super) use evidence::attached;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Method, header};
use axum::routing::{get, post};
use utoipa::OpenApi;

use super::answer::{self, Problem};
use super::authorize::cookie;
use super::extract::bearer;
use crate::error::Refusal;
use crate::flow::Service;
use crate::flow::self_service::{CALLBACK, Official};

/// The routes; every one of them needs a session but those that begin one.
pub fn routes() -> Router<Service> {
    Router::new()
        // A HEAD would take the sign-in away from the person: link scanners send them.
        .route("/api/v1/me/authorize", get(sign_in::authorize).head(answer::method_not_allowed))
        .route("/api/v1/me/sign-in", get(sign_in::sign_in).head(answer::method_not_allowed))
        .route(CALLBACK, get(sign_in::signed_in).head(answer::method_not_allowed))
        .route("/api/v1/me/token", post(sign_in::token))
        .route("/api/v1/me/presentations", post(sign_in::present))
        .route("/api/v1/me/session", get(sign_in::session).delete(sign_in::sign_out))
        .route("/api/v1/me", get(own::overview))
        .route("/api/v1/me/export", get(own::export))
        .route("/api/v1/me/access", get(own::access))
        .route("/api/v1/me/events", get(own::events))
        .route("/api/v1/me/records/{handle}/portrait", get(own::portrait))
        .route("/api/v1/me/records/{handle}/rematch", post(own::rematch))
        .route("/api/v1/me/proposals", get(own::proposals).post(own::propose))
        .route("/api/v1/me/proposals/{id}", get(own::proposal).delete(own::withdraw))
        .route("/api/v1/me/proposals/{id}/appeal", post(own::appeal))
        .route("/api/v1/me/cards/{handle}/freeze", post(own::freeze))
        .route("/api/v1/me/cards/{handle}/unfreeze", post(own::unfreeze))
        .route("/api/v1/me/cards/{handle}/changes", get(own::card_changes))
        .route("/api/v1/me/evidence", post(evidence::keep))
        .route("/api/v1/me/evidence/{id}", get(evidence::file).delete(evidence::remove))
}

/// What the OpenAPI document says about these routes.
#[derive(OpenApi)]
#[openapi(paths(
    sign_in::token,
    sign_in::present,
    sign_in::session,
    sign_in::sign_out,
    own::overview,
    own::export,
    own::access,
    own::events,
    own::portrait,
    own::rematch,
    own::proposals,
    own::propose,
    own::proposal,
    own::withdraw,
    own::appeal,
    own::freeze,
    own::unfreeze,
    own::card_changes,
    evidence::keep,
    evidence::file,
    evidence::remove,
))]
pub struct Document;

/// The official that a request is of.
impl FromRequestParts<Service> for Official {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, Problem> {
        if parts.headers.contains_key(header::AUTHORIZATION) {
            let token = bearer(&parts.headers).ok_or(Refusal::NoToken)?;
            return Ok(service.official(token).await?);
        }
        let token = cookie(&parts.headers, service.session_cookie_name()).ok_or(Refusal::NoToken)?;
        // A browser sends the cookie for whatever page asks; who changes something must be a page of ours.
        if ![Method::GET, Method::HEAD].contains(&parts.method) {
            let origin = parts.headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
            if origin != Some(service.own_origin()?.as_str()) {
                return Err(Refusal::ForeignOrigin.into());
            }
        }
        Ok(service.official(token).await?)
    }
}
