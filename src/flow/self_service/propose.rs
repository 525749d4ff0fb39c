//! An official changes their own record: at once where nobody has to confirm it, by a proposal to the unit elsewhere.
//!
//! Every value is read by its field's rule. What comes from the population database is never typed: it is asked again. A
//! proposal keeps the old values beside the new ones, so that what others change meanwhile is a conflict and shown.

use serde_json::{Map, Value};
use time::Date;

use super::{Official, OwnProposal, Service};
use crate::clock::UnixSeconds;
use crate::error::{Error, Fault, Refusal, Result};
use crate::flow::Rematched;
use crate::flow::receive::{Expects, Incoming, Says};
use crate::model::calendar::day_of;
use crate::model::evidence::{self, MediaType};
use crate::model::id::Handle;
use crate::model::intake::Intake;
use crate::model::origin::{HOLDER, Origin, Way};
use crate::model::patch::Patch;
use crate::model::record::Record;
use crate::model::row_fault::RowFault;
use crate::model::rule::Knowledge;
use crate::model::self_update::{Changeable, EvidenceRule, How};
use crate::model::text::{is_invisible, normalised};
use crate::model::unit::UnitRegister;
use crate::store::{NewProposal, StoredRecord};

/// Longest note, in characters.
const MAX_NOTE: usize = 2_000;
/// Most files beside one proposal or appeal.
const MAX_EVIDENCE: usize = 10;
/// Most fields and lists of one request: more than the catalogue opens.
const MAX_CHANGES: usize = 100;
/// How far ahead a change may be asked for, in days.
const MOST_DAYS_AHEAD: i64 = 366;
/// Why the population database is asked, in the records of questions.
const REMATCH_PURPOSE: &str = "asked by the person themselves";
/// How often a change at once is tried that others are in the way of.
const ATTEMPTS: usize = 3;

/// What an official asks for.
#[derive(Clone, Debug)]
pub struct NewOwnProposal {
    /// The record.
    pub record: Handle,
    /// New values by field code or list name; null empties.
    pub changes: Map<String, Value>,
    /// Files that are of no proposal yet.
    pub evidence: Vec<String>,
    /// From which day it is to hold, if not at once.
    pub effective_on: Option<Date>,
    /// What the person says to it.
    pub note: String,
}

/// What became of it.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing differs.
    Unchanged,
    /// Something was done.
    Done {
        /// What holds at once, if anything.
        applied: Option<Applied>,
        /// Fields that others changed meanwhile and that were left as they are, beside a proposal that stands.
        not_applied: Vec<String>,
        /// What the unit decides about, if anything.
        proposal: Option<Box<OwnProposal>>,
    },
    /// Some values are not acceptable: nothing was done.
    Rejected(Vec<Rejected>),
}

/// What holds at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The fields.
    pub fields: Vec<String>,
    /// The version of the record that has them.
    pub version: i64,
}

/// A field that cannot be changed so. The value is not repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The field, with the place in a list.
    pub field: String,
    /// The rule of the catalogue, or `known_column`, `closed`, `rematch`, `evidence`.
    pub rule: String,
    /// What to do, in Vietnamese.
    pub vi: String,
    /// What to do, in English.
    pub en: String,
}

impl From<RowFault> for Rejected {
    fn from(fault: RowFault) -> Self {
        let (vi, en) = (format!("giá trị phải {}", fault.demand_vi), format!("the value must {}", fault.demand_en));
        Self { field: fault.field, rule: fault.rule, vi, en }
    }
}

impl Service {
    /// Changes at once what the official may change, and proposes the rest to the unit. Everything is looked at before
    /// anything is done.
    pub async fn self_propose(&self, official: &Official, request: NewOwnProposal) -> Result<Outcome> {
        let note = text("body.note", &request.note)?;
        check_evidence(&request.evidence)?;
        if request.changes.len() > MAX_CHANGES {
            return Err(Refusal::malformed("body.changes", format!("must have at most {MAX_CHANGES} members")).into());
        }
        self.check_day(request.effective_on)?;
        let stored = self.own_record(official, &request.record).await?;
        let closed = closed(&stored.record, &request.changes);
        if !closed.is_empty() {
            return Ok(Outcome::Rejected(closed));
        }
        let new = match self.changed(&stored.record, &request.changes).await? {
            Ok(new) => new,
            Err(faults) => return Ok(Outcome::Rejected(faults.into_iter().map(Into::into).collect())),
        };
        let portrait = match new_portrait(&stored.record, &new).await? {
            Ok(portrait) => portrait,
            Err(rejected) => return Ok(Outcome::Rejected(vec![rejected])),
        };
        let catalogue = stored.record.catalogue();
        let rule = |name: &str| Changeable::of(catalogue, name);
        let is_proposed = |name: &str| rule(name).is_none_or(|rule| rule.how == How::Proposal);
        let (at_once, proposed) = Patch::between(&stored.record, &new).split(is_proposed);
        if at_once.is_empty() && proposed.is_empty() {
            return Ok(Outcome::Unchanged);
        }
        let rules: Vec<_> = proposed.fields().filter_map(rule).collect();
        if rules.iter().any(|rule| rule.is_sensitive || rule.is_on_card) {
            official.needs_fresh(self)?;
        }
        let unproved = lacking_evidence(&proposed, rule);
        if request.evidence.is_empty() && !unproved.is_empty() {
            return Ok(Outcome::Rejected(unproved));
        }
        let now = self.clock.now();
        let mut proposal = None;
        if !proposed.is_empty() {
            let id = self.random_name();
            let new = NewProposal {
                id: id.clone(),
                record: stored.handle.clone(),
                unit: stored.record.key().unit,
                person: official.person.clone(),
                base_version: stored.version,
                patch: proposed.to_json(),
                note,
                is_sensitive: rules.iter().any(|rule| rule.is_sensitive),
                effective_on: request.effective_on.map(|day| day.to_string()),
                evidence: request.evidence,
                portrait,
                created_at: now,
                due_at: self.decision_due(now).await?,
                most_waiting: self.config.self_service.waiting_proposals,
                most_a_day: self.config.self_service.proposals_a_day,
            };
            self.store.make_proposal(new).await?;
            proposal = Some(id);
        }
        let fields = at_once.fields().map(str::to_owned).collect();
        let applied = self.apply_at_once(official, &stored, at_once, request.effective_on).await;
        let Some(id) = proposal else {
            return Ok(Outcome::Done { applied: applied?, not_applied: Vec::new(), proposal: None });
        };
        let (applied, not_applied) = match applied {
            // The proposal stands: a conflict would say that nothing was done.
            Err(Error::Refusal(Refusal::MovedOn(_))) => (None, fields),
            applied => (applied?, Vec::new()),
        };
        let proposal = Some(Box::new(self.self_proposal(official, &id).await?));
        Ok(Outcome::Done { applied, not_applied, proposal })
    }

    /// Has the population database asked about one of the official's records, now.
    pub async fn self_rematch(&self, official: &Official, record: &Handle) -> Result<Rematched> {
        self.own_record(official, record).await?;
        self.rematch_own(&official.person, record, REMATCH_PURPOSE).await
    }

    /// Takes a proposal back.
    pub async fn self_withdraw(&self, official: &Official, id: &str) -> Result<()> {
        self.proposal_of(official, id).await?;
        if self.store.withdraw_proposal(id, &official.person, self.clock.now()).await? {
            return Ok(());
        }
        let state = self.proposal_of(official, id).await?.state.word();
        Err(Refusal::ProposalState { state, action: "withdrawn" }.into())
    }

    /// Appeals against a refusal, once: to the unit's head or the unit above, never to who refused.
    pub async fn self_appeal(
        &self,
        official: &Official,
        id: &str,
        note: &str,
        evidence: Vec<String>,
    ) -> Result<OwnProposal> {
        let note = text("body.note", note)?;
        if note.is_empty() {
            return Err(Refusal::malformed("body.note", "must say why the refusal is wrong").into());
        }
        check_evidence(&evidence)?;
        self.proposal_of(official, id).await?;
        let now = self.clock.now();
        let due = self.decision_due(now).await?;
        if !self.store.appeal_proposal(id, &official.person, note, evidence, due, now).await? {
            let state = self.proposal_of(official, id).await?.state.word();
            return Err(Refusal::ProposalState { state, action: "appealed against" }.into());
        }
        self.self_proposal(official, id).await
    }

    /// The record with the changes, or what is wrong with them.
    async fn changed(
        &self,
        base: &Record,
        changes: &Map<String, Value>,
    ) -> Result<std::result::Result<Record, Vec<RowFault>>> {
        let labels = self.code_book().await?;
        // Nothing that officials change is a unit.
        let units = UnitRegister::on(day_of(self.clock.now()));
        let knowledge = Knowledge { units: &units, codes: &*labels };
        Ok(Intake { catalogue: base.catalogue(), knowledge }.change(base, changes))
    }

    /// Writes what nobody has to confirm. The unit's word for everything else stays as it was given.
    async fn apply_at_once(
        &self,
        official: &Official,
        stored: &StoredRecord,
        patch: Patch,
        effective_on: Option<Date>,
    ) -> Result<Option<Applied>> {
        if patch.is_empty() {
            return Ok(None);
        }
        let origin = Origin { way: Way::Update, reference: "self".to_owned(), actor: HOLDER.to_owned() };
        let mut current = stored.clone();
        for _ in 0..ATTEMPTS {
            // Somebody else changed the same field meanwhile: the person has not seen it.
            if !patch.conflicts(&current.record).is_empty() {
                break;
            }
            let record = patch.apply(&current.record).map_err(|error| Fault::new("applying a change", error))?;
            let incoming = Incoming {
                record,
                expects: Expects::Version(current.version),
                effective_on,
                confirmed_by: None,
                says: Says::Fields(patch.fields().map(str::to_owned).collect()),
            };
            match self.receive(&origin, vec![incoming]).await {
                Err(Error::Refusal(Refusal::MovedOn(_))) => {
                    current = self.own_record(official, &stored.handle).await?;
                }
                received => {
                    let version = received?.first().map_or(current.version, |received| received.version);
                    return Ok(Some(Applied { fields: patch.fields().map(str::to_owned).collect(), version }));
                }
            }
        }
        Err(Refusal::MovedOn("record").into())
    }

    fn check_day(&self, effective_on: Option<Date>) -> Result<UnixSeconds, Refusal> {
        let now = self.clock.now();
        let days = effective_on.map_or(0, |day| (day - day_of(now)).whole_days());
        if (0..=MOST_DAYS_AHEAD).contains(&days) {
            return Ok(now);
        }
        Err(Refusal::malformed("body.effective_on", format!("must lie 0 to {MOST_DAYS_AHEAD} days ahead")))
    }
}

/// The changes that are not the official's to make.
fn closed(record: &Record, changes: &Map<String, Value>) -> Vec<Rejected> {
    let catalogue = record.catalogue();
    let rejected = |name: &str, rule: &str, vi: &str, en: &str| Rejected {
        field: name.to_owned(),
        rule: rule.to_owned(),
        vi: vi.to_owned(),
        en: en.to_owned(),
    };
    changes
        .keys()
        .filter_map(|name| match Changeable::of(catalogue, name).map(|rule| rule.how) {
            Some(How::AtOnce | How::Proposal) => None,
            Some(How::Rematch) => Some(rejected(
                name,
                "rematch",
                "lấy từ Cơ sở dữ liệu quốc gia về dân cư; hãy đề nghị đối chiếu lại",
                "comes from the national population database; ask for a re-match",
            )),
            Some(How::Unit) => Some(rejected(name, "closed", "chỉ đơn vị được sửa", "only the unit changes this")),
            None => {
                // The name comes from outside: it is only repeated when it looks like one of ours.
                let is_plain =
                    name.len() <= 60 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                let name = if is_plain { name.as_str() } else { "" };
                Some(rejected(name, "known_column", "không có trong danh mục", "is not in the catalogue"))
            }
        })
        .take(MAX_CHANGES)
        .collect()
}

/// The fields of a proposal for which a file is required.
fn lacking_evidence(proposed: &Patch, rule: impl Fn(&str) -> Option<Changeable>) -> Vec<Rejected> {
    let required = |name: &&str| rule(name).is_some_and(|rule| rule.evidence == EvidenceRule::Required);
    let rejected = |name: &str| Rejected {
        field: name.to_owned(),
        rule: "evidence".to_owned(),
        vi: "cần kèm giấy tờ chứng minh".to_owned(),
        en: "needs a file that proves it".to_owned(),
    };
    proposed.fields().filter(required).map(rejected).collect()
}

/// The bytes of a portrait that is new, by its name: a picture that decodes.
async fn new_portrait(old: &Record, new: &Record) -> Result<std::result::Result<Option<(String, Vec<u8>)>, Rejected>> {
    let Some(portrait) = new.portrait().filter(|new| old.portrait().is_none_or(|old| old.name() != new.name())) else {
        return Ok(Ok(None));
    };
    let Some(jpeg) = portrait.jpeg().map(<[u8]>::to_vec) else { return Ok(Ok(None)) };
    let name = portrait.name().replace("sha256:", "");
    let looked_at = tokio::task::spawn_blocking(move || (evidence::recognise(&jpeg), jpeg)).await;
    let (kind, jpeg) = looked_at.map_err(|error| Fault::new("looking at a portrait", error))?;
    if kind == Ok(MediaType::Jpeg) {
        return Ok(Ok(Some((name, jpeg))));
    }
    Ok(Err(Rejected {
        field: "portrait_photo".to_owned(),
        rule: "image jpeg".to_owned(),
        vi: "giá trị phải là ảnh JPEG đọc được".to_owned(),
        en: "the value must be a JPEG that can be read".to_owned(),
    }))
}

fn check_evidence(evidence: &[String]) -> Result<(), Refusal> {
    let mut sorted: Vec<_> = evidence.iter().collect();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() == evidence.len() && evidence.len() <= MAX_EVIDENCE {
        return Ok(());
    }
    Err(Refusal::malformed("body.evidence", format!("must name at most {MAX_EVIDENCE} files, each once")))
}

/// A text for people: NFC, bounded, nothing invisible but line ends.
fn text(place: &str, text: &str) -> Result<String, Refusal> {
    let text = normalised(text);
    let is_fine = |character: char| character == '\n' || !is_invisible(character);
    if text.chars().count() <= MAX_NOTE && text.chars().all(is_fine) {
        return Ok(text.into_owned());
    }
    Err(Refusal::malformed(place, format!("must have at most {MAX_NOTE} visible characters")))
}
