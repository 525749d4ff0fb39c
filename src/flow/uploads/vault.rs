//! Uploaded files and what is told of their rows, encrypted at rest: AES-256-GCM under keys that are derived from the
//! deployment's secret for each upload, so that no key is used for two files.
//!
//! A file is a row of chunks of [`CHUNK`] bytes, each sealed under its number and whether it is the last one (the STREAM
//! construction of Hoang, Reyhanitabar, Rogaway and Vizár, 2015): a file that was cut, or whose chunks were moved, does not open.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::{Digest, Sha256};

use crate::chance::Chance;
use crate::credential::nonce::derive;
use crate::error::Fault;
use crate::model::value::hex;

/// Plain bytes of one chunk.
const CHUNK: usize = 1 << 16;
/// What sealing adds to a chunk.
const TAG: usize = 16;

/// The keys of one upload.
pub(super) struct Vault {
    file: Arc<LessSafeKey>,
    rows: LessSafeKey,
    path: PathBuf,
}

impl Vault {
    /// For the upload `id`, whose file lies in the folder `uploads` of `data_dir`.
    pub(super) fn new(secret: &[u8; 32], data_dir: &Path, id: &str) -> Result<Self, Fault> {
        let key = |purpose: &str| {
            let key = derive(secret, purpose, &[id.as_bytes()]);
            UnboundKey::new(&AES_256_GCM, &key).map(LessSafeKey::new).map_err(|error| fault(error.to_string()))
        };
        Ok(Self {
            file: Arc::new(key("upload file")?),
            rows: key("upload rows")?,
            path: data_dir.join("uploads").join(id),
        })
    }

    /// Whether the file is there, on this machine.
    pub(super) fn has_file(&self) -> bool {
        self.path.is_file()
    }

    /// A new file, which only its owner can read.
    pub(super) fn create(&self) -> Result<Sealer, Fault> {
        if let Some(folder) = self.path.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(fault)?;
        }
        let file = File::options().write(true).create_new(true).mode(0o600).open(&self.path).map_err(fault)?;
        let key = Arc::clone(&self.file);
        Ok(Sealer { key, file, chunk: Vec::with_capacity(CHUNK + TAG), number: 0, digest: Sha256::new(), bytes: 0 })
    }

    /// The whole file. Never more than was sealed.
    pub(super) fn read(&self) -> Result<Vec<u8>, Fault> {
        let file = File::open(&self.path).map_err(fault)?;
        let sealed = file.metadata().map_err(fault)?.len();
        let mut plain = Vec::with_capacity(usize::try_from(sealed).unwrap_or_default());
        let (mut chunk, mut number, mut left) = (Vec::with_capacity(CHUNK + TAG), 0, sealed);
        loop {
            chunk.clear();
            (&file).take((CHUNK + TAG) as u64).read_to_end(&mut chunk).map_err(fault)?;
            left = left.saturating_sub(chunk.len() as u64);
            let is_last = left == 0;
            let opened = self.file.open_in_place(nonce(number, is_last), Aad::empty(), &mut chunk);
            plain.extend_from_slice(opened.map_err(|_| fault("it was changed"))?);
            number += 1;
            if is_last {
                return Ok(plain);
            }
        }
    }

    /// Deletes the file, if there is one.
    pub(super) fn delete(&self) -> Result<(), Fault> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fault(error)),
            _ => Ok(()),
        }
    }

    /// Seals what is told of a row.
    pub(super) fn seal_row(&self, chance: &Chance, line: i64, mut plain: Vec<u8>) -> Result<Vec<u8>, Fault> {
        let nonce: [u8; NONCE_LEN] = chance.bytes();
        let sealed = self.rows.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(line.to_be_bytes()),
            &mut plain,
        );
        sealed.map_err(|error| fault(error.to_string()))?;
        Ok([&nonce[..], &plain].concat())
    }

    /// Opens what is told of a row.
    pub(super) fn open_row(&self, line: i64, sealed: &[u8]) -> Result<Vec<u8>, Fault> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or_else(|| fault("a row is too short"))?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|error| fault(error.to_string()))?;
        let mut sealed = sealed.to_vec();
        let plain = self.rows.open_in_place(nonce, Aad::from(line.to_be_bytes()), &mut sealed);
        plain.map(|plain| plain.to_vec()).map_err(|_| fault("a row was changed"))
    }
}

/// Writes a file as it comes in.
pub(super) struct Sealer {
    key: Arc<LessSafeKey>,
    file: File,
    chunk: Vec<u8>,
    number: u64,
    digest: Sha256,
    bytes: u64,
}

/// A file that was written.
pub(super) struct Sealed {
    /// Its length before it was sealed.
    pub(super) bytes: u64,
    /// Its SHA-256 before it was sealed, in hexadecimal.
    pub(super) sha256: String,
}

impl Sealer {
    /// Bytes so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes the next bytes.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            // A full chunk waits for the next byte: until then it may be the last one.
            if self.chunk.len() == CHUNK {
                self.flush(false)?;
            }
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK - self.chunk.len()));
            self.chunk.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// Writes the last chunk, durably.
    pub(super) fn finish(mut self) -> Result<Sealed, Fault> {
        self.flush(true)?;
        self.file.sync_all().map_err(fault)?;
        Ok(Sealed { bytes: self.bytes, sha256: hex(&self.digest.finalize()) })
    }

    fn flush(&mut self, is_last: bool) -> Result<(), Fault> {
        let nonce = nonce(self.number, is_last);
        self.number += 1;
        let sealed = self.key.seal_in_place_append_tag(nonce, Aad::empty(), &mut self.chunk);
        sealed.map_err(|error| fault(error.to_string()))?;
        self.file.write_all(&self.chunk).map_err(fault)?;
        self.chunk.clear();
        Ok(())
    }
}

/// The number of a chunk, and whether it is the last one.
fn nonce(number: u64, is_last: bool) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[..8].copy_from_slice(&number.to_be_bytes());
    nonce[8] = u8::from(is_last);
    Nonce::assume_unique_for_key(nonce)
}

fn fault(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Fault {
    Fault::new("keeping an uploaded file", cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("vault_{}_{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        folder
    }

    fn vault(folder: &Path) -> Vault {
        Vault::new(&[7; 32], folder, "upload").unwrap()
    }

    #[test]
    fn what_goes_in_comes_out_whatever_its_length() {
        let folder = folder("lengths");
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let vault = vault(&folder);
            let plain: Vec<_> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let mut sealer = vault.create().unwrap();
            for part in plain.chunks(1_000) {
                sealer.write(part).unwrap();
            }
            let sealed = sealer.finish().unwrap();
            assert_eq!((sealed.bytes, sealed.sha256), (length as u64, hex(&Sha256::digest(&plain))));
            assert_eq!(vault.read().unwrap(), plain);
            let kept = std::fs::read(&vault.path).unwrap();
            assert!(length < 100 || !kept.windows(50).any(|window| window == &plain[..50]), "not in the clear");
            vault.delete().unwrap();
            assert!(!vault.has_file());
            vault.delete().unwrap();
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_that_was_cut_changed_or_put_in_place_of_another_does_not_open() {
        let folder = folder("changed");
        let vault = vault(&folder);
        let mut sealer = vault.create().unwrap();
        sealer.write(&vec![1; 3 * CHUNK]).unwrap();
        sealer.finish().unwrap();
        let kept = std::fs::read(&vault.path).unwrap();
        let changed = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = kept.clone();
            change(&mut bytes);
            std::fs::write(&vault.path, bytes).unwrap();
            vault.read().is_err()
        };
        assert!(!changed(&|_| {}));
        assert!(changed(&|bytes| bytes.truncate(2 * (CHUNK + TAG))), "cut at a chunk");
        assert!(changed(&|bytes| bytes.truncate(bytes.len() - 1)));
        assert!(changed(&|bytes| bytes[10] ^= 1));
        assert!(changed(&|bytes| bytes.rotate_left(CHUNK + TAG)), "in another order");
        assert!(changed(&Vec::clear));
        let other = Vault::new(&[7; 32], &folder, "other").unwrap();
        std::fs::write(&other.path, &kept).unwrap();
        assert!(other.read().is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_row_opens_on_its_own_line_only() {
        let vault = vault(&folder("rows"));
        let sealed = vault.seal_row(&Chance::seeded([1; 32]), 7, b"An".to_vec()).unwrap();
        assert_eq!(vault.open_row(7, &sealed).unwrap(), b"An");
        assert!(vault.open_row(8, &sealed).is_err() && vault.open_row(7, &sealed[..5]).is_err());
    }
}
