//! An XLSX workbook as rows: the one visible sheet in which field codes stand, read cell by cell. Formulas are never
//! calculated: the result that the spreadsheet left is taken, or there is none. What the file says of itself was measured
//! before (`archive.rs`).

use std::fmt::Write as _;
use std::io::{self, Cursor, Read};
use std::path::Path;

use calamine::{DataRef, Reader, SheetType, SheetVisible, Xlsx, XlsxCellReader, XlsxError};
use csv::ByteRecord;

use super::read::{Kind, Table, TableRow};
use super::{FileFault, HEADER_ROWS, ImportError, MAX_CELLS, MAX_ROW_BYTES, archive};
use crate::model::catalogue::Catalogue;
use crate::model::intake::{Layout, MAX_COLUMNS};

/// Rows and columns of a sheet (ECMA-376 part 1, annex of Excel's limits).
const MAX_ROW: u32 = 1_048_576;
const MAX_COLUMN: u32 = 16_384;
/// The most text of a sheet.
const MAX_TEXT_BYTES: u64 = 2 << 30;
/// What a password or the form of before 2007 begins with: the compound file of MS-CFB.
const COMPOUND: [u8; 8] = [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1];

/// The bytes of a workbook's file, bounded.
pub(super) fn bytes_of(path: &Path) -> Result<Vec<u8>, ImportError> {
    let file = std::fs::File::open(path).map_err(ImportError::Read)?;
    let mut bytes = Vec::new();
    file.take(archive::MAX_PACKED_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(ImportError::Read)?;
    Ok(bytes)
}

/// Hands the rows of a workbook to a table.
pub(super) fn read(bytes: Vec<u8>, table: &mut impl Table) -> Result<(), ImportError> {
    if bytes.starts_with(&COMPOUND) {
        return Err(FileFault::OldForm.into());
    }
    let total = bytes.len() as u64;
    let mut workbook = Xlsx::new(archive::measured(bytes)?).map_err(|error| fault(&error))?;
    let (sheet, header_row) = entry_sheet(&mut workbook)?;
    let merged = merged_rows(&mut workbook, &sheet, header_row)?;
    let cells = workbook.worksheet_cells_reader(&sheet).map_err(|error| fault(&error))?;
    let rows = f64::from(cells.dimensions().end.0.min(MAX_ROW) + 1);
    let mut rows_of = Rows { cells, next: None, row: Buffer::default(), seen: 0, seen_bytes: 0, at: None };
    let mut width = 0;
    let mut merged = Sweep { merged, at: 0, reach: 0 };
    while let Some(row) = rows_of.next(width)? {
        let line = u64::from(row.row) + 1;
        if row.row < header_row {
            continue;
        }
        if row.row == header_row {
            let mut names: Vec<_> =
                row.cells.iter().map(|cell| String::from_utf8_lossy(cell).trim().to_owned()).collect();
            while names.last().is_some_and(String::is_empty) {
                names.pop();
            }
            width = names.len();
            table.header(line, &names)?;
            continue;
        }
        if row.cells.iter().all(<[u8]>::is_empty) && row.kinds.is_empty() {
            continue;
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]
        let bytes = (total as f64 * (f64::from(row.row) / rows).min(1.0)) as u64;
        let is_merged = merged.touches(row.row);
        let row = TableRow { line, cells: row.cells, kinds: row.kinds, is_merged, is_too_long: row.is_too_long };
        if !table.row(row, bytes) {
            return Ok(());
        }
    }
    Ok(())
}

/// The sheet with the data, and the row of its field codes.
fn entry_sheet(workbook: &mut Xlsx<Cursor<Vec<u8>>>) -> Result<(String, u32), ImportError> {
    let sheets: Vec<_> =
        workbook.sheets_metadata().iter().filter(|sheet| sheet.typ == SheetType::WorkSheet).cloned().collect();
    let (mut found, mut hidden, mut first) = (Vec::new(), false, None);
    for sheet in sheets {
        let cells = match workbook.worksheet_cells_reader(&sheet.name) {
            Ok(cells) => cells,
            Err(XlsxError::NotAWorksheet(_)) => continue,
            Err(error) => return Err(fault(&error)),
        };
        let mut rows = Rows { cells, next: None, row: Buffer::default(), seen: 0, seen_bytes: 0, at: None };
        while let Some(row) = rows.next(0)? {
            if row.row >= u32::try_from(HEADER_ROWS).unwrap_or(u32::MAX) {
                break;
            }
            let names: Vec<_> = row.cells.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect();
            let is_header = Layout::is_header(Catalogue::current(), names.iter().map(String::as_str));
            match (is_header, sheet.visible == SheetVisible::Visible) {
                (true, true) => found.push((sheet.name.clone(), row.row)),
                (true, false) => hidden = true,
                (false, true) if first.is_none() => first = Some(names),
                _ => {}
            }
            if is_header {
                break;
            }
        }
    }
    match (found.len(), hidden) {
        (1, _) => Ok(found.remove(0)),
        (0, true) => Err(FileFault::HiddenSheet.into()),
        (0, false) => {
            // What is wrong with the first row tells most.
            let first = first.unwrap_or_default();
            let names = first.iter().map(String::as_str).filter(|name| !name.is_empty());
            let fault = Layout::of(Catalogue::current(), names).err();
            Err(fault.unwrap_or(crate::model::intake::HeaderFault::NoHeader).into())
        }
        _ => Err(FileFault::SeveralSheets.into()),
    }
}

/// First and last rows of what is merged below the header, in their order.
fn merged_rows(
    workbook: &mut Xlsx<Cursor<Vec<u8>>>,
    sheet: &str,
    header_row: u32,
) -> Result<Vec<(u32, u32)>, ImportError> {
    let merged = workbook.merge_cells_by_sheet_name(sheet).map_err(|error| fault(&error))?;
    let mut rows: Vec<_> = merged.iter().map(|region| (region.start.0, region.end.0)).collect();
    rows.retain(|(_, last)| *last > header_row);
    rows.sort_unstable();
    Ok(rows)
}

/// Goes through merged regions beside rows that come in order.
struct Sweep {
    merged: Vec<(u32, u32)>,
    at: usize,
    reach: u32,
}

impl Sweep {
    fn touches(&mut self, row: u32) -> bool {
        while let Some((_, last)) = self.merged.get(self.at).filter(|(first, _)| *first <= row) {
            self.reach = self.reach.max(*last + 1);
            self.at += 1;
        }
        row < self.reach
    }
}

/// Cells gathered into rows.
struct Rows<'a> {
    cells: XlsxCellReader<'a, Cursor<Vec<u8>>>,
    /// A cell that was read and belongs to the next row.
    next: Option<(u32, u32, Content)>,
    row: Buffer,
    /// Cells with content so far, and their bytes: one text can stand in many cells.
    seen: u64,
    seen_bytes: u64,
    /// The row before.
    at: Option<u32>,
}

/// What is kept of a cell that was read too far: one for each row.
struct Content {
    text: String,
    kind: Option<Kind>,
}

/// A row.
struct SheetRow {
    /// From 0.
    row: u32,
    cells: ByteRecord,
    kinds: Vec<(usize, Kind)>,
    is_too_long: bool,
}

/// Where the text of a cell is written before it is known to belong to the row.
#[derive(Default)]
struct Buffer {
    text: String,
}

impl Rows<'_> {
    /// The next row with cells, at least `width` wide.
    fn next(&mut self, width: usize) -> Result<Option<SheetRow>, ImportError> {
        let mut row: Option<SheetRow> = self.next.take().map(|(at, column, content)| {
            let mut row = SheetRow { row: at, cells: ByteRecord::new(), kinds: Vec::new(), is_too_long: false };
            row.put(column, &content.text, content.kind);
            row
        });
        loop {
            let cell = self.cells.next_cell_with_formula_metadata().map_err(|error| fault(&error))?;
            let Some(cell) = cell else { break };
            let (at, column) = cell.pos;
            if at >= MAX_ROW || column >= MAX_COLUMN {
                return Err(FileFault::NotAWorkbook.into());
            }
            self.row.text.clear();
            let kind = written(&mut self.row.text, &cell.value, cell.formula.is_some());
            if self.row.text.is_empty() && kind.is_none() {
                continue;
            }
            self.seen += 1;
            self.seen_bytes += self.row.text.len() as u64;
            if self.seen > MAX_CELLS || self.seen_bytes > MAX_TEXT_BYTES {
                return Err(FileFault::TooManyCells.into());
            }
            match &mut row {
                Some(row) if row.row == at => {
                    if !row.put(column, &self.row.text, kind) {
                        return Err(FileFault::NotAWorkbook.into());
                    }
                }
                Some(_) => {
                    self.next = Some((at, column, Content { text: self.row.text.clone(), kind }));
                    break;
                }
                None => {
                    let mut first =
                        SheetRow { row: at, cells: ByteRecord::new(), kinds: Vec::new(), is_too_long: false };
                    first.put(column, &self.row.text, kind);
                    row = Some(first);
                }
            }
        }
        if let Some(row) = &mut row {
            // Rows come in their order (ECMA-376 part 1, 18.3.1.73).
            if self.at.is_some_and(|before| before >= row.row) {
                return Err(FileFault::NotAWorkbook.into());
            }
            self.at = Some(row.row);
            while row.cells.len() < width {
                row.cells.push_field(b"");
            }
        }
        Ok(row)
    }
}

impl SheetRow {
    /// Puts a cell behind those that it has; `false` when it does not stand there.
    fn put(&mut self, column: u32, text: &str, kind: Option<Kind>) -> bool {
        let column = column as usize;
        if column < self.cells.len() {
            return false;
        }
        // Wider than any header: one cell more says that the row is too wide.
        if column > MAX_COLUMNS {
            while self.cells.len() <= MAX_COLUMNS {
                self.cells.push_field(b"");
            }
            return true;
        }
        if self.is_too_long || (self.cells.as_slice().len() + text.len()) as u64 > MAX_ROW_BYTES {
            self.is_too_long = true;
            return true;
        }
        while self.cells.len() < column {
            self.cells.push_field(b"");
        }
        self.cells.push_field(text.as_bytes());
        if let Some(kind) = kind {
            self.kinds.push((column, kind));
        }
        true
    }
}

/// Writes what a cell says; the kind, when it is not text.
fn written(text: &mut String, value: &DataRef<'_>, is_formula: bool) -> Option<Kind> {
    match value {
        DataRef::Empty if is_formula => Some(Kind::Formula),
        DataRef::Empty => None,
        DataRef::SharedString(value) => {
            text.push_str(value);
            None
        }
        DataRef::String(value) => {
            text.push_str(value);
            None
        }
        DataRef::Int(value) => {
            let _ = write!(text, "{value}");
            Some(Kind::Number)
        }
        DataRef::Float(value) => {
            // The shortest digits that mean this number: 4.32, and whole numbers without a point.
            let _ = write!(text, "{value}");
            Some(Kind::Number)
        }
        DataRef::Bool(value) => {
            text.push(if *value { '1' } else { '0' });
            None
        }
        DataRef::DateTime(value) if value.is_datetime() => {
            let (year, month, day, ..) = value.to_ymd_hms_milli();
            let _ = write!(text, "{year:04}{month:02}{day:02}");
            Some(Kind::Date)
        }
        DataRef::DateTimeIso(value) => {
            text.extend(value.chars().take(10).filter(|character| *character != '-'));
            Some(Kind::Date)
        }
        DataRef::DateTime(_) | DataRef::DurationIso(_) | DataRef::Error(_) => Some(Kind::Error),
    }
}

fn fault(error: &XlsxError) -> ImportError {
    match error {
        XlsxError::Password => FileFault::OldForm.into(),
        XlsxError::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => FileFault::Bomb.into(),
        _ => FileFault::NotAWorkbook.into(),
    }
}
