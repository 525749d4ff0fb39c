//! Officers of the unit offices sign in with a second factor: the provider must say so, in `amr` (RFC 8176) or by an
//! `acr` that stands for one. What comes out is a name of the provider's; whether an officer has it is not for here.

use serde_json::Value;

use super::relying_party::{Asking, RelyingParty, Shown};
use super::{ASSURANCE_TOO_LOW, SignInError};
use crate::clock::{Clock, UnixSeconds};
use crate::config;
use crate::error::Fault;
use crate::model::id::PersonalNumber;
use crate::model::officer::Officer;
use crate::protocol::sign_in::Callback;

/// The rule of [`SignInError::Refused`] when nothing shows a second factor: the officer can mend it.
pub const SECOND_FACTOR_MISSING: &str = "the sign-in shows no second factor";

/// Where officers sign in. Clones share what is known of the provider.
#[derive(Clone)]
pub struct OfficeSignIn {
    party: RelyingParty,
    config: config::OfficeSignIn,
}

/// An account of the provider whose owner signed in just now with two factors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedInOfficer {
    /// The account, by the claim that the settings name.
    pub subject: String,
    /// Its owner, when the provider tells.
    pub person: Option<PersonalNumber>,
    /// When they authenticated.
    pub authenticated_at: UnixSeconds,
}

impl OfficeSignIn {
    /// For the provider of the settings; officers come back to `redirect_uri`.
    pub fn new(config: &config::OfficeSignIn, redirect_uri: &str) -> Result<Self, Fault> {
        let party = RelyingParty::new(&Asking {
            issuer: &config.issuer,
            client_id: &config.client_id,
            client_secret: config.client_secret.as_ref(),
            client_key: config.client_key.as_deref(),
            scopes: &config.scopes,
            acr_values: &config.acr_values,
            redirect_uri,
        })?;
        Ok(Self { party, config: config.clone() })
    }

    /// The same, with another clock for how long what is known of the provider is believed.
    #[must_use]
    pub fn told_time_by(self, clock: Clock) -> Self {
        Self { party: self.party.told_time_by(clock), ..self }
    }

    /// The URL to send the browser to; see [`super::VneidSignIn::start`].
    pub async fn start(&self, state: &str, nonce: &str, verifier: &str) -> Result<String, SignInError> {
        self.party.start(state, nonce, verifier).await
    }

    /// Who signed in, by the browser's return.
    pub async fn finish(
        &self,
        callback: &Callback,
        nonce: &str,
        verifier: &str,
        now: UnixSeconds,
    ) -> Result<SignedInOfficer, SignInError> {
        let code = self.party.code(callback).await.map_err(|error| match error {
            // `unmet_authentication_requirements`: here it was the second factor that we asked for.
            SignInError::Refused(ASSURANCE_TOO_LOW) => SignInError::Refused(SECOND_FACTOR_MISSING),
            error => error,
        })?;
        let shown = self.party.finish(code, nonce, verifier, now).await?;
        if !self.shows_second_factor(&shown) {
            return Err(SignInError::Refused(SECOND_FACTOR_MISSING));
        }
        let subject = shown.text(&self.config.subject_claim).filter(|subject| Officer::is_subject(subject));
        let subject = subject.ok_or(SignInError::Refused("the ID token names no account"))?.to_owned();
        let claim = &self.config.personal_number_claim;
        let person = match shown.claims.get(claim).filter(|value| !claim.is_empty() && !value.is_null()) {
            None => None,
            Some(value) => {
                let person = value.as_str().and_then(PersonalNumber::parse);
                Some(person.ok_or(SignInError::Refused("the ID token's personal number is not twelve digits"))?)
            }
        };
        Ok(SignedInOfficer { subject, person, authenticated_at: shown.authenticated_at.min(now) })
    }

    /// Where a browser goes to sign out there too; `None` when there is no such place.
    pub async fn end_session(&self, back: &str) -> Result<Option<String>, SignInError> {
        self.party.end_session(back).await
    }

    fn shows_second_factor(&self, shown: &Shown) -> bool {
        let methods = shown.claims.get("amr").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        self.config.shows_second_factor(&methods.collect::<Vec<_>>(), shown.text("acr"))
    }
}
