//! The office of a unit: its officers sign in at the simulator of `examples/officer_sign_in` with a second factor, and
//! work in a browser.

use axum::body::Body;
use axum::http::{Request, header};
use officials_card::chance::Chance;
use officials_card::config::{Config, OfficeSignIn, Secret};
use officials_card::flow::{Caller, NewOfficer};
use officials_card::model::rights::Role;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::town::{Answer, Town, URL};
use crate::vneid::provider::{self, Account, Algorithm, Settings};

const PASSWORD: &str = "matkhau";
const CLIENT: &str = "officials-card-office";

/// What somebody does when they are asked for the one-time code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Factor {
    Types,
    Skips,
    Cancels,
}

/// A town whose units have an office.
pub struct Bureau {
    pub town: Town,
    pub issuer: String,
    client: reqwest::Client,
    _home: Town,
}

/// Accounts at the sign-in; some with their owners' numbers.
const ACCOUNTS: [(&str, Option<&str>); 9] = [
    ("clerk", None),
    ("confirmer", Some("001199000018")),
    ("head", None),
    ("inspector", None),
    ("operator", None),
    ("foreign", None),
    ("second", Some("001199000018")),
    ("stranger", None),
    ("third", Some("001199000019")),
];

impl Bureau {
    /// Opens one without officers.
    pub async fn open(home: Town) -> Self {
        Self::with(home, |_| {}).await
    }

    /// The same with other settings.
    pub async fn with(home: Town, change: impl FnOnce(&mut Config)) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let account = |(username, number): (&str, Option<&str>)| Account {
            username: username.into(),
            personal_number: number.map(str::to_owned),
        };
        let settings = Settings {
            issuer: issuer.clone(),
            client_id: CLIENT.into(),
            client_secret: Some("hush".into()),
            client_key: None,
            redirect_uris: vec![format!("{URL}/office/callback")],
            password: PASSWORD.into(),
            algorithm: Algorithm::Es256,
            officers: Some(ACCOUNTS.map(account).to_vec()),
        };
        let router = provider::router(settings, home.clock.clone(), Chance::system()).unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let town = home.configured(|config| {
            config.office_sign_in = Some(OfficeSignIn {
                issuer: issuer.clone(),
                client_id: CLIENT.into(),
                client_secret: Some(Secret::new("hush")),
                ..OfficeSignIn::default()
            });
            change(config);
        });
        town.service.check_settings().unwrap();
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { town, issuer, client, _home: home }
    }

    /// An operator at the terminal enters an officer. Returns the officer's name.
    pub async fn enters(&self, subject: &str, role: Role, unit: Option<&str>) -> String {
        let new = NewOfficer {
            subject: subject.into(),
            name: format!("Cán bộ {subject}"),
            unit: unit.map(str::to_owned),
            role,
            valid_until: None,
            person: None,
        };
        self.town.service.add_officer(&Caller::operator("terminal"), new).await.unwrap().id.to_string()
    }

    /// One officer of each role: those who need a unit in `unit`.
    pub async fn enters_all(&self, unit: &str) {
        for (subject, role, unit) in [
            ("clerk", Role::Clerk, Some(unit)),
            ("confirmer", Role::Confirmer, Some(unit)),
            ("head", Role::UnitHead, Some(unit)),
            ("inspector", Role::Inspector, Some(unit)),
            ("operator", Role::Operator, None),
        ] {
            self.enters(subject, role, unit).await;
        }
    }

    /// A browser without cookies.
    pub fn browser(&self) -> Browser<'_> {
        Browser::new(&self.town)
    }

    /// A browser asks to sign in. Returns the provider's address.
    pub async fn asks(&self, browser: &Browser<'_>) -> String {
        let answer = browser.get("/office/sign-in").await;
        assert_eq!(answer.status.as_u16(), 303, "{}", String::from_utf8_lossy(&answer.bytes));
        answer.header("location").to_owned()
    }

    /// What a person does at the provider. Returns where the browser is sent: our callback.
    pub async fn at_provider(&self, url: &str, subject: &str, factor: Factor) -> String {
        let page = |response: reqwest::Response| async {
            let location = response.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
            (response.text().await.unwrap(), location)
        };
        let between = |text: &str, before: &str| {
            let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}"));
            rest.split(['"', '<']).next().unwrap().to_owned()
        };
        let (form, _) = page(self.client.get(url).send().await.unwrap()).await;
        let request = between(&form, r#"name="request" value=""#);
        let fields =
            [("request", request.as_str()), ("username", subject), ("password", PASSWORD), ("action", "submit")];
        let sent = self.client.post(format!("{}/sign-in", self.issuer)).form(&fields).send().await.unwrap();
        let (form, _) = page(sent).await;
        let code = between(&form, r#"id="device">"#);
        let action = match factor {
            Factor::Types => "submit",
            Factor::Skips => "skip",
            Factor::Cancels => "cancel",
        };
        let fields = [("request", request.as_str()), ("code", code.as_str()), ("action", action)];
        let sent = self.client.post(format!("{}/second-factor", self.issuer)).form(&fields).send().await.unwrap();
        page(sent).await.1.expect("the way back")
    }

    /// A browser goes all the way. Returns our answer to its return.
    pub async fn arrives(&self, browser: &Browser<'_>, subject: &str, factor: Factor) -> Answer {
        let url = self.asks(browser).await;
        let back = self.at_provider(&url, subject, factor).await;
        browser.get(&back).await
    }

    /// An officer signs in, and is at work.
    pub async fn at_work(&self, subject: &str) -> Desk<'_> {
        self.at_work_with(self.browser(), subject).await
    }

    /// The same in a browser that was used before.
    pub async fn at_work_with<'a>(&'a self, browser: Browser<'a>, subject: &str) -> Desk<'a> {
        let answer = self.arrives(&browser, subject, Factor::Types).await;
        assert_eq!(answer.status.as_u16(), 303, "{subject}: {}", String::from_utf8_lossy(&answer.bytes));
        assert_eq!(answer.header("location"), format!("{URL}/office/"));
        let session = browser.get("/api/v1/session").await.expect(200);
        Desk { browser, session }
    }
}

/// An officer at work.
pub struct Desk<'a> {
    pub browser: Browser<'a>,
    /// What the page was told of the session.
    pub session: Value,
}

impl Desk<'_> {
    /// The officer's name.
    pub fn id(&self) -> &str {
        self.session["officer"]["id"].as_str().unwrap()
    }

    /// The cookie of the session.
    pub fn cookie(&self) -> String {
        self.browser.cookies.lock().unwrap()["office"].clone()
    }

    /// Asks as our page does.
    pub async fn get(&self, path: &str) -> Answer {
        self.browser.get(path).await
    }

    /// Changes something as our page does. No body when it is null.
    pub async fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        let csrf = self.session["csrf"].as_str().unwrap();
        self.call_with(
            method,
            path,
            body,
            &[("x-csrf-token", csrf), ("origin", URL), ("sec-fetch-site", "same-origin")],
        )
        .await
    }

    /// POSTs as our page does.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, body).await
    }

    /// Sends something with the cookie and just these headers.
    pub async fn call_with(&self, method: &str, path: &str, body: Value, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let text = if body.is_null() {
            String::new()
        } else {
            request = request.header(header::CONTENT_TYPE, "application/json");
            body.to_string()
        };
        self.browser.send(request, text).await
    }
}

/// The answer to a request that brings nothing but a cookie.
pub async fn with_cookie(town: &Town, path: &str, cookie: &str) -> Answer {
    let request = Request::get(path).header(header::COOKIE, format!("office={cookie}"));
    town.send(request.body(Body::empty()).unwrap()).await
}

/// An officer to enter, as the API takes it.
pub fn new_officer(subject: &str, role: &str, unit: Option<&str>) -> Value {
    json!({"subject": subject, "name": "Nguyễn Văn Mới", "role": role, "unit": unit})
}
