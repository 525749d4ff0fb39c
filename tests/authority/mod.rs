//! Another issuer: a root whose certificates are made here, and signers of cards with one flaw at a time.

use aws_lc_rs::encoding::AsBigEndian;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use officials_card::credential::PublicKey;
use officials_card::keyring::FileKey;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use serde_json::json;

/// The moment around which everything is certified: that of the town.
pub const NOW: i64 = 1_795_325_268;
/// A year in seconds.
pub const YEAR: i64 = 365 * 86_400;

/// A key, and what is certified with it.
pub struct Authority {
    /// Its key.
    pub key: KeyPair,
    params: CertificateParams,
    /// Its own certificate, signed by itself.
    pub der: Vec<u8>,
}

/// Somebody who signs with a tool of their own.
#[allow(dead_code)]
pub struct Person {
    /// The private key, PEM.
    pub key: String,
    /// The certificate, PEM.
    pub pem: String,
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// The private key, PKCS#8.
    pub pkcs8: Vec<u8>,
}

/// What is wrong with a signer's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing: it is a signer of driving licences (ISO/IEC 18013-5 Annex B).
    None,
    /// It ended a second ago.
    Expired,
    /// It may certify others.
    IsCa,
    /// Its key is for other things than signatures.
    MayNotSign,
    /// It is of another country than the root.
    OtherCountry,
    /// Its extended key usage is that of a reader.
    OtherUsage,
    /// It has no extended key usage.
    NoUsage,
}

fn fresh() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}

fn params(name: &str, country: &str, until: i64) -> CertificateParams {
    let instant = |at| time::OffsetDateTime::from_unix_timestamp(at).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CountryName, country);
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (instant(NOW - YEAR), instant(until));
    params
}

impl Authority {
    /// A root for a year around [`NOW`].
    pub fn root(name: &str) -> Self {
        let mut params = params(name, "VN", NOW + YEAR);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = fresh();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { key, params, der }
    }

    // Not every test binary has people who sign, hence the allowances below.

    /// A person's key and certificate for signatures, in force until `until`: both as PEM.
    #[allow(dead_code)]
    pub fn person(&self, name: &str, usage: KeyUsagePurpose, until: i64) -> Person {
        self.certifies_person(name, params(name, "VN", until), usage)
    }

    /// The same with a name in another encoding.
    #[allow(dead_code)]
    pub fn person_called(&self, name: rcgen::DnValue, usage: KeyUsagePurpose, until: i64) -> Person {
        let mut params = params("", "VN", until);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        self.certifies_person("other", params, usage)
    }

    fn certifies_person(&self, name: &str, mut params: rcgen::CertificateParams, usage: KeyUsagePurpose) -> Person {
        params.key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(rcgen::SerialNumber::from(name.bytes().map(u64::from).sum::<u64>()));
        let key = fresh();
        let certificate = params.signed_by(&key, &Issuer::from_params(&self.params, &self.key)).unwrap();
        Person {
            key: key.serialize_pem(),
            pem: certificate.pem(),
            der: certificate.der().to_vec(),
            pkcs8: key.serialize_der(),
        }
    }

    /// Its own certificate as PEM.
    #[allow(dead_code)]
    pub fn pem(&self) -> String {
        let text = base64::engine::general_purpose::STANDARD.encode(&self.der);
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    }

    /// A list, current until `until`, that takes back the certificate of the person of this name.
    #[allow(dead_code)]
    pub fn takes_back(&self, name: &str, until: i64) -> String {
        let instant = |at| time::OffsetDateTime::from_unix_timestamp(at).unwrap();
        let revoked = rcgen::RevokedCertParams {
            serial_number: rcgen::SerialNumber::from(name.bytes().map(u64::from).sum::<u64>()),
            revocation_time: instant(NOW),
            reason_code: None,
            invalidity_date: None,
        };
        let list = rcgen::CertificateRevocationListParams {
            this_update: instant(NOW - 1),
            next_update: instant(until),
            crl_number: rcgen::SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        list.signed_by(&Issuer::from_params(&self.params, &self.key)).unwrap().pem().unwrap()
    }

    /// A signer with its certificate, critical extended key usages as a document signer has them.
    pub fn certifies(&self, flaw: Flaw) -> FileKey {
        let country = if flaw == Flaw::OtherCountry { "LA" } else { "VN" };
        let mut params = params("Signer", country, if flaw == Flaw::Expired { NOW - 1 } else { NOW + YEAR });
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        match flaw {
            Flaw::IsCa => params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            Flaw::MayNotSign => params.key_usages = vec![KeyUsagePurpose::KeyAgreement],
            _ => {}
        }
        let arcs: &[u64] = if flaw == Flaw::OtherUsage { &[1, 0, 18013, 5, 1, 6] } else { &[1, 0, 18013, 5, 1, 2] };
        if flaw != Flaw::NoUsage {
            params.custom_extensions.push(critical_usage(arcs));
        }
        let key = fresh();
        let certificate = params.signed_by(&key, &Issuer::from_params(&self.params, &self.key)).unwrap();
        file_key(&key, vec![certificate.der().to_vec()])
    }
}

/// `extKeyUsage` with one object identifier, critical (X.690 sections 8.9 and 8.19).
fn critical_usage(arcs: &[u64]) -> rcgen::CustomExtension {
    let mut oid = vec![u8::try_from(arcs[0] * 40 + arcs[1]).unwrap()];
    for arc in &arcs[2..] {
        let digits: Vec<u8> = (0..10).rev().map(|place| u8::try_from(arc >> (7 * place) & 0x7f).unwrap()).collect();
        let digits: Vec<u8> = digits.into_iter().skip_while(|digit| *digit == 0).collect();
        let last = digits.len() - 1;
        oid.extend(digits.iter().enumerate().map(|(at, digit)| if at == last { *digit } else { digit | 0x80 }));
    }
    let length = u8::try_from(oid.len()).unwrap();
    let content = [&[0x30, length + 2, 0x06, length][..], &oid].concat();
    let mut extension = rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 37], content);
    extension.set_criticality(true);
    extension
}

/// The same key as a signer with these certificates.
pub fn file_key(key: &KeyPair, certificates: Vec<Vec<u8>>) -> FileKey {
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der()).unwrap();
    let mut jwk = PublicKey::p256(key.public_key_raw()).unwrap().to_jwk();
    jwk["d"] = json!(URL_SAFE_NO_PAD.encode(pair.private_key().as_be_bytes().unwrap().as_ref()));
    FileKey::new(&jwk, certificates).unwrap()
}
