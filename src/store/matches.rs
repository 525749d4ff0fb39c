//! Matching records with the population database: what is to be asked, who asks it, what came of it.
//!
//! Promises: a record is asked about by one process at a time, and by another when that one died; every question is on
//! record before it is sent; an answer is noted for the version that was asked about, or not at all; a card is locked in
//! the transaction that notes the discrepancy, and given back only by this cause.

use std::collections::HashMap;

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::cards::{self, By, Move, NOT_IN_SERVICE, handle};
use super::records::{selection, stored};
use super::{Change, Line, Store, StoredRecord, Transaction, failed, places};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Result};
use crate::model::card::{Reason, Selector, Step};
use crate::model::id::Handle;
use crate::model::person::MatchOutcome;

/// Who gives cards back.
const ACTOR: &str = "system";
/// The cause of a lock that a discrepancy sets, in `cards.hold`.
pub(super) const HOLD: &str = "population";
/// How long a record rests whose question had an answer that cannot be used, in seconds: such an answer is the same again.
pub const UNREADABLE_SECONDS: i64 = 86_400;
/// The `tried_at` of a record that cannot be asked about as it is: it rests until what is asked by changes.
pub(super) const NOT_ASKABLE: UnixSeconds = i64::MAX;
/// Cards that one change gives back.
const RELEASED: i64 = 200;

/// A record that is to be asked about.
#[derive(Clone, Debug)]
pub struct ToMatch {
    /// The record, without the bytes of its portrait.
    pub stored: StoredRecord,
    /// How fresh it is: where it stands in the order of matching.
    pub fresh: UnixSeconds,
    /// Since when it is to be asked about again although it did not change.
    pub pending_at: Option<UnixSeconds>,
    /// Whether what it says was found right before.
    pub was_matched: bool,
}

/// A question that is on record and may be sent.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its number.
    pub query: i64,
    /// What it is about.
    pub about: ToMatch,
    /// Who asks.
    pub officer: String,
    /// Why.
    pub purpose: String,
}

/// What became of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Concluded {
    /// Whether it was noted: not if the record has moved on.
    pub is_noted: bool,
    /// Cards that it locked.
    pub locked: Vec<Handle>,
    /// Whether a card of the record is locked by an earlier discrepancy.
    pub is_held: bool,
}

/// How a question ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// It was sent, and nothing came back.
    Unanswered,
    /// It was sent, and what came back cannot be used: the record rests for [`UNREADABLE_SECONDS`] more.
    Unreadable,
    /// It was not sent.
    NotSent,
}

impl Store {
    /// Records that the population database is to be asked about, the freshest first, after `after` (freshness and name):
    /// nobody asks about them, and nobody did in vain after `tried_before`. Those that rest for good are none of them.
    pub async fn records_to_match(
        &self,
        after: Option<&(UnixSeconds, Handle)>,
        tried_before: UnixSeconds,
        now: UnixSeconds,
        limit: i64,
    ) -> Result<Vec<ToMatch>, Fault> {
        let (fresh, name) = after.map_or((i64::MAX, String::new()), |(fresh, handle)| (*fresh, handle.to_string()));
        let statement = to_match(
            "records.population = 'pending' AND records.removed_at IS NULL \
             AND (records.claimed_until IS NULL OR records.claimed_until <= $1) \
             AND (records.tried_at IS NULL OR records.tried_at <= $2) \
             AND COALESCE(records.pending_at, records.changed_at) <= $3 \
             AND (COALESCE(records.pending_at, records.changed_at) < $3 OR records.id < $4 OR $4 = '') \
             ORDER BY COALESCE(records.pending_at, records.changed_at) DESC, records.id DESC LIMIT $5",
        );
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(now)
            .bind(tried_before.min(NOT_ASKABLE - 1))
            .bind(fresh)
            .bind(name)
            .bind(limit)
            .fetch_all(self.readers())
            .await;
        rows.map_err(failed("reading records to match"))?.iter().map(read).collect()
    }

    /// The same for one record, whatever was found about it.
    pub async fn record_to_match(&self, record: &Handle) -> Result<Option<ToMatch>, Fault> {
        let row = sqlx::query(AssertSqlSafe(to_match("records.id = $1 AND records.removed_at IS NULL")))
            .bind(record.as_str())
            .fetch_optional(self.readers())
            .await;
        row.map_err(failed("reading a record to match"))?.as_ref().map(read).transpose()
    }

    /// Claims records until `until` and puts a question about each on record. Returns those that nobody else has claimed
    /// meanwhile.
    pub async fn ask_about(
        &self,
        about: Vec<ToMatch>,
        officer: &str,
        purpose: &str,
        at: UnixSeconds,
        until: UnixSeconds,
    ) -> Result<Vec<Asked>> {
        self.begin(about, officer, purpose, at, Some(until)).await
    }

    /// Puts a question on record that somebody waits for: the record is not claimed.
    pub async fn ask_now(
        &self,
        about: ToMatch,
        officer: &str,
        purpose: &str,
        at: UnixSeconds,
    ) -> Result<Option<Asked>> {
        Ok(self.begin(vec![about], officer, purpose, at, None).await?.pop())
    }

    async fn begin(
        &self,
        about: Vec<ToMatch>,
        officer: &str,
        purpose: &str,
        at: UnixSeconds,
        claim_until: Option<UnixSeconds>,
    ) -> Result<Vec<Asked>> {
        if about.is_empty() {
            return Ok(Vec::new());
        }
        let versions = about.iter().map(|one| (one.stored.handle.to_string(), one.stored.version)).collect();
        let (officer, purpose) = (officer.to_owned(), purpose.to_owned());
        let begin = Begin { versions, officer: officer.clone(), purpose: purpose.clone(), at, claim_until };
        let mut begun = self.write(begin).await?;
        let asked = about.into_iter().filter_map(|about| {
            let query = begun.remove(about.stored.handle.as_str())?;
            Some(Asked { query, about, officer: officer.clone(), purpose: purpose.clone() })
        });
        Ok(asked.collect())
    }

    /// Notes an answer, if the record still is what was asked about. A discrepancy in what was once found right locks the
    /// record's card (`under_review`).
    pub async fn conclude(&self, asked: &Asked, outcome: &MatchOutcome, at: UnixSeconds) -> Result<Concluded> {
        let (asked, outcome) = (asked.clone(), outcome.clone());
        if asked.about.was_matched && !outcome.is_match() {
            self.write(Conclude::<true> { asked, outcome, at }).await
        } else {
            self.write(Conclude::<false> { asked, outcome, at }).await
        }
    }

    /// Notes that a question was not answered, or not even sent, and gives the record free.
    pub async fn conclude_without(&self, asked: &Asked, held: Held, at: UnixSeconds) -> Result<()> {
        self.write(WithoutAnswer { asked: asked.clone(), held, at }).await
    }

    /// Notes that nothing can be asked about these versions of records, so that they come up again when their number, name,
    /// sex or birth date change.
    pub async fn rest(&self, versions: Vec<(Handle, i64)>) -> Result<()> {
        if versions.is_empty() {
            return Ok(());
        }
        self.write(Rest { versions }).await
    }

    /// Gives back the cards that a discrepancy locked and whose records are matched again: those of `record`, or some of
    /// all. What the record says of its person's service stays a reason of its own. Returns the cards.
    pub async fn release_held(&self, record: Option<&Handle>, at: UnixSeconds) -> Result<Vec<Handle>> {
        self.write(Release { record: record.cloned(), at }).await
    }
}

fn to_match(condition: &str) -> String {
    selection(
        ", COALESCE(records.pending_at, records.changed_at) AS fresh, records.pending_at, \
         CAST(CASE WHEN records.matched_key = records.match_key THEN 1 ELSE 0 END AS BIGINT) AS was_matched",
        condition,
    )
}

fn read(row: &AnyRow) -> Result<ToMatch, Fault> {
    let doing = failed("reading a record to match");
    Ok(ToMatch {
        stored: stored(row)?,
        fresh: row.try_get("fresh").map_err(&doing)?,
        pending_at: row.try_get("pending_at").map_err(&doing)?,
        was_matched: row.try_get::<i64, _>("was_matched").map_err(&doing)? == 1,
    })
}

struct Begin {
    versions: Vec<(String, i64)>,
    officer: String,
    purpose: String,
    at: UnixSeconds,
    claim_until: Option<UnixSeconds>,
}

impl Change for Begin {
    /// Number of the question, by record.
    type Done = HashMap<String, i64>;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Self::Done> {
        let doing = failed("beginning to ask the population database");
        let mut ours = self.versions.clone();
        if let Some(until) = self.claim_until {
            let one = |at: usize| format!("(id = ${} AND version = ${})", 2 * at + 3, 2 * at + 4);
            let listed = (0..ours.len()).map(one).collect::<Vec<_>>().join(" OR ");
            let statement = format!(
                "UPDATE records SET claimed_until = $1 WHERE population = 'pending' \
                 AND (claimed_until IS NULL OR claimed_until <= $2) AND ({listed}) RETURNING id"
            );
            let mut query = sqlx::query(AssertSqlSafe(statement)).bind(until).bind(self.at);
            for (record, version) in &ours {
                query = query.bind(record).bind(version);
            }
            let rows = query.fetch_all(&mut **transaction).await.map_err(&doing)?;
            let claimed =
                rows.iter().map(|row| row.try_get::<String, _>(0)).collect::<Result<Vec<_>, _>>().map_err(&doing)?;
            ours.retain(|(record, _)| claimed.contains(record));
        }
        if ours.is_empty() {
            return Ok(HashMap::new());
        }
        let statement = format!(
            "INSERT INTO population_queries (record, version, officer, purpose, kind, asked_at) VALUES {} \
             RETURNING seq, record",
            places(ours.len(), 6)
        );
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for (record, version) in &ours {
            query =
                query.bind(record).bind(version).bind(&self.officer).bind(&self.purpose).bind("look_up").bind(self.at);
        }
        let rows = query.fetch_all(&mut **transaction).await.map_err(&doing)?;
        let begun = rows.iter().map(|row| Ok((row.try_get(1)?, row.try_get(0)?)));
        Ok(begun.collect::<Result<_, sqlx::Error>>().map_err(&doing)?)
    }
}

/// Writes how a question ended.
async fn end_query(
    transaction: &mut Transaction<'_>,
    query: i64,
    outcome: &str,
    detail: &str,
    at: UnixSeconds,
) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE population_queries SET outcome = $2, detail = $3, answered_at = $4 WHERE seq = $1 AND outcome IS NULL",
    )
    .bind(query)
    .bind(outcome)
    .bind(detail)
    .bind(at)
    .execute(&mut **transaction)
    .await
    .map(|_| ())
    .map_err(failed("noting how a question to the population database ended"))
}

/// `LOCKS`: whether the discrepancy locks the card.
struct Conclude<const LOCKS: bool> {
    asked: Asked,
    outcome: MatchOutcome,
    at: UnixSeconds,
}

impl<const LOCKS: bool> Change for Conclude<LOCKS> {
    type Done = Concluded;
    const MOVES_CARDS: bool = LOCKS;

    fn order(&self) -> &str {
        self.asked.about.stored.handle.as_str()
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Concluded> {
        let doing = failed("noting a population match");
        let Self { asked, outcome, at } = self;
        let Asked { query, about, officer, purpose } = asked;
        let record = &about.stored.handle;
        // A death reaches the person's other cards once it is certain whose it is: `follow_due_at`.
        let noted = sqlx::query(
            "UPDATE records SET population = $3, population_detail = $4, checked_at = $5, claimed_until = NULL, \
             pending_at = NULL, pending_reason = '', follow_due_at = CASE \
             WHEN $3 = 'matched' AND out_of_service = 'deceased' THEN CAST($5 AS BIGINT) ELSE follow_due_at END, \
             matched_key = CASE WHEN $3 = 'matched' THEN match_key WHEN matched_key = match_key THEN NULL ELSE matched_key END \
             WHERE id = $1 AND version = $2 AND COALESCE(pending_at, 0) = $6 AND removed_at IS NULL",
        )
        .bind(record.as_str())
        .bind(about.stored.version)
        .bind(outcome.word())
        .bind(outcome.detail())
        .bind(at)
        .bind(about.pending_at.unwrap_or(0))
        .execute(&mut **transaction)
        .await
        .map_err(&doing)?;
        let mut concluded = Concluded { is_noted: noted.rows_affected() == 1, ..Concluded::default() };
        // Who asked and why is written down whether or not the answer is still of use.
        let detail = format!("version {} {purpose} {}", about.stored.version, outcome.detail());
        transaction.note(Line {
            at: *at,
            actor: officer.clone(),
            action: match outcome {
                MatchOutcome::Matched { .. } => "population.matched",
                MatchOutcome::NotFound => "population.not_found",
                MatchOutcome::Mismatched { .. } => "population.mismatched",
            },
            subject: record.to_string(),
            detail: detail.trim_end().to_owned(),
        });
        if !concluded.is_noted {
            end_query(transaction, *query, "overtaken", "", *at).await?;
            give_free(transaction, record, about.stored.version, None).await?;
            return Ok(concluded);
        }
        end_query(transaction, *query, outcome.word(), &outcome.detail(), *at).await?;
        if LOCKS {
            let because = format!("record version {} {}", about.stored.version, outcome.word());
            let by = By::Facts { hold: HOLD, because: &because };
            let lock = Move { step: Step::Lock, reason: Reason::UnderReview, actor: officer, at: *at, by };
            concluded.locked = cards::move_all(transaction, &Selector::Record(record.clone()), &lock).await?.cards;
        } else if outcome.is_match() {
            let held = sqlx::query("SELECT handle FROM cards WHERE record_id = $1 AND hold = $2 AND state = 'locked'")
                .bind(record.as_str())
                .bind(HOLD)
                .fetch_optional(&mut **transaction)
                .await
                .map_err(&doing)?;
            concluded.is_held = held.is_some();
        }
        Ok(concluded)
    }
}

/// Ends the claim on a version of a record; `tried_at` when it was asked about in vain. Another version has been free since
/// it came, and may be claimed by another.
async fn give_free(
    transaction: &mut Transaction<'_>,
    record: &Handle,
    version: i64,
    tried_at: Option<UnixSeconds>,
) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE records SET claimed_until = NULL, tried_at = COALESCE($3, tried_at) WHERE id = $1 AND version = $2",
    )
    .bind(record.as_str())
    .bind(version)
    .bind(tried_at)
    .execute(&mut **transaction)
    .await
    .map(|_| ())
    .map_err(failed("giving a record free"))
}

struct WithoutAnswer {
    asked: Asked,
    held: Held,
    at: UnixSeconds,
}

impl Change for WithoutAnswer {
    type Done = ();

    fn order(&self) -> &str {
        self.asked.about.stored.handle.as_str()
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        let Self { asked, held, at } = self;
        let record = &asked.about.stored.handle;
        let (word, tried_at) = match held {
            Held::Unanswered => ("unreachable", Some(*at)),
            Held::Unreadable => ("unreachable", Some(at + UNREADABLE_SECONDS)),
            Held::NotSent => ("not_sent", None),
        };
        give_free(transaction, record, asked.about.stored.version, tried_at).await?;
        end_query(transaction, asked.query, word, "", *at).await?;
        if *held != Held::NotSent {
            let (actor, subject, detail) = (asked.officer.clone(), record.to_string(), asked.purpose.clone());
            transaction.note(Line { at: *at, actor, action: "population.unreachable", subject, detail });
        }
        Ok(())
    }
}

struct Rest {
    versions: Vec<(Handle, i64)>,
}

impl Change for Rest {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        for (record, version) in &self.versions {
            give_free(transaction, record, *version, Some(NOT_ASKABLE)).await?;
        }
        Ok(())
    }
}

struct Release {
    record: Option<Handle>,
    at: UnixSeconds,
}

impl Change for Release {
    type Done = Vec<Handle>;
    const MOVES_CARDS: bool = true;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Vec<Handle>> {
        let doing = failed("giving cards back");
        let rows = sqlx::query(AssertSqlSafe(format!(
            "SELECT records.id, records.version, CASE WHEN {NOT_IN_SERVICE} THEN 1 ELSE 0 END AS not_in_service FROM cards \
             JOIN records ON records.id = cards.record_id \
             WHERE cards.hold = $1 AND cards.state = 'locked' AND records.population = 'matched' AND ($2 = '' OR records.id = $2) \
             ORDER BY records.id LIMIT $3"
        )))
        .bind(HOLD)
        .bind(self.record.as_ref().map_or("", Handle::as_str))
        .bind(RELEASED)
        .fetch_all(&mut **transaction)
        .await
        .map_err(&doing)?;
        let mut given_back = Vec::new();
        for row in &rows {
            let record = handle(row, "id")?;
            let version: i64 = row.try_get("version").map_err(&doing)?;
            if row.try_get::<i64, _>("not_in_service").map_err(&doing)? == 1 {
                // Whoever is not in service gets no card back; that cause may, when it ends.
                sqlx::query("UPDATE cards SET hold = 'status' WHERE record_id = $1 AND hold = $2 AND state = 'locked'")
                    .bind(record.as_str())
                    .bind(HOLD)
                    .execute(&mut **transaction)
                    .await
                    .map_err(&doing)?;
                continue;
            }
            let because = format!("record version {version} matched");
            let by = By::Facts { hold: HOLD, because: &because };
            let unlock = Move { step: Step::Unlock, reason: Reason::Cleared, actor: ACTOR, at: self.at, by };
            given_back.extend(cards::move_all(transaction, &Selector::Record(record), &unlock).await?.cards);
        }
        Ok(given_back)
    }
}
