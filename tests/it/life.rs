//! Records live: whichever way a change comes, it is a version with its origin, waits for its day if it has one, and the
//! cards follow it.

use officials_card::error::{Error, Refusal};
use officials_card::flow::import::{Format, ImportRequest, import};
use officials_card::flow::{Became, Expects, Incoming, Says};
use officials_card::model::calendar::start_of;
use officials_card::model::catalogue::Catalogue;
use officials_card::model::event::EventKind;
use officials_card::model::id::Handle;
use officials_card::model::origin::{Origin, Way};
use officials_card::model::record::{Record, RecordKey};
use officials_card::store::EventFilter;
use serde_json::{Value, json};
use sqlx::{Connection, Row};
use time::macros::date;

use crate::revoke::{published, status_of};
use crate::story;
use crate::town::{Officer, Town};

const PERSON: &str = "001199000018";
const UNIT: &str = "H26";

fn origin(way: Way) -> Origin {
    Origin { way, reference: format!("{}-1", way.word()), actor: "test".into() }
}

fn key() -> RecordKey {
    RecordKey { unit: UNIT.into(), number: format!("N{PERSON}") }
}

/// The person's record with other values.
async fn changed(town: &Town, fields: &[(&str, &str)]) -> Record {
    let stored = town.service.store().record(&key()).await.unwrap().unwrap();
    let mut members: Value = serde_json::from_str(&stored.record.content()).unwrap();
    for (field, value) in fields {
        members[*field] = json!(value);
    }
    Record::restore(Catalogue::current(), &members.to_string()).unwrap()
}

fn incoming(record: Record, by: Option<&str>) -> Incoming {
    Incoming {
        record,
        expects: Expects::Existing,
        effective_on: None,
        confirmed_by: by.map(str::to_owned),
        says: Says::All,
    }
}

fn only(fields: &[(&str, &str)]) -> Says {
    Says::Fields(fields.iter().map(|(field, _)| (*field).to_owned()).collect())
}

/// The record says something else, with or without the unit's word; what became of it.
async fn says(town: &Town, fields: &[(&str, &str)], by: Option<&str>) -> Became {
    let record = changed(town, fields).await;
    let incoming = Incoming { says: only(fields), ..incoming(record, by) };
    let received = town.service.receive(&origin(Way::Sync), vec![incoming]).await.unwrap();
    received[0].became
}

async fn card_of(officer: &Officer<'_>) -> String {
    officer.offer(PERSON).await["card"].as_str().unwrap().to_owned()
}

/// State and reason of a card.
async fn state(officer: &Officer<'_>, card: &str) -> (String, Value) {
    let card = officer.get(&format!("/api/v1/cards/{card}")).await.expect(200);
    (card["state"].as_str().unwrap().to_owned(), card["reason"].clone())
}

async fn rounds(town: &Town) {
    town.service.act_on_waiting().await.unwrap();
    town.service.follow_records().await.unwrap();
    town.service.refresh_cards().await.unwrap();
}

story! {
    async fn an_ending_with_the_units_word_withdraws_the_card_and_says_since_when(town) {
        for (status, reason) in [("retired", "retired"), ("resigned", "resigned"), ("transferred", "transferred")] {
            town.hires(PERSON, UNIT).await;
            let officer = town.officer("vneid").await;
            let card = card_of(&officer).await;
            assert_eq!(says(&town, &[("employment_status", status)], Some("unit")).await, Became::Changed);
            rounds(&town).await;
            assert_eq!(state(&officer, &card).await, ("withdrawn".into(), json!(reason)));
            let history = town.service.card_history(&Handle::parse(&card).unwrap()).await.unwrap();
            let (_, actor, action, detail) = history.last().unwrap();
            assert_eq!((actor.as_str(), action.as_str()), ("system", "card.withdrawn"));
            assert!(detail.starts_with(&format!("{reason} record ")) && detail.contains(" confirmed "), "{detail}");
            assert_eq!(town.service.follow_records().await.unwrap(), 0, "once");
            // Back in service: another version, another card.
            says(&town, &[("employment_status", "active")], Some("unit")).await;
            rounds(&town).await;
            assert_eq!(state(&officer, &card).await.0, "withdrawn", "for ever");
        }
    }
}

story! {
    async fn a_row_that_nobody_confirmed_ends_no_card_but_locks_it(town) {
        town.hires(PERSON, UNIT).await;
        let officer = town.officer("vneid").await;
        let card = card_of(&officer).await;
        says(&town, &[("employment_status", "dismissed")], None).await;
        rounds(&town).await;
        assert_eq!(state(&officer, &card).await, ("locked".into(), json!("under_review")));
        // It was a mistake: what the row locked, its correction gives back, and the unit says so.
        says(&town, &[("employment_status", "active")], None).await;
        rounds(&town).await;
        assert_eq!(state(&officer, &card).await.0, "locked");
        officer.post("/api/v1/records/confirm", json!({"unit": UNIT})).await.expect(200);
        rounds(&town).await;
        assert_eq!(state(&officer, &card).await.0, "active");
        // It was none: the unit confirms.
        says(&town, &[("employment_status", "dismissed")], None).await;
        rounds(&town).await;
        officer.post("/api/v1/records/confirm", json!({"unit": UNIT})).await.expect(200);
        rounds(&town).await;
        assert_eq!(state(&officer, &card).await, ("withdrawn".into(), json!("dismissed")));
    }
}

story! {
    async fn who_is_suspended_cannot_show_the_card_until_the_suspension_is_over(town) {
        town.hires(PERSON, UNIT).await;
        let officer = town.officer("vneid").await;
        let card = card_of(&officer).await;
        says(&town, &[("employment_status", "suspended")], Some("unit")).await;
        rounds(&town).await;
        assert_eq!(state(&officer, &card).await, ("locked".into(), json!("under_review")));
        says(&town, &[("employment_status", "active")], Some("unit")).await;
        rounds(&town).await;
        assert_eq!(state(&officer, &card).await.0, "active");
        // What a person locked, the facts do not give back.
        officer.step(&card, "lock", "lost").await.expect(200);
        says(&town, &[("employment_status", "suspended")], Some("unit")).await;
        rounds(&town).await;
        says(&town, &[("employment_status", "active")], Some("unit")).await;
        rounds(&town).await;
        assert_eq!(state(&officer, &card).await, ("locked".into(), json!("lost")));
    }
}

story! {
    async fn a_row_that_nobody_confirmed_gives_no_card_back(town) {
        town.hires(PERSON, UNIT).await;
        let officer = town.officer("vneid").await;
        let card = card_of(&officer).await;
        let locked = ("locked".to_owned(), json!("under_review"));
        for says_something_else in [false, true] {
            says(&town, &[("employment_status", "suspended")], Some("unit")).await;
            rounds(&town).await;
            assert_eq!(state(&officer, &card).await, locked);
            says(&town, &[("employment_status", "active")], None).await;
            rounds(&town).await;
            assert_eq!(state(&officer, &card).await, locked, "a clerk's row");
            if says_something_else {
                // Nor does the next row, nor the end of another lock.
                says(&town, &[("email", "an@example.vn")], None).await;
                rounds(&town).await;
                assert_eq!(state(&officer, &card).await, locked);
                officer.step(&card, "lock", "lost").await.expect(200);
                officer.step(&card, "unlock", "found").await.expect(200);
                assert_eq!(state(&officer, &card).await, locked);
                says(&town, &[("employment_status", "active"), ("email", "binh@example.vn")], Some("unit")).await;
            } else {
                officer.post("/api/v1/records/confirm", json!({"unit": UNIT})).await.expect(200);
            }
            rounds(&town).await;
            assert_eq!(state(&officer, &card).await.0, "active", "the unit's word");
        }
    }
}

/// Records whose cards have still to follow them.
async fn marked(town: &Town) -> i64 {
    let mut database = sqlx::AnyConnection::connect(&town.database_url).await.unwrap();
    let count = "SELECT COUNT(*) FROM records WHERE follow_due_at IS NOT NULL";
    sqlx::query(count).fetch_one(&mut database).await.unwrap().get(0)
}

story! {
    async fn a_record_without_a_card_has_nothing_that_follows_it(town) {
        town.imports(PERSON, UNIT, "001", "suspended").await;
        assert_eq!(marked(&town).await, 0, "a new record has no card");
        town.imports(PERSON, UNIT, "001", "retired").await;
        assert_eq!(marked(&town).await, 1);
        assert_eq!((town.service.follow_records().await.unwrap(), marked(&town).await), (0, 0));
        // Whoever died may have a card of another unit.
        town.imports(PERSON, UNIT, "001", "deceased").await;
        assert_eq!((town.service.follow_records().await.unwrap(), marked(&town).await), (1, 0));
    }
}

story! {
    async fn a_record_that_cannot_be_read_keeps_no_other_card_from_following(town) {
        let people = [PERSON, "001199000019", "001199000020"];
        let officer = town.officer("vneid").await;
        for person in people {
            town.hires(person, UNIT).await;
            officer.offer(person).await;
        }
        for person in people {
            town.imports(person, UNIT, "001", "suspended").await;
        }
        // The first one in order.
        let mut database = sqlx::AnyConnection::connect(&town.database_url).await.unwrap();
        let broken = "UPDATE record_versions SET catalogue = 'none' WHERE version = 2 AND record = (SELECT MIN(id) FROM records)";
        assert_eq!(sqlx::query(broken).execute(&mut database).await.unwrap().rows_affected(), 1);
        let error = town.service.follow_records().await.unwrap_err().to_string();
        assert!(people.iter().all(|person| !error.contains(person)), "{error}");
        let locked = sqlx::query("SELECT COUNT(*) FROM cards WHERE state = 'locked'").fetch_one(&mut database).await;
        assert_eq!(locked.unwrap().get::<i64, _>(0), 2);
        assert!(town.service.follow_records().await.is_err(), "it is tried again");
    }
}

story! {
    async fn a_death_ends_every_card_of_the_person(town) {
        town.hires(PERSON, UNIT).await;
        town.imports_as("other", PERSON, "H29", "001", "active").await;
        town.matches_and_confirms("H29").await;
        let officer = town.officer("vneid").await;
        let offer = |unit: &'static str| {
            json!({"personal_id_number": PERSON, "assurance_level": 2, "unit": unit})
        };
        let mut cards = Vec::new();
        for unit in [UNIT, "H29"] {
            cards.push(officer.post("/api/v1/offers", offer(unit)).await.expect(201)["card"].as_str().unwrap().to_owned());
        }
        says(&town, &[("employment_status", "deceased")], Some("unit")).await;
        rounds(&town).await;
        for card in cards {
            assert_eq!(state(&officer, &card).await, ("withdrawn".into(), json!("deceased")));
        }
    }
}

story! {
    async fn a_decision_of_today_acts_on_its_day_and_the_rest_at_once(town) {
        town.hires(PERSON, UNIT).await;
        let officer = town.officer("vneid").await;
        let card = card_of(&officer).await;
        let first = date!(2027 - 01 - 01);
        let fields = [("employment_status", "retired"), ("employment_status_date", "20270101"), ("email", "an@example.vn")];
        assert_eq!(says(&town, &fields, Some("unit")).await, Became::Changed);
        let now = town.service.store().record(&key()).await.unwrap().unwrap();
        assert_eq!((now.record.text("email"), now.record.text("employment_status")), (Some("an@example.vn"), Some("active")));
        // The whole record comes again every night.
        assert_eq!(says(&town, &fields, Some("unit")).await, Became::Waiting { on: first });
        let counted = officer.get("/api/v1/changes/count?unit=H26").await.expect(200);
        assert_eq!(counted, json!({"waiting": 1, "conflicts": 0}));
        let changes = officer.get("/api/v1/changes?unit=H26").await.expect(200);
        assert_eq!(changes["items"].as_array().unwrap().len(), 1, "{changes}");
        assert_eq!(changes["items"][0]["effective_on"], "2027-01-01");
        assert_eq!(changes["items"][0]["changes"][0]["code"], "employment_status");
        assert_eq!(changes["items"][0]["changes"][0]["old"], "active");
        rounds(&town).await;
        assert_eq!(state(&officer, &card).await.0, "active");

        town.clock.advance(start_of(first) - 1 - town.clock.now());
        let officer = town.officer("vneid").await;
        rounds(&town).await;
        assert_eq!(state(&officer, &card).await.0, "active", "a second before midnight in Vietnam");
        town.clock.advance(start_of(first) - town.clock.now());
        let other = town.second_process().await;
        let (one, two) = futures_util::future::join(town.service.act_on_waiting(), other.service.act_on_waiting()).await;
        assert_eq!(one.unwrap() + two.unwrap(), 1, "by one of two processes");
        rounds(&town).await;
        assert_eq!(state(&officer, &card).await, ("withdrawn".into(), json!("retired")));
        let versions = officer.get(&format!("/api/v1/records/{}/versions", now.handle)).await.expect(200);
        assert_eq!(versions[0]["way"], "sync");
        let changed: Vec<_> = versions[0]["changes"].as_array().unwrap().iter().map(|one| &one["code"]).collect();
        assert_eq!(changed, ["employment_status", "employment_status_date"]);
    }
}

story! {
    async fn what_waits_is_cancelled_or_meets_what_others_changed(town) {
        town.hires(PERSON, UNIT).await;
        let officer = town.officer("hanoi").await;
        let wait = async |town: &Town, position: &str| {
            let record = changed(town, &[("position_title", position)]).await;
            let incoming = Incoming { effective_on: Some(date!(2026 - 12 - 01)), ..incoming(record, Some("unit")) };
            town.service.receive(&origin(Way::Upload), vec![incoming]).await.unwrap()
        };
        let received = wait(&town, "002").await;
        assert_eq!(received[0].became, Became::Waiting { on: date!(2026 - 12 - 01) });
        // The same field anew takes the place of the first one.
        wait(&town, "003").await;
        let open = officer.get("/api/v1/changes?unit=H26").await.expect(200);
        assert_eq!(open["items"].as_array().unwrap().len(), 1);
        let id = open["items"][0]["id"].as_str().unwrap().to_owned();
        // Others change another field: no conflict. The same field: one.
        says(&town, &[("email", "an@example.vn")], Some("unit")).await;
        says(&town, &[("position_title", "009")], Some("unit")).await;
        town.clock.advance(start_of(date!(2026 - 12 - 01)) - town.clock.now());
        let officer = town.officer("hanoi").await;
        assert!(town.service.act_on_waiting().await.unwrap() == 1);
        let open = officer.get("/api/v1/changes?unit=H26").await.expect(200);
        assert_eq!((&open["items"][0]["state"], &open["items"][0]["conflicts"]), (&json!("conflict"), &json!(["position_title"])));
        let stored = town.service.store().record(&key()).await.unwrap().unwrap();
        assert_eq!(stored.record.text("position_title"), Some("009"), "nothing is overwritten unseen");
        let disputed = async || {
            town.computes().await;
            crate::quality::causes(&officer, UNIT).await.get("open_discrepancy").copied()
        };
        assert_eq!(disputed().await, Some(1), "what waits for the unit's decision is in dispute");
        officer.call("DELETE", &format!("/api/v1/changes/{id}"), Value::Null).await.expect(204);
        assert_eq!(officer.call("DELETE", &format!("/api/v1/changes/{id}"), Value::Null).await.problem(410), "gone");
        assert_eq!(disputed().await, None);
        assert_eq!(officer.get("/api/v1/changes?unit=H26").await.expect(200)["items"], json!([]));
        assert_eq!(officer.get("/api/v1/changes?unit=H29").await.problem(403), "foreign-unit");
        assert_eq!(officer.get("/api/v1/changes/count?unit=H29").await.problem(403), "foreign-unit");
    }
}

story! {
    async fn the_units_word_for_a_later_day_is_not_given_for_what_came_meanwhile(town) {
        town.hires(PERSON, UNIT).await;
        let officer = town.officer("vneid").await;
        let card = card_of(&officer).await;
        let record = changed(&town, &[("marital_status", "2")]).await;
        let says_it = only(&[("marital_status", "2")]);
        let wait = Incoming { effective_on: Some(date!(2026 - 12 - 01)), says: says_it, ..incoming(record, Some("unit")) };
        town.service.receive(&origin(Way::Update), vec![wait]).await.unwrap();
        // A clerk's row, which nobody confirms.
        says(&town, &[("employment_status", "retired")], None).await;
        town.clock.advance(start_of(date!(2026 - 12 - 01)) - town.clock.now());
        let officer = town.officer("vneid").await;
        rounds(&town).await;
        let stored = town.service.store().record(&key()).await.unwrap().unwrap();
        assert_eq!(stored.record.text("marital_status"), Some("2"), "on its day");
        assert_eq!(stored.standing.confirmed_at, None, "nobody confirmed the retirement");
        assert_eq!(state(&officer, &card).await, ("locked".into(), json!("under_review")));
        // Nor does a sender who speaks for the unit, of something else.
        says(&town, &[("email", "an@example.vn")], Some("unit")).await;
        rounds(&town).await;
        assert_eq!(state(&officer, &card).await.0, "locked");
        // Who says all that has changed does.
        let all = [("employment_status", "active"), ("email", "an@example.vn"), ("marital_status", "2")];
        says(&town, &all, Some("unit")).await;
        rounds(&town).await;
        let stored = town.service.store().record(&key()).await.unwrap().unwrap();
        assert!(stored.standing.confirmed_at.is_some());
        assert_eq!(state(&officer, &card).await.0, "active");
    }
}

story! {
    async fn an_announced_status_is_taken_back_by_its_sender_alone(town) {
        town.hires(PERSON, UNIT).await;
        let officer = town.officer("hanoi").await;
        let announced = [("employment_status", "retired"), ("employment_status_date", "20261201")];
        let open = async || officer.get("/api/v1/changes?unit=H26").await.expect(200)["items"].as_array().unwrap().len();
        assert_eq!(says(&town, &announced, Some("unit")).await, Became::Waiting { on: date!(2026 - 12 - 01) });
        // Something else, and the same from another way: it waits on.
        says(&town, &[("email", "an@example.vn")], Some("unit")).await;
        let record = changed(&town, &[]).await;
        town.service.receive(&origin(Way::Upload), vec![incoming(record, None)]).await.unwrap();
        assert_eq!(open().await, 1);
        // They stay after all.
        let stays = [("employment_status", "active")];
        assert_eq!(says(&town, &stays, Some("unit")).await, Became::Unchanged);
        assert_eq!(open().await, 0);
        let handle = town.service.store().record(&key()).await.unwrap().unwrap().handle;
        let lines = town.service.store().history(handle.as_str()).await.unwrap();
        assert!(lines.iter().any(|(_, actor, action, _)| (actor.as_str(), action.as_str()) == ("test", "change.superseded")));

        // Announced again, and brought forward to today: no conflict is left for the day that was told first.
        says(&town, &announced, Some("unit")).await;
        says(&town, &[("employment_status", "retired"), ("employment_status_date", "20261122")], Some("unit")).await;
        assert_eq!(open().await, 0);
    }
}

story! {
    async fn changes_of_one_field_follow_each_other_on_their_days(town) {
        town.hires(PERSON, UNIT).await;
        let will = async |town: &Town, position: &str, on| {
            let record = changed(town, &[("position_title", position)]).await;
            let incoming = Incoming { effective_on: Some(on), ..incoming(record, Some("unit")) };
            town.service.receive(&origin(Way::Upload), vec![incoming]).await.unwrap();
        };
        will(&town, "002", date!(2026 - 12 - 01)).await;
        will(&town, "003", date!(2027 - 01 - 01)).await;
        let title = async || {
            let stored = town.service.store().record(&key()).await.unwrap().unwrap();
            stored.record.text("position_title").unwrap().to_owned()
        };
        for (on, position) in [(date!(2026 - 12 - 01), "002"), (date!(2027 - 01 - 01), "003")] {
            town.clock.advance(start_of(on) - town.clock.now());
            assert_eq!(town.service.act_on_waiting().await.unwrap(), 1);
            assert_eq!(title().await, position);
        }
    }
}

story! {
    async fn a_call_comes_in_whole_or_not_at_all(town) {
        town.hires(PERSON, UNIT).await;
        let good = changed(&town, &[("email", "an@example.vn")]).await;
        let mut members: Value = serde_json::from_str(&good.content()).unwrap();
        members["agency_personnel_number"] = json!("N-new");
        let new = Record::restore(Catalogue::current(), &members.to_string()).unwrap();
        let expecting = |record: &Record, expects| Incoming { expects, ..incoming(record.clone(), None) };
        let receive = |all: Vec<Incoming>| async { town.service.receive(&origin(Way::Sync), all).await };
        let refused = |result: Result<_, Error>| match result {
            Err(Error::Refusal(refusal)) => refusal,
            other => panic!("{:?}", other.map(|_: Vec<officials_card::flow::Received>| ())),
        };
        let one = |expects| vec![expecting(&new, Expects::New), expecting(&good, expects)];
        assert_eq!(refused(receive(one(Expects::New)).await), Refusal::RecordExists);
        assert_eq!(refused(receive(one(Expects::Version(7))).await), Refusal::MovedOn("record"));
        assert_eq!(refused(receive(vec![expecting(&new, Expects::Existing)]).await), Refusal::NotFound("record"));
        assert!(town.service.store().record(&new.key()).await.unwrap().is_none(), "nothing of a refused call stays");
        let received = receive(one(Expects::Version(1))).await.unwrap();
        assert_eq!((received[0].became, received[1].became, received[1].version), (Became::New, Became::Changed, 2));
        assert_eq!(receive(one(Expects::Any)).await.map_err(|_| ()), Err(()), "what is new is not there twice");
        let again = receive(vec![expecting(&good, Expects::Any)]).await.unwrap();
        assert_eq!(again[0].became, Became::Unchanged);
    }
}

story! {
    async fn of_many_changes_at_once_none_is_lost(town) {
        town.hires(PERSON, UNIT).await;
        let base = changed(&town, &[]).await;
        let calls = (0..12).map(|number| {
            let mut members: Value = serde_json::from_str(&base.content()).unwrap();
            members["email"] = json!(format!("an{number}@example.vn"));
            let record = Record::restore(Catalogue::current(), &members.to_string()).unwrap();
            let service = town.service.clone();
            async move { service.receive(&origin(Way::Sync), vec![incoming(record, None)]).await.is_ok() }
        });
        let done = futures_util::future::join_all(calls).await.into_iter().filter(|done| *done).count();
        let stored = town.service.store().record(&key()).await.unwrap().unwrap();
        let versions = town.service.store().record_versions(&stored.handle).await.unwrap();
        assert_eq!(versions.len(), 1 + done, "each that was acknowledged is a version");
        assert!(done >= 1);
    }
}

story! {
    async fn the_population_match_is_kept_while_nothing_changes_that_was_compared(town) {
        town.hires(PERSON, UNIT).await;
        says(&town, &[("position_title", "005")], None).await;
        let stored = town.service.store().record(&key()).await.unwrap().unwrap();
        assert!(stored.standing.population.is_some() && stored.standing.confirmed_at.is_none());
        says(&town, &[("full_name", "Nguyễn Thị Khác")], None).await;
        let stored = town.service.store().record(&key()).await.unwrap().unwrap();
        assert_eq!(stored.standing.population, None);
        assert_eq!(stored.confirmed_version, Some(1));
    }
}

story! {
    async fn a_record_that_its_unit_takes_back_ends_its_card_and_can_come_again(town) {
        town.hires(PERSON, UNIT).await;
        let officer = town.officer("vneid").await;
        let card = card_of(&officer).await;
        let record = changed(&town, &[]).await;
        town.service.remove_record(&origin(Way::Sync), &key()).await.unwrap();
        assert_eq!(state(&officer, &card).await, ("withdrawn".into(), json!("issued_in_error")));
        assert!(town.service.remove_record(&origin(Way::Sync), &key()).await.is_err(), "once");
        assert_eq!(officer.get("/api/v1/records?unit=H26").await.expect(200)["items"], json!([]));
        let removed = officer.get("/api/v1/records?unit=H26&filter=removed").await.expect(200);
        assert_eq!(removed["items"].as_array().unwrap().len(), 1);
        let add = Incoming { expects: Expects::New, ..incoming(record, None) };
        let received = town.service.receive(&origin(Way::Sync), vec![add]).await.unwrap();
        assert_eq!((received[0].became, received[0].version), (Became::New, 3), "its history goes on");
    }
}

story! {
    async fn reading_a_record_is_written_down_and_shows_where_each_field_comes_from(town) {
        town.hires(PERSON, UNIT).await;
        says(&town, &[("email", "an@example.vn")], Some("unit")).await;
        let officer = town.officer("hanoi").await;
        let list = officer.get("/api/v1/records?unit=H26&limit=1").await.expect(200);
        let handle = list["items"][0]["handle"].as_str().unwrap().to_owned();
        assert_eq!(list["next"], json!(handle));
        let record = officer.get(&format!("/api/v1/records/{handle}")).await.expect(200);
        let field = |code: &str| record["fields"].as_array().unwrap().iter().find(|one| one["code"] == code).unwrap().clone();
        assert_eq!((&field("email")["way"], &field("email")["since_version"]), (&json!("sync"), &json!(2)));
        assert_eq!((&field("full_name")["way"], &field("full_name")["since_version"]), (&json!("import"), &json!(1)));
        let lines = town.service.store().history(&handle).await.unwrap();
        let read: Vec<_> = lines.iter().filter(|(_, _, action, _)| action == "record.read").map(|line| (&line.1, &line.3)).collect();
        assert_eq!(read, [(&"hanoi".to_owned(), &"list".to_owned()), (&"hanoi".to_owned(), &"view".to_owned())]);
        // Another unit's records are not there.
        town.hires("001199000026", "H29").await;
        let nation = town.officer("vneid").await;
        let foreign = nation.get("/api/v1/records?unit=H29").await.expect(200)["items"][0]["handle"].clone();
        let foreign = foreign.as_str().unwrap();
        assert_eq!(officer.get(&format!("/api/v1/records/{foreign}")).await.problem(404), "not-found");
        assert_eq!(officer.get(&format!("/api/v1/records/{foreign}/versions")).await.problem(404), "not-found");
        assert_eq!(officer.get("/api/v1/records?unit=H29").await.problem(403), "foreign-unit");
        assert_eq!(officer.get("/api/v1/records?unit=H26&after=x").await.problem(400), "invalid-request");
        assert_eq!(town.officer("reader").await.get("/api/v1/records?unit=H26").await.problem(403), "insufficient-scope");
    }
}

story! {
    async fn an_import_lets_a_later_status_wait(town) {
        town.hires(PERSON, UNIT).await;
        let officer = town.officer("vneid").await;
        let stored = town.service.store().record(&key()).await.unwrap().unwrap();
        let row = stored.record.content().replace("\"active\"", "\"retired\"").replace("\"20200101\"", "\"20270101\"");
        let row = row.replace(&format!("\"{}\"", stored.record.portrait().unwrap().name()), "\"/9j/4AAEAAD/2Q==\"");
        let file = town.file("later.ndjson", &row);
        let rejects = file.with_extension("rejects");
        let request = ImportRequest { file, format: Format::Ndjson, dry_run: false, rejects, actor: "test".into() };
        let bring = async || {
            import(town.service.store(), &town.clock, &town.service.chance, request.clone(), |_| {}).await.unwrap()
        };
        let first = bring().await;
        assert_eq!((first.rejected, first.changed, first.waiting), (0, 0, 1));
        assert_eq!(bring().await.waiting, 1, "the same wish, kept once");
        assert_eq!(officer.get("/api/v1/changes?unit=H26").await.expect(200)["items"].as_array().unwrap().len(), 1);
    }
}

story! {
    async fn terms_that_end_are_warned_of(town) {
        town.hires(PERSON, UNIT).await;
        says(&town, &[("full_time_term", "Nhiệm kỳ từ 01/01/2024 đến 31/12/2026")], Some("unit")).await;
        let officer = town.officer("hanoi").await;
        let card = card_of(&officer).await;
        let ending = officer.get("/api/v1/cards/ending?unit=H26&within_days=60").await.expect(200);
        assert_eq!((ending.as_array().unwrap().len(), &ending[0]["card"]), (1, &json!(card)));
        assert_eq!(officer.get("/api/v1/cards/ending?unit=H26&within_days=10").await.expect(200), json!([]));
        assert_eq!(officer.get("/api/v1/cards/ending?unit=H29").await.problem(403), "foreign-unit");
        // Thirty days before the end whoever follows the feed is told, once.
        assert_eq!(town.service.warn_of_ends().await.unwrap(), 0);
        town.clock.advance(start_of(date!(2026 - 12 - 05)) - town.clock.now());
        assert_eq!((town.service.warn_of_ends().await.unwrap(), town.service.warn_of_ends().await.unwrap()), (1, 0));
        let events = town.service.store().events(0, None, 100, &EventFilter::default()).await.unwrap().events;
        let last = &events.last().unwrap().what;
        assert_eq!((last.kind, last.card.as_str()), (EventKind::Ending, card.as_str()));
    }
}

story! {
    async fn a_term_that_is_shortened_to_a_day_that_is_past_ends_the_card_at_once(town) {
        town.hires(PERSON, UNIT).await;
        let officer = town.officer("vneid").await;
        let credential = town.wallet().card(&officer, PERSON, "official-card-sdjwt").await;
        let card = card_of(&officer).await;
        // Nobody's word yet.
        says(&town, &[("full_time_term", "20240101-20261031")], None).await;
        rounds(&town).await;
        assert_eq!(state(&officer, &card).await.0, "active");
        town.confirms(UNIT).await;
        rounds(&town).await;
        assert_eq!(state(&officer, &card).await, ("expired".into(), Value::Null));
        let shown = officer.get(&format!("/api/v1/cards/{card}")).await.expect(200);
        assert_eq!(shown["valid_until"], json!(town.clock.now()));
        assert!(shown["history"].to_string().contains("term over by record version 2"), "{shown}");
        // The credential itself would be good for longer.
        assert_eq!(published(&town, &status_of(&credential)).await, 1);
        let ask = json!({"personal_id_number": PERSON, "assurance_level": 2});
        assert_eq!(officer.post("/api/v1/offers", ask).await.problem(409), "not-verified");
        assert_eq!(town.service.refresh_cards().await.unwrap(), 0, "once");
        // A new term is a new card.
        says(&town, &[("full_time_term", "20240101-20291031")], Some("unit")).await;
        assert_ne!(card_of(&officer).await, card);
    }
}
