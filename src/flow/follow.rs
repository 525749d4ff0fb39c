//! Cards follow the facts (domain dossier, section 2.4; which status does what is derived).
//!
//! | the record says | the unit's word | the card |
//! |---|---|---|
//! | resigned, dismissed, retired, transferred | given | withdrawn, for that reason |
//! | deceased | given | withdrawn; once the record is matched, every card of the person |
//! | one of these | not yet | locked (`under_review`): a clerk's row ends nobody's card |
//! | suspended | either | locked, for as long as the record says so |
//! | in service again | given | what was locked for this cause is given back |
//! | in service again | not yet | stays locked, and the mark stays until the unit's word is given |
//! | something else that is printed | given, and matched | replaced: [`super::deferred`], or in one transaction by [`Service::card_step`] |
//! | the term or contract will be over | given, and matched | replaced by one that ends on that day, and then expires |
//! | the term or contract is over already | given, and matched | expired at once: in the same rounds, or in that transaction |
//!
//! Records whose cards have still to follow are marked by the change itself, so that nothing is lost when a process dies,
//! and looked at every few seconds. The audit line of the card names the version of the record and when it came.

use super::{Caller, Service};
use crate::clock::DAY_SECONDS;
use crate::error::{Error, Refusal, Result};
use crate::model::card::{Card, Reason, Selector, State, Step};
use crate::model::person::MatchOutcome;
use crate::model::quality::Standing;
use crate::model::record::Record;
use crate::store::{CardStep, FollowStep, StoredRecord};

/// Records looked at in one step of a round.
const PAGE: i64 = 1_000;
/// Steps of a round.
const PAGES: usize = 100;
/// Records that could not be followed after which a round ends: it is then not the records.
const MOST_FAULTS: usize = 100;
/// Cards whose end one answer tells at most.
const MOST_ENDING: i64 = 500;

impl Service {
    /// Locks, withdraws or gives back the cards of records whose employment status changed: all of them, or the oldest some
    /// ten thousand. A record that cannot be followed is passed over; the last such fault is the answer when the others are
    /// done. Returns how many records.
    pub async fn follow_records(&self) -> Result<u64> {
        for _ in 0..PAGES {
            if self.store.forget_without_card(PAGE).await? < PAGE.unsigned_abs() {
                break;
            }
        }
        let (mut followed, mut unreadable, mut faults, mut after) = (0, None, Vec::new(), None);
        for _ in 0..PAGES {
            let page = self.store.records_to_follow(after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.place.clone());
            for due in page {
                let record = due.place.1;
                let done = match due.stored {
                    Ok(stored) => self.follow_record(&stored).await,
                    Err(fault) => {
                        tracing::error!(error = %fault, record, "a record whose card has to follow it cannot be read");
                        unreadable = Some(fault.into());
                        continue;
                    }
                };
                match done {
                    Ok(is_done) => followed += u64::from(is_done),
                    Err(error) => {
                        tracing::error!(%error, record, "a card could not follow its record");
                        faults.push(error);
                        if faults.len() >= MOST_FAULTS {
                            break;
                        }
                    }
                }
            }
            if faults.len() >= MOST_FAULTS {
                break;
            }
        }
        faults.pop().or(unreadable).map_or(Ok(followed), Err)
    }

    async fn follow_record(&self, stored: &StoredRecord) -> Result<bool> {
        let Some((step, reason)) = step_of(stored) else { return Ok(false) };
        let mut selectors = vec![Selector::Record(stored.handle.clone())];
        // A number that the population database did not find to be this person's ends nobody else's cards.
        let is_matched = stored.standing.population.as_ref().is_some_and(MatchOutcome::is_match);
        if reason == Reason::Deceased && is_matched {
            selectors.extend(stored.record.personal_number().map(Selector::Person));
        }
        let follow = FollowStep {
            record: stored.handle.clone(),
            version: stored.version,
            confirmed_at: stored.standing.confirmed_at,
            changed_at: stored.standing.changed_at,
            selectors,
            step,
            reason,
            at: self.clock.now(),
        };
        self.store.follow(follow).await
    }

    /// Tells of cards that end soon, each once. Returns how many.
    pub async fn warn_of_ends(&self) -> Result<u64> {
        let now = self.clock.now();
        self.store.warn_of_ends(now, now + self.config.limits.card_warning_days * DAY_SECONDS).await
    }

    /// What becomes of the card in force of `base` when its record says `new` from now on, with or without the unit's
    /// word: for a change that is made together with its consequence.
    pub(super) async fn card_step(&self, base: &StoredRecord, new: &Record, is_confirmed: bool) -> Result<CardStep> {
        let now = self.clock.now();
        let cards = self.store.cards(&Selector::Record(base.handle.clone()), 1).await?;
        let in_force =
            cards.into_iter().find(|card| matches!(card.state_at(now), State::Active | State::Locked { .. }));
        let Some(card) = in_force.filter(|_| is_confirmed) else { return Ok(CardStep::Keep) };
        // What has to be asked first, and a card under review, wait for the rounds, as does what ends a card.
        let is_matched = base.standing.population.as_ref().is_some_and(MatchOutcome::is_match);
        let is_active = matches!(card.state_at(now), State::Active);
        if !is_matched || !is_active || base.record.match_key() != new.match_key() {
            return Ok(CardStep::Keep);
        }
        let standing = Standing { confirmed_at: Some(now), changed_at: now, ..base.standing.clone() };
        let new = match self.card_from((&base.handle, base.version + 1), new.clone(), &standing).await {
            Ok(new) => new,
            Err(Error::Refusal(_)) => return Ok(CardStep::Keep),
            Err(fault) => return Err(fault),
        };
        let found = self.store.card(&card.handle).await?.ok_or(Refusal::NotFound("card"))?;
        Ok(match found.facts.change_to(&new.facts) {
            Some(reason) => CardStep::Replace { old: card.handle, new: Box::new(new), reason },
            None => CardStep::Keep,
        })
    }

    /// Cards in force of units that the caller sees whose term ends within so many days, the soonest first.
    pub async fn cards_ending(&self, caller: &Caller, unit: &str, within_days: i64) -> Result<Vec<Card>> {
        caller.needs("cards:read")?;
        caller.may_touch(unit)?;
        let until = self.clock.now() + within_days.clamp(0, 366) * DAY_SECONDS;
        Ok(self.store.cards_ending(unit, until, MOST_ENDING).await?)
    }
}

/// What a record's employment status means for its cards; `None` while the unit has still to say that it gives one back.
fn step_of(stored: &StoredRecord) -> Option<(Step, Reason)> {
    let is_confirmed = stored.standing.confirmed_at.is_some();
    match stored.record.out_of_service() {
        None => is_confirmed.then_some((Step::Unlock, Reason::Cleared)),
        Some(status) => Some(match ending(status) {
            Some(reason) if is_confirmed => (Step::Withdraw, reason),
            _ => (Step::Lock, Reason::UnderReview),
        }),
    }
}

/// The reason for which a status ends a card; `None` for one that may pass.
fn ending(status: &str) -> Option<Reason> {
    Some(match status {
        "transferred" => Reason::Transferred,
        "resigned" => Reason::Resigned,
        "dismissed" => Reason::Dismissed,
        "retired" => Reason::Retired,
        "deceased" => Reason::Deceased,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::code_list::shipped;

    #[test]
    fn every_status_of_the_catalogue_is_in_service_ends_the_card_or_locks_it() {
        let ends = ["transferred", "resigned", "dismissed", "retired", "deceased"];
        assert!(ends.iter().all(|status| shipped().code("OURS.STATUS", status).is_some() && ending(status).is_some()));
        let pass = ["active", "seconded", "suspended"];
        assert!(pass.iter().all(|status| shipped().code("OURS.STATUS", status).is_some() && ending(status).is_none()));
    }
}
