//! The one verifier: a presented card, what the checkpoint knows, and the time become a verdict. Pure, so that the
//! server, the command line and the checkpoint's web app share it.
//!
//! The questions come in a fixed order, and the first "no" is the answer: our format → known key → issuer's signature →
//! dates → fresh holder proof where the card asks for one → status → agency → specimen.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map as JsonMap, Value as Json};

use crate::clock::UnixSeconds;
use crate::credential::cwt::{QrClaims, QrCredential};
use crate::credential::qr::{self, Challenge, Foreign, HolderProof, NotOurs};
use crate::credential::status_list::{Band, StatusReference};
use crate::credential::trust_list::{Purpose, TrustList, TrustedKey, agency_is_within};
use crate::credential::verdict::{Outcome, Reason, Verdict};

/// How old, and how far ahead of our clock, a holder proof may be.
pub const PROOF_WINDOW_SECONDS: i64 = 60;
/// How far ahead of our clock an issuer's may be.
const ISSUER_SKEW_SECONDS: i64 = 60;

/// What the checkpoint knows.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The checkpoint's time.
    pub now: UnixSeconds,
    /// The trust list, when there is one.
    pub trust: Option<&'a TrustList>,
    /// Where statuses are looked up.
    pub status: &'a dyn StatusSource,
    /// The digits that the holder was asked to type.
    pub challenge: Option<&'a Challenge>,
    /// The agencies that this checkpoint lets in: a code, which holds all below it.
    pub gate: Option<&'a str>,
}

/// Status lists, fetched or cached.
pub trait StatusSource {
    /// The status that the list at the reference's URI tells for its index. The list's signature has been checked.
    fn status(&self, reference: &StatusReference) -> StatusAnswer;
}

/// What a status source answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusAnswer {
    /// The list says.
    Known {
        /// The value.
        value: u8,
        /// When the list was signed.
        as_of: UnixSeconds,
        /// How far it can be relied upon.
        band: Band,
    },
    /// The list has no such index.
    OutOfRange,
    /// There is no list.
    Unavailable,
}

/// Verifies the text of a scanned code.
pub fn verify_qr(text: &str, context: &Context<'_>) -> Verdict {
    let mut findings = Findings::default();
    let decided = findings.examine(text, context);
    findings.verdict(decided)
}

/// What came to light on the way to the verdict.
#[derive(Default)]
struct Findings {
    notices: Vec<Reason>,
    claims: Option<JsonMap<String, Json>>,
    status_as_of: Option<UnixSeconds>,
    proof_time: Option<UnixSeconds>,
}

/// An early end, and its reason.
type Stop = (Outcome, Reason);

impl Findings {
    fn examine(&mut self, text: &str, context: &Context<'_>) -> Result<Outcome, Stop> {
        let bytes = qr::decode(text).map_err(not_ours)?;
        let card = QrCredential::parse(&bytes).map_err(|_| (Outcome::NotValid, Reason::Damaged))?;
        let key = self.signed_by(&card, context)?;
        self.claims = Some(disclosed(&card.claims));
        within_bounds(key, &card.claims)?;
        in_its_time(&card.claims, context.now)?;
        let outcome = self.shown_by_holder(&card, context)?;
        if let Some(reference) = &card.claims.status {
            self.in_force(context.status.status(reference))?;
        }
        if let Some(gate) = context.gate {
            let code = card.claims.identity.agency_code.as_deref();
            let code = code.ok_or((Outcome::CheckFurther, Reason::AgencyUnknown))?;
            unless(agency_is_within(code, gate), Outcome::CheckFurther, Reason::OutsideGate)?;
        }
        unless(!card.claims.identity.specimen, Outcome::OtherCode, Reason::Specimen)?;
        Ok(outcome)
    }

    /// The trusted key that signed the card.
    fn signed_by<'a>(&mut self, card: &'a QrCredential, context: &Context<'a>) -> Result<&'a TrustedKey, Stop> {
        let trust = context.trust.ok_or((Outcome::CheckFurther, Reason::NoTrustList))?;
        match trust.band(context.now) {
            Band::Fresh => {}
            Band::Aging => self.notices.push(Reason::TrustListAging),
            Band::Expired => return Err((Outcome::CheckFurther, Reason::TrustListExpired)),
        }
        if trust.candidates(&card.message, Purpose::Issuer).next().is_none() {
            return Err((Outcome::NotValid, Reason::UnknownKey));
        }
        trust.signer(&card.message, Purpose::Issuer).ok_or((Outcome::NotValid, Reason::BadSignature))
    }

    /// A card with a holder's key needs that key's fresh proof, whatever else it carries: the proof is in a part that
    /// the issuer does not sign and that anybody can take off. A card without is a printed copy.
    fn shown_by_holder(&mut self, card: &QrCredential, context: &Context<'_>) -> Result<Outcome, Stop> {
        let Some(key) = &card.claims.confirmation else { return Ok(Outcome::ValidCopy) };
        let stop = |reason| Err((Outcome::NotValid, reason));
        let proof = match HolderProof::of(card) {
            Ok(Some(proof)) => proof,
            Ok(None) => return stop(Reason::ProofMissing),
            Err(_) => return stop(Reason::ProofWrong),
        };
        if proof.verify(key, context.challenge).is_err() {
            let unanswered = context.challenge.is_some() && proof.verify(key, None).is_ok();
            return stop(if unanswered { Reason::ChallengeUnanswered } else { Reason::ProofWrong });
        }
        self.proof_time = Some(proof.time);
        let (proof_time, checkpoint_time) = (proof.time, context.now);
        match checkpoint_time.saturating_sub(proof_time) {
            age if age > PROOF_WINDOW_SECONDS => {
                stop(Reason::ProofStale { difference_seconds: age, proof_time, checkpoint_time })
            }
            age if age < -PROOF_WINDOW_SECONDS => {
                let difference_seconds = age.saturating_neg();
                stop(Reason::ProofFromFuture { difference_seconds, proof_time, checkpoint_time })
            }
            _ => Ok(Outcome::ValidLive),
        }
    }

    /// Old data is neither "valid" nor "withdrawn".
    fn in_force(&mut self, answer: StatusAnswer) -> Result<(), Stop> {
        let (value, as_of, band) = match answer {
            StatusAnswer::Known { value, as_of, band } => (value, as_of, band),
            StatusAnswer::OutOfRange => return Err((Outcome::NotValid, Reason::StatusUnknown)),
            StatusAnswer::Unavailable => return Err((Outcome::CheckFurther, Reason::StatusUnavailable)),
        };
        self.status_as_of = Some(as_of);
        match band {
            Band::Fresh => {}
            Band::Aging => self.notices.push(Reason::StatusAging { as_of }),
            Band::Expired => return Err((Outcome::CheckFurther, Reason::StatusExpired { as_of })),
        }
        match value {
            0 => Ok(()),
            1 => Err((Outcome::NotValid, Reason::Withdrawn)),
            2 => Err((Outcome::NotValid, Reason::Locked)),
            _ => Err((Outcome::NotValid, Reason::StatusUnknown)),
        }
    }

    fn verdict(self, decided: Result<Outcome, Stop>) -> Verdict {
        let (outcome, decisive) = match decided {
            Ok(outcome) => (outcome, None),
            Err((outcome, reason)) => (outcome, Some(reason)),
        };
        let (sentence_vi, sentence_en) = decisive.map_or_else(|| outcome.sentences(), Reason::sentences);
        Verdict {
            outcome,
            reasons: decisive.into_iter().chain(self.notices).collect(),
            sentence_vi,
            sentence_en,
            claims: self.claims,
            status_as_of: self.status_as_of,
            proof_time: self.proof_time,
        }
    }
}

fn not_ours(why: NotOurs) -> Stop {
    let foreign = match why {
        NotOurs::Damaged => return (Outcome::NotValid, Reason::Damaged),
        NotOurs::Foreign(foreign) => foreign,
    };
    let reason = match foreign {
        Foreign::CitizenCard => Reason::CitizenCard,
        Foreign::HealthCertificate => Reason::HealthCertificate,
        Foreign::SmartHealthCard => Reason::SmartHealthCard,
        Foreign::WebAddress => Reason::WebAddress,
        Foreign::KeyboardScanner => Reason::KeyboardScanner,
        Foreign::Other => Reason::OtherText,
    };
    (Outcome::OtherCode, reason)
}

/// Whether the key may have signed this very card.
fn within_bounds(key: &TrustedKey, claims: &QrClaims) -> Result<(), Stop> {
    let unless = |holds, reason| unless(holds, Outcome::NotValid, reason);
    unless(key.issuer == claims.issuer, Reason::IssuerMismatch)?;
    unless(key.may_sign_at(claims.issued_at), Reason::KeyNotValidThen)?;
    unless(key.may_speak_for(claims.identity.agency_code.as_deref()), Reason::AgencyNotAllowed)?;
    let named = claims.status.as_ref().is_none_or(|status| key.may_name(&status.uri));
    unless(named, Reason::StatusListNotAllowed)
}

fn in_its_time(claims: &QrClaims, now: UnixSeconds) -> Result<(), Stop> {
    let unless = |holds, reason| unless(holds, Outcome::NotValid, reason);
    let latest = now.saturating_add(ISSUER_SKEW_SECONDS);
    unless(claims.issued_at <= latest, Reason::IssuedInFuture)?;
    unless(claims.not_before <= latest, Reason::NotYetValid)?;
    unless(now < claims.expires_at, Reason::Expired)
}

fn unless(holds: bool, outcome: Outcome, reason: Reason) -> Result<(), Stop> {
    if holds { Ok(()) } else { Err((outcome, reason)) }
}

/// The claims to be shown, under plain names.
fn disclosed(claims: &QrClaims) -> JsonMap<String, Json> {
    let identity = &claims.identity;
    let text = |text: &str| Some(Json::from(text));
    let members = [
        ("issuer", text(&claims.issuer)),
        ("issued_at", Some(claims.issued_at.into())),
        ("expires_at", Some(claims.expires_at.into())),
        ("card", text(&identity.handle)),
        ("full_name", text(&identity.full_name)),
        ("position_title", identity.position.as_deref().and_then(text)),
        ("agency_name", identity.agency.as_deref().and_then(text)),
        ("agency_code", identity.agency_code.as_deref().and_then(text)),
        ("record_type", identity.class.as_deref().and_then(text)),
        ("portrait_webp", identity.photo.as_ref().map(|photo| STANDARD.encode(photo.as_bytes()).into())),
    ];
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}
