//! Transactions in which somebody is asked to present a card. Every step is one conditional statement: of two answers, or
//! of an answer and the end of time, exactly one counts.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Attempt, Change, Line, Store, Transaction, failed};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Refusal, Result};
use crate::model::presentation::PresentationState;

/// A transaction that begins.
#[derive(Clone, Debug, Default)]
pub struct NewPresentation {
    /// Its name for whoever asked.
    pub id: String,
    /// The client that asked.
    pub client: String,
    /// Repeating it repeats the answer.
    pub idempotency_key: Option<String>,
    /// What was asked, hashed: the same key with something else is refused.
    pub request_hash: String,
    /// The template.
    pub template: String,
    /// The request as it was made; what it means is not the store's matter.
    pub terms: String,
    /// Whether the browser has to come back before the answer counts.
    pub same_device: bool,
    /// SHA-256 of the page's token.
    pub page: String,
    /// SHA-256 of the name under which the wallet fetches the request.
    pub request: String,
    /// SHA-256 of the name under which the wallet answers.
    pub response: String,
    /// `nonce` of the request.
    pub nonce: String,
    /// `state` of the request.
    pub wallet_state: String,
    /// The encrypted private key that the answer is encrypted to.
    pub sealed_key: String,
    /// Whether the client is told of the end.
    pub tells: bool,
    /// Now.
    pub created_at: UnixSeconds,
    /// Until when an answer counts.
    pub expires_at: UnixSeconds,
}

/// What a wallet's answer is held against. Gone once the transaction is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenSecrets {
    /// `nonce` of the request.
    pub nonce: String,
    /// `state` of the request.
    pub wallet_state: String,
    /// The encrypted private key.
    pub sealed_key: String,
}

/// A transaction as it stands.
#[derive(Clone, Debug)]
pub struct Presentation {
    /// Its name for whoever asked.
    pub id: String,
    /// The client that asked.
    pub client: String,
    /// What was asked, hashed.
    pub request_hash: String,
    /// The template.
    pub template: String,
    /// The request as it was made.
    pub terms: String,
    /// Whether the browser has to come back before the answer counts.
    pub same_device: bool,
    /// Where it stands, as written; see [`Presentation::state_at`].
    pub state: PresentationState,
    /// Since when.
    pub since: UnixSeconds,
    /// When it began.
    pub created_at: UnixSeconds,
    /// Until when an answer counts.
    pub expires_at: UnixSeconds,
    /// What an answer is held against, until it is over.
    pub secrets: Option<OpenSecrets>,
    /// SHA-256 of the cookie of the browser that opened the page first.
    pub browser: Option<String>,
    /// Whether an answer in order waits for the browser to come back.
    pub awaits_return: bool,
    /// Why it was not accepted: a code.
    pub reason: Option<String>,
    /// The encrypted result.
    pub result: Option<String>,
    /// Until when the result is there.
    pub result_until: Option<UnixSeconds>,
}

impl Presentation {
    /// Where it stands at `now`: what nobody ended in time has ended by itself.
    pub fn state_at(&self, now: UnixSeconds) -> PresentationState {
        match self.state {
            PresentationState::Created if self.expires_at <= now => PresentationState::Expired,
            PresentationState::ResponseReceived if self.expires_at <= now => PresentationState::Rejected,
            state => state,
        }
    }

    /// The encrypted result, while it is there and belongs to somebody.
    pub fn result_at(&self, now: UnixSeconds) -> Option<&str> {
        let is_accepted = matches!(self.state, PresentationState::Verified | PresentationState::Consumed);
        let is_kept = self.result_until.is_some_and(|until| now < until);
        self.result.as_deref().filter(|_| is_accepted && is_kept)
    }
}

/// By which of its names a transaction is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresentationName {
    /// Its name for whoever asked.
    Id,
    /// SHA-256 of the page's token.
    Page,
    /// SHA-256 of the name of the request.
    Request,
    /// SHA-256 of the name of the response.
    Response,
    /// SHA-256 of the response code.
    ResponseCode,
}

impl PresentationName {
    fn column(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Page => "page",
            Self::Request => "request",
            Self::Response => "response",
            Self::ResponseCode => "response_code",
        }
    }
}

/// How a wallet's answer was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    /// In order and accepted.
    Accepted {
        /// The encrypted result.
        result: String,
        /// Until when it is there.
        until: UnixSeconds,
    },
    /// In order, to be accepted when the browser that began brings this code.
    AwaitsReturn {
        /// The encrypted result.
        result: String,
        /// Until when it is there.
        until: UnixSeconds,
        /// SHA-256 of the response code.
        response_code: String,
    },
    /// Not accepted, for this reason.
    Rejected(&'static str),
}

/// How the browser's return ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returned {
    /// It is the browser that began: the answer is accepted.
    Accepted,
    /// It is another one: the answer is rejected for good.
    Rejected,
    /// Neither: the code was used, or it is too late.
    Nothing,
}

/// An end that is ours to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueEnd {
    /// The transaction.
    pub id: String,
    /// The client that asked.
    pub client: String,
    /// How it ended.
    pub state: String,
    /// The number of this attempt; it names the claim.
    pub attempt: i64,
}

const COLUMNS: &str = "id, client, request_hash, template, terms, same_device, state, state_at, created_at, expires_at, \
    nonce, wallet_state, sealed_key, browser, response_code, reason, result, result_until";

/// What goes when a transaction is over.
const FORGET: &str = "nonce = NULL, wallet_state = NULL, sealed_key = NULL";
/// Has the client told of the end, where it wants to be.
const TELL: &str = "next_attempt_at = CASE WHEN tells = 1 THEN $2 ELSE NULL END";
/// Rows of one step of the background's work.
const STEP: i64 = 500;

impl Store {
    /// Begins a transaction, or finds the one that the same key began.
    pub async fn begin_presentation(&self, new: NewPresentation) -> Result<Presentation> {
        self.write(new).await
    }

    /// A transaction by one of its names.
    pub async fn presentation(&self, by: PresentationName, name: &str) -> Result<Option<Presentation>, Fault> {
        let statement = format!("SELECT {COLUMNS} FROM presentations WHERE {} = $1", by.column());
        let row = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(name)
            .fetch_optional(self.readers())
            .await
            .map_err(failed("reading a presentation"))?;
        row.as_ref().map(read).transpose()
    }

    /// Binds the page to the first browser that opens it; `false` if another one was first.
    pub async fn bind_browser(&self, id: String, browser: String) -> Result<bool> {
        self.write(Bind { id, browser }).await
    }

    /// Takes an answer to be judged: of all answers exactly one, while the transaction is open.
    pub async fn receive_response(&self, id: String, now: UnixSeconds) -> Result<bool> {
        self.write(Receive { id, now }).await
    }

    /// Notes how the answer that was received is judged; `false` if the time was over first.
    pub async fn judge_response(&self, id: String, judged: Judged, now: UnixSeconds) -> Result<bool> {
        self.write(Judge { id, judged, now }).await
    }

    /// Ends an open transaction without an answer to judge: the wallet's error, or whoever asked. `false` if it was over.
    pub async fn end_presentation(
        &self,
        id: String,
        state: PresentationState,
        reason: String,
        now: UnixSeconds,
    ) -> Result<bool> {
        self.write(End { id, state, reason, now }).await
    }

    /// The browser is back with a response code, once.
    pub async fn return_presentation(
        &self,
        id: String,
        response_code: String,
        browser: Option<String>,
        now: UnixSeconds,
    ) -> Result<Returned> {
        self.write(Return { id, response_code, browser, now }).await
    }

    /// Notes that the result was fetched, which is left until `until` so that a repeated fetch gets it too; `false` if that
    /// was noted before.
    pub async fn consume_presentation(&self, id: String, until: UnixSeconds, now: UnixSeconds) -> Result<bool> {
        self.write(Consume { id, until, now }).await
    }

    /// Ends what is over by its time and forgets results that have waited long enough. Returns how many rows changed.
    pub async fn expire_presentations(&self, now: UnixSeconds) -> Result<u64> {
        self.write(Expire(now)).await
    }

    /// Claims ends that are due to be told, until `until`.
    pub async fn claim_ends(&self, now: UnixSeconds, until: UnixSeconds, limit: i64) -> Result<Vec<DueEnd>> {
        self.write(ClaimEnds { now, until, limit }).await
    }

    /// Whether an end is due to be told: the cheap question before the claim.
    pub async fn has_due_end(&self, now: UnixSeconds) -> Result<bool, Fault> {
        let row = sqlx::query(
            "SELECT 1 FROM presentations WHERE next_attempt_at IS NOT NULL AND next_attempt_at <= $1 LIMIT 1",
        )
        .bind(now)
        .fetch_optional(self.readers())
        .await
        .map_err(failed("looking for ends to tell"))?;
        Ok(row.is_some())
    }

    /// Notes how an attempt to tell ended; `false` if its claim was over.
    pub async fn settle_end(&self, id: &str, number: i64, attempt: Attempt) -> Result<bool> {
        let next_attempt_at = match attempt {
            Attempt::Delivered => None,
            Attempt::Failed { next_attempt_at, .. } => Some(next_attempt_at),
        };
        self.write(SettleEnd { id: id.to_owned(), number, next_attempt_at }).await
    }
}

fn read(row: &AnyRow) -> Result<Presentation, Fault> {
    let doing = failed("reading a presentation");
    let text = |column: &str| row.try_get::<String, _>(column).map_err(&doing);
    let optional = |column: &str| row.try_get::<Option<String>, _>(column).map_err(&doing);
    let number = |column: &str| row.try_get::<i64, _>(column).map_err(&doing);
    let secrets = match (optional("nonce")?, optional("wallet_state")?, optional("sealed_key")?) {
        (Some(nonce), Some(wallet_state), Some(sealed_key)) => Some(OpenSecrets { nonce, wallet_state, sealed_key }),
        _ => None,
    };
    let state = text("state")?;
    Ok(Presentation {
        id: text("id")?,
        client: text("client")?,
        request_hash: text("request_hash")?,
        template: text("template")?,
        terms: text("terms")?,
        same_device: number("same_device")? != 0,
        state: PresentationState::parse(&state)
            .ok_or_else(|| Fault::new("reading a presentation", "its state is unknown"))?,
        since: number("state_at")?,
        created_at: number("created_at")?,
        expires_at: number("expires_at")?,
        secrets,
        browser: optional("browser")?,
        awaits_return: optional("response_code")?.is_some(),
        reason: optional("reason")?,
        result: optional("result")?,
        result_until: row.try_get("result_until").map_err(&doing)?,
    })
}

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

struct Bind {
    id: String,
    browser: String,
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

struct Receive {
    id: String,
    now: UnixSeconds,
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

struct Judge {
    id: String,
    judged: Judged,
    now: UnixSeconds,
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

struct End {
    id: String,
    state: PresentationState,
    reason: String,
    now: UnixSeconds,
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
        transaction.note(line(self.now, actor, action, &self.id, &self.reason));
        Ok(true)
    }
}

struct Return {
    id: String,
    response_code: String,
    browser: Option<String>,
    now: UnixSeconds,
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

struct Consume {
    id: String,
    until: UnixSeconds,
    now: UnixSeconds,
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

struct Expire(UnixSeconds);

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

struct ClaimEnds {
    now: UnixSeconds,
    until: UnixSeconds,
    limit: i64,
}

impl Change for ClaimEnds {
    type Done = Vec<DueEnd>;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Vec<DueEnd>> {
        let doing = failed("claiming ends to tell");
        let due = "next_attempt_at IS NOT NULL AND next_attempt_at <= $1";
        let statement = format!(
            "UPDATE presentations SET next_attempt_at = $2, attempts = attempts + 1 WHERE id IN \
             (SELECT id FROM presentations WHERE {due} ORDER BY next_attempt_at, id LIMIT $3) AND {due} \
             RETURNING id, client, state, attempts"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(self.now)
            .bind(self.until)
            .bind(self.limit)
            .fetch_all(&mut **transaction)
            .await
            .map_err(&doing)?;
        let due = |row: &AnyRow| -> Result<_, sqlx::Error> {
            Ok(DueEnd {
                id: row.try_get(0)?,
                client: row.try_get(1)?,
                state: row.try_get(2)?,
                attempt: row.try_get(3)?,
            })
        };
        Ok(rows.iter().map(due).collect::<Result<_, _>>().map_err(doing)?)
    }
}

struct SettleEnd {
    id: String,
    number: i64,
    next_attempt_at: Option<UnixSeconds>,
}

impl Change for SettleEnd {
    type Done = bool;

    fn order(&self) -> &str {
        &self.id
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let settled = sqlx::query("UPDATE presentations SET next_attempt_at = $3 WHERE id = $1 AND attempts = $2")
            .bind(&self.id)
            .bind(self.number)
            .bind(self.next_attempt_at)
            .execute(&mut **transaction)
            .await
            .map_err(failed("settling what was told"))?;
        Ok(settled.rows_affected() == 1)
    }
}
