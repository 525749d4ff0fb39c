//! Offers: the VNeID backend asks for one, the wallet fetches it by reference.
//!
//! The pre-authorized code and the transaction code are derived from the offer's name under the deployment's secret:
//! nothing secret is stored, and the same request gives the same answer.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use subtle::ConstantTimeEq;

use super::{Caller, Service, hash};
use crate::clock::UnixSeconds;
use crate::credential::nonce;
use crate::error::{Refusal, Result};
use crate::model::id::{Handle, PersonalNumber};
use crate::protocol::oid4vci::{self, Configuration, TX_CODE_LENGTH};
use crate::store::{NewCard, NewOffer, Offer};

const DAY_SECONDS: i64 = 86400;

/// A request for an offer.
#[derive(Clone, Debug)]
pub struct OfferRequest {
    /// Whose card.
    pub person: PersonalNumber,
    /// The identity assurance level at which VNeID knows the person.
    pub assurance_level: u8,
    /// What to offer; empty means every configuration.
    pub configurations: Vec<Configuration>,
    /// The unit, where the person has verified records in several.
    pub unit: Option<String>,
    /// Repeating it repeats the answer.
    pub idempotency_key: Option<String>,
}

/// An offer that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeOffer {
    /// The card that it is for.
    pub card: Handle,
    /// Where the wallet fetches it.
    pub uri: String,
    /// The link that opens a wallet.
    pub link: String,
    /// To be told to the person on another channel.
    pub tx_code: String,
    /// When it expires.
    pub expires_at: UnixSeconds,
}

impl Service {
    /// Makes an offer for the card of a person whose record is verified.
    pub async fn make_offer(&self, caller: &Caller, request: OfferRequest) -> Result<MadeOffer> {
        caller.needs("offers:create")?;
        if request.assurance_level < 2 {
            return Err(Refusal::AssuranceTooLow.into());
        }
        let configurations = match request.configurations.as_slice() {
            [] => &Configuration::ALL[..],
            some => some,
        };
        let configurations: Vec<_> = configurations.iter().map(|configuration| configuration.id()).collect();
        let configurations = configurations.join(" ");
        let card = self.card_of(caller, &request.person, request.unit.as_deref()).await?;
        let request_hash = hash(&[
            request.person.expose().as_bytes(),
            request.unit.as_deref().unwrap_or_default().as_bytes(),
            configurations.as_bytes(),
        ]);
        let offer = NewOffer {
            id: self.random_name(),
            client: caller.name.clone(),
            idempotency_key: request.idempotency_key,
            request_hash,
            configurations,
            expires_at: card.created_at + self.config.limits.offer_ttl_seconds,
            card,
        };
        let offer = self.store.make_offer(offer).await?;
        Ok(self.made(&offer))
    }

    /// The offer that a wallet fetches: until it is redeemed or expires.
    pub async fn offer(&self, id: &str) -> Result<Value> {
        let offer = self.store.offer(id).await?.ok_or(Refusal::NotFound("offer"))?;
        if offer.redeemed_at.is_some() || offer.expires_at <= self.clock.now() {
            return Err(Refusal::Gone("offer").into());
        }
        Ok(oid4vci::offer(&self.config.public_url, offer.configurations.split(' '), &self.code_of(id)))
    }

    fn made(&self, offer: &Offer) -> MadeOffer {
        let uri = format!("{}/offers/{}", self.config.public_url, offer.id);
        MadeOffer {
            card: offer.card.clone(),
            link: oid4vci::offer_link(&uri),
            uri,
            tx_code: self.tx_code_of(&offer.id),
            expires_at: offer.expires_at,
        }
    }

    /// What a new card of the person would be.
    pub(super) async fn card_of(&self, caller: &Caller, person: &PersonalNumber, unit: Option<&str>) -> Result<NewCard> {
        let mut records = self.verified_records(person).await?;
        records.retain(|record| {
            caller.sees(&record.facts.employing_agency.code)
                && unit.is_none_or(|unit| record.facts.employing_agency.code == unit || record.facts.managing_agency.code == unit)
        });
        if records.len() > 1 {
            return Err(Refusal::SeveralRecords.into());
        }
        let Some(record) = records.pop() else {
            return Err(Refusal::NotVerified(self.why_not_verified(person).await?).into());
        };
        Ok(self.new_card(record))
    }

    /// A card from a verified record, starting now. It ends with the holder's term, if that is earlier.
    pub(super) fn new_card(&self, record: super::enroll::VerifiedFacts) -> NewCard {
        let created_at = self.clock.now();
        let by_rule = created_at - created_at.rem_euclid(DAY_SECONDS) + self.config.limits.card_validity_days * DAY_SECONDS;
        let by_term = record.facts.term_ends.map(|day| day.midnight().assume_utc().unix_timestamp() + DAY_SECONDS);
        NewCard {
            handle: Handle::random(&self.chance),
            record: record.record,
            record_version: record.version,
            facts: record.facts,
            created_at,
            valid_until: by_term.map_or(by_rule, |by_term| by_term.min(by_rule)),
        }
    }

    /// The pre-authorized code of an offer: its name and a MAC of it.
    fn code_of(&self, offer: &str) -> String {
        let mac = nonce::derive(&self.keys.secret, "pre-authorized code", &[offer.as_bytes()]);
        format!("{offer}.{}", URL_SAFE_NO_PAD.encode(&mac[..20]))
    }

    /// The offer that a pre-authorized code names, if we made the code.
    pub(super) fn offer_of_code<'a>(&self, code: &'a str) -> Option<&'a str> {
        let (offer, _) = code.split_once('.')?;
        bool::from(self.code_of(offer).as_bytes().ct_eq(code.as_bytes())).then_some(offer)
    }

    /// The transaction code of an offer.
    pub(super) fn tx_code_of(&self, offer: &str) -> String {
        let bits = nonce::derive(&self.keys.secret, "transaction code", &[offer.as_bytes()]);
        let number = bits[..16].iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
        format!("{:0width$}", number % 10_u128.pow(TX_CODE_LENGTH as u32), width = TX_CODE_LENGTH)
    }
}
