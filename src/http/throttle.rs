//! How often an address may ask: counted before anything is read or looked up, answered in the form that the caller
//! expects.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::address::{Peer, client_address};
use super::answer::{OAuthError, Problem};
use super::negotiate::Choices;
use super::pages;
use crate::error::Refusal;
use crate::flow::{Service, Traffic};

/// For the endpoints of wallets.
pub async fn requests(State(service): State<Service>, request: Request, next: Next) -> Response {
    match limit(&service, &request, Traffic::Requests) {
        Ok(()) => next.run(request).await,
        Err(refusal) if is_browser(&request) => pages::too_many_requests(&refusal),
        Err(refusal) => OAuthError::from(refusal).into_response(),
    }
}

/// For the pages that lead a person to a card.
pub async fn browsers(State(service): State<Service>, request: Request, next: Next) -> Response {
    match limit(&service, &request, Traffic::Requests) {
        Ok(()) => next.run(request).await,
        Err(refusal) => pages::too_many_requests(&refusal),
    }
}

/// For everything else.
pub async fn documents(State(service): State<Service>, request: Request, next: Next) -> Response {
    match limit(&service, &request, Traffic::Documents) {
        Ok(()) => next.run(request).await,
        Err(refusal) => Problem::from(refusal).into_response(),
    }
}

/// Counts a request for the group of documents and of programs with a bound of their own.
pub(super) fn documents_of(service: &Service, request: &Request) -> Result<(), Refusal> {
    limit(service, request, Traffic::Documents)
}

fn limit(service: &Service, request: &Request, traffic: Traffic) -> Result<(), Refusal> {
    // Without a connection there is no address: a request from within this process.
    let Some(peer) = request.extensions().get::<Peer>() else { return Ok(()) };
    let config = &service.config;
    let address = client_address(*peer, request.headers(), &config.trusted_proxies, config.forwarded_header);
    service.limit_address(address, traffic)
}

/// Whether a person followed a link that was meant for a wallet: a page is fetched, and asked for by name.
fn is_browser(request: &Request) -> bool {
    let wants_page = |headers: &HeaderMap| Choices::of(headers, &header::ACCEPT).weight(&["text/html"]) > 0;
    request.method() == Method::GET && wants_page(request.headers())
}
