//! What a browser sees between a wallet's request and its answer: redirections, one question, and pages that say plainly
//! why it does not go on. Forms without script; stable ids.

use std::fmt::Write as _;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::answer::{OAuthError, Problem};
use super::extract::{Form, InPath};
use super::pages::{escape, page};
use crate::error::{Error, Refusal};
use crate::flow::Service;
use crate::flow::authorize::{Choice, Consent, Cookie, Step, Stop, WhyNoCard};
use crate::model::id::Handle;
use crate::model::person::NotVerified;
use crate::protocol::oid4vci::CLAIMS;
use crate::protocol::sign_in::Callback;

/// What the authorization endpoint reads; all else was pushed.
#[derive(Default, Deserialize)]
pub struct Visit {
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    request_uri: String,
}

/// The authorization endpoint (RFC 9126 section 4).
pub async fn visit(State(service): State<Service>, query: Query<Visit>) -> Response {
    let Visit { client_id, request_uri } = query.map(|query| query.0).unwrap_or_default();
    shown(&service, service.visit(&client_id, &request_uri).await)
}

/// VNeID sends the browser back.
pub async fn signed_in(State(service): State<Service>, headers: HeaderMap, query: Query<Callback>) -> Response {
    let callback = query.map(|query| query.0).unwrap_or_default();
    let cookie = service.cookie_of_callback(&callback).and_then(|name| cookie(&headers, &name));
    shown(&service, service.signed_in(&callback, cookie).await)
}

/// The question to the person.
pub async fn consent(State(service): State<Service>, path: Path, headers: HeaderMap) -> Response {
    let Ok(InPath(id)) = path else { return shown(&service, Ok(Step::Stop(Stop::UnknownRequest))) };
    shown(&service, service.consent(&id, cookie(&headers, &service.cookie_name(&id))).await)
}

/// The person's answer. The cookie, which no other site can make the browser send with a form (`SameSite=Lax`), shows
/// that it is theirs.
pub async fn decide(
    State(service): State<Service>,
    path: Path,
    headers: HeaderMap,
    form: Result<Form, OAuthError>,
) -> Response {
    let (Ok(InPath(id)), Ok(Form(form))) = (path, form) else {
        return shown(&service, Ok(Step::Stop(Stop::UnknownRequest)));
    };
    let value = |name: &str| form.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
    let approved = (value("decision") == Some("approve")).then(|| value("record").and_then(Handle::parse));
    shown(&service, service.decide(&id, cookie(&headers, &service.cookie_name(&id)), approved).await)
}

/// A place that may be anything: what cannot be read leads nowhere, which a page says.
type Path = Result<InPath<String>, Problem>;

/// A query that may be anything: what cannot be read is as if it were not there.
type Query<T> = Result<axum::extract::Query<T>, axum::extract::rejection::QueryRejection>;

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(';')).find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

fn shown(service: &Service, step: Result<Step, Error>) -> Response {
    let mut response = match step {
        Ok(Step::Go { to, cookie }) => go(service, &to, cookie.as_ref()),
        Ok(Step::Ask(consent)) => ask(service, &consent),
        Ok(Step::NoCard { id, why }) => no_card(service, &id, why),
        Ok(Step::Stop(stop)) => stopped(stop),
        Err(Error::Refusal(Refusal::TooManyRequests { .. })) => {
            let (vi, en) = ("Bạn đã thử quá nhiều lần. Hãy thử lại sau.", "Too many attempts. Please try again later.");
            problem(StatusCode::TOO_MANY_REQUESTS, vi, en)
        }
        Err(error) => {
            tracing::error!(%error, "a page failed");
            let (vi, en) = ("Dịch vụ gặp lỗi. Hãy thử lại sau.", "The service failed. Please try again later.");
            problem(StatusCode::INTERNAL_SERVER_ERROR, vi, en)
        }
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// 303: the next request is a GET, and no form is sent on.
fn go(service: &Service, to: &str, cookie: Option<&Cookie>) -> Response {
    let Ok(location) = HeaderValue::from_str(to) else { return stopped(Stop::SignInFailed) };
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response();
    if let Some(cookie) = cookie {
        set_cookie(service, &mut response, cookie);
    }
    response
}

/// Adds a cookie, which only we see and which comes along when another site sends the browser here by a link.
pub(super) fn set_cookie(service: &Service, response: &mut Response, cookie: &Cookie) {
    let Cookie { name, value, max_age } = cookie;
    let secure = if service.config.public_url.starts_with("https://") { "; Secure" } else { "" };
    let line = format!("{name}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}");
    if let Ok(line) = HeaderValue::from_str(&line) {
        response.headers_mut().append(header::SET_COOKIE, line);
    }
}

const TITLE: &str = "Nhận thẻ cán bộ, công chức, viên chức";

fn ask(service: &Service, consent: &Consent) -> Response {
    let wallet = escape(&consent.wallet);
    let mut body = format!(
        "<p>Ứng dụng <strong>{wallet}</strong> xin nhận thẻ của bạn:<br>\
         <span lang=\"en\">The app <strong>{wallet}</strong> asks for your card:</span></p><ul>"
    );
    // One line for all forms of the same thing.
    let mut names = Vec::new();
    for (vi, en) in consent.configurations.iter().map(|configuration| configuration.names()) {
        if !names.contains(&vi) {
            names.push(vi);
            let _ = write!(body, "<li>{} <span lang=\"en\">· {}</span></li>", escape(vi), escape(en));
        }
    }
    body.push_str("</ul><p>Thẻ có các thông tin <span lang=\"en\">· The card says</span>:</p><ul class=\"claims\">");
    for (_, vi, en, _) in CLAIMS {
        let _ = write!(body, "<li>{vi} <span lang=\"en\">· {en}</span></li>");
    }
    let _ = write!(
        body,
        "</ul><form method=\"post\" action=\"{}/authorize/{}\">",
        escape(&service.config.public_url),
        escape(&consent.id)
    );
    let name = consent.choices.first().map(|choice| escape(&choice.name)).unwrap_or_default();
    let _ = write!(body, "<p>Người nhận <span lang=\"en\">· For</span>: <strong>{name}</strong></p>");
    match consent.choices.as_slice() {
        [only] => {
            let _ = write!(
                body,
                "<input type=\"hidden\" name=\"record\" value=\"{}\">\
                 <p>Cơ quan <span lang=\"en\">· Agency</span>: <strong>{}</strong>{}</p>",
                escape(only.record.as_str()),
                escape(&only.agency),
                review_note(only)
            );
        }
        several => {
            body.push_str(
                "<fieldset><legend>Thẻ của cơ quan nào? <span lang=\"en\">· Of which agency?</span></legend>",
            );
            for (place, choice) in several.iter().enumerate() {
                let _ = write!(
                    body,
                    "<label class=\"choice\"><input type=\"radio\" name=\"record\" value=\"{}\"{}> <span>{}{}</span></label>",
                    escape(choice.record.as_str()),
                    if place == 0 { " checked" } else { "" },
                    escape(&choice.agency),
                    review_note(choice)
                );
            }
            body.push_str("</fieldset>");
        }
    }
    body.push_str(
        "<p class=\"answers\"><button id=\"approve\" name=\"decision\" value=\"approve\" class=\"main\">Đồng ý \
         <span lang=\"en\">· Approve</span></button><button id=\"deny\" name=\"decision\" value=\"deny\">Từ chối \
         <span lang=\"en\">· Deny</span></button></p></form>",
    );
    page(TITLE, &body)
}

fn review_note(choice: &Choice) -> &'static str {
    if choice.is_under_review {
        "<br>Hồ sơ đang được xác minh; thẻ sẽ tự đến ví khi xong. \
         <span lang=\"en\">The record is under review; the card will come to the wallet by itself.</span>"
    } else {
        ""
    }
}

fn no_card(service: &Service, id: &str, why: WhyNoCard) -> Response {
    let (vi, en) = match why {
        WhyNoCard::NoRecord => (
            "Chưa có cơ quan nào gửi hồ sơ của bạn. Hãy hỏi bộ phận tổ chức cán bộ của cơ quan bạn.",
            "No agency has sent a record of you. Please ask your personnel office.",
        ),
        WhyNoCard::NotVerified(NotVerified::NotFound | NotVerified::Mismatched) => (
            "Hồ sơ của bạn chưa khớp với Cơ sở dữ liệu quốc gia về dân cư. Hãy đề nghị cơ quan bạn kiểm tra lại.",
            "Your record does not agree with the national population database. Please ask your agency to correct it.",
        ),
        WhyNoCard::NotVerified(NotVerified::NotInService) => (
            "Theo hồ sơ, bạn không còn công tác, nên không được cấp thẻ.",
            "According to your record you are no longer in service, so there is no card.",
        ),
        WhyNoCard::NotVerified(_) => (
            "Hồ sơ của bạn còn thiếu thông tin để cấp thẻ. Hãy đề nghị cơ quan bạn bổ sung.",
            "Your record lacks something that the card needs. Please ask your agency to complete it.",
        ),
        WhyNoCard::NotInForce => (
            "Thẻ của bạn đang bị khóa hoặc đã bị thu hồi. Hãy hỏi cơ quan bạn.",
            "Your card is locked or was withdrawn. Please ask your agency.",
        ),
        WhyNoCard::OtherPerson => ("Lời mời nhận thẻ này dành cho người khác.", "This offer is for somebody else."),
        WhyNoCard::AssuranceTooLow => (
            "Cần tài khoản định danh điện tử mức độ 2 để nhận thẻ.",
            "An electronic identity of level 2 is needed to get the card.",
        ),
    };
    let body = format!(
        "{}<form method=\"post\" action=\"{}/authorize/{}\"><p class=\"answers\"><button id=\"deny\" \
         name=\"decision\" value=\"deny\" class=\"main\">Quay lại ví <span lang=\"en\">· Back to the wallet</span></button></p></form>",
        sentences(vi, en),
        escape(&service.config.public_url),
        escape(id)
    );
    let mut response = page(TITLE, &body);
    *response.status_mut() = StatusCode::FORBIDDEN;
    response
}

fn stopped(stop: Stop) -> Response {
    let (status, vi, en) = match stop {
        Stop::UnknownRequest => (
            StatusCode::BAD_REQUEST,
            "Yêu cầu nhận thẻ không tồn tại, đã hết hạn hoặc đã dùng. Hãy bắt đầu lại từ ứng dụng ví.",
            "This request is unknown, expired or used (invalid_request_uri). Please start again from the wallet.",
        ),
        Stop::OtherBrowser => (
            StatusCode::BAD_REQUEST,
            "Trình duyệt này không phải nơi bắt đầu yêu cầu. Hãy bắt đầu lại từ ứng dụng ví.",
            "This browser is not the one that began. Please start again from the wallet.",
        ),
        Stop::SignInUnavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "Không kết nối được với VNeID. Hãy thử lại sau ít phút.",
            "VNeID cannot be reached. Please try again in a few minutes.",
        ),
        Stop::SignInFailed => (
            StatusCode::BAD_REQUEST,
            "Đăng nhập VNeID không thành công. Hãy bắt đầu lại từ ứng dụng ví.",
            "The sign-in at VNeID did not succeed. Please start again from the wallet.",
        ),
    };
    problem(status, vi, en)
}

fn problem(status: StatusCode, vi: &str, en: &str) -> Response {
    let mut response = page(TITLE, &sentences(vi, en));
    *response.status_mut() = status;
    response
}

fn sentences(vi: &str, en: &str) -> String {
    format!("<p id=\"error\" role=\"alert\">{vi}<br><span lang=\"en\">{en}</span></p>")
}
