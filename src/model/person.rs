//! A person as the national population database knows them, the comparison with a personnel record, and the
//! [`VerifiedRecord`] that the comparison and the unit's confirmation allow: the only thing that a card can be made of.

use crate::error::Refusal;
use crate::model::card::{AgencyName, CardFacts, CardType};
use crate::model::catalogue::{Catalogue, Field, PopulationRole};
use crate::model::code_list::CodeLabels;
use crate::model::id::{Handle, PersonalNumber};
use crate::model::partial_date::PartialDate;
use crate::model::population::PopulationFacts;
use crate::model::quality::{Standing, sufficiency_flags};
use crate::model::record::{IN_SERVICE, Record};
use crate::model::text::folded;
use crate::model::unit::UnitDirectory;

/// A question to the population database. Each names who asks and why, and is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PopulationQuery {
    /// Whom it is about.
    pub number: AskedNumber,
    /// Birth name, NFC.
    pub full_name: String,
    /// Birth date as the record has it; a bare year is enough for the question.
    pub date_of_birth: PartialDate,
    /// The officer who asks (`MaCanBo`).
    pub officer: String,
    /// Why.
    pub purpose: String,
    /// The record that the question is asked for: it names the question at the registry, too (`MaYeuCau`).
    pub reference: Handle,
}

impl PopulationQuery {
    /// Whether an answer is about whom was asked.
    pub fn is_about(&self, person: &PopulationPerson) -> bool {
        match &self.number {
            AskedNumber::Personal(number) => *number == person.personal_number,
            AskedNumber::Old(number) => person.facts.old_number.as_ref() == Some(number),
        }
    }
}

/// The number that a person is asked about by (domain dossier, sections 3 and 5).
#[derive(Clone, PartialEq, Eq)]
pub enum AskedNumber {
    /// `SoDinhDanh`.
    Personal(PersonalNumber),
    /// `SoCMND`: the nine digits of before, for a record that has no personal number yet.
    Old(String),
}

/// Numbers do not print.
impl std::fmt::Debug for AskedNumber {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Personal(_) => "Personal(…)",
            Self::Old(_) => "Old(…)",
        })
    }
}

/// The three parts in which the population database keeps a name; all of it may sit in `given`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameParts {
    /// `Ho`.
    pub family: String,
    /// `ChuDem`.
    pub middle: String,
    /// `Ten`.
    pub given: String,
}

impl NameParts {
    /// Joined by single spaces.
    pub fn joined(&self) -> String {
        [&self.family, &self.middle, &self.given]
            .map(|part| part.trim())
            .join(" ")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// The population database's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PopulationPerson {
    /// The number that it knows the person by.
    pub personal_number: PersonalNumber,
    /// The name.
    pub name: NameParts,
    /// The birth date; some people have a year only.
    pub date_of_birth: PartialDate,
    /// `male` or `female`; `None` when the answer does not say.
    pub sex: Option<String>,
    /// Everything else that it tells.
    pub facts: PopulationFacts,
}

impl PopulationPerson {
    /// Somebody of whom the registry tells what has to be told.
    pub fn new(personal_number: PersonalNumber, name: NameParts, date_of_birth: PartialDate) -> Self {
        Self { personal_number, name, date_of_birth, sex: None, facts: PopulationFacts::default() }
    }
}

/// What the comparison found. That the registry could not be reached is not an outcome: nothing was learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MatchOutcome {
    /// Everything that tells people apart agrees.
    Matched {
        /// Codes of the fields whose source the registry is and in which the record says something else.
        outdated: Vec<&'static str>,
    },
    /// The registry does not know the number.
    NotFound,
    /// It knows the number otherwise.
    Mismatched {
        /// Codes of the fields that differ.
        fields: Vec<&'static str>,
    },
}

impl MatchOutcome {
    /// The fields that are compared, in the order in which they are told.
    pub const COMPARED: [&'static str; 4] = ["personal_id_number", "full_name", "date_of_birth", "gender"];

    /// The word stored: `matched`, `not_found` or `mismatched`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Matched { .. } => "matched",
            Self::NotFound => "not_found",
            Self::Mismatched { .. } => "mismatched",
        }
    }

    /// Whether the registry knows the person as the record does, as far as that tells people apart.
    pub fn is_match(&self) -> bool {
        matches!(self, Self::Matched { .. })
    }

    /// The fields in which the record says something else.
    pub fn fields(&self) -> &[&'static str] {
        match self {
            Self::Matched { outdated: fields } | Self::Mismatched { fields } => fields,
            Self::NotFound => &[],
        }
    }

    /// The same, separated by commas.
    pub fn detail(&self) -> String {
        self.fields().join(",")
    }

    /// From what was stored.
    pub fn parse(word: &str, detail: &str) -> Option<Self> {
        let told = |field: &&'static str| detail.split(',').any(|part| part == *field);
        match word {
            "matched" => {
                let fields = Catalogue::current().fields().iter().filter(|field| is_source(field));
                Some(Self::Matched { outdated: fields.map(|field| field.code.as_str()).filter(told).collect() })
            }
            "not_found" => Some(Self::NotFound),
            "mismatched" => Some(Self::Mismatched { fields: Self::COMPARED.into_iter().filter(told).collect() }),
            _ => None,
        }
    }
}

/// The question about a record's person; `None` without a birth date, or without a personal number or one of nine digits.
pub fn question(reference: &Handle, record: &Record, officer: &str, purpose: &str) -> Option<PopulationQuery> {
    let old = || record.text("old_id_number").filter(|number| number.len() == 9).map(str::to_owned);
    let number = record.personal_number().map(AskedNumber::Personal).or_else(|| old().map(AskedNumber::Old))?;
    Some(PopulationQuery {
        number,
        full_name: record.full_name().to_owned(),
        date_of_birth: record.date("date_of_birth")?,
        officer: officer.to_owned(),
        purpose: purpose.to_owned(),
        reference: reference.clone(),
    })
}

/// Compares a record with the registry's answer: the number digit for digit, names in NFC without regard to case and
/// spacing, birth dates in what both know, sex when both tell it. Where all of this agrees, it is the same person, and what
/// the record says otherwise in a field whose source the registry is, is outdated. A record of nine digits differs in its
/// number, which the unit has to write down: a card cannot be made without, and the twelve are asked about then.
pub fn compare(record: &Record, answer: Option<&PopulationPerson>) -> MatchOutcome {
    let Some(person) = answer else { return MatchOutcome::NotFound };
    let agrees = [
        record.personal_number().as_ref() == Some(&person.personal_number),
        folded(record.full_name()) == folded(&person.name.joined()),
        record.date("date_of_birth").is_some_and(|date| date.agrees_with(person.date_of_birth)),
        !matches!((record.sex(), &person.sex), (Some(ours), Some(theirs)) if ours != theirs),
    ];
    let fields: Vec<_> =
        MatchOutcome::COMPARED.into_iter().zip(agrees).filter(|(_, agrees)| !agrees).map(|(field, _)| field).collect();
    if !fields.is_empty() {
        return MatchOutcome::Mismatched { fields };
    }
    let is_sourced = |code: &&'static str| record.catalogue().field(code).is_some_and(is_source);
    MatchOutcome::Matched { outdated: person.outdated(record).into_iter().filter(is_sourced).collect() }
}

/// Whether a field's values come from the population database.
fn is_source(field: &Field) -> bool {
    field.population_role == PopulationRole::Source
}

/// A record that a card can be made of: matched with the population database, confirmed by its unit, sufficient, and
/// of a person in service. There is no other way to make one than [`VerifiedRecord::new`].
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedRecord {
    record: Record,
    personal_number: PersonalNumber,
    date_of_birth: time::Date,
    card_type: CardType,
}

/// Why a record is not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotVerified {
    /// The registry was not asked yet, or could not be reached.
    #[error("it was not matched with the population database yet")]
    Unmatched,
    /// The registry does not know the person.
    #[error("the population database does not know the person")]
    NotFound,
    /// The registry knows the person otherwise.
    #[error("it differs from the population database")]
    Mismatched,
    /// The unit did not confirm this version.
    #[error("its unit has not confirmed it")]
    Unconfirmed,
    /// Something that a card needs is missing.
    #[error("a field that the card needs is missing")]
    Insufficient,
    /// Suspended, gone, retired or deceased.
    #[error("the person is not in service")]
    NotInService,
}

impl NotVerified {
    /// The sentence, for [`Refusal::NotVerified`].
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Unmatched => "it was not matched with the population database yet",
            Self::NotFound => "the population database does not know the person",
            Self::Mismatched => "it differs from the population database",
            Self::Unconfirmed => "its unit has not confirmed it",
            Self::Insufficient => "a field that the card needs is missing",
            Self::NotInService => "the person is not in service",
        }
    }
}

impl From<NotVerified> for Refusal {
    fn from(reason: NotVerified) -> Self {
        Self::NotVerified(reason.sentence())
    }
}

impl VerifiedRecord {
    /// Takes the record, when `standing` (of the same version) allows it.
    pub fn new(record: Record, standing: &Standing) -> Result<Self, NotVerified> {
        match &standing.population {
            None => return Err(NotVerified::Unmatched),
            Some(MatchOutcome::NotFound) => return Err(NotVerified::NotFound),
            Some(MatchOutcome::Mismatched { .. }) => return Err(NotVerified::Mismatched),
            Some(MatchOutcome::Matched { .. }) => {}
        }
        if standing.confirmed_at.is_none() {
            return Err(NotVerified::Unconfirmed);
        }
        if !sufficiency_flags(&record).is_empty() {
            return Err(NotVerified::Insufficient);
        }
        if !record.text("employment_status").is_some_and(|status| IN_SERVICE.contains(&status)) {
            return Err(NotVerified::NotInService);
        }
        let personal_number = record.personal_number().ok_or(NotVerified::Insufficient)?;
        let birth = record.date("date_of_birth").and_then(PartialDate::exact).ok_or(NotVerified::Insufficient)?;
        let card_type = record.card_type().ok_or(NotVerified::Insufficient)?;
        Ok(Self { record, personal_number, date_of_birth: birth, card_type })
    }

    /// The record.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// What the card will say. Names of units come from the directory, else from the record; positions are looked up
    /// in `labels`, and a code without a label shows as `Mã 012`.
    pub fn card_facts(&self, units: &dyn UnitDirectory, labels: &dyn CodeLabels) -> CardFacts {
        let agency = |code: &str, name: &str| {
            let code = self.record.text(code).unwrap_or_default();
            let own_name = || self.record.text(name).unwrap_or(code).to_owned();
            AgencyName { code: code.to_owned(), name: units.unit_name(code).map_or_else(own_name, Into::into) }
        };
        let label = |field: &str| {
            let list = self.record.catalogue().field(field)?.code_list.as_deref()?;
            self.record.text(field).map(|code| labels.label_or_code(list, code).into_owned())
        };
        CardFacts {
            personal_id_number: self.personal_number.clone(),
            full_name: self.record.full_name().to_owned(),
            date_of_birth: self.date_of_birth,
            gender: self.record.sex().map(|sex| if sex == "male" { "Nam" } else { "Nữ" }.to_owned()),
            managing_agency: agency("managing_unit_code", "managing_unit_name"),
            employing_agency: agency("using_unit_code", "using_unit_name"),
            position_title: label("position_title"),
            job_position: label("job_position"),
            record_type: self.card_type,
            portrait: self.record.portrait().and_then(|portrait| portrait.jpeg()).map(<[u8]>::to_vec),
            term_ends: self.record.text("full_time_term").and_then(PartialDate::end_of_term),
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::date;

    use super::*;
    use crate::model::catalogue::Catalogue;
    use crate::model::code_list::{CodeBook, shipped};
    use crate::model::unit::UnitRegister;

    const MATCHED: MatchOutcome = MatchOutcome::Matched { outdated: Vec::new() };
    const CONTENT: &str = r#"{"agency_personnel_number":"1","date_of_birth":"19870502","employment_status":"active","employment_status_date":"20200101","full_name":"Nguyễn Thị Đào","full_time_term":"2021-2026","gender":"2","managing_unit_code":"H26","personal_id_number":"001187012345","portrait_photo":"sha256:0000000000000000000000000000000000000000000000000000000000000000","position_title":"012","record_type":"06","using_unit_code":"H26.05","using_unit_name":"Sở Nội vụ"}"#;

    fn record(from: &str, to: &str) -> Record {
        Record::restore(Catalogue::current(), &CONTENT.replace(from, to)).unwrap()
    }

    fn person() -> PopulationPerson {
        PopulationPerson {
            personal_number: PersonalNumber::parse("001187012345").unwrap(),
            name: NameParts { family: "NGUYỄN".into(), middle: " THỊ ".into(), given: "Đa\u{300}o".into() },
            date_of_birth: PartialDate::parse("1987").unwrap(),
            sex: Some("female".into()),
            facts: PopulationFacts::default(),
        }
    }

    #[test]
    fn names_compare_without_case_spacing_and_form() {
        assert_eq!(compare(&record("", ""), Some(&person())), MATCHED);
        assert_eq!(compare(&record("", ""), None), MatchOutcome::NotFound);
        let whole = PopulationPerson {
            name: NameParts { given: "nguyễn thị đào".into(), ..NameParts::default() },
            sex: None,
            ..person()
        };
        assert_eq!(compare(&record("", ""), Some(&whole)), MATCHED);
    }

    #[test]
    fn a_mismatch_names_its_fields_and_reads_back() {
        let other = PopulationPerson {
            name: NameParts { given: "Nguyễn Thị Dao".into(), ..NameParts::default() },
            date_of_birth: PartialDate::parse("19870503").unwrap(),
            sex: Some("male".into()),
            ..person()
        };
        let outcome = compare(&record("", ""), Some(&other));
        assert_eq!(outcome, MatchOutcome::Mismatched { fields: vec!["full_name", "date_of_birth", "gender"] });
        for outcome in [outcome, MATCHED, MatchOutcome::NotFound] {
            assert_eq!(MatchOutcome::parse(outcome.word(), &outcome.detail()), Some(outcome));
        }
    }

    #[test]
    fn a_match_names_the_sourced_fields_that_are_outdated_and_reads_back() {
        let known = |code: &str| Some(code.to_owned());
        let facts = PopulationFacts { ethnicity: known("02"), blood_type: known("02"), ..PopulationFacts::default() };
        let outdated =
            record("\"full_name\"", "\"blood_type\":\"01\",\"ethnicity\":\"01\",\"nationality\":\"VN\",\"full_name\"");
        let outcome = compare(&outdated, Some(&PopulationPerson { facts, ..person() }));
        assert_eq!(outcome, MatchOutcome::Matched { outdated: vec!["ethnicity"] });
        assert_eq!(MatchOutcome::parse(outcome.word(), &outcome.detail()), Some(outcome));
    }

    #[test]
    fn only_a_matched_confirmed_sufficient_record_in_service_is_verified() {
        let good = Standing { population: Some(MATCHED), confirmed_at: Some(1), ..Standing::default() };
        assert!(VerifiedRecord::new(record("", ""), &good).is_ok());
        assert!(VerifiedRecord::new(record(":\"active", ":\"seconded"), &good).is_ok());
        let refused = |record, standing: &Standing| VerifiedRecord::new(record, standing).unwrap_err();
        assert_eq!(refused(record(":\"active", ":\"retired"), &good), NotVerified::NotInService);
        assert_eq!(refused(record("19870502", "1987"), &good), NotVerified::Insufficient);
        assert_eq!(refused(record("portrait_photo", "personnel_number"), &good), NotVerified::Insufficient);
        assert_eq!(refused(record("", ""), &Standing { population: None, ..good.clone() }), NotVerified::Unmatched);
        assert_eq!(refused(record("", ""), &Standing { confirmed_at: None, ..good.clone() }), NotVerified::Unconfirmed);
        let not_found = Standing { population: Some(MatchOutcome::NotFound), ..good };
        assert_eq!(refused(record("", ""), &not_found), NotVerified::NotFound);
    }

    #[test]
    fn the_card_says_what_the_directory_and_the_labels_say() {
        let good = Standing { population: Some(MATCHED), confirmed_at: Some(1), ..Standing::default() };
        let verified = VerifiedRecord::new(record("", ""), &good).unwrap();
        let units = UnitRegister::on(date!(2025 - 12 - 01));
        let facts = verified.card_facts(&units, shipped());
        assert_eq!(facts.card_number(), "H26.001187012345.HĐ");
        assert_eq!(facts.managing_agency.name, "Ủy ban nhân dân thành phố Hà Nội");
        assert_eq!(facts.employing_agency.name, "Sở Nội vụ");
        assert_eq!((facts.position_title.as_deref(), facts.gender.as_deref()), (Some("Mã 012"), Some("Nữ")));
        assert_eq!(facts.term_ends, Some(date!(2026 - 12 - 31)));
        let mut book = CodeBook::default();
        book.load("MOHA.CHUCVU", "012", "Trưởng phòng");
        assert_eq!(verified.card_facts(&units, &book).position_title.as_deref(), Some("Trưởng phòng"));
    }
}
