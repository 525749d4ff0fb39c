//! Imports: batches of records go in, each with its place in the file, so that a killed import is completed by the next run
//! with nothing lost or doubled.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::card_search::search_name;
use super::cards::handle;
use super::{Change, Line, Store, Transaction, failed, places, proposals};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Result};
use crate::model::amendment::Amendment;
use crate::model::catalogue::Catalogue;
use crate::model::id::{Handle, PersonalNumber};
use crate::model::origin::Origin;
use crate::model::partial_date::PartialDate;
use crate::model::record::{Record, RecordKey};
use crate::model::row_fault::RowFault;
use crate::model::value::hex;

/// Rows of one statement. SQLite looks a parameter's name up by going through all of them, so more rows cost more.
pub(super) const ROWS: usize = 32;

/// A row of an import that passed every rule.
#[derive(Clone, Debug)]
pub struct IncomingRecord {
    /// Line of the file.
    pub line: u64,
    /// The name that it gets if it is new.
    pub handle: Handle,
    /// What makes it this record.
    pub key: RecordKey,
    /// The name as an office looks for it.
    pub search_name: String,
    /// The employing unit and the place of work, where it names them.
    pub works_in: [Option<String>; 2],
    /// The personal number, when it has one.
    pub person: Option<PersonalNumber>,
    /// Canonical content.
    pub content: String,
    /// SHA-256 of the content, in hexadecimal.
    pub digest: String,
    /// The portrait: SHA-256 in hexadecimal, and bytes.
    pub portrait: Option<(String, Vec<u8>)>,
    /// Digest of all that is compared with the population database.
    pub match_key: String,
    /// The employment status of somebody who may not hold a card.
    pub out_of_service: Option<String>,
    /// The day from which that status holds.
    pub status_on: Option<time::Date>,
    /// The version that the row was compared with, 0 for none: at another it is not written.
    pub expects: Option<i64>,
    /// What it changes in a record that is there already; without it, the record says this and nothing else.
    pub amendment: Option<Amendment>,
}

/// What stands under a key, for a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordHead {
    /// Its name.
    pub handle: Handle,
    /// Its version.
    pub version: i64,
    /// SHA-256 of its content, in hexadecimal.
    pub digest: String,
    /// What wrote that: the digest of a file, the name of an upload…
    pub run: String,
    /// Whether its unit took it back.
    pub is_removed: bool,
    /// The catalogue of its content.
    pub catalogue: String,
    /// What it says.
    pub content: String,
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
    /// Lines whose record is not at the version that they expect.
    pub moved_on: Vec<u64>,
    /// Lines that contradict what stays of their record.
    pub refused: Vec<(u64, Vec<RowFault>)>,
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

    /// Takes in one batch of a run, which the origin's reference names: rows, versions, portraits, the run's progress and one
    /// audit line become durable together. Lines that the unfinished run has behind it are only looked at again, so that each
    /// counts once. Batches of one run wait for each other; those of several meet record by record, and each makes a version.
    pub async fn take_batch(
        &self,
        origin: Origin,
        mut records: Vec<IncomingRecord>,
        at: UnixSeconds,
    ) -> Result<BatchOutcome> {
        // In one order everywhere, so that two imports never wait for each other; rows of one key stay in theirs.
        records.sort_by(|one, other| one.key.cmp(&other.key));
        let rows = self.dialect.rows_per_statement();
        self.write(ImportBatch { origin, records, rows, at }).await
    }

    /// Closes an import, so that the same file counts from the beginning next time.
    pub async fn finish_import(&self, file: &str, actor: &str, at: UnixSeconds) -> Result<()> {
        self.write(FinishImport { file: file.to_owned(), actor: actor.to_owned(), at }).await
    }

    /// What stands under these keys, with contents.
    pub async fn record_heads(&self, keys: &[RecordKey]) -> Result<HashMap<RecordKey, RecordHead>, Fault> {
        let mut connection = self.readers().acquire().await.map_err(failed("reading records"))?;
        let mut found = HashMap::with_capacity(keys.len());
        for chunk in keys.chunks(self.dialect.rows_per_statement()) {
            found.extend(heads(&mut connection, chunk.iter(), true).await?);
        }
        Ok(found)
    }
}

struct ImportBatch {
    origin: Origin,
    /// In the order of their keys.
    records: Vec<IncomingRecord>,
    /// Rows of one statement.
    rows: usize,
    at: UnixSeconds,
}

/// A record to be written, and the version that it becomes.
struct Write<'a> {
    incoming: &'a IncomingRecord,
    /// What it makes of what is there.
    new: Cow<'a, IncomingRecord>,
    handle: Handle,
    version: i64,
}

impl Change for ImportBatch {
    type Done = BatchOutcome;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<BatchOutcome> {
        let before = self.begin(transaction).await?;
        let mut progress = before.clone();
        let (mut written, mut twice) = (Vec::with_capacity(self.records.len()), Vec::new());
        let (mut moved_on, mut refused) = (Vec::new(), Vec::new());
        let count = |counter: &mut u64, line: u64| *counter += u64::from(line > before.line);
        for chunk in self.records.chunks(self.rows) {
            let mut open: Vec<_> = chunk.iter().collect();
            // A record that another file moves on meanwhile is looked at again: it has another version to follow.
            while !open.is_empty() {
                let amends = open.iter().any(|incoming| incoming.amendment.is_some());
                let mut current = heads(transaction, open.iter().map(|incoming| &incoming.key), amends).await?;
                let mut writes = Vec::with_capacity(open.len());
                for incoming in open {
                    let known = current.get(&incoming.key);
                    let new = match incoming.over(known)? {
                        Ok(new) => new,
                        Err(faults) => {
                            refused.push((incoming.line, faults));
                            continue;
                        }
                    };
                    match known {
                        Some(known) if !known.is_removed && known.digest == new.digest => {
                            count(&mut progress.unchanged, incoming.line);
                        }
                        known if incoming.expects.is_some_and(|at| at != known.map_or(0, |known| known.version)) => {
                            moved_on.push(incoming.line);
                        }
                        Some(known) if known.run == self.origin.reference => twice.push(incoming.line),
                        known => {
                            let handle = known.map_or(&incoming.handle, |known| &known.handle).clone();
                            let version = known.map_or(1, |known| known.version + 1);
                            let write = Write { incoming, new, handle, version };
                            // What a second row with this key will find.
                            current.insert(incoming.key.clone(), self.head(&write));
                            writes.push(write);
                        }
                    }
                }
                open = self.write_records(transaction, &mut writes).await?;
                for Write { incoming, version, .. } in &writes {
                    count(if *version == 1 { &mut progress.new } else { &mut progress.changed }, incoming.line);
                }
                self.write_versions(transaction, &writes).await?;
                let changed: Vec<_> =
                    writes.iter().filter(|write| write.version > 1).map(|write| &write.handle).collect();
                proposals::expire_of_others(transaction, &changed, self.at).await?;
                written.extend(writes);
            }
        }
        progress.line = self.records.iter().map(|record| record.line).fold(progress.line, u64::max);
        write_portraits(transaction, written.iter().filter_map(|write| write.new.portrait.as_ref())).await?;
        self.write_progress(transaction, &progress).await?;
        if !written.is_empty() {
            let (new, changed) = (progress.new - before.new, progress.changed - before.changed);
            let detail = format!("up to line {}: {new} new, {changed} changed", progress.line);
            let (actor, subject) = (self.origin.actor.clone(), self.origin.reference.clone());
            transaction.note(Line { at: self.at, actor, action: "records.imported", subject, detail });
        }
        Ok(BatchOutcome { progress, twice, moved_on, refused })
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
        .bind(&self.origin.reference)
        .bind(&self.origin.actor)
        .bind(self.at)
        .fetch_one(&mut **transaction)
        .await
        .map_err(failed(doing))?;
        progress(&row).map_err(failed(doing))
    }

    /// What stands there once it is written.
    fn head(&self, write: &Write<'_>) -> RecordHead {
        RecordHead {
            handle: write.handle.clone(),
            version: write.version,
            digest: write.new.digest.clone(),
            run: self.origin.reference.clone(),
            is_removed: false,
            catalogue: Catalogue::CURRENT.to_owned(),
            content: write.incoming.amendment.as_ref().map_or_else(String::new, |_| write.new.content.clone()),
        }
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
            "INSERT INTO records (id, unit, number, version, digest, run, person, changed_at, match_key, out_of_service, \
             using_unit, work_unit, search_name) VALUES {} \
             ON CONFLICT (unit, number) DO UPDATE SET version = excluded.version, digest = excluded.digest, \
             run = excluded.run, person = excluded.person, changed_at = excluded.changed_at, \
             {}, match_key = excluded.match_key, \
             using_unit = excluded.using_unit, work_unit = excluded.work_unit, \
             search_name = excluded.search_name, \
             confirmed_at = NULL, confirmed_by = NULL, removed_at = NULL, out_of_service = excluded.out_of_service, \
             follow_due_at = CASE WHEN records.out_of_service IS NULL AND excluded.out_of_service IS NULL \
             THEN records.follow_due_at ELSE excluded.changed_at END \
             WHERE records.version = excluded.version - 1",
            places(writes.len(), 13),
            carried_over("excluded.match_key")
        );
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for Write { new, handle, version, .. } in &*writes {
            query = query
                .bind(handle.as_str())
                .bind(&new.key.unit)
                .bind(&new.key.number)
                .bind(version)
                .bind(&new.digest)
                .bind(&self.origin.reference)
                .bind(new.person.as_ref().map(PersonalNumber::expose))
                .bind(self.at)
                .bind(&new.match_key)
                .bind(&new.out_of_service)
                .bind(new.works_in[0].as_deref())
                .bind(new.works_in[1].as_deref())
                .bind(&new.search_name);
        }
        let written = query.execute(&mut **transaction).await.map_err(failed("writing records"))?.rows_affected();
        if written == writes.len() as u64 {
            return Ok(Vec::new());
        }
        let current = heads(transaction, writes.iter().map(|write| &write.incoming.key), false).await?;
        let is_ours = |write: &Write<'_>| {
            current.get(&write.incoming.key).is_some_and(|now| {
                (&now.handle, now.version, &now.digest) == (&write.handle, write.version, &write.new.digest)
                    && now.run == self.origin.reference
                    && !now.is_removed
            })
        };
        let (ours, overtaken): (Vec<_>, Vec<_>) = writes.drain(..).partition(is_ours);
        *writes = ours;
        Ok(overtaken.into_iter().map(|write| write.incoming).collect())
    }

    async fn write_versions(&self, transaction: &mut Transaction<'_>, writes: &[Write<'_>]) -> Result<(), Fault> {
        if writes.is_empty() {
            return Ok(());
        }
        let statement = format!(
            "INSERT INTO record_versions (record, version, catalogue, content, run, line, at, way, reference, actor) VALUES {}",
            places(writes.len(), 10)
        );
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for Write { incoming, new, handle, version } in writes {
            query = query
                .bind(handle.as_str())
                .bind(version)
                .bind(Catalogue::CURRENT)
                .bind(&new.content)
                .bind(&self.origin.reference)
                .bind(signed(incoming.line))
                .bind(self.at)
                .bind(self.origin.way.word())
                .bind(&self.origin.reference)
                .bind(&self.origin.actor);
        }
        query.execute(&mut **transaction).await.map(|_| ()).map_err(failed("writing versions of records"))
    }

    async fn write_progress(&self, transaction: &mut Transaction<'_>, progress: &Progress) -> Result<(), Fault> {
        sqlx::query(
            "UPDATE import_runs SET line = $2, new_count = $3, changed_count = $4, unchanged_count = $5 WHERE file = $1",
        )
        .bind(&self.origin.reference)
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

/// A version keeps what the population database said about the one before if it says the same of all that is compared
/// (`match_key`) and nothing was outdated, which the version may mend; else it is asked about at once, even if that was in
/// vain for the one before. Whoever is just asking asks about a version that is none any more: their claim ends.
pub(super) fn carried_over(match_key: &str) -> String {
    let stays = format!(
        "records.match_key = {match_key} AND (records.population <> 'matched' OR records.population_detail = '')"
    );
    format!(
        "population = CASE WHEN {stays} THEN records.population ELSE 'pending' END, \
         population_detail = CASE WHEN {stays} THEN records.population_detail ELSE '' END, \
         checked_at = CASE WHEN {stays} THEN records.checked_at END, \
         tried_at = CASE WHEN {stays} THEN records.tried_at END, claimed_until = NULL"
    )
}

/// Keeps portraits (SHA-256 in hexadecimal, bytes), each once.
pub(super) async fn write_portraits<'a>(
    transaction: &mut Transaction<'_>,
    portraits: impl Iterator<Item = &'a (String, Vec<u8>)>,
) -> Result<(), Fault> {
    let mut seen = HashSet::new();
    let mut portraits: Vec<_> = portraits.collect();
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

/// What stands under these keys, with contents where they are wanted.
async fn heads<'a>(
    connection: &mut AnyConnection,
    keys: impl ExactSizeIterator<Item = &'a RecordKey>,
    contents: bool,
) -> Result<HashMap<RecordKey, RecordHead>, Fault> {
    let doing = "looking records up";
    if keys.len() == 0 {
        return Ok(HashMap::new());
    }
    let (columns, versions) = if contents {
        (
            "record_versions.catalogue, record_versions.content",
            "JOIN record_versions ON record_versions.record = records.id AND record_versions.version = records.version",
        )
    } else {
        ("'', ''", "")
    };
    // A join, for SQLite would read the whole table for a list of pairs.
    let statement = format!(
        "WITH wanted (unit, number) AS (VALUES {}) SELECT records.unit, records.number, records.version, records.digest, \
         records.run, records.removed_at, {columns}, records.id \
         FROM wanted JOIN records ON records.unit = wanted.unit AND records.number = wanted.number {versions}",
        places(keys.len(), 2)
    );
    let mut query = sqlx::query(AssertSqlSafe(statement));
    for key in keys {
        query = query.bind(&key.unit).bind(&key.number);
    }
    let rows = query.fetch_all(connection).await.map_err(failed(doing))?;
    let head = |row: &AnyRow| {
        let text = |at: usize| row.try_get::<String, _>(at).map_err(failed(doing));
        let key = RecordKey { unit: text(0)?, number: text(1)? };
        let head = RecordHead {
            handle: handle(row, "id")?,
            version: row.try_get(2).map_err(failed(doing))?,
            digest: text(3)?,
            run: text(4)?,
            is_removed: row.try_get::<Option<i64>, _>(5).map_err(failed(doing))?.is_some(),
            catalogue: text(6)?,
            content: text(7)?,
        };
        Ok((key, head))
    };
    rows.iter().map(head).collect()
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

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl IncomingRecord {
    /// What it makes of the record that is there: what its file does not carry stays. `Err` tells what contradicts that.
    pub fn over(&self, there: Option<&RecordHead>) -> Result<Result<Cow<'_, Self>, Vec<RowFault>>, Fault> {
        let there = there.filter(|there| !there.is_removed && there.digest != self.digest);
        let (Some(amendment), Some(there)) = (&self.amendment, there) else { return Ok(Ok(Cow::Borrowed(self))) };
        let restored = |content: &str| {
            let record = Record::restore(Catalogue::current(), content);
            record.map_err(|error| Fault::new("reading a record that a row changes", error))
        };
        let (base, row) = (restored(&there.content)?, restored(&self.content)?);
        Ok(amendment.apply(&base, &row, self.line).map(|record| {
            let new = Self::of(&record, self.line, self.handle.clone());
            Cow::Owned(Self { portrait: self.portrait.clone(), expects: self.expects, ..new })
        }))
    }

    /// The fields and lists that its row says; `None` is all of them.
    pub fn said(&self) -> Result<Option<BTreeSet<String>>, Fault> {
        self.amendment.as_ref().map(|amendment| Ok(amendment.said(&self.record()?))).transpose()
    }

    /// The record that it is; the portrait with its bytes where they came with it.
    pub fn record(&self) -> Result<Record, Fault> {
        let fault = |error| Fault::new("reading a row again", error);
        let mut record = Record::restore(Catalogue::current(), &self.content).map_err(fault)?;
        if let Some((_, jpeg)) = &self.portrait {
            record.attach_portrait(jpeg.clone());
        }
        Ok(record)
    }

    /// From a record that passed every rule; `handle` is its name if it is new.
    pub fn of(record: &Record, line: u64, handle: Handle) -> Self {
        let content = record.content();
        let named = record.portrait().and_then(|portrait| Some((portrait.name(), portrait.jpeg()?)));
        Self {
            line,
            handle,
            key: record.key(),
            search_name: search_name(record.full_name()),
            works_in: ["using_unit_code", "work_unit_code"].map(|field| record.text(field).map(str::to_owned)),
            person: record.personal_number(),
            digest: hex(&Record::digest(&content)),
            content,
            portrait: named.map(|(name, jpeg)| (name.replace("sha256:", ""), jpeg.to_vec())),
            match_key: record.match_key(),
            out_of_service: record.out_of_service().map(str::to_owned),
            status_on: record.date("employment_status_date").and_then(PartialDate::exact),
            expects: None,
            amendment: None,
        }
    }
}
