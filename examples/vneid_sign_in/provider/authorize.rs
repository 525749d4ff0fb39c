//! The authorization endpoint (OpenID Connect Core 1.0 section 3.1.2) and the form behind it.

use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Form, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use officials_card::model::id::PersonalNumber;
use openidconnect::url::Url;
use serde::Deserialize;

use super::token::{Code, Who, subject};
use super::{ACR_LEVEL_1, CODE_SECONDS, FORM_SECONDS, Provider, Shared, officers, page, remember};

type Parameters = Vec<(String, String)>;

/// A request that may be answered, while its form is open.
#[derive(Clone)]
pub struct Request {
    pub redirect_uri: String,
    pub state: Option<String>,
    pub nonce: Option<String>,
    /// PKCE, S256.
    pub challenge: String,
    pub scopes: Vec<String>,
    /// The officer whose password was right, and the one-time code that they were told.
    pub waiting: Option<officers::Waiting>,
}

/// Why a request is refused: told to the client if that is safe (RFC 6749 section 4.1.2.1), to the person otherwise.
enum Refused {
    Here(&'static str),
    There { redirect_uri: String, state: Option<String>, error: &'static str },
}

/// `GET /authorize`.
pub async fn by_get(State(provider): Shared, query: Result<Query<Parameters>, QueryRejection>) -> Response {
    match query {
        Ok(Query(parameters)) => authorize(&provider, &parameters),
        Err(_) => page::error("yêu cầu không đọc được", "the request cannot be read"),
    }
}

/// `POST /authorize`, which OpenID Connect wants beside GET.
pub async fn by_post(State(provider): Shared, form: Result<Form<Parameters>, FormRejection>) -> Response {
    match form {
        Ok(Form(parameters)) => authorize(&provider, &parameters),
        Err(_) => page::error("yêu cầu không đọc được", "the request cannot be read"),
    }
}

fn authorize(provider: &Provider, parameters: &[(String, String)]) -> Response {
    match read(provider, parameters) {
        Ok(request) => {
            let (name, now) = (provider.random_name(), provider.clock.now());
            if !remember(&mut provider.memory().forms, name.clone(), request, now + FORM_SECONDS, now) {
                return page::error("quá nhiều yêu cầu", "too many requests");
            }
            form_of(provider, &name, false)
        }
        Err(Refused::Here(what)) => page::error("yêu cầu không hợp lệ", what),
        Err(Refused::There { redirect_uri, state, error }) => {
            back(provider, &redirect_uri, state.as_deref(), ("error", error))
        }
    }
}

fn read(provider: &Provider, parameters: &[(String, String)]) -> Result<Request, Refused> {
    let get = |name: &str| {
        let mut values = parameters.iter().filter(|(key, value)| key == name && !value.is_empty());
        (values.next().map(|(_, value)| value.as_str()), values.next().is_some())
    };
    // First what decides whether the client may be told anything.
    if get("client_id") != (Some(&provider.settings.client_id), false) {
        return Err(Refused::Here("the client is not registered"));
    }
    let (Some(redirect_uri), false) = get("redirect_uri") else {
        return Err(Refused::Here("redirect_uri is required, once"));
    };
    if !provider.settings.redirect_uris.iter().any(|own| own == redirect_uri) {
        return Err(Refused::Here("the redirect URI is not registered"));
    }
    let (state, _) = get("state");
    let refused =
        |error| Refused::There { redirect_uri: redirect_uri.to_owned(), state: state.map(str::to_owned), error };
    let once = |name| match get(name) {
        (_, true) => Err(refused("invalid_request")),
        (value, false) => Ok(value),
    };
    for (unsupported, error) in [
        ("request", "request_not_supported"),
        ("request_uri", "request_uri_not_supported"),
        ("registration", "registration_not_supported"),
    ] {
        if once(unsupported)?.is_some() {
            return Err(refused(error));
        }
    }
    once("state")?;
    once("acr_values")?;
    match once("response_type")? {
        Some("code") => {}
        Some(_) => return Err(refused("unsupported_response_type")),
        None => return Err(refused("invalid_request")),
    }
    if once("response_mode")?.is_some_and(|mode| mode != "query") {
        return Err(refused("invalid_request"));
    }
    let scopes = provider.granted_scopes(once("scope")?.unwrap_or_default());
    if !scopes.iter().any(|scope| scope == "openid") {
        return Err(refused("invalid_scope"));
    }
    // A SHA-256 in base64url; `plain` and no PKCE at all are refused.
    let challenge = once("code_challenge")?.filter(|challenge| challenge.len() == 43);
    let (Some(challenge), Some("S256")) = (challenge, once("code_challenge_method")?) else {
        return Err(refused("invalid_request"));
    };
    // Everybody signs in anew each time: there is no session that prompt=none could use, and max_age is always met.
    match once("prompt")?.unwrap_or_default().split(' ').collect::<Vec<_>>().as_slice() {
        ["none"] => return Err(refused("login_required")),
        several if several.contains(&"none") => return Err(refused("invalid_request")),
        _ => {}
    }
    if once("max_age")?.is_some_and(|age| age.parse::<u32>().is_err()) {
        return Err(refused("invalid_request"));
    }
    Ok(Request {
        redirect_uri: redirect_uri.to_owned(),
        state: state.map(str::to_owned),
        nonce: once("nonce")?.map(str::to_owned),
        challenge: challenge.to_owned(),
        scopes,
        waiting: None,
    })
}

/// The form that the person sends.
#[derive(Deserialize)]
pub struct SignIn {
    pub request: String,
    #[serde(default)]
    pub username: String,
    #[serde(default)]
    pub password: String,
    #[serde(default)]
    level: String,
    action: String,
}

/// `POST /sign-in`.
pub async fn sign_in(State(provider): Shared, form: Result<Form<SignIn>, FormRejection>) -> Response {
    let Ok(Form(form)) = form else {
        return page::error("biểu mẫu không đọc được", "the form cannot be read");
    };
    let now = provider.clock.now();
    let open = provider.memory().forms.remove(&form.request).filter(|form| form.until > now);
    let Some(open) = open else {
        return page::error("biểu mẫu đã hết hạn hoặc đã dùng", "the form is expired or was sent before");
    };
    let request = &open.what;
    if form.action != "submit" {
        return back(&provider, &request.redirect_uri, request.state.as_deref(), ("error", "access_denied"));
    }
    if provider.settings.officers.is_some() {
        return officers::password(&provider, &form, open);
    }
    let person = PersonalNumber::parse(form.username.trim()).filter(|_| form.password == provider.settings.password);
    let Some(person) = person else {
        // The same form again, open as long as it was.
        provider.memory().forms.insert(form.request.clone(), open);
        return form_of(&provider, &form.request, true);
    };
    let who = Who {
        sub: subject(&provider, &person),
        person: request.scopes.contains(&provider.personal_number.scope).then_some(person),
        acr: Some(if form.level == "1" { ACR_LEVEL_1.to_owned() } else { provider.acr_level_2.clone() }),
        amr: vec!["pwd"],
    };
    finish(&provider, request, who)
}

/// The form of an open request: empty, or once more after a mistake.
pub fn form_of(provider: &Provider, name: &str, was_wrong: bool) -> Response {
    if provider.settings.officers.is_some() {
        let wrong = ("Tên đăng nhập hoặc mật khẩu không đúng", "The name or the password is wrong");
        return page::officers_form(name, was_wrong.then_some(wrong));
    }
    let wrong = ("Số định danh hoặc mật khẩu không đúng", "The personal number or the password is wrong");
    page::form(name, was_wrong.then_some(wrong))
}

/// Sends the browser back with a code for whoever signed in.
pub fn finish(provider: &Provider, request: &Request, who: Who) -> Response {
    let now = provider.clock.now();
    let code = Code {
        who,
        redirect_uri: request.redirect_uri.clone(),
        nonce: request.nonce.clone(),
        challenge: request.challenge.clone(),
        scopes: request.scopes.clone(),
        signed_in_at: now,
        used_for: None,
    };
    let name = provider.random_name();
    // Remembered longer than it is good for, so that its second use is recognised.
    let until = now + CODE_SECONDS + super::TOKEN_SECONDS;
    if !remember(&mut provider.memory().codes, name.clone(), code, until, now) {
        return back(provider, &request.redirect_uri, request.state.as_deref(), ("error", "temporarily_unavailable"));
    }
    back(provider, &request.redirect_uri, request.state.as_deref(), ("code", &name))
}

/// Sends the browser back to a registered redirect URI, with `state` and `iss` (RFC 9207).
pub fn back(provider: &Provider, redirect_uri: &str, state: Option<&str>, answer: (&str, &str)) -> Response {
    let Ok(mut url) = Url::parse(redirect_uri) else {
        return page::error("địa chỉ trở về không hợp lệ", "the redirect URI is not a URL");
    };
    {
        let mut query = url.query_pairs_mut();
        query.append_pair(answer.0, answer.1).append_pair("iss", &provider.settings.issuer);
        if let Some(state) = state {
            query.append_pair("state", state);
        }
    }
    let headers = [(header::CACHE_CONTROL, "no-store"), (header::REFERRER_POLICY, "no-referrer")];
    (headers, Redirect::to(url.as_str())).into_response()
}
