//! Proposals as their official sees them: old, new and now side by side, what stands in the way, what can be done.

use serde::Serialize;

use super::{KeptEvidence, Official, Service};
use crate::clock::UnixSeconds;
use crate::error::{Error, Refusal, Result};
use crate::flow::is_random_name;
use crate::flow::review::{FieldChange, patch_of, side_by_side};
use crate::model::catalogue::Catalogue;
use crate::model::patch::Patch;
use crate::model::proposal::ProposalState;
use crate::model::record::Record;
use crate::store::{Proposal, StoredRecord};

/// A page of proposals.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct ProposalPage {
    /// The proposals, newest first.
    pub items: Vec<OwnProposal>,
    /// What to send as `after` for the next page.
    pub next: Option<String>,
}

/// One proposal.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[allow(clippy::struct_excessive_bools)]
pub struct OwnProposal {
    /// Its name.
    #[schema(example = "kX3bV9kX3mN7rT5wY8zA1c")]
    pub proposal: String,
    /// The record.
    #[schema(example = "7Q2M8K3D5N9R1T4V")]
    pub record: String,
    /// The unit that decides.
    #[schema(example = "H26.05")]
    pub unit: String,
    /// `open`, `first_approved`, `approved`, `refused`, `withdrawn`, `appealed`, `appeal_refused` or `expired`.
    #[schema(example = "open")]
    pub state: &'static str,
    /// Whether it touches sensitive data.
    pub is_sensitive: bool,
    /// When it was made (Unix seconds).
    pub created_at: UnixSeconds,
    /// Until when it has to be decided (Unix seconds).
    pub due_at: UnixSeconds,
    /// Whether it should have been decided.
    pub is_overdue: bool,
    /// The version that it starts from.
    pub base_version: i64,
    /// The version that the record is at.
    pub record_version: Option<i64>,
    /// From which day it is to hold.
    pub effective_on: Option<String>,
    /// What the person said to it.
    pub note: String,
    /// Every changed field.
    pub changes: Vec<FieldChange>,
    /// The fields that somebody else changed meanwhile.
    pub conflicts: Vec<String>,
    /// Other proposals for the same fields that wait.
    pub others: Vec<String>,
    /// The files beside it.
    pub evidence: Vec<KeptEvidence>,
    /// When it was decided (Unix seconds).
    pub decided_at: Option<UnixSeconds>,
    /// Why it was refused: a code of `/api/v1/refusal-reasons`.
    pub reason: Option<String>,
    /// The same in the reviewer's words.
    pub reason_note: Option<String>,
    /// When the person appealed (Unix seconds).
    pub appealed_at: Option<UnixSeconds>,
    /// What the person said against the refusal.
    pub appeal_note: Option<String>,
    /// Whether it can be taken back.
    pub may_withdraw: bool,
    /// Whether there is an appeal.
    pub may_appeal: bool,
    /// The version of the record that it became.
    pub version: Option<i64>,
    /// What became of an approved change that waits for its day: `waiting`, `done`, `conflict`, `cancelled` or
    /// `superseded`.
    pub waiting_change: Option<String>,
}

impl Service {
    /// The official's proposals, newest first. `after` is `next` of the page before.
    pub async fn self_proposals(&self, official: &Official, after: Option<&str>, limit: i64) -> Result<ProposalPage> {
        let after = after.map(place).transpose()?;
        let mut found = self.store.proposals_of(&official.person, after, limit + 1).await?;
        let has_more = i64::try_from(found.len()).is_ok_and(|count| count > limit);
        found.truncate(usize::try_from(limit).unwrap_or(0));
        let next = found.last().filter(|_| has_more).map(|last| format!("{}.{}", last.created_at, last.id));
        let records = self.store.held_on(&official.person).await?;
        let mut items = Vec::with_capacity(found.len());
        for proposal in found {
            items.push(self.own_proposal(proposal, &records).await?);
        }
        Ok(ProposalPage { items, next })
    }

    /// One of the official's proposals.
    pub async fn self_proposal(&self, official: &Official, id: &str) -> Result<OwnProposal> {
        let proposal = self.proposal_of(official, id).await?;
        let records = self.store.held_on(&official.person).await?;
        self.own_proposal(proposal, &records).await
    }

    /// The row of one of the official's proposals; of others it is not said that they are there.
    pub(super) async fn proposal_of(&self, official: &Official, id: &str) -> Result<Proposal> {
        let missing = || Error::from(Refusal::NotFound("proposal"));
        if !is_random_name(id) {
            return Err(missing());
        }
        self.store.proposal(id).await?.filter(|found| found.person == official.person).ok_or_else(missing)
    }

    pub(super) async fn own_proposal(&self, proposal: Proposal, records: &[StoredRecord]) -> Result<OwnProposal> {
        let (now, labels) = (self.clock.now(), self.code_book().await?);
        let patch = patch_of(&proposal)?;
        let current = records.iter().find(|stored| stored.handle == proposal.record);
        let waits = proposal.state.is_waiting();
        let is_held = current.is_some_and(|stored| stored.removed_at.is_none());
        let others = if waits { self.others(&proposal, &patch).await? } else { Vec::new() };
        let empty = Record::empty(Catalogue::current());
        let mut changes = side_by_side(&patch, current.map_or(&empty, |stored| &stored.record), &labels);
        for change in &mut changes {
            change.is_conflict &= waits && current.is_some();
        }
        let conflicts = changes.iter().filter(|change| change.is_conflict).map(|change| change.name.field.clone());
        let evidence = self.store.evidence_of(&proposal.id).await?;
        Ok(OwnProposal {
            conflicts: conflicts.collect(),
            changes,
            others,
            evidence: evidence.iter().map(KeptEvidence::from).collect(),
            proposal: proposal.id,
            record: proposal.record.to_string(),
            unit: proposal.unit,
            state: proposal.state.word(),
            is_sensitive: proposal.is_sensitive,
            created_at: proposal.created_at,
            due_at: proposal.due_at,
            is_overdue: waits && now >= proposal.due_at,
            base_version: proposal.base_version,
            record_version: current.map(|stored| stored.version),
            effective_on: proposal.effective_on,
            note: proposal.note,
            decided_at: proposal.decided_at,
            reason: proposal.reason,
            reason_note: proposal.reason_note,
            may_withdraw: waits,
            may_appeal: is_held && proposal.state == ProposalState::Refused && proposal.appealed_at.is_none(),
            appealed_at: proposal.appealed_at,
            appeal_note: proposal.appeal_note,
            version: proposal.version,
            waiting_change: proposal.waiting_change,
        })
    }

    /// Other proposals about the same fields that wait.
    async fn others(&self, proposal: &Proposal, patch: &Patch) -> Result<Vec<String>> {
        let waiting = self.store.waiting_proposals_of(&proposal.record).await?;
        let touches = |other: &Proposal| {
            Patch::parse(&other.patch)
                .is_ok_and(|other| other.fields().any(|field| patch.fields().any(|own| own == field)))
        };
        let others = waiting.into_iter().filter(|other| other.id != proposal.id && touches(other));
        Ok(others.map(|other| other.id).collect())
    }
}

/// Where a page begins: `instant.name` of the last proposal of the page before.
fn place(text: &str) -> Result<(UnixSeconds, String), Refusal> {
    let parts = text.split_once('.').and_then(|(at, id)| Some((at.parse().ok()?, id)));
    let (at, id) = parts
        .filter(|(_, id)| is_random_name(id))
        .ok_or_else(|| Refusal::malformed("after", "must be `next` of the page before"))?;
    Ok((at, id.to_owned()))
}
