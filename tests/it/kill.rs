//! The real program, killed by SIGKILL in the middle of an import, several times: the next runs complete it, and what is
//! in the database is what a run leaves that nobody disturbed.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sqlx::{AnyPool, Row};

use crate::story;
use crate::town::{Ground, Town};

const ROWS: u32 = 30_000;

/// Some rows are faulty, some come twice the same and some twice otherwise.
fn file() -> String {
    let mut text =
        "agency_personnel_number,full_name,managing_unit_code,using_unit_code,personal_id_number,portrait_photo\n"
            .to_owned();
    for at in 0..ROWS {
        let (number, name) = match at % 1_000 {
            996 => (at, "Lỗi 7"),
            997 => (at - 1_000.min(at), "Nguyễn Văn Hai"),
            998 => (at - 500, "Nguyễn Văn Một"),
            _ => (at, "Nguyễn Văn Một"),
        };
        writeln!(text, "{number},{name},H26,H26,0010870{number:05},/9j/4AD/2Q==").unwrap();
    }
    text
}

fn start(town: &Town, file: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_officials-card"))
        .args(["records", "import"])
        .arg(file)
        .env("OFFICIALS_CARD_DATABASE_URL", &town.database_url)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What the program says at its end.
fn finish(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// The last line that is durable.
async fn line(pool: &AnyPool) -> i64 {
    let line = sqlx::query_scalar("SELECT line FROM import_runs").fetch_optional(pool).await.unwrap();
    line.unwrap_or_default()
}

/// Everything that an import leaves, but for names and instants.
async fn left(pool: &AnyPool) -> Vec<String> {
    let mut left = Vec::new();
    for (statement, columns) in [
        (
            "SELECT records.unit || ' ' || records.number || ' ' || records.digest || ' ' || records.run, records.version, \
             record_versions.version, record_versions.line FROM records \
             JOIN record_versions ON record_versions.record = records.id ORDER BY 1",
            4,
        ),
        (
            "SELECT file, line, new_count, changed_count, unchanged_count FROM import_runs WHERE finished_at IS NOT NULL",
            5,
        ),
        ("SELECT sha256 FROM portraits", 1),
    ] {
        let rows = sqlx::query(statement).fetch_all(pool).await.unwrap();
        left.extend(rows.iter().map(|row| {
            let numbers = (1..columns).map(|at| row.get::<i64, _>(at).to_string()).collect::<Vec<_>>();
            format!("{} {}", row.get::<String, _>(0), numbers.join(" "))
        }));
    }
    left.sort_unstable();
    left
}

async fn pool(town: &Town) -> AnyPool {
    sqlx::any::install_default_drivers();
    AnyPool::connect(&town.database_url).await.unwrap()
}

story! {
    async fn an_import_killed_again_and_again_loses_and_doubles_nothing(town) {
        let file = town.file("personnel.csv", file());
        let calm = Town::on(if town.database_url.starts_with("sqlite") { Ground::Sqlite } else { Ground::Postgres }).await;
        let undisturbed = finish(start(&calm, &file));

        let pool_of_town = pool(&town).await;
        let mut killed = 0;
        // Before the first batch is durable, then at some points of progress; a little later each time.
        for (from, later_ms) in [(0, 30), (1, 0), (8_000, 7), (15_000, 23), (22_000, 50)] {
            let mut child = start(&town, &file);
            while child.try_wait().unwrap().is_none() && line(&pool_of_town).await < from {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            tokio::time::sleep(Duration::from_millis(later_ms)).await;
            child.kill().unwrap();
            killed += u32::from(child.wait().unwrap().code().is_none());
        }
        assert!(killed >= 3, "too fast to be killed: {killed}");
        let completed = finish(start(&town, &file));

        let last = |said: &str| said.lines().find(|line| line.starts_with("Mới ")).unwrap().to_owned();
        assert_eq!(last(&completed), last(&undisturbed));
        assert!(completed.starts_with("Tiếp tục"), "{completed}");
        let left = left(&pool_of_town).await;
        assert_eq!(left, self::left(&pool(&calm).await).await);
    }
}
