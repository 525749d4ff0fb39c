//! The rejects file: CSV with a byte order mark, so that a spreadsheet shows Vietnamese; the original columns, then what
//! is wrong. It can be corrected and imported as it is. Lines of NDJSON stand whole in one column.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::read::RawRow;
use crate::model::intake::FAULTS_COLUMN;
use crate::model::row_fault::RowFault;

/// The column of a rejects file in which a rejected line of NDJSON stands.
pub(in crate::flow) const JSON_COLUMN: &str = "__json";

/// The file; made when the first row comes, beside its place, and put there when it is whole: an earlier one stays until
/// then.
pub(super) struct Rejects {
    path: PathBuf,
    /// Where it grows.
    partial: PathBuf,
    writer: Option<csv::Writer<BufWriter<File>>>,
    rows: u64,
}

impl Rejects {
    pub(super) fn new(path: PathBuf) -> Self {
        let mut name = path.clone().into_os_string();
        // A device or a pipe is written to: nothing can take its place.
        if path.metadata().map_or(true, |known| known.is_file()) {
            name.push(".partial");
        }
        Self { path, partial: name.into(), writer: None, rows: 0 }
    }

    /// Whether this file, or what it grows in, is `input`.
    pub(super) fn would_overwrite(&self, input: &Path) -> io::Result<bool> {
        let input = input.canonicalize()?;
        let is_input = |path: &Path| path.canonicalize().is_ok_and(|path| path == input);
        Ok(is_input(&self.path) || is_input(&self.partial))
    }

    pub(super) fn write(&mut self, header: &[String], raw: &RawRow, faults: &[RowFault]) -> io::Result<()> {
        self.rows += 1;
        let kept: Vec<usize> = (0..header.len()).filter(|at| header[*at].trim() != FAULTS_COLUMN).collect();
        if self.writer.is_none() {
            let mut file = BufWriter::new(private_file(&self.partial)?);
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
                let text =
                    |at: usize| guarded(&String::from_utf8_lossy(cells.get(at).unwrap_or_default())).into_owned();
                let (inside, beyond) = (kept.iter().copied().map(text), (header.len()..cells.len()).map(text));
                writer.write_record(inside.chain([told]).chain(beyond))?;
            }
        }
        Ok(())
    }

    /// Closes the file and puts it in its place. Returns how many rows it has.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        if let Some(mut writer) = self.writer.take() {
            writer.flush()?;
            if self.partial != self.path {
                std::fs::rename(&self.partial, &self.path)?;
            }
        }
        Ok(self.rows)
    }
}

/// Of an import that came to nothing nothing is left: what is rejected is personal data.
impl Drop for Rejects {
    fn drop(&mut self) {
        if self.writer.take().is_some() && self.partial != self.path {
            let _ = std::fs::remove_file(&self.partial);
        }
    }
}

/// A spreadsheet would run a cell that begins like a formula: an apostrophe keeps it text.
pub(in crate::flow) fn guarded(cell: &str) -> Cow<'_, str> {
    if begins_like_formula(cell) { Cow::Owned(format!("'{cell}")) } else { Cow::Borrowed(cell) }
}

/// What [`guarded`] was given.
pub(in crate::flow) fn unguarded(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|cell| begins_like_formula(cell)).unwrap_or(cell)
}

fn begins_like_formula(cell: &str) -> bool {
    cell.starts_with(['=', '+', '-', '@', '\t', '\r'])
}

/// A new file that only its owner can read: rejected rows are personal data.
fn private_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_formula_stays_text_and_comes_back() {
        for cell in ["=SUM(1)", "+84912345678", "-5", "@x", "\tx", "Nguyễn", "", "'quoted'"] {
            let shown = guarded(cell);
            assert!(!begins_like_formula(&shown), "{cell}");
            assert_eq!(unguarded(&shown), cell);
        }
    }
}
