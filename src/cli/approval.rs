//! `officials-card approval …`: certificates of approvers, and what an approval proves. `officials-card holidays import`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{operator, print_json, service};
use crate::config::Config;
use crate::credential::approver::ApproverTrust;
use crate::error::{Fault, Refusal, Result};
use crate::flow::{ApprovalFile, NewApproverCertificate, check_approval};
use crate::model::calendar;

/// Longest file that is read: an approval of a million records.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// Monthly approvals.
#[derive(Subcommand)]
pub enum Approval {
    /// Kiểm tra phê duyệt ngoại tuyến / check an approval without network or database
    Verify(Verify),
    /// Chứng thư số của người phê duyệt / certificates of those who approve
    #[command(subcommand)]
    Certificate(Certificate),
}

/// Checks records, signature and certificate of an approval. Exit code 0 when all hold, 4 when one does not.
#[derive(Args)]
pub struct Verify {
    /// Tệp phê duyệt / what `GET /api/v1/approvals/{id}/file` gave
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Chứng thư gốc tin cậy / certificates of who certifies approvers (PEM)
    #[arg(long, value_name = "FILE")]
    roots: PathBuf,
    /// Danh sách thu hồi / revocation lists (PEM or DER)
    #[arg(long, value_name = "FILE")]
    revocation_list: Option<PathBuf>,
}

/// Certificates with which officers approve.
#[derive(Subcommand)]
pub enum Certificate {
    /// Đăng ký / register one
    Add {
        /// Tên của người phê duyệt / the name under which the officer calls
        #[arg(long)]
        officer: String,
        /// Chấp nhận mọi chứng thư cùng chủ thể / any certificate of the same subject will do
        #[arg(long)]
        by_subject: bool,
        /// Tệp PEM / the certificate
        file: PathBuf,
    },
    /// Liệt kê / list those in force
    List,
    /// Hủy đăng ký / take one out
    Remove {
        /// Mã đăng ký / its name in the list
        id: String,
    },
}

/// `officials-card holidays …`
#[derive(Subcommand)]
pub enum Holidays {
    /// Nạp ngày nghỉ và ngày làm bù (cột day, kind, name_vi) / load days off and weekends worked
    Import {
        /// Tệp CSV / the file
        file: PathBuf,
    },
}

fn read(file: &PathBuf) -> Result<Vec<u8>> {
    let fault = |error| Fault::new("reading a file", format!("{}: {error}", file.display()));
    if std::fs::metadata(file).map_err(fault)?.len() > MAX_FILE_BYTES {
        return Err(Refusal::TooMuch(format!("{} is longer than 256 MiB", file.display())).into());
    }
    Ok(std::fs::read(file).map_err(fault)?)
}

fn text(file: &PathBuf) -> Result<String> {
    String::from_utf8(read(file)?).map_err(|_| Refusal::malformed(file.display().to_string(), "is not UTF-8").into())
}

impl Approval {
    /// Runs the command.
    pub async fn run(self, load: impl Fn() -> Result<Config, Fault>) -> Result<ExitCode> {
        match self {
            Self::Verify(verify) => verify.run(),
            Self::Certificate(certificate) => certificate.run(load()?).await.map(|()| ExitCode::SUCCESS),
        }
    }
}

impl Verify {
    fn run(self) -> Result<ExitCode> {
        let wrong = |place: &PathBuf, rule: &str| Refusal::malformed(place.display().to_string(), rule);
        let list = self.revocation_list.as_ref().map(read).transpose()?;
        let trust = ApproverTrust::new(&text(&self.roots)?, list.as_deref())
            .map_err(|_| wrong(&self.roots, "certificates or revocation lists cannot be read"))?;
        let file: ApprovalFile =
            serde_json::from_slice(&read(&self.file)?).map_err(|_| wrong(&self.file, "is not an approval"))?;
        match check_approval(&file, &trust) {
            Ok(check) => {
                print_json(&check);
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => {
                eprintln!("officials-card: {error}");
                Ok(ExitCode::from(4))
            }
        }
    }
}

impl Certificate {
    async fn run(self, config: Config) -> Result<()> {
        let service = service(config).await?;
        match self {
            Self::Add { officer, by_subject, file } => {
                let new = NewApproverCertificate { officer, certificate: text(&file)?, by_subject };
                let added = service.add_approver_certificate(&operator(), new).await?;
                println!("{} {} {}", added.id, added.sha256, added.subject);
            }
            Self::List => {
                for one in service.approver_certificates(&operator()).await? {
                    println!("{} {} {} {} {}", one.id, one.officer, one.matches, one.sha256, one.subject);
                }
            }
            Self::Remove { id } => service.remove_approver_certificate(&operator(), &id).await?,
        }
        Ok(())
    }
}

impl Holidays {
    /// Runs the command.
    pub async fn run(self, config: Config) -> Result<()> {
        let Self::Import { file } = self;
        let table = text(&file)?;
        let days = calendar::read(&table);
        let rows = csv::Reader::from_reader(table.as_bytes()).records().count();
        if days.len() != rows {
            let rule = format!("{} of {rows} rows are not a day (yyyy-mm-dd) and off or work", rows - days.len());
            return Err(Refusal::malformed(file.display().to_string(), rule).into());
        }
        let changed = service(config).await?.save_holidays(&operator(), days).await?;
        println!("Đã nạp hoặc đổi {changed} ngày / {changed} days loaded or changed");
        Ok(())
    }
}
