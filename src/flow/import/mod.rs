//! A personnel file comes in: read in one thread, stored by another, in batches, so that memory does not grow with the
//! file and a killed import is completed by the next run of the same file.
//!
//! ```text
//! file → digest (names the run)
//! rows → Intake → good: batches of 4,000 → Store::take_batch (one transaction with the run's progress), where a row changes
//!               ↓       what its file carries of a record that is there, and leaves the rest
//!  read.rs      ↘ bad: rejects.rs
//!  text.rs      encodings and separators of CSV
//!  workbook.rs  XLSX, after archive.rs has measured what it unpacks to
//! ```
//!
//! Bounds: a row has at most [`MAX_ROW_BYTES`], a header at most [`crate::model::intake::MAX_COLUMNS`] columns, a list at
//! most [`crate::model::intake::MAX_ENTRIES`] entries. A CSV row beyond its bound ends the import (most likely a quotation
//! mark is not closed); an NDJSON line beyond it is rejected alone.

mod archive;
mod fault;
pub(in crate::flow) mod read;
pub(in crate::flow) mod rejects;
mod text;
mod workbook;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use self::read::{Batch, Input, Wanted, overtaken, read_batches, too_far, twice};
use self::rejects::Rejects;
use super::receive::{Became, Expects, Incoming, MOST_DAYS_AHEAD, Says, receive};
use crate::chance::Chance;
use crate::clock::Clock;
use crate::error::{Error, Fault, Refusal};
use crate::model::calendar::day_of;
use crate::model::intake::HeaderFault;
use crate::model::origin::{Origin, Way};
use crate::model::row_fault::RowFault;
use crate::model::value::hex;
use crate::store::{IncomingRecord, Progress, Store};

pub use self::archive::MAX_PACKED_BYTES;
pub use self::fault::FileFault;
pub use self::text::Encoding;

/// Rows at the top of a table among which the field codes are looked for: titles and labels may stand above them.
pub const HEADER_ROWS: usize = 10;
/// The most cells with content in the sheet of a workbook.
pub const MAX_CELLS: u64 = 8_000_000;
/// The longest row.
pub const MAX_ROW_BYTES: u64 = 1 << 20;
/// How often a row that waits for its day is read again after somebody else changed its record.
const ATTEMPTS: usize = 5;
/// Keys of one file that are kept in mind, some 16 MB, to notice one that comes twice and says otherwise. In a longer file
/// the store still notices what this file wrote, and a dry run does not.
pub const MOST_KEYS: usize = 900_000;

/// The form of a personnel file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A header of field codes, then a row for each record.
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// A workbook: the row of field codes, then a row for each record.
    Xlsx,
}

impl Format {
    /// By the ending of the file's name; CSV unless it says `.xlsx`, `.ndjson`, `.jsonl` or `.json`.
    pub fn of(path: &Path) -> Self {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("ndjson" | "jsonl" | "json") => Self::Ndjson,
            Some("xlsx" | "XLSX" | "xls" | "xlsm") => Self::Xlsx,
            _ => Self::Csv,
        }
    }
}

/// An import that is asked for.
#[derive(Clone, Debug)]
pub struct ImportRequest {
    /// The file.
    pub file: PathBuf,
    /// Its form.
    pub format: Format,
    /// Only say what would happen.
    pub dry_run: bool,
    /// Where rejected rows go; made when the first one comes.
    pub rejects: PathBuf,
    /// Who imports.
    pub actor: String,
}

/// How far an import is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Rows read.
    pub rows: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Bytes in all.
    pub bytes_total: u64,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportSummary {
    /// Records that were not there.
    pub new: u64,
    /// Records that have a new version.
    pub changed: u64,
    /// Records that were there already, the same.
    pub unchanged: u64,
    /// Records of which something waits for its day; of these, those that changed already are counted here alone.
    pub waiting: u64,
    /// Rows in the rejects file.
    pub rejected: u64,
    /// The line up to which an earlier run of this file had come before it was killed.
    pub resumed_after: Option<u64>,
}

impl ImportSummary {
    /// The counts of the whole import, whichever run did the work.
    fn counts(&mut self, progress: &Progress) {
        (self.new, self.changed, self.unchanged) = (progress.new, progress.changed, progress.unchanged);
    }
}

/// Why a file as a whole cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Its header is wrong.
    #[error(transparent)]
    Header(#[from] HeaderFault),
    /// It cannot be read as what it is.
    #[error(transparent)]
    File(#[from] FileFault),
    /// A row is longer than [`MAX_ROW_BYTES`].
    #[error(
        "dòng {0} dài quá 1 MiB, có thể thiếu dấu ngoặc kép đóng / the row at line {0} is longer than 1 MiB: perhaps a \
         quotation mark is not closed"
    )]
    RowTooLong(u64),
    /// It cannot be read.
    #[error("không đọc được tệp / the file cannot be read: {0}")]
    Read(io::Error),
    /// The rejected rows would take the place of the file that they come from.
    #[error(
        "tệp dòng bị loại trùng với tệp nhập: chọn tên khác bằng --rejects / the rejects file is the file that is imported: \
         choose another by --rejects"
    )]
    SameFile,
    /// The rejects file cannot be written.
    #[error("không ghi được tệp dòng bị loại / the rejects file cannot be written: {0}")]
    Rejects(io::Error),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] Error),
}

impl From<Fault> for ImportError {
    fn from(fault: Fault) -> Self {
        Self::Store(fault.into())
    }
}

impl From<ImportError> for Error {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Store(error) => error,
            ImportError::Header(fault) => Refusal::malformed("header", fault.to_string()).into(),
            other => Refusal::malformed("file", other.to_string()).into(),
        }
    }
}

/// Imports a file. `progress` is called after every batch.
pub async fn import(
    store: &Store,
    clock: &Clock,
    chance: &Chance,
    request: ImportRequest,
    mut progress: impl FnMut(Seen),
) -> Result<ImportSummary, ImportError> {
    let now = clock.now();
    let mut rejects = Rejects::new(request.rejects.clone());
    if rejects.would_overwrite(&request.file).map_err(ImportError::Read)? {
        return Err(ImportError::SameFile);
    }
    let (path, format) = (request.file.clone(), request.format);
    let (run, bytes_total) = blocking(move || digest_of(&path)).await?;
    let earlier = if request.dry_run { None } else { store.import_progress(&run).await? };
    let knowledge = (store.unit_register(day_of(now)).await?, store.code_book().await?);
    let (sender, mut batches) = mpsc::channel(1);
    // The reader draws the names of new records from a generator of its own.
    let (path, names) = (request.file.clone(), Chance::seeded(chance.bytes()));
    let reader = spawn_blocking(move || {
        read_batches(Input::Path(&path), format, &knowledge, &names, Wanted::default(), &sender)
    });

    let mut summary = ImportSummary::default();
    if let Some(earlier) = &earlier {
        summary.resumed_after = Some(earlier.line);
        summary.counts(earlier);
    }
    let origin = Origin { way: Way::Import, reference: run.clone(), actor: request.actor.clone() };
    // What did not go with its batch.
    let (mut waiting, mut apart) = (0, ImportSummary::default());
    let mut seen = Seen { bytes_total, ..Seen::default() };
    while let Some(batch) = batches.recv().await {
        let Batch { header, good, raws, bad, bytes } = batch;
        let lines: Vec<_> = good.iter().map(|incoming| incoming.line).collect();
        seen.rows += (good.len() + bad.len()) as u64;
        seen.bytes = bytes;
        for row in &bad {
            rejects.write(&header, &row.raw, &row.faults).map_err(ImportError::Rejects)?;
        }
        let mut refused = Vec::new();
        if request.dry_run {
            refused = weigh(store, &good, &mut summary).await?;
        } else if !good.is_empty() {
            // A status that holds from a later day waits for it; what waits for a record may have to end.
            let today = day_of(now);
            let keys: Vec<_> = good.iter().map(|incoming| incoming.key.clone()).collect();
            let beside = store.waiting_of_all(&keys).await?;
            let is_ahead = |incoming: &IncomingRecord| incoming.status_on.is_some_and(|on| on > today);
            let is_later = |incoming: &IncomingRecord| is_ahead(incoming) || beside.contains_key(&incoming.key);
            let (later, good): (Vec<_>, Vec<_>) = good.into_iter().partition(is_later);
            let outcome = store.take_batch(origin.clone(), good, clock.now()).await?;
            summary.counts(&outcome.progress);
            refused.extend(outcome.twice.into_iter().map(|line| (line, vec![twice(line)])));
            refused.extend(outcome.refused);
            for incoming in later {
                let line = incoming.line;
                if incoming.status_on.is_some_and(|on| (on - today).whole_days() > MOST_DAYS_AHEAD) {
                    refused.push((line, vec![too_far(line)]));
                    continue;
                }
                let is_ahead = is_ahead(&incoming);
                match wait(store, clock, chance, &origin, incoming).await? {
                    Err(faults) => refused.push((line, faults)),
                    Ok(became) if is_ahead => waiting += u64::from(became != Became::Unchanged),
                    Ok(Became::New) => apart.new += 1,
                    Ok(Became::Changed) => apart.changed += 1,
                    Ok(Became::Unchanged | Became::Waiting { .. }) => apart.unchanged += 1,
                }
            }
        }
        for (line, faults) in refused {
            if let Ok(at) = lines.binary_search(&line) {
                rejects.write(&header, &raws[at], &faults).map_err(ImportError::Rejects)?;
            }
        }
        progress(seen);
    }
    let read = reader.await.map_err(|error| Fault::new("reading a personnel file", error))?;
    read?;
    summary.waiting = waiting;
    summary.new += apart.new;
    summary.changed += apart.changed;
    summary.unchanged += apart.unchanged;
    summary.rejected = rejects.finish().map_err(ImportError::Rejects)?;
    if !request.dry_run {
        store.finish_import(&run, &request.actor, clock.now()).await?;
    }
    Ok(summary)
}

/// A record whose status holds from a later day, or for which something waits. `Err` tells why it is not taken in.
async fn wait(
    store: &Store,
    clock: &Clock,
    chance: &Chance,
    origin: &Origin,
    incoming: IncomingRecord,
) -> Result<Result<Became, Vec<RowFault>>, ImportError> {
    let says = Says::of_row(&incoming)?;
    for _ in 0..ATTEMPTS {
        let heads = store.record_heads(std::slice::from_ref(&incoming.key)).await?;
        let head = heads.get(&incoming.key);
        let record = match incoming.over(head)? {
            Ok(new) => new.record()?,
            Err(faults) => return Ok(Err(faults)),
        };
        let there = head.filter(|head| !head.is_removed);
        let expects = there.map_or(Expects::New, |head| Expects::Version(head.version));
        let one = Incoming { record, expects, effective_on: None, confirmed_by: None, says: says.clone() };
        match receive(store, clock, chance, origin, &[one]).await {
            Ok(received) => return Ok(Ok(received.first().map_or(Became::Unchanged, |one| one.became))),
            Err(Error::Refusal(Refusal::MovedOn(_) | Refusal::RecordExists | Refusal::NotFound(_))) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Err(vec![overtaken(incoming.line)]))
}

/// What a batch would do, for a dry run. Two rows of the file that are new and say the same count as two. Returns what is
/// wrong with rows that contradict what stays of their records.
async fn weigh(
    store: &Store,
    records: &[IncomingRecord],
    summary: &mut ImportSummary,
) -> Result<Vec<(u64, Vec<RowFault>)>, ImportError> {
    let keys: Vec<_> = records.iter().map(|record| record.key.clone()).collect();
    let known = store.record_heads(&keys).await?;
    let mut refused = Vec::new();
    for record in records {
        let there = known.get(&record.key);
        match (there, record.over(there)?) {
            (_, Err(faults)) => refused.push((record.line, faults)),
            (None, _) => summary.new += 1,
            (Some(there), Ok(new)) if !there.is_removed && there.digest == new.digest => summary.unchanged += 1,
            _ => summary.changed += 1,
        }
    }
    Ok(refused)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, ImportError> {
    let done = spawn_blocking(work).await.map_err(|error| Fault::new("reading a personnel file", error))?;
    done.map_err(ImportError::Read)
}

/// The SHA-256 of a file in hexadecimal, and its length.
fn digest_of(path: &Path) -> io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let (mut digest, mut buffer, mut length) = (Sha256::new(), vec![0; 1 << 18], 0);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((hex(&digest.finalize()), length));
        }
        digest.update(&buffer[..read]);
        length += read as u64;
    }
}
