//! How the connection to the population database stands, for those who run it. No personal data.

use std::sync::PoisonError;

use super::Service;
use crate::clock::UnixSeconds;
use crate::error::Result;
use crate::flow::Caller;
use crate::remote::population::{Counts, Load};
use crate::store::PopulationState;

/// How old what was counted may be: it reads much.
const COUNTED_SECONDS: i64 = 10;
/// Over how long the rate of answers is told.
pub const RATE_SECONDS: i64 = 300;

/// How the connection stands.
#[derive(Clone, Debug)]
pub struct Connection {
    /// What this process has to do with the registry, if one is set up.
    pub process: Option<(Load, Counts)>,
    /// What is to be matched, in the whole deployment.
    pub state: PopulationState,
    /// The change feed: up to when it was read (Unix seconds), when, and how that ended. `None` before the first round.
    pub feed: Option<(UnixSeconds, Option<UnixSeconds>, String)>,
    /// Whether the feed is read at all.
    pub has_feed: bool,
}

impl Service {
    /// How the connection stands, for an operator.
    pub async fn population_connection(&self, caller: &Caller) -> Result<Connection> {
        caller.needs("population:read")?;
        Ok(Connection {
            process: self.registry().map(|gateway| (gateway.load(), gateway.counts())),
            state: self.count_matches().await?,
            feed: self.feed_state().await?,
            has_feed: self.config.population.as_ref().is_some_and(|settings| settings.feed.is_some()),
        })
    }

    /// What is to be matched, at most [`COUNTED_SECONDS`] old.
    pub async fn count_matches(&self) -> Result<PopulationState> {
        let now = self.clock.now();
        let known = *self.population.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, state)) = known
            && (1..COUNTED_SECONDS).contains(&(now - at))
        {
            return Ok(state);
        }
        let state = self.store.population_state(now - RATE_SECONDS).await?;
        *self.population.counted.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, state));
        Ok(state)
    }
}
