//! `refresh`: the wallet goes back with its refresh tokens, without the person: for cards that were to come later, and for
//! new ones in the place of those that say something old or end soon. A wallet for phones does so in the background.

use std::collections::BTreeMap;
use std::time::Duration;

use officials_card::chance::Chance;
use officials_card::clock::{Clock, DAY_SECONDS, UnixSeconds};

use crate::check::Trust;
use crate::client::Client;
use crate::error::{Result, WalletError};
use crate::folder::{Folder, KeptCard, KeptGrant};
use crate::http::Http;
use crate::issuer::Issuer;
use crate::receive::Receiver;
use crate::server::{Granted, Server};
use crate::session::{AccessToken, Session};

/// A card is renewed so many days before it ends.
const RENEWAL_DAYS: i64 = 14;

/// What is refreshed.
#[derive(Debug, clap::Args)]
pub struct Refresh {
    /// Also get new copies of cards that are as they should be.
    #[arg(long)]
    all: bool,
    /// Wait for the cards that are to come later.
    #[arg(long)]
    poll: bool,
}

impl Refresh {
    /// Goes through all grants. What fails for one does not keep the others from theirs.
    pub async fn run(&self, folder: &Folder, http: &Http, clock: &Clock, chance: &Chance) -> Result<()> {
        let (mut has_news, mut failed) = (false, None);
        for grant in folder.grants()? {
            match self.refresh(folder, grant, http, clock, chance).await {
                Ok(news) => has_news |= news,
                Err(error) => failed = Some(error),
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        if !has_news {
            println!("Không có gì mới. / Nothing is new.");
        }
        Ok(())
    }

    /// Returns whether there was anything to ask for.
    async fn refresh(
        &self,
        folder: &Folder,
        grant: KeptGrant,
        http: &Http,
        clock: &Clock,
        chance: &Chance,
    ) -> Result<bool> {
        let first = grant.waiting.iter().map(|waiting| waiting.not_before - clock.now()).min();
        match first {
            Some(_) if self.poll => wait(folder, &grant.key, http, clock, chance).await?,
            Some(seconds) if seconds > 0 => {
                println!("Hãy hỏi lại sau {seconds} giây. / Ask again in {seconds} seconds.");
            }
            Some(_) => Visit::begin(folder, grant.key.clone(), http, clock, chance).await?.ask_again().await?,
            None => {}
        }
        let old = self.old(folder, &grant, http, clock.now()).await?;
        if !old.is_empty() {
            Visit::begin(folder, grant.key, http, clock, chance).await?.renew(old).await?;
            return Ok(true);
        }
        Ok(first.is_some())
    }

    /// The cards of a grant that want to be renewed, by their configuration.
    async fn old(
        &self,
        folder: &Folder,
        grant: &KeptGrant,
        http: &Http,
        now: UnixSeconds,
    ) -> Result<BTreeMap<String, Vec<KeptCard>>> {
        let mut cards: BTreeMap<String, Vec<KeptCard>> = BTreeMap::new();
        for card in folder.cards()?.into_iter().filter(|card| card.grant.as_ref() == Some(&grant.key)) {
            cards.entry(card.configuration.clone()).or_default().push(card);
        }
        let mut old = BTreeMap::new();
        for (configuration, copies) in cards {
            let mut is_old = self.all;
            for card in &copies {
                is_old = is_old || is_to_be_renewed(card, http, now).await?;
            }
            if is_old {
                old.insert(configuration, copies);
            }
        }
        Ok(old)
    }
}

/// Whether the issuer says that a card is no longer good, or it soon will not be.
async fn is_to_be_renewed(card: &KeptCard, http: &Http, now: UnixSeconds) -> Result<bool> {
    const LOCKED: u8 = 2;
    let trust = Trust::new(card.trust_anchor_pem.clone())?;
    let checked = match trust.checked(http, card, now).await {
        Ok(checked) => checked,
        Err(error @ WalletError::Unreachable { .. }) => return Err(error),
        // It does not check any more: it has ended, for one thing.
        Err(_) => return Ok(true),
    };
    let status = trust.status(http, &checked, now).await?;
    // A locked card comes back as it is.
    Ok(status != LOCKED && (status != 0 || checked.expires_at < now + RENEWAL_DAYS * DAY_SECONDS))
}

/// Waits until every card of a grant is there that was to come later.
pub async fn wait(folder: &Folder, grant: &str, http: &Http, clock: &Clock, chance: &Chance) -> Result<()> {
    loop {
        let first = folder.grant(grant)?.waiting.iter().map(|waiting| waiting.not_before).min();
        let Some(first) = first else { return Ok(()) };
        let seconds = u64::try_from(first - clock.now()).unwrap_or(0);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        Visit::begin(folder, grant.to_owned(), http, clock, chance).await?.ask_again().await?;
    }
}

/// One call at the issuer with a refresh token.
struct Visit<'a> {
    folder: &'a Folder,
    grant: KeptGrant,
    issuer: Issuer,
    trust: Trust,
    session: Session<'a>,
    token: AccessToken,
}

impl<'a> Visit<'a> {
    async fn begin(
        folder: &'a Folder,
        grant: String,
        http: &'a Http,
        clock: &'a Clock,
        chance: &'a Chance,
    ) -> Result<Self> {
        let mut grant = folder.grant(&grant)?;
        let refresh_token = grant.refresh_token.clone().ok_or_else(|| {
            WalletError::Command("the issuer gave no refresh token: take a new offer or sign in again".to_owned())
        })?;
        let issuer = Issuer::look_up(http, &grant.issuer).await?;
        let server = Server::look_up(http, &issuer.server).await?;
        let client = grant.product.as_deref().map(|product| Client::open(product, folder)).transpose()?;
        let session = Session::new(http, clock, chance, client, Some(folder.key(&grant.key)?));
        let tokens = server.token(&session, &Granted::Refresh(&refresh_token)).await?;
        // An issuer may give a new one with every use.
        if let Some(new) = tokens.refresh.filter(|new| *new != refresh_token) {
            grant.refresh_token = Some(new);
            folder.keep_grant(&grant)?;
        }
        let trust = Trust::new(grant.trust_anchor_pem.clone())?;
        Ok(Self { folder, issuer, trust, session, token: tokens.access, grant })
    }

    fn receiver(&self) -> Result<Receiver<'_>> {
        Ok(Receiver {
            folder: self.folder,
            session: &self.session,
            issuer: &self.issuer,
            trust: &self.trust,
            encryption: self.issuer.encryption(self.grant.encrypt)?,
            grant: Some(&self.grant.key),
        })
    }

    /// Asks for all that was to come later and may be asked for by now.
    async fn ask_again(mut self) -> Result<()> {
        let mut still = Vec::new();
        for waiting in std::mem::take(&mut self.grant.waiting) {
            if waiting.not_before > self.session.clock.now() {
                still.push(waiting);
                continue;
            }
            match self.receiver()?.ask_again(&self.token, &waiting).await {
                Ok(None) => {}
                Ok(Some(later)) => {
                    println!("{0} còn đang được xem xét. / {0} is still under review.", later.configuration.id);
                    still.push(later);
                }
                Err(WalletError::Refused { code, .. }) if code == "invalid_transaction_id" => {
                    println!("Không còn chờ được nữa. / There is nothing to wait for any more.");
                }
                Err(error) => return Err(error),
            }
        }
        self.grant.waiting = still;
        self.folder.keep_grant(&self.grant)
    }

    /// Gets new cards, and only then throws the old ones away.
    async fn renew(mut self, old: BTreeMap<String, Vec<KeptCard>>) -> Result<()> {
        for (id, copies) in old {
            let configuration = self.issuer.configuration(&id)?;
            let algorithm = self.grant.key_kind.algorithm();
            let keys = (0..self.grant.copies).map(|_| self.folder.make_key(algorithm, self.session.chance));
            let keys = keys.collect::<Result<Vec<_>>>()?;
            match self.receiver()?.ask(&self.token, &configuration, &keys).await {
                Ok(None) => copies.iter().try_for_each(|card| self.folder.remove(card))?,
                Ok(Some(waiting)) => {
                    self.grant.waiting.push(waiting);
                    self.folder.keep_grant(&self.grant)?;
                }
                // The card is withdrawn, not replaced.
                Err(WalletError::Refused { code, .. }) if code == "credential_request_denied" => {
                    println!("{id} không được cấp lại. / {id} is not given again.");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
