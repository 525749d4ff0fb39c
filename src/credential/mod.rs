//! Pure bytes: everything that is signed, proved or verified. Nothing here touches a file, a socket, a clock or a
//! store; time, chance and keys are handed in.

pub mod agencies;
#[cfg(feature = "server")]
pub mod approver;
pub mod attestation;
pub mod cbor;
pub mod checkpoint;
pub mod client_attestation;
pub mod cose;
pub mod cwt;
pub mod dpop;
pub mod gate;
#[cfg(feature = "server")]
pub mod jwe;
pub mod jws;
pub mod key;
pub mod mdoc;
pub mod nonce;
pub mod official_card;
pub mod presentation;
pub mod proof;
pub mod qr;
pub mod receipt;
pub mod replay;
pub mod sd_jwt;
pub mod signed;
pub mod snapshot;
pub mod status_list;
pub mod status_token;
pub mod symbol;
pub mod trust_list;
pub mod verdict;
pub mod verify;
pub mod wallet_token;
pub mod x509;
pub mod zlib;

use crate::error::Fault;
pub use crate::model::json;
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

/// An Ed25519 key from a fixed seed.
#[cfg(test)]
pub(crate) mod test_key {
    use super::{Algorithm, PublicKey, Signer};
    use crate::error::Fault;
    use ed25519_dalek::{Signer as _, SigningKey};

    pub struct TestKey(SigningKey, PublicKey, Vec<Vec<u8>>);

    impl TestKey {
        pub fn new(seed: u8) -> Self {
            let key = SigningKey::from_bytes(&[seed; 32]);
            let public = PublicKey::ed25519(key.verifying_key().as_bytes()).unwrap();
            Self(key, public, Vec::new())
        }

        pub fn with_certificates(self, certificates: Vec<Vec<u8>>) -> Self {
            Self(self.0, self.1, certificates)
        }
    }

    impl Signer for TestKey {
        fn algorithm(&self) -> Algorithm {
            Algorithm::EdDsa
        }

        fn public_key(&self) -> &PublicKey {
            &self.1
        }

        fn certificates(&self) -> &[Vec<u8>] {
            &self.2
        }

        fn sign(&self, message: &[u8]) -> Result<[u8; 64], Fault> {
            Ok(self.0.sign(message).to_bytes())
        }
    }
}
