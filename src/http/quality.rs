//! How good the records are: scores, history, causes, rows, files, and the monthly report.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use time::Date;
use utoipa::{IntoParams, ToSchema};

use super::answer::{CSV, Problem, ProblemDocument, XLSX, attachment};
use super::approvals::LastApproval;
use super::extract::{InPath, InQuery, page_size};
use crate::error::Refusal;
use crate::flow::{After, Caller, DayScores, FlaggedRecord, MonthlyReport, Service, TableForm, UnitScores};
use crate::model::calendar::{Month, parse_day};
use crate::model::quality::Flag;
use crate::model::quality::score::{Score, Tally};

/// How often something holds, of how many.
#[derive(Debug, Serialize, ToSchema)]
pub struct QualityScore {
    /// Records for which it holds.
    #[schema(example = 950)]
    holds: i64,
    /// Records in all.
    #[schema(example = 1000)]
    of: i64,
    /// The same as a share, rounded down to a tenth of a percent; null of nothing.
    #[schema(example = 95.0)]
    percent: Option<f64>,
}

impl From<Score> for QualityScore {
    fn from(score: Score) -> Self {
        Self { holds: score.holds, of: score.of, percent: score.percent() }
    }
}

/// The four words, and all four at once.
#[derive(Debug, Serialize, ToSchema)]
pub struct QualityScores {
    /// Đúng.
    correct: QualityScore,
    /// Đủ.
    sufficient: QualityScore,
    /// Sạch.
    clean: QualityScore,
    /// Sống.
    live: QualityScore,
    /// Records for which all four hold.
    all: QualityScore,
}

impl QualityScores {
    fn of(tally: &Tally) -> Self {
        let [correct, sufficient, clean, live, all] = tally.scores().map(|(_, score)| score.into());
        Self { correct, sufficient, clean, live, all }
    }
}

/// QualityScores at the end of a day in Vietnam.
#[derive(Debug, Serialize, ToSchema)]
pub struct QualityDayAnswer {
    /// `yyyy-mm-dd`.
    #[schema(example = "2026-11-21")]
    day: String,
    /// Records.
    records: i64,
    /// The scores.
    scores: QualityScores,
}

impl From<DayScores> for QualityDayAnswer {
    fn from(day: DayScores) -> Self {
        Self { day: day.day.to_string(), records: day.tally.records, scores: QualityScores::of(&day.tally) }
    }
}

/// QualityScores of a unit with everything below it.
#[derive(Debug, Serialize, ToSchema)]
pub struct UnitQualityAnswer {
    /// Its code; null for the nation.
    #[schema(example = "H26.05")]
    unit: Option<String>,
    /// Its name, where the register has it.
    name: Option<String>,
    /// Records.
    records: i64,
    /// The scores.
    scores: QualityScores,
}

impl From<UnitScores> for UnitQualityAnswer {
    fn from(unit: UnitScores) -> Self {
        let scores = QualityScores::of(&unit.tally);
        Self { unit: unit.unit, name: unit.name, records: unit.tally.records, scores }
    }
}

/// A page of units.
#[derive(Debug, Serialize, ToSchema)]
pub struct UnitQualityPage {
    /// By their codes.
    items: Vec<UnitQualityAnswer>,
    /// `after` of the next page; null at the end.
    next: Option<String>,
}

/// How good the records of a unit are.
#[derive(Debug, Serialize, ToSchema)]
pub struct QualityAnswer {
    /// The unit.
    #[serde(flatten)]
    unit: UnitQualityAnswer,
    /// Now (Unix seconds).
    at: i64,
    /// Records, anywhere, that wait to be computed; counted up to 100,000.
    pending: i64,
    /// Records of the unit whose present version no approval has signed.
    unsigned: i64,
    /// The day before.
    previous_day: Option<QualityDayAnswer>,
    /// The end of the month before.
    previous_month: Option<QualityDayAnswer>,
    /// The unit's last approval.
    approval: Option<LastApproval>,
    /// Units one level below that have records.
    children: UnitQualityPage,
}

/// Which unit, and which page of the units below it.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct QualityQuery {
    /// Code of the unit; without it the nation, for callers without unit limit.
    unit: Option<String>,
    /// `next` of the page before.
    after: Option<String>,
    /// Units of a page, 1 to 200; 50 when absent.
    limit: Option<i64>,
}

/// `GET /api/v1/quality`: scores of a unit with everything below it, of the day and the month before, and of the units one
/// level below.
#[utoipa::path(get, path = "/api/v1/quality", tag = "Quality", params(QualityQuery),
    responses((status = 200, body = QualityAnswer), (status = 403, body = ProblemDocument)), security(("client" = ["quality:read"])))]
pub async fn quality_scores(
    State(service): State<Service>,
    caller: Caller,
    InQuery(query): InQuery<QualityQuery>,
) -> Result<Json<QualityAnswer>, Problem> {
    let limit = page_size(query.limit, 50, 200)?;
    let (unit, after) = (query.unit.as_deref(), query.after.as_deref().unwrap_or_default());
    if after.len() > crate::model::unit::UnitCode::MAX_LENGTH || after.contains('\0') {
        return Err(Refusal::malformed("after", "must be the `next` of a page").into());
    }
    let view = service.quality(&caller, unit, after, limit).await?;
    let approval = service.last_approval(&caller, unit).await?;
    let next = view.children.last().filter(|_| view.more).and_then(|last| last.unit.clone());
    Ok(Json(QualityAnswer {
        unit: view.unit.into(),
        at: view.at,
        pending: view.pending,
        unsigned: view.unsigned,
        previous_day: view.previous_day.map(Into::into),
        previous_month: view.previous_month.map(Into::into),
        approval: approval.as_ref().map(LastApproval::of),
        children: UnitQualityPage { items: view.children.into_iter().map(Into::into).collect(), next },
    }))
}

/// Which days of which unit.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct HistoryQuery {
    /// Code of the unit; without it the nation.
    unit: Option<String>,
    /// First day, `yyyy-mm-dd`; 30 days before the last when absent.
    from: Option<String>,
    /// Last day; today when absent. At most 400 days in all.
    to: Option<String>,
}

/// The days of a unit.
#[derive(Debug, Serialize, ToSchema)]
pub struct QualityHistory {
    /// Its code; null for the nation.
    unit: Option<String>,
    /// One for each day from the first on which something is known.
    items: Vec<QualityDayAnswer>,
}

fn day(place: &str, text: Option<&str>) -> Result<Option<Date>, Refusal> {
    let read = |text| parse_day(text).ok_or_else(|| Refusal::malformed(place, "must be a day, yyyy-mm-dd"));
    text.map(read).transpose()
}

/// `GET /api/v1/quality/history`: the scores of a unit day by day.
#[utoipa::path(get, path = "/api/v1/quality/history", tag = "Quality", params(HistoryQuery),
    responses((status = 200, body = QualityHistory), (status = 403, body = ProblemDocument)), security(("client" = ["quality:read"])))]
pub async fn quality_history(
    State(service): State<Service>,
    caller: Caller,
    InQuery(query): InQuery<HistoryQuery>,
) -> Result<Json<QualityHistory>, Problem> {
    let (from, to) = (day("from", query.from.as_deref())?, day("to", query.to.as_deref())?);
    let (unit, days) = service.quality_history(&caller, query.unit.as_deref(), from, to).await?;
    Ok(Json(QualityHistory { unit, items: days.into_iter().map(Into::into).collect() }))
}

/// Which unit, and how many causes.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CausesQuery {
    /// Code of the unit; without it the nation.
    unit: Option<String>,
    /// 1 to 50; 10 when absent.
    limit: Option<i64>,
}

/// One thing that is held against records.
#[derive(Debug, Serialize, ToSchema)]
pub struct QualityCause {
    /// Its name.
    #[schema(example = "not_confirmed")]
    flag: &'static str,
    /// The word that it stands against: `correct`, `sufficient`, `clean` or `live`.
    #[schema(example = "clean")]
    word: &'static str,
    /// Records that have it.
    #[schema(example = 40)]
    count: i64,
    /// Records in all.
    of: i64,
    /// The share, rounded down to a tenth of a percent.
    percent: Option<f64>,
    /// For people.
    sentence_vi: String,
    /// For people.
    sentence_en: String,
    /// Where the records are listed.
    #[schema(example = "/api/v1/quality/rows?flag=not_confirmed&unit=H26")]
    rows: String,
}

impl QualityCause {
    fn new(unit: Option<&str>, flag: Flag, count: i64, of: i64) -> Self {
        let (sentence_vi, sentence_en) = flag.messages();
        let unit = unit.map(|unit| format!("&unit={unit}")).unwrap_or_default();
        Self {
            flag: flag.code(),
            word: flag.measure().word_en(),
            count,
            of,
            percent: Score { holds: count, of }.percent(),
            sentence_vi,
            sentence_en,
            rows: format!("/api/v1/quality/rows?flag={}{unit}", flag.code()),
        }
    }
}

/// The worst causes of a unit.
#[derive(Debug, Serialize, ToSchema)]
pub struct QualityCausesAnswer {
    /// Its code; null for the nation.
    unit: Option<String>,
    /// Its records.
    records: i64,
    /// Worst first.
    items: Vec<QualityCause>,
}

/// `GET /api/v1/quality/causes`: what is held against the records of a unit, worst first.
#[utoipa::path(get, path = "/api/v1/quality/causes", tag = "Quality", params(CausesQuery),
    responses((status = 200, body = QualityCausesAnswer), (status = 403, body = ProblemDocument)), security(("client" = ["quality:read"])))]
pub async fn quality_causes(
    State(service): State<Service>,
    caller: Caller,
    InQuery(query): InQuery<CausesQuery>,
) -> Result<Json<QualityCausesAnswer>, Problem> {
    let limit = usize::try_from(page_size(query.limit, 10, 50)?).unwrap_or(10);
    let found = service.quality_causes(&caller, query.unit.as_deref(), limit).await?;
    let cause = |(flag, count)| QualityCause::new(found.unit.as_deref(), flag, count, found.records);
    let items = found.causes.iter().copied().map(cause).collect();
    Ok(Json(QualityCausesAnswer { unit: found.unit, records: found.records, items }))
}

/// Which records.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct RowsQuery {
    /// Code of the unit; without it the nation.
    unit: Option<String>,
    /// Only records with this flag; with any when absent.
    #[param(example = "not_confirmed")]
    flag: Option<String>,
    /// `next` of the page before.
    after: Option<String>,
    /// 1 to 500; 100 when absent.
    limit: Option<i64>,
}

/// A record with what is held against it.
#[derive(Debug, Serialize, ToSchema)]
pub struct QualityRowAnswer {
    /// Its random name.
    #[schema(example = "7Q2M8K3D5N9R1T4V")]
    record: String,
    /// The managing unit.
    unit: String,
    /// The number that the unit gave.
    number: String,
    /// For callers that may read records.
    #[serde(skip_serializing_if = "Option::is_none")]
    full_name: Option<String>,
    /// What is held against it.
    flags: Vec<&'static str>,
    /// When its version came in (Unix seconds).
    changed_at: i64,
}

impl From<FlaggedRecord> for QualityRowAnswer {
    fn from(row: FlaggedRecord) -> Self {
        Self {
            record: row.record.to_string(),
            unit: row.unit,
            number: row.number,
            full_name: row.full_name,
            flags: row.flags.into_iter().map(Flag::code).collect(),
            changed_at: row.changed_at,
        }
    }
}

/// A page of records.
#[derive(Debug, Serialize, ToSchema)]
pub struct QualityRowPage {
    /// By unit, then by name.
    items: Vec<QualityRowAnswer>,
    /// `after` of the next page; null at the end.
    next: Option<String>,
}

fn flag(text: Option<&str>) -> Result<Option<Flag>, Refusal> {
    let read = |text| Flag::parse(text).ok_or_else(|| Refusal::malformed("flag", "is not a flag"));
    text.map(read).transpose()
}

/// `GET /api/v1/quality/rows`: the records of a unit that something is held against. Names are for callers that may also
/// read records.
#[utoipa::path(get, path = "/api/v1/quality/rows", tag = "Quality", params(RowsQuery),
    responses((status = 200, body = QualityRowPage), (status = 403, body = ProblemDocument)), security(("client" = ["quality:read"])))]
pub async fn quality_rows(
    State(service): State<Service>,
    caller: Caller,
    InQuery(query): InQuery<RowsQuery>,
) -> Result<Json<QualityRowPage>, Problem> {
    let limit = page_size(query.limit, 100, 500)?;
    let after = query.after.as_deref().map(After::parse).transpose()?;
    let flag = flag(query.flag.as_deref())?;
    let (rows, more) = service.quality_rows(&caller, query.unit.as_deref(), flag, after.as_ref(), limit).await?;
    let next = rows.last().filter(|_| more).map(|row| row.place().to_string());
    Ok(Json(QualityRowPage { items: rows.into_iter().map(Into::into).collect(), next }))
}

/// Which records are exported.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ExportQuery {
    /// Code of the unit; without it the nation.
    unit: Option<String>,
    /// Only records with this flag; with any when absent.
    flag: Option<String>,
}

/// `GET /api/v1/quality/export.xlsx`: the same records as a spreadsheet, at most 100,000.
#[utoipa::path(get, path = "/api/v1/quality/export.xlsx", tag = "Quality", params(ExportQuery),
    responses((status = 200, content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"), (status = 413, body = ProblemDocument)),
    security(("client" = ["quality:read"])))]
pub async fn export_quality_xlsx(
    State(service): State<Service>,
    caller: Caller,
    InQuery(query): InQuery<ExportQuery>,
) -> Result<Response, Problem> {
    let flag = flag(query.flag.as_deref())?;
    let made = service.quality_file(&caller, query.unit.as_deref(), flag, TableForm::Xlsx).await?;
    Ok(attachment(XLSX, "quality.xlsx", made))
}

/// `GET /api/v1/quality/export.csv`: the same as CSV.
#[utoipa::path(get, path = "/api/v1/quality/export.csv", tag = "Quality", params(ExportQuery),
    responses((status = 200, content_type = "text/csv"), (status = 413, body = ProblemDocument)), security(("client" = ["quality:read"])))]
pub async fn export_quality_csv(
    State(service): State<Service>,
    caller: Caller,
    InQuery(query): InQuery<ExportQuery>,
) -> Result<Response, Problem> {
    let flag = flag(query.flag.as_deref())?;
    let made = service.quality_file(&caller, query.unit.as_deref(), flag, TableForm::Csv).await?;
    Ok(attachment(CSV, "quality.csv", made))
}

/// Of which unit the report is.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ReportQuery {
    /// Code of the unit; without it the nation.
    unit: Option<String>,
}

/// A unit one level below in a report.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReportUnitAnswer {
    /// Its scores.
    #[serde(flatten)]
    unit: UnitQualityAnswer,
    /// The end of the month before.
    previous_month: Option<QualityScores>,
    /// When its own approval of the month was made (Unix seconds).
    approved_at: Option<i64>,
}

/// An approval in a report.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReportApprovalAnswer {
    /// The unit.
    unit: String,
    /// The caller that approved.
    approver: String,
    /// Unix seconds.
    approved_at: i64,
    /// Whether after the month.
    late: bool,
}

/// Approvals of a month.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReportApprovals {
    /// Made, of the unit and of units below it.
    made: Vec<ReportApprovalAnswer>,
    /// Missing: the unit and the units one level below, unless the unit's own approval covers them.
    missing: Vec<String>,
}

/// The monthly report.
#[derive(Debug, Serialize, ToSchema)]
pub struct MonthlyReportAnswer {
    /// `yyyy-mm`.
    #[schema(example = "2026-11")]
    month: String,
    /// The unit.
    #[serde(flatten)]
    unit: UnitQualityAnswer,
    /// The day that the scores are of: the last of the month, or today.
    as_of: String,
    /// The end of the month before.
    previous_month: Option<QualityDayAnswer>,
    /// Units one level below.
    units: Vec<ReportUnitAnswer>,
    /// The ten worst causes.
    causes: Vec<QualityCause>,
    /// Records with a change that waited longer than allowed at the end of that day, and still did. What was confirmed late
    /// by then is not counted.
    confirmations_late: i64,
    /// Cards made in the month.
    cards_issued: i64,
    /// Cards withdrawn in the month.
    cards_withdrawn: i64,
    /// Approvals.
    approvals: ReportApprovals,
}

impl From<MonthlyReport> for MonthlyReportAnswer {
    fn from(report: MonthlyReport) -> Self {
        let records = report.unit.tally.records;
        let code = report.unit.unit.clone();
        let units = report.units.into_iter().map(|line| ReportUnitAnswer {
            previous_month: line.previous.as_ref().map(QualityScores::of),
            approved_at: line.approved_at,
            unit: line.scores.into(),
        });
        let made = report.approvals.into_iter().map(|one| ReportApprovalAnswer {
            unit: one.unit,
            approver: one.approver,
            approved_at: one.approved_at,
            late: one.late,
        });
        let cause = |(flag, count)| QualityCause::new(code.as_deref(), flag, count, records);
        Self {
            month: report.month.to_string(),
            as_of: report.as_of.to_string(),
            previous_month: report.previous.map(Into::into),
            units: units.collect(),
            causes: report.causes.into_iter().map(cause).collect(),
            confirmations_late: report.confirmations_late,
            cards_issued: report.cards_issued,
            cards_withdrawn: report.cards_withdrawn,
            approvals: ReportApprovals { made: made.collect(), missing: report.missing },
            unit: report.unit.into(),
        }
    }
}

/// `GET /api/v1/reports/{file}`: the monthly report, `2026-11.json` or `2026-11.xlsx`.
#[utoipa::path(get, path = "/api/v1/reports/{file}", tag = "Quality",
    params(("file" = String, Path, description = "The month and the form: `yyyy-mm.json` or `yyyy-mm.xlsx`", example = "2026-11.json"), ReportQuery),
    responses((status = 200, description = "As JSON; as a spreadsheet when the file ends in .xlsx",
        content((MonthlyReportAnswer = "application/json"), (String = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"))), (status = 404, body = ProblemDocument)),
    security(("client" = ["quality:read"])))]
pub async fn monthly_report(
    State(service): State<Service>,
    caller: Caller,
    InPath(name): InPath<String>,
    InQuery(query): InQuery<ReportQuery>,
) -> Result<Response, Problem> {
    let nothing = Refusal::NotFound("report");
    let (month, form) = name.split_once('.').ok_or(nothing.clone())?;
    let month = Month::parse(month).ok_or(nothing.clone())?;
    match form {
        "json" => {
            let report = service.monthly_report(&caller, month, query.unit.as_deref()).await?;
            Ok(([(header::CACHE_CONTROL, "no-store")], Json(MonthlyReportAnswer::from(report))).into_response())
        }
        "xlsx" => {
            let made = service.monthly_report_file(&caller, month, query.unit.as_deref()).await?;
            Ok(attachment(XLSX, &format!("quality-{month}.xlsx"), made))
        }
        _ => Err(nothing.into()),
    }
}
