//! Tokens of the programs that call `/api/v1`, what may be used once, and the clearing away of what is over.

use sqlx::Row;

use super::{Change, Store, Transaction, failed};
use crate::clock::{DAY_SECONDS, UnixSeconds};
use crate::error::{Fault, Result};

impl Store {
    /// Notes that a signed thing with this name was used: an assertion, a DPoP proof, an attestation PoP. `false` if it had
    /// been. It is forgotten some time after `expires_at`, when the thing itself is too old.
    pub async fn use_once(&self, name: String, expires_at: UnixSeconds) -> Result<bool> {
        self.write(UseOnce { name, expires_at }).await
    }

    /// Clears away what nobody can use any more, some thousand rows a time: names of used things, API tokens, requests that
    /// were never finished, deferred requests. Returns how many rows.
    pub async fn clear_away(&self, now: UnixSeconds) -> Result<u64> {
        self.write(ClearAway { now }).await
    }

    /// Keeps a new API token, by its hash.
    pub async fn keep_api_token(
        &self,
        hash: String,
        client: String,
        scopes: String,
        expires_at: UnixSeconds,
        now: UnixSeconds,
    ) -> Result<()> {
        self.write(KeepToken { hash, client, scopes, expires_at, now }).await
    }

    /// The client and scopes of a live API token.
    pub async fn api_token(&self, hash: &str, now: UnixSeconds) -> Result<Option<(String, String)>, Fault> {
        let row = sqlx::query("SELECT client, scopes FROM api_tokens WHERE hash = $1 AND expires_at > $2")
            .bind(hash)
            .bind(now)
            .fetch_optional(self.readers())
            .await
            .map_err(failed("reading a token"))?;
        row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .transpose()
            .map_err(|error: sqlx::Error| Fault::new("reading a token", error))
    }
}

struct UseOnce {
    name: String,
    expires_at: UnixSeconds,
}

impl Change for UseOnce {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let used =
            sqlx::query("INSERT INTO client_assertions (jti, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                .bind(&self.name)
                .bind(self.expires_at)
                .execute(&mut **transaction)
                .await
                .map_err(failed("noting what is used once"))?;
        Ok(used.rows_affected() == 1)
    }
}

/// Rows of one table that are cleared away at once.
const CLEARED: i64 = 5_000;

struct ClearAway {
    now: UnixSeconds,
}

impl Change for ClearAway {
    type Done = u64;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<u64> {
        let mut cleared = 0;
        // A redeemed code is kept for a day, so that its second use is recognised and ends the grant.
        for (table, key, kept_seconds) in [
            ("client_assertions", "jti", 0),
            ("api_tokens", "hash", 0),
            ("authorizations", "id", DAY_SECONDS),
            ("deferrals", "id", 0),
        ] {
            let statement = format!(
                "DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} WHERE expires_at < $1 LIMIT $2)"
            );
            let deleted = sqlx::query(sqlx::AssertSqlSafe(statement))
                .bind(self.now - kept_seconds)
                .bind(CLEARED)
                .execute(&mut **transaction)
                .await
                .map_err(failed("clearing away"))?;
            cleared += deleted.rows_affected();
        }
        Ok(cleared)
    }
}

struct KeepToken {
    hash: String,
    client: String,
    scopes: String,
    expires_at: UnixSeconds,
    now: UnixSeconds,
}

impl Change for KeepToken {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        let doing = "keeping a token";
        sqlx::query("INSERT INTO api_tokens (hash, client, scopes, expires_at) VALUES ($1, $2, $3, $4)")
            .bind(&self.hash)
            .bind(&self.client)
            .bind(&self.scopes)
            .bind(self.expires_at)
            .execute(&mut **transaction)
            .await
            .map_err(failed(doing))?;
        let line = super::Line {
            at: self.now,
            actor: self.client.clone(),
            action: "token.issued",
            subject: self.client.clone(),
            detail: self.scopes.clone(),
        };
        transaction.note(line);
        Ok(())
    }
}
