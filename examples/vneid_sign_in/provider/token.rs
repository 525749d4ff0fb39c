//! The token endpoint (OpenID Connect Core 1.0 section 3.1.3) and userinfo (section 5.3).

use axum::Json;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use josekit::jwk::Jwk;
use josekit::jws::ES256;
use officials_card::clock::UnixSeconds;
use officials_card::model::id::PersonalNumber;
use openidconnect::url::form_urlencoded;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{CODE_SECONDS, Provider, Shared, TOKEN_SECONDS, remember};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// How far ahead an assertion may end.
const MAX_ASSERTION_SECONDS: i64 = 600;

/// A code and what it stands for.
pub struct Code {
    pub who: Who,
    pub redirect_uri: String,
    pub nonce: Option<String>,
    pub challenge: String,
    pub scopes: Vec<String>,
    pub signed_in_at: UnixSeconds,
    /// The access token that it was exchanged for.
    pub used_for: Option<String>,
}

/// Somebody who signed in, as the client gets to see them.
#[derive(Clone)]
pub struct Who {
    pub sub: String,
    pub person: Option<PersonalNumber>,
    pub acr: Option<String>,
    /// RFC 8176.
    pub amr: Vec<&'static str>,
}

/// What an access token lets see.
pub struct Access {
    sub: String,
    person: Option<PersonalNumber>,
}

/// Errors of RFC 6749 section 5.2.
struct Refused(&'static str);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = if self.0 == "invalid_client" { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
        let mut response =
            (status, [(header::CACHE_CONTROL, "no-store")], Json(json!({"error": self.0}))).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Basic"));
        }
        response
    }
}

/// `POST /token`.
pub async fn exchange(
    State(provider): Shared,
    headers: HeaderMap,
    form: Result<Form<Vec<(String, String)>>, FormRejection>,
) -> Response {
    let answer = form.map_err(|_| Refused("invalid_request")).and_then(|Form(form)| grant(&provider, &headers, &form));
    match answer {
        Ok(tokens) => ([(header::CACHE_CONTROL, "no-store")], Json(tokens)).into_response(),
        Err(refused) => refused.into_response(),
    }
}

fn grant(provider: &Provider, headers: &HeaderMap, form: &[(String, String)]) -> Result<Value, Refused> {
    let get = |name: &str| {
        let mut values = form.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            _ => Err(Refused("invalid_request")),
        }
    };
    let now = provider.clock.now();
    let (client_id, assertion_type, assertion) =
        (get("client_id")?, get("client_assertion_type")?, get("client_assertion")?);
    let own = provider.settings.client_id.as_str();
    let authenticated = client_id.is_none_or(|name| name == own)
        && match (headers.get(header::AUTHORIZATION), assertion) {
            (Some(basic), None) => basic.to_str().ok().and_then(|text| has_secret(provider, text)).is_some(),
            (None, Some(jwt)) if assertion_type == Some(ASSERTION_TYPE) => has_key(provider, jwt, now).is_some(),
            _ => false,
        };
    if !authenticated {
        return Err(Refused("invalid_client"));
    }
    match get("grant_type")? {
        Some("authorization_code") => {}
        Some(_) => return Err(Refused("unsupported_grant_type")),
        None => return Err(Refused("invalid_request")),
    }
    let (Some(name), Some(redirect_uri), Some(verifier)) = (get("code")?, get("redirect_uri")?, get("code_verifier")?)
    else {
        return Err(Refused("invalid_request"));
    };
    let access_token = provider.random_name();
    let mut memory = provider.memory();
    let code = &mut memory.codes.get_mut(name).ok_or(Refused("invalid_grant"))?.what;
    // Whatever comes of it, a code is looked at once; a second look revokes what the first one got (RFC 6749 section 4.1.2).
    if let Some(token) = code.used_for.replace(access_token.clone()) {
        memory.tokens.remove(&token);
        return Err(Refused("invalid_grant"));
    }
    let expired = now >= code.signed_in_at + CODE_SECONDS;
    if expired || code.redirect_uri != redirect_uri || challenge(verifier) != Some(code.challenge.clone()) {
        return Err(Refused("invalid_grant"));
    }
    let Who { sub, person, acr, amr } = code.who.clone();
    let mut claims = json!({
        "iss": provider.settings.issuer, "sub": sub, "aud": own, "iat": now, "exp": now + TOKEN_SECONDS,
        "auth_time": code.signed_in_at, "amr": amr,
        "at_hash": URL_SAFE_NO_PAD.encode(&Sha256::digest(&access_token)[..16]),
    });
    if let Some(nonce) = &code.nonce {
        claims["nonce"] = json!(nonce);
    }
    if let Some(acr) = acr {
        claims["acr"] = json!(acr);
    }
    if let Some(person) = &person {
        claims[&provider.personal_number.claim] = json!(person.expose());
    }
    let scope = code.scopes.join(" ");
    let access = Access { sub, person };
    let id_token = provider.keys.sign(&claims).map_err(|_| Refused("server_error"))?;
    if !remember(&mut memory.tokens, access_token.clone(), access, now + TOKEN_SECONDS, now) {
        return Err(Refused("temporarily_unavailable"));
    }
    Ok(json!({
        "access_token": access_token, "token_type": "Bearer", "expires_in": TOKEN_SECONDS, "id_token": id_token,
        "scope": scope,
    }))
}

/// The challenge of a verifier of the right form (RFC 7636).
fn challenge(verifier: &str) -> Option<String> {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let formed = (43..=128).contains(&verifier.len()) && verifier.bytes().all(unreserved);
    formed.then(|| URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)))
}

/// A name of the person that is this client's alone (OpenID Connect Core 1.0 section 8.1), from which the number cannot
/// be found.
pub fn subject(provider: &Provider, person: &PersonalNumber) -> String {
    let hash = Sha256::new()
        .chain_update(provider.pairwise_salt)
        .chain_update(&provider.settings.client_id)
        .chain_update("\n")
        .chain_update(person.expose());
    URL_SAFE_NO_PAD.encode(hash.finalize())
}

/// `client_secret_basic`: both halves are form-encoded first (RFC 6749 section 2.3.1).
fn has_secret(provider: &Provider, authorization: &str) -> Option<()> {
    let pair = STANDARD.decode(authorization.strip_prefix("Basic ")?).ok()?;
    let pair = String::from_utf8(pair).ok()?;
    let (name, secret) = pair.split_once(':')?;
    let decoded = |text: &str| form_urlencoded::parse(text.as_bytes()).next().map(|(key, _)| key.into_owned());
    let settings = &provider.settings;
    (decoded(name)? == settings.client_id && decoded(secret)? == *settings.client_secret.as_ref()?).then_some(())
}

/// `private_key_jwt`, each assertion once.
fn has_key(provider: &Provider, jwt: &str, now: UnixSeconds) -> Option<()> {
    let Value::Object(key) = provider.settings.client_key.clone()? else { return None };
    let verifier = ES256.verifier_from_jwk(&Jwk::from_map(key).ok()?).ok()?;
    let (payload, _) = josekit::jws::deserialize_compact(jwt, &verifier).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    let own = json!(provider.settings.client_id);
    let ends_at = claims["exp"].as_i64()?;
    let lives = ends_at > now && ends_at <= now + MAX_ASSERTION_SECONDS;
    // RFC 7523bis wants the issuer identifier; OpenID Connect Core 1.0 section 9 knew the token endpoint.
    let issuer = &provider.settings.issuer;
    let for_us = [json!(issuer), json!(format!("{issuer}/token"))].contains(&claims["aud"]);
    if claims["iss"] != own || claims["sub"] != own || !for_us || !lives {
        return None;
    }
    let name = claims["jti"].as_str().filter(|jti| !jti.is_empty() && jti.len() <= 256)?.to_owned();
    let mut memory = provider.memory();
    let fresh = memory.assertions.get(&name).is_none_or(|used| used.until <= now);
    (fresh && remember(&mut memory.assertions, name, (), ends_at, now)).then_some(())
}

/// `GET` and `POST /userinfo`.
pub async fn userinfo(State(provider): Shared, headers: HeaderMap) -> Response {
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let memory = provider.memory();
    let access = token.and_then(|token| memory.tokens.get(token)).filter(|access| access.until > provider.clock.now());
    let Some(access) = access else {
        let challenge = if token.is_some() { "Bearer error=\"invalid_token\"" } else { "Bearer" };
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response();
    };
    let mut claims = json!({ "sub": access.what.sub });
    if let Some(person) = &access.what.person {
        claims[&provider.personal_number.claim] = json!(person.expose());
    }
    ([(header::CACHE_CONTROL, "no-store")], Json(claims)).into_response()
}
