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
    let mut rows_of =
        Rows { cells, next: None, row: Buffer::default(), seen: 0, seen_bytes: 0, at: None, is_over: false };
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
        let mut rows =
            Rows { cells, next: None, row: Buffer::default(), seen: 0, seen_bytes: 0, at: None, is_over: false };
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
    /// There are no more cells.
    is_over: bool,
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
        while !self.is_over {
            let cell = self.cells.next_cell_with_formula_metadata().map_err(|error| fault(&error))?;
            let Some(cell) = cell else {
                self.is_over = true;
                break;
            };
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;
    use rust_xlsxwriter::{ExcelDateTime, Format, Formula, Workbook};
    use zip::write::SimpleFileOptions;

    use super::*;

    /// A row: line, cells, kinds.
    type SeenRow = (u64, Vec<String>, Vec<(usize, Kind)>);

    /// Rows as they come.
    #[derive(Default)]
    struct Seen {
        header: Vec<String>,
        rows: Vec<SeenRow>,
        merged: Vec<u64>,
        long: Vec<u64>,
        most: usize,
    }

    impl Table for Seen {
        fn header(&mut self, _: u64, names: &[String]) -> Result<(), ImportError> {
            self.header = names.to_vec();
            Ok(())
        }

        fn row(&mut self, row: TableRow, _: u64) -> bool {
            let cells = row.cells.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect();
            if row.is_merged {
                self.merged.push(row.line);
            }
            if row.is_too_long {
                self.long.push(row.line);
            }
            self.rows.push((row.line, cells, row.kinds));
            self.most == 0 || self.rows.len() < self.most
        }
    }

    fn seen(bytes: Vec<u8>) -> Result<Seen, ImportError> {
        let mut seen = Seen::default();
        read(bytes, &mut seen).map(|()| seen)
    }

    fn refused(bytes: Vec<u8>) -> FileFault {
        match seen(bytes) {
            Err(ImportError::File(fault)) => fault,
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("it was read"),
        }
    }

    const HEADER: [&str; 4] = ["agency_personnel_number", "full_name", "managing_unit_code", "date_of_birth"];

    fn with_header(fill: impl FnOnce(&mut rust_xlsxwriter::Worksheet)) -> Vec<u8> {
        let mut workbook = Workbook::new();
        let sheet = workbook.add_worksheet();
        sheet.write_row(0, 0, HEADER).unwrap();
        fill(sheet);
        workbook.save_to_buffer().unwrap()
    }

    /// A workbook by hand: its sheet, shared strings and styles as given.
    fn by_hand(sheet: &str, strings: &str, styles: &str) -> Vec<u8> {
        archive(&[
            ("xl/worksheets/sheet1.xml", sheet.as_bytes()),
            ("xl/sharedStrings.xml", strings.as_bytes()),
            ("xl/styles.xml", styles.as_bytes()),
        ])
    }

    fn archive(parts: &[(&str, &[u8])]) -> Vec<u8> {
        let base: [(&str, &[u8]); 4] = [
            ("[Content_Types].xml", b"<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"/>"),
            (
                "_rels/.rels",
                b"<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship Id=\"rId1\" \
                  Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument\" \
                  Target=\"xl/workbook.xml\"/></Relationships>",
            ),
            (
                "xl/workbook.xml",
                b"<workbook xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" \
                  xmlns:r=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships\"><sheets><sheet name=\"A\" \
                  sheetId=\"1\" r:id=\"rId1\"/></sheets></workbook>",
            ),
            (
                "xl/_rels/workbook.xml.rels",
                b"<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship Id=\"rId1\" \
                  Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet\" \
                  Target=\"worksheets/sheet1.xml\"/></Relationships>",
            ),
        ];
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in base.iter().chain(parts) {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    const STYLES: &str = "<styleSheet><cellXfs><xf numFmtId=\"0\"/></cellXfs></styleSheet>";

    fn inline(cells: &[&str]) -> String {
        cells.iter().flat_map(|cell| ["<c t=\"inlineStr\"><is><t>", cell, "</t></is></c>"]).collect()
    }

    fn sheet(rows: &str) -> String {
        format!("<worksheet><sheetData><row r=\"1\">{}</row>{rows}</sheetData></worksheet>", inline(&HEADER))
    }

    #[test]
    fn cells_say_what_they_are() {
        let date = Format::new().set_num_format("dd/mm/yyyy");
        let file = with_header(|sheet| {
            sheet.write(1, 0, "001").unwrap();
            sheet.write(1, 1, "Nguyễn Văn Đức").unwrap();
            sheet.write(1, 2, 1_187_012_345_i64).unwrap();
            let day = ExcelDateTime::from_ymd(1987, 5, 2).unwrap();
            sheet.write_with_format(1, 3, &day, &date).unwrap();
            sheet.write(3, 0, 4.32).unwrap();
            sheet.write(3, 1, true).unwrap();
            sheet.write_formula(3, 2, Formula::new("=1+1").set_result("2")).unwrap();
            sheet.write_formula(3, 3, Formula::new("=1/0").set_result("#DIV/0!")).unwrap();
            sheet.write(4, 5, "beyond").unwrap();
        });
        let seen = seen(file).unwrap();
        assert_eq!(seen.header, HEADER);
        let (line, cells, kinds) = &seen.rows[0];
        assert_eq!((*line, cells.join("|")), (2, "001|Nguyễn Văn Đức|1187012345|19870502".into()));
        assert_eq!(kinds, &[(2, Kind::Number), (3, Kind::Date)]);
        let (line, cells, kinds) = &seen.rows[1];
        assert_eq!((*line, cells.join("|")), (4, "4.32|1|2|".into()), "an empty row is none");
        assert_eq!((kinds[0], kinds.last().unwrap()), ((0, Kind::Number), &(3, Kind::Error)));
        assert_eq!(seen.rows[2].1.len(), 6, "wider than the header");
    }

    #[test]
    fn formulas_are_never_calculated() {
        let cells = "<c r=\"A2\"><f>HYPERLINK(\"http://x\")</f></c><c r=\"B2\"><f>1+1</f><v>2</v></c>\
            <c r=\"C2\" t=\"str\"><f>A1&amp;\"\"</f><v>An</v></c><c r=\"D2\" t=\"e\"><f>1/0</f><v>#DIV/0!</v></c>";
        let seen = seen(by_hand(&sheet(&format!("<row r=\"2\">{cells}</row>")), "<sst/>", STYLES)).unwrap();
        assert_eq!(seen.rows[0].1, ["", "2", "An", ""]);
        assert_eq!(seen.rows[0].2, [(0, Kind::Formula), (1, Kind::Number), (3, Kind::Error)]);
    }

    #[test]
    fn days_are_counted_from_1900_or_from_1904() {
        let styles = "<styleSheet><cellXfs><xf numFmtId=\"0\"/><xf numFmtId=\"14\"/></cellXfs></styleSheet>";
        let rows = "<row r=\"2\"><c r=\"A2\" s=\"1\"><v>31899</v></c><c r=\"B2\" s=\"1\"><v>31899.75</v></c>\
            <c r=\"C2\"><v>31899</v></c><c r=\"D2\" t=\"d\"><v>1987-05-02</v></c></row>";
        let file = by_hand(&sheet(rows), "<sst/>", styles);
        let seen = seen(file).unwrap();
        assert_eq!(seen.rows[0].1, ["19870502", "19870502", "31899", "19870502"]);
        let bytes = archive(&[
            ("xl/worksheets/sheet1.xml", sheet(rows).as_bytes()),
            ("xl/styles.xml", styles.as_bytes()),
            ("docProps/app.xml", b"<Properties/>"),
        ]);
        let of_1904 = replaced(&bytes, "xl/workbook.xml", |text| {
            text.replace("<sheets>", "<workbookPr date1904=\"1\"/><sheets>")
        });
        assert_eq!(self::seen(of_1904).unwrap().rows[0].1[0], "19910503");
    }

    /// The archive with one part changed.
    fn replaced(bytes: &[u8], part: &str, change: impl Fn(String) -> String) -> Vec<u8> {
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for at in 0..archive.len() {
            let mut entry = archive.by_index(at).unwrap();
            let name = entry.name().unwrap().into_owned();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let text = if name == part { change(text) } else { text };
            writer.start_file(name, SimpleFileOptions::default()).unwrap();
            writer.write_all(text.as_bytes()).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn titles_may_stand_above_and_other_sheets_beside() {
        let mut workbook = Workbook::new();
        workbook.add_worksheet().set_name("Hướng dẫn").unwrap().write(0, 0, "full_name").unwrap();
        let sheet = workbook.add_worksheet();
        sheet.write(0, 0, "Danh sách cán bộ").unwrap();
        sheet.write_row(3, 0, HEADER).unwrap();
        sheet.write(4, 0, "1").unwrap();
        let seen = seen(workbook.save_to_buffer().unwrap()).unwrap();
        assert_eq!((seen.header.len(), seen.rows[0].0), (4, 5));
    }

    #[test]
    fn hidden_several_and_missing_sheets_are_told() {
        let file = |hidden: bool, second: bool| {
            let mut workbook = Workbook::new();
            workbook.add_worksheet().write(0, 0, "x").unwrap();
            workbook.add_worksheet().set_hidden(hidden).write_row(0, 0, HEADER).unwrap();
            if second {
                workbook.add_worksheet().write_row(0, 0, HEADER).unwrap();
            }
            workbook.save_to_buffer().unwrap()
        };
        assert_eq!(refused(file(true, false)), FileFault::HiddenSheet);
        assert_eq!(refused(file(false, true)), FileFault::SeveralSheets);
        assert!(seen(file(true, true)).is_ok(), "the hidden one is not looked at");
        let mut empty = Workbook::new();
        empty.add_worksheet();
        assert!(matches!(seen(empty.save_to_buffer().unwrap()), Err(ImportError::Header(_))));
    }

    #[test]
    fn merged_cells_are_noticed_in_the_data_only() {
        let format = Format::new();
        let file = with_header(|sheet| {
            for row in 1..8 {
                sheet.write(row, 3, "x").unwrap();
            }
            sheet.merge_range(2, 0, 3, 0, "An", &format).unwrap();
            sheet.merge_range(6, 0, 6, 1, "An", &format).unwrap();
        });
        assert_eq!(seen(file).unwrap().merged, [3, 4, 7]);
    }

    #[test]
    fn what_is_no_workbook_is_told() {
        assert_eq!(refused(b"PK\x03\x04 nothing".to_vec()), FileFault::NotAWorkbook);
        assert_eq!(refused(COMPOUND.to_vec()), FileFault::OldForm);
        assert_eq!(refused(archive(&[])), FileFault::NotAWorkbook);
        let backwards = sheet(&format!("<row r=\"3\">{0}</row><row r=\"2\">{0}</row>", inline(&["a"])));
        assert_eq!(refused(by_hand(&backwards, "<sst/>", STYLES)), FileFault::NotAWorkbook);
        let twice = sheet("<row r=\"2\"><c r=\"B2\"><v>1</v></c><c r=\"A2\"><v>1</v></c></row>");
        assert_eq!(refused(by_hand(&twice, "<sst/>", STYLES)), FileFault::NotAWorkbook);
        let far = sheet("<row r=\"2\"><c r=\"A4000000\"><v>1</v></c></row>");
        assert_eq!(refused(by_hand(&far, "<sst/>", STYLES)), FileFault::NotAWorkbook);
    }

    #[test]
    fn bombs_are_not_unpacked() {
        // As many strings as a claim makes room for.
        let claims = "<sst uniqueCount=\"1000000000000\"></sst>";
        assert_eq!(refused(by_hand(&sheet(""), claims, STYLES)), FileFault::Bomb);
        // More strings than a workbook has.
        let many = format!("<sst>{}</sst>", "<si/>".repeat(4_000_001));
        assert_eq!(refused(by_hand(&sheet(""), &many, STYLES)), FileFault::Bomb);
        // A font of a megabyte that every style copies.
        let styles = format!(
            "<styleSheet><fonts><font><name val=\"{}\"/></font></fonts><cellXfs>{}</cellXfs></styleSheet>",
            "x".repeat(1 << 20),
            "<xf numFmtId=\"0\" fontId=\"0\"></xf>".repeat(10_000)
        );
        assert_eq!(refused(by_hand(&sheet(""), "<sst/>", &styles)), FileFault::Bomb);
        // A sheet that packs a thousand times.
        let wide = sheet(&format!("<!--{}-->", " ".repeat(32 << 20)));
        assert_eq!(refused(by_hand(&wide, "<sst/>", STYLES)), FileFault::Bomb);
        // More parts than a workbook has.
        let names: Vec<_> = (0..2_100).map(|at| format!("xl/media/{at}")).collect();
        let parts: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
        assert_eq!(refused(archive(&parts)), FileFault::Bomb);
        // A sheet that is called the workbook.
        let bytes = by_hand(&sheet(""), "<sst/>", STYLES);
        let named = replaced(&bytes, "_rels/.rels", |text| text.replace("xl/workbook.xml", "xl/worksheets/sheet1.xml"));
        assert_eq!(refused(named), FileFault::NotAWorkbook);
        // Entities that name each other stay what they are: nothing is expanded.
        let entities = format!(
            "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;\">]>{}",
            sheet("<row r=\"2\"><c r=\"A2\" t=\"inlineStr\"><is><t>&b;</t></is></c></row>")
        );
        if let Ok(seen) = seen(by_hand(&entities, "<sst/>", STYLES)) {
            assert!(seen.rows.iter().all(|(_, cells, _)| cells[0].len() < 10));
        }
    }

    #[test]
    fn one_text_in_many_cells_is_bounded_by_row_and_by_sheet() {
        let strings = format!("<sst><si><t>{}</t></si></sst>", random_text(600_000));
        let cells = "<c t=\"s\"><v>0</v></c>".repeat(4);
        let rows = format!("<row>{cells}</row>").repeat(4);
        let seen = seen(by_hand(&sheet(&rows), &strings, STYLES)).unwrap();
        assert_eq!(seen.long, [2, 3, 4, 5]);
        assert!(seen.rows.iter().all(|(_, cells, _)| cells.iter().map(String::len).sum::<usize>() <= 1 << 20));
    }

    /// Text that hardly packs.
    fn random_text(length: usize) -> String {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b'a' + u8::try_from(state >> 24).unwrap() % 26)
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn ten_million_cells_are_too_many() {
        // One row, longer than what a packer looks back for, again and again.
        let digits: String =
            random_text(2_000 * 5).bytes().map(|letter| char::from(b'0' + (letter - b'a') % 10)).collect();
        let cells: String = (0..2_000).flat_map(|at| ["<c><v>1", &digits[5 * at..][..5], "</v></c>"]).collect();
        let text = format!("<row>{cells}</row>").repeat(5_000);
        assert_eq!(refused(by_hand(&sheet(&text), "<sst/>", STYLES)), FileFault::TooManyCells);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = seen(bytes.clone());
            let _ = seen([b"PK\x03\x04", &*bytes].concat());
        }

        #[test]
        fn a_workbook_with_changed_bytes_never_panics(at in 0..10_000_usize, byte in any::<u8>(), cut in 0..10_000_usize) {
            let mut bytes = with_header(|sheet| {
                sheet.write_row(1, 0, ["1", "An", "H26", "1987"]).unwrap();
            });
            let length = bytes.len();
            bytes[at % length] = byte;
            let _ = seen(bytes.clone());
            bytes.truncate(cut % length);
            let _ = seen(bytes);
        }

        #[test]
        fn odd_sheets_never_panic(cells in "(<c( r=\"[A-Z]{0,4}[0-9]{0,9}\")?( s=\"[0-9]{0,3}\")?( t=\"(s|str|b|d|e|n|inlineStr|x)\")?>(<f>[A-Z0-9+]{0,5}</f>)?(<v>[0-9a-zA-Z.#/-]{0,12}</v>)?</c>){0,6}") {
            let _ = seen(by_hand(&sheet(&format!("<row r=\"2\">{cells}</row>")), "<sst><si><t>a</t></si></sst>", STYLES));
        }
    }
}
