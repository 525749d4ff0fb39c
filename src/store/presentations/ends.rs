//! Telling the clients of ends: which are due, whose turn it is, and how it went. As with offers, the claim is by the number
//! of the attempt.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::clock::UnixSeconds;
use crate::error::{Fault, Result};
use crate::store::{Attempt, Change, Store, Transaction, failed};

/// An end that is ours to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueEnd {
    /// The transaction.
    pub id: String,
    /// The client that asked.
    pub client: String,
    /// How it ended.
    pub state: String,
    /// The number of this attempt; it names the claim.
    pub attempt: i64,
}

impl Store {
    /// Claims ends that are due to be told, until `until`.
    pub async fn claim_ends(&self, now: UnixSeconds, until: UnixSeconds, limit: i64) -> Result<Vec<DueEnd>> {
        self.write(ClaimEnds { now, until, limit }).await
    }

    /// Whether an end is due to be told: the cheap question before the claim.
    pub async fn has_due_end(&self, now: UnixSeconds) -> Result<bool, Fault> {
        let row = sqlx::query(
            "SELECT 1 FROM presentations WHERE next_attempt_at IS NOT NULL AND next_attempt_at <= $1 LIMIT 1",
        )
        .bind(now)
        .fetch_optional(self.readers())
        .await
        .map_err(failed("looking for ends to tell"))?;
        Ok(row.is_some())
    }

    /// Notes how an attempt to tell ended; `false` if its claim was over.
    pub async fn settle_end(&self, id: &str, number: i64, attempt: Attempt) -> Result<bool> {
        let next_attempt_at = match attempt {
            Attempt::Delivered => None,
            Attempt::Failed { next_attempt_at, .. } => Some(next_attempt_at),
        };
        self.write(SettleEnd { id: id.to_owned(), number, next_attempt_at }).await
    }
}

struct ClaimEnds {
    now: UnixSeconds,
    until: UnixSeconds,
    limit: i64,
}

impl Change for ClaimEnds {
    type Done = Vec<DueEnd>;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Vec<DueEnd>> {
        let doing = failed("claiming ends to tell");
        let due = "next_attempt_at IS NOT NULL AND next_attempt_at <= $1";
        let statement = format!(
            "UPDATE presentations SET next_attempt_at = $2, attempts = attempts + 1 WHERE id IN \
             (SELECT id FROM presentations WHERE {due} ORDER BY next_attempt_at, id LIMIT $3) AND {due} \
             RETURNING id, client, state, attempts"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(self.now)
            .bind(self.until)
            .bind(self.limit)
            .fetch_all(&mut **transaction)
            .await
            .map_err(&doing)?;
        let due = |row: &AnyRow| -> Result<_, sqlx::Error> {
            Ok(DueEnd {
                id: row.try_get(0)?,
                client: row.try_get(1)?,
                state: row.try_get(2)?,
                attempt: row.try_get(3)?,
            })
        };
        Ok(rows.iter().map(due).collect::<Result<_, _>>().map_err(doing)?)
    }
}

struct SettleEnd {
    id: String,
    number: i64,
    next_attempt_at: Option<UnixSeconds>,
}

impl Change for SettleEnd {
    type Done = bool;

    fn order(&self) -> &str {
        &self.id
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let settled = sqlx::query("UPDATE presentations SET next_attempt_at = $3 WHERE id = $1 AND attempts = $2")
            .bind(&self.id)
            .bind(self.number)
            .bind(self.next_attempt_at)
            .execute(&mut **transaction)
            .await
            .map_err(failed("settling what was told"))?;
        Ok(settled.rows_affected() == 1)
    }
}
