//! A personnel file comes in: read in one thread, stored by another, in batches, so that memory does not grow with the
//! file and a killed import is completed by the next run of the same file.
//!
//! ```text
//! file → digest (names the run)
//! rows → Intake → good: batches of 5,000 → Store::import_batch (one transaction with the run's progress)
//!               ↘ bad: rejects file, CSV with a byte order mark: original columns and what is wrong
//! ```
//!
//! Bounds: a row has at most [`MAX_ROW_BYTES`], a header at most [`crate::model::intake::MAX_COLUMNS`] columns, a list at
//! most [`crate::model::intake::MAX_ENTRIES`] entries. A CSV row beyond its bound ends the import (most likely a quotation
//! mark is not closed); an NDJSON line beyond it is rejected alone.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use csv::ByteRecord;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::chance::Chance;
use crate::clock::{Clock, UnixSeconds};
use crate::error::{Error, Fault, Refusal};
use crate::model::catalogue::Catalogue;
use crate::model::code_list::CodeBook;
use crate::model::id::Handle;
use crate::model::intake::{FAULTS_COLUMN, HeaderFault, Intake, Layout};
use crate::model::row_fault::RowFault;
use crate::model::rule::Knowledge;
use crate::model::unit::UnitRegister;
use crate::model::value::hex;
use crate::store::{IncomingRecord, Store};

/// The longest row.
pub const MAX_ROW_BYTES: u64 = 1 << 20;
/// Rows of one transaction.
const BATCH: usize = 4_000;
/// Bytes of one batch, whichever comes first.
const BATCH_BYTES: u64 = 32 << 20;
/// The column of a rejects file in which a rejected line of NDJSON stands.
const JSON_COLUMN: &str = "__json";
/// A row that came twice with different contents.
const TWICE: (&str, &str) =
    ("chỉ có một lần trong tệp với cùng đơn vị và số hiệu", "come once in the file for the same unit and number");

/// The form of a personnel file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A header of field codes, then a row for each record.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

impl Format {
    /// By the ending of the file's name; CSV unless it says `.ndjson`, `.jsonl` or `.json`.
    pub fn of(path: &Path) -> Self {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("ndjson" | "jsonl" | "json") => Self::Ndjson,
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
    /// Rows in the rejects file.
    pub rejected: u64,
    /// The line up to which an earlier run of this file had come before it was killed.
    pub resumed_after: Option<u64>,
}

/// Why a file as a whole cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Its header is wrong.
    #[error(transparent)]
    Header(#[from] HeaderFault),
    /// A row is longer than [`MAX_ROW_BYTES`].
    #[error(
        "dòng {0} dài quá 1 MiB, có thể thiếu dấu ngoặc kép đóng / the row at line {0} is longer than 1 MiB: perhaps a \
         quotation mark is not closed"
    )]
    RowTooLong(u64),
    /// It cannot be read.
    #[error("không đọc được tệp / the file cannot be read: {0}")]
    Read(io::Error),
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
    let (path, format) = (request.file.clone(), request.format);
    let (run, bytes_total) = blocking(move || digest_of(&path)).await?;
    let earlier = if request.dry_run { None } else { store.import_progress(&run).await? };
    let knowledge = (store.unit_register(super::enroll::day_in_vietnam(now)).await?, store.code_book().await?);
    let (sender, mut batches) = mpsc::channel(1);
    let path = request.file.clone();
    let reader = spawn_blocking(move || read_batches(&path, format, &knowledge, &sender));

    let mut summary =
        ImportSummary { resumed_after: earlier.as_ref().map(|earlier| earlier.line), ..Default::default() };
    if let Some(earlier) = &earlier {
        (summary.new, summary.changed, summary.unchanged) = (earlier.new, earlier.changed, earlier.unchanged);
    }
    let counted = earlier.map_or(0, |earlier| earlier.line);
    let mut rejects = Rejects::new(request.rejects.clone());
    let mut seen = Seen { bytes_total, ..Seen::default() };
    while let Some(batch) = batches.recv().await {
        let Batch { header, good, bad, bytes } = batch;
        seen.rows += (good.len() + bad.len()) as u64;
        seen.bytes = bytes;
        for row in &bad {
            rejects.write(&header, &row.raw, &row.faults).map_err(ImportError::Rejects)?;
        }
        let (records, raws): (Vec<_>, Vec<_>) = good
            .into_iter()
            .map(|(line, record, raw)| (IncomingRecord::of(&record, line, Handle::random(chance)), (line, raw)))
            .unzip();
        if request.dry_run {
            weigh(store, &records, &mut summary).await?;
        } else if !records.is_empty() {
            let outcome = store.import_batch(&run, &request.actor, records, counted, clock.now()).await?;
            summary.new += outcome.progress.new;
            summary.changed += outcome.progress.changed;
            summary.unchanged += outcome.progress.unchanged;
            for line in outcome.twice {
                let Some((_, raw)) = raws.iter().find(|(of, _)| *of == line) else { continue };
                rejects.write(&header, raw, &[row_fault(line, "once", TWICE)]).map_err(ImportError::Rejects)?;
            }
        }
        progress(seen);
    }
    let read = reader.await.map_err(|error| Fault::new("reading a personnel file", error))?;
    read?;
    summary.rejected = rejects.finish().map_err(ImportError::Rejects)?;
    if !request.dry_run {
        store.finish_import(&run, &request.actor, clock.now()).await?;
    }
    Ok(summary)
}

/// What a batch would do, for a dry run. A key that comes twice in the file is not noticed here.
async fn weigh(store: &Store, records: &[IncomingRecord], summary: &mut ImportSummary) -> Result<(), ImportError> {
    let keys: Vec<_> = records.iter().map(|record| record.key.clone()).collect();
    let known = store.known_digests(&keys).await?;
    for record in records {
        match known.get(&record.key) {
            None => summary.new += 1,
            Some(digest) if *digest == record.digest => summary.unchanged += 1,
            Some(_) => summary.changed += 1,
        }
    }
    Ok(())
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

/// A row as it stood in the file.
enum RawRow {
    Cells(ByteRecord),
    Json(Vec<u8>),
}

struct BadRow {
    raw: RawRow,
    faults: Vec<RowFault>,
}

struct Batch {
    /// The file's columns; empty for NDJSON.
    header: Vec<String>,
    good: Vec<(u64, crate::model::record::Record, RawRow)>,
    bad: Vec<BadRow>,
    /// Bytes of the file read so far.
    bytes: u64,
}

/// Sends batches until the file ends or the receiver goes away.
fn read_batches(
    path: &Path,
    format: Format,
    (units, codes): &(UnitRegister, CodeBook),
    sender: &mpsc::Sender<Batch>,
) -> Result<(), ImportError> {
    let file = File::open(path).map_err(ImportError::Read)?;
    let intake = Intake { catalogue: Catalogue::current(), knowledge: Knowledge { units, codes } };
    let mut collector =
        Collector { sender, header: Vec::new(), good: Vec::new(), bad: Vec::new(), bytes: 0, sent_at: 0 };
    match format {
        Format::Csv => read_csv(file, intake, &mut collector)?,
        Format::Ndjson => read_ndjson(file, intake, &mut collector)?,
    }
    collector.send();
    Ok(())
}

/// Gathers rows into batches.
struct Collector<'a> {
    sender: &'a mpsc::Sender<Batch>,
    header: Vec<String>,
    good: Vec<(u64, crate::model::record::Record, RawRow)>,
    bad: Vec<BadRow>,
    bytes: u64,
    sent_at: u64,
}

impl Collector<'_> {
    /// Takes a row; `false` when nobody wants more.
    fn take(&mut self, line: u64, raw: RawRow, read: Result<crate::model::record::Record, Vec<RowFault>>) -> bool {
        match read {
            Ok(record) => self.good.push((line, record, raw)),
            Err(faults) => self.bad.push(BadRow { raw, faults }),
        }
        let full = self.good.len() + self.bad.len() >= BATCH || self.bytes - self.sent_at >= BATCH_BYTES;
        !full || self.send()
    }

    fn send(&mut self) -> bool {
        self.sent_at = self.bytes;
        let (good, bad) = (std::mem::take(&mut self.good), std::mem::take(&mut self.bad));
        self.sender.blocking_send(Batch { header: self.header.clone(), good, bad, bytes: self.bytes }).is_ok()
    }
}

/// A reader that refuses to give more than a bound between two rows.
struct Bounded<R> {
    inner: R,
    since_row: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since_row.get() > MAX_ROW_BYTES {
            return Err(io::Error::other("row too long"));
        }
        let read = self.inner.read(buffer)?;
        self.since_row.set(self.since_row.get() + read as u64);
        Ok(read)
    }
}

fn read_csv(file: impl Read, intake: Intake<'_>, collector: &mut Collector<'_>) -> Result<(), ImportError> {
    let since_row = Rc::new(Cell::new(0));
    let bounded = Bounded { inner: file, since_row: Rc::clone(&since_row) };
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).has_headers(false).buffer_capacity(1 << 16).from_reader(bounded);
    let failed = |error: csv::Error, line: u64| match error.into_kind() {
        csv::ErrorKind::Io(_) if since_row.get() > MAX_ROW_BYTES => ImportError::RowTooLong(line),
        csv::ErrorKind::Io(error) => ImportError::Read(error),
        other => ImportError::Read(io::Error::other(format!("{other:?}"))),
    };
    let mut header = ByteRecord::new();
    reader.read_byte_record(&mut header).map_err(|error| failed(error, 1))?;
    let names: Vec<_> = header.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect();
    let json_at = names.iter().position(|name| name.trim_start_matches('\u{feff}') == JSON_COLUMN);
    let layout = match json_at {
        Some(_) => None,
        None => Some(Layout::of(intake.catalogue, names.iter().map(String::as_str))?),
    };
    collector.header = if json_at.is_some() { Vec::new() } else { names };
    loop {
        since_row.set(0);
        let mut row = ByteRecord::new();
        let line = reader.position().line();
        if !reader.read_byte_record(&mut row).map_err(|error| failed(error, line))? {
            return Ok(());
        }
        let line = row.position().map_or(line, csv::Position::line);
        collector.bytes = reader.position().byte();
        if row.iter().all(<[u8]>::is_empty) {
            continue;
        }
        let wanted = match (&layout, json_at) {
            (Some(layout), _) => {
                let cells: Result<Vec<_>, _> = row.iter().map(std::str::from_utf8).collect();
                let read = match cells {
                    Ok(cells) => intake.csv_row(line, layout, cells.into_iter()),
                    Err(_) => Err(vec![not_utf8(line)]),
                };
                collector.take(line, RawRow::Cells(row), read)
            }
            (None, at) => {
                let json = row.get(at.unwrap_or_default()).unwrap_or_default().to_vec();
                take_json(line, json, intake, collector)
            }
        };
        if !wanted {
            return Ok(());
        }
    }
}

fn read_ndjson(file: impl Read, intake: Intake<'_>, collector: &mut Collector<'_>) -> Result<(), ImportError> {
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut line = 0;
    loop {
        line += 1;
        let mut row = Vec::new();
        let read = (&mut reader).take(MAX_ROW_BYTES + 1).read_until(b'\n', &mut row).map_err(ImportError::Read)?;
        if read == 0 {
            return Ok(());
        }
        collector.bytes += read as u64;
        if row.len() as u64 > MAX_ROW_BYTES && row.last() != Some(&b'\n') {
            collector.bytes += reader.skip_until(b'\n').map_err(ImportError::Read)? as u64;
            let demand = ("không dài quá 1 MiB", "be no longer than 1 MiB");
            if !collector.take(line, RawRow::Json(Vec::new()), Err(vec![row_fault(line, "length", demand)])) {
                return Ok(());
            }
            continue;
        }
        while row.last().is_some_and(u8::is_ascii_whitespace) {
            row.pop();
        }
        let start = if line == 1 && row.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        if row.len() > start && !take_json(line, row.split_off(start), intake, collector) {
            return Ok(());
        }
    }
}

fn take_json(line: u64, json: Vec<u8>, intake: Intake<'_>, collector: &mut Collector<'_>) -> bool {
    let read = match std::str::from_utf8(&json) {
        Ok(text) => intake.json_row(line, text),
        Err(_) => Err(vec![not_utf8(line)]),
    };
    collector.take(line, RawRow::Json(json), read)
}

fn not_utf8(line: u64) -> RowFault {
    row_fault(line, "utf8", ("mã hóa bằng UTF-8", "be encoded in UTF-8"))
}

fn row_fault(line: u64, rule: &str, (vi, en): (&str, &str)) -> RowFault {
    let rule = rule.to_owned();
    RowFault { line, field: String::new(), shape: None, rule, demand_vi: vi.to_owned(), demand_en: en.to_owned() }
}

/// The rejects file: CSV with a byte order mark, so that a spreadsheet shows Vietnamese; the original columns, then what
/// is wrong. It can be corrected and imported as it is. Lines of NDJSON stand whole in one column.
struct Rejects {
    path: PathBuf,
    writer: Option<csv::Writer<BufWriter<File>>>,
    rows: u64,
}

impl Rejects {
    fn new(path: PathBuf) -> Self {
        Self { path, writer: None, rows: 0 }
    }

    fn write(&mut self, header: &[String], raw: &RawRow, faults: &[RowFault]) -> io::Result<()> {
        self.rows += 1;
        let kept: Vec<usize> = (0..header.len()).filter(|at| header[*at].trim() != FAULTS_COLUMN).collect();
        if self.writer.is_none() {
            let mut file = BufWriter::new(private_file(&self.path)?);
            file.write_all(b"\xef\xbb\xbf")?;
            let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(file);
            match raw {
                RawRow::Json(_) => writer.write_record([JSON_COLUMN, FAULTS_COLUMN])?,
                RawRow::Cells(_) => {
                    let names = kept.iter().map(|at| header[*at].trim_start_matches('\u{feff}'));
                    writer.write_record(names.chain([FAULTS_COLUMN]))?;
                }
            }
            self.writer = Some(writer);
        }
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let told = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        match raw {
            RawRow::Json(json) => writer.write_record([&*String::from_utf8_lossy(json), &told])?,
            RawRow::Cells(cells) => {
                // Cells beyond the header come after the faults, so that the columns stay in their places.
                let text = |at: usize| String::from_utf8_lossy(cells.get(at).unwrap_or_default()).into_owned();
                let (inside, beyond) = (kept.iter().copied().map(text), (header.len()..cells.len()).map(text));
                writer.write_record(inside.chain([told]).chain(beyond))?;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<u64> {
        if let Some(writer) = &mut self.writer {
            writer.flush()?;
        }
        Ok(self.rows)
    }
}

/// A new file that only its owner can read: rejected rows are personal data.
fn private_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Loads units from CSV with the columns `code` and `name`; parents may come after their children. Faulty rows are told,
/// the others go in.
pub async fn import_units(
    store: &Store,
    file: &Path,
    actor: &str,
    now: UnixSeconds,
) -> Result<ListSummary, ImportError> {
    let mut register = store.unit_register(super::enroll::day_in_vietnam(now)).await?;
    let mut rows = list_rows::<2>(file, ["code", "name"])?;
    rows.sort_by_key(|(_, [code, _])| (code.matches('.').count(), code.clone()));
    let (mut units, mut faults) = (std::collections::BTreeMap::new(), Vec::new());
    for (line, [code, name]) in rows {
        match register.enter(&code, &name) {
            Ok(code) if code.level() == 1 => {}
            Ok(code) => {
                units.insert(code.as_str().to_owned(), crate::model::text::normalised(&name).into_owned());
            }
            Err(fault) => faults.push(format!("dòng {line} / line {line}: {fault}")),
        }
    }
    let changed = store.save_units(units.into_iter().collect(), actor, now).await?;
    Ok(ListSummary { changed, faults })
}

/// Loads labels from CSV with the columns `list`, `code` and `label_vi`. Faulty rows are told, the others go in.
pub async fn import_codes(
    store: &Store,
    file: &Path,
    actor: &str,
    now: UnixSeconds,
) -> Result<ListSummary, ImportError> {
    let (mut book, mut labels, mut faults) = (CodeBook::default(), std::collections::BTreeMap::new(), Vec::new());
    for (line, cells) in list_rows::<3>(file, ["list", "code", "label_vi"])? {
        let [list, code, label] = cells.map(|cell| crate::model::text::normalised(&cell).into_owned());
        if book.load(&list, &code, &label) {
            labels.insert((list, code), label);
        } else {
            let what = "danh mục, mã hoặc nhãn để trống hay quá dài / list, code or label is empty or too long";
            faults.push(format!("dòng {line} / line {line}: {what}"));
        }
    }
    let labels = labels.into_iter().map(|((list, code), label)| [list, code, label]).collect();
    let changed = store.save_labels(labels, actor, now).await?;
    Ok(ListSummary { changed, faults })
}

/// What loading a list did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListSummary {
    /// Rows that were entered or changed.
    pub changed: u64,
    /// What was wrong with the others, one sentence each.
    pub faults: Vec<String>,
}

/// The rows of a small list with these columns: line and cells. Bounded by [`MAX_ROW_BYTES`] a row.
fn list_rows<const N: usize>(file: &Path, columns: [&str; N]) -> Result<Vec<(u64, [String; N])>, ImportError> {
    let file = File::open(file).map_err(ImportError::Read)?;
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
    let wrong = |error: csv::Error| ImportError::Read(io::Error::other(error));
    let header = reader.headers().map_err(wrong)?.clone();
    let mut places = [0; N];
    for (place, column) in places.iter_mut().zip(columns) {
        let named = |cell: &str| cell.trim().trim_start_matches('\u{feff}') == column;
        let at = header.iter().position(named).ok_or_else(|| HeaderFault::Missing(vec![column.to_owned()]))?;
        *place = at;
    }
    reader
        .records()
        .map(|row| {
            let row = row.map_err(wrong)?;
            let line = row.position().map_or(0, csv::Position::line);
            Ok((line, places.map(|at| row.get(at).unwrap_or_default().to_owned())))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::flow::enroll::{Asker, confirm, match_pending};
    use crate::model::id::PersonalNumber;
    use crate::model::partial_date::PartialDate;
    use crate::model::person::{NameParts, PopulationPerson, PopulationQuery, VerifiedRecord};
    use crate::model::record::RecordKey;
    use crate::remote::population::{PopulationRegistry, Unreachable};
    use crate::store::Confirmed;

    const HEADER: &str = "agency_personnel_number,full_name,managing_unit_code,using_unit_code,personal_id_number,\
        date_of_birth,gender,record_type,employment_status,employment_status_date,portrait_photo\n";

    fn row(number: u32, name: &str) -> String {
        format!("{number},{name},H26,H26,0010870{number:05},19870502,1,01,active,20200101,/9j/4AD/2Q==\n")
    }

    /// A folder and a store of their own.
    struct Desk {
        folder: PathBuf,
        store: Store,
        clock: Clock,
        chance: Chance,
    }

    impl Desk {
        async fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("records-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
            let store = Store::open(&format!("sqlite://{}", folder.join("store.db").display())).await.unwrap();
            Self { folder, store, clock: Clock::fixed(1_764_000_000), chance: Chance::seeded([3; 32]) }
        }

        fn rejects(&self) -> PathBuf {
            self.folder.join("rejects.csv")
        }

        async fn import(&self, name: &str, text: impl AsRef<[u8]>) -> Result<ImportSummary, ImportError> {
            self.run(name, text, false).await
        }

        async fn run(&self, name: &str, text: impl AsRef<[u8]>, dry_run: bool) -> Result<ImportSummary, ImportError> {
            let file = self.folder.join(name);
            fs::write(&file, text).unwrap();
            let (format, rejects) = (Format::of(&file), self.rejects());
            let request = ImportRequest { file, format, dry_run, rejects, actor: "test".into() };
            import(&self.store, &self.clock, &self.chance, request, |_| {}).await
        }

        async fn versions(&self, number: &str) -> usize {
            let key = RecordKey { unit: "H26".into(), number: number.into() };
            let stored = self.store.record(&key).await.unwrap().unwrap();
            self.store.record_versions(&stored.handle).await.unwrap().len()
        }
    }

    impl Drop for Desk {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }

    fn counts(new: u64, changed: u64, unchanged: u64, rejected: u64) -> ImportSummary {
        ImportSummary { new, changed, unchanged, rejected, resumed_after: None }
    }

    #[tokio::test]
    async fn the_same_file_twice_changes_nothing_and_a_changed_row_is_a_new_version() {
        let desk = Desk::new("twice").await;
        let file = format!("\u{feff}{HEADER}{}{}", row(1, "Nguyễn Văn An"), row(2, "Trần Thị Bình"));
        assert_eq!(desk.run("a.csv", &file, true).await.unwrap(), counts(2, 0, 0, 0));
        assert_eq!(desk.import("a.csv", &file).await.unwrap(), counts(2, 0, 0, 0));
        assert_eq!(desk.import("a.csv", &file).await.unwrap(), counts(0, 0, 2, 0));
        let changed = file.replace("Trần Thị Bình", "Trần Thị Thanh Bình");
        assert_eq!(desk.import("a.csv", &changed).await.unwrap(), counts(0, 1, 1, 0));
        assert_eq!((desk.versions("1").await, desk.versions("2").await), (1, 2));
        assert!(!desk.rejects().exists());
    }

    #[tokio::test]
    async fn bad_rows_go_to_a_file_that_comes_in_again_when_it_is_corrected() {
        let desk = Desk::new("rejects").await;
        let mut file = format!("{HEADER}{}", row(1, "Nguyễn Văn An")).into_bytes();
        file.extend_from_slice(row(2, "Trần 2").as_bytes());
        file.extend_from_slice(b"3,\xa7\xb5o,H26,H26,,,,,,,\n");
        file.extend_from_slice(row(1, "Nguyễn Văn Khác").as_bytes());
        assert_eq!(desk.import("a.csv", &file).await.unwrap(), counts(1, 0, 0, 3));
        assert_eq!(desk.import("a.csv", &file).await.unwrap(), counts(0, 0, 1, 3));
        let rejects = fs::read_to_string(desk.rejects()).unwrap();
        assert!(rejects.starts_with('\u{feff}') && rejects.contains("Dòng 3, full_name (có 1 chữ số, 4 chữ cái"));
        assert!(rejects.contains("UTF-8") && rejects.contains("chỉ có một lần trong tệp"));
        let corrected =
            rejects.replace("Trần 2", "Trần Hai").replace("\u{fffd}\u{fffd}o", "Đào").replace("\n1,", "\n4,");
        assert_eq!(desk.import("b.csv", corrected).await.unwrap(), counts(3, 0, 0, 0));
    }

    #[tokio::test]
    async fn ndjson_rejects_come_in_again_too() {
        let desk = Desk::new("ndjson").await;
        let good =
            r#"{"agency_personnel_number":"1","full_name":"An","managing_unit_code":"H26","using_unit_code":"H26"}"#;
        let file = format!("{good}\n\n{}\n{{\n", good.replace("\"1\"", "\"2\"").replace("An", "A1"));
        assert_eq!(desk.import("a.ndjson", file).await.unwrap(), counts(1, 0, 0, 2));
        let rejects = fs::read_to_string(desk.rejects()).unwrap();
        let corrected = rejects.replace("A1", "Bình");
        assert_eq!(desk.import("b.csv", corrected).await.unwrap(), counts(1, 0, 0, 1));
    }

    #[tokio::test]
    async fn a_killed_import_is_completed_with_nothing_lost_or_doubled() {
        let desk = Desk::new("killed").await;
        let rows: String = (1..=20).map(|number| row(number, "Nguyễn Văn An")).collect();
        let file = format!("{HEADER}{rows}{}", row(21, "Lỗi 1"));
        // What a run leaves that was killed after its first batch of seven rows.
        let path = desk.folder.join("a.csv");
        fs::write(&path, &file).unwrap();
        let (run, _) = digest_of(&path).unwrap();
        let (sender, mut batches) = mpsc::channel(1);
        let knowledge = (UnitRegister::on(time::macros::date!(2025 - 12 - 01)), CodeBook::default());
        let reader = spawn_blocking(move || read_batches(&path, Format::Csv, &knowledge, &sender));
        let batch = batches.recv().await.unwrap();
        reader.await.unwrap().unwrap();
        let incoming = |(line, record, _): (u64, crate::model::record::Record, RawRow)| {
            IncomingRecord::of(&record, line, Handle::random(&desk.chance))
        };
        let first: Vec<_> = batch.good.into_iter().take(7).map(incoming).collect();
        desk.store.import_batch(&run, "test", first, 0, 1).await.unwrap();

        let summary = desk.import("a.csv", &file).await.unwrap();
        assert_eq!(summary, ImportSummary { resumed_after: Some(8), ..counts(20, 0, 0, 1) });
        for number in 1..=20 {
            assert_eq!(desk.versions(&number.to_string()).await, 1);
        }
        assert_eq!(desk.import("a.csv", &file).await.unwrap(), counts(0, 0, 20, 1));
    }

    #[tokio::test]
    async fn rows_and_headers_are_bounded() {
        let desk = Desk::new("bounds").await;
        let endless = format!("{HEADER}{}\"{}", row(1, "An"), "x".repeat(3 << 20));
        assert!(matches!(desk.import("a.csv", endless).await, Err(ImportError::RowTooLong(3))));
        let long = format!("{{\"full_name\":\"{}\"}}\n", "x".repeat(2 << 20));
        assert_eq!(desk.import("a.ndjson", long).await.unwrap(), counts(0, 0, 0, 1));
        assert!(matches!(desk.import("b.csv", "a,b\n1,2\n").await, Err(ImportError::Header(HeaderFault::NoHeader))));
        let wide = (0..=crate::model::intake::MAX_COLUMNS).map(|_| "__faults,").collect::<String>();
        assert!(matches!(desk.import("c.csv", wide).await, Err(ImportError::Header(HeaderFault::TooWide))));
    }

    /// Knows 00001, knows 00002 otherwise, does not know 00003 and does not answer about the rest.
    struct Registry;

    impl PopulationRegistry for Registry {
        async fn look_up(&self, query: &PopulationQuery) -> Result<Option<PopulationPerson>, Unreachable> {
            let given = match query.personal_number.expose() {
                "001087000001" => "NGUYỄN VĂN AN",
                "001087000002" => "KHÁC",
                "001087000003" => return Ok(None),
                _ => return Err(Unreachable::Status(503)),
            };
            Ok(Some(PopulationPerson {
                personal_number: query.personal_number.clone(),
                name: NameParts { given: given.into(), ..NameParts::default() },
                date_of_birth: PartialDate::parse("19870502").unwrap(),
                sex: Some("male".into()),
            }))
        }
    }

    /// The person's records that a card can be made of, with their handles.
    async fn verified(store: &Store, person: &PersonalNumber) -> Vec<(Handle, VerifiedRecord)> {
        let stored = store.records_of(person).await.unwrap().into_iter();
        let verified =
            stored.map(|stored| Some((stored.handle, VerifiedRecord::new(stored.record, &stored.standing).ok()?)));
        verified.flatten().collect()
    }

    #[tokio::test]
    async fn only_a_matched_and_confirmed_record_makes_a_card() {
        let desk = Desk::new("match").await;
        let rows: String = (1..=4).map(|number| row(number, "Nguyễn Văn An")).collect();
        desk.import("a.csv", format!("{HEADER}{rows}")).await.unwrap();
        let asker = Asker { officer: "cb01".into(), purpose: "cấp thẻ".into() };
        let (store, clock) = (&desk.store, &desk.clock);
        let first = match_pending(store, clock, &Registry, &asker, |_| {}).await.unwrap();
        assert_eq!((first.matched, first.not_found, first.mismatched, first.unreachable), (1, 1, 1, 1));
        let again = match_pending(store, clock, &Registry, &asker, |_| {}).await.unwrap();
        assert_eq!((again.matched, again.unreachable), (0, 1));

        let person = |number: u32| PersonalNumber::parse(&format!("0010870{number:05}")).unwrap();
        assert!(verified(store, &person(1)).await.is_empty());
        assert_eq!(confirm(store, clock, "H26", Confirmed::All, "cb02").await.unwrap(), 4);
        assert_eq!(confirm(store, clock, "H26", Confirmed::All, "cb02").await.unwrap(), 0);
        let (handle, record) = verified(store, &person(1)).await.remove(0);
        let units = store.units_named(time::macros::date!(2025 - 12 - 01), &["H26"]).await.unwrap();
        let facts = record.card_facts(&units, &store.code_book().await.unwrap());
        assert_eq!(facts.card_number(), "H26.001087000001.CC");
        assert!(facts.portrait.is_some());
        for other in 2..=4 {
            assert!(verified(store, &person(other)).await.is_empty());
        }
        // A new version starts without match and confirmation.
        desk.import("b.csv", format!("{HEADER}{}", row(1, "Nguyễn Văn Ân"))).await.unwrap();
        assert!(verified(store, &person(1)).await.is_empty());
        assert!(
            !store.set_population(&handle, 1, crate::model::person::MatchOutcome::Matched, "x", "y", 1).await.unwrap()
        );
        assert!(
            store
                .history(handle.as_str())
                .await
                .unwrap()
                .iter()
                .any(|line| line.1 == "cb01" && line.3.contains("cấp thẻ"))
        );
    }
}
