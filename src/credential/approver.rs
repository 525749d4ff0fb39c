//! Signatures of people who approve, made with their own tools: a detached CMS with a signing-certificate attribute
//! (CAdES-BES, ETSI EN 319 122-1), or a detached JWS with `x5c` (RFC 7515 appendix F). OpenSSL checks signatures and paths;
//! that the certificate is the person's is the caller's to know.
//!
//! What is accepted: SHA-256 and longer digests; RSA from 2,048 bits, P-256, P-384, Ed25519 (in a JWS); a certificate that
//! is no CA and may sign (`digitalSignature` or `nonRepudiation`), whose path leads to a configured root at that time, and
//! that no revocation list takes back. Without a list nothing is known of revocation: OCSP and lists on the network are
//! not asked.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use openssl::asn1::Asn1Time;
use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Public};
use openssl::rsa::Padding;
use openssl::sign::{RsaPssSaltlen, Verifier};
use openssl::stack::Stack;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::X509VerifyParam;
use openssl::x509::{CrlStatus, X509, X509Crl, X509PurposeId, X509Ref, X509StoreContext};
use serde_json::Value;
use sha2::{Digest, Sha256};
use x509_parser::asn1_rs::{Any, FromDer as _, Oid};
use x509_parser::extensions::ParsedExtension;

use super::x509::pem_certificates;
use crate::clock::UnixSeconds;
use crate::model::json;
use crate::model::value::hex;

/// The longest signature, in bytes.
pub const MAX_SIGNATURE_BYTES: usize = 64 << 10;
/// Certificates that a signature brings along at most.
const MAX_CERTIFICATES: usize = 8;
/// `CMS_CADES` of OpenSSL 3.0: the signing-certificate attribute must be there and name the signer.
const CADES: u32 = 0x10_0000;
/// OpenSSL's security level 2: at least 112 bits in every key and signature of the path.
const SECURITY_LEVEL: i32 = 2;

/// What is wrong with a signature. The sentence is the caller's to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// Not of either form, or too long.
    #[error("the signature is neither a DER CMS nor a detached compact JWS, or too long")]
    Malformed,
    /// A digest or algorithm that is too weak or not known.
    #[error("the signature uses an algorithm that is not accepted")]
    Algorithm,
    /// Another key, or other bytes.
    #[error(
        "the signature is not that of the certificate over exactly these bytes, or has no signing-certificate attribute"
    )]
    Wrong,
    /// The path does not lead to a root, or is not valid at the time.
    #[error("the certificate does not lead to a configured root, or is not valid now")]
    Untrusted,
    /// A certificate that is not for signatures of people.
    #[error("the certificate may not sign: it needs digitalSignature or nonRepudiation, and must not be a CA")]
    WrongUse,
    /// A list takes it back.
    #[error("the certificate is revoked")]
    Revoked,
    /// A list is configured, but none of the issuer that is current.
    #[error("the revocation list is missing or out of date")]
    NoCurrentList,
}

/// The form of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Cryptographic Message Syntax, DER.
    Cms,
    /// JSON Web Signature, compact and detached.
    Jws,
}

impl Form {
    /// The word stored.
    pub fn word(self) -> &'static str {
        match self {
            Self::Cms => "cms",
            Self::Jws => "jws",
        }
    }
}

/// Who certifies approvers.
pub struct ApproverTrust {
    roots: Vec<X509>,
    lists: Vec<X509Crl>,
    needs_list: bool,
}

impl ApproverTrust {
    /// From PEM certificates (roots, and intermediates if people's tools leave them out) and PEM or DER revocation lists.
    /// Once there are lists, one of the issuer is needed.
    pub fn new(roots: &str, lists: Option<&[u8]>) -> Result<Self, SignatureFault> {
        let wrong = |_| SignatureFault::Malformed;
        let roots = pem_certificates(roots).map_err(|_| SignatureFault::Malformed)?;
        let roots = roots.iter().map(|der| X509::from_der(der).map_err(wrong)).collect::<Result<Vec<_>, _>>()?;
        let lists_read = lists.map(read_lists).transpose()?.unwrap_or_default();
        if roots.is_empty() {
            Err(SignatureFault::Malformed)
        } else {
            Ok(Self { roots, lists: lists_read, needs_list: lists.is_some() })
        }
    }

    fn store(&self, at: UnixSeconds) -> Result<X509Store, openssl::error::ErrorStack> {
        let mut store = X509StoreBuilder::new()?;
        // Only a self-signed one can end a path; the others are intermediates.
        for root in &self.roots {
            store.add_cert(root.clone())?;
        }
        let mut param = X509VerifyParam::new()?;
        param.set_time(at);
        param.set_auth_level(SECURITY_LEVEL);
        // What a person's certificate is for is checked by its key usage alone.
        param.set_purpose(X509PurposeId::ANY)?;
        store.set_param(&param)?;
        Ok(store.build())
    }

    /// Checks path, use and revocation of a certificate at `at`. `others` may hold intermediates.
    fn check(&self, certificate: &X509Ref, others: &[X509], at: UnixSeconds) -> Result<(), SignatureFault> {
        let untrusted = |_| SignatureFault::Untrusted;
        may_sign(&certificate.to_der().map_err(untrusted)?)?;
        let mut between = Stack::new().map_err(untrusted)?;
        for other in others {
            between.push(other.clone()).map_err(untrusted)?;
        }
        let store = self.store(at).map_err(untrusted)?;
        let mut context = X509StoreContext::new().map_err(untrusted)?;
        let path = context.init(&store, certificate, &between, |context| {
            let is_trusted = context.verify_cert()?;
            let path = context.chain().map(|path| path.iter().map(X509Ref::to_owned).collect::<Vec<_>>());
            Ok(path.filter(|_| is_trusted))
        });
        let path = path.map_err(untrusted)?.ok_or(SignatureFault::Untrusted)?;
        path.windows(2).try_for_each(|pair| self.check_revocation(&pair[0], &pair[1], at))
    }

    fn check_revocation(&self, certificate: &X509, issuer: &X509, at: UnixSeconds) -> Result<(), SignatureFault> {
        if !self.needs_list {
            return Ok(());
        }
        let missing = |_| SignatureFault::NoCurrentList;
        let now = Asn1Time::from_unix(at).map_err(missing)?;
        let key = issuer.public_key().map_err(missing)?;
        let mut is_current = false;
        for list in &self.lists {
            let is_issuers = list.issuer_name().try_cmp(issuer.subject_name()).is_ok_and(std::cmp::Ordering::is_eq);
            if !is_issuers || !list.verify(&key).unwrap_or(false) {
                continue;
            }
            // What was taken back stays so, however old the list is.
            if matches!(list.get_by_cert(certificate), CrlStatus::Revoked(_)) {
                return Err(SignatureFault::Revoked);
            }
            is_current |= list.last_update() <= now && list.next_update().is_some_and(|next| next > now);
        }
        if is_current { Ok(()) } else { Err(SignatureFault::NoCurrentList) }
    }
}

fn read_lists(bytes: &[u8]) -> Result<Vec<X509Crl>, SignatureFault> {
    const BEGIN: &str = "-----BEGIN X509 CRL-----";
    let wrong = |_| SignatureFault::Malformed;
    match std::str::from_utf8(bytes) {
        Ok(text) if text.contains(BEGIN) => {
            let blocks = text.split(BEGIN).skip(1).map(|block| format!("{BEGIN}{block}"));
            blocks.map(|block| X509Crl::from_pem(block.as_bytes()).map_err(wrong)).collect()
        }
        _ => Ok(vec![X509Crl::from_der(bytes).map_err(wrong)?]),
    }
}

fn may_sign(der: &[u8]) -> Result<(), SignatureFault> {
    let (_, certificate) =
        x509_parser::certificate::X509Certificate::from_der(der).map_err(|_| SignatureFault::Malformed)?;
    let (mut signs, mut is_ca) = (false, false);
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::KeyUsage(usage) => signs = usage.digital_signature() || usage.non_repudiation(),
            ParsedExtension::BasicConstraints(constraints) => is_ca = constraints.ca,
            _ => {}
        }
    }
    if signs && !is_ca { Ok(()) } else { Err(SignatureFault::WrongUse) }
}

/// What a certificate says of its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// SHA-256 of the certificate, in hexadecimal.
    pub sha256: String,
    /// The distinguished name, as people read it.
    pub subject: String,
    /// The last instant at which it is valid.
    pub not_after: UnixSeconds,
}

impl CertificateFacts {
    /// From DER.
    pub fn of(der: &[u8]) -> Result<Self, SignatureFault> {
        match x509_parser::certificate::X509Certificate::from_der(der) {
            Ok(([], certificate)) => Ok(Self {
                sha256: hex(&Sha256::digest(der)),
                subject: certificate.subject().to_string(),
                not_after: certificate.validity().not_after.timestamp(),
            }),
            _ => Err(SignatureFault::Malformed),
        }
    }

    /// Checks that the certificate may sign: at registration, so that nobody is surprised at the end of the month.
    pub fn of_signer(der: &[u8]) -> Result<Self, SignatureFault> {
        may_sign(der)?;
        Self::of(der)
    }
}

/// The distinguished name of a certificate's subject as it is encoded, DER; `None` for what is no certificate.
pub fn subject_of(der: &[u8]) -> Option<Vec<u8>> {
    match x509_parser::certificate::X509Certificate::from_der(der) {
        Ok(([], certificate)) => Some(certificate.subject().as_raw().to_vec()),
        _ => None,
    }
}

/// A signature that was read, not checked.
#[derive(Debug)]
pub struct ApproverSignature {
    /// Its form.
    pub form: Form,
    /// Its bytes.
    bytes: Vec<u8>,
    /// The certificates that it brings along.
    certificates: Vec<Vec<u8>>,
}

impl ApproverSignature {
    /// From base64 of a DER CMS, or from a detached compact JWS.
    pub fn parse(text: &str) -> Result<Self, SignatureFault> {
        if text.len() > MAX_SIGNATURE_BYTES * 4 / 3 {
            return Err(SignatureFault::Malformed);
        }
        let text: String = text.chars().filter(|character| !character.is_ascii_whitespace()).collect();
        if text.contains("..") {
            let certificates = Jws::parse(text.as_bytes())?.certificates;
            return Ok(Self { form: Form::Jws, bytes: text.into_bytes(), certificates });
        }
        Self::restored(Form::Cms, STANDARD.decode(text).map_err(|_| SignatureFault::Malformed)?)
    }

    /// From its stored bytes.
    pub fn restored(form: Form, bytes: Vec<u8>) -> Result<Self, SignatureFault> {
        let certificates = match form {
            Form::Cms => cms_certificates(&bytes)?,
            Form::Jws => Jws::parse(&bytes)?.certificates,
        };
        Ok(Self { form, bytes, certificates })
    }

    /// The bytes to keep.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The certificates that it brings along, DER; that one of them signed is not said.
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }

    /// Checks that the holder of `certificate` signed exactly `document`, and that the certificate is trusted at `at`.
    pub fn check(
        &self,
        document: &[u8],
        certificate: &[u8],
        trust: &ApproverTrust,
        at: UnixSeconds,
    ) -> Result<(), SignatureFault> {
        let read = |der: &Vec<u8>| X509::from_der(der).map_err(|_| SignatureFault::Malformed);
        let others = self.certificates.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let signer = X509::from_der(certificate).map_err(|_| SignatureFault::Malformed)?;
        trust.check(&signer, &others, at)?;
        let key = signer.public_key().map_err(|_| SignatureFault::Malformed)?;
        if key.id() == Id::EC && curve_bits(&key).is_none() {
            return Err(SignatureFault::Algorithm);
        }
        match self.form {
            Form::Cms => check_cms(&self.bytes, document, signer, trust, at),
            Form::Jws => Jws::parse(&self.bytes)?.check(document, certificate, &signer),
        }
    }
}

/// The bits of a key on P-256 or P-384; `None` on any other curve, however many bits it has, and for any other key.
fn curve_bits(key: &PKey<Public>) -> Option<u32> {
    match key.ec_key().ok()?.group().curve_name()? {
        Nid::X9_62_PRIME256V1 => Some(256),
        Nid::SECP384R1 => Some(384),
        _ => None,
    }
}

fn check_cms(
    bytes: &[u8],
    document: &[u8],
    signer: X509,
    trust: &ApproverTrust,
    at: UnixSeconds,
) -> Result<(), SignatureFault> {
    let wrong = |_| SignatureFault::Wrong;
    let mut cms = CmsContentInfo::from_der(bytes).map_err(|_| SignatureFault::Malformed)?;
    // Only this certificate can be the signer's, whatever the message brings along.
    let mut signers = Stack::new().map_err(wrong)?;
    signers.push(signer).map_err(wrong)?;
    let store = trust.store(at).map_err(wrong)?;
    let flags = CMSOptions::NOINTERN | CMSOptions::BINARY | CMSOptions::NOCRL | CMSOptions::from_bits_retain(CADES);
    cms.verify(Some(&signers), Some(&store), Some(document), None, flags).map_err(wrong)
}

/// The certificates of a CMS with one signer, whose digests are long enough (RFC 5652 section 5.1).
fn cms_certificates(bytes: &[u8]) -> Result<Vec<Vec<u8>>, SignatureFault> {
    const MALFORMED: SignatureFault = SignatureFault::Malformed;
    if bytes.len() > MAX_SIGNATURE_BYTES {
        return Err(MALFORMED);
    }
    // In DER, whatever lengths the tool wrote.
    let der = CmsContentInfo::from_der(bytes).and_then(|cms| cms.to_der()).map_err(|_| MALFORMED)?;
    let info = children(&der)?;
    let [whole] = info.as_slice() else { return Err(MALFORMED) };
    let info = children(whole.data)?;
    let [kind, content] = info.as_slice() else { return Err(MALFORMED) };
    // id-signedData
    if kind.clone().oid().map_err(|_| MALFORMED)? != x509_parser::asn1_rs::oid!(1.2.840.113549.1.7.2) {
        return Err(MALFORMED);
    }
    let signed = children(content.data)?;
    let [signed] = signed.as_slice() else { return Err(MALFORMED) };
    let signed = children(signed.data)?;
    let [_, digests, _, rest @ ..] = signed.as_slice() else { return Err(MALFORMED) };
    for digest in children(digests.data)? {
        let parts = children(digest.data)?;
        let oid = parts.first().and_then(|oid| oid.clone().oid().ok()).ok_or(MALFORMED)?;
        if !is_long_enough(&oid) {
            return Err(SignatureFault::Algorithm);
        }
    }
    let signers = rest.last().map(|signers| children(signers.data)).transpose()?.unwrap_or_default();
    if signers.len() != 1 {
        return Err(MALFORMED);
    }
    let certificates =
        rest.iter().find(|part| part.tag().0 == 0 && part.class() == x509_parser::asn1_rs::Class::ContextSpecific);
    let mut found = Vec::new();
    let mut left = certificates.map_or(&[][..], |part| part.data);
    while !left.is_empty() {
        let (rest, _) = Any::from_der(left).map_err(|_| MALFORMED)?;
        found.push(left[..left.len() - rest.len()].to_vec());
        left = rest;
    }
    if found.len() > MAX_CERTIFICATES { Err(MALFORMED) } else { Ok(found) }
}

/// SHA-256, SHA-384, SHA-512, and SHA-3 of the same lengths.
fn is_long_enough(oid: &Oid<'_>) -> bool {
    let known = ["2.16.840.1.101.3.4.2.1", "2.16.840.1.101.3.4.2.2", "2.16.840.1.101.3.4.2.3"];
    let sha3 = ["2.16.840.1.101.3.4.2.8", "2.16.840.1.101.3.4.2.9", "2.16.840.1.101.3.4.2.10"];
    known.into_iter().chain(sha3).any(|text| oid.to_id_string() == text)
}

fn children(mut der: &[u8]) -> Result<Vec<Any<'_>>, SignatureFault> {
    let mut found = Vec::new();
    while !der.is_empty() {
        let (rest, child) = Any::from_der(der).map_err(|_| SignatureFault::Malformed)?;
        found.push(child);
        der = rest;
    }
    Ok(found)
}

/// A detached compact JWS: `header..signature`.
struct Jws<'a> {
    header: &'a str,
    algorithm: String,
    signature: Vec<u8>,
    certificates: Vec<Vec<u8>>,
}

impl<'a> Jws<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, SignatureFault> {
        const MALFORMED: SignatureFault = SignatureFault::Malformed;
        let (header, signature) =
            std::str::from_utf8(bytes).ok().and_then(|text| text.split_once("..")).ok_or(MALFORMED)?;
        let decoded = URL_SAFE_NO_PAD.decode(header).map_err(|_| MALFORMED)?;
        let members = json::parse(&decoded).map_err(|_| MALFORMED)?;
        // Nothing that changes what is signed: no `b64` (RFC 7797), no other extension.
        if members.get("crit").is_some() || members.get("b64").is_some() {
            return Err(MALFORMED);
        }
        let certificates = members.get("x5c").and_then(Value::as_array).ok_or(MALFORMED)?;
        let certificates =
            certificates.iter().map(|text| STANDARD.decode(text.as_str()?).ok()).collect::<Option<Vec<_>>>();
        let certificates =
            certificates.filter(|found| (1..=MAX_CERTIFICATES).contains(&found.len())).ok_or(MALFORMED)?;
        Ok(Self {
            header,
            algorithm: members.get("alg").and_then(Value::as_str).ok_or(MALFORMED)?.to_owned(),
            signature: URL_SAFE_NO_PAD.decode(signature).map_err(|_| MALFORMED)?,
            certificates,
        })
    }

    fn check(&self, document: &[u8], certificate: &[u8], signer: &X509) -> Result<(), SignatureFault> {
        // RFC 7515 section 4.1.6: the first certificate is the signer's.
        if self.certificates.first().is_none_or(|first| first != certificate) {
            return Err(SignatureFault::Wrong);
        }
        let key = signer.public_key().map_err(|_| SignatureFault::Malformed)?;
        let message = format!("{}.{}", self.header, URL_SAFE_NO_PAD.encode(document));
        match self.verify(&key, message.as_bytes()) {
            Some(Ok(true)) => Ok(()),
            Some(_) => Err(SignatureFault::Wrong),
            None => Err(SignatureFault::Algorithm),
        }
    }

    /// `None` for an algorithm that is not known or not the key's (RFC 7518, RFC 8037).
    fn verify(&self, key: &PKey<Public>, message: &[u8]) -> Option<Result<bool, openssl::error::ErrorStack>> {
        let sha256 = MessageDigest::sha256();
        Some(match (self.algorithm.as_str(), key.id()) {
            ("RS256", Id::RSA) => {
                Verifier::new(sha256, key).and_then(|mut verifier| verifier.verify_oneshot(&self.signature, message))
            }
            ("PS256", Id::RSA) => Verifier::new(sha256, key).and_then(|mut verifier| {
                verifier.set_rsa_padding(Padding::PKCS1_PSS)?;
                verifier.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
                verifier.verify_oneshot(&self.signature, message)
            }),
            ("ES256", Id::EC) if curve_bits(key) == Some(256) => self.verify_ecdsa(key, sha256, message),
            ("ES384", Id::EC) if curve_bits(key) == Some(384) => {
                self.verify_ecdsa(key, MessageDigest::sha384(), message)
            }
            ("EdDSA", Id::ED25519) => Verifier::new_without_digest(key)
                .and_then(|mut verifier| verifier.verify_oneshot(&self.signature, message)),
            _ => return None,
        })
    }

    /// RFC 7518 section 3.4: the two numbers one after the other.
    fn verify_ecdsa(
        &self,
        key: &PKey<Public>,
        digest: MessageDigest,
        message: &[u8],
    ) -> Result<bool, openssl::error::ErrorStack> {
        use openssl::bn::BigNum;
        let width = usize::try_from(key.bits()).unwrap_or(0) / 8;
        if self.signature.len() != 2 * width {
            return Ok(false);
        }
        let (r, s) = self.signature.split_at(width);
        let signature =
            openssl::ecdsa::EcdsaSig::from_private_components(BigNum::from_slice(r)?, BigNum::from_slice(s)?)?;
        let der = signature.to_der()?;
        Verifier::new(digest, key)?.verify_oneshot(&der, message)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A self-signed certificate with a key on this curve, and a detached JWS that it made of `document`.
    fn signed_on(curve: Nid, document: &[u8]) -> (Vec<u8>, String) {
        use openssl::ec::{EcGroup, EcKey};
        use openssl::x509::extension::KeyUsage;
        let key = EcKey::generate(&EcGroup::from_curve_name(curve).unwrap()).unwrap();
        let pair = PKey::from_ec_key(key.clone()).unwrap();
        let mut name = openssl::x509::X509Name::builder().unwrap();
        name.append_entry_by_text("CN", "Chief").unwrap();
        let name = name.build();
        let mut certificate = X509::builder().unwrap();
        certificate.set_version(2).unwrap();
        certificate.set_subject_name(&name).unwrap();
        certificate.set_issuer_name(&name).unwrap();
        certificate.set_pubkey(&pair).unwrap();
        certificate.set_not_before(&Asn1Time::from_unix(0).unwrap()).unwrap();
        certificate.set_not_after(&Asn1Time::from_unix(4_000_000_000).unwrap()).unwrap();
        certificate.append_extension(KeyUsage::new().digital_signature().build().unwrap()).unwrap();
        certificate.sign(&pair, MessageDigest::sha256()).unwrap();
        let der = certificate.build().to_der().unwrap();
        let header = serde_json::json!({"alg": "ES256", "x5c": [STANDARD.encode(&der)]});
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(document));
        let signature = openssl::ecdsa::EcdsaSig::sign(&Sha256::digest(message), &key).unwrap();
        let half = |number: &openssl::bn::BigNumRef| number.to_vec_padded(32).unwrap();
        let both = [half(signature.r()), half(signature.s())].concat();
        (der, format!("{header}..{}", URL_SAFE_NO_PAD.encode(both)))
    }

    #[test]
    fn a_key_on_another_curve_of_256_bits_signs_nothing() {
        let check = |curve| {
            let (der, signature) = signed_on(curve, b"{}");
            let pem = String::from_utf8(X509::from_der(&der).unwrap().to_pem().unwrap()).unwrap();
            let trust = ApproverTrust::new(&pem, None).unwrap();
            ApproverSignature::parse(&signature).unwrap().check(b"{}", &der, &trust, 1_795_325_268)
        };
        assert_eq!(check(Nid::X9_62_PRIME256V1), Ok(()));
        assert_eq!(check(Nid::SECP256K1), Err(SignatureFault::Algorithm));
    }

    proptest! {
        #[test]
        fn what_strangers_send_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "[A-Za-z0-9_.+/= -]{0,120}") {
            prop_assert!(ApproverSignature::restored(Form::Cms, bytes.clone()).is_err());
            prop_assert!(ApproverSignature::restored(Form::Jws, bytes.clone()).is_err());
            let _ = ApproverSignature::parse(&text);
            let _ = CertificateFacts::of_signer(&bytes);
            prop_assert!(ApproverTrust::new(&text, Some(&bytes)).is_err());
        }
    }
}
