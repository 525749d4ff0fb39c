//! Verifying what the issuer signed, in the order of ISO/IEC 18013-5 section 9.3.1: certificates, signature, digests,
//! type, dates. The device's signature and the status come after, by the caller.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{DIGEST_ALGORITHM, TAG_DATE_TIME, TAG_ENCODED, TAG_FULL_DATE, VERSION};
use crate::clock::UnixSeconds;
use crate::credential::PublicKey;
use crate::credential::cbor::{self, CborError, Map, Value};
use crate::credential::cose::{CoseError, Sign1};
use crate::credential::status_list::StatusReference;
use crate::credential::x509::{self, Anchors, ChainError, Use};

/// The longest mdoc that is looked at, in bytes: a card with a portrait of 64 KiB fits.
pub const MAX_BYTES: usize = 256 * 1024;
/// The most items that are looked at.
pub const MAX_ITEMS: usize = 256;
/// How far two clocks may differ.
pub const CLOCK_SKEW_SECONDS: i64 = 60;
/// The least bytes of an item's `random` (section 9.1.2.5).
const MIN_RANDOM: usize = 16;

/// Why an mdoc is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MdocError {
    /// The CBOR does not read, or is beyond a bound.
    #[error(transparent)]
    Cbor(#[from] CborError),
    /// The issuer's message does not read, or its signature is wrong.
    #[error("issuer's signature: {0}")]
    Cose(#[from] CoseError),
    /// The issuer's certificates.
    #[error("issuer's certificates: {0}")]
    Chain(#[from] ChainError),
    /// A member is missing, malformed, repeated, or has a value that the standard does not allow.
    #[error("{0} is missing or malformed")]
    Malformed(&'static str),
    /// An item is not one of those that were signed.
    #[error("an element does not belong to the card")]
    Digest,
    /// It is of another type.
    #[error("the card is of another type")]
    OtherType,
    /// Before its first instant.
    #[error("the card is not valid yet")]
    NotYetValid,
    /// After its last.
    #[error("the card has expired")]
    Expired,
    /// It was signed outside the validity of its signer's certificate.
    #[error("the card was signed when its signer was not valid")]
    SignerNotValidThen,
}

/// What an issuer signed, read but not believed yet.
#[derive(Clone, Debug, PartialEq)]
pub struct IssuerSigned {
    items: Vec<Item>,
    message: Sign1,
    mso: SecurityObject,
}

#[derive(Clone, Debug, PartialEq)]
struct Item {
    element: VerifiedElement,
    number: i64,
    digest: [u8; 32],
}

/// The mobile security object.
#[derive(Clone, Debug, PartialEq)]
struct SecurityObject {
    doctype: String,
    value_digests: Map,
    device_key: PublicKey,
    signed_at: UnixSeconds,
    valid_from: UnixSeconds,
    valid_until: UnixSeconds,
    status: Option<StatusReference>,
    status_anchor: Option<Vec<u8>>,
}

/// An mdoc that an issuer under one of the anchors has signed, in its time.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedMdoc {
    /// The elements that were shown, in their order.
    pub elements: Vec<VerifiedElement>,
    /// The key that it is bound to. That its holder is there is proved by the device's signature only.
    pub device_key: PublicKey,
    /// Where its status stands.
    pub status: Option<StatusReference>,
    /// The certificate (DER) that has certified the signer of the status list, by the issuer's word; the anchor of the mdoc
    /// itself when absent (second edition, section 12.3.6.2).
    pub status_anchor: Option<Vec<u8>>,
    /// When it was signed.
    pub signed_at: UnixSeconds,
    /// From when it is good.
    pub valid_from: UnixSeconds,
    /// Until when.
    pub valid_until: UnixSeconds,
}

/// An element of a namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedElement {
    /// The namespace.
    pub namespace: String,
    /// The element identifier.
    pub identifier: String,
    /// Its value.
    pub value: Value,
}

/// Reads `bytes`, the CBOR of `IssuerSigned`, and checks it: see [`IssuerSigned::verify`].
pub fn verify(bytes: &[u8], anchors: &Anchors, doctype: &str, now: UnixSeconds) -> Result<VerifiedMdoc, MdocError> {
    IssuerSigned::parse(bytes)?.verify(anchors, doctype, now)
}

impl IssuerSigned {
    /// Reads the CBOR of at most [`MAX_BYTES`].
    pub fn parse(bytes: &[u8]) -> Result<Self, MdocError> {
        Self::from_value(cbor::decode(bytes, MAX_BYTES)?)
    }

    /// The same from an item that was read as a part of another.
    pub fn from_value(value: Value) -> Result<Self, MdocError> {
        let mut parts = value.into_map().map_err(|_| MdocError::Malformed("IssuerSigned"))?;
        let message = take_text(&mut parts, "issuerAuth").ok_or(MdocError::Malformed("issuerAuth"))?;
        let message = Sign1::from_value(message)?;
        let mso = SecurityObject::parse(message.payload())?;
        // A holder may show nothing at all.
        let namespaces = take_text(&mut parts, "nameSpaces").map_or(Ok(Map::new()), Value::into_map);
        if !parts.is_empty() {
            return Err(MdocError::Malformed("IssuerSigned"));
        }
        let mut items = Vec::new();
        for (namespace, shown) in namespaces.map_err(|_| MdocError::Malformed("nameSpaces"))? {
            let (Value::Text(namespace), Value::Array(shown)) = (namespace, shown) else {
                return Err(MdocError::Malformed("nameSpaces"));
            };
            if items.len() + shown.len() > MAX_ITEMS {
                return Err(MdocError::Malformed("nameSpaces"));
            }
            let start = items.len();
            for item in shown {
                let item = Item::parse(&namespace, item)?;
                let is_again = |earlier: &Item| earlier.element.identifier == item.element.identifier;
                if items[start..].iter().any(is_again) {
                    return Err(MdocError::Malformed("elementIdentifier"));
                }
                items.push(item);
            }
        }
        Ok(Self { items, message, mso })
    }

    /// The type that it claims to be of.
    pub fn claimed_doctype(&self) -> &str {
        &self.mso.doctype
    }

    /// The certificates of its signer, the signer's own first. They prove themselves.
    pub fn certificates(&self) -> Vec<Vec<u8>> {
        self.message.certificates()
    }

    /// Checks that an issuer under one of `anchors` has signed it and every element in it, that it is of the type
    /// `doctype`, and that it is in its time. Two clocks may differ by [`CLOCK_SKEW_SECONDS`].
    pub fn verify(self, anchors: &Anchors, doctype: &str, now: UnixSeconds) -> Result<VerifiedMdoc, MdocError> {
        let signer = anchors.check(&self.message.certificates(), Use::Mdocs, now)?;
        self.verify_by(&signer, doctype, now)
    }

    /// The same where the caller trusts the key of its signer's certificate.
    pub fn verify_by(self, signer: &PublicKey, doctype: &str, now: UnixSeconds) -> Result<VerifiedMdoc, MdocError> {
        let chain = self.message.certificates();
        self.message.verify(signer)?;
        let mso = self.mso;
        for item in &self.items {
            let digests = cbor::get_text(&mso.value_digests, &item.element.namespace).and_then(Value::as_map);
            let digest = digests.and_then(|digests| cbor::get(digests, item.number)).and_then(Value::as_bytes);
            if digest.map(Vec::as_slice) != Some(&item.digest) {
                return Err(MdocError::Digest);
            }
        }
        if mso.doctype != doctype {
            return Err(MdocError::OtherType);
        }
        let (signer_from, signer_until) = x509::validity(chain.first().ok_or(ChainError::Malformed)?)?;
        if !(signer_from..=signer_until).contains(&mso.signed_at) {
            return Err(MdocError::SignerNotValidThen);
        }
        if now.saturating_add(CLOCK_SKEW_SECONDS) < mso.valid_from {
            return Err(MdocError::NotYetValid);
        }
        if now >= mso.valid_until.saturating_add(CLOCK_SKEW_SECONDS) {
            return Err(MdocError::Expired);
        }
        Ok(VerifiedMdoc {
            elements: self.items.into_iter().map(|item| item.element).collect(),
            device_key: mso.device_key,
            status: mso.status,
            status_anchor: mso.status_anchor,
            signed_at: mso.signed_at,
            valid_from: mso.valid_from,
            valid_until: mso.valid_until,
        })
    }
}

impl Item {
    fn parse(namespace: &str, item: Value) -> Result<Self, MdocError> {
        let Some(encoded) = encoded(item) else { return Err(MdocError::Malformed("nameSpaces")) };
        // The digest is over the tag and the string as they were received, which is their shortest form: another one
        // has another digest.
        let mut hash = Sha256::new();
        let mut head = Vec::with_capacity(8);
        cbor::head(&mut head, 6, TAG_ENCODED);
        cbor::head(&mut head, 2, encoded.len() as u64);
        hash.update(&head);
        hash.update(&encoded);

        let mut members = cbor::decode_map(&encoded, encoded.len())?;
        if members.len() != 4 {
            return Err(MdocError::Malformed("IssuerSignedItem"));
        }
        let random = cbor::get_text(&members, "random").and_then(Value::as_bytes);
        if random.is_none_or(|random| random.len() < MIN_RANDOM) {
            return Err(MdocError::Malformed("random"));
        }
        let number = cbor::get_text(&members, "digestID").and_then(cbor::integer);
        let number = number.filter(|number| (0..1 << 31).contains(number)).ok_or(MdocError::Malformed("digestID"))?;
        let identifier = take_text(&mut members, "elementIdentifier").and_then(|name| name.into_text().ok());
        let identifier = identifier.ok_or(MdocError::Malformed("elementIdentifier"))?;
        let value = take_text(&mut members, "elementValue").ok_or(MdocError::Malformed("elementValue"))?;
        let element = VerifiedElement { namespace: namespace.to_owned(), identifier, value };
        Ok(Self { element, number, digest: hash.finalize().into() })
    }
}

impl SecurityObject {
    fn parse(payload: &[u8]) -> Result<Self, MdocError> {
        let bytes = encoded(cbor::decode(payload, MAX_BYTES)?).ok_or(MdocError::Malformed("MobileSecurityObject"))?;
        let mut members = cbor::decode_map(&bytes, bytes.len())?;
        for (name, only) in [("version", VERSION), ("digestAlgorithm", DIGEST_ALGORITHM)] {
            if cbor::get_text(&members, name).and_then(Value::as_text) != Some(only) {
                return Err(MdocError::Malformed(name));
            }
        }
        let doctype = take_text(&mut members, "docType").and_then(|doctype| doctype.into_text().ok());
        let value_digests = take_text(&mut members, "valueDigests").and_then(|digests| digests.into_map().ok());
        let device_key_info = cbor::get_text(&members, "deviceKeyInfo").and_then(Value::as_map);
        let device_key_info = device_key_info.ok_or(MdocError::Malformed("deviceKeyInfo"))?;
        let device_key = cbor::get_text(device_key_info, "deviceKey").map(PublicKey::from_cose);
        let device_key = device_key.and_then(Result::ok).ok_or(MdocError::Malformed("deviceKey"))?;
        let validity = cbor::get_text(&members, "validityInfo").and_then(Value::as_map);
        let instant = |name| validity.and_then(|validity| cbor::get_text(validity, name)).and_then(date_time);
        let dates = (instant("signed"), instant("validFrom"), instant("validUntil"));
        let (Some(signed_at), Some(valid_from), Some(valid_until)) = dates else {
            return Err(MdocError::Malformed("validityInfo"));
        };
        if signed_at > valid_from || valid_from >= valid_until {
            return Err(MdocError::Malformed("validityInfo"));
        }
        let (status, status_anchor) = match cbor::get_text(&members, "status").map(status).transpose()? {
            Some((reference, anchor)) => (Some(reference), anchor),
            None => (None, None),
        };
        Ok(Self {
            doctype: doctype.ok_or(MdocError::Malformed("docType"))?,
            value_digests: value_digests.ok_or(MdocError::Malformed("valueDigests"))?,
            device_key,
            signed_at,
            valid_from,
            valid_until,
            status,
            status_anchor,
        })
    }
}

/// A status of a kind that is not known here must not pass for none.
fn status(status: &Value) -> Result<(StatusReference, Option<Vec<u8>>), MdocError> {
    let list = status.as_map().and_then(|status| cbor::get_text(status, "status_list")).and_then(Value::as_map);
    let list = list.ok_or(MdocError::Malformed("status"))?;
    let index = cbor::get_text(list, "idx").and_then(cbor::integer).and_then(|index| index.try_into().ok());
    let uri = cbor::get_text(list, "uri").and_then(Value::as_text);
    let anchor = match cbor::get_text(list, "certificate") {
        Some(certificate) => Some(certificate.as_bytes().ok_or(MdocError::Malformed("status"))?.clone()),
        None => None,
    };
    match (index, uri) {
        (Some(index), Some(uri)) => Ok((StatusReference { index, uri: uri.to_owned() }, anchor)),
        _ => Err(MdocError::Malformed("status")),
    }
}

/// The string under tag 24.
pub(super) fn encoded(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::Tag(TAG_ENCODED, inner) => inner.into_bytes().ok(),
        _ => None,
    }
}

/// A `tdate` in UTC without fractions of a second (section 9.1.2.4).
fn date_time(value: &Value) -> Option<UnixSeconds> {
    let Value::Tag(TAG_DATE_TIME, text) = value else { return None };
    let text = text.as_text().filter(|text| text.len() == "YYYY-MM-DDTHH:MM:SSZ".len() && text.ends_with('Z'))?;
    OffsetDateTime::parse(text, &Rfc3339).ok().map(OffsetDateTime::unix_timestamp)
}

pub(super) fn take_text(map: &mut Map, name: &str) -> Option<Value> {
    let at = map.iter().position(|(key, _)| key.as_text() == Some(name))?;
    Some(map.swap_remove(at).1)
}

/// A value for those who read JSON: dates as text, bytes in base64url. Nothing for what JSON cannot tell apart.
pub fn to_json(value: &Value) -> Option<Json> {
    Some(match value {
        Value::Text(text) => text.as_str().into(),
        Value::Bytes(bytes) => URL_SAFE_NO_PAD.encode(bytes).into(),
        Value::Integer(_) => cbor::integer(value)?.into(),
        Value::Bool(truth) => (*truth).into(),
        Value::Null => Json::Null,
        Value::Tag(TAG_DATE_TIME | TAG_FULL_DATE, text) => text.as_text()?.into(),
        Value::Array(items) => items.iter().map(to_json).collect::<Option<Vec<_>>>()?.into(),
        Value::Map(pairs) => {
            let pair = |(name, value): &(Value, Value)| Some((name.as_text()?.to_owned(), to_json(value)?));
            Json::Object(pairs.iter().map(pair).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}
