//! A date as the dossiers have it: a day, a month or a bare year (domain dossier, section 1: work history carries `yyyy`,
//! `yyyyMM` or `yyyyMMdd`). The precision is kept; nobody's birthday becomes the first of January.

use std::fmt;

use time::{Date, Month};

/// A calendar date with its precision. Years 1900 to 2199, the centuries that a personal number can name today.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PartialDate {
    year: u16,
    /// 1 to 12; 0 when only the year is known.
    month: u8,
    /// 1 to 31; 0 when the day is not known.
    day: u8,
}

/// How much of a date is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    /// The year only.
    Year,
    /// Year and month.
    Month,
    /// The whole date.
    Day,
}

impl PartialDate {
    /// From `yyyy`, `yyyyMM`, `yyyyMMdd`, `yyyy-MM` or `yyyy-MM-dd`; `None` unless the calendar has that date.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let (year, month, day) = match bytes.len() {
            4 => (bytes, None, None),
            6 => (&bytes[..4], Some(&bytes[4..]), None),
            7 if bytes[4] == b'-' => (&bytes[..4], Some(&bytes[5..]), None),
            8 => (&bytes[..4], Some(&bytes[4..6]), Some(&bytes[6..])),
            10 if bytes[4] == b'-' && bytes[7] == b'-' => (&bytes[..4], Some(&bytes[5..7]), Some(&bytes[8..])),
            _ => return None,
        };
        let year = digits(year).filter(|year| (1900..=2199).contains(year))?;
        let part = |part: Option<&[u8]>| match part {
            Some(part) => u8::try_from(digits(part)?).ok().filter(|value| *value > 0),
            None => Some(0),
        };
        let (month, day) = (part(month)?, part(day)?);
        let calendar_month = Month::try_from(month.max(1)).ok()?;
        Date::from_calendar_date(i32::from(year), calendar_month, day.max(1)).ok()?;
        Some(Self { year, month, day })
    }

    /// From what people write in a cell: `d/M/yyyy` or `M/yyyy`, in the Vietnamese order, also with `-` or `.`; `None`
    /// unless the calendar has that date.
    pub fn parse_vietnamese(text: &str) -> Option<Self> {
        let parts: Vec<_> = text.split(['/', '-', '.']).map(str::trim).collect();
        let (day, month, year) = match *parts {
            [day, month, year] => (Some(day), month, year),
            [month, year] => (None, month, year),
            _ => return None,
        };
        let short = |part: &str| (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        if year.len() != 4 || !short(month) || !day.is_none_or(short) {
            return None;
        }
        Self::parse(&match day {
            Some(day) => format!("{year}{month:0>2}{day:0>2}"),
            None => format!("{year}{month:0>2}"),
        })
    }

    /// The last day of a term of office, as people write one: `2021-2026`, `20210601-20260531`,
    /// `01/06/2021 - 31/05/2026`, `Nhiệm kỳ 2021–2026`, `từ 01/06/2021 đến 31/05/2026`. Words stand around the two dates or
    /// between them. `None` for anything else, and for an end before the beginning.
    pub fn end_of_term(text: &str) -> Option<Date> {
        let digit = |byte: u8| byte.is_ascii_digit();
        let (first, last) = (text.bytes().position(digit)?, text.bytes().rposition(digit)?);
        let text = &text[first..=last];
        let in_date = |character: char| character.is_ascii_digit() || matches!(character, '/' | '-' | '.');
        let (from, to) = match (text.find(|one| !in_date(one)), text.rsplit_once(|one| !in_date(one))) {
            // What stands between the two names no third date.
            (Some(end), Some((before, to))) if !before[end..].bytes().any(digit) => (&text[..end], to),
            (None, None) => {
                // The dates themselves have as many hyphens each.
                let hyphens: Vec<_> = text.match_indices('-').map(|(at, _)| at).collect();
                let middle = *hyphens.get(hyphens.len() / 2)?;
                (&text[..middle], &text[middle + 1..])
            }
            _ => return None,
        };
        let read = |text: &str| {
            let text = text.trim_matches(['/', '-', '.']);
            Self::parse(text).or_else(|| Self::parse_vietnamese(text))
        };
        let (from, to) = (read(from)?, read(to)?);
        (!to.certainly_before(from)).then(|| to.last_day())
    }

    /// A whole day.
    pub fn day(date: Date) -> Option<Self> {
        let year = u16::try_from(date.year()).ok().filter(|year| (1900..=2199).contains(year))?;
        Some(Self { year, month: date.month().into(), day: date.day() })
    }

    /// What is known of it.
    pub fn precision(self) -> Precision {
        match (self.month, self.day) {
            (0, _) => Precision::Year,
            (_, 0) => Precision::Month,
            _ => Precision::Day,
        }
    }

    /// The year.
    pub fn year(self) -> u16 {
        self.year
    }

    /// The date, when the day is known.
    pub fn exact(self) -> Option<Date> {
        (self.precision() == Precision::Day).then(|| self.first_day())
    }

    /// The earliest day that it can mean.
    pub fn first_day(self) -> Date {
        let month = Month::try_from(self.month.max(1)).unwrap_or(Month::January);
        Date::from_calendar_date(i32::from(self.year), month, self.day.max(1)).unwrap_or(Date::MIN)
    }

    /// The latest day that it can mean.
    pub fn last_day(self) -> Date {
        match self.precision() {
            Precision::Day => self.first_day(),
            Precision::Month => {
                let first = self.first_day();
                first.replace_day(first.month().length(first.year())).unwrap_or(first)
            }
            Precision::Year => Date::from_calendar_date(i32::from(self.year), Month::December, 31).unwrap_or(Date::MAX),
        }
    }

    /// Whether every day that it can mean lies before every day that `other` can mean.
    pub fn certainly_before(self, other: Self) -> bool {
        self.last_day() < other.first_day()
    }

    /// Whether the two agree in everything that both know.
    pub fn agrees_with(self, other: Self) -> bool {
        let same = |one: u8, two: u8| one == 0 || two == 0 || one == two;
        self.year == other.year && same(self.month, other.month) && same(self.day, other.day)
    }
}

/// The canonical form: `yyyy`, `yyyyMM` or `yyyyMMdd`.
impl fmt::Display for PartialDate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:04}", self.year)?;
        for part in [self.month, self.day].into_iter().filter(|part| *part > 0) {
            write!(formatter, "{part:02}")?;
        }
        Ok(())
    }
}

fn digits(bytes: &[u8]) -> Option<u16> {
    bytes.iter().try_fold(0_u16, |number, byte| {
        byte.is_ascii_digit().then(|| number * 10 + u16::from(byte - b'0')).filter(|number| *number < 10_000)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn people_write_the_day_first() {
        let read = |text| PartialDate::parse_vietnamese(text).map(|date| date.to_string());
        for (text, expected) in [
            ("02/05/1987", Some("19870502")),
            ("2-5-1987", Some("19870502")),
            ("2.5.1987", Some("19870502")),
            ("5/1987", Some("198705")),
            ("31/02/1987", None),
            ("1987", None),
            ("02/05/87", None),
            ("002/05/1987", None),
            ("1/2/3/1987", None),
            ("+1/2/1987", None),
        ] {
            assert_eq!(read(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn terms_are_read_as_people_write_them() {
        let day = time::macros::date!(2026 - 05 - 31);
        for text in [
            "20210601-20260531",
            "01/06/2021 - 31/05/2026",
            "01/06/2021-31/05/2026",
            "01.06.2021–31.05.2026",
            "01-06-2021-31-05-2026",
            "2021-06-01-2026-05-31",
            "2021-06-01 - 2026-05-31",
            "2021-06 — 2026-05",
            "Nhiệm kỳ từ 06/2021 đến hết 05/2026",
            "Khóa XVIII (1/6/2021 -31/5/2026).",
        ] {
            assert_eq!(PartialDate::end_of_term(text), Some(day), "{text}");
        }
        let year = time::macros::date!(2026 - 12 - 31);
        for text in ["2021-2026", "2021 - 2026", "2021- 2026", "2021–2026", "Nhiệm kỳ 2021-2026", "2021 đến 2026"]
        {
            assert_eq!(PartialDate::end_of_term(text), Some(year), "{text}");
        }
        for text in [
            "",
            "Khóa XVIII",
            "2026",
            "đến 2026",
            "2026-2021",
            "2021-26",
            "2021-2026-2031",
            "2021 - 2026 - 2031",
            "2021-2026, 2026-2031",
            "khóa 15, 2021-2026",
            "31/02/2021 - 31/05/2026",
            "20210601",
            "2021-06-01",
            "-",
            "2021-",
        ] {
            assert_eq!(PartialDate::end_of_term(text), None, "{text}");
        }
    }

    #[test]
    fn the_precision_is_kept() {
        for (text, canonical, precision) in [
            ("1987", "1987", Precision::Year),
            ("198702", "198702", Precision::Month),
            ("1987-02", "198702", Precision::Month),
            ("19870228", "19870228", Precision::Day),
            ("2024-02-29", "20240229", Precision::Day),
        ] {
            let date = PartialDate::parse(text).unwrap();
            assert_eq!((date.to_string().as_str(), date.precision()), (canonical, precision));
        }
    }

    #[test]
    fn the_calendar_is_real() {
        for text in [
            "",
            "87",
            "19871",
            "198713",
            "198700",
            "19870230",
            "20230229",
            "1987-2-3",
            "1899",
            "2200",
            "1987/02/03",
            "+198",
            "١٩٨٧",
        ] {
            assert_eq!(PartialDate::parse(text), None, "{text}");
        }
    }

    #[test]
    fn before_means_certainly_before() {
        let date = |text| PartialDate::parse(text).unwrap();
        assert!(date("1999").certainly_before(date("200001")));
        assert!(!date("2000").certainly_before(date("200001")));
        assert!(date("20000131").certainly_before(date("200002")));
        assert!(date("2000").agrees_with(date("20000505")));
        assert!(!date("200006").agrees_with(date("20000505")));
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_what_is_written_reads_back(text in "\\PC{0,12}|[0-9-]{0,11}|[0-9/. –đ-]{0,25}") {
            let _ = PartialDate::end_of_term(&text);
            if let Some(date) = PartialDate::parse(&text) {
                prop_assert_eq!(PartialDate::parse(&date.to_string()), Some(date));
                prop_assert!(date.first_day() <= date.last_day());
            }
        }
    }
}
