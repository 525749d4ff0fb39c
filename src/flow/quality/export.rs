//! Tables for people: as XLSX and as CSV, Vietnamese first. Memory is bounded by the rows that the caller allows.

use rust_xlsxwriter::{Format, FormatAlign, Workbook, XlsxError};
use time::OffsetDateTime;

use super::FlaggedRecord;
use crate::error::Fault;
use crate::model::calendar::day_of;

/// A sheet: a title above, a header, rows.
#[derive(Clone, Debug, Default)]
pub struct Sheet {
    /// The name of the sheet, at most 31 characters.
    pub name: &'static str,
    /// Lines above the table.
    pub title: Vec<String>,
    /// Column heads.
    pub header: Vec<&'static str>,
    /// Rows of cells.
    pub rows: Vec<Vec<Cell>>,
}

/// One cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Text, never a formula.
    Text(String),
    /// A count.
    Count(i64),
    /// A share in percent.
    Percent(Option<f64>),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Cell {
    fn from(count: i64) -> Self {
        Self::Count(count)
    }
}

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableForm {
    /// A workbook.
    Xlsx,
    /// The first sheet, in UTF-8 with a byte order mark.
    Csv,
}

/// One or several sheets.
#[derive(Clone, Debug)]
pub struct Table(pub Vec<Sheet>);

impl Table {
    /// As a file made at `at` (Unix seconds).
    pub fn file(&self, form: TableForm, at: i64) -> Result<Vec<u8>, Fault> {
        match form {
            TableForm::Xlsx => self.xlsx(at),
            TableForm::Csv => self.csv(),
        }
    }

    /// As an XLSX file made at `at` (Unix seconds).
    fn xlsx(&self, at: i64) -> Result<Vec<u8>, Fault> {
        self.workbook(at).map_err(|error| Fault::new("writing a spreadsheet", error))
    }

    fn workbook(&self, at: i64) -> Result<Vec<u8>, XlsxError> {
        let mut workbook = Workbook::new();
        let day = OffsetDateTime::from_unix_timestamp(at).map_or(day_of(0), |_| day_of(at));
        let year = u16::try_from(day.year()).unwrap_or(1970);
        let created = rust_xlsxwriter::ExcelDateTime::from_ymd(year, day.month().into(), day.day())?;
        // The wall clock is not asked.
        workbook.set_properties(&rust_xlsxwriter::DocProperties::new().set_creation_datetime(&created));
        let (bold, head) =
            (Format::new().set_bold(), Format::new().set_bold().set_text_wrap().set_align(FormatAlign::Top));
        for sheet in &self.0 {
            let worksheet = workbook.add_worksheet();
            worksheet.set_name(sheet.name)?;
            let mut line = 0;
            for title in &sheet.title {
                worksheet.write_string_with_format(line, 0, title, &bold)?;
                line += 1;
            }
            for (column, name) in (0_u16..).zip(&sheet.header) {
                worksheet.write_string_with_format(line, column, *name, &head)?;
                worksheet.set_column_width(column, 18)?;
            }
            if !sheet.header.is_empty() {
                worksheet.set_freeze_panes(line + 1, 0)?;
            }
            for row in &sheet.rows {
                line += 1;
                for (column, cell) in (0_u16..).zip(row) {
                    match cell {
                        // A text cell is never computed, whatever it begins with.
                        Cell::Text(text) => worksheet.write_string(line, column, text)?,
                        Cell::Count(count) => worksheet.write_number(line, column, number(*count))?,
                        Cell::Percent(Some(percent)) => worksheet.write_number(line, column, *percent)?,
                        Cell::Percent(None) => worksheet.write_string(line, column, "–")?,
                    };
                }
            }
        }
        workbook.save_to_buffer()
    }

    /// The first sheet as CSV with a byte order mark, so that spreadsheets read it as UTF-8. Cells that a spreadsheet would
    /// compute get an apostrophe before them.
    fn csv(&self) -> Result<Vec<u8>, Fault> {
        let doing = "writing a CSV file";
        let mut writer = csv::Writer::from_writer(b"\xef\xbb\xbf".to_vec());
        if let Some(sheet) = self.0.first() {
            writer.write_record(&sheet.header).map_err(|error| Fault::new(doing, error))?;
            for row in &sheet.rows {
                let cells = row.iter().map(|cell| match cell {
                    Cell::Text(text) => guarded(text),
                    Cell::Count(count) => count.to_string(),
                    Cell::Percent(percent) => percent.map_or_else(String::new, |percent| format!("{percent:.1}")),
                });
                writer.write_record(cells).map_err(|error| Fault::new(doing, error))?;
            }
        }
        writer.into_inner().map_err(|error| Fault::new(doing, error.to_string()))
    }
}

/// Excel and others compute a cell that begins so, also in CSV.
fn guarded(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

/// A count as spreadsheets keep numbers: exact up to 2^53.
#[allow(clippy::cast_precision_loss)]
fn number(count: i64) -> f64 {
    count as f64
}

/// Records with what is held against them.
pub fn rows(records: &[FlaggedRecord], with_names: bool) -> Table {
    let mut header = vec!["Hồ sơ / record", "Đơn vị / unit", "Số hiệu / number"];
    if with_names {
        header.push("Họ và tên / full name");
    }
    header.extend(["Thay đổi ngày / changed on", "Lý do", "Reasons", "Mã / codes"]);
    let row = |record: &FlaggedRecord| {
        let mut cells: Vec<Cell> =
            vec![record.record.as_str().into(), record.unit.as_str().into(), record.number.as_str().into()];
        if with_names {
            cells.push(record.full_name.as_deref().unwrap_or_default().into());
        }
        let messages: Vec<_> = record.flags.iter().map(|flag| flag.messages()).collect();
        let joined = |text: fn(&(String, String)) -> &str| messages.iter().map(text).collect::<Vec<_>>().join("; ");
        cells.push(day_of(record.changed_at).to_string().into());
        cells.push(joined(|(vi, _)| vi).into());
        cells.push(joined(|(_, en)| en).into());
        cells.push(record.flags.iter().map(|flag| flag.code()).collect::<Vec<_>>().join(" ").into());
        cells
    };
    let rows = records.iter().map(row).collect();
    Table(vec![Sheet { name: "Hồ sơ", title: Vec::new(), header, rows }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_never_becomes_a_formula_in_csv() {
        let sheet = Sheet { rows: vec![vec!["=1+1".into(), "@x".into(), "An".into(), 5.into()]], ..Sheet::default() };
        let csv = String::from_utf8(Table(vec![Sheet { header: vec!["a", "b", "c", "d"], ..sheet }]).csv().unwrap());
        assert_eq!(csv.unwrap(), "\u{feff}a,b,c,d\n'=1+1,'@x,An,5\n");
    }
}
