//! Certificate paths (RFC 5280, as far as a two- or three-level credential PKI needs it): from an `x5c` to a pinned
//! trust anchor.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::Oid;
use x509_parser::prelude::FromDer;

use super::key::{KeyError, PublicKey};
use crate::clock::UnixSeconds;

/// Leaf and intermediates: more than this is no card of ours.
pub const MAX_CHAIN: usize = 4;

/// Why a chain does not lead to an anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Not DER, empty, or longer than [`MAX_CHAIN`].
    #[error("the certificate chain is malformed")]
    Malformed,
    /// The leaf is self-signed, or a chain carries its anchor (HAIP 1.0 section 6.1.1 forbids both).
    #[error("the leaf is self-signed or the chain carries its trust anchor")]
    AnchorInside,
    /// A certificate is not valid at that time.
    #[error("a certificate is outside its validity period")]
    NotValidNow,
    /// An issuer that is no CA, a leaf that may not sign, or a critical extension that we do not know.
    #[error("a certificate is used for what it was not issued for")]
    WrongUse,
    /// No pinned anchor stands at its end.
    #[error("the chain does not lead to a trusted anchor")]
    Untrusted,
    /// A signature in it does not fit.
    #[error("a signature in the certificate chain is wrong")]
    BadSignature,
}

/// The extended key usage of document signers, as dotted text: ISO/IEC 18013-5 Annex B wants an object identifier of the
/// document type's owner. The Ministry has no arc yet, so this one is the UUID 5745c607-82dd-4e9c-8a26-66d1e146530d
/// under 2.25 (ITU-T X.667), which anybody may make: our choice, nothing official, to be replaced by one under the
/// Ministry's own arc, not least because some readers of certificates cannot hold an arc of 128 bits.
pub const DOCUMENT_SIGNING_OID: &str = "2.25.116005120628725839794736311592479511309";

/// [`DOCUMENT_SIGNING_OID`] as the content of its DER encoding.
pub const DOCUMENT_SIGNING_OID_BYTES: [u8; 20] = [
    0x69, 0x81, 0xae, 0xc5, 0xe3, 0x81, 0xf0, 0xad, 0xea, 0xba, 0xb9, 0x8a, 0x93, 0x99, 0xda, 0x9e, 0x8a, 0x99, 0xa6,
    0x0d,
];

/// What a certificate was issued for. It stands in the certificate as a URI among its alternative names, until the
/// Ministry has an arc of object identifiers for extended key usages; only document signers, whose profile wants one,
/// have an extended key usage already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Signs cards.
    Cards,
    /// Signs status lists.
    StatusLists,
    /// Signs the trust list.
    TrustList,
    /// Signs the issuer's metadata.
    Metadata,
    /// Signs the change feed and webhooks.
    Events,
    /// Signs cards as mdocs, by the profile of ISO/IEC 18013-5 Annex B.
    Mdocs,
    /// Signs requests for presentations.
    Requests,
}

impl Use {
    /// The name in the certificate.
    pub fn uri(self) -> &'static str {
        match self {
            Self::Cards => "urn:vn:officials-card:use:cards",
            Self::StatusLists => "urn:vn:officials-card:use:status-lists",
            Self::TrustList => "urn:vn:officials-card:use:trust-list",
            Self::Metadata => "urn:vn:officials-card:use:metadata",
            Self::Events => "urn:vn:officials-card:use:events",
            Self::Requests => "urn:vn:officials-card:use:requests",
            // RFC 3061. Not among the alternative names: see `is_document_signer`.
            Self::Mdocs => "urn:oid:2.25.116005120628725839794736311592479511309",
        }
    }
}

/// Pinned trust anchors: the root and, when it is prepared, its successor.
#[derive(Clone, Debug, Default)]
pub struct Anchors(Vec<Vec<u8>>);

impl Anchors {
    /// From DER certificates.
    pub fn new(certificates: Vec<Vec<u8>>) -> Self {
        Self(certificates)
    }

    /// From one or several `CERTIFICATE` blocks of a PEM text; other blocks are passed over.
    pub fn from_pem(text: &str) -> Result<Self, ChainError> {
        let certificates = pem_certificates(text)?;
        if certificates.is_empty() { Err(ChainError::Malformed) } else { Ok(Self(certificates)) }
    }

    /// The anchor that has signed a certificate: for our own files, whatever the time.
    pub fn issuer_of(&self, certificate: &[u8]) -> Option<&[u8]> {
        let certificate = parse(certificate).ok()?;
        let has_signed = |anchor: &&Vec<u8>| {
            parse(anchor).is_ok_and(|anchor| {
                anchor.subject() == certificate.issuer()
                    && key_of(&anchor).and_then(|key| check_signature(&certificate, &key)).is_ok()
            })
        };
        self.0.iter().find(has_signed).map(Vec::as_slice)
    }

    /// The key identifiers of whoever stands behind a chain that leads to one of these anchors: those that its
    /// certificates name (`AuthorityKeyIdentifier`), and the anchor's own. What `aki` of DCQL is compared with.
    pub fn authority_key_ids(&self, chain: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let anchor = chain.last().and_then(|last| self.issuer_of(last));
        let mut ids = Vec::new();
        for der in chain.iter().map(Vec::as_slice).chain(anchor) {
            let Ok(certificate) = parse(der) else { continue };
            for extension in certificate.extensions() {
                let id = match extension.parsed_extension() {
                    ParsedExtension::AuthorityKeyIdentifier(authority) => authority.key_identifier.as_ref(),
                    ParsedExtension::SubjectKeyIdentifier(subject) if Some(der) == anchor => Some(subject),
                    _ => None,
                };
                ids.extend(id.map(|id| id.0.to_vec()));
            }
        }
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Checks that `chain` (leaf first) leads to one of these anchors at `now` and that its leaf was issued for this use,
    /// and gives the leaf's key.
    pub fn check(&self, chain: &[Vec<u8>], purpose: Use, now: UnixSeconds) -> Result<PublicKey, ChainError> {
        let key = self.check_path(chain, now)?;
        if is_issued_for(&parse(&chain[0])?, purpose) { Ok(key) } else { Err(ChainError::WrongUse) }
    }

    /// Checks that `chain` (leaf first) leads to one of these anchors at `now`, and gives the leaf's key. For anchors of
    /// others, which say by themselves what they certify: attesters of wallets.
    pub fn check_path(&self, chain: &[Vec<u8>], now: UnixSeconds) -> Result<PublicKey, ChainError> {
        if chain.is_empty() || chain.len() > MAX_CHAIN {
            return Err(ChainError::Malformed);
        }
        if chain.iter().any(|certificate| self.0.contains(certificate)) {
            return Err(ChainError::AnchorInside);
        }
        let certificates = chain.iter().map(|der| parse(der)).collect::<Result<Vec<_>, _>>()?;
        for (depth, certificate) in certificates.iter().enumerate() {
            check_period(certificate, now)?;
            check_use(certificate, depth.checked_sub(1))?;
            if certificate.subject() == certificate.issuer() {
                return Err(ChainError::AnchorInside);
            }
        }
        for pair in certificates.windows(2) {
            if pair[0].issuer() != pair[1].subject() {
                return Err(ChainError::Untrusted);
            }
            check_signature(&pair[0], &key_of(&pair[1])?)?;
        }
        let last = &certificates[certificates.len() - 1];
        let mut outcome = Err(ChainError::Untrusted);
        for anchor in &self.0 {
            let anchor = parse(anchor)?;
            if last.issuer() != anchor.subject() {
                continue;
            }
            outcome = check_period(&anchor, now)
                .and_then(|()| check_use(&anchor, Some(certificates.len() - 1)))
                .and_then(|()| check_signature(last, &key_of(&anchor)?));
            if outcome.is_ok() {
                break;
            }
        }
        outcome.and_then(|()| key_of(&certificates[0]))
    }
}

/// The DER of every `CERTIFICATE` block (RFC 7468).
pub fn pem_certificates(text: &str) -> Result<Vec<Vec<u8>>, ChainError> {
    let mut certificates = Vec::new();
    for block in text.split("-----BEGIN CERTIFICATE-----").skip(1) {
        let body = block.split("-----END CERTIFICATE-----").next().unwrap_or_default();
        let body: String = body.chars().filter(|character| !character.is_ascii_whitespace()).collect();
        certificates.push(STANDARD.decode(body).map_err(|_| ChainError::Malformed)?);
    }
    Ok(certificates)
}

/// The public key of a certificate, without any check of the certificate: for our own files.
pub fn public_key(der: &[u8]) -> Result<PublicKey, ChainError> {
    key_of(&parse(der)?)
}

/// First and last instant of a certificate: for our own files.
pub fn validity(der: &[u8]) -> Result<(UnixSeconds, UnixSeconds), ChainError> {
    let certificate = parse(der)?;
    Ok((certificate.validity().not_before.timestamp(), certificate.validity().not_after.timestamp()))
}

/// The DNS names among the alternative names of a certificate.
pub fn dns_names(der: &[u8]) -> Result<Vec<String>, ChainError> {
    let certificate = parse(der)?;
    let mut names = Vec::new();
    for extension in certificate.extensions() {
        if let ParsedExtension::SubjectAlternativeName(found) = extension.parsed_extension() {
            names.extend(found.general_names.iter().filter_map(|name| match name {
                GeneralName::DNSName(name) => Some((*name).to_owned()),
                _ => None,
            }));
        }
    }
    Ok(names)
}

/// Whether a certificate is that of a document signer by the profile of ISO/IEC 18013-5 Annex B, for documents of any of
/// these extended key usages (dotted): a critical key usage of nothing but signatures, a critical extended key usage of
/// nothing else, and the country of its issuer.
pub fn is_document_signer_for(der: &[u8], usages: &[String]) -> bool {
    let Ok(certificate) = parse(der) else { return false };
    let country = |name: &x509_parser::x509::X509Name<'_>| {
        name.iter_country().next().and_then(|country| country.as_str().ok().map(str::to_owned))
    };
    country(certificate.subject()).is_some()
        && country(certificate.subject()) == country(certificate.issuer())
        && signs_documents(&certificate, |oid| usages.iter().any(|usage| *usage == oid.to_id_string()))
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, ChainError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(ChainError::Malformed),
    }
}

fn check_period(certificate: &X509Certificate<'_>, now: UnixSeconds) -> Result<(), ChainError> {
    let validity = certificate.validity();
    if (validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&now) {
        Ok(())
    } else {
        Err(ChainError::NotValidNow)
    }
}

fn is_issued_for(certificate: &X509Certificate<'_>, purpose: Use) -> bool {
    if purpose == Use::Mdocs {
        return is_document_signer(certificate);
    }
    certificate.extensions().iter().any(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => {
            names.general_names.iter().any(|name| matches!(name, GeneralName::URI(uri) if *uri == purpose.uri()))
        }
        _ => false,
    })
}

/// ISO/IEC 18013-5 Annex B.1.4: a critical key usage of nothing but signatures, and a critical extended key usage of
/// nothing but signing documents of our type.
fn is_document_signer(certificate: &X509Certificate<'_>) -> bool {
    signs_documents(certificate, |oid| oid.as_bytes() == DOCUMENT_SIGNING_OID_BYTES)
}

fn signs_documents(certificate: &X509Certificate<'_>, fits: impl Fn(&Oid<'_>) -> bool) -> bool {
    let (mut usage, mut extended) = (false, false);
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            // RFC 5280 section 4.2.1.3: the first bit is digitalSignature.
            ParsedExtension::KeyUsage(found) => usage = extension.critical && found.flags == 1,
            ParsedExtension::ExtendedKeyUsage(found) => {
                let only = !(found.any
                    || found.server_auth
                    || found.client_auth
                    || found.code_signing
                    || found.email_protection
                    || found.time_stamping
                    || found.ocsp_signing);
                let documents = matches!(found.other.as_slice(), [oid] if fits(oid));
                extended = extension.critical && only && documents;
            }
            _ => {}
        }
    }
    usage && extended
}

/// Checks that a leaf (`None`) may sign, or that an issuer may issue with so many issuers below it.
fn check_use(certificate: &X509Certificate<'_>, issuers_below: Option<usize>) -> Result<(), ChainError> {
    let mut is_ca = false;
    let mut usage = None;
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(constraints) => {
                let longest = constraints.path_len_constraint.map_or(usize::MAX, |longest| longest as usize);
                is_ca = constraints.ca && issuers_below.is_none_or(|below| below <= longest);
            }
            ParsedExtension::KeyUsage(found) => usage = Some((found.digital_signature(), found.key_cert_sign())),
            ParsedExtension::ExtendedKeyUsage(_)
            | ParsedExtension::SubjectAlternativeName(_)
            | ParsedExtension::AuthorityKeyIdentifier(_)
            | ParsedExtension::SubjectKeyIdentifier(_) => {}
            _ if extension.critical => return Err(ChainError::WrongUse),
            _ => {}
        }
    }
    let allowed = match (issuers_below.is_some(), usage) {
        (true, Some((_, signs_certificates))) => is_ca && signs_certificates,
        (true, None) => false,
        (false, Some((signs, _))) => !is_ca && signs,
        (false, None) => !is_ca,
    };
    if allowed { Ok(()) } else { Err(ChainError::WrongUse) }
}

fn key_of(certificate: &X509Certificate<'_>) -> Result<PublicKey, ChainError> {
    let info = certificate.public_key();
    PublicKey::from_certificate_bits(&info.algorithm.algorithm.to_id_string(), &info.subject_public_key.data).map_err(
        |error| match error {
            KeyError::UnknownKind => ChainError::WrongUse,
            _ => ChainError::Malformed,
        },
    )
}

fn check_signature(certificate: &X509Certificate<'_>, issuer: &PublicKey) -> Result<(), ChainError> {
    let signed = certificate.tbs_certificate.as_ref();
    let signature = &certificate.signature_value.data;
    match (certificate.signature_algorithm.algorithm.to_id_string().as_str(), issuer) {
        ("1.3.101.112", PublicKey::Ed25519(_)) => issuer.verify(signed, signature),
        ("1.2.840.10045.4.3.2", PublicKey::P256(_)) => {
            issuer.verify(signed, &fixed_signature(signature).ok_or(ChainError::BadSignature)?)
        }
        _ => return Err(ChainError::BadSignature),
    }
    .map_err(|_| ChainError::BadSignature)
}

/// The DER `Ecdsa-Sig-Value` of RFC 3279 as `r || s`.
fn fixed_signature(der: &[u8]) -> Option<[u8; 64]> {
    let [0x30, length, body @ ..] = der else { return None };
    if usize::from(*length) != body.len() {
        return None;
    }
    let (r, rest) = integer(body)?;
    let (s, rest) = integer(rest)?;
    let mut fixed = [0; 64];
    fixed[..32].copy_from_slice(&r);
    fixed[32..].copy_from_slice(&s);
    rest.is_empty().then_some(fixed)
}

fn integer(der: &[u8]) -> Option<([u8; 32], &[u8])> {
    let [0x02, length, body @ ..] = der else { return None };
    let (digits, rest) = body.split_at_checked(usize::from(*length))?;
    let digits = digits.strip_prefix(&[0]).unwrap_or(digits);
    let mut fixed = [0; 32];
    fixed.get_mut(32_usize.checked_sub(digits.len())?..)?.copy_from_slice(digits);
    Some((fixed, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_identifier_is_one_and_the_same_in_all_its_forms() {
        // X.690 section 8.19: base 128, the first two arcs in one.
        let number = |digits: &[u8]| digits.iter().fold(0_u128, |number, digit| number << 7 | u128::from(digit & 0x7f));
        let [first, arc @ ..] = DOCUMENT_SIGNING_OID_BYTES;
        assert_eq!(DOCUMENT_SIGNING_OID, format!("2.{}.{}", first - 2 * 40, number(&arc)));
        assert_eq!(Use::Mdocs.uri(), format!("urn:oid:{DOCUMENT_SIGNING_OID}"));
        assert_eq!(number(&arc), 0x5745_c607_82dd_4e9c_8a26_66d1_e146_530d, "the UUID that the comment names");
    }
}
