//! `/api/v1/delegations`: officers lend each other the right to decide.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{Problem, ProblemDocument, fresh};
use super::extract::{ApiJson, InPath, InQuery, page_size};
use super::review::{MOST_PAGE, USUAL_PAGE, place};
use crate::flow::{Caller, Delegation, NewDelegation, Service};

/// A right to lend.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ToLend {
    /// The officer who gets it: of the unit, or below it.
    #[schema(example = "tran.thi.b")]
    to: String,
    /// The unit in which it is lent, and all below.
    #[schema(example = "H26.05")]
    unit: String,
    /// For how many days.
    #[schema(minimum = 1, maximum = 90, example = 14)]
    days: i64,
    /// Whether it reaches proposals that take two reviewers.
    #[serde(default)]
    includes_sensitive: bool,
}

/// A right that is lent, or was.
#[derive(Debug, Serialize, ToSchema)]
pub struct DelegationItem {
    /// Its name.
    delegation: String,
    /// Whose right it is.
    from: String,
    /// Who may use it.
    to: String,
    /// In this unit and below.
    unit: String,
    /// Whether it reaches proposals that take two reviewers.
    includes_sensitive: bool,
    /// Unix seconds.
    created_at: i64,
    /// Unix seconds.
    expires_at: i64,
    /// When it was taken back (Unix seconds).
    revoked_at: Option<i64>,
    /// `in_force`, `expired` or `revoked`.
    #[schema(example = "in_force")]
    state: &'static str,
}

impl DelegationItem {
    fn new(delegation: Delegation, now: i64) -> Self {
        Self {
            state: delegation.state_at(now),
            delegation: delegation.id,
            from: delegation.lender,
            to: delegation.borrower,
            unit: delegation.unit,
            includes_sensitive: delegation.includes_sensitive,
            created_at: delegation.created_at,
            expires_at: delegation.expires_at,
            revoked_at: delegation.revoked_at,
        }
    }
}

/// `POST /api/v1/delegations`: lends a right of your own.
#[utoipa::path(post, path = "/api/v1/delegations", tag = "Review", request_body = ToLend,
    responses((status = 201, body = DelegationItem), (status = 404, body = ProblemDocument)),
    security(("client" = ["updates:decide"])))]
pub async fn make_delegation(
    State(service): State<Service>,
    caller: Caller,
    ApiJson(ToLend { to, unit, days, includes_sensitive }): ApiJson<ToLend>,
) -> Result<(StatusCode, Json<DelegationItem>), Problem> {
    let lent = service.lend(&caller, NewDelegation { borrower: to, unit, days, includes_sensitive }).await?;
    Ok((StatusCode::CREATED, Json(DelegationItem::new(lent, service.clock.now()))))
}

/// Where a page begins.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// `next` of the page before.
    #[serde(default)]
    after: Option<String>,
    /// 1 to 200; 50 when absent.
    #[serde(default)]
    limit: Option<i64>,
}

/// A page of delegations.
#[derive(Debug, Serialize, ToSchema)]
pub struct DelegationPage {
    /// Newest first.
    items: Vec<DelegationItem>,
    /// What to give as `after` for more.
    next: Option<String>,
}

/// `GET /api/v1/delegations`: what you lent and what others lent you.
#[utoipa::path(get, path = "/api/v1/delegations", tag = "Review", params(PageQuery), responses((status = 200, body = DelegationPage)),
    security(("client" = ["updates:read"]), ("client" = ["updates:decide"])))]
pub async fn delegations(
    State(service): State<Service>,
    caller: Caller,
    InQuery(query): InQuery<PageQuery>,
) -> Result<Response, Problem> {
    let limit = page_size(query.limit, USUAL_PAGE, MOST_PAGE)?;
    let after = query.after.as_deref().map(place).transpose()?;
    let found = service.delegations(&caller, after, limit).await?;
    let is_full = i64::try_from(found.len()) == Ok(limit);
    let next = found.last().filter(|_| is_full).map(|last| format!("{}.{}", last.created_at, last.id));
    let now = service.clock.now();
    Ok(fresh(DelegationPage { items: found.into_iter().map(|one| DelegationItem::new(one, now)).collect(), next }))
}

/// `DELETE /api/v1/delegations/{id}`: takes back what you lent.
#[utoipa::path(delete, path = "/api/v1/delegations/{id}", tag = "Review", params(("id" = String, Path, description = "The delegation's name")),
    responses((status = 204), (status = 404, body = ProblemDocument)), security(("client" = ["updates:decide"])))]
pub async fn end_delegation(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
) -> Result<StatusCode, Problem> {
    service.take_back(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
