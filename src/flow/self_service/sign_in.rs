//! Signing in at VNeID, for a wallet that gets a code or for the browser itself.
//!
//! What VNeID is sent (`nonce`, PKCE verifier) is derived from the sign-in's name and the browser's cookie under the
//! deployment's secret, as when a card is fetched; its callback is another, so that neither can be taken for the other.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Official, Service, hash};
use crate::clock::UnixSeconds;
use crate::credential::nonce;
use crate::error::{Refusal, Result};
use crate::flow::authorize::Cookie;
use crate::model::id::PersonalNumber;
use crate::protocol::authorize::{Outcome, redirection};
use crate::protocol::oauth::{ClientProof, TokenRequest};
use crate::protocol::self_service::SelfAuthorization;
use crate::protocol::sign_in::Callback;
use crate::remote::sign_in::{ASSURANCE_TOO_LOW, SignInError};
use crate::store::NewSelfSignIn;

/// Lengths of a PKCE verifier (RFC 7636 section 4.1).
const VERIFIER: std::ops::RangeInclusive<usize> = 43..=128;
/// Longest path that a browser is sent on to, in bytes.
const MAX_RETURN: usize = 512;

/// Where a browser goes next.
#[derive(Debug)]
pub enum OwnStep {
    /// To this address, with this cookie.
    Go {
        /// The address.
        to: String,
        /// The cookie to keep.
        cookie: Option<Cookie>,
    },
    /// It stays: this leads nowhere.
    Stop(OwnStop),
}

/// Why a browser cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnStop {
    /// The sign-in is unknown, over, or of another browser.
    Unknown,
    /// The wallet's request is not one that this service knows.
    WrongRequest,
    /// The person said no.
    Denied,
    /// The sign-in was not of level 2.
    AssuranceTooLow,
    /// VNeID cannot be reached, or there is no sign-in.
    Unavailable,
    /// VNeID's answer is not acceptable.
    Failed,
}

/// What a session is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct SessionView {
    /// `sign_in` or `card`.
    #[schema(example = "sign_in")]
    pub way: &'static str,
    /// When the person signed in or presented (Unix seconds).
    pub signed_in_at: UnixSeconds,
    /// When it ends (Unix seconds).
    pub expires_at: UnixSeconds,
    /// Until when it is good for what is sensitive (Unix seconds).
    pub fresh_until: UnixSeconds,
}

impl Service {
    /// A wallet's user comes: off to VNeID, and later back to the wallet with a code.
    pub async fn self_authorize(&self, request: Result<SelfAuthorization, Refusal>) -> Result<OwnStep> {
        // An address that is not registered is not gone to, whatever else is wrong (RFC 6749 section 4.1.2.1).
        let Ok(request) = request else { return Ok(OwnStep::Stop(OwnStop::WrongRequest)) };
        let is_registered = self
            .config
            .wallet(&request.client_id)
            .is_some_and(|wallet| wallet.redirect_uris.contains(&request.redirect_uri));
        if !is_registered {
            return Ok(OwnStep::Stop(OwnStop::WrongRequest));
        }
        self.begin_sign_in(request.client_id, request.redirect_uri, request.state, request.code_challenge).await
    }

    /// A browser comes by itself: off to VNeID, and later on to a path of this service with a session.
    pub async fn self_sign_in(&self, return_to: &str) -> Result<OwnStep> {
        if !is_own_path(return_to) {
            return Ok(OwnStep::Stop(OwnStop::WrongRequest));
        }
        let to = format!("{}{return_to}", self.config.public_url);
        self.begin_sign_in(String::new(), to, None, String::new()).await
    }

    async fn begin_sign_in(
        &self,
        client: String,
        redirect_uri: String,
        client_state: Option<String>,
        code_challenge: String,
    ) -> Result<OwnStep> {
        let Some(sign_in) = &self.own.sign_in else { return Ok(OwnStep::Stop(OwnStop::Unavailable)) };
        let (state, id) = self.random_token();
        let (value, browser) = self.random_token();
        let (nonce, verifier) = self.own_sign_in_secrets(&id, &browser);
        let to = match sign_in.start(&state, &nonce, &verifier).await {
            Ok(to) => to,
            Err(error) => return Ok(stopped(&error)),
        };
        let (now, max_age) = (self.clock.now(), self.config.limits.sign_in_ttl_seconds);
        let cookie = Cookie { name: self.own_sign_in_cookie(&id), value, max_age };
        self.store
            .begin_self_sign_in(NewSelfSignIn {
                id,
                client,
                redirect_uri,
                client_state,
                code_challenge,
                browser,
                created_at: now,
                expires_at: now + max_age,
            })
            .await?;
        Ok(OwnStep::Go { to, cookie: Some(cookie) })
    }

    /// VNeID sends the browser back.
    pub async fn self_signed_in(
        &self,
        callback: &Callback,
        cookie: impl Fn(&str) -> Option<String>,
    ) -> Result<OwnStep> {
        let unknown = Ok(OwnStep::Stop(OwnStop::Unknown));
        let (Some(state), Some(sign_in)) = (&callback.state, &self.own.sign_in) else { return unknown };
        let id = hash(&[state.as_bytes()]);
        let Some(value) = cookie(&self.own_sign_in_cookie(&id)) else { return unknown };
        let (browser, now) = (hash(&[value.as_bytes()]), self.clock.now());
        let Some(begun) = self.store.self_sign_in(&id, &browser, now).await? else { return unknown };
        let (nonce, verifier) = self.own_sign_in_secrets(&id, &browser);
        let finished = match sign_in.code(callback).await {
            Ok(code) => sign_in.finish(code, &nonce, &verifier, now).await,
            Err(error) => Err(error),
        };
        match finished {
            Ok(signed_in) if signed_in.assurance_level >= 2 => self.came_back(begun, signed_in.person, now).await,
            Ok(_) => self.end_sign_in(begun, &SignInError::Refused(ASSURANCE_TOO_LOW)).await,
            Err(error) => self.end_sign_in(begun, &error).await,
        }
    }

    async fn came_back(&self, begun: NewSelfSignIn, person: PersonalNumber, now: UnixSeconds) -> Result<OwnStep> {
        let (code, code_hash) = self.random_token();
        let until = now + self.config.limits.code_ttl_seconds;
        if !self.store.code_self_sign_in(begun.id.clone(), person.clone(), code_hash.clone(), until, now).await? {
            return Ok(OwnStep::Stop(OwnStop::Unknown));
        }
        if !begun.client.is_empty() {
            let (uri, state) = (&begun.redirect_uri, begun.client_state.as_deref());
            let to = redirection(uri, state, &self.config.public_url, Outcome::Code(&code));
            return Ok(OwnStep::Go { to, cookie: None });
        }
        // The browser's own: the code is redeemed in the same breath.
        let redeemed = self.store.redeem_self_code(code_hash, String::new(), now).await?;
        let token = match redeemed {
            Some(_) => self.begin_session(person, false, String::new(), begun.id, now).await?,
            None => None,
        };
        let Some(value) = token else { return Ok(OwnStep::Stop(OwnStop::Unknown)) };
        let max_age = self.config.self_service.session_ttl_seconds;
        let cookie = Cookie { name: self.session_cookie_name().to_owned(), value, max_age };
        Ok(OwnStep::Go { to: begun.redirect_uri, cookie: Some(cookie) })
    }

    /// It did not succeed. A no, or an identity that is not enough, is final, and a wallet is told; the rest can be tried
    /// once more in the same browser.
    async fn end_sign_in(&self, begun: NewSelfSignIn, error: &SignInError) -> Result<OwnStep> {
        if !matches!(error, SignInError::Denied | SignInError::Refused(ASSURANCE_TOO_LOW)) {
            return Ok(stopped(error));
        }
        if !self.store.end_self_sign_in(begun.id, self.clock.now()).await? {
            return Ok(OwnStep::Stop(OwnStop::Unknown));
        }
        if begun.client.is_empty() {
            return Ok(stopped(error));
        }
        let (uri, state) = (&begun.redirect_uri, begun.client_state.as_deref());
        let to = redirection(uri, state, &self.config.public_url, Outcome::Denied);
        Ok(OwnStep::Go { to, cookie: None })
    }

    /// A wallet redeems its code. Returns the token response.
    pub async fn self_token(&self, request: TokenRequest) -> Result<Value> {
        let TokenRequest::AuthorizationCode { code, redirect_uri, code_verifier, client } = request else {
            return Err(Refusal::UnsupportedGrantType.into());
        };
        let client = self.own_wallet(&client).await?;
        let unknown = Refusal::InvalidGrant("the code is unknown, expired, used, or of another client");
        let now = self.clock.now();
        let redeemed = self.store.redeem_self_code(hash(&[code.as_bytes()]), client.clone(), now).await?;
        let coded = redeemed.ok_or_else(|| unknown.clone())?;
        if coded.redirect_uri != redirect_uri {
            return Err(Refusal::InvalidGrant("redirect_uri is not that of the authorization request").into());
        }
        check_verifier(&code_verifier, &coded.code_challenge)?;
        let token = self.begin_session(coded.person, false, client, coded.sign_in, coded.signed_in_at).await?;
        Ok(self.session_answer(&token.ok_or(unknown)?))
    }

    /// The name of the wallet product that authenticates itself: one that does not could be anybody's program.
    pub(super) async fn own_wallet(&self, client: &ClientProof) -> Result<String> {
        let client = self.wallet_client(client).await?;
        let client = client.ok_or(Refusal::InvalidClient("the wallet must authenticate itself"))?;
        Ok(client.wallet.client_id.clone())
    }

    /// The name of the cookie that binds a sign-in to a browser.
    fn own_sign_in_cookie(&self, id: &str) -> String {
        let prefix = if self.config.public_url.starts_with("https://") { "__Host-" } else { "" };
        format!("{prefix}me-sign-in-{}", id.get(..16).unwrap_or_default())
    }

    /// `nonce` and PKCE verifier of a sign-in: of this browser and no other.
    fn own_sign_in_secrets(&self, id: &str, browser: &str) -> (String, String) {
        let derived = |purpose| {
            URL_SAFE_NO_PAD.encode(nonce::derive(&self.keys.secret, purpose, &[id.as_bytes(), browser.as_bytes()]))
        };
        (derived("self-service sign-in nonce"), derived("self-service sign-in verifier"))
    }
}

/// Whether the verifier is the one that the challenge was made of (RFC 7636 section 4.6).
pub(super) fn check_verifier(verifier: &str, challenge: &str) -> Result<(), Refusal> {
    let made = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
    if VERIFIER.contains(&verifier.len()) && bool::from(made.as_bytes().ct_eq(challenge.as_bytes())) {
        return Ok(());
    }
    Err(Refusal::InvalidGrant("code_verifier does not fit the code_challenge"))
}

/// A path of this service, and nothing that a browser would take for another host.
fn is_own_path(path: &str) -> bool {
    path.len() <= MAX_RETURN
        && path.starts_with('/')
        && !path.starts_with("//")
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.~?=&%".contains(&byte))
}

fn stopped(error: &SignInError) -> OwnStep {
    tracing::warn!(%error, "a sign-in for self-service did not succeed");
    OwnStep::Stop(match error {
        SignInError::Unreachable(_) => OwnStop::Unavailable,
        SignInError::Denied => OwnStop::Denied,
        SignInError::Refused(ASSURANCE_TOO_LOW) => OwnStop::AssuranceTooLow,
        SignInError::Refused(_) => OwnStop::Failed,
    })
}

impl Official {
    /// Whether the person signed in at VNeID, instead of presenting their card.
    pub(super) fn signed_in_at_vneid(&self) -> bool {
        !self.session.by_card
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_only_sent_on_to_this_service() {
        for fine in ["/", "/me", "/me/?tab=cards&x=%20", "/office/a.b"] {
            assert!(is_own_path(fine), "{fine}");
        }
        for elsewhere in
            ["", "me", "//evil.example", "/\\evil.example", "https://evil.example", "/a\nb", "/a#b", "/@x:y"]
        {
            assert!(!is_own_path(elsewhere), "{elsewhere}");
        }
        assert!(!is_own_path(&format!("/{}", "a".repeat(MAX_RETURN))));
    }

    #[test]
    fn a_verifier_fits_its_challenge_alone() {
        let verifier = "a".repeat(43);
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
        assert_eq!(check_verifier(&verifier, &challenge), Ok(()));
        assert!(check_verifier(&"b".repeat(43), &challenge).is_err());
        let short = URL_SAFE_NO_PAD.encode(Sha256::digest("short"));
        assert!(check_verifier("short", &short).is_err());
    }
}
