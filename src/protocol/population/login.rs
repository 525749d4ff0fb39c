//! Who asks, as the headers of a request prove it: `Authorization: Basic base64(user ":" hash)`, where the hash is the
//! lower-case hexadecimal SHA-256 of service path, user, timestamp and secret one after the other, and `Timestamp`
//! (domain dossier, section 5: M).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::model::value::hex;

/// The header with the time of the request.
pub const TIMESTAMP: &str = "Timestamp";
/// The header that names the X-Road member and subsystem of the client.
pub const X_ROAD_CLIENT: &str = "X-Road-Client";
/// The header with the key of the gateway before the service.
pub const API_KEY: &str = "ApiKey";
/// Headers that one client sends instead of the former two; both carry the user.
pub const ESB_SOURCE: [&str; 2] = ["ESB_SOURCE_TYPE", "ESB_SOURCE_USERNAME"];

/// The value of `Authorization`.
pub fn authorization(path: &str, user: &str, timestamp: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{}", hash(path, user, timestamp, secret))))
}

/// Whether `header` proves that this user knows the secret; for the side that is asked.
pub fn proves(header: &str, path: &str, user: &str, timestamp: &str, secret: &str) -> bool {
    authorization(path, user, timestamp, secret).as_bytes().ct_eq(header.as_bytes()).into()
}

fn hash(path: &str, user: &str, timestamp: &str, secret: &str) -> String {
    let mut digest = Sha256::new();
    for part in [path, user, timestamp, secret] {
        digest.update(part);
    }
    hex(&digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `printf '/dancu037v011795325268000s3cret' | sha256sum`.
    #[test]
    fn the_hash_is_that_of_the_parts_in_their_order() {
        let header = authorization("/dancu037", "v01", "1795325268000", "s3cret");
        let decoded = String::from_utf8(STANDARD.decode(header.strip_prefix("Basic ").unwrap()).unwrap()).unwrap();
        assert_eq!(decoded, "v01:b0fac57f20c8be116723ea98b9e054733981f55bb0c6a8a91734458396909446");
        assert!(proves(&header, "/dancu037", "v01", "1795325268000", "s3cret"));
        for wrong in [
            proves(&header, "/dancu033", "v01", "1795325268000", "s3cret"),
            proves(&header, "/dancu037", "v02", "1795325268000", "s3cret"),
            proves(&header, "/dancu037", "v01", "1795325268001", "s3cret"),
            proves(&header, "/dancu037", "v01", "1795325268000", "secret"),
            proves("", "/dancu037", "v01", "1795325268000", "s3cret"),
        ] {
            assert!(!wrong);
        }
    }
}
