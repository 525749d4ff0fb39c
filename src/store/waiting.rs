//! Changes that act on a later day: kept as the fields that they change, taken up once.

use std::collections::HashMap;

use sqlx::Row;
use sqlx::any::AnyRow;
use time::Date;

use super::cards::handle;
use super::imports::write_portraits;
use super::records::UNIT_AND_BELOW;
use super::versions::{self, VersionWrite};
use super::{Change, Line, Store, Transaction, failed, places};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Refusal, Result};
use crate::model::calendar::parse_day;
use crate::model::id::Handle;
use crate::model::origin::{Origin, Way};
use crate::model::patch::Patch;
use crate::model::record::RecordKey;

/// A change that is to wait.
#[derive(Clone, Debug)]
pub struct NewWaiting {
    /// Its name.
    pub id: String,
    /// The record, there or to come.
    pub record: Handle,
    /// Where the record stands.
    pub key: RecordKey,
    /// The version that the change was made against; 0 for a record to come.
    pub base_version: i64,
    /// The catalogue of its fields.
    pub catalogue: &'static str,
    /// What changes.
    pub patch: Patch,
    /// The day, in Vietnam, from which it holds.
    pub due_on: Date,
    /// The instant at which that day begins.
    pub due_at: UnixSeconds,
    /// Where it comes from.
    pub origin: Origin,
    /// Who gives the unit's word with it.
    pub confirmed_by: Option<String>,
    /// The portrait that it brings: SHA-256 in hexadecimal, and bytes. The patch has its name alone.
    pub portrait: Option<(String, Vec<u8>)>,
    /// Now.
    pub created_at: UnixSeconds,
    /// Changes that it takes the place of.
    pub supersedes: Vec<String>,
}

/// Changes that wait no more, because their sender says something else now.
#[derive(Clone, Debug, Default)]
pub struct TakenBack {
    /// Their names.
    pub changes: Vec<String>,
    /// Who says it.
    pub actor: String,
    /// Now.
    pub at: UnixSeconds,
}

/// A waiting change as a reorganisation leaves it.
#[derive(Clone, Debug)]
pub struct MovedWaiting {
    /// Its name.
    pub id: String,
    /// Where its record stands then.
    pub key: RecordKey,
    /// What it changes then.
    pub patch: Patch,
}

/// A change that waits, or waited.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Its name.
    pub id: String,
    /// The record.
    pub record: Handle,
    /// Where the record stands.
    pub key: RecordKey,
    /// The version that it was made against.
    pub base_version: i64,
    /// The catalogue of its fields.
    pub catalogue: String,
    /// What changes.
    pub patch: Patch,
    /// The day from which it holds.
    pub due_on: Date,
    /// Where it comes from.
    pub origin: Origin,
    /// Who gives the unit's word with it.
    pub confirmed_by: Option<String>,
    /// When it came.
    pub created_at: UnixSeconds,
    /// `waiting`, `conflict` (somebody has to decide), `done`, `cancelled` or `superseded`.
    pub state: String,
    /// For a conflict: the fields that others changed meanwhile; for what failed: why.
    pub detail: String,
}

const COLUMNS: &str = "id, record, unit, number, base_version, catalogue, patch, due_on, way, reference, actor, \
    confirmed_by, created_at, state, detail";

impl Store {
    /// Changes whose day has come, the oldest first. One that cannot be read keeps no other from its day: it is told of and
    /// left out.
    pub async fn due_changes(&self, now: UnixSeconds, limit: i64) -> Result<Vec<Waiting>, Fault> {
        let statement = format!(
            "SELECT {COLUMNS} FROM waiting_changes WHERE state = 'waiting' AND due_at <= $1 ORDER BY due_at, id LIMIT $2"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(now).bind(limit).fetch_all(self.readers()).await;
        let rows = rows.map_err(failed("reading waiting changes"))?;
        let told = |error: &Fault| tracing::error!(%error, "a waiting change cannot be read");
        Ok(rows.iter().filter_map(|row| read(row).inspect_err(told).ok()).collect())
    }

    /// Changes of an agency that bring records of this number, still to come, by the same way, except those that another
    /// agency calls so.
    pub async fn waiting_newcomers(&self, org: &str, number: &str, way: Way) -> Result<Vec<Waiting>, Fault> {
        let statement = format!(
            "SELECT {COLUMNS} FROM waiting_changes WHERE state IN ('waiting', 'conflict') AND unit IN {UNIT_AND_BELOW} \
             AND number = $3 AND way = $4 AND base_version = 0 AND NOT EXISTS (SELECT 1 FROM sync_keys \
             WHERE sync_keys.number = waiting_changes.number AND sync_keys.unit = waiting_changes.unit AND org <> $1) \
             ORDER BY due_at, id LIMIT 100"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(org).bind(format!("{org}.")).bind(number);
        let rows = query.bind(way.word()).fetch_all(self.readers()).await;
        rows.map_err(failed("reading waiting changes"))?.iter().map(read).collect()
    }

    /// Changes that wait for a record, there or to come.
    pub async fn waiting_of(&self, key: &RecordKey) -> Result<Vec<Waiting>, Fault> {
        let statement = format!(
            "SELECT {COLUMNS} FROM waiting_changes WHERE unit = $1 AND number = $2 AND state IN ('waiting', 'conflict') \
             ORDER BY due_at, id LIMIT 100"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(&key.unit).bind(&key.number);
        let rows = query.fetch_all(self.readers()).await;
        rows.map_err(failed("reading waiting changes"))?.iter().map(read).collect()
    }

    /// The same for many records.
    pub async fn waiting_of_all(&self, keys: &[RecordKey]) -> Result<HashMap<RecordKey, Vec<Waiting>>, Fault> {
        let mut found: HashMap<_, Vec<_>> = HashMap::new();
        for chunk in keys.chunks(self.dialect.rows_per_statement()) {
            // A join, for SQLite would read the whole table for a list of pairs.
            let statement = format!(
                "WITH wanted (in_unit, of_number) AS (VALUES {}) SELECT {COLUMNS} FROM wanted JOIN waiting_changes \
                 ON unit = in_unit AND number = of_number WHERE state IN ('waiting', 'conflict') ORDER BY due_at, id",
                places(chunk.len(), 2)
            );
            let mut query = sqlx::query(sqlx::AssertSqlSafe(statement));
            for key in chunk {
                query = query.bind(&key.unit).bind(&key.number);
            }
            let rows = query.fetch_all(self.readers()).await.map_err(failed("reading waiting changes"))?;
            for row in &rows {
                let waiting = read(row)?;
                found.entry(waiting.key.clone()).or_default().push(waiting);
            }
        }
        Ok(found)
    }

    /// Changes that wait or need a decision in a unit and below, in the order of their names after `after`.
    pub async fn waiting_in(&self, unit: &str, after: &str, limit: i64) -> Result<Vec<Waiting>, Fault> {
        let statement = format!(
            "SELECT {COLUMNS} FROM waiting_changes WHERE state IN ('waiting', 'conflict') \
             AND unit IN {UNIT_AND_BELOW} AND id > $3 ORDER BY id LIMIT $4"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(unit)
            .bind(format!("{unit}."))
            .bind(after)
            .bind(limit)
            .fetch_all(self.readers())
            .await;
        rows.map_err(failed("reading waiting changes"))?.iter().map(read).collect()
    }

    /// Records that are still to come, of any unit, in the order of their names after `after`.
    pub async fn newcomers(&self, after: &str, limit: i64) -> Result<Vec<Waiting>, Fault> {
        let statement = format!(
            "SELECT {COLUMNS} FROM waiting_changes WHERE state IN ('waiting', 'conflict') AND base_version = 0 \
             AND id > $1 ORDER BY id LIMIT $2"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(after).bind(limit);
        query.fetch_all(self.readers()).await.map_err(failed("reading waiting changes"))?.iter().map(read).collect()
    }

    /// How many changes of a unit and below wait for their day, and how many need a decision.
    pub async fn count_waiting(&self, unit: &str) -> Result<(i64, i64), Fault> {
        let doing = "counting waiting changes";
        let statement = format!(
            "SELECT state, COUNT(*) FROM waiting_changes WHERE state IN ('waiting', 'conflict') \
             AND unit IN {UNIT_AND_BELOW} GROUP BY state"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(unit)
            .bind(format!("{unit}."))
            .fetch_all(self.readers())
            .await
            .map_err(failed(doing))?;
        let (mut waiting, mut conflicts) = (0, 0);
        for row in &rows {
            let state: String = row.try_get(0).map_err(failed(doing))?;
            *(if state == "conflict" { &mut conflicts } else { &mut waiting }) =
                row.try_get(1).map_err(failed(doing))?;
        }
        Ok((waiting, conflicts))
    }

    /// A change by its name.
    pub async fn waiting_change(&self, id: &str) -> Result<Option<Waiting>, Fault> {
        let statement = format!("SELECT {COLUMNS} FROM waiting_changes WHERE id = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(id).fetch_optional(self.readers()).await;
        row.map_err(failed("reading a waiting change"))?.as_ref().map(read).transpose()
    }

    /// Acts on a change: its version is written, and it is done, together. `false` if somebody was first.
    pub async fn act_on(&self, id: &str, write: Option<VersionWrite>, at: UnixSeconds) -> Result<bool> {
        self.write(ActOn { id: id.to_owned(), write, at }).await
    }

    /// Ends a change without acting on it: `conflict` (it can still be cancelled) or `cancelled`.
    pub async fn end_waiting(
        &self,
        id: &str,
        state: &'static str,
        actor: &str,
        detail: String,
        at: UnixSeconds,
    ) -> Result<bool> {
        self.write(EndWaiting { id: id.to_owned(), state, actor: actor.to_owned(), detail, at }).await
    }
}

/// Keeps a change until its day.
///
/// Refuses with [`Refusal::MovedOn`] when the record that it was made against is elsewhere or gone by now.
pub(super) async fn insert(transaction: &mut Transaction<'_>, new: &NewWaiting) -> Result<()> {
    if new.base_version > 0 {
        // A write, so that a move that is under way is waited for.
        let stands = sqlx::query(
            "UPDATE records SET version = version WHERE id = $1 AND unit = $2 AND number = $3 AND removed_at IS NULL",
        )
        .bind(new.record.as_str())
        .bind(&new.key.unit)
        .bind(&new.key.number)
        .execute(&mut **transaction)
        .await
        .map_err(failed("keeping a waiting change"))?;
        if stands.rows_affected() == 0 {
            return Err(Refusal::MovedOn("record").into());
        }
    }
    let (changes, actor, at) = (new.supersedes.clone(), new.origin.actor.clone(), new.created_at);
    supersede(transaction, &TakenBack { changes, actor, at }).await?;
    sqlx::query(
        "INSERT INTO waiting_changes (id, record, unit, number, base_version, catalogue, patch, due_on, due_at, way, \
         reference, actor, confirmed_by, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(&new.id)
    .bind(new.record.as_str())
    .bind(&new.key.unit)
    .bind(&new.key.number)
    .bind(new.base_version)
    .bind(new.catalogue)
    .bind(new.patch.to_json())
    .bind(new.due_on.to_string())
    .bind(new.due_at)
    .bind(new.origin.way.word())
    .bind(&new.origin.reference)
    .bind(&new.origin.actor)
    .bind(&new.confirmed_by)
    .bind(new.created_at)
    .execute(&mut **transaction)
    .await
    .map_err(failed("keeping a waiting change"))?;
    if let Some(portrait) = &new.portrait {
        write_portraits(transaction, std::iter::once(portrait)).await?;
    }
    transaction.note(Line {
        at: new.created_at,
        actor: new.origin.actor.clone(),
        action: "change.waiting",
        subject: new.record.to_string(),
        detail: format!("{} on {}", new.id, new.due_on),
    });
    Ok(())
}

/// Ends changes in whose place something else is said. Refuses with [`Refusal::MovedOn`] when one of them waits no more:
/// what was decided on is not there.
pub(super) async fn supersede(transaction: &mut Transaction<'_>, taken_back: &TakenBack) -> Result<()> {
    let doing = failed("superseding a waiting change");
    let TakenBack { changes, actor, at } = taken_back;
    for id in changes {
        let row = sqlx::query(
            "UPDATE waiting_changes SET state = 'superseded', ended_at = $2, ended_by = $3 \
             WHERE id = $1 AND state IN ('waiting', 'conflict') RETURNING record",
        )
        .bind(id)
        .bind(at)
        .bind(actor)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(&doing)?;
        let Some(row) = row else { return Err(Refusal::MovedOn("record").into()) };
        let (at, actor, subject) = (*at, actor.clone(), row.try_get(0).map_err(&doing)?);
        transaction.note(Line { at, actor, action: "change.superseded", subject, detail: id.clone() });
    }
    Ok(())
}

/// What waits for a record goes with it to another unit or number.
pub(super) async fn follow_record(
    transaction: &mut Transaction<'_>,
    before: &RecordKey,
    record: &Handle,
    after: &RecordKey,
) -> Result<(), Fault> {
    let doing = failed("moving waiting changes");
    // One after the other: SQLite would read the whole table for either.
    sqlx::query(
        "UPDATE waiting_changes SET unit = $2, number = $3 WHERE record = $1 AND state IN ('waiting', 'conflict')",
    )
    .bind(record.as_str())
    .bind(&after.unit)
    .bind(&after.number)
    .execute(&mut **transaction)
    .await
    .map_err(&doing)?;
    sqlx::query(
        "UPDATE waiting_changes SET unit = $3, number = $4 \
         WHERE unit = $1 AND number = $2 AND state IN ('waiting', 'conflict')",
    )
    .bind(&before.unit)
    .bind(&before.number)
    .bind(&after.unit)
    .bind(&after.number)
    .execute(&mut **transaction)
    .await
    .map(|_| ())
    .map_err(doing)
}

/// Has a waiting change say what it says after a reorganisation.
pub(super) async fn rewrite(transaction: &mut Transaction<'_>, moved: &MovedWaiting) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE waiting_changes SET unit = $2, number = $3, patch = $4 WHERE id = $1 AND state IN ('waiting', 'conflict')",
    )
    .bind(&moved.id)
    .bind(&moved.key.unit)
    .bind(&moved.key.number)
    .bind(moved.patch.to_json())
    .execute(&mut **transaction)
    .await
    .map(|_| ())
    .map_err(failed("moving a waiting change"))
}

/// What waits for a record that its unit takes back waits no more.
pub(super) async fn end_with_record(
    transaction: &mut Transaction<'_>,
    record: &Handle,
    actor: &str,
    at: UnixSeconds,
) -> Result<(), Fault> {
    let doing = failed("ending waiting changes");
    let ended = sqlx::query(
        "UPDATE waiting_changes SET state = 'cancelled', ended_at = $2, ended_by = $3, detail = 'removed' \
         WHERE record = $1 AND state IN ('waiting', 'conflict') RETURNING id",
    )
    .bind(record.as_str())
    .bind(at)
    .bind(actor)
    .fetch_all(&mut **transaction)
    .await
    .map_err(&doing)?;
    for row in ended {
        let id: String = row.try_get(0).map_err(&doing)?;
        let (actor, subject, detail) = (actor.to_owned(), record.to_string(), format!("{id} removed"));
        transaction.note(Line { at, actor, action: "change.cancelled", subject, detail });
    }
    Ok(())
}

struct ActOn {
    id: String,
    write: Option<VersionWrite>,
    at: UnixSeconds,
}

impl Change for ActOn {
    type Done = bool;
    const TAKES_BACK: bool = true;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let taken = sqlx::query(
            "UPDATE waiting_changes SET state = 'done', ended_at = $2, ended_by = 'system' WHERE id = $1 AND state = 'waiting'",
        )
        .bind(&self.id)
        .bind(self.at)
        .execute(&mut **transaction)
        .await
        .map_err(failed("acting on a waiting change"))?;
        if taken.rows_affected() == 0 {
            return Ok(false);
        }
        if let Some(write) = &self.write {
            versions::write(transaction, write).await?;
        }
        // A proposal that was approved for this day has become a version now.
        sqlx::query(
            "UPDATE proposals SET version = (SELECT records.version FROM records WHERE records.id = proposals.record) \
             WHERE id IN (SELECT reference FROM waiting_changes WHERE id = $1 AND way = 'update')",
        )
        .bind(&self.id)
        .execute(&mut **transaction)
        .await
        .map_err(failed("noting what a proposal became"))?;
        Ok(true)
    }
}

struct EndWaiting {
    id: String,
    state: &'static str,
    actor: String,
    detail: String,
    at: UnixSeconds,
}

impl Change for EndWaiting {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let doing = failed("ending a waiting change");
        let from = if self.state == "conflict" { "('waiting')" } else { "('waiting', 'conflict')" };
        let statement = format!(
            "UPDATE waiting_changes SET state = $2, ended_at = $3, ended_by = $4, detail = $5 \
             WHERE id = $1 AND state IN {from} RETURNING record"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(&self.id)
            .bind(self.state)
            .bind(self.at)
            .bind(&self.actor)
            .bind(&self.detail)
            .fetch_optional(&mut **transaction)
            .await
            .map_err(&doing)?;
        let Some(row) = row else { return Ok(false) };
        let (at, actor, subject) = (self.at, self.actor.clone(), row.try_get(0).map_err(&doing)?);
        let action = if self.state == "conflict" { "change.conflict" } else { "change.cancelled" };
        transaction.note(Line { at, actor, action, subject, detail: format!("{} {}", self.id, self.detail) });
        Ok(true)
    }
}

fn read(row: &AnyRow) -> Result<Waiting, Fault> {
    let doing = "reading a waiting change";
    let text = |column: &str| row.try_get::<String, _>(column).map_err(failed(doing));
    let broken = |what: &'static str| Fault::new(doing, what);
    Ok(Waiting {
        id: text("id")?,
        record: handle(row, "record")?,
        key: RecordKey { unit: text("unit")?, number: text("number")? },
        base_version: row.try_get("base_version").map_err(failed(doing))?,
        catalogue: text("catalogue")?,
        patch: Patch::parse(&text("patch")?).map_err(|error| Fault::new(doing, error))?,
        due_on: parse_day(&text("due_on")?).ok_or_else(|| broken("its day is malformed"))?,
        origin: Origin {
            way: Way::parse(&text("way")?).ok_or_else(|| broken("its way is unknown"))?,
            reference: text("reference")?,
            actor: text("actor")?,
        },
        confirmed_by: row.try_get("confirmed_by").map_err(failed(doing))?,
        created_at: row.try_get("created_at").map_err(failed(doing))?,
        state: text("state")?,
        detail: text("detail")?,
    })
}
