//! Building and verifying credentials, against the bare limit of this machine: the same signatures over the same
//! messages by the same keys, and the same hashes, with nothing around them. Both are measured turn by turn in the same
//! run, so that the ratio holds where the rates do not (a shared or throttled machine).
//!
//! `cargo bench --bench credentials -- "verify QR"` measures only what has these words in its name.

mod scratch;

use std::hint::black_box;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use officials_card::chance::Chance;
use officials_card::credential::cose::Sign1;
use officials_card::credential::cwt::{self, Identity, QrClaims};
use officials_card::credential::qr;
use officials_card::credential::sd_jwt::{SignedClaims, Template, bind};
use officials_card::credential::status_list::{Band, Bits, StatusList, StatusReference};
use officials_card::credential::trust_list::{Purpose, TrustList, TrustedKey};
use officials_card::credential::verdict::Outcome;
use officials_card::credential::verify::{Context, Presented, StatusAnswer, StatusSource, verify};
use officials_card::credential::{Algorithm, PublicKey, Signer, official_card};
use officials_card::error::Fault;
use officials_card::keyring::{self, FileKey, Keyring};
use officials_card::model::card::{AgencyName, CardFacts, CardType};
use officials_card::model::gate::GatePolicy;
use officials_card::model::id::PersonalNumber;
use sha2::{Digest, Sha256};
use time::macros::date;

use scratch::Scratch;

/// Turns of each of two ways; the rate that the fastest tenth of them reaches is reported. What else goes on here only ever
/// makes slower, and medians then tell of the others.
const TURNS: usize = 401;
/// How long one turn takes: so short that many are not interrupted where others use the machine too.
const TURN: Duration = Duration::from_micros(500);

/// Sunday, 22 November 2026, 05:27:48 UTC.
const NOW: i64 = 1_795_325_268;
const ISSUER: &str = "https://card.example.vn";
const VCT: &str = "https://card.example.vn/types/official-card/1";
const STATUS_LIST: &str = "https://card.example.vn/s/1";
const STATUS_INDEX: u32 = 70_001;
const STATUS_LIST_SIZE: u32 = 1 << 17;
const AUDIENCE: &str = "https://gate.example.vn";
const NONCE: &str = "n-0S6_WzA2Mj";
/// A small portrait, like those of `examples/personnel`.
const PORTRAIT_BYTES: usize = 900;

fn main() {
    let desk = Desk::new();
    println!("{:44} {:>10} {:>10} {:>6}", "per core-second", "ours", "bare", "ratio");
    building(&desk);
    verifying(&desk);
    status_lists(&desk.chance);
}

/// Whether a row was asked for on the command line; all are when nothing was.
fn wanted(name: &str) -> bool {
    std::env::args().skip(1).find(|argument| !argument.starts_with('-')).is_none_or(|words| name.contains(&words))
}

/// Facts in, signed bytes out.
fn building(desk: &Desk) {
    for (name, signer) in [("SD-JWT ES256", &*desk.keys.issuer_es256), ("SD-JWT EdDSA", &*desk.keys.issuer_eddsa)] {
        for (with, facts) in [("", facts(None)), (", portrait", facts(Some(vec![0x5a; PORTRAIT_BYTES])))] {
            let template = Desk::template(signer);
            let overheard = Overheard::new(signer);
            let card = desk.sd_jwt(&template, &overheard, &facts);
            let (signed, hashed) = (overheard.messages(), disclosures(&card));
            compare(
                &format!("build {name}{with}"),
                || _ = black_box(desk.sd_jwt(&template, signer, &facts)),
                || {
                    hash_all(&hashed);
                    sign_all(signer, &signed);
                },
            );
        }
    }
    for (name, confirmation) in [("S (badge)", None), ("D (wallet)", Some(desk.holder.public_key().clone()))] {
        let claims = Desk::qr_claims(confirmation);
        let overheard = Overheard::new(&*desk.keys.qr);
        cwt::seal(&claims, &overheard).expect("the key signs");
        let signed = overheard.messages();
        compare(
            &format!("build QR CWT, profile {name}"),
            || _ = black_box(cwt::seal(&claims, &*desk.keys.qr)),
            || sign_all(&*desk.keys.qr, &signed),
        );
    }
}

/// Scanned text or presentation in, verdict out.
fn verifying(desk: &Desk) {
    let issuer = Overheard::new(&*desk.keys.qr);
    let badge = cwt::seal(&Desk::qr_claims(None), &issuer).expect("the key signs");
    desk.verifying("verify QR, profile S", &qr::encode(&badge), Outcome::ValidCopy, &issuer.checks(), &[]);

    for holder in [&desk.holder, &desk.ed25519_holder] {
        let (issuer, wallet) = (Overheard::new(&*desk.keys.qr), Overheard::new(holder));
        let card = cwt::seal(&Desk::qr_claims(Some(holder.public_key().clone())), &issuer).expect("the key signs");
        let mut live = Sign1::parse(&card, cwt::MAX_BYTES).expect("what we sign reads");
        qr::countersign(&mut live, &wallet, NOW, None).expect("the holder signs");
        let checks = [issuer.checks(), wallet.checks()].concat();
        let name = format!("verify QR, profile D, {} holder", holder.algorithm().jose_name());
        desk.verifying(&name, &qr::encode(&live.encode()), Outcome::ValidLive, &checks, &[]);
    }

    for (name, signer) in [("ES256", &*desk.keys.issuer_es256), ("EdDSA", &*desk.keys.issuer_eddsa)] {
        for (with, facts) in [("", facts(None)), (", portrait", facts(Some(vec![0x5a; PORTRAIT_BYTES])))] {
            let (issuer, wallet) = (Overheard::new(signer), Overheard::new(&desk.holder));
            let card = desk.sd_jwt(&Desk::template(signer), &issuer, &facts);
            let presentation = bind(&card, &wallet, AUDIENCE, NONCE, NOW).expect("the holder signs");
            let mut checks = [issuer.checks(), wallet.checks()].concat();
            // The certificate of the issuer is checked against the root, which is a P-256 key too.
            let root = Overheard::new(&desk.holder);
            root.sign(&signer.certificates()[0]).expect("the key signs");
            checks.extend(root.checks());
            let mut hashed = disclosures(&card);
            hashed.push(card);
            let name = format!("verify SD-JWT {name} with key binding{with}");
            desk.verifying(&name, &presentation, Outcome::ValidLive, &checks, &hashed);
        }
    }
}

fn status_lists(chance: &Chance) {
    const HEADING: &str = "status list, 1 % not valid";
    if !wanted(HEADING) {
        return;
    }
    println!("\n{HEADING:44} {:>10} {:>10}", "ms", "bytes");
    for size in [STATUS_LIST_SIZE, 2_500_000] {
        let drawn =
            std::iter::repeat_with(|| (u32::from_be_bytes(chance.bytes()) % size, 1 + chance.bytes::<1>()[0] % 2));
        let others: Vec<(u32, u8)> = drawn.take(size as usize / 100).collect();
        let build = || StatusList::new(Bits::Two, size, others.iter().copied()).expect("the list fits").compress();
        let bytes = build().to_json()["lst"].as_str().map_or(0, |list| list.len() * 3 / 4);
        let mut times: Vec<f64> = (0..7).map(|_| seconds_of(|| _ = black_box(build()))).collect();
        println!("{:44} {:>10.2} {:>10}", format!("{size} entries"), median(&mut times) * 1e3, bytes);
    }
}

/// What the benchmarks work with.
struct Desk {
    keys: Keyring,
    chance: Chance,
    holder: FileKey,
    ed25519_holder: FileKey,
    trust: TrustList,
    statuses: Statuses,
    _folder: Scratch,
}

impl Desk {
    fn new() -> Self {
        let folder = Scratch::new("bench-credentials");
        let chance = Chance::system();
        let keys = folder.path().join("keys");
        keyring::init(&keys, None, "http://127.0.0.1", &chance, NOW - 86400).expect("keys can be made");
        // A wallet's Ed25519 key is a key like any other.
        let jwk = std::fs::read_to_string(keys.join("list.jwk")).expect("keys init wrote it");
        let jwk = serde_json::from_str(&jwk).expect("keys init wrote JSON");
        let keys = Keyring::open(&keys, None).expect("the keys open");
        let trust = TrustList {
            minimum_edition: 0,
            version: 1,
            issued_at: NOW - 3600,
            expires_at: NOW + 86400,
            keys: [&keys.qr, &keys.issuer_es256, &keys.issuer_eddsa]
                .map(|signer| TrustedKey {
                    key_id: TrustedKey::key_id_of(signer.public_key()),
                    key: signer.public_key().clone(),
                    issuer: ISSUER.into(),
                    valid_from: NOW - 86400,
                    valid_until: NOW + 86400,
                    purposes: vec![Purpose::Issuer],
                    agencies: vec!["H26".into()],
                    status_lists: vec![format!("{ISSUER}/s/")],
                })
                .to_vec(),
        };
        Self {
            keys,
            chance,
            holder: FileKey::new(&keyring::fresh_p256_jwk().expect("a key can be made"), Vec::new()).expect("it reads"),
            ed25519_holder: FileKey::new(&jwk, Vec::new()).expect("it reads"),
            trust,
            statuses: Statuses(StatusList::new(Bits::Two, STATUS_LIST_SIZE, []).expect("the list fits")),
            _folder: folder,
        }
    }

    fn template(signer: &dyn Signer) -> Template {
        Template::new(
            signer,
            VCT,
            "sha256-0000000000000000000000000000000000000000000=",
            ISSUER,
            official_card::DIGESTS,
            false,
        )
    }

    fn sd_jwt(&self, template: &Template, signer: &dyn Signer, facts: &CardFacts) -> String {
        let signed = SignedClaims {
            issued_at: NOW - 1000,
            expires_at: NOW + 90 * 86400,
            holder: self.holder.public_key(),
            status_uri: STATUS_LIST,
            status_index: STATUS_INDEX.into(),
        };
        let claims = official_card::disclosables(facts, NOW + 5 * 365 * 86400);
        template.issue(signer, &self.chance, &signed, &claims).expect("the key signs")
    }

    fn qr_claims(confirmation: Option<PublicKey>) -> QrClaims {
        let facts = facts(None);
        QrClaims {
            issuer: ISSUER.into(),
            issued_at: NOW - 1000,
            not_before: NOW - 1000,
            expires_at: NOW + 90 * 86400,
            confirmation,
            status: Some(StatusReference { index: STATUS_INDEX, uri: STATUS_LIST.into() }),
            identity: Identity {
                handle: "7Q2M8K3D5N9R1T4V".into(),
                full_name: facts.full_name,
                position: facts.position_title,
                agency: Some(facts.employing_agency.name),
                agency_code: Some(facts.employing_agency.code),
                class: Some(facts.record_type.suffix().into()),
                ..Identity::default()
            },
        }
    }

    /// Compares the verifier with the bare checks of the same signatures and the same hashes.
    fn verifying(&self, name: &str, text: &str, expected: Outcome, checks: &[Check], hashed: &[String]) {
        let presented = Presented { text, anchors: &self.keys.anchors, vct: VCT, question: Some((AUDIENCE, NONCE)) };
        let gate = GatePolicy::of_agency("H26");
        let context =
            Context { now: NOW, trust: Some(&self.trust), status: &self.statuses, challenge: None, gate: Some(&gate) };
        assert_eq!(verify(&presented, &context).outcome, expected, "{name}");
        compare(
            name,
            || _ = black_box(verify(&presented, &context)),
            || {
                hash_all(hashed);
                for Check { key, message, signature } in checks {
                    key.verify(message, signature).expect("the signature is right");
                }
            },
        );
    }
}

/// A status list in memory.
struct Statuses(StatusList);

impl StatusSource for Statuses {
    fn status(&self, reference: &StatusReference) -> StatusAnswer {
        match self.0.get(reference.index) {
            Ok(value) => StatusAnswer::Known { value, as_of: NOW - 600, band: Band::Fresh },
            Err(_) => StatusAnswer::OutOfRange,
        }
    }
}

/// A signature to be checked.
#[derive(Clone)]
struct Check {
    key: PublicKey,
    message: Vec<u8>,
    signature: [u8; 64],
}

/// A key that remembers what it has signed.
struct Overheard<'a> {
    signer: &'a dyn Signer,
    signed: Mutex<Vec<Check>>,
}

impl<'a> Overheard<'a> {
    fn new(signer: &'a dyn Signer) -> Self {
        Self { signer, signed: Mutex::default() }
    }

    fn checks(self) -> Vec<Check> {
        self.signed.into_inner().expect("nobody panicked")
    }

    fn messages(self) -> Vec<Vec<u8>> {
        self.checks().into_iter().map(|check| check.message).collect()
    }
}

impl Signer for Overheard<'_> {
    fn algorithm(&self) -> Algorithm {
        self.signer.algorithm()
    }

    fn public_key(&self) -> &PublicKey {
        self.signer.public_key()
    }

    fn certificates(&self) -> &[Vec<u8>] {
        self.signer.certificates()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], Fault> {
        let signature = self.signer.sign(message)?;
        let check = Check { key: self.public_key().clone(), message: message.to_vec(), signature };
        self.signed.lock().expect("nobody panicked").push(check);
        Ok(signature)
    }
}

fn sign_all(signer: &dyn Signer, messages: &[Vec<u8>]) {
    for message in messages {
        _ = black_box(signer.sign(message));
    }
}

fn hash_all(texts: &[String]) {
    for text in texts {
        _ = black_box(Sha256::digest(text));
    }
}

/// The disclosures of a card as issued, and a text of the same length for every decoy.
fn disclosures(card: &str) -> Vec<String> {
    let mut disclosures: Vec<String> =
        card.split('~').skip(1).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    disclosures.resize(disclosures.len().max(official_card::DIGESTS), "x".repeat(32));
    disclosures
}

fn facts(portrait: Option<Vec<u8>>) -> CardFacts {
    let agency = |code: &str, name: &str| AgencyName { code: code.into(), name: name.into() };
    CardFacts {
        personal_id_number: PersonalNumber::parse("001187012345").expect("twelve digits"),
        full_name: "Nguyễn Thị Hồng Ánh".into(),
        date_of_birth: date!(1987 - 05 - 02),
        gender: Some("Nữ".into()),
        managing_agency: agency("H26", "Ủy ban nhân dân thành phố Hà Nội"),
        employing_agency: agency("H26.05", "Sở Nội vụ"),
        position_title: Some("Phó Trưởng phòng".into()),
        job_position: Some("Chuyên viên chính về tổ chức bộ máy".into()),
        record_type: CardType::CivilServant,
        portrait,
        term_ends: None,
    }
}

/// Measures two ways turn by turn and prints their rates and the ratio. Who begins changes, so that nothing that comes and
/// goes by the clock meets always the same one.
fn compare(name: &str, mut ours: impl FnMut(), mut bare: impl FnMut()) {
    if !wanted(name) {
        return;
    }
    let (ours_a_turn, bare_a_turn) = (calls_a_turn(&mut ours), calls_a_turn(&mut bare));
    let rate = |way: &mut dyn FnMut(), calls: u32| f64::from(calls) / seconds_of(|| (0..calls).for_each(|_| way()));
    let (mut rates, mut bare_rates) = (Vec::new(), Vec::new());
    for turn in 0..2 * TURNS {
        // Ours, bare, bare, ours.
        if matches!(turn % 4, 0 | 3) {
            rates.push(rate(&mut ours, ours_a_turn));
        } else {
            bare_rates.push(rate(&mut bare, bare_a_turn));
        }
    }
    let (rate, bare_rate) = (fast(&mut rates), fast(&mut bare_rates));
    println!("{name:44} {rate:>10.0} {bare_rate:>10.0} {:>6.2}", rate / bare_rate);
}

fn calls_a_turn(way: &mut impl FnMut()) -> u32 {
    let mut calls = 1;
    while seconds_of(|| (0..calls).for_each(|_| way())) < TURN.as_secs_f64() {
        calls *= 2;
    }
    calls
}

fn seconds_of(work: impl FnOnce()) -> f64 {
    let started = Instant::now();
    work();
    started.elapsed().as_secs_f64()
}

/// What a tenth of the rates reach.
fn fast(rates: &mut [f64]) -> f64 {
    rates.sort_unstable_by(f64::total_cmp);
    rates[rates.len() * 9 / 10]
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
