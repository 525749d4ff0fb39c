//! How good the records are: flags kept up to date in the background, and scores, history, causes and rows for whoever may
//! see the unit. Nothing here rescans the records of the country for one change: changes leave entries, time is looked up
//! in an index, and counts move by differences (`store::quality`).

mod compute;
mod export;

use time::{Date, Duration};
use tokio::task::spawn_blocking;

pub use self::export::{Cell, Sheet, Table, TableForm};
use super::enroll::unit_code;
use super::{Caller, Service};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Refusal, Result};
use crate::model::calendar::{DayKind, Month, day_of};
use crate::model::id::Handle;
use crate::model::quality::Flag;
use crate::model::quality::score::Tally;
use crate::model::unit::UnitDirectory;
use crate::store::{QualityClaim, QualityRow, Rows};

/// Entries of one batch: a transaction of some tens of milliseconds.
const BATCH: i64 = 4_000;
/// How long a process may take for a batch until another takes it over.
const CLAIM_SECONDS: i64 = 120;
/// Batches that a request computes before it answers that it is too early.
const PATIENCE: usize = 25;
/// The longest history, in days.
const MOST_DAYS: i64 = 400;
/// Rows of one export.
pub const MOST_EXPORTED: usize = 100_000;
/// Rows that an export reads at once.
const EXPORT_PAGE: i64 = 5_000;

/// What one batch did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QualityRound {
    /// Entries of the queue that were looked at; none: there was nothing to do.
    pub entries: usize,
    /// Records whose flags were written.
    pub computed: usize,
}

/// The scores of one unit with everything below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitScores {
    /// Its code; `None` for the nation.
    pub unit: Option<String>,
    /// Its name, where the register has it.
    pub name: Option<String>,
    /// The counts.
    pub tally: Tally,
}

/// Counts as of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayScores {
    /// The day.
    pub day: Date,
    /// The counts at its end.
    pub tally: Tally,
}

/// What a page about a unit begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QualityView {
    /// Now.
    pub at: UnixSeconds,
    /// Records, anywhere, that wait to be computed.
    pub pending: i64,
    /// The unit.
    pub unit: UnitScores,
    /// Records of the unit whose present version no approval has signed.
    pub unsigned: i64,
    /// The day before.
    pub previous_day: Option<DayScores>,
    /// The end of the month before.
    pub previous_month: Option<DayScores>,
    /// Units one level below.
    pub children: Vec<UnitScores>,
    /// Whether more of them follow the last one.
    pub more: bool,
}

/// What is held against records of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Causes {
    /// The unit; `None` for the nation.
    pub unit: Option<String>,
    /// Its records.
    pub records: i64,
    /// Flags and how many records have each, worst first.
    pub causes: Vec<(Flag, i64)>,
}

/// A record with what is held against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlaggedRecord {
    /// The record.
    pub record: Handle,
    /// Its managing unit.
    pub unit: String,
    /// The number that the unit gave.
    pub number: String,
    /// For callers that may read records.
    pub full_name: Option<String>,
    /// What is held against it.
    pub flags: Vec<Flag>,
    /// When its version came in.
    pub changed_at: UnixSeconds,
}

/// The last row of a page: where the next one begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    /// Its unit.
    pub unit: String,
    /// Its record.
    pub record: Handle,
}

impl After {
    /// From the text that a page ended with.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let parts = text.split_once('~').and_then(|(unit, record)| {
            let unit = crate::model::unit::UnitCode::parse(unit).filter(|code| code.as_str() == unit)?;
            Some(Self { unit: unit.to_string(), record: Handle::parse(record)? })
        });
        parts.ok_or_else(|| Refusal::malformed("after", "must be the `next` of a page"))
    }
}

impl std::fmt::Display for After {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}~{}", self.unit, self.record)
    }
}

impl FlaggedRecord {
    /// Where the page after it begins.
    pub fn place(&self) -> After {
        After { unit: self.unit.clone(), record: self.record.clone() }
    }
}

/// Those with this flag, or with any.
fn which(flag: Option<Flag>) -> Rows {
    flag.map_or(Rows::Flagged, Rows::With)
}

impl Service {
    /// Computes one batch of records that changed, or whose flags time has changed. Several processes share the work.
    /// A computation that was overtaken is done again by a later round.
    pub async fn compute_quality(&self) -> Result<QualityRound> {
        let now = self.clock.now();
        self.store.queue_due_quality("", BATCH, now).await?;
        let claim = self.store.claim_quality(self.random_name(), BATCH, now, now + CLAIM_SECONDS).await?;
        self.compute_claim(claim, now).await
    }

    async fn compute_claim(&self, claim: Option<QualityClaim>, now: UnixSeconds) -> Result<QualityRound> {
        let Some(claim) = claim else { return Ok(QualityRound::default()) };
        let entries = claim.entries;
        let (records, neighbours) = self.store.claimed_records(&claim).await?;
        let calendar = self.store.calendar().await?;
        let work = spawn_blocking(move || compute::compute(records, &neighbours, &calendar, now)).await;
        let (computed, also) = work.map_err(|error| Fault::new("computing the quality of records", error))?;
        let computed = self.store.write_quality(claim, computed, also, day_of(now)).await?;
        Ok(QualityRound { entries, computed })
    }

    /// Has everything computed that is of a unit or below it, or refuses: what is approved must be what is. What waits
    /// elsewhere is not waited for.
    pub(super) async fn need_settled_quality(&self, unit: &str) -> Result<()> {
        for _ in 0..PATIENCE {
            let now = self.clock.now();
            if !self.store.is_quality_pending_in(unit, now).await? {
                return Ok(());
            }
            self.store.queue_due_quality(unit, BATCH, now).await?;
            let claim = self.store.claim_quality_of(unit, self.random_name(), BATCH, now, now + CLAIM_SECONDS).await?;
            self.compute_claim(claim, now).await?;
        }
        Err(Refusal::Busy("computations of quality").into())
    }

    /// Scores with the names that units have today.
    async fn named(&self, units: Vec<(String, Tally)>) -> Result<Vec<UnitScores>> {
        self.named_on(day_of(self.clock.now()), units).await
    }

    /// Scores with the names that units had on a day.
    pub(super) async fn named_on(&self, day: Date, units: Vec<(String, Tally)>) -> Result<Vec<UnitScores>> {
        let codes: Vec<_> = units.iter().map(|(unit, _)| unit.as_str()).filter(|unit| !unit.is_empty()).collect();
        let mut named = Vec::with_capacity(units.len());
        let mut names = std::collections::HashMap::new();
        for chunk in codes.chunks(100) {
            let register = self.store.units_named(day, chunk).await?;
            for code in chunk {
                names.insert((*code).to_owned(), register.unit_name(code).map(std::borrow::Cow::into_owned));
            }
        }
        for (unit, tally) in units {
            let name = names.remove(&unit).flatten();
            named.push(UnitScores { name, unit: Some(unit).filter(|unit| !unit.is_empty()), tally });
        }
        Ok(named)
    }

    /// The counts at the end of a day; `None` before anything is known.
    pub(super) async fn scores_on(&self, unit: &str, day: Date) -> Result<Option<DayScores>> {
        Ok(self.store.quality_on(unit, day).await?.map(|found| DayScores { day, tally: found.tally }))
    }

    /// Scores of a unit with those of the day and the month before, and of the units one level below.
    pub async fn quality(&self, caller: &Caller, unit: Option<&str>, after: &str, limit: i64) -> Result<QualityView> {
        let unit = quality_unit(caller, unit)?;
        let at = self.clock.now();
        let today = day_of(at);
        let found = self.store.unit_quality(&unit).await?;
        let mut below = self.store.quality_below(&unit, after, limit + 1).await?;
        let more = below.len() > usize::try_from(limit).unwrap_or(usize::MAX);
        below.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let mut named = self.named(vec![(unit.clone(), found.tally)]).await?;
        let view = QualityView {
            at,
            pending: self.store.quality_pending(at).await?,
            unsigned: found.tally.records - found.signed,
            unit: named.remove(0),
            previous_day: self.scores_on(&unit, today.saturating_sub(Duration::DAY)).await?,
            previous_month: self.scores_on(&unit, Month::of(at).previous().last_day()).await?,
            children: self.named(below.into_iter().map(|unit| (unit.unit, unit.tally)).collect()).await?,
            more,
        };
        Ok(view)
    }

    /// The counts of a unit on every day from the first on which they are known. Returns the unit, too.
    pub async fn quality_history(
        &self,
        caller: &Caller,
        unit: Option<&str>,
        from: Option<Date>,
        to: Option<Date>,
    ) -> Result<(Option<String>, Vec<DayScores>)> {
        let unit = quality_unit(caller, unit)?;
        let to = to.unwrap_or_else(|| day_of(self.clock.now())).min(day_of(self.clock.now()));
        let from = from.unwrap_or_else(|| to.saturating_sub(Duration::days(30)));
        if (to - from).whole_days() >= MOST_DAYS {
            return Err(Refusal::malformed("from", format!("must be less than {MOST_DAYS} days before `to`")).into());
        }
        let mut known = self.store.quality_on(&unit, from.saturating_sub(Duration::DAY)).await?.map(|day| day.tally);
        let mut changes = self.store.quality_days(&unit, from, to).await?.into_iter().peekable();
        let (mut days, mut day) = (Vec::new(), from);
        while day <= to {
            if let Some(change) = changes.next_if(|change| change.day == day) {
                known = Some(change.tally);
            }
            days.extend(known.map(|tally| DayScores { day, tally }));
            day = day.saturating_add(Duration::DAY);
        }
        Ok((Some(unit).filter(|unit| !unit.is_empty()), days))
    }

    /// What is held against the records of a unit, worst first.
    pub async fn quality_causes(&self, caller: &Caller, unit: Option<&str>, limit: usize) -> Result<Causes> {
        let unit = quality_unit(caller, unit)?;
        let records = self.store.unit_quality(&unit).await?.tally.records;
        let mut causes = self.store.quality_causes(&unit, None).await?;
        causes.truncate(limit);
        Ok(Causes { unit: Some(unit).filter(|unit| !unit.is_empty()), records, causes })
    }

    /// Records of a unit with one flag, or with any. Names are for callers that may read records. Returns whether more
    /// follow, too.
    pub async fn quality_rows(
        &self,
        caller: &Caller,
        unit: Option<&str>,
        flag: Option<Flag>,
        after: Option<&After>,
        limit: i64,
    ) -> Result<(Vec<FlaggedRecord>, bool)> {
        let unit = quality_unit(caller, unit)?;
        let (rows, more) = self.flagged_records(caller, &unit, flag, after, limit).await?;
        self.note_flagged(caller, &rows).await?;
        Ok((rows, more))
    }

    async fn flagged_records(
        &self,
        caller: &Caller,
        unit: &str,
        flag: Option<Flag>,
        after: Option<&After>,
        limit: i64,
    ) -> Result<(Vec<FlaggedRecord>, bool)> {
        let with_names = caller.needs("records:read").is_ok();
        let after = after.map(|after| (after.unit.as_str(), after.record.as_str()));
        let mut rows = self.store.quality_rows(unit, which(flag), after, limit + 1, with_names).await?;
        let more = rows.len() > usize::try_from(limit).unwrap_or(usize::MAX);
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok((rows.into_iter().map(flagged).collect(), more))
    }

    /// The number stands for a person, too.
    async fn note_flagged(&self, caller: &Caller, rows: &[FlaggedRecord]) -> Result<()> {
        let read: Vec<_> = rows.iter().map(|row| row.record.clone()).collect();
        self.store.note_read(&caller.name, &read, "quality", self.clock.now()).await
    }

    /// All of them as a file, at most [`MOST_EXPORTED`]. They are read once the file is there: of what is refused, nobody
    /// saw anything.
    ///
    /// # Errors
    ///
    /// [`Refusal::TooMuch`] when they are more.
    pub async fn quality_file(
        &self,
        caller: &Caller,
        unit: Option<&str>,
        flag: Option<Flag>,
        form: TableForm,
    ) -> Result<Vec<u8>> {
        let unit = quality_unit(caller, unit)?;
        let too_much = || Refusal::TooMuch(format!("an export has at most {MOST_EXPORTED} rows; ask for a unit below"));
        let most = i64::try_from(MOST_EXPORTED).unwrap_or(i64::MAX);
        if self.store.count_quality_rows(&unit, which(flag), most + 1).await? > most {
            return Err(too_much().into());
        }
        let mut rows: Vec<FlaggedRecord> = Vec::new();
        loop {
            let after = rows.last().map(FlaggedRecord::place);
            let (page, more) = self.flagged_records(caller, &unit, flag, after.as_ref(), EXPORT_PAGE).await?;
            rows.extend(page);
            // More came meanwhile.
            if rows.len() > MOST_EXPORTED {
                return Err(too_much().into());
            }
            if !more {
                break;
            }
        }
        let (at, with_names) = (self.clock.now(), caller.needs("records:read").is_ok());
        let made = spawn_blocking(move || {
            let file = export::rows(&rows, with_names).file(form, at)?;
            Ok::<_, Fault>((file, rows))
        });
        let (file, rows) = made.await.map_err(|error| Fault::new("making a file of records", error))??;
        for page in rows.chunks(usize::try_from(EXPORT_PAGE).unwrap_or(1)) {
            self.note_flagged(caller, page).await?;
        }
        Ok(file)
    }

    /// Loads days off, and weekends worked, over the shipped ones: an operator does. Returns how many changed.
    pub async fn save_holidays(&self, caller: &Caller, days: Vec<(Date, DayKind, String)>) -> Result<u64> {
        self.store.save_holidays(days, &caller.name, self.clock.now()).await
    }
}

/// The unit that a caller asks about: its code, empty for the nation.
pub(super) fn quality_unit(caller: &Caller, unit: Option<&str>) -> Result<String> {
    caller.needs("quality:read")?;
    match unit {
        Some(unit) => {
            let unit = unit_code(unit)?;
            caller.may_touch(unit.as_str())?;
            Ok(unit.to_string())
        }
        None if caller.units().is_none() => Ok(String::new()),
        None => Err(Refusal::ForeignUnit.into()),
    }
}

fn flagged(row: QualityRow) -> FlaggedRecord {
    let content: Option<serde_json::Value> = row.content.and_then(|content| serde_json::from_str(&content).ok());
    FlaggedRecord {
        full_name: content.and_then(|content| content["full_name"].as_str().map(str::to_owned)),
        record: row.record,
        unit: row.unit,
        number: row.number,
        flags: row.flags.iter().collect(),
        changed_at: row.changed_at,
    }
}
