//! `officials-card keys`: the key ceremony.

use std::path::PathBuf;

use clap::Subcommand;

use crate::chance::Chance;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::Result;
use crate::keyring;

/// Keys.
#[derive(Subcommand)]
pub enum Keys {
    /// Tạo khóa và chứng thư mới / make a new root and all certified keys; encrypted when `OFFICIALS_CARD_KEYS_PASSPHRASE` is set
    Init {
        /// Thư mục / folder; the configured one when absent
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Thêm các khóa còn thiếu / add the keys that a folder of an earlier version lacks; needs `root.jwk` beside them
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
}

impl Keys {
    /// Runs the command.
    pub fn run(self, config: &Config) -> Result<()> {
        let (Self::Init { dir } | Self::Add { dir } | Self::Tls { dir, .. }) = &self;
        let folder = dir.clone().unwrap_or_else(|| config.keys.clone());
        let (passphrase, now) = (config.keys_passphrase.as_ref(), Clock::system().now());
        if let Self::Tls { names, .. } = &self {
            keyring::tls(&folder, names, now)?;
            println!("Đã tạo / made: {0}/tls.pem, {0}/tls.key", folder.display());
            return Ok(());
        }
        if matches!(self, Self::Add { .. }) {
            for name in keyring::add(&folder, passphrase, &Chance::system(), now)? {
                println!("Đã thêm / added: {name}");
            }
            return Ok(());
        }
        keyring::init(&folder, passphrase, &Chance::system(), now)?;
        println!("Đã tạo khóa trong {0}. Hãy cất root.jwk ngoại tuyến.", folder.display());
        println!("Keys were made in {0}. Keep root.jwk offline: the server does not need it.", folder.display());
        if config.keys_passphrase.is_none() {
            println!("They are not encrypted: set OFFICIALS_CARD_KEYS_PASSPHRASE before `keys init` in production.");
        }
        Ok(())
    }
}
