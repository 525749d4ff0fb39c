//! Nonces without a database row: an expiry and randomness under a MAC, so that any process with the same secret
//! accepts them. `c_nonce`, DPoP nonces and attestation challenges are told apart by their purpose. That a `c_nonce` is
//! used once is the store's part.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::chance::Chance;
use crate::clock::UnixSeconds;

/// How long a nonce lives.
pub const LIFETIME_SECONDS: i64 = 300;

const EXPIRY: usize = 8;
const RANDOM: usize = 16;
const TAG: usize = 16;

/// Makes and recognises nonces of one purpose with one secret.
pub struct Nonces {
    mac: Hmac<Sha256>,
}

impl Nonces {
    /// With a secret that all processes of a deployment share.
    pub fn new(secret: &[u8; 32], purpose: &str) -> Self {
        let mut mac = keyed(secret);
        mac.update(purpose.as_bytes());
        Self { mac }
    }

    /// A fresh nonce: 54 characters of base64url, unpredictable.
    pub fn issue(&self, chance: &Chance, now: UnixSeconds) -> String {
        let mut bytes = [0; EXPIRY + RANDOM + TAG];
        bytes[..EXPIRY].copy_from_slice(&(now + LIFETIME_SECONDS).to_be_bytes());
        chance.fill(&mut bytes[EXPIRY..EXPIRY + RANDOM]);
        let tag = self.mac.clone().chain_update(&bytes[..EXPIRY + RANDOM]).finalize().into_bytes();
        bytes[EXPIRY + RANDOM..].copy_from_slice(&tag[..TAG]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// When this nonce expires, if it is ours and has not expired at `now`.
    pub fn check(&self, nonce: &str, now: UnixSeconds) -> Option<UnixSeconds> {
        let bytes: [u8; EXPIRY + RANDOM + TAG] = URL_SAFE_NO_PAD.decode(nonce).ok()?.try_into().ok()?;
        let (signed, tag) = bytes.split_at(EXPIRY + RANDOM);
        self.mac.clone().chain_update(signed).verify_truncated_left(tag).ok()?;
        let expires_at = UnixSeconds::from_be_bytes(bytes[..EXPIRY].try_into().ok()?);
        (now < expires_at).then_some(expires_at)
    }
}

/// A secret for one purpose, derived from a deployment's secret: HMAC-SHA256 of the purpose and the parts, each
/// preceded by its length.
pub fn derive(secret: &[u8; 32], purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = keyed(secret);
    for part in std::iter::once(purpose.as_bytes()).chain(parts.iter().copied()) {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn keyed(secret: &[u8; 32]) -> Hmac<Sha256> {
    Hmac::new_from_slice(secret).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_ours_for_its_lifetime_only() {
        let chance = Chance::seeded([3; 32]);
        let nonces = Nonces::new(&[1; 32], "c_nonce");
        let nonce = nonces.issue(&chance, 1000);
        assert_eq!(nonces.check(&nonce, 1000), Some(1000 + LIFETIME_SECONDS));
        assert_eq!(nonces.check(&nonce, 1000 + LIFETIME_SECONDS), None);
        assert_eq!(Nonces::new(&[2; 32], "c_nonce").check(&nonce, 1000), None);
        assert_eq!(Nonces::new(&[1; 32], "DPoP").check(&nonce, 1000), None);
        assert_eq!(nonces.check("", 1000), None);
        let mut forged = nonce.into_bytes();
        forged[3] ^= 1;
        assert_eq!(nonces.check(std::str::from_utf8(&forged).unwrap(), 1000), None);
    }

    #[test]
    fn derived_secrets_depend_on_where_the_parts_end() {
        assert_ne!(derive(&[1; 32], "a", &[b"bc"]), derive(&[1; 32], "ab", &[b"c"]));
        assert_ne!(derive(&[1; 32], "a", &[b"b", b"c"]), derive(&[1; 32], "a", &[b"bc"]));
    }
}
