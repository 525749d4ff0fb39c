//! The store's contract, on both databases: each promise in the prose of `src/store/mod.rs` and of its functions.

use officials_card::model::card::{Reason, Selector, Step};
use officials_card::model::id::{Handle, PersonalNumber};
use officials_card::model::status::ListPurpose;
use officials_card::store::{
    Ahead, Approval, Deferral, Holder, Issuance, NewAuthorization, NewCard, NewCredential, NewGrant, Recorded, Store,
};
use serde_json::json;
use sqlx::Row;

use crate::story;
use crate::town::Town;

const PERSON: &str = "001199000018";
/// The end of a grant of [`begun`].
const GRANT_ENDS: i64 = 1_000;

async fn card(town: &Town) -> Handle {
    town.hires(PERSON, "H26").await;
    Handle::parse(town.officer("vneid").await.offer(PERSON).await["card"].as_str().unwrap()).unwrap()
}

fn issuance(card: &Handle, nonce: &str, request: &str, index: u64) -> Issuance {
    Issuance {
        id: format!("{nonce} {request}"),
        nonce: nonce.into(),
        request_hash: request.into(),
        card: card.clone(),
        grant: None,
        deferral: None,
        configuration: "badge".into(),
        credentials: vec![NewCredential { holder: String::new(), list: 1, index, issued_at: 1, expires_at: 2 }],
        at: 10,
        actor: "test".into(),
        max_credentials: 3,
    }
}

story! {
    async fn positions_are_drawn_once_and_a_full_list_says_so(town) {
        let store = town.service.store();
        store.open_status_list(1, ListPurpose::Other, 16, "secret".into(), 0).await.unwrap();
        store.open_status_list(1, ListPurpose::Other, 99, "other".into(), 0).await.unwrap();
        let list = store.status_list(1).await.unwrap().unwrap();
        assert_eq!((list.size, list.secret.as_str()), (16, "secret"), "opened once");
        let told = store.history("status-list/1").await.unwrap();
        assert_eq!(told, [(0, "system".into(), "status_list.opened".into(), "16 other".into())]);
        let draws = futures_util::future::join_all((0..4).map(|_| store.draw_positions(1, 5))).await;
        let mut starts: Vec<_> = draws.into_iter().filter_map(|draw| draw.unwrap()).collect();
        starts.sort_unstable();
        assert_eq!(starts, [0, 5, 10]);
        assert_eq!(store.open_status_lists(ListPurpose::Other, 1).await.unwrap().len(), 1);
        assert_eq!(store.draw_positions(1, 1).await.unwrap(), Some(15));
        assert!(store.open_status_lists(ListPurpose::Other, 1).await.unwrap().is_empty());
    }
}

story! {
    async fn an_issuance_is_written_once_and_within_the_cards_bound(town) {
        let card = card(&town).await;
        let store = town.service.store();
        store.open_status_list(1, ListPurpose::Other, 16, "secret".into(), 0).await.unwrap();
        assert_eq!(store.record_issuance(issuance(&card, "n1", "r1", 0)).await.unwrap(), Recorded::New);
        let Recorded::Again(id, rows) = store.record_issuance(issuance(&card, "n1", "r1", 1)).await.unwrap() else {
            panic!("the same request again");
        };
        assert_eq!((id.as_str(), rows[0].index), ("n1 r1", 0));
        assert_eq!(store.record_issuance(issuance(&card, "n1", "r2", 2)).await.unwrap(), Recorded::NonceUsed);
        assert!(store.record_issuance(issuance(&card, "n2", "r3", 0)).await.is_err(), "an index serves once");
        assert_eq!(store.record_issuance(issuance(&card, "n3", "r4", 3)).await.unwrap(), Recorded::New);
        assert_eq!(store.record_issuance(issuance(&card, "n4", "r5", 4)).await.unwrap(), Recorded::New);
        for request in ["r6", "r7"] {
            let beyond = issuance(&card, "n5", request, 5);
            assert_eq!(store.record_issuance(beyond).await.unwrap(), Recorded::CardNotInForce, "the nonce is not used");
        }
        let wider = Issuance { max_credentials: 4, ..issuance(&card, "n5", "r6", 5) };
        assert_eq!(store.record_issuance(wider).await.unwrap(), Recorded::New, "nothing was left of what was refused");
    }
}

story! {
    async fn a_failed_change_harms_no_other_of_its_group(town) {
        let card = card(&town).await;
        let store = town.service.store();
        store.open_status_list(1, ListPurpose::Other, 64, "secret".into(), 0).await.unwrap();
        let changes = (0..20).map(|at| {
            let mut change = issuance(&card, &format!("n{at}"), "r", if at % 5 == 0 { 0 } else { at });
            change.max_credentials = 100;
            store.record_issuance(change)
        });
        let results = futures_util::future::join_all(changes).await;
        let written = results.iter().filter(|result| matches!(result, Ok(Recorded::New))).count();
        let failed = results.iter().filter(|result| result.is_err()).count();
        assert_eq!((written, failed), (17, 3), "one of the four that want index 0, and all others");
    }
}

story! {
    async fn a_version_grows_with_every_change_of_status(town) {
        let card = card(&town).await;
        let store = town.service.store();
        store.open_status_list(1, ListPurpose::Other, 16, "secret".into(), 0).await.unwrap();
        store.record_issuance(issuance(&card, "n1", "r1", 7)).await.unwrap();
        let before = store.status_entries(1).await.unwrap();
        assert!(before.not_valid.is_empty());
        let moved = store
            .move_cards(Selector::Card(card.clone()), Step::Lock, Reason::Lost, "test".into(), town.clock.now())
            .await
            .unwrap();
        assert_eq!((moved.cards.as_slice(), moved.credentials), (std::slice::from_ref(&card), 1));
        let after = store.status_entries(1).await.unwrap();
        assert_eq!(after.not_valid, [(7, 2)]);
        assert!(after.version > before.version);
        let again = store
            .move_cards(Selector::Card(card.clone()), Step::Lock, Reason::Lost, "test".into(), town.clock.now())
            .await
            .unwrap();
        assert!(again.cards.is_empty(), "a locked card is not locked again");
        assert_eq!(store.status_entries(1).await.unwrap().version, after.version);
        let history = store.history(card.as_str()).await.unwrap();
        assert_eq!(history.iter().filter(|line| line.2 == "card.locked").count(), 1);
    }
}

story! {
    async fn a_change_survives_the_process(town) {
        let card = card(&town).await;
        let person = PersonalNumber::parse(PERSON).unwrap();
        let other = town.second_process().await;
        let cards = other.service.store().cards(&Selector::Person(person), 10).await.unwrap();
        assert_eq!(cards.iter().map(|found| &found.handle).collect::<Vec<_>>(), [&card]);
        let found = other.service.store().card(&card).await.unwrap().unwrap();
        assert_eq!(found.facts.full_name, "Nguyễn Thị Thử Nghiệm");
        assert!(found.facts.portrait.is_some());
        assert_eq!(found.facts.record_type.suffix(), "CC");
    }
}

story! {
    async fn an_assertion_is_used_once_and_forgotten_when_over(town) {
        let store = town.service.store();
        assert!(store.use_once("a".into(), 100).await.unwrap());
        assert!(!store.use_once("a".into(), 100).await.unwrap());
        assert_eq!(store.clear_away(100).await.unwrap(), 0, "it is remembered to its end");
        assert!(!store.use_once("a".into(), 100).await.unwrap());
        assert_eq!(store.clear_away(101).await.unwrap(), 1);
        assert!(store.use_once("a".into(), 300).await.unwrap());
    }
}

story! {
    async fn a_trust_list_version_is_published_once(town) {
        let first: serde_json::Value = json!(town.service.trust_list().await.unwrap().version);
        let mut other = town.service.trust_list().await.unwrap();
        assert_eq!(first, json!(other.version));
        other.bytes = vec![1];
        assert!(!town.service.store().publish_trust_list(other.clone()).await.unwrap());
        other.version += 1;
        assert!(town.service.store().publish_trust_list(other.clone()).await.unwrap());
        for version in [other.version - 1, other.version] {
            let told = town.service.store().history(&format!("trust-list/{version}")).await.unwrap();
            assert_eq!(told.len(), 1, "a version and its line of the audit");
            assert_eq!(told[0].2, "trust_list.published");
        }
        assert_eq!(town.service.store().newest_trust_list().await.unwrap(), Some(other));
    }
}

/// The first record of the person.
async fn record(town: &Town) -> Handle {
    town.service.store().records_of(&person()).await.unwrap().remove(0).handle
}

fn person() -> PersonalNumber {
    PersonalNumber::parse(PERSON).unwrap()
}

fn pushed(id: &str) -> NewAuthorization {
    NewAuthorization {
        id: id.into(),
        client: "wallet".into(),
        redirect_uri: "https://wallet.example/back".into(),
        state: Some("state".into()),
        code_challenge: "challenge".into(),
        configurations: "one two".into(),
        by_details: true,
        dpop_key: Some("key".into()),
        instance_key: Some("instance".into()),
        offer: Some("offer".into()),
        created_at: 0,
        expires_at: 90,
    }
}

async fn visit(store: &Store, id: &str, browser: &str, now: i64) -> bool {
    store.visit_request(id.into(), "wallet".into(), browser.into(), 600, now).await.unwrap()
}

async fn sign_in(store: &Store, id: &str, browser: &str, now: i64) -> bool {
    store.note_sign_in(id.into(), browser.into(), person(), now).await.unwrap()
}

fn approval(id: &str, browser: &str, record: &Handle, code: &str) -> Approval {
    Approval {
        id: id.into(),
        browser: browser.into(),
        record: record.clone(),
        card: None,
        code: code.into(),
        code_expires_at: 70,
        at: 10,
    }
}

/// A request on which the person of this browser has said yes.
async fn approved(store: &Store, id: &str, record: &Handle) {
    store.push_request(pushed(id)).await.unwrap();
    assert!(visit(store, id, "b", 1).await && sign_in(store, id, "b", 2).await);
    assert!(store.approve(approval(id, "b", record, &format!("code of {id}"))).await.unwrap());
}

fn grant(id: &str, record: &Handle) -> NewGrant {
    NewGrant {
        id: id.into(),
        record: record.clone(),
        person: person(),
        card: None,
        token_key: None,
        holder: Holder { client: Some("wallet".into()), instance_key: Some("instance".into()), dpop_key: None },
        configurations: "one two".into(),
        by_details: true,
        offer: None,
        created_at: 20,
        expires_at: 1000,
    }
}

/// A grant that began.
async fn begun(store: &Store, id: &str, record: &Handle) {
    approved(store, id, record).await;
    assert!(store.redeem_code(format!("code of {id}"), grant(id, record)).await.unwrap());
}

story! {
    async fn a_request_is_visited_until_it_is_over_or_decided(town) {
        let store = town.service.store();
        store.push_request(pushed("r")).await.unwrap();
        let kept = store.authorization("r", 89).await.unwrap().unwrap();
        assert_eq!(format!("{:?}", kept.request), format!("{:?}", pushed("r")), "all of it");
        assert_eq!((kept.browser, kept.person), (None, None));
        assert!(store.authorization("r", 90).await.unwrap().is_none() && store.authorization("x", 0).await.unwrap().is_none());
        assert!(!visit(store, "x", "b1", 1).await, "unknown");
        assert!(!store.visit_request("r".into(), "other".into(), "b1".into(), 600, 1).await.unwrap(), "of another client");
        assert!(!visit(store, "r", "b1", 90).await, "over");
        assert!(visit(store, "r", "b1", 89).await);
        assert_eq!(store.authorization("r", 688).await.unwrap().unwrap().browser.as_deref(), Some("b1"), "it may take longer");
        assert!(store.authorization("r", 689).await.unwrap().is_none());
        assert!(sign_in(store, "r", "b1", 100).await);
        assert_eq!(store.authorization("r", 100).await.unwrap().unwrap().person, Some(person()));
        assert!(visit(store, "r", "b2", 100).await);
        let bound = store.authorization("r", 100).await.unwrap().unwrap();
        assert_eq!((bound.browser.as_deref(), bound.person), (Some("b2"), None), "another browser signs in anew");
        assert!(store.deny("r".into(), "b2".into(), "no", 101).await.unwrap());
        assert!(!visit(store, "r", "b2", 102).await, "decided");
        assert!(store.authorization("r", 102).await.unwrap().is_none());
    }
}

story! {
    async fn a_sign_in_and_a_decision_are_of_the_browser_of_the_request(town) {
        town.hires(PERSON, "H26").await;
        let (store, record) = (town.service.store(), record(&town).await);
        store.push_request(pushed("r")).await.unwrap();
        assert!(!sign_in(store, "r", "b", 1).await, "no browser has come");
        assert!(visit(store, "r", "b", 1).await);
        assert!(!sign_in(store, "r", "other", 2).await);
        assert!(!sign_in(store, "r", "b", 601).await, "over");
        assert!(!store.approve(approval("r", "b", &record, "c")).await.unwrap(), "nobody has signed in");
        assert!(sign_in(store, "r", "b", 2).await);
        let mut late = approval("r", "b", &record, "c");
        late.at = 601;
        for wrong in [approval("r", "other", &record, "c"), approval("x", "b", &record, "c"), late] {
            assert!(!store.approve(wrong).await.unwrap());
        }
        for (browser, at) in [("other", 3), ("b", 601)] {
            assert!(!store.deny("r".into(), browser.into(), "no", at).await.unwrap());
        }
        assert!(store.coded("c").await.unwrap().is_none(), "nothing of it was written");
        assert!(store.approve(approval("r", "b", &record, "c")).await.unwrap());
        assert!(!store.approve(approval("r", "b", &record, "d")).await.unwrap() && store.coded("d").await.unwrap().is_none());
        assert!(!store.deny("r".into(), "b".into(), "no", 11).await.unwrap() && !sign_in(store, "r", "b", 11).await);
        let coded = store.coded("c").await.unwrap().unwrap();
        assert_eq!((&coded.record, coded.person, coded.card, coded.grant), (&record, Some(person()), None, None));
        assert_eq!(format!("{:?}", NewAuthorization { expires_at: 90, ..coded.request }), format!("{:?}", pushed("r")));
        let told = store.history(record.as_str()).await.unwrap();
        assert_eq!(told.iter().filter(|line| line.2 == "authorization.approved").count(), 1);
        assert!(store.history("wallet").await.unwrap().is_empty(), "no was not said");
    }
}

story! {
    async fn of_many_decisions_and_redemptions_one_wins(town) {
        town.hires(PERSON, "H26").await;
        let (other, record) = (town.second_process().await, record(&town).await);
        let stores = [town.service.store(), other.service.store()];
        stores[0].push_request(pushed("r")).await.unwrap();
        assert!(visit(stores[0], "r", "b", 1).await && sign_in(stores[1], "r", "b", 2).await);
        let decide = async |at: usize| {
            let store = stores[at % 2];
            match at % 3 {
                0 => store.deny("r".into(), "b".into(), "no", 10).await.unwrap(),
                _ => store.approve(approval("r", "b", &record, &format!("c{at}"))).await.unwrap(),
            }
        };
        let won = futures_util::future::join_all((0..12).map(decide)).await;
        assert_eq!(won.into_iter().filter(|won| *won).count(), 1);

        approved(stores[0], "s", &record).await;
        let redeem = |at: usize| stores[at % 2].redeem_code("code of s".into(), grant(&format!("g{at}"), &record));
        let won = futures_util::future::join_all((0..12).map(redeem)).await;
        let won: Vec<_> = won.into_iter().enumerate().filter(|(_, won)| *won.as_ref().unwrap()).map(|(at, _)| at).collect();
        assert_eq!(won.len(), 1);
        assert_eq!(stores[1].coded("code of s").await.unwrap().unwrap().grant, Some(format!("g{}", won[0])));
        for at in 0..12 {
            let begun = stores[0].grant(&format!("g{at}"), 21).await.unwrap();
            assert_eq!(begun.is_some(), at == won[0], "the others wrote no grant");
        }
        let told = stores[0].history(record.as_str()).await.unwrap();
        assert_eq!(told.iter().filter(|line| line.2 == "grant.begun").count(), 1);
    }
}

story! {
    async fn a_code_lives_to_its_end(town) {
        town.hires(PERSON, "H26").await;
        let (store, record) = (town.service.store(), record(&town).await);
        approved(store, "r", &record).await;
        let mut late = grant("late", &record);
        late.created_at = 70;
        assert!(!store.redeem_code("code of r".into(), late).await.unwrap());
        assert!(!store.redeem_code("x".into(), grant("x", &record)).await.unwrap());
        assert!(store.grant("late", 71).await.unwrap().is_none());
        assert!(store.redeem_code("code of r".into(), NewGrant { created_at: 69, ..grant("g", &record) }).await.unwrap());
        assert!(!store.redeem_code("code of r".into(), grant("again", &record)).await.unwrap());
        assert_eq!(store.coded("code of r").await.unwrap().unwrap().grant.as_deref(), Some("g"), "redeemed, it still tells");
    }
}

story! {
    async fn a_grant_is_read_while_it_lives_with_the_card_in_force(town) {
        town.hires(PERSON, "H26").await;
        let (store, record) = (town.service.store(), record(&town).await);
        begun(store, "g", &record).await;
        let read = store.grant("g", 999).await.unwrap().unwrap();
        assert_eq!((read.id.as_str(), &read.holder), ("g", &grant("g", &record).holder));
        assert_eq!((read.configurations.as_str(), read.by_details, read.expires_at), ("one two", true, 1000));
        assert_eq!((&read.record, read.person, read.record_version), (&record, person(), 1));
        assert!(read.is_verified && read.card.is_none() && read.found.is_none());
        assert!(store.grant("g", 1000).await.unwrap().is_none() && store.grant("x", 0).await.unwrap().is_none());

        let handle = Handle::parse(town.officer("vneid").await.offer(PERSON).await["card"].as_str().unwrap()).unwrap();
        let read = store.grant("g", 21).await.unwrap().unwrap();
        let found = read.found.unwrap();
        assert_eq!((&found.card.handle, read.card), (&handle, None), "the card of its record, though not yet its own");
        assert!(found.facts.portrait.is_some());
        town.imports(PERSON, "H26", "002", "active").await;
        let read = store.grant("g", 21).await.unwrap().unwrap();
        assert_eq!((read.is_verified, read.record_version), (false, 2));
        assert_eq!(read.found.unwrap().card.record_version, 1);

        store.revoke_grant("g".into(), "wallet".into(), 30).await.unwrap();
        store.revoke_grant("g".into(), "wallet".into(), 31).await.unwrap();
        assert!(store.grant("g", 31).await.unwrap().is_none());
        let told = store.history("g").await.unwrap();
        assert_eq!(told.iter().map(|line| (line.0, line.2.as_str())).collect::<Vec<_>>(), [(30, "grant.revoked")]);
    }
}

story! {
    async fn a_revoked_grant_issues_nothing_and_uses_up_nothing(town) {
        let card = card(&town).await;
        let (store, record) = (town.service.store(), record(&town).await);
        store.open_status_list(1, ListPurpose::Other, 16, "secret".into(), 0).await.unwrap();
        begun(store, "g", &record).await;
        begun(store, "other", &record).await;
        let by = |id: &str, nonce: &str, index| Issuance {
            grant: Some(id.into()),
            at: 30,
            ..issuance(&card, nonce, &format!("request {nonce}"), index)
        };
        assert_eq!(store.record_issuance(by("g", "n1", 0)).await.unwrap(), Recorded::New);
        assert_eq!(store.grant("g", 31).await.unwrap().unwrap().card, Some(card.clone()));
        store.revoke_grant("g".into(), "wallet".into(), 31).await.unwrap();
        assert_eq!(store.record_issuance(by("g", "n1", 1)).await.unwrap(), Recorded::GrantRevoked, "nor anything again");
        assert_eq!(store.record_issuance(by("g", "n2", 1)).await.unwrap(), Recorded::GrantRevoked);
        let late = Issuance { at: 1000, ..by("other", "n2", 1) };
        assert_eq!(store.record_issuance(late).await.unwrap(), Recorded::GrantRevoked, "or over");
        assert_eq!(store.record_issuance(by("other", "n2", 1)).await.unwrap(), Recorded::New, "the nonce was not used");
        assert!(store.note_event("n1 request n1".into(), "other".into(), "credential_accepted", 40).await.is_err());
        store.note_event("n2 request n2".into(), "other".into(), "credential_accepted", 40).await.unwrap();
    }
}

fn deferral(id: &str, grant: &str, nonce: &str) -> Deferral {
    Deferral {
        id: id.into(),
        grant: grant.into(),
        configuration: "one".into(),
        holders: "[]".into(),
        nonce: nonce.into(),
        request_hash: "request".into(),
        created_at: 30,
        expires_at: 500,
    }
}

story! {
    async fn a_request_waits_for_its_grant_until_it_is_delivered(town) {
        let card = card(&town).await;
        let (store, record) = (town.service.store(), record(&town).await);
        store.open_status_list(1, ListPurpose::Other, 16, "secret".into(), 0).await.unwrap();
        begun(store, "g", &record).await;
        assert_eq!(store.defer(deferral("d", "g", "n1")).await.unwrap().as_deref(), Some("d"));
        assert_eq!(store.defer(deferral("e", "g", "n1")).await.unwrap().as_deref(), Some("d"), "the same request again");
        let other = Deferral { request_hash: "other".into(), ..deferral("e", "g", "n1") };
        assert_eq!(store.defer(other).await.unwrap(), None, "the nonce is used");
        let taken = Issuance { grant: Some("g".into()), at: 35, ..issuance(&card, "n1", "another request", 3) };
        assert_eq!(store.record_issuance(taken).await.unwrap(), Recorded::NonceUsed, "by the request that waits");
        let kept = store.deferral("d", "g", 499).await.unwrap().unwrap();
        assert_eq!(format!("{kept:?}"), format!("{:?}", deferral("d", "g", "n1")));
        for (id, grant, now) in [("d", "other", 40), ("e", "g", 40), ("d", "g", 500)] {
            assert!(store.deferral(id, grant, now).await.unwrap().is_none(), "{id} {grant} {now}");
        }
        let answer = Issuance { grant: Some("g".into()), deferral: Some("d".into()), at: 40, ..issuance(&card, "n1", "request", 0) };
        assert_eq!(store.record_issuance(answer.clone()).await.unwrap(), Recorded::New);
        assert!(store.deferral("d", "g", 41).await.unwrap().is_none());
        assert!(matches!(store.record_issuance(answer).await.unwrap(), Recorded::Again(..)));
        let told = store.history("g").await.unwrap();
        assert_eq!(told.iter().filter(|line| line.2 == "credential.deferred").count(), 1);

        let used = Issuance { grant: Some("g".into()), at: 40, ..issuance(&card, "n2", "request", 1) };
        assert_eq!(store.record_issuance(used).await.unwrap(), Recorded::New);
        assert_eq!(store.defer(deferral("f", "g", "n2")).await.unwrap(), None, "used by an answer");
    }
}

story! {
    async fn a_card_follows_its_record_when_it_is_asked_to(town) {
        let first = card(&town).await;
        let (store, record) = (town.service.store(), record(&town).await);
        let found = store.card(&first).await.unwrap().unwrap();
        let new = |handle: &str, version: i64, name: &str| {
            let mut facts = found.facts.clone();
            facts.full_name = name.into();
            NewCard {
                handle: Handle::parse(handle).unwrap(),
                record: record.clone(),
                record_version: version,
                facts,
                created_at: town.clock.now(),
                valid_until: found.card.valid_until,
                replaced_status: 1,
            }
        };
        let same = new("0000000000000001", 1, "Nguyễn Thị Thử Nghiệm");
        assert_eq!(store.ensure_card(same, "test".into()).await.unwrap(), first, "it says that already");
        assert!(store.records_ahead_of_cards("", None, 10).await.unwrap().is_empty());
        town.imports(PERSON, "H26", "002", "active").await;
        assert!(store.records_ahead_of_cards("", None, 10).await.unwrap().is_empty(), "not verified yet");
        assert!(store.ensure_card(new("0000000000000002", 2, "Khác"), "test".into()).await.is_err());
        town.matches_and_confirms("H26").await;
        assert_eq!(store.mark_without_card(String::new()).await.unwrap(), None, "that was all");
        let ahead = store.records_ahead_of_cards("", None, 10).await.unwrap();
        assert_eq!(ahead, [Ahead { record: record.clone(), person: person(), version: 2 }]);
        assert!(store.records_ahead_of_cards(record.as_str(), None, 10).await.unwrap().is_empty(), "after it there is none");
        assert!(store.ensure_card(new("0000000000000002", 1, "Khác"), "test".into()).await.is_err(), "of an older version");
        let other = town.second_process().await;
        let stores = [store, other.service.store()];
        let made = futures_util::future::join_all((0..8).map(|at| {
            stores[at % 2].ensure_card(new(&format!("000000000000001{at}"), 2, "Khác"), "test".into())
        })).await;
        let made: std::collections::HashSet<_> = made.into_iter().map(|made| made.unwrap()).collect();
        assert_eq!(made.len(), 1, "one of them");
        assert!(!made.contains(&first));
        assert!(store.records_ahead_of_cards("", None, 10).await.unwrap().is_empty());
        assert_eq!(store.cards(&Selector::Person(person()), 10).await.unwrap().len(), 2);

        // A version that was compared is not looked at again, whatever became of the card.
        town.imports(PERSON, "H26", "003", "active").await;
        town.matches_and_confirms("H26").await;
        assert_eq!(store.records_ahead_of_cards("", None, 10).await.unwrap().len(), 1);
        store.mark_compared(record.clone(), 3).await.unwrap();
        assert!(store.records_ahead_of_cards("", None, 10).await.unwrap().is_empty());
    }
}

story! {
    async fn what_is_over_is_cleared_away_and_nothing_else(town) {
        town.hires(PERSON, "H26").await;
        let (store, record) = (town.service.store(), record(&town).await);
        begun(store, "g", &record).await;
        store.push_request(pushed("unfinished")).await.unwrap();
        store.use_once("proof".into(), 100).await.unwrap();
        store.keep_api_token("token".into(), "vneid".into(), "cards:read".into(), 200, 0).await.unwrap();
        assert!(store.defer(deferral("d", "g", "n")).await.unwrap().is_some());
        for (now, cleared) in [(100, 0), (101, 1), (201, 1), (500, 0), (501, 1), (90 + 86_400, 0), (91 + 86_400, 1), (601 + 86_400, 0), (602 + 86_400, 1), (GRANT_ENDS + 30 * 86_400, 0), (GRANT_ENDS + 30 * 86_400 + 1, 1), (1 << 40, 0)] {
            assert_eq!(store.clear_away(now).await.unwrap(), cleared, "at {now}");
        }
    }
}

story! {
    async fn a_grant_that_was_revoked_or_still_has_requests_is_kept_long_enough(town) {
        town.hires(PERSON, "H26").await;
        let (store, record) = (town.service.store(), record(&town).await);
        begun(store, "revoked", &record).await;
        begun(store, "waits", &record).await;
        let late = Deferral { expires_at: 1 << 40, ..deferral("d", "waits", "n") };
        assert!(store.defer(late).await.unwrap().is_some());
        store.revoke_grant("revoked".into(), "test".into(), 100).await.unwrap();
        assert_eq!(store.clear_away(100 + 30 * 86_400).await.unwrap(), 2, "the two requests");
        assert_eq!(store.clear_away(101 + 30 * 86_400).await.unwrap(), 1, "the revoked one, not the one that has a request");
        assert!(store.grant("waits", 999).await.unwrap().is_some());
        assert_eq!(store.clear_away(1 << 40).await.unwrap(), 0);
        assert_eq!(store.clear_away((1 << 40) + 1).await.unwrap(), 2, "the request and then its grant");
    }
}

story! {
    async fn an_offer_is_remembered_for_long_after_its_end(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let ask = json!({"personal_id_number": PERSON, "assurance_level": 2});
        let made = officer.post_with("/api/v1/offers", ask.clone(), &[("idempotency-key", "once")]).await.expect(201);
        town.wallet().token(&made).await;
        let path = made["credential_offer_uri"].as_str().unwrap().to_owned();
        let end = town.clock.now() + town.service.config.limits.offer_ttl_seconds + 90 * 86_400;
        let store = town.service.store();
        store.clear_away(end).await.unwrap();
        town.clock.advance(end - town.clock.now());
        let officer = town.officer("vneid").await;
        let same = officer.post_with("/api/v1/offers", ask.clone(), &[("idempotency-key", "once")]).await.json();
        assert_eq!(same["credential_offer_uri"], path.as_str());
        assert_eq!(store.clear_away(end + 1).await.unwrap(), 1);
        let fresh = officer.post_with("/api/v1/offers", ask, &[("idempotency-key", "once")]).await.expect(201);
        assert_ne!(fresh["credential_offer_uri"], path.as_str());
        assert_eq!(fresh["card"], made["card"], "the card stays");
    }
}

story! {
    async fn much_that_is_over_goes_in_one_call(town) {
        let mut database = open(&town).await;
        let rows: Vec<_> = (0..2_500).map(|row| format!("('{row}', {row})")).collect();
        let statement = format!("INSERT INTO client_assertions (jti, expires_at) VALUES {}", rows.join(", "));
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut database).await.unwrap();
        assert_eq!(town.service.store().clear_away(2_400).await.unwrap(), 2_400);
        assert_eq!(town.service.store().clear_away(2_500).await.unwrap(), 100);
    }
}

story! {
    async fn who_signed_in_is_forgotten_when_the_request_ended(town) {
        let mut database = open(&town).await;
        let store = town.service.store();
        for id in ["goes-on", "decided", "over"] {
            let ends = if id == "over" { 100 } else { 200 };
            store.push_request(NewAuthorization { expires_at: ends, ..pushed(id) }).await.unwrap();
            assert!(store.visit_request(id.into(), pushed(id).client, "b".into(), if id == "over" { 40 } else { 600 }, 50).await.unwrap());
            assert!(store.note_sign_in(id.into(), "b".into(), person(), 50).await.unwrap());
        }
        assert!(store.deny("decided".into(), "b".into(), "test", 60).await.unwrap());
        assert_eq!(store.clear_away(100).await.unwrap(), 0);
        let known = sqlx::query("SELECT id FROM authorizations WHERE person IS NOT NULL").fetch_all(&mut database);
        let known: Vec<String> = known.await.unwrap().iter().map(|row| row.get(0)).collect();
        assert_eq!(known, ["goes-on"]);
        assert!(store.authorization("goes-on", 100).await.unwrap().unwrap().person.is_some());
    }
}

story! {
    async fn a_card_that_is_older_than_its_record_is_compared_though_the_record_was_marked(town) {
        town.hires(PERSON, "H26").await;
        let mut database = open(&town).await;
        // As if it had been marked while another process was about to make the card.
        let marked = sqlx::query("UPDATE records SET version = 2, compared_version = 2").execute(&mut database).await;
        assert_eq!(marked.unwrap().rows_affected(), 1);
        sqlx::query("UPDATE records SET version = 1").execute(&mut database).await.unwrap();
        card(&town).await;
        sqlx::query("UPDATE records SET version = 2").execute(&mut database).await.unwrap();
        let store = town.service.store();
        assert_eq!(store.mark_without_card(String::new()).await.unwrap(), None);
        assert_eq!(store.records_ahead_of_cards("", None, 10).await.unwrap().len(), 1);
    }
}

story! {
    async fn records_without_a_card_are_marked_step_by_step(town) {
        town.hires(PERSON, "H26").await;
        let mut database = open(&town).await;
        let copies = format!(
            "INSERT INTO records (id, unit, number, version, digest, run, changed_at, population, confirmed_at) VALUES {}",
            (0..1_500).map(|at| format!("('{at:016x}', 'H26', 'C{at}', 1, '', '', 1, 'matched', 1)")).collect::<Vec<_>>().join(", ")
        );
        sqlx::query(sqlx::AssertSqlSafe(copies)).execute(&mut database).await.unwrap();
        let store = town.service.store();
        let step = store.mark_without_card(String::new()).await.unwrap().expect("there is more");
        assert_eq!(step, format!("{:016x}", 999));
        let mut left = async || {
            let left = sqlx::query("SELECT COUNT(*) FROM records WHERE compared_version < version").fetch_one(&mut database);
            left.await.unwrap().get::<i64, _>(0)
        };
        assert_eq!(left().await, 501);
        assert_eq!(store.mark_without_card(step).await.unwrap(), None);
        assert_eq!(left().await, 0);
    }
}

/// A connection past the store.
async fn open(town: &Town) -> sqlx::AnyConnection {
    use sqlx::Connection;
    sqlx::AnyConnection::connect(&town.database_url).await.unwrap()
}
