//! Encrypted requests and answers (section 10): who sits between the wallet and the issuer's core, such as a proxy that
//! ends TLS, reads neither.

use officials_card::credential::jwe::{ALG, ENCS, Recipient, ZIP};
use officials_card::keyring::{DecryptionKey, fresh_p256_jwk};
use serde_json::{Map, Value, json};

use crate::error::{Result, WalletError};

const PLACE: &str = "credential issuer metadata";

/// How an issuer takes and gives encrypted messages, as its metadata says.
pub struct Offered {
    key: Value,
    enc: &'static str,
    compresses: bool,
    answers: Option<Value>,
    /// Plain requests, or requests for plain answers, are refused.
    pub is_required: bool,
}

impl Offered {
    /// Reads `credential_request_encryption` and `credential_response_encryption`, if the wallet understands what they
    /// offer.
    pub fn read(metadata: &Map<String, Value>) -> Option<Self> {
        let requests = metadata.get("credential_request_encryption")?;
        let answers = metadata.get("credential_response_encryption");
        let is_usable = |key: &&Value| key["alg"] == ALG && key["crv"] == "P-256" && key["kid"].is_string();
        let is_required = |side: &Value| side["encryption_required"] == true;
        let enc = common_enc(requests)?;
        let compresses = offers(requests, "zip_values_supported", ZIP);
        let parameters = answers.filter(|side| offers(side, "alg_values_supported", ALG)).and_then(|side| {
            let mut parameters = json!({"enc": common_enc(side)?});
            if offers(side, "zip_values_supported", ZIP) {
                parameters["zip"] = json!(ZIP);
            }
            Some(parameters)
        });
        Some(Self {
            key: requests["jwks"]["keys"].as_array()?.iter().find(is_usable)?.clone(),
            enc,
            compresses,
            answers: parameters,
            is_required: is_required(requests) || answers.is_some_and(is_required),
        })
    }

    /// Puts a request into its envelope. With it comes the key that opens the answer, fresh for this request.
    pub fn seal(&self, mut request: Value) -> Result<(String, Option<DecryptionKey>)> {
        let mut own = None;
        if let Some(parameters) = &self.answers {
            let key = DecryptionKey::new(&fresh_p256_jwk()?)?;
            request["credential_response_encryption"] = parameters.clone();
            request["credential_response_encryption"]["jwk"] = key.public_jwk().clone();
            own = Some(key);
        }
        let recipient = Recipient::new(&self.key, self.enc, self.compresses);
        let recipient = recipient.map_err(|_| WalletError::Answer(PLACE, "holds no usable encryption key"))?;
        Ok((recipient.seal(request.to_string().as_bytes())?, own))
    }
}

fn common_enc(side: &Value) -> Option<&'static str> {
    ENCS.into_iter().find(|enc| offers(side, "enc_values_supported", enc))
}

fn offers(side: &Value, list: &str, value: &str) -> bool {
    side[list].as_array().is_some_and(|values| values.iter().any(|one| one == value))
}
