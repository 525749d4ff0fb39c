//! Complete issuances, as many wallets at once would ask for them, from the real program over TCP on both databases:
//!
//! ```text
//! POST /api/v1/offers → GET /offers/{id} → POST /token → POST /nonce → POST /credential
//! ```
//!
//! Every flow is for a person without a card: it makes the card, the offer, the token and the credential, in three
//! durable transactions. The server is a process of its own, so that its processor time per card can be told from that
//! of the wallets here (and from PostgreSQL's, which is in neither). Beside it: how fast records come in, how fast offers
//! are made in bulk, and how long it takes to withdraw all cards of a unit.
//!
//! PostgreSQL is that of `OFFICIALS_CARD_TEST_POSTGRES`; without it only SQLite is measured.

mod scratch;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream::{self, StreamExt};
use officials_card::chance::Chance;
use officials_card::clock::Clock;
use officials_card::config::{Client, Config, RateLimits, Secret};
use officials_card::credential::{Signer, jws, proof};
use officials_card::flow::enroll::{Asker, confirm, match_pending};
use officials_card::flow::import::{Format, ImportRequest, import};
use officials_card::flow::{Caller, Service};
use officials_card::http::{BulkBounds, bulk_answers};
use officials_card::keyring::{self, FileKey, Keyring};
use officials_card::model::card::Selector;
use officials_card::model::card::{Reason, Step};
use officials_card::model::person::{NameParts, PopulationPerson, PopulationQuery};
use officials_card::model::unit::UnitCode;
use officials_card::remote::population::{PopulationRegistry, Unreachable};
use officials_card::store::{Confirmed, Store};
use serde_json::{Value, json};
use sqlx::ConnectOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use scratch::Scratch;

type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// Wallets at once.
const LEVELS: [usize; 3] = [1, 16, 64];
/// Most flows of one level, and its longest time.
const FLOWS: usize = 10_000;
const TIME: Duration = Duration::from_secs(6);
/// Flows of each level before it counts.
const WARM_UP: usize = 200;
/// Enough people for every flow to have one without a card.
const PEOPLE: usize = LEVELS.len() * (FLOWS + WARM_UP);

/// Where all people work.
const UNIT: &str = "H26";
const CLIENT: &str = "vneid";

#[tokio::main]
async fn main() -> Result<()> {
    println!(
        "{:10} {:>7} {:>8} {:>14} {:>14} {:>8} {:>8}",
        "database", "wallets", "flows/s", "server CPU ms", "wallet CPU ms", "p50 ms", "p99 ms"
    );
    let folder = Scratch::new("bench-issuance");
    measure("SQLite", &folder, format!("sqlite://{}", folder.path().join("cards.db").display())).await?;
    if let Ok(url) = std::env::var("OFFICIALS_CARD_TEST_POSTGRES") {
        measure("PostgreSQL", &folder, fresh_database(&url).await?).await?;
    } else {
        println!("PostgreSQL is left out: OFFICIALS_CARD_TEST_POSTGRES is not set");
    }
    Ok(())
}

/// All measurements on one database.
async fn measure(name: &str, folder: &Scratch, database_url: String) -> Result<()> {
    let folder = folder.path().join(name);
    let office = Office::open(&folder, database_url).await?;
    let records_per_second = office.enroll(&folder).await?;
    let token = office.service.mint_token(CLIENT, 3600).await?;

    let server = office.serve(&folder).await?;
    let mut first = 0;
    for wallets in LEVELS {
        let load = Load { server: server.address, token: token.clone(), next: AtomicUsize::new(first) };
        let load = Arc::new(load);
        run(&load, wallets, first + WARM_UP, TIME).await?;
        let from = (Instant::now(), cpu_seconds(server.process.id())?, cpu_seconds(std::process::id())?);
        load.next.store(first + WARM_UP, Ordering::Relaxed);
        let mut latencies = run(&load, wallets, first + WARM_UP + FLOWS, TIME).await?;
        let seconds = from.0.elapsed().as_secs_f64();
        let server_seconds = cpu_seconds(server.process.id())? - from.1;
        let own_seconds = cpu_seconds(std::process::id())? - from.2;
        latencies.sort_unstable();
        let flows = count(latencies.len());
        let at = |share: usize| latencies[(latencies.len() - 1) * share / 100].as_secs_f64() * 1e3;
        println!(
            "{name:10} {wallets:>7} {:>8.0} {:>14.3} {:>14.3} {:>8.2} {:>8.2}",
            flows / seconds,
            server_seconds * 1e3 / flows,
            own_seconds * 1e3 / flows,
            at(50),
            at(99),
        );
        first += WARM_UP + FLOWS;
    }
    drop(server);

    println!("{name}: {:.0} offers/s in bulk", office.offer_in_bulk(&folder, WARM_UP).await?);

    let started = Instant::now();
    let operator = Caller::operator("bench");
    let unit = Selector::Unit(UnitCode::parse(UNIT).expect("a unit code"));
    let moved = office.service.move_cards(&operator, unit, Step::Withdraw, Reason::Transferred).await?;
    println!(
        "{name}: {records_per_second:.0} records/s imported; {} cards of a unit ({} credentials) withdrawn in {:.0} ms",
        moved.cards.len(),
        moved.credentials,
        started.elapsed().as_secs_f64() * 1e3
    );
    Ok(())
}

/// An issuing office: a deployment with its keys and people.
struct Office {
    service: Service,
}

impl Office {
    async fn open(folder: &Path, database_url: String) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let chance = Chance::system();
        let keys = folder.join("keys");
        keyring::init(&keys, None, "http://127.0.0.1", &chance, Clock::system().now() - 3600)?;
        let listen = free_address()?.to_string();
        let config = Config {
            public_url: format!("http://{listen}"),
            listen,
            database_url: Secret::new(database_url),
            clients: vec![Client { name: CLIENT.into(), scopes: vec!["offers:create".into()], ..Client::default() }],
            keys,
            rate_limits: RateLimits::OFF,
            ..Config::default()
        };
        let store = Store::open(config.database_url.expose()).await?;
        let keys = Keyring::open(&config.keys, None)?;
        Ok(Self { service: Service::new(config, Clock::system(), chance, store, keys) })
    }

    /// Imports, matches and confirms everybody. Returns the imported records per second.
    async fn enroll(&self, folder: &Path) -> Result<f64> {
        let (service, file) = (&self.service, folder.join("personnel.csv"));
        std::fs::write(&file, personnel())?;
        let request = ImportRequest {
            rejects: file.with_extension("rejects.csv"),
            file,
            format: Format::Csv,
            dry_run: false,
            actor: "bench".into(),
        };
        let started = Instant::now();
        let summary = import(service.store(), &service.clock, &service.chance, request, |_| {}).await?;
        let seconds = started.elapsed().as_secs_f64();
        assert_eq!(summary.rejected, 0, "the generated rows are sound");
        let asker = Asker { officer: "bench".into(), purpose: "bench".into(), pause_seconds: 0 };
        match_pending(service.store(), &service.clock, &Agreeing, &asker, |_| {}).await?;
        confirm(service.store(), &service.clock, UNIT, Confirmed::All, "bench").await?;
        Ok(count(PEOPLE) / seconds)
    }

    /// How many offers a second one bulk call makes, for people who have their cards.
    async fn offer_in_bulk(&self, folder: &Path, people: usize) -> Result<f64> {
        let lines = (0..FLOWS).fold(String::new(), |mut lines, at| {
            let person = personal_number(at % people);
            let key = format!("{} {at}", folder.display());
            let line = json!({"personal_id_number": person, "assurance_level": 2, "idempotency_key": key});
            // Writing to a string cannot fail.
            let _ = writeln!(lines, "{line}");
            lines
        });
        let chunks: Vec<_> =
            lines.into_bytes().chunks(1 << 16).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec().into())).collect();
        let bounds = BulkBounds { lines: u64::MAX, bytes: usize::MAX };
        let started = Instant::now();
        let answers = bulk_answers(self.service.clone(), Caller::operator("bench"), stream::iter(chunks), bounds);
        let refused = answers.filter(|answer| std::future::ready(answer.is_problem())).count().await;
        if refused > 0 {
            return Err(format!("{refused} offers were refused").into());
        }
        Ok(count(FLOWS) / started.elapsed().as_secs_f64())
    }

    /// Starts the program on this deployment and waits until it is ready.
    async fn serve(&self, folder: &Path) -> Result<Server> {
        let settings = &self.service.config;
        let file: PathBuf = folder.join("officials-card.toml");
        std::fs::write(
            &file,
            format!(
                "[rate_limits]\naddress_per_minute = 0\naddress_documents_per_minute = 0\nclient_per_minute = 0\n\
                 person_per_hour = 0\n[[clients]]\nname = '{CLIENT}'\nscopes = ['offers:create']\n"
            ),
        )?;
        let process = Command::new(env!("CARGO_BIN_EXE_officials-card"))
            .args(["serve", "--config"])
            .arg(file)
            .env("OFFICIALS_CARD_LISTEN", &settings.listen)
            .env("OFFICIALS_CARD_PUBLIC_URL", &settings.public_url)
            .env("OFFICIALS_CARD_DATABASE_URL", settings.database_url.expose())
            .env("OFFICIALS_CARD_KEYS", &settings.keys)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let server = Server { process, address: settings.listen.parse()? };
        for _ in 0..200 {
            if let Ok(mut connection) = Connection::open(server.address).await
                && connection.send("GET", "/ready", "", "").await.is_ok()
            {
                return Ok(server);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err("the server is not ready after ten seconds".into())
    }
}

/// The program, serving.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What all wallets share.
struct Load {
    server: SocketAddr,
    token: String,
    next: AtomicUsize,
}

/// Lets wallets run flows for the people up to `end`, or until the time is over. Returns how long each flow took.
async fn run(load: &Arc<Load>, wallets: usize, end: usize, time: Duration) -> Result<Vec<Duration>> {
    let deadline = Instant::now() + time;
    let mut tasks = JoinSet::new();
    for _ in 0..wallets {
        let load = Arc::clone(load);
        let mut wallet = Wallet::new(&load).await?;
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            while Instant::now() < deadline {
                let person = load.next.fetch_add(1, Ordering::Relaxed);
                if person >= end {
                    break;
                }
                let started = Instant::now();
                wallet.obtain_card(&load.token, person).await?;
                latencies.push(started.elapsed());
            }
            Ok(latencies)
        });
    }
    tasks.join_all().await.into_iter().try_fold(Vec::new(), |mut all, latencies: Result<Vec<_>>| {
        all.extend(latencies?);
        Ok(all)
    })
}

/// A wallet with its key and its connection.
struct Wallet {
    connection: Connection,
    key: FileKey,
    proof_header: String,
    issuer: String,
}

impl Wallet {
    async fn new(load: &Load) -> Result<Self> {
        let key = FileKey::new(&keyring::fresh_p256_jwk()?, Vec::new())?;
        let proof_header = jws::header(&key, proof::TYPE, json!({"jwk": key.public_key().to_jwk()}));
        let issuer = format!("http://{}", load.server);
        Ok(Self { connection: Connection::open(load.server).await?, key, proof_header, issuer })
    }

    /// One flow, from the backend's request for an offer to the card in the wallet.
    async fn obtain_card(&mut self, backend_token: &str, person: usize) -> Result<()> {
        const JSON: &str = "application/json";
        const FORM: &str = "application/x-www-form-urlencoded";
        const GRANT: &str = "urn:ietf:params:oauth:grant-type:pre-authorized_code";
        let backend = format!("Authorization: Bearer {backend_token}\r\nContent-Type: {JSON}\r\n");
        let body = json!({"personal_id_number": personal_number(person), "assurance_level": 2}).to_string();
        let offer = self.connection.send("POST", "/api/v1/offers", &backend, &body).await?;
        let tx_code = text(&offer, "/tx_code")?;

        let path = text(&offer, "/credential_offer_uri")?.strip_prefix(&self.issuer).ok_or("foreign offer")?;
        let offer = self.connection.send("GET", path, "", "").await?;
        let code = text(&offer, &format!("/grants/{GRANT}/pre-authorized_code"))?;

        let body = format!("grant_type={}&pre-authorized_code={code}&tx_code={tx_code}", GRANT.replace(':', "%3A"));
        let token = self.connection.send("POST", "/token", &format!("Content-Type: {FORM}\r\n"), &body).await?;
        let token = text(&token, "/access_token")?;

        let nonce = self.connection.send("POST", "/nonce", "", "").await?;
        let claims = json!({"aud": self.issuer, "iat": Clock::system().now(), "nonce": text(&nonce, "/c_nonce")?});
        let proof = jws::sign(&self.key, &self.proof_header, claims.to_string().as_bytes())?;
        let request = json!({"credential_configuration_id": "official-card-sdjwt", "proofs": {"jwt": [proof]}});
        let headers = format!("Authorization: Bearer {token}\r\nContent-Type: {JSON}\r\n");
        let card = self.connection.send("POST", "/credential", &headers, &request.to_string()).await?;
        text(&card, "/credentials/0/credential").map(|_| ())
    }
}

/// A kept connection that speaks as much HTTP/1.1 as is needed here: a wallet costs next to nothing.
struct Connection {
    stream: TcpStream,
    host: String,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(server: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, host: server.to_string(), buffer: Vec::new() })
    }

    /// Sends a request and gives the JSON of a successful answer.
    async fn send(&mut self, method: &str, path: &str, headers: &str, body: &str) -> Result<Value> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            self.host,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        let (start, length) = loop {
            if let Some(head) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break (head + 4, content_length(std::str::from_utf8(&self.buffer[..head])?)?);
            }
            self.read().await?;
        };
        while self.buffer.len() < start + length {
            self.read().await?;
        }
        let body = &self.buffer[start..start + length];
        if !self.buffer.starts_with(b"HTTP/1.1 20") {
            return Err(format!("{method} {path}: {}", String::from_utf8_lossy(body)).into());
        }
        Ok(serde_json::from_slice(body)?)
    }

    async fn read(&mut self) -> Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 { Err("the server hung up".into()) } else { Ok(()) }
    }
}

fn content_length(head: &str) -> Result<usize> {
    let value = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then_some(value.trim())
    });
    Ok(value.ok_or("the answer has no length")?.parse()?)
}

fn text<'a>(answer: &'a Value, pointer: &str) -> Result<&'a str> {
    answer.pointer(pointer).and_then(Value::as_str).ok_or_else(|| format!("{pointer} is missing: {answer}").into())
}

/// A personnel file: everybody has a name and number of their own and a portrait of some 900 bytes.
fn personnel() -> String {
    let mut rows = String::from(
        "agency_personnel_number,record_type,full_name,gender,date_of_birth,personal_id_number,portrait_photo,\
         managing_unit_code,using_unit_code,position_title,employment_status,employment_status_date\n",
    );
    for person in 0..PEOPLE {
        let number = personal_number(person);
        let mut portrait = vec![0xff, 0xd8, 0xff, 0xe0];
        portrait.extend(number.bytes().cycle().take(900));
        portrait.extend([0xff, 0xd9]);
        let portrait = STANDARD.encode(portrait);
        let _ = writeln!(
            rows,
            "N{number},01,Nguyễn Thị Thử Nghiệm,2,19870502,{number},{portrait},{UNIT},{UNIT},001,active,20200101"
        );
    }
    rows
}

/// A woman born in Hà Nội in 1987.
fn personal_number(person: usize) -> String {
    format!("001187{person:06}")
}

/// A population database that knows everybody just as the unit says.
struct Agreeing;

impl PopulationRegistry for Agreeing {
    async fn look_up(&self, query: &PopulationQuery) -> Result<Option<PopulationPerson>, Unreachable> {
        Ok(Some(PopulationPerson {
            personal_number: query.personal_number.clone(),
            name: NameParts { given: query.full_name.clone(), ..NameParts::default() },
            date_of_birth: query.date_of_birth,
            sex: None,
        }))
    }
}

fn free_address() -> Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// A database of our own in the given cluster.
async fn fresh_database(url: &str) -> Result<String> {
    sqlx::any::install_default_drivers();
    let name = format!("bench_{}", std::process::id());
    let mut connection = sqlx::any::AnyConnectOptions::from_str(url)?.connect().await?;
    sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await?;
    Ok(url.replacen("/postgres?", &format!("/{name}?"), 1))
}

/// Processor time of a process, user and system, from `/proc`; a tick is a hundredth of a second (proc(5)).
fn cpu_seconds(process: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, after_name) = stat.rsplit_once(')').ok_or("stat is malformed")?;
    let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
    Ok(f64::from(ticks.sum::<Result<u32, _>>()?) / 100.0)
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
