//! `take`: an offer becomes cards in the folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use officials_card::chance::Chance;
use officials_card::clock::Clock;
use officials_card::credential::trust_list::TrustList;
use officials_card::credential::{Algorithm, Signer};
use officials_card::keyring::FileKey;
use serde_json::Value;

use crate::check::{Checked, QR_FORMAT, Trust, is_understood};
use crate::error::{Result, WalletError};
use crate::folder::{Folder, KeptCard, key_name};
use crate::http::Http;
use crate::issuer::{AccessToken, Issued, Issuer, Offer};

/// What kind of key a card is bound to.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum KeyKind {
    /// P-256, which phones have in hardware.
    Es256,
    /// Ed25519.
    Ed25519,
}

/// The offer, and what the holder wants of it.
#[derive(Debug, clap::Args)]
pub struct Take {
    /// The link openid-credential-offer://… or the address that it contains.
    offer: String,
    /// The transaction code, which came on another channel.
    #[arg(long, value_name = "DIGITS")]
    tx_code: Option<String>,
    /// The kind of holder key.
    #[arg(long, value_enum, default_value = "es256")]
    key: KeyKind,
    /// Copies of each card, so that no two presentations can be linked by their key.
    #[arg(long, value_name = "N", default_value_t = 1)]
    copies: usize,
    /// Take only these configurations of the offer.
    #[arg(long, value_name = "ID", num_args = 1..)]
    config: Vec<String>,
    /// Encrypt the request, and ask for an encrypted answer; done anyway when the issuer requires it.
    #[arg(long)]
    encrypt: bool,
    /// The certificates (PEM) that issuers must lead back to: the root and, for an mdoc, the IACA; fetched from the
    /// issuer, with a warning, when absent.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    trust_anchor: Vec<PathBuf>,
}

impl Take {
    /// Takes the offer. All that can be refused is looked at before the code, which serves once, is redeemed.
    pub async fn run(&self, folder: &Folder, http: &Http, clock: &Clock, chance: &Chance) -> Result<()> {
        let offer = Offer::fetch(http, &self.offer).await?;
        let issuer = Issuer::look_up(http, &offer.issuer).await?;
        let trust = self.trust(http, &issuer).await?;
        let configurations = self.chosen(&offer, &issuer)?;
        if !(1..=issuer.batch_size()).contains(&self.copies) {
            let largest = issuer.batch_size();
            return Err(WalletError::Command(format!("--copies must be 1 to {largest} at this issuer")));
        }
        let encryption = issuer.encryption(self.encrypt)?;
        let token = issuer.redeem(&offer, self.tx_code.as_deref()).await?;
        for configuration in &configurations {
            let keys =
                (0..self.copies).map(|_| folder.make_key(self.algorithm(), chance)).collect::<Result<Vec<_>>>()?;
            let issued = issuer.request(&token, &configuration.id, &keys, encryption, clock.now()).await?;
            let list = match configuration.format.as_str() {
                QR_FORMAT => Some(trust.list(http, &issuer.id, clock.now()).await?),
                _ => None,
            };
            match received(configuration, &issuer, &issued, &keys, &trust, list.as_ref(), clock) {
                Ok(cards) => cards.iter().try_for_each(|card| folder.keep(card))?,
                Err(refused) => {
                    tell(&issuer, &token, &issued, "credential_failure").await;
                    return Err(refused);
                }
            }
            tell(&issuer, &token, &issued, "credential_accepted").await;
            let (copies, id) = (issued.credentials.len(), &configuration.id);
            println!("Đã nhận {copies} bản {id}. / Received {copies} of {id}.");
        }
        Ok(())
    }

    fn algorithm(&self) -> Algorithm {
        match self.key {
            KeyKind::Es256 => Algorithm::Es256,
            KeyKind::Ed25519 => Algorithm::EdDsa,
        }
    }

    /// The anchors: from files that came over a channel that the holder trusts, or else on first use.
    async fn trust(&self, http: &Http, issuer: &Issuer<'_>) -> Result<Trust> {
        let mut pem = String::new();
        for path in &self.trust_anchor {
            pem.push_str(&read(path)?);
        }
        if self.trust_anchor.is_empty() {
            eprintln!(
                "Cảnh báo: chứng thư gốc được lấy từ chính nơi cấp; hãy dùng --trust-anchor.\n\
                 Warning: the root certificate comes from the issuer itself; use --trust-anchor."
            );
            for name in ["trust-anchor.pem", "iaca.pem"] {
                let fetched = http.get("trust anchor", &format!("{}/{name}", issuer.id), "*/*").await?;
                pem +=
                    &String::from_utf8(fetched).map_err(|_| WalletError::Answer("trust anchor", "is no PEM text"))?;
            }
        }
        Trust::new(pem)
    }

    fn chosen(&self, offer: &Offer, issuer: &Issuer<'_>) -> Result<Vec<Configuration>> {
        if self.config.iter().any(|id| !offer.configurations.contains(id)) {
            return Err(WalletError::Offer("does not hold that configuration"));
        }
        let wanted = if self.config.is_empty() { &offer.configurations } else { &self.config };
        wanted.iter().map(|id| Configuration::read(id, issuer.configuration(id)?)).collect()
    }
}

/// What the metadata says about an offered configuration.
struct Configuration {
    id: String,
    format: String,
    vct: Option<String>,
    doctype: Option<String>,
}

impl Configuration {
    fn read(id: &str, metadata: &Value) -> Result<Self> {
        let text = |name: &str| metadata.get(name).and_then(Value::as_str).map(str::to_owned);
        let format = text("format").filter(|format| is_understood(format));
        let format = format.ok_or(WalletError::Offer("is for a format that this wallet does not understand"))?;
        Ok(Self { id: id.to_owned(), format, vct: text("vct"), doctype: text("doctype") })
    }
}

/// The cards of an answer, checked: each is bound to one of the keys that were sent, and no two to the same.
fn received(
    configuration: &Configuration,
    issuer: &Issuer<'_>,
    issued: &Issued,
    keys: &[FileKey],
    trust: &Trust,
    list: Option<&TrustList>,
    clock: &Clock,
) -> Result<Vec<KeptCard>> {
    let mut unbound: BTreeMap<String, &FileKey> = keys.iter().map(|key| (key_name(key.public_key()), key)).collect();
    let check = |credential: &String| {
        let mut card = KeptCard {
            configuration: configuration.id.clone(),
            format: configuration.format.clone(),
            credential: credential.clone(),
            key: String::new(),
            issuer: issuer.id.clone(),
            vct: configuration.vct.clone(),
            doctype: configuration.doctype.clone(),
            trust_anchor_pem: trust.pem.clone(),
            received_at: clock.now(),
            times_shown: 0,
        };
        let holder = Checked::new(&card, trust, list, clock.now())?.holder;
        card.key = key_name(&holder);
        unbound.remove(&card.key).ok_or(WalletError::Issued("it is not bound to a key of its own of this wallet"))?;
        Ok(card)
    };
    issued.credentials.iter().map(check).collect()
}

/// The issuer may learn what became of its cards; that it did not is no reason to lose them.
async fn tell(issuer: &Issuer<'_>, token: &AccessToken, issued: &Issued, event: &str) {
    if let Err(error) = issuer.notify(token, issued, event).await {
        eprintln!("Chưa báo được cho nơi cấp. / The issuer could not be told: {error}.");
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|source| WalletError::File { path: path.to_owned(), source })
}
