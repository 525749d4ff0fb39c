//! Why a file as a whole cannot be read, as a code for programs and a sentence for people in both languages.

use super::text::Encoding;
use super::{MAX_CELLS, archive};

/// Why a file as a whole cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileFault {
    /// Over the bound of bytes.
    TooLarge,
    /// It would unpack to much more than a personnel file ever has.
    Bomb,
    /// Neither a workbook nor readable as one.
    NotAWorkbook,
    /// The binary form of before 2007, or a workbook with a password: both look alike from outside.
    OldForm,
    /// The field codes stand only in a sheet that is hidden.
    HiddenSheet,
    /// Field codes stand in more than one sheet.
    SeveralSheets,
    /// An older Vietnamese encoding.
    Encoding(Encoding),
    /// UTF-16 that is none.
    NotText,
    /// More rows than one upload may have.
    TooManyRows(u64),
    /// More cells than one workbook may have.
    TooManyCells,
}

impl FileFault {
    /// A word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Bomb => "archive",
            Self::NotAWorkbook => "not_a_workbook",
            Self::OldForm => "old_form",
            Self::HiddenSheet => "hidden_sheet",
            Self::SeveralSheets => "several_sheets",
            Self::Encoding(_) | Self::NotText => "encoding",
            Self::TooManyRows(_) => "too_many_rows",
            Self::TooManyCells => "too_many_cells",
        }
    }

    /// What is wrong and what to do, in Vietnamese and in English.
    pub fn messages(&self) -> (String, String) {
        let both = |vi: &str, en: &str| (vi.to_owned(), en.to_owned());
        match self {
            Self::TooLarge => {
                let mib = archive::MAX_PACKED_BYTES >> 20;
                (format!("bảng tính lớn quá {mib} MiB"), format!("the workbook is larger than {mib} MiB"))
            }
            Self::Bomb => both(
                "bảng tính giải nén ra quá lớn hoặc có quá nhiều kiểu ô: chép dữ liệu sang biểu mẫu mới",
                "the workbook unpacks to too much, or has too many cell styles: copy the data into a fresh form",
            ),
            Self::NotAWorkbook => both(
                "tệp không phải là bảng tính XLSX đọc được: mở bằng phần mềm bảng tính rồi lưu lại",
                "the file is no readable XLSX workbook: open it in a spreadsheet program and save it again",
            ),
            Self::OldForm => both(
                "tệp là bảng tính kiểu cũ (.xls) hoặc có mật khẩu: lưu lại dưới dạng .xlsx, không đặt mật khẩu",
                "the file is a workbook of the old form (.xls) or has a password: save it as .xlsx without a password",
            ),
            Self::HiddenSheet => both(
                "mã trường chỉ có trong trang tính bị ẩn: bỏ ẩn trang đó",
                "the field codes stand only in a hidden sheet: show that sheet",
            ),
            Self::SeveralSheets => both(
                "mã trường có trong nhiều trang tính: chỉ để lại một trang nhập liệu",
                "field codes stand in more than one sheet: keep one sheet with data",
            ),
            Self::Encoding(encoding) => {
                let name = encoding.name();
                (
                    format!("tệp dùng bảng mã {name}: lưu lại bằng Unicode (CSV UTF-8 hoặc XLSX)"),
                    format!("the file is encoded in {name}: save it in Unicode (CSV UTF-8 or XLSX)"),
                )
            }
            Self::NotText => both("tệp không đúng mã UTF-16", "the file says UTF-16 and is not"),
            Self::TooManyRows(most) => (
                format!("tệp có quá {most} dòng: chia thành nhiều tệp"),
                format!("the file has more than {most} rows: divide it into several files"),
            ),
            Self::TooManyCells => {
                (format!("trang tính có quá {MAX_CELLS} ô"), format!("the sheet has more than {MAX_CELLS} cells"))
            }
        }
    }
}

impl std::fmt::Display for FileFault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (vi, en) = self.messages();
        write!(formatter, "{vi} / {en}")
    }
}

impl std::error::Error for FileFault {}
