//! Private keys and what they are certified for. The two-level PKI is one root and one certificate per purpose, and beside
//! it the IACA of ISO/IEC 18013-5 with its document signer:
//!
//! | file | algorithm | signs |
//! |---|---|---|
//! | `root` | ES256 | the certificates below; not needed by the server, keep it offline |
//! | `issuer-es256` | ES256 | `official-card-sdjwt`, the type metadata's signature chain |
//! | `issuer-eddsa` | EdDSA | `official-card-sdjwt-eddsa` |
//! | `qr` | EdDSA | QR cards: the wallet's and the printed badge's |
//! | `status-es256` | ES256 | status lists as JWT |
//! | `status-eddsa` | EdDSA | status lists as CWT |
//! | `list` | EdDSA | the trust list |
//! | `metadata` | ES256 | the issuer's metadata |
//! | `events` | ES256 | the change feed and webhooks |
//! | `verifier` | ES256 | requests for presentations; lives 3 years, then is moved away and made anew by `keys add` |
//! | `iaca` | ES256 | the document signer and `iaca.crl`; not needed by the server, keep it offline |
//! | `document-signer` | ES256 | `official-card-mdoc`; lives 457 days, then `keys renew document-signer` |
//! | `encryption` | ECDH-ES | nothing: wallets encrypt their requests to it |
//! | `secret` | – | the MAC of nonces and the codes of offers; shared by all processes of a deployment |
//!
//! `NAME.pem` is the certificate, `NAME.jwk` the private key (RFC 7517), `NAME.jwk.jwe` the same encrypted by a
//! passphrase (PBES2, RFC 7517 appendix C). Files are created with mode 0600 and never overwritten. The listener's
//! `tls.pem` and `tls.key` stand outside this PKI, and so does the demo's wallet provider (`attester.jwk`,
//! `attester-root.pem`).

mod attester;
mod decrypt;
mod files;
mod iaca;
mod tls;

use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::EcdsaKeyPair;
use ed25519_dalek::Signer as _;
use zeroize::Zeroizing;

use crate::config::Secret;
use crate::credential::x509::{self, Anchors, Use};
use crate::credential::{Algorithm, PublicKey, Signer};
use crate::error::Fault;
pub use attester::attester;
pub use decrypt::DecryptionKey;
pub use files::{add, fresh_p256_jwk, init, write_new, write_private};
pub use iaca::{Ceremony, read_certificates};
pub use tls::tls;

/// All keys that a server signs with.
pub struct Keyring {
    /// Signs `official-card-sdjwt`.
    pub issuer_es256: Arc<dyn Signer>,
    /// Signs `official-card-sdjwt-eddsa`.
    pub issuer_eddsa: Arc<dyn Signer>,
    /// Signs QR cards.
    pub qr: Arc<dyn Signer>,
    /// Signs status lists as JWT.
    pub status_es256: Arc<dyn Signer>,
    /// Signs status lists as CWT.
    pub status_eddsa: Arc<dyn Signer>,
    /// Signs the trust list.
    pub list: Arc<dyn Signer>,
    /// Signs the issuer's metadata.
    pub metadata: Arc<dyn Signer>,
    /// Signs the change feed and webhooks.
    pub events: Arc<dyn Signer>,
    /// Signs requests for presentations.
    pub verifier: Arc<dyn Signer>,
    /// Wallets encrypt their requests to it.
    pub encryption: DecryptionKey,
    /// Signs `official-card-mdoc`.
    pub document_signer: Arc<dyn Signer>,
    /// MAC secret of nonces and offers.
    pub secret: Zeroizing<[u8; 32]>,
    /// The root certificate, which verifiers pin.
    pub anchors: Anchors,
    /// The same as PEM.
    pub anchor_pem: String,
    /// The root that has certified the signers of the status lists, DER: mdocs name it.
    pub status_anchor: Vec<u8>,
    /// The IACA certificate, which readers of mdocs pin.
    pub iaca: Anchors,
    /// The same as PEM.
    pub iaca_pem: String,
    /// The revocation list of the IACA, DER.
    pub iaca_crl: Vec<u8>,
}

impl Keyring {
    /// Reads the folder that [`init`] made. Encrypted files need their passphrase.
    pub fn open(folder: &Path, passphrase: Option<&Secret>) -> Result<Self, Fault> {
        let signer = |name: &str| -> Result<Arc<dyn Signer>, Fault> {
            let pem = files::read_text(&folder.join(format!("{name}.pem")))?;
            let certificates =
                x509::pem_certificates(&pem).map_err(|error| Fault::new("reading a certificate", error))?;
            Ok(Arc::new(FileKey::new(&files::read_private(folder, name, passphrase)?, certificates)?))
        };
        let anchor_pem = files::read_text(&folder.join("root.pem"))?;
        let secret = files::read_private(folder, "secret", passphrase)?;
        let iaca_pem = files::read_text(&folder.join("iaca.pem"))?;
        let iaca_crl = folder.join(iaca::REVOCATION_LIST);
        let iaca_crl = std::fs::read(&iaca_crl)
            .map_err(|error| Fault::new("reading a key file", format!("{}: {error}", iaca_crl.display())))?;
        let anchors = Anchors::from_pem(&anchor_pem).map_err(|error| Fault::new("reading root.pem", error))?;
        let status_es256 = signer("status-es256")?;
        let status_anchor = status_es256.certificates().first().and_then(|signer| anchors.issuer_of(signer));
        let status_anchor = status_anchor
            .ok_or_else(|| Fault::new("reading a certificate", "root.pem has not signed status-es256.pem"))?
            .to_vec();
        Ok(Self {
            status_anchor,
            document_signer: signer(iaca::DOCUMENT_SIGNER)?,
            iaca: Anchors::from_pem(&iaca_pem).map_err(|error| Fault::new("reading iaca.pem", error))?,
            iaca_pem,
            iaca_crl,
            issuer_es256: signer("issuer-es256")?,
            issuer_eddsa: signer("issuer-eddsa")?,
            qr: signer("qr")?,
            status_es256,
            status_eddsa: signer("status-eddsa")?,
            list: signer("list")?,
            metadata: signer("metadata")?,
            events: signer("events")?,
            verifier: signer("verifier")?,
            encryption: DecryptionKey::new(&files::read_private(folder, "encryption", passphrase)?)?,
            secret: Zeroizing::new(*files::member(&secret, "k")?),
            anchors,
            anchor_pem,
        })
    }
}

impl Keyring {
    /// Every certified key, what it was certified for, and the anchor above it.
    pub fn certified(&self) -> [(&dyn Signer, Use, &Anchors); 10] {
        let root = &self.anchors;
        [
            (&*self.issuer_es256, Use::Cards, root),
            (&*self.issuer_eddsa, Use::Cards, root),
            (&*self.qr, Use::Cards, root),
            (&*self.status_es256, Use::StatusLists, root),
            (&*self.status_eddsa, Use::StatusLists, root),
            (&*self.list, Use::TrustList, root),
            (&*self.metadata, Use::Metadata, root),
            (&*self.events, Use::Events, root),
            (&*self.verifier, Use::Requests, root),
            (&*self.document_signer, Use::Mdocs, &self.iaca),
        ]
    }
}

/// A private key held in memory, parsed once.
pub struct FileKey {
    private: Private,
    public: PublicKey,
    certificates: Vec<Vec<u8>>,
}

enum Private {
    Ed25519(Box<ed25519_dalek::SigningKey>),
    P256(Box<EcdsaKeyPair>, SystemRandom),
}

impl FileKey {
    /// From a private JWK and its certificates. The certificate, when there is one, must be of this key.
    pub fn new(jwk: &serde_json::Value, certificates: Vec<Vec<u8>>) -> Result<Self, Fault> {
        let private = files::member(jwk, "d")?;
        let mut public = jwk.clone();
        if let Some(object) = public.as_object_mut() {
            object.remove("d");
        }
        let public = PublicKey::from_jwk(&public).map_err(|error| Fault::new("reading a private key", error))?;
        let private = match public.algorithm() {
            Algorithm::EdDsa => Private::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(&private))),
            Algorithm::Es256 => {
                let point = [&[4][..], &*files::member(jwk, "x")?, &*files::member(jwk, "y")?].concat();
                let pair = EcdsaKeyPair::from_private_key_and_public_key(
                    &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
                    &*private,
                    &point,
                )
                .map_err(|error| Fault::new("reading a private key", error.to_string()))?;
                Private::P256(Box::new(pair), SystemRandom::new())
            }
        };
        if certificates.first().is_some_and(|leaf| x509::public_key(leaf).ok().as_ref() != Some(&public)) {
            return Err(Fault::new("reading a private key", "its certificate is of another key"));
        }
        Ok(Self { private, public, certificates })
    }
}

impl Signer for FileKey {
    fn algorithm(&self) -> Algorithm {
        self.public.algorithm()
    }

    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], Fault> {
        match &self.private {
            Private::Ed25519(key) => Ok(key.sign(message).to_bytes()),
            Private::P256(pair, random) => pair
                .sign(random, message)
                .ok()
                .and_then(|signature| signature.as_ref().try_into().ok())
                .ok_or_else(|| Fault::new("signing", "aws-lc refused")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://card.example";

    #[test]
    fn keys_come_back_encrypted_or_not_and_are_never_overwritten() {
        use std::os::unix::fs::PermissionsExt;
        for passphrase in [None, Some(Secret::new("đúng, đủ, sạch, sống"))] {
            let folder = std::env::temp_dir().join(format!("keyring-{}-{}", std::process::id(), passphrase.is_some()));
            let _ = std::fs::remove_dir_all(&folder);
            init(&folder, passphrase.as_ref(), URL, &crate::chance::Chance::system(), 1_760_000_000).unwrap();
            assert!(init(&folder, passphrase.as_ref(), URL, &crate::chance::Chance::system(), 1_760_000_000).is_err());
            assert!(Keyring::open(&folder, passphrase.as_ref()).is_ok());
            // A folder of an earlier version gets what it lacks.
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap();
                if name.starts_with("metadata.") || name.starts_with("encryption.") {
                    std::fs::remove_file(&path).unwrap();
                }
            }
            assert!(Keyring::open(&folder, passphrase.as_ref()).is_err());
            let chance = crate::chance::Chance::system();
            assert_eq!(
                add(&folder, passphrase.as_ref(), URL, &chance, 1_760_000_000).unwrap(),
                ["metadata", "encryption"]
            );
            let keys = Keyring::open(&folder, passphrase.as_ref()).unwrap();
            for (signer, purpose, anchors) in keys.certified() {
                let all = [
                    Use::Cards,
                    Use::StatusLists,
                    Use::TrustList,
                    Use::Metadata,
                    Use::Events,
                    Use::Mdocs,
                    Use::Requests,
                ];
                for other in all {
                    let checked = anchors.check(signer.certificates(), other, 1_760_000_001);
                    assert_eq!(checked.is_ok(), other == purpose, "a key signs only what it was certified for");
                }
                let leaf = anchors.check(signer.certificates(), purpose, 1_760_000_001).unwrap();
                assert_eq!(&leaf, signer.public_key());
                // The hour of 1 760 000 000 began at 1 759 996 800: a card of that moment is dated so.
                assert_eq!(anchors.check(signer.certificates(), purpose, 1_759_996_800).as_ref(), Ok(&leaf));
                leaf.verify(b"message", &signer.sign(b"message").unwrap()).unwrap();
            }
            let names = x509::dns_names(&keys.verifier.certificates()[0]).unwrap();
            assert_eq!(names, ["card.example"]);
            for entry in std::fs::read_dir(&folder).unwrap() {
                let entry = entry.unwrap();
                assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
                let text = String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).into_owned();
                assert!(passphrase.is_none() || !text.contains("\"d\""), "{entry:?}");
            }
            if passphrase.is_some() {
                assert!(Keyring::open(&folder, Some(&Secret::new("wrong"))).is_err());
                assert!(Keyring::open(&folder, None).is_err());
            }
            std::fs::remove_dir_all(&folder).unwrap();
        }
    }
}
