//! Working days in Vietnam: Monday to Friday, without public holidays where they are known. Offices whose Saturday is a
//! working day are not told apart (derived).

use time::{Date, Duration, OffsetDateTime, Time, UtcOffset, Weekday};

use crate::clock::UnixSeconds;

/// The most days that a deadline is looked for in: a holiday list that never ends does not hold anybody up.
const MOST_DAYS: u32 = 400;

/// Whether people work on this day.
pub fn is_working_day(day: Date, is_holiday: impl Fn(Date) -> bool) -> bool {
    !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) && !is_holiday(day)
}

/// The end of the `days`th working day after the day of `from`, by Vietnam's clock: the first second of the day that
/// follows it.
pub fn deadline(from: UnixSeconds, days: u32, is_holiday: impl Fn(Date) -> bool) -> UnixSeconds {
    let vietnam = UtcOffset::from_hms(7, 0, 0).unwrap_or(UtcOffset::UTC);
    let Ok(instant) = OffsetDateTime::from_unix_timestamp(from) else { return from };
    let (mut day, mut left) = (instant.to_offset(vietnam).date(), days);
    for _ in 0..MOST_DAYS {
        if left == 0 {
            break;
        }
        day = day.saturating_add(Duration::DAY);
        left -= u32::from(is_working_day(day, &is_holiday));
    }
    day.saturating_add(Duration::DAY).with_time(Time::MIDNIGHT).assume_offset(vietnam).unix_timestamp()
}

#[cfg(test)]
mod tests {
    use time::macros::{date, datetime};

    use super::*;

    #[test]
    fn weekends_and_holidays_do_not_count() {
        let none = |_: Date| false;
        // Thursday evening in Vietnam, Thursday afternoon in London: Friday, Monday, Tuesday.
        let thursday = datetime!(2026-11-19 15:30 UTC).unix_timestamp();
        assert_eq!(deadline(thursday, 3, none), datetime!(2026-11-25 00:00 +7).unix_timestamp());
        // Friday already in Vietnam.
        let late = datetime!(2026-11-19 17:00 UTC).unix_timestamp();
        assert_eq!(deadline(late, 3, none), datetime!(2026-11-26 00:00 +7).unix_timestamp());
        let monday = |day: Date| day == date!(2026 - 11 - 23);
        assert_eq!(deadline(thursday, 3, monday), datetime!(2026-11-26 00:00 +7).unix_timestamp());
        // A list that says that nobody ever works gives an end all the same.
        assert!(deadline(thursday, 3, |_| true) > thursday);
    }
}
