//! What all signed and versioned documents of a checkpoint share: one CBOR map under one signature and one media type, a
//! version that only rises, and a time after which it is old.

use crate::clock::UnixSeconds;
use crate::credential::cbor::{self, CborError, Value};
use crate::credential::cose::{CoseError, Sign1};
use crate::credential::key::KeyError;
use crate::credential::status_list::Band;
use crate::credential::{PublicKey, Signer};
use crate::error::Fault;

/// Why a document is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignedError {
    /// The message does not read, or its signature is wrong.
    #[error(transparent)]
    Cose(#[from] CoseError),
    /// The payload does not read.
    #[error(transparent)]
    Cbor(#[from] CborError),
    /// A key does not read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The object is of another type.
    #[error("not a document of this type")]
    WrongType,
    /// A member is missing or malformed.
    #[error("the member {0} is missing or malformed")]
    Member(&'static str),
    /// Nothing leads from its signer to the pinned trust anchor.
    #[error("the signer is not trusted for this type of document")]
    Untrusted,
    /// The document is older than the one in use.
    #[error("version {offered} is older than version {current} in use")]
    Older {
        /// Its version.
        offered: u64,
        /// The version in use.
        current: u64,
    },
    /// Another document with the version in use.
    #[error("two different documents have version {0}")]
    Forked(u64),
}

/// A type of document.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The type of the whole object, in its protected header: nothing else that a key signs can pass for it.
    pub media_type: &'static str,
    /// The largest that is written or read.
    pub max_bytes: usize,
}

impl Kind {
    /// Signs a payload. Certificates go along where nothing else tells the signer's key.
    pub fn seal(self, payload: &Value, signer: &dyn Signer, certificates: &[Vec<u8>]) -> Result<Vec<u8>, Fault> {
        let message = Sign1::sign(Some(self.media_type), cbor::encode(payload), signer)?;
        let bytes = message.with_certificates(certificates).encode();
        if bytes.len() > self.max_bytes {
            return Err(Fault::new("sealing a document", CborError::TooLarge));
        }
        Ok(bytes)
    }

    /// Reads a payload under a signature of the key that `trusted_key` finds for the message, and gives both.
    pub fn open(
        self,
        bytes: &[u8],
        trusted_key: impl FnOnce(&Sign1) -> Option<PublicKey>,
    ) -> Result<(Value, PublicKey), SignedError> {
        let message = Sign1::parse(bytes, self.max_bytes)?;
        if message.media_type() != Some(self.media_type) {
            return Err(SignedError::WrongType);
        }
        let signer = trusted_key(&message).ok_or(SignedError::Untrusted)?;
        message.verify(&signer)?;
        Ok((cbor::decode(message.payload(), self.max_bytes)?, signer))
    }

    /// Whether bytes say that they are of this type.
    pub fn is_kind_of(self, bytes: &[u8]) -> bool {
        Sign1::parse(bytes, self.max_bytes).is_ok_and(|message| message.media_type() == Some(self.media_type))
    }
}

/// Refuses what would take the place of something newer, or of something else with the same version.
pub fn not_older<T: PartialEq>(current: Option<&T>, offered: T, version: fn(&T) -> u64) -> Result<T, SignedError> {
    match current.map(|current| (version(current), current)) {
        Some((held, _)) if version(&offered) < held => {
            Err(SignedError::Older { offered: version(&offered), current: held })
        }
        Some((held, current)) if version(&offered) == held && offered != *current => Err(SignedError::Forked(held)),
        _ => Ok(offered),
    }
}

/// Version and times of a document: members 1 to 4 of its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// Rises with every document of its kind.
    pub version: u64,
    /// When it was signed.
    pub issued_at: UnixSeconds,
    /// For how long from then it is fresh.
    pub ttl_seconds: i64,
    /// From when it is over.
    pub expires_at: UnixSeconds,
}

impl Term {
    /// How far the document can be relied upon.
    pub fn band(&self, now: UnixSeconds) -> Band {
        if now >= self.expires_at {
            Band::Expired
        } else if now <= self.issued_at.saturating_add(self.ttl_seconds) {
            Band::Fresh
        } else {
            Band::Aging
        }
    }

    /// The members 1 to 4.
    pub fn to_cbor(&self) -> [(i64, Value); 4] {
        [
            (1, self.version.into()),
            (2, self.issued_at.into()),
            (3, self.ttl_seconds.into()),
            (4, self.expires_at.into()),
        ]
    }

    /// From the same.
    pub fn from_cbor(payload: &Value) -> Result<Self, SignedError> {
        let positive = |value: &Value| cbor::integer(value).filter(|seconds| *seconds > 0);
        Ok(Self {
            version: member(payload, 1, "version", |value| value.as_integer()?.try_into().ok())?,
            issued_at: member(payload, 2, "issued_at", cbor::integer)?,
            ttl_seconds: member(payload, 3, "ttl", positive)?,
            expires_at: member(payload, 4, "expires_at", cbor::integer)?,
        })
    }
}

/// A payload of a document: its term and its other members.
pub fn payload<const N: usize>(term: &Term, members: [(i64, Value); N]) -> Value {
    let pairs = term.to_cbor().into_iter().chain(members);
    Value::Map(pairs.map(|(label, value)| (Value::from(label), value)).collect())
}

/// A member that must be there.
pub fn member<'a, T>(
    value: &'a Value,
    label: i64,
    name: &'static str,
    read: impl FnOnce(&'a Value) -> Option<T>,
) -> Result<T, SignedError> {
    optional(value, label, name, read)?.ok_or(SignedError::Member(name))
}

/// A member that may be absent, but not malformed.
pub fn optional<'a, T>(
    value: &'a Value,
    label: i64,
    name: &'static str,
    read: impl FnOnce(&'a Value) -> Option<T>,
) -> Result<Option<T>, SignedError> {
    let map = value.as_map().ok_or(SignedError::Member(name))?;
    cbor::get(map, label).map(|value| read(value).ok_or(SignedError::Member(name))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::test_key::TestKey;

    const KIND: Kind = Kind { media_type: "application/x-one", max_bytes: 256 };

    #[test]
    fn a_document_is_of_its_type_and_its_signer() {
        let signer = TestKey::new(1);
        let payload = Value::from(7);
        let bytes = KIND.seal(&payload, &signer, &[]).unwrap();
        let key = || Some(signer.public_key().clone());
        assert_eq!(KIND.open(&bytes, |_| key()), Ok((payload.clone(), signer.public_key().clone())));
        assert_eq!(KIND.open(&bytes, |_| None), Err(SignedError::Untrusted));
        let other = TestKey::new(2).public_key().clone();
        assert_eq!(KIND.open(&bytes, |_| Some(other)), Err(CoseError::BadSignature.into()));
        let other = Kind { media_type: "application/x-two", ..KIND };
        assert_eq!(other.open(&bytes, |_| key()), Err(SignedError::WrongType));
        assert!(KIND.is_kind_of(&bytes) && !other.is_kind_of(&bytes));
        assert!(Kind { max_bytes: 16, ..KIND }.seal(&payload, &signer, &[]).is_err());
    }

    #[test]
    fn bands_follow_the_times() {
        let term = Term { version: 1, issued_at: 100, ttl_seconds: 10, expires_at: 200 };
        assert_eq!(term.band(110), Band::Fresh);
        assert_eq!(term.band(111), Band::Aging);
        assert_eq!(term.band(200), Band::Expired);
        assert_eq!(Term::from_cbor(&payload(&term, [])), Ok(term));
        let never_fresh = Term { ttl_seconds: 0, ..term };
        assert_eq!(Term::from_cbor(&payload(&never_fresh, [])), Err(SignedError::Member("ttl")));
    }
}
