//! Cards as an office looks for them, and the sheets of badges that it prints; `tests/interop/test_office.py` reads
//! those with other people's programs.

use serde_json::{Value, json};

use crate::bureau::Bureau;
use crate::story;
use crate::town::Town;

use officials_card::model::rights::Role;

async fn card_of(town: &Town, person: &str) -> String {
    town.officer("vneid").await.offer(person).await["card"].as_str().unwrap().to_owned()
}

fn cards(page: &Value) -> Vec<&str> {
    let list = page.get("items").or_else(|| page.get("cards")).unwrap();
    list.as_array().unwrap().iter().map(|one| one["card"].as_str().unwrap()).collect()
}

story! {
    async fn cards_are_listed_by_unit_and_state_page_by_page(town) {
        let bureau = Bureau::open(town).await;
        let town = &bureau.town;
        let people = ["001199000018", "001199000019", "001199000020"];
        let mut own = Vec::new();
        for person in people {
            town.hires(person, "H26").await;
            town.clock.advance(1);
            own.insert(0, card_of(town, person).await);
        }
        town.hires("001199000021", "H29").await;
        let foreign = card_of(town, "001199000021").await;
        bureau.enters_all("H26").await;
        let clerk = bureau.at_work("clerk").await;
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let page = clerk.get(&format!("/api/v1/cards?limit=2{after}")).await.expect(200);
            seen.extend(cards(&page).into_iter().map(str::to_owned));
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(seen, own, "newest first, and nothing of others");
        let page = clerk.get("/api/v1/cards").await;
        assert_eq!(page.header("cache-control"), "no-store");
        let page = page.expect(200);
        let first = &page["items"][0];
        assert_eq!((&first["name"], &first["unit"]), (&json!("Nguyễn Thị Thử Nghiệm"), &json!("H26")));
        assert_eq!(first["card_number_masked"], "H26.*********020.CC");
        assert!(!page.to_string().contains("001199000020"));
        // By state, as it is now.
        let confirmer = bureau.at_work("confirmer").await;
        let lock = format!("/api/v1/cards/{}/lock", own[0]);
        confirmer.post(&lock, json!({"reason": "under_review"})).await.expect(200);
        let withdraw = format!("/api/v1/cards/{}/withdraw", own[1]);
        confirmer.post(&withdraw, json!({"reason": "lost"})).await.expect(200);
        for (state, expected) in
            [("locked", &own[..1]), ("withdrawn", &own[1..2]), ("active", &own[2..]), ("expired", &[])]
        {
            let page = clerk.get(&format!("/api/v1/cards?state={state}")).await.expect(200);
            assert_eq!(cards(&page), expected, "{state}");
        }
        assert_eq!(clerk.get("/api/v1/cards?unit=H29").await.problem(403), "foreign-unit");
        for wrong in ["limit=0", "limit=201", "state=x", "after=x", "name=x"] {
            assert_eq!(clerk.get(&format!("/api/v1/cards?{wrong}")).await.problem(400), "invalid-request");
        }
        let all = town.officer("reader").await.get("/api/v1/cards?unit=H29").await.expect(200);
        assert_eq!(cards(&all), [foreign.as_str()]);
        // Whose term is over is expired, noted or not.
        town.clock.advance(6 * 365 * 86_400);
        let reader = town.officer("reader").await;
        let expired = reader.get("/api/v1/cards?state=expired").await.expect(200);
        assert_eq!(cards(&expired).len(), 3);
        assert_eq!(cards(&reader.get("/api/v1/cards?state=active").await.expect(200)).len(), 0);
    }
}

story! {
    async fn a_card_is_found_by_its_name_or_number_and_the_look_is_noted(town) {
        let bureau = Bureau::open(town).await;
        let town = &bureau.town;
        town.hires("001199000018", "H26").await;
        town.hires("001199000019", "H29").await;
        let (own, _foreign) = (card_of(town, "001199000018").await, card_of(town, "001199000019").await);
        let id = bureau.enters("inspector", Role::Inspector, Some("H26")).await;
        let inspector = bureau.at_work("inspector").await;
        let search = |body: Value| inspector.post("/api/v1/cards/search", body);
        for name in ["nguyen thi thu nghiem", "THỬ NGHIỆM", "  thu   ng", "Nguyễn"] {
            let found = search(json!({"name": name})).await.expect(200);
            assert_eq!(cards(&found), [own.as_str()], "{name}");
        }
        for name in ["tran", "guyen", "%", "thu%nghiem x"] {
            let answer = search(json!({"name": name})).await;
            let found = if name == "%" { answer.expect(400) } else { answer.expect(200) };
            assert!(name == "%" || cards(&found).is_empty(), "{name}: {found}");
        }
        assert_eq!(cards(&search(json!({"name": "nghiem", "unit": "H26"})).await.expect(200)).len(), 1);
        assert_eq!(search(json!({"name": "nghiem", "unit": "H29"})).await.problem(403), "foreign-unit");
        let found = search(json!({"number": "H26.001199000018.CC"})).await.expect(200);
        assert_eq!(cards(&found), [own.as_str()]);
        for number in ["H29.001199000019.CC", "H26.001199000018.VC"] {
            assert!(cards(&search(json!({"number": number})).await.expect(200)).is_empty(), "{number}");
        }
        for wrong in [
            json!({}),
            json!({"number": "H26"}),
            json!({"name": "a", "number": "H26.001199000018.CC"}),
            json!({"personal_id_number": "001199000018", "unit": "H26"}),
            json!({"name": "x".repeat(201)}),
        ] {
            assert_eq!(search(wrong).await.problem(400), "invalid-request");
        }
        let record = search(json!({"personal_id_number": "001199000018"})).await.expect(200)["cards"][0]["record"].clone();
        // Whoever opens it sees whose it is, too.
        let opened = inspector.get(&format!("/api/v1/cards/{own}")).await;
        assert_eq!(opened.header("cache-control"), "no-store");
        let opened = opened.expect(200);
        assert_eq!((&opened["name"], &opened["record"]), (&json!("Nguyễn Thị Thử Nghiệm"), &record));
        assert_eq!(opened["history"][0]["action"], "card.created");
        let told = town.service.store().history(record.as_str().unwrap()).await.unwrap();
        let reads = told.iter().filter(|line| (line.1.as_str(), line.2.as_str(), line.3.as_str()) == (&*id, "record.read", "cards"));
        // Four names, one in the unit, one number, one person, the card itself.
        assert_eq!(reads.count(), 8);
    }
}

story! {
    async fn cards_of_before_are_made_findable(town) {
        town.hires("001199000018", "H26").await;
        let card = card_of(&town, "001199000018").await;
        sqlx::any::install_default_drivers();
        let pool = sqlx::AnyPool::connect(&town.database_url).await.unwrap();
        sqlx::query("UPDATE cards SET search_name = ''").execute(&pool).await.unwrap();
        let reader = town.officer("reader").await;
        let search = json!({"name": "nghiem"});
        assert!(cards(&reader.post("/api/v1/cards/search", search.clone()).await.expect(200)).is_empty());
        assert!(!town.service.name_cards().await.unwrap());
        assert_eq!(cards(&reader.post("/api/v1/cards/search", search).await.expect(200)), [card.as_str()]);
    }
}

story! {
    async fn badges_are_printed_for_cards_in_force_of_ones_own_unit(town) {
        let bureau = Bureau::open(town).await;
        let town = &bureau.town;
        let people: Vec<_> = (0..13).map(|number| format!("0011990000{}", 20 + number)).collect();
        town.hires_all(&people, "H26").await;
        let mut own = Vec::new();
        for person in &people {
            own.push(card_of(town, person).await);
        }
        town.hires("001199000019", "H29").await;
        let foreign = card_of(town, "001199000019").await;
        bureau.enters_all("H26").await;
        let clerk = bureau.at_work("clerk").await;
        let print = |body: Value| clerk.post("/api/v1/badges/sheet.pdf", body);
        let sheet = print(json!({"unit": "H26"})).await;
        assert_eq!(sheet.status.as_u16(), 200, "{}", String::from_utf8_lossy(&sheet.bytes));
        assert_eq!((sheet.header("content-type"), sheet.header("cache-control")), ("application/pdf", "private, no-store"));
        assert!(sheet.bytes.starts_with(b"%PDF-") && sheet.bytes.len() > 20_000);
        let two = print(json!({"cards": [own[0], own[1]]})).await;
        assert!(two.status.as_u16() == 200 && two.bytes.len() < sheet.bytes.len());
        // Printed again it is the same code: nothing new was issued.
        let history = |card: String| async move {
            clerk_history(town, &card).await.iter().filter(|line| line["action"] == "credential.issued").count()
        };
        let issued = history(own[0].clone()).await;
        print(json!({"cards": [own[0]]})).await;
        assert_eq!(history(own[0].clone()).await, issued);
        for (wrong, status, problem) in [
            (json!({}), 400, "invalid-request"),
            (json!({"unit": "H26", "cards": [own[0]]}), 400, "invalid-request"),
            (json!({"unit": "hanoi"}), 400, "invalid-request"),
            (json!({"unit": "H29"}), 403, "foreign-unit"),
            (json!({"cards": []}), 413, "too-much"),
            (json!({"cards": vec![own[0].clone(); 501]}), 413, "too-much"),
            (json!({"cards": [own[0], foreign]}), 404, "not-found"),
            (json!({"cards": ["0000000000000000"]}), 404, "not-found"),
        ] {
            assert_eq!(print(wrong).await.problem(status), problem);
        }
        let withdraw = format!("/api/v1/cards/{}/withdraw", own[3]);
        bureau.at_work("confirmer").await.post(&withdraw, json!({"reason": "lost"})).await.expect(200);
        assert_eq!(print(json!({"cards": [own[2], own[3]]})).await.problem(409), "card-state");
        assert_eq!(print(json!({"unit": "H26"})).await.status.as_u16(), 200, "the rest of the unit");
        let inspector = bureau.at_work("inspector").await;
        assert_eq!(
            inspector.post("/api/v1/badges/sheet.pdf", json!({"unit": "H26"})).await.problem(403),
            "insufficient-scope"
        );
    }
}

async fn clerk_history(town: &Town, card: &str) -> Vec<Value> {
    let found = town.officer("reader").await.get(&format!("/api/v1/cards/{card}")).await.expect(200);
    found["history"].as_array().unwrap().clone()
}
