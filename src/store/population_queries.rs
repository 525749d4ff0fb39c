//! What was asked of the population database, by whom and why; and how matching stands.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::cards::handle;
use super::matches::NOT_ASKABLE;
use super::{Store, failed};
use crate::clock::UnixSeconds;
use crate::error::Fault;
use crate::model::id::Handle;

/// A question to the population database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PopulationQueryLine {
    /// Its number.
    pub seq: i64,
    /// The record that it was about.
    pub record: Handle,
    /// The version.
    pub version: i64,
    /// Who asked.
    pub officer: String,
    /// Why.
    pub purpose: String,
    /// `look_up`.
    pub kind: String,
    /// When.
    pub asked_at: UnixSeconds,
    /// `matched`, `not_found`, `mismatched`, `overtaken`, `unreachable` or `not_sent`; `None` when its process died.
    pub outcome: Option<String>,
    /// Codes of the fields that differ.
    pub fields: Vec<String>,
    /// When it ended.
    pub answered_at: Option<UnixSeconds>,
}

/// How matching stands in the whole deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PopulationState {
    /// Records that are to be asked about; those that turned out to lack a number or birth date are none of them.
    pub pending: i64,
    /// Of them, those whose person changed at the registry.
    pub changed_at_the_registry: i64,
    /// Of them, those that were asked about in vain.
    pub unanswered: i64,
    /// Since when the longest waits.
    pub oldest_pending_at: Option<UnixSeconds>,
    /// Records whose person the registry knows otherwise.
    pub mismatched: i64,
    /// Records whose person it does not know.
    pub not_found: i64,
    /// Cards that a discrepancy locked.
    pub locked_cards: i64,
    /// When the registry answered last.
    pub last_answer_at: Option<UnixSeconds>,
    /// Answers since the instant that was asked for.
    pub answers: i64,
}

/// Outcomes that are answers.
const ANSWERS: &str = "outcome IN ('matched', 'not_found', 'mismatched', 'overtaken')";

impl Store {
    /// The questions about these records, the latest first, those before `before`.
    pub async fn population_queries_of(
        &self,
        records: &[Handle],
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<PopulationQueryLine>, Fault> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let listed = (3..3 + records.len()).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ");
        let statement = format!(
            "SELECT seq, record, version, officer, purpose, kind, asked_at, outcome, detail, answered_at \
             FROM population_queries WHERE seq < $1 AND record IN ({listed}) ORDER BY seq DESC LIMIT $2"
        );
        let mut query = sqlx::query(AssertSqlSafe(statement)).bind(before.unwrap_or(i64::MAX)).bind(limit);
        for record in records {
            query = query.bind(record.as_str());
        }
        let rows = query.fetch_all(self.readers()).await;
        rows.map_err(failed("reading questions to the population database"))?.iter().map(read).collect()
    }

    /// How matching stands; answers are counted since `since`.
    pub async fn population_state(&self, since: UnixSeconds) -> Result<PopulationState, Fault> {
        let doing = failed("counting what is to be matched");
        let statement = format!(
            "SELECT COUNT(*), COUNT(CASE WHEN pending_reason <> '' THEN 1 END), COUNT(tried_at), \
             MIN(COALESCE(pending_at, changed_at)) FROM records \
             WHERE population = 'pending' AND (tried_at IS NULL OR tried_at < {NOT_ASKABLE}) AND removed_at IS NULL"
        );
        let pending = sqlx::query(AssertSqlSafe(statement)).fetch_one(self.readers()).await.map_err(&doing)?;
        let discrepancies = sqlx::query(
            "SELECT COUNT(CASE WHEN population = 'mismatched' THEN 1 END), \
             COUNT(CASE WHEN population = 'not_found' THEN 1 END) FROM records \
             WHERE population IN ('mismatched', 'not_found') AND removed_at IS NULL",
        );
        let discrepancies = discrepancies.fetch_one(self.readers()).await.map_err(&doing)?;
        let locked = sqlx::query("SELECT COUNT(*) FROM cards WHERE hold = 'population' AND state = 'locked'");
        let locked = locked.fetch_one(self.readers()).await.map_err(&doing)?;
        let statement = format!("SELECT COUNT(*) FROM population_queries WHERE answered_at >= $1 AND {ANSWERS}");
        let answers = sqlx::query(AssertSqlSafe(statement)).bind(since).fetch_one(self.readers()).await;
        let statement = format!(
            "SELECT answered_at FROM population_queries WHERE answered_at IS NOT NULL AND {ANSWERS} \
             ORDER BY answered_at DESC LIMIT 1"
        );
        let last = sqlx::query(AssertSqlSafe(statement)).fetch_optional(self.readers()).await.map_err(&doing)?;
        let read = || -> Result<_, sqlx::Error> {
            Ok(PopulationState {
                pending: pending.try_get(0)?,
                changed_at_the_registry: pending.try_get(1)?,
                unanswered: pending.try_get(2)?,
                oldest_pending_at: pending.try_get(3)?,
                mismatched: discrepancies.try_get(0)?,
                not_found: discrepancies.try_get(1)?,
                locked_cards: locked.try_get(0)?,
                last_answer_at: last.as_ref().map(|row| row.try_get(0)).transpose()?,
                answers: answers?.try_get(0)?,
            })
        };
        read().map_err(&doing)
    }
}

fn read(row: &AnyRow) -> Result<PopulationQueryLine, Fault> {
    let record = handle(row, "record")?;
    let read = || -> Result<_, sqlx::Error> {
        let detail: String = row.try_get("detail")?;
        Ok(PopulationQueryLine {
            seq: row.try_get("seq")?,
            record,
            version: row.try_get("version")?,
            officer: row.try_get("officer")?,
            purpose: row.try_get("purpose")?,
            kind: row.try_get("kind")?,
            asked_at: row.try_get("asked_at")?,
            outcome: row.try_get("outcome")?,
            fields: detail.split(',').filter(|field| !field.is_empty()).map(str::to_owned).collect(),
            answered_at: row.try_get("answered_at")?,
        })
    };
    read().map_err(failed("reading a question to the population database"))
}
