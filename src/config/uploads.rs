//! Uploads of filled-in forms.

use serde::Deserialize;

/// Bounds of uploads, all with sound defaults.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Uploads {
    /// The largest file, at most 64 MiB.
    pub bytes: u64,
    /// The most rows of one file.
    pub rows: u64,
    /// After how many days file and rows are cleared away; what was written to records stays.
    pub keep_days: i64,
    /// How many uploads one process checks or writes at the same time: each takes some hundred megabytes at worst.
    pub at_once: usize,
    /// How long a file may take to arrive.
    pub receive_seconds: u64,
}

impl Default for Uploads {
    fn default() -> Self {
        Self { bytes: 32 << 20, rows: 50_000, keep_days: 30, at_once: 2, receive_seconds: 900 }
    }
}

/// The largest file that may be configured: the one that a workbook is read up to.
const MAX_BYTES: u64 = 64 << 20;

impl Uploads {
    /// Checks what belongs together.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if !(1..=MAX_BYTES).contains(&self.bytes) {
            return Err("uploads.bytes must be 1 to 67108864");
        }
        if self.rows == 0 || self.keep_days < 1 || self.at_once == 0 || self.receive_seconds < 10 {
            return Err("uploads.rows, keep_days and at_once must be at least 1, receive_seconds at least 10");
        }
        Ok(())
    }
}
