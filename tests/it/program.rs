//! The program itself, as scripts call it: what it says, where it writes, and how it ends.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::records::full_line;
use crate::story;
use crate::town::{Town, URL};

const PERSON: &str = "001199000018";
const OTHER: &str = "001199000026";
const HEADER: &str = "agency_personnel_number,full_name,managing_unit_code,using_unit_code";

/// What the program said on standard output and standard error.
async fn said(town: &Town, arguments: &[&str]) -> (String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_officials-card"))
        .args(arguments)
        .env("OFFICIALS_CARD_DATABASE_URL", &town.database_url)
        .env("OFFICIALS_CARD_KEYS", Town::folder_of_keys())
        .env("OFFICIALS_CARD_PUBLIC_URL", URL)
        .output()
        .await
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{out}{err}");
    (out, err)
}

fn path(file: &Path) -> &str {
    file.to_str().unwrap()
}

story! {
    async fn an_import_says_what_it_did_and_how_long_it_still_takes(town) {
        let rows: Vec<_> = (1..=20_000).map(|number| format!("{number},Nguyễn Văn An,H26,H26\n")).collect();
        let rows = rows.concat();
        let file = town.file("people.csv", format!("{HEADER}\n{rows}20001,Lỗi 1,H26,H26\n"));
        let (out, err) = said(&town, &["records", "import", path(&file), "--dry-run"]).await;
        assert!(out.contains("dry run, nothing written") && out.contains("new 20000, changed 0, unchanged 0, rejected 1"), "{out}");
        // Now and then a line: rows, share of the file, rows a second, and what is left.
        let told: Vec<_> = err.lines().filter(|line| line.contains("dòng/rows")).collect();
        assert!(told.len() >= 3, "{err}");
        for line in &told {
            let parts: Vec<_> = line.split(", ").collect();
            assert!(parts.len() == 4 && parts[1].ends_with('%') && parts[2].ends_with("/s"), "{line}");
            let rate: f64 = parts[2].trim_end_matches("/s").parse().unwrap();
            let left = parts[3].strip_prefix("còn/left ").unwrap().strip_suffix(" s").unwrap();
            assert!(rate > 0.0 && left.parse::<f64>().unwrap() >= 0.0, "{line}");
        }
        let rejects = file.with_file_name("people.csv.rejects.csv");
        assert!(out.contains(path(&rejects)), "{out}");
        assert!(std::fs::read_to_string(&rejects).unwrap().contains("Lỗi 1"), "its own name, beside the file");

        let (out, _) = said(&town, &["records", "import", path(&file)]).await;
        assert!(out.contains("new 20000, changed 0, unchanged 0, rejected 1") && !out.contains("nothing changed"), "{out}");
        // Rows that are faulty do not make a change.
        let (out, _) = said(&town, &["records", "import", path(&file)]).await;
        assert!(out.contains("new 0, changed 0, unchanged 20000, rejected 1") && out.contains("nothing changed"), "{out}");
    }
}

story! {
    async fn a_form_is_named_where_the_file_does_not_tell(town) {
        let file = town.file("people.txt", full_line(1));
        let (out, _) = said(&town, &["records", "import", path(&file), "--format", "ndjson"]).await;
        assert!(out.contains("new 1, changed 0"), "{out}");
        // Somebody updates what they know, and the rest of the record stays.
        let contact = town.file("contact.csv", format!("{HEADER},phone_number\n1,Nguyễn Văn An,H26,H26,0900000002\n"));
        let (out, _) = said(&town, &["records", "import", path(&contact)]).await;
        assert!(out.contains("new 0, changed 1"), "{out}");
        let key = officials_card::model::record::RecordKey { unit: "H26".into(), number: "1".into() };
        let record = town.service.store().record(&key).await.unwrap().unwrap().record;
        assert_eq!((record.text("phone_number"), record.text("email")), (Some("0900000002"), Some("an@mau.example")));
        assert_eq!((record.entries("DS_QUATRINH_CONGTAC").len(), record.text("employment_status")), (5, Some("suspended")));
    }
}

story! {
    async fn cards_are_locked_and_given_back_one_by_one_by_person_and_by_unit(town) {
        for (person, unit) in [(PERSON, "H26"), (OTHER, "H29")] {
            town.hires(person, unit).await;
        }
        let officer = town.officer("vneid").await;
        let card = officer.offer(PERSON).await["card"].as_str().unwrap().to_owned();
        let other = officer.offer(OTHER).await["card"].as_str().unwrap().to_owned();
        let moved = async |step: &str, whose: [&str; 2], reason: &str| {
            let (out, _) = said(&town, &["card", step, whose[0], whose[1], "--reason", reason]).await;
            serde_json::from_str::<Value>(&out).unwrap()["cards"].clone()
        };
        let states = async || {
            let mut states = Vec::new();
            for card in [&card, &other] {
                states.push(officer.get(&format!("/api/v1/cards/{card}")).await.expect(200)["state"].clone());
            }
            states
        };
        for whose in [["--card", card.as_str()], ["--person", PERSON], ["--unit", "H26"]] {
            assert_eq!(moved("lock", whose, "lost").await, json!([card]), "{whose:?}");
            assert_eq!(states().await, ["locked", "active"]);
            assert_eq!(moved("unlock", whose, "found").await, json!([card]), "{whose:?}");
            assert_eq!(states().await, ["active", "active"]);
        }
        let svg = town.file("badge.svg", "");
        let (out, _) = said(&town, &["badge", "--card", &card, "--svg", path(&svg)]).await;
        assert_eq!(out.trim(), path(&svg));
        let drawn = std::fs::read_to_string(&svg).unwrap();
        assert!(drawn.contains("<svg") && drawn.contains("</svg>") && !drawn.contains(PERSON));
    }
}

story! {
    async fn logs_name_the_request_and_never_the_person(town) {
        town.hires(PERSON, "H26").await;
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut server = Command::new(env!("CARGO_BIN_EXE_officials-card"))
            .arg("serve")
            .env("OFFICIALS_CARD_DATABASE_URL", &town.database_url)
            .env("OFFICIALS_CARD_KEYS", Town::folder_of_keys())
            .env("OFFICIALS_CARD_PUBLIC_URL", URL)
            .env("OFFICIALS_CARD_LISTEN", address.to_string())
            .env("OFFICIALS_CARD_LOG_FORMAT", "json")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut out = BufReader::new(server.stdout.take().unwrap()).lines();
        let mut err = BufReader::new(server.stderr.take().unwrap()).lines();
        let mut lines = Vec::new();
        let mut until = async |what: &str| {
            loop {
                let line = tokio::select! {
                    Ok(Some(line)) = out.next_line() => line,
                    Ok(Some(line)) = err.next_line() => line,
                    else => panic!("the server ended"),
                };
                assert!(!line.contains(PERSON), "{line}");
                let line: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
                let is_it = line.to_string().contains(what);
                lines.push(line);
                if is_it {
                    break;
                }
            }
        };
        until("serving").await;
        let client = reqwest::Client::new();
        let url = format!("http://{address}");
        for (at, request) in [
            client.get(format!("{url}/api/v1/people/{PERSON}")),
            client.get(format!("{url}/health?person={PERSON}")),
            client.post(format!("{url}/token")).body(format!("grant_type=x&client_id={PERSON}")),
            client.post(format!("{url}/api/v1/offers")).json(&json!({"personal_id_number": PERSON, "assurance_level": 2})),
        ]
        .into_iter()
        .enumerate()
        {
            let id = format!("request-{at}.seven");
            let answer = request.header("x-request-id", &id).send().await.unwrap();
            assert_eq!(answer.headers()["x-request-id"], *id);
            until(&id).await;
        }
        server.kill().await.unwrap();
    }
}
