//! The append-only audit table.

use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::{Change, Store, Transaction, failed, places};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Result};
use crate::model::id::Handle;

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

/// Lines that one statement writes.
const LINES: usize = 500;

/// Writes the lines in the transaction of the changes that they tell of.
pub(super) async fn write(connection: &mut AnyConnection, lines: &[Line]) -> Result<(), Fault> {
    for lines in lines.chunks(LINES) {
        let places = places(lines.len(), 5);
        let statement = format!("INSERT INTO audit (at, actor, action, subject, detail) VALUES {places}");
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for Line { at, actor, action, subject, detail } in lines {
            query = query.bind(at).bind(actor).bind(*action).bind(subject).bind(detail);
        }
        query.execute(&mut *connection).await.map_err(failed("writing audit lines"))?;
    }
    Ok(())
}

struct NoteRead(Vec<Line>);

impl Change for NoteRead {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        for line in &self.0 {
            transaction.note(line.clone());
        }
        Ok(())
    }
}

impl Store {
    /// Notes that somebody read the personal data of these records, and why (a code): a line for each, which the person
    /// can see.
    pub async fn note_read(&self, actor: &str, records: &[Handle], purpose: &str, at: UnixSeconds) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let line = |record: &Handle| Line {
            at,
            actor: actor.to_owned(),
            action: "record.read",
            subject: record.to_string(),
            detail: purpose.to_owned(),
        };
        self.write(NoteRead(records.iter().map(line).collect())).await
    }

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
