//! Records that live, where two things meet: what waits and a record that goes or comes again, a person's lock and the
//! facts', a death and whose it is.

use officials_card::error::{Error, Refusal};
use officials_card::flow::import::{Format, ImportRequest, import};
use officials_card::flow::{Became, Expects, Incoming, Says};
use officials_card::model::calendar::start_of;
use officials_card::model::card::Reason;
use officials_card::model::catalogue::Catalogue;
use officials_card::model::id::Handle;
use officials_card::model::origin::{Origin, Way};
use officials_card::model::patch::Patch;
use officials_card::model::record::{Record, RecordKey};
use officials_card::store::{CardStep, IncomingRecord, NewCard, NewWaiting, StoredRecord, TakenBack, VersionWrite};
use serde_json::{Value, json};
use time::Date;
use time::macros::date;

use crate::story;
use crate::town::{Officer, Town};

const PERSON: &str = "001199000018";
const UNIT: &str = "H26";
const DAY: Date = date!(2026 - 12 - 01);
const JPEG: [u8; 10] = [0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 1, 0xff, 0xd9];
/// With the SHA-256 of its bytes.
const JPEG_NAME: &str = "sha256:f23bbfea72b5cd77d4eb723ab173bcfb10402a199964b42a76a7a22fb3262112";

fn origin() -> Origin {
    Origin { way: Way::Upload, reference: "1".into(), actor: "test".into() }
}

fn key_in(unit: &str) -> RecordKey {
    RecordKey { unit: unit.into(), number: format!("N{PERSON}") }
}

async fn stored_in(town: &Town, unit: &str) -> StoredRecord {
    town.service.store().record(&key_in(unit)).await.unwrap().unwrap()
}

/// The person's record with other values.
async fn changed(town: &Town, fields: &[(&str, &str)]) -> Record {
    let mut members: Value = serde_json::from_str(&stored_in(town, UNIT).await.record.content()).unwrap();
    for (field, value) in fields {
        members[*field] = json!(value);
    }
    Record::restore(Catalogue::current(), &members.to_string()).unwrap()
}

fn incoming(record: Record) -> Incoming {
    Incoming {
        record,
        expects: Expects::Existing,
        effective_on: None,
        confirmed_by: Some("unit".into()),
        says: Says::All,
    }
}

async fn says(town: &Town, fields: &[(&str, &str)]) {
    let record = changed(town, fields).await;
    town.service.receive(&origin(), vec![incoming(record)]).await.unwrap();
}

async fn will_say(town: &Town, fields: &[(&str, &str)]) {
    let record = changed(town, fields).await;
    let wait = Incoming { effective_on: Some(DAY), ..incoming(record) };
    let received = town.service.receive(&origin(), vec![wait]).await.unwrap();
    assert_eq!(received[0].became, Became::Waiting { on: DAY });
}

/// A version that is written from what somebody looked at earlier.
fn write(base: &StoredRecord, record: &Record) -> VersionWrite {
    VersionWrite {
        record: base.handle.clone(),
        base_version: base.version,
        base_confirmed_at: base.standing.confirmed_at,
        new: IncomingRecord::of(record, 0, base.handle.clone()),
        origin: origin(),
        confirmed_by: Some("unit".into()),
        card: CardStep::Keep,
        at: base.standing.changed_at,
    }
}

fn the_day_comes(town: &Town) {
    town.clock.advance(start_of(DAY) - town.clock.now());
}

async fn state(officer: &Officer<'_>, card: &str) -> (String, Value) {
    let card = officer.get(&format!("/api/v1/cards/{card}")).await.expect(200);
    (card["state"].as_str().unwrap().to_owned(), card["reason"].clone())
}

async fn card_of(officer: &Officer<'_>) -> String {
    officer.offer(PERSON).await["card"].as_str().unwrap().to_owned()
}

story! {
    async fn what_waits_goes_with_its_record_to_another_unit(town) {
        town.hires(PERSON, UNIT).await;
        will_say(&town, &[("position_title", "003")]).await;
        let base = stored_in(&town, UNIT).await;
        let moved = changed(&town, &[("managing_unit_code", "H29"), ("using_unit_code", "H29")]).await;
        town.service.store().write_versions(vec![write(&base, &moved)], Vec::new(), TakenBack::default()).await.unwrap();
        let officer = town.officer("vneid").await;
        let open = async |unit: &str| officer.get(&format!("/api/v1/changes?unit={unit}")).await.expect(200)["items"].clone();
        assert_eq!(open(UNIT).await, json!([]), "not the old unit's any more");
        assert_eq!(open("H29").await[0]["unit"], "H29");
        the_day_comes(&town);
        assert_eq!(town.service.act_on_waiting().await.unwrap(), 1);
        let stored = stored_in(&town, "H29").await;
        assert_eq!((stored.handle, stored.record.text("position_title")), (base.handle, Some("003")));
    }
}

story! {
    async fn a_change_that_was_made_against_a_record_that_left_meanwhile_is_refused(town) {
        town.hires(PERSON, UNIT).await;
        let base = stored_in(&town, UNIT).await;
        let waiting = |patch: Patch, key: RecordKey, id: &str| NewWaiting {
            id: id.into(), record: base.handle.clone(), key, base_version: base.version, catalogue: Catalogue::CURRENT, patch,
            due_on: DAY, due_at: start_of(DAY), origin: origin(), confirmed_by: None, portrait: None, created_at: town.clock.now(),
            supersedes: Vec::new(),
        };
        let patch = Patch::between(&base.record, &changed(&town, &[("position_title", "003")]).await);
        let late = waiting(patch.clone(), key_in("H29"), "AAAAAAAAAAAAAAAA");
        let refused = town.service.store().write_versions(Vec::new(), vec![late], TakenBack::default()).await;
        assert!(matches!(refused, Err(Error::Refusal(Refusal::MovedOn("record")))), "{refused:?}");
        // A change that cannot be made keeps no other from its day.
        let broken = Patch::parse(r#"{"nonsense":{"old":null,"new":1}}"#).unwrap();
        let broken = waiting(broken, key_in(UNIT), "0000000000000000");
        let good = waiting(patch, key_in(UNIT), "BBBBBBBBBBBBBBBB");
        town.service.store().write_versions(Vec::new(), vec![broken, good], TakenBack::default()).await.unwrap();
        the_day_comes(&town);
        assert_eq!(town.service.act_on_waiting().await.unwrap(), 2);
        let told = town.service.store().waiting_change("0000000000000000").await.unwrap().unwrap();
        assert_eq!((told.state.as_str(), told.detail.as_str()), ("conflict", "unreadable"), "the unit decides");
        assert_eq!(stored_in(&town, UNIT).await.record.text("position_title"), Some("003"));
    }
}

story! {
    async fn the_units_word_that_comes_between_a_look_and_a_write_is_not_lost(town) {
        town.hires(PERSON, UNIT).await;
        let record = changed(&town, &[("employment_status", "resigned")]).await;
        let unconfirmed = Incoming { confirmed_by: None, ..incoming(record) };
        town.service.receive(&origin(), vec![unconfirmed]).await.unwrap();
        // Somebody looks, the unit gives its word, and then comes what was made of the look.
        let base = stored_in(&town, UNIT).await;
        town.confirms(UNIT).await;
        let moved = changed(&town, &[("email", "an@example.vn")]).await;
        let late = VersionWrite { confirmed_by: None, ..write(&base, &moved) };
        let late = town.service.store().write_versions(vec![late], Vec::new(), TakenBack::default()).await;
        assert!(matches!(late, Err(Error::Refusal(Refusal::MovedOn("record")))), "{late:?}");
        let stands = stored_in(&town, UNIT).await;
        assert_eq!((stands.version, stands.confirmed_by.as_deref()), (base.version, Some("test")));
        // Who looks again writes.
        let again = VersionWrite { confirmed_by: stands.confirmed_by.clone(), ..write(&stands, &moved) };
        town.service.store().write_versions(vec![again], Vec::new(), TakenBack::default()).await.unwrap();
        assert!(stored_in(&town, UNIT).await.standing.confirmed_at.is_some());
    }
}

story! {
    async fn a_portrait_that_waits_has_its_bytes_on_its_day(town) {
        town.hires(PERSON, UNIT).await;
        let mut record = changed(&town, &[("portrait_photo", JPEG_NAME)]).await;
        assert!(record.attach_portrait(JPEG.to_vec()));
        let wait = Incoming { effective_on: Some(DAY), ..incoming(record) };
        town.service.receive(&origin(), vec![wait]).await.unwrap();
        the_day_comes(&town);
        assert_eq!(town.service.act_on_waiting().await.unwrap(), 1);
        assert_eq!(stored_in(&town, UNIT).await.record.portrait().unwrap().jpeg(), Some(&JPEG[..]));
    }
}

story! {
    async fn a_record_that_was_taken_back_is_not_revived_by_what_came_before(town) {
        town.hires(PERSON, UNIT).await;
        will_say(&town, &[("position_title", "003")]).await;
        let base = stored_in(&town, UNIT).await;
        let record = changed(&town, &[("position_title", "009")]).await;
        town.service.remove_record(&origin(), &key_in(UNIT)).await.unwrap();
        let late = town.service.store().write_versions(vec![write(&base, &record)], Vec::new(), TakenBack::default()).await;
        assert!(matches!(late, Err(Error::Refusal(Refusal::MovedOn("record")))), "{late:?}");
        let officer = town.officer("vneid").await;
        assert_eq!(officer.get("/api/v1/changes?unit=H26").await.expect(200)["items"], json!([]), "nothing waits for it");
        let versions = officer.get(&format!("/api/v1/records/{}/versions", base.handle)).await.expect(200);
        assert_eq!((&versions[0]["version"], &versions[0]["way"], &versions[0]["changes"]), (&json!(2), &json!("upload"), &json!([])));
        // Hired again from a later day, in another position.
        let again = Incoming { expects: Expects::New, effective_on: Some(DAY), ..incoming(record) };
        town.service.receive(&origin(), vec![again]).await.unwrap();
        assert!(stored_in(&town, UNIT).await.removed_at.is_some(), "not before");
        the_day_comes(&town);
        assert_eq!(town.service.act_on_waiting().await.unwrap(), 1);
        let stored = stored_in(&town, UNIT).await;
        assert_eq!((stored.removed_at, stored.record.text("position_title")), (None, Some("009")));
    }
}

story! {
    async fn a_person_who_locks_what_the_facts_locked_keeps_it_locked(town) {
        town.hires(PERSON, UNIT).await;
        let officer = town.officer("vneid").await;
        let card = card_of(&officer).await;
        says(&town, &[("employment_status", "suspended")]).await;
        town.service.follow_records().await.unwrap();
        officer.step(&card, "lock", "stolen").await.expect(200);
        says(&town, &[("employment_status", "active")]).await;
        town.service.follow_records().await.unwrap();
        assert_eq!(state(&officer, &card).await, ("locked".into(), json!("stolen")), "it is still stolen");
        // The other way round: found again, but suspended meanwhile.
        says(&town, &[("employment_status", "suspended")]).await;
        town.service.follow_records().await.unwrap();
        officer.step(&card, "unlock", "found").await.expect(200);
        town.service.follow_records().await.unwrap();
        assert_eq!(state(&officer, &card).await, ("locked".into(), json!("under_review")));
        // An officer who unlocks what the facts locked has decided.
        officer.step(&card, "unlock", "cleared").await.expect(200);
        town.service.follow_records().await.unwrap();
        assert_eq!(state(&officer, &card).await.0, "active");
    }
}

story! {
    async fn a_card_that_is_locked_meanwhile_is_not_replaced_by_an_unlocked_one(town) {
        town.hires(PERSON, UNIT).await;
        let officer = town.officer("vneid").await;
        let card = Handle::parse(&card_of(&officer).await).unwrap();
        let found = town.service.store().card(&card).await.unwrap().unwrap();
        officer.step(card.as_str(), "lock", "lost").await.expect(200);
        let new = || NewCard {
            handle: Handle::random(&town.service.chance), record: found.card.record.clone(), record_version: 1,
            facts: found.facts.clone(), created_at: town.clock.now(), valid_until: found.card.valid_until, replaced_status: 1,
        };
        let refused = town.service.store().replace_card(card.clone(), new(), Reason::DataChanged, "test".into()).await;
        assert!(matches!(refused, Err(Error::Refusal(Refusal::CardState { .. }))), "{refused:?}");
        assert_eq!(state(&officer, card.as_str()).await, ("locked".into(), json!("lost")));
        town.service.store().replace_card(card.clone(), new(), Reason::Lost, "test".into()).await.unwrap();
    }
}

story! {
    async fn a_death_that_nobody_matched_ends_no_card_of_another_unit(town) {
        town.hires(PERSON, UNIT).await;
        let officer = town.officer("vneid").await;
        let card = card_of(&officer).await;
        // Another unit has somebody under the same number, and says that they died.
        town.imports_as("other", PERSON, "H29", "001", "deceased").await;
        officer.post("/api/v1/records/confirm", json!({"unit": "H29"})).await.expect(200);
        town.service.follow_records().await.unwrap();
        assert_eq!(state(&officer, &card).await.0, "active");
        town.matches().await;
        town.service.follow_records().await.unwrap();
        assert_eq!(state(&officer, &card).await, ("withdrawn".into(), json!("deceased")), "it is the same person");
    }
}

story! {
    async fn whoever_died_gets_no_card_from_what_another_unit_sends(town) {
        town.hires(PERSON, UNIT).await;
        town.imports_as("other", PERSON, "H29", "001", "active").await;
        town.matches_and_confirms("H29").await;
        let officer = town.officer("vneid").await;
        let offered = async || {
            let ask = json!({"personal_id_number": PERSON, "assurance_level": 2, "unit": "H29"});
            officer.post("/api/v1/offers", ask).await
        };
        let card = offered().await.expect(201)["card"].as_str().unwrap().to_owned();
        says(&town, &[("employment_status", "deceased")]).await;
        town.service.follow_records().await.unwrap();
        assert_eq!(state(&officer, &card).await, ("withdrawn".into(), json!("deceased")));
        // The other unit's system does not know yet, and sends its monthly step of the salary.
        let key = RecordKey { unit: "H29".into(), number: "Nother".into() };
        let sends = async |field: &str, value: &str| {
            let stored = town.service.store().record(&key).await.unwrap().unwrap();
            let mut members: Value = serde_json::from_str(&stored.record.content()).unwrap();
            members[field] = json!(value);
            let record = Record::restore(Catalogue::current(), &members.to_string()).unwrap();
            town.service.receive(&origin(), vec![incoming(record)]).await.unwrap();
        };
        sends("email", "an@example.vn").await;
        assert_eq!(offered().await.problem(409), "not-verified");
        // It was a mistake: the unit that said so takes it back.
        says(&town, &[("employment_status", "active")]).await;
        offered().await.expect(201);
    }
}

story! {
    async fn a_status_of_a_day_too_far_ahead_is_a_rejected_row_and_no_more(town) {
        town.hires(PERSON, UNIT).await;
        let content = stored_in(&town, UNIT).await.record.content();
        let portrait = stored_in(&town, UNIT).await.record.portrait().unwrap().name();
        let row = content.replace(&format!("\"{portrait}\""), "\"/9j/4AAEAAD/2Q==\"");
        let far = row.replace("\"active\"", "\"retired\"").replace("\"20200101\"", "\"20700101\"");
        let other = row.replace(&format!("N{PERSON}"), "N2");
        let file = town.file("far.ndjson", format!("{far}\n{other}\n"));
        let rejects = file.with_extension("rejects");
        let request = ImportRequest { file, format: Format::Ndjson, dry_run: false, rejects: rejects.clone(), actor: "test".into() };
        let summary = import(town.service.store(), &town.clock, &town.service.chance, request, |_| {}).await.unwrap();
        assert_eq!((summary.rejected, summary.new, summary.waiting), (1, 1, 0));
        assert!(std::fs::read_to_string(rejects).unwrap().contains("employment_status_date"));
    }
}

story! {
    async fn a_term_that_does_not_say_when_it_ends_is_a_rejected_row(town) {
        town.hires(PERSON, UNIT).await;
        let portrait = stored_in(&town, UNIT).await.record.portrait().unwrap().name();
        let content = stored_in(&town, UNIT).await.record.content();
        let row = |number: &str, term: &str| {
            let row = content.replace(&format!("\"{portrait}\""), "\"/9j/4AAEAAD/2Q==\"").replace(&format!("N{PERSON}"), number);
            row.replacen('{', &format!("{{\"full_time_term\":\"{term}\","), 1)
        };
        let rows = [row("N1", "Khóa XVIII"), row("N2", "2026"), row("N3", "01/06/2021 - 31/05/2026"), row("N4", "Nhiệm kỳ 2021–2026")];
        let file = town.file("terms.ndjson", rows.join("\n"));
        let rejects = file.with_extension("rejects");
        let request = ImportRequest { file, format: Format::Ndjson, dry_run: false, rejects: rejects.clone(), actor: "test".into() };
        let summary = import(town.service.store(), &town.clock, &town.service.chance, request, |_| {}).await.unwrap();
        assert_eq!((summary.rejected, summary.new), (2, 2));
        let told = std::fs::read_to_string(rejects).unwrap();
        assert_eq!(told.matches("01/06/2021 - 31/05/2026").count(), 4, "both in both languages: {told}");
    }
}

story! {
    async fn an_open_proposal_goes_with_its_record_to_another_unit(town) {
        town.hires(PERSON, UNIT).await;
        let town = crate::review::desk(&town).await;
        let proposal = crate::review::proposes(&town, PERSON, "one", json!({"email": "an@example.vn"})).await;
        let base = stored_in(&town, UNIT).await;
        let moved = changed(&town, &[("managing_unit_code", "H29"), ("using_unit_code", "H29")]).await;
        town.service.store().write_versions(vec![write(&base, &moved)], Vec::new(), TakenBack::default()).await.unwrap();
        let ministry = town.officer("ministry").await;
        let queue = ministry.get("/api/v1/proposals?unit=H29").await.expect(200);
        assert_eq!(queue["items"][0]["proposal"], json!(proposal), "{queue}");
        let old = town.officer("an").await.get("/api/v1/proposals").await.expect(200);
        assert_eq!(old["items"], json!([]), "no longer the old unit's");
    }
}
