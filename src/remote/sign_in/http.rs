//! The HTTP client that the relying party is lent: it follows no redirect, waits only so long, reads only so much, and
//! speaks plain HTTP with nobody but a provider that itself stands on loopback.

use std::pin::Pin;
use std::time::Duration;

use openidconnect::url::{Host, Url};
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};

use crate::error::Fault;

/// How long one answer may take, from the connection to its last byte.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer, in bytes: discovery document, key set or token answer.
pub const MAX_ANSWER_BYTES: usize = 128 << 10;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No connection, or no answer in time. Without the URL.
    #[error("no answer: {0}")]
    Silent(reqwest::Error),
    /// The provider says that it cannot answer now: 429 or 5xx.
    #[error("status {0}")]
    Busy(u16),
    /// More than [`MAX_ANSWER_BYTES`].
    #[error("the answer is too large")]
    TooLarge,
    /// An address that is neither https nor allowed to be http.
    #[error("an address of the provider is not https")]
    NotSecure,
}

/// The client.
pub struct Http {
    client: reqwest::Client,
    /// Whether the issuer itself is plain HTTP on loopback: only then may its endpoints be.
    on_loopback: bool,
}

impl Http {
    /// For the provider with this issuer identifier.
    pub fn new(issuer: &Url) -> Result<Self, Fault> {
        let client = reqwest::Client::builder()
            .timeout(ANSWER_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Fault::new("preparing to ask the sign-in provider", error))?;
        Ok(Self { client, on_loopback: is_plain_loopback(issuer) })
    }

    /// Whether a request, ours or the browser's, may go there.
    pub fn may_ask(&self, url: &Url) -> bool {
        url.scheme() == "https" || self.on_loopback && is_plain_loopback(url)
    }

    async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let silent = |error: reqwest::Error| HttpError::Silent(error.without_url());
        let request = reqwest::Request::try_from(request).map_err(silent)?;
        if !self.may_ask(request.url()) {
            return Err(HttpError::NotSecure);
        }
        let mut response = self.client.execute(request).await.map_err(silent)?;
        let status = response.status();
        if status.is_server_error() || status.as_u16() == 429 {
            return Err(HttpError::Busy(status.as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(silent)? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(HttpError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let mut answer = HttpResponse::new(body);
        *answer.status_mut() = status;
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        Ok(answer)
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.ask(request))
    }
}

/// Whether a URL is plain HTTP to this machine.
pub fn is_plain_loopback(url: &Url) -> bool {
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "http" && here
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_stays_on_this_machine() {
        let may = |issuer: &str, url: &str| {
            Http::new(&Url::parse(issuer).unwrap()).unwrap().may_ask(&Url::parse(url).unwrap())
        };
        for url in ["https://vneid.example/token", "https://127.0.0.1/token"] {
            assert!(may("https://vneid.example", url));
        }
        for url in ["http://127.0.0.1:1/token", "http://localhost/token", "http://[::1]:5/token"] {
            assert!(may("http://127.0.0.1:2", url));
            // A provider elsewhere cannot make us knock on our own doors.
            assert!(!may("https://vneid.example", url));
        }
        for url in ["http://vneid.example/token", "http://127.0.0.1.example/token", "ftp://127.0.0.1/token"] {
            assert!(!may("http://127.0.0.1:2", url));
        }
    }
}
