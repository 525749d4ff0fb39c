//! Events of the change feed: what happened to which card, in the order in which it became durable. No personal data: a
//! card's handle is random, and everything else is a code.

use crate::clock::UnixSeconds;
use crate::model::card::{Reason, Step};
use crate::model::id::Handle;

/// What happened to a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// It was made.
    Created,
    /// It is not to be accepted for now.
    Locked,
    /// It is in force again.
    Unlocked,
    /// It is never to be accepted again, and has no successor.
    Withdrawn,
    /// It was withdrawn and another stands in its place: it was lost, stolen or damaged.
    Replaced,
    /// The same because the approved facts changed: the wallet should fetch the new card.
    Refreshed,
    /// Its term is over.
    Expired,
    /// Its term, or its holder's contract, ends soon.
    Ending,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Created,
        Self::Locked,
        Self::Unlocked,
        Self::Withdrawn,
        Self::Replaced,
        Self::Refreshed,
        Self::Expired,
        Self::Ending,
    ];

    /// The word stored and sent.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "card.created",
            Self::Locked => "card.locked",
            Self::Unlocked => "card.unlocked",
            Self::Withdrawn => "card.withdrawn",
            Self::Replaced => "card.replaced",
            Self::Refreshed => "card.refreshed",
            Self::Expired => "card.expired",
            Self::Ending => "card.ending",
        }
    }

    /// From the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// What a step on a card is, when no other card takes its place.
    pub fn of_step(step: Step) -> Self {
        match step {
            Step::Lock => Self::Locked,
            Step::Unlock => Self::Unlocked,
            Step::Withdraw | Step::Replace => Self::Withdrawn,
        }
    }

    /// What it is to take a card's place for this reason.
    pub fn of_replacement(reason: Reason) -> Self {
        if reason.is_change_of_facts() { Self::Refreshed } else { Self::Replaced }
    }
}

/// Something that has just happened; its number is given when it becomes durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// When.
    pub at: UnixSeconds,
    /// What.
    pub kind: EventKind,
    /// To which card.
    pub card: Handle,
    /// The card's employing unit.
    pub unit: String,
    /// Why, for all but a card that was made or whose term is over, or will be.
    pub reason: Option<Reason>,
    /// The card that took its place; of a card that was made, the one whose place it took.
    pub other: Option<Handle>,
}

/// An event with its number: numbers have no gap, and an event is never seen before those with smaller numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// 1, 2, 3, …
    pub seq: i64,
    /// The event.
    pub what: NewEvent,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_parse_back_and_changed_facts_refresh() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::parse(kind.word()), Some(kind));
        }
        let refreshing: Vec<_> = Reason::ALL
            .into_iter()
            .filter(|reason| Step::Replace.accepts(*reason).is_ok())
            .filter(|reason| EventKind::of_replacement(*reason) == EventKind::Refreshed)
            .collect();
        assert_eq!(refreshing, [Reason::Transferred, Reason::PositionChanged, Reason::DataChanged]);
    }
}
