//! The key that wallets encrypt their requests to (OpenID4VCI 1.0 section 10).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jwe::ECDH_ES;
use josekit::jwe::alg::ecdh_es::EcdhEsJweDecrypter;
use josekit::jwk::Jwk;
use serde_json::{Value, json};

use crate::credential::PublicKey;
use crate::credential::jwe::{self, JweError};
use crate::error::Fault;

/// A private P-256 key for ECDH-ES, parsed once.
pub struct DecryptionKey {
    decrypter: EcdhEsJweDecrypter,
    public: Value,
    kid: String,
    thumbprint: [u8; 32],
}

impl DecryptionKey {
    /// From a private JWK. Its name is its thumbprint (RFC 7638), whatever the JWK itself says.
    pub fn new(jwk: &Value) -> Result<Self, Fault> {
        let doing = "reading the encryption key";
        let mut public = jwk.clone();
        if let Some(members) = public.as_object_mut() {
            members.remove("d");
        }
        let public = PublicKey::from_jwk(&public).map_err(|error| Fault::new(doing, error))?;
        if !matches!(public, PublicKey::P256(_)) {
            return Err(Fault::new(doing, "it is not a P-256 key"));
        }
        let mut members = public.to_jwk();
        members["d"] = jwk["d"].clone();
        let members = members.as_object().cloned().unwrap_or_default();
        let private = Jwk::from_map(members).map_err(|error| Fault::new(doing, error))?;
        let decrypter = ECDH_ES.decrypter_from_jwk(&private).map_err(|error| Fault::new(doing, error))?;
        let thumbprint = public.thumbprint();
        let kid = URL_SAFE_NO_PAD.encode(thumbprint);
        let mut public = public.to_jwk();
        for (name, value) in [("kid", kid.as_str()), ("alg", jwe::ALG), ("use", "enc")] {
            public[name] = json!(value);
        }
        Ok(Self { decrypter, public, kid, thumbprint })
    }

    /// The public JWK for the metadata, with `kid`, `alg` and `use`.
    pub fn public_jwk(&self) -> &Value {
        &self.public
    }

    /// Its thumbprint (RFC 7638): what the holder of an mdoc signs with the rest of the session.
    pub fn thumbprint(&self) -> [u8; 32] {
        self.thumbprint
    }

    /// Opens a compact JWE that was encrypted to this key, inflating it to at most `limit` bytes.
    pub fn open(&self, compact: &str, limit: usize) -> Result<Vec<u8>, JweError> {
        jwe::open(compact, &self.kid, &self.decrypter, limit)
    }
}
