//! The only place that reads the wall clock. Everything else is handed a [`Clock`] or an instant.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
#[cfg(feature = "server")]
use std::{sync::OnceLock, time::Duration, time::Instant};

/// Seconds since 1970-01-01T00:00:00Z.
pub type UnixSeconds = i64;

/// Seconds of an hour.
pub const HOUR_SECONDS: i64 = 3600;
/// Seconds of a day.
pub const DAY_SECONDS: i64 = 24 * HOUR_SECONDS;

/// Tells the time: the system's, or one that a test moves by hand. Clones share the same hands.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The system's wall clock.
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands still until [`Clock::advance`] moves it.
    pub fn fixed(at: UnixSeconds) -> Self {
        Self(Some(Arc::new(AtomicI64::new(at))))
    }

    /// The current instant.
    #[allow(clippy::disallowed_methods)]
    pub fn now(&self) -> UnixSeconds {
        match &self.0 {
            Some(hands) => hands.load(Ordering::Relaxed),
            None => time::OffsetDateTime::now_utc().unix_timestamp(),
        }
    }

    /// The time since a moment that stays the same for this process. For what is measured and must not go back when the
    /// system's wall clock is set: it follows the monotonic clock, or the hands of a fixed one.
    #[cfg(feature = "server")]
    pub fn elapsed(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        match &self.0 {
            Some(hands) => Duration::from_secs(u64::try_from(hands.load(Ordering::Relaxed)).unwrap_or(0)),
            None => START.get_or_init(Instant::now).elapsed(),
        }
    }

    /// Moves a fixed clock by `seconds`; the system's clock is left alone.
    pub fn advance(&self, seconds: i64) {
        if let Some(hands) = &self.0 {
            hands.fetch_add(seconds, Ordering::Relaxed);
        }
    }
}
