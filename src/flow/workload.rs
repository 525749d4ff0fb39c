//! How much waits for the reviewers of a unit, where, and how fast it is decided.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::{Caller, Service};
use crate::clock::{DAY_SECONDS, UnixSeconds};
use crate::error::{Refusal, Result};
use crate::model::calendar::{day_of, start_of};
use crate::model::review::{median, working_days_from};
use crate::store::Measured;

/// Working days of which a workload tells what is due.
const DAYS_AHEAD: usize = 5;
/// Days of which a workload tells what was decided.
const DAYS_BACK: i64 = 30;

/// How much work there is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Workload {
    /// The unit that was asked about.
    pub unit: Option<String>,
    /// Waiting for a first decision.
    pub open: i64,
    /// Waiting for the second of two.
    pub first_approved: i64,
    /// Waiting for a decision on an appeal.
    pub appealed: i64,
    /// Of all these, past their deadline.
    pub overdue: i64,
    /// Of all these, nobody works on.
    pub unclaimed: i64,
    /// When the oldest was proposed (Unix seconds).
    pub oldest_created_at: Option<UnixSeconds>,
    /// The middle of how long those decided in the last 30 days had waited.
    pub median_working_hours: Option<f64>,
    /// Decisions.
    pub decided_last_30_days: usize,
    /// Today and the next five working days.
    pub due: Vec<DueOn>,
    /// By reviewer.
    pub reviewers: Vec<ReviewerLoad>,
    /// By unit, those with most overdue first.
    pub units: Vec<UnitLoad>,
}

/// What is due on a day.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DueOn {
    /// In Vietnam.
    pub day: String,
    /// Proposals.
    pub count: i64,
}

/// What one reviewer works on and decided.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct ReviewerLoad {
    /// The officer.
    pub reviewer: String,
    /// Proposals that they work on.
    pub claimed: i64,
    /// Decisions.
    pub decided_last_30_days: usize,
    /// Refusals among them.
    pub refused_last_30_days: usize,
    /// The middle of how long these had waited.
    pub median_working_hours: Option<f64>,
}

/// What waits in one unit.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UnitLoad {
    /// Its code.
    pub unit: String,
    /// Proposals that wait.
    pub waiting: i64,
    /// Those past their deadline.
    pub overdue: i64,
}

impl Service {
    /// How much waits in a unit and below (`None`: wherever the caller sees), and how fast it is decided.
    ///
    /// # Errors
    ///
    /// [`Refusal::ForeignUnit`] for a unit that the caller does not see.
    pub async fn workload(&self, caller: &Caller, unit: Option<String>) -> Result<Workload> {
        let reviewing = self.reviewing(caller).await?;
        let units = match &unit {
            Some(unit) if !reviewing.sees(unit) => return Err(Refusal::ForeignUnit.into()),
            Some(unit) => Some(vec![unit.clone()]),
            None => reviewing.visible(),
        };
        let (now, units) = (self.clock.now(), units.as_deref());
        let counts = self.store.waiting_proposals(units, now).await?;
        let decided = self.store.decisions_since(units, now - DAYS_BACK * DAY_SECONDS).await?;
        let days = working_days_from(&self.store.calendar().await?, day_of(now), DAYS_AHEAD);
        // A deadline is the end of its day; the first count begins now, for what was due before is overdue.
        let ends: Vec<_> =
            std::iter::once(now - 1).chain(days.iter().map(|day| start_of(*day) + DAY_SECONDS)).collect();
        let due = self.store.due_proposals(units, &ends).await?;
        let due = days.iter().zip(due).map(|(day, count)| DueOn { day: day.to_string(), count });
        let [open, first_approved, appealed] = counts.by_state;
        let unit_load = |(unit, waiting, overdue)| UnitLoad { unit, waiting, overdue };
        Ok(Workload {
            unit,
            open,
            first_approved,
            appealed,
            overdue: counts.overdue,
            unclaimed: counts.unclaimed,
            oldest_created_at: counts.oldest_at,
            median_working_hours: median_hours(decided.iter()),
            decided_last_30_days: decided.len(),
            due: due.collect(),
            reviewers: by_reviewer(&decided, counts.claimed),
            units: counts.units.into_iter().map(unit_load).collect(),
        })
    }
}

fn by_reviewer(decided: &[Measured], claimed: Vec<(String, i64)>) -> Vec<ReviewerLoad> {
    let mut reviewers: BTreeMap<&str, Vec<&Measured>> = BTreeMap::new();
    for one in decided {
        reviewers.entry(&one.reviewer).or_default().push(one);
    }
    let load = |(reviewer, own): (&str, Vec<&Measured>)| {
        let load = ReviewerLoad {
            reviewer: reviewer.to_owned(),
            claimed: 0,
            decided_last_30_days: own.len(),
            refused_last_30_days: own.iter().filter(|one| one.is_refusal).count(),
            median_working_hours: median_hours(own.into_iter()),
        };
        (reviewer.to_owned(), load)
    };
    let mut loads: BTreeMap<String, ReviewerLoad> = reviewers.into_iter().map(load).collect();
    for (reviewer, claimed) in claimed {
        let none = ReviewerLoad { reviewer: reviewer.clone(), ..ReviewerLoad::default() };
        loads.entry(reviewer).or_insert(none).claimed = claimed;
    }
    loads.into_values().collect()
}

/// To a tenth of an hour.
fn median_hours<'a>(decided: impl Iterator<Item = &'a Measured>) -> Option<f64> {
    #[allow(clippy::cast_precision_loss)]
    let hours = decided.map(|one| one.working_minutes as f64 / 60.0).collect();
    median(hours).map(|hours| (hours * 10.0).round() / 10.0)
}
