//! Rights to decide that officers lend each other.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::{Change, Line, Store, Transaction, failed};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Refusal, Result};

/// Delegations that an officer may have lent at the same time.
pub const MOST_LENT: i64 = 50;

/// A right that is lent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delegation {
    /// Its random name.
    pub id: String,
    /// Whose right it is.
    pub lender: String,
    /// Who may use it.
    pub borrower: String,
    /// In this unit and below.
    pub unit: String,
    /// Whether it reaches proposals that take two reviewers.
    pub includes_sensitive: bool,
    /// Since when.
    pub created_at: UnixSeconds,
    /// Until when.
    pub expires_at: UnixSeconds,
    /// When it was taken back.
    pub revoked_at: Option<UnixSeconds>,
}

impl Delegation {
    /// `in_force`, `expired` or `revoked`.
    pub fn state_at(&self, now: UnixSeconds) -> &'static str {
        if self.revoked_at.is_some() {
            "revoked"
        } else if self.expires_at <= now {
            "expired"
        } else {
            "in_force"
        }
    }
}

const COLUMNS: &str = "id, lender, borrower, unit, includes_sensitive, created_at, expires_at, revoked_at";

impl Store {
    /// Lends a right. Refuses one too many.
    pub async fn lend(&self, delegation: Delegation) -> Result<()> {
        self.write(Lend(delegation)).await
    }

    /// The lender takes it back; `false` if there is none of theirs in force.
    pub async fn take_back(&self, id: &str, lender: &str, at: UnixSeconds) -> Result<bool> {
        self.write(TakeBack { id: id.to_owned(), lender: lender.to_owned(), at }).await
    }

    /// What an officer may use now.
    pub async fn borrowed(&self, borrower: &str, now: UnixSeconds) -> Result<Vec<Delegation>, Fault> {
        let statement = format!(
            "SELECT {COLUMNS} FROM delegations WHERE borrower = $1 AND expires_at > $2 AND revoked_at IS NULL \
             ORDER BY created_at, id LIMIT 100"
        );
        let rows = sqlx::query(AssertSqlSafe(statement)).bind(borrower).bind(now).fetch_all(self.readers()).await;
        rows.map_err(failed("reading delegations"))?.iter().map(delegation).collect()
    }

    /// What an officer lent or may use, newest first, after instant and name of the last one that was told.
    pub async fn delegations(
        &self,
        officer: &str,
        after: Option<(UnixSeconds, String)>,
        limit: i64,
    ) -> Result<Vec<Delegation>, Fault> {
        let (at, id) = after.unwrap_or((i64::MAX, String::new()));
        let statement = format!(
            "SELECT {COLUMNS} FROM delegations WHERE (lender = $1 OR borrower = $1) \
             AND (created_at < $2 OR (created_at = $2 AND id > $3)) ORDER BY created_at DESC, id LIMIT $4"
        );
        let query = sqlx::query(AssertSqlSafe(statement)).bind(officer).bind(at).bind(id).bind(limit);
        let rows = query.fetch_all(self.readers()).await;
        rows.map_err(failed("reading delegations"))?.iter().map(delegation).collect()
    }
}

fn delegation(row: &AnyRow) -> Result<Delegation, Fault> {
    let read = || {
        Ok(Delegation {
            id: row.try_get("id")?,
            lender: row.try_get("lender")?,
            borrower: row.try_get("borrower")?,
            unit: row.try_get("unit")?,
            includes_sensitive: row.try_get::<i64, _>("includes_sensitive")? != 0,
            created_at: row.try_get("created_at")?,
            expires_at: row.try_get("expires_at")?,
            revoked_at: row.try_get("revoked_at")?,
        })
    };
    read().map_err(failed("reading a delegation"))
}

struct Lend(Delegation);

impl Change for Lend {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        let doing = "lending a right";
        let Delegation { id, lender, borrower, unit, includes_sensitive, created_at, expires_at, .. } = &self.0;
        let lent = sqlx::query(
            "INSERT INTO delegations (id, lender, borrower, unit, includes_sensitive, created_at, expires_at) \
             SELECT $1, $2, $3, $4, $5, $6, $7 FROM (SELECT COUNT(*) AS lent FROM delegations \
             WHERE lender = $2 AND expires_at > $6 AND revoked_at IS NULL) AS counted WHERE counted.lent < $8",
        )
        .bind(id)
        .bind(lender)
        .bind(borrower)
        .bind(unit)
        .bind(i64::from(*includes_sensitive))
        .bind(created_at)
        .bind(expires_at)
        .bind(MOST_LENT)
        .execute(&mut **transaction)
        .await
        .map_err(failed(doing))?;
        if lent.rows_affected() == 0 {
            return Err(
                Refusal::TooMuch(format!("an officer lends at most {MOST_LENT} rights at the same time")).into()
            );
        }
        let detail = format!("{borrower} {unit}");
        let (actor, subject) = (lender.clone(), id.clone());
        transaction.note(Line { at: *created_at, actor, action: "delegation.given", subject, detail });
        Ok(())
    }
}

struct TakeBack {
    id: String,
    lender: String,
    at: UnixSeconds,
}

impl Change for TakeBack {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let taken = sqlx::query(
            "UPDATE delegations SET revoked_at = $3 WHERE id = $1 AND lender = $2 AND revoked_at IS NULL AND expires_at > $3",
        )
        .bind(&self.id)
        .bind(&self.lender)
        .bind(self.at)
        .execute(&mut **transaction)
        .await
        .map_err(failed("taking a right back"))?;
        if taken.rows_affected() == 0 {
            return Ok(false);
        }
        let (actor, subject) = (self.lender.clone(), self.id.clone());
        transaction.note(Line { at: self.at, actor, action: "delegation.revoked", subject, detail: String::new() });
        Ok(true)
    }
}
