//! Token Status Lists (draft-ietf-oauth-status-list): a packed array of statuses, its compressed form, and the token
//! that is signed over it, as CWT here and as JWT in `jws.rs`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value as Json, json};

use crate::clock::UnixSeconds;
use crate::credential::Signer;
use crate::credential::cbor::{self, CborError, Map, Value};
use crate::credential::cose::{CoseError, Sign1};
use crate::credential::zlib::{self, ZlibError};
use crate::error::Fault;

/// The largest list that is inflated: four million cards of two bits.
pub const MAX_LIST_BYTES: usize = 1 << 20;
/// The largest token that is read: a list at its bound that does not compress.
pub const MAX_TOKEN_BYTES: usize = MAX_LIST_BYTES + (64 << 10);

/// The media type of the token as CWT.
pub const CWT_MEDIA_TYPE: &str = "application/statuslist+cwt";

/// Claims of the token as CWT.
mod claim {
    pub const SUBJECT: i64 = 2;
    pub const EXPIRES_AT: i64 = 4;
    pub const ISSUED_AT: i64 = 6;
    pub const STATUS_LIST: i64 = 65_533;
    pub const TTL: i64 = 65_534;
}

/// Why a list or its token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatusListError {
    /// Other than 1, 2, 4 or 8 bits for a status.
    #[error("a status has 1, 2, 4 or 8 bits")]
    Bits,
    /// The list has no such index; whoever relies on it must refuse.
    #[error("the index is outside the list")]
    OutOfRange,
    /// The status needs more bits than the list gives it.
    #[error("the status does not fit the list's bits")]
    ValueTooLarge,
    /// The list would be larger than any that is read.
    #[error("the list is too large")]
    TooLarge,
    /// The list does not inflate.
    #[error(transparent)]
    Zlib(#[from] ZlibError),
    /// The token does not read, or its signature is wrong.
    #[error(transparent)]
    Cose(#[from] CoseError),
    /// The token's claims do not read.
    #[error(transparent)]
    Cbor(#[from] CborError),
    /// The token is of another type.
    #[error("not a status list token")]
    WrongType,
    /// A claim is missing or malformed.
    #[error("the claim {0} is missing or malformed")]
    Claim(&'static str),
    /// The token speaks of another list than the one asked for.
    #[error("the token is for another list")]
    WrongSubject,
    /// The token is over.
    #[error("the token has expired")]
    Expired,
}

/// Where a credential's status is told: claim `status` (65535 in a CWT).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StatusReference {
    /// Position in the list.
    pub index: u32,
    /// The list.
    pub uri: String,
}

impl StatusReference {
    /// `{"status_list": {"idx": …, "uri": …}}`.
    pub fn to_cbor(&self) -> Value {
        let list = vec![("idx".into(), self.index.into()), ("uri".into(), self.uri.as_str().into())];
        Value::Map(vec![("status_list".into(), Value::Map(list))])
    }

    /// From the same.
    pub fn from_cbor(value: &Value) -> Option<Self> {
        let list = cbor::get_text(value.as_map()?, "status_list")?.as_map()?;
        let index = cbor::get_text(list, "idx").and_then(cbor::integer)?.try_into().ok()?;
        Some(Self { index, uri: cbor::get_text(list, "uri")?.as_text()?.to_owned() })
    }

    /// `{"status_list": {"idx": …, "uri": …}}` for JWTs.
    pub fn to_json(&self) -> Json {
        json!({"status_list": {"idx": self.index, "uri": self.uri}})
    }

    /// From the same.
    pub fn from_json(value: &Json) -> Option<Self> {
        let list = value.get("status_list")?;
        let index = list.get("idx")?.as_u64()?.try_into().ok()?;
        Some(Self { index, uri: list.get("uri")?.as_str()?.to_owned() })
    }
}

/// How many bits a status has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bits {
    /// Valid or not.
    One,
    /// Valid, invalid or suspended: ours.
    Two,
    /// Sixteen values.
    Four,
    /// A byte.
    Eight,
}

impl Bits {
    /// The number.
    pub fn number(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 4,
            Self::Eight => 8,
        }
    }

    /// From the number.
    pub fn from_number(number: i64) -> Result<Self, StatusListError> {
        match number {
            1 => Ok(Self::One),
            2 => Ok(Self::Two),
            4 => Ok(Self::Four),
            8 => Ok(Self::Eight),
            _ => Err(StatusListError::Bits),
        }
    }

    /// Byte and shift of an entry, and the mask of its value: the lowest bits of a byte come first (section 4.1).
    fn place(self, index: u32) -> (usize, u32, u8) {
        let bits = u32::from(self.number());
        let entries_per_byte = 8 / bits;
        ((index / entries_per_byte) as usize, index % entries_per_byte * bits, u8::MAX >> (8 - bits))
    }
}

/// Statuses by index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusList {
    bits: Bits,
    bytes: Vec<u8>,
}

impl StatusList {
    /// A list with room for `size` entries, valid (0) but for those given. The size of a published list is never
    /// reduced: an index beyond its end would be refused.
    pub fn new(bits: Bits, size: u32, others: impl IntoIterator<Item = (u32, u8)>) -> Result<Self, StatusListError> {
        let length = size.div_ceil(8 / u32::from(bits.number())) as usize;
        if length > MAX_LIST_BYTES {
            return Err(StatusListError::TooLarge);
        }
        let mut list = Self { bits, bytes: vec![0; length] };
        for (index, value) in others {
            let (at, shift, mask) = bits.place(index);
            if value > mask {
                return Err(StatusListError::ValueTooLarge);
            }
            let byte = list.bytes.get_mut(at).filter(|_| index < size).ok_or(StatusListError::OutOfRange)?;
            *byte = *byte & !(mask << shift) | value << shift;
        }
        Ok(list)
    }

    /// The status at an index.
    pub fn get(&self, index: u32) -> Result<u8, StatusListError> {
        let (at, shift, mask) = self.bits.place(index);
        Ok(self.bytes.get(at).ok_or(StatusListError::OutOfRange)? >> shift & mask)
    }

    /// Sets the status at an index.
    pub fn set(&mut self, index: u32, value: u8) -> Result<(), StatusListError> {
        let (at, shift, mask) = self.bits.place(index);
        if value > mask {
            return Err(StatusListError::ValueTooLarge);
        }
        let byte = self.bytes.get_mut(at).ok_or(StatusListError::OutOfRange)?;
        *byte = *byte & !(mask << shift) | value << shift;
        Ok(())
    }

    /// The packed statuses.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// From packed statuses of two bits.
    pub fn of_two_bits(bytes: Vec<u8>) -> Result<Self, StatusListError> {
        if bytes.len() > MAX_LIST_BYTES { Err(StatusListError::TooLarge) } else { Ok(Self { bits: Bits::Two, bytes }) }
    }

    /// The form that goes into tokens.
    pub fn compress(&self) -> CompressedList {
        CompressedList { bits: self.bits, bytes: zlib::deflate(&self.bytes), aggregation_uri: None }
    }
}

/// A list in its wire form, so that one compression serves both tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompressedList {
    bits: Bits,
    bytes: Vec<u8>,
    /// Where all lists of the issuer are named (section 9).
    pub aggregation_uri: Option<String>,
}

impl CompressedList {
    /// Inflates it, up to [`MAX_LIST_BYTES`].
    pub fn inflate(&self) -> Result<StatusList, StatusListError> {
        Ok(StatusList { bits: self.bits, bytes: zlib::inflate(&self.bytes, MAX_LIST_BYTES)? })
    }

    /// `{"bits": …, "lst": …}` in CBOR (section 4.3).
    pub fn to_cbor(&self) -> Value {
        let mut list: Map = vec![("bits".into(), self.bits.number().into()), ("lst".into(), self.bytes.clone().into())];
        list.extend(self.aggregation_uri.iter().map(|uri| ("aggregation_uri".into(), uri.as_str().into())));
        Value::Map(list)
    }

    /// From the same.
    pub fn from_cbor(value: &Value) -> Result<Self, StatusListError> {
        let list = value.as_map().ok_or(StatusListError::Claim("status_list"))?;
        let bits = cbor::get_text(list, "bits").and_then(cbor::integer).ok_or(StatusListError::Bits)?;
        let bytes = cbor::get_text(list, "lst").and_then(Value::as_bytes).ok_or(StatusListError::Claim("lst"))?;
        let aggregation_uri = cbor::get_text(list, "aggregation_uri").and_then(Value::as_text).map(str::to_owned);
        Ok(Self { bits: Bits::from_number(bits)?, bytes: bytes.clone(), aggregation_uri })
    }

    /// `{"bits": …, "lst": …}` in JSON (section 4.2).
    pub fn to_json(&self) -> Json {
        let mut list = json!({"bits": self.bits.number(), "lst": URL_SAFE_NO_PAD.encode(&self.bytes)});
        if let Some(uri) = &self.aggregation_uri {
            list["aggregation_uri"] = uri.as_str().into();
        }
        list
    }

    /// From the same.
    pub fn from_json(value: &Json) -> Result<Self, StatusListError> {
        let bits = value.get("bits").and_then(Json::as_i64).ok_or(StatusListError::Bits)?;
        let bytes = value.get("lst").and_then(Json::as_str).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        Ok(Self {
            bits: Bits::from_number(bits)?,
            bytes: bytes.ok_or(StatusListError::Claim("lst"))?,
            aggregation_uri: value.get("aggregation_uri").and_then(Json::as_str).map(str::to_owned),
        })
    }
}

/// How far the data of an offline cache can be relied upon. No list is never "nothing withdrawn".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Band {
    /// Within its time to live.
    Fresh,
    /// Past it, but not past its end: to be shown with its age.
    Aging,
    /// Past its end: unknown.
    Expired,
}

/// What a status list token says (section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusListToken {
    /// The list's own address, `sub`.
    pub uri: String,
    /// When it was signed.
    pub issued_at: UnixSeconds,
    /// From when it is over.
    pub expires_at: Option<UnixSeconds>,
    /// For how long after it was fetched it needs no new fetch.
    pub ttl_seconds: Option<i64>,
    /// The list.
    pub list: CompressedList,
}

impl StatusListToken {
    /// The signed CWT: tag 18, not tagged as CWT (section 5.2). Certificates of the signer go along.
    pub fn to_cwt(&self, signer: &dyn Signer) -> Result<Vec<u8>, Fault> {
        let mut claims: Map = vec![
            (claim::SUBJECT.into(), self.uri.as_str().into()),
            (claim::ISSUED_AT.into(), self.issued_at.into()),
            (claim::STATUS_LIST.into(), self.list.to_cbor()),
        ];
        claims.extend(self.expires_at.map(|at| (claim::EXPIRES_AT.into(), at.into())));
        claims.extend(self.ttl_seconds.map(|seconds| (claim::TTL.into(), seconds.into())));
        let message = Sign1::sign(Some(CWT_MEDIA_TYPE), cbor::encode(&Value::Map(claims)), signer)?;
        Ok(message.with_certificates(signer.certificates()).encode())
    }

    /// From a CWT for the list at `uri`, when `is_trusted` accepts its signature. An expired token is refused.
    pub fn from_cwt(
        bytes: &[u8],
        uri: &str,
        now: UnixSeconds,
        is_trusted: impl FnOnce(&Sign1) -> bool,
    ) -> Result<Self, StatusListError> {
        let message = Sign1::parse(bytes, MAX_TOKEN_BYTES)?;
        if message.media_type() != Some(CWT_MEDIA_TYPE) {
            return Err(StatusListError::WrongType);
        }
        if !is_trusted(&message) {
            return Err(CoseError::BadSignature.into());
        }
        let claims = cbor::decode_map(message.payload(), MAX_TOKEN_BYTES)?;
        let number = |label, name| {
            cbor::get(&claims, label).map(|value| cbor::integer(value).ok_or(StatusListError::Claim(name))).transpose()
        };
        let subject = cbor::get(&claims, claim::SUBJECT).and_then(Value::as_text);
        let list = cbor::get(&claims, claim::STATUS_LIST).ok_or(StatusListError::Claim("status_list"))?;
        Self {
            uri: subject.ok_or(StatusListError::Claim("sub"))?.to_owned(),
            issued_at: number(claim::ISSUED_AT, "iat")?.ok_or(StatusListError::Claim("iat"))?,
            expires_at: number(claim::EXPIRES_AT, "exp")?,
            ttl_seconds: number(claim::TTL, "ttl")?,
            list: CompressedList::from_cbor(list)?,
        }
        .accepted(uri, now)
    }

    /// The claims of the JWT, whose `typ` is `statuslist+jwt` (section 5.1).
    pub fn to_jwt_claims(&self) -> Json {
        let mut claims = json!({"sub": self.uri, "iat": self.issued_at, "status_list": self.list.to_json()});
        if let Some(at) = self.expires_at {
            claims["exp"] = at.into();
        }
        if let Some(seconds) = self.ttl_seconds {
            claims["ttl"] = seconds.into();
        }
        claims
    }

    /// From the claims of a JWT whose type and signature have been checked.
    pub fn from_jwt_claims(claims: &Json, uri: &str, now: UnixSeconds) -> Result<Self, StatusListError> {
        let number = |name: &'static str| {
            claims.get(name).map(|value| value.as_i64().ok_or(StatusListError::Claim(name))).transpose()
        };
        let subject = claims.get("sub").and_then(Json::as_str);
        let list = claims.get("status_list").ok_or(StatusListError::Claim("status_list"))?;
        Self {
            uri: subject.ok_or(StatusListError::Claim("sub"))?.to_owned(),
            issued_at: number("iat")?.ok_or(StatusListError::Claim("iat"))?,
            expires_at: number("exp")?,
            ttl_seconds: number("ttl")?,
            list: CompressedList::from_json(list)?,
        }
        .accepted(uri, now)
    }

    /// How far the token can be relied upon `now`, having been fetched at `fetched_at`. Its end wins over its time to
    /// live. One that names neither is never fresh, and one that names no end is over with its time to live.
    pub fn band(&self, fetched_at: UnixSeconds, now: UnixSeconds) -> Band {
        let fresh = self.ttl_seconds.is_some_and(|ttl| now <= fetched_at.saturating_add(ttl));
        match self.expires_at {
            Some(end) if now >= end => Band::Expired,
            None if !fresh => Band::Expired,
            _ if fresh => Band::Fresh,
            _ => Band::Aging,
        }
    }

    fn accepted(self, uri: &str, now: UnixSeconds) -> Result<Self, StatusListError> {
        if self.uri != uri {
            Err(StatusListError::WrongSubject)
        } else if self.ttl_seconds.is_some_and(|seconds| seconds <= 0) {
            Err(StatusListError::Claim("ttl"))
        } else if self.expires_at.is_some_and(|end| now >= end) {
            Err(StatusListError::Expired)
        } else {
            Ok(self)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::test_key::TestKey;
    use proptest::prelude::*;

    const URI: &str = "https://status.example.vn/lists/7";

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    fn token() -> StatusListToken {
        let list = StatusList::new(Bits::Two, 1 << 17, [(5, 1), (131_071, 2)]).unwrap().compress();
        StatusListToken { uri: URI.into(), issued_at: 1000, expires_at: Some(9000), ttl_seconds: Some(600), list }
    }

    /// The draft's sections 4.1 and 4.2.
    #[test]
    fn the_short_examples_of_the_draft() {
        let one = [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1];
        let list = StatusList::new(Bits::One, 16, (0..).zip(one)).unwrap();
        assert_eq!(list.bytes, [0xb9, 0xa3]);
        assert_eq!(list.compress().to_json(), json!({"bits": 1, "lst": "eNrbuRgAAhcBXQ"}));

        let two = [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3];
        let list = StatusList::new(Bits::Two, 12, (0..).zip(two)).unwrap();
        assert_eq!(list.bytes, [0xc9, 0x44, 0xf9]);
        let read = CompressedList::from_json(&json!({"bits": 2, "lst": "eNo76fITAAPfAgc"})).unwrap();
        assert_eq!(read.inflate().unwrap(), list);
    }

    /// The draft's appendix: 2^20 entries of 1, 2, 4 and 8 bits.
    #[test]
    fn the_long_examples_of_the_draft() {
        let file: Json = serde_json::from_str(include_str!("../../tests/vectors/status_list/encoding.json")).unwrap();
        for vector in file["vectors"].as_array().unwrap() {
            let bits = Bits::from_number(vector["bits"].as_i64().unwrap()).unwrap();
            let statuses = vector["statuses"].as_array().unwrap().iter().map(|pair| {
                (pair[0].as_u64().unwrap().try_into().unwrap(), pair[1].as_u64().unwrap().try_into().unwrap())
            });
            let ours = StatusList::new(bits, 1 << 20, statuses).unwrap();
            assert_eq!(CompressedList::from_json(&vector["json"]).unwrap().inflate().unwrap(), ours);
            let cbor = cbor::decode(&hex(vector["cbor"].as_str().unwrap()), MAX_TOKEN_BYTES).unwrap();
            assert_eq!(CompressedList::from_cbor(&cbor).unwrap().inflate().unwrap(), ours);
        }
    }

    /// The draft's section 5.2.
    #[test]
    fn the_drafts_cwt_reads() {
        let token = hex(concat!(
            "d2845820a2012610781a6170706c69636174696f6e2f7374617475736c6973742b637774a1044231325850a502782168747470733a2f",
            "2f6578616d706c652e636f6d2f7374617475736c697374732f31061a648c5bea041a8898dfea19fffe19a8c019fffda2646269747301",
            "636c73744a78dadbb918000217015d584093fa4d01032b18c35e2fe1101b77fd6cc9440022caa4694450c4e4e9feab4e99d1fa6d9772",
            "ce2bf3a12e0323ded7c982c5e101a5e67f0cbc1e2b6f57ce99c279"
        ));
        let uri = "https://example.com/statuslists/1";
        let read = StatusListToken::from_cwt(&token, uri, 1_686_920_170, |message| message.key_id() == Some(b"12"));
        let read = read.unwrap();
        assert_eq!(
            (read.issued_at, read.expires_at, read.ttl_seconds),
            (1_686_920_170, Some(2_291_720_170), Some(43_200))
        );
        assert_eq!(read.list.inflate().unwrap().get(3), Ok(1));
        let wrong = StatusListToken::from_cwt(&token, "https://example.com/statuslists/2", 0, |_| true);
        assert_eq!(wrong, Err(StatusListError::WrongSubject));
    }

    #[test]
    fn both_tokens_come_back() {
        let (token, key) = (token(), TestKey::new(3).with_certificates(vec![vec![1, 2, 3]]));
        let cwt = token.to_cwt(&key).unwrap();
        let trusted = |message: &Sign1| {
            assert_eq!(message.certificates(), [[1, 2, 3]]);
            message.verify(key.public_key()).is_ok()
        };
        assert_eq!(StatusListToken::from_cwt(&cwt, URI, 2000, trusted), Ok(token.clone()));
        assert_eq!(StatusListToken::from_jwt_claims(&token.to_jwt_claims(), URI, 2000), Ok(token.clone()));

        let stranger = TestKey::new(4);
        let refused =
            StatusListToken::from_cwt(&cwt, URI, 2000, |message| message.verify(stranger.public_key()).is_ok());
        assert_eq!(refused, Err(CoseError::BadSignature.into()));
        assert_eq!(StatusListToken::from_cwt(&cwt, URI, 9000, trusted), Err(StatusListError::Expired));
        let other_type = Sign1::sign(None, Vec::new(), &key).unwrap().encode();
        assert_eq!(StatusListToken::from_cwt(&other_type, URI, 0, |_| true), Err(StatusListError::WrongType));
        let no_ttl = StatusListToken { ttl_seconds: Some(0), ..token };
        let refused = StatusListToken::from_jwt_claims(&no_ttl.to_jwt_claims(), URI, 2000);
        assert_eq!(refused, Err(StatusListError::Claim("ttl")));
    }

    #[test]
    fn the_bands_of_a_cache() {
        let token = token();
        assert_eq!(token.band(1000, 1600), Band::Fresh);
        assert_eq!(token.band(1000, 1601), Band::Aging);
        assert_eq!(token.band(1000, 8999), Band::Aging);
        assert_eq!(token.band(8900, 9000), Band::Expired, "the end wins over a fresh fetch");
        let endless = StatusListToken { expires_at: None, ..token };
        assert_eq!(endless.band(1000, 1600), Band::Fresh);
        assert_eq!(endless.band(1000, 1601), Band::Expired, "data without an end does not live for ever");
    }

    #[test]
    fn nothing_outside_the_list_or_its_bits() {
        let list = StatusList::new(Bits::Two, 8, [(7, 3)]).unwrap();
        assert_eq!(list.get(7), Ok(3));
        assert_eq!(list.get(8), Err(StatusListError::OutOfRange));
        assert_eq!(list.get(u32::MAX), Err(StatusListError::OutOfRange));
        assert_eq!(StatusList::new(Bits::Two, 8, [(8, 1)]), Err(StatusListError::OutOfRange));
        assert_eq!(StatusList::new(Bits::Two, 8, [(0, 4)]), Err(StatusListError::ValueTooLarge));
        assert_eq!(StatusList::new(Bits::Eight, u32::MAX, []), Err(StatusListError::TooLarge));
        assert_eq!(Bits::from_number(3), Err(StatusListError::Bits));
    }

    #[test]
    fn a_national_list_stays_small() {
        // 2.5 million cards, one in a hundred withdrawn.
        let mut state = 1_u32;
        let withdrawn = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state % 2_500_000, 1)
        });
        let list = StatusList::new(Bits::Two, 2_500_000, withdrawn.take(25_000)).unwrap();
        assert!(list.compress().bytes.len() < 50_000);
    }

    proptest! {
        #[test]
        fn entries_come_back(bits in prop_oneof![Just(Bits::One), Just(Bits::Two), Just(Bits::Four), Just(Bits::Eight)],
                             values in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mask = u8::MAX >> (8 - bits.number());
            let size = u32::try_from(values.len()).unwrap();
            let entries = (0..size).zip(values.iter().map(|value| value & mask));
            let list = StatusList::new(bits, size, entries.clone().filter(|(_, value)| *value != 0)).unwrap();
            for (index, value) in entries {
                prop_assert_eq!(list.get(index), Ok(value));
            }
            prop_assert_eq!(list.compress().inflate().unwrap(), list);
        }

        #[test]
        fn arbitrary_tokens_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            prop_assert!(StatusListToken::from_cwt(&bytes, URI, 0, |_| true).is_err());
        }
    }
}
