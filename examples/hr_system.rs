//! A unit's own personnel system, as small as it can be: logs in at the Ministry's synchronisation interface and sends the
//! rows of a personnel file, one call for each. Units may copy it.
//!
//! ```text
//! HR_PASSWORD=… cargo run --example hr_system -- --url http://127.0.0.1:8080 --user hanoi-hrm --org H26 \
//!     --file personnel.csv --action EDIT
//! ```
//!
//! The file is the one that `officials-card records import` reads: a header of field codes, columns of lists as
//! `work_history_from[1]`. What the interface of 2020 has no name for goes in the section `THONGTIN_BOSUNG`.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use officials_card::model::catalogue::Catalogue;
use officials_card::protocol::ministry::{Action, Dossier, LOGIN_PATHS, OPERATIONS_PATH, Operation, Packet};
use reqwest::{Client, StatusCode};
use serde_json::{Map, Value, json};

/// The number of a dossier, which is not a member of a section.
const NUMBER: &str = "agency_personnel_number";

/// Sends personnel records through the Ministry's synchronisation interface.
#[derive(Parser)]
struct Arguments {
    /// The base address.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// User name.
    #[arg(long)]
    user: String,
    /// Password.
    #[arg(long, env = "HR_PASSWORD", hide_env_values = true)]
    password: String,
    /// The sending agency.
    #[arg(long)]
    org: String,
    /// The personnel file, CSV.
    #[arg(long)]
    file: PathBuf,
    /// What is to be done with the dossiers: ADD, EDIT or DEL.
    #[arg(long, default_value = "ADD", value_parser = action)]
    action: Action,
}

fn action(word: &str) -> Result<Action, &'static str> {
    Action::parse(word).ok_or("must be ADD, EDIT or DEL")
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments = Arguments::parse();
    let client = Client::new();
    let mut token = log_in(&client, &arguments).await?;
    let mut reader = csv::Reader::from_path(&arguments.file)?;
    let header = reader.headers()?.clone();
    let (mut done, mut refused) = (0, 0);
    for (row, line) in reader.records().zip(2..) {
        let packet = Packet {
            org_code: arguments.org.clone(),
            sender: arguments.org.clone(),
            action: arguments.action,
            dossiers: vec![dossier(&header, &row?)],
            ignored: Vec::new(),
        };
        let body = packet.write(Catalogue::current());
        let mut answer = call(&client, &arguments, &token, &body).await?;
        if answer.is_none() {
            // The token is over: once more with another.
            token = log_in(&client, &arguments).await?;
            answer = call(&client, &arguments, &token, &body).await?;
        }
        let answer = answer.ok_or("the token is refused")?;
        if answer["err_code"] == 0 {
            done += 1;
        } else {
            refused += 1;
            println!("line {line}: {}", answer["message"].as_str().unwrap_or_default());
        }
    }
    println!("{done} done, {refused} refused");
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn log_in(client: &Client, arguments: &Arguments) -> Result<String, Box<dyn Error>> {
    let credentials = json!({"username": arguments.user, "password": arguments.password});
    let url = format!("{}{}", arguments.url, LOGIN_PATHS[0]);
    let answer: Value = client.post(url).json(&credentials).send().await?.json().await?;
    let token = answer["access_token"].as_str().map(str::to_owned);
    token.ok_or_else(|| answer["message"].as_str().unwrap_or("no token").into())
}

/// `None` when the token is not taken.
async fn call(
    client: &Client,
    arguments: &Arguments,
    token: &str,
    body: &Value,
) -> Result<Option<Value>, Box<dyn Error>> {
    let url = format!("{}{OPERATIONS_PATH}{}", arguments.url, Operation::Whole.word());
    let answer = client.post(url).bearer_auth(token).json(body).send().await?;
    if answer.status() == StatusCode::UNAUTHORIZED {
        return Ok(None);
    }
    Ok(Some(answer.json().await?))
}

/// A row in the names of the catalogue: columns of lists gathered into their entries, empty cells left out.
fn dossier(header: &csv::StringRecord, row: &csv::StringRecord) -> Dossier {
    let catalogue = Catalogue::current();
    let (mut number, mut content) = (String::new(), Map::new());
    let mut lists: BTreeMap<&str, BTreeMap<usize, Map<String, Value>>> = BTreeMap::new();
    for (name, cell) in header.iter().zip(row).filter(|(_, cell)| !cell.is_empty()) {
        let (code, entry) = name.trim_end_matches(']').split_once('[').unwrap_or((name, ""));
        let list = catalogue.field(code).and_then(|field| field.list);
        if code == NUMBER {
            cell.clone_into(&mut number);
        } else if let (Some(list), Ok(entry)) = (list, entry.parse()) {
            let list = lists.entry(&catalogue.lists()[list].name).or_default();
            list.entry(entry).or_default().insert(code.to_owned(), cell.into());
        } else {
            // A list in one cell is JSON.
            let value = serde_json::from_str(cell).ok().filter(Value::is_array);
            content.insert(name.to_owned(), value.unwrap_or_else(|| cell.into()));
        }
    }
    let lists =
        lists.into_iter().map(|(name, entries)| (name.to_owned(), entries.into_values().collect::<Vec<_>>().into()));
    content.extend(lists);
    Dossier { number, content, effective_on: None }
}
