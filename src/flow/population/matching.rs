//! The background: records that are pending are asked about, the freshest first, by as many processes as there are.
//!
//! A run goes from the freshest record to the oldest and claims some at a time; the server begins anew after every few, so
//! that what came meanwhile does not wait behind millions. A run that was killed leaves claims that end by themselves.

use futures_util::StreamExt;
use futures_util::stream;

use super::Service;
use crate::clock::{Clock, UnixSeconds};
use crate::error::Result;
use crate::model::person::{MatchOutcome, compare, question};
use crate::remote::population::{Circuit, PopulationRegistry, Unreachable};
use crate::store::{Asked, Concluded, Held, Store, ToMatch};

/// Records claimed at once.
const BATCH_ROWS: i64 = 64;
/// Questions that a run has under way; the gateway has its own bound.
const QUESTIONS: usize = 32;
/// Questions in a row that tell of a registry that does not answer, or not us, after which a run gives up.
const PATIENCE: u64 = 64;
/// How much longer a claim lasts than the questions of its batch may take: they are written down, and people go before them.
const CLAIM_SECONDS: u64 = 300;
/// Batches of the server until it looks again for what is freshest.
const BATCHES_IN_A_ROW: usize = 16;

/// Who asks the population database, and why: both are written down for every question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The officer.
    pub officer: String,
    /// The purpose.
    pub purpose: String,
    /// How long a question that got no answer rests until it is asked again; 0: not at all, whatever kind of answer it was.
    pub pause_seconds: i64,
}

/// What a matching run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MatchSummary {
    /// Records that agree.
    pub matched: u64,
    /// People whom the registry does not know, or not so.
    pub not_found: u64,
    /// People whom it knows otherwise.
    pub mismatched: u64,
    /// Questions without an answer; their records are asked about again by the next run.
    pub unreachable: u64,
    /// Records that cannot be asked about: no birth date, or neither twelve digits nor nine. Each is counted once.
    pub incomplete: u64,
    /// Records that moved on to another version while the question was under way.
    pub overtaken: u64,
    /// Cards that were locked because the registry changed its mind.
    pub locked: u64,
    /// Cards that were given back.
    pub released: u64,
}

/// Asks the population database about every record that it was not asked about yet. `progress` is called after every
/// batch. A run ends early when the registry cannot be reached time after time.
pub async fn match_pending(
    store: &Store,
    clock: &Clock,
    registry: &impl PopulationRegistry,
    asker: &Asker,
    progress: impl FnMut(MatchSummary),
) -> Result<MatchSummary> {
    let mut run = Run { store, clock, asker, summary: MatchSummary::default(), in_a_row: 0 };
    run.all(registry, BATCH_ROWS, usize::MAX, progress).await?;
    Ok(run.summary)
}

impl Service {
    /// Asks about pending records until there are none, or the registry does not answer. What came meanwhile goes first.
    pub async fn match_in_background(&self) -> Result<MatchSummary> {
        let (Some(gateway), Some(settings)) = (self.registry(), &self.config.population) else {
            return Ok(MatchSummary::default());
        };
        let asker = Asker {
            officer: settings.officer.clone(),
            purpose: "card issuance: match of records".into(),
            pause_seconds: settings.retry_seconds,
        };
        let (store, clock) = (&self.store, &self.clock);
        let mut run = Run { store, clock, asker: &asker, summary: MatchSummary::default(), in_a_row: 0 };
        // What a process left behind that died between the answer and its consequence.
        run.summary.released += store.release_held(None, clock.now()).await?.len() as u64;
        loop {
            let load = gateway.load();
            if load.paused_for.is_some_and(|pause| !pause.is_zero()) {
                break;
            }
            // One question probes whether a registry that was left alone answers again: no more are claimed for it.
            let (rows, batches) = match load.circuit {
                Circuit::Closed { .. } => (BATCH_ROWS, BATCHES_IN_A_ROW),
                Circuit::Open { .. } | Circuit::HalfOpen { .. } => (1, 1),
            };
            if run.all(&gateway.background(), rows, batches, |_| {}).await? != Ended::Early {
                break;
            }
        }
        Ok(run.summary)
    }
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// There is nothing left to ask about.
    Done,
    /// After as many batches as it should.
    Early,
    /// The registry does not answer.
    Silence,
}

struct Run<'a> {
    store: &'a Store,
    clock: &'a Clock,
    asker: &'a Asker,
    summary: MatchSummary,
    /// Questions without answer since the last one.
    in_a_row: u64,
}

impl Run<'_> {
    async fn all(
        &mut self,
        registry: &impl PopulationRegistry,
        rows: i64,
        batches: usize,
        mut progress: impl FnMut(MatchSummary),
    ) -> Result<Ended> {
        let mut after = None;
        for _ in 0..batches {
            let now = self.clock.now();
            // Who asks by hand asks about those that rest for a day, too.
            let tried_before = if self.asker.pause_seconds == 0 { i64::MAX } else { now - self.asker.pause_seconds };
            let page = self.store.records_to_match(after.as_ref(), tried_before, now, rows).await?;
            let Some(last) = page.last() else { return Ok(Ended::Done) };
            after = Some((last.fresh, last.stored.handle.clone()));
            let is_heard = self.batch(registry, page, now).await?;
            progress(self.summary);
            if !is_heard {
                return Ok(Ended::Silence);
            }
        }
        Ok(Ended::Early)
    }

    /// Asks about these records; `false` when the registry does not answer.
    async fn batch(
        &mut self,
        registry: &impl PopulationRegistry,
        page: Vec<ToMatch>,
        now: UnixSeconds,
    ) -> Result<bool> {
        let Asker { officer, purpose, .. } = self.asker;
        let (askable, incomplete): (Vec<_>, Vec<_>) = page.into_iter().partition(|about| {
            let stored = &about.stored;
            question(&stored.handle, &stored.record, officer, purpose).is_some()
        });
        self.summary.incomplete += incomplete.len() as u64;
        let incomplete = incomplete.into_iter().map(|about| (about.stored.handle, about.stored.version)).collect();
        self.store.rest(incomplete).await?;
        // So that nobody else asks about what is still being asked about.
        let longest = registry.longest(u32::try_from(askable.len()).unwrap_or(u32::MAX)).as_secs() + CLAIM_SECONDS;
        let until = now.saturating_add_unsigned(longest);
        let asked = self.store.ask_about(askable, officer, purpose, now, until).await?;
        let (store, clock) = (self.store, self.clock);
        let mut answers = stream::iter(asked)
            .map(|asked| async move { ask(store, clock, registry, &asked).await })
            .buffer_unordered(QUESTIONS);
        let mut was_sent = true;
        while let Some(answer) = answers.next().await {
            let answer = answer?;
            was_sent &= !matches!(answer, Came::NotSent);
            self.in_a_row = if let Came::Nothing { counts: true } = answer { self.in_a_row + 1 } else { 0 };
            let summary = &mut self.summary;
            match answer {
                Came::Answer(outcome, concluded) => {
                    summary.locked += concluded.locked.len() as u64;
                    summary.released += u64::from(concluded.is_held);
                    *match outcome {
                        _ if !concluded.is_noted => &mut summary.overtaken,
                        MatchOutcome::Matched { .. } => &mut summary.matched,
                        MatchOutcome::NotFound => &mut summary.not_found,
                        MatchOutcome::Mismatched { .. } => &mut summary.mismatched,
                    } += 1;
                }
                Came::Nothing { .. } | Came::NotSent => summary.unreachable += 1,
            }
        }
        Ok(was_sent && self.in_a_row < PATIENCE)
    }
}

enum Came {
    Answer(MatchOutcome, Concluded),
    /// Nothing that can be used; `counts`: it would be the same of somebody else.
    Nothing {
        counts: bool,
    },
    NotSent,
}

async fn ask(store: &Store, clock: &Clock, registry: &impl PopulationRegistry, asked: &Asked) -> Result<Came> {
    let stored = &asked.about.stored;
    let Some(query) = question(&stored.handle, &stored.record, &asked.officer, &asked.purpose) else {
        store.conclude_without(asked, Held::NotSent, clock.now()).await?;
        return Ok(Came::NotSent);
    };
    match registry.look_up(&query).await {
        Ok(answer) => {
            let outcome = compare(&stored.record, answer.as_ref());
            let mut concluded = store.conclude(asked, &outcome, clock.now()).await?;
            if concluded.is_held {
                concluded.is_held = !store.release_held(Some(&stored.handle), clock.now()).await?.is_empty();
            }
            Ok(Came::Answer(outcome, concluded))
        }
        Err(error) => {
            // The error names no person.
            tracing::debug!(%error, record = %stored.handle, "a question to the population database was not answered");
            let held = held(&error);
            store.conclude_without(asked, held, clock.now()).await?;
            Ok(match held {
                Held::NotSent => Came::NotSent,
                _ => Came::Nothing { counts: !error.is_of_this_person() },
            })
        }
    }
}

/// How a question ended that was not answered.
pub(super) fn held(error: &Unreachable) -> Held {
    match error {
        error if !error.was_sent() => Held::NotSent,
        error if error.is_a_sign_of_life() => Held::Unreadable,
        _ => Held::Unanswered,
    }
}
