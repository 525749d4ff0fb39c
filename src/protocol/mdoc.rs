//! The card as mdoc: its names on the wire, and what the issuer's metadata says of it (OpenID4VCI 1.0 appendix A.2).
//!
//! The names are our choice, nothing official: reverse domains of moha.gov.vn, the Ministry of Home Affairs. The element
//! identifiers are those of the claims ([`CLAIMS`]).

use serde_json::{Value, json};

use super::oid4vci::CLAIMS;

/// The type of the card.
pub const DOCTYPE: &str = "vn.gov.moha.officials-card.1";
/// The type of a specimen: another one, so that no reader takes it for a card, whether or not it knows specimens.
pub const SPECIMEN_DOCTYPE: &str = "vn.gov.moha.officials-card.specimen.1";
/// The namespace of its elements.
pub const NAMESPACE: &str = "vn.gov.moha.officials-card.1";

/// The type of the cards that a deployment issues.
pub fn doctype(specimen: bool) -> &'static str {
    if specimen { SPECIMEN_DOCTYPE } else { DOCTYPE }
}

/// What the metadata says of the elements: paths begin with the namespace (appendix C.2).
pub fn claims() -> Value {
    CLAIMS
        .iter()
        .map(|(name, vi, en, mandatory)| {
            json!({
                "path": [NAMESPACE, name],
                "mandatory": mandatory,
                "display": [{"name": vi, "locale": "vi-VN"}, {"name": en, "locale": "en"}],
            })
        })
        .collect()
}
