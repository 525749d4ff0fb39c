//! The workbook of a form: instructions, the sheet to fill in, the lists that it offers.

use std::collections::BTreeMap;

use rust_xlsxwriter::{
    Color, DataValidation, DataValidationErrorStyle, DataValidationRule, DocProperties, ExcelDateTime, Format,
    FormatAlign, FormatBorder, Formula, IgnoreError, Note, Workbook, Worksheet, XlsxError,
};

use super::columns::{Check, Column, coded, group_name};
use crate::error::Fault;
use crate::flow::import::HEADER_ROWS;
use crate::model::catalogue::{Catalogue, Required};
use crate::model::cell::LABEL_SEPARATOR;
use crate::model::code_list::CodeBook;

/// Names of the sheets.
const GUIDE: &str = "Hướng dẫn";
const ENTRY: &str = "Nhập liệu";
const LISTS: &str = "Danh mục";
/// Rows above the data: group, Vietnamese label, English label, field code.
const HEADER: u32 = 4;
const _: () = assert!((HEADER as usize) <= HEADER_ROWS);
/// Rows that are checked while somebody types.
const ROWS: u32 = 50_000;
/// Rows in which the unit stands already. A row in which nothing else stands is no row.
const PREFILLED: u32 = 200;
/// The longest text of one cell (Excel's limit, in UTF-16 units).
const CELL_UNITS: usize = 32_767;

/// A failure to write a workbook.
pub(in crate::flow) fn workbook_fault(error: XlsxError) -> Fault {
    Fault::new("writing a workbook", error)
}

/// As much of a text as a cell holds.
pub(in crate::flow) fn cell_text(text: &str) -> &str {
    if text.len() <= CELL_UNITS {
        return text;
    }
    let mut units = 0;
    let end = text.char_indices().find(|(_, character)| {
        units += character.len_utf16();
        units > CELL_UNITS
    });
    &text[..end.map_or(text.len(), |(at, _)| at)]
}

/// The form.
pub(super) fn workbook(
    catalogue: &Catalogue,
    codes: &CodeBook,
    units: &[(String, String)],
    columns: &[Column],
) -> Result<Vec<u8>, XlsxError> {
    let mut workbook = Workbook::new();
    let made = ExcelDateTime::from_ymd(2023, 1, 1)?;
    let title = format!("Biểu mẫu hồ sơ cán bộ, công chức, viên chức ({})", catalogue.name());
    // Fixed, so that the same form has the same bytes.
    workbook.set_properties(&DocProperties::new().set_title(title).set_creation_datetime(&made));
    let mut offered = Lists::default();
    for column in columns {
        match &column.check {
            Check::List(list) => {
                let codes = codes.codes(list).into_iter().map(|code| coded(codes, list, code)).collect();
                offered.add(list, codes);
            }
            Check::Unit if !units.is_empty() => {
                let units = units.iter().map(|(code, name)| format!("{code}{LABEL_SEPARATOR}{name}")).collect();
                offered.add("Đơn vị", units);
            }
            _ => {}
        }
    }
    guide(workbook.add_worksheet(), catalogue)?;
    entry(workbook.add_worksheet(), units, columns, &offered)?;
    offered.write(workbook.add_worksheet())?;
    // What is to be filled in is what people see first.
    workbook.worksheet_from_name(ENTRY)?.set_active(true);
    workbook.save_to_buffer()
}

/// The lists that are offered, each in a column of its own sheet.
#[derive(Default)]
struct Lists {
    columns: Vec<(String, Vec<String>)>,
    places: BTreeMap<String, u16>,
}

impl Lists {
    fn add(&mut self, name: &str, entries: Vec<String>) {
        if !entries.is_empty() && !self.places.contains_key(name) {
            self.places.insert(name.to_owned(), u16::try_from(self.columns.len()).unwrap_or(u16::MAX));
            self.columns.push((name.to_owned(), entries));
        }
    }

    /// Where a list stands, as a formula.
    fn range(&self, name: &str) -> Option<Formula> {
        let at = *self.places.get(name)?;
        let column = rust_xlsxwriter::utility::column_number_to_name(at);
        let last = self.columns[usize::from(at)].1.len() + 2;
        Some(Formula::new(format!("='{LISTS}'!${column}$3:${column}${last}")))
    }

    fn write(&self, sheet: &mut Worksheet) -> Result<(), XlsxError> {
        sheet.set_name(LISTS)?.set_freeze_panes(2, 0)?;
        let text = Format::new().set_num_format("@");
        let bold = text.clone().set_bold();
        for ((name, entries), at) in self.columns.iter().zip(0..) {
            sheet.set_column_width(at, 36)?.set_column_format(at, &text)?;
            sheet.write_string_with_format(0, at, name, &bold)?;
            let placeholder = entries.iter().any(|entry| entry.ends_with("(nhãn tạm)"));
            let note = if placeholder {
                "Có nhãn tạm: nhãn chính thức chưa công bố / placeholder labels: the real ones were not published"
            } else {
                ""
            };
            sheet.write_string_with_format(1, at, note, &text.clone().set_italic().set_text_wrap())?;
            for (entry, row) in entries.iter().zip(2..) {
                sheet.write_string_with_format(row, at, entry, &text)?;
            }
        }
        Ok(())
    }
}

fn entry(
    sheet: &mut Worksheet,
    units: &[(String, String)],
    columns: &[Column],
    offered: &Lists,
) -> Result<(), XlsxError> {
    sheet.set_name(ENTRY)?.set_freeze_panes(HEADER, 2)?;
    // Everything is text: zeros at the front, codes and dates stay as they are typed.
    let text = Format::new().set_num_format("@");
    let heading = text.clone().set_bold().set_text_wrap().set_align(FormatAlign::Top).set_border(FormatBorder::Thin);
    let small = text.clone().set_font_size(8).set_font_color(Color::RGB(0x0059_5959)).set_border(FormatBorder::Thin);
    for row in 1..=2 {
        sheet.set_row_height(row, 45)?;
    }
    for (column, at) in columns.iter().zip(0..) {
        let ground = Color::RGB(match column.required {
            Required::Interface => 0x00F8_CBAD,
            Required::Card => 0x00FF_E699,
            Required::No => 0x00DD_EBF7,
        });
        let heading = heading.clone().set_background_color(ground);
        sheet.set_column_width(at, 22)?.set_column_format(at, &text)?;
        sheet.write_string_with_format(0, at, group_name(&column.group), &small)?;
        let mark = if column.required == Required::Interface { " *" } else { "" };
        sheet.write_string_with_format(1, at, format!("{}{mark}", column.label_vi), &heading)?;
        sheet.write_string_with_format(2, at, &column.label_en, &small.clone().set_text_wrap())?;
        sheet.write_string_with_format(3, at, &column.code, &small)?;
        let note = Note::new(&column.comment).add_author_prefix(false).set_width(320).set_height(190);
        sheet.insert_note(1, at, &note)?;
        if let Some(check) = validation(column, offered)? {
            sheet.add_data_validation(HEADER, at, HEADER + ROWS - 1, at, &check)?;
        }
        if let (Some((code, name)), "managing_unit_code") = (units.first(), column.code.as_str()) {
            for row in HEADER..HEADER + PREFILLED {
                sheet.write_string_with_format(row, at, format!("{code}{LABEL_SEPARATOR}{name}"), &text)?;
            }
        }
    }
    let last = u16::try_from(columns.len().saturating_sub(1)).unwrap_or(u16::MAX);
    sheet.ignore_error_range(HEADER, 0, HEADER + ROWS - 1, last, IgnoreError::NumberStoredAsText)?;
    Ok(())
}

fn validation(column: &Column, offered: &Lists) -> Result<Option<DataValidation>, XlsxError> {
    let validation = DataValidation::new();
    // A code without its label is fine, too: such lists only advise.
    let advised = |range| {
        let validation = DataValidation::new().allow_list_formula(range);
        let validation = validation.set_error_style(DataValidationErrorStyle::Information);
        validation
            .set_error_title("Không có trong danh sách")?
            .set_error_message("Giá trị không có trong danh sách; chỉ nhập mã cũng được.")
            .map(Some)
    };
    let length = |vi: String| validation.set_error_title("Sai độ dài")?.set_error_message(vi).map(Some);
    match &column.check {
        Check::Nothing => Ok(None),
        Check::List(list) => offered.range(list).map_or(Ok(None), advised),
        Check::Unit => offered.range("Đơn vị").map_or(Ok(None), advised),
        Check::Words(words) => DataValidation::new().allow_list_strings(words).map(Some),
        Check::Exactly(count) => {
            let rule = DataValidationRule::EqualTo(*count);
            length(format!("Phải có đúng {count} ký tự, kể cả các số 0 ở đầu."))
                .map(|validation| validation.map(|validation| validation.allow_text_length(rule)))
        }
        Check::AtMost(count) => {
            let rule = DataValidationRule::LessThanOrEqualTo(*count);
            length(format!("Không quá {count} ký tự."))
                .map(|validation| validation.map(|validation| validation.allow_text_length(rule)))
        }
    }
}

/// What people read first.
const INSTRUCTIONS: [(&str, &str); 12] = [
    ("Cách điền", "How to fill it in"),
    (
        "1. Điền vào trang “Nhập liệu”, mỗi người một dòng, bắt đầu từ dòng 5. Không xóa hay sửa dòng 4 (mã trường).",
        "1. Fill in the sheet “Nhập liệu”, one row for each person, from row 5. Leave row 4 (field codes) as it is.",
    ),
    (
        "2. Cột màu cam (*) là bắt buộc; cột màu vàng cần để cấp thẻ; cột màu xanh không bắt buộc.",
        "2. Orange columns (*) are required; yellow ones are needed for the card; blue ones may stay empty.",
    ),
    (
        "3. Đưa chuột lên tên cột để xem quy tắc và ví dụ.",
        "3. Rest the mouse on a column's name for its rule and an example.",
    ),
    (
        "4. Ô có danh sách: chọn trong danh sách, hoặc chỉ nhập mã. Danh sách nằm ở trang “Danh mục”; “nhãn tạm” nghĩa là nhãn \
         chính thức chưa công bố.",
        "4. Where a list is offered, choose from it or enter the code alone. The lists stand in the sheet “Danh mục”; “nhãn \
         tạm” means that the real label was not published.",
    ),
    (
        "5. Số định danh có đúng 12 chữ số, kể cả số 0 ở đầu. Mọi cột đã đặt định dạng Văn bản: khi dán, chọn “Chỉ dán giá trị”.",
        "5. The personal number has exactly 12 digits with the zeros before it. All columns are formatted as Text: when you \
         paste, paste values only.",
    ),
    (
        "6. Ngày: 02/05/1987, 1987-05-02 hoặc 19870502. Chỉ biết tháng hoặc năm: 05/1987, 1987.",
        "6. Dates: 02/05/1987 (day first), 1987-05-02 or 19870502. Only month or year known: 05/1987, 1987.",
    ),
    (
        "7. Danh sách lặp (quá trình công tác, lương…): mục 1, mục 2… là các cột có số [1], [2]… Cần thêm mục: thêm cột với số tiếp \
         theo ở dòng 4, ví dụ work_history_from[4].",
        "7. Repeating lists (work history, salary…): entries are the columns with [1], [2]… For one more, add columns with the \
         next number in row 4, for example work_history_from[4].",
    ),
    (
        "8. Không gộp ô, không dùng công thức, không đặt mật khẩu, không ẩn trang “Nhập liệu”. Tối đa 50.000 dòng một tệp.",
        "8. No merged cells, no formulas, no password; do not hide the sheet “Nhập liệu”. At most 50,000 rows in a file.",
    ),
    (
        "9. Tải tệp lên: hệ thống kiểm tra trước và chỉ ra lỗi từng dòng; chưa ghi gì cho đến khi đơn vị gửi.",
        "9. Upload the file: it is checked first and every fault is shown beside its row; nothing is stored until you submit.",
    ),
    (
        "10. Hồ sơ đã có: chỉ các cột trong tệp thay đổi. Ô trống xóa giá trị cũ, trừ các trường cần để cấp thẻ (vàng); cột nào \
         không cập nhật thì xóa khỏi tệp. Danh sách dài hơn số mục trong tệp: mục để trống và các mục phía sau giữ nguyên.",
        "10. A record that is there already changes in the columns of the file only. An empty cell takes the value away, except \
         of what a card needs (yellow); remove the columns that you do not update. In a list with more entries than the file \
         has places for, places left empty and everything behind them stay.",
    ),
    (
        "11. Tệp này chứa dữ liệu cá nhân khi đã điền: giữ kín, xóa khi không cần nữa.",
        "11. Once filled in, this file holds personal data: keep it closed, and delete it when it is no longer needed.",
    ),
];

fn guide(sheet: &mut Worksheet, catalogue: &Catalogue) -> Result<(), XlsxError> {
    sheet.set_name(GUIDE)?;
    sheet.set_column_width(0, 90)?.set_column_width(1, 90)?;
    let wrapped = Format::new().set_text_wrap().set_align(FormatAlign::Top);
    let bold = wrapped.clone().set_bold();
    for ((vi, en), row) in INSTRUCTIONS.iter().zip(0..) {
        let format = if row == 0 { &bold } else { &wrapped };
        sheet.write_string_with_format(row, 0, *vi, format)?;
        sheet.write_string_with_format(row, 1, *en, format)?;
    }
    let last = u32::try_from(INSTRUCTIONS.len()).unwrap_or(u32::MAX) + 1;
    let (version, fields) = (catalogue.name(), catalogue.fields().len());
    let vi = format!(
        "Danh mục trường: phiên bản {version}, {fields} trường. Danh sách chính thức chưa công bố: tên trường lấy từ giao diện đã \
         công khai và các mẫu lý lịch, hoặc do chúng tôi suy ra."
    );
    let en = format!(
        "Field catalogue: version {version}, {fields} fields. The official list was not published: the fields come from public \
         interfaces and CV forms, or are derived by us."
    );
    sheet.write_string_with_format(last, 0, vi, &wrapped)?;
    sheet.write_string_with_format(last, 1, en, &wrapped)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::form::columns::columns;

    #[test]
    fn the_same_form_has_the_same_bytes() {
        let (catalogue, codes) = (Catalogue::current(), CodeBook::default());
        let units = [("H26".to_owned(), "Hà Nội".to_owned())];
        let made = || workbook(catalogue, &codes, &units, &columns(catalogue, &codes, &[], 3)).unwrap();
        assert_eq!(made(), made());
        let mut other = CodeBook::default();
        other.load("MOHA.CHUCVU", "012", "Giám đốc Sở");
        assert_ne!(workbook(catalogue, &other, &units, &columns(catalogue, &other, &[], 3)).unwrap(), made());
    }

    #[test]
    fn cells_are_cut_at_a_character() {
        assert_eq!(cell_text("Đức"), "Đức");
        let long = "𠀋".repeat(20_000);
        assert_eq!(cell_text(&long).encode_utf16().count(), CELL_UNITS - 1);
    }
}
