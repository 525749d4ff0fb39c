//! Transactions in which somebody is asked to present a card. Every step is one conditional statement: of two answers, or
//! of an answer and the end of time, exactly one counts.

mod changes;
mod ends;

use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Store, failed};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Result};
use crate::model::presentation::PresentationState;
use changes::{Bind, Consume, End, Expire, Forget, Judge, Receive, Return};

pub use ends::DueEnd;

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
    /// SHA-256 of the cookie of the browser that began on the page.
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

const COLUMNS: &str = "id, client, request_hash, template, terms, same_device, state, state_at, created_at, expires_at, \
    nonce, wallet_state, sealed_key, browser, response_code, reason, result, result_until";

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
        reason: Option<String>,
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

    /// Forgets the result of an accepted transaction, fetched or not; `false` if there was none.
    pub async fn forget_presentation(&self, id: String, now: UnixSeconds) -> Result<bool> {
        self.write(Forget { id, now }).await
    }

    /// Ends what is over by its time and forgets results that have waited long enough. Returns how many rows changed.
    pub async fn expire_presentations(&self, now: UnixSeconds) -> Result<u64> {
        self.write(Expire(now)).await
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
