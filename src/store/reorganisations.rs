//! Reorganisations of units: plans, their steps, and the waves in which records move.

use std::collections::BTreeMap;

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};
use time::Date;

use super::versions::{self, VersionWrite};
use super::waiting::{self, MovedWaiting};
use super::{Change, Line, Store, StoredRecord, Transaction, failed, places};
use crate::clock::{DAY_SECONDS, UnixSeconds};
use crate::error::{Fault, Refusal, Result};
use crate::model::agency::agencies;
use crate::model::calendar::parse_day;
use crate::model::id::Handle;
use crate::model::reorganisation::Moves;

/// How long after it is done a reorganisation looks once more.
const CHECK_SECONDS: i64 = DAY_SECONDS;
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
    /// Whether there was nothing after it: the pass is over.
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

    /// Those whose day has come and that have waves to run, and those that were done a day ago and have not looked again.
    pub async fn reorganisations_at_work(&self, now: UnixSeconds) -> Result<Vec<Reorganisation>, Fault> {
        let statement = format!(
            "SELECT {COLUMNS} FROM reorganisations WHERE (state IN ('scheduled', 'running') AND effective_at <= $1) \
             OR (state = 'done' AND checked_at IS NULL AND finished_at <= $2) ORDER BY effective_at, id"
        );
        let query = sqlx::query(AssertSqlSafe(statement)).bind(now).bind(now - CHECK_SECONDS);
        let rows = query.fetch_all(self.readers()).await;
        rows.map_err(failed("reading reorganisations"))?.iter().map(read).collect()
    }

    /// Other reorganisations that are scheduled or under way, and those that began after `plan` did.
    pub async fn reorganisations_beside(&self, plan: &Reorganisation) -> Result<Vec<Reorganisation>, Fault> {
        let statement = format!(
            "SELECT {COLUMNS} FROM reorganisations WHERE id <> $1 \
             AND (state IN ('scheduled', 'running', 'paused') OR started_at > $2) ORDER BY effective_at, id"
        );
        let since = plan.started_at.unwrap_or(UnixSeconds::MAX);
        let rows = sqlx::query(AssertSqlSafe(statement)).bind(&plan.id).bind(since).fetch_all(self.readers()).await;
        rows.map_err(failed("reading reorganisations"))?.iter().map(read).collect()
    }

    /// One that is done goes through its records once more, or, if `anew` is not set, never again. `false` if somebody was
    /// first.
    pub async fn check_reorganisation(&self, id: &str, anew: bool, at: UnixSeconds) -> Result<bool> {
        self.write(CheckAgain { id: id.to_owned(), anew, at }).await
    }

    /// Whether a reorganisation has moved a record already.
    pub async fn was_moved_by(&self, record: &Handle, id: &str) -> Result<bool, Fault> {
        let row = sqlx::query(
            "SELECT 1 FROM record_versions WHERE record = $1 AND way = 'reorganisation' AND reference = $2 LIMIT 1",
        )
        .bind(record.as_str())
        .bind(id)
        .fetch_optional(self.readers())
        .await;
        Ok(row.map_err(failed("reading versions of a record"))?.is_some())
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
        self.write(Begin { plan: plan.clone(), at, rows: self.dialect.rows_per_statement() }).await
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

    /// Notes what a wave did, and gives the lease back. After the last wave of a pass the next pass begins, unless this one
    /// has moved nothing. Returns whether the reorganisation is done.
    pub async fn end_wave(&self, id: &str, wave: Wave, at: UnixSeconds) -> Result<bool> {
        self.write(EndWave { id: id.to_owned(), wave, at }).await
    }

    /// Records that these units or units below them manage, and those of people who are employed or work there, in the
    /// order of their handles after `after`.
    pub async fn records_under(&self, units: &[&str], after: &str, limit: i64) -> Result<Vec<StoredRecord>, Fault> {
        let mut bound = Vec::new();
        let mut place = |text: String| {
            bound.push(text);
            format!("${}", bound.len() + 2)
        };
        let own = units.iter().map(|unit| format!("SELECT CAST({} AS TEXT) AS code", place((*unit).to_owned())));
        let mut all: Vec<_> = own.collect();
        // Those of one length together, so that the units are gone through once for each.
        let mut by_length: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for unit in units {
            by_length.entry(unit.len() + 1).or_default().push(place(format!("{unit}.")));
        }
        let below = |(length, places): (&usize, &Vec<String>)| {
            format!("SELECT code FROM units WHERE substr(code, 1, {length}) IN ({})", places.join(", "))
        };
        all.extend(by_length.iter().map(below));
        let page = |column: &str, elsewhere: &str| {
            format!(
                "SELECT id FROM (SELECT listed.id FROM records listed WHERE listed.removed_at IS NULL {elsewhere} \
                 AND listed.{column} IN (SELECT code FROM leaving) AND listed.id > $1 ORDER BY listed.id LIMIT $2) {column}s"
            )
        };
        // Each by its own index, and no more of each than the page has.
        let condition = format!(
            "records.id IN (WITH leaving (code) AS ({}) {} UNION {} UNION {} ORDER BY 1 LIMIT $2) ORDER BY records.id",
            all.join(" UNION "),
            page("unit", ""),
            page("using_unit", "AND listed.using_unit <> listed.unit"),
            page("work_unit", "AND listed.work_unit <> listed.unit"),
        );
        let after = after.to_owned();
        self.select(&condition, |query| bound.into_iter().fold(query.bind(after).bind(limit), sqlx::query::Query::bind))
            .await
    }

    /// Records with a number, whichever unit gave it, whose handles come before `before`; at most 1,000.
    pub async fn records_numbered(&self, number: &str, before: &Handle) -> Result<Vec<StoredRecord>, Fault> {
        let (number, before) = (number.to_owned(), before.to_string());
        let condition = "records.number = $1 AND records.removed_at IS NULL AND records.id < $2 LIMIT 1000";
        self.select(condition, |query| query.bind(number).bind(before)).await
    }

    /// Cards of these records that are in force at `now`: active ones and locked ones.
    pub async fn count_cards_of(&self, records: &[Handle], now: UnixSeconds) -> Result<(u64, u64), Fault> {
        let doing = failed("counting cards");
        let (mut active, mut locked) = (0, 0);
        for chunk in records.chunks(self.dialect.rows_per_statement()) {
            let statement = format!(
                "SELECT COUNT(CASE WHEN state = 'active' THEN 1 END), COUNT(CASE WHEN state = 'locked' THEN 1 END) \
                 FROM cards WHERE state IN ('active', 'locked') AND valid_until > {now} AND record_id IN {}",
                places(1, chunk.len())
            );
            let query = chunk.iter().fold(sqlx::query(AssertSqlSafe(statement)), |query, one| query.bind(one.as_str()));
            let row = query.fetch_one(self.readers()).await.map_err(&doing)?;
            active += row.try_get::<i64, _>(0).map_err(&doing)?.unsigned_abs();
            locked += row.try_get::<i64, _>(1).map_err(&doing)?.unsigned_abs();
        }
        Ok((active, locked))
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
        // One that is done goes on for the sake of the records that it could not move.
        let statement = format!(
            "UPDATE reorganisations SET state = $2, place = CASE WHEN state = 'done' THEN '' ELSE place END \
             WHERE id = $1 AND state IN ({}) AND (state <> 'done' OR failed > 0) {before}",
            from.join(", ")
        );
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

struct CheckAgain {
    id: String,
    anew: bool,
    at: UnixSeconds,
}

impl Change for CheckAgain {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let checked = sqlx::query(
            "UPDATE reorganisations SET checked_at = $2, place = '', pass_moved = 0, \
             state = CASE WHEN $3 = 1 THEN 'running' ELSE state END \
             WHERE id = $1 AND state = 'done' AND checked_at IS NULL",
        )
        .bind(&self.id)
        .bind(self.at)
        .bind(i64::from(self.anew))
        .execute(&mut **transaction)
        .await
        .map_err(failed("looking at a reorganisation again"))?;
        if checked.rows_affected() == 0 {
            return Ok(false);
        }
        let detail = if self.anew { "running" } else { "done" };
        note(transaction, self.at, "system", "reorganisation.checked", &self.id, detail.to_owned());
        Ok(true)
    }
}

struct Begin {
    plan: Reorganisation,
    at: UnixSeconds,
    /// Rows of one statement.
    rows: usize,
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
        self.move_units(transaction).await?;
        note(transaction, self.at, "system", "reorganisation.begun", &self.plan.id, String::new());
        Ok(true)
    }
}

impl Begin {
    /// Closes the units that are no more, of level 1, too, and opens those that take their place.
    async fn move_units(&self, transaction: &mut Transaction<'_>) -> Result<(), Fault> {
        let doing = failed("moving the units of a reorganisation");
        let moves = &self.plan.moves;
        let rows = sqlx::query("SELECT code, name FROM units WHERE closed_on IS NULL")
            .fetch_all(&mut **transaction)
            .await
            .map_err(&doing)?;
        let mut units = BTreeMap::new();
        // Level 1 ships with the program: what is closed of it stands here all the same.
        for agency in agencies().all() {
            let closes = agency.code.as_ref().filter(|code| moves.closed().any(|closed| closed == *code));
            units.extend(closes.map(|code| (code.clone(), agency.name_vi.clone())));
        }
        for row in &rows {
            units.insert(row.try_get(0).map_err(&doing)?, row.try_get(1).map_err(&doing)?);
        }
        let closed_on = self.plan.effective_on.to_string();
        let mut after: BTreeMap<&str, (&str, Option<String>)> = BTreeMap::new();
        let goes = |code: &str| moves.destination(code, None).map(|to| to.code).filter(|to| to != code);
        let moved: Vec<_> = units.iter().filter_map(|(code, name)| Some((code, name, goes(code)?))).collect();
        for (code, name, to) in &moved {
            // Units below go along with the name that they had; one that is there keeps its own.
            if to.contains('.') {
                after.entry(to).or_insert((name, None));
            }
            after.insert(code, (name, Some(to.clone())));
        }
        let after: Vec<_> = after.into_iter().collect();
        for chunk in after.chunks(self.rows) {
            let statement = format!(
                "INSERT INTO units (code, name, closed_on, successor) VALUES {} ON CONFLICT (code) DO UPDATE \
                 SET closed_on = excluded.closed_on, successor = excluded.successor",
                places(chunk.len(), 4)
            );
            let mut query = sqlx::query(AssertSqlSafe(statement));
            for (code, (name, successor)) in chunk {
                query = query.bind(*code).bind(*name).bind(successor.as_ref().map(|_| closed_on.as_str()));
                query = query.bind(successor.as_deref());
            }
            query.execute(&mut **transaction).await.map_err(&doing)?;
        }
        for (code, name) in moves.named().filter(|(code, _)| code.contains('.')) {
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
        Ok(())
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
        if let Some(unit) = &self.write.new.works_in[0] {
            // A card that is not replaced yet is for the new unit to lock, give back or withdraw; what it says stays.
            sqlx::query("UPDATE cards SET unit = $2 WHERE record_id = $1 AND state IN ('active', 'locked')")
                .bind(self.write.record.as_str())
                .bind(unit)
                .execute(&mut **transaction)
                .await
                .map_err(failed("moving the cards of a record"))?;
        }
        for moved in &self.waiting {
            waiting::rewrite(transaction, moved).await?;
        }
        sqlx::query("DELETE FROM reorganisation_failures WHERE reorganisation = $1 AND record = $2")
            .bind(&self.write.origin.reference)
            .bind(self.write.record.as_str())
            .execute(&mut **transaction)
            .await
            .map_err(failed("moving a record"))?;
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
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let doing = failed("ending a wave");
        let Wave { place, moved, cards, failures, is_last } = &self.wave;
        let failed_count = i64::try_from(failures.len()).unwrap_or(i64::MAX);
        // A pause that came meanwhile stays, unless nothing is left to do.
        let ended = sqlx::query(
            "UPDATE reorganisations SET place = CASE WHEN $5 = 1 THEN '' ELSE $2 END, leased_until = 0, \
             waves = waves + 1, moved = moved + $3, cards = cards + $4, \
             pass_moved = CASE WHEN $5 = 1 THEN 0 ELSE pass_moved + $3 END, \
             state = CASE WHEN $5 = 1 AND pass_moved + $3 = 0 THEN 'done' ELSE state END, \
             finished_at = CASE WHEN $5 = 1 AND pass_moved + $3 = 0 THEN $6 END \
             WHERE id = $1 AND state IN ('running', 'paused') RETURNING state",
        )
        .bind(&self.id)
        .bind(place)
        .bind(moved)
        .bind(cards)
        .bind(i64::from(*is_last))
        .bind(self.at)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(&doing)?;
        let Some(row) = ended else { return Err(Refusal::Gone("reorganisation").into()) };
        let state: String = row.try_get(0).map_err(&doing)?;
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
        // A record that fails in every pass is one record.
        sqlx::query(
            "UPDATE reorganisations SET failed = (SELECT COUNT(*) FROM reorganisation_failures \
             WHERE reorganisation_failures.reorganisation = reorganisations.id) WHERE id = $1",
        )
        .bind(&self.id)
        .execute(&mut **transaction)
        .await
        .map_err(&doing)?;
        let detail = format!("{moved} records, {cards} cards, {failed_count} failed");
        note(transaction, self.at, "system", "reorganisation.wave", &self.id, detail);
        Ok(state == Stage::Done.word())
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
