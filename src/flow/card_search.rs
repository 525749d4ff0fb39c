//! An office looks for cards. Names are personal data: every look is written down with the records.

use super::{Caller, Service};
use crate::error::{Refusal, Result};
use crate::model::id::PersonalNumber;
use crate::model::text::searchable;
use crate::store::{CardFilter, ListedCard};

/// Cards that one search returns at most.
pub const MOST_FOUND: usize = 100;

/// What a card is looked for by.
#[derive(Clone, Debug)]
pub enum CardSearch {
    /// Its person.
    Person(PersonalNumber),
    /// The number that it prints, whole.
    Number(String),
    /// The name that it prints, in a unit and below or wherever the caller may look.
    Name {
        /// Words of it.
        name: String,
        /// The unit.
        unit: Option<String>,
    },
}

/// Cards of before that one step makes findable.
const NAMED_AT_ONCE: usize = 500;

impl Service {
    /// Makes cards of before findable by name, some hundred at a time. Returns whether there may be more.
    pub async fn name_cards(&self) -> Result<bool> {
        Ok(self.store.name_cards(NAMED_AT_ONCE).await? == NAMED_AT_ONCE)
    }

    /// Cards of a page, newest first, and whether there are more.
    pub async fn list_cards(&self, caller: &Caller, filter: CardFilter) -> Result<(Vec<ListedCard>, bool)> {
        caller.needs("cards:read")?;
        if let Some(unit) = &filter.unit {
            caller.may_touch(unit)?;
        }
        let limit = filter.limit;
        let units = caller.units().map(<[String]>::to_vec);
        let filter = CardFilter { units, limit: limit + 1, ..filter };
        let mut cards = self.store.list_cards(&filter, self.clock.now()).await?;
        let has_more = cards.len() > limit;
        cards.truncate(limit);
        self.note_cards_read(caller, &cards).await?;
        Ok((cards, has_more))
    }

    /// The cards that are looked for and that the caller may see, newest first.
    pub async fn search_cards(&self, caller: &Caller, search: CardSearch) -> Result<Vec<ListedCard>> {
        caller.needs("cards:read")?;
        let (person, number) = match search {
            CardSearch::Name { name, unit } => {
                if searchable(&name).is_empty() {
                    return Err(Refusal::malformed("body.name", "has no letters").into());
                }
                let filter = CardFilter { unit, name: Some(name), limit: MOST_FOUND, ..CardFilter::default() };
                return Ok(self.list_cards(caller, filter).await?.0);
            }
            CardSearch::Person(person) => (person, None),
            CardSearch::Number(number) => (person_of(&number)?, Some(number)),
        };
        let mut cards = self.store.cards_of(&person, MOST_FOUND).await?;
        cards.retain(|listed| caller.sees(&listed.card.unit));
        cards.retain(|listed| number.as_ref().is_none_or(|number| listed.number == *number));
        self.note_cards_read(caller, &cards).await?;
        Ok(cards)
    }

    /// The records of cards are read where somebody sees whose they are.
    pub(super) async fn note_cards_read(&self, caller: &Caller, cards: &[ListedCard]) -> Result<()> {
        let records: Vec<_> = cards.iter().map(|listed| listed.card.record.clone()).collect();
        self.store.note_read(&caller.name, &records, "cards", self.clock.now()).await
    }
}

/// The person whose number stands in the number of a card (Decision 838/QĐ-BNV).
fn person_of(number: &str) -> Result<PersonalNumber, Refusal> {
    let person = number.rsplit('.').nth(1).and_then(PersonalNumber::parse);
    person.ok_or_else(|| Refusal::malformed("body.number", "must be a card's number: agency, 12 digits, kind"))
}
