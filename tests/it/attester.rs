//! A wallet provider: a root that the issuer may trust, and a certified key that attests wallets and keys.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use officials_card::credential::x509::Anchors;
use officials_card::credential::{Algorithm, PublicKey, Signer, attestation, jws};
use officials_card::error::Fault;
use officials_card::keyring::FileKey;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use serde_json::{Value, json};

const YEAR_SECONDS: i64 = 365 * 86400;

/// The provider, with a chain of root, intermediate and leaf.
pub struct Attester {
    /// The root, as the issuer's settings hold it.
    pub root_pem: String,
    key: EcdsaKeyPair,
    public: PublicKey,
    chain: Vec<Vec<u8>>,
}

impl Attester {
    /// Certified for a year around `now`.
    pub fn new(now: i64) -> Self {
        let (root_key, issuing_key, key) = (fresh(), fresh(), fresh());
        let root = params("Attester root", now, true);
        let root_certificate = root.self_signed(&root_key).unwrap();
        let root = Issuer::from_params(&root, &root_key);
        let issuing = params("Attester issuing", now, true);
        let issuing_certificate = issuing.signed_by(&issuing_key, &root).unwrap();
        let issuing = Issuer::from_params(&issuing, &issuing_key);
        let leaf = params("Attester", now, false).signed_by(&key, &issuing).unwrap();
        Self {
            root_pem: root_certificate.pem(),
            public: PublicKey::p256(key.public_key_raw()).unwrap(),
            key: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der()).unwrap(),
            chain: vec![leaf.der().to_vec(), issuing_certificate.der().to_vec()],
        }
    }

    /// Its root as anchors.
    pub fn anchors(&self) -> Anchors {
        Anchors::from_pem(&self.root_pem).unwrap()
    }

    /// Its root in DER.
    pub fn root(&self) -> Vec<u8> {
        officials_card::credential::x509::pem_certificates(&self.root_pem).unwrap().remove(0)
    }

    /// A JWT with its chain.
    pub fn sign(&self, typ: &str, claims: &Value) -> String {
        self.sign_under(typ, claims, json!({"x5c": jws::x5c(self)}))
    }

    /// A JWT with other header members.
    pub fn sign_under(&self, typ: &str, claims: &Value, header: Value) -> String {
        jws::sign(self, &jws::header(self, typ, header), claims.to_string().as_bytes()).unwrap()
    }

    /// A key attestation with these claims.
    pub fn attest(&self, claims: &Value) -> String {
        self.sign(attestation::TYPE, claims)
    }
}

impl Signer for Attester {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Es256
    }

    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn certificates(&self) -> &[Vec<u8>] {
        &self.chain
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], Fault> {
        Ok(self.key.sign(&SystemRandom::new(), message).unwrap().as_ref().try_into().unwrap())
    }
}

/// The claims of a key attestation for these keys, at the highest level.
pub fn key_claims(keys: &[&FileKey], nonce: &str, now: i64) -> Value {
    json!({
        "iat": now, "exp": now + 300, "nonce": nonce,
        "attested_keys": keys.iter().map(|key| key.public_key().to_jwk()).collect::<Vec<_>>(),
        "key_storage": ["iso_18045_high"], "user_authentication": ["iso_18045_high"],
    })
}

fn fresh() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}

fn params(name: &str, now: i64, is_ca: bool) -> CertificateParams {
    let instant = |at| time::OffsetDateTime::from_unix_timestamp(at).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (instant(now - YEAR_SECONDS / 2), instant(now + YEAR_SECONDS / 2));
    if is_ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    } else {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    }
    params
}
