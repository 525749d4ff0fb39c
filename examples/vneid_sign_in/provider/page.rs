//! The pages: plain HTML, no script, Vietnamese first.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// The title of the pages for officers.
const OFFICE: &str = "Đăng nhập văn phòng đơn vị (mô phỏng)";

/// The form of the open request `name`; with what was wrong, in both languages.
pub fn form(name: &str, wrong: Option<(&str, &str)>) -> Response {
    let wrong = alert(wrong);
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

/// The form for officers: a name and a password come first.
pub fn officers_form(name: &str, wrong: Option<(&str, &str)>) -> Response {
    let wrong = alert(wrong);
    let body = format!(
        r#"<p>Văn phòng đơn vị muốn biết bạn là ai. <span lang="en">The unit office asks who you are.</span></p>
{wrong}<form method="post" action="/sign-in">
<input type="hidden" name="request" value="{name}"><input type="hidden" name="level" value="">
<p><label for="username">Tên đăng nhập <span lang="en">(user name)</span></label><br>
<input type="text" id="username" name="username" autocomplete="username" autocapitalize="none" maxlength="100"></p>
<p><label for="password">Mật khẩu <span lang="en">(password)</span></label><br>
<input type="password" id="password" name="password" autocomplete="current-password"></p>
<p><button type="submit" id="submit" name="action" value="submit">Tiếp tục · Continue</button>
<button type="submit" id="cancel" name="action" value="cancel">Từ chối · Deny</button></p>
</form>"#
    );
    titled(OFFICE, StatusCode::OK, &body)
}

/// The form for the one-time code, which stands beside it: nobody has a device here.
pub fn second_factor(name: &str, code: &str, wrong: Option<(&str, &str)>) -> Response {
    let wrong = alert(wrong);
    let body = format!(
        r#"<p>Mã một lần (thiết bị mô phỏng) <span lang="en">· One-time code (simulated device)</span>: <strong id="device">{code}</strong></p>
{wrong}<form method="post" action="/second-factor">
<input type="hidden" name="request" value="{name}">
<p><label for="code">Nhập mã <span lang="en">(type the code)</span></label><br>
<input type="text" id="code" name="code" inputmode="numeric" autocomplete="one-time-code" maxlength="6"></p>
<p><button type="submit" id="submit" name="action" value="submit">Xác nhận · Confirm</button>
<button type="submit" id="skip" name="action" value="skip">Bỏ qua bước này · Go on without</button>
<button type="submit" id="cancel" name="action" value="cancel">Từ chối · Deny</button></p>
</form>"#
    );
    titled(OFFICE, StatusCode::OK, &body)
}

/// Says that the session here is over.
pub fn signed_out() -> Response {
    titled(OFFICE, StatusCode::OK, "<p>Bạn đã đăng xuất. <span lang=\"en\">You are signed out.</span></p>")
}

/// A page that says why it goes no further; both texts are constants of ours.
pub fn error(vi: &str, en: &str) -> Response {
    let body = format!(
        "<p role=\"alert\"><strong>Không thể tiếp tục: {vi}.</strong></p><p lang=\"en\">Cannot continue: {en}.</p>"
    );
    page(StatusCode::BAD_REQUEST, &body)
}

/// What was wrong, in both languages.
fn alert(wrong: Option<(&str, &str)>) -> String {
    wrong.map_or_else(String::new, |(vi, en)| {
        format!("<p role=\"alert\"><strong>{vi}.</strong> <span lang=\"en\">{en}.</span></p>")
    })
}

fn page(status: StatusCode, body: &str) -> Response {
    titled("Đăng nhập VNeID (mô phỏng)", status, body)
}

fn titled(title: &str, status: StatusCode, body: &str) -> Response {
    let html = format!(
        r#"<!doctype html>
<html lang="vi"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>:root {{ color-scheme: light dark; font: 17px/1.5 system-ui, sans-serif }} body {{ max-width: 32rem; margin: 2rem auto; padding: 0 1rem }}
h1 {{ font-size: 1.6rem; line-height: 1.25 }} input, select, button {{ font: inherit; padding: .45rem .8rem; min-height: 2.75rem; box-sizing: border-box; max-width: 100% }}
:focus-visible {{ outline: 3px solid LinkText; outline-offset: 3px }}</style>
</head><body><main><h1>{title}</h1>
<p><em>Đây là chương trình mô phỏng để chạy thử, không phải hệ thống thật: đừng nhập mật khẩu thật.</em>
<em lang="en">This is a simulator for trials, not the real thing: do not enter a real password.</em></p>
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
