//! A cell of a spreadsheet, and what spreadsheets and people do to values: a number loses the zeros before it, a long one
//! is written as 1,2E+11, a code stands with its label, a date is written in the Vietnamese order. What has one meaning
//! only is taken; of anything else people are told how to mend it.

use crate::model::partial_date::PartialDate;
use crate::model::rule::{self, Form, Knowledge, Raw};
use crate::model::text::normalised;
use crate::model::value::Value;

/// What stands between a code and its label in a drop-down list.
pub const LABEL_SEPARATOR: &str = " – ";

/// What a cell holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell<'r> {
    /// What was typed.
    Text(&'r str),
    /// A number, in digits: what stood before and after it is lost.
    Number(&'r str),
    /// A date, as `yyyyMMdd`.
    Date(&'r str),
    /// Nothing that could be taken.
    Unusable(Unusable),
}

/// Why a cell holds nothing that could be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// A formula that was never calculated; we do not calculate.
    Formula,
    /// A formula whose result is an error, or a length of time.
    Error,
}

impl Cell<'_> {
    /// Its text; empty when it holds none.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Number(text) | Self::Date(text) => text,
            Self::Unusable(_) => "",
        }
    }

    /// Whether nothing stands in it.
    pub fn is_empty(&self) -> bool {
        !matches!(self, Self::Unusable(_)) && self.text().is_empty()
    }
}

/// How a cell breaks a rule, and what most likely happened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// How.
    pub rule: rule::Broken,
    /// What most likely happened.
    pub hint: Option<Hint>,
}

impl From<rule::Broken> for Broken {
    fn from(rule: rule::Broken) -> Self {
        Self { rule, hint: None }
    }
}

/// What most likely happened to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// It is a number, and has lost the zeros before it.
    LostZeros,
    /// It was written as 1,2E+11, and has lost its last digits.
    Scientific,
    /// It was taken for a date.
    TakenForDate,
    /// It is a formula without a result.
    Formula,
    /// It is an error.
    Error,
}

impl Hint {
    /// What happened and what to do, in Vietnamese and in English.
    pub fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::LostZeros => (
                "ô đang ở dạng số nên mất các số 0 ở đầu: đặt định dạng cột là Văn bản (Text) rồi nhập lại",
                "the cell is a number, which loses the zeros before it: format the column as Text and enter it again",
            ),
            Self::Scientific => (
                "bảng tính đã viết số theo dạng khoa học (1,2E+11) nên mất các chữ số cuối: đặt định dạng cột là Văn bản (Text) \
                 rồi nhập lại",
                "the spreadsheet wrote the number in scientific notation (1.2E+11) and lost its last digits: format the column \
                 as Text and enter it again",
            ),
            Self::TakenForDate => (
                "bảng tính đã đổi giá trị thành ngày tháng: đặt định dạng cột là Văn bản (Text) rồi nhập lại",
                "the spreadsheet turned the value into a date: format the column as Text and enter it again",
            ),
            Self::Formula => (
                "ô là công thức chưa có kết quả: dán lại dưới dạng giá trị (Paste values)",
                "the cell is a formula without a result: paste it as a value",
            ),
            Self::Error => (
                "ô đang báo lỗi hoặc là khoảng thời gian: nhập lại giá trị",
                "the cell shows an error or is a length of time: enter the value",
            ),
        }
    }
}

/// Reads a cell by the rule of its column; `Ok(None)` for an empty one.
pub fn read(form: &Form, cell: Cell<'_>, knowledge: Knowledge<'_>) -> Result<Option<Value>, Broken> {
    let broken = |rule, hint| Broken { rule, hint };
    let text = match cell {
        Cell::Unusable(why) => {
            let hint = if why == Unusable::Formula { Hint::Formula } else { Hint::Error };
            return Err(broken(rule::Broken::Form, Some(hint)));
        }
        Cell::Date(_) if !matches!(form, Form::Date(_)) => {
            return Err(broken(rule::Broken::Form, Some(Hint::TakenForDate)));
        }
        Cell::Text(text) | Cell::Number(text) | Cell::Date(text) => text,
    };
    let read = |text: &str| form.read(Raw::Text(text), knowledge);
    let refused = match read(text) {
        Err(refused) => refused,
        read => return Ok(read?),
    };
    let again = match form {
        // `01 – Kinh`, as the list of the form shows it.
        Form::List(_) | Form::OneOf(_) | Form::Unit | Form::Agency | Form::Range { .. } => {
            normalised(text).split_once(LABEL_SEPARATOR).map(|(code, _)| read(code))
        }
        Form::Date(_) => PartialDate::parse_vietnamese(&normalised(text)).map(|date| read(&date.to_string())),
        _ => None,
    };
    match again {
        Some(Ok(value)) => return Ok(value),
        Some(Err(refused)) => return Err(refused.into()),
        None => {}
    }
    let hint = match cell {
        _ if is_scientific(text) => Some(Hint::Scientific),
        Cell::Number(_) if may_begin_with_zero(form) => Some(Hint::LostZeros),
        _ => None,
    };
    Err(broken(refused, hint))
}

/// Whether digits of such a value mean something at its beginning.
fn may_begin_with_zero(form: &Form) -> bool {
    matches!(
        form,
        Form::PersonalNumber | Form::Pattern(_) | Form::List(_) | Form::Code(_) | Form::Range { width: Some(_), .. }
    )
}

/// `1,2E+11`, `1.09901E11`.
fn is_scientific(text: &str) -> bool {
    let Some((number, power)) = text.trim().split_once(['E', 'e']) else { return false };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = number.split_once(['.', ',']).unwrap_or((number, "0"));
    digits(whole) && digits(fraction) && digits(power.trim_start_matches(['+', '-'])) && power.len() <= 4
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::date;

    use super::*;
    use crate::model::code_list::shipped;
    use crate::model::rule::Rule;
    use crate::model::unit::UnitRegister;

    fn read(rule: &str, cell: Cell<'_>) -> Result<Option<Value>, Broken> {
        let units = UnitRegister::on(date!(2025 - 12 - 01));
        super::read(&Rule::parse(rule).unwrap().form, cell, Knowledge { units: &units, codes: shipped() })
    }

    fn hint(rule: &str, cell: Cell<'_>) -> Option<Hint> {
        read(rule, cell).unwrap_err().hint
    }

    /// What is read, or nothing where it is refused.
    fn taken(rule: &str, cell: Cell<'_>) -> Option<Value> {
        read(rule, cell).ok().flatten()
    }

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    fn day(text: &str) -> Option<Value> {
        PartialDate::parse(text).map(Value::Date)
    }

    #[test]
    fn what_has_one_meaning_is_taken() {
        assert_eq!(taken("list GSO.DANTOC", Cell::Text("01 – Kinh")), Some(text("01")));
        assert_eq!(taken("unit", Cell::Text("H26 – Thành phố Hà Nội")), Some(text("H26")));
        assert_eq!(taken("one_of A|B", Cell::Text("B")), Some(text("B")));
        assert_eq!(taken("date partial", Cell::Text("2/5/1987")), day("19870502"));
        assert_eq!(taken("date partial", Cell::Text("05/1987")), day("198705"));
        assert_eq!(taken("date partial", Cell::Number("1987")), day("1987"));
        assert_eq!(taken("date", Cell::Date("19870502")), day("19870502"));
        assert_eq!(taken("personal_number", Cell::Number("001187012345")), Some(text("001187012345")));
        assert_eq!(taken("text 9", Cell::Text("a – b")), Some(text("a – b")), "no code, no label");
        assert!(matches!(read("decimal 4 2 0.00 13.00", Cell::Number("4.32")), Ok(Some(Value::Decimal(_)))));
        assert_eq!(read("personal_number", Cell::Text("  ")), Ok(None));
    }

    #[test]
    fn what_a_spreadsheet_spoiled_is_told() {
        assert_eq!(hint("personal_number", Cell::Number("1187012345")), Some(Hint::LostZeros));
        assert_eq!(hint("personal_number", Cell::Text("1187012345")), None, "typed so");
        assert_eq!(hint("list GSO.DANTOC", Cell::Number("1")), Some(Hint::LostZeros));
        for written in ["1.2E+11", "1,2E11", "1E+11", "1.09901e11"] {
            assert_eq!(hint("personal_number", Cell::Text(written)), Some(Hint::Scientific), "{written}");
        }
        assert_eq!(hint("one_of A|B", Cell::Date("20260304")), Some(Hint::TakenForDate));
        assert_eq!(hint("text 50", Cell::Unusable(Unusable::Formula)), Some(Hint::Formula));
        assert_eq!(hint("text 50", Cell::Unusable(Unusable::Error)), Some(Hint::Error));
        assert_eq!(hint("list GSO.DANTOC", Cell::Text("77 – Nobody")), None);
    }

    proptest! {
        #[test]
        fn cells_never_panic(value in "\\PC{0,40}|[0-9/.,E+-]{0,14}", kind in 0..4_u8) {
            let cell = match kind {
                0 => Cell::Text(&value),
                1 => Cell::Number(&value),
                2 => Cell::Date(&value),
                _ => Cell::Unusable(Unusable::Formula),
            };
            for rule in ["text 9", "date", "date partial", "personal_number", "list GSO.DANTOC", "unit", "range 00-09"] {
                let _ = read(rule, cell);
            }
        }
    }
}
