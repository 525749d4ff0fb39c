//! Uploads of filled-in forms: where each stands, what was found of its rows, and who works on it.
//!
//! Whoever works on an upload has claimed it by one conditional statement, and every step names the claim: of two processes
//! one goes on, and when it is killed another takes over at the last durable line.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};
use time::Date;

use super::{Change, Line, Store, Transaction, failed, places};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Refusal, Result};
use crate::model::calendar::parse_day;
use crate::model::upload::{RowOutcome, UploadState};

/// Rows of one statement.
const ROWS: usize = 32;

/// An upload as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Upload {
    /// Its name.
    pub id: String,
    /// The unit that it is for, with all below.
    pub unit: String,
    /// What its file was called.
    pub name: String,
    /// `xlsx` or `csv`.
    pub format: String,
    /// Where it stands.
    pub state: UploadState,
    /// Who brought it.
    pub uploaded_by: String,
    /// When.
    pub created_at: UnixSeconds,
    /// The file's length.
    pub bytes: i64,
    /// The file's SHA-256 in hexadecimal.
    pub sha256: String,
    /// Field codes of the file's columns.
    pub columns: Vec<String>,
    /// The last line that is durable in this state.
    pub line: i64,
    /// How much of the file was read in this state.
    pub bytes_done: i64,
    /// How many rows are durable in this state.
    pub rows_done: i64,
    /// What was found and done.
    pub counts: UploadCounts,
    /// Why the file as a whole cannot be read: code, Vietnamese, English.
    pub fault: Option<(String, String, String)>,
    /// The day from which its rows hold.
    pub effective_on: Option<Date>,
    /// Whether rows with faults are left out.
    pub only_good_rows: Option<bool>,
    /// When it was submitted.
    pub submitted_at: Option<UnixSeconds>,
    /// By whom.
    pub submitted_by: Option<String>,
    /// When its last row was written.
    pub finished_at: Option<UnixSeconds>,
    /// When whoever works on it began, and how many rows and bytes were done then.
    pub began: Option<(UnixSeconds, i64, i64)>,
    /// When its file and rows were cleared away.
    pub cleared_at: Option<UnixSeconds>,
}

/// What was found of the rows of an upload, and what was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UploadCounts {
    /// Records that are not there.
    pub new: i64,
    /// Records that get another version.
    pub changed: i64,
    /// Records that say the same.
    pub unchanged: i64,
    /// Rows that cannot be taken.
    pub faults: i64,
    /// Fields that change, in all changed records together.
    pub changed_fields: i64,
    /// Rows that were written.
    pub written: i64,
    /// Rows that wait for their day.
    pub waiting: i64,
    /// Rows whose record somebody else changed after the check.
    pub conflicts: i64,
}

/// An upload that begins.
#[derive(Clone, Debug)]
pub struct NewUpload {
    /// Its name.
    pub id: String,
    /// The unit that it is for.
    pub unit: String,
    /// What its file is called.
    pub name: String,
    /// Who brings it.
    pub uploaded_by: String,
    /// Now.
    pub at: UnixSeconds,
}

/// A file that was received whole.
#[derive(Clone, Debug)]
pub struct ReceivedFile {
    /// `xlsx` or `csv`.
    pub format: &'static str,
    /// Its length.
    pub bytes: i64,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
}

/// What was found of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadRow {
    /// Its line in the file.
    pub line: i64,
    /// What it would do, or did.
    pub outcome: RowOutcome,
    /// The managing unit that it names, if that can be told.
    pub unit: String,
    /// The version of the record that it was compared with; 0 when there was none.
    pub base_version: i64,
    /// Fields that it changes.
    pub changed_fields: i64,
    /// The day from which it holds.
    pub waits_until: Option<Date>,
    /// Everything personal, encrypted.
    pub sealed: Vec<u8>,
}

/// A claim on an upload.
#[derive(Clone, Debug)]
pub struct UploadClaim {
    /// The upload.
    pub id: String,
    /// Names the claim.
    pub number: i64,
    /// When it ends unless it is renewed.
    pub until: UnixSeconds,
}

/// What a worker made durable: rows of a check, or what became of rows.
#[derive(Clone, Debug, Default)]
pub struct UploadStep {
    /// Up to which line.
    pub line: i64,
    /// How much of the file was read with it.
    pub bytes_done: i64,
    /// Rows in it.
    pub rows: i64,
    /// What is added to the counts.
    pub counts: UploadCounts,
    /// Field codes of the columns.
    pub columns: Option<String>,
    /// Rows that were checked.
    pub checked: Vec<UploadRow>,
    /// Rows of which something became.
    pub became: Vec<(i64, RowOutcome)>,
}

/// Which uploads are wanted.
#[derive(Clone, Debug, Default)]
pub struct UploadFilter {
    /// Of these units and below; of the whole nation when absent.
    pub units: Option<Vec<String>>,
    /// Of this unit and below.
    pub unit: Option<String>,
    /// In this state.
    pub state: Option<UploadState>,
    /// Older than this one: its instant and name.
    pub before: Option<(UnixSeconds, String)>,
}

const COLUMNS: &str = "id, unit, name, format, state, uploaded_by, created_at, bytes, sha256, columns, line, bytes_done, \
    rows_done, new_count, changed_count, unchanged_count, fault_count, changed_fields, written_count, waiting_count, \
    conflict_count, fault_code, fault_vi, fault_en, effective_on, only_good_rows, submitted_at, submitted_by, finished_at, \
    began_at, began_rows, began_bytes, cleared_at";

impl Store {
    /// Begins an upload.
    pub async fn begin_upload(&self, new: NewUpload) -> Result<()> {
        self.write(Begin(new)).await
    }

    /// The file is there: it can be checked. `false` if the upload was taken back meanwhile.
    pub async fn upload_received(&self, id: &str, file: ReceivedFile) -> Result<bool> {
        self.write(Received { id: id.to_owned(), file }).await
    }

    /// An upload by its name.
    pub async fn upload(&self, id: &str) -> Result<Option<Upload>, Fault> {
        let statement = format!("SELECT {COLUMNS} FROM uploads WHERE id = $1");
        let row = sqlx::query(AssertSqlSafe(statement)).bind(id).fetch_optional(self.readers()).await;
        row.map_err(failed("reading an upload"))?.as_ref().map(upload).transpose()
    }

    /// Uploads, the newest first.
    pub async fn uploads(&self, filter: &UploadFilter, limit: i64) -> Result<Vec<Upload>, Fault> {
        let (mut conditions, mut texts) = (vec!["1 = 1".to_owned()], Vec::new());
        let mut within = |units: &[String]| {
            let mut any = Vec::new();
            for unit in units {
                texts.push(unit.clone());
                let exact = texts.len();
                texts.push(format!("{unit}."));
                any.push(format!("unit = ${exact} OR substr(unit, 1, length(${0})) = ${0}", exact + 1));
            }
            conditions.push(if any.is_empty() { "1 = 0".to_owned() } else { format!("({})", any.join(" OR ")) });
        };
        if let Some(units) = &filter.units {
            within(units);
        }
        if let Some(unit) = &filter.unit {
            within(std::slice::from_ref(unit));
        }
        if let Some(state) = filter.state {
            texts.push(state.word().to_owned());
            conditions.push(format!("state = ${}", texts.len()));
        }
        let count = texts.len();
        if filter.before.is_some() {
            let (at, id) = (count + 1, count + 2);
            conditions.push(format!("(created_at < ${at} OR (created_at = ${at} AND id < ${id}))"));
        }
        let statement = format!(
            "SELECT {COLUMNS} FROM uploads WHERE {} ORDER BY created_at DESC, id DESC LIMIT ${}",
            conditions.join(" AND "),
            count + if filter.before.is_some() { 3 } else { 1 }
        );
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for text in texts {
            query = query.bind(text);
        }
        if let Some((at, id)) = &filter.before {
            query = query.bind(at).bind(id);
        }
        let rows = query.bind(limit).fetch_all(self.readers()).await.map_err(failed("reading uploads"))?;
        rows.iter().map(upload).collect()
    }

    /// Rows of an upload after a line, with one of these outcomes.
    pub async fn upload_rows(
        &self,
        id: &str,
        outcomes: &[RowOutcome],
        after: i64,
        limit: i64,
    ) -> Result<Vec<UploadRow>, Fault> {
        let words = outcomes.iter().map(|outcome| format!("'{}'", outcome.word())).collect::<Vec<_>>().join(", ");
        let statement = format!(
            "SELECT line, outcome, unit, base_version, changed_fields, waits_until, sealed FROM upload_rows \
             WHERE upload = $1 AND line > $2 AND outcome IN ({words}) ORDER BY line LIMIT $3"
        );
        let rows = sqlx::query(AssertSqlSafe(statement)).bind(id).bind(after).bind(limit);
        let rows = rows.fetch_all(self.readers()).await.map_err(failed("reading rows of an upload"))?;
        rows.iter().map(upload_row).collect()
    }

    /// Uploads that wait for somebody to work on them, the oldest first.
    pub async fn uploads_to_do(&self, now: UnixSeconds, limit: i64) -> Result<Vec<String>, Fault> {
        let rows = sqlx::query(
            "SELECT id FROM uploads WHERE state IN ('checking', 'submitting') AND claimed_until <= $1 \
             ORDER BY claimed_until, id LIMIT $2",
        );
        names(rows.bind(now).bind(limit).fetch_all(self.readers()).await, "looking for uploads")
    }

    /// Uploads whose file never came whole.
    pub async fn uploads_broken_off(&self, before: UnixSeconds, limit: i64) -> Result<Vec<String>, Fault> {
        let rows =
            sqlx::query("SELECT id FROM uploads WHERE state = 'receiving' AND created_at < $1 ORDER BY id LIMIT $2");
        names(rows.bind(before).bind(limit).fetch_all(self.readers()).await, "looking for uploads")
    }

    /// Uploads that are old enough to be cleared away.
    pub async fn uploads_to_clear(&self, before: UnixSeconds, limit: i64) -> Result<Vec<String>, Fault> {
        let rows = sqlx::query(
            "SELECT id FROM uploads WHERE cleared_at IS NULL AND created_at < $1 \
             AND state NOT IN ('receiving', 'checking', 'submitting') ORDER BY created_at LIMIT $2",
        );
        names(rows.bind(before).bind(limit).fetch_all(self.readers()).await, "looking for old uploads")
    }

    /// Claims an upload until `until`, if nobody else has. Returns it as it stands, and the claim.
    pub async fn claim_upload(
        &self,
        id: &str,
        now: UnixSeconds,
        until: UnixSeconds,
    ) -> Result<Option<(Upload, UploadClaim, i64)>> {
        self.write(Claim { id: id.to_owned(), now, until }).await
    }

    /// Renews a claim before a step that writes elsewhere; `false` if it is over.
    pub async fn renew_upload(&self, claim: &UploadClaim, state: UploadState) -> Result<bool> {
        self.write(Renew { claim: claim.clone(), state }).await
    }

    /// Makes a step durable; `false` if the claim is over or somebody took the upload back: nothing was written.
    pub async fn step_upload(&self, claim: &UploadClaim, state: UploadState, step: UploadStep) -> Result<bool> {
        self.write(Step { claim: claim.clone(), state, durable: step }).await
    }

    /// Ends the work in a state: every row is checked, or written. `false` if the claim is over.
    pub async fn end_upload_work(&self, claim: &UploadClaim, from: UploadState, at: UnixSeconds) -> Result<bool> {
        self.write(End { claim: claim.clone(), from, at }).await
    }

    /// The file cannot be read. `false` if the upload does not stand there any more.
    pub async fn fail_upload(&self, id: &str, fault: (String, String, String), at: UnixSeconds) -> Result<bool> {
        self.write(Fail { id: id.to_owned(), fault, at }).await
    }

    /// Has the good rows written. `false` if the upload is not at rest after its check any more.
    pub async fn submit_upload(
        &self,
        id: &str,
        effective_on: Option<Date>,
        only_good_rows: bool,
        actor: &str,
        at: UnixSeconds,
    ) -> Result<bool> {
        self.write(Submit { id: id.to_owned(), effective_on, only_good_rows, actor: actor.to_owned(), at }).await
    }

    /// Takes an upload back, or clears one away: its rows are deleted. Refuses while its rows are written.
    pub async fn clear_upload(&self, id: &str, actor: &str, at: UnixSeconds) -> Result<()> {
        self.write(Clear { id: id.to_owned(), actor: actor.to_owned(), at }).await
    }
}

/// Uploads of one caller whose files are kept at the same time: what they take of the disk has an end.
const MOST_KEPT: i64 = 200;

struct Begin(NewUpload);

impl Change for Begin {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        let NewUpload { id, unit, name, uploaded_by, at } = &self.0;
        let doing = failed("counting uploads");
        let kept = sqlx::query("SELECT COUNT(*) FROM uploads WHERE uploaded_by = $1 AND cleared_at IS NULL")
            .bind(uploaded_by)
            .fetch_one(&mut **transaction)
            .await
            .map_err(&doing)?;
        if kept.try_get::<i64, _>(0).map_err(&doing)? >= MOST_KEPT {
            let rule = format!("at most {MOST_KEPT} uploads of one caller are kept at the same time: delete some");
            return Err(Refusal::TooMuch(rule).into());
        }
        sqlx::query(
            "INSERT INTO uploads (id, unit, name, format, state, uploaded_by, created_at) \
             VALUES ($1, $2, $3, '', 'receiving', $4, $5)",
        )
        .bind(id)
        .bind(unit)
        .bind(name)
        .bind(uploaded_by)
        .bind(at)
        .execute(&mut **transaction)
        .await
        .map_err(failed("beginning an upload"))?;
        transaction.note(line(id, uploaded_by, "upload.begun", unit.clone(), *at));
        Ok(())
    }
}

struct Received {
    id: String,
    file: ReceivedFile,
}

impl Change for Received {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let done = sqlx::query(
            "UPDATE uploads SET state = 'checking', format = $2, bytes = $3, sha256 = $4 \
             WHERE id = $1 AND state = 'receiving'",
        )
        .bind(&self.id)
        .bind(self.file.format)
        .bind(self.file.bytes)
        .bind(&self.file.sha256)
        .execute(&mut **transaction)
        .await
        .map_err(failed("receiving an upload"))?;
        Ok(done.rows_affected() == 1)
    }
}

struct Claim {
    id: String,
    now: UnixSeconds,
    until: UnixSeconds,
}

impl Change for Claim {
    type Done = Option<(Upload, UploadClaim, i64)>;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Self::Done> {
        let doing = failed("claiming an upload");
        let statement = format!(
            "UPDATE uploads SET claim = claim + 1, claimed_until = $3, attempts = attempts + 1, began_at = $2, \
             began_rows = rows_done, began_bytes = bytes_done \
             WHERE id = $1 AND claimed_until <= $2 AND state IN ('checking', 'submitting') \
             RETURNING {COLUMNS}, claim, attempts"
        );
        let row = sqlx::query(AssertSqlSafe(statement))
            .bind(&self.id)
            .bind(self.now)
            .bind(self.until)
            .fetch_optional(&mut **transaction)
            .await
            .map_err(&doing)?;
        let Some(row) = row else { return Ok(None) };
        let number = row.try_get("claim").map_err(&doing)?;
        let attempts = row.try_get("attempts").map_err(&doing)?;
        let claim = UploadClaim { id: self.id.clone(), number, until: self.until };
        Ok(Some((upload(&row)?, claim, attempts)))
    }
}

struct Renew {
    claim: UploadClaim,
    state: UploadState,
}

impl Change for Renew {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let done = sqlx::query("UPDATE uploads SET claimed_until = $4 WHERE id = $1 AND claim = $2 AND state = $3")
            .bind(&self.claim.id)
            .bind(self.claim.number)
            .bind(self.state.word())
            .bind(self.claim.until)
            .execute(&mut **transaction)
            .await
            .map_err(failed("renewing a claim on an upload"))?;
        Ok(done.rows_affected() == 1)
    }
}

struct Step {
    claim: UploadClaim,
    state: UploadState,
    durable: UploadStep,
}

impl Change for Step {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let doing = "writing a step of an upload";
        let UploadStep { line, bytes_done, rows, counts, columns, checked, became } = &self.durable;
        let done = sqlx::query(
            "UPDATE uploads SET line = $4, bytes_done = $5, rows_done = rows_done + $6, new_count = new_count + $7, \
             changed_count = changed_count + $8, unchanged_count = unchanged_count + $9, fault_count = fault_count + $10, \
             changed_fields = changed_fields + $11, written_count = written_count + $12, waiting_count = waiting_count + $13, \
             conflict_count = conflict_count + $14, columns = COALESCE($15, columns), claimed_until = $16, attempts = 0 \
             WHERE id = $1 AND claim = $2 AND state = $3 AND line < $4",
        )
        .bind(&self.claim.id)
        .bind(self.claim.number)
        .bind(self.state.word())
        .bind(line)
        .bind(bytes_done)
        .bind(rows)
        .bind(counts.new)
        .bind(counts.changed)
        .bind(counts.unchanged)
        .bind(counts.faults)
        .bind(counts.changed_fields)
        .bind(counts.written)
        .bind(counts.waiting)
        .bind(counts.conflicts)
        .bind(columns)
        .bind(self.claim.until)
        .execute(&mut **transaction)
        .await
        .map_err(failed(doing))?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        for chunk in checked.chunks(ROWS) {
            let statement = format!(
                "INSERT INTO upload_rows (upload, line, outcome, unit, base_version, changed_fields, waits_until, sealed) \
                 VALUES {}",
                places(chunk.len(), 8)
            );
            let mut query = sqlx::query(AssertSqlSafe(statement));
            for row in chunk {
                query = query
                    .bind(&self.claim.id)
                    .bind(row.line)
                    .bind(row.outcome.word())
                    .bind(&row.unit)
                    .bind(row.base_version)
                    .bind(row.changed_fields)
                    .bind(row.waits_until.map(|day| day.to_string()))
                    .bind(row.sealed.as_slice());
            }
            query.execute(&mut **transaction).await.map_err(failed(doing))?;
        }
        for outcome in RowOutcome::ALL {
            let lines: Vec<_> = became.iter().filter(|(_, became)| *became == outcome).map(|(line, _)| *line).collect();
            for chunk in lines.chunks(500) {
                let places = (2..2 + chunk.len()).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ");
                let statement = format!(
                    "UPDATE upload_rows SET outcome = '{}' WHERE upload = $1 AND line IN ({places})",
                    outcome.word()
                );
                let mut query = sqlx::query(AssertSqlSafe(statement)).bind(&self.claim.id);
                for line in chunk {
                    query = query.bind(*line);
                }
                query.execute(&mut **transaction).await.map_err(failed(doing))?;
            }
        }
        Ok(true)
    }
}

struct End {
    claim: UploadClaim,
    from: UploadState,
    at: UnixSeconds,
}

impl Change for End {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let doing = failed("ending the work on an upload");
        let (to, action) = match self.from {
            UploadState::Submitting => ("done", "upload.done"),
            _ => ("checked", "upload.checked"),
        };
        let row = sqlx::query(
            "UPDATE uploads SET state = $4, claimed_until = 0, bytes_done = bytes, \
             finished_at = CASE WHEN $4 = 'done' THEN $5 END WHERE id = $1 AND claim = $2 AND state = $3 \
             RETURNING uploaded_by, new_count, changed_count, fault_count, written_count, waiting_count, conflict_count",
        )
        .bind(&self.claim.id)
        .bind(self.claim.number)
        .bind(self.from.word())
        .bind(to)
        .bind(self.at)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(&doing)?;
        let Some(row) = row else { return Ok(false) };
        let count = |at: usize| row.try_get::<i64, _>(at).map_err(&doing);
        let detail = if to == "done" {
            format!("{} written, {} waiting, {} conflicts", count(4)?, count(5)?, count(6)?)
        } else {
            format!("{} new, {} changed, {} with faults", count(1)?, count(2)?, count(3)?)
        };
        let actor: String = row.try_get(0).map_err(&doing)?;
        transaction.note(line(&self.claim.id, &actor, action, detail, self.at));
        Ok(true)
    }
}

struct Fail {
    id: String,
    fault: (String, String, String),
    at: UnixSeconds,
}

impl Change for Fail {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let doing = failed("noting that an upload cannot be read");
        let (code, vi, en) = &self.fault;
        let row = sqlx::query(
            "UPDATE uploads SET state = 'failed', claimed_until = 0, fault_code = $2, fault_vi = $3, fault_en = $4, \
             finished_at = $5 WHERE id = $1 AND state IN ('receiving', 'checking', 'submitting') RETURNING uploaded_by",
        )
        .bind(&self.id)
        .bind(code)
        .bind(vi)
        .bind(en)
        .bind(self.at)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(&doing)?;
        let Some(row) = row else { return Ok(false) };
        let rows = sqlx::query("DELETE FROM upload_rows WHERE upload = $1").bind(&self.id);
        rows.execute(&mut **transaction).await.map_err(&doing)?;
        let actor: String = row.try_get(0).map_err(&doing)?;
        transaction.note(line(&self.id, &actor, "upload.failed", code.clone(), self.at));
        Ok(true)
    }
}

struct Submit {
    id: String,
    effective_on: Option<Date>,
    only_good_rows: bool,
    actor: String,
    at: UnixSeconds,
}

impl Change for Submit {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let on = self.effective_on.map(|day| day.to_string());
        let done = sqlx::query(
            "UPDATE uploads SET state = 'submitting', effective_on = $2, only_good_rows = $3, submitted_at = $4, \
             submitted_by = $5, line = 0, rows_done = 0, bytes_done = 0, attempts = 0, claimed_until = 0 \
             WHERE id = $1 AND state = 'checked' AND cleared_at IS NULL AND (fault_count = 0 OR $3 = 1)",
        )
        .bind(&self.id)
        .bind(&on)
        .bind(i64::from(self.only_good_rows))
        .bind(self.at)
        .bind(&self.actor)
        .execute(&mut **transaction)
        .await
        .map_err(failed("submitting an upload"))?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        transaction.note(line(&self.id, &self.actor, "upload.submitted", on.unwrap_or_default(), self.at));
        Ok(true)
    }
}

struct Clear {
    id: String,
    actor: String,
    at: UnixSeconds,
}

impl Change for Clear {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        let doing = "clearing an upload away";
        let cleared = sqlx::query(
            "UPDATE uploads SET state = CASE WHEN state IN ('receiving', 'checking', 'checked') THEN 'cancelled' ELSE state END, \
             cleared_at = $2, claimed_until = 0, name = '' WHERE id = $1 AND state <> 'submitting' AND cleared_at IS NULL",
        )
        .bind(&self.id)
        .bind(self.at)
        .execute(&mut **transaction)
        .await
        .map_err(failed(doing))?;
        if cleared.rows_affected() == 0 {
            return Err(Refusal::UploadState("is being written, or was cleared away before").into());
        }
        let rows = sqlx::query("DELETE FROM upload_rows WHERE upload = $1").bind(&self.id);
        rows.execute(&mut **transaction).await.map_err(failed(doing))?;
        transaction.note(line(&self.id, &self.actor, "upload.cleared", String::new(), self.at));
        Ok(())
    }
}

fn line(id: &str, actor: &str, action: &'static str, detail: String, at: UnixSeconds) -> Line {
    Line { at, actor: actor.to_owned(), action, subject: id.to_owned(), detail }
}

fn names(rows: Result<Vec<AnyRow>, sqlx::Error>, doing: &'static str) -> Result<Vec<String>, Fault> {
    let names = rows.map_err(failed(doing))?.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>();
    names.map_err(failed(doing))
}

fn day(text: Option<String>) -> Result<Option<Date>, Fault> {
    text.map(|text| parse_day(&text).ok_or_else(|| Fault::new("reading an upload", "its day is malformed"))).transpose()
}

fn upload_row(row: &AnyRow) -> Result<UploadRow, Fault> {
    let doing = "reading a row of an upload";
    let word: String = row.try_get(1).map_err(failed(doing))?;
    Ok(UploadRow {
        line: row.try_get(0).map_err(failed(doing))?,
        outcome: RowOutcome::parse(&word).ok_or_else(|| Fault::new(doing, "its outcome is unknown"))?,
        unit: row.try_get(2).map_err(failed(doing))?,
        base_version: row.try_get(3).map_err(failed(doing))?,
        changed_fields: row.try_get(4).map_err(failed(doing))?,
        waits_until: day(row.try_get(5).map_err(failed(doing))?)?,
        sealed: row.try_get(6).map_err(failed(doing))?,
    })
}

fn upload(row: &AnyRow) -> Result<Upload, Fault> {
    let doing = "reading an upload";
    let text = |column: &str| row.try_get::<String, _>(column).map_err(failed(doing));
    let number = |column: &str| row.try_get::<i64, _>(column).map_err(failed(doing));
    let instant = |column: &str| row.try_get::<Option<i64>, _>(column).map_err(failed(doing));
    let perhaps = |column: &str| row.try_get::<Option<String>, _>(column).map_err(failed(doing));
    let fault = perhaps("fault_code")?.map(|code| Ok::<_, Fault>((code, text("fault_vi")?, text("fault_en")?)));
    let (began_rows, began_bytes) = (number("began_rows")?, number("began_bytes")?);
    Ok(Upload {
        id: text("id")?,
        unit: text("unit")?,
        name: text("name")?,
        format: text("format")?,
        state: UploadState::parse(&text("state")?).ok_or_else(|| Fault::new(doing, "its state is unknown"))?,
        uploaded_by: text("uploaded_by")?,
        created_at: number("created_at")?,
        bytes: number("bytes")?,
        sha256: text("sha256")?,
        columns: serde_json::from_str(&text("columns")?).map_err(|error| Fault::new(doing, error))?,
        line: number("line")?,
        bytes_done: number("bytes_done")?,
        rows_done: number("rows_done")?,
        counts: UploadCounts {
            new: number("new_count")?,
            changed: number("changed_count")?,
            unchanged: number("unchanged_count")?,
            faults: number("fault_count")?,
            changed_fields: number("changed_fields")?,
            written: number("written_count")?,
            waiting: number("waiting_count")?,
            conflicts: number("conflict_count")?,
        },
        fault: fault.transpose()?,
        effective_on: day(perhaps("effective_on")?)?,
        only_good_rows: instant("only_good_rows")?.map(|flag| flag == 1),
        submitted_at: instant("submitted_at")?,
        submitted_by: perhaps("submitted_by")?,
        finished_at: instant("finished_at")?,
        began: instant("began_at")?.map(|at| (at, began_rows, began_bytes)),
        cleared_at: instant("cleared_at")?,
    })
}
