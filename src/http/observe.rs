//! What operators see: health, readiness, metrics, one log line a request.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use axum::Json;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde_json::json;
use tracing::Instrument;

use crate::error::Fault;
use crate::flow::Service;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id of a caller that is taken over.
const REQUEST_ID_LENGTH: usize = 64;

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// Begins to count; once per process, however many begin at once.
pub fn start_metrics() -> Result<(), Fault> {
    static BEGINNING: Mutex<()> = Mutex::new(());
    let fault = |error| Fault::new("starting metrics", error);
    let _alone = BEGINNING.lock().unwrap_or_else(PoisonError::into_inner);
    if METRICS.get().is_some() {
        return Ok(());
    }
    let buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full("http_request_duration_seconds".into()), &buckets)
        .map_err(|error| fault(error.to_string()))?
        .install_recorder()
        .map_err(|error| fault(error.to_string()))?;
    let _ = METRICS.set(handle);
    Ok(())
}

/// One log line and two metrics a request, under a request id that the caller may choose. Paths are logged as route
/// patterns: an offer's name is a secret.
pub async fn observe(request: Request, next: Next) -> Response {
    #[allow(clippy::disallowed_methods)]
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    // A method that nobody knows is the caller's text: it must not become a label.
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let method = known.into_iter().find(|known| *known == request.method().as_str()).unwrap_or("other");
    let id = request.headers().get(&REQUEST_ID).and_then(|value| value.to_str().ok()).filter(|id| {
        (1..=REQUEST_ID_LENGTH).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    });
    let id = id.map_or_else(fresh_id, str::to_owned);
    let span = tracing::info_span!("request", id, method, route);
    let mut response = next.run(request).instrument(span.clone()).await;
    let (status, seconds) = (response.status().as_u16(), started.elapsed().as_secs_f64());
    span.in_scope(|| tracing::info!(status, milliseconds = seconds * 1000.0, "answered"));
    let labels = [("method", method.to_owned()), ("route", route), ("status", status.to_string())];
    metrics::counter!("http_requests_total", &labels).increment(1);
    metrics::histogram!("http_request_duration_seconds", &labels[1..2]).record(seconds);
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response.headers_mut().entry(header::X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    response
}

fn fresh_id() -> String {
    static REQUESTS: OnceLock<crate::chance::Chance> = OnceLock::new();
    let bytes = REQUESTS.get_or_init(crate::chance::Chance::system).bytes::<8>();
    format!("{:016x}", u64::from_be_bytes(bytes))
}

/// The process is alive.
pub async fn health() -> Response {
    Json(json!({"status": "alive"})).into_response()
}

/// The process can serve: database, keys, and status lists that are not over.
pub async fn ready(State(service): State<Service>) -> Response {
    let checks = service.readiness().await;
    let is_ready = checks.iter().all(|(_, fine)| *fine);
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let checks: serde_json::Map<_, _> = checks.into_iter().map(|(name, fine)| (name.to_owned(), json!(fine))).collect();
    (status, Json(json!({"ready": is_ready, "checks": checks}))).into_response()
}

/// Prometheus text: requests, cards by state, how delivery and matching stand, answers of wallets that present, the status lists of others.
pub async fn metrics(State(service): State<Service>) -> Response {
    if let Ok(counts) = service.count_cards().await {
        for (state, count) in counts {
            #[allow(clippy::cast_precision_loss)]
            metrics::gauge!("officials_cards", "state" => state).set(count as f64);
        }
    }
    if let Ok(state) = service.delivery_state().await {
        #[allow(clippy::cast_precision_loss)]
        let set =
            |name: &'static str, of: &str, value: i64| metrics::gauge!(name, "of" => of.to_owned()).set(value as f64);
        set("officials_events", "newest", state.newest);
        for (name, known) in &state.subscribers {
            let Some(known) = known else { continue };
            set("officials_webhook_lag", name, state.newest - known.delivered);
            set("officials_webhook_failures", name, known.failures);
            set("officials_webhook_parked", name, i64::from(known.parked_at.is_some()));
        }
        for (word, count) in [
            ("delivered", state.pushes.delivered),
            ("waiting", state.pushes.waiting),
            ("failing", state.pushes.failing),
            ("expired", state.pushes.expired),
        ] {
            set("officials_offer_pushes", word, count);
        }
    }
    population(&service).await;
    for (outcome, count) in service.presentation_counts() {
        metrics::counter!("officials_presentation_answers_total", "outcome" => outcome).absolute(count);
    }
    let lists = service.status_counts();
    for (outcome, count) in [("fetched", lists.fetched), ("failed", lists.failed)] {
        metrics::counter!("officials_status_list_fetches_total", "outcome" => outcome).absolute(count);
    }
    for (kind, count) in [("fresh", lists.fresh), ("aging", lists.aging), ("unavailable", lists.unavailable)] {
        metrics::counter!("officials_status_list_answers_total", "kind" => kind).absolute(count);
    }
    metrics::counter!("officials_status_list_waits_total").absolute(lists.waited);
    #[allow(clippy::cast_precision_loss)]
    metrics::gauge!("officials_status_list_waiting").set(lists.waiting as f64);
    let text = METRICS.get().map(PrometheusHandle::render).unwrap_or_default();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

/// How matching with the population database stands, where there is one.
#[allow(clippy::cast_precision_loss)]
async fn population(service: &Service) {
    let Some(gateway) = service.registry() else { return };
    let counts = gateway.counts();
    for (outcome, count) in
        [("answered", counts.answered), ("unanswered", counts.unanswered), ("not_sent", counts.not_sent)]
    {
        metrics::counter!("officials_population_questions_total", "outcome" => outcome).absolute(count);
    }
    let load = gateway.load();
    for word in ["closed", "open", "half_open"] {
        let is_so = f64::from(u8::from(load.circuit.word() == word));
        metrics::gauge!("officials_population_circuit", "state" => word).set(is_so);
    }
    for (lane, waiting) in [("interactive", load.interactive), ("background", load.background)] {
        metrics::gauge!("officials_population_waiting", "lane" => lane).set(waiting as f64);
    }
    metrics::gauge!("officials_population_in_flight").set(load.in_flight as f64);
    if let Ok(state) = service.count_matches().await {
        for (of, count) in [
            ("pending", state.pending),
            ("changed_at_the_registry", state.changed_at_the_registry),
            ("unanswered", state.unanswered),
            ("mismatched", state.mismatched),
            ("not_found", state.not_found),
        ] {
            metrics::gauge!("officials_population_records", "of" => of).set(count as f64);
        }
        metrics::gauge!("officials_population_answers_of_five_minutes").set(state.answers as f64);
    }
}
