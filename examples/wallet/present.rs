//! `present`: an SD-JWT card with the chosen claims, bound by the holder's key to one verifier and one question.

use officials_card::clock::Clock;
use officials_card::credential::sd_jwt;

use crate::check::Trust;
use crate::error::{Result, WalletError};
use crate::folder::Folder;

/// What is disclosed unless the holder says otherwise: enough to recognise an official, and neither the personal number
/// (which the full card number contains), the birth date nor the gender.
pub const DEFAULT_DISCLOSURE: [&str; 6] =
    ["full_name", "portrait", "managing_agency", "employing_agency", "position_title", "card_number_masked"];

/// To whom the card is presented, and how much of it.
#[derive(Debug, clap::Args)]
pub struct Present {
    /// The verifier, as it names itself.
    #[arg(long)]
    audience: String,
    /// The nonce that the verifier chose.
    #[arg(long)]
    nonce: String,
    /// The claims to disclose, separated by commas; empty for none.
    #[arg(long, value_name = "CLAIM,…", value_delimiter = ',', num_args = 1)]
    disclose: Option<Vec<String>>,
    /// Present a card of this configuration.
    #[arg(long, value_name = "ID")]
    config: Option<String>,
}

impl Present {
    /// Prints the presentation.
    pub fn run(&self, folder: &Folder, clock: &Clock) -> Result<()> {
        let card = folder.next_to_show(sd_jwt::TYPE, self.config.as_deref())?;
        let wanted = self.wanted();
        let held = Trust::new(card.trust_anchor_pem.clone())?
            .sd_jwt(&card.credential, card.vct.as_deref().unwrap_or_default(), clock.now())?
            .claims;
        let unknown = wanted.iter().find(|name| !name.is_empty() && !held.contains_key(**name));
        if let Some(unknown) = unknown.filter(|_| self.disclose.is_some()) {
            return Err(WalletError::Command(format!("the card has no claim {unknown}")));
        }
        let selected = sd_jwt::select(&card.credential, |name| wanted.contains(&name));
        let key = folder.key(&card.key)?;
        let presentation = sd_jwt::bind(&selected, &key, &self.audience, &self.nonce, clock.now())?;
        folder.count_shown(card)?;
        println!("{presentation}");
        Ok(())
    }

    fn wanted(&self) -> Vec<&str> {
        match &self.disclose {
            Some(names) => names.iter().map(String::as_str).collect(),
            None => DEFAULT_DISCLOSURE.to_vec(),
        }
    }
}
