//! `take`: an offer, or a sign-in, becomes cards in the folder.

use std::path::{Path, PathBuf};

use officials_card::chance::Chance;
use officials_card::clock::Clock;
use officials_card::credential::{Algorithm, Signer};
use serde::{Deserialize, Serialize};

use crate::authorization::Authorization;
use crate::check::Trust;
use crate::error::{Result, WalletError};
use crate::folder::{Folder, KeptGrant, key_name};
use crate::http::Http;
use crate::issuer::{Configuration, Issuer};
use crate::offer::{Offer, Way};
use crate::receive::Receiver;
use crate::refresh;
use crate::server::{Granted, Server, Tokens};
use crate::session::Session;
use crate::sign_in::{SignIn, unregistered};

/// What kind of key a card is bound to.
#[derive(Clone, Copy, Debug, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    /// P-256, which phones have in hardware.
    Es256,
    /// Ed25519.
    Ed25519,
}

impl KeyKind {
    /// Its algorithm.
    pub fn algorithm(self) -> Algorithm {
        match self {
            Self::Es256 => Algorithm::Es256,
            Self::Ed25519 => Algorithm::EdDsa,
        }
    }
}

/// The offer, and what the holder wants of it.
#[derive(Debug, clap::Args)]
pub struct Take {
    /// The link openid-credential-offer://… or the address that it contains; with --sign-in also the issuer's address.
    offer: String,
    /// The transaction code, which came on another channel.
    #[arg(long, value_name = "DIGITS")]
    tx_code: Option<String>,
    /// Sign in rather than redeem a code: no offer is needed.
    #[arg(long)]
    sign_in: bool,
    #[command(flatten)]
    who: SignIn,
    /// Wait for a card that is to come later; otherwise `refresh` gets it.
    #[arg(long)]
    poll: bool,
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
    /// Takes the offer. All that can be refused is looked at before a code, which serves once, is redeemed.
    pub async fn run(&self, folder: &Folder, http: &Http, clock: &Clock, chance: &Chance) -> Result<()> {
        let offer = self.offer(http).await?;
        let way = self.way(&offer)?;
        let issuer = Issuer::look_up(http, &offer.issuer).await?;
        let trust = self.trust(http, &issuer).await?;
        let configurations = self.chosen(&offer, &issuer)?;
        if !(1..=issuer.batch_size).contains(&self.copies) {
            let largest = issuer.batch_size;
            return Err(WalletError::Command(format!("--copies must be 1 to {largest} at this issuer")));
        }
        let encryption = issuer.encryption(self.encrypt)?;
        let server = Server::look_up(http, &issuer.server).await?;
        let client = self.who.client(folder)?;
        let product = client.as_ref().map(|client| client.product.clone());
        // A key of its own for every grant: nobody can tell by it that two are of one wallet.
        let dpop = server.takes_dpop().then(|| folder.make_key(Algorithm::Es256, chance)).transpose()?;
        let name = dpop.as_ref().map(|key| key_name(key.public_key()));
        let session = Session::new(http, clock, chance, client, dpop);
        let tokens = match way {
            Way::PreAuthorized { code, wants_tx_code } => {
                let tx_code = self.tx_code.as_deref().filter(|_| *wants_tx_code);
                if *wants_tx_code && tx_code.is_none() {
                    return Err(WalletError::Offer("needs its transaction code: --tx-code"));
                }
                server.token(&session, &Granted::PreAuthorized { code, tx_code }).await?
            }
            Way::SignIn { issuer_state } => {
                self.signed_in(&session, &server, &configurations, issuer_state.as_deref()).await?
            }
        };
        let Tokens { access, refresh } = tokens;
        let mut grant = name.map(|key| KeptGrant {
            key,
            issuer: issuer.id.clone(),
            product,
            refresh_token: refresh,
            trust_anchor_pem: trust.pem.clone(),
            key_kind: self.key,
            copies: self.copies,
            encrypt: self.encrypt,
            waiting: Vec::new(),
        });
        if let Some(grant) = &grant {
            folder.keep_grant(grant)?;
        }
        let name = grant.as_ref().map(|grant| grant.key.clone());
        let receiver =
            Receiver { folder, session: &session, issuer: &issuer, trust: &trust, encryption, grant: name.as_deref() };
        for configuration in &configurations {
            let keys =
                (0..self.copies).map(|_| folder.make_key(self.key.algorithm(), chance)).collect::<Result<Vec<_>>>()?;
            let Some(waiting) = receiver.ask(&access, configuration, &keys).await? else { continue };
            let grant =
                grant.as_mut().ok_or(WalletError::Issued("it comes later, but by no grant to come back with"))?;
            println!("{0} đang được xem xét, sẽ có sau. / {0} is under review and comes later.", configuration.id);
            grant.waiting.push(waiting);
            folder.keep_grant(grant)?;
        }
        match grant.filter(|grant| self.poll && !grant.waiting.is_empty()) {
            Some(grant) => refresh::wait(folder, &grant.key, http, clock, chance).await,
            None => Ok(()),
        }
    }

    /// The offer; with --sign-in an issuer's address is as good as an offer of all that it has.
    async fn offer(&self, http: &Http) -> Result<Offer> {
        if !self.sign_in || !self.offer.starts_with("http") {
            return Offer::fetch(http, &self.offer).await;
        }
        let issuer = Issuer::look_up(http, &self.offer).await?;
        let ways = vec![Way::SignIn { issuer_state: None }];
        Ok(Offer { configurations: issuer.configurations(), issuer: issuer.id, ways })
    }

    /// How the offer is taken: as the holder wishes, and otherwise by its code.
    fn way<'a>(&self, offer: &'a Offer) -> Result<&'a Way> {
        let fits = |way: &&Way| !self.sign_in || matches!(way, Way::SignIn { .. });
        let unfit = if self.sign_in { "cannot be taken by signing in" } else { "has no pre-authorized code" };
        offer.ways.iter().find(fits).ok_or(WalletError::Offer(unfit))
    }

    /// The person signs in, and their code becomes tokens.
    async fn signed_in(
        &self,
        session: &Session<'_>,
        server: &Server,
        configurations: &[Configuration],
        issuer_state: Option<&str>,
    ) -> Result<Tokens> {
        let client = session.client.as_ref().ok_or_else(unregistered)?;
        let scopes: Option<Vec<_>> = configurations.iter().map(|one| one.scope.as_deref()).collect();
        let scope = scopes.ok_or(WalletError::Offer("is for a card that no scope asks for"))?.join(" ");
        let redirect_uri = client.redirect_uri.as_str();
        let begin = async || Authorization::pushed(session, server, &scope, issuer_state, redirect_uri).await;
        let (authorization, back) = self.who.back(session.http, redirect_uri, begin).await?;
        let code = authorization.code(&server.id, server.names_itself, &back)?;
        server.token(session, &authorization.granted(&code)).await
    }

    /// The anchors: from files that came over a channel that the holder trusts, or else on first use.
    async fn trust(&self, http: &Http, issuer: &Issuer) -> Result<Trust> {
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

    fn chosen(&self, offer: &Offer, issuer: &Issuer) -> Result<Vec<Configuration>> {
        if self.config.iter().any(|id| !offer.configurations.contains(id)) {
            return Err(WalletError::Offer("does not hold that configuration"));
        }
        let wanted = if self.config.is_empty() { &offer.configurations } else { &self.config };
        wanted.iter().map(|id| issuer.configuration(id)).collect()
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|source| WalletError::File { path: path.to_owned(), source })
}
