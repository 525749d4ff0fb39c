//! A simulator of the sign-in of officers: the OpenID provider of `examples/vneid_sign_in` with accounts of its own and
//! a second factor, which the page itself tells. What it shows of the second factor is in `amr` (RFC 8176).
//!
//! ```text
//! cargo run --example officer_sign_in -- --listen 127.0.0.1:8092 --client-id officials-card-office \
//!     --redirect-uri http://127.0.0.1:8080/office/callback --account clerk --account head=001199000018
//! ```

#[path = "../vneid_sign_in/provider/mod.rs"]
mod provider;

use std::error::Error;

use clap::Parser;
use officials_card::chance::Chance;
use officials_card::clock::Clock;
use provider::{Account, Algorithm, Settings};

/// Simulates the sign-in of officers.
#[derive(Parser)]
struct Arguments {
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:8092")]
    listen: String,
    /// The client's name.
    #[arg(long, default_value = "officials-card-office")]
    client_id: String,
    /// The client's secret, for `client_secret_basic`.
    #[arg(long, env = "OFFICER_SIGN_IN_CLIENT_SECRET", hide_env_values = true)]
    client_secret: String,
    /// Where browsers may be sent back to; may be repeated.
    #[arg(long = "redirect-uri", required = true)]
    redirect_uris: Vec<String>,
    /// The password of everybody.
    #[arg(long, default_value = "matkhau")]
    password: String,
    /// An account, with the personal number of its owner behind `=` if that is known; may be repeated.
    #[arg(long = "account", required = true)]
    accounts: Vec<String>,
    /// How ID tokens are signed.
    #[arg(long, value_enum, default_value = "rs256")]
    algorithm: Algorithm,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let listener = tokio::net::TcpListener::bind(&arguments.listen).await?;
    let account = |text: &String| match text.split_once('=') {
        Some((username, number)) => Account { username: username.into(), personal_number: Some(number.into()) },
        None => Account { username: text.clone(), personal_number: None },
    };
    let settings = Settings {
        issuer: format!("http://{}", listener.local_addr()?),
        client_id: arguments.client_id,
        client_secret: Some(arguments.client_secret),
        client_key: None,
        redirect_uris: arguments.redirect_uris,
        password: arguments.password,
        algorithm: arguments.algorithm,
        officers: Some(arguments.accounts.iter().map(account).collect()),
    };
    // The address comes first and on its own line: whoever started this program on a free port reads it.
    println!("{}", settings.issuer);
    let router = provider::router(settings, Clock::system(), Chance::system())?;
    axum::serve(listener, router).await?;
    Ok(())
}
