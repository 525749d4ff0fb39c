//! Offers, and the wallet's access token that redeeming one gives.

use sqlx::{AssertSqlSafe, Row};

use super::cards::{self, FoundCard, NewCard};
use super::{Change, Line, Store, Transaction, deliveries, failed};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Refusal, Result};
use crate::model::card::{Reason, State, StateName};
use crate::model::id::Handle;

/// Seconds after which a code whose token was never used may be redeemed again: its answer was lost. Within them a
/// second redemption is a second wallet.
const LOST_ANSWER_SECONDS: i64 = 2;

/// An offer that is to be made, with the card that it is for if the record has none in force yet.
#[derive(Clone, Debug)]
pub struct NewOffer {
    /// Its random name.
    pub id: String,
    /// The client that asked.
    pub client: String,
    /// Its idempotency key.
    pub idempotency_key: Option<String>,
    /// Digest of what it asked for.
    pub request_hash: String,
    /// Configuration identifiers, separated by spaces.
    pub configurations: String,
    /// When the offer expires.
    pub expires_at: UnixSeconds,
    /// The card to make, if there is none in force that says the same.
    pub card: NewCard,
    /// Whether it is pushed to the backend.
    pub push: bool,
}

/// An offer as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Its name.
    pub id: String,
    /// The card.
    pub card: Handle,
    /// Configuration identifiers, separated by spaces.
    pub configurations: String,
    /// When it expires.
    pub expires_at: UnixSeconds,
    /// When it was redeemed.
    pub redeemed_at: Option<UnixSeconds>,
    /// Wrong transaction codes so far.
    pub failed_attempts: i64,
}

/// An attempt to redeem an offer.
#[derive(Clone, Debug)]
pub struct Redemption {
    /// The offer that the code names.
    pub offer: String,
    /// Whether the transaction code was right.
    pub right_tx_code: bool,
    /// The wallet product, when it authenticated itself.
    pub wallet_client: Option<String>,
    /// Hash of the token to give.
    pub token_hash: String,
    /// When that token expires.
    pub token_expires_at: UnixSeconds,
    /// Wrong transaction codes that close an offer.
    pub max_attempts: i64,
    /// Now.
    pub at: UnixSeconds,
}

/// What a wallet's access token stands for.
#[derive(Clone, Debug)]
pub struct WalletToken {
    /// The offer that it was given for.
    pub offer: String,
    /// The configurations that were offered, separated by spaces.
    pub configurations: String,
    /// The wallet product that it was given to, when it authenticated itself.
    pub wallet_client: Option<String>,
    /// The card, with what it says.
    pub found: FoundCard,
}

impl Store {
    /// Makes an offer and, where needed, its card. The same key and request give the offer that was made first. A card
    /// in force whose record meanwhile says something else is replaced in the same transaction.
    pub async fn make_offer(&self, new: NewOffer) -> Result<Offer> {
        self.write(MakeOffer(new)).await
    }

    /// An offer by its name.
    pub async fn offer(&self, id: &str) -> Result<Option<Offer>, Fault> {
        let row = sqlx::query(
            "SELECT id, card, configurations, expires_at, redeemed_at, failed_attempts FROM offers WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(self.readers())
        .await
        .map_err(failed("reading an offer"))?;
        row.as_ref().map(read).transpose()
    }

    /// Redeems an offer for the token: of several at once exactly one succeeds. A wrong transaction code is counted.
    /// Returns the offered configurations.
    pub async fn redeem_offer(&self, redemption: Redemption) -> Result<String> {
        self.write(redemption).await
    }

    /// What a live access token of a wallet stands for.
    pub async fn wallet_token(&self, hash: &str, now: UnixSeconds) -> Result<Option<WalletToken>, Fault> {
        let row = sqlx::query(AssertSqlSafe(format!(
            "SELECT offers.id, offers.configurations, offers.wallet_client, {}, portraits.bytes AS portrait \
             FROM offers JOIN cards ON cards.handle = offers.card \
             LEFT JOIN portraits ON portraits.sha256 = cards.portrait \
             WHERE offers.token_hash = $1 AND offers.token_expires_at > $2",
            cards::columns()
        )))
        .bind(hash)
        .bind(now)
        .fetch_optional(self.readers())
        .await
        .map_err(failed("reading an access token"))?;
        row.map(|row| {
            let doing = failed("reading an access token");
            Ok(WalletToken {
                offer: row.try_get("id").map_err(&doing)?,
                configurations: row.try_get("configurations").map_err(&doing)?,
                wallet_client: row.try_get("wallet_client").map_err(&doing)?,
                found: cards::found(&row)?,
            })
        })
        .transpose()
    }
}

struct MakeOffer(NewOffer);

impl Change for MakeOffer {
    type Done = Offer;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Offer> {
        let new = &self.0;
        if let Some(key) = &new.idempotency_key
            && let Some(earlier) = earlier_offer(transaction, &new.client, key, &new.request_hash).await?
        {
            return Ok(earlier);
        }
        let card = card_in_force(transaction, new).await?;
        sqlx::query(
            "INSERT INTO offers (id, card, client, idempotency_key, request_hash, configurations, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(&new.id)
        .bind(card.as_str())
        .bind(&new.client)
        .bind(&new.idempotency_key)
        .bind(&new.request_hash)
        .bind(&new.configurations)
        .bind(new.card.created_at)
        .bind(new.expires_at)
        .execute(&mut **transaction)
        .await
        .map_err(failed("making an offer"))?;
        if new.push {
            deliveries::push(transaction, &new.id, new.expires_at, new.card.created_at).await?;
        }
        let (at, actor) = (new.card.created_at, new.client.clone());
        let line =
            Line { at, actor, action: "offer.made", subject: card.to_string(), detail: new.configurations.clone() };
        transaction.note(line);
        Ok(Offer {
            id: new.id.clone(),
            card,
            configurations: new.configurations.clone(),
            expires_at: new.expires_at,
            redeemed_at: None,
            failed_attempts: 0,
        })
    }
}

async fn earlier_offer(
    transaction: &mut Transaction<'_>,
    client: &str,
    key: &str,
    request_hash: &str,
) -> Result<Option<Offer>> {
    let row = sqlx::query(
        "SELECT id, card, configurations, expires_at, redeemed_at, failed_attempts, request_hash FROM offers \
         WHERE client = $1 AND idempotency_key = $2",
    )
    .bind(client)
    .bind(key)
    .fetch_optional(&mut **transaction)
    .await
    .map_err(failed("reading an offer"))?;
    let Some(row) = row else { return Ok(None) };
    let same: String = row.try_get("request_hash").map_err(failed("reading an offer"))?;
    if same != request_hash {
        return Err(Refusal::IdempotencyKeyReused.into());
    }
    Ok(Some(read(&row)?))
}

/// The card that the offer is for: the one in force, or a new one.
async fn card_in_force(transaction: &mut Transaction<'_>, new: &NewOffer) -> Result<Handle> {
    let now = new.card.created_at;
    still_verified(transaction, &new.card).await?;
    let mut over = None;
    if let Some(FoundCard { card, facts }) = cards::in_force(transaction, &new.card.record).await? {
        let change = if card.record_version == new.card.record_version {
            // What differs then is only a label, which another process may have read earlier.
            None
        } else {
            facts.change_to(&new.card.facts)
        };
        match (card.state_at(now), change) {
            (State::Locked { .. }, _) => {
                return Err(Refusal::CardState { state: StateName::Locked.word(), action: "offered" }.into());
            }
            (State::Active, None) => return Ok(card.handle),
            (State::Active, Some(reason)) => {
                cards::replace(transaction, &card.handle, &new.card, reason, &new.client).await?;
                return Ok(new.card.handle.clone());
            }
            (State::Expired { .. } | State::Withdrawn { .. }, _) => over = Some(card.handle),
        }
    }
    // What refuses comes before what writes.
    not_ended(transaction, &new.card).await?;
    if let Some(over) = over {
        cards::expire(transaction, &over, now).await?;
    }
    if !cards::insert(transaction, &new.card).await? {
        // Another request made it between our reading and our writing.
        let made = cards::in_force(transaction, &new.card.record).await?;
        return made.map(|made| made.card.handle).ok_or_else(|| Fault::new("making a card", "it is not there").into());
    }
    let line = Line {
        at: now,
        actor: new.client.clone(),
        action: "card.created",
        subject: new.card.handle.to_string(),
        detail: format!("record version {}", new.card.record_version),
    };
    transaction.note(line);
    Ok(new.card.handle.clone())
}

/// Refuses a card from facts that were read before the record moved on.
async fn still_verified(transaction: &mut Transaction<'_>, card: &NewCard) -> Result<()> {
    let row = sqlx::query(
        "SELECT 1 FROM records WHERE id = $1 AND version = $2 AND population = 'matched' AND confirmed_at IS NOT NULL",
    )
    .bind(card.record.as_str())
    .bind(card.record_version)
    .fetch_optional(&mut **transaction)
    .await
    .map_err(failed("reading a record"))?;
    row.map(|_| ()).ok_or_else(|| Refusal::NotVerified("it has just changed; ask again").into())
}

/// Refuses another card from a version after [`Reason::ENDING`].
async fn not_ended(transaction: &mut Transaction<'_>, card: &NewCard) -> Result<()> {
    let ending = Reason::ENDING.map(|reason| format!("'{}'", reason.code())).join(", ");
    let left = sqlx::query(AssertSqlSafe(format!(
        "SELECT 1 FROM cards WHERE record_id = $1 AND record_version = $2 AND state = 'withdrawn' \
         AND state_reason IN ({ending})"
    )))
    .bind(card.record.as_str())
    .bind(card.record_version)
    .fetch_optional(&mut **transaction)
    .await
    .map_err(failed("reading withdrawn cards"))?;
    match left {
        Some(_) => {
            Err(Refusal::NotVerified("the card was withdrawn for good; the unit must confirm a newer record").into())
        }
        None => Ok(()),
    }
}

impl Change for Redemption {
    type Done = String;

    fn order(&self) -> &str {
        &self.offer
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<String> {
        let open = "id = $1 AND expires_at > $2 AND failed_attempts < $3 AND token_used_at IS NULL \
            AND (redeemed_at IS NULL OR redeemed_at <= $4)";
        let statement = if self.right_tx_code {
            format!(
                "UPDATE offers SET redeemed_at = $2, token_hash = $5, token_expires_at = $6, wallet_client = $7 WHERE {open} \
                 RETURNING card, configurations"
            )
        } else {
            format!(
                "UPDATE offers SET failed_attempts = failed_attempts + 1 WHERE {open} RETURNING card, configurations"
            )
        };
        let mut query = sqlx::query(AssertSqlSafe(statement))
            .bind(&self.offer)
            .bind(self.at)
            .bind(self.max_attempts)
            .bind(self.at - LOST_ANSWER_SECONDS);
        if self.right_tx_code {
            query = query.bind(&self.token_hash).bind(self.token_expires_at).bind(&self.wallet_client);
        }
        let row = query.fetch_optional(&mut **transaction).await.map_err(failed("redeeming an offer"))?;
        let Some(row) = row else {
            return Err(Refusal::InvalidGrant("the pre-authorized code is unknown, expired, used or closed").into());
        };
        let column = |name: &str| row.try_get::<String, _>(name).map_err(failed("redeeming an offer"));
        let action = if self.right_tx_code { "offer.redeemed" } else { "offer.wrong_tx_code" };
        // Not the offer's name: who reads the audit table could fetch the offer.
        let (actor, detail) = ("wallet".to_owned(), self.wallet_client.clone().unwrap_or_default());
        transaction.note(Line { at: self.at, actor, action, subject: column("card")?, detail });
        Ok(column("configurations")?)
    }
}

fn read(row: &sqlx::any::AnyRow) -> Result<Offer, Fault> {
    let doing = failed("reading an offer");
    Ok(Offer {
        id: row.try_get("id").map_err(&doing)?,
        card: cards::handle(row, "card")?,
        configurations: row.try_get("configurations").map_err(&doing)?,
        expires_at: row.try_get("expires_at").map_err(&doing)?,
        redeemed_at: row.try_get("redeemed_at").map_err(&doing)?,
        failed_attempts: row.try_get("failed_attempts").map_err(&doing)?,
    })
}
