//! The holder's keys when a credential is requested: proof type `jwt`, with and without `key_attestation`, and proof type
//! `attestation` (OpenID4VCI 1.0 appendix F).
//!
//! One rule holds for both proof types, so that none is a way round the other: an attestation that is sent is checked, and
//! where the policy of the configuration requires one, every key that a credential is bound to is attested at the required
//! level.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::attestation::{AttestationError, KeyAttestation, KeyPolicy, Standing};
use super::jws::Jws;
use super::key::PublicKey;
use super::x509::{self, Anchors};
use crate::clock::UnixSeconds;

/// `typ` of the proof.
pub const TYPE: &str = "openid4vci-proof+jwt";
/// How old a proof may be, and how far its clock may be ahead.
pub const MAX_AGE_SECONDS: i64 = 600;
const MAX_AHEAD_SECONDS: i64 = 60;

/// Why a proof is not accepted. The text is for the wallet's developer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The proof itself.
    #[error("{0}")]
    Proof(&'static str),
    /// The key attestation in it, or that it is.
    #[error(transparent)]
    Attestation(#[from] AttestationError),
}

/// What a proof is checked against.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The credential issuer identifier.
    pub audience: &'a str,
    /// Who the access token was given to; an anonymous wallet may not claim an `iss`.
    pub client: Option<&'a str>,
    /// Who may attest keys.
    pub attesters: &'a Anchors,
    /// What the configuration asks of keys.
    pub policy: &'a KeyPolicy,
    /// The present.
    pub now: UnixSeconds,
}

/// The keys of a request, all different, and the nonces that its proofs and attestations carry, each once and still to be
/// checked: there may be only one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proved {
    /// The holder's keys, to each of which one credential will be bound.
    pub keys: Vec<PublicKey>,
    /// The different `c_nonce`s.
    pub nonces: Vec<String>,
    /// The standing of each attestation, still to be looked up.
    pub attestations: Vec<Standing>,
}

impl Proved {
    /// Checks the members of `proofs.jwt`. The keys are those of the proofs in their order, then the other keys of their
    /// attestations (appendix F.1: one credential for each attested key), `most` at the most.
    pub fn by_jwt(proofs: &[String], expected: &Expected<'_>, most: usize) -> Result<Self, ProofError> {
        let mut proved = Self::default();
        let mut attestations: Vec<(String, KeyAttestation)> = Vec::new();
        for jwt in proofs {
            let proof = Proof::parse(jwt, expected, &mut attestations)?;
            if proved.keys.contains(&proof.key) {
                return Err(ProofError::Proof("all proofs of a request are by different keys"));
            }
            proved.carries(&proof.nonce);
            proved.keys.push(proof.key);
        }
        let is_attested = |key: &PublicKey| attestations.iter().any(|(_, attestation)| attestation.attests(key));
        if expected.policy.is_required() && !proved.keys.iter().all(is_attested) {
            return Err(ProofError::Proof("this configuration requires a key attestation for every key"));
        }
        for (_, attestation) in &attestations {
            proved.carries(&attestation.nonce);
            proved.add_keys(attestation, most);
            proved.attestations.push(attestation.standing.clone());
        }
        Ok(proved)
    }

    /// Checks the one member of `proofs.attestation`. The keys are the attested ones in their order, `most` at the most.
    pub fn by_attestation(jwt: &str, expected: &Expected<'_>, most: usize) -> Result<Self, ProofError> {
        let attestation = KeyAttestation::verify(jwt, expected.attesters, expected.now)?;
        expected.policy.check(&attestation)?;
        let mut proved = Self::default();
        proved.carries(&attestation.nonce);
        proved.add_keys(&attestation, most);
        if proved.keys.is_empty() {
            return Err(ProofError::Proof("the key attestation holds no key for signatures"));
        }
        proved.attestations.push(attestation.standing);
        Ok(proved)
    }

    fn carries(&mut self, nonce: &str) {
        if !self.nonces.iter().any(|known| known == nonce) {
            self.nonces.push(nonce.to_owned());
        }
    }

    fn add_keys(&mut self, attestation: &KeyAttestation, most: usize) {
        for key in attestation.holder_keys() {
            if self.keys.len() < most && !self.keys.contains(key) {
                self.keys.push(key.clone());
            }
        }
    }
}

/// A `jwt` proof whose signature is checked.
struct Proof {
    key: PublicKey,
    nonce: String,
}

impl Proof {
    /// Checks a proof, and its key attestation unless that one was checked before; usually all proofs of a request carry
    /// the same.
    fn parse(
        jwt: &str,
        expected: &Expected<'_>,
        attestations: &mut Vec<(String, KeyAttestation)>,
    ) -> Result<Self, ProofError> {
        let jws = Jws::parse(jwt, TYPE).map_err(|_| {
            ProofError::Proof("the proof is not a JWT of type openid4vci-proof+jwt signed with ES256 or EdDSA")
        })?;
        let attestation = match jws.header.get("key_attestation") {
            None => None,
            Some(Value::String(attestation)) => Some(known_or_checked(attestation, expected, attestations)?),
            Some(_) => return Err(ProofError::Proof("key_attestation of the proof must be a JWT")),
        };
        let key = header_key(&jws, attestation)?;
        if attestation.is_some_and(|attestation| !attestation.attests(&key)) {
            return Err(ProofError::Proof("the key of the proof is not among the keys of its attestation"));
        }
        let payload = jws.verify(&key).map_err(|_| ProofError::Proof("the signature of the proof is wrong"))?;
        let nonce = check_claims(&payload, expected)?;
        Ok(Self { key, nonce })
    }
}

fn known_or_checked<'a>(
    jwt: &str,
    expected: &Expected<'_>,
    attestations: &'a mut Vec<(String, KeyAttestation)>,
) -> Result<&'a KeyAttestation, ProofError> {
    let known = attestations.iter().position(|(known, _)| known == jwt);
    let place = known.unwrap_or(attestations.len());
    if known.is_none() {
        let attestation = KeyAttestation::verify(jwt, expected.attesters, expected.now)?;
        if !attestation.has_expiry() {
            return Err(ProofError::Proof("the key attestation of a proof must carry exp"));
        }
        expected.policy.check(&attestation)?;
        attestations.push((jwt.to_owned(), attestation));
    }
    Ok(&attestations[place].1)
}

/// Checks the claims of a proof and gives its nonce.
fn check_claims(payload: &Map<String, Value>, expected: &Expected<'_>) -> Result<String, ProofError> {
    let text = |name: &str| payload.get(name).and_then(Value::as_str);
    if text("aud") != Some(expected.audience) {
        return Err(ProofError::Proof("aud of the proof is not the credential issuer identifier"));
    }
    if payload.contains_key("iss") && (expected.client.is_none() || text("iss") != expected.client) {
        return Err(ProofError::Proof("iss of the proof is not the client of the access token"));
    }
    let made_at = payload.get("iat").and_then(Value::as_i64).ok_or(ProofError::Proof("iat of the proof is missing"))?;
    if made_at < expected.now - MAX_AGE_SECONDS || made_at > expected.now + MAX_AHEAD_SECONDS {
        return Err(ProofError::Proof("iat of the proof is too far from now"));
    }
    text("nonce").map(str::to_owned).ok_or(ProofError::Proof("nonce of the proof is missing"))
}

fn header_key(jws: &Jws<'_>, attestation: Option<&KeyAttestation>) -> Result<PublicKey, ProofError> {
    let given = ["jwk", "kid", "x5c"].map(|name| jws.header.get(name));
    match given {
        [Some(jwk), None, None] => PublicKey::from_jwk(jwk)
            .map_err(|_| ProofError::Proof("jwk of the proof is not a public P-256 or Ed25519 key")),
        [None, Some(kid), None] => kid
            .as_str()
            .and_then(|kid| attestation?.named(kid))
            .cloned()
            .ok_or(ProofError::Proof("kid names no key of a key attestation; send the public key as jwk")),
        [None, None, Some(chain)] => {
            let leaf = chain.get(0).and_then(Value::as_str).and_then(|leaf| STANDARD.decode(leaf).ok());
            leaf.and_then(|leaf| x509::public_key(&leaf).ok())
                .ok_or(ProofError::Proof("x5c of the proof holds no usable certificate"))
        }
        _ => Err(ProofError::Proof("the proof's header must carry exactly one of jwk, kid and x5c")),
    }
}
