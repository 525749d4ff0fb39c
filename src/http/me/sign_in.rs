//! How an official begins and ends a session.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::error::{Error, Refusal};
use crate::flow::Service;
use crate::flow::authorize::Cookie;
use crate::flow::self_service::{
    Official, OwnPresentation, OwnStep, OwnStop, PRESENTATION_GRANT, PresentedToken, SessionView,
};
use crate::http::answer::{OAuthError, Problem, ProblemDocument};
use crate::http::authorize::cookie;
use crate::http::extract::{ApiJson, Attestation, Form};
use crate::http::pages::{escape, page};
use crate::protocol::oauth::{ClientProof, Parameters, TokenRequest};
use crate::protocol::self_service::SelfAuthorization;
use crate::protocol::sign_in::Callback;

/// A query that may be anything: what cannot be read is as if it were not there.
type Query<T> = Result<axum::extract::Query<T>, axum::extract::rejection::QueryRejection>;

/// `GET /api/v1/me/authorize`: a wallet's user.
pub async fn authorize(State(service): State<Service>, query: Query<Vec<(String, String)>>) -> Response {
    let parameters = query.map(|query| query.0).unwrap_or_default();
    shown(&service, service.self_authorize(SelfAuthorization::parse(parameters)).await)
}

/// Where a browser goes on to.
#[derive(Default, Deserialize)]
pub struct SignIn {
    #[serde(default)]
    return_to: Option<String>,
}

/// `GET /api/v1/me/sign-in`: a browser by itself.
pub async fn sign_in(State(service): State<Service>, query: Query<SignIn>) -> Response {
    let return_to = query.map(|query| query.0.return_to).unwrap_or_default();
    shown(&service, service.self_sign_in(return_to.as_deref().unwrap_or("/api/v1/me")).await)
}

/// `GET /me/callback`: VNeID sends the browser back.
pub async fn signed_in(State(service): State<Service>, headers: HeaderMap, query: Query<Callback>) -> Response {
    let callback = query.map(|query| query.0).unwrap_or_default();
    let own = |name: &str| cookie(&headers, name).map(str::to_owned);
    shown(&service, service.self_signed_in(&callback, own).await)
}

/// Redeems a wallet's code, or a presentation of the person's card, for a session.
///
/// A form: `grant_type=authorization_code` with `code`, `redirect_uri` and `code_verifier`; or
/// `grant_type=urn:officials-card:grant-type:presentation` with `presentation`, `response_code` and `code_verifier`. The
/// wallet product authenticates itself as at `/token`. Errors are those of OAuth.
#[utoipa::path(post, operation_id = "me_token", path = "/api/v1/me/token", tag = "me",
    request_body(content = Object, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = Object), (status = 400, body = Object), (status = 401, body = Object)))]
pub async fn token(
    State(service): State<Service>,
    Attestation(attestation): Attestation,
    Form(form): Form,
) -> Result<Response, OAuthError> {
    let is_presentation = form.iter().any(|(name, value)| name == "grant_type" && value == PRESENTATION_GRANT);
    let answer = if is_presentation {
        let mut parameters = Parameters::new(form)?;
        let client = ClientProof::take(&mut parameters, attestation)?;
        service.self_presented_token(PresentedToken::take(parameters, client)?).await?
    } else {
        service.self_token(TokenRequest::parse(form, attestation)?).await?
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json::<Value>(answer)).into_response())
}

/// For whom the card is asked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOwnPresentation {
    /// The wallet product.
    #[schema(example = "vneid")]
    client_id: String,
    /// Where the browser brings the code that the exchange needs: registered for the wallet product.
    redirect_uri: String,
    /// The S256 challenge of the verifier that the exchange needs (RFC 7636).
    code_challenge: String,
}

/// Asks for the person's own card: the beginning of a sign-in with it. The browser of the device opens `page`, the wallet
/// presents, and the browser ends at `redirect_uri` with `response_code`.
#[utoipa::path(post, operation_id = "me_present", path = "/api/v1/me/presentations", tag = "me", request_body = NewOwnPresentation,
    responses((status = 201, body = OwnPresentation)))]
pub async fn present(
    State(service): State<Service>,
    ApiJson(new): ApiJson<NewOwnPresentation>,
) -> Result<Response, Problem> {
    let made = service.begin_own_presentation(&new.client_id, &new.redirect_uri, &new.code_challenge).await?;
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(made)).into_response())
}

/// What the session is.
#[utoipa::path(get, operation_id = "me_session", path = "/api/v1/me/session", tag = "me", security(("official" = [])),
    responses((status = 200, body = SessionView)))]
pub async fn session(State(service): State<Service>, official: Official) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(service.session_view(&official))).into_response()
}

/// Ends the session.
#[utoipa::path(delete, operation_id = "me_sign_out", path = "/api/v1/me/session", tag = "me", security(("official" = [])),
    responses((status = 204), (status = 403, body = ProblemDocument)))]
pub async fn sign_out(State(service): State<Service>, official: Official) -> Result<Response, Problem> {
    service.end_session(&official).await?;
    let cookie = Cookie { name: service.session_cookie_name().to_owned(), value: String::new(), max_age: 0 };
    let mut response = StatusCode::NO_CONTENT.into_response();
    set_cookie(&service, &mut response, &cookie);
    Ok(response)
}

const TITLE: &str = "Hồ sơ của tôi";

fn shown(service: &Service, step: Result<OwnStep, Error>) -> Response {
    let mut response = match step {
        Ok(OwnStep::Go { to, cookie }) => match HeaderValue::from_str(&to) {
            Ok(to) => {
                let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response();
                if let Some(cookie) = cookie {
                    set_cookie(service, &mut response, &cookie);
                }
                response
            }
            Err(_) => stopped(OwnStop::Failed),
        },
        Ok(OwnStep::Stop(stop)) => stopped(stop),
        Err(Error::Refusal(Refusal::TooManyRequests { .. })) => {
            let (vi, en) = ("Bạn đã thử quá nhiều lần. Hãy thử lại sau.", "Too many attempts. Please try again later.");
            told(StatusCode::TOO_MANY_REQUESTS, vi, en)
        }
        Err(error) => {
            tracing::error!(%error, "a page failed");
            let (vi, en) = ("Dịch vụ gặp lỗi. Hãy thử lại sau.", "The service failed. Please try again later.");
            told(StatusCode::INTERNAL_SERVER_ERROR, vi, en)
        }
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// `SameSite=Lax`: the browser comes back from VNeID by a link, and has to bring it.
fn set_cookie(service: &Service, response: &mut Response, cookie: &Cookie) {
    let Cookie { name, value, max_age } = cookie;
    let secure = if service.config.public_url.starts_with("https://") { "; Secure" } else { "" };
    let line = format!("{name}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}");
    if let Ok(line) = HeaderValue::from_str(&line) {
        response.headers_mut().append(header::SET_COOKIE, line);
    }
}

fn stopped(stop: OwnStop) -> Response {
    let (status, vi, en) = match stop {
        OwnStop::Unknown => (
            StatusCode::BAD_REQUEST,
            "Lần đăng nhập này không tồn tại, đã hết hạn hoặc ở trình duyệt khác. Hãy bắt đầu lại.",
            "This sign-in is unknown, expired or of another browser. Please start again.",
        ),
        OwnStop::WrongRequest => (
            StatusCode::BAD_REQUEST,
            "Yêu cầu của ứng dụng không hợp lệ.",
            "The request of the app is not valid (invalid_request).",
        ),
        OwnStop::Denied => (StatusCode::FORBIDDEN, "Bạn đã từ chối đăng nhập.", "The sign-in was denied."),
        OwnStop::AssuranceTooLow => (
            StatusCode::FORBIDDEN,
            "Cần tài khoản định danh điện tử mức độ 2.",
            "An electronic identity of level 2 is needed.",
        ),
        OwnStop::Unavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "Không kết nối được với VNeID. Hãy thử lại sau ít phút.",
            "VNeID cannot be reached. Please try again in a few minutes.",
        ),
        OwnStop::Failed => (
            StatusCode::BAD_REQUEST,
            "Đăng nhập VNeID không thành công. Hãy bắt đầu lại.",
            "The sign-in at VNeID did not succeed. Please start again.",
        ),
    };
    told(status, vi, en)
}

fn told(status: StatusCode, vi: &str, en: &str) -> Response {
    let body = format!("<p id=\"error\" role=\"alert\">{}<br><span lang=\"en\">{}</span></p>", escape(vi), escape(en));
    let mut response = page(TITLE, &body);
    *response.status_mut() = status;
    response
}
