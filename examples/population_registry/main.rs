//! A simulator of the national population database. It speaks SOAP 1.1 as public clients of the real service do
//! (`src/protocol/population/`), checks who asks as the service does, and knows the people of a file.
//!
//! ```text
//! POPULATION_SECRET=secret cargo run --example population_registry -- \
//!     --file examples/sample/population.ndjson --listen 127.0.0.1:8090 --control 127.0.0.1:8091
//! ```
//!
//! It can be told to be slow and to fail in every way that a registry fails in, always the same questions for the same
//! order of questions. Its control address, on loopback only, changes people while it runs, which the change feed then
//! tells: `POST /people` takes lines like those of the file, `POST /switches` the switches, `GET /counts` tells how many
//! questions came. [`registry`] is all of it but the command line.

mod registry;

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Parser, ValueEnum};
use officials_card::clock::Clock;

use registry::{PersonLine, Registry, Rules, Switches};

/// Simulates the national population database.
#[derive(Parser)]
struct Arguments {
    /// The people it knows, one JSON object a line.
    #[arg(long)]
    file: PathBuf,
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Where it is controlled: an address on loopback. Without one it cannot be.
    #[arg(long)]
    control: Option<SocketAddr>,
    /// The service path, which clients hash.
    #[arg(long, default_value = "/dancuquocgia/tracuu")]
    path: String,
    /// The user that it knows.
    #[arg(long, default_value = "officials-card")]
    user: String,
    /// The user's secret.
    #[arg(long, env = "POPULATION_SECRET", hide_env_values = true)]
    secret: String,
    /// The `X-Road-Client` that it asks for.
    #[arg(long)]
    x_road_client: Option<String>,
    /// The `ApiKey` that it asks for.
    #[arg(long, env = "POPULATION_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// How `Timestamp` is written.
    #[arg(long, value_enum, default_value = "milliseconds")]
    timestamp: Unit,
    /// How far `Timestamp` may be from now, in seconds.
    #[arg(long, default_value_t = 300)]
    window_seconds: i64,
    /// The integration code of the operation that verifies.
    #[arg(long, default_value = "033")]
    verify_code: String,
    /// The integration code of the operation that looks up.
    #[arg(long, default_value = "037")]
    look_up_code: String,
    /// Knows somebody only when name and birth date agree, too, as the real service seems to.
    #[arg(long)]
    strict: bool,
    /// How long each answer takes, in milliseconds.
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// How many of a hundred questions are refused with 503.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=100))]
    refuse_percent: u64,
    /// How many are answered by half.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=100))]
    half_percent: u64,
    /// How many end in a SOAP fault.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=100))]
    fault_percent: u64,
    /// Of how many the connection is cut.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=100))]
    cut_percent: u64,
    /// People on a page of changes at most, whatever is asked for; 0: 1,000.
    #[arg(long, default_value_t = 0)]
    page_entries: usize,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Unit {
    Milliseconds,
    Seconds,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let mut people = Vec::new();
    for line in BufReader::new(File::open(&arguments.file)?).lines() {
        people.push(serde_json::from_str::<PersonLine>(&line?)?.parse()?);
    }
    let rules = Rules {
        path: arguments.path.clone(),
        user: arguments.user,
        secret: arguments.secret,
        x_road_client: arguments.x_road_client,
        api_key: arguments.api_key,
        in_seconds: arguments.timestamp == Unit::Seconds,
        window_seconds: arguments.window_seconds,
        verify_code: arguments.verify_code,
        look_up_code: arguments.look_up_code,
    };
    let switches = Switches {
        strict: arguments.strict,
        delay_ms: arguments.delay_ms,
        refuse_percent: arguments.refuse_percent,
        half_percent: arguments.half_percent,
        fault_percent: arguments.fault_percent,
        cut_percent: arguments.cut_percent,
        page_entries: arguments.page_entries,
    };
    let known = people.len();
    let registry = Arc::new(Registry::new(rules, switches, people, Clock::system()));
    let listener = tokio::net::TcpListener::bind(arguments.listen).await?;
    // The address comes first and on its own line: whoever started this program on a free port reads it.
    println!("http://{}{}", listener.local_addr()?, arguments.path);
    if let Some(address) = arguments.control {
        if !address.ip().is_loopback() {
            return Err("the control address must be on loopback".into());
        }
        let listener = tokio::net::TcpListener::bind(address).await?;
        println!("http://{}", listener.local_addr()?);
        let control = registry::control(Arc::clone(&registry));
        tokio::spawn(async move { axum::serve(listener, control).await });
    }
    eprintln!("knows {known} people");
    axum::serve(listener, registry::service(registry)).await?;
    Ok(())
}
