//! Receipts of disputed checks. The checkpoint's device signs what it found (a compact JWS, ES256, its key in `jwk`); the
//! issuer adds when it got that and whether the versions named were really published, and signs both. A receipt holds no
//! personal data: whoever has the code can show that it is the one that was checked, and nobody can find it from there.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::clock::UnixSeconds;
use crate::credential::jws::{self, Jws, JwsError};
use crate::credential::verdict::Outcome;
use crate::credential::x509::{Anchors, ChainError, Use};
use crate::credential::{Algorithm, PublicKey, Signer};
use crate::error::Fault;

/// `typ` of the device's part.
pub const DEVICE_TYPE: &str = "checkpoint-receipt+jwt";
/// `typ` of the countersigned receipt.
pub const ISSUER_TYPE: &str = "checkpoint-receipt-confirmed+jwt";
/// The longest device part, in bytes. Ours are near one thousand.
pub const MAX_BYTES: usize = 4_096;
/// Most reasons of a receipt, and the longest code of one.
const MAX_REASONS: usize = 16;
const MAX_CODE: usize = 64;

/// What a device says that it found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// Thumbprint of the device's key (RFC 7638).
    pub iss: String,
    /// The gate, if the device stands at one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub gate: Option<String>,
    /// Version of the gate's policy.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub gate_version: Option<u64>,
    /// When it checked, by its own clock.
    pub checked_at: UnixSeconds,
    /// How far the server's clock was ahead of it at the last synchronisation.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub clock_offset_seconds: Option<i64>,
    /// What it answered.
    pub outcome: Outcome,
    /// Why: the codes of the reasons.
    pub reasons: Vec<String>,
    /// What was scanned, see [`code_hash`].
    pub code_hash: String,
    /// Version of the trust list.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trust_list_version: Option<u64>,
    /// Version of the status snapshot.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub statuses_version: Option<u64>,
    /// When that was signed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub statuses_as_of: Option<UnixSeconds>,
    /// Edition of the checkpoint's program.
    pub edition: u64,
}

/// Why a receipt is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// It does not read, or a signature is wrong.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// The issuer's certificates do not lead to the trust anchor.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The device's key is not a P-256 key in `jwk`, or `iss` is not its thumbprint.
    #[error("the device's key is missing, not P-256, or not the one in iss")]
    Key,
    /// A member is missing, unknown or out of its bounds.
    #[error("a member is missing, unknown or out of its bounds")]
    Member,
}

/// SHA-256 of a scanned text, in base64url.
pub fn code_hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text))
}

impl Found {
    /// What the device has to sign with ES256 and put before a dot and the signature in base64url.
    pub fn signing_input(&self, device: &PublicKey) -> String {
        let header = json!({"alg": "ES256", "typ": DEVICE_TYPE, "jwk": device.to_jwk()});
        let payload = serde_json::to_vec(self).unwrap_or_default();
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(payload))
    }

    /// From the device's JWS, whose signature is checked against the key inside: what the same device said, whoever holds
    /// it.
    pub fn from_jws(compact: &str) -> Result<Self, ReceiptError> {
        if compact.len() > MAX_BYTES {
            return Err(JwsError::Malformed.into());
        }
        let jws = Jws::parse(compact, DEVICE_TYPE)?;
        let key = jws.header.get("jwk").and_then(|jwk| PublicKey::from_jwk(jwk).ok());
        let key = key.filter(|key| key.algorithm() == Algorithm::Es256).ok_or(ReceiptError::Key)?;
        let found: Self = serde_json::from_value(Value::Object(jws.verify(&key)?)).map_err(|_| ReceiptError::Member)?;
        if found.iss != URL_SAFE_NO_PAD.encode(key.thumbprint()) {
            return Err(ReceiptError::Key);
        }
        let is_code = |code: &String| {
            code.len() <= MAX_CODE && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        let is_name = |name: &str| name.len() <= MAX_CODE && name.bytes().all(|byte| byte.is_ascii_graphic());
        let fits = found.reasons.len() <= MAX_REASONS
            && found.reasons.iter().all(is_code)
            && found.gate.as_deref().is_none_or(is_name)
            && URL_SAFE_NO_PAD.decode(&found.code_hash).is_ok_and(|hash| hash.len() == 32);
        if fits { Ok(found) } else { Err(ReceiptError::Member) }
    }
}

/// The issuer's word on a receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// The issuer.
    pub iss: String,
    /// When it got the receipt, by its own clock.
    pub received_at: UnixSeconds,
    /// Whether the trust list of that version was published; absent when none was named. A version that was published
    /// after the check counts as well: the two times tell.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trust_list_published: Option<bool>,
    /// The same for the status snapshot. Only the newest versions are kept: `false` may also mean long ago.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub statuses_published: Option<bool>,
    /// The same for the gate's policy.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub gate_published: Option<bool>,
    /// The device's JWS as it came.
    pub receipt: String,
}

impl Confirmation {
    /// Signs it: a compact JWS with the issuer's certificates.
    pub fn seal(&self, signer: &dyn Signer) -> Result<String, Fault> {
        let header = jws::header(signer, ISSUER_TYPE, json!({"x5c": jws::x5c(signer)}));
        let payload = serde_json::to_vec(self).map_err(|error| Fault::new("signing a receipt", error))?;
        jws::sign(signer, &header, &payload)
    }

    /// Checks both signatures: the issuer's, which must lead to an anchor as of when it got the receipt, and the
    /// device's.
    pub fn open(compact: &str, anchors: &Anchors) -> Result<(Self, Found), ReceiptError> {
        let jws = Jws::parse(compact, ISSUER_TYPE)?;
        let received_at = jws.claimed("received_at").and_then(Value::as_i64).ok_or(ReceiptError::Member)?;
        let chain = jws.certificates().unwrap_or_default();
        let signer = anchors.check(&chain, Use::Events, received_at)?;
        let claims: Map<String, Value> = jws.verify(&signer)?;
        let own: Self = serde_json::from_value(Value::Object(claims)).map_err(|_| ReceiptError::Member)?;
        let found = Found::from_jws(&own.receipt)?;
        Ok((own, found))
    }
}
