//! The published vectors of the checkpoint: `tests/vectors/checkpoint/story.json` is a shift from its first
//! synchronisation on, with every document, question and answer. It is replayed here, and made again from its inputs;
//! `replay.mjs` beside it replays it against the WebAssembly module. `UPDATE_VECTORS=1` writes it anew. The keys are made
//! from known seeds and are for nothing else.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer as _;
use officials_card::clock::UnixSeconds;
use officials_card::credential::agencies::AgencyNames;
use officials_card::credential::checkpoint::{Checkpoint, Kind, Options};
use officials_card::credential::cose::Sign1;
use officials_card::credential::cwt::{self, Identity, QrClaims};
use officials_card::credential::gate::SignedGate;
use officials_card::credential::qr::{self, Challenge};
use officials_card::credential::signed::Term;
use officials_card::credential::snapshot::{Delta, ListState, Snapshot};
use officials_card::credential::status_list::{Bits, StatusList, StatusReference};
use officials_card::credential::trust_list::{Purpose, TrustList, TrustedKey};
use officials_card::credential::x509::Anchors;
use officials_card::credential::{Algorithm, PublicKey, Signer};
use officials_card::error::Fault;
use officials_card::model::gate::{Duty, GatePolicy, Position};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519, SanType,
    SerialNumber,
};
use serde_json::{Value as Json, json};
use time::OffsetDateTime;

const NOW: UnixSeconds = 1_795_300_000;
const ROOT: u8 = 10;
const LIST_SIGNER: u8 = 3;
const STATUS_SIGNER: u8 = 7;
const CARD_SIGNER: u8 = 1;
const HOLDER: u8 = 2;
const STRANGER: u8 = 6;
const LIST: &str = "https://issuer.example.vn/s/1";
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/checkpoint/story.json");

#[test]
fn the_story_is_made_again_and_told_the_same() {
    let story = story();
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(FILE, format!("{}\n", serde_json::to_string_pretty(&story).unwrap())).unwrap();
    }
    let published: Json = serde_json::from_slice(&std::fs::read(FILE).unwrap()).unwrap();
    assert_eq!(published, story);
    replay(&published);
}

/// Only what the file says counts here.
fn replay(story: &Json) {
    let anchors = Anchors::from_pem(story["anchor"].as_str().unwrap()).unwrap();
    let mut checkpoint = Checkpoint::new(anchors);
    for step in story["steps"].as_array().unwrap() {
        assert_eq!(answer(&mut checkpoint, step), step["answer"], "{}", step["about"]);
    }
}

fn answer(checkpoint: &mut Checkpoint, step: &Json) -> Json {
    let now = step["now"].as_i64().unwrap();
    if let Some(kind) = step["load"].as_str() {
        let bytes = STANDARD.decode(step["bytes"].as_str().unwrap()).unwrap();
        return match checkpoint.load(Kind::named(kind).unwrap(), &bytes, now) {
            Ok(loaded) => json!(loaded),
            Err(error) => json!({"thrown": error.words().0}),
        };
    }
    if let Some(text) = step["verify"].as_str() {
        let options: Options = serde_json::from_value(step["options"].clone()).unwrap();
        return json!(checkpoint.verify(text, now, &options).unwrap());
    }
    json!(checkpoint.readiness(now, step["offset"].as_i64()))
}

/// Steps, with the answers that a checkpoint gives.
struct Story {
    checkpoint: Checkpoint,
    steps: Vec<Json>,
}

impl Story {
    fn step(&mut self, mut step: Json) -> &mut Self {
        step["answer"] = answer(&mut self.checkpoint, &step);
        self.steps.push(step);
        self
    }

    fn load(&mut self, about: &str, kind: &str, bytes: &[u8]) -> &mut Self {
        self.step(json!({"about": about, "load": kind, "bytes": STANDARD.encode(bytes), "now": NOW}))
    }

    fn verify(&mut self, about: &str, text: &str, now: UnixSeconds, options: &Json) -> &mut Self {
        self.step(json!({"about": about, "verify": text, "now": now, "options": options}))
    }
}

fn story() -> Json {
    let root = root();
    let anchor = root.0.clone();
    let status = TestKey::new(STATUS_SIGNER);
    let mut story = Story { checkpoint: Checkpoint::new(Anchors::from_pem(&anchor).unwrap()), steps: Vec::new() };
    let snapshots = [snapshot(1, &[]), snapshot(2, &[(5, 1)]), snapshot(3, &[(4, 2), (5, 1)])];
    let [one, two, _] = snapshots.each_ref().map(|snapshot| snapshot.seal(&status).unwrap());
    let delta =
        |from: usize, to: usize| Delta::between(&snapshots[from], &snapshots[to]).unwrap().seal(&status).unwrap();
    let agencies = AgencyNames { term: term(1), names: [("H26.05".to_owned(), "Sở Nội vụ".to_owned())].into() };
    let list = trust_list(1).seal(&list_signer(&root)).unwrap();
    story
        .step(json!({"about": "A new device is not ready.", "readiness": true, "now": NOW, "offset": null}))
        .load("Nothing before the trust list.", "statuses", &one)
        .load("The trust list leads to the anchor.", "trust-list", &list)
        .load(
            "Statuses under a stranger's signature.",
            "statuses",
            &snapshots[0].seal(&TestKey::new(STRANGER)).unwrap(),
        )
        .load("A delta without its base.", "statuses", &delta(0, 1))
        .load("The status snapshot.", "statuses", &one)
        .load("The names of agencies.", "agencies", &agencies.seal(&status).unwrap())
        .step(json!({"about": "Ready.", "readiness": true, "now": NOW, "offset": 2}))
        .verify("A live card; its agency's name comes from the table.", &live(5, NOW, None), NOW, &json!({}))
        .verify("The same code again.", &live(5, NOW, None), NOW + 9, &json!({}))
        .verify("The next code of the card.", &live(5, NOW + 20, None), NOW + 20, &json!({}))
        .verify(
            "A clock that is off by more than two minutes.",
            &live(5, NOW + 40, None),
            NOW + 40,
            &json!({"offset": -121}),
        )
        .load("A delta: the card is withdrawn.", "statuses", &delta(0, 1))
        .verify("Withdrawn.", &live(5, NOW + 60, None), NOW + 60, &json!({}))
        .load("A delta to another base.", "statuses", &delta(0, 2))
        .load("An older snapshot.", "statuses", &one)
        .load("The snapshot that the delta led to.", "statuses", &two)
        .load("Another snapshot of the same version.", "statuses", &snapshot(2, &[(6, 1)]).seal(&status).unwrap())
        .load("The next delta.", "statuses", &delta(1, 2))
        .verify("Locked.", &live(4, NOW + 80, None), NOW + 80, &json!({}))
        .load("A gate with rules.", "gate", &gate(1, true).seal(&status).unwrap())
        .verify("No challenge.", &live(6, NOW + 100, None), NOW + 100, &json!({}))
        .verify("A challenge, answered.", &live(6, NOW + 120, Some("4711")), NOW + 120, &json!({"challenge": "4711"}))
        .verify("A printed badge.", &qr::encode(&card(6, false)), NOW + 120, &json!({}))
        .verify("Not on duty.", &live(7, NOW + 130, Some("4711")), NOW + 130, &json!({"challenge": "4711"}))
        .load("The gate was closed.", "gate", &SignedGate { is_closed: true, ..gate(2, true) }.seal(&status).unwrap())
        .step(json!({"about": "Closed.", "readiness": true, "now": NOW + 140, "offset": 0}))
        .load(
            "Rules of another gate.",
            "gate",
            &SignedGate { id: "B".repeat(22), ..gate(3, true) }.seal(&status).unwrap(),
        )
        .verify("Statuses past their end.", &live(6, NOW + 300_000, None), NOW + 300_000, &json!({}))
        .load(
            "The remote switch.",
            "trust-list",
            &TrustList { minimum_edition: 1000, ..trust_list(2) }.seal(&list_signer(&root)).unwrap(),
        )
        .verify("This program is too old.", &live(6, NOW + 150, Some("4711")), NOW + 150, &json!({"challenge": "4711"}))
        .load(
            "The key of the statuses is retired.",
            "trust-list",
            &TrustList { keys: trust_list(3).keys[..1].to_vec(), ..trust_list(3) }.seal(&list_signer(&root)).unwrap(),
        )
        .step(json!({"about": "Nothing that it signed counts.", "readiness": true, "now": NOW, "offset": 0}));
    json!({
        "about": "A shift at a checkpoint. `load` takes a document (base64), `verify` judges a text, `readiness` asks for the \
            lamps; `answer` is what comes back, or the code of what is thrown. Ed25519 keys are 32 bytes of the seed's number.",
        "seeds": {"root": ROOT, "list": LIST_SIGNER, "statuses": STATUS_SIGNER, "cards": CARD_SIGNER, "holder": HOLDER},
        "anchor": anchor,
        "steps": story.steps,
    })
}

fn term(version: u64) -> Term {
    Term { version, issued_at: NOW - 60, ttl_seconds: 3600, expires_at: NOW + 259_140 }
}

fn snapshot(version: u64, others: &[(u32, u8)]) -> Snapshot {
    let statuses = StatusList::new(Bits::Two, 64, others.iter().copied()).unwrap();
    Snapshot {
        term: term(version),
        lists: vec![ListState { uri: LIST.into(), entries: 64, statuses: Arc::new(statuses) }],
    }
}

fn gate(version: u64, challenge_required: bool) -> SignedGate {
    let salt = vec![9; 16];
    let entries = vec![(Duty::mark(&salt, "0000000000000006"), NOW, NOW + 28_800)];
    SignedGate {
        term: term(version),
        id: "A".repeat(22),
        name: "Cổng chính".into(),
        policy: GatePolicy {
            agencies: vec!["H26".into()],
            minimum_position: Position::named("chuyen-vien"),
            duty: Some(Duty { salt, entries }),
            challenge_required,
            copies_accepted: false,
        },
        is_closed: false,
    }
}

/// A card with the status entry of this number.
fn card(index: u32, bound: bool) -> Vec<u8> {
    let claims = QrClaims {
        issuer: "https://issuer.example.vn".into(),
        issued_at: NOW - 1000,
        not_before: NOW - 1000,
        expires_at: NOW + 86_400 * 30,
        confirmation: bound.then(|| TestKey::new(HOLDER).public_key().clone()),
        status: Some(StatusReference { index, uri: LIST.into() }),
        identity: Identity {
            handle: format!("{index:016}"),
            full_name: "Nguyễn Thị Hồng Ánh".into(),
            position: Some("Chuyên viên".into()),
            agency_code: Some("H26.05".into()),
            class: Some("CC".into()),
            ..Identity::default()
        },
    };
    cwt::seal(&claims, &TestKey::new(CARD_SIGNER)).unwrap()
}

fn live(index: u32, time: UnixSeconds, challenge: Option<&str>) -> String {
    let mut message = Sign1::parse(&card(index, true), cwt::MAX_BYTES).unwrap();
    let challenge = challenge.map(|digits| Challenge::parse(digits).unwrap());
    qr::countersign(&mut message, &TestKey::new(HOLDER), time, challenge.as_ref()).unwrap();
    qr::encode(&message.encode())
}

fn trust_list(version: u64) -> TrustList {
    let key = |seed: u8, purpose: Purpose| TrustedKey {
        key_id: TrustedKey::key_id_of(TestKey::new(seed).public_key()),
        key: TestKey::new(seed).public_key().clone(),
        issuer: "https://issuer.example.vn".into(),
        valid_from: NOW - 86_400,
        valid_until: NOW + 86_400 * 365,
        purposes: vec![purpose],
        agencies: vec![String::new()],
        status_lists: vec!["https://issuer.example.vn/s/".into()],
    };
    TrustList {
        version,
        issued_at: NOW - 60,
        expires_at: NOW + 86_400 * 7,
        keys: vec![key(CARD_SIGNER, Purpose::Issuer), key(STATUS_SIGNER, Purpose::Status)],
        minimum_edition: 0,
    }
}

/// The root's certificate in PEM, and what signs below it.
fn root() -> (String, Issuer<'static, KeyPair>) {
    let mut params = params("Root of the vectors", 1);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = pair(ROOT);
    let pem = params.self_signed(&key).unwrap().pem();
    (pem, Issuer::new(params, key))
}

fn list_signer((_, issuer): &(String, Issuer<'static, KeyPair>)) -> TestKey {
    let mut params = params("Trust list of the vectors", 2);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.subject_alt_names = vec![SanType::URI("urn:vn:officials-card:use:trust-list".try_into().unwrap())];
    let certificate = params.signed_by(&pair(LIST_SIGNER), issuer).unwrap();
    TestKey { certificates: vec![certificate.der().to_vec()], ..TestKey::new(LIST_SIGNER) }
}

fn params(name: &str, serial: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(serial));
    params.not_before = OffsetDateTime::from_unix_timestamp(NOW - 86_400).unwrap();
    params.not_after = OffsetDateTime::from_unix_timestamp(NOW + 86_400 * 3650).unwrap();
    params
}

/// RFC 8410: PKCS#8 of an Ed25519 key.
fn pair(seed: u8) -> KeyPair {
    let mut der = vec![0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    der.extend([seed; 32]);
    KeyPair::from_pkcs8_der_and_sign_algo(&der.as_slice().into(), &PKCS_ED25519).unwrap()
}

/// An Ed25519 key from a seed.
struct TestKey {
    key: ed25519_dalek::SigningKey,
    public: PublicKey,
    certificates: Vec<Vec<u8>>,
}

impl TestKey {
    fn new(seed: u8) -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        let public = PublicKey::ed25519(key.verifying_key().as_bytes()).unwrap();
        Self { key, public, certificates: Vec::new() }
    }
}

impl Signer for TestKey {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDsa
    }

    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], Fault> {
        Ok(self.key.sign(message).to_bytes())
    }
}
