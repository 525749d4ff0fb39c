//! A certificate for the listener on a machine of one's own: tests, demonstrations, a conformance suite on loopback. It
//! signs itself; in production it comes from a public authority, by whatever renews it.

use std::path::Path;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};

use super::files::{making, write_new};
use crate::clock::{DAY_SECONDS, UnixSeconds};
use crate::error::Fault;

/// How long it is valid: the longest that browsers accept.
const VALID_DAYS: i64 = 397;
/// Names in one certificate.
const MOST_NAMES: usize = 100;

/// Writes `tls.pem` and `tls.key` for these DNS names and addresses into `folder`; existing files are left alone.
pub fn tls(folder: &Path, names: &[String], now: UnixSeconds) -> Result<(), Fault> {
    let doing = "making a TLS certificate";
    if names.is_empty() || names.len() > MOST_NAMES {
        return Err(Fault::new(doing, format!("1 to {MOST_NAMES} names are needed")));
    }
    let instant = |at| time::OffsetDateTime::from_unix_timestamp(at).map_err(|error| Fault::new(doing, error));
    let mut params = CertificateParams::new(names.to_vec()).map_err(making)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, names[0].as_str());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = instant(now - DAY_SECONDS)?;
    params.not_after = instant(now + (VALID_DAYS - 1) * DAY_SECONDS)?;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(making)?;
    let certificate = params.self_signed(&key).map_err(making)?;
    std::fs::create_dir_all(folder).map_err(|error| Fault::new(doing, error))?;
    let pem = zeroize::Zeroizing::new(key.serialize_pem());
    write_new(&folder.join("tls.key"), pem.as_bytes())?;
    write_new(&folder.join("tls.pem"), certificate.pem().as_bytes())
}
