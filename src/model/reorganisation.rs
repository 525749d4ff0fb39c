//! Mergers, splits and renamings of units: which unit's people go where, and what a record says afterwards.
//!
//! A move takes a unit with everything below it, unless a move of its own says otherwise for a unit below: `H02` to `H05`
//! takes `H02.07` to `H05.07`. Where that code is moved by the same plan, people go on to where it goes, so that nobody is
//! left in a unit that the plan closes. A split names the people, by the numbers that the managing unit gave them; who is
//! not named goes with the unit's general move, or stays. A renaming is a move of a unit to itself with a new name.
//!
//! The provinces' merger of 1 July 2025 is the sample: [`provinces_of_2025`] makes it from the shipped agencies.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::Date;
use time::macros::date;

use crate::model::agency::agencies;
use crate::model::catalogue::Catalogue;
use crate::model::record::{Record, RecordKey, RestoreError};
use crate::model::rule::Form;
use crate::model::unit::{UnitCode, is_within};

/// The most moves of one reorganisation.
pub const MOST_MOVES: usize = 500;
/// The most people that a split names in one move.
pub const MOST_NUMBERS: usize = 5_000;
/// The longest name of a unit in a record, in characters, by the catalogue's rule.
pub const MAX_NAME: usize = 200;
/// Fields that name a unit, each with the field of its name.
pub const UNIT_FIELDS: [(&str, &str); 3] = [
    ("managing_unit_code", "managing_unit_name"),
    ("using_unit_code", "using_unit_name"),
    ("work_unit_code", "work_unit_name"),
];

/// Where the people of a unit go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UnitMove {
    /// The unit, with all below it.
    pub from: String,
    /// The unit that takes its place.
    pub to: String,
    /// What that unit is called from the day on; its name stays as it is when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_name: Option<String>,
    /// For a split: only the people with these numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numbers: Option<Vec<String>>,
}

/// All moves of one reorganisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moves(Vec<UnitMove>);

/// Moves that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoveFault {
    /// None, or over [`MOST_MOVES`].
    #[error("there must be 1 to {MOST_MOVES} moves")]
    Count,
    /// Not a code of Decision 20/2020/QĐ-TTg.
    #[error("moves[{0}]: from and to must be unit codes such as H26.05")]
    Code(usize),
    /// A name that is empty or too long.
    #[error("moves[{0}].to_name: must have 1 to {MAX_NAME} readable characters")]
    Name(usize),
    /// Nobody, or over [`MOST_NUMBERS`].
    #[error("moves[{0}].numbers: must be 1 to {MOST_NUMBERS} numbers, or be left out")]
    Numbers(usize),
    /// A unit that moves to itself and keeps its name.
    #[error("moves[{0}]: changes nothing")]
    Nothing(usize),
    /// Two moves of the same unit or person.
    #[error("moves[{0}]: moves what another move moves already")]
    Twice(usize),
    /// A unit under itself.
    #[error("moves[{0}]: a unit cannot move below itself")]
    Below(usize),
    /// A unit that takes people in and is moved away itself.
    #[error("moves[{0}]: its target is moved by another move")]
    Chain(usize),
}

/// Why a record cannot say what it has to say after a move.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MovedFault {
    /// A code, name or number that the catalogue has no room for.
    #[error("a code, a name or the number would be longer than the catalogue allows")]
    TooLong,
    /// It does not fit its catalogue any more.
    #[error(transparent)]
    Unreadable(#[from] RestoreError),
}

/// A unit in words: its code and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The code.
    pub code: String,
    /// The name from the day on, where the plan gives one.
    pub name: Option<String>,
}

impl Moves {
    /// Moves that fit together.
    ///
    /// # Errors
    ///
    /// The first thing that does not fit.
    pub fn new(moves: Vec<UnitMove>) -> Result<Self, MoveFault> {
        if !(1..=MOST_MOVES).contains(&moves.len()) {
            return Err(MoveFault::Count);
        }
        for (at, one) in moves.iter().enumerate() {
            let is_code = |code: &str| UnitCode::parse(code).is_some_and(|parsed| parsed.as_str() == code);
            if !is_code(&one.from) || !is_code(&one.to) {
                return Err(MoveFault::Code(at));
            }
            let readable = |name: &String| {
                (1..=MAX_NAME).contains(&name.chars().count())
                    && !name.chars().any(char::is_control)
                    && name.trim() == name
            };
            if !one.to_name.as_ref().is_none_or(readable) {
                return Err(MoveFault::Name(at));
            }
            if one.numbers.as_ref().is_some_and(|numbers| !(1..=MOST_NUMBERS).contains(&numbers.len())) {
                return Err(MoveFault::Numbers(at));
            }
            if one.from == one.to && (one.to_name.is_none() || one.numbers.is_some()) {
                return Err(MoveFault::Nothing(at));
            }
            if one.from != one.to && is_within(&one.to, &one.from) && one.numbers.is_none() {
                return Err(MoveFault::Below(at));
            }
            let earlier = moves[..at].iter().filter(|other| other.from == one.from);
            let clashes = |other: &UnitMove| match (&other.numbers, &one.numbers) {
                (None, None) => true,
                (Some(theirs), Some(own)) => theirs.iter().any(|number| own.contains(number)),
                _ => false,
            };
            if earlier.into_iter().any(clashes) {
                return Err(MoveFault::Twice(at));
            }
            let moved_away = |other: &UnitMove| {
                other.from != other.to && other.numbers.is_none() && is_within(&one.to, &other.from) && other != one
            };
            if moves.iter().any(moved_away) {
                return Err(MoveFault::Chain(at));
            }
        }
        Ok(Self(moves))
    }

    /// The moves.
    pub fn all(&self) -> &[UnitMove] {
        &self.0
    }

    /// Whether it splits: names people.
    pub fn names_people(&self) -> bool {
        self.0.iter().any(|one| one.numbers.is_some())
    }

    /// The moves of units alone, without those of people who are named.
    #[must_use]
    pub fn of_units(&self) -> Self {
        Self(self.0.iter().filter(|one| one.numbers.is_none()).cloned().collect())
    }

    /// Whether a unit of this plan is one of the other, or above or below one.
    pub fn overlaps(&self, other: &Self) -> bool {
        let units = |moves: &Self| -> Vec<String> {
            moves.0.iter().flat_map(|one| [one.from.clone(), one.to.clone()]).collect()
        };
        let theirs = units(other);
        units(self).iter().any(|own| theirs.iter().any(|their| is_within(own, their) || is_within(their, own)))
    }

    /// Where a unit goes, for everybody or for one person; `None` for one that stays as it is.
    pub fn destination(&self, unit: &str, person: Option<&RecordKey>) -> Option<Destination> {
        let mut found = Destination { code: unit.to_owned(), name: None };
        // Who is named is named in the unit where the plan finds them.
        let mut person = person;
        // Each step leaves less of the code that it began with, so that there are few.
        for _ in 0..MOST_MOVES {
            let Some(one) = self.fitting(&found.code, person) else { break };
            let code = format!("{}{}", one.to, &found.code[one.from.len()..]);
            let name = one.to_name.clone().filter(|_| found.code == one.from);
            if code == found.code {
                found.name = name.or(found.name);
                break;
            }
            found = Destination { code, name };
            person = None;
        }
        (found.code != unit || found.name.is_some()).then_some(found)
    }

    /// The move of a unit: its own goes before that of one above it, and a person's before everybody's.
    fn fitting(&self, unit: &str, person: Option<&RecordKey>) -> Option<&UnitMove> {
        let names = |one: &UnitMove| match (&one.numbers, person) {
            (None, _) => true,
            // The number is the managing unit's: another unit means somebody else by it.
            (Some(numbers), Some(key)) => is_within(&key.unit, &one.from) && numbers.contains(&key.number),
            (Some(_), None) => false,
        };
        let has_arrived =
            |one: &UnitMove| one.from != one.to && is_within(&one.to, &one.from) && is_within(unit, &one.to);
        let fitting = self.0.iter().filter(|one| is_within(unit, &one.from) && names(one) && !has_arrived(one));
        fitting.max_by_key(|one| (one.from.len(), one.numbers.is_some()))
    }

    /// What a record says afterwards; `None` if it stays as it is. `known` gives the names of units.
    ///
    /// # Errors
    ///
    /// When the record does not fit its catalogue any more.
    pub fn apply(&self, record: &Record, known: &dyn Fn(&str) -> Option<String>) -> Option<Result<Record, MovedFault>> {
        let key = record.key();
        let mut members = record.members();
        let mut is_changed = false;
        for (code_field, name_field) in UNIT_FIELDS {
            let Some(code) = record.text(code_field) else { continue };
            let Some(to) = self.destination(code, Some(&key)) else { continue };
            is_changed = true;
            members.insert(code_field.to_owned(), Value::from(to.code.as_str()));
            match to.name.or_else(|| known(&to.code)) {
                Some(name) => members.insert(name_field.to_owned(), Value::from(name)),
                // The name of the old unit would be wrong.
                None if to.code != code => members.remove(name_field),
                None => None,
            };
        }
        if !is_changed {
            return None;
        }
        let after = record.amended(members).map_err(MovedFault::from).and_then(fitted);
        // One that has the new name already stays as it is.
        (after.as_ref().ok().map(Record::content) != Some(record.content())).then_some(after)
    }

    /// The record under a number that nobody in its unit has: led by the unit that gave it.
    ///
    /// # Errors
    ///
    /// As of [`Moves::apply`].
    pub fn renumbered(after: &Record, before: &RecordKey) -> Result<Record, MovedFault> {
        let mut members = after.members();
        let number = format!("{}-{}", before.unit, before.number);
        members.insert("agency_personnel_number".to_owned(), Value::from(number));
        after.amended(members).map_err(MovedFault::from).and_then(fitted)
    }

    /// As stored.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From what was stored.
    pub fn parse(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// Units that are no more afterwards, with all below them.
    pub fn closed(&self) -> impl Iterator<Item = &str> {
        let leaves = |one: &&UnitMove| one.from != one.to && one.numbers.is_none();
        self.0.iter().filter(leaves).map(|one| one.from.as_str())
    }

    /// Units that get a name, new ones among them.
    pub fn named(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|one| Some((one.to.as_str(), one.to_name.as_deref()?)))
    }

    /// The units that people leave, or that are renamed, none of them below another: affected records name one of these,
    /// or a unit below.
    pub fn left(&self) -> Vec<&str> {
        let mut left: Vec<&str> = self.0.iter().map(|one| one.from.as_str()).collect();
        left.sort_unstable();
        left.dedup();
        let all = left.clone();
        left.retain(|unit| !all.iter().any(|above| above != unit && is_within(unit, above)));
        left
    }
}

/// A record whose units and number the catalogue has room for.
fn fitted(record: Record) -> Result<Record, MovedFault> {
    let catalogue: &Catalogue = record.catalogue();
    let fits = |field: &str| {
        let Some(text) = record.text(field) else { return true };
        match catalogue.index(field).map(|at| &catalogue.fields()[at].rule.form) {
            Some(Form::Text(max)) => text.chars().count() <= *max,
            Some(Form::Unit) => text.len() <= UnitCode::MAX_LENGTH,
            _ => true,
        }
    };
    let fields = UNIT_FIELDS.iter().flat_map(|(code, name)| [*code, *name]);
    if fields.chain(["agency_personnel_number"]).all(fits) { Ok(record) } else { Err(MovedFault::TooLong) }
}

/// The provinces' merger of 1 July 2025, made from the shipped agencies (their certainty is theirs): each province that
/// was closed goes to the one that took it in.
pub fn provinces_of_2025() -> (Date, Vec<UnitMove>) {
    let day = date!(2025 - 07 - 01);
    let closed = agencies().all().iter().filter(|agency| agency.kind == "province" && agency.valid_to == Some(day));
    let to_move = |agency: &crate::model::agency::Agency| {
        let (from, to) = (agency.code.clone()?, agency.successor_code.clone()?);
        let to_name = agencies().on(&to, day).map(|successor| successor.name_vi.clone());
        Some(UnitMove { from, to, to_name, numbers: None })
    };
    (day, closed.filter_map(to_move).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::catalogue::Catalogue;

    fn one(from: &str, to: &str) -> UnitMove {
        UnitMove { from: from.into(), to: to.into(), to_name: None, numbers: None }
    }

    fn code(moves: &Moves, unit: &str, number: &str) -> Option<String> {
        let key = RecordKey { unit: unit.into(), number: number.into() };
        moves.destination(unit, Some(&key)).map(|to| to.code)
    }

    #[test]
    fn a_unit_goes_with_all_below_it_unless_one_of_them_has_its_own_move() {
        let moves = Moves::new(vec![one("H02", "H05"), one("H02.07", "H05.21")]).unwrap();
        assert_eq!(code(&moves, "H02", "1").as_deref(), Some("H05"));
        assert_eq!(code(&moves, "H02.03.01", "1").as_deref(), Some("H05.03.01"));
        assert_eq!(code(&moves, "H02.07.01", "1").as_deref(), Some("H05.21.01"));
        assert_eq!(code(&moves, "H021", "1"), None, "another unit that begins alike");
        assert_eq!(code(&moves, "H05", "1"), None);
    }

    #[test]
    fn nobody_is_left_in_a_unit_that_the_same_plan_closes() {
        let named = UnitMove { to_name: Some("Sở Mới".into()), ..one("H05.07", "H08.01") };
        let moves = Moves::new(vec![one("H02", "H05"), named]).unwrap();
        let to = moves.destination("H02.07", None).unwrap();
        assert_eq!((to.code.as_str(), to.name.as_deref()), ("H08.01", Some("Sở Mới")));
        assert_eq!(code(&moves, "H02.07.03", "1").as_deref(), Some("H08.01.03"));
        assert_eq!(code(&moves, "H02.08", "1").as_deref(), Some("H05.08"));
        assert!(moves.overlaps(&Moves::new(vec![one("H08.01.05", "H09")]).unwrap()));
        assert!(!moves.overlaps(&Moves::new(vec![one("H08.011", "H09")]).unwrap()));
        assert_eq!(moves.left(), ["H02", "H05.07"]);
    }

    #[test]
    fn a_number_is_the_managing_units() {
        let named = UnitMove { numbers: Some(vec!["7".into()]), ..one("H26.05", "H26.06") };
        let moves = Moves::new(vec![named]).unwrap();
        let of = |managing: &str| RecordKey { unit: managing.into(), number: "7".into() };
        assert_eq!(moves.destination("H26.05", Some(&of("H26.05.01"))).unwrap().code, "H26.06");
        // Somebody whom another unit calls 7 works there, too.
        assert_eq!(moves.destination("H26.05", Some(&of("H26.09"))), None);
        assert_eq!(moves.destination("H26.05", None), None);
        // Whoever is moved below their own unit has arrived.
        let down = UnitMove { numbers: Some(vec!["7".into()]), ..one("H26.05", "H26.05.01") };
        let moves = Moves::new(vec![down]).unwrap();
        assert_eq!(code(&moves, "H26.05", "7").as_deref(), Some("H26.05.01"));
        assert_eq!(code(&moves, "H26.05.01", "7"), None);
    }

    #[test]
    fn what_the_catalogue_has_no_room_for_is_told() {
        let record = |content: &str| Record::restore(Catalogue::current(), content).unwrap();
        let inside = record(r#"{"agency_personnel_number":"7","managing_unit_code":"H26.05"}"#);
        let moves = Moves::new(vec![one("H26.05", "H26.06")]).unwrap();
        assert!(moves.apply(&inside, &|_| Some("x".repeat(MAX_NAME))).unwrap().is_ok());
        assert_eq!(moves.apply(&inside, &|_| Some("x".repeat(MAX_NAME + 1))), Some(Err(MovedFault::TooLong)));
        let deep = Moves::new(vec![one("H26", "H26X.0000000000000000000000000000")]).unwrap();
        assert_eq!(deep.apply(&inside, &|_| None), Some(Err(MovedFault::TooLong)));
        let before = |number: &str| RecordKey { unit: "H26.05".into(), number: number.into() };
        assert_eq!(Moves::renumbered(&inside, &before("7")).unwrap().key().number, "H26.05-7");
        assert_eq!(Moves::renumbered(&inside, &before(&"7".repeat(44))), Err(MovedFault::TooLong));
        let long = UnitMove { to_name: Some("x".repeat(MAX_NAME + 1)), ..one("H02", "H05") };
        assert_eq!(Moves::new(vec![long]), Err(MoveFault::Name(0)));
    }

    #[test]
    fn a_split_takes_those_whom_it_names() {
        let named = UnitMove { numbers: Some(vec!["7".into()]), ..one("H26.05", "H26.06") };
        let moves = Moves::new(vec![named.clone(), one("H26.05", "H26.07")]).unwrap();
        assert_eq!(code(&moves, "H26.05", "7").as_deref(), Some("H26.06"));
        assert_eq!(code(&moves, "H26.05", "8").as_deref(), Some("H26.07"));
        let moves = Moves::new(vec![named]).unwrap();
        assert_eq!(code(&moves, "H26.05", "8"), None, "who is not named stays");
    }

    #[test]
    fn a_record_gets_codes_and_names_and_one_outside_stays() {
        let record = |content: &str| Record::restore(Catalogue::current(), content).unwrap();
        let renamed = UnitMove { to_name: Some("Sở Mới".into()), ..one("H26.05", "H26.05") };
        let moves = Moves::new(vec![renamed]).unwrap();
        let inside = r#"{"managing_unit_code":"H26","managing_unit_name":"Hà Nội","using_unit_code":"H26.05","using_unit_name":"Sở Cũ"}"#;
        let after = moves.apply(&record(inside), &|_| None).unwrap().unwrap();
        assert_eq!(after.text("using_unit_name"), Some("Sở Mới"));
        assert_eq!(after.text("managing_unit_name"), Some("Hà Nội"));
        assert!(moves.apply(&after, &|_| None).is_none(), "it has the name already");
        assert!(moves.apply(&record(r#"{"using_unit_code":"H26.06"}"#), &|_| None).is_none());
        let moves = Moves::new(vec![one("H26.05", "H26.06")]).unwrap();
        let after = moves.apply(&record(inside), &|_| None).unwrap().unwrap();
        assert_eq!((after.text("using_unit_code"), after.text("using_unit_name")), (Some("H26.06"), None));
        let after = moves.apply(&record(inside), &|_| Some("Sở Sáu".into())).unwrap().unwrap();
        assert_eq!(after.text("using_unit_name"), Some("Sở Sáu"));
    }

    #[test]
    fn moves_that_do_not_fit_together_are_named() {
        let of = |moves: &[UnitMove]| Moves::new(moves.to_vec()).unwrap_err();
        assert_eq!(of(&[]), MoveFault::Count);
        assert_eq!(of(&[one("h02", "H05")]), MoveFault::Code(0));
        assert_eq!(of(&[UnitMove { to_name: Some(" ".into()), ..one("H02", "H05") }]), MoveFault::Name(0));
        assert_eq!(of(&[UnitMove { numbers: Some(vec![]), ..one("H02", "H05") }]), MoveFault::Numbers(0));
        assert_eq!(of(&[one("H02", "H02")]), MoveFault::Nothing(0));
        assert_eq!(of(&[one("H02", "H02.01")]), MoveFault::Below(0));
        assert_eq!(of(&[one("H02", "H05"), one("H02", "H06")]), MoveFault::Twice(1));
        assert_eq!(of(&[one("H02", "H05"), one("H05", "H06")]), MoveFault::Chain(0));
    }

    #[test]
    fn the_provinces_of_2025_are_a_plan() {
        let (day, moves) = provinces_of_2025();
        assert_eq!((day, moves.len()), (date!(2025 - 07 - 01), 63 - 34));
        let moves = Moves::new(moves).unwrap();
        assert_eq!(code(&moves, "H30.12", "1").as_deref(), Some("H13.12"));
        assert!(
            moves
                .all()
                .iter()
                .all(|one| agencies().on(&one.to, day).is_some() && agencies().on(&one.from, day).is_none())
        );
    }

    proptest! {
        #[test]
        fn what_is_moved_is_not_moved_again(pairs in prop::collection::vec(("H[01]([.][01]){0,2}", "H[0-3]([.][01]){0,2}"), 1..4), unit in "H[01]([.][01]){0,3}") {
            if let Ok(moves) = Moves::new(pairs.iter().map(|(from, to)| one(from, to)).collect())
                && let Some(after) = moves.destination(&unit, None)
            {
                prop_assert_eq!(moves.destination(&after.code, None), None);
                prop_assert!(!moves.closed().any(|closed| is_within(&after.code, closed)));
            }
        }
    }
}
