//! Two do the same thing at once, and exactly one wins.

use std::collections::HashSet;

use futures_util::future::join_all;
use officials_card::credential::sd_jwt::Presentation;
use serde_json::json;

use crate::story;
use crate::town::Wallet;

const PERSON: &str = "001199000018";
const SD_JWT: &str = "official-card-sdjwt";

story! {
    async fn a_code_used_by_many_wallets_at_once_serves_one(town) {
        town.hires(PERSON, "H26").await;
        let other = town.second_process().await;
        let wallet = town.wallet();
        let offer = town.officer("vneid").await.offer(PERSON).await;
        let (code, tx_code) = (wallet.code(&offer).await, offer["tx_code"].as_str().unwrap());
        let wallets = [wallet, other.wallet()];
        let answers = join_all((0..24).map(|at| wallets[at % 2].redeem(&code, tx_code))).await;
        let served = answers.into_iter().filter(|answer| answer.status == 200).count();
        assert_eq!(served, 1);
    }
}

story! {
    async fn a_nonce_used_by_many_requests_at_once_serves_one(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let nonce = town.wallet().nonce().await;
        let mut wallets = Vec::new();
        for _ in 0..8 {
            let wallet = town.wallet();
            let token = wallet.token(&officer.offer(PERSON).await).await;
            wallets.push((wallet, token));
        }
        let answers = join_all(wallets.iter().map(|(wallet, token)| {
            let request = Wallet::request(SD_JWT, &[wallet.proof(&nonce)]);
            async move { wallet.post("/credential", token, &request).await }
        }))
        .await;
        let (served, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
        assert_eq!(served.len(), 1);
        assert!(refused.into_iter().all(|answer| answer.error(400) == "invalid_nonce"));
    }
}

story! {
    async fn one_request_sent_twice_at_once_gives_one_copy(town) {
        town.hires(PERSON, "H26").await;
        let wallet = town.wallet();
        let token = wallet.token(&town.officer("vneid").await.offer(PERSON).await).await;
        let request = Wallet::request(SD_JWT, &[wallet.proof(&wallet.nonce().await)]);
        let answers = join_all((0..8).map(|_| wallet.post("/credential", &token, &request))).await;
        let copies: HashSet<_> = answers
            .into_iter()
            .map(|answer| {
                let answer = answer.expect(200);
                let credential = answer["credentials"][0]["credential"].as_str().unwrap();
                let status = Presentation::parse(credential).unwrap().claimed_status().unwrap();
                (status.uri, status.index, answer["notification_id"].to_string())
            })
            .collect();
        assert_eq!(copies.len(), 1);
    }
}

story! {
    async fn many_offers_at_once_make_one_card(town) {
        town.hires(PERSON, "H26").await;
        let other = town.second_process().await;
        let officers = [town.officer("vneid").await, other.officer("hanoi").await];
        let offers = join_all((0..16).map(|at| officers[at % 2].offer(PERSON))).await;
        let cards: HashSet<_> = offers.iter().map(|offer| offer["card"].to_string()).collect();
        assert_eq!(cards.len(), 1);
        let ask = json!({"personal_id_number": PERSON, "assurance_level": 2});
        let same_key = join_all((0..8).map(|_| {
            officers[0].post_with("/api/v1/offers", ask.clone(), &[("Idempotency-Key", "one")])
        }))
        .await;
        let offers: HashSet<_> = same_key.into_iter().map(|answer| answer.expect(201)["credential_offer_uri"].to_string()).collect();
        assert_eq!(offers.len(), 1);
    }
}

story! {
    async fn issuing_while_withdrawing_ends_withdrawn(town) {
        town.hires(PERSON, "H26").await;
        let other = town.second_process().await;
        let officer = other.officer("vneid").await;
        let offer = officer.offer(PERSON).await;
        let card = offer["card"].as_str().unwrap();
        let mut wallets = Vec::new();
        for _ in 0..12 {
            let wallet = town.wallet();
            let token = wallet.token(&officer.offer(PERSON).await).await;
            let request = Wallet::request(SD_JWT, &[wallet.proof(&wallet.nonce().await)]);
            wallets.push((wallet, token, request));
        }
        let issuing = join_all(wallets.iter().map(|(wallet, token, request)| wallet.post("/credential", token, request)));
        let (answers, withdrawn) = tokio::join!(issuing, officer.step(card, "withdraw", "resigned"));
        withdrawn.expect(200);
        for answer in answers {
            if answer.status != 200 {
                assert_eq!(answer.error(400), "credential_request_denied");
                continue;
            }
            let answer = answer.expect(200);
            let status = Presentation::parse(answer["credentials"][0]["credential"].as_str().unwrap()).unwrap().claimed_status().unwrap();
            let list: i64 = status.uri.rsplit('/').next().unwrap().parse().unwrap();
            assert_eq!(town.service.store().status_of(list, status.index.into()).await.unwrap(), Some(1));
        }
    }
}

story! {
    async fn wallets_of_two_processes_never_share_a_status_entry(town) {
        town.hires(PERSON, "H26").await;
        let other = town.second_process().await;
        let officer = town.officer("vneid").await;
        let mut tokens = Vec::new();
        for at in 0..32 {
            let home = if at % 2 == 0 { &town } else { &other };
            let wallet = home.wallet();
            let token = wallet.token(&officer.offer(PERSON).await).await;
            tokens.push((wallet, token));
        }
        let credentials = join_all(tokens.iter().map(|(wallet, token)| wallet.credential(token, SD_JWT))).await;
        let places: HashSet<_> = credentials
            .iter()
            .map(|credential| {
                let status = Presentation::parse(credential).unwrap().claimed_status().unwrap();
                (status.uri, status.index)
            })
            .collect();
        assert_eq!(places.len(), 32);
    }
}

story! {
    async fn two_steps_at_once_and_one_wins(town) {
        town.hires(PERSON, "H26").await;
        let other = town.second_process().await;
        let officers = [town.officer("vneid").await, other.officer("vneid").await];
        let card = officers[0].offer(PERSON).await["card"].as_str().unwrap().to_owned();
        let answers = join_all((0..10).map(|at| officers[at % 2].step(&card, "withdraw", "resigned"))).await;
        let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
        assert_eq!(won.len(), 1);
        assert!(lost.into_iter().all(|answer| answer.problem(409) == "card-state"));
    }
}

story! {
    async fn two_processes_publish_one_trust_list(town) {
        let other = town.second_process().await;
        let lists = join_all((0..8).map(|at| if at % 2 == 0 { town.get("/trust-list") } else { other.get("/trust-list") })).await;
        let lists: HashSet<_> = lists.into_iter().map(|answer| answer.bytes).collect();
        assert_eq!(lists.len(), 1);
    }
}
