//! Cards: made from a record, moved between states, replaced. Every credential of a card follows its state in the same
//! transaction.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};
use time::Date;
use time::macros::format_description;

use super::card_search::search_name;
use super::{Change, Line, Store, Transaction, failed, grants, matches, status_lists};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Refusal, Result};
use crate::model::card::{AgencyName, Card, CardFacts, CardType, Moved, Reason, Selector, State, StateName, Step};
use crate::model::event::{EventKind, NewEvent};
use crate::model::id::{Handle, PersonalNumber};
use crate::model::origin::HOLDER;
use crate::model::value::hex;

/// Cards handled by one statement of a mass change.
const CHUNK: usize = 500;

/// A card that is to be made.
#[derive(Clone, Debug)]
pub struct NewCard {
    /// Its name.
    pub handle: Handle,
    /// The record that it is made from.
    pub record: Handle,
    /// The version of that record.
    pub record_version: i64,
    /// What it will say.
    pub facts: CardFacts,
    /// Now.
    pub created_at: UnixSeconds,
    /// When it expires.
    pub valid_until: UnixSeconds,
    /// What the credentials of the card that it replaces will show, when that is because the facts changed.
    pub replaced_status: u8,
}

/// A card with what it says.
#[derive(Clone, Debug)]
pub struct FoundCard {
    /// The card.
    pub card: Card,
    /// What it says.
    pub facts: CardFacts,
}

/// A card as a list shows it: portrait and most facts left out.
#[derive(Clone, Debug)]
pub struct ListedCard {
    /// The card.
    pub card: Card,
    /// The number that it prints, which holds the personal number.
    pub number: String,
    /// The name that it prints.
    pub name: String,
    /// Position or title that it prints.
    pub position: Option<String>,
}

/// The condition on `cards` that means these, and its values `$1` and `$2`.
fn condition(selector: &Selector) -> (&'static str, [String; 2]) {
    match selector {
        Selector::Card(handle) => ("handle IN ($1, $2)", [handle.to_string(), handle.to_string()]),
        Selector::Person(person) => ("person IN ($1, $2)", [person.expose().to_owned(), person.expose().to_owned()]),
        Selector::Record(record) => ("record_id IN ($1, $2)", [record.to_string(), record.to_string()]),
        Selector::Unit(unit) => {
            ("(unit = $1 OR substr(unit, 1, length($2)) = $2)", [unit.to_string(), format!("{unit}.")])
        }
    }
}

const COLUMNS: &str = "cards.handle, cards.record_id, cards.record_version, cards.unit, cards.facts, cards.state, \
    cards.state_at, cards.state_reason, cards.created_at, cards.valid_until, cards.replaced_by";

impl Store {
    /// The cards that are meant, newest first, at most `limit`.
    pub async fn cards(&self, selector: &Selector, limit: i64) -> Result<Vec<Card>, Fault> {
        let (meant, [one, two]) = condition(selector);
        let statement = format!("SELECT {COLUMNS} FROM cards WHERE {meant} ORDER BY created_at DESC, handle LIMIT $3");
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(one)
            .bind(two)
            .bind(limit)
            .fetch_all(self.readers())
            .await
            .map_err(failed("reading cards"))?;
        rows.iter().map(card).collect()
    }

    /// The cards of a person as a list shows them, newest first, at most `limit`.
    pub async fn cards_of(&self, person: &PersonalNumber, limit: usize) -> Result<Vec<ListedCard>, Fault> {
        let statement =
            format!("SELECT {COLUMNS} FROM cards WHERE person = $1 ORDER BY created_at DESC, handle LIMIT {limit}");
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(person.expose())
            .fetch_all(self.readers())
            .await
            .map_err(failed("reading the cards of a person"))?;
        rows.iter().map(listed).collect()
    }

    /// A card with what it says, portrait included.
    pub async fn card(&self, handle: &Handle) -> Result<Option<FoundCard>, Fault> {
        let row = sqlx::query(AssertSqlSafe(format!(
            "SELECT {COLUMNS}, portraits.bytes AS portrait FROM cards \
             LEFT JOIN portraits ON portraits.sha256 = cards.portrait WHERE handle = $1"
        )))
        .bind(handle.as_str())
        .fetch_optional(self.readers())
        .await
        .map_err(failed("reading a card"))?;
        row.as_ref().map(found).transpose()
    }

    /// Takes `step` on all cards that are meant and may take it. One transaction, each card's credentials with it.
    pub async fn move_cards(
        &self,
        selector: Selector,
        step: Step,
        reason: Reason,
        actor: String,
        at: UnixSeconds,
    ) -> Result<Moved> {
        self.write(MoveCards { selector, step, reason, actor, at }).await
    }

    /// Withdraws the card in force and puts `new` in its place, in one transaction.
    pub async fn replace_card(&self, old: Handle, new: NewCard, reason: Reason, actor: String) -> Result<()> {
        self.write(ReplaceCard { old, new, reason, actor }).await
    }

    /// Notes cards whose term is over, some hundred at a time. Their credentials carry `exp` themselves, so that no list
    /// has to name them.
    pub async fn expire_cards(&self, at: UnixSeconds) -> Result<Moved> {
        self.write(ExpireCards { at }).await
    }

    /// How many cards there are in each state.
    pub async fn count_cards(&self) -> Result<Vec<(String, i64)>, Fault> {
        let rows = sqlx::query("SELECT state, COUNT(*) FROM cards GROUP BY state")
            .fetch_all(self.readers())
            .await
            .map_err(failed("counting cards"))?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect::<Result<_, sqlx::Error>>()
            .map_err(failed("counting cards"))
    }
}

struct MoveCards {
    selector: Selector,
    step: Step,
    reason: Reason,
    actor: String,
    at: UnixSeconds,
}

impl Change for MoveCards {
    type Done = Moved;
    const MOVES_CARDS: bool = true;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Moved> {
        let Self { selector, step, reason, actor, at } = self;
        move_all(transaction, selector, &Move { step: *step, reason: *reason, actor, at: *at, by: By::Person })
            .await
            .map_err(Into::into)
    }
}

/// A step on cards.
pub(super) struct Move<'a> {
    pub(super) step: Step,
    pub(super) reason: Reason,
    pub(super) actor: &'a str,
    pub(super) at: UnixSeconds,
    pub(super) by: By<'a>,
}

impl Move<'_> {
    /// The cause for which the facts take it; empty for a person.
    fn hold(&self) -> &'static str {
        match self.by {
            By::Facts { hold, .. } => hold,
            By::Person => "",
        }
    }
}

/// Who takes a step: a person, or the facts.
pub(super) enum By<'a> {
    /// Whoever locked a card meanwhile gives it back or does not.
    Person,
    /// A cause that locks, and gives back only what it locked; and the facts for the audit line.
    Facts { hold: &'static str, because: &'a str },
}

/// The cause of a lock that the employment status of a record sets, in `cards.hold`.
pub(super) const STATUS: &str = "status";

/// Takes a step on all cards that are meant and may take it, each with its credentials. A card has one lock and may have
/// several causes for it: what is unlocked while another cause stands is locked again for that one.
pub(super) async fn move_all(
    transaction: &mut Transaction<'_>,
    selector: &Selector,
    wanted: &Move<'_>,
) -> Result<Moved, Fault> {
    let standing = match wanted.step {
        Step::Unlock => other_causes(transaction, selector, wanted.hold()).await?,
        _ => Vec::new(),
    };
    let moved = take(transaction, selector, wanted).await?;
    for (card, hold) in standing.into_iter().filter(|(card, _)| moved.cards.contains(card)) {
        let because = if hold == STATUS { "the employment status stands" } else { "the discrepancy stands" };
        let by = By::Facts { hold, because };
        let lock = Move { step: Step::Lock, reason: Reason::UnderReview, actor: "system", at: wanted.at, by };
        take(transaction, &Selector::Card(card), &lock).await?;
    }
    Ok(moved)
}

/// The step itself.
async fn take(transaction: &mut Transaction<'_>, selector: &Selector, wanted: &Move<'_>) -> Result<Moved, Fault> {
    let Move { step, reason, actor, at, by } = wanted;
    let (from, to) = step.moves();
    let from: Vec<_> = from.iter().map(|state| format!("'{}'", state.word())).collect();
    let (meant, [one, two]) = condition(selector);
    let hold = wanted.hold();
    let own = match (step, hold) {
        // See `leave_to_holder`.
        (Step::Unlock, "") => "AND reported IS NULL AND $6 = $6",
        (Step::Unlock, _) => "AND hold = $6",
        _ => "AND $6 = $6",
    };
    // A person who locks what the facts have locked already keeps it locked when the facts give it back. Not by way of the
    // person, whose cards of other units may be among them.
    let takes_over = *step == Step::Lock && hold.is_empty() && !matches!(selector, Selector::Person(_));
    // So does the holder: what they froze, nobody but they and the officers give back.
    let taken_over = match hold {
        "" if takes_over => "OR (state = 'locked' AND hold IS NOT NULL)",
        HOLDER if *step == Step::Lock => "OR (state = 'locked' AND hold IS NOT NULL AND hold <> $6)",
        _ => "",
    };
    let statement = format!(
        "UPDATE cards SET state = $3, state_at = $4, state_reason = $5, \
         hold = CASE WHEN $3 = 'locked' AND $6 <> '' THEN $6 END, \
         reported = CASE WHEN $3 = 'locked' AND hold = '{HOLDER}' THEN state_reason ELSE reported END \
         WHERE {meant} AND (state IN ({}) {taken_over}) AND valid_until > $4 {own} RETURNING handle, unit",
        from.join(", ")
    );
    let rows = sqlx::query(AssertSqlSafe(statement))
        .bind(&one)
        .bind(&two)
        .bind(to.word())
        .bind(at)
        .bind(reason.code())
        .bind(hold)
        .fetch_all(&mut **transaction)
        .await
        .map_err(failed("moving cards"))?;
    if *step == Step::Unlock && hold.is_empty() {
        leave_to_holder(transaction, (meant, [&one, &two]), wanted).await?;
    }
    let moved = handles_and_units(&rows)?;
    let cards: Vec<_> = moved.iter().map(|(card, _)| card.clone()).collect();
    let credentials = set_status(transaction, &cards, to.status()).await?;
    if to == StateName::Withdrawn {
        grants::end_with(transaction, &cards, *at).await?;
    }
    for (card, unit) in moved {
        let action = match step {
            Step::Lock => "card.locked",
            Step::Unlock => "card.unlocked",
            Step::Withdraw | Step::Replace => "card.withdrawn",
        };
        let detail = match by {
            By::Facts { because, .. } => format!("{} {because}", reason.code()),
            By::Person => reason.code().to_owned(),
        };
        audit(transaction, *at, actor, action, &card, detail);
        transaction.event(NewEvent {
            at: *at,
            kind: EventKind::of_step(*step),
            card,
            unit,
            reason: Some(*reason),
            other: None,
        });
    }
    Ok(Moved { cards, credentials })
}

/// A record whose employment status keeps its card locked: out of service, or in it again without the unit's word yet.
pub(super) const NOT_IN_SERVICE: &str = "(records.out_of_service IS NOT NULL \
    OR (records.follow_due_at IS NOT NULL AND records.confirmed_at IS NULL))";

/// Locked cards of those meant, each with a cause that stands and is not the one that locked it: while another lock stood,
/// it found nothing to lock. A discrepancy forgets the last good match. Who unlocks what a cause locked has decided against
/// that one.
async fn other_causes(
    transaction: &mut Transaction<'_>,
    selector: &Selector,
    own: &str,
) -> Result<Vec<(Handle, &'static str)>, Fault> {
    let doing = failed("looking for other causes of a lock");
    let (meant, [one, two]) = condition(selector);
    if own != STATUS {
        // Whoever is about to find a cause waits, and then finds the card unlocked. The status has its record already.
        let statement = format!(
            "UPDATE records SET version = version WHERE id IN \
             (SELECT record_id FROM cards WHERE {meant} AND state = 'locked')"
        );
        let query = sqlx::query(AssertSqlSafe(statement)).bind(&one).bind(&two);
        query.execute(&mut **transaction).await.map_err(&doing)?;
    }
    let discrepancy = matches::HOLD;
    let statement = format!(
        "SELECT locked.handle, CASE WHEN locked.hold <> '{STATUS}' AND {NOT_IN_SERVICE} THEN 1 ELSE 0 END AS by_status \
         FROM (SELECT handle, record_id, COALESCE(hold, '') AS hold FROM cards WHERE {meant} AND state = 'locked') AS locked \
         JOIN records ON records.id = locked.record_id \
         WHERE (locked.hold <> '{STATUS}' AND {NOT_IN_SERVICE}) \
         OR (locked.hold <> '{discrepancy}' AND records.population <> 'matched' AND records.matched_key IS NULL)"
    );
    let query = sqlx::query(AssertSqlSafe(statement)).bind(one).bind(two);
    let rows = query.fetch_all(&mut **transaction).await.map_err(&doing)?;
    let cause = |row: &AnyRow| {
        let by_status = row.try_get::<i64, _>("by_status").map_err(&doing)? == 1;
        Ok((handle(row, "handle")?, if by_status { STATUS } else { discrepancy }))
    };
    rows.iter().map(cause).collect()
}

/// Cards that a person gives back, and whose holder reported something while they were locked, stay locked: by the holder.
async fn leave_to_holder(
    transaction: &mut Transaction<'_>,
    (meant, [one, two]): (&str, [&String; 2]),
    Move { actor, at, .. }: &Move<'_>,
) -> Result<(), Fault> {
    let doing = failed("leaving cards to their holders");
    let statement = format!(
        "UPDATE cards SET state_at = $3, state_reason = reported, hold = '{HOLDER}', reported = NULL \
         WHERE {meant} AND state = 'locked' AND reported IS NOT NULL AND valid_until > $3 RETURNING handle, state_reason"
    );
    let rows = sqlx::query(AssertSqlSafe(statement)).bind(one).bind(two).bind(at).fetch_all(&mut **transaction).await;
    for row in rows.map_err(&doing)? {
        let reason: String = row.try_get("state_reason").map_err(&doing)?;
        audit(
            transaction,
            *at,
            actor,
            "card.locked",
            &handle(&row, "handle")?,
            format!("{reason} as its holder reported"),
        );
    }
    Ok(())
}

/// The holder of a card that is locked already says why it must stay so: the reason of their own lock, or one for when
/// others give theirs back. It only becomes graver.
pub(super) async fn report(
    transaction: &mut Transaction<'_>,
    card: &Handle,
    reason: Reason,
    at: UnixSeconds,
) -> Result<(), Fault> {
    let lesser = match reason {
        Reason::Stolen => "('', 'device_change', 'lost')",
        Reason::Lost => "('', 'device_change')",
        _ => "('')",
    };
    let statement = format!(
        "UPDATE cards SET state_reason = CASE WHEN hold = '{HOLDER}' THEN $2 ELSE state_reason END, \
         reported = CASE WHEN hold = '{HOLDER}' THEN reported ELSE $2 END \
         WHERE handle = $1 AND state = 'locked' AND valid_until > $3 \
         AND CASE WHEN hold = '{HOLDER}' THEN state_reason ELSE COALESCE(reported, '') END IN {lesser}"
    );
    let query = sqlx::query(AssertSqlSafe(statement)).bind(card.as_str()).bind(reason.code()).bind(at);
    let reported = query.execute(&mut **transaction).await.map_err(failed("noting what a holder reports"))?;
    if reported.rows_affected() == 1 {
        audit(transaction, at, HOLDER, "card.reported", card, format!("{} by the holder", reason.code()));
    }
    Ok(())
}

struct ReplaceCard {
    old: Handle,
    new: NewCard,
    reason: Reason,
    actor: String,
}

impl Change for ReplaceCard {
    type Done = ();
    const MOVES_CARDS: bool = true;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        replace(transaction, &self.old, &self.new, self.reason, &self.actor).await
    }
}

/// Withdraws `old`, if it is in force, and makes `new`.
pub(super) async fn replace(
    transaction: &mut Transaction<'_>,
    old: &Handle,
    new: &NewCard,
    reason: Reason,
    actor: &str,
) -> Result<()> {
    // Somebody may have locked it since it was looked at: what waits for its review is not replaced by an unlocked one.
    let from = if matches!(reason, Reason::Lost | Reason::Stolen) { "('active', 'locked')" } else { "('active')" };
    let withdrawn = sqlx::query(AssertSqlSafe(format!(
        "UPDATE cards SET state = 'withdrawn', state_at = $2, state_reason = $3, replaced_by = $4 \
         WHERE handle = $1 AND state IN {from} RETURNING handle, unit"
    )))
    .bind(old.as_str())
    .bind(new.created_at)
    .bind(reason.code())
    .bind(new.handle.as_str())
    .fetch_all(&mut **transaction)
    .await
    .map_err(failed("withdrawing the replaced card"))?;
    let Some((card, unit)) = handles_and_units(&withdrawn)?.pop() else {
        return Err(Refusal::CardState { state: "no longer in force", action: "replaced" }.into());
    };
    let (at, kind, other) = (new.created_at, EventKind::of_replacement(reason), Some(new.handle.clone()));
    transaction.event(NewEvent { at, kind, card, unit, reason: Some(reason), other });
    // Who still shows the old one is told to get the new one, if that is how this deployment says it.
    let status = if reason.is_change_of_facts() { new.replaced_status } else { StateName::Withdrawn.status() };
    if !reason.is_change_of_facts() {
        grants::end_with(transaction, std::slice::from_ref(old), new.created_at).await?;
    }
    set_status(transaction, std::slice::from_ref(old), status).await?;
    if !insert_after(transaction, new, Some(old)).await? {
        // Nothing of this may stay: a fault rolls back.
        return Err(Fault::new("replacing a card", "the record of the new one has a card in force").into());
    }
    let detail = format!("{} {}", reason.code(), new.handle);
    audit(transaction, new.created_at, actor, "card.replaced", old, detail);
    audit(transaction, new.created_at, actor, "card.created", &new.handle, format!("replaces {old}"));
    Ok(())
}

struct ExpireCards {
    at: UnixSeconds,
}

impl Change for ExpireCards {
    type Done = Moved;
    const MOVES_CARDS: bool = true;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Moved> {
        let rows = sqlx::query(
            "UPDATE cards SET state = 'expired', state_at = valid_until, state_reason = NULL \
             WHERE handle IN (SELECT handle FROM cards WHERE state IN ('active', 'locked') AND valid_until <= $1 \
             ORDER BY valid_until LIMIT $2) AND state IN ('active', 'locked') RETURNING handle, unit",
        )
        .bind(self.at)
        .bind(i64::try_from(CHUNK).unwrap_or(i64::MAX))
        .fetch_all(&mut **transaction)
        .await
        .map_err(failed("expiring cards"))?;
        let expired = handles_and_units(&rows)?;
        let cards = expired.iter().map(|(card, _)| card.clone()).collect();
        note_expired(transaction, self.at, "system", "", expired);
        Ok(Moved { cards, credentials: 0 })
    }
}

/// Inserts a card; `false` if its record already has one in force.
pub(super) async fn insert(transaction: &mut Transaction<'_>, card: &NewCard) -> Result<bool, Fault> {
    insert_after(transaction, card, None).await
}

/// The same for a card that takes the place of `replaces`.
async fn insert_after(
    transaction: &mut Transaction<'_>,
    card: &NewCard,
    replaces: Option<&Handle>,
) -> Result<bool, Fault> {
    let inserted = sqlx::query(
        "INSERT INTO cards (handle, record_id, record_version, person, unit, facts, portrait, state, state_at, \
         created_at, valid_until, search_name) VALUES ($1, $2, $3, $4, $5, $6, $7, 'active', $8, $8, $9, $10) \
         ON CONFLICT DO NOTHING",
    )
    .bind(card.handle.as_str())
    .bind(card.record.as_str())
    .bind(card.record_version)
    .bind(card.facts.personal_id_number.expose())
    .bind(&card.facts.employing_agency.code)
    .bind(StoredFacts::of(&card.facts).to_json())
    .bind(card.facts.portrait.as_deref().map(portrait_name))
    .bind(card.created_at)
    .bind(card.valid_until)
    .bind(search_name(&card.facts.full_name))
    .execute(&mut **transaction)
    .await
    .map_err(failed("making a card"))?;
    let is_new = inserted.rows_affected() == 1;
    if is_new {
        follow(transaction, card).await?;
        transaction.event(NewEvent {
            at: card.created_at,
            kind: EventKind::Created,
            card: card.handle.clone(),
            unit: card.facts.employing_agency.code.clone(),
            reason: None,
            other: replaces.cloned(),
        });
    }
    Ok(is_new)
}

/// Notes which version of its record a new card was compared with: its own. A record that has moved on since is thereby
/// ahead of its card, even if it was marked while nobody could see this card; and until this is committed it cannot move.
async fn follow(transaction: &mut Transaction<'_>, card: &NewCard) -> Result<(), Fault> {
    sqlx::query("UPDATE records SET compared_version = $2 WHERE id = $1")
        .bind(card.record.as_str())
        .bind(card.record_version)
        .execute(&mut **transaction)
        .await
        .map(|_| ())
        .map_err(failed("noting what a card was compared with"))
}

/// Notes that a card says what a newer version of its record says.
pub(super) async fn confirm_version(
    transaction: &mut Transaction<'_>,
    card: &Handle,
    version: i64,
) -> Result<(), Fault> {
    sqlx::query("UPDATE cards SET record_version = $2 WHERE handle = $1 AND record_version < $2")
        .bind(card.as_str())
        .bind(version)
        .execute(&mut **transaction)
        .await
        .map(|_| ())
        .map_err(failed("confirming a card"))
}

/// Notes that a card's term is over, so that its record may have another.
pub(super) async fn expire(transaction: &mut Transaction<'_>, card: &Handle, at: UnixSeconds) -> Result<(), Fault> {
    let rows = sqlx::query(
        "UPDATE cards SET state = 'expired', state_at = valid_until, state_reason = NULL \
         WHERE handle = $1 AND state IN ('active', 'locked') RETURNING handle, unit",
    )
    .bind(card.as_str())
    .fetch_all(&mut **transaction)
    .await
    .map_err(failed("expiring a card"))?;
    note_expired(transaction, at, "system", "", handles_and_units(&rows)?);
    Ok(())
}

/// Ends the cards in force that are meant before their day, for a version of their record says that the term is over. Their
/// credentials carry the later day, so that the lists have to name them.
pub(super) async fn end_term(
    transaction: &mut Transaction<'_>,
    selector: &Selector,
    version: i64,
    actor: &str,
    at: UnixSeconds,
) -> Result<(), Fault> {
    let (meant, [one, two]) = condition(selector);
    let statement = format!(
        "UPDATE cards SET state = 'expired', state_at = $3, state_reason = NULL, valid_until = $3 \
         WHERE {meant} AND state IN ('active', 'locked') AND valid_until > $3 RETURNING handle, unit"
    );
    let query = sqlx::query(AssertSqlSafe(statement)).bind(one).bind(two).bind(at);
    let rows = query.fetch_all(&mut **transaction).await.map_err(failed("ending the term of a card"))?;
    let expired = handles_and_units(&rows)?;
    let cards: Vec<_> = expired.iter().map(|(card, _)| card.clone()).collect();
    set_status(transaction, &cards, StateName::Expired.status()).await?;
    note_expired(transaction, at, actor, &format!("term over by record version {version}"), expired);
    Ok(())
}

fn note_expired(
    transaction: &mut Transaction<'_>,
    at: UnixSeconds,
    actor: &str,
    detail: &str,
    expired: Vec<(Handle, String)>,
) {
    for (card, unit) in expired {
        audit(transaction, at, actor, "card.expired", &card, detail.to_owned());
        transaction.event(NewEvent { at, kind: EventKind::Expired, card, unit, reason: None, other: None });
    }
}

/// The card in force of a record, with what it says.
pub(super) async fn in_force(transaction: &mut Transaction<'_>, record: &Handle) -> Result<Option<FoundCard>, Fault> {
    let row = sqlx::query(AssertSqlSafe(format!(
        "SELECT {COLUMNS}, portraits.bytes AS portrait FROM cards \
         LEFT JOIN portraits ON portraits.sha256 = cards.portrait \
         WHERE cards.record_id = $1 AND cards.state IN ('active', 'locked')"
    )))
    .bind(record.as_str())
    .fetch_optional(&mut **transaction)
    .await
    .map_err(failed("reading the card in force"))?;
    row.as_ref().map(found).transpose()
}

/// Gives all credentials of these cards this status, and their lists a new version.
async fn set_status(transaction: &mut Transaction<'_>, cards: &[Handle], status: u8) -> Result<u64, Fault> {
    let mut changed = 0;
    let mut lists = std::collections::BTreeSet::new();
    for chunk in cards.chunks(CHUNK) {
        let places: Vec<_> = (2..chunk.len() + 2).map(|place| format!("${place}")).collect();
        let statement =
            format!("UPDATE credentials SET status = $1 WHERE card IN ({}) RETURNING list_id", places.join(", "));
        let mut query = sqlx::query(AssertSqlSafe(statement)).bind(i64::from(status));
        for card in chunk {
            query = query.bind(card.as_str());
        }
        let rows = query.fetch_all(&mut **transaction).await.map_err(failed("changing status"))?;
        changed += rows.len() as u64;
        for row in rows {
            lists.insert(row.try_get::<i64, _>(0).map_err(failed("changing status"))?);
        }
    }
    // In one order everywhere, so that two such changes never wait for each other.
    for list in lists {
        status_lists::touch(transaction, list).await?;
    }
    Ok(changed)
}

fn audit(
    transaction: &mut Transaction<'_>,
    at: UnixSeconds,
    actor: &str,
    action: &'static str,
    card: &Handle,
    detail: String,
) {
    transaction.note(Line { at, actor: actor.to_owned(), action, subject: card.to_string(), detail });
}

/// The cards that a statement changed, with their units.
fn handles_and_units(rows: &[AnyRow]) -> Result<Vec<(Handle, String)>, Fault> {
    let unit = |row: &AnyRow| row.try_get("unit").map_err(failed("reading a card"));
    rows.iter().map(|row| Ok((handle(row, "handle")?, unit(row)?))).collect()
}

pub(super) fn handle(row: &AnyRow, column: &str) -> Result<Handle, Fault> {
    let text: String = row.try_get(column).map_err(failed("reading a handle"))?;
    Handle::parse(&text).ok_or_else(|| Fault::new("reading a handle", "it is malformed"))
}

/// A row with the columns of [`COLUMNS`] and `portrait` bytes.
pub(super) fn found(row: &AnyRow) -> Result<FoundCard, Fault> {
    let portrait: Option<Vec<u8>> = row.try_get("portrait").map_err(failed("reading a portrait"))?;
    let (card, facts) = read(row)?;
    Ok(FoundCard { card, facts: facts.into_facts(portrait)? })
}

/// A card without what it says, from a row with [`COLUMNS`].
pub(super) fn card(row: &AnyRow) -> Result<Card, Fault> {
    Ok(read(row)?.0)
}

/// A row with the columns of [`COLUMNS`].
pub(super) fn listed(row: &AnyRow) -> Result<ListedCard, Fault> {
    let (card, facts) = read(row)?;
    let number = facts.number();
    Ok(ListedCard { card, number, name: facts.full_name, position: facts.position_title.or(facts.job_position) })
}

/// [`COLUMNS`], for statements that join cards.
pub(super) const fn columns() -> &'static str {
    COLUMNS
}

fn read(row: &AnyRow) -> Result<(Card, StoredFacts), Fault> {
    let doing = "reading a card";
    let broken = |what: &'static str| Fault::new(doing, what);
    let text = |column: &str| row.try_get::<String, _>(column).map_err(failed(doing));
    let number = |column: &str| row.try_get::<i64, _>(column).map_err(failed(doing));
    let facts = StoredFacts::from_json(&text("facts")?)?;
    let at = number("state_at")?;
    let reason = row.try_get::<Option<String>, _>("state_reason").map_err(failed(doing))?;
    let reason = || reason.as_deref().and_then(Reason::parse).ok_or_else(|| broken("its state has no reason"));
    let state = match StateName::parse(&text("state")?).ok_or_else(|| broken("its state is unknown"))? {
        StateName::Active => State::Active,
        StateName::Locked => State::Locked { at, reason: reason()? },
        StateName::Withdrawn => State::Withdrawn { at, reason: reason()? },
        StateName::Expired => State::Expired { at },
    };
    let replaced_by = row.try_get::<Option<String>, _>("replaced_by").map_err(failed(doing))?;
    let card = Card {
        handle: handle(row, "handle")?,
        record: handle(row, "record_id")?,
        record_version: number("record_version")?,
        unit: text("unit")?,
        masked_number: facts.masked_number()?,
        created_at: number("created_at")?,
        valid_until: number("valid_until")?,
        state,
        replaced_by: replaced_by.as_deref().and_then(Handle::parse),
    };
    Ok((card, facts))
}

/// [`CardFacts`] as a row keeps them: all but the portrait.
#[derive(Serialize, Deserialize)]
struct StoredFacts {
    personal_id_number: String,
    full_name: String,
    date_of_birth: String,
    gender: Option<String>,
    managing_agency: AgencyName,
    employing_agency: AgencyName,
    position_title: Option<String>,
    job_position: Option<String>,
    record_type: CardType,
    term_ends: Option<String>,
}

impl StoredFacts {
    fn of(facts: &CardFacts) -> Self {
        Self {
            personal_id_number: facts.personal_id_number.expose().to_owned(),
            full_name: facts.full_name.clone(),
            date_of_birth: facts.date_of_birth.to_string(),
            gender: facts.gender.clone(),
            managing_agency: facts.managing_agency.clone(),
            employing_agency: facts.employing_agency.clone(),
            position_title: facts.position_title.clone(),
            job_position: facts.job_position.clone(),
            record_type: facts.record_type,
            term_ends: facts.term_ends.map(|date| date.to_string()),
        }
    }

    fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    fn from_json(text: &str) -> Result<Self, Fault> {
        serde_json::from_str(text).map_err(|error| Fault::new("reading a card's facts", error))
    }

    fn masked_number(&self) -> Result<String, Fault> {
        let number = person(&self.personal_id_number)?;
        Ok(format!("{}.{}.{}", self.managing_agency.code, number.masked(), self.record_type.suffix()))
    }

    fn number(&self) -> String {
        format!("{}.{}.{}", self.managing_agency.code, self.personal_id_number, self.record_type.suffix())
    }

    fn into_facts(self, portrait: Option<Vec<u8>>) -> Result<CardFacts, Fault> {
        Ok(CardFacts {
            personal_id_number: person(&self.personal_id_number)?,
            full_name: self.full_name,
            date_of_birth: date(&self.date_of_birth)?,
            gender: self.gender,
            managing_agency: self.managing_agency,
            employing_agency: self.employing_agency,
            position_title: self.position_title,
            job_position: self.job_position,
            record_type: self.record_type,
            portrait,
            term_ends: self.term_ends.as_deref().map(date).transpose()?,
        })
    }
}

fn person(text: &str) -> Result<PersonalNumber, Fault> {
    PersonalNumber::parse(text).ok_or_else(|| Fault::new("reading a card's facts", "its personal number is malformed"))
}

fn date(text: &str) -> Result<Date, Fault> {
    Date::parse(text, format_description!("[year]-[month]-[day]"))
        .map_err(|error| Fault::new("reading a card's facts", error))
}

/// The name under which a portrait is kept: lower-case hex of its SHA-256.
fn portrait_name(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
