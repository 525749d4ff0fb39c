//! Records as an office looks for them, and what was done and read, as those look at it who answer for it.

use officials_card::model::rights::Role;
use serde_json::{Value, json};

use crate::bureau::{Bureau, Desk};
use crate::story;
use crate::town::Town;
use crate::uploads::csv;

fn found(answer: &Value) -> Vec<&str> {
    answer["records"].as_array().unwrap().iter().map(|one| one["number"].as_str().unwrap()).collect()
}

/// Three people: two in one department, one of whom is below it, and one in another province.
async fn people(town: &Town) {
    let units = [("H26.05", "Sở Năm"), ("H26.05.01", "Phòng Một")];
    let units = units.map(|(code, name)| (code.to_owned(), name.to_owned())).to_vec();
    town.service.store().save_units(units, "test", town.clock.now()).await.unwrap();
    town.imports_called("Đỗ Thị Hòa", "1", "001199000018", "H26.05", "001", "active").await;
    town.imports_called("Trần Đức Hoà", "2", "001099000019", "H26.05.01", "001", "active").await;
    town.imports_called("Đỗ Thị Hòa", "3", "001199000020", "H29", "001", "active").await;
    assert!(!town.service.name_records().await.unwrap());
}

story! {
    async fn a_record_is_found_by_name_or_number_and_the_look_is_noted(town) {
        let bureau = Bureau::open(town).await;
        let town = &bureau.town;
        people(town).await;
        let id = bureau.enters("clerk", Role::Clerk, Some("H26")).await;
        let clerk = bureau.at_work("clerk").await;
        let search = async |body: Value| clerk.post("/api/v1/records/search", body).await;
        for (name, expected) in [
            ("do thi hoa", &["N1"][..]),
            ("HÒA", &["N1", "N2"]),
            ("hoa đỗ", &["N1"]),
            ("tran", &["N2"]),
            ("oa", &[]),
        ] {
            assert_eq!(found(&search(json!({"name": name})).await.expect(200)), expected, "{name}");
        }
        let answer = search(json!({"name": "hoa", "unit": "H26.05.01"})).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let answer = answer.expect(200);
        assert_eq!(found(&answer), ["N2"]);
        assert_eq!(answer["records"][0]["masked_personal_number"], "*********019");
        assert_eq!(found(&search(json!({"number": "N1"})).await.expect(200)), ["N1"]);
        assert_eq!(found(&search(json!({"personal_id_number": "001099000019"})).await.expect(200)), ["N2"]);
        // Of other units nothing is found, by whatever way.
        for foreign in [json!({"number": "N3"}), json!({"personal_id_number": "001199000020"})] {
            assert!(found(&search(foreign).await.expect(200)).is_empty());
        }
        assert_eq!(search(json!({"name": "hoa", "unit": "H29"})).await.problem(403), "foreign-unit");
        for wrong in [
            json!({}),
            json!({"name": "%"}),
            json!({"name": "a", "number": "N1"}),
            json!({"name": "x".repeat(201)}),
            json!({"number": "x".repeat(65)}),
            json!({"personal_id_number": "1"}),
        ] {
            assert_eq!(search(wrong).await.problem(400), "invalid-request");
        }
        let handle = search(json!({"number": "N1"})).await.expect(200)["records"][0]["handle"].clone();
        let told = town.service.store().history(handle.as_str().unwrap()).await.unwrap();
        let reads = told.iter().filter(|line| (&*line.1, &*line.2, &*line.3) == (&*id, "record.read", "search"));
        // Three names and twice the number.
        assert_eq!(reads.count(), 5);
        // The nation finds all; who may not read records finds nobody.
        bureau.enters("inspector", Role::Inspector, None).await;
        let all = bureau.at_work("inspector").await.post("/api/v1/records/search", json!({"name": "hoa"})).await.expect(200);
        let all = found(&all);
        assert!(all.len() == 3 && all[2] == "N2", "by name: {all:?}");
        bureau.enters("operator", Role::Operator, None).await;
        let operator = bureau.at_work("operator").await;
        assert_eq!(operator.post("/api/v1/records/search", json!({"name": "hoa"})).await.problem(403), "insufficient-scope");
    }
}

story! {
    async fn a_record_is_found_by_its_new_name_and_not_when_it_was_taken_back(town) {
        people(&town).await;
        let officer = town.officer("hanoi").await;
        let search = async |name: &str| officer.post("/api/v1/records/search", json!({"name": name})).await.expect(200);
        town.imports_called("Đỗ Thị Hạnh", "1", "001199000018", "H26.05", "002", "active").await;
        assert!(!town.service.name_records().await.unwrap());
        assert_eq!(found(&search("hanh").await), ["N1"]);
        assert!(found(&search("do thi hoa").await).is_empty());
        sqlx::any::install_default_drivers();
        let pool = sqlx::AnyPool::connect(&town.database_url).await.unwrap();
        sqlx::query("UPDATE records SET removed_at = 1 WHERE number = 'N1'").execute(&pool).await.unwrap();
        assert!(found(&search("hanh").await).is_empty());
    }
}

story! {
    async fn what_was_done_and_read_is_told_to_who_answers_for_the_unit(town) {
        let bureau = Bureau::open(town).await;
        let town = &bureau.town;
        people(town).await;
        bureau.enters_all("H26").await;
        bureau.enters("foreign", Role::Inspector, Some("H29")).await;
        let clerk = bureau.at_work("clerk").await;
        let sought = clerk.post("/api/v1/records/search", json!({"name": "hoa"})).await.expect(200);
        let record = sought["records"][0]["handle"].as_str().unwrap();
        clerk.get(&format!("/api/v1/records/{record}")).await.expect(200);
        let head = bureau.at_work("head").await;
        let told = head.get(&format!("/api/v1/audit?subject={record}&action=record.read")).await.expect(200);
        let lines: Vec<_> = told["items"].as_array().unwrap().iter().map(|one| (&one["actor"], &one["detail"])).collect();
        let actor = json!(clerk.id());
        assert_eq!(lines, [(&actor, &json!("view")), (&actor, &json!("search"))], "newest first");
        // Page by page: everything of the unit and below, nothing twice and nothing of others.
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let page = head.get(&format!("/api/v1/audit?limit=3{after}")).await.expect(200);
            seen.extend(page["items"].as_array().unwrap().clone());
            let Some(next) = page["next"].as_i64() else { break };
            after = format!("&after={next}");
        }
        let count = |action: &str| seen.iter().filter(|one| one["action"] == action).count();
        assert_eq!((count("record.read"), count("officer.added")), (3, 4), "{seen:?}");
        let foreign = bureau.at_work("foreign").await;
        let theirs = foreign.get("/api/v1/audit?limit=200").await.expect(200);
        assert!(!theirs.to_string().contains(record) && theirs["items"].as_array().unwrap().len() == 2, "{theirs}");
        assert_eq!(foreign.get(&format!("/api/v1/audit?subject={record}")).await.expect(200)["items"], json!([]));
        assert_eq!(foreign.get("/api/v1/audit?unit=H26").await.problem(403), "foreign-unit");
        assert_eq!(clerk.get("/api/v1/audit").await.problem(403), "insufficient-scope");
        for wrong in ["limit=0", "after=x", "subject=%00", "name=x"] {
            assert_eq!(head.get(&format!("/api/v1/audit?{wrong}")).await.problem(400), "invalid-request", "{wrong}");
        }
    }
}

async fn uploaded(desk: &Desk<'_>, rows: &[String]) -> String {
    let csrf = desk.session["csrf"].as_str().unwrap();
    let request = axum::http::Request::post("/api/v1/uploads?unit=H26")
        .header("x-csrf-token", csrf)
        .header("origin", crate::town::URL)
        .header("content-type", "text/csv");
    let begun = desk.browser.send(request, csv(rows)).await.expect(202);
    let id = begun["id"].as_str().unwrap().to_owned();
    desk.get(&format!("/api/v1/uploads/{id}/events")).await;
    id
}

story! {
    async fn whose_rows_were_looked_at_is_noted_with_faults_or_without_a_record(town) {
        let bureau = Bureau::open(town).await;
        let town = &bureau.town;
        town.imports_called("Đỗ Thị Hòa", "1", "001199000018", "H26", "001", "active").await;
        bureau.enters("clerk", Role::Clerk, Some("H26")).await;
        let clerk = bureau.at_work("clerk").await;
        let row = |number: &str, position: &str| {
            format!("{number},Đỗ Thị Hòa,H26,H26,001199000018,15/03/1999,{position},active,20200101")
        };
        // A row with a fault about a record that is there, and one about nobody's yet.
        let id = uploaded(&clerk, &[row("N1", "no such"), row("N2", "001").replace("000018", "000026")]).await;
        let rows = clerk.get(&format!("/api/v1/uploads/{id}/rows")).await.expect(200);
        assert_eq!(rows["items"][0]["outcome"], "faults", "{rows}");
        let store = town.service.store();
        let key = officials_card::model::record::RecordKey { unit: "H26".into(), number: "N1".into() };
        let record = store.record(&key).await.unwrap().unwrap().handle.to_string();
        let reads = async |subject: &str| -> Vec<String> {
            let lines = store.history(subject).await.unwrap();
            lines.into_iter().filter(|line| line.2 == "record.read" || line.2 == "upload.read").map(|line| line.3).collect()
        };
        assert_eq!(reads(&record).await, ["upload.compare"]);
        assert_eq!(reads(&id).await, ["upload.compare: 1 rows without a record"]);
        assert_eq!(clerk.get(&format!("/api/v1/uploads/{id}/rejects.csv")).await.status.as_u16(), 200);
        assert_eq!(reads(&record).await, ["upload.compare", "upload.rejects"]);
        // Who answers for the unit sees it, and which rights were lent there; others do not.
        for (name, unit) in [("head", "H26"), ("foreign", "H29")] {
            bureau.enters(name, Role::UnitHead, Some(unit)).await;
        }
        let head = bureau.at_work("head").await;
        let lent = json!({"to": clerk.id(), "unit": "H26", "days": 3});
        head.post("/api/v1/delegations", lent).await.expect(201);
        let foreign = bureau.at_work("foreign").await;
        for action in ["upload.read", "upload.begun", "delegation.given"] {
            let told = async |desk: &Desk<'_>| {
                let lines = desk.get(&format!("/api/v1/audit?action={action}")).await.expect(200);
                lines["items"].as_array().unwrap().len()
            };
            assert_eq!((told(&head).await, told(&foreign).await), (1, 0), "{action}");
        }
    }
}
