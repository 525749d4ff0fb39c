//! What every sign-in of ours has in common: a relying party of OpenID Connect Core 1.0 (code flow with PKCE and nonce,
//! RFC 9207 `iss`), built on the crate `openidconnect`. Who may sign in, and how surely, is for those who lean on it.
//!
//! Nothing about a sign-in is stored here: `state`, `nonce` and the PKCE verifier are the caller's. Tokens are read and
//! dropped; the access token is never used.

use std::path::Path;
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
use serde_json::Value;

use super::assertion::{ASSERTION_TYPE, ClientKey};
use super::http::{self, Http, HttpError};
use super::provider::{Discovery, Provider, Registration, SignInToken, TokenError};
use super::{ASSURANCE_TOO_LOW, CLOCK_SKEW_SECONDS, MAX_AUTHENTICATION_AGE_SECONDS, SignInError};
use crate::clock::{Clock, UnixSeconds};
use crate::config::Secret;
use crate::error::Fault;
use crate::protocol::sign_in::{Callback, Returned};

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

/// How the provider knows us, and what it is asked.
pub struct Asking<'a> {
    /// The issuer identifier.
    pub issuer: &'a str,
    /// `client_id`.
    pub client_id: &'a str,
    /// For `client_secret_basic`.
    pub client_secret: Option<&'a Secret>,
    /// For `private_key_jwt`.
    pub client_key: Option<&'a Path>,
    /// Asked for beside `openid`.
    pub scopes: &'a [String],
    /// `acr_values`.
    pub acr_values: &'a [String],
    /// Where browsers come back to.
    pub redirect_uri: &'a str,
}

/// We, towards one provider. Clones share what is known of it.
#[derive(Clone)]
pub struct RelyingParty {
    inner: Arc<Inner>,
    clock: Clock,
}

struct Inner {
    registration: Registration,
    client_key: Option<ClientKey>,
    scopes: Vec<String>,
    acr_values: Vec<String>,
    http: Http,
    discovery: Discovery,
}

/// An ID token that is of the provider, for us alone, of this sign-in and of just now.
pub struct Shown {
    /// Its claims.
    pub claims: Value,
    /// When the person authenticated (`auth_time`).
    pub authenticated_at: UnixSeconds,
}

impl Shown {
    /// A claim that is text.
    pub fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim).and_then(Value::as_str)
    }
}

impl RelyingParty {
    /// Reads the client key, if there is one. The provider is not asked yet: a server starts while it is down.
    pub fn new(asking: &Asking<'_>) -> Result<Self, Fault> {
        let wrong = |what: &'static str| Fault::new("checking the sign-in provider's settings", what);
        let issuer = IssuerUrl::new(asking.issuer.to_owned()).map_err(|_| wrong("issuer is not a URL"))?;
        let url = issuer.url();
        if !(url.scheme() == "https" || http::is_plain_loopback(url)) {
            return Err(wrong("issuer must be https (http only on loopback)"));
        }
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("issuer must have no query, fragment or user"));
        }
        let redirect_uri =
            RedirectUrl::new(asking.redirect_uri.to_owned()).map_err(|_| wrong("the redirect URI is not a URL"))?;
        let http = Http::new(url)?;
        let inner = Inner {
            registration: Registration {
                issuer,
                client_id: ClientId::new(asking.client_id.to_owned()),
                client_secret: asking.client_secret.map(|secret| ClientSecret::new(secret.expose().to_owned())),
                redirect_uri,
            },
            client_key: asking.client_key.map(ClientKey::read).transpose()?,
            scopes: asking.scopes.to_vec(),
            acr_values: asking.acr_values.to_vec(),
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
    /// who hands them in again later. The person has to authenticate anew, whatever session they have there.
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
        for value in &inner.acr_values {
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
    /// just now, for this `nonce`, and say that the person authenticated just now.
    pub async fn finish(
        &self,
        code: &str,
        nonce: &str,
        verifier: &str,
        now: UnixSeconds,
    ) -> Result<Shown, SignInError> {
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

    /// Where a browser goes to end its session at the provider too (OpenID Connect RP-Initiated Logout 1.0), and then
    /// back to `back`; `None` when the provider offers no such place. No ID token is kept to be sent as a hint: the
    /// provider asks the person instead.
    pub async fn end_session(&self, back: &str) -> Result<Option<String>, SignInError> {
        let provider = self.provider().await?;
        let Some(end) = provider.end_session.clone() else { return Ok(None) };
        let mut end = end;
        end.query_pairs_mut()
            .append_pair("client_id", &self.inner.registration.client_id)
            .append_pair("post_logout_redirect_uri", back);
        Ok(Some(end.into()))
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
    ) -> Result<Shown, ClaimsVerificationError> {
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
            });
        let claims = token.claims(&verifier, &Nonce::new(nonce.to_owned()))?;
        // The crate leaves azp to us: whoever else got this token, it was made for us.
        if claims.authorized_party().is_some_and(|party| party != client_id) {
            return Err(ClaimsVerificationError::InvalidAudience("azp".into()));
        }
        let authenticated_at = claims.auth_time().map_or(now, |time| time.timestamp());
        Ok(Shown { claims: serde_json::to_value(claims).unwrap_or_default(), authenticated_at })
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
        ClaimsVerificationError::InvalidAuthTime(_) => "the ID token does not show that the person signed in just now",
        ClaimsVerificationError::InvalidIssuer(_) => "the ID token is of another issuer",
        ClaimsVerificationError::InvalidNonce(_) => "the ID token is of another sign-in",
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
