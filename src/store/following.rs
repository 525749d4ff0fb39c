//! Records whose cards have to be locked, withdrawn or given back, and cards whose term ends soon.

use std::fmt::Write as _;

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::cards::{self, By, Move};
use super::records::{selection, stored};
use super::{Change, Store, StoredRecord, Transaction, failed};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Result};
use crate::model::card::{Card, Reason, Selector, Step};
use crate::model::event::{EventKind, NewEvent};
use crate::model::id::Handle;

/// Who acts.
const ACTOR: &str = "system";
/// Cards that one change warns of.
const WARNED: i64 = 500;

/// What a record's employment status does to its cards, as decided on one version with or without the unit's word.
#[derive(Clone, Debug)]
pub struct FollowStep {
    /// The record.
    pub record: Handle,
    /// The version that it was decided on.
    pub version: i64,
    /// When the unit confirmed that version.
    pub confirmed_at: Option<UnixSeconds>,
    /// When that version came.
    pub changed_at: UnixSeconds,
    /// Which cards.
    pub selectors: Vec<Selector>,
    /// What is done.
    pub step: Step,
    /// Why.
    pub reason: Reason,
    /// Now.
    pub at: UnixSeconds,
}

/// A record whose cards have still to follow it.
#[derive(Debug)]
pub struct ToFollow {
    /// When it was marked, and its name: where it stands in the order of following.
    pub place: (UnixSeconds, String),
    /// The record, unless it cannot be read.
    pub stored: Result<StoredRecord, Fault>,
}

impl Store {
    /// Takes the marks off records, at most `limit`, that have no card in force which could follow them. Returns how many.
    /// Whoever died may have cards of other records.
    pub async fn forget_without_card(&self, limit: i64) -> Result<u64> {
        self.write(ForgetWithoutCard { limit }).await
    }

    /// Records whose cards have still to follow them, the oldest change first, after `after`. Who is in service again waits
    /// for the unit's word.
    pub async fn records_to_follow(
        &self,
        after: Option<&(UnixSeconds, String)>,
        limit: i64,
    ) -> Result<Vec<ToFollow>, Fault> {
        let doing = failed("reading records whose cards have to follow");
        let (due, name) = after.map_or((i64::MIN, ""), |(due, name)| (*due, name.as_str()));
        let statement = selection(
            ", records.follow_due_at",
            "records.follow_due_at IS NOT NULL AND records.removed_at IS NULL \
             AND (records.confirmed_at IS NOT NULL OR records.out_of_service IS NOT NULL) \
             AND (records.follow_due_at > $1 OR (records.follow_due_at = $1 AND records.id > $2)) \
             ORDER BY records.follow_due_at, records.id LIMIT $3",
        );
        let query = sqlx::query(AssertSqlSafe(statement)).bind(due).bind(name).bind(limit);
        let rows = query.fetch_all(self.readers()).await.map_err(&doing)?;
        let place = |row: &AnyRow| Ok((row.try_get("follow_due_at")?, row.try_get("id")?));
        rows.iter().map(|row| Ok(ToFollow { place: place(row).map_err(&doing)?, stored: stored(row) })).collect()
    }

    /// Takes the step, if the record still stands as it was decided on; `false` if it moved on, and is looked at again.
    pub async fn follow(&self, step: FollowStep) -> Result<bool> {
        self.write(Follow(step)).await
    }

    /// Tells of cards in force that end before `until`, each once, some hundred at a time. Returns how many.
    pub async fn warn_of_ends(&self, at: UnixSeconds, until: UnixSeconds) -> Result<u64> {
        self.write(Warn { at, until }).await
    }

    /// Cards in force of a unit and of those below it whose term ends before `until`, the soonest first.
    pub async fn cards_ending(&self, unit: &str, until: UnixSeconds, limit: i64) -> Result<Vec<Card>, Fault> {
        let statement = format!(
            "SELECT {} FROM cards WHERE state IN ('active', 'locked') AND valid_until <= $3 \
             AND (unit = $1 OR substr(unit, 1, length($2)) = $2) ORDER BY valid_until, handle LIMIT $4",
            cards::columns()
        );
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(unit)
            .bind(format!("{unit}."))
            .bind(until)
            .bind(limit)
            .fetch_all(self.readers())
            .await;
        rows.map_err(failed("reading cards that end"))?.iter().map(cards::card).collect()
    }
}

struct Warn {
    at: UnixSeconds,
    until: UnixSeconds,
}

impl Change for Warn {
    type Done = u64;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<u64> {
        let doing = failed("warning of cards that end");
        let rows = sqlx::query(
            "UPDATE cards SET warned_at = $1 WHERE handle IN (SELECT handle FROM cards WHERE warned_at IS NULL \
             AND state IN ('active', 'locked') AND valid_until <= $2 AND valid_until > $1 ORDER BY valid_until LIMIT $3) \
             AND warned_at IS NULL RETURNING handle, unit",
        )
        .bind(self.at)
        .bind(self.until)
        .bind(WARNED)
        .fetch_all(&mut **transaction)
        .await
        .map_err(&doing)?;
        for row in &rows {
            let (card, unit) = (cards::handle(row, "handle")?, row.try_get("unit").map_err(&doing)?);
            let (at, kind) = (self.at, EventKind::Ending);
            transaction.event(NewEvent { at, kind, card, unit, reason: None, other: None });
        }
        Ok(rows.len() as u64)
    }
}

struct ForgetWithoutCard {
    limit: i64,
}

impl Change for ForgetWithoutCard {
    type Done = u64;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<u64> {
        let forgotten = sqlx::query(
            "UPDATE records SET follow_due_at = NULL WHERE id IN (SELECT marked.id FROM records marked \
             WHERE marked.follow_due_at IS NOT NULL AND COALESCE(marked.out_of_service, '') <> 'deceased' \
             AND NOT EXISTS (SELECT 1 FROM cards WHERE cards.record_id = marked.id AND cards.state IN ('active', 'locked')) \
             ORDER BY marked.follow_due_at, marked.id LIMIT $1)",
        )
        .bind(self.limit)
        .execute(&mut **transaction)
        .await
        .map_err(failed("taking marks off records without a card"))?;
        Ok(forgotten.rows_affected())
    }
}

struct Follow(FollowStep);

impl Change for Follow {
    type Done = bool;
    const MOVES_CARDS: bool = true;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let doing = failed("having a card follow its record");
        let FollowStep { record, version, confirmed_at, changed_at, selectors, step, reason, at } = &self.0;
        let word = if confirmed_at.is_some() { "IS NOT NULL" } else { "IS NULL" };
        let statement = format!(
            "UPDATE records SET follow_due_at = NULL \
             WHERE id = $1 AND version = $2 AND confirmed_at {word} AND follow_due_at IS NOT NULL RETURNING id"
        );
        let taken = sqlx::query(AssertSqlSafe(statement))
            .bind(record.as_str())
            .bind(version)
            .fetch_optional(&mut **transaction)
            .await
            .map_err(&doing)?;
        let Some(row) = taken else { return Ok(false) };
        let _: String = row.try_get(0).map_err(&doing)?;
        let mut because = format!("record {record} version {version} received {changed_at}");
        if let Some(confirmed_at) = confirmed_at {
            let _ = write!(because, " confirmed {confirmed_at}");
        }
        let by = By::Facts { hold: cards::STATUS, because: &because };
        let wanted = Move { step: *step, reason: *reason, actor: ACTOR, at: *at, by };
        for selector in selectors {
            if let Selector::Person(person) = selector {
                // A card that is about to be made from another record of theirs is waited for, and then found.
                sqlx::query("UPDATE records SET version = version WHERE person = $1")
                    .bind(person.expose())
                    .execute(&mut **transaction)
                    .await
                    .map_err(&doing)?;
            }
            cards::move_all(transaction, selector, &wanted).await?;
        }
        Ok(true)
    }
}
