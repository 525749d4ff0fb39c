//! The provider's keys, made at its start: RS256, which every provider has, and ES256.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::JoseError;
use josekit::jwk::alg::ec::{EcCurve, EcKeyPair};
use josekit::jwk::alg::rsa::RsaKeyPair;
use josekit::jwk::{Jwk, KeyPair};
use josekit::jws::alg::ecdsa::EcdsaJwsSigner;
use josekit::jws::alg::rsassa::RsassaJwsSigner;
use josekit::jws::{ES256, JwsHeader, JwsSigner, RS256};
use officials_card::chance::Chance;
use serde_json::{Value, json};

use super::Algorithm;

const RSA_BITS: u32 = 2048;

pub struct Keys {
    algorithm: Algorithm,
    rs256: RsassaJwsSigner,
    es256: EcdsaJwsSigner,
    public: [Jwk; 2],
}

impl Keys {
    /// Fresh keys with fresh names, so that nobody takes them for those before a restart.
    pub fn generate(algorithm: Algorithm, chance: &Chance) -> Result<Self, JoseError> {
        let named = |pair: &dyn KeyPair, algorithm: &str| {
            let kid = format!("{algorithm}-{}", URL_SAFE_NO_PAD.encode(chance.bytes::<6>()));
            let mut public = pair.to_jwk_public_key();
            public.set_key_id(&kid);
            public.set_algorithm(algorithm);
            public.set_key_use("sig");
            (kid, public)
        };
        let pair = RsaKeyPair::generate(RSA_BITS)?;
        let (kid, rsa) = named(&pair, "RS256");
        let mut rs256 = RS256.signer_from_jwk(&pair.to_jwk_private_key())?;
        rs256.set_key_id(kid);
        let pair = EcKeyPair::generate(EcCurve::P256)?;
        let (kid, ec) = named(&pair, "ES256");
        let mut es256 = ES256.signer_from_jwk(&pair.to_jwk_private_key())?;
        es256.set_key_id(kid);
        Ok(Self { algorithm, rs256, es256, public: [rsa, ec] })
    }

    /// The JWK Set.
    pub fn public(&self) -> Value {
        json!({ "keys": self.public })
    }

    /// A signed JWT of these claims.
    pub fn sign(&self, claims: &Value) -> Result<String, JoseError> {
        let signer: &dyn JwsSigner = match self.algorithm {
            Algorithm::Rs256 => &self.rs256,
            Algorithm::Es256 => &self.es256,
        };
        let mut header = JwsHeader::new();
        header.set_token_type("JWT");
        josekit::jws::serialize_compact(claims.to_string().as_bytes(), &header, signer)
    }
}
