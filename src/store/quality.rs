//! The quality of records, kept up to date: what has to be computed again, what came of it, and the counts that move with
//! it. What is read of it is `read`.
//!
//! Every change of a record, and of what surrounds it, leaves an entry in `quality_dirty` by a trigger of the database, so
//! no writer has to think of it. A process claims a run of entries, reads the records in one statement, and writes flags,
//! counts and history in one transaction. Of two computations of one record at once the one that began on the older
//! revision is not written, and its entries stay.

mod read;

use std::collections::{BTreeMap, HashSet};

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};
use time::Date;

pub(super) use self::read::end_of;
pub use self::read::{QualityDay, QualityRow, Rows, UnitQuality};
use super::cards::handle;
use super::{Change, Line, Store, Transaction, failed, places};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Result};
use crate::model::calendar::{Calendar, DayKind, Month, parse_day};
use crate::model::catalogue::Catalogue;
use crate::model::id::Handle;
use crate::model::person::MatchOutcome;
use crate::model::quality::score::{Tally, counted_for};
use crate::model::quality::{Flag, FlagSet, Standing, Surroundings};
use crate::model::record::Record;

/// Entries of the queue that one process works on.
#[derive(Clone, Debug)]
pub struct Claim {
    token: String,
    first: i64,
    last: i64,
    /// How many there are.
    pub entries: usize,
}

/// What a record was counted as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The managing unit.
    pub unit: String,
    /// The personal number.
    pub person: Option<String>,
    /// Whether the person is in service by this record.
    pub serving: bool,
    /// Whether an approval has signed the present version.
    pub signed: bool,
    /// What is held against it.
    pub flags: FlagSet,
}

/// A record that has to be computed again.
#[derive(Debug)]
pub struct DirtyRecord {
    /// Its name.
    pub handle: Handle,
    /// How often it was computed before.
    pub revision: i64,
    /// What it was counted as; `None` for one that was never computed.
    pub before: Option<Counted>,
    /// As it is now; `None` when it is gone, or its unit took it back.
    pub now: Option<PresentRecord>,
}

/// A record as it is now, with what is known of it but for its neighbours.
#[derive(Debug)]
pub struct PresentRecord {
    /// The managing unit.
    pub unit: String,
    /// The personal number.
    pub person: Option<String>,
    /// The current version.
    pub version: i64,
    catalogue: String,
    content: String,
    /// Without namesakes.
    pub standing: Standing,
    /// Without records elsewhere.
    pub surroundings: Surroundings,
}

impl PresentRecord {
    /// The record itself.
    pub fn record(&self) -> Result<Record, Fault> {
        let doing = "computing the quality of a record";
        let catalogue = Catalogue::version(&self.catalogue).ok_or(Fault::new(doing, "its catalogue is not known"))?;
        Record::restore(catalogue, &self.content).map_err(|error| Fault::new(doing, error))
    }
}

/// A record of a person who has, or had, a record that is computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The record.
    pub handle: Handle,
    /// The person.
    pub person: String,
    /// Its unit.
    pub unit: String,
    /// Whether the person is in service by it, as far as it was computed.
    pub serving: bool,
}

/// What came of a computation.
#[derive(Debug)]
pub struct ComputedRecord {
    /// Its name.
    pub handle: Handle,
    /// The revision that it began on.
    pub revision: i64,
    /// What it was counted as.
    pub before: Option<Counted>,
    /// What it counts as now, with its version and the next instant at which it changes by time alone; `None` when it is
    /// gone.
    pub after: Option<(Counted, i64, Option<UnixSeconds>)>,
}

impl Store {
    /// Claims up to `limit` of the oldest entries that nobody works on; `None` when there are none. A claim that is not
    /// honoured by `until` is open to others again.
    pub async fn claim_quality(
        &self,
        token: String,
        limit: i64,
        now: UnixSeconds,
        until: UnixSeconds,
    ) -> Result<Option<Claim>> {
        self.write(ClaimEntries { token, unit: None, limit, now, until }).await
    }

    /// The same for the entries of a unit and of everything below it, whoever has claimed them: of two computations of a
    /// record one is written, so that nobody has to wait for a process that may be dead.
    pub async fn claim_quality_of(
        &self,
        unit: &str,
        token: String,
        limit: i64,
        now: UnixSeconds,
        until: UnixSeconds,
    ) -> Result<Option<Claim>> {
        self.write(ClaimEntries { token, unit: Some(unit.to_owned()), limit, now, until }).await
    }

    /// Leaves an entry for every record of a unit and of everything below it whose flags change by `now` through time
    /// alone, at most `limit`; the nation is the empty unit. Returns how many.
    pub async fn queue_due_quality(&self, unit: &str, limit: i64, now: UnixSeconds) -> Result<usize> {
        let doing = "looking for records whose quality is due";
        let statement = format!("SELECT record FROM quality WHERE {DUE} LIMIT 1");
        let due = sqlx::query(AssertSqlSafe(statement)).bind(now).bind(unit.to_owned()).bind(read::end_of(unit));
        if due.fetch_optional(self.readers()).await.map_err(failed(doing))?.is_none() {
            return Ok(0);
        }
        self.write(QueueDue { unit: unit.to_owned(), limit, now, rows: self.dialect.rows_per_statement() }).await
    }

    /// The records of a claim, and the records of the same people.
    pub async fn claimed_records(&self, claim: &Claim) -> Result<(Vec<DirtyRecord>, Vec<Neighbour>), Fault> {
        let doing = "reading records whose quality is computed";
        let bound = |statement: &'static str| {
            sqlx::query(statement).bind(claim.first).bind(claim.last).bind(claim.token.clone())
        };
        let rows = bound(DIRTY).fetch_all(self.readers()).await.map_err(failed(doing))?;
        let records = rows.iter().map(dirty).collect::<Result<_, _>>()?;
        let rows = bound(NEIGHBOURS).fetch_all(self.readers()).await.map_err(failed(doing))?;
        let neighbours = rows.iter().map(neighbour).collect::<Result<_, _>>()?;
        Ok((records, neighbours))
    }

    /// Writes what came of a claim: rows, counts, the history of `day` and of its month. `also` are records that have to be
    /// computed next, for their neighbours changed. Returns how many records were written.
    pub async fn write_quality(
        &self,
        claim: Claim,
        mut computed: Vec<ComputedRecord>,
        also: Vec<Handle>,
        day: Date,
    ) -> Result<usize> {
        // In one order everywhere, so that two processes never wait for each other.
        computed.sort_by(|one, two| one.handle.cmp(&two.handle));
        self.write(WriteQuality { claim, computed, also, day, rows: self.dialect.rows_per_statement() }).await
    }

    /// Which days are worked: the shipped calendar with what was loaded.
    pub async fn calendar(&self) -> Result<Calendar, Fault> {
        let doing = "reading holidays";
        let rows =
            sqlx::query("SELECT day, kind FROM holidays").fetch_all(self.readers()).await.map_err(failed(doing))?;
        let read = |row: &AnyRow| -> Result<Option<(Date, DayKind)>, sqlx::Error> {
            let (day, kind): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            Ok(parse_day(&day).zip(DayKind::parse(&kind)))
        };
        let days = rows.iter().map(read).collect::<Result<Vec<_>, _>>().map_err(failed(doing))?;
        Ok(Calendar::with(days.into_iter().flatten()))
    }

    /// Loads days over the shipped ones, and has every record computed again whose confirmation is awaited. Returns how
    /// many days are new or changed.
    pub async fn save_holidays(&self, days: Vec<(Date, DayKind, String)>, actor: &str, at: UnixSeconds) -> Result<u64> {
        self.write(SaveHolidays { days, actor: actor.to_owned(), at }).await
    }
}

/// Due at `$1`, from the unit `$2` up to `$3`. Units are not compared as they stand, so that the few that are due are read by
/// their own index, never a whole unit.
const DUE: &str = "due_at <= $1 AND unit || '' >= $2 AND unit || '' < $3";

/// The claimed records with everything that their flags depend on, in one snapshot.
const DIRTY: &str = "SELECT dirty.record, records.unit, records.person, records.version, records.changed_at, \
    records.population, records.population_detail, records.confirmed_at, \
    record_versions.catalogue, record_versions.content, \
    quality.revision, quality.unit AS unit_before, quality.person AS person_before, quality.serving, quality.signed, \
    quality.flags, CASE WHEN signed_records.version = records.version THEN signed_records.signed_at END AS signed_at, \
    CASE WHEN records.version > COALESCE(records.confirmed_version, 0) + 1 THEN (SELECT oldest.at FROM record_versions oldest \
     WHERE oldest.record = records.id AND oldest.version = COALESCE(records.confirmed_version, 0) + 1) END AS unconfirmed_since, \
    CASE WHEN records.version > COALESCE(signed_records.version, 0) + 1 THEN (SELECT oldest.at FROM record_versions oldest \
     WHERE oldest.record = records.id AND oldest.version = COALESCE(signed_records.version, 0) + 1) END AS unsigned_since, \
    (SELECT COUNT(*) FROM discrepancies WHERE discrepancies.record = dirty.record) AS disputes, \
    (SELECT COUNT(*) FROM cards WHERE cards.record_id = dirty.record AND cards.state = 'locked' \
     AND cards.state_reason = 'under_review') AS reviews \
    FROM (SELECT DISTINCT record FROM quality_dirty WHERE seq BETWEEN $1 AND $2 AND claim = $3) dirty \
    LEFT JOIN records ON records.id = dirty.record AND records.removed_at IS NULL \
    LEFT JOIN record_versions ON record_versions.record = records.id AND record_versions.version = records.version \
    LEFT JOIN quality ON quality.record = dirty.record \
    LEFT JOIN signed_records ON signed_records.record = records.id";

/// Every record of the people whom the claimed records are, or were, about. Each person once, however many records.
const NEIGHBOURS: &str = "WITH dirty AS \
    (SELECT DISTINCT record FROM quality_dirty WHERE seq BETWEEN $1 AND $2 AND claim = $3), \
    people AS (SELECT records.person FROM dirty JOIN records ON records.id = dirty.record WHERE records.person IS NOT NULL \
     UNION SELECT quality.person FROM dirty JOIN quality ON quality.record = dirty.record WHERE quality.person IS NOT NULL) \
    SELECT records.id, records.person, records.unit, quality.serving FROM people \
    JOIN records ON records.person = people.person AND records.removed_at IS NULL LEFT JOIN quality ON quality.record = records.id";

fn dirty(row: &AnyRow) -> Result<DirtyRecord, Fault> {
    let read = || -> Result<(i64, Option<Counted>, Option<PresentRecord>), sqlx::Error> {
        let revision: Option<i64> = row.try_get("revision")?;
        let before = match revision {
            None => None,
            Some(_) => Some(Counted {
                unit: row.try_get("unit_before")?,
                person: row.try_get("person_before")?,
                serving: row.try_get::<i64, _>("serving")? != 0,
                signed: row.try_get::<i64, _>("signed")? != 0,
                flags: FlagSet::restored(row.try_get("flags")?),
            }),
        };
        let content: Option<String> = row.try_get("content")?;
        let now = match content {
            None => None,
            Some(content) => Some(PresentRecord {
                unit: row.try_get("unit")?,
                person: row.try_get("person")?,
                version: row.try_get("version")?,
                catalogue: row.try_get("catalogue")?,
                content,
                standing: Standing {
                    changed_at: row.try_get("changed_at")?,
                    population: MatchOutcome::parse(
                        &row.try_get::<String, _>("population")?,
                        &row.try_get::<String, _>("population_detail")?,
                    ),
                    confirmed_at: row.try_get("confirmed_at")?,
                    namesakes: 0,
                },
                surroundings: Surroundings {
                    elsewhere: 0,
                    discrepancies: u32::try_from(
                        row.try_get::<i64, _>("disputes")?.saturating_add(row.try_get("reviews")?),
                    )
                    .unwrap_or(u32::MAX),
                    signed_at: row.try_get("signed_at")?,
                    unconfirmed_since: row.try_get("unconfirmed_since")?,
                    unsigned_since: row.try_get("unsigned_since")?,
                },
            }),
        };
        Ok((revision.unwrap_or(0), before, now))
    };
    let (revision, before, now) = read().map_err(failed("reading a record whose quality is computed"))?;
    Ok(DirtyRecord { handle: handle(row, "record")?, revision, before, now })
}

fn neighbour(row: &AnyRow) -> Result<Neighbour, Fault> {
    let doing = "reading the records of a person";
    let serving: Option<i64> = row.try_get("serving").map_err(failed(doing))?;
    let text = |column: &str| row.try_get::<String, _>(column).map_err(failed(doing));
    let (person, unit) = (text("person")?, text("unit")?);
    Ok(Neighbour { handle: handle(row, "id")?, person, unit, serving: serving == Some(1) })
}

struct ClaimEntries {
    token: String,
    /// Only its entries, and those that others have claimed, too.
    unit: Option<String>,
    limit: i64,
    now: UnixSeconds,
    until: UnixSeconds,
}

impl Change for ClaimEntries {
    type Done = Option<Claim>;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Option<Claim>> {
        let doing = "claiming records whose quality is to be computed";
        let rows = if let Some(unit) = &self.unit {
            let statement = format!(
                "UPDATE quality_dirty SET claim = $3, claimed_until = $4 WHERE seq IN ({}) RETURNING seq",
                read::in_queue("ORDER BY dirty.seq LIMIT $5")
            );
            let query = sqlx::query(AssertSqlSafe(statement)).bind(unit).bind(format!("{unit}.")).bind(&self.token);
            query.bind(self.until).bind(self.limit).fetch_all(&mut **transaction).await
        } else {
            sqlx::query(
                "UPDATE quality_dirty SET claim = $1, claimed_until = $2 WHERE seq IN (SELECT seq FROM quality_dirty \
                 WHERE claimed_until <= $3 ORDER BY seq LIMIT $4) AND claimed_until <= $3 RETURNING seq",
            )
            .bind(&self.token)
            .bind(self.until)
            .bind(self.now)
            .bind(self.limit)
            .fetch_all(&mut **transaction)
            .await
        };
        let rows = rows.map_err(failed(doing))?;
        let entries = rows.iter().map(|row| row.try_get::<i64, _>(0)).collect::<Result<Vec<_>, _>>();
        let entries = entries.map_err(failed(doing))?;
        let ends = entries.iter().min().zip(entries.iter().max());
        let token = self.token.clone();
        Ok(ends.map(|(first, last)| Claim { token, first: *first, last: *last, entries: entries.len() }))
    }
}

struct QueueDue {
    unit: String,
    limit: i64,
    now: UnixSeconds,
    rows: usize,
}

impl Change for QueueDue {
    type Done = usize;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<usize> {
        let doing = "queueing records whose quality is due";
        let statement = format!(
            "UPDATE quality SET due_at = NULL WHERE record IN (SELECT record FROM quality WHERE {DUE} \
             ORDER BY due_at LIMIT $4) AND due_at <= $1 RETURNING record"
        );
        let query = sqlx::query(AssertSqlSafe(statement)).bind(self.now).bind(&self.unit);
        let query = query.bind(read::end_of(&self.unit)).bind(self.limit);
        let rows = query.fetch_all(&mut **transaction).await.map_err(failed(doing))?;
        let records = rows.iter().map(|row| handle(row, "record")).collect::<Result<Vec<_>, _>>()?;
        queue(transaction, &records, self.rows).await?;
        Ok(records.len())
    }
}

/// Leaves an entry for each record.
async fn queue(connection: &mut AnyConnection, records: &[Handle], rows: usize) -> Result<(), Fault> {
    for chunk in records.chunks(rows) {
        let statement = format!("INSERT INTO quality_dirty (record) VALUES {}", places(chunk.len(), 1));
        let query =
            chunk.iter().fold(sqlx::query(AssertSqlSafe(statement)), |query, record| query.bind(record.as_str()));
        query.execute(&mut *connection).await.map_err(failed("queueing records"))?;
    }
    Ok(())
}

struct WriteQuality {
    claim: Claim,
    /// In the order of their handles.
    computed: Vec<ComputedRecord>,
    also: Vec<Handle>,
    day: Date,
    rows: usize,
}

/// What a batch changes about the counts of one unit.
#[derive(Default)]
struct Delta {
    tally: Tally,
    signed: i64,
    flags: BTreeMap<&'static str, i64>,
}

impl Delta {
    fn count(&mut self, counted: &Counted, sign: i64) {
        self.tally.add(Tally::of(counted.flags), sign);
        self.signed += sign * i64::from(counted.signed);
        for flag in counted.flags.iter() {
            *self.flags.entry(flag.code()).or_default() += sign;
        }
    }
}

impl Change for WriteQuality {
    type Done = usize;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<usize> {
        let written = self.write_rows(transaction).await?;
        let mut deltas: BTreeMap<&str, Delta> = BTreeMap::new();
        for record in self.computed.iter().filter(|record| written.contains(record.handle.as_str())) {
            let after = record.after.as_ref().map(|(after, ..)| after);
            if record.before.as_ref() == after {
                continue;
            }
            for (counted, sign) in [(record.before.as_ref(), -1), (after, 1)] {
                let Some(counted) = counted else { continue };
                for unit in counted_for(&counted.unit) {
                    deltas.entry(unit).or_default().count(counted, sign);
                }
            }
        }
        deltas.retain(|_, delta| {
            delta.flags.retain(|_, count| *count != 0);
            !(delta.tally.is_nothing() && delta.signed == 0 && delta.flags.is_empty())
        });
        self.write_units(transaction, &deltas).await?;
        self.write_causes(transaction, &deltas).await?;
        self.write_history(transaction, &deltas).await?;
        self.close_claim(transaction, &written).await?;
        queue(transaction, &self.also, self.rows).await?;
        Ok(written.len())
    }
}

impl WriteQuality {
    /// Writes the rows whose revision is still the one that the computation began on; returns which.
    async fn write_rows(&self, transaction: &mut Transaction<'_>) -> Result<HashSet<String>, Fault> {
        let doing = "writing the quality of records";
        let mut written = HashSet::with_capacity(self.computed.len());
        let present: Vec<_> =
            self.computed.iter().filter_map(|record| Some((record, record.after.as_ref()?))).collect();
        for chunk in present.chunks(self.rows) {
            let statement = format!(
                "INSERT INTO quality (record, unit, person, serving, signed, version, flags, due_at, revision) VALUES {} \
                 ON CONFLICT (record) DO UPDATE SET unit = excluded.unit, person = excluded.person, \
                 serving = excluded.serving, signed = excluded.signed, version = excluded.version, \
                 flags = excluded.flags, due_at = excluded.due_at, revision = excluded.revision \
                 WHERE quality.revision = excluded.revision - 1 RETURNING record",
                places(chunk.len(), 9)
            );
            let mut query = sqlx::query(AssertSqlSafe(statement));
            for (record, (after, version, due_at)) in chunk {
                query = query
                    .bind(record.handle.as_str())
                    .bind(&after.unit)
                    .bind(after.person.as_deref())
                    .bind(i64::from(after.serving))
                    .bind(i64::from(after.signed))
                    .bind(version)
                    .bind(after.flags.bits())
                    .bind(*due_at)
                    .bind(record.revision + 1);
            }
            let rows = query.fetch_all(&mut **transaction).await.map_err(failed(doing))?;
            for row in &rows {
                written.insert(row.try_get(0).map_err(failed(doing))?);
            }
        }
        for record in self.computed.iter().filter(|record| record.after.is_none()) {
            let gone = sqlx::query("DELETE FROM quality WHERE record = $1 AND revision = $2")
                .bind(record.handle.as_str())
                .bind(record.revision)
                .execute(&mut **transaction)
                .await
                .map_err(failed(doing))?;
            if record.before.is_none() || gone.rows_affected() == 1 {
                written.insert(record.handle.to_string());
            }
        }
        Ok(written)
    }

    async fn write_units(
        &self,
        transaction: &mut Transaction<'_>,
        deltas: &BTreeMap<&str, Delta>,
    ) -> Result<(), Fault> {
        let units: Vec<_> = deltas.iter().collect();
        for chunk in units.chunks(self.rows) {
            let sums = ["records", "correct", "sufficient", "clean", "live", "perfect", "signed"]
                .map(|column| format!("{column} = quality_units.{column} + excluded.{column}"))
                .join(", ");
            let statement = format!(
                "INSERT INTO quality_units (unit, parent, records, correct, sufficient, clean, live, perfect, signed) \
                 VALUES {} ON CONFLICT (unit) DO UPDATE SET {sums}",
                places(chunk.len(), 9)
            );
            let mut query = sqlx::query(AssertSqlSafe(statement));
            for (unit, Delta { tally, signed, .. }) in chunk {
                // Level 1 is below the nation, and the nation below nothing.
                let parent = unit.rsplit_once('.').map_or("", |(parent, _)| parent);
                query = query.bind(**unit).bind((!unit.is_empty()).then_some(parent)).bind(tally.records);
                query = tally.holds.into_iter().fold(query, sqlx::query::Query::bind).bind(tally.all).bind(*signed);
            }
            query.execute(&mut **transaction).await.map_err(failed("writing the counts of units"))?;
        }
        Ok(())
    }

    async fn write_causes(
        &self,
        transaction: &mut Transaction<'_>,
        deltas: &BTreeMap<&str, Delta>,
    ) -> Result<(), Fault> {
        let causes: Vec<_> = deltas
            .iter()
            .flat_map(|(unit, delta)| delta.flags.iter().map(move |(flag, count)| (*unit, *flag, *count)))
            .collect();
        for chunk in causes.chunks(self.rows) {
            let statement = format!(
                "INSERT INTO quality_causes (unit, flag, count) VALUES {} \
                 ON CONFLICT (unit, flag) DO UPDATE SET count = quality_causes.count + excluded.count",
                places(chunk.len(), 3)
            );
            let mut query = sqlx::query(AssertSqlSafe(statement));
            for (unit, flag, count) in chunk {
                query = query.bind(*unit).bind(*flag).bind(*count);
            }
            query.execute(&mut **transaction).await.map_err(failed("writing the causes of units"))?;
        }
        Ok(())
    }

    /// What the counts are now stands for the day and the month.
    async fn write_history(
        &self,
        transaction: &mut Transaction<'_>,
        deltas: &BTreeMap<&str, Delta>,
    ) -> Result<(), Fault> {
        let units: Vec<_> = deltas.keys().copied().collect();
        let month = Month::of_day(self.day).to_string();
        let columns = "records, correct, sufficient, clean, live, perfect, signed";
        let taken =
            columns.split(", ").map(|column| format!("{column} = excluded.{column}")).collect::<Vec<_>>().join(", ");
        for chunk in units.chunks(self.rows) {
            let wanted = (2..2 + chunk.len()).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ");
            let days = format!(
                "INSERT INTO quality_days (unit, day, {columns}) SELECT unit, CAST($1 AS TEXT), {columns} \
                 FROM quality_units WHERE unit IN ({wanted}) ON CONFLICT (unit, day) DO UPDATE SET {taken}"
            );
            let months = format!(
                "INSERT INTO quality_months (unit, flag, month, count) SELECT unit, flag, CAST($1 AS TEXT), count \
                 FROM quality_causes WHERE unit IN ({wanted}) \
                 ON CONFLICT (unit, flag, month) DO UPDATE SET count = excluded.count"
            );
            for (statement, when) in [(days, self.day.to_string()), (months, month.clone())] {
                let query = chunk
                    .iter()
                    .fold(sqlx::query(AssertSqlSafe(statement)).bind(when), |query, unit| query.bind(*unit));
                query.execute(&mut **transaction).await.map_err(failed("writing the history of units"))?;
            }
        }
        Ok(())
    }

    /// Takes the entries of what was written out of the queue; the others are open to everybody again.
    async fn close_claim(&self, transaction: &mut Transaction<'_>, written: &HashSet<String>) -> Result<(), Fault> {
        let doing = "closing a claim";
        let Claim { token, first, last, .. } = &self.claim;
        for record in self.computed.iter().filter(|record| !written.contains(record.handle.as_str())) {
            sqlx::query(
                "UPDATE quality_dirty SET claim = '', claimed_until = 0 \
                 WHERE seq BETWEEN $1 AND $2 AND claim = $3 AND record = $4",
            )
            .bind(first)
            .bind(last)
            .bind(token)
            .bind(record.handle.as_str())
            .execute(&mut **transaction)
            .await
            .map_err(failed(doing))?;
        }
        sqlx::query("DELETE FROM quality_dirty WHERE seq BETWEEN $1 AND $2 AND claim = $3")
            .bind(first)
            .bind(last)
            .bind(token)
            .execute(&mut **transaction)
            .await
            .map(|_| ())
            .map_err(failed(doing))
    }
}

struct SaveHolidays {
    days: Vec<(Date, DayKind, String)>,
    actor: String,
    at: UnixSeconds,
}

impl Change for SaveHolidays {
    type Done = u64;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<u64> {
        let doing = "loading holidays";
        let mut changed = 0;
        for (day, kind, name) in &self.days {
            let done = sqlx::query(
                "INSERT INTO holidays (day, kind, name) VALUES ($1, $2, $3) ON CONFLICT (day) DO UPDATE \
                 SET kind = excluded.kind, name = excluded.name \
                 WHERE holidays.kind <> excluded.kind OR holidays.name <> excluded.name",
            )
            .bind(day.to_string())
            .bind(kind.word())
            .bind(name)
            .execute(&mut **transaction)
            .await
            .map_err(failed(doing))?;
            changed += done.rows_affected();
        }
        if changed > 0 {
            sqlx::query("INSERT INTO quality_dirty (record) SELECT record FROM quality WHERE flags & $1 <> 0")
                .bind(Flag::NotConfirmed.bit())
                .execute(&mut **transaction)
                .await
                .map_err(failed(doing))?;
        }
        let (actor, detail) = (self.actor.clone(), format!("{changed} changed of {}", self.days.len()));
        transaction.note(Line { at: self.at, actor, action: "holidays.loaded", subject: "holidays".into(), detail });
        Ok(changed)
    }
}
