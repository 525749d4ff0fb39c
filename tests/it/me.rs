//! Officials who look at what is held on them: everything with its source, who looked, nothing of anybody else; and who
//! freeze their card.

use axum::body::Body;
use axum::http::{Request, header};
use futures_util::StreamExt;
use officials_card::model::id::Handle;
use serde_json::{Value, json};

use crate::browser::form;
use crate::draft::Draft;
use crate::holder::{CodeWallet, Landing, NEIGHBOUR, Office, PERSON, VERIFIER};
use crate::revoke::{published, status_of};
use crate::story;
use crate::town::{Answer, Town};

/// The S256 challenge of [`VERIFIER`].
pub fn challenge() -> String {
    use base64::Engine;
    use sha2::Digest;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(VERIFIER))
}

/// An official with a session.
pub struct Me<'a> {
    pub town: &'a Town,
    pub token: String,
}

impl<'a> Me<'a> {
    /// Signs in at level 2, through a wallet product.
    pub async fn signs_in(office: &'a Office, person: &str) -> Self {
        let wallet = office.wallet();
        let code = lands(office, &wallet, person).await.code();
        let answer = redeem(&wallet, &code).send().await.expect(200);
        assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("Bearer"), &json!(900)));
        Self { town: &office.town, token: answer["access_token"].as_str().unwrap().to_owned() }
    }

    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/me{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "application/json");
        let body = body.map_or_else(Body::empty, |body| body.to_string().into());
        self.town.send(request.body(body).unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, None).await
    }

    /// The first record.
    pub async fn record(&self) -> Value {
        self.get("").await.expect(200)["records"][0].clone()
    }

    /// The handle of the first record.
    pub async fn handle(&self) -> String {
        self.record().await["record"].as_str().unwrap().to_owned()
    }

    /// Asks for changes of the first record.
    pub async fn proposes(&self, changes: Value) -> Answer {
        let record = self.handle().await;
        self.post("/proposals", json!({"record": record, "changes": changes})).await
    }
}

/// Where the browser lands after a person signed in at level 2 for a wallet product.
pub async fn lands(office: &Office, wallet: &CodeWallet<'_>, person: &str) -> Landing {
    let browser = office.browser();
    let vneid = browser.get(&authorize(wallet)).await;
    assert_eq!(vneid.status, 303, "{}", String::from_utf8_lossy(&vneid.bytes));
    let callback = office.vneid.signs_in(vneid.header("location"), person, 2).await;
    wallet.landing(browser.get(&callback).await)
}

/// The address of the authorization endpoint.
pub fn authorize(wallet: &CodeWallet<'_>) -> String {
    let query = [
        ("response_type", "code"),
        ("client_id", &wallet.client_id),
        ("redirect_uri", &wallet.redirect_uri),
        ("code_challenge", &challenge()),
        ("code_challenge_method", "S256"),
        ("state", "the state & more"),
    ];
    format!("/api/v1/me/authorize?{}", form(&query))
}

/// Redeems a code.
pub fn redeem<'a>(wallet: &'a CodeWallet<'a>, code: &str) -> Draft<'a> {
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &wallet.redirect_uri),
        ("code_verifier", VERIFIER),
    ];
    Draft::form(wallet, "/api/v1/me/token", &fields)
}

/// A field of a record.
pub fn field<'v>(record: &'v Value, code: &str) -> &'v Value {
    record["fields"].as_array().unwrap().iter().find(|field| field["field"] == code).unwrap()
}

story! {
    async fn everything_that_is_held_is_told_with_its_source(town) {
        let office = Office::open(town).await;
        let me = Me::signs_in(&office, PERSON).await;
        let answer = me.get("").await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let seen = answer.expect(200);
        assert_eq!(seen["person"], json!({"personal_id_number": PERSON, "full_name": "Nguyễn Thị Thử Nghiệm"}));
        assert_eq!(seen["records"].as_array().unwrap().len(), 1);
        let record = &seen["records"][0];
        assert_eq!(record["unit"], json!({"code": "H26", "name": "Ủy ban nhân dân thành phố Hà Nội"}));
        assert_eq!(record["population"], json!({"state": "matched", "differs": []}));
        assert!(record["confirmed_at"].is_i64());
        // Every field of the catalogue, once: in a list or outside.
        let columns = record["lists"].as_array().unwrap().iter().map(|list| list["columns"].as_array().unwrap().len());
        assert_eq!(record["fields"].as_array().unwrap().len() + columns.sum::<usize>(), 109);
        let name = field(record, "full_name");
        assert_eq!((&name["value"], &name["group"], &name["privacy"]), (&json!("Nguyễn Thị Thử Nghiệm"), &json!("identity"), &json!("basic")));
        assert_eq!(name["source"], json!({"way": "import", "version": 1}));
        assert_eq!(name["change"]["how"], "rematch");
        assert_eq!(field(record, "phone_number")["change"], json!({"how": "at_once", "confirmation": false, "four_eyes": false, "evidence": "none"}));
        assert_eq!(field(record, "health_status")["change"], json!({"how": "proposal", "confirmation": true, "four_eyes": true, "evidence": "asked"}));
        assert_eq!(field(record, "position_title")["change"]["how"], "unit");
        assert_eq!(field(record, "phone_number")["value"], Value::Null);
        assert!(seen["legal_bases"].as_array().unwrap().iter().all(|basis| basis["certainty"] == "derived"));
        // What changes has another source, and the rest keeps its own.
        town_later(&office, 60);
        me.proposes(json!({"phone_number": "0912345678"})).await.expect(201);
        let record = me.record().await;
        let phone = field(&record, "phone_number");
        assert_eq!((&phone["value"], &phone["source"]), (&json!("0912345678"), &json!({"way": "update", "version": 2})));
        assert_eq!(phone["since"], office.town.clock.now());
        assert_eq!(field(&record, "full_name")["source"]["version"], 1);
        let portrait = me.get(record["portrait"].as_str().unwrap().strip_prefix("/api/v1/me").unwrap()).await;
        assert_eq!((portrait.status.as_u16(), portrait.header("content-type")), (200, "image/jpeg"));
        assert_eq!(portrait.header("x-content-type-options"), "nosniff");
    }
}

fn town_later(office: &Office, seconds: i64) {
    office.town.clock.advance(seconds);
}

story! {
    async fn nothing_of_anybody_else_is_there(town) {
        let office = Office::open(town).await;
        office.town.hires(NEIGHBOUR, "H26").await;
        let (me, neighbour) = (Me::signs_in(&office, PERSON).await, Me::signs_in(&office, NEIGHBOUR).await);
        let record = neighbour.handle().await;
        office.town.officer("vneid").await.offer(NEIGHBOUR).await;
        let card = neighbour.get("").await.expect(200)["cards"][0]["card"].as_str().unwrap().to_owned();
        let made = neighbour.proposes(json!({"marital_status": "2"})).await.expect(201);
        let proposal = made["proposal"]["proposal"].as_str().unwrap();
        for (method, path, body) in [
            ("GET", format!("/records/{record}/portrait"), None),
            ("POST", format!("/records/{record}/rematch"), Some(json!({}))),
            ("GET", format!("/proposals/{proposal}"), None),
            ("DELETE", format!("/proposals/{proposal}"), None),
            ("POST", format!("/proposals/{proposal}/appeal"), Some(json!({"note": "no"}))),
            ("POST", "/proposals".to_owned(), Some(json!({"record": record, "changes": {"email": "a@b.vn"}}))),
            ("POST", format!("/cards/{card}/freeze"), Some(json!({"reason": "lost"}))),
            ("POST", format!("/cards/{card}/unfreeze"), Some(json!({}))),
            ("GET", format!("/cards/{card}/changes"), None),
            ("GET", "/proposals/..%2f".to_owned(), None),
            ("GET", "/cards/x/changes".to_owned(), None),
            ("GET", "/evidence/x".to_owned(), None),
        ] {
            assert_eq!(me.call(method, &path, body).await.problem(404), "not-found", "{method} {path}");
        }
        assert_eq!(neighbour.get(&format!("/proposals/{proposal}")).await.expect(200)["state"], "open");
        // No population database is set up here: told as that, and not as a mismatch.
        let own = me.handle().await;
        assert_eq!(me.post(&format!("/records/{own}/rematch"), json!({})).await.problem(503), "registry-unavailable");
        let mine = me.get("/export").await.expect(200).to_string();
        assert!(!mine.contains(&record) && !mine.contains(proposal) && !mine.contains(NEIGHBOUR));
    }
}

story! {
    async fn who_looked_and_who_asked_is_told(town) {
        let office = Office::open(town).await;
        let me = Me::signs_in(&office, PERSON).await;
        let record = Handle::parse(&me.handle().await).unwrap();
        let store = office.town.service.store();
        store.note_read("nguyen.van.a", std::slice::from_ref(&record), "unit.review", office.town.clock.now()).await.unwrap();
        let seen = me.get("/access").await.expect(200);
        let items = seen["items"].as_array().unwrap();
        let of = |action: &str| items.iter().filter(|item| item["action"] == action).collect::<Vec<_>>();
        let read = of("record.read");
        assert_eq!(read.len(), 1, "their own looking is not told: {items:?}");
        assert_eq!((&read[0]["actor"], &read[0]["kind"], &read[0]["detail"]), (&json!("nguyen.van.a"), &json!("looked"), &json!("unit.review")));
        assert_eq!(read[0]["record"], record.as_str());
        assert_eq!(of("population.matched")[0]["kind"], "asked");
        assert_eq!(of("self_service.begun")[0]["actor"], "holder");
        // But it is noted.
        let noted = store.history(record.as_str()).await.unwrap();
        assert!(noted.iter().any(|line| (line.1.as_str(), line.2.as_str(), line.3.as_str()) == ("holder", "record.read", "self")));
        // Page by page comes the same.
        let (mut after, mut paged) = (String::new(), Vec::new());
        loop {
            let page = me.get(&format!("/access?limit=1{after}")).await.expect(200);
            paged.extend(page["items"].as_array().unwrap().iter().cloned());
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(&paged, items);
        for wrong in ["limit=0", "limit=201", "limit=x", "after=x", "after=-1", "before=1"] {
            assert_eq!(me.get(&format!("/access?{wrong}")).await.problem(400), "invalid-request", "{wrong}");
        }
        let export = me.get("/export").await;
        assert!(export.header("content-disposition").starts_with("attachment"));
        let export = export.expect(200);
        assert!(export["access"].as_array().unwrap().len() >= items.len());
        let portrait = export["portraits"][record.as_str()].as_str().unwrap();
        assert!(portrait.starts_with("data:image/jpeg;base64,"));
    }
}

story! {
    async fn of_a_card_that_was_replaced_meanwhile_the_new_one_is_frozen(town) {
        let office = Office::open(town).await;
        let old = office.town.officer("vneid").await.offer(PERSON).await["card"].as_str().unwrap().to_owned();
        let me = Me::signs_in(&office, PERSON).await;
        // The wallet still shows the old one.
        office.town.imports(PERSON, "H26", "002", "active").await;
        office.town.matches_and_confirms("H26").await;
        office.town.service.refresh_cards().await.unwrap();
        let frozen = me.post(&format!("/cards/{old}/freeze"), json!({"reason": "stolen"})).await.expect(200);
        assert_ne!(frozen["card"], old.as_str());
        assert_eq!((&frozen["state"], &frozen["reason"]), (&json!("locked"), &json!("stolen")));
        // One that was not replaced by the facts is over.
        let new = frozen["card"].as_str().unwrap();
        office.town.officer("vneid").await.step(new, "replace", "stolen").await.expect(201);
        let answer = me.post(&format!("/cards/{new}/freeze"), json!({"reason": "stolen"})).await;
        assert_eq!(answer.problem(409), "card-state");
    }
}

story! {
    async fn a_card_is_frozen_at_once_and_given_back_by_who_froze_it(town) {
        let office = Office::open(town).await;
        let officer = office.town.officer("vneid").await;
        let wallet = office.town.wallet();
        let credential = wallet.card(&officer, PERSON, "official-card-sdjwt").await;
        let status = status_of(&credential);
        let value = async || published(&office.town, &status).await;
        let me = Me::signs_in(&office, PERSON).await;
        let other_session = Me::signs_in(&office, PERSON).await;
        let card = me.get("").await.expect(200)["cards"][0]["card"].as_str().unwrap().to_owned();
        assert_eq!(value().await, 0);
        for wrong in ["found", "resigned", "under_review"] {
            let answer = me.post(&format!("/cards/{card}/freeze"), json!({"reason": wrong})).await;
            assert_eq!(answer.problem(400), "invalid-request", "{wrong}");
        }
        // A sign-in of a quarter of an hour ago is enough.
        office.town.clock.advance(600);
        let frozen = me.post(&format!("/cards/{card}/freeze"), json!({"reason": "stolen"})).await.expect(200);
        assert_eq!((&frozen["state"], &frozen["reason"], &frozen["may_unfreeze"]), (&json!("locked"), &json!("stolen"), &json!(true)));
        assert_eq!(value().await, 2);
        let again = me.post(&format!("/cards/{card}/freeze"), json!({"reason": "lost"})).await.expect(200);
        assert_eq!(again["reason"], "stolen", "it does not become less");
        // Whoever has the device has no session any more; who reported it has.
        assert_eq!(other_session.get("").await.problem(401), "invalid-token");
        // To give it back, the person has to be there.
        let unfreeze = format!("/cards/{card}/unfreeze");
        let answer = me.post(&unfreeze, json!({})).await;
        assert!(answer.header("www-authenticate").contains("insufficient_user_authentication"));
        assert_eq!(answer.problem(401), "insufficient-user-authentication");
        let me = Me::signs_in(&office, PERSON).await;
        let back = me.post(&unfreeze, json!({})).await.expect(200);
        assert_eq!((&back["state"], &back["may_unfreeze"]), (&json!("active"), &json!(false)));
        assert_eq!(value().await, 0);
        assert_eq!(me.post(&unfreeze, json!({})).await.problem(409), "card-state");
        // What the unit locked stays locked.
        officer.step(&card, "lock", "under_review").await.expect(200);
        assert_eq!(me.get("").await.expect(200)["cards"][0]["may_unfreeze"], false);
        assert_eq!(me.post(&unfreeze, json!({})).await.problem(409), "card-state");
        assert_eq!(value().await, 2);
        let told = me.get("/access").await.expect(200)["items"].to_string();
        assert!(told.contains("card.locked") && told.contains("stolen by the holder"), "{told}");
    }
}

story! {
    async fn what_the_holder_reports_of_a_locked_card_is_not_lost(town) {
        let office = Office::open(town).await;
        let officer = office.town.officer("vneid").await;
        let credential = office.town.wallet().card(&officer, PERSON, "official-card-sdjwt").await;
        let status = status_of(&credential);
        let value = async || published(&office.town, &status).await;
        let me = Me::signs_in(&office, PERSON).await;
        let card = me.get("").await.expect(200)["cards"][0]["card"].as_str().unwrap().to_owned();
        let freeze = format!("/cards/{card}/freeze");
        let first = me.post(&freeze, json!({"reason": "device_change"})).await.expect(200);
        assert_eq!(first["reason"], "device_change");
        // What is worse than what was said before counts, and ends the other sessions, though the card is locked already.
        let thief = Me::signs_in(&office, PERSON).await;
        let worse = me.post(&freeze, json!({"reason": "lost"})).await.expect(200);
        assert_eq!((&worse["reason"], &worse["may_unfreeze"]), (&json!("lost"), &json!(true)));
        assert_eq!(thief.get("").await.problem(401), "invalid-token");
        me.post(&format!("/cards/{card}/unfreeze"), json!({})).await.expect(200);

        // The unit has locked it, and the holder reports a theft: the unit gives its own lock back, not the holder's.
        officer.step(&card, "lock", "under_review").await.expect(200);
        let thief = Me::signs_in(&office, PERSON).await;
        let seen = me.post(&freeze, json!({"reason": "stolen"})).await.expect(200);
        assert_eq!((&seen["state"], &seen["reason"], &seen["may_unfreeze"]), (&json!("locked"), &json!("under_review"), &json!(false)));
        assert_eq!(thief.get("").await.problem(401), "invalid-token");
        let is_stolen = async || {
            let cards = me.get("").await.expect(200)["cards"].clone();
            assert_eq!((&cards[0]["state"], &cards[0]["reason"], &cards[0]["may_unfreeze"]), (&json!("locked"), &json!("stolen"), &json!(true)));
            assert_eq!(value().await, 2);
        };
        officer.step(&card, "unlock", "cleared").await.expect(200);
        is_stolen().await;
        // So too where the unit's lock came after the holder's.
        officer.step(&card, "lock", "under_review").await.expect(200);
        assert_eq!(me.get("").await.expect(200)["cards"][0]["may_unfreeze"], false);
        officer.step(&card, "unlock", "cleared").await.expect(200);
        is_stolen().await;
        // An officer who sees the theft may give the card back.
        officer.step(&card, "unlock", "found").await.expect(200);
        assert_eq!(value().await, 0);
        let told = me.get("/access").await.expect(200)["items"].to_string();
        assert!(told.contains("card.reported") && told.contains("stolen as its holder reported"), "{told}");
        // What is withdrawn is not frozen.
        officer.step(&card, "withdraw", "resigned").await.expect(200);
        assert_eq!(me.post(&freeze, json!({"reason": "lost"})).await.problem(409), "card-state");
    }
}

story! {
    async fn what_a_unit_took_back_is_held_all_the_same(town) {
        use officials_card::model::origin::{Origin, Way};
        let office = Office::open(town).await;
        let me = Me::signs_in(&office, PERSON).await;
        let record = me.handle().await;
        let origin = Origin { way: Way::Sync, reference: "t1".into(), actor: "system".into() };
        let key = officials_card::model::record::RecordKey { unit: "H26".into(), number: format!("N{PERSON}") };
        office.town.clock.advance(10);
        office.town.service.remove_record(&origin, &key).await.unwrap();
        let seen = me.get("").await.expect(200);
        assert_eq!((&seen["records"][0]["record"], &seen["records"][0]["removed_at"]), (&json!(record), &json!(office.town.clock.now())));
        assert_eq!(field(&seen["records"][0], "full_name")["value"], "Nguyễn Thị Thử Nghiệm");
        let export = me.get("/export").await.expect(200);
        assert_eq!(export["records"][0]["record"], record.as_str());
        assert!(export["portraits"][&record].is_string());
        assert_eq!(me.get(&format!("/records/{record}/portrait")).await.status, 200);
        let told = me.get("/access").await.expect(200)["items"].to_string();
        assert!(told.contains("record.removed"), "{told}");
        // It is there to be seen, and not to be changed.
        assert_eq!(me.post("/proposals", json!({"record": record, "changes": {"email": "a@b.vn"}})).await.problem(404), "not-found");
    }
}

story! {
    async fn what_a_new_card_says_that_the_old_one_did_not(town) {
        let office = Office::open(town).await;
        let officer = office.town.officer("vneid").await;
        office.town.wallet().card(&officer, PERSON, "official-card-sdjwt").await;
        let me = Me::signs_in(&office, PERSON).await;
        let old = me.get("").await.expect(200)["cards"][0]["card"].as_str().unwrap().to_owned();
        let alone = me.get(&format!("/cards/{old}/changes")).await.expect(200);
        assert_eq!(alone, json!({"old": null, "new": old, "reason": null, "at": null, "changes": []}));
        office.town.imports(PERSON, "H26", "002", "active").await;
        office.town.matches_and_confirms("H26").await;
        office.town.service.refresh_cards().await.unwrap();
        let cards = me.get("").await.expect(200)["cards"].clone();
        let new = cards.as_array().unwrap().iter().find(|card| card["state"] == "active").unwrap()["card"].clone();
        for card in [old.as_str(), new.as_str().unwrap()] {
            let changes = me.get(&format!("/cards/{card}/changes")).await.expect(200);
            assert_eq!((&changes["old"], &changes["new"], &changes["reason"]), (&json!(old), &new, &json!("position_changed")));
            assert_eq!(changes["changes"].as_array().unwrap().len(), 1);
            assert_eq!(changes["changes"][0]["claim"], "position_title");
            assert_ne!(changes["changes"][0]["old"], changes["changes"][0]["new"]);
        }
    }
}

story! {
    async fn what_happens_is_told_as_it_happens(town) {
        let office = Office::open(town).await;
        let me = Me::signs_in(&office, PERSON).await;
        let request = Request::get("/api/v1/me/events").header(header::AUTHORIZATION, format!("Bearer {}", me.token));
        let mut chunks = office.town.opens(request.body(Body::empty()).unwrap()).await.into_data_stream();
        let mut seen = String::new();
        let mut until = async |seen: &mut String, wanted: &str| {
            while !seen.contains(wanted) {
                seen.push_str(std::str::from_utf8(&chunks.next().await.expect("more to come").unwrap()).unwrap());
            }
        };
        until(&mut seen, "event: record").await;
        let made = me.proposes(json!({"marital_status": "2"})).await.expect(201);
        let proposal = made["proposal"]["proposal"].as_str().unwrap();
        until(&mut seen, &format!("\"proposal\":\"{proposal}\",\"state\":\"open\"")).await;
        office.town.officer("vneid").await.offer(PERSON).await;
        until(&mut seen, "event: card").await;
        me.delete(&format!("/proposals/{proposal}")).await.expect(204);
        until(&mut seen, "\"state\":\"withdrawn\"").await;
        assert!(!seen.contains(PERSON));
        // The stream ends with the session.
        me.delete("/session").await.expect(204);
        while chunks.next().await.is_some() {}
    }
}

story! {
    async fn nobody_takes_the_streams_of_all(town) {
        let office = Office::open(town).await;
        office.town.hires(NEIGHBOUR, "H26").await;
        let (me, neighbour) = (Me::signs_in(&office, PERSON).await, Me::signs_in(&office, NEIGHBOUR).await);
        let request = |me: &Me<'_>| {
            let request = Request::get("/api/v1/me/events").header(header::AUTHORIZATION, format!("Bearer {}", me.token));
            request.body(Body::empty()).unwrap()
        };
        let mut open = Vec::new();
        for _ in 0..3 {
            open.push(office.town.opens(request(&me)).await);
        }
        assert_eq!(office.town.send(request(&me)).await.problem(413), "too-much");
        open.push(office.town.opens(request(&neighbour)).await);
        // One that ends leaves its place.
        drop(open.remove(0));
        open.push(office.town.opens(request(&me)).await);
    }
}

story! {
    async fn a_session_is_bounded_and_so_is_who_has_it(town) {
        let office = Office::open_with(town, |config| config.rate_limits.self_service_per_minute = 3).await;
        let me = Me::signs_in(&office, PERSON).await;
        for _ in 0..3 {
            me.get("/session").await.expect(200);
        }
        let answer = me.get("/session").await;
        assert!(answer.header("retry-after").parse::<u64>().is_ok());
        assert_eq!(answer.problem(429), "temporarily-unavailable");
    }
}
