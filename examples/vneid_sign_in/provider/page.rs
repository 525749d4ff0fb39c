//! The pages: plain HTML, no script, Vietnamese first.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// The form of the open request `name`; with what was wrong, in both languages.
pub fn form(name: &str, wrong: Option<(&str, &str)>) -> Response {
    let wrong = wrong.map_or_else(String::new, |(vi, en)| {
        format!("<p role=\"alert\"><strong>{vi}.</strong> <span lang=\"en\">{en}.</span></p>")
    });
    let body = format!(
        r#"<p>Dịch vụ thẻ cán bộ, công chức, viên chức muốn biết bạn là ai. <span lang="en">The officials card service asks who you are.</span></p>
{wrong}<form method="post" action="/sign-in">
<input type="hidden" name="request" value="{name}">
<p><label for="username">Số định danh cá nhân <span lang="en">(personal number, 12 digits)</span></label><br>
<input type="text" id="username" name="username" inputmode="numeric" autocomplete="username" maxlength="12"></p>
<p><label for="password">Mật khẩu <span lang="en">(password)</span></label><br>
<input type="password" id="password" name="password" autocomplete="current-password"></p>
<p><label for="level">Mức độ định danh <span lang="en">(assurance level)</span></label><br>
<select id="level" name="level"><option value="2" selected>2</option><option value="1">1</option></select></p>
<p><button type="submit" id="submit" name="action" value="submit">Đăng nhập · Sign in</button>
<button type="submit" id="cancel" name="action" value="cancel">Từ chối · Deny</button></p>
</form>"#
    );
    page(StatusCode::OK, &body)
}

/// A page that says why it goes no further; both texts are constants of ours.
pub fn error(vi: &str, en: &str) -> Response {
    let body = format!(
        "<p role=\"alert\"><strong>Không thể tiếp tục: {vi}.</strong></p><p lang=\"en\">Cannot continue: {en}.</p>"
    );
    page(StatusCode::BAD_REQUEST, &body)
}

fn page(status: StatusCode, body: &str) -> Response {
    let html = format!(
        r#"<!doctype html>
<html lang="vi"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Đăng nhập VNeID (mô phỏng)</title>
<style>:root {{ color-scheme: light dark; font: 17px/1.5 system-ui, sans-serif }} body {{ max-width: 32rem; margin: 2rem auto; padding: 0 1rem }}
h1 {{ font-size: 1.6rem; line-height: 1.25 }} input, select, button {{ font: inherit; padding: .45rem .8rem; min-height: 2.75rem; box-sizing: border-box; max-width: 100% }}
:focus-visible {{ outline: 3px solid LinkText; outline-offset: 3px }}</style>
</head><body><main><h1>Đăng nhập VNeID (mô phỏng)</h1>
<p><em>Đây là chương trình mô phỏng để chạy thử, không phải VNeID: đừng nhập mật khẩu thật.</em>
<em lang="en">This is a simulator for trials, not VNeID: do not enter a real password.</em></p>
{body}
</main></body></html>"#
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (status, headers, html).into_response()
}
