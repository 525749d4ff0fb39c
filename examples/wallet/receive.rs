//! Cards come in: they are asked for, checked, kept, and the issuer is told what became of them.

use std::collections::BTreeMap;

use officials_card::credential::Signer;
use officials_card::credential::trust_list::TrustList;
use officials_card::keyring::FileKey;

use crate::check::{Checked, QR_FORMAT, Trust};
use crate::envelope::Offered;
use crate::error::{Result, WalletError};
use crate::folder::{Folder, KeptCard, Waiting, key_name};
use crate::issuer::{Answered, Configuration, Issued, Issuer};
use crate::session::{AccessToken, Session};

/// Who receives, and from whom.
pub struct Receiver<'a> {
    /// Where cards are kept.
    pub folder: &'a Folder,
    /// How the issuer is asked.
    pub session: &'a Session<'a>,
    /// The issuer.
    pub issuer: &'a Issuer,
    /// Whom it must lead back to.
    pub trust: &'a Trust,
    /// How messages are encrypted, if they are.
    pub encryption: Option<&'a Offered>,
    /// The kept grant that the cards come by.
    pub grant: Option<&'a str>,
}

impl Receiver<'_> {
    /// Asks for a card for each of these keys. Returns what is to be waited for, when they come later.
    pub async fn ask(
        &self,
        token: &AccessToken,
        configuration: &Configuration,
        keys: &[FileKey],
    ) -> Result<Option<Waiting>> {
        let answered = self.issuer.request(self.session, token, &configuration.id, keys, self.encryption).await?;
        self.settle(token, configuration, keys, answered).await
    }

    /// Asks again for what was to come later.
    pub async fn ask_again(&self, token: &AccessToken, waiting: &Waiting) -> Result<Option<Waiting>> {
        let keys = waiting.keys.iter().map(|name| self.folder.key(name)).collect::<Result<Vec<_>>>()?;
        let again = self.issuer.ask_again(self.session, token, &waiting.transaction_id, self.encryption).await?;
        self.settle(token, &waiting.configuration, &keys, again).await
    }

    async fn settle(
        &self,
        token: &AccessToken,
        configuration: &Configuration,
        keys: &[FileKey],
        answered: Answered,
    ) -> Result<Option<Waiting>> {
        let now = self.session.clock.now();
        let issued = match answered {
            Answered::Issued(issued) => issued,
            Answered::Later { transaction_id, interval_seconds } => {
                return Ok(Some(Waiting {
                    configuration: configuration.clone(),
                    transaction_id,
                    keys: keys.iter().map(|key| key_name(key.public_key())).collect(),
                    not_before: now + interval_seconds,
                }));
            }
        };
        let list = match configuration.format.as_str() {
            QR_FORMAT => Some(self.trust.list(self.session.http, &self.issuer.id, now).await?),
            _ => None,
        };
        match self.received(configuration, &issued, keys, list.as_ref()) {
            Ok(cards) => cards.iter().try_for_each(|card| self.folder.keep(card))?,
            Err(refused) => {
                self.tell(token, &issued, "credential_failure").await;
                return Err(refused);
            }
        }
        self.tell(token, &issued, "credential_accepted").await;
        let (copies, id) = (issued.credentials.len(), &configuration.id);
        println!("Đã nhận {copies} bản {id}. / Received {copies} of {id}.");
        Ok(None)
    }

    /// The cards of an answer, checked: each is bound to one of the keys that were sent, and no two to the same.
    fn received(
        &self,
        configuration: &Configuration,
        issued: &Issued,
        keys: &[FileKey],
        list: Option<&TrustList>,
    ) -> Result<Vec<KeptCard>> {
        let now = self.session.clock.now();
        let mut unbound: BTreeMap<String, &FileKey> =
            keys.iter().map(|key| (key_name(key.public_key()), key)).collect();
        let check = |credential: &String| {
            let mut card = KeptCard {
                configuration: configuration.id.clone(),
                format: configuration.format.clone(),
                credential: credential.clone(),
                key: String::new(),
                issuer: self.issuer.id.clone(),
                vct: configuration.vct.clone(),
                doctype: configuration.doctype.clone(),
                trust_anchor_pem: self.trust.pem.clone(),
                received_at: now,
                times_shown: 0,
                grant: self.grant.map(str::to_owned),
            };
            let holder = Checked::new(&card, self.trust, list, now)?.holder;
            card.key = key_name(&holder);
            unbound
                .remove(&card.key)
                .ok_or(WalletError::Issued("it is not bound to a key of its own of this wallet"))?;
            Ok(card)
        };
        issued.credentials.iter().map(check).collect()
    }

    /// The issuer may learn what became of its cards; that it did not is no reason to lose them.
    async fn tell(&self, token: &AccessToken, issued: &Issued, event: &str) {
        if let Err(error) = self.issuer.notify(self.session, token, issued, event).await {
            eprintln!("Chưa báo được cho nơi cấp. / The issuer could not be told: {error}.");
        }
    }
}
