//! OAuth 2.0: token requests and answers, client assertions, server metadata (RFC 6749, 7523, 8414).

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::error::{Refusal, Result};

/// `grant_type` of OpenID4VCI 1.0 section 6.1.
pub const PRE_AUTHORIZED: &str = "urn:ietf:params:oauth:grant-type:pre-authorized_code";
/// `client_assertion_type` of RFC 7523 section 2.2.
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What an operation of `/api/v1` needs. One word each, so that a client gets no more than its task.
pub const SCOPES: [&str; 9] = [
    "offers:create",
    "cards:read",
    "cards:lock",
    "cards:unlock",
    "cards:withdraw",
    "cards:replace",
    "badges:read",
    "records:confirm",
    "events:read",
];

/// A request to the token endpoint.
#[derive(Debug, PartialEq, Eq)]
pub enum TokenRequest {
    /// A wallet redeems an offer.
    PreAuthorized {
        /// The code of the offer.
        code: String,
        /// The code that travelled on another channel.
        tx_code: Option<String>,
        /// The wallet product, when it authenticates itself; it may stay anonymous.
        client: Option<ClientAssertion>,
    },
    /// A program authenticates by `private_key_jwt`.
    ClientCredentials {
        /// The client.
        client: ClientAssertion,
        /// The scopes asked for; none means all that the client may have.
        scopes: Vec<String>,
    },
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
    /// From the form's parameters. Unknown ones are ignored; a repeated one is an error (RFC 6749 section 3.2).
    pub fn parse(form: Vec<(String, String)>) -> Result<Self, Refusal> {
        let mut parameters = HashMap::new();
        for (name, value) in form {
            if parameters.insert(name, value).is_some() {
                return Err(Refusal::InvalidTokenRequest("a parameter is repeated"));
            }
        }
        let mut take = |name: &str| parameters.remove(name).filter(|value| !value.is_empty());
        match take("grant_type").as_deref() {
            Some(PRE_AUTHORIZED) => Ok(Self::PreAuthorized {
                code: take("pre-authorized_code")
                    .ok_or(Refusal::InvalidTokenRequest("pre-authorized_code is missing"))?,
                tx_code: take("tx_code"),
                client: ClientAssertion::take(&mut take)?,
            }),
            Some("client_credentials") => Ok(Self::ClientCredentials {
                client: ClientAssertion::take(&mut take)?
                    .ok_or(Refusal::InvalidClient("the client must authenticate by private_key_jwt"))?,
                scopes: take("scope")
                    .map(|scopes| scopes.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect())
                    .unwrap_or_default(),
            }),
            Some(_) => Err(Refusal::UnsupportedGrantType),
            None => Err(Refusal::InvalidTokenRequest("grant_type is missing")),
        }
    }
}

impl ClientAssertion {
    /// From the parameters, if any of them is there: authentication that is begun must be whole.
    fn take(take: &mut impl FnMut(&str) -> Option<String>) -> Result<Option<Self>, Refusal> {
        match (take("client_assertion_type").as_deref(), take("client_assertion")) {
            (None, None) => Ok(None),
            (Some(JWT_BEARER), Some(jwt)) => Ok(Some(Self { client_id: take("client_id"), jwt })),
            _ => Err(Refusal::InvalidClient("client_assertion and its type jwt-bearer belong together")),
        }
    }
}

/// The answer of the token endpoint (RFC 6749 section 5.1).
pub fn token_response(token: &str, expires_in: i64, scope: Option<&str>) -> Value {
    let mut response = json!({"access_token": token, "token_type": "Bearer", "expires_in": expires_in});
    if let Some(scope) = scope {
        response["scope"] = json!(scope);
    }
    response
}

/// Authorization server metadata (RFC 8414) of a server whose identifier is `issuer`.
pub fn server_metadata(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
        "grant_types_supported": [PRE_AUTHORIZED, "client_credentials"],
        "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["ES256", "EdDSA"],
        "scopes_supported": SCOPES,
        "pre-authorized_grant_anonymous_access_supported": true,
        "status_list_aggregation_endpoint": format!("{issuer}/s"),
        "service_documentation": format!("{issuer}/docs"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(form: &[(&str, &str)]) -> Result<TokenRequest, Refusal> {
        TokenRequest::parse(form.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
    }

    #[test]
    fn unknown_parameters_are_ignored_and_repeated_ones_refused() {
        let good = [("grant_type", PRE_AUTHORIZED), ("pre-authorized_code", "c"), ("colour", "red")];
        assert_eq!(parse(&good), Ok(TokenRequest::PreAuthorized { code: "c".into(), tx_code: None, client: None }));
        let twice = [("grant_type", PRE_AUTHORIZED), ("pre-authorized_code", "c"), ("pre-authorized_code", "d")];
        assert!(matches!(parse(&twice), Err(Refusal::InvalidTokenRequest(_))));
        assert_eq!(parse(&[("grant_type", "password")]), Err(Refusal::UnsupportedGrantType));
        assert!(matches!(parse(&[("grant_type", "client_credentials")]), Err(Refusal::InvalidClient(_))));
    }
}
