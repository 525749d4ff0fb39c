//! The change feed: a caller asks what happened after a number, waits if nothing has yet, and gets a signed page.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::{Caller, Service};
use crate::credential::{Signer, jws};
use crate::error::{Fault, Refusal, Result};
use crate::protocol::delivery::{EVENTS_TYPE, EventsMessage};
use crate::store::{EventFilter, EventPage};

/// Most events of a page: its JWS stays below the 256 KiB that readers look at.
pub const PAGE_EVENTS: i64 = 500;
/// Longest wait for an event.
pub const WAIT_SECONDS: u64 = 30;
/// How much sooner than the server's own limit a waiting request is answered.
pub(super) const MARGIN_SECONDS: u64 = 5;
/// How often a waiting request looks for what other processes wrote; what this one writes wakes it at once.
const LOOK: Duration = Duration::from_secs(1);
/// Requests that wait at the same time in this process.
const WAITING: usize = 128;
/// Pages of presentations that are told of what happens at the same time in this process.
const PAGES: usize = 256;
/// Bulk calls at the same time in this process.
const BULK: usize = 4;

/// What a caller wants to see of the feed.
#[derive(Clone, Copy, Debug)]
pub struct EventsRequest {
    /// The events after this number.
    pub after: i64,
    /// At most so many, 1 to [`PAGE_EVENTS`].
    pub limit: i64,
    /// How long to wait for one, if there is none yet: at most [`WAIT_SECONDS`], and less than a request may take.
    pub wait_seconds: u64,
}

/// Places for what takes long, so that it takes nothing from the rest.
pub(super) struct Places {
    waiting: Arc<Semaphore>,
    pages: Arc<Semaphore>,
    bulk: Arc<Semaphore>,
}

/// A place that is taken, until it is dropped.
pub struct Place(#[allow(dead_code)] OwnedSemaphorePermit);

impl Default for Places {
    fn default() -> Self {
        let places = |number| Arc::new(Semaphore::new(number));
        Self { waiting: places(WAITING), pages: places(PAGES), bulk: places(BULK) }
    }
}

fn take(places: &Arc<Semaphore>, what: &'static str) -> Result<Place, Refusal> {
    Arc::clone(places).try_acquire_owned().map(Place).map_err(|_| Refusal::Busy(what))
}

impl Service {
    /// A place for a bulk call.
    pub fn bulk_place(&self) -> Result<Place, Refusal> {
        take(&self.places.bulk, "bulk calls")
    }

    /// A place for a page that waits: people who open pages take none from the programs of the API.
    pub(super) fn page_place(&self) -> Result<Place, Refusal> {
        take(&self.places.pages, "pages of presentations")
    }

    /// A place for something that waits.
    pub(super) fn waiting_place(&self, what: &'static str) -> Result<Place, Refusal> {
        take(&self.places.waiting, what)
    }

    /// What happened after a number, as far as the caller may see: events of cards of its units. Numbers of others are
    /// passed over, and `next` goes beyond them. With nothing to tell, the answer waits.
    pub async fn events(&self, caller: &Caller, request: EventsRequest) -> Result<EventsMessage> {
        caller.needs("events:read")?;
        let filter = EventFilter { units: caller.units().map(<[_]>::to_vec), kinds: None };
        let wait = request.wait_seconds.min(WAIT_SECONDS);
        let wait = wait.min(self.config.limits.request_seconds.saturating_sub(MARGIN_SECONDS));
        let until = Instant::now() + Duration::from_secs(wait);
        let mut news = self.store.event_news();
        let (mut after, mut place) = (request.after, None);
        loop {
            // What is written from here on wakes us.
            news.borrow_and_update();
            let page = self.store.events(after, None, request.limit, &filter).await?;
            if request.after > page.newest {
                return Err(Refusal::malformed("after", "is beyond the newest event of this feed").into());
            }
            if !page.events.is_empty() || Instant::now() >= until {
                return Ok(self.events_message(&caller.name, request.after, &page, &filter));
            }
            after = page.next;
            if after < page.newest {
                continue;
            }
            if place.is_none() {
                place = Some(self.waiting_place("requests wait for events")?);
            }
            tokio::select! {
                _ = news.changed() => {}
                () = tokio::time::sleep_until(until.min(Instant::now() + LOOK)) => {}
            }
        }
    }

    /// A page as a message to `audience`.
    pub(super) fn events_message(
        &self,
        audience: &str,
        after: i64,
        page: &EventPage,
        filter: &EventFilter,
    ) -> EventsMessage {
        EventsMessage {
            iss: self.config.public_url.clone(),
            aud: audience.to_owned(),
            iat: self.clock.now(),
            after,
            next: page.next,
            units: filter.units.clone(),
            kinds: filter.kinds.as_ref().map(|kinds| kinds.iter().map(|kind| kind.word().to_owned()).collect()),
            events: page.events.iter().map(Into::into).collect(),
        }
    }

    /// The page, signed: anybody who pins the root can prove later what it said.
    pub fn sign_events(&self, message: &EventsMessage) -> Result<String, Fault> {
        self.sign_message(EVENTS_TYPE, message)
    }

    /// A compact JWS of the key for events.
    pub(super) fn sign_message(&self, typ: &str, message: &impl serde::Serialize) -> Result<String, Fault> {
        let signer: &dyn Signer = &*self.keys.events;
        let header = jws::header(signer, typ, json!({"x5c": jws::x5c(signer)}));
        let payload = serde_json::to_vec(message).map_err(|error| Fault::new("signing a message", error))?;
        jws::sign(signer, &header, &payload)
    }
}
