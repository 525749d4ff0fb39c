//! The registry's change feed: whose person changed there is asked about again, although nothing of the record changed.
//!
//! The feed is read in windows, each page by page until an empty one; a page and the place in the feed are one
//! transaction, so that a process that dies loses no change, and another goes on where it was. Windows overlap a little: a
//! change that is told twice is only asked about twice.

use super::Service;
use crate::clock::{Clock, UnixSeconds};
use crate::config::PopulationFeed;
use crate::error::Result;
use crate::remote::population::Gateway;
use crate::store::Store;

/// The longest window: a guide of the data-sharing platform bounds ranges of dates to five days (domain dossier, section 5).
const LONGEST_WINDOW_MS: i64 = 5 * 86_400_000;
/// How much windows overlap.
const OVERLAP_MS: i64 = 60_000;
/// How long a claim lasts from page to page.
const CLAIM_SECONDS: i64 = 120;
/// How soon a round that failed is repeated.
const RETRY_SECONDS: i64 = 60;
/// Pages of one window; whatever comes after them is told again by the next.
const MOST_PAGES: i64 = 100_000;

/// Reads the change feed up to now, if its turn has come. Returns how many records are to be asked about again.
pub async fn read_feed(store: &Store, clock: &Clock, gateway: &Gateway, settings: &PopulationFeed) -> Result<u64> {
    let mut records = 0;
    loop {
        let now = clock.now();
        let Some(mut claim) = store.claim_feed(now * 1000, now, now + CLAIM_SECONDS).await? else {
            return Ok(records);
        };
        let begun_ms = now * 1000;
        let until = claim.until.unwrap_or_else(|| begun_ms.min(claim.through + LONGEST_WINDOW_MS));
        let mut before = Vec::new();
        loop {
            let page = u32::try_from(claim.page).unwrap_or(u32::MAX);
            let answer = match gateway.changes(claim.through - OVERLAP_MS, until, page).await {
                Ok(answer) => answer,
                Err(error) => {
                    tracing::warn!(%error, "the change feed of the population database was not read");
                    let now = clock.now();
                    store.end_feed_round(&claim, None, &error.to_string(), now, now + RETRY_SECONDS).await?;
                    return Ok(records);
                }
            };
            // A registry may put fewer on a page than we asked for, and one that knows of no pages tells the same again.
            let is_same = !answer.people.is_empty() && answer.people == before;
            let is_last = answer.entries == 0 || is_same || claim.page >= MOST_PAGES;
            before.clone_from(&answer.people);
            let now = clock.now();
            let taken = store.take_feed_page(&claim, until, answer.people, now, now + CLAIM_SECONDS).await?;
            // Somebody else has the claim.
            let Some(taken) = taken else { return Ok(records) };
            records += taken;
            claim.page += 1;
            if is_last {
                break;
            }
        }
        let now = clock.now();
        let is_up_to_date = until >= begun_ms;
        let next_at = if is_up_to_date { now + settings.every_seconds } else { now };
        store.end_feed_round(&claim, Some(until), "ok", now, next_at).await?;
        if is_up_to_date {
            return Ok(records);
        }
    }
}

impl Service {
    /// The same with the settings of the service.
    pub async fn read_population_feed(&self) -> Result<u64> {
        match (self.registry(), self.config.population.as_ref().and_then(|settings| settings.feed.as_ref())) {
            (Some(gateway), Some(settings)) => read_feed(&self.store, &self.clock, gateway, settings).await,
            _ => Ok(0),
        }
    }

    /// How far it was read, and when.
    pub(super) async fn feed_state(&self) -> Result<Option<(i64, Option<UnixSeconds>, String)>> {
        let state = self.store.population_feed().await?;
        Ok(state.map(|state| (state.through / 1000, state.round_at, state.outcome)))
    }
}
