//! Server-sent events (HTML Living Standard section 9.2), in the one form that all our streams have.

use std::error::Error;
use std::time::Duration;

use axum::http::{HeaderName, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt};

use crate::flow::Service;

/// How often a silent stream says that it lives: proxies cut silent connections after a minute.
const ALIVE: Duration = Duration::from_secs(25);
/// Tells proxies of the kind that holds answers back until a buffer is full not to.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The events as they come, until there are no more or the server is told to stop: a stream must not hold that up.
pub fn server_sent<E>(service: &Service, events: impl Stream<Item = Result<Event, E>> + Send + 'static) -> Response
where
    E: Into<Box<dyn Error + Send + Sync>> + 'static,
{
    let service = service.clone();
    let events = events.take_until(Box::pin(async move { service.stopped().await }));
    let headers = [(header::CACHE_CONTROL, "no-store"), (BUFFERING, "no")];
    (headers, Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE))).into_response()
}
