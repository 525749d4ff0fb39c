//! `/api/v1/forms` and `/api/v1/uploads`: units without a system fill in a form.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::stream::{self, Stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use utoipa::{IntoParams, ToSchema};

use super::answer::{CSV, Problem, ProblemDocument, XLSX, attachment};
use super::events::server_sent;
use super::extract::{self, ApiJson, InPath, InQuery};
use crate::error::Refusal;
use crate::flow::form::FormRequest;
use crate::flow::uploads::{
    ChangedField, PAGE_ROWS, PAGE_UPLOADS, RejectsForm, Submission, ToldFault, Upload, UploadRowView, UploadsRequest,
    WaitsBeside,
};
use crate::flow::{Caller, Service};
use crate::model::calendar::parse_day;
use crate::model::upload::{RowOutcome, UploadState};

/// Items of a page when nothing is said.
const USUAL_PAGE: i64 = 50;

/// What the form is to have.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct FormQuery {
    /// The unit that fills it in.
    #[param(example = "H26.05")]
    unit: Option<String>,
    /// Groups of the catalogue, separated by commas; all when absent. Required fields are always there.
    #[param(example = "identity,contact,position")]
    groups: Option<String>,
    /// Numbered columns of each repeating list, 1 to 10.
    entries: Option<usize>,
}

/// `GET /api/v1/forms/personnel.xlsx`: the guidance form, made from the catalogue and the code lists in force.
#[utoipa::path(get, path = "/api/v1/forms/personnel.xlsx", operation_id = "personnel_form", tag = "Uploads", params(FormQuery),
    responses((status = 200, content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"), (status = 304, description = "The one that you have")),
    security(("client" = ["records:write"])))]
pub async fn form(
    State(service): State<Service>,
    caller: Caller,
    headers: HeaderMap,
    InQuery(query): InQuery<FormQuery>,
) -> Result<Response, Problem> {
    let groups = query.groups.as_deref().unwrap_or_default().split(',').map(str::trim).filter(|word| !word.is_empty());
    let request = FormRequest { unit: query.unit, groups: groups.map(str::to_owned).collect(), entries: query.entries };
    let form = service.personnel_form(&caller, request).await?;
    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(Sha256::digest(&form)));
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if known.is_some_and(|known| known.split(',').any(|known| known.trim() == tag)) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    Ok(([(header::ETAG, tag)], attachment(XLSX, "personnel.xlsx", form)).into_response())
}

/// Whose file it is.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct UploadQuery {
    /// The unit: rows of other units than this one and those below it are faulty.
    #[param(example = "H26.05")]
    unit: String,
}

/// An upload as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct UploadNow {
    /// Its name.
    id: String,
    /// The unit that it is for, with all below.
    #[schema(example = "H26.05")]
    unit: String,
    /// What its file is called.
    name: String,
    /// `xlsx` or `csv`; empty while the file comes.
    #[schema(example = "xlsx")]
    format: String,
    /// The file's length.
    bytes: i64,
    /// The file's SHA-256 in hexadecimal.
    sha256: String,
    /// `receiving`, `checking`, `checked`, `submitting`, `done`, `failed` or `cancelled`.
    #[schema(example = "checked")]
    state: &'static str,
    /// Who brought it: somebody else confirms.
    uploaded_by: String,
    /// When (Unix seconds).
    created_at: i64,
    /// When file and rows are cleared away (Unix seconds).
    expires_at: i64,
    /// When they were (Unix seconds).
    cleared_at: Option<i64>,
    /// How far the work is.
    progress: UploadProgress,
    /// What was found and done.
    counts: UploadCountsNow,
    /// Why the file as a whole cannot be read.
    fault: Option<UploadFault>,
    /// The day from which its rows hold.
    #[schema(example = "2026-12-01")]
    effective_on: Option<String>,
    /// When it was submitted (Unix seconds).
    submitted_at: Option<i64>,
    /// By whom.
    submitted_by: Option<String>,
    /// When the last row was written, or the file was given up (Unix seconds).
    finished_at: Option<i64>,
}

/// How far the work on an upload is.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct UploadProgress {
    /// Rows that are done in this state.
    rows: i64,
    /// Rows in all, once that is known.
    rows_total: Option<i64>,
    /// Rows a second, when that can be told.
    rate_per_second: Option<f64>,
    /// Seconds that are left, when that can be told.
    remaining_seconds: Option<i64>,
}

/// What was found of the rows, and what was done.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct UploadCountsNow {
    /// Records that are not there.
    new: i64,
    /// Records that get another version.
    changed: i64,
    /// Records that say the same.
    unchanged: i64,
    /// Rows that cannot be taken.
    faults: i64,
    /// Fields that change, in all changed records together.
    changed_fields: i64,
    /// Rows whose record somebody else changed after the check.
    conflicts: i64,
    /// Rows that were written.
    written: i64,
    /// Rows that wait for their day.
    waiting: i64,
}

/// Why a file as a whole cannot be read.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct UploadFault {
    /// A word for programs.
    #[schema(example = "encoding")]
    code: String,
    /// What is wrong and what to do, in Vietnamese.
    message_vi: String,
    /// The same in English.
    message_en: String,
}

impl UploadNow {
    fn new(service: &Service, upload: Upload) -> Self {
        let counts = upload.counts;
        let found = counts.new + counts.changed + counts.unchanged + counts.faults;
        let is_checking = matches!(upload.state, UploadState::Receiving | UploadState::Checking);
        let progress = UploadProgress {
            rows: upload.rows_done,
            rows_total: (!is_checking && upload.state != UploadState::Failed).then_some(found),
            rate_per_second: service.upload_rate(&upload),
            remaining_seconds: service.upload_remaining(&upload),
        };
        let fault = upload.fault.map(|(code, message_vi, message_en)| UploadFault { code, message_vi, message_en });
        Self {
            expires_at: service.upload_expires_at(upload.created_at),
            id: upload.id,
            unit: upload.unit,
            name: upload.name,
            format: upload.format,
            bytes: upload.bytes,
            sha256: upload.sha256,
            state: upload.state.word(),
            uploaded_by: upload.uploaded_by,
            created_at: upload.created_at,
            cleared_at: upload.cleared_at,
            progress,
            counts: UploadCountsNow {
                new: counts.new,
                changed: counts.changed,
                unchanged: counts.unchanged,
                faults: counts.faults,
                changed_fields: counts.changed_fields,
                conflicts: counts.conflicts,
                written: counts.written,
                waiting: counts.waiting,
            },
            fault,
            effective_on: upload.effective_on.map(|day| day.to_string()),
            submitted_at: upload.submitted_at,
            submitted_by: upload.submitted_by,
            finished_at: upload.finished_at,
        }
    }
}

/// `POST /api/v1/uploads`: brings a filled-in form, the file itself as the body, XLSX or CSV. It is checked in the background:
/// nothing is stored in records. What the file is called, at most 120 characters, comes in `Content-Disposition`
/// (`attachment; filename*=UTF-8''…`), for people's names stand in names of files, and addresses in logs.
#[utoipa::path(post, path = "/api/v1/uploads", operation_id = "upload", tag = "Uploads", params(UploadQuery, ("Content-Disposition" = Option<String>, Header, description = "What the file is called")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The file"),
    responses((status = 202, body = UploadNow), (status = 503, body = ProblemDocument)),
    security(("client" = ["records:write"])))]
pub async fn begin(
    State(service): State<Service>,
    caller: Caller,
    headers: HeaderMap,
    InQuery(query): InQuery<UploadQuery>,
    body: Body,
) -> Result<Response, Problem> {
    let name = extract::file_name(&headers).unwrap_or_default();
    let upload = service.receive_upload(&caller, &query.unit, &name, body.into_data_stream()).await?;
    let place = format!("/api/v1/uploads/{}", upload.id);
    let headers = [(header::LOCATION, place), (header::CACHE_CONTROL, "no-store".to_owned())];
    Ok((StatusCode::ACCEPTED, headers, Json(UploadNow::new(&service, upload))).into_response())
}

/// Which uploads.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct UploadsQuery {
    /// Of this unit and below.
    unit: Option<String>,
    /// In this state.
    state: Option<String>,
    /// `next` of the page before.
    after: Option<String>,
    /// 1 to 100.
    limit: Option<i64>,
}

/// A page of uploads.
#[derive(Debug, Serialize, ToSchema)]
pub struct UploadPage {
    /// The newest first.
    items: Vec<UploadNow>,
    /// Where the next page begins.
    next: Option<String>,
}

/// `GET /api/v1/uploads`: the uploads of the caller's units.
#[utoipa::path(get, path = "/api/v1/uploads", operation_id = "uploads", tag = "Uploads", params(UploadsQuery),
    responses((status = 200, body = UploadPage)),
    security(("client" = ["records:write"])))]
pub async fn list(
    State(service): State<Service>,
    caller: Caller,
    InQuery(query): InQuery<UploadsQuery>,
) -> Result<Response, Problem> {
    let state = match &query.state {
        None => None,
        Some(word) => {
            let state = UploadState::parse(word);
            Some(state.ok_or_else(|| Refusal::malformed("state", "must be a state of an upload"))?)
        }
    };
    let limit = page(query.limit, PAGE_UPLOADS)?;
    let request = UploadsRequest { unit: query.unit, state, after: query.after, limit };
    let (uploads, next) = service.uploads(&caller, request).await?;
    let items = uploads.into_iter().map(|upload| UploadNow::new(&service, upload)).collect();
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(UploadPage { items, next })).into_response())
}

/// `GET /api/v1/uploads/{id}`: how an upload stands.
#[utoipa::path(get, path = "/api/v1/uploads/{id}", operation_id = "upload_state", tag = "Uploads", params(("id" = String, Path, description = "The upload")),
    responses((status = 200, body = UploadNow), (status = 404, body = ProblemDocument)),
    security(("client" = ["records:write"])))]
pub async fn read(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
) -> Result<Response, Problem> {
    let upload = UploadNow::new(&service, service.upload(&caller, &id).await?);
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(upload)).into_response())
}

/// `GET /api/v1/uploads/{id}/events`: the same as server-sent events named `upload`, until the upload rests.
#[utoipa::path(get, path = "/api/v1/uploads/{id}/events", operation_id = "upload_events", tag = "Uploads", params(("id" = String, Path, description = "The upload")),
    responses((status = 200, content_type = "text/event-stream"), (status = 404, body = ProblemDocument), (status = 503, body = ProblemDocument)),
    security(("client" = ["records:write"])))]
pub async fn events(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
) -> Result<Response, Problem> {
    let place = service.upload_stream(&caller, &id).await?;
    Ok(server_sent(&service.clone(), states(service, id, place)))
}

fn states(
    service: Service,
    id: String,
    place: crate::flow::Place,
) -> impl Stream<Item = Result<Event, crate::error::Error>> {
    stream::unfold(Some((service, id, None::<Upload>, place)), |going| async {
        let (service, id, seen, place) = going?;
        let upload = match service.next_upload(&id, seen.as_ref()).await {
            Ok(upload) => upload,
            Err(error) => return Some((Err(error), None)),
        };
        let now = UploadNow::new(&service, upload.clone());
        let event = Event::default().event("upload").json_data(now);
        let event = event.map_err(|error| crate::error::Fault::new("telling of an upload", error).into());
        Some((event, (!upload.state.rests()).then_some((service, id, Some(upload), place))))
    })
}

/// `DELETE /api/v1/uploads/{id}`: takes an upload back, or deletes its file and rows. What was written to records stays.
#[utoipa::path(delete, path = "/api/v1/uploads/{id}", operation_id = "delete_upload", tag = "Uploads", params(("id" = String, Path, description = "The upload")),
    responses((status = 204), (status = 404, body = ProblemDocument), (status = 409, body = ProblemDocument)),
    security(("client" = ["records:write"])))]
pub async fn delete(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
) -> Result<StatusCode, Problem> {
    service.delete_upload(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which rows.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct RowsQuery {
    /// `all`, `faults`, `new`, `changed`, `unchanged`, `conflicts`, `written` or `waiting`.
    filter: Option<String>,
    /// `next` of the page before.
    after: Option<i64>,
    /// 1 to 200.
    limit: Option<i64>,
}

/// A page of rows.
#[derive(Debug, Serialize, ToSchema)]
pub struct RowPage {
    /// In the order of their lines.
    items: Vec<RowNow>,
    /// Where the next page begins.
    next: Option<String>,
}

/// A row of an upload.
#[derive(Debug, Serialize, ToSchema)]
pub struct RowNow {
    /// Its number in the spreadsheet, or its line in the CSV file.
    line: i64,
    /// `new`, `changed`, `unchanged`, `faults`; after the submission `written`, `waiting`, `moved_on`.
    #[schema(example = "faults")]
    outcome: &'static str,
    /// What makes it this record.
    key: RowKey,
    /// The name that it says.
    person: String,
    /// Fields that it changes.
    changed_fields: i64,
    /// The day from which its employment status holds, if that lies ahead.
    waits_until: Option<String>,
    /// Those fields.
    fields: Vec<FieldNow>,
    /// What waited for its record when it was checked.
    waiting: Vec<WaitingNow>,
    /// What is wrong.
    faults: Vec<FaultNow>,
}

/// A change that waits for the record of a row.
#[derive(Debug, Serialize, ToSchema)]
pub struct WaitingNow {
    /// The day from which it holds.
    #[schema(example = "2026-12-01")]
    on: String,
    /// `import`, `sync`, `upload`, `update` or `reorganisation`.
    #[schema(example = "upload")]
    way: String,
    /// Codes of fields and names of lists that it changes.
    #[schema(example = json!(["employment_status", "employment_status_date"]))]
    fields: Vec<String>,
    /// Whether the row, submitted as it is, takes its place.
    ends: bool,
}

/// Unit and number of a row, as far as they can be told.
#[derive(Debug, Serialize, ToSchema)]
pub struct RowKey {
    unit: String,
    number: String,
}

/// A field that changes. Both sides are `null` where they are long.
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldNow {
    field: String,
    label_vi: String,
    label_en: String,
    old: Option<Value>,
    new: Option<Value>,
}

/// One thing wrong with a row.
#[derive(Debug, Serialize, ToSchema)]
pub struct FaultNow {
    /// Code of the field; empty for the row as a whole.
    #[schema(example = "personal_id_number")]
    field: String,
    label_vi: String,
    label_en: String,
    /// Letters of the column.
    #[schema(example = "F")]
    column: Option<String>,
    /// Column and line.
    #[schema(example = "F7")]
    cell: Option<String>,
    /// What the cell says, at most 200 characters.
    value: Option<String>,
    /// The rule.
    #[schema(example = "personal_number")]
    rule: String,
    /// What to do, in Vietnamese.
    message_vi: String,
    /// The same in English.
    message_en: String,
}

impl From<UploadRowView> for RowNow {
    fn from(row: UploadRowView) -> Self {
        Self {
            line: row.line,
            outcome: row.outcome.word(),
            key: RowKey { unit: row.unit, number: row.number },
            person: row.person,
            changed_fields: row.changed_fields,
            waits_until: row.waits_until.map(|day| day.to_string()),
            fields: row.fields.into_iter().map(Into::into).collect(),
            waiting: row.waiting.into_iter().map(Into::into).collect(),
            faults: row.faults.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<WaitsBeside> for WaitingNow {
    fn from(waiting: WaitsBeside) -> Self {
        let WaitsBeside { on, way, fields, ends } = waiting;
        Self { on, way, fields, ends }
    }
}

impl From<ChangedField> for FieldNow {
    fn from(changed: ChangedField) -> Self {
        let ChangedField { field, labels: (label_vi, label_en), old, new } = changed;
        Self { field, label_vi, label_en, old, new }
    }
}

impl From<ToldFault> for FaultNow {
    fn from(fault: ToldFault) -> Self {
        let ToldFault { field, labels, column, cell, value, rule, message_vi, message_en } = fault;
        let (label_vi, label_en) = labels;
        Self { field, label_vi, label_en, column, cell, value, rule, message_vi, message_en }
    }
}

/// `GET /api/v1/uploads/{id}/rows`: what was found of each row, and what became of it.
#[utoipa::path(get, path = "/api/v1/uploads/{id}/rows", operation_id = "upload_rows", tag = "Uploads", params(("id" = String, Path, description = "The upload"), RowsQuery),
    responses((status = 200, body = RowPage), (status = 404, body = ProblemDocument), (status = 409, body = ProblemDocument)),
    security(("client" = ["records:write"])))]
pub async fn rows(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
    InQuery(query): InQuery<RowsQuery>,
) -> Result<Response, Problem> {
    let outcomes = match query.filter.as_deref().unwrap_or("all") {
        "all" => RowOutcome::ALL.to_vec(),
        "conflicts" => vec![RowOutcome::MovedOn],
        word => {
            let outcome = RowOutcome::parse(word).filter(|outcome| *outcome != RowOutcome::MovedOn);
            vec![outcome.ok_or_else(|| Refusal::malformed("filter", "must be a kind of row"))?]
        }
    };
    let limit = page(query.limit, PAGE_ROWS)?;
    let found = service.upload_row_page(&caller, &id, &outcomes, query.after.unwrap_or_default(), limit).await?;
    let items = found.items.into_iter().map(Into::into).collect();
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(RowPage { items, next: found.next })).into_response())
}

/// What to do with the good rows.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ToSubmit {
    /// The day from which they hold, after today in Vietnam; at once when absent.
    #[serde(default)]
    #[schema(example = "2026-12-01")]
    effective_on: Option<String>,
    /// Rows with faults are left out. Without it an upload with faults is refused.
    #[serde(default)]
    only_good_rows: bool,
}

/// `POST /api/v1/uploads/{id}/submit`: has the good rows written, in the background. They are not confirmed by that. The same
/// submission again changes nothing.
#[utoipa::path(post, path = "/api/v1/uploads/{id}/submit", operation_id = "submit_upload", tag = "Uploads", params(("id" = String, Path, description = "The upload")), request_body = ToSubmit,
    responses((status = 202, body = UploadNow), (status = 404, body = ProblemDocument), (status = 409, body = ProblemDocument)),
    security(("client" = ["records:write"])))]
pub async fn submit(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
    ApiJson(submission): ApiJson<ToSubmit>,
) -> Result<Response, Problem> {
    let day = |text: &str| {
        parse_day(text).ok_or_else(|| Refusal::malformed("body.effective_on", "must be a day as 2026-12-01"))
    };
    let effective_on = submission.effective_on.as_deref().map(day).transpose()?;
    let submission = Submission { effective_on, only_good_rows: submission.only_good_rows };
    let upload = UploadNow::new(&service, service.submit_upload(&caller, &id, submission).await?);
    Ok((StatusCode::ACCEPTED, [(header::CACHE_CONTROL, "no-store")], Json(upload)).into_response())
}

/// `GET /api/v1/uploads/{id}/rejects.xlsx`: the rows with faults or conflicts, as a workbook that can be corrected and
/// uploaded again.
#[utoipa::path(get, path = "/api/v1/uploads/{id}/rejects.xlsx", operation_id = "upload_rejects_xlsx", tag = "Uploads", params(("id" = String, Path, description = "The upload")),
    responses((status = 200, content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"), (status = 404, body = ProblemDocument), (status = 409, body = ProblemDocument)),
    security(("client" = ["records:write"])))]
pub async fn rejects_xlsx(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
) -> Result<Response, Problem> {
    let file = service.upload_rejects(&caller, &id, RejectsForm::Xlsx).await?;
    Ok(attachment(XLSX, "rejects.xlsx", file))
}

/// `GET /api/v1/uploads/{id}/rejects.csv`: the same as CSV.
#[utoipa::path(get, path = "/api/v1/uploads/{id}/rejects.csv", operation_id = "upload_rejects_csv", tag = "Uploads", params(("id" = String, Path, description = "The upload")),
    responses((status = 200, content_type = "text/csv"), (status = 404, body = ProblemDocument), (status = 409, body = ProblemDocument)),
    security(("client" = ["records:write"])))]
pub async fn rejects_csv(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
) -> Result<Response, Problem> {
    let file = service.upload_rejects(&caller, &id, RejectsForm::Csv).await?;
    Ok(attachment(CSV, "rejects.csv", file))
}

fn page(limit: Option<i64>, most: i64) -> Result<i64, Refusal> {
    let limit = limit.unwrap_or(USUAL_PAGE);
    if (1..=most).contains(&limit) {
        Ok(limit)
    } else {
        Err(Refusal::malformed("limit", format!("must be 1 to {most}")))
    }
}
