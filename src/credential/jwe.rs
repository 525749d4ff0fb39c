//! JSON Web Encryption in compact form (RFC 7516) as OpenID4VCI 1.0 section 10 uses it: ECDH-ES on P-256, A128GCM or
//! A256GCM, and `zip` within a bound.
//!
//! josekit does the cryptography. What is kept away from it: an initialisation vector or tag of another length than
//! AES-GCM's (OpenSSL panics without the one and accepts one byte of the other), an encrypted key beside ECDH-ES, header
//! members that are not understood, and its own inflating, which has no bound. Ephemeral keys and vectors are drawn by
//! OpenSSL.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jwe::alg::ecdh_es::{EcdhEsJweDecrypter, EcdhEsJweEncrypter};
use josekit::jwe::{ECDH_ES, JweCompression, JweContext, JweHeader};
use josekit::jwk::Jwk;
use serde_json::{Map, Value};

use super::key::PublicKey;
use super::{json, zlib};
use crate::error::Fault;

/// The only key agreement.
pub const ALG: &str = "ECDH-ES";
/// The content encryptions, the preferred first.
pub const ENCS: [&str; 2] = ["A128GCM", "A256GCM"];
/// The only compression.
pub const ZIP: &str = "DEF";
/// The longest message that is looked at, in bytes.
pub const MAX_LENGTH: usize = 8 << 20;
/// The longest header, in bytes of base64url.
const MAX_HEADER_LENGTH: usize = 8 * 1024;
/// 96 bits (RFC 7518 section 5.3).
const IV_BYTES: usize = 12;
/// 128 bits (RFC 7518 section 5.3).
const TAG_BYTES: usize = 16;

/// Why a JWE is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JweError {
    /// Not the five parts of a compact JWE with ECDH-ES and AES-GCM.
    #[error("the message is not a compact JWE")]
    Malformed,
    /// `alg`, `enc`, `zip` or a critical header is none of ours.
    #[error("the JWE has an unsupported alg, enc, zip or critical header")]
    Unsupported,
    /// `kid` is not that of the key that the metadata shows.
    #[error("the JWE is not for a key in the metadata")]
    OtherKey,
    /// It does not decrypt, or its content does not inflate within the bound.
    #[error("the JWE cannot be decrypted, or grows beyond the bound")]
    Undecryptable,
}

/// Opens a compact JWE like [`open`], unless it is compressed: presentations never are (OpenID4VP 1.0 section 8.3 names no
/// `zip`), and what is inflated costs more than what was sent.
pub fn open_plain(compact: &str, kid: &str, decrypter: &EcdhEsJweDecrypter, limit: usize) -> Result<Vec<u8>, JweError> {
    // What encrypts adds to the length and never takes from it.
    if compact.len() / 4 * 3 > limit + MAX_HEADER_LENGTH {
        return Err(JweError::Malformed);
    }
    if check_shape(compact, kid)?.contains_key("zip") {
        return Err(JweError::Unsupported);
    }
    open(compact, kid, decrypter, limit)
}

/// Opens a compact JWE that names our key by `kid`. Its content is inflated to at most `limit` bytes.
pub fn open(compact: &str, kid: &str, decrypter: &EcdhEsJweDecrypter, limit: usize) -> Result<Vec<u8>, JweError> {
    check_shape(compact, kid)?;
    let opened = context(limit).deserialize_compact(compact, decrypter);
    let (content, _) = opened.map_err(|_| JweError::Undecryptable)?;
    if content.len() <= limit { Ok(content) } else { Err(JweError::Undecryptable) }
}

/// Looks at everything that can be seen from outside, and gives the header.
fn check_shape(compact: &str, kid: &str) -> Result<Map<String, Value>, JweError> {
    if compact.len() > MAX_LENGTH {
        return Err(JweError::Malformed);
    }
    let parts: Vec<&str> = compact.splitn(6, '.').collect();
    let [header, encrypted_key, iv, ciphertext, tag] = parts.as_slice() else { return Err(JweError::Malformed) };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| JweError::Malformed);
    if header.len() > MAX_HEADER_LENGTH
        || !encrypted_key.is_empty()
        || decode(iv)?.len() != IV_BYTES
        || decode(tag)?.len() != TAG_BYTES
        || !ciphertext.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    {
        return Err(JweError::Malformed);
    }
    let Ok(Value::Object(header)) = json::parse(&decode(header)?) else { return Err(JweError::Malformed) };
    let text = |name: &str| header.get(name).and_then(Value::as_str);
    let is_understood = text("alg") == Some(ALG)
        && text("enc").is_some_and(|enc| ENCS.contains(&enc))
        && (!header.contains_key("zip") || text("zip") == Some(ZIP))
        && !header.contains_key("crit");
    if !is_understood {
        return Err(JweError::Unsupported);
    }
    // OpenSSL refuses a point that is not on the curve, but would take a shorter coordinate.
    header.get("epk").and_then(|key| PublicKey::from_jwk(key).ok()).ok_or(JweError::Malformed)?;
    if text("kid") == Some(kid) { Ok(header) } else { Err(JweError::OtherKey) }
}

/// Whoever a message is encrypted to.
#[derive(Debug)]
pub struct Recipient {
    encrypter: EcdhEsJweEncrypter,
    header: JweHeader,
}

impl Recipient {
    /// From a public JWK on P-256, one of [`ENCS`], and whether to compress. `kid` of the key is copied into the header.
    pub fn new(jwk: &Value, enc: &str, compress: bool) -> Result<Self, JweError> {
        let key = PublicKey::from_jwk(jwk).map_err(|_| JweError::Unsupported)?;
        let enc = ENCS.into_iter().find(|known| *known == enc).ok_or(JweError::Unsupported)?;
        let members: Map<String, Value> = match key.to_jwk() {
            Value::Object(members) if matches!(key, PublicKey::P256(_)) => members,
            _ => return Err(JweError::Unsupported),
        };
        let key = Jwk::from_map(members).map_err(|_| JweError::Unsupported)?;
        let encrypter = ECDH_ES.encrypter_from_jwk(&key).map_err(|_| JweError::Unsupported)?;
        let mut header = JweHeader::new();
        header.set_content_encryption(enc);
        if compress {
            header.set_compression(ZIP);
        }
        if let Some(kid) = jwk.get("kid").and_then(Value::as_str) {
            header.set_key_id(kid);
        }
        Ok(Self { encrypter, header })
    }

    /// Encrypts `content`.
    pub fn seal(&self, content: &[u8]) -> Result<String, Fault> {
        let sealed = context(0).serialize_compact(content, &self.header, &self.encrypter);
        sealed.map_err(|error| Fault::new("encrypting a message", error))
    }
}

/// josekit with our own `DEF` in the place of its own.
fn context(limit: usize) -> JweContext {
    let mut context = JweContext::new();
    context.add_compression(Box::new(Deflate { limit }));
    context
}

/// DEFLATE (RFC 1951) that inflates to at most `limit` bytes.
#[derive(Clone, Copy, Debug)]
struct Deflate {
    limit: usize,
}

impl JweCompression for Deflate {
    fn name(&self) -> &str {
        ZIP
    }

    fn compress(&self, message: &[u8]) -> Result<Vec<u8>, io::Error> {
        Ok(zlib::deflate_bare(message))
    }

    fn decompress(&self, message: &[u8]) -> Result<Vec<u8>, io::Error> {
        zlib::inflate_bare(message, self.limit).map_err(io::Error::other)
    }

    fn box_clone(&self) -> Box<dyn JweCompression> {
        Box::new(*self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inflating_stops_at_the_bound() {
        let bomb = zlib::deflate_bare(&vec![b' '; 1 << 20]);
        let context = context(1000);
        assert!(context.get_compression(ZIP).unwrap().decompress(&bomb).is_err());
        let small = zlib::deflate_bare(&[b' '; 1000]);
        assert_eq!(context.get_compression(ZIP).unwrap().decompress(&small).unwrap(), [b' '; 1000]);
    }

    /// The key is Bob's of RFC 7518 appendix C.
    #[test]
    fn a_recipient_is_a_public_key_on_p256() {
        let bob = serde_json::json!({
            "kty": "EC", "crv": "P-256", "kid": "bob",
            "x": "weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ",
            "y": "e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck",
        });
        let sealed = Recipient::new(&bob, "A128GCM", true).unwrap().seal(b"{}").unwrap();
        let header = URL_SAFE_NO_PAD.decode(sealed.split('.').next().unwrap()).unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        assert_eq!((&header["alg"], &header["kid"], &header["zip"]), (&"ECDH-ES".into(), &"bob".into(), &"DEF".into()));
        let with = |name: &str, value: Value| {
            let mut key = bob.clone();
            key[name] = value;
            Recipient::new(&key, "A128GCM", false)
        };
        assert_eq!(with("y", bob["x"].clone()).unwrap_err(), JweError::Unsupported);
        assert_eq!(with("d", "AA".into()).unwrap_err(), JweError::Unsupported);
        assert_eq!(with("crv", "P-384".into()).unwrap_err(), JweError::Unsupported);
        assert_eq!(Recipient::new(&bob, "A128CBC-HS256", false).unwrap_err(), JweError::Unsupported);
    }
}
