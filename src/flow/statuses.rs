//! The status lists of others, held in memory by each process: what a verification may rely upon while their hosts are
//! quick, slow, hanging or gone.
//!
//! - Within its time to live a list answers from memory. After that, until its end, it still answers at once and says "as of",
//!   and one fetch goes on behind it. After its end, or when there is none, nobody can tell: never "not revoked".
//! - However many ask for a list that is not held, one fetch is made, and they wait for it, but not longer than
//!   `wait_milliseconds` after it began.
//! - Of a host there is one connection at a time, and over all hosts `parallel`.
//! - A failure is remembered, for two seconds first and up to a minute in the end, and until a fetch succeeds nobody waits
//!   but the one who makes the next attempt. So a host that hangs costs the requests that name it one short wait when it
//!   begins to hang, and after that one request in each pause.
//! - A list that was signed earlier never takes the place of one that was signed later.
//! - Lists are bounded in number and bytes; the one that was not asked for longest makes room.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout_at};

use crate::clock::{Clock, UnixSeconds};
use crate::config::{Config, StatusFetches, StatusLists};
use crate::credential::status_list::{Band, MAX_TOKEN_BYTES, StatusReference};
use crate::credential::status_token::{ListSigners, ProvedList, TokenError, TokenForm};
use crate::credential::verify::StatusAnswer;
use crate::error::Fault;
use crate::remote::status_lists::{StatusHosts, Unfetched};

/// How long a first failure is remembered; each further one doubles it.
pub const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The longest that a failure is remembered: after a host came back, this long it may take to be noticed.
pub const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// What the lists of others have cost and given so far, in this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusCounts {
    /// Fetches that brought a good list.
    pub fetched: u64,
    /// Fetches that did not.
    pub failed: u64,
    /// Answers from a list within its time to live.
    pub fresh: u64,
    /// Answers from a list past it: "as of".
    pub aging: u64,
    /// Questions that could not be answered.
    pub unavailable: u64,
    /// Questions that waited for a fetch.
    pub waited: u64,
    /// Questions that are waiting now.
    pub waiting: u64,
}

/// Somebody whose lists are fetched.
struct Source {
    name: String,
    hosts: StatusHosts,
    signers: ListSigners,
}

/// Names a source; only [`Statuses`] gives it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct SourceId(usize);

/// All lists of all others.
pub(super) struct Statuses {
    sources: Vec<Source>,
    issuers: HashMap<String, SourceId>,
    attesters: Vec<Option<SourceId>>,
    settings: StatusFetches,
    clock: Clock,
    held: Mutex<Held>,
    parallel: Arc<Semaphore>,
    counters: Counters,
}

#[derive(Default)]
struct Counters {
    fetched: AtomicU64,
    failed: AtomicU64,
    fresh: AtomicU64,
    aging: AtomicU64,
    unavailable: AtomicU64,
    waited: AtomicU64,
    waiting: AtomicU64,
}

/// The same address under two issuers is two lists: each has signers of its own.
type Key = (SourceId, String);

#[derive(Default)]
struct Held {
    slots: HashMap<Key, Slot>,
    /// By scheme, host and port: as many as the settings name.
    hosts: HashMap<String, Host>,
    /// Of all lists.
    bytes: usize,
    /// Counts questions, to know which list was not asked for longest.
    questions: u64,
}

#[derive(Default)]
struct Slot {
    list: Option<(Arc<ProvedList>, UnixSeconds)>,
    flight: Option<Flight>,
    trouble: Trouble,
    asked: u64,
}

impl Slot {
    /// The list and how far it can be relied upon; none when it is over.
    fn usable(&self, now: UnixSeconds) -> Option<(&Arc<ProvedList>, Band)> {
        let (list, fetched_at) = self.list.as_ref()?;
        Some((list, list.band(*fetched_at, now))).filter(|(_, band)| *band != Band::Expired)
    }

    fn flight(&self) -> Option<&Flight> {
        self.flight.as_ref().filter(|flight| flight.is_under_way())
    }
}

/// A fetch. It ends when its sender is dropped, in whatever way.
struct Flight {
    end: watch::Receiver<()>,
    wait_until: Instant,
}

impl Flight {
    fn is_under_way(&self) -> bool {
        self.end.has_changed().is_ok()
    }
}

struct Host {
    /// One connection at a time.
    line: Arc<Semaphore>,
    trouble: Trouble,
    /// From when the fetch under way is slow, and nobody waits for this host.
    slow_from: Option<Instant>,
}

impl Default for Host {
    fn default() -> Self {
        Self { line: Arc::new(Semaphore::new(1)), trouble: Trouble::default(), slow_from: None }
    }
}

/// Failures in a row.
#[derive(Clone, Copy, Default)]
struct Trouble {
    failures: u32,
    until: Duration,
}

impl Trouble {
    fn is_none(self) -> bool {
        self.failures == 0
    }

    fn forbids(self, elapsed: Duration) -> bool {
        self.failures > 0 && elapsed < self.until
    }

    fn grow(&mut self, elapsed: Duration) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE);
        *self = Self { failures: self.failures.saturating_add(1), until: elapsed + pause };
    }
}

/// What a look into memory gives.
enum Look {
    Answer(Arc<ProvedList>, Band),
    Wait(watch::Receiver<()>, Instant),
    Nothing,
}

/// Why a fetch brought nothing that could be held.
#[derive(Debug, thiserror::Error)]
enum NoList {
    #[error(transparent)]
    Unfetched(#[from] Unfetched),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("signed before the one that is held")]
    Older,
    #[error("its host failed a moment ago")]
    HostInTrouble,
    #[error("the proof broke off")]
    BrokenOff,
}

impl Statuses {
    /// For the issuers and attesters of the settings. Settings that cannot be used give no source: [`Statuses::check`] tells.
    pub fn new(config: &Config, clock: &Clock) -> Self {
        let mut sources = Vec::new();
        let mut add = |name: &str, lists: Option<&StatusLists>, anchors: &str| {
            sources.push(source(name, lists?, anchors, &config.status_fetches).ok()?);
            Some(SourceId(sources.len() - 1))
        };
        let mut issuers = HashMap::new();
        for issuer in &config.trusted_issuers {
            if let Some(id) = add(&issuer.name, issuer.status_lists.as_ref(), &issuer.anchors) {
                issuers.insert(issuer.name.clone(), id);
            }
        }
        let attesters = config
            .attesters
            .iter()
            .map(|attester| add(&attester.name, attester.status_lists.as_ref(), &attester.root))
            .collect();
        Self {
            sources,
            issuers,
            attesters,
            settings: config.status_fetches,
            clock: clock.clone(),
            held: Mutex::default(),
            parallel: Arc::new(Semaphore::new(config.status_fetches.parallel)),
            counters: Counters::default(),
        }
    }

    /// Checks the settings from which the sources are made.
    pub fn check(config: &Config) -> Result<(), Fault> {
        let issuers = config.trusted_issuers.iter().map(|one| (&one.name, &one.status_lists, &one.anchors));
        let attesters = config.attesters.iter().map(|one| (&one.name, &one.status_lists, &one.root));
        for (name, lists, anchors) in issuers.chain(attesters) {
            if let Some(lists) = lists {
                source(name, lists, anchors, &config.status_fetches)?;
            }
        }
        Ok(())
    }

    /// The lists of a trusted issuer, by its name in the settings.
    pub fn of_issuer(&self, name: &str) -> Option<SourceId> {
        self.issuers.get(name).copied()
    }

    /// The lists of an attester, by its place in the settings.
    pub fn of_attester(&self, place: usize) -> Option<SourceId> {
        self.attesters.get(place).copied().flatten()
    }

    /// What the list says, or that nobody can tell now. Called only for a reference whose bearer has been proved.
    pub async fn status(self: &Arc<Self>, source: SourceId, reference: &StatusReference) -> StatusAnswer {
        let found = match self.look(source, &reference.uri) {
            Look::Answer(list, band) => Some((list, band)),
            Look::Nothing => None,
            Look::Wait(mut end, until) => {
                let waiting = Waiting::new(&self.counters);
                // An error is the end of the fetch, and so is what is waited for.
                let _ = timeout_at(until, end.changed()).await;
                drop(waiting);
                let held = self.lock();
                let slot = held.slots.get(&(source, reference.uri.clone()));
                slot.and_then(|slot| slot.usable(self.clock.now())).map(|(list, band)| (Arc::clone(list), band))
            }
        };
        let Some((list, band)) = found else {
            self.counters.unavailable.fetch_add(1, Ordering::Relaxed);
            return StatusAnswer::Unavailable;
        };
        let counter = if band == Band::Fresh { &self.counters.fresh } else { &self.counters.aging };
        counter.fetch_add(1, Ordering::Relaxed);
        match list.get(reference.index) {
            Ok(value) => StatusAnswer::Known { value, as_of: list.issued_at, band },
            Err(_) => StatusAnswer::OutOfRange,
        }
    }

    /// Ends when no list is being fetched: for tests of the whole.
    pub async fn settled(&self) {
        loop {
            let flight = self.lock().slots.values().find_map(|slot| Some(slot.flight()?.end.clone()));
            match flight {
                Some(mut end) => while end.changed().await.is_ok() {},
                None => return,
            }
        }
    }

    /// What it has cost and given so far.
    pub fn counts(&self) -> StatusCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        StatusCounts {
            fetched: read(&counters.fetched),
            failed: read(&counters.failed),
            fresh: read(&counters.fresh),
            aging: read(&counters.aging),
            unavailable: read(&counters.unavailable),
            waited: read(&counters.waited),
            waiting: read(&counters.waiting),
        }
    }

    fn look(self: &Arc<Self>, source: SourceId, uri: &str) -> Look {
        let Some(host) = StatusHosts::host_of(uri).filter(|_| self.sources[source.0].hosts.may_hold(uri)) else {
            return Look::Nothing;
        };
        let key = (source, uri.to_owned());
        let (now, elapsed) = (self.clock.now(), self.clock.elapsed());
        let mut held = self.lock();
        let held = &mut *held;
        held.questions += 1;
        if !held.slots.contains_key(&key) {
            if !held.make_place(self.settings.lists) {
                return Look::Nothing;
            }
            held.slots.insert(key.clone(), Slot::default());
        }
        let Some(slot) = held.slots.get_mut(&key) else { return Look::Nothing };
        slot.asked = held.questions;
        let usable = slot.usable(now).map(|(list, band)| (Arc::clone(list), band));
        if let Some((list, Band::Fresh)) = usable {
            return Look::Answer(list, Band::Fresh);
        }
        let host_state = held.hosts.entry(host.clone()).or_default();
        let mut is_mine = false;
        if slot.flight().is_none() && !slot.trouble.forbids(elapsed) && !host_state.trouble.forbids(elapsed) {
            // A host in trouble is tried by one request; the others do not stand in line behind it.
            let place = Arc::clone(&host_state.line).try_acquire_owned().ok();
            if place.is_some() || host_state.trouble.is_none() {
                slot.flight = Some(self.start(key, host, place));
                is_mine = true;
            }
        }
        if let Some((list, band)) = usable {
            return Look::Answer(list, band);
        }
        let may_wait = is_mine || slot.trouble.is_none() && host_state.trouble.is_none();
        match slot.flight().filter(|_| may_wait) {
            Some(flight) => {
                let until = host_state.slow_from.unwrap_or(flight.wait_until).min(flight.wait_until);
                Look::Wait(flight.end.clone(), until)
            }
            None => Look::Nothing,
        }
    }

    /// Begins a fetch, which goes on whoever stops waiting for it.
    fn start(self: &Arc<Self>, key: Key, host: String, place: Option<OwnedSemaphorePermit>) -> Flight {
        let (sender, end) = watch::channel(());
        let statuses = Arc::clone(self);
        tokio::spawn(async move {
            statuses.fly(key, host, place).await;
            drop(sender);
        });
        Flight { end, wait_until: Instant::now() + Duration::from_millis(self.settings.wait_milliseconds) }
    }

    async fn fly(&self, key: Key, host: String, place: Option<OwnedSemaphorePermit>) {
        let line = Arc::clone(&self.lock().hosts.entry(host.clone()).or_default().line);
        // Neither semaphore is ever closed.
        let place = match place {
            Some(place) => Some(place),
            None => line.acquire_owned().await.ok(),
        };
        let parallel = self.parallel.acquire().await;
        let is_forbidden = {
            let mut held = self.lock();
            let state = held.hosts.entry(host.clone()).or_default();
            state.slow_from = Some(Instant::now() + Duration::from_millis(self.settings.wait_milliseconds));
            state.trouble.forbids(self.clock.elapsed())
        };
        let outcome = if is_forbidden { Err(NoList::HostInTrouble) } else { self.fetch(&key).await };
        let outcome = self.keep(&key, &host, outcome);
        drop((parallel, place));
        let counter = if outcome.is_ok() { &self.counters.fetched } else { &self.counters.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = outcome {
            tracing::warn!(of = self.sources[key.0.0].name, host, %error, "a status list was not fetched");
        }
    }

    async fn fetch(&self, key: &Key) -> Result<(ProvedList, UnixSeconds), NoList> {
        let (source, uri) = (&self.sources[key.0.0], key.1.clone());
        let media_types = TokenForm::ALL.map(TokenForm::media_type);
        let fetched = source.hosts.fetch(&uri, &media_types, MAX_TOKEN_BYTES).await?;
        let form = TokenForm::ALL.into_iter().find(|form| form.media_type() == fetched.media_type);
        let form = form.ok_or(Unfetched::WrongType)?;
        let (signers, now) = (source.signers.clone(), self.clock.now());
        // A megabyte of JSON and of inflation is too long for a thread that serves.
        let proved = tokio::task::spawn_blocking(move || ProvedList::prove(&fetched.bytes, form, &uri, &signers, now));
        Ok((proved.await.map_err(|_| NoList::BrokenOff)??, now))
    }

    /// Takes the outcome of a fetch into memory.
    fn keep(&self, key: &Key, host: &str, outcome: Result<(ProvedList, UnixSeconds), NoList>) -> Result<(), NoList> {
        let elapsed = self.clock.elapsed();
        let mut held = self.lock();
        let held = &mut *held;
        let state = held.hosts.entry(host.to_owned()).or_default();
        state.slow_from = None;
        match &outcome {
            Err(NoList::Unfetched(error)) if error.is_of_host() => state.trouble.grow(elapsed),
            Err(NoList::HostInTrouble) => {}
            _ => state.trouble = Trouble::default(),
        }
        // Slots with a flight are never removed.
        let Some(slot) = held.slots.get_mut(key) else { return outcome.map(|_| ()) };
        let outcome = outcome.and_then(|(list, fetched_at)| match &slot.list {
            Some((newer, _)) if newer.issued_at > list.issued_at => Err(NoList::Older),
            _ => Ok((list, fetched_at)),
        });
        match outcome {
            Ok((list, fetched_at)) => {
                held.bytes += list.size();
                held.bytes -= slot.list.as_ref().map_or(0, |(before, _)| before.size());
                slot.list = Some((Arc::new(list), fetched_at));
                slot.trouble = Trouble::default();
                held.free_bytes(key, self.settings.bytes);
                Ok(())
            }
            Err(error) => {
                slot.trouble.grow(elapsed);
                Err(error)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Makes room for one more slot; cannot when all are being fetched.
    fn make_place(&mut self, most: usize) -> bool {
        while self.slots.len() >= most {
            let Some(key) = self.not_asked_for_longest(|slot| slot.flight().is_none()) else { return false };
            self.remove(&key);
        }
        true
    }

    /// Lets go of lists until the rest fits; the one just fetched stays.
    fn free_bytes(&mut self, newest: &Key, most: usize) {
        while self.bytes > most {
            let asked = self.slots.get(newest).map(|slot| slot.asked);
            let key = self.not_asked_for_longest(|slot| {
                slot.flight().is_none() && slot.list.is_some() && Some(slot.asked) != asked
            });
            let Some(key) = key else { return };
            self.remove(&key);
        }
    }

    fn not_asked_for_longest(&self, may_go: impl Fn(&Slot) -> bool) -> Option<Key> {
        let going = self.slots.iter().filter(|(_, slot)| may_go(slot));
        going.min_by_key(|(_, slot)| slot.asked).map(|(key, _)| key.clone())
    }

    fn remove(&mut self, key: &Key) {
        let gone = self.slots.remove(key).and_then(|slot| slot.list);
        self.bytes -= gone.map_or(0, |(list, _)| list.size());
    }
}

/// Counts who waits, also when they give up.
struct Waiting<'a>(&'a Counters);

impl<'a> Waiting<'a> {
    fn new(counters: &'a Counters) -> Self {
        counters.waited.fetch_add(1, Ordering::Relaxed);
        counters.waiting.fetch_add(1, Ordering::Relaxed);
        Self(counters)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

fn source(name: &str, lists: &StatusLists, anchors: &str, fetches: &StatusFetches) -> Result<Source, Fault> {
    let anchors = lists.anchors.as_deref().unwrap_or(anchors);
    let anchors = super::issuers::anchors(anchors)
        .map_err(|_| Fault::new("checking the configuration", format!("{name}: wrong anchors")))?;
    Ok(Source {
        name: name.to_owned(),
        hosts: StatusHosts::new(lists, fetches)?,
        signers: ListSigners::of_others(anchors),
    })
}
