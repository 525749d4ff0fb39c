//! `/api/v1/audit`: what was done and read, by whom.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::Problem;
use super::extract::InQuery;
use super::extract::page_size;
use super::review::{MOST_PAGE, USUAL_PAGE};
use crate::error::Refusal;
use crate::flow::audit::{AuditLine, AuditRequest};
use crate::flow::{Caller, Service};

/// The longest name that lines are filtered by, in characters.
const MAX_LENGTH: usize = 64;

/// Which lines are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// Of this unit and all below.
    #[serde(default)]
    unit: Option<String>,
    /// About this record (with its proposals), card, officer, proposal, upload, delegation or reorganisation (its random
    /// name), or unit (its code).
    #[serde(default)]
    #[param(example = "7Q2M8K3D5N9R1T4V")]
    subject: Option<String>,
    /// Of this kind.
    #[serde(default)]
    #[param(example = "record.read")]
    action: Option<String>,
    /// `next` of the page before.
    #[serde(default)]
    after: Option<i64>,
    /// 1 to 200; 50 when absent.
    #[serde(default)]
    limit: Option<i64>,
}

/// Something that was done, or read.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditEntry {
    /// Unix seconds.
    at: i64,
    /// The officer, program or part of the system.
    actor: String,
    /// For example `record.read`.
    #[schema(example = "record.read")]
    action: String,
    /// The record, card, officer or unit.
    subject: String,
    /// Codes and counts.
    detail: String,
}

impl From<AuditLine> for AuditEntry {
    fn from(line: AuditLine) -> Self {
        let AuditLine { at, actor, action, subject, detail, .. } = line;
        Self { at, actor, action, subject, detail }
    }
}

/// A page of what was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditPage {
    /// Newest first.
    items: Vec<AuditEntry>,
    /// For `after` of the next page; null on the last.
    next: Option<i64>,
}

/// `GET /api/v1/audit`: what was done and read in your units and below, by whom. Codes and counts, no personal data.
#[utoipa::path(get, path = "/api/v1/audit", tag = "Office", params(AuditQuery),
    responses((status = 200, body = AuditPage)), security(("client" = ["audit:read"])))]
pub async fn list_audit(
    State(service): State<Service>,
    caller: Caller,
    InQuery(query): InQuery<AuditQuery>,
) -> Result<Response, Problem> {
    let AuditQuery { unit, subject, action, after, limit } = query;
    for (place, text) in [("subject", &subject), ("action", &action)] {
        if text.as_ref().is_some_and(|text| text.chars().count() > MAX_LENGTH || text.chars().any(char::is_control)) {
            return Err(Refusal::malformed(place, format!("must have at most {MAX_LENGTH} readable characters")).into());
        }
    }
    let request =
        AuditRequest { unit, subject, action, before: after, limit: page_size(limit, USUAL_PAGE, MOST_PAGE)? };
    let (lines, has_more) = service.audit(&caller, request).await?;
    let next = lines.last().filter(|_| has_more).map(|last| last.seq);
    let items = lines.into_iter().map(AuditEntry::from).collect();
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(AuditPage { items, next })).into_response())
}
