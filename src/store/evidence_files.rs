//! Files of evidence, outside the database. What is in them was encrypted before it came here; their names are random.
//! A file is whole or not there: it is written beside its place and then moved.

use std::path::{Path, PathBuf};

use tokio::io::AsyncWriteExt;

use crate::error::Fault;

/// The folder that holds them. It is made when the first file comes, for its owner alone.
#[derive(Clone, Debug)]
pub struct EvidenceFiles(PathBuf);

impl EvidenceFiles {
    /// The files in this folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// Writes a file and waits until it is durable.
    pub async fn put(&self, place: &str, bytes: &[u8]) -> Result<(), Fault> {
        let path = self.path(place)?;
        tokio::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0).await.map_err(failed)?;
        let unfinished = path.with_extension(UNFINISHED);
        let mut options = tokio::fs::OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished).await.map_err(failed)?;
        file.write_all(bytes).await.map_err(failed)?;
        file.sync_all().await.map_err(failed)?;
        tokio::fs::rename(&unfinished, &path).await.map_err(failed)?;
        // That it has this name is durable only with its folder.
        tokio::fs::File::open(&self.0).await.map_err(failed)?.sync_all().await.map_err(failed)
    }

    /// Reads a file, at most `most_bytes` of it; `None` if it is not there.
    pub async fn get(&self, place: &str, most_bytes: u64) -> Result<Option<Vec<u8>>, Fault> {
        let path = self.path(place)?;
        match tokio::fs::metadata(&path).await {
            Ok(metadata) if metadata.len() <= most_bytes => tokio::fs::read(&path).await.map(Some).map_err(failed),
            Ok(_) => Err(Fault::new(DOING, "it is larger than anything that was put there")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Removes a file, and what is left of one that was never whole; one that is not there is fine.
    pub async fn remove(&self, place: &str) -> Result<(), Fault> {
        let path = self.path(place)?;
        for path in [path.with_extension(UNFINISHED), path] {
            match tokio::fs::remove_file(path).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// The path of a place, which is one of our random names and nothing that leads elsewhere.
    fn path(&self, place: &str) -> Result<PathBuf, Fault> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if place.is_empty() || place.len() > 64 || !place.bytes().all(fits) {
            return Err(Fault::new(DOING, "its place is not a name of ours"));
        }
        Ok(Path::new(&self.0).join(place))
    }
}

const DOING: &str = "keeping a file of evidence";
/// The end of the name of a file that is being written.
const UNFINISHED: &str = "part";

fn failed(error: std::io::Error) -> Fault {
    Fault::new(DOING, error)
}
