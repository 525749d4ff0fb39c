//! The two lists that an operator loads from CSV: units of the deeper levels, and labels of codes. A list is small, so it
//! is read whole, on a thread that may wait: at most [`MAX_LIST_BYTES`].

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;

use crate::clock::UnixSeconds;
use crate::error::{Error, Fault, Refusal};
use crate::model::calendar::day_of;
use crate::model::code_list::CodeBook;
use crate::model::intake::HeaderFault;
use crate::model::text::normalised;
use crate::store::Store;

/// The largest list: some ten times all units of the country.
pub const MAX_LIST_BYTES: u64 = 64 << 20;

/// What loading a list did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListSummary {
    /// Rows that were entered or changed.
    pub changed: u64,
    /// What was wrong with the others, one sentence each.
    pub faults: Vec<String>,
}

/// Why a list as a whole cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// Its header lacks a column.
    #[error(transparent)]
    Header(#[from] HeaderFault),
    /// It is larger than [`MAX_LIST_BYTES`].
    #[error("danh mục lớn hơn 64 MiB / the list is larger than 64 MiB")]
    TooLarge,
    /// It cannot be read.
    #[error("không đọc được tệp / the file cannot be read: {0}")]
    Read(io::Error),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] Error),
}

impl From<Fault> for ListError {
    fn from(fault: Fault) -> Self {
        Self::Store(fault.into())
    }
}

impl From<ListError> for Error {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Store(error) => error,
            other => Refusal::malformed("list", other.to_string()).into(),
        }
    }
}

/// Loads units from CSV with the columns `code` and `name`; parents may come after their children. Faulty rows are told,
/// the others go in.
pub async fn import_units(store: &Store, file: &Path, actor: &str, now: UnixSeconds) -> Result<ListSummary, ListError> {
    let mut rows = rows(file, ["code", "name"]).await?;
    let mut register = store.unit_register(day_of(now)).await?;
    rows.sort_by_key(|(_, [code, _])| (code.matches('.').count(), code.clone()));
    let (mut units, mut faults) = (BTreeMap::new(), Vec::new());
    for (line, [code, name]) in rows {
        match register.enter(&code, &name) {
            Ok(code) if code.level() == 1 => {}
            Ok(code) => {
                units.insert(code.as_str().to_owned(), normalised(&name).into_owned());
            }
            Err(fault) => faults.push(format!("dòng {line} / line {line}: {fault}")),
        }
    }
    let changed = store.save_units(units.into_iter().collect(), actor, now).await?;
    Ok(ListSummary { changed, faults })
}

/// Loads labels from CSV with the columns `list`, `code` and `label_vi`. Faulty rows are told, the others go in.
pub async fn import_codes(store: &Store, file: &Path, actor: &str, now: UnixSeconds) -> Result<ListSummary, ListError> {
    let (mut book, mut labels, mut faults) = (CodeBook::default(), BTreeMap::new(), Vec::new());
    for (line, cells) in rows(file, ["list", "code", "label_vi"]).await? {
        let [list, code, label] = cells.map(|cell| normalised(&cell).into_owned());
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

/// A line and its cells in the order of the columns asked for.
type Row<const N: usize> = (u64, [String; N]);

async fn rows<const N: usize>(file: &Path, columns: [&'static str; N]) -> Result<Vec<Row<N>>, ListError> {
    let file: PathBuf = file.to_owned();
    let read = spawn_blocking(move || parse(File::open(file).map_err(ListError::Read)?, columns)).await;
    read.map_err(|error| Fault::new("reading a list", error))?
}

fn parse<const N: usize>(file: impl Read, columns: [&str; N]) -> Result<Vec<Row<N>>, ListError> {
    let mut text = Vec::new();
    file.take(MAX_LIST_BYTES + 1).read_to_end(&mut text).map_err(ListError::Read)?;
    if text.len() as u64 > MAX_LIST_BYTES {
        return Err(ListError::TooLarge);
    }
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_slice());
    let wrong = |error: csv::Error| ListError::Read(io::Error::other(error));
    let header = reader.headers().map_err(wrong)?.clone();
    let mut places = [0; N];
    for (place, column) in places.iter_mut().zip(columns) {
        let named = |cell: &str| cell.trim().trim_start_matches('\u{feff}') == column;
        *place = header.iter().position(named).ok_or_else(|| HeaderFault::Missing(vec![column.to_owned()]))?;
    }
    let cells = |row: csv::Result<csv::StringRecord>| {
        let row = row.map_err(wrong)?;
        let line = row.position().map_or(0, csv::Position::line);
        Ok((line, places.map(|at| row.get(at).unwrap_or_default().to_owned())))
    };
    reader.records().map(cells).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name_and_a_missing_one_is_told() {
        let rows =
            parse("\u{feff}name,x, code\nA,,H26.05\n\"B\nC\",,H26.06\nD\n".as_bytes(), ["code", "name"]).unwrap();
        let expected = [(2, ["H26.05", "A"]), (3, ["H26.06", "B\nC"]), (5, ["", "D"])];
        assert_eq!(rows, expected.map(|(line, cells)| (line, cells.map(str::to_owned))));
        let missing = parse("code\nH26.05\n".as_bytes(), ["code", "name"]).unwrap_err();
        assert!(matches!(missing, ListError::Header(HeaderFault::Missing(columns)) if columns == ["name"]));
    }

    #[test]
    fn a_list_is_bounded_and_must_be_text() {
        assert!(matches!(parse(io::repeat(b'x'), ["code"]), Err(ListError::TooLarge)));
        assert!(matches!(parse(&b"code\n\xff\n"[..], ["code"]), Err(ListError::Read(_))));
    }

    proptest::proptest! {
        #[test]
        fn any_list_never_panics(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..120), text in "[a-z,;\"\r\n\u{feff}Đ]{0,120}",
        ) {
            for file in [bytes.as_slice(), text.as_bytes(), &[b"code,name\n", text.as_bytes()].concat()] {
                if let Ok(rows) = parse(file, ["code", "name"]) {
                    let lines = file.iter().filter(|byte| **byte == b'\n' || **byte == b'\r').count() + 1;
                    proptest::prop_assert!(rows.len() < lines.max(1) + 1);
                    proptest::prop_assert!(rows.iter().flat_map(|(_, cells)| cells).map(String::len).sum::<usize>() <= 2 * file.len());
                }
            }
        }
    }
}
