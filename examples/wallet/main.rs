//! The reference wallet, on the command line: for developers of wallets to read, and to try an issuer with.
//!
//! ```text
//! wallet take 'openid-credential-offer://?credential_offer_uri=…' --tx-code 493021
//! wallet take --sign-in https://card.example --product wallet.json
//! wallet show
//! wallet refresh
//! wallet qr --watch
//! wallet present 'openid4vp://?client_id=…&request_uri=…' --trust-anchor verifiers.pem
//! wallet me https://card.example --product wallet.json propose marital_status=2
//! wallet present --audience https://verifier.example --nonce 7Kq2
//! ```
//!
//! Read on in this order: `take.rs` (the story of issuance), `offer.rs`, `server.rs` (the authorization server: OAuth 2.0,
//! pushed requests), `authorization.rs` (the code flow, with `listener.rs` waiting for the browser), `issuer.rs` (the
//! credential issuer: OpenID4VCI 1.0), `receive.rs` and `check.rs` (what a careful wallet checks), `refresh.rs` (how cards
//! stay true without the person). What goes with every request: `session.rs` (DPoP), `client.rs` (which wallet asks),
//! `envelope.rs` (encryption). Then `code.rs` (the live QR code), `present.rs` (SD-JWT with key binding), `answer.rs` and `request.rs`
//! (presenting online: OpenID4VP 1.0), `show.rs`, and `me.rs` (the person's own side; `sign_in.rs` lets them sign in); below
//! them `folder.rs` and `http.rs`, and `browser.rs`, a person for tests. Signatures and formats are the library's
//! (`officials_card::credential`).
//!
//! What a wallet for phones does differently: its keys never leave the phone's hardware, and opening the card asks for
//! the holder's finger, face or PIN.

mod answer;
mod authorization;
mod browser;
mod check;
mod client;
mod code;
mod envelope;
mod error;
mod folder;
mod http;
mod issuer;
mod listener;
mod me;
mod offer;
mod present;
mod receive;
mod refresh;
mod request;
mod server;
mod session;
mod show;
mod sign_in;
mod take;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use officials_card::chance::Chance;
use officials_card::clock::Clock;

use crate::error::Result;
use crate::folder::Folder;
use crate::http::Http;

/// Ví mẫu cho thẻ cán bộ, công chức, viên chức / A reference wallet for the officials card
#[derive(Debug, Parser)]
#[command(name = "wallet", version)]
struct Arguments {
    /// The folder with keys and cards.
    #[arg(long, global = true, default_value = "wallet", value_name = "DIR")]
    dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take an offer, or sign in: cards come into the wallet.
    Take(Box<take::Take>),
    /// Get cards that were to come later, and new ones in the place of old ones.
    Refresh(refresh::Refresh),
    /// Show the cards that are held, and their status.
    Show(show::Show),
    /// Show the live QR code, good for a minute.
    Qr(code::Code),
    /// Present a card to a verifier.
    Present(Box<present::Present>),
    /// What the State holds on you: see it, have it changed, freeze a card.
    Me(Box<me::Me>),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Không thực hiện được. / It did not work: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    let folder = Folder::new(arguments.dir);
    let clock = Clock::system();
    match arguments.command {
        Command::Take(take) => take.run(&folder, &Http::new()?, &clock, &Chance::system()).await,
        Command::Refresh(refresh) => refresh.run(&folder, &Http::new()?, &clock, &Chance::system()).await,
        Command::Show(show) => show.run(&folder, &Http::new()?, &clock).await,
        Command::Qr(code) => code.run(&folder, &clock).await,
        Command::Me(me) => me.run(&folder, &Http::new()?, &clock, &Chance::system()).await,
        Command::Present(present) => present.run(&folder, &clock, &Chance::system()).await,
    }
}
