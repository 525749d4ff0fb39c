//! `officials-card verify` and `bundle`: a checkpoint without network.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::{print_json, scan};
use crate::clock::Clock;
use crate::credential::verdict::Outcome;
use crate::credential::x509::Anchors;
use crate::error::{Fault, Refusal, Result};
use crate::flow::{Bundle, VerifyRequest, verify_offline};

/// Verifies a card without network. Exit code 0 for a valid card, 3 for "check further", 4 for "not valid" and 5 for
/// another code.
#[derive(Args)]
pub struct Verify {
    /// Ảnh mã QR / picture of the QR code
    #[arg(long, value_name = "FILE", conflicts_with = "text")]
    png: Option<PathBuf>,
    /// Nội dung mã, hoặc phần xuất trình SD-JWT / the code's text or an SD-JWT presentation; standard input when absent
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// Gói dữ liệu của `officials-card bundle` / what `officials-card bundle` fetched
    #[arg(long, value_name = "FILE")]
    bundle: PathBuf,
    /// Chứng thư gốc tin cậy / the pinned root certificates (PEM)
    #[arg(long, value_name = "FILE")]
    anchor: PathBuf,
    /// Số mà người kiểm tra đã yêu cầu nhập / digits that the holder was asked to type
    #[arg(long, value_name = "DIGITS")]
    challenge: Option<String>,
    /// Nonce đã gửi / the nonce of an SD-JWT presentation
    #[arg(long)]
    nonce: Option<String>,
    /// Nơi được xuất trình / the audience of an SD-JWT presentation
    #[arg(long)]
    audience: Option<String>,
    /// Mã cơ quan được vào / agency code that the gate lets in
    #[arg(long, value_name = "CODE")]
    gate: Option<String>,
    /// In JSON / print the verdict as JSON
    #[arg(long)]
    json: bool,
}

impl Verify {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode> {
        let bundle = read_bundle(&self.bundle)?;
        let anchors = read_anchors(&self.anchor)?;
        let text = match (self.png, self.text) {
            (Some(png), _) => scan::read_png(&png)?,
            (None, Some(text)) => text,
            (None, None) => read_standard_input()?,
        };
        let request = VerifyRequest {
            text,
            nonce: self.nonce,
            audience: self.audience,
            challenge: self.challenge,
            gate: self.gate,
        };
        let verdict = verify_offline(&request, &bundle, &anchors, Clock::system().now())?;
        if self.json {
            print_json(&verdict);
        } else {
            println!("{}\n{}", verdict.sentence_vi, verdict.sentence_en);
            for reason in &verdict.reasons {
                println!("  · {}", reason.code());
            }
            let for_people = |name: &str| !["vct", "vct#integrity"].contains(&name);
            let claims = verdict.claims.iter().flatten();
            for (name, value) in claims.filter(|(name, value)| for_people(name) && value.is_string()) {
                println!("  {name}: {}", value.as_str().unwrap_or_default());
            }
        }
        Ok(match verdict.outcome {
            Outcome::ValidLive | Outcome::ValidCopy => ExitCode::SUCCESS,
            Outcome::CheckFurther => ExitCode::from(3),
            Outcome::NotValid => ExitCode::from(4),
            Outcome::OtherCode => ExitCode::from(5),
        })
    }
}

/// Fetches the bundle. One with an older trust list than the file already holds is refused.
#[derive(Args)]
pub struct FetchBundle {
    /// Địa chỉ dịch vụ / the service's public URL
    #[arg(long, value_name = "URL")]
    url: String,
    /// Tệp để lưu / where to keep it; holds the version that must not be undercut
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Chứng thư gốc tin cậy / the pinned root certificates (PEM)
    #[arg(long, value_name = "FILE")]
    anchor: PathBuf,
    /// Kèm trạng thái của thẻ xuất trình trực tuyến (SD-JWT) / also the statuses of cards that are shown online (SD-JWT)
    #[arg(long)]
    online: bool,
}

/// Longest bundle: a trust list and the lists of 20 million credentials.
const MAX_BUNDLE_BYTES: usize = 32 << 20;

impl FetchBundle {
    /// Runs the command.
    pub async fn run(self) -> Result<()> {
        let now = Clock::system().now();
        let anchors = read_anchors(&self.anchor)?;
        let held = if self.out.exists() { Some(read_bundle(&self.out)?) } else { None };
        let current = held.as_ref().map(|held| held.trust_list(None, &anchors, now)).transpose()?;
        let fault = |error: reqwest::Error| Fault::new("fetching the bundle", error.without_url());
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().map_err(fault)?;
        let query = if self.online { "?online=true" } else { "" };
        let response = client.get(format!("{}/api/v1/bundle{query}", self.url)).send().await.map_err(fault)?;
        let mut response = response.error_for_status().map_err(fault)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(fault)? {
            if bytes.len() + chunk.len() > MAX_BUNDLE_BYTES {
                return Err(Refusal::TooMuch("the bundle is larger than 32 MiB".into()).into());
            }
            bytes.extend_from_slice(&chunk);
        }
        let mut bundle: Bundle = parse_bundle(&bytes)?;
        bundle.fetched_at = now;
        let trust = bundle.trust_list(current.as_ref(), &anchors, now)?;
        if let Some(held) = &held {
            bundle.keep_lists_of(held);
            if let Some(list) = bundle.rolled_back(held).first() {
                return Err(Refusal::malformed(*list, "is older than the list that is held").into());
            }
        }
        // Whole or not at all.
        let partial = self.out.with_extension("partial");
        let write = |error| Fault::new("keeping the bundle", error);
        std::fs::write(&partial, serde_json::to_vec(&bundle).unwrap_or_default()).map_err(write)?;
        std::fs::rename(&partial, &self.out).map_err(write)?;
        println!(
            "Danh sách khóa phiên bản {0}, {1} danh sách trạng thái / trust list version {0}, {1} status lists",
            trust.version,
            bundle.status_lists.len()
        );
        Ok(())
    }
}

fn read_bundle(file: &Path) -> Result<Bundle> {
    parse_bundle(
        &std::fs::read(file)
            .map_err(|error| Fault::new("reading the bundle", format!("{}: {error}", file.display())))?,
    )
}

fn parse_bundle(bytes: &[u8]) -> Result<Bundle> {
    serde_json::from_slice(bytes).map_err(|_| Refusal::malformed("bundle", "is not a bundle of this program").into())
}

pub(super) fn read_anchors(file: &Path) -> Result<Anchors> {
    let pem = std::fs::read_to_string(file)
        .map_err(|error| Fault::new("reading the trust anchor", format!("{}: {error}", file.display())))?;
    Anchors::from_pem(&pem).map_err(|error| Refusal::malformed(file.display().to_string(), error.to_string()).into())
}

/// One line as it is: only the line's own end is taken off.
fn read_standard_input() -> Result<String> {
    let mut text = String::new();
    let mut input = std::io::stdin();
    if input.is_terminal() {
        return Err(
            Refusal::malformed("arguments", "one of --png and --text is needed, or text on standard input").into()
        );
    }
    input
        .by_ref()
        .take(1 << 20)
        .read_to_string(&mut text)
        .map_err(|error| Fault::new("reading standard input", error))?;
    let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_bundle_never_panics(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), text in "[\\[{\"a-z_:0-9,}\\]]{0,200}",
        ) {
            let _ = parse_bundle(&bytes);
            let _ = parse_bundle(text.as_bytes());
        }
    }

    #[test]
    fn a_bundle_is_told_from_anything_else() {
        for wrong in ["", "{}", "[]", "null", &"[".repeat(100_000)] {
            assert!(parse_bundle(wrong.as_bytes()).is_err());
        }
    }
}
