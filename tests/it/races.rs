//! Two do the same thing at once, and exactly one wins.

use std::collections::HashSet;

use futures_util::future::join_all;
use officials_card::credential::sd_jwt::Presentation;
use officials_card::error::{Error, Refusal};
use officials_card::model::card::{CardFacts, Reason, Selector, State};
use officials_card::model::id::{Handle, PersonalNumber};
use officials_card::model::origin::{Origin, Way};
use officials_card::store::NewCard;
use serde_json::json;

use crate::grants::{offered, served};
use crate::holder::{Draft, Office, Tokens, status_of};
use crate::revoke::published;
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

/// No credential of a card that is being withdrawn: the card is found out of force, or the grant has ended with it.
#[track_caller]
fn is_refused(answer: crate::town::Answer) {
    if answer.status == 401 {
        assert_eq!(answer.error(401), "invalid_token");
    } else {
        assert_eq!(answer.error(400), "credential_request_denied");
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
                is_refused(answer);
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

story! {
    async fn a_request_uri_used_by_many_browsers_at_once_serves_one(town) {
        let office = Office::open(town).await;
        let other = office.town.second_process().await;
        let wallet = office.wallet();
        let request_uri = wallet.pushed().await;
        let browsers: Vec<_> = (0..8).map(|at| {
            let browser = office.browser();
            if at % 2 == 0 { browser } else { browser.at(&other) }
        }).collect();
        let landed = join_all(browsers.iter().map(|browser| async {
            let to_vneid = browser.visits(&wallet.client_id, &request_uri).await;
            if to_vneid.status != 303 {
                return None;
            }
            let back = office.vneid.signs_in(to_vneid.header("location"), PERSON, 2).await;
            let page = browser.returns(&back).await;
            if page.answer.status != 200 {
                return None;
            }
            let answer = page.decide(browser, "approve").await;
            (answer.status == 303).then(|| wallet.landing(answer).code())
        })).await;
        let codes: Vec<_> = landed.into_iter().flatten().collect();
        assert_eq!(codes.len(), 1);
        Tokens::of(wallet.redeem(&codes[0]).send().await);
    }
}

story! {
    async fn an_authorization_code_used_by_many_at_once_serves_one(town) {
        let office = Office::open(town).await;
        let other = office.town.second_process().await;
        let wallet = office.wallet();
        let code = wallet.code(PERSON).await;
        let drafts: Vec<_> = (0..12).map(|at| wallet.redeem(&code).at(if at % 2 == 0 { &office.town } else { &other })).collect();
        let answers = join_all(drafts.iter().map(Draft::send)).await;
        assert_eq!(served(answers, 400, "invalid_grant").len(), 1);
    }
}

story! {
    async fn an_offer_used_by_many_wallets_at_once_serves_one(town) {
        let office = Office::open(town).await;
        let other = office.town.second_process().await;
        let (code, tx_code) = offered(&office, PERSON).await;
        let wallets: Vec<_> = (0..12).map(|at| if at % 3 == 0 { office.second_wallet() } else { office.wallet() }).collect();
        let answers = join_all(wallets.iter().enumerate().map(|(at, wallet)| {
            let draft = wallet.redeem_offer(&code, &tx_code).at(if at % 2 == 0 { &office.town } else { &other });
            async move { draft.send().await }
        })).await;
        assert_eq!(served(answers, 400, "invalid_grant").len(), 1);
    }
}

story! {
    async fn a_nonce_used_by_many_grants_at_once_serves_one(town) {
        let office = Office::open(town).await;
        let other = office.town.second_process().await;
        let wallets: Vec<_> = (0..6).map(|_| office.wallet()).collect();
        let mut tokens = Vec::new();
        for wallet in &wallets {
            tokens.push(wallet.tokens(PERSON).await);
        }
        let nonce = wallets[0].nonce().await;
        let answers = join_all(wallets.iter().zip(&tokens).enumerate().map(|(at, (wallet, tokens))| {
            let proof = wallet.proof(&wallet.key, &nonce);
            let body = json!({"credential_configuration_id": SD_JWT, "proofs": {"jwt": [proof]}});
            let draft = wallet.call("/credential", &tokens.access, body).at(if at % 2 == 0 { &office.town } else { &other });
            async move { draft.send().await }
        })).await;
        assert_eq!(served(answers, 400, "invalid_nonce").len(), 1);
    }
}

story! {
    async fn many_who_refresh_at_once_get_copies_of_one_new_card(town) {
        let office = Office::open(town).await;
        let other = office.town.second_process().await;
        let mut wallets = Vec::new();
        for _ in 0..8 {
            let wallet = office.wallet();
            let tokens = wallet.tokens(PERSON).await;
            wallets.push((wallet, tokens));
        }
        office.town.imports(PERSON, "H26", "002", "active").await;
        office.town.matches_and_confirms("H26").await;
        let issued = join_all(wallets.iter().enumerate().map(|(at, (wallet, tokens))| {
            let town = if at % 2 == 0 { &office.town } else { &other };
            async move { wallet.credential(&tokens.access, SD_JWT).await.at(town).send().await.expect(200) }
        })).await;
        let person = officials_card::model::id::PersonalNumber::parse(PERSON).unwrap();
        let selector = officials_card::model::card::Selector::Person(person);
        assert_eq!(office.town.service.store().cards(&selector, 10).await.unwrap().len(), 2, "the old and the new");
        for issued in issued {
            assert_eq!(published(&office.town, &status_of(&issued)).await, 0);
        }
    }
}

story! {
    async fn refreshing_while_withdrawing_ends_withdrawn(town) {
        let office = Office::open(town).await;
        let other = office.town.second_process().await;
        let officer = other.officer("vneid").await;
        let mut wallets = Vec::new();
        for _ in 0..8 {
            let wallet = office.wallet();
            let tokens = wallet.tokens(PERSON).await;
            wallets.push((wallet, tokens));
        }
        let card = officer.offer(PERSON).await["card"].as_str().unwrap().to_owned();
        let refreshing = join_all(wallets.iter().map(|(wallet, tokens)| async {
            let refreshed = wallet.refresh(&tokens.refresh).send().await;
            if refreshed.status != 200 {
                assert_eq!(refreshed.error(400), "invalid_grant", "its grant ended with the card");
                return None;
            }
            Some(wallet.credential(&Tokens::of(refreshed).access, SD_JWT).await.send().await)
        }));
        let (answers, withdrawn) = tokio::join!(refreshing, officer.step(&card, "withdraw", "resigned"));
        withdrawn.expect(200);
        for answer in answers.into_iter().flatten() {
            if answer.status == 200 {
                assert_eq!(published(&office.town, &status_of(&answer.json())).await, 1);
            } else {
                is_refused(answer);
            }
        }
        for (wallet, tokens) in &wallets {
            assert_eq!(wallet.refresh(&tokens.refresh).send().await.error(400), "invalid_grant");
            assert_eq!(wallet.credential(&tokens.access, SD_JWT).await.send().await.error(401), "invalid_token");
        }
    }
}

story! {
    async fn sixty_four_wallets_at_once_never_share_a_status_index(town) {
        let office = Office::open(town).await;
        let other = office.town.second_process().await;
        let wallets: Vec<_> = (0..64).map(|_| office.wallet()).collect();
        let issued = join_all(wallets.iter().enumerate().map(|(at, wallet)| {
            let other = &other;
            async move {
                let tokens = wallet.tokens(PERSON).await;
                let draft = wallet.credential(&tokens.access, SD_JWT).await;
                let draft = if at % 2 == 0 { draft } else { draft.at(other) };
                draft.send().await.expect(200)
            }
        })).await;
        let places: HashSet<_> = issued.iter().map(status_of).map(|status| (status.uri, status.index)).collect();
        assert_eq!(places.len(), 64);
        let person = officials_card::model::id::PersonalNumber::parse(PERSON).unwrap();
        let selector = officials_card::model::card::Selector::Person(person);
        assert_eq!(office.town.service.store().cards(&selector, 10).await.unwrap().len(), 1, "and there is one card");
    }
}

story! {
    async fn a_card_that_is_made_while_its_record_is_taken_back_is_withdrawn_with_it(town) {
        let people: Vec<_> = (0..40).map(|number| format!("001199000{number:03}")).collect();
        town.hires_all(&people, "H26").await;
        let facts = {
            let card = town.officer("vneid").await.offer(&people[0]).await["card"].as_str().unwrap().to_owned();
            town.service.store().card(&Handle::parse(&card).unwrap()).await.unwrap().unwrap().facts
        };
        let (store, now) = (town.service.store(), town.clock.now());
        let mut records = Vec::new();
        for person in &people[1..] {
            let number = PersonalNumber::parse(person).unwrap();
            let stored = store.records_of(&number).await.unwrap().pop().unwrap();
            records.push((stored.handle, stored.version, CardFacts { personal_id_number: number, ..facts.clone() }));
        }
        let origin = Origin { way: Way::Sync, reference: "1".into(), actor: "test".into() };
        for (record, version, facts) in records {
            let new = NewCard {
                handle: Handle::random(&town.service.chance), record: record.clone(), record_version: version,
                facts, created_at: now, valid_until: now + 1_000, replaced_status: 1,
            };
            let removing = store.remove_record(&record, version, &origin, Reason::IssuedInError, now + 1);
            let (made, removed) = tokio::join!(store.ensure_card(new, "test".into()), removing);
            removed.unwrap();
            assert!(matches!(made, Ok(_) | Err(Error::Refusal(Refusal::NotVerified(_)))), "{made:?}");
            for card in store.cards(&Selector::Record(record), 10).await.unwrap() {
                assert!(matches!(card.state, State::Withdrawn { .. }), "{card:?}");
            }
        }
    }
}
