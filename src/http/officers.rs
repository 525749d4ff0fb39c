//! `/api/v1/officers`: who works in the units' offices.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{Problem, ProblemDocument};
use super::api::person;
use super::extract::{ApiJson, InPath, InQuery, handle, page_size};
use super::office::{UnitAnswer, unit};
use crate::error::Refusal;
use crate::flow::{Caller, Edit, NewOfficer, OfficerEdit, OfficerQuery, Service};
use crate::model::id::Handle;
use crate::model::officer::{Officer, OfficerState};
use crate::model::rights::Role;

/// Officers on a page, unless fewer or more are asked for, and at most.
pub(super) const PAGE: usize = 50;
pub(super) const MAX_PAGE: usize = 200;

/// An officer.
#[derive(Debug, Serialize, ToSchema)]
pub struct OfficerAnswer {
    /// Their random name, as audit lines have it.
    #[schema(example = "0T4V7Q2M8K3D5N9R")]
    id: String,
    /// The account at the sign-in.
    #[schema(example = "hoa.nt")]
    subject: String,
    /// The person's name.
    name: String,
    /// The unit; null for the whole nation.
    unit: Option<UnitAnswer>,
    /// What they may do.
    role: Role,
    /// Whether they can sign in.
    state: OfficerState,
    /// When the account ends by itself (Unix seconds).
    valid_until: Option<i64>,
    /// Since when they are blocked.
    blocked_at: Option<i64>,
    /// When they signed in last.
    signed_in_at: Option<i64>,
    /// When the account was made.
    created_at: i64,
    /// Grows with every change; a change names it.
    revision: i64,
}

impl OfficerAnswer {
    async fn new(service: &Service, officer: Officer) -> Result<Self, Problem> {
        Ok(Self {
            unit: unit(service, officer.unit.as_deref()).await?,
            state: officer.state_at(service.clock.now()),
            id: officer.id.to_string(),
            subject: officer.subject,
            name: officer.name,
            role: officer.role,
            valid_until: officer.valid_until,
            blocked_at: officer.blocked_at,
            signed_in_at: officer.signed_in_at,
            created_at: officer.created_at,
            revision: officer.revision,
        })
    }
}

/// Which officers are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct OfficersQuery {
    /// Of this unit and all below.
    #[serde(default)]
    unit: Option<String>,
    /// Of this role.
    #[serde(default)]
    role: Option<Role>,
    /// In this state.
    #[serde(default)]
    state: Option<OfficerState>,
    /// `next` of the page before.
    #[serde(default)]
    after: Option<String>,
    /// 1 to 200; 50 when absent.
    #[serde(default)]
    limit: Option<usize>,
}

/// A page of officers.
#[derive(Debug, Serialize, ToSchema)]
pub struct OfficersPage {
    /// By name.
    items: Vec<OfficerAnswer>,
    /// For `after` of the next page; null on the last.
    next: Option<String>,
}

/// `GET /api/v1/officers`: those that the caller may see.
#[utoipa::path(get, path = "/api/v1/officers", tag = "Office", params(OfficersQuery),
    responses((status = 200, body = OfficersPage)), security(("client" = ["officers:read"])))]
pub async fn list_officers(
    State(service): State<Service>,
    caller: Caller,
    InQuery(query): InQuery<OfficersQuery>,
) -> Result<Json<OfficersPage>, Problem> {
    let limit = page_size(query.limit, PAGE, MAX_PAGE)?;
    let after = query.after.as_deref().map(place).transpose()?;
    let query = OfficerQuery { unit: query.unit, role: query.role, state: query.state, after };
    let (officers, has_more) = service.find_officers(&caller, query, limit).await?;
    let next = officers.last().filter(|_| has_more).map(|last| last.id.to_string());
    let mut items = Vec::with_capacity(officers.len());
    for officer in officers {
        items.push(OfficerAnswer::new(&service, officer).await?);
    }
    Ok(Json(OfficersPage { items, next }))
}

/// Whose names are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct NamesQuery {
    /// Around this unit; around your own units when absent.
    #[serde(default)]
    unit: Option<String>,
    /// In this state; whoever ever had an account when absent.
    #[serde(default)]
    state: Option<OfficerState>,
    /// `next` of the page before.
    #[serde(default)]
    after: Option<String>,
    /// 1 to 200; 50 when absent.
    #[serde(default)]
    limit: Option<usize>,
}

/// A colleague.
#[derive(Debug, Serialize, ToSchema)]
pub struct OfficerName {
    /// Their random name, as audit lines have it.
    #[schema(example = "0T4V7Q2M8K3D5N9R")]
    id: String,
    /// The person's name.
    name: String,
    /// What they may do.
    role: Role,
    /// The unit; null for the whole nation.
    #[schema(example = "H26")]
    unit: Option<String>,
}

/// A page of names.
#[derive(Debug, Serialize, ToSchema)]
pub struct NamesPage {
    /// By name.
    items: Vec<OfficerName>,
    /// For `after` of the next page; null on the last.
    next: Option<String>,
}

/// `GET /api/v1/officers/names`: who works in your units, below, above, and for the nation: to whom codes in other answers
/// belong, and to whom a right can be lent.
#[utoipa::path(get, path = "/api/v1/officers/names", tag = "Office", params(NamesQuery),
    responses((status = 200, body = NamesPage)), security(("client" = ["updates:read"]), ("client" = ["records:read"])))]
pub async fn officer_names(
    State(service): State<Service>,
    caller: Caller,
    InQuery(query): InQuery<NamesQuery>,
) -> Result<Json<NamesPage>, Problem> {
    let limit = page_size(query.limit, PAGE, MAX_PAGE)?;
    let after = query.after.as_deref().map(place).transpose()?;
    let query = OfficerQuery { unit: query.unit, role: None, state: query.state, after };
    let (officers, has_more) = service.colleagues(&caller, query, limit).await?;
    let next = officers.last().filter(|_| has_more).map(|last| last.id.to_string());
    let name = |officer: Officer| OfficerName {
        id: officer.id.to_string(),
        name: officer.name,
        role: officer.role,
        unit: officer.unit,
    };
    Ok(Json(NamesPage { items: officers.into_iter().map(name).collect(), next }))
}

/// `GET /api/v1/officers/{id}`: one officer.
#[utoipa::path(get, path = "/api/v1/officers/{id}", tag = "Office", params(("id" = String, Path, description = "The officer's random name")),
    responses((status = 200, body = OfficerAnswer), (status = 404, body = ProblemDocument)), security(("client" = ["officers:read"])))]
pub async fn read_officer(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
) -> Result<Json<OfficerAnswer>, Problem> {
    let officer = service.find_officer(&caller, &handle(&id, "officer")?).await?;
    Ok(Json(OfficerAnswer::new(&service, officer).await?))
}

/// An officer to enter.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OfficerToAdd {
    /// The account at the sign-in.
    #[schema(example = "hoa.nt", max_length = 255)]
    subject: String,
    /// The person's name.
    #[schema(example = "Nguyễn Thị Hoa", max_length = 200)]
    name: String,
    /// The unit; null for the whole nation, where the role allows it.
    #[serde(default)]
    #[schema(example = "H26")]
    unit: Option<String>,
    /// What they may do.
    role: Role,
    /// When the account ends by itself (Unix seconds).
    #[serde(default)]
    valid_until: Option<i64>,
    /// The 12-digit number of the person who must own the account; else whoever signs in with it first owns it.
    #[serde(default)]
    #[schema(pattern = "^[0-9]{12}$")]
    personal_id_number: Option<String>,
}

/// `POST /api/v1/officers`: enters an officer.
#[utoipa::path(post, path = "/api/v1/officers", tag = "Office", request_body = OfficerToAdd,
    responses((status = 201, body = OfficerAnswer), (status = 409, body = ProblemDocument)), security(("client" = ["officers:write"])))]
pub async fn add_officer(
    State(service): State<Service>,
    caller: Caller,
    ApiJson(new): ApiJson<OfficerToAdd>,
) -> Result<(StatusCode, Json<OfficerAnswer>), Problem> {
    let new = NewOfficer {
        person: new.personal_id_number.as_deref().map(person).transpose()?,
        subject: new.subject,
        name: new.name,
        unit: new.unit,
        role: new.role,
        valid_until: new.valid_until,
    };
    let officer = service.add_officer(&caller, new).await?;
    Ok((StatusCode::CREATED, Json(OfficerAnswer::new(&service, officer).await?)))
}

/// What is to become of an officer; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OfficerChanges {
    /// The officer as you saw it.
    #[schema(example = 1)]
    revision: i64,
    /// The account at the sign-in, where its provider calls it otherwise now.
    #[serde(default)]
    #[schema(example = "hoa.nt", max_length = 255)]
    subject: Option<String>,
    /// The name.
    #[serde(default)]
    name: Option<String>,
    /// The unit; null for the whole nation.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    unit: Edit<String>,
    /// The role.
    #[serde(default)]
    role: Option<Role>,
    /// When the account ends by itself; null for never.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    valid_until: Edit<i64>,
}

/// `PATCH /api/v1/officers/{id}`: changes an officer. Sessions end when account, unit or role change.
#[utoipa::path(patch, path = "/api/v1/officers/{id}", tag = "Office", request_body = OfficerChanges,
    params(("id" = String, Path, description = "The officer's random name")),
    responses((status = 200, body = OfficerAnswer), (status = 404, body = ProblemDocument), (status = 409, body = ProblemDocument)),
    security(("client" = ["officers:write"])))]
pub async fn change_officer(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
    ApiJson(changes): ApiJson<OfficerChanges>,
) -> Result<Json<OfficerAnswer>, Problem> {
    let edit = OfficerEdit {
        revision: changes.revision,
        subject: changes.subject,
        name: changes.name,
        unit: changes.unit,
        role: changes.role,
        valid_until: changes.valid_until,
    };
    let officer = service.edit_officer(&caller, &handle(&id, "officer")?, edit).await?;
    Ok(Json(OfficerAnswer::new(&service, officer).await?))
}

/// `POST /api/v1/officers/{id}/block`: ends the sessions of an officer at once, and lets none begin.
#[utoipa::path(post, path = "/api/v1/officers/{id}/block", tag = "Office", params(("id" = String, Path, description = "The officer's random name")),
    responses((status = 200, body = OfficerAnswer), (status = 404, body = ProblemDocument)), security(("client" = ["officers:write"])))]
pub async fn block_officer(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
) -> Result<Json<OfficerAnswer>, Problem> {
    let officer = service.block_officer(&caller, &handle(&id, "officer")?, true).await?;
    Ok(Json(OfficerAnswer::new(&service, officer).await?))
}

/// `POST /api/v1/officers/{id}/unblock`: lets an officer sign in again.
#[utoipa::path(post, path = "/api/v1/officers/{id}/unblock", tag = "Office", params(("id" = String, Path, description = "The officer's random name")),
    responses((status = 200, body = OfficerAnswer), (status = 404, body = ProblemDocument)), security(("client" = ["officers:write"])))]
pub async fn unblock_officer(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
) -> Result<Json<OfficerAnswer>, Problem> {
    let officer = service.block_officer(&caller, &handle(&id, "officer")?, false).await?;
    Ok(Json(OfficerAnswer::new(&service, officer).await?))
}

fn place(after: &str) -> Result<Handle, Refusal> {
    Handle::parse(after).ok_or_else(|| Refusal::malformed("after", "must be the next of a page before"))
}
