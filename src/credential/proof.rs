//! The holder's proof of possession when a credential is requested: proof type `jwt` (OpenID4VCI 1.0 appendix F.1).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::jws::Jws;
use super::key::PublicKey;
use super::x509;
use crate::clock::UnixSeconds;

/// `typ` of the proof.
pub const TYPE: &str = "openid4vci-proof+jwt";
/// How old a proof may be, and how far its clock may be ahead.
pub const MAX_AGE_SECONDS: i64 = 600;
const MAX_AHEAD_SECONDS: i64 = 60;

/// Why a proof is not accepted. The text is for the wallet's developer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ProofError(pub &'static str);

/// A proof whose signature is checked.
#[derive(Debug)]
pub struct Proof {
    /// The holder's key, to which the credential will be bound.
    pub key: PublicKey,
    /// The `c_nonce` that it carries, still to be checked.
    pub nonce: String,
}

impl Proof {
    /// Checks a `jwt` proof made for `audience` (the credential issuer identifier). `client` is who the access token
    /// was given to; an anonymous wallet may not claim an `iss`.
    pub fn verify(jwt: &str, audience: &str, client: Option<&str>, now: UnixSeconds) -> Result<Self, ProofError> {
        let jws = Jws::parse(jwt, TYPE).map_err(|_| {
            ProofError("the proof is not a JWT of type openid4vci-proof+jwt signed with ES256 or EdDSA")
        })?;
        if jws.header.contains_key("key_attestation") {
            // One that is not checked would be worth nothing (section 8.2.1.1: the key must be among the attested ones).
            return Err(ProofError("key attestations are not supported"));
        }
        let key = header_key(&jws)?;
        let payload = jws.verify(&key).map_err(|_| ProofError("the signature of the proof is wrong"))?;
        let text = |name: &str| payload.get(name).and_then(Value::as_str);
        if text("aud") != Some(audience) {
            return Err(ProofError("aud of the proof is not the credential issuer identifier"));
        }
        if payload.contains_key("iss") && (client.is_none() || text("iss") != client) {
            return Err(ProofError("iss of the proof is not the client of the access token"));
        }
        let made_at = payload.get("iat").and_then(Value::as_i64).ok_or(ProofError("iat of the proof is missing"))?;
        if made_at < now - MAX_AGE_SECONDS || made_at > now + MAX_AHEAD_SECONDS {
            return Err(ProofError("iat of the proof is too far from now"));
        }
        let nonce = text("nonce").ok_or(ProofError("nonce of the proof is missing"))?.to_owned();
        Ok(Self { key, nonce })
    }
}

fn header_key(jws: &Jws<'_>) -> Result<PublicKey, ProofError> {
    let given: Vec<_> = ["jwk", "kid", "x5c"].into_iter().filter_map(|name| jws.header.get(name)).collect();
    let [key] = given.as_slice() else {
        return Err(ProofError("the proof's header must carry exactly one of jwk, kid and x5c"));
    };
    if let Some(chain) = key.as_array() {
        let leaf = chain.first().and_then(Value::as_str).and_then(|leaf| STANDARD.decode(leaf).ok());
        return leaf
            .and_then(|leaf| x509::public_key(&leaf).ok())
            .ok_or(ProofError("x5c of the proof holds no usable certificate"));
    }
    if !key.is_object() {
        return Err(ProofError("kid is not supported; send the public key as jwk"));
    }
    PublicKey::from_jwk(key).map_err(|_| ProofError("jwk of the proof is not a public P-256 or Ed25519 key"))
}
