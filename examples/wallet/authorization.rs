//! The authorization code flow as the wallet sees it (RFC 6749 section 4.1 with PKCE, RFC 7636): what it pushes, where it
//! sends the browser, and what it believes of what the browser brings back.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use sha2::{Digest, Sha256};

use crate::error::{Result, WalletError};
use crate::http::protected;
use crate::server::{Granted, Server};
use crate::session::Session;

/// A request that waits for its person.
pub struct Authorization {
    /// What the browser has to open.
    pub url: String,
    redirect_uri: String,
    state: String,
    verifier: String,
}

impl Authorization {
    /// Pushes a request for these scopes; `issuer_state` is that of the offer which it follows.
    pub async fn pushed(
        session: &Session<'_>,
        server: &Server,
        scope: &str,
        issuer_state: Option<&str>,
        redirect_uri: &str,
    ) -> Result<Self> {
        let mut begun = Self::new(session, redirect_uri);
        let challenge = begun.challenge();
        let mut request = begun.request(&challenge).to_vec();
        request.push(("scope", scope));
        request.extend(issuer_state.map(|state| ("issuer_state", state)));
        begun.url = server.push(session, &request).await?;
        Ok(begun)
    }

    /// A request that the browser itself carries to an endpoint: it holds nothing that needs to be hidden.
    pub fn carried(session: &Session<'_>, endpoint: &str, client_id: &str, redirect_uri: &str) -> Result<Self> {
        let mut begun = Self::new(session, redirect_uri);
        let challenge = begun.challenge();
        let mut url = protected("authorization endpoint", endpoint)?;
        url.query_pairs_mut().append_pair("client_id", client_id).extend_pairs(begun.request(&challenge));
        begun.url = url.into();
        Ok(begun)
    }

    fn new(session: &Session<'_>, redirect_uri: &str) -> Self {
        let (state, verifier) = (session.random_text(), session.random_text());
        Self { url: String::new(), redirect_uri: redirect_uri.to_owned(), state, verifier }
    }

    fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(&self.verifier))
    }

    fn request<'a>(&'a self, challenge: &'a str) -> [(&'static str, &'a str); 5] {
        [
            ("response_type", "code"),
            ("redirect_uri", &self.redirect_uri),
            ("state", &self.state),
            ("code_challenge", challenge),
            ("code_challenge_method", "S256"),
        ]
    }

    /// The code in the address that the browser was sent back to. It has to be the answer to this request (`state`), and
    /// of the server that was asked (`iss`, RFC 9207), which `names_itself` where it said that it does.
    pub fn code(&self, server: &str, names_itself: bool, back: &str) -> Result<String> {
        const UNREADABLE: WalletError = WalletError::SignIn("the browser came back with something unreadable");
        let (back, expected) = (Url::parse(back).ok(), Url::parse(&self.redirect_uri).ok());
        let (Some(back), Some(expected)) = (back, expected) else { return Err(UNREADABLE) };
        let place = |url: &Url| (url.origin().ascii_serialization(), url.scheme().to_owned(), url.path().to_owned());
        if place(&back) != place(&expected) {
            return Err(WalletError::SignIn("the browser came back to another address"));
        }
        let mut answer = BTreeMap::new();
        for (name, value) in back.query_pairs() {
            if answer.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(UNREADABLE);
            }
        }
        let has = |name: &str, value: &str| answer.get(name).is_some_and(|own| own == value);
        if !has("state", &self.state) {
            return Err(WalletError::SignIn("the browser brought the answer to another request"));
        }
        if !has("iss", server) && (names_itself || answer.contains_key("iss")) {
            return Err(WalletError::SignIn("the browser brought the answer of another server"));
        }
        if has("error", "access_denied") {
            return Err(WalletError::SignIn("it was denied (access_denied)"));
        }
        answer.remove("code").ok_or(WalletError::SignIn("it failed at the authorization server"))
    }

    /// With what the code becomes a token.
    pub fn granted<'a>(&'a self, code: &'a str) -> Granted<'a> {
        Granted::Code { code, redirect_uri: &self.redirect_uri, verifier: &self.verifier }
    }
}
