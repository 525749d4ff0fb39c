//! `/api/v1/confirmations`: records that others sent and that wait for the unit's word.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{Problem, ProblemDocument, fresh};
use super::extract::{ApiJson, InPath, InQuery, page_size};
use super::review::{MOST_PAGE, USUAL_PAGE, unit};
use crate::error::Refusal;
use crate::flow::{Caller, Confirmation, ConfirmationRequest, FieldChange, Service};
use crate::model::id::Handle;

/// Which records are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ConfirmationQuery {
    /// Of this unit and below; all that you see when absent.
    #[serde(default)]
    unit: Option<String>,
    /// `waiting` (when absent) or `returned`.
    #[serde(default)]
    #[param(inline)]
    state: ConfirmationState,
    /// `next` of the page before.
    #[serde(default)]
    after: Option<String>,
    /// 1 to 200; 50 when absent.
    #[serde(default)]
    limit: Option<i64>,
}

/// What the unit said so far.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConfirmationState {
    /// Nothing.
    #[default]
    Waiting,
    /// It sent the version back.
    Returned,
}

/// Who sent a version.
#[derive(Debug, Serialize, ToSchema)]
pub struct SentBy {
    /// `import`, `sync`, `upload`, `update`, `reorganisation` or `population`.
    way: &'static str,
    /// A client, an account, an officer.
    actor: String,
    /// What brought it: an upload, a transaction, a proposal.
    reference: String,
}

/// Why a version was sent back.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReturnedItem {
    /// A code of `GET /api/v1/refusal-reasons`.
    reason: String,
    /// The same in the officer's words.
    note: String,
    /// Who sent it back.
    by: String,
    /// Unix seconds.
    at: i64,
}

/// A record that waits for the unit's word.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConfirmationItem {
    /// Its name.
    #[schema(example = "7Q2M8K3D5N9R1T4V")]
    record: String,
    /// The version that waits: what is confirmed.
    version: i64,
    /// The managing unit.
    unit: String,
    /// The number that the unit gave.
    number: String,
    /// The personal number, masked.
    person_masked: Option<String>,
    /// Name.
    full_name: String,
    /// Whether the unit never confirmed it.
    is_new: bool,
    /// The version that the unit confirmed last.
    confirmed_version: Option<i64>,
    /// What waits (`new`) beside what the unit confirmed last (`old`).
    changes: Vec<FieldChange>,
    /// When it came (Unix seconds).
    changed_at: i64,
    /// Until when the unit has to say something (Unix seconds).
    due_at: i64,
    /// Whether that is over.
    is_overdue: bool,
    /// Who sent it.
    sent_by: SentBy,
    /// Whether you may confirm it.
    may_confirm: bool,
    /// Why not: `own` (you uploaded or submitted it, and somebody else can), `self` (it is about you) or `scope`.
    why_not: Option<&'static str>,
    /// Why it was sent back.
    returned: Option<ReturnedItem>,
}

impl ConfirmationItem {
    fn new(confirmation: Confirmation, now: i64) -> Self {
        let Confirmation { waiting, changes, due_at, why_not } = confirmation;
        let key = waiting.record.key();
        Self {
            record: waiting.handle.to_string(),
            version: waiting.version,
            unit: key.unit,
            number: key.number,
            person_masked: waiting.record.personal_number().map(|number| number.masked()),
            full_name: waiting.record.full_name().to_owned(),
            is_new: waiting.confirmed.is_none(),
            confirmed_version: waiting.confirmed.as_ref().map(|(version, _)| *version),
            changes,
            changed_at: waiting.changed_at,
            due_at,
            is_overdue: due_at < now,
            sent_by: SentBy {
                way: waiting.origin.way.word(),
                actor: waiting.origin.actor,
                reference: waiting.origin.reference,
            },
            may_confirm: why_not.is_none(),
            why_not,
            returned: waiting.returned.map(|sent| ReturnedItem {
                reason: sent.reason,
                note: sent.note,
                by: sent.officer,
                at: sent.at,
            }),
        }
    }
}

/// A page of records.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConfirmationPage {
    /// By unit.
    items: Vec<ConfirmationItem>,
    /// What to give as `after` for more.
    next: Option<String>,
}

/// `GET /api/v1/confirmations`: what waits for the unit's word, side by side with what it confirmed last. Written down as a
/// look at each record.
#[utoipa::path(get, path = "/api/v1/confirmations", tag = "Records", params(ConfirmationQuery),
    responses((status = 200, body = ConfirmationPage)), security(("client" = ["records:read"])))]
pub async fn list_confirmations(
    State(service): State<Service>,
    caller: Caller,
    InQuery(query): InQuery<ConfirmationQuery>,
) -> Result<Response, Problem> {
    let limit = page_size(query.limit, USUAL_PAGE, MOST_PAGE)?;
    let after = |after: String| {
        let (unit, handle) = after.rsplit_once('.')?;
        Some((unit.to_owned(), Handle::parse(handle)?.to_string()))
    };
    let after =
        query.after.map(|text| after(text).ok_or_else(|| Refusal::malformed("after", "must be next of a page")));
    let request = ConfirmationRequest {
        unit: unit(query.unit)?,
        is_returned: matches!(query.state, ConfirmationState::Returned),
        after: after.transpose()?,
        limit,
    };
    let found = service.confirmations(&caller, request).await?;
    let is_full = i64::try_from(found.len()) == Ok(limit);
    let place = |last: &Confirmation| format!("{}.{}", last.waiting.record.key().unit, last.waiting.handle);
    let next = found.last().filter(|_| is_full).map(place);
    let now = service.clock.now();
    Ok(fresh(ConfirmationPage { items: found.into_iter().map(|one| ConfirmationItem::new(one, now)).collect(), next }))
}

/// Which version goes back, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ToReturn {
    /// The version that was seen.
    version: i64,
    /// A code of `GET /api/v1/refusal-reasons`.
    #[schema(example = "wrong_value")]
    reason: String,
    /// The same in your words; some reasons need it.
    #[serde(default)]
    #[schema(max_length = 2000)]
    note: Option<String>,
}

/// `POST /api/v1/confirmations/{handle}/return`: the version goes back to who sent it, unconfirmed.
#[utoipa::path(post, path = "/api/v1/confirmations/{handle}/return", tag = "Records", request_body = ToReturn,
    params(("handle" = String, Path, description = "The record's name")),
    responses((status = 204), (status = 404, body = ProblemDocument), (status = 409, body = ProblemDocument)),
    security(("client" = ["records:confirm"])))]
pub async fn return_record(
    State(service): State<Service>,
    caller: Caller,
    InPath(handle): InPath<String>,
    ApiJson(ToReturn { version, reason, note }): ApiJson<ToReturn>,
) -> Result<StatusCode, Problem> {
    let handle = Handle::parse(&handle).ok_or(Refusal::NotFound("record"))?;
    service.return_record(&caller, &handle, version, &reason, note.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}
