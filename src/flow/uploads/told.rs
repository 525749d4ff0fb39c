//! What is told of the rows of an upload, kept sealed beside them, and what is told of a file that cannot be read.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rejects::MOVED_ON;
use super::vault::Vault;
use crate::error::Refusal;
use crate::error::{Fault, Result};
use crate::flow::form::label_of;
use crate::flow::import::ImportError;
use crate::flow::{Caller, Service};
use crate::model::catalogue::Catalogue;
use crate::model::patch::Patch;
use crate::model::record::RecordKey;
use crate::model::row_fault::RowFault;
use crate::model::upload::{RowOutcome, UploadState};
use crate::store::{Upload, UploadRow, Waiting};

/// Characters of a value that are shown.
const SHOWN: usize = 200;
/// The longest difference that is shown, as JSON.
const LONGEST_DIFFERENCE: usize = 4_096;
/// Why a record was read: the purpose of the audit line.
const READ: &str = "upload.compare";
/// Most rows of a page.
pub const PAGE_ROWS: i64 = 200;

/// What is told of a file that stopped whoever read it.
pub(super) const GIVEN_UP: [&str; 3] = [
    "given_up",
    "tệp không xử lý được sau nhiều lần thử: mở bằng phần mềm bảng tính, lưu lại rồi tải lên lần nữa",
    "the file could not be processed in several attempts: open it in a spreadsheet program, save it and upload it again",
];

/// Everything personal that is told of a row.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Told {
    /// The personnel number.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) number: String,
    /// The name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) person: String,
    /// What is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) faults: Vec<KeptFault>,
    /// What changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) fields: Vec<KeptField>,
    /// What waits for the record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) waiting: Vec<WaitsBeside>,
}

/// One thing wrong with a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct KeptFault {
    field: String,
    rule: String,
    vi: String,
    en: String,
    /// The column, from 0.
    column: Option<usize>,
    value: Option<String>,
}

/// A field that changes; both sides are missing where they are long.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct KeptField {
    field: String,
    old: Option<Value>,
    new: Option<Value>,
}

impl KeptFault {
    /// Of a fault, and of what stands in the column that it names.
    pub(super) fn of(fault: &RowFault, header: &[String], cell: impl Fn(usize) -> Option<String>) -> Self {
        let column = header.iter().position(|name| !fault.field.is_empty() && name.trim() == fault.field);
        let value = column.and_then(cell).filter(|value| !value.is_empty());
        Self {
            field: fault.field.clone(),
            rule: fault.rule.clone(),
            vi: fault.demand_vi.clone(),
            en: fault.demand_en.clone(),
            column,
            value: value.map(|value| shown(&value)),
        }
    }

    /// The sentence for a file of rejects, without the value.
    pub(super) fn sentence(&self) -> String {
        let field = if self.field.is_empty() { "cả dòng / the row" } else { &self.field };
        format!("{field}: phải {} / must {} [{}]", self.vi, self.en, self.rule)
    }
}

impl KeptField {
    /// Of every field of a change.
    pub(super) fn all(patch: &Patch) -> Vec<Self> {
        let short = |value: &Option<Value>| value.clone().filter(|value| value.to_string().len() <= LONGEST_DIFFERENCE);
        let kept = |(field, difference): (&str, &crate::model::patch::Difference)| Self {
            field: field.to_owned(),
            old: short(&difference.old),
            new: short(&difference.new),
        };
        patch.differences().map(kept).collect()
    }
}

/// As much of a value as is shown.
pub(super) fn shown(value: &str) -> String {
    value.chars().take(SHOWN).collect()
}

/// A page of rows.
#[derive(Clone, Debug)]
pub struct UploadRowPage {
    /// The rows, in the order of their lines.
    pub items: Vec<UploadRowView>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// What is told of a row, to whoever may see the upload.
#[derive(Clone, Debug)]
pub struct UploadRowView {
    /// Its line in the file.
    pub line: i64,
    /// What it would do, or did.
    pub outcome: RowOutcome,
    /// The managing unit that it names.
    pub unit: String,
    /// The personnel number that it names.
    pub number: String,
    /// The name that it says.
    pub person: String,
    /// Fields that it changes.
    pub changed_fields: i64,
    /// The day from which its employment status holds.
    pub waits_until: Option<time::Date>,
    /// Those fields.
    pub fields: Vec<ChangedField>,
    /// What waits for the record already.
    pub waiting: Vec<WaitsBeside>,
    /// What is wrong.
    pub faults: Vec<ToldFault>,
}

/// A change that waits for the record of a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WaitsBeside {
    /// The day from which it holds.
    pub on: String,
    /// The word of the way that it came.
    pub way: String,
    /// Codes of fields and names of lists that it changes.
    pub fields: Vec<String>,
    /// Whether the row ends it: what it says takes its place.
    pub ends: bool,
}

impl WaitsBeside {
    /// Of a change; `ends`: whether the row ends it.
    pub(super) fn of(waiting: &Waiting, ends: bool) -> Self {
        Self {
            on: waiting.due_on.to_string(),
            way: waiting.origin.way.word().to_owned(),
            fields: waiting.patch.fields().map(str::to_owned).collect(),
            ends,
        }
    }
}

/// A field that changes.
#[derive(Clone, Debug)]
pub struct ChangedField {
    /// Its code, or the name of a list.
    pub field: String,
    /// Its labels: Vietnamese, English.
    pub labels: (String, String),
    /// What the record says; missing where it is long.
    pub old: Option<Value>,
    /// What the row says.
    pub new: Option<Value>,
}

/// One thing wrong with a row.
#[derive(Clone, Debug)]
pub struct ToldFault {
    /// Code of the field with its place in a list; empty for the row as a whole.
    pub field: String,
    /// Its labels: Vietnamese, English.
    pub labels: (String, String),
    /// Letters of the column in a spreadsheet.
    pub column: Option<String>,
    /// Column and line.
    pub cell: Option<String>,
    /// What the cell says.
    pub value: Option<String>,
    /// The rule.
    pub rule: String,
    /// The end of "giá trị phải …".
    pub message_vi: String,
    /// The end of "the value must …".
    pub message_en: String,
}

impl Service {
    /// Rows of an upload after a place, with what was found of them: to whoever may see it, which holds values of the file.
    ///
    /// # Errors
    ///
    /// [`Refusal::UploadState`] before the check, and after everything was cleared away.
    pub async fn upload_row_page(
        &self,
        caller: &Caller,
        id: &str,
        outcomes: &[RowOutcome],
        after: i64,
        limit: i64,
    ) -> Result<UploadRowPage> {
        let upload = self.upload(caller, id).await?;
        checked(&upload)?;
        let limit = limit.clamp(1, PAGE_ROWS);
        let mut rows = self.store.upload_rows(id, outcomes, after, limit + 1).await?;
        let more = rows.len() > usize::try_from(limit).unwrap_or(usize::MAX);
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let next = rows.last().filter(|_| more).map(|last| last.line.to_string());
        let vault = self.vault(id)?;
        let items = rows.into_iter().map(|row| view(&vault, row)).collect::<Result<Vec<_>, _>>()?;
        // A row shows its person's data, and beside them what the record says: the person can see who looked.
        let keys = items.iter().map(|row| RecordKey { unit: row.unit.clone(), number: row.number.clone() }).collect();
        self.note_rows_read(caller, id, keys, READ).await?;
        Ok(UploadRowPage { items, next })
    }

    /// Notes that rows were read: for each the record that it is about, and for those without one the upload.
    pub(super) async fn note_rows_read(
        &self,
        caller: &Caller,
        upload: &str,
        keys: Vec<RecordKey>,
        purpose: &str,
    ) -> Result<()> {
        let heads = self.store.record_heads(&keys).await?;
        let read: Vec<_> = keys.iter().filter_map(|key| Some(heads.get(key)?.handle.clone())).collect();
        self.store.note_read(&caller.name, &read, purpose, self.clock.now()).await?;
        if read.len() < keys.len() {
            let detail = format!("{purpose}: {} rows without a record", keys.len() - read.len());
            self.store.note_seen(&caller.name, upload, &detail, self.clock.now()).await?;
        }
        Ok(())
    }
}

/// Refuses an upload whose rows are not known.
pub(super) fn checked(upload: &Upload) -> Result<(), Refusal> {
    match upload.state {
        _ if upload.cleared_at.is_some() => Err(Refusal::UploadState("was cleared away")),
        UploadState::Receiving | UploadState::Checking => Err(Refusal::UploadState("is not checked yet")),
        UploadState::Failed | UploadState::Cancelled => Err(Refusal::UploadState("has no rows")),
        UploadState::Checked | UploadState::Submitting | UploadState::Done => Ok(()),
    }
}

/// What was sealed of a row.
pub(super) fn opened(vault: &Vault, row: &UploadRow) -> Result<Told, Fault> {
    let plain = vault.open_row(row.line, &row.sealed)?;
    serde_json::from_slice(&plain).map_err(|error| Fault::new("reading what is told of a row", error))
}

fn view(vault: &Vault, row: UploadRow) -> Result<UploadRowView, Fault> {
    let told = opened(vault, &row)?;
    let line = row.line;
    let mut faults: Vec<_> = told.faults.into_iter().map(|fault| told_fault(line, fault)).collect();
    if row.outcome == RowOutcome::MovedOn {
        let (rule, vi, en) = MOVED_ON;
        faults.push(ToldFault {
            field: String::new(),
            labels: (String::new(), String::new()),
            column: None,
            cell: None,
            value: None,
            rule: rule.to_owned(),
            message_vi: vi.to_owned(),
            message_en: en.to_owned(),
        });
    }
    let fields = told.fields.into_iter().map(|kept| ChangedField {
        labels: labels(&kept.field),
        field: kept.field,
        old: kept.old,
        new: kept.new,
    });
    Ok(UploadRowView {
        line,
        outcome: row.outcome,
        unit: row.unit,
        number: told.number,
        person: told.person,
        changed_fields: row.changed_fields,
        waits_until: row.waits_until,
        fields: fields.collect(),
        waiting: told.waiting,
        faults,
    })
}

fn told_fault(line: i64, fault: KeptFault) -> ToldFault {
    let column = fault.column.map(letters);
    ToldFault {
        labels: labels(&fault.field),
        cell: column.as_ref().map(|column| format!("{column}{line}")),
        column,
        field: fault.field,
        value: fault.value,
        rule: fault.rule,
        message_vi: format!("phải {}", fault.vi),
        message_en: format!("must {}", fault.en),
    }
}

/// Of a field, or of the first column of a list.
fn labels(field: &str) -> (String, String) {
    let catalogue = Catalogue::current();
    let list = catalogue.lists().iter().find(|list| list.name == field);
    if let Some(first) =
        list.and_then(|list| list.members.iter().map(|at| &catalogue.fields()[*at]).min_by_key(|field| field.number))
    {
        let before = |label: &str| label.split(':').next().unwrap_or_default().to_owned();
        return (before(&first.label_vi), before(&first.label_en));
    }
    label_of(catalogue, field).unwrap_or_default()
}

/// `A` for the first column, `AA` for the twenty-seventh.
fn letters(mut column: usize) -> String {
    let mut letters = Vec::new();
    loop {
        letters.push(char::from(b'A' + u8::try_from(column % 26).unwrap_or_default()));
        if column < 26 {
            return letters.into_iter().rev().collect();
        }
        column = column / 26 - 1;
    }
}

/// Why a file cannot be read: a code, and sentences in both languages.
pub(super) fn file_fault(error: &ImportError) -> (String, String, String) {
    match error {
        ImportError::File(fault) => {
            let (vi, en) = fault.messages();
            (fault.code().to_owned(), vi, en)
        }
        ImportError::Header(fault) => both("header", &fault.to_string()),
        ImportError::RowTooLong(_) => both("row_too_long", &error.to_string()),
        _ => both("unreadable", "tệp không đọc được / the file cannot be read"),
    }
}

/// Sentences that stand in both languages with a slash between them.
fn both(code: &str, text: &str) -> (String, String, String) {
    let (vi, en) = text.split_once(" / ").unwrap_or((text, text));
    (code.to_owned(), vi.to_owned(), en.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_letters_as_in_a_spreadsheet() {
        for (column, expected) in [(0, "A"), (25, "Z"), (26, "AA"), (51, "AZ"), (701, "ZZ"), (702, "AAA")] {
            assert_eq!(letters(column), expected);
        }
    }

    #[test]
    fn lists_and_fields_have_labels() {
        assert_eq!(labels("DS_QUATRINH_CONGTAC").0, "Quá trình công tác");
        assert_eq!(labels("work_history_to[2]").1, "Work history: to (entry 2)");
        assert_eq!(labels("").0, "");
    }
}
