//! The checkpoint without network: what it carries, how it learns of a withdrawal, whom a gate lets in, and what a receipt
//! proves.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::StreamExt;
use officials_card::credential::Signer;
use officials_card::credential::checkpoint::{Checkpoint, Kind, LoadError, Options, State};
use officials_card::credential::cose::Sign1;
use officials_card::credential::cwt;
use officials_card::credential::qr::{self, Challenge};
use officials_card::credential::receipt::{Confirmation, Found};
use officials_card::credential::signed::SignedError;
use officials_card::credential::snapshot::{Delta, Snapshot};
use officials_card::credential::x509::Anchors;
use officials_card::flow::KEPT_SNAPSHOTS;
use officials_card::flow::lists::import_codes;
use officials_card::keyring::Keyring;
use officials_card::model::status::ListPurpose;
use serde_json::{Value, json};

use crate::story;
use crate::town::{Town, URL, Wallet};

const PERSON: &str = "001199000018";
const STATUSES: &str = "/checkpoint/data/statuses";
const DELTA: &str = "application/vnd.vn-officials-card.status-delta+cbor";
const SNAPSHOT: &str = "application/vnd.vn-officials-card.status-snapshot+cbor";

/// A device that has just been synchronised.
async fn device(town: &Town) -> Checkpoint {
    let anchors = Anchors::from_pem(std::str::from_utf8(&town.get("/trust-anchor.pem").await.bytes).unwrap()).unwrap();
    let mut device = Checkpoint::new(anchors);
    for kind in ["trust-list", "statuses", "agencies"] {
        let document = town.get(&format!("/checkpoint/data/{kind}")).await;
        assert_eq!(document.status, 200);
        device.load(Kind::named(kind).unwrap(), &document.bytes, town.clock.now()).unwrap();
    }
    device
}

/// Fetches what has changed since what the device has.
async fn update(town: &Town, device: &mut Checkpoint) -> String {
    let answer = town.get(&format!("{STATUSES}?since={}", device.versions()["statuses"])).await;
    if answer.status == 304 {
        return String::new();
    }
    device.load(Kind::Statuses, &answer.bytes, town.clock.now()).unwrap();
    answer.header("content-type").to_owned()
}

/// The wallet's live code at the town's time.
fn live(wallet: &Wallet<'_>, credential: &str, challenge: Option<&str>) -> String {
    let mut card = Sign1::parse(&URL_SAFE_NO_PAD.decode(credential).unwrap(), cwt::MAX_BYTES).unwrap();
    let challenge = challenge.map(|digits| Challenge::parse(digits).unwrap());
    qr::countersign(&mut card, &wallet.key, wallet.town.clock.now(), challenge.as_ref()).unwrap();
    qr::encode(&card.encode())
}

/// Outcome and first reason.
fn check(town: &Town, device: &mut Checkpoint, text: &str, options: &Options) -> (String, String) {
    let checked = serde_json::to_value(device.verify(text, town.clock.now(), options).unwrap()).unwrap();
    assert!(checked["next_vi"].is_string() && checked["next_en"].is_string());
    let reason = checked["reasons"][0]["code"].as_str().unwrap_or_default();
    (checked["outcome"].as_str().unwrap().to_owned(), reason.to_owned())
}

fn gist<'a>(outcome: &'a str, reason: &'a str) -> (String, String) {
    (outcome.to_owned(), reason.to_owned())
}

/// The handle in a QR credential.
fn handle(credential: &str) -> String {
    let card = cwt::QrCredential::parse(&URL_SAFE_NO_PAD.decode(credential).unwrap()).unwrap();
    card.claims.identity.handle
}

fn snapshot(bytes: &[u8]) -> Snapshot {
    Snapshot::open(bytes, |_| Some(status_key())).unwrap().0
}

fn status_key() -> officials_card::credential::PublicKey {
    Keyring::open(Town::folder_of_keys(), None).unwrap().status_eddsa.public_key().clone()
}

story! {
    async fn a_withdrawal_is_in_the_next_snapshot_and_the_next_delta(town) {
        town.hires(PERSON, "H26").await;
        let (officer, wallet) = (town.officer("vneid").await, town.wallet());
        let credential = wallet.card(&officer, PERSON, "official-card-qr").await;
        let mut device = device(&town).await;
        assert_eq!(device.readiness(town.clock.now(), Some(0)).state, State::Ok);
        assert_eq!(check(&town, &mut device, &live(&wallet, &credential, None), &Options::default()), gist("valid-live", ""));
        assert_eq!(update(&town, &mut device).await, "", "nothing has changed");

        officer.step(&handle(&credential), "withdraw", "lost").await.expect(200);
        town.clock.advance(1);
        let stale = live(&wallet, &credential, None);
        assert_eq!(check(&town, &mut device, &stale, &Options::default()), gist("valid-live", ""), "it does not know yet");
        assert_eq!(update(&town, &mut device).await, DELTA);
        town.clock.advance(1);
        let text = live(&wallet, &credential, None);
        assert_eq!(check(&town, &mut device, &text, &Options::default()), gist("not-valid", "withdrawn"));

        let whole = town.get(STATUSES).await;
        assert_eq!(whole.header("content-type"), SNAPSHOT);
        assert_eq!(whole.header("access-control-allow-origin"), "*");
        assert!(whole.header("cache-control").contains("no-cache"));
        let unknown = town.get(&format!("{STATUSES}?since=999")).await;
        assert_eq!((unknown.header("content-type"), &unknown.bytes), (SNAPSHOT, &whole.bytes), "no delta from there");
        assert_eq!(town.get(&format!("{STATUSES}?since=x")).await.problem(400), "invalid-request");
        let again = device.load(Kind::Statuses, &whole.bytes, town.clock.now());
        assert!(again.is_ok(), "the delta led to exactly the snapshot");
    }
}

story! {
    async fn only_what_is_shown_as_a_code_is_carried(town) {
        town.hires(PERSON, "H26").await;
        let (officer, wallet) = (town.officer("vneid").await, town.wallet());
        wallet.card(&officer, PERSON, "official-card-qr").await;
        wallet.card(&officer, PERSON, "official-card-sdjwt").await;
        let carried = snapshot(&town.get(STATUSES).await.bytes);
        let lists = town.service.store().status_lists().await.unwrap();
        assert!(lists.iter().any(|list| list.purpose == ListPurpose::Other), "the other one got its entry elsewhere");
        assert!(lists.iter().any(|list| list.purpose == ListPurpose::Qr));
        for list in lists {
            let is_carried = carried.list(&format!("{URL}/s/{}", list.id)).is_some();
            assert_eq!(is_carried, list.purpose != ListPurpose::Other, "list {}", list.id);
        }
    }
}

story! {
    async fn a_code_that_an_old_process_put_elsewhere_is_carried_too(town) {
        town.hires(PERSON, "H26").await;
        let (officer, wallet) = (town.officer("vneid").await, town.wallet());
        let credential = wallet.card(&officer, PERSON, "official-card-qr").await;
        wallet.card(&officer, PERSON, "official-card-sdjwt").await;
        // As a process of the version before would have left it.
        sqlx::any::install_default_drivers();
        let pool = sqlx::AnyPool::connect(&town.database_url).await.unwrap();
        sqlx::query("UPDATE status_lists SET purpose = 'other' WHERE purpose = 'qr'").execute(&pool).await.unwrap();
        let mut device = device(&town).await;
        let text = live(&wallet, &credential, None);
        assert_eq!(check(&town, &mut device, &text, &Options::default()), gist("check-further", "status_unavailable"));
        town.service.refresh_published().await.unwrap();
        update(&town, &mut device).await;
        assert_eq!(check(&town, &mut device, &text, &Options::default()), gist("valid-live", ""));
        let lists = town.service.store().status_lists().await.unwrap();
        assert!(lists.iter().any(|list| list.purpose == ListPurpose::Other), "and no others");
        let carried = lists.iter().find(|list| list.purpose == ListPurpose::Any).unwrap();
        let history = town.service.store().history(&format!("status-list/{}", carried.id)).await.unwrap();
        assert_eq!(history.iter().filter(|line| line.2 == "status_list.carried").count(), 1, "{history:?}");
    }
}

story! {
    async fn two_processes_agree_on_every_version(town) {
        town.hires(PERSON, "H26").await;
        let other = town.second_process().await;
        let (officer, wallet) = (town.officer("vneid").await, town.wallet());
        let credential = wallet.card(&officer, PERSON, "official-card-qr").await;
        for (step, reason) in [("lock", "lost"), ("unlock", "found"), ("withdraw", "lost")] {
            officer.step(&handle(&credential), step, reason).await.expect(200);
            let (one, two) = tokio::join!(town.get(STATUSES), other.get(STATUSES));
            assert_eq!(one.header("etag"), two.header("etag"), "{step}");
            assert_eq!(one.bytes, two.bytes);
        }
        for path in ["/checkpoint/data/agencies", "/checkpoint/data/trust-list"] {
            assert_eq!(town.get(path).await.bytes, other.get(path).await.bytes, "{path}");
        }
    }
}

story! {
    async fn a_chain_of_deltas_leads_to_the_whole(town) {
        town.hires(PERSON, "H26").await;
        let (officer, wallet) = (town.officer("vneid").await, town.wallet());
        let credential = wallet.card(&officer, PERSON, "official-card-qr").await;
        let first = town.get(STATUSES).await;
        let mut chained = snapshot(&first.bytes);
        let start = chained.term.version;
        for (step, reason) in [("lock", "lost"), ("unlock", "found"), ("lock", "stolen"), ("withdraw", "stolen")] {
            officer.step(&handle(&credential), step, reason).await.expect(200);
            let answer = town.get(&format!("{STATUSES}?since={}", chained.term.version)).await;
            assert_eq!(answer.header("content-type"), DELTA, "{step}");
            let (delta, _) = Delta::open(&answer.bytes, |_| Some(status_key())).unwrap();
            chained = delta.apply(&chained).unwrap();
        }
        assert_eq!(chained.term.version, start + 4);
        assert_eq!(chained, snapshot(&town.get(STATUSES).await.bytes));
        let at_once = town.get(&format!("{STATUSES}?since={start}")).await;
        let (delta, _) = Delta::open(&at_once.bytes, |_| Some(status_key())).unwrap();
        assert_eq!(delta.apply(&snapshot(&first.bytes)), Ok(chained), "one step over all");
    }
}

story! {
    async fn old_versions_are_forgotten_and_never_taken_back(town) {
        let first = town.get(STATUSES).await.bytes;
        let mut device = device(&town).await;
        for _ in 0..KEPT_SNAPSHOTS {
            town.clock.advance(town.service.config.limits.status_ttl_seconds / 2);
            town.get(STATUSES).await;
        }
        assert_eq!(town.service.store().document("statuses", 1).await.unwrap(), None);
        let now = town.clock.now();
        device.load(Kind::TrustList, &town.get("/trust-list").await.bytes, now).unwrap();
        assert_eq!(update(&town, &mut device).await, SNAPSHOT, "nothing leads from there any more");
        let back = device.load(Kind::Statuses, &first, now).unwrap_err();
        assert!(matches!(back, LoadError::Signed(SignedError::Older { offered: 1, .. })), "{back:?}");
    }
}

story! {
    async fn a_device_says_when_it_cannot_answer_honestly(town) {
        town.hires(PERSON, "H26").await;
        let (officer, wallet) = (town.officer("vneid").await, town.wallet());
        let credential = wallet.card(&officer, PERSON, "official-card-qr").await;
        let mut device = device(&town).await;
        let lamp = |device: &Checkpoint, name: &str, offset| {
            let readiness = device.readiness(town.clock.now(), offset);
            (readiness.state, readiness.lamps[name].state)
        };
        assert_eq!(lamp(&device, "clock", Some(31)), (State::Warn, State::Warn));
        assert_eq!(lamp(&device, "clock", Some(-121)), (State::Stop, State::Stop));
        let ahead = Options { offset: Some(-121), ..Options::default() };
        let text = live(&wallet, &credential, None);
        assert_eq!(check(&town, &mut device, &text, &ahead), gist("check-further", "clock_behind"));
        assert_eq!(check(&town, &mut device, &text, &Options::default()), gist("valid-live", ""));
        town.clock.advance(5);
        assert_eq!(check(&town, &mut device, &text, &Options::default()), gist("check-further", "already_shown"));
        assert_eq!(check(&town, &mut device, &live(&wallet, &credential, None), &Options::default()), gist("valid-live", ""));

        town.clock.advance(town.service.config.limits.status_ttl_seconds);
        assert_eq!(lamp(&device, "statuses", Some(0)), (State::Warn, State::Warn));
        let text = live(&wallet, &credential, None);
        assert_eq!(check(&town, &mut device, &text, &Options::default()), gist("valid-live", "status_aging"));
        town.clock.advance(town.service.config.limits.status_lifetime_seconds);
        assert_eq!(lamp(&device, "statuses", Some(0)), (State::Stop, State::Stop));
        let text = live(&wallet, &credential, None);
        assert_eq!(check(&town, &mut device, &text, &Options::default()), gist("check-further", "status_expired"));
        town.clock.advance(-2 * town.service.config.limits.status_lifetime_seconds);
        assert_eq!(lamp(&device, "clock", Some(0)), (State::Stop, State::Stop), "before what it carries was signed");
    }
}

story! {
    async fn the_remote_switch_stops_older_programs(town) {
        let device = device(&town).await;
        assert_eq!(device.readiness(town.clock.now(), Some(0)).lamps["app"].state, State::Ok);
        let switched = town.configured(|config| config.checkpoint_minimum_edition = 99);
        let mut device = device;
        device.load(Kind::TrustList, &switched.get("/trust-list").await.bytes, town.clock.now()).unwrap();
        let readiness = device.readiness(town.clock.now(), Some(0));
        assert_eq!((readiness.state, readiness.lamps["app"].state), (State::Stop, State::Stop));
    }
}

fn rules(unit: &str) -> Value {
    json!({"unit": unit, "name": "Cổng chính", "agencies": ["H26"]})
}

async fn put(town: &Town, client: &str, id: &str, body: &Value) -> crate::town::Answer {
    town.officer(client).await.call("PUT", &format!("/api/v1/gates/{id}"), body.clone()).await
}

story! {
    async fn a_gate_is_its_units_own(town) {
        let (nation, hanoi) = (town.officer("vneid").await, town.officer("hanoi").await);
        let gate = hanoi.post("/api/v1/gates", rules("H26.05")).await.expect(201);
        let id = gate["id"].as_str().unwrap();
        assert_eq!(gate["document"], format!("{URL}/checkpoint/data/gates/{id}"));
        assert_eq!(hanoi.post("/api/v1/gates", rules("G01")).await.problem(403), "foreign-unit");
        let reader = town.officer("reader").await;
        assert_eq!(reader.post("/api/v1/gates", rules("H26")).await.problem(403), "insufficient-scope");
        let foreign = nation.post("/api/v1/gates", rules("G01")).await.expect(201);
        let foreign = foreign["id"].as_str().unwrap();
        assert_eq!(hanoi.get(&format!("/api/v1/gates/{foreign}")).await.problem(404), "not-found");
        assert_eq!(put(&town, "hanoi", foreign, &rules("G01")).await.problem(404), "not-found");
        assert_eq!(put(&town, "hanoi", id, &rules("H26")).await.problem(400), "invalid-request");
        assert_eq!(nation.get(&format!("/api/v1/gates/{id}")).await.expect(200)["name"], "Cổng chính");
        for (member, value) in [
            ("agencies", json!(["x"])),
            ("name", json!("")),
            ("minimum_position", json!("king")),
            ("duty", json!([{"card": "0123456789ABCDEF", "from": 9, "until": 9}])),
            ("duty", json!([{"card": "?", "from": 1, "until": 2}])),
            ("other", json!(1)),
        ] {
            let mut wrong = rules("H26.05");
            wrong[member] = value;
            assert_eq!(put(&town, "hanoi", id, &wrong).await.problem(400), "invalid-request", "{member}");
        }
        for path in ["/checkpoint/data/gates/x", "/checkpoint/data/gates/AAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(town.get(path).await.problem(404), "not-found");
        }
        sqlx::any::install_default_drivers();
        let pool = sqlx::AnyPool::connect(&town.database_url).await.unwrap();
        let count = async |pattern: String| -> i64 {
            let query = sqlx::query_scalar("SELECT COUNT(*) FROM audit WHERE action = 'gate.opened' AND subject LIKE $1");
            query.bind(pattern).fetch_one(&pool).await.unwrap()
        };
        assert_eq!(count("%".into()).await, 2);
        assert_eq!(count(format!("%{id}%")).await, 0, "its id opens it, so it stands in no log");
    }
}

story! {
    async fn a_gate_lets_in_whom_its_rules_name(town) {
        let labels = town.file("labels.csv", "list,code,label_vi\nMOHA.CHUCVU,001,Chuyên viên chính\n");
        import_codes(town.service.store(), &labels, "test", town.clock.now()).await.unwrap();
        town.hires(PERSON, "H26").await;
        let (officer, wallet) = (town.officer("vneid").await, town.wallet());
        let credential = wallet.card(&officer, PERSON, "official-card-qr").await;
        let badge = officer.get(&format!("/api/v1/cards/{}/badge.png?scale=4", handle(&credential))).await;
        let badge = crate::show::scan(&badge.bytes);
        let gate = officer.post("/api/v1/gates", rules("H26")).await.expect(201);
        let id = gate["id"].as_str().unwrap();
        let mut device = device(&town).await;
        let now = town.clock.now();
        let duty = |card: &str| json!([{"card": card, "from": now, "until": now + 86_400}]);
        let mine = handle(&credential);
        let changes = [
            (json!({}), "valid-live", "", "valid-copy", ""),
            (json!({"agencies": ["G01"]}), "check-further", "outside_gate", "check-further", "outside_gate"),
            (json!({"agencies": []}), "valid-live", "", "valid-copy", ""),
            (json!({"minimum_position": "chuyen-vien"}), "valid-live", "", "valid-copy", ""),
            (
                json!({"minimum_position": "truong-phong"}),
                "check-further",
                "position_below_gate",
                "check-further",
                "position_below_gate",
            ),
            (json!({"duty": duty(&mine)}), "valid-live", "", "valid-copy", ""),
            (json!({"duty": duty("0123456789ABCDEF")}), "check-further", "not_on_duty", "check-further", "not_on_duty"),
            (json!({"copies_accepted": false}), "valid-live", "", "check-further", "copy_not_accepted"),
            (
                json!({"challenge_required": true}),
                "check-further",
                "challenge_required",
                "check-further",
                "challenge_required",
            ),
        ];
        for (change, live_outcome, live_reason, copy_outcome, copy_reason) in changes {
            let mut new = rules("H26");
            for (member, value) in change.as_object().unwrap() {
                new[member] = value.clone();
            }
            put(&town, "vneid", id, &new).await.expect(200);
            let signed = town.get(&format!("/checkpoint/data/gates/{id}")).await;
            device.load(Kind::Gate, &signed.bytes, town.clock.now()).unwrap();
            town.clock.advance(1);
            let text = live(&wallet, &credential, None);
            let options = Options::default();
            assert_eq!(check(&town, &mut device, &text, &options), gist(live_outcome, live_reason), "{change}");
            assert_eq!(check(&town, &mut device, &badge, &options), gist(copy_outcome, copy_reason), "{change}");
        }
        assert!(device.asks_for_challenge());
        let options = Options { challenge: Some("4711".into()), ..Options::default() };
        let answered = live(&wallet, &credential, Some("4711"));
        assert_eq!(check(&town, &mut device, &answered, &options), gist("valid-live", ""));

        officer.call("DELETE", &format!("/api/v1/gates/{id}"), Value::Null).await.expect(204);
        assert_eq!(put(&town, "vneid", id, &rules("H26")).await.problem(410), "gone");
        let closed = town.get(&format!("/checkpoint/data/gates/{id}")).await;
        device.load(Kind::Gate, &closed.bytes, town.clock.now()).unwrap();
        assert_eq!(device.readiness(town.clock.now(), Some(0)).lamps["gate"].state, State::Stop);
        town.clock.advance(1);
        let answered = live(&wallet, &credential, Some("4711"));
        assert_eq!(check(&town, &mut device, &answered, &options), gist("check-further", "gate_unusable"));

        let other = officer.post("/api/v1/gates", rules("H26")).await.expect(201);
        let other = town.get(&format!("/checkpoint/data/gates/{}", other["id"].as_str().unwrap())).await;
        assert_eq!(device.load(Kind::Gate, &other.bytes, town.clock.now()), Err(LoadError::OtherGate));
    }
}

story! {
    async fn changes_are_told_soon(town) {
        town.hires(PERSON, "H26").await;
        let (officer, wallet) = (town.officer("vneid").await, town.wallet());
        let credential = wallet.card(&officer, PERSON, "official-card-qr").await;
        let gate = officer.post("/api/v1/gates", rules("H26")).await.expect(201);
        let id = gate["id"].as_str().unwrap();
        let changes = town.service.checkpoint_changes(Some(id.to_owned())).await.unwrap();
        let mut changes = std::pin::pin!(changes);
        let before = changes.next().await.unwrap();
        officer.step(&handle(&credential), "lock", "lost").await.expect(200);
        let locked = changes.next().await.unwrap();
        assert_eq!((locked.statuses, locked.gate), (before.statuses + 1, before.gate));
        put(&town, "vneid", id, &rules("H26")).await.expect(200);
        let changed = changes.next().await.unwrap();
        assert_eq!((changed.statuses, changed.gate), (locked.statuses, locked.gate.map(|version| version + 1)));
        let unknown = town.get("/checkpoint/data/changes?gate=AAAAAAAAAAAAAAAAAAAAAA").await;
        assert_eq!(unknown.problem(404), "not-found");
    }
}

story! {
    async fn a_receipt_shows_later_what_was_checked(town) {
        town.hires(PERSON, "H26").await;
        let (officer, wallet) = (town.officer("vneid").await, town.wallet());
        let credential = wallet.card(&officer, PERSON, "official-card-qr").await;
        let gate = officer.post("/api/v1/gates", rules("H26")).await.expect(201);
        let mut device = device(&town).await;
        let signed = town.get(&format!("/checkpoint/data/gates/{}", gate["id"].as_str().unwrap())).await;
        device.load(Kind::Gate, &signed.bytes, town.clock.now()).unwrap();
        let key = &wallet.key;
        assert_eq!(device.receipt(key.public_key(), None), None, "nothing was checked yet");
        let text = live(&wallet, &credential, None);
        check(&town, &mut device, &text, &Options::default());
        let input = device.receipt(key.public_key(), Some(3)).unwrap();
        let sign = |input: &str| format!("{input}.{}", URL_SAFE_NO_PAD.encode(key.sign(input.as_bytes()).unwrap()));
        let receipt = sign(&input);
        assert!(!receipt.contains(&URL_SAFE_NO_PAD.encode(PERSON)));
        town.clock.advance(60);
        let send = async |receipt: &str| wallet.post("/api/v1/receipts", "", &json!({"receipt": receipt})).await;
        let answer = send(&receipt).await.expect(200);
        let confirmed = answer["confirmation"].as_str().unwrap();
        let anchors = Anchors::from_pem(town.service.anchor_pem()).unwrap();
        let (own, found) = Confirmation::open(confirmed, &anchors).unwrap();
        assert_eq!((own.iss.as_str(), own.received_at, found.checked_at), (URL, town.clock.now(), town.clock.now() - 60));
        let published = (own.trust_list_published, own.statuses_published, own.gate_published);
        assert_eq!(published, (Some(true), Some(true), Some(true)));
        assert_eq!(found.code_hash, officials_card::credential::receipt::code_hash(&text));
        assert_eq!(found.clock_offset_seconds, Some(3));

        let of = |found: &Found| sign(&found.signing_input(key.public_key()));
        let invented = Found { statuses_version: Some(u64::MAX), trust_list_version: Some(77), ..found.clone() };
        let answer = send(&of(&invented)).await.expect(200);
        let (own, _) = Confirmation::open(answer["confirmation"].as_str().unwrap(), &anchors).unwrap();
        assert_eq!((own.trust_list_published, own.statuses_published), (Some(false), Some(false)));
        for wrong in [
            String::new(),
            "x".into(),
            receipt.clone() + "A",
            format!("{input}.{}", URL_SAFE_NO_PAD.encode([0; 64])),
            of(&Found { iss: "somebody else".into(), ..found.clone() }),
            of(&Found { reasons: vec!["Nguyễn".into()], ..found.clone() }),
            of(&Found { code_hash: "AA".into(), ..found.clone() }),
            "x".repeat(5_000),
        ] {
            assert_eq!(send(&wrong).await.problem(400), "invalid-request");
        }
    }
}

story! {
    async fn streams_do_not_hold_up_a_stop(town) {
        town.hires(PERSON, "H26").await;
        town.service.stop();
        // A stream that did not end would keep this answer from being whole for minutes.
        let stream = town.get("/checkpoint/data/changes").await;
        assert_eq!((stream.status.as_u16(), stream.bytes.len()), (200, 0));
    }
}
