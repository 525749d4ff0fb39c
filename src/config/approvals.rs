//! Who certifies the people who approve the monthly state, and when they may.

use std::path::PathBuf;

use serde::Deserialize;

use super::Config;
use crate::error::Fault;

/// An authority that certifies approvers, for example that of the Government's cipher committee.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApproverRoot {
    /// For people.
    pub name: String,
    /// Its root certificate, and intermediates if people's tools leave them out: PEM, or the name of a PEM file, which is
    /// read when the settings are.
    pub certificates: String,
    /// A file with its revocation lists, PEM or DER, which is read at every approval: whoever fetches them replaces the
    /// file. Where it is named, a current list of each issuer is needed; without it, revocation is not known.
    #[serde(default)]
    pub revocation_list: Option<PathBuf>,
}

/// When approvals are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApprovalRules {
    /// For how many days after its end a month may still be approved, with a reason: 0 to 31.
    pub late_days: u16,
}

/// Puts the certificates in the place of the names of their files.
pub(super) fn read(config: &mut Config) -> Result<(), Fault> {
    for root in config.approver_roots.iter_mut().filter(|root| !root.certificates.contains("-----BEGIN")) {
        root.certificates = std::fs::read_to_string(&root.certificates).map_err(|error| {
            Fault::new("reading the certificates of approvers", format!("{}: {error}", root.certificates))
        })?;
    }
    Ok(())
}

/// What can be seen without reading a certificate.
pub(super) fn check(config: &Config) -> Result<(), &'static str> {
    if config.approvals.late_days > 31 {
        return Err("approvals.late_days must be at most 31");
    }
    if config.approver_roots.iter().any(|root| root.name.trim().is_empty()) {
        return Err("approver_roots: each needs a name");
    }
    Ok(())
}
