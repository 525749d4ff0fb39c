//! Personnel records: batches in, standings changed, verified ones out.
//!
//! A record has one row at its current version and one row for every version that it ever had. A standing (what the
//! population database and the unit said) is changed by one statement that names the version it was decided on.

use std::collections::{HashMap, HashSet};

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::cards::handle;
use super::{Change, Line, Store, Transaction, failed, places};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Result};
use crate::model::catalogue::Catalogue;
use crate::model::id::{Handle, PersonalNumber};
use crate::model::person::MatchOutcome;
use crate::model::quality::Standing;
use crate::model::record::{Record, RecordKey};
use crate::model::value::hex;

/// Rows of one statement. SQLite looks a parameter's name up by going through all of them, so more rows cost more.
const ROWS: usize = 32;

/// A row of an import that passed every rule.
#[derive(Clone, Debug)]
pub struct IncomingRecord {
    /// Line of the file.
    pub line: u64,
    /// The name that it gets if it is new.
    pub handle: Handle,
    /// What makes it this record.
    pub key: RecordKey,
    /// The personal number, when it has one.
    pub person: Option<PersonalNumber>,
    /// Canonical content.
    pub content: String,
    /// SHA-256 of the content, in hexadecimal.
    pub digest: String,
    /// The portrait: SHA-256 in hexadecimal, and bytes.
    pub portrait: Option<(String, Vec<u8>)>,
}

/// What one import has done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The last line that is durable.
    pub line: u64,
    /// Records that were not there.
    pub new: u64,
    /// Records that have a new version.
    pub changed: u64,
    /// Records that were there already, the same.
    pub unchanged: u64,
}

/// What became of one batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchOutcome {
    /// How far the import is with it.
    pub progress: Progress,
    /// Lines whose record this same file has already written otherwise.
    pub twice: Vec<u64>,
}

/// A record with what the house knows about it.
#[derive(Clone, Debug)]
pub struct StoredRecord {
    /// Its name.
    pub handle: Handle,
    /// Its current version.
    pub version: i64,
    /// Its content; the portrait has its bytes only where the function says so.
    pub record: Record,
    /// Of this version.
    pub standing: Standing,
}

/// Which records an officer confirms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// All of the unit and of the units below it.
    All,
    /// Those with these numbers in exactly this unit.
    Numbers(Vec<String>),
}

impl Store {
    /// How far an earlier, unfinished import of this file came.
    pub async fn import_progress(&self, file: &str) -> Result<Option<Progress>, Fault> {
        let doing = "reading the progress of an import";
        let row = sqlx::query(
            "SELECT line, new_count, changed_count, unchanged_count FROM import_runs WHERE file = $1 AND finished_at IS NULL",
        )
        .bind(file)
        .fetch_optional(self.readers())
        .await
        .map_err(failed(doing))?;
        row.as_ref().map(progress).transpose().map_err(failed(doing))
    }

    /// Takes in one batch of a file: rows, versions, portraits, the import's progress and one audit line become durable
    /// together. Lines that the unfinished import has behind it are only looked at again, so that each counts once. Batches
    /// of one file wait for each other; those of several files meet record by record, and each makes a version.
    pub async fn import_batch(
        &self,
        file: &str,
        actor: &str,
        mut records: Vec<IncomingRecord>,
        at: UnixSeconds,
    ) -> Result<BatchOutcome> {
        // In one order everywhere, so that two imports never wait for each other; rows of one key stay in theirs.
        records.sort_by(|one, other| one.key.cmp(&other.key));
        let rows = self.dialect.rows_per_statement();
        self.write(ImportBatch { file: file.to_owned(), actor: actor.to_owned(), records, rows, at }).await
    }

    /// Closes an import, so that the same file counts from the beginning next time.
    pub async fn finish_import(&self, file: &str, actor: &str, at: UnixSeconds) -> Result<()> {
        self.write(FinishImport { file: file.to_owned(), actor: actor.to_owned(), at }).await
    }

    /// What stands in the store under these keys: digest and importing run. For a dry run.
    pub async fn known_digests(&self, keys: &[RecordKey]) -> Result<HashMap<RecordKey, String>, Fault> {
        let mut connection = self.readers().acquire().await.map_err(failed("reading records"))?;
        let mut known = HashMap::new();
        for chunk in keys.chunks(ROWS) {
            let found = existing(&mut connection, chunk.iter()).await?;
            known.extend(found.into_iter().map(|(key, current)| (key, current.digest)));
        }
        Ok(known)
    }

    /// Records that the population database has still to be asked about, in the order of their handles, after `after`.
    pub async fn pending_records(
        &self,
        after: Option<&Handle>,
        tried_before: UnixSeconds,
        limit: i64,
    ) -> Result<Vec<StoredRecord>, Fault> {
        self.select(
            "records.population = 'pending' AND records.person IS NOT NULL AND records.id > $1 \
             AND (records.tried_at IS NULL OR records.tried_at <= $2) ORDER BY records.id LIMIT $3",
            |query| query.bind(after.map_or("", Handle::as_str).to_owned()).bind(tried_before).bind(limit),
        )
        .await
    }

    /// Every record of a person, portraits with their bytes.
    pub async fn records_of(&self, person: &PersonalNumber) -> Result<Vec<StoredRecord>, Fault> {
        let mut records = self
            .select("records.person = $1 ORDER BY records.id LIMIT 100", |query| query.bind(person.expose().to_owned()))
            .await?;
        for stored in &mut records {
            self.attach_portrait(stored).await?;
        }
        Ok(records)
    }

    /// The record that a unit keeps under a number, portrait with its bytes.
    pub async fn record(&self, key: &RecordKey) -> Result<Option<StoredRecord>, Fault> {
        let (unit, number) = (key.unit.clone(), key.number.clone());
        let found =
            self.select("records.unit = $1 AND records.number = $2", |query| query.bind(unit).bind(number)).await?;
        let Some(mut stored) = found.into_iter().next() else { return Ok(None) };
        self.attach_portrait(&mut stored).await?;
        Ok(Some(stored))
    }

    /// The contents of every version of a record, oldest first: (version, instant, content).
    pub async fn record_versions(&self, record: &Handle) -> Result<Vec<(i64, UnixSeconds, String)>, Fault> {
        let doing = "reading versions of a record";
        let rows = sqlx::query("SELECT version, at, content FROM record_versions WHERE record = $1 ORDER BY version")
            .bind(record.as_str())
            .fetch_all(self.readers())
            .await
            .map_err(failed(doing))?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)))
            .collect::<Result<_, sqlx::Error>>()
            .map_err(failed(doing))
    }

    /// Notes what the population database said about one version; `false` if the record has moved on since. The audit line
    /// names who asked and why.
    pub async fn set_population(
        &self,
        record: &Handle,
        version: i64,
        outcome: MatchOutcome,
        officer: &str,
        purpose: &str,
        at: UnixSeconds,
    ) -> Result<bool> {
        let (officer, purpose) = (officer.to_owned(), purpose.to_owned());
        self.write(SetPopulation { record: record.clone(), version, outcome, officer, purpose, at }).await
    }

    /// Notes a question to the population database that got no answer: who asked and why.
    pub async fn note_unreachable(&self, record: &Handle, officer: &str, purpose: &str, at: UnixSeconds) -> Result<()> {
        let action = "population.unreachable";
        let (actor, subject, detail) = (officer.to_owned(), record.to_string(), purpose.to_owned());
        self.write(NoteUnreachable(Line { at, actor, action, subject, detail })).await
    }

    /// The unit confirms its records as they stood at `seen_at`: versions that came later stay unconfirmed. Returns how
    /// many are confirmed by this.
    pub async fn confirm_records(
        &self,
        unit: &str,
        which: Confirmed,
        officer: &str,
        seen_at: UnixSeconds,
        at: UnixSeconds,
    ) -> Result<u64> {
        self.write(Confirm { unit: unit.to_owned(), which, officer: officer.to_owned(), seen_at, at }).await
    }

    /// The units that have records: all of which an officer could confirm.
    pub async fn units_with_records(&self) -> Result<Vec<String>, Fault> {
        let doing = "reading the units of records";
        let rows = sqlx::query("SELECT DISTINCT unit FROM records ORDER BY unit").fetch_all(self.readers()).await;
        rows.map_err(failed(doing))?.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(failed(doing))
    }

    /// People, at most `limit`, with a record that is matched and confirmed.
    pub async fn matched_people(&self, limit: i64) -> Result<Vec<PersonalNumber>, Fault> {
        let doing = "reading matched people";
        let rows = sqlx::query(
            "SELECT person FROM records WHERE population = 'matched' AND confirmed_at IS NOT NULL \
             AND person IS NOT NULL ORDER BY person LIMIT $1",
        )
        .bind(limit)
        .fetch_all(self.readers())
        .await
        .map_err(failed(doing))?;
        let numbers = rows.iter().map(|row| row.try_get::<String, _>(0)).collect::<Result<Vec<_>, _>>();
        Ok(numbers.map_err(failed(doing))?.iter().filter_map(|number| PersonalNumber::parse(number)).collect())
    }

    async fn select(
        &self,
        condition: &str,
        bind: impl FnOnce(
            sqlx::query::Query<'static, sqlx::Any, sqlx::any::AnyArguments>,
        ) -> sqlx::query::Query<'static, sqlx::Any, sqlx::any::AnyArguments>,
    ) -> Result<Vec<StoredRecord>, Fault> {
        let statement = format!(
            "SELECT records.id, records.version, records.changed_at, records.population, records.population_detail, \
             records.confirmed_at, record_versions.catalogue, record_versions.content, \
             (SELECT COUNT(*) FROM records other WHERE other.person = records.person AND other.unit = records.unit \
              AND other.id <> records.id) AS namesakes \
             FROM records JOIN record_versions ON record_versions.record = records.id \
             AND record_versions.version = records.version WHERE {condition}"
        );
        let rows = bind(sqlx::query(AssertSqlSafe(statement))).fetch_all(self.readers()).await;
        rows.map_err(failed("reading records"))?.iter().map(stored).collect()
    }

    async fn attach_portrait(&self, stored: &mut StoredRecord) -> Result<(), Fault> {
        let doing = "reading a portrait";
        let Some(name) = stored.record.portrait().map(|portrait| portrait.name().replace("sha256:", "")) else {
            return Ok(());
        };
        let row =
            sqlx::query("SELECT bytes FROM portraits WHERE sha256 = $1").bind(name).fetch_one(self.readers()).await;
        let bytes = row.map_err(failed(doing))?.try_get(0).map_err(failed(doing))?;
        if stored.record.attach_portrait(bytes) {
            Ok(())
        } else {
            Err(Fault::new(doing, "its bytes are not those it names"))
        }
    }
}

fn stored(row: &AnyRow) -> Result<StoredRecord, Fault> {
    let doing = "reading a record";
    let text = |column: &str| row.try_get::<String, _>(column).map_err(failed(doing));
    let number = |column: &str| row.try_get::<i64, _>(column).map_err(failed(doing));
    let catalogue =
        Catalogue::version(&text("catalogue")?).ok_or_else(|| Fault::new(doing, "its catalogue is not known"))?;
    let record = Record::restore(catalogue, &text("content")?).map_err(|error| Fault::new(doing, error))?;
    let standing = Standing {
        changed_at: number("changed_at")?,
        population: MatchOutcome::parse(&text("population")?, &text("population_detail")?),
        confirmed_at: row.try_get("confirmed_at").map_err(failed(doing))?,
        namesakes: u32::try_from(number("namesakes")?).unwrap_or(u32::MAX),
    };
    Ok(StoredRecord { handle: handle(row, "id")?, version: number("version")?, record, standing })
}

struct ImportBatch {
    file: String,
    actor: String,
    /// In the order of their keys.
    records: Vec<IncomingRecord>,
    /// Rows of one statement.
    rows: usize,
    at: UnixSeconds,
}

/// The current row of a record, as far as an import needs it.
#[derive(PartialEq, Eq)]
struct Current {
    handle: String,
    version: i64,
    digest: String,
    run: String,
}

/// A record to be written, and the version that it becomes.
struct Write<'a> {
    incoming: &'a IncomingRecord,
    handle: String,
    version: i64,
}

impl Change for ImportBatch {
    type Done = BatchOutcome;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<BatchOutcome> {
        let before = self.begin(transaction).await?;
        let mut progress = before.clone();
        let (mut written, mut twice) = (Vec::with_capacity(self.records.len()), Vec::new());
        let count = |counter: &mut u64, line: u64| *counter += u64::from(line > before.line);
        for chunk in self.records.chunks(self.rows) {
            let mut open: Vec<_> = chunk.iter().collect();
            // A record that another file moves on meanwhile is looked at again: it has another version to follow.
            while !open.is_empty() {
                let mut current = existing(transaction, open.iter().map(|incoming| &incoming.key)).await?;
                let mut writes = Vec::with_capacity(open.len());
                for incoming in open {
                    match current.get(&incoming.key) {
                        Some(known) if known.digest == incoming.digest => count(&mut progress.unchanged, incoming.line),
                        Some(known) if known.run == self.file => twice.push(incoming.line),
                        known => {
                            let write = Write::after(known, incoming);
                            // What a second row with this key will find.
                            current.insert(incoming.key.clone(), self.current(&write));
                            writes.push(write);
                        }
                    }
                }
                open = self.write_records(transaction, &mut writes).await?;
                for Write { incoming, version, .. } in &writes {
                    count(if *version == 1 { &mut progress.new } else { &mut progress.changed }, incoming.line);
                }
                self.write_versions(transaction, &writes).await?;
                written.extend(writes);
            }
        }
        progress.line = self.records.iter().map(|record| record.line).fold(progress.line, u64::max);
        self.write_portraits(transaction, &written).await?;
        self.write_progress(transaction, &progress).await?;
        if !written.is_empty() {
            let (new, changed) = (progress.new - before.new, progress.changed - before.changed);
            let detail = format!("up to line {}: {new} new, {changed} changed", progress.line);
            let (actor, subject) = (self.actor.clone(), self.file.clone());
            transaction.note(Line { at: self.at, actor, action: "records.imported", subject, detail });
        }
        Ok(BatchOutcome { progress, twice })
    }
}

impl<'a> Write<'a> {
    fn after(known: Option<&Current>, incoming: &'a IncomingRecord) -> Self {
        let handle = known.map_or_else(|| incoming.handle.to_string(), |known| known.handle.clone());
        Self { incoming, handle, version: known.map_or(1, |known| known.version + 1) }
    }
}

impl ImportBatch {
    /// Opens the run, or goes on with an unfinished one, and keeps every other batch of the file waiting until this one is
    /// durable. Returns how far the run is.
    async fn begin(&self, transaction: &mut Transaction<'_>) -> Result<Progress, Fault> {
        let doing = "beginning a batch of an import";
        let row = sqlx::query(
            "INSERT INTO import_runs (file, actor, started_at, line, new_count, changed_count, unchanged_count) \
             VALUES ($1, $2, $3, 0, 0, 0, 0) ON CONFLICT (file) DO UPDATE SET actor = excluded.actor, finished_at = NULL, \
             started_at = CASE WHEN import_runs.finished_at IS NULL THEN import_runs.started_at ELSE excluded.started_at END, \
             line = CASE WHEN import_runs.finished_at IS NULL THEN import_runs.line ELSE 0 END, \
             new_count = CASE WHEN import_runs.finished_at IS NULL THEN import_runs.new_count ELSE 0 END, \
             changed_count = CASE WHEN import_runs.finished_at IS NULL THEN import_runs.changed_count ELSE 0 END, \
             unchanged_count = CASE WHEN import_runs.finished_at IS NULL THEN import_runs.unchanged_count ELSE 0 END \
             RETURNING line, new_count, changed_count, unchanged_count",
        )
        .bind(&self.file)
        .bind(&self.actor)
        .bind(self.at)
        .fetch_one(&mut **transaction)
        .await
        .map_err(failed(doing))?;
        progress(&row).map_err(failed(doing))
    }

    fn current(&self, write: &Write<'_>) -> Current {
        let (handle, digest) = (write.handle.clone(), write.incoming.digest.clone());
        Current { handle, version: write.version, digest, run: self.file.clone() }
    }

    /// Writes new and changed records alike, but for those that somebody else moved on since they were looked up: these
    /// are taken out of `writes` and returned.
    async fn write_records<'a>(
        &self,
        transaction: &mut Transaction<'_>,
        writes: &mut Vec<Write<'a>>,
    ) -> Result<Vec<&'a IncomingRecord>, Fault> {
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        let statement = format!(
            "INSERT INTO records (id, unit, number, version, digest, run, person, changed_at) VALUES {} \
             ON CONFLICT (unit, number) DO UPDATE SET version = excluded.version, digest = excluded.digest, \
             run = excluded.run, person = excluded.person, changed_at = excluded.changed_at, population = 'pending', \
             population_detail = '', checked_at = NULL, confirmed_at = NULL, confirmed_by = NULL \
             WHERE records.version = excluded.version - 1",
            places(writes.len(), 8)
        );
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for Write { incoming, handle, version } in &*writes {
            query = query
                .bind(handle)
                .bind(&incoming.key.unit)
                .bind(&incoming.key.number)
                .bind(version)
                .bind(&incoming.digest)
                .bind(&self.file)
                .bind(incoming.person.as_ref().map(PersonalNumber::expose))
                .bind(self.at);
        }
        let written = query.execute(&mut **transaction).await.map_err(failed("writing records"))?.rows_affected();
        if written == writes.len() as u64 {
            return Ok(Vec::new());
        }
        let current = existing(transaction, writes.iter().map(|write| &write.incoming.key)).await?;
        let (ours, overtaken): (Vec<_>, Vec<_>) =
            writes.drain(..).partition(|write| current.get(&write.incoming.key) == Some(&self.current(write)));
        *writes = ours;
        Ok(overtaken.into_iter().map(|write| write.incoming).collect())
    }

    async fn write_versions(&self, transaction: &mut Transaction<'_>, writes: &[Write<'_>]) -> Result<(), Fault> {
        if writes.is_empty() {
            return Ok(());
        }
        let statement = format!(
            "INSERT INTO record_versions (record, version, catalogue, content, run, line, at) VALUES {}",
            places(writes.len(), 7)
        );
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for Write { incoming, handle, version } in writes {
            query = query
                .bind(handle)
                .bind(version)
                .bind(Catalogue::CURRENT)
                .bind(&incoming.content)
                .bind(&self.file)
                .bind(signed(incoming.line))
                .bind(self.at);
        }
        query.execute(&mut **transaction).await.map(|_| ()).map_err(failed("writing versions of records"))
    }

    async fn write_portraits(&self, transaction: &mut Transaction<'_>, writes: &[Write<'_>]) -> Result<(), Fault> {
        let mut seen = HashSet::new();
        let mut portraits: Vec<_> = writes.iter().filter_map(|write| write.incoming.portrait.as_ref()).collect();
        portraits.retain(|(name, _)| seen.insert(name.as_str()));
        // In one order everywhere, so that two imports never wait for each other.
        portraits.sort_unstable();
        for chunk in portraits.chunks(ROWS) {
            let statement = format!(
                "INSERT INTO portraits (sha256, bytes) VALUES {} ON CONFLICT (sha256) DO NOTHING",
                places(chunk.len(), 2)
            );
            let mut query = sqlx::query(AssertSqlSafe(statement));
            for (name, bytes) in chunk {
                query = query.bind(name).bind(bytes.as_slice());
            }
            query.execute(&mut **transaction).await.map_err(failed("writing portraits"))?;
        }
        Ok(())
    }

    async fn write_progress(&self, transaction: &mut Transaction<'_>, progress: &Progress) -> Result<(), Fault> {
        sqlx::query(
            "UPDATE import_runs SET line = $2, new_count = $3, changed_count = $4, unchanged_count = $5 WHERE file = $1",
        )
        .bind(&self.file)
        .bind(signed(progress.line))
        .bind(signed(progress.new))
        .bind(signed(progress.changed))
        .bind(signed(progress.unchanged))
        .execute(&mut **transaction)
        .await
        .map(|_| ())
        .map_err(failed("writing the progress of an import"))
    }
}

/// Line, new, changed and unchanged in this order.
fn progress(row: &AnyRow) -> Result<Progress, sqlx::Error> {
    let count = |at: usize| row.try_get::<i64, _>(at).map(i64::unsigned_abs);
    Ok(Progress { line: count(0)?, new: count(1)?, changed: count(2)?, unchanged: count(3)? })
}

/// What stands under these keys.
async fn existing<'a>(
    connection: &mut AnyConnection,
    keys: impl ExactSizeIterator<Item = &'a RecordKey>,
) -> Result<HashMap<RecordKey, Current>, Fault> {
    let doing = "looking records up";
    if keys.len() == 0 {
        return Ok(HashMap::new());
    }
    // A join, for SQLite would read the whole table for a list of pairs.
    let statement = format!(
        "WITH wanted (unit, number) AS (VALUES {}) SELECT records.unit, records.number, id, version, digest, run \
         FROM wanted JOIN records ON records.unit = wanted.unit AND records.number = wanted.number",
        places(keys.len(), 2)
    );
    let mut query = sqlx::query(AssertSqlSafe(statement));
    for key in keys {
        query = query.bind(&key.unit).bind(&key.number);
    }
    let rows = query.fetch_all(connection).await.map_err(failed(doing))?;
    rows.iter()
        .map(|row| {
            let key = RecordKey { unit: row.try_get(0)?, number: row.try_get(1)? };
            let (handle, version) = (row.try_get(2)?, row.try_get(3)?);
            Ok((key, Current { handle, version, digest: row.try_get(4)?, run: row.try_get(5)? }))
        })
        .collect::<Result<_, sqlx::Error>>()
        .map_err(failed(doing))
}

struct FinishImport {
    file: String,
    actor: String,
    at: UnixSeconds,
}

impl Change for FinishImport {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        sqlx::query("UPDATE import_runs SET finished_at = $2 WHERE file = $1 AND finished_at IS NULL")
            .bind(&self.file)
            .bind(self.at)
            .execute(&mut **transaction)
            .await
            .map_err(failed("closing an import"))?;
        let (actor, subject) = (self.actor.clone(), self.file.clone());
        transaction.note(Line {
            at: self.at,
            actor,
            action: "records.import_finished",
            subject,
            detail: String::new(),
        });
        Ok(())
    }
}

struct SetPopulation {
    record: Handle,
    version: i64,
    outcome: MatchOutcome,
    officer: String,
    purpose: String,
    at: UnixSeconds,
}

impl Change for SetPopulation {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let set = sqlx::query(
            "UPDATE records SET population = $3, population_detail = $4, checked_at = $5 WHERE id = $1 AND version = $2",
        )
        .bind(self.record.as_str())
        .bind(self.version)
        .bind(self.outcome.word())
        .bind(self.outcome.detail())
        .bind(self.at)
        .execute(&mut **transaction)
        .await
        .map_err(failed("noting a population match"))?;
        // Who asked and why is written down whether or not the answer is still of use.
        let action = match self.outcome {
            MatchOutcome::Matched => "population.matched",
            MatchOutcome::NotFound => "population.not_found",
            MatchOutcome::Mismatched { .. } => "population.mismatched",
        };
        let detail =
            format!("version {} {} {}", self.version, self.purpose, self.outcome.detail()).trim_end().to_owned();
        let (actor, subject) = (self.officer.clone(), self.record.to_string());
        transaction.note(Line { at: self.at, actor, action, subject, detail });
        Ok(set.rows_affected() == 1)
    }
}

struct NoteUnreachable(Line);

impl Change for NoteUnreachable {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        sqlx::query("UPDATE records SET tried_at = $2 WHERE id = $1")
            .bind(&self.0.subject)
            .bind(self.0.at)
            .execute(&mut **transaction)
            .await
            .map_err(failed("noting that the registry did not answer"))?;
        transaction.note(self.0.clone());
        Ok(())
    }
}

struct Confirm {
    unit: String,
    which: Confirmed,
    officer: String,
    seen_at: UnixSeconds,
    at: UnixSeconds,
}

impl Change for Confirm {
    type Done = u64;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<u64> {
        let set = "UPDATE records SET confirmed_at = $1, confirmed_by = $2 \
            WHERE confirmed_at IS NULL AND changed_at <= $3 AND";
        let mut confirmed = 0;
        let doing = "confirming records";
        match &self.which {
            Confirmed::All => {
                let query = sqlx::query(AssertSqlSafe(format!("{set} (unit = $4 OR unit LIKE $5)")))
                    .bind(self.at)
                    .bind(&self.officer)
                    .bind(self.seen_at)
                    .bind(&self.unit)
                    .bind(format!("{}.%", self.unit));
                confirmed += query.execute(&mut **transaction).await.map_err(failed(doing))?.rows_affected();
            }
            Confirmed::Numbers(numbers) => {
                for chunk in numbers.chunks(ROWS) {
                    let places = (5..5 + chunk.len()).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ");
                    let mut query = sqlx::query(AssertSqlSafe(format!("{set} unit = $4 AND number IN ({places})")))
                        .bind(self.at)
                        .bind(&self.officer)
                        .bind(self.seen_at)
                        .bind(&self.unit);
                    for number in chunk {
                        query = query.bind(number);
                    }
                    confirmed += query.execute(&mut **transaction).await.map_err(failed(doing))?.rows_affected();
                }
            }
        }
        let (actor, subject) = (self.officer.clone(), self.unit.clone());
        let detail = format!("{confirmed} records");
        transaction.note(Line { at: self.at, actor, action: "records.confirmed", subject, detail });
        Ok(confirmed)
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl IncomingRecord {
    /// From a record that passed every rule; `handle` is its name if it is new.
    pub fn of(record: &Record, line: u64, handle: Handle) -> Self {
        let content = record.content();
        let named = record.portrait().and_then(|portrait| Some((portrait.name(), portrait.jpeg()?)));
        Self {
            line,
            handle,
            key: record.key(),
            person: record.personal_number(),
            digest: hex(&Record::digest(&content)),
            content,
            portrait: named.map(|(name, jpeg)| (name.replace("sha256:", ""), jpeg.to_vec())),
        }
    }
}
