//! The authorization code flow: pushed requests (RFC 9126) with PKCE (RFC 7636), and the answers that the browser
//! carries back to the wallet, with `iss` (RFC 9207).

use url::form_urlencoded;

use super::oauth::{ClientAttestation, ClientProof, Parameters, configurations_of, words};
use super::oid4vci::Configuration;
use crate::error::Refusal;

/// What a `request_uri` begins with (RFC 9126 section 2.2).
pub const REQUEST_URI: &str = "urn:ietf:params:oauth:request_uri:";
/// The longest `state`, in bytes.
const MAX_STATE: usize = 2048;
/// Characters of base64url for 256 bits: an S256 challenge, a key's thumbprint.
const HASH_LENGTH: usize = 43;

/// A pushed authorization request.
#[derive(Debug, PartialEq, Eq)]
pub struct PushedRequest {
    /// Who pushes it.
    pub client: ClientProof,
    /// `client_id`.
    pub client_id: Option<String>,
    /// Where the browser goes afterwards.
    pub redirect_uri: String,
    /// Given back unchanged.
    pub state: Option<String>,
    /// The S256 challenge.
    pub code_challenge: String,
    /// What is asked for, each once.
    pub configurations: Vec<Configuration>,
    /// Whether it is asked for by `authorization_details`, so that credential identifiers are given.
    pub by_details: bool,
    /// The DPoP key that the code will be bound to.
    pub dpop_jkt: Option<String>,
    /// `issuer_state` of the offer that it follows from.
    pub issuer_state: Option<String>,
}

impl PushedRequest {
    /// From the form and the attestation headers. Unknown parameters and scopes are ignored.
    pub fn parse(form: Vec<(String, String)>, attestation: Option<ClientAttestation>) -> Result<Self, Refusal> {
        let wrong = Refusal::InvalidTokenRequest;
        let mut parameters = Parameters::new(form)?;
        let client = ClientProof::take(&mut parameters, attestation)?;
        if parameters.take("request_uri").is_some() {
            return Err(wrong("request_uri cannot be pushed"));
        }
        if parameters.take("request").is_some() {
            return Err(Refusal::RequestNotSupported);
        }
        match parameters.take("response_type").as_deref() {
            Some("code") => {}
            Some(_) => return Err(Refusal::UnsupportedResponseType),
            None => return Err(wrong("response_type is missing")),
        }
        if parameters.take("response_mode").is_some_and(|mode| mode != "query") {
            return Err(wrong("the only supported response_mode is query"));
        }
        let redirect_uri = parameters.need("redirect_uri", "redirect_uri is missing")?;
        let state = parameters.take("state");
        if state.as_ref().is_some_and(|state| state.len() > MAX_STATE) {
            return Err(wrong("state is too long"));
        }
        if parameters.take("code_challenge_method").as_deref() != Some("S256") {
            return Err(wrong("code_challenge_method must be S256"));
        }
        let code_challenge = parameters.need("code_challenge", "code_challenge is missing")?;
        let dpop_jkt = parameters.take("dpop_jkt");
        if !is_hash(&code_challenge) || dpop_jkt.as_ref().is_some_and(|jkt| !is_hash(jkt)) {
            return Err(wrong("code_challenge and dpop_jkt must be SHA-256 hashes in base64url"));
        }
        let scopes = parameters.take("scope").map(|scopes| words(&scopes)).unwrap_or_default();
        let details = parameters.take("authorization_details").map(|text| configurations_of(&text)).transpose()?;
        let by_details = details.is_some();
        let mut configurations = details.unwrap_or_default();
        // Authorization details win where both ask for the same (OpenID4VCI section 5.1.2).
        for configuration in scopes.iter().filter_map(|scope| Configuration::parse(scope)) {
            if !configurations.contains(&configuration) {
                configurations.push(configuration);
            }
        }
        if configurations.is_empty() {
            return Err(Refusal::InvalidScope);
        }
        let client_id = match &client {
            ClientProof::None { client_id } => client_id,
            ClientProof::Assertion(assertion) => &assertion.client_id,
            ClientProof::Attestation(attestation) => &attestation.client_id,
        };
        let client_id = client_id.clone();
        let issuer_state = parameters.take("issuer_state");
        Ok(Self {
            client,
            client_id,
            redirect_uri,
            state,
            code_challenge,
            configurations,
            by_details,
            dpop_jkt,
            issuer_state,
        })
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == HASH_LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// How an authorization ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// Granted, by this code.
    Code(&'a str),
    /// The person said no, or may not have the card.
    Denied,
}

/// The address that brings the outcome to the wallet (RFC 6749 sections 4.1.2 and 4.1.2.1): a query of the redirect URI is
/// kept, `state` is given back as it came, `iss` is always there.
pub fn redirection(redirect_uri: &str, state: Option<&str>, issuer: &str, outcome: Outcome<'_>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    match outcome {
        Outcome::Code(code) => query.append_pair("code", code),
        Outcome::Denied => query.append_pair("error", "access_denied"),
    };
    if let Some(state) = state {
        query.append_pair("state", state);
    }
    query.append_pair("iss", issuer);
    let join = if redirect_uri.contains('?') { '&' } else { '?' };
    format!("{redirect_uri}{join}{}", query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 7] = [
        ("client_id", "wallet-a"),
        ("response_type", "code"),
        ("redirect_uri", "https://wallet.example/back"),
        ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
        ("code_challenge_method", "S256"),
        ("scope", "openid official-card-sdjwt unknown"),
        ("colour", "red"),
    ];

    fn with(name: &str, value: &str) -> Result<PushedRequest, Refusal> {
        let mut form: Vec<(String, String)> =
            GOOD.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        form.retain(|(own, _)| own != name);
        form.push((name.into(), value.into()));
        PushedRequest::parse(form, None)
    }

    #[test]
    fn what_can_be_refused_is_refused_when_it_is_pushed() {
        let good = with("state", "s").unwrap();
        assert_eq!(good.configurations, [Configuration::SdJwt]);
        assert_eq!((good.client_id.as_deref(), good.state.as_deref()), (Some("wallet-a"), Some("s")));
        for (name, value) in [
            ("redirect_uri", ""),
            ("code_challenge", ""),
            ("code_challenge", "short"),
            ("code_challenge_method", "plain"),
            ("code_challenge_method", ""),
            ("response_type", ""),
            ("response_mode", "fragment"),
            ("request_uri", "urn:x"),
            ("dpop_jkt", "short"),
            ("state", &"s".repeat(MAX_STATE + 1)),
        ] {
            assert!(matches!(with(name, value), Err(Refusal::InvalidTokenRequest(_))), "{name}={value}");
        }
        assert_eq!(with("response_type", "code id_token"), Err(Refusal::UnsupportedResponseType));
        assert_eq!(with("request", "jwt"), Err(Refusal::RequestNotSupported));
        assert_eq!(with("scope", "openid"), Err(Refusal::InvalidScope));
    }

    #[test]
    fn authorization_details_and_scope_are_one_wish() {
        let details = r#"[{"type":"openid_credential","credential_configuration_id":"official-card-qr"}]"#;
        let both = with("authorization_details", details).unwrap();
        assert_eq!(both.configurations, [Configuration::Qr, Configuration::SdJwt]);
        assert!(both.by_details);
    }

    #[test]
    fn the_answer_keeps_the_query_and_the_state() {
        assert_eq!(
            redirection("vneid://back?a=b", Some("x y&z"), "https://h", Outcome::Code("c")),
            "vneid://back?a=b&code=c&state=x+y%26z&iss=https%3A%2F%2Fh"
        );
        assert_eq!(
            redirection("https://w/back", None, "https://h", Outcome::Denied),
            "https://w/back?error=access_denied&iss=https%3A%2F%2Fh"
        );
    }
}
