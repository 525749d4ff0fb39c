//! The wallet's side of the credential issuer (OpenID4VCI 1.0): metadata, nonce, credentials, also deferred ones,
//! notification. What the issuer sends is only read here; `check.rs` judges it.

use officials_card::clock::UnixSeconds;
use officials_card::credential::proof;
use officials_card::credential::{Signer, jws};
use reqwest::RequestBuilder;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::check::is_understood;
use crate::envelope::Offered;
use crate::error::{Result, WalletError};
use crate::http::{Http, MAX_ANSWER_BYTES, Repeat, object, text, texts, well_known};
use crate::session::{AccessToken, Session};

const METADATA: &str = "credential issuer metadata";
const NONCE: &str = "nonce endpoint";
const CREDENTIAL: &str = "credential endpoint";
const DEFERRED: &str = "deferred credential endpoint";
const NOTIFICATION: &str = "notification endpoint";

/// What a wallet waits that does not know how long (section 9.2 has no default).
const INTERVAL_SECONDS: i64 = 300;

/// What the metadata says about a credential configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Configuration {
    /// Its identifier.
    pub id: String,
    /// Its format.
    pub format: String,
    /// The scope that asks for it.
    pub scope: Option<String>,
    /// Its type; only for SD-JWT.
    pub vct: Option<String>,
    /// Its document type; only for an mdoc.
    pub doctype: Option<String>,
}

/// Credentials as they came, and the name by which the wallet tells what became of them.
pub struct Issued {
    /// The credentials.
    pub credentials: Vec<String>,
    notification_id: Option<String>,
}

/// What a request for credentials is answered with.
pub enum Answered {
    /// The credentials.
    Issued(Issued),
    /// They will be there later (section 8.3).
    Later {
        /// By which to ask again.
        transaction_id: String,
        /// Seconds after which to.
        interval_seconds: i64,
    },
}

/// An issuer that has been looked up.
pub struct Issuer {
    /// Its identifier.
    pub id: String,
    /// The identifier of its authorization server.
    pub server: String,
    /// How many keys one request may prove.
    pub batch_size: usize,
    metadata: Map<String, Value>,
    encryption: Option<Offered>,
}

impl Issuer {
    /// Reads the metadata of the issuer. It must name itself as it was asked for, or another could pass for it (section
    /// 12.2.1).
    pub async fn look_up(http: &Http, id: &str) -> Result<Self> {
        let metadata = http.get_json(METADATA, &well_known(METADATA, "openid-credential-issuer", id)?).await?;
        if text(METADATA, &metadata, "credential_issuer")? != id {
            return Err(WalletError::Answer(METADATA, "names another issuer"));
        }
        let server = texts(metadata.get("authorization_servers")).and_then(|servers| servers.into_iter().next());
        let batch_size = metadata.get("batch_credential_issuance").and_then(|batch| batch.get("batch_size"));
        Ok(Self {
            id: id.to_owned(),
            server: server.unwrap_or_else(|| id.to_owned()),
            batch_size: batch_size.and_then(Value::as_u64).and_then(|size| size.try_into().ok()).unwrap_or(1),
            encryption: Offered::read(&metadata),
            metadata,
        })
    }

    /// What the metadata says about a configuration that this wallet understands.
    pub fn configuration(&self, id: &str) -> Result<Configuration> {
        let all = self.metadata.get("credential_configurations_supported");
        let metadata = all.and_then(|all| all.get(id));
        let metadata = metadata.ok_or(WalletError::Offer("names a configuration that the issuer does not have"))?;
        let text = |name: &str| metadata.get(name).and_then(Value::as_str).map(str::to_owned);
        let format = text("format").filter(|format| is_understood(format));
        let format = format.ok_or(WalletError::Offer("is for a format that this wallet does not understand"))?;
        Ok(Configuration {
            id: id.to_owned(),
            format,
            scope: text("scope"),
            vct: text("vct"),
            doctype: text("doctype"),
        })
    }

    /// All configurations that this wallet understands.
    pub fn configurations(&self) -> Vec<String> {
        let all = self.metadata.get("credential_configurations_supported").and_then(Value::as_object);
        let ids = all.into_iter().flatten().map(|(id, _)| id.clone());
        ids.filter(|id| self.configuration(id).is_ok()).collect()
    }

    /// How to encrypt, when the holder wishes it or the issuer requires it.
    pub fn encryption(&self, wished: bool) -> Result<Option<&Offered>> {
        match &self.encryption {
            None if wished => Err(WalletError::Answer(METADATA, "offers no encryption that this wallet knows")),
            offered => Ok(offered.as_ref().filter(|offered| wished || offered.is_required)),
        }
    }

    /// Requests one credential for each key (section 8.2). All proofs of the request carry one nonce.
    pub async fn request(
        &self,
        session: &Session<'_>,
        token: &AccessToken,
        configuration: &str,
        keys: &[impl Signer],
        encryption: Option<&Offered>,
    ) -> Result<Answered> {
        let endpoint = text(METADATA, &self.metadata, "nonce_endpoint")?;
        let make = || session.http.post(NONCE, &endpoint);
        let nonce = session.http.ask(NONCE, Repeat::WhenLost, make).await?.body(NONCE)?;
        let nonce = text(NONCE, &object(NONCE, &nonce)?, "c_nonce")?;
        // A wallet that is nobody claims no `iss`.
        let client = session.client.as_ref().map(|client| client.id.as_str());
        let prove = |key| self.prove(key, client, &nonce, session.clock.now());
        let proofs = keys.iter().map(prove).collect::<Result<Vec<_>>>()?;
        let body = json!({"credential_configuration_id": configuration, "proofs": {"jwt": proofs}});
        self.exchange(session, token, CREDENTIAL, "credential_endpoint", body, encryption).await
    }

    /// Asks again for what was to come later (section 9.1).
    pub async fn ask_again(
        &self,
        session: &Session<'_>,
        token: &AccessToken,
        transaction_id: &str,
        encryption: Option<&Offered>,
    ) -> Result<Answered> {
        let body = json!({"transaction_id": transaction_id});
        self.exchange(session, token, DEFERRED, "deferred_credential_endpoint", body, encryption).await
    }

    async fn exchange(
        &self,
        session: &Session<'_>,
        token: &AccessToken,
        place: &'static str,
        endpoint: &str,
        body: Value,
        encryption: Option<&Offered>,
    ) -> Result<Answered> {
        let endpoint = text(METADATA, &self.metadata, endpoint)?;
        let (envelope, own) = match encryption {
            None => (None, None),
            Some(offered) => {
                let (envelope, own) = offered.seal(body.clone())?;
                (Some(envelope), own)
            }
        };
        let complete = |request: RequestBuilder| match &envelope {
            None => request.json(&body),
            Some(envelope) => request.header("Content-Type", "application/jwt").body(envelope.clone()),
        };
        let mut answer = session.post_with_token(place, &endpoint, token, complete).await?;
        if let Some(own) = own {
            let envelope = std::str::from_utf8(&answer).unwrap_or_default();
            answer = own
                .open(envelope, MAX_ANSWER_BYTES)
                .map_err(|_| WalletError::Answer(place, "is not encrypted to the wallet as it was asked to be"))?;
        }
        answered(place, &object(place, &answer)?)
    }

    /// Tells the issuer what became of the credentials (section 11.1). Nothing depends on it.
    pub async fn notify(&self, session: &Session<'_>, token: &AccessToken, issued: &Issued, event: &str) -> Result<()> {
        let endpoint = text(METADATA, &self.metadata, "notification_endpoint").ok();
        let (Some(endpoint), Some(id)) = (endpoint, &issued.notification_id) else { return Ok(()) };
        let body = json!({"notification_id": id, "event": event});
        session.post_with_token(NOTIFICATION, &endpoint, token, |request| request.json(&body)).await.map(|_| ())
    }

    /// The proof of possession of a key (appendix F.1).
    fn prove(&self, key: &impl Signer, client: Option<&str>, nonce: &str, now: UnixSeconds) -> Result<String> {
        let header = jws::header(key, proof::TYPE, json!({"jwk": key.public_key().to_jwk()}));
        let mut claims = json!({"aud": self.id, "iat": now, "nonce": nonce});
        if let Some(client) = client {
            claims["iss"] = json!(client);
        }
        Ok(jws::sign(key, &header, claims.to_string().as_bytes())?)
    }
}

fn answered(place: &'static str, answer: &Map<String, Value>) -> Result<Answered> {
    if let Ok(transaction_id) = text(place, answer, "transaction_id") {
        let interval = answer.get("interval").and_then(Value::as_i64).filter(|seconds| *seconds > 0);
        return Ok(Answered::Later { transaction_id, interval_seconds: interval.unwrap_or(INTERVAL_SECONDS) });
    }
    let credentials = answer.get("credentials").and_then(Value::as_array);
    let credentials = credentials.ok_or(WalletError::Answer(place, "holds no credentials"))?;
    let credential = |one: &Value| one.get("credential").and_then(Value::as_str).map(str::to_owned);
    let credentials: Option<Vec<_>> = credentials.iter().map(credential).collect();
    Ok(Answered::Issued(Issued {
        credentials: credentials.ok_or(WalletError::Answer(place, "holds something else than credentials"))?,
        notification_id: text(place, answer, "notification_id").ok(),
    }))
}
