//! What is under way to others: how far each subscriber of webhooks has got, and the offers that are pushed.
//!
//! Whoever sends claims the row first, by one conditional statement that also says when the claim ends: of two processes
//! one sends, and when it dies another goes on.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::cards::handle;
use super::{Change, Offer, Store, Transaction, failed};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Result};
use crate::model::id::{Handle, PersonalNumber};

/// How far a subscriber has got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscriber {
    /// Its name in the configuration.
    pub name: String,
    /// Everything up to here was acknowledged.
    pub delivered: i64,
    /// When it may be tried again, or when the claim of whoever sends ends.
    pub next_attempt_at: UnixSeconds,
    /// Failures since the last success.
    pub failures: i64,
    /// Since when it fails for so long that somebody should look.
    pub parked_at: Option<UnixSeconds>,
    /// How the last attempt ended.
    pub outcome: Option<String>,
}

/// A subscriber that is ours to send to, until the claim ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Where the delivery begins.
    pub after: i64,
    /// Where it ends, when it was begun before.
    pub through: Option<i64>,
    /// Names the claim.
    pub claim: i64,
    /// Failures since the last success.
    pub failures: i64,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It was acknowledged.
    Delivered,
    /// It was not.
    Failed {
        /// When to try again.
        next_attempt_at: UnixSeconds,
        /// What the other side said, in a few words.
        outcome: String,
        /// Failures in a row from which on it counts as parked.
        park_after: i64,
    },
}

/// An offer that is ours to push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuePush {
    /// The offer's name.
    pub offer: String,
    /// The card that it is for.
    pub card: Handle,
    /// Whose card.
    pub person: PersonalNumber,
    /// When the offer expires.
    pub expires_at: UnixSeconds,
    /// Whether it can be taken by its pre-authorized code, so that it has a transaction code.
    pub by_code: bool,
    /// The number of this attempt; it names the claim.
    pub attempt: i64,
}

/// How many pushes are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PushCounts {
    /// Acknowledged.
    pub delivered: i64,
    /// Under way or waiting for their turn.
    pub waiting: i64,
    /// Of those, tried before.
    pub failing: i64,
    /// Given up because the offer expired first.
    pub expired: i64,
}

impl Store {
    /// Enters a subscriber that is not known yet: it gets what happens from now on.
    pub async fn enter_subscriber(&self, name: &str) -> Result<()> {
        self.write(Enter(name.to_owned())).await
    }

    /// How far a subscriber has got.
    pub async fn subscriber(&self, name: &str) -> Result<Option<Subscriber>, Fault> {
        let doing = failed("reading a subscriber");
        let row = sqlx::query(
            "SELECT name, delivered_seq, next_attempt_at, failures, parked_at, outcome FROM webhook_cursors \
             WHERE name = $1",
        )
        .bind(name)
        .fetch_optional(self.readers())
        .await
        .map_err(&doing)?;
        let read = |row: AnyRow| -> Result<_, sqlx::Error> {
            Ok(Subscriber {
                name: row.try_get(0)?,
                delivered: row.try_get(1)?,
                next_attempt_at: row.try_get(2)?,
                failures: row.try_get(3)?,
                parked_at: row.try_get(4)?,
                outcome: row.try_get(5)?,
            })
        };
        row.map(read).transpose().map_err(doing)
    }

    /// Claims a subscriber until `until`, if its turn has come and nobody else has.
    pub async fn claim_subscriber(&self, name: &str, now: UnixSeconds, until: UnixSeconds) -> Result<Option<Claimed>> {
        self.write(Claim { name: name.to_owned(), now, until }).await
    }

    /// Fixes where the delivery under this claim ends, so that its repetition is the same; `false` if the claim is over.
    pub async fn begin_delivery(&self, name: &str, claim: i64, through: i64) -> Result<bool> {
        self.write(Begin { name: name.to_owned(), claim, through }).await
    }

    /// Notes how the delivery up to `through` ended, and ends the claim; `false` if it was over.
    pub async fn settle_delivery(
        &self,
        name: &str,
        claim: i64,
        through: i64,
        attempt: Attempt,
        at: UnixSeconds,
    ) -> Result<bool> {
        self.write(Settle { name: name.to_owned(), claim, through, attempt, at }).await
    }

    /// Claims at most `limit` offers that are due to be pushed, until `until`.
    pub async fn claim_pushes(&self, now: UnixSeconds, until: UnixSeconds, limit: i64) -> Result<Vec<DuePush>> {
        self.write(ClaimPushes { now, until, limit }).await
    }

    /// Whether an offer is due to be pushed: the cheap question before the claim.
    pub async fn has_due_push(&self, now: UnixSeconds) -> Result<bool, Fault> {
        let row = sqlx::query(
            "SELECT 1 FROM offer_pushes WHERE delivered_at IS NULL AND next_attempt_at <= $1 AND expires_at > $2 LIMIT 1",
        )
        .bind(now)
        .bind(now)
        .fetch_optional(self.readers())
        .await
        .map_err(failed("looking for offers to push"))?;
        Ok(row.is_some())
    }

    /// Notes how an attempt to push ended; `false` if its claim was over.
    pub async fn settle_push(&self, offer: &str, number: i64, attempt: Attempt, at: UnixSeconds) -> Result<bool> {
        self.write(SettlePush { offer: offer.to_owned(), number, attempt, at }).await
    }

    /// How many pushes are in which state.
    pub async fn count_pushes(&self, now: UnixSeconds) -> Result<PushCounts, Fault> {
        let doing = failed("counting offers to push");
        let row = sqlx::query(
            "SELECT COUNT(delivered_at), \
             COUNT(CASE WHEN delivered_at IS NULL AND expires_at > $1 THEN 1 END), \
             COUNT(CASE WHEN delivered_at IS NULL AND expires_at > $1 AND outcome IS NOT NULL THEN 1 END), \
             COUNT(CASE WHEN delivered_at IS NULL AND expires_at <= $1 THEN 1 END) FROM offer_pushes",
        )
        .bind(now)
        .fetch_one(self.readers())
        .await
        .map_err(&doing)?;
        let count = |at: usize| row.try_get::<i64, _>(at).map_err(&doing);
        Ok(PushCounts { delivered: count(0)?, waiting: count(1)?, failing: count(2)?, expired: count(3)? })
    }

    /// Whether this client made the offer.
    pub async fn offer_is_of(&self, offer: &str, client: &str) -> Result<bool, Fault> {
        let row = sqlx::query("SELECT 1 FROM offers WHERE id = $1 AND client = $2")
            .bind(offer)
            .bind(client)
            .fetch_optional(self.readers())
            .await
            .map_err(failed("reading an offer"))?;
        Ok(row.is_some())
    }
}

/// Has a new offer pushed, in the transaction that makes it.
pub(super) async fn push(
    transaction: &mut Transaction<'_>,
    offer: &str,
    expires_at: UnixSeconds,
    at: UnixSeconds,
) -> Result<(), Fault> {
    sqlx::query("INSERT INTO offer_pushes (offer, expires_at, next_attempt_at) VALUES ($1, $2, $3)")
        .bind(offer)
        .bind(expires_at)
        .bind(at)
        .execute(&mut **transaction)
        .await
        .map(|_| ())
        .map_err(failed("having an offer pushed"))
}

struct Enter(String);

impl Change for Enter {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        sqlx::query(
            "INSERT INTO webhook_cursors (name, delivered_seq, next_attempt_at) \
             SELECT $1, last, 0 FROM event_counter WHERE id = 1 ON CONFLICT DO NOTHING",
        )
        .bind(&self.0)
        .execute(&mut **transaction)
        .await
        .map_err(failed("entering a subscriber"))?;
        Ok(())
    }
}

struct Claim {
    name: String,
    now: UnixSeconds,
    until: UnixSeconds,
}

impl Change for Claim {
    type Done = Option<Claimed>;

    fn order(&self) -> &str {
        &self.name
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Option<Claimed>> {
        let doing = failed("claiming a subscriber");
        let row = sqlx::query(
            "UPDATE webhook_cursors SET next_attempt_at = $3, claim = claim + 1 \
             WHERE name = $1 AND next_attempt_at <= $2 RETURNING delivered_seq, sending_seq, claim, failures",
        )
        .bind(&self.name)
        .bind(self.now)
        .bind(self.until)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(&doing)?;
        let read = |row: AnyRow| -> Result<_, sqlx::Error> {
            Ok(Claimed {
                after: row.try_get(0)?,
                through: row.try_get(1)?,
                claim: row.try_get(2)?,
                failures: row.try_get(3)?,
            })
        };
        Ok(row.map(read).transpose().map_err(doing)?)
    }
}

struct Begin {
    name: String,
    claim: i64,
    through: i64,
}

impl Change for Begin {
    type Done = bool;

    fn order(&self) -> &str {
        &self.name
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let begun = sqlx::query("UPDATE webhook_cursors SET sending_seq = $3 WHERE name = $1 AND claim = $2")
            .bind(&self.name)
            .bind(self.claim)
            .bind(self.through)
            .execute(&mut **transaction)
            .await
            .map_err(failed("beginning a delivery"))?;
        Ok(begun.rows_affected() == 1)
    }
}

struct Settle {
    name: String,
    claim: i64,
    through: i64,
    attempt: Attempt,
    at: UnixSeconds,
}

impl Change for Settle {
    type Done = bool;

    fn order(&self) -> &str {
        &self.name
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let query = match &self.attempt {
            Attempt::Delivered => sqlx::query(
                "UPDATE webhook_cursors SET delivered_seq = $3, sending_seq = NULL, next_attempt_at = $4, failures = 0, \
                 parked_at = NULL, outcome = 'delivered' WHERE name = $1 AND claim = $2",
            )
            .bind(&self.name)
            .bind(self.claim)
            .bind(self.through)
            .bind(self.at),
            Attempt::Failed { next_attempt_at, outcome, park_after } => sqlx::query(
                "UPDATE webhook_cursors SET failures = failures + 1, next_attempt_at = $3, outcome = $4, \
                 parked_at = CASE WHEN failures + 1 >= $5 THEN COALESCE(parked_at, $6) ELSE parked_at END \
                 WHERE name = $1 AND claim = $2",
            )
            .bind(&self.name)
            .bind(self.claim)
            .bind(next_attempt_at)
            .bind(outcome)
            .bind(park_after)
            .bind(self.at),
        };
        let settled = query.execute(&mut **transaction).await.map_err(failed("settling a delivery"))?;
        Ok(settled.rows_affected() == 1)
    }
}

struct ClaimPushes {
    now: UnixSeconds,
    until: UnixSeconds,
    limit: i64,
}

impl Change for ClaimPushes {
    type Done = Vec<DuePush>;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Vec<DuePush>> {
        let doing = failed("claiming offers to push");
        let due = "delivered_at IS NULL AND next_attempt_at <= $1 AND expires_at > $1";
        let statement = format!(
            "UPDATE offer_pushes SET next_attempt_at = $2, attempts = attempts + 1 WHERE offer IN \
             (SELECT offer FROM offer_pushes WHERE {due} ORDER BY next_attempt_at, offer LIMIT $3) AND {due} \
             RETURNING offer, attempts, expires_at"
        );
        let claimed = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(self.now)
            .bind(self.until)
            .bind(self.limit)
            .fetch_all(&mut **transaction)
            .await
            .map_err(&doing)?;
        let mut pushes = Vec::with_capacity(claimed.len());
        for claim in claimed {
            let offer: String = claim.try_get("offer").map_err(&doing)?;
            let row = sqlx::query(
                "SELECT cards.handle, cards.person, offers.grant_types FROM offers JOIN cards ON cards.handle = offers.card \
                 WHERE offers.id = $1",
            )
            .bind(&offer)
            .fetch_one(&mut **transaction)
            .await
            .map_err(&doing)?;
            let person: String = row.try_get("person").map_err(&doing)?;
            let grant_types: String = row.try_get("grant_types").map_err(&doing)?;
            pushes.push(DuePush {
                offer,
                card: handle(&row, "handle")?,
                person: PersonalNumber::parse(&person)
                    .ok_or_else(|| Fault::new("claiming offers to push", "a personal number is malformed"))?,
                expires_at: claim.try_get("expires_at").map_err(&doing)?,
                by_code: grant_types.split(' ').any(|one| one == Offer::PRE_AUTHORIZED),
                attempt: claim.try_get("attempts").map_err(&doing)?,
            });
        }
        Ok(pushes)
    }
}

struct SettlePush {
    offer: String,
    number: i64,
    attempt: Attempt,
    at: UnixSeconds,
}

impl Change for SettlePush {
    type Done = bool;

    fn order(&self) -> &str {
        &self.offer
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let query = match &self.attempt {
            Attempt::Delivered => sqlx::query(
                "UPDATE offer_pushes SET delivered_at = $3, outcome = 'delivered' WHERE offer = $1 AND attempts = $2",
            )
            .bind(&self.offer)
            .bind(self.number)
            .bind(self.at),
            Attempt::Failed { next_attempt_at, outcome, .. } => sqlx::query(
                "UPDATE offer_pushes SET next_attempt_at = $3, outcome = $4 WHERE offer = $1 AND attempts = $2",
            )
            .bind(&self.offer)
            .bind(self.number)
            .bind(next_attempt_at)
            .bind(outcome),
        };
        let settled = query.execute(&mut **transaction).await.map_err(failed("settling a push"))?;
        Ok(settled.rows_affected() == 1)
    }
}
