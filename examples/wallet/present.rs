//! `present`: a verifier's link is answered online (`answer.rs`); or an SD-JWT card with the chosen claims is printed,
//! bound by the holder's key to one verifier and one question.

use std::path::PathBuf;

use officials_card::chance::Chance;
use officials_card::clock::Clock;
use officials_card::credential::sd_jwt;
use officials_card::protocol::dcql::Format;

use crate::answer::{Wishes, answer};
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
    /// The verifier's link: openid4vp://…, haip-vp://… or https://…
    #[arg(required_unless_present = "audience", requires = "trust_anchor")]
    link: Option<String>,
    /// The root certificates of the verifiers that are answered, as PEM.
    #[arg(long, value_name = "FILE")]
    trust_anchor: Option<PathBuf>,
    /// Answer with a card of this format only.
    #[arg(long, requires = "link")]
    format: Option<CardFormat>,
    /// Say yes to whatever the verifier asks for.
    #[arg(long, requires = "link")]
    yes: bool,
    /// Without a link: the verifier, as it names itself.
    #[arg(long, conflicts_with = "link", requires = "nonce")]
    audience: Option<String>,
    /// Without a link: the nonce that the verifier chose.
    #[arg(long, conflicts_with = "link")]
    nonce: Option<String>,
    /// Without a link: the claims to disclose, separated by commas; empty for none.
    #[arg(long, value_name = "CLAIM,…", value_delimiter = ',', num_args = 1, conflicts_with = "link")]
    disclose: Option<Vec<String>>,
    /// Present a card of this configuration.
    #[arg(long, value_name = "ID")]
    config: Option<String>,
}

/// The formats that are presented online.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum CardFormat {
    /// SD-JWT VC.
    SdJwt,
    /// ISO/IEC 18013-5.
    Mdoc,
}

impl Present {
    /// Answers the verifier, or prints the presentation.
    pub async fn run(&self, folder: &Folder, clock: &Clock, chance: &Chance) -> Result<()> {
        let (Some(link), Some(trust_anchor)) = (&self.link, &self.trust_anchor) else {
            return self.print(folder, clock);
        };
        let format = self.format.map(|format| match format {
            CardFormat::SdJwt => Format::SdJwt,
            CardFormat::Mdoc => Format::Mdoc,
        });
        let wishes = Wishes { trust_anchor, format, configuration: self.config.as_deref(), yes: self.yes };
        answer(link, &wishes, folder, clock, chance).await
    }

    fn print(&self, folder: &Folder, clock: &Clock) -> Result<()> {
        let (Some(audience), Some(nonce)) = (&self.audience, &self.nonce) else {
            return Err(WalletError::Command("name the verifier and its nonce, or give its link".into()));
        };
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
        let presentation = sd_jwt::bind(&selected, &key, audience, nonce, clock.now())?;
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
