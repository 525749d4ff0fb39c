//! The one way of this process to the registry: a bounded number of questions at once and a second, in two lanes; a
//! question without answer is tried again after a pause that doubles and is drawn by lot; a circuit breaker.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::{Breaker, Circuit, Lane, Limiter, Permit, PopulationRegistry, SoapRegistry, Unreachable};
use crate::chance::Chance;
use crate::clock::Clock;
use crate::config::Population;
use crate::error::Fault;
use crate::model::person::{PopulationPerson, PopulationQuery};
use crate::protocol::population::answer::ChangePage;

/// The pause before the second attempt; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long somebody waits for an answer, attempts and all.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a question of somebody who waits is sent at most.
const INTERACTIVE_ATTEMPTS: u32 = 2;

/// The registry behind its bounds.
pub struct Gateway {
    registry: SoapRegistry,
    clock: Clock,
    chance: Chance,
    attempts: u32,
    timeout: Duration,
    per_second: f64,
    state: Mutex<State>,
    /// Questions under way at the same time.
    places: Semaphore,
    /// Of them, those of the background.
    background: Semaphore,
    concurrency: usize,
    patience: Duration,
    waiting: [AtomicUsize; 2],
    answered: AtomicU64,
    unanswered: AtomicU64,
    not_sent: AtomicU64,
}

struct State {
    limiter: Limiter,
    breaker: Breaker,
}

/// What is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// The breaker.
    pub circuit: Circuit,
    /// How long nothing will be asked, if it is open.
    pub paused_for: Option<Duration>,
    /// Questions of people that wait for their turn.
    pub interactive: usize,
    /// Those of the background.
    pub background: usize,
    /// Questions that wait for their answer.
    pub in_flight: usize,
}

/// Questions since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that were answered.
    pub answered: u64,
    /// Requests without an answer that can be used.
    pub unanswered: u64,
    /// Questions that were not asked.
    pub not_sent: u64,
}

impl Gateway {
    /// To the registry of these settings.
    pub fn new(settings: &Population, clock: Clock, chance: &Chance) -> Result<Self, Fault> {
        let drawn = || Chance::seeded(chance.bytes());
        let now = clock.elapsed();
        let limiter = Limiter::new(settings.queries_per_second, settings.burst, now);
        let pause = Duration::from_secs(settings.circuit_seconds);
        let breaker = Breaker::new(settings.circuit_failures, pause);
        let concurrency = usize::try_from(settings.concurrency.max(1)).unwrap_or(1);
        Ok(Self {
            registry: SoapRegistry::new(settings.clone(), clock.clone(), drawn())?,
            clock,
            chance: drawn(),
            attempts: settings.attempts,
            timeout: Duration::from_secs(settings.timeout_seconds),
            per_second: settings.queries_per_second,
            state: Mutex::new(State { limiter, breaker }),
            places: Semaphore::new(concurrency),
            background: Semaphore::new(background_places(concurrency)),
            concurrency,
            patience: PATIENCE,
            waiting: [AtomicUsize::new(0), AtomicUsize::new(0)],
            answered: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            not_sent: AtomicU64::new(0),
        })
    }

    /// For questions that somebody waits for.
    pub fn interactive(&self) -> impl PopulationRegistry {
        InLane { gateway: self, lane: Lane::Interactive }
    }

    /// For questions that nobody waits for.
    pub fn background(&self) -> impl PopulationRegistry {
        InLane { gateway: self, lane: Lane::Background }
    }

    /// A page of the change feed, in the background.
    pub async fn changes(&self, from: i64, to: i64, page: u32) -> Result<ChangePage, Unreachable> {
        self.ask(Lane::Background, || self.registry.changes(from, to, page)).await
    }

    /// What is going on.
    pub fn load(&self) -> Load {
        let circuit = self.state().breaker.circuit();
        let paused_for = match circuit {
            Circuit::Open { until } => Some(until.saturating_sub(self.clock.elapsed())),
            _ => None,
        };
        let [interactive, background] = [0, 1].map(|lane| self.waiting[lane].load(Ordering::Relaxed));
        let in_flight = self.concurrency.saturating_sub(self.places.available_permits());
        Load { circuit, paused_for, interactive, background, in_flight }
    }

    /// Questions since the process began.
    pub fn counts(&self) -> Counts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (answered, unanswered) = (count(&self.answered), count(&self.unanswered));
        Counts { answered, unanswered, not_sent: count(&self.not_sent) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask<T, F>(&self, lane: Lane, send: impl Fn() -> F + Send + Sync) -> Result<T, Unreachable>
    where
        F: Future<Output = Result<T, Unreachable>> + Send,
        T: Send,
    {
        let (attempts, until) = match lane {
            Lane::Background => (self.attempts, None),
            Lane::Interactive => (self.attempts.min(INTERACTIVE_ATTEMPTS), Some(Instant::now() + self.patience)),
        };
        let answer = self.try_to_ask(lane, attempts, until, send).await;
        if answer.as_ref().is_err_and(|error| !error.was_sent()) {
            self.not_sent.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }

    /// What was sent once is never told as if nothing had been: the last attempt that was is the answer.
    async fn try_to_ask<T, F>(
        &self,
        lane: Lane,
        attempts: u32,
        until: Option<Instant>,
        send: impl Fn() -> F + Send + Sync,
    ) -> Result<T, Unreachable>
    where
        F: Future<Output = Result<T, Unreachable>> + Send,
        T: Send,
    {
        // Before anybody waits: while it is left alone, nothing is.
        self.is_open()?;
        let _places = {
            let _waiting = Waiting::of(&self.waiting[lane as usize]);
            before(until, self.place(lane)).await.ok_or(Unreachable::Crowded)?
        };
        let mut last = None;
        for attempt in 1..=attempts.max(1) {
            let permit = match before(until, self.turn(lane)).await.unwrap_or(Err(Unreachable::Crowded)) {
                Ok(permit) => permit,
                Err(not_sent) => return Err(last.unwrap_or(not_sent)),
            };
            let answer = before(until, send()).await.unwrap_or(Err(Unreachable::Late));
            let lives = answer.as_ref().map_or_else(Unreachable::is_a_sign_of_life, |_| true);
            self.state().breaker.note(self.clock.elapsed(), permit, lives);
            let counter = if answer.is_ok() { &self.answered } else { &self.unanswered };
            counter.fetch_add(1, Ordering::Relaxed);
            match answer {
                Err(error) if error.may_pass() && attempt < attempts => {
                    last = Some(error);
                    before(until, tokio::time::sleep(back_off(attempt, &self.chance))).await;
                }
                answer => return answer,
            }
        }
        Err(last.unwrap_or(Unreachable::Crowded))
    }

    fn is_open(&self) -> Result<(), Unreachable> {
        let now = self.clock.elapsed();
        match self.state().breaker.circuit() {
            Circuit::Open { until } if until > now => Err(Unreachable::Paused(until.saturating_sub(now))),
            _ => Ok(()),
        }
    }

    /// Neither semaphore is ever closed.
    async fn place(&self, lane: Lane) -> [Option<SemaphorePermit<'_>>; 2] {
        let background = match lane {
            Lane::Background => self.background.acquire().await.ok(),
            Lane::Interactive => None,
        };
        [background, self.places.acquire().await.ok()]
    }

    /// Waits for a token, then asks the breaker, so that a token is not lost to a circuit that opened meanwhile.
    async fn turn(&self, lane: Lane) -> Result<Permit, Unreachable> {
        let _waiting = Waiting::of(&self.waiting[lane as usize]);
        loop {
            self.is_open()?;
            let wait = {
                let now = self.clock.elapsed();
                let mut state = self.state();
                match state.limiter.take(now, lane) {
                    Ok(()) => return state.breaker.permit(now).map_err(Unreachable::Paused),
                    Err(wait) => wait,
                }
            };
            tokio::time::sleep(wait).await;
        }
    }
}

/// Places that the background may take: a quarter is kept for people.
fn background_places(concurrency: usize) -> usize {
    (concurrency - concurrency.div_ceil(4)).max(1)
}

/// What comes before that instant, if there is one; `None` when it does not.
async fn before<T>(until: Option<Instant>, coming: impl Future<Output = T>) -> Option<T> {
    match until {
        Some(until) => tokio::time::timeout_at(until, coming).await.ok(),
        None => Some(coming.await),
    }
}

/// The pause after the attempt of that number (from 1): it doubles with each, and is drawn by lot between half and whole, so
/// that many who failed together do not come back together.
pub fn back_off(attempt: u32, chance: &Chance) -> Duration {
    let whole = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1))).min(LONGEST_PAUSE);
    let lot = f64::from(u32::from_be_bytes(chance.bytes())) / f64::from(u32::MAX);
    whole.mul_f64(0.5 + lot / 2.0)
}

struct InLane<'a> {
    gateway: &'a Gateway,
    lane: Lane,
}

impl PopulationRegistry for InLane<'_> {
    async fn look_up(&self, query: &PopulationQuery) -> Result<Option<PopulationPerson>, Unreachable> {
        self.gateway.ask(self.lane, || self.gateway.registry.look_up(query)).await
    }

    /// Every attempt waits for its turn and is answered at the last moment, in as many rounds as there are not places.
    fn longest(&self, questions: u32) -> Duration {
        let Gateway { attempts, timeout, per_second, concurrency, .. } = self.gateway;
        let places = u32::try_from(background_places(*concurrency)).unwrap_or(u32::MAX);
        let sent = questions.saturating_mul(*attempts);
        let turns = Duration::from_secs_f64(f64::from(sent) / per_second);
        turns + (*timeout + LONGEST_PAUSE) * questions.div_ceil(places).saturating_mul(*attempts)
    }
}

/// Counts one who waits, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn of(counter: &'a AtomicUsize) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::{Handle, PersonalNumber};
    use crate::model::partial_date::PartialDate;
    use crate::model::person::AskedNumber;

    #[tokio::test]
    async fn a_question_that_was_sent_is_told_as_sent_when_the_patience_ends() {
        // Somebody who takes every connection and says nothing.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = Population { url: format!("http://{}/", silent.local_addr().unwrap()), ..Population::default() };
        let mut gateway = Gateway::new(&settings, Clock::fixed(0), &Chance::seeded([3; 32])).unwrap();
        gateway.patience = Duration::from_millis(50);
        let query = PopulationQuery {
            number: AskedNumber::Personal(PersonalNumber::parse("001199000018").unwrap()),
            full_name: "A".into(),
            date_of_birth: PartialDate::parse("1999").unwrap(),
            officer: "x".into(),
            purpose: "x".into(),
            reference: Handle::parse("7Q2M8K3D5N9R1T4V").unwrap(),
        };
        let error = gateway.interactive().look_up(&query).await.unwrap_err();
        assert!(error.was_sent() && matches!(error, Unreachable::Late), "{error}");
        assert_eq!(gateway.counts(), Counts { answered: 0, unanswered: 1, not_sent: 0 });
        assert_eq!(gateway.load().circuit, Circuit::Closed { failures: 1 });
        // Nothing was sent where no place came free.
        let _all = gateway.places.acquire_many(u32::try_from(gateway.concurrency).unwrap()).await.unwrap();
        let error = gateway.interactive().look_up(&query).await.unwrap_err();
        assert!(!error.was_sent() && matches!(error, Unreachable::Crowded), "{error}");
        assert_eq!(gateway.counts(), Counts { answered: 0, unanswered: 1, not_sent: 1 });
    }

    #[test]
    fn many_questions_take_as_long_as_the_settings_allow() {
        let longest = |change: fn(&mut Population)| {
            let mut settings = Population { url: "http://127.0.0.1:9/".into(), ..Population::default() };
            change(&mut settings);
            let gateway = Gateway::new(&settings, Clock::fixed(0), &Chance::seeded([3; 32])).unwrap();
            gateway.background().longest(64).as_secs()
        };
        // 192 sendings at 20 a second; six rounds in twelve places, of three attempts of 20 seconds.
        assert_eq!(longest(|_| {}), 9 + 360);
        assert_eq!(longest(|it| it.queries_per_second = 0.01), 19_200 + 360);
        assert_eq!(longest(|it| (it.timeout_seconds, it.concurrency) = (120, 1)), 9 + 64 * 3 * 130);
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_are_drawn_by_lot() {
        let chance = Chance::seeded([3; 32]);
        for (attempt, whole) in [(1, 250), (2, 500), (3, 1_000), (6, 8_000), (7, 10_000), (40, 10_000)] {
            let whole = Duration::from_millis(whole);
            let drawn: Vec<_> = (0..50).map(|_| back_off(attempt, &chance)).collect();
            assert!(drawn.iter().all(|pause| (whole / 2..=whole).contains(pause)), "{attempt}: {drawn:?}");
            assert!(drawn.iter().any(|pause| *pause != drawn[0]));
        }
    }
}
