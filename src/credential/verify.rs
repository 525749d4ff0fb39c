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
use crate::credential::jws::JwsError;
use crate::credential::qr::{self, Challenge, Foreign, HolderProof, NotOurs};
use crate::credential::sd_jwt::{self, CardError, NotListed, Presentation, VerifiedCard};
use crate::credential::status_list::{Band, StatusReference};
use crate::credential::trust_list::{Purpose, TrustList, TrustedKey};
use crate::credential::verdict::{Outcome, Reason, Verdict};
use crate::credential::x509::{Anchors, ChainError};
use crate::model::gate::{Doubt, GatePolicy, Shown};

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
    /// Whom this checkpoint lets in; everybody when absent.
    pub gate: Option<&'a GatePolicy>,
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

/// What is presented, and what a verifier asked for.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    /// The text of a scanned code, or an SD-JWT presentation.
    pub text: &'a str,
    /// Roots of the issuers of SD-JWT cards.
    pub anchors: &'a Anchors,
    /// The type of SD-JWT card that is accepted.
    pub vct: &'a str,
    /// Audience and nonce that an SD-JWT presentation has to answer.
    pub question: Option<(&'a str, &'a str)>,
}

/// Verifies either kind of card.
pub fn verify(presented: &Presented<'_>, context: &Context<'_>) -> Verdict {
    if !is_sd_jwt(presented.text) {
        return verify_qr(presented.text, context);
    }
    let mut findings = Findings::default();
    let decided = findings.examine_sd_jwt(presented, context);
    findings.verdict(decided)
}

/// Where the status of a card stands, before anything of it is proved: for a source that has to fetch it first.
pub fn status_reference(text: &str) -> Option<StatusReference> {
    if is_sd_jwt(text) {
        return Presentation::parse(text).ok()?.claimed_status();
    }
    QrCredential::parse(&qr::decode(text).ok()?).ok()?.claims.status
}

fn is_sd_jwt(text: &str) -> bool {
    text.starts_with("ey") && text.contains('~')
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
        within_bounds(key, &card.claims)?;
        self.claims = Some(disclosed(&card.claims));
        in_its_time(&card.claims, context.now)?;
        let outcome = self.shown_by_holder(&card, context)?;
        self.in_force(card.claims.status.as_ref(), context)?;
        let identity = &card.claims.identity;
        let shown = Shown {
            handle: Some(&identity.handle),
            agency_code: identity.agency_code.as_deref(),
            position: identity.position.as_deref(),
            is_copy: outcome == Outcome::ValidCopy,
            is_challenged: outcome == Outcome::ValidLive && context.challenge.is_some(),
        };
        let_in(&shown, context)?;
        require(!card.claims.identity.specimen, Outcome::OtherCode, Reason::Specimen)?;
        Ok(outcome)
    }

    fn examine_sd_jwt(&mut self, presented: &Presented<'_>, context: &Context<'_>) -> Result<Outcome, Stop> {
        let stop = |error| (Outcome::NotValid, refused(error, context.now));
        let card = Presentation::parse(presented.text).map_err(stop)?;
        let card = card.verify(presented.anchors, presented.vct, context.now).map_err(stop)?;
        self.known_issuer(&card, context)?;
        self.claims = Some(card.claims.clone());
        let (audience, nonce) = presented.question.ok_or((Outcome::CheckFurther, Reason::NothingAsked))?;
        self.proof_time = Some(card.check_binding(audience, nonce, context.now).map_err(stop)?);
        self.in_force(card.status.as_ref(), context)?;
        let text = |name| card.claims.get(name).and_then(Json::as_str);
        let agency = card.claims.get("employing_agency").and_then(|agency| agency.get("code"));
        let shown = Shown {
            // A card presented online does not say its handle: a gate with a list of people on duty asks further.
            handle: None,
            agency_code: agency.and_then(Json::as_str),
            position: text("position_title").or_else(|| text("job_position")),
            is_copy: false,
            // It answered a nonce, which is more than digits.
            is_challenged: true,
        };
        let_in(&shown, context)?;
        let specimen = card.claims.get(sd_jwt::SPECIMEN).is_some_and(|specimen| *specimen != false);
        require(!specimen, Outcome::OtherCode, Reason::Specimen)?;
        Ok(Outcome::ValidLive)
    }

    /// Its certificates lead to the root, but only the trust list can retire a key.
    fn known_issuer(&mut self, card: &VerifiedCard<'_>, context: &Context<'_>) -> Result<(), Stop> {
        let trust = self.usable(context)?;
        card.check_listed(trust).map_err(|why| {
            let reason = match why {
                NotListed::Key => Reason::UnknownKey,
                NotListed::Issuer => Reason::IssuerMismatch,
                NotListed::Then => Reason::KeyNotValidThen,
                NotListed::StatusList => Reason::StatusListNotAllowed,
                NotListed::Agency => Reason::AgencyNotAllowed,
            };
            (Outcome::NotValid, reason)
        })
    }

    /// The trust list, if it can be relied upon now.
    fn usable<'a>(&mut self, context: &Context<'a>) -> Result<&'a TrustList, Stop> {
        let trust = context.trust.ok_or((Outcome::CheckFurther, Reason::NoTrustList))?;
        let dated_ahead = trust.issued_at > context.now.saturating_add(ISSUER_SKEW_SECONDS);
        require(!dated_ahead, Outcome::CheckFurther, Reason::ClockBehind)?;
        match trust.band(context.now) {
            Band::Fresh => {}
            Band::Aging => self.notices.push(Reason::TrustListAging),
            Band::Expired => return Err((Outcome::CheckFurther, Reason::TrustListExpired)),
        }
        Ok(trust)
    }

    /// The trusted key that signed the card.
    fn signed_by<'a>(&mut self, card: &'a QrCredential, context: &Context<'a>) -> Result<&'a TrustedKey, Stop> {
        let trust = self.usable(context)?;
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

    /// Old data is neither "valid" nor "withdrawn", and neither is a card without a status: every officials card has one.
    fn in_force(&mut self, reference: Option<&StatusReference>, context: &Context<'_>) -> Result<(), Stop> {
        let answer = reference.map_or(StatusAnswer::Unavailable, |reference| context.status.status(reference));
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
            // Application-specific: what `refresh_status` makes of a card whose facts changed.
            3 => Err((Outcome::NotValid, Reason::Superseded)),
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

/// Why an SD-JWT card is turned away, in the checkpoint's words.
fn refused(error: CardError, now: UnixSeconds) -> Reason {
    match error {
        CardError::Issuer(JwsError::BadSignature) | CardError::Chain(ChainError::BadSignature) => Reason::BadSignature,
        CardError::Malformed | CardError::DigestAlgorithm | CardError::Disclosure | CardError::Issuer(_) => {
            Reason::Damaged
        }
        CardError::Chain(_) => Reason::UnknownKey,
        CardError::OtherType => Reason::OtherType,
        CardError::NotYetValid => Reason::NotYetValid,
        CardError::Expired => Reason::Expired,
        CardError::NoBinding => Reason::ProofMissing,
        CardError::NoHolderKey | CardError::Binding(_) => Reason::ProofWrong,
        CardError::OtherRequest(_) => Reason::ProofForAnother,
        CardError::Stale { made_at } if made_at > now => Reason::ProofFromFuture {
            difference_seconds: made_at.saturating_sub(now),
            proof_time: made_at,
            checkpoint_time: now,
        },
        CardError::Stale { made_at } => Reason::ProofStale {
            difference_seconds: now.saturating_sub(made_at),
            proof_time: made_at,
            checkpoint_time: now,
        },
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
    let valid_only_if = |holds, reason| require(holds, Outcome::NotValid, reason);
    valid_only_if(key.issuer == claims.issuer, Reason::IssuerMismatch)?;
    valid_only_if(key.may_sign_at(claims.issued_at), Reason::KeyNotValidThen)?;
    valid_only_if(key.may_speak_for(claims.identity.agency_code.as_deref()), Reason::AgencyNotAllowed)?;
    let named = claims.status.as_ref().is_none_or(|status| key.may_name(&status.uri));
    valid_only_if(named, Reason::StatusListNotAllowed)
}

fn in_its_time(claims: &QrClaims, now: UnixSeconds) -> Result<(), Stop> {
    let valid_only_if = |holds, reason| require(holds, Outcome::NotValid, reason);
    let latest = now.saturating_add(ISSUER_SKEW_SECONDS);
    // A trusted issuer does not date cards ahead: the doubt is about our clock.
    require(claims.issued_at <= latest, Outcome::CheckFurther, Reason::IssuedInFuture)?;
    valid_only_if(claims.not_before <= latest, Reason::NotYetValid)?;
    valid_only_if(now < claims.expires_at, Reason::Expired)
}

/// Whether the gate lets the card in by itself.
fn let_in(shown: &Shown<'_>, context: &Context<'_>) -> Result<(), Stop> {
    let Some(Err(doubt)) = context.gate.map(|gate| gate.judge(shown, context.now)) else { return Ok(()) };
    let reason = match doubt {
        Doubt::CopyNotAccepted => Reason::CopyNotAccepted,
        Doubt::ChallengeRequired => Reason::ChallengeRequired,
        Doubt::AgencyUnknown => Reason::AgencyUnknown,
        Doubt::OutsideGate => Reason::OutsideGate,
        Doubt::PositionUnknown => Reason::PositionUnknown,
        Doubt::PositionBelowGate => Reason::PositionBelowGate,
        Doubt::NotOnDuty => Reason::NotOnDuty,
    };
    Err((Outcome::CheckFurther, reason))
}

fn require(holds: bool, outcome: Outcome, reason: Reason) -> Result<(), Stop> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::cose::{self, Sign1};
    use crate::credential::cwt::{self, Identity};
    use crate::credential::test_key::TestKey;
    use crate::credential::{Signer, cbor};
    use proptest::prelude::*;

    const NOW: UnixSeconds = 10_000;

    struct InForce;

    impl StatusSource for InForce {
        fn status(&self, _: &StatusReference) -> StatusAnswer {
            StatusAnswer::Known { value: 0, as_of: NOW, band: Band::Fresh }
        }
    }

    fn trust() -> TrustList {
        let key = TestKey::new(1).public_key().clone();
        let key = TrustedKey {
            key_id: cose::key_id(&key).to_vec(),
            key,
            issuer: "i".into(),
            valid_from: 0,
            valid_until: 2 * NOW,
            purposes: vec![Purpose::Issuer],
            agencies: vec![String::new()],
            status_lists: vec!["https://s/".into()],
        };
        TrustList { version: 1, issued_at: 0, expires_at: 2 * NOW, keys: vec![key], minimum_edition: 0 }
    }

    fn live_card() -> Vec<u8> {
        let claims = QrClaims {
            issuer: "i".into(),
            issued_at: NOW - 100,
            not_before: NOW - 100,
            expires_at: NOW + 100,
            confirmation: Some(TestKey::new(2).public_key().clone()),
            status: Some(StatusReference { index: 1, uri: "https://s/1".into() }),
            identity: Identity { handle: "H".into(), full_name: "N".into(), ..Identity::default() },
        };
        let mut message = Sign1::parse(&cwt::seal(&claims, &TestKey::new(1)).unwrap(), cwt::MAX_BYTES).unwrap();
        qr::countersign(&mut message, &TestKey::new(2), NOW, None).unwrap();
        message.encode()
    }

    fn outcome(text: &str) -> Outcome {
        let trust = trust();
        let context = Context { now: NOW, trust: Some(&trust), status: &InForce, challenge: None, gate: None };
        verify_qr(text, &context).outcome
    }

    #[test]
    fn a_live_card_is_valid() {
        assert_eq!(outcome(&qr::encode(&live_card())), Outcome::ValidLive);
    }

    #[test]
    fn no_claims_before_the_signature() {
        let context = Context { now: NOW, trust: None, status: &InForce, challenge: None, gate: None };
        let verdict = verify_qr(&qr::encode(&live_card()), &context);
        assert_eq!((verdict.outcome, verdict.claims), (Outcome::CheckFurther, None));
    }

    proptest! {
        #[test]
        fn whatever_is_changed_it_is_never_valid(at in 0_usize..4096, bit in 0_u32..8) {
            let mut card = live_card();
            let at = at % card.len();
            card[at] ^= 1 << bit;
            // What may differ is what nobody signs and nobody reads: the empty unprotected header of the proof.
            if let Ok(read) = Sign1::parse(&card, cwt::MAX_BYTES) {
                prop_assume!(cbor::decode(&read.encode(), cwt::MAX_BYTES) != cbor::decode(&live_card(), cwt::MAX_BYTES));
            }
            prop_assert!(!matches!(outcome(&qr::encode(&card)), Outcome::ValidLive | Outcome::ValidCopy));
        }

        #[test]
        fn arbitrary_texts_are_never_valid(text in any::<String>(), alphanumeric in "NCF[0-9A-Z $%*+./:-]{0,200}") {
            for text in [text, alphanumeric] {
                prop_assert!(matches!(outcome(&text), Outcome::OtherCode | Outcome::NotValid));
            }
        }
    }
}
