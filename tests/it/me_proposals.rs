//! Officials who change what is held on them: at once, by proposal, not at all; who take it back, appeal, and meet others
//! on the way.

use futures_util::future::join_all;
use officials_card::model::calendar::start_of;
use officials_card::model::id::PersonalNumber;
use officials_card::store::Confirmed;
use serde_json::{Value, json};
use sqlx::Connection;
use time::macros::date;

use crate::holder::{NEIGHBOUR, Office, PERSON};
use crate::me::{Me, field};
use crate::me_evidence::a_pdf;
use crate::story;
use crate::town::Town;

/// A reviewer decides, by the one statement that counts. Returns whether they were first.
pub async fn decides(town: &Town, proposal: &str, state: &str) -> bool {
    sqlx::any::install_default_drivers();
    let mut database = sqlx::AnyConnection::connect(&town.database_url).await.unwrap();
    let statement = "UPDATE proposals SET state = $2, decided_at = $3, decided_by = 'nguyen.van.a', reason = 'not_supported' \
        WHERE id = $1 AND state IN ('open', 'first_approved', 'appealed')";
    let decided = sqlx::query(statement).bind(proposal).bind(state).bind(town.clock.now()).execute(&mut database).await;
    decided.unwrap().rows_affected() == 1
}

fn faults(answer: crate::town::Answer) -> Vec<(String, String)> {
    let body = String::from_utf8_lossy(&answer.bytes).into_owned();
    assert_eq!(answer.header("content-type"), "application/problem+json", "{body}");
    let problem = answer.expect(422);
    assert_eq!(problem["type"], "urn:officials-card:problem:unacceptable-changes");
    let text = |fault: &Value, member: &str| fault[member].as_str().unwrap().to_owned();
    let faults = problem["faults"].as_array().unwrap();
    assert!(faults.iter().all(|fault| !text(fault, "vi").is_empty() && !text(fault, "en").is_empty()));
    faults.iter().map(|fault| (text(fault, "field"), text(fault, "rule"))).collect()
}

story! {
    async fn plain_contact_details_change_at_once_and_the_units_word_stands(town) {
        let office = Office::open(town).await;
        let officer = office.town.officer("vneid").await;
        office.town.wallet().card(&officer, PERSON, "official-card-sdjwt").await;
        let me = Me::signs_in(&office, PERSON).await;
        let before = me.get("").await.expect(200);
        office.town.clock.advance(100);
        let done = me.proposes(json!({"phone_number": "0912345678", "email": "an@hanoi.gov.vn"})).await.expect(201);
        assert_eq!(done, json!({"applied": {"fields": ["email", "phone_number"], "version": 2}, "proposal": null}));
        office.town.service.follow_records().await.unwrap();
        office.town.service.refresh_cards().await.unwrap();
        let after = me.get("").await.expect(200);
        assert_eq!(field(&after["records"][0], "phone_number")["value"], "0912345678");
        for same in ["confirmed_at", "population"] {
            assert_eq!(after["records"][0][same], before["records"][0][same], "{same}");
        }
        assert_eq!(after["cards"], before["cards"]);
        let record = me.handle().await;
        let told = office.town.service.store().history(&record).await.unwrap();
        assert!(!told.iter().any(|line| line.2 == "record.confirmed"), "the unit said nothing: {told:?}");
        assert!(told.iter().any(|line| (line.1.as_str(), line.2.as_str()) == ("holder", "record.changed")));
        // The same again is nothing, and null empties.
        let again = me.proposes(json!({"email": "an@hanoi.gov.vn"})).await.expect(200);
        assert_eq!(again, json!({"applied": null, "proposal": null}));
        me.proposes(json!({"email": null})).await.expect(201);
        let emptied = me.record().await;
        let email = field(&emptied, "email");
        assert_eq!((&email["value"], &email["source"]["way"]), (&Value::Null, &json!("update")));
        // A record that the unit has not confirmed stays so.
        office.town.imports(PERSON, "H26", "002", "active").await;
        me.proposes(json!({"phone_number": "0987654321"})).await.expect(201);
        assert_eq!(me.record().await["confirmed_at"], Value::Null);
    }
}

story! {
    async fn a_change_of_a_later_day_leaves_the_unit_s_word_as_it_stands_then(town) {
        let office = Office::open(town).await;
        let town = &office.town;
        let me = Me::signs_in(&office, PERSON).await;
        let record = me.handle().await;
        let will = async |changes: Value| {
            let change = json!({"record": record, "changes": changes, "effective_on": "2026-12-01"});
            me.post("/proposals", change).await.expect(201);
        };
        // One while the word is somebody's, one while nobody has given it.
        will(json!({"email": "an@example.vn"})).await;
        town.imports(PERSON, "H26", "002", "active").await;
        will(json!({"phone_number": "0912345678"})).await;
        town.clock.advance(3_600);
        let given = town.clock.now();
        let store = town.service.store();
        store.confirm_records("H26", Confirmed::All, "binh", given, given).await.unwrap();
        town.clock.advance(start_of(date!(2026 - 12 - 01)) - given);
        assert_eq!(town.service.act_on_waiting().await.unwrap(), 2);
        let stored = store.records_of(&PersonalNumber::parse(PERSON).unwrap()).await.unwrap().pop().unwrap();
        assert_eq!((stored.record.text("email"), stored.record.text("phone_number")), (Some("an@example.vn"), Some("0912345678")));
        assert_eq!((stored.confirmed_by.as_deref(), stored.standing.confirmed_at), (Some("binh"), Some(given)));
    }
}

story! {
    async fn what_is_not_theirs_to_type_is_refused_field_by_field(town) {
        let office = Office::open(town).await;
        let me = Me::signs_in(&office, PERSON).await;
        let all = me.proposes(json!({
            "full_name": "Trần Văn Khác", "position_title": "001", "phone_number": "0912345678", "no_such": 1, "<b>": 1,
        })).await;
        assert_eq!(faults(all), [
            ("full_name".to_owned(), "rematch".to_owned()),
            ("position_title".into(), "closed".into()),
            ("no_such".into(), "known_column".into()),
            (String::new(), "known_column".into()),
        ]);
        for (changes, expected) in [
            (json!({"phone_number": "0123"}), ("phone_number", "pattern")),
            (json!({"phone_number": {"a": 1}}), ("phone_number", "pattern")),
            (json!({"marital_status": "married"}), ("marital_status", "pattern")),
            (json!({"DS_NGOAINGU": [{"foreign_language": "no such code"}]}), ("foreign_language[1]", "list")),
            (json!({"DS_NGOAINGU": "x"}), ("DS_NGOAINGU", "entries")),
            (json!({"DS_NGOAINGU": [{"phone_number": "1"}]}), ("phone_number", "known_column")),
            (json!({"foreign_language": "01"}), ("foreign_language", "known_column")),
            (json!({"foreign_language[1]": "01"}), ("", "known_column")),
            (json!({"portrait_photo": "AAAA"}), ("portrait_photo", "image")),
            (json!({"academic_degree_date": "19500101"}), ("academic_degree_date", "date partial; not_before")),
            (json!({"highest_professional_level": "1"}), ("highest_professional_level", "")),
        ] {
            let told = faults(me.proposes(changes.clone()).await);
            assert!(told.len() == 1 && told[0].0 == expected.0 && told[0].1.starts_with(expected.1), "{changes}: {told:?}");
        }
        // A name in the picture's clothes: the first and last bytes are right.
        let picture = "data:image/jpeg;base64,/9j/4AAEAAH/2Q==";
        assert_eq!(faults(me.proposes(json!({"portrait_photo": picture})).await), [("portrait_photo".into(), "image jpeg".into())]);
        let record = me.record().await;
        assert_eq!((&record["version"], &field(&record, "phone_number")["value"]), (&json!(1), &Value::Null), "nothing was done");
        let record = me.handle().await;
        for wrong in [
            json!({}), json!({"record": record}), json!({"record": record, "changes": [1]}),
            json!({"record": record, "changes": {"email": "a@b.vn"}, "note": "x".repeat(2_001)}),
            json!({"record": record, "changes": {"email": "a@b.vn"}, "note": "\u{202e}x"}),
            json!({"record": record, "changes": {"email": "a@b.vn"}, "effective_on": "2020-01-01"}),
            json!({"record": record, "changes": {"email": "a@b.vn"}, "effective_on": "2036-01-01"}),
            json!({"record": record, "changes": {"email": "a@b.vn"}, "effective_on": "tomorrow"}),
            json!({"record": record, "changes": {"email": "a@b.vn"}, "evidence": ["x", "x"]}),
            json!({"record": record, "changes": {"email": "a@b.vn"}, "more": 1}),
        ] {
            assert_eq!(me.post("/proposals", wrong.clone()).await.problem(400), "invalid-request", "{wrong}");
        }
        let unknown = json!({"record": record, "changes": {"marital_status": "1"}, "evidence": ["AAAAAAAAAAAAAAAAAAAAAA"]});
        assert_eq!(me.post("/proposals", unknown).await.problem(404), "not-found");
    }
}

story! {
    async fn what_needs_the_unit_is_proposed_with_old_new_and_now(town) {
        let office = Office::open(town).await;
        let me = Me::signs_in(&office, PERSON).await;
        let now = office.town.clock.now();
        let record = me.handle().await;
        let made = me.post("/proposals", json!({
            "record": record, "changes": {"marital_status": "2", "phone_number": "0912345678"}, "note": "Tôi đã kết hôn",
            "effective_on": null,
        })).await.expect(201);
        assert_eq!(made["applied"], json!({"fields": ["phone_number"], "version": 2}));
        let proposal = &made["proposal"];
        assert_eq!((&proposal["state"], &proposal["unit"], &proposal["note"]), (&json!("open"), &json!("H26"), &json!("Tôi đã kết hôn")));
        assert_eq!((&proposal["base_version"], &proposal["record_version"]), (&json!(1), &json!(2)));
        let change = &proposal["changes"][0];
        assert_eq!((&change["field"], &change["old"], &change["new"], &change["now"]), (&json!("marital_status"), &Value::Null, &json!("2"), &Value::Null));
        assert_eq!((&proposal["conflicts"], &proposal["others"]), (&json!([]), &json!([])));
        // A Sunday: Monday, Tuesday, Wednesday; due when Thursday begins in Vietnam.
        assert_eq!(proposal["due_at"].as_i64().unwrap() - now, 1_795_626_000 - now);
        // A second one for the same field is shown beside it, and a synchronisation in between is a conflict.
        let other = me.proposes(json!({"marital_status": "3"})).await.expect(201);
        assert_eq!(other["proposal"]["others"], json!([proposal["proposal"]]));
        office.town.clock.advance(1);
        synchronised(&office.town, &record, "marital_status", "4").await;
        let path = format!("/proposals/{}", proposal["proposal"].as_str().unwrap());
        let seen = me.get(&path).await.expect(200);
        assert_eq!(seen["conflicts"], json!(["marital_status"]));
        assert_eq!((&seen["changes"][0]["now"], &seen["changes"][0]["is_conflict"]), (&json!("4"), &json!(true)));
        assert_eq!(seen["others"], json!([other["proposal"]["proposal"]]));
        // Page by page.
        let page = me.get("/proposals?limit=1").await.expect(200);
        let next = page["next"].as_str().unwrap();
        let rest = me.get(&format!("/proposals?limit=1&after={next}")).await.expect(200);
        assert_eq!(rest["next"], Value::Null);
        let names: Vec<_> = [&page, &rest].iter().map(|page| page["items"][0]["proposal"].clone()).collect();
        assert!(names.contains(&proposal["proposal"]) && names.contains(&other["proposal"]["proposal"]));
        for wrong in ["after=x", "after=1.x", "limit=0", "x=1"] {
            assert_eq!(me.get(&format!("/proposals?{wrong}")).await.problem(400), "invalid-request", "{wrong}");
        }
        office.town.clock.advance(400_000);
        let late = Me::signs_in(&office, PERSON).await.get(&path).await.expect(200);
        assert_eq!(late["is_overdue"], true);
    }
}

/// Another way in changes a field of the record.
async fn synchronised(town: &Town, record: &str, name: &str, value: &str) {
    use officials_card::flow::receive::{Expects, Incoming, Says};
    use officials_card::model::origin::{Origin, Way};
    use officials_card::model::record::Record;
    let person = PersonalNumber::parse(PERSON).unwrap();
    let stored = town.service.store().records_of(&person).await.unwrap();
    let stored = stored.into_iter().find(|stored| stored.handle.as_str() == record).unwrap();
    let mut content: Value = serde_json::from_str(&stored.record.content()).unwrap();
    content[name] = json!(value);
    let new = Record::restore(stored.record.catalogue(), &content.to_string()).unwrap();
    let origin = Origin { way: Way::Sync, reference: "transaction".into(), actor: "unit".into() };
    let incoming =
        Incoming { record: new, expects: Expects::Any, effective_on: None, confirmed_by: None, says: Says::All };
    town.service.receive(&origin, vec![incoming]).await.unwrap();
}

story! {
    async fn what_is_sensitive_or_printed_asks_for_a_fresh_sign_in(town) {
        let office = Office::open(town).await;
        let me = Me::signs_in(&office, PERSON).await;
        let sensitive = me.proposes(json!({"blood_type": "A"})).await.expect(201);
        assert_eq!(sensitive["proposal"]["is_sensitive"], true);
        office.town.clock.advance(301);
        for changes in [json!({"blood_type": "B"}), json!({"portrait_photo": null})] {
            assert_eq!(me.proposes(changes.clone()).await.problem(401), "insufficient-user-authentication", "{changes}");
        }
        let plain = me.proposes(json!({"marital_status": "2"})).await.expect(201);
        assert_eq!(plain["proposal"]["is_sensitive"], false);
        // A new portrait is kept for the reviewer, by its name.
        let me = Me::signs_in(&office, PERSON).await;
        let made = me.proposes(json!({"portrait_photo": a_portrait()})).await.expect(201);
        let change = &made["proposal"]["changes"][0];
        assert!(change["new"].as_str().unwrap().starts_with("sha256:") && change["old"] != change["new"]);
    }
}

fn a_portrait() -> String {
    use base64::Engine;
    let mut jpeg = Vec::new();
    let pixels = [90; 24 * 32 * 3];
    jpeg_encoder::Encoder::new(&mut jpeg, 80).encode(&pixels, 24, 32, jpeg_encoder::ColorType::Rgb).unwrap();
    base64::engine::general_purpose::STANDARD.encode(jpeg)
}

story! {
    async fn an_education_needs_its_certificate(town) {
        let office = Office::open(town).await;
        let me = Me::signs_in(&office, PERSON).await;
        let record = me.handle().await;
        let changes = json!({"DS_TINHOC": [{"it_level": first_code("MOHA.TRINHDOTINHOC")}]});
        assert_eq!(faults(me.proposes(changes.clone()).await), [("DS_TINHOC".into(), "evidence".into())]);
        let kept = crate::me_evidence::uploads(&me, &a_pdf(""), "attachment").await.expect(201);
        let body = json!({"record": record, "changes": changes, "evidence": [kept["evidence"]]});
        let made = me.post("/proposals", body.clone()).await.expect(201);
        assert_eq!(made["proposal"]["evidence"], json!([kept]));
        assert_eq!(made["proposal"]["changes"][0]["old"], Value::Null);
        // A file is beside one proposal.
        assert_eq!(me.post("/proposals", body).await.problem(404), "not-found");
        let file = kept["evidence"].as_str().unwrap();
        assert_eq!(me.delete(&format!("/evidence/{file}")).await.problem(404), "not-found");
    }
}

fn first_code(list: &str) -> String {
    use officials_card::model::code_list::{CodeLabels, shipped};
    (0..100).map(|code| format!("{code:02}")).find(|code| shipped().has_code(list, code)).unwrap()
}

story! {
    async fn a_refusal_is_appealed_once(town) {
        let office = Office::open(town).await;
        let me = Me::signs_in(&office, PERSON).await;
        let made = me.proposes(json!({"marital_status": "2"})).await.expect(201);
        let id = made["proposal"]["proposal"].as_str().unwrap().to_owned();
        let (path, appeal) = (format!("/proposals/{id}"), format!("/proposals/{id}/appeal"));
        assert_eq!(me.post(&appeal, json!({"note": "why"})).await.problem(409), "proposal-state");
        assert!(decides(&office.town, &id, "refused").await);
        let seen = me.get(&path).await.expect(200);
        assert_eq!((&seen["state"], &seen["reason"], &seen["may_appeal"], &seen["may_withdraw"]), (&json!("refused"), &json!("not_supported"), &json!(true), &json!(false)));
        assert_eq!(me.delete(&path).await.problem(409), "proposal-state");
        assert_eq!(me.post(&appeal, json!({"note": " "})).await.problem(400), "invalid-request");
        let kept = crate::me_evidence::uploads(&me, &a_pdf(""), "").await.expect(201);
        office.town.clock.advance(3_600);
        let me = Me::signs_in(&office, PERSON).await;
        let appealed = me.post(&appeal, json!({"note": "Có giấy kết hôn", "evidence": [kept["evidence"]]})).await.expect(200);
        assert_eq!((&appealed["state"], &appealed["appeal_note"]), (&json!("appealed"), &json!("Có giấy kết hôn")));
        assert_eq!(appealed["evidence"], json!([kept]));
        assert!(appealed["due_at"].as_i64() >= seen["due_at"].as_i64());
        assert_eq!(me.post(&appeal, json!({"note": "again"})).await.problem(409), "proposal-state");
        assert!(decides(&office.town, &id, "appeal_refused").await);
        assert_eq!(me.post(&appeal, json!({"note": "again"})).await.problem(409), "proposal-state");
        assert_eq!(me.get(&path).await.expect(200)["may_appeal"], false);
    }
}

story! {
    async fn a_withdrawal_against_an_approval_has_exactly_one_outcome(town) {
        let office = Office::open(town).await;
        let me = Me::signs_in(&office, PERSON).await;
        let second = office.town.second_process().await;
        for _ in 0..8 {
            let made = me.proposes(json!({"marital_status": "2"})).await.expect(201);
            let id = made["proposal"]["proposal"].as_str().unwrap().to_owned();
            let path = format!("/proposals/{id}");
            let elsewhere = Me { town: &second, token: me.token.clone() };
            let (one, two, approved) =
                tokio::join!(me.delete(&path), elsewhere.delete(&path), decides(&office.town, &id, "approved"));
            let withdrawn = [&one, &two].iter().filter(|answer| answer.status == 204).count();
            assert_eq!(withdrawn + usize::from(approved), 1, "{one:?} {two:?} {approved}");
            let state = me.get(&path).await.expect(200)["state"].clone();
            assert_eq!(state, if approved { "approved" } else { "withdrawn" });
            let told = office.town.service.store().history(&id).await.unwrap();
            assert_eq!(told.iter().filter(|line| line.2 == "proposal.withdrawn").count(), withdrawn);
        }
    }
}

story! {
    async fn a_person_has_only_so_many_proposals_waiting_however_fast(town) {
        let office = Office::open_with(town, |config| config.self_service.waiting_proposals = 3).await;
        office.town.hires(NEIGHBOUR, "H26").await;
        let me = Me::signs_in(&office, PERSON).await;
        let answers = join_all((0..8).map(|_| me.proposes(json!({"marital_status": "2"})))).await;
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(made, 3);
        let refused = answers.into_iter().find(|answer| answer.status != 201).unwrap();
        assert_eq!(refused.problem(413), "too-much");
        // Others have their own.
        Me::signs_in(&office, NEIGHBOUR).await.proposes(json!({"marital_status": "2"})).await.expect(201);
        let first = me.get("/proposals").await.expect(200)["items"][0]["proposal"].as_str().unwrap().to_owned();
        me.delete(&format!("/proposals/{first}")).await.expect(204);
        me.proposes(json!({"marital_status": "2"})).await.expect(201);
    }
}

story! {
    async fn a_person_makes_only_so_many_proposals_in_a_day(town) {
        let office = Office::open_with(town, |config| config.self_service.proposals_a_day = 2).await;
        let me = Me::signs_in(&office, PERSON).await;
        for _ in 0..2 {
            let made = me.proposes(json!({"marital_status": "2"})).await.expect(201);
            me.delete(&format!("/proposals/{}", made["proposal"]["proposal"].as_str().unwrap())).await.expect(204);
        }
        assert_eq!(me.proposes(json!({"marital_status": "2"})).await.problem(413), "too-much");
        office.town.clock.advance(86_400);
        Me::signs_in(&office, PERSON).await.proposes(json!({"marital_status": "2"})).await.expect(201);
    }
}

story! {
    async fn a_proposal_that_stands_is_told_whatever_becomes_of_the_rest(town) {
        let office = Office::open_with(town, |config| {
            config.self_service.waiting_proposals = 100;
            config.self_service.proposals_a_day = 100;
        }).await;
        let me = Me::signs_in(&office, PERSON).await;
        let record = me.handle().await;
        for round in 0..3 {
            let asks = (0..8).map(|at| {
                let changes = json!({"marital_status": "2", "phone_number": format!("09123456{round}{at}")});
                me.post("/proposals", json!({"record": record, "changes": changes}))
            });
            for answer in join_all(asks).await {
                let done = answer.expect(201);
                assert!(done["proposal"]["proposal"].is_string());
                let left = done.get("not_applied").cloned();
                assert_eq!(left, done["applied"].is_null().then(|| json!(["phone_number"])));
            }
        }
    }
}

story! {
    async fn a_change_at_once_can_wait_for_its_day(town) {
        let office = Office::open(town).await;
        let me = Me::signs_in(&office, PERSON).await;
        let record = me.handle().await;
        let body = json!({"record": record, "changes": {"current_residence": "12 Phố Huế"}, "effective_on": "2026-11-25"});
        me.post("/proposals", body).await.expect(201);
        assert_eq!(field(&me.record().await, "current_residence")["value"], Value::Null);
        office.town.clock.advance(4 * 86_400);
        office.town.service.act_on_waiting().await.unwrap();
        let me = Me::signs_in(&office, PERSON).await;
        assert_eq!(field(&me.record().await, "current_residence")["value"], "12 Phố Huế");
    }
}
