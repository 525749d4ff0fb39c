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

mod office;
mod scratch;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use officials_card::flow::Caller;
use officials_card::http::{BulkBounds, bulk_answers};
use officials_card::model::card::{Reason, Selector, Step};
use officials_card::model::unit::UnitCode;
use serde_json::json;
use tokio::task::JoinSet;

use office::{CLIENT, Office, Result, UNIT, Wallet, count, cpu_seconds, fresh_database, personal_number};
use scratch::Scratch;

/// Wallets at once.
const LEVELS: [usize; 3] = [1, 16, 64];
/// Most flows of one level, and its longest time.
const FLOWS: usize = 10_000;
const TIME: Duration = Duration::from_secs(6);
/// Flows of each level before it counts.
const WARM_UP: usize = 200;
/// Enough people for every flow to have one without a card.
const PEOPLE: usize = LEVELS.len() * (FLOWS + WARM_UP);

#[tokio::main]
async fn main() -> Result<()> {
    println!(
        "{:10} {:>7} {:>8} {:>14} {:>14} {:>8} {:>8}",
        "database", "wallets", "flows/s", "server CPU ms", "wallet CPU ms", "p50 ms", "p99 ms"
    );
    let folder = Scratch::new("bench-issuance");
    measure("SQLite", &folder, format!("sqlite://{}", folder.path().join("cards.db").display())).await?;
    if let Ok(url) = std::env::var("OFFICIALS_CARD_TEST_POSTGRES") {
        measure("PostgreSQL", &folder, fresh_database(&url, "cards").await?).await?;
    } else {
        println!("PostgreSQL is left out: OFFICIALS_CARD_TEST_POSTGRES is not set");
    }
    Ok(())
}

/// All measurements on one database.
async fn measure(name: &str, folder: &Scratch, database_url: String) -> Result<()> {
    let folder = folder.path().join(name);
    let office = Office::open(&folder, database_url).await?;
    let records_per_second = office.enroll(&folder, PEOPLE).await?;
    let started = Instant::now();
    let mut computed = 0;
    loop {
        let round = office.service.compute_quality().await?;
        computed += round.computed;
        if round.entries == 0 {
            break;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{name}: {:.0} records/s have their quality computed", count(computed) / seconds);
    let token = office.service.mint_token(CLIENT, 3600).await?;

    let server = office.serve(&folder, "").await?;
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

    println!("{name}: {:.0} offers/s in bulk", offer_in_bulk(&office, &folder, WARM_UP).await?);

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

/// How many offers a second one bulk call makes, for people who have their cards.
async fn offer_in_bulk(office: &Office, folder: &Path, people: usize) -> Result<f64> {
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
    let answers = bulk_answers(office.service.clone(), Caller::operator("bench"), stream::iter(chunks), bounds);
    let refused = answers.filter(|answer| std::future::ready(answer.is_problem())).count().await;
    if refused > 0 {
        return Err(format!("{refused} offers were refused").into());
    }
    Ok(count(FLOWS) / started.elapsed().as_secs_f64())
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
        let mut wallet = Wallet::new(load.server).await?;
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            while Instant::now() < deadline {
                let person = load.next.fetch_add(1, Ordering::Relaxed);
                if person >= end {
                    break;
                }
                let started = Instant::now();
                wallet.obtain_card(&load.token, person, "official-card-sdjwt").await?;
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
