//! Parsers of what strangers send never panic, whatever they are sent, and keep their bounds. (Those of the QR code have
//! their properties at the foot of their own files.)

use std::sync::OnceLock;

use officials_card::chance::Chance;
use officials_card::credential::agencies::AgencyNames;
use officials_card::credential::attestation::{KeyAttestation, KeyPolicy};
use officials_card::credential::client_attestation::ClientAttestation;
use officials_card::credential::dpop::{self, DpopProof};
use officials_card::credential::gate::SignedGate;
use officials_card::credential::jwe::{ENCS, Recipient};
use officials_card::credential::jws::{self, Jws};
use officials_card::credential::nonce::{LIFETIME_SECONDS, Nonces};
use officials_card::credential::proof::{Expected, Proved};
use officials_card::credential::receipt::{self, Confirmation, Found};
use officials_card::credential::sd_jwt::{self, Presentation};
use officials_card::credential::wallet_token::{Kind, WalletTokens};
use officials_card::credential::x509::{Anchors, MAX_CHAIN, Use, pem_certificates};
use officials_card::credential::{PublicKey, Signer, json, key};
use officials_card::keyring::{DecryptionKey, FileKey, fresh_p256_jwk};
use officials_card::model::id::{Handle, PersonalNumber};
use officials_card::protocol::authorize::PushedRequest;
use officials_card::protocol::oauth::TokenRequest;
use officials_card::protocol::oid4vci::{CredentialRequest, Notification, ResponseEncryption, offer_link};
use proptest::prelude::*;
use serde_json::{Value, json};

/// JSON of every shape, with the member names that parsers look for.
fn any_json() -> impl Strategy<Value = Value> {
    let names = "alg|typ|x5c|jwk|kid|kty|crv|x|y|d|_sd|\\.\\.\\.|_sd_alg|exp|iat|nonce|aud|cnf|status|proofs|jwt|attestation|key_attestation|attested_keys|key_storage|credential_response_encryption|enc|zip|credential_configuration_id|notification_id|event|[a-z]{0,3}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "ES256|EdDSA|EC|OKP|P-256|Ed25519|dc\\+sd-jwt|\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(names, inner, 0..6).prop_map(|members| json!(members)),
        ]
    })
}

/// Every way in which a holder's or a wallet's JWT is read. Nobody trusted signed anything here.
fn prove(jwt: &str) {
    let (nobody, policy) = (Anchors::default(), KeyPolicy::required(&[], &[]));
    for policy in [KeyPolicy::default(), policy] {
        let expected =
            Expected { audience: "https://issuer.example", client: None, attesters: &nobody, policy: &policy, now: 0 };
        assert!(Proved::by_jwt(&[jwt.to_owned()], &expected, 10).is_err());
        assert!(Proved::by_attestation(jwt, &expected, 10).is_err());
    }
    assert!(KeyAttestation::verify(jwt, &nobody, 0).is_err());
    assert!(ClientAttestation::verify(jwt, jwt, &nobody, "https://issuer.example", 0).is_err());
}

fn read_request(bytes: &[u8]) {
    if let Ok(request) = CredentialRequest::parse(bytes) {
        let _ = request.response_encryption();
        if let Ok(proofs) = request.proofs(10) {
            assert!((1..=10).contains(&proofs.texts().len()));
        }
    }
}

fn envelope_key() -> &'static DecryptionKey {
    static KEY: OnceLock<DecryptionKey> = OnceLock::new();
    KEY.get_or_init(|| DecryptionKey::new(&fresh_p256_jwk().unwrap()).unwrap())
}

/// A device's or a wallet's own key.
fn own_key() -> &'static FileKey {
    static KEY: OnceLock<FileKey> = OnceLock::new();
    KEY.get_or_init(|| FileKey::new(&fresh_p256_jwk().unwrap(), Vec::new()).unwrap())
}

/// What somebody signs with a key that they name themselves.
fn self_signed(typ: &str, payload: &Value) -> String {
    let key = own_key();
    let header = jws::header(key, typ, json!({"jwk": key.public_key().to_jwk()}));
    jws::sign(key, &header, payload.to_string().as_bytes()).unwrap()
}

/// Members with some of their values replaced.
fn with_members(mut good: Value, others: &Value, names: &[&str]) -> Value {
    let others: Vec<_> = others.as_object().map(|members| members.values().cloned().collect()).unwrap_or_default();
    for (name, other) in names.iter().zip(others) {
        good[*name] = other;
    }
    good
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn text_of_any_kind(text in "\\PC{0,200}", more in "[A-Za-z0-9_.~-]{0,200}") {
        for text in [&text, &more] {
            let _ = Jws::parse_any_type(text);
            let _ = Presentation::parse(text).map(|card| card.verify(&Anchors::default(), "x", 0));
            prove(text);
            let _ = Anchors::from_pem(text);
            let _ = Handle::parse(text);
            let _ = sd_jwt::select(text, |_| true);
            prop_assert!(offer_link(text).is_ascii());
            if let Some(number) = PersonalNumber::parse(text) {
                let printed = format!("{number:?}");
                prop_assert!(!printed.contains(text.as_str()));
            }
        }
    }

    #[test]
    fn bytes_of_any_kind(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = json::parse(&bytes);
        read_request(&bytes);
        let _ = Notification::parse(&bytes);
        let _ = PublicKey::p256(&bytes);
        let _ = PublicKey::ed25519(&bytes);
        let chain = vec![bytes.clone(); 1 + bytes.len() % (MAX_CHAIN + 2)];
        prop_assert!(Anchors::new(vec![bytes.clone()]).check(&chain, Use::Cards, 0).is_err());
        let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----", base64(&bytes));
        let _ = pem_certificates(&pem);
    }

    #[test]
    fn json_of_any_shape(header in any_json(), payload in any_json(), disclosures in prop::collection::vec(any_json(), 0..4)) {
        let part = |value: &Value| base64(value.to_string().as_bytes());
        let jwt = format!("{}.{}.{}", part(&header), part(&payload), base64(&[0; 64]));
        if let Ok(jws) = Jws::parse_any_type(&jwt) {
            let _ = jws.certificates();
            let key = PublicKey::ed25519(&[9; 32]).or_else(|_| PublicKey::ed25519(&[3; 32]));
            if let Ok(key) = key {
                prop_assert!(jws.verify(&key).is_err(), "nobody signed it");
            }
        }
        let parts: Vec<_> = disclosures.iter().map(part).collect();
        let presentation = format!("{jwt}~{}~{jwt}", parts.join("~"));
        let _ = Presentation::parse(&presentation).map(|card| card.verify(&Anchors::default(), "x", 0));
        prove(&jwt);
        let _ = PublicKey::from_jwk(&header);
        let mut request = payload.clone();
        if let Some(members) = request.as_object_mut() {
            members.insert("credential_configuration_id".into(), json!("official-card-sdjwt"));
        }
        read_request(request.to_string().as_bytes());
        if let Some(request) = payload.as_object() {
            let _ = ResponseEncryption::of(request);
        }
        let _ = Notification::parse(payload.to_string().as_bytes());
    }

    #[test]
    fn what_is_under_our_mac_is_ours(text in "\\PC{0,80}|[A-Za-z0-9_-]{50,130}", bytes in prop::collection::vec(any::<u8>(), 96), now in any::<i64>(), flip in 0_usize..54) {
        let (nonces, tokens) = (Nonces::new(&[1; 32], "c_nonce"), WalletTokens::new(&[1; 32]));
        let forged = [text, base64(&bytes), base64(&bytes[..40])];
        for text in &forged {
            prop_assert_eq!(nonces.check(text, now), None);
            for kind in [Kind::Access, Kind::Refresh] {
                prop_assert_eq!(tokens.read(kind, text, now), None);
            }
        }
        let mut nonce = nonces.issue(&Chance::seeded([3; 32]), 1_000).into_bytes();
        prop_assert_eq!(nonces.check(std::str::from_utf8(&nonce).unwrap(), 1_000), Some(1_000 + LIFETIME_SECONDS));
        nonce[flip] = if nonce[flip] == b'A' { b'B' } else { b'A' };
        prop_assert_eq!(nonces.check(std::str::from_utf8(&nonce).unwrap(), 1_000), None);
    }

    #[test]
    fn what_a_key_says_of_itself_is_bounded(payload in any_json(), text in "\\PC{0,120}", now in any::<i32>(), order in prop::sample::subsequence(vec!["htm", "htu", "iat", "jti", "ath", "nonce"], 0..4), device in prop::sample::subsequence(vec!["iss", "checked_at", "outcome", "reasons", "code_hash", "edition", "gate"], 0..4)) {
        let target = dpop::Target { method: "POST", url: "https://card.example.vn/token", token: None };
        let good = json!({"htm": "POST", "htu": target.url, "iat": now, "jti": "one"});
        let now = i64::from(now);
        prop_assert!(DpopProof::verify(&self_signed(dpop::TYPE, &good), &target, now).is_ok());
        for payload in [&payload, &with_members(good, &payload, &order)] {
            if let Ok(proof) = DpopProof::verify(&self_signed(dpop::TYPE, payload), &target, now) {
                prop_assert!(proof.id.len() <= 1_000 && proof.nonce.is_none_or(|nonce| nonce.len() <= 1_000));
            }
        }
        let iss = base64(&own_key().public_key().thumbprint());
        let good = json!({"iss": iss, "checked_at": now, "outcome": "not-valid", "reasons": ["expired"], "code_hash": receipt::code_hash("x"), "edition": 1});
        prop_assert!(Found::from_jws(&self_signed(receipt::DEVICE_TYPE, &good)).is_ok());
        for payload in [&payload, &with_members(good, &payload, &device)] {
            if let Ok(found) = Found::from_jws(&self_signed(receipt::DEVICE_TYPE, payload)) {
                prop_assert!(found.reasons.len() <= 16 && found.reasons.iter().all(|code| code.len() <= 64));
            }
            prop_assert!(Confirmation::open(&self_signed(receipt::ISSUER_TYPE, payload), &Anchors::default()).is_err());
        }
        prop_assert!(DpopProof::verify(&text, &target, now).is_err() && Found::from_jws(&text).is_err());
        prop_assert!(Confirmation::open(&text, &Anchors::default()).is_err());
    }

    #[test]
    fn documents_of_checkpoints_that_nobody_signed(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let key = || Some(own_key().public_key().clone());
        prop_assert!(SignedGate::open(&bytes, |_| key()).is_err());
        prop_assert!(AgencyNames::open(&bytes, |_| key()).is_err());
    }

    #[test]
    fn envelopes_of_any_kind(header in any_json(), iv in 0_usize..20, tag in 0_usize..20, rest in "[A-Za-z0-9_.-]{0,80}", noise in "\\PC{0,80}") {
        let key = envelope_key();
        let part = |length: usize| base64(&vec![0; length]);
        let mut known = json!({"alg": "ECDH-ES", "enc": "A128GCM", "zip": "DEF", "kid": key.public_jwk()["kid"], "epk": key.public_jwk()});
        if let (Some(known), Some(header)) = (known.as_object_mut(), header.as_object()) {
            known.extend(header.clone());
        }
        for header in [&header, &known] {
            let jwe = format!("{}..{}.{rest}.{}", base64(header.to_string().as_bytes()), part(iv), part(tag));
            prop_assert!(key.open(&jwe, 1024).is_err());
        }
        prop_assert!(key.open(&noise, 1024).is_err());
        let _ = Recipient::new(&header, "A128GCM", true);
        let _ = DecryptionKey::new(&header);
    }

    #[test]
    fn what_is_sealed_is_opened(content in prop::collection::vec(any::<u8>(), 0..300), compress in any::<bool>(), enc in prop::sample::select(&ENCS[..])) {
        let key = envelope_key();
        let sealed = Recipient::new(key.public_jwk(), enc, compress).unwrap().seal(&content).unwrap();
        prop_assert_eq!(key.open(&sealed, 300).unwrap(), &content[..]);
        if let Some(limit) = content.len().checked_sub(1) {
            prop_assert!(key.open(&sealed, limit).is_err());
        }
    }

    #[test]
    fn forms_of_any_kind(form in prop::collection::vec(("grant_type|scope|client_assertion|\\PC{0,8}", "\\PC{0,40}"), 0..6)) {
        let _ = TokenRequest::parse(form.clone(), None);
        let _ = PushedRequest::parse(form, None);
    }

    #[test]
    fn keys_come_back_as_they_went(seed in any::<[u8; 32]>()) {
        let public = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key();
        let key = PublicKey::ed25519(public.as_bytes()).unwrap();
        prop_assert_eq!(&PublicKey::from_jwk(&key.to_jwk()).unwrap(), &key);
        prop_assert_eq!(&PublicKey::from_cose(&key.to_cose()).unwrap(), &key);
    }
}

#[test]
fn what_is_too_long_is_not_looked_at() {
    let long = "a".repeat(jws::MAX_LENGTH + 1);
    assert_eq!(Jws::parse_any_type(&long).unwrap_err(), jws::JwsError::Malformed);
    assert_eq!(Presentation::parse(&format!("{long}~")).unwrap_err(), sd_jwt::CardError::Malformed);
    let many = format!("a.b.c~{}", "x~".repeat(201));
    assert_eq!(Presentation::parse(&many).unwrap_err(), sd_jwt::CardError::Malformed);
    assert_eq!(PublicKey::ed25519(&[0; 31]).unwrap_err(), key::KeyError::Malformed);
}
