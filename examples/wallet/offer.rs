//! Credential offers (OpenID4VCI 1.0 section 4.1): what an issuer would give, and by which grant.

use officials_card::protocol::oauth::{AUTHORIZATION_CODE, PRE_AUTHORIZED};
use reqwest::Url;
use serde_json::{Map, Value};

use crate::error::{Result, WalletError};
use crate::http::{Http, object, text, texts};

const OFFER: &str = "credential offer";

/// A credential offer.
pub struct Offer {
    /// The credential issuer identifier.
    pub issuer: String,
    /// What is offered.
    pub configurations: Vec<String>,
    /// How it may be taken, the way that the wallet prefers first.
    pub ways: Vec<Way>,
}

/// A grant of an offer.
pub enum Way {
    /// By redeeming this code.
    PreAuthorized {
        /// The code.
        code: String,
        /// Whether a transaction code goes with it.
        wants_tx_code: bool,
    },
    /// By signing in; the request carries the issuer's state.
    SignIn {
        /// `issuer_state`.
        issuer_state: Option<String>,
    },
}

impl Offer {
    /// Takes an offer from its link, or from the address inside the link.
    pub async fn fetch(http: &Http, link: &str) -> Result<Self> {
        let url = Url::parse(link).map_err(|_| WalletError::Offer("is no link"))?;
        if matches!(url.scheme(), "https" | "http") {
            return Self::parse(&http.get_json(OFFER, link).await?);
        }
        if url.scheme() != "openid-credential-offer" {
            return Err(WalletError::Offer("is no openid-credential-offer:// link"));
        }
        // Section 4.1: by value or by reference, never both.
        let mut parameters = url.query_pairs().filter(|(name, _)| name.starts_with("credential_offer"));
        match (parameters.next(), parameters.next()) {
            (Some((name, by_value)), None) if name == "credential_offer" => {
                Self::parse(&object(OFFER, by_value.as_bytes())?)
            }
            (Some((name, reference)), None) if name == "credential_offer_uri" => {
                Self::parse(&http.get_json(OFFER, &reference).await?)
            }
            _ => Err(WalletError::Offer("must carry exactly one of credential_offer and credential_offer_uri")),
        }
    }

    fn parse(offer: &Map<String, Value>) -> Result<Self> {
        let grant = |name| offer.get("grants").and_then(|grants| grants.get(name));
        let member = |grant: &Value, name| grant.get(name).and_then(Value::as_str).map(str::to_owned);
        let mut ways = Vec::new();
        if let Some(grant) = grant(PRE_AUTHORIZED) {
            let code = member(grant, "pre-authorized_code");
            let code = code.ok_or(WalletError::Offer("has no pre-authorized code"))?;
            ways.push(Way::PreAuthorized { code, wants_tx_code: grant.get("tx_code").is_some() });
        }
        if let Some(grant) = grant(AUTHORIZATION_CODE) {
            ways.push(Way::SignIn { issuer_state: member(grant, "issuer_state") });
        }
        // Section 4.1.1: without grants the wallet finds out by the metadata, and an issuer who knows nobody asks.
        if offer.get("grants").is_none() {
            ways.push(Way::SignIn { issuer_state: None });
        }
        let configurations = texts(offer.get("credential_configuration_ids"));
        Ok(Self {
            issuer: text(OFFER, offer, "credential_issuer")?,
            configurations: configurations.ok_or(WalletError::Offer("names no credential configuration"))?,
            ways,
        })
    }
}
