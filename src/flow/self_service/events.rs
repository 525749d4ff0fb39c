//! Telling an official what happens to them: where their proposals, cards and records stand, and each change of it. A
//! wallet learns of a new card by the change feed of its backend as well.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::see::{MOST_CARDS, population_view};
use super::{Official, Service};
use crate::error::{Refusal, Result};
use crate::model::card::Selector;

/// How often a stream looks for what other processes wrote, and for proposals; events of cards wake it at once.
const LOOK: Duration = Duration::from_secs(2);
/// Proposals that are told of.
const MOST_PROPOSALS: i64 = 50;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnEvent {
    /// `proposal`, `card` or `record`.
    pub kind: &'static str,
    /// What is told.
    pub data: Value,
}

/// What was told so far, and the place of the stream.
pub struct OwnState {
    official: Official,
    told: BTreeMap<(&'static str, String), Value>,
    _place: OwnedSemaphorePermit,
}

impl Service {
    /// A stream of events about the official.
    pub fn self_stream(&self, official: Official) -> Result<OwnState, Refusal> {
        let place = Arc::clone(&self.own.streams).try_acquire_owned();
        let place = place.map_err(|_| Refusal::Busy("streams of events"))?;
        Ok(OwnState { official, told: BTreeMap::new(), _place: place })
    }

    /// What is new since it was last asked, waiting until there is something; `None` once the session is over.
    pub async fn next_self_events(&self, state: &mut OwnState) -> Result<Option<Vec<OwnEvent>>> {
        let mut news = self.store.event_news();
        loop {
            // What is written from here on wakes us.
            news.borrow_and_update();
            if self.store.self_session(&state.official.session.id, self.clock.now()).await?.is_none() {
                return Ok(None);
            }
            let now = self.self_states(&state.official).await?;
            let new: Vec<_> = now
                .iter()
                .filter(|(name, data)| state.told.get(name) != Some(data))
                .map(|((kind, _), data)| OwnEvent { kind, data: data.clone() })
                .collect();
            state.told = now;
            if !new.is_empty() {
                return Ok(Some(new));
            }
            tokio::select! {
                _ = news.changed() => {}
                () = tokio::time::sleep_until(Instant::now() + LOOK) => {}
            }
        }
    }

    async fn self_states(&self, official: &Official) -> Result<BTreeMap<(&'static str, String), Value>> {
        let mut states = BTreeMap::new();
        for proposal in self.store.proposals_of(&official.person, None, MOST_PROPOSALS).await? {
            let state = proposal.state.word();
            let data = json!({"proposal": proposal.id, "state": state, "version": proposal.version});
            states.insert(("proposal", proposal.id), data);
        }
        for card in self.store.cards(&Selector::Person(official.person.clone()), MOST_CARDS).await? {
            let state = card.state_at(self.clock.now()).name().word();
            let data = json!({"card": card.handle.as_str(), "record": card.record.as_str(), "state": state});
            states.insert(("card", card.handle.to_string()), data);
        }
        for stored in self.store.records_of(&official.person).await? {
            let data = json!({
                "record": stored.handle.as_str(), "version": stored.version,
                "population": population_view(stored.standing.population.as_ref()).state,
                "confirmed": stored.standing.confirmed_at.is_some(),
            });
            states.insert(("record", stored.handle.to_string()), data);
        }
        Ok(states)
    }
}
