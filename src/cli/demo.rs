//! `officials-card demo`: everything at once on one machine, with fresh keys, an SQLite file and the sample records,
//! matched by a simulator of the population database that runs as a program of its own (`examples/`).

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use super::{operator, serve, service, start_log};
use crate::chance::Chance;
use crate::clock::Clock;
use crate::config::{Config, LogFormat};
use crate::credential::symbol::{Ecc, Symbol};
use crate::error::{Fault, Refusal, Result};
use crate::flow::enroll::{Asker, confirm, match_pending};
use crate::flow::import::{Format, ImportRequest, import};
use crate::flow::lists::{import_codes, import_units};
use crate::flow::{MadeOffer, OfferRequest, Service};
use crate::keyring;
use crate::model::id::PersonalNumber;
use crate::store::Confirmed;

const RECORDS: &[u8] = include_bytes!("../../examples/sample/personnel.csv");
const UNITS: &[u8] = include_bytes!("../../examples/sample/units.csv");
const LABELS: &[u8] = include_bytes!("../../examples/sample/labels.csv");
const POPULATION: &[u8] = include_bytes!("../../examples/sample/population.ndjson");

/// Marks a folder as ours to replace.
const MARK: &str = ".officials-card-demo";
/// How long the demo's API token lives.
const TOKEN_SECONDS: i64 = 86400;
/// How long the simulator may take to start.
const SIMULATOR_START: Duration = Duration::from_secs(10);

/// Tries everything with sample data.
#[derive(Args)]
pub struct Demo {
    /// Thư mục / folder for keys and data; a new one under the system's temporary folder when absent
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Địa chỉ / address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: String,
    /// In một dòng JSON khi sẵn sàng / print one line of JSON when ready
    #[arg(long)]
    json: bool,
}

impl Demo {
    /// Runs the command.
    pub async fn run(self) -> Result<()> {
        // First the address: while another demo serves there, its folder is left alone.
        let listener = TcpListener::bind(&self.listen)
            .await
            .map_err(|error| Fault::new("listening", format!("{}: {error}", self.listen)))?;
        let address = listener.local_addr().map_err(|error| Fault::new("listening", error))?;
        let dir = fresh_folder(self.dir)?;
        let clock = Clock::system();
        let chance = Chance::system();
        keyring::init(&dir.join("keys"), None, &format!("http://{address}"), &chance, clock.now())?;

        let population_key = URL_SAFE_NO_PAD.encode(chance.bytes::<16>());
        let (_simulator, population_url) = start_simulator(&dir, &population_key).await?;
        let config = write_config(&dir, &address.to_string(), &population_url, &population_key)?;
        start_log(&config)?;
        let service = service(config).await?;
        let person = fill(&service, &dir).await?;
        let token = service.mint_token("vneid-backend", TOKEN_SECONDS).await?;
        service.refresh_published().await?;
        let url = service.config.public_url.clone();
        let anchor = dir.join("keys/root.pem");
        let ready = json!({
            "url": url,
            "backend_token": token,
            "person": person.expose(),
            "trust_anchor_pem_file": anchor,
            "iaca_pem_file": dir.join("keys/iaca.pem"),
            "config": dir.join("officials-card.toml"),
            "dir": dir,
            "pages": {"start": format!("{url}/"), "docs": format!("{url}/docs")},
        });
        keyring::write_new(&dir.join("demo.json"), format!("{ready}\n").as_bytes())?;
        if self.json {
            println!("{ready}");
        } else {
            let request = OfferRequest {
                person: person.clone(),
                assurance_level: 2,
                configurations: Vec::new(),
                unit: None,
                grants: Vec::new(),
                idempotency_key: None,
            };
            let made = service.make_offer(&operator(), request).await?;
            print_tour(&dir, &url, &token, &person, &made)?;
        }
        serve::serve(service, listener, None).await
    }
}

/// An empty folder of ours: an earlier demo in it is replaced, anything else is left alone.
fn fresh_folder(dir: Option<PathBuf>) -> Result<PathBuf> {
    let fault = |error: std::io::Error| Fault::new("making the demo folder", error);
    let dir = dir.unwrap_or_else(|| {
        let name = u64::from_be_bytes(Chance::system().bytes());
        std::env::temp_dir().join(format!("officials-card-demo-{name:016x}"))
    });
    if dir.join(MARK).exists() {
        std::fs::remove_dir_all(&dir).map_err(fault)?;
    }
    // Nobody else's business: keys, tokens and (synthetic) records.
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(fault)?;
    if std::fs::read_dir(&dir).map_err(fault)?.next().is_some() {
        return Err(Refusal::malformed(dir.display().to_string(), "is neither empty nor an earlier demo").into());
    }
    std::fs::write(dir.join(MARK), "").map_err(fault)?;
    std::fs::canonicalize(dir).map_err(|error| fault(error).into())
}

/// Starts the simulator of the population database, which stands beside this program, and waits for its address.
async fn start_simulator(dir: &Path, key: &str) -> Result<(Child, String)> {
    let doing = "starting the simulator of the population database";
    let fault = |error: std::io::Error| Fault::new(doing, error);
    let population = dir.join("population.ndjson");
    std::fs::write(&population, POPULATION).map_err(fault)?;
    let own = std::env::current_exe().map_err(fault)?;
    let program = own.with_file_name("examples").join("population_registry");
    if !program.exists() && !build_simulator(&own).await.is_ok_and(|built| built && program.exists()) {
        let hint = format!("{} is missing: build it with `cargo build --examples`", program.display());
        return Err(Fault::new(doing, hint).into());
    }
    let mut child = Command::new(program)
        .arg("--file")
        .arg(&population)
        .args(["--listen", "127.0.0.1:0"])
        .env("POPULATION_KEY", key)
        .stdout(Stdio::piped())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(fault)?;
    let output = child.stdout.take().ok_or_else(|| Fault::new(doing, "it has no output"))?;
    let mut lines = BufReader::new(output).lines();
    let line = tokio::time::timeout(SIMULATOR_START, lines.next_line()).await;
    let line = line.map_err(|_| Fault::new(doing, "it did not start in time"))?.map_err(fault)?;
    let url = line.ok_or_else(|| Fault::new(doing, "it stopped at once"))?;
    Ok((child, url.trim().to_owned()))
}

/// Builds the simulator beside a program that cargo built without its examples. Returns whether it could.
async fn build_simulator(own: &Path) -> std::io::Result<bool> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let (Some(profile), true) = (own.parent(), manifest.exists()) else { return Ok(false) };
    let Some(target) = profile.parent() else { return Ok(false) };
    eprintln!("building the simulator of the population database …");
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--quiet", "--locked", "--example", "population_registry"]);
    cargo.arg("--manifest-path").arg(manifest).arg("--target-dir").arg(target);
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    // Standard output is for the line of JSON.
    Ok(cargo.stdout(Stdio::null()).status().await?.success())
}

/// Writes the settings, so that the other commands work on the same data, and a key for the VNeID backend's client.
fn write_config(dir: &Path, address: &str, population_url: &str, population_key: &str) -> Result<Config> {
    let backend = keyring::fresh_p256_jwk()?;
    keyring::write_private(dir, "vneid-backend", &backend, None)?;
    let member = |name: &str| backend[name].as_str().unwrap_or_default().to_owned();
    let text = format!(
        r#"# Settings of this demo: `officials-card --config {config} …` works on its data.
listen = "{address}"
public_url = "http://{address}"
database_url = "sqlite://{database}"
keys = "{keys}"
population_url = "{population_url}"
population_key = "{population_key}"
log = "warn"
log_format = "text"

# Whoever tries it asks for the same person again and again.
[rate_limits]
person_per_hour = 0

# The VNeID backend: its private key is vneid-backend.jwk.
[[clients]]
name = "vneid-backend"
scopes = ["offers:create", "cards:read", "cards:lock", "cards:unlock", "cards:withdraw", "cards:replace", "badges:read", "records:confirm", "events:read"]
jwks = {{ keys = [{{ kty = "EC", crv = "P-256", x = "{x}", y = "{y}" }}] }}
"#,
        config = dir.join("officials-card.toml").display(),
        database = dir.join("demo.db").display(),
        keys = dir.join("keys").display(),
        x = member("x"),
        y = member("y"),
    );
    let file = dir.join("officials-card.toml");
    std::fs::write(&file, text).map_err(|error| Fault::new("writing the settings", error))?;
    let mut config = Config::load(Some(&file))?;
    config.log_format = LogFormat::Text;
    Ok(config)
}

/// Imports the sample, matches and confirms it. Returns a person who can be tried.
async fn fill(service: &Service, dir: &Path) -> Result<PersonalNumber> {
    let (store, clock) = (service.store(), &service.clock);
    let write = |name: &str, text: &[u8]| -> Result<PathBuf> {
        let file = dir.join(name);
        std::fs::write(&file, text).map_err(|error| Fault::new("writing the sample data", error))?;
        Ok(file)
    };
    import_units(store, &write("units.csv", UNITS)?, "demo", clock.now()).await?;
    import_codes(store, &write("labels.csv", LABELS)?, "demo", clock.now()).await?;
    let request = ImportRequest {
        file: write("personnel.csv", RECORDS)?,
        format: Format::Csv,
        dry_run: false,
        rejects: dir.join("rejects.csv"),
        actor: "demo".into(),
    };
    import(store, clock, &service.chance, request, |_| {}).await?;
    if let Some(registry) = serve::registry(&service.config)? {
        let asker = Asker { officer: "demo".into(), purpose: "demo: match of the sample".into(), pause_seconds: 0 };
        match_pending(store, clock, &registry, &asker, |_| {}).await?;
    }
    for unit in store.units_with_records().await? {
        confirm(store, clock, &unit, Confirmed::All, "demo").await?;
    }
    let somebody = service.somebody_verified(&operator()).await?;
    somebody.ok_or_else(|| Fault::new("filling the demo", "no sample record is verified").into())
}

fn print_tour(dir: &Path, url: &str, token: &str, person: &PersonalNumber, made: &MadeOffer) -> Result<()> {
    let symbol = Symbol::new(&made.link, Ecc::Low).map_err(|error| Fault::new("drawing the offer", error))?;
    let own = std::env::current_exe().map_err(|error| Fault::new("finding this program", error))?;
    let wallet = own.with_file_name("examples").join("wallet");
    let (own, wallet, dir) = (own.display(), wallet.display(), dir.display());
    println!(
        "{qr}
Mã giao dịch / transaction code: {tx_code} (10 phút / good for ten minutes)

Thẻ cán bộ, công chức, viên chức: dịch vụ chạy thử tại {url}
Officials card: the demo is serving at {url} (API: {url}/docs)

1. Quét mã trên bằng ví, hoặc nhận thẻ vào ví mẫu / scan the code with a wallet, or take the card into the reference wallet:
   {wallet} --dir {dir}/wallet take '{link}' --tx-code {tx_code} --trust-anchor {dir}/keys/root.pem {dir}/keys/iaca.pem
2. Đưa mã QR sống ra và kiểm tra / show the live QR code and verify it:
   {wallet} --dir {dir}/wallet qr --png {dir}/live.png
   {own} bundle --url {url} --anchor {dir}/keys/root.pem --out {dir}/bundle.json
   {own} verify --png {dir}/live.png --bundle {dir}/bundle.json --anchor {dir}/keys/root.pem
3. Thu hồi rồi kiểm tra lại / withdraw it and verify again (the verdict changes):
   {own} --config {dir}/officials-card.toml card withdraw --card {card} --reason lost
   {wallet} --dir {dir}/wallet qr --png {dir}/live.png
   {own} bundle --url {url} --anchor {dir}/keys/root.pem --out {dir}/bundle.json
   {own} verify --png {dir}/live.png --bundle {dir}/bundle.json --anchor {dir}/keys/root.pem

Lời mời khác / another offer: {own} --config {dir}/officials-card.toml offer --person {person}
Token API / API token: {token}
Dừng / stop: Ctrl-C",
        qr = symbol.terminal(),
        link = made.link,
        tx_code = made.tx_code.as_deref().unwrap_or_default(),
        card = made.card,
        person = person.expose(),
    );
    Ok(())
}
