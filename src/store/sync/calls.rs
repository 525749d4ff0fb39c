//! The log of calls, and which record a sending agency means by a number.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::super::{Change, Store, Transaction, failed};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Refusal, Result};
use crate::model::id::Handle;
use crate::model::record::RecordKey;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncOutcome {
    /// Under way, or ended without an answer.
    Begun,
    /// Done.
    Accepted,
    /// Refused as a whole.
    Refused,
}

impl SyncOutcome {
    /// The word stored and shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Accepted => "accepted",
            Self::Refused => "refused",
        }
    }

    /// From the word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Begun, Self::Accepted, Self::Refused].into_iter().find(|outcome| outcome.word() == word)
    }
}

/// One call, as the log tells it. No names, numbers or values of people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncCall {
    /// The transaction id that the client was told.
    pub transaction: String,
    /// When it came.
    pub at: UnixSeconds,
    /// The account.
    pub account: String,
    /// The unit of the account, or the one below it that the packet named.
    pub unit: String,
    /// `servicem0001` …, or `login`.
    pub operation: String,
    /// `ADD`, `EDIT` or `DEL`, when it could be read.
    pub action: Option<String>,
    /// How many dossiers the packet had.
    pub dossiers: i64,
    /// How it ended.
    pub outcome: SyncOutcome,
    /// Why it was refused: words, each once.
    pub codes: Vec<String>,
    /// How long it took.
    pub duration_ms: i64,
    /// SHA-256 of what it asked.
    pub digest: String,
    /// The call that it repeated after a lost answer.
    pub repeats: Option<String>,
    /// What the client was told.
    pub message: String,
    /// JSON: `records`, `ignored` and `faults`.
    pub detail: String,
}

/// Which calls are read, newest first.
#[derive(Clone, Debug, Default)]
pub struct SyncCallFilter {
    /// Of these units and all below; `None` is all.
    pub units: Option<Vec<String>>,
    /// That ended so.
    pub outcome: Option<SyncOutcome>,
    /// Of this account.
    pub account: Option<String>,
    /// Older than this one: instant and transaction id.
    pub after: Option<(UnixSeconds, String)>,
    /// At most so many.
    pub limit: i64,
}

/// What a number of a sending agency leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncKey {
    /// `SoHieuCBCCVC_BNDP`.
    pub number: String,
    /// The managing unit under which the record is kept.
    pub unit: String,
    /// The number under which it is kept, where a reorganisation changed it.
    pub kept: Option<String>,
}

impl SyncKey {
    /// That `number` leads to the record that is kept under `key`.
    pub fn of(number: &str, key: RecordKey) -> Self {
        let kept = Some(key.number).filter(|kept| kept != number);
        Self { number: number.to_owned(), unit: key.unit, kept }
    }
}

impl Store {
    /// Writes a call's row, or how it ended; numbers that it held are given back. `keys` are the numbers by which its agency,
    /// `call.unit`, calls the records that it added or moved, and where those are kept now.
    pub async fn note_sync_call(&self, call: SyncCall, keys: Vec<SyncKey>) -> Result<()> {
        self.write(NoteCall { call, keys }).await
    }

    /// Writes the row of a call that is about to change records, and holds the numbers that it adds until `until`, for its
    /// agency `call.unit`; [`Refusal::Busy`] when another call holds one.
    pub async fn begin_sync_call(&self, call: SyncCall, adds: Vec<SyncKey>, until: UnixSeconds) -> Result<()> {
        self.write(BeginCall { call, adds, until }).await
    }

    /// Where what an agency calls by a number may be kept: the record that it added or moved, else every record of the agency
    /// and below with that number, except where another agency means its own by it.
    pub async fn sync_keys(&self, org: &str, number: &str) -> Result<Vec<RecordKey>, Fault> {
        let doing = failed("reading the names of dossiers");
        let known = sqlx::query(
            "SELECT records.unit, records.number FROM sync_keys JOIN records ON records.unit = sync_keys.unit \
             AND records.number = COALESCE(sync_keys.kept, sync_keys.number) AND records.removed_at IS NULL \
             WHERE org = $1 AND sync_keys.number = $2 \
             AND (sync_keys.unit = $1 OR substr(sync_keys.unit, 1, length($3)) = $3)",
        );
        // What is no longer below the agency is no longer its own, whatever its numbers led to.
        let known =
            known.bind(org).bind(number).bind(format!("{org}.")).fetch_all(self.readers()).await.map_err(&doing)?;
        let rows = if known.is_empty() {
            sqlx::query(
                "SELECT unit, number FROM records WHERE number = $1 AND removed_at IS NULL \
                 AND (unit = $2 OR substr(unit, 1, length($3)) = $3) AND NOT EXISTS (SELECT 1 FROM sync_keys \
                 WHERE COALESCE(sync_keys.kept, sync_keys.number) = records.number \
                 AND sync_keys.unit = records.unit AND (org <> $2 OR kept IS NOT NULL)) ORDER BY unit",
            )
            .bind(number)
            .bind(org)
            .bind(format!("{org}."))
            .fetch_all(self.readers())
            .await
            .map_err(&doing)?
        } else {
            known
        };
        let key = |row: &AnyRow| Ok(RecordKey { unit: row.try_get(0)?, number: row.try_get(1)? });
        rows.iter().map(key).collect::<Result<_, _>>().map_err(doing)
    }

    /// The last version of a record that a call wrote; `None` when it wrote none.
    pub async fn version_by_sync_call(&self, transaction: &str, record: &Handle) -> Result<Option<i64>, Fault> {
        let statement =
            "SELECT MAX(version) FROM record_versions WHERE record = $1 AND way = 'sync' AND reference = $2";
        let row = sqlx::query(statement).bind(record.as_str()).bind(transaction).fetch_one(self.readers()).await;
        row.and_then(|row| row.try_get(0)).map_err(failed("reading versions of a record"))
    }

    /// Clears away calls from before `before`. Returns how many.
    pub async fn clear_sync_calls(&self, before: UnixSeconds) -> Result<u64> {
        self.clear_rows("sync_calls", "transaction_id", "at < $1", before).await
    }

    /// Calls of an account that asked the same, newest first, refused ones left out.
    pub async fn earlier_sync_calls(&self, account: &str, digest: &str) -> Result<Vec<SyncCall>, Fault> {
        let statement = format!(
            "{SELECT} WHERE account = $1 AND digest = $2 AND outcome <> 'refused' AND repeats IS NULL \
             ORDER BY at DESC, transaction_id LIMIT 100"
        );
        let rows = sqlx::query(AssertSqlSafe(statement)).bind(account).bind(digest).fetch_all(self.readers()).await;
        rows.map_err(failed("reading calls"))?.iter().map(call).collect()
    }

    /// One call.
    pub async fn sync_call(&self, transaction: &str) -> Result<Option<SyncCall>, Fault> {
        let statement = format!("{SELECT} WHERE transaction_id = $1");
        let row = sqlx::query(AssertSqlSafe(statement)).bind(transaction).fetch_optional(self.readers()).await;
        row.map_err(failed("reading a call"))?.as_ref().map(call).transpose()
    }

    /// Calls, newest first.
    pub async fn sync_calls(&self, filter: &SyncCallFilter) -> Result<Vec<SyncCall>, Fault> {
        let mut texts = Vec::new();
        let mut conditions = Vec::new();
        let mut place = |text: String| {
            texts.push(text);
            texts.len() + 2
        };
        if let Some(units) = &filter.units {
            let each = units.iter().map(|unit| {
                let (same, below) = (place(unit.clone()), place(format!("{unit}.")));
                format!("unit = ${same} OR substr(unit, 1, length(${below})) = ${below}")
            });
            let each: Vec<_> = each.collect();
            conditions.push(if each.is_empty() { "1 = 0".into() } else { format!("({})", each.join(" OR ")) });
        }
        if let Some(outcome) = filter.outcome {
            conditions.push(format!("outcome = ${}", place(outcome.word().into())));
        }
        if let Some(account) = &filter.account {
            conditions.push(format!("account = ${}", place(account.clone())));
        }
        let (at, transaction) = filter.after.clone().unwrap_or((i64::MAX, String::new()));
        let after = place(transaction);
        conditions.push(format!("(at < $1 OR (at = $1 AND transaction_id < ${after}))"));
        let statement =
            format!("{SELECT} WHERE {} ORDER BY at DESC, transaction_id DESC LIMIT $2", conditions.join(" AND "));
        let query = sqlx::query(AssertSqlSafe(statement)).bind(at).bind(filter.limit);
        let query = texts.into_iter().fold(query, sqlx::query::Query::bind);
        query.fetch_all(self.readers()).await.map_err(failed("reading calls"))?.iter().map(call).collect()
    }
}

const SELECT: &str = "SELECT transaction_id, at, account, unit, operation, action, dossiers, outcome, codes, duration_ms, \
    digest, repeats, message, detail FROM sync_calls";

fn call(row: &AnyRow) -> Result<SyncCall, Fault> {
    let doing = failed("reading a call");
    let text = |column: &str| row.try_get::<String, _>(column).map_err(&doing);
    let number = |column: &str| row.try_get::<i64, _>(column).map_err(&doing);
    let perhaps = |column: &str| row.try_get::<Option<String>, _>(column).map_err(&doing);
    let outcome = SyncOutcome::parse(&text("outcome")?);
    Ok(SyncCall {
        transaction: text("transaction_id")?,
        at: number("at")?,
        account: text("account")?,
        unit: text("unit")?,
        operation: text("operation")?,
        action: perhaps("action")?,
        dossiers: number("dossiers")?,
        outcome: outcome.ok_or_else(|| Fault::new("reading a call", "its outcome is unknown"))?,
        codes: text("codes")?.split(' ').filter(|code| !code.is_empty()).map(str::to_owned).collect(),
        duration_ms: number("duration_ms")?,
        digest: text("digest")?,
        repeats: perhaps("repeats")?,
        message: text("message")?,
        detail: text("detail")?,
    })
}

async fn write_call(transaction: &mut Transaction<'_>, call: &SyncCall) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO sync_calls (transaction_id, at, account, unit, operation, action, dossiers, outcome, codes, \
         duration_ms, digest, repeats, message, detail) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
         ON CONFLICT (transaction_id) DO UPDATE SET outcome = excluded.outcome, codes = excluded.codes, \
         duration_ms = excluded.duration_ms, repeats = excluded.repeats, message = excluded.message, \
         detail = excluded.detail",
    )
    .bind(&call.transaction)
    .bind(call.at)
    .bind(&call.account)
    .bind(&call.unit)
    .bind(&call.operation)
    .bind(&call.action)
    .bind(call.dossiers)
    .bind(call.outcome.word())
    .bind(call.codes.join(" "))
    .bind(call.duration_ms)
    .bind(&call.digest)
    .bind(&call.repeats)
    .bind(&call.message)
    .bind(&call.detail)
    .execute(&mut **transaction)
    .await
    .map_err(failed("noting a call"))?;
    Ok(())
}

struct BeginCall {
    call: SyncCall,
    adds: Vec<SyncKey>,
    until: UnixSeconds,
}

impl Change for BeginCall {
    type Done = ();
    const TAKES_BACK: bool = true;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        for SyncKey { number, .. } in &self.adds {
            // Where the number leads to is left as it is, or to nothing, until the record is there: a call that is refused
            // would leave it leading to somebody else's.
            let held = sqlx::query(
                "INSERT INTO sync_keys (org, number, unit, claimed_by, claimed_until) VALUES ($1, $2, '', $3, $4) \
                 ON CONFLICT (org, number) DO UPDATE SET claimed_by = excluded.claimed_by, \
                 claimed_until = excluded.claimed_until \
                 WHERE sync_keys.claimed_until <= $5 OR sync_keys.claimed_by = excluded.claimed_by",
            )
            .bind(&self.call.unit)
            .bind(number)
            .bind(&self.call.transaction)
            .bind(self.until)
            .bind(self.call.at)
            .execute(&mut **transaction)
            .await
            .map_err(failed("holding a number"))?;
            if held.rows_affected() == 0 {
                return Err(Refusal::Busy("calls for this dossier").into());
            }
        }
        Ok(write_call(transaction, &self.call).await?)
    }
}

/// Numbers that led to a record lead to it where it stands now, whatever number it has there.
pub(in super::super) async fn follow_record(
    transaction: &mut Transaction<'_>,
    before: &RecordKey,
    after: &RecordKey,
) -> Result<(), Fault> {
    let doing = failed("moving the names of dossiers");
    // Another agency's numbers do not lead to it.
    sqlx::query(
        "DELETE FROM sync_keys WHERE COALESCE(kept, number) = $1 AND unit = $2 AND NOT (org = $3 \
         OR substr($3, 1, length(org) + 1) = org || '.')",
    )
    .bind(&before.number)
    .bind(&before.unit)
    .bind(&after.unit)
    .execute(&mut **transaction)
    .await
    .map_err(&doing)?;
    sqlx::query(
        "UPDATE sync_keys SET unit = $3, kept = CASE WHEN number = $4 THEN NULL ELSE $4 END \
         WHERE COALESCE(kept, number) = $1 AND unit = $2",
    )
    .bind(&before.number)
    .bind(&before.unit)
    .bind(&after.unit)
    .bind(&after.number)
    .execute(&mut **transaction)
    .await
    .map(|_| ())
    .map_err(doing)
}

struct NoteCall {
    call: SyncCall,
    keys: Vec<SyncKey>,
}

impl Change for NoteCall {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        write_call(transaction, &self.call).await?;
        for SyncKey { number, unit, kept } in &self.keys {
            sqlx::query(
                "INSERT INTO sync_keys (org, number, unit, claimed_by, claimed_until, kept) \
                 VALUES ($1, $2, $3, '', 0, $4) \
                 ON CONFLICT (org, number) DO UPDATE SET unit = excluded.unit, kept = excluded.kept",
            )
            .bind(&self.call.unit)
            .bind(number)
            .bind(unit)
            .bind(kept.as_deref())
            .execute(&mut **transaction)
            .await
            .map_err(failed("keeping the name of a dossier"))?;
        }
        sqlx::query("UPDATE sync_keys SET claimed_until = 0 WHERE claimed_by = $1 AND claimed_until > 0")
            .bind(&self.call.transaction)
            .execute(&mut **transaction)
            .await
            .map_err(failed("giving numbers back"))?;
        Ok(())
    }
}
