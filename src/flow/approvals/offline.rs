//! What an approval proves, told from its file alone: no database, no network.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::ApprovalFile;
use crate::credential::approver::{ApproverSignature, ApproverTrust, CertificateFacts, Form, SignatureFault};
use crate::model::approval::{Leaf, StateDocument, Tree};

/// What was found to be so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApprovalCheck {
    /// The unit, with everything below it.
    pub unit: String,
    /// The month.
    pub month: String,
    /// Records of the approved state.
    pub records: i64,
    /// The root that they give, which is the signed one.
    pub root: String,
    /// SHA-256 of the signed document: what the next approval names.
    pub document_sha256: String,
    /// What this one names; `None` for the first.
    pub previous: Option<String>,
    /// Who signed, by the certificate.
    pub subject: String,
    /// SHA-256 of the certificate.
    pub certificate_sha256: String,
    /// When the document was made: the instant at which the certificate was checked.
    pub at: i64,
}

/// What is wrong with an approval.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalCheckError {
    /// The file or a part of it cannot be read.
    #[error("tệp không đúng dạng / the file is malformed: {0}")]
    Malformed(&'static str),
    /// The leaves are not the signed ones.
    #[error("danh sách hồ sơ không khớp với văn bản đã ký / the records are not those of the signed document")]
    OtherRecords,
    /// The signature does not hold.
    #[error("chữ ký không hợp lệ / the signature does not hold: {0}")]
    Signature(SignatureFault),
}

/// Checks an approval: the leaves give the signed root and count, the signature is over exactly the document, and its
/// certificate was trusted when the document was made. That the certificate was registered for the approver is our word.
pub fn check_approval(file: &ApprovalFile, trust: &ApproverTrust) -> Result<ApprovalCheck, ApprovalCheckError> {
    let malformed = |what| move |_| ApprovalCheckError::Malformed(what);
    let bytes = |text: &String, what| STANDARD.decode(text).map_err(malformed(what));
    let signed = bytes(&file.document, "document")?;
    let document = StateDocument::parse(&signed).ok_or(ApprovalCheckError::Malformed("document"))?;
    let leaves: Option<Vec<_>> = file.leaves.lines().map(Leaf::parse).collect();
    let leaves = leaves.ok_or(ApprovalCheckError::Malformed("leaves"))?;
    let in_order = leaves.windows(2).all(|pair| pair[0].record < pair[1].record);
    let is_whole = i64::try_from(leaves.len()).is_ok_and(|count| count == document.tally.records);
    if !in_order || !is_whole || Tree::of(&leaves).root() != document.root {
        return Err(ApprovalCheckError::OtherRecords);
    }
    let form = match file.form.as_str() {
        "cms" => Form::Cms,
        "jws" => Form::Jws,
        _ => return Err(ApprovalCheckError::Malformed("form")),
    };
    let certificate = bytes(&file.certificate, "certificate")?;
    let signature = ApproverSignature::restored(form, bytes(&file.signature, "signature")?);
    let facts = signature
        .and_then(|signature| signature.check(&signed, &certificate, trust, document.at))
        .and_then(|()| CertificateFacts::of(&certificate))
        .map_err(ApprovalCheckError::Signature)?;
    Ok(ApprovalCheck {
        unit: document.unit.to_string(),
        month: document.month.to_string(),
        records: document.tally.records,
        root: document.root,
        document_sha256: StateDocument::digest(&signed),
        previous: document.previous,
        subject: facts.subject,
        certificate_sha256: facts.sha256,
        at: document.at,
    })
}
