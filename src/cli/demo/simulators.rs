//! The programs that stand in for the authorities: they are examples of this crate, run beside this program, and end
//! with it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::settings::{POPULATION_USER, X_ROAD_CLIENT};
use crate::error::{Fault, Result};

/// How long a simulator may take to start.
const START: Duration = Duration::from_secs(10);

/// A simulator that runs; it ends when this is dropped.
pub struct Simulator {
    /// Where it is reached.
    pub url: String,
    _process: Child,
}

/// The population database, which knows the people of a file, and us by `secret`.
pub async fn population_registry(people: &Path, secret: &str) -> Result<Simulator> {
    start("population_registry", |command| {
        command
            .arg("--file")
            .arg(people)
            .args(["--listen", "127.0.0.1:0", "--user", POPULATION_USER, "--x-road-client", X_ROAD_CLIENT])
            .env("POPULATION_SECRET", secret);
    })
    .await
}

/// The sign-in at VNeID, which sends browsers back to one of `callbacks`.
pub async fn vneid_sign_in(client_id: &str, secret: &str, callbacks: &[String], password: &str) -> Result<Simulator> {
    start("vneid_sign_in", |command| {
        command
            .args(["--listen", "127.0.0.1:0", "--client-id", client_id])
            .args(callbacks.iter().flat_map(|callback| ["--redirect-uri", callback.as_str()]))
            .args(["--password", password])
            .env("VNEID_CLIENT_SECRET", secret)
            // It would say the password, which the guide does.
            .stderr(Stdio::null());
    })
    .await
}

/// The sign-in of officers, who have these accounts, some with their personal numbers behind `=`.
pub async fn officer_sign_in(
    client_id: &str,
    secret: &str,
    callback: &str,
    password: &str,
    accounts: &[String],
) -> Result<Simulator> {
    start("officer_sign_in", |command| {
        command
            .args(["--listen", "127.0.0.1:0", "--client-id", client_id])
            .args(["--redirect-uri", callback, "--password", password])
            .env("OFFICER_SIGN_IN_CLIENT_SECRET", secret);
        for account in accounts {
            command.args(["--account", account]);
        }
    })
    .await
}

/// Starts an example of this crate and waits for its address, which it prints first.
async fn start(name: &str, arguments: impl FnOnce(&mut Command)) -> Result<Simulator> {
    let doing = "starting a simulator";
    let fault = |error: std::io::Error| Fault::new(doing, format!("{name}: {error}"));
    let own = std::env::current_exe().map_err(fault)?;
    let program = own.with_file_name("examples").join(name);
    if !program.exists() && !build(&own, name).await.is_ok_and(|built| built && program.exists()) {
        let hint = format!("{} is missing: build it with `cargo build --examples`", program.display());
        return Err(Fault::new(doing, hint).into());
    }
    let mut command = Command::new(program);
    arguments(&mut command);
    let mut process = command.stdout(Stdio::piped()).stdin(Stdio::null()).kill_on_drop(true).spawn().map_err(fault)?;
    let output = process.stdout.take().ok_or_else(|| Fault::new(doing, "it has no output"))?;
    let mut lines = BufReader::new(output).lines();
    let line = tokio::time::timeout(START, lines.next_line()).await;
    let line = line.map_err(|_| Fault::new(doing, format!("{name} did not start in time")))?.map_err(fault)?;
    let url = line.ok_or_else(|| Fault::new(doing, format!("{name} stopped at once")))?.trim().to_owned();
    Ok(Simulator { url, _process: process })
}

/// Builds a simulator beside a program that cargo built without its examples. Returns whether it could.
async fn build(own: &Path, name: &str) -> std::io::Result<bool> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let (Some(profile), true) = (own.parent(), manifest.exists()) else { return Ok(false) };
    let Some(target) = profile.parent() else { return Ok(false) };
    eprintln!("building {name} …");
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--quiet", "--locked", "--example", name]);
    cargo.arg("--manifest-path").arg(manifest).arg("--target-dir").arg(target);
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    // Standard output is for the line of JSON.
    Ok(cargo.stdout(Stdio::null()).status().await?.success())
}
