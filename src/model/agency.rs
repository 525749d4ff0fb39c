//! Level-1 agencies and provinces with the dates between which their codes hold, and the birthplace codes that open a
//! personal number (domain dossier, sections 3, 4 and 7; data in `data/2023/agencies.csv`).
//!
//! A code is not unique by itself: G10 was the Ministry of Agriculture and Rural Development until 1 March 2025 and is
//! the Ministry of Agriculture and Environment since. Personal numbers keep the codes of the 63 provinces for ever.

use std::sync::LazyLock;

use crate::model::calendar::parse_day;
use time::Date;

/// One body, and when its code was its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agency {
    /// Level-1 code of Decision 20/2020/QĐ-TTg, for example `H26`; `None` where the code is not known.
    pub code: Option<String>,
    /// Vietnamese name, NFC.
    pub name_vi: String,
    /// English name.
    pub name_en: String,
    /// `province`, `ministry` or `agency`.
    pub kind: String,
    /// First day; `None` for "since before the list".
    pub valid_from: Option<Date>,
    /// First day on which it is no longer valid; `None` for "still".
    pub valid_to: Option<Date>,
    /// The code of the body that took its place.
    pub successor_code: Option<String>,
    /// Statistical code among the 63 provinces.
    pub statistical_code_old: Option<String>,
    /// Statistical code among the 34 provinces of 2025.
    pub statistical_code_2025: Option<String>,
    /// Three digits that open the personal numbers of those born there (Circular 07/2016/TT-BCA).
    pub birthplace_code: Option<String>,
    /// How the code is known: nothing here claims to be official.
    pub certainty: String,
}

impl Agency {
    /// Whether its code is its own on `day`.
    pub fn valid_on(&self, day: Date) -> bool {
        self.valid_from.is_none_or(|from| from <= day) && self.valid_to.is_none_or(|to| day < to)
    }
}

/// The agencies that ship with the program.
#[derive(Debug)]
pub struct Agencies {
    rows: Vec<Agency>,
    /// By the two digits after the leading 0.
    birthplaces: [bool; 100],
}

/// The agencies of the catalogue of 2023, amended to 2025.
pub fn agencies() -> &'static Agencies {
    static AGENCIES: LazyLock<Agencies> = LazyLock::new(|| Agencies::read(include_str!("data/2023/agencies.csv")));
    &AGENCIES
}

impl Agencies {
    /// Every row, closed ones included, in the order of the data.
    pub fn all(&self) -> &[Agency] {
        &self.rows
    }

    /// The body that a level-1 code names on `day`.
    pub fn on(&self, code: &str, day: Date) -> Option<&Agency> {
        self.rows.iter().find(|agency| agency.code.as_deref() == Some(code) && agency.valid_on(day))
    }

    /// Whether any body, past or present, has this level-1 code.
    pub fn ever(&self, code: &str) -> bool {
        self.rows.iter().any(|agency| agency.code.as_deref() == Some(code))
    }

    /// Whether a personal number may open with these three digits: one of the 63 provinces, or a country (first digit
    /// not 0; the country list of the circular was not read, so every such code passes).
    pub fn knows_birthplace(&self, code: &str) -> bool {
        match code.as_bytes() {
            [b'0', tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => {
                self.birthplaces[usize::from(tens - b'0') * 10 + usize::from(ones - b'0')]
            }
            [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'] => true,
            _ => false,
        }
    }

    /// Rows whose shape is not right are left out; a test counts the shipped ones.
    fn read(text: &str) -> Self {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let rows: Vec<_> = reader.records().filter_map(|row| agency(&row.ok()?)).collect();
        let mut birthplaces = [false; 100];
        for code in rows.iter().filter_map(|agency| agency.birthplace_code.as_deref()) {
            if let Some(place) = code.parse().ok().and_then(|code: usize| birthplaces.get_mut(code)) {
                *place = true;
            }
        }
        Self { rows, birthplaces }
    }
}

fn agency(row: &csv::StringRecord) -> Option<Agency> {
    let some = |at: usize| row.get(at).filter(|text| !text.is_empty()).map(str::to_owned);
    let day = |at: usize| match row.get(at)? {
        "" => Some(None),
        text => parse_day(text).map(Some),
    };
    Some(Agency {
        code: some(0),
        name_vi: some(1)?,
        name_en: some(2)?,
        kind: some(3)?,
        valid_from: day(6)?,
        valid_to: day(7)?,
        successor_code: some(9),
        statistical_code_old: some(10),
        statistical_code_2025: some(11),
        birthplace_code: some(12),
        certainty: some(13)?,
    })
}

#[cfg(test)]
mod tests {
    use time::macros::date;

    use super::*;

    #[test]
    fn all_hundred_rows_are_read() {
        let all = agencies().all();
        assert_eq!(all.len(), 100);
        assert_eq!(all.iter().filter(|agency| agency.birthplace_code.is_some()).count(), 63);
        assert_eq!(all.iter().filter(|agency| agency.statistical_code_2025.is_some()).count(), 34);
    }

    #[test]
    fn a_code_means_what_it_means_on_a_day() {
        let name = |code, day| agencies().on(code, day).map(|agency| agency.name_en.as_str());
        assert_eq!(name("G10", date!(2025 - 02 - 28)), Some("Ministry of Agriculture and Rural Development"));
        assert_eq!(name("G10", date!(2025 - 03 - 01)), Some("Ministry of Agriculture and Environment"));
        assert_eq!(name("H06", date!(2025 - 06 - 30)), Some("People's Committee of Ba Ria - Vung Tau Province"));
        assert_eq!(name("H06", date!(2025 - 07 - 01)), None);
        assert!(agencies().ever("H06"));
    }

    #[test]
    fn birthplaces_are_those_of_the_63_provinces_and_of_countries() {
        for known in ["001", "002", "024", "079", "096", "101", "999"] {
            assert!(agencies().knows_birthplace(known), "{known}");
        }
        for unknown in ["000", "003", "005", "099", "", "1", "0010", "abc", "0a1"] {
            assert!(!agencies().knows_birthplace(unknown), "{unknown}");
        }
    }
}
