//! A record under review: the wallet is told to wait, and gets the card by itself when the record is verified.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::authorize::claims;
use crate::holder::{CodeWallet, Draft, NEIGHBOUR, Office, PERSON, SD_JWT, Tokens, fresh_key, status_of};
use crate::proofs::Envelope;
use crate::story;
use crate::town::Town;

/// An office to which a unit has sent a record that nobody has looked at.
async fn office(town: Town) -> Office {
    let office = Office::without_people(town, |_| {}).await;
    office.town.imports(PERSON, "H26", "001", "active").await;
    office
}

/// The person consents; the tokens, and the answer to the credential request.
async fn asks(wallet: &CodeWallet<'_>, person: &str) -> (Tokens, Value) {
    let tokens = wallet.tokens(person).await;
    let answer = wallet.credential(&tokens.access, SD_JWT).await.send().await;
    assert_eq!(answer.header("cache-control"), "no-store");
    (tokens, answer.expect(202))
}

fn collect<'a>(wallet: &'a CodeWallet<'_>, access: &str, transaction: &Value) -> Draft<'a> {
    wallet.call("/deferred", access, json!({"transaction_id": transaction, "more": 1}))
}

story! {
    async fn the_wallet_waits_until_the_record_is_verified(town) {
        let office = office(town).await;
        let (wallet, browser) = (office.wallet(), office.browser());
        let page = browser.arrives(&office, &wallet.client_id, &wallet.pushed().await, PERSON).await;
        assert!(page.text().contains("Hồ sơ đang được xác minh; thẻ sẽ tự đến ví khi xong."), "{}", page.text());
        let landing = wallet.landing(page.decide(&browser, "approve").await);
        let tokens = Tokens::of(wallet.redeem(&landing.code()).send().await);
        let request = wallet.credential(&tokens.access, SD_JWT).await;
        let later = request.send().await.expect(202);
        let transaction = &later["transaction_id"];
        assert_eq!(later, json!({"transaction_id": transaction, "interval": 300}));
        assert_eq!(collect(&wallet, &tokens.access, transaction).send().await.expect(202), later, "the same id");
        assert_eq!(request.send().await.expect(202), later, "the same request again, whose answer may have been lost");

        office.town.clock.advance(301);
        office.town.matches_and_confirms("H26").await;
        let answer = collect(&wallet, &tokens.access, transaction).send().await;
        assert_eq!((answer.header("content-type"), answer.header("cache-control")), ("application/json", "no-store"));
        let issued = answer.expect(200);
        assert_eq!(claims(&office, &issued)["full_name"], "Nguyễn Thị Thử Nghiệm");
        let note = json!({"notification_id": issued["notification_id"], "event": "credential_accepted"});
        wallet.call("/notification", &tokens.access, note).send().await.expect(204);
        assert_eq!(collect(&wallet, &tokens.access, transaction).send().await.error(400), "invalid_transaction_id");
        wallet.issued(&tokens.access).await;
    }
}

story! {
    async fn a_transaction_is_of_its_grant_and_of_a_month(town) {
        let office = office(town).await;
        office.town.hires(NEIGHBOUR, "G09").await;
        let (wallet, stranger) = (office.wallet(), office.wallet());
        let (tokens, later) = asks(&wallet, PERSON).await;
        let foreign = stranger.tokens(NEIGHBOUR).await;
        let transaction = &later["transaction_id"];
        assert_eq!(collect(&stranger, &foreign.access, transaction).send().await.error(400), "invalid_transaction_id");
        assert_eq!(collect(&wallet, &tokens.access, &json!("x")).send().await.error(400), "invalid_transaction_id");
        assert_eq!(collect(&wallet, &tokens.access, &json!(1)).send().await.error(400), "invalid_credential_request");
        let bearer = collect(&wallet, &tokens.access, transaction).scheme("Bearer").no_dpop();
        assert_eq!(bearer.send().await.error(401), "invalid_token");

        office.town.clock.advance(30 * 86_400 - 1);
        let refreshed = Tokens::of(wallet.refresh(&tokens.refresh).send().await);
        assert_eq!(collect(&wallet, &refreshed.access, transaction).send().await.expect(202), later);
        office.town.clock.advance(1);
        office.town.matches_and_confirms("H26").await;
        assert_eq!(collect(&wallet, &refreshed.access, transaction).send().await.error(400), "invalid_transaction_id");
        wallet.issued(&refreshed.access).await;
    }
}

story! {
    async fn a_record_that_turns_out_wrong_ends_the_waiting(town) {
        let office = office(town).await;
        let wallet = office.wallet();
        let (tokens, later) = asks(&wallet, PERSON).await;
        office.town.imports(PERSON, "H26", "001", "retired").await;
        office.town.matches_and_confirms("H26").await;
        let denied = collect(&wallet, &tokens.access, &later["transaction_id"]);
        assert_eq!(denied.send().await.error(400), "credential_request_denied");
        assert_eq!(wallet.credential(&tokens.access, SD_JWT).await.send().await.error(400), "credential_request_denied");
    }
}

story! {
    async fn who_died_meanwhile_gets_no_card_from_another_record(town) {
        let office = office(town).await;
        let wallet = office.wallet();
        let (tokens, later) = asks(&wallet, PERSON).await;
        office.town.imports_as("other", PERSON, "H29", "001", "deceased").await;
        office.town.matches_and_confirms("H29").await;
        office.town.service.follow_records().await.unwrap();
        office.town.confirms("H26").await;
        let collected = collect(&wallet, &tokens.access, &later["transaction_id"]).send().await;
        assert_eq!(collected.error(400), "credential_request_denied");
    }
}

story! {
    async fn many_who_collect_at_once_get_one_copy(town) {
        let office = office(town).await;
        let other = office.town.second_process().await;
        let wallet = office.wallet();
        let (tokens, later) = asks(&wallet, PERSON).await;
        office.town.matches_and_confirms("H26").await;
        let drafts: Vec<_> = (0..8)
            .map(|at| collect(&wallet, &tokens.access, &later["transaction_id"]).at(if at % 2 == 0 { &office.town } else { &other }))
            .collect();
        let answers = join_all(drafts.iter().map(Draft::send)).await;
        let (issued, over): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
        for answer in over {
            assert_eq!(answer.error(400), "invalid_transaction_id");
        }
        let issued: Vec<_> = issued.into_iter().map(|answer| answer.json()).collect();
        assert!(!issued.is_empty());
        assert!(issued.iter().all(|one| one["notification_id"] == issued[0]["notification_id"]), "one issuance");
        assert!(issued.iter().all(|one| status_of(one) == status_of(&issued[0])), "one copy");
    }
}

story! {
    async fn a_lost_answer_is_had_again_by_the_first_request(town) {
        let office = office(town).await;
        let wallet = office.wallet();
        let tokens = wallet.tokens(PERSON).await;
        let request = wallet.credential(&tokens.access, SD_JWT).await;
        let later = request.send().await.expect(202);
        office.town.matches_and_confirms("H26").await;
        let lost = collect(&wallet, &tokens.access, &later["transaction_id"]).send().await.expect(200);
        let again = request.send().await.expect(200);
        assert_eq!(again["notification_id"], lost["notification_id"]);
        assert_eq!(status_of(&again), status_of(&lost), "the same copy, signed again");
    }
}

story! {
    async fn another_request_with_the_nonce_of_one_that_waits_is_refused(town) {
        let office = office(town).await;
        let wallet = office.wallet();
        let tokens = wallet.tokens(PERSON).await;
        let (nonce, key) = (wallet.nonce().await, fresh_key());
        let asks = |key| {
            let body = json!({"credential_configuration_id": SD_JWT, "proofs": {"jwt": [wallet.proof(key, &nonce)]}});
            wallet.call("/credential", &tokens.access, body)
        };
        let request = asks(&wallet.key);
        let later = request.send().await.expect(202);
        let of_another = office.wallet();
        let others = of_another.tokens(PERSON).await;
        for verified in [false, true] {
            assert_eq!(asks(&key).send().await.error(400), "invalid_nonce", "another key");
            let copied = json!({"credential_configuration_id": SD_JWT, "proofs": {"jwt": [of_another.proof(&key, &nonce)]}});
            let copied = of_another.call("/credential", &others.access, copied);
            assert_eq!(copied.send().await.error(400), "invalid_nonce", "another grant");
            if !verified {
                assert_eq!(collect(&wallet, &tokens.access, &later["transaction_id"]).send().await.expect(202), later);
                office.town.matches_and_confirms("H26").await;
            }
        }
        let issued = collect(&wallet, &tokens.access, &later["transaction_id"]).send().await.expect(200);
        assert_eq!(claims(&office, &issued)["full_name"], "Nguyễn Thị Thử Nghiệm");
    }
}

story! {
    async fn the_answer_is_encrypted_as_the_last_request_says(town) {
        let office = office(town).await;
        let wallet = office.wallet();
        let tokens = wallet.tokens(PERSON).await;
        let envelope = Envelope::new(&office.town).await;
        let request = wallet.credential(&tokens.access, SD_JWT).await;
        let request = request.with("credential_response_encryption", envelope.asks("A128GCM")).in_envelope(&envelope);
        let opened = |answer: crate::town::Answer, status: u16| {
            assert_eq!((answer.status.as_u16(), answer.header("content-type")), (status, "application/jwt"));
            let opened = envelope.own.open(std::str::from_utf8(&answer.bytes).unwrap(), 1 << 20).unwrap();
            serde_json::from_slice::<Value>(&opened).unwrap()
        };
        let later = opened(request.send().await, 202);
        let plain = collect(&wallet, &tokens.access, &later["transaction_id"]).send().await;
        assert_eq!(plain.expect(202), later);
        office.town.matches_and_confirms("H26").await;
        let sealed = collect(&wallet, &tokens.access, &later["transaction_id"]);
        let sealed = sealed.with("credential_response_encryption", envelope.asks("A256GCM")).in_envelope(&envelope);
        let issued = opened(sealed.send().await, 200);
        assert_eq!(claims(&office, &issued)["full_name"], "Nguyễn Thị Thử Nghiệm");
    }
}
