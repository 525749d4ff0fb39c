//! The wallet's side of the authorization server: pushed requests (RFC 9126), tokens (RFC 6749, OpenID4VCI 1.0 section 6),
//! challenges.

use officials_card::protocol::oauth::{AUTHORIZATION_CODE, PRE_AUTHORIZED};
use reqwest::Url;
use serde_json::{Map, Value};

use crate::error::{Result, WalletError};
use crate::http::{Http, Repeat, object, text, texts, well_known};
use crate::session::{AccessToken, Session};
use crate::sign_in::unregistered;

const METADATA: &str = "authorization server metadata";
const PUSHED: &str = "pushed authorization request endpoint";
const CHALLENGE: &str = "challenge endpoint";
const TOKEN: &str = "token endpoint";

/// An authorization server that has been looked up.
pub struct Server {
    /// Its identifier.
    pub id: String,
    /// Whether it names itself when it sends the browser back (RFC 9207).
    pub names_itself: bool,
    metadata: Map<String, Value>,
}

/// What the token endpoint gave.
pub struct Tokens {
    /// For the credential issuer.
    pub access: AccessToken,
    /// For the next access token.
    pub refresh: Option<String>,
}

/// What an access token is asked for with.
pub enum Granted<'a> {
    /// An offer's code, and the transaction code that came on another channel.
    PreAuthorized {
        /// The code.
        code: &'a str,
        /// The transaction code.
        tx_code: Option<&'a str>,
    },
    /// The code that the browser brought.
    Code {
        /// The code.
        code: &'a str,
        /// The same as in the pushed request.
        redirect_uri: &'a str,
        /// What the pushed challenge is the hash of.
        verifier: &'a str,
    },
    /// A refresh token.
    Refresh(&'a str),
}

impl<'a> Granted<'a> {
    /// The form of the token request.
    pub fn form(&self) -> Vec<(&'static str, &'a str)> {
        match *self {
            Granted::PreAuthorized { code, tx_code } => {
                let mut form = vec![("grant_type", PRE_AUTHORIZED), ("pre-authorized_code", code)];
                form.extend(tx_code.map(|tx_code| ("tx_code", tx_code)));
                form
            }
            Granted::Code { code, redirect_uri, verifier } => vec![
                ("grant_type", AUTHORIZATION_CODE),
                ("code", code),
                ("redirect_uri", redirect_uri),
                ("code_verifier", verifier),
            ],
            Granted::Refresh(token) => vec![("grant_type", "refresh_token"), ("refresh_token", token)],
        }
    }
}

impl Server {
    /// Reads the metadata. The server must name itself as it was asked for, or another could pass for it (RFC 8414
    /// section 3.3).
    pub async fn look_up(http: &Http, id: &str) -> Result<Self> {
        let metadata = http.get_json(METADATA, &well_known(METADATA, "oauth-authorization-server", id)?).await?;
        if text(METADATA, &metadata, "issuer")? != id {
            return Err(WalletError::Answer(METADATA, "names another server"));
        }
        let names_itself = metadata.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true));
        Ok(Self { id: id.to_owned(), names_itself, metadata })
    }

    /// Whether tokens can be bound to a key of the wallet.
    pub fn takes_dpop(&self) -> bool {
        texts(self.metadata.get("dpop_signing_alg_values_supported"))
            .is_some_and(|algorithms| algorithms.iter().any(|one| one == "ES256"))
    }

    /// Pushes an authorization request. Returns the address that the browser has to open.
    pub async fn push(&self, session: &Session<'_>, request: &[(&str, &str)]) -> Result<String> {
        let endpoint = text(METADATA, &self.metadata, "pushed_authorization_request_endpoint")?;
        let client = session.client.as_ref().ok_or_else(unregistered)?;
        let challenge = self.challenge(session).await?;
        let challenge = challenge.as_deref();
        let answer = session.post_form(PUSHED, &endpoint, Repeat::WhenLost, &self.id, challenge, request).await?;
        let request_uri = text(PUSHED, &object(PUSHED, &answer)?, "request_uri")?;
        let mut url = Url::parse(&text(METADATA, &self.metadata, "authorization_endpoint")?)
            .map_err(|_| WalletError::Answer(METADATA, "has no usable authorization endpoint"))?;
        url.query_pairs_mut().append_pair("client_id", &client.id).append_pair("request_uri", &request_uri);
        Ok(url.into())
    }

    /// Gets an access token.
    pub async fn token(&self, session: &Session<'_>, granted: &Granted<'_>) -> Result<Tokens> {
        // A code that comes twice is taken for stolen, and all that came of it is revoked (RFC 6749 section 4.1.2).
        let repeat = if matches!(granted, Granted::Code { .. }) { Repeat::Never } else { Repeat::WhenLost };
        let form = granted.form();
        let endpoint = text(METADATA, &self.metadata, "token_endpoint")?;
        let challenge = self.challenge(session).await?;
        let answer = session.post_form(TOKEN, &endpoint, repeat, &self.id, challenge.as_deref(), &form).await?;
        let answer = object(TOKEN, &answer)?;
        let kind = text(TOKEN, &answer, "token_type")?;
        let is_bound = kind.eq_ignore_ascii_case("DPoP");
        if !is_bound && !kind.eq_ignore_ascii_case("Bearer") {
            return Err(WalletError::Answer(TOKEN, "holds a token of an unknown type"));
        }
        Ok(Tokens {
            access: AccessToken::new(text(TOKEN, &answer, "access_token")?, is_bound),
            refresh: text(TOKEN, &answer, "refresh_token").ok(),
        })
    }

    /// A challenge for an attested client, where the server gives any.
    pub async fn challenge(&self, session: &Session<'_>) -> Result<Option<String>> {
        let is_asked = session.client.as_ref().is_some_and(crate::client::Client::answers_challenges);
        let endpoint = text(METADATA, &self.metadata, "challenge_endpoint").ok().filter(|_| is_asked);
        let Some(endpoint) = endpoint else { return Ok(None) };
        let make = || session.http.post(CHALLENGE, &endpoint);
        let answer = session.http.ask(CHALLENGE, Repeat::WhenLost, make).await?.body(CHALLENGE)?;
        text(CHALLENGE, &object(CHALLENGE, &answer)?, "attestation_challenge").map(Some)
    }
}
