//! The credential inside a card's QR code: a CBOR Web Token (RFC 8392) that carries IANA claim 169, signed as
//! COSE_Sign1. Written in one way, read in every way that public Claim 169 software writes it.

use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::clock::UnixSeconds;
use crate::credential::cbor::{self, CborError, Map, Value};
use crate::credential::cose::{CoseError, Sign1};
use crate::credential::key::KeyError;
use crate::credential::status_list::StatusReference;
use crate::credential::{PublicKey, Signer};
use crate::error::Fault;

/// The largest credential that is read. Ours stay below one kilobyte.
pub const MAX_BYTES: usize = 16 * 1024;

/// CWT claims (RFC 8392, RFC 8747, Token Status List, IANA).
mod claim {
    pub const ISSUER: i64 = 1;
    pub const EXPIRES_AT: i64 = 4;
    pub const NOT_BEFORE: i64 = 5;
    pub const ISSUED_AT: i64 = 6;
    pub const CONFIRMATION: i64 = 8;
    pub const IDENTITY: i64 = 169;
    pub const STATUS: i64 = 65_535;
}

/// Keys of the claim 169 map: up to 23 as Claim 169 version 1.2.0 has them, 75 to 79 in its range for closed use.
mod field {
    pub const HANDLE: i64 = 1;
    pub const LANGUAGE: i64 = 3;
    pub const FULL_NAME: i64 = 4;
    pub const PHOTO: i64 = 16;
    pub const PHOTO_FORMAT: i64 = 17;
    pub const COUNTRY: i64 = 23;
    pub const POSITION: i64 = 75;
    pub const AGENCY: i64 = 76;
    pub const AGENCY_CODE: i64 = 77;
    pub const CLASS: i64 = 78;
    pub const SPECIMEN: i64 = 79;
}

const CONFIRMATION_COSE_KEY: i64 = 1;
const PHOTO_FORMAT_WEBP: i64 = 4;

/// What a card's QR code says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QrClaims {
    /// The issuer's identifier.
    pub issuer: String,
    /// When it was signed.
    pub issued_at: UnixSeconds,
    /// From when it may be accepted.
    pub not_before: UnixSeconds,
    /// From when it may no longer be accepted.
    pub expires_at: UnixSeconds,
    /// The wallet's key. With it the code is only good together with a fresh holder proof; without it the code is a
    /// printed copy.
    pub confirmation: Option<PublicKey>,
    /// Where its status is told.
    pub status: Option<StatusReference>,
    /// Whose card it is.
    pub identity: Identity,
}

/// The claim 169 map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The card's random handle; never the card number, which contains the personal number.
    pub handle: String,
    /// Birth name.
    pub full_name: String,
    /// A small portrait.
    pub photo: Option<Photo>,
    /// Position or title held.
    pub position: Option<String>,
    /// The agency's name.
    pub agency: Option<String>,
    /// The agency's identifier of Decision 20/2020/QĐ-TTg.
    pub agency_code: Option<String>,
    /// The kind of personnel (`CB`, `CC`, …).
    pub class: Option<String>,
    /// Made to be looked at and tried out, never to be accepted.
    pub specimen: bool,
}

/// A portrait in WebP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Photo(Vec<u8>);

impl Photo {
    /// The largest that is issued: more makes the code too dense for a badge.
    pub const MAX_BYTES: usize = 260;

    /// From a WebP file small enough to be issued.
    pub fn webp(bytes: Vec<u8>) -> Option<Self> {
        let is_webp = bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP");
        (is_webp && bytes.len() <= Self::MAX_BYTES).then_some(Self(bytes))
    }

    /// The file.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Why bytes are not a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CwtError {
    /// The signed message does not read.
    #[error(transparent)]
    Cose(#[from] CoseError),
    /// The payload does not read.
    #[error(transparent)]
    Cbor(#[from] CborError),
    /// The wallet's key does not read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A claim is missing or has the wrong type.
    #[error("the claim {0} is missing or malformed")]
    Claim(&'static str),
}

/// Signs `claims`: the bytes of a COSE_Sign1 under tag 18.
pub fn seal(claims: &QrClaims, signer: &dyn Signer) -> Result<Vec<u8>, Fault> {
    Ok(Sign1::sign(None, cbor::encode(&claims.to_cbor()), signer)?.encode())
}

/// A signed card as received. Nothing in it is proved yet.
#[derive(Clone, Debug, PartialEq)]
pub struct QrCredential {
    /// The message, for its signatures.
    pub message: Sign1,
    /// What it says.
    pub claims: QrClaims,
}

impl QrCredential {
    /// Reads a card: any of the three taggings, claim 169 as a map or as a byte string, unknown claims ignored.
    pub fn parse(bytes: &[u8]) -> Result<Self, CwtError> {
        let message = Sign1::parse(bytes, MAX_BYTES)?;
        let claims = QrClaims::from_cbor(cbor::decode_map(message.payload(), MAX_BYTES)?)?;
        Ok(Self { message, claims })
    }
}

impl QrClaims {
    fn to_cbor(&self) -> Value {
        let mut claims: Map = vec![
            (claim::ISSUER.into(), nfc(&self.issuer)),
            (claim::EXPIRES_AT.into(), self.expires_at.into()),
            (claim::ISSUED_AT.into(), self.issued_at.into()),
            (claim::IDENTITY.into(), self.identity.to_cbor()),
        ];
        if self.not_before != self.issued_at {
            claims.push((claim::NOT_BEFORE.into(), self.not_before.into()));
        }
        if let Some(key) = &self.confirmation {
            claims.push((claim::CONFIRMATION.into(), cbor::map([(CONFIRMATION_COSE_KEY, key.to_cose())])));
        }
        if let Some(status) = &self.status {
            claims.push((claim::STATUS.into(), status.to_cbor()));
        }
        Value::Map(claims)
    }

    fn from_cbor(mut claims: Map) -> Result<Self, CwtError> {
        let issuer = text(cbor::take(&mut claims, claim::ISSUER)).ok_or(CwtError::Claim("iss"))?;
        let issued_at = required_time(&claims, claim::ISSUED_AT, "iat")?;
        let expires_at = required_time(&claims, claim::EXPIRES_AT, "exp")?;
        let not_before = match cbor::get(&claims, claim::NOT_BEFORE) {
            Some(value) => cbor::integer(value).ok_or(CwtError::Claim("nbf"))?,
            None => issued_at,
        };
        // A confirmation that is present but not understood must never read as absent: that would lift the demand for
        // a holder proof.
        let confirmation = match cbor::get(&claims, claim::CONFIRMATION) {
            None => None,
            Some(Value::Map(methods)) => {
                let key = cbor::get(methods, CONFIRMATION_COSE_KEY).ok_or(CwtError::Claim("cnf"))?;
                Some(PublicKey::from_cose(key)?)
            }
            Some(_) => return Err(CwtError::Claim("cnf")),
        };
        let status = match cbor::get(&claims, claim::STATUS) {
            None => None,
            Some(value) => Some(StatusReference::from_cbor(value).ok_or(CwtError::Claim("status"))?),
        };
        let identity = match cbor::take(&mut claims, claim::IDENTITY) {
            Some(Value::Map(fields)) => fields,
            Some(Value::Bytes(bytes)) => cbor::decode_map(&bytes, bytes.len())?,
            _ => return Err(CwtError::Claim("169")),
        };
        let identity = Identity::from_cbor(identity)?;
        Ok(Self { issuer, issued_at, not_before, expires_at, confirmation, status, identity })
    }
}

impl Identity {
    fn to_cbor(&self) -> Value {
        let mut fields: Map = vec![
            (field::HANDLE.into(), nfc(&self.handle)),
            (field::LANGUAGE.into(), "vie".into()),
            (field::FULL_NAME.into(), nfc(&self.full_name)),
            (field::COUNTRY.into(), "VN".into()),
        ];
        let optional = [
            (field::POSITION, &self.position),
            (field::AGENCY, &self.agency),
            (field::AGENCY_CODE, &self.agency_code),
            (field::CLASS, &self.class),
        ];
        fields.extend(optional.into_iter().filter_map(|(key, value)| Some((key.into(), nfc(value.as_deref()?)))));
        if let Some(photo) = &self.photo {
            fields.push((field::PHOTO.into(), photo.0.clone().into()));
            fields.push((field::PHOTO_FORMAT.into(), PHOTO_FORMAT_WEBP.into()));
        }
        if self.specimen {
            fields.push((field::SPECIMEN.into(), true.into()));
        }
        Value::Map(fields)
    }

    fn from_cbor(mut fields: Map) -> Result<Self, CwtError> {
        let mut optional = |key, name| match cbor::take(&mut fields, key) {
            None => Ok(None),
            value => text(value).map(Some).ok_or(CwtError::Claim(name)),
        };
        let handle = optional(field::HANDLE, "169/1")?.ok_or(CwtError::Claim("169/1"))?;
        let full_name = optional(field::FULL_NAME, "169/4")?.ok_or(CwtError::Claim("169/4"))?;
        let position = optional(field::POSITION, "169/75")?;
        let agency = optional(field::AGENCY, "169/76")?;
        let agency_code = optional(field::AGENCY_CODE, "169/77")?;
        let class = optional(field::CLASS, "169/78")?;
        // A photo in another format is not shown; it does not spoil the card.
        let is_webp = cbor::get(&fields, field::PHOTO_FORMAT).and_then(cbor::integer) == Some(PHOTO_FORMAT_WEBP);
        let photo = match cbor::take(&mut fields, field::PHOTO) {
            Some(Value::Bytes(bytes)) if is_webp => Some(Photo(bytes)),
            _ => None,
        };
        // Whatever it is set to, short of an outspoken no, a marked specimen is none to accept.
        let specimen = !matches!(cbor::get(&fields, field::SPECIMEN), None | Some(Value::Bool(false)));
        Ok(Self { handle, full_name, photo, position, agency, agency_code, class, specimen })
    }
}

fn text(value: Option<Value>) -> Option<String> {
    value?.into_text().ok()
}

fn nfc(text: &str) -> Value {
    if is_nfc(text) { text.into() } else { text.nfc().collect::<String>().into() }
}

fn required_time(claims: &Map, label: i64, name: &'static str) -> Result<UnixSeconds, CwtError> {
    cbor::get(claims, label).and_then(cbor::integer).ok_or(CwtError::Claim(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::test_key::TestKey;
    use proptest::prelude::*;

    fn claims() -> QrClaims {
        QrClaims {
            issuer: "https://issuer.example.vn".into(),
            issued_at: 1_790_000_000,
            not_before: 1_790_000_000,
            expires_at: 1_821_536_000,
            confirmation: Some(TestKey::new(2).public_key().clone()),
            status: Some(StatusReference { index: 4711, uri: "https://issuer.example.vn/s/1".into() }),
            identity: Identity {
                handle: "0123456789ABCDEF".into(),
                full_name: "Nguyễn Thị Hồng Ánh".into(),
                photo: Photo::webp(b"RIFF\x04\0\0\0WEBP".to_vec()),
                position: Some("Chuyên viên".into()),
                agency: Some("Sở Nội vụ".into()),
                agency_code: Some("H26.05".into()),
                class: Some("CC".into()),
                specimen: true,
            },
        }
    }

    #[test]
    fn a_card_comes_back() {
        let key = TestKey::new(1);
        let read = QrCredential::parse(&seal(&claims(), &key).unwrap()).unwrap();
        assert_eq!(read.claims, claims());
        assert_eq!(read.message.verify(key.public_key()), Ok(()));
        assert_eq!(read.message.key_id(), Some(&key.public_key().cose_thumbprint()[..8]));
    }

    #[test]
    fn the_claims_are_those_of_the_profile_and_no_more() {
        let plain = QrClaims { confirmation: None, status: None, ..claims() };
        let Value::Map(map) = plain.to_cbor() else { panic!() };
        let labels: Vec<_> = map.iter().filter_map(|(key, _)| cbor::integer(key)).collect();
        assert_eq!(labels, [1, 4, 6, 169], "no nbf when it is iat");
        let bare = Identity { handle: "H".into(), full_name: "N".into(), ..Identity::default() };
        let Value::Map(map) = bare.to_cbor() else { panic!() };
        assert_eq!(map.iter().filter_map(|(key, _)| cbor::integer(key)).collect::<Vec<_>>(), [1, 3, 4, 23]);
        let later = QrClaims { not_before: plain.issued_at + 1, ..plain };
        assert_eq!(QrClaims::from_cbor(later.to_cbor().into_map().unwrap()).unwrap(), later);
    }

    #[test]
    fn names_are_composed() {
        let decomposed = Identity { full_name: "Hồng".nfd().collect(), ..claims().identity };
        let read = Identity::from_cbor(decomposed.to_cbor().into_map().unwrap()).unwrap();
        assert_eq!(read.full_name, "Hồng");
    }

    #[test]
    fn what_is_there_but_not_understood_is_not_absent() {
        let broken = |label: i64, value: Value| {
            let mut map = claims().to_cbor().into_map().unwrap();
            cbor::take(&mut map, label);
            map.push((label.into(), value));
            QrClaims::from_cbor(map).unwrap_err()
        };
        assert_eq!(broken(claim::CONFIRMATION, Value::Null), CwtError::Claim("cnf"));
        assert_eq!(broken(claim::CONFIRMATION, cbor::map([(3, Value::Bytes(vec![1]))])), CwtError::Claim("cnf"));
        assert_eq!(broken(claim::STATUS, cbor::map([])), CwtError::Claim("status"));
        assert_eq!(broken(claim::EXPIRES_AT, Value::Float(1e9)), CwtError::Claim("exp"));
        assert_eq!(broken(claim::NOT_BEFORE, "soon".into()), CwtError::Claim("nbf"));
        assert_eq!(broken(claim::IDENTITY, Value::Null), CwtError::Claim("169"));
        let mut fields = claims().identity.to_cbor().into_map().unwrap();
        cbor::take(&mut fields, field::SPECIMEN);
        fields.push((field::SPECIMEN.into(), 1.into()));
        assert!(Identity::from_cbor(fields).unwrap().specimen);
    }

    #[test]
    fn photos_are_small_webp_files() {
        assert!(Photo::webp(vec![0; 20]).is_none());
        let mut large = b"RIFF\x04\0\0\0WEBP".to_vec();
        large.resize(261, 0);
        assert!(Photo::webp(large).is_none());
    }

    proptest! {
        #[test]
        fn arbitrary_payloads_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256), at in 0_usize..400, to in any::<u8>()) {
            let _ = QrCredential::parse(&bytes);
            let mut card = seal(&claims(), &TestKey::new(1)).unwrap();
            let at = at % card.len();
            card[at] = to;
            let _ = QrCredential::parse(&card);
        }
    }
}
