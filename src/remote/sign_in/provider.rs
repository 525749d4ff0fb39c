//! What is known of the provider: its discovery document and keys, asked for when first needed and kept for a while.

use std::sync::Arc;

use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreErrorResponseType,
    CoreGenderClaim, CoreGrantType, CoreJsonWebKey, CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm, CoreResponseMode, CoreResponseType, CoreRevocableToken,
    CoreRevocationErrorResponse, CoreSubjectIdentifierType, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::url::Url;
use openidconnect::{
    AdditionalClaims, AdditionalProviderMetadata, AuthType, Client, ClientId, ClientSecret, DiscoveryError,
    EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, IdToken, IdTokenFields, IssuerUrl,
    JsonWebKeySetUrl, ProviderMetadata, RedirectUrl, StandardErrorResponse, StandardTokenResponse,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::SignInError;
use super::http::{Http, HttpError};
use crate::clock::{Clock, HOUR_SECONDS, UnixSeconds};

/// How long a discovery document and its keys are believed.
pub const DISCOVERY_SECONDS: i64 = 6 * HOUR_SECONDS;
/// How long a provider that could not be discovered is left alone: everybody who comes meanwhile is told at once.
pub const DISCOVERY_REST_SECONDS: i64 = 5;
/// How long after a look for a new key nobody looks again.
pub const KEYS_REST_SECONDS: i64 = 60;

/// Members of the discovery document that the crate does not know.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Announced {
    /// RFC 9207.
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    /// OpenID Connect RP-Initiated Logout 1.0 section 2.1.
    #[serde(default)]
    end_session_endpoint: Option<Url>,
}

impl AdditionalProviderMetadata for Announced {}

type Metadata = ProviderMetadata<
    Announced,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// Claims beyond the standard ones. They do not print: one of them is the personal number.
#[derive(Clone, Deserialize, Serialize)]
#[serde(transparent)]
pub struct OtherClaims(serde_json::Map<String, serde_json::Value>);

impl std::fmt::Debug for OtherClaims {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("OtherClaims")
    }
}

impl AdditionalClaims for OtherClaims {}

/// The ID token.
pub type SignInToken =
    IdToken<OtherClaims, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;

/// The token answer.
type Tokens = StandardTokenResponse<
    IdTokenFields<
        OtherClaims,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;

/// The token endpoint's error.
pub type TokenError = StandardErrorResponse<CoreErrorResponseType>;

/// Ourselves, knowing the endpoints.
type RelyingParty = Client<
    OtherClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    TokenError,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// How the provider knows us.
pub struct Registration {
    pub issuer: IssuerUrl,
    pub client_id: ClientId,
    pub client_secret: Option<ClientSecret>,
    pub redirect_uri: RedirectUrl,
}

/// A provider that was discovered.
#[derive(Clone)]
pub struct Provider {
    /// Ourselves towards it.
    pub client: RelyingParty,
    /// Its signing keys.
    pub keys: CoreJsonWebKeySet,
    /// Whether it promises `iss` in its authorization answers (RFC 9207).
    pub announces_iss: bool,
    /// Where browsers sign out.
    pub end_session: Option<Url>,
    jwks_uri: JsonWebKeySetUrl,
    discovered_at: UnixSeconds,
}

/// The memory of all who sign in.
#[derive(Default)]
pub struct Discovery {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    provider: Option<Arc<Provider>>,
    failed: Option<(UnixSeconds, SignInError)>,
    keys_asked_at: Option<UnixSeconds>,
}

impl Discovery {
    /// The provider, discovered now if it must be: one asks, the others wait for the same answer.
    pub async fn provider(
        &self,
        registration: &Registration,
        http: &Http,
        clock: &Clock,
    ) -> Result<Arc<Provider>, SignInError> {
        let mut known = self.known.lock().await;
        let now = clock.now();
        if let Some(provider) = &known.provider
            && is_recent(provider.discovered_at, now, DISCOVERY_SECONDS)
        {
            return Ok(Arc::clone(provider));
        }
        if let Some((at, error)) = &known.failed
            && is_recent(*at, now, DISCOVERY_REST_SECONDS)
        {
            return Err(error.clone());
        }
        match discover(registration, http, now).await {
            Ok(provider) => {
                let provider = Arc::new(provider);
                *known = Known { provider: Some(Arc::clone(&provider)), ..Known::default() };
                Ok(provider)
            }
            Err(error) => {
                *known = Known { failed: Some((now, error.clone())), ..Known::default() };
                Err(error)
            }
        }
    }

    /// The provider with newer keys than `seen` has; `None` when it was asked for them a moment ago.
    pub async fn with_newer_keys(
        &self,
        seen: &Arc<Provider>,
        http: &Http,
        clock: &Clock,
    ) -> Result<Option<Arc<Provider>>, SignInError> {
        let mut known = self.known.lock().await;
        // Somebody else was faster.
        if let Some(provider) = &known.provider
            && !Arc::ptr_eq(provider, seen)
        {
            return Ok(Some(Arc::clone(provider)));
        }
        let now = clock.now();
        if known.keys_asked_at.is_some_and(|at| is_recent(at, now, KEYS_REST_SECONDS)) {
            return Ok(None);
        }
        known.keys_asked_at = Some(now);
        let keys = CoreJsonWebKeySet::fetch_async(&seen.jwks_uri, http).await;
        let provider = Provider { keys: keys.map_err(|error| refused_document(&error))?, ..Provider::clone(seen) };
        let provider = Arc::new(provider);
        known.provider = Some(Arc::clone(&provider));
        Ok(Some(provider))
    }

    /// Forgets what was known when it turns out not to work: the next to come discovers anew.
    pub async fn forget(&self, seen: &Arc<Provider>) {
        let mut known = self.known.lock().await;
        if known.provider.as_ref().is_some_and(|provider| Arc::ptr_eq(provider, seen)) {
            known.provider = None;
        }
    }
}

/// Whether `at` is less than so many seconds ago; a clock that was set back makes nothing recent.
fn is_recent(at: UnixSeconds, now: UnixSeconds, seconds: i64) -> bool {
    (0..seconds).contains(&(now - at))
}

async fn discover(registration: &Registration, http: &Http, now: UnixSeconds) -> Result<Provider, SignInError> {
    let metadata = Metadata::discover_async(registration.issuer.clone(), http).await;
    let metadata = metadata.map_err(|error| refused_document(&error))?;
    let token_endpoint = metadata.token_endpoint().map(openidconnect::TokenUrl::url);
    let token_endpoint = token_endpoint.ok_or(SignInError::Refused("the provider has no token endpoint"))?;
    if ![metadata.authorization_endpoint().url(), token_endpoint].into_iter().all(|url| http.may_ask(url)) {
        return Err(SignInError::Refused("an address of the provider is not https"));
    }
    let announces_iss = metadata.additional_metadata().authorization_response_iss_parameter_supported;
    // An address that a browser may not be sent to is as good as none.
    let end_session = metadata.additional_metadata().end_session_endpoint.clone().filter(|url| http.may_ask(url));
    let (keys, jwks_uri) = (metadata.jwks().clone(), metadata.jwks_uri().clone());
    let secret = registration.client_secret.clone();
    // Without a secret the name goes into the body, beside the assertion.
    let authentication = if secret.is_some() { AuthType::BasicAuth } else { AuthType::RequestBody };
    let client = RelyingParty::from_provider_metadata(metadata, registration.client_id.clone(), secret)
        .set_auth_type(authentication)
        .set_redirect_uri(registration.redirect_uri.clone());
    Ok(Provider { client, keys, announces_iss, end_session, jwks_uri, discovered_at: now })
}

/// Why a discovery document or key set cannot be used. What the provider wrote is not repeated.
fn refused_document(error: &DiscoveryError<HttpError>) -> SignInError {
    match error {
        DiscoveryError::Request(error) => error.into(),
        DiscoveryError::Response(status, ..) if !status.is_success() => {
            SignInError::Unreachable(format!("discovery: status {}", status.as_u16()))
        }
        DiscoveryError::Validation(_) => SignInError::Refused("the discovery document is of another issuer"),
        _ => SignInError::Refused("the discovery document or key set cannot be read"),
    }
}
