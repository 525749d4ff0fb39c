//! Telling an official what happens to them: where their proposals, cards and records stand, and each change of it. A
//! wallet learns of a new card by the change feed of its backend as well.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::see::{MOST_CARDS, population_view};
use super::{Official, Service};
use crate::error::{Refusal, Result};
use crate::model::card::Selector;
use crate::model::id::PersonalNumber;

/// How often a stream looks for what other processes wrote, and for proposals; events of cards wake it at once.
const LOOK: Duration = Duration::from_secs(2);
/// The least time between two looks of a stream, however much happens in the nation.
const PAUSE: Duration = Duration::from_secs(1);
/// Streams at the same time in this process, and of them one person's.
const MOST_STREAMS: usize = 256;
const MOST_OF_ONE: usize = 3;
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

/// Whose streams are open in this process.
#[derive(Clone, Default)]
pub(super) struct Streams(Arc<Mutex<Vec<PersonalNumber>>>);

impl Streams {
    fn open(&self, person: &PersonalNumber) -> Result<Place, Refusal> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.iter().filter(|other| *other == person).count() >= MOST_OF_ONE {
            let rule = format!("at most {MOST_OF_ONE} streams of events of one person may be open at the same time");
            return Err(Refusal::TooMuch(rule));
        }
        if open.len() >= MOST_STREAMS {
            return Err(Refusal::Busy("streams of events"));
        }
        open.push(person.clone());
        Ok(Place { streams: self.clone(), person: person.clone() })
    }
}

/// The place of a stream, until it is dropped.
struct Place {
    streams: Streams,
    person: PersonalNumber,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = open.iter().position(|person| *person == self.person) {
            open.swap_remove(at);
        }
    }
}

/// What was told so far, when that was looked at, and the place of the stream.
pub struct OwnState {
    official: Official,
    told: BTreeMap<(&'static str, String), Value>,
    looked_at: Option<Instant>,
    _place: Place,
}

impl Service {
    /// A stream of events about the official.
    pub fn self_stream(&self, official: Official) -> Result<OwnState, Refusal> {
        let place = self.own.streams.open(&official.person)?;
        Ok(OwnState { official, told: BTreeMap::new(), looked_at: None, _place: place })
    }

    /// What is new since it was last asked, waiting until there is something; `None` once the session is over.
    pub async fn next_self_events(&self, state: &mut OwnState) -> Result<Option<Vec<OwnEvent>>> {
        let mut news = self.store.event_news();
        loop {
            if let Some(looked_at) = state.looked_at {
                tokio::time::sleep_until(looked_at + PAUSE).await;
            }
            state.looked_at = Some(Instant::now());
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
        let held = self.store.held_on(&official.person).await?;
        for stored in held.into_iter().filter(|stored| stored.removed_at.is_none()) {
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
