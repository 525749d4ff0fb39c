//! A reviewer decides about a proposal: approves all of it, once or as the second of two, or refuses it. Who finds a part of
//! it right refuses with a reason, and the person proposes that part again: so there is an appeal, and nobody has to guess
//! what was agreed to.
//!
//! ```text
//! proposal, record as they stand → may this officer? → fields, conflicts → one approval of two?   yes: noted
//!   → the record with the changes → its card → ONE transaction: proposal, version, card, event, lines
//! ```
//!
//! Nothing is overwritten that the reviewer did not see: where the record moved on in the fields of the proposal, the
//! answer is what stands there now. Where it moved on elsewhere, the changes are made to what it says now.

use futures_util::StreamExt;
use futures_util::stream;
use serde::Serialize;
use time::Date;
use utoipa::ToSchema;

use super::receive::MOST_DAYS_AHEAD;
use super::review::{FieldChange, PURPOSE, Reviewed, Right, refusal, side_by_side};
use super::{Caller, Service};
use crate::error::{Error, Fault, Refusal, Result};
use crate::model::calendar::{day_of, parse_day, start_of};
use crate::model::catalogue::{Catalogue, PopulationRole};
use crate::model::id::Handle;
use crate::model::origin::{Origin, Way};
use crate::model::patch::Patch;
use crate::model::proposal::ProposalState;
use crate::model::review::{Occasion, RefusalReason, columns, needs_two, working_hours};
use crate::store::{CardStep, Effect, IncomingRecord, NewWaiting, Ruling, StoredRecord, VersionWrite};

/// How often an approval is made again because the record moved on meanwhile, in other fields.
const ATTEMPTS: usize = 10;
/// Decisions of one call under way at the same time: they share the transactions of the database.
const AT_ONCE: usize = 8;

/// What a reviewer says.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Yes.
    Approve(Approval),
    /// No.
    Refuse {
        /// A code of the list.
        reason: String,
        /// The same in the reviewer's words.
        note: Option<String>,
    },
}

/// An approval, with all that the reviewer may say beside it.
#[derive(Clone, Debug, Default)]
pub struct Approval {
    /// The version of the record that the reviewer saw.
    pub expected_version: Option<i64>,
    /// The day from which it holds.
    pub effective_on: Option<Date>,
    /// Fields that somebody else changed meanwhile and that are changed all the same.
    pub overwrite: Vec<String>,
    /// What the reviewer says to it.
    pub note: Option<String>,
}

/// What became of a proposal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Decided {
    /// The proposal's name.
    pub proposal: String,
    /// Where it stands now.
    #[schema(example = "approved")]
    pub state: &'static str,
    /// The version of the record that it became.
    pub record_version: Option<i64>,
    /// The new card, when the card had to change.
    pub card: Option<String>,
    /// The card in whose place it stands.
    pub replaced_card: Option<String>,
    /// The day on which the change acts.
    pub waits_until: Option<String>,
    /// Whether another reviewer has to approve too.
    pub awaits_second: bool,
    /// Whether the record still waits for the unit's word on what others sent before: its card follows then.
    pub awaits_confirmation: bool,
}

/// A decision, or what stands there now instead of what the reviewer saw.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Decided.
    Done(Decided),
    /// Nothing was written.
    Conflict {
        /// The version of the record now.
        record_version: i64,
        /// The fields that say something else by now.
        changes: Vec<FieldChange>,
    },
}

impl Service {
    /// Decides about a proposal.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`] for one that the caller does not see, [`Refusal::NotImpartial`] and
    /// [`Refusal::MissingScope`] for who may not decide, [`Refusal::SignInTooOld`], [`Refusal::ProposalState`] when somebody was first, [`Refusal::Gone`] when the record is nobody's or another person's,
    /// [`Refusal::MovedOn`] for a record at another version than was expected, [`Refusal::Malformed`] for fields, days and
    /// reasons that do not fit.
    pub async fn decide_proposal(&self, caller: &Caller, id: &str, verdict: &Verdict) -> Result<Outcome> {
        // A lent right does not do with an older sign-in than an own one.
        caller.is_recent_for("updates:decide")?;
        let done = match verdict {
            Verdict::Approve(approval) => self.approve(caller, id, approval).await,
            Verdict::Refuse { reason, note } => self.refuse(caller, id, reason, note.as_deref()).await,
        };
        match done {
            // Somebody was first: say where the proposal stands now.
            Err(Error::Refusal(Refusal::MovedOn("proposal"))) => {
                let (reviewed, ..) = self.seen_proposal(caller, id).await?;
                let state = reviewed.queued.proposal.state.word();
                Err(Refusal::ProposalState { state, action: "decided in the way that was seen" }.into())
            }
            done => done,
        }
    }

    /// Decides about many proposals, each for itself. The answers are in the order of the verdicts.
    pub async fn decide_proposals(
        &self,
        caller: &Caller,
        verdicts: Vec<(String, Result<Verdict, Refusal>)>,
    ) -> Vec<(String, Result<Outcome>)> {
        let decide = |(id, verdict): (String, Result<Verdict, Refusal>)| async move {
            let outcome = match verdict {
                Ok(verdict) => self.decide_proposal(caller, &id, &verdict).await,
                Err(refusal) => Err(refusal.into()),
            };
            (id, outcome)
        };
        stream::iter(verdicts).map(decide).buffered(AT_ONCE).collect().await
    }

    async fn approve(&self, caller: &Caller, id: &str, approval: &Approval) -> Result<Outcome> {
        for _ in 0..ATTEMPTS {
            let (reviewed, right, _) = self.seen_proposal(caller, id).await?;
            let right = allowed(&reviewed, right)?;
            // Nobody agrees for somebody else's record: the number in it was changed meanwhile.
            if reviewed.queued.record.personal_number().as_ref() != Some(&reviewed.queued.proposal.person) {
                return Err(Refusal::Gone("record of who proposed").into());
            }
            let chosen = self.chosen(&reviewed, approval)?;
            if let Some(expected) = approval.expected_version
                && expected != reviewed.queued.record_version
            {
                return self.conflict(caller, &reviewed).await;
            }
            let conflicts = reviewed.patch.conflicts(&reviewed.queued.record);
            if conflicts.iter().any(|field| !approval.overwrite.contains(field)) {
                return self.conflict(caller, &reviewed).await;
            }
            let ruling = self.ruling(caller, right, &reviewed, chosen.note).await?;
            let is_first = needs_two(reviewed.queued.record.catalogue(), reviewed.patch.fields())
                && matches!(reviewed.queued.proposal.state, ProposalState::Open | ProposalState::Appealed);
            if is_first {
                let effective_on = approval.effective_on.map(|day| day.to_string());
                self.store.approve_proposal_first(ruling, effective_on).await?;
                return Ok(Outcome::Done(decided(id, ProposalState::FirstApproved)));
            }
            // None: it moved on between two looks.
            let Some((effect, done)) = self.effect(caller, &reviewed, chosen.effective_on).await? else { continue };
            match self.store.approve_proposal(ruling, effect).await {
                Ok(_) => return Ok(Outcome::Done(done)),
                // Look again at what the record says, or what became of its card.
                Err(Error::Refusal(Refusal::MovedOn("record") | Refusal::CardState { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Refusal::MovedOn("record").into())
    }

    async fn refuse(&self, caller: &Caller, id: &str, reason: &str, note: Option<&str>) -> Result<Outcome> {
        let (reviewed, right, _) = self.seen_proposal(caller, id).await?;
        let right = allowed(&reviewed, right)?;
        let proposal = &reviewed.queued.proposal;
        let occasion = if proposal.appealed_at.is_some() { Occasion::Appeal } else { Occasion::Proposal };
        let (reason, note) = reason_of(reason, note, occasion)?;
        let ruling = self.ruling(caller, right, &reviewed, note).await?;
        let state = self.store.refuse_proposal(ruling, reason).await?;
        Ok(Outcome::Done(decided(id, state)))
    }

    /// What stands in the record now, told as a look at it.
    async fn conflict(&self, caller: &Caller, reviewed: &Reviewed) -> Result<Outcome> {
        let queued = &reviewed.queued;
        let mut changes = side_by_side(&reviewed.patch, &queued.record, &*self.code_book().await?);
        changes.retain(|change| change.is_conflict);
        self.store
            .note_read(&caller.name, std::slice::from_ref(&queued.proposal.record), PURPOSE, self.clock.now())
            .await?;
        Ok(Outcome::Conflict { record_version: queued.record_version, changes })
    }

    /// From when the approval holds, and what is said with it. The second of two approves what the first did.
    fn chosen(&self, reviewed: &Reviewed, approval: &Approval) -> Result<Chosen> {
        let (queued, proposal) = (&reviewed.queued, &reviewed.queued.proposal);
        if !approval.overwrite.is_empty() && approval.expected_version.is_none() {
            let rule = "needs expected_version: only what was seen is written over";
            return Err(Refusal::malformed("body.overwrite", rule).into());
        }
        let proposed_day = proposal.effective_on.as_deref().and_then(parse_day);
        let is_other_day = approval.effective_on.is_some_and(|day| Some(day) != proposed_day);
        if proposal.state == ProposalState::FirstApproved && is_other_day {
            let rule = "is what the first approval set; leave it out";
            return Err(Refusal::malformed("body.effective_on", rule).into());
        }
        let effective_on = approval.effective_on.or(proposed_day);
        let today = day_of(self.clock.now());
        if approval.effective_on.is_some_and(|day| day < today || (day - today).whole_days() > MOST_DAYS_AHEAD) {
            let rule = format!("must be today or at most {MOST_DAYS_AHEAD} days ahead");
            return Err(Refusal::malformed("body.effective_on", rule).into());
        }
        if reviewed.patch.fields().any(|field| is_of_population(queued.record.catalogue(), field)) {
            let why = "these fields come from the population database, which has to be asked first";
            return Err(Refusal::NotVerified(why).into());
        }
        Ok(Chosen { effective_on: effective_on.filter(|day| *day > today), note: note_of(approval.note.as_deref())? })
    }

    /// What the approval brings about; `None` when the record is not what the reviewer was shown a moment ago.
    async fn effect(
        &self,
        caller: &Caller,
        reviewed: &Reviewed,
        effective_on: Option<Date>,
    ) -> Result<Option<(Effect, Decided)>> {
        let (proposal, patch) = (&reviewed.queued.proposal, &reviewed.patch);
        let base = self.store.record_named(&proposal.record).await?.filter(|base| base.removed_at.is_none());
        let base = base.ok_or(Refusal::Gone("record"))?;
        if base.version != reviewed.queued.record_version {
            return Ok(None);
        }
        let now = self.clock.now();
        let origin = Origin { way: Way::Update, reference: proposal.id.clone(), actor: caller.name.clone() };
        let done = decided(&proposal.id, ProposalState::Approved);
        if let Some(day) = effective_on {
            let waiting = NewWaiting {
                id: Handle::random(&self.chance).to_string(),
                record: base.handle.clone(),
                key: base.record.key(),
                base_version: base.version,
                catalogue: base.record.catalogue().name(),
                patch: rebased(patch, &base)?,
                due_on: day,
                due_at: start_of(day),
                origin,
                // For what it changes: whether that is all that wants the unit's word then, its day tells.
                confirmed_by: Some(caller.name.clone()),
                created_at: now,
                // Its bytes were kept with the proposal.
                portrait: None,
                supersedes: Vec::new(),
            };
            return Ok(Some((
                Effect::Waiting(Box::new(waiting)),
                Decided { waits_until: Some(day.to_string()), ..done },
            )));
        }
        let broken = |error| Fault::new("applying a proposal", error);
        let mut after = StoredRecord { record: patch.apply(&base.record).map_err(broken)?, ..base.clone() };
        if after.record.content() == base.record.content() {
            let version = base.version;
            return Ok(Some((Effect::Nothing { version }, Decided { record_version: Some(version), ..done })));
        }
        self.store.attach_portrait(&mut after).await?;
        // A reviewer who says yes to one field does not thereby confirm what somebody else sent and the unit has not seen.
        let is_confirmed = base.standing.confirmed_at.is_some();
        let card = self.card_step(&base, &after.record, is_confirmed).await?;
        let (new_card, replaced_card) = match &card {
            CardStep::Replace { old, new, .. } => (Some(new.handle.to_string()), Some(old.to_string())),
            CardStep::Keep => (None, None),
        };
        let new = IncomingRecord::of(&after.record, 0, base.handle.clone());
        let (record, base_version, base_confirmed_at) = (base.handle, base.version, base.standing.confirmed_at);
        let confirmed_by = is_confirmed.then(|| caller.name.clone());
        let write = VersionWrite { record, base_version, base_confirmed_at, new, origin, confirmed_by, card, at: now };
        let done = Decided {
            record_version: Some(base_version + 1),
            card: new_card,
            replaced_card,
            awaits_confirmation: !is_confirmed,
            ..done
        };
        Ok(Some((Effect::Version(Box::new(write)), done)))
    }

    async fn ruling(
        &self,
        caller: &Caller,
        right: Right,
        reviewed: &Reviewed,
        note: Option<String>,
    ) -> Result<Ruling, Fault> {
        let (proposal, now) = (&reviewed.queued.proposal, self.clock.now());
        let waited =
            working_hours(&self.store.calendar().await?, proposal.appealed_at.unwrap_or(proposal.created_at), now);
        #[allow(clippy::cast_possible_truncation)]
        let working_minutes = (waited * 60.0) as i64;
        Ok(Ruling {
            proposal: proposal.id.clone(),
            unit: proposal.unit.clone(),
            seen: proposal.state,
            first_approved_by: proposal.first_approved_by.clone(),
            reviewer: caller.name.clone(),
            lent_by: right.lent_by,
            fields: reviewed.patch.fields().map(str::to_owned).collect(),
            note,
            working_minutes,
            at: now,
        })
    }
}

/// What a reviewer says with an approval.
struct Chosen {
    effective_on: Option<Date>,
    note: Option<String>,
}

fn decided(id: &str, state: ProposalState) -> Decided {
    let awaits_second = state == ProposalState::FirstApproved;
    Decided { proposal: id.to_owned(), state: state.word(), awaits_second, ..Decided::default() }
}

fn allowed(reviewed: &Reviewed, right: Option<Right>) -> Result<Right, Refusal> {
    let state = reviewed.queued.proposal.state;
    reviewed.may_decide.map_err(|why| refusal(why, state, "decided"))?;
    right.ok_or(Refusal::MissingScope("updates:decide"))
}

/// The patch as from what the record says now: what waits tells by it who else changes the fields until its day.
fn rebased(patch: &Patch, base: &StoredRecord) -> Result<Patch, Fault> {
    let after = patch.apply(&base.record).map_err(|error| Fault::new("applying a proposal", error))?;
    Ok(Patch::between(&base.record, &after))
}

fn is_of_population(catalogue: &Catalogue, field: &str) -> bool {
    let role = |role| matches!(role, PopulationRole::MatchKey | PopulationRole::Source);
    columns(catalogue, field).any(|field| role(field.population_role))
}

/// A reason of the list, with the note that it needs.
pub(super) fn reason_of(
    reason: &str,
    note: Option<&str>,
    occasion: Occasion,
) -> Result<(String, Option<String>), Refusal> {
    let Some(reason) = RefusalReason::parse(reason, occasion) else {
        let fits = RefusalReason::ALL.into_iter().filter(|reason| reason.occasions.contains(&occasion));
        let codes: Vec<_> = fits.map(|reason| reason.code).collect();
        return Err(Refusal::malformed("body.reason", format!("must be one of {}", codes.join(", "))));
    };
    let note = note_of(note)?;
    if reason.needs_note && note.is_none() {
        return Err(Refusal::malformed("body.note", format!("is needed with {}", reason.code)));
    }
    Ok((reason.code.to_owned(), note))
}

/// A note in one normal form; an empty one is none.
fn note_of(note: Option<&str>) -> Result<Option<String>, Refusal> {
    let Some(note) = note.map(crate::model::text::normalised).filter(|note| !note.is_empty()) else { return Ok(None) };
    let odd = |character: char| character != '\n' && crate::model::text::is_invisible(character);
    if note.chars().count() > RefusalReason::MAX_NOTE || note.contains(odd) {
        let rule = format!("must be at most {} visible characters", RefusalReason::MAX_NOTE);
        return Err(Refusal::malformed("body.note", rule));
    }
    Ok(Some(note.into_owned()))
}
