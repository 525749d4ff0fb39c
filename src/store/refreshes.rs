//! Cards follow their records: which verified versions have still to be compared with the cards in force.
//!
//! A record says which of its versions was compared last. The few that are ahead stand in an index of their own, so that
//! looking for them costs nothing in a nation where nothing changed.

use sqlx::{AssertSqlSafe, Row};

use super::cards::{self, NewCard};
use super::{Change, Store, Transaction, failed, offers};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Result};
use crate::model::card::Selector;
use crate::model::id::{Handle, PersonalNumber};

/// Records that one change looks at.
const LOOKED_AT: i64 = 1_000;

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

    /// Looks at the next some hundred versions that were not compared, after `after` in the order of the records' handles,
    /// and marks those as compared that no card in force is older than. Returns where it stopped, if there may be more.
    pub async fn mark_without_card(&self, after: String) -> Result<Option<String>> {
        self.write(MarkWithoutCard { after }).await
    }

    /// Verified versions that cards in force are older than, in the order of the records' handles: those after `after`, up
    /// to `until` if that is given.
    pub async fn records_ahead_of_cards(
        &self,
        after: &str,
        until: Option<&str>,
        limit: i64,
    ) -> Result<Vec<Ahead>, Fault> {
        let doing = failed("reading records that are ahead of their cards");
        let statement = format!(
            "SELECT records.id, records.person, records.version FROM records JOIN cards ON {OLDER_CARD} \
             WHERE {NOT_COMPARED} AND records.person IS NOT NULL AND records.id > $1 {} ORDER BY records.id LIMIT $2",
            if until.is_some() { "AND records.id <= $3" } else { "" }
        );
        let mut query = sqlx::query(AssertSqlSafe(statement)).bind(after).bind(limit);
        if let Some(until) = until {
            query = query.bind(until);
        }
        let rows = query.fetch_all(self.readers()).await;
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

    /// Ends the card in force of a record whose term, at this verified version, is over, and marks the version as compared;
    /// `false` when the record has moved on.
    pub async fn end_term(&self, record: Handle, version: i64, at: UnixSeconds) -> Result<bool> {
        self.write(EndTerm { record, version, at }).await
    }

    /// Marks a version as compared.
    pub async fn mark_compared(&self, record: Handle, version: i64) -> Result<()> {
        self.write(MarkCompared { record, version }).await
    }
}

struct EndTerm {
    record: Handle,
    version: i64,
    at: UnixSeconds,
}

impl Change for EndTerm {
    type Done = bool;
    const MOVES_CARDS: bool = true;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let stands = format!(
            "UPDATE records SET compared_version = version WHERE records.id = $1 AND records.version = $2 \
             AND records.removed_at IS NULL AND {NOT_COMPARED}"
        );
        let stands = sqlx::query(AssertSqlSafe(stands))
            .bind(self.record.as_str())
            .bind(self.version)
            .execute(&mut **transaction)
            .await
            .map_err(failed("ending the term of a card"))?;
        if stands.rows_affected() == 0 {
            return Ok(false);
        }
        cards::end_term(transaction, &Selector::Record(self.record.clone()), self.version, "system", self.at).await?;
        Ok(true)
    }
}

struct EnsureCard {
    new: NewCard,
    actor: String,
}

impl Change for EnsureCard {
    type Done = Handle;

    fn order(&self) -> &str {
        self.new.record.as_str()
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Handle> {
        offers::card_in_force(transaction, &self.new, &self.actor).await
    }
}

struct MarkWithoutCard {
    after: String,
}

impl Change for MarkWithoutCard {
    type Done = Option<String>;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Option<String>> {
        let doing = failed("marking records as compared");
        let last = format!(
            "SELECT records.id FROM records WHERE {NOT_COMPARED} AND records.id > $1 ORDER BY records.id LIMIT 1 OFFSET $2"
        );
        let last = sqlx::query(AssertSqlSafe(last))
            .bind(&self.after)
            .bind(LOOKED_AT - 1)
            .fetch_optional(&mut **transaction)
            .await
            .map_err(&doing)?;
        let last = last.map(|row| row.try_get(0)).transpose().map_err(&doing)?;
        // A record that moves on meanwhile keeps its mark: what is compared is the version that was looked at.
        let statement = format!(
            "UPDATE records SET compared_version = looked_at.version FROM (SELECT records.id, records.version FROM records \
             WHERE {NOT_COMPARED} AND records.id > $1 ORDER BY records.id LIMIT $2) AS looked_at \
             WHERE records.id = looked_at.id AND records.version = looked_at.version \
             AND NOT EXISTS (SELECT 1 FROM cards WHERE {OLDER_CARD})"
        );
        sqlx::query(AssertSqlSafe(statement))
            .bind(&self.after)
            .bind(LOOKED_AT)
            .execute(&mut **transaction)
            .await
            .map_err(&doing)?;
        Ok(last)
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
