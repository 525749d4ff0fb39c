//! The append-only audit table.

use sqlx::{AnyConnection, Row};

use super::{Store, failed};
use crate::clock::UnixSeconds;
use crate::error::Fault;

/// One line: who did what to which thing. No personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: UnixSeconds,
    /// Client, officer or part of the system.
    pub actor: String,
    /// For example `card.withdrawn`.
    pub action: &'static str,
    /// Handle of the card, offer or record.
    pub subject: String,
    /// Codes and counts.
    pub detail: String,
}

impl Line {
    /// Writes the line in the transaction of the change that it tells of.
    pub(crate) async fn write(&self, transaction: &mut AnyConnection) -> Result<(), Fault> {
        sqlx::query("INSERT INTO audit (at, actor, action, subject, detail) VALUES ($1, $2, $3, $4, $5)")
            .bind(self.at)
            .bind(&self.actor)
            .bind(self.action)
            .bind(&self.subject)
            .bind(&self.detail)
            .execute(transaction)
            .await
            .map(|_| ())
            .map_err(failed("writing an audit line"))
    }
}

impl Store {
    /// What happened to a thing, oldest first: (instant, actor, action, detail).
    pub async fn history(&self, subject: &str) -> Result<Vec<(UnixSeconds, String, String, String)>, Fault> {
        let rows =
            sqlx::query("SELECT at, actor, action, detail FROM audit WHERE subject = $1 ORDER BY seq LIMIT 1000")
                .bind(subject)
                .fetch_all(self.readers())
                .await
                .map_err(failed("reading the audit table"))?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?)))
            .collect::<Result<_, sqlx::Error>>()
            .map_err(failed("reading the audit table"))
    }
}
