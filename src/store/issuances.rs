//! Answered credential requests. What is going to be signed is written here first; the signed bytes are not kept.

use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::{Change, Line, Store, Transaction, failed, grants};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Refusal, Result};
use crate::model::id::Handle;

/// A credential request that passed all checks.
#[derive(Clone, Debug)]
pub struct Issuance {
    /// A random name; also the notification id.
    pub id: String,
    /// The nonce that its proofs carry, which is thereby used.
    pub nonce: String,
    /// Digest of the request, to recognise its repetition.
    pub request_hash: String,
    /// The card.
    pub card: Handle,
    /// The grant that it comes from; `None` for a printed badge.
    pub grant: Option<String>,
    /// The deferred request that it answers.
    pub deferral: Option<String>,
    /// The configuration that is issued.
    pub configuration: String,
    /// The credentials.
    pub credentials: Vec<NewCredential>,
    /// When.
    pub at: UnixSeconds,
    /// Who asked, for the audit table.
    pub actor: String,
    /// Credentials that one card may ever have.
    pub max_credentials: i64,
}

/// A credential that will be signed, or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCredential {
    /// Thumbprint of the holder's key; empty for a printed badge.
    pub holder: String,
    /// Its status list.
    pub list: i64,
    /// Its index there.
    pub index: u64,
    /// `iat`.
    pub issued_at: UnixSeconds,
    /// `exp`.
    pub expires_at: UnixSeconds,
}

/// How an issuance was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Written: sign these.
    New,
    /// The same request was written before under this name: sign these again.
    Again(String, Vec<NewCredential>),
    /// Its nonce was used by another request.
    NonceUsed,
    /// The grant is revoked: its code was redeemed again.
    GrantRevoked,
    /// The card is not active, or has had as many credentials as a card may have.
    CardNotInForce,
}

impl Store {
    /// Writes an issuance, once. What is written of an issuance that is not [`Recorded::New`] harms nothing: at most its
    /// nonce is used.
    pub async fn record_issuance(&self, issuance: Issuance) -> Result<Recorded> {
        self.write(issuance).await
    }

    /// The credentials that were issued for a nonce, while their card is in force.
    pub async fn issued_for(&self, nonce: &str) -> Result<Vec<NewCredential>, Fault> {
        let mut connection = self.readers().acquire().await.map_err(failed("reading an issuance"))?;
        issued_for(&mut connection, nonce).await
    }

    /// Notes the wallet's notification about an issuance made by this grant; repeats succeed (OpenID4VCI 11.2).
    pub async fn note_event(
        &self,
        issuance: String,
        grant: String,
        event: &'static str,
        at: UnixSeconds,
    ) -> Result<()> {
        self.write(NoteEvent { issuance, grant, event, at }).await
    }
}

impl Change for Issuance {
    type Done = Recorded;

    fn order(&self) -> &str {
        self.card.as_str()
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Recorded> {
        let doing = failed("recording an issuance");
        if let Some(grant) = &self.grant
            && !grants::mark_used(transaction, grant, &self.card, self.at).await?
        {
            return Ok(Recorded::GrantRevoked);
        }
        let fresh = sqlx::query(
            "INSERT INTO issuances (id, nonce, request_hash, card, grant_id, configuration, created_at) \
             SELECT $1, $2, $3, $4, $5, $6, $7 \
             WHERE NOT EXISTS (SELECT 1 FROM deferrals WHERE nonce = $2 AND request_hash <> $3) \
             ON CONFLICT (nonce) DO NOTHING",
        )
        .bind(&self.id)
        .bind(&self.nonce)
        .bind(&self.request_hash)
        .bind(self.card.as_str())
        .bind(&self.grant)
        .bind(&self.configuration)
        .bind(self.at)
        .execute(&mut **transaction)
        .await
        .map_err(&doing)?;
        if fresh.rows_affected() == 0 {
            return self.earlier(transaction).await;
        }
        let in_force = sqlx::query(
            "UPDATE cards SET credentials_issued = credentials_issued + $2 WHERE handle = $1 AND state = 'active' \
             AND valid_until > $3 AND credentials_issued + $2 <= $4",
        )
        .bind(self.card.as_str())
        .bind(i64::try_from(self.credentials.len()).unwrap_or(i64::MAX))
        .bind(self.at)
        .bind(self.max_credentials)
        .execute(&mut **transaction)
        .await
        .map_err(&doing)?;
        if in_force.rows_affected() == 0 {
            sqlx::query("DELETE FROM issuances WHERE id = $1")
                .bind(&self.id)
                .execute(&mut **transaction)
                .await
                .map_err(&doing)?;
            return Ok(Recorded::CardNotInForce);
        }
        self.insert_credentials(transaction).await?;
        if let Some(deferral) = &self.deferral {
            grants::deliver(transaction, deferral, self.at).await?;
        }
        let line = Line {
            at: self.at,
            actor: self.actor.clone(),
            action: "credential.issued",
            subject: self.card.to_string(),
            detail: format!("{} {}", self.credentials.len(), self.configuration),
        };
        transaction.note(line);
        Ok(Recorded::New)
    }
}

impl Issuance {
    async fn insert_credentials(&self, transaction: &mut Transaction<'_>) -> Result<(), Fault> {
        let rows: Vec<String> = (0..self.credentials.len())
            .map(|row| {
                let place = |column: usize| row * 5 + column + 3;
                format!("($1, $2, ${}, ${}, ${}, ${}, ${})", place(0), place(1), place(2), place(3), place(4))
            })
            .collect();
        let statement = format!(
            "INSERT INTO credentials (card, issuance, holder, list_id, list_index, issued_at, expires_at) VALUES {}",
            rows.join(", ")
        );
        let mut query = sqlx::query(AssertSqlSafe(statement)).bind(self.card.as_str()).bind(&self.id);
        for credential in &self.credentials {
            query = query
                .bind(&credential.holder)
                .bind(credential.list)
                .bind(credential.index.cast_signed())
                .bind(credential.issued_at)
                .bind(credential.expires_at);
        }
        query.execute(&mut **transaction).await.map(|_| ()).map_err(failed("recording credentials"))
    }

    /// What this nonce was used for: the same request gets the same credentials again, if the card is still in force.
    async fn earlier(&self, transaction: &mut Transaction<'_>) -> Result<Recorded> {
        let doing = failed("reading an issuance");
        let row = sqlx::query("SELECT id, request_hash FROM issuances WHERE nonce = $1")
            .bind(&self.nonce)
            .fetch_optional(&mut **transaction)
            .await
            .map_err(&doing)?;
        // A deferred request has it.
        let Some(row) = row else { return Ok(Recorded::NonceUsed) };
        let same: String = row.try_get("request_hash").map_err(&doing)?;
        if same != self.request_hash {
            return Ok(Recorded::NonceUsed);
        }
        let id: String = row.try_get("id").map_err(&doing)?;
        let rows = issued_for(transaction, &self.nonce).await?;
        Ok(if rows.is_empty() { Recorded::CardNotInForce } else { Recorded::Again(id, rows) })
    }
}

async fn issued_for(connection: &mut AnyConnection, nonce: &str) -> Result<Vec<NewCredential>, Fault> {
    let doing = failed("reading an issuance");
    let rows = sqlx::query(
        "SELECT credentials.holder, credentials.list_id, credentials.list_index, credentials.issued_at, \
         credentials.expires_at FROM issuances JOIN credentials ON credentials.issuance = issuances.id \
         JOIN cards ON cards.handle = credentials.card \
         WHERE issuances.nonce = $1 AND cards.state = 'active' ORDER BY credentials.id",
    )
    .bind(nonce)
    .fetch_all(connection)
    .await
    .map_err(&doing)?;
    let read = |row: &sqlx::any::AnyRow| -> Result<NewCredential, sqlx::Error> {
        Ok(NewCredential {
            holder: row.try_get(0)?,
            list: row.try_get(1)?,
            index: row.try_get::<i64, _>(2)?.cast_unsigned(),
            issued_at: row.try_get(3)?,
            expires_at: row.try_get(4)?,
        })
    };
    rows.iter().map(read).collect::<Result<_, _>>().map_err(&doing)
}

struct NoteEvent {
    issuance: String,
    grant: String,
    event: &'static str,
    at: UnixSeconds,
}

impl Change for NoteEvent {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        let doing = failed("noting a wallet's event");
        let known = sqlx::query(
            "SELECT issuances.card, issuances.event FROM issuances WHERE issuances.id = $1 AND issuances.grant_id = $2",
        )
        .bind(&self.issuance)
        .bind(&self.grant)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(&doing)?;
        let Some(known) = known else { return Err(Refusal::InvalidNotificationId.into()) };
        if known.try_get::<Option<String>, _>("event").map_err(&doing)?.as_deref() == Some(self.event) {
            return Ok(());
        }
        sqlx::query("UPDATE issuances SET event = $2, event_at = $3 WHERE id = $1")
            .bind(&self.issuance)
            .bind(self.event)
            .bind(self.at)
            .execute(&mut **transaction)
            .await
            .map_err(&doing)?;
        let line = Line {
            at: self.at,
            actor: "wallet".to_owned(),
            action: "credential.notified",
            subject: known.try_get("card").map_err(&doing)?,
            detail: self.event.to_owned(),
        };
        transaction.note(line);
        Ok(())
    }
}
