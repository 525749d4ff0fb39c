//! The change feed: written with the change that an event tells of, read in pages.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};
use tokio::sync::watch;

use super::cards::handle;
use super::{Store, failed, places};
use crate::error::Fault;
use crate::model::card::Reason;
use crate::model::event::{Event, EventKind, NewEvent};
use crate::model::id::Handle;

/// Events that one statement writes.
const ROWS: usize = 200;
/// Numbers that one page looks through at most: a filter that few events pass must not read the whole feed at once.
const WINDOW: i64 = 50_000;

/// Which events are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of cards of these units and of all units below them; `None` is the whole nation.
    pub units: Option<Vec<String>>,
    /// Of these kinds; `None` is all.
    pub kinds: Option<Vec<EventKind>>,
}

/// A part of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPage {
    /// The events that are meant, in order.
    pub events: Vec<Event>,
    /// The feed was read up to here: where the next page begins.
    pub next: i64,
    /// The newest number when it was read.
    pub newest: i64,
}

/// Writes the events under the next numbers, in the transaction of the changes that they tell of, and gives the last
/// number. The counter's row stays locked until that transaction ends, so nothing may wait for anything after this.
pub(super) async fn write(connection: &mut AnyConnection, events: &[NewEvent]) -> Result<Option<i64>, Fault> {
    if events.is_empty() {
        return Ok(None);
    }
    let doing = failed("writing events");
    let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
    let row = sqlx::query("UPDATE event_counter SET last = last + $1 WHERE id = 1 RETURNING last")
        .bind(count)
        .fetch_one(&mut *connection)
        .await
        .map_err(&doing)?;
    let last: i64 = row.try_get(0).map_err(&doing)?;
    let mut seq = last - count;
    for chunk in events.chunks(ROWS) {
        let statement = format!(
            "INSERT INTO events (seq, at, kind, card, unit, reason, other_card) VALUES {}",
            places(chunk.len(), 7)
        );
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for NewEvent { at, kind, card, unit, reason, other } in chunk {
            seq += 1;
            query = query
                .bind(seq)
                .bind(at)
                .bind(kind.word())
                .bind(card.as_str())
                .bind(unit)
                .bind(reason.map(Reason::code))
                .bind(other.as_ref().map(Handle::as_str));
        }
        query.execute(&mut *connection).await.map_err(&doing)?;
    }
    Ok(Some(last))
}

impl Store {
    /// The newest number of the feed; 0 before the first event.
    pub async fn newest_event(&self) -> Result<i64, Fault> {
        let doing = failed("reading the event counter");
        let row = sqlx::query("SELECT last FROM event_counter WHERE id = 1").fetch_one(self.readers()).await;
        row.and_then(|row| row.try_get(0)).map_err(doing)
    }

    /// Tells when this process has written an event. What other processes write is seen by looking.
    pub fn event_news(&self) -> watch::Receiver<i64> {
        self.newest_event.subscribe()
    }

    /// The events that are meant after number `after`, at most `limit`, and none after number `through`.
    pub async fn events(
        &self,
        after: i64,
        through: Option<i64>,
        limit: i64,
        filter: &EventFilter,
    ) -> Result<EventPage, Fault> {
        let doing = failed("reading events");
        // First: all events up to this number are there to be read.
        let newest = self.newest_event().await?;
        let end = newest.min(after.saturating_add(WINDOW)).min(through.unwrap_or(i64::MAX)).max(after);
        if end == after {
            return Ok(EventPage { events: Vec::new(), next: after, newest });
        }
        let mut conditions = String::new();
        let mut values = Vec::new();
        if let Some(units) = &filter.units {
            let each = units.iter().map(|unit| {
                values.extend([unit.clone(), format!("{unit}.")]);
                let (same, below) = (values.len() + 2, values.len() + 3);
                format!("unit = ${same} OR substr(unit, 1, length(${below})) = ${below}")
            });
            let each: Vec<_> = each.collect();
            conditions = format!(" AND ({})", if each.is_empty() { "1 = 0".into() } else { each.join(" OR ") });
        }
        if let Some(kinds) = &filter.kinds {
            // Our own words.
            let words: Vec<_> = kinds.iter().map(|kind| format!("'{}'", kind.word())).collect();
            conditions.push_str(" AND kind IN (");
            conditions.push_str(&if words.is_empty() { "''".into() } else { words.join(", ") });
            conditions.push(')');
        }
        let statement = format!(
            "SELECT seq, at, kind, card, unit, reason, other_card FROM events \
             WHERE seq > $1 AND seq <= $2{conditions} ORDER BY seq LIMIT $3"
        );
        let query = sqlx::query(AssertSqlSafe(statement)).bind(after).bind(end).bind(limit);
        let query = values.into_iter().fold(query, sqlx::query::Query::bind);
        let rows = query.fetch_all(self.readers()).await.map_err(&doing)?;
        let events = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let is_full = events.len() as u64 >= limit.unsigned_abs();
        let next = events.last().filter(|_| is_full).map_or(end, |last| last.seq);
        Ok(EventPage { events, next, newest })
    }
}

fn read(row: &AnyRow) -> Result<Event, Fault> {
    let doing = failed("reading an event");
    let broken = |what: &'static str| Fault::new("reading an event", what);
    let kind: String = row.try_get("kind").map_err(&doing)?;
    let reason: Option<String> = row.try_get("reason").map_err(&doing)?;
    let reason = reason.map(|code| Reason::parse(&code).ok_or_else(|| broken("its reason is unknown"))).transpose()?;
    let other: Option<String> = row.try_get("other_card").map_err(&doing)?;
    Ok(Event {
        seq: row.try_get("seq").map_err(&doing)?,
        what: NewEvent {
            at: row.try_get("at").map_err(&doing)?,
            kind: EventKind::parse(&kind).ok_or_else(|| broken("its kind is unknown"))?,
            card: handle(row, "card")?,
            unit: row.try_get("unit").map_err(&doing)?,
            reason,
            other: other.as_deref().and_then(Handle::parse),
        },
    })
}
