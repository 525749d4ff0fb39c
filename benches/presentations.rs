//! Complete presentations, as many wallets at once would make them, to the real program over TCP on both databases:
//!
//! ```text
//! POST /api/v1/presentations → GET /vp/{name} → POST /vp/{name}/response → GET /api/v1/presentations/{id}
//! ```
//!
//! Every flow is a transaction with a key of its own, a signed request, an encrypted answer with three claims (one of them
//! the portrait), the verdict and its result. The server is a process of its own, so that its processor time per
//! presentation can be told from that of the wallets here; the bare limit beside it is what no verifier can do without:
//! the fresh key, the signature of the request, the key agreement, and the three signatures of chain, card and holder.
//!
//! Then the same with half of the wallets presenting cards of another issuer, while the host of that issuer's status
//! lists answers, refuses connections, or takes them and never answers; with the lists held and due, and with none held.
//! Nothing may be lost by that but the answers about those very cards, and throughput by at most a tenth.
//!
//! `cargo bench --bench presentations -- hosts` measures only what has this word in its name: `own` or `hosts`.
//! PostgreSQL is that of `OFFICIALS_CARD_TEST_POSTGRES`; without it only SQLite is measured.

mod office;
mod scratch;
mod status_host;

use std::hint::black_box;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::agreement::{self, ECDH_P256, PrivateKey, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use officials_card::chance::Chance;
use officials_card::clock::Clock;
use officials_card::credential::jwe::Recipient;
use officials_card::credential::mdoc::device::{self, SessionTranscript};
use officials_card::credential::{PublicKey, Signer, jws, sd_jwt};
use officials_card::keyring::{self, FileKey, Keyring};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use office::{CLIENT, Connection, Office, Result, Server, Wallet, count, cpu_seconds, fresh_database, text};
use scratch::Scratch;
use status_host::{Behaviour, StatusHost};

/// Wallets at once.
const LEVELS: [usize; 3] = [1, 16, 64];
/// Wallets at once while hosts fail, half of them with cards of another issuer.
const MIXED: usize = 16;
/// How long each row is measured, after it has run for a while.
const TIME: Duration = Duration::from_secs(6);
const WARM_UP: Duration = Duration::from_secs(1);
/// How often and how long the status hosts' rows are measured in turn with a host that is up.
const WINDOWS: usize = 8;
const WINDOW: Duration = Duration::from_millis(1500);
/// What the template `gate-identity` asks for.
const CLAIMS: [&str; 3] = ["full_name", "portrait", "employing_agency"];
/// The template and type of the other issuer's cards.
const OTHERS: &str = "others";
const OTHER_TYPE: &str = "urn:example:doctor";

#[tokio::main]
async fn main() -> Result<()> {
    let folder = Scratch::new("bench-presentations");
    let file = |name| format!("sqlite://{}", folder.path().join(name).display());
    measure("SQLite", folder.path(), [file("cards.db"), file("other.db")]).await?;
    if let Ok(url) = std::env::var("OFFICIALS_CARD_TEST_POSTGRES") {
        let databases = [fresh_database(&url, "cards").await?, fresh_database(&url, "other").await?];
        measure("PostgreSQL", folder.path(), databases).await?;
    } else {
        println!("PostgreSQL is left out: OFFICIALS_CARD_TEST_POSTGRES is not set");
    }
    Ok(())
}

/// Whether something was asked for on the command line; all is when nothing was.
fn wanted(name: &str) -> bool {
    std::env::args().skip(1).find(|argument| !argument.starts_with('-')).is_none_or(|word| word == name)
}

/// All measurements on one kind of database.
async fn measure(name: &str, folder: &Path, [database, other]: [String; 2]) -> Result<()> {
    let most = LEVELS.into_iter().max().unwrap_or_default();
    let town = Town::open(&folder.join(name), database, most).await?;
    if wanted("own") {
        own(name, &town).await?;
    }
    if wanted("hosts") {
        let failing = Town::open(&folder.join(format!("{name}-failing")), other, MIXED / 2).await?;
        hosts(name, &town, &failing).await?;
    }
    Ok(())
}

/// Own cards in either format.
async fn own(name: &str, town: &Town) -> Result<()> {
    let bare = bare_milliseconds()?;
    println!(
        "{:10} {:8} {:>7} {:>8} {:>14} {:>8} {:>6} {:>14} {:>8} {:>8}",
        "database",
        "format",
        "wallets",
        "flows/s",
        "server CPU ms",
        "bare ms",
        "ratio",
        "wallet CPU ms",
        "p50 ms",
        "p99 ms"
    );
    let server = town.serve("").await?;
    let load = town.load(&server);
    for (format, cards) in [("SD-JWT", &town.sd_jwts), ("mdoc", &town.mdocs)] {
        for wallets in LEVELS {
            load.run(&cards[..wallets], WARM_UP).await?;
            let row = Row::measure(&load, &server, &cards[..wallets], TIME).await?;
            assert_eq!(row.turned_away, 0, "own cards are accepted");
            println!(
                "{name:10} {format:8} {wallets:>7} {:>8.0} {:>14.3} {bare:>8.3} {:>6.2} {:>14.3} {:>8.2} {:>8.2}",
                row.rate(),
                row.server_milliseconds(),
                bare / row.server_milliseconds(),
                row.own_milliseconds(),
                row.percentile(50),
                row.percentile(99),
            );
        }
    }
    Ok(())
}

/// A deployment, and the cards of its people in their wallets.
struct Town {
    office: Office,
    folder: PathBuf,
    token: String,
    sd_jwts: Vec<Arc<Card>>,
    mdocs: Vec<Arc<Card>>,
}

impl Town {
    /// With so many cards of each format, each another person's.
    async fn open(folder: &Path, database: String, cards: usize) -> Result<Self> {
        let office = Office::open(folder, database).await?;
        office.enroll(folder, 2 * cards).await?;
        let token = office.service.mint_token(CLIENT, 3600).await?;
        let mut town = Self { office, folder: folder.to_owned(), token, sd_jwts: Vec::new(), mdocs: Vec::new() };
        let server = town.serve("").await?;
        for person in 0..2 * cards {
            let format = if person < cards { Format::SdJwt } else { Format::Mdoc };
            let mut wallet = Wallet::new(server.address).await?;
            let card = wallet.obtain_card(&town.token, person, format.configuration()).await?;
            let kept = if person < cards { &mut town.sd_jwts } else { &mut town.mdocs };
            kept.push(Arc::new(Card::own(format, &card, wallet.key)?));
        }
        Ok(town)
    }

    async fn serve(&self, settings: &str) -> Result<Server> {
        self.office.serve(&self.folder, settings).await
    }

    fn load(&self, server: &Server) -> Load {
        Load { server: server.address, token: self.token.clone() }
    }
}

/// Half own cards, half cards of another issuer, whose host does this and that; window by window in turn with a deployment
/// that has an issuer whose host is up, so that both meet the same of whatever else goes on.
async fn hosts(name: &str, steady: &Town, failing: &Town) -> Result<()> {
    println!(
        "{:10} {:20} {:>8} {:>8} {:>9} {:>8} {:>8} {:>8} {:>14} {:>8} {:>8}",
        "database",
        "status host",
        "own/s",
        "others/s",
        "accepted",
        "all/s",
        "own",
        "all",
        "server CPU ms",
        "p99 ms",
        "max ms"
    );
    for (condition, behaviour, lists_held) in [
        ("up, too", Behaviour::Up, true),
        ("down, lists due", Behaviour::Down, true),
        ("down, no lists", Behaviour::Down, false),
        ("hanging, lists due", Behaviour::Hanging, true),
        ("hanging, no lists", Behaviour::Hanging, false),
    ] {
        // Processes that hold no list yet.
        let steady = Desk::open(steady).await?;
        let failing = Desk::open(failing).await?;
        if !lists_held {
            failing.ministry.host.does(behaviour).await?;
        }
        steady.load.run(&steady.cards, WARM_UP).await?;
        failing.load.run(&failing.cards[..if lists_held { MIXED } else { MIXED / 2 }], WARM_UP).await?;
        failing.ministry.host.does(behaviour).await?;
        if lists_held {
            // Until every list is past its time to live.
            tokio::time::sleep(Duration::from_secs(StatusHost::TTL_SECONDS + 1)).await;
        }
        let (mut up, mut row) = (Row::default(), Row::default());
        for _ in 0..WINDOWS {
            up.add(Row::measure(&steady.load, &steady.server, &steady.cards, WINDOW).await?);
            row.add(Row::measure(&failing.load, &failing.server, &failing.cards, WINDOW).await?);
        }
        let others = row.latencies.len() - row.own;
        println!(
            "{name:10} {condition:20} {:>8.0} {:>8.0} {:>8.0}% {:>8.0} {:>8.2} {:>8.2} {:>14.3} {:>8.2} {:>8.0}",
            row.own_rate(),
            row.rate() - row.own_rate(),
            100.0 * count(others - row.turned_away) / count(others),
            row.rate(),
            row.own_rate() / up.own_rate(),
            row.rate() / up.rate(),
            row.server_milliseconds(),
            row.percentile(99),
            row.percentile(100),
        );
    }
    Ok(())
}

/// A process of the program with another issuer of its own, and the cards for it, the second half of them that issuer's.
struct Desk {
    ministry: Ministry,
    server: Server,
    load: Load,
    cards: Vec<Arc<Card>>,
}

impl Desk {
    async fn open(town: &Town) -> Result<Self> {
        let ministry = Ministry::open(&town.folder).await?;
        let server = town.serve(&ministry.settings()).await?;
        let own = &town.sd_jwts[..MIXED / 2];
        let others: Vec<_> = (0..own.len()).map(|at| ministry.card(at)).collect::<Result<_>>()?;
        Ok(Self { ministry, load: town.load(&server), server, cards: [own, &others].concat() })
    }
}

/// What was measured.
#[derive(Default)]
struct Row {
    seconds: f64,
    server_seconds: f64,
    own_seconds: f64,
    latencies: Vec<Duration>,
    /// Flows with own cards.
    own: usize,
    turned_away: usize,
}

impl Row {
    async fn measure(load: &Load, server: &Server, cards: &[Arc<Card>], time: Duration) -> Result<Self> {
        let from = (Instant::now(), cpu_seconds(server.process.id())?, cpu_seconds(std::process::id())?);
        let flows = load.run(cards, time).await?;
        let seconds = from.0.elapsed().as_secs_f64();
        let mut latencies: Vec<_> = flows.iter().map(|flow| flow.took).collect();
        latencies.sort_unstable();
        Ok(Self {
            seconds,
            server_seconds: cpu_seconds(server.process.id())? - from.1,
            own_seconds: cpu_seconds(std::process::id())? - from.2,
            own: flows.iter().filter(|flow| flow.is_own).count(),
            turned_away: flows.iter().filter(|flow| !flow.accepted).count(),
            latencies,
        })
    }

    /// As if both had been measured in one.
    fn add(&mut self, other: Self) {
        self.seconds += other.seconds;
        self.server_seconds += other.server_seconds;
        self.own_seconds += other.own_seconds;
        self.own += other.own;
        self.turned_away += other.turned_away;
        self.latencies.extend(other.latencies);
        self.latencies.sort_unstable();
    }

    fn rate(&self) -> f64 {
        count(self.latencies.len()) / self.seconds
    }

    /// Of flows with own cards.
    fn own_rate(&self) -> f64 {
        count(self.own) / self.seconds
    }

    fn server_milliseconds(&self) -> f64 {
        self.server_seconds * 1e3 / count(self.latencies.len())
    }

    fn own_milliseconds(&self) -> f64 {
        self.own_seconds * 1e3 / count(self.latencies.len())
    }

    fn percentile(&self, share: usize) -> f64 {
        self.latencies[(self.latencies.len() - 1) * share / 100].as_secs_f64() * 1e3
    }
}

/// A presentation that was made.
struct Flow {
    took: Duration,
    is_own: bool,
    accepted: bool,
}

/// What all wallets share.
#[derive(Clone)]
struct Load {
    server: SocketAddr,
    token: String,
}

impl Load {
    /// Lets one wallet for each card present it again and again for a time.
    async fn run(&self, cards: &[Arc<Card>], time: Duration) -> Result<Vec<Flow>> {
        let deadline = Instant::now() + time;
        let mut tasks = JoinSet::new();
        for card in cards {
            let (load, card) = (self.clone(), Arc::clone(card));
            let mut connection = Connection::open(self.server).await?;
            tasks.spawn(async move {
                let mut flows = Vec::new();
                while Instant::now() < deadline {
                    let started = Instant::now();
                    let accepted = load.present(&mut connection, &card).await?;
                    flows.push(Flow { took: started.elapsed(), is_own: card.template != OTHERS, accepted });
                }
                Ok(flows)
            });
        }
        tasks.join_all().await.into_iter().try_fold(Vec::new(), |mut all, flows: Result<Vec<_>>| {
            all.extend(flows?);
            Ok(all)
        })
    }

    /// One flow, from the service's request to its result. Gives whether the card was accepted.
    async fn present(&self, connection: &mut Connection, card: &Card) -> Result<bool> {
        let service = format!("Authorization: Bearer {}\r\nContent-Type: application/json\r\n", self.token);
        let body = json!({"template": card.template}).to_string();
        let made = connection.send("POST", "/api/v1/presentations", &service, &body).await?;
        let issuer = format!("http://{}", self.server);
        let path = |url: &str| url.strip_prefix(&issuer).map(str::to_owned).ok_or("an address elsewhere");

        let (_, request) = connection.exchange("GET", &path(text(&made, "/request_uri")?)?, "", "").await?;
        let request = std::str::from_utf8(request)?.split('.').nth(1).ok_or("no request object")?;
        let request: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(request)?)?;

        let form = format!("response={}", card.answer(&request)?);
        let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
        let (status, _) = connection.exchange("POST", &path(text(&request, "/response_uri")?)?, headers, &form).await?;

        let result = format!("/api/v1/presentations/{}", text(&made, "/id")?);
        let seen = connection.send("GET", &result, &service, "").await?;
        let accepted = text(&seen, "/state")? == "verified";
        if accepted != (status == 200) || (!accepted && text(&seen, "/reason")? != "status_unavailable") {
            return Err(format!("status {status}, and {seen}").into());
        }
        Ok(accepted)
    }
}

#[derive(Clone, Copy)]
enum Format {
    SdJwt,
    Mdoc,
}

impl Format {
    fn configuration(self) -> &'static str {
        match self {
            Self::SdJwt => "official-card-sdjwt",
            Self::Mdoc => "official-card-mdoc",
        }
    }
}

/// A card in a wallet, and what it is asked for by.
struct Card {
    template: &'static str,
    query: &'static str,
    held: Held,
    key: FileKey,
}

enum Held {
    /// With those disclosures that are asked for.
    SdJwt(String),
    /// As issued.
    Mdoc(Vec<u8>),
}

impl Card {
    fn own(format: Format, credential: &str, key: FileKey) -> Result<Self> {
        let (query, held) = match format {
            Format::SdJwt => ("card-sd-jwt", Held::SdJwt(sd_jwt::select(credential, |name| CLAIMS.contains(&name)))),
            Format::Mdoc => ("card-mdoc", Held::Mdoc(URL_SAFE_NO_PAD.decode(credential)?)),
        };
        Ok(Self { template: "gate-identity", query, held, key })
    }

    /// The encrypted answer to a request.
    fn answer(&self, request: &Value) -> Result<String> {
        let (client_id, nonce) = (text(request, "/client_id")?, text(request, "/nonce")?);
        let key = &request["client_metadata"]["jwks"]["keys"][0];
        let presentation = match &self.held {
            Held::SdJwt(selected) => sd_jwt::bind(selected, &self.key, client_id, nonce, Clock::system().now())?,
            Held::Mdoc(issued) => {
                let mut members = key.clone();
                let members_of_key = members.as_object_mut().ok_or("no key")?;
                members_of_key.retain(|name, _| ["kty", "crv", "x", "y"].contains(&name.as_str()));
                let thumbprint = PublicKey::from_jwk(&members)?.thumbprint();
                let response_uri = text(request, "/response_uri")?;
                let session = SessionTranscript::of_redirect(client_id, nonce, Some(&thumbprint), response_uri);
                let doctype = officials_card::protocol::mdoc::DOCTYPE;
                let response = device::present(issued, doctype, |_, name| CLAIMS.contains(&name), &session, &self.key)?;
                URL_SAFE_NO_PAD.encode(response)
            }
        };
        let answer = json!({"vp_token": {self.query: [presentation]}, "state": text(request, "/state")?});
        Ok(Recipient::new(key, "A128GCM", false)?.seal(answer.to_string().as_bytes())?)
    }
}

/// Another issuer, with keys like ours, and a host for its status lists.
struct Ministry {
    keys: Keyring,
    host: StatusHost,
}

impl Ministry {
    async fn open(folder: &Path) -> Result<Self> {
        let keys = folder.join("ministry");
        if !keys.exists() {
            keyring::init(&keys, None, "http://127.0.0.1", &Chance::system(), Clock::system().now() - 3600)?;
        }
        let keys = Keyring::open(&keys, None)?;
        let host = StatusHost::start(Arc::clone(&keys.status_es256)).await?;
        Ok(Self { keys, host })
    }

    /// What our settings say of it.
    fn settings(&self) -> String {
        let query = json!({"credentials": [{
            "id": "card", "format": "dc+sd-jwt", "meta": {"vct_values": [OTHER_TYPE]}, "claims": [{"path": ["speciality"]}],
        }]});
        format!(
            "[[trusted_issuers]]\nname = 'Bộ Y tế'\nanchors = '''{}'''\ntypes = ['{OTHER_TYPE}']\n\
             [trusted_issuers.status_lists]\nprefixes = ['{}']\n\
             [[presentation_templates]]\nid = '{OTHERS}'\nname_vi = 'Bác sĩ'\nname_en = 'Doctor'\n\
             purpose_vi = 'Đo'\npurpose_en = 'To measure'\ndcql_query = '{query}'\n",
            self.keys.anchor_pem,
            self.host.prefix(),
        )
    }

    /// A card that names the status list of this number.
    fn card(&self, list: usize) -> Result<Arc<Card>> {
        let (signer, now) = (&*self.keys.issuer_es256, Clock::system().now());
        let key = FileKey::new(&keyring::fresh_p256_jwk()?, Vec::new())?;
        let claims = json!({
            "iss": "https://health.example.vn", "vct": OTHER_TYPE, "iat": now, "exp": now + 86400,
            "cnf": {"jwk": key.public_key().to_jwk()}, "speciality": "surgery",
            "status": {"status_list": {"idx": 70_001, "uri": format!("{}{list}", self.host.prefix())}},
        });
        let header = jws::header(signer, "dc+sd-jwt", json!({"x5c": jws::x5c(signer)}));
        let credential = format!("{}~", jws::sign(signer, &header, claims.to_string().as_bytes())?);
        Ok(Arc::new(Card { template: OTHERS, query: "card", held: Held::SdJwt(credential), key }))
    }
}

/// The cryptography of one presentation with nothing around it, in processor milliseconds: the median of many.
fn bare_milliseconds() -> Result<f64> {
    const TURNS: usize = 1001;
    let key = FileKey::new(&keyring::fresh_p256_jwk()?, Vec::new())?;
    let message = [0x5a; 1024];
    let signature = key.sign(&message)?;
    let wallet = PrivateKey::generate(&ECDH_P256)?.compute_public_key()?;
    let mut times = Vec::new();
    for _ in 0..TURNS {
        let started = Instant::now();
        let fresh = PrivateKey::generate(&ECDH_P256)?;
        black_box(key.sign(&message)?);
        let peer = UnparsedPublicKey::new(&ECDH_P256, &wallet);
        black_box(agreement::agree(&fresh, peer, aws_lc_rs::error::Unspecified, |secret| Ok(secret.len()))?);
        for _ in ["chain", "card", "holder"] {
            key.public_key().verify(&message, &signature)?;
        }
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_unstable_by(f64::total_cmp);
    Ok(times[TURNS / 2])
}
