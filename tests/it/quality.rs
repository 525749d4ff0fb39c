//! How good records are: a change makes exactly what depends on it be computed again, the counts follow, time alone does
//! too, and nobody sees more than is theirs.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use officials_card::flow::{Expects, Incoming, Says};
use officials_card::model::calendar::{self, DayKind};
use officials_card::model::id::{Handle, PersonalNumber};
use officials_card::model::origin::{Origin, Way};
use officials_card::model::patch::Patch;
use officials_card::model::quality::FlagSet;
use officials_card::model::record::RecordKey;
use officials_card::store::Confirmed;
use serde_json::{Value, json};
use time::macros::{date, datetime};

use crate::review::proposes;
use crate::story;
use crate::town::{NOW, Officer, Town};

/// Women of the last century, as the town hires them.
fn person(number: u32) -> String {
    format!("0011870{number:05}")
}

impl Town {
    /// Computes what there is to compute; returns how many records it was.
    pub async fn computes(&self) -> usize {
        let mut computed = 0;
        loop {
            let round = self.service.compute_quality().await.unwrap();
            computed += round.computed;
            if round.entries == 0 {
                return computed;
            }
        }
    }

    async fn handle_in(&self, unit: &str, number: u32) -> Handle {
        let key = RecordKey { unit: unit.into(), number: format!("N{}", person(number)) };
        self.service.store().record(&key).await.unwrap().unwrap().handle
    }

    async fn handle(&self, number: u32) -> Handle {
        let person = PersonalNumber::parse(&person(number)).unwrap();
        self.service.store().records_of(&person).await.unwrap().remove(0).handle
    }
}

/// `holds` of the four words, of all four, and `of`.
fn counts(answer: &Value) -> [i64; 6] {
    let score = |name: &str| answer["scores"][name]["holds"].as_i64().unwrap();
    let [correct, sufficient, clean, live, all] = ["correct", "sufficient", "clean", "live", "all"].map(score);
    assert_eq!(answer["scores"]["all"]["of"], answer["records"]);
    [correct, sufficient, clean, live, all, answer["records"].as_i64().unwrap()]
}

async fn scores(officer: &Officer<'_>, unit: &str) -> [i64; 6] {
    counts(&officer.get(&format!("/api/v1/quality?unit={unit}")).await.expect(200))
}

pub async fn causes(officer: &Officer<'_>, unit: &str) -> BTreeMap<String, i64> {
    let answer = officer.get(&format!("/api/v1/quality/causes?unit={unit}&limit=50")).await.expect(200);
    let items = answer["items"].as_array().unwrap().iter();
    items.map(|item| (item["flag"].as_str().unwrap().to_owned(), item["count"].as_i64().unwrap())).collect()
}

fn told(pairs: &[(&str, i64)]) -> BTreeMap<String, i64> {
    pairs.iter().map(|(flag, count)| ((*flag).to_owned(), *count)).collect()
}

async fn count(town: &Town, what: &str) -> i64 {
    let pool = sqlx::AnyPool::connect(&town.database_url).await.unwrap();
    let count = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {what}"))).fetch_one(&pool).await;
    pool.close().await;
    count.unwrap()
}

story! {
    async fn scores_follow_the_records_from_import_to_confirmation(town) {
        let units = vec![("H26.05".into(), "Sở Nội vụ".into()), ("H26.051".into(), "Sở khác".into())];
        town.service.store().save_units(units, "test", NOW).await.unwrap();
        let hanoi = town.stays("hanoi").await;
        let nothing = hanoi.get("/api/v1/quality?unit=H26").await.expect(200);
        assert_eq!((&nothing["records"], &nothing["scores"]["all"]["percent"]), (&json!(0), &Value::Null));
        assert_eq!(nothing["children"], json!({"items": [], "next": null}));

        town.imports(&person(1), "H26.05", "001", "active").await;
        town.imports(&person(2), "H26.051", "001", "active").await;
        town.imports(&person(3), "H26", "001", "active").await;
        let waiting = hanoi.get("/api/v1/quality?unit=H26").await.expect(200);
        assert_eq!((&waiting["pending"], &waiting["records"]), (&json!(3), &json!(0)));
        assert_eq!(town.computes().await, 3);
        assert_eq!(town.computes().await, 0, "nothing is left");
        assert_eq!(scores(&hanoi, "H26").await, [0, 3, 0, 3, 0, 3]);
        assert_eq!(causes(&hanoi, "H26").await, told(&[("not_matched", 3), ("not_confirmed", 3)]));

        town.matches().await;
        assert_eq!(town.computes().await, 3);
        assert_eq!(scores(&hanoi, "H26").await, [3, 3, 0, 3, 0, 3]);
        let confirm = async |unit: &str| hanoi.post("/api/v1/records/confirm", json!({"unit": unit})).await.expect(200);
        confirm("H26.05").await;
        assert_eq!(town.computes().await, 1, "one was confirmed, one is computed");
        let answer = hanoi.get("/api/v1/quality?unit=H26").await.expect(200);
        assert_eq!(counts(&answer), [3, 3, 1, 3, 1, 3]);
        assert_eq!(answer["name"], "Ủy ban nhân dân thành phố Hà Nội");
        assert_eq!(answer["scores"]["all"], json!({"holds": 1, "of": 3, "percent": 33.3}));
        let children = answer["children"]["items"].as_array().unwrap();
        assert_eq!(children.iter().map(|child| child["unit"].as_str().unwrap()).collect::<Vec<_>>(), ["H26.05", "H26.051"]);
        assert_eq!((counts(&children[0]), counts(&children[1])), ([1; 6], [1, 1, 0, 1, 0, 1]));
        assert_eq!(children[0]["name"], "Sở Nội vụ");
        let page = hanoi.get("/api/v1/quality?unit=H26&limit=1").await.expect(200);
        assert_eq!(page["children"]["next"], "H26.05");
        let page = hanoi.get("/api/v1/quality?unit=H26&limit=1&after=H26.05").await.expect(200);
        assert_eq!((&page["children"]["items"][0]["unit"], &page["children"]["next"]), (&json!("H26.051"), &Value::Null));

        // A new version starts again, and takes its place in the counts.
        town.imports(&person(1), "H26.05", "002", "active").await;
        assert_eq!(town.computes().await, 1);
        assert_eq!(scores(&hanoi, "H26.05").await, [1, 1, 0, 1, 0, 1]);
        assert_eq!(scores(&hanoi, "H26").await, [3, 3, 0, 3, 0, 3]);
        // Under another name she has to be matched again; taken back, she counts no more.
        town.imports_called("Trần Thị Khác", &person(1), &person(1), "H26.05", "002", "active").await;
        assert_eq!(town.computes().await, 1);
        assert_eq!(scores(&hanoi, "H26").await, [2, 3, 0, 3, 0, 3]);
        let origin = Origin { way: Way::Sync, reference: "t1".into(), actor: "hanoi".into() };
        let key = RecordKey { unit: "H26.05".into(), number: format!("N{}", person(1)) };
        town.service.remove_record(&origin, &key).await.unwrap();
        assert_eq!(town.computes().await, 1);
        assert_eq!(scores(&hanoi, "H26").await, [2, 2, 0, 2, 0, 2]);
        assert_eq!(causes(&hanoi, "H26").await, told(&[("not_confirmed", 2)]));
        let left = hanoi.get("/api/v1/quality?unit=H26").await.expect(200);
        assert_eq!(left["children"]["items"][0]["unit"], "H26.051");
    }
}

story! {
    async fn time_alone_changes_the_flags_and_the_days_are_kept(town) {
        town.imports(&person(1), "H26", "001", "active").await;
        let hanoi = town.stays("hanoi").await;
        town.computes().await;
        let at = |instant: time::OffsetDateTime| instant.unix_timestamp();
        // Sunday noon; overdue from Thursday on.
        town.clock.advance(at(datetime!(2026-11-25 23:59:59 +7)) - NOW);
        assert_eq!(town.computes().await, 0);
        town.clock.advance(1);
        assert_eq!(hanoi.get("/api/v1/quality?unit=H26").await.expect(200)["pending"], 1, "it is due");
        assert_eq!(town.computes().await, 1);
        let late = told(&[("not_matched", 1), ("not_confirmed", 1), ("confirmation_overdue", 1)]);
        assert_eq!(causes(&hanoi, "H26").await, late);
        town.matches_and_confirms("H26").await;
        assert_eq!(town.computes().await, 1);
        assert_eq!(scores(&hanoi, "H26").await, [1; 6]);
        // Nobody signs the month.
        town.clock.advance(at(datetime!(2026-12-01 00:00 +7)) - town.clock.now());
        assert_eq!(town.computes().await, 1);
        assert_eq!(causes(&hanoi, "H26").await, told(&[("not_signed", 1)]));
        assert_eq!(town.computes().await, 0);

        let history = hanoi.get("/api/v1/quality/history?unit=H26&from=2026-11-20").await.expect(200);
        let days: Vec<_> = history["items"].as_array().unwrap().iter().map(|day| (day["day"].as_str().unwrap(), counts(day))).collect();
        let (first, overdue, perfect, unsigned) = ([0, 1, 0, 1, 0, 1], [0, 1, 0, 0, 0, 1], [1; 6], [1, 1, 0, 1, 0, 1]);
        assert_eq!(days.len(), 10);
        assert_eq!(days[0], ("2026-11-22", first));
        assert_eq!(days[3], ("2026-11-25", first));
        assert_eq!((days[4], days[8], days[9]), (("2026-11-26", perfect), ("2026-11-30", perfect), ("2026-12-01", unsigned)));
        assert!(days.iter().all(|(_, counts)| *counts != overdue), "the last state of a day is kept");
        let answer = hanoi.get("/api/v1/quality?unit=H26").await.expect(200);
        assert_eq!((counts(&answer["previous_day"]), &answer["previous_day"]["day"]), (perfect, &json!("2026-11-30")));
        assert_eq!(answer["previous_month"]["day"], "2026-11-30");
        for wrong in ["from=2026-13-01", "from=x", "from=2020-01-01", "to=2026-2-1"] {
            assert_eq!(hanoi.get(&format!("/api/v1/quality/history?unit=H26&{wrong}")).await.problem(400), "invalid-request");
        }
        assert_eq!(hanoi.get("/api/v1/quality/history?unit=H26&from=2027-01-01").await.expect(200)["items"], json!([]));
    }
}

story! {
    async fn a_further_change_gives_no_more_time_for_the_one_before(town) {
        let hanoi = town.stays("hanoi").await;
        town.hires(&person(1), "H26").await;
        // Sunday noon, and three of the days after: the unit says nothing.
        for position in ["002", "003", "004", "005"] {
            town.imports(&person(1), "H26", position, "active").await;
            assert_eq!(town.computes().await, 1);
            assert_eq!(causes(&hanoi, "H26").await, told(&[("not_confirmed", 1)]));
            town.clock.advance(86_400);
        }
        let end = datetime!(2026-11-26 00:00 +7).unix_timestamp();
        assert!(town.clock.now() > end);
        assert_eq!(town.computes().await, 1);
        assert_eq!(causes(&hanoi, "H26").await, told(&[("not_confirmed", 1), ("confirmation_overdue", 1)]));
        let waiting = hanoi.get("/api/v1/confirmations?unit=H26").await.expect(200);
        assert_eq!(waiting["items"][0]["due_at"], end);
        // The unit's word ends it, and the next change has its own time.
        town.confirms("H26").await;
        town.imports(&person(1), "H26", "006", "active").await;
        assert_eq!(town.computes().await, 1);
        assert_eq!(causes(&hanoi, "H26").await, told(&[("not_confirmed", 1)]));
        // Nor does a change of the new month hide that the month before was never signed.
        town.clock.advance(datetime!(2026-12-01 09:00 +7).unix_timestamp() - town.clock.now());
        town.imports(&person(1), "H26", "007", "active").await;
        town.confirms("H26").await;
        town.computes().await;
        assert_eq!(causes(&hanoi, "H26").await, told(&[("not_signed", 1)]));
    }
}

story! {
    async fn a_second_record_of_a_person_is_held_against_both_until_it_ends(town) {
        let (vneid, hanoi) = (town.stays("vneid").await, town.stays("hanoi").await);
        town.hires(&person(1), "H26").await;
        town.hires(&person(2), "H26").await;
        town.computes().await;
        assert_eq!(causes(&vneid, "H26").await, told(&[]));
        // The same person comes to serve elsewhere.
        town.imports(&person(1), "G09", "001", "active").await;
        assert_eq!(town.computes().await, 2, "the new one, and the one that it meets");
        assert_eq!(causes(&vneid, "H26").await, told(&[("in_two_units", 1)]));
        assert_eq!(causes(&vneid, "G09").await["in_two_units"], 1);
        // Whoever opens one of the two reads it there.
        let record = vneid.get(&format!("/api/v1/records/{}", town.handle_in("H26", 1).await)).await.expect(200);
        let flags: Vec<_> = record["flags"].as_array().unwrap().iter().map(|flag| flag["message_en"].as_str().unwrap()).collect();
        assert_eq!(flags, ["the person serves in two units"]);
        // What changes nothing about person, unit and service concerns nobody else.
        town.matches().await;
        assert_eq!(town.computes().await, 1);
        // The first unit lets her go.
        town.imports(&person(1), "H26", "001", "resigned").await;
        assert_eq!(town.computes().await, 2);
        assert!(!causes(&vneid, "H26").await.contains_key("in_two_units"));
        assert!(!causes(&vneid, "G09").await.contains_key("in_two_units"));
        // Two numbers for one person in one unit.
        town.imports_as("77", &person(2), "H26", "001", "active").await;
        assert_eq!(town.computes().await, 2);
        assert_eq!(causes(&hanoi, "H26").await["duplicate"], 2);
        // The second is somebody else's after all.
        town.imports_as("77", &person(3), "H26", "001", "active").await;
        assert_eq!(town.computes().await, 2);
        assert!(!causes(&hanoi, "H26").await.contains_key("duplicate"));
    }
}

story! {
    async fn disputes_and_cards_under_review_are_held_against_the_record(town) {
        let vneid = town.stays("vneid").await;
        town.hires(&person(1), "H26").await;
        town.computes().await;
        let proposal = proposes(&town, &person(1), "p1", json!({"marital_status": "2"})).await;
        assert_eq!(town.computes().await, 1);
        assert_eq!(causes(&vneid, "H26").await, told(&[("open_discrepancy", 1)]));
        let herself = PersonalNumber::parse(&person(1)).unwrap();
        assert!(town.service.store().withdraw_proposal(&proposal, &herself, NOW).await.unwrap());
        assert_eq!(town.computes().await, 1);
        assert_eq!(causes(&vneid, "H26").await, told(&[]));

        let card = vneid.offer(&person(1)).await["card"].as_str().unwrap().to_owned();
        assert_eq!(town.computes().await, 0, "a card alone changes nothing");
        vneid.step(&card, "lock", "under_review").await.expect(200);
        assert_eq!(town.computes().await, 1);
        assert_eq!(causes(&vneid, "H26").await, told(&[("open_discrepancy", 1)]));
        vneid.step(&card, "unlock", "cleared").await.expect(200);
        assert_eq!(town.computes().await, 1);
        assert_eq!(causes(&vneid, "H26").await, told(&[]));

        // What waited for its day meets what others changed meanwhile: somebody has to decide.
        let day = date!(2026 - 12 - 01);
        let says = |position: &str| {
            let patch = json!({"position_title": {"old": "001", "new": position}}).to_string();
            Patch::parse(&patch).unwrap()
        };
        let stored = town.service.store().records_of(&herself).await.unwrap().remove(0);
        let waits = Incoming {
            record: says("002").apply(&stored.record).unwrap(),
            expects: Expects::Existing,
            effective_on: Some(day),
            confirmed_by: Some("test".into()),
            says: Says::Fields(["position_title".to_owned()].into()),
        };
        let origin = Origin { way: Way::Sync, reference: "t1".into(), actor: "hanoi".into() };
        town.service.receive(&origin, vec![waits]).await.unwrap();
        town.imports(&person(1), "H26", "003", "active").await;
        town.confirms("H26").await;
        town.computes().await;
        assert_eq!(causes(&vneid, "H26").await, told(&[]), "that it waits is no dispute");
        town.clock.advance(calendar::start_of(day) - town.clock.now());
        town.service.act_on_waiting().await.unwrap();
        town.computes().await;
        assert_eq!(causes(&vneid, "H26").await["open_discrepancy"], 1);
        let vneid = town.officer("vneid").await;
        let changes = vneid.get("/api/v1/changes?unit=H26").await.expect(200);
        let path = format!("/api/v1/changes/{}", changes["items"][0]["id"].as_str().unwrap());
        assert_eq!(vneid.call("DELETE", &path, Value::Null).await.status, 204);
        town.computes().await;
        assert!(!causes(&vneid, "H26").await.contains_key("open_discrepancy"));
    }
}

story! {
    async fn rows_are_paged_and_exported_and_names_are_for_those_who_may_read_them(town) {
        let town = town.configured(|config| {
            let blind = ["quality:read".to_owned()].to_vec();
            config.clients.push(officials_card::config::Client { name: "watch".into(), scopes: blind, ..Default::default() });
        });
        town.service.store().save_units(vec![("H26.05".into(), "Sở Nội vụ".into())], "test", NOW).await.unwrap();
        let people: Vec<_> = (1..=7).map(person).collect();
        town.hires_all(&people, "H26").await;
        town.imports(&person(8), "H26.05", "001", "active").await;
        town.imports(&person(9), "G09", "001", "active").await;
        town.computes().await;
        let (hanoi, watch) = (town.stays("hanoi").await, town.stays("watch").await);
        let cause = hanoi.get("/api/v1/quality/causes?unit=H26").await.expect(200)["items"][0].clone();
        assert_eq!((&cause["flag"], &cause["count"], &cause["of"], &cause["percent"]), (&json!("not_matched"), &json!(1), &json!(8), &json!(12.5)));
        let rows = hanoi.get(cause["rows"].as_str().unwrap()).await.expect(200);
        assert_eq!((rows["items"].as_array().unwrap().len(), &rows["next"]), (1, &Value::Null));
        let row = &rows["items"][0];
        assert_eq!((row["unit"].as_str(), row["number"].as_str()), (Some("H26.05"), Some("N001187000008")));
        assert_eq!((row["full_name"].as_str(), &row["flags"]), (Some("Nguyễn Thị Thử Nghiệm"), &json!(["not_matched", "not_confirmed"])));
        let blind = watch.get("/api/v1/quality/rows?unit=H26").await.expect(200);
        assert!(blind["items"][0].get("full_name").is_none(), "{blind}");
        let reads = town.service.store().history(row["record"].as_str().unwrap()).await.unwrap();
        let reads: Vec<_> = reads.iter().filter(|line| line.2 == "record.read").map(|line| (&*line.1, &*line.3)).collect();
        assert_eq!(reads, [("hanoi", "quality"), ("watch", "quality")], "whoever saw a name or a number is on the record");

        // Pages of two through what time does to everybody.
        town.clock.advance(100 * 86_400);
        town.computes().await;
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let page = watch.get(&format!("/api/v1/quality/rows?flag=not_signed&limit=2{after}")).await.expect(200);
            seen.extend(page["items"].as_array().unwrap().iter().map(|row| row["record"].as_str().unwrap().to_owned()));
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        assert_eq!(seen.len(), 9);
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 9, "each once");
        for wrong in ["flag=perhaps", "limit=0", "limit=501", "after=x", "after=H26~x", "unit=h26", "colour=red"] {
            assert_eq!(watch.get(&format!("/api/v1/quality/rows?{wrong}")).await.problem(400), "invalid-request", "{wrong}");
        }

        let csv = watch.get("/api/v1/quality/export.csv?unit=H26").await;
        let text = String::from_utf8(csv.bytes.to_vec()).unwrap();
        assert_eq!((csv.status.as_u16(), text.lines().count()), (200, 9));
        assert!(text.starts_with('\u{feff}') && !text.contains("Nguyễn"));
        assert!(csv.header("content-disposition").contains("quality.csv"));
        let xlsx = hanoi.get("/api/v1/quality/export.xlsx?unit=H26&flag=not_matched").await;
        assert!(xlsx.status.is_success() && xlsx.bytes.starts_with(b"PK"));
    }
}

story! {
    async fn an_export_that_is_refused_was_read_by_nobody(town) {
        town.imports(&person(1), "H26", "001", "active").await;
        town.computes().await;
        let (hanoi, record) = (town.stays("hanoi").await, town.handle(1).await);
        let reads = async || {
            let lines = town.service.store().history(record.as_str()).await.unwrap();
            lines.iter().filter(|line| (line.2.as_str(), line.3.as_str()) == ("record.read", "quality")).count()
        };
        let pool = sqlx::AnyPool::connect(&town.database_url).await.unwrap();
        // One more than a file has, all of the unit and all flagged.
        let more = officials_card::flow::MOST_EXPORTED;
        for statement in [
            format!(
                "INSERT INTO records (id, unit, number, version, digest, run, changed_at) \
                 WITH RECURSIVE places (at) AS (SELECT 1 UNION ALL SELECT at + 1 FROM places WHERE at < {more}) \
                 SELECT 'Z' || (100000000000000 + at), 'H26', 'X' || at, 1, '', '', 1 FROM places"
            ),
            "INSERT INTO record_versions (record, version, catalogue, content, run, line, at) \
             SELECT id, 1, '2023', '{}', '', 0, 1 FROM records WHERE number LIKE 'X%'".into(),
            "INSERT INTO quality (record, unit, serving, signed, version, flags, revision) \
             SELECT id, 'H26', 1, 0, 1, 1, 1 FROM records WHERE number LIKE 'X%'".into(),
        ] {
            sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&pool).await.unwrap();
        }
        pool.close().await;
        for form in ["xlsx", "csv"] {
            let refused = hanoi.get(&format!("/api/v1/quality/export.{form}?unit=H26")).await;
            assert_eq!(refused.problem(413), "too-much");
        }
        assert_eq!(reads().await, 0);
        let few = hanoi.get("/api/v1/quality/export.csv?unit=H26&flag=not_confirmed").await;
        assert_eq!((few.status.as_u16(), reads().await), (200, 1), "what is handed out is on the record");
    }
}

story! {
    async fn nobody_sees_more_than_their_units(town) {
        town.imports(&person(1), "G09", "001", "active").await;
        town.computes().await;
        let (vneid, hanoi, reader) = (town.stays("vneid").await, town.stays("hanoi").await, town.stays("reader").await);
        for path in ["quality", "quality/history", "quality/causes", "quality/rows", "quality/export.csv", "quality/export.xlsx", "approvals", "reports/2026-11.json", "reports/2026-11.xlsx"] {
            let ask = |unit: &str| format!("/api/v1/{path}{unit}");
            assert_eq!(town.get(&ask("?unit=H26")).await.problem(401), "invalid-token");
            assert_eq!(reader.get(&ask("?unit=H26")).await.problem(403), "insufficient-scope");
            assert_eq!(hanoi.get(&ask("")).await.problem(403), "foreign-unit", "the nation");
            assert_eq!(hanoi.get(&ask("?unit=G09")).await.problem(403), "foreign-unit");
            assert_eq!(hanoi.get(&ask("?unit=H2")).await.problem(403), "foreign-unit");
            assert_eq!(hanoi.get(&ask("?unit=H26")).await.status, 200);
            assert_eq!(vneid.get(&ask("")).await.status, 200, "{path}");
        }
        let nation = vneid.get("/api/v1/quality").await.expect(200);
        assert_eq!((&nation["unit"], &nation["records"], &nation["children"]["items"][0]["unit"]), (&Value::Null, &json!(1), &json!("G09")));
    }
}

story! {
    async fn two_processes_share_the_work_and_count_each_record_once(town) {
        let other = town.second_process().await;
        let people: Vec<_> = (1..=300).map(person).collect();
        town.hires_all(&people, "H26").await;
        let services = [&town.service, &other.service];
        let mut rounds = 0;
        while rounds < 50 {
            let done = join_all((0..4).map(|at| services[at % 2].compute_quality())).await;
            rounds += 1;
            if done.into_iter().all(|round| round.unwrap().entries == 0) {
                break;
            }
            // Something changes while they compute.
            if rounds == 1 {
                let service = town.service.store();
                let moved: Vec<_> = (1..=50).map(person).collect();
                join_all(moved.iter().map(|person| town.imports_called("Trần Thị Khác", person, person, "H26", "002", "active"))).await;
                service.confirm_records("H26", Confirmed::All, "test", NOW, NOW).await.unwrap();
            }
        }
        assert_eq!(town.computes().await, 0);
        let hanoi = town.stays("hanoi").await;
        assert_eq!(scores(&hanoi, "H26").await, [250, 300, 300, 300, 250, 300]);
        assert_eq!(causes(&hanoi, "H26").await, told(&[("not_matched", 50)]));
        assert_eq!((count(&town, "quality").await, count(&town, "quality_dirty").await), (300, 0));
    }
}

story! {
    async fn a_claim_that_nobody_honours_is_taken_over_and_a_late_computation_is_not_written(town) {
        town.imports(&person(1), "H26", "001", "active").await;
        let store = town.service.store();
        let claim = store.claim_quality("a".into(), 10, NOW, NOW + 60).await.unwrap().unwrap();
        assert_eq!(claim.entries, 1);
        let (records, neighbours) = store.claimed_records(&claim).await.unwrap();
        assert_eq!((records.len(), neighbours.len()), (1, 1));
        assert_eq!(town.computes().await, 0, "it is claimed");
        town.clock.advance(60);
        assert_eq!(town.computes().await, 1);
        // The first comes back after all: what it would count is counted.
        let late = records.into_iter().map(|dirty| officials_card::store::ComputedRecord {
            handle: dirty.handle,
            revision: dirty.revision,
            before: dirty.before,
            after: None,
        });
        let computed: Vec<_> = late.collect();
        // As if the record had looked otherwise to it.
        let after = officials_card::store::Counted {
            unit: "G09".into(), person: None, serving: true, signed: false, flags: FlagSet::default(),
        };
        let computed = computed.into_iter().map(|record| officials_card::store::ComputedRecord { after: Some((after.clone(), 1, None)), ..record });
        assert_eq!(store.write_quality(claim, computed.collect(), Vec::new(), date!(2026 - 11 - 22)).await.unwrap(), 0);
        let vneid = town.stays("vneid").await;
        assert_eq!((scores(&vneid, "H26").await[5], scores(&vneid, "G09").await[5]), (1, 0));
    }
}

story! {
    async fn loaded_holidays_move_what_is_overdue(town) {
        town.imports(&person(1), "H26", "001", "active").await;
        town.computes().await;
        let store = town.service.store();
        let days = calendar::read("day,kind,name_vi\n2026-11-24,off,Ngày Văn hóa Việt Nam\n");
        assert_eq!(days, [(date!(2026 - 11 - 24), DayKind::Off, "Ngày Văn hóa Việt Nam".to_owned())]);
        assert_eq!(store.save_holidays(days.clone(), "test", NOW).await.unwrap(), 1);
        assert_eq!(store.save_holidays(days, "test", NOW).await.unwrap(), 0);
        assert_eq!(town.computes().await, 1, "it awaits its confirmation");
        town.clock.advance(datetime!(2026-11-26 00:00 +7).unix_timestamp() - NOW);
        assert_eq!(town.computes().await, 0, "a day later than by the shipped calendar");
        town.clock.advance(86_400);
        assert_eq!(town.computes().await, 1);
        let hanoi = town.stays("hanoi").await;
        assert_eq!(causes(&hanoi, "H26").await["confirmation_overdue"], 1);
    }
}

story! {
    async fn the_report_of_a_month_says_what_was_then(town) {
        let (vneid, hanoi) = (town.stays("vneid").await, town.stays("hanoi").await);
        let units = vec![("H26.05".into(), "Sở Nội vụ".into())];
        town.service.store().save_units(units, "test", NOW).await.unwrap();
        town.hires(&person(1), "H26").await;
        town.imports(&person(2), "H26.05", "001", "active").await;
        town.computes().await;
        let card = vneid.offer(&person(1)).await["card"].as_str().unwrap().to_owned();
        town.clock.advance(10 * 86_400);
        vneid.step(&card, "withdraw", "resigned").await.expect(200);
        town.computes().await;
        let november = hanoi.get("/api/v1/reports/2026-11.json?unit=H26").await.expect(200);
        assert_eq!((&november["as_of"], &november["previous_month"]), (&json!("2026-11-30"), &Value::Null));
        assert_eq!(counts(&november), [1, 2, 1, 2, 1, 2]);
        assert_eq!((&november["cards_issued"], &november["cards_withdrawn"]), (&json!(1), &json!(0)));
        assert_eq!(november["confirmations_late"], 0);
        assert_eq!(november["approvals"], json!({"made": [], "missing": ["H26", "H26.05"]}));
        let december = hanoi.get("/api/v1/reports/2026-12.json?unit=H26").await.expect(200);
        assert_eq!((&december["as_of"], counts(&december["previous_month"])), (&json!("2026-12-02"), [1, 2, 1, 2, 1, 2]));
        assert_eq!(counts(&december), [1, 2, 0, 1, 0, 2]);
        assert_eq!((&december["cards_issued"], &december["cards_withdrawn"]), (&json!(0), &json!(1)));
        assert_eq!(december["confirmations_late"], 1);
        assert_eq!(december["causes"][0]["flag"], "not_signed");
        assert_eq!(december["units"][0]["unit"], "H26.05");
        assert_eq!(december["units"][0]["previous_month"]["live"]["holds"], 1);
        assert!(november["causes"].as_array().unwrap().iter().all(|cause| cause["flag"] != "not_signed"));
        let nation = vneid.get("/api/v1/reports/2026-12.json").await.expect(200);
        assert_eq!((&nation["units"][0]["unit"], &nation["cards_withdrawn"]), (&json!("H26"), &json!(1)));
        assert!(hanoi.get("/api/v1/reports/2026-12.xlsx?unit=H26").await.bytes.starts_with(b"PK"));
        // What a record took with it when its unit took it back is told by the unit as by the nation.
        town.hires(&person(3), "H26.05").await;
        vneid.offer(&person(3)).await;
        let origin = Origin { way: Way::Sync, reference: "t1".into(), actor: "hanoi".into() };
        let key = RecordKey { unit: "H26.05".into(), number: format!("N{}", person(3)) };
        town.service.remove_record(&origin, &key).await.unwrap();
        town.computes().await;
        for of in ["?unit=H26", "?unit=H26.05", ""] {
            let report = vneid.get(&format!("/api/v1/reports/2026-12.json{of}")).await.expect(200);
            let withdrawn = if of == "?unit=H26.05" { 1 } else { 2 };
            assert_eq!((&report["cards_issued"], &report["cards_withdrawn"]), (&json!(1), &json!(withdrawn)), "{of}");
        }
        for nothing in ["2027-01.json", "2026-13.json", "2026-12.pdf", "2026-12", "x.json"] {
            assert_eq!(hanoi.get(&format!("/api/v1/reports/{nothing}?unit=H26")).await.problem(404), "not-found", "{nothing}");
        }
    }
}
