//! `officials-card keys`: the key ceremony.

use std::path::PathBuf;

use clap::Subcommand;

use crate::chance::Chance;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::Result;
use crate::keyring::{self, Ceremony};

/// Keys.
#[derive(Subcommand)]
pub enum Keys {
    /// Tạo khóa và chứng thư mới / make a new root and all certified keys; encrypted when `OFFICIALS_CARD_KEYS_PASSPHRASE` is set
    Init {
        /// Thư mục / folder; the configured one when absent
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Thêm các khóa còn thiếu / add the keys that a folder of an earlier version lacks; needs `root.jwk` (or `iaca.jwk`) beside
    /// them where it has to certify
    Add {
        /// Thư mục / folder; the configured one when absent
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Chứng thư TLS tự ký để chạy thử / make a self-signed TLS certificate (`tls.pem`, `tls.key`) for tests and demonstrations
    Tls {
        /// Thư mục / folder; the configured one when absent
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
        /// Tên máy hoặc địa chỉ / DNS name or address of the server; may be repeated
        #[arg(long = "name", value_name = "HOST", required = true)]
        names: Vec<String>,
    },
    /// Thay khóa ký mdoc / make a new key; the files of the one before are kept under a name with the time; needs `iaca.jwk`
    /// beside them
    Renew {
        /// Khóa / which one
        key: Renewable,
        /// Thư mục / folder; the configured one when absent
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Ký lại danh sách thu hồi chứng thư / sign the IACA's revocation list anew, at least every 90 days; needs `iaca.jwk` beside it
    Crl {
        /// Chứng thư bị thu hồi / certificates (PEM) to revoke, besides those that it holds
        #[arg(long, value_name = "FILE", num_args = 1..)]
        revoke: Vec<PathBuf>,
        /// Thư mục / folder; the configured one when absent
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

/// The keys that live shorter than their deployment.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Renewable {
    /// Signs mdocs.
    DocumentSigner,
}

impl Keys {
    /// Runs the command.
    pub fn run(self, config: &Config) -> Result<()> {
        let (Self::Init { dir }
        | Self::Add { dir }
        | Self::Tls { dir, .. }
        | Self::Renew { dir, .. }
        | Self::Crl { dir, .. }) = &self;
        let folder = dir.clone().unwrap_or_else(|| config.keys.clone());
        let (passphrase, now) = (config.keys_passphrase.as_ref(), Clock::system().now());
        let (public_url, chance) = (config.public_url.as_str(), Chance::system());
        let ceremony = Ceremony { folder: &folder, passphrase, public_url, chance: &chance, now };
        match &self {
            Self::Init { .. } => {}
            Self::Tls { names, .. } => {
                keyring::tls(&folder, names, now)?;
                println!("Đã tạo / made: {0}/tls.pem, {0}/tls.key", folder.display());
                return Ok(());
            }
            Self::Add { .. } => {
                for name in keyring::add(&folder, passphrase, public_url, &chance, now)? {
                    println!("Đã thêm / added: {name}");
                }
                return Ok(());
            }
            Self::Renew { key: Renewable::DocumentSigner, .. } => {
                let kept = ceremony.renew_document_signer()?;
                println!("Đã thay; khóa cũ: {kept}.*. Hãy khởi động lại máy chủ, rồi hủy khóa riêng cũ.");
                println!("Renewed; the one before is {kept}.*. Restart the servers, then destroy its private key.");
                return Ok(());
            }
            Self::Crl { revoke, .. } => {
                ceremony.renew_revocation_list(&keyring::read_certificates(revoke)?)?;
                println!("Đã ký iaca.crl; hãy khởi động lại máy chủ. / Signed iaca.crl; restart the servers.");
                return Ok(());
            }
        }
        keyring::init(&folder, passphrase, public_url, &chance, now)?;
        println!("Đã tạo khóa của {public_url} trong {0}. Hãy cất root.jwk và iaca.jwk ngoại tuyến.", folder.display());
        println!("Keys of {public_url} were made in {0}. Keep root.jwk and iaca.jwk offline:", folder.display());
        println!("the server does not need them.");
        if config.keys_passphrase.is_none() {
            println!("They are not encrypted: set OFFICIALS_CARD_KEYS_PASSPHRASE before `keys init` in production.");
        }
        Ok(())
    }
}
