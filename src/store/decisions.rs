//! What reviewers decide about proposals. Each decision is one transaction: the proposal moves on from the state that the
//! reviewer saw, and what follows from it (a version of the record, its card, the change that waits for its day) is written
//! with it, or none of it is.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::versions::{self, VersionWrite};
use super::waiting::{self, NewWaiting};
use super::{CardStep, Change, Line, Store, Transaction, failed};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Refusal, Result};
use crate::model::proposal::ProposalState;

/// What a reviewer says about a proposal that they saw in a state.
#[derive(Clone, Debug)]
pub struct Ruling {
    /// The proposal.
    pub proposal: String,
    /// Its unit.
    pub unit: String,
    /// The state that the reviewer saw.
    pub seen: ProposalState,
    /// Who had approved it first by then.
    pub first_approved_by: Option<String>,
    /// Who decides.
    pub reviewer: String,
    /// Whose right it is, and the delegation, when it is not their own.
    pub lent_by: Option<(String, String)>,
    /// The fields that are approved, or refused.
    pub fields: Vec<String>,
    /// What the reviewer says to it in their own words.
    pub note: Option<String>,
    /// How long the proposal had waited.
    pub working_minutes: i64,
    /// Now.
    pub at: UnixSeconds,
}

/// What an approval brings about.
#[derive(Clone, Debug)]
pub enum Effect {
    /// A version of the record, now.
    Version(Box<VersionWrite>),
    /// A change that waits for its day.
    Waiting(Box<NewWaiting>),
    /// Nothing: the record says so already.
    Nothing {
        /// The version that says so.
        version: i64,
    },
}

/// A decision as it was written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The proposal.
    pub proposal: String,
    /// `approved_first`, `approved`, `refused` or `appeal_refused`.
    pub decision: String,
    /// Who decided.
    pub reviewer: String,
    /// Whose right it was.
    pub on_behalf_of: Option<String>,
    /// The fields approved or refused.
    pub fields: Vec<String>,
    /// Why.
    pub reason: Option<String>,
    /// The same in the reviewer's words.
    pub note: Option<String>,
    /// When.
    pub at: UnixSeconds,
}

impl Store {
    /// The first of two approvals. `effective_on` is the day that the reviewer sets.
    pub async fn approve_proposal_first(&self, ruling: Ruling, effective_on: Option<String>) -> Result<()> {
        self.write(ApproveFirst { ruling, effective_on }).await
    }

    /// The approval that counts, with what it brings about. Returns the record's new version, if it has one at once.
    /// Refuses, having written nothing, when the proposal left the state that was seen or the record moved on.
    pub async fn approve_proposal(&self, ruling: Ruling, effect: Effect) -> Result<Option<i64>> {
        let moves_cards = matches!(&effect, Effect::Version(write) if !matches!(write.card, CardStep::Keep));
        if moves_cards {
            self.write(Approve::<true> { ruling, effect }).await
        } else {
            self.write(Approve::<false> { ruling, effect }).await
        }
    }

    /// A refusal: of a proposal, or of an appeal. Returns the state that it leads to.
    pub async fn refuse_proposal(&self, ruling: Ruling, reason: String) -> Result<ProposalState> {
        self.write(Refuse { ruling, reason }).await
    }

    /// What was decided about these proposals, in order.
    pub async fn decisions_about(&self, proposals: &[String]) -> Result<Vec<Decision>, Fault> {
        if proposals.is_empty() {
            return Ok(Vec::new());
        }
        let places: Vec<_> = (1..=proposals.len()).map(|place| format!("${place}")).collect();
        let statement = format!(
            "SELECT proposal, decision, reviewer, on_behalf_of, fields, reason, note, at FROM decisions \
             WHERE proposal IN ({}) ORDER BY proposal, place",
            places.join(", ")
        );
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for proposal in proposals {
            query = query.bind(proposal);
        }
        let rows = query.fetch_all(self.readers()).await.map_err(failed("reading decisions"))?;
        rows.iter().map(decision).collect()
    }
}

fn decision(row: &AnyRow) -> Result<Decision, Fault> {
    let doing = failed("reading a decision");
    let text = |column: &str| row.try_get::<String, _>(column).map_err(&doing);
    let optional = |column: &str| row.try_get::<Option<String>, _>(column).map_err(&doing);
    Ok(Decision {
        proposal: text("proposal")?,
        decision: text("decision")?,
        reviewer: text("reviewer")?,
        on_behalf_of: optional("on_behalf_of")?,
        fields: serde_json::from_str(&text("fields")?).map_err(|error| Fault::new("reading a decision", error))?,
        reason: optional("reason")?,
        note: optional("note")?,
        at: row.try_get("at").map_err(&doing)?,
    })
}

impl Ruling {
    fn codes(&self) -> String {
        serde_json::Value::from(self.fields.clone()).to_string()
    }

    /// Writes the decision down, with the reason of a refusal; the proposal's row is ours until the end.
    async fn record(
        &self,
        transaction: &mut Transaction<'_>,
        decision: &str,
        reason: Option<&String>,
        action: &'static str,
    ) -> Result<()> {
        let doing = "writing a decision down";
        sqlx::query(
            "INSERT INTO decisions (proposal, place, unit, decision, reviewer, on_behalf_of, delegation, fields, reason, \
             note, working_minutes, at) SELECT $1, COUNT(*), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 \
             FROM decisions WHERE proposal = $1",
        )
        .bind(&self.proposal)
        .bind(&self.unit)
        .bind(decision)
        .bind(&self.reviewer)
        .bind(self.lent_by.as_ref().map(|(lender, _)| lender))
        .bind(self.lent_by.as_ref().map(|(_, delegation)| delegation))
        .bind(self.codes())
        .bind(reason)
        .bind(&self.note)
        .bind(self.working_minutes)
        .bind(self.at)
        .execute(&mut **transaction)
        .await
        .map_err(failed(doing))?;
        sqlx::query("DELETE FROM proposal_claims WHERE proposal = $1")
            .bind(&self.proposal)
            .execute(&mut **transaction)
            .await
            .map_err(failed(doing))?;
        // Codes only: the note may hold anything.
        let mut detail = self.fields.join(",");
        for told in [reason, self.lent_by.as_ref().map(|(lender, _)| lender)].into_iter().flatten() {
            detail = format!("{detail} {told}");
        }
        let (actor, subject) = (self.reviewer.clone(), self.proposal.clone());
        transaction.note(Line { at: self.at, actor, action, subject, detail });
        Ok(())
    }
}

struct ApproveFirst {
    ruling: Ruling,
    effective_on: Option<String>,
}

impl Change for ApproveFirst {
    type Done = ();

    fn order(&self) -> &str {
        &self.ruling.proposal
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        let ruling = &self.ruling;
        let moved = sqlx::query(
            "UPDATE proposals SET state = 'first_approved', first_approved_by = $3, first_approved_at = $4, \
             effective_on = COALESCE($5, effective_on) WHERE id = $1 AND state = $2 AND unit = $6",
        )
        .bind(&ruling.proposal)
        .bind(ruling.seen.word())
        .bind(&ruling.reviewer)
        .bind(ruling.at)
        .bind(&self.effective_on)
        .bind(&ruling.unit)
        .execute(&mut **transaction)
        .await
        .map_err(failed("approving a proposal first"))?;
        if moved.rows_affected() == 0 {
            return Err(Refusal::MovedOn("proposal").into());
        }
        ruling.record(transaction, "approved_first", None, "proposal.first_approved").await
    }
}

/// The approval that counts. Where a card follows at once, it goes the way of all that moves cards.
struct Approve<const MOVES_CARDS: bool> {
    ruling: Ruling,
    effect: Effect,
}

impl<const MOVES_CARDS: bool> Change for Approve<MOVES_CARDS> {
    type Done = Option<i64>;
    const MOVES_CARDS: bool = MOVES_CARDS;
    const TAKES_BACK: bool = true;

    fn order(&self) -> &str {
        &self.ruling.proposal
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Option<i64>> {
        let ruling = &self.ruling;
        let (version, waits_until) = match &self.effect {
            Effect::Version(write) => (Some(write.base_version + 1), None),
            Effect::Waiting(waiting) => (None, Some(waiting.due_on.to_string())),
            Effect::Nothing { version } => (Some(*version), None),
        };
        let moved = sqlx::query(
            "UPDATE proposals SET state = 'approved', decided_at = $4, decided_by = $5, reason = NULL, reason_note = $6, \
             version = $7, waits_until = $8 \
             WHERE id = $1 AND state = $2 AND COALESCE(first_approved_by, '') = $3 AND unit = $9",
        )
        .bind(&ruling.proposal)
        .bind(ruling.seen.word())
        .bind(ruling.first_approved_by.as_deref().unwrap_or_default())
        .bind(ruling.at)
        .bind(&ruling.reviewer)
        .bind(&ruling.note)
        .bind(version)
        .bind(waits_until)
        .bind(&ruling.unit)
        .execute(&mut **transaction)
        .await
        .map_err(failed("approving a proposal"))?;
        if moved.rows_affected() == 0 {
            return Err(Refusal::MovedOn("proposal").into());
        }
        match &self.effect {
            Effect::Version(write) => {
                versions::write(transaction, write).await?;
            }
            Effect::Waiting(waiting) => waiting::insert(transaction, waiting).await?,
            Effect::Nothing { .. } => {}
        }
        ruling.record(transaction, "approved", None, "proposal.approved").await?;
        Ok(version)
    }
}

struct Refuse {
    ruling: Ruling,
    reason: String,
}

impl Change for Refuse {
    type Done = ProposalState;

    fn order(&self) -> &str {
        &self.ruling.proposal
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<ProposalState> {
        let Self { ruling, reason } = self;
        let row = sqlx::query(
            "UPDATE proposals SET state = CASE WHEN appealed_at IS NULL THEN 'refused' ELSE 'appeal_refused' END, \
             decided_at = $4, decided_by = $5, reason = $6, reason_note = $7 \
             WHERE id = $1 AND state = $2 AND COALESCE(first_approved_by, '') = $3 AND unit = $8 RETURNING state",
        )
        .bind(&ruling.proposal)
        .bind(ruling.seen.word())
        .bind(ruling.first_approved_by.as_deref().unwrap_or_default())
        .bind(ruling.at)
        .bind(&ruling.reviewer)
        .bind(reason)
        .bind(&ruling.note)
        .bind(&ruling.unit)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(failed("refusing a proposal"))?;
        let row = row.ok_or(Refusal::MovedOn("proposal"))?;
        let word: String = row.try_get(0).map_err(failed("refusing a proposal"))?;
        let state = ProposalState::parse(&word).ok_or_else(|| Fault::new("refusing a proposal", "unknown state"))?;
        ruling.record(transaction, &word, Some(reason), "proposal.refused").await?;
        Ok(state)
    }
}
