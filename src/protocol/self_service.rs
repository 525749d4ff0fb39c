//! The authorization request of a wallet whose user wants to act for themselves (RFC 6749 section 4.1.1 with PKCE, RFC
//! 7636): it carries nothing but where to go back to, so that it needs not be pushed.

use super::oauth::Parameters;
use crate::error::Refusal;

/// The longest `state`, in bytes.
const MAX_STATE: usize = 2048;
/// Characters of base64url for 256 bits: an S256 challenge.
const HASH_LENGTH: usize = 43;

/// What a wallet sends the browser with.
#[derive(Debug, PartialEq, Eq)]
pub struct SelfAuthorization {
    /// `client_id`.
    pub client_id: String,
    /// Where the browser goes afterwards.
    pub redirect_uri: String,
    /// Given back unchanged.
    pub state: Option<String>,
    /// The S256 challenge.
    pub code_challenge: String,
}

impl SelfAuthorization {
    /// From the query. Unknown parameters are ignored (RFC 6749 section 3.1).
    pub fn parse(query: Vec<(String, String)>) -> Result<Self, Refusal> {
        let wrong = Refusal::InvalidTokenRequest;
        let mut parameters = Parameters::new(query)?;
        match parameters.take("response_type").as_deref() {
            Some("code") => {}
            Some(_) => return Err(Refusal::UnsupportedResponseType),
            None => return Err(wrong("response_type is missing")),
        }
        let client_id = parameters.need("client_id", "client_id is missing")?;
        let redirect_uri = parameters.need("redirect_uri", "redirect_uri is missing")?;
        let state = parameters.take("state");
        if state.as_ref().is_some_and(|state| state.len() > MAX_STATE) {
            return Err(wrong("state is too long"));
        }
        if parameters.take("code_challenge_method").as_deref() != Some("S256") {
            return Err(wrong("code_challenge_method must be S256"));
        }
        let code_challenge = parameters.need("code_challenge", "code_challenge is missing")?;
        if !is_challenge(&code_challenge) {
            return Err(wrong("code_challenge must be a SHA-256 hash in base64url"));
        }
        Ok(Self { client_id, redirect_uri, state, code_challenge })
    }
}

/// Whether a text could be an S256 challenge.
pub fn is_challenge(text: &str) -> bool {
    text.len() == HASH_LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: Option<&str>) -> Result<SelfAuthorization, Refusal> {
        let good = [
            ("response_type", "code"),
            ("client_id", "wallet"),
            ("redirect_uri", "https://wallet.example/back"),
            ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            ("code_challenge_method", "S256"),
            ("scope", "whatever"),
        ];
        let mut query: Vec<_> =
            good.iter().filter(|(own, _)| *own != name).map(|(n, v)| ((*n).into(), (*v).into())).collect();
        query.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        SelfAuthorization::parse(query)
    }

    #[test]
    fn a_request_has_all_that_brings_the_person_back() {
        assert_eq!(with("state", Some("x y")).unwrap().state.as_deref(), Some("x y"));
        for (name, value) in [
            ("client_id", None),
            ("redirect_uri", None),
            ("code_challenge", None),
            ("code_challenge", Some("short")),
            ("code_challenge_method", None),
            ("code_challenge_method", Some("plain")),
            ("response_type", None),
            ("response_type", Some("token")),
            ("state", Some(&*"s".repeat(MAX_STATE + 1))),
        ] {
            assert!(with(name, value).is_err(), "{name} {value:?}");
        }
    }
}
