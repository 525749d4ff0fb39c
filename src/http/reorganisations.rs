//! `/api/v1/reorganisations`: mergers, splits and renamings of units, looked at before they act.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use time::Date;
use utoipa::{IntoParams, ToSchema};

use super::answer::{Problem, ProblemDocument};
use super::extract::{ApiJson, InPath, InQuery};
use crate::error::Refusal;
use crate::flow::reorganise::{Affected, PlanRequest, Reorganisation, ReorganisationStep, Totals};
use crate::flow::{Caller, Service};
use crate::model::calendar::parse_day;
use crate::model::card::State as CardState;
use crate::model::id::Handle;
use crate::model::reorganisation::{UnitMove, provinces_of_2025};

/// A plan.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewReorganisation {
    /// What people call it.
    #[schema(example = "Sáp nhập Sở A và Sở B")]
    name: String,
    /// The decision behind it.
    #[schema(example = "Nghị quyết 15/NQ-HĐND")]
    decision: String,
    /// The day in Vietnam from which it holds.
    #[schema(example = "2027-01-01")]
    effective_on: String,
    /// Records of one wave: 1 to 2,000; 200 when absent.
    #[serde(default)]
    wave_size: Option<i64>,
    /// What moves where: 1 to 500.
    moves: Vec<UnitMove>,
}

/// A reorganisation.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReorganisationDocument {
    /// Its random name.
    id: String,
    /// What people call it.
    name: String,
    /// The decision behind it.
    decision: String,
    /// The day in Vietnam from which it holds.
    effective_on: String,
    /// `draft`, `scheduled`, `running`, `paused` or `done`.
    state: &'static str,
    /// Whether it can still be taken back.
    can_be_undone: bool,
    /// Records of one wave.
    wave_size: i64,
    /// What moves where.
    moves: Vec<MoveDocument>,
    /// Who planned it.
    created_by: String,
    /// When (Unix seconds).
    created_at: i64,
    /// When the first wave began (Unix seconds).
    started_at: Option<i64>,
    /// When the last wave was over (Unix seconds).
    finished_at: Option<i64>,
    /// Waves so far.
    waves: i64,
    /// Records moved so far.
    moved: i64,
    /// Cards replaced so far.
    cards: i64,
    /// Records that a person has to look at.
    failed: i64,
}

/// What moves where.
#[derive(Debug, Serialize, ToSchema)]
pub struct MoveDocument {
    /// The unit that people leave.
    #[schema(example = "H26.05")]
    from: String,
    /// The unit that takes them in.
    #[schema(example = "H26.06")]
    to: String,
    /// What that unit is called from then on.
    to_name: Option<String>,
    /// How many people move; null when everybody does.
    people: Option<usize>,
    /// Their personnel numbers, to whoever may read records of that unit; null when everybody moves.
    numbers: Option<Vec<String>>,
}

impl MoveDocument {
    fn of(caller: &Caller, one: &UnitMove) -> Self {
        Self {
            from: one.from.clone(),
            to: one.to.clone(),
            to_name: one.to_name.clone(),
            people: one.numbers.as_ref().map(Vec::len),
            numbers: one.numbers.clone().filter(|_| Service::sees_who_moves(caller, one)),
        }
    }
}

impl ReorganisationDocument {
    fn of(service: &Service, caller: &Caller, plan: Reorganisation) -> Self {
        Self {
            can_be_undone: plan.state.word() == "scheduled" && service.clock.now() < plan.effective_at,
            id: plan.id,
            name: plan.name,
            decision: plan.decision,
            effective_on: plan.effective_on.to_string(),
            state: plan.state.word(),
            wave_size: plan.wave_size,
            moves: plan.moves.all().iter().map(|one| MoveDocument::of(caller, one)).collect(),
            created_by: plan.created_by,
            created_at: plan.created_at,
            started_at: plan.started_at,
            finished_at: plan.finished_at,
            waves: plan.waves,
            moved: plan.moved,
            cards: plan.cards,
            failed: plan.failed,
        }
    }
}

/// How many are affected.
#[derive(Debug, Serialize, ToSchema)]
pub struct TotalsDocument {
    /// People's records.
    records: u64,
    /// Cards in force that will be replaced.
    cards: u64,
    /// Cards that are locked: replaced when their review is over.
    locked_cards: u64,
    /// Personnel numbers that change, for the new unit has given them to others.
    renumbered: u64,
}

impl From<Totals> for TotalsDocument {
    fn from(totals: Totals) -> Self {
        let Totals { records, cards, locked, renumbered } = totals;
        Self { records, cards, locked_cards: locked, renumbered }
    }
}

/// A page of affected people.
#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewDocument {
    /// In the order of the records' names.
    items: Vec<AffectedDocument>,
    /// For `after`, if there may be more.
    next: Option<String>,
}

/// One person, before and after.
#[derive(Debug, Serialize, ToSchema)]
pub struct AffectedDocument {
    /// The record's random name.
    record: String,
    /// Birth name.
    full_name: String,
    /// Before.
    before: PlaceDocument,
    /// After.
    after: PlaceDocument,
    /// The cards in force.
    cards: Vec<AffectedCard>,
}

/// Where a person works.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlaceDocument {
    /// The managing unit.
    managing_unit: String,
    /// The employing unit.
    using_unit: String,
    /// What the employing unit is called, where the record says it.
    using_unit_name: Option<String>,
    /// The personnel number.
    number: String,
}

/// A card in force.
#[derive(Debug, Serialize, ToSchema)]
pub struct AffectedCard {
    /// Its random name.
    card: String,
    /// Whether it is locked, and is replaced when its review is over.
    is_locked: bool,
}

impl From<Affected> for AffectedDocument {
    fn from(affected: Affected) -> Self {
        let place = |record: &crate::model::record::Record| {
            let text = |field: &str| record.text(field).unwrap_or_default().to_owned();
            PlaceDocument {
                managing_unit: text("managing_unit_code"),
                using_unit: text("using_unit_code"),
                using_unit_name: record.text("using_unit_name").map(str::to_owned),
                number: text("agency_personnel_number"),
            }
        };
        let card = |card: &crate::model::card::Card| AffectedCard {
            card: card.handle.to_string(),
            is_locked: matches!(card.state, CardState::Locked { .. }),
        };
        Self {
            record: affected.stored.handle.to_string(),
            full_name: affected.stored.record.full_name().to_owned(),
            before: place(&affected.stored.record),
            after: place(&affected.after),
            cards: affected.cards.iter().map(card).collect(),
        }
    }
}

/// A record that could not be moved.
#[derive(Debug, Serialize, ToSchema)]
pub struct FailureDocument {
    /// The record's random name.
    record: String,
    /// `moved_on`, `refused`, `too_long` or `fault`.
    reason: String,
}

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PreviewQuery {
    /// `next` of the page before.
    after: Option<String>,
    /// 1 to 200.
    limit: Option<i64>,
}

/// `POST /api/v1/reorganisations`: keeps a plan. Nothing happens until it is started.
#[utoipa::path(post, path = "/api/v1/reorganisations", tag = "Reorganisations", request_body = NewReorganisation,
    responses((status = 201, body = ReorganisationDocument)), security(("client" = ["reorganisations:write"])))]
pub async fn plan_reorganisation(
    State(service): State<Service>,
    caller: Caller,
    ApiJson(new): ApiJson<NewReorganisation>,
) -> Result<(StatusCode, Json<ReorganisationDocument>), Problem> {
    let NewReorganisation { name, decision, effective_on, wave_size, moves } = new;
    let effective_on = day(&effective_on)?;
    let request = PlanRequest { name, decision, effective_on, wave_size, moves };
    let plan = service.plan_reorganisation(&caller, request).await?;
    Ok((StatusCode::CREATED, Json(ReorganisationDocument::of(&service, &caller, plan))))
}

/// `GET /api/v1/reorganisations`: those that touch units of the caller, the newest day first.
#[utoipa::path(get, path = "/api/v1/reorganisations", tag = "Reorganisations",
    responses((status = 200, body = Vec<ReorganisationDocument>)), security(("client" = ["reorganisations:read"])))]
pub async fn list_reorganisations(
    State(service): State<Service>,
    caller: Caller,
) -> Result<Json<Vec<ReorganisationDocument>>, Problem> {
    let plans = service.reorganisations(&caller).await?;
    Ok(Json(plans.into_iter().map(|plan| ReorganisationDocument::of(&service, &caller, plan)).collect()))
}

/// `GET /api/v1/reorganisations/sample`: the provinces' merger of 1 July 2025 as a plan, made from the shipped agencies: a
/// form to start from.
#[utoipa::path(get, path = "/api/v1/reorganisations/sample", tag = "Reorganisations",
    responses((status = 200, body = NewReorganisation)), security(("client" = ["reorganisations:read"])))]
pub async fn sample_reorganisation(caller: Caller) -> Result<Json<NewReorganisation>, Problem> {
    caller.needs("reorganisations:read")?;
    let (on, moves) = provinces_of_2025();
    Ok(Json(NewReorganisation {
        name: "Sáp nhập tỉnh, thành phố ngày 01/7/2025".into(),
        decision: "Quyết định 19/2025/QĐ-TTg".into(),
        effective_on: on.to_string(),
        wave_size: None,
        moves,
    }))
}

/// `GET /api/v1/reorganisations/{id}`.
#[utoipa::path(get, path = "/api/v1/reorganisations/{id}", tag = "Reorganisations",
    params(("id" = String, Path, description = "Its random name")),
    responses((status = 200, body = ReorganisationDocument), (status = 404, body = ProblemDocument)),
    security(("client" = ["reorganisations:read"])))]
pub async fn read_reorganisation(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
) -> Result<Json<ReorganisationDocument>, Problem> {
    let plan = service.reorganisation(&caller, &name(&id)?).await?;
    Ok(Json(ReorganisationDocument::of(&service, &caller, plan)))
}

/// `GET /api/v1/reorganisations/{id}/totals`: how many people and cards are affected, counted now.
#[utoipa::path(get, path = "/api/v1/reorganisations/{id}/totals", tag = "Reorganisations",
    params(("id" = String, Path, description = "Its random name")),
    responses((status = 200, body = TotalsDocument), (status = 404, body = ProblemDocument)),
    security(("client" = ["reorganisations:read"])))]
pub async fn count_reorganisation(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
) -> Result<Json<TotalsDocument>, Problem> {
    Ok(Json(service.count_reorganisation(&caller, &name(&id)?).await?.into()))
}

/// `GET /api/v1/reorganisations/{id}/preview`: every affected person with their cards, before and after. That they were
/// read is written down.
#[utoipa::path(get, path = "/api/v1/reorganisations/{id}/preview", tag = "Reorganisations",
    params(("id" = String, Path, description = "Its random name"), PreviewQuery),
    responses((status = 200, body = PreviewDocument), (status = 404, body = ProblemDocument)),
    security(("client" = ["reorganisations:read", "records:read"])))]
pub async fn preview_reorganisation(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
    InQuery(query): InQuery<PreviewQuery>,
) -> Result<Json<PreviewDocument>, Problem> {
    let after = match query.after {
        Some(after) if Handle::parse(&after).is_none() => {
            return Err(Refusal::malformed("query.after", "must be the `next` of a page").into());
        }
        after => after.unwrap_or_default(),
    };
    let page = service.preview_reorganisation(&caller, &name(&id)?, &after, query.limit.unwrap_or(50)).await?;
    let items = page.affected.into_iter().map(AffectedDocument::from).collect();
    Ok(Json(PreviewDocument { items, next: page.next }))
}

/// `GET /api/v1/reorganisations/{id}/failures`: records that could not be moved.
#[utoipa::path(get, path = "/api/v1/reorganisations/{id}/failures", tag = "Reorganisations",
    params(("id" = String, Path, description = "Its random name")),
    responses((status = 200, body = Vec<FailureDocument>), (status = 404, body = ProblemDocument)),
    security(("client" = ["reorganisations:read"])))]
pub async fn reorganisation_failures(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
) -> Result<Json<Vec<FailureDocument>>, Problem> {
    let failures = service.reorganisation_failures(&caller, &name(&id)?).await?;
    let document = |(record, reason): (Handle, String)| FailureDocument { record: record.to_string(), reason };
    Ok(Json(failures.into_iter().map(document).collect()))
}

/// `DELETE /api/v1/reorganisations/{id}`: forgets a plan that is not scheduled.
#[utoipa::path(delete, path = "/api/v1/reorganisations/{id}", tag = "Reorganisations",
    params(("id" = String, Path, description = "Its random name")),
    responses((status = 204), (status = 404, body = ProblemDocument), (status = 409, body = ProblemDocument)),
    security(("client" = ["reorganisations:write"])))]
pub async fn drop_reorganisation(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
) -> Result<StatusCode, Problem> {
    service.drop_reorganisation(&caller, &name(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Defines the handler of a step.
macro_rules! step {
    ($handler:ident, $verb:literal, $step:expr, $what:literal) => {
        #[doc = concat!("`POST /api/v1/reorganisations/{id}/", $verb, "`: ", $what)]
        #[utoipa::path(post, path = concat!("/api/v1/reorganisations/{id}/", $verb), tag = "Reorganisations",
            params(("id" = String, Path, description = "Its random name")),
            responses((status = 200, body = ReorganisationDocument), (status = 404, body = ProblemDocument), (status = 409, body = ProblemDocument)),
            security(("client" = ["reorganisations:write"])))]
        pub async fn $handler(
            State(service): State<Service>,
            caller: Caller,
            InPath(id): InPath<String>,
        ) -> Result<Json<ReorganisationDocument>, Problem> {
            let plan = service.step_reorganisation(&caller, &name(&id)?, $step).await?;
            Ok(Json(ReorganisationDocument::of(&service, &caller, plan)))
        }
    };
}

step!(start_reorganisation, "start", ReorganisationStep::Start, "it acts on its day.");
step!(pause_reorganisation, "pause", ReorganisationStep::Pause, "no further wave begins.");
step!(
    resume_reorganisation,
    "resume",
    ReorganisationStep::Resume,
    "waves go on; of one that is done, for the records that could not be moved."
);
step!(undo_reorganisation, "undo", ReorganisationStep::Undo, "back to a plan, before its day.");

fn name(id: &str) -> Result<String, Refusal> {
    Handle::parse(id).map(|id| id.to_string()).ok_or(Refusal::NotFound("reorganisation"))
}

fn day(text: &str) -> Result<Date, Refusal> {
    parse_day(text).ok_or_else(|| Refusal::malformed("body.effective_on", "must be a day such as 2027-01-01"))
}
