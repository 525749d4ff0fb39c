//! The PKI of mdocs by the certificate profiles of ISO/IEC 18013-5 Annex B: the issuing authority's certificate authority
//! (IACA), its certificate revocation list, and the document signer that it certifies.

use std::path::Path;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    CustomExtension, DistinguishedName, DnType, DnValue, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, RevokedCertParams, SerialNumber,
};
use time::OffsetDateTime;
use time::macros::format_description;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use super::files::{
    ROOT_YEARS, YEAR_SECONDS, making, private_jwk, read_private, read_text, signing_key, write_new, write_private,
};
use crate::chance::Chance;
use crate::clock::{DAY_SECONDS, UnixSeconds};
use crate::config::Secret;
use crate::credential::x509::{DOCUMENT_SIGNING_OID_BYTES, pem_certificates};
use crate::error::Fault;

/// The certificate that readers of mdocs pin.
pub(super) const IACA: &str = "iaca";
/// The key that signs mdocs.
pub(super) const DOCUMENT_SIGNER: &str = "document-signer";
/// The revocation list, DER.
pub(super) const REVOCATION_LIST: &str = "iaca.crl";

/// Days of a document signer: the profile allows 457.
const DOCUMENT_SIGNER_DAYS: i64 = 457;
/// Days until the next revocation list: the profile asks for one every 90.
const REVOCATION_LIST_DAYS: i64 = 90;
/// The longest revocation list that is read, in bytes: some ten thousand certificates, one of which ends a year.
const MAX_REVOCATION_LIST_BYTES: usize = 512 * 1024;

/// Extensions that have no place of their own in rcgen (RFC 5280 sections 4.2.1.2 of a leaf, 4.2.1.7 and 4.2.1.12).
mod extension {
    pub const SUBJECT_KEY_IDENTIFIER: [u64; 4] = [2, 5, 29, 14];
    pub const ISSUER_ALTERNATIVE_NAME: [u64; 4] = [2, 5, 29, 18];
    pub const EXTENDED_KEY_USAGE: [u64; 4] = [2, 5, 29, 37];
}

/// What every step of the ceremony needs.
pub struct Ceremony<'a> {
    /// The key folder.
    pub folder: &'a Path,
    /// Encrypts private keys.
    pub passphrase: Option<&'a Secret>,
    /// The credential issuer identifier: certificates name it as contact, and the revocation list under it.
    pub public_url: &'a str,
    /// Chance.
    pub chance: &'a Chance,
    /// Time.
    pub now: UnixSeconds,
}

impl Ceremony<'_> {
    /// Makes what is missing of the IACA, its revocation list and the document signer, and gives their names. A folder
    /// whose IACA has its private key elsewhere gets nothing that it would have to sign.
    pub(super) fn add_missing(&self) -> Result<Vec<&'static str>, Fault> {
        let mut added = Vec::new();
        if !self.folder.join("iaca.pem").exists() {
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(making)?;
            let certificate = self.authority(&key)?;
            write_private(self.folder, IACA, &private_jwk(&key)?, self.passphrase)?;
            write_new(&self.folder.join("iaca.pem"), certificate.pem().as_bytes())?;
            added.push(IACA);
        }
        if !self.folder.join("document-signer.pem").exists() {
            self.write_document_signer()?;
            added.push(DOCUMENT_SIGNER);
        }
        if !self.folder.join(REVOCATION_LIST).exists() {
            let list = self.revocation_list(&[])?;
            write_new(&self.folder.join(REVOCATION_LIST), &list)?;
            added.push(REVOCATION_LIST);
        }
        Ok(added)
    }

    /// Makes a new document signer; the files of the one before stay under a name with the time. Gives that name.
    pub fn renew_document_signer(&self) -> Result<String, Fault> {
        // Asked for first: without the IACA's private key nothing is moved.
        self.signing_authority()?;
        let kept = format!("{DOCUMENT_SIGNER}.{}", self.stamp()?);
        // The certificate last: while it stands the folder is complete, and without it `keys add` makes a new one.
        for end in ["pem", "jwk", "jwk.jwe"] {
            set_aside(self.folder, &format!("{DOCUMENT_SIGNER}.{end}"), &format!("{kept}.{end}"))?;
        }
        self.write_document_signer()?;
        Ok(kept)
    }

    /// Signs the revocation list anew: what it held, and these certificates. The list before stays under a name with the
    /// time.
    pub fn renew_revocation_list(&self, revoked: &[Vec<u8>]) -> Result<(), Fault> {
        let list = self.revocation_list(revoked)?;
        set_aside(self.folder, REVOCATION_LIST, &format!("iaca.{}.crl", self.stamp()?))?;
        write_new(&self.folder.join(REVOCATION_LIST), &list)
    }

    fn write_document_signer(&self) -> Result<(), Fault> {
        let authority = self.signing_authority()?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(making)?;
        let certificate = self.document_signer(&key, &authority)?;
        write_private(self.folder, DOCUMENT_SIGNER, &private_jwk(&key)?, self.passphrase)?;
        write_new(&self.folder.join("document-signer.pem"), certificate.pem().as_bytes())
    }

    /// Table B.1: the root certificate.
    fn authority(&self, key: &KeyPair) -> Result<Certificate, Fault> {
        let mut params = self.params("Officials card IACA", key)?;
        params.not_after = instant(self.now + ROOT_YEARS * YEAR_SECONDS)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.self_signed(key).map_err(making)
    }

    /// Table B.3: the document signer.
    fn document_signer(&self, key: &KeyPair, authority: &Issuer<'_, KeyPair>) -> Result<Certificate, Fault> {
        let mut params = self.params("Officials card document signer", key)?;
        // Both ends belong to it (RFC 5280 section 4.1.2.5).
        params.not_after = params.not_before + time::Duration::days(DOCUMENT_SIGNER_DAYS) - time::Duration::SECOND;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let mut usage = CustomExtension::from_oid_content(
            &extension::EXTENDED_KEY_USAGE,
            der(0x30, &der(0x06, &DOCUMENT_SIGNING_OID_BYTES)),
        );
        usage.set_criticality(true);
        let own_key = der(0x04, &key_identifier(key));
        let own_key = CustomExtension::from_oid_content(&extension::SUBJECT_KEY_IDENTIFIER, own_key);
        params.custom_extensions.extend([usage, own_key]);
        params.signed_by(key, authority).map_err(making)
    }

    /// What both tables ask for.
    fn params(&self, common_name: &str, key: &KeyPair) -> Result<CertificateParams, Fault> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let country = "VN".try_into().map_err(making)?;
        params.distinguished_name.push(DnType::CountryName, DnValue::PrintableString(country));
        params.distinguished_name.push(DnType::CommonName, common_name);
        // Positive, and more than the 63 random bits that are asked for.
        let mut serial = self.chance.bytes::<16>();
        serial[0] = serial[0] & 0x3f | 0x40;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.not_before = instant(self.now - self.now.rem_euclid(DAY_SECONDS) - DAY_SECONDS)?;
        params.key_identifier_method = KeyIdMethod::PreSpecified(key_identifier(key));
        params.crl_distribution_points =
            vec![CrlDistributionPoint { uris: vec![format!("{}/{REVOCATION_LIST}", self.public_url)] }];
        // A GeneralName of the kind uniformResourceIdentifier.
        params.custom_extensions = vec![CustomExtension::from_oid_content(
            &extension::ISSUER_ALTERNATIVE_NAME,
            der(0x30, &der(0x86, self.public_url.as_bytes())),
        )];
        Ok(params)
    }

    /// The list in force, and these certificates (RFC 5280 section 5).
    fn revocation_list(&self, revoked: &[Vec<u8>]) -> Result<Vec<u8>, Fault> {
        let fault = |error: &dyn std::fmt::Display| Fault::new("reading a revocation list", error.to_string());
        let authority = self.signing_authority()?;
        let path = self.folder.join(REVOCATION_LIST);
        let mut entries = Vec::new();
        if path.exists() {
            let bytes = std::fs::read(&path).map_err(|error| fault(&error))?;
            if bytes.len() > MAX_REVOCATION_LIST_BYTES {
                return Err(fault(&"it is too long"));
            }
            let (_, list) = CertificateRevocationList::from_der(&bytes).map_err(|error| fault(&error))?;
            for entry in list.iter_revoked_certificates() {
                entries.push((entry.raw_serial().to_vec(), entry.revocation_date.timestamp()));
            }
        }
        for certificate in revoked {
            let (_, certificate) = X509Certificate::from_der(certificate).map_err(|error| fault(&error))?;
            let serial = certificate.raw_serial();
            if entries.iter().all(|(listed, _)| listed != serial) {
                entries.push((serial.to_vec(), self.now));
            }
        }
        let revoked_certs = entries.into_iter().map(|(serial, at)| {
            Ok(RevokedCertParams {
                serial_number: SerialNumber::from_slice(&serial),
                revocation_time: instant(at)?,
                reason_code: None,
                invalidity_date: None,
            })
        });
        let list = CertificateRevocationListParams {
            this_update: instant(self.now)?,
            next_update: instant(self.now + REVOCATION_LIST_DAYS * DAY_SECONDS)?,
            // Grows with time, which is all that is asked of it.
            crl_number: SerialNumber::from_slice(&self.now.to_be_bytes()),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect::<Result<_, Fault>>()?,
            key_identifier_method: KeyIdMethod::PreSpecified(key_identifier(authority.key())),
        };
        Ok(list.signed_by(&authority).map_err(making)?.der().to_vec())
    }

    /// The IACA with its private key.
    fn signing_authority(&self) -> Result<Issuer<'static, KeyPair>, Fault> {
        let pem = read_text(&self.folder.join("iaca.pem"))?;
        let there = |end: &str| self.folder.join(format!("{IACA}.{end}")).exists();
        if !there("jwk") && !there("jwk.jwe") {
            let place = self.folder.display();
            return Err(Fault::new(
                "signing with the IACA",
                format!("its private key is not here: bring iaca.jwk to {place}"),
            ));
        }
        let key = signing_key(&read_private(self.folder, IACA, self.passphrase)?)?;
        Issuer::from_ca_cert_pem(&pem, key).map_err(making)
    }

    /// The time as a part of a file name.
    fn stamp(&self) -> Result<String, Fault> {
        let format = format_description!("[year][month][day]T[hour][minute][second]Z");
        instant(self.now)?.format(&format).map_err(|error| Fault::new("naming a key file", error))
    }
}

/// The certificates of these PEM files.
pub fn read_certificates(files: &[std::path::PathBuf]) -> Result<Vec<Vec<u8>>, Fault> {
    let mut certificates = Vec::new();
    for file in files {
        let found = pem_certificates(&read_text(file)?).map_err(|error| Fault::new("reading a certificate", error))?;
        if found.is_empty() {
            return Err(Fault::new("reading a certificate", format!("{} holds none", file.display())));
        }
        certificates.extend(found);
    }
    Ok(certificates)
}

/// Moves a file, when it is there, to a name that nobody has.
fn set_aside(folder: &Path, name: &str, kept: &str) -> Result<(), Fault> {
    let (from, to) = (folder.join(name), folder.join(kept));
    if !from.exists() {
        return Ok(());
    }
    let fault = |error: std::io::Error| Fault::new("keeping a key file", format!("{}: {error}", to.display()));
    // A link fails where a rename would replace.
    std::fs::hard_link(&from, &to).and_then(|()| std::fs::remove_file(&from)).map_err(fault)
}

/// RFC 5280 section 4.2.1.2 method 1, which the profile asks for: no signature rests on it.
fn key_identifier(key: &KeyPair) -> Vec<u8> {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, key.der_bytes()).as_ref().to_vec()
}

fn instant(at: UnixSeconds) -> Result<OffsetDateTime, Fault> {
    OffsetDateTime::from_unix_timestamp(at).map_err(|error| Fault::new("dating a certificate", error))
}

/// A DER element of less than 64 KiB.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let [.., high, low] = length.to_be_bytes();
    let mut element = match length {
        0..0x80 => vec![tag, low],
        0x80..0x100 => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    element.extend_from_slice(content);
    element
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use x509_parser::extensions::{GeneralName, ParsedExtension};

    use super::*;
    use crate::credential::x509::{ChainError, Use, validity};
    use crate::keyring::{Keyring, add, init};

    const URL: &str = "https://card.example";
    const NOW: UnixSeconds = 1_760_000_000;

    /// A folder of keys for one test.
    struct Keys(PathBuf, Chance);

    impl Keys {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("iaca-{}-{name}", std::process::id()));
            let _ = std::fs::remove_dir_all(&folder);
            let chance = Chance::system();
            init(&folder, None, URL, &chance, NOW).unwrap();
            Self(folder, chance)
        }

        fn ceremony(&self, now: UnixSeconds) -> Ceremony<'_> {
            Ceremony { folder: &self.0, passphrase: None, public_url: URL, chance: &self.1, now }
        }

        fn open(&self) -> Keyring {
            Keyring::open(&self.0, None).unwrap()
        }

        fn names(&self) -> BTreeSet<String> {
            std::fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        }

        fn remove(&self, names: &[&str]) {
            for name in names {
                std::fs::remove_file(self.0.join(name)).unwrap();
            }
        }
    }

    impl Drop for Keys {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// The extensions by object identifier, with whether they are critical.
    fn extensions(certificate: &X509Certificate<'_>) -> BTreeSet<(String, bool)> {
        certificate.extensions().iter().map(|one| (one.oid.to_id_string(), one.critical)).collect()
    }

    fn set(extensions: &[(&str, bool)]) -> BTreeSet<(String, bool)> {
        extensions.iter().map(|(oid, critical)| ((*oid).to_owned(), *critical)).collect()
    }

    #[test]
    fn the_certificates_are_those_of_annex_b() {
        let keys = Keys::new("profile");
        let opened = keys.open();
        let [authority] = pem_certificates(&opened.iaca_pem).unwrap().try_into().unwrap();
        let (_, authority) = X509Certificate::from_der(&authority).unwrap();
        let [signer] = opened.document_signer.certificates() else { panic!("without the IACA") };
        let (_, signer) = X509Certificate::from_der(signer).unwrap();
        // Key and basic constraints, subject and authority key, issuer's name, revocation list.
        let common = [("2.5.29.15", true), ("2.5.29.14", false), ("2.5.29.18", false), ("2.5.29.31", false)];
        assert_eq!(extensions(&authority), set(&[&common[..], &[("2.5.29.19", true)]].concat()));
        assert_eq!(extensions(&signer), set(&[&common[..], &[("2.5.29.35", false), ("2.5.29.37", true)]].concat()));
        assert_eq!(authority.key_usage().unwrap().unwrap().value.flags, 1 << 5 | 1 << 6, "keyCertSign and cRLSign");
        assert_eq!(signer.key_usage().unwrap().unwrap().value.flags, 1, "digitalSignature");
        let constraints = authority.basic_constraints().unwrap().unwrap().value;
        assert!(constraints.ca && constraints.path_len_constraint == Some(0));
        let mut identifiers = Vec::new();
        for certificate in [&authority, &signer] {
            assert_eq!(certificate.issuer(), authority.subject());
            assert_eq!(certificate.subject().iter_country().next().unwrap().as_str(), Ok("VN"));
            assert_eq!(
                certificate.subject().iter_country().next().unwrap().attr_value().tag().0,
                19,
                "PrintableString"
            );
            assert!(certificate.subject().iter_common_name().next().is_some());
            assert!(certificate.raw_serial().len() == 16 && certificate.raw_serial()[0] < 0x80);
            for extension in certificate.extensions() {
                match extension.parsed_extension() {
                    ParsedExtension::SubjectKeyIdentifier(found) => identifiers.push(found.0.to_vec()),
                    ParsedExtension::AuthorityKeyIdentifier(found) => {
                        assert_eq!(found.key_identifier.as_ref().unwrap().0, identifiers[0]);
                    }
                    ParsedExtension::IssuerAlternativeName(names) => {
                        assert_eq!(names.general_names, [GeneralName::URI(URL)]);
                    }
                    ParsedExtension::CRLDistributionPoints(points) => {
                        assert_eq!(points.points.len(), 1);
                        assert!(points.points[0].reasons.is_none() && points.points[0].crl_issuer.is_none());
                        assert!(format!("{points:?}").contains("https://card.example/iaca.crl"));
                    }
                    _ => {}
                }
            }
            let key = certificate.public_key().subject_public_key.data.as_ref();
            assert_eq!(identifiers.last().unwrap(), digest(&SHA1_FOR_LEGACY_USE_ONLY, key).as_ref());
        }
        let lives = |certificate: &X509Certificate<'_>| {
            certificate.validity().not_after.timestamp() - certificate.validity().not_before.timestamp()
        };
        assert!(lives(&authority) <= 20 * 365 * DAY_SECONDS);
        assert_eq!(lives(&signer) + 1, 457 * DAY_SECONDS);
        assert!(opened.iaca.check(opened.document_signer.certificates(), Use::Mdocs, NOW).is_ok());
        // The root is no anchor of mdocs, the IACA none of anything else.
        let chain = opened.document_signer.certificates();
        assert_eq!(opened.anchors.check(chain, Use::Mdocs, NOW), Err(ChainError::Untrusted));
        assert_eq!(opened.iaca.check(opened.issuer_es256.certificates(), Use::Cards, NOW), Err(ChainError::Untrusted));
    }

    #[test]
    fn a_document_signer_is_renewed_and_the_one_before_is_kept() {
        let keys = Keys::new("renew");
        let (before, names) = (keys.open(), keys.names());
        let later = NOW + 400 * DAY_SECONDS;
        let kept = keys.ceremony(later).renew_document_signer().unwrap();
        assert_eq!(kept, "document-signer.20261113T085320Z");
        let mut expected = names.clone();
        expected.extend([format!("{kept}.pem"), format!("{kept}.jwk")]);
        assert_eq!(keys.names(), expected);
        let after = keys.open();
        assert_ne!(after.document_signer.public_key(), before.document_signer.public_key());
        let end = |keys: &Keyring| validity(&keys.document_signer.certificates()[0]).unwrap().1;
        assert!(end(&after) >= later + 455 * DAY_SECONDS);
        assert!(after.iaca.check(after.document_signer.certificates(), Use::Mdocs, later).is_ok());
        assert!(
            after.iaca.check(before.document_signer.certificates(), Use::Mdocs, later).is_ok(),
            "its cards live on"
        );
        // The same second again: nothing is overwritten.
        assert!(keys.ceremony(later).renew_document_signer().is_err());
        assert!(keys.open().document_signer.public_key() == after.document_signer.public_key());
        // A step that was cut short is finished by `add`.
        keys.remove(&["document-signer.pem", "document-signer.jwk"]);
        assert_eq!(add(&keys.0, None, URL, &keys.1, later).unwrap(), [DOCUMENT_SIGNER]);
        keys.open();
    }

    #[test]
    fn what_an_older_folder_lacks_is_made_and_needs_only_the_keys_that_certify_it() {
        let keys = Keys::new("add");
        keys.remove(&["iaca.pem", "iaca.jwk", "iaca.crl", "document-signer.pem", "document-signer.jwk", "root.jwk"]);
        assert!(Keyring::open(&keys.0, None).is_err());
        // Nothing is missing under the root: its private key may stay where it is.
        assert_eq!(add(&keys.0, None, URL, &keys.1, NOW).unwrap(), [IACA, DOCUMENT_SIGNER, REVOCATION_LIST]);
        keys.open();
        assert_eq!(add(&keys.0, None, URL, &keys.1, NOW).unwrap(), [""; 0]);
        // The IACA is offline: no second one is made, and nothing is moved.
        keys.remove(&["iaca.jwk"]);
        let names = keys.names();
        for refused in [
            keys.ceremony(NOW + 1).renew_document_signer().map(drop),
            keys.ceremony(NOW + 1).renew_revocation_list(&[]),
        ] {
            assert!(refused.unwrap_err().to_string().contains("iaca.jwk"));
        }
        assert_eq!(keys.names(), names);
        keys.remove(&["document-signer.pem", "document-signer.jwk"]);
        assert!(add(&keys.0, None, URL, &keys.1, NOW).unwrap_err().to_string().contains("iaca.jwk"));
        assert!(!keys.names().contains("iaca.jwk"));
    }

    #[test]
    fn the_revocation_list_keeps_what_it_held() {
        let keys = Keys::new("crl");
        let read = |bytes: &[u8]| {
            let (rest, list) = CertificateRevocationList::from_der(bytes).unwrap();
            assert!(rest.is_empty());
            let (_, authority) = x509_parser::pem::parse_x509_pem(keys.open().iaca_pem.as_bytes()).unwrap();
            let authority = authority.parse_x509().unwrap();
            assert_eq!(list.issuer(), authority.subject());
            let signature = &list.signature_value.data;
            let key = &authority.public_key().subject_public_key.data;
            aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1, key)
                .verify(list.tbs_cert_list.as_ref(), signature)
                .unwrap();
            let next = list.next_update().unwrap().timestamp() - list.last_update().timestamp();
            assert_eq!(next, 90 * DAY_SECONDS);
            let revoked: Vec<_> = list.iter_revoked_certificates().map(|entry| entry.raw_serial().to_vec()).collect();
            (list.crl_number().unwrap().clone(), revoked)
        };
        let first = read(&keys.open().iaca_crl);
        assert!(first.1.is_empty());
        let signer = keys.open().document_signer.certificates().to_vec();
        let serial = X509Certificate::from_der(&signer[0]).unwrap().1.raw_serial().to_vec();
        for round in 1..=2 {
            keys.ceremony(NOW + round).renew_revocation_list(if round == 1 { &signer } else { &[] }).unwrap();
            let (number, revoked) = read(&keys.open().iaca_crl);
            assert!(number > first.0);
            assert_eq!(revoked, std::slice::from_ref(&serial));
        }
        let lists = keys.names().into_iter().filter(|name| name.starts_with("iaca.") && name.contains("crl"));
        assert_eq!(lists.count(), 3, "the lists before are kept");
    }

    #[test]
    fn lengths_are_written_as_der_has_them() {
        for (length, head) in
            [(0, vec![6, 0]), (127, vec![6, 127]), (128, vec![6, 0x81, 128]), (300, vec![6, 0x82, 1, 44])]
        {
            let element = der(6, &vec![7; length]);
            assert_eq!((&element[..head.len()], element.len()), (&head[..], head.len() + length));
        }
    }
}
