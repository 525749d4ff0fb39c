//! Cards follow their records: which verified versions have still to be compared with the cards in force.
//!
//! A record says which of its versions was compared last. The few that are ahead stand in an index of their own, so that
//! looking for them costs nothing in a nation where nothing changed.

use sqlx::{AssertSqlSafe, Row};

use super::cards::{self, NewCard};
use super::{Change, Store, Transaction, failed, offers};
use crate::error::{Fault, Result};
use crate::model::id::{Handle, PersonalNumber};

/// Records that are marked by one statement.
const MARKED: i64 = 1_000;

/// The condition of the index `records_not_compared`.
const NOT_COMPARED: &str = "records.population = 'matched' AND records.confirmed_at IS NOT NULL AND records.compared_version < records.version";
/// A card in force that is older than its record.
const OLDER_CARD: &str = "cards.record_id = records.id AND cards.state IN ('active', 'locked') \
    AND cards.record_version < records.version";

/// A verified version that a card in force is older than.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// The record.
    pub record: Handle,
    /// Whose it is.
    pub person: PersonalNumber,
    /// The version.
    pub version: i64,
}

impl Store {
    /// The card in force that says what `new` says: the one there is, or `new`, which replaces one that says something else.
    pub async fn ensure_card(&self, new: NewCard, actor: String) -> Result<Handle> {
        self.write(EnsureCard { new, actor }).await
    }

    /// Marks verified versions that no card in force is older than as compared: at most some thousand. Returns how many.
    pub async fn mark_without_card(&self) -> Result<u64> {
        self.write(MarkWithoutCard).await
    }

    /// Verified versions that cards in force are older than, after `after` in the order of the records' handles.
    pub async fn records_ahead_of_cards(&self, after: &str, limit: i64) -> Result<Vec<Ahead>, Fault> {
        let doing = failed("reading records that are ahead of their cards");
        let statement = format!(
            "SELECT records.id, records.person, records.version FROM records JOIN cards ON {OLDER_CARD} \
             WHERE {NOT_COMPARED} AND records.person IS NOT NULL AND records.id > $1 ORDER BY records.id LIMIT $2"
        );
        let rows = sqlx::query(AssertSqlSafe(statement)).bind(after).bind(limit).fetch_all(self.readers()).await;
        let mut ahead = Vec::new();
        for row in &rows.map_err(&doing)? {
            let person: String = row.try_get("person").map_err(&doing)?;
            if let Some(person) = PersonalNumber::parse(&person) {
                let version = row.try_get("version").map_err(&doing)?;
                ahead.push(Ahead { record: cards::handle(row, "id")?, person, version });
            }
        }
        Ok(ahead)
    }

    /// Marks a version as compared.
    pub async fn mark_compared(&self, record: Handle, version: i64) -> Result<()> {
        self.write(MarkCompared { record, version }).await
    }
}

struct EnsureCard {
    new: NewCard,
    actor: String,
}

impl Change for EnsureCard {
    type Done = Handle;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Handle> {
        offers::card_in_force(transaction, &self.new, &self.actor).await
    }
}

struct MarkWithoutCard;

impl Change for MarkWithoutCard {
    type Done = u64;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<u64> {
        let statement = format!(
            "UPDATE records SET compared_version = version WHERE id IN (SELECT records.id FROM records \
             WHERE {NOT_COMPARED} AND NOT EXISTS (SELECT 1 FROM cards WHERE {OLDER_CARD}) LIMIT $1)"
        );
        let marked = sqlx::query(AssertSqlSafe(statement)).bind(MARKED).execute(&mut **transaction).await;
        Ok(marked.map_err(failed("marking records as compared"))?.rows_affected())
    }
}

struct MarkCompared {
    record: Handle,
    version: i64,
}

impl Change for MarkCompared {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        sqlx::query("UPDATE records SET compared_version = $2 WHERE id = $1 AND compared_version < $2")
            .bind(self.record.as_str())
            .bind(self.version)
            .execute(&mut **transaction)
            .await
            .map_err(failed("marking a record as compared"))?;
        Ok(())
    }
}
