//! Only in demo mode, which is refused off this machine: the page `/demo/wallet`, and an offer for it at the press of a
//! button. Without the mode these routes do not exist.

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use super::address::Peer;
use super::answer::{self, Problem};
use super::api::OfferMade;
use super::web;
use crate::error::Refusal;
use crate::flow::{Caller, Handover, OfferRequest, Service};

/// The actor of audit lines.
const ACTOR: &str = "demo-page";

/// `GET /demo/wallet`: to the page's folder, with the offer or request that the link brings. A fragment goes along by
/// itself.
pub async fn wallet_folder(RawQuery(query): RawQuery) -> Response {
    let location = query.map_or_else(|| "wallet/".to_owned(), |query| format!("wallet/?{query}"));
    (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location), (header::CACHE_CONTROL, "no-store".to_owned())])
        .into_response()
}

/// `GET /demo/wallet/`: the page.
pub async fn wallet_page(headers: HeaderMap) -> Response {
    web::wallet_page(&headers)
}

/// `GET /demo/wallet/…`: its files.
pub async fn wallet_file(Path(file): Path<String>, headers: HeaderMap) -> Response {
    match web::wallet_file(&file, &headers) {
        Some(found) => found,
        None => answer::not_found().await,
    }
}

/// `POST /demo/offers`: an offer of every configuration to somebody of the sample, by its code. Answers with link and
/// transaction code together, which elsewhere go on two channels.
pub async fn make_offer(
    State(service): State<Service>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let is_here = peer.is_none_or(|Extension(Peer(address))| address.to_canonical().is_loopback());
    if !is_here || !is_own_page(&headers, &service.config.public_url) {
        return Err(Refusal::NotFound("page").into());
    }
    let caller = Caller::operator(ACTOR);
    let person = service.somebody_verified(&caller).await?.ok_or(Refusal::NotFound("verified sample record"))?;
    let request = OfferRequest {
        person,
        assurance_level: 2,
        configurations: Vec::new(),
        unit: None,
        grants: Vec::new(),
        idempotency_key: None,
    };
    let answer = OfferMade::new(service.make_offer(&caller, request).await?, Handover::Caller);
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

/// Whether one of our own pages asks, or a program. A page of somebody else's could name this machine by a name of its
/// own, and then read the answer (DNS rebinding); its `Origin` (RFC 6454 section 7) still tells.
fn is_own_page(headers: &HeaderMap, public_url: &str) -> bool {
    let own = url::Url::parse(public_url).map(|url| url.origin().ascii_serialization());
    match headers.get(header::ORIGIN) {
        None => true,
        Some(origin) => own.is_ok_and(|own| origin.as_bytes() == own.as_bytes()),
    }
}
