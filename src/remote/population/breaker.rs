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

/// That a question may go; its answer or failure comes back with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Permit {
    round: u64,
}

/// Decides whether a question may go. Time is handed in: since a fixed moment, never going back.
#[derive(Clone, Debug)]
pub struct Breaker {
    failures: u32,
    pause: Duration,
    circuit: Circuit,
    /// Probes that failed since the last answer.
    probes: u32,
    /// How often questions were stopped, or one let go to probe: what was asked before fails for the reason that is known.
    round: u64,
}

impl Breaker {
    /// Opens after `failures` in a row, for `pause` at first.
    pub fn new(failures: u32, pause: Duration) -> Self {
        Self { failures: failures.max(1), pause, circuit: Circuit::Closed { failures: 0 }, probes: 0, round: 0 }
    }

    /// How things stand.
    pub fn circuit(&self) -> Circuit {
        self.circuit
    }

    /// Whether a question may go now; else, how long none may.
    pub fn permit(&mut self, now: Duration) -> Result<Permit, Duration> {
        let left = match self.circuit {
            Circuit::Closed { .. } => return Ok(Permit { round: self.round }),
            Circuit::Open { until } => until.saturating_sub(now),
            Circuit::HalfOpen { since } => (since + self.pause).saturating_sub(now),
        };
        if !left.is_zero() {
            return Err(left);
        }
        self.circuit = Circuit::HalfOpen { since: now };
        self.round += 1;
        Ok(Permit { round: self.round })
    }

    /// Notes whether the question of this permit was answered.
    pub fn note(&mut self, now: Duration, permit: Permit, answered: bool) {
        if answered {
            self.probes = 0;
            self.circuit = Circuit::Closed { failures: 0 };
            return;
        }
        // Asked before it opened, or before the probe that is out.
        if permit.round != self.round {
            return;
        }
        self.circuit = match self.circuit {
            Circuit::Closed { failures } if failures + 1 < self.failures => Circuit::Closed { failures: failures + 1 },
            Circuit::Closed { .. } => {
                self.round += 1;
                Circuit::Open { until: now + self.pause }
            }
            open @ Circuit::Open { .. } => open,
            Circuit::HalfOpen { .. } => {
                self.round += 1;
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

    /// A question that goes now is answered, or is not.
    fn asks(breaker: &mut Breaker, now: Duration, answered: bool) {
        let permit = breaker.permit(now).unwrap();
        breaker.note(now, permit, answered);
    }

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_between_them_does_not() {
        let mut breaker = Breaker::new(3, SECOND * 30);
        for answered in [false, false, true, false, false] {
            asks(&mut breaker, Duration::ZERO, answered);
        }
        assert_eq!(breaker.circuit(), Circuit::Closed { failures: 2 });
        let before = breaker.permit(Duration::ZERO).unwrap();
        asks(&mut breaker, SECOND, false);
        assert_eq!(breaker.permit(SECOND * 2), Err(SECOND * 29));
        // A failure of a question from before changes nothing.
        breaker.note(SECOND * 20, before, false);
        assert_eq!(breaker.circuit(), Circuit::Open { until: SECOND * 31 });
        // Nor does it while one probes; an answer, however late, is one.
        let probe = breaker.permit(SECOND * 31).unwrap();
        breaker.note(SECOND * 32, before, false);
        assert_eq!(breaker.circuit(), Circuit::HalfOpen { since: SECOND * 31 });
        breaker.note(SECOND * 33, before, true);
        assert_eq!(breaker.circuit(), Circuit::Closed { failures: 0 });
        breaker.note(SECOND * 34, probe, false);
        assert_eq!(breaker.circuit(), Circuit::Closed { failures: 1 });
    }

    #[test]
    fn one_question_probes_and_decides() {
        let open = || {
            let mut breaker = Breaker::new(1, SECOND * 30);
            asks(&mut breaker, Duration::ZERO, false);
            let probe = breaker.permit(SECOND * 30).unwrap();
            assert_eq!(breaker.permit(SECOND * 30), Err(SECOND * 30), "one only");
            (breaker, probe)
        };
        let (mut well, probe) = open();
        well.note(SECOND * 31, probe, true);
        assert!(well.permit(SECOND * 31).is_ok() && well.circuit().word() == "closed");
        let (mut ill, mut probe) = open();
        let mut now = SECOND * 31;
        for pause in [60, 120, 240, 480, 960, 960] {
            ill.note(now, probe, false);
            assert_eq!(ill.permit(now), Err(SECOND * pause));
            now += SECOND * pause;
            probe = ill.permit(now).unwrap();
        }
        // Whoever probed went away: another may, and only that one decides.
        let (mut left, gone) = open();
        assert_eq!(left.permit(SECOND * 59), Err(SECOND));
        assert!(left.permit(SECOND * 60).is_ok());
        left.note(SECOND * 61, gone, false);
        assert_eq!(left.circuit(), Circuit::HalfOpen { since: SECOND * 60 });
    }
}
