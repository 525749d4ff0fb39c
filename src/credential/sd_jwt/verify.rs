//! Verifying, in the order of the verification dossier's section 3 (S1 to S14). Status comes after, by the caller.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use super::{ALWAYS_PLAIN, KEY_BINDING_TYPE, TYPE, digest};
use crate::clock::UnixSeconds;
use crate::credential::jws::{Jws, JwsError};
use crate::credential::status_list::StatusReference;
use crate::credential::trust_list::{Purpose, TrustList};
use crate::credential::x509::{Anchors, ChainError, Use};
use crate::credential::{PublicKey, json};

/// The longest presentation that is looked at, in bytes: a card with a portrait of 64 KiB fits.
pub const MAX_LENGTH: usize = 256 * 1024;
/// The most disclosures that are looked at.
pub const MAX_DISCLOSURES: usize = 200;
/// How far two clocks may differ.
pub const CLOCK_SKEW_SECONDS: i64 = 60;
/// How old a key binding may be.
pub const MAX_BINDING_AGE_SECONDS: i64 = 300;

/// Why a presentation is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// Not `<JWT>~…`, or beyond a bound.
    #[error("not an SD-JWT presentation")]
    Malformed,
    /// The issuer's JWT.
    #[error("issuer JWT: {0}")]
    Issuer(JwsError),
    /// The issuer's certificates.
    #[error("issuer certificates: {0}")]
    Chain(ChainError),
    /// `_sd_alg` is not sha-256.
    #[error("the digest algorithm is not supported")]
    DigestAlgorithm,
    /// A disclosure is malformed, repeated, unreferenced, or names what may not be disclosed that way.
    #[error("a disclosure does not belong to the credential")]
    Disclosure,
    /// Before `nbf` or `iat`.
    #[error("the credential is not valid yet")]
    NotYetValid,
    /// After `exp`, or `exp` is missing.
    #[error("the credential has expired")]
    Expired,
    /// The credential is of another type.
    #[error("the credential is of another type")]
    OtherType,
    /// `cnf.jwk` is missing or no key of ours.
    #[error("the credential names no usable holder key")]
    NoHolderKey,
    /// No key binding JWT.
    #[error("the holder's proof is missing")]
    NoBinding,
    /// The key binding JWT.
    #[error("holder's proof: {0}")]
    Binding(JwsError),
    /// The proof is for another presentation (`sd_hash`), verifier (`aud`) or question (`nonce`): the claim that says so.
    #[error("the holder's proof belongs to another request: {0}")]
    OtherRequest(&'static str),
    /// The proof is too old or from the future.
    #[error("the holder's proof is not fresh")]
    Stale {
        /// When it says it was made; 0 when it does not say.
        made_at: UnixSeconds,
    },
}

/// A presentation, taken apart but not yet trusted.
#[derive(Debug)]
pub struct Presentation<'a> {
    issuer_jwt: &'a str,
    disclosures: Vec<&'a str>,
    key_binding: Option<&'a str>,
    /// All up to and including the last `~`: what `sd_hash` is over.
    bound: &'a str,
}

/// A card whose issuer, disclosures, type and validity are proved.
#[derive(Debug)]
pub struct VerifiedCard<'a> {
    /// The key that signed it, led back to an anchor.
    pub issuer: PublicKey,
    /// Always visible and disclosed claims together; `_sd` and `_sd_alg` are gone.
    pub claims: Map<String, Value>,
    /// The holder's key; always there when the rules wanted one.
    pub holder: Option<PublicKey>,
    /// Where its status stands.
    pub status: Option<StatusReference>,
    key_binding: Option<&'a str>,
    bound: &'a str,
}

/// What is asked of a card beside its issuer's signature.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The types, any of which will do.
    pub types: &'a [String],
    /// Whether a card without `exp` is refused: one of our own always has it.
    pub expires: bool,
    /// Whether a card without a usable `cnf.jwk` is refused.
    pub names_holder: bool,
}

impl<'a> Presentation<'a> {
    /// Takes the text apart. A card as issued ends with `~`; a presentation may end with a key binding JWT.
    pub fn parse(text: &'a str) -> Result<Self, CardError> {
        if text.len() > MAX_LENGTH || !text.is_ascii() {
            return Err(CardError::Malformed);
        }
        let (bound, key_binding) = text.rsplit_once('~').ok_or(CardError::Malformed)?;
        let mut parts = bound.split('~');
        let issuer_jwt = parts.next().ok_or(CardError::Malformed)?;
        let disclosures: Vec<_> = parts.collect();
        if disclosures.len() > MAX_DISCLOSURES || disclosures.iter().any(|part| part.is_empty()) {
            return Err(CardError::Malformed);
        }
        Ok(Self {
            issuer_jwt,
            disclosures,
            key_binding: (!key_binding.is_empty()).then_some(key_binding),
            bound: &text[..=bound.len()],
        })
    }

    /// Where the status stands according to the payload, before anything is proved.
    pub fn claimed_status(&self) -> Option<StatusReference> {
        let jws = Jws::parse(self.issuer_jwt, TYPE).ok()?;
        StatusReference::from_json(jws.claimed("status")?)
    }

    /// The type and the certificates that the card names, before anything is proved: to find whom to trust.
    pub fn claimed_issuer(&self) -> Result<(String, Vec<Vec<u8>>), CardError> {
        let jws = Jws::parse(self.issuer_jwt, TYPE).map_err(CardError::Issuer)?;
        let vct = jws.claimed("vct").and_then(Value::as_str).ok_or(CardError::OtherType)?.to_owned();
        Ok((vct, jws.certificates().ok_or(CardError::Chain(ChainError::Malformed))?))
    }

    /// Whether a key binding JWT came along.
    pub fn is_bound(&self) -> bool {
        self.key_binding.is_some()
    }

    /// Proves issuer, disclosures, type and validity of one of our own cards.
    pub fn verify(self, anchors: &Anchors, vct: &str, now: UnixSeconds) -> Result<VerifiedCard<'a>, CardError> {
        let jws = Jws::parse(self.issuer_jwt, TYPE).map_err(CardError::Issuer)?;
        let chain = jws.certificates().ok_or(CardError::Chain(ChainError::Malformed))?;
        let issuer = anchors.check(&chain, Use::Cards, now).map_err(CardError::Chain)?;
        let rules = Rules { types: &[vct.to_owned()], expires: true, names_holder: true };
        self.verify_by(issuer, &rules, now)
    }

    /// Proves that `issuer`, whom the caller trusts, has signed the card, and disclosures, type and validity.
    pub fn verify_by(
        self,
        issuer: PublicKey,
        rules: &Rules<'_>,
        now: UnixSeconds,
    ) -> Result<VerifiedCard<'a>, CardError> {
        let jws = Jws::parse(self.issuer_jwt, TYPE).map_err(CardError::Issuer)?;
        let mut payload = jws.verify(&issuer).map_err(CardError::Issuer)?;

        if payload.remove("_sd_alg").is_some_and(|name| name != "sha-256") {
            return Err(CardError::DigestAlgorithm);
        }
        let mut disclosures = Disclosures::new(&self.disclosures)?;
        let plain: Vec<_> = ALWAYS_PLAIN.into_iter().map(|name| payload.get(name).cloned()).collect();
        let mut claims = disclosures.open(payload, true)?;
        // Neither these claims nor any part of them may be disclosed selectively.
        let same = ALWAYS_PLAIN.into_iter().zip(&plain).all(|(name, plain)| claims.get(name) == plain.as_ref());
        if !same || !disclosures.waiting.is_empty() {
            return Err(CardError::Disclosure);
        }

        let instant = |name: &str| claims.get(name).map(|value| value.as_i64().ok_or(CardError::Malformed)).transpose();
        let starts_at = instant("nbf")?.into_iter().chain(instant("iat")?).max().unwrap_or(now);
        if now.saturating_add(CLOCK_SKEW_SECONDS) < starts_at {
            return Err(CardError::NotYetValid);
        }
        let ends_at = match instant("exp")? {
            None if rules.expires => return Err(CardError::Expired),
            ends_at => ends_at.unwrap_or(UnixSeconds::MAX),
        };
        if now >= ends_at.saturating_add(CLOCK_SKEW_SECONDS) {
            return Err(CardError::Expired);
        }
        if !claims.get("vct").is_some_and(|vct| rules.types.iter().any(|wanted| *vct == wanted.as_str())) {
            return Err(CardError::OtherType);
        }
        let holder = match claims.get("cnf") {
            None if !rules.names_holder => None,
            cnf => {
                let jwk = cnf.and_then(|cnf| cnf.get("jwk")).ok_or(CardError::NoHolderKey)?;
                Some(PublicKey::from_jwk(jwk).map_err(|_| CardError::NoHolderKey)?)
            }
        };
        let status = claims.get("status").map(|status| StatusReference::from_json(status).ok_or(CardError::Malformed));
        let status = status.transpose()?;
        claims.remove("cnf");
        claims.remove("status");
        Ok(VerifiedCard { issuer, claims, holder, status, key_binding: self.key_binding, bound: self.bound })
    }
}

/// Why our trust list does not stand behind one of our own cards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotListed {
    /// No key of issuers is the card's.
    Key,
    /// The key belongs to another issuer than the card says.
    Issuer,
    /// The key might not sign when the card was signed.
    Then,
    /// The key's cards may not name this status list.
    StatusList,
    /// The key may not speak for the agency that the card shows.
    Agency,
}

impl VerifiedCard<'_> {
    /// Whether our trust list stands behind the card: its certificates lead to the root, but only the list can bound and
    /// retire a key.
    pub fn check_listed(&self, list: &TrustList) -> Result<(), NotListed> {
        let known = list.keys.iter().find(|key| key.key == self.issuer && key.purposes.contains(&Purpose::Issuer));
        let key = known.ok_or(NotListed::Key)?;
        if self.claims.get("iss").and_then(Value::as_str) != Some(&key.issuer) {
            return Err(NotListed::Issuer);
        }
        let issued_at = self.claims.get("iat").and_then(Value::as_i64);
        if !issued_at.is_some_and(|at| key.may_sign_at(at)) {
            return Err(NotListed::Then);
        }
        if self.status.as_ref().is_some_and(|status| !key.may_name(&status.uri)) {
            return Err(NotListed::StatusList);
        }
        // Whose official somebody is counts only from a key that may say so; a card that does not show it says nothing.
        let agency = self.claims.get("employing_agency");
        if agency.is_some_and(|agency| !key.may_speak_for(agency.get("code").and_then(Value::as_str))) {
            return Err(NotListed::Agency);
        }
        Ok(())
    }

    /// Proves that the holder of the key made this presentation for `audience` and `nonce`, just now. A presentation
    /// without proof is never accepted. Returns when the proof was made.
    pub fn check_binding(&self, audience: &str, nonce: &str, now: UnixSeconds) -> Result<UnixSeconds, CardError> {
        self.check_binding_since(UnixSeconds::MIN, audience, nonce, now)
    }

    /// The same for a question that was asked at `asked_at`: nobody can have answered it before.
    pub fn check_binding_since(
        &self,
        asked_at: UnixSeconds,
        audience: &str,
        nonce: &str,
        now: UnixSeconds,
    ) -> Result<UnixSeconds, CardError> {
        let jws =
            Jws::parse(self.key_binding.ok_or(CardError::NoBinding)?, KEY_BINDING_TYPE).map_err(CardError::Binding)?;
        let holder = self.holder.as_ref().ok_or(CardError::NoHolderKey)?;
        let payload = jws.verify(holder).map_err(CardError::Binding)?;
        let text = |name: &str| payload.get(name).and_then(Value::as_str).unwrap_or_default();
        for (name, expected) in [("aud", audience), ("nonce", nonce), ("sd_hash", &digest(self.bound))] {
            // What is missing is the empty text here, which is never the answer to a question.
            if expected.is_empty() || !bool::from(text(name).as_bytes().ct_eq(expected.as_bytes())) {
                return Err(CardError::OtherRequest(name));
            }
        }
        let instant = |name: &str, otherwise| match payload.get(name) {
            None => Some(otherwise),
            Some(value) => value.as_i64(),
        };
        let made_at = payload.get("iat").and_then(Value::as_i64).unwrap_or_default();
        let stale = CardError::Stale { made_at };
        let start = instant("nbf", UnixSeconds::MIN).ok_or(stale)?;
        let end = instant("exp", UnixSeconds::MAX).ok_or(stale)?.saturating_add(CLOCK_SKEW_SECONDS);
        let oldest = now.saturating_sub(MAX_BINDING_AGE_SECONDS).max(asked_at.saturating_sub(CLOCK_SKEW_SECONDS));
        let newest = now.saturating_add(CLOCK_SKEW_SECONDS);
        if (oldest..=newest.min(end)).contains(&made_at) && now <= end && start <= newest {
            Ok(made_at)
        } else {
            Err(stale)
        }
    }
}

/// The disclosures that no digest has referred to yet, by digest.
struct Disclosures {
    waiting: HashMap<String, Vec<Value>>,
    seen: std::collections::HashSet<String>,
}

impl Disclosures {
    fn new(encoded: &[&str]) -> Result<Self, CardError> {
        let mut waiting = HashMap::with_capacity(encoded.len());
        for text in encoded {
            let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| CardError::Disclosure)?;
            let Ok(Value::Array(parts)) = json::parse(&bytes) else { return Err(CardError::Disclosure) };
            let well_formed = match parts.as_slice() {
                [Value::String(_), Value::String(name), _] => name != "_sd" && name != "...",
                [Value::String(_), _] => true,
                _ => false,
            };
            if !well_formed || waiting.insert(digest(text), parts).is_some() {
                return Err(CardError::Disclosure);
            }
        }
        Ok(Self { waiting, seen: std::collections::HashSet::new() })
    }

    /// Takes the disclosure of a digest, which may stand in the credential only once.
    fn take(&mut self, digest: &Value) -> Result<Option<Vec<Value>>, CardError> {
        let digest = digest.as_str().ok_or(CardError::Disclosure)?;
        if !self.seen.insert(digest.to_owned()) {
            return Err(CardError::Disclosure);
        }
        Ok(self.waiting.remove(digest))
    }

    fn open(&mut self, mut object: Map<String, Value>, top: bool) -> Result<Map<String, Value>, CardError> {
        let digests = match object.remove("_sd") {
            Some(Value::Array(digests)) => digests,
            Some(_) => return Err(CardError::Disclosure),
            None => Vec::new(),
        };
        let mut opened = Map::new();
        for (name, value) in object {
            if name == "..." {
                return Err(CardError::Disclosure);
            }
            opened.insert(name, self.open_value(value)?);
        }
        for digest in &digests {
            let Some(parts) = self.take(digest)? else { continue };
            let Ok([_, Value::String(name), value]) = <[Value; 3]>::try_from(parts) else {
                return Err(CardError::Disclosure);
            };
            if opened.contains_key(&name) || (top && ALWAYS_PLAIN.contains(&name.as_str())) {
                return Err(CardError::Disclosure);
            }
            let value = self.open_value(value)?;
            opened.insert(name, value);
        }
        Ok(opened)
    }

    fn open_value(&mut self, value: Value) -> Result<Value, CardError> {
        match value {
            Value::Object(object) => Ok(Value::Object(self.open(object, false)?)),
            Value::Array(items) => {
                let mut opened = Vec::with_capacity(items.len());
                for item in items {
                    let placeholder = item.as_object().filter(|object| object.contains_key("..."));
                    let Some(placeholder) = placeholder else {
                        opened.push(self.open_value(item)?);
                        continue;
                    };
                    if placeholder.len() != 1 {
                        return Err(CardError::Disclosure);
                    }
                    if let Some(parts) = self.take(&placeholder["..."])? {
                        let Ok([_, value]) = <[Value; 2]>::try_from(parts) else { return Err(CardError::Disclosure) };
                        opened.push(self.open_value(value)?);
                    }
                }
                Ok(Value::Array(opened))
            }
            plain => Ok(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// RFC 9901 section 5: the disclosures of the main example and the digests that its payload gives them.
    #[test]
    fn the_rfcs_disclosures_have_the_rfcs_digests() {
        let given_name = "WyIyR0xDNDJzS1F2ZUNmR2ZyeU5STjl3IiwgImdpdmVuX25hbWUiLCAiSm9obiJd";
        let us = "WyJsa2x4RjVqTVlsR1RQVW92TU5JdkNBIiwgIlVTIl0";
        assert_eq!(digest(given_name), "jsu9yVulwQQlhFlM_3JlzMaSFzglhQG0DpfayQwLUK4");
        assert_eq!(digest(us), "pFndjkZ_VCzmyTa6UjlZo3dh-ko8aIKQc9DlGzhaVYo");

        let mut disclosures = Disclosures::new(&[given_name, us]).unwrap();
        let payload = json!({
            "_sd": ["jsu9yVulwQQlhFlM_3JlzMaSFzglhQG0DpfayQwLUK4", "CrQe7S5kqBAHt-nMYXgc6bdt2SH5aTY1sU_M-PgkjPI"],
            "nationalities": [
                {"...": "pFndjkZ_VCzmyTa6UjlZo3dh-ko8aIKQc9DlGzhaVYo"},
                {"...": "7Cf6JkPudry3lcbwHgeZ8khAv1U1OSlerP0VkBJrWZ0"},
            ],
        });
        let Value::Object(payload) = payload else { unreachable!() };
        let opened = disclosures.open(payload, true).unwrap();
        assert_eq!(Value::Object(opened), json!({"given_name": "John", "nationalities": ["US"]}));
    }

    #[test]
    fn disclosures_that_do_not_belong_are_refused() {
        let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        for bad in [json!(["s"]), json!(["s", "_sd", 1]), json!(["s", "...", 1]), json!([1, "a", 1]), json!({})] {
            assert!(Disclosures::new(&[&encode(bad)]).is_err());
        }
        let one = encode(json!(["s", "exp", 1]));
        assert!(Disclosures::new(&[&one, &one]).is_err());
        let open = |payload: Value| {
            let Value::Object(payload) = payload else { unreachable!() };
            Disclosures::new(&[&one]).unwrap().open(payload, true)
        };
        assert!(open(json!({"_sd": [digest(&one)]})).is_err(), "exp may not be disclosed");
        let nested = open(json!({"a": {"_sd": [digest(&one)], "exp": 2}}));
        assert!(nested.is_err(), "a claim may not stand twice");
        assert!(open(json!({"_sd": ["x", "x"]})).is_err(), "a digest may not stand twice");
    }
}
