//! The change feed: every change of a card is in it once, under numbers without a gap, signed, and seen in order.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use futures_util::StreamExt;
use futures_util::future::join_all;
use officials_card::clock::DAY_SECONDS;
use officials_card::store::{EventFilter, Store};
use serde_json::{Value, json};
use sqlx::migrate::Migrator;
use sqlx::{AnyPool, Row};

use crate::story;
use crate::town::{Answer, Officer, Town, URL};

const PERSON: &str = "001199000018";
const OTHER: &str = "001199000019";
const TYP: &str = "officials-card-events+jwt";

/// A page, signed: its payload.
async fn page(officer: &Officer<'_>, query: &str) -> Value {
    let answer = officer.get(&format!("/api/v1/events?{query}")).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.bytes));
    assert_eq!((answer.header("content-type"), answer.header("cache-control")), ("application/jwt", "no-store"));
    officer.town.signed(std::str::from_utf8(&answer.bytes).unwrap(), TYP)
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap()
}

/// Number and kind of a page's events.
fn told(page: &Value) -> Vec<(i64, &str)> {
    let events = page["events"].as_array().unwrap();
    events.iter().map(|event| (event["seq"].as_i64().unwrap(), event["kind"].as_str().unwrap())).collect()
}

story! {
    async fn every_change_of_a_card_is_told_once_and_in_order(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let empty = page(&officer, "after=0").await;
        assert_eq!((&empty["events"], &empty["next"]), (&json!([]), &json!(0)));
        let first = officer.offer(PERSON).await["card"].clone();
        officer.offer(PERSON).await;
        let handle = first.as_str().unwrap();
        for (step, reason) in [("lock", "lost"), ("unlock", "found")] {
            officer.step(handle, step, reason).await.expect(200);
        }
        assert_eq!(officer.step(handle, "unlock", "found").await.problem(409), "card-state");
        let second = officer.step(handle, "replace", "damaged").await.expect(201)["card"].clone();
        // The unit says something else: the next offer makes another card.
        town.imports(PERSON, "H26", "002", "active").await;
        town.matches_and_confirms("H26").await;
        let third = officer.offer(PERSON).await["card"].clone();
        officer.step(third.as_str().unwrap(), "withdraw", "resigned").await.expect(200);
        let fourth = officer.offer(PERSON).await["card"].clone();
        town.clock.advance(6 * 365 * DAY_SECONDS);
        let officer = town.officer("vneid").await;
        let moved = town.service.expire_cards().await.unwrap();
        assert_eq!(moved.cards.len(), 1);

        let expired_at = town.clock.now();
        let at = expired_at - 6 * 365 * DAY_SECONDS;
        let filter = EventFilter::default();
        let events = town.service.store().events(0, None, 100, &filter).await.unwrap().events;
        assert_eq!(events.len(), 10);
        // The certificates of the town ended meanwhile; the plain page says the same.
        let answer = accepting(&town, &officer.token, "application/json").await;
        assert_eq!((answer.header("content-type"), answer.header("vary")), ("application/json", "Accept"));
        let plain = answer.expect(200);
        assert_eq!(plain["events"], json!([
            {"seq": 1, "at": at, "kind": "card.created", "card": first, "unit": "H26"},
            {"seq": 2, "at": at, "kind": "card.locked", "card": first, "unit": "H26", "reason": "lost"},
            {"seq": 3, "at": at, "kind": "card.unlocked", "card": first, "unit": "H26", "reason": "found"},
            {"seq": 4, "at": at, "kind": "card.replaced", "card": first, "unit": "H26", "reason": "damaged", "replaced_by": second},
            {"seq": 5, "at": at, "kind": "card.created", "card": second, "unit": "H26", "replaces": first},
            {"seq": 6, "at": at, "kind": "card.refreshed", "card": second, "unit": "H26", "reason": "position_changed", "replaced_by": third},
            {"seq": 7, "at": at, "kind": "card.created", "card": third, "unit": "H26", "replaces": second},
            {"seq": 8, "at": at, "kind": "card.withdrawn", "card": third, "unit": "H26", "reason": "resigned"},
            {"seq": 9, "at": at, "kind": "card.created", "card": fourth, "unit": "H26"},
            {"seq": 10, "at": expired_at, "kind": "card.expired", "card": fourth, "unit": "H26"},
        ]));
        assert_eq!((&plain["iss"], &plain["aud"], &plain["next"]), (&json!(URL), &json!("vneid"), &json!(10)));
        assert!(!plain.to_string().contains(PERSON));
    }
}

async fn accepting(town: &Town, token: &str, accept: &str) -> Answer {
    let request = Request::get("/api/v1/events?after=0")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::ACCEPT, accept);
    town.send(request.body(Body::empty()).unwrap()).await
}

story! {
    async fn a_card_that_ran_out_is_told_before_its_successor(town) {
        town.hires(PERSON, "H26").await;
        let first = town.officer("vneid").await.offer(PERSON).await["card"].clone();
        town.clock.advance(6 * 365 * DAY_SECONDS);
        // No sweep has come by: the offer itself finds it.
        let officer = town.officer("vneid").await;
        let second = officer.offer(PERSON).await["card"].clone();
        let plain = accepting(&town, &officer.token, "application/json").await.expect(200);
        assert_eq!(told(&plain), [(1, "card.created"), (2, "card.expired"), (3, "card.created")]);
        assert_eq!((&plain["events"][1]["card"], &plain["events"][2]["card"]), (&first, &second));
    }
}

story! {
    async fn pages_are_signed_bounded_and_for_those_who_may(town) {
        let people: Vec<_> = (20..25).map(|at| format!("0011990000{at}")).collect();
        town.hires_all(&people, "H26").await;
        let officer = town.officer("vneid").await;
        for person in &people {
            officer.offer(person).await;
        }
        let mut after = 0;
        for (expected, next) in [(vec![1, 2], 2), (vec![3, 4], 4), (vec![5], 5), (vec![], 5)] {
            let page = page(&officer, &format!("after={after}&limit=2")).await;
            assert_eq!(told(&page).into_iter().map(|(seq, _)| seq).collect::<Vec<_>>(), expected);
            assert_eq!((&page["after"], &page["next"], &page["iat"]), (&json!(after), &json!(next), &json!(town.clock.now())));
            after = next;
        }
        for wrong in ["after=-1", "after=6", "after=x", "limit=0", "limit=501", "wait=31", "wait=-1", "since=1"] {
            let answer = officer.get(&format!("/api/v1/events?{wrong}")).await;
            assert_eq!(answer.problem(400), "invalid-request", "{wrong}");
        }
        assert_eq!(town.officer("reader").await.get("/api/v1/events").await.problem(403), "insufficient-scope");
        assert_eq!(town.get("/api/v1/events").await.problem(401), "invalid-token");
        for (accept, expected) in [
            ("*/*", "application/jwt"),
            ("application/json, application/jwt", "application/jwt"),
            ("application/jwt;q=0.5, application/json", "application/json"),
        ] {
            assert_eq!(accepting(&town, &officer.token, accept).await.header("content-type"), expected);
        }
    }
}

story! {
    async fn a_unit_is_told_of_its_own_cards_under_the_same_numbers(town) {
        town.hires(PERSON, "H26").await;
        town.hires(OTHER, "H27").await;
        let (nation, hanoi) = (town.officer("vneid").await, town.officer("hanoi").await);
        nation.offer(OTHER).await;
        let own = nation.offer(PERSON).await["card"].clone();
        let foreign = page(&nation, "after=0").await;
        nation.step(foreign["events"][0]["card"].as_str().unwrap(), "withdraw", "retired").await.expect(200);
        assert_eq!(told(&page(&nation, "after=0").await).len(), 3);
        let page = page(&hanoi, "after=0").await;
        assert_eq!(told(&page), [(2, "card.created")]);
        assert_eq!((&page["events"][0]["card"], &page["next"], &page["units"]), (&own, &json!(3), &json!(["H26"])));
        assert_eq!(foreign.get("units"), None);
    }
}

story! {
    async fn who_waits_is_told_at_once_whichever_process_wrote(town) {
        town.hires(PERSON, "H26").await;
        town.hires(OTHER, "H27").await;
        let other = town.second_process().await;
        let (here, there, hanoi) = (town.officer("vneid").await, other.officer("vneid").await, town.officer("hanoi").await);
        let waiting = "after=0&wait=20";
        let patience = Duration::from_secs(15);
        // One that is in this process, one in another, and one who is not concerned by the first event.
        let told_here = tokio::time::timeout(patience, async {
            let (one, two, _) = tokio::join!(page(&here, waiting), page(&there, waiting), here.offer(PERSON));
            [one, two]
        });
        for page in told_here.await.expect("sooner than the wait") {
            assert_eq!(told(&page), [(1, "card.created")]);
        }
        let told_hanoi = tokio::time::timeout(patience, async {
            let (page, _) = tokio::join!(page(&hanoi, "after=1&wait=20"), async {
                let card = there.offer(OTHER).await["card"].as_str().unwrap().to_owned();
                there.step(&card, "lock", "lost").await.expect(200);
                let card = there.offer(PERSON).await["card"].as_str().unwrap().to_owned();
                there.step(&card, "lock", "lost").await.expect(200)
            });
            page
        });
        assert_eq!(told(&told_hanoi.await.expect("sooner than the wait")), [(4, "card.locked")]);
        let nothing = page(&here, "after=4&wait=1").await;
        assert_eq!((&nothing["events"], &nothing["next"]), (&json!([]), &json!(4)));
    }
}

story! {
    async fn only_so_many_wait_at_a_time(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let mut waiting = futures_util::stream::FuturesUnordered::new();
        for _ in 0..129 {
            waiting.push(officer.get("/api/v1/events?after=0&wait=20"));
        }
        let refused = waiting.next().await.unwrap();
        assert_eq!(refused.header("retry-after"), "5");
        assert_eq!(refused.problem(503), "busy");
        let (told, _) = tokio::join!(waiting.collect::<Vec<_>>(), officer.offer(PERSON));
        assert_eq!(told.len(), 128);
        assert!(told.into_iter().all(|answer| answer.status == 200));
    }
}

story! {
    async fn numbers_have_no_gap_however_many_write(town) {
        let people: Vec<_> = (100..160).map(|at| format!("001199000{at}")).collect();
        town.hires_all(&people, "H26").await;
        let other = town.second_process().await;
        let officers = [town.officer("vneid").await, other.officer("vneid").await];
        let third = Store::open(&town.database_url).await.unwrap();
        let writing = join_all(people.iter().enumerate().map(|(at, person)| {
            let officer = &officers[at % 2];
            async move {
                let card = officer.offer(person).await["card"].as_str().unwrap().to_owned();
                officer.step(&card, "lock", "lost").await.expect(200);
                // Refused, in a group with others that are not.
                assert_eq!(officer.step(&card, "replace", "damaged").await.problem(409), "card-state");
                officer.step(&card, "unlock", "found").await.expect(200);
                officer.step(&card, "replace", "damaged").await.expect(201);
            }
        }));
        let all = people.len() * 5;
        // Whoever reads meanwhile never finds a number missing that comes later.
        let reading = async {
            let (mut seen, mut looks) = (Vec::new(), 0);
            while seen.len() < all {
                let page = third.events(number(seen.len()), None, 50, &EventFilter::default()).await.unwrap();
                for event in page.events {
                    assert_eq!(event.seq, number(seen.len() + 1), "after {looks} looks");
                    seen.push(event);
                }
                looks += 1;
            }
            seen
        };
        let (_, seen) = tokio::join!(writing, reading);
        assert_eq!(third.newest_event().await.unwrap(), number(all));
        // Each card's own events are in the order in which they happened.
        let cards: BTreeSet<_> = seen.iter().map(|event| event.what.card.clone()).collect();
        assert_eq!(cards.len(), 2 * people.len());
        for card in cards {
            let kinds: Vec<_> = seen.iter().filter(|event| event.what.card == card).map(|event| event.what.kind.word()).collect();
            assert!(
                kinds == ["card.created", "card.locked", "card.unlocked", "card.replaced"] || kinds == ["card.created"],
                "{kinds:?}"
            );
        }
    }
}

story! {
    async fn a_number_is_not_given_before_the_smaller_ones_are_there(town) {
        town.hires(PERSON, "H26").await;
        let officer = town.officer("vneid").await;
        let store = town.service.store();
        let pool = AnyPool::connect(&town.database_url).await.unwrap();
        // Another process has taken number 1 and has not written its event yet.
        let mut other = pool.begin().await.unwrap();
        sqlx::query("UPDATE event_counter SET last = last + 1").execute(&mut *other).await.unwrap();
        let committing = async {
            for _ in 0..300 {
                assert_eq!(store.newest_event().await.unwrap(), 0);
                assert!(store.events(0, None, 10, &EventFilter::default()).await.unwrap().events.is_empty());
            }
        sqlx::query(
            "INSERT INTO events (seq, at, kind, card, unit) VALUES (1, 0, 'card.created', 'AAAAAAAAAAAAAAAA', 'H27')",
        )
        .execute(&mut *other)
        .await
        .unwrap();
            other.commit().await.unwrap();
        };
        tokio::join!(officer.offer(PERSON), committing);
        assert_eq!(told(&page(&officer, "after=0").await), [(1, "card.created"), (2, "card.created")]);
    }
}

story! {
    async fn the_feed_is_never_changed(town) {
        town.hires(PERSON, "H26").await;
        town.officer("vneid").await.offer(PERSON).await;
        let pool = AnyPool::connect(&town.database_url).await.unwrap();
        for statement in ["UPDATE events SET at = 0", "DELETE FROM events"] {
            assert!(sqlx::query(statement).execute(&pool).await.is_err(), "{statement}");
        }
    }
}

story! {
    async fn the_feed_begins_with_the_cards_that_were_there_before_it(town) {
        // The tables of the first four migrations, with cards in them.
        let url = town.fresh_database("before").await;
        let folder = if url.starts_with("sqlite") { "migrations/sqlite" } else { "migrations/postgres" };
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let mut before = Migrator::new(folder.as_path()).await.unwrap();
        before.migrations.to_mut().retain(|migration| migration.version <= 4);
        let pool = AnyPool::connect(&url).await.unwrap();
        before.run(&pool).await.unwrap();
        for (handle, state, at, reason, by) in [
            ("AAAAAAAAAAAAAAAA", "withdrawn", 20, Some("transferred"), Some("BBBBBBBBBBBBBBBB")),
            ("BBBBBBBBBBBBBBBB", "locked", 30, Some("lost"), None),
            ("CCCCCCCCCCCCCCCC", "active", 15, None, None),
            ("DDDDDDDDDDDDDDDD", "expired", 40, None, None),
        ] {
            let created = if handle.starts_with('B') { 20 } else { 15 };
            sqlx::query(
                "INSERT INTO cards (handle, record_id, record_version, person, unit, facts, state, state_at, state_reason, \
                 created_at, valid_until, replaced_by) VALUES ($1, $1, 1, '', 'H26', '', $2, $3, $4, $5, 50, $6)",
            )
            .bind(handle).bind(state).bind(at).bind(reason).bind(created).bind(by)
            .execute(&pool).await.unwrap();
        }
        let store = Store::open(&url).await.unwrap();
        let page = store.events(0, None, 100, &EventFilter::default()).await.unwrap();
        let told: Vec<_> = page.events.iter().map(|event| {
            let other = event.what.other.as_ref().map_or("", |other| &other.as_str()[..1]);
            (event.seq, event.what.at, event.what.kind.word(), &event.what.card.as_str()[..1], other)
        }).collect();
        assert_eq!(told, [
            (1, 15, "card.created", "A", ""),
            (2, 15, "card.created", "C", ""),
            (3, 15, "card.created", "D", ""),
            (4, 20, "card.created", "B", "A"),
            (5, 20, "card.refreshed", "A", "B"),
            (6, 30, "card.locked", "B", ""),
            (7, 40, "card.expired", "D", ""),
        ]);
        assert_eq!(page.next, 7);
        let count = sqlx::query("SELECT last FROM event_counter").fetch_one(&pool).await.unwrap();
        assert_eq!(count.get::<i64, _>(0), 7);
    }
}
