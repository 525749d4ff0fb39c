//! Offers: the VNeID backend asks for one, the wallet fetches it by reference.
//!
//! The pre-authorized code and the transaction code are derived from the offer's name under the deployment's secret:
//! nothing secret is stored, and the same request gives the same answer.

use std::sync::{Arc, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use subtle::ConstantTimeEq;

use super::{Caller, Handover, Service, hash, is_random_name};
use crate::clock::{DAY_SECONDS, HOUR_SECONDS, UnixSeconds};
use crate::credential::nonce;
use crate::error::{Refusal, Result};
use crate::model::calendar::day_of;
use crate::model::code_list::CodeBook;
use crate::model::id::{Handle, PersonalNumber};
use crate::model::person::VerifiedRecord;
use crate::model::quality::Standing;
use crate::model::record::Record;
use crate::protocol::oauth::{self, Supported};
use crate::protocol::oid4vci::{self, Configuration, OfferedGrants, TX_CODE_LENGTH};
use crate::store::{NewCard, NewOffer, Offer};

/// Vietnam's midnight before UTC's.
const VIETNAM_SECONDS: i64 = 7 * HOUR_SECONDS;
/// How long labels that an operator loads may take to show.
const LABELS_SECONDS: i64 = 30;

/// A request for an offer.
#[derive(Clone, Debug)]
pub struct OfferRequest {
    /// Whose card.
    pub person: PersonalNumber,
    /// The identity assurance level at which VNeID knows the person.
    pub assurance_level: u8,
    /// What to offer; empty means every configuration.
    pub configurations: Vec<Configuration>,
    /// How it can be taken; empty means by its pre-authorized code.
    pub grants: Vec<OfferGrant>,
    /// The unit, where the person has verified records in several.
    pub unit: Option<String>,
    /// Repeating it repeats the answer.
    pub idempotency_key: Option<String>,
}

/// How an offer can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OfferGrant {
    /// By its pre-authorized code and transaction code.
    #[serde(rename = "pre-authorized_code")]
    PreAuthorizedCode,
    /// By signing in.
    AuthorizationCode,
}

impl OfferGrant {
    fn store_name(self) -> &'static str {
        match self {
            Self::PreAuthorizedCode => Offer::PRE_AUTHORIZED,
            Self::AuthorizationCode => Offer::AUTHORIZATION_CODE,
        }
    }
}

/// Which of a person's verified records a card is made from.
#[derive(Clone, Copy)]
pub(super) enum From<'a> {
    /// The only one.
    Any,
    /// The one of this unit.
    Unit(&'a str),
    /// This one.
    Record(&'a Handle),
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
    /// Where the caller gets the link as a QR code.
    pub qr_svg: String,
    /// To be told to the person on another channel, when there is a pre-authorized code.
    pub tx_code: Option<String>,
    /// When it expires.
    pub expires_at: UnixSeconds,
}

impl Service {
    /// Makes an offer for the card of a person whose record is verified, for the caller to hand over.
    pub async fn make_offer(&self, caller: &Caller, request: OfferRequest) -> Result<MadeOffer> {
        self.make_offer_to(caller, request, Handover::Caller, self.config.limits.offer_ttl_seconds).await
    }

    /// The same, handed over in this way and good for so long.
    pub async fn make_offer_to(
        &self,
        caller: &Caller,
        request: OfferRequest,
        handover: Handover,
        ttl_seconds: i64,
    ) -> Result<MadeOffer> {
        caller.needs("offers:create")?;
        match request.assurance_level {
            2 => {}
            1 => return Err(Refusal::AssuranceTooLow.into()),
            _ => return Err(Refusal::malformed("assurance_level", "must be 1 or 2").into()),
        }
        let twice =
            request.configurations.iter().enumerate().any(|(at, one)| request.configurations[..at].contains(one));
        if twice {
            return Err(Refusal::malformed("configurations", "names a configuration twice").into());
        }
        let configurations = match request.configurations.as_slice() {
            [] => &self.configurations[..],
            some if some.iter().any(|one| !self.configurations.contains(one)) => {
                return Err(Refusal::malformed("configurations", "names a configuration that is not offered").into());
            }
            some => some,
        };
        let configurations: Vec<_> = configurations.iter().map(|configuration| configuration.id()).collect();
        let configurations = configurations.join(" ");
        let mut grant_types = request.grants.iter().map(|grant| grant.store_name()).collect::<Vec<_>>();
        grant_types.sort_unstable();
        grant_types.dedup();
        if request.grants.contains(&OfferGrant::AuthorizationCode) && self.sign_in.is_none() {
            return Err(
                Refusal::malformed("grants", "authorization_code needs a sign-in, which is not configured").into()
            );
        }
        if grant_types.is_empty() {
            grant_types.push(Offer::PRE_AUTHORIZED);
        }
        let grant_types = grant_types.join(" ");
        let card = self.card_of(caller, &request.person, request.unit.as_deref().map_or(From::Any, From::Unit)).await?;
        self.limit_person(&request.person)?;
        let push = self.must_push(handover)?;
        let mut asked = vec![
            request.person.expose().as_bytes(),
            request.unit.as_deref().unwrap_or_default().as_bytes(),
            configurations.as_bytes(),
        ];
        // Only what is not usual, so that the digests of the offers of earlier versions stay as they are.
        asked.extend((grant_types != Offer::PRE_AUTHORIZED).then_some(grant_types.as_bytes()));
        asked.extend(push.then_some(b"push".as_slice()));
        let request_hash = hash(&asked);
        let offer = NewOffer {
            id: self.random_name(),
            client: caller.name.clone(),
            idempotency_key: request.idempotency_key,
            request_hash,
            configurations,
            expires_at: card.created_at + ttl_seconds,
            grant_types,
            card,
            push,
        };
        let offer = self.store.make_offer(offer).await?;
        Ok(self.made(&offer))
    }

    /// A person whose card could be offered, for a demonstration.
    pub async fn somebody_verified(&self, caller: &Caller) -> Result<Option<PersonalNumber>> {
        for person in self.store.matched_people(100).await? {
            if self.card_of(caller, &person, From::Any).await.is_ok() {
                return Ok(Some(person));
            }
        }
        Ok(None)
    }

    /// The offer that a wallet fetches: until it is redeemed or expires.
    pub async fn offer(&self, id: &str) -> Result<Value> {
        if !is_random_name(id) {
            return Err(Refusal::NotFound("offer").into());
        }
        let offer = self.store.offer(id).await?.ok_or(Refusal::NotFound("offer"))?;
        let is_closed = offer.failed_attempts >= self.config.limits.tx_code_attempts;
        if offer.redeemed_at.is_some() || is_closed || offer.expires_at <= self.clock.now() {
            return Err(Refusal::Gone("offer").into());
        }
        let code = self.code_of(id);
        let by = OfferedGrants {
            pre_authorized_code: offer.takes(Offer::PRE_AUTHORIZED).then_some(code.as_str()),
            issuer_state: (offer.takes(Offer::AUTHORIZATION_CODE) && self.sign_in.is_some()).then_some(id),
        };
        Ok(oid4vci::offer(&self.config.public_url, offer.configurations.split(' '), &by))
    }

    /// The offer that is for everybody who can sign in.
    pub fn open_offer(&self) -> Result<Value, Refusal> {
        if self.sign_in.is_none() {
            return Err(Refusal::NotFound("open offer: there is no sign-in"));
        }
        let configurations = self.configurations.iter().map(|configuration| configuration.id());
        Ok(oid4vci::offer(&self.config.public_url, configurations, &OfferedGrants::default()))
    }

    /// Authorization server metadata.
    pub fn server_metadata(&self) -> Value {
        let supported = Supported {
            sign_in: self.sign_in.is_some(),
            attestation: self.attesters.attest_wallets(),
            anonymous: self.config.anonymous_wallets,
        };
        oauth::server_metadata(&self.config.public_url, supported, &self.configurations)
    }

    /// Where a wallet fetches an offer.
    pub(super) fn offer_uri(&self, id: &str) -> String {
        format!("{}/offers/{id}", self.config.public_url)
    }

    fn made(&self, offer: &Offer) -> MadeOffer {
        let uri = self.offer_uri(&offer.id);
        MadeOffer {
            card: offer.card.clone(),
            link: oid4vci::offer_link(&uri),
            qr_svg: format!("{}/api/v1/offers/{}/qr.svg", self.config.public_url, offer.id),
            uri,
            tx_code: offer.takes(Offer::PRE_AUTHORIZED).then(|| self.tx_code_of(&offer.id)),
            expires_at: offer.expires_at,
        }
    }

    /// What a new card of the person would be: from the one verified record that the caller may see.
    pub(super) async fn card_of(&self, caller: &Caller, person: &PersonalNumber, from: From<'_>) -> Result<NewCard> {
        let mut why_not = Refusal::NotVerified("there is no record of the person");
        let mut verified = Vec::new();
        for stored in self.store.records_of(person).await? {
            let units =
                ["using_unit_code", "managing_unit_code"].map(|field| stored.record.text(field).unwrap_or_default());
            let meant = match from {
                From::Any => true,
                From::Unit(unit) => units.contains(&unit),
                From::Record(record) => stored.handle == *record,
            };
            if !caller.sees(units[0]) || !meant {
                continue;
            }
            match VerifiedRecord::new(stored.record, &stored.standing) {
                Ok(record) => verified.push((stored.handle, stored.version, record)),
                Err(reason) => why_not = reason.into(),
            }
        }
        match verified.pop() {
            Some((handle, version, record)) if verified.is_empty() => self.new_card(handle, version, &record).await,
            Some(_) => Err(Refusal::SeveralRecords.into()),
            None => Err(why_not.into()),
        }
    }

    /// What a new card of a record would be at this version and standing.
    pub(super) async fn card_from(
        &self,
        (handle, version): (&Handle, i64),
        record: Record,
        standing: &Standing,
    ) -> Result<NewCard> {
        let verified = VerifiedRecord::new(record, standing).map_err(Refusal::from)?;
        self.new_card(handle.clone(), version, &verified).await
    }

    /// A card from a verified record, starting now. It ends with the holder's term, if that is earlier.
    async fn new_card(&self, handle: Handle, version: i64, record: &VerifiedRecord) -> Result<NewCard> {
        let created_at = self.clock.now();
        let codes =
            ["managing_unit_code", "using_unit_code"].map(|field| record.record().text(field).unwrap_or_default());
        let units = self.store.units_named(day_of(created_at), &codes).await?;
        let facts = record.card_facts(&units, &*self.code_book().await?);
        let by_rule =
            created_at - created_at.rem_euclid(DAY_SECONDS) + self.config.limits.card_validity_days * DAY_SECONDS;
        let by_term = facts.term_ends.map(|day| {
            // The last day ends in Vietnam.
            day.midnight().assume_utc().unix_timestamp() + DAY_SECONDS - VIETNAM_SECONDS
        });
        let valid_until = by_term.map_or(by_rule, |by_term| by_term.min(by_rule));
        if valid_until <= created_at {
            return Err(Refusal::TermOver.into());
        }
        Ok(NewCard {
            handle: Handle::random(&self.chance),
            record: handle,
            record_version: version,
            facts,
            created_at,
            valid_until,
            replaced_status: self.config.refresh_status,
        })
    }

    /// The labels of codes, at most [`LABELS_SECONDS`] old.
    pub(super) async fn code_book(&self) -> Result<Arc<CodeBook>> {
        let now = self.clock.now();
        let fresh = |cached: &(UnixSeconds, Arc<CodeBook>)| (cached.0..cached.0 + LABELS_SECONDS).contains(&now);
        if let Some((_, labels)) =
            self.labels.lock().unwrap_or_else(PoisonError::into_inner).as_ref().filter(|c| fresh(c))
        {
            return Ok(Arc::clone(labels));
        }
        let labels = Arc::new(self.store.code_book().await?);
        *self.labels.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, Arc::clone(&labels)));
        Ok(labels)
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
        format!("{:0width$}", number % 10_u128.pow(TX_CODE_LENGTH.into()), width = TX_CODE_LENGTH.into())
    }
}
