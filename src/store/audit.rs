//! The append-only audit table.

use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::reviews::Conditions;
use super::{AuditLine, Change, Store, Transaction, failed, places};
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

/// Which lines are meant.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// About one of these units or one below, or about what is theirs; everything when absent.
    pub units: Option<Vec<String>>,
    /// About this thing; about a record also what was done with its proposals.
    pub subject: Option<String>,
    /// Of this kind.
    pub action: Option<String>,
    /// Those that came before this one.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: i64,
}

/// What is a unit's, by the names under which lines speak of it. Evidence has the lines of its proposal.
const OF_UNITS: [(&str, &str); 6] = [
    ("id", "records"),
    ("handle", "cards"),
    ("id", "officers"),
    ("id", "proposals"),
    ("id", "uploads"),
    ("id", "delegations"),
];

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

    /// Notes that somebody saw what is about people but stands in no record yet, in something that has a name.
    pub async fn note_seen(&self, actor: &str, subject: &str, purpose: &str, at: UnixSeconds) -> Result<()> {
        let (actor, subject, detail) = (actor.to_owned(), subject.to_owned(), purpose.to_owned());
        self.write(NoteRead(vec![Line { at, actor, action: "upload.read", subject, detail }])).await
    }

    /// Lines, newest first.
    pub async fn audit_lines(&self, filter: &AuditFilter) -> Result<Vec<AuditLine>, Fault> {
        let doing = "reading the audit table";
        let mut conditions = Conditions::default();
        let mut wanted = vec!["1 = 1".to_owned()];
        if let Some(units) = &filter.units {
            let mut about = |unit: &String| {
                let (own, dotted) = (conditions.text(unit), conditions.text(format!("{unit}.")));
                let below =
                    |column: &str| format!("({column} = {own} OR substr({column}, 1, length({dotted})) = {dotted})");
                let named = OF_UNITS
                    .map(|(name, table)| format!("subject IN (SELECT {name} FROM {table} WHERE {})", below("unit")));
                // Moves are kept as the program writes them: what begins one of their values has no white space.
                let mut moves = Vec::new();
                for (end, rest) in ["from", "to"].into_iter().flat_map(|end| [(end, "\"%"), (end, ".%")]) {
                    moves.push(format!("moves LIKE {}", conditions.text(format!("%\"{end}\":\"{unit}{rest}"))));
                }
                let plans = format!("subject IN (SELECT id FROM reorganisations WHERE {})", moves.join(" OR "));
                format!("({} OR {} OR {plans})", below("subject"), named.join(" OR "))
            };
            let any: Vec<_> = units.iter().map(&mut about).collect();
            wanted.push(if any.is_empty() { "1 = 0".into() } else { format!("({})", any.join(" OR ")) });
        }
        wanted.extend(filter.subject.as_ref().map(|subject| {
            let subject = conditions.text(subject);
            format!("(subject = {subject} OR subject IN (SELECT id FROM proposals WHERE record = {subject}))")
        }));
        wanted.extend(filter.action.as_ref().map(|action| format!("action = {}", conditions.text(action))));
        wanted.extend(filter.before.map(|before| format!("seq < {}", conditions.number(before))));
        let statement = format!(
            "SELECT seq, at, actor, action, subject, detail FROM audit WHERE {} ORDER BY seq DESC LIMIT {}",
            wanted.join(" AND "),
            filter.limit
        );
        let query = conditions.bind(statement);
        let line = |row: sqlx::any::AnyRow| {
            Ok(AuditLine {
                seq: row.try_get(0)?,
                at: row.try_get(1)?,
                actor: row.try_get(2)?,
                action: row.try_get(3)?,
                subject: row.try_get(4)?,
                detail: row.try_get(5)?,
            })
        };
        let rows = query.fetch_all(self.readers()).await.map_err(failed(doing))?;
        rows.into_iter().map(line).collect::<Result<_, sqlx::Error>>().map_err(failed(doing))
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
