//! Officers who sign in: each has an account of their own, and after the password a one-time code is asked for, which
//! the page itself tells. Who goes on without it is signed in by the password alone, and the ID token says so (`amr`).

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use officials_card::model::id::PersonalNumber;
use openidconnect::url::Url;
use serde::Deserialize;

use super::authorize::{Request, SignIn, back, finish, form_of};
use super::token::Who;
use super::{Provider, Remembered, Shared, page};

/// The scope that lets a client see an officer's personal number.
pub const SCOPE: &str = "profile";

/// The account of an officer.
#[derive(Clone, Debug, Deserialize)]
pub struct Account {
    /// What they type; the client sees it as `sub`.
    pub username: String,
    /// Who they are, if the provider knows.
    #[serde(default)]
    pub personal_number: Option<String>,
}

/// An officer whose password was right.
#[derive(Clone)]
pub struct Waiting {
    account: Account,
    code: String,
}

/// The password was sent: the next is the second factor.
pub fn password(provider: &Provider, form: &SignIn, mut open: Remembered<Request>) -> Response {
    let accounts = provider.settings.officers.as_deref().unwrap_or_default();
    let is_right = form.password == provider.settings.password;
    let account = accounts.iter().find(|account| is_right && account.username == form.username.trim());
    let answer = match account {
        Some(account) => {
            let code = format!("{:06}", u32::from_be_bytes(provider.chance.bytes()) % 1_000_000);
            open.what.waiting = Some(Waiting { account: account.clone(), code: code.clone() });
            page::second_factor(&form.request, &code, None)
        }
        None => form_of(provider, &form.request, true),
    };
    provider.memory().forms.insert(form.request.clone(), open);
    answer
}

/// The form of the second factor.
#[derive(Deserialize)]
pub struct SecondFactor {
    request: String,
    #[serde(default)]
    code: String,
    action: String,
}

/// `POST /second-factor`.
pub async fn second_factor(State(provider): Shared, form: Result<Form<SecondFactor>, FormRejection>) -> Response {
    let over = || page::error("biểu mẫu đã hết hạn hoặc đã dùng", "the form is expired or was sent before");
    let Ok(Form(form)) = form else { return over() };
    let now = provider.clock.now();
    let open = provider.memory().forms.remove(&form.request).filter(|form| form.until > now);
    let Some(open) = open else { return over() };
    let Some(Waiting { account, code }) = open.what.waiting.clone() else { return over() };
    let amr = match form.action.as_str() {
        "submit" if form.code.trim() == code => vec!["pwd", "otp"],
        "submit" => {
            let wrong = ("Mã không đúng", "The code is wrong");
            provider.memory().forms.insert(form.request.clone(), open);
            return page::second_factor(&form.request, &code, Some(wrong));
        }
        "skip" => vec!["pwd"],
        _ => {
            let request = &open.what;
            return back(&provider, &request.redirect_uri, request.state.as_deref(), ("error", "access_denied"));
        }
    };
    let sees_number = open.what.scopes.iter().any(|scope| scope == SCOPE);
    let number = account.personal_number.as_deref().filter(|_| sees_number);
    let who = Who { sub: account.username, person: number.and_then(PersonalNumber::parse), acr: None, amr };
    finish(&provider, &open.what, who)
}

/// What RP-Initiated Logout 1.0 sends along.
#[derive(Deserialize)]
pub struct SignOut {
    client_id: Option<String>,
    post_logout_redirect_uri: Option<String>,
    state: Option<String>,
}

/// `GET /sign-out`: back to a place beside a registered redirect URI. There is no session to end.
pub async fn sign_out(State(provider): Shared, Query(asked): Query<SignOut>) -> Response {
    let settings = &provider.settings;
    let to = asked.post_logout_redirect_uri.as_deref().and_then(|to| Url::parse(to).ok());
    let is_known = |to: &Url| {
        let registered = settings.redirect_uris.iter().filter_map(|own| Url::parse(own).ok());
        asked.client_id.as_deref() == Some(&settings.client_id)
            && registered.into_iter().any(|own| own.origin() == to.origin())
    };
    match to.filter(is_known) {
        Some(mut to) => {
            if let Some(state) = &asked.state {
                to.query_pairs_mut().append_pair("state", state);
            }
            Redirect::to(to.as_str()).into_response()
        }
        None => page::signed_out(),
    }
}
