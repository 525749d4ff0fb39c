//! One guard before every route of `/api/v1`: the OpenAPI document says which scopes an operation takes, and whoever
//! lacks them is refused before anything of the request is read. What the document does not name is not served, so that a
//! route cannot be left without its rights.
//!
//! Here too a request becomes a [`Caller`]: a program by its token, an officer by the cookie of a session and, for
//! everything that changes something, by what shows that our own page asks.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use subtle::ConstantTimeEq;

use super::answer::{self, Problem};
use super::authorize::cookie;
use super::{extract, openapi};
use crate::error::Refusal;
use crate::flow::{AtWork, Caller, Service};
use crate::protocol::oauth::SCOPES;

/// The header in which our pages repeat what `GET /api/v1/session` told them.
const CSRF: HeaderName = HeaderName::from_static("x-csrf-token");
/// The header of what our pages ask by themselves, while nobody does anything: it keeps no session open.
const BACKGROUND: HeaderName = HeaderName::from_static("x-background");
/// The kind of caller (security scheme of the document) that this guard knows.
const CLIENT: &str = "client";

/// What operations take: path without the names of its parts, method, and any of these lists of scopes; `None` when it
/// is not for this guard to say.
type Operations = HashMap<String, HashMap<Method, Option<Vec<Vec<&'static str>>>>>;

static OPERATIONS: LazyLock<Operations> = LazyLock::new(operations);

/// Refuses who may not; hands the others on, with the caller that was found.
pub async fn by_document(State(service): State<Service>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(|path| nameless(path.as_str()));
    // A preflight asks for nothing yet (Fetch standard section 3.3).
    if *request.method() == Method::OPTIONS {
        return next.run(request).await;
    }
    let Some(operations) = path.and_then(|path| OPERATIONS.get(&path)) else {
        tracing::error!("a route of /api/v1 is missing in the OpenAPI document");
        return answer::not_found().await;
    };
    let method = if *request.method() == Method::HEAD { &Method::GET } else { request.method() };
    let alternatives = match operations.get(method) {
        None => return answer::method_not_allowed().await,
        Some(None) => return next.run(request).await,
        Some(Some(alternatives)) => alternatives,
    };
    let (mut parts, body) = request.into_parts();
    match Caller::from_request_parts(&mut parts, &service).await.and_then(|caller| {
        let mut refused = None;
        for scopes in alternatives {
            match scopes.iter().try_for_each(|scope| caller.needs(scope)) {
                Ok(()) => return Ok(caller),
                Err(refusal) => refused = Some(refused.unwrap_or(refusal)),
            }
        }
        Err(refused.unwrap_or(Refusal::NoToken).into())
    }) {
        Ok(caller) => {
            parts.extensions.insert(caller);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => problem.into_response(),
    }
}

impl FromRequestParts<Service> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, Problem> {
        if let Some(caller) = parts.extensions.get::<Self>() {
            return Ok(caller.clone());
        }
        let is_use = !(parts.method.is_safe() && parts.headers.contains_key(BACKGROUND));
        let caller = match extract::bearer(&parts.headers) {
            Some(token) => service.caller(token).await?,
            None => at_work(service, &parts.method, &parts.headers, is_use).await?.caller,
        };
        service.limit_client(&caller.name)?;
        Ok(caller)
    }
}

/// The officer whose cookie a request brings. Only our own pages may ask with it, and for a change they have to show
/// that they could read what the session told them (`SameSite` alone trusts every page of the same site).
pub(super) async fn at_work(
    service: &Service,
    method: &Method,
    headers: &HeaderMap,
    is_use: bool,
) -> Result<AtWork, Problem> {
    let own = cookie(headers, &service.office_cookie()).filter(|value| !value.is_empty());
    let at_work = service.at_work(own.ok_or(Refusal::NoToken)?, is_use).await?;
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let site = text(HeaderName::from_static("sec-fetch-site"));
    let origin = text(header::ORIGIN);
    if method.is_safe() {
        // `none` is the person themselves, who typed the address.
        return match site {
            Some("same-origin" | "none") | None => Ok(at_work),
            Some(_) => Err(Refusal::CrossSite("Sec-Fetch-Site is not same-origin").into()),
        };
    }
    if site.is_some_and(|site| site != "same-origin") {
        return Err(Refusal::CrossSite("Sec-Fetch-Site is not same-origin").into());
    }
    if origin.is_some_and(|origin| origin != own_origin(&service.config.public_url)) {
        return Err(Refusal::CrossSite("Origin is another").into());
    }
    if site.is_none() && origin.is_none() {
        return Err(Refusal::CrossSite("neither Origin nor Sec-Fetch-Site is there").into());
    }
    let shown = text(CSRF).unwrap_or_default();
    if !bool::from(shown.as_bytes().ct_eq(at_work.csrf.as_bytes())) {
        return Err(Refusal::CrossSite("X-CSRF-Token is missing or wrong").into());
    }
    Ok(at_work)
}

/// Scheme, host and port of a URL without its path.
fn own_origin(public_url: &str) -> &str {
    let host = public_url.find("://").map_or(0, |at| at + 3);
    public_url[host..].find('/').map_or(public_url, |path| &public_url[..host + path])
}

/// A path from `/api/v1` on, each named part as `{}`.
fn nameless(path: &str) -> String {
    let own = path.find("/api/v1").map_or(path, |at| &path[at..]);
    let parts: Vec<_> = own.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect();
    parts.join("/")
}

fn operations() -> Operations {
    let document = serde_json::to_value(openapi::document("")).unwrap_or_default();
    let mut operations = Operations::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let Ok(method) = method.to_ascii_uppercase().parse() else { continue };
            operations.entry(nameless(path)).or_default().insert(method, taken(operation));
        }
    }
    operations
}

/// The lists of scopes of which one has to be there.
fn taken(operation: &Value) -> Option<Vec<Vec<&'static str>>> {
    let alternatives = operation.get("security")?.as_array()?;
    let of_clients: Vec<_> = alternatives.iter().filter_map(|one| one.get(CLIENT)?.as_array()).collect();
    // An unknown scope is one that nobody has.
    let known = |scope: &Value| SCOPES.into_iter().find(|own| scope == own).unwrap_or("unknown");
    let scopes = of_clients.iter().map(|scopes| scopes.iter().map(known).collect()).collect();
    (!of_clients.is_empty()).then_some(scopes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_compared_without_names_and_without_what_stands_before() {
        assert_eq!(nameless("/cards/api/v1/gates/{id}/x/{name}"), "/api/v1/gates/{}/x/{}");
        assert_eq!(nameless("/api/v1/offers:bulk"), "/api/v1/offers:bulk");
        assert_eq!(own_origin("https://card.example:8443/cards"), "https://card.example:8443");
        assert_eq!(own_origin("http://127.0.0.1:8080"), "http://127.0.0.1:8080");
    }

    #[test]
    fn the_document_says_what_is_taken() {
        let gate = &OPERATIONS["/api/v1/gates/{}"];
        assert_eq!(gate[&Method::PUT], Some(vec![vec!["gates:write"]]));
        assert_eq!(OPERATIONS["/api/v1/verify"][&Method::POST], None, "open to everybody");
        assert!(!gate.contains_key(&Method::POST));
        for (path, operations) in OPERATIONS.iter() {
            for alternatives in operations.values().flatten() {
                let all: Vec<_> = alternatives.iter().flatten().collect();
                assert!(!all.is_empty() && !all.contains(&&"unknown"), "{path}: {alternatives:?}");
            }
        }
    }
}
