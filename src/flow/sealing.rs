//! Encrypted requests and answers of the credential and deferred credential endpoints (OpenID4VCI 1.0 section 10). What
//! is refused is never encrypted.

use serde_json::Value;

use super::Service;
use crate::credential::PublicKey;
use crate::credential::jwe::{JweError, Recipient};
use crate::error::{Fault, Refusal};
use crate::protocol::oid4vci::ResponseEncryption;

/// The largest request that is inflated from its encrypted form, in bytes.
pub const MAX_INFLATED_BYTES: usize = 256 * 1024;

/// The body of a request, as its media type names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestBody {
    /// `application/json`.
    Json(Vec<u8>),
    /// `application/jwt`: a compact JWE.
    Jwt(Vec<u8>),
}

/// A request in the clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The JSON, not parsed yet.
    pub json: Vec<u8>,
    /// Only then may its answer be encrypted.
    pub was_encrypted: bool,
}

/// An answer, as its media type names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sealed {
    /// `application/json`.
    Json(Value),
    /// `application/jwt`: a compact JWE.
    Jwt(String),
}

impl Service {
    /// Opens a request. A plain one is refused where encryption is required, before it is looked at.
    pub fn open_request(&self, body: RequestBody) -> Result<Opened, Refusal> {
        let wrong = Refusal::InvalidEncryptionParameters;
        let compact = match body {
            RequestBody::Json(_) if self.config.encryption.requests_required => {
                return Err(wrong("requests must be encrypted to the key in the metadata"));
            }
            RequestBody::Json(json) => return Ok(Opened { json, was_encrypted: false }),
            RequestBody::Jwt(compact) => compact,
        };
        let compact = std::str::from_utf8(&compact).map_err(|_| wrong("the body is not a compact JWE"))?;
        let opened = self.keys.encryption.open(compact.trim_ascii(), MAX_INFLATED_BYTES);
        let json = opened.map_err(|error| {
            wrong(match error {
                JweError::Malformed => "the body is not a compact JWE with AES-GCM and a P-256 epk",
                JweError::Unsupported => "the JWE has an alg, enc, zip or crit that the metadata does not list",
                JweError::OtherKey => "kid of the JWE is not that of a key in the metadata; fetch the metadata again",
                JweError::Undecryptable => "the JWE cannot be decrypted, or is too large when inflated",
            })
        })?;
        Ok(Opened { json, was_encrypted: true })
    }

    /// Whether an answer may be given as it is asked for: encrypted only to an encrypted request (section 8.2), plain only
    /// where that is allowed.
    pub fn check_response_encryption(
        &self,
        asked: Option<&ResponseEncryption>,
        was_encrypted: bool,
    ) -> Result<(), Refusal> {
        let wrong = |text| Err(Refusal::InvalidEncryptionParameters(text));
        match asked {
            None if self.config.encryption.responses_required => wrong("credential_response_encryption is required"),
            Some(_) if !was_encrypted => wrong("credential_response_encryption is only for encrypted requests"),
            Some(asked) if PublicKey::from_jwk(&asked.jwk).is_err() => wrong("the jwk is not a usable P-256 key"),
            None | Some(_) => Ok(()),
        }
    }

    /// Puts an answer into the form that was asked for.
    pub fn seal_response(&self, answer: Value, encryption: Option<&ResponseEncryption>) -> Result<Sealed, Fault> {
        let Some(ResponseEncryption { jwk, enc, compress }) = encryption else { return Ok(Sealed::Json(answer)) };
        let recipient =
            Recipient::new(jwk, enc, *compress).map_err(|error| Fault::new("encrypting an answer", error))?;
        Ok(Sealed::Jwt(recipient.seal(answer.to_string().as_bytes())?))
    }
}
