//! The unit office in the browser: the app, the way to the sign-in and back, the session that the app works in.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::answer::{Problem, ProblemDocument};
use super::authorize::{cookie, set_cookie};
use super::guard::at_work;
use super::negotiate::languages;
use super::pages::{escape, page};
use super::web;
use crate::error::{Error, Refusal};
use crate::flow::authorize::Cookie;
use crate::flow::{OfficeStep, OfficeStop, Service};
use crate::model::rights::Role;
use crate::protocol::display::Language;
use crate::protocol::sign_in::Callback;

const TITLE: &str = "Văn phòng đơn vị";

/// `GET /office`: to the app's folder.
pub async fn folder() -> Response {
    (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, "office/")]).into_response()
}

/// `GET /office/`: the app.
pub async fn app(headers: HeaderMap) -> Response {
    web::office_page(&headers)
}

/// `GET /office/…`: its files.
pub async fn file(axum::extract::Path(file): axum::extract::Path<String>, headers: HeaderMap) -> Response {
    match web::office_file(&file, &headers) {
        Some(found) => found,
        None => super::answer::not_found().await,
    }
}

/// `GET /office/sign-in`: to the provider.
pub async fn sign_in(State(service): State<Service>) -> Response {
    shown(&service, service.office_visit().await)
}

/// `GET /office/callback`: back from the provider.
pub async fn callback(
    State(service): State<Service>,
    headers: HeaderMap,
    query: Result<axum::extract::Query<Callback>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let callback = query.map(|query| query.0).unwrap_or_default();
    let attempt = cookie(&headers, &service.office_attempt_cookie());
    let session = cookie(&headers, &service.office_cookie());
    shown(&service, service.office_signed_in(&callback, attempt, session).await)
}

/// `POST /office/sign-out`: ends the session, and says where the browser signs out at the provider too.
pub async fn sign_out(State(service): State<Service>, headers: HeaderMap) -> Result<Response, Problem> {
    // The session may be over already, which is what was wanted.
    match at_work(&service, &Method::POST, &headers, false).await {
        Err(problem) if !problem.is(&Refusal::SessionEnded) && !problem.is(&Refusal::NoToken) => return Err(problem),
        _ => {}
    }
    let own = cookie(&headers, &service.office_cookie()).unwrap_or_default();
    let end_session = service.office_sign_out(own).await?;
    let mut response = (StatusCode::OK, Json(json!({"end_session": end_session}))).into_response();
    set_cookie(&service, &mut response, &Cookie { name: service.office_cookie(), value: String::new(), max_age: 0 });
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Who is at work, and what they may do.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionAnswer {
    /// The officer.
    officer: SessionOfficer,
    /// Their unit; null for the whole nation.
    unit: Option<UnitAnswer>,
    /// What they may do.
    #[schema(example = json!(["cards:read", "cards:lock"]))]
    scopes: Vec<String>,
    /// To be sent in `X-CSRF-Token` with everything that changes something.
    csrf: String,
    /// What the time is here (Unix seconds): a page measures with this, not with the clock of its computer.
    now: i64,
    /// When the officer authenticated (Unix seconds).
    signed_in_at: i64,
    /// When the session ends if nothing more is asked.
    idle_expires_at: i64,
    /// When it ends however busy.
    expires_at: i64,
    /// What takes a recent sign-in.
    step_up: StepUp,
    /// `vi`, or `en` where the browser wants nothing else.
    #[schema(example = "vi")]
    language: &'static str,
}

/// The officer of a session.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionOfficer {
    /// Their random name, as audit lines have it.
    #[schema(example = "0T4V7Q2M8K3D5N9R")]
    id: String,
    /// Their name.
    name: String,
    /// Their role.
    role: Role,
}

/// A unit with its name.
#[derive(Debug, Serialize, ToSchema)]
pub struct UnitAnswer {
    /// Its code.
    #[schema(example = "H26")]
    code: String,
    /// Its Vietnamese name; the code where it is not known.
    name: String,
}

/// What takes a recent sign-in.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepUp {
    /// The scopes.
    scopes: Vec<String>,
    /// Until when the present sign-in is recent enough (Unix seconds).
    until: i64,
}

/// `GET /api/v1/session`: who is signed in with this browser. Asking keeps no session open.
#[utoipa::path(get, path = "/api/v1/session", tag = "Office",
    responses((status = 200, body = SessionAnswer), (status = 401, body = ProblemDocument)), security(("office" = [])))]
pub async fn office_session(State(service): State<Service>, headers: HeaderMap) -> Result<Response, Problem> {
    let at_work = at_work(&service, &Method::GET, &headers, false).await?;
    let wants_english = languages(&headers) == [Language::English];
    let held = |scope: &&String| at_work.caller.scopes().contains(scope);
    let answer = SessionAnswer {
        unit: unit(&service, at_work.officer.unit.as_deref()).await?,
        officer: SessionOfficer {
            id: at_work.officer.id.to_string(),
            name: at_work.officer.name.clone(),
            role: at_work.officer.role,
        },
        scopes: at_work.caller.scopes().to_vec(),
        step_up: StepUp {
            scopes: service.step_up_scopes().iter().filter(held).cloned().collect(),
            until: at_work.step_up_until,
        },
        csrf: at_work.csrf,
        now: at_work.now,
        signed_in_at: at_work.signed_in_at,
        idle_expires_at: at_work.idle_expires_at,
        expires_at: at_work.expires_at,
        language: if wants_english { "en" } else { "vi" },
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

/// A unit with its name.
pub(super) async fn unit(service: &Service, code: Option<&str>) -> Result<Option<UnitAnswer>, Problem> {
    let Some(code) = code else { return Ok(None) };
    let name = service.unit_name(code).await?.unwrap_or_else(|| code.to_owned());
    Ok(Some(UnitAnswer { code: code.to_owned(), name }))
}

fn shown(service: &Service, step: Result<OfficeStep, Error>) -> Response {
    let mut response = match step {
        Ok(OfficeStep::Go { to, cookies }) => match HeaderValue::from_str(&to) {
            Ok(location) => {
                let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response();
                for cookie in &cookies {
                    set_cookie(service, &mut response, cookie);
                }
                response
            }
            Err(_) => stopped(service, OfficeStop::Failed),
        },
        Ok(OfficeStep::Stop(stop)) => stopped(service, stop),
        Err(error) => {
            tracing::error!(%error, "a page failed");
            let (vi, en) = ("Dịch vụ gặp lỗi. Hãy thử lại sau.", "The service failed. Please try again later.");
            problem(service, StatusCode::INTERNAL_SERVER_ERROR, vi, en)
        }
    };
    let own = response.headers_mut();
    own.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    own.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn stopped(service: &Service, stop: OfficeStop) -> Response {
    let (status, vi, en) = match stop {
        OfficeStop::NoSignIn => (
            StatusCode::NOT_FOUND,
            "Hệ thống này chưa mở văn phòng đơn vị.",
            "The unit office is not open at this deployment.",
        ),
        OfficeStop::UnknownAttempt => (
            StatusCode::BAD_REQUEST,
            "Lần đăng nhập đã hết hạn hoặc bắt đầu ở trình duyệt khác. Hãy đăng nhập lại.",
            "This sign-in is over, or began in another browser. Please sign in again.",
        ),
        OfficeStop::Unavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "Không kết nối được với hệ thống đăng nhập. Hãy thử lại sau ít phút.",
            "The sign-in cannot be reached. Please try again in a few minutes.",
        ),
        OfficeStop::Failed => (
            StatusCode::BAD_REQUEST,
            "Đăng nhập không thành công. Hãy đăng nhập lại.",
            "The sign-in did not succeed. Please sign in again.",
        ),
        OfficeStop::Denied => (StatusCode::FORBIDDEN, "Bạn đã từ chối đăng nhập.", "You declined to sign in."),
        OfficeStop::SecondFactorMissing => (
            StatusCode::FORBIDDEN,
            "Cần xác thực hai yếu tố. Hãy đăng nhập lại với mã một lần hoặc thiết bị bảo mật.",
            "A second factor is needed. Please sign in again with a one-time code or a security device.",
        ),
        OfficeStop::NoAccount => (
            StatusCode::FORBIDDEN,
            "Tài khoản này chưa được cấp quyền, đã bị khóa hoặc đã hết hạn. Hãy hỏi người quản trị.",
            "This account is not an officer's, is blocked or expired. Please ask your operator.",
        ),
        OfficeStop::OtherPerson => (
            StatusCode::FORBIDDEN,
            "Tài khoản này thuộc về người khác, hoặc bạn đã có một tài khoản khác. Mỗi người một tài khoản.",
            "This account is another person's, or you have another one. One account for one person.",
        ),
    };
    problem(service, status, vi, en)
}

fn problem(service: &Service, status: StatusCode, vi: &str, en: &str) -> Response {
    let again = format!("{}/office/sign-in", escape(&service.config.public_url));
    let body = format!(
        "<p id=\"error\" role=\"alert\">{vi}<br><span lang=\"en\">{en}</span></p>\
         <p><a id=\"again\" href=\"{again}\">Đăng nhập lại <span lang=\"en\">· Sign in again</span></a></p>"
    );
    let mut response = page(TITLE, &body);
    *response.status_mut() = status;
    response
}
