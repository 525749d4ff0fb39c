//! Asking over HTTP: protected addresses only, no redirects, bounded answers, and the same request again when an answer
//! is lost.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde_json::{Map, Value};

use crate::error::{Result, WalletError};

/// How often a request is sent until its answer arrives.
const ATTEMPTS: u32 = 3;
/// Between two attempts. The issuer takes a second redemption of a code within two seconds for a second wallet.
const PAUSE: Duration = Duration::from_secs(3);
/// How long one attempt may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The largest answer that is read: a batch of cards with portraits, or a status list.
pub const MAX_ANSWER_BYTES: usize = 4 << 20;

/// The wallet's side of HTTP.
pub struct Http(pub Client);

impl Http {
    /// Never follows a redirect: a token or card goes to the address that the metadata named and to no other.
    pub fn new() -> Result<Self> {
        let client = Client::builder().redirect(Policy::none()).timeout(PATIENCE).build();
        client.map(Self).map_err(|source| WalletError::Unreachable { place: "network", source })
    }

    /// Fetches a document. `place` names it in errors.
    pub async fn get(&self, place: &'static str, url: &str, accept: &str) -> Result<Vec<u8>> {
        self.send(place, self.0.get(protected(place, url)?).header("Accept", accept)).await
    }

    /// Fetches a JSON object.
    pub async fn get_json(&self, place: &'static str, url: &str) -> Result<Map<String, Value>> {
        object(place, &self.get(place, url, "application/json").await?)
    }

    /// Starts a POST.
    pub fn post(&self, place: &'static str, url: &str) -> Result<RequestBuilder> {
        Ok(self.0.post(protected(place, url)?))
    }

    /// Sends a request until its answer arrives. Repeating is safe: every endpoint of the issuer gives the same request
    /// the same answer, and a fresh one only to a fresh nonce.
    pub async fn send(&self, place: &'static str, request: RequestBuilder) -> Result<Vec<u8>> {
        let mut attempt = 1;
        let lost = loop {
            let again = request.try_clone().ok_or(WalletError::Answer(place, "cannot be asked for twice"))?;
            match answer(again).await {
                Ok((status, body)) if status.is_success() => return Ok(body),
                Ok((status, body)) if attempt == ATTEMPTS || !status.is_server_error() => {
                    return Err(refusal(place, status, &body));
                }
                Err(lost) if attempt == ATTEMPTS => break lost,
                Ok(_) | Err(_) => {}
            }
            attempt += 1;
            tokio::time::sleep(PAUSE).await;
        };
        Err(WalletError::Unreachable { place, source: lost.without_url() })
    }
}

/// Reads an answer as a JSON object.
pub fn object(place: &'static str, body: &[u8]) -> Result<Map<String, Value>> {
    serde_json::from_slice(body).map_err(|_| WalletError::Answer(place, "is not a JSON object"))
}

async fn answer(request: RequestBuilder) -> reqwest::Result<(StatusCode, Vec<u8>)> {
    let response = request.send().await?;
    Ok((response.status(), bounded(response).await?))
}

/// The body up to the bound; a longer one is cut, and what reads it then refuses it.
async fn bounded(mut response: Response) -> reqwest::Result<Vec<u8>> {
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

fn protected(place: &'static str, url: &str) -> Result<Url> {
    let url = Url::parse(url).map_err(|_| WalletError::Answer(place, "has no usable address"))?;
    let on_this_machine = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match url.scheme() {
        "https" => Ok(url),
        "http" if on_this_machine => Ok(url),
        _ => Err(WalletError::Unprotected(place)),
    }
}
