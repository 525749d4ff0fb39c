//! What an official sees and does with a session.

use std::convert::Infallible;

use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::Date;
use utoipa::{IntoParams, ToSchema};

use crate::error::Refusal;
use crate::flow::Service;
use crate::flow::self_service::{
    AccessPage, CardChanges, Export, NewOwnProposal, Official, Outcome, Overview, OwnCard, OwnProposal, ProposalPage,
    Rejected,
};
use crate::http::answer::{Problem, ProblemDocument, fresh, jpeg};
use crate::http::events::server_sent;
use crate::http::extract::{ApiJson, InPath, InQuery, handle, page_size};
use crate::model::calendar::parse_day;
use crate::model::card::Reason;

/// How many items are on a page when nothing is said, and at most.
const USUAL_ITEMS: i64 = 50;
const MOST_ITEMS: i64 = 200;

/// A page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// `next` of the page before.
    after: Option<String>,
    /// 1 to 200; 50 when absent.
    limit: Option<i64>,
}

impl PageQuery {
    fn limit(&self) -> Result<i64, Refusal> {
        page_size(self.limit, USUAL_ITEMS, MOST_ITEMS)
    }
}

/// What the State holds on you: every field with its source, its date, why it is held and how it can change; and your cards.
#[utoipa::path(get, operation_id = "me_overview", path = "/api/v1/me", tag = "me", security(("official" = [])),
    responses((status = 200, body = Overview)))]
pub async fn overview(State(service): State<Service>, official: Official) -> Result<Response, Problem> {
    Ok(fresh(service.self_overview(&official).await?))
}

/// The same with who looked and what you proposed, as one file.
#[utoipa::path(get, operation_id = "me_export", path = "/api/v1/me/export", tag = "me", security(("official" = [])),
    responses((status = 200, body = Export)))]
pub async fn export(State(service): State<Service>, official: Official) -> Result<Response, Problem> {
    let mut response = fresh(service.self_export(&official).await?);
    let name = header::HeaderValue::from_static("attachment; filename=\"ho-so.json\"");
    response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    Ok(response)
}

/// Who looked at your data, who asked the population database about you, and what happened; newest first.
#[utoipa::path(get, operation_id = "me_access", path = "/api/v1/me/access", tag = "me", params(PageQuery), security(("official" = [])),
    responses((status = 200, body = AccessPage)))]
pub async fn access(
    State(service): State<Service>,
    official: Official,
    InQuery(query): InQuery<PageQuery>,
) -> Result<Response, Problem> {
    Ok(fresh(service.self_access(&official, query.after.as_deref(), query.limit()?).await?))
}

/// The portrait of one of your records.
#[utoipa::path(get, operation_id = "me_portrait", path = "/api/v1/me/records/{handle}/portrait", tag = "me", security(("official" = [])),
    params(("handle" = String, Path)),
    responses((status = 200, content_type = "image/jpeg", body = Vec<u8>), (status = 404, body = ProblemDocument)))]
pub async fn portrait(
    State(service): State<Service>,
    official: Official,
    InPath(record): InPath<String>,
) -> Result<Response, Problem> {
    Ok(jpeg(service.self_portrait(&official, &handle(&record, "record")?).await?))
}

/// What the population database says now.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwnRematch {
    /// `matched`, `mismatched` or `not_found`.
    #[schema(example = "matched")]
    outcome: &'static str,
    /// The fields that differ; what the population database has in them is for its own counters to tell.
    differs: Vec<&'static str>,
    /// Codes of further fields in which your record says something else.
    outdated: Vec<&'static str>,
    /// When it was asked (Unix seconds).
    asked_at: i64,
}

/// Has the population database asked about one of your records, now. It is on record like every such question.
#[utoipa::path(post, operation_id = "me_rematch", path = "/api/v1/me/records/{handle}/rematch", tag = "me",
    params(("handle" = String, Path)), request_body = Nothing, security(("official" = [])),
    responses((status = 200, body = OwnRematch), (status = 404, body = ProblemDocument), (status = 409, body = ProblemDocument),
        (status = 503, body = ProblemDocument)))]
pub async fn rematch(
    State(service): State<Service>,
    official: Official,
    InPath(record): InPath<String>,
    ApiJson(Nothing {}): ApiJson<Nothing>,
) -> Result<Response, Problem> {
    let asked = service.self_rematch(&official, &handle(&record, "record")?).await?;
    Ok(fresh(OwnRematch {
        outcome: asked.outcome.word(),
        differs: asked.differs().into_iter().map(|(field, _)| field).collect(),
        outdated: asked.outdated,
        asked_at: asked.at,
    }))
}

/// What you want to change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProposal {
    /// The record.
    #[schema(example = "7Q2M8K3D5N9R1T4V")]
    record: String,
    /// New values by field code or list name; null empties, a list is replaced whole.
    #[schema(value_type = Object, example = json!({"marital_status": "2", "phone_number": "0912345678"}))]
    changes: Map<String, Value>,
    /// Files of yours that are beside no proposal yet.
    #[serde(default)]
    evidence: Vec<String>,
    /// From which day it is to hold (`yyyy-mm-dd`).
    #[serde(default)]
    effective_on: Option<String>,
    /// What you say to it.
    #[serde(default)]
    note: String,
}

/// What became of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Proposed {
    /// What holds at once.
    applied: Option<AppliedNow>,
    /// Fields that would hold at once, but that somebody else changed meanwhile: look, and ask again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_applied: Vec<String>,
    /// What your unit decides about.
    proposal: Option<OwnProposal>,
}

/// What holds at once.
#[derive(Debug, Serialize, ToSchema)]
pub struct AppliedNow {
    /// The fields.
    fields: Vec<String>,
    /// The version of the record that has them.
    version: i64,
}

/// A problem document with what is wrong with each field.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangesProblem {
    #[serde(rename = "type")]
    #[schema(example = "urn:officials-card:problem:unacceptable-changes")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: &'static str,
    /// What is wrong, by field.
    faults: Vec<FieldFault>,
}

/// What is wrong with one field. The value is not repeated.
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldFault {
    /// The field, with the place in a list.
    #[schema(example = "phone_number")]
    field: String,
    /// The rule of the catalogue, or `required`, `known_column`, `closed`, `rematch`, `evidence`.
    #[schema(example = "rematch")]
    rule: String,
    /// What to do, in Vietnamese.
    vi: String,
    /// What to do, in English.
    en: String,
}

impl From<Rejected> for FieldFault {
    fn from(Rejected { field, rule, vi, en }: Rejected) -> Self {
        Self { field, rule, vi, en }
    }
}

/// Changes what you may change at once, and proposes the rest to your unit.
#[utoipa::path(post, operation_id = "me_propose", path = "/api/v1/me/proposals", tag = "me", request_body = NewProposal, security(("official" = [])),
    responses((status = 200, body = Proposed), (status = 201, body = Proposed), (status = 404, body = ProblemDocument),
        (status = 409, body = ProblemDocument),
        (status = 422, body = ChangesProblem, content_type = "application/problem+json")))]
pub async fn propose(
    State(service): State<Service>,
    official: Official,
    ApiJson(new): ApiJson<NewProposal>,
) -> Result<Response, Problem> {
    let request = NewOwnProposal {
        record: handle(&new.record, "record")?,
        changes: new.changes,
        evidence: new.evidence,
        effective_on: new.effective_on.as_deref().map(day).transpose()?,
        note: new.note,
    };
    Ok(match service.self_propose(&official, request).await? {
        Outcome::Unchanged => fresh(Proposed { applied: None, not_applied: Vec::new(), proposal: None }),
        Outcome::Done { applied, not_applied, proposal } => {
            let applied = applied.map(|applied| AppliedNow { fields: applied.fields, version: applied.version });
            let mut response = fresh(Proposed { applied, not_applied, proposal: proposal.map(|proposal| *proposal) });
            *response.status_mut() = StatusCode::CREATED;
            response
        }
        Outcome::Rejected(rejected) => {
            let problem = ChangesProblem {
                kind: "urn:officials-card:problem:unacceptable-changes",
                title: "Unprocessable Entity",
                status: 422,
                detail: "some of the changes are not acceptable; nothing was changed",
                faults: rejected.into_iter().map(Into::into).collect(),
            };
            let headers: [(HeaderName, &str); 2] =
                [(header::CONTENT_TYPE, "application/problem+json"), (header::CACHE_CONTROL, "no-store")];
            (StatusCode::UNPROCESSABLE_ENTITY, headers, serde_json::json!(problem).to_string()).into_response()
        }
    })
}

fn day(text: &str) -> Result<Date, Refusal> {
    parse_day(text).ok_or_else(|| Refusal::malformed("body.effective_on", "must be a day such as 2026-12-01"))
}

/// Your proposals, newest first.
#[utoipa::path(get, operation_id = "me_proposals", path = "/api/v1/me/proposals", tag = "me", params(PageQuery), security(("official" = [])),
    responses((status = 200, body = ProposalPage)))]
pub async fn proposals(
    State(service): State<Service>,
    official: Official,
    InQuery(query): InQuery<PageQuery>,
) -> Result<Response, Problem> {
    Ok(fresh(service.self_proposals(&official, query.after.as_deref(), query.limit()?).await?))
}

/// One of your proposals: old, new and now side by side.
#[utoipa::path(get, operation_id = "me_proposal", path = "/api/v1/me/proposals/{id}", tag = "me", params(("id" = String, Path)), security(("official" = [])),
    responses((status = 200, body = OwnProposal), (status = 404, body = ProblemDocument)))]
pub async fn proposal(
    State(service): State<Service>,
    official: Official,
    InPath(id): InPath<String>,
) -> Result<Response, Problem> {
    Ok(fresh(service.self_proposal(&official, &id).await?))
}

/// Takes a proposal back, while nobody has decided.
#[utoipa::path(delete, operation_id = "me_withdraw", path = "/api/v1/me/proposals/{id}", tag = "me", params(("id" = String, Path)), security(("official" = [])),
    responses((status = 204), (status = 404, body = ProblemDocument), (status = 409, body = ProblemDocument)))]
pub async fn withdraw(
    State(service): State<Service>,
    official: Official,
    InPath(id): InPath<String>,
) -> Result<StatusCode, Problem> {
    service.self_withdraw(&official, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Why a refusal is wrong.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAppeal {
    /// Why.
    note: String,
    /// Further files of yours.
    #[serde(default)]
    evidence: Vec<String>,
}

/// Appeals against a refusal, once. Somebody else decides.
#[utoipa::path(post, operation_id = "me_appeal", path = "/api/v1/me/proposals/{id}/appeal", tag = "me", params(("id" = String, Path)),
    request_body = NewAppeal, security(("official" = [])),
    responses((status = 200, body = OwnProposal), (status = 404, body = ProblemDocument),
        (status = 409, body = ProblemDocument)))]
pub async fn appeal(
    State(service): State<Service>,
    official: Official,
    InPath(id): InPath<String>,
    ApiJson(new): ApiJson<NewAppeal>,
) -> Result<Response, Problem> {
    Ok(fresh(service.self_appeal(&official, &id, &new.note, new.evidence).await?))
}

/// Why a card is frozen.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    /// `lost`, `stolen` or `device_change`.
    reason: Reason,
}

/// Nothing to say.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Freezes one of your cards, at once. After a loss or theft your other sessions end. A card that is locked already stays
/// so: for the graver of your reasons, and also when your unit gives its own lock up. Of a card that was replaced because
/// what it says has changed, the one in its place is frozen.
#[utoipa::path(post, operation_id = "me_freeze", path = "/api/v1/me/cards/{handle}/freeze", tag = "me", params(("handle" = String, Path)),
    request_body = Freeze, security(("official" = [])),
    responses((status = 200, body = OwnCard), (status = 404, body = ProblemDocument), (status = 409, body = ProblemDocument)))]
pub async fn freeze(
    State(service): State<Service>,
    official: Official,
    InPath(card): InPath<String>,
    ApiJson(Freeze { reason }): ApiJson<Freeze>,
) -> Result<Response, Problem> {
    Ok(fresh(service.self_freeze(&official, &handle(&card, "card")?, reason).await?))
}

/// Gives back a card that you froze yourself. Needs a sign-in at VNeID of the last minutes.
#[utoipa::path(post, operation_id = "me_unfreeze", path = "/api/v1/me/cards/{handle}/unfreeze", tag = "me", params(("handle" = String, Path)),
    request_body = Nothing, security(("official" = [])),
    responses((status = 200, body = OwnCard), (status = 404, body = ProblemDocument), (status = 409, body = ProblemDocument)))]
pub async fn unfreeze(
    State(service): State<Service>,
    official: Official,
    InPath(card): InPath<String>,
    ApiJson(Nothing {}): ApiJson<Nothing>,
) -> Result<Response, Problem> {
    Ok(fresh(service.self_unfreeze(&official, &handle(&card, "card")?).await?))
}

/// What changed where this card took another's place, or the next one took its.
#[utoipa::path(get, operation_id = "me_card_changes", path = "/api/v1/me/cards/{handle}/changes", tag = "me", params(("handle" = String, Path)),
    security(("official" = [])), responses((status = 200, body = CardChanges), (status = 404, body = ProblemDocument)))]
pub async fn card_changes(
    State(service): State<Service>,
    official: Official,
    InPath(card): InPath<String>,
) -> Result<Response, Problem> {
    Ok(fresh(service.self_card_changes(&official, &handle(&card, "card")?).await?))
}

/// Server-sent events: first where everything stands, then each change. `proposal`, `card` (a new handle is a new card to
/// fetch) and `record`. The stream ends with the session.
#[utoipa::path(get, operation_id = "me_events", path = "/api/v1/me/events", tag = "me", security(("official" = [])),
    responses((status = 200, content_type = "text/event-stream", body = String)))]
pub async fn events(State(service): State<Service>, official: Official) -> Result<Response, Problem> {
    let state = service.self_stream(official)?;
    let own = service.clone();
    let batches = stream::unfold((own, Some(state)), |(service, state)| async move {
        let mut state = state?;
        match service.next_self_events(&mut state).await {
            Ok(Some(events)) => Some((events, (service, Some(state)))),
            Ok(None) => None,
            Err(error) => {
                tracing::error!(%error, "a stream of events failed");
                None
            }
        }
    });
    let events = batches.flat_map(|events| {
        stream::iter(
            events
                .into_iter()
                .map(|event| Ok::<_, Infallible>(Event::default().event(event.kind).data(event.data.to_string()))),
        )
    });
    Ok(server_sent(&service, events))
}
