//! The review queue of a unit: what waits, who may decide about it, side by side with what the record says now. Deciding is
//! [`super::decide`], how much work there is [`super::workload`].

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::delegate::may_borrow;
use super::self_service::{EvidenceFile, KeptEvidence};
use super::{Caller, Service};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Refusal, Result};
use crate::model::catalogue::Catalogue;
use crate::model::code_list::{CodeBook, CodeLabels};
use crate::model::id::PersonalNumber;
use crate::model::patch::{Difference, Patch};
use crate::model::proposal::ProposalState;
use crate::model::record::Record;
use crate::model::review::{
    Before, Need, Reviewer, WhyNot, escalated_to, is_on_card, is_sensitive, labels, need, needs_two,
};
use crate::model::unit::{UnitCode, is_within};
use crate::store::{Assigned, Claim, Decision, Delegation, Proposal, QueueFilter, Queued};

/// The purpose under which a reviewer's look at a record is written down.
pub(super) const PURPOSE: &str = "unit.review";
/// How long a claim holds when the reviewer does not say, and at most.
pub const CLAIM_MINUTES: std::ops::RangeInclusive<i64> = 1..=60;
/// How long a claim holds when the reviewer does not say.
pub const USUAL_CLAIM_MINUTES: i64 = 15;

/// Which proposals are listed.
#[derive(Clone, Debug)]
pub struct QueueRequest {
    /// Of this unit and below.
    pub unit: Option<String>,
    /// In these states.
    pub states: Vec<ProposalState>,
    /// Past their deadline, or not.
    pub is_overdue: Option<bool>,
    /// `me`, `none` or an officer.
    pub assigned: Option<String>,
    /// Deadline and name of the last one that was told.
    pub after: Option<(i64, String)>,
    /// Most of them.
    pub limit: i64,
}

/// A field with its labels.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FieldName {
    /// Field code or list name.
    #[schema(example = "marital_status")]
    pub field: String,
    /// Vietnamese label.
    pub label_vi: String,
    /// English label.
    pub label_en: String,
}

impl FieldName {
    /// With the labels of a catalogue.
    pub fn of(catalogue: &Catalogue, field: &str) -> Self {
        let (label_vi, label_en) = labels(catalogue, field);
        Self { field: field.to_owned(), label_vi, label_en }
    }
}

/// What a field said, shall say and says now, side by side. Values as the record's content writes them; `null` is empty.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FieldChange {
    /// The field.
    #[serde(flatten)]
    pub name: FieldName,
    /// What it said when the change was made.
    pub old: Option<Value>,
    /// What it shall say.
    pub new: Option<Value>,
    /// What it says now.
    pub now: Option<Value>,
    /// The label of a code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_label: Option<String>,
    /// The label of a code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_label: Option<String>,
    /// The label of a code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now_label: Option<String>,
    /// Sensitive personal data: takes two.
    pub is_sensitive: bool,
    /// The card shows it: takes two.
    pub is_on_card: bool,
    /// Somebody else changed it meanwhile.
    pub is_conflict: bool,
}

/// A patch side by side with what its record says now.
pub(super) fn side_by_side(patch: &Patch, current: &Record, book: &CodeBook) -> Vec<FieldChange> {
    let catalogue = current.catalogue();
    let now = current.members();
    let conflicts = patch.conflicts(current);
    let change = |(field, Difference { old, new }): (&str, &Difference)| {
        let list = catalogue.field(field).and_then(|field| field.code_list.as_deref());
        let label = |value: &Option<Value>| {
            let code = value.as_ref()?.as_str()?;
            list.map(|list| book.label_or_code(list, code).into_owned())
        };
        let now = now.get(field).cloned();
        FieldChange {
            name: FieldName::of(catalogue, field),
            old_label: label(old),
            new_label: label(new),
            now_label: label(&now),
            old: old.clone(),
            new: new.clone(),
            now,
            is_sensitive: is_sensitive(catalogue, field),
            is_on_card: is_on_card(catalogue, field),
            is_conflict: conflicts.iter().any(|conflict| conflict == field),
        }
    };
    patch.differences().map(change).collect()
}

/// A proposal as one caller sees it.
#[derive(Clone, Debug)]
pub struct Reviewed {
    /// It and its record.
    pub queued: Queued,
    /// What it changes.
    pub patch: Patch,
    /// What it waits for.
    pub need: Need,
    /// Whether the caller may decide, or why not.
    pub may_decide: Result<(), WhyNot>,
    /// The unit above, once it is overdue.
    pub escalated_to: Option<UnitCode>,
}

/// A proposal with all that a decision is made on.
#[derive(Clone, Debug)]
pub struct ReviewedWhole {
    /// It, its record and the caller's part in it.
    pub reviewed: Reviewed,
    /// Old, new and now.
    pub changes: Vec<FieldChange>,
    /// Files beside it.
    pub evidence: Vec<EvidenceItem>,
    /// What was decided so far.
    pub history: Vec<DecisionItem>,
    /// Others that wait and touch the same fields.
    pub others: Vec<OtherProposal>,
}

/// A file beside a proposal.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EvidenceItem {
    /// It.
    #[serde(flatten)]
    pub file: KeptEvidence,
    /// Where it is fetched.
    pub href: String,
}

/// What was decided.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DecisionItem {
    /// Unix seconds.
    pub at: UnixSeconds,
    /// Who decided.
    pub by: String,
    /// Whose right it was, when it was lent.
    pub on_behalf_of: Option<String>,
    /// `approved_first`, `approved`, `refused` or `appeal_refused`.
    pub what: String,
    /// The fields.
    pub fields: Vec<String>,
    /// Why.
    pub reason: Option<String>,
    /// The same in the reviewer's words.
    pub note: Option<String>,
}

impl From<Decision> for DecisionItem {
    fn from(decision: Decision) -> Self {
        let Decision { decision: what, reviewer: by, on_behalf_of, fields, reason, note, at, .. } = decision;
        Self { at, by, on_behalf_of, what, fields, reason, note }
    }
}

/// Another proposal that waits and touches the same fields.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OtherProposal {
    /// Its name.
    pub proposal: String,
    /// Where it stands.
    pub state: &'static str,
    /// The fields that both touch.
    pub fields: Vec<String>,
    /// Unix seconds.
    pub created_at: UnixSeconds,
}

/// What a caller may do in the queue: by a right of their own, and by what others lend them.
pub(super) struct Reviewing<'a> {
    caller: &'a Caller,
    borrowed: Vec<(Delegation, Caller)>,
}

/// A right to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Right {
    /// Who lent it, by which delegation.
    pub lent_by: Option<(String, String)>,
    is_person: bool,
    is_senior: bool,
}

impl Reviewing<'_> {
    /// Whether proposals of the unit are shown.
    pub(super) fn sees(&self, unit: &str) -> bool {
        self.caller.sees(unit) || self.borrowed.iter().any(|(delegation, _)| is_within(unit, &delegation.unit))
    }

    /// The units whose proposals are shown, each with those below; `None` is the nation.
    pub(super) fn visible(&self) -> Option<Vec<String>> {
        let own = self.caller.units()?;
        Some(own.iter().cloned().chain(self.borrowed.iter().map(|(delegation, _)| delegation.unit.clone())).collect())
    }

    /// The rights to decide about a proposal, the caller's own first.
    fn rights(&self, service: &Service, unit: &str, takes_two: bool, person: &PersonalNumber) -> Vec<Right> {
        let is_person = service.is_own(self.caller, person);
        let mut rights = Vec::new();
        if self.caller.needs("updates:decide").is_ok() && self.caller.sees(unit) {
            rights.push(Right { lent_by: None, is_person, is_senior: heads(self.caller, unit) });
        }
        for (delegation, lender) in &self.borrowed {
            if is_within(unit, &delegation.unit) && lender.sees(unit) && (delegation.includes_sensitive || !takes_two) {
                let lent_by = Some((delegation.lender.clone(), delegation.id.clone()));
                let is_person = is_person || service.is_own(lender, person);
                rights.push(Right { lent_by, is_person, is_senior: heads(lender, unit) });
            }
        }
        rights
    }
}

/// Whether somebody stands above a unit, or heads it: the unit's head is who may sign its data for the month (with a recent
/// sign-in or without).
fn heads(caller: &Caller, unit: &str) -> bool {
    let above = UnitCode::parse(unit).and_then(|unit| unit.parent());
    let stands_above = above.map_or(caller.units().is_none(), |above| caller.sees(above.as_str()));
    stands_above || (caller.sees(unit) && caller.scopes().iter().any(|scope| scope == "quality:approve"))
}

impl Service {
    /// What the caller may do in the queue. Refuses who may neither read nor decide.
    pub(super) async fn reviewing<'a>(&self, caller: &'a Caller) -> Result<Reviewing<'a>> {
        if caller.needs("updates:decide").is_err() {
            caller.needs("updates:read")?;
        }
        let mut borrowed = Vec::new();
        for delegation in self.store.borrowed(&caller.name, self.clock.now()).await? {
            // It is worth what the lender's own right is worth now, to somebody to whom it could still be lent.
            if may_borrow(caller, &delegation.unit)
                && let Some(lender) = self.caller_named(&delegation.lender).await?
                && lender.needs("updates:decide").is_ok()
                && lender.sees(&delegation.unit)
            {
                borrowed.push((delegation, lender));
            }
        }
        Ok(Reviewing { caller, borrowed })
    }

    /// Proposals that the caller sees, those that are due first. Written down as a look at each record.
    ///
    /// # Errors
    ///
    /// [`Refusal::ForeignUnit`] for a unit that the caller does not see.
    pub async fn review_queue(&self, caller: &Caller, request: QueueRequest) -> Result<Vec<Reviewed>> {
        let reviewing = self.reviewing(caller).await?;
        if request.unit.as_deref().is_some_and(|unit| !reviewing.sees(unit)) {
            return Err(Refusal::ForeignUnit.into());
        }
        let assigned = request.assigned.map(|assigned| match assigned.as_str() {
            "none" => Assigned::None,
            "me" => Assigned::To(caller.name.clone()),
            _ => Assigned::To(assigned),
        });
        let filter = QueueFilter {
            visible: reviewing.visible(),
            unit: request.unit,
            states: request.states,
            is_overdue: request.is_overdue,
            assigned,
            after: request.after,
            limit: request.limit,
            now: self.clock.now(),
        };
        let queue = self.store.review_queue(filter).await?;
        // Names, and what of the record is to change.
        let records: Vec<_> = queue.iter().map(|queued| queued.proposal.record.clone()).collect();
        self.store.note_read(&caller.name, &records, PURPOSE, self.clock.now()).await?;
        let names: Vec<_> = queue.iter().map(|queued| queued.proposal.id.clone()).collect();
        let mut decisions: BTreeMap<String, Vec<Decision>> = BTreeMap::new();
        for decision in self.store.decisions_about(&names).await? {
            decisions.entry(decision.proposal.clone()).or_default().push(decision);
        }
        queue
            .into_iter()
            .map(|queued| {
                let about = decisions.remove(&queued.proposal.id).unwrap_or_default();
                self.reviewed(&reviewing, queued, &about).map(|(reviewed, _)| reviewed)
            })
            .collect()
    }

    /// A proposal with all that a decision is made on. Written down as a look at the person's record.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`] for one that the caller does not see.
    pub async fn review(&self, caller: &Caller, id: &str) -> Result<ReviewedWhole> {
        let (reviewed, _, decisions) = self.seen_proposal(caller, id).await?;
        let proposal = &reviewed.queued.proposal;
        let href = |file: &KeptEvidence| format!("/api/v1/proposals/{id}/evidence/{}", file.evidence);
        let evidence = self.store.evidence_of(id).await?;
        let evidence = evidence.iter().map(KeptEvidence::from).map(|file| EvidenceItem { href: href(&file), file });
        let mut others = Vec::new();
        for other in self.store.waiting_proposals_of(&proposal.record).await? {
            let touched = patch_of(&other)?;
            let same = |field: &&str| reviewed.patch.fields().any(|own| own == *field);
            let fields: Vec<_> = touched.fields().filter(same).map(str::to_owned).collect();
            if other.id != *id && !fields.is_empty() {
                let (state, created_at) = (other.state.word(), other.created_at);
                others.push(OtherProposal { proposal: other.id, state, fields, created_at });
            }
        }
        let changes = side_by_side(&reviewed.patch, &reviewed.queued.record, &*self.code_book().await?);
        self.store.note_read(&caller.name, std::slice::from_ref(&proposal.record), PURPOSE, self.clock.now()).await?;
        let (evidence, history) = (evidence.collect(), decisions.into_iter().map(Into::into).collect());
        Ok(ReviewedWhole { reviewed, changes, evidence, history, others })
    }

    /// A file beside a proposal. Written down as a look at it.
    pub async fn review_evidence(&self, caller: &Caller, id: &str, evidence: &str) -> Result<EvidenceFile> {
        self.seen_proposal(caller, id).await?;
        self.evidence_beside(&caller.name, id, evidence).await
    }

    /// The portrait that a proposal starts from, or the one that it asks for: JPEG. Written down as a look at the record.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`] for a proposal that the caller does not see, or without such a portrait.
    pub async fn review_portrait(&self, caller: &Caller, id: &str, is_new: bool) -> Result<Vec<u8>> {
        let (reviewed, ..) = self.seen_proposal(caller, id).await?;
        let changed = reviewed.patch.differences().find(|(field, _)| *field == "portrait_photo");
        let named =
            changed.and_then(|(_, difference)| if is_new { difference.new.as_ref() } else { difference.old.as_ref() });
        let named = named.and_then(Value::as_str).and_then(|name| name.strip_prefix("sha256:"));
        let named = named.ok_or(Refusal::NotFound("portrait"))?;
        let jpeg = self.store.portrait_bytes(named).await?.ok_or(Refusal::NotFound("portrait"))?;
        let record = reviewed.queued.proposal.record;
        self.store.note_read(&caller.name, &[record], PURPOSE, self.clock.now()).await?;
        Ok(jpeg)
    }

    /// The caller takes a proposal, so that nobody else begins with it.
    ///
    /// # Errors
    ///
    /// [`Refusal::Claimed`] while another has it, [`Refusal::ProposalState`] when it does not wait.
    pub async fn claim(&self, caller: &Caller, id: &str, minutes: i64) -> Result<Claim> {
        if !CLAIM_MINUTES.contains(&minutes) {
            return Err(Refusal::malformed("body.minutes", "must be 1 to 60").into());
        }
        let (reviewed, ..) = self.seen_proposal(caller, id).await?;
        reviewed.may_decide.map_err(|why| refusal(why, reviewed.queued.proposal.state, "claimed"))?;
        let now = self.clock.now();
        let claim = self.store.claim_proposal(id, &caller.name, now, now + minutes * 60).await?;
        match claim {
            Some(claim) if claim.reviewer == caller.name => Ok(claim),
            Some(_) => Err(Refusal::Claimed.into()),
            None => {
                let state = self.store.proposal(id).await?.map_or(ProposalState::Withdrawn, |proposal| proposal.state);
                Err(refusal(WhyNot::Decided, state, "claimed").into())
            }
        }
    }

    /// The caller gives a proposal back.
    pub async fn release(&self, caller: &Caller, id: &str) -> Result<()> {
        self.seen_proposal(caller, id).await?;
        self.store.release_proposal(id, &caller.name).await
    }

    /// A proposal that the caller sees, the right by which they may decide, and what was decided so far.
    pub(super) async fn seen_proposal(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<(Reviewed, Option<Right>, Vec<Decision>)> {
        let reviewing = self.reviewing(caller).await?;
        let found = if is_name(id) { self.store.queued(id, self.clock.now()).await? } else { None };
        let queued = found.filter(|queued| reviewing.sees(&queued.proposal.unit));
        let queued = queued.ok_or(Refusal::NotFound("proposal"))?;
        let decisions = self.store.decisions_about(&[id.to_owned()]).await?;
        let (reviewed, right) = self.reviewed(&reviewing, queued, &decisions)?;
        Ok((reviewed, right, decisions))
    }

    fn reviewed(
        &self,
        reviewing: &Reviewing<'_>,
        queued: Queued,
        decisions: &[Decision],
    ) -> Result<(Reviewed, Option<Right>)> {
        let proposal = &queued.proposal;
        let patch = patch_of(proposal)?;
        let need = need(proposal.state, queued.record.catalogue(), patch.fields());
        let takes_two = needs_two(queued.record.catalogue(), patch.fields());
        // Only who approved first in this round counts: an appeal begins anew.
        let is_first = |decision: &&Decision| {
            decision.decision == "approved_first" && Some(decision.at) == proposal.first_approved_at
        };
        let first_approvers = eyes(decisions.iter().filter(is_first));
        let refusers = eyes(decisions.iter().filter(|decision| decision.decision == "refused"));
        let before = Before {
            state: proposal.state,
            is_appealed: proposal.appealed_at.is_some(),
            first_approvers: &first_approvers,
            refusers: &refusers,
        };
        let (mut right, mut may_decide) = (None, Err(WhyNot::Scope));
        for one in reviewing.rights(self, &proposal.unit, takes_two, &proposal.person) {
            let reviewer = Reviewer {
                name: &reviewing.caller.name,
                on_behalf_of: one.lent_by.as_ref().map(|(lender, _)| lender.as_str()),
                is_person: one.is_person,
                is_senior: one.is_senior,
            };
            may_decide = reviewer.may_decide(before);
            if may_decide.is_ok() {
                right = Some(one);
                break;
            }
        }
        if need == Need::Nobody {
            may_decide = Err(WhyNot::Decided);
        }
        let escalated_to = Some(proposal)
            .filter(|proposal| proposal.state.is_waiting())
            .and_then(|proposal| escalated_to(&proposal.unit, proposal.due_at, self.clock.now()));
        Ok((Reviewed { queued, patch, need, may_decide, escalated_to }, right))
    }
}

/// Everybody whose eyes a decision was made with: who made it, and whose right it was.
fn eyes<'a>(decisions: impl Iterator<Item = &'a Decision>) -> Vec<String> {
    decisions.flat_map(|decision| [Some(decision.reviewer.clone()), decision.on_behalf_of.clone()]).flatten().collect()
}

/// What a proposal changes.
pub(super) fn patch_of(proposal: &Proposal) -> Result<Patch, Fault> {
    Patch::parse(&proposal.patch).map_err(|error| Fault::new("reading a proposal", error))
}

/// The refusal of who may not take a step on a proposal in this state.
pub(super) fn refusal(why: WhyNot, state: ProposalState, action: &'static str) -> Refusal {
    match why {
        WhyNot::Decided => Refusal::ProposalState { state: state.word(), action },
        WhyNot::Scope => Refusal::MissingScope("updates:decide"),
        why => Refusal::NotImpartial(why.sentence()),
    }
}

/// Whether a text could be the name of a proposal.
fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}
