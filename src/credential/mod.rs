//! Pure bytes: everything that is signed, proved or verified. Nothing here touches a file, a socket, a clock or a
//! store; time, chance and keys are handed in.


pub mod json;
pub mod jws;
pub mod key;
pub mod nonce;
pub mod official_card;
pub mod proof;
pub mod sd_jwt;
pub mod x509;

use crate::error::Fault;
pub use key::{Algorithm, PublicKey};

/// A private key that signs, wherever it lives (file, later PKCS#11).
pub trait Signer: Send + Sync {
    /// The algorithm of every signature of this key.
    fn algorithm(&self) -> Algorithm;
    /// The public half.
    fn public_key(&self) -> &PublicKey;
    /// Certificates in DER, the key's own first, then intermediates; never the trust anchor
    /// (HAIP 1.0 section 6.1.1).
    fn certificates(&self) -> &[Vec<u8>];
    /// Signs `message`: 64 bytes, `r || s` for ES256 (RFC 7518 section 3.4), RFC 8032 for `EdDSA`.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], Fault>;
}
