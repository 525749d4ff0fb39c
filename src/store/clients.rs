//! Tokens and assertions of the programs that call `/api/v1`.

use sqlx::Row;

use super::{Change, Store, Transaction, failed};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Result};

impl Store {
    /// Notes that an assertion was used; `false` if it had been.
    pub async fn use_assertion(&self, jti: String, expires_at: UnixSeconds, now: UnixSeconds) -> Result<bool> {
        self.write(UseAssertion { jti, expires_at, now }).await
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

struct UseAssertion {
    jti: String,
    expires_at: UnixSeconds,
    now: UnixSeconds,
}

impl Change for UseAssertion {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let doing = "noting a client assertion";
        let used =
            sqlx::query("INSERT INTO client_assertions (jti, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                .bind(&self.jti)
                .bind(self.expires_at)
                .execute(&mut **transaction)
                .await
                .map_err(failed(doing))?;
        sqlx::query("DELETE FROM client_assertions WHERE expires_at < $1")
            .bind(self.now)
            .execute(&mut **transaction)
            .await
            .map_err(failed(doing))?;
        Ok(used.rows_affected() == 1)
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
        sqlx::query("DELETE FROM api_tokens WHERE expires_at < $1")
            .bind(self.now)
            .execute(&mut **transaction)
            .await
            .map_err(failed(doing))?;
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
