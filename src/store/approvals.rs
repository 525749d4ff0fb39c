//! Monthly approvals, the certificates of those who may approve, and which versions of records are signed.
//!
//! An approval is written once, whole, with the leaves of its tree; the database itself refuses to change it. That its
//! records are signed is marked part by part afterwards, so that an approval of a whole province keeps nobody waiting: a
//! crash in between leaves parts that the next round marks.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::cards::handle;
use super::quality::end_of;
use super::{Change, Line, Store, Transaction, failed, places};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Refusal, Result};
use crate::model::approval::Leaf;
use crate::model::calendar::Month;

/// Leaves of one part.
const PART: usize = 5_000;
/// States of one unit that are kept to be signed: whoever asks again and again fills no disk.
pub const MOST_DRAFTS: i64 = 10;

/// An approval, without its leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalRow {
    /// Its random name.
    pub id: String,
    /// The unit, with everything below it.
    pub unit: String,
    /// The month.
    pub month: Month,
    /// Who: the name of the caller.
    pub approver: String,
    /// When.
    pub approved_at: UnixSeconds,
    /// Why late.
    pub reason: Option<String>,
    /// `cms` or `jws`.
    pub form: String,
    /// The signed bytes, canonical JSON.
    pub document: String,
    /// SHA-256 of them, in hexadecimal.
    pub document_sha256: String,
    /// The digest of the document before, if there is one.
    pub previous: Option<String>,
    /// The signature's bytes.
    pub signature: Vec<u8>,
    /// The signer's certificate, DER.
    pub certificate: Vec<u8>,
    /// SHA-256 of it, in hexadecimal.
    pub certificate_sha256: String,
    /// Its subject.
    pub subject: String,
}

/// A certificate with which an officer may approve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApproverCertificate {
    /// Its random name.
    pub id: String,
    /// The officer: the name of the caller.
    pub officer: String,
    /// SHA-256, in hexadecimal.
    pub sha256: String,
    /// Its subject.
    pub subject: String,
    /// `certificate`: this one; `subject`: any that a root certifies for the same subject.
    pub matches: String,
    /// DER.
    pub certificate: Vec<u8>,
    /// The last instant at which it is valid.
    pub not_after: UnixSeconds,
    /// When it was registered.
    pub added_at: UnixSeconds,
    /// By whom.
    pub added_by: String,
}

const APPROVAL: &str = "id, unit, month, approver, approved_at, reason, form, document, document_sha256, previous, \
    signature, certificate, certificate_sha256, subject";

fn approval(row: &AnyRow) -> Result<ApprovalRow, Fault> {
    let doing = "reading an approval";
    let read = || -> Result<(String, ApprovalRow), sqlx::Error> {
        let previous: String = row.try_get("previous")?;
        let month: String = row.try_get("month")?;
        let row = ApprovalRow {
            id: row.try_get("id")?,
            unit: row.try_get("unit")?,
            month: Month::of(0),
            approver: row.try_get("approver")?,
            approved_at: row.try_get("approved_at")?,
            reason: row.try_get("reason")?,
            form: row.try_get("form")?,
            document: row.try_get("document")?,
            document_sha256: row.try_get("document_sha256")?,
            previous: Some(previous).filter(|previous| !previous.is_empty()),
            signature: row.try_get("signature")?,
            certificate: row.try_get("certificate")?,
            certificate_sha256: row.try_get("certificate_sha256")?,
            subject: row.try_get("subject")?,
        };
        Ok((month, row))
    };
    let (month, row) = read().map_err(failed(doing))?;
    let month = Month::parse(&month).ok_or_else(|| Fault::new(doing, "its month is malformed"))?;
    Ok(ApprovalRow { month, ..row })
}

const CERTIFICATE: &str = "id, officer, sha256, subject, matches, certificate, not_after, added_at, added_by";

fn certificate(row: &AnyRow) -> Result<ApproverCertificate, sqlx::Error> {
    Ok(ApproverCertificate {
        id: row.try_get("id")?,
        officer: row.try_get("officer")?,
        sha256: row.try_get("sha256")?,
        subject: row.try_get("subject")?,
        matches: row.try_get("matches")?,
        certificate: row.try_get("certificate")?,
        not_after: row.try_get("not_after")?,
        added_at: row.try_get("added_at")?,
        added_by: row.try_get("added_by")?,
    })
}

impl Store {
    /// The state of every record of a unit and of everything below it, in no order; at most `limit`.
    pub async fn approval_leaves(&self, unit: &str, limit: i64) -> Result<Vec<Leaf>, Fault> {
        let doing = "reading the state of a unit";
        let rows = sqlx::query(
            "SELECT records.id, records.version, records.digest FROM quality JOIN records ON records.id = quality.record \
             WHERE quality.unit >= $1 AND quality.unit < $2 LIMIT $3",
        )
        .bind(unit.to_owned())
        .bind(end_of(unit))
        .bind(limit)
        .fetch_all(self.readers())
        .await
        .map_err(failed(doing))?;
        let leaf = |row: &AnyRow| -> Result<Leaf, Fault> {
            let version = row.try_get("version").map_err(failed(doing))?;
            let digest = row.try_get("digest").map_err(failed(doing))?;
            Ok(Leaf { record: handle(row, "id")?, version, digest })
        };
        rows.iter().map(leaf).collect()
    }

    /// The unit's last approval.
    pub async fn last_approval(&self, unit: &str) -> Result<Option<ApprovalRow>, Fault> {
        let statement = format!("SELECT {APPROVAL} FROM approvals WHERE unit = $1 ORDER BY month DESC LIMIT 1");
        let row = sqlx::query(AssertSqlSafe(statement)).bind(unit.to_owned()).fetch_optional(self.readers()).await;
        row.map_err(failed("reading an approval"))?.as_ref().map(approval).transpose()
    }

    /// The approval with this name.
    pub async fn approval(&self, id: &str) -> Result<Option<ApprovalRow>, Fault> {
        let statement = format!("SELECT {APPROVAL} FROM approvals WHERE id = $1");
        let row = sqlx::query(AssertSqlSafe(statement)).bind(id.to_owned()).fetch_optional(self.readers()).await;
        row.map_err(failed("reading an approval"))?.as_ref().map(approval).transpose()
    }

    /// Approvals of a unit and of the units below it, newest first after `before`: instant and name of the last of a page.
    pub async fn approvals(
        &self,
        unit: &str,
        before: Option<(UnixSeconds, &str)>,
        limit: i64,
    ) -> Result<Vec<ApprovalRow>, Fault> {
        let statement = format!(
            "SELECT {APPROVAL} FROM approvals WHERE (unit = $1 OR unit LIKE $2) \
             AND (approved_at < $3 OR (approved_at = $3 AND id < $4)) ORDER BY approved_at DESC, id DESC LIMIT $5"
        );
        let (at, id) = before.unwrap_or((UnixSeconds::MAX, ""));
        let query = sqlx::query(AssertSqlSafe(statement)).bind(unit.to_owned()).bind(below(unit)).bind(at);
        let rows = query.bind(id.to_owned()).bind(limit).fetch_all(self.readers()).await;
        rows.map_err(failed("reading approvals"))?.iter().map(approval).collect()
    }

    /// What was approved for a month in a unit and below: unit, approver, when, and whether late.
    pub async fn approvals_of_month(
        &self,
        unit: &str,
        month: Month,
    ) -> Result<Vec<(String, String, UnixSeconds, bool)>, Fault> {
        let doing = "reading approvals";
        let rows = sqlx::query(
            "SELECT unit, approver, approved_at, reason FROM approvals WHERE month = $1 AND (unit = $2 OR unit LIKE $3) \
             ORDER BY unit LIMIT 10000",
        )
        .bind(month.to_string())
        .bind(unit.to_owned())
        .bind(below(unit))
        .fetch_all(self.readers())
        .await
        .map_err(failed(doing))?;
        let read = |row: &AnyRow| -> Result<_, sqlx::Error> {
            let reason: Option<String> = row.try_get(3)?;
            Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, reason.is_some()))
        };
        rows.iter().map(read).collect::<Result<_, _>>().map_err(failed(doing))
    }

    /// Whether the month was approved in one of these units.
    pub async fn is_approved_in(&self, units: &[&str], month: Month) -> Result<bool, Fault> {
        let wanted = (2..2 + units.len()).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ");
        let statement = format!("SELECT 1 FROM approvals WHERE month = $1 AND unit IN ({wanted}) LIMIT 1");
        let query = sqlx::query(AssertSqlSafe(statement)).bind(month.to_string());
        let query = units.iter().fold(query, |query, unit| query.bind((*unit).to_owned()));
        Ok(query.fetch_optional(self.readers()).await.map_err(failed("reading approvals"))?.is_some())
    }

    /// The leaves of an approval as text, a line each.
    pub async fn approved_leaves(&self, id: &str) -> Result<String, Fault> {
        let doing = "reading the leaves of an approval";
        let rows = sqlx::query("SELECT leaves FROM approval_leaves WHERE approval = $1 ORDER BY part")
            .bind(id.to_owned())
            .fetch_all(self.readers())
            .await
            .map_err(failed(doing))?;
        rows.iter().map(|row| row.try_get::<String, _>(0)).collect::<Result<_, _>>().map_err(failed(doing))
    }

    /// Keeps a state that is handed out to be signed, by its digest with its leaves; of each unit the newest [`MOST_DRAFTS`].
    pub async fn keep_draft(&self, unit: &str, sha256: String, leaves: &[Leaf], at: UnixSeconds) -> Result<()> {
        let parts = leaves.chunks(PART).map(|part| part.iter().map(|leaf| leaf.text() + "\n").collect()).collect();
        self.write(KeepDraft { unit: unit.to_owned(), sha256, parts, at }).await
    }

    /// Whether a state with this digest was handed out, and is still known.
    pub async fn has_draft(&self, sha256: &str) -> Result<bool, Fault> {
        let query = sqlx::query("SELECT 1 FROM approval_drafts WHERE document_sha256 = $1").bind(sha256.to_owned());
        let row = query.fetch_optional(self.readers()).await;
        Ok(row.map_err(failed("looking a state up that was signed"))?.is_some())
    }

    /// Keeps an approval with the leaves of the state that was handed out. Refused when that state is no longer known, when
    /// the month is approved already, and when another approval of the unit came after the one that this one names.
    pub async fn keep_approval(&self, approval: ApprovalRow) -> Result<()> {
        self.write(Approve { approval }).await
    }

    /// How many records of a unit and of everything below it have a present version that no approval has signed, counted
    /// now; see [`UnitQuality::signed`](super::UnitQuality::signed) for what was computed.
    pub async fn count_unsigned(&self, unit: &str) -> Result<i64, Fault> {
        let row = sqlx::query(
            "SELECT COUNT(*) FROM quality JOIN records ON records.id = quality.record AND records.removed_at IS NULL \
             LEFT JOIN signed_records ON signed_records.record = records.id AND signed_records.version = records.version \
             WHERE quality.unit >= $1 AND quality.unit < $2 AND signed_records.record IS NULL",
        )
        .bind(unit.to_owned())
        .bind(end_of(unit))
        .fetch_one(self.readers())
        .await;
        row.and_then(|row| row.try_get(0)).map_err(failed("counting records that no approval has signed"))
    }

    /// Marks the records of one part of an approval as signed; `false` when no part is left.
    pub async fn mark_signed(&self) -> Result<bool> {
        let doing = "looking for approvals to mark";
        let row = sqlx::query(
            "SELECT approval_parts_to_mark.approval, approval_parts_to_mark.part, approval_leaves.leaves, \
             approvals.approved_at FROM approval_parts_to_mark \
             JOIN approval_leaves ON approval_leaves.approval = approval_parts_to_mark.approval \
             AND approval_leaves.part = approval_parts_to_mark.part \
             JOIN approvals ON approvals.id = approval_parts_to_mark.approval \
             ORDER BY approvals.approved_at, approval_parts_to_mark.approval, approval_parts_to_mark.part LIMIT 1",
        )
        .fetch_optional(self.readers())
        .await
        .map_err(failed(doing))?;
        let Some(row) = row else { return Ok(false) };
        let text: String = row.try_get(2).map_err(failed(doing))?;
        let mark = MarkSigned {
            approval: row.try_get(0).map_err(failed(doing))?,
            part: row.try_get(1).map_err(failed(doing))?,
            leaves: text.lines().filter_map(Leaf::parse).collect(),
            at: row.try_get(3).map_err(failed(doing))?,
            rows: self.dialect.rows_per_statement(),
        };
        self.write(mark).await.map(|()| true)
    }

    /// Registers a certificate.
    pub async fn add_approver_certificate(&self, certificate: ApproverCertificate) -> Result<()> {
        self.write(AddCertificate(certificate)).await
    }

    /// Takes a certificate out; `false` when there is none in force.
    pub async fn remove_approver_certificate(&self, id: &str, actor: &str, at: UnixSeconds) -> Result<bool> {
        self.write(RemoveCertificate { id: id.to_owned(), actor: actor.to_owned(), at }).await
    }

    /// The certificates in force, of one officer or of all; at most 10,000.
    pub async fn approver_certificates(&self, officer: Option<&str>) -> Result<Vec<ApproverCertificate>, Fault> {
        let doing = "reading certificates of approvers";
        let statement = format!(
            "SELECT {CERTIFICATE} FROM approver_certificates WHERE removed_at IS NULL AND ($1 = '' OR officer = $1) \
             ORDER BY officer, added_at, id LIMIT 10000"
        );
        let query = sqlx::query(AssertSqlSafe(statement)).bind(officer.unwrap_or_default().to_owned());
        let rows = query.fetch_all(self.readers()).await.map_err(failed(doing))?;
        rows.iter().map(certificate).collect::<Result<_, _>>().map_err(failed(doing))
    }
}

/// Everything below a unit; the nation is the empty unit.
fn below(unit: &str) -> String {
    if unit.is_empty() { "%".to_owned() } else { format!("{unit}.%") }
}

struct KeepDraft {
    unit: String,
    sha256: String,
    parts: Vec<String>,
    at: UnixSeconds,
}

impl Change for KeepDraft {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        let doing = "keeping a state to be signed";
        let kept = sqlx::query(
            "INSERT INTO approval_drafts (document_sha256, unit, made_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        )
        .bind(&self.sha256)
        .bind(&self.unit)
        .bind(self.at)
        .execute(&mut **transaction)
        .await
        .map_err(failed(doing))?;
        if kept.rows_affected() == 0 {
            return Ok(());
        }
        for (part, leaves) in (0_i64..).zip(&self.parts) {
            sqlx::query("INSERT INTO approval_draft_leaves (document_sha256, part, leaves) VALUES ($1, $2, $3)")
                .bind(&self.sha256)
                .bind(part)
                .bind(leaves)
                .execute(&mut **transaction)
                .await
                .map_err(failed(doing))?;
        }
        sqlx::query(
            "DELETE FROM approval_drafts WHERE unit = $1 AND document_sha256 NOT IN (SELECT document_sha256 \
             FROM approval_drafts WHERE unit = $1 ORDER BY made_at DESC, document_sha256 LIMIT $2)",
        )
        .bind(&self.unit)
        .bind(MOST_DRAFTS)
        .execute(&mut **transaction)
        .await
        .map(|_| ())
        .map_err(|error| failed(doing)(error).into())
    }
}

struct Approve {
    approval: ApprovalRow,
}

impl Change for Approve {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        let doing = "writing an approval";
        let one = &self.approval;
        let draft = sqlx::query("SELECT 1 FROM approval_drafts WHERE document_sha256 = $1").bind(&one.document_sha256);
        if draft.fetch_optional(&mut **transaction).await.map_err(failed(doing))?.is_none() {
            return Err(Refusal::StateMoved.into());
        }
        let statement = format!("INSERT INTO approvals ({APPROVAL}) VALUES {} ON CONFLICT DO NOTHING", places(1, 14));
        let written = sqlx::query(AssertSqlSafe(statement))
            .bind(&one.id)
            .bind(&one.unit)
            .bind(one.month.to_string())
            .bind(&one.approver)
            .bind(one.approved_at)
            .bind(one.reason.as_deref())
            .bind(&one.form)
            .bind(&one.document)
            .bind(&one.document_sha256)
            .bind(one.previous.as_deref().unwrap_or_default())
            .bind(one.signature.as_slice())
            .bind(one.certificate.as_slice())
            .bind(&one.certificate_sha256)
            .bind(&one.subject)
            .execute(&mut **transaction)
            .await
            .map_err(failed(doing))?;
        if written.rows_affected() == 0 {
            return Err(Refusal::AlreadyApproved.into());
        }
        for (into, columns) in [
            ("approval_leaves (approval, part, leaves)", "part, leaves"),
            ("approval_parts_to_mark (approval, part)", "part"),
        ] {
            let statement = format!(
                "INSERT INTO {into} SELECT CAST($1 AS TEXT), {columns} FROM approval_draft_leaves \
                 WHERE document_sha256 = $2"
            );
            let query = sqlx::query(AssertSqlSafe(statement)).bind(&one.id).bind(&one.document_sha256);
            query.execute(&mut **transaction).await.map_err(failed(doing))?;
        }
        let detail = format!("{} {} {}", one.month, one.id, one.document_sha256);
        transaction.note(Line {
            at: one.approved_at,
            actor: one.approver.clone(),
            action: "quality.approved",
            subject: one.unit.clone(),
            detail,
        });
        Ok(())
    }
}

struct MarkSigned {
    approval: String,
    part: i64,
    leaves: Vec<Leaf>,
    at: UnixSeconds,
    rows: usize,
}

impl Change for MarkSigned {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        let doing = "marking records as signed";
        for chunk in self.leaves.chunks(self.rows) {
            let statement = format!(
                "INSERT INTO signed_records (record, version, signed_at, approval) VALUES {} \
                 ON CONFLICT (record) DO UPDATE SET version = excluded.version, signed_at = excluded.signed_at, \
                 approval = excluded.approval WHERE signed_records.version < excluded.version \
                 OR (signed_records.version = excluded.version AND signed_records.signed_at < excluded.signed_at)",
                places(chunk.len(), 4)
            );
            let mut query = sqlx::query(AssertSqlSafe(statement));
            for leaf in chunk {
                query = query.bind(leaf.record.as_str()).bind(leaf.version).bind(self.at).bind(&self.approval);
            }
            query.execute(&mut **transaction).await.map_err(failed(doing))?;
        }
        sqlx::query("DELETE FROM approval_parts_to_mark WHERE approval = $1 AND part = $2")
            .bind(&self.approval)
            .bind(self.part)
            .execute(&mut **transaction)
            .await
            .map(|_| ())
            .map_err(|error| failed(doing)(error).into())
    }
}

struct AddCertificate(ApproverCertificate);

impl Change for AddCertificate {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        let one = &self.0;
        sqlx::query(AssertSqlSafe(format!(
            "INSERT INTO approver_certificates ({CERTIFICATE}) VALUES {}",
            places(1, 9)
        )))
        .bind(&one.id)
        .bind(&one.officer)
        .bind(&one.sha256)
        .bind(&one.subject)
        .bind(&one.matches)
        .bind(one.certificate.as_slice())
        .bind(one.not_after)
        .bind(one.added_at)
        .bind(&one.added_by)
        .execute(&mut **transaction)
        .await
        .map_err(failed("registering a certificate"))?;
        let detail = format!("{} {} {}", one.id, one.matches, one.sha256);
        let (at, actor, subject) = (one.added_at, one.added_by.clone(), one.officer.clone());
        transaction.note(Line { at, actor, action: "approver_certificate.added", subject, detail });
        Ok(())
    }
}

struct RemoveCertificate {
    id: String,
    actor: String,
    at: UnixSeconds,
}

impl Change for RemoveCertificate {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let doing = "taking a certificate out";
        let row = sqlx::query(
            "UPDATE approver_certificates SET removed_at = $2, removed_by = $3 WHERE id = $1 AND removed_at IS NULL \
             RETURNING officer",
        )
        .bind(&self.id)
        .bind(self.at)
        .bind(&self.actor)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(failed(doing))?;
        let Some(row) = row else { return Ok(false) };
        let (actor, subject) = (self.actor.clone(), row.try_get(0).map_err(failed(doing))?);
        let detail = self.id.clone();
        transaction.note(Line { at: self.at, actor, action: "approver_certificate.removed", subject, detail });
        Ok(true)
    }
}
