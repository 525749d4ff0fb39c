//! The same stories from a terminal. Exit codes: 0 done, 1 refused or failed, 2 wrong usage.

mod approval;
mod background;
mod cards;
mod deliver;
mod demo;
mod keys;
mod officers;
mod receipt;
mod records;
mod scan;
mod serve;
mod sync;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::chance::Chance;
use crate::clock::Clock;
use crate::config::{Config, LogFormat};
use crate::error::{Error, Result};
use crate::flow::{Caller, Service};
use crate::keyring::Keyring;
use crate::store::Store;

/// Cấp, xuất trình, kiểm tra và thu hồi thẻ cán bộ, công chức, viên chức.
///
/// Issues, shows, verifies and withdraws the officials card.
#[derive(Parser)]
#[command(name = "officials-card", version)]
struct Arguments {
    /// Tệp cấu hình / settings (TOML); variables OFFICIALS_CARD_* override it
    #[arg(long, global = true, value_name = "FILE", env = "OFFICIALS_CARD_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Chạy dịch vụ / serve
    Serve,
    /// Chạy thử với dữ liệu mẫu / try it with sample data, fresh keys and simulators
    Demo(demo::Demo),
    /// Khóa / keys
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Hồ sơ / import, match, confirm and look at personnel records
    #[command(subcommand)]
    Records(records::RecordsCommand),
    /// Đơn vị / units of levels 2 to 4
    #[command(subcommand)]
    Units(records::ListCommand),
    /// Danh mục mã / labels of codes
    #[command(subcommand)]
    Codes(records::ListCommand),
    /// Đồng bộ theo giao diện của Bộ / accounts of the Ministry's synchronisation interface
    #[command(subcommand)]
    Sync(sync::SyncCommand),
    /// Mời nhận thẻ / make an offer for a person's wallet
    Offer(cards::Offer),
    /// Thẻ / look at, lock, unlock, withdraw or replace cards
    #[command(subcommand)]
    Card(cards::Card),
    /// Mã QR in trên thẻ / the QR code of a printed badge
    Badge(cards::Badge),
    /// Cán bộ văn phòng đơn vị / enter, list and block officers of the unit office
    #[command(subcommand)]
    Officers(officers::Officers),
    /// Token API cho curl / mint an API token
    Token(cards::Token),
    /// Kiểm tra thẻ ngoại tuyến / verify a card without network
    Verify(verify::Verify),
    /// Tải gói kiểm tra ngoại tuyến / fetch the bundle for verification without network
    Bundle(verify::FetchBundle),
    /// Biên nhận kiểm tra / receipts of checks
    #[command(subcommand)]
    Receipt(receipt::Receipt),
    /// Phê duyệt tháng / monthly approvals by digital signature
    #[command(subcommand)]
    Approval(approval::Approval),
    /// Ngày nghỉ / public holidays
    #[command(subcommand)]
    Holidays(approval::Holidays),
    /// Tài liệu OpenAPI / print the OpenAPI document
    Openapi,
}

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| crate::error::Fault::new("starting", error).into())
        .and_then(|runtime| runtime.block_on(run(arguments)));
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("officials-card: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<ExitCode> {
    let config = arguments.config;
    let load = || Config::load(config.as_deref());
    match arguments.command {
        Command::Serve => serve::run(load()?).await?,
        Command::Demo(demo) => demo.run().await?,
        Command::Keys(keys) => keys.run(&load()?)?,
        Command::Records(records) => records.run(records_context(load()?).await?).await?,
        Command::Units(units) => units.run_units(records_context(load()?).await?).await?,
        Command::Codes(codes) => codes.run_codes(records_context(load()?).await?).await?,
        Command::Sync(sync) => sync.run(records_context(load()?).await?).await?,
        Command::Offer(offer) => offer.run(&service(load()?).await?).await?,
        Command::Card(card) => card.run(&service(load()?).await?).await?,
        Command::Badge(badge) => badge.run(&service(load()?).await?).await?,
        Command::Officers(officers) => officers.run(&service(load()?).await?).await?,
        Command::Token(token) => token.run(&service(load()?).await?).await?,
        Command::Verify(verify) => return verify.run(),
        Command::Bundle(bundle) => bundle.run().await?,
        Command::Receipt(receipt) => return receipt.run(),
        Command::Approval(approval) => return approval.run(load).await,
        Command::Holidays(holidays) => holidays.run(load()?).await?,
        Command::Openapi => print_json(&crate::http::openapi_document(&load()?.public_url)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Opens keys and store and puts the stories together.
async fn service(config: Config) -> Result<Service> {
    let keys = Keyring::open(&config.keys, config.keys_passphrase.as_ref())?;
    let store = Store::open(config.database_url.expose()).await?;
    let service = Service::new(config, Clock::system(), Chance::system(), store, keys);
    service.check_settings()?;
    Ok(service)
}

/// Opens the store alone: records need no keys.
async fn records_context(config: Config) -> Result<records::RecordsContext> {
    Ok(records::RecordsContext {
        store: Store::open(config.database_url.expose()).await?,
        clock: Clock::system(),
        chance: Chance::system(),
        population: config.population,
    })
}

/// The person at the terminal, as the audit table will name them.
fn operator() -> Caller {
    Caller::operator(format!("cli:{}", std::env::var("USER").unwrap_or_else(|_| "unknown".into())))
}

fn print_json(value: &impl serde::Serialize) {
    println!("{}", serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Starts the log on standard error.
fn start_log(config: &Config) -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(&config.log)
        .map_err(|error| crate::error::Fault::new("reading the log filter", error))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match config.log_format {
        LogFormat::Json => log.json().flatten_event(true).try_init(),
        LogFormat::Text => log.try_init(),
    };
    started.map_err(|error| Error::from(crate::error::Fault::new("starting the log", error)))
}
