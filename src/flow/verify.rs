//! Verification: the same pure verifier for `POST /api/v1/verify`, which asks the database for the status, and for a
//! checkpoint without network, which has a bundle.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{CardIssuer, Service};
use crate::clock::UnixSeconds;
use crate::credential::qr::Challenge;
use crate::credential::status_list::{Band, StatusList, StatusListToken, StatusReference};
use crate::credential::trust_list::{Purpose, TrustList};
use crate::credential::verdict::Verdict;
use crate::credential::verify::{self, Context, Presented, StatusAnswer, StatusSource};
use crate::credential::x509::{Anchors, Use};
use crate::error::{Refusal, Result};
use crate::model::gate::GatePolicy;

/// What is presented, and what was asked for.
#[derive(Clone, Debug, Default)]
pub struct VerifyRequest {
    /// The text of a scanned code, or an SD-JWT presentation.
    pub text: String,
    /// For an SD-JWT presentation: the nonce that the verifier chose.
    pub nonce: Option<String>,
    /// For an SD-JWT presentation: whom it was made for.
    pub audience: Option<String>,
    /// For a QR code: the digits that the holder was asked to type.
    pub challenge: Option<String>,
    /// The agency code whose people (and those of all units below) are let in.
    pub gate: Option<String>,
}

impl VerifyRequest {
    fn challenge(&self) -> Result<Option<Challenge>, Refusal> {
        self.challenge
            .as_deref()
            .map(|digits| {
                Challenge::parse(digits).ok_or_else(|| Refusal::malformed("challenge", "must be 4 to 6 digits"))
            })
            .transpose()
    }

    fn presented<'a>(&'a self, anchors: &'a Anchors, vct: &'a str) -> Presented<'a> {
        Presented {
            text: &self.text,
            anchors,
            vct,
            question: self.audience.as_deref().zip(self.nonce.as_deref()).filter(|(audience, nonce)| {
                // An unset variable of the verifier is no question.
                !audience.is_empty() && !nonce.is_empty()
            }),
        }
    }
}

impl Service {
    /// Verifies a code or presentation with the status as the database has it now.
    pub async fn verify(&self, request: &VerifyRequest) -> Result<Verdict> {
        let now = self.clock.now();
        let challenge = request.challenge()?;
        let trust = self.read_trust_list(&self.trust_list().await?.bytes)?;
        let status = match verify::status_reference(&request.text) {
            // Not proved yet: ours alone may be asked for, in the database.
            Some(reference) => self.status_of_card(&reference, CardIssuer::Ours).await,
            None => StatusAnswer::Unavailable,
        };
        let gate = request.gate.as_deref().map(GatePolicy::of_agency);
        let context = Context {
            now,
            trust: Some(&trust),
            status: &OneStatus(status),
            challenge: challenge.as_ref(),
            gate: gate.as_ref(),
        };
        Ok(verify::verify(&request.presented(&self.keys.anchors, &self.templates.vct), &context))
    }

    /// The status of one of our own entries. A database that does not answer is "unavailable", not "valid".
    pub(super) async fn status_now(&self, reference: &StatusReference, now: UnixSeconds) -> StatusAnswer {
        let prefix = format!("{}/s/", self.config.public_url);
        let Some(list) = reference.uri.strip_prefix(&prefix).and_then(|list| list.parse().ok()) else {
            return StatusAnswer::Unavailable;
        };
        match self.store.status_of(list, u64::from(reference.index)).await {
            Ok(Some(value)) => StatusAnswer::Known { value, as_of: now, band: Band::Fresh },
            Ok(None) => StatusAnswer::OutOfRange,
            Err(fault) => {
                tracing::error!(%fault, "a status could not be read");
                StatusAnswer::Unavailable
            }
        }
    }
}

struct OneStatus(StatusAnswer);

impl StatusSource for OneStatus {
    fn status(&self, _: &StatusReference) -> StatusAnswer {
        self.0
    }
}

/// All that a checkpoint needs to verify without network, as one JSON document. It is trusted only for what its parts
/// are signed by. For 2.5 million QR cards it is some 80 KiB.
///
/// It has status lists as any verifier reads them, not the snapshot of the checkpoint app: one verifier serves QR codes and
/// SD-JWT cards from it, and what is not needed stays a base64 text: a verification reads the one list that its card
/// names.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Bundle {
    /// The type of card that is accepted.
    pub vct: String,
    /// When it was fetched, for people to see.
    pub fetched_at: UnixSeconds,
    /// The signed trust list, in base64.
    pub trust_list: String,
    /// The signed status lists as CWT, in base64, by address.
    pub status_lists: BTreeMap<String, String>,
}

impl Bundle {
    /// Puts the signed parts together.
    pub fn new(vct: &str, fetched_at: UnixSeconds, trust_list: Vec<u8>, status_lists: Vec<(String, Vec<u8>)>) -> Self {
        Self {
            vct: vct.to_owned(),
            fetched_at,
            trust_list: STANDARD.encode(trust_list),
            status_lists: status_lists.into_iter().map(|(uri, token)| (uri, STANDARD.encode(token))).collect(),
        }
    }

    /// Takes over the status lists that only `held` has: who leaves one out cannot bring an older one later.
    pub fn keep_lists_of(&mut self, held: &Self) {
        for (uri, list) in &held.status_lists {
            self.status_lists.entry(uri.clone()).or_insert_with(|| list.clone());
        }
    }

    /// The status lists that are older here than in `held`: rolled back, whatever the reason.
    pub fn rolled_back<'a>(&self, held: &'a Self) -> Vec<&'a str> {
        let issued_at = |bundle: &Self, uri: &str| -> Option<UnixSeconds> {
            let bytes = STANDARD.decode(bundle.status_lists.get(uri)?).ok()?;
            // Whether they are signed is checked when they are used.
            StatusListToken::from_cwt(&bytes, uri, UnixSeconds::MIN, |_| true).ok().map(|token| token.issued_at)
        };
        let older = |uri: &&String| issued_at(self, uri) < issued_at(held, uri);
        held.status_lists.keys().filter(older).map(String::as_str).collect()
    }

    /// The trust list, once its signature leads to an anchor, and if it is not older than the `current` one.
    pub fn trust_list(&self, current: Option<&TrustList>, anchors: &Anchors, now: UnixSeconds) -> Result<TrustList> {
        let bytes = decode("trust_list", &self.trust_list)?;
        TrustList::accept(current, &bytes, |chain| anchors.check(chain, Use::TrustList, now))
            .map_err(|error| Refusal::malformed("trust_list", error.to_string()).into())
    }
}

/// Verifies without network: from a bundle, the pinned anchors and the time.
pub fn verify_offline(
    request: &VerifyRequest,
    bundle: &Bundle,
    anchors: &Anchors,
    now: UnixSeconds,
) -> Result<Verdict> {
    let challenge = request.challenge()?;
    let trust = bundle.trust_list(None, anchors, now)?;
    let status = BundleStatus { bundle, trust: &trust, now };
    let gate = request.gate.as_deref().map(GatePolicy::of_agency);
    let context =
        Context { now, trust: Some(&trust), status: &status, challenge: challenge.as_ref(), gate: gate.as_ref() };
    Ok(verify::verify(&request.presented(anchors, &bundle.vct), &context))
}

struct BundleStatus<'a> {
    bundle: &'a Bundle,
    trust: &'a TrustList,
    now: UnixSeconds,
}

impl StatusSource for BundleStatus<'_> {
    fn status(&self, reference: &StatusReference) -> StatusAnswer {
        let read = || -> Option<(StatusListToken, StatusList)> {
            let bytes = STANDARD.decode(self.bundle.status_lists.get(&reference.uri)?).ok()?;
            let token = StatusListToken::from_cwt(&bytes, &reference.uri, self.now, |message| {
                let signer = self.trust.signer(message, Purpose::Status);
                signer.is_some_and(|key| key.may_sign_at(self.now) && key.may_name(&reference.uri))
            })
            .ok()?;
            let list = token.list.inflate().ok()?;
            Some((token, list))
        };
        let Some((token, list)) = read() else { return StatusAnswer::Unavailable };
        match list.get(reference.index) {
            Ok(value) => StatusAnswer::Known {
                value,
                as_of: token.issued_at,
                // Counted from its signature: when it was fetched, only the unsigned bundle says.
                band: token.band(token.issued_at, self.now),
            },
            Err(_) => StatusAnswer::OutOfRange,
        }
    }
}

fn decode(place: &str, text: &str) -> Result<Vec<u8>, Refusal> {
    STANDARD.decode(text).map_err(|_| Refusal::malformed(place, "must be base64"))
}
