//! Cards as an office looks for them: by unit and state, page by page, or by the name that they print.

use sqlx::AssertSqlSafe;

use super::cards::{ListedCard, columns, listed};
use super::{Change, Store, Transaction, failed};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Result};
use crate::model::card::StateName;
use crate::model::id::Handle;
use crate::model::text::searchable;

/// Which cards are meant.
#[derive(Clone, Debug, Default)]
pub struct CardFilter {
    /// Of one of these units or below one; the whole nation when absent.
    pub units: Option<Vec<String>>,
    /// Of this unit or below it.
    pub unit: Option<String>,
    /// In this state now.
    pub state: Option<StateName>,
    /// Whose printed name has all words of this one, whatever their case and accents.
    pub name: Option<String>,
    /// Those that come after this one.
    pub after: Option<Handle>,
    /// At most so many.
    pub limit: usize,
}

/// Most words of a name that are looked for.
pub(super) const MOST_WORDS: usize = 12;

impl Store {
    /// Cards, newest first.
    pub async fn list_cards(&self, filter: &CardFilter, now: UnixSeconds) -> Result<Vec<ListedCard>, Fault> {
        let (mut conditions, mut values) = (vec!["1 = 1".to_owned()], Vec::new());
        let mut place = |value: String| {
            values.push(value);
            format!("${}", values.len())
        };
        let mut below = |unit: &str| {
            let (own, dotted) = (place(unit.to_owned()), place(format!("{unit}.")));
            // By the index of units: every card's unit is in the register.
            format!(
                "unit IN (SELECT {own} UNION SELECT code FROM units WHERE substr(code, 1, length({dotted})) = {dotted})"
            )
        };
        if let Some(units) = &filter.units {
            let any: Vec<_> = units.iter().map(|unit| below(unit)).collect();
            conditions.push(if any.is_empty() { "1 = 0".into() } else { format!("({})", any.join(" OR ")) });
        }
        conditions.extend(filter.unit.as_deref().map(&mut below));
        conditions.extend(filter.state.map(|state| match state {
            StateName::Active | StateName::Locked => format!("state = '{}' AND valid_until > {now}", state.word()),
            StateName::Withdrawn => "state = 'withdrawn'".to_owned(),
            // Not all whose term is over have been noted yet.
            StateName::Expired => {
                format!("(state = 'expired' OR (state IN ('active', 'locked') AND valid_until <= {now}))")
            }
        }));
        if let Some(name) = &filter.name {
            for word in searchable(name).split(' ').take(MOST_WORDS) {
                // Only letters are left of it, so that nothing in it means more to LIKE.
                conditions.push(format!("search_name LIKE {}", place(format!("% {word}%"))));
            }
        }
        conditions.extend(filter.after.as_ref().map(|after| {
            let after = place(after.to_string());
            format!(
                "(created_at, handle) < (SELECT earlier.created_at, earlier.handle FROM cards earlier \
                 WHERE earlier.handle = {after})"
            )
        }));
        let statement = format!(
            "SELECT {} FROM cards WHERE {} ORDER BY created_at DESC, handle DESC LIMIT {}",
            columns(),
            conditions.join(" AND "),
            filter.limit
        );
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for value in values {
            query = query.bind(value);
        }
        let rows = query.fetch_all(self.readers()).await.map_err(failed("listing cards"))?;
        rows.iter().map(listed).collect()
    }

    /// Makes cards of before findable by name, at most `limit`. Returns how many there were.
    pub async fn name_cards(&self, limit: usize) -> Result<usize> {
        let statement = format!("SELECT {} FROM cards WHERE search_name = '' LIMIT {limit}", columns());
        let rows = sqlx::query(AssertSqlSafe(statement))
            .fetch_all(self.readers())
            .await
            .map_err(failed("reading cards without a name to find"))?;
        let cards: Vec<_> = rows.iter().map(listed).collect::<Result<_, _>>()?;
        let names = cards.iter().map(|listed| (listed.card.handle.clone(), search_name(&listed.name))).collect();
        self.write(NameCards { names }).await?;
        Ok(cards.len())
    }
}

struct NameCards {
    names: Vec<(Handle, String)>,
}

impl Change for NameCards {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        for (card, name) in &self.names {
            sqlx::query("UPDATE cards SET search_name = $2 WHERE handle = $1")
                .bind(card.as_str())
                .bind(name)
                .execute(&mut **transaction)
                .await
                .map_err(failed("noting a name to find"))?;
        }
        Ok(())
    }
}

/// A name as it is looked for: every word after a space, never empty.
pub(super) fn search_name(name: &str) -> String {
    format!(" {}", searchable(name))
}
