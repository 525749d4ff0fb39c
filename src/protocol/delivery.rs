//! What goes to others by our own contract: pages of the change feed, and offers that are pushed to a backend. Both are
//! the payload of a compact JWS (`application/jwt`) of the key `events`, with its certificates as `x5c`.

use serde::Serialize;

use crate::clock::UnixSeconds;
use crate::model::event::{Event, EventKind};

/// `typ` of a page of the change feed, fetched or sent.
pub const EVENTS_TYPE: &str = "officials-card-events+jwt";
/// `typ` of an offer that is pushed.
pub const OFFER_TYPE: &str = "officials-card-offer+jwt";

/// A page of the change feed: what happened after number `after`, up to and with number `next`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct EventsMessage {
    /// The issuer identifier.
    pub iss: String,
    /// The client or subscriber that the page is for.
    pub aud: String,
    /// When the page was made (Unix seconds).
    pub iat: UnixSeconds,
    /// The page begins after this number.
    pub after: i64,
    /// Ask for what comes after this number next.
    pub next: i64,
    /// When present, only events of these units and of all units below them are in the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub units: Option<Vec<String>>,
    /// When present, only events of these kinds are in the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kinds: Option<Vec<String>>,
    /// In the order of their numbers.
    pub events: Vec<EventMessage>,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
pub struct EventMessage {
    /// 1, 2, 3, … without a gap in the feed of the whole nation.
    pub seq: i64,
    /// When it happened (Unix seconds).
    pub at: UnixSeconds,
    /// `card.created`, `card.locked`, `card.unlocked`, `card.withdrawn`, `card.replaced`, `card.refreshed`,
    /// `card.expired`, or `card.ending`: its term, or its holder's contract, ends soon.
    #[cfg_attr(feature = "server", schema(example = "card.withdrawn"))]
    pub kind: &'static str,
    /// The card's random name.
    #[cfg_attr(feature = "server", schema(example = "7Q2M8K3D5N9R1T4V"))]
    pub card: String,
    /// Code of the card's employing unit.
    #[cfg_attr(feature = "server", schema(example = "H26"))]
    pub unit: String,
    /// Why, where there is a reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Of a card that was replaced or refreshed: the card that took its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<String>,
    /// Of a card that was made: the card whose place it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
}

impl From<&Event> for EventMessage {
    fn from(event: &Event) -> Self {
        let what = &event.what;
        let other = what.other.as_ref().map(ToString::to_string);
        let (replaces, replaced_by) = if what.kind == EventKind::Created { (other, None) } else { (None, other) };
        Self {
            seq: event.seq,
            at: what.at,
            kind: what.kind.word(),
            card: what.card.to_string(),
            unit: what.unit.clone(),
            reason: what.reason.map(crate::model::card::Reason::code),
            replaced_by,
            replaces,
        }
    }
}

/// An offer on its way to the backend that shows it to the person. It names the person, so it goes over TLS only and is
/// never logged. `jti` is the same each time that an offer is sent.
#[derive(Clone, Debug, Serialize)]
pub struct OfferMessage {
    /// The issuer identifier.
    pub iss: String,
    /// The address that it is sent to.
    pub aud: String,
    /// When it was sent (Unix seconds).
    pub iat: UnixSeconds,
    /// When the offer expires.
    pub exp: UnixSeconds,
    /// Names the offer without opening it.
    pub jti: String,
    /// Whose wallet it is for.
    pub personal_id_number: String,
    /// The card that it is for.
    pub card: String,
    /// Where the wallet fetches the offer.
    pub credential_offer_uri: String,
    /// The link that opens a wallet.
    pub credential_offer: String,
    /// Only where the deployment says so: it belongs on another channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_code: Option<String>,
}
