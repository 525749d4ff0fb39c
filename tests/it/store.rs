//! The store's contract, on both databases: each promise in the prose of `src/store/mod.rs` and of its functions.

use officials_card::model::card::{Reason, Selector, Step};
use officials_card::model::id::{Handle, PersonalNumber};
use officials_card::store::{Issuance, NewCredential, Recorded};
use serde_json::json;

use crate::story;
use crate::town::Town;

const PERSON: &str = "001199000018";

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
        store.open_status_list(1, 16, "secret".into(), 0).await.unwrap();
        store.open_status_list(1, 99, "other".into(), 0).await.unwrap();
        let list = store.status_list(1).await.unwrap().unwrap();
        assert_eq!((list.size, list.secret.as_str()), (16, "secret"), "opened once");
        let draws = futures_util::future::join_all((0..4).map(|_| store.draw_positions(1, 5))).await;
        let mut starts: Vec<_> = draws.into_iter().filter_map(|draw| draw.unwrap()).collect();
        starts.sort_unstable();
        assert_eq!(starts, [0, 5, 10]);
        assert_eq!(store.open_status_lists(1).await.unwrap().len(), 1);
        assert_eq!(store.draw_positions(1, 1).await.unwrap(), Some(15));
        assert!(store.open_status_lists(1).await.unwrap().is_empty());
    }
}

story! {
    async fn an_issuance_is_written_once_and_within_the_cards_bound(town) {
        let card = card(&town).await;
        let store = town.service.store();
        store.open_status_list(1, 16, "secret".into(), 0).await.unwrap();
        assert_eq!(store.record_issuance(issuance(&card, "n1", "r1", 0)).await.unwrap(), Recorded::New);
        let Recorded::Again(id, rows) = store.record_issuance(issuance(&card, "n1", "r1", 1)).await.unwrap() else {
            panic!("the same request again");
        };
        assert_eq!((id.as_str(), rows[0].index), ("n1 r1", 0));
        assert_eq!(store.record_issuance(issuance(&card, "n1", "r2", 2)).await.unwrap(), Recorded::NonceUsed);
        assert!(store.record_issuance(issuance(&card, "n2", "r3", 0)).await.is_err(), "an index serves once");
        assert_eq!(store.record_issuance(issuance(&card, "n3", "r4", 3)).await.unwrap(), Recorded::New);
        assert_eq!(store.record_issuance(issuance(&card, "n4", "r5", 4)).await.unwrap(), Recorded::New);
        assert_eq!(store.record_issuance(issuance(&card, "n5", "r6", 5)).await.unwrap(), Recorded::CardNotInForce);
    }
}

story! {
    async fn a_failed_change_harms_no_other_of_its_group(town) {
        let card = card(&town).await;
        let store = town.service.store();
        store.open_status_list(1, 64, "secret".into(), 0).await.unwrap();
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
        store.open_status_list(1, 16, "secret".into(), 0).await.unwrap();
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
        assert_eq!(town.service.store().newest_trust_list().await.unwrap(), Some(other));
    }
}
