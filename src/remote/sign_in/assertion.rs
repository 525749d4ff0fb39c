//! How we prove to the provider who we are: `private_key_jwt` (RFC 7523, OpenID Connect Core section 9), ES256.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jwk::Jwk;
use josekit::jws::alg::ecdsa::EcdsaJwsSigner;
use josekit::jws::{ES256, JwsHeader};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::clock::UnixSeconds;
use crate::error::Fault;

/// `client_assertion_type` (RFC 7523 section 2.2).
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// How long an assertion lives.
const ASSERTION_SECONDS: i64 = 60;

/// Our key at the provider.
pub struct ClientKey(EcdsaJwsSigner);

impl ClientKey {
    /// From a file with a private P-256 key, JWK (its `kid` is told to the provider) or PEM.
    pub fn read(file: &Path) -> Result<Self, Fault> {
        let doing = "reading the key for the sign-in provider";
        let text =
            std::fs::read_to_string(file).map_err(|error| Fault::new(doing, format!("{}: {error}", file.display())))?;
        // What the parsers say could repeat what they read.
        Self::parse(&text)
            .ok_or_else(|| Fault::new(doing, format!("{}: not a private P-256 key as JWK or PEM", file.display())))
    }

    fn parse(text: &str) -> Option<Self> {
        let signer = if text.trim_start().starts_with('{') {
            ES256.signer_from_jwk(&Jwk::from_bytes(text).ok()?).ok()?
        } else {
            ES256.signer_from_pem(text).ok()?
        };
        Some(Self(signer))
    }

    /// An assertion of `client_id` for the provider, good once: `occasion` names what it is for (a code is exchanged
    /// once), and becomes the unique `jti` without being readable from it. The audience is the issuer identifier alone,
    /// as RFC 7523bis wants.
    pub fn assertion(&self, client_id: &str, issuer: &str, occasion: &str, now: UnixSeconds) -> Result<String, Fault> {
        let jti = Sha256::new().chain_update("assertion\n").chain_update(occasion).chain_update(now.to_be_bytes());
        let payload = json!({
            "iss": client_id, "sub": client_id, "aud": issuer, "iat": now, "exp": now + ASSERTION_SECONDS,
            "jti": URL_SAFE_NO_PAD.encode(jti.finalize()),
        });
        let mut header = JwsHeader::new();
        header.set_token_type("JWT");
        josekit::jws::serialize_compact(payload.to_string().as_bytes(), &header, &self.0)
            .map_err(|error| Fault::new("signing for the sign-in provider", error))
    }
}

#[cfg(test)]
mod tests {
    use josekit::jwk::{KeyPair, alg::ec::EcCurve, alg::ec::EcKeyPair};
    use serde_json::Value;

    use super::*;

    #[test]
    fn an_assertion_verifies_and_is_of_one_occasion() {
        let pair = EcKeyPair::generate(EcCurve::P256).unwrap();
        let mut jwk = pair.to_jwk_private_key();
        jwk.set_key_id("card-1");
        let pem = String::from_utf8(pair.to_pem_private_key()).unwrap();
        let verifier = ES256.verifier_from_pem(pair.to_pem_public_key()).unwrap();
        for (text, kid) in [(jwk.to_string(), Some("card-1")), (pem, None)] {
            let key = ClientKey::parse(&text).unwrap();
            let made = |occasion, now| {
                let text = key.assertion("card", "https://vneid.example", occasion, now).unwrap();
                let (payload, header) = josekit::jws::deserialize_compact(text, &verifier).unwrap();
                assert_eq!(header.key_id(), kid);
                serde_json::from_slice::<Value>(&payload).unwrap()
            };
            let first = made("code", 1_000);
            assert_eq!(first["exp"], 1_060);
            assert_eq!((&first["iss"], &first["sub"]), (&json!("card"), &json!("card")));
            assert_eq!(first["aud"], "https://vneid.example");
            assert_ne!(first["jti"], made("another code", 1_000)["jti"]);
            assert_ne!(first["jti"], made("code", 1_001)["jti"]);
        }
        let other_curve = EcKeyPair::generate(EcCurve::P384).unwrap().to_jwk_private_key().to_string();
        for wrong in ["", "{}", "{", "-----BEGIN PRIVATE KEY-----", &other_curve, &pair.to_jwk_public_key().to_string()]
        {
            assert!(ClientKey::parse(wrong).is_none(), "{wrong}");
        }
    }
}
