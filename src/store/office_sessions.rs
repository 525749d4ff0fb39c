//! Sessions of officers. A cookie opens one as long as its row is there, its officer may work, and it was used a while
//! ago at most.

use sqlx::{AssertSqlSafe, Row};

use super::officers::{self, note};
use super::{Change, Store, Transaction, failed};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Refusal, Result};
use crate::model::id::Handle;
use crate::model::officer::Officer;

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfficeSession {
    /// The hash of its cookie.
    pub token: String,
    /// When the officer authenticated.
    pub authenticated_at: UnixSeconds,
    /// When it began.
    pub created_at: UnixSeconds,
    /// When it was used last, to within a while.
    pub seen_at: UnixSeconds,
    /// When it ends, however busy.
    pub ends_at: UnixSeconds,
}

/// An officer who signed in.
#[derive(Clone, Debug)]
pub struct OfficerSignIn {
    /// Who.
    pub officer: Handle,
    /// The keyed hash of their personal number, if the sign-in told it.
    pub person: Option<String>,
    /// The session that begins.
    pub session: OfficeSession,
    /// The session that this browser had before, which ends.
    pub replaces: Option<String>,
}

impl Store {
    /// The session of a cookie and its officer, whatever state they are in.
    pub async fn office_session(&self, token: &str) -> Result<Option<(OfficeSession, Officer)>, Fault> {
        let row = sqlx::query(AssertSqlSafe(format!(
            "SELECT session.authenticated_at, session.created_at AS session_began_at, session.seen_at, \
             session.ends_at, {} FROM office_sessions session JOIN officers ON officers.id = session.officer \
             WHERE session.token = $1",
            officers::COLUMNS
        )))
        .bind(token)
        .fetch_optional(self.readers())
        .await
        .map_err(failed("reading a session"))?;
        let Some(row) = row else { return Ok(None) };
        let number = |column: &str| row.try_get::<i64, _>(column).map_err(failed("reading a session"));
        let session = OfficeSession {
            token: token.to_owned(),
            authenticated_at: number("authenticated_at")?,
            created_at: number("session_began_at")?,
            seen_at: number("seen_at")?,
            ends_at: number("ends_at")?,
        };
        Ok(Some((session, officers::read(&row)?)))
    }

    /// Begins a session; refused when the officer may not work (any more), or when the account was another person's.
    pub async fn begin_office_session(&self, sign_in: OfficerSignIn) -> Result<()> {
        self.write(sign_in).await
    }

    /// Notes that a session was used.
    pub async fn touch_office_session(&self, token: String, at: UnixSeconds) -> Result<()> {
        self.write(Touch { token, at }).await
    }

    /// Ends a session. Returns whether there was one.
    pub async fn end_office_session(&self, token: String, at: UnixSeconds) -> Result<bool> {
        self.write(End { token, at }).await
    }
}

impl Change for OfficerSignIn {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        let Self { officer, person, session, replaces } = self;
        let at = session.created_at;
        // What is not told stays as it is; what is told once stays for good.
        if let Some(person) = person {
            let taken = sqlx::query("SELECT id FROM officers WHERE person = $1 AND id <> $2")
                .bind(person)
                .bind(officer.as_str())
                .fetch_optional(&mut **transaction)
                .await
                .map_err(failed("looking for the account of a person"))?;
            if taken.is_some() {
                return Err(Refusal::OfficerExists.into());
            }
        }
        let known = sqlx::query(
            "UPDATE officers SET signed_in_at = $2, person = COALESCE(person, $3) WHERE id = $1 \
             AND blocked_at IS NULL AND (valid_until IS NULL OR valid_until > $2) \
             AND (person IS NULL OR person = COALESCE($3, person))",
        )
        .bind(officer.as_str())
        .bind(at)
        .bind(person.as_deref())
        .execute(&mut **transaction)
        .await
        .map_err(failed("signing an officer in"))?;
        if known.rows_affected() == 0 {
            return Err(Refusal::NotFound("officer").into());
        }
        // The session that this browser had, and all that time has ended.
        let swept = sqlx::query("DELETE FROM office_sessions WHERE token = $1 OR ends_at <= $2")
            .bind(replaces.as_deref().unwrap_or_default())
            .bind(at)
            .execute(&mut **transaction)
            .await;
        swept.map_err(failed("ending sessions"))?;
        sqlx::query(
            "INSERT INTO office_sessions (token, officer, authenticated_at, created_at, seen_at, ends_at) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&session.token)
        .bind(officer.as_str())
        .bind(session.authenticated_at)
        .bind(at)
        .bind(session.seen_at)
        .bind(session.ends_at)
        .execute(&mut **transaction)
        .await
        .map_err(failed("beginning a session"))?;
        note(transaction, at, officer.as_str(), "officer.signed_in", officer, String::new());
        Ok(())
    }
}

struct Touch {
    token: String,
    at: UnixSeconds,
}

impl Change for Touch {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        sqlx::query("UPDATE office_sessions SET seen_at = $2 WHERE token = $1 AND seen_at < $2")
            .bind(&self.token)
            .bind(self.at)
            .execute(&mut **transaction)
            .await
            .map_err(failed("noting that a session was used"))?;
        Ok(())
    }
}

struct End {
    token: String,
    at: UnixSeconds,
}

impl Change for End {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let row = sqlx::query("DELETE FROM office_sessions WHERE token = $1 RETURNING officer")
            .bind(&self.token)
            .fetch_optional(&mut **transaction)
            .await
            .map_err(failed("ending a session"))?;
        let Some(row) = row else { return Ok(false) };
        let officer = super::cards::handle(&row, "officer")?;
        note(transaction, self.at, officer.as_str(), "officer.signed_out", &officer, String::new());
        Ok(true)
    }
}

/// Ends every session of an officer.
pub(super) async fn end_all(transaction: &mut Transaction<'_>, officer: &Handle) -> Result<(), Fault> {
    sqlx::query("DELETE FROM office_sessions WHERE officer = $1")
        .bind(officer.as_str())
        .execute(&mut **transaction)
        .await
        .map(|_| ())
        .map_err(failed("ending the sessions of an officer"))
}
