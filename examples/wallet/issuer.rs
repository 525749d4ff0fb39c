//! The wallet's side of OpenID4VCI 1.0: offer, metadata, token, nonce, credentials, notification. What the issuer sends
//! is only read here; `check.rs` judges it.

use officials_card::clock::UnixSeconds;
use officials_card::credential::proof;
use officials_card::credential::{Signer, jws};
use officials_card::protocol::oauth::PRE_AUTHORIZED;
use reqwest::Url;
use serde_json::{Map, Value, json};

use crate::envelope::Offered;
use crate::error::{Result, WalletError};
use crate::http::{Http, MAX_ANSWER_BYTES, object};

const OFFER: &str = "credential offer";
const ISSUER_METADATA: &str = "credential issuer metadata";
const SERVER_METADATA: &str = "authorization server metadata";
const TOKEN: &str = "token endpoint";
const NONCE: &str = "nonce endpoint";
const CREDENTIAL: &str = "credential endpoint";
const NOTIFICATION: &str = "notification endpoint";

/// A credential offer (section 4.1.1) with the pre-authorized code grant.
pub struct Offer {
    /// The credential issuer identifier.
    pub issuer: String,
    /// What is offered.
    pub configurations: Vec<String>,
    code: String,
    wants_tx_code: bool,
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
        let grant = offer.get("grants").and_then(|grants| grants.get(PRE_AUTHORIZED));
        let grant = grant.ok_or(WalletError::Offer("has no pre-authorized code"))?;
        let code = grant.get("pre-authorized_code").and_then(Value::as_str);
        let configurations = texts(offer.get("credential_configuration_ids"));
        Ok(Self {
            issuer: text(OFFER, offer, "credential_issuer")?,
            configurations: configurations.ok_or(WalletError::Offer("names no credential configuration"))?,
            code: code.ok_or(WalletError::Offer("has no pre-authorized code"))?.to_owned(),
            wants_tx_code: grant.get("tx_code").is_some(),
        })
    }
}

/// An access token; it does not print.
pub struct AccessToken(String);

/// Credentials as they came, and the name by which the wallet tells what became of them.
pub struct Issued {
    /// The credentials.
    pub credentials: Vec<String>,
    notification_id: Option<String>,
}

/// An issuer that has been looked up.
pub struct Issuer<'a> {
    http: &'a Http,
    /// Its identifier.
    pub id: String,
    configurations: Map<String, Value>,
    batch_size: usize,
    token_endpoint: String,
    credential_endpoint: String,
    nonce_endpoint: String,
    notification_endpoint: Option<String>,
    encryption: Option<Offered>,
}

impl<'a> Issuer<'a> {
    /// Reads the metadata of the issuer and of its authorization server. Both must name themselves as they were asked
    /// for, or another server could pass for them (section 12.2.1, RFC 8414 section 3.3).
    pub async fn look_up(http: &'a Http, id: &str) -> Result<Self> {
        let metadata = http.get_json(ISSUER_METADATA, &well_known("openid-credential-issuer", id)?).await?;
        if text(ISSUER_METADATA, &metadata, "credential_issuer")? != id {
            return Err(WalletError::Answer(ISSUER_METADATA, "names another issuer"));
        }
        let server = match texts(metadata.get("authorization_servers")) {
            Some(servers) => servers.into_iter().next().unwrap_or_else(|| id.to_owned()),
            None => id.to_owned(),
        };
        let server_metadata =
            http.get_json(SERVER_METADATA, &well_known("oauth-authorization-server", &server)?).await?;
        if text(SERVER_METADATA, &server_metadata, "issuer")? != server {
            return Err(WalletError::Answer(SERVER_METADATA, "names another server"));
        }
        let batch_size = metadata.get("batch_credential_issuance").and_then(|batch| batch.get("batch_size"));
        let configurations = metadata.get("credential_configurations_supported").and_then(Value::as_object);
        Ok(Self {
            http,
            id: id.to_owned(),
            configurations: configurations.cloned().unwrap_or_default(),
            batch_size: batch_size.and_then(Value::as_u64).and_then(|size| size.try_into().ok()).unwrap_or(1),
            token_endpoint: text(SERVER_METADATA, &server_metadata, "token_endpoint")?,
            credential_endpoint: text(ISSUER_METADATA, &metadata, "credential_endpoint")?,
            nonce_endpoint: text(ISSUER_METADATA, &metadata, "nonce_endpoint")?,
            notification_endpoint: text(ISSUER_METADATA, &metadata, "notification_endpoint").ok(),
            encryption: Offered::read(&metadata),
        })
    }

    /// What the metadata says about a configuration.
    pub fn configuration(&self, id: &str) -> Result<&Value> {
        self.configurations.get(id).ok_or(WalletError::Offer("names a configuration that the issuer does not have"))
    }

    /// How many keys one request may prove.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// How to encrypt, when the holder wishes it or the issuer requires it.
    pub fn encryption(&self, wished: bool) -> Result<Option<&Offered>> {
        match &self.encryption {
            None if wished => Err(WalletError::Answer(ISSUER_METADATA, "offers no encryption that this wallet knows")),
            offered => Ok(offered.as_ref().filter(|offered| wished || offered.is_required)),
        }
    }

    /// Redeems the offer (section 6.1).
    pub async fn redeem(&self, offer: &Offer, tx_code: Option<&str>) -> Result<AccessToken> {
        let mut form = vec![("grant_type", PRE_AUTHORIZED), ("pre-authorized_code", offer.code.as_str())];
        match (tx_code, offer.wants_tx_code) {
            (Some(tx_code), true) => form.push(("tx_code", tx_code)),
            (None, true) => return Err(WalletError::Offer("needs its transaction code: --tx-code")),
            (_, false) => {}
        }
        let answer = self.http.send(TOKEN, self.http.post(TOKEN, &self.token_endpoint)?.form(&form)).await?;
        let answer = object(TOKEN, &answer)?;
        if !text(TOKEN, &answer, "token_type")?.eq_ignore_ascii_case("Bearer") {
            return Err(WalletError::Answer(TOKEN, "holds a token of an unknown type"));
        }
        Ok(AccessToken(text(TOKEN, &answer, "access_token")?))
    }

    /// Requests one credential for each key (section 8.2). All proofs of the request carry one nonce.
    pub async fn request(
        &self,
        token: &AccessToken,
        configuration: &str,
        keys: &[impl Signer],
        encryption: Option<&Offered>,
        now: UnixSeconds,
    ) -> Result<Issued> {
        let nonce = self.http.send(NONCE, self.http.post(NONCE, &self.nonce_endpoint)?).await?;
        let nonce = text(NONCE, &object(NONCE, &nonce)?, "c_nonce")?;
        let proofs = keys.iter().map(|key| self.prove(key, &nonce, now)).collect::<Result<Vec<_>>>()?;
        let body = json!({"credential_configuration_id": configuration, "proofs": {"jwt": proofs}});
        let request = self.http.post(CREDENTIAL, &self.credential_endpoint)?.bearer_auth(&token.0);
        let (request, own) = match encryption {
            None => (request.json(&body), None),
            Some(offered) => {
                let (envelope, own) = offered.seal(body)?;
                (request.header("Content-Type", "application/jwt").body(envelope), own)
            }
        };
        let mut answer = self.http.send(CREDENTIAL, request).await?;
        if let Some(own) = own {
            let envelope = std::str::from_utf8(&answer).unwrap_or_default();
            answer = own
                .open(envelope, MAX_ANSWER_BYTES)
                .map_err(|_| WalletError::Answer(CREDENTIAL, "is not encrypted to the wallet as it was asked to be"))?;
        }
        let answer = object(CREDENTIAL, &answer)?;
        let credentials = answer.get("credentials").and_then(Value::as_array);
        let credentials = credentials.ok_or(WalletError::Answer(CREDENTIAL, "holds no credentials"))?;
        let credential = |one: &Value| one.get("credential").and_then(Value::as_str).map(str::to_owned);
        let credentials: Option<Vec<_>> = credentials.iter().map(credential).collect();
        Ok(Issued {
            credentials: credentials.ok_or(WalletError::Answer(CREDENTIAL, "holds something else than credentials"))?,
            notification_id: text(CREDENTIAL, &answer, "notification_id").ok(),
        })
    }

    /// Tells the issuer what became of the credentials (section 11.1). Nothing depends on it.
    pub async fn notify(&self, token: &AccessToken, issued: &Issued, event: &str) -> Result<()> {
        let (Some(endpoint), Some(id)) = (&self.notification_endpoint, &issued.notification_id) else { return Ok(()) };
        let body = json!({"notification_id": id, "event": event});
        let request = self.http.post(NOTIFICATION, endpoint)?.bearer_auth(&token.0).json(&body);
        self.http.send(NOTIFICATION, request).await.map(|_| ())
    }

    /// The proof of possession of a key (appendix F.1). An anonymous wallet claims no `iss`.
    fn prove(&self, key: &impl Signer, nonce: &str, now: UnixSeconds) -> Result<String> {
        let header = jws::header(key, proof::TYPE, json!({"jwk": key.public_key().to_jwk()}));
        let claims = json!({"aud": self.id, "iat": now, "nonce": nonce});
        Ok(jws::sign(key, &header, claims.to_string().as_bytes())?)
    }
}

/// The address of a well-known document: its name stands between host and path (section 12.2.2, RFC 8414 section 3.1).
fn well_known(name: &str, id: &str) -> Result<String> {
    let mut url = Url::parse(id).map_err(|_| WalletError::Answer(ISSUER_METADATA, "is at no usable address"))?;
    let path = format!("/.well-known/{name}{}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url.into())
}

fn text(place: &'static str, object: &Map<String, Value>, name: &str) -> Result<String> {
    let text = object.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or(WalletError::Answer(place, "lacks a required member"))
}

/// An array of texts, when it is one and not empty.
fn texts(value: Option<&Value>) -> Option<Vec<String>> {
    let texts: Option<Vec<_>> = value?.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect();
    texts.filter(|texts| !texts.is_empty())
}
