//! The checkpoint's verdict with the statuses of the whole nation in memory: 2.5 million cards, of which 1 % are not valid.
//! Here natively; the documents and codes go to the file that is named on the command line, with which
//! `tests/web/verdicts.sh` measures the same in Chromium, where checkpoints have it.

mod scratch;

use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use officials_card::chance::Chance;
use officials_card::credential::checkpoint::{Checkpoint, Kind, Options};
use officials_card::credential::cose::Sign1;
use officials_card::credential::cwt::{self, Identity, QrClaims};
use officials_card::credential::signed::Term;
use officials_card::credential::snapshot::{ListState, Snapshot};
use officials_card::credential::status_list::{Bits, StatusList, StatusReference};
use officials_card::credential::trust_list::{Purpose, TrustList, TrustedKey};
use officials_card::credential::verdict::Outcome;
use officials_card::credential::{Signer, qr};
use officials_card::keyring::{self, FileKey, Keyring};
use serde_json::{Value, json};

use scratch::Scratch;

/// Sunday, 22 November 2026, 05:27:48 UTC.
const NOW: i64 = 1_795_325_268;
const ISSUER: &str = "https://card.example.vn";
const CARDS: u32 = 2_500_000;
const LIST_ENTRIES: u32 = 1 << 17;
/// Codes of each kind: each of another card, so that nothing can be remembered.
const CODES: u32 = 60;

fn main() {
    let folder = Scratch::new("bench-verdicts");
    let keys = folder.path().join("keys");
    let chance = Chance::system();
    keyring::init(&keys, None, ISSUER, &chance, NOW - 86_400).expect("keys can be made");
    // A wallet's Ed25519 key is a key like any other.
    let ed25519 = std::fs::read_to_string(keys.join("list.jwk")).expect("keys init wrote it");
    let ed25519 = serde_json::from_str(&ed25519).expect("keys init wrote JSON");
    let keys = Keyring::open(&keys, None).expect("the keys open");
    let holders = [("ES256", keyring::fresh_p256_jwk().expect("a key can be made")), ("EdDSA", ed25519)];

    let trust_list = trust_list(&keys).seal(&*keys.list).expect("the key signs");
    let statuses = snapshot(&chance).seal(&*keys.status_eddsa).expect("the key signs");
    let started = Instant::now();
    let mut checkpoint = Checkpoint::new(keys.anchors.clone());
    for (kind, bytes) in [(Kind::TrustList, &trust_list), (Kind::Statuses, &statuses)] {
        checkpoint.load(kind, bytes, NOW).expect("what we sign loads");
    }
    println!("a snapshot of {CARDS} cards is {} bytes and loads in {:.2} ms", statuses.len(), milliseconds(started));
    println!("{:34} {:>10} {:>10}", "verdict, natively", "median ms", "p95 ms");
    let mut codes = serde_json::Map::new();
    for (name, jwk) in holders {
        let holder = FileKey::new(&jwk, Vec::new()).expect("it reads");
        let texts: Vec<_> = (0..CODES).map(|card| live(&keys, &holder, card)).collect();
        let options = Options { forget: true, ..Options::default() };
        let mut times: Vec<f64> = texts
            .iter()
            .map(|text| {
                let started = Instant::now();
                let checked = checkpoint.verify(text, NOW, &options).expect("there is no challenge");
                assert_eq!(checked.verdict.outcome, Outcome::ValidLive, "{name}");
                milliseconds(started)
            })
            .collect();
        times.sort_unstable_by(f64::total_cmp);
        let [median, late] = [50, 95].map(|share| times[(times.len() - 1) * share / 100]);
        println!("{:34} {median:>10.3} {late:>10.3}", format!("profile D, {name} holder"));
        codes.insert(format!("profile D, {name} holder"), json!(texts));
    }
    // cargo itself adds `--bench`.
    if let Some(file) = std::env::args().skip(1).find(|argument| !argument.starts_with('-')) {
        let documents = json!([["trust-list", STANDARD.encode(&trust_list)], ["statuses", STANDARD.encode(&statuses)]]);
        let shift =
            json!({"anchor": keys.anchor_pem, "now": NOW, "documents": documents, "codes": Value::Object(codes)});
        std::fs::write(file, shift.to_string()).expect("the file can be written");
    }
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn list_uri(list: u32) -> String {
    format!("{ISSUER}/s/{list}")
}

fn snapshot(chance: &Chance) -> Snapshot {
    let lists = (0..CARDS.div_ceil(LIST_ENTRIES)).map(|list| {
        let entries = LIST_ENTRIES.min(CARDS - list * LIST_ENTRIES);
        // The first of each list are in force: they are those that are shown here.
        let drawn = std::iter::repeat_with(|| {
            (CODES + u32::from_be_bytes(chance.bytes()) % (entries - CODES), 1 + chance.bytes::<1>()[0] % 2)
        });
        let statuses = StatusList::new(Bits::Two, entries, drawn.take(entries as usize / 100));
        ListState { uri: list_uri(list), entries, statuses: Arc::new(statuses.expect("the list fits")) }
    });
    let term = Term { version: 1, issued_at: NOW - 60, ttl_seconds: 3600, expires_at: NOW + 86_400 };
    Snapshot { term, lists: lists.collect() }
}

fn trust_list(keys: &Keyring) -> TrustList {
    let key = |signer: &dyn Signer, purpose| TrustedKey {
        key_id: TrustedKey::key_id_of(signer.public_key()),
        key: signer.public_key().clone(),
        issuer: ISSUER.into(),
        valid_from: NOW - 86_400,
        valid_until: NOW + 86_400,
        purposes: vec![purpose],
        agencies: vec![String::new()],
        status_lists: vec![format!("{ISSUER}/s/")],
    };
    TrustList {
        version: 1,
        issued_at: NOW - 3600,
        expires_at: NOW + 86_400,
        keys: vec![key(&*keys.qr, Purpose::Issuer), key(&*keys.status_eddsa, Purpose::Status)],
        minimum_edition: 0,
    }
}

/// A live code of this moment, of one of the first cards of a list.
fn live(keys: &Keyring, holder: &FileKey, card: u32) -> String {
    let claims = QrClaims {
        issuer: ISSUER.into(),
        issued_at: NOW - 1000,
        not_before: NOW - 1000,
        expires_at: NOW + 80_000,
        confirmation: Some(holder.public_key().clone()),
        status: Some(StatusReference { index: card, uri: list_uri(card % CARDS.div_ceil(LIST_ENTRIES)) }),
        identity: Identity {
            handle: format!("{card:016}"),
            full_name: "Nguyễn Thị Hồng Ánh".into(),
            position: Some("Phó Trưởng phòng".into()),
            agency: Some("Sở Nội vụ".into()),
            agency_code: Some("H26.05".into()),
            class: Some("CC".into()),
            ..Identity::default()
        },
    };
    let card = cwt::seal(&claims, &*keys.qr).expect("the key signs");
    let mut message = Sign1::parse(&card, cwt::MAX_BYTES).expect("what we sign reads");
    qr::countersign(&mut message, holder, NOW, None).expect("the holder signs");
    qr::encode(&message.encode())
}
