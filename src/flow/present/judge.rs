//! Whether an answer is believed (OpenID4VP 1.0 section 8.6): each presentation by itself, then against the query as it was
//! asked, then the status, then what the client wants to know. Whatever fails rejects the whole answer; the reason is a
//! code for the audit table and the client, and never goes to the wallet.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::Terms;
use super::templates::Ready;
use crate::clock::UnixSeconds;
use crate::config::Conformance;
use crate::credential::mdoc::device::SessionTranscript;
use crate::credential::presentation::{
    self, Believed, SignedFor, StatusPolicy, Trusted, TrustedIssuer, Wanted, verify_mdoc, verify_sd_jwt,
};
use crate::credential::trust_list::agency_is_within;
use crate::credential::verify::StatusAnswer;
use crate::credential::x509::{Anchors, pem_certificates};
use crate::error::{Error, Fault};
use crate::flow::Service;
use crate::flow::issuers::CardIssuer;
use crate::protocol::dcql::{CredentialQuery, Format, Matched, Presented, Query};
use crate::protocol::mdoc::{NAMESPACE, SPECIMEN_DOCTYPE};
use crate::protocol::oid4vp::VpToken;

/// What was asked, and how.
pub(super) struct Asked<'a> {
    pub terms: &'a Terms,
    /// The `client_id`, or the origin with its prefix.
    pub audience: &'a str,
    pub nonce: &'a str,
    /// The origin, when the browser's API carried the answer.
    pub origin: Option<&'a str>,
    pub response_uri: &'a str,
    /// Of the key that the answer was encrypted to.
    pub thumbprint: Option<[u8; 32]>,
    pub requested_at: UnixSeconds,
}

/// An answer that is believed.
pub(super) struct Accepted {
    /// What was asked for, and nothing else.
    pub result: Value,
}

/// Why an answer is not believed: the wallet's doing, by a code, or ours.
pub(super) enum Unbelieved {
    /// What was wrong with it.
    Reason(&'static str),
    /// We could not tell.
    Error(Error),
}

impl From<&'static str> for Unbelieved {
    fn from(reason: &'static str) -> Self {
        Self::Reason(reason)
    }
}

impl From<Error> for Unbelieved {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<Fault> for Unbelieved {
    fn from(fault: Fault) -> Self {
        Self::Error(fault.into())
    }
}

/// Those who sign a conformance suite's cards: none, unless the configuration says so.
#[derive(Default)]
pub(super) struct SuiteTrust(Vec<TrustedIssuer>);

impl SuiteTrust {
    pub(super) fn new(conformance: &Conformance, templates: &[Ready]) -> Result<Self, Fault> {
        if !conformance.enabled {
            return Ok(Self::default());
        }
        let certificates = |pem: &Option<String>| {
            let pem = pem.as_deref().unwrap_or_default();
            pem_certificates(pem).map_err(|error| Fault::new("reading the trust of a conformance suite", error))
        };
        let asked = templates.iter().filter(|ready| ready.template.conformance);
        let types =
            asked.flat_map(|ready| ready.query.credentials()).flat_map(|credential| credential.types().to_vec());
        Ok(Self(vec![TrustedIssuer {
            name: "conformance suite".into(),
            anchors: Anchors::new(certificates(&conformance.issuers)?),
            types: types.collect(),
            signed_for: SignedFor::Anything,
            issuers: None,
            status: StatusPolicy::IfPresent,
            status_lists: Vec::new(),
            pinned_signers: certificates(&conformance.document_signers)?,
        }]))
    }
}

impl Service {
    /// Whether the answer is believed: what it says, or why not.
    pub(super) async fn judge(&self, asked: &Asked<'_>, vp_token: &Value) -> Result<Accepted, Unbelieved> {
        let query = Query::parse(&asked.terms.query).map_err(|error| Fault::new("reading a query", error))?;
        let token = VpToken::parse(vp_token, &query).map_err(|_| "vp_token")?;
        let believed = self.believe(asked, &query, &token).await?;
        let presented: Vec<_> = token
            .presentations
            .iter()
            .zip(&believed)
            .map(|((query_id, _), one)| Presented {
                query_id,
                format: query.credential(query_id).map_or(Format::SdJwt, CredentialQuery::format),
                types: &one.types,
                claims: &one.claims,
                authority_key_ids: &one.authority_key_ids,
                bound: one.bound,
            })
            .collect();
        let matched = query.check(&presented).map_err(|mismatch| mismatch.code())?;
        let now = self.clock.now();
        let mut credentials = Vec::with_capacity(matched.len());
        let mut is_specimen = false;
        for one in matched {
            let believed = &believed[one.index];
            let status = self.presented_status(asked.terms, believed).await?;
            if believed.specimen && !self.config.specimen {
                return Err("specimen".into());
            }
            is_specimen |= believed.specimen || believed.types.iter().any(|one| one == SPECIMEN_DOCTYPE);
            if !one.unasked.is_empty() {
                tracing::warn!(
                    query = one.query_id,
                    count = one.unasked.len(),
                    "a wallet disclosed more than was asked"
                );
            }
            credentials.push(told(&query, one, status));
        }
        is_one_person(&believed)?;
        if asked.terms.only_ours && believed.iter().any(|one| self.card_issuer(one.issuer) != CardIssuer::Ours) {
            return Err("other_issuer".into());
        }
        if let Some(agency) = &asked.terms.agency {
            self.is_of_agency(&believed, agency)?;
        }
        let mut result = json!({"verified_at": now, "credentials": credentials});
        if is_specimen {
            result["specimen"] = json!(true);
        }
        if let Some(agency) = &asked.terms.agency {
            result["within_agency"] = json!(agency);
        }
        Ok(Accepted { result })
    }

    /// Each presentation by itself: integrity, issuer, holder.
    async fn believe(&self, asked: &Asked<'_>, query: &Query, token: &VpToken) -> Result<Vec<Believed>, Unbelieved> {
        let now = self.clock.now();
        let suite = if asked.terms.conformance { self.presenting.suite.0.as_slice() } else { &[] };
        let issuers: Vec<_> = self.trusted_issuers().iter().chain(suite).collect();
        // Mdocs have their own root, and no part in the trust list.
        let is_sd_jwt = |id: &str| query.credential(id).is_some_and(|asked| asked.format() == Format::SdJwt);
        let list = if token.presentations.iter().any(|(id, _)| is_sd_jwt(id)) {
            Some(self.read_trust_list(&self.trust_list().await?.bytes)?)
        } else {
            None
        };
        let trusted = Trusted { issuers: &issuers, list: list.as_deref() };
        let thumbprint = asked.thumbprint.as_ref();
        let transcript = match asked.origin {
            None => SessionTranscript::of_redirect(&asked.terms.client_id, asked.nonce, thumbprint, asked.response_uri),
            Some(origin) => SessionTranscript::of_dc_api(origin, asked.nonce, thumbprint),
        };
        let question = presentation::Asked {
            audience: asked.audience,
            nonce: asked.nonce,
            transcript: &transcript,
            requested_at: asked.requested_at,
        };
        let mut believed = Vec::with_capacity(token.presentations.len());
        for (id, text) in &token.presentations {
            let credential = query.credential(id).ok_or("vp_token")?;
            let wanted = Wanted {
                types: credential.types(),
                bound: credential.requires_binding(),
                authorities: !credential.authorities().is_empty(),
            };
            let verify = match credential.format() {
                Format::SdJwt => verify_sd_jwt,
                Format::Mdoc => verify_mdoc,
            };
            believed.push(verify(text, &wanted, &trusted, &question, now).map_err(|error| error.code())?);
        }
        Ok(believed)
    }

    /// The status of a card that is believed: in force, or why not. What cannot be told is not in force.
    async fn presented_status(&self, terms: &Terms, believed: &Believed) -> Result<Option<UnixSeconds>, &'static str> {
        let Some(reference) = &believed.status else {
            // Whether a card may be without is its issuer's rule, which has been kept.
            return if terms.status_required { Err("status_missing") } else { Ok(None) };
        };
        match self.status_of_card(reference, self.card_issuer(believed.issuer)).await {
            // Token Status List section 7.1; a value that is not known is never in force.
            StatusAnswer::Known { value: 0, as_of, .. } => Ok(Some(as_of)),
            StatusAnswer::Known { value: 2, .. } => Err("status_suspended"),
            StatusAnswer::Known { .. } => Err("status_invalid"),
            StatusAnswer::OutOfRange => Err("status_unknown"),
            StatusAnswer::Unavailable => Err("status_unavailable"),
        }
    }

    /// Whether every card of ours that says an agency says this one or one below it, and at least one does. Of others
    /// nobody has said for which of our agencies they may speak.
    fn is_of_agency(&self, believed: &[Believed], agency: &str) -> Result<(), &'static str> {
        let ours = believed.iter().filter(|one| self.card_issuer(one.issuer) == CardIssuer::Ours);
        let mut codes = ours.filter_map(|one| said(one, "employing_agency")?.get("code")?.as_str()).peekable();
        if codes.peek().is_none() {
            return Err("agency_unknown");
        }
        if codes.all(|code| agency_is_within(code, agency)) { Ok(()) } else { Err("other_agency") }
    }
}

/// What the client learns of one credential: what it asked for, in the words of the card.
fn told(query: &Query, matched: Matched, status_as_of: Option<UnixSeconds>) -> Value {
    let format = query.credential(&matched.query_id).map_or(Format::SdJwt, CredentialQuery::format);
    let claims = match (format, matched.claims) {
        (Format::Mdoc, Value::Object(namespaces)) => of_mdoc(namespaces),
        (_, claims) => claims,
    };
    let mut told = json!({"query": matched.query_id, "format": format.id(), "claims": claims});
    if let Some(as_of) = status_as_of {
        told["status_as_of"] = json!(as_of);
    }
    told
}

/// The elements of our card as the claims that an SD-JWT says the same with; of others by namespace.
fn of_mdoc(mut namespaces: Map<String, Value>) -> Value {
    match namespaces.remove(NAMESPACE) {
        Some(Value::Object(mut elements)) if namespaces.is_empty() => {
            let portrait =
                elements.get("portrait").and_then(Value::as_str).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
            if let Some(portrait) = portrait {
                elements
                    .insert("portrait".into(), format!("data:image/jpeg;base64,{}", STANDARD.encode(portrait)).into());
            }
            Value::Object(elements)
        }
        Some(own) => {
            namespaces.insert(NAMESPACE.to_owned(), own);
            Value::Object(namespaces)
        }
        None => Value::Object(namespaces),
    }
}

/// What a card says, disclosed or not asked for, of an SD-JWT or of our mdoc.
fn said<'a>(believed: &'a Believed, name: &str) -> Option<&'a Value> {
    believed.claims.get(name).or_else(|| believed.claims.get(NAMESPACE)?.get(name))
}

/// Several credentials must be one person's: by the number that is never given to anybody else, or by the holder's key.
fn is_one_person(believed: &[Believed]) -> Result<(), &'static str> {
    let Some((first, others)) = believed.split_first() else { return Ok(()) };
    let is_same = |other: &Believed| {
        let numbers = (said(first, "personal_id_number"), said(other, "personal_id_number"));
        match numbers {
            (Some(one), Some(other)) => one == other,
            _ => first.holder.is_some() && first.holder == other.holder,
        }
    };
    if others.iter().all(is_same) { Ok(()) } else { Err("several_people") }
}
