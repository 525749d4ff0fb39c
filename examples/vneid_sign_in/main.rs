//! A simulator of the sign-in at VNeID: a real OpenID provider (discovery, code flow with PKCE, ID tokens, userinfo) with
//! a plain HTML form. Everybody with twelve digits has an account, all with the same password.
//!
//! ```text
//! cargo run --example vneid_sign_in -- --listen 127.0.0.1:8091 --client-id officials-card --client-secret secret \
//!     --redirect-uri http://127.0.0.1:8080/sign-in/callback
//! ```
//!
//! Nothing is published about what VNeID announces; scopes, claims and `acr` values are made up and are the defaults of
//! the server's settings.

mod provider;

use std::error::Error;
use std::path::PathBuf;

use clap::Parser;
use officials_card::chance::Chance;
use officials_card::clock::Clock;
use provider::{Algorithm, Settings};

/// Simulates the sign-in at VNeID.
#[derive(Parser)]
struct Arguments {
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:8091")]
    listen: String,
    /// Its issuer identifier, when it is reached by another name than the address it listens on; no trailing slash.
    #[arg(long)]
    issuer: Option<String>,
    /// The client's name.
    #[arg(long, default_value = "officials-card")]
    client_id: String,
    /// The client's secret, for `client_secret_basic`.
    #[arg(long, env = "VNEID_CLIENT_SECRET", hide_env_values = true, required_unless_present = "client_key")]
    client_secret: Option<String>,
    /// A file with the client's public P-256 key (JWK), for `private_key_jwt`.
    #[arg(long)]
    client_key: Option<PathBuf>,
    /// Where browsers may be sent back to; may be repeated.
    #[arg(long = "redirect-uri", required = true)]
    redirect_uris: Vec<String>,
    /// The password of everybody.
    #[arg(long, default_value = "matkhau")]
    password: String,
    /// How ID tokens are signed.
    #[arg(long, value_enum, default_value = "rs256")]
    algorithm: Algorithm,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let listener = tokio::net::TcpListener::bind(&arguments.listen).await?;
    let client_key = match arguments.client_key {
        Some(file) => Some(serde_json::from_str(&std::fs::read_to_string(file)?)?),
        None => None,
    };
    let issuer = match arguments.issuer {
        Some(issuer) => issuer,
        None => format!("http://{}", listener.local_addr()?),
    };
    let settings = Settings {
        issuer,
        client_id: arguments.client_id,
        client_secret: arguments.client_secret,
        client_key,
        redirect_uris: arguments.redirect_uris,
        password: arguments.password,
        algorithm: arguments.algorithm,
        officers: None,
    };
    // The address comes first and on its own line: whoever started this program on a free port reads it.
    println!("{}", settings.issuer);
    eprintln!("everybody's password: {}", settings.password);
    let router = provider::router(settings, Clock::system(), Chance::system())?;
    axum::serve(listener, router).await?;
    Ok(())
}
