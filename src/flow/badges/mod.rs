//! Sheets of badges for printing: for cards that are named, or for those in force of a unit.

mod sheet;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::{Caller, Service};
use crate::credential::symbol::{Ecc, Symbol};
use crate::error::{Fault, Refusal, Result};
use crate::model::card::StateName;
use crate::model::id::Handle;
use crate::model::text::collated;
use crate::model::unit::UnitCode;
use crate::store::{CardFilter, FoundCard};

/// Most badges of one document.
pub const MOST_BADGES: usize = 500;
/// Badges that are made ready at the same time: their changes share a transaction.
const AT_ONCE: usize = 32;

/// Whose badges are printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadgeChoice {
    /// Of these cards, in this order.
    Cards(Vec<Handle>),
    /// Of every card in force of a unit and of all below.
    Unit(UnitCode),
}

impl Service {
    /// A PDF with the badges of cards in force.
    pub async fn badge_sheet(&self, caller: &Caller, choice: BadgeChoice) -> Result<Vec<u8>> {
        caller.needs("badges:read")?;
        let cards = match choice {
            BadgeChoice::Cards(cards) => cards,
            BadgeChoice::Unit(unit) => self.active_cards(caller, unit).await?,
        };
        if cards.len() > MOST_BADGES {
            return Err(Refusal::TooMuch(format!("a sheet has at most {MOST_BADGES} badges")).into());
        }
        if cards.is_empty() {
            return Err(Refusal::NotFound("card in force").into());
        }
        // All are looked at before the first badge is made.
        let found: Vec<FoundCard> = stream::iter(cards)
            .map(|card| async move { self.visible(caller, &card).await })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let now = self.clock.now();
        let ended = found.iter().map(|found| found.card.state_at(now).name()).find(|state| *state != StateName::Active);
        if let Some(state) = ended {
            return Err(Refusal::CardState { state: state.word(), action: "printed" }.into());
        }
        let records: Vec<_> = found.iter().map(|found| found.card.record.clone()).collect();
        let labels: Vec<_> = stream::iter(found)
            .map(|found| async move { self.label(caller, found).await })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        self.store.note_read(&caller.name, &records, "badges", now).await?;
        let drawn = tokio::task::spawn_blocking(move || sheet::draw(&labels, "Mã QR trên thẻ")).await;
        Ok(drawn.map_err(|error| Fault::new("drawing badges", error))??)
    }

    async fn active_cards(&self, caller: &Caller, unit: UnitCode) -> Result<Vec<Handle>> {
        caller.may_touch(unit.as_str())?;
        let filter = CardFilter {
            units: Some(vec![unit.to_string()]),
            state: Some(StateName::Active),
            // One more than is allowed shows that there are too many.
            limit: MOST_BADGES + 1,
            ..CardFilter::default()
        };
        let mut cards = self.store.list_cards(&filter, self.clock.now()).await?;
        // By name, as the people stand in a list.
        cards.sort_by_cached_key(|listed| collated(&listed.name));
        Ok(cards.into_iter().map(|listed| listed.card.handle).collect())
    }

    async fn label(&self, caller: &Caller, found: FoundCard) -> Result<sheet::Label> {
        let text = self.badge_text(caller, &found).await?;
        let symbol = Symbol::new(&text, Ecc::Medium).map_err(|error| Fault::new("drawing a badge", error))?;
        Ok(sheet::Label {
            symbol,
            name: found.facts.full_name,
            title: found.facts.position_title.or(found.facts.job_position),
            unit: found.facts.employing_agency.name,
            number: found.card.masked_number,
        })
    }
}
