//! Records as a nation's database grows: how fast they come in from a file, how fast their quality is computed, and how
//! many calls of the Ministry's interface are answered in a second, at 10,000, 100,000 and 1 million records:
//!
//! ```text
//! tests/with-postgres.sh cargo bench --bench records            # up to a million
//! tests/with-postgres.sh cargo bench --bench records -- 100000  # up to a hundred thousand
//! ```
//!
//! Each figure stands beside a bare limit of the same run and database, and beside its share of it: rows of the same
//! length written twenty to a statement in transactions of ten thousand (a file), one row in a transaction of its own from
//! as many connections (a call), and the same records read as plain JSON (quality). PostgreSQL is that of
//! `OFFICIALS_CARD_TEST_POSTGRES`; without it only SQLite is measured.

#[allow(dead_code)]
mod office;
#[path = "../examples/personnel/person.rs"]
#[allow(dead_code)]
mod person;
mod scratch;
#[path = "../examples/personnel/words.rs"]
#[allow(dead_code)]
mod words;

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use officials_card::flow::import::{Format, ImportRequest, import};
use officials_card::flow::lists::import_units;
use officials_card::flow::sync::{NewSyncAccount, add_sync_account};
use officials_card::model::catalogue::Catalogue;
use officials_card::protocol::ministry::{Action, Dossier, LOGIN_PATHS, OPERATIONS_PATH, Operation, Packet};
use serde_json::{Map, Value, json};
use sqlx::AnyPool;
use sqlx::any::AnyPoolOptions;
use tokio::task::JoinSet;

use office::{Connection, Office, Result, UNIT, count, cpu_seconds, fresh_database, text};
use person::{COLUMNS, Person, Town};
use scratch::Scratch;

/// Records in the database when it is measured.
const SIZES: [usize; 3] = [10_000, 100_000, 1_000_000];
/// Systems that send at the same time, and for how long.
const SENDERS: usize = 16;
const TIME: Duration = Duration::from_secs(5);
/// Rows of the bare limits.
const BARE_ROWS: usize = 100_000;
const PASSWORD: &str = "a password of the bench";

#[tokio::main]
async fn main() -> Result<()> {
    // `cargo bench` adds `--bench`.
    let most = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(usize::MAX);
    let folder = Scratch::new("bench-records");
    let sqlite = |name: &str| format!("sqlite://{}", folder.path().join(name).display());
    println!("records: {} columns a person, no portraits; shares are of the bare limit", COLUMNS.len());
    println!(
        "{:10} {:>9} | {:>9} {:>6} | {:>9} {:>6} | {:>8} {:>6} {:>7} {:>7} {:>7}",
        "database",
        "records",
        "import/s",
        "share",
        "quality/s",
        "share",
        "calls/s",
        "share",
        "CPU ms",
        "p50 ms",
        "p99 ms"
    );
    let databases = (sqlite("records.db"), format!("{}?mode=rwc", sqlite("bare.db")));
    measure("SQLite", &folder.path().join("sqlite"), databases, most).await?;
    if let Ok(url) = std::env::var("OFFICIALS_CARD_TEST_POSTGRES") {
        let databases = (fresh_database(&url, "records").await?, fresh_database(&url, "bare").await?);
        measure("PostgreSQL", &folder.path().join("postgres"), databases, most).await?;
    } else {
        println!("PostgreSQL is left out: OFFICIALS_CARD_TEST_POSTGRES is not set");
    }
    Ok(())
}

/// Everything on one database, which grows.
async fn measure(name: &str, folder: &Path, (database, bare): (String, String), most: usize) -> Result<()> {
    let office = Office::open(folder, database).await?;
    let service = &office.service;
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/sample/units.csv");
    import_units(service.store(), &units, "bench", service.clock.now()).await?;
    let account = NewSyncAccount { name: "bench".into(), unit: UNIT.into(), confirms: false };
    add_sync_account(service.store(), &service.clock, &service.chance, account, Some(PASSWORD.into()), "bench").await?;

    let bare = Bare::measure(&bare).await?;
    let (town, mut there) = (Town::new(1), 0);
    for size in SIZES.into_iter().filter(|size| *size <= most) {
        let file = folder.join(format!("personnel-{size}.csv"));
        write_people(&file, &town, there..size)?;
        let request = ImportRequest {
            rejects: file.with_extension("rejects.csv"),
            file: file.clone(),
            format: Format::Csv,
            dry_run: false,
            actor: "bench".into(),
        };
        let started = Instant::now();
        let summary = import(service.store(), &service.clock, &service.chance, request, |_| {}).await?;
        let imported = count(size - there) / started.elapsed().as_secs_f64();
        assert_eq!(summary.new, (size - there) as u64, "everybody is new: {summary:?}");
        std::fs::remove_file(file)?;
        there = size;

        let (started, mut computed) = (Instant::now(), 0);
        loop {
            let round = service.compute_quality().await?;
            computed += round.computed;
            if round.entries == 0 {
                break;
            }
        }
        let quality = count(computed) / started.elapsed().as_secs_f64();
        let calls = call(&office, folder, &town, there).await?;
        println!(
            "{name:10} {size:>9} | {imported:>9.0} {:>6.2} | {quality:>9.0} {:>6.2} | {:>8.0} {:>6.2} {:>7.3} {:>7.2} {:>7.2}",
            imported / bare.rows,
            quality / bare.read,
            calls.rate,
            calls.rate / bare.commits,
            calls.cpu_ms,
            calls.median_ms,
            calls.slow_ms,
        );
    }
    println!(
        "{name:10} bare: {:.0} rows/s, {:.0} records read as JSON/s, {:.0} commits/s by {SENDERS}",
        bare.rows, bare.read, bare.commits
    );
    Ok(())
}

/// A personnel file.
fn write_people(file: &Path, town: &Town, numbers: std::ops::Range<usize>) -> Result<()> {
    let mut writer = csv::Writer::from_writer(BufWriter::with_capacity(1 << 20, File::create(file)?));
    writer.write_record(COLUMNS)?;
    for number in numbers {
        writer.write_record(person(town, number).cells)?;
    }
    Ok(writer.flush()?)
}

fn person(town: &Town, number: usize) -> Person {
    let number = number as u64 + 1;
    town.person(number, &mut town.dice(number), String::new())
}

/// How calls went.
struct Calls {
    rate: f64,
    cpu_ms: f64,
    median_ms: f64,
    slow_ms: f64,
}

/// Lets systems change one person's telephone number in every call.
async fn call(office: &Office, folder: &Path, town: &Town, people: usize) -> Result<Calls> {
    let server = office.serve(folder, "").await?;
    let mut connection = Connection::open(server.address).await?;
    let login = json!({"username": "bench", "password": PASSWORD}).to_string();
    let json_type = "Content-Type: application/json\r\n";
    let answer = connection.send("POST", LOGIN_PATHS[0], json_type, &login).await?;
    let headers = format!("{json_type}Authorization: Bearer {}\r\n", text(&answer, "/access_token")?);

    let own = (0..people).map(|number| person(town, number)).filter(|person| person.cells[0].starts_with(UNIT));
    let dossiers: Vec<_> = own.map(|person| dossier(&person)).collect();
    let turn = Arc::new(AtomicUsize::new(0));
    let (started, cpu) = (Instant::now(), cpu_seconds(server.process.id())?);
    let deadline = started + TIME;
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        // Everybody has people of their own.
        let mut own: Vec<_> = dossiers.iter().skip(sender).step_by(SENDERS).cloned().collect();
        let (turn, headers) = (Arc::clone(&turn), headers.clone());
        let mut connection = Connection::open(server.address).await?;
        let path = format!("{OPERATIONS_PATH}{}", Operation::Whole.word());
        senders.spawn(async move {
            let mut latencies = Vec::new();
            for at in (0..own.len()).cycle() {
                let phone = format!("09{:08}", turn.fetch_add(1, Ordering::Relaxed) + 10_000_000);
                own[at].content.insert("phone_number".into(), phone.into());
                let packet = Packet {
                    org_code: UNIT.into(),
                    sender: UNIT.into(),
                    action: Action::Edit,
                    dossiers: vec![own[at].clone()],
                    ignored: Vec::new(),
                };
                let body = packet.write(Catalogue::current()).to_string();
                let asked = Instant::now();
                let answer = connection.send("POST", &path, &headers, &body).await?;
                latencies.push(asked.elapsed());
                if answer["err_code"] != 0 {
                    return Err(format!("a call was refused: {answer}").into());
                }
                if Instant::now() > deadline {
                    break;
                }
            }
            Ok(latencies)
        });
    }
    let mut latencies = Vec::new();
    for sent in senders.join_all().await {
        let sent: Result<Vec<Duration>> = sent;
        latencies.extend(sent?);
    }
    let seconds = started.elapsed().as_secs_f64();
    let cpu = cpu_seconds(server.process.id())? - cpu;
    latencies.sort_unstable();
    let at = |share: usize| latencies[(latencies.len() - 1) * share / 100].as_secs_f64() * 1e3;
    let calls = count(latencies.len());
    Ok(Calls { rate: calls / seconds, cpu_ms: cpu * 1e3 / calls, median_ms: at(50), slow_ms: at(99) })
}

/// A person as a unit's system sends them: all cells but those of lists.
fn dossier(person: &Person) -> Dossier {
    let cells = COLUMNS.iter().zip(&person.cells).filter(|(name, cell)| !name.ends_with(']') && !cell.is_empty());
    let mut content: Map<String, Value> = cells
        .filter(|(name, _)| !["agency_personnel_number", "family_members"].contains(*name))
        .map(|(name, cell)| ((*name).to_owned(), cell.as_str().into()))
        .collect();
    content.remove("portrait_photo");
    Dossier { number: person.cells[0].clone(), effective_on: None, content }
}

/// What the database and the processor give without us.
struct Bare {
    rows: f64,
    read: f64,
    commits: f64,
}

impl Bare {
    async fn measure(url: &str) -> Result<Self> {
        sqlx::any::install_default_drivers();
        let durable = |connection: &mut sqlx::AnyConnection| {
            let is_sqlite = connection.backend_name() == "SQLite";
            (is_sqlite, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 10000")
        };
        let pool = AnyPoolOptions::new()
            .max_connections(SENDERS.try_into()?)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if let (true, settings) = durable(connection) {
                        sqlx::raw_sql(settings).execute(connection).await?;
                    }
                    Ok(())
                })
            })
            .connect(url)
            .await?;
        sqlx::raw_sql("CREATE TABLE bare (id BIGINT PRIMARY KEY, content TEXT NOT NULL)").execute(&pool).await?;
        // As long as what a record comes to.
        let members = dossier(&person(&Town::new(1), 1)).content;
        let content = Value::Object(members).to_string();
        let rows = Self::rows(&pool, &content).await?;

        let started = Instant::now();
        for _ in 0..BARE_ROWS {
            std::hint::black_box(serde_json::from_str::<Value>(std::hint::black_box(&content))?);
        }
        let read = count(BARE_ROWS) / started.elapsed().as_secs_f64();
        Ok(Self { rows, read, commits: Self::commits(&pool, &content).await? })
    }

    async fn rows(pool: &AnyPool, content: &str) -> Result<f64> {
        let numbers: Vec<_> = (0..i64::try_from(BARE_ROWS)?).collect();
        let places: Vec<_> = (0..20).map(|row| format!("(${}, ${})", row * 2 + 1, row * 2 + 2)).collect();
        let statement = format!("INSERT INTO bare (id, content) VALUES {}", places.join(", "));
        let started = Instant::now();
        for thousands in numbers.chunks(10_000) {
            let mut transaction = pool.begin().await?;
            for twenty in thousands.chunks_exact(20) {
                let query = sqlx::query(sqlx::AssertSqlSafe(statement.as_str()));
                let query = twenty.iter().fold(query, |query, number| query.bind(*number).bind(content));
                query.execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
        }
        Ok(count(BARE_ROWS) / started.elapsed().as_secs_f64())
    }

    async fn commits(pool: &AnyPool, content: &str) -> Result<f64> {
        let (started, turn) = (Instant::now(), Arc::new(AtomicUsize::new(BARE_ROWS)));
        let mut writers = JoinSet::new();
        for _ in 0..SENDERS {
            let (pool, turn, content) = (pool.clone(), Arc::clone(&turn), content.to_owned());
            writers.spawn(async move {
                let mut written = 0;
                while started.elapsed() < TIME / 2 {
                    let id = i64::try_from(turn.fetch_add(1, Ordering::Relaxed))?;
                    let query = sqlx::query("INSERT INTO bare (id, content) VALUES ($1, $2)").bind(id).bind(&content);
                    query.execute(&pool).await?;
                    written += 1;
                }
                Ok::<usize, Box<dyn std::error::Error + Send + Sync>>(written)
            });
        }
        let mut written = 0;
        for one in writers.join_all().await {
            written += one?;
        }
        Ok(count(written) / started.elapsed().as_secs_f64())
    }
}
