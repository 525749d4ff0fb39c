//! Records and the national population database: [`matching`] asks about those that are pending, [`feed`] has those asked
//! about again whose person changed there, [`rematch`] asks because somebody wants to know now, [`state`] tells how all of it
//! stands.
//!
//! Not found, mismatched and unreachable are three outcomes. Unreachable is none: the record stays as it was and is asked
//! about again. The service answers a question about a wrong name like one about nobody (domain dossier, section 5): not
//! found means that a person has to look, not that somebody does not exist.

mod feed;
mod matching;
mod rematch;
mod state;

use std::sync::Mutex;

use super::Service;
use crate::chance::Chance;
use crate::clock::{Clock, UnixSeconds};
use crate::config::Config;
use crate::error::Fault;
use crate::remote::population::Gateway;
use crate::store::PopulationState;

pub use feed::read_feed;
pub use matching::{Asker, MatchSummary, match_pending};
pub use rematch::{PopulationQueryPage, Rematched};
pub use state::Connection;

/// The way of this process to the registry, and what was counted last.
pub(super) struct Population {
    gateway: Option<Gateway>,
    counted: Mutex<Option<(UnixSeconds, PopulationState)>>,
}

impl Population {
    /// Settings that cannot be used give none: `check_settings` tells.
    pub(super) fn new(config: &Config, clock: &Clock, chance: &Chance) -> Self {
        let gateway = config.population.as_ref().and_then(|it| Gateway::new(it, clock.clone(), chance).ok());
        Self { gateway, counted: Mutex::default() }
    }
}

impl Service {
    /// The way to the registry, if there is one.
    pub fn registry(&self) -> Option<&Gateway> {
        self.population.gateway.as_ref()
    }

    /// Checks that the registry of the settings can be asked.
    pub(super) fn check_population(&self) -> Result<(), Fault> {
        match &self.config.population {
            Some(settings) if self.population.gateway.is_none() => {
                Gateway::new(settings, self.clock.clone(), &self.chance).map(|_| ())
            }
            _ => Ok(()),
        }
    }
}
