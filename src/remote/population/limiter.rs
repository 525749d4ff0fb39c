//! How many questions may be asked: a bucket of tokens that fills evenly. People who wait may take every token, the
//! background leaves a quarter for them; so millions of records can be matched without anybody waiting behind them.

use std::time::Duration;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Somebody waits for the answer.
    Interactive,
    /// Nobody does.
    Background,
}

/// Decides when the next question may go. Time is handed in: since a fixed moment, never going back.
#[derive(Clone, Debug)]
pub struct Limiter {
    per_second: f64,
    capacity: f64,
    reserve: f64,
    tokens: f64,
    filled_at: Duration,
}

impl Limiter {
    /// `per_second` questions in the long run and `burst` after a pause, beginning with a full bucket.
    pub fn new(per_second: f64, burst: u32, now: Duration) -> Self {
        let capacity = f64::from(burst.max(1));
        let reserve = match burst {
            0 | 1 => 0.0,
            2..=4 => 1.0,
            _ => capacity / 4.0,
        };
        Self { per_second, capacity, reserve, tokens: capacity, filled_at: now }
    }

    /// Takes a token, or says how long it takes until there may be one.
    pub fn take(&mut self, now: Duration, lane: Lane) -> Result<(), Duration> {
        let passed = now.saturating_sub(self.filled_at);
        self.filled_at = self.filled_at.max(now);
        self.tokens = (self.tokens + passed.as_secs_f64() * self.per_second).min(self.capacity);
        let needed = match lane {
            Lane::Interactive => 1.0,
            Lane::Background => 1.0 + self.reserve,
        };
        // What was added in small steps may lack a hair of a whole.
        if self.tokens + 1e-9 >= needed {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64(((needed - self.tokens) / self.per_second).min(3_600.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn after_a_burst_questions_go_evenly() {
        let mut limiter = Limiter::new(10.0, 4, Duration::ZERO);
        let mut take = |now| limiter.take(now, Lane::Interactive);
        for _ in 0..4 {
            assert_eq!(take(Duration::ZERO), Ok(()));
        }
        assert_eq!(take(Duration::ZERO), Err(SECOND / 10));
        assert_eq!(take(SECOND / 10), Ok(()));
        assert!(take(SECOND / 10).is_err());
        // A long pause fills it to the brim and not beyond; a clock that goes back fills nothing.
        for _ in 0..4 {
            assert_eq!(take(SECOND * 100), Ok(()));
        }
        assert!(take(SECOND * 100).is_err() && take(SECOND).is_err());
    }

    #[test]
    fn the_background_leaves_a_quarter_for_people() {
        let mut limiter = Limiter::new(8.0, 8, Duration::ZERO);
        for _ in 0..6 {
            assert_eq!(limiter.take(Duration::ZERO, Lane::Background), Ok(()));
        }
        assert_eq!(limiter.take(Duration::ZERO, Lane::Background), Err(SECOND / 8));
        for _ in 0..2 {
            assert_eq!(limiter.take(Duration::ZERO, Lane::Interactive), Ok(()));
        }
        // While people ask as fast as tokens come, the background waits.
        for tick in 1..=20 {
            let now = SECOND / 8 * tick;
            assert!(limiter.take(now, Lane::Background).is_err());
            assert_eq!(limiter.take(now, Lane::Interactive), Ok(()));
        }
        // When they stop, it goes on at the full rate.
        let mut asked = 0;
        for tick in 1..=80 {
            asked += u32::from(limiter.take(SECOND * 3 + SECOND / 8 * tick, Lane::Background).is_ok());
        }
        assert!((76..=82).contains(&asked), "{asked}");
    }

    #[test]
    fn even_a_bucket_of_one_serves_both() {
        let mut limiter = Limiter::new(1.0, 1, Duration::ZERO);
        assert_eq!(limiter.take(Duration::ZERO, Lane::Background), Ok(()));
        assert_eq!(limiter.take(Duration::ZERO, Lane::Interactive), Err(SECOND));
        assert_eq!(limiter.take(SECOND, Lane::Background), Ok(()));
    }
}
