//! An issuing office for the benchmarks: a deployment of its own with people in it, the real program serving it in a process
//! of its own, so that its processor time can be told from that of the wallets here (and from PostgreSQL's, which is in
//! neither), and wallets that take their cards over TCP.

mod http;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use officials_card::chance::Chance;
use officials_card::clock::Clock;
use officials_card::config::{Client, Config, RateLimits, Secret};
use officials_card::credential::{Signer, jws, proof};
use officials_card::flow::Service;
use officials_card::flow::enroll::{Asker, confirm, match_pending};
use officials_card::flow::import::{Format, ImportRequest, import};
use officials_card::keyring::{self, FileKey, Keyring};
use officials_card::model::person::{AskedNumber, NameParts, PopulationPerson, PopulationQuery};
use officials_card::remote::population::{PopulationRegistry, Unreachable};
use officials_card::store::{Confirmed, Store};
use serde_json::{Value, json};
use sqlx::ConnectOptions;

pub use http::Connection;

/// Whatever goes wrong ends a benchmark.
pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// Where all people work.
pub const UNIT: &str = "H26";
/// The program that asks for offers and presentations.
pub const CLIENT: &str = "vneid";
const SCOPES: [&str; 3] = ["offers:create", "presentations:create", "presentations:read"];

/// An issuing office: a deployment with its keys and people.
pub struct Office {
    /// Its own access to the database.
    pub service: Service,
}

impl Office {
    /// With fresh keys, on an empty database.
    pub async fn open(folder: &Path, database_url: String) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let chance = Chance::system();
        let keys = folder.join("keys");
        keyring::init(&keys, None, "http://127.0.0.1", &chance, Clock::system().now() - 3600)?;
        let listen = free_address()?.to_string();
        let config = Config {
            public_url: format!("http://{listen}"),
            listen,
            database_url: Secret::new(database_url),
            clients: vec![Client {
                name: CLIENT.into(),
                scopes: SCOPES.map(str::to_owned).to_vec(),
                ..Client::default()
            }],
            keys,
            rate_limits: RateLimits::OFF,
            ..Config::default()
        };
        let store = Store::open(config.database_url.expose()).await?;
        let keys = Keyring::open(&config.keys, None)?;
        Ok(Self { service: Service::new(config, Clock::system(), chance, store, keys) })
    }

    /// Imports, matches and confirms everybody. Returns the imported records per second.
    pub async fn enroll(&self, folder: &Path, people: usize) -> Result<f64> {
        let (service, file) = (&self.service, folder.join("personnel.csv"));
        std::fs::write(&file, personnel(people))?;
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
        Ok(count(people) / seconds)
    }

    /// Starts the program on this deployment, with more settings, and waits until it is ready.
    pub async fn serve(&self, folder: &Path, more: &str) -> Result<Server> {
        let config = &self.service.config;
        let file: PathBuf = folder.join("officials-card.toml");
        std::fs::write(
            &file,
            format!(
                "[rate_limits]\naddress_per_minute = 0\naddress_documents_per_minute = 0\nclient_per_minute = 0\n\
                 person_per_hour = 0\n[[clients]]\nname = '{CLIENT}'\nscopes = {SCOPES:?}\n{more}"
            ),
        )?;
        let process = Command::new(env!("CARGO_BIN_EXE_officials-card"))
            .args(["serve", "--config"])
            .arg(file)
            .env("OFFICIALS_CARD_LISTEN", &config.listen)
            .env("OFFICIALS_CARD_PUBLIC_URL", &config.public_url)
            .env("OFFICIALS_CARD_DATABASE_URL", config.database_url.expose())
            .env("OFFICIALS_CARD_KEYS", &config.keys)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let server = Server { process, address: config.listen.parse()? };
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
pub struct Server {
    /// Its process.
    pub process: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A wallet with its key and its connection.
pub struct Wallet {
    /// Its connection.
    pub connection: Connection,
    /// Its key.
    pub key: FileKey,
    proof_header: String,
    issuer: String,
}

impl Wallet {
    /// A fresh one.
    pub async fn new(server: SocketAddr) -> Result<Self> {
        let key = FileKey::new(&keyring::fresh_p256_jwk()?, Vec::new())?;
        let proof_header = jws::header(&key, proof::TYPE, json!({"jwk": key.public_key().to_jwk()}));
        let issuer = format!("http://{server}");
        Ok(Self { connection: Connection::open(server).await?, key, proof_header, issuer })
    }

    /// One flow, from the backend's request for an offer to the card in the wallet.
    pub async fn obtain_card(&mut self, backend_token: &str, person: usize, configuration: &str) -> Result<String> {
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
        let request = json!({"credential_configuration_id": configuration, "proofs": {"jwt": [proof]}});
        let headers = format!("Authorization: Bearer {token}\r\nContent-Type: {JSON}\r\n");
        let card = self.connection.send("POST", "/credential", &headers, &request.to_string()).await?;
        text(&card, "/credentials/0/credential").map(str::to_owned)
    }
}

/// A text in an answer.
pub fn text<'a>(answer: &'a Value, pointer: &str) -> Result<&'a str> {
    answer.pointer(pointer).and_then(Value::as_str).ok_or_else(|| format!("{pointer} is missing: {answer}").into())
}

/// A personnel file: everybody has a name and number of their own and a portrait of some 900 bytes.
fn personnel(people: usize) -> String {
    let mut rows = String::from(
        "agency_personnel_number,record_type,full_name,gender,date_of_birth,personal_id_number,portrait_photo,\
         managing_unit_code,using_unit_code,position_title,employment_status,employment_status_date\n",
    );
    for person in 0..people {
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
pub fn personal_number(person: usize) -> String {
    format!("001187{person:06}")
}

/// A population database that knows everybody just as the unit says.
struct Agreeing;

impl PopulationRegistry for Agreeing {
    async fn look_up(&self, query: &PopulationQuery) -> Result<Option<PopulationPerson>, Unreachable> {
        let AskedNumber::Personal(number) = &query.number else { return Ok(None) };
        let name = NameParts { given: query.full_name.clone(), ..NameParts::default() };
        Ok(Some(PopulationPerson::new(number.clone(), name, query.date_of_birth)))
    }
}

fn free_address() -> Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// A database of our own in the given cluster.
pub async fn fresh_database(url: &str, name: &str) -> Result<String> {
    sqlx::any::install_default_drivers();
    let name = format!("bench_{name}_{}", std::process::id());
    let mut connection = sqlx::any::AnyConnectOptions::from_str(url)?.connect().await?;
    sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await?;
    Ok(url.replacen("/postgres?", &format!("/{name}?"), 1))
}

/// Processor time of a process, user and system, from `/proc`; a tick is a hundredth of a second (proc(5)).
pub fn cpu_seconds(process: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, after_name) = stat.rsplit_once(')').ok_or("stat is malformed")?;
    let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
    Ok(f64::from(ticks.sum::<Result<u32, _>>()?) / 100.0)
}

/// A number to calculate with.
pub fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
