//! Asking over HTTP: protected addresses only, no redirects, bounded answers, and the request again when an answer is
//! lost.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde_json::{Map, Value};

use crate::error::{Result, WalletError};

/// Between two attempts. The issuer takes a second redemption of an offer within two seconds for a second wallet.
const PAUSE: Duration = Duration::from_secs(3);
/// How long one attempt may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The largest answer that is read: a batch of cards with portraits, or a status list.
pub const MAX_ANSWER_BYTES: usize = 4 << 20;

/// Whether a request may be sent again when its answer is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Up to three times in all: the endpoint gives the same request the same answer.
    WhenLost,
    /// Never: what it carries is good for one use, and a second one undoes the first.
    Never,
}

/// The wallet's side of HTTP.
pub struct Http(pub Client);

/// What came back, whatever it says.
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Http {
    /// Never follows a redirect: a token or card goes to the address that the metadata named and to no other.
    pub fn new() -> Result<Self> {
        let client = Client::builder().redirect(Policy::none()).timeout(PATIENCE).build();
        client.map(Self).map_err(|source| WalletError::Unreachable { place: "network", source })
    }

    /// Fetches a document. `place` names it in errors.
    pub async fn get(&self, place: &'static str, url: &str, accept: &str) -> Result<Vec<u8>> {
        let make = || Ok(self.0.get(protected(place, url)?).header("Accept", accept));
        self.ask(place, Repeat::WhenLost, make).await?.body(place)
    }

    /// Fetches a JSON object.
    pub async fn get_json(&self, place: &'static str, url: &str) -> Result<Map<String, Value>> {
        object(place, &self.get(place, url, "application/json").await?)
    }

    /// Starts a POST.
    pub fn post(&self, place: &'static str, url: &str) -> Result<RequestBuilder> {
        Ok(self.0.post(protected(place, url)?))
    }

    /// Sends what `make` makes until its answer arrives. Every attempt is made anew: proofs that go with it are good once.
    pub async fn ask(
        &self,
        place: &'static str,
        repeat: Repeat,
        make: impl Fn() -> Result<RequestBuilder>,
    ) -> Result<Answer> {
        let attempts = if repeat == Repeat::WhenLost { 3 } else { 1 };
        let mut attempt = 1;
        loop {
            match answer(make()?).await {
                Ok(answer) if attempt == attempts || !answer.status.is_server_error() => return Ok(answer),
                Err(lost) if attempt == attempts => {
                    return Err(WalletError::Unreachable { place, source: lost.without_url() });
                }
                Ok(_) | Err(_) => {}
            }
            attempt += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl Answer {
    /// The body of an answer that says yes.
    pub fn body(self, place: &'static str) -> Result<Vec<u8>> {
        if self.status.is_success() { Ok(self.body) } else { Err(refusal(place, self.status, &self.body)) }
    }

    /// `error` of an answer that says no (RFC 6749 section 5.2).
    pub fn error(&self) -> Option<String> {
        let body = serde_json::from_slice::<Value>(&self.body).ok().filter(|_| !self.status.is_success())?;
        body.get("error").and_then(Value::as_str).map(str::to_owned)
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Reads an answer as a JSON object.
pub fn object(place: &'static str, body: &[u8]) -> Result<Map<String, Value>> {
    serde_json::from_slice(body).map_err(|_| WalletError::Answer(place, "is not a JSON object"))
}

/// A member that has to be there, a text that is not empty.
pub fn text(place: &'static str, object: &Map<String, Value>, name: &str) -> Result<String> {
    let text = object.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or(WalletError::Answer(place, "lacks a required member"))
}

/// An array of texts, when it is one and not empty.
pub fn texts(value: Option<&Value>) -> Option<Vec<String>> {
    let texts: Option<Vec<_>> = value?.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect();
    texts.filter(|texts| !texts.is_empty())
}

/// The address of a well-known document: its name stands between host and path (OpenID4VCI 1.0 section 12.2.2, RFC 8414
/// section 3.1).
pub fn well_known(place: &'static str, name: &str, id: &str) -> Result<String> {
    let mut url = Url::parse(id).map_err(|_| WalletError::Answer(place, "is at no usable address"))?;
    let path = format!("/.well-known/{name}{}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url.into())
}

async fn answer(request: RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    Ok(Answer { status: response.status(), headers: response.headers().clone(), body: bounded(response).await? })
}

/// The body up to the bound; a longer one is cut, and what reads it then refuses it.
pub async fn bounded(mut response: Response) -> reqwest::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = MAX_ANSWER_BYTES - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == MAX_ANSWER_BYTES {
            break;
        }
    }
    Ok(body)
}

/// RFC 6749 section 5.2 and OpenID4VCI 1.0 section 8.3.1.2: `error` and `error_description`.
fn refusal(place: &'static str, status: StatusCode, body: &[u8]) -> WalletError {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    WalletError::Refused {
        place,
        code: text("error").unwrap_or_else(|| status.to_string()),
        description: text("error_description").or_else(|| text("detail")).unwrap_or_else(|| "no reason given".into()),
    }
}

/// An address that nobody on the way can read along: https, or this machine.
pub fn protected(place: &'static str, url: &str) -> Result<Url> {
    let url = Url::parse(url).map_err(|_| WalletError::Answer(place, "has no usable address"))?;
    let on_this_machine = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match url.scheme() {
        "https" => Ok(url),
        "http" if on_this_machine => Ok(url),
        _ => Err(WalletError::Unprotected(place)),
    }
}
