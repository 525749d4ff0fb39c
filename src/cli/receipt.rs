//! `officials-card receipt check`: what a confirmed receipt proves.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::print_json;
use super::verify::read_anchors;
use crate::credential::receipt::{Confirmation, code_hash};
use crate::error::{Fault, Refusal, Result};

/// Longest file that is read: a confirmed receipt is some four kilobytes.
const MAX_FILE_BYTES: usize = 64 << 10;

/// Receipts of checks.
#[derive(Subcommand)]
pub enum Receipt {
    /// Kiểm tra biên nhận / check both signatures of a receipt, and whether a code is the one that was checked
    Check(Check),
}

/// Checks a receipt. Exit code 0 when it is genuine (and the code is the one), 4 when the code is another one.
#[derive(Args)]
pub struct Check {
    /// Biên nhận đã xác nhận (JWS) / the confirmed receipt, a compact JWS
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Nội dung mã đã quét / the text of the code in dispute
    #[arg(long, value_name = "CODE")]
    text: Option<String>,
    /// Chứng thư gốc tin cậy / the pinned root certificates (PEM)
    #[arg(long, value_name = "FILE")]
    anchor: PathBuf,
}

impl Receipt {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode> {
        let Self::Check(check) = self;
        let anchors = read_anchors(&check.anchor)?;
        let place = check.file.display().to_string();
        let bytes = std::fs::read(&check.file)
            .map_err(|error| Fault::new("reading the receipt", format!("{place}: {error}")))?;
        let text = (bytes.len() <= MAX_FILE_BYTES).then(|| String::from_utf8(bytes).ok()).flatten();
        let text = text.ok_or_else(|| Refusal::malformed(place.clone(), "is not a receipt"))?;
        let (confirmation, found) =
            Confirmation::open(text.trim(), &anchors).map_err(|error| Refusal::malformed(place, error.to_string()))?;
        let is_the_code = check.text.as_deref().map(|text| code_hash(text) == found.code_hash);
        let mut said = json!(confirmation);
        said["receipt"] = json!(found);
        said["code_matches"] = json!(is_the_code);
        print_json(&said);
        Ok(if is_the_code == Some(false) { ExitCode::from(4) } else { ExitCode::SUCCESS })
    }
}
