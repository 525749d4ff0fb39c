//! Published trust lists.

use sqlx::Row;

use super::{Change, Line, Store, Transaction, failed};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Result};

/// A trust list as it was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedList {
    /// Its version.
    pub version: i64,
    /// When it was signed.
    pub issued_at: UnixSeconds,
    /// When it expires.
    pub expires_at: UnixSeconds,
    /// The signed object.
    pub bytes: Vec<u8>,
}

impl Store {
    /// The newest trust list.
    pub async fn newest_trust_list(&self) -> Result<Option<PublishedList>, Fault> {
        let row =
            sqlx::query("SELECT version, issued_at, expires_at, bytes FROM trust_lists ORDER BY version DESC LIMIT 1")
                .fetch_optional(self.readers())
                .await
                .map_err(failed("reading the trust list"))?;
        row.map(|row| -> Result<_, sqlx::Error> {
            Ok(PublishedList {
                version: row.try_get(0)?,
                issued_at: row.try_get(1)?,
                expires_at: row.try_get(2)?,
                bytes: row.try_get(3)?,
            })
        })
        .transpose()
        .map_err(failed("reading the trust list"))
    }

    /// Publishes a list under its version; `false` if another process was first.
    pub async fn publish_trust_list(&self, list: PublishedList) -> Result<bool> {
        self.write(PublishList(list)).await
    }
}

struct PublishList(PublishedList);

impl Change for PublishList {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let inserted = sqlx::query(
            "INSERT INTO trust_lists (version, issued_at, expires_at, bytes) VALUES ($1, $2, $3, $4) \
             ON CONFLICT DO NOTHING",
        )
        .bind(self.0.version)
        .bind(self.0.issued_at)
        .bind(self.0.expires_at)
        .bind(&self.0.bytes)
        .execute(&mut **transaction)
        .await
        .map_err(failed("publishing the trust list"))?;
        if inserted.rows_affected() == 0 {
            return Ok(false);
        }
        transaction.note(Line {
            at: self.0.issued_at,
            actor: "system".to_owned(),
            action: "trust_list.published",
            subject: format!("trust-list/{}", self.0.version),
            detail: String::new(),
        });
        Ok(true)
    }
}
