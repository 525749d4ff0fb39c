//! Key attestations (OpenID4VCI 1.0 appendix D, HAIP 1.0 section 4.5.1): a wallet provider, or the key storage itself,
//! says which keys it keeps, how well, and how the person unlocks them.
//!
//! What is decided here where the specification leaves it open:
//!
//! - The signer is named by `x5c` only, whose chain leads to a configured attester and does not carry the anchor.
//! - A key attestation always carries a nonce of ours, so it was made within the lifetime of that nonce. Its `status`, which
//!   tells of a revocation since it was made, is handed out ([`Standing`]) and looked up where the settings name the
//!   attester's status lists.
//! - `iso_18045_high` is resistance to everything that `iso_18045_moderate` resists, and so on down to `basic`
//!   (ISO/IEC 18045, AVA_VAN.5 to .2). A policy that names a level accepts the higher ones, and the metadata lists all that
//!   it accepts. Values of other schemes are compared letter by letter.
//! - `key_storage` describes one storage, so one accepted value is enough. `user_authentication` describes several
//!   methods that all unlock the key, so the weakest counts: every value must be accepted.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::jws::{Jws, JwsError};
use super::key::{KeyError, PublicKey};
use super::x509::{Anchors, ChainError};
use crate::clock::UnixSeconds;

/// `typ` of a key attestation.
pub const TYPE: &str = "key-attestation+jwt";
/// The most keys that one attestation may carry.
pub const MAX_KEYS: usize = 100;
/// The most values of `key_storage` and of `user_authentication` that are read.
pub const MAX_LEVELS: usize = 16;
/// How far an attester's clock may be ahead of ours.
pub const MAX_AHEAD_SECONDS: i64 = 60;

/// The levels of attack potential resistance (appendix D.2), highest first.
const ISO_18045: [&str; 4] = ["iso_18045_high", "iso_18045_moderate", "iso_18045_enhanced-basic", "iso_18045_basic"];

/// Why an attestation, of keys or of a wallet, is not accepted. The text is for the wallet's developer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttestationError {
    /// Not a JWT of the right type.
    #[error("the attestation is not usable: {0}")]
    Jwt(JwsError),
    /// Its header names no certificate chain in `x5c`.
    #[error("the attestation carries no certificate chain in x5c")]
    NoChain,
    /// The chain does not lead to an attester that we trust.
    #[error("the attester is not trusted: {0}")]
    Chain(ChainError),
    /// It has ended, or its time has not come.
    #[error("the attestation is expired or not valid yet")]
    NotValidNow,
    /// A claim is missing or wrong.
    #[error("{0}")]
    Claim(&'static str),
    /// A key that it carries is not usable.
    #[error("a key in the attestation is not usable: {0}")]
    Key(KeyError),
    /// The policy of the configuration asks for more.
    #[error("the attested {0} does not reach a level that the metadata lists")]
    Level(&'static str),
}

/// By whom an attestation, of keys or of a wallet, was signed, and where it says that its status stands: still to be looked
/// up, by the rules of that attester.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The chain of the signer's certificates, which leads to one of the anchors.
    pub chain: Vec<Vec<u8>>,
    /// The claim `status` as it came.
    pub status: Option<Value>,
}

/// A key attestation whose signature, chain and times are checked.
#[derive(Clone, Debug)]
pub struct KeyAttestation {
    /// The keys, all different, each with the `kid` that it carries.
    pub keys: Vec<AttestedKey>,
    /// The `c_nonce` that it carries, still to be checked.
    pub nonce: String,
    /// Whose it is, and where its status stands.
    pub standing: Standing,
    key_storage: Vec<String>,
    user_authentication: Vec<String>,
    expires_at: Option<UnixSeconds>,
}

/// A key of an attestation.
#[derive(Clone, Debug)]
pub struct AttestedKey {
    /// The key.
    pub key: PublicKey,
    kid: Option<String>,
    is_for_encryption: bool,
}

impl KeyAttestation {
    /// Checks a key attestation that was signed by one of the attesters of `anchors`.
    pub fn verify(jwt: &str, anchors: &Anchors, now: UnixSeconds) -> Result<Self, AttestationError> {
        let jws = Jws::parse(jwt, TYPE).map_err(AttestationError::Jwt)?;
        let chain = jws.certificates().ok_or(AttestationError::NoChain)?;
        let attester = anchors.check_path(&chain, now).map_err(AttestationError::Chain)?;
        let claims = Value::Object(jws.verify(&attester).map_err(AttestationError::Jwt)?);
        let times = Times::read(&claims)?;
        if times.issued_at.is_none() {
            return Err(AttestationError::Claim("iat of the key attestation is missing"));
        }
        times.check(now)?;
        let nonce = claims.get("nonce").and_then(Value::as_str);
        Ok(Self {
            keys: attested_keys(&claims)?,
            nonce: nonce.ok_or(AttestationError::Claim("nonce of the key attestation is missing"))?.to_owned(),
            standing: Standing { status: claims.get("status").cloned(), chain },
            key_storage: levels(&claims, "key_storage")?,
            user_authentication: levels(&claims, "user_authentication")?,
            expires_at: times.expires_at,
        })
    }

    /// Whether it carries `exp`, which appendix D.1 requires beside a `jwt` proof.
    pub fn has_expiry(&self) -> bool {
        self.expires_at.is_some()
    }

    /// The key that a proof's `kid` names: by the `kid` of the attested key, by its thumbprint (RFC 7638), or by its place
    /// counted from 0.
    pub fn named(&self, kid: &str) -> Option<&PublicKey> {
        let mut own = self.keys.iter().filter(|attested| attested.kid.as_deref() == Some(kid));
        match (own.next(), own.next()) {
            (Some(one), None) => return Some(&one.key),
            (Some(_), Some(_)) => return None,
            _ => {}
        }
        let thumbprint = |attested: &&AttestedKey| URL_SAFE_NO_PAD.encode(attested.key.thumbprint()) == kid;
        let by_place = || kid.parse::<usize>().ok().and_then(|place| self.keys.get(place));
        self.keys.iter().find(thumbprint).or_else(by_place).map(|attested| &attested.key)
    }

    /// Whether this key is among the attested ones.
    pub fn attests(&self, key: &PublicKey) -> bool {
        self.keys.iter().any(|attested| attested.key == *key)
    }

    /// The keys that a credential may be bound to: all but those that the wallet itself says are for encryption.
    pub fn holder_keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.keys.iter().filter(|attested| !attested.is_for_encryption).map(|attested| &attested.key)
    }
}

/// What the issuer asks of the keys of one configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPolicy {
    required: bool,
    key_storage: Vec<String>,
    user_authentication: Vec<String>,
}

impl KeyPolicy {
    /// Keys without attestation are refused. The lists name the lowest accepted levels of ISO/IEC 18045 and accepted values
    /// of other schemes; an empty one asks nothing.
    pub fn required(key_storage: &[String], user_authentication: &[String]) -> Self {
        Self {
            required: true,
            key_storage: with_higher_levels(key_storage),
            user_authentication: with_higher_levels(user_authentication),
        }
    }

    /// Whether a key without attestation is refused.
    pub fn is_required(&self) -> bool {
        self.required
    }

    /// `key_attestations_required` of the metadata (section 12.2.4): absent when no attestation is needed.
    pub fn metadata(&self) -> Option<Value> {
        if !self.required {
            return None;
        }
        let mut metadata = json!({});
        for (name, accepted) in [("key_storage", &self.key_storage), ("user_authentication", &self.user_authentication)]
        {
            if !accepted.is_empty() {
                metadata[name] = json!(accepted);
            }
        }
        Some(metadata)
    }

    /// Checks the levels of an attestation.
    pub fn check(&self, attestation: &KeyAttestation) -> Result<(), AttestationError> {
        let is_accepted = |accepted: &[String], value: &String| accepted.contains(value);
        if !self.key_storage.is_empty()
            && !attestation.key_storage.iter().any(|value| is_accepted(&self.key_storage, value))
        {
            return Err(AttestationError::Level("key_storage"));
        }
        let methods = &attestation.user_authentication;
        if !self.user_authentication.is_empty()
            && (methods.is_empty() || !methods.iter().all(|value| is_accepted(&self.user_authentication, value)))
        {
            return Err(AttestationError::Level("user_authentication"));
        }
        Ok(())
    }
}

fn with_higher_levels(named: &[String]) -> Vec<String> {
    let lowest = named.iter().filter_map(|value| ISO_18045.iter().position(|level| level == value)).max();
    let levels = lowest.map_or(&ISO_18045[..0], |lowest| &ISO_18045[..=lowest]);
    let others = named.iter().filter(|value| !ISO_18045.contains(&value.as_str())).cloned();
    levels.iter().map(|level| (*level).to_owned()).chain(others).collect()
}

fn attested_keys(claims: &Value) -> Result<Vec<AttestedKey>, AttestationError> {
    let keys = claims.get("attested_keys").and_then(Value::as_array);
    let keys = keys.filter(|keys| (1..=MAX_KEYS).contains(&keys.len()));
    let keys = keys.ok_or(AttestationError::Claim("attested_keys must be an array of 1 to 100 keys"))?;
    let mut attested: Vec<AttestedKey> = Vec::with_capacity(keys.len());
    for jwk in keys {
        let key = PublicKey::from_jwk(jwk).map_err(AttestationError::Key)?;
        if attested.iter().any(|other| other.key == key) {
            return Err(AttestationError::Claim("attested_keys holds a key twice"));
        }
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let (kid, is_for_encryption) = (text("kid").map(str::to_owned), text("use") == Some("enc"));
        attested.push(AttestedKey { key, kid, is_for_encryption });
    }
    Ok(attested)
}

/// An optional, non-empty array of case-sensitive strings (appendix D.1).
fn levels(claims: &Value, name: &str) -> Result<Vec<String>, AttestationError> {
    const RULE: AttestationError =
        AttestationError::Claim("key_storage and user_authentication must be arrays of 1 to 16 strings");
    let Some(values) = claims.get(name) else { return Ok(Vec::new()) };
    let values = values.as_array().filter(|values| (1..=MAX_LEVELS).contains(&values.len())).ok_or(RULE)?;
    values.iter().map(|value| value.as_str().map(str::to_owned).ok_or(RULE)).collect()
}

/// `iat`, `nbf` and `exp` of a JWT.
pub(super) struct Times {
    /// `iat`.
    pub issued_at: Option<UnixSeconds>,
    not_before: Option<UnixSeconds>,
    /// `exp`.
    pub expires_at: Option<UnixSeconds>,
}

impl Times {
    /// Reads them; one that is there must be an integer.
    pub fn read(claims: &Value) -> Result<Self, AttestationError> {
        let time = |name: &str| match claims.get(name) {
            None => Ok(None),
            Some(time) => time.as_i64().map(Some).ok_or(AttestationError::Claim("iat, nbf and exp must be integers")),
        };
        Ok(Self { issued_at: time("iat")?, not_before: time("nbf")?, expires_at: time("exp")? })
    }

    /// Checks that nothing lies in the future (within [`MAX_AHEAD_SECONDS`]) and that the end has not come.
    pub fn check(&self, now: UnixSeconds) -> Result<(), AttestationError> {
        let latest = now.saturating_add(MAX_AHEAD_SECONDS);
        let has_begun = [self.issued_at, self.not_before].into_iter().flatten().all(|time| time <= latest);
        let goes_on = self.expires_at.is_none_or(|end| now < end);
        if has_begun && goes_on { Ok(()) } else { Err(AttestationError::NotValidNow) }
    }
}
