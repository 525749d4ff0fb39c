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

    /// Clears away what nobody can use any more: names of used things, API tokens, authorization and deferred requests,
    /// grants and offers, and who signed in for a request that ended. Little at a time, so that other changes get their
    /// turn. Returns how many rows went.
    pub async fn clear_away(&self, now: UnixSeconds) -> Result<u64> {
        let forget = format!(
            "UPDATE authorizations SET person = NULL WHERE id IN (SELECT id FROM authorizations \
             WHERE person IS NOT NULL AND ((ended_at IS NOT NULL AND COALESCE(code_expires_at, 0) <= $1) \
             OR (ended_at IS NULL AND expires_at <= $1)) LIMIT {CLEARED})"
        );
        self.repeat(&forget, now).await?;
        let mut cleared = 0;
        for (table, key, kept_seconds, is_over) in OVER {
            cleared += self.clear_rows(table, key, is_over, now - kept_seconds).await?;
        }
        Ok(cleared)
    }

    /// Clears the rows away that were over before `before`. Returns how many.
    pub(super) async fn clear_rows(&self, table: &str, key: &str, is_over: &str, before: UnixSeconds) -> Result<u64> {
        let statement =
            format!("DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} WHERE {is_over} LIMIT {CLEARED})");
        self.repeat(&statement, before).await
    }

    /// Runs a statement as often as it changes as many rows as it may. Returns how many rows.
    async fn repeat(&self, statement: &str, before: UnixSeconds) -> Result<u64> {
        let mut changed = 0;
        for _ in 0..REPETITIONS {
            let now = self.write(ClearAway { statement: statement.to_owned(), before }).await?;
            changed += now;
            if now < CLEARED {
                break;
            }
        }
        Ok(changed)
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

/// Rows of one table that one change clears away.
const CLEARED: u64 = 1_000;
/// Changes of one table in one round.
const REPETITIONS: usize = 500;
/// How long a grant is kept that is over or revoked: who asks about it finds when it ended.
const GRANT_KEPT_SECONDS: i64 = 30 * DAY_SECONDS;
/// How long an offer is kept that expired. Its idempotency key is remembered as long.
const OFFER_KEPT_SECONDS: i64 = 90 * DAY_SECONDS;

/// Tables with their key, for how long a row is kept, and which go: those that were over before `$1`.
const OVER: [(&str, &str, i64, &str); 12] = [
    ("client_assertions", "jti", 0, "expires_at < $1"),
    ("api_tokens", "hash", 0, "expires_at < $1"),
    ("sync_tokens", "hash", 0, "expires_at < $1"),
    // A redeemed code is kept for a day, so that its second use is recognised and ends the grant.
    ("authorizations", "id", DAY_SECONDS, "expires_at < $1"),
    ("deferrals", "id", 0, "expires_at < $1"),
    (
        "grants",
        "id",
        GRANT_KEPT_SECONDS,
        "expires_at < $1 AND NOT EXISTS (SELECT 1 FROM deferrals WHERE grant_id = grants.id)",
    ),
    (
        "grants",
        "id",
        GRANT_KEPT_SECONDS,
        "revoked_at < $1 AND revoked_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM deferrals WHERE grant_id = grants.id)",
    ),
    // What was pushed of an offer goes with it.
    ("offers", "id", OFFER_KEPT_SECONDS, "expires_at < $1"),
    // Kept for a day: whoever asked can still read how it ended, and is told of it.
    ("presentations", "id", DAY_SECONDS, "expires_at < $1"),
    // A redeemed code is recognised when it comes again, for a day.
    ("self_service_sign_ins", "id", DAY_SECONDS, "expires_at < $1"),
    ("self_service_sessions", "id", 0, "expires_at < $1"),
    // A state that was handed out to be signed may come back for a day; its leaves go with it.
    ("approval_drafts", "document_sha256", DAY_SECONDS, "made_at < $1"),
];

struct ClearAway {
    statement: String,
    before: UnixSeconds,
}

impl Change for ClearAway {
    type Done = u64;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<u64> {
        let cleared = sqlx::query(sqlx::AssertSqlSafe(self.statement.clone()))
            .bind(self.before)
            .execute(&mut **transaction)
            .await
            .map_err(failed("clearing away"))?;
        Ok(cleared.rows_affected())
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
