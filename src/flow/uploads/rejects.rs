//! The rows of an upload that were not taken, as a file that opens in a spreadsheet and comes in again when it is
//! corrected: the columns as they came, and what is wrong.

use std::collections::BTreeMap;

use rust_xlsxwriter::{Format as CellFormat, FormatAlign, IgnoreError, Workbook, XlsxError};
use tokio::task::spawn_blocking;

use super::told::{checked, opened};
use super::{format_of, vault::Vault};
use crate::error::{Fault, Refusal, Result};
use crate::flow::form::{cell_text, label_of, workbook_fault};
use crate::flow::import::ImportError;
use crate::flow::import::read::{Input, Kind, Table, TableRow, read_table};
use crate::flow::import::rejects::guarded;
use crate::flow::{Caller, Service};
use crate::model::catalogue::Catalogue;
use crate::model::intake::FAULTS_COLUMN;
use crate::model::record::RecordKey;
use crate::model::upload::RowOutcome;
use crate::store::Upload;

/// What is told of a row whose record somebody else changed after the check: rule, Vietnamese, English.
pub(super) const MOVED_ON: (&str, &str, &str) = (
    "moved_on",
    "được kiểm tra lại: hồ sơ hoặc danh mục đã thay đổi sau khi kiểm tra",
    "be checked again: the record, or a list, has changed since the check",
);
/// The purpose in the audit line of a record whose row was told.
const READ: &str = "upload.rejects";
/// Rows read at once.
const PAGE: i64 = 2_000;
/// The most cells of a workbook of rejects, which is made in memory.
const MAX_CELLS: usize = 2_000_000;
/// The most bytes of rejects.
const MAX_BYTES: usize = 256 << 20;

/// The form of a file of rejects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectsForm {
    /// A workbook.
    Xlsx,
    /// CSV in UTF-8 with a byte order mark.
    Csv,
}

impl Service {
    /// The rows of an upload that have faults or conflicts, as a file.
    ///
    /// # Errors
    ///
    /// [`Refusal::UploadState`] before the check, [`Refusal::NotFound`] when every row is good, [`Refusal::TooMuch`] when they
    /// are too many for this form.
    pub async fn upload_rejects(&self, caller: &Caller, id: &str, form: RejectsForm) -> Result<Vec<u8>> {
        let upload = self.upload(caller, id).await?;
        checked(&upload)?;
        let vault = self.vault(id)?;
        let (told, keys) = self.told_rejects(&upload, &vault).await?;
        if told.is_empty() {
            return Err(Refusal::NotFound("rejected row").into());
        }
        let _place = self.work_place().await?;
        let made = spawn_blocking(move || {
            let bytes = vault.read()?;
            let mut rejects = Rejects { told, header: Vec::new(), faults_at: None, rows: Vec::new(), bytes: 0 };
            read_table(Input::Bytes(bytes), format_of(&upload), &mut rejects).map_err(unread)?;
            match form {
                RejectsForm::Csv => rejects.csv(),
                RejectsForm::Xlsx => rejects.xlsx(),
            }
        });
        let made = made.await.map_err(|error| Fault::new("making a file of rejects", error))??;
        // Of what is refused, nobody saw anything.
        self.note_rows_read(caller, id, keys, READ).await?;
        Ok(made)
    }

    /// What is told of each rejected row, by its line; and the records that the rows are about.
    async fn told_rejects(&self, upload: &Upload, vault: &Vault) -> Result<(BTreeMap<u64, String>, Vec<RecordKey>)> {
        let (mut told, mut keys, mut after) = (BTreeMap::new(), Vec::new(), 0);
        loop {
            let outcomes = [RowOutcome::Faults, RowOutcome::MovedOn];
            let rows = self.store.upload_rows(&upload.id, &outcomes, after, PAGE).await?;
            let Some(last) = rows.last() else { return Ok((told, keys)) };
            after = last.line;
            for row in &rows {
                let of_row = opened(vault, row)?;
                let mut sentences: Vec<_> = of_row.faults.iter().map(super::told::KeptFault::sentence).collect();
                if row.outcome == RowOutcome::MovedOn {
                    let (rule, vi, en) = MOVED_ON;
                    sentences.push(format!("cả dòng / the row: phải {vi} / must {en} [{rule}]"));
                }
                told.insert(row.line.unsigned_abs(), sentences.join("\n"));
                keys.push(RecordKey { unit: row.unit.clone(), number: of_row.number });
            }
        }
    }
}

fn unread(error: ImportError) -> crate::error::Error {
    match error {
        ImportError::Store(error) => error,
        // It was read before.
        other => Fault::new("reading an upload again", other).into(),
    }
}

/// The rejected rows of a file.
struct Rejects {
    told: BTreeMap<u64, String>,
    header: Vec<String>,
    /// The column of an earlier round's faults, which is left out.
    faults_at: Option<usize>,
    rows: Vec<TableRow>,
    bytes: usize,
}

impl Table for Rejects {
    fn header(&mut self, _: u64, names: &[String]) -> Result<(), ImportError> {
        self.header = names.to_vec();
        self.faults_at = names.iter().position(|name| name.trim() == FAULTS_COLUMN);
        Ok(())
    }

    fn row(&mut self, row: TableRow, _: u64) -> bool {
        if self.told.contains_key(&row.line) {
            self.bytes += row.cells.as_slice().len();
            self.rows.push(row);
        }
        self.bytes <= MAX_BYTES
    }
}

impl Rejects {
    /// The columns that are kept.
    fn kept(&self) -> impl Iterator<Item = usize> + Clone {
        let faults_at = self.faults_at;
        (0..self.header.len()).filter(move |at| Some(*at) != faults_at)
    }

    fn too_much(&self) -> Result<()> {
        if self.bytes > MAX_BYTES {
            return Err(Refusal::TooMuch(format!("the rejected rows are larger than {MAX_BYTES} bytes")).into());
        }
        Ok(())
    }

    fn csv(&self) -> Result<Vec<u8>> {
        self.too_much()?;
        let fault = |error: csv::Error| Fault::new("writing a file of rejects", error);
        let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(b"\xef\xbb\xbf".to_vec());
        let names = self.kept().map(|at| self.header[at].as_str());
        writer.write_record(names.chain([FAULTS_COLUMN])).map_err(fault)?;
        for row in &self.rows {
            for at in self.kept() {
                let cell = String::from_utf8_lossy(row.cells.get(at).unwrap_or_default());
                writer.write_field(&*guarded(&cell)).map_err(fault)?;
            }
            writer.write_field(&self.told[&row.line]).map_err(fault)?;
            writer.write_record(None::<&[u8]>).map_err(fault)?;
        }
        writer.into_inner().map_err(|error| Fault::new("writing a file of rejects", error.to_string()).into())
    }

    fn xlsx(&self) -> Result<Vec<u8>> {
        self.too_much()?;
        if self.rows.len() * (self.header.len() + 1) > MAX_CELLS {
            let rule = format!("more than {MAX_CELLS} cells were rejected: take them as CSV");
            return Err(Refusal::TooMuch(rule).into());
        }
        self.workbook().map_err(|error| workbook_fault(error).into())
    }

    /// Labels, field codes, rows: everything as text, which no spreadsheet calculates.
    fn workbook(&self) -> Result<Vec<u8>, XlsxError> {
        let mut workbook = Workbook::new();
        let text = CellFormat::new().set_num_format("@");
        let bold = text.clone().set_bold().set_text_wrap().set_align(FormatAlign::Top);
        let wrapped = text.clone().set_text_wrap();
        let sheet = workbook.add_worksheet();
        sheet.set_name("Dòng bị loại")?.set_freeze_panes(2, 0)?;
        let mut last = 0;
        for (at, column) in self.kept().zip(0..) {
            let label = label_of(Catalogue::current(), &self.header[at]).map(|(vi, _)| vi).unwrap_or_default();
            sheet.set_column_width(column, 20)?.set_column_format(column, &text)?;
            sheet.write_string_with_format(0, column, label, &bold)?;
            sheet.write_string_with_format(1, column, &self.header[at], &text)?;
            for (row, line) in self.rows.iter().zip(2..) {
                let cell = String::from_utf8_lossy(row.cells.get(at).unwrap_or_default());
                // A date is written so that it is read as one again.
                if !cell.is_empty() && !row.kinds.contains(&(at, Kind::Error)) {
                    sheet.write_string_with_format(line, column, cell_text(&cell), &text)?;
                }
            }
            last = column + 1;
        }
        sheet.set_column_width(last, 80)?;
        sheet.write_string_with_format(0, last, "Lỗi cần sửa / what to correct", &bold)?;
        sheet.write_string_with_format(1, last, FAULTS_COLUMN, &text)?;
        for (row, line) in self.rows.iter().zip(2..) {
            sheet.write_string_with_format(line, last, cell_text(&self.told[&row.line]), &wrapped)?;
        }
        let rows = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        sheet.ignore_error_range(2, 0, rows.saturating_add(1), last, IgnoreError::NumberStoredAsText)?;
        workbook.save_to_buffer()
    }
}
