//! The real server, killed by SIGKILL while it checks an upload and again while it writes one: the next process goes on, and
//! nothing is lost or doubled.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use sqlx::AnyPool;

use crate::story;
use crate::town::{Town, URL};
use crate::uploads::{csv, row};

const ROWS: u32 = 12_000;

/// A server on the town's database, keys and files, which takes up what waits.
fn start(town: &Town) -> Child {
    Command::new(env!("CARGO_BIN_EXE_officials-card"))
        .arg("serve")
        .env("OFFICIALS_CARD_DATABASE_URL", &town.database_url)
        .env("OFFICIALS_CARD_KEYS", Town::folder_of_keys())
        .env("OFFICIALS_CARD_DATA_DIR", &town.service.config.data_dir)
        .env("OFFICIALS_CARD_PUBLIC_URL", URL)
        .env("OFFICIALS_CARD_LISTEN", "127.0.0.1:0")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// State and last durable line.
async fn stands(pool: &AnyPool) -> (String, i64) {
    sqlx::query_as("SELECT state, line FROM uploads").fetch_one(pool).await.unwrap()
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(2)).await;
}

/// Kills a server in the middle of `state`, and has another one go on from there until that is over.
async fn killed_in(state: &str, town: &Town, pool: &AnyPool) {
    let mut first = start(town);
    loop {
        let (now, line) = stands(pool).await;
        assert_eq!(now, state, "too fast to be killed");
        assert!(first.try_wait().unwrap().is_none(), "the server ended");
        if line > 0 {
            break;
        }
        pause().await;
    }
    first.kill().unwrap();
    assert!(first.wait().unwrap().code().is_none());
    let (_, line) = stands(pool).await;
    assert!(line < i64::from(ROWS), "it was not done");
    // As if the time of the dead one's claim were over.
    sqlx::query("UPDATE uploads SET claimed_until = 0").execute(pool).await.unwrap();
    let mut second = start(town);
    while stands(pool).await.0 == state {
        assert!(second.try_wait().unwrap().is_none(), "the server ended");
        pause().await;
    }
    second.kill().unwrap();
    second.wait().unwrap();
}

story! {
    async fn an_upload_killed_while_it_is_checked_and_written_loses_and_doubles_nothing(town) {
        let idle = town.configured(|config| config.uploads.at_once = 0);
        let rows: Vec<_> = (1..=ROWS)
            .map(|number| row(number, if number % 1_000 == 7 { "Lỗi 7" } else { "Nguyễn Văn An" }, "H26"))
            .collect();
        let officer = idle.officer("hanoi").await;
        let begun = officer.upload("H26", csv(&rows)).await.expect(202);
        let id = begun["id"].as_str().unwrap();
        sqlx::any::install_default_drivers();
        let pool = AnyPool::connect(&town.database_url).await.unwrap();

        killed_in("checking", &town, &pool).await;
        // The servers went by the real time, by which the officer's token is over.
        let officer = idle.officer("hanoi").await;
        let checked = officer.get(&format!("/api/v1/uploads/{id}")).await.expect(200);
        let counts = &checked["counts"];
        assert_eq!((&checked["state"], &counts["new"], &counts["faults"]), (&json!("checked"), &json!(11_988), &json!(12)), "{checked}");
        let found: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM upload_rows").fetch_one(&pool).await.unwrap();
        assert_eq!(found, i64::from(ROWS));

        officer.post(&format!("/api/v1/uploads/{id}/submit"), json!({"only_good_rows": true})).await.expect(202);
        killed_in("submitting", &town, &pool).await;
        let officer = idle.officer("hanoi").await;
        let done = officer.get(&format!("/api/v1/uploads/{id}")).await.expect(200);
        let counts = &done["counts"];
        assert_eq!((&done["state"], &counts["written"], &counts["conflicts"]), (&json!("done"), &json!(11_988), &json!(0)), "{done}");
        for table in ["records", "record_versions"] {
            let count = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
            let found: i64 = sqlx::query_scalar(count).fetch_one(&pool).await.unwrap();
            assert_eq!(found, 11_988, "{table}");
        }
        pool.close().await;
    }
}
