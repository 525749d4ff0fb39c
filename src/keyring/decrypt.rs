//! The key that wallets encrypt their requests to (OpenID4VCI 1.0 section 10).

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::files::member;
use crate::credential::PublicKey;
use crate::credential::jwe::{self, JweError};
use crate::error::Fault;

/// A private P-256 key for ECDH-ES, parsed once.
pub struct DecryptionKey {
    private: PrivateKey,
    public: Value,
    kid: String,
    thumbprint: [u8; 32],
}

impl DecryptionKey {
    /// From a private JWK. Its name is its thumbprint (RFC 7638), whatever the JWK itself says.
    pub fn new(jwk: &Value) -> Result<Self, Fault> {
        let doing = "reading the encryption key";
        let private = PrivateKey::from_private_key(&ECDH_P256, &*member(jwk, "d")?);
        let private = private.map_err(|error| Fault::new(doing, error))?;
        let point = private.compute_public_key().map_err(|error| Fault::new(doing, error))?;
        let public = PublicKey::p256(point.as_ref()).map_err(|error| Fault::new(doing, error))?;
        let members = public.to_jwk();
        if ["kty", "crv", "x", "y"].iter().any(|name| jwk[name] != members[name]) {
            return Err(Fault::new(doing, "it is not a P-256 key, or its halves do not belong together"));
        }
        let thumbprint = public.thumbprint();
        let kid = URL_SAFE_NO_PAD.encode(thumbprint);
        let mut public = members;
        for (name, value) in [("kid", kid.as_str()), ("alg", jwe::ALG), ("use", "enc")] {
            public[name] = json!(value);
        }
        Ok(Self { private, public, kid, thumbprint })
    }

    /// The public JWK for the metadata, with `kid`, `alg` and `use`.
    pub fn public_jwk(&self) -> &Value {
        &self.public
    }

    /// Its thumbprint (RFC 7638): what the holder of an mdoc signs with the rest of the session.
    pub fn thumbprint(&self) -> [u8; 32] {
        self.thumbprint
    }

    /// Opens a compact JWE of at most about `limit` bytes that was encrypted to this key and is not compressed.
    pub fn open_plain(&self, compact: &str, limit: usize) -> Result<Vec<u8>, JweError> {
        jwe::open_plain(compact, &self.kid, &self.private, limit)
    }

    /// Opens a compact JWE that was encrypted to this key, inflating it to at most `limit` bytes.
    pub fn open(&self, compact: &str, limit: usize) -> Result<Vec<u8>, JweError> {
        jwe::open(compact, &self.kid, &self.private, limit)
    }
}
