//! Locking, unlocking, withdrawing, replacing: every copy of the card follows at once, in what verifiers fetch.

use axum::body::Body;
use axum::http::{Request, header};
use officials_card::credential::jws::Jws;
use officials_card::credential::sd_jwt::Presentation;
use officials_card::credential::status_list::{StatusListToken, StatusReference};
use officials_card::credential::x509::{Anchors, Use};
use serde_json::{Value, json};

use crate::story;
use crate::town::{Answer, Town, URL};

const PERSON: &str = "001199000018";
const SD_JWT: &str = "official-card-sdjwt";

/// What the published list, fetched as JWT and as CWT, says of an entry now.
pub async fn published(town: &Town, reference: &StatusReference) -> u8 {
    let path = reference.uri.strip_prefix(URL).unwrap();
    let anchors = Anchors::from_pem(town.service.anchor_pem()).unwrap();
    let now = town.clock.now();
    let jwt = fetch(town, path, "application/statuslist+jwt", &[]).await;
    assert_eq!(jwt.header("content-type"), "application/statuslist+jwt");
    let text = String::from_utf8(jwt.bytes.to_vec()).unwrap();
    let jws = Jws::parse(&text, "statuslist+jwt").unwrap();
    let key = anchors.check(&jws.certificates().unwrap(), Use::StatusLists, now).unwrap();
    let claims = Value::Object(jws.verify(&key).unwrap());
    let by_jwt = StatusListToken::from_jwt_claims(&claims, &reference.uri, now).unwrap().list.inflate().unwrap();
    let cwt = fetch(town, path, "application/statuslist+cwt", &[]).await;
    assert_eq!(cwt.header("content-type"), "application/statuslist+cwt");
    let by_cwt = StatusListToken::from_cwt(&cwt.bytes, &reference.uri, now, |message| {
        message.verify(&anchors.check(&message.certificates(), Use::StatusLists, now).unwrap()).is_ok()
    });
    let by_cwt = by_cwt.unwrap().list.inflate().unwrap().get(reference.index).unwrap();
    assert_eq!(by_jwt.get(reference.index).unwrap(), by_cwt);
    by_cwt
}

async fn fetch(town: &Town, path: &str, accept: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(path).header(header::ACCEPT, accept);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    town.send(request.body(Body::empty()).unwrap()).await
}

pub fn status_of(credential: &str) -> StatusReference {
    Presentation::parse(credential).unwrap().claimed_status().unwrap()
}

story! {
    async fn every_copy_follows_its_card_at_once(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let (one, two) = (town.wallet(), town.wallet());
        let copies = [
            status_of(&one.card(&officer, PERSON, SD_JWT).await),
            status_of(&two.card(&officer, PERSON, SD_JWT).await),
        ];
        let card = officer.offer(PERSON).await["card"].as_str().unwrap().to_owned();
        for (step, reason, status) in [("lock", "lost", 2), ("unlock", "found", 0), ("withdraw", "resigned", 1)] {
            let done = officer.step(&card, step, reason).await.expect(200);
            assert_eq!(done, json!({"cards": [card], "credentials": 2}));
            for copy in &copies {
                assert_eq!(published(&town, copy).await, status, "after {step}");
            }
        }
        for (step, reason) in [("lock", "lost"), ("unlock", "found"), ("withdraw", "resigned")] {
            assert_eq!(officer.step(&card, step, reason).await.problem(409), "card-state", "withdrawn is final");
        }
        let seen = officer.get(&format!("/api/v1/cards/{card}")).await.expect(200);
        assert_eq!((seen["state"].as_str(), seen["reason"].as_str()), (Some("withdrawn"), Some("resigned")));
        let actions: Vec<_> = seen["history"].as_array().unwrap().iter().map(|line| line["action"].as_str().unwrap()).collect();
        assert!(actions.ends_with(&["card.locked", "card.unlocked", "card.withdrawn"]), "{actions:?}");
    }
}

story! {
    async fn a_person_and_a_unit_with_all_below_are_withdrawn_in_one_step(town) {
        let people = ["001199000018", "001199000019", "001199000020"];
        for (person, unit) in people.iter().zip(["H26", "G09", "H26"]) {
            town.hires(person, unit).await;
        }
        let officer = town.officer("vneid").await;
        let mut copies = Vec::new();
        for person in people {
            copies.push(status_of(&town.wallet().card(&officer, person, SD_JWT).await));
        }
        let done = officer.post("/api/v1/cards/lock", json!({"personal_id_number": people[1], "reason": "lost"})).await;
        assert_eq!(done.expect(200)["cards"].as_array().unwrap().len(), 1);
        let done = officer.post("/api/v1/cards/withdraw", json!({"unit": "H26", "reason": "issued_in_error"})).await;
        let done = done.expect(200);
        assert_eq!((done["cards"].as_array().unwrap().len(), done["credentials"].as_u64()), (2, Some(2)));
        let mut now = Vec::new();
        for copy in &copies {
            now.push(published(&town, copy).await);
        }
        assert_eq!(now, [1, 2, 1]);
        let nobody = officer.post("/api/v1/cards/lock", json!({"personal_id_number": "001199000021", "reason": "lost"})).await;
        assert_eq!(nobody.problem(404), "not-found");
        for (unit, status) in [("%", 400), ("H2_", 400), ("h26", 400), ("", 400), ("Z99", 404), ("H26.99", 404)] {
            let answer = officer.post("/api/v1/cards/lock", json!({"unit": unit, "reason": "lost"})).await;
            assert_eq!(answer.status.as_u16(), status, "no wildcard reaches another unit: {unit}");
        }
        let both = json!({"personal_id_number": people[0], "unit": "H26", "reason": "lost"});
        assert_eq!(officer.post("/api/v1/cards/lock", both).await.problem(400), "invalid-request");
    }
}

story! {
    async fn a_reason_must_fit_its_step(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let card = officer.offer(PERSON).await["card"].as_str().unwrap().to_owned();
        assert_eq!(officer.step(&card, "lock", "retired").await.problem(400), "invalid-request");
        assert_eq!(officer.step(&card, "withdraw", "no-such-reason").await.problem(400), "invalid-request");
        assert_eq!(officer.step("0000000000000000", "lock", "lost").await.problem(404), "not-found");
    }
}

story! {
    async fn who_was_dismissed_gets_no_card_from_the_same_record(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let ask = json!({"personal_id_number": PERSON, "assurance_level": 2});
        let card = officer.offer(PERSON).await["card"].as_str().unwrap().to_owned();
        officer.step(&card, "withdraw", "dismissed").await.expect(200);
        assert_eq!(officer.post("/api/v1/offers", ask.clone()).await.problem(409), "not-verified");
        town.imports(PERSON, "H26", "002", "active").await;
        assert_eq!(officer.post("/api/v1/offers", ask.clone()).await.problem(409), "not-verified", "not confirmed yet");
        town.matches_and_confirms("H26").await;
        officer.post("/api/v1/offers", ask).await.expect(201);
    }
}

story! {
    async fn a_locked_card_is_not_replaced_behind_its_review(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let card = officer.offer(PERSON).await["card"].as_str().unwrap().to_owned();
        officer.step(&card, "lock", "under_review").await.expect(200);
        assert_eq!(officer.step(&card, "replace", "damaged").await.problem(409), "card-state");
        assert_eq!(officer.step(&card, "replace", "deceased").await.problem(400), "invalid-request");
        officer.step(&card, "replace", "stolen").await.expect(201);
    }
}

story! {
    async fn replacing_withdraws_the_old_and_makes_the_new_in_one_step(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let wallet = town.wallet();
        let copy = status_of(&wallet.card(&officer, PERSON, SD_JWT).await);
        let old = officer.offer(PERSON).await["card"].as_str().unwrap().to_owned();
        let new = officer.step(&old, "replace", "damaged").await.expect(201)["card"].as_str().unwrap().to_owned();
        assert_eq!(published(&town, &copy).await, 1);
        let seen = officer.get(&format!("/api/v1/cards/{old}")).await.expect(200);
        assert_eq!((seen["state"].as_str(), seen["replaced_by"].as_str()), (Some("withdrawn"), Some(new.as_str())));
        assert_eq!(officer.offer(PERSON).await["card"], json!(new));
        assert_eq!(officer.step(&old, "replace", "damaged").await.problem(409), "card-state");
    }
}

story! {
    async fn a_card_whose_facts_changed_is_replaced_by_the_next_offer(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let copy = status_of(&town.wallet().card(&officer, PERSON, SD_JWT).await);
        let old = officer.offer(PERSON).await["card"].clone();
        town.imports(PERSON, "H26", "002", "active").await;
        town.matches_and_confirms("H26").await;
        let new = officer.offer(PERSON).await["card"].clone();
        assert_ne!(old, new);
        assert_eq!(published(&town, &copy).await, 1);
        let seen = officer.get(&format!("/api/v1/cards/{}", old.as_str().unwrap())).await.expect(200);
        assert_eq!((seen["reason"].as_str(), &seen["replaced_by"]), (Some("position_changed"), &new));
    }
}

story! {
    async fn a_card_ends_with_its_term(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let offer = officer.offer(PERSON).await;
        let old = offer["card"].as_str().unwrap().to_owned();
        town.clock.advance(6 * 366 * 86400);
        let officer = town.officer("vneid").await;
        let seen = officer.get(&format!("/api/v1/cards/{old}")).await.expect(200);
        assert_eq!(seen["state"], "expired");
        assert_eq!(officer.step(&old, "lock", "lost").await.problem(409), "card-state");
        assert_eq!(town.service.expire_cards().await.unwrap().cards.len(), 1);
        let seen = officer.get(&format!("/api/v1/cards/{old}")).await.expect(200);
        assert_eq!(seen["state"], "expired");
        assert_ne!(officer.offer(PERSON).await["card"], json!(old), "a new card");
    }
}

story! {
    async fn lists_are_cached_compressed_and_signed_again(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let copy = status_of(&town.wallet().card(&officer, PERSON, SD_JWT).await);
        let path = copy.uri.strip_prefix(URL).unwrap();
        let jwt = "application/statuslist+jwt";
        let first = fetch(&town, path, jwt, &[]).await;
        let etag = first.header("etag").to_owned();
        assert_eq!(fetch(&town, path, jwt, &[("if-none-match", &etag)]).await.status, 304);
        let zipped = fetch(&town, path, jwt, &[("accept-encoding", "gzip")]).await;
        assert_eq!(zipped.header("content-encoding"), "gzip");
        let mut plain = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&zipped.bytes[..]), &mut plain).unwrap();
        assert_eq!(plain, first.bytes);
        assert!(zipped.bytes.len() < first.bytes.len());
        assert_eq!(fetch(&town, &format!("{path}?time=1"), jwt, &[]).await.status, 501);
        assert_eq!(town.get("/s/999").await.problem(404), "not-found");
        town.clock.advance(3601);
        let later = fetch(&town, path, jwt, &[("if-none-match", &etag)]).await;
        assert_eq!(later.status, 200, "signed again after its ttl");
        let all = town.get("/s").await.expect(200);
        assert!(all["status_lists"].as_array().unwrap().contains(&json!(copy.uri)));
    }
}
