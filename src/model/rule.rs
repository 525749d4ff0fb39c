//! The rule of a field, parsed from the small grammar that `data/2023/README.md` documents, and one value checked
//! against it.

use regex_lite::Regex;

use crate::model::agency::agencies;
use crate::model::code_list::CodeLabels;
use crate::model::partial_date::{PartialDate, Precision};
use crate::model::text::{is_invisible, normalised, single_spaced, vietnamese};
use crate::model::unit::{UnitCode, UnitDirectory};
use crate::model::value::{Decimal, Portrait, Value};

/// What one value must look like, and how it must stand to others.
#[derive(Debug)]
pub struct Rule {
    /// What one value looks like.
    pub form: Form,
    /// The field whose date it must not precede.
    pub not_before: Option<String>,
}

/// What one value looks like.
#[derive(Debug)]
pub enum Form {
    /// Any visible characters, at most so many.
    Text(usize),
    /// A person's name, at most so many characters.
    Name(usize),
    /// A code of unknown list, at most so many characters.
    Code(usize),
    /// The whole value matches.
    Pattern(Regex),
    /// Digits between two ends, of this width when it is given.
    Range {
        /// Number of digits.
        width: Option<usize>,
        /// Least.
        low: u32,
        /// Greatest.
        high: u32,
    },
    /// One of these words.
    OneOf(Vec<String>),
    /// A code of this list.
    List(String),
    /// A date that is known at least this well.
    Date(Precision),
    /// A term of office with its two ends ([`PartialDate::end_of_term`]), at most so many characters.
    Term(usize),
    /// A decimal number.
    Decimal {
        /// Digits in all.
        digits: u8,
        /// Digits after the point.
        scale: u8,
        /// Least.
        low: Decimal,
        /// Greatest.
        high: Decimal,
    },
    /// A whole number between two ends.
    Integer(i64, i64),
    /// A personal identification number.
    PersonalNumber,
    /// A unit that exists.
    Unit,
    /// A unit code, whether or not the unit exists today.
    Agency,
    /// A JPEG of at most so many bytes.
    Image(usize),
    /// A JSON array of objects with these members.
    Items(Vec<(String, Form)>),
}

/// A rule that the grammar does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a rule: {0}")]
pub struct RuleError(pub String);

/// What the world outside the record knows: units and codes.
#[derive(Clone, Copy)]
pub struct Knowledge<'a> {
    /// Which units exist.
    pub units: &'a dyn UnitDirectory,
    /// Which codes exist.
    pub codes: &'a dyn CodeLabels,
}

/// A value as it came in: the text of a cell, or JSON where a cell has structure.
#[derive(Clone, Copy, Debug)]
pub enum Raw<'a> {
    /// Text.
    Text(&'a str),
    /// A JSON array.
    Json(&'a serde_json::Value),
}

/// How a value breaks its rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It does not look right.
    Form,
    /// A personal number that opens with no known birthplace.
    Birthplace,
    /// A well-formed unit code that no unit has.
    NoSuchUnit,
    /// A code that its list does not have.
    NoSuchCode,
}

impl Rule {
    /// From one cell of the column `rule`.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let mut clauses = text.split(';').map(str::trim);
        let form = clauses.next().and_then(Form::parse).ok_or_else(|| RuleError(text.to_owned()))?;
        let mut not_before = None;
        for clause in clauses {
            match clause.split_once(' ') {
                Some(("not_before", field)) => not_before = Some(field.trim().to_owned()),
                _ => return Err(RuleError(text.to_owned())),
            }
        }
        Ok(Self { form, not_before })
    }
}

impl Form {
    /// The longest text in an item of a list field.
    const MAX_ITEM_TEXT: usize = 200;
    /// The most items in one list field.
    pub const MAX_ITEMS: usize = 100;

    fn parse(text: &str) -> Option<Self> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let mut numbers = rest.split(' ').map(str::trim);
        Some(match word {
            "text" => Self::Text(rest.parse().ok()?),
            "name" => Self::Name(rest.parse().ok()?),
            "code" => Self::Code(rest.parse().ok()?),
            "pattern" => Self::Pattern(Regex::new(&format!("^(?:{rest})$")).ok()?),
            "range" => {
                let (low, high) = rest.split_once('-')?;
                let width = (low.len() == high.len()).then_some(low.len());
                Self::Range { width, low: low.parse().ok()?, high: high.parse().ok()? }
            }
            "one_of" if !rest.is_empty() => Self::OneOf(rest.split('|').map(str::to_owned).collect()),
            "list" if !rest.is_empty() => Self::List(rest.to_owned()),
            "term" => Self::Term(rest.parse().ok()?),
            "date" if rest.is_empty() => Self::Date(Precision::Day),
            "date" if rest == "partial" => Self::Date(Precision::Year),
            "decimal" => {
                let (digits, scale) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
                let mut end = || Decimal::parse(numbers.next()?, digits, scale);
                Self::Decimal { digits, scale, low: end()?, high: end()? }
            }
            "integer" => Self::Integer(numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?),
            "personal_number" => Self::PersonalNumber,
            "unit" => Self::Unit,
            "agency" => Self::Agency,
            "image" => Self::Image(rest.strip_prefix("jpeg ")?.parse().ok()?),
            "items" => Self::Items(rest.split_whitespace().map(Self::member).collect::<Option<_>>()?),
            _ => return None,
        })
    }

    fn member(text: &str) -> Option<(String, Self)> {
        let (name, kind) = text.split_once(':')?;
        let form = match kind {
            "text" => Self::Text(Self::MAX_ITEM_TEXT),
            "name" => Self::Name(100),
            "code" => Self::Code(35),
            "year" => Self::Range { width: Some(4), low: 1900, high: 2199 },
            "date" => Self::Date(Precision::Year),
            "personal_number" => Self::PersonalNumber,
            _ => return None,
        };
        Some((name.to_owned(), form))
    }

    /// Reads one value; `Ok(None)` for an empty one.
    pub fn read(&self, raw: Raw<'_>, knowledge: Knowledge<'_>) -> Result<Option<Value>, Broken> {
        match (self, raw) {
            (Self::Items(members), Raw::Json(json)) => items(members, json, knowledge),
            (Self::Items(members), Raw::Text(text)) if !text.trim().is_empty() => {
                items(members, &serde_json::from_str(text).map_err(|_| Broken::Form)?, knowledge)
            }
            (_, Raw::Json(_)) => Err(Broken::Form),
            (_, Raw::Text(text)) => {
                let text = normalised(text);
                if text.is_empty() { Ok(None) } else { self.read_text(&text, knowledge).map(Some) }
            }
        }
    }

    fn read_text(&self, text: &str, knowledge: Knowledge<'_>) -> Result<Value, Broken> {
        let kept = |holds: bool| if holds { Ok(Value::Text(text.to_owned())) } else { Err(Broken::Form) };
        match self {
            Self::Text(max) => {
                let line = if text.contains(['\n', '\r', '\t']) { single_spaced(text) } else { text.into() };
                let holds = fits(&line, *max) && !line.chars().any(is_invisible);
                if holds { Ok(Value::Text(line.into_owned())) } else { Err(Broken::Form) }
            }
            Self::Term(max) => {
                kept(fits(text, *max) && !text.chars().any(is_invisible) && PartialDate::end_of_term(text).is_some())
            }
            Self::Name(max) => {
                let name = vietnamese(&single_spaced(text));
                let may_stand = |character: char| {
                    character.is_alphabetic()
                        || matches!(character, ' ' | '\'' | '’' | '-' | '.')
                        || unicode_normalization::char::is_combining_mark(character)
                };
                let holds = fits(&name, *max)
                    && name.chars().all(may_stand)
                    && name.chars().next().is_some_and(char::is_alphabetic);
                if holds { Ok(Value::Text(name)) } else { Err(Broken::Form) }
            }
            Self::Code(max) => {
                let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || b".-_/+".contains(&byte);
                kept(text.len() <= *max && text.bytes().all(may_stand))
            }
            Self::Pattern(pattern) => kept(text.len() <= 320 && pattern.is_match(text)),
            Self::Range { width, low, high } => {
                let well_written = text.len() <= 9
                    && text.bytes().all(|byte| byte.is_ascii_digit())
                    && width.map_or(!text.starts_with('0') || text == "0", |width| text.len() == width);
                kept(well_written && text.parse().is_ok_and(|number: u32| (*low..=*high).contains(&number)))
            }
            Self::OneOf(words) => kept(words.iter().any(|word| word == text)),
            Self::List(list) if knowledge.codes.has_code(list, text) => kept(true),
            Self::List(_) => Err(Broken::NoSuchCode),
            Self::Date(least) => {
                let date = PartialDate::parse(text).filter(|date| date.precision() >= *least);
                date.map(Value::Date).ok_or(Broken::Form)
            }
            Self::Decimal { digits, scale, low, high } => {
                let between = |number: &Decimal| (low.units()..=high.units()).contains(&number.units());
                Decimal::parse(text, *digits, *scale).filter(between).map(Value::Decimal).ok_or(Broken::Form)
            }
            Self::Integer(low, high) => {
                let digits = text.strip_prefix('-').unwrap_or(text);
                let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
                number.filter(|number| (*low..=*high).contains(number)).map(Value::Integer).ok_or(Broken::Form)
            }
            Self::PersonalNumber if text.len() != 12 || !text.bytes().all(|byte| byte.is_ascii_digit()) => {
                Err(Broken::Form)
            }
            Self::PersonalNumber if !agencies().knows_birthplace(&text[..3]) => Err(Broken::Birthplace),
            Self::PersonalNumber => kept(true),
            Self::Unit => {
                let code = UnitCode::parse(text).ok_or(Broken::Form)?;
                if knowledge.units.has_unit(code.as_str()) {
                    Ok(Value::Text(code.as_str().to_owned()))
                } else {
                    Err(Broken::NoSuchUnit)
                }
            }
            Self::Agency => UnitCode::parse(text).map(|code| Value::Text(code.as_str().to_owned())).ok_or(Broken::Form),
            Self::Image(max) => Portrait::from_base64(text, *max).map(Value::Portrait).ok_or(Broken::Form),
            Self::Items(_) => Err(Broken::Form),
        }
    }

    /// What the rule demands, in Vietnamese and in English: the end of the sentence "the value must …".
    pub fn demand(&self) -> (String, String) {
        let both = |vi: &str, en: &str| (vi.to_owned(), en.to_owned());
        match self {
            Self::Text(max) => (
                format!("là văn bản không quá {max} ký tự, không có ký tự ẩn"),
                format!("be text of at most {max} characters without invisible ones"),
            ),
            Self::Name(max) => (
                format!("chỉ gồm chữ cái, dấu cách, dấu nháy, gạch nối hoặc dấu chấm, không quá {max} ký tự"),
                format!("have letters, spaces, apostrophes, hyphens and full stops only, at most {max}"),
            ),
            Self::Code(max) => (
                format!("là mã gồm chữ không dấu, chữ số và . - _ / +, không quá {max} ký tự"),
                format!("be a code of ASCII letters, digits and . - _ / +, at most {max}"),
            ),
            Self::Pattern(pattern) => (format!("đúng mẫu {}", pattern.as_str()), format!("match {}", pattern.as_str())),
            Self::Range { width: Some(width), low, high } => (
                format!("là mã {width} chữ số từ {low:0width$} đến {high:0width$}"),
                format!("be {width} digits from {low:0width$} to {high:0width$}"),
            ),
            Self::Range { width: None, low, high } => {
                (format!("là số từ {low} đến {high}"), format!("be a number from {low} to {high}"))
            }
            Self::OneOf(words) => {
                let words = words.join(", ");
                (format!("là một trong: {words}"), format!("be one of: {words}"))
            }
            Self::List(list) => (format!("là một mã của danh mục {list}"), format!("be a code of the list {list}")),
            Self::Date(Precision::Day) => both(
                "là ngày có thật dạng yyyyMMdd hoặc yyyy-MM-dd",
                "be a calendar date written yyyyMMdd or yyyy-MM-dd",
            ),
            Self::Date(_) => both(
                "là năm, tháng hoặc ngày có thật dạng yyyy, yyyyMM, yyyyMMdd (hoặc yyyy-MM-dd)",
                "be a year, month or calendar date written yyyy, yyyyMM, yyyyMMdd (or yyyy-MM-dd)",
            ),
            Self::Term(max) => (
                format!("là thời gian từ … đến …, ví dụ 2021-2026 hoặc 01/06/2021 - 31/05/2026, không quá {max} ký tự"),
                format!(
                    "say from when until when, for example 2021-2026 or 01/06/2021 - 31/05/2026, at most {max} characters"
                ),
            ),
            Self::Decimal { scale, low, high, .. } => (
                format!("là số từ {low} đến {high}, không quá {scale} chữ số thập phân"),
                format!("be a number from {low} to {high} with at most {scale} decimals"),
            ),
            Self::Integer(low, high) => {
                (format!("là số nguyên từ {low} đến {high}"), format!("be a whole number from {low} to {high}"))
            }
            Self::PersonalNumber => both("gồm đúng 12 chữ số", "be exactly 12 digits"),
            Self::Unit | Self::Agency => both(
                "là mã đơn vị theo Quyết định 20/2020/QĐ-TTg, ví dụ H26.05",
                "be a unit code of Decision 20/2020/QĐ-TTg, for example H26.05",
            ),
            Self::Image(max) => (
                format!("là ảnh JPEG mã hóa Base64, không quá {} KiB", max / 1024),
                format!("be a JPEG in Base64 of at most {} KiB", max / 1024),
            ),
            Self::Items(members) => {
                let names = members.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
                (
                    format!("là mảng JSON gồm các đối tượng có: {names}"),
                    format!("be a JSON array of objects with: {names}"),
                )
            }
        }
    }

    /// Reads back a value that was checked when it was stored. Units and codes are not asked again: one that has been
    /// closed since does not spoil an old record.
    pub fn restore(&self, json: &serde_json::Value) -> Option<Value> {
        if let (Self::Items(_), serde_json::Value::Array(array)) = (self, json) {
            let member =
                |(name, value): (&String, &serde_json::Value)| Some((name.clone(), value.as_str()?.to_owned()));
            let item = |item: &serde_json::Value| item.as_object()?.iter().map(member).collect::<Option<Vec<_>>>();
            return array.iter().map(item).collect::<Option<_>>().map(Value::Items);
        }
        let text = json.as_str()?;
        match self {
            Self::Date(_) => PartialDate::parse(text).map(Value::Date),
            Self::Decimal { digits, scale, .. } => Decimal::parse(text, *digits, *scale).map(Value::Decimal),
            Self::Integer(..) => text.parse().ok().map(Value::Integer),
            Self::Image(_) => Portrait::named(text).map(Value::Portrait),
            Self::Items(_) => None,
            _ => Some(Value::Text(text.to_owned())),
        }
    }
}

fn fits(text: &str, max: usize) -> bool {
    text.len() <= max || (text.len() <= 4 * max && text.chars().count() <= max)
}

fn items(
    members: &[(String, Form)],
    json: &serde_json::Value,
    knowledge: Knowledge<'_>,
) -> Result<Option<Value>, Broken> {
    let array = json.as_array().filter(|array| array.len() <= Form::MAX_ITEMS).ok_or(Broken::Form)?;
    let mut items = Vec::with_capacity(array.len());
    for object in array {
        let object = object.as_object().ok_or(Broken::Form)?;
        let mut item = Vec::with_capacity(object.len());
        for (name, value) in object {
            let (_, form) = members.iter().find(|(member, _)| member == name).ok_or(Broken::Form)?;
            let number;
            let text = match value {
                serde_json::Value::String(text) => text,
                serde_json::Value::Null => continue,
                serde_json::Value::Number(value) => {
                    number = value.to_string();
                    &number
                }
                _ => return Err(Broken::Form),
            };
            match form.read(Raw::Text(text), knowledge)? {
                Some(Value::Text(text)) => item.push((name.clone(), text)),
                Some(Value::Date(date)) => item.push((name.clone(), date.to_string())),
                None => {}
                Some(_) => return Err(Broken::Form),
            }
        }
        item.sort();
        if !item.is_empty() {
            items.push(item);
        }
    }
    Ok((!items.is_empty()).then_some(Value::Items(items)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::date;

    use super::*;
    use crate::model::code_list::shipped;
    use crate::model::unit::UnitRegister;

    fn read(rule: &str, text: &str) -> Result<Option<Value>, Broken> {
        let units = UnitRegister::on(date!(2025 - 12 - 01));
        let rule = Rule::parse(rule).unwrap();
        rule.form.read(Raw::Text(text), Knowledge { units: &units, codes: shipped() })
    }

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn every_form_accepts_and_refuses() {
        for (rule, good, bad) in [
            ("text 3", "HĐ1", "HĐ12"),
            ("name 20", "Ê-đê O'Hara Ksor", "An 2"),
            ("code 5", "V.01", "a b"),
            ("pattern [0-9]{9}", "123456789", "1234567890"),
            ("term 30", "Nhiệm kỳ 2021-2026", "Khóa XV"),
            ("range 00-09", "07", "7"),
            ("range 1-12", "12", "012"),
            ("one_of A|B+", "B+", "C"),
            ("list GSO.DANTOC", "55", "56"),
            ("personal_number", "001099012345", "00109901234"),
            ("unit", "H26", "H"),
            ("agency", "H06.1", "h06"),
            ("image jpeg 9", "/9j/4AD/2Q==", "sha256:00"),
        ] {
            assert!(matches!(read(rule, good), Ok(Some(_))), "{rule}");
            assert!(read(rule, bad).is_err(), "{rule}");
            assert_eq!(read(rule, "  "), Ok(None), "{rule}");
        }
        assert_eq!(read("name 20", " Ho\u{300}a  Bình"), Ok(Some(text("Hòa Bình"))));
        assert_eq!(
            read("name 20", "\u{d0}ặng \u{f0}ạt"),
            Ok(Some(text("\u{110}ặng \u{111}ạt"))),
            "not the Icelandic letter"
        );
        assert_eq!(read("text 20", "a\n\u{200b}b"), Err(Broken::Form));
        assert_eq!(read("unit", "000.00.00.H26"), Ok(Some(text("H26"))));
        assert_eq!(read("unit", "H26.77"), Err(Broken::NoSuchUnit));
        assert_eq!(read("personal_number", "003099012345"), Err(Broken::Birthplace));
        assert!(read("decimal 4 2 0.00 13.00", "13").is_ok() && read("decimal 4 2 0.00 13.00", "13.01").is_err());
        assert!(read("integer 0 10", "-1").is_err() && read("integer 0 10", "+1").is_err());
        assert!(read("date", "198702").is_err() && read("date partial", "198702").is_ok());
    }

    #[test]
    fn items_are_objects_of_known_members() {
        let rule = "items relation:code birth_year:year until:date";
        let value = read(rule, r#"[{"relation":"01","birth_year":1960},{"until":"2020-05"},{}]"#).unwrap().unwrap();
        let Value::Items(items) = &value else { panic!("items") };
        assert_eq!(items.len(), 2);
        assert_eq!(items[1], vec![("until".to_owned(), "202005".to_owned())]);
        for bad in ["{", "{}", "[1]", r#"[{"other":"1"}]"#, r#"[{"birth_year":"60"}]"#, r#"[{"relation":[]}]"#] {
            assert_eq!(read(rule, bad), Err(Broken::Form), "{bad}");
        }
    }

    #[test]
    fn a_rule_outside_the_grammar_is_an_error() {
        for rule in
            ["", "texts 3", "text", "range 1", "decimal 4 2 0", "items a", "items a:b", "date; after x", "pattern ("]
        {
            assert!(Rule::parse(rule).is_err(), "{rule}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(rule in "[a-z_]{0,10} [a-zA-Z0-9|:;. -]{0,20}", cell in "\\PC{0,40}") {
            let _ = Rule::parse(&rule);
            for rule in ["text 9", "name 9", "term 9", "code 9", "range 00-09", "date partial", "decimal 5 2 0 100", "integer 0 9",
                "personal_number", "unit", "agency", "image jpeg 9", "items a:text", "pattern [0-9]+"] {
                let _ = read(rule, &cell);
            }
        }
    }
}
