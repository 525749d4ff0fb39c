//! `/api/v1`: the match with the national population database.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::answer::{Problem, ProblemDocument};
use super::extract::{ApiJson, InPath, InQuery};
use crate::error::Refusal;
use crate::flow::{Caller, Connection, Rematched, Service};
use crate::model::card::Step;
use crate::model::id::Handle;

/// Questions on a page unless asked otherwise.
const PAGE: i64 = 50;
/// Over how many seconds the rate is told.
const RATE_SECONDS: f64 = 300.0;

/// Why somebody asks.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MatchRequest {
    /// 1 to 200 characters; the person can read it.
    #[schema(example = "kiểm tra họ tên theo phản ánh của cán bộ", min_length = 1, max_length = 200)]
    purpose: String,
}

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
pub struct MatchAnswer {
    /// The record.
    #[schema(example = "7Q2M8K3D5N9R1T4V")]
    record: String,
    /// The version that was compared.
    version: i64,
    /// `matched`, `not_found` or `mismatched`. The service answers a question about a wrong name like one about nobody.
    #[schema(example = "mismatched")]
    outcome: &'static str,
    /// Unix seconds.
    asked_at: i64,
    /// The compared fields that differ.
    differs: Vec<FieldAnswer>,
    /// Codes of further fields in which the record says something else than the registry.
    outdated: Vec<&'static str>,
    /// The record's card, when this match locked it or gave it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    card: Option<CardStepAnswer>,
}

/// A field that differs.
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldAnswer {
    /// Its code.
    #[schema(example = "full_name")]
    field: &'static str,
    /// What the registry says.
    #[schema(value_type = Option<String>, example = "NGUYỄN THỊ ĐÀO")]
    registry: Option<Value>,
}

/// What became of a card.
#[derive(Debug, Serialize, ToSchema)]
pub struct CardStepAnswer {
    /// The card.
    card: String,
    /// `locked` or `unlocked`.
    step: &'static str,
}

impl From<Rematched> for MatchAnswer {
    fn from(found: Rematched) -> Self {
        let differs = found.differs().into_iter();
        let differs = differs.map(|(field, registry)| FieldAnswer { field, registry: registry.cloned() }).collect();
        let card = found.cards.first().map(|(card, step)| CardStepAnswer {
            card: card.to_string(),
            step: if *step == Step::Lock { "locked" } else { "unlocked" },
        });
        Self {
            record: found.record.to_string(),
            version: found.version,
            outcome: found.outcome.word(),
            asked_at: found.at,
            differs,
            outdated: found.outdated,
            card,
        }
    }
}

/// `POST /api/v1/records/{handle}/match`: asks the population database about a record now. The question is on record, the
/// outcome counts at once, and a discrepancy locks the card.
#[utoipa::path(post, path = "/api/v1/records/{handle}/match", tag = "Population", request_body = MatchRequest,
    params(("handle" = String, Path, description = "The record")),
    responses((status = 200, body = MatchAnswer), (status = 404, body = ProblemDocument), (status = 409, body = ProblemDocument), (status = 503, body = ProblemDocument)),
    security(("client" = ["records:confirm"])))]
pub async fn match_record(
    State(service): State<Service>,
    caller: Caller,
    InPath(name): InPath<String>,
    ApiJson(request): ApiJson<MatchRequest>,
) -> Result<Response, Problem> {
    caller.needs("records:confirm")?;
    let found = service.rematch(&caller, &record(&name)?, &request.purpose).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(MatchAnswer::from(found))).into_response())
}

/// Which questions.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct QueriesQuery {
    /// `next` of the page before.
    after: Option<String>,
    /// 1 to 200; 50 unless given.
    limit: Option<i64>,
}

/// Questions to the population database about a record, the latest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueriesAnswer {
    /// The questions.
    items: Vec<QueryAnswer>,
    /// Where the next page begins.
    next: Option<String>,
}

/// A question.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueryAnswer {
    /// Unix seconds.
    asked_at: i64,
    /// Who asked.
    #[schema(example = "cb01")]
    officer: String,
    /// Why.
    purpose: String,
    /// `look_up`.
    kind: String,
    /// The version that it was about.
    version: i64,
    /// `matched`, `not_found`, `mismatched`, `overtaken`, `unreachable` or `not_sent`; `null` while it is under way, or when
    /// its process died.
    outcome: Option<String>,
    /// Codes of the fields that differ.
    fields: Vec<String>,
    /// Unix seconds.
    answered_at: Option<i64>,
}

/// `GET /api/v1/records/{handle}/population-queries`: who asked the population database about a record, and why.
#[utoipa::path(get, path = "/api/v1/records/{handle}/population-queries", tag = "Population",
    params(("handle" = String, Path, description = "The record"), QueriesQuery),
    responses((status = 200, body = QueriesAnswer), (status = 404, body = ProblemDocument)),
    security(("client" = ["records:read"])))]
pub async fn queries(
    State(service): State<Service>,
    caller: Caller,
    InPath(name): InPath<String>,
    InQuery(query): InQuery<QueriesQuery>,
) -> Result<Json<QueriesAnswer>, Problem> {
    caller.needs("records:read")?;
    let before = query.after.map(|after| after.parse().map_err(|_| Refusal::malformed("after", "is not of a page")));
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=200).contains(&limit) {
        return Err(Refusal::malformed("limit", "must be 1 to 200").into());
    }
    let page = service.population_queries(&caller, &record(&name)?, before.transpose()?, limit).await?;
    let items = page.lines.into_iter().map(|line| QueryAnswer {
        asked_at: line.asked_at,
        officer: line.officer,
        purpose: line.purpose,
        kind: line.kind,
        version: line.version,
        outcome: line.outcome,
        fields: line.fields,
        answered_at: line.answered_at,
    });
    Ok(Json(QueriesAnswer { items: items.collect(), next: page.next.map(|next| next.to_string()) }))
}

/// How the connection to the population database stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConnectionAnswer {
    /// Whether a registry is set up.
    configured: bool,
    /// The circuit breaker of the process that answers.
    circuit: Option<CircuitAnswer>,
    /// Questions that wait for their turn in this process.
    waiting: WaitingAnswer,
    /// Questions of this process that wait for their answer.
    in_flight: usize,
    /// Records that are to be asked about.
    backlog: BacklogAnswer,
    /// What the registry answered.
    answers: AnswersAnswer,
    /// Records that it contradicts.
    discrepancies: DiscrepanciesAnswer,
    /// Its change feed.
    feed: FeedAnswer,
}

/// A circuit breaker.
#[derive(Debug, Serialize, ToSchema)]
pub struct CircuitAnswer {
    /// `closed` (questions go), `open` (none goes) or `half_open` (one probes).
    #[schema(example = "closed")]
    state: &'static str,
    /// When it is open: seconds until a question probes.
    probes_in_seconds: Option<u64>,
}

/// Questions that wait.
#[derive(Debug, Serialize, ToSchema)]
pub struct WaitingAnswer {
    /// Of people, who go first.
    interactive: usize,
    /// Of nobody.
    background: usize,
}

/// Records that are to be asked about.
#[derive(Debug, Serialize, ToSchema)]
pub struct BacklogAnswer {
    /// All.
    pending: i64,
    /// Of them, those whose person changed at the registry.
    changed_at_the_registry: i64,
    /// Of them, those that were asked about in vain.
    unanswered: i64,
    /// Unix seconds.
    oldest_pending_at: Option<i64>,
}

/// Answers of the registry to the whole deployment.
#[derive(Debug, Serialize, ToSchema)]
pub struct AnswersAnswer {
    /// Unix seconds.
    last_at: Option<i64>,
    /// In the last five minutes.
    last_five_minutes: i64,
    /// The same as a rate.
    rate_per_second: f64,
}

/// Records that the registry contradicts.
#[derive(Debug, Serialize, ToSchema)]
pub struct DiscrepanciesAnswer {
    /// It knows the person otherwise.
    mismatched: i64,
    /// It does not know the person, or not so.
    not_found: i64,
    /// Cards that are locked for it.
    locked_cards: i64,
}

/// The registry's change feed.
#[derive(Debug, Serialize, ToSchema)]
pub struct FeedAnswer {
    /// Whether it is read.
    enabled: bool,
    /// Everything before was read (Unix seconds).
    through: Option<i64>,
    /// When the last round ended (Unix seconds).
    last_round_at: Option<i64>,
    /// How: `ok`, or what was wrong.
    last_outcome: Option<String>,
}

impl From<Connection> for ConnectionAnswer {
    fn from(connection: Connection) -> Self {
        let Connection { process, state, feed, has_feed } = connection;
        let load = process.map(|(load, _)| load);
        let (through, last_round_at, last_outcome) = match feed {
            Some((through, at, outcome)) => (Some(through), at, Some(outcome).filter(|outcome| !outcome.is_empty())),
            None => (None, None, None),
        };
        Self {
            configured: load.is_some(),
            circuit: load.map(|load| CircuitAnswer {
                state: load.circuit.word(),
                probes_in_seconds: load.paused_for.map(|pause| pause.as_secs()),
            }),
            waiting: WaitingAnswer {
                interactive: load.map_or(0, |load| load.interactive),
                background: load.map_or(0, |load| load.background),
            },
            in_flight: load.map_or(0, |load| load.in_flight),
            backlog: BacklogAnswer {
                pending: state.pending,
                changed_at_the_registry: state.changed_at_the_registry,
                unanswered: state.unanswered,
                oldest_pending_at: state.oldest_pending_at,
            },
            answers: AnswersAnswer {
                last_at: state.last_answer_at,
                last_five_minutes: state.answers,
                rate_per_second: f64::from(u32::try_from(state.answers).unwrap_or(u32::MAX)) / RATE_SECONDS,
            },
            discrepancies: DiscrepanciesAnswer {
                mismatched: state.mismatched,
                not_found: state.not_found,
                locked_cards: state.locked_cards,
            },
            feed: FeedAnswer { enabled: has_feed, through, last_round_at, last_outcome },
        }
    }
}

/// `GET /api/v1/population`: how the connection to the population database stands. No personal data.
#[utoipa::path(get, path = "/api/v1/population", tag = "Population",
    responses((status = 200, body = ConnectionAnswer)), security(("client" = ["population:read"])))]
pub async fn connection(State(service): State<Service>, caller: Caller) -> Result<Json<ConnectionAnswer>, Problem> {
    Ok(Json(service.population_connection(&caller).await?.into()))
}

fn record(name: &str) -> Result<Handle, Refusal> {
    Handle::parse(name).ok_or(Refusal::NotFound("record"))
}
