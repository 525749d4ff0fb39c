//! Delivery: offers to the wallet, events to subscribers.
//!
//! An offer is handed over in one of two ways. Either the caller gets link and transaction code and brings them to the
//! person on two channels; or the link goes to VNeID's backend alone, and the caller, who gets no link, tells the code:
//! then nobody but the person ever holds both. The code goes with a pushed link only where the deployment says so. An offer
//! that is taken by signing in alone has no code, and its link is not worth anything to anybody else.
//!
//! What is sent is sent at least once, by a row that outlives the process: claimed, tried, settled, and tried again ever
//! more seldom. A receiver knows a repetition by its id.

use super::{Caller, Service, hash, is_random_name};
use crate::config::Webhook;
use crate::credential::symbol::{Ecc, Symbol};
use crate::error::{Fault, Refusal, Result};
use crate::flow::show::BadgeFormat;
use crate::model::event::EventKind;
use crate::protocol::delivery::{EVENTS_TYPE, OFFER_TYPE, OfferMessage};
use crate::protocol::oid4vci;
use crate::remote::delivery::{Delivery, HttpReceiver, Parcel, Undelivered};
use crate::store::{Attempt, DuePush, EventFilter, PushCounts, Subscriber};

/// Events of one delivery to a subscriber.
const DELIVERY_EVENTS: i64 = 100;
/// Offers that are pushed at the same time.
pub(super) const PUSHES: i64 = 16;
/// For how long an attempt is claimed: three times what it may take. So long it rests when its process dies in it.
pub(super) const CLAIM_SECONDS: i64 = 30;
/// The first pause after a failure; it doubles with each.
const FIRST_PAUSE_SECONDS: i64 = 5;
/// The longest pause.
const LONGEST_PAUSE_SECONDS: i64 = 3600;
/// Failures in a row after which a subscriber counts as parked: it is reported, and still tried once an hour.
pub const PARK_AFTER: i64 = 10;

/// How an offer gets to the person's wallet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Handover {
    /// The caller hands it over: link and QR code are for the caller.
    #[default]
    Caller,
    /// It is pushed to the backend of the configuration: the link is not for the caller.
    Push,
}

/// What one look for something to send came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// There is nothing to do now.
    Idle,
    /// Something was delivered; there may be more.
    Delivered,
    /// An attempt failed and will be repeated.
    Failed,
}

impl Round {
    /// What attempts that were made together came to.
    pub(super) fn of(rounds: &[Self]) -> Self {
        match rounds {
            [] => Self::Idle,
            rounds if rounds.contains(&Self::Delivered) => Self::Delivered,
            _ => Self::Failed,
        }
    }
}

/// How delivery stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryState {
    /// The newest number of the feed.
    pub newest: i64,
    /// Every subscriber of the configuration; `None` before its first round.
    pub subscribers: Vec<(String, Option<Subscriber>)>,
    /// Offers that are pushed.
    pub pushes: PushCounts,
}

impl Service {
    /// Whether an offer handed over so is to be pushed.
    pub(super) fn must_push(&self, handover: Handover) -> Result<bool, Refusal> {
        match handover {
            Handover::Caller => Ok(false),
            Handover::Push if self.config.offer_push.is_some() => Ok(true),
            Handover::Push => Err(Refusal::malformed("delivery", "push is not set up in this deployment")),
        }
    }

    /// The QR code of an offer's link, for the client that made it and while the offer is open.
    pub async fn offer_qr(&self, caller: &Caller, id: &str, format: BadgeFormat) -> Result<Vec<u8>> {
        caller.needs("offers:create")?;
        if !is_random_name(id) || !self.store.offer_is_of(id, &caller.name).await? {
            return Err(Refusal::NotFound("offer").into());
        }
        self.offer(id).await?;
        let fault = |error| Fault::new("drawing an offer", error);
        let symbol = Symbol::new(&oid4vci::offer_link(&self.offer_uri(id)), Ecc::Medium).map_err(fault)?;
        Ok(match format {
            BadgeFormat::Svg => symbol.svg().into_bytes(),
            BadgeFormat::Png(pixels) => symbol.png(pixels).map_err(fault)?,
        })
    }

    /// Checks that everything configured can be delivered to: addresses, kinds.
    pub(super) fn check_delivery(&self) -> Result<(), Fault> {
        for webhook in &self.config.webhooks {
            HttpReceiver::new(webhook.url.expose())?;
            filter_of(webhook)?;
        }
        self.offer_receiver().map(|_| ())
    }

    /// The backend that offers are pushed to.
    pub fn offer_receiver(&self) -> Result<Option<HttpReceiver>, Fault> {
        self.config.offer_push.as_ref().map(|push| HttpReceiver::new(push.url.expose())).transpose()
    }

    /// Sends a subscriber what it has not acknowledged yet: at most one delivery.
    pub async fn deliver_events(&self, webhook: &Webhook, receiver: &impl Delivery) -> Result<Round> {
        let (name, filter) = (webhook.name.as_str(), filter_of(webhook)?);
        let Some(known) = self.store.subscriber(name).await? else {
            self.store.enter_subscriber(name).await?;
            return Ok(Round::Idle);
        };
        let now = self.clock.now();
        if known.next_attempt_at > now || known.delivered >= self.store.newest_event().await? {
            return Ok(Round::Idle);
        }
        let Some(claimed) = self.store.claim_subscriber(name, now, now + CLAIM_SECONDS).await? else {
            return Ok(Round::Idle);
        };
        let page = self.store.events(claimed.after, claimed.through, DELIVERY_EVENTS, &filter).await?;
        if page.events.is_empty() {
            // Nothing of this is for it.
            self.store.settle_delivery(name, claimed.claim, page.next, Attempt::Delivered, now).await?;
            return Ok(if page.next < page.newest { Round::Delivered } else { Round::Idle });
        }
        if !self.store.begin_delivery(name, claimed.claim, page.next).await? {
            return Ok(Round::Idle);
        }
        let message = self.events_message(name, claimed.after, &page, &filter);
        let parcel = Parcel {
            id: format!("{name}-{}-{}", claimed.after, page.next),
            at: now,
            jws: self.sign_message(EVENTS_TYPE, &message)?,
        };
        let (attempt, round) = self.attempt(receiver, &parcel, claimed.failures).await;
        if round == Round::Failed {
            tracing::warn!(webhook = name, failures = claimed.failures + 1, "a webhook was not acknowledged");
        }
        self.store.settle_delivery(name, claimed.claim, page.next, attempt, self.clock.now()).await?;
        Ok(round)
    }

    /// Pushes offers that are due to the backend.
    pub async fn deliver_offers(&self, receiver: &impl Delivery) -> Result<Round> {
        let now = self.clock.now();
        if !self.store.has_due_push(now).await? {
            return Ok(Round::Idle);
        }
        let due = self.store.claim_pushes(now, now + CLAIM_SECONDS, PUSHES).await?;
        let attempts = due.iter().map(|push| self.push_offer(push, receiver));
        let rounds = futures_util::future::join_all(attempts).await.into_iter().collect::<Result<Vec<_>>>()?;
        Ok(Round::of(&rounds))
    }

    async fn push_offer(&self, push: &DuePush, receiver: &impl Delivery) -> Result<Round> {
        let settings = self.config.offer_push.as_ref().ok_or_else(|| Fault::new("pushing an offer", "not set up"))?;
        // Not the offer's name: who reads a log of ids could fetch the offer.
        let id = format!("offer-{}", &hash(&[b"offer push", push.offer.as_bytes()])[..22]);
        let uri = self.offer_uri(&push.offer);
        let now = self.clock.now();
        let message = OfferMessage {
            iss: self.config.public_url.clone(),
            aud: settings.url.expose().to_owned(),
            iat: now,
            exp: push.expires_at,
            jti: id.clone(),
            personal_id_number: push.person.expose().to_owned(),
            card: push.card.to_string(),
            credential_offer: oid4vci::offer_link(&uri),
            credential_offer_uri: uri,
            tx_code: (settings.with_tx_code && push.by_code).then(|| self.tx_code_of(&push.offer)),
        };
        let parcel = Parcel { id, at: now, jws: self.sign_message(OFFER_TYPE, &message)? };
        let (attempt, round) = self.attempt(receiver, &parcel, push.attempt - 1).await;
        if round == Round::Failed {
            tracing::warn!(attempt = push.attempt, "the push of an offer was not acknowledged");
        }
        self.store.settle_push(&push.offer, push.attempt, attempt, self.clock.now()).await?;
        Ok(round)
    }

    pub(super) async fn attempt(&self, receiver: &impl Delivery, parcel: &Parcel, failures: i64) -> (Attempt, Round) {
        let Err(undelivered) = receiver.deliver(parcel).await else { return (Attempt::Delivered, Round::Delivered) };
        let wanted = match &undelivered {
            Undelivered::Status { retry_after_seconds, .. } => retry_after_seconds.unwrap_or_default(),
            Undelivered::Silent(_) => 0,
        };
        let pause = pause_seconds(failures, u16::from_be_bytes(self.chance.bytes()));
        let next_attempt_at = self.clock.now() + pause.max(wanted.min(LONGEST_PAUSE_SECONDS));
        let failed = Attempt::Failed { next_attempt_at, outcome: undelivered.to_string(), park_after: PARK_AFTER };
        (failed, Round::Failed)
    }

    /// How delivery stands, for a caller that sees the whole nation.
    pub async fn delivery_state_for(&self, caller: &Caller) -> Result<DeliveryState> {
        caller.needs("events:read")?;
        if caller.units().is_some() {
            return Err(Refusal::ForeignUnit.into());
        }
        Ok(self.delivery_state().await?)
    }

    /// How delivery stands, for operators.
    pub async fn delivery_state(&self) -> Result<DeliveryState, Fault> {
        let mut subscribers = Vec::new();
        for webhook in &self.config.webhooks {
            subscribers.push((webhook.name.clone(), self.store.subscriber(&webhook.name).await?));
        }
        let newest = self.store.newest_event().await?;
        Ok(DeliveryState { newest, subscribers, pushes: self.store.count_pushes(self.clock.now()).await? })
    }
}

/// The pause after so many failures and one more: twice as long each time, up to an hour, and somewhere in the upper half
/// of that, so that many who failed together do not come back together.
fn pause_seconds(failures: i64, chance: u16) -> i64 {
    let doublings = u32::try_from(failures.clamp(0, 20)).unwrap_or_default();
    let longest = (FIRST_PAUSE_SECONDS << doublings).min(LONGEST_PAUSE_SECONDS);
    longest - longest / 2 * i64::from(chance) / i64::from(u16::MAX)
}

fn filter_of(webhook: &Webhook) -> Result<EventFilter, Fault> {
    let kind = |word: &String| {
        EventKind::parse(word).ok_or_else(|| {
            Fault::new("checking the configuration", format!("webhook {}: unknown kind {word}", webhook.name))
        })
    };
    let kinds = webhook.kinds.as_ref().map(|kinds| kinds.iter().map(kind).collect()).transpose()?;
    Ok(EventFilter { units: webhook.units.clone(), kinds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_an_hour_and_spread() {
        assert_eq!((pause_seconds(0, 0), pause_seconds(0, u16::MAX)), (5, 3));
        assert_eq!((pause_seconds(3, 0), pause_seconds(3, u16::MAX)), (40, 20));
        for failures in [10, 60, i64::MAX] {
            assert_eq!((pause_seconds(failures, 0), pause_seconds(failures, u16::MAX)), (3600, 1800));
        }
    }
}
