//! Somebody wants to know now: a reviewer about a record of the unit, a person about the own one. It goes before the
//! background, is on record like every question, and its outcome counts.

use serde_json::Value;

use super::Service;
use super::matching::held;
use crate::clock::UnixSeconds;
use crate::error::{Refusal, Result};
use crate::flow::Caller;
use crate::model::card::Step;
use crate::model::id::{Handle, PersonalNumber};
use crate::model::origin::HOLDER;
use crate::model::person::{MatchOutcome, PopulationPerson, compare, question};
use crate::model::text::is_invisible;
use crate::remote::population::{PopulationRegistry, Unreachable};
use crate::store::{PopulationQueryLine, ToMatch};

/// Longest purpose.
const MAX_PURPOSE_CHARACTERS: usize = 200;
/// When it is worth a try again where nothing better is known.
const RETRY_SECONDS: u64 = 30;
/// Questions on one page at most.
const MOST_LINES: i64 = 200;
/// Why the values of a discrepancy are read, in the audit table.
const READ_PURPOSE: &str = "population.match";

/// What a match that somebody asked for came to. It holds personal data.
#[derive(Clone, Debug)]
pub struct Rematched {
    /// The record.
    pub record: Handle,
    /// The version that was compared.
    pub version: i64,
    /// What was found.
    pub outcome: MatchOutcome,
    /// When.
    pub at: UnixSeconds,
    /// What the registry tells: field codes, and values as a record writes them. Empty when it knows nobody.
    pub values: Vec<(&'static str, Value)>,
    /// Codes of further fields in which the record says something else.
    pub outdated: Vec<&'static str>,
    /// Cards that were locked or given back by it.
    pub cards: Vec<(Handle, Step)>,
}

impl Rematched {
    /// The compared fields that differ, with the registry's values.
    pub fn differs(&self) -> Vec<(&'static str, Option<&Value>)> {
        let MatchOutcome::Mismatched { fields } = &self.outcome else { return Vec::new() };
        let value = |field: &str| self.values.iter().find(|(code, _)| *code == field).map(|(_, value)| value);
        fields.iter().map(|field| (*field, value(field))).collect()
    }
}

/// Questions about records, the latest first.
#[derive(Clone, Debug)]
pub struct PopulationQueryPage {
    /// The questions.
    pub lines: Vec<PopulationQueryLine>,
    /// Where the next page begins.
    pub next: Option<i64>,
}

impl Service {
    /// An officer of the unit asks about a record. The values that differ are theirs to see, which is noted as a read.
    pub async fn rematch(&self, caller: &Caller, record: &Handle, purpose: &str) -> Result<Rematched> {
        caller.needs("records:confirm")?;
        let about = self.store.record_to_match(record).await?;
        let about = about.filter(|about| caller.sees(&about.stored.record.key().unit));
        let about = about.ok_or(Refusal::NotFound("record"))?;
        let rematched = self.ask_about(about, &caller.name, purpose).await?;
        if !rematched.differs().is_empty() {
            let records = std::slice::from_ref(record);
            self.store.note_read(&caller.name, records, READ_PURPOSE, rematched.at).await?;
        }
        Ok(rematched)
    }

    /// A person asks about a record of their own.
    pub async fn rematch_own(&self, person: &PersonalNumber, record: &Handle, purpose: &str) -> Result<Rematched> {
        let about = self.store.record_to_match(record).await?;
        let about = about.filter(|about| about.stored.record.personal_number().as_ref() == Some(person));
        self.ask_about(about.ok_or(Refusal::NotFound("record"))?, HOLDER, purpose).await
    }

    /// Who asked the population database about a record, and what differed. Written down as a look at it.
    pub async fn population_queries(
        &self,
        caller: &Caller,
        record: &Handle,
        before: Option<i64>,
        limit: i64,
    ) -> Result<PopulationQueryPage> {
        self.readable(caller, record, READ_PURPOSE).await?;
        let limit = limit.clamp(1, MOST_LINES);
        let mut lines = self.store.population_queries_of(std::slice::from_ref(record), before, limit + 1).await?;
        let more = i64::try_from(lines.len()).is_ok_and(|found| found > limit);
        if more {
            lines.pop();
        }
        let next = lines.last().filter(|_| more).map(|line| line.seq);
        Ok(PopulationQueryPage { lines, next })
    }

    async fn ask_about(&self, about: ToMatch, officer: &str, purpose: &str) -> Result<Rematched> {
        let purpose = readable(purpose)?;
        let stored = about.stored.clone();
        let (record, version) = (stored.handle.clone(), stored.version);
        let Some(mut query) = question(&record, &stored.record, officer, purpose) else {
            let has_date = stored.record.date("date_of_birth").is_some();
            let missing = if has_date { "personal number and none of nine digits" } else { "birth date" };
            return Err(Refusal::RecordIncomplete(missing).into());
        };
        if officer == HOLDER {
            // The registry knows officers only.
            query.officer = self.config.population.as_ref().map(|it| it.officer.clone()).unwrap_or_default();
        }
        let unavailable = |retry_after_seconds| Refusal::RegistryUnavailable { retry_after_seconds };
        let gateway = self.registry().ok_or(unavailable(RETRY_SECONDS))?;
        let asked = self.store.ask_now(about, officer, purpose, self.clock.now()).await?;
        let asked = asked.ok_or(Refusal::MovedOn("record"))?;
        let answer = match gateway.interactive().look_up(&query).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::info!(%error, %record, "a question to the population database was not answered");
                self.store.conclude_without(&asked, held(&error), self.clock.now()).await?;
                let seconds = match error {
                    Unreachable::Paused(pause) => pause.as_secs() + 1,
                    _ => RETRY_SECONDS,
                };
                return Err(unavailable(seconds).into());
            }
        };
        let (outcome, at) = (compare(&stored.record, answer.as_ref()), self.clock.now());
        let concluded = self.store.conclude(&asked, &outcome, at).await?;
        if !concluded.is_noted {
            return Err(Refusal::MovedOn("record").into());
        }
        let mut cards: Vec<_> = concluded.locked.into_iter().map(|card| (card, Step::Lock)).collect();
        if concluded.is_held {
            let released = self.store.release_held(Some(&record), at).await?;
            cards.extend(released.into_iter().map(|card| (card, Step::Unlock)));
        }
        let values = answer.as_ref().map(PopulationPerson::values).unwrap_or_default();
        let outdated = answer.map(|person| person.outdated(&stored.record)).unwrap_or_default();
        Ok(Rematched { record, version, outcome, at, values, outdated, cards })
    }
}

/// A purpose that people can read: the one whose data it is will.
fn readable(purpose: &str) -> Result<&str, Refusal> {
    let purpose = purpose.trim();
    let fits = (1..=MAX_PURPOSE_CHARACTERS).contains(&purpose.chars().count()) && !purpose.contains(is_invisible);
    let rule = || Refusal::malformed("purpose", format!("must be 1 to {MAX_PURPOSE_CHARACTERS} readable characters"));
    fits.then_some(purpose).ok_or_else(rule)
}
