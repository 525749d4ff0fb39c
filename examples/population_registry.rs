//! A simulator of the national population database: answers `POST /lookup` from a file, and can be told to be slow or to
//! fail for a share of the questions, always the same ones for the same order of questions.
//!
//! ```text
//! cargo run --example population_registry -- --file examples/sample/population.ndjson --listen 127.0.0.1:8090 --key secret
//! ```

use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use axum::{Json, Router};
use clap::Parser;
use officials_card::protocol::population::{LookupAnswer, LookupRequest, PersonMessage};

/// Simulates the national population database.
#[derive(Parser)]
struct Arguments {
    /// The people it knows, one JSON object a line.
    #[arg(long)]
    file: PathBuf,
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: String,
    /// The bearer key that it asks for.
    #[arg(long, env = "POPULATION_KEY", hide_env_values = true)]
    key: String,
    /// How long each answer takes, in milliseconds.
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// How many of a hundred questions are refused with 503.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=100))]
    refuse_percent: u64,
}

struct Registry {
    people: HashMap<String, PersonMessage>,
    key: String,
    delay: Duration,
    refuse_percent: u64,
    questions: AtomicU64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let mut people = HashMap::new();
    for line in BufReader::new(File::open(&arguments.file)?).lines() {
        let person: PersonMessage = serde_json::from_str(&line?)?;
        people.insert(person.personal_id_number.clone(), person);
    }
    let registry = Registry {
        people,
        key: arguments.key,
        delay: Duration::from_millis(arguments.delay_ms),
        refuse_percent: arguments.refuse_percent,
        questions: AtomicU64::new(0),
    };
    let listener = tokio::net::TcpListener::bind(&arguments.listen).await?;
    // The address comes first and on its own line: whoever started this program on a free port reads it.
    println!("http://{}", listener.local_addr()?);
    eprintln!("knows {} people", registry.people.len());
    let router = Router::new().route("/lookup", post(look_up)).with_state(Arc::new(registry));
    axum::serve(listener, router).await?;
    Ok(())
}

async fn look_up(
    State(registry): State<Arc<Registry>>,
    headers: HeaderMap,
    Json(request): Json<LookupRequest>,
) -> Result<Json<LookupAnswer>, StatusCode> {
    let key = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if key != Some(registry.key.as_str()) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    if request.officer.is_empty() || request.purpose.is_empty() {
        return Err(StatusCode::BAD_REQUEST);
    }
    tokio::time::sleep(registry.delay).await;
    // 37 is prime to 100: every hundred questions are refused in the asked share, spread evenly.
    let question = registry.questions.fetch_add(1, Ordering::Relaxed);
    if question * 37 % 100 < registry.refuse_percent {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    Ok(Json(LookupAnswer { person: registry.people.get(&request.personal_id_number).cloned() }))
}
