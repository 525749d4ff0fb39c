//! Days and months in Vietnam (UTC+7, no summer time): working days with the public holidays as data
//! (`data/calendar/holidays.csv`), and the months of reports and approvals with their last five days.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use time::macros::format_description;
use time::{Date, Duration, OffsetDateTime, UtcOffset, Weekday};

use crate::clock::{DAY_SECONDS, UnixSeconds};

/// Days at the end of a month in which the competent person approves (Circular 06/2023/TT-BNV).
pub const APPROVAL_DAYS: u8 = 5;

/// Whether work is done on a day that says something else than its weekday.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayKind {
    /// A public holiday, or a day off in lieu or in exchange.
    Off,
    /// A day of a weekend that is worked in exchange.
    Work,
}

impl DayKind {
    /// `off` or `work`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Work => "work",
        }
    }

    /// From its word.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "off" => Some(Self::Off),
            "work" => Some(Self::Work),
            _ => None,
        }
    }
}

/// Which days are worked.
#[derive(Clone, Debug)]
pub struct Calendar {
    days: BTreeMap<Date, DayKind>,
}

impl Calendar {
    /// As shipped.
    pub fn shipped() -> &'static Self {
        static SHIPPED: LazyLock<Calendar> = LazyLock::new(|| Calendar {
            days: read(include_str!("data/calendar/holidays.csv"))
                .into_iter()
                .map(|(day, kind, _)| (day, kind))
                .collect(),
        });
        &SHIPPED
    }

    /// As shipped, with the days that the operator loaded before them.
    pub fn with(loaded: impl IntoIterator<Item = (Date, DayKind)>) -> Self {
        let mut days = Self::shipped().days.clone();
        days.extend(loaded);
        Self { days }
    }

    /// Whether work is done on `day`. In a year of which nothing is known, the holidays that do not move are free.
    pub fn is_working_day(&self, day: Date) -> bool {
        match self.days.get(&day) {
            Some(kind) => *kind == DayKind::Work,
            None if matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) => false,
            None => self.knows_year(day.year()) || !is_fixed_holiday(day),
        }
    }

    /// The end (the first instant of the next day) of the `count`-th working day after the day of `instant`.
    pub fn end_of_working_day_after(&self, instant: UnixSeconds, count: u32) -> UnixSeconds {
        let (mut day, mut left) = (day_of(instant), count);
        while left > 0 {
            let Some(next) = day.next_day() else { return UnixSeconds::MAX };
            day = next;
            left -= u32::from(self.is_working_day(day));
        }
        start_of(day) + DAY_SECONDS
    }

    fn knows_year(&self, year: i32) -> bool {
        let first = |year| Date::from_ordinal_date(year, 1).unwrap_or(Date::MAX);
        self.days.range(first(year)..first(year + 1)).next().is_some()
    }
}

/// Labour Code 2019, article 112, without what moves with the moon or is chosen each year.
fn is_fixed_holiday(day: Date) -> bool {
    matches!((u8::from(day.month()), day.day()), (1 | 5, 1) | (4, 30) | (9, 2))
}

/// Days, kinds and names of a table with the columns `day`, `kind` and `name_vi`; rows that are not of that shape are left
/// out. The caller counts.
pub fn read(table: &str) -> Vec<(Date, DayKind, String)> {
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let Ok(header) = reader.headers().cloned() else { return Vec::new() };
    let at = |name: &str| header.iter().position(|column| column.trim_start_matches('\u{feff}') == name);
    let (Some(day), Some(kind)) = (at("day"), at("kind")) else { return Vec::new() };
    let name = at("name_vi");
    let rows = reader.records().filter_map(|row| {
        let row = row.ok()?;
        let name = name.and_then(|at| row.get(at)).unwrap_or_default().trim();
        let name = name.chars().filter(|character| !character.is_control()).take(200).collect();
        Some((parse_day(row.get(day)?.trim())?, DayKind::parse(row.get(kind)?.trim())?, name))
    });
    rows.collect()
}

/// From `yyyy-mm-dd`.
pub fn parse_day(text: &str) -> Option<Date> {
    let day = Date::parse(text, format_description!("[year]-[month]-[day]")).ok()?;
    (1900..=2199).contains(&day.year()).then_some(day)
}

/// The calendar day in Vietnam.
pub fn day_of(instant: UnixSeconds) -> Date {
    OffsetDateTime::from_unix_timestamp(instant).map_or(Date::MIN, |instant| instant.to_offset(vietnam()).date())
}

/// The first instant of a day in Vietnam.
pub fn start_of(day: Date) -> UnixSeconds {
    day.midnight().assume_offset(vietnam()).unix_timestamp()
}

fn vietnam() -> UtcOffset {
    UtcOffset::from_hms(7, 0, 0).unwrap_or(UtcOffset::UTC)
}

/// A month of a calendar year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month {
    year: i32,
    month: time::Month,
}

impl Month {
    /// From `yyyy-mm`.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 7 || !text.is_ascii() {
            return None;
        }
        parse_day(&format!("{text}-01")).map(Self::of_day)
    }

    /// The month of an instant in Vietnam.
    pub fn of(instant: UnixSeconds) -> Self {
        Self::of_day(day_of(instant))
    }

    /// The month of a day.
    pub fn of_day(day: Date) -> Self {
        Self { year: day.year(), month: day.month() }
    }

    /// The one before.
    #[must_use]
    pub fn previous(self) -> Self {
        Self { year: self.year - i32::from(self.month == time::Month::January), month: self.month.previous() }
    }

    /// The one after.
    #[must_use]
    pub fn next(self) -> Self {
        Self { year: self.year + i32::from(self.month == time::Month::December), month: self.month.next() }
    }

    /// Its first day.
    pub fn first_day(self) -> Date {
        Date::from_calendar_date(self.year, self.month, 1).unwrap_or(Date::MIN)
    }

    /// Its last day.
    pub fn last_day(self) -> Date {
        self.first_day().saturating_add(Duration::days(i64::from(self.month.length(self.year)) - 1))
    }

    /// Its first instant in Vietnam.
    pub fn begins_at(self) -> UnixSeconds {
        start_of(self.first_day())
    }

    /// The first instant of the next month in Vietnam.
    pub fn ends_at(self) -> UnixSeconds {
        start_of(self.last_day()) + DAY_SECONDS
    }

    /// Whether `instant` lies in its last [`APPROVAL_DAYS`] days in Vietnam.
    pub fn may_be_approved_at(self, instant: UnixSeconds) -> bool {
        (self.ends_at() - i64::from(APPROVAL_DAYS) * DAY_SECONDS..self.ends_at()).contains(&instant)
    }
}

/// `yyyy-mm`.
impl fmt::Display for Month {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:04}-{:02}", self.year, u8::from(self.month))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::{date, datetime};

    use super::*;

    #[test]
    fn every_shipped_row_is_read_and_says_how_it_is_known() {
        let table = include_str!("data/calendar/holidays.csv");
        assert_eq!(read(table).len(), table.lines().count() - 1);
        assert!(table.lines().skip(1).all(|line| ["high", "medium", "low"].iter().any(|word| line.ends_with(word))));
        for (day, kind, name) in read(table) {
            let is_weekend = matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
            assert!(kind == DayKind::Off || is_weekend, "{day} is worked anyhow");
            assert!(!name.is_empty());
        }
    }

    #[test]
    fn holidays_weekends_and_worked_saturdays() {
        let calendar = Calendar::shipped();
        for free in [date!(2026 - 02 - 17), date!(2026 - 04 - 27), date!(2026 - 11 - 22), date!(2031 - 09 - 02)] {
            assert!(!calendar.is_working_day(free), "{free}");
        }
        for worked in [date!(2026 - 02 - 13), date!(2026 - 08 - 22), date!(2026 - 11 - 23), date!(2031 - 09 - 01)] {
            assert!(calendar.is_working_day(worked), "{worked}");
        }
        let loaded = Calendar::with([(date!(2026 - 11 - 24), DayKind::Off), (date!(2026 - 02 - 17), DayKind::Work)]);
        assert!(!loaded.is_working_day(date!(2026 - 11 - 24)) && loaded.is_working_day(date!(2026 - 02 - 17)));
    }

    #[test]
    fn three_working_days_skip_weekends_and_the_lunar_new_year() {
        let end = |instant: OffsetDateTime| Calendar::shipped().end_of_working_day_after(instant.unix_timestamp(), 3);
        let at = |instant: OffsetDateTime| instant.unix_timestamp();
        assert_eq!(end(datetime!(2025-11-21 10:00 +7)), at(datetime!(2025-11-27 00:00 +7)));
        // Thursday before the Lunar New Year of 2026: Friday, then Monday and Tuesday of the week after.
        assert_eq!(end(datetime!(2026-02-12 23:59 +7)), at(datetime!(2026-02-25 00:00 +7)));
        // The day is that of Vietnam.
        assert_eq!(end(datetime!(2025-11-20 17:00 UTC)), at(datetime!(2025-11-27 00:00 +7)));
    }

    #[test]
    fn months_know_their_last_five_days() {
        let month = Month::parse("2026-11").unwrap();
        assert_eq!((month.to_string(), month.last_day()), ("2026-11".into(), date!(2026 - 11 - 30)));
        assert!(!month.may_be_approved_at(datetime!(2026-11-25 23:59:59 +7).unix_timestamp()));
        assert!(month.may_be_approved_at(datetime!(2026-11-26 00:00 +7).unix_timestamp()));
        assert!(month.may_be_approved_at(datetime!(2026-11-30 23:59:59 +7).unix_timestamp()));
        assert!(!month.may_be_approved_at(datetime!(2026-12-01 00:00 +7).unix_timestamp()));
        assert_eq!(Month::parse("2028-02").unwrap().last_day(), date!(2028 - 02 - 29));
        let december = Month::parse("2026-12").unwrap();
        assert_eq!((december.next().to_string(), december.previous()), ("2027-01".into(), month));
        for wrong in ["", "2026", "2026-13", "2026-1", "26-11", "2026-11-01", "ngày 01", "9999-99"] {
            assert_eq!(Month::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn the_end_of_a_working_day_is_after_at_least_as_many_days(instant in 0_i64..6_000_000_000, count in 1_u32..30) {
            let end = Calendar::shipped().end_of_working_day_after(instant, count);
            let last = day_of(end - 1);
            prop_assert!(Calendar::shipped().is_working_day(last));
            prop_assert_eq!(start_of(last) + DAY_SECONDS, end);
            let mut worked = 0;
            let mut day = day_of(instant);
            while day < last {
                day = day.next_day().unwrap();
                worked += u32::from(Calendar::shipped().is_working_day(day));
            }
            prop_assert_eq!(worked, count);
        }

        #[test]
        fn tables_of_the_operator_never_panic(table in "\\PC{0,200}|day,kind,name_vi\n(20[0-9]{2}-[0-9]{2}-[0-9]{2},(off|work),x\n){0,3}") {
            let _ = read(&table);
        }
    }
}
