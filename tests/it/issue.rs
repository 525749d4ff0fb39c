//! The wallet redeems an offer and receives its card; everything that can go wrong on the way has its own answer.

use officials_card::credential::sd_jwt::Presentation;
use officials_card::keyring::{FileKey, fresh_p256_jwk};
use serde_json::{Value, json};

use crate::story;
use crate::town::{Town, URL, Wallet, proof_by};

const PERSON: &str = "001199000018";
const SD_JWT: &str = "official-card-sdjwt";

async fn issued_cards(town: &Town) -> usize {
    let search = json!({"personal_id_number": PERSON});
    let found = town.officer("vneid").await.post("/api/v1/cards/search", search).await.expect(200);
    found["cards"].as_array().unwrap().len()
}

story! {
    async fn a_verified_person_gets_a_card_in_every_form(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        for (wallet, configuration) in [
            (town.wallet(), SD_JWT),
            (town.ed25519_wallet(5), "official-card-sdjwt-eddsa"),
        ] {
            let credential = wallet.card(&officer, PERSON, configuration).await;
            let anchors = officials_card::credential::x509::Anchors::from_pem(town.service.anchor_pem()).unwrap();
            let card = Presentation::parse(&credential).unwrap();
            let card = card.verify(&anchors, &format!("{URL}/types/official-card/1"), town.clock.now()).unwrap();
            assert_eq!(card.claims["card_number"], "H26.001199000018.CC");
            assert_eq!(card.claims["card_number_masked"], "H26.*********018.CC");
            assert_eq!(card.claims["full_name"], "Nguyễn Thị Thử Nghiệm");
            assert_eq!(card.claims["personal_id_number"], PERSON);
            assert!(card.claims["portrait"].as_str().unwrap().starts_with("data:image/jpeg;base64,"));
            assert_eq!(card.holder.as_ref(), Some(officials_card::credential::Signer::public_key(&wallet.key)));
        }
        assert_eq!(issued_cards(&town).await, 1, "two wallets, one card");
    }
}

story! {
    async fn nobody_without_a_verified_record_gets_an_offer(town) {
        let officer = town.officer("vneid").await;
        let ask = |assurance: u8| json!({"personal_id_number": PERSON, "assurance_level": assurance});
        assert_eq!(officer.post("/api/v1/offers", ask(2)).await.problem(409), "not-verified");
        town.imports(PERSON, "H26", "001", "active").await;
        assert_eq!(officer.post("/api/v1/offers", ask(2)).await.problem(409), "not-verified");
        town.matches_and_confirms("H26").await;
        assert_eq!(officer.post("/api/v1/offers", ask(1)).await.problem(403), "assurance-too-low");
        officer.post("/api/v1/offers", ask(2)).await.expect(201);
        town.imports(PERSON, "H26", "001", "retired").await;
        town.matches_and_confirms("H26").await;
        assert_eq!(officer.post("/api/v1/offers", ask(2)).await.problem(409), "not-verified");
    }
}

story! {
    async fn an_offer_says_nothing_of_the_person_and_ends_when_redeemed_or_late(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let wallet = town.wallet();
        let offer = officer.offer(PERSON).await;
        let path = offer["credential_offer_uri"].as_str().unwrap().strip_prefix(URL).unwrap();
        let fetched = town.get(path).await;
        assert_eq!(fetched.header("cache-control"), "no-store");
        let text = String::from_utf8(fetched.bytes.to_vec()).unwrap();
        assert!(!text.contains(PERSON) && !text.contains("Nguyễn"));
        assert_eq!(fetched.expect(200)["credential_configuration_ids"].as_array().unwrap().len(), 4);
        wallet.token(&offer).await;
        assert_eq!(town.get(path).await.problem(410), "gone");

        let late = officer.offer(PERSON).await;
        let code = wallet.code(&late).await;
        town.clock.advance(601);
        assert_eq!(wallet.redeem(&code, late["tx_code"].as_str().unwrap()).await.error(400), "invalid_grant");
        assert_eq!(town.get("/offers/unknown").await.problem(404), "not-found");
    }
}

story! {
    async fn the_same_idempotency_key_gives_the_same_offer(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let ask = json!({"personal_id_number": PERSON, "assurance_level": 2});
        let first = officer.post_with("/api/v1/offers", ask.clone(), &[("Idempotency-Key", "k1")]).await.expect(201);
        let again = officer.post_with("/api/v1/offers", ask.clone(), &[("Idempotency-Key", "k1")]).await.expect(201);
        assert_eq!(first, again);
        let mut other = ask.clone();
        other["configurations"] = json!([SD_JWT]);
        let reused = officer.post_with("/api/v1/offers", other, &[("Idempotency-Key", "k1")]).await;
        assert_eq!(reused.problem(422), "idempotency-key-reused");
        let fresh = officer.post_with("/api/v1/offers", ask, &[("Idempotency-Key", "k2")]).await.expect(201);
        assert_ne!(first["credential_offer_uri"], fresh["credential_offer_uri"]);
        assert_eq!(first["card"], fresh["card"]);
    }
}

story! {
    async fn a_transaction_code_may_be_wrong_a_few_times_only(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let wallet = town.wallet();
        let offer = officer.offer(PERSON).await;
        let code = wallet.code(&offer).await;
        let right = offer["tx_code"].as_str().unwrap();
        let wrong = if right == "000000" { "000001" } else { "000000" };
        for _ in 0..5 {
            assert_eq!(wallet.redeem(&code, wrong).await.error(400), "invalid_grant");
        }
        assert_eq!(wallet.redeem(&code, right).await.error(400), "invalid_grant", "the code is closed");
        let no_tx_code = format!(
            "grant_type=urn:ietf:params:oauth:grant-type:pre-authorized_code&pre-authorized_code={code}"
        );
        assert_eq!(wallet.form("/token", no_tx_code).await.error(400), "invalid_request");
    }
}

story! {
    async fn a_lost_token_answer_can_be_repeated_until_the_token_is_used(town) {
        town.hires(PERSON, "H26").await;
        let wallet = town.wallet();
        let offer = town.officer("vneid").await.offer(PERSON).await;
        let (code, tx_code) = (wallet.code(&offer).await, offer["tx_code"].as_str().unwrap());
        let lost = wallet.redeem(&code, tx_code).await.expect(200);
        assert_eq!(wallet.redeem(&code, tx_code).await.error(400), "invalid_grant", "at once: a second wallet");
        town.clock.advance(3);
        let token = wallet.redeem(&code, tx_code).await.expect(200)["access_token"].as_str().unwrap().to_owned();
        let proof = wallet.proof(&wallet.nonce().await);
        let request = Wallet::request(SD_JWT, &[proof]);
        let replaced = wallet.post("/credential", lost["access_token"].as_str().unwrap(), &request).await;
        let challenges: Vec<_> = replaced.headers.get_all("www-authenticate").iter().collect();
        assert_eq!(challenges, ["DPoP error=\"invalid_token\", algs=\"ES256 EdDSA\"", "Bearer error=\"invalid_token\""]);
        assert_eq!(replaced.error(401), "invalid_token");
        wallet.post("/credential", &token, &request).await.expect(200);
        town.clock.advance(3);
        assert_eq!(wallet.redeem(&code, tx_code).await.error(400), "invalid_grant", "the token was used");
    }
}

story! {
    async fn a_lost_credential_answer_can_be_repeated_without_a_second_card_or_copy(town) {
        town.hires(PERSON, "H26").await;
        let wallet = town.wallet();
        let token = wallet.token(&town.officer("vneid").await.offer(PERSON).await).await;
        let other = FileKey::new(&fresh_p256_jwk().unwrap(), Vec::new()).unwrap();
        let nonce = wallet.nonce().await;
        let second = proof_by(&other, json!({"aud": URL, "iat": town.clock.now(), "nonce": nonce}));
        let request = Wallet::request(SD_JWT, &[wallet.proof(&nonce), second]);
        let first = wallet.post("/credential", &token, &request).await.expect(200);
        let again = wallet.post("/credential", &token, &request).await.expect(200);
        assert_eq!(first["notification_id"], again["notification_id"]);
        let status = |answer: &Value, at: usize| {
            let text = answer["credentials"][at]["credential"].as_str().unwrap().to_owned();
            Presentation::parse(&text).unwrap().claimed_status().unwrap()
        };
        for at in 0..2 {
            assert_eq!(status(&first, at), status(&again, at), "the same copy, signed again");
        }
        assert_ne!(status(&first, 0).index, status(&first, 1).index);
        assert_eq!(issued_cards(&town).await, 1);
        let other_request = Wallet::request(SD_JWT, &[wallet.proof(&nonce)]);
        assert_eq!(wallet.post("/credential", &token, &other_request).await.error(400), "invalid_nonce");
    }
}

story! {
    async fn every_mistake_in_a_credential_request_has_its_own_code(town) {
        town.hires(PERSON, "H26").await;
        let wallet = town.wallet();
        let officer = town.officer("vneid").await;
        let token = wallet.token(&officer.offer(PERSON).await).await;
        let nonce = wallet.nonce().await;
        let now = town.clock.now();
        let good = json!({"aud": URL, "iat": now, "nonce": nonce});
        let with = |member: &str, value: Value| {
            let mut payload = good.clone();
            payload[member] = value;
            Wallet::request(SD_JWT, &[proof_by(&wallet.key, payload)])
        };
        let mut tampered = wallet.proof(&nonce).into_bytes();
        let at = tampered.len() - 20;
        tampered[at] = if tampered[at] == b'A' { b'B' } else { b'A' };
        let tampered = String::from_utf8(tampered).unwrap();
        let proof = wallet.proof(&nonce);
        for (request, code) in [
            (json!({"credential_configuration_id": "other"}), "unknown_credential_configuration"),
            (json!({"credential_identifier": "other"}), "unknown_credential_identifier"),
            (json!({"proofs": {"jwt": [proof]}}), "invalid_credential_request"),
            (json!({"credential_configuration_id": SD_JWT}), "invalid_proof"),
            (Wallet::request(SD_JWT, std::slice::from_ref(&tampered)), "invalid_proof"),
            (Wallet::request(SD_JWT, &[proof.clone(), proof.clone()]), "invalid_proof"),
            (with("aud", json!("https://other.example")), "invalid_proof"),
            (with("aud", json!(format!("{URL}/credential"))), "invalid_proof"),
            (with("iat", json!(now - 3600)), "invalid_proof"),
            (with("iat", json!(now + 3600)), "invalid_proof"),
            (with("nonce", Value::Null), "invalid_proof"),
            (with("iss", json!("somebody")), "invalid_proof"),
            (with("nonce", json!("bm90IG91cnM")), "invalid_nonce"),
            (
                json!({"credential_configuration_id": SD_JWT, "proofs": {"jwt": [proof]}, "credential_response_encryption": {}}),
                "invalid_encryption_parameters",
            ),
        ] {
            assert_eq!(wallet.post("/credential", &token, &request).await.error(400), code, "{request}");
        }
        wallet.post("/credential", &token, &Wallet::request(SD_JWT, &[proof])).await.expect(200);
        town.clock.advance(301);
        assert_eq!(
            wallet.post("/credential", &token, &Wallet::request(SD_JWT, &["x".into()])).await.error(401),
            "invalid_token"
        );
        assert_eq!(wallet.post("/credential?access_token=x", "", &json!({})).await.error(401), "invalid_token");
    }
}

story! {
    async fn repeating_a_request_uses_up_no_status_entries(town) {
        town.hires(PERSON, "H26").await;
        let wallet = town.wallet();
        let token = wallet.token(&town.officer("vneid").await.offer(PERSON).await).await;
        let request = Wallet::request(SD_JWT, &[wallet.proof(&wallet.nonce().await)]);
        for _ in 0..600 {
            wallet.post("/credential", &token, &request).await.expect(200);
        }
        // One block of 256 a list and process: 600 repetitions drew no second one.
        for list in town.service.store().status_lists().await.unwrap() {
            let next = town.service.store().draw_positions(list.id, 1).await.unwrap().unwrap();
            assert!(next <= 256, "list {} is at {next}", list.id);
        }
    }
}

story! {
    async fn only_what_was_offered_is_issued(town) {
        town.hires(PERSON, "H26").await;
        let wallet = town.wallet();
        let ask = json!({"personal_id_number": PERSON, "assurance_level": 2, "configurations": [SD_JWT]});
        let offer = town.officer("vneid").await.post("/api/v1/offers", ask).await.expect(201);
        let token = wallet.token(&offer).await;
        let request = Wallet::request("official-card-qr", &[wallet.proof(&wallet.nonce().await)]);
        assert_eq!(wallet.post("/credential", &token, &request).await.error(400), "credential_request_denied");
        wallet.credential(&token, SD_JWT).await;
    }
}

story! {
    async fn a_card_that_was_locked_after_the_offer_is_not_issued(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let wallet = town.wallet();
        let offer = officer.offer(PERSON).await;
        let token = wallet.token(&offer).await;
        officer.step(offer["card"].as_str().unwrap(), "lock", "lost").await.expect(200);
        let request = Wallet::request(SD_JWT, &[wallet.proof(&wallet.nonce().await)]);
        assert_eq!(wallet.post("/credential", &token, &request).await.error(400), "credential_request_denied");
        let ask = json!({"personal_id_number": PERSON, "assurance_level": 2});
        assert_eq!(officer.post("/api/v1/offers", ask).await.problem(409), "card-state");
        officer.step(offer["card"].as_str().unwrap(), "unlock", "found").await.expect(200);
        wallet.credential(&token, SD_JWT).await;
    }
}

story! {
    async fn a_batch_cannot_be_linked_by_its_dates_salts_or_places(town) {
        town.hires(PERSON, "H26").await;
        let wallet = town.wallet();
        let token = wallet.token(&town.officer("vneid").await.offer(PERSON).await).await;
        let nonce = wallet.nonce().await;
        let keys: Vec<_> = (0..10).map(|_| FileKey::new(&fresh_p256_jwk().unwrap(), Vec::new()).unwrap()).collect();
        let payload = json!({"aud": URL, "iat": town.clock.now(), "nonce": nonce});
        let proofs: Vec<_> = keys.iter().map(|key| proof_by(key, payload.clone())).collect();
        let answer = wallet.post("/credential", &token, &Wallet::request(SD_JWT, &proofs)).await.expect(200);
        let credentials: Vec<_> =
            answer["credentials"].as_array().unwrap().iter().map(|one| one["credential"].as_str().unwrap()).collect();
        let statuses: Vec<_> =
            credentials.iter().map(|one| Presentation::parse(one).unwrap().claimed_status().unwrap()).collect();
        assert!(statuses.iter().all(|status| status.uri == statuses[0].uri));
        let steps: Vec<_> = statuses.windows(2).map(|pair| i64::from(pair[1].index) - i64::from(pair[0].index)).collect();
        assert!(steps.windows(2).any(|pair| pair[0] != pair[1]), "indices in an arithmetic progression: {steps:?}");
        let mut disclosures: Vec<_> = credentials.iter().flat_map(|one| one.split('~').skip(1)).filter(|one| !one.is_empty()).collect();
        let all = disclosures.len();
        disclosures.sort_unstable();
        disclosures.dedup();
        assert_eq!(disclosures.len(), all, "no salt is shared");
        let too_many = vec![proofs[0].clone(); 11];
        let refused = wallet.post("/credential", &token, &Wallet::request(SD_JWT, &too_many)).await;
        assert_eq!(refused.error(400), "invalid_credential_request");
    }
}

story! {
    async fn notifications_are_idempotent_and_belong_to_their_token(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let (wallet, stranger) = (town.wallet(), town.wallet());
        let offer = officer.offer(PERSON).await;
        let token = wallet.token(&offer).await;
        let foreign = stranger.token(&officer.offer(PERSON).await).await;
        let request = Wallet::request(SD_JWT, &[wallet.proof(&wallet.nonce().await)]);
        let issued = wallet.post("/credential", &token, &request).await.expect(200);
        let note = |event: &str| json!({"notification_id": issued["notification_id"], "event": event, "x": 1});
        for _ in 0..2 {
            wallet.post("/notification", &token, &note("credential_accepted")).await.expect(204);
        }
        assert_eq!(
            stranger.post("/notification", &foreign, &note("credential_deleted")).await.error(400),
            "invalid_notification_id"
        );
        assert_eq!(
            wallet.post("/notification", &token, &note("Credential_Accepted")).await.error(400),
            "invalid_notification_request"
        );
        let card = officer.get(&format!("/api/v1/cards/{}", offer["card"].as_str().unwrap())).await.expect(200);
        let notified = card["history"].as_array().unwrap().iter().filter(|line| line["action"] == "credential.notified");
        assert_eq!(notified.count(), 1);
    }
}
