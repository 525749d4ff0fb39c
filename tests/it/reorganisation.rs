//! Units are merged, split and renamed: looked at beforehand, acting on their day, in waves, with every card following.

use officials_card::flow::{Expects, Incoming, Says};
use officials_card::model::calendar::start_of;
use officials_card::model::catalogue::Catalogue;
use officials_card::model::origin::{Origin, Way};
use officials_card::model::record::{Record, RecordKey};
use officials_card::model::unit::UnitDirectory;
use serde_json::{Value, json};
use time::macros::date;

use crate::story;
use crate::town::{Officer, Town};

/// Two departments with people, a third that takes them.
async fn departments(town: &Town) {
    let units = [("H26.05", "Sở Năm"), ("H26.05.01", "Phòng Một"), ("H26.06", "Sở Sáu")];
    let units = units.map(|(code, name)| (code.to_owned(), name.to_owned())).to_vec();
    town.service.store().save_units(units, "test", town.clock.now()).await.unwrap();
    town.hires_all(&people(0..3), "H26.05").await;
    town.hires_all(&people(3..5), "H26.05.01").await;
    town.hires_all(&people(5..7), "H26.06").await;
}

fn people(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|number| format!("0011990{number:05}")).collect()
}

fn plan(moves: Value) -> Value {
    json!({"name": "Sáp nhập", "decision": "01/QĐ", "effective_on": "2026-12-01", "wave_size": 2, "moves": moves})
}

fn merger() -> Value {
    plan(
        json!([{"from": "H26.05", "to": "H26.06", "to_name": "Sở Mới"}, {"from": "H26.06", "to": "H26.06", "to_name": "Sở Mới"}]),
    )
}

async fn planned(officer: &Officer<'_>, plan: Value) -> String {
    officer.post("/api/v1/reorganisations", plan).await.expect(201)["id"].as_str().unwrap().to_owned()
}

async fn step(officer: &Officer<'_>, id: &str, verb: &str) -> crate::town::Answer {
    officer.post(&format!("/api/v1/reorganisations/{id}/{verb}"), json!({})).await
}

fn the_day_comes(town: &Town) {
    town.clock.advance(start_of(date!(2026 - 12 - 01)) - town.clock.now());
}

async fn card(officer: &Officer<'_>, person: &str) -> String {
    officer.offer(person).await["card"].as_str().unwrap().to_owned()
}

story! {
    async fn a_merger_is_seen_beforehand_and_replaces_every_card_on_its_day(town) {
        departments(&town).await;
        let officer = town.officer("hanoi").await;
        let mut cards = Vec::new();
        for person in people(0..7) {
            cards.push(card(&officer, &person).await);
        }
        officer.step(&cards[6], "lock", "lost").await.expect(200);
        let id = planned(&officer, merger()).await;
        let totals = officer.get(&format!("/api/v1/reorganisations/{id}/totals")).await.expect(200);
        assert_eq!(totals, json!({"records": 7, "cards": 6, "locked_cards": 1, "renumbered": 0}));
        let mut seen = Vec::new();
        let mut after = String::new();
        loop {
            let page = officer.get(&format!("/api/v1/reorganisations/{id}/preview?limit=3{after}")).await.expect(200);
            seen.extend(page["items"].as_array().unwrap().clone());
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(seen.len(), 7);
        let from = |unit: &str| seen.iter().filter(|one| one["before"]["using_unit"] == unit).map(|one| &one["after"]).next().unwrap();
        assert_eq!((&from("H26.05")["using_unit"], &from("H26.05")["using_unit_name"]), (&json!("H26.06"), &json!("Sở Mới")));
        assert_eq!((&from("H26.05.01")["using_unit"], &from("H26.05.01")["using_unit_name"]), (&json!("H26.06.01"), &json!("Phòng Một")));
        assert_eq!(from("H26.06")["using_unit_name"], "Sở Mới");

        step(&officer, &id, "start").await.expect(200);
        assert_eq!(town.service.reorganise().await.unwrap(), 0, "before its day");
        the_day_comes(&town);
        let officer = town.officer("hanoi").await;
        let other = town.second_process().await;
        let (one, two) = futures_util::future::join(town.service.reorganise(), other.service.reorganise()).await;
        let mut moved = one.unwrap() + two.unwrap();
        moved += town.service.reorganise().await.unwrap();
        assert_eq!(moved, 7, "each once");
        let done = officer.get(&format!("/api/v1/reorganisations/{id}")).await.expect(200);
        assert_eq!((&done["state"], &done["moved"], &done["cards"], &done["failed"]), (&json!("done"), &json!(7), &json!(6), &json!(0)));
        for (at, old) in cards.iter().enumerate() {
            let old = officer.get(&format!("/api/v1/cards/{old}")).await.expect(200);
            if at == 6 {
                assert_eq!(old["state"], "locked", "a card under review waits");
                continue;
            }
            assert_eq!(old["state"], "withdrawn", "{old}");
            let reason = if at == 5 { "data_changed" } else { "transferred" };
            assert_eq!(old["reason"], reason);
            let new = officer.get(&format!("/api/v1/cards/{}", old["replaced_by"].as_str().unwrap())).await.expect(200);
            assert_eq!((&new["state"], &new["unit"]), (&json!("active"), &json!(if (3..5).contains(&at) { "H26.06.01" } else { "H26.06" })));
        }
        // What was confirmed still is; the closed unit is no more, and its successor is.
        let stored = town.service.store().records_of(&officials_card::model::id::PersonalNumber::parse(&people(0..1)[0]).unwrap()).await.unwrap();
        assert!(stored[0].standing.confirmed_at.is_some() && stored[0].standing.population.is_some());
        let register = town.service.store().unit_register(date!(2026 - 12 - 01)).await.unwrap();
        assert!(!register.has_unit("H26.05") && !register.has_unit("H26.05.01") && register.has_unit("H26.06.01"));
        assert_eq!(register.unit_name("H26.06").as_deref(), Some("Sở Mới"));
    }
}

story! {
    async fn a_card_that_is_not_replaced_yet_is_the_new_provinces_to_lock_and_give_back(town) {
        departments(&town).await;
        let town = town.configured(|config| {
            let hanoi = config.clients.iter().find(|client| client.name == "hanoi").unwrap().clone();
            config.clients.push(officials_card::config::Client { name: "saigon".into(), units: Some(vec!["H29".into()]), ..hanoi });
        });
        let [lost, unconfirmed, gone] = [0, 1, 2].map(|number| people(number..number + 1).remove(0));
        let officer = town.officer("hanoi").await;
        let cards = [card(&officer, &lost).await, card(&officer, &unconfirmed).await, card(&officer, &gone).await];
        officer.step(&cards[0], "lock", "lost").await.expect(200);
        officer.step(&cards[2], "withdraw", "issued_in_error").await.expect(200);
        town.imports(&unconfirmed, "H26.05", "002", "active").await;
        let nation = town.officer("vneid").await;
        let id = planned(&nation, plan(json!([{"from": "H26.05", "to": "H29.06", "to_name": "Sở Mới"}]))).await;
        step(&nation, &id, "start").await.expect(200);
        the_day_comes(&town);
        town.service.reorganise().await.unwrap();

        let (old, new) = (town.officer("hanoi").await, town.officer("saigon").await);
        for card in &cards[..2] {
            assert_eq!(old.get(&format!("/api/v1/cards/{card}")).await.problem(404), "not-found");
            assert_eq!(new.get(&format!("/api/v1/cards/{card}")).await.expect(200)["unit"], "H29.06");
        }
        assert_eq!(old.get(&format!("/api/v1/cards/{}", cards[2])).await.expect(200)["unit"], "H26.05", "it is over");
        new.step(&cards[0], "unlock", "found").await.expect(200);
        new.step(&cards[1], "lock", "stolen").await.expect(200);
        let all = new.post("/api/v1/cards/withdraw", json!({"unit": "H29.06.01", "reason": "issued_in_error"})).await;
        assert_eq!(all.status, 200, "{}", String::from_utf8_lossy(&all.bytes));
    }
}

story! {
    async fn waves_are_paused_and_resumed_and_a_plan_is_taken_back_before_its_day(town) {
        departments(&town).await;
        let officer = town.officer("hanoi").await;
        let id = planned(&officer, merger()).await;
        assert_eq!(step(&officer, &id, "pause").await.problem(409), "moved-on");
        step(&officer, &id, "start").await.expect(200);
        assert_eq!(officer.get(&format!("/api/v1/reorganisations/{id}")).await.expect(200)["can_be_undone"], true);
        assert_eq!(officer.call("DELETE", &format!("/api/v1/reorganisations/{id}"), Value::Null).await.problem(409), "moved-on");
        step(&officer, &id, "undo").await.expect(200);
        assert_eq!(town.service.reorganise().await.unwrap(), 0);
        // Who answers for a unit that moves, or for one that takes another in, sees what was done with the plan.
        let told = async |unit: &str| {
            let lines = officer.get(&format!("/api/v1/audit?subject={id}&unit={unit}")).await.expect(200);
            lines["items"].as_array().unwrap().iter().map(|line| line["action"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let steps = ["reorganisation.stepped", "reorganisation.stepped", "reorganisation.planned"];
        for (unit, seen) in [("H26", &steps[..]), ("H26.05", &steps), ("H26.06", &steps), ("H26.0", &[]), ("H26.05.01", &[])] {
            assert_eq!(told(unit).await, seen, "{unit}");
        }
        step(&officer, &id, "start").await.expect(200);
        the_day_comes(&town);
        let officer = town.officer("hanoi").await;
        assert_eq!(step(&officer, &id, "undo").await.problem(409), "moved-on", "the day has come");
        // One wave, as a process would that is paused in the middle.
        let store = town.service.store();
        let scheduled = store.reorganisation(&id).await.unwrap().unwrap();
        assert!(store.begin_reorganisation(&scheduled, town.clock.now()).await.unwrap());
        step(&officer, &id, "pause").await.expect(200);
        assert_eq!(town.service.reorganise().await.unwrap(), 0, "paused");
        step(&officer, &id, "resume").await.expect(200);
        assert_eq!(town.service.reorganise().await.unwrap(), 7);
        assert_eq!(step(&officer, &id, "pause").await.problem(409), "moved-on", "done is done");
    }
}

story! {
    async fn a_wave_that_a_dead_process_left_is_taken_over(town) {
        departments(&town).await;
        let officer = town.officer("hanoi").await;
        let id = planned(&officer, merger()).await;
        step(&officer, &id, "start").await.expect(200);
        the_day_comes(&town);
        let store = town.service.store();
        let scheduled = store.reorganisation(&id).await.unwrap().unwrap();
        assert!(store.begin_reorganisation(&scheduled, town.clock.now()).await.unwrap());
        assert!(store.lease_wave(&scheduled, town.clock.now()).await.unwrap(), "by a process that dies now");
        assert_eq!(town.service.reorganise().await.unwrap(), 0, "while it may still live");
        town.clock.advance(600);
        assert_eq!(town.service.reorganise().await.unwrap(), 7);
    }
}

story! {
    async fn a_split_moves_those_whom_it_names_and_a_taken_number_is_led_by_the_old_unit(town) {
        departments(&town).await;
        let officer = town.officer("hanoi").await;
        let [one, two] = [&people(0..2)[0], &people(0..2)[1]].map(|person| format!("N{person}"));
        // The other unit has given the number to somebody else.
        let stored = town.service.store().record(&RecordKey { unit: "H26.06".into(), number: format!("N{}", people(5..6)[0]) }).await.unwrap().unwrap();
        let mut members: Value = serde_json::from_str(&stored.record.content()).unwrap();
        members["agency_personnel_number"] = json!(one);
        members["personal_id_number"] = json!("001199099999");
        let namesake = Record::restore(Catalogue::current(), &members.to_string()).unwrap();
        let origin = Origin { way: Way::Sync, reference: "t".into(), actor: "test".into() };
        let incoming = Incoming { record: namesake, expects: Expects::New, effective_on: None, confirmed_by: None, says: Says::All };
        town.service.receive(&origin, vec![incoming]).await.unwrap();

        let id = planned(&officer, plan(json!([{"from": "H26.05", "to": "H26.06", "numbers": [one, two]}]))).await;
        let totals = officer.get(&format!("/api/v1/reorganisations/{id}/totals")).await.expect(200);
        assert_eq!((&totals["records"], &totals["renumbered"]), (&json!(2), &json!(1)));
        step(&officer, &id, "start").await.expect(200);
        the_day_comes(&town);
        assert_eq!(town.service.reorganise().await.unwrap(), 2);
        let at = async |unit: &str, number: &str| {
            town.service.store().record(&RecordKey { unit: unit.into(), number: number.into() }).await.unwrap()
        };
        assert!(at("H26.06", &format!("H26.05-{one}")).await.is_some() && at("H26.06", &two).await.is_some());
        assert!(at("H26.05", &format!("N{}", people(2..3)[0])).await.is_some(), "who is not named stays");
        assert!(town.service.store().unit_register(date!(2026 - 12 - 01)).await.unwrap().has_unit("H26.05"));
    }
}

story! {
    async fn a_plan_that_does_not_fit_is_refused_with_its_place(town) {
        departments(&town).await;
        let officer = town.officer("hanoi").await;
        let refused = async |body: Value| {
            let answer = officer.post("/api/v1/reorganisations", body).await;
            let status = answer.status.as_u16();
            (status, answer.json()["detail"].as_str().unwrap().to_owned())
        };
        let (status, detail) = refused(plan(json!([{"from": "H26.05", "to": "H26.09"}]))).await;
        assert_eq!(status, 400);
        assert!(detail.starts_with("moves[0].to"), "{detail}");
        assert!(refused(plan(json!([]))).await.1.starts_with("moves"));
        assert_eq!(refused(plan(json!([{"from": "H26.05", "to": "H29"}]))).await.0, 403, "another province");
        let mut past = merger();
        past["effective_on"] = json!("2026-11-01");
        assert!(refused(past).await.1.starts_with("effective_on"));
        let mut wide = merger();
        wide["wave_size"] = json!(100_000);
        assert!(refused(wide).await.1.starts_with("wave_size"));
        assert_eq!(officer.get("/api/v1/reorganisations/0000000000000000").await.problem(404), "not-found");
        let sample = officer.get("/api/v1/reorganisations/sample").await.expect(200);
        assert_eq!(sample["moves"].as_array().unwrap().len(), 29);
        let id = planned(&officer, merger()).await;
        assert_eq!(officer.get(&format!("/api/v1/reorganisations/{id}/preview?after=x")).await.problem(400), "invalid-request");
        officer.call("DELETE", &format!("/api/v1/reorganisations/{id}"), Value::Null).await.expect(204);
    }
}

story! {
    async fn what_waits_is_reorganised_with_the_units_that_it_names(town) {
        departments(&town).await;
        let officer = town.officer("hanoi").await;
        let origin = Origin { way: Way::Upload, reference: "1".into(), actor: "test".into() };
        let key = |unit: &str, number: &str| RecordKey { unit: unit.into(), number: number.into() };
        let person = format!("N{}", people(0..1)[0]);
        let stored = town.service.store().record(&key("H26.05", &person)).await.unwrap().unwrap();
        let with = |fields: &[(&str, &str)]| {
            let mut members: Value = serde_json::from_str(&stored.record.content()).unwrap();
            for (field, value) in fields {
                members[*field] = json!(value);
            }
            Record::restore(Catalogue::current(), &members.to_string()).unwrap()
        };
        let later = date!(2027 - 01 - 01);
        let wait = |record, expects| Incoming { record, expects, effective_on: Some(later), confirmed_by: Some("unit".into()), says: Says::All };
        // Goes to an office below from the new year on; and somebody who is to come then.
        let goes = wait(with(&[("using_unit_code", "H26.05.01")]), Expects::Existing);
        let comes = wait(with(&[("agency_personnel_number", "N1")]), Expects::New);
        town.service.receive(&origin, vec![goes, comes]).await.unwrap();
        // What its person proposed goes to who decides for the new unit.
        crate::review::proposes(&town, &people(0..1)[0], "p1", json!({"marital_status": "2"})).await;
        let id = planned(&officer, merger()).await;
        step(&officer, &id, "start").await.expect(200);
        the_day_comes(&town);
        town.service.reorganise().await.unwrap();
        let reviewer = town.officer("hanoi").await;
        assert_eq!(reviewer.get("/api/v1/proposals/p1").await.expect(200)["unit"], "H26.06");
        town.clock.advance(start_of(later) - town.clock.now());
        assert_eq!(town.service.act_on_waiting().await.unwrap(), 2);
        let went = town.service.store().record(&key("H26.06", &person)).await.unwrap().unwrap();
        assert_eq!(went.record.text("using_unit_code"), Some("H26.06.01"));
        let came = town.service.store().record(&key("H26.06", "N1")).await.unwrap().unwrap();
        assert_eq!(came.record.text("using_unit_code"), Some("H26.06"));
    }
}

story! {
    async fn what_waits_for_a_decision_goes_with_its_record(town) {
        use crate::review::{proposes, reviewers};
        departments(&town).await;
        let desk = town.configured(|config| {
            reviewers(config);
            let old = config.clients.iter().find(|client| client.name == "dung").unwrap().clone();
            config.clients.push(officials_card::config::Client { name: "em".into(), units: Some(vec!["H26.06".into()]), ..old });
        });
        let person = people(0..1).remove(0);
        let plain = proposes(&desk, &person, "p1", json!({"marital_status": "2"})).await;
        let refused = proposes(&desk, &person, "p2", json!({"academic_degree": "01"})).await;
        let (old, new) = (desk.officer("dung").await, desk.officer("em").await);
        old.refuses(&refused, "evidence_missing", None).await.expect(200);
        old.post(&format!("/api/v1/proposals/{plain}/claim"), json!({})).await.expect(200);
        assert_eq!(new.looks_at(&plain).await.problem(404), "not-found");
        let officer = desk.officer("hanoi").await;
        let id = planned(&officer, merger()).await;
        step(&officer, &id, "start").await.expect(200);
        the_day_comes(&desk);
        while desk.service.reorganise().await.unwrap() > 0 {}

        let (old, new) = (desk.officer("dung").await, desk.officer("em").await);
        for proposal in [&plain, &refused] {
            assert_eq!(old.looks_at(proposal).await.problem(404), "not-found");
            assert_eq!(old.approves(proposal, json!({})).await.problem(404), "not-found");
            assert_eq!(new.looks_at(proposal).await.expect(200)["unit"], "H26.06");
        }
        new.post(&format!("/api/v1/proposals/{plain}/claim"), json!({})).await.expect(200);
        new.approves(&plain, json!({})).await.expect(200);
    }
}

/// A record like that of the first of the people with other fields; it comes in at once, or waits until `on`.
async fn comes(town: &Town, fields: &[(&str, &str)], expects: Expects, on: Option<time::Date>) {
    let pattern = at(town, "H26.05", &format!("N{}", people(0..1)[0])).await.unwrap();
    let mut members: Value = serde_json::from_str(&pattern.record.content()).unwrap();
    for (field, value) in fields {
        members[*field] = json!(value);
    }
    let record = Record::restore(Catalogue::current(), &members.to_string()).unwrap();
    let origin = Origin { way: Way::Upload, reference: "1".into(), actor: "test".into() };
    let incoming = Incoming { record, expects, effective_on: on, confirmed_by: Some("unit".into()), says: Says::All };
    town.service.receive(&origin, vec![incoming]).await.unwrap();
}

async fn at(town: &Town, unit: &str, number: &str) -> Option<officials_card::store::StoredRecord> {
    town.service.store().record(&RecordKey { unit: unit.into(), number: number.into() }).await.unwrap()
}

/// Plans, starts and waits for the day.
async fn moves(town: &Town, client: &str, moves: Value) -> String {
    let officer = town.officer(client).await;
    let id = planned(&officer, plan(moves)).await;
    step(&officer, &id, "start").await.expect(200);
    the_day_comes(town);
    id
}

story! {
    async fn who_only_works_in_the_unit_is_seen_and_moved_with_it(town) {
        departments(&town).await;
        let later = date!(2027 - 01 - 01);
        let elsewhere = |number: &'static str, unit: &'static str, field: &'static str| {
            [("agency_personnel_number", number), ("managing_unit_code", unit), ("using_unit_code", "G09"), ("work_unit_code", "G09"), (field, "H26.05.01")]
        };
        comes(&town, &elsewhere("E1", "G09", "using_unit_code"), Expects::New, None).await;
        comes(&town, &elsewhere("E2", "H26.06", "work_unit_code"), Expects::New, None).await;
        comes(&town, &elsewhere("E3", "G09", "using_unit_code"), Expects::New, Some(later)).await;
        let nation = town.officer("vneid").await;
        let id = planned(&nation, plan(json!([{"from": "H26.05", "to": "H26.06"}]))).await;
        assert_eq!(nation.get(&format!("/api/v1/reorganisations/{id}/totals")).await.expect(200)["records"], 7);
        let hanoi = town.officer("hanoi").await;
        let preview = hanoi.get(&format!("/api/v1/reorganisations/{id}/preview")).await.expect(200);
        assert_eq!(preview["items"].as_array().unwrap().len(), 7, "whoever works in their unit, too");
        step(&nation, &id, "start").await.expect(200);
        the_day_comes(&town);
        assert_eq!(town.service.reorganise().await.unwrap(), 7);
        let works = async |unit: &str, number: &str, field: &str| {
            at(&town, unit, number).await.unwrap().record.text(field).unwrap().to_owned()
        };
        assert_eq!(works("G09", "E1", "using_unit_code").await, "H26.06.01");
        assert_eq!(works("H26.06", "E2", "work_unit_code").await, "H26.06.01");
        town.clock.advance(start_of(later) - town.clock.now());
        town.service.act_on_waiting().await.unwrap();
        assert_eq!(works("G09", "E3", "using_unit_code").await, "H26.06.01");
    }
}

story! {
    async fn what_comes_in_behind_the_wave_is_moved_by_the_next_pass_and_a_day_later(town) {
        departments(&town).await;
        let first = format!("N{}", people(0..1)[0]);
        let pattern = at(&town, "H26.05", &first).await.unwrap();
        let id = moves(&town, "hanoi", json!([{"from": "H26.05", "to": "H26.06"}])).await;
        let store = town.service.store();
        // A process that had moved all that there were until then.
        let scheduled = store.reorganisation(&id).await.unwrap().unwrap();
        assert!(store.begin_reorganisation(&scheduled, town.clock.now()).await.unwrap());
        let wave = officials_card::store::Wave { place: "~".into(), moved: 1, ..Default::default() };
        assert!(!store.end_wave(&id, wave, town.clock.now()).await.unwrap());
        assert_eq!(town.service.reorganise().await.unwrap(), 5);
        let done = store.reorganisation(&id).await.unwrap().unwrap();
        assert_eq!((done.state.word(), done.moved, done.failed), ("done", 6, 0));
        // One that was on its way when the units changed.
        let mut members: Value = serde_json::from_str(&pattern.record.content()).unwrap();
        members["agency_personnel_number"] = json!("late");
        let late = Record::restore(Catalogue::current(), &members.to_string()).unwrap();
        let origin = Origin { way: Way::Sync, reference: "t".into(), actor: "test".into() };
        let late = Incoming { record: late, expects: Expects::New, effective_on: None, confirmed_by: None, says: Says::All };
        town.service.receive(&origin, vec![late]).await.unwrap();
        assert_eq!(town.service.reorganise().await.unwrap(), 0, "it is done");
        town.clock.advance(86_400);
        assert_eq!(town.service.reorganise().await.unwrap(), 1);
        assert!(at(&town, "H26.06", "late").await.is_some());
        assert_eq!(store.reorganisation(&id).await.unwrap().unwrap().state.word(), "done");
        town.clock.advance(86_400);
        assert!(store.reorganisations_at_work(town.clock.now()).await.unwrap().is_empty(), "once");
    }
}

story! {
    async fn a_code_that_has_ended_takes_nobody_in_and_says_who_took_its_place(town) {
        use crate::sync::{System, dossier, system};
        let ministry = system(&town, "moha", "G09").await;
        System::done(ministry.call("servicem0001", "ADD", dossier("7", "G09")).await);
        let nation = town.officer("vneid").await;
        let other_name = json!([{"from": "H26", "to": "H26", "to_name": "Thủ đô Hà Nội"}]);
        let refused = nation.post("/api/v1/reorganisations", plan(other_name)).await.expect(400);
        assert!(refused["detail"].as_str().unwrap().starts_with("moves[0].to_name"), "{refused}");
        moves(&town, "vneid", json!([{"from": "G09", "to": "H26"}])).await;
        assert_eq!(town.service.reorganise().await.unwrap(), 1);
        assert!(at(&town, "H26", "7").await.is_some());
        town.clock.advance(3_600);
        let again = system(&town, "moha-2", "H26").await;
        let told = System::refused(again.call("servicem0001", "ADD", dossier("8", "G09")).await);
        assert!(told.contains("nay là H26"), "{told}");
        let register = town.service.store().unit_register(date!(2026 - 12 - 01)).await.unwrap();
        assert!(!register.has_unit("G09") && register.successor("G09").as_deref() == Some("H26"));
        let before = town.service.store().units_named(date!(2026 - 11 - 30), &["G09"]).await.unwrap();
        assert!(before.has_unit("G09"));
        assert!(town.service.store().unit_names().await.unwrap().iter().all(|(code, _)| code.contains('.')));
    }
}

story! {
    async fn nobody_is_left_in_a_unit_that_the_plan_closes_and_one_plan_at_a_time_moves_a_unit(town) {
        departments(&town).await;
        let units = [("H26.06.01", "Phòng Sáu Một"), ("H26.07", "Sở Bảy"), ("H26.08", "Sở Tám"), ("H26.09", "Sở Chín")];
        let units = units.map(|(code, name)| (code.to_owned(), name.to_owned())).to_vec();
        town.service.store().save_units(units, "test", town.clock.now()).await.unwrap();
        let officer = town.officer("hanoi").await;
        let first = planned(&officer, plan(json!([{"from": "H26.05", "to": "H26.06"}, {"from": "H26.06.01", "to": "H26.07.02", "to_name": "Phòng Bảy Hai"}]))).await;
        let second = planned(&officer, plan(json!([{"from": "H26.07", "to": "H26.08"}]))).await;
        let third = planned(&officer, plan(json!([{"from": "H26.09", "to": "H26.08"}]))).await;
        step(&officer, &first, "start").await.expect(200);
        let refused = step(&officer, &second, "start").await.expect(400);
        assert!(refused["detail"].as_str().unwrap().starts_with("moves"), "{refused}");
        step(&officer, &third, "start").await.expect(200);
        step(&officer, &third, "undo").await.expect(200);
        the_day_comes(&town);
        assert_eq!(town.service.reorganise().await.unwrap(), 5);
        for person in people(3..5) {
            let record = at(&town, "H26.07.02", &format!("N{person}")).await.unwrap().record;
            assert_eq!(record.text("using_unit_name"), Some("Phòng Bảy Hai"));
        }
        let register = town.service.store().unit_register(date!(2026 - 12 - 01)).await.unwrap();
        assert!(!register.has_unit("H26.06.01") && register.has_unit("H26.07.02") && register.has_unit("H26.06"));
        assert_eq!(register.successor("H26.05.01").as_deref(), Some("H26.07.02"));
        assert_eq!(register.successor("H26.05").as_deref(), Some("H26.06"));
    }
}

story! {
    async fn who_moves_is_told_only_to_who_may_read_their_records(town) {
        use officials_card::model::rights::Role;
        let bureau = crate::bureau::Bureau::open(town).await;
        let town = &bureau.town;
        departments(town).await;
        bureau.enters("operator", Role::Operator, None).await;
        bureau.enters("head", Role::UnitHead, Some("H26")).await;
        bureau.enters("inspector", Role::Inspector, Some("H26.06")).await;
        let officer = town.officer("hanoi").await;
        let number = format!("N{}", people(0..1)[0]);
        let moves = json!([{"from": "H26.05", "to": "H26.06", "numbers": [number]}, {"from": "H26.06", "to": "H26.06", "to_name": "Sở Mới"}]);
        let id = planned(&officer, plan(moves)).await;
        let path = format!("/api/v1/reorganisations/{id}");
        let (operator, head, inspector) =
            (bureau.at_work("operator").await, bureau.at_work("head").await, bureau.at_work("inspector").await);
        for (desk, sees) in [(&operator, false), (&head, true), (&inspector, false)] {
            for answer in [desk.get(&path).await, desk.get("/api/v1/reorganisations").await] {
                let text = answer.expect(200).to_string();
                assert_eq!(text.contains(&number), sees, "{}: {text}", desk.id());
                assert!(text.contains(r#""people":1"#), "{text}");
            }
        }
        // Totals and failures are those of the own units.
        let totals = |answer: Value| answer["records"].as_u64().unwrap();
        assert_eq!(totals(head.get(&format!("{path}/totals")).await.expect(200)), 3);
        assert_eq!(totals(inspector.get(&format!("{path}/totals")).await.expect(200)), 2);
        let key = RecordKey { unit: "H26.05".into(), number: number.clone() };
        let record = town.service.store().record(&key).await.unwrap().unwrap().handle;
        sqlx::any::install_default_drivers();
        let pool = sqlx::AnyPool::connect(&town.database_url).await.unwrap();
        sqlx::query("INSERT INTO reorganisation_failures (reorganisation, record, reason, at) VALUES ($1, $2, 'fault', 1)")
            .bind(&id)
            .bind(record.as_str())
            .execute(&pool)
            .await
            .unwrap();
        assert_eq!(head.get(&format!("{path}/failures")).await.expect(200).as_array().unwrap().len(), 1);
        assert_eq!(inspector.get(&format!("{path}/failures")).await.expect(200), json!([]));
    }
}

story! {
    async fn a_unit_that_comes_back_is_open_with_all_below_it(town) {
        departments(&town).await;
        moves(&town, "hanoi", json!([{"from": "H26.05.01", "to": "H26.06.02", "to_name": "Phòng Hai"}, {"from": "H26.05", "to": "H26.06"}])).await;
        assert_eq!(town.service.reorganise().await.unwrap(), 5);
        let register = town.service.store().unit_register(date!(2026 - 12 - 01)).await.unwrap();
        assert_eq!(register.successor("H26.05.01").as_deref(), Some("H26.06.02"), "not that of the unit above");
        let units = vec![("H26.06.01".to_owned(), "Phòng Một".to_owned())];
        town.service.store().save_units(units, "test", town.clock.now()).await.unwrap();
        let officer = town.officer("hanoi").await;
        let mut back = plan(json!([{"from": "H26.06", "to": "H26.05", "to_name": "Sở Năm"}]));
        back["effective_on"] = json!("2026-12-03");
        let id = planned(&officer, back).await;
        step(&officer, &id, "start").await.expect(200);
        town.clock.advance(start_of(date!(2026 - 12 - 03)) - town.clock.now());
        // The first plan is due for its second look: what the second one brings back stays.
        assert_eq!(town.service.reorganise().await.unwrap(), 7);
        let register = town.service.store().unit_register(date!(2026 - 12 - 03)).await.unwrap();
        assert!(register.has_unit("H26.05") && register.has_unit("H26.05.01") && !register.has_unit("H26.06"));
        assert!(at(&town, "H26.05.02", &format!("N{}", people(3..4)[0])).await.is_some());
        assert_eq!(town.service.reorganise().await.unwrap(), 0);
    }
}

story! {
    async fn numbers_are_given_once_to_those_who_come_and_to_those_who_are_to_come(town) {
        departments(&town).await;
        let units = vec![("H26.07".to_owned(), "Sở Bảy".to_owned())];
        town.service.store().save_units(units, "test", town.clock.now()).await.unwrap();
        let new = |number: &'static str, unit: &'static str| [("agency_personnel_number", number), ("managing_unit_code", unit), ("using_unit_code", unit)];
        comes(&town, &new("N1", "H26.05"), Expects::New, None).await;
        comes(&town, &new("N1", "H26.06"), Expects::New, None).await;
        let later = date!(2027 - 01 - 01);
        let taken = format!("N{}", people(5..6)[0]);
        let mut newcomer = new("", "H26.05").to_vec();
        newcomer[0].1 = &taken;
        comes(&town, &newcomer, Expects::New, Some(later)).await;
        let officer = town.officer("hanoi").await;
        let both = json!([{"from": "H26.05", "to": "H26.07"}, {"from": "H26.06", "to": "H26.07"}]);
        let id = planned(&officer, plan(both)).await;
        let totals = officer.get(&format!("/api/v1/reorganisations/{id}/totals")).await.expect(200);
        assert_eq!((&totals["records"], &totals["renumbered"]), (&json!(9), &json!(1)));
        let preview = officer.get(&format!("/api/v1/reorganisations/{id}/preview")).await.expect(200);
        let seen: Vec<_> = preview["items"].as_array().unwrap().iter().map(|one| one["after"]["number"].as_str().unwrap().to_owned()).collect();
        let renumbered: Vec<_> = seen.iter().filter(|number| number.starts_with("H26.0")).collect();
        assert!(seen.contains(&"N1".to_owned()) && renumbered.len() == 1, "{seen:?}");
        step(&officer, &id, "start").await.expect(200);
        the_day_comes(&town);
        assert_eq!(town.service.reorganise().await.unwrap(), 9);
        assert!(at(&town, "H26.07", "N1").await.is_some() && at(&town, "H26.07", renumbered[0]).await.is_some());
        town.clock.advance(start_of(later) - town.clock.now());
        assert_eq!(town.service.act_on_waiting().await.unwrap(), 1);
        assert!(at(&town, "H26.07", &format!("H26.05-{taken}")).await.is_some(), "the number is somebody else's");
    }
}

story! {
    async fn records_that_cannot_be_moved_keep_no_other_and_are_tried_again(town) {
        departments(&town).await;
        town.hires_all(&people(10..22), "H26.05").await;
        let portraits = async |statement: &str| {
            let pool = sqlx::AnyPool::connect(&town.database_url).await.unwrap();
            sqlx::query(sqlx::AssertSqlSafe(statement.to_owned())).execute(&pool).await.unwrap();
            pool.close().await;
        };
        let mut wide = plan(json!([{"from": "H26.05", "to": "H26.06"}]));
        wide["wave_size"] = json!(100);
        let officer = town.officer("hanoi").await;
        let id = planned(&officer, wide).await;
        step(&officer, &id, "start").await.expect(200);
        the_day_comes(&town);
        // No portrait can be read.
        portraits("UPDATE portraits SET sha256 = 'x' || sha256").await;
        assert_eq!(town.service.reorganise().await.unwrap(), 0);
        let officer = town.officer("hanoi").await;
        let told = async || officer.get(&format!("/api/v1/reorganisations/{id}")).await.expect(200);
        let done = told().await;
        assert_eq!((&done["state"], &done["failed"], &done["moved"]), (&json!("done"), &json!(17), &json!(0)));
        portraits("UPDATE portraits SET sha256 = substr(sha256, 2)").await;
        step(&officer, &id, "resume").await.expect(200);
        assert_eq!(town.service.reorganise().await.unwrap(), 17);
        let done = told().await;
        assert_eq!((&done["state"], &done["failed"], &done["moved"]), (&json!("done"), &json!(0), &json!(17)));
        assert_eq!(step(&officer, &id, "resume").await.problem(409), "moved-on", "nothing is left to try");
    }
}

story! {
    async fn the_report_of_a_month_lists_the_units_that_there_were(town) {
        departments(&town).await;
        town.computes().await;
        moves(&town, "hanoi", merger()["moves"].clone()).await;
        while town.service.reorganise().await.unwrap() > 0 {}
        town.computes().await;
        let officer = town.officer("hanoi").await;
        let units = async |month: &str| {
            let report = officer.get(&format!("/api/v1/reports/{month}.json?unit=H26")).await.expect(200);
            let units = report["units"].as_array().unwrap().iter().map(|unit| json!([unit["unit"], unit["name"], unit["records"]]));
            (units.collect::<Vec<_>>(), report["approvals"]["missing"].clone())
        };
        let (november, missing) = units("2026-11").await;
        assert_eq!(november, [json!(["H26.05", "Sở Năm", 5]), json!(["H26.06", "Sở Mới", 2])]);
        assert_eq!(missing, json!(["H26", "H26.05", "H26.06"]));
        let (december, missing) = units("2026-12").await;
        assert_eq!((december, missing), (vec![json!(["H26.06", "Sở Mới", 7])], json!(["H26", "H26.06"])));
    }
}

story! {
    async fn a_plan_is_forgotten_only_by_who_has_all_its_units(town) {
        departments(&town).await;
        let id = planned(&town.officer("hanoi").await, merger()).await;
        let desk = town.configured(|config| {
            let own = config.clients.iter().find(|client| client.name == "hanoi").unwrap().clone();
            let narrow = officials_card::config::Client { name: "narrow".into(), units: Some(vec!["H26.05".into()]), ..own };
            config.clients.push(narrow);
        });
        // What goes from here to a unit of others is theirs, too.
        let path = format!("/api/v1/reorganisations/{id}");
        let one_way = planned(&desk.officer("hanoi").await, plan(json!([{"from": "H26.05", "to": "H26.06"}]))).await;
        let narrow = desk.officer("narrow").await;
        for path in [path, format!("/api/v1/reorganisations/{one_way}")] {
            narrow.get(&path).await.expect(200);
            assert_eq!(narrow.call("DELETE", &path, Value::Null).await.problem(403), "foreign-unit");
        }
    }
}
