//! The page of a presentation: who asks for what and why, a QR code for another device or a link on the same one, the
//! browser's Digital Credentials API where there is one, and how it ended. One small script of our own, and it works
//! without.

use std::fmt::Write as _;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{OAuthError, Problem};
use super::authorize::cookie;
use super::extract::{ApiJson, InPath};
use super::pages::{escape, page_with};
use super::presentations::streamed;
use crate::error::{Error, Refusal};
use crate::flow::Service;
use crate::flow::authorize::Cookie;
use crate::flow::present::{PresentPage, PresentStep, PresentStop};
use crate::model::presentation::PresentationState;
use crate::protocol::oid4vci::CLAIMS;

const SCRIPT: &str = include_str!("present.js");
const TITLE: &str = "Xuất trình thẻ cán bộ, công chức, viên chức";
/// How often the page comes anew in a browser without script, in seconds.
const REFRESH_SECONDS: u32 = 5;
/// Nothing but our own script and style, and pictures that stand in the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; img-src data:; \
    style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// What a wallet brings the browser back with.
#[derive(Default, Deserialize)]
pub struct Back {
    #[serde(default)]
    response_code: String,
}

/// `GET /present/{token}`: the page, for the browser that began on it, or the button to begin.
pub async fn show(
    State(service): State<Service>,
    path: Result<InPath<String>, Problem>,
    headers: HeaderMap,
) -> Response {
    let Ok(InPath(token)) = path else { return shown(&service, Ok(PresentStep::Stop(PresentStop::Unknown))) };
    shown(&service, service.present_page(&token, |name| own(&headers, name)).await)
}

/// `POST /present/{token}`: this browser begins; from now on the page is its own.
pub async fn begin(
    State(service): State<Service>,
    path: Result<InPath<String>, Problem>,
    headers: HeaderMap,
) -> Response {
    let Ok(InPath(token)) = path else { return shown(&service, Ok(PresentStep::Stop(PresentStop::Unknown))) };
    shown(&service, service.present_begin(&token, |name| own(&headers, name)).await)
}

/// `GET /present/return`: the wallet brings the browser back.
pub async fn back(
    State(service): State<Service>,
    headers: HeaderMap,
    query: Result<axum::extract::Query<Back>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let code = query.map(|query| query.0.response_code).unwrap_or_default();
    shown(&service, service.present_return(&code, |name| own(&headers, name)).await)
}

/// `GET /present/script.js`.
pub async fn script() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/javascript; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    (headers, SCRIPT).into_response()
}

/// `GET /present/{token}/events`: the states, for the page's script.
pub async fn events(
    State(service): State<Service>,
    InPath(token): InPath<String>,
    headers: HeaderMap,
) -> Result<Response, OAuthError> {
    let (id, place) = service.present_stream(&token, |name| own(&headers, name)).await?;
    Ok(streamed(service, id, place))
}

/// `GET /present/{token}/dc-request`: the signed request for the browser's API.
pub async fn dc_request(
    State(service): State<Service>,
    InPath(token): InPath<String>,
    headers: HeaderMap,
) -> Result<Response, OAuthError> {
    let request = service.present_dc_request(&token, |name| own(&headers, name)).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(request)).into_response())
}

/// What the browser's API gave.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DcResponse {
    protocol: String,
    data: Value,
}

/// `POST /present/{token}/dc-response`: what the browser's API gave, verified before the answer. Cookie, `Origin` and a
/// media type that no form can send keep other sites out.
pub async fn dc_response(
    State(service): State<Service>,
    InPath(token): InPath<String>,
    headers: HeaderMap,
    body: Result<ApiJson<DcResponse>, Problem>,
) -> Result<Response, Response> {
    let ApiJson(response) = body.map_err(IntoResponse::into_response)?;
    let refused = |error: Error| OAuthError::from(error).into_response();
    if response.protocol != "openid4vp-v1-signed" {
        return Err(refused(Refusal::malformed("body.protocol", "must be openid4vp-v1-signed").into()));
    }
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    let own = |name: &str| own(&headers, name);
    service.present_dc_response(&token, own, origin, &response.data).await.map_err(refused)?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(json!({}))).into_response())
}

fn own(headers: &HeaderMap, name: &str) -> Option<String> {
    cookie(headers, name).map(str::to_owned)
}

fn shown(service: &Service, step: Result<PresentStep, Error>) -> Response {
    let mut response = match step {
        Ok(PresentStep::Page(page)) => whole(service, &page),
        Ok(PresentStep::Begin(address)) => beginning(service, &address),
        Ok(PresentStep::Begun(to, cookie)) => {
            let mut response = sent_on(&to);
            set_cookie(service, &mut response, &cookie);
            response
        }
        Ok(PresentStep::Go(to)) => sent_on(&to),
        Ok(PresentStep::Stop(stop)) => stopped(stop),
        Err(Error::Refusal(_)) => stopped(PresentStop::Unknown),
        Err(Error::Fault(fault)) => {
            tracing::error!(%fault, "a page failed");
            let (vi, en) = ("Dịch vụ gặp lỗi. Hãy thử lại sau.", "The service failed. Please try again later.");
            problem(StatusCode::INTERNAL_SERVER_ERROR, vi, en)
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(PERMISSIONS_POLICY, HeaderValue::from_static("digital-credentials-get=(self)"));
    response
}

fn sent_on(to: &str) -> Response {
    match HeaderValue::from_str(to) {
        Ok(to) => (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response(),
        Err(_) => stopped(PresentStop::Unknown),
    }
}

/// What anybody sees who has the address: nothing but a button, which the script presses. Programs that only look at the
/// address do not take the page away from the person.
fn beginning(service: &Service, address: &str) -> Response {
    let body = format!(
        "<form id=\"begin\" method=\"post\" action=\"{}\"><p class=\"answers\"><button class=\"main\">Bắt đầu \
         <span lang=\"en\">· Begin</span></button></p></form>",
        escape(address)
    );
    page_with(TITLE, &script_tag(service), &body)
}

fn script_tag(service: &Service) -> String {
    format!("<script src=\"{}/present/script.js\" defer></script>", escape(&service.config.public_url))
}

fn whole(service: &Service, view: &PresentPage) -> Response {
    let asker = escape(&view.client);
    let mut body = format!(
        "<div id=\"present\" data-state=\"{}\"><p><strong id=\"asker\">{asker}</strong> đề nghị bạn xuất trình thẻ: \
         <strong>{}</strong>.<br><span lang=\"en\"><strong>{asker}</strong> asks for your card: {}.</span></p>\
         <p id=\"purpose\">{}<br><span lang=\"en\">{}</span></p>",
        view.state.word(),
        escape(&view.name[0]),
        escape(&view.name[1]),
        escape(&view.purpose[0]),
        escape(&view.purpose[1])
    );
    if let Some(agency) = &view.agency {
        let _ = write!(
            body,
            "<p>Chỉ chấp nhận thẻ của cơ quan <span lang=\"en\">· Only for</span> <strong>{}</strong></p>",
            escape(agency)
        );
    }
    body.push_str("<p>Thông tin được hỏi <span lang=\"en\">· What is asked for</span>:</p><ul class=\"claims\">");
    for name in &view.claims {
        let _ = write!(body, "<li>{}</li>", label(name));
    }
    body.push_str("</ul>");
    let is_open = view.state == PresentationState::Created;
    if is_open {
        ways(&mut body, view);
    } else {
        outcome(&mut body, view);
    }
    if let Some(return_url) = view.return_url.as_ref().filter(|_| view.state.is_over()) {
        let _ = write!(
            body,
            "<p><a id=\"continue\" href=\"{}\" rel=\"noreferrer\">Tiếp tục <span lang=\"en\">· Continue</span></a></p>",
            escape(return_url)
        );
    }
    body.push_str("</div>");
    let head = if view.state.is_over() {
        String::new()
    } else {
        let refresh = format!("<noscript><meta http-equiv=\"refresh\" content=\"{REFRESH_SECONDS}\"></noscript>");
        script_tag(service) + &refresh
    };
    page_with(TITLE, &head, &body)
}

/// How the card can be shown.
fn ways(body: &mut String, view: &PresentPage) {
    match &view.qr_svg {
        Some(svg) => {
            let _ = write!(
                body,
                "<p>Mở ví trên điện thoại và quét mã này <span lang=\"en\">· Scan this code with your wallet</span>:</p>\
                 <div id=\"qr\" role=\"img\" aria-label=\"Mã QR của yêu cầu xuất trình\">{svg}</div>"
            );
        }
        None => {
            let _ = write!(
                body,
                "<p class=\"answers\"><a id=\"open-wallet\" class=\"button\" href=\"{}\">Mở ví trên máy này \
                 <span lang=\"en\">· Open the wallet on this device</span></a></p>\
                 <p>Sau khi đồng ý, ví sẽ đưa bạn về trang này. Nếu về một trình duyệt khác, kết quả không được chấp nhận: \
                 hãy đề nghị mã QR.<br><span lang=\"en\">The wallet brings you back here. In another browser the answer does \
                 not count: ask for a QR code then.</span></p>",
                escape(&view.link)
            );
        }
    }
    body.push_str(
        "<p class=\"answers\"><button id=\"dc-api\" class=\"main\" hidden>Xuất trình bằng trình duyệt \
         <span lang=\"en\">· Present with this browser</span></button></p>\
         <p id=\"dc-failed\" role=\"alert\" hidden>Trình duyệt không xuất trình được; hãy dùng cách ở trên. \
         <span lang=\"en\">The browser could not present it; please use the way above.</span></p>",
    );
}

/// How it ended.
fn outcome(body: &mut String, view: &PresentPage) {
    let (id, mark, vi, en) = match view.state {
        PresentationState::Verified | PresentationState::Consumed => (
            "accepted",
            "✓",
            "ĐÃ CHẤP NHẬN: thẻ thật và đang có hiệu lực.",
            "ACCEPTED: the card is genuine and in force.",
        ),
        PresentationState::Created | PresentationState::ResponseReceived => (
            "waiting",
            "…",
            "Đã nhận câu trả lời; đang chờ trình duyệt quay lại từ ví.",
            "An answer has come; waiting for the browser to come back from the wallet.",
        ),
        PresentationState::Rejected => {
            ("rejected", "✗", "KHÔNG CHẤP NHẬN: không xác minh được.", "REJECTED: it could not be verified.")
        }
        PresentationState::WalletError => {
            ("declined", "✗", "Ví không xuất trình thẻ.", "The wallet did not present a card.")
        }
        PresentationState::Expired => {
            ("expired", "✗", "Đã hết thời gian. Hãy bắt đầu lại.", "Time is over. Start again.")
        }
        PresentationState::Cancelled => ("cancelled", "✗", "Yêu cầu đã bị hủy.", "The request was cancelled."),
    };
    let _ = write!(
        body,
        "<p id=\"outcome\" data-outcome=\"{id}\" role=\"status\"><strong id=\"{id}\"><span aria-hidden=\"true\">{mark}</span> \
         {vi}</strong><br><span lang=\"en\">{en}</span></p>"
    );
    let Some(result) = &view.result else { return };
    let claims = result["credentials"].as_array().into_iter().flatten().filter_map(|one| one["claims"].as_object());
    for claims in claims {
        if let Some(portrait) = claims.get("portrait").and_then(Value::as_str).filter(|text| is_picture(text)) {
            let _ = write!(
                body,
                "<p id=\"compare\" role=\"alert\"><strong>Hãy so sánh khuôn mặt với ảnh trước khi cho qua.</strong><br>\
                 <span lang=\"en\">Compare the face with the picture: the code could have been passed on to somebody \
                 else.</span></p><p><img id=\"portrait\" alt=\"Ảnh trên thẻ\" width=\"240\" src=\"{portrait}\"></p>"
            );
        }
        body.push_str("<dl id=\"claims\">");
        for (name, value) in claims.iter().filter(|(name, _)| *name != "portrait") {
            let _ = write!(body, "<dt>{}</dt><dd>{}</dd>", label(name), escape(&text(value)));
        }
        body.push_str("</dl>");
    }
    if result["specimen"] == true {
        body.push_str("<p id=\"specimen\"><strong>THẺ MẪU</strong> <span lang=\"en\">· Specimen</span></p>");
    }
}

/// A picture in the page, and nothing that could be anything else.
fn is_picture(text: &str) -> bool {
    let base64 = text.strip_prefix("data:image/jpeg;base64,");
    base64.is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)))
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(members) => {
            let all: Vec<_> = members.values().map(text).collect();
            all.join(" · ")
        }
        other => other.to_string(),
    }
}

/// A claim's name for people.
fn label(name: &str) -> String {
    let known = CLAIMS.iter().find(|(own, ..)| *own == name);
    known.map_or_else(|| escape(name), |(_, vi, en, _)| format!("{vi} <span lang=\"en\">· {en}</span>"))
}

fn stopped(stop: PresentStop) -> Response {
    match stop {
        PresentStop::Unknown => problem(
            StatusCode::NOT_FOUND,
            "Yêu cầu xuất trình không tồn tại, đã hết hạn hoặc đã dùng.",
            "This request is unknown, expired or used.",
        ),
        PresentStop::OtherBrowser => problem(
            StatusCode::FORBIDDEN,
            "KHÔNG CHẤP NHẬN: trình duyệt này không phải nơi bắt đầu yêu cầu. Hãy bắt đầu lại.",
            "REJECTED: this browser is not the one that began. Please start again.",
        ),
    }
}

fn problem(status: StatusCode, vi: &str, en: &str) -> Response {
    let body = format!("<p id=\"error\" role=\"alert\">{vi}<br><span lang=\"en\">{en}</span></p>");
    let mut response = page_with(TITLE, "", &body);
    *response.status_mut() = status;
    response
}

fn set_cookie(service: &Service, response: &mut Response, cookie: &Cookie) {
    let Cookie { name, value, max_age } = cookie;
    let secure = if service.config.public_url.starts_with("https://") { "; Secure" } else { "" };
    let line = format!("{name}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}");
    if let Ok(line) = HeaderValue::from_str(&line) {
        response.headers_mut().insert(header::SET_COOKIE, line);
    }
}
