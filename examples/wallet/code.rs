//! `qr`: the live code of profile D, countersigned by the holder's key at this moment and good for a minute.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use officials_card::clock::Clock;
use officials_card::credential::Signer;
use officials_card::credential::qr::{self, Challenge};
use officials_card::credential::symbol::{Ecc, Symbol};

use crate::check::{QR_FORMAT, read_qr};
use crate::error::{Result, WalletError};
use crate::folder::{Folder, KeptCard, replace_file};

/// How often a watched code is made anew: a checkpoint accepts it for 60 seconds.
const REDRAW: Duration = Duration::from_secs(20);
/// Pixels of a module in the PNG.
const MODULE_PIXELS: u32 = 8;

/// How the code is shown.
#[derive(Debug, clap::Args)]
pub struct Code {
    /// Also draw it into this PNG file.
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,
    /// The 4 to 6 digits that the checkpoint shows: they are signed too.
    #[arg(long, value_name = "DIGITS", value_parser = challenge)]
    challenge: Option<Challenge>,
    /// Make it anew every 20 seconds.
    #[arg(long)]
    watch: bool,
    /// Print its text and draw nothing in the terminal.
    #[arg(long)]
    text: bool,
}

impl Code {
    /// Shows the code once, or until the holder stops it.
    pub async fn run(&self, folder: &Folder, clock: &Clock) -> Result<()> {
        let card = folder.next_to_show(QR_FORMAT, None)?;
        let key = folder.key(&card.key)?;
        folder.count_shown(card.clone())?;
        loop {
            self.draw(&live_text(&card, &key, clock, self.challenge.as_ref())?)?;
            if !self.watch {
                return Ok(());
            }
            tokio::time::sleep(REDRAW).await;
        }
    }

    fn draw(&self, text: &str) -> Result<()> {
        let symbol = Symbol::new(text, Ecc::Low)?;
        if let Some(path) = &self.png {
            replace_file(path, &symbol.png(MODULE_PIXELS)?)?;
        }
        let mut screen = std::io::stdout().lock();
        let drawn = if self.text {
            writeln!(screen, "{text}")
        } else {
            // ECMA-48: cursor home, erase in page. A code that is drawn once leaves the terminal as it is.
            let clear = if self.watch { "\x1b[H\x1b[2J" } else { "" };
            writeln!(screen, "{clear}{}", symbol.terminal())
        };
        drawn.and_then(|()| screen.flush()).map_err(|source| WalletError::File { path: "stdout".into(), source })
    }
}

/// The text of the code: the card as issued, and the holder's countersignature over it and over this moment.
fn live_text(card: &KeptCard, key: &dyn Signer, clock: &Clock, challenge: Option<&Challenge>) -> Result<String> {
    let mut message = read_qr(&card.credential)?.message;
    qr::countersign(&mut message, key, clock.now(), challenge)?;
    Ok(qr::encode(&message.encode()))
}

fn challenge(digits: &str) -> Result<Challenge, String> {
    Challenge::parse(digits).ok_or_else(|| "must be 4 to 6 digits".to_owned())
}
