//! The sign-in at VNeID: we are a relying party of OpenID Connect Core 1.0 (code flow with PKCE and nonce, RFC 9207 `iss`),
//! built on the crate `openidconnect`. What comes out is a personal number and the promise that its owner signed in just
//! now at assurance level 2 or more.
//!
//! Nothing about a sign-in is stored here: `state`, `nonce` and the PKCE verifier are the caller's. Tokens are read and
//! dropped; the access token is never used.

mod assertion;
mod http;
mod provider;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use openidconnect::core::{CoreAuthPrompt, CoreErrorResponseType, CoreIdTokenVerifier, CoreJwsSigningAlgorithm};
use openidconnect::url::Url;
use openidconnect::{
    AuthenticationContextClass, AuthenticationFlow, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret,
    CsrfToken, IssuerUrl, LanguageTag, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError,
    Scope, SignatureVerificationError, TokenResponse,
};

use self::assertion::{ASSERTION_TYPE, ClientKey};
use self::http::{Http, HttpError};
use self::provider::{Discovery, Provider, Registration, SignInToken, TokenError};
use crate::clock::{Clock, UnixSeconds};
use crate::config;
use crate::error::Fault;
use crate::model::id::PersonalNumber;
use crate::protocol::sign_in::{Callback, Returned};

/// How long ago the person may have given their password; asked for (`max_age`) and checked (`auth_time`).
pub const MAX_AUTHENTICATION_AGE_SECONDS: i64 = 300;
/// How far the provider's clock may be from ours.
pub const CLOCK_SKEW_SECONDS: i64 = 60;
/// How old an ID token may be: it is fetched as soon as it is made.
const MAX_TOKEN_AGE_SECONDS: i64 = 300;
/// Lengths of a PKCE verifier (RFC 7636 section 4.1).
const VERIFIER_LENGTHS: std::ops::RangeInclusive<usize> = 43..=128;
/// Signatures that are read. No symmetric one: whoever knows the client secret could sign.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 4] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// The rule of [`SignInError::Refused`] when the person signed in at less than assurance level 2: they can mend it, so it
/// is told from all others.
pub const ASSURANCE_TOO_LOW: &str = "the sign-in is not of assurance level 2";

/// Where people sign in. Clones share what is known of the provider.
#[derive(Clone)]
pub struct VneidSignIn {
    inner: Arc<Inner>,
    clock: Clock,
}

struct Inner {
    registration: Registration,
    client_key: Option<ClientKey>,
    scopes: Vec<String>,
    personal_number_claim: String,
    acr_level_2: Vec<String>,
    http: Http,
    discovery: Discovery,
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
    /// An answer that breaks the contract, or does not show enough ([`ASSURANCE_TOO_LOW`]).
    #[error("the sign-in is refused: {0}")]
    Refused(&'static str),
}

impl VneidSignIn {
    /// For the provider of the settings; people come back to `redirect_uri`. Reads the client key, if there is one. The
    /// provider is not asked yet: a server starts while VNeID is down.
    pub fn new(config: &config::SignIn, redirect_uri: &str) -> Result<Self, Fault> {
        let wrong = |what: &'static str| Fault::new("checking the sign-in provider's settings", what);
        let issuer = IssuerUrl::new(config.issuer.clone()).map_err(|_| wrong("issuer is not a URL"))?;
        let url = issuer.url();
        if !(url.scheme() == "https" || http::is_plain_loopback(url)) {
            return Err(wrong("issuer must be https (http only on loopback)"));
        }
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("issuer must have no query, fragment or user"));
        }
        let redirect_uri =
            RedirectUrl::new(redirect_uri.to_owned()).map_err(|_| wrong("the redirect URI is not a URL"))?;
        let http = Http::new(url)?;
        let inner = Inner {
            registration: Registration {
                issuer,
                client_id: ClientId::new(config.client_id.clone()),
                client_secret: config
                    .client_secret
                    .as_ref()
                    .map(|secret| ClientSecret::new(secret.expose().to_owned())),
                redirect_uri,
            },
            client_key: config.client_key.as_deref().map(ClientKey::read).transpose()?,
            scopes: config.scopes.clone(),
            personal_number_claim: config.personal_number_claim.clone(),
            acr_level_2: config.acr_level_2.clone(),
            http,
            discovery: Discovery::default(),
        };
        Ok(Self { inner: Arc::new(inner), clock: Clock::system() })
    }

    /// The same, with another clock for how long what is known of the provider is believed.
    #[must_use]
    pub fn told_time_by(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// The URL to send the browser to. `state`, `nonce` and `verifier` (43 to 128 characters, RFC 7636) are the caller's,
    /// who hands them in again later: nothing is stored here.
    pub async fn start(&self, state: &str, nonce: &str, verifier: &str) -> Result<String, SignInError> {
        let inner = &*self.inner;
        let verifier = pkce(verifier)?;
        let provider = self.provider().await?;
        let (state, nonce) = (state.to_owned(), nonce.to_owned());
        let mut request = provider
            .client
            .authorize_url(
                AuthenticationFlow::<openidconnect::core::CoreResponseType>::AuthorizationCode,
                || CsrfToken::new(state),
                || Nonce::new(nonce),
            )
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .add_scopes(inner.scopes.iter().cloned().map(Scope::new))
            .add_prompt(CoreAuthPrompt::Login)
            .set_max_age(Duration::from_secs(MAX_AUTHENTICATION_AGE_SECONDS.unsigned_abs()))
            .add_ui_locale(LanguageTag::new("vi".to_owned()));
        for value in &inner.acr_level_2 {
            request = request.add_auth_context_value(AuthenticationContextClass::new(value.clone()));
        }
        let (url, ..): (Url, _, _) = request.url();
        Ok(url.into())
    }

    /// The code of the browser's return, when it is the provider that answers (RFC 9207). `state` was compared by the
    /// caller, who knows it.
    pub async fn code<'a>(&self, callback: &'a Callback) -> Result<&'a str, SignInError> {
        let provider = self.provider().await?;
        match callback.read(self.inner.registration.issuer.as_str(), provider.announces_iss) {
            Returned::Code(code) => Ok(code),
            Returned::Denied => Err(SignInError::Denied),
            Returned::Unavailable => Err(SignInError::Unreachable("it says so itself".into())),
            Returned::AssuranceTooLow => Err(SignInError::Refused(ASSURANCE_TOO_LOW)),
            Returned::Failed => Err(SignInError::Refused("the provider does not accept our request")),
            Returned::Malformed => Err(SignInError::Refused("the callback has neither a code nor an error")),
            Returned::WrongIssuer => Err(SignInError::Refused("the callback is not of the provider that was asked")),
        }
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
        let inner = &*self.inner;
        let verifier = pkce(verifier)?;
        let provider = self.provider().await?;
        let token = match self.exchange(&provider, code, verifier, now).await {
            Err(error @ SignInError::Unreachable(_)) => {
                inner.discovery.forget(&provider).await;
                return Err(error);
            }
            exchanged => exchanged?,
        };
        let read = match self.read(&provider, &token, nonce, now) {
            // The provider may have changed its keys since we asked.
            Err(ClaimsVerificationError::SignatureVerification(
                error @ (SignatureVerificationError::NoMatchingKey | SignatureVerificationError::CryptoError(_)),
            )) => match inner.discovery.with_newer_keys(&provider, &inner.http, &self.clock).await? {
                Some(newer) => self.read(&newer, &token, nonce, now),
                None => Err(ClaimsVerificationError::SignatureVerification(error)),
            },
            read => read,
        };
        read.map_err(|error| refused_token(&error))
    }

    async fn provider(&self) -> Result<Arc<Provider>, SignInError> {
        let inner = &*self.inner;
        inner.discovery.provider(&inner.registration, &inner.http, &self.clock).await
    }

    async fn exchange(
        &self,
        provider: &Provider,
        code: &str,
        verifier: PkceCodeVerifier,
        now: UnixSeconds,
    ) -> Result<SignInToken, SignInError> {
        let inner = &*self.inner;
        let registration = &inner.registration;
        let mut request = provider
            .client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|_| SignInError::Refused("the provider has no token endpoint"))?
            .set_pkce_verifier(verifier);
        if let Some(key) = &inner.client_key {
            let assertion = key
                .assertion(&registration.client_id, &registration.issuer, code, now)
                .map_err(|_| SignInError::Refused("our own key cannot sign"))?;
            request = request
                .add_extra_param("client_assertion_type", ASSERTION_TYPE)
                .add_extra_param("client_assertion", assertion);
        }
        let tokens = request.request_async(&inner.http).await.map_err(|error| refused_exchange(&error))?;
        tokens.id_token().cloned().ok_or(SignInError::Refused("the token answer has no ID token"))
    }

    /// OpenID Connect Core section 3.1.3.7.
    fn read(
        &self,
        provider: &Provider,
        token: &SignInToken,
        nonce: &str,
        now: UnixSeconds,
    ) -> Result<SignedIn, ClaimsVerificationError> {
        let Registration { issuer, client_id, .. } = &self.inner.registration;
        let at = DateTime::<Utc>::from_timestamp(now, 0).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let is_close = move |then: DateTime<Utc>, seconds: i64| {
            let age = now.saturating_sub(then.timestamp());
            (-CLOCK_SKEW_SECONDS..=seconds + CLOCK_SKEW_SECONDS).contains(&age)
        };
        let verifier = CoreIdTokenVerifier::new_public_client(client_id.clone(), issuer.clone(), provider.keys.clone())
            .set_allowed_algs(ALGORITHMS)
            .set_time_fn(move || at)
            .set_issue_time_verifier_fn(move |issued| {
                if is_close(issued, MAX_TOKEN_AGE_SECONDS) { Ok(()) } else { Err("iat".into()) }
            })
            .set_auth_time_verifier_fn(move |time| {
                let recent = time.is_some_and(|time| is_close(time, MAX_AUTHENTICATION_AGE_SECONDS));
                if recent { Ok(()) } else { Err("auth_time".into()) }
            })
            .set_auth_context_verifier_fn(|acr| {
                let enough = acr.is_some_and(|acr| self.inner.acr_level_2.iter().any(|level| level == acr.as_str()));
                if enough { Ok(()) } else { Err("acr".into()) }
            });
        let claims = token.claims(&verifier, &Nonce::new(nonce.to_owned()))?;
        // The crate leaves azp to us: whoever else got this token, it was made for us.
        if claims.authorized_party().is_some_and(|party| party != client_id) {
            return Err(ClaimsVerificationError::InvalidAudience("azp".into()));
        }
        let claims = serde_json::to_value(claims).unwrap_or_default();
        let number = claims.get(&self.inner.personal_number_claim).and_then(serde_json::Value::as_str);
        let person = number.and_then(PersonalNumber::parse);
        let person = person.ok_or_else(|| ClaimsVerificationError::InvalidSubject(String::new()))?;
        Ok(SignedIn { person, assurance_level: 2 })
    }
}

/// A verifier of the right form: the crate takes no other.
fn pkce(verifier: &str) -> Result<PkceCodeVerifier, SignInError> {
    if !VERIFIER_LENGTHS.contains(&verifier.len()) {
        return Err(SignInError::Refused("the PKCE verifier must have 43 to 128 characters"));
    }
    Ok(PkceCodeVerifier::new(verifier.to_owned()))
}

impl From<&HttpError> for SignInError {
    fn from(error: &HttpError) -> Self {
        match error {
            HttpError::Silent(_) | HttpError::Busy(_) => Self::Unreachable(error.to_string()),
            HttpError::TooLarge => Self::Refused("an answer of the provider is too large"),
            HttpError::NotSecure => Self::Refused("an address of the provider is not https"),
        }
    }
}

/// What the token endpoint said, in our words: the answer could hold tokens.
fn refused_exchange(error: &RequestTokenError<HttpError, TokenError>) -> SignInError {
    SignInError::Refused(match error {
        RequestTokenError::Request(error) => return error.into(),
        RequestTokenError::ServerResponse(error) => match error.error() {
            CoreErrorResponseType::InvalidGrant => "the provider does not accept the code",
            CoreErrorResponseType::InvalidClient | CoreErrorResponseType::UnauthorizedClient => {
                "the provider does not accept our client authentication"
            }
            _ => "the provider does not accept our token request",
        },
        _ => "the token answer cannot be read",
    })
}

/// Which rule of the ID token is broken; the crate's own texts repeat values.
fn refused_token(error: &ClaimsVerificationError) -> SignInError {
    SignInError::Refused(match error {
        ClaimsVerificationError::Expired(_) => "the ID token is expired, too old or from the future",
        ClaimsVerificationError::InvalidAudience(_) => "the ID token is not for us alone",
        ClaimsVerificationError::InvalidAuthContext(_) => ASSURANCE_TOO_LOW,
        ClaimsVerificationError::InvalidAuthTime(_) => "the ID token does not show that the person signed in just now",
        ClaimsVerificationError::InvalidIssuer(_) => "the ID token is of another issuer",
        ClaimsVerificationError::InvalidNonce(_) => "the ID token is of another sign-in",
        ClaimsVerificationError::InvalidSubject(_) => "the ID token names no personal number",
        ClaimsVerificationError::SignatureVerification(error) => match error {
            SignatureVerificationError::NoMatchingKey => "the ID token is signed by an unknown key",
            SignatureVerificationError::DisallowedAlg(_)
            | SignatureVerificationError::UnsupportedAlg(_)
            | SignatureVerificationError::NoSignature => "the ID token's signature is of a kind that is not accepted",
            _ => "the ID token's signature is wrong",
        },
        _ => "the ID token is of a kind that is not accepted",
    })
}
