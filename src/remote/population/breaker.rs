//! When a registry that does not answer is left alone: after so many failures in a row nothing is asked for a while, then
//! one question probes; the pause doubles with every probe that fails.

use std::time::Duration;

/// How often the pause doubles at most.
const DOUBLINGS: u32 = 5;

/// How things stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circuit {
    /// Questions go.
    Closed {
        /// Failures in a row.
        failures: u32,
    },
    /// No question goes.
    Open {
        /// When one may probe.
        until: Duration,
    },
    /// One question probes.
    HalfOpen {
        /// Since when; whoever asked it may have gone away.
        since: Duration,
    },
}

impl Circuit {
    /// `closed`, `open` or `half_open`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Closed { .. } => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen { .. } => "half_open",
        }
    }
}

/// Decides whether a question may go. Time is handed in: since a fixed moment, never going back.
#[derive(Clone, Debug)]
pub struct Breaker {
    failures: u32,
    pause: Duration,
    circuit: Circuit,
    /// Probes that failed since the last answer.
    probes: u32,
}

impl Breaker {
    /// Opens after `failures` in a row, for `pause` at first.
    pub fn new(failures: u32, pause: Duration) -> Self {
        Self { failures: failures.max(1), pause, circuit: Circuit::Closed { failures: 0 }, probes: 0 }
    }

    /// How things stand.
    pub fn circuit(&self) -> Circuit {
        self.circuit
    }

    /// Whether a question may go now; else, how long none may.
    pub fn permit(&mut self, now: Duration) -> Result<(), Duration> {
        let left = match self.circuit {
            Circuit::Closed { .. } => return Ok(()),
            Circuit::Open { until } => until.saturating_sub(now),
            Circuit::HalfOpen { since } => (since + self.pause).saturating_sub(now),
        };
        if !left.is_zero() {
            return Err(left);
        }
        self.circuit = Circuit::HalfOpen { since: now };
        Ok(())
    }

    /// Notes whether a question was answered.
    pub fn note(&mut self, now: Duration, answered: bool) {
        self.circuit = match (self.circuit, answered) {
            (_, true) => {
                self.probes = 0;
                Circuit::Closed { failures: 0 }
            }
            (Circuit::Closed { failures }, false) if failures + 1 < self.failures => {
                Circuit::Closed { failures: failures + 1 }
            }
            (Circuit::Closed { .. }, false) => Circuit::Open { until: now + self.pause },
            // Asked before it opened.
            (open @ Circuit::Open { .. }, false) => open,
            (Circuit::HalfOpen { .. }, false) => {
                self.probes = (self.probes + 1).min(DOUBLINGS);
                Circuit::Open { until: now + self.pause * 2_u32.pow(self.probes) }
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_between_them_does_not() {
        let mut breaker = Breaker::new(3, SECOND * 30);
        for answered in [false, false, true, false, false] {
            breaker.note(Duration::ZERO, answered);
            assert_eq!(breaker.permit(Duration::ZERO), Ok(()));
        }
        assert_eq!(breaker.circuit(), Circuit::Closed { failures: 2 });
        breaker.note(SECOND, false);
        assert_eq!(breaker.permit(SECOND * 2), Err(SECOND * 29));
        // A failure of a question from before changes nothing.
        breaker.note(SECOND * 20, false);
        assert_eq!(breaker.circuit(), Circuit::Open { until: SECOND * 31 });
    }

    #[test]
    fn one_question_probes_and_decides() {
        let open = || {
            let mut breaker = Breaker::new(1, SECOND * 30);
            breaker.note(Duration::ZERO, false);
            assert_eq!(breaker.permit(SECOND * 30), Ok(()));
            assert_eq!(breaker.permit(SECOND * 30), Err(SECOND * 30), "one only");
            breaker
        };
        let mut well = open();
        well.note(SECOND * 31, true);
        assert_eq!((well.permit(SECOND * 31), well.circuit().word()), (Ok(()), "closed"));
        let mut ill = open();
        let mut now = SECOND * 31;
        for pause in [60, 120, 240, 480, 960, 960] {
            ill.note(now, false);
            assert_eq!(ill.permit(now), Err(SECOND * pause));
            now += SECOND * pause;
            assert_eq!(ill.permit(now), Ok(()));
        }
        // Whoever probed went away: another may.
        let mut left = open();
        assert_eq!(left.permit(SECOND * 59), Err(SECOND));
        assert_eq!(left.permit(SECOND * 60), Ok(()));
    }
}
