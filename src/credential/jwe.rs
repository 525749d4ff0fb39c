//! JSON Web Encryption in compact form (RFC 7516) as OpenID4VCI 1.0 section 10 uses it: ECDH-ES on P-256, A128GCM or
//! A256GCM, and `zip` within a bound.
//!
//! Messages are opened here by aws-lc: every presentation has a key of its own, and OpenSSL takes far longer to read a key
//! than to use it. josekit encrypts, with ephemeral keys and vectors that OpenSSL draws.

use std::io;

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jwe::alg::ecdh_es::EcdhEsJweEncrypter;
use josekit::jwe::{ECDH_ES, JweCompression, JweContext, JweHeader};
use josekit::jwk::Jwk;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

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
pub fn open_plain(compact: &str, kid: &str, key: &PrivateKey, limit: usize) -> Result<Vec<u8>, JweError> {
    // What encrypts adds to the length and never takes from it.
    if compact.len() / 4 * 3 > limit + MAX_HEADER_LENGTH {
        return Err(JweError::Malformed);
    }
    let message = Message::parse(compact, kid)?;
    if message.is_compressed {
        return Err(JweError::Unsupported);
    }
    message.open(key, limit)
}

/// Opens a compact JWE that names our key, on P-256, by `kid`. Its content is inflated to at most `limit` bytes.
pub fn open(compact: &str, kid: &str, key: &PrivateKey, limit: usize) -> Result<Vec<u8>, JweError> {
    Message::parse(compact, kid)?.open(key, limit)
}

/// A JWE with everything about it checked that can be seen from outside.
struct Message<'a> {
    /// As it came, which the tag is about, too.
    header: &'a str,
    is_compressed: bool,
    enc: &'static str,
    /// The sender's key, a point on P-256, uncompressed.
    ephemeral: [u8; 65],
    /// `apu` and `apv`.
    parties: [Vec<u8>; 2],
    iv: [u8; IV_BYTES],
    ciphertext: &'a str,
    tag: [u8; TAG_BYTES],
}

impl<'a> Message<'a> {
    fn parse(compact: &'a str, kid: &str) -> Result<Self, JweError> {
        if compact.len() > MAX_LENGTH {
            return Err(JweError::Malformed);
        }
        let parts: Vec<&str> = compact.splitn(6, '.').collect();
        let [encoded_header, encrypted_key, iv, ciphertext, tag] = parts[..] else { return Err(JweError::Malformed) };
        if encoded_header.len() > MAX_HEADER_LENGTH || !encrypted_key.is_empty() {
            return Err(JweError::Malformed);
        }
        let Ok(Value::Object(header)) = json::parse(&decode(encoded_header)?) else { return Err(JweError::Malformed) };
        let text = |name: &str| header.get(name).and_then(Value::as_str);
        let enc = ENCS.into_iter().find(|enc| text("enc") == Some(enc)).ok_or(JweError::Unsupported)?;
        let is_compressed = header.contains_key("zip");
        if text("alg") != Some(ALG) || is_compressed && text("zip") != Some(ZIP) || header.contains_key("crit") {
            return Err(JweError::Unsupported);
        }
        let party = |name: &str| match header.get(name) {
            None => Ok(Vec::new()),
            Some(party) => decode(party.as_str().ok_or(JweError::Malformed)?),
        };
        let message = Self {
            header: encoded_header,
            is_compressed,
            enc,
            ephemeral: header.get("epk").and_then(point).ok_or(JweError::Malformed)?,
            parties: [party("apu")?, party("apv")?],
            iv: decode(iv)?.try_into().map_err(|_| JweError::Malformed)?,
            ciphertext,
            tag: decode(tag)?.try_into().map_err(|_| JweError::Malformed)?,
        };
        if text("kid") == Some(kid) { Ok(message) } else { Err(JweError::OtherKey) }
    }

    fn open(&self, key: &PrivateKey, limit: usize) -> Result<Vec<u8>, JweError> {
        let cipher = if self.enc == ENCS[0] { &AES_128_GCM } else { &AES_256_GCM };
        let sender = UnparsedPublicKey::new(&ECDH_P256, &self.ephemeral);
        let content_key = agree(key, sender, JweError::Undecryptable, |agreed| {
            let [sender, receiver] = &self.parties;
            Ok(Zeroizing::new(derived(agreed, self.enc, sender, receiver, cipher.key_len())))
        })?;
        let content_key = UnboundKey::new(cipher, &content_key[..cipher.key_len()]);
        let content_key = LessSafeKey::new(content_key.map_err(|_| JweError::Undecryptable)?);
        let mut sealed = decode(self.ciphertext)?;
        sealed.extend(self.tag);
        let nonce = Nonce::assume_unique_for_key(self.iv);
        let opened = content_key.open_in_place(nonce, Aad::from(self.header), &mut sealed);
        let length = opened.map_err(|_| JweError::Undecryptable)?.len();
        sealed.truncate(length);
        if self.is_compressed {
            return zlib::inflate_bare(&sealed, limit).map_err(|_| JweError::Undecryptable);
        }
        if length <= limit { Ok(sealed) } else { Err(JweError::Undecryptable) }
    }
}

/// The Concat KDF for a key that encrypts directly (RFC 7518 section 4.6.2): one round, of which `length` bytes are used.
fn derived(agreed: &[u8], enc: &str, sender: &[u8], receiver: &[u8], length: usize) -> [u8; 32] {
    // None of them is longer than a header.
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes();
    let mut digest = Sha256::new();
    digest.update(number(1));
    digest.update(agreed);
    for part in [enc.as_bytes(), sender, receiver] {
        digest.update(number(part.len()));
        digest.update(part);
    }
    digest.update(number(8 * length));
    digest.finalize().into()
}

/// The point of a public JWK on P-256, which is on the curve and has whole coordinates.
fn point(jwk: &Value) -> Option<[u8; 65]> {
    let PublicKey::P256(_) = PublicKey::from_jwk(jwk).ok()? else { return None };
    let mut point = [4; 65];
    for (name, place) in [("x", 1..33), ("y", 33..65)] {
        point[place].copy_from_slice(&URL_SAFE_NO_PAD.decode(jwk.get(name)?.as_str()?).ok()?);
    }
    Some(point)
}

fn decode(part: &str) -> Result<Vec<u8>, JweError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| JweError::Malformed)
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
        let sealed = context().serialize_compact(content, &self.header, &self.encrypter);
        sealed.map_err(|error| Fault::new("encrypting a message", error))
    }
}

/// josekit with our own `DEF` in the place of its own.
fn context() -> JweContext {
    let mut context = JweContext::new();
    context.add_compression(Box::new(Deflate));
    context
}

/// DEFLATE (RFC 1951), to compress by.
#[derive(Clone, Copy, Debug)]
struct Deflate;

impl JweCompression for Deflate {
    fn name(&self) -> &str {
        ZIP
    }

    fn compress(&self, message: &[u8]) -> Result<Vec<u8>, io::Error> {
        Ok(zlib::deflate_bare(message))
    }

    fn decompress(&self, _: &[u8]) -> Result<Vec<u8>, io::Error> {
        Err(io::ErrorKind::Unsupported.into())
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
        let key = PrivateKey::generate(&ECDH_P256).unwrap();
        let public = key.compute_public_key().unwrap();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (x, y) = (text(&public.as_ref()[1..33]), text(&public.as_ref()[33..]));
        let jwk = serde_json::json!({"kty": "EC", "crv": "P-256", "kid": "1", "x": x, "y": y});
        for (enc, compress) in [(ENCS[0], false), (ENCS[0], true), (ENCS[1], true)] {
            let sealed = |length| Recipient::new(&jwk, enc, compress).unwrap().seal(&vec![b' '; length]).unwrap();
            assert_eq!(open(&sealed(1 << 20), "1", &key, 1000), Err(JweError::Undecryptable));
            assert_eq!(open(&sealed(1001), "1", &key, 1000), Err(JweError::Undecryptable));
            assert_eq!(open(&sealed(1000), "1", &key, 1000), Ok(vec![b' '; 1000]));
            assert_eq!(open(&sealed(1000), "2", &key, 1000), Err(JweError::OtherKey));
            let plain = open_plain(&sealed(1000), "1", &key, 1000);
            assert_eq!(plain, if compress { Err(JweError::Unsupported) } else { Ok(vec![b' '; 1000]) });
        }
    }

    /// RFC 7518 appendix C.
    #[test]
    fn the_content_key_is_derived_as_published() {
        let bob = URL_SAFE_NO_PAD.decode("VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw").unwrap();
        let bob = PrivateKey::from_private_key(&ECDH_P256, &bob).unwrap();
        let alice = point(&serde_json::json!({
            "kty": "EC", "crv": "P-256",
            "x": "gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0",
            "y": "SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps",
        }));
        let alice = UnparsedPublicKey::new(&ECDH_P256, alice.unwrap());
        let key = agree(&bob, alice, (), |agreed| Ok(derived(agreed, "A128GCM", b"Alice", b"Bob", 16))).unwrap();
        assert_eq!(URL_SAFE_NO_PAD.encode(&key[..16]), "VqqN6vgjbSBcIijNcacQGg");
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
