//! The unit's word on what others sent: shown beside what it confirmed last, given to exactly what was seen, never by who
//! uploaded it while somebody else can, or refused and sent back.

use officials_card::flow::{Expects, Incoming, Says};
use officials_card::model::id::{Handle, PersonalNumber};
use officials_card::model::origin::{Origin, Way};
use officials_card::model::patch::Patch;
use officials_card::model::rights::Role;
use officials_card::model::value::hex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::Connection;

use crate::review::{PERSON, Seats, desk, office, record_of};
use crate::story;
use crate::town::{Officer, Town};

/// Somebody sends a person's record with these fields changed; nobody gives the unit's word with it.
pub async fn sends(town: &Town, person: &str, way: Way, actor: &str, changes: Value) {
    let number = PersonalNumber::parse(person).unwrap();
    let stored = town.service.store().records_of(&number).await.unwrap().pop().unwrap();
    let differences = changes.as_object().unwrap().iter();
    let differences = differences.map(|(field, new)| (field.clone(), json!({"old": null, "new": new})));
    let patch = Patch::parse(&Value::Object(differences.collect()).to_string()).unwrap();
    let mut record = patch.apply(&stored.record).unwrap();
    if let Some(jpeg) = stored.record.portrait().and_then(|portrait| portrait.jpeg()) {
        record.attach_portrait(jpeg.to_vec());
    }
    let origin = Origin { way, reference: "up1".into(), actor: actor.into() };
    let incoming =
        Incoming { record, expects: Expects::Existing, effective_on: None, confirmed_by: None, says: Says::All };
    town.service.receive(&origin, vec![incoming]).await.unwrap();
}

async fn waiting(officer: &Officer<'_>, query: &str) -> Vec<Value> {
    let page = officer.get(&format!("/api/v1/confirmations{query}")).await.expect(200);
    page["items"].as_array().unwrap().clone()
}

/// Says yes to versions; what each became.
pub async fn confirms(officer: &Officer<'_>, unit: &str, seen: &[(&Handle, i64)]) -> Vec<String> {
    let records: Vec<_> =
        seen.iter().map(|(record, version)| json!({"record": record.to_string(), "version": version})).collect();
    let answer = officer.post("/api/v1/records/confirm", json!({"unit": unit, "records": records})).await.expect(200);
    answer["records"].as_array().unwrap().iter().map(|said| said["outcome"].as_str().unwrap().to_owned()).collect()
}

story! {
    async fn a_face_is_seen_before_it_is_confirmed(town) {
        let desk = desk(&town).await;
        town.imports_as("faces", PERSON, "H26", "001", "active").await;
        let an = desk.officer("an").await;
        let item = waiting(&an, "").await.remove(0);
        let changes = item["changes"].as_array().unwrap();
        let face = changes.iter().find(|change| change["field"] == "portrait_photo").unwrap();
        let named = face["new"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let at = |named: &str| format!("/api/v1/records/{}/portraits/{named}", item["record"].as_str().unwrap());
        let seen = an.get(&at(named)).await;
        assert_eq!(hex(&Sha256::digest(&seen.bytes)), named);
        assert_eq!(seen.headers["content-type"], "image/jpeg");
        assert_eq!(an.get(&at(&"0".repeat(64))).await.problem(404), "not-found", "not its own");
        assert_eq!(desk.officer("elsewhere").await.get(&at(named)).await.problem(404), "not-found");
        let (record, _) = record_of(&desk, PERSON).await;
        let lines = desk.service.store().history(record.as_str()).await.unwrap();
        assert!(lines.iter().any(|line| (line.1.as_str(), line.2.as_str(), line.3.as_str()) == ("an", "record.read", "portrait")));
    }
}

story! {
    async fn what_waits_is_shown_beside_the_unit_s_last_word_and_confirmed_as_it_was_seen(town) {
        let desk = desk(&town).await;
        town.hires(PERSON, "H26").await;
        let an = desk.officer("an").await;
        assert!(waiting(&an, "").await.is_empty());
        sends(&desk, PERSON, Way::Sync, "system", json!({"academic_degree": "01"})).await;
        sends(&desk, PERSON, Way::Upload, "clerk", json!({"position_title": "002"})).await;
        let (record, version) = record_of(&desk, PERSON).await;
        let before = desk.service.store().history(record.as_str()).await.unwrap().len();
        let items = waiting(&an, "?unit=H26").await;
        assert_eq!(items.len(), 1);
        let item = &items[0];
        assert_eq!((&item["version"], &item["confirmed_version"], &item["is_new"]), (&json!(version), &json!(version - 2), &json!(false)));
        assert_eq!(item["sent_by"], json!({"way": "upload", "actor": "clerk", "reference": "up1"}));
        let changed: Vec<_> = item["changes"].as_array().unwrap().iter().map(|change| json!([change["field"], change["old"], change["new"]])).collect();
        assert_eq!(changed, [json!(["academic_degree", null, "01"]), json!(["position_title", "001", "002"])], "all since the last word");
        assert_eq!((&item["may_confirm"], item["person_masked"].as_str()), (&json!(true), Some("*********018")));
        let lines = desk.service.store().history(record.as_str()).await.unwrap();
        assert_eq!((lines[before].1.as_str(), lines[before].2.as_str(), lines[before].3.as_str()), ("an", "record.read", "unit.confirmation"));

        // Somebody sends more before the officer says yes: what was not seen is not confirmed.
        sends(&desk, PERSON, Way::Sync, "system", json!({"academic_degree": "02"})).await;
        assert_eq!(confirms(&an, "H26", &[(&record, version)]).await, ["moved_on"]);
        assert_eq!(waiting(&an, "").await.len(), 1);
        let nobody = Handle::parse("0000000000000000").unwrap();
        assert_eq!(confirms(&an, "H26", &[(&record, version + 1), (&nobody, 1)]).await, ["confirmed", "not_found"]);
        assert_eq!(confirms(&an, "H26", &[(&record, version + 1)]).await, ["already"]);
        assert_eq!(confirms(&desk.officer("elsewhere").await, "G09", &[(&record, version + 1)]).await, ["not_found"], "another unit's");
        assert!(waiting(&an, "").await.is_empty());
        let number = PersonalNumber::parse(PERSON).unwrap();
        let stored = desk.service.store().records_of(&number).await.unwrap().pop().unwrap();
        assert_eq!((stored.confirmed_by.as_deref(), stored.confirmed_version), (Some("an"), Some(version + 1)));
    }
}

story! {
    async fn who_uploaded_does_not_confirm_while_somebody_else_can(town) {
        let desk = desk(&town).await;
        town.hires(PERSON, "H26").await;
        town.hires("001199000019", "H26").await;
        town.hires("001199000020", "G09").await;
        let (head, binh) = (desk.officer("head").await, desk.officer("binh").await);
        sends(&desk, PERSON, Way::Upload, "head", json!({"academic_degree": "01"})).await;
        // What others sent afterwards does not hide it.
        sends(&desk, PERSON, Way::Sync, "system", json!({"scientific_title": "01"})).await;
        sends(&desk, "001199000019", Way::Upload, "clerk", json!({"academic_degree": "01"})).await;
        let (record, version) = record_of(&desk, PERSON).await;
        let own: Vec<_> = waiting(&head, "").await.into_iter().filter(|item| item["record"] == record.to_string()).collect();
        assert_eq!((&own[0]["may_confirm"], own[0]["why_not"].as_str()), (&json!(false), Some("own")));
        assert_eq!(confirms(&head, "H26", &[(&record, version)]).await, ["own"]);
        let by_number = json!({"unit": "H26", "numbers": [format!("N{PERSON}")]});
        assert_eq!(head.post("/api/v1/records/confirm", by_number).await.expect(200), json!({"confirmed": 0, "own": 1}));
        assert_eq!(head.post("/api/v1/records/confirm", json!({"unit": "H26"})).await.expect(200), json!({"confirmed": 1, "own": 1}));
        assert_eq!(confirms(&binh, "H26", &[(&record, version)]).await, ["confirmed"]);
        // Once the unit has said its word, the next one is the next one's.
        sends(&desk, PERSON, Way::Sync, "system", json!({"scientific_title": "02"})).await;
        assert_eq!(confirms(&head, "H26", &[(&record, version + 1)]).await, ["confirmed"]);

        // Where there is nobody else, somebody has to.
        sends(&desk, "001199000020", Way::Upload, "elsewhere", json!({"academic_degree": "01"})).await;
        let (record, version) = record_of(&desk, "001199000020").await;
        let only = desk.officer("elsewhere").await;
        assert_eq!(waiting(&only, "").await[0]["may_confirm"], true);
        assert_eq!(confirms(&only, "G09", &[(&record, version)]).await, ["confirmed"]);
    }
}

story! {
    async fn what_is_sent_back_waits_for_its_sender(town) {
        let desk = desk(&town).await;
        town.hires(PERSON, "H26").await;
        sends(&desk, PERSON, Way::Upload, "clerk", json!({"academic_degree": "01"})).await;
        let (record, version) = record_of(&desk, PERSON).await;
        let an = desk.officer("an").await;
        let path = format!("/api/v1/confirmations/{record}/return");
        let body = |version: i64, reason: &str, note: &str| json!({"version": version, "reason": reason, "note": note});
        assert_eq!(an.post(&path, body(version, "wrong_value", "")).await.problem(400), "invalid-request");
        assert_eq!(an.post(&path, body(version, "evidence_missing", "")).await.problem(400), "invalid-request", "that is for proposals");
        assert_eq!(an.post(&path, body(version - 1, "wrong_value", "Sai")).await.problem(409), "moved-on");
        assert_eq!(desk.officer("elsewhere").await.post(&path, body(version, "wrong_value", "Sai")).await.problem(404), "not-found");
        assert_eq!(desk.officer("clerk").await.post(&path, body(version, "wrong_value", "Sai")).await.problem(403), "insufficient-scope");
        assert_eq!(an.post(&path, body(version, "wrong_value", "Sai bằng")).await.status, 204);
        assert!(waiting(&an, "").await.is_empty());
        let clerk = desk.officer("clerk").await;
        let returned = waiting(&clerk, "?state=returned").await;
        let told = &returned[0]["returned"];
        assert_eq!((&told["reason"], &told["note"], &told["by"]), (&json!("wrong_value"), &json!("Sai bằng"), &json!("an")));
        assert_eq!(returned[0]["why_not"], "scope");
        let all = an.post("/api/v1/records/confirm", json!({"unit": "H26"})).await.expect(200);
        assert_eq!(all["confirmed"], 0, "it is not confirmed along with the rest");
        // The sender sends it right.
        sends(&desk, PERSON, Way::Upload, "clerk", json!({"academic_degree": "02"})).await;
        assert!(waiting(&an, "?state=returned").await.is_empty());
        let items = waiting(&an, "").await;
        assert_eq!((items.len(), &items[0]["returned"]), (1, &Value::Null));
        assert_eq!(confirms(&an, "H26", &[(&record, version + 1)]).await, ["confirmed"]);
        assert_eq!(an.post(&path, body(version + 1, "wrong_value", "Sai")).await.problem(409), "moved-on", "the word is given");
    }
}

story! {
    async fn what_waits_comes_in_pages_of_own_units(town) {
        let desk = desk(&town).await;
        for (person, unit) in [("001199000018", "H26"), ("001199000019", "H26.05"), ("001199000020", "H26.06"), ("001199000021", "G09")] {
            town.imports(person, unit, "001", "active").await;
        }
        let an = desk.officer("an").await;
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let page = an.get(&format!("/api/v1/confirmations?limit=1{after}")).await.expect(200);
            seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["unit"].as_str().unwrap().to_owned()));
            assert!(page["items"].as_array().unwrap().iter().all(|item| item["is_new"] == true && item["changes"].as_array().unwrap().len() > 5));
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(seen, ["H26", "H26.05", "H26.06"]);
        assert_eq!(waiting(&desk.officer("dung").await, "").await.len(), 1);
        assert_eq!(waiting(&desk.officer("ministry").await, "").await.len(), 4);
        let dung = desk.officer("dung").await;
        assert_eq!(dung.get("/api/v1/confirmations?unit=H26").await.problem(403), "foreign-unit");
        assert_eq!(desk.officer("clerk-05").await.get("/api/v1/confirmations").await.problem(403), "insufficient-scope");
        for bad in ["?limit=0", "?state=done", "?after=x", "?unit=x"] {
            assert_eq!(dung.get(&format!("/api/v1/confirmations{bad}")).await.problem(400), "invalid-request", "{bad}");
        }
        for bad in [json!({"unit": "H26", "records": []}), json!({"unit": "H26", "records": [{"record": "x", "version": 1}]}),
            json!({"unit": "H26", "records": [{"record": "0000000000000000", "version": 1}], "numbers": ["1"]})] {
            assert_eq!(an.post("/api/v1/records/confirm", bad).await.problem(400), "invalid-request");
        }
    }
}

/// A page of the office confirms records as they were seen. Returns what became of each.
async fn sees_and_confirms(seats: &Seats<'_>, who: &str, unit: &str, seen: &[(&Handle, i64)]) -> Vec<String> {
    let records: Vec<_> =
        seen.iter().map(|(record, version)| json!({"record": record.to_string(), "version": version})).collect();
    let body = json!({"unit": unit, "records": records});
    let answer = seats.send(who, "POST", "/api/v1/records/confirm", body).await.expect(200);
    answer["records"].as_array().unwrap().iter().map(|said| said["outcome"].as_str().unwrap().to_owned()).collect()
}

story! {
    async fn naming_the_unit_above_is_no_way_round_the_other_pair_of_eyes(town) {
        let desk = office(&desk(&town).await);
        // In H26 the head is alone; the department has somebody of its own.
        let seats = Seats::of(&desk, &[("head", Role::UnitHead, "H26", None), ("dan", Role::Confirmer, "H26.05", None)]).await;
        let head = seats.id("head").to_string();
        for (person, unit) in [("001199000018", "H26"), ("001199000019", "H26.05"), ("001199000020", "H26.06")] {
            town.hires(person, unit).await;
            sends(&desk, person, Way::Upload, &head, json!({"academic_degree": "01"})).await;
        }
        let (own, own_version) = record_of(&desk, "001199000018").await;
        let (below, below_version) = record_of(&desk, "001199000019").await;
        let page = seats.send("head", "GET", "/api/v1/confirmations", Value::Null).await.expect(200);
        let told: Vec<_> = page["items"].as_array().unwrap().iter().map(|item| item["why_not"].clone()).collect();
        assert_eq!(told, [Value::Null, json!("own"), Value::Null]);
        let seen = [(&own, own_version), (&below, below_version)];
        assert_eq!(sees_and_confirms(&seats, "head", "H26", &seen).await, ["confirmed", "own"]);
        let all = json!({"unit": "H26"});
        let answer = seats.send("head", "POST", "/api/v1/records/confirm", all).await.expect(200);
        assert_eq!(answer, json!({"confirmed": 1, "own": 1}), "what has nobody else, and not what has");
        assert_eq!(sees_and_confirms(&seats, "dan", "H26.05", &[(&below, below_version)]).await, ["confirmed"]);
    }
}

story! {
    async fn who_uploaded_has_a_part_in_what_another_submitted(town) {
        let desk = desk(&town).await;
        town.hires(PERSON, "H26").await;
        sends(&desk, PERSON, Way::Upload, "head", json!({"academic_degree": "01"})).await;
        sqlx::any::install_default_drivers();
        let mut database = sqlx::AnyConnection::connect(&desk.database_url).await.unwrap();
        let upload = "INSERT INTO uploads (id, unit, name, format, state, uploaded_by, submitted_by, created_at) \
            VALUES ('up1', 'H26', 'a.xlsx', 'xlsx', 'done', 'an', 'head', 1)";
        sqlx::query(upload).execute(&mut database).await.unwrap();
        let (record, version) = record_of(&desk, PERSON).await;
        let (an, binh) = (desk.officer("an").await, desk.officer("binh").await);
        assert_eq!(waiting(&an, "").await[0]["why_not"], "own");
        assert_eq!(confirms(&an, "H26", &[(&record, version)]).await, ["own"]);
        assert_eq!(confirms(&desk.officer("head").await, "H26", &[(&record, version)]).await, ["own"]);
        assert_eq!(an.post("/api/v1/records/confirm", json!({"unit": "H26"})).await.expect(200), json!({"confirmed": 0, "own": 1}));
        assert_eq!(confirms(&binh, "H26", &[(&record, version)]).await, ["confirmed"]);
    }
}

story! {
    async fn nobody_gives_the_unit_s_word_on_themselves(town) {
        let desk = office(&desk(&town).await);
        town.hires(PERSON, "H26").await;
        town.hires("001199000019", "H26").await;
        let seats = Seats::of(&desk, &[("hoa", Role::Confirmer, "H26", Some(PERSON)), ("lan", Role::Confirmer, "H26", None)]).await;
        for person in [PERSON, "001199000019"] {
            sends(&desk, person, Way::Sync, "system", json!({"position_title": "002"})).await;
        }
        let (record, version) = record_of(&desk, PERSON).await;
        let page = seats.send("hoa", "GET", "/api/v1/confirmations", Value::Null).await.expect(200);
        let mut told: Vec<_> = page["items"].as_array().unwrap().iter().map(|item| item["why_not"].clone()).collect();
        told.sort_by_key(ToString::to_string);
        assert_eq!(told, [json!("self"), Value::Null]);
        assert_eq!(sees_and_confirms(&seats, "hoa", "H26", &[(&record, version)]).await, ["self"]);
        let by_number = json!({"unit": "H26", "numbers": [format!("N{PERSON}")]});
        let answer = seats.send("hoa", "POST", "/api/v1/records/confirm", by_number).await.expect(200);
        assert_eq!(answer, json!({"confirmed": 0, "own": 1}));
        let answer = seats.send("hoa", "POST", "/api/v1/records/confirm", json!({"unit": "H26"})).await.expect(200);
        assert_eq!(answer, json!({"confirmed": 1, "own": 1}));
        let back = json!({"version": version, "reason": "wrong_value", "note": "Sai"});
        let path = format!("/api/v1/confirmations/{record}/return");
        assert_eq!(seats.send("hoa", "POST", &path, back).await.problem(403), "not-impartial");
        assert_eq!(sees_and_confirms(&seats, "lan", "H26", &[(&record, version)]).await, ["confirmed"]);
    }
}
