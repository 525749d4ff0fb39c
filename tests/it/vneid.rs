//! VNeID in town: the simulator of `examples/vneid_sign_in` on a free port, and a person at a browser in front of it.

#[path = "../../examples/vneid_sign_in/provider/mod.rs"]
pub mod provider;

use officials_card::chance::Chance;
use officials_card::clock::Clock;
use officials_card::config::{Secret, SignIn};
use reqwest::StatusCode;
use serde_json::Value;

pub use provider::Algorithm;
use provider::Settings;

/// The password of everybody.
pub const PASSWORD: &str = "matkhau";
const SECRET: &str = "hush + 100 %";

/// The sign-in of VNeID.
pub struct Vneid {
    /// What our server has to be told to use it.
    pub config: SignIn,
    browser: reqwest::Client,
}

impl Vneid {
    /// Starts one that tells time by `clock` and sends browsers back to `redirect_uri`.
    pub async fn start(clock: &Clock, redirect_uri: &str) -> Self {
        Self::with(clock, redirect_uri, Algorithm::Rs256, None).await
    }

    /// Starts one that signs with `algorithm` and, when it is told the client's public key, knows no secret.
    pub async fn with(clock: &Clock, redirect_uri: &str, algorithm: Algorithm, client_key: Option<Value>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let secret = client_key.is_none().then_some(SECRET);
        let settings = Settings {
            issuer: issuer.clone(),
            client_id: "officials-card".into(),
            client_secret: secret.map(str::to_owned),
            client_key,
            redirect_uris: vec![redirect_uri.to_owned(), redirect_uri.replace("/sign-in/callback", "/me/callback")],
            password: PASSWORD.into(),
            algorithm,
            officers: None,
        };
        let router = provider::router(settings, clock.clone(), Chance::system()).unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let config = SignIn {
            issuer,
            client_id: "officials-card".into(),
            client_secret: secret.map(Secret::new),
            ..SignIn::default()
        };
        Self { config, browser }
    }

    /// Opens a URL of [`officials_card::remote::sign_in::VneidSignIn::start`]: status, body, and where it leads.
    pub async fn open(&self, url: &str) -> (StatusCode, String, Option<String>) {
        page(self.browser.get(url).send().await.unwrap()).await
    }

    /// Sends the form of a page: `level` 1 or 2, `action` `submit` or `cancel`.
    pub async fn send(
        &self,
        form: &str,
        person: &str,
        password: &str,
        level: u8,
        action: &str,
    ) -> (StatusCode, String, Option<String>) {
        let (_, rest) = form.split_once(r#"name="request" value=""#).expect("a form");
        let (name, _) = rest.split_once('"').unwrap();
        let level = level.to_string();
        let fields = [
            ("request", name),
            ("username", person),
            ("password", password),
            ("level", level.as_str()),
            ("action", action),
        ];
        let url = format!("{}/sign-in", self.config.issuer);
        page(self.browser.post(url).form(&fields).send().await.unwrap()).await
    }

    /// A person signs in at `level`. Returns where the browser is sent: our callback.
    pub async fn signs_in(&self, url: &str, person: &str, level: u8) -> String {
        let (_, form, _) = self.open(url).await;
        self.send(&form, person, PASSWORD, level, "submit").await.2.expect("the way back")
    }

    /// A person says no. Returns where the browser is sent.
    pub async fn denies(&self, url: &str) -> String {
        let (_, form, _) = self.open(url).await;
        self.send(&form, "", "", 2, "cancel").await.2.expect("the way back")
    }
}

async fn page(response: reqwest::Response) -> (StatusCode, String, Option<String>) {
    let location = response.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
    (response.status(), response.text().await.unwrap(), location)
}
