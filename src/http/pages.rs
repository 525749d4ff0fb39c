//! Two plain pages: where to go, and the API to browse. No script, nothing from elsewhere.

use std::fmt::Write as _;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::openapi;
use crate::error::Refusal;
use crate::flow::Service;

const STYLE: &str = "
:root { color-scheme: light dark; font: 17px/1.5 system-ui, sans-serif }
body { max-width: 56rem; margin: 0 auto; padding: 1rem 1.25rem 4rem }
h1 { font-size: 1.6rem; line-height: 1.25 } h2 { margin-top: 2rem; font-size: 1.2rem }
a { color: LinkText } a, summary { padding: .2rem 0 } [lang=en] { opacity: .85 }
details { border: 1px solid color-mix(in srgb, CanvasText 25%, Canvas); border-radius: .4rem; margin: .5rem 0; padding: .4rem .8rem }
summary { cursor: pointer; min-height: 1.75rem } pre { overflow-x: auto; padding: .6rem; background: color-mix(in srgb, CanvasText 7%, Canvas); border-radius: .3rem }
code { font-family: ui-monospace, monospace; font-size: .92em } .method { font-weight: 700; display: inline-block; min-width: 3.5rem }
:focus-visible { outline: 3px solid LinkText; outline-offset: 3px; border-radius: .2rem }
button, a.button { font: inherit; min-height: 2.75rem; padding: .45rem 1.1rem; border: 2px solid CanvasText; border-radius: .4rem; background: Canvas; color: CanvasText; cursor: pointer }
button.main { background: CanvasText; color: Canvas } .answers { display: flex; flex-wrap: wrap; gap: .8rem; margin-top: 1.5rem }
fieldset { border: 1px solid color-mix(in srgb, CanvasText 45%, Canvas); border-radius: .4rem; margin: 1rem 0; padding: .2rem 1rem }
.choice { display: flex; gap: .7rem; padding: .5rem 0; cursor: pointer } .choice input { width: 1.5rem; height: 1.5rem; margin: 0; flex: none }
#qr svg { width: min(20rem, 100%); height: auto; background: #fff } a.button { text-decoration: none; display: inline-block }
.claims { columns: 18rem; padding-left: 1.2rem } .claims li { break-inside: avoid }
";

/// `GET /`: what this is and where to go.
pub async fn start(State(service): State<Service>) -> Response {
    let url = escape(&service.config.public_url);
    let links = [
        ("/checkpoint/", "Kiểm tra thẻ (cả khi không có mạng)", "Check a card, also without network"),
        ("/docs", "Tài liệu API cho hệ thống VNeID và các đơn vị", "API for the VNeID backend and the units"),
        ("/.well-known/openid-credential-issuer", "Thông tin nơi cấp (OpenID4VCI)", "Issuer metadata"),
        ("/trust-list", "Danh sách khóa tin cậy", "Trust list"),
        ("/s", "Danh sách trạng thái thẻ", "Status lists"),
        ("/api/v1/bundle", "Gói kiểm tra ngoại tuyến", "Bundle for verification without network"),
        ("/ready", "Tình trạng phục vụ", "Readiness"),
    ];
    let items = links.iter().fold(String::new(), |mut items, (path, vi, en)| {
        let _ = write!(items, "<li><a href=\"{url}{path}\">{vi}</a> <span lang=\"en\">· {en}</span></li>");
        items
    });
    page(
        "Thẻ cán bộ, công chức, viên chức",
        &format!(
            "<p>Dịch vụ cấp thẻ cán bộ, công chức, viên chức vào ví VNeID, xuất trình, kiểm tra và thu hồi thẻ.<br>\
             <span lang=\"en\">Issues the officials card into the VNeID wallet; shows, verifies and withdraws it.</span></p>\
             <ul>{items}</ul>"
        ),
    )
}

/// `GET /docs`: the OpenAPI document as a page.
pub async fn docs(State(service): State<Service>) -> Response {
    let document = serde_json::to_value(openapi::document(&service.config.public_url)).unwrap_or_default();
    let mut body = format!(
        "<p>Dành cho hệ thống VNeID và các đơn vị: lời mời nhận thẻ, thẻ, mã in, kiểm tra.</p>\
         <p lang=\"en\">{}</p><p><a href=\"{}/openapi.json\">openapi.json</a></p>",
        escape(document["info"]["description"].as_str().unwrap_or_default()),
        escape(&service.config.public_url)
    );
    let operations = document["paths"].as_object().into_iter().flatten().flat_map(|(path, item)| {
        item.as_object().into_iter().flatten().map(move |(method, operation)| (path, method, operation))
    });
    for (path, method, operation) in operations {
        let _ = write!(
            body,
            "<details><summary><span class=\"method\">{}</span> <code>{}</code></summary><p>{}</p>",
            escape(&method.to_uppercase()),
            escape(path),
            escape(operation["summary"].as_str().or(operation["description"].as_str()).unwrap_or_default())
        );
        if let Some(scopes) = operation["security"][0]["client"].as_array() {
            let scopes: Vec<_> = scopes.iter().filter_map(Value::as_str).map(escape).collect();
            let _ = write!(body, "<p>Scope: <code>{}</code></p>", scopes.join(" "));
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let _ = write!(
                body,
                "<p><code>{}</code> ({}): {}</p>",
                escape(parameter["name"].as_str().unwrap_or_default()),
                escape(parameter["in"].as_str().unwrap_or_default()),
                escape(parameter["description"].as_str().unwrap_or_default())
            );
        }
        let request = &operation["requestBody"]["content"]["application/json"]["schema"];
        section(&mut body, "Request", request, &document);
        for (status, response) in operation["responses"].as_object().into_iter().flatten() {
            let content = response["content"].as_object().and_then(|content| content.values().next());
            section(&mut body, status, content.map_or(&Value::Null, |content| &content["schema"]), &document);
        }
        body.push_str("</details>");
    }
    page("Tài liệu API", &body)
}

/// Says to a person in a browser that too much is asked, and when to come back.
pub fn too_many_requests(refusal: &Refusal) -> Response {
    let Refusal::TooManyRequests { retry_after_seconds } = refusal else {
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    };
    let body = format!(
        "<p>Có quá nhiều yêu cầu từ mạng của bạn. Hãy thử lại sau {retry_after_seconds} giây.</p>\
         <p lang=\"en\">Too many requests come from your network. Try again in {retry_after_seconds} seconds.</p>"
    );
    let headers = [(header::RETRY_AFTER, retry_after_seconds.to_string()), (header::CACHE_CONTROL, "no-store".into())];
    (StatusCode::TOO_MANY_REQUESTS, headers, page("Quá nhiều yêu cầu", &body)).into_response()
}

fn section(body: &mut String, title: &str, schema: &Value, document: &Value) {
    let name = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
    let Some(schema) = name.map(|name| &document["components"]["schemas"][name]) else { return };
    let text = serde_json::to_string_pretty(schema).unwrap_or_default();
    let _ = write!(
        body,
        "<h3>{}: {}</h3><pre><code>{}</code></pre>",
        escape(title),
        escape(name.unwrap_or_default()),
        escape(&text)
    );
}

pub(super) fn page(title: &str, body: &str) -> Response {
    page_with(title, "", body)
}

/// A page with more in its head.
pub(super) fn page_with(title: &str, head: &str, body: &str) -> Response {
    let title = escape(title);
    let html = format!(
        "<!doctype html><html lang=\"vi\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style>{head}</head><body><main><h1>{title}</h1>{body}</main></body></html>"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
        ),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, html).into_response()
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
