//! A record becomes verified: the population database is asked, the unit confirms, and what is left is a
//! [`crate::model::person::VerifiedRecord`] whose facts a card can be made of. How records come in is
//! [`crate::flow::import`].
//!
//! Not found, mismatched and unreachable are three outcomes. Unreachable is none: the record stays as it was and is
//! asked about again by the next run.

use futures_util::StreamExt;
use futures_util::stream;
use time::{Date, OffsetDateTime, UtcOffset};

use super::{Caller, Service};
use crate::clock::{Clock, UnixSeconds};
use crate::error::{Refusal, Result};
use crate::model::person::{MatchOutcome, compare, question};
use crate::model::text::{is_invisible, normalised};
use crate::model::unit::UnitCode;
use crate::remote::population::PopulationRegistry;
use crate::store::{Confirmed, Store, StoredRecord};

/// Records read at once.
const PAGE: i64 = 500;
/// Questions that wait for an answer at the same time.
const QUESTIONS: usize = 16;
/// Unreachable answers in a row after which a run gives up.
const PATIENCE: u64 = 64;

/// Numbers that one request of a program confirms at most.
const MOST_NUMBERS: usize = 1_000;

/// Who asks the population database, and why: both are written down for every question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The officer.
    pub officer: String,
    /// The purpose.
    pub purpose: String,
    /// How long a question that got no answer rests until it is asked again.
    pub pause_seconds: i64,
}

/// What a matching run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MatchSummary {
    /// Records that agree.
    pub matched: u64,
    /// People whom the registry does not know.
    pub not_found: u64,
    /// People whom it knows otherwise.
    pub mismatched: u64,
    /// Questions without an answer; their records are asked about again by the next run.
    pub unreachable: u64,
    /// Records that cannot be asked about: no birth date.
    pub incomplete: u64,
    /// Records that moved on to another version while the question was under way.
    pub overtaken: u64,
}

/// Asks the population database about every record that it was not asked about yet. `progress` is called after every
/// page. A run ends early when the registry cannot be reached time after time.
pub async fn match_pending(
    store: &Store,
    clock: &Clock,
    registry: &impl PopulationRegistry,
    asker: &Asker,
    mut progress: impl FnMut(MatchSummary),
) -> Result<MatchSummary> {
    let (mut summary, mut after, mut in_a_row) = (MatchSummary::default(), None, 0);
    loop {
        let page = store.pending_records(after.as_ref(), clock.now() - asker.pause_seconds, PAGE).await?;
        let Some(last) = page.last() else { return Ok(summary) };
        after = Some(last.handle.clone());
        let mut answers =
            stream::iter(page).map(|stored| ask(store, clock, registry, asker, stored)).buffer_unordered(QUESTIONS);
        while let Some(answer) = answers.next().await {
            let asked = answer?;
            in_a_row = if matches!(asked, Asked::Unreachable) { in_a_row + 1 } else { 0 };
            *match asked {
                Asked::Noted(MatchOutcome::Matched) => &mut summary.matched,
                Asked::Noted(MatchOutcome::NotFound) => &mut summary.not_found,
                Asked::Noted(MatchOutcome::Mismatched { .. }) => &mut summary.mismatched,
                Asked::Unreachable => &mut summary.unreachable,
                Asked::Incomplete => &mut summary.incomplete,
                Asked::Overtaken => &mut summary.overtaken,
            } += 1;
            if in_a_row >= PATIENCE {
                return Ok(summary);
            }
        }
        progress(summary);
    }
}

enum Asked {
    Noted(MatchOutcome),
    Unreachable,
    Incomplete,
    Overtaken,
}

async fn ask(
    store: &Store,
    clock: &Clock,
    registry: &impl PopulationRegistry,
    asker: &Asker,
    stored: StoredRecord,
) -> Result<Asked> {
    let Asker { officer, purpose, .. } = asker;
    let Some(query) = question(&stored.record, officer, purpose) else { return Ok(Asked::Incomplete) };
    let Ok(answer) = registry.look_up(&query).await else {
        store.note_unreachable(&stored.handle, officer, purpose, clock.now()).await?;
        return Ok(Asked::Unreachable);
    };
    let outcome = compare(&stored.record, answer.as_ref());
    let noted =
        store.set_population(&stored.handle, stored.version, outcome.clone(), officer, purpose, clock.now()).await?;
    Ok(if noted { Asked::Noted(outcome) } else { Asked::Overtaken })
}

/// The unit confirms its records as they stand now. Returns how many.
pub async fn confirm(store: &Store, clock: &Clock, unit: &str, which: Confirmed, officer: &str) -> Result<u64> {
    let now = clock.now();
    store.confirm_records(unit_code(unit)?.as_str(), which, officer, now, now).await
}

impl Service {
    /// A program confirms for a unit that it may act for: the records with these numbers, or all of the unit and of the
    /// units below it. Returns how many, and how many are left to others because the caller uploaded them.
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
        let (words, now) = (self.words_of(caller, &unit).await?, self.clock.now());
        self.store.confirm_records_of_others(unit.as_str(), which, &caller.name, words, now).await
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

/// The calendar day in Vietnam (UTC+7, no summer time).
pub fn day_in_vietnam(now: UnixSeconds) -> Date {
    let vietnam = UtcOffset::from_hms(7, 0, 0).unwrap_or(UtcOffset::UTC);
    OffsetDateTime::from_unix_timestamp(now).map_or(Date::MIN, |instant| instant.to_offset(vietnam).date())
}
