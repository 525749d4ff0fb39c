//! A unit's reviewers decide about proposals: who may, when it takes two, what is shown, and what follows.

use officials_card::config::{Client, Config};
use officials_card::credential::Signer;
use officials_card::flow::{Caller, NewOfficer};
use officials_card::model::calendar::start_of;
use officials_card::model::id::{Handle, PersonalNumber};
use officials_card::model::origin::Way;
use officials_card::model::patch::Patch;
use officials_card::model::rights::Role;
use officials_card::protocol::oauth::SCOPES;
use officials_card::store::{NewProposal, OfficeSession, OfficerSignIn};
use serde_json::{Value, json};
use sha2::Digest;
use time::macros::date;

use crate::confirmations::{confirms, sends};
use crate::revoke::{published, status_of};
use crate::story;
use crate::town::{Answer, Officer, Town, client_key};

pub const PERSON: &str = "001199000018";
pub const SD_JWT: &str = "official-card-sdjwt";
/// A picture that the tests of portraits take for another one.
const OTHER_PORTRAIT: &[u8] = &[0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xd9];
/// With the SHA-256 of its bytes.
const OTHER_PORTRAIT_NAME: &str = "sha256:8ec72c37890c1c168cf008bad0a72db89077e8fbcc3f040583173fd6dad841c1";
/// Three days, of which two are a weekend's.
const DUE_SECONDS: i64 = 3 * 86_400;

/// A town whose units have reviewers: `an`, `binh` and `chi` of H26, `dung` of the department H26.05, `head` of H26,
/// `clerk` who only reads, `ministry` above all.
pub async fn desk(town: &Town) -> Town {
    use officials_card::flow::lists::import_units;
    let units = town.file("units.csv", "code,name\nH26.05,Sở Nội vụ\nH26.06,Sở Y tế\n");
    import_units(town.service.store(), &units, "test", town.clock.now()).await.unwrap();
    town.configured(reviewers)
}

/// The people of the offices.
pub fn reviewers(config: &mut Config) {
    {
        let mut officer = |name: &str, units: Option<&str>, scopes: &[&str]| {
            config.clients.push(Client {
                name: name.into(),
                scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
                units: units.map(|unit| vec![unit.to_owned()]),
                jwks: Some(json!({"keys": [client_key().public_key().to_jwk()]})),
                ..Client::default()
            });
        };
        let reviewer = ["updates:read", "updates:decide", "records:read", "records:confirm"];
        for name in ["an", "binh", "chi"] {
            officer(name, Some("H26"), &reviewer);
        }
        officer("dung", Some("H26.05"), &reviewer);
        officer("clerk", Some("H26"), &["updates:read", "records:read", "records:write"]);
        officer("clerk-05", Some("H26.05"), &["updates:read"]);
        officer("head", Some("H26"), &[&reviewer[..], &["quality:approve"]].concat());
        officer("ministry", None, &SCOPES);
        officer("elsewhere", Some("G09"), &reviewer);
    }
}

/// The record of a person, and its version.
pub async fn record_of(town: &Town, person: &str) -> (Handle, i64) {
    let number = PersonalNumber::parse(person).unwrap();
    let stored = town.service.store().records_of(&number).await.unwrap().pop().unwrap();
    (stored.handle, stored.version)
}

/// What a record says now.
pub async fn content_of(town: &Town, person: &str) -> Value {
    let number = PersonalNumber::parse(person).unwrap();
    let stored = town.service.store().records_of(&number).await.unwrap().pop().unwrap();
    serde_json::from_str(&stored.record.content()).unwrap()
}

/// A person proposes: the fields with what they shall say. Returns the proposal's name.
pub async fn proposes(town: &Town, person: &str, name: &str, changes: Value) -> String {
    town.service.store().make_proposal(new_proposal(town, person, name, changes).await).await.unwrap();
    name.to_owned()
}

/// A person proposes another portrait, which is printed and takes two. Returns the proposal's name.
pub async fn proposes_portrait(town: &Town, person: &str, name: &str) -> String {
    let mut new = new_proposal(town, person, name, json!({"portrait_photo": OTHER_PORTRAIT_NAME})).await;
    new.portrait = Some((OTHER_PORTRAIT_NAME.replace("sha256:", ""), OTHER_PORTRAIT.to_vec()));
    town.service.store().make_proposal(new).await.unwrap();
    name.to_owned()
}

/// What a person is about to propose.
pub async fn new_proposal(town: &Town, person: &str, name: &str, changes: Value) -> NewProposal {
    let number = PersonalNumber::parse(person).unwrap();
    let store = town.service.store();
    let stored = store.records_of(&number).await.unwrap().pop().unwrap();
    let now: Value = serde_json::from_str(&stored.record.content()).unwrap();
    let differences = changes
        .as_object()
        .unwrap()
        .iter()
        .map(|(field, new)| (field.clone(), json!({"old": now.get(field).cloned(), "new": new})));
    let patch = Value::Object(differences.collect()).to_string();
    let fields: Vec<_> = changes.as_object().unwrap().keys().map(String::as_str).collect();
    let catalogue = stored.record.catalogue();
    NewProposal {
        id: name.to_owned(),
        record: stored.handle,
        unit: stored.record.key().unit,
        person: number,
        base_version: stored.version,
        patch: Patch::parse(&patch).unwrap().to_json(),
        note: "Đề nghị cập nhật".into(),
        is_sensitive: officials_card::model::review::needs_two(catalogue, fields),
        effective_on: None,
        evidence: Vec::new(),
        portrait: None,
        created_at: town.clock.now(),
        due_at: town.clock.now() + DUE_SECONDS,
        most_waiting: 100,
        most_a_day: 100,
    }
}

/// The same town with a unit office.
pub fn office(home: &Town) -> Town {
    use officials_card::config::{OfficeSignIn, Secret};
    home.configured(|config| {
        let (issuer, client_secret) = ("https://idp.example".to_owned(), Some(Secret::new("secret")));
        config.office_sign_in =
            Some(OfficeSignIn { issuer, client_id: "card".into(), client_secret, ..OfficeSignIn::default() });
    })
}

/// Officers of a unit office, at work.
pub struct Seats<'a> {
    town: &'a Town,
    officers: Vec<(String, Handle, u64)>,
}

impl<'a> Seats<'a> {
    /// Enters officers, each with a unit and perhaps with their own number; they sign in.
    pub async fn of(town: &'a Town, officers: &[(&str, Role, &str, Option<&str>)]) -> Self {
        let mut seats = Self { town, officers: Vec::new() };
        for (subject, role, unit, person) in officers {
            let new = NewOfficer {
                subject: (*subject).into(),
                name: (*subject).into(),
                unit: Some((*unit).into()),
                role: *role,
                valid_until: None,
                person: person.and_then(PersonalNumber::parse),
            };
            let officer = town.service.add_officer(&Caller::operator("test"), new).await.unwrap();
            seats.officers.push(((*subject).into(), officer.id, 0));
            seats.sits(subject).await;
        }
        seats
    }

    /// The officer's name.
    pub fn id(&self, subject: &str) -> &Handle {
        &self.officers.iter().find(|(name, ..)| name == subject).unwrap().1
    }

    /// The cookie of an officer's session.
    fn cookie(&self, subject: &str) -> String {
        format!("{subject}{}", self.officers.iter().find(|(name, ..)| name == subject).unwrap().2)
    }

    /// An officer signs in (again).
    pub async fn sits(&mut self, subject: &str) {
        let seat = self.officers.iter_mut().find(|(name, ..)| name == subject).unwrap();
        seat.2 += 1;
        let (cookie, store, now) = (self.cookie(subject), self.town.service.store(), self.town.clock.now());
        let mut hashed = sha2::Sha256::new();
        hashed.update((cookie.len() as u64).to_be_bytes());
        hashed.update(&cookie);
        let token = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, hashed.finalize());
        let officer = store.officer(self.id(subject)).await.unwrap().unwrap();
        let session =
            OfficeSession { token, authenticated_at: now, created_at: now, seen_at: now, ends_at: now + 3600 };
        let sign_in = OfficerSignIn { officer: officer.id, person: officer.person, session, replaces: None };
        store.begin_office_session(sign_in).await.unwrap();
    }

    /// Sends a request of an officer's page.
    pub async fn send(&self, subject: &str, method: &str, path: &str, body: Value) -> Answer {
        let cookie = self.cookie(subject);
        let csrf = self.town.service.at_work(&cookie, true).await.unwrap().csrf;
        let request =
            axum::http::Request::builder().method(method).uri(path).header("cookie", format!("office={cookie}"));
        let request = request.header("x-csrf-token", csrf).header("origin", crate::town::URL);
        self.town.send(request.header("content-type", "application/json").body(body.to_string().into()).unwrap()).await
    }
}

/// Verbs of a reviewer.
impl Officer<'_> {
    pub async fn approves(&self, proposal: &str, approval: Value) -> Answer {
        self.post(&format!("/api/v1/proposals/{proposal}/approve"), approval).await
    }

    pub async fn refuses(&self, proposal: &str, reason: &str, note: Option<&str>) -> Answer {
        self.post(&format!("/api/v1/proposals/{proposal}/refuse"), json!({"reason": reason, "note": note})).await
    }

    pub async fn looks_at(&self, proposal: &str) -> Answer {
        self.get(&format!("/api/v1/proposals/{proposal}")).await
    }

    async fn queue(&self, query: &str) -> Vec<String> {
        let page = self.get(&format!("/api/v1/proposals{query}")).await.expect(200);
        page["items"].as_array().unwrap().iter().map(|item| item["proposal"].as_str().unwrap().to_owned()).collect()
    }
}

story! {
    async fn an_approval_becomes_a_confirmed_version_and_the_person_is_shown_who_looked(town) {
        let desk = desk(&town).await;
        town.hires(PERSON, "H26").await;
        let proposal = proposes(&desk, PERSON, "p1", json!({"marital_status": "2", "DS_NGOAINGU": [{"foreign_language": "01"}]})).await;
        let an = desk.officer("an").await;
        let page = an.get("/api/v1/proposals").await;
        assert_eq!(page.header("cache-control"), "no-store");
        let page = page.expect(200);
        let item = &page["items"][0];
        assert_eq!((item["proposal"].as_str(), item["needs"].as_str(), &item["may_decide"]), (Some("p1"), Some("one"), &json!(true)));
        assert_eq!(item["person_masked"], "*********018");
        assert!(!page.to_string().contains(PERSON), "the list has no number");
        assert!(item["fields"][1]["label_vi"].as_str().unwrap().chars().count() > 3);
        let (record, version) = record_of(&desk, PERSON).await;
        let lines = desk.service.store().history(record.as_str()).await.unwrap();
        let before = lines.len();
        let (_, actor, action, purpose) = &lines[before - 1];
        assert_eq!((actor.as_str(), action.as_str(), purpose.as_str()), ("an", "record.read", "unit.review"), "the list has names");

        let whole = an.looks_at(&proposal).await.expect(200);
        assert_eq!(whole["record_version"], version);
        let changes = whole["changes"].as_array().unwrap();
        assert_eq!(changes.iter().map(|change| change["field"].as_str().unwrap()).collect::<Vec<_>>(), ["DS_NGOAINGU", "marital_status"]);
        assert_eq!((&changes[1]["old"], &changes[1]["new"], &changes[1]["now"]), (&Value::Null, &json!("2"), &Value::Null));
        assert_eq!(changes[0]["new"], json!([{"foreign_language": "01"}]));
        let lines = desk.service.store().history(record.as_str()).await.unwrap();
        let (_, actor, action, purpose) = &lines[before];
        assert_eq!((actor.as_str(), action.as_str(), purpose.as_str()), ("an", "record.read", "unit.review"));

        let done = an.approves(&proposal, json!({"expected_version": version})).await.expect(200);
        assert_eq!((done["state"].as_str(), &done["record_version"], &done["card"]), (Some("approved"), &json!(version + 1), &Value::Null));
        let says = content_of(&desk, PERSON).await;
        assert_eq!((&says["marital_status"], &says["DS_NGOAINGU"][0]["foreign_language"]), (&json!("2"), &json!("01")));
        let number = PersonalNumber::parse(PERSON).unwrap();
        let stored = desk.service.store().records_of(&number).await.unwrap().pop().unwrap();
        assert_eq!((stored.confirmed_by.as_deref(), stored.confirmed_version), (Some("an"), Some(version + 1)));
        assert!(stored.standing.population.is_some(), "the match is carried over");
        let whole = an.looks_at(&proposal).await.expect(200);
        assert_eq!((whole["version"].as_i64(), whole["state"].as_str(), whole["why_not"].as_str()), (Some(version + 1), Some("approved"), Some("decided")));
        assert_eq!((&whole["history"][0]["what"], &whole["history"][0]["by"]), (&json!("approved"), &json!("an")));
        assert_eq!(an.approves(&proposal, json!({})).await.problem(409), "proposal-state");
        assert_eq!(an.refuses(&proposal, "evidence_missing", None).await.problem(409), "proposal-state");
        assert!(an.queue("").await.is_empty());
        assert_eq!(an.queue("?state=approved").await, ["p1"]);
    }
}

story! {
    async fn a_printed_change_takes_two_and_replaces_the_card_at_once(town) {
        let desk = desk(&town).await;
        town.hires(PERSON, "H26").await;
        let (an, binh) = (desk.officer("an").await, desk.officer("binh").await);
        let wallet = desk.wallet();
        let copy = status_of(&wallet.card(&desk.officer("vneid").await, PERSON, SD_JWT).await);
        let old = desk.officer("vneid").await.offer(PERSON).await["card"].clone();
        let proposal = proposes_portrait(&desk, PERSON, "p1").await;
        assert_eq!(an.looks_at(&proposal).await.expect(200)["needs"], "two");
        let first = an.approves(&proposal, json!({})).await.expect(200);
        assert_eq!((first["state"].as_str(), &first["awaits_second"]), (Some("first_approved"), &json!(true)));
        assert_eq!(published(&desk, &copy).await, 0, "one is not enough");
        assert_eq!(an.approves(&proposal, json!({})).await.problem(403), "not-impartial");
        let seen = an.looks_at(&proposal).await.expect(200);
        assert_eq!((seen["needs"].as_str(), seen["why_not"].as_str()), (Some("second"), Some("first_approver")));
        let done = binh.approves(&proposal, json!({})).await.expect(200);
        assert_eq!((&done["replaced_card"], done["state"].as_str()), (&old, Some("approved")));
        assert_eq!(published(&desk, &copy).await, 1, "the old copy ends in the same transaction");
        let vneid = desk.officer("vneid").await;
        let seen = vneid.get(&format!("/api/v1/cards/{}", old.as_str().unwrap())).await.expect(200);
        assert_eq!((seen["state"].as_str(), seen["reason"].as_str(), &seen["replaced_by"]), (Some("withdrawn"), Some("data_changed"), &done["card"]));
        assert_eq!(vneid.offer(PERSON).await["card"], done["card"]);
        assert_eq!(desk.service.refresh_cards().await.unwrap(), 0, "nothing is left to do");
    }
}

story! {
    async fn what_moved_on_meanwhile_is_shown_and_never_written_over_unseen(town) {
        let desk = desk(&town).await;
        town.hires(PERSON, "H26").await;
        let an = desk.officer("an").await;
        let one = proposes(&desk, PERSON, "p1", json!({"marital_status": "2", "academic_degree": "01"})).await;
        let other = proposes(&desk, PERSON, "p2", json!({"marital_status": "3"})).await;
        let whole = an.looks_at(&one).await.expect(200);
        assert_eq!(whole["others"], json!([{"proposal": "p2", "state": "open", "fields": ["marital_status"], "created_at": desk.clock.now()}]));
        an.approves(&other, json!({})).await.expect(200);
        let (_, version) = record_of(&desk, PERSON).await;

        let whole = an.looks_at(&one).await.expect(200);
        assert_eq!(whole["has_conflicts"], true);
        let answer = an.approves(&one, json!({})).await;
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let conflict = answer.expect(409);
        assert_eq!(conflict["type"], "urn:officials-card:problem:moved-on");
        assert_eq!((&conflict["record_version"], conflict["conflicts"].as_array().unwrap().len()), (&json!(version), 1));
        let field = &conflict["conflicts"][0];
        assert_eq!((&field["field"], &field["old"], &field["new"], &field["now"]), (&json!("marital_status"), &Value::Null, &json!("2"), &json!("3")));
        assert_eq!(record_of(&desk, PERSON).await.1, version, "nothing was written");
        assert_eq!(an.approves(&one, json!({"overwrite": ["marital_status"]})).await.problem(400), "invalid-request");
        let stale = an.approves(&one, json!({"expected_version": version - 1, "overwrite": ["marital_status"]})).await;
        assert_eq!(stale.expect(409)["record_version"], version);
        // It is approved whole or refused, so that the person knows what was said of it and can appeal.
        let part = json!({"fields": ["academic_degree"], "reason": "other_proposal", "expected_version": version});
        assert_eq!(an.approves(&one, part).await.problem(400), "invalid-request");
        let many = json!({"items": [{"proposal": one, "decision": "approve", "reason": "other_proposal"}]});
        let answer = an.post("/api/v1/proposals/decide", many).await.expect(200);
        assert_eq!(answer["items"][0]["problem"]["status"], 400);
        an.refuses(&one, "other_proposal", None).await.expect(200);
        assert_eq!(content_of(&desk, PERSON).await.get("academic_degree"), None);
        let whole = an.looks_at(&one).await.expect(200);
        assert_eq!((&whole["state"], &whole["reason"]), (&json!("refused"), &json!("other_proposal")));
    }
}

story! {
    async fn a_reviewer_who_saw_the_conflict_may_decide_over_it(town) {
        let desk = desk(&town).await;
        town.hires(PERSON, "H26").await;
        let an = desk.officer("an").await;
        let one = proposes(&desk, PERSON, "p1", json!({"marital_status": "2"})).await;
        let other = proposes(&desk, PERSON, "p2", json!({"marital_status": "3"})).await;
        an.approves(&other, json!({})).await.expect(200);
        let (_, version) = record_of(&desk, PERSON).await;
        an.approves(&one, json!({"expected_version": version, "overwrite": ["marital_status"]})).await.expect(200);
        assert_eq!(content_of(&desk, PERSON).await["marital_status"], "2");
    }
}

story! {
    async fn changes_elsewhere_in_the_record_are_kept(town) {
        let desk = desk(&town).await;
        town.hires(PERSON, "H26").await;
        let an = desk.officer("an").await;
        let proposal = proposes(&desk, PERSON, "p1", json!({"marital_status": "2"})).await;
        // The unit sends another position meanwhile, and confirms it.
        town.imports(PERSON, "H26", "002", "active").await;
        town.matches_and_confirms("H26").await;
        let (_, version) = record_of(&desk, PERSON).await;
        let stale = an.approves(&proposal, json!({"expected_version": version - 1})).await.expect(409);
        assert_eq!(stale["conflicts"], json!([]), "the version is another, the field is not");
        an.approves(&proposal, json!({})).await.expect(200);
        let says = content_of(&desk, PERSON).await;
        assert_eq!((&says["position_title"], &says["marital_status"]), (&json!("002"), &json!("2")));
    }
}

story! {
    async fn approving_one_field_does_not_confirm_what_others_sent_unseen(town) {
        let desk = desk(&town).await;
        town.hires(PERSON, "H26").await;
        let an = desk.officer("an").await;
        let old = desk.officer("vneid").await.offer(PERSON).await["card"].clone();
        let proposal = proposes(&desk, PERSON, "p1", json!({"marital_status": "2"})).await;
        town.imports(PERSON, "H26", "002", "active").await;
        let done = an.approves(&proposal, json!({})).await.expect(200);
        assert_eq!((&done["awaits_confirmation"], &done["card"]), (&json!(true), &Value::Null));
        let number = PersonalNumber::parse(PERSON).unwrap();
        let stored = desk.service.store().records_of(&number).await.unwrap().pop().unwrap();
        assert_eq!(stored.standing.confirmed_at, None, "the unit's word on the new position is still to come");
        let vneid = desk.officer("vneid").await;
        let path = format!("/api/v1/cards/{}", old.as_str().unwrap());
        assert_eq!(vneid.get(&path).await.expect(200)["state"], "active");
    }
}

story! {
    async fn an_approval_for_a_later_day_waits_for_it(town) {
        let desk = desk(&town).await;
        town.hires(PERSON, "H26").await;
        let an = desk.officer("an").await;
        let proposal = proposes(&desk, PERSON, "p1", json!({"marital_status": "2"})).await;
        for day in ["2026-11-21", "2040-01-01", "tomorrow"] {
            assert_eq!(an.approves(&proposal, json!({"effective_on": day})).await.problem(400), "invalid-request", "{day}");
        }
        let done = an.approves(&proposal, json!({"effective_on": "2026-12-01"})).await.expect(200);
        assert_eq!((&done["waits_until"], &done["record_version"]), (&json!("2026-12-01"), &Value::Null));
        assert_eq!(content_of(&desk, PERSON).await.get("marital_status"), None);
        let whole = an.looks_at(&proposal).await.expect(200);
        assert_eq!((&whole["waits_until"], &whole["waiting_change"], &whole["version"]), (&json!("2026-12-01"), &json!("waiting"), &Value::Null));
        // Another one for the same day meets what somebody sends before it.
        let other = proposes(&desk, PERSON, "p2", json!({"academic_degree": "01"})).await;
        an.approves(&other, json!({"effective_on": "2026-12-01"})).await.expect(200);
        crate::confirmations::sends(&desk, PERSON, officials_card::model::origin::Way::Sync, "system", json!({"academic_degree": "02"})).await;
        desk.clock.advance(10 * 86_400);
        assert_eq!(desk.service.act_on_waiting().await.unwrap(), 2);
        assert_eq!(content_of(&desk, PERSON).await["marital_status"], "2");
        assert_eq!(content_of(&desk, PERSON).await["academic_degree"], "02");
        let an = desk.officer("an").await;
        let whole = an.looks_at(&proposal).await.expect(200);
        assert_eq!((&whole["waiting_change"], &whole["version"]), (&json!("done"), &json!(3)), "what it became is known");
        let whole = an.looks_at(&other).await.expect(200);
        assert_eq!((&whole["waiting_change"], &whole["version"]), (&json!("conflict"), &Value::Null));
    }
}

story! {
    async fn an_approval_of_a_later_day_finds_the_unit_s_word_as_it_stands_then(town) {
        let desk = desk(&town).await;
        let (given, not_given) = (PERSON, "001199000019");
        town.hires(given, "H26").await;
        town.hires(not_given, "H26").await;
        for person in [given, not_given] {
            sends(&desk, person, Way::Sync, "system", json!({"academic_degree": "01"})).await;
            let proposal = proposes(&desk, person, person, json!({"marital_status": "2"})).await;
            let later = json!({"effective_on": "2026-12-01"});
            assert_eq!(desk.officer("an").await.approves(&proposal, later).await.expect(200)["waits_until"], "2026-12-01");
        }
        let (record, version) = record_of(&desk, given).await;
        assert_eq!(confirms(&desk.officer("binh").await, "H26", &[(&record, version)]).await, ["confirmed"]);
        desk.clock.advance(start_of(date!(2026 - 12 - 01)) - desk.clock.now());
        assert_eq!(desk.service.act_on_waiting().await.unwrap(), 2);
        for (person, is_confirmed) in [(given, true), (not_given, false)] {
            let number = PersonalNumber::parse(person).unwrap();
            let stored = desk.service.store().records_of(&number).await.unwrap().pop().unwrap();
            assert_eq!(stored.record.text("marital_status"), Some("2"));
            assert_eq!(stored.standing.confirmed_at.is_some(), is_confirmed, "{person}");
        }
    }
}

story! {
    async fn a_file_that_makes_a_record_another_person_s_ends_what_waits_for_it(town) {
        let desk = desk(&town).await;
        town.hires(PERSON, "H26").await;
        let proposal = proposes(&desk, PERSON, "p1", json!({"marital_status": "2"})).await;
        let an = desk.officer("an").await;
        an.post("/api/v1/proposals/p1/claim", json!({})).await.expect(200);
        town.imports(PERSON, "H26", "002", "active").await;
        assert_eq!(an.looks_at(&proposal).await.expect(200)["state"], "open", "still the same person's");
        town.imports_as(PERSON, "001199000019", "H26", "002", "active").await;
        let ended = desk.service.store().proposal(&proposal).await.unwrap().unwrap();
        assert_eq!(ended.state.word(), "expired");
        assert_eq!(an.queue("?assigned=me").await, [""; 0]);
        let lines = desk.service.store().history(&proposal).await.unwrap();
        assert!(lines.iter().any(|line| (line.1.as_str(), line.2.as_str()) == ("system", "proposal.expired")), "{lines:?}");
    }
}

story! {
    async fn a_refusal_has_a_reason_and_an_appeal_goes_to_somebody_else(town) {
        let desk = desk(&town).await;
        town.hires(PERSON, "H26").await;
        let (an, binh, head) = (desk.officer("an").await, desk.officer("binh").await, desk.officer("head").await);
        let proposal = proposes(&desk, PERSON, "p1", json!({"marital_status": "2"})).await;
        let reasons = an.get("/api/v1/refusal-reasons").await.expect(200);
        assert!(reasons["items"].as_array().unwrap().iter().all(|reason| !reason["vi"].as_str().unwrap().is_empty()));
        assert_eq!(an.refuses(&proposal, "because", None).await.problem(400), "invalid-request");
        assert_eq!(an.refuses(&proposal, "wrong_value", Some("  ")).await.problem(400), "invalid-request", "a note is needed");
        assert_eq!(an.refuses(&proposal, "upheld", Some("x")).await.problem(400), "invalid-request", "that is for appeals");
        assert_eq!(an.refuses(&proposal, "other", Some(&"x".repeat(2001))).await.problem(400), "invalid-request");
        let done = an.refuses(&proposal, "wrong_value", Some("Sai ngày")).await.expect(200);
        assert_eq!(done["state"], "refused");
        let person = PersonalNumber::parse(PERSON).unwrap();
        let now = desk.clock.now();
        let appeal = desk.service.store().appeal_proposal(&proposal, &person, "Không sai".into(), Vec::new(), now + 86_400, now);
        assert!(appeal.await.unwrap());
        assert_eq!(an.queue("?state=appealed").await, ["p1"]);
        assert_eq!(an.approves(&proposal, json!({})).await.problem(403), "not-impartial", "who refused");
        assert_eq!(binh.approves(&proposal, json!({})).await.problem(403), "not-impartial", "not the head, not above");
        let whole = head.looks_at(&proposal).await.expect(200);
        assert_eq!((&whole["needs"], &whole["appeal_note"], &whole["may_decide"]), (&json!("appeal"), &json!("Không sai"), &json!(true)));
        assert_eq!(head.refuses(&proposal, "already_recorded", None).await.problem(400), "invalid-request");
        let done = head.refuses(&proposal, "upheld", Some("Đúng")).await.expect(200);
        assert_eq!(done["state"], "appeal_refused");
        assert_eq!(head.approves(&proposal, json!({})).await.problem(409), "proposal-state");

        // And one that is granted, by the unit above.
        let proposal = proposes(&desk, PERSON, "p2", json!({"marital_status": "2"})).await;
        binh.refuses(&proposal, "evidence_missing", None).await.expect(200);
        let appeal = desk.service.store().appeal_proposal(&proposal, &person, "Có đây".into(), Vec::new(), now + 86_400, now);
        assert!(appeal.await.unwrap());
        let ministry = desk.officer("ministry").await;
        assert_eq!(ministry.approves(&proposal, json!({})).await.expect(200)["state"], "approved");
        let history = ministry.looks_at(&proposal).await.expect(200)["history"].clone();
        let told: Vec<_> = history.as_array().unwrap().iter().map(|line| (line["what"].as_str().unwrap(), line["by"].as_str().unwrap())).collect();
        assert_eq!(told, [("refused", "binh"), ("approved", "ministry")]);
    }
}

story! {
    async fn a_reviewer_sees_the_own_unit_and_below_only(town) {
        let desk = desk(&town).await;
        let people = [("001199000018", "H26"), ("001199000019", "H26.05"), ("001199000020", "H26.06"), ("001199000021", "G09")];
        for (at, (person, unit)) in people.iter().enumerate() {
            town.hires(person, unit).await;
            proposes(&desk, person, &format!("p{at}"), json!({"marital_status": "2"})).await;
        }
        for (officer, sees) in [
            ("an", &["p0", "p1", "p2"][..]), ("dung", &["p1"]), ("elsewhere", &["p3"]), ("ministry", &["p0", "p1", "p2", "p3"]),
        ] {
            let officer = desk.officer(officer).await;
            assert_eq!(officer.queue("").await, sees);
            for at in 0..4 {
                let name = format!("p{at}");
                let status = if sees.contains(&name.as_str()) { 200 } else { 404 };
                assert_eq!(officer.looks_at(&name).await.status, status);
                if status == 404 {
                    assert_eq!(officer.approves(&name, json!({})).await.problem(404), "not-found");
                    assert_eq!(officer.post(&format!("/api/v1/proposals/{name}/claim"), json!({})).await.problem(404), "not-found");
                }
            }
        }
        let dung = desk.officer("dung").await;
        assert_eq!(dung.get("/api/v1/proposals?unit=H26").await.problem(403), "foreign-unit");
        assert_eq!(dung.get("/api/v1/proposals/workload?unit=H26.06").await.problem(403), "foreign-unit");
        assert_eq!(desk.officer("an").await.queue("?unit=H26.05").await, ["p1"]);
        let clerk = desk.officer("clerk").await;
        assert_eq!(clerk.queue("").await.len(), 3);
        assert_eq!(clerk.approves("p0", json!({})).await.problem(403), "insufficient-scope");
        assert_eq!(clerk.looks_at("p0").await.expect(200)["why_not"], "scope");
        assert_eq!(desk.officer("reader").await.get("/api/v1/proposals").await.problem(403), "insufficient-scope");
        for bad in ["?limit=0", "?limit=201", "?state=done", "?after=x", "?unit=%25", "?nothing=1"] {
            assert_eq!(clerk.get(&format!("/api/v1/proposals{bad}")).await.problem(400), "invalid-request", "{bad}");
        }
        assert_eq!(clerk.looks_at("no%20such").await.problem(404), "not-found");
    }
}

story! {
    async fn the_queue_has_pages_deadlines_and_claims(town) {
        let desk = desk(&town).await;
        let people: Vec<_> = (10..15).map(|at| format!("0011990000{at}")).collect();
        town.hires_all(&people, "H26").await;
        for (at, person) in people.iter().enumerate() {
            proposes(&desk, person, &format!("p{at}"), json!({"marital_status": "2"})).await;
            desk.clock.advance(60);
        }
        let an = desk.officer("an").await;
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let page = an.get(&format!("/api/v1/proposals?limit=2{after}")).await.expect(200);
            seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["proposal"].as_str().unwrap().to_owned()));
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(seen, ["p0", "p1", "p2", "p3", "p4"], "each once, due first");

        let claim = an.post("/api/v1/proposals/p0/claim", json!({"minutes": 5})).await.expect(200);
        assert_eq!((&claim["claimed_by"], &claim["claimed_until"]), (&json!("an"), &json!(desk.clock.now() + 300)));
        let binh = desk.officer("binh").await;
        assert_eq!(binh.post("/api/v1/proposals/p0/claim", json!({})).await.problem(409), "claimed");
        assert_eq!(binh.post("/api/v1/proposals/p0/claim", json!({"minutes": 61})).await.problem(400), "invalid-request");
        assert_eq!(an.queue("?assigned=me").await, ["p0"]);
        assert_eq!(binh.queue("?assigned=an").await, ["p0"]);
        assert_eq!(binh.queue("?assigned=none").await.len(), 4);
        assert_eq!(binh.post("/api/v1/proposals/p0/release", json!({})).await.status, 204);
        assert_eq!(binh.queue("?assigned=an").await, ["p0"], "what is another's stays theirs");
        desk.clock.advance(300);
        binh.post("/api/v1/proposals/p0/claim", json!({})).await.expect(200);
        assert_eq!(binh.post("/api/v1/proposals/p0/release", json!({})).await.status, 204);
        assert_eq!(binh.queue("?assigned=none").await.len(), 5);
        // A hint: whoever decides needs none, and it ends with the decision.
        binh.post("/api/v1/proposals/p1/claim", json!({})).await.expect(200);
        an.approves("p1", json!({})).await.expect(200);
        assert_eq!(binh.post("/api/v1/proposals/p1/claim", json!({})).await.problem(409), "proposal-state");

        let load = an.get("/api/v1/proposals/workload").await.expect(200);
        assert_eq!((&load["open"], &load["overdue"], &load["unclaimed"], &load["decided_last_30_days"]), (&json!(4), &json!(0), &json!(4), &json!(1)));
        let due: i64 = load["due"].as_array().unwrap().iter().map(|day| day["count"].as_i64().unwrap()).sum();
        assert_eq!(due, 4, "{load}");
        desk.clock.advance(DUE_SECONDS);
        let an = desk.officer("an").await;
        assert_eq!(an.queue("?overdue=true").await.len(), 4);
        assert!(an.queue("?overdue=false").await.is_empty());
        let load = an.get("/api/v1/proposals/workload?unit=H26").await.expect(200);
        assert_eq!((&load["overdue"], &load["units"]), (&json!(4), &json!([{"unit": "H26", "waiting": 4, "overdue": 4}])));
        assert_eq!(load["reviewers"], json!([{"reviewer": "an", "claimed": 0, "decided_last_30_days": 1, "refused_last_30_days": 0, "median_working_hours": 0.0}]));
    }
}

story! {
    async fn what_is_overdue_names_the_unit_above(town) {
        let desk = desk(&town).await;
        town.hires(PERSON, "H26.05").await;
        let proposal = proposes(&desk, PERSON, "p1", json!({"marital_status": "2"})).await;
        assert_eq!(desk.officer("dung").await.looks_at(&proposal).await.expect(200)["escalated_to"], Value::Null);
        desk.clock.advance(DUE_SECONDS + 1);
        let seen = desk.officer("dung").await.looks_at(&proposal).await.expect(200);
        assert_eq!((&seen["escalated_to"], &seen["is_overdue"], &seen["may_decide"]), (&json!("H26"), &json!(true), &json!(true)));
        desk.officer("an").await.approves(&proposal, json!({})).await.expect(200);
        let seen = desk.officer("dung").await.looks_at(&proposal).await.expect(200);
        assert_eq!((&seen["escalated_to"], &seen["is_overdue"]), (&Value::Null, &json!(false)));
    }
}

story! {
    async fn many_decisions_at_once_have_an_answer_each(town) {
        let desk = desk(&town).await;
        let people: Vec<_> = (10..40).map(|at| format!("0011990000{at}")).collect();
        town.hires_all(&people, "H26").await;
        let mut items = Vec::new();
        for (at, person) in people.iter().enumerate() {
            let name = proposes(&desk, person, &format!("p{at}"), json!({"marital_status": "2"})).await;
            items.push(if at % 3 == 0 {
                json!({"proposal": name, "decision": "refuse", "reason": "evidence_missing"})
            } else {
                json!({"proposal": name, "decision": "approve"})
            });
        }
        items.insert(5, json!({"proposal": "none", "decision": "approve"}));
        items.insert(6, json!({"proposal": "p1", "decision": "refuse"}));
        items.insert(7, json!({"proposal": "p1", "decision": "approve", "expected_version": 99}));
        let an = desk.officer("an").await;
        let answer = an.post("/api/v1/proposals/decide", json!({"items": items})).await.expect(200);
        assert_eq!((&answer["done"], &answer["problems"]), (&json!(30), &json!(3)));
        for (asked, told) in items.iter().zip(answer["items"].as_array().unwrap()) {
            assert_eq!(asked["proposal"], told["proposal"], "in order");
        }
        let kinds: Vec<_> = (5..8).map(|at| answer["items"][at]["problem"]["status"].as_u64().unwrap()).collect();
        assert_eq!(kinds, [404, 400, 409]);
        assert!(an.queue("").await.is_empty());
        assert_eq!(an.queue("?state=refused").await.len(), 10);
        let too_many: Vec<_> = (0..501).map(|_| json!({"proposal": "p1", "decision": "approve"})).collect();
        assert_eq!(an.post("/api/v1/proposals/decide", json!({"items": too_many})).await.problem(413), "too-much");
        assert_eq!(an.post("/api/v1/proposals/decide", json!({"items": []})).await.problem(400), "invalid-request");
    }
}

story! {
    async fn a_right_that_is_lent_is_bounded_and_ends(town) {
        let desk = desk(&town).await;
        town.hires(PERSON, "H26.05").await;
        town.hires("001199000019", "H26.06").await;
        let (an, clerk) = (desk.officer("an").await, desk.officer("clerk-05").await);
        let plain = proposes(&desk, PERSON, "p1", json!({"marital_status": "2"})).await;
        let sensitive = proposes(&desk, PERSON, "p2", json!({"blood_type": "01"})).await;
        let outside = proposes(&desk, "001199000019", "p3", json!({"marital_status": "2"})).await;
        let lend = |to: &str, unit: &str, days: i64| json!({"to": to, "unit": unit, "days": days});
        for (to, unit, days, status) in [
            ("an", "H26.05", 5, 400), ("clerk-05", "H26.05", 0, 400), ("clerk-05", "H26.05", 91, 400), ("clerk-05", "x", 5, 400),
            ("clerk-05", "G09", 5, 403), ("nobody", "H26.05", 5, 404), ("elsewhere", "H26", 5, 404), ("clerk", "H26.05", 5, 404), ("ministry", "H26", 5, 404),
        ] {
            assert_eq!(an.post("/api/v1/delegations", lend(to, unit, days)).await.status, status, "{to} {unit} {days}");
        }
        assert_eq!(clerk.post("/api/v1/delegations", lend("dung", "H26.05", 5)).await.problem(403), "insufficient-scope");
        assert_eq!(clerk.approves(&plain, json!({})).await.problem(403), "insufficient-scope");
        let lent = an.post("/api/v1/delegations", lend("clerk-05", "H26.05", 5)).await.expect(201);
        assert_eq!((&lent["from"], &lent["state"]), (&json!("an"), &json!("in_force")));
        // No chain: what is lent is not lent on.
        assert_eq!(clerk.post("/api/v1/delegations", lend("dung", "H26.05", 5)).await.problem(403), "insufficient-scope");
        assert_eq!(clerk.approves(&sensitive, json!({})).await.problem(403), "insufficient-scope", "not lent");
        assert_eq!(clerk.approves(&outside, json!({})).await.problem(404), "not-found");
        clerk.approves(&plain, json!({})).await.expect(200);
        let history = an.looks_at(&plain).await.expect(200)["history"].clone();
        assert_eq!((&history[0]["by"], &history[0]["on_behalf_of"]), (&json!("clerk-05"), &json!("an")));

        // Two with one right are one pair of eyes.
        let with_sensitive = json!({"to": "clerk-05", "unit": "H26.05", "days": 5, "includes_sensitive": true});
        let second = an.post("/api/v1/delegations", with_sensitive).await.expect(201);
        an.approves(&sensitive, json!({})).await.expect(200);
        assert_eq!(clerk.approves(&sensitive, json!({})).await.problem(403), "not-impartial");
        let ids = clerk.get("/api/v1/delegations").await.expect(200)["items"].as_array().unwrap().len();
        assert_eq!(ids, 2);
        let path = |lent: &Value| format!("/api/v1/delegations/{}", lent["delegation"].as_str().unwrap());
        assert_eq!(clerk.call("DELETE", &path(&second), Value::Null).await.problem(403), "insufficient-scope");
        assert_eq!(desk.officer("binh").await.call("DELETE", &path(&second), Value::Null).await.problem(404), "not-found");
        assert_eq!(an.call("DELETE", &path(&second), Value::Null).await.status, 204);
        assert_eq!(an.call("DELETE", &path(&second), Value::Null).await.problem(404), "not-found");
        desk.clock.advance(5 * 86_400);
        let another = proposes(&desk, PERSON, "p4", json!({"academic_degree": "01"})).await;
        let clerk = desk.officer("clerk-05").await;
        assert_eq!(clerk.approves(&another, json!({})).await.problem(403), "insufficient-scope", "its days are over");
        let states: Vec<_> = clerk.get("/api/v1/delegations").await.expect(200)["items"].as_array().unwrap().iter().map(|one| one["state"].as_str().unwrap().to_owned()).collect();
        assert!(states.contains(&"expired".to_owned()) && states.contains(&"revoked".to_owned()), "{states:?}");
    }
}

story! {
    async fn a_lent_right_is_worth_what_the_lender_s_is(town) {
        let desk = desk(&town).await;
        town.hires(PERSON, "H26.05").await;
        let proposal = proposes(&desk, PERSON, "p1", json!({"marital_status": "2"})).await;
        let lend = json!({"to": "clerk-05", "unit": "H26.05", "days": 5});
        desk.officer("an").await.post("/api/v1/delegations", lend).await.expect(201);
        let without = desk.configured(|config| {
            let an = config.clients.iter_mut().find(|client| client.name == "an").unwrap();
            an.scopes.retain(|scope| scope != "updates:decide");
        });
        assert_eq!(without.officer("clerk-05").await.approves(&proposal, json!({})).await.problem(403), "insufficient-scope");
        desk.officer("clerk-05").await.approves(&proposal, json!({})).await.expect(200);
    }
}

story! {
    async fn a_proposed_portrait_is_looked_at_by_two_and_comes_to_the_wallet_by_itself(town) {
        use crate::holder::{Office, Tokens};
        let office = Office::open_with(town, reviewers).await;
        let desk = &office.town;
        let wallet = office.wallet();
        let tokens = wallet.tokens(PERSON).await;
        let first = wallet.issued(&tokens.access).await;
        let old_copy = crate::holder::status_of(&first);

        proposes_portrait(desk, PERSON, "p1").await;

        let (an, binh) = (desk.officer("an").await, desk.officer("binh").await);
        let picture = an.get("/api/v1/proposals/p1/portraits/new").await;
        assert_eq!((picture.header("content-type"), picture.header("cache-control")), ("image/jpeg", "no-store"));
        assert_eq!(picture.bytes, OTHER_PORTRAIT);
        let before = an.get("/api/v1/proposals/p1/portraits/old").await;
        assert_eq!(before.status, 200);
        assert_ne!(before.bytes, OTHER_PORTRAIT);
        assert_eq!(an.get("/api/v1/proposals/p1/portraits/other").await.problem(404), "not-found");
        assert_eq!(desk.officer("elsewhere").await.get("/api/v1/proposals/p1/portraits/new").await.problem(404), "not-found");
        assert_eq!(an.approves("p1", json!({})).await.expect(200)["awaits_second"], true);
        assert_eq!(published(desk, &old_copy).await, 0);
        let done = binh.approves("p1", json!({})).await.expect(200);

        // The same instant: the old copy is ended, whoever follows the feed is told, the wallet gets the new card.
        assert_eq!(published(desk, &old_copy).await, 1);
        let request = axum::http::Request::get("/api/v1/events?after=0").header("accept", "application/json");
        let request = request.header("authorization", format!("Bearer {}", desk.officer("vneid").await.token));
        let page = desk.send(request.body(axum::body::Body::empty()).unwrap()).await.expect(200);
        let told: Vec<_> = page["events"].as_array().unwrap().iter().map(|event| json!([event["kind"], event["card"], event["reason"]])).collect();
        assert!(told.contains(&json!(["card.refreshed", done["replaced_card"], "data_changed"])), "{told:?}");
        assert!(told.contains(&json!(["card.created", done["card"], null])), "{told:?}");
        let refreshed = Tokens::of(wallet.refresh(&tokens.refresh).send().await);
        let second = wallet.issued(&refreshed.access).await;
        let new_copy = crate::holder::status_of(&second);
        assert_eq!((published(desk, &new_copy).await, published(desk, &old_copy).await), (0, 1));
        let portrait_of = |answer: &Value| {
            use officials_card::credential::sd_jwt::Presentation;
            use officials_card::credential::x509::Anchors;
            let anchors = Anchors::from_pem(desk.service.anchor_pem()).unwrap();
            let card = Presentation::parse(answer["credentials"][0]["credential"].as_str().unwrap()).unwrap();
            let vct = format!("{}/types/official-card/1", crate::town::URL);
            card.verify(&anchors, &vct, desk.clock.now()).unwrap().claims["portrait"].to_string()
        };
        assert_ne!(portrait_of(&first), portrait_of(&second));
        assert_eq!(desk.service.refresh_cards().await.unwrap(), 0, "nothing is left to do");
    }
}

story! {
    async fn an_officer_does_not_decide_in_their_own_matter(town) {
        let desk = office(&desk(&town).await);
        town.hires(PERSON, "H26").await;
        town.hires("001199000019", "H26").await;
        let seats = Seats::of(&desk, &[
            ("hoa", Role::Confirmer, "H26", Some(PERSON)), ("lan", Role::Confirmer, "H26", None),
            ("mai", Role::Clerk, "H26", None), ("tra", Role::Inspector, "H26", None),
        ]).await;
        let send = async |subject: &str, method: &str, path: &str, body: Value| seats.send(subject, method, path, body).await;
        let approve = async |subject: &str, proposal: &str| send(subject, "POST", &format!("/api/v1/proposals/{proposal}/approve"), json!({})).await;
        let own = proposes(&desk, PERSON, "p1", json!({"marital_status": "2"})).await;
        let another = proposes(&desk, "001199000019", "p2", json!({"marital_status": "2"})).await;
        assert_eq!(approve("hoa", &own).await.problem(403), "not-impartial");
        let refuse = json!({"reason": "evidence_missing"});
        assert_eq!(send("hoa", "POST", "/api/v1/proposals/p1/refuse", refuse).await.problem(403), "not-impartial");
        assert_eq!(send("hoa", "POST", "/api/v1/proposals/p1/claim", json!({})).await.problem(403), "not-impartial");
        assert_eq!(send("hoa", "GET", "/api/v1/proposals/p1", Value::Null).await.expect(200)["why_not"], "self");
        // Nor does somebody else by their right; and who is there to look is lent none.
        let lend = |to: &str| json!({"to": seats.id(to).to_string(), "unit": "H26", "days": 3});
        assert_eq!(send("hoa", "POST", "/api/v1/delegations", lend("tra")).await.problem(404), "not-found");
        send("hoa", "POST", "/api/v1/delegations", lend("mai")).await.expect(201);
        assert_eq!(approve("tra", &another).await.problem(403), "insufficient-scope");
        assert_eq!(approve("mai", &own).await.problem(403), "not-impartial");
        approve("mai", &another).await.expect(200);
        approve("lan", &own).await.expect(200);
        // Who is blocked lends nothing any more.
        let third = proposes(&desk, "001199000019", "p3", json!({"academic_degree": "01"})).await;
        desk.service.block_officer(&Caller::operator("test"), seats.id("hoa"), true).await.unwrap();
        assert_eq!(approve("mai", &third).await.problem(403), "insufficient-scope");
    }
}

story! {
    async fn a_lent_right_ends_with_the_borrower_s_role_and_unit(town) {
        use officials_card::flow::{Edit, OfficerEdit};
        let desk = office(&desk(&town).await);
        town.hires(PERSON, "H26").await;
        let proposal = proposes(&desk, PERSON, "p1", json!({"marital_status": "2"})).await;
        let mut seats = Seats::of(&desk, &[
            ("lan", Role::Confirmer, "H26", None), ("mai", Role::Clerk, "H26", None), ("tam", Role::Clerk, "H26", None),
        ]).await;
        for borrower in ["mai", "tam"] {
            let lend = json!({"to": seats.id(borrower).to_string(), "unit": "H26", "days": 3});
            seats.send("lan", "POST", "/api/v1/delegations", lend).await.expect(201);
        }
        let revision = 1;
        let unit = Edit::Set(Some("G09".to_owned()));
        let edits = [
            ("mai", OfficerEdit { role: Some(Role::Inspector), revision, ..OfficerEdit::default() }),
            ("tam", OfficerEdit { unit, revision, ..OfficerEdit::default() }),
        ];
        let path = format!("/api/v1/proposals/{proposal}/approve");
        for (borrower, edit) in edits {
            let seen = seats.send(borrower, "GET", &format!("/api/v1/proposals/{proposal}"), Value::Null).await.expect(200);
            assert_eq!(seen["may_decide"], true);
            desk.service.edit_officer(&Caller::operator("test"), seats.id(borrower), edit).await.unwrap();
            seats.sits(borrower).await;
            let status = seats.send(borrower, "POST", &path, json!({})).await.status.as_u16();
            assert_eq!(status, if borrower == "mai" { 403 } else { 404 }, "{borrower}");
        }
        seats.send("lan", "POST", &path, json!({})).await.expect(200);
    }
}

story! {
    async fn after_an_appeal_no_colleague_has_the_last_word(town) {
        let desk = desk(&town).await;
        town.hires(PERSON, "H26").await;
        let (an, chi, head) = (desk.officer("an").await, desk.officer("chi").await, desk.officer("head").await);
        let proposal = proposes(&desk, PERSON, "p1", json!({"blood_type": "01"})).await;
        an.refuses(&proposal, "evidence_missing", None).await.expect(200);
        let (person, now) = (PersonalNumber::parse(PERSON).unwrap(), desk.clock.now());
        let appeal = desk.service.store().appeal_proposal(&proposal, &person, "Có đây".into(), Vec::new(), now + 86_400, now);
        assert!(appeal.await.unwrap());
        assert_eq!(head.approves(&proposal, json!({})).await.expect(200)["awaits_second"], true);
        assert_eq!(chi.looks_at(&proposal).await.expect(200)["why_not"], "from_appeal");
        assert_eq!(chi.refuses(&proposal, "upheld", Some("Đúng")).await.problem(403), "not-impartial");
        let ministry = desk.officer("ministry").await;
        assert_eq!(ministry.approves(&proposal, json!({})).await.expect(200)["state"], "approved");
    }
}

story! {
    async fn a_proposal_has_the_fate_of_its_record(town) {
        use officials_card::error::{Error, Refusal};
        use officials_card::model::origin::{Origin, Way};
        use sqlx::Connection;
        let desk = desk(&town).await;
        let (second, third) = ("001199000019", "001199000020");
        for person in [PERSON, second, third] {
            town.hires(person, "H26").await;
        }
        let store = desk.service.store();
        let an = desk.officer("an").await;
        // Its unit moved on, or it is somebody else's: nothing is proposed to who does not manage it.
        let new = new_proposal(&desk, PERSON, "p0", json!({"marital_status": "2"})).await;
        for stale in [NewProposal { unit: "H26.05".into(), ..new.clone() }, NewProposal { person: PersonalNumber::parse(second).unwrap(), ..new.clone() }] {
            let refused = store.make_proposal(stale).await.err().unwrap();
            assert!(matches!(refused, Error::Refusal(Refusal::MovedOn("record"))), "{refused:?}");
        }
        // The unit takes the record back.
        let waiting = proposes(&desk, PERSON, "p1", json!({"marital_status": "2"})).await;
        let refused = proposes(&desk, PERSON, "p2", json!({"marital_status": "3"})).await;
        an.refuses(&refused, "evidence_missing", None).await.expect(200);
        an.post(&format!("/api/v1/proposals/{waiting}/claim"), json!({})).await.expect(200);
        let origin = Origin { way: Way::Sync, reference: "t1".into(), actor: "system".into() };
        let key = officials_card::model::record::RecordKey { unit: "H26".into(), number: format!("N{PERSON}") };
        desk.service.remove_record(&origin, &key).await.unwrap();
        let gone = an.looks_at(&waiting).await.expect(200);
        assert_eq!((&gone["state"], &gone["claimed_by"], &gone["why_not"]), (&json!("expired"), &Value::Null, &json!("decided")));
        assert!(an.queue("").await.is_empty());
        assert_eq!(an.approves(&waiting, json!({})).await.problem(409), "proposal-state");
        let lines = store.history(&waiting).await.unwrap();
        let (_, actor, action, _) = lines.last().unwrap();
        assert_eq!((actor.as_str(), action.as_str()), ("system", "proposal.expired"), "the person is told");
        let person = PersonalNumber::parse(PERSON).unwrap();
        let now = desk.clock.now();
        assert!(!store.appeal_proposal(&refused, &person, "Có".into(), Vec::new(), now + 86_400, now).await.unwrap(), "about what?");
        let late = store.make_proposal(new).await.err().unwrap();
        assert!(matches!(late, Error::Refusal(Refusal::MovedOn("record"))));
        // The unit's system puts another person's number in the record.
        let other = proposes(&desk, second, "p3", json!({"marital_status": "2"})).await;
        crate::confirmations::sends(&desk, second, Way::Sync, "system", json!({"personal_id_number": "001199000021"})).await;
        assert_eq!(an.looks_at(&other).await.expect(200)["state"], "expired");
        // However it came about: nobody agrees for somebody else.
        let foreign = proposes(&desk, third, "p4", json!({"marital_status": "2"})).await;
        let mut database = sqlx::AnyConnection::connect(&desk.database_url).await.unwrap();
        sqlx::query("UPDATE proposals SET person = '001199000099' WHERE id = 'p4'").execute(&mut database).await.unwrap();
        assert_eq!(an.approves(&foreign, json!({})).await.problem(410), "gone");
        an.refuses(&foreign, "record_moved_on", None).await.expect(200);
    }
}
