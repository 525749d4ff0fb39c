//! Refusals and faults on the wire. Every refusal has one row: status, OAuth error code, problem type.

use std::any::Any;

use axum::Json;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use crate::error::{Error, Refusal};

/// The media type of workbooks.
pub(super) const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
/// The media type of tables as text.
pub(super) const CSV: &str = "text/csv; charset=utf-8";

/// A file to be kept, and by nobody in between.
pub(super) fn attachment(media_type: &'static str, name: &str, file: Vec<u8>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type.to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
        (header::CACHE_CONTROL, "private, no-store".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    (headers, file).into_response()
}

/// The wire form of a refusal. `code` is the `error` of the OAuth and OpenID4VCI endpoints and, with hyphens, the last
/// part of the problem type (RFC 9457) of `/api/v1`.
struct Wire {
    status: StatusCode,
    code: &'static str,
}

// One row each: that two have the same wire form is a choice made twice.
#[allow(clippy::match_same_arms)]
fn wire(refusal: &Refusal) -> Wire {
    use Refusal as R;
    let (status, code) = match refusal {
        R::Malformed { .. } => (StatusCode::BAD_REQUEST, "invalid_request"),
        R::NoToken => (StatusCode::UNAUTHORIZED, "invalid_token"),
        R::InvalidToken => (StatusCode::UNAUTHORIZED, "invalid_token"),
        R::MissingScope(_) => (StatusCode::FORBIDDEN, "insufficient_scope"),
        R::ForeignUnit => (StatusCode::FORBIDDEN, "foreign_unit"),
        R::AssuranceTooLow => (StatusCode::FORBIDDEN, "assurance_too_low"),
        R::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
        R::Gone(_) => (StatusCode::GONE, "gone"),
        R::NotVerified(_) => (StatusCode::CONFLICT, "not_verified"),
        R::TermOver => (StatusCode::CONFLICT, "not_verified"),
        R::SeveralRecords => (StatusCode::CONFLICT, "several_records"),
        R::CardState { .. } => (StatusCode::CONFLICT, "card_state"),
        R::ProposalState { .. } => (StatusCode::CONFLICT, "proposal_state"),
        R::Claimed => (StatusCode::CONFLICT, "claimed"),
        R::NotImpartial(_) => (StatusCode::FORBIDDEN, "not_impartial"),
        R::OfficerExists => (StatusCode::CONFLICT, "officer_exists"),
        R::NotManageable(_) => (StatusCode::FORBIDDEN, "not_manageable"),
        R::SessionEnded => (StatusCode::UNAUTHORIZED, "session_ended"),
        // RFC 9470 section 3.
        R::SignInTooOld { .. } => (StatusCode::UNAUTHORIZED, "insufficient_user_authentication"),
        R::CrossSite(_) => (StatusCode::FORBIDDEN, "cross_site_request"),
        R::OutsideWindow => (StatusCode::CONFLICT, "outside_window"),
        R::AlreadyApproved => (StatusCode::CONFLICT, "already_approved"),
        R::NothingToApprove => (StatusCode::CONFLICT, "nothing_to_approve"),
        R::StateMoved => (StatusCode::CONFLICT, "state_moved"),
        R::InvalidSignature(_) => (StatusCode::BAD_REQUEST, "invalid_signature"),
        R::UnregisteredCertificate => (StatusCode::FORBIDDEN, "unregistered_certificate"),
        R::ForeignOrigin => (StatusCode::FORBIDDEN, "foreign_origin"),
        R::UnacceptableFile(_) => (StatusCode::UNPROCESSABLE_ENTITY, "unacceptable_file"),
        R::IdempotencyKeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused"),
        R::UploadState(_) => (StatusCode::CONFLICT, "upload_state"),
        R::RecordExists => (StatusCode::CONFLICT, "record_exists"),
        R::MovedOn(_) => (StatusCode::CONFLICT, "moved_on"),
        R::RecordIncomplete(_) => (StatusCode::CONFLICT, "record_incomplete"),
        R::RegistryUnavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "registry_unavailable"),
        R::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
        R::TooMuch(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too_much"),
        // RFC 6585 section 4. The OAuth code is the registered one that says "not now" (RFC 6749 section 4.1.2.1); slow_down
        // (RFC 8628 section 3.5) is about the interval of a device that polls.
        R::TooManyRequests { .. } => (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable"),
        R::InvalidTokenRequest(_) => (StatusCode::BAD_REQUEST, "invalid_request"),
        R::InvalidClient(_) => (StatusCode::UNAUTHORIZED, "invalid_client"),
        R::InvalidGrant(_) => (StatusCode::BAD_REQUEST, "invalid_grant"),
        R::UnsupportedGrantType => (StatusCode::BAD_REQUEST, "unsupported_grant_type"),
        R::InvalidScope => (StatusCode::BAD_REQUEST, "invalid_scope"),
        R::UnauthorizedClient(_) => (StatusCode::BAD_REQUEST, "unauthorized_client"),
        R::UnsupportedResponseType => (StatusCode::BAD_REQUEST, "unsupported_response_type"),
        R::RequestNotSupported => (StatusCode::BAD_REQUEST, "request_not_supported"),
        R::InvalidAuthorizationDetails(_) => (StatusCode::BAD_REQUEST, "invalid_authorization_details"),
        R::InvalidDpopProof(_) => (StatusCode::BAD_REQUEST, "invalid_dpop_proof"),
        R::UseDpopNonce => (StatusCode::BAD_REQUEST, "use_dpop_nonce"),
        R::UseAttestationChallenge => (StatusCode::BAD_REQUEST, "use_attestation_challenge"),
        R::InvalidCredentialRequest(_) => (StatusCode::BAD_REQUEST, "invalid_credential_request"),
        R::UnknownCredentialConfiguration => (StatusCode::BAD_REQUEST, "unknown_credential_configuration"),
        R::UnknownCredentialIdentifier => (StatusCode::BAD_REQUEST, "unknown_credential_identifier"),
        R::InvalidProof(_) => (StatusCode::BAD_REQUEST, "invalid_proof"),
        R::InvalidNonce => (StatusCode::BAD_REQUEST, "invalid_nonce"),
        R::InvalidEncryptionParameters(_) => (StatusCode::BAD_REQUEST, "invalid_encryption_parameters"),
        R::CredentialRequestDenied(_) => (StatusCode::BAD_REQUEST, "credential_request_denied"),
        R::InvalidTransactionId => (StatusCode::BAD_REQUEST, "invalid_transaction_id"),
        R::InvalidNotificationId => (StatusCode::BAD_REQUEST, "invalid_notification_id"),
        R::InvalidNotificationRequest(_) => (StatusCode::BAD_REQUEST, "invalid_notification_request"),
    };
    Wire { status, code }
}

/// An error of `/api/v1` and of public documents: a problem document (RFC 9457).
pub struct Problem(Error);

/// A problem document.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ProblemDocument {
    /// `urn:officials-card:problem:` and the kind of problem.
    #[serde(rename = "type")]
    #[schema(example = "urn:officials-card:problem:card-state")]
    kind: String,
    /// The kind in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What was wrong, and where.
    detail: String,
}

/// An error of the OAuth and OpenID4VCI endpoints: `error` and `error_description`, nothing else.
pub struct OAuthError(Error);

impl<E: Into<Error>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl<E: Into<Error>> From<E> for OAuthError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// An error of an endpoint that takes a wallet's access token: an [`OAuthError`], but what is wrong with token or DPoP proof
/// has status 401 and a challenge (RFC 9449 section 7.1).
pub struct ResourceError(Error);

impl<E: Into<Error>> From<E> for ResourceError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for ResourceError {
    fn into_response(self) -> Response {
        let error = match &self.0 {
            Error::Refusal(Refusal::NoToken) => Some(""),
            Error::Refusal(Refusal::InvalidToken) => Some("invalid_token"),
            Error::Refusal(Refusal::InvalidDpopProof(_)) => Some("invalid_dpop_proof"),
            Error::Refusal(Refusal::UseDpopNonce) => Some("use_dpop_nonce"),
            _ => None,
        };
        let mut response = OAuthError(self.0).into_response();
        if let Some(error) = error {
            *response.status_mut() = StatusCode::UNAUTHORIZED;
            let named = if error.is_empty() { String::new() } else { format!(" error=\"{error}\"") };
            let separated = if error.is_empty() { "" } else { "," };
            let mut challenges = vec![format!("DPoP{named}{separated} algs=\"ES256 EdDSA\"")];
            if !error.contains("dpop") {
                challenges.push(format!("Bearer{named}"));
            }
            response.headers_mut().remove(header::WWW_AUTHENTICATE);
            for challenge in challenges {
                if let Ok(challenge) = challenge.parse() {
                    response.headers_mut().append(header::WWW_AUTHENTICATE, challenge);
                }
            }
        }
        response
    }
}

impl Problem {
    /// Whether it is this refusal.
    pub fn is(&self, refusal: &Refusal) -> bool {
        matches!(&self.0, Error::Refusal(own) if own == refusal)
    }

    /// The document, for an answer that holds several.
    pub fn document(&self) -> ProblemDocument {
        match &self.0 {
            Error::Refusal(refusal) => {
                let Wire { status, code } = wire(refusal);
                document(status, code, refusal.to_string())
            }
            Error::Fault(fault) => {
                tracing::error!(%fault, "a request failed");
                document(StatusCode::INTERNAL_SERVER_ERROR, "fault", "the service failed; try again".into())
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = answer(&self.document());
        if let Error::Refusal(refusal) = &self.0 {
            challenge(&mut response, refusal);
            ask_to_wait(&mut response, refusal);
        }
        response
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let (status, code, description, refusal) = match self.0 {
            Error::Refusal(refusal) => {
                let Wire { status, code } = wire(&refusal);
                (status, code, refusal.to_string(), Some(refusal))
            }
            Error::Fault(fault) => {
                tracing::error!(%fault, "a request failed");
                (StatusCode::INTERNAL_SERVER_ERROR, "server_error", "the service failed; try again".into(), None)
            }
        };
        // RFC 6749 section 5.2: the description is ASCII without quotation mark and backslash.
        let description: String =
            description.chars().filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\')).collect();
        let body = Json(json!({"error": code, "error_description": description}));
        let mut response = (status, [(header::CACHE_CONTROL, "no-store")], body).into_response();
        if let Some(refusal) = refusal {
            challenge(&mut response, &refusal);
            ask_to_wait(&mut response, &refusal);
        }
        response
    }
}

/// RFC 6750 section 3: how to authenticate; no error code for a request without credentials.
fn challenge(response: &mut Response, refusal: &Refusal) {
    let value = match refusal {
        Refusal::NoToken | Refusal::SessionEnded => "Bearer".to_owned(),
        Refusal::InvalidToken => "Bearer error=\"invalid_token\"".to_owned(),
        Refusal::MissingScope(scope) => format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\""),
        // RFC 9470 section 3.
        Refusal::SignInTooOld { max_age_seconds } => {
            format!("Bearer error=\"insufficient_user_authentication\", max_age=\"{max_age_seconds}\"")
        }
        _ => return,
    };
    if let Ok(value) = value.parse() {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    }
}

/// When to come back where too many are served at the same time.
const BUSY_SECONDS: u64 = 5;

/// RFC 9110 section 10.2.3: when to come back.
fn ask_to_wait(response: &mut Response, refusal: &Refusal) {
    let seconds = match refusal {
        Refusal::TooManyRequests { retry_after_seconds } | Refusal::RegistryUnavailable { retry_after_seconds } => {
            *retry_after_seconds
        }
        Refusal::Busy(_) => BUSY_SECONDS,
        _ => return,
    };
    response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
}

/// JSON that no cache keeps: it holds personal data.
pub(super) fn fresh(body: impl Serialize) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// A portrait.
pub(super) fn jpeg(bytes: Vec<u8>) -> Response {
    let headers: [(HeaderName, &str); 3] = [
        (header::CONTENT_TYPE, "image/jpeg"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, bytes).into_response()
}

fn problem(status: StatusCode, code: &str, detail: String) -> Response {
    answer(&document(status, code, detail))
}

fn document(status: StatusCode, code: &str, detail: String) -> ProblemDocument {
    ProblemDocument {
        kind: format!("urn:officials-card:problem:{}", code.replace('_', "-")),
        title: status.canonical_reason().unwrap_or("Problem"),
        status: status.as_u16(),
        detail,
    }
}

fn answer(document: &ProblemDocument) -> Response {
    let status = StatusCode::from_u16(document.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers: [(HeaderName, &str); 2] =
        [(header::CONTENT_TYPE, "application/problem+json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, json!(document).to_string()).into_response()
}

/// No route.
pub async fn not_found() -> Response {
    problem(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address".into())
}

/// A route, but not for this method.
pub async fn method_not_allowed() -> Response {
    problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this address does not take that method".into())
}

/// A defect of ours: logged without its text, which could hold data.
pub fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("a handler panicked");
    problem(StatusCode::INTERNAL_SERVER_ERROR, "fault", "the service failed; try again".into())
}
