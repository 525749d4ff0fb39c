//! SD-JWT VC (RFC 9901; SD-JWT VC draft -13 as HAIP 1.0 pins it): issuing from a prepared template, presenting with
//! key binding, verifying.

mod issue;
mod verify;

pub use issue::{Disclosable, SignedClaims, Template, bind, select};
pub use verify::{
    CLOCK_SKEW_SECONDS, CardError, MAX_BINDING_AGE_SECONDS, MAX_LENGTH, NotListed, Presentation, Rules, VerifiedCard,
};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// `typ` of the issuer's JWT, and the format identifier of OpenID4VCI.
pub const TYPE: &str = "dc+sd-jwt";
/// `typ` of the holder's key binding JWT.
pub const KEY_BINDING_TYPE: &str = "kb+jwt";

/// Claims that are never disclosed selectively (SD-JWT VC section 2.2.2.2), and ours.
const ALWAYS_PLAIN: [&str; 9] = ["iss", "nbf", "exp", "cnf", "vct", "vct#integrity", "status", "aka_vcts", SPECIMEN];
/// Our own plain claim: `true` on a card that no checkpoint may accept.
pub const SPECIMEN: &str = "specimen";

/// base64url(SHA-256(text)): a disclosure's digest, and `sd_hash`.
fn digest(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text))
}
