//! Status lists: positions drawn without contention, entries read when a list is published.

use sqlx::Row;

use super::{Change, Line, Store, Transaction, failed};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Result};
use crate::model::status::ListPurpose;

/// How many credentials are looked at for [`Store::carry_lists_of_codes`]: more than are issued between two looks.
const NEWEST_CREDENTIALS: i64 = 20_000;

/// A list, without its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusList {
    /// Its number, which its address ends with.
    pub id: i64,
    /// How many entries it has.
    pub size: u64,
    /// The key of the permutation from positions to indices, in base64.
    pub secret: String,
    /// Grows with every change of an entry.
    pub version: i64,
    /// Which credentials have their entries in it.
    pub purpose: ListPurpose,
}

/// The entries of a list that are not valid, at a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entries {
    /// The version that is at least covered.
    pub version: i64,
    /// Index and status of every entry that is not 0.
    pub not_valid: Vec<(u64, u8)>,
}

impl Store {
    /// All lists, oldest first.
    pub async fn status_lists(&self) -> Result<Vec<StatusList>, Fault> {
        let rows = sqlx::query("SELECT id, size, secret, version, purpose FROM status_lists ORDER BY id")
            .fetch_all(self.readers())
            .await
            .map_err(failed("reading status lists"))?;
        rows.iter().map(read).collect::<Result<_, _>>().map_err(failed("reading status lists"))
    }

    /// One list.
    pub async fn status_list(&self, id: i64) -> Result<Option<StatusList>, Fault> {
        let row = sqlx::query("SELECT id, size, secret, version, purpose FROM status_lists WHERE id = $1")
            .bind(id)
            .fetch_optional(self.readers())
            .await
            .map_err(failed("reading a status list"))?;
        row.as_ref().map(read).transpose().map_err(failed("reading a status list"))
    }

    /// The lists of a purpose that still have room for `room` positions, oldest first.
    pub async fn open_status_lists(&self, purpose: ListPurpose, room: u64) -> Result<Vec<StatusList>, Fault> {
        let rows = sqlx::query(
            "SELECT id, size, secret, version, purpose FROM status_lists \
             WHERE next_position + $1 <= size AND purpose = $2 ORDER BY id",
        )
        .bind(room.cast_signed())
        .bind(purpose.word())
        .fetch_all(self.readers())
        .await
        .map_err(failed("reading status lists"))?;
        rows.iter().map(read).collect::<Result<_, _>>().map_err(failed("reading status lists"))
    }

    /// Opens the list `id`, unless another process just did.
    pub async fn open_status_list(
        &self,
        id: i64,
        purpose: ListPurpose,
        size: u64,
        secret: String,
        at: UnixSeconds,
    ) -> Result<()> {
        self.write(OpenList { id, purpose, size, secret, at }).await
    }

    /// Has checkpoints carry the lists of other credentials in which one of the newest credentials is shown as a QR code: a
    /// process from before lists had purposes, which serves on while others are replaced, may have put it there.
    pub async fn carry_lists_of_codes(&self, at: UnixSeconds) -> Result<()> {
        let doing = "looking for QR codes in other status lists";
        let rows = sqlx::query(
            "SELECT DISTINCT l.id FROM credentials c JOIN issuances i ON i.id = c.issuance \
             JOIN status_lists l ON l.id = c.list_id WHERE c.id > (SELECT MAX(id) FROM credentials) - $1 \
             AND l.purpose = 'other' AND i.configuration IN ('official-card-qr', 'badge')",
        )
        .bind(NEWEST_CREDENTIALS)
        .fetch_all(self.readers())
        .await
        .map_err(failed(doing))?;
        for row in rows {
            self.write(CarryList { id: row.try_get(0).map_err(failed(doing))?, at }).await?;
        }
        Ok(())
    }

    /// Draws `count` positions of a list for this process alone; `None` when it is full.
    pub async fn draw_positions(&self, list: i64, count: u64) -> Result<Option<u64>> {
        self.write(DrawPositions { list, count }).await
    }

    /// The entries of a list that are not valid. The version is read first: what comes between is in the entries.
    pub async fn status_entries(&self, list: i64) -> Result<Entries, Fault> {
        let doing = "reading status entries";
        let version = sqlx::query("SELECT version FROM status_lists WHERE id = $1")
            .bind(list)
            .fetch_one(self.readers())
            .await
            .and_then(|row| row.try_get(0))
            .map_err(failed(doing))?;
        let rows = sqlx::query("SELECT list_index, status FROM credentials WHERE list_id = $1 AND status <> 0")
            .bind(list)
            .fetch_all(self.readers())
            .await
            .map_err(failed(doing))?;
        let entry = |row: &sqlx::any::AnyRow| -> Result<(u64, u8), sqlx::Error> {
            let status: i64 = row.try_get(1)?;
            Ok((row.try_get::<i64, _>(0)?.cast_unsigned(), u8::try_from(status).unwrap_or(1)))
        };
        let not_valid = rows.iter().map(entry).collect::<Result<_, _>>().map_err(failed(doing))?;
        Ok(Entries { version, not_valid })
    }

    /// The status of one entry as the database has it now.
    pub async fn status_of(&self, list: i64, index: u64) -> Result<Option<u8>, Fault> {
        let row = sqlx::query("SELECT status FROM credentials WHERE list_id = $1 AND list_index = $2")
            .bind(list)
            .bind(index.cast_signed())
            .fetch_optional(self.readers())
            .await
            .map_err(failed("reading a status"))?;
        row.map(|row| row.try_get::<i64, _>(0).map(|status| u8::try_from(status).unwrap_or(1)))
            .transpose()
            .map_err(failed("reading a status"))
    }
}

/// Notes that an entry of the list has changed.
pub(super) async fn touch(transaction: &mut Transaction<'_>, list: i64) -> Result<(), Fault> {
    sqlx::query("UPDATE status_lists SET version = version + 1 WHERE id = $1")
        .bind(list)
        .execute(&mut **transaction)
        .await
        .map(|_| ())
        .map_err(failed("touching a status list"))
}

struct OpenList {
    id: i64,
    purpose: ListPurpose,
    size: u64,
    secret: String,
    at: UnixSeconds,
}

impl Change for OpenList {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        let inserted = sqlx::query(
            "INSERT INTO status_lists (id, size, secret, opened_at, purpose) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT DO NOTHING",
        )
        .bind(self.id)
        .bind(self.size.cast_signed())
        .bind(&self.secret)
        .bind(self.at)
        .bind(self.purpose.word())
        .execute(&mut **transaction)
        .await
        .map_err(failed("opening a status list"))?;
        if inserted.rows_affected() == 1 {
            let detail = format!("{} {}", self.size, self.purpose.word());
            let (actor, subject) = ("system".to_owned(), format!("status-list/{}", self.id));
            transaction.note(Line { at: self.at, actor, action: "status_list.opened", subject, detail });
        }
        Ok(())
    }
}

struct CarryList {
    id: i64,
    at: UnixSeconds,
}

impl Change for CarryList {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        let carried = sqlx::query("UPDATE status_lists SET purpose = $2 WHERE id = $1 AND purpose <> $2")
            .bind(self.id)
            .bind(ListPurpose::Any.word())
            .execute(&mut **transaction)
            .await
            .map_err(failed("having a status list carried"))?;
        if carried.rows_affected() == 1 {
            let (actor, subject) = ("system".to_owned(), format!("status-list/{}", self.id));
            let detail = ListPurpose::Any.word().to_owned();
            transaction.note(Line { at: self.at, actor, action: "status_list.carried", subject, detail });
        }
        Ok(())
    }
}

struct DrawPositions {
    list: i64,
    count: u64,
}

impl Change for DrawPositions {
    type Done = Option<u64>;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Option<u64>> {
        let row = sqlx::query(
            "UPDATE status_lists SET next_position = next_position + $2 \
             WHERE id = $1 AND next_position + $2 <= size RETURNING next_position",
        )
        .bind(self.list)
        .bind(self.count.cast_signed())
        .fetch_optional(&mut **transaction)
        .await
        .map_err(failed("drawing status positions"))?;
        let next = row.map(|row| row.try_get::<i64, _>(0)).transpose().map_err(failed("drawing status positions"))?;
        Ok(next.map(|next| next.cast_unsigned() - self.count))
    }
}

fn read(row: &sqlx::any::AnyRow) -> Result<StatusList, sqlx::Error> {
    Ok(StatusList {
        id: row.try_get("id")?,
        size: row.try_get::<i64, _>("size")?.cast_unsigned(),
        secret: row.try_get("secret")?,
        version: row.try_get("version")?,
        purpose: ListPurpose::of_word(&row.try_get::<String, _>("purpose")?),
    })
}
