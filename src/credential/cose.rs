//! COSE_Sign1 (RFC 9052) and its full countersignature (RFC 9338): one object for cards, status lists and trust lists.
//!
//! A signature is checked over the protected bytes as they were received, never over a re-encoding, and the algorithm
//! is read from the protected header only.

use crate::credential::cbor::{self, CborError, Map, Value};
use crate::credential::{Algorithm, PublicKey, Signer};
use crate::error::Fault;

/// Header labels (RFC 9052 section 3.1, RFC 9338, RFC 9597, RFC 9596, RFC 9360).
mod label {
    pub const ALGORITHM: i64 = 1;
    pub const CRITICAL: i64 = 2;
    pub const KEY_ID: i64 = 4;
    pub const COUNTERSIGNATURE: i64 = 11;
    pub const TYPE: i64 = 16;
    pub const CERTIFICATE_CHAIN: i64 = 33;
}

const TAG_SIGN1: u64 = 18;
const TAG_CWT: u64 = 61;

/// Why a message is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CoseError {
    /// The CBOR does not read.
    #[error(transparent)]
    Cbor(#[from] CborError),
    /// Not the four parts of a `COSE_Sign1` with its payload inside.
    #[error("not a COSE_Sign1 message")]
    NotSign1,
    /// The protected header names no algorithm that this system knows.
    #[error("the algorithm is missing or unknown")]
    UnknownAlgorithm,
    /// A header is marked critical; this system defines none (RFC 9052 section 3.1).
    #[error("a critical header is not understood")]
    CriticalHeader,
    /// Header 11 is not one full countersignature.
    #[error("the countersignature is malformed")]
    MalformedCountersignature,
    /// The signature does not fit the key.
    #[error("the signature is wrong")]
    BadSignature,
}

/// A signed message.
#[derive(Clone, Debug, PartialEq)]
pub struct Sign1 {
    protected_bytes: Vec<u8>,
    protected: Map,
    unprotected: Map,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl Sign1 {
    /// Signs `payload`. The protected header carries the algorithm, the key's `kid` and, where given, the type of the
    /// whole object (RFC 9596).
    pub fn sign(media_type: Option<&str>, payload: Vec<u8>, signer: &dyn Signer) -> Result<Self, Fault> {
        let mut protected = vec![
            (label::ALGORITHM.into(), signer.algorithm().cose_id().into()),
            (label::KEY_ID.into(), key_id(signer.public_key()).to_vec().into()),
        ];
        if let Some(media_type) = media_type {
            protected.push((label::TYPE.into(), media_type.into()));
        }
        Self::sign_under(protected, payload, signer)
    }

    /// Signs `payload` with nothing but the algorithm in the protected header: ISO/IEC 18013-5 section 9.1.2.4 wants no
    /// other member there.
    pub fn sign_bare(payload: Vec<u8>, signer: &dyn Signer) -> Result<Self, Fault> {
        Self::sign_under(vec![(label::ALGORITHM.into(), signer.algorithm().cose_id().into())], payload, signer)
    }

    fn sign_under(protected: Map, payload: Vec<u8>, signer: &dyn Signer) -> Result<Self, Fault> {
        let protected = Value::Map(protected);
        let protected_bytes = cbor::encode(&protected);
        let signature = signer.sign(&signature_structure(&protected_bytes, &payload))?.to_vec();
        let protected = protected.into_map().unwrap_or_default();
        Ok(Self { protected_bytes, protected, unprotected: Map::new(), payload, signature })
    }

    /// Adds certificates to the unprotected header, the signer's own first (RFC 9360 section 2). They prove themselves.
    #[must_use]
    pub fn with_certificates(mut self, certificates: &[Vec<u8>]) -> Self {
        let chain = match certificates {
            [] => return self,
            [only] => Value::Bytes(only.clone()),
            several => Value::Array(several.iter().cloned().map(Value::Bytes).collect()),
        };
        cbor::take(&mut self.unprotected, label::CERTIFICATE_CHAIN);
        self.unprotected.push((label::CERTIFICATE_CHAIN.into(), chain));
        self
    }

    /// Reads a message of at most `limit` bytes: untagged, under tag 18, or under tags 61 and 18.
    pub fn parse(bytes: &[u8], limit: usize) -> Result<Self, CoseError> {
        Self::from_value(cbor::decode(bytes, limit)?)
    }

    /// The same from an item that was read as a part of another.
    pub fn from_value(value: Value) -> Result<Self, CoseError> {
        match parts(value)? {
            [protected, unprotected, Value::Bytes(payload), signature] => {
                Self::from_parts(protected, unprotected, payload, signature)
            }
            _ => Err(CoseError::NotSign1),
        }
    }

    /// The same of a message that does not carry its payload (RFC 9052 section 2): null stands in its place.
    pub fn from_detached(value: Value, payload: Vec<u8>) -> Result<Self, CoseError> {
        match parts(value)? {
            [protected, unprotected, Value::Null, signature] => {
                Self::from_parts(protected, unprotected, payload, signature)
            }
            _ => Err(CoseError::NotSign1),
        }
    }

    fn from_parts(protected: Value, unprotected: Value, payload: Vec<u8>, signature: Value) -> Result<Self, CoseError> {
        let (Value::Bytes(protected_bytes), Value::Map(unprotected), Value::Bytes(signature)) =
            (protected, unprotected, signature)
        else {
            return Err(CoseError::NotSign1);
        };
        let protected = read_protected(&protected_bytes)?;
        Ok(Self { protected_bytes, protected, unprotected, payload, signature })
    }

    /// Writes the message under tag 18.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(192 + self.protected_bytes.len() + self.payload.len() + self.signature.len());
        cbor::head(&mut out, 6, TAG_SIGN1);
        self.write_untagged(&mut out);
        out
    }

    /// Appends the message without a tag, as a part of another item.
    pub fn write_untagged(&self, out: &mut Vec<u8>) {
        self.write(out, Some(&self.payload));
    }

    /// The same with null in the place of the payload.
    pub fn write_detached(&self, out: &mut Vec<u8>) {
        self.write(out, None);
    }

    fn write(&self, out: &mut Vec<u8>, payload: Option<&[u8]>) {
        cbor::head(out, 4, 4);
        cbor::write_bytes(out, &self.protected_bytes);
        let mut unprotected: Vec<_> = self.unprotected.iter().map(|(key, value)| (cbor::encode(key), value)).collect();
        unprotected.sort_unstable_by(|one, two| one.0.cmp(&two.0));
        cbor::head(out, 5, unprotected.len() as u64);
        for (key, value) in unprotected {
            out.extend_from_slice(&key);
            cbor::write(out, value);
        }
        match payload {
            Some(payload) => cbor::write_bytes(out, payload),
            None => cbor::write(out, &Value::Null),
        }
        cbor::write_bytes(out, &self.signature);
    }

    /// What was signed.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The hint to the signer's key; the protected one wins.
    pub fn key_id(&self) -> Option<&[u8]> {
        let find = |headers| cbor::get(headers, label::KEY_ID).and_then(Value::as_bytes).map(Vec::as_slice);
        find(&self.protected).or_else(|| find(&self.unprotected))
    }

    /// The type of the whole object from the protected header.
    pub fn media_type(&self) -> Option<&str> {
        cbor::get(&self.protected, label::TYPE).and_then(Value::as_text)
    }

    /// The certificates from either header, the signer's own first; none when absent or malformed.
    pub fn certificates(&self) -> Vec<Vec<u8>> {
        let chain = cbor::get(&self.protected, label::CERTIFICATE_CHAIN)
            .or_else(|| cbor::get(&self.unprotected, label::CERTIFICATE_CHAIN));
        match chain {
            Some(Value::Bytes(only)) => vec![only.clone()],
            Some(Value::Array(several)) => {
                several.iter().map(|one| one.as_bytes().cloned()).collect::<Option<_>>().unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    /// Checks the signature.
    pub fn verify(&self, key: &PublicKey) -> Result<(), CoseError> {
        if algorithm(&self.protected)? != key.algorithm() {
            return Err(CoseError::BadSignature);
        }
        key.verify(&signature_structure(&self.protected_bytes, &self.payload), &self.signature)
            .map_err(|_| CoseError::BadSignature)
    }

    /// Puts a full countersignature into unprotected header 11, in the place of any that was there. Its protected
    /// header is the algorithm and `protected`.
    pub fn countersign(
        &mut self,
        protected: (i64, Value),
        external_data: &[u8],
        signer: &dyn Signer,
    ) -> Result<(), Fault> {
        let protected = cbor::encode(&cbor::map([(label::ALGORITHM, signer.algorithm().cose_id().into()), protected]));
        let signature = signer.sign(&self.countersignature_structure(&protected, external_data))?;
        cbor::take(&mut self.unprotected, label::COUNTERSIGNATURE);
        let countersignature = vec![protected.into(), Value::Map(Map::new()), signature.to_vec().into()];
        self.unprotected.push((label::COUNTERSIGNATURE.into(), Value::Array(countersignature)));
        Ok(())
    }

    /// The countersignature, when there is one. It may stand alone or in an array of one (RFC 9338 section 3.1).
    pub fn countersignature(&self) -> Result<Option<Countersignature<'_>>, CoseError> {
        let Some(value) = cbor::get(&self.unprotected, label::COUNTERSIGNATURE) else { return Ok(None) };
        let mut parts = value.as_array().map(Vec::as_slice).unwrap_or_default();
        if let [Value::Array(only)] = parts {
            parts = only;
        }
        let [Value::Bytes(protected_bytes), Value::Map(_), Value::Bytes(signature)] = parts else {
            return Err(CoseError::MalformedCountersignature);
        };
        let protected = read_protected(protected_bytes)?;
        Ok(Some(Countersignature { message: self, protected_bytes, protected, signature }))
    }

    /// RFC 9338 section 3.3. The last member is itself an array.
    fn countersignature_structure(&self, protected: &[u8], external_data: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(192 + self.protected_bytes.len() + protected.len() + self.payload.len());
        cbor::head(&mut out, 4, 6);
        cbor::write_text(&mut out, "CounterSignatureV2");
        cbor::write_bytes(&mut out, &self.protected_bytes);
        cbor::write_bytes(&mut out, protected);
        cbor::write_bytes(&mut out, external_data);
        cbor::write_bytes(&mut out, &self.payload);
        cbor::head(&mut out, 4, 1);
        cbor::write_bytes(&mut out, &self.signature);
        out
    }
}

/// A second signature over a signed message.
#[derive(Debug)]
pub struct Countersignature<'a> {
    message: &'a Sign1,
    protected_bytes: &'a [u8],
    protected: Map,
    signature: &'a [u8],
}

impl Countersignature<'_> {
    /// A protected header.
    pub fn protected(&self, label: i64) -> Option<&Value> {
        cbor::get(&self.protected, label)
    }

    /// Checks it.
    pub fn verify(&self, external_data: &[u8], key: &PublicKey) -> Result<(), CoseError> {
        if algorithm(&self.protected)? != key.algorithm() {
            return Err(CoseError::BadSignature);
        }
        let signed = self.message.countersignature_structure(self.protected_bytes, external_data);
        key.verify(&signed, self.signature).map_err(|_| CoseError::BadSignature)
    }
}

/// The `kid` of a key: the first eight bytes of its COSE key thumbprint (RFC 9679). A hint, never an identity.
pub fn key_id(key: &PublicKey) -> [u8; 8] {
    let mut id = [0; 8];
    id.copy_from_slice(&key.cose_thumbprint()[..8]);
    id
}

/// The four parts of a message: untagged, under tag 18, or under tags 61 and 18.
fn parts(value: Value) -> Result<[Value; 4], CoseError> {
    let parts = match value {
        Value::Tag(TAG_CWT, inner) => match *inner {
            Value::Tag(TAG_SIGN1, inner) => *inner,
            _ => return Err(CoseError::NotSign1),
        },
        Value::Tag(TAG_SIGN1, inner) => *inner,
        untagged => untagged,
    };
    let parts = parts.into_array().map_err(|_| CoseError::NotSign1)?;
    <[Value; 4]>::try_from(parts).map_err(|_| CoseError::NotSign1)
}

/// RFC 9052 section 4.4, without external data.
fn signature_structure(protected: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(32 + protected.len() + payload.len());
    cbor::head(&mut out, 4, 4);
    cbor::write_text(&mut out, "Signature1");
    cbor::write_bytes(&mut out, protected);
    cbor::write_bytes(&mut out, &[]);
    cbor::write_bytes(&mut out, payload);
    out
}

fn read_protected(bytes: &[u8]) -> Result<Map, CoseError> {
    if bytes.is_empty() {
        return Ok(Map::new());
    }
    let headers = cbor::decode_map(bytes, bytes.len())?;
    if cbor::get(&headers, label::CRITICAL).is_some() {
        return Err(CoseError::CriticalHeader);
    }
    Ok(headers)
}

fn algorithm(protected: &Map) -> Result<Algorithm, CoseError> {
    cbor::get(protected, label::ALGORITHM)
        .and_then(cbor::integer)
        .and_then(Algorithm::from_cose_id)
        .ok_or(CoseError::UnknownAlgorithm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::test_key::TestKey;
    use proptest::prelude::*;

    const LIMIT: usize = 1024;
    const TIME: (i64, Value) = (15, Value::Null);

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    /// RFC 9052 appendix C.2.1.
    #[test]
    fn the_rfcs_message_verifies() {
        let message = Sign1::parse(
            &hex(concat!(
                "d28443a10126a10442313154546869732069732074686520636f6e74656e742e58408eb33e4ca31d1c465ab05aac34cc6b23d5",
                "8fef5c083106c4d25a91aef0b0117e2af9a291aa32e14ab834dc56ed2a223444547e01f11d3b0916e5a4c345cacb36"
            )),
            LIMIT,
        )
        .unwrap();
        let point = concat!(
            "04bac5b11cad8f99f9c72b05cf4b9e26d244dc189f745228255a219a86d6a09eff",
            "20138bf82dc1b6d562be0fa54ab7804a3a64b6d72ccfed6b6fb6ed28bbfc117e"
        );
        let key = PublicKey::p256(&hex(point)).unwrap();
        assert_eq!(message.key_id(), Some(&b"11"[..]));
        assert_eq!(message.payload(), b"This is the content.");
        assert_eq!(message.verify(&key), Ok(()));
        assert_eq!(message.verify(TestKey::new(1).public_key()), Err(CoseError::BadSignature));
    }

    #[test]
    fn all_three_taggings_read() {
        let key = TestKey::new(1);
        let message = Sign1::sign(Some("text/plain"), b"card".to_vec(), &key).unwrap();
        let tagged = message.encode();
        for bytes in [&tagged[..], &tagged[1..], &[&[0xd8, 61], &tagged[..]].concat()] {
            let read = Sign1::parse(bytes, LIMIT).unwrap();
            assert_eq!(read, message);
            assert_eq!(read.verify(key.public_key()), Ok(()));
            assert_eq!(read.media_type(), Some("text/plain"));
        }
        assert_eq!(Sign1::parse(&[&[0xd8, 61], &tagged[1..]].concat(), LIMIT), Err(CoseError::NotSign1));
        assert_eq!(Sign1::parse(&[0xd1, 0x80], LIMIT), Err(CoseError::NotSign1));
    }

    #[test]
    fn the_protected_bytes_are_kept_as_received() {
        let key = TestKey::new(1);
        // {1: -8} with a map of indefinite length, which we would never write.
        let protected = [0xbf, 0x01, 0x27, 0xff];
        let signature = key.sign(&signature_structure(&protected, b"card")).unwrap();
        let mut bytes = vec![0x84];
        cbor::write_bytes(&mut bytes, &protected);
        bytes.push(0xa0);
        cbor::write_bytes(&mut bytes, b"card");
        cbor::write_bytes(&mut bytes, &signature);
        let message = Sign1::parse(&bytes, LIMIT).unwrap();
        assert_eq!(message.verify(key.public_key()), Ok(()));
        assert_eq!(message.encode()[1..], bytes);
    }

    #[test]
    fn the_algorithm_is_protected_and_nothing_is_critical() {
        let message = |protected: &[u8]| {
            let mut bytes = vec![0x84];
            cbor::write_bytes(&mut bytes, protected);
            // {1: -8} where it does not count.
            bytes.extend_from_slice(&[0xa1, 0x01, 0x27, 0x40, 0x40]);
            Sign1::parse(&bytes, LIMIT)
        };
        let key = TestKey::new(1);
        assert_eq!(message(&[]).unwrap().verify(key.public_key()), Err(CoseError::UnknownAlgorithm));
        assert_eq!(message(&[0xa1, 0x01, 0x26]).unwrap().verify(key.public_key()), Err(CoseError::BadSignature));
        assert_eq!(message(&[0xa1, 0x02, 0x80]), Err(CoseError::CriticalHeader));
    }

    #[test]
    fn certificates_go_alone_or_in_an_array() {
        let message = Sign1::sign(None, Vec::new(), &TestKey::new(1)).unwrap();
        for chain in [vec![], vec![vec![1]], vec![vec![1], vec![2]]] {
            let read = Sign1::parse(&message.clone().with_certificates(&chain).encode(), LIMIT).unwrap();
            assert_eq!(read.certificates(), chain);
        }
    }

    #[test]
    fn a_countersignature_stands_beside_the_signature() {
        let (issuer, holder) = (TestKey::new(1), TestKey::new(2));
        let mut message = Sign1::sign(None, b"card".to_vec(), &issuer).unwrap();
        assert!(message.countersignature().unwrap().is_none());
        message.countersign(TIME, b"old", &holder).unwrap();
        message.countersign(TIME, b"here", &holder).unwrap();
        let read = Sign1::parse(&message.encode(), LIMIT).unwrap();
        assert_eq!(read.verify(issuer.public_key()), Ok(()));
        let proof = read.countersignature().unwrap().unwrap();
        assert_eq!(proof.protected(15), Some(&Value::Null));
        assert_eq!(proof.verify(b"here", holder.public_key()), Ok(()));
        assert_eq!(proof.verify(b"elsewhere", holder.public_key()), Err(CoseError::BadSignature));
        assert_eq!(proof.verify(b"here", issuer.public_key()), Err(CoseError::BadSignature));
    }

    #[test]
    fn a_countersignature_covers_the_signature_itself() {
        let holder = TestKey::new(2);
        let mut one = Sign1::sign(None, b"card".to_vec(), &TestKey::new(1)).unwrap();
        one.countersign(TIME, b"", &holder).unwrap();
        let other = Sign1 { signature: vec![0; 64], ..one };
        let proof = other.countersignature().unwrap().unwrap();
        assert_eq!(proof.verify(b"", holder.public_key()), Err(CoseError::BadSignature));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            if let Ok(message) = Sign1::parse(&bytes, LIMIT) {
                let _ = (message.key_id(), message.certificates(), message.countersignature());
            }
        }
    }
}
