//! The reading half of an import: a thread of its own turns the file into batches of records and of rejected rows, at
//! most one batch ahead of the store. Everything that costs the processor is done here: parsing, rules, digests.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use csv::ByteRecord;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::rejects::{JSON_COLUMN, unguarded};
use super::{Format, ImportError, MAX_ROW_BYTES, MOST_KEYS};
use crate::chance::Chance;
use crate::flow::receive::MOST_DAYS_AHEAD;
use crate::model::catalogue::Catalogue;
use crate::model::code_list::CodeBook;
use crate::model::id::Handle;
use crate::model::intake::{FAULTS_COLUMN, Intake, Layout};
use crate::model::record::Record;
use crate::model::row_fault::RowFault;
use crate::model::rule::Knowledge;
use crate::model::unit::UnitRegister;
use crate::store::IncomingRecord;

/// Rows of one batch.
const BATCH: usize = 4_000;
/// Bytes of one batch, whichever comes first.
const BATCH_BYTES: u64 = 32 << 20;

/// A row as it stood in the file.
pub(super) enum RawRow {
    Cells(ByteRecord),
    Json(Vec<u8>),
}

pub(super) struct BadRow {
    pub(super) raw: RawRow,
    pub(super) faults: Vec<RowFault>,
}

/// Rows that are stored together.
pub(super) struct Batch {
    /// The file's columns; empty for NDJSON.
    pub(super) header: Arc<[String]>,
    pub(super) good: Vec<IncomingRecord>,
    /// The good rows as they stood, in the same order: the store may still find one to contradict another.
    pub(super) raws: Vec<RawRow>,
    pub(super) bad: Vec<BadRow>,
    /// Bytes of the file read so far.
    pub(super) bytes: u64,
}

/// Sends batches until the file ends or the receiver goes away. `chance` names the records that turn out to be new.
pub(super) fn read_batches(
    path: &Path,
    format: Format,
    (units, codes): &(UnitRegister, CodeBook),
    chance: &Chance,
    sender: &mpsc::Sender<Batch>,
) -> Result<(), ImportError> {
    let file = File::open(path).map_err(ImportError::Read)?;
    let intake = Intake { catalogue: Catalogue::current(), knowledge: Knowledge { units, codes } };
    let mut collector = Collector::new(sender, chance);
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
    chance: &'a Chance,
    keys: Keys,
    header: Arc<[String]>,
    good: Vec<IncomingRecord>,
    raws: Vec<RawRow>,
    bad: Vec<BadRow>,
    bytes: u64,
    sent_at: u64,
}

impl<'a> Collector<'a> {
    fn new(sender: &'a mpsc::Sender<Batch>, chance: &'a Chance) -> Self {
        Self {
            sender,
            chance,
            keys: Keys::default(),
            header: Arc::default(),
            good: Vec::new(),
            raws: Vec::new(),
            bad: Vec::new(),
            bytes: 0,
            sent_at: 0,
        }
    }

    /// Takes a row; `false` when nobody wants more.
    fn take(&mut self, line: u64, raw: RawRow, read: Result<Record, Vec<RowFault>>) -> bool {
        let read = read.and_then(|record| {
            let incoming = IncomingRecord::of(&record, line, Handle::random(self.chance));
            if self.keys.contradict(&incoming) { Err(vec![twice(line)]) } else { Ok(incoming) }
        });
        match read {
            Ok(incoming) => {
                self.good.push(incoming);
                self.raws.push(raw);
            }
            Err(faults) => self.bad.push(BadRow { raw, faults }),
        }
        let full = self.good.len() + self.bad.len() >= BATCH || self.bytes - self.sent_at >= BATCH_BYTES;
        !full || self.send()
    }

    fn send(&mut self) -> bool {
        self.sent_at = self.bytes;
        let batch = Batch {
            header: Arc::clone(&self.header),
            good: std::mem::take(&mut self.good),
            raws: std::mem::take(&mut self.raws),
            bad: std::mem::take(&mut self.bad),
            bytes: self.bytes,
        };
        self.sender.blocking_send(batch).is_ok()
    }
}

/// The keys of the file so far and what was said of them, as fingerprints: 17 bytes of memory each.
#[derive(Default)]
struct Keys(HashMap<[u8; 12], [u8; 4]>);

impl Keys {
    /// Whether an earlier row had the same key and another content. Keys beyond [`MOST_KEYS`] are not kept.
    fn contradict(&mut self, incoming: &IncomingRecord) -> bool {
        let key = fingerprint(&[&incoming.key.unit, "\0", &incoming.key.number]);
        let said = fingerprint(&[&incoming.digest]);
        if let Some(earlier) = self.0.get(&key) {
            return *earlier != said;
        }
        if self.0.len() < MOST_KEYS {
            self.0.insert(key, said);
        }
        false
    }
}

fn fingerprint<const N: usize>(parts: &[&str]) -> [u8; N] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part);
    }
    let digest = digest.finalize();
    std::array::from_fn(|at| digest[at])
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
    let came_back = names.iter().any(|name| name.trim() == FAULTS_COLUMN);
    collector.header = if json_at.is_some() { Arc::default() } else { names.into() };
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
                let text = |cell| std::str::from_utf8(cell).map(|cell| if came_back { unguarded(cell) } else { cell });
                let cells: Result<Vec<_>, _> = row.iter().map(text).collect();
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
            let fault = row_fault(line, "length", ("không dài quá 1 MiB", "be no longer than 1 MiB"));
            if !collector.take(line, RawRow::Json(Vec::new()), Err(vec![fault])) {
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

/// A row that came twice with different contents.
pub(super) fn twice(line: u64) -> RowFault {
    let vi = "chỉ có một lần trong tệp với cùng đơn vị và số hiệu";
    row_fault(line, "once", (vi, "come once in the file for the same unit and number"))
}

/// A status of a day that no change waits for.
pub(super) fn too_far(line: u64) -> RowFault {
    let vi = format!("phải không muộn hơn {MOST_DAYS_AHEAD} ngày kể từ hôm nay");
    let en = format!("lie at most {MOST_DAYS_AHEAD} days ahead");
    let fault = row_fault(line, "ahead", (&vi, &en));
    RowFault { field: "employment_status_date".to_owned(), ..fault }
}

fn row_fault(line: u64, rule: &str, (vi, en): (&str, &str)) -> RowFault {
    let rule = rule.to_owned();
    RowFault { line, field: String::new(), shape: None, rule, demand_vi: vi.to_owned(), demand_en: en.to_owned() }
}

#[cfg(test)]
mod tests {
    use time::macros::date;

    use super::*;

    /// Lines of good rows; lines of bad ones with the first rule that each breaks.
    type Lines = (Vec<u64>, Vec<(u64, String)>);

    /// What a file of this form becomes.
    fn read(format: Format, text: &[u8]) -> Result<Lines, ImportError> {
        let (sender, mut batches) = mpsc::channel(64);
        let (units, codes) = (UnitRegister::on(date!(2025 - 12 - 01)), CodeBook::default());
        let intake = Intake { catalogue: Catalogue::current(), knowledge: Knowledge { units: &units, codes: &codes } };
        let chance = Chance::seeded([1; 32]);
        let mut collector = Collector::new(&sender, &chance);
        match format {
            Format::Csv => read_csv(text, intake, &mut collector)?,
            Format::Ndjson => read_ndjson(text, intake, &mut collector)?,
        }
        collector.send();
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        while let Ok(batch) = batches.try_recv() {
            assert_eq!(batch.good.len(), batch.raws.len());
            good.extend(batch.good.into_iter().map(|incoming| incoming.line));
            bad.extend(batch.bad.into_iter().map(|row| (row.faults[0].line, row.faults[0].rule.clone())));
            assert!(batch.bytes <= text.len() as u64);
        }
        Ok((good, bad))
    }

    const HEADER: &str = "agency_personnel_number,full_name,managing_unit_code,using_unit_code\n";

    #[test]
    fn lines_are_those_of_the_file_whatever_stands_between() {
        let text = format!("\u{feff}{HEADER}1,An,H26,H26\n,,,\n2,\"An\n Bình\",H26,H26\n3,B1,H26,H26\n4,An,H26,H26");
        let (good, bad) = read(Format::Csv, text.as_bytes()).unwrap();
        assert_eq!((good.first().copied(), good.last().copied()), (Some(2), Some(7)));
        assert!(bad.contains(&(6, "name 100".into())), "{bad:?}");
    }

    #[test]
    fn a_key_that_comes_twice_is_noticed_only_where_it_says_otherwise() {
        let text = format!("{HEADER}1,An,H26,H26\n1,An,H26,H26\n1,Ân,H26,H26\n1,An,H27,H26\n");
        assert_eq!(read(Format::Csv, text.as_bytes()).unwrap(), (vec![2, 3, 5], vec![(4, "once".into())]));
    }

    #[test]
    fn endless_rows_are_bounded() {
        let endless = format!("{HEADER}1,An,H26,H26\n2,\"{}", "x".repeat(3 << 20));
        assert!(matches!(read(Format::Csv, endless.as_bytes()), Err(ImportError::RowTooLong(3))));
        assert!(matches!(read(Format::Csv, "x".repeat(3 << 20).as_bytes()), Err(ImportError::RowTooLong(1))));
        let long = format!("{{\"full_name\":\"{}\"}}\n{{}}", "x".repeat(2 << 20));
        let (good, bad) = read(Format::Ndjson, long.as_bytes()).unwrap();
        assert_eq!((good.len(), bad[0].clone(), bad[1].0), (0, (1, "length".into()), 2));
    }

    #[test]
    fn batches_hold_a_bounded_number_of_rows() {
        let (sender, mut batches) = mpsc::channel(8);
        let chance = Chance::seeded([1; 32]);
        let mut collector = Collector::new(&sender, &chance);
        for line in 0..=BATCH as u64 {
            assert!(collector.take(line, RawRow::Json(Vec::new()), Err(vec![not_utf8(line)])));
        }
        assert_eq!(batches.try_recv().unwrap().bad.len(), BATCH);
        assert!(batches.try_recv().is_err());
        collector.bytes = BATCH_BYTES;
        assert!(collector.take(0, RawRow::Json(Vec::new()), Err(Vec::new())));
        assert_eq!(batches.try_recv().unwrap().bad.len(), 2);
    }
}
