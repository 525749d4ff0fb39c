//! OpenID for Verifiable Presentations 1.0 with the high assurance profile (HAIP 1.0): the link that opens a wallet, the
//! signed request, what a wallet may ask for first, and what it answers. Both sides' reading and writing, nothing
//! decided; signatures, encryption and the presentations themselves are proved elsewhere.

mod purpose;
mod request;
mod response;
mod token;
mod wallet;

pub use purpose::{PURPOSE_FORMAT, purpose_info, purpose_of};
pub use request::{ClientMetadata, Delivery, RequestObject};
pub use response::{Answer, Posted, WalletError};
pub use token::{MAX_PRESENTATIONS, VpToken};
pub use wallet::{Invocation, MAX_WALLET_NONCE, RequestUriPost, WalletMetadata};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::chance::Chance;

/// `typ` of a signed request (RFC 9101 section 10.8).
pub const REQUEST_TYPE: &str = "oauth-authz-req+jwt";
/// The media type of a signed request.
pub const REQUEST_MEDIA_TYPE: &str = "application/oauth-authz-req+jwt";
/// `aud` of a request to a wallet that is not known in advance (section 5.8).
pub const ANY_WALLET: &str = "https://self-issued.me/v2";
/// The only response type.
pub const RESPONSE_TYPE: &str = "vp_token";
/// The content encryptions of responses, in the order in which we announce them: wallets take the first, and HAIP 1.0
/// section 5 wants both.
pub const ENCS: [&str; 2] = ["A256GCM", "A128GCM"];
/// The key agreement of encrypted responses.
pub const KEY_AGREEMENT: &str = "ECDH-ES";
/// What stands before an origin where the Digital Credentials API takes the place of a client identifier (appendix A.2).
pub const ORIGIN_PREFIX: &str = "origin:";
/// The longest text that is read of a request or response besides the presentations, in bytes: identifiers, nonces,
/// states, addresses.
pub const MAX_TEXT: usize = 2048;

/// Why a message is not accepted: the member or parameter, and the rule that it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {rule}")]
pub struct MessageError {
    /// The member or parameter.
    pub place: &'static str,
    /// The rule.
    pub rule: &'static str,
}

impl MessageError {
    pub(super) fn new(place: &'static str, rule: &'static str) -> Self {
        Self { place, rule }
    }
}

/// A fresh `nonce` or `state`: 43 characters of base64url, 256 bits.
pub fn fresh_nonce(chance: &Chance) -> String {
    URL_SAFE_NO_PAD.encode(chance.bytes::<32>())
}

/// Whether a text has only the characters that `nonce` and `state` may have (section 5.2), and at least one.
pub fn is_url_safe(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// What a KB-JWT names as its audience when the Digital Credentials API carries it (appendix A.4).
pub fn origin_audience(origin: &str) -> String {
    format!("{ORIGIN_PREFIX}{origin}")
}

/// How a wallet answers (sections 8.2, 8.3.1 and appendix A.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResponseMode {
    /// A form, in the clear.
    DirectPost,
    /// A form with an encrypted response.
    DirectPostJwt,
    /// Through the browser's API, in the clear.
    DcApi,
    /// Through the browser's API, encrypted.
    DcApiJwt,
}

impl ResponseMode {
    const ALL: [Self; 4] = [Self::DirectPost, Self::DirectPostJwt, Self::DcApi, Self::DcApiJwt];

    /// Its name in a request.
    pub fn name(self) -> &'static str {
        match self {
            Self::DirectPost => "direct_post",
            Self::DirectPostJwt => "direct_post.jwt",
            Self::DcApi => "dc_api",
            Self::DcApiJwt => "dc_api.jwt",
        }
    }

    /// From its name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }

    /// Whether the response is encrypted.
    pub fn is_encrypted(self) -> bool {
        matches!(self, Self::DirectPostJwt | Self::DcApiJwt)
    }

    /// Whether the browser's API carries it.
    pub fn is_dc_api(self) -> bool {
        matches!(self, Self::DcApi | Self::DcApiJwt)
    }
}

/// How the verifier is identified (section 5.9.3). Others are not spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientIdPrefix {
    /// By the hash of its certificate: HAIP 1.0.
    X509Hash,
    /// By a DNS name in its certificate.
    X509SanDns,
}

impl ClientIdPrefix {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::X509Hash => "x509_hash",
            Self::X509SanDns => "x509_san_dns",
        }
    }

    /// From its name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::X509Hash, Self::X509SanDns].into_iter().find(|prefix| prefix.name() == name)
    }
}

/// A client identifier, always whole: `aud`, the handover and every comparison take it with its prefix (section 5.9).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientId {
    text: String,
    prefix: ClientIdPrefix,
}

impl ClientId {
    /// By the certificate (DER) that signs the requests. It changes with every new certificate.
    pub fn x509_hash(certificate: &[u8]) -> Self {
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(certificate));
        Self { text: format!("x509_hash:{hash}"), prefix: ClientIdPrefix::X509Hash }
    }

    /// By a DNS name of that certificate.
    pub fn x509_san_dns(name: &str) -> Self {
        Self { text: format!("x509_san_dns:{name}"), prefix: ClientIdPrefix::X509SanDns }
    }

    /// From its text.
    pub fn parse(text: &str) -> Result<Self, MessageError> {
        let (prefix, rest) = text.split_once(':').unwrap_or_default();
        match ClientIdPrefix::parse(prefix) {
            Some(prefix) if !rest.is_empty() && text.len() <= MAX_TEXT => Ok(Self { text: text.to_owned(), prefix }),
            _ => Err(MessageError::new("client_id", "begins with x509_hash: or x509_san_dns:")),
        }
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its prefix.
    pub fn prefix(&self) -> ClientIdPrefix {
        self.prefix
    }

    /// What stands behind the prefix.
    pub fn original(&self) -> &str {
        &self.text[self.prefix.name().len() + 1..]
    }

    /// Whether it is that of the owner of this certificate (DER), which names these DNS names.
    pub fn is_of(&self, certificate: &[u8], dns_names: &[String]) -> bool {
        match self.prefix {
            ClientIdPrefix::X509Hash => *self == Self::x509_hash(certificate),
            ClientIdPrefix::X509SanDns => dns_names.iter().any(|name| name == self.original()),
        }
    }
}

impl std::fmt::Display for ClientId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// The parameters of a form, none of them twice.
fn single<'a>(pairs: &'a [(String, String)]) -> Result<impl Fn(&str) -> Option<&'a str>, MessageError> {
    if pairs.iter().enumerate().any(|(at, (name, _))| pairs[..at].iter().any(|(earlier, _)| earlier == name)) {
        return Err(MessageError::new("form", "has no parameter twice"));
    }
    Ok(move |name: &str| pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_identifier_is_the_hash_of_the_certificate_in_base64url() {
        let id = ClientId::x509_hash(b"certificate");
        assert_eq!(id.as_str(), format!("x509_hash:{}", URL_SAFE_NO_PAD.encode(Sha256::digest(b"certificate"))));
        assert_eq!(ClientId::parse(id.as_str()).unwrap(), id);
        assert!(id.is_of(b"certificate", &[]) && !id.is_of(b"another", &["x".into()]));
        let named = ClientId::x509_san_dns("verifier.example");
        assert_eq!((named.as_str(), named.original()), ("x509_san_dns:verifier.example", "verifier.example"));
        assert!(named.is_of(b"any", &["verifier.example".into()]));
        assert!(!named.is_of(b"any", &["other.example".into()]));
        for bad in ["", "x509_hash:", "origin:https://a.example", "redirect_uri:https://a.example", "example"] {
            assert!(ClientId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nonces_are_long_fresh_and_of_the_right_characters() {
        let chance = Chance::seeded([1; 32]);
        let (one, other) = (fresh_nonce(&chance), fresh_nonce(&chance));
        assert_eq!(one.len(), 43);
        assert!(is_url_safe(&one) && one != other);
        for bad in ["", "a b", "ă", "a+b", "a/b", "a="] {
            assert!(!is_url_safe(bad), "{bad}");
        }
    }
}
