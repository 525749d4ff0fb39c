//! The published vectors of the QR code: every file of `tests/vectors/qr/` is replayed against the verifier and made
//! again from its inputs. `UPDATE_VECTORS=1` writes the files anew. The keys are made from known seeds and are for
//! nothing else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ed25519_dalek::Signer as _;
use officials_card::clock::UnixSeconds;
use officials_card::credential::cbor::{self, Map, Value};
use officials_card::credential::cose::{self, Sign1};
use officials_card::credential::cwt::{self, Identity, Photo, QrClaims};
use officials_card::credential::qr::{self, Challenge};
use officials_card::credential::status_list::{Band, StatusReference};
use officials_card::credential::symbol::{Ecc, Symbol};
use officials_card::credential::trust_list::{Purpose, TrustList, TrustedKey};
use officials_card::credential::verify::{Context, StatusAnswer, StatusSource, verify_qr};
use officials_card::credential::{Algorithm, PublicKey, Signer};
use officials_card::error::Fault;
use officials_card::model::gate::GatePolicy;
use serde_json::{Value as Json, json};

const ISSUED_AT: UnixSeconds = 1_790_000_000;
const EXPIRES_AT: UnixSeconds = ISSUED_AT + 365 * 86_400;
const NOW: UnixSeconds = 1_795_300_000;

const ISSUER: u8 = 1;
const HOLDER: u8 = 2;
const LIST_SIGNER: u8 = 3;
const TWINS: [u8; 2] = [4, 5];
const STRANGER: u8 = 6;

#[test]
fn every_published_vector_is_made_again_and_judged_the_same() {
    let trust = trust_list();
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        write("trust-list", &trust_list_file(&trust));
        for vector in vectors() {
            write(&vector.name, &vector.to_json(&trust));
        }
    }
    assert_eq!(read("trust-list"), trust_list_file(&trust));
    let mut unread = published();
    unread.remove("trust-list");
    for vector in vectors() {
        assert!(unread.remove(&vector.name), "{} is not published", vector.name);
        let file = read(&vector.name);
        assert_eq!(file["cose"], json!(vector.cose.as_deref().map(hex)), "{}", vector.name);
        replay(&file, &trust);
    }
    assert!(unread.is_empty(), "nothing makes {unread:?}");
}

/// Only what the file says counts here, so that a file from elsewhere could be replayed.
fn replay(file: &Json, trust: &TrustList) {
    let name = file["name"].as_str().unwrap();
    let text = file["text"].as_str().unwrap();
    if let (Some(cose), Ok(bytes)) = (file["cose"].as_str(), qr::decode(text)) {
        assert_eq!(hex(&bytes), cose, "{name}: the text holds the message");
    }
    let context = &file["context"];
    let challenge = context["challenge"].as_str().map(|digits| Challenge::parse(digits).unwrap());
    let gate = context["gate"].as_str().map(GatePolicy::of_agency);
    let verdict = verify_qr(
        text,
        &Context {
            now: context["now"].as_i64().unwrap(),
            trust: context["trust_list"].as_bool().unwrap().then_some(trust),
            status: &Told(told(&context["status"])),
            challenge: challenge.as_ref(),
            gate: gate.as_ref(),
        },
    );
    assert_eq!(serde_json::to_value(verdict).unwrap(), file["verdict"], "{name}");
}

#[test]
fn the_sizes_of_the_dossier_hold() {
    let symbol = |name: &str, ecc| {
        let file = read(name);
        Symbol::new(file["text"].as_str().unwrap(), ecc).unwrap().version()
    };
    assert!(symbol("profile-s", Ecc::Medium) <= 13);
    assert!(symbol("profile-d", Ecc::Low) <= 15);
}

#[test]
fn the_trust_list_is_accepted_from_its_file() {
    let file = read("trust-list");
    let bytes = unhex(file["cose"].as_str().unwrap());
    let accepted = TrustList::accept(None, &bytes, |chain| {
        assert_eq!(chain, [b"a certificate".to_vec()]);
        Ok::<_, ()>(TestKey::new(LIST_SIGNER).public_key().clone())
    });
    assert_eq!(accepted.unwrap(), trust_list());
}

struct Vector {
    name: String,
    about: &'static str,
    text: String,
    cose: Option<Vec<u8>>,
    now: UnixSeconds,
    challenge: Option<&'static str>,
    gate: Option<&'static str>,
    trust_list: bool,
    status: Json,
}

impl Vector {
    fn of_text(name: &str, about: &'static str, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            about,
            text: text.into(),
            cose: None,
            now: NOW,
            challenge: None,
            gate: None,
            trust_list: true,
            status: json!({"value": 0, "as_of": NOW - 60, "band": "fresh"}),
        }
    }

    fn of_card(name: &str, about: &'static str, cose: Vec<u8>) -> Self {
        let text = qr::encode(&cose);
        Self { cose: Some(cose), ..Self::of_text(name, about, text) }
    }

    fn to_json(&self, trust: &TrustList) -> Json {
        let mut file = json!({
            "name": self.name,
            "about": self.about,
            "text": self.text,
            "cose": self.cose.as_deref().map(hex),
            "context": {
                "now": self.now,
                "challenge": self.challenge,
                "gate": self.gate,
                "trust_list": self.trust_list,
                "status": self.status,
            },
        });
        let challenge = self.challenge.map(|digits| Challenge::parse(digits).unwrap());
        let gate = self.gate.map(GatePolicy::of_agency);
        let context = Context {
            now: self.now,
            trust: self.trust_list.then_some(trust),
            status: &Told(told(&self.status)),
            challenge: challenge.as_ref(),
            gate: gate.as_ref(),
        };
        file["verdict"] = serde_json::to_value(verify_qr(&self.text, &context)).unwrap();
        file
    }
}

fn vectors() -> Vec<Vector> {
    let printed = QrClaims { confirmation: None, ..claims() };
    let static_card = || card(&printed);
    let live = live_card();
    let mut vectors = vec![
        Vector::of_card("profile-s", "Printed badge: no cnf, no proof.", static_card()),
        Vector::of_card("profile-d", "Wallet: cnf and a fresh EdDSA proof in header 11.", live.clone()),
        Vector::of_card(
            "profile-d-es256",
            "Wallet with a P-256 key; the proof was made once and is kept.",
            es256_card(),
        ),
        Vector::of_card(
            "minimal",
            "Wallet: name, agency code and handle only.",
            proved(&card(&QrClaims { identity: minimal(), ..claims() }), &TestKey::new(HOLDER), NOW, None),
        ),
        Vector::of_card(
            "photo",
            "Printed badge with a small WebP file.",
            card(&QrClaims {
                identity: Identity { photo: Photo::webp(b"RIFF\x04\0\0\0WEBP".to_vec()), ..printed.identity.clone() },
                ..printed.clone()
            }),
        ),
        Vector {
            challenge: Some("482913"),
            ..Vector::of_card("challenge", "The proof covers the digits that the checker showed.", challenged("482913"))
        },
        Vector {
            challenge: Some("482913"),
            ..Vector::of_card("challenge-other", "The proof covers other digits.", challenged("482914"))
        },
        Vector {
            challenge: Some("482913"),
            ..Vector::of_card("challenge-unanswered", "The proof covers no digits.", live.clone())
        },
        Vector::of_card("challenge-unasked", "The proof covers digits that nobody asked for.", challenged("482913")),
        Vector {
            text: qr::encode(hex(&inji_card()).as_bytes()),
            ..Vector::of_card(
                "inji",
                "Hexadecimal text of tags 61 and 18 with claim 169 as bytes, then zlib.",
                inji_card(),
            )
        },
        Vector::of_card("untagged", "No tag.", static_card().split_off(1)),
        Vector::of_card("tag-61", "Tag 61 around tag 18.", [&[0xd8, 61], &static_card()[..]].concat()),
        Vector::of_card("claim-169-bytes", "Claim 169 as a byte string of CBOR.", in_bytes()),
        Vector {
            text: base45::encode(static_card()),
            ..Vector::of_card("no-zlib", "Base45 of the message itself.", static_card())
        },
        Vector {
            text: base45::encode(leading_space_card()),
            ..Vector::of_card(
                "leading-space",
                "Untagged, uncompressed, kid of 15 bytes: the text begins with a space that belongs to it. None ends with one.",
                leading_space_card(),
            )
        },
        Vector::of_text(
            "trimmed-space",
            "The same text without its space.",
            base45::encode(leading_space_card()).trim(),
        ),
        Vector::of_text("added-space", "A space after a good text.", format!("{} ", qr::encode(&static_card()))),
        Vector::of_card("proof-stripped", "Header 11 was taken off.", card(&claims())),
        Vector::of_card("proof-stale", "Proof of 61 seconds ago.", at(NOW - 61)),
        Vector::of_card("proof-oldest", "Proof of 60 seconds ago.", at(NOW - 60)),
        Vector::of_card("proof-future", "Proof of 61 seconds ahead.", at(NOW + 61)),
        Vector::of_card(
            "proof-flattened",
            "The issuer's signature is not nested in its array (RFC 9338 section 3.3).",
            flattened(),
        ),
        Vector::of_card(
            "proof-of-stranger",
            "Proof by another key than cnf.",
            proved(&card(&claims()), &TestKey::new(STRANGER), NOW, None),
        ),
        Vector::of_card("proof-malformed", "Header 11 is not a countersignature.", malformed_proof()),
        Vector::of_card("cnf-unknown", "cnf with a method that is not understood.", unknown_confirmation()),
        Vector::of_card("duplicate-key", "Two claims 4 in a well signed payload.", duplicate_key()),
        Vector::of_text("inflate-bomb", "One megabyte of nothing.", qr::encode(&vec![0; 1 << 20])),
        Vector::of_text("truncated", "A good text without its last group.", {
            let text = qr::encode(&static_card());
            text[..text.len() - 6].to_owned()
        }),
        Vector::of_card(
            "unknown-kid",
            "Signed by a key that is not on the list.",
            cwt::seal(&printed, &TestKey::new(STRANGER)).unwrap(),
        ),
        Vector::of_card(
            "shared-kid",
            "Two keys share the kid; the second signed.",
            signed_as(&printed, TWINS[1], b"twins"),
        ),
        Vector::of_card("forged", "The kid of the issuer, the signature of a stranger.", forged()),
        Vector::of_card("changed", "One letter of the name was changed.", changed()),
        Vector::of_card(
            "other-issuer",
            "iss is not the key's.",
            card(&QrClaims { issuer: "https://other.example.vn".into(), ..printed.clone() }),
        ),
        Vector::of_card(
            "key-not-valid-then",
            "Issued before the key was valid.",
            card(&QrClaims { issued_at: ISSUED_AT - 86_400 * 30, not_before: ISSUED_AT, ..printed.clone() }),
        ),
        Vector::of_card(
            "agency-not-allowed",
            "An agency that the key may not speak for.",
            card(&QrClaims {
                identity: Identity { agency_code: Some("H261".into()), ..printed.identity.clone() },
                ..printed.clone()
            }),
        ),
        Vector::of_card(
            "status-list-not-allowed",
            "A status list elsewhere.",
            card(&QrClaims {
                status: Some(StatusReference { index: 1, uri: "https://issuer.example.vn.example.com/s/1".into() }),
                ..printed.clone()
            }),
        ),
        Vector::of_card("expired", "At the instant of exp.", card(&QrClaims { expires_at: NOW, ..printed.clone() })),
        Vector::of_card(
            "not-yet-valid",
            "nbf tomorrow.",
            card(&QrClaims { not_before: NOW + 86_400, ..printed.clone() }),
        ),
        Vector::of_card(
            "issued-in-future",
            "iat tomorrow.",
            card(&QrClaims { issued_at: NOW + 86_400, not_before: NOW + 86_400, ..printed.clone() }),
        ),
        Vector::of_card(
            "specimen",
            "A good specimen.",
            card(&QrClaims { identity: Identity { specimen: true, ..printed.identity.clone() }, ..printed.clone() }),
        ),
        Vector { gate: Some("H26"), ..Vector::of_card("gate", "A gate of the card's own agency.", static_card()) },
        Vector { gate: Some("H27"), ..Vector::of_card("gate-other", "A gate of another agency.", static_card()) },
        Vector {
            trust_list: false,
            ..Vector::of_card("no-trust-list", "A checkpoint without a trust list.", static_card())
        },
        Vector {
            now: NOW - 3661,
            ..Vector::of_card("clock-behind", "The trust list is dated 61 seconds ahead.", static_card())
        },
        Vector {
            now: trust_list().expires_at,
            ..Vector::of_card("trust-list-aging", "A trust list within its grace.", static_card())
        },
        Vector {
            now: trust_list().expires_at + 72 * 3600,
            ..Vector::of_card("trust-list-expired", "A trust list beyond its grace.", static_card())
        },
        Vector::of_text("hc1", "EU Digital COVID Certificate.", "HC1:6BFOXN%TSMAHN-H"),
        Vector::of_text("shc", "SMART Health Card.", "shc:/5676290952432060346029243740446031222959"),
        Vector::of_text(
            "cccd",
            "Citizen identity card text.",
            "001099000001|012345678|Nguyễn Văn Mẫu|01011999|Nam|Số 1, phố Mẫu, Hà Nội|01012022",
        ),
        Vector::of_text("url", "Web address.", "https://example.vn/the/0123456789ABCDEF"),
        Vector::of_text(
            "keyboard",
            "A good text through a Telex input method.",
            qr::encode(&static_card()).replace("AA", "Â").replace("DD", "Đ").replace("OW", "Ơ").replacen('0', "Ư", 1),
        ),
        Vector::of_text("other-text", "Something else.", "Xin chào"),
    ];
    for (name, about, status) in [
        ("withdrawn", "Status 1.", json!({"value": 1, "as_of": NOW - 60, "band": "fresh"})),
        ("locked", "Status 2.", json!({"value": 2, "as_of": NOW - 60, "band": "fresh"})),
        (
            "status-other",
            "Status 3, which means nothing to us.",
            json!({"value": 3, "as_of": NOW - 60, "band": "fresh"}),
        ),
        ("status-out-of-range", "The list has no such index.", json!("out-of-range")),
        ("status-unavailable", "There is no list.", json!("unavailable")),
        (
            "status-aging",
            "The list is past its time to live.",
            json!({"value": 0, "as_of": NOW - 36_000, "band": "aging"}),
        ),
        (
            "status-aging-withdrawn",
            "The same, and says withdrawn.",
            json!({"value": 1, "as_of": NOW - 36_000, "band": "aging"}),
        ),
        ("status-expired", "The list is over.", json!({"value": 0, "as_of": NOW - 360_000, "band": "expired"})),
        (
            "status-expired-withdrawn",
            "The list is over and says withdrawn.",
            json!({"value": 1, "as_of": NOW - 360_000, "band": "expired"}),
        ),
    ] {
        vectors.push(Vector { status, ..Vector::of_card(name, about, live.clone()) });
    }
    vectors
}

fn claims() -> QrClaims {
    QrClaims {
        issuer: "https://issuer.example.vn".into(),
        issued_at: ISSUED_AT,
        not_before: ISSUED_AT,
        expires_at: EXPIRES_AT,
        confirmation: Some(TestKey::new(HOLDER).public_key().clone()),
        status: Some(StatusReference { index: 104_711, uri: "https://issuer.example.vn/s/7".into() }),
        identity: Identity {
            handle: "7QK2M9ZD40VTXB3H".into(),
            full_name: "Nguyễn Thị Hồng Mẫu".into(),
            photo: None,
            position: Some("Chuyên viên chính".into()),
            agency: Some("Sở Nội vụ tỉnh Mẫu".into()),
            agency_code: Some("H26.05".into()),
            class: Some("CC".into()),
            specimen: false,
        },
    }
}

fn minimal() -> Identity {
    let Identity { handle, full_name, agency_code, .. } = claims().identity;
    Identity { handle, full_name, agency_code, ..Identity::default() }
}

fn card(claims: &QrClaims) -> Vec<u8> {
    cwt::seal(claims, &TestKey::new(ISSUER)).unwrap()
}

fn proved(card: &[u8], holder: &dyn Signer, time: UnixSeconds, challenge: Option<&str>) -> Vec<u8> {
    let mut message = Sign1::parse(card, cwt::MAX_BYTES).unwrap();
    let challenge = challenge.map(|digits| Challenge::parse(digits).unwrap());
    qr::countersign(&mut message, holder, time, challenge.as_ref()).unwrap();
    message.encode()
}

fn at(time: UnixSeconds) -> Vec<u8> {
    proved(&card(&claims()), &TestKey::new(HOLDER), time, None)
}

fn live_card() -> Vec<u8> {
    at(NOW - 5)
}

fn challenged(digits: &str) -> Vec<u8> {
    proved(&card(&claims()), &TestKey::new(HOLDER), NOW - 5, Some(digits))
}

fn es256_card() -> Vec<u8> {
    let holder = KeptProof::new();
    let card = card(&QrClaims { confirmation: Some(holder.0.clone()), ..claims() });
    proved(&card, &holder, NOW - 5, None)
}

/// The parts of a good card: protected bytes, payload map, and a way to sign another pair.
fn payload_of(claims: &QrClaims) -> Map {
    let message = Sign1::parse(&card(claims), cwt::MAX_BYTES).unwrap();
    cbor::decode_map(message.payload(), cwt::MAX_BYTES).unwrap()
}

fn protected(key_id: &[u8]) -> Vec<u8> {
    cbor::encode(&cbor::map([(1, (-8).into()), (4, key_id.to_vec().into())]))
}

/// A message of these very bytes, whatever they are.
fn message(protected: &[u8], unprotected: Value, payload: Vec<u8>, signature: &[u8]) -> Vec<u8> {
    let parts = vec![protected.to_vec().into(), unprotected, payload.into(), signature.to_vec().into()];
    cbor::encode(&Value::Tag(18, Box::new(Value::Array(parts))))
}

fn signed(payload: Vec<u8>, seed: u8, key_id: &[u8]) -> Vec<u8> {
    let protected = protected(key_id);
    let structure = Value::Array(vec![
        "Signature1".into(),
        protected.clone().into(),
        Value::Bytes(Vec::new()),
        payload.clone().into(),
    ]);
    let signature = TestKey::new(seed).sign(&cbor::encode(&structure)).unwrap();
    message(&protected, cbor::map([]), payload, &signature)
}

fn signed_as(claims: &QrClaims, seed: u8, key_id: &[u8]) -> Vec<u8> {
    signed(cbor::encode(&Value::Map(payload_of(claims))), seed, key_id)
}

fn key_id(seed: u8) -> [u8; 8] {
    cose::key_id(TestKey::new(seed).public_key())
}

fn in_bytes() -> Vec<u8> {
    let mut payload = payload_of(&QrClaims { confirmation: None, ..claims() });
    let identity = cbor::take(&mut payload, 169).unwrap();
    payload.push((169.into(), cbor::encode(&identity).into()));
    signed(cbor::encode(&Value::Map(payload)), ISSUER, &key_id(ISSUER))
}

fn inji_card() -> Vec<u8> {
    [&[0xd8, 61], &in_bytes()[..]].concat()
}

const LONG_KEY_ID: &[u8; 15] = b"a kid of 15 byt";

fn leading_space_card() -> Vec<u8> {
    signed_as(&QrClaims { confirmation: None, ..claims() }, ISSUER, LONG_KEY_ID).split_off(1)
}

fn malformed_proof() -> Vec<u8> {
    let good = Sign1::parse(&card(&claims()), cwt::MAX_BYTES).unwrap().encode();
    let Value::Tag(_, parts) = cbor::decode(&good, cwt::MAX_BYTES).unwrap() else { unreachable!() };
    let mut parts = parts.into_array().unwrap();
    parts[1] = cbor::map([(11, "proof".into())]);
    cbor::encode(&Value::Tag(18, Box::new(Value::Array(parts))))
}

/// What a library that puts the signature beside instead of inside its array makes.
fn flattened() -> Vec<u8> {
    let Value::Tag(_, parts) = cbor::decode(&card(&claims()), cwt::MAX_BYTES).unwrap() else { unreachable!() };
    let mut parts = parts.into_array().unwrap();
    let proof = cbor::encode(&cbor::map([(1, (-8).into()), (15, cbor::map([(6, (NOW - 5).into())]))]));
    let structure = Value::Array(vec![
        "CounterSignatureV2".into(),
        parts[0].clone(),
        proof.clone().into(),
        b"vn-officials-card/qr/1".to_vec().into(),
        parts[2].clone(),
        parts[3].clone(),
    ]);
    let signature = TestKey::new(HOLDER).sign(&cbor::encode(&structure)).unwrap().to_vec();
    parts[1] = cbor::map([(11, Value::Array(vec![proof.into(), cbor::map([]), signature.into()]))]);
    cbor::encode(&Value::Tag(18, Box::new(Value::Array(parts))))
}

fn unknown_confirmation() -> Vec<u8> {
    let mut payload = payload_of(&claims());
    cbor::take(&mut payload, 8);
    payload.push((8.into(), cbor::map([(3, b"a kid".to_vec().into())])));
    signed(cbor::encode(&Value::Map(payload)), ISSUER, &key_id(ISSUER))
}

fn duplicate_key() -> Vec<u8> {
    let mut payload = payload_of(&QrClaims { confirmation: None, ..claims() });
    payload.push((4.into(), (EXPIRES_AT + 1).into()));
    signed(cbor::encode(&Value::Map(payload)), ISSUER, &key_id(ISSUER))
}

fn forged() -> Vec<u8> {
    signed_as(&QrClaims { confirmation: None, ..claims() }, STRANGER, &key_id(ISSUER))
}

fn changed() -> Vec<u8> {
    let mut bytes = card(&QrClaims { confirmation: None, ..claims() });
    let at = bytes.windows(4).position(|window| window == b"Nguy").unwrap();
    bytes[at] = b'M';
    bytes
}

fn trust_list() -> TrustList {
    let key = |seed: u8, key_id: &[u8], purposes: Vec<Purpose>| TrustedKey {
        key_id: key_id.to_vec(),
        key: TestKey::new(seed).public_key().clone(),
        issuer: "https://issuer.example.vn".into(),
        valid_from: ISSUED_AT - 86_400,
        valid_until: ISSUED_AT + 730 * 86_400,
        purposes,
        agencies: vec!["H26".into()],
        status_lists: vec!["https://issuer.example.vn/s/".into()],
    };
    TrustList {
        minimum_edition: 0,
        version: 12,
        issued_at: NOW - 3600,
        expires_at: NOW + 86_400,
        keys: vec![
            key(ISSUER, &key_id(ISSUER), vec![Purpose::Issuer, Purpose::Status]),
            key(ISSUER, LONG_KEY_ID, vec![Purpose::Issuer]),
            key(TWINS[0], b"twins", vec![Purpose::Issuer]),
            key(TWINS[1], b"twins", vec![Purpose::Issuer]),
            key(STRANGER, &key_id(STRANGER), vec![Purpose::Status]),
        ],
    }
}

fn trust_list_file(trust: &TrustList) -> Json {
    let signer = TestKey::new(LIST_SIGNER).with_certificates(vec![b"a certificate".to_vec()]);
    let public = |seed| TestKey::new(seed).public_key().to_jwk();
    json!({
        "about": "The trust list of all vectors. Ed25519 keys are made from 32 bytes of the seed's number.",
        "cose": hex(&trust.seal(&signer).unwrap()),
        "keys": {
            "issuer": {"seed": ISSUER, "jwk": public(ISSUER)},
            "holder": {"seed": HOLDER, "jwk": public(HOLDER)},
            "list_signer": {"seed": LIST_SIGNER, "jwk": public(LIST_SIGNER)},
            "twins": TWINS.map(|seed| json!({"seed": seed, "jwk": public(seed)})),
            "stranger": {"seed": STRANGER, "jwk": public(STRANGER)},
            "holder_es256": {"about": "RFC 6979 appendix A.2.5", "jwk": KeptProof::new().0.to_jwk()},
        },
    })
}

/// An Ed25519 key from a known seed.
struct TestKey(ed25519_dalek::SigningKey, PublicKey, Vec<Vec<u8>>);

impl TestKey {
    fn new(seed: u8) -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        let public = PublicKey::ed25519(key.verifying_key().as_bytes()).unwrap();
        Self(key, public, Vec::new())
    }

    fn with_certificates(self, certificates: Vec<Vec<u8>>) -> Self {
        Self(self.0, self.1, certificates)
    }
}

impl Signer for TestKey {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDsa
    }

    fn public_key(&self) -> &PublicKey {
        &self.1
    }

    fn certificates(&self) -> &[Vec<u8>] {
        &self.2
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], Fault> {
        Ok(self.0.sign(message).to_bytes())
    }
}

/// The P-256 key of RFC 6979 appendix A.2.5, and its deterministic signature for the one card.
struct KeptProof(PublicKey);

impl KeptProof {
    const POINT: &str = "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb67903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
    const SIGNATURE: &str = "25ea6f5923d91dd7dc1aafdf92f552f695158ecf5a64e624fe6fb1818fb052883d6349a92f6afe0b9437f9eb4995c0a5de9324acb727ba55f4f02144e5526a1b";

    fn new() -> Self {
        Self(PublicKey::p256(&unhex(Self::POINT)).unwrap())
    }
}

impl Signer for KeptProof {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Es256
    }

    fn public_key(&self) -> &PublicKey {
        &self.0
    }

    fn certificates(&self) -> &[Vec<u8>] {
        &[]
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], Fault> {
        if self.0.verify(message, &unhex(Self::SIGNATURE)).is_err() {
            println!("sign this with the key of RFC 6979 appendix A.2.5: {}", hex(message));
        }
        Ok(unhex(Self::SIGNATURE).try_into().unwrap())
    }
}

struct Told(StatusAnswer);

impl StatusSource for Told {
    fn status(&self, reference: &StatusReference) -> StatusAnswer {
        assert_eq!(*reference, claims().status.unwrap());
        self.0
    }
}

fn told(status: &Json) -> StatusAnswer {
    match status.as_str() {
        Some("unavailable") => return StatusAnswer::Unavailable,
        Some("out-of-range") => return StatusAnswer::OutOfRange,
        _ => {}
    }
    StatusAnswer::Known {
        value: status["value"].as_u64().unwrap().try_into().unwrap(),
        as_of: status["as_of"].as_i64().unwrap(),
        band: match status["band"].as_str().unwrap() {
            "fresh" => Band::Fresh,
            "aging" => Band::Aging,
            "expired" => Band::Expired,
            other => panic!("no band {other}"),
        },
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/qr")
}

fn published() -> BTreeSet<String> {
    let files = std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path());
    let vectors = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    vectors.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

fn read(name: &str) -> Json {
    serde_json::from_slice(&std::fs::read(folder().join(format!("{name}.json"))).unwrap()).unwrap()
}

fn write(name: &str, file: &Json) {
    let text = serde_json::to_string_pretty(file).unwrap() + "\n";
    std::fs::write(folder().join(format!("{name}.json")), text).unwrap();
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
        .collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
