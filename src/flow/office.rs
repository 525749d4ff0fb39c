//! Officers sign in, work in a session, and sign out. The session's cookie is a secret that stands nowhere but in the
//! browser; what the page itself has to send along with every change (`csrf`) is derived from it.
//!
//! What the provider is sent (`state`, `nonce`, PKCE verifier) is derived from a cookie of this one attempt under the
//! deployment's secret, so that an answer is only taken from the browser that asked, and nothing of it is stored.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

use super::access::Seat;
use super::authorize::Cookie;
use super::{Caller, Service, hash};
use crate::clock::UnixSeconds;
use crate::config::OfficeSignIn as Settings;
use crate::credential::nonce;
use crate::error::{Error, Refusal, Result};
use crate::model::calendar::day_of;
use crate::model::id::PersonalNumber;
use crate::model::officer::{Officer, OfficerState};
use crate::model::rights::rights;
use crate::model::unit::UnitDirectory;
use crate::protocol::sign_in::Callback;
use crate::remote::sign_in::{OfficeSignIn, SECOND_FACTOR_MISSING, SignInError, SignedInOfficer};
use crate::store::{OfficeSession, OfficerSignIn};

/// How long a person may take to sign in.
const ATTEMPT_SECONDS: i64 = 600;
/// A session's use is noted when the last note is this part of the allowed idle time old.
const NOTED_PARTS: i64 = 15;

/// Where an officer's browser goes next.
#[derive(Debug)]
pub enum OfficeStep {
    /// To this address, with these cookies; an empty one is to be deleted.
    Go {
        /// The address.
        to: String,
        /// The cookies.
        cookies: Vec<Cookie>,
    },
    /// It stays.
    Stop(OfficeStop),
}

/// Why an officer is not signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfficeStop {
    /// This deployment has no office.
    NoSignIn,
    /// The attempt is over, or was made in another browser.
    UnknownAttempt,
    /// The provider cannot be reached.
    Unavailable,
    /// The provider's answer is not acceptable.
    Failed,
    /// The person said no.
    Denied,
    /// There was no second factor.
    SecondFactorMissing,
    /// The account is no officer's, or of one that may not work (any more).
    NoAccount,
    /// The account is another person's, or this person has another one.
    OtherPerson,
}

/// An officer at work.
#[derive(Clone, Debug)]
pub struct AtWork {
    /// Who.
    pub officer: Officer,
    /// As whom `/api/v1` knows them.
    pub caller: Caller,
    /// What the page sends along with changes.
    pub csrf: String,
    /// When they authenticated.
    pub signed_in_at: UnixSeconds,
    /// When the session ends if nothing more is asked.
    pub idle_expires_at: UnixSeconds,
    /// When it ends however busy.
    pub expires_at: UnixSeconds,
    /// Until when what takes a recent sign-in takes no new one.
    pub step_up_until: UnixSeconds,
    /// Now, by the clock that all these are measured with.
    pub now: UnixSeconds,
}

impl Service {
    /// The name of the cookie of sessions; over https one that no other host can plant (RFC 6265bis section 4.1.3.2).
    pub fn office_cookie(&self) -> String {
        self.own_cookie("office")
    }

    /// The name of the cookie of an attempt to sign in.
    pub fn office_attempt_cookie(&self) -> String {
        self.own_cookie("office-sign-in")
    }

    fn own_cookie(&self, name: &str) -> String {
        let prefix = if self.config.public_url.starts_with("https://") { "__Host-" } else { "" };
        format!("{prefix}{name}")
    }

    /// An officer wants to sign in, for the first time or again.
    pub async fn office_visit(&self) -> Result<OfficeStep> {
        let Some((sign_in, _)) = self.office() else { return Ok(OfficeStep::Stop(OfficeStop::NoSignIn)) };
        let (value, browser) = self.random_token();
        let state = self.attempt_state(self.clock.now() + ATTEMPT_SECONDS, &browser);
        let (nonce, verifier) = self.attempt_secrets(&browser);
        match sign_in.start(&state, &nonce, &verifier).await {
            Ok(to) => {
                let cookie = Cookie { name: self.office_attempt_cookie(), value, max_age: ATTEMPT_SECONDS };
                Ok(OfficeStep::Go { to, cookies: vec![cookie] })
            }
            Err(error) => Ok(stop(&error)),
        }
    }

    /// The provider sends the browser back: with the cookie of the attempt, and that of the session that it had.
    pub async fn office_signed_in(
        &self,
        callback: &Callback,
        attempt: Option<&str>,
        session: Option<&str>,
    ) -> Result<OfficeStep> {
        let Some((sign_in, settings)) = self.office() else { return Ok(OfficeStep::Stop(OfficeStop::NoSignIn)) };
        let browser = attempt.map(|attempt| hash(&[attempt.as_bytes()]));
        let Some(browser) = browser.filter(|browser| self.is_attempt_of(callback.state.as_deref(), browser)) else {
            return Ok(OfficeStep::Stop(OfficeStop::UnknownAttempt));
        };
        let (nonce, verifier) = self.attempt_secrets(&browser);
        let signed_in = match sign_in.finish(callback, &nonce, &verifier, self.clock.now()).await {
            Ok(signed_in) => signed_in,
            Err(error) => return Ok(stop(&error)),
        };
        match self.begin(&signed_in, settings, session).await? {
            Ok(cookie) => {
                let used = Cookie { name: self.office_attempt_cookie(), value: String::new(), max_age: 0 };
                let to = format!("{}/office/", self.config.public_url);
                Ok(OfficeStep::Go { to, cookies: vec![cookie, used] })
            }
            Err(stop) => Ok(OfficeStep::Stop(stop)),
        }
    }

    /// Begins a session under a new cookie. The one that the browser had ends.
    async fn begin(
        &self,
        signed_in: &SignedInOfficer,
        settings: &Settings,
        replaces: Option<&str>,
    ) -> Result<Result<Cookie, OfficeStop>> {
        let now = self.clock.now();
        let Some(officer) = self.store.officer_of_subject(&signed_in.subject).await? else {
            return Ok(Err(OfficeStop::NoAccount));
        };
        if officer.state_at(now) != OfficerState::Active {
            return Ok(Err(OfficeStop::NoAccount));
        }
        let person = signed_in.person.as_ref().map(|person| self.person_key(person));
        // Where the provider tells numbers, whoever it tells none of is not shown to be the owner.
        let tells_numbers = !settings.personal_number_claim.is_empty();
        if officer.person.is_some() && person != officer.person && (person.is_some() || tells_numbers) {
            tracing::warn!(officer = %officer.id, "not shown to be the owner of an officer's account");
            return Ok(Err(OfficeStop::OtherPerson));
        }
        let (value, token) = self.random_token();
        let session = OfficeSession {
            token,
            authenticated_at: signed_in.authenticated_at,
            created_at: now,
            seen_at: now,
            ends_at: now + settings.session_seconds,
        };
        let replaces = replaces.map(|cookie| hash(&[cookie.as_bytes()]));
        let sign_in = OfficerSignIn { officer: officer.id, person, session, replaces };
        match self.store.begin_office_session(sign_in).await {
            Ok(()) => Ok(Ok(Cookie { name: self.office_cookie(), value, max_age: settings.session_seconds })),
            Err(Error::Refusal(Refusal::OfficerExists)) => Ok(Err(OfficeStop::OtherPerson)),
            Err(Error::Refusal(_)) => Ok(Err(OfficeStop::NoAccount)),
            Err(fault) => Err(fault),
        }
    }

    /// The officer that a cookie stands for. `is_use` tells whether this is work, which keeps the session open.
    pub async fn at_work(&self, cookie: &str, is_use: bool) -> Result<AtWork> {
        let ended = Refusal::SessionEnded;
        let Some((_, settings)) = self.office() else { return Err(ended.into()) };
        let now = self.clock.now();
        let token = hash(&[cookie.as_bytes()]);
        let (session, officer) = self.store.office_session(&token).await?.ok_or(ended.clone())?;
        let is_idle = now - session.seen_at >= settings.idle_seconds;
        if is_idle || session.ends_at <= now || officer.state_at(now) != OfficerState::Active {
            return Err(ended.into());
        }
        let mut seen_at = session.seen_at;
        if is_use && now - seen_at >= (settings.idle_seconds / NOTED_PARTS).max(1) {
            self.store.touch_office_session(token.clone(), now).await?;
            seen_at = now;
        }
        let step_up_until = session.authenticated_at + settings.step_up_seconds;
        let takes_sign_in = if step_up_until <= now { settings.step_up_scopes.clone() } else { Vec::new() };
        let seat = Seat {
            role: officer.role,
            person: officer.person.clone(),
            takes_sign_in,
            max_age_seconds: settings.step_up_seconds,
        };
        Ok(AtWork {
            caller: Caller::officer(&officer, rights().scopes_of(officer.role).to_vec(), seat),
            csrf: self.csrf_of(&session.token),
            signed_in_at: session.authenticated_at,
            idle_expires_at: (seen_at + settings.idle_seconds).min(session.ends_at),
            expires_at: session.ends_at,
            step_up_until,
            now,
            officer,
        })
    }

    /// Signs an officer out. Returns where the browser goes to sign out at the provider too.
    pub async fn office_sign_out(&self, cookie: &str) -> Result<Option<String>> {
        self.store.end_office_session(hash(&[cookie.as_bytes()]), self.clock.now()).await?;
        let Some((sign_in, _)) = self.office() else { return Ok(None) };
        let back = format!("{}/office/", self.config.public_url);
        Ok(sign_in.end_session(&back).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "an officer is only signed out here");
            None
        }))
    }

    /// Scopes that take a recent sign-in.
    pub fn step_up_scopes(&self) -> &[String] {
        self.config.office_sign_in.as_ref().map_or(&[], |settings| &settings.step_up_scopes)
    }

    /// What stands for a person where their number must not: the same in every process of this deployment.
    pub fn person_key(&self, person: &PersonalNumber) -> String {
        let key = nonce::derive(&self.keys.secret, "officer's own person", &[person.expose().as_bytes()]);
        URL_SAFE_NO_PAD.encode(key)
    }

    /// Whether the caller is this person: nobody decides in their own matter. Not known for sure of programs, and of
    /// officers whose number the sign-in does not tell.
    pub fn is_own(&self, caller: &Caller, person: &PersonalNumber) -> bool {
        caller.person().is_some_and(|own| own == self.person_key(person))
    }

    /// The Vietnamese name of a unit today.
    pub async fn unit_name(&self, code: &str) -> Result<Option<String>> {
        let units = self.store.units_named(day_of(self.clock.now()), &[code]).await?;
        Ok(units.unit_name(code).map(std::borrow::Cow::into_owned))
    }

    fn office(&self) -> Option<(&OfficeSignIn, &Settings)> {
        self.office_sign_in.as_ref().zip(self.config.office_sign_in.as_ref())
    }

    fn csrf_of(&self, token: &str) -> String {
        URL_SAFE_NO_PAD.encode(nonce::derive(&self.keys.secret, "office csrf", &[token.as_bytes()]))
    }

    /// `state` of an attempt: until when it can be answered, and a MAC of that for this browser.
    fn attempt_state(&self, until: UnixSeconds, browser: &str) -> String {
        let parts: [&[u8]; 2] = [&until.to_be_bytes(), browser.as_bytes()];
        let mac = nonce::derive(&self.keys.secret, "office sign-in state", &parts);
        format!("{until}.{}", URL_SAFE_NO_PAD.encode(&mac[..20]))
    }

    fn is_attempt_of(&self, state: Option<&str>, browser: &str) -> bool {
        let until = state.and_then(|state| state.split_once('.')?.0.parse::<UnixSeconds>().ok());
        let (Some(state), Some(until)) = (state, until) else { return false };
        until > self.clock.now() && bool::from(self.attempt_state(until, browser).as_bytes().ct_eq(state.as_bytes()))
    }

    fn attempt_secrets(&self, browser: &str) -> (String, String) {
        let derived =
            |purpose| URL_SAFE_NO_PAD.encode(nonce::derive(&self.keys.secret, purpose, &[browser.as_bytes()]));
        (derived("office sign-in nonce"), derived("office sign-in verifier"))
    }
}

fn stop(error: &SignInError) -> OfficeStep {
    tracing::warn!(%error, "a sign-in of an officer did not succeed");
    OfficeStep::Stop(match error {
        SignInError::Unreachable(_) => OfficeStop::Unavailable,
        SignInError::Denied => OfficeStop::Denied,
        SignInError::Refused(SECOND_FACTOR_MISSING) => OfficeStop::SecondFactorMissing,
        SignInError::Refused(_) => OfficeStop::Failed,
    })
}
