//! The life of a card after it was made: found, locked, unlocked, withdrawn, replaced, expired.

use std::sync::PoisonError;

use super::offer::From;
use super::{Caller, Service};
use crate::clock::UnixSeconds;
use crate::error::{Refusal, Result};
use crate::model::agency::agencies;
use crate::model::calendar::day_of;
use crate::model::card::{Moved, Reason, Selector, StateName, Step};
use crate::model::id::Handle;
use crate::model::unit::{UnitCode, UnitDirectory};
use crate::store::{FoundCard, ListedCard};

/// Cards that one search returns at most.
const MOST_FOUND: i64 = 100;
/// How old the counts of cards may be that operators see.
const COUNTS_SECONDS: i64 = 15;

/// How many cards were in each state, and when.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    at: UnixSeconds,
    by_state: Vec<(String, i64)>,
}

impl Step {
    fn scope(self) -> &'static str {
        match self {
            Self::Lock => "cards:lock",
            Self::Unlock => "cards:unlock",
            Self::Withdraw => "cards:withdraw",
            Self::Replace => "cards:replace",
        }
    }
}

impl Service {
    /// A card of a unit that the caller may see, with whose it is: written down as a read of the record.
    pub async fn find_card(&self, caller: &Caller, handle: &Handle) -> Result<ListedCard> {
        caller.needs("cards:read")?;
        let FoundCard { card, facts } = self.visible(caller, handle).await?;
        let number = facts.card_number();
        let listed =
            ListedCard { card, number, name: facts.full_name, position: facts.position_title.or(facts.job_position) };
        self.note_cards_read(caller, std::slice::from_ref(&listed)).await?;
        Ok(listed)
    }

    /// Takes a step on the cards that are meant, each with all its copies, in one transaction. On one card or person,
    /// finding nothing to change is refused with the reason; on a unit it is not.
    pub async fn move_cards(&self, caller: &Caller, selector: Selector, step: Step, reason: Reason) -> Result<Moved> {
        caller.needs(step.scope())?;
        step.accepts(reason)?;
        let now = self.clock.now();
        let meant = match &selector {
            Selector::Card(handle) => vec![self.visible(caller, handle).await?.card],
            Selector::Person(_) => {
                let cards = self.store.cards(&selector, MOST_FOUND).await?;
                if cards
                    .iter()
                    .any(|card| step.moves().0.contains(&card.state_at(now).name()) && !caller.sees(&card.unit))
                {
                    return Err(Refusal::ForeignUnit.into());
                }
                cards.into_iter().filter(|card| caller.sees(&card.unit)).collect()
            }
            // The facts' own way: `flow/follow.rs`.
            Selector::Record(_) => return Err(Refusal::NotFound("card").into()),
            Selector::Unit(unit) => {
                caller.may_touch(unit.as_str())?;
                if !self.knows_unit(unit).await? {
                    return Err(Refusal::NotFound("unit").into());
                }
                Vec::new()
            }
        };
        let is_unit = matches!(selector, Selector::Unit(_));
        let mut moved = self.store.move_cards(selector.clone(), step, reason, caller.name.clone(), now).await?;
        if let (Selector::Person(_), Step::Lock) = (&selector, step) {
            // What the facts locked already: each by itself, for not all of the person's are the caller's.
            let locked = meant.iter().filter(|card| card.state_at(now).name() == StateName::Locked);
            for card in locked {
                let one = Selector::Card(card.handle.clone());
                let taken = self.store.move_cards(one, step, reason, caller.name.clone(), now).await?;
                moved.cards.extend(taken.cards);
                moved.credentials += taken.credentials;
            }
        }
        if moved.cards.is_empty() && !is_unit {
            let newest = meant.first().ok_or(Refusal::NotFound("card"))?;
            newest.may(step, now)?;
            // Somebody else was first; say what the card is now.
            self.visible(caller, &newest.handle).await?.card.may(step, now)?;
        }
        Ok(moved)
    }

    /// Whether there is such a unit, or ever was: a closed agency may still have cards to withdraw.
    async fn knows_unit(&self, unit: &UnitCode) -> Result<bool> {
        let code = unit.as_str();
        Ok(agencies().ever(code) || self.store.units_named(day_of(self.clock.now()), &[code]).await?.has_unit(code))
    }

    /// Withdraws a card and makes a new one from the person's verified record, in one transaction. Returns the new card.
    pub async fn replace_card(&self, caller: &Caller, handle: &Handle, reason: Reason) -> Result<Handle> {
        caller.needs(Step::Replace.scope())?;
        Step::Replace.accepts(reason)?;
        let found = self.visible(caller, handle).await?;
        found.card.may_be_replaced(reason, self.clock.now())?;
        let new = self.card_of(caller, &found.facts.personal_id_number, From::Record(&found.card.record)).await?;
        let name = new.handle.clone();
        self.store.replace_card(handle.clone(), new, reason, caller.name.clone()).await?;
        Ok(name)
    }

    /// How many cards are in each state, at most [`COUNTS_SECONDS`] old: counting reads all of them.
    pub async fn count_cards(&self) -> Result<Vec<(String, i64)>> {
        let now = self.clock.now();
        if let Some(Counts { at, by_state }) = self.counted.lock().unwrap_or_else(PoisonError::into_inner).as_ref()
            && (0..COUNTS_SECONDS).contains(&(now - at))
        {
            return Ok(by_state.clone());
        }
        let by_state = self.store.count_cards().await?;
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Counts { at: now, by_state: by_state.clone() });
        Ok(by_state)
    }

    /// Notes the cards whose term is over.
    pub async fn expire_cards(&self) -> Result<Moved> {
        self.store.expire_cards(self.clock.now()).await
    }

    /// What happened to a card, oldest first.
    pub async fn card_history(&self, handle: &Handle) -> Result<Vec<(i64, String, String, String)>> {
        Ok(self.store.history(handle.as_str()).await?)
    }

    pub(super) async fn visible(&self, caller: &Caller, handle: &Handle) -> Result<FoundCard> {
        let found = self.store.card(handle).await?.filter(|found| caller.sees(&found.card.unit));
        found.ok_or_else(|| Refusal::NotFound("card").into())
    }
}
