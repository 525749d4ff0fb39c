//! The competent person approves the state of the unit's records once a month (Circular 06/2023/TT-BNV).
//!
//! ```text
//! document   the exact bytes of the state as it is now, kept     → the person's own signing tool
//! approve    handed out, by its digest? → follows the last approval? → certificate registered for this caller?
//!            → signature and path? → kept, records signed
//! ```
//!
//! What was handed out may come back signed for a day, however the records have moved on since: an approval signs each
//! record at the version that its document has, and what changed meanwhile shows as not signed.

mod offline;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

pub use self::offline::{ApprovalCheck, ApprovalCheckError, check_approval};
use super::enroll::unit_code;
use super::quality::{After, quality_unit};
use super::{Caller, Service};
use crate::clock::{DAY_SECONDS, UnixSeconds};
use crate::config::ApproverRoot;
use crate::credential::approver::{ApproverSignature, ApproverTrust, CertificateFacts, SignatureFault, subject_of};
use crate::credential::x509::pem_certificates;
use crate::error::{Fault, Refusal, Result};
use crate::model::approval::{Leaf, StateDocument, Tree};
use crate::model::calendar::Month;
use crate::model::catalogue::Catalogue;
use crate::model::unit::UnitCode;
use crate::store::{ApprovalRow, ApproverCertificate, Rows};

/// Records that one approval covers at most: more than any ministry or province has.
const MOST_RECORDS: i64 = 1_000_000;
/// How often a state is read again because records came or went meanwhile.
const ATTEMPTS: usize = 5;
/// How long after it was made a document may come back signed.
const DOCUMENT_SECONDS: i64 = DAY_SECONDS;
/// The longest reason for a late approval, in characters.
const MAX_REASON_LENGTH: usize = 500;
/// The longest name of an officer, in bytes.
const MAX_OFFICER_LENGTH: usize = 200;
/// Certificates in force of one officer.
const MOST_CERTIFICATES: usize = 10;

/// An approval as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QualityApproval {
    /// Everything that is kept of it but the leaves.
    pub row: ApprovalRow,
    /// What its document says.
    pub document: StateDocument,
    /// Records whose present version no approval has signed, where this is the unit's last one; not counted for a list.
    pub changed_since: Option<i64>,
}

impl QualityApproval {
    fn of(row: ApprovalRow, changed_since: Option<i64>) -> Result<Self, Fault> {
        let document = StateDocument::parse(row.document.as_bytes());
        let document = document.ok_or_else(|| Fault::new("reading an approval", "its document is malformed"))?;
        Ok(Self { row, document, changed_since })
    }

    /// Certificate, form and signature for whoever checks without us.
    pub fn file(&self, leaves: String) -> ApprovalFile {
        ApprovalFile {
            id: self.row.id.clone(),
            approver: self.row.approver.clone(),
            approved_at: self.row.approved_at,
            reason: self.row.reason.clone(),
            form: self.row.form.clone(),
            document: STANDARD.encode(&self.row.document),
            signature: STANDARD.encode(&self.row.signature),
            certificate: STANDARD.encode(&self.row.certificate),
            leaves,
        }
    }
}

/// An approval with everything that proves it: what `officials-card approval verify` reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalFile {
    /// Its random name.
    pub id: String,
    /// The name under which the approver called.
    pub approver: String,
    /// When it was taken in.
    pub approved_at: UnixSeconds,
    /// Why late.
    pub reason: Option<String>,
    /// `cms` or `jws`.
    pub form: String,
    /// The signed bytes, base64.
    pub document: String,
    /// The signature's bytes, base64.
    pub signature: String,
    /// The signer's certificate, base64 of its DER.
    pub certificate: String,
    /// A line for each record: handle, version, SHA-256 of its content.
    pub leaves: String,
}

/// A record that changed after the approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedRecord {
    /// Where it stands, for the next page.
    pub place: After,
    /// The number that the unit gave.
    pub number: String,
    /// The version that an approval signed last.
    pub approved_version: Option<i64>,
    /// Its version now.
    pub version: i64,
}

/// What registering a certificate needs.
#[derive(Clone, Debug)]
pub struct NewApproverCertificate {
    /// The officer: the name of the caller.
    pub officer: String,
    /// PEM.
    pub certificate: String,
    /// Any certificate of the same subject will do.
    pub by_subject: bool,
}

impl Service {
    /// Checks that the certificates of those who certify approvers can be read.
    pub fn check_approvers(&self) -> Result<(), Fault> {
        for root in &self.config.approver_roots {
            ApproverTrust::new(&root.certificates, None).map_err(|_| {
                Fault::new("checking the configuration", format!("approver_roots.{}: no PEM certificates", root.name))
            })?;
        }
        Ok(())
    }

    /// The exact bytes that the competent person of a unit signs for a month.
    pub async fn approval_document(&self, caller: &Caller, month: Month, unit: &str) -> Result<Vec<u8>> {
        let unit = approver_of(caller, unit)?;
        self.window(month)?;
        let now = self.clock.now();
        let (state, leaves) = self.state(&unit, month, now).await?;
        let bytes = state.bytes();
        self.store.keep_draft(unit.as_str(), StateDocument::digest(&bytes), &leaves, now).await?;
        Ok(bytes)
    }

    /// Takes an approval in: the signed bytes and the signature that the person's own tool made.
    pub async fn approve_state(
        &self,
        caller: &Caller,
        signed: &[u8],
        signature: &str,
        reason: Option<String>,
    ) -> Result<QualityApproval> {
        let document = StateDocument::parse(signed);
        let document =
            document.ok_or_else(|| Refusal::malformed("body.document", "is not a document of this service"))?;
        let unit = approver_of(caller, document.unit.as_str())?;
        let is_late = self.window(document.month)?;
        let reason = late_reason(is_late, reason)?;
        let now = self.clock.now();
        if !(now - DOCUMENT_SECONDS..=now).contains(&document.at) {
            return Err(Refusal::StateMoved.into());
        }
        let previous = self.previous_approval(&unit, document.month).await?;
        let document_sha256 = StateDocument::digest(signed);
        if previous != document.previous || !self.store.has_draft(&document_sha256).await? {
            return Err(Refusal::StateMoved.into());
        }
        let malformed = |fault: SignatureFault| Refusal::InvalidSignature(fault.to_string());
        let signature = ApproverSignature::parse(signature).map_err(malformed)?;
        let registered = self.store.approver_certificates(Some(&caller.name)).await?;
        let candidates = candidates(&registered, &signature)?;
        let (roots, bytes) = (self.config.approver_roots.clone(), signed.to_vec());
        let checked = spawn_blocking(move || {
            let signer = signer_of(&signature, &bytes, candidates, &roots, now)?;
            Ok::<_, crate::error::Error>((signature, signer))
        });
        let (signature, certificate) =
            checked.await.map_err(|error| Fault::new("checking the signature of an approval", error))??;
        let facts = CertificateFacts::of(&certificate).map_err(malformed)?;
        let row = ApprovalRow {
            id: self.random_name(),
            unit: unit.to_string(),
            month: document.month,
            approver: caller.name.clone(),
            approved_at: now,
            reason,
            form: signature.form.word().to_owned(),
            document: String::from_utf8(signed.to_vec()).unwrap_or_default(),
            document_sha256,
            previous: document.previous.clone(),
            signature: signature.bytes().to_vec(),
            certificate,
            certificate_sha256: facts.sha256,
            subject: facts.subject,
        };
        self.store.keep_approval(row.clone()).await?;
        self.mark_approvals().await?;
        self.told(row).await
    }

    /// Lets the records of approvals know that they are signed. What an interrupted round left is done by the next.
    pub async fn mark_approvals(&self) -> Result<()> {
        while self.store.mark_signed().await? {}
        Ok(())
    }

    /// Whether a month is approved late now; refused outside its days.
    fn window(&self, month: Month) -> Result<bool> {
        let now = self.clock.now();
        let late = i64::from(self.config.approvals.late_days) * DAY_SECONDS;
        if month.may_be_approved_at(now) {
            Ok(false)
        } else if (month.ends_at()..month.ends_at() + late).contains(&now) {
            Ok(true)
        } else {
            Err(Refusal::OutsideWindow.into())
        }
    }

    /// The state of a unit as of now, said to be of `at`, with its leaves.
    async fn state(&self, unit: &UnitCode, month: Month, at: UnixSeconds) -> Result<(StateDocument, Vec<Leaf>)> {
        let previous = self.previous_approval(unit, month).await?;
        for _ in 0..ATTEMPTS {
            self.need_settled_quality(unit.as_str()).await?;
            let mut leaves = self.store.approval_leaves(unit.as_str(), MOST_RECORDS + 1).await?;
            if leaves.is_empty() {
                return Err(Refusal::NothingToApprove.into());
            }
            let records = i64::try_from(leaves.len()).unwrap_or(i64::MAX);
            if records > MOST_RECORDS {
                return Err(Refusal::TooMuch(format!("an approval covers at most {MOST_RECORDS} records")).into());
            }
            let tally = self.store.unit_quality(unit.as_str()).await?.tally;
            // Somebody came or went between the two looks.
            if tally.records != records {
                continue;
            }
            let catalogue = Catalogue::CURRENT.to_owned();
            // Up to a million hashes: not on a thread that answers requests.
            let hashed = spawn_blocking(move || {
                // By their bytes, whatever order the database has for texts.
                leaves.sort_unstable_by(|one, two| one.record.cmp(&two.record));
                (Tree::of(&leaves).root(), leaves)
            });
            let (root, leaves) = hashed.await.map_err(|error| Fault::new("computing the state of a unit", error))?;
            return Ok((StateDocument { unit: unit.clone(), month, at, catalogue, tally, root, previous }, leaves));
        }
        Err(Refusal::Busy("changes of the unit's records").into())
    }

    /// What an approval of a month has to follow: the digest of the unit's last one, which is of a month before.
    async fn previous_approval(&self, unit: &UnitCode, month: Month) -> Result<Option<String>> {
        let last = self.store.last_approval(unit.as_str()).await?;
        if last.as_ref().is_some_and(|last| last.month >= month) {
            return Err(Refusal::AlreadyApproved.into());
        }
        Ok(last.map(|last| last.document_sha256))
    }

    /// Approvals of a unit and of the units below it, newest first; what changed since is not counted. `after` is the `next`
    /// of the page before. Returns the page and where the next one begins.
    pub async fn approvals(
        &self,
        caller: &Caller,
        unit: Option<&str>,
        after: Option<&str>,
        limit: i64,
    ) -> Result<(Vec<QualityApproval>, Option<String>)> {
        let unit = quality_unit(caller, unit)?;
        let place = |text: &str| {
            let (at, id) = text.split_once('~')?;
            Some((at.parse::<UnixSeconds>().ok()?, id.to_owned()))
        };
        let before =
            after.map(|text| place(text).ok_or_else(|| Refusal::malformed("after", "must be the `next` of a page")));
        let before = before.transpose()?;
        let before = before.as_ref().map(|(at, id)| (*at, id.as_str()));
        let mut rows = self.store.approvals(&unit, before, limit + 1).await?;
        let more = rows.len() > usize::try_from(limit).unwrap_or(usize::MAX);
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let next = rows.last().filter(|_| more).map(|row| format!("{}~{}", row.approved_at, row.id));
        let approvals = rows.into_iter().map(|row| QualityApproval::of(row, None)).collect::<Result<_, _>>()?;
        Ok((approvals, next))
    }

    /// One approval.
    pub async fn approval(&self, caller: &Caller, id: &str) -> Result<QualityApproval> {
        caller.needs("quality:read")?;
        let row = if super::is_random_name(id) { self.store.approval(id).await? } else { None };
        let row = row.filter(|row| caller.sees(&row.unit)).ok_or(Refusal::NotFound("approval"))?;
        self.told(row).await
    }

    /// One approval with what changed since, if it is its unit's last one.
    async fn told(&self, row: ApprovalRow) -> Result<QualityApproval> {
        let last = self.store.last_approval(&row.unit).await?;
        // Counted, not summed: the sums follow an approval some seconds later.
        let changed_since = match last {
            Some(last) if last.id == row.id => Some(self.store.count_unsigned(&row.unit).await?),
            _ => None,
        };
        Ok(QualityApproval::of(row, changed_since)?)
    }

    /// The last approval of a unit, for a page about it; none for the nation.
    pub async fn last_approval(&self, caller: &Caller, unit: Option<&str>) -> Result<Option<QualityApproval>> {
        let unit = quality_unit(caller, unit)?;
        match self.store.last_approval(&unit).await? {
            Some(row) => self.told(row).await.map(Some),
            None => Ok(None),
        }
    }

    /// An approval with everything that proves it.
    pub async fn approval_file(&self, caller: &Caller, id: &str) -> Result<ApprovalFile> {
        let approval = self.approval(caller, id).await?;
        let leaves = self.store.approved_leaves(id).await?;
        Ok(approval.file(leaves))
    }

    /// Records below an approval's unit whose present version no approval has signed. Returns whether more follow, too.
    pub async fn approval_changes(
        &self,
        caller: &Caller,
        id: &str,
        after: Option<&After>,
        limit: i64,
    ) -> Result<(Vec<ChangedRecord>, bool)> {
        let approval = self.approval(caller, id).await?;
        let after = after.map(|after| (after.unit.as_str(), after.record.as_str()));
        let mut rows = self.store.quality_rows(&approval.row.unit, Rows::Unsigned, after, limit + 1, false).await?;
        let more = rows.len() > usize::try_from(limit).unwrap_or(usize::MAX);
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let read: Vec<_> = rows.iter().map(|row| row.record.clone()).collect();
        self.store.note_read(&caller.name, &read, "quality", self.clock.now()).await?;
        let changed = rows.into_iter().map(|row| ChangedRecord {
            place: After { unit: row.unit, record: row.record },
            number: row.number,
            approved_version: row.signed_version,
            version: row.version,
        });
        Ok((changed.collect(), more))
    }

    /// Registers the certificate with which an officer approves. Only a caller for the whole nation may.
    pub async fn add_approver_certificate(
        &self,
        caller: &Caller,
        new: NewApproverCertificate,
    ) -> Result<ApproverCertificate> {
        caller.needs("officers:write")?;
        need_nation(caller)?;
        let NewApproverCertificate { officer, certificate, by_subject } = new;
        let is_name = !officer.is_empty() && officer.len() <= MAX_OFFICER_LENGTH && !officer.contains(char::is_control);
        if !is_name {
            return Err(Refusal::malformed("body.officer", "must be the name of a caller").into());
        }
        let wrong = |rule: &str| Refusal::malformed("body.certificate", rule);
        let found = pem_certificates(&certificate).map_err(|_| wrong("must be one certificate in PEM"))?;
        let [der] = found.as_slice() else { return Err(wrong("must be one certificate in PEM").into()) };
        let facts = CertificateFacts::of_signer(der).map_err(|fault| wrong(&fault.to_string()))?;
        if self.store.approver_certificates(Some(&officer)).await?.len() >= MOST_CERTIFICATES {
            return Err(Refusal::TooMuch(format!("an officer has at most {MOST_CERTIFICATES} certificates")).into());
        }
        let certificate = ApproverCertificate {
            id: self.random_name(),
            officer,
            sha256: facts.sha256,
            subject: facts.subject,
            matches: if by_subject { "subject" } else { "certificate" }.to_owned(),
            certificate: der.clone(),
            not_after: facts.not_after,
            added_at: self.clock.now(),
            added_by: caller.name.clone(),
        };
        self.store.add_approver_certificate(certificate.clone()).await?;
        Ok(certificate)
    }

    /// The certificates in force.
    pub async fn approver_certificates(&self, caller: &Caller) -> Result<Vec<ApproverCertificate>> {
        caller.needs("officers:read")?;
        need_nation(caller)?;
        Ok(self.store.approver_certificates(None).await?)
    }

    /// Takes a certificate out. What was approved with it stays approved.
    pub async fn remove_approver_certificate(&self, caller: &Caller, id: &str) -> Result<()> {
        caller.needs("officers:write")?;
        need_nation(caller)?;
        let now = self.clock.now();
        if super::is_random_name(id) && self.store.remove_approver_certificate(id, &caller.name, now).await? {
            Ok(())
        } else {
            Err(Refusal::NotFound("certificate").into())
        }
    }
}

fn need_nation(caller: &Caller) -> Result<(), Refusal> {
    if caller.units().is_none() { Ok(()) } else { Err(Refusal::ForeignUnit) }
}

/// The unit, where the caller is its competent person: named for exactly this unit, not for one above.
fn approver_of(caller: &Caller, unit: &str) -> Result<UnitCode> {
    caller.needs("quality:approve")?;
    let unit = unit_code(unit)?;
    let is_named = caller.units().is_some_and(|own| own.iter().any(|own| own == unit.as_str()));
    if is_named { Ok(unit) } else { Err(Refusal::ForeignUnit.into()) }
}

fn late_reason(is_late: bool, reason: Option<String>) -> Result<Option<String>, Refusal> {
    if !is_late {
        return Ok(None);
    }
    let wrong = || {
        Refusal::malformed(
            "body.reason",
            format!("a late approval needs a reason of 1 to {MAX_REASON_LENGTH} characters"),
        )
    };
    let reason = reason.map(|reason| reason.trim().to_owned()).filter(|reason| !reason.is_empty()).ok_or_else(wrong)?;
    let is_plain = reason.chars().count() <= MAX_REASON_LENGTH && !reason.contains(char::is_control);
    if is_plain { Ok(Some(reason)) } else { Err(wrong()) }
}

/// The certificates that may be the signer's: those registered, and of those that the signature brings along the ones whose
/// subject is.
fn candidates(registered: &[ApproverCertificate], signature: &ApproverSignature) -> Result<Vec<Vec<u8>>, Refusal> {
    let mut candidates: Vec<_> =
        registered.iter().filter(|one| one.matches == "certificate").map(|one| one.certificate.clone()).collect();
    for der in signature.certificates() {
        // Byte for byte: two names that read alike need not be one.
        let subject = subject_of(der);
        let is_registered =
            |one: &ApproverCertificate| one.matches == "subject" && subject_of(&one.certificate) == subject;
        if subject.is_some() && registered.iter().any(is_registered) && !candidates.contains(der) {
            candidates.push(der.clone());
        }
    }
    let brought = signature.certificates();
    let is_ours = brought.is_empty() || brought.iter().any(|der| candidates.contains(der));
    if is_ours && !candidates.is_empty() { Ok(candidates) } else { Err(Refusal::UnregisteredCertificate) }
}

/// The candidate that made the signature, trusted at `now` by one of the authorities.
fn signer_of(
    signature: &ApproverSignature,
    document: &[u8],
    candidates: Vec<Vec<u8>>,
    roots: &[ApproverRoot],
    now: UnixSeconds,
) -> Result<Vec<u8>> {
    // Where it brings certificates along, the signer's is among them.
    let brought = signature.certificates();
    let mut candidates = candidates;
    candidates.retain(|der| brought.is_empty() || brought.contains(der));
    let mut told = None;
    for root in roots {
        let lists = match &root.revocation_list {
            Some(file) => Some(std::fs::read(file).map_err(|error| Fault::new("reading a revocation list", error))?),
            None => None,
        };
        let trust = ApproverTrust::new(&root.certificates, lists.as_deref())
            .map_err(|fault| Fault::new("reading who certifies approvers", fault))?;
        for der in &candidates {
            match signature.check(document, der, &trust, now) {
                Ok(()) => return Ok(der.clone()),
                // That another authority does not know it says less.
                Err(fault) if told.is_none_or(|told| told == SignatureFault::Untrusted) => told = Some(fault),
                Err(_) => {}
            }
        }
    }
    Err(Refusal::InvalidSignature(told.unwrap_or(SignatureFault::Untrusted).to_string()).into())
}
