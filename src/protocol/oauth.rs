//! OAuth 2.0: token requests and answers, client assertions, server metadata (RFC 6749, 7523, 8414).

use std::collections::HashMap;

use serde_json::{Value, json};

use super::oid4vci::Configuration;
use crate::error::{Refusal, Result};

/// `grant_type` of OpenID4VCI 1.0 section 6.1.
pub const PRE_AUTHORIZED: &str = "urn:ietf:params:oauth:grant-type:pre-authorized_code";
/// `client_assertion_type` of RFC 7523 section 2.2.
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What an operation of `/api/v1` needs. One word each, so that a client gets no more than its task.
pub const SCOPES: [&str; 25] = [
    "offers:create",
    "cards:read",
    "cards:lock",
    "cards:unlock",
    "cards:withdraw",
    "cards:replace",
    "badges:read",
    "records:confirm",
    "gates:write",
    "events:read",
    "presentations:create",
    "presentations:read",
    "records:read",
    "records:write",
    "updates:read",
    "updates:decide",
    "quality:read",
    "quality:approve",
    "sync:read",
    "population:read",
    "reorganisations:read",
    "reorganisations:write",
    "officers:read",
    "officers:write",
    "audit:read",
];

/// `grant_type` of a completed authorization (RFC 6749 section 4.1.3).
pub const AUTHORIZATION_CODE: &str = "authorization_code";
/// `grant_type` of RFC 6749 section 6.
const REFRESH_TOKEN: &str = "refresh_token";
/// `type` of an authorization detail (OpenID4VCI 1.0 section 5.1.1).
const OPENID_CREDENTIAL: &str = "openid_credential";
/// Most entries of `authorization_details`.
const MAX_DETAILS: usize = 20;

/// The parameters of a form: each at most once (RFC 6749 section 3.2), empty ones as if they were not there.
pub struct Parameters(HashMap<String, String>);

impl Parameters {
    /// From a form's pairs.
    pub fn new(form: Vec<(String, String)>) -> Result<Self, Refusal> {
        let mut parameters = HashMap::new();
        for (name, value) in form {
            if parameters.insert(name, value).is_some() {
                return Err(Refusal::InvalidTokenRequest("a parameter is repeated"));
            }
        }
        Ok(Self(parameters))
    }

    /// Takes one out.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).filter(|value| !value.is_empty())
    }

    /// Takes one out that has to be there; `missing` says so.
    pub fn need(&mut self, name: &str, missing: &'static str) -> Result<String, Refusal> {
        self.take(name).ok_or(Refusal::InvalidTokenRequest(missing))
    }
}

/// A request to the token endpoint.
#[derive(Debug, PartialEq, Eq)]
pub enum TokenRequest {
    /// A wallet redeems an offer.
    PreAuthorized {
        /// The code of the offer.
        code: String,
        /// The code that travelled on another channel.
        tx_code: Option<String>,
        /// What is asked for, when `authorization_details` names it.
        details: Option<Vec<Configuration>>,
        /// Who asks; a wallet may stay anonymous where the metadata says so.
        client: ClientProof,
    },
    /// A wallet redeems the code of a completed authorization.
    AuthorizationCode {
        /// The code.
        code: String,
        /// The same as in the pushed request.
        redirect_uri: String,
        /// What the pushed request's challenge is the hash of (RFC 7636).
        code_verifier: String,
        /// Who asks.
        client: ClientProof,
    },
    /// A wallet gets a new access token for a grant that it holds.
    Refresh {
        /// The refresh token.
        token: String,
        /// Who asks.
        client: ClientProof,
    },
    /// A program authenticates by `private_key_jwt`.
    ClientCredentials {
        /// The client.
        client: ClientAssertion,
        /// The scopes asked for; none means all that the client may have.
        scopes: Vec<String>,
    },
}

/// How a client authenticates, if it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientProof {
    /// Not at all, though it may say its name.
    None {
        /// `client_id`.
        client_id: Option<String>,
    },
    /// By `private_key_jwt`.
    Assertion(ClientAssertion),
    /// By the attestation of its wallet instance.
    Attestation(ClientAttestation),
}

/// The two headers of attestation-based client authentication (draft-ietf-oauth-attestation-based-client-auth-07).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAttestation {
    /// `client_id`, when it is given beside them.
    pub client_id: Option<String>,
    /// `OAuth-Client-Attestation`.
    pub attestation: String,
    /// `OAuth-Client-Attestation-PoP`.
    pub possession: String,
}

/// How a client authenticates: `private_key_jwt` (RFC 7523).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAssertion {
    /// `client_id`, when it is given beside the assertion.
    pub client_id: Option<String>,
    /// The signed assertion.
    pub jwt: String,
}

impl TokenRequest {
    /// From the form's parameters and the attestation headers. Unknown parameters are ignored.
    pub fn parse(form: Vec<(String, String)>, attestation: Option<ClientAttestation>) -> Result<Self, Refusal> {
        let mut parameters = Parameters::new(form)?;
        let grant_type = parameters.need("grant_type", "grant_type is missing")?;
        let client = ClientProof::take(&mut parameters, attestation)?;
        match grant_type.as_str() {
            PRE_AUTHORIZED => Ok(Self::PreAuthorized {
                code: parameters.need("pre-authorized_code", "pre-authorized_code is missing")?,
                tx_code: parameters.take("tx_code"),
                details: parameters.take("authorization_details").map(|text| configurations_of(&text)).transpose()?,
                client,
            }),
            AUTHORIZATION_CODE => Ok(Self::AuthorizationCode {
                code: parameters.need("code", "code is missing")?,
                redirect_uri: parameters.need("redirect_uri", "redirect_uri is missing")?,
                // RFC 7636 section 4.6: without the verifier the grant is not valid.
                code_verifier: parameters
                    .take("code_verifier")
                    .ok_or(Refusal::InvalidGrant("code_verifier is missing"))?,
                client,
            }),
            REFRESH_TOKEN => {
                Ok(Self::Refresh { token: parameters.need("refresh_token", "refresh_token is missing")?, client })
            }
            "client_credentials" => Ok(Self::ClientCredentials {
                client: match client {
                    ClientProof::Assertion(client) => client,
                    _ => return Err(Refusal::InvalidClient("the client must authenticate by private_key_jwt")),
                },
                scopes: parameters.take("scope").map(|scopes| words(&scopes)).unwrap_or_default(),
            }),
            _ => Err(Refusal::UnsupportedGrantType),
        }
    }
}

impl ClientProof {
    /// From form and headers. Authentication that is begun must be whole, and by one method (RFC 6749 section 2.3).
    pub fn take(parameters: &mut Parameters, attestation: Option<ClientAttestation>) -> Result<Self, Refusal> {
        let client_id = parameters.take("client_id");
        let assertion = (parameters.take("client_assertion_type"), parameters.take("client_assertion"));
        match (assertion, attestation) {
            ((None, None), None) => Ok(Self::None { client_id }),
            ((None, None), Some(attestation)) => Ok(Self::Attestation(ClientAttestation { client_id, ..attestation })),
            ((Some(kind), Some(jwt)), None) if kind == JWT_BEARER => {
                Ok(Self::Assertion(ClientAssertion { client_id, jwt }))
            }
            (_, Some(_)) => Err(Refusal::InvalidClient("the client authenticates in two ways")),
            _ => Err(Refusal::InvalidClient("client_assertion and its type jwt-bearer belong together")),
        }
    }
}

/// The words of a list that is separated by spaces.
pub(super) fn words(text: &str) -> Vec<String> {
    text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The configurations that `authorization_details` (RFC 9396) asks for, in order.
pub(super) fn configurations_of(text: &str) -> Result<Vec<Configuration>, Refusal> {
    let wrong = Refusal::InvalidAuthorizationDetails;
    let Ok(Value::Array(details)) = serde_json::from_str::<Value>(text) else {
        return Err(wrong("authorization_details must be a JSON array"));
    };
    if details.is_empty() || details.len() > MAX_DETAILS {
        return Err(wrong("authorization_details must have 1 to 20 entries"));
    }
    let mut configurations = Vec::with_capacity(details.len());
    for detail in &details {
        if detail.get("type").and_then(Value::as_str) != Some(OPENID_CREDENTIAL) {
            return Err(wrong("the only supported type of an authorization detail is openid_credential"));
        }
        let id = detail.get("credential_configuration_id").and_then(Value::as_str);
        let configuration = id
            .and_then(Configuration::parse)
            .ok_or(wrong("credential_configuration_id of an authorization detail is missing or unknown"))?;
        if configurations.contains(&configuration) {
            return Err(wrong("two authorization details ask for the same configuration"));
        }
        configurations.push(configuration);
    }
    Ok(configurations)
}

/// An answer of the token endpoint (RFC 6749 section 5.1, OpenID4VCI 1.0 section 6.2).
#[derive(Clone, Debug, Default)]
pub struct TokenResponse<'a> {
    /// The access token.
    pub token: &'a str,
    /// Whether it is bound to a DPoP key.
    pub is_bound: bool,
    /// Its lifetime in seconds.
    pub expires_in: i64,
    /// The refresh token.
    pub refresh_token: Option<&'a str>,
    /// The scopes.
    pub scope: Option<&'a str>,
    /// Configuration and credential identifier of what was granted by `authorization_details`.
    pub details: Option<Vec<(&'static str, String)>>,
}

impl TokenResponse<'_> {
    /// As JSON.
    pub fn to_json(&self) -> Value {
        let token_type = if self.is_bound { "DPoP" } else { "Bearer" };
        let mut response = json!({"access_token": self.token, "token_type": token_type, "expires_in": self.expires_in});
        if let Some(token) = self.refresh_token {
            response["refresh_token"] = json!(token);
        }
        if let Some(scope) = self.scope {
            response["scope"] = json!(scope);
        }
        if let Some(details) = &self.details {
            let detail = |(configuration, identifier): &(&str, String)| {
                json!({
                    "type": OPENID_CREDENTIAL,
                    "credential_configuration_id": configuration,
                    "credential_identifiers": [identifier],
                })
            };
            response["authorization_details"] = details.iter().map(detail).collect();
        }
        response
    }
}

/// What the authorization server supports beyond what is always there.
#[derive(Clone, Copy, Debug)]
pub struct Supported {
    /// People can sign in, so that there is an authorization endpoint.
    pub sign_in: bool,
    /// Wallets can be attested.
    pub attestation: bool,
    /// A pre-authorized code can be redeemed by a wallet that does not authenticate itself.
    pub anonymous: bool,
}

/// Authorization server metadata (RFC 8414) of a server whose identifier is `issuer`.
pub fn server_metadata(issuer: &str, supported: Supported, offered: &[Configuration]) -> Value {
    let mut grants = vec![PRE_AUTHORIZED, REFRESH_TOKEN, "client_credentials"];
    let mut methods = vec!["private_key_jwt"];
    if supported.anonymous {
        methods.push("none");
    }
    let scopes = SCOPES.into_iter().chain(offered.iter().map(|configuration| configuration.id()));
    let algorithms = ["ES256", "EdDSA"];
    let mut metadata = json!({
        "issuer": issuer,
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
        "response_types_supported": [],
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "dpop_signing_alg_values_supported": algorithms,
        "scopes_supported": scopes.collect::<Vec<_>>(),
        "authorization_details_types_supported": [OPENID_CREDENTIAL],
        "pre-authorized_grant_anonymous_access_supported": supported.anonymous,
        "status_list_aggregation_endpoint": format!("{issuer}/s"),
        "service_documentation": format!("{issuer}/docs"),
    });
    if supported.attestation {
        methods.push("attest_jwt_client_auth");
        metadata["challenge_endpoint"] = json!(format!("{issuer}/challenge"));
        metadata["client_attestation_signing_alg_values_supported"] = json!(algorithms);
        metadata["client_attestation_pop_signing_alg_values_supported"] = json!(algorithms);
    }
    if supported.sign_in {
        grants.push(AUTHORIZATION_CODE);
        metadata["authorization_endpoint"] = json!(format!("{issuer}/authorize"));
        metadata["pushed_authorization_request_endpoint"] = json!(format!("{issuer}/par"));
        metadata["require_pushed_authorization_requests"] = json!(true);
        metadata["response_types_supported"] = json!(["code"]);
        metadata["response_modes_supported"] = json!(["query"]);
        metadata["code_challenge_methods_supported"] = json!(["S256"]);
        metadata["authorization_response_iss_parameter_supported"] = json!(true);
        metadata["ui_locales_supported"] = json!(["vi", "en"]);
    }
    metadata["grant_types_supported"] = json!(grants);
    metadata["token_endpoint_auth_methods_supported"] = json!(methods);
    metadata
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(form: &[(&str, &str)]) -> Result<TokenRequest, Refusal> {
        TokenRequest::parse(form.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(), None)
    }

    #[test]
    fn unknown_parameters_are_ignored_and_repeated_ones_refused() {
        let good = [("grant_type", PRE_AUTHORIZED), ("pre-authorized_code", "c"), ("colour", "red")];
        let client = ClientProof::None { client_id: None };
        let expected = TokenRequest::PreAuthorized { code: "c".into(), tx_code: None, details: None, client };
        assert_eq!(parse(&good), Ok(expected));
        let twice = [("grant_type", PRE_AUTHORIZED), ("pre-authorized_code", "c"), ("pre-authorized_code", "d")];
        assert!(matches!(parse(&twice), Err(Refusal::InvalidTokenRequest(_))));
        assert_eq!(parse(&[("grant_type", "password")]), Err(Refusal::UnsupportedGrantType));
        assert!(matches!(parse(&[("grant_type", "client_credentials")]), Err(Refusal::InvalidClient(_))));
    }

    #[test]
    fn a_client_authenticates_in_one_way() {
        let attestation =
            || Some(ClientAttestation { client_id: None, attestation: "a".into(), possession: "b".into() });
        let take = |form: &[(&str, &str)], attestation| {
            let form = form.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            ClientProof::take(&mut Parameters::new(form).unwrap(), attestation)
        };
        let assertion = [("client_assertion_type", JWT_BEARER), ("client_assertion", "j"), ("client_id", "w")];
        assert!(matches!(take(&assertion, None), Ok(ClientProof::Assertion(_))));
        assert!(matches!(take(&assertion[..1], None), Err(Refusal::InvalidClient(_))));
        assert!(matches!(take(&assertion, attestation()), Err(Refusal::InvalidClient(_))));
        let named = take(&assertion[2..], attestation()).unwrap();
        assert!(matches!(named, ClientProof::Attestation(ClientAttestation { client_id: Some(_), .. })));
    }

    #[test]
    fn authorization_details_name_known_configurations_once() {
        let details = |ids: &[&str]| {
            let entries: Vec<_> = ids
                .iter()
                .map(|id| json!({"type": OPENID_CREDENTIAL, "credential_configuration_id": id, "locations": ["x"]}))
                .collect();
            configurations_of(&json!(entries).to_string())
        };
        assert_eq!(details(&["official-card-sdjwt"]), Ok(vec![Configuration::SdJwt]));
        for wrong in [&[][..], &["unknown"], &["official-card-sdjwt", "official-card-sdjwt"]] {
            assert!(matches!(details(wrong), Err(Refusal::InvalidAuthorizationDetails(_))), "{wrong:?}");
        }
        for wrong in ["", "{}", "[1]", r#"[{"type":"payment"}]"#] {
            assert!(matches!(configurations_of(wrong), Err(Refusal::InvalidAuthorizationDetails(_))), "{wrong}");
        }
    }
}
