//! What wallets were allowed: grants, and what they are good for now.

use sqlx::{AssertSqlSafe, Row};

use super::cards::{self, FoundCard};
use super::{Change, Line, Store, Transaction, failed};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Refusal, Result};
use crate::model::card::Reason;
use crate::model::id::{Handle, PersonalNumber};

/// Requests of one grant that may wait at the same time.
const MAX_WAITING: i64 = 20;

/// Replacements of a card that a wallet may have missed.
const MAX_REPLACEMENTS: usize = 64;
/// Cards named by one statement.
const CHUNK: usize = 500;

/// A grant that begins.
#[derive(Clone, Debug)]
pub struct NewGrant {
    /// A random name.
    pub id: String,
    /// The record that it is for.
    pub record: Handle,
    /// Whose it is.
    pub person: PersonalNumber,
    /// Its card; none while the record is under review.
    pub card: Option<Handle>,
    /// Who holds it.
    pub holder: Holder,
    /// Thumbprint of the DPoP key of its first token.
    pub token_key: Option<String>,
    /// Configuration identifiers, separated by spaces.
    pub configurations: String,
    /// Whether they were asked for by `authorization_details`.
    pub by_details: bool,
    /// The offer that it comes from.
    pub offer: Option<String>,
    /// Now.
    pub created_at: UnixSeconds,
    /// When it can no longer be refreshed.
    pub expires_at: UnixSeconds,
}

/// The wallet that holds a grant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// The wallet product, when it authenticated itself.
    pub client: Option<String>,
    /// Thumbprint of the attested key of its instance.
    pub instance_key: Option<String>,
    /// Thumbprint of the DPoP key, for a wallet that does not authenticate itself.
    pub dpop_key: Option<String>,
}

/// A live grant and what it is good for.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Its name.
    pub id: String,
    /// Who holds it.
    pub holder: Holder,
    /// Configuration identifiers, separated by spaces.
    pub configurations: String,
    /// Whether they were asked for by `authorization_details`.
    pub by_details: bool,
    /// When it can no longer be refreshed.
    pub expires_at: UnixSeconds,
    /// The record.
    pub record: Handle,
    /// Whose it is.
    pub person: PersonalNumber,
    /// The record's current version.
    pub record_version: i64,
    /// Whether that version is matched and confirmed.
    pub is_verified: bool,
    /// The newest card that it served.
    pub card: Option<Handle>,
    /// The card in force, with what it says.
    pub found: Option<FoundCard>,
}

/// A credential request that waits.
#[derive(Clone, Debug)]
pub struct Deferral {
    /// Its transaction id.
    pub id: String,
    /// Its grant.
    pub grant: String,
    /// What was asked for.
    pub configuration: String,
    /// The proved public keys: a JSON array of JWKs.
    pub holders: String,
    /// The nonce of its proofs.
    pub nonce: String,
    /// Digest of the request.
    pub request_hash: String,
    /// Now.
    pub created_at: UnixSeconds,
    /// Until when it can be fetched.
    pub expires_at: UnixSeconds,
}

impl Store {
    /// A grant that is neither revoked nor over, with the card that is in force for its record; none if the record has come to
    /// be of another person.
    pub async fn grant(&self, id: &str, now: UnixSeconds) -> Result<Option<Grant>, Fault> {
        let doing = failed("reading a grant");
        let row = sqlx::query(AssertSqlSafe(format!(
            "SELECT grants.id AS grant_name, grants.client, grants.instance_key, grants.dpop_key, \
             grants.configurations, grants.by_details, grants.expires_at AS grant_ends, grants.card AS served, \
             grants.record_id AS grant_record, grants.person AS grant_person, records.version AS newest, \
             CASE WHEN records.population = 'matched' AND records.confirmed_at IS NOT NULL THEN 1 ELSE 0 END AS verified, \
             {}, portraits.bytes AS portrait FROM grants JOIN records ON records.id = grants.record_id \
             AND records.person = grants.person LEFT JOIN cards ON cards.record_id = grants.record_id \
             AND cards.person = grants.person AND cards.state IN ('active', 'locked') \
             LEFT JOIN portraits ON portraits.sha256 = cards.portrait \
             WHERE grants.id = $1 AND grants.revoked_at IS NULL AND grants.expires_at > $2",
            cards::columns()
        )))
        .bind(id)
        .bind(now)
        .fetch_optional(self.readers())
        .await
        .map_err(&doing)?;
        let Some(row) = row else { return Ok(None) };
        let optional = |column: &str| row.try_get::<Option<String>, _>(column).map_err(&doing);
        let number = |column: &str| row.try_get::<i64, _>(column).map_err(&doing);
        let has_card = optional("handle")?.is_some();
        Ok(Some(Grant {
            id: row.try_get("grant_name").map_err(&doing)?,
            holder: Holder {
                client: optional("client")?,
                instance_key: optional("instance_key")?,
                dpop_key: optional("dpop_key")?,
            },
            configurations: row.try_get("configurations").map_err(&doing)?,
            by_details: number("by_details")? != 0,
            expires_at: number("grant_ends")?,
            record: cards::handle(&row, "grant_record")?,
            person: optional("grant_person")?
                .as_deref()
                .and_then(PersonalNumber::parse)
                .ok_or_else(|| Fault::new("reading a grant", "its person is malformed"))?,
            record_version: number("newest")?,
            is_verified: row
                .try_get::<i32, _>("verified")
                .map_or_else(|_| number("verified"), |flag| Ok(flag.into()))?
                != 0,
            card: optional("served")?.as_deref().and_then(Handle::parse),
            found: if has_card { Some(cards::found(&row)?) } else { None },
        }))
    }

    /// Whether `new` came of `old` by replacements because the facts changed alone: then who held the one may hold the other.
    /// A card that was lost, stolen or withdrawn hands nothing on.
    pub async fn follows(&self, old: &Handle, new: &Handle) -> Result<bool, Fault> {
        let doing = failed("reading what replaced a card");
        let mut card = old.clone();
        for _ in 0..MAX_REPLACEMENTS {
            if card == *new {
                return Ok(true);
            }
            let row =
                sqlx::query("SELECT replaced_by, state_reason FROM cards WHERE handle = $1 AND state = 'withdrawn'")
                    .bind(card.as_str())
                    .fetch_optional(self.readers())
                    .await
                    .map_err(&doing)?;
            let Some(row) = row else { return Ok(false) };
            let text = |column: &str| row.try_get::<Option<String>, _>(column).map_err(&doing);
            let is_change =
                text("state_reason")?.as_deref().and_then(Reason::parse).is_some_and(Reason::is_change_of_facts);
            match text("replaced_by")?.as_deref().and_then(Handle::parse) {
                Some(next) if is_change => card = next,
                _ => return Ok(false),
            }
        }
        Ok(false)
    }

    /// Revokes a grant, and all its tokens with it.
    pub async fn revoke_grant(&self, id: String, actor: String, at: UnixSeconds) -> Result<()> {
        self.write(RevokeGrant { id, actor, at }).await
    }

    /// Keeps a request that waits and gives its transaction id: that of the first when it is the same request again. `None` if
    /// its nonce was used before.
    pub async fn defer(&self, deferral: Deferral) -> Result<Option<String>> {
        self.write(deferral).await
    }

    /// A request that waits, of this grant: not delivered and not over.
    pub async fn deferral(&self, id: &str, grant: &str, now: UnixSeconds) -> Result<Option<Deferral>, Fault> {
        let doing = failed("reading a deferred request");
        let row = sqlx::query(
            "SELECT id, grant_id, configuration, holders, nonce, request_hash, created_at, expires_at FROM deferrals \
             WHERE id = $1 AND grant_id = $2 AND expires_at > $3 AND delivered_at IS NULL",
        )
        .bind(id)
        .bind(grant)
        .bind(now)
        .fetch_optional(self.readers())
        .await
        .map_err(&doing)?;
        let Some(row) = row else { return Ok(None) };
        let text = |column: &str| row.try_get::<String, _>(column).map_err(&doing);
        Ok(Some(Deferral {
            id: text("id")?,
            grant: text("grant_id")?,
            configuration: text("configuration")?,
            holders: text("holders")?,
            nonce: text("nonce")?,
            request_hash: text("request_hash")?,
            created_at: row.try_get("created_at").map_err(&doing)?,
            expires_at: row.try_get("expires_at").map_err(&doing)?,
        }))
    }
}

/// Writes a grant. Inside the transaction of what it comes from.
pub(super) async fn begin(transaction: &mut Transaction<'_>, grant: &NewGrant) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO grants (id, record_id, card, client, instance_key, dpop_key, configurations, by_details, offer, \
         created_at, expires_at, person, token_key) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(&grant.id)
    .bind(grant.record.as_str())
    .bind(grant.card.as_ref().map(Handle::as_str))
    .bind(&grant.holder.client)
    .bind(&grant.holder.instance_key)
    .bind(&grant.holder.dpop_key)
    .bind(&grant.configurations)
    .bind(i64::from(grant.by_details))
    .bind(&grant.offer)
    .bind(grant.created_at)
    .bind(grant.expires_at)
    .bind(grant.person.expose())
    .bind(&grant.token_key)
    .execute(&mut **transaction)
    .await
    .map(|_| ())
    .map_err(failed("beginning a grant"))
}

/// Whether a grant was never used and is held by this wallet, with this DPoP key: its answer may have been lost.
pub(super) async fn is_unused(
    transaction: &mut Transaction<'_>,
    id: &str,
    holder: &Holder,
    token_key: Option<&str>,
) -> Result<bool, Fault> {
    let doing = failed("reading a grant");
    let row = sqlx::query(
        "SELECT client, instance_key, dpop_key, token_key FROM grants \
         WHERE id = $1 AND used_at IS NULL AND revoked_at IS NULL",
    )
    .bind(id)
    .fetch_optional(&mut **transaction)
    .await
    .map_err(&doing)?;
    let Some(row) = row else { return Ok(false) };
    let text = |column: &str| row.try_get::<Option<String>, _>(column).map_err(&doing);
    let held_by = Holder { client: text("client")?, instance_key: text("instance_key")?, dpop_key: text("dpop_key")? };
    Ok(held_by == *holder && text("token_key")?.as_deref() == token_key)
}

/// Revokes a grant; `false` if it is revoked or, where that matters, was used.
pub(super) async fn revoke(
    transaction: &mut Transaction<'_>,
    id: &str,
    only_unused: bool,
    at: UnixSeconds,
) -> Result<bool, Fault> {
    let unused = if only_unused { " AND used_at IS NULL" } else { "" };
    let statement = format!("UPDATE grants SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL{unused}");
    let revoked = sqlx::query(AssertSqlSafe(statement)).bind(id).bind(at).execute(&mut **transaction).await;
    Ok(revoked.map_err(failed("revoking a grant"))?.rows_affected() == 1)
}

/// Ends what wallets were allowed for cards that are withdrawn for good: grants, open offers, codes. What another process
/// begins at this moment is ended by [`Store::follows`].
pub(super) async fn end_with(
    transaction: &mut Transaction<'_>,
    cards: &[Handle],
    at: UnixSeconds,
) -> Result<(), Fault> {
    for chunk in cards.chunks(CHUNK) {
        let places: Vec<_> = (2..chunk.len() + 2).map(|place| format!("${place}")).collect();
        let places = places.join(", ");
        for statement in [
            format!(
                "UPDATE grants SET revoked_at = $1 WHERE revoked_at IS NULL \
                 AND record_id IN (SELECT record_id FROM cards WHERE handle IN ({places}))"
            ),
            format!("UPDATE offers SET expires_at = $1 WHERE expires_at > $1 AND card IN ({places})"),
            format!(
                "UPDATE authorizations SET code_expires_at = $1 WHERE code_expires_at > $1 \
                 AND record_id IN (SELECT record_id FROM cards WHERE handle IN ({places}))"
            ),
        ] {
            let mut query = sqlx::query(AssertSqlSafe(statement)).bind(at);
            for card in chunk {
                query = query.bind(card.as_str());
            }
            query.execute(&mut **transaction).await.map_err(failed("ending the grants of a card"))?;
        }
    }
    Ok(())
}

/// Notes that a grant is used for this card; `false` if it is revoked or over.
pub(super) async fn mark_used(
    transaction: &mut Transaction<'_>,
    id: &str,
    card: &Handle,
    at: UnixSeconds,
) -> Result<bool, Fault> {
    let used = sqlx::query(
        "UPDATE grants SET used_at = COALESCE(used_at, $3), card = $2 \
         WHERE id = $1 AND revoked_at IS NULL AND expires_at > $3",
    )
    .bind(id)
    .bind(card.as_str())
    .bind(at)
    .execute(&mut **transaction)
    .await
    .map_err(failed("using a grant"))?;
    Ok(used.rows_affected() == 1)
}

/// Notes that a deferred request is answered.
pub(super) async fn deliver(transaction: &mut Transaction<'_>, id: &str, at: UnixSeconds) -> Result<(), Fault> {
    sqlx::query("UPDATE deferrals SET delivered_at = $2 WHERE id = $1 AND delivered_at IS NULL")
        .bind(id)
        .bind(at)
        .execute(&mut **transaction)
        .await
        .map(|_| ())
        .map_err(failed("delivering a deferred request"))
}

struct RevokeGrant {
    id: String,
    actor: String,
    at: UnixSeconds,
}

impl Change for RevokeGrant {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        if revoke(transaction, &self.id, false, self.at).await? {
            let (at, actor) = (self.at, self.actor.clone());
            let line =
                Line { at, actor, action: "grant.revoked", subject: self.id.clone(), detail: "code reused".to_owned() };
            transaction.note(line);
        }
        Ok(())
    }
}

impl Change for Deferral {
    type Done = Option<String>;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Option<String>> {
        let doing = failed("deferring a request");
        let earlier = sqlx::query("SELECT id, grant_id, request_hash FROM deferrals WHERE nonce = $1")
            .bind(&self.nonce)
            .fetch_optional(&mut **transaction)
            .await
            .map_err(&doing)?;
        if let Some(earlier) = earlier {
            let text = |column: &str| earlier.try_get::<String, _>(column).map_err(&doing);
            let is_same = text("grant_id")? == self.grant && text("request_hash")? == self.request_hash;
            return Ok(if is_same { Some(text("id")?) } else { None });
        }
        let used = sqlx::query("SELECT 1 FROM issuances WHERE nonce = $1")
            .bind(&self.nonce)
            .fetch_optional(&mut **transaction)
            .await
            .map_err(&doing)?;
        if used.is_some() {
            return Ok(None);
        }
        let counted = "SELECT COUNT(*) FROM deferrals WHERE grant_id = $1 AND delivered_at IS NULL AND expires_at > $2";
        let waiting: i64 = sqlx::query(counted)
            .bind(&self.grant)
            .bind(self.created_at)
            .fetch_one(&mut **transaction)
            .await
            .and_then(|row| row.try_get(0))
            .map_err(&doing)?;
        if waiting >= MAX_WAITING {
            return Err(Refusal::CredentialRequestDenied("too many requests of this wallet wait already").into());
        }
        // A grant that waits is in use: its answer was not lost.
        sqlx::query("UPDATE grants SET used_at = COALESCE(used_at, $2) WHERE id = $1")
            .bind(&self.grant)
            .bind(self.created_at)
            .execute(&mut **transaction)
            .await
            .map_err(&doing)?;
        let kept = sqlx::query(
            "INSERT INTO deferrals (id, grant_id, configuration, holders, nonce, request_hash, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (nonce) DO NOTHING",
        )
        .bind(&self.id)
        .bind(&self.grant)
        .bind(&self.configuration)
        .bind(&self.holders)
        .bind(&self.nonce)
        .bind(&self.request_hash)
        .bind(self.created_at)
        .bind(self.expires_at)
        .execute(&mut **transaction)
        .await
        .map_err(&doing)?;
        if kept.rows_affected() == 1 {
            let line = Line {
                at: self.created_at,
                actor: "wallet".to_owned(),
                action: "credential.deferred",
                subject: self.grant.clone(),
                detail: self.configuration.clone(),
            };
            transaction.note(line);
            return Ok(Some(self.id.clone()));
        }
        Ok(None)
    }
}
