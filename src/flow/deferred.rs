//! The card that a grant is good for now: the one in force, a newer one when the facts changed, or none yet because the
//! record is under review, in which case the wallet is told to wait (OpenID4VCI 1.0 section 9).

use serde_json::Value;

use super::issue::{Answer, Asked, Issued};
use super::offer::From;
use super::wallet::WalletCall;
use super::{Caller, RequestBody, Service};
use crate::clock::DAY_SECONDS;
use crate::credential::PublicKey;
use crate::error::{Error, Fault, Refusal, Result};
use crate::model::card::StateName;
use crate::model::id::{Handle, PersonalNumber};
use crate::model::person::{NotVerified, VerifiedRecord};
use crate::protocol::credential_request::DeferredRequest;
use crate::protocol::oid4vci::Configuration;
use crate::store::{Ahead, Deferral, FoundCard, Grant};

/// Records looked at in one step of a round.
const PAGE: i64 = 100;
/// Steps of a round in which records without a card are marked, some hundred in each.
const PAGES: usize = 100;
/// Records that one round compares with their cards.
const MOST_TRIED: usize = 5_000;
/// Faults after which a round ends: it is then not the records.
const MOST_FAULTS: usize = 100;

/// What a grant is good for.
pub(super) enum GrantedCard {
    /// This card.
    InForce(Box<FoundCard>),
    /// None yet.
    UnderReview,
}

impl Service {
    /// The card of a grant. One whose record was verified anew meanwhile says so first.
    pub(super) async fn card_of_grant(&self, grant: &Grant) -> Result<GrantedCard> {
        let denied = |why| Err(Refusal::CredentialRequestDenied(why).into());
        let (gone, unfit) = ("the card is not in force", "the record is no longer one that a card can be made from");
        if let Some(found) = &grant.found {
            // Withdrawn is final: what is not the card of this grant any more takes a new offer or a new sign-in.
            let is_ours = match &grant.card {
                Some(card) => self.store.follows(card, &found.card.handle).await?,
                None => true,
            };
            if !is_ours || found.card.state_at(self.clock.now()).name() != StateName::Active {
                return denied(gone);
            }
            if found.card.record_version == grant.record_version {
                return Ok(GrantedCard::InForce(Box::new(found.clone())));
            }
        } else if grant.card.is_some() {
            return denied(gone);
        }
        if !grant.is_verified {
            return match (self.why_not_verified(grant).await?, &grant.found) {
                // While a newer version is under review, the older one stands.
                (Some(NotVerified::Unmatched | NotVerified::Unconfirmed), Some(found)) => {
                    Ok(GrantedCard::InForce(Box::new(found.clone())))
                }
                (Some(NotVerified::Unmatched | NotVerified::Unconfirmed), None) => Ok(GrantedCard::UnderReview),
                _ => denied(unfit),
            };
        }
        match self.newest_card(&grant.person, &grant.record).await {
            Ok(card) => {
                let found = self.store.card(&card).await?;
                let found = found.ok_or_else(|| Fault::new("reading a card", "it is not there"))?;
                Ok(GrantedCard::InForce(Box::new(found)))
            }
            Err(Error::Refusal(_)) => denied(unfit),
            Err(fault) => Err(fault),
        }
    }

    /// The card in force of a verified record that says what the record says: the one there is, or a new one.
    pub(super) async fn newest_card(&self, person: &PersonalNumber, record: &Handle) -> Result<Handle> {
        let system = Caller::operator("system");
        let new = self.card_of(&system, person, From::Record(record)).await?;
        self.store.ensure_card(new, system.name).await
    }

    async fn why_not_verified(&self, grant: &Grant) -> Result<Option<NotVerified>> {
        let stored =
            self.store.records_of(&grant.person).await?.into_iter().find(|stored| stored.handle == grant.record);
        Ok(stored.and_then(|stored| VerifiedRecord::new(stored.record, &stored.standing).err()))
    }

    /// Replaces cards whose record was verified anew and says something else, or ends them where its term is over, so that whoever verifies the old one learns
    /// it, and the wallet gets the new one with its refresh token. It goes on where the last call stopped, and stops after
    /// some thousand records. A record whose card cannot be compared is passed over; the last such fault is the answer when
    /// the others are done. Returns how many cards were compared.
    pub async fn refresh_cards(&self) -> Result<u64> {
        let mut place = self.refreshing.lock().await;
        let (mut tried, mut compared, mut faults) = (0, 0, Vec::new());
        for _ in 0..PAGES {
            let until = self.store.mark_without_card(place.clone()).await?;
            loop {
                let page = self.store.records_ahead_of_cards(&place, until.as_deref(), PAGE).await?;
                let Some(last) = page.last() else { break };
                let after = last.record.to_string();
                for ahead in page {
                    tried += 1;
                    match self.compare(&ahead).await {
                        Ok(is_compared) => compared += u64::from(is_compared),
                        Err(error) => {
                            tracing::error!(%error, record = ahead.record.as_str(), "a card could not be compared");
                            faults.push(error);
                        }
                    }
                }
                *place = after;
                if tried >= MOST_TRIED || faults.len() >= MOST_FAULTS {
                    return faults.pop().map_or(Ok(compared), Err);
                }
            }
            *place = until.unwrap_or_default();
            if place.is_empty() {
                break;
            }
        }
        faults.pop().map_or(Ok(compared), Err)
    }

    /// Compares the card of a record that is ahead of it; `false` if that has to wait.
    async fn compare(&self, Ahead { record, person, version }: &Ahead) -> Result<bool> {
        match self.newest_card(person, record).await {
            // A locked card waits for its review.
            Err(Error::Refusal(Refusal::CardState { .. })) => Ok(false),
            // A term that was shortened to a day that is past: the card in force would go by its own, later one.
            Err(Error::Refusal(Refusal::TermOver)) => {
                Ok(self.store.end_term(record.clone(), *version, self.clock.now()).await?)
            }
            // A record that no card can be made from any more is the officer's to decide about.
            Ok(_) | Err(Error::Refusal(_)) => {
                self.store.mark_compared(record.clone(), *version).await?;
                Ok(true)
            }
            Err(fault) => Err(fault),
        }
    }

    /// Keeps a proved request until its record is verified.
    pub(super) async fn defer(
        &self,
        grant: &Grant,
        configuration: Configuration,
        keys: &[PublicKey],
        nonce: String,
        request_hash: String,
    ) -> Result<Answer> {
        let now = self.clock.now();
        let deferral = Deferral {
            id: self.random_token().0,
            grant: grant.id.clone(),
            configuration: configuration.id().to_owned(),
            holders: keys.iter().map(PublicKey::to_jwk).collect::<Value>().to_string(),
            nonce,
            request_hash,
            created_at: now,
            expires_at: now + self.config.limits.deferred_ttl_days * DAY_SECONDS,
        };
        let id = self.store.defer(deferral).await?.ok_or(Refusal::InvalidNonce)?;
        Ok(self.later(id))
    }

    /// The deferred credential endpoint: the credentials when the record is verified, until then the same answer.
    pub async fn deferred(&self, call: &WalletCall, body: RequestBody) -> Result<Issued> {
        let grant = self.called(call, "/deferred").await?;
        let opened = self.open_request(body)?;
        let DeferredRequest { transaction_id, encryption } = DeferredRequest::parse(&opened.json)?;
        self.check_response_encryption(encryption.as_ref(), opened.was_encrypted)?;
        let deferral = self.store.deferral(&transaction_id, &grant.id, self.clock.now()).await?;
        let deferral = deferral.ok_or(Refusal::InvalidTransactionId)?;
        let answer = match self.card_of_grant(&grant).await? {
            GrantedCard::UnderReview => self.later(transaction_id),
            GrantedCard::InForce(found) => {
                let broken = |what: &'static str| Fault::new("reading a deferred request", what);
                let holders: Vec<Value> = serde_json::from_str(&deferral.holders)
                    .map_err(|error| Fault::new("reading a deferred request", error))?;
                let keys = holders.iter().map(PublicKey::from_jwk).collect::<Result<Vec<_>, _>>();
                let asked = Asked {
                    grant: grant.id,
                    configuration: Configuration::parse(&deferral.configuration)
                        .ok_or_else(|| broken("its configuration is none of ours"))?,
                    keys: keys.map_err(|_| broken("a key of it is malformed"))?,
                    nonce: deferral.nonce,
                    request_hash: deferral.request_hash,
                    deferral: Some(deferral.id),
                };
                Answer::Credentials(self.answer_with(*found, asked).await?)
            }
        };
        Ok(Issued { answer, encryption })
    }

    fn later(&self, transaction_id: String) -> Answer {
        Answer::Later { transaction_id, interval_seconds: self.config.limits.deferred_interval_seconds }
    }
}
