//! What a verifier believes: a presentation, whom it trusts, and what it asked become facts, or the name of the check
//! that failed. One entry for each format; status and the query's own claims come after, by the caller.
//!
//! The order is that of RFC 9901 section 7.3 and ISO/IEC 18013-5 section 9.3: form and bounds, issuer (certificates to an
//! anchor that may issue this very type, signature), what was disclosed, type, dates, then the holder: that this key
//! answered this question of this verifier, just now. Whether a proof is needed is decided before anything is looked at.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::PublicKey;
use super::mdoc::device::{self, DeviceError, DeviceResponse, SessionTranscript};
use super::mdoc::{self, MdocError};
use super::sd_jwt::{self, CardError, NotListed, Presentation, Rules, VerifiedCard};
use super::status_list::{Band, StatusReference};
use super::trust_list::TrustList;
use super::x509::{self, Anchors, ChainError, Use};
use crate::clock::UnixSeconds;

/// Who may issue what.
#[derive(Clone, Debug)]
pub struct TrustedIssuer {
    /// What we call it.
    pub name: String,
    /// Where its certificates have to lead.
    pub anchors: Anchors,
    /// The types that it may issue: `vct` values and doctypes.
    pub types: Vec<String>,
    /// What its certificates have to say.
    pub signed_for: SignedFor,
    /// The values of `iss` that its SD-JWT cards may carry; `None` for any and none.
    pub issuers: Option<Vec<String>>,
    /// Whether its cards need a status.
    pub status: StatusPolicy,
    /// The addresses of its status lists, or how they begin: with `/` at the end. A card that names another list is not
    /// believed.
    pub status_lists: Vec<String>,
    /// Certificates (DER) of signers that are believed as they are, without any path: for conformance suites whose
    /// document signer is self-signed, and for nothing else.
    pub pinned_signers: Vec<Vec<u8>>,
}

/// What the certificates of a signer have to say beside leading to an anchor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedFor {
    /// That it signs cards by our own profile ([`Use::Cards`], [`Use::Mdocs`]); for SD-JWT cards our trust list has to
    /// name the key too, because only it can retire one.
    Own,
    /// That it may sign, as every path validation wants.
    Anything,
    /// That it is a document signer by ISO/IEC 18013-5 Annex B with one of these extended key usages (dotted). For an
    /// SD-JWT card that it may sign.
    Documents(Vec<String>),
}

/// Whether a card without a status is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusPolicy {
    /// No.
    Required,
    /// Yes; a status that it does have counts.
    IfPresent,
}

/// Whom the verifier trusts.
#[derive(Clone, Copy, Debug)]
pub struct Trusted<'a> {
    /// The issuers; several may issue the same type.
    pub issuers: &'a [&'a TrustedIssuer],
    /// Our own trust list, for [`SignedFor::Own`].
    pub list: Option<&'a TrustList>,
}

/// What the credential query says of one presentation before it is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The types, any of which will do.
    pub types: &'a [String],
    /// Whether the holder has to prove that the card is theirs. A device always signs for an mdoc.
    pub bound: bool,
    /// Whether it is asked which authorities stand behind it: finding them costs another check of a signature.
    pub authorities: bool,
}

/// The question that a presentation has to answer.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The whole client identifier, or `origin:` and the origin: `aud` of the holder's proof.
    pub audience: &'a str,
    /// The nonce.
    pub nonce: &'a str,
    /// The session that a device signs over.
    pub transcript: &'a SessionTranscript,
    /// When the question was asked: no answer is older.
    pub requested_at: UnixSeconds,
}

/// A presentation that is believed. Its status has still to be looked up.
#[derive(Clone, Debug, PartialEq)]
pub struct Believed {
    /// Its types: the `vct`, or the doctype.
    pub types: Vec<String>,
    /// What it says: claims by name, or elements by namespace and identifier (dates as text, bytes in base64url;
    /// elements that JSON cannot hold are left out).
    pub claims: Value,
    /// The place of its issuer among the trusted ones.
    pub issuer: usize,
    /// Key identifiers of the certificates that stand behind it, where they are asked for.
    pub authority_key_ids: Vec<Vec<u8>>,
    /// Where its status stands.
    pub status: Option<StatusReference>,
    /// Whether its holder proved that it is theirs.
    pub bound: bool,
    /// Its holder's key.
    pub holder: Option<PublicKey>,
    /// When the proof was made, where that is said: a device does not.
    pub proof_time: Option<UnixSeconds>,
    /// From when it is no longer good.
    pub expires_at: Option<UnixSeconds>,
    /// Whether it is one of our own cards for training, which no checkpoint may accept.
    pub specimen: bool,
}

/// Why a presentation is not believed. It names the check, never what was presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PresentationError {
    /// Not base64url of a `DeviceResponse`.
    #[error("the presentation is not base64url")]
    Encoding,
    /// An SD-JWT card.
    #[error(transparent)]
    Card(CardError),
    /// An mdoc.
    #[error(transparent)]
    Mdoc(DeviceError),
    /// No trusted issuer may issue this type.
    #[error("nobody is trusted to issue this type")]
    UnknownIssuer,
    /// No trusted issuer of this type has signed it.
    #[error("issuer's certificates: {0}")]
    Untrusted(ChainError),
    /// `iss` is none of those of the issuer.
    #[error("the card names another issuer")]
    IssuerMismatch,
    /// There is no trust list, or it is too old to rely upon.
    #[error("the trust list is missing or has expired")]
    NoTrustList,
    /// The trust list does not name the key, or not for then.
    #[error("the key is not on the trust list, or was not when it signed")]
    KeyNotListed,
    /// The trust list does not let the key speak for the agency that the card shows.
    #[error("the key may not speak for the agency that the card shows")]
    AgencyNotAllowed,
    /// The issuer's cards have a status, and this one has none.
    #[error("the card has no status")]
    NoStatus,
    /// The card names a status list that is not the issuer's.
    #[error("the card names a status list that its issuer does not have")]
    StatusListNotAllowed,
}

impl PresentationError {
    /// A short name for logs: which check failed.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Encoding => "encoding",
            Self::Card(error) => card_code(*error),
            Self::Mdoc(error) => device_code(*error),
            Self::UnknownIssuer => "type_not_trusted",
            Self::Untrusted(_) => "issuer_chain",
            Self::IssuerMismatch => "issuer_name",
            Self::NoTrustList => "trust_list",
            Self::KeyNotListed => "issuer_key",
            Self::AgencyNotAllowed => "issuer_agency",
            Self::NoStatus => "status_missing",
            Self::StatusListNotAllowed => "status_list",
        }
    }
}

fn card_code(error: CardError) -> &'static str {
    match error {
        CardError::Malformed => "malformed",
        CardError::Issuer(_) => "issuer_signature",
        CardError::Chain(_) => "issuer_chain",
        CardError::DigestAlgorithm => "digest_algorithm",
        CardError::Disclosure => "disclosure",
        CardError::NotYetValid => "not_yet_valid",
        CardError::Expired => "expired",
        CardError::OtherType => "type",
        CardError::NoHolderKey => "holder_key",
        CardError::NoBinding => "binding_missing",
        CardError::Binding(_) => "binding_signature",
        CardError::OtherRequest("aud") => "binding_audience",
        CardError::OtherRequest("nonce") => "binding_nonce",
        CardError::OtherRequest(_) => "binding_card",
        CardError::Stale { .. } => "binding_time",
    }
}

fn device_code(error: DeviceError) -> &'static str {
    match error {
        DeviceError::Cbor(_) | DeviceError::Malformed(_) => "malformed",
        DeviceError::NotOneDocument => "documents",
        DeviceError::NoSignature => "binding_missing",
        DeviceError::DeviceElements => "device_elements",
        DeviceError::OtherType => "type",
        DeviceError::Signature(_) => "binding_signature",
        DeviceError::Mdoc(error) => match error {
            MdocError::Cbor(_) | MdocError::Malformed(_) => "malformed",
            MdocError::Cose(_) => "issuer_signature",
            MdocError::Chain(_) => "issuer_chain",
            MdocError::Digest => "disclosure",
            MdocError::OtherType => "type",
            MdocError::NotYetValid => "not_yet_valid",
            MdocError::Expired => "expired",
            MdocError::SignerNotValidThen => "issuer_key",
        },
    }
}

/// Believes an SD-JWT VC with its holder's proof, or does not.
pub fn verify_sd_jwt(
    text: &str,
    wanted: &Wanted<'_>,
    trusted: &Trusted<'_>,
    asked: &Asked<'_>,
    now: UnixSeconds,
) -> Result<Believed, PresentationError> {
    let card = Presentation::parse(text).map_err(PresentationError::Card)?;
    if wanted.bound && !card.is_bound() {
        return Err(PresentationError::Card(CardError::NoBinding));
    }
    let (vct, chain) = card.claimed_issuer().map_err(PresentationError::Card)?;
    if !wanted.types.contains(&vct) {
        return Err(PresentationError::Card(CardError::OtherType));
    }
    let (at, key) = trusted.issuer_of(&vct, &chain, Use::Cards, now)?;
    let issuer = trusted.issuers[at];
    // A proof that came unasked has to be as good as one that was asked for.
    let bound = card.is_bound();
    let own = issuer.signed_for == SignedFor::Own;
    let rules = Rules { types: std::slice::from_ref(&vct), expires: own, names_holder: wanted.bound || bound || own };
    let card = card.verify_by(key, &rules, now).map_err(PresentationError::Card)?;
    issuer.has_named_itself(&card.claims)?;
    if own {
        trusted.is_listed(&card, now)?;
    }
    let proof_time = if bound {
        let proof = card.check_binding_since(asked.requested_at, asked.audience, asked.nonce, now);
        Some(proof.map_err(PresentationError::Card)?)
    } else {
        None
    };
    issuer.has_status(card.status.as_ref())?;
    Ok(Believed {
        types: vec![vct],
        expires_at: card.claims.get("exp").and_then(Value::as_i64),
        specimen: card.claims.get(sd_jwt::SPECIMEN).is_some_and(|specimen| *specimen != false),
        issuer: at,
        authority_key_ids: issuer.authority_key_ids(&chain, wanted),
        status: card.status,
        bound,
        holder: card.holder,
        proof_time,
        claims: Value::Object(card.claims),
    })
}

/// Believes an mdoc that its device has signed for this session, or does not. `text` is base64url without padding.
pub fn verify_mdoc(
    text: &str,
    wanted: &Wanted<'_>,
    trusted: &Trusted<'_>,
    asked: &Asked<'_>,
    now: UnixSeconds,
) -> Result<Believed, PresentationError> {
    if text.len() > device::MAX_BYTES.div_ceil(3) * 4 {
        return Err(PresentationError::Mdoc(DeviceError::Cbor(super::cbor::CborError::TooLarge)));
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| PresentationError::Encoding)?;
    let response = DeviceResponse::parse(&bytes).map_err(PresentationError::Mdoc)?;
    let doctype = response.claimed_doctype().to_owned();
    if !wanted.types.contains(&doctype) {
        return Err(PresentationError::Mdoc(DeviceError::OtherType));
    }
    let chain = response.certificates();
    let (at, key) = trusted.issuer_of(&doctype, &chain, Use::Mdocs, now)?;
    let issuer = trusted.issuers[at];
    let card = response.verify(asked.transcript, |card, doctype| card.verify_by(&key, doctype, now));
    let card = card.map_err(PresentationError::Mdoc)?;
    issuer.has_status(card.status.as_ref())?;
    let mut claims = Map::new();
    for element in card.elements {
        let Some(value) = mdoc::to_json(&element.value) else { continue };
        let namespace = claims.entry(element.namespace).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(elements) = namespace {
            elements.insert(element.identifier, value);
        }
    }
    Ok(Believed {
        types: vec![doctype],
        claims: Value::Object(claims),
        issuer: at,
        authority_key_ids: issuer.authority_key_ids(&chain, wanted),
        status: card.status,
        bound: true,
        holder: Some(card.device_key),
        proof_time: None,
        expires_at: Some(card.valid_until),
        specimen: false,
    })
}

impl Trusted<'_> {
    /// The first trusted issuer of this type to whom the certificates lead, and the signer's key.
    fn issuer_of(
        &self,
        kind: &str,
        chain: &[Vec<u8>],
        purpose: Use,
        now: UnixSeconds,
    ) -> Result<(usize, PublicKey), PresentationError> {
        let mut outcome = PresentationError::UnknownIssuer;
        for (at, issuer) in self.issuers.iter().enumerate() {
            if !issuer.types.iter().any(|one| one == kind) {
                continue;
            }
            match issuer.key(chain, purpose, now) {
                Ok(key) => return Ok((at, key)),
                // Of several reasons the one that is not merely "somebody else" says more.
                Err(ChainError::Untrusted) if outcome != PresentationError::UnknownIssuer => {}
                Err(error) => outcome = PresentationError::Untrusted(error),
            }
        }
        Err(outcome)
    }

    /// Whether our trust list, which must not be over, stands behind the card.
    fn is_listed(&self, card: &VerifiedCard<'_>, now: UnixSeconds) -> Result<(), PresentationError> {
        let list = self.list.filter(|list| list.band(now) != Band::Expired).ok_or(PresentationError::NoTrustList)?;
        card.check_listed(list).map_err(|why| match why {
            NotListed::Key | NotListed::Then => PresentationError::KeyNotListed,
            NotListed::Issuer => PresentationError::IssuerMismatch,
            NotListed::StatusList => PresentationError::StatusListNotAllowed,
            NotListed::Agency => PresentationError::AgencyNotAllowed,
        })
    }
}

impl TrustedIssuer {
    /// The key of the signer, if it is this issuer's.
    fn key(&self, chain: &[Vec<u8>], purpose: Use, now: UnixSeconds) -> Result<PublicKey, ChainError> {
        if let [only] = chain
            && self.pinned_signers.contains(only)
        {
            let (from, until) = x509::validity(only)?;
            return if (from..=until).contains(&now) { x509::public_key(only) } else { Err(ChainError::NotValidNow) };
        }
        match &self.signed_for {
            SignedFor::Own => self.anchors.check(chain, purpose, now),
            SignedFor::Documents(usages) if purpose == Use::Mdocs => {
                let key = self.anchors.check_path(chain, now)?;
                let fits = chain.first().is_some_and(|leaf| x509::is_document_signer_for(leaf, usages));
                if fits { Ok(key) } else { Err(ChainError::WrongUse) }
            }
            SignedFor::Anything | SignedFor::Documents(_) => self.anchors.check_path(chain, now),
        }
    }

    fn authority_key_ids(&self, chain: &[Vec<u8>], wanted: &Wanted<'_>) -> Vec<Vec<u8>> {
        if wanted.authorities { self.anchors.authority_key_ids(chain) } else { Vec::new() }
    }

    fn has_named_itself(&self, claims: &Map<String, Value>) -> Result<(), PresentationError> {
        let Some(issuers) = &self.issuers else { return Ok(()) };
        let named = claims.get("iss").and_then(Value::as_str);
        if named.is_some_and(|named| issuers.iter().any(|issuer| issuer == named)) {
            Ok(())
        } else {
            Err(PresentationError::IssuerMismatch)
        }
    }

    fn has_status(&self, status: Option<&StatusReference>) -> Result<(), PresentationError> {
        match status {
            None if self.status == StatusPolicy::Required => Err(PresentationError::NoStatus),
            None => Ok(()),
            Some(status) if self.may_name(&status.uri) => Ok(()),
            Some(_) => Err(PresentationError::StatusListNotAllowed),
        }
    }

    /// Whether its cards may name this status list: it is one of those, or stands below one that ends with `/`, so that
    /// no other host can begin the same.
    pub fn may_name(&self, status_list: &str) -> bool {
        let below = |prefix: &String| prefix.ends_with('/') && status_list.starts_with(prefix.as_str());
        self.status_lists.iter().any(|prefix| prefix == status_list || below(prefix))
    }
}
