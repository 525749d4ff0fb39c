//! Signed documents that checkpoints carry, by kind and version.

use sqlx::Row;

use super::{Change, Store, Transaction, failed};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Result};

/// A document as it was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its kind.
    pub kind: String,
    /// Its version.
    pub version: i64,
    /// What it was made from.
    pub state: String,
    /// When it was signed.
    pub issued_at: UnixSeconds,
    /// When it expires.
    pub expires_at: UnixSeconds,
    /// The signed object.
    pub bytes: Vec<u8>,
}

/// A document without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentHead {
    /// Its version.
    pub version: i64,
    /// What it was made from.
    pub state: String,
    /// When it was signed.
    pub issued_at: UnixSeconds,
    /// When it expires.
    pub expires_at: UnixSeconds,
}

impl Store {
    /// The newest document of a kind.
    pub async fn newest_document(&self, kind: &str) -> Result<Option<DocumentHead>, Fault> {
        let row = sqlx::query(
            "SELECT version, state, issued_at, expires_at FROM checkpoint_documents WHERE kind = $1 \
             ORDER BY version DESC LIMIT 1",
        )
        .bind(kind)
        .fetch_optional(self.readers())
        .await
        .map_err(failed("reading a checkpoint's document"))?;
        row.map(|row| -> Result<_, sqlx::Error> {
            Ok(DocumentHead {
                version: row.try_get(0)?,
                state: row.try_get(1)?,
                issued_at: row.try_get(2)?,
                expires_at: row.try_get(3)?,
            })
        })
        .transpose()
        .map_err(failed("reading a checkpoint's document"))
    }

    /// The signed object of a version, while it is kept.
    pub async fn document(&self, kind: &str, version: i64) -> Result<Option<Vec<u8>>, Fault> {
        let row = sqlx::query("SELECT bytes FROM checkpoint_documents WHERE kind = $1 AND version = $2")
            .bind(kind)
            .bind(version)
            .fetch_optional(self.readers())
            .await
            .map_err(failed("reading a checkpoint's document"))?;
        row.map(|row| row.try_get(0)).transpose().map_err(failed("reading a checkpoint's document"))
    }

    /// Whether a version of a kind is kept.
    pub async fn has_document(&self, kind: &str, version: i64) -> Result<bool, Fault> {
        sqlx::query("SELECT 1 FROM checkpoint_documents WHERE kind = $1 AND version = $2")
            .bind(kind)
            .bind(version)
            .fetch_optional(self.readers())
            .await
            .map(|row| row.is_some())
            .map_err(failed("reading a checkpoint's document"))
    }

    /// Publishes a document under its version, and forgets all but the newest `keep`; `false` if another process was
    /// first.
    pub async fn publish_document(&self, document: Document, keep: i64) -> Result<bool> {
        self.write(PublishDocument { document, keep }).await
    }

    /// Whether the trust list of this version was published.
    pub async fn has_trust_list(&self, version: i64) -> Result<bool, Fault> {
        sqlx::query("SELECT 1 FROM trust_lists WHERE version = $1")
            .bind(version)
            .fetch_optional(self.readers())
            .await
            .map(|row| row.is_some())
            .map_err(failed("reading the trust list"))
    }
}

struct PublishDocument {
    document: Document,
    keep: i64,
}

impl Change for PublishDocument {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let doing = "publishing a checkpoint's document";
        let inserted = sqlx::query(
            "INSERT INTO checkpoint_documents (kind, version, state, issued_at, expires_at, bytes) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        )
        .bind(&self.document.kind)
        .bind(self.document.version)
        .bind(&self.document.state)
        .bind(self.document.issued_at)
        .bind(self.document.expires_at)
        .bind(&self.document.bytes)
        .execute(&mut **transaction)
        .await
        .map_err(failed(doing))?;
        sqlx::query("DELETE FROM checkpoint_documents WHERE kind = $1 AND version <= $2")
            .bind(&self.document.kind)
            .bind(self.document.version - self.keep)
            .execute(&mut **transaction)
            .await
            .map_err(failed(doing))?;
        Ok(inserted.rows_affected() == 1)
    }
}
