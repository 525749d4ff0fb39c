//! The key folder: making it, reading it.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use aws_lc_rs::encoding::AsBigEndian;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jwe::{JweHeader, PBES2_HS512_A256KW};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SanType, SigningKey,
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::iaca::Ceremony;
use crate::chance::Chance;
use crate::clock::{DAY_SECONDS, UnixSeconds};
use crate::config::Secret;
use crate::credential::x509::Use;
use crate::error::Fault;

/// PBKDF2 rounds for the passphrase of a key file (the OWASP figure for HMAC-SHA-512).
const PBKDF2_ROUNDS: usize = 210_000;
pub(super) const ROOT_YEARS: i64 = 15;
const LEAF_YEARS: i64 = 6;
/// The reader authentication profile of ISO/IEC 18013-5 Annex B allows 1187 days.
const READER_YEARS: i64 = 3;
/// `id-mdl-kp-readerAuth` of ISO/IEC 18013-5 Annex B.
const READER_AUTHENTICATION: [u64; 6] = [1, 0, 18013, 5, 1, 6];
pub(super) const YEAR_SECONDS: i64 = 365 * 86400 + 21600;

/// The certified keys: name, whether P-256 (otherwise Ed25519), use, subject.
const LEAVES: [(&str, bool, Use, &str); 9] = [
    ("issuer-es256", true, Use::Cards, "Officials card issuer (ES256)"),
    ("issuer-eddsa", false, Use::Cards, "Officials card issuer (EdDSA)"),
    ("qr", false, Use::Cards, "Officials card QR issuer"),
    ("status-es256", true, Use::StatusLists, "Officials card status lists (JWT)"),
    ("status-eddsa", false, Use::StatusLists, "Officials card status lists (CWT)"),
    ("list", false, Use::TrustList, "Officials card trust list"),
    ("metadata", true, Use::Metadata, "Officials card issuer metadata"),
    ("events", true, Use::Events, "Officials card change feed"),
    ("verifier", true, Use::Requests, "Officials card verifier"),
];

/// Makes a new PKI in `folder`, which must not hold one already, for the issuer `public_url`. Certificates start the day
/// before `now`: the dates of cards are rounded down, clocks differ, and a card may not be dated before its key.
pub fn init(
    folder: &Path,
    passphrase: Option<&Secret>,
    public_url: &str,
    chance: &Chance,
    now: UnixSeconds,
) -> Result<(), Fault> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| Fault::new("creating the key folder", error))?;
    if folder.join("root.pem").exists() {
        return Err(Fault::new("making keys", format!("{} already holds keys", folder.display())));
    }
    let root_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(making)?;
    let mut root = params("Officials card root", now, ROOT_YEARS)?;
    root.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let root_certificate = root.self_signed(&root_key).map_err(making)?;
    add_certified(folder, passphrase, public_url, &Issuer::from_params(&root, &root_key), now)?;
    add_uncertified(folder, passphrase, chance)?;
    Ceremony { folder, passphrase, public_url, chance, now }.add_missing()?;
    write_private(folder, "root", &private_jwk(&root_key)?, passphrase)?;
    // Last: its presence says that the folder is complete.
    write_new(&folder.join("root.pem"), root_certificate.pem().as_bytes())
}

/// Adds the keys that a folder made by an earlier version does not have yet, and gives their names. A certificate that is
/// missing under the root needs the root's private key; so does one under the IACA, unless there is no IACA yet: then both
/// are made.
pub fn add(
    folder: &Path,
    passphrase: Option<&Secret>,
    public_url: &str,
    chance: &Chance,
    now: UnixSeconds,
) -> Result<Vec<&'static str>, Fault> {
    let mut added = Vec::new();
    if LEAVES.iter().any(|(name, ..)| !is_there(folder, name)) {
        let root_key = signing_key(&read_private(folder, "root", passphrase)?)?;
        let root_pem = read_text(&folder.join("root.pem"))?;
        let root = Issuer::from_ca_cert_pem(&root_pem, root_key).map_err(making)?;
        added = add_certified(folder, passphrase, public_url, &root, now)?;
    }
    added.extend(add_uncertified(folder, passphrase, chance)?);
    added.extend(Ceremony { folder, passphrase, public_url, chance, now }.add_missing()?);
    Ok(added)
}

/// A private P-256 JWK as a key that certifies.
pub fn signing_key(jwk: &Value) -> Result<KeyPair, Fault> {
    KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8_of(jwk)?.as_slice().into(), &PKCS_ECDSA_P256_SHA256).map_err(making)
}

/// A private P-256 JWK as PKCS #8 (RFC 5958).
fn pkcs8_of(jwk: &Value) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let point = [&[4][..], &*member(jwk, "x")?, &*member(jwk, "y")?].concat();
    let pair =
        EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, &*member(jwk, "d")?, &point);
    let pair = pair.map_err(|error| Fault::new("reading a private key", error.to_string()))?;
    let der = pair.to_pkcs8v1().map_err(|error| Fault::new("reading a private key", error.to_string()))?;
    Ok(Zeroizing::new(der.as_ref().to_vec()))
}

fn is_there(folder: &Path, name: &str) -> bool {
    ["pem", "jwk", "jwk.jwe"].iter().any(|end| folder.join(format!("{name}.{end}")).exists())
}

fn add_certified(
    folder: &Path,
    passphrase: Option<&Secret>,
    public_url: &str,
    root: &Issuer<'_, impl SigningKey>,
    now: UnixSeconds,
) -> Result<Vec<&'static str>, Fault> {
    let mut added = Vec::new();
    for (name, is_p256, purpose, subject) in LEAVES {
        if is_there(folder, name) {
            continue;
        }
        let key =
            KeyPair::generate_for(if is_p256 { &PKCS_ECDSA_P256_SHA256 } else { &PKCS_ED25519 }).map_err(making)?;
        let years = if purpose == Use::Requests { READER_YEARS } else { LEAF_YEARS };
        let mut leaf = params(subject, now, years)?;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.use_authority_key_identifier_extension = true;
        leaf.subject_alt_names = vec![SanType::URI(purpose.uri().try_into().map_err(making)?)];
        if purpose == Use::Requests {
            be_a_reader(&mut leaf, public_url)?;
        }
        let certificate = leaf.signed_by(&key, root).map_err(making)?;
        write_private(folder, name, &private_jwk(&key)?, passphrase)?;
        write_new(&folder.join(format!("{name}.pem")), certificate.pem().as_bytes())?;
        added.push(name);
    }
    Ok(added)
}

/// What wallets look for in the certificate of a verifier: the usage of a reader (ISO/IEC 18013-5 Annex B), and the DNS
/// name that a `client_id` of the kind `x509_san_dns` says.
fn be_a_reader(leaf: &mut CertificateParams, public_url: &str) -> Result<(), Fault> {
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(READER_AUTHENTICATION.to_vec())];
    let host = url::Url::parse(public_url).ok();
    if let Some(host) = host.as_ref().and_then(url::Url::domain) {
        leaf.subject_alt_names.push(SanType::DnsName(host.try_into().map_err(making)?));
        leaf.distinguished_name.push(DnType::OrganizationName, host);
    }
    Ok(())
}

fn add_uncertified(folder: &Path, passphrase: Option<&Secret>, chance: &Chance) -> Result<Vec<&'static str>, Fault> {
    let mut added = Vec::new();
    if !is_there(folder, "encryption") {
        write_private(folder, "encryption", &fresh_p256_jwk()?, passphrase)?;
        added.push("encryption");
    }
    if !is_there(folder, "secret") {
        let secret = Zeroizing::new(chance.bytes::<32>());
        write_private(folder, "secret", &json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(*secret)}), passphrase)?;
        added.push("secret");
    }
    Ok(added)
}

pub(super) fn making(error: rcgen::Error) -> Fault {
    Fault::new("making a certificate", error)
}

fn params(common_name: &str, now: UnixSeconds, years: i64) -> Result<CertificateParams, Fault> {
    let instant =
        |at| time::OffsetDateTime::from_unix_timestamp(at).map_err(|error| Fault::new("dating a certificate", error));
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CountryName, "VN");
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = instant(now - now.rem_euclid(DAY_SECONDS) - DAY_SECONDS)?;
    params.not_after = instant(now + years * YEAR_SECONDS)?;
    Ok(params)
}

/// A fresh P-256 private JWK without a certificate: for a client's or a holder's key.
pub fn fresh_p256_jwk() -> Result<Value, Fault> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| Fault::new("making a key", error))?;
    private_jwk(&key)
}

/// The private JWK of a fresh key pair.
pub(super) fn private_jwk(pair: &KeyPair) -> Result<Value, Fault> {
    let der = Zeroizing::new(pair.serialize_der());
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let public = pair.public_key_raw();
    if pair.is_compatible(&PKCS_ED25519) {
        // RFC 8410 section 7: the private key is an OCTET STRING of 32 bytes inside an OCTET STRING.
        let start = der.windows(4).position(|window| window == [0x04, 0x22, 0x04, 0x20]);
        let seed = start.and_then(|start| der.get(start + 4..start + 36));
        let seed = seed.ok_or_else(|| Fault::new("exporting a key", "not the PKCS #8 of RFC 8410"))?;
        return Ok(json!({"kty": "OKP", "crv": "Ed25519", "x": text(public), "d": text(seed)}));
    }
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der)
        .map_err(|error| Fault::new("exporting a key", error.to_string()))?;
    let private = pair.private_key().as_be_bytes().map_err(|error| Fault::new("exporting a key", error.to_string()))?;
    Ok(json!({
        "kty": "EC", "crv": "P-256",
        "x": text(&public[1..33]), "y": text(&public[33..65]), "d": text(private.as_ref()),
    }))
}

/// Writes `NAME.jwk`, or `NAME.jwk.jwe` under a passphrase.
pub fn write_private(folder: &Path, name: &str, jwk: &Value, passphrase: Option<&Secret>) -> Result<(), Fault> {
    let plain = Zeroizing::new(jwk.to_string());
    let Some(passphrase) = passphrase else {
        return write_new(&folder.join(format!("{name}.jwk")), plain.as_bytes());
    };
    let fault = |error: josekit::JoseError| Fault::new("encrypting a key file", error);
    let mut header = JweHeader::new();
    header.set_content_encryption("A256GCM");
    header.set_content_type("jwk+json");
    let mut encrypter = PBES2_HS512_A256KW.encrypter_from_bytes(passphrase.expose()).map_err(fault)?;
    encrypter.set_iter_count(PBKDF2_ROUNDS);
    let sealed = josekit::jwe::serialize_compact(plain.as_bytes(), &header, &encrypter).map_err(fault)?;
    write_new(&folder.join(format!("{name}.jwk.jwe")), sealed.as_bytes())
}

/// Reads what [`write_private`] wrote.
pub fn read_private(folder: &Path, name: &str, passphrase: Option<&Secret>) -> Result<Value, Fault> {
    let sealed = folder.join(format!("{name}.jwk.jwe"));
    let plain = if sealed.exists() {
        let passphrase = passphrase
            .ok_or_else(|| Fault::new("reading a key file", "it is encrypted: set OFFICIALS_CARD_KEYS_PASSPHRASE"))?;
        let decrypter = PBES2_HS512_A256KW
            .decrypter_from_bytes(passphrase.expose())
            .map_err(|error| Fault::new("decrypting a key file", error))?;
        let (plain, _) = josekit::jwe::deserialize_compact(&read_text(&sealed)?, &decrypter)
            .map_err(|_| Fault::new("decrypting a key file", "wrong passphrase or damaged file"))?;
        Zeroizing::new(plain)
    } else {
        let plain = folder.join(format!("{name}.jwk"));
        refuse_readable_by_others(&plain)?;
        Zeroizing::new(read_text(&plain)?.into_bytes())
    };
    serde_json::from_slice(&plain).map_err(|_| Fault::new("reading a key file", "it is not a JWK"))
}

/// A plain private key that others on the machine could read is no secret.
fn refuse_readable_by_others(path: &Path) -> Result<(), Fault> {
    let metadata = std::fs::metadata(path)
        .map_err(|error| Fault::new("reading a key file", format!("{}: {error}", path.display())))?;
    let others = metadata.permissions().mode() & 0o077;
    if others == 0 {
        return Ok(());
    }
    Err(Fault::new("reading a key file", format!("{} is open to others: chmod 600", path.display())))
}

/// A member of a JWK that holds 32 bytes.
pub fn member(jwk: &Value, name: &'static str) -> Result<Zeroizing<[u8; 32]>, Fault> {
    let bytes = jwk.get(name).and_then(Value::as_str).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.map(Zeroizing::new).ok_or_else(|| Fault::new("reading a JWK", format!("its member {name} is no 32 bytes")))
}

pub fn read_text(path: &Path) -> Result<String, Fault> {
    std::fs::read_to_string(path).map_err(|error| {
        let hint =
            "is --config right, or is `officials-card keys init` (after an upgrade: `keys add`) still to be run?";
        Fault::new("reading a key file", format!("{}: {error}; {hint}", path.display()))
    })
}

/// Writes a file that only its owner may read, and that must not exist yet.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    let fault = |error: std::io::Error| Fault::new("writing a key file", format!("{}: {error}", path.display()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(fault)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(fault)
}
