//! How often somebody may ask: per address, per authenticated client and per person, counted by each process for itself
//! (`[rate_limits]`). A caller who is over the bound is told when to come back and costs nothing more.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::clock::Clock as MeasuredBy;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::{DashMapStateStore, ShrinkableKeyedStateStore};
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

use super::Service;
use crate::clock::Clock;
use crate::config::RateLimits;
use crate::error::Refusal;
use crate::model::id::PersonalNumber;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
/// Callers that one limiter tells apart, at most some 40 bytes each. More at the same time share [`SHARED`] allowances.
const CALLERS: usize = 1 << 20;
/// Allowances for those who come when the table is full: it stays full only as long as all of them keep asking.
const SHARED: usize = 1 << 14;
/// Bytes of an IPv6 address that name its network: a subscriber has all addresses of it.
const NETWORK_BYTES: usize = 8;

/// What is asked of us, as far as the bound of an address is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Requests of wallets and browsers, which cost signatures and transactions.
    Requests,
    /// Everything else: ready documents, and programs that have a bound of their own as clients.
    Documents,
}

/// The limiters of one process.
pub(super) struct Limiters {
    requests: Option<Limiter>,
    documents: Option<Limiter>,
    clients: Option<Limiter>,
    people: Option<Limiter>,
    self_service: Option<Limiter>,
}

impl Limiters {
    pub(super) fn new(limits: &RateLimits, clock: &Clock) -> Self {
        let limiter = |count, period| Limiter::new(count, period, clock, CALLERS);
        Self {
            requests: limiter(limits.address_per_minute, MINUTE),
            documents: limiter(limits.address_documents_per_minute, MINUTE),
            clients: limiter(limits.client_per_minute, MINUTE),
            people: limiter(limits.person_per_hour, HOUR),
            self_service: limiter(limits.self_service_per_minute, MINUTE),
        }
    }
}

impl Service {
    /// Counts a request of this address; all addresses of an IPv6 network of 64 bits are one.
    pub fn limit_address(&self, address: IpAddr, traffic: Traffic) -> Result<(), Refusal> {
        let limiter = match traffic {
            Traffic::Requests => &self.limiters.requests,
            Traffic::Documents => &self.limiters.documents,
        };
        match address.to_canonical() {
            IpAddr::V4(address) => check(limiter.as_ref(), address.octets()),
            IpAddr::V6(address) => check(limiter.as_ref(), &address.octets()[..NETWORK_BYTES]),
        }
    }

    /// Counts a request of an authenticated client: call it once the client is known to be who it says.
    pub fn limit_client(&self, client: &str) -> Result<(), Refusal> {
        check(self.limiters.clients.as_ref(), client)
    }

    /// Counts an offer for, or a sign-in of, a person.
    pub fn limit_person(&self, person: &PersonalNumber) -> Result<(), Refusal> {
        check(self.limiters.people.as_ref(), person.expose())
    }

    /// Counts a request of an official for themselves.
    pub fn limit_self_service(&self, person: &PersonalNumber) -> Result<(), Refusal> {
        check(self.limiters.self_service.as_ref(), person.expose())
    }

    /// Forgets callers who have their whole allowance again. To be called every now and then.
    pub fn forget_idle_callers(&self) {
        let limiters = &self.limiters;
        let all =
            [&limiters.requests, &limiters.documents, &limiters.clients, &limiters.people, &limiters.self_service];
        for Limiter { limiter, .. } in all.into_iter().flatten() {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

fn check(limiter: Option<&Limiter>, caller: impl Hash) -> Result<(), Refusal> {
    limiter.map_or(Ok(()), |limiter| limiter.check(caller))
}

struct Limiter {
    limiter: RateLimiter<u64, Callers, Hands, NoOpMiddleware<Duration>>,
    /// Keyed at random: nobody can choose names that collide, and neither numbers of people nor addresses are kept.
    names: RandomState,
}

impl Limiter {
    /// `count` in each `period`, which may come at once; 0 is no bound.
    fn new(count: u32, period: Duration, clock: &Clock, callers: usize) -> Option<Self> {
        let count = NonZeroU32::new(count)?;
        let quota = Quota::with_period(period / count.get())?.allow_burst(count);
        let limiter = RateLimiter::new(quota, Callers::new(callers), Hands(clock.clone()));
        Some(Self { limiter, names: RandomState::new() })
    }

    fn check(&self, caller: impl Hash) -> Result<(), Refusal> {
        self.limiter.check_key(&self.names.hash_one(caller)).map_err(|until| {
            let wait = until.wait_time_from(self.limiter.clock().now());
            // Whole seconds, never too early.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            Refusal::TooManyRequests { retry_after_seconds: seconds.max(1) }
        })
    }
}

/// Our clock, as governor asks for one.
struct Hands(Clock);

impl MeasuredBy for Hands {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// What governor remembers of the callers, in bounded memory.
struct Callers {
    known: DashMapStateStore<u64>,
    /// About how many are known: many at once may pass the bound by as many as there are threads.
    count: AtomicUsize,
    most: usize,
    shared: Box<[InMemoryState]>,
}

impl Callers {
    fn new(most: usize) -> Self {
        let shared = (0..SHARED).map(|_| InMemoryState::default()).collect();
        Self { known: DashMapStateStore::default(), count: AtomicUsize::new(0), most, shared }
    }
}

impl StateStore for Callers {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, caller: &u64, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        if let Some(state) = self.known.get(caller) {
            return state.measure_and_replace(&NotKeyed::NonKey, decide);
        }
        if self.count.load(Ordering::Relaxed) >= self.most {
            let place = usize::try_from(*caller % SHARED as u64).unwrap_or(0);
            return self.shared[place].measure_and_replace(&NotKeyed::NonKey, decide);
        }
        let state = self.known.entry(*caller).or_insert_with(|| {
            self.count.fetch_add(1, Ordering::Relaxed);
            InMemoryState::default()
        });
        state.measure_and_replace(&NotKeyed::NonKey, decide)
    }
}

impl ShrinkableKeyedStateStore<u64> for Callers {
    fn retain_recent(&self, drop_below: Nanos) {
        self.known.retain_recent(drop_below);
        self.count.store(self.known.len(), Ordering::Relaxed);
    }

    fn shrink_to_fit(&self) {
        self.known.shrink_to_fit();
    }

    fn len(&self) -> usize {
        self.known.len()
    }

    fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(refused: Result<(), Refusal>) -> Option<u64> {
        match refused {
            Ok(()) => None,
            Err(Refusal::TooManyRequests { retry_after_seconds }) => Some(retry_after_seconds),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_allowance_is_used_at_once_and_comes_back_evenly() {
        let clock = Clock::fixed(1_000_000);
        let limiter = Limiter::new(6, MINUTE, &clock, 10).unwrap();
        for _ in 0..6 {
            assert_eq!(wait(limiter.check("a")), None);
        }
        assert_eq!(wait(limiter.check("a")), Some(10));
        assert_eq!(wait(limiter.check("b")), None, "another caller has an allowance of their own");
        clock.advance(9);
        assert_eq!(wait(limiter.check("a")), Some(1));
        clock.advance(1);
        assert_eq!(wait(limiter.check("a")), None);
        assert_eq!(wait(limiter.check("a")), Some(10));
        clock.advance(60);
        for _ in 0..6 {
            assert_eq!(wait(limiter.check("a")), None);
        }
        assert_eq!(wait(limiter.check("a")), Some(10));
        assert!(Limiter::new(0, MINUTE, &clock, 10).is_none(), "0 is off");
    }

    #[test]
    fn however_many_ask_memory_is_bounded_and_nobody_gets_past() {
        let clock = Clock::fixed(1_000_000);
        let limiter = Limiter::new(1, MINUTE, &clock, 100).unwrap();
        let strangers = 4 * SHARED;
        let served = (0..strangers).filter(|stranger| limiter.check(stranger).is_ok()).count();
        assert_eq!(limiter.limiter.len(), 100);
        assert!((100 + SHARED / 2..=100 + SHARED).contains(&served), "{served}");
        assert!(limiter.check(0).is_err(), "a known caller stays known");
        limiter.limiter.retain_recent();
        assert_eq!(limiter.limiter.len(), 100, "they all have something to remember");
        // governor keeps a caller for one more step than it has something to remember.
        clock.advance(121);
        limiter.limiter.retain_recent();
        limiter.limiter.shrink_to_fit();
        assert_eq!(limiter.limiter.len(), 0, "whoever has a whole allowance is forgotten");
        assert!(limiter.check(0).is_ok());
        assert_eq!(limiter.limiter.len(), 1, "there is place again");
    }
}
