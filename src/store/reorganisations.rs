//! Reorganisations of units: plans, their steps, and the waves in which records move.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};
use time::Date;

use super::versions::{self, VersionWrite};
use super::waiting::{self, MovedWaiting};
use super::{Change, Line, Store, StoredRecord, Transaction, failed};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Refusal, Result};
use crate::model::calendar::parse_day;
use crate::model::id::Handle;
use crate::model::reorganisation::Moves;

/// How long one process has a wave for itself.
const LEASE_SECONDS: i64 = 120;

/// A reorganisation.
#[derive(Clone, Debug)]
pub struct Reorganisation {
    /// Its random name.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The decision behind it.
    pub decision: String,
    /// The day from which it holds.
    pub effective_on: Date,
    /// The instant at which that day begins in Vietnam.
    pub effective_at: UnixSeconds,
    /// What moves where.
    pub moves: Moves,
    /// Records of one wave.
    pub wave_size: i64,
    /// Where it stands.
    pub state: Stage,
    /// Who planned it.
    pub created_by: String,
    /// When.
    pub created_at: UnixSeconds,
    /// When the first wave began.
    pub started_at: Option<UnixSeconds>,
    /// When the last wave was over.
    pub finished_at: Option<UnixSeconds>,
    /// The last record that was looked at.
    pub place: String,
    /// Waves so far.
    pub waves: i64,
    /// Records moved.
    pub moved: i64,
    /// Cards replaced.
    pub cards: i64,
    /// Records that a person has to look at.
    pub failed: i64,
}

/// Where a reorganisation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A plan.
    Draft,
    /// It acts on its day.
    Scheduled,
    /// Waves are under way.
    Running,
    /// No wave begins until it is resumed.
    Paused,
    /// All records were looked at.
    Done,
}

impl Stage {
    /// The word stored and sent.
    pub fn word(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Done => "done",
        }
    }

    /// From the word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Draft, Self::Scheduled, Self::Running, Self::Paused, Self::Done]
            .into_iter()
            .find(|stage| stage.word() == word)
    }
}

/// What one wave did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wave {
    /// The last record that was looked at.
    pub place: String,
    /// Records moved.
    pub moved: i64,
    /// Cards replaced.
    pub cards: i64,
    /// Records that could not be moved, and why (a code).
    pub failures: Vec<(Handle, &'static str)>,
    /// Whether there was nothing after it.
    pub is_last: bool,
}

const COLUMNS: &str = "id, name, decision, effective_on, effective_at, moves, wave_size, state, created_by, created_at, \
    started_at, finished_at, place, waves, moved, cards, failed";

impl Store {
    /// Keeps a plan.
    pub async fn plan_reorganisation(&self, plan: Reorganisation) -> Result<()> {
        self.write(Plan(plan)).await
    }

    /// A reorganisation by its name.
    pub async fn reorganisation(&self, id: &str) -> Result<Option<Reorganisation>, Fault> {
        let statement = format!("SELECT {COLUMNS} FROM reorganisations WHERE id = $1");
        let row = sqlx::query(AssertSqlSafe(statement)).bind(id).fetch_optional(self.readers()).await;
        row.map_err(failed("reading a reorganisation"))?.as_ref().map(read).transpose()
    }

    /// All reorganisations, the newest day first.
    pub async fn reorganisations(&self, limit: i64) -> Result<Vec<Reorganisation>, Fault> {
        let statement = format!("SELECT {COLUMNS} FROM reorganisations ORDER BY effective_at DESC, id LIMIT $1");
        let rows = sqlx::query(AssertSqlSafe(statement)).bind(limit).fetch_all(self.readers()).await;
        rows.map_err(failed("reading reorganisations"))?.iter().map(read).collect()
    }

    /// Those whose day has come and that have waves to run.
    pub async fn reorganisations_at_work(&self, now: UnixSeconds) -> Result<Vec<Reorganisation>, Fault> {
        let statement = format!(
            "SELECT {COLUMNS} FROM reorganisations WHERE state IN ('scheduled', 'running') AND effective_at <= $1 \
             ORDER BY effective_at, id"
        );
        let rows = sqlx::query(AssertSqlSafe(statement)).bind(now).fetch_all(self.readers()).await;
        rows.map_err(failed("reading reorganisations"))?.iter().map(read).collect()
    }

    /// Takes a step, if it stands in one of `from`; `false` if it does not.
    pub async fn step_reorganisation(
        &self,
        id: &str,
        from: &'static [Stage],
        to: Stage,
        actor: &str,
        at: UnixSeconds,
    ) -> Result<bool> {
        self.write(StepTo { id: id.to_owned(), from, to, actor: actor.to_owned(), at }).await
    }

    /// Forgets a plan that was never scheduled.
    pub async fn drop_reorganisation(&self, id: &str, actor: &str, at: UnixSeconds) -> Result<bool> {
        self.write(DropPlan { id: id.to_owned(), actor: actor.to_owned(), at }).await
    }

    /// On the day: new units are entered, units are renamed, closed ones closed, and the waves begin. `false` if somebody
    /// was first.
    pub async fn begin_reorganisation(&self, plan: &Reorganisation, at: UnixSeconds) -> Result<bool> {
        self.write(Begin { plan: plan.clone(), at }).await
    }

    /// Takes the next wave for this process; `false` while another has it, or when it is paused.
    pub async fn lease_wave(&self, plan: &Reorganisation, at: UnixSeconds) -> Result<bool> {
        self.write(Lease { id: plan.id.clone(), place: plan.place.clone(), at }).await
    }

    /// Moves one record, its card and what waits for it.
    pub async fn move_record(&self, write: VersionWrite, waiting: Vec<MovedWaiting>) -> Result<i64> {
        self.write(MoveRecord { write, waiting }).await
    }

    /// Moves changes that wait for records to come.
    pub async fn move_waiting(&self, waiting: Vec<MovedWaiting>) -> Result<()> {
        self.write(MoveWaiting(waiting)).await
    }

    /// Notes what a wave did, and gives the lease back.
    pub async fn end_wave(&self, id: &str, wave: Wave, at: UnixSeconds) -> Result<()> {
        self.write(EndWave { id: id.to_owned(), wave, at }).await
    }

    /// Records of these level-1 units, in the order of their handles after `after`.
    pub async fn records_under(&self, tops: &[&str], after: &str, limit: i64) -> Result<Vec<StoredRecord>, Fault> {
        let one =
            |at: usize| format!("records.unit = ${} OR substr(records.unit, 1, length(${})) = ${}", at, at + 1, at + 1);
        let units = (0..tops.len()).map(|at| one(3 + 2 * at)).collect::<Vec<_>>().join(" OR ");
        let condition =
            format!("records.removed_at IS NULL AND records.id > $1 AND ({units}) ORDER BY records.id LIMIT $2");
        let bound: Vec<String> = tops.iter().flat_map(|top| [(*top).to_owned(), format!("{top}.")]).collect();
        let after = after.to_owned();
        self.select(&condition, |query| bound.into_iter().fold(query.bind(after).bind(limit), sqlx::query::Query::bind))
            .await
    }

    /// Records that a reorganisation could not move, why, and the units that manage them.
    pub async fn reorganisation_failures(&self, id: &str, limit: i64) -> Result<Vec<(Handle, String, String)>, Fault> {
        let doing = failed("reading failures of a reorganisation");
        let rows = sqlx::query(
            "SELECT failure.record, failure.reason, records.unit FROM reorganisation_failures failure \
             JOIN records ON records.id = failure.record WHERE failure.reorganisation = $1 \
             ORDER BY failure.record LIMIT $2",
        )
        .bind(id)
        .bind(limit)
        .fetch_all(self.readers())
        .await
        .map_err(&doing)?;
        rows.iter()
            .map(|row| {
                let text = |column: &str| row.try_get::<String, _>(column).map_err(&doing);
                Ok((super::cards::handle(row, "record")?, text("reason")?, text("unit")?))
            })
            .collect()
    }
}

struct Plan(Reorganisation);

impl Change for Plan {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        let plan = &self.0;
        sqlx::query(
            "INSERT INTO reorganisations (id, name, decision, effective_on, effective_at, moves, wave_size, state, \
             created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 'draft', $8, $9)",
        )
        .bind(&plan.id)
        .bind(&plan.name)
        .bind(&plan.decision)
        .bind(plan.effective_on.to_string())
        .bind(plan.effective_at)
        .bind(plan.moves.to_json())
        .bind(plan.wave_size)
        .bind(&plan.created_by)
        .bind(plan.created_at)
        .execute(&mut **transaction)
        .await
        .map_err(failed("keeping a reorganisation"))?;
        let detail = format!("{} moves on {}", plan.moves.all().len(), plan.effective_on);
        note(transaction, plan.created_at, &plan.created_by, "reorganisation.planned", &plan.id, detail);
        Ok(())
    }
}

struct StepTo {
    id: String,
    from: &'static [Stage],
    to: Stage,
    actor: String,
    at: UnixSeconds,
}

impl Change for StepTo {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let from: Vec<_> = self.from.iter().map(|stage| format!("'{}'", stage.word())).collect();
        // A plan that goes back to its draft can only do so before its day.
        let before = if self.to == Stage::Draft { "AND effective_at > $3" } else { "AND $3 = $3" };
        let statement =
            format!("UPDATE reorganisations SET state = $2 WHERE id = $1 AND state IN ({}) {before}", from.join(", "));
        let stepped = sqlx::query(AssertSqlSafe(statement))
            .bind(&self.id)
            .bind(self.to.word())
            .bind(self.at)
            .execute(&mut **transaction)
            .await
            .map_err(failed("moving a reorganisation"))?;
        if stepped.rows_affected() == 0 {
            return Ok(false);
        }
        let detail = self.to.word().to_owned();
        note(transaction, self.at, &self.actor, "reorganisation.stepped", &self.id, detail);
        Ok(true)
    }
}

struct DropPlan {
    id: String,
    actor: String,
    at: UnixSeconds,
}

impl Change for DropPlan {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let dropped = sqlx::query("DELETE FROM reorganisations WHERE id = $1 AND state = 'draft'")
            .bind(&self.id)
            .execute(&mut **transaction)
            .await
            .map_err(failed("dropping a reorganisation"))?;
        if dropped.rows_affected() == 0 {
            return Ok(false);
        }
        note(transaction, self.at, &self.actor, "reorganisation.dropped", &self.id, String::new());
        Ok(true)
    }
}

struct Begin {
    plan: Reorganisation,
    at: UnixSeconds,
}

impl Change for Begin {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let doing = failed("beginning a reorganisation");
        let begun = sqlx::query(
            "UPDATE reorganisations SET state = 'running', started_at = $2 \
             WHERE id = $1 AND state = 'scheduled' AND effective_at <= $2",
        )
        .bind(&self.plan.id)
        .bind(self.at)
        .execute(&mut **transaction)
        .await
        .map_err(&doing)?;
        if begun.rows_affected() == 0 {
            return Ok(false);
        }
        // Level 1 ships with the program.
        let deeper = |code: &str| code.contains('.');
        for (code, name) in self.plan.moves.named().filter(|(code, _)| deeper(code)) {
            sqlx::query(
                "INSERT INTO units (code, name) VALUES ($1, $2) ON CONFLICT (code) DO UPDATE SET name = excluded.name, \
                 closed_on = NULL, successor = NULL",
            )
            .bind(code)
            .bind(name)
            .execute(&mut **transaction)
            .await
            .map_err(&doing)?;
        }
        for (from, to) in self.plan.moves.closed() {
            // Units below go along: they open again under the new code, with the name that they had.
            let below = format!("{from}.");
            sqlx::query(
                "INSERT INTO units (code, name) SELECT $2 || substr(code, length($1)), name FROM units \
                 WHERE substr(code, 1, length($1)) = $1 AND closed_on IS NULL ON CONFLICT (code) DO NOTHING",
            )
            .bind(&below)
            .bind(to)
            .execute(&mut **transaction)
            .await
            .map_err(&doing)?;
            sqlx::query(
                "UPDATE units SET closed_on = $3, successor = $4 || substr(code, length($1) + 1) \
                 WHERE (code = $1 OR substr(code, 1, length($2)) = $2) AND closed_on IS NULL",
            )
            .bind(from)
            .bind(&below)
            .bind(self.plan.effective_on.to_string())
            .bind(to)
            .execute(&mut **transaction)
            .await
            .map_err(&doing)?;
        }
        note(transaction, self.at, "system", "reorganisation.begun", &self.plan.id, String::new());
        Ok(true)
    }
}

struct Lease {
    id: String,
    place: String,
    at: UnixSeconds,
}

impl Change for Lease {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let leased = sqlx::query(
            "UPDATE reorganisations SET leased_until = $3 \
             WHERE id = $1 AND state = 'running' AND place = $2 AND leased_until <= $4",
        )
        .bind(&self.id)
        .bind(&self.place)
        .bind(self.at + LEASE_SECONDS)
        .bind(self.at)
        .execute(&mut **transaction)
        .await
        .map_err(failed("taking a wave"))?;
        Ok(leased.rows_affected() == 1)
    }
}

struct MoveRecord {
    write: VersionWrite,
    waiting: Vec<MovedWaiting>,
}

impl Change for MoveRecord {
    type Done = i64;
    const MOVES_CARDS: bool = true;
    const TAKES_BACK: bool = true;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<i64> {
        let version = versions::write(transaction, &self.write).await?;
        for moved in &self.waiting {
            waiting::rewrite(transaction, moved).await?;
        }
        Ok(version)
    }
}

struct MoveWaiting(Vec<MovedWaiting>);

impl Change for MoveWaiting {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        for moved in &self.0 {
            waiting::rewrite(transaction, moved).await?;
        }
        Ok(())
    }
}

struct EndWave {
    id: String,
    wave: Wave,
    at: UnixSeconds,
}

impl Change for EndWave {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        let doing = failed("ending a wave");
        let Wave { place, moved, cards, failures, is_last } = &self.wave;
        let failed_count = i64::try_from(failures.len()).unwrap_or(i64::MAX);
        // A pause that came meanwhile stays, unless nothing is left to do.
        let ended = sqlx::query(
            "UPDATE reorganisations SET place = $2, leased_until = 0, waves = waves + 1, moved = moved + $3, \
             cards = cards + $4, failed = failed + $5, state = CASE WHEN $6 = 1 THEN 'done' ELSE state END, \
             finished_at = CASE WHEN $6 = 1 THEN $7 END WHERE id = $1 AND state IN ('running', 'paused') RETURNING id",
        )
        .bind(&self.id)
        .bind(place)
        .bind(moved)
        .bind(cards)
        .bind(failed_count)
        .bind(i64::from(*is_last))
        .bind(self.at)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(&doing)?;
        if ended.is_none() {
            return Err(Refusal::Gone("reorganisation").into());
        }
        for (record, reason) in failures {
            sqlx::query(
                "INSERT INTO reorganisation_failures (reorganisation, record, reason, at) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(&self.id)
            .bind(record.as_str())
            .bind(*reason)
            .bind(self.at)
            .execute(&mut **transaction)
            .await
            .map_err(&doing)?;
        }
        let detail = format!("{moved} records, {cards} cards, {failed_count} failed");
        note(transaction, self.at, "system", "reorganisation.wave", &self.id, detail);
        Ok(())
    }
}

fn note(
    transaction: &mut Transaction<'_>,
    at: UnixSeconds,
    actor: &str,
    action: &'static str,
    id: &str,
    detail: String,
) {
    transaction.note(Line { at, actor: actor.to_owned(), action, subject: id.to_owned(), detail });
}

fn read(row: &AnyRow) -> Result<Reorganisation, Fault> {
    let doing = "reading a reorganisation";
    let text = |column: &str| row.try_get::<String, _>(column).map_err(failed(doing));
    let number = |column: &str| row.try_get::<i64, _>(column).map_err(failed(doing));
    let optional = |column: &str| row.try_get::<Option<i64>, _>(column).map_err(failed(doing));
    let broken = |what: &'static str| Fault::new(doing, what);
    Ok(Reorganisation {
        id: text("id")?,
        name: text("name")?,
        decision: text("decision")?,
        effective_on: parse_day(&text("effective_on")?).ok_or_else(|| broken("its day is malformed"))?,
        effective_at: number("effective_at")?,
        moves: Moves::parse(&text("moves")?).ok_or_else(|| broken("its moves cannot be read"))?,
        wave_size: number("wave_size")?,
        state: Stage::parse(&text("state")?).ok_or_else(|| broken("its state is unknown"))?,
        created_by: text("created_by")?,
        created_at: number("created_at")?,
        started_at: optional("started_at")?,
        finished_at: optional("finished_at")?,
        place: text("place")?,
        waves: number("waves")?,
        moved: number("moved")?,
        cards: number("cards")?,
        failed: number("failed")?,
    })
}
