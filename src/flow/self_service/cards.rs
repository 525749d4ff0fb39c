//! The official's cards: freeze one at once, give back what was frozen, and what a new card says that the old one did not.

use serde::Serialize;

use super::see::MOST_CARDS;
use super::{Official, Service};
use crate::clock::UnixSeconds;
use crate::error::{Refusal, Result};
use crate::model::card::{Card, CardFacts, Reason, Selector, State, Step};
use crate::model::id::Handle;
use crate::protocol::oid4vci::CLAIMS;
use crate::store::FoundCard;

/// One card.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct OwnCard {
    /// Its handle.
    #[schema(example = "9R1T4V7Q2M8K3D5N")]
    pub card: String,
    /// The record that it was made from.
    pub record: String,
    /// `active`, `locked`, `withdrawn` or `expired`.
    #[schema(example = "active")]
    pub state: &'static str,
    /// Since when (Unix seconds).
    pub since: UnixSeconds,
    /// Why, unless it is active or expired.
    pub reason: Option<&'static str>,
    /// When it was made (Unix seconds).
    pub created_at: UnixSeconds,
    /// Until when it is valid (Unix seconds).
    pub valid_until: UnixSeconds,
    /// The card that took its place.
    pub replaced_by: Option<String>,
    /// Whether the person can give it back: they froze it themselves.
    pub may_unfreeze: bool,
}

/// What changed between a card and the one that took its place.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct CardChanges {
    /// The card before.
    pub old: Option<String>,
    /// The card after.
    pub new: Option<String>,
    /// Why it was replaced.
    pub reason: Option<&'static str>,
    /// When (Unix seconds).
    pub at: Option<UnixSeconds>,
    /// The claims that differ.
    pub changes: Vec<CardChange>,
}

/// A claim that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct CardChange {
    /// The claim.
    #[schema(example = "position_title")]
    pub claim: &'static str,
    /// Vietnamese label.
    pub label_vi: &'static str,
    /// English label.
    pub label_en: &'static str,
    /// What it said; of a portrait nothing.
    pub old: Option<String>,
    /// What it says; of a portrait nothing.
    pub new: Option<String>,
}

impl Service {
    /// The official locks their card, at once. What is locked already stays so: for this reason too, when the others give
    /// theirs up. Of one that was replaced because the facts changed, which their wallet may still show, the one in its
    /// place is locked.
    pub async fn self_freeze(&self, official: &Official, handle: &Handle, reason: Reason) -> Result<OwnCard> {
        let mut found = self.newest_card_of_official(official, handle).await?;
        if !matches!(reason, Reason::Lost | Reason::Stolen | Reason::DeviceChange) {
            return Err(Refusal::malformed("body.reason", "must be one of lost, stolen, device_change").into());
        }
        let now = self.clock.now();
        let (moved, card) = loop {
            let moved = self.store.hold_card(found.card.handle.clone(), Step::Lock, reason, now).await?;
            let newest = self.newest_card_of_official(official, &found.card.handle).await?;
            if !moved.cards.is_empty() || newest.card.handle == found.card.handle {
                break (moved, newest.card);
            }
            // It was replaced between the look and the lock.
            found = newest;
        };
        if matches!(reason, Reason::Lost | Reason::Stolen) {
            // Whatever the card is: whoever has the device may have a session on it, or be about to. After the lock, which
            // keeps those from beginning.
            self.store.end_self_sessions_of(&official.person, official.session.id.clone(), now).await?;
        }
        if moved.cards.is_empty() && !matches!(card.state_at(now), State::Locked { .. }) {
            card.may(Step::Lock, now)?;
        }
        self.own_card(&card).await
    }

    /// The official gives back a card that they froze themselves. A card cannot vouch for its own return: this needs a
    /// fresh sign-in at VNeID.
    pub async fn self_unfreeze(&self, official: &Official, handle: &Handle) -> Result<OwnCard> {
        let found = self.card_of_official(official, handle).await?;
        if !official.signed_in_at_vneid() {
            return Err(Refusal::AssuranceTooLow.into());
        }
        official.needs_fresh(self)?;
        let now = self.clock.now();
        let moved = self.store.hold_card(handle.clone(), Step::Unlock, Reason::Found, now).await?;
        if moved.cards.is_empty() {
            found.card.may(Step::Unlock, now)?;
            // Locked, and by somebody else.
            return Err(Refusal::CardState { state: "locked by others", action: Step::Unlock.done() }.into());
        }
        self.own_card(&self.card_of_official(official, handle).await?.card).await
    }

    /// What changed where this card took another's place; of one that was replaced, where the next one took its place.
    pub async fn self_card_changes(&self, official: &Official, handle: &Handle) -> Result<CardChanges> {
        let found = self.card_of_official(official, handle).await?;
        let cards = self.store.cards(&Selector::Person(official.person.clone()), MOST_CARDS).await?;
        let before = cards.iter().find(|card| card.replaced_by.as_ref() == Some(handle));
        let (old, new) = match (before, &found.card.replaced_by) {
            (Some(before), _) => (Some(self.card_of_official(official, &before.handle).await?), Some(found)),
            (None, Some(after)) => {
                let after = self.card_of_official(official, after).await?;
                (Some(found), Some(after))
            }
            (None, None) => (None, Some(found)),
        };
        let name = |found: &Option<FoundCard>| found.as_ref().map(|found| found.card.handle.to_string());
        let (names, mut changes) = ((name(&old), name(&new)), Vec::new());
        let (mut reason, mut at) = (None, None);
        if let (Some(old), Some(new)) = (&old, &new) {
            changes = differences(&old.facts, &new.facts);
            if let State::Withdrawn { at: since, reason: why } = &old.card.state {
                (reason, at) = (Some(why.code()), Some(*since));
            }
        }
        Ok(CardChanges { old: names.0, new: names.1, reason, at, changes })
    }

    /// A card of the official; of others it is not said that they are there.
    async fn card_of_official(&self, official: &Official, handle: &Handle) -> Result<FoundCard> {
        let found = self.store.card(handle).await?;
        let own = found.filter(|found| found.facts.personal_id_number == official.person);
        Ok(own.ok_or(Refusal::NotFound("card"))?)
    }

    /// The same, or the card that stands in its place because what it says has changed.
    async fn newest_card_of_official(&self, official: &Official, handle: &Handle) -> Result<FoundCard> {
        let mut found = self.card_of_official(official, handle).await?;
        while let State::Withdrawn { reason, .. } = &found.card.state
            && reason.is_change_of_facts()
            && let Some(newer) = found.card.replaced_by.clone()
        {
            found = self.card_of_official(official, &newer).await?;
        }
        Ok(found)
    }

    pub(super) async fn own_card(&self, card: &Card) -> Result<OwnCard> {
        let state = card.state_at(self.clock.now());
        let (since, reason) = match &state {
            State::Active => (card.created_at, None),
            State::Locked { at, reason } | State::Withdrawn { at, reason } => (*at, Some(reason.code())),
            State::Expired { at } => (*at, None),
        };
        let is_locked = matches!(state, State::Locked { .. });
        Ok(OwnCard {
            card: card.handle.to_string(),
            record: card.record.to_string(),
            state: state.name().word(),
            since,
            reason,
            created_at: card.created_at,
            valid_until: card.valid_until,
            replaced_by: card.replaced_by.as_ref().map(Handle::to_string),
            may_unfreeze: is_locked && self.store.is_held(&card.handle).await?,
        })
    }
}

/// The claims in which two cards differ, in the order in which they are printed.
fn differences(old: &CardFacts, new: &CardFacts) -> Vec<CardChange> {
    let agency = |name: &crate::model::card::AgencyName| Some(format!("{} {}", name.code, name.name));
    let claims = |facts: &CardFacts| {
        [
            ("full_name", Some(facts.full_name.clone())),
            ("date_of_birth", Some(facts.date_of_birth.to_string())),
            ("gender", facts.gender.clone()),
            ("managing_agency", agency(&facts.managing_agency)),
            ("employing_agency", agency(&facts.employing_agency)),
            ("position_title", facts.position_title.clone()),
            ("job_position", facts.job_position.clone()),
            ("record_type", Some(facts.record_type.suffix().to_owned())),
        ]
    };
    let label =
        |claim: &str| CLAIMS.iter().find(|(name, ..)| *name == claim).map_or(("", ""), |(_, vi, en, _)| (*vi, *en));
    let mut changes: Vec<_> = claims(old)
        .into_iter()
        .zip(claims(new))
        .filter(|((_, old), (_, new))| old != new)
        .map(|((claim, old), (_, new))| {
            let (label_vi, label_en) = label(claim);
            CardChange { claim, label_vi, label_en, old, new }
        })
        .collect();
    if old.portrait != new.portrait {
        let (label_vi, label_en) = label("portrait");
        changes.push(CardChange { claim: "portrait", label_vi, label_en, old: None, new: None });
    }
    changes
}
