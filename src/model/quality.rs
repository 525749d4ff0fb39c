//! How good a record is, by the four words of the national plan: đúng, đủ, sạch, sống (correct, sufficient, clean,
//! live). The words are policy; the measures are ours (domain dossier, section 6).
//!
//! | word | holds when |
//! |---|---|
//! | đúng, correct | the population match passed; number, sex and birth year agree |
//! | đủ, sufficient | every field that a card needs is there, the birth date to the day |
//! | sạch, clean | confirmed by the unit; nobody else has the same personal number there |
//! | sống, live | confirmed within three working days of the last change, and within the last month |

use time::{Duration, OffsetDateTime, Weekday};

use crate::clock::UnixSeconds;
use crate::model::partial_date::Precision;
use crate::model::person::MatchOutcome;
use crate::model::record::Record;

/// What the house knows about a stored record beyond its content; always of one version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// When this version came in.
    pub changed_at: UnixSeconds,
    /// The population database's answer; `None` while it was not asked, or could not be reached.
    pub population: Option<MatchOutcome>,
    /// When the unit confirmed this version.
    pub confirmed_at: Option<UnixSeconds>,
    /// Other records of the same unit with the same personal number.
    pub namesakes: u32,
}

/// One thing that keeps a record from one of the four words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flag {
    /// The population database was not asked yet, or could not be reached.
    NotMatched,
    /// It does not know the person.
    NotFound,
    /// It knows the person otherwise.
    Mismatched,
    /// The fourth digit of the personal number names another century than the birth date.
    Century,
    /// The fourth digit names the other sex than the record.
    Sex,
    /// Digits 5 and 6 name another birth year.
    BirthYear,
    /// A field that a card needs is missing; its code.
    Missing(&'static str),
    /// The birth date is not known to the day.
    BirthDateIncomplete,
    /// The kind of personnel, which ends the card number, is missing.
    NoCardType,
    /// Another record of the unit has the same personal number.
    Duplicate,
    /// The unit did not confirm this version.
    NotConfirmed,
    /// Not confirmed within three working days of the change (Decree 27/2026/NĐ-CP).
    ConfirmationOverdue,
    /// Not confirmed within the last month (Circular 06/2023/TT-BNV: approval in the last days of each month).
    ConfirmationStale,
}

/// The four words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Đúng.
    Correct,
    /// Đủ.
    Sufficient,
    /// Sạch.
    Clean,
    /// Sống.
    Live,
}

impl Measure {
    /// All four, in their usual order.
    pub const ALL: [Self; 4] = [Self::Correct, Self::Sufficient, Self::Clean, Self::Live];

    /// The Vietnamese word.
    pub fn word_vi(self) -> &'static str {
        match self {
            Self::Correct => "đúng",
            Self::Sufficient => "đủ",
            Self::Clean => "sạch",
            Self::Live => "sống",
        }
    }

    /// The English word.
    pub fn word_en(self) -> &'static str {
        match self {
            Self::Correct => "correct",
            Self::Sufficient => "sufficient",
            Self::Clean => "clean",
            Self::Live => "live",
        }
    }
}

impl Flag {
    /// The word that it stands against.
    pub fn measure(self) -> Measure {
        match self {
            Self::NotMatched | Self::NotFound | Self::Mismatched | Self::Century | Self::Sex | Self::BirthYear => {
                Measure::Correct
            }
            Self::Missing(_) | Self::BirthDateIncomplete | Self::NoCardType => Measure::Sufficient,
            Self::Duplicate | Self::NotConfirmed => Measure::Clean,
            Self::ConfirmationOverdue | Self::ConfirmationStale => Measure::Live,
        }
    }

    /// Vietnamese and English; never a value.
    pub fn messages(self) -> (String, String) {
        let (vi, en) = match self {
            Self::NotMatched => ("chưa đối khớp với CSDLQG về dân cư", "not yet matched with the population database"),
            Self::NotFound => {
                ("CSDLQG về dân cư không có người này", "the population database does not know the person")
            }
            Self::Mismatched => ("khác với CSDLQG về dân cư", "differs from the population database"),
            Self::Century => {
                ("chữ số thế kỷ trong số định danh khác ngày sinh", "the number's century differs from the birth date")
            }
            Self::Sex => {
                ("chữ số giới tính trong số định danh khác giới tính", "the number's sex digit differs from the gender")
            }
            Self::BirthYear => {
                ("năm sinh trong số định danh khác ngày sinh", "the number's birth year differs from the birth date")
            }
            Self::Missing(code) => {
                return (format!("thiếu {code} để cấp thẻ"), format!("{code} is missing for a card"));
            }
            Self::BirthDateIncomplete => ("chưa đủ ngày, tháng, năm sinh", "the birth date is not known to the day"),
            Self::NoCardType => {
                ("thiếu phân loại hồ sơ (record_type) để lập số thẻ", "record_type is missing for the card number")
            }
            Self::Duplicate => (
                "trùng số định danh với hồ sơ khác trong đơn vị",
                "another record of the unit has the same personal number",
            ),
            Self::NotConfirmed => ("đơn vị chưa xác nhận", "not confirmed by the unit"),
            Self::ConfirmationOverdue => {
                ("quá 3 ngày làm việc chưa xác nhận thay đổi", "a change is unconfirmed after 3 working days")
            }
            Self::ConfirmationStale => ("quá một tháng chưa xác nhận lại", "not confirmed within the last month"),
        };
        (vi.to_owned(), en.to_owned())
    }
}

/// Everything that keeps `record` from the four words at `now`; none for a perfect record.
pub fn flags(record: &Record, standing: &Standing, now: UnixSeconds) -> Vec<Flag> {
    let mut flags = Vec::new();
    match &standing.population {
        None => flags.push(Flag::NotMatched),
        Some(MatchOutcome::NotFound) => flags.push(Flag::NotFound),
        Some(MatchOutcome::Mismatched { .. }) => flags.push(Flag::Mismatched),
        Some(MatchOutcome::Matched) => {}
    }
    flags.extend(number_flags(record));
    flags.extend(sufficiency_flags(record));
    if standing.namesakes > 0 {
        flags.push(Flag::Duplicate);
    }
    match standing.confirmed_at {
        None => {
            flags.push(Flag::NotConfirmed);
            if now > three_working_days_after(standing.changed_at) {
                flags.push(Flag::ConfirmationOverdue);
            }
        }
        Some(at) if now - at > 31 * 86_400 => flags.push(Flag::ConfirmationStale),
        Some(_) => {}
    }
    flags
}

/// What a card cannot do without; empty for a record that is sufficient.
pub fn sufficiency_flags(record: &Record) -> Vec<Flag> {
    let mut flags: Vec<_> = record.missing_for_card().map(Flag::Missing).collect();
    if record.date("date_of_birth").is_some_and(|date| date.precision() < Precision::Day) {
        flags.push(Flag::BirthDateIncomplete);
    }
    if record.card_type().is_none() {
        flags.push(Flag::NoCardType);
    }
    flags
}

/// Century, sex and birth year inside the number against the record's own: flags, not faults, for sex and birth date
/// can be corrected without a new number (domain dossier, section 3).
pub fn number_flags(record: &Record) -> Vec<Flag> {
    let Some(number) = record.personal_number() else { return Vec::new() };
    let digits: Vec<u16> = number.expose().bytes().map(|byte| u16::from(byte - b'0')).collect();
    let mut flags = Vec::new();
    if let Some(birth) = record.date("date_of_birth") {
        if 19 + digits[3] / 2 != birth.year() / 100 {
            flags.push(Flag::Century);
        }
        if digits[4] * 10 + digits[5] != birth.year() % 100 {
            flags.push(Flag::BirthYear);
        }
    }
    let named = if digits[3].is_multiple_of(2) { "male" } else { "female" };
    if record.sex().is_some_and(|sex| sex != named) {
        flags.push(Flag::Sex);
    }
    flags
}

/// The end of the third working day after `instant`, in Vietnam (UTC+7, no summer time). Public holidays are not
/// known here and count as working days.
fn three_working_days_after(instant: UnixSeconds) -> UnixSeconds {
    let vietnam = time::UtcOffset::from_hms(7, 0, 0).unwrap_or(time::UtcOffset::UTC);
    let Ok(instant) = OffsetDateTime::from_unix_timestamp(instant) else { return UnixSeconds::MAX };
    let mut day = instant.to_offset(vietnam).replace_time(time::Time::MIDNIGHT);
    let mut left = 3;
    while left > 0 {
        day = day.saturating_add(Duration::DAY);
        if !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) {
            left -= 1;
        }
    }
    day.unix_timestamp() + 86_400
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::model::catalogue::Catalogue;

    fn record(content: &str) -> Record {
        Record::restore(Catalogue::current(), content).unwrap()
    }

    const PERFECT: &str = r#"{"date_of_birth":"19870502","employment_status":"active","employment_status_date":"20200101","gender":"2","personal_id_number":"001187012345","portrait_photo":"sha256:0000000000000000000000000000000000000000000000000000000000000000","record_type":"01"}"#;

    #[test]
    fn a_perfect_record_has_no_flags() {
        let standing =
            Standing { changed_at: 0, population: Some(MatchOutcome::Matched), confirmed_at: Some(10), namesakes: 0 };
        assert_eq!(flags(&record(PERFECT), &standing, 20), []);
        assert_eq!(flags(&record(PERFECT), &standing, 32 * 86_400 + 10), [Flag::ConfirmationStale]);
    }

    #[test]
    fn the_number_is_compared_with_the_record() {
        let other = |from, to| number_flags(&record(&PERFECT.replace(from, to)));
        assert_eq!(other("\"2\"", "\"1\""), [Flag::Sex]);
        assert_eq!(other("\"2\"", "\"0\""), []);
        assert_eq!(other("19870502", "1988"), [Flag::BirthYear]);
        assert_eq!(other("19870502", "20870502"), [Flag::Century]);
    }

    #[test]
    fn what_a_card_lacks_is_named() {
        let bare = record(r#"{"date_of_birth":"1987","personal_id_number":"001187012345"}"#);
        let expected = [
            Flag::Missing("portrait_photo"),
            Flag::Missing("employment_status"),
            Flag::Missing("employment_status_date"),
            Flag::BirthDateIncomplete,
            Flag::NoCardType,
        ];
        assert_eq!(sufficiency_flags(&bare), expected);
        assert!(expected.into_iter().all(|flag| flag.measure() == Measure::Sufficient));
    }

    #[test]
    fn three_working_days_skip_the_weekend() {
        let friday = datetime!(2025-11-21 10:00 +7).unix_timestamp();
        assert_eq!(three_working_days_after(friday), datetime!(2025-11-27 00:00 +7).unix_timestamp());
        let standing = Standing { changed_at: friday, ..Standing::default() };
        let late = flags(&record(PERFECT), &standing, datetime!(2025-11-27 00:00:01 +7).unix_timestamp());
        assert_eq!(late, [Flag::NotMatched, Flag::NotConfirmed, Flag::ConfirmationOverdue]);
    }
}
