//! Proposals of officials about their own records, and the evidence that stands beside them: made, read, withdrawn,
//! appealed. How reviewers decide is `reviews`.
//!
//! Every step is one conditional statement on the state: of a withdrawal and an approval at once exactly one counts.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::cards::handle;
use super::{Change, Line, Store, Transaction, failed};
use crate::clock::{DAY_SECONDS, UnixSeconds};
use crate::error::{Fault, Refusal, Result};
use crate::model::id::{Handle, PersonalNumber};
use crate::model::origin::HOLDER;
use crate::model::proposal::ProposalState;

/// A proposal as it stands.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// Its random name.
    pub id: String,
    /// The record that it is about.
    pub record: Handle,
    /// The record's managing unit when it was proposed.
    pub unit: String,
    /// Who proposed it: whose record it is.
    pub person: PersonalNumber,
    /// The version that `patch` starts from.
    pub base_version: i64,
    /// The changed fields with old and new values: JSON of a patch.
    pub patch: String,
    /// What the person says to it.
    pub note: String,
    /// Where it stands.
    pub state: ProposalState,
    /// Whether it touches a sensitive field: two reviewers.
    pub is_sensitive: bool,
    /// From which day it holds (`yyyy-MM-dd`), if not at once.
    pub effective_on: Option<String>,
    /// When it was proposed.
    pub created_at: UnixSeconds,
    /// Until when it has to be decided.
    pub due_at: UnixSeconds,
    /// When it was decided.
    pub decided_at: Option<UnixSeconds>,
    /// Who decided.
    pub decided_by: Option<String>,
    /// Who approved first of two.
    pub first_approved_by: Option<String>,
    /// When.
    pub first_approved_at: Option<UnixSeconds>,
    /// Why it was refused: a code.
    pub reason: Option<String>,
    /// The same in the reviewer's words.
    pub reason_note: Option<String>,
    /// When the person appealed.
    pub appealed_at: Option<UnixSeconds>,
    /// What the person says against the refusal.
    pub appeal_note: Option<String>,
    /// The version of the record that it became.
    pub version: Option<i64>,
    /// What became of an approved change that waits for its day: `waiting`, `done`, `conflict` (others changed the fields
    /// meanwhile; somebody has to decide), `cancelled` or `superseded`.
    pub waiting_change: Option<String>,
}

/// A proposal that is to be made.
#[derive(Clone, Debug)]
pub struct NewProposal {
    /// Its random name.
    pub id: String,
    /// The record, of `person`.
    pub record: Handle,
    /// Its managing unit.
    pub unit: String,
    /// Who proposes.
    pub person: PersonalNumber,
    /// The version that `patch` starts from.
    pub base_version: i64,
    /// JSON of a patch.
    pub patch: String,
    /// What the person says to it.
    pub note: String,
    /// Whether it touches a sensitive field.
    pub is_sensitive: bool,
    /// From which day it holds (`yyyy-MM-dd`).
    pub effective_on: Option<String>,
    /// Evidence of the same person that is of no proposal yet.
    pub evidence: Vec<String>,
    /// A portrait that is proposed: the SHA-256 of its bytes (hexadecimal), and the bytes.
    pub portrait: Option<(String, Vec<u8>)>,
    /// Now.
    pub created_at: UnixSeconds,
    /// Until when it has to be decided.
    pub due_at: UnixSeconds,
    /// How many proposals a person may have waiting.
    pub most_waiting: i64,
    /// How many a person may make in a day of 24 hours, whatever becomes of them.
    pub most_a_day: i64,
}

/// A file beside a proposal; its bytes are encrypted in `place`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Its random name.
    pub id: String,
    /// The proposal, once there is one.
    pub proposal: Option<String>,
    /// Whose it is.
    pub person: PersonalNumber,
    /// The file's name as the person gave it.
    pub name: String,
    /// `image/jpeg`, `image/png` or `application/pdf`, by its content.
    pub media_type: String,
    /// Bytes in the clear.
    pub size: i64,
    /// SHA-256 of the bytes in the clear, hexadecimal.
    pub sha256: String,
    /// The file that holds it, encrypted.
    pub place: String,
    /// When it came.
    pub created_at: UnixSeconds,
}

/// The columns that [`proposal`] reads.
pub(super) const PROPOSAL_COLUMNS: &str = "proposals.id, proposals.record, proposals.unit, proposals.person, \
    proposals.base_version, proposals.patch, proposals.note, proposals.state, proposals.is_sensitive, \
    proposals.effective_on, proposals.created_at, proposals.due_at, proposals.decided_at, proposals.decided_by, \
    proposals.first_approved_by, proposals.first_approved_at, proposals.reason, proposals.reason_note, \
    proposals.appealed_at, proposals.appeal_note, proposals.version, \
    (SELECT MAX(waiting_changes.state) FROM waiting_changes WHERE waiting_changes.way = 'update' \
    AND waiting_changes.reference = proposals.id) AS waiting_change";

/// The states in which somebody has still to decide, for statements.
pub(super) const WAITING: &str = "('open', 'first_approved', 'appealed')";

/// What stands in place of a proposal's name while evidence is removed: first the file goes, then the row.
const GOING: &str = "";
/// A condition on `evidence`: its proposal is decided, and was before `$2`.
fn decided_before_2() -> String {
    format!(
        "EXISTS (SELECT 1 FROM proposals WHERE proposals.id = evidence.proposal AND proposals.state NOT IN {WAITING} \
         AND proposals.decided_at < $2)"
    )
}

const EVIDENCE_COLUMNS: &str = "id, proposal, person, name, media_type, size, sha256, place, created_at";

/// Evidence of one person or proposal that is read at once.
const MOST_EVIDENCE: i64 = 1_000;

impl Store {
    /// A proposal by its name.
    pub async fn proposal(&self, id: &str) -> Result<Option<Proposal>, Fault> {
        let statement = format!("SELECT {PROPOSAL_COLUMNS} FROM proposals WHERE id = $1");
        let row = sqlx::query(AssertSqlSafe(statement))
            .bind(id)
            .fetch_optional(self.readers())
            .await
            .map_err(failed("reading a proposal"))?;
        row.as_ref().map(proposal).transpose()
    }

    /// A person's proposals, newest first, after `after` (instant and name of the last one that was told).
    pub async fn proposals_of(
        &self,
        person: &PersonalNumber,
        after: Option<(UnixSeconds, String)>,
        limit: i64,
    ) -> Result<Vec<Proposal>, Fault> {
        let (at, id) = after.unwrap_or((i64::MAX, String::new()));
        let statement = format!(
            "SELECT {PROPOSAL_COLUMNS} FROM proposals WHERE person = $1 \
             AND (created_at < $2 OR (created_at = $2 AND id > $3)) ORDER BY created_at DESC, id LIMIT $4"
        );
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(person.expose())
            .bind(at)
            .bind(id)
            .bind(limit)
            .fetch_all(self.readers())
            .await
            .map_err(failed("reading proposals"))?;
        rows.iter().map(proposal).collect()
    }

    /// The proposals about a record that wait for a reviewer, oldest first.
    pub async fn waiting_proposals_of(&self, record: &Handle) -> Result<Vec<Proposal>, Fault> {
        let statement = format!(
            "SELECT {PROPOSAL_COLUMNS} FROM proposals WHERE record = $1 AND state IN {WAITING} \
             ORDER BY created_at, id LIMIT 100"
        );
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(record.as_str())
            .fetch_all(self.readers())
            .await
            .map_err(failed("reading proposals"))?;
        rows.iter().map(proposal).collect()
    }

    /// Makes a proposal and gives it its evidence. Refuses one too many, evidence that is not there for it, and with
    /// [`Refusal::MovedOn`] a record that is not the person's in this unit any more.
    pub async fn make_proposal(&self, new: NewProposal) -> Result<()> {
        self.write(new).await
    }

    /// The person takes a proposal back, and has its evidence again; `false` if it no longer waits.
    pub async fn withdraw_proposal(&self, id: &str, person: &PersonalNumber, at: UnixSeconds) -> Result<bool> {
        self.write(Withdraw { id: id.to_owned(), person: person.clone(), at }).await
    }

    /// The person appeals against a refusal, once, with more evidence or without; `false` if there is no refusal (any
    /// more).
    pub async fn appeal_proposal(
        &self,
        id: &str,
        person: &PersonalNumber,
        note: String,
        evidence: Vec<String>,
        due_at: UnixSeconds,
        at: UnixSeconds,
    ) -> Result<bool> {
        self.write(Appeal { id: id.to_owned(), person: person.clone(), note, evidence, due_at, at }).await
    }

    /// Keeps evidence whose bytes are in their place. Refuses when the person would have more than `most_files` or
    /// `most_bytes`.
    pub async fn keep_evidence(&self, evidence: Evidence, most_files: i64, most_bytes: i64) -> Result<()> {
        self.write(KeepEvidence { evidence, most_files, most_bytes }).await
    }

    /// One piece of evidence.
    pub async fn evidence(&self, id: &str) -> Result<Option<Evidence>, Fault> {
        let statement = format!(
            "SELECT {EVIDENCE_COLUMNS} FROM evidence WHERE id = $1 AND (proposal IS NULL OR proposal <> '{GOING}')"
        );
        let row = sqlx::query(AssertSqlSafe(statement))
            .bind(id)
            .fetch_optional(self.readers())
            .await
            .map_err(failed("reading evidence"))?;
        row.as_ref().map(evidence).transpose()
    }

    /// Notes that somebody read a file: a line about its proposal, or about the file itself while it is of none.
    pub async fn note_evidence_read(&self, actor: &str, evidence: &Evidence, at: UnixSeconds) -> Result<()> {
        let subject = evidence.proposal.clone().unwrap_or_else(|| evidence.id.clone());
        let (actor, detail) = (actor.to_owned(), evidence.id.clone());
        self.write(NoteRead(Line { at, actor, action: "evidence.read", subject, detail })).await
    }

    /// Evidence that nobody needs any more: whose removal was begun, that came before `unused` and is of no proposal, or whose
    /// proposal was decided before `decided`.
    pub async fn evidence_to_clear(
        &self,
        unused: UnixSeconds,
        decided: UnixSeconds,
        limit: i64,
    ) -> Result<Vec<Evidence>, Fault> {
        // Each by its own index.
        let decided_before_2 = decided_before_2();
        let select = format!("SELECT {EVIDENCE_COLUMNS} FROM evidence WHERE");
        let statement = format!(
            "{select} proposal = '{GOING}' UNION ALL {select} proposal IS NULL AND created_at < $1 \
             UNION ALL {select} proposal IS NOT NULL AND created_at < $2 AND {decided_before_2} LIMIT $3"
        );
        let query = sqlx::query(AssertSqlSafe(statement)).bind(unused).bind(decided).bind(limit);
        let rows = query.fetch_all(self.readers()).await;
        rows.map_err(failed("reading evidence"))?.iter().map(evidence).collect()
    }

    /// Begins to remove evidence that is of no proposal, or of one that was decided before `decided`: nobody reads it or puts
    /// it beside a proposal from here on. `false` if it is of another proposal, or is not there.
    pub async fn let_go_of_evidence(&self, id: &str, decided: UnixSeconds) -> Result<bool> {
        self.write(LetGo { evidence: id.to_owned(), decided }).await
    }

    /// Forgets evidence that was let go of and whose file is gone.
    pub async fn forget_evidence(&self, evidence: &Evidence, at: UnixSeconds) -> Result<()> {
        let (id, proposal) = (evidence.id.clone(), evidence.proposal.clone());
        self.write(ForgetEvidence { id, proposal, at }).await
    }

    /// The evidence of a proposal, oldest first.
    pub async fn evidence_of(&self, proposal: &str) -> Result<Vec<Evidence>, Fault> {
        let statement = format!(
            "SELECT {EVIDENCE_COLUMNS} FROM evidence WHERE proposal = $1 ORDER BY created_at, id LIMIT {MOST_EVIDENCE}"
        );
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(proposal)
            .fetch_all(self.readers())
            .await
            .map_err(failed("reading evidence"))?;
        rows.iter().map(evidence).collect()
    }
}

/// A row with [`PROPOSAL_COLUMNS`].
pub(super) fn proposal(row: &AnyRow) -> Result<Proposal, Fault> {
    let doing = failed("reading a proposal");
    let text = |column: &str| row.try_get::<String, _>(column).map_err(&doing);
    let optional = |column: &str| row.try_get::<Option<String>, _>(column).map_err(&doing);
    let number = |column: &str| row.try_get::<i64, _>(column).map_err(&doing);
    let instant = |column: &str| row.try_get::<Option<i64>, _>(column).map_err(&doing);
    let state = text("state")?;
    Ok(Proposal {
        id: text("id")?,
        record: handle(row, "record")?,
        unit: text("unit")?,
        person: person(&text("person")?)?,
        base_version: number("base_version")?,
        patch: text("patch")?,
        note: text("note")?,
        state: ProposalState::parse(&state)
            .ok_or_else(|| Fault::new("reading a proposal", format!("unknown state {state}")))?,
        is_sensitive: number("is_sensitive")? != 0,
        effective_on: optional("effective_on")?,
        created_at: number("created_at")?,
        due_at: number("due_at")?,
        decided_at: instant("decided_at")?,
        decided_by: optional("decided_by")?,
        first_approved_by: optional("first_approved_by")?,
        first_approved_at: instant("first_approved_at")?,
        reason: optional("reason")?,
        reason_note: optional("reason_note")?,
        appealed_at: instant("appealed_at")?,
        appeal_note: optional("appeal_note")?,
        version: instant("version")?,
        waiting_change: optional("waiting_change")?,
    })
}

fn evidence(row: &AnyRow) -> Result<Evidence, Fault> {
    let doing = failed("reading evidence");
    let text = |column: &str| row.try_get::<String, _>(column).map_err(&doing);
    Ok(Evidence {
        id: text("id")?,
        proposal: row.try_get("proposal").map_err(&doing)?,
        person: person(&text("person")?)?,
        name: text("name")?,
        media_type: text("media_type")?,
        size: row.try_get("size").map_err(&doing)?,
        sha256: text("sha256")?,
        place: text("place")?,
        created_at: row.try_get("created_at").map_err(&doing)?,
    })
}

fn person(text: &str) -> Result<PersonalNumber, Fault> {
    PersonalNumber::parse(text).ok_or_else(|| Fault::new("reading a person's number", "it is malformed"))
}

/// Holds the person's row until the transaction ends, so that nobody else counts what they have meanwhile.
pub(super) async fn hold(
    transaction: &mut Transaction<'_>,
    person: &PersonalNumber,
    at: UnixSeconds,
) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO self_service_people (person, at) VALUES ($1, $2) \
         ON CONFLICT (person) DO UPDATE SET at = excluded.at",
    )
    .bind(person.expose())
    .bind(at)
    .execute(&mut **transaction)
    .await
    .map_err(failed("holding a person's row"))?;
    Ok(())
}

/// How many of these are the person's and of no proposal yet.
async fn unused(
    transaction: &mut Transaction<'_>,
    person: &PersonalNumber,
    evidence: &[String],
) -> Result<bool, Fault> {
    let doing = "counting evidence";
    for id in evidence {
        let row = sqlx::query("SELECT COUNT(*) FROM evidence WHERE id = $1 AND person = $2 AND proposal IS NULL")
            .bind(id)
            .bind(person.expose())
            .fetch_one(&mut **transaction)
            .await
            .map_err(failed(doing))?;
        if row.try_get::<i64, _>(0).map_err(failed(doing))? != 1 {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn give(transaction: &mut Transaction<'_>, proposal: &str, evidence: &[String]) -> Result<(), Fault> {
    for id in evidence {
        sqlx::query("UPDATE evidence SET proposal = $2 WHERE id = $1 AND proposal IS NULL")
            .bind(id)
            .bind(proposal)
            .execute(&mut **transaction)
            .await
            .map_err(failed("giving evidence to a proposal"))?;
    }
    Ok(())
}

/// The line about a step of the person's own.
fn line(at: UnixSeconds, action: &'static str, subject: &str, detail: String) -> Line {
    Line { at, actor: HOLDER.to_owned(), action, subject: subject.to_owned(), detail }
}

/// What is not decided for good goes with its record: it is for the unit that manages the record now, and no longer for the
/// one that did.
pub(super) async fn follow_record(transaction: &mut Transaction<'_>, record: &Handle, unit: &str) -> Result<(), Fault> {
    let doing = failed("taking proposals along with their record");
    let statement = format!(
        "UPDATE proposals SET unit = $2 WHERE record = $1 AND unit <> $2 AND (state = 'refused' OR state IN {WAITING})"
    );
    let moved = sqlx::query(AssertSqlSafe(statement))
        .bind(record.as_str())
        .bind(unit)
        .execute(&mut **transaction)
        .await
        .map_err(&doing)?;
    if moved.rows_affected() > 0 {
        // Who had taken one there does not keep the new unit from it.
        sqlx::query("DELETE FROM proposal_claims WHERE proposal IN (SELECT id FROM proposals WHERE record = $1)")
            .bind(record.as_str())
            .execute(&mut **transaction)
            .await
            .map_err(&doing)?;
    }
    Ok(())
}

/// Nobody can decide any more about what waits for a record that its unit took back, or that is of another person by now
/// (`of`).
pub(super) async fn expire(
    transaction: &mut Transaction<'_>,
    record: &Handle,
    of: Option<&str>,
    at: UnixSeconds,
) -> Result<(), Fault> {
    let doing = failed("ending proposals with their record");
    let statement = format!(
        "UPDATE proposals SET state = 'expired', decided_at = $3 WHERE record = $1 AND person <> $2 \
         AND state IN {WAITING} RETURNING id, record"
    );
    let rows = sqlx::query(AssertSqlSafe(statement))
        .bind(record.as_str())
        .bind(of.unwrap_or_default())
        .bind(at)
        .fetch_all(&mut **transaction)
        .await
        .map_err(&doing)?;
    note_expired(transaction, &rows, at).await
}

/// The same for what waits for these records, which have just come to say whose they are.
pub(super) async fn expire_of_others(
    transaction: &mut Transaction<'_>,
    records: &[&Handle],
    at: UnixSeconds,
) -> Result<(), Fault> {
    if records.is_empty() {
        return Ok(());
    }
    let statement = format!(
        "UPDATE proposals SET state = 'expired', decided_at = $1 WHERE record IN ({}) AND state IN {WAITING} AND person <> \
         COALESCE((SELECT records.person FROM records WHERE records.id = proposals.record), '') RETURNING id, record",
        (2..records.len() + 2).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ")
    );
    let query = sqlx::query(AssertSqlSafe(statement)).bind(at);
    let query = records.iter().fold(query, |query, record| query.bind(record.as_str()));
    let rows = query.fetch_all(&mut **transaction).await.map_err(failed("ending proposals with their record"))?;
    note_expired(transaction, &rows, at).await
}

/// Proposals and their records, which were just ended.
async fn note_expired(transaction: &mut Transaction<'_>, rows: &[AnyRow], at: UnixSeconds) -> Result<(), Fault> {
    let doing = failed("ending proposals with their record");
    for row in rows {
        let subject: String = row.try_get("id").map_err(&doing)?;
        let delete = sqlx::query("DELETE FROM proposal_claims WHERE proposal = $1").bind(subject.clone());
        delete.execute(&mut **transaction).await.map_err(&doing)?;
        let (actor, detail) = ("system".to_owned(), row.try_get("record").map_err(&doing)?);
        transaction.note(Line { at, actor, action: "proposal.expired", subject, detail });
    }
    Ok(())
}

impl Change for NewProposal {
    type Done = ();

    fn order(&self) -> &str {
        self.person.expose()
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        hold(transaction, &self.person, self.created_at).await?;
        let doing = "making a proposal";
        let statement = format!("SELECT COUNT(*) FROM proposals WHERE person = $1 AND state IN {WAITING}");
        let row = sqlx::query(AssertSqlSafe(statement))
            .bind(self.person.expose())
            .fetch_one(&mut **transaction)
            .await
            .map_err(failed(doing))?;
        if row.try_get::<i64, _>(0).map_err(failed(doing))? >= self.most_waiting {
            let rule = format!("at most {} proposals of one person may wait at the same time", self.most_waiting);
            return Err(Refusal::TooMuch(rule).into());
        }
        let row = sqlx::query("SELECT COUNT(*) FROM proposals WHERE person = $1 AND created_at > $2")
            .bind(self.person.expose())
            .bind(self.created_at - DAY_SECONDS)
            .fetch_one(&mut **transaction)
            .await
            .map_err(failed(doing))?;
        if row.try_get::<i64, _>(0).map_err(failed(doing))? >= self.most_a_day {
            let rule = format!("one person may make at most {} proposals in a day", self.most_a_day);
            return Err(Refusal::TooMuch(rule).into());
        }
        if !unused(transaction, &self.person, &self.evidence).await? {
            return Err(Refusal::NotFound("evidence that is of no proposal yet").into());
        }
        // A write, so that a move that is under way is waited for.
        let stands = sqlx::query(
            "UPDATE records SET version = version WHERE id = $1 AND unit = $2 AND person = $3 AND removed_at IS NULL",
        )
        .bind(self.record.as_str())
        .bind(&self.unit)
        .bind(self.person.expose())
        .execute(&mut **transaction)
        .await
        .map_err(failed(doing))?;
        if stands.rows_affected() == 0 {
            return Err(Refusal::MovedOn("record").into());
        }
        sqlx::query(
            "INSERT INTO proposals (id, record, unit, person, base_version, patch, note, state, is_sensitive, \
             effective_on, created_at, due_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 'open', $8, $9, $10, $11)",
        )
        .bind(&self.id)
        .bind(self.record.as_str())
        .bind(&self.unit)
        .bind(self.person.expose())
        .bind(self.base_version)
        .bind(&self.patch)
        .bind(&self.note)
        .bind(i64::from(self.is_sensitive))
        .bind(&self.effective_on)
        .bind(self.created_at)
        .bind(self.due_at)
        .execute(&mut **transaction)
        .await
        .map_err(failed(doing))?;
        if let Some((name, bytes)) = &self.portrait {
            sqlx::query("INSERT INTO portraits (sha256, bytes) VALUES ($1, $2) ON CONFLICT (sha256) DO NOTHING")
                .bind(name)
                .bind(bytes.as_slice())
                .execute(&mut **transaction)
                .await
                .map_err(failed(doing))?;
        }
        give(transaction, &self.id, &self.evidence).await?;
        transaction.note(line(self.created_at, "proposal.made", &self.id, self.record.to_string()));
        Ok(())
    }
}

struct Withdraw {
    id: String,
    person: PersonalNumber,
    at: UnixSeconds,
}

impl Change for Withdraw {
    type Done = bool;

    fn order(&self) -> &str {
        &self.id
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let statement = format!(
            "UPDATE proposals SET state = 'withdrawn', decided_at = $3 \
             WHERE id = $1 AND person = $2 AND state IN {WAITING} RETURNING record"
        );
        let row = sqlx::query(AssertSqlSafe(statement))
            .bind(&self.id)
            .bind(self.person.expose())
            .bind(self.at)
            .fetch_optional(&mut **transaction)
            .await
            .map_err(failed("withdrawing a proposal"))?;
        let Some(row) = row else { return Ok(false) };
        // It counts among the person's files again, and goes with those that are beside nothing.
        sqlx::query("UPDATE evidence SET proposal = NULL WHERE proposal = $1")
            .bind(&self.id)
            .execute(&mut **transaction)
            .await
            .map_err(failed("giving evidence back"))?;
        transaction.note(line(self.at, "proposal.withdrawn", &self.id, handle(&row, "record")?.to_string()));
        Ok(true)
    }
}

struct Appeal {
    id: String,
    person: PersonalNumber,
    note: String,
    evidence: Vec<String>,
    due_at: UnixSeconds,
    at: UnixSeconds,
}

impl Change for Appeal {
    type Done = bool;

    fn order(&self) -> &str {
        self.person.expose()
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        hold(transaction, &self.person, self.at).await?;
        if !unused(transaction, &self.person, &self.evidence).await? {
            return Err(Refusal::NotFound("evidence that is of no proposal yet").into());
        }
        let row = sqlx::query(
            "UPDATE proposals SET state = 'appealed', appealed_at = $3, appeal_note = $4, due_at = $5, \
             first_approved_by = NULL, first_approved_at = NULL \
             WHERE id = $1 AND person = $2 AND state = 'refused' AND appealed_at IS NULL AND record IN \
             (SELECT id FROM records WHERE person = $2 AND removed_at IS NULL) RETURNING record",
        )
        .bind(&self.id)
        .bind(self.person.expose())
        .bind(self.at)
        .bind(&self.note)
        .bind(self.due_at)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(failed("appealing against a refusal"))?;
        let Some(row) = row else { return Ok(false) };
        give(transaction, &self.id, &self.evidence).await?;
        transaction.note(line(self.at, "proposal.appealed", &self.id, handle(&row, "record")?.to_string()));
        Ok(true)
    }
}

struct KeepEvidence {
    evidence: Evidence,
    most_files: i64,
    most_bytes: i64,
}

impl Change for KeepEvidence {
    type Done = ();

    fn order(&self) -> &str {
        self.evidence.person.expose()
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        let doing = "keeping evidence";
        let Evidence { id, person, name, media_type, size, sha256, place, created_at, .. } = &self.evidence;
        hold(transaction, person, *created_at).await?;
        // What is of a proposal that nobody has to decide any more does not count.
        let statement = format!(
            "SELECT size FROM evidence WHERE person = $1 AND (proposal IS NULL OR proposal IN \
             (SELECT id FROM proposals WHERE person = $1 AND state IN {WAITING})) LIMIT {MOST_EVIDENCE}"
        );
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(person.expose())
            .fetch_all(&mut **transaction)
            .await
            .map_err(failed(doing))?;
        let sizes = rows.iter().map(|row| row.try_get::<i64, _>(0)).collect::<Result<Vec<_>, _>>();
        let sizes = sizes.map_err(failed(doing))?;
        let files = i64::try_from(sizes.len()).unwrap_or(i64::MAX);
        if files >= self.most_files || sizes.iter().sum::<i64>() + size > self.most_bytes {
            let rule = format!(
                "at most {} files with {} bytes of one person may wait at the same time",
                self.most_files, self.most_bytes
            );
            return Err(Refusal::TooMuch(rule).into());
        }
        sqlx::query(
            "INSERT INTO evidence (id, person, name, media_type, size, sha256, place, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(id)
        .bind(person.expose())
        .bind(name)
        .bind(media_type)
        .bind(size)
        .bind(sha256)
        .bind(place)
        .bind(created_at)
        .execute(&mut **transaction)
        .await
        .map_err(failed(doing))?;
        transaction.note(line(*created_at, "evidence.kept", id, format!("{media_type} {size}")));
        Ok(())
    }
}

struct NoteRead(Line);

impl Change for NoteRead {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        transaction.note(self.0.clone());
        Ok(())
    }
}

struct LetGo {
    evidence: String,
    decided: UnixSeconds,
}

impl Change for LetGo {
    type Done = bool;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool> {
        let statement = format!(
            "UPDATE evidence SET proposal = '{GOING}' \
             WHERE id = $1 AND (proposal IS NULL OR proposal = '{GOING}' OR {})",
            decided_before_2()
        );
        let query = sqlx::query(AssertSqlSafe(statement)).bind(&self.evidence).bind(self.decided);
        let gone = query.execute(&mut **transaction).await.map_err(failed("letting go of evidence"))?;
        Ok(gone.rows_affected() == 1)
    }
}

struct ForgetEvidence {
    id: String,
    proposal: Option<String>,
    at: UnixSeconds,
}

impl Change for ForgetEvidence {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        let statement = format!("DELETE FROM evidence WHERE id = $1 AND proposal = '{GOING}'");
        let query = sqlx::query(AssertSqlSafe(statement)).bind(&self.id);
        let forgotten = query.execute(&mut **transaction).await.map_err(failed("forgetting evidence"))?;
        if let Some(proposal) = self.proposal.as_ref().filter(|_| forgotten.rows_affected() == 1) {
            let (actor, subject, detail) = ("system".to_owned(), proposal.clone(), self.id.clone());
            transaction.note(Line { at: self.at, actor, action: "evidence.cleared", subject, detail });
        }
        Ok(())
    }
}
