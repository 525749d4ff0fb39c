//! Monthly approvals by digital signature, and the certificates of those who may sign.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::answer::{Problem, ProblemDocument, attachment};
use super::extract::{ApiJson, InPath, InQuery, page_size};
use crate::error::{Error, Refusal};
use crate::flow::{After, ApproverCertificate, Caller, NewApproverCertificate, QualityApproval, Service};
use crate::model::approval::{MAX_DOCUMENT_BYTES, StateDocument};
use crate::model::calendar::Month;

/// A unit's last approval, on a page about the unit.
#[derive(Debug, Serialize, ToSchema)]
pub struct LastApproval {
    /// Its random name.
    id: String,
    /// `yyyy-mm`.
    #[schema(example = "2026-10")]
    month: String,
    /// The caller that approved.
    approver: String,
    /// Unix seconds.
    approved_at: i64,
    /// Records whose present version no approval has signed.
    changed_since: Option<i64>,
}

impl LastApproval {
    pub(super) fn of(approval: &QualityApproval) -> Self {
        Self {
            id: approval.row.id.clone(),
            month: approval.row.month.to_string(),
            approver: approval.row.approver.clone(),
            approved_at: approval.row.approved_at,
            changed_since: approval.changed_since,
        }
    }
}

/// An approval.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApprovalAnswer {
    /// Its random name.
    id: String,
    /// The unit, with everything below it.
    #[schema(example = "H26")]
    unit: String,
    /// `yyyy-mm`.
    #[schema(example = "2026-11")]
    month: String,
    /// The caller that approved.
    approver: String,
    /// Unix seconds.
    approved_at: i64,
    /// Why late.
    reason: Option<String>,
    /// SHA-256 of the signer's certificate, in hexadecimal.
    certificate_sha256: String,
    /// Its subject.
    subject: String,
    /// Records of the approved state.
    records: i64,
    /// The root over them, in hexadecimal.
    root: String,
    /// SHA-256 of the signed document.
    document_sha256: String,
    /// That of the approval before; null for the first.
    previous: Option<String>,
    /// Of a single approval that is its unit's last one: records whose present version no approval has signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed_since: Option<i64>,
}

impl ApprovalAnswer {
    fn of(approval: &QualityApproval) -> Self {
        let row = &approval.row;
        Self {
            id: row.id.clone(),
            unit: row.unit.clone(),
            month: row.month.to_string(),
            approver: row.approver.clone(),
            approved_at: row.approved_at,
            reason: row.reason.clone(),
            certificate_sha256: row.certificate_sha256.clone(),
            subject: row.subject.clone(),
            records: approval.document.tally.records,
            root: approval.document.root.clone(),
            document_sha256: row.document_sha256.clone(),
            previous: row.previous.clone(),
            changed_since: approval.changed_since,
        }
    }
}

/// Of which unit the document is.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DocumentQuery {
    /// Code of the unit; the caller must be named for exactly this one.
    #[param(example = "H26")]
    unit: String,
}

/// The state of a unit, as it is signed: canonical JSON (RFC 8785).
#[derive(Debug, Serialize, ToSchema)]
#[allow(dead_code)]
pub struct ApprovalDocument {
    at: i64,
    catalogue: String,
    counts: ApprovalCounts,
    month: String,
    previous: Option<String>,
    root: String,
    r#type: String,
    unit: String,
}

/// Counts of an approved state.
#[derive(Debug, Serialize, ToSchema)]
#[allow(dead_code)]
pub struct ApprovalCounts {
    all: i64,
    clean: i64,
    correct: i64,
    live: i64,
    records: i64,
    sufficient: i64,
}

/// `GET /api/v1/approvals/{month}/document`: the exact bytes that the competent person signs. Nothing may be added to
/// them, no line end either.
#[utoipa::path(get, path = "/api/v1/approvals/{month}/document", tag = "Approvals",
    params(("month" = String, Path, description = "`yyyy-mm`", example = "2026-11"), DocumentQuery),
    responses((status = 200, body = ApprovalDocument), (status = 403, body = ProblemDocument), (status = 404, body = ProblemDocument),
        (status = 409, body = ProblemDocument), (status = 503, body = ProblemDocument)),
    security(("client" = ["quality:approve"])))]
pub async fn approval_document(
    State(service): State<Service>,
    caller: Caller,
    InPath(month): InPath<String>,
    InQuery(query): InQuery<DocumentQuery>,
) -> Result<Response, Problem> {
    let month = Month::parse(&month).ok_or(Refusal::NotFound("month"))?;
    let bytes = service.approval_document(&caller, month, &query.unit).await?;
    Ok(attachment("application/json", &format!("approval-{}-{month}.json", query.unit.replace('.', "-")), bytes))
}

/// A signed state.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApproval {
    /// The signed bytes, base64.
    document: String,
    /// What the person's own tool made of them: a detached CMS (CAdES-BES), base64 of its DER, or a detached compact JWS
    /// with `x5c` (`header..signature`).
    signature: String,
    /// Why late, where a late approval is allowed.
    #[serde(default)]
    reason: Option<String>,
}

/// `POST /api/v1/approvals`: approves the state of a unit as it was handed out, at most a day ago; records that changed since
/// are not signed by it. For any other document the 409 carries a new `document` to sign (base64).
#[utoipa::path(post, path = "/api/v1/approvals", tag = "Approvals", request_body = NewApproval,
    responses((status = 201, body = ApprovalAnswer), (status = 400, body = ProblemDocument), (status = 403, body = ProblemDocument),
        (status = 409, body = ProblemDocument), (status = 503, body = ProblemDocument)),
    security(("client" = ["quality:approve"])))]
pub async fn approve_month(
    State(service): State<Service>,
    caller: Caller,
    ApiJson(request): ApiJson<NewApproval>,
) -> Result<Response, Problem> {
    let signed = Some(&request.document).filter(|text| text.len() <= 2 * MAX_DOCUMENT_BYTES);
    let signed = signed.and_then(|text| STANDARD.decode(text).ok());
    let signed =
        signed.ok_or_else(|| Refusal::malformed("body.document", "must be base64 of a document of this service"))?;
    match service.approve_state(&caller, &signed, &request.signature, request.reason).await {
        Ok(approval) => {
            Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(ApprovalAnswer::of(&approval)))
                .into_response())
        }
        Err(Error::Refusal(Refusal::StateMoved)) => Ok(moved(&service, &caller, &signed).await?),
        Err(error) => Err(error.into()),
    }
}

/// The problem with a new document in it.
async fn moved(service: &Service, caller: &Caller, signed: &[u8]) -> Result<Response, Problem> {
    let old = StateDocument::parse(signed).ok_or(Refusal::StateMoved)?;
    let new = service.approval_document(caller, old.month, old.unit.as_str()).await?;
    let mut problem = json!(Problem::from(Refusal::StateMoved).document());
    problem["document"] = json!(STANDARD.encode(new));
    let headers = [(header::CONTENT_TYPE, "application/problem+json"), (header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::CONFLICT, headers, problem.to_string()).into_response())
}

/// Which approvals.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ApprovalsQuery {
    /// Code of the unit; without it the nation.
    unit: Option<String>,
    /// `next` of the page before.
    after: Option<String>,
    /// 1 to 200; 50 when absent.
    limit: Option<i64>,
}

/// A page of approvals.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApprovalPage {
    /// Newest first.
    items: Vec<ApprovalAnswer>,
    /// `after` of the next page; null at the end.
    next: Option<String>,
    /// For how many days after its end a month may still be approved, with a reason.
    late_days: u16,
}

/// `GET /api/v1/approvals`: approvals of a unit and of the units below it, newest first.
#[utoipa::path(get, path = "/api/v1/approvals", tag = "Approvals", params(ApprovalsQuery),
    responses((status = 200, body = ApprovalPage), (status = 403, body = ProblemDocument)), security(("client" = ["quality:read"])))]
pub async fn list_approvals(
    State(service): State<Service>,
    caller: Caller,
    InQuery(query): InQuery<ApprovalsQuery>,
) -> Result<Json<ApprovalPage>, Problem> {
    let limit = page_size(query.limit, 50, 200)?;
    let (found, next) = service.approvals(&caller, query.unit.as_deref(), query.after.as_deref(), limit).await?;
    let late_days = service.config.approvals.late_days;
    Ok(Json(ApprovalPage { items: found.iter().map(ApprovalAnswer::of).collect(), next, late_days }))
}

/// An approval with document and signature.
#[derive(Debug, Serialize, ToSchema)]
pub struct WholeApproval {
    /// What is told of it.
    #[serde(flatten)]
    approval: ApprovalAnswer,
    /// `cms` or `jws`.
    form: String,
    /// The signed bytes, base64.
    document: String,
    /// The signature's bytes, base64.
    signature: String,
}

/// `GET /api/v1/approvals/{id}`: one approval with document and signature.
#[utoipa::path(get, path = "/api/v1/approvals/{id}", tag = "Approvals", params(("id" = String, Path, description = "The approval's random name")),
    responses((status = 200, body = WholeApproval), (status = 404, body = ProblemDocument)), security(("client" = ["quality:read"])))]
pub async fn read_approval(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
) -> Result<Json<WholeApproval>, Problem> {
    let found = service.approval(&caller, &id).await?;
    Ok(Json(WholeApproval {
        approval: ApprovalAnswer::of(&found),
        form: found.row.form.clone(),
        document: STANDARD.encode(&found.row.document),
        signature: STANDARD.encode(&found.row.signature),
    }))
}

/// A page of what changed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ChangesQuery {
    /// `next` of the page before.
    after: Option<String>,
    /// 1 to 500; 100 when absent.
    limit: Option<i64>,
}

/// A record whose present version no approval has signed.
#[derive(Debug, Serialize, ToSchema)]
pub struct UnsignedRecord {
    /// Its random name.
    record: String,
    /// The managing unit.
    unit: String,
    /// The number that the unit gave.
    number: String,
    /// The version that an approval signed last; null for none.
    approved_version: Option<i64>,
    /// Its version now.
    version: i64,
}

/// A page of changed records.
#[derive(Debug, Serialize, ToSchema)]
pub struct UnsignedPage {
    /// By unit, then by name.
    items: Vec<UnsignedRecord>,
    /// `after` of the next page; null at the end.
    next: Option<String>,
}

/// `GET /api/v1/approvals/{id}/changes`: records below the approval's unit whose present version no approval has signed.
#[utoipa::path(get, path = "/api/v1/approvals/{id}/changes", tag = "Approvals",
    params(("id" = String, Path, description = "The approval's random name"), ChangesQuery),
    responses((status = 200, body = UnsignedPage), (status = 404, body = ProblemDocument)), security(("client" = ["quality:read"])))]
pub async fn approval_changes(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
    InQuery(query): InQuery<ChangesQuery>,
) -> Result<Json<UnsignedPage>, Problem> {
    let limit = page_size(query.limit, 100, 500)?;
    let after = query.after.as_deref().map(After::parse).transpose()?;
    let (found, more) = service.approval_changes(&caller, &id, after.as_ref(), limit).await?;
    let next = found.last().filter(|_| more).map(|last| last.place.to_string());
    let items = found.into_iter().map(|changed| UnsignedRecord {
        record: changed.place.record.to_string(),
        unit: changed.place.unit,
        number: changed.number,
        approved_version: changed.approved_version,
        version: changed.version,
    });
    Ok(Json(UnsignedPage { items: items.collect(), next }))
}

/// `GET /api/v1/approvals/{id}/file`: the approval with everything that proves it, for `officials-card approval verify`.
#[utoipa::path(get, path = "/api/v1/approvals/{id}/file", tag = "Approvals", params(("id" = String, Path, description = "The approval's random name")),
    responses((status = 200, content_type = "application/json"), (status = 404, body = ProblemDocument)), security(("client" = ["quality:read"])))]
pub async fn approval_file(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
) -> Result<Response, Problem> {
    let found = service.approval_file(&caller, &id).await?;
    Ok(attachment("application/json", &format!("approval-{id}.json"), serde_json::to_vec(&found).unwrap_or_default()))
}

/// How a registered certificate is compared.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CertificateMatch {
    /// This very certificate.
    #[default]
    Certificate,
    /// Any certificate of the same subject that leads to a configured root.
    Subject,
}

/// A certificate to register.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproverCertificateToAdd {
    /// The officer: the name under which the approver calls.
    officer: String,
    /// PEM.
    certificate: String,
    /// How it is compared.
    #[serde(default)]
    r#match: CertificateMatch,
}

/// A registered certificate.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApproverCertificateAnswer {
    /// Its random name.
    id: String,
    /// The officer.
    officer: String,
    /// SHA-256, in hexadecimal.
    sha256: String,
    /// Its subject.
    subject: String,
    /// `certificate` or `subject`.
    r#match: String,
    /// The last instant at which it is valid (Unix seconds).
    not_after: i64,
    /// Unix seconds.
    added_at: i64,
    /// By whom.
    added_by: String,
}

/// The certificates in force.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApproverCertificates {
    /// By officer.
    items: Vec<ApproverCertificateAnswer>,
}

impl From<ApproverCertificate> for ApproverCertificateAnswer {
    fn from(one: ApproverCertificate) -> Self {
        Self {
            id: one.id,
            officer: one.officer,
            sha256: one.sha256,
            subject: one.subject,
            r#match: one.matches,
            not_after: one.not_after,
            added_at: one.added_at,
            added_by: one.added_by,
        }
    }
}

/// `GET /api/v1/approver-certificates`: the certificates with which officers may approve. Only for callers without unit
/// limit.
#[utoipa::path(get, path = "/api/v1/approver-certificates", tag = "Approvals",
    responses((status = 200, body = ApproverCertificates), (status = 403, body = ProblemDocument)), security(("client" = ["officers:read"])))]
pub async fn list_approver_certificates(
    State(service): State<Service>,
    caller: Caller,
) -> Result<Json<ApproverCertificates>, Problem> {
    let found = service.approver_certificates(&caller).await?;
    Ok(Json(ApproverCertificates { items: found.into_iter().map(Into::into).collect() }))
}

/// `POST /api/v1/approver-certificates`: registers the certificate with which an officer approves.
#[utoipa::path(post, path = "/api/v1/approver-certificates", tag = "Approvals", request_body = ApproverCertificateToAdd,
    responses((status = 201, body = ApproverCertificateAnswer), (status = 400, body = ProblemDocument), (status = 403, body = ProblemDocument)),
    security(("client" = ["officers:write"])))]
pub async fn add_approver_certificate(
    State(service): State<Service>,
    caller: Caller,
    ApiJson(request): ApiJson<ApproverCertificateToAdd>,
) -> Result<(StatusCode, Json<ApproverCertificateAnswer>), Problem> {
    let by_subject = matches!(request.r#match, CertificateMatch::Subject);
    let new = NewApproverCertificate { officer: request.officer, certificate: request.certificate, by_subject };
    let added = service.add_approver_certificate(&caller, new).await?;
    Ok((StatusCode::CREATED, Json(added.into())))
}

/// `DELETE /api/v1/approver-certificates/{id}`: takes one out. What was approved with it stays approved.
#[utoipa::path(delete, path = "/api/v1/approver-certificates/{id}", tag = "Approvals", params(("id" = String, Path, description = "The certificate's random name")),
    responses((status = 204), (status = 404, body = ProblemDocument)), security(("client" = ["officers:write"])))]
pub async fn remove_approver_certificate(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
) -> Result<StatusCode, Problem> {
    service.remove_approver_certificate(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
