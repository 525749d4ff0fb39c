//! Waiting for a transaction to move: what this process writes wakes the waiting at once, what others write is looked for.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::PresentationAnswer;
use crate::error::{Refusal, Result};
use crate::flow::feed::{MARGIN_SECONDS, Place};
use crate::flow::{Caller, Service, WAIT_SECONDS};
use crate::model::presentation::PresentationState;
use crate::store::{Presentation, PresentationName};

/// How often somebody who waits looks for what other processes wrote.
const LOOK: Duration = Duration::from_secs(1);

/// Told whenever a transaction moves in this process.
#[derive(Clone)]
pub struct News(Arc<watch::Sender<u64>>);

impl Default for News {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl News {
    /// Wakes everybody who waits.
    pub(super) fn tell(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl Service {
    /// A transaction, for the client that made it: at once when it is not in state `seen` or is over, else as soon as it
    /// moves, at the latest after `wait_seconds`. A result that is handed out counts as fetched. Where the browser went on
    /// to the client's own page, the result is there only for the code that it brought.
    pub async fn presentation(
        &self,
        caller: &Caller,
        id: &str,
        response_code: Option<&str>,
        wait_seconds: u64,
    ) -> Result<PresentationAnswer> {
        let row = self.presentation_of(caller, id).await?;
        let wait =
            wait_seconds.min(WAIT_SECONDS).min(self.config.limits.request_seconds.saturating_sub(MARGIN_SECONDS));
        let state = row.state_at(self.clock.now());
        let row = if wait > 0 && !state.is_over() {
            let _place = self.waiting_place("requests wait for presentations")?;
            self.presentation_beyond(id, state, Instant::now() + Duration::from_secs(wait)).await?
        } else {
            row
        };
        let now = self.clock.now();
        let mut answer = self.presentation_answer(&row, response_code, now)?;
        if row.state == PresentationState::Verified && answer.result.is_some() {
            self.store.consume_presentation(row.id.clone(), now + super::FETCHED_SECONDS, now).await?;
            self.presenting.news.tell();
            answer.state = PresentationState::Verified;
        }
        Ok(answer)
    }

    /// The state of a transaction once it is no longer `seen`: for a stream of events, which has been let in by
    /// [`Service::presentation_stream`] or [`Service::present_stream`].
    pub async fn next_presentation_state(
        &self,
        id: &str,
        seen: Option<PresentationState>,
    ) -> Result<PresentationState> {
        let row = match seen {
            None => self.presentation_row(PresentationName::Id, id).await?,
            // The stream itself ends when the transaction is over, and so does this.
            Some(seen) => {
                let forever = Instant::now() + Duration::from_secs(WAIT_SECONDS * 60);
                self.presentation_beyond(id, seen, forever).await?
            }
        };
        Ok(row.state_at(self.clock.now()))
    }

    /// A place for a stream of events about one of the caller's transactions.
    pub async fn presentation_stream(&self, caller: &Caller, id: &str) -> Result<Place> {
        self.presentation_of(caller, id).await?;
        Ok(self.waiting_place("streams about presentations")?)
    }

    /// The row of one of the caller's transactions: of others it is not said that they are there.
    pub(super) async fn presentation_of(&self, caller: &Caller, id: &str) -> Result<Presentation> {
        caller.needs("presentations:read")?;
        let row = self.presentation_row(PresentationName::Id, id).await?;
        if row.client == caller.name { Ok(row) } else { Err(Refusal::NotFound("presentation").into()) }
    }

    /// A row by one of its names.
    pub(super) async fn presentation_row(&self, by: PresentationName, name: &str) -> Result<Presentation> {
        Ok(self.store.presentation(by, name).await?.ok_or(Refusal::NotFound("presentation"))?)
    }

    /// The row once its state is no longer `seen`, or as it is at `until`.
    pub(super) async fn presentation_beyond(
        &self,
        id: &str,
        seen: PresentationState,
        until: Instant,
    ) -> Result<Presentation> {
        let mut news = self.presenting.news.0.subscribe();
        loop {
            // What is written from here on wakes us.
            news.borrow_and_update();
            let row = self.presentation_row(PresentationName::Id, id).await?;
            if row.state_at(self.clock.now()) != seen || Instant::now() >= until {
                return Ok(row);
            }
            tokio::select! {
                _ = news.changed() => {}
                () = tokio::time::sleep_until(until.min(Instant::now() + LOOK)) => {}
            }
        }
    }
}
