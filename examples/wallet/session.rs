//! What goes with the requests of one grant: the proof of the DPoP key (RFC 9449), which makes a stolen token worthless,
//! and at the authorization server the proof of the client.

use std::cell::RefCell;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use officials_card::chance::Chance;
use officials_card::clock::Clock;
use officials_card::credential::dpop::TYPE;
use officials_card::credential::{Signer, jws};
use officials_card::keyring::FileKey;
use reqwest::{RequestBuilder, Url};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::client::{Authentication, Client};
use crate::error::{Result, WalletError};
use crate::http::{Answer, Http, Repeat};

/// How a server asks for a nonce of its own in the proof (section 8).
const USE_NONCE: &str = "use_dpop_nonce";

/// An access token; it does not print.
pub struct AccessToken {
    token: String,
    is_bound: bool,
}

impl AccessToken {
    /// From a token answer. `is_bound` is whether it goes with a DPoP proof.
    pub fn new(token: String, is_bound: bool) -> Self {
        Self { token, is_bound }
    }
}

/// Who asks, and how.
pub struct Session<'a> {
    /// HTTP.
    pub http: &'a Http,
    /// Time.
    pub clock: &'a Clock,
    /// Chance.
    pub chance: &'a Chance,
    /// The registered wallet; without one, the wallet is nobody in particular.
    pub client: Option<Client>,
    dpop: Option<FileKey>,
    /// The last nonce of each server.
    nonces: RefCell<BTreeMap<String, String>>,
}

impl<'a> Session<'a> {
    /// A session; without a DPoP key its tokens are good for whoever has them.
    pub fn new(
        http: &'a Http,
        clock: &'a Clock,
        chance: &'a Chance,
        client: Option<Client>,
        dpop: Option<FileKey>,
    ) -> Self {
        Self { http, clock, chance, client, dpop, nonces: RefCell::default() }
    }

    /// A fresh random text of 256 bits.
    pub fn random_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.chance.bytes::<32>())
    }

    /// Sends a form to an endpoint of the authorization server with this identifier. `challenge` is what an attested
    /// client answers.
    pub async fn post_form(
        &self,
        place: &'static str,
        url: &str,
        repeat: Repeat,
        server: &str,
        challenge: Option<&str>,
        form: &[(&str, &str)],
    ) -> Result<Vec<u8>> {
        self.post(place, url, repeat, None, |request| {
            let authentication = match &self.client {
                Some(client) => client.authenticate(server, challenge, self.chance, self.clock.now())?,
                None => Authentication::default(),
            };
            let own = authentication.form.iter().map(|(name, value)| (*name, value.as_str()));
            let form: Vec<_> = form.iter().copied().chain(own).collect();
            let request = request.form(&form);
            Ok(authentication.headers.iter().fold(request, |request, (name, value)| request.header(*name, value)))
        })
        .await
    }

    /// Sends a request to the credential issuer.
    pub async fn post_with_token(
        &self,
        place: &'static str,
        url: &str,
        token: &AccessToken,
        complete: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Vec<u8>> {
        self.post(place, url, Repeat::WhenLost, Some(token), |request| Ok(complete(request))).await
    }

    /// Sends a request with its proofs, and once more with the nonce that the server asks for.
    async fn post(
        &self,
        place: &'static str,
        url: &str,
        repeat: Repeat,
        token: Option<&AccessToken>,
        complete: impl Fn(RequestBuilder) -> Result<RequestBuilder>,
    ) -> Result<Vec<u8>> {
        let ask = || {
            self.http.ask(place, repeat, || {
                let mut request = complete(self.http.post(place, url)?)?;
                if let Some(AccessToken { token, is_bound }) = token {
                    let scheme = if *is_bound { "DPoP" } else { "Bearer" };
                    request = request.header("Authorization", format!("{scheme} {token}"));
                }
                if let Some(key) = self.dpop.as_ref().filter(|_| token.is_none_or(|token| token.is_bound)) {
                    request = request.header("DPoP", self.prove(place, key, url, token)?);
                }
                Ok(request)
            })
        };
        let mut answer = ask().await?;
        self.remember_nonce(url, &answer);
        if answer.error().as_deref() == Some(USE_NONCE) {
            answer = ask().await?;
            self.remember_nonce(url, &answer);
        }
        answer.body(place)
    }

    /// The proof that this request is the key's (section 4.2).
    fn prove(&self, place: &'static str, key: &FileKey, url: &str, token: Option<&AccessToken>) -> Result<String> {
        let mut target = Url::parse(url).map_err(|_| WalletError::Answer(place, "has no usable address"))?;
        target.set_query(None);
        target.set_fragment(None);
        let mut claims = json!({
            "jti": URL_SAFE_NO_PAD.encode(self.chance.bytes::<16>()),
            "htm": "POST",
            "htu": target.as_str(),
            "iat": self.clock.now(),
        });
        if let Some(nonce) = origin(url).and_then(|origin| self.nonces.borrow().get(&origin).cloned()) {
            claims["nonce"] = json!(nonce);
        }
        if let Some(AccessToken { token, .. }) = token {
            claims["ath"] = json!(URL_SAFE_NO_PAD.encode(Sha256::digest(token)));
        }
        let header = jws::header(key, TYPE, json!({"jwk": key.public_key().to_jwk()}));
        Ok(jws::sign(key, &header, claims.to_string().as_bytes())?)
    }

    /// Any answer may bring the nonce for the next request (section 8.2).
    fn remember_nonce(&self, url: &str, answer: &Answer) {
        if let (Some(origin), Some(nonce)) = (origin(url), answer.header("DPoP-Nonce")) {
            self.nonces.borrow_mut().insert(origin, nonce.to_owned());
        }
    }
}

fn origin(url: &str) -> Option<String> {
    Url::parse(url).ok().map(|url| url.origin().ascii_serialization())
}
