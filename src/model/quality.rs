//! How good a record is, by the four words of the national plan: đúng, đủ, sạch, sống (correct, sufficient, clean,
//! live). The words are policy; the measures are ours (domain dossier, section 6: derived, nothing official).
//!
//! | word | holds when |
//! |---|---|
//! | đúng, correct | the population match passed, and what comes from the population database says the same there; number, sex and birth year agree; no date contradicts another |
//! | đủ, sufficient | every field that a card needs is there, the birth date to the day |
//! | sạch, clean | confirmed by the unit, and signed in a monthly approval once the month of the change is over; nobody else has the same personal number there, the person serves nowhere else, nothing about the record is in dispute |
//! | sống, live | confirmed within three working days of a change, whatever changes after it; confirmed or signed again by the end of the month after |
//!
//! [`assess`] is the whole rule; some flags come with time alone, so it also says when to ask again. How many records of
//! a unit a word holds for is [`score`]'s.

pub mod score;

use crate::clock::UnixSeconds;
use crate::model::calendar::{Calendar, Month};
use crate::model::catalogue::{Kind, Slot};
use crate::model::partial_date::{PartialDate, Precision};
use crate::model::person::MatchOutcome;
use crate::model::record::{IN_SERVICE, Record};
use crate::model::value::Value;

/// Working days in which a change is to be confirmed (Decree 27/2026/NĐ-CP).
const CONFIRMATION_WORKING_DAYS: u32 = 3;
/// The youngest age, in years, at which somebody can have been recruited (Labour Code 2019, article 3; derived).
const YOUNGEST_RECRUIT_YEARS: u16 = 15;

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

/// What surrounds a record: other records, disputes and approvals. Of its current version, like [`Standing`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Records of other units in which the same person serves.
    pub elsewhere: u32,
    /// Open disputes: proposals, conflicts of synchronisation, a card locked for review.
    pub discrepancies: u32,
    /// When this version was last part of a signed monthly approval.
    pub signed_at: Option<UnixSeconds>,
    /// When the oldest version came in that the unit has not confirmed; `None` where that is this version.
    pub unconfirmed_since: Option<UnixSeconds>,
    /// The same of versions that no approval has signed.
    pub unsigned_since: Option<UnixSeconds>,
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
    /// Two dates contradict each other.
    DatesInconsistent,
    /// A field that a card needs is missing; its code.
    Missing(&'static str),
    /// The birth date is not known to the day.
    BirthDateIncomplete,
    /// The kind of personnel, which ends the card number, is missing.
    NoCardType,
    /// Another record of the unit has the same personal number.
    Duplicate,
    /// The person serves in another unit, too.
    InTwoUnits,
    /// Something about the record is in dispute.
    OpenDiscrepancy,
    /// The unit did not confirm this version.
    NotConfirmed,
    /// No monthly approval has signed this version, and the month of the oldest change that none has signed is over
    /// (Circular 06/2023/TT-BNV).
    NotSigned,
    /// Not confirmed within three working days of the oldest change that is unconfirmed (Decree 27/2026/NĐ-CP).
    ConfirmationOverdue,
    /// Neither confirmed nor signed in this month or the one before (Circular 06/2023/TT-BNV: approval in the last days of
    /// each month).
    ConfirmationStale,
    /// The population database knows the person, but by it another origin, religion, nationality or residence than the
    /// record says: fields whose source it is.
    Outdated,
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

/// Every flag at its place in a [`FlagSet`], with its code. Sets are stored: this list only grows at its end.
const FLAGS: [(Flag, &str); 23] = [
    (Flag::NotMatched, "not_matched"),
    (Flag::NotFound, "not_found"),
    (Flag::Mismatched, "mismatched"),
    (Flag::Century, "century"),
    (Flag::Sex, "sex"),
    (Flag::BirthYear, "birth_year"),
    (Flag::DatesInconsistent, "dates_inconsistent"),
    (Flag::Missing("personal_id_number"), "missing.personal_id_number"),
    (Flag::Missing("date_of_birth"), "missing.date_of_birth"),
    (Flag::Missing("portrait_photo"), "missing.portrait_photo"),
    (Flag::Missing("employment_status"), "missing.employment_status"),
    (Flag::Missing("employment_status_date"), "missing.employment_status_date"),
    (OTHER_MISSING, "missing.other"),
    (Flag::BirthDateIncomplete, "birth_date_incomplete"),
    (Flag::NoCardType, "no_card_type"),
    (Flag::Duplicate, "duplicate"),
    (Flag::InTwoUnits, "in_two_units"),
    (Flag::OpenDiscrepancy, "open_discrepancy"),
    (Flag::NotConfirmed, "not_confirmed"),
    (Flag::NotSigned, "not_signed"),
    (Flag::ConfirmationOverdue, "confirmation_overdue"),
    (Flag::ConfirmationStale, "confirmation_stale"),
    (Flag::Outdated, "outdated"),
];
/// A missing field of a later catalogue that has no place of its own yet.
const OTHER_MISSING: Flag = Flag::Missing("other");

/// Flags as one number, as they are stored: bit by bit in one fixed order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlagSet(i64);

impl FlagSet {
    /// From a stored number; bits without a meaning are dropped.
    pub fn restored(bits: i64) -> Self {
        Self(bits & ((1 << FLAGS.len()) - 1))
    }

    /// The number to store.
    pub fn bits(self) -> i64 {
        self.0
    }

    /// The flags, in the order of their places.
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        FLAGS.into_iter().enumerate().filter(move |(at, _)| self.0 >> at & 1 == 1).map(|(_, (flag, _))| flag)
    }

    /// Whether the word holds.
    pub fn holds(self, measure: Measure) -> bool {
        self.iter().all(|flag| flag.measure() != measure)
    }

    /// Whether it has this flag.
    pub fn has(self, flag: Flag) -> bool {
        self.0 & flag.bit() != 0
    }
}

impl FromIterator<Flag> for FlagSet {
    fn from_iter<T: IntoIterator<Item = Flag>>(flags: T) -> Self {
        Self(flags.into_iter().fold(0, |bits, flag| bits | flag.bit()))
    }
}

impl Flag {
    /// Every flag, in the order of their places.
    pub fn all() -> impl Iterator<Item = Self> {
        FLAGS.into_iter().map(|(flag, _)| flag)
    }

    /// The name on the wire.
    pub fn code(self) -> &'static str {
        FLAGS.into_iter().find(|(flag, _)| *flag == self).map_or("missing.other", |(_, code)| code)
    }

    /// From its name on the wire.
    pub fn parse(code: &str) -> Option<Self> {
        FLAGS.into_iter().find(|(_, known)| *known == code).map(|(flag, _)| flag)
    }

    /// Its place in a [`FlagSet`].
    pub fn bit(self) -> i64 {
        let place = |wanted| FLAGS.into_iter().position(|(flag, _)| flag == wanted);
        place(self).or_else(|| place(OTHER_MISSING)).map_or(0, |at| 1 << at)
    }

    /// The word that it stands against.
    pub fn measure(self) -> Measure {
        match self {
            Self::NotMatched
            | Self::NotFound
            | Self::Mismatched
            | Self::Outdated
            | Self::Century
            | Self::Sex
            | Self::BirthYear
            | Self::DatesInconsistent => Measure::Correct,
            Self::Missing(_) | Self::BirthDateIncomplete | Self::NoCardType => Measure::Sufficient,
            Self::Duplicate | Self::InTwoUnits | Self::OpenDiscrepancy | Self::NotConfirmed | Self::NotSigned => {
                Measure::Clean
            }
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
            Self::Outdated => (
                "có thông tin nguồn từ CSDLQG về dân cư nhưng ghi khác",
                "a field that comes from the population database says something else there",
            ),
            Self::Century => {
                ("chữ số thế kỷ trong số định danh khác ngày sinh", "the number's century differs from the birth date")
            }
            Self::Sex => {
                ("chữ số giới tính trong số định danh khác giới tính", "the number's sex digit differs from the gender")
            }
            Self::BirthYear => {
                ("năm sinh trong số định danh khác ngày sinh", "the number's birth year differs from the birth date")
            }
            Self::DatesInconsistent => ("các ngày tháng trong hồ sơ mâu thuẫn nhau", "two dates contradict each other"),
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
            Self::InTwoUnits => ("người này đang công tác ở hai đơn vị", "the person serves in two units"),
            Self::OpenDiscrepancy => {
                ("có nội dung đang tranh chấp hoặc chờ xử lý", "something is in dispute or under review")
            }
            Self::NotSigned => ("chưa được ký số phê duyệt tháng", "not signed in a monthly approval"),
            Self::NotConfirmed => ("đơn vị chưa xác nhận", "not confirmed by the unit"),
            Self::ConfirmationOverdue => {
                ("quá 3 ngày làm việc chưa xác nhận thay đổi", "a change is unconfirmed after 3 working days")
            }
            Self::ConfirmationStale => {
                ("quá một tháng chưa xác nhận hoặc ký lại", "neither confirmed nor signed within the last month")
            }
        };
        (vi.to_owned(), en.to_owned())
    }
}

/// What [`assess`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Assessment {
    /// What keeps the record from the four words.
    pub flags: FlagSet,
    /// The next instant at which the flags become others although nothing about the record changes.
    pub due_at: Option<UnixSeconds>,
}

/// How good a record is at `now`, and until when this holds.
pub fn assess(
    record: &Record,
    standing: &Standing,
    surroundings: &Surroundings,
    calendar: &Calendar,
    now: UnixSeconds,
) -> Assessment {
    let mut flags: Vec<_> = content_flags(record, standing).collect();
    if surroundings.elsewhere > 0 {
        flags.push(Flag::InTwoUnits);
    }
    if surroundings.discrepancies > 0 {
        flags.push(Flag::OpenDiscrepancy);
    }
    let mut timed = Vec::with_capacity(2);
    if surroundings.signed_at.is_none() {
        let since = surroundings.unsigned_since.unwrap_or(standing.changed_at);
        timed.push((Flag::NotSigned, Month::of(since).ends_at()));
    }
    match standing.confirmed_at {
        None => {
            flags.push(Flag::NotConfirmed);
            // A further change does not give the unit more time for the one before.
            let since = surroundings.unconfirmed_since.unwrap_or(standing.changed_at);
            let end = calendar.end_of_working_day_after(since, CONFIRMATION_WORKING_DAYS);
            timed.push((Flag::ConfirmationOverdue, end));
        }
        Some(at) => {
            let last = surroundings.signed_at.map_or(at, |signed| signed.max(at));
            timed.push((Flag::ConfirmationStale, Month::of(last).next().ends_at()));
        }
    }
    let due_at = timed.iter().map(|(_, at)| *at).filter(|at| *at > now).min();
    flags.extend(timed.into_iter().filter(|(_, at)| *at <= now).map(|(flag, _)| flag));
    Assessment { flags: flags.into_iter().collect(), due_at }
}

/// Everything that keeps `record` from the four words at `now`, as far as it can be told without what surrounds it and
/// with the shipped calendar; none for a perfect record.
pub fn flags(record: &Record, standing: &Standing, now: UnixSeconds) -> Vec<Flag> {
    // Whether it was signed is not known here, so nothing is held against it.
    let surroundings = Surroundings { signed_at: Some(standing.changed_at), ..Surroundings::default() };
    assess(record, standing, &surroundings, Calendar::shipped(), now).flags.iter().collect()
}

/// Flags that time has no part in.
fn content_flags(record: &Record, standing: &Standing) -> impl Iterator<Item = Flag> {
    let population = match &standing.population {
        None => Some(Flag::NotMatched),
        Some(MatchOutcome::NotFound) => Some(Flag::NotFound),
        Some(MatchOutcome::Mismatched { .. }) => Some(Flag::Mismatched),
        Some(MatchOutcome::Matched { outdated }) => (!outdated.is_empty()).then_some(Flag::Outdated),
    };
    let dates = (!dates_agree(record)).then_some(Flag::DatesInconsistent);
    let duplicate = (standing.namesakes > 0).then_some(Flag::Duplicate);
    population.into_iter().chain(number_flags(record)).chain(dates).chain(sufficiency_flags(record)).chain(duplicate)
}

/// Whether the person is in service by this record; a record that does not say counts as one that is.
pub fn is_serving(record: &Record) -> bool {
    record.text("employment_status").is_none_or(|status| IN_SERVICE.contains(&status))
}

/// Whether no two dates of the record contradict each other, in what is known of them: nothing lies before birth, nobody
/// is recruited as a child, and what begins does not end earlier.
fn dates_agree(record: &Record) -> bool {
    let birth = record.date("date_of_birth");
    let born_before = |date: PartialDate| birth.is_none_or(|birth| !date.certainly_before(birth));
    let in_order = |earlier: Option<PartialDate>, later: Option<PartialDate>| match (earlier, later) {
        (Some(earlier), Some(later)) => !later.certainly_before(earlier),
        _ => true,
    };
    let recruited = record.date("first_recruitment_date");
    let old_enough = match (birth, recruited) {
        (Some(birth), Some(recruited)) => recruited.year() >= birth.year() + YOUNGEST_RECRUIT_YEARS,
        _ => true,
    };
    let ordered = [
        ("first_recruitment_date", "current_agency_join_date"),
        ("first_appointment_date", "reappointment_date"),
        ("party_join_date", "party_official_date"),
        ("military_enlistment_date", "military_discharge_date"),
    ];
    let catalogue = record.catalogue();
    let date_of = |value: Option<&Value>| match value {
        Some(Value::Date(date)) => Some(*date),
        _ => None,
    };
    old_enough
        && ordered.into_iter().all(|(earlier, later)| in_order(record.date(earlier), record.date(later)))
        && catalogue.slots().iter().all(|slot| match *slot {
            Slot::Field(at) if catalogue.fields()[at].kind != Kind::Date => true,
            Slot::Field(at) => record.date(&catalogue.fields()[at].code).is_none_or(born_before),
            Slot::List(at) => {
                let list = &catalogue.lists()[at];
                let column = |end: &str| list.members.iter().position(|at| catalogue.fields()[*at].code.ends_with(end));
                let (from, to) = (column("_from"), column("_to"));
                record.entries(&list.name).iter().all(|entry| {
                    let at = |place: Option<usize>| date_of(place.and_then(|place| entry.get(place)?.as_ref()));
                    in_order(at(from), at(to)) && at(from).is_none_or(born_before)
                })
            }
        })
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

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::model::catalogue::Catalogue;

    fn record(content: &str) -> Record {
        Record::restore(Catalogue::current(), content).unwrap()
    }

    const MATCHED: MatchOutcome = MatchOutcome::Matched { outdated: Vec::new() };
    const PERFECT: &str = r#"{"date_of_birth":"19870502","employment_status":"active","employment_status_date":"20200101","gender":"2","personal_id_number":"001187012345","portrait_photo":"sha256:0000000000000000000000000000000000000000000000000000000000000000","record_type":"01"}"#;

    fn at(instant: time::OffsetDateTime) -> UnixSeconds {
        instant.unix_timestamp()
    }

    #[test]
    fn a_perfect_record_has_no_flags_until_the_months_go_by() {
        let noon = at(datetime!(2026-11-10 12:00 +7));
        let matched = Standing { changed_at: noon, population: Some(MATCHED), ..Standing::default() };
        let standing = Standing { confirmed_at: Some(noon), ..matched };
        let found = |surroundings: &Surroundings, now| {
            let Assessment { flags, due_at } =
                assess(&record(PERFECT), &standing, surroundings, Calendar::shipped(), now);
            (flags.iter().collect::<Vec<_>>(), due_at)
        };
        let (december, january) = (at(datetime!(2026-12-01 00:00 +7)), at(datetime!(2027-01-01 00:00 +7)));
        let nothing = Surroundings::default();
        assert_eq!(found(&nothing, noon), (vec![], Some(december)));
        assert_eq!(found(&nothing, december), (vec![Flag::NotSigned], Some(january)));
        assert_eq!(found(&nothing, january), (vec![Flag::NotSigned, Flag::ConfirmationStale], None));
        // Signed in November, it is fresh through December; signed in December, through January.
        let signed = |at| Surroundings { signed_at: Some(at), ..nothing };
        assert_eq!(found(&signed(december - 1), january - 1), (vec![], Some(january)));
        assert_eq!(found(&signed(december - 1), january), (vec![Flag::ConfirmationStale], None));
        assert_eq!(found(&signed(january - 1), january), (vec![], Some(at(datetime!(2027-02-01 00:00 +7)))));
    }

    #[test]
    fn surroundings_are_held_against_the_word_clean() {
        let now = at(datetime!(2026-11-10 12:00 +7));
        let standing = Standing { changed_at: now, population: Some(MATCHED), confirmed_at: Some(now), namesakes: 1 };
        let surroundings =
            Surroundings { elsewhere: 1, discrepancies: 2, signed_at: Some(now), ..Surroundings::default() };
        let flags = assess(&record(PERFECT), &standing, &surroundings, Calendar::shipped(), now).flags;
        let expected = [Flag::Duplicate, Flag::InTwoUnits, Flag::OpenDiscrepancy];
        assert_eq!(flags.iter().collect::<Vec<_>>(), expected);
        assert!(Measure::ALL.into_iter().all(|measure| flags.holds(measure) == (measure != Measure::Clean)));
    }

    #[test]
    fn contradicting_dates_are_noticed_in_what_is_known_of_them() {
        let with = |more: &str| dates_agree(&record(&PERFECT.replacen('{', &format!("{{{more},"), 1)));
        for fine in [
            r#""first_recruitment_date":"2010""#,
            r#""first_recruitment_date":"20100105","current_agency_join_date":"2010""#,
            r#""DS_QUATRINH_CONGTAC":[{"work_history_from":"2010","work_history_to":"201001"}]"#,
        ] {
            assert!(with(fine), "{fine}");
        }
        for wrong in [
            r#""first_recruitment_date":"1999""#,
            r#""id_issue_date":"19870501""#,
            r#""current_agency_join_date":"2009","first_recruitment_date":"2010""#,
            r#""party_join_date":"2015","party_official_date":"201412""#,
            r#""DS_QUATRINH_CONGTAC":[{"work_history_from":"2010","work_history_to":"2009"}]"#,
            r#""DS_QUATRINH_CONGTAC":[{"work_history_from":"1980"}]"#,
        ] {
            assert!(!with(wrong), "{wrong}");
        }
    }

    #[test]
    fn every_flag_has_its_bit_its_code_and_its_sentences() {
        for (at, flag) in Flag::all().enumerate() {
            assert_eq!((flag.bit(), Flag::parse(flag.code())), (1 << at, Some(flag)));
            let (vi, en) = flag.messages();
            assert!(!vi.is_empty() && !en.is_empty());
        }
        let fields = Catalogue::current().fields().iter();
        for field in fields.filter(|field| field.required == crate::model::catalogue::Required::Card) {
            assert!(Flag::parse(&format!("missing.{}", field.code)).is_some(), "{} has no flag of its own", field.code);
        }
        let unknown: FlagSet = [Flag::Missing("of_tomorrow")].into_iter().collect();
        assert_eq!(unknown.iter().next(), Some(OTHER_MISSING));
        assert_eq!(FlagSet::restored(i64::MAX).iter().count(), FLAGS.len());
        assert_eq!(Flag::parse("missing."), None);
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
    fn an_unconfirmed_change_is_overdue_after_three_working_days() {
        let friday = at(datetime!(2025-11-21 10:00 +7));
        let standing = Standing { changed_at: friday, ..Standing::default() };
        let flags = |now| flags(&record(PERFECT), &standing, now);
        let end = at(datetime!(2025-11-27 00:00 +7));
        assert_eq!(flags(end - 1), [Flag::NotMatched, Flag::NotConfirmed]);
        assert_eq!(flags(end), [Flag::NotMatched, Flag::NotConfirmed, Flag::ConfirmationOverdue]);
    }

    #[test]
    fn a_further_change_gives_no_more_time_for_the_one_before() {
        let (first, last) = (at(datetime!(2026-11-03 10:00 +7)), at(datetime!(2026-12-02 10:00 +7)));
        let standing = Standing { changed_at: last, population: Some(MATCHED), ..Standing::default() };
        let since = |since| Surroundings { unconfirmed_since: since, unsigned_since: since, ..Surroundings::default() };
        let found = |since| assess(&record(PERFECT), &standing, &since, Calendar::shipped(), last).flags;
        assert_eq!(found(since(None)), [Flag::NotConfirmed].into_iter().collect());
        let late = [Flag::NotConfirmed, Flag::NotSigned, Flag::ConfirmationOverdue];
        assert_eq!(found(since(Some(first))), late.into_iter().collect());
    }
}
