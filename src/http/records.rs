//! `/api/v1/records`, `/api/v1/changes`: what units have sent, what each version changed, what waits for its day.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::answer::{Problem, ProblemDocument, jpeg};
use super::api::person;
use super::extract::{ApiJson, InPath, InQuery, handle};
use crate::error::Refusal;
use crate::flow::records::{
    FieldName, RecordFilter, RecordSearch, RecordView, StoredRecord, VersionView, Waiting, field_name,
};
use crate::flow::{Caller, Service};
use crate::model::card::Card;
use crate::model::catalogue::{Catalogue, Privacy};
use crate::model::id::Handle;
use crate::model::patch::Patch;
use crate::model::person::MatchOutcome;

/// The longest name and number that is looked for, in characters.
const MAX_NAME_LENGTH: usize = 200;
const MAX_NUMBER_LENGTH: usize = 64;

/// Which records.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// The unit; everything below it is meant, too.
    #[param(example = "H26.05")]
    unit: String,
    /// Which of its records.
    #[serde(default)]
    #[param(inline)]
    filter: ListFilter,
    /// `next` of the page before.
    after: Option<String>,
    /// 1 to 200.
    limit: Option<i64>,
}

/// Which records of a unit are listed.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ListFilter {
    /// All that were not taken back.
    #[default]
    All,
    /// Those that wait for the unit's word.
    Unconfirmed,
    /// Those that the population database was not asked about yet.
    Unmatched,
    /// Those that it does not know, or knows otherwise.
    Discrepant,
    /// Those of people who are not in service.
    OutOfService,
    /// Those that were taken back.
    Removed,
}

impl From<ListFilter> for RecordFilter {
    fn from(filter: ListFilter) -> Self {
        match filter {
            ListFilter::All => Self::All,
            ListFilter::Unconfirmed => Self::Unconfirmed,
            ListFilter::Unmatched => Self::Unmatched,
            ListFilter::Discrepant => Self::Discrepant,
            ListFilter::OutOfService => Self::OutOfService,
            ListFilter::Removed => Self::Removed,
        }
    }
}

/// A page of records.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordList {
    /// In the order of their handles.
    items: Vec<RecordSummary>,
    /// For `after`, if there may be more.
    next: Option<String>,
}

/// A record in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordSummary {
    /// Its random name.
    #[schema(example = "7Q2M8K3D5N9R1T4V")]
    handle: String,
    /// The managing unit.
    #[schema(example = "H26.05")]
    unit: String,
    /// The number that the unit gave.
    number: String,
    /// Birth name.
    full_name: String,
    /// The personal number but for its last three digits.
    masked_personal_number: Option<String>,
    /// The version in force.
    version: i64,
    /// When it came (Unix seconds).
    changed_at: i64,
    /// `pending`, `matched`, `not_found` or `mismatched`.
    population: &'static str,
    /// When the unit confirmed this version (Unix seconds).
    confirmed_at: Option<i64>,
    /// `active`, `retired`… as the record says.
    employment_status: Option<String>,
    /// When the unit took it back (Unix seconds).
    removed_at: Option<i64>,
}

impl From<&StoredRecord> for RecordSummary {
    fn from(stored: &StoredRecord) -> Self {
        let key = stored.record.key();
        Self {
            handle: stored.handle.to_string(),
            unit: key.unit,
            number: key.number,
            full_name: stored.record.full_name().to_owned(),
            masked_personal_number: stored.record.personal_number().map(|number| number.masked()),
            version: stored.version,
            changed_at: stored.standing.changed_at,
            population: stored.standing.population.as_ref().map_or("pending", MatchOutcome::word),
            confirmed_at: stored.standing.confirmed_at,
            employment_status: stored.record.text("employment_status").map(str::to_owned),
            removed_at: stored.removed_at,
        }
    }
}

/// A record with all that is known about it.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordDocument {
    #[serde(flatten)]
    summary: RecordSummary,
    /// Fields that the population database says otherwise.
    differs_in: Vec<String>,
    /// Who gave the unit's word.
    confirmed_by: Option<String>,
    /// What keeps it from the four words.
    flags: Vec<FlagDocument>,
    /// What it says.
    fields: Vec<FieldDocument>,
    /// Changes that wait for their day.
    waiting: Vec<ChangeDocument>,
}

/// What keeps a record from one of the four words.
#[derive(Debug, Serialize, ToSchema)]
pub struct FlagDocument {
    /// đúng, đủ, sạch or sống.
    word: &'static str,
    /// In Vietnamese.
    message_vi: String,
    /// In English.
    message_en: String,
}

/// A field or list with where it comes from.
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldDocument {
    /// Its code in the catalogue, or the name of the list.
    #[schema(example = "position_title")]
    code: String,
    /// The group of the dossier.
    group: &'static str,
    /// Vietnamese label.
    label_vi: &'static str,
    /// English label.
    label_en: &'static str,
    /// `basic`, `sensitive` or `work`.
    privacy: &'static str,
    /// What it says: a text, or the entries of a list.
    value: Value,
    /// The version that brought it.
    since_version: i64,
    /// `import`, `sync`, `upload`, `update`, `reorganisation` or `population`.
    way: &'static str,
    /// When (Unix seconds).
    since: i64,
}

/// A version of a record.
#[derive(Debug, Serialize, ToSchema)]
pub struct VersionDocument {
    /// Counted from 1.
    version: i64,
    /// When it came (Unix seconds).
    at: i64,
    /// `import`, `sync`, `upload`, `update`, `reorganisation` or `population`.
    way: &'static str,
    /// What brought it.
    reference: String,
    /// Who.
    actor: String,
    /// What it changed.
    changes: Vec<DifferenceDocument>,
}

/// A field before and after.
#[derive(Debug, Serialize, ToSchema)]
pub struct DifferenceDocument {
    /// Its code in the catalogue, or the name of the list.
    code: String,
    /// Vietnamese label.
    label_vi: &'static str,
    /// English label.
    label_en: &'static str,
    /// Before; null when it was empty.
    #[schema(required)]
    old: Option<Value>,
    /// After; null when it is to be empty.
    #[schema(required)]
    new: Option<Value>,
}

/// A change that waits for its day.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangeDocument {
    /// Its random name.
    id: String,
    /// The record, there or to come.
    record: String,
    /// The managing unit.
    unit: String,
    /// The number that the unit gave.
    number: String,
    /// The day in Vietnam from which it holds.
    #[schema(example = "2027-01-01")]
    effective_on: String,
    /// `waiting`, or `conflict`: others changed the same fields meanwhile, and the unit decides.
    state: String,
    /// The fields in conflict.
    conflicts: Vec<String>,
    /// The way in.
    way: &'static str,
    /// What brought it.
    reference: String,
    /// When it came (Unix seconds).
    created_at: i64,
    /// What it changes.
    changes: Vec<DifferenceDocument>,
}

/// A page of changes.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangeList {
    /// In the order of their names.
    items: Vec<ChangeDocument>,
    /// For `after`, if there may be more.
    next: Option<String>,
}

/// A field that the catalogue does not have any more.
const UNKNOWN: FieldName = FieldName { group: "", label_vi: "", label_en: "", privacy: Privacy::Sensitive };

fn name_of(code: &str) -> FieldName {
    field_name(Catalogue::current(), code).unwrap_or(UNKNOWN)
}

/// Old and new side by side.
pub(super) fn differences(patch: &Patch) -> Vec<DifferenceDocument> {
    let one = |(code, difference): (&str, &crate::model::patch::Difference)| {
        let FieldName { label_vi, label_en, .. } = name_of(code);
        let (old, new) = (difference.old.clone(), difference.new.clone());
        DifferenceDocument { code: code.to_owned(), label_vi, label_en, old, new }
    };
    patch.differences().map(one).collect()
}

impl From<&Waiting> for ChangeDocument {
    fn from(waiting: &Waiting) -> Self {
        let is_conflict = waiting.state == "conflict";
        let conflicts = waiting.detail.split(',').filter(|field| is_conflict && !field.is_empty());
        Self {
            id: waiting.id.clone(),
            record: waiting.record.to_string(),
            unit: waiting.key.unit.clone(),
            number: waiting.key.number.clone(),
            effective_on: waiting.due_on.to_string(),
            state: waiting.state.clone(),
            conflicts: conflicts.map(str::to_owned).collect(),
            way: waiting.origin.way.word(),
            reference: waiting.origin.reference.clone(),
            created_at: waiting.created_at,
            changes: differences(&waiting.patch),
        }
    }
}

impl From<RecordView> for RecordDocument {
    fn from(view: RecordView) -> Self {
        let values = view.stored.record.members();
        let fields = view.sources.into_iter().filter_map(|(code, source)| {
            let FieldName { group, label_vi, label_en, privacy } = name_of(&code);
            let privacy = match privacy {
                Privacy::Basic => "basic",
                Privacy::Sensitive => "sensitive",
                Privacy::Work => "work",
            };
            let value = values.get(&code)?.clone();
            let (since_version, way, since) = (source.version, source.way.word(), source.at);
            Some(FieldDocument { code, group, label_vi, label_en, privacy, value, since_version, way, since })
        });
        let flags = view.flags.iter().map(|flag| {
            let (message_vi, message_en) = flag.messages();
            FlagDocument { word: flag.measure().word_vi(), message_vi, message_en }
        });
        let differs_in = view.stored.standing.population.iter().flat_map(MatchOutcome::fields);
        Self {
            summary: RecordSummary::from(&view.stored),
            differs_in: differs_in.map(|field| (*field).to_owned()).collect(),
            confirmed_by: view.stored.confirmed_by.clone(),
            flags: flags.collect(),
            fields: fields.collect(),
            waiting: view.waiting.iter().map(ChangeDocument::from).collect(),
        }
    }
}

impl From<VersionView> for VersionDocument {
    fn from(view: VersionView) -> Self {
        let VersionView { version, changes } = view;
        Self {
            version: version.version,
            at: version.at,
            way: version.origin.way.word(),
            reference: version.origin.reference,
            actor: version.origin.actor,
            changes: differences(&changes),
        }
    }
}

/// `GET /api/v1/records`: records of a unit and below. That their names were read is written down.
#[utoipa::path(get, path = "/api/v1/records", tag = "Records", params(ListQuery),
    responses((status = 200, body = RecordList)), security(("client" = ["records:read"])))]
pub async fn list_records(
    State(service): State<Service>,
    caller: Caller,
    InQuery(query): InQuery<ListQuery>,
) -> Result<Json<RecordList>, Problem> {
    let after = query.after.as_deref().map(after_handle).transpose()?;
    let limit = query.limit.unwrap_or(50);
    let page = service.list_records(&caller, &query.unit, query.filter.into(), after.as_ref(), limit).await?;
    let items = page.records.iter().map(RecordSummary::from).collect();
    Ok(Json(RecordList { items, next: page.next.map(|handle| handle.to_string()) }))
}

/// What records are looked for by: exactly one of number of the person, number that the unit gave, and name. In a body,
/// because none of them belongs in a URL.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordsSought {
    /// The person's 12-digit personal identification number.
    #[serde(default)]
    #[schema(example = "001199000018", pattern = "^[0-9]{12}$")]
    personal_id_number: Option<String>,
    /// The whole number that the unit gave.
    #[serde(default)]
    #[schema(max_length = 64)]
    number: Option<String>,
    /// Words of the name; case and accents do not matter.
    #[serde(default)]
    #[schema(max_length = 200)]
    name: Option<String>,
    /// Of this unit and all below; wherever you may look when absent.
    #[serde(default)]
    #[schema(example = "H26.05")]
    unit: Option<String>,
}

/// Records that were found.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordsFound {
    /// By name, at most 100.
    records: Vec<RecordSummary>,
}

/// `POST /api/v1/records/search`: the records of a person, of a unit's number, or of a name. That they were read is
/// written down.
#[utoipa::path(post, path = "/api/v1/records/search", tag = "Records", request_body = RecordsSought,
    responses((status = 200, body = RecordsFound), (status = 403, body = ProblemDocument)), security(("client" = ["records:read"])))]
pub async fn search_records(
    State(service): State<Service>,
    caller: Caller,
    ApiJson(sought): ApiJson<RecordsSought>,
) -> Result<Response, Problem> {
    let is_short = |text: &String, most: usize| text.chars().count() <= most;
    let search = match (sought.personal_id_number, sought.number, sought.name) {
        (Some(number), None, None) => RecordSearch::Person(person(&number)?),
        (None, Some(number), None) if is_short(&number, MAX_NUMBER_LENGTH) => RecordSearch::Number(number),
        (None, None, Some(name)) if is_short(&name, MAX_NAME_LENGTH) => RecordSearch::Name(name),
        _ => {
            let rule =
                "must have exactly one of personal_id_number, number (at most 64 characters) and name (at most 200)";
            return Err(Refusal::malformed("body", rule).into());
        }
    };
    let found = service.search_records(&caller, &search, sought.unit.as_deref()).await?;
    let records = found.iter().map(RecordSummary::from).collect();
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(RecordsFound { records })).into_response())
}

/// `GET /api/v1/records/{handle}`: all that is known about a record, with where it comes from. That it was read is written
/// down, and the person can see it.
#[utoipa::path(get, path = "/api/v1/records/{handle}", tag = "Records",
    params(("handle" = String, Path, description = "The record's random name")),
    responses((status = 200, body = RecordDocument), (status = 404, body = ProblemDocument)),
    security(("client" = ["records:read"])))]
pub async fn read_record(
    State(service): State<Service>,
    caller: Caller,
    InPath(name): InPath<String>,
) -> Result<Json<RecordDocument>, Problem> {
    Ok(Json(service.read_record(&caller, &handle(&name, "record")?).await?.into()))
}

/// `GET /api/v1/records/{handle}/versions`: what each version changed, the newest first.
#[utoipa::path(get, path = "/api/v1/records/{handle}/versions", tag = "Records",
    params(("handle" = String, Path, description = "The record's random name")),
    responses((status = 200, body = Vec<VersionDocument>), (status = 404, body = ProblemDocument)),
    security(("client" = ["records:read"])))]
pub async fn record_versions(
    State(service): State<Service>,
    caller: Caller,
    InPath(name): InPath<String>,
) -> Result<Json<Vec<VersionDocument>>, Problem> {
    let versions = service.read_versions(&caller, &handle(&name, "record")?).await?;
    Ok(Json(versions.into_iter().map(VersionDocument::from).collect()))
}

/// `GET /api/v1/records/{handle}/portraits/{sha256}`: a portrait that a record has or had, by the hash that its versions and
/// what waits for the unit's word name. Written down as a look at the record.
#[utoipa::path(get, path = "/api/v1/records/{handle}/portraits/{sha256}", tag = "Records",
    params(("handle" = String, Path, description = "The record's random name"),
        ("sha256" = String, Path, description = "SHA-256 in hexadecimal")),
    responses((status = 200, content_type = "image/jpeg"), (status = 404, body = ProblemDocument)),
    security(("client" = ["records:read"])))]
pub async fn record_portrait(
    State(service): State<Service>,
    caller: Caller,
    InPath((name, sha256)): InPath<(String, String)>,
) -> Result<Response, Problem> {
    Ok(jpeg(service.record_portrait(&caller, &handle(&name, "record")?, &sha256).await?))
}

/// Which changes.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ChangesQuery {
    /// The unit; everything below it is meant, too.
    unit: String,
    /// `next` of the page before.
    after: Option<String>,
    /// 1 to 200.
    limit: Option<i64>,
}

/// `GET /api/v1/changes`: changes that wait for their day, and those that need a decision.
#[utoipa::path(get, path = "/api/v1/changes", tag = "Records", params(ChangesQuery),
    responses((status = 200, body = ChangeList)), security(("client" = ["records:read"])))]
pub async fn waiting_changes(
    State(service): State<Service>,
    caller: Caller,
    InQuery(query): InQuery<ChangesQuery>,
) -> Result<Json<ChangeList>, Problem> {
    let after = query.after.as_deref().map(after_handle).transpose()?;
    let after = after.as_ref().map_or("", Handle::as_str);
    let (changes, next) = service.list_changes(&caller, &query.unit, after, query.limit.unwrap_or(50)).await?;
    Ok(Json(ChangeList { items: changes.iter().map(ChangeDocument::from).collect(), next }))
}

/// Of which unit changes are counted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ChangeCountQuery {
    /// The unit; everything below it is meant, too.
    unit: String,
}

/// How many changes there are, without anything of whom they are about.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangeCount {
    /// Those that wait for their day.
    waiting: i64,
    /// Those that need a decision.
    conflicts: i64,
}

/// `GET /api/v1/changes/count`: how many changes wait for their day, and how many need a decision. Nobody's data is read.
#[utoipa::path(get, path = "/api/v1/changes/count", tag = "Records", params(ChangeCountQuery),
    responses((status = 200, body = ChangeCount)), security(("client" = ["records:read"])))]
pub async fn count_changes(
    State(service): State<Service>,
    caller: Caller,
    InQuery(query): InQuery<ChangeCountQuery>,
) -> Result<Json<ChangeCount>, Problem> {
    let (waiting, conflicts) = service.count_changes(&caller, &query.unit).await?;
    Ok(Json(ChangeCount { waiting, conflicts }))
}

/// `DELETE /api/v1/changes/{id}`: a change that waits is not made.
#[utoipa::path(delete, path = "/api/v1/changes/{id}", tag = "Records",
    params(("id" = String, Path, description = "The change's random name")),
    responses((status = 204), (status = 404, body = ProblemDocument), (status = 410, body = ProblemDocument)),
    security(("client" = ["records:confirm"])))]
pub async fn cancel_change(
    State(service): State<Service>,
    caller: Caller,
    InPath(id): InPath<String>,
) -> Result<StatusCode, Problem> {
    service.cancel_change(&caller, handle(&id, "change")?.as_str()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which cards.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EndingQuery {
    /// The unit; everything below it is meant, too.
    unit: String,
    /// 0 to 366; 60 when absent.
    within_days: Option<i64>,
}

/// A card whose term or contract ends soon.
#[derive(Debug, Serialize, ToSchema)]
pub struct EndingCard {
    /// Its random name.
    card: String,
    /// The record that it was made from.
    record: String,
    /// The employing unit.
    unit: String,
    /// The card number, its middle part masked.
    masked_number: String,
    /// From when it is expired (Unix seconds).
    valid_until: i64,
}

impl From<Card> for EndingCard {
    fn from(card: Card) -> Self {
        Self {
            card: card.handle.to_string(),
            record: card.record.to_string(),
            unit: card.unit,
            masked_number: card.masked_number,
            valid_until: card.valid_until,
        }
    }
}

/// `GET /api/v1/cards/ending`: cards in force whose term or contract ends soon, the soonest first, at most 500.
#[utoipa::path(get, path = "/api/v1/cards/ending", tag = "Cards", params(EndingQuery),
    responses((status = 200, body = Vec<EndingCard>)), security(("client" = ["cards:read"])))]
pub async fn cards_ending(
    State(service): State<Service>,
    caller: Caller,
    InQuery(query): InQuery<EndingQuery>,
) -> Result<Json<Vec<EndingCard>>, Problem> {
    let cards = service.cards_ending(&caller, &query.unit, query.within_days.unwrap_or(60)).await?;
    Ok(Json(cards.into_iter().map(EndingCard::from).collect()))
}

fn after_handle(text: &str) -> Result<Handle, Refusal> {
    Handle::parse(text).ok_or_else(|| Refusal::malformed("query.after", "must be the `next` of a page"))
}
