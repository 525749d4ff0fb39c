//! A wallet provider for tests and demonstrations: a root that an issuer can be told to trust, and a certified key that
//! attests wallets and keys. A real one keeps its key in a module of its own, and looks at the phone before it attests.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use serde_json::json;

use super::files::{making, private_jwk, write_new, write_private};
use crate::clock::{DAY_SECONDS, UnixSeconds};
use crate::error::Fault;

/// How long both certificates are valid.
const VALID_DAYS: i64 = 397;

/// Writes `attester-root.pem` and `attester.jwk` into `folder`, which must not hold them already. The private key carries
/// its chain as `x5c`, without the root; the root's own key is thrown away.
pub fn attester(folder: &Path, name: &str, now: UnixSeconds) -> Result<(), Fault> {
    let fresh = || KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(making);
    let (root_key, key) = (fresh()?, fresh()?);
    let mut root = params(&format!("{name} root"), now)?;
    root.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let root_pem = root.self_signed(&root_key).map_err(making)?.pem();
    let mut leaf = params(name, now)?;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let leaf = leaf.signed_by(&key, &Issuer::from_params(&root, &root_key)).map_err(making)?;
    let mut jwk = private_jwk(&key)?;
    jwk["alg"] = json!("ES256");
    jwk["x5c"] = json!([STANDARD.encode(leaf.der())]);
    write_private(folder, "attester", &jwk, None)?;
    write_new(&folder.join("attester-root.pem"), root_pem.as_bytes())
}

fn params(common_name: &str, now: UnixSeconds) -> Result<CertificateParams, Fault> {
    let instant =
        |at| time::OffsetDateTime::from_unix_timestamp(at).map_err(|error| Fault::new("dating a certificate", error));
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = instant(now - DAY_SECONDS)?;
    params.not_after = instant(now + (VALID_DAYS - 1) * DAY_SECONDS)?;
    Ok(params)
}
