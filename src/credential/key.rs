//! Public keys of the two kinds that this system knows, from and to JWK (RFC 7517), COSE_Key (RFC 9052) and
//! SubjectPublicKeyInfo (RFC 5480, RFC 8410).
//!
//! Ed25519 is verified strictly and small-order keys are refused (both by ed25519-dalek). P-256 goes to aws-lc, the
//! fastest sound implementation on servers, and to the `p256` crate in the browser and for compressed points.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ciborium::Value as Cbor;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A signature algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256 (RFC 7518).
    Es256,
    /// Ed25519 (RFC 8037).
    EdDsa,
}

impl Algorithm {
    /// The JOSE name that we write.
    pub fn jose_name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// From a JOSE name; the fully-specified `Ed25519` of RFC 9864 is accepted too.
    pub fn from_jose_name(name: &str) -> Option<Self> {
        match name {
            "ES256" => Some(Self::Es256),
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }

    /// The COSE identifier that we write (RFC 9053): -7 or -8.
    pub fn cose_id(self) -> i64 {
        match self {
            Self::Es256 => -7,
            Self::EdDsa => -8,
        }
    }

    /// From a COSE identifier; the fully-specified -9 and -19 of RFC 9864 are accepted too.
    pub fn from_cose_id(id: i64) -> Option<Self> {
        match id {
            -7 | -9 => Some(Self::Es256),
            -8 | -19 => Some(Self::EdDsa),
            _ => None,
        }
    }
}

/// Why a key or signature is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither Ed25519 nor P-256.
    #[error("the key is neither Ed25519 nor P-256")]
    UnknownKind,
    /// A member is missing or has the wrong length, or the point is not on the curve, or the key is weak.
    #[error("the key is malformed or weak")]
    Malformed,
    /// A private key was sent where a public one belongs.
    #[error("the key contains private members")]
    Private,
    /// The signature does not fit.
    #[error("the signature is wrong")]
    BadSignature,
}

/// A public key that has been parsed and checked.
#[derive(Clone)]
pub enum PublicKey {
    /// Ed25519, never of small order.
    Ed25519(Box<ed25519_dalek::VerifyingKey>),
    /// P-256, on the curve.
    P256(Box<P256Key>),
}

/// A P-256 public key: `x`, the parity of `y`, `y` itself where it came along, and the parsed form that verifies.
#[derive(Clone)]
pub struct P256Key {
    x: [u8; 32],
    y_is_odd: bool,
    y: Option<[u8; 32]>,
    verifier: p256_backend::Verifier,
}

impl P256Key {
    /// `y`, computed only for a key that came compressed and is asked for its other forms.
    fn y(&self) -> [u8; 32] {
        self.y.unwrap_or_else(|| p256_backend::y(&self.verifier))
    }
}

impl PublicKey {
    /// From a JWK. Private members are refused.
    pub fn from_jwk(jwk: &Value) -> Result<Self, KeyError> {
        if jwk.get("d").is_some() || jwk.get("k").is_some() {
            return Err(KeyError::Private);
        }
        let member = |name: &str| -> Result<[u8; 32], KeyError> {
            let text = jwk.get(name).and_then(Value::as_str).ok_or(KeyError::Malformed)?;
            let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyError::Malformed)?;
            bytes.try_into().map_err(|_| KeyError::Malformed)
        };
        match (jwk.get("kty").and_then(Value::as_str), jwk.get("crv").and_then(Value::as_str)) {
            (Some("OKP"), Some("Ed25519")) => Self::ed25519(&member("x")?),
            (Some("EC"), Some("P-256")) => {
                let mut point = [4; 65];
                point[1..33].copy_from_slice(&member("x")?);
                point[33..].copy_from_slice(&member("y")?);
                Self::p256(&point)
            }
            _ => Err(KeyError::UnknownKind),
        }
    }

    /// From a `COSE_Key` map; a P-256 `y` may be the coordinate or its sign bit (RFC 9053 section 7.1.1).
    pub fn from_cose(key: &Cbor) -> Result<Self, KeyError> {
        let map = key.as_map().ok_or(KeyError::Malformed)?;
        let get = |label: i64| map.iter().find(|(name, _)| *name == Cbor::from(label)).map(|(_, value)| value);
        let number = |label| get(label).and_then(Cbor::as_integer).map(i128::from);
        if get(-4).is_some() {
            return Err(KeyError::Private);
        }
        let x = get(-2).and_then(Cbor::as_bytes).ok_or(KeyError::Malformed)?;
        match (number(1), number(-1)) {
            (Some(1), Some(6)) => Self::ed25519(x),
            (Some(2), Some(1)) if x.len() == 32 => match get(-3) {
                Some(Cbor::Bool(odd)) => Self::p256(&[&[2 + u8::from(*odd)], x.as_slice()].concat()),
                Some(Cbor::Bytes(y)) => Self::p256(&[&[4], x.as_slice(), y].concat()),
                _ => Err(KeyError::Malformed),
            },
            (Some(1 | 2), Some(1 | 6)) => Err(KeyError::Malformed),
            _ => Err(KeyError::UnknownKind),
        }
    }

    /// From raw key bits and the algorithm's object identifier in dotted form, as a certificate carries them.
    pub fn from_certificate_bits(oid: &str, bits: &[u8]) -> Result<Self, KeyError> {
        match oid {
            "1.3.101.112" => Self::ed25519(bits),
            "1.2.840.10045.2.1" => Self::p256(bits),
            _ => Err(KeyError::UnknownKind),
        }
    }

    /// From the 32 bytes of RFC 8032.
    pub fn ed25519(bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| KeyError::Malformed)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Malformed)?;
        if key.is_weak() { Err(KeyError::Malformed) } else { Ok(Self::Ed25519(Box::new(key))) }
    }

    /// From a point of SEC 1: 65 bytes uncompressed or 33 compressed.
    pub fn p256(point: &[u8]) -> Result<Self, KeyError> {
        let (y_is_odd, y) = match point {
            [4, _, rest @ ..] if rest.len() == 63 => (rest[62] & 1 == 1, point.last_chunk().copied()),
            [sign @ (2 | 3), rest @ ..] if rest.len() == 32 => (*sign == 3, None),
            _ => return Err(KeyError::Malformed),
        };
        let verifier = p256_backend::parse(point).ok_or(KeyError::Malformed)?;
        let mut x = [0; 32];
        x.copy_from_slice(&point[1..33]);
        Ok(Self::P256(Box::new(P256Key { x, y_is_odd, y, verifier })))
    }

    /// The algorithm that this key verifies.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ed25519(_) => Algorithm::EdDsa,
            Self::P256(_) => Algorithm::Es256,
        }
    }

    /// The required members only.
    pub fn to_jwk(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Ed25519(key) => json!({"crv": "Ed25519", "kty": "OKP", "x": text(key.as_bytes())}),
            Self::P256(key) => json!({"crv": "P-256", "kty": "EC", "x": text(&key.x), "y": text(&key.y())}),
        }
    }

    /// Writes the JWK as text, in the lexical order of RFC 7638.
    pub fn write_jwk(&self, text: &mut String) {
        match self {
            Self::Ed25519(key) => {
                text.push_str(r#"{"crv":"Ed25519","kty":"OKP","x":""#);
                URL_SAFE_NO_PAD.encode_string(key.as_bytes(), text);
            }
            Self::P256(key) => {
                text.push_str(r#"{"crv":"P-256","kty":"EC","x":""#);
                URL_SAFE_NO_PAD.encode_string(key.x, text);
                text.push_str(r#"","y":""#);
                URL_SAFE_NO_PAD.encode_string(key.y(), text);
            }
        }
        text.push_str("\"}");
    }

    /// The shortest `COSE_Key`: P-256 with the sign bit of `y`.
    pub fn to_cose(&self) -> Cbor {
        let pair = |label: i64, value: Cbor| (Cbor::from(label), value);
        Cbor::Map(match self {
            Self::Ed25519(key) => {
                vec![pair(1, Cbor::from(1)), pair(-1, Cbor::from(6)), pair(-2, Cbor::from(key.as_bytes().to_vec()))]
            }
            Self::P256(key) => vec![
                pair(1, Cbor::from(2)),
                pair(-1, Cbor::from(1)),
                pair(-2, Cbor::from(key.x.to_vec())),
                pair(-3, Cbor::Bool(key.y_is_odd)),
            ],
        })
    }

    /// The same with both coordinates of a P-256 key: many readers of mdocs know no compressed points.
    pub fn to_cose_uncompressed(&self) -> Cbor {
        let mut key = self.to_cose();
        if let (Self::P256(point), Cbor::Map(pairs)) = (self, &mut key) {
            for (label, value) in pairs {
                if *label == Cbor::from(-3) {
                    *value = Cbor::from(point.y().to_vec());
                }
            }
        }
        key
    }

    /// JWK thumbprint with SHA-256 (RFC 7638).
    pub fn thumbprint(&self) -> [u8; 32] {
        let mut jwk = String::with_capacity(128);
        self.write_jwk(&mut jwk);
        Sha256::digest(jwk).into()
    }

    /// COSE key thumbprint with SHA-256 (RFC 9679); its first 8 bytes are our `kid`.
    pub fn cose_thumbprint(&self) -> [u8; 32] {
        // RFC 9679 section 3: required members only, the full y coordinate, deterministic order.
        let mut bytes = Vec::with_capacity(80);
        match self {
            Self::Ed25519(key) => {
                bytes.extend_from_slice(&[0xa3, 0x01, 0x01, 0x20, 0x06, 0x21, 0x58, 0x20]);
                bytes.extend_from_slice(key.as_bytes());
            }
            Self::P256(key) => {
                bytes.extend_from_slice(&[0xa4, 0x01, 0x02, 0x20, 0x01, 0x21, 0x58, 0x20]);
                bytes.extend_from_slice(&key.x);
                bytes.extend_from_slice(&[0x22, 0x58, 0x20]);
                bytes.extend_from_slice(&key.y());
            }
        }
        Sha256::digest(&bytes).into()
    }

    /// Checks a signature of 64 bytes over `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        match self {
            Self::Ed25519(key) => {
                let signature = ed25519_dalek::Signature::from_slice(signature).map_err(|_| KeyError::BadSignature)?;
                key.verify_strict(message, &signature).map_err(|_| KeyError::BadSignature)
            }
            Self::P256(key) if p256_backend::verify(&key.verifier, message, signature) => Ok(()),
            Self::P256(_) => Err(KeyError::BadSignature),
        }
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ed25519(one), Self::Ed25519(two)) => one == two,
            (Self::P256(one), Self::P256(two)) => one.x == two.x && one.y_is_odd == two.y_is_odd,
            _ => false,
        }
    }
}

impl Eq for PublicKey {}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "PublicKey({})", URL_SAFE_NO_PAD.encode(self.thumbprint()))
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod p256_backend {
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
    use p256::elliptic_curve::sec1::ToSec1Point;

    pub type Verifier = std::sync::Arc<ParsedPublicKey>;

    /// Wallets' keys come compressed in a QR code. Finding the second coordinate is not left to aws-lc, which takes a
    /// third longer for it.
    pub fn parse(point: &[u8]) -> Option<Verifier> {
        let whole = match point {
            [2 | 3, ..] => Some(p256::PublicKey::from_sec1_bytes(point).ok()?.to_sec1_point(false)),
            _ => None,
        };
        let point = whole.as_ref().map_or(point, |whole| whole.as_bytes());
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok().map(std::sync::Arc::new)
    }

    /// A SubjectPublicKeyInfo ends with the uncompressed point.
    pub fn y(key: &Verifier) -> [u8; 32] {
        let info = key.as_der().ok();
        info.and_then(|info| info.as_ref().last_chunk().copied()).expect("a parsed key has its point")
    }

    pub fn verify(key: &Verifier, message: &[u8], signature: &[u8]) -> bool {
        key.verify_sig(message, signature).is_ok()
    }
}

#[cfg(target_arch = "wasm32")]
mod p256_backend {
    use p256::ecdsa::signature::Verifier as _;
    use p256::ecdsa::{Signature, VerifyingKey};

    pub type Verifier = VerifyingKey;

    pub fn parse(point: &[u8]) -> Option<Verifier> {
        VerifyingKey::from_sec1_bytes(point).ok()
    }

    pub fn y(key: &Verifier) -> [u8; 32] {
        *key.to_sec1_point(false).as_bytes().last_chunk().expect("a point has two coordinates")
    }

    pub fn verify(key: &Verifier, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature).is_ok_and(|signature| key.verify(message, &signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8037 appendix A.3.
    #[test]
    fn the_jwk_thumbprint_is_the_rfcs() {
        let key = PublicKey::from_jwk(
            &json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
        )
        .unwrap();
        assert_eq!(URL_SAFE_NO_PAD.encode(key.thumbprint()), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    /// RFC 9679 section 6.
    #[test]
    fn the_cose_thumbprint_is_the_rfcs() {
        let bytes = |text: &str| -> Vec<u8> {
            (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
        };
        let x = bytes("65eda5a12577c2bae829437fe338701a10aaa375e1bb5b5de108de439c08551d");
        let y = bytes("1e52ed75701163f7f9e40ddf9f341b3dc9ba860af7e0ca7ca7e9eecd0084d19c");
        let key = PublicKey::p256(&[&[4], x.as_slice(), &y].concat()).unwrap();
        let thumbprint = bytes("496bd8afadf307e5b08c64b0421bf9dc01528a344a43bda88fadd1669da253ec");
        assert_eq!(key.cose_thumbprint().as_slice(), thumbprint);
    }

    #[test]
    fn a_compressed_cose_key_is_the_same_key() {
        let jwk = json!({
            "kty": "EC", "crv": "P-256",
            "x": "usWxHK2PmfnHKwXPS54m0kTcGJ90UiglWiGahtagnv8",
            "y": "IBOL-C3BttVivg-lSreASjpkttcsz-1rb7btKLv8EX4",
        });
        let key = PublicKey::from_jwk(&jwk).unwrap();
        assert_eq!(PublicKey::from_cose(&key.to_cose()).unwrap(), key);
        assert_eq!(PublicKey::from_cose(&key.to_cose_uncompressed()).unwrap(), key);
        assert!(key.to_cose_uncompressed().as_map().unwrap().iter().all(|(_, value)| value.as_bool().is_none()));
        assert_eq!(key.to_jwk(), jwk);
    }

    #[test]
    fn weak_private_and_foreign_keys_are_refused() {
        let identity_point = URL_SAFE_NO_PAD.encode([&[1][..], &[0; 31]].concat());
        assert_eq!(
            PublicKey::from_jwk(&json!({"kty": "OKP", "crv": "Ed25519", "x": identity_point})),
            Err(KeyError::Malformed)
        );
        assert_eq!(
            PublicKey::from_jwk(&json!({"kty": "EC", "crv": "P-256", "x": "", "y": "", "d": ""})),
            Err(KeyError::Private)
        );
        assert_eq!(PublicKey::from_jwk(&json!({"kty": "RSA", "n": "", "e": ""})), Err(KeyError::UnknownKind));
        assert_eq!(PublicKey::p256(&[4; 65]).unwrap_err(), KeyError::Malformed);
    }
}
