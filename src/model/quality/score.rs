//! How many records of a unit, with everything below it, each of the four words holds for. Counts, never shares alone.

use super::{FlagSet, Measure};

/// Counts of one unit and everything below it, or what one record adds to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records.
    pub records: i64,
    /// Records for which each word holds, in the order of [`Measure::ALL`].
    pub holds: [i64; 4],
    /// Records for which all four do.
    pub all: i64,
}

impl Tally {
    /// What one record with these flags counts.
    pub fn of(flags: FlagSet) -> Self {
        let holds = Measure::ALL.map(|measure| i64::from(flags.holds(measure)));
        Self { records: 1, holds, all: i64::from(flags == FlagSet::default()) }
    }

    /// The five scores by their names: the four words, and `all`.
    pub fn scores(&self) -> [(&'static str, Score); 5] {
        let score = |holds| Score { holds, of: self.records };
        let [correct, sufficient, clean, live] = self.holds.map(score);
        [("correct", correct), ("sufficient", sufficient), ("clean", clean), ("live", live), ("all", score(self.all))]
    }

    /// Adds `other`, `sign` times.
    pub fn add(&mut self, other: Self, sign: i64) {
        self.records += sign * other.records;
        self.all += sign * other.all;
        for (ours, theirs) in self.holds.iter_mut().zip(other.holds) {
            *ours += sign * theirs;
        }
    }

    /// Whether it changes nothing.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// A share as two counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Score {
    /// How many.
    pub holds: i64,
    /// Of how many.
    pub of: i64,
}

impl Score {
    /// Tenths of a percent, rounded down: 1000 only when it holds for all. `None` of nothing.
    pub fn permille(self) -> Option<i64> {
        (self.of > 0).then(|| self.holds * 1000 / self.of)
    }

    /// The same as a number of percent, for people.
    pub fn percent(self) -> Option<f64> {
        self.permille().and_then(|permille| i32::try_from(permille).ok()).map(|permille| f64::from(permille) / 10.0)
    }
}

/// The unit and every unit above it, then the nation, which is the empty code: whom a record counts for.
pub fn counted_for(unit: &str) -> impl Iterator<Item = &str> {
    let ends = unit.match_indices('.').map(|(at, _)| at);
    ends.map(|end| &unit[..end]).chain([unit]).chain((!unit.is_empty()).then_some(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::quality::Flag;

    #[test]
    fn a_record_counts_for_every_unit_above_it_and_the_nation() {
        assert_eq!(counted_for("H26.05.1").collect::<Vec<_>>(), ["H26", "H26.05", "H26.05.1", ""]);
        assert_eq!(counted_for("H26").collect::<Vec<_>>(), ["H26", ""]);
    }

    #[test]
    fn shares_are_rounded_down() {
        assert_eq!(Score { holds: 999_999, of: 1_000_000 }.permille(), Some(999));
        assert_eq!(Score { holds: 2, of: 3 }.percent(), Some(66.6));
        assert_eq!(Score { holds: 7, of: 7 }.percent(), Some(100.0));
        assert_eq!(Score { holds: 0, of: 0 }.percent(), None);
    }

    #[test]
    fn what_is_added_can_be_taken_away() {
        let flags: FlagSet = [Flag::NotMatched, Flag::NotConfirmed].into_iter().collect();
        let mut tally = Tally::of(FlagSet::default());
        assert_eq!((tally.records, tally.holds, tally.all), (1, [1; 4], 1));
        tally.add(Tally::of(flags), 1);
        assert_eq!((tally.records, tally.holds, tally.all), (2, [1, 2, 1, 2], 1));
        tally.add(Tally::of(flags), -1);
        tally.add(Tally::of(FlagSet::default()), -1);
        assert!(tally.is_nothing());
    }
}
