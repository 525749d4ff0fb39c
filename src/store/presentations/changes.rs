//! The steps of a transaction.

use sqlx::Row;

use super::{COLUMNS, Judged, NewPresentation, Presentation, Returned, read};
use crate::clock::UnixSeconds;
use crate::error::{Refusal, Result};
use crate::model::presentation::PresentationState;
use crate::store::{Change, Line, Transaction, failed};

/// What goes when a transaction is over.
const FORGET: &str = "nonce = NULL, wallet_state = NULL, sealed_key = NULL";
/// Has the client told of the end, where it wants to be.
const TELL: &str = "next_attempt_at = CASE WHEN tells = 1 THEN $2 ELSE NULL END";
/// Rows of one step of the background's work.
const STEP: i64 = 500;

fn line(at: UnixSeconds, actor: &str, action: &'static str, subject: &str, detail: &str) -> Line {
    Line { at, actor: actor.to_owned(), action, subject: subject.to_owned(), detail: detail.to_owned() }
}

impl Change for NewPresentation {
    type Done = Presentation;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Presentation> {
        let doing = failed("beginning a presentation");
        let statement = format!(
            "INSERT INTO presentations (id, client, idempotency_key, request_hash, template, terms, same_device, page, \
             request, response, state, state_at, created_at, expires_at, nonce, wallet_state, sealed_key, tells) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'created', $11, $11, $12, $13, $14, $15, $16) \
             ON CONFLICT (client, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING RETURNING {COLUMNS}"
        );
        let begun = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(&self.id)
            .bind(&self.client)
            .bind(&self.idempotency_key)
            .bind(&self.request_hash)
            .bind(&self.template)
            .bind(&self.terms)
            .bind(i64::from(self.same_device))
            .bind(&self.page)
            .bind(&self.request)
            .bind(&self.response)
            .bind(self.created_at)
            .bind(self.expires_at)
            .bind(&self.nonce)
            .bind(&self.wallet_state)
            .bind(&self.sealed_key)
            .bind(i64::from(self.tells))
            .fetch_optional(&mut **transaction)
            .await
            .map_err(&doing)?;
        if let Some(begun) = begun {
            transaction.note(line(self.created_at, &self.client, "presentation.requested", &self.id, &self.template));
            return read(&begun).map_err(Into::into);
        }
        let statement = format!("SELECT {COLUMNS} FROM presentations WHERE client = $1 AND idempotency_key = $2");
        let found = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(&self.client)
            .bind(&self.idempotency_key)
            .fetch_one(&mut **transaction)
            .await
            .map_err(&doing)?;
        let found = read(&found)?;
        if found.request_hash == self.request_hash { Ok(found) } else { Err(Refusal::IdempotencyKeyReused.into()) }
    }
}

pub(super) struct Bind {
    pub id: String,
    pub browser: String,
}

impl Change for Bind {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let bound = sqlx::query("UPDATE presentations SET browser = $2 WHERE id = $1 AND browser IS NULL")
            .bind(&self.id)
            .bind(&self.browser)
            .execute(&mut **transaction)
            .await
            .map_err(failed("binding a browser"))?;
        Ok(bound.rows_affected() == 1)
    }
}

pub(super) struct Receive {
    pub id: String,
    pub now: UnixSeconds,
}

impl Change for Receive {
    type Done = bool;

    fn order(&self) -> &str {
        &self.id
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let received = sqlx::query(
            "UPDATE presentations SET state = 'response_received', state_at = $2 \
             WHERE id = $1 AND state = 'created' AND expires_at > $2",
        )
        .bind(&self.id)
        .bind(self.now)
        .execute(&mut **transaction)
        .await
        .map_err(failed("receiving a presentation"))?;
        Ok(received.rows_affected() == 1)
    }
}

pub(super) struct Judge {
    pub id: String,
    pub judged: Judged,
    pub now: UnixSeconds,
}

impl Change for Judge {
    type Done = bool;

    fn order(&self) -> &str {
        &self.id
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let open = "id = $1 AND state = 'response_received' AND response_code IS NULL AND expires_at > $2";
        let (statement, values): (String, [Option<&str>; 2]) = match &self.judged {
            Judged::Accepted { result, .. } => (
                format!(
                    "UPDATE presentations SET state = 'verified', state_at = $2, {FORGET}, {TELL}, result = $3, \
                     response_code = $4, result_until = $5 WHERE {open}"
                ),
                [Some(result), None],
            ),
            Judged::AwaitsReturn { result, response_code, .. } => (
                format!(
                    "UPDATE presentations SET state_at = $2, {FORGET}, result = $3, response_code = $4, \
                     result_until = $5 WHERE {open}"
                ),
                [Some(result), Some(response_code)],
            ),
            Judged::Rejected(reason) => (
                format!(
                    "UPDATE presentations SET state = 'rejected', state_at = $2, {FORGET}, {TELL}, reason = $3, \
                     response_code = $4, result_until = $5 WHERE {open}"
                ),
                [Some(reason), None],
            ),
        };
        let until = match &self.judged {
            Judged::Accepted { until, .. } | Judged::AwaitsReturn { until, .. } => Some(*until),
            Judged::Rejected(_) => None,
        };
        let judged = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(&self.id)
            .bind(self.now)
            .bind(values[0])
            .bind(values[1])
            .bind(until)
            .execute(&mut **transaction)
            .await
            .map_err(failed("judging a presentation"))?;
        if judged.rows_affected() == 0 {
            return Ok(false);
        }
        let (action, detail) = match &self.judged {
            Judged::Accepted { .. } => ("presentation.verified", ""),
            Judged::AwaitsReturn { .. } => ("presentation.awaits_return", ""),
            Judged::Rejected(reason) => ("presentation.rejected", *reason),
        };
        transaction.note(line(self.now, "wallet", action, &self.id, detail));
        Ok(true)
    }
}

pub(super) struct End {
    pub id: String,
    pub state: PresentationState,
    pub reason: Option<String>,
    pub now: UnixSeconds,
}

impl Change for End {
    type Done = bool;

    fn order(&self) -> &str {
        &self.id
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        // Whoever asked may take back what waits for the browser, too; a wallet's error only comes in place of an answer.
        let (open, actor, action) = match self.state {
            PresentationState::Cancelled => {
                ("state IN ('created', 'response_received')", "client", "presentation.cancelled")
            }
            _ => ("state = 'created'", "wallet", "presentation.wallet_error"),
        };
        let statement = format!(
            "UPDATE presentations SET state = $3, state_at = $2, {FORGET}, {TELL}, reason = $4, result = NULL \
             WHERE id = $1 AND {open} AND expires_at > $2"
        );
        let ended = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(&self.id)
            .bind(self.now)
            .bind(self.state.word())
            .bind(&self.reason)
            .execute(&mut **transaction)
            .await
            .map_err(failed("ending a presentation"))?;
        if ended.rows_affected() == 0 {
            return Ok(false);
        }
        transaction.note(line(self.now, actor, action, &self.id, self.reason.as_deref().unwrap_or_default()));
        Ok(true)
    }
}

pub(super) struct Return {
    pub id: String,
    pub response_code: String,
    pub browser: Option<String>,
    pub now: UnixSeconds,
}

impl Change for Return {
    type Done = Returned;

    fn order(&self) -> &str {
        &self.id
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Returned> {
        let doing = failed("a browser's return");
        let statement = format!(
            "UPDATE presentations SET {TELL}, state_at = $2, \
             state = CASE WHEN browser IS NOT NULL AND browser = $4 THEN 'verified' ELSE 'rejected' END, \
             reason = CASE WHEN browser IS NOT NULL AND browser = $4 THEN NULL ELSE 'other_browser' END, \
             result = CASE WHEN browser IS NOT NULL AND browser = $4 THEN result ELSE NULL END \
             WHERE id = $1 AND response_code = $3 AND state = 'response_received' AND expires_at > $2 RETURNING state"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(&self.id)
            .bind(self.now)
            .bind(&self.response_code)
            .bind(self.browser.as_deref().unwrap_or_default())
            .fetch_optional(&mut **transaction)
            .await
            .map_err(&doing)?;
        let Some(row) = row else { return Ok(Returned::Nothing) };
        let state: String = row.try_get(0).map_err(&doing)?;
        let (returned, action, detail) = if state == PresentationState::Verified.word() {
            (Returned::Accepted, "presentation.verified", "returned")
        } else {
            (Returned::Rejected, "presentation.rejected", "other_browser")
        };
        transaction.note(line(self.now, "browser", action, &self.id, detail));
        Ok(returned)
    }
}

pub(super) struct Consume {
    pub id: String,
    pub until: UnixSeconds,
    pub now: UnixSeconds,
}

impl Change for Consume {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let row = sqlx::query(
            "UPDATE presentations SET state = 'consumed', state_at = $2, \
             result_until = CASE WHEN result_until < $3 THEN result_until ELSE $3 END \
             WHERE id = $1 AND state = 'verified' RETURNING client",
        )
        .bind(&self.id)
        .bind(self.now)
        .bind(self.until)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(failed("noting that a result was fetched"))?;
        let Some(row) = row else { return Ok(false) };
        let client: String = row.try_get(0).map_err(failed("noting that a result was fetched"))?;
        transaction.note(line(self.now, &client, "presentation.fetched", &self.id, ""));
        Ok(true)
    }
}

pub(super) struct Forget {
    pub id: String,
    pub now: UnixSeconds,
}

impl Change for Forget {
    type Done = bool;

    fn order(&self) -> &str {
        &self.id
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let forgotten = sqlx::query(
            "UPDATE presentations SET state = 'consumed', state_at = $2, result = NULL \
             WHERE id = $1 AND state IN ('verified', 'consumed') AND result IS NOT NULL",
        )
        .bind(&self.id)
        .bind(self.now)
        .execute(&mut **transaction)
        .await
        .map_err(failed("forgetting a result"))?;
        if forgotten.rows_affected() == 0 {
            return Ok(false);
        }
        transaction.note(line(self.now, "client", "presentation.forgotten", &self.id, ""));
        Ok(true)
    }
}

pub(super) struct Expire(pub UnixSeconds);

impl Change for Expire {
    type Done = u64;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<u64> {
        let doing = failed("ending presentations that are over");
        let statement = format!(
            "UPDATE presentations SET state_at = $2, {FORGET}, {TELL}, result = NULL, \
             reason = CASE WHEN state = 'created' THEN NULL ELSE 'not_returned' END, \
             state = CASE WHEN state = 'created' THEN 'expired' ELSE 'rejected' END \
             WHERE id IN (SELECT id FROM presentations WHERE state IN ('created', 'response_received') \
             AND expires_at <= $2 ORDER BY id LIMIT $1) AND state IN ('created', 'response_received') \
             RETURNING id, state, reason"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(STEP)
            .bind(self.0)
            .fetch_all(&mut **transaction)
            .await
            .map_err(&doing)?;
        for row in &rows {
            let (id, state): (String, String) = (row.try_get(0).map_err(&doing)?, row.try_get(1).map_err(&doing)?);
            let reason: Option<String> = row.try_get(2).map_err(&doing)?;
            let action = if state == "expired" { "presentation.expired" } else { "presentation.rejected" };
            transaction.note(line(self.0, "system", action, &id, reason.as_deref().unwrap_or_default()));
        }
        let forgotten = sqlx::query(
            "UPDATE presentations SET result = NULL WHERE id IN \
             (SELECT id FROM presentations WHERE result IS NOT NULL AND result_until <= $1 ORDER BY id LIMIT $2)",
        )
        .bind(self.0)
        .bind(STEP)
        .execute(&mut **transaction)
        .await
        .map_err(failed("forgetting results"))?;
        Ok(rows.len() as u64 + forgotten.rows_affected())
    }
}
