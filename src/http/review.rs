//! `/api/v1/proposals`: the review queue of a unit.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::answer::{Problem, ProblemDocument, fresh, jpeg};
use super::extract::{ApiJson, InPath, InQuery, page_size};
use super::me::attached;
use crate::error::Refusal;
use crate::flow::{
    Approval, Caller, Decided, DecisionItem, EvidenceItem, FieldChange, FieldName, OtherProposal, Outcome,
    QueueRequest, ReviewVerdict, Reviewed, ReviewedWhole, Service, USUAL_CLAIM_MINUTES, Workload,
};
use crate::model::calendar::parse_day;
use crate::model::proposal::ProposalState;
use crate::model::review::{RefusalReason, is_on_card};
use crate::model::unit::UnitCode;

/// Items of a page, when the caller does not say, and at most.
pub(super) const USUAL_PAGE: i64 = 50;
pub(super) const MOST_PAGE: i64 = 200;
/// Decisions that one call brings at most.
const MOST_DECISIONS: usize = 500;
/// Bytes of such a call: each may bring a note.
pub const MANY_BYTES: usize = 4 << 20;
/// Fields that an approval writes over at most; the catalogue has fewer.
const MOST_FIELDS: usize = 200;

/// Which proposals are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct QueueQuery {
    /// Of this unit and below; all that you see when absent.
    #[serde(default)]
    unit: Option<String>,
    /// States, separated by commas; those that wait for a decision when absent.
    #[serde(default)]
    state: Option<String>,
    /// Past their deadline, or not.
    #[serde(default)]
    overdue: Option<bool>,
    /// `me`, `none` or an officer: who works on them.
    #[serde(default)]
    assigned: Option<String>,
    /// `next` of the page before.
    #[serde(default)]
    after: Option<String>,
    /// 1 to 200; 50 when absent.
    #[serde(default)]
    limit: Option<i64>,
}

/// A proposal in the queue: no values but the name.
// The wire's flags, each for itself.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Serialize, ToSchema)]
pub struct QueueItem {
    /// The proposal's name.
    #[schema(example = "kX3hY0t2Qm9ZbC4dE5fGaA")]
    proposal: String,
    /// The record that it is about.
    #[schema(example = "7Q2M8K3D5N9R1T4V")]
    record: String,
    /// Code of the managing unit.
    unit: String,
    /// The personal number, masked.
    #[schema(example = "*********018")]
    person_masked: String,
    /// Name.
    full_name: String,
    /// What it changes.
    fields: Vec<FieldName>,
    /// Where it stands.
    #[schema(example = "open")]
    state: &'static str,
    /// `one`, `two`, `second`, `appeal` or `nobody`.
    #[schema(example = "one")]
    needs: &'static str,
    /// Whether it touches sensitive data.
    is_sensitive: bool,
    /// Whether it touches what the card shows.
    is_on_card: bool,
    /// Whether somebody else changed one of the fields meanwhile.
    has_conflicts: bool,
    /// Files beside it.
    evidence_count: i64,
    /// From which day it is to hold.
    effective_on: Option<String>,
    /// Unix seconds.
    created_at: i64,
    /// Until when it has to be decided (Unix seconds).
    due_at: i64,
    /// Whether that is over.
    is_overdue: bool,
    /// The unit above, once it is overdue.
    escalated_to: Option<String>,
    /// Who works on it.
    claimed_by: Option<String>,
    /// Until when (Unix seconds).
    claimed_until: Option<i64>,
    /// Who approved first of two.
    first_approved_by: Option<String>,
    /// Whether you may decide.
    may_decide: bool,
    /// Why not: `self`, `first_approver`, `decided_before`, `from_appeal`, `scope` or `decided`.
    why_not: Option<&'static str>,
}

impl QueueItem {
    fn new(reviewed: &Reviewed, now: i64) -> Self {
        let (queued, proposal) = (&reviewed.queued, &reviewed.queued.proposal);
        let catalogue = queued.record.catalogue();
        let is_waiting = proposal.state.is_waiting();
        Self {
            proposal: proposal.id.clone(),
            record: proposal.record.to_string(),
            unit: proposal.unit.clone(),
            person_masked: proposal.person.masked(),
            full_name: queued.record.full_name().to_owned(),
            fields: reviewed.patch.fields().map(|field| FieldName::of(catalogue, field)).collect(),
            state: proposal.state.word(),
            needs: reviewed.need.word(),
            is_sensitive: proposal.is_sensitive,
            is_on_card: reviewed.patch.fields().any(|field| is_on_card(catalogue, field)),
            has_conflicts: is_waiting && !reviewed.patch.conflicts(&queued.record).is_empty(),
            evidence_count: queued.evidence_count,
            effective_on: proposal.effective_on.clone(),
            created_at: proposal.created_at,
            due_at: proposal.due_at,
            is_overdue: is_waiting && proposal.due_at < now,
            escalated_to: reviewed.escalated_to.as_ref().map(ToString::to_string),
            claimed_by: queued.claim.as_ref().map(|claim| claim.reviewer.clone()),
            claimed_until: queued.claim.as_ref().map(|claim| claim.expires_at),
            first_approved_by: proposal.first_approved_by.clone(),
            may_decide: reviewed.may_decide.is_ok(),
            why_not: reviewed.may_decide.err().map(crate::model::review::WhyNot::word),
        }
    }
}

/// A page of proposals.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueuePage {
    /// Those that are due first.
    items: Vec<QueueItem>,
    /// What to give as `after` for more.
    next: Option<String>,
}

/// `GET /api/v1/proposals`: what waits for a decision in your units and below.
#[utoipa::path(get, path = "/api/v1/proposals", tag = "Review", params(QueueQuery),
    responses((status = 200, body = QueuePage)),
    security(("client" = ["updates:read"]), ("client" = ["updates:decide"])))]
pub async fn review_queue(
    State(service): State<Service>,
    caller: Caller,
    InQuery(query): InQuery<QueueQuery>,
) -> Result<Response, Problem> {
    let limit = page_size(query.limit, USUAL_PAGE, MOST_PAGE)?;
    let request = QueueRequest {
        unit: unit(query.unit)?,
        states: states(query.state.as_deref())?,
        is_overdue: query.overdue,
        assigned: query.assigned,
        after: query.after.as_deref().map(place).transpose()?,
        limit,
    };
    let queue = service.review_queue(&caller, request).await?;
    let now = service.clock.now();
    let next = queue.last().filter(|_| i64::try_from(queue.len()) == Ok(limit)).map(|last| {
        let proposal = &last.queued.proposal;
        format!("{}.{}", proposal.due_at, proposal.id)
    });
    Ok(fresh(QueuePage { items: queue.iter().map(|reviewed| QueueItem::new(reviewed, now)).collect(), next }))
}

/// A proposal with all that a decision is made on.
#[derive(Debug, Serialize, ToSchema)]
pub struct WholeProposal {
    /// As in the list.
    #[serde(flatten)]
    item: QueueItem,
    /// What the person says to it.
    note: String,
    /// The version of the record that it was made on.
    base_version: i64,
    /// The version now: what `expected_version` is compared with.
    record_version: i64,
    /// Old, new and now, side by side.
    changes: Vec<FieldChange>,
    /// Files beside it.
    evidence: Vec<EvidenceItem>,
    /// What was decided so far, oldest first.
    history: Vec<DecisionItem>,
    /// Others that wait and touch the same fields.
    others: Vec<OtherProposal>,
    /// Why it was refused.
    reason: Option<String>,
    /// The same in the reviewer's words.
    reason_note: Option<String>,
    /// What the person says against the refusal.
    appeal_note: Option<String>,
    /// The day on which an approved change acts.
    waits_until: Option<String>,
    /// The version of the record that it became.
    version: Option<i64>,
    /// What became of an approved change that waits for its day: `waiting`, `done`, `conflict` (others changed the fields
    /// meanwhile; somebody has to decide), `cancelled` or `superseded`.
    waiting_change: Option<String>,
}

impl WholeProposal {
    fn new(whole: ReviewedWhole, now: i64) -> Self {
        let ReviewedWhole { reviewed, changes, evidence, history, others } = whole;
        let item = QueueItem::new(&reviewed, now);
        let queued = reviewed.queued;
        Self {
            item,
            note: queued.proposal.note,
            base_version: queued.proposal.base_version,
            record_version: queued.record_version,
            changes,
            evidence,
            history,
            others,
            reason: queued.proposal.reason,
            reason_note: queued.proposal.reason_note,
            appeal_note: queued.proposal.appeal_note,
            waits_until: queued.waits_until,
            version: queued.proposal.version,
            waiting_change: queued.proposal.waiting_change,
        }
    }
}

/// `GET /api/v1/proposals/{id}`: old, new and now side by side. Written down as a look at the person's record.
#[utoipa::path(get, path = "/api/v1/proposals/{id}", tag = "Review", params(("id" = String, Path, description = "The proposal's name")),
    responses((status = 200, body = WholeProposal), (status = 404, body = ProblemDocument)),
    security(("client" = ["updates:read"]), ("client" = ["updates:decide"])))]
pub async fn reviewed_proposal(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
) -> Result<Response, Problem> {
    let whole = service.review(&caller, &id).await?;
    Ok(fresh(WholeProposal::new(whole, service.clock.now())))
}

/// `GET /api/v1/proposals/{id}/evidence/{evidence}`: a file beside a proposal. Written down as a look at it.
#[utoipa::path(get, path = "/api/v1/proposals/{id}/evidence/{evidence}", tag = "Review",
    params(("id" = String, Path, description = "The proposal's name"), ("evidence" = String, Path, description = "The file's name here")),
    responses((status = 200, content((String = "application/pdf"), (String = "image/jpeg"), (String = "image/png"))), (status = 404, body = ProblemDocument)),
    security(("client" = ["updates:read"]), ("client" = ["updates:decide"])))]
pub async fn proposal_evidence(
    State(service): State<Service>,
    caller: Caller,
    InPath((id, evidence)): InPath<(String, String)>,
) -> Result<Response, Problem> {
    let file = service.review_evidence(&caller, &id, &evidence).await?;
    Ok(attached(file))
}

/// Which of two portraits.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// The one that the proposal starts from.
    Old,
    /// The one that it asks for.
    New,
}

/// `GET /api/v1/proposals/{id}/portraits/{which}`: the portrait that a proposal starts from, or asks for. Written down as a
/// look at the record.
#[utoipa::path(get, path = "/api/v1/proposals/{id}/portraits/{which}", tag = "Review",
    params(("id" = String, Path, description = "The proposal's name"), ("which" = inline(Which), Path, description = "`old` or `new`")),
    responses((status = 200, content_type = "image/jpeg"), (status = 404, body = ProblemDocument)),
    security(("client" = ["updates:read"]), ("client" = ["updates:decide"])))]
pub async fn proposal_portrait(
    State(service): State<Service>,
    caller: Caller,
    InPath((id, which)): InPath<(String, Which)>,
) -> Result<Response, Problem> {
    Ok(jpeg(service.review_portrait(&caller, &id, matches!(which, Which::New)).await?))
}

/// For how long a proposal is taken.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimFor {
    /// 1 to 60; 15 when absent.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 60)]
    minutes: Option<i64>,
}

/// Who has a proposal.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClaimAnswer {
    /// The proposal's name.
    proposal: String,
    /// You.
    claimed_by: String,
    /// Until when (Unix seconds).
    claimed_until: i64,
}

/// `POST /api/v1/proposals/{id}/claim`: you work on it, so that nobody else begins. A hint: deciding needs none.
#[utoipa::path(post, path = "/api/v1/proposals/{id}/claim", tag = "Review", request_body = ClaimFor,
    params(("id" = String, Path, description = "The proposal's name")),
    responses((status = 200, body = ClaimAnswer), (status = 404, body = ProblemDocument), (status = 409, body = ProblemDocument)),
    security(("client" = ["updates:read"]), ("client" = ["updates:decide"])))]
pub async fn claim_proposal(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
    ApiJson(claim): ApiJson<ClaimFor>,
) -> Result<Response, Problem> {
    let claim = service.claim(&caller, &id, claim.minutes.unwrap_or(USUAL_CLAIM_MINUTES)).await?;
    Ok(fresh(ClaimAnswer { proposal: id, claimed_by: claim.reviewer, claimed_until: claim.expires_at }))
}

/// `POST /api/v1/proposals/{id}/release`: you do not work on it any more.
#[utoipa::path(post, path = "/api/v1/proposals/{id}/release", tag = "Review", params(("id" = String, Path, description = "The proposal's name")),
    responses((status = 204), (status = 404, body = ProblemDocument)),
    security(("client" = ["updates:read"]), ("client" = ["updates:decide"])))]
pub async fn release_proposal(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
) -> Result<StatusCode, Problem> {
    service.release(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An approval, of the whole proposal: who finds a part of it wrong refuses it.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ToApprove {
    /// The version of the record that you saw; at another one nothing is written.
    #[serde(default)]
    expected_version: Option<i64>,
    /// The day from which it holds (`yyyy-mm-dd`).
    #[serde(default)]
    effective_on: Option<String>,
    /// Fields that somebody else changed meanwhile and that are changed all the same; needs `expected_version`.
    #[serde(default)]
    overwrite: Vec<String>,
    /// What you say to it.
    #[serde(default)]
    #[schema(max_length = 2000)]
    note: Option<String>,
}

impl ToApprove {
    fn parse(self) -> Result<ReviewVerdict, Refusal> {
        if self.overwrite.len() > MOST_FIELDS {
            return Err(Refusal::malformed("body.overwrite", "names too many fields"));
        }
        let day = self
            .effective_on
            .as_deref()
            .map(|day| parse_day(day).ok_or_else(|| Refusal::malformed("body.effective_on", "must be yyyy-mm-dd")));
        Ok(ReviewVerdict::Approve(Approval {
            expected_version: self.expected_version,
            effective_on: day.transpose()?,
            overwrite: self.overwrite,
            note: self.note,
        }))
    }
}

/// A refusal.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ToRefuse {
    /// A code of `GET /api/v1/refusal-reasons`.
    #[schema(example = "evidence_missing")]
    reason: String,
    /// The same in your words; some reasons need it.
    #[serde(default)]
    #[schema(max_length = 2000)]
    note: Option<String>,
}

/// What stands in the record now, instead of what the reviewer went by: a problem document with two more members.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConflictDocument {
    /// The problem.
    #[serde(flatten)]
    problem: ProblemDocument,
    /// The version of the record now.
    record_version: i64,
    /// The fields that say something else by now.
    conflicts: Vec<FieldChange>,
}

impl ConflictDocument {
    fn new(record_version: i64, conflicts: Vec<FieldChange>) -> Self {
        Self { problem: Problem::from(Refusal::MovedOn("record")).document(), record_version, conflicts }
    }
}

fn decided(outcome: Outcome) -> Response {
    match outcome {
        Outcome::Done(decided) => fresh(decided),
        Outcome::Conflict { record_version, changes } => {
            let headers = [(header::CONTENT_TYPE, "application/problem+json"), (header::CACHE_CONTROL, "no-store")];
            let document = json!(ConflictDocument::new(record_version, changes)).to_string();
            (StatusCode::CONFLICT, headers, document).into_response()
        }
    }
}

/// `POST /api/v1/proposals/{id}/approve`: the record, its card and the person's answer follow in one transaction.
#[utoipa::path(post, path = "/api/v1/proposals/{id}/approve", tag = "Review", request_body = ToApprove,
    params(("id" = String, Path, description = "The proposal's name")),
    responses((status = 200, body = Decided), (status = 404, body = ProblemDocument), (status = 409, body = ConflictDocument, content_type = "application/problem+json")),
    security(("client" = ["updates:read"]), ("client" = ["updates:decide"])))]
pub async fn approve_proposal(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
    ApiJson(approval): ApiJson<ToApprove>,
) -> Result<Response, Problem> {
    Ok(decided(service.decide_proposal(&caller, &id, &approval.parse()?).await?))
}

/// `POST /api/v1/proposals/{id}/refuse`: with a reason of the list, which the person reads.
#[utoipa::path(post, path = "/api/v1/proposals/{id}/refuse", tag = "Review", request_body = ToRefuse,
    params(("id" = String, Path, description = "The proposal's name")),
    responses((status = 200, body = Decided), (status = 404, body = ProblemDocument), (status = 409, body = ProblemDocument)),
    security(("client" = ["updates:read"]), ("client" = ["updates:decide"])))]
pub async fn refuse_proposal(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
    ApiJson(ToRefuse { reason, note }): ApiJson<ToRefuse>,
) -> Result<Response, Problem> {
    Ok(decided(service.decide_proposal(&caller, &id, &ReviewVerdict::Refuse { reason, note }).await?))
}

/// What is decided.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DecisionKind {
    /// As `…/approve`.
    Approve,
    /// As `…/refuse`.
    Refuse,
}

/// One decision of many: the members of `…/approve` or of `…/refuse`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OneDecision {
    /// The proposal's name.
    proposal: String,
    /// What is decided.
    decision: DecisionKind,
    /// As in an approval.
    #[serde(default)]
    expected_version: Option<i64>,
    /// As in an approval.
    #[serde(default)]
    effective_on: Option<String>,
    /// As in an approval.
    #[serde(default)]
    overwrite: Vec<String>,
    /// As in a refusal.
    #[serde(default)]
    reason: Option<String>,
    /// As in an approval or refusal.
    #[serde(default)]
    note: Option<String>,
}

impl OneDecision {
    fn parse(self) -> Result<ReviewVerdict, Refusal> {
        let Self { decision, expected_version, effective_on, overwrite, reason, note, .. } = self;
        match decision {
            DecisionKind::Approve if reason.is_some() => {
                Err(Refusal::malformed("reason", "is for a refusal: an approval is of the whole proposal"))
            }
            DecisionKind::Approve => ToApprove { expected_version, effective_on, overwrite, note }.parse(),
            DecisionKind::Refuse if expected_version.is_some() || effective_on.is_some() => {
                Err(Refusal::malformed("decision", "a refusal has a reason and a note, nothing else"))
            }
            DecisionKind::Refuse => {
                let reason = reason.ok_or_else(|| Refusal::malformed("reason", "is needed for a refusal"))?;
                Ok(ReviewVerdict::Refuse { reason, note })
            }
        }
    }
}

/// Many decisions.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ManyDecisions {
    /// 1 to 500, each for itself.
    #[schema(min_items = 1, max_items = 500)]
    items: Vec<OneDecision>,
}

/// The answer to one of many.
#[derive(Debug, Serialize, ToSchema)]
pub struct OneAnswer {
    /// The proposal's name.
    proposal: String,
    /// What became of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<Decided>,
    /// Why nothing did.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<ProblemOrConflict>,
}

/// A problem, or what stands in the record now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ProblemOrConflict {
    /// With what stands there now.
    Conflict(Box<ConflictDocument>),
    /// A problem document.
    Problem(ProblemDocument),
}

/// The answers, in the order of the request.
#[derive(Debug, Serialize, ToSchema)]
pub struct ManyAnswers {
    /// One for each decision.
    items: Vec<OneAnswer>,
    /// How many were done.
    done: usize,
    /// How many were not.
    problems: usize,
}

/// `POST /api/v1/proposals/decide`: many decisions, each with its own answer; a bad one harms no other.
#[utoipa::path(post, path = "/api/v1/proposals/decide", tag = "Review", request_body = ManyDecisions,
    responses((status = 200, body = ManyAnswers)),
    security(("client" = ["updates:read"]), ("client" = ["updates:decide"])))]
pub async fn decide_proposals(
    State(service): State<Service>,
    caller: Caller,
    ApiJson(ManyDecisions { items }): ApiJson<ManyDecisions>,
) -> Result<Response, Problem> {
    if items.is_empty() {
        return Err(Refusal::malformed("body.items", "must have 1 to 500 decisions").into());
    }
    if items.len() > MOST_DECISIONS {
        return Err(Refusal::TooMuch(format!("at most {MOST_DECISIONS} decisions at once")).into());
    }
    let verdicts = items.into_iter().map(|one| (one.proposal.clone(), one.parse())).collect();
    let mut answers = Vec::new();
    for (proposal, outcome) in service.decide_proposals(&caller, verdicts).await {
        let answer = match outcome {
            Ok(Outcome::Done(decided)) => OneAnswer { proposal, done: Some(decided), problem: None },
            Ok(Outcome::Conflict { record_version, changes }) => {
                let conflict = Box::new(ConflictDocument::new(record_version, changes));
                OneAnswer { proposal, done: None, problem: Some(ProblemOrConflict::Conflict(conflict)) }
            }
            Err(error) => {
                let problem = Some(ProblemOrConflict::Problem(Problem::from(error).document()));
                OneAnswer { proposal, done: None, problem }
            }
        };
        answers.push(answer);
    }
    let done = answers.iter().filter(|answer| answer.done.is_some()).count();
    let problems = answers.len() - done;
    Ok(fresh(ManyAnswers { items: answers, done, problems }))
}

/// Of which unit.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct OfUnit {
    /// That unit and below; all that you see when absent.
    #[serde(default)]
    unit: Option<String>,
}

/// `GET /api/v1/proposals/workload`: how much waits, where, and how fast it is decided.
#[utoipa::path(get, path = "/api/v1/proposals/workload", tag = "Review", params(OfUnit),
    responses((status = 200, body = Workload)),
    security(("client" = ["updates:read"]), ("client" = ["updates:decide"])))]
pub async fn review_workload(
    State(service): State<Service>,
    caller: Caller,
    InQuery(query): InQuery<OfUnit>,
) -> Result<Response, Problem> {
    Ok(fresh(service.workload(&caller, unit(query.unit)?).await?))
}

/// A reason that something can be refused for.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReasonItem {
    /// The code.
    #[schema(example = "evidence_missing")]
    reason: &'static str,
    /// The Vietnamese sentence.
    vi: &'static str,
    /// The English sentence.
    en: &'static str,
    /// Whether a note is needed.
    needs_note: bool,
    /// `proposal`, `appeal`, `confirmation`: what it can refuse.
    #[serde(rename = "for")]
    occasions: Vec<&'static str>,
}

/// Every reason.
#[derive(Debug, Serialize, ToSchema)]
pub struct Reasons {
    /// In the order in which they are offered.
    items: Vec<ReasonItem>,
}

/// `GET /api/v1/refusal-reasons`: why something can be refused.
#[utoipa::path(get, path = "/api/v1/refusal-reasons", tag = "Review", responses((status = 200, body = Reasons)),
    security(("client" = ["updates:read"]), ("client" = ["updates:decide"]), ("client" = ["records:confirm"])))]
pub async fn refusal_reasons(caller: Caller) -> Result<Json<Reasons>, Problem> {
    ["updates:decide", "records:confirm", "updates:read"]
        .into_iter()
        .map(|scope| caller.needs(scope))
        .reduce(Result::or)
        .unwrap_or(Ok(()))?;
    let items = RefusalReason::ALL.into_iter().map(|reason| ReasonItem {
        reason: reason.code,
        vi: reason.vi,
        en: reason.en,
        needs_note: reason.needs_note,
        occasions: reason.occasions.iter().map(|occasion| occasion.word()).collect(),
    });
    Ok(Json(Reasons { items: items.collect() }))
}

/// A unit's code in a query.
pub(super) fn unit(code: Option<String>) -> Result<Option<String>, Refusal> {
    let Some(code) = code else { return Ok(None) };
    let unit = UnitCode::parse(&code);
    unit.map(|unit| Some(unit.to_string()))
        .ok_or_else(|| Refusal::malformed("unit", "must be a unit code such as H26.05"))
}

/// Instant and name of the last item of a page, as we gave it.
pub(super) fn place(after: &str) -> Result<(i64, String), Refusal> {
    let parts = after.split_once('.').and_then(|(at, name)| Some((at.parse().ok()?, name.to_owned())));
    parts.filter(|(_, name)| name.len() <= 64).ok_or_else(|| Refusal::malformed("after", "must be next of a page"))
}

fn states(words: Option<&str>) -> Result<Vec<ProposalState>, Refusal> {
    let Some(words) = words else {
        return Ok(ProposalState::ALL.into_iter().filter(|state| state.is_waiting()).collect());
    };
    let known = words.split(',').map(ProposalState::parse).collect::<Option<Vec<_>>>();
    known.ok_or_else(|| {
        let words = ProposalState::ALL.map(ProposalState::word).join(", ");
        Refusal::malformed("state", format!("must be states separated by commas: {words}"))
    })
}
