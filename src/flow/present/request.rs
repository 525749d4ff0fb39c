//! The request that a wallet fetches, as often as it likes: signed each time anew, and each time the same but for its time
//! and what the wallet wants to see in it.

use serde_json::{Value, json};

use super::{Terms, is_link, terms};
use crate::clock::UnixSeconds;
use crate::credential::{jws, x509};
use crate::error::{Error, Fault, Refusal, Result};
use crate::flow::{Service, hash};
use crate::keyring::DecryptionKey;
use crate::model::presentation::PresentationState;
use crate::protocol::dcql::Query;
use crate::protocol::oid4vp::{
    ANY_WALLET, ClientId, ClientMetadata, Delivery, MessageError, REQUEST_TYPE, RequestObject, RequestUriPost,
};
use crate::store::{OpenSecrets, Presentation, PresentationName};

/// How a wallet asks for the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestFetch {
    /// GET.
    Get,
    /// POST, with these parameters.
    Post(Vec<(String, String)>),
}

impl Service {
    /// The signed request (OpenID4VP 1.0 section 5.10), a compact JWS: until somebody has answered.
    pub async fn presentation_request(&self, name: &str, fetch: RequestFetch) -> Result<String> {
        let row = self.open_presentation(PresentationName::Request, name).await?;
        let terms = terms(&row)?;
        let wallet = match fetch {
            RequestFetch::Get => RequestUriPost::default(),
            RequestFetch::Post(form) => RequestUriPost::parse(&form).map_err(refused)?,
        };
        let delivery = Delivery::DirectPost {
            response_uri: self.response_uri(&row.id),
            state: row.secrets.as_ref().map(|secrets| secrets.wallet_state.clone()),
        };
        let mut request = self.request_object(&row, &terms, delivery)?;
        let supported = wallet.wallet_metadata.check(&request.query.formats(), request.client_id.prefix());
        supported.map_err(refused)?;
        request.wallet_nonce = wallet.wallet_nonce;
        self.sign_request(&request)
    }

    /// The same for the browser's Digital Credentials API (appendix A): for the browser that the page belongs to. Always
    /// encrypted.
    pub async fn present_dc_request(&self, token: &str, cookie: impl Fn(&str) -> Option<String>) -> Result<Value> {
        let row = self.presentation_of_browser(token, cookie).await?;
        if row.state_at(self.clock.now()) != PresentationState::Created {
            return Err(Refusal::Gone("presentation").into());
        }
        let terms = Terms { encrypted: true, ..terms(&row)? };
        let delivery = Delivery::DcApi { expected_origins: vec![self.own_origin()?] };
        let request = self.request_object(&row, &terms, delivery)?;
        Ok(json!({"protocol": "openid4vp-v1-signed", "request": self.sign_request(&request)?}))
    }

    /// Our origin, as browsers write it.
    pub fn own_origin(&self) -> Result<String, Fault> {
        let url = url::Url::parse(&self.config.public_url);
        Ok(url.map_err(|error| Fault::new("naming the origin", error))?.origin().ascii_serialization())
    }

    /// A transaction that can still be answered, by one of the names that a wallet knows. What is over is gone, and of
    /// nothing else is anything said.
    pub(super) async fn open_presentation(&self, by: PresentationName, name: &str) -> Result<Presentation> {
        if !is_link(name) {
            return Err(Refusal::NotFound("presentation").into());
        }
        let row = self.presentation_row(by, &hash(&[name.as_bytes()])).await?;
        if row.state_at(self.clock.now()) == PresentationState::Created && row.secrets.is_some() {
            Ok(row)
        } else {
            Err(Refusal::Gone("presentation").into())
        }
    }

    fn request_object(&self, row: &Presentation, terms: &Terms, delivery: Delivery) -> Result<RequestObject> {
        let secrets = row.secrets.as_ref().ok_or(Refusal::Gone("presentation"))?;
        let query = Query::parse(&terms.query).map_err(|error| Fault::new("reading a query", error))?;
        let key = if terms.encrypted {
            Some(self.presentation_decryption_key(&row.id, secrets)?.public_jwk().clone())
        } else {
            None
        };
        let client_id = ClientId::parse(&terms.client_id).map_err(|error| Fault::new("reading a client_id", error))?;
        let now: UnixSeconds = self.clock.now();
        Ok(RequestObject {
            // A certificate that was renewed since makes another client_id: nobody could answer.
            client_id: if self.is_ours(&client_id)? {
                client_id
            } else {
                return Err(Refusal::Gone("presentation").into());
            },
            delivery,
            nonce: secrets.nonce.clone(),
            client_metadata: ClientMetadata::new(key, query.formats()),
            query,
            audience: ANY_WALLET.to_owned(),
            issued_at: now,
            expires_at: row.expires_at,
            wallet_nonce: None,
            verifier_info: terms.verifier_info.clone(),
            transaction_data: Vec::new(),
        })
    }

    fn is_ours(&self, client_id: &ClientId) -> Result<bool, Fault> {
        let leaf = self.keys.verifier.certificates().first().map(Vec::as_slice).unwrap_or_default();
        let names = x509::dns_names(leaf).map_err(|error| Fault::new("reading verifier.pem", error))?;
        Ok(client_id.is_of(leaf, &names))
    }

    /// The key that the answer is encrypted to.
    pub(super) fn presentation_decryption_key(&self, id: &str, secrets: &OpenSecrets) -> Result<DecryptionKey, Fault> {
        DecryptionKey::new(&self.unseal_json("key", id, &secrets.sealed_key)?)
    }

    /// RFC 9101, with the certificates below the root (HAIP 1.0 section 5).
    fn sign_request(&self, request: &RequestObject) -> Result<String> {
        let signer = &*self.keys.verifier;
        let header = jws::header(signer, REQUEST_TYPE, json!({"x5c": jws::x5c(signer)}));
        Ok(jws::sign(signer, &header, request.to_json().to_string().as_bytes())?)
    }
}

/// A message of a wallet that breaks a rule.
pub(super) fn refused(error: MessageError) -> Error {
    tracing::debug!(%error, "a wallet's message is refused");
    Refusal::malformed(error.place, error.rule).into()
}
