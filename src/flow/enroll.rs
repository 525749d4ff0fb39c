//! A record becomes verified: the population database is asked, the unit confirms, and what is left is a
//! [`crate::model::person::VerifiedRecord`] whose facts a card can be made of. How records come in is
//! [`crate::flow::import`]; how they are matched, [`super::population`].

use super::{Caller, Service};
use crate::clock::Clock;
use crate::error::{Refusal, Result};
use crate::model::text::{is_invisible, normalised};
use crate::model::unit::UnitCode;
use crate::store::{Confirmed, Store};

pub use super::population::{Asker, MatchSummary, match_pending};

/// Numbers that one request of a program confirms at most.
const MOST_NUMBERS: usize = 1_000;

/// The unit confirms its records as they stand now. Returns how many.
pub async fn confirm(store: &Store, clock: &Clock, unit: &str, which: Confirmed, officer: &str) -> Result<u64> {
    let now = clock.now();
    store.confirm_records(unit_code(unit)?.as_str(), which, officer, now, now).await
}

impl Service {
    /// A program confirms for a unit that it may act for: the records with these numbers, or all of the unit and of the
    /// units below it. Returns how many, and how many are left to others because they are the caller's own.
    pub async fn confirm_records(
        &self,
        caller: &Caller,
        unit: &str,
        numbers: Option<Vec<String>>,
    ) -> Result<(u64, u64)> {
        caller.needs("records:confirm")?;
        let unit = unit_code(unit)?;
        caller.may_touch(unit.as_str())?;
        let which =
            numbers.map_or(Ok(Confirmed::All), |numbers| personnel_numbers(&numbers).map(Confirmed::Numbers))?;
        let (own, now) = (self.own_of(caller, unit.as_str(), None).await?, self.clock.now());
        self.store.confirm_records_of_others(unit.as_str(), which, &caller.name, own, now).await
    }
}

/// As they stand in records: in one normal form.
fn personnel_numbers(numbers: &[String]) -> Result<Vec<String>> {
    let readable = |number: &str| !number.is_empty() && !number.contains(is_invisible);
    let numbers: Vec<_> = numbers.iter().map(|number| normalised(number).into_owned()).collect();
    if (1..=MOST_NUMBERS).contains(&numbers.len()) && numbers.iter().all(|number| readable(number)) {
        return Ok(numbers);
    }
    let rule = format!("must be 1 to {MOST_NUMBERS} readable numbers; leave it out for all records of the unit");
    Err(Refusal::malformed("numbers", rule).into())
}

pub(super) fn unit_code(unit: &str) -> Result<UnitCode> {
    let code = UnitCode::parse(unit);
    code.ok_or_else(|| Refusal::malformed("unit", "must be a unit code of Decision 20/2020/QĐ-TTg").into())
}
