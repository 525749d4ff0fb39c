//! What is wrong with a row, told without telling what the row says: line, field, the *shape* of the value, the rule.
//! Most fields are personal data and rejects files travel by e-mail, so the value itself is never repeated.

use std::fmt;

/// One thing wrong with one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFault {
    /// Line of the file, counted from 1 with the header.
    pub line: u64,
    /// Code of the field, with its place in a repeating list: `work_history_from[2]`. Empty for the row as a whole.
    pub field: String,
    /// What the value looks like; `None` when it is missing.
    pub shape: Option<Shape>,
    /// The rule as the catalogue words it, or `required`, `known_column`, `readable`.
    pub rule: String,
    /// What to do about it, in Vietnamese: the end of "giá trị phải …".
    pub demand_vi: String,
    /// The same in English: the end of "the value must …".
    pub demand_en: String,
}

impl RowFault {
    /// The whole sentence in Vietnamese.
    pub fn message_vi(&self) -> String {
        let shape =
            self.shape.as_ref().map_or("để trống".to_owned(), |shape| format!("có {}", shape.in_vietnamese()));
        let field = if self.field.is_empty() { "cả dòng" } else { &self.field };
        format!("Dòng {}, {field} ({shape}): phải {}", self.line, self.demand_vi)
    }

    /// The whole sentence in English.
    pub fn message_en(&self) -> String {
        let shape = self.shape.as_ref().map_or("empty".to_owned(), ToString::to_string);
        let field = if self.field.is_empty() { "the row" } else { &self.field };
        format!("line {}, {field} ({shape}): must {} [{}]", self.line, self.demand_en, self.rule)
    }
}

impl fmt::Display for RowFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} / {}", self.message_vi(), self.message_en())
    }
}

/// What a value looks like: how many characters of which kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    digits: usize,
    letters: usize,
    spaces: usize,
    others: usize,
}

impl Shape {
    /// Of a text.
    pub fn of(text: &str) -> Self {
        let mut shape = Self::default();
        for character in text.chars() {
            if character.is_numeric() {
                shape.digits += 1;
            } else if character.is_alphabetic() {
                shape.letters += 1;
            } else if character.is_whitespace() {
                shape.spaces += 1;
            } else {
                shape.others += 1;
            }
        }
        shape
    }

    fn told(self, words: [&str; 5], and: &str) -> String {
        let counts = [self.digits, self.letters, self.spaces, self.others];
        let parts: Vec<_> = counts
            .iter()
            .zip(words)
            .filter(|(count, _)| **count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        match parts.split_last() {
            None => words[4].to_owned(),
            Some((only, [])) => only.clone(),
            Some((last, rest)) => format!("{} {and} {last}", rest.join(", ")),
        }
    }

    /// `9 chữ số`, `14 chữ cái và 2 dấu cách`.
    pub fn in_vietnamese(self) -> String {
        self.told(["chữ số", "chữ cái", "dấu cách", "ký tự khác", "không ký tự"], "và")
    }
}

/// `9 digits`, `14 letters and 2 spaces`.
impl fmt::Display for Shape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: usize, one: &'static str, many: &'static str| if count == 1 { one } else { many };
        let words = [
            plural(self.digits, "digit", "digits"),
            plural(self.letters, "letter", "letters"),
            plural(self.spaces, "space", "spaces"),
            plural(self.others, "other character", "other characters"),
            "no characters",
        ];
        formatter.write_str(&self.told(words, "and"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_names_the_shape_and_never_the_value() {
        let fault = RowFault {
            line: 7,
            field: "personal_id_number".into(),
            shape: Some(Shape::of("00109901234")),
            rule: "personal_number".into(),
            demand_vi: "gồm đúng 12 chữ số".into(),
            demand_en: "be exactly 12 digits".into(),
        };
        assert_eq!(
            fault.to_string(),
            "Dòng 7, personal_id_number (có 11 chữ số): phải gồm đúng 12 chữ số / line 7, personal_id_number (11 digits): \
             must be exactly 12 digits [personal_number]"
        );
        assert_eq!(Shape::of("Nguyễn Văn A1").to_string(), "1 digit, 10 letters and 2 spaces");
        assert_eq!(Shape::of("x@y").in_vietnamese(), "2 chữ cái và 1 ký tự khác");
        assert_eq!(Shape::of("").to_string(), "no characters");
    }
}
