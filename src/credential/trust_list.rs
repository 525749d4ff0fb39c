//! The trust list: which keys may sign cards, status lists and trust lists, for whom and when. One signed and versioned
//! object that a checkpoint carries offline. An older version is never accepted in the place of a newer one.
//!
//! The payload is a CBOR map with integer keys:
//!
//! | key | list | key | of each key |
//! |---|---|---|---|
//! | 1 | version | 1 | `kid` |
//! | 2 | issued at | 2 | `COSE_Key` |
//! | 3 | expires at | 3 | issuer (`iss` of its cards) |
//! | 4 | keys | 4, 5 | valid from, until |
//! | | | 6 | purposes: 1 issuer, 2 status, 3 list |
//! | | | 7 | prefixes of agency codes that it may speak for |
//! | 5 | lowest edition of the checkpoint's program that may go on; 0 when absent | 8 | prefixes of the status list URIs that its cards may name |

use crate::clock::UnixSeconds;
use crate::credential::cbor::{self, Value};
use crate::credential::cose::{self, Sign1};
pub use crate::credential::signed::SignedError as TrustListError;
use crate::credential::signed::{Kind, member, not_older, optional};
use crate::credential::status_list::Band;
use crate::credential::{PublicKey, Signer};
use crate::error::Fault;
pub use crate::model::gate::agency_is_within;

/// The largest list that is read: about seventy keys.
pub const MAX_BYTES: usize = 10 * 1024;

/// The type of the whole object, in its protected header: nothing else that a key signs can pass for a trust list.
pub const MEDIA_TYPE: &str = "application/vnd.vn-officials-card.trust-list+cbor";

const KIND: Kind = Kind { media_type: MEDIA_TYPE, max_bytes: MAX_BYTES };

/// How long an expired list still serves, marked as old: a late signature must not turn a country red.
pub const GRACE_SECONDS: i64 = 72 * 3600;

/// What a key may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Cards.
    Issuer,
    /// Status lists.
    Status,
    /// Trust lists.
    List,
}

/// A key that is trusted within its bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    /// Hint by which messages name it; several keys may share one.
    pub key_id: Vec<u8>,
    /// The key.
    pub key: PublicKey,
    /// The issuer that it belongs to.
    pub issuer: String,
    /// From when it may sign.
    pub valid_from: UnixSeconds,
    /// From when it may no longer sign. What it signed before stays good.
    pub valid_until: UnixSeconds,
    /// What it may sign.
    pub purposes: Vec<Purpose>,
    /// Agencies that it may speak for, see [`agency_is_within`].
    pub agencies: Vec<String>,
    /// How the URIs of its status lists begin; each ends with `/`, so that no other host can begin the same.
    pub status_lists: Vec<String>,
}

/// The list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustList {
    /// Rises with every list.
    pub version: u64,
    /// When it was signed.
    pub issued_at: UnixSeconds,
    /// From when it is old.
    pub expires_at: UnixSeconds,
    /// The keys.
    pub keys: Vec<TrustedKey>,
    /// The remote switch: checkpoints of a lower edition (`credential::checkpoint::EDITION`) stop. 0 stops none.
    pub minimum_edition: u64,
}

impl TrustList {
    /// Signs the list, unless nobody would accept it. The certificates of the signer go along, so that they can be led
    /// back to the pinned root.
    pub fn seal(&self, signer: &dyn Signer) -> Result<Vec<u8>, Fault> {
        let payload = self.to_cbor();
        Self::from_cbor(&payload).map_err(|error| Fault::new("sealing the trust list", error))?;
        KIND.seal(&payload, signer, signer.certificates())
    }

    /// Reads a list and puts it in the place of `current`. `trusted_key` leads certificates, the signer's own first,
    /// back to the pinned root and gives the signer's key. An expired list is accepted: [`TrustList::band`] tells.
    pub fn accept<E>(
        current: Option<&Self>,
        bytes: &[u8],
        trusted_key: impl FnOnce(&[Vec<u8>]) -> Result<PublicKey, E>,
    ) -> Result<Self, TrustListError> {
        let (payload, _) = KIND.open(bytes, |message| trusted_key(&message.certificates()).ok())?;
        not_older(current, Self::from_cbor(&payload)?, |list| list.version)
    }

    /// How far the list can be relied upon.
    pub fn band(&self, now: UnixSeconds) -> Band {
        if now < self.expires_at {
            Band::Fresh
        } else if now < self.expires_at.saturating_add(GRACE_SECONDS) {
            Band::Aging
        } else {
            Band::Expired
        }
    }

    /// The keys for a purpose that a message may mean by its `kid`.
    pub fn candidates<'a>(&'a self, message: &'a Sign1, purpose: Purpose) -> impl Iterator<Item = &'a TrustedKey> {
        let key_id = message.key_id();
        self.keys.iter().filter(move |key| Some(&*key.key_id) == key_id && key.purposes.contains(&purpose))
    }

    /// The key for a purpose that signed a message: all that share its `kid` are tried.
    pub fn signer<'a>(&'a self, message: &'a Sign1, purpose: Purpose) -> Option<&'a TrustedKey> {
        self.candidates(message, purpose).find(|key| message.verify(&key.key).is_ok())
    }

    fn to_cbor(&self) -> Value {
        let mut list = vec![
            (1.into(), self.version.into()),
            (2.into(), self.issued_at.into()),
            (3.into(), self.expires_at.into()),
            (4.into(), Value::Array(self.keys.iter().map(TrustedKey::to_cbor).collect())),
        ];
        if self.minimum_edition > 0 {
            list.push((5.into(), self.minimum_edition.into()));
        }
        Value::Map(list)
    }

    fn from_cbor(value: &Value) -> Result<Self, TrustListError> {
        let version = member(value, 1, "version", |value| value.as_integer()?.try_into().ok())?;
        let keys = member(value, 4, "keys", Value::as_array)?;
        Ok(Self {
            version,
            issued_at: member(value, 2, "issued_at", cbor::integer)?,
            expires_at: member(value, 3, "expires_at", cbor::integer)?,
            keys: keys.iter().map(TrustedKey::from_cbor).collect::<Result<_, _>>()?,
            minimum_edition: optional(value, 5, "minimum_edition", |value| value.as_integer()?.try_into().ok())?
                .unwrap_or(0),
        })
    }
}

impl TrustedKey {
    /// A key with the `kid` that our messages name it by.
    pub fn key_id_of(key: &PublicKey) -> Vec<u8> {
        cose::key_id(key).to_vec()
    }

    /// Whether it may sign at `at`.
    pub fn may_sign_at(&self, at: UnixSeconds) -> bool {
        (self.valid_from..self.valid_until).contains(&at)
    }

    /// Whether it may speak for the agency.
    pub fn may_speak_for(&self, agency_code: Option<&str>) -> bool {
        self.agencies.iter().any(|scope| agency_is_within(agency_code.unwrap_or_default(), scope))
    }

    /// Whether its cards may name this status list.
    pub fn may_name(&self, status_list: &str) -> bool {
        self.status_lists.iter().any(|prefix| status_list.starts_with(prefix))
    }

    fn to_cbor(&self) -> Value {
        let texts = |texts: &[String]| Value::Array(texts.iter().map(|text| text.as_str().into()).collect());
        let purposes = self.purposes.iter().map(|purpose| purpose.number().into()).collect();
        cbor::map([
            (1, self.key_id.clone().into()),
            (2, self.key.to_cose()),
            (3, self.issuer.as_str().into()),
            (4, self.valid_from.into()),
            (5, self.valid_until.into()),
            (6, Value::Array(purposes)),
            (7, texts(&self.agencies)),
            (8, texts(&self.status_lists)),
        ])
    }

    fn from_cbor(value: &Value) -> Result<Self, TrustListError> {
        let texts = |value: &Value| -> Option<Vec<String>> {
            value.as_array()?.iter().map(|text| text.as_text().map(str::to_owned)).collect()
        };
        // Purposes of a later edition are not ours to judge, and not in the way.
        let purposes = |value: &Value| -> Option<Vec<Purpose>> {
            Some(value.as_array()?.iter().filter_map(cbor::integer).filter_map(Purpose::from_number).collect())
        };
        let slashed = |prefixes: &Vec<String>| prefixes.iter().all(|prefix| prefix.ends_with('/'));
        Ok(Self {
            key_id: member(value, 1, "kid", |value| value.as_bytes().cloned())?,
            key: PublicKey::from_cose(member(value, 2, "key", Some)?)?,
            issuer: member(value, 3, "issuer", |value| value.as_text().map(str::to_owned))?,
            valid_from: member(value, 4, "valid_from", cbor::integer)?,
            valid_until: member(value, 5, "valid_until", cbor::integer)?,
            purposes: member(value, 6, "purposes", purposes)?,
            agencies: member(value, 7, "agencies", texts)?,
            status_lists: member(value, 8, "status_lists", |value| texts(value).filter(slashed))?,
        })
    }
}

impl Purpose {
    fn number(self) -> i64 {
        match self {
            Self::Issuer => 1,
            Self::Status => 2,
            Self::List => 3,
        }
    }

    fn from_number(number: i64) -> Option<Self> {
        [Self::Issuer, Self::Status, Self::List].into_iter().find(|purpose| purpose.number() == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::cose::CoseError;
    use crate::credential::test_key::TestKey;
    use proptest::prelude::*;

    fn trusted(seed: u8, key_id: &[u8]) -> TrustedKey {
        TrustedKey {
            key_id: key_id.to_vec(),
            key: TestKey::new(seed).public_key().clone(),
            issuer: "https://issuer.example.vn".into(),
            valid_from: 100,
            valid_until: 200,
            purposes: vec![Purpose::Issuer],
            agencies: vec!["H26".into()],
            status_lists: vec!["https://issuer.example.vn/s/".into()],
        }
    }

    fn list(version: u64) -> TrustList {
        TrustList {
            version,
            issued_at: 100,
            expires_at: 1000,
            keys: vec![trusted(1, b"one"), trusted(2, b"one")],
            minimum_edition: version - 1,
        }
    }

    fn accept(current: Option<&TrustList>, bytes: &[u8]) -> Result<TrustList, TrustListError> {
        TrustList::accept(current, bytes, |chain| match chain {
            [leaf] if leaf == &[9] => Ok(TestKey::new(9).public_key().clone()),
            _ => Err(()),
        })
    }

    fn signer() -> TestKey {
        TestKey::new(9).with_certificates(vec![vec![9]])
    }

    #[test]
    fn a_newer_list_takes_the_place_of_an_older_one_and_never_the_reverse() {
        let (old, new) = (list(1).seal(&signer()).unwrap(), list(2).seal(&signer()).unwrap());
        let current = accept(None, &old).unwrap();
        assert_eq!(current, list(1));
        assert_eq!(accept(Some(&current), &old), Ok(list(1)), "the same list again is no step back");
        let current = accept(Some(&current), &new).unwrap();
        assert_eq!(accept(Some(&current), &old), Err(TrustListError::Older { offered: 1, current: 2 }));
        let fork = TrustList { keys: Vec::new(), ..list(2) }.seal(&signer()).unwrap();
        assert_eq!(accept(Some(&current), &fork), Err(TrustListError::Forked(2)));
    }

    #[test]
    fn only_the_anchored_signer_counts() {
        let unsigned_for = list(1).seal(&TestKey::new(8).with_certificates(vec![vec![9]])).unwrap();
        assert_eq!(accept(None, &unsigned_for), Err(CoseError::BadSignature.into()));
        assert_eq!(accept(None, &list(1).seal(&TestKey::new(9)).unwrap()), Err(TrustListError::Untrusted));
        let other_type = Sign1::sign(None, cbor::encode(&list(1).to_cbor()), &signer()).unwrap();
        let other_type = other_type.with_certificates(signer().certificates()).encode();
        assert_eq!(accept(None, &other_type), Err(TrustListError::WrongType));
    }

    #[test]
    fn an_old_list_serves_for_its_grace() {
        let list = list(1);
        assert_eq!(list.band(999), Band::Fresh);
        assert_eq!(list.band(1000), Band::Aging);
        assert_eq!(list.band(1000 + GRACE_SECONDS), Band::Expired);
    }

    #[test]
    fn keys_that_share_a_kid_are_all_tried() {
        let list = TrustList {
            keys: (1..=3).map(|seed| trusted(seed, &cose::key_id(TestKey::new(2).public_key()))).collect(),
            ..list(1)
        };
        let message = Sign1::sign(None, b"card".to_vec(), &TestKey::new(2)).unwrap();
        assert_eq!(list.candidates(&message, Purpose::Issuer).count(), 3);
        assert_eq!(list.signer(&message, Purpose::Issuer), Some(&list.keys[1]));
        assert_eq!(list.signer(&message, Purpose::Status), None);
    }

    #[test]
    fn bounds_end_where_words_end() {
        let key = trusted(1, b"");
        assert!(key.may_speak_for(Some("H26")) && key.may_speak_for(Some("H26.05")));
        assert!(!key.may_speak_for(Some("H261")) && !key.may_speak_for(Some("H2")) && !key.may_speak_for(None));
        assert!(agency_is_within("", "") && agency_is_within("H26", ""));
        assert!(key.may_name("https://issuer.example.vn/s/1") && !key.may_name("https://issuer.example.vn/t/1"));
        assert!(key.may_sign_at(100) && key.may_sign_at(199) && !key.may_sign_at(200) && !key.may_sign_at(99));
    }

    #[test]
    fn what_nobody_would_accept_is_not_signed() {
        let of = |keys| TrustList { keys, ..list(1) };
        let full = of((0..70).map(|_| trusted(1, &[0; 8])).collect());
        assert_eq!(accept(None, &full.seal(&signer()).unwrap()), Ok(full));
        assert!(of((0..90).map(|_| trusted(1, &[0; 8])).collect()).seal(&signer()).is_err());
        let any_host = TrustedKey { status_lists: vec!["https://issuer.example.vn".into()], ..trusted(1, b"") };
        assert_eq!(TrustedKey::from_cbor(&any_host.to_cbor()), Err(TrustListError::Member("status_lists")));
        assert!(of(vec![any_host]).seal(&signer()).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_lists_never_panic(at in 0_usize..1000, to in any::<u8>()) {
            let mut bytes = list(1).seal(&signer()).unwrap();
            let at = at % bytes.len();
            bytes[at] = to;
            let _ = accept(None, &bytes);
            if let Ok(value) = cbor::decode(&bytes, MAX_BYTES) {
                let _ = TrustList::from_cbor(&value);
            }
        }
    }
}
