//! The competent person approves the month with a signature of their own tool: OpenSSL's command line, as Vietnamese tools
//! make it (CAdES-BES), and a JWS.

use std::process::Command;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use officials_card::config::{ApproverRoot, Client};
use officials_card::credential::approver::ApproverTrust;
use officials_card::flow::{ApprovalCheckError, ApprovalFile, check_approval};
use officials_card::model::approval::{StateDocument, Tree};
use rcgen::KeyUsagePurpose;
use serde_json::{Value, json};
use time::macros::datetime;

use crate::authority::{Authority, Person, YEAR};
use crate::story;
use crate::town::{Answer, NOW, Officer, Town};

const DOCUMENT: &str = "/api/v1/approvals/2026-11/document?unit=H26";
const CERTIFICATES: &str = "/api/v1/approver-certificates";

fn person(number: u32) -> String {
    format!("0011870{number:05}")
}

/// 27 November 2026 in Vietnam: the second of the last five days.
fn in_the_window() -> i64 {
    datetime!(2026-11-27 09:00 +7).unix_timestamp()
}

impl Town {
    /// The same town where this authority certifies approvers.
    fn trusting(&self, root: &Authority, late_days: u16, revocation_list: Option<&str>) -> Self {
        let list = revocation_list.map(|text| self.write("list.pem", text).into());
        self.configured(|config| {
            let certificates = root.pem();
            config.approver_roots = vec![ApproverRoot { name: "test".into(), certificates, revocation_list: list }];
            config.approvals.late_days = late_days;
            let other =
                Client { name: "ministry".into(), units: Some(vec!["G09".into()]), ..config.clients[1].clone() };
            config.clients.push(other);
            let below =
                Client { name: "department".into(), units: Some(vec!["H26.05".into()]), ..config.clients[1].clone() };
            config.clients.push(below);
        })
    }

    fn at(&self, instant: i64) {
        self.clock.advance(instant - self.clock.now());
    }

    /// What the person's own tool makes of a document: base64 of a detached CMS.
    fn signs(&self, person: &Person, document: &[u8], options: &[&str]) -> String {
        let (key, certificate) = (self.write("key.pem", &person.key), self.write("certificate.pem", &person.pem));
        let input = self.file("document.json", document);
        let made = Command::new("openssl")
            .args(["cms", "-sign", "-binary", "-outform", "DER", "-signer", &certificate, "-inkey", &key])
            .args(options)
            .arg("-in")
            .arg(input)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        STANDARD.encode(made.stdout)
    }
}

const CADES: [&str; 3] = ["-cades", "-md", "sha256"];

/// A detached JWS with the certificate in it.
fn jws(person: &Person, document: &[u8], header: Value) -> String {
    let header = URL_SAFE_NO_PAD.encode(header.to_string());
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &person.pkcs8).unwrap();
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(document));
    let signature = key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
    format!("{header}..{}", URL_SAFE_NO_PAD.encode(signature))
}

impl Officer<'_> {
    async fn document(&self, path: &str) -> Vec<u8> {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.bytes));
        answer.bytes.to_vec()
    }

    async fn signs_off(&self, document: &[u8], signature: String) -> Answer {
        self.post("/api/v1/approvals", json!({"document": STANDARD.encode(document), "signature": signature})).await
    }

    async fn registers(&self, officer: &str, person: &Person, by: &str) -> Value {
        let body = json!({"officer": officer, "certificate": person.pem, "match": by});
        self.post(CERTIFICATES, body).await.expect(201)
    }
}

fn signer(root: &Authority, name: &str) -> Person {
    root.person(name, KeyUsagePurpose::ContentCommitment, NOW + YEAR)
}

/// A province and a department of it, each with the person who signs for it.
async fn two_levels<'a>(town: &'a Town, root: &Authority) -> [(Officer<'a>, Person); 2] {
    let (chief, head) = (signer(root, "Chief"), signer(root, "Head"));
    let (vneid, hanoi, department) =
        (town.stays("vneid").await, town.stays("hanoi").await, town.stays("department").await);
    vneid.registers("hanoi", &chief, "certificate").await;
    vneid.registers("department", &head, "certificate").await;
    let units = vec![("H26.05".into(), "Sở Nội vụ".into())];
    town.service.store().save_units(units, "test", NOW).await.unwrap();
    [(hanoi, chief), (department, head)]
}

story! {
    async fn the_month_is_approved_by_the_registered_person_over_exactly_what_is(town) {
        let root = Authority::root("Approvers");
        let town = town.trusting(&root, 0, None);
        let (chief, colleague) = (signer(&root, "Chief"), signer(&root, "Colleague"));
        let (vneid, hanoi, ministry) = (town.stays("vneid").await, town.stays("hanoi").await, town.stays("ministry").await);
        let units = vec![("H26.05".into(), "Sở Nội vụ".into())];
        town.service.store().save_units(units, "test", NOW).await.unwrap();
        town.hires(&person(1), "H26").await;
        town.imports(&person(2), "H26.05", "001", "active").await;

        // When, who, where.
        assert_eq!(hanoi.get(DOCUMENT).await.problem(409), "outside-window");
        town.at(in_the_window());
        assert_eq!(vneid.get(DOCUMENT).await.problem(403), "foreign-unit", "the whole nation is not this unit");
        assert_eq!(ministry.get(DOCUMENT).await.problem(403), "foreign-unit");
        assert_eq!(hanoi.get(&DOCUMENT.replace("H26", "H26.05")).await.problem(403), "foreign-unit", "nor is one above");
        assert_eq!(hanoi.get(&DOCUMENT.replace("2026-11", "2026-12")).await.problem(409), "outside-window");
        assert_eq!(hanoi.get(&DOCUMENT.replace("2026-11", "november")).await.problem(404), "not-found");
        assert_eq!(ministry.get("/api/v1/approvals/2026-11/document?unit=G09").await.problem(409), "nothing-to-approve");

        let document = hanoi.document(DOCUMENT).await;
        let state = StateDocument::parse(&document).unwrap();
        assert_eq!((state.tally.records, state.tally.all, state.previous.as_ref()), (2, 1, None));
        assert_eq!(hanoi.document(DOCUMENT).await, document, "the same state is the same bytes");

        // Whose certificate.
        let signature = town.signs(&chief, &document, &CADES);
        assert_eq!(hanoi.signs_off(&document, signature.clone()).await.problem(403), "unregistered-certificate");
        let body = json!({"officer": "hanoi", "certificate": chief.pem});
        assert_eq!(hanoi.post(CERTIFICATES, body).await.problem(403), "foreign-unit");
        let registered = vneid.registers("hanoi", &chief, "certificate").await;
        assert_eq!((&registered["match"], &registered["added_by"]), (&json!("certificate"), &json!("vneid")));
        assert!(registered["subject"].as_str().unwrap().contains("CN=Chief"), "{registered}");
        let theirs = town.signs(&colleague, &document, &CADES);
        assert_eq!(hanoi.signs_off(&document, theirs).await.problem(403), "unregistered-certificate");

        // Over what.
        let longer = town.signs(&chief, &[&document[..], b"\n"].concat(), &CADES);
        assert_eq!(hanoi.signs_off(&document, longer).await.problem(400), "invalid-signature");
        let plain = town.signs(&chief, &document, &["-md", "sha256"]);
        assert_eq!(hanoi.signs_off(&document, plain).await.problem(400), "invalid-signature");
        let weak = town.signs(&chief, &document, &["-md", "sha1"]);
        assert_eq!(hanoi.signs_off(&document, weak).await.problem(400), "invalid-signature");
        for nonsense in ["", "AAAA", "a..b", "MIIB"] {
            assert_eq!(hanoi.signs_off(&document, nonsense.into()).await.problem(400), "invalid-signature", "{nonsense}");
        }
        let forged = String::from_utf8(document.clone()).unwrap().replace("\"all\":1", "\"all\":2").into_bytes();
        let refused = hanoi.signs_off(&forged, town.signs(&chief, &forged, &CADES)).await.expect(409);
        assert_eq!(refused["type"], "urn:officials-card:problem:state-moved", "counts are ours to say");
        assert_eq!(refused["document"], STANDARD.encode(&document), "and here is what to sign");
        assert_eq!(hanoi.signs_off(b"{}", signature.clone()).await.problem(400), "invalid-request");

        // The state moves while somebody signs, and is looked at anew meanwhile: what was handed out counts, and what has
        // changed since is not signed.
        town.imports(&person(2), "H26.05", "002", "active").await;
        let later = hanoi.document(DOCUMENT).await;
        assert_ne!(StateDocument::parse(&later).unwrap().root, state.root);
        let made = hanoi.signs_off(&document, signature.clone()).await.expect(201);
        assert_eq!((&made["approver"], &made["records"], &made["changed_since"]), (&json!("hanoi"), &json!(2), &json!(1)));
        assert_eq!(made["document_sha256"], StateDocument::digest(&document));
        assert_eq!(hanoi.signs_off(&document, signature).await.problem(409), "already-approved");
        let signature = town.signs(&chief, &later, &CADES);
        assert_eq!(hanoi.signs_off(&later, signature).await.problem(409), "already-approved");
        assert_eq!(hanoi.get(DOCUMENT).await.problem(409), "already-approved");
        assert!(town.service.store().history("H26").await.unwrap().iter().any(|line| line.1 == "hanoi" && line.2 == "quality.approved"));

        // Whoever has the file can check it, and nothing else passes.
        let id = made["id"].as_str().unwrap();
        let file = hanoi.get(&format!("/api/v1/approvals/{id}/file")).await;
        let file: ApprovalFile = serde_json::from_slice(&file.bytes).unwrap();
        let trust = ApproverTrust::new(&root.pem(), None).unwrap();
        let check = check_approval(&file, &trust).unwrap();
        assert_eq!((check.unit.as_str(), check.month.as_str(), check.records), ("H26", "2026-11", 2));
        let fewer = ApprovalFile { leaves: file.leaves.lines().next().unwrap().to_owned() + "\n", ..file.clone() };
        assert_eq!(check_approval(&fewer, &trust), Err(ApprovalCheckError::OtherRecords));
        let others = ApproverTrust::new(&Authority::root("Others").pem(), None).unwrap();
        assert!(matches!(check_approval(&file, &others), Err(ApprovalCheckError::Signature(_))));
        let theirs = ApprovalFile { certificate: STANDARD.encode(&colleague.der), ..file };
        assert!(matches!(check_approval(&theirs, &trust), Err(ApprovalCheckError::Signature(_))));

        // An approval of a unit above is one of all below it.
        let below = hanoi.get("/api/v1/reports/2026-11.json?unit=H26.05").await.expect(200);
        assert_eq!(below["approvals"], json!({"made": [], "missing": []}));

        // Others see nothing of it.
        assert_eq!(ministry.get(&format!("/api/v1/approvals/{id}")).await.problem(404), "not-found");
        assert_eq!(hanoi.get("/api/v1/approvals/AAAAAAAAAAAAAAAAAAAAAA").await.problem(404), "not-found");
        let list = hanoi.get("/api/v1/approvals?unit=H26").await.expect(200);
        assert_eq!((list["items"].as_array().unwrap().len(), &list["items"][0]["id"], &list["next"]), (1, &made["id"], &Value::Null));
        let whole = hanoi.get(&format!("/api/v1/approvals/{id}")).await.expect(200);
        assert_eq!((&whole["form"], &whole["document"]), (&json!("cms"), &json!(STANDARD.encode(&document))));
    }
}

story! {
    async fn an_approval_waits_for_nobody_elses_records_and_for_no_dead_process(town) {
        let root = Authority::root("Approvers");
        let town = town.trusting(&root, 0, None);
        let chief = signer(&root, "Chief");
        let (vneid, hanoi) = (town.stays("vneid").await, town.stays("hanoi").await);
        vneid.registers("hanoi", &chief, "certificate").await;
        town.hires(&person(1), "H26").await;
        town.at(in_the_window());
        town.computes().await;
        // Another province synchronises without end, and the process that claimed what there is to compute has died.
        town.imports(&person(2), "G09", "001", "active").await;
        town.imports(&person(1), "H26", "002", "active").await;
        let now = town.clock.now();
        assert!(town.service.store().claim_quality("dead".into(), 100, now, now + 120).await.unwrap().is_some());
        town.imports(&person(3), "G09", "001", "active").await;
        let document = hanoi.document(DOCUMENT).await;
        let tally = StateDocument::parse(&document).unwrap().tally;
        assert_eq!((tally.records, tally.holds), (1, [1, 1, 0, 1]), "the unit's own change is in it");
        hanoi.signs_off(&document, town.signs(&chief, &document, &CADES)).await.expect(201);
        assert!(town.service.store().quality_pending(now).await.unwrap() > 0, "the others still wait");
    }
}

story! {
    async fn what_was_handed_out_is_known_for_a_day_and_not_without_end(town) {
        let root = Authority::root("Approvers");
        let town = town.trusting(&root, 0, None);
        let chief = signer(&root, "Chief");
        let (vneid, hanoi) = (town.stays("vneid").await, town.stays("hanoi").await);
        vneid.registers("hanoi", &chief, "certificate").await;
        town.hires(&person(1), "H26").await;
        town.at(in_the_window());
        let first = hanoi.document(DOCUMENT).await;
        for _ in 0..officials_card::store::MOST_DRAFTS {
            town.clock.advance(1);
            hanoi.document(DOCUMENT).await;
        }
        let refused = hanoi.signs_off(&first, town.signs(&chief, &first, &CADES)).await;
        assert_eq!(refused.problem(409), "state-moved", "newer ones took its place");
        let store = town.service.store();
        store.clear_away(town.clock.now()).await.unwrap();
        let last = hanoi.document(DOCUMENT).await;
        let known = async || store.has_draft(&StateDocument::digest(&last)).await.unwrap();
        assert!(known().await);
        store.clear_away(town.clock.now() + 86_401).await.unwrap();
        assert!(!known().await);
    }
}

story! {
    async fn a_name_that_only_reads_alike_is_another(town) {
        let root = Authority::root("Approvers");
        let town = town.trusting(&root, 0, None);
        let chief = signer(&root, "Chief");
        let (vneid, hanoi) = (town.stays("vneid").await, town.stays("hanoi").await);
        vneid.registers("hanoi", &chief, "subject").await;
        town.hires(&person(1), "H26").await;
        town.at(in_the_window());
        let document = hanoi.document(DOCUMENT).await;
        let twin = root.person_called(rcgen::DnValue::PrintableString("Chief".try_into().unwrap()), KeyUsagePurpose::ContentCommitment, NOW + YEAR);
        let refused = hanoi.signs_off(&document, town.signs(&twin, &document, &CADES)).await;
        assert_eq!(refused.problem(403), "unregistered-certificate");
        let renewed = signer(&root, "Chief");
        hanoi.signs_off(&document, town.signs(&renewed, &document, &CADES)).await.expect(201);
    }
}

story! {
    async fn records_are_signed_by_the_approval_and_a_change_is_not(town) {
        let root = Authority::root("Approvers");
        let town = town.trusting(&root, 0, None);
        let chief = signer(&root, "Chief");
        let (vneid, hanoi) = (town.stays("vneid").await, town.stays("hanoi").await);
        vneid.registers("hanoi", &chief, "certificate").await;
        let people: Vec<_> = (1..=5).map(person).collect();
        town.hires_all(&people, "H26").await;
        town.at(in_the_window());
        let document = hanoi.document(DOCUMENT).await;
        let made = hanoi.signs_off(&document, town.signs(&chief, &document, &CADES)).await.expect(201);
        let compute = async || while town.service.compute_quality().await.unwrap().entries > 0 {};
        compute().await;
        assert_eq!(hanoi.get("/api/v1/quality?unit=H26").await.expect(200)["unsigned"], 0);
        town.imports(&person(3), "H26", "002", "active").await;
        town.matches_and_confirms("H26").await;
        compute().await;
        let page = hanoi.get("/api/v1/quality?unit=H26").await.expect(200);
        assert_eq!((&page["unsigned"], &page["approval"]["changed_since"], &page["approval"]["month"]), (&json!(1), &json!(1), &json!("2026-11")));
        let changes = hanoi.get(&format!("/api/v1/approvals/{}/changes", made["id"].as_str().unwrap())).await.expect(200);
        assert_eq!(changes["items"].as_array().unwrap().len(), 1);
        let change = &changes["items"][0];
        assert_eq!((&change["number"], &change["approved_version"], &change["version"]), (&json!(format!("N{}", person(3))), &json!(1), &json!(2)));

        let last = town.service.store().history(change["record"].as_str().unwrap()).await.unwrap().pop().unwrap();
        assert_eq!((&*last.2, &*last.3), ("record.read", "quality"));

        // Once the month is over, only the changed one lacks a signature.
        town.at(datetime!(2026-12-01 00:00 +7).unix_timestamp());
        compute().await;
        let causes = hanoi.get("/api/v1/quality/causes?unit=H26").await.expect(200);
        assert_eq!((causes["items"].as_array().unwrap().len(), &causes["items"][0]["flag"], &causes["items"][0]["count"]), (1, &json!("not_signed"), &json!(1)));

        // The next month names this one, and its report says so.
        town.at(datetime!(2026-12-31 23:00 +7).unix_timestamp());
        let december = hanoi.document(&DOCUMENT.replace("2026-11", "2026-12")).await;
        let state = StateDocument::parse(&december).unwrap();
        assert_eq!(state.previous, Some(StateDocument::digest(&document)));
        let next = hanoi.signs_off(&december, town.signs(&chief, &december, &CADES)).await.expect(201);
        assert_eq!(next["previous"], made["document_sha256"]);
        let report = hanoi.get("/api/v1/reports/2026-12.json?unit=H26").await.expect(200);
        assert_eq!((&report["approvals"]["made"][0]["unit"], &report["approvals"]["missing"]), (&json!("H26"), &json!([])));
        compute().await;
        assert_eq!(hanoi.get("/api/v1/quality/causes?unit=H26").await.expect(200)["items"], json!([]));
        let first = hanoi.get("/api/v1/approvals?unit=H26&limit=1").await.expect(200);
        assert_eq!(first["items"][0]["id"], next["id"]);
        assert!(first["items"][0].get("changed_since").is_none() && next["changed_since"] == 0, "a list counts nothing");
        let second = hanoi.get(&format!("/api/v1/approvals?unit=H26&after={}", first["next"].as_str().unwrap())).await.expect(200);
        assert_eq!((&second["items"][0]["id"], &second["items"][0]["changed_since"]), (&made["id"], &Value::Null));
        // The root is what anybody computes from the versions that are kept.
        let mut leaves = town.service.store().approval_leaves("H26", 100).await.unwrap();
        leaves.sort_by(|one, two| one.record.cmp(&two.record));
        assert_eq!(Tree::of(&leaves).root(), state.root);
    }
}

story! {
    async fn an_older_state_that_is_signed_later_takes_no_signature_back(town) {
        let root = Authority::root("Approvers");
        let town = town.trusting(&root, 0, None);
        let [(hanoi, chief), (department, head)] = two_levels(&town, &root).await;
        for at in 1..=2 {
            town.hires(&person(at), "H26.05").await;
        }
        town.at(in_the_window());
        let older = hanoi.document(DOCUMENT).await;
        town.imports(&person(1), "H26.05", "002", "active").await;
        // The department signs the second version first.
        let newer = department.document(&DOCUMENT.replace("H26", "H26.05")).await;
        department.signs_off(&newer, town.signs(&head, &newer, &CADES)).await.expect(201);
        town.clock.advance(3_600);
        let made = hanoi.signs_off(&older, town.signs(&chief, &older, &CADES)).await.expect(201);
        assert_eq!(made["changed_since"], 0, "each is signed at the newest version that somebody signed");
        let pool = sqlx::AnyPool::connect(&town.database_url).await.unwrap();
        let signed: Vec<i64> =
            sqlx::query_scalar("SELECT version FROM signed_records ORDER BY version").fetch_all(&pool).await.unwrap();
        pool.close().await;
        assert_eq!(signed, [1, 2]);
    }
}

story! {
    async fn of_two_approvals_of_one_second_the_newer_version_is_signed(town) {
        let root = Authority::root("Approvers");
        let town = town.trusting(&root, 0, None);
        let [(hanoi, chief), (department, head)] = two_levels(&town, &root).await;
        town.hires(&person(1), "H26.05").await;
        town.at(in_the_window());
        let older = hanoi.document(DOCUMENT).await;
        town.imports(&person(1), "H26.05", "002", "active").await;
        let newer = department.document(&DOCUMENT.replace("H26", "H26.05")).await;
        let made = hanoi.signs_off(&older, town.signs(&chief, &older, &CADES)).await.expect(201);
        assert_eq!(made["changed_since"], 1);
        let made = department.signs_off(&newer, town.signs(&head, &newer, &CADES)).await.expect(201);
        assert_eq!(made["changed_since"], 0);
    }
}

story! {
    async fn late_approvals_need_a_reason_and_a_jws_will_do(town) {
        let root = Authority::root("Approvers");
        let town = town.trusting(&root, 10, None);
        let chief = signer(&root, "Chief");
        let (vneid, hanoi) = (town.stays("vneid").await, town.stays("hanoi").await);
        vneid.registers("hanoi", &chief, "subject").await;
        town.hires(&person(1), "H26").await;
        town.at(datetime!(2026-12-05 09:00 +7).unix_timestamp());
        let document = hanoi.document(DOCUMENT).await;
        let renewed = signer(&root, "Chief");
        let x5c = json!([STANDARD.encode(&renewed.der)]);
        let signature = jws(&renewed, &document, json!({"alg": "ES256", "x5c": x5c}));
        let body = |reason: Value| json!({"document": STANDARD.encode(&document), "signature": signature, "reason": reason});
        for reason in [Value::Null, json!(" "), json!("x\u{0}"), json!("x".repeat(501))] {
            assert_eq!(hanoi.post("/api/v1/approvals", body(reason)).await.problem(400), "invalid-request");
        }
        for wrong in [
            jws(&chief, &document, json!({"alg": "ES256", "x5c": x5c})),
            jws(&renewed, b"other", json!({"alg": "ES256", "x5c": x5c})),
            jws(&renewed, &document, json!({"alg": "none", "x5c": x5c})),
            jws(&renewed, &document, json!({"alg": "RS256", "x5c": x5c})),
            jws(&renewed, &document, json!({"alg": "ES256"})),
            jws(&renewed, &document, json!({"alg": "ES256", "x5c": x5c, "b64": false, "crit": ["b64"]})),
        ] {
            let body = json!({"document": STANDARD.encode(&document), "signature": wrong, "reason": "Nghỉ phép"});
            assert_eq!(hanoi.post("/api/v1/approvals", body).await.problem(400), "invalid-signature");
        }
        let made = hanoi.post("/api/v1/approvals", body(json!("Nghỉ phép"))).await.expect(201);
        assert_eq!((&made["reason"], &made["month"]), (&json!("Nghỉ phép"), &json!("2026-11")));
        let report = hanoi.get("/api/v1/reports/2026-11.json?unit=H26").await.expect(200);
        assert_eq!(report["approvals"]["made"][0]["late"], true);
        let file = hanoi.get(&format!("/api/v1/approvals/{}/file", made["id"].as_str().unwrap())).await;
        let file: ApprovalFile = serde_json::from_slice(&file.bytes).unwrap();
        check_approval(&file, &ApproverTrust::new(&root.pem(), None).unwrap()).unwrap();
        assert_eq!(hanoi.get("/api/v1/approvals?unit=H26").await.expect(200)["late_days"], 10);
        town.at(datetime!(2026-12-11 00:00 +7).unix_timestamp());
        assert_eq!(hanoi.get(DOCUMENT).await.problem(409), "outside-window");
    }
}

story! {
    async fn certificates_are_checked_for_root_time_use_and_revocation(town) {
        let (root, strangers) = (Authority::root("Approvers"), Authority::root("Strangers"));
        let list = root.takes_back("Gone", NOW + YEAR);
        let town = town.trusting(&root, 0, Some(&list));
        let (vneid, hanoi) = (town.stays("vneid").await, town.stays("hanoi").await);
        let chief = signer(&root, "Chief");
        let ended = root.person("Ended", KeyUsagePurpose::DigitalSignature, in_the_window() - 1);
        let (gone, stranger) = (signer(&root, "Gone"), signer(&strangers, "Chief"));
        let sealer = root.person("Sealer", KeyUsagePurpose::KeyEncipherment, NOW + YEAR);
        let body = |pem: &str| json!({"officer": "hanoi", "certificate": pem});
        for wrong in [&sealer.pem, &root.pem(), &String::new(), &format!("{}{}", chief.pem, chief.pem)] {
            assert_eq!(vneid.post(CERTIFICATES, body(wrong)).await.problem(400), "invalid-request");
        }
        for person in [&ended, &gone, &stranger] {
            vneid.registers("hanoi", person, "certificate").await;
        }
        town.hires(&person(1), "H26").await;
        town.at(in_the_window());
        let document = hanoi.document(DOCUMENT).await;
        for (person, says) in [(&ended, "not valid now"), (&gone, "revoked"), (&stranger, "configured root")] {
            let refused = hanoi.signs_off(&document, town.signs(person, &document, &CADES)).await.expect(400);
            assert_eq!(refused["type"], "urn:officials-card:problem:invalid-signature");
            assert!(refused["detail"].as_str().unwrap().contains(says), "{refused}");
        }
        let registered = vneid.registers("hanoi", &chief, "certificate").await;
        // A list that is out of date is none.
        town.write("list.pem", &root.takes_back("Gone", in_the_window() - 1));
        let signature = town.signs(&chief, &document, &CADES);
        let old = town.trusting(&root, 0, Some(&root.takes_back("Gone", in_the_window() - 1)));
        let refused = old.stays("hanoi").await.signs_off(&document, signature.clone()).await.expect(400);
        assert!(refused["detail"].as_str().unwrap().contains("out of date"), "{refused}");
        let current = town.trusting(&root, 0, Some(&list));
        // A certificate that is taken out approves nothing.
        let path = format!("{CERTIFICATES}/{}", registered["id"].as_str().unwrap());
        assert_eq!(vneid.call("DELETE", &path, Value::Null).await.status, 204);
        assert_eq!(vneid.call("DELETE", &path, Value::Null).await.problem(404), "not-found");
        let hanoi = current.stays("hanoi").await;
        assert_eq!(hanoi.signs_off(&document, signature.clone()).await.problem(403), "unregistered-certificate");
        vneid.registers("hanoi", &chief, "certificate").await;
        assert_eq!(vneid.get(CERTIFICATES).await.expect(200)["items"].as_array().unwrap().len(), 4);
        hanoi.signs_off(&document, signature).await.expect(201);
    }
}

story! {
    async fn of_two_approvals_at_once_exactly_one_is_kept(town) {
        let root = Authority::root("Approvers");
        let town = town.trusting(&root, 0, None);
        let chief = signer(&root, "Chief");
        let (vneid, hanoi) = (town.stays("vneid").await, town.stays("hanoi").await);
        vneid.registers("hanoi", &chief, "certificate").await;
        town.hires(&person(1), "H26").await;
        town.at(in_the_window());
        let document = hanoi.document(DOCUMENT).await;
        let signature = town.signs(&chief, &document, &CADES);
        let answers = join_all((0..6).map(|_| hanoi.signs_off(&document, signature.clone()))).await;
        let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses[0], 201);
        // One that finds every place taken is told to come again.
        assert!(statuses[1..].iter().all(|status| [409, 503].contains(status)), "{statuses:?}");
        let list = hanoi.get("/api/v1/approvals?unit=H26").await.expect(200);
        assert_eq!(list["items"].as_array().unwrap().len(), 1);
    }
}

story! {
    async fn the_database_refuses_to_change_what_was_approved(town) {
        let root = Authority::root("Approvers");
        let town = town.trusting(&root, 0, None);
        let chief = signer(&root, "Chief");
        let (vneid, hanoi) = (town.stays("vneid").await, town.stays("hanoi").await);
        vneid.registers("hanoi", &chief, "certificate").await;
        town.hires(&person(1), "H26").await;
        town.at(in_the_window());
        let document = hanoi.document(DOCUMENT).await;
        hanoi.signs_off(&document, town.signs(&chief, &document, &CADES)).await.expect(201);
        let pool = sqlx::AnyPool::connect(&town.database_url).await.unwrap();
        for statement in [
            "UPDATE approvals SET approver = 'x'",
            "DELETE FROM approvals",
            "UPDATE approval_leaves SET leaves = ''",
            "DELETE FROM approval_leaves",
        ] {
            let refused = sqlx::query(statement).execute(&pool).await.unwrap_err().to_string();
            assert!(refused.contains("append-only"), "{statement}: {refused}");
        }
        pool.close().await;
    }
}
