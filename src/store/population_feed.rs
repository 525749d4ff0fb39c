//! How far the registry's change feed was read, and what becomes of the records of people who changed there.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::{Change, Line, Store, Transaction, failed};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Result};
use crate::model::id::PersonalNumber;

/// The only feed there is.
const NAME: &str = "citizens";
/// Why a record is asked about again, in `records.pending_reason`.
const REASON: &str = "registry_change";
/// People of one statement.
const PEOPLE: usize = 500;

/// How far the feed was read. Instants of the registry are Unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedState {
    /// Everything before was read.
    pub through: i64,
    /// When the last round ended.
    pub round_at: Option<UnixSeconds>,
    /// How: `ok`, or what was wrong.
    pub outcome: String,
}

/// The feed, ours to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedClaim {
    /// Everything before was read.
    pub through: i64,
    /// The end of a window that was begun before.
    pub until: Option<i64>,
    /// The page that comes next.
    pub page: i64,
    /// Names the claim.
    pub claim: i64,
}

impl Store {
    /// How far the feed was read; `None` before the first round.
    pub async fn population_feed(&self) -> Result<Option<FeedState>, Fault> {
        let doing = failed("reading the place in the change feed");
        let row = sqlx::query("SELECT through, round_at, outcome FROM population_feed WHERE name = $1")
            .bind(NAME)
            .fetch_optional(self.readers())
            .await
            .map_err(&doing)?;
        let read = |row: AnyRow| -> Result<_, sqlx::Error> {
            Ok(FeedState { through: row.try_get(0)?, round_at: row.try_get(1)?, outcome: row.try_get(2)? })
        };
        row.map(read).transpose().map_err(doing)
    }

    /// Claims the feed until `until`, if its turn has come and nobody else has it. The first time it begins at `begin`.
    pub async fn claim_feed(&self, begin: i64, now: UnixSeconds, until: UnixSeconds) -> Result<Option<FeedClaim>> {
        self.write(Claim { begin, now, until }).await
    }

    /// Has the records of these people asked about again, and notes that their page of the window up to `window` was read;
    /// the claim lasts until `until`. `None` if it is over; else, how many records.
    pub async fn take_feed_page(
        &self,
        claim: &FeedClaim,
        window: i64,
        people: Vec<PersonalNumber>,
        now: UnixSeconds,
        until: UnixSeconds,
    ) -> Result<Option<u64>> {
        self.write(Page { claim: claim.clone(), window, people, now, until }).await
    }

    /// Ends a round: the window up to `through` was read, if that is given, and the next round is due at `next_at`.
    pub async fn end_feed_round(
        &self,
        claim: &FeedClaim,
        through: Option<i64>,
        outcome: &str,
        now: UnixSeconds,
        next_at: UnixSeconds,
    ) -> Result<bool> {
        self.write(End { claim: claim.claim, through, outcome: outcome.to_owned(), now, next_at }).await
    }
}

struct Claim {
    begin: i64,
    now: UnixSeconds,
    until: UnixSeconds,
}

impl Change for Claim {
    type Done = Option<FeedClaim>;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Option<FeedClaim>> {
        let doing = failed("claiming the change feed");
        sqlx::query(
            "INSERT INTO population_feed (name, through, page, claim, next_at) VALUES ($1, $2, 1, 0, $3) \
             ON CONFLICT DO NOTHING",
        )
        .bind(NAME)
        .bind(self.begin)
        .bind(self.now)
        .execute(&mut **transaction)
        .await
        .map_err(&doing)?;
        let row = sqlx::query(
            "UPDATE population_feed SET claim = claim + 1, next_at = $3 WHERE name = $1 AND next_at <= $2 \
             RETURNING through, until, page, claim",
        )
        .bind(NAME)
        .bind(self.now)
        .bind(self.until)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(&doing)?;
        let read = |row: AnyRow| -> Result<_, sqlx::Error> {
            let (through, until) = (row.try_get(0)?, row.try_get(1)?);
            Ok(FeedClaim { through, until, page: row.try_get(2)?, claim: row.try_get(3)? })
        };
        Ok(row.map(read).transpose().map_err(doing)?)
    }
}

struct Page {
    claim: FeedClaim,
    window: i64,
    people: Vec<PersonalNumber>,
    now: UnixSeconds,
    until: UnixSeconds,
}

impl Change for Page {
    type Done = Option<u64>;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Option<u64>> {
        let doing = failed("reading a page of the change feed");
        let moved = sqlx::query(
            "UPDATE population_feed SET page = page + 1, until = $3, next_at = $4 \
             WHERE name = $1 AND claim = $2 AND page = $5",
        )
        .bind(NAME)
        .bind(self.claim.claim)
        .bind(self.window)
        .bind(self.until)
        .bind(self.claim.page)
        .execute(&mut **transaction)
        .await
        .map_err(&doing)?;
        if moved.rows_affected() == 0 {
            return Ok(None);
        }
        let mut records = 0;
        for people in self.people.chunks(PEOPLE) {
            let listed = (3..3 + people.len()).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ");
            // Also of records that are asked about just now: that answer may be from before the change.
            let statement = format!(
                "UPDATE records SET population = 'pending', population_detail = '', checked_at = NULL, tried_at = NULL, \
                 claimed_until = NULL, pending_at = $1, pending_reason = $2 \
                 WHERE removed_at IS NULL AND person IN ({listed}) RETURNING id"
            );
            let mut query = sqlx::query(AssertSqlSafe(statement)).bind(self.now).bind(REASON);
            for person in people {
                query = query.bind(person.expose());
            }
            for row in query.fetch_all(&mut **transaction).await.map_err(&doing)? {
                let (subject, actor, detail) = (row.try_get(0).map_err(&doing)?, "system".into(), REASON.into());
                transaction.note(Line { at: self.now, actor, action: "population.pending", subject, detail });
                records += 1;
            }
        }
        Ok(Some(records))
    }
}

struct End {
    claim: i64,
    through: Option<i64>,
    outcome: String,
    now: UnixSeconds,
    next_at: UnixSeconds,
}

impl Change for End {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let done = sqlx::query(
            "UPDATE population_feed SET through = COALESCE($3, through), \
             until = CASE WHEN $3 IS NULL THEN until END, page = CASE WHEN $3 IS NULL THEN page ELSE 1 END, \
             outcome = $4, round_at = $5, next_at = $6 WHERE name = $1 AND claim = $2",
        )
        .bind(NAME)
        .bind(self.claim)
        .bind(self.through)
        .bind(&self.outcome)
        .bind(self.now)
        .bind(self.next_at)
        .execute(&mut **transaction)
        .await
        .map_err(failed("ending a round of the change feed"))?;
        Ok(done.rows_affected() == 1)
    }
}
