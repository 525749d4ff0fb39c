//! What handlers take from a request: a token, JSON with a named place for every mistake, a form.

use std::fmt::Display;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use serde::de::DeserializeOwned;

use super::answer::{OAuthError, Problem, ResourceError};
use crate::error::Refusal;
use crate::flow::{DpopHeader, RequestBody, WalletCall};
use crate::model::id::Handle;
use crate::protocol::oauth::ClientAttestation;

/// The `DPoP` header (RFC 9449).
pub const DPOP: HeaderName = HeaderName::from_static("dpop");
/// The headers of attestation-based client authentication.
pub const ATTESTATION: HeaderName = HeaderName::from_static("oauth-client-attestation");
const ATTESTATION_POP: HeaderName = HeaderName::from_static("oauth-client-attestation-pop");

/// Scheme and token of the `Authorization` header. A token in the URL is never looked at.
fn authorization(headers: &HeaderMap) -> Option<(&str, &str)> {
    let (scheme, token) = only(headers, &header::AUTHORIZATION)?.split_once(' ')?;
    Some((scheme, token.trim())).filter(|(_, token)| !token.is_empty())
}

/// The token of a bearer.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    authorization(headers).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer")).map(|(_, token)| token)
}

/// The value of a header that comes once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// A DPoP proof, if there is one.
pub struct Dpop(pub DpopHeader);

impl Dpop {
    fn of(headers: &HeaderMap) -> DpopHeader {
        match (headers.contains_key(DPOP), only(headers, &DPOP)) {
            (false, _) => DpopHeader::Absent,
            (true, Some(proof)) => DpopHeader::One(proof.to_owned()),
            (true, None) => DpopHeader::Unusable,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Dpop {
    type Rejection = OAuthError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, OAuthError> {
        Ok(Self(Self::of(&parts.headers)))
    }
}

/// The attestation of a wallet's instance, if there is one: both headers, each once.
pub struct Attestation(pub Option<ClientAttestation>);

impl<S: Sync> FromRequestParts<S> for Attestation {
    type Rejection = OAuthError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, OAuthError> {
        let headers = &parts.headers;
        if !headers.contains_key(ATTESTATION) && !headers.contains_key(ATTESTATION_POP) {
            return Ok(Self(None));
        }
        let text = |name| {
            let rule = "OAuth-Client-Attestation and OAuth-Client-Attestation-PoP must each come once";
            only(headers, &name).map(str::to_owned).ok_or(Refusal::InvalidClient(rule))
        };
        let (attestation, possession) = (text(ATTESTATION)?, text(ATTESTATION_POP)?);
        Ok(Self(Some(ClientAttestation { client_id: None, attestation, possession })))
    }
}

/// A wallet's access token with its proof (RFC 6750 section 2.1, RFC 9449 section 7.1).
pub struct WalletToken(pub WalletCall);

impl<S: Sync> FromRequestParts<S> for WalletToken {
    type Rejection = ResourceError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ResourceError> {
        let (scheme, token) = authorization(&parts.headers).ok_or(Refusal::NoToken)?;
        let is_bound = scheme.eq_ignore_ascii_case("DPoP");
        if !is_bound && !scheme.eq_ignore_ascii_case("Bearer") {
            return Err(Refusal::NoToken.into());
        }
        Ok(Self(WalletCall { is_bound, token: token.to_owned(), dpop: Dpop::of(&parts.headers) }))
    }
}

/// A JSON body. A mistake is named by its place.
pub struct ApiJson<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for ApiJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Refusal::malformed("Content-Type", "must be application/json").into());
        }
        let bytes = body(request, state).await?;
        Ok(Self(parse_json(&bytes)?))
    }
}

/// A JSON value of this form. A mistake is named by its place in the body.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let place = match error.path().to_string().as_str() {
            "." | "?" => "body".to_owned(),
            path => format!("body.{path}"),
        };
        // serde's message may quote the value, which may be personal: say what kind of mistake it is.
        let inner = error.into_inner();
        let rule = match inner.classify() {
            serde_json::error::Category::Data => match inner.to_string() {
                text if text.starts_with("missing field") => {
                    text.split(" at line").next().unwrap_or_default().to_owned()
                }
                // Its name is the caller's text, and could be anything.
                text if text.starts_with("unknown field") => "has a member that is not known".to_owned(),
                // "unknown variant `…`, expected one of `…`": what is allowed is ours to repeat.
                text => match text.split_once(", expected one of ") {
                    Some((_, allowed)) => {
                        format!("must be one of {}", allowed.split(" at line").next().unwrap_or_default())
                    }
                    None => "has the wrong type or a value that is not allowed".to_owned(),
                },
            },
            _ => format!("is not JSON (line {}, column {})", inner.line(), inner.column()),
        };
        Refusal::malformed(place, rule)
    })?;
    reader.end().map_err(|_| Refusal::malformed("body", "has text after the JSON value"))?;
    Ok(value)
}

/// The parameters of a form (`application/x-www-form-urlencoded`), in order.
pub struct Form(pub Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = OAuthError;

    async fn from_request(request: Request, state: &S) -> Result<Self, OAuthError> {
        if !has_media_type(request.headers(), "application/x-www-form-urlencoded") {
            return Err(Refusal::InvalidTokenRequest("the body must be application/x-www-form-urlencoded").into());
        }
        let bytes = body(request, state)
            .await
            .map_err(|_| Refusal::InvalidTokenRequest("the body is too large or could not be read"))?;
        axum::extract::Form::<Vec<(String, String)>>::from_request(
            Request::builder()
                .method("POST")
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(bytes.into())
                .map_err(|_| Refusal::InvalidTokenRequest("the form is malformed"))?,
            state,
        )
        .await
        .map(|axum::extract::Form(form)| Self(form))
        .map_err(|_| Refusal::InvalidTokenRequest("the form is malformed").into())
    }
}

/// A part of the path; what cannot be one leads nowhere.
pub struct InPath<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for InPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(part)| Self(part)).map_err(|_| Refusal::NotFound("thing at this address").into())
    }
}

/// The parameters of the query.
pub struct InQuery<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for InQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        query
            .map(|axum::extract::Query(parameters)| Self(parameters))
            .map_err(|_| Refusal::malformed("query", "has an unknown parameter or a wrong value").into())
    }
}

/// A handle in a path or body; what cannot be one names nothing.
pub(super) fn handle(name: &str, what: &'static str) -> Result<Handle, Refusal> {
    Handle::parse(name).ok_or(Refusal::NotFound(what))
}

/// A number of things on a page.
pub(super) fn page_size<T>(limit: Option<T>, usual: T, most: T) -> Result<T, Refusal>
where
    T: PartialOrd + From<u8> + Display,
{
    let limit = limit.unwrap_or(usual);
    let rule = format!("must be 1 to {most}");
    if (T::from(1)..=most).contains(&limit) { Ok(limit) } else { Err(Refusal::malformed("limit", rule)) }
}

/// The body of a wallet's request, plain or encrypted, for the story to open.
pub struct WalletBody(pub RequestBody);

/// The body of a notification, whose refusals have a name of their own.
pub struct NotificationJson(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for WalletBody {
    type Rejection = OAuthError;

    async fn from_request(request: Request, state: &S) -> Result<Self, OAuthError> {
        let form = if has_media_type(request.headers(), "application/jwt") {
            RequestBody::Jwt
        } else if is_json(request.headers()) {
            RequestBody::Json
        } else {
            let rule = "the body must be application/json, or application/jwt when encrypted";
            return Err(Refusal::InvalidCredentialRequest(rule.into()).into());
        };
        let body = body(request, state).await;
        let body = body.map_err(|refusal| Refusal::InvalidCredentialRequest(refusal.to_string()))?;
        Ok(Self(form(body.into())))
    }
}

impl<S: Send + Sync> FromRequest<S> for NotificationJson {
    type Rejection = OAuthError;

    async fn from_request(request: Request, state: &S) -> Result<Self, OAuthError> {
        let refused = |text: String| OAuthError::from(Refusal::InvalidNotificationRequest(text));
        if !is_json(request.headers()) {
            return Err(refused("the body must be application/json".into()));
        }
        body(request, state).await.map(Self).map_err(|refusal| refused(refusal.to_string()))
    }
}

async fn body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Refusal> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        if rejection.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
            Refusal::TooMuch("the request body is too large".into())
        } else {
            Refusal::malformed("body", "could not be read")
        }
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    has_media_type(headers, "application/json")
}

pub(super) fn has_media_type(headers: &HeaderMap, expected: &str) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.split(';').next().is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case(expected))
}

/// The file's name of a `Content-Disposition` header (RFC 6266): `filename*` in UTF-8, else `filename`.
pub(super) fn file_name(headers: &HeaderMap) -> Option<String> {
    let line = headers.get(header::CONTENT_DISPOSITION)?.to_str().ok()?;
    let parameter = |name: &str| {
        let mut parts = line.split(';').skip(1).filter_map(|part| part.split_once('='));
        parts.find(|(own, _)| own.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    let extended = parameter("filename*").and_then(|value| {
        let (charset, rest) = value.split_once('\'')?;
        let (_, escaped) = rest.split_once('\'')?;
        charset.eq_ignore_ascii_case("utf-8").then(|| unescaped(escaped))?
    });
    extended.or_else(|| Some(parameter("filename")?.trim_matches('"').to_owned()))
}

/// Percent-decoding (RFC 3986 section 2.1); `None` when it is not UTF-8.
fn unescaped(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, others @ ..] = rest {
        let escaped = match (first, others) {
            (b'%', [high, low, ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                digit(high).zip(digit(low)).and_then(|(high, low)| u8::try_from(high << 4 | low).ok())
            }
            _ => None,
        };
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &others[2..] } else { others };
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn named(line: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_str(line).unwrap());
        file_name(&headers)
    }

    #[test]
    fn a_name_is_read_from_its_header() {
        assert_eq!(named("attachment; filename*=UTF-8''gi%E1%BA%A5y.pdf").as_deref(), Some("giấy.pdf"));
        assert_eq!(named("attachment; filename=\"a.pdf\"; filename*=utf-8'vi'b%20c.pdf").as_deref(), Some("b c.pdf"));
        assert_eq!(named("attachment; filename=\"a.pdf\"; filename*=UTF-8''%ff").as_deref(), Some("a.pdf"));
        assert_eq!(named("attachment; filename=a%2.pdf").as_deref(), Some("a%2.pdf"));
        for nothing in ["attachment", "inline; x=y", "filename"] {
            assert_eq!(named(nothing), None, "{nothing}");
        }
    }
}
