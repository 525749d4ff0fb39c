//! Who signs in with an OpenID provider: people at VNeID ([`VneidSignIn`]), officers at the provider of their offices
//! ([`OfficeSignIn`]). Both lean on one relying party (`relying_party.rs`); what is asked of a sign-in is theirs.

mod assertion;
mod http;
mod office;
mod provider;
mod relying_party;

use self::relying_party::{Asking, RelyingParty};
use crate::clock::{Clock, UnixSeconds};
use crate::config;
use crate::error::Fault;
use crate::model::id::PersonalNumber;
use crate::protocol::sign_in::Callback;

pub use office::{OfficeSignIn, SECOND_FACTOR_MISSING, SignedInOfficer};

/// How long ago the person may have given their password; asked for (`max_age`) and checked (`auth_time`).
pub const MAX_AUTHENTICATION_AGE_SECONDS: i64 = 300;
/// How far the provider's clock may be from ours.
pub const CLOCK_SKEW_SECONDS: i64 = 60;

/// The rule of [`SignInError::Refused`] when the person signed in at less than assurance level 2: they can mend it, so it
/// is told from all others.
pub const ASSURANCE_TOO_LOW: &str = "the sign-in is not of assurance level 2";

/// Where people sign in. Clones share what is known of the provider.
#[derive(Clone)]
pub struct VneidSignIn {
    party: RelyingParty,
    personal_number_claim: String,
    acr_level_2: Vec<String>,
}

/// Somebody who signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// Who.
    pub person: PersonalNumber,
    /// How sure the provider is, by Decree 69/2024: at least 2.
    pub assurance_level: u8,
}

/// Nobody signed in. The texts are for the log: they hold no secret, no personal data and nothing that the provider wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignInError {
    /// The provider does not answer, or says that it cannot now: try again later.
    #[error("the sign-in provider cannot be reached: {0}")]
    Unreachable(String),
    /// The person said no (`access_denied`).
    #[error("the sign-in was denied")]
    Denied,
    /// An answer that breaks the contract, or does not show enough ([`ASSURANCE_TOO_LOW`], [`SECOND_FACTOR_MISSING`]).
    #[error("the sign-in is refused: {0}")]
    Refused(&'static str),
}

impl VneidSignIn {
    /// For the provider of the settings; people come back to `redirect_uri`. Reads the client key, if there is one. The
    /// provider is not asked yet: a server starts while VNeID is down.
    pub fn new(config: &config::SignIn, redirect_uri: &str) -> Result<Self, Fault> {
        let party = RelyingParty::new(&Asking {
            issuer: &config.issuer,
            client_id: &config.client_id,
            client_secret: config.client_secret.as_ref(),
            client_key: config.client_key.as_deref(),
            scopes: &config.scopes,
            acr_values: &config.acr_level_2,
            redirect_uri,
        })?;
        Ok(Self {
            party,
            personal_number_claim: config.personal_number_claim.clone(),
            acr_level_2: config.acr_level_2.clone(),
        })
    }

    /// The same, with another clock for how long what is known of the provider is believed.
    #[must_use]
    pub fn told_time_by(self, clock: Clock) -> Self {
        Self { party: self.party.told_time_by(clock), ..self }
    }

    /// The URL to send the browser to. `state`, `nonce` and `verifier` (43 to 128 characters, RFC 7636) are the caller's,
    /// who hands them in again later: nothing is stored here.
    pub async fn start(&self, state: &str, nonce: &str, verifier: &str) -> Result<String, SignInError> {
        self.party.start(state, nonce, verifier).await
    }

    /// The code of the browser's return, when it is the provider that answers (RFC 9207). `state` was compared by the
    /// caller, who knows it.
    pub async fn code<'a>(&self, callback: &'a Callback) -> Result<&'a str, SignInError> {
        self.party.code(callback).await
    }

    /// Exchanges the code and reads the ID token. It must be signed by a key of the provider, be made by it for us alone,
    /// just now, for this `nonce`, at assurance level 2 or more, and name a personal number.
    pub async fn finish(
        &self,
        code: &str,
        nonce: &str,
        verifier: &str,
        now: UnixSeconds,
    ) -> Result<SignedIn, SignInError> {
        let shown = self.party.finish(code, nonce, verifier, now).await?;
        if !shown.text("acr").is_some_and(|acr| self.acr_level_2.iter().any(|level| level == acr)) {
            return Err(SignInError::Refused(ASSURANCE_TOO_LOW));
        }
        let person = shown.text(&self.personal_number_claim).and_then(PersonalNumber::parse);
        let person = person.ok_or(SignInError::Refused("the ID token names no personal number"))?;
        Ok(SignedIn { person, assurance_level: 2 })
    }
}
