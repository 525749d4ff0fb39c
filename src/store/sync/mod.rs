//! The Ministry's synchronisation interface: its accounts and tokens here, the log of its calls and the names of dossiers in
//! `calls`.

mod calls;

use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Change, Line, Store, Transaction, failed};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Result};
pub(super) use calls::follow_record;
pub use calls::{SyncCall, SyncCallFilter, SyncKey, SyncOutcome};

/// Wrong passwords after which an account has to wait: for the first time [`WAIT_SECONDS`], each time as much longer, at most
/// [`MOST_WAIT_SECONDS`].
const FREE_FAILURES: i64 = 10;
/// See [`FREE_FAILURES`].
const WAIT_SECONDS: i64 = 60;
/// See [`FREE_FAILURES`].
const MOST_WAIT_SECONDS: i64 = 900;

/// An account of a unit's system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncAccount {
    /// User name.
    pub name: String,
    /// The sending agency: `org_Code`.
    pub org_code: String,
    /// Whether its word counts as the unit's confirmation.
    pub confirms: bool,
    /// When it was made.
    pub created_at: UnixSeconds,
    /// When it was blocked.
    pub blocked_at: Option<UnixSeconds>,
}

/// How a login begins.
#[derive(Clone, PartialEq, Eq)]
pub enum LoginBegin {
    /// There is no such account, or it is blocked.
    Unknown,
    /// It has to wait until then.
    Locked(SyncAccount, UnixSeconds),
    /// The attempt is counted; the password has this Argon2id hash.
    Verify(SyncAccount, String),
}

impl Store {
    /// Makes an account; `false` when the name is taken.
    pub async fn add_sync_account(&self, account: SyncAccount, password: String, actor: &str) -> Result<bool> {
        self.write(AddAccount { account, password, actor: actor.to_owned() }).await
    }

    /// Blocks an account and all its tokens; `false` when there is none, or it is blocked.
    pub async fn block_sync_account(&self, name: &str, actor: &str, at: UnixSeconds) -> Result<bool> {
        self.write(BlockAccount { name: name.to_owned(), actor: actor.to_owned(), at }).await
    }

    /// All accounts, by name.
    pub async fn sync_accounts(&self) -> Result<Vec<SyncAccount>, Fault> {
        let statement = "SELECT name, org_code, confirms, created_at, blocked_at FROM sync_accounts ORDER BY name";
        let rows = sqlx::query(statement).fetch_all(self.readers()).await;
        rows.and_then(|rows| rows.iter().map(account).collect()).map_err(failed("reading accounts"))
    }

    /// Counts a login as failed, until [`Store::keep_sync_token`] says otherwise. One conditional statement: however many
    /// come at once, each is one guess.
    pub async fn begin_sync_login(&self, name: &str, now: UnixSeconds) -> Result<LoginBegin> {
        self.write(BeginLogin { name: name.to_owned(), now }).await
    }

    /// Keeps a token of an account that proved its password, and forgets its failures.
    pub async fn keep_sync_token(
        &self,
        account: &str,
        hash: String,
        expires_at: UnixSeconds,
        now: UnixSeconds,
    ) -> Result<()> {
        self.write(KeepSyncToken { account: account.to_owned(), hash, expires_at, now }).await
    }

    /// The account of a live token.
    pub async fn sync_account(&self, token_hash: &str, now: UnixSeconds) -> Result<Option<SyncAccount>, Fault> {
        let row = sqlx::query(
            "SELECT name, org_code, confirms, created_at, blocked_at FROM sync_tokens \
             JOIN sync_accounts ON name = account WHERE hash = $1 AND expires_at > $2 AND blocked_at IS NULL",
        )
        .bind(token_hash)
        .bind(now)
        .fetch_optional(self.readers())
        .await;
        row.and_then(|row| row.as_ref().map(account).transpose()).map_err(failed("reading a token"))
    }
}

fn account(row: &AnyRow) -> Result<SyncAccount, sqlx::Error> {
    Ok(SyncAccount {
        name: row.try_get("name")?,
        org_code: row.try_get("org_code")?,
        confirms: row.try_get::<i64, _>("confirms")? != 0,
        created_at: row.try_get("created_at")?,
        blocked_at: row.try_get("blocked_at")?,
    })
}

struct AddAccount {
    account: SyncAccount,
    password: String,
    actor: String,
}

impl Change for AddAccount {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let SyncAccount { name, org_code, confirms, created_at, .. } = &self.account;
        let added = sqlx::query(
            "INSERT INTO sync_accounts (name, password, org_code, confirms, created_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT DO NOTHING",
        )
        .bind(name)
        .bind(&self.password)
        .bind(org_code)
        .bind(i64::from(*confirms))
        .bind(created_at)
        .execute(&mut **transaction)
        .await
        .map_err(failed("making an account"))?;
        if added.rows_affected() == 0 {
            return Ok(false);
        }
        let detail = format!("{org_code}{}", if *confirms { " confirms" } else { "" });
        let (actor, subject) = (self.actor.clone(), name.clone());
        transaction.note(Line { at: *created_at, actor, action: "sync_account.added", subject, detail });
        Ok(true)
    }
}

struct BlockAccount {
    name: String,
    actor: String,
    at: UnixSeconds,
}

impl Change for BlockAccount {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let blocked = sqlx::query("UPDATE sync_accounts SET blocked_at = $2 WHERE name = $1 AND blocked_at IS NULL")
            .bind(&self.name)
            .bind(self.at)
            .execute(&mut **transaction)
            .await
            .map_err(failed("blocking an account"))?;
        if blocked.rows_affected() == 0 {
            return Ok(false);
        }
        let (actor, subject) = (self.actor.clone(), self.name.clone());
        let line = Line { at: self.at, actor, action: "sync_account.blocked", subject, detail: String::new() };
        transaction.note(line);
        Ok(true)
    }
}

struct BeginLogin {
    name: String,
    now: UnixSeconds,
}

impl Change for BeginLogin {
    type Done = LoginBegin;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<LoginBegin> {
        let doing = failed("beginning a login");
        let counted = sqlx::query(
            "UPDATE sync_accounts SET failures = failures + 1, locked_until = CASE WHEN failures + 1 < $3 THEN 0 \
             WHEN (failures + 2 - $3) * $4 > $5 THEN $2 + $5 ELSE $2 + (failures + 2 - $3) * $4 END \
             WHERE name = $1 AND blocked_at IS NULL AND locked_until <= $2 \
             RETURNING name, org_code, confirms, created_at, blocked_at, password",
        )
        .bind(&self.name)
        .bind(self.now)
        .bind(FREE_FAILURES)
        .bind(WAIT_SECONDS)
        .bind(MOST_WAIT_SECONDS)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(&doing)?;
        if let Some(row) = counted {
            let password = row.try_get("password").map_err(&doing)?;
            return Ok(LoginBegin::Verify(account(&row).map_err(&doing)?, password));
        }
        let locked = sqlx::query(
            "SELECT name, org_code, confirms, created_at, blocked_at, locked_until FROM sync_accounts \
             WHERE name = $1 AND blocked_at IS NULL",
        )
        .bind(&self.name)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(&doing)?;
        let Some(row) = locked else { return Ok(LoginBegin::Unknown) };
        let until = row.try_get("locked_until").map_err(&doing)?;
        Ok(LoginBegin::Locked(account(&row).map_err(&doing)?, until))
    }
}

struct KeepSyncToken {
    account: String,
    hash: String,
    expires_at: UnixSeconds,
    now: UnixSeconds,
}

impl Change for KeepSyncToken {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        let doing = failed("keeping a token");
        sqlx::query("INSERT INTO sync_tokens (hash, account, expires_at) VALUES ($1, $2, $3)")
            .bind(&self.hash)
            .bind(&self.account)
            .bind(self.expires_at)
            .execute(&mut **transaction)
            .await
            .map_err(&doing)?;
        sqlx::query("UPDATE sync_accounts SET failures = 0, locked_until = 0 WHERE name = $1")
            .bind(&self.account)
            .execute(&mut **transaction)
            .await
            .map_err(&doing)?;
        let (actor, subject) = (format!("sync:{}", self.account), self.account.clone());
        transaction.note(Line { at: self.now, actor, action: "token.issued", subject, detail: "sync".into() });
        Ok(())
    }
}
