//! Attestations of wallets and keys, by themselves: every way in which one may be wrong.

use officials_card::credential::attestation::{self, AttestationError, KeyAttestation, KeyPolicy};
use officials_card::credential::client_attestation::{self, ClientAttestation, MAX_POP_AGE_SECONDS};
use officials_card::credential::jws::{self, JwsError};
use officials_card::credential::key::KeyError;
use officials_card::credential::x509::ChainError;
use officials_card::credential::{PublicKey, Signer};
use officials_card::keyring::{FileKey, fresh_p256_jwk};
use serde_json::{Value, json};

use crate::attester::{Attester, key_claims};
use crate::town::NOW;

const SERVER: &str = "https://issuer.example/card";
const WALLET: &str = "https://wallet.example";

fn fresh_key() -> FileKey {
    FileKey::new(&fresh_p256_jwk().unwrap(), Vec::new()).unwrap()
}

/// A wallet instance with what it sends.
struct Instance {
    attester: Attester,
    key: FileKey,
    attestation: Value,
    pop: Value,
}

impl Instance {
    fn new() -> Self {
        let (attester, key) = (Attester::new(NOW), fresh_key());
        let attestation = json!({
            "iss": "https://attester.example", "sub": WALLET, "iat": NOW - 3600, "nbf": NOW - 3600, "exp": NOW + 3600,
            "cnf": {"jwk": key.public_key().to_jwk()}, "wallet_name": "Ví",
        });
        let pop = json!({"iss": WALLET, "aud": SERVER, "iat": NOW, "jti": "j-1", "challenge": "c-1"});
        Self { attester, key, attestation, pop }
    }

    fn attestation(&self) -> String {
        self.attester.sign(client_attestation::TYPE, &self.attestation)
    }

    fn pop_by(&self, key: &FileKey) -> String {
        let header = jws::header(key, client_attestation::POP_TYPE, json!({}));
        jws::sign(key, &header, self.pop.to_string().as_bytes()).unwrap()
    }

    fn verify(&self) -> Result<ClientAttestation, AttestationError> {
        self.verify_with(&self.attestation(), &self.pop_by(&self.key))
    }

    fn verify_with(&self, attestation: &str, pop: &str) -> Result<ClientAttestation, AttestationError> {
        ClientAttestation::verify(attestation, pop, &self.attester.anchors(), SERVER, NOW)
    }

    /// The same with one claim changed, or left out by null.
    fn with(place: &str, name: &str, value: Value) -> Result<ClientAttestation, AttestationError> {
        let mut instance = Self::new();
        let claims = if place == "pop" { &mut instance.pop } else { &mut instance.attestation };
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value;
        }
        instance.verify()
    }
}

/// The same signature with one bit of it changed.
fn spoiled(jwt: &str) -> String {
    let (signed, signature) = jwt.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { "B" } else { "A" };
    format!("{signed}.{first}{}", &signature[1..])
}

#[test]
fn a_wallet_instance_proves_itself() {
    let instance = Instance::new();
    let verified = instance.verify().unwrap();
    assert_eq!(verified.client_id, WALLET);
    assert_eq!(&verified.instance_key, instance.key.public_key());
    assert_eq!((verified.pop_jti.as_str(), verified.challenge.as_deref()), ("j-1", Some("c-1")));
}

#[test]
fn newer_drafts_and_slow_clocks_are_borne() {
    for (place, name, value) in [
        ("attestation", "iss", Value::Null),
        ("attestation", "iat", Value::Null),
        ("attestation", "iat", json!(NOW + 60)),
        ("attestation", "nbf", json!(NOW + 60)),
        ("attestation", "exp", json!(NOW + 1)),
        ("pop", "iss", Value::Null),
        ("pop", "iat", json!(NOW + 60)),
        ("pop", "iat", json!(NOW - MAX_POP_AGE_SECONDS)),
        ("pop", "challenge", Value::Null),
        ("pop", "aud", json!([SERVER])),
        ("pop", "exp", json!(NOW + 1)),
    ] {
        assert!(Instance::with(place, name, value.clone()).is_ok(), "{place} {name} {value}");
    }
    let status = json!({"status_list": {"idx": 7, "uri": "https://attester.example/s/1"}});
    assert!(Instance::with("attestation", "status", status).is_ok(), "it is not looked up");
}

#[test]
fn every_wrong_claim_is_refused() {
    let private = fresh_p256_jwk().unwrap();
    for (place, name, value) in [
        ("attestation", "exp", json!(NOW)),
        ("attestation", "exp", json!(NOW - 600)),
        ("attestation", "exp", Value::Null),
        ("attestation", "exp", json!("tomorrow")),
        ("attestation", "iat", json!(NOW + 61)),
        ("attestation", "nbf", json!(NOW + 61)),
        ("attestation", "sub", Value::Null),
        ("attestation", "sub", json!("")),
        ("attestation", "sub", json!("x".repeat(513))),
        ("attestation", "sub", json!("một")),
        ("attestation", "cnf", Value::Null),
        ("attestation", "cnf", json!({"jkt": "x"})),
        ("attestation", "cnf", json!({"jwk": private})),
        ("pop", "iss", json!("https://another.example")),
        ("pop", "aud", Value::Null),
        ("pop", "aud", json!("https://issuer.example/card/")),
        ("pop", "aud", json!([SERVER, "https://another.example"])),
        ("pop", "aud", json!([])),
        ("pop", "iat", Value::Null),
        ("pop", "iat", json!(NOW + 61)),
        ("pop", "iat", json!(NOW - MAX_POP_AGE_SECONDS - 1)),
        ("pop", "iat", json!(i64::MIN)),
        ("pop", "nbf", json!(NOW + 61)),
        ("pop", "exp", json!(NOW)),
        ("pop", "jti", Value::Null),
        ("pop", "jti", json!(7)),
        ("pop", "challenge", json!([])),
    ] {
        assert!(Instance::with(place, name, value.clone()).is_err(), "{place} {name} {value}");
    }
    assert_eq!(
        Instance::with("attestation", "cnf", json!({"jwk": fresh_p256_jwk().unwrap()})).unwrap_err(),
        AttestationError::Key(KeyError::Private)
    );
    let expired = Instance::with("attestation", "exp", json!(NOW - 600)).unwrap_err();
    assert_eq!(expired, AttestationError::NotValidNow);
}

#[test]
fn every_wrong_signature_is_refused() {
    let instance = Instance::new();
    let (attestation, pop) = (instance.attestation(), instance.pop_by(&instance.key));
    let bad = AttestationError::Jwt(JwsError::BadSignature);
    assert_eq!(instance.verify_with(&spoiled(&attestation), &pop).unwrap_err(), bad);
    assert_eq!(instance.verify_with(&attestation, &spoiled(&pop)).unwrap_err(), bad);
    assert_eq!(instance.verify_with(&attestation, &instance.pop_by(&fresh_key())).unwrap_err(), bad);
    let wrong_type = AttestationError::Jwt(JwsError::WrongType);
    assert_eq!(instance.verify_with(&pop, &attestation).unwrap_err(), wrong_type);
    let other_type = instance.attester.sign(attestation::TYPE, &instance.attestation);
    assert_eq!(instance.verify_with(&other_type, &pop).unwrap_err(), wrong_type);
}

#[test]
fn every_wrong_chain_is_refused() {
    let instance = Instance::new();
    let pop = instance.pop_by(&instance.key);
    let under = |header: Value| {
        let jwt = instance.attester.sign_under(client_attestation::TYPE, &instance.attestation, header);
        instance.verify_with(&jwt, &pop).unwrap_err()
    };
    let chain = jws::x5c(&instance.attester);
    let with_anchor = {
        use base64::Engine;
        let root = base64::engine::general_purpose::STANDARD.encode(instance.attester.root());
        json!([chain[0], chain[1], root])
    };
    assert_eq!(under(json!({})), AttestationError::NoChain);
    assert_eq!(under(json!({"jwk": instance.attester.public_key().to_jwk()})), AttestationError::NoChain);
    assert_eq!(under(json!({"x5c": []})), AttestationError::Chain(ChainError::Malformed));
    assert_eq!(under(json!({"x5c": with_anchor})), AttestationError::Chain(ChainError::AnchorInside));
    assert_eq!(under(json!({"x5c": [chain[0]]})), AttestationError::Chain(ChainError::Untrusted));
    let stranger = Attester::new(NOW);
    let jwt = stranger.sign(client_attestation::TYPE, &instance.attestation);
    assert!(matches!(instance.verify_with(&jwt, &pop).unwrap_err(), AttestationError::Chain(_)));
    let late = ClientAttestation::verify(
        &instance.attestation(),
        &pop,
        &instance.attester.anchors(),
        SERVER,
        NOW + 365 * 86400,
    );
    assert_eq!(late.unwrap_err(), AttestationError::Chain(ChainError::NotValidNow));
}

fn attested(change: impl FnOnce(&mut Value)) -> Result<KeyAttestation, AttestationError> {
    let (attester, one, two) = (Attester::new(NOW), fresh_key(), fresh_key());
    let mut claims = key_claims(&[&one, &two], "nonce", NOW);
    change(&mut claims);
    KeyAttestation::verify(&attester.attest(&claims), &attester.anchors(), NOW)
}

#[test]
fn a_key_attestation_tells_its_keys_and_its_nonce() {
    let read = attested(|_| {}).unwrap();
    assert_eq!((read.keys.len(), read.nonce.as_str(), read.has_expiry()), (2, "nonce", true));
    let without_end = attested(|claims| drop(claims.as_object_mut().unwrap().remove("exp"))).unwrap();
    assert!(!without_end.has_expiry());
    for (name, value) in [
        ("iat", Value::Null),
        ("iat", json!(NOW + 61)),
        ("exp", json!(NOW)),
        ("nonce", Value::Null),
        ("nonce", json!(7)),
        ("attested_keys", Value::Null),
        ("attested_keys", json!([])),
        ("attested_keys", json!([{"kty": "EC"}])),
        ("attested_keys", json!([fresh_p256_jwk().unwrap()])),
        ("attested_keys", json!(vec![fresh_key().public_key().to_jwk(); 2])),
        ("key_storage", json!([])),
        ("key_storage", json!("iso_18045_high")),
        ("key_storage", json!([7])),
        ("user_authentication", json!(vec!["x"; 17])),
    ] {
        let refused = attested(|claims| claims[name] = value.clone());
        assert!(refused.is_err(), "{name} {value}");
    }
    let many: Vec<_> = (0..101).map(|_| fresh_key().public_key().to_jwk()).collect();
    assert!(attested(|claims| claims["attested_keys"] = json!(many)).is_err());
    let attester = Attester::new(NOW);
    let jwt = attester.sign("JWT", &key_claims(&[&fresh_key()], "nonce", NOW));
    let refused = KeyAttestation::verify(&jwt, &attester.anchors(), NOW).unwrap_err();
    assert_eq!(refused, AttestationError::Jwt(JwsError::WrongType));
}

#[test]
fn a_kid_names_a_key_by_its_own_kid_its_thumbprint_or_its_place() {
    use base64::Engine;
    let named = |key: &PublicKey, kid: &str| {
        let mut jwk = key.to_jwk();
        jwk["kid"] = json!(kid);
        jwk
    };
    let (one, two) = (fresh_key(), fresh_key());
    let (one, two) = (one.public_key(), two.public_key());
    let read = attested(|claims| claims["attested_keys"] = json!([named(one, "a"), named(two, "0")])).unwrap();
    let thumbprint = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(one.thumbprint());
    for (kid, key) in [
        ("a", Some(one)),
        ("0", Some(two)),
        ("1", Some(two)),
        (thumbprint.as_str(), Some(one)),
        ("2", None),
        ("", None),
    ] {
        assert_eq!(read.named(kid), key, "{kid}");
    }
    let read = attested(|claims| claims["attested_keys"] = json!([named(one, "a"), named(two, "a")])).unwrap();
    assert_eq!(read.named("a"), None, "two keys of one name are no name");
    let mut for_encryption = two.to_jwk();
    for_encryption["use"] = json!("enc");
    let read = attested(|claims| claims["attested_keys"] = json!([one.to_jwk(), for_encryption])).unwrap();
    assert_eq!(read.holder_keys().collect::<Vec<_>>(), [one]);
}

#[test]
fn levels_are_compared_by_what_they_resist() {
    let [high, moderate, enhanced, basic] =
        ["iso_18045_high", "iso_18045_moderate", "iso_18045_enhanced-basic", "iso_18045_basic"];
    let own = "https://levels.example/3";
    let strings = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
    let storage = |asked: &[&str], given: &[&str]| {
        let attestation = attested(|claims| match given {
            [] => drop(claims.as_object_mut().unwrap().remove("key_storage")),
            given => claims["key_storage"] = json!(given),
        });
        KeyPolicy::required(&strings(asked), &[]).check(&attestation.unwrap()).is_ok()
    };
    let person = |asked: &[&str], given: &[&str]| {
        let attestation = attested(|claims| claims["user_authentication"] = json!(given)).unwrap();
        KeyPolicy::required(&[], &strings(asked)).check(&attestation).is_ok()
    };
    for (asked, given, is_enough) in [
        (high, high, true),
        (high, moderate, false),
        (moderate, high, true),
        (moderate, enhanced, false),
        (enhanced, moderate, true),
        (enhanced, basic, false),
        (basic, enhanced, true),
        (high, "ISO_18045_HIGH", false),
        (own, own, true),
        (own, high, false),
        (basic, own, false),
    ] {
        assert_eq!(storage(&[asked], &[given]), is_enough, "{asked} {given}");
        assert_eq!(person(&[asked], &[given]), is_enough, "{asked} {given}");
    }
    // One storage has several certificates; several ways to unlock are as weak as the weakest.
    assert!(storage(&[moderate], &[basic, high]));
    assert!(!person(&[moderate], &[basic, high]));
    assert!(person(&[moderate, own], &[own, high]));
    assert!(!storage(&[high], &[]));
    assert!(storage(&[], &[]));
    let policy = KeyPolicy::required(&strings(&[moderate, own]), &[]);
    assert_eq!(policy.metadata(), Some(json!({"key_storage": [high, moderate, own]})));
    assert_eq!(KeyPolicy::required(&[], &[]).metadata(), Some(json!({})));
    assert_eq!(KeyPolicy::default().metadata(), None);
}
