//! Scores, history, causes and rows, as they were last computed.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};
use time::Date;

use super::super::cards::handle;
use super::super::records::UNIT_AND_BELOW;
use super::super::{Store, failed};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Result};
use crate::model::calendar::{Month, parse_day};
use crate::model::id::Handle;
use crate::model::quality::score::Tally;
use crate::model::quality::{Flag, FlagSet};

/// Entries of the queue that are counted at most.
const MOST_COUNTED: i64 = 100_000;

/// The counts of a unit with everything below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitQuality {
    /// Its code; empty for the nation.
    pub unit: String,
    /// The counts.
    pub tally: Tally,
    /// Records whose present version an approval has signed.
    pub signed: i64,
}

/// The counts at the end of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QualityDay {
    /// The day.
    pub day: Date,
    /// The counts.
    pub tally: Tally,
}

/// One record with what is held against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QualityRow {
    /// The record.
    pub record: Handle,
    /// Its managing unit.
    pub unit: String,
    /// The number that the unit gave.
    pub number: String,
    /// Canonical content, where it was asked for.
    pub content: Option<String>,
    /// What is held against it.
    pub flags: FlagSet,
    /// When its version came in.
    pub changed_at: UnixSeconds,
    /// Its version.
    pub version: i64,
    /// The version that an approval signed last.
    pub signed_version: Option<i64>,
}

/// Which rows are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Those with this flag.
    With(Flag),
    /// Those with any flag.
    Flagged,
    /// Those whose present version no approval has signed.
    Unsigned,
}

const COUNTS: &str = "records, correct, sufficient, clean, live, perfect, signed";

/// Counts from the columns of [`COUNTS`].
fn tally(row: &AnyRow) -> Result<Tally, sqlx::Error> {
    let count = |column: &str| row.try_get::<i64, _>(column);
    let holds = [count("correct")?, count("sufficient")?, count("clean")?, count("live")?];
    Ok(Tally { records: count("records")?, holds, all: count("perfect")? })
}

fn unit_quality(row: &AnyRow) -> Result<UnitQuality, sqlx::Error> {
    Ok(UnitQuality { unit: row.try_get("unit")?, tally: tally(row)?, signed: row.try_get("signed")? })
}

fn quality_day(row: &AnyRow) -> Result<Option<QualityDay>, sqlx::Error> {
    let tally = tally(row)?;
    Ok(parse_day(&row.try_get::<String, _>("day")?).map(|day| QualityDay { day, tally }))
}

/// The codes of a unit and of everything below it lie from the code itself up to this: groups are separated by full stops,
/// and nothing but a slash follows a full stop.
pub(in super::super) fn end_of(unit: &str) -> String {
    if unit.is_empty() { "\u{10ffff}".to_owned() } else { format!("{unit}/") }
}

/// Entries of the queue whose record is, or was counted, in the unit `$1` or below it (`$2` is its code and a dot).
pub(super) fn in_queue(rest: &str) -> String {
    let within = |unit: &str| format!("{unit} = $1 OR substr({unit}, 1, length($2)) = $2");
    format!(
        "SELECT dirty.seq FROM quality_dirty dirty LEFT JOIN records ON records.id = dirty.record \
         LEFT JOIN quality ON quality.record = dirty.record WHERE ({} OR {}) {rest}",
        within("records.unit"),
        within("quality.unit")
    )
}

impl Rows {
    /// The condition on `quality`, and what `place` in it stands for.
    fn condition(self, place: &str) -> (String, i64) {
        match self {
            Self::With(flag) => (format!("quality.flags & {place} <> 0"), flag.bit()),
            Self::Flagged => (format!("quality.flags <> {place}"), 0),
            Self::Unsigned => (format!("quality.signed = {place}"), 0),
        }
    }
}

impl Store {
    /// The counts of a unit; nothing where there never was a record.
    pub async fn unit_quality(&self, unit: &str) -> Result<UnitQuality, Fault> {
        let doing = "reading the quality of a unit";
        let statement = format!("SELECT unit, {COUNTS} FROM quality_units WHERE unit = $1");
        let row = sqlx::query(AssertSqlSafe(statement)).bind(unit.to_owned()).fetch_optional(self.readers()).await;
        match row.map_err(failed(doing))? {
            Some(row) => unit_quality(&row).map_err(failed(doing)),
            None => Ok(UnitQuality { unit: unit.to_owned(), tally: Tally::default(), signed: 0 }),
        }
    }

    /// The counts of the units one level below, in the order of their codes after `after`; those with records.
    pub async fn quality_below(&self, unit: &str, after: &str, limit: i64) -> Result<Vec<UnitQuality>, Fault> {
        let doing = "reading the quality of units";
        let statement = format!(
            "SELECT unit, {COUNTS} FROM quality_units WHERE parent = $1 AND unit > $2 AND records > 0 \
             ORDER BY unit LIMIT $3"
        );
        let query = sqlx::query(AssertSqlSafe(statement)).bind(unit.to_owned()).bind(after.to_owned()).bind(limit);
        let rows = query.fetch_all(self.readers()).await.map_err(failed(doing))?;
        rows.iter().map(unit_quality).collect::<Result<_, _>>().map_err(failed(doing))
    }

    /// The counts of a unit at the end of a day, with the day of their last change; `None` before the first.
    pub async fn quality_on(&self, unit: &str, day: Date) -> Result<Option<QualityDay>, Fault> {
        let doing = "reading the history of a unit";
        let statement =
            format!("SELECT day, {COUNTS} FROM quality_days WHERE unit = $1 AND day <= $2 ORDER BY day DESC LIMIT 1");
        let query = sqlx::query(AssertSqlSafe(statement)).bind(unit.to_owned()).bind(day.to_string());
        let row = query.fetch_optional(self.readers()).await.map_err(failed(doing))?;
        Ok(row.as_ref().map(quality_day).transpose().map_err(failed(doing))?.flatten())
    }

    /// The counts at the end of a day of every unit one level below; at most 10,000.
    pub async fn quality_of_units_on(&self, unit: &str, day: Date) -> Result<Vec<(String, Tally)>, Fault> {
        let doing = "reading the history of units";
        let statement = format!(
            "SELECT quality_days.unit, {} FROM quality_units JOIN quality_days ON quality_days.unit = quality_units.unit \
             AND quality_days.day = (SELECT MAX(latest.day) FROM quality_days latest \
             WHERE latest.unit = quality_units.unit AND latest.day <= $2) \
             WHERE quality_units.parent = $1 ORDER BY quality_units.unit LIMIT 10000",
            COUNTS.split(", ").map(|column| format!("quality_days.{column}")).collect::<Vec<_>>().join(", ")
        );
        let query = sqlx::query(AssertSqlSafe(statement)).bind(unit.to_owned()).bind(day.to_string());
        let rows = query.fetch_all(self.readers()).await.map_err(failed(doing))?;
        let read = |row: &AnyRow| Ok((row.try_get("unit")?, tally(row)?));
        rows.iter().map(read).collect::<Result<_, sqlx::Error>>().map_err(failed(doing))
    }

    /// The days of a unit on which its counts changed, from the first day to the last.
    pub async fn quality_days(&self, unit: &str, from: Date, to: Date) -> Result<Vec<QualityDay>, Fault> {
        let doing = "reading the history of a unit";
        let statement =
            format!("SELECT day, {COUNTS} FROM quality_days WHERE unit = $1 AND day >= $2 AND day <= $3 ORDER BY day");
        let query =
            sqlx::query(AssertSqlSafe(statement)).bind(unit.to_owned()).bind(from.to_string()).bind(to.to_string());
        let rows = query.fetch_all(self.readers()).await.map_err(failed(doing))?;
        let days = rows.iter().map(quality_day).collect::<Result<Vec<_>, _>>().map_err(failed(doing))?;
        Ok(days.into_iter().flatten().collect())
    }

    /// What is held against a version of a record; `None` while that was not computed.
    pub async fn quality_of(&self, record: &Handle, version: i64) -> Result<Option<FlagSet>, Fault> {
        let query = sqlx::query("SELECT flags FROM quality WHERE record = $1 AND version = $2");
        let row = query.bind(record.as_str()).bind(version).fetch_optional(self.readers()).await;
        let flags = row.and_then(|row| row.map(|row| row.try_get(0)).transpose());
        Ok(flags.map_err(failed("reading the quality of a record"))?.map(FlagSet::restored))
    }

    /// What is held against the records of a unit and how often, worst first: now, or at the end of a month.
    pub async fn quality_causes(&self, unit: &str, month: Option<Month>) -> Result<Vec<(Flag, i64)>, Fault> {
        let doing = "reading the causes of a unit";
        let query = match month {
            None => sqlx::query("SELECT flag, count FROM quality_causes WHERE unit = $1").bind(unit.to_owned()),
            Some(month) => sqlx::query(
                "SELECT flag, count FROM quality_months WHERE unit = $1 AND month = (SELECT MAX(latest.month) \
                 FROM quality_months latest WHERE latest.unit = quality_months.unit \
                 AND latest.flag = quality_months.flag AND latest.month <= $2)",
            )
            .bind(unit.to_owned())
            .bind(month.to_string()),
        };
        let rows = query.fetch_all(self.readers()).await.map_err(failed(doing))?;
        let read = |row: &AnyRow| -> Result<Option<(Flag, i64)>, sqlx::Error> {
            let count = row.try_get(1)?;
            Ok(Flag::parse(&row.try_get::<String, _>(0)?).map(|flag| (flag, count)))
        };
        let causes = rows.iter().map(read).collect::<Result<Vec<_>, _>>().map_err(failed(doing))?;
        let mut causes: Vec<_> = causes.into_iter().flatten().filter(|(_, count)| *count > 0).collect();
        causes.sort_by_key(|(flag, count)| (-count, flag.bit()));
        Ok(causes)
    }

    /// How many records of a unit and of everything below it these are, counted up to `most`.
    pub async fn count_quality_rows(&self, unit: &str, which: Rows, most: i64) -> Result<i64, Fault> {
        let (condition, mask) = which.condition("$3");
        let statement = format!(
            "SELECT COUNT(*) FROM (SELECT 1 FROM quality WHERE quality.unit >= $1 AND quality.unit < $2 AND {condition} \
             LIMIT $4) counted"
        );
        let query =
            sqlx::query(AssertSqlSafe(statement)).bind(unit.to_owned()).bind(end_of(unit)).bind(mask).bind(most);
        let row = query.fetch_one(self.readers()).await;
        row.and_then(|row| row.try_get(0)).map_err(failed("counting records by their quality"))
    }

    /// Records of a unit and of everything below it, in the order of unit and handle after `after`.
    pub async fn quality_rows(
        &self,
        unit: &str,
        which: Rows,
        after: Option<(&str, &str)>,
        limit: i64,
        with_content: bool,
    ) -> Result<Vec<QualityRow>, Fault> {
        let doing = "reading the quality of records";
        let (condition, mask) = which.condition("$5");
        let (content, join) = if with_content {
            (
                "record_versions.content",
                "JOIN record_versions ON record_versions.record = records.id \
                 AND record_versions.version = records.version",
            )
        } else {
            ("NULL", "")
        };
        let statement = format!(
            "SELECT quality.record, quality.unit, quality.flags, records.number, records.changed_at, records.version, \
             signed_records.version AS signed_version, CAST({content} AS TEXT) AS content \
             FROM quality JOIN records ON records.id = quality.record \
             LEFT JOIN signed_records ON signed_records.record = quality.record {join} \
             WHERE quality.unit >= $1 AND quality.unit < $2 AND (quality.unit > $3 OR (quality.unit = $3 \
             AND quality.record > $4)) AND {condition} ORDER BY quality.unit, quality.record LIMIT $6"
        );
        let (after_unit, after_record) = after.unwrap_or(("", ""));
        // Where the page begins is where the range begins.
        let from = if after_unit > unit { after_unit } else { unit };
        let query = sqlx::query(AssertSqlSafe(statement))
            .bind(from.to_owned())
            .bind(end_of(unit))
            .bind(after_unit.to_owned())
            .bind(after_record.to_owned())
            .bind(mask)
            .bind(limit);
        let rows = query.fetch_all(self.readers()).await.map_err(failed(doing))?;
        rows.iter().map(quality_row).collect()
    }

    /// How many records wait to be computed, counted up to 100,000: entries of the queue, and what time alone has changed.
    pub async fn quality_pending(&self, now: UnixSeconds) -> Result<i64, Fault> {
        let row = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM (SELECT seq FROM quality_dirty LIMIT $1) queued) \
             + (SELECT COUNT(*) FROM (SELECT record FROM quality WHERE due_at <= $2 LIMIT $1) due)",
        )
        .bind(MOST_COUNTED)
        .bind(now)
        .fetch_one(self.readers())
        .await;
        row.and_then(|row| row.try_get(0)).map_err(failed("counting records whose quality is to be computed"))
    }

    /// Whether something of a unit and of everything below it waits to be computed: an entry of the queue, claimed or not,
    /// or what time alone has changed.
    pub async fn is_quality_pending_in(&self, unit: &str, now: UnixSeconds) -> Result<bool, Fault> {
        let statement = format!(
            "SELECT 1 FROM ({}) queued UNION ALL SELECT 1 FROM (SELECT record FROM quality WHERE due_at <= $3 \
             AND unit >= $4 AND unit < $5 LIMIT 1) due",
            in_queue("LIMIT 1")
        );
        let row = sqlx::query(AssertSqlSafe(statement))
            .bind(unit.to_owned())
            .bind(format!("{unit}."))
            .bind(now)
            .bind(unit.to_owned())
            .bind(end_of(unit))
            .fetch_optional(self.readers())
            .await;
        Ok(row.map_err(failed("looking for records of a unit whose quality is to be computed"))?.is_some())
    }

    /// Cards of the records of a unit and of everything below it that were made, and that were withdrawn for good, from
    /// one instant until before another. The nation is the empty unit.
    pub async fn cards_moved(&self, unit: &str, from: UnixSeconds, until: UnixSeconds) -> Result<(i64, i64), Fault> {
        let doing = "counting cards";
        let count = async |instant: &str| {
            // A card is its record's unit's (`cards.unit` is where the person works), also after the unit took the record
            // back: that is what withdrew it.
            let statement = if unit.is_empty() {
                format!("SELECT COUNT(*) FROM cards WHERE {instant} >= $3 AND {instant} < $4 AND $1 < $2")
            } else {
                format!(
                    "SELECT COUNT(*) FROM records JOIN cards ON cards.record_id = records.id \
                     WHERE {instant} >= $3 AND {instant} < $4 AND records.unit IN {UNIT_AND_BELOW}"
                )
            };
            let query = sqlx::query(AssertSqlSafe(statement)).bind(unit.to_owned()).bind(format!("{unit}."));
            let row = query.bind(from).bind(until).fetch_one(self.readers()).await;
            row.and_then(|row| row.try_get::<i64, _>(0)).map_err(failed(doing))
        };
        Ok((count("cards.created_at").await?, count("cards.state = 'withdrawn' AND cards.state_at").await?))
    }
}

fn quality_row(row: &AnyRow) -> Result<QualityRow, Fault> {
    let read = || -> Result<QualityRow, sqlx::Error> {
        Ok(QualityRow {
            record: handle(row, "record").map_err(|fault| sqlx::Error::Decode(fault.into()))?,
            unit: row.try_get("unit")?,
            number: row.try_get("number")?,
            content: row.try_get("content")?,
            flags: FlagSet::restored(row.try_get("flags")?),
            changed_at: row.try_get("changed_at")?,
            version: row.try_get("version")?,
            signed_version: row.try_get("signed_version")?,
        })
    };
    read().map_err(failed("reading the quality of a record"))
}
