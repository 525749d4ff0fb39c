//! Accounts of units' systems: user name and password for a token of five hours.
//!
//! A password is kept as its Argon2id hash (RFC 9106; the parameters are OWASP's first choice: 19 MiB, two passes). An
//! attempt counts as failed before its password is looked at, so that many at once get no more guesses; after ten in a row
//! the account waits, longer each time, at most a quarter of an hour. Nobody learns by time whether a name exists.

use std::sync::OnceLock;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::chance::Chance;
use crate::clock::{Clock, UnixSeconds};
use crate::error::{Fault, Refusal, Result};
use crate::flow::Service;
use crate::model::calendar::day_of;
use crate::model::unit::{UnitCode, UnitDirectory};
use crate::protocol::ministry::{Login, MAX_CREDENTIAL_BYTES, TOKEN_SECONDS};
use crate::store::{LoginBegin, Store, SyncAccount, SyncCall, SyncOutcome};

/// Passwords looked at at the same time in this process: each takes 19 MiB and a core.
const AT_ONCE: usize = 2;
/// Logins that wait for their turn at the same time in this process; more are told to come again, and count for nothing.
const IN_LINE: usize = 32;
/// The shortest password that an operator may give.
const SHORTEST_PASSWORD: usize = 12;

const WRONG: &str = "Xác thực không thành công. Tên đăng nhập hoặc mật khẩu không chính xác!";

/// Places for passwords that are looked at.
pub struct Passwords {
    places: Semaphore,
    line: Semaphore,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { places: Semaphore::new(AT_ONCE), line: Semaphore::new(IN_LINE) }
    }
}

/// How a login ended.
pub enum SyncLogin {
    /// Here is the token, and when it ends.
    In {
        /// The token.
        token: String,
        /// Unix seconds.
        expires_at: UnixSeconds,
    },
    /// Why not, in Vietnamese.
    Refused(String),
}

/// An account to be made.
#[derive(Clone, Debug)]
pub struct NewSyncAccount {
    /// User name: 1 to 64 of `a-z 0-9 . _ -`.
    pub name: String,
    /// The sending agency.
    pub unit: String,
    /// Whether what it sends counts as confirmed by the unit.
    pub confirms: bool,
}

/// Makes an account, with this password or a fresh one. Returns the password.
///
/// # Errors
///
/// [`Refusal::Malformed`] for a name, unit or password that will not do, or a name that is taken.
pub async fn add_sync_account(
    store: &Store,
    clock: &Clock,
    chance: &Chance,
    new: NewSyncAccount,
    password: Option<String>,
    actor: &str,
) -> Result<String> {
    let may_stand = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    if !(1..=64).contains(&new.name.len()) || !new.name.bytes().all(may_stand) {
        return Err(Refusal::malformed("name", "must be 1 to 64 of a-z 0-9 . _ -").into());
    }
    let unit =
        UnitCode::parse(&new.unit).ok_or_else(|| Refusal::malformed("unit", "must be a unit code such as H26"))?;
    let now = clock.now();
    if !store.units_named(day_of(now), &[unit.as_str()]).await?.has_unit(unit.as_str()) {
        return Err(Refusal::malformed("unit", "there is no such unit").into());
    }
    let password = password.unwrap_or_else(|| URL_SAFE_NO_PAD.encode(chance.bytes::<24>()));
    if !(SHORTEST_PASSWORD..=MAX_CREDENTIAL_BYTES).contains(&password.len()) {
        let rule = format!("must have {SHORTEST_PASSWORD} to {MAX_CREDENTIAL_BYTES} bytes");
        return Err(Refusal::malformed("password", rule).into());
    }
    let hashed = hashed(&password, &chance.bytes::<16>())?;
    let account = SyncAccount {
        name: new.name,
        org_code: unit.as_str().to_owned(),
        confirms: new.confirms,
        created_at: now,
        blocked_at: None,
    };
    if store.add_sync_account(account, hashed, actor).await? {
        Ok(password)
    } else {
        Err(Refusal::malformed("name", "is taken").into())
    }
}

impl Service {
    /// A login: user name and password for a token.
    ///
    /// # Errors
    ///
    /// [`Refusal::Busy`] while too many wait.
    pub async fn sync_login(&self, body: &[u8]) -> Result<SyncLogin> {
        let refused = |message: &str| Ok(SyncLogin::Refused(message.to_owned()));
        let Some(login) = Login::parse(body) else { return refused("Vui lòng nhập username và mật khẩu!") };
        // Before the attempt counts: who is sent away has not guessed.
        let _turn = self.passwords.line.try_acquire().map_err(|_| Refusal::Busy("logins"))?;
        let now = self.clock.now();
        match self.store.begin_sync_login(&login.username, now).await? {
            LoginBegin::Unknown => {
                // As long as for a known one.
                self.is_password(login.password, stand_in()?).await?;
                refused(WRONG)
            }
            LoginBegin::Locked(account, until) => {
                let minutes = (until - now + 59) / 60;
                let message =
                    format!("Tài khoản tạm khóa do đăng nhập sai nhiều lần, đề nghị thử lại sau {minutes} phút!");
                self.note_failed_login(account, "locked", &message).await?;
                refused(&message)
            }
            LoginBegin::Verify(account, hash) => {
                if !self.is_password(login.password, hash).await? {
                    self.note_failed_login(account, "password", WRONG).await?;
                    return refused(WRONG);
                }
                let (token, hash) = self.random_token();
                let expires_at = now + TOKEN_SECONDS;
                self.store.keep_sync_token(&account.name, hash, expires_at, now).await?;
                Ok(SyncLogin::In { token, expires_at })
            }
        }
    }

    async fn is_password(&self, password: String, hash: String) -> Result<bool> {
        let doing = "looking at a password";
        let _place = self.passwords.places.acquire().await.map_err(|error| Fault::new(doing, error))?;
        let looked =
            spawn_blocking(move || Argon2::default().verify_password(password.as_bytes(), hash.as_str()).is_ok());
        Ok(looked.await.map_err(|error| Fault::new(doing, error))?)
    }

    async fn note_failed_login(&self, account: SyncAccount, code: &str, message: &str) -> Result<()> {
        let call = self.refused_call(account, "login", code, message);
        self.store.note_sync_call(call, Vec::new()).await
    }

    /// The row of a call whose packet was not even read.
    pub(super) fn refused_call(&self, account: SyncAccount, operation: &str, code: &str, message: &str) -> SyncCall {
        SyncCall {
            transaction: self.random_uuid(),
            at: self.clock.now(),
            account: account.name,
            unit: account.org_code,
            operation: operation.to_owned(),
            action: None,
            dossiers: 0,
            outcome: SyncOutcome::Refused,
            codes: vec![code.to_owned()],
            duration_ms: 0,
            digest: String::new(),
            repeats: None,
            message: message.to_owned(),
            detail: String::new(),
        }
    }
}

fn hashed(password: &str, salt: &[u8]) -> Result<String, Fault> {
    let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), salt);
    hash.map(|hash| hash.to_string()).map_err(|error| Fault::new("hashing a password", error.to_string()))
}

/// A hash that no password is looked up by.
fn stand_in() -> Result<String, Fault> {
    static HASH: OnceLock<String> = OnceLock::new();
    if let Some(hash) = HASH.get() {
        return Ok(hash.clone());
    }
    let hash = hashed("nobody", &[0; 16])?;
    Ok(HASH.get_or_init(|| hash).clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_kept_as_argon2id_and_recognised() {
        let hash = hashed("mật khẩu rất dài", &[7; 16]).unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let is = |password: &str| Argon2::default().verify_password(password.as_bytes(), hash.as_str()).is_ok();
        assert!(is("mật khẩu rất dài") && !is("mật khẩu rất dàj") && !is(""));
    }
}
