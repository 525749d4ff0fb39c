//! The browser's return from the sign-in at VNeID: OpenID Connect Core 1.0 section 3.1.2.5 and 3.1.2.6, with the `iss` of
//! RFC 9207.

use serde::Deserialize;

/// The longest authorization code that is read, in bytes.
pub const MAX_CODE_BYTES: usize = 2048;

/// The query of the redirect URI. Unknown parameters are ignored, as RFC 6749 section 4.1.2 wants; what the provider says
/// in words (`error_description`) is not read: it would be a stranger's text in our pages and logs.
#[derive(Clone, Default, Deserialize)]
pub struct Callback {
    /// What we gave the browser on its way; the caller compares it.
    pub state: Option<String>,
    /// The code, on success.
    pub code: Option<String>,
    /// The error, otherwise.
    pub error: Option<String>,
    /// Who answers.
    pub iss: Option<String>,
}

/// What a callback says, when it is who we asked that says it.
#[derive(Debug, PartialEq, Eq)]
pub enum Returned<'a> {
    /// The code to exchange.
    Code(&'a str),
    /// The person, or the provider on their behalf, said no (`access_denied`).
    Denied,
    /// The provider cannot answer now.
    Unavailable,
    /// The person cannot reach the assurance level that was asked for (OpenID Connect Core Error Code
    /// `unmet_authentication_requirements`).
    AssuranceTooLow,
    /// Another error: our request was not to the provider's liking.
    Failed,
    /// Neither a code nor an error that can be read, or both.
    Malformed,
    /// `iss` is not the provider that was asked, or is missing although the provider announces it.
    WrongIssuer,
}

impl Callback {
    /// Reads the callback of `issuer`, which `announces_iss` (`authorization_response_iss_parameter_supported`).
    pub fn read(&self, issuer: &str, announces_iss: bool) -> Returned<'_> {
        match &self.iss {
            Some(iss) if iss != issuer => return Returned::WrongIssuer,
            None if announces_iss => return Returned::WrongIssuer,
            _ => {}
        }
        match (self.code.as_deref(), self.error.as_deref()) {
            (Some(code), None) if !code.is_empty() && code.len() <= MAX_CODE_BYTES => Returned::Code(code),
            (None, Some("access_denied")) => Returned::Denied,
            (None, Some("server_error" | "temporarily_unavailable")) => Returned::Unavailable,
            (None, Some("unmet_authentication_requirements")) => Returned::AssuranceTooLow,
            (None, Some(error)) if !error.is_empty() => Returned::Failed,
            _ => Returned::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://vneid.example";

    fn read(code: Option<&str>, error: Option<&str>, iss: Option<&str>, announces_iss: bool) -> String {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let callback = Callback { state: None, code: owned(code), error: owned(error), iss: owned(iss) };
        format!("{:?}", callback.read(ISSUER, announces_iss))
    }

    #[test]
    fn a_callback_is_a_code_or_an_error() {
        let plain = |code, error| read(code, error, None, false);
        assert_eq!(plain(Some("abc"), None), "Code(\"abc\")");
        assert_eq!(plain(None, Some("access_denied")), "Denied");
        assert_eq!(plain(None, Some("temporarily_unavailable")), "Unavailable");
        assert_eq!(plain(None, Some("unmet_authentication_requirements")), "AssuranceTooLow");
        assert_eq!(plain(None, Some("invalid_scope")), "Failed");
        let long = "x".repeat(MAX_CODE_BYTES + 1);
        for (code, error) in [
            (None, None),
            (Some(""), None),
            (None, Some("")),
            (Some("abc"), Some("access_denied")),
            (Some(&long), None),
        ] {
            assert_eq!(plain(code, error), "Malformed");
        }
    }

    #[test]
    fn the_issuer_must_be_who_was_asked() {
        let code = |iss, announces| read(Some("abc"), None, iss, announces);
        assert_eq!(code(Some(ISSUER), true), "Code(\"abc\")");
        assert_eq!(code(Some(ISSUER), false), "Code(\"abc\")");
        assert_eq!(code(None, true), "WrongIssuer");
        for stranger in ["https://vneid.example/", "https://other.example", ""] {
            assert_eq!(code(Some(stranger), true), "WrongIssuer");
            assert_eq!(code(Some(stranger), false), "WrongIssuer");
        }
        assert_eq!(read(None, Some("access_denied"), Some("https://other.example"), true), "WrongIssuer");
    }
}
