//! A version of a record, written with its consequence for the card: one conditional statement that names the version it
//! was decided on, so that of two at once exactly one wins.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::cards::{self, By, Move, NewCard};
use super::imports::{IncomingRecord, carried_over, write_portraits};
use super::{Change, Line, Store, Transaction, failed};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Refusal, Result};
use crate::model::card::{Reason, Selector, Step};
use crate::model::catalogue::Catalogue;
use crate::model::id::{Handle, PersonalNumber};
use crate::model::origin::Origin;
use crate::model::record::RecordKey;
use crate::store::waiting::{self, NewWaiting, TakenBack};
use crate::store::{proposals, sync};

/// A version to be written.
#[derive(Clone, Debug)]
pub struct VersionWrite {
    /// The record.
    pub record: Handle,
    /// The version that it was decided on; 0 for a record that is not there yet.
    pub base_version: i64,
    /// When the unit had confirmed that version by then, if it had.
    pub base_confirmed_at: Option<UnixSeconds>,
    /// What it will say.
    pub new: IncomingRecord,
    /// Where it comes from.
    pub origin: Origin,
    /// Who gives the unit's word with it; of a change by the official, who gave it for the version before.
    pub confirmed_by: Option<String>,
    /// What becomes of the card.
    pub card: CardStep,
    /// Now.
    pub at: UnixSeconds,
}

/// What a version does to the card in force.
#[derive(Clone, Debug)]
pub enum CardStep {
    /// Nothing, or what the round that follows the records will find.
    Keep,
    /// It is withdrawn, and another says what the record says now.
    Replace {
        /// The card in force.
        old: Handle,
        /// The one in its place.
        new: Box<NewCard>,
        /// Why.
        reason: Reason,
    },
}

impl Store {
    /// Writes versions, and what waits for its day, together or not at all. Refuses with [`Refusal::MovedOn`] when one of
    /// the records is not at the version that was decided on, or the unit has given its word for it since.
    pub async fn write_versions(
        &self,
        writes: Vec<VersionWrite>,
        waiting: Vec<NewWaiting>,
        taken_back: TakenBack,
    ) -> Result<()> {
        self.write(WriteVersions { writes, waiting, taken_back }).await
    }

    /// Takes a record back: it is kept, and its cards are withdrawn.
    pub async fn remove_record(
        &self,
        record: &Handle,
        version: i64,
        origin: &Origin,
        reason: Reason,
        at: UnixSeconds,
    ) -> Result<()> {
        self.write(RemoveRecord { record: record.clone(), version, origin: origin.clone(), reason, at }).await
    }
}

struct WriteVersions {
    writes: Vec<VersionWrite>,
    waiting: Vec<NewWaiting>,
    taken_back: TakenBack,
}

impl Change for WriteVersions {
    type Done = ();
    const TAKES_BACK: bool = true;

    fn order(&self) -> &str {
        self.writes.first().map_or("", |write| write.record.as_str())
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        for one in &self.writes {
            write(transaction, one).await?;
        }
        for one in &self.waiting {
            waiting::insert(transaction, one).await?;
        }
        waiting::supersede(transaction, &self.taken_back).await
    }
}

/// Writes one version. Refuses before it has written anything.
pub(super) async fn write(transaction: &mut Transaction<'_>, write: &VersionWrite) -> Result<i64> {
    let VersionWrite { record, base_version, new, origin, confirmed_by, card, at, .. } = write;
    let version = base_version + 1;
    let before = if *base_version == 0 { None } else { whereabouts(transaction, record).await? };
    if !write_record(transaction, write).await? {
        return Err(Refusal::MovedOn("record").into());
    }
    let (before, person) = before.unzip();
    let now_of = new.person.as_ref().map(PersonalNumber::expose);
    if person.is_some_and(|person| person.as_deref() != now_of) {
        proposals::expire(transaction, record, now_of, *at).await?;
    }
    if let Some(before) = before.filter(|before| *before != new.key) {
        waiting::follow_record(transaction, &before, record, &new.key).await?;
        sync::follow_record(transaction, &before, &new.key).await?;
        proposals::follow_record(transaction, record, &new.key.unit).await?;
    }
    sqlx::query(
        "INSERT INTO record_versions (record, version, catalogue, content, run, line, at, way, reference, actor) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(record.as_str())
    .bind(version)
    .bind(Catalogue::CURRENT)
    .bind(&new.content)
    .bind(&origin.reference)
    .bind(i64::try_from(new.line).unwrap_or(i64::MAX))
    .bind(at)
    .bind(origin.way.word())
    .bind(&origin.reference)
    .bind(&origin.actor)
    .execute(&mut **transaction)
    .await
    .map_err(failed("writing a version of a record"))?;
    write_portraits(transaction, new.portrait.iter()).await?;
    let detail = format!("version {version} by {} {}", origin.way.word(), origin.reference);
    let (actor, subject) = (origin.actor.clone(), record.to_string());
    transaction.note(Line { at: *at, actor, action: "record.changed", subject: subject.clone(), detail });
    if let Some(officer) = confirmed_by.as_ref().filter(|_| !origin.is_of_holder()) {
        let (actor, detail) = (officer.clone(), format!("version {version}"));
        transaction.note(Line { at: *at, actor, action: "record.confirmed", subject, detail });
    }
    if let CardStep::Replace { old, new, reason } = card {
        cards::replace(transaction, old, new, *reason, &origin.actor).await?;
    }
    Ok(version)
}

/// Where a record stands, and whose it is; under this name nobody else finds it any more when a version moves it.
async fn whereabouts(
    transaction: &mut Transaction<'_>,
    record: &Handle,
) -> Result<Option<(RecordKey, Option<String>)>, Fault> {
    let doing = failed("reading where a record stands");
    let row = sqlx::query("SELECT unit, number, person FROM records WHERE id = $1")
        .bind(record.as_str())
        .fetch_optional(&mut **transaction)
        .await
        .map_err(&doing)?;
    let read = |row: AnyRow| Ok((RecordKey { unit: row.try_get(0)?, number: row.try_get(1)? }, row.try_get(2)?));
    row.map(read).transpose().map_err(doing)
}

/// The record's row; `false` when it is not at the version that was decided on, or confirmed since: what was decided without
/// the unit's word would take it away.
async fn write_record(transaction: &mut Transaction<'_>, write: &VersionWrite) -> Result<bool, Fault> {
    let new = &write.new;
    // The same parameters for both: what the row says afterwards. The last one is what it said before.
    let statement = if write.base_version == 0 {
        "INSERT INTO records (id, unit, number, version, digest, run, person, changed_at, match_key, out_of_service, \
         confirmed_at, confirmed_by, confirmed_version, using_unit, work_unit, search_name) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) ON CONFLICT DO NOTHING"
            .to_owned()
    } else {
        format!(
            "UPDATE records SET unit = $2, number = $3, version = $4, digest = $5, run = $6, person = $7, changed_at = $8, \
             {}, match_key = $9, removed_at = NULL, out_of_service = $10, follow_due_at = CASE \
             WHEN out_of_service IS NULL AND CAST($10 AS TEXT) IS NULL THEN follow_due_at ELSE CAST($8 AS BIGINT) END, \
             confirmed_at = CASE WHEN CAST($12 AS TEXT) IS NULL THEN NULL ELSE COALESCE($11, confirmed_at) END, \
             confirmed_by = $12, confirmed_version = COALESCE($13, confirmed_version), \
             using_unit = $14, work_unit = $15, search_name = $16 \
             WHERE id = $1 AND version = CAST($4 AS BIGINT) - 1 AND COALESCE(confirmed_at, 0) = COALESCE(CAST($17 AS BIGINT), 0) \
             AND NOT EXISTS (SELECT 1 FROM records other \
             WHERE other.unit = $2 AND other.number = $3 AND other.id <> $1)",
            carried_over("$9")
        )
    };
    let confirmed = write.confirmed_by.as_ref();
    // What the official changes without the unit leaves the unit's word as it was given.
    let confirmed_at = confirmed.filter(|_| !write.origin.is_of_holder()).map(|_| write.at);
    let mut query = sqlx::query(sqlx::AssertSqlSafe(statement))
        .bind(write.record.as_str())
        .bind(&new.key.unit)
        .bind(&new.key.number)
        .bind(write.base_version + 1)
        .bind(&new.digest)
        .bind(&write.origin.reference)
        .bind(new.person.as_ref().map(PersonalNumber::expose))
        .bind(write.at)
        .bind(&new.match_key)
        .bind(&new.out_of_service)
        .bind(confirmed_at)
        .bind(confirmed)
        .bind(confirmed.map(|_| write.base_version + 1))
        .bind(new.works_in[0].as_deref())
        .bind(new.works_in[1].as_deref())
        .bind(&new.search_name);
    if write.base_version > 0 {
        query = query.bind(write.base_confirmed_at);
    }
    let written = query.execute(&mut **transaction).await.map_err(failed("writing a record"))?;
    Ok(written.rows_affected() == 1)
}

struct RemoveRecord {
    record: Handle,
    version: i64,
    origin: Origin,
    reason: Reason,
    at: UnixSeconds,
}

impl Change for RemoveRecord {
    type Done = ();
    const MOVES_CARDS: bool = true;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        let doing = failed("taking a record back");
        let Origin { way, reference, actor } = &self.origin;
        // A version of its own, so that whoever decided on the one before has to look again, and the history tells of it.
        let removed = sqlx::query(
            "UPDATE records SET version = version + 1, removed_at = $3, confirmed_at = NULL, confirmed_by = NULL, \
             run = $4, changed_at = $3, follow_due_at = NULL WHERE id = $1 AND version = $2 AND removed_at IS NULL \
             RETURNING id",
        )
        .bind(self.record.as_str())
        .bind(self.version)
        .bind(self.at)
        .bind(reference)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(&doing)?;
        let Some(row) = removed else { return Err(Refusal::MovedOn("record").into()) };
        let subject: String = row.try_get(0).map_err(&doing)?;
        sqlx::query(
            "INSERT INTO record_versions (record, version, catalogue, content, run, line, at, way, reference, actor) \
             SELECT record, version + 1, catalogue, content, $4, 0, $3, $5, $4, $6 FROM record_versions \
             WHERE record = $1 AND version = $2",
        )
        .bind(self.record.as_str())
        .bind(self.version)
        .bind(self.at)
        .bind(reference)
        .bind(way.word())
        .bind(actor)
        .execute(&mut **transaction)
        .await
        .map_err(&doing)?;
        waiting::end_with_record(transaction, &self.record, actor, self.at).await?;
        proposals::expire(transaction, &self.record, None, self.at).await?;
        let because = format!("record taken back by {} {reference}", way.word());
        let at = self.at;
        transaction.note(Line { at, actor: actor.clone(), action: "record.removed", subject, detail: because.clone() });
        let by = By::Facts { hold: "", because: &because };
        let wanted = Move { step: Step::Withdraw, reason: self.reason, actor, at, by };
        cards::move_all(transaction, &Selector::Record(self.record.clone()), &wanted).await?;
        Ok(())
    }
}
