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
use super::{FileFault, Format, HEADER_ROWS, ImportError, MAX_ROW_BYTES, MOST_KEYS, text, workbook};
use crate::chance::Chance;
use crate::flow::receive::MOST_DAYS_AHEAD;
use crate::model::amendment::Amendment;
use crate::model::catalogue::Catalogue;
use crate::model::cell::{Cell as SheetCell, Unusable};
use crate::model::code_list::CodeBook;
use crate::model::id::Handle;
use crate::model::intake::{FAULTS_COLUMN, Intake, Layout};
use crate::model::record::Record;
use crate::model::row_fault::RowFault;
use crate::model::rule::Knowledge;
use crate::model::unit::{UnitRegister, is_within};
use crate::store::IncomingRecord;

/// Rows of one batch.
const BATCH: usize = 4_000;
/// Bytes of one batch, whichever comes first.
const BATCH_BYTES: u64 = 32 << 20;

/// A row as it stood in the file.
pub(in crate::flow) enum RawRow {
    Cells(ByteRecord),
    Json(Vec<u8>),
}

/// What a cell of a spreadsheet is when it is not text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::flow) enum Kind {
    Number,
    Date,
    Formula,
    Error,
}

/// A row of a table.
#[derive(Default)]
pub(in crate::flow) struct TableRow {
    /// Counted from 1 with everything above it.
    pub(in crate::flow) line: u64,
    /// What the cells say.
    pub(in crate::flow) cells: ByteRecord,
    /// Columns whose cells are not text, in their order.
    pub(in crate::flow) kinds: Vec<(usize, Kind)>,
    /// Whether one of its cells is merged with others.
    pub(in crate::flow) is_merged: bool,
    /// Whether cells were left out because it is longer than [`MAX_ROW_BYTES`].
    pub(in crate::flow) is_too_long: bool,
}

/// What takes the rows of a table as they are read.
pub(in crate::flow) trait Table {
    /// The row of field codes; comes first, and once.
    fn header(&mut self, line: u64, names: &[String]) -> Result<(), ImportError>;

    /// A row, and how many bytes of the file were read with it; `false` when nobody wants more.
    fn row(&mut self, row: TableRow, bytes: u64) -> bool;
}

pub(in crate::flow) struct BadRow {
    pub(in crate::flow) line: u64,
    pub(in crate::flow) raw: RawRow,
    pub(in crate::flow) faults: Vec<RowFault>,
}

/// Rows that are stored together.
pub(in crate::flow) struct Batch {
    /// The file's columns; empty for NDJSON.
    pub(in crate::flow) header: Arc<[String]>,
    pub(in crate::flow) good: Vec<IncomingRecord>,
    /// The good rows as they stood, in the same order: the store may still find one to contradict another.
    pub(in crate::flow) raws: Vec<RawRow>,
    pub(in crate::flow) bad: Vec<BadRow>,
    /// Bytes of the file read so far.
    pub(in crate::flow) bytes: u64,
}

/// A file, or its bytes.
pub(in crate::flow) enum Input<'a> {
    Path(&'a Path),
    Bytes(Vec<u8>),
}

/// What is wanted of a reading.
#[derive(Clone, Default)]
pub(in crate::flow) struct Wanted {
    /// Only rows of this unit and below; others are faulty.
    pub(in crate::flow) unit: Option<String>,
    /// A key may come once only, even with the same content.
    pub(in crate::flow) keys_once: bool,
    /// The most rows.
    pub(in crate::flow) most_rows: Option<u64>,
    /// Rows of a batch; [`BATCH`] when absent.
    pub(in crate::flow) batch: Option<usize>,
}

/// Sends batches until the file ends or the receiver goes away. `chance` names the records that turn out to be new.
pub(in crate::flow) fn read_batches(
    input: Input<'_>,
    format: Format,
    (units, codes): &(UnitRegister, CodeBook),
    chance: &Chance,
    wanted: Wanted,
    sender: &mpsc::Sender<Batch>,
) -> Result<(), ImportError> {
    let intake = Intake { catalogue: Catalogue::current(), knowledge: Knowledge { units, codes } };
    let mut collector = Collector::new(intake, wanted, sender, chance);
    match (input, format) {
        (Input::Path(path), Format::Ndjson) => {
            read_ndjson(File::open(path).map_err(ImportError::Read)?, &mut collector)?;
        }
        (Input::Bytes(bytes), Format::Ndjson) => read_ndjson(&*bytes, &mut collector)?,
        (input, format) => read_table(input, format, &mut collector)?,
    }
    if collector.has_too_many_rows {
        return Err(FileFault::TooManyRows(collector.wanted.most_rows.unwrap_or_default()).into());
    }
    collector.send();
    Ok(())
}

/// Hands the rows of a CSV file or a workbook to a table.
pub(in crate::flow) fn read_table(input: Input<'_>, format: Format, table: &mut impl Table) -> Result<(), ImportError> {
    match (input, format) {
        (Input::Path(path), Format::Xlsx) => workbook::read(workbook::bytes_of(path)?, table),
        (Input::Bytes(bytes), Format::Xlsx) => workbook::read(bytes, table),
        (Input::Path(path), _) => read_csv(File::open(path).map_err(ImportError::Read)?, table),
        (Input::Bytes(bytes), _) => read_csv(&*bytes, table),
    }
}

/// Gathers rows into batches.
struct Collector<'a> {
    intake: Intake<'a>,
    wanted: Wanted,
    sender: &'a mpsc::Sender<Batch>,
    chance: &'a Chance,
    keys: Keys,
    header: Arc<[String]>,
    columns: Columns,
    /// The column of the managing unit.
    unit_at: Option<usize>,
    /// The file has been here before, as rejects.
    came_back: bool,
    good: Vec<IncomingRecord>,
    raws: Vec<RawRow>,
    bad: Vec<BadRow>,
    rows: u64,
    has_too_many_rows: bool,
    bytes: u64,
    /// Bytes of the rows that wait to be sent.
    weight: u64,
}

/// How the rows of a table are read.
enum Columns {
    Cells(Layout),
    /// A rejected line of NDJSON stands whole in this column.
    Json(usize),
}

impl Table for Collector<'_> {
    fn header(&mut self, _: u64, names: &[String]) -> Result<(), ImportError> {
        self.came_back = names.iter().any(|name| name.trim() == FAULTS_COLUMN);
        if let Some(at) = names.iter().position(|name| name == JSON_COLUMN) {
            self.columns = Columns::Json(at);
            return Ok(());
        }
        self.columns = Columns::Cells(Layout::of(self.intake.catalogue, names.iter().map(String::as_str))?);
        self.unit_at = names.iter().position(|name| name.trim() == "managing_unit_code");
        self.header = names.into();
        Ok(())
    }

    fn row(&mut self, row: TableRow, bytes: u64) -> bool {
        self.bytes = bytes;
        let line = row.line;
        // In the form the unit stands in rows that nobody has filled in yet.
        let mut filled = row.cells.iter().enumerate().filter(|(_, cell)| !cell.is_empty()).map(|(at, _)| at);
        if row.kinds.is_empty() && filled.next() == self.unit_at && filled.next().is_none() {
            return true;
        }
        match &self.columns {
            Columns::Json(at) => self.take_json(line, row.cells.get(*at).unwrap_or_default().to_vec()),
            Columns::Cells(layout) => {
                let read = self.read_row(layout, &row);
                self.take(line, RawRow::Cells(row.cells), read)
            }
        }
    }
}

impl<'a> Collector<'a> {
    fn new(intake: Intake<'a>, wanted: Wanted, sender: &'a mpsc::Sender<Batch>, chance: &'a Chance) -> Self {
        Self {
            intake,
            wanted,
            sender,
            chance,
            keys: Keys::default(),
            header: Arc::default(),
            columns: Columns::Json(0),
            unit_at: None,
            came_back: false,
            good: Vec::new(),
            raws: Vec::new(),
            bad: Vec::new(),
            rows: 0,
            has_too_many_rows: false,
            bytes: 0,
            weight: 0,
        }
    }

    fn read_row(&self, layout: &Layout, row: &TableRow) -> Result<(Record, Amendment), Vec<RowFault>> {
        let line = row.line;
        if row.is_too_long {
            return Err(vec![too_long(line)]);
        }
        if row.is_merged {
            let vi = "không có ô bị gộp (merge): bỏ gộp ô rồi điền từng ô";
            return Err(vec![row_fault(line, "merged", (vi, "have no merged cells: unmerge them and fill each cell"))]);
        }
        let mut kinds = row.kinds.iter().peekable();
        let mut cells = Vec::with_capacity(row.cells.len());
        for (column, cell) in row.cells.iter().enumerate() {
            let Ok(text) = std::str::from_utf8(cell) else { return Err(vec![not_utf8(line)]) };
            let kind = kinds.next_if(|(at, _)| *at == column).map(|(_, kind)| *kind);
            cells.push((if self.came_back && kind.is_none() { unguarded(text) } else { text }, kind));
        }
        let cells = cells.into_iter().map(|(text, kind)| match kind {
            None => SheetCell::Text(text),
            Some(Kind::Number) => SheetCell::Number(text),
            Some(Kind::Date) => SheetCell::Date(text),
            Some(Kind::Formula) => SheetCell::Unusable(Unusable::Formula),
            Some(Kind::Error) => SheetCell::Unusable(Unusable::Error),
        });
        self.intake.row(line, layout, cells)
    }

    fn take_json(&mut self, line: u64, json: Vec<u8>) -> bool {
        let read = match std::str::from_utf8(&json) {
            Ok(text) => self.intake.json_row(line, text),
            Err(_) => Err(vec![not_utf8(line)]),
        };
        self.take(line, RawRow::Json(json), read)
    }

    /// Takes a row; `false` when nobody wants more.
    fn take(&mut self, line: u64, raw: RawRow, read: Result<(Record, Amendment), Vec<RowFault>>) -> bool {
        self.rows += 1;
        // What a row weighs in memory, and not in a file that may be packed.
        self.weight += match &raw {
            RawRow::Cells(cells) => cells.as_slice().len() as u64,
            RawRow::Json(json) => json.len() as u64,
        };
        if self.wanted.most_rows.is_some_and(|most| self.rows > most) {
            self.has_too_many_rows = true;
            return false;
        }
        let read = read.and_then(|(record, amendment)| {
            let mut incoming = IncomingRecord::of(&record, line, Handle::random(self.chance));
            incoming.amendment = Some(amendment).filter(|amendment| !amendment.is_whole(&record));
            if self.wanted.unit.as_deref().is_some_and(|unit| !is_within(&incoming.key.unit, unit)) {
                return Err(vec![foreign(line)]);
            }
            if self.keys.contradict(&incoming, self.wanted.keys_once) {
                return Err(vec![twice(line)]);
            }
            Ok(incoming)
        });
        match read {
            Ok(incoming) => {
                self.good.push(incoming);
                self.raws.push(raw);
            }
            Err(faults) => self.bad.push(BadRow { line, raw, faults }),
        }
        let rows = self.good.len() + self.bad.len();
        let full = rows >= self.wanted.batch.unwrap_or(BATCH) || self.weight >= BATCH_BYTES;
        !full || self.send()
    }

    fn send(&mut self) -> bool {
        self.weight = 0;
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
    /// Whether an earlier row had the same key and another content, or, where a key may come `once`, the same key. Keys
    /// beyond [`MOST_KEYS`] are not kept.
    fn contradict(&mut self, incoming: &IncomingRecord, once: bool) -> bool {
        let key = fingerprint(&[&incoming.key.unit, "\0", &incoming.key.number]);
        let said = fingerprint(&[&incoming.digest]);
        if let Some(earlier) = self.0.get(&key) {
            return once || *earlier != said;
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

fn read_csv(file: impl Read, table: &mut impl Table) -> Result<(), ImportError> {
    let since_row = Rc::new(Cell::new(0));
    let undecodable = |error: io::Error| match error.kind() {
        io::ErrorKind::InvalidData => ImportError::File(FileFault::NotText),
        _ => ImportError::Read(error),
    };
    let opened = text::open(file).map_err(undecodable)?;
    if let Some(encoding) = opened.refused {
        return Err(FileFault::Encoding(encoding).into());
    }
    let bounded = Bounded { inner: opened.text, since_row: Rc::clone(&since_row) };
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .has_headers(false)
        .delimiter(opened.separator)
        .buffer_capacity(1 << 16)
        .from_reader(bounded);
    let failed = |error: csv::Error, line: u64| match error.into_kind() {
        csv::ErrorKind::Io(_) if since_row.get() > MAX_ROW_BYTES => ImportError::RowTooLong(line),
        csv::ErrorKind::Io(error) => undecodable(error),
        other => ImportError::Read(io::Error::other(format!("{other:?}"))),
    };
    let (mut has_header, mut rows, mut first, mut last) = (false, 0, Vec::new(), 0);
    loop {
        since_row.set(0);
        let mut row = ByteRecord::new();
        let line = reader.position().line() + opened.lines_off;
        if !reader.read_byte_record(&mut row).map_err(|error| failed(error, line))? {
            // Nothing in it is a header: what is wrong with the first row tells most.
            return if has_header { Ok(()) } else { table.header(1, &first) };
        }
        // Rows may end with a carriage return alone, which the reader does not count: each has a line of its own.
        let line = row.position().map_or(line, |position| position.line() + opened.lines_off).max(last + 1);
        last = line;
        if has_header {
            if row.iter().all(<[u8]>::is_empty) {
                continue;
            }
            let row = TableRow { line, cells: row, ..TableRow::default() };
            if !table.row(row, reader.position().byte()) {
                return Ok(());
            }
            continue;
        }
        let names: Vec<_> = row.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect();
        let is_header = names.iter().any(|name| name == JSON_COLUMN)
            || Layout::is_header(Catalogue::current(), names.iter().map(String::as_str));
        if rows == 0 {
            first.clone_from(&names);
        }
        rows += 1;
        if is_header {
            table.header(line, &names)?;
            has_header = true;
        } else if rows == HEADER_ROWS {
            return table.header(1, &first);
        }
    }
}

fn read_ndjson(file: impl Read, collector: &mut Collector<'_>) -> Result<(), ImportError> {
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
            if !collector.take(line, RawRow::Json(Vec::new()), Err(vec![too_long(line)])) {
                return Ok(());
            }
            continue;
        }
        while row.last().is_some_and(u8::is_ascii_whitespace) {
            row.pop();
        }
        let start = if line == 1 && row.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        if row.len() > start && !collector.take_json(line, row.split_off(start)) {
            return Ok(());
        }
    }
}

fn too_long(line: u64) -> RowFault {
    row_fault(line, "length", ("không dài quá 1 MiB", "be no longer than 1 MiB"))
}

/// A row of a unit that the file is not for.
fn foreign(line: u64) -> RowFault {
    let vi = "thuộc đơn vị của tệp tải lên hoặc đơn vị trực thuộc";
    let fault = row_fault(line, "foreign_unit", (vi, "be of the unit that the file is for, or below it"));
    RowFault { field: "managing_unit_code".to_owned(), ..fault }
}

fn not_utf8(line: u64) -> RowFault {
    row_fault(line, "utf8", ("mã hóa bằng UTF-8", "be encoded in UTF-8"))
}

/// A row that came twice with different contents.
pub(in crate::flow) fn twice(line: u64) -> RowFault {
    let vi = "chỉ có một lần trong tệp với cùng đơn vị và số hiệu";
    row_fault(line, "once", (vi, "come once in the file for the same unit and number"))
}

/// A row whose record others changed again and again while it was to be written.
pub(super) fn overtaken(line: u64) -> RowFault {
    let vi = "được nhập lại: hồ sơ đang được nơi khác thay đổi";
    row_fault(line, "moved_on", (vi, "be imported again: others were changing the record"))
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
        let mut collector = Collector::new(intake, Wanted::default(), &sender, &chance);
        match format {
            Format::Ndjson => read_ndjson(text, &mut collector)?,
            format => read_table(Input::Bytes(text.to_vec()), format, &mut collector)?,
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
    fn rows_that_end_as_on_old_machines_have_lines_of_their_own() {
        let text = format!("{HEADER}1,An,H26,H26\n2,A1,H26,H26\n3,An,H26,H26\n").replace('\n', "\r");
        assert_eq!(read(Format::Csv, text.as_bytes()).unwrap(), (vec![2, 4], vec![(3, "name 100".into())]));
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
        let (units, codes) = (UnitRegister::on(date!(2025 - 12 - 01)), CodeBook::default());
        let intake = Intake { catalogue: Catalogue::current(), knowledge: Knowledge { units: &units, codes: &codes } };
        let mut collector = Collector::new(intake, Wanted::default(), &sender, &chance);
        for line in 0..=BATCH as u64 {
            assert!(collector.take(line, RawRow::Json(Vec::new()), Err(vec![not_utf8(line)])));
        }
        assert_eq!(batches.try_recv().unwrap().bad.len(), BATCH);
        assert!(batches.try_recv().is_err());
        collector.weight = BATCH_BYTES;
        assert!(collector.take(0, RawRow::Json(Vec::new()), Err(Vec::new())));
        assert_eq!(batches.try_recv().unwrap().bad.len(), 2);
    }

    proptest::proptest! {
        #[test]
        fn any_file_never_panics_and_no_row_comes_twice(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
            text in "[a-z0-9,;\t\"\r\n{}:\u{feff}Đ]{0,200}", with_header in proptest::prelude::any::<bool>(),
        ) {
            for file in [bytes, text.into_bytes()] {
                let file = if with_header { [HEADER.as_bytes(), &file].concat() } else { file };
                for format in [Format::Csv, Format::Ndjson, Format::Xlsx] {
                    let Ok((good, bad)) = read(format, &file) else { continue };
                    let mut lines: Vec<_> = good.into_iter().chain(bad.into_iter().map(|(line, _)| line)).collect();
                    let rows = lines.len();
                    lines.sort_unstable();
                    lines.dedup();
                    proptest::prop_assert_eq!(lines.len(), rows);
                    let most = file.iter().filter(|byte| **byte == b'\n' || **byte == b'\r').count() as u64 + 1;
                    proptest::prop_assert!(lines.last().is_none_or(|last| *last <= most), "{:?} of {}", lines, most);
                }
            }
        }
    }
}
