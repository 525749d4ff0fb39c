//! The port through which something leaves for another system by itself, and its adapter for receivers that speak HTTP.
//!
//! How a document gets into VNeID is not published, so an offer reaches the wallet in one of two ways: the caller fetches
//! it (the link stands in the answer, its QR code beside it), and nothing goes through this port; or it is pushed through
//! it to VNeID's backend. When that backend's own contract is known, it becomes another implementation of [`Delivery`].

use std::time::Duration;

use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};

use crate::clock::UnixSeconds;
use crate::error::Fault;

/// How long a receiver may take to connect, and to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The whole attempt, well within the time for which it is claimed.
const TIMEOUT: Duration = Duration::from_secs(10);
/// As much of an answer is read, so that the connection can be used again; what it says does not matter.
const MAX_ANSWER_BYTES: usize = 4 << 10;

/// Something to be delivered. The receiver knows a repetition by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// The same at each attempt.
    pub id: String,
    /// When this attempt is made.
    pub at: UnixSeconds,
    /// A compact JWS.
    pub jws: String,
}

/// Takes something to another system.
///
/// Promises: `Ok` means that the other side has said that it has it; anything else, silence included, is an error, and the
/// parcel may have arrived all the same.
pub trait Delivery: Send + Sync {
    /// Makes one attempt.
    fn deliver(&self, parcel: &Parcel) -> impl Future<Output = Result<(), Undelivered>> + Send;
}

/// An attempt that the other side did not acknowledge.
#[derive(Debug, thiserror::Error)]
pub enum Undelivered {
    /// No connection, or no answer in time.
    #[error("no answer")]
    Silent(reqwest::Error),
    /// Another answer than 2xx; a redirection is not followed.
    #[error("status {status}")]
    Status {
        /// The status.
        status: u16,
        /// When the receiver wants to be asked again.
        retry_after_seconds: Option<i64>,
    },
}

/// A receiver that takes the JWS as the body of a POST (`application/jwt`), with the headers `webhook-id` and
/// `webhook-timestamp` of the Standard Webhooks specification 1.0. Its `webhook-signature` is left out: the body is signed.
pub struct HttpReceiver {
    client: reqwest::Client,
    url: Url,
}

impl HttpReceiver {
    /// For the receiver at `url`: https, or http on loopback.
    pub fn new(url: &str) -> Result<Self, Fault> {
        let doing = "preparing to deliver";
        let url = Url::parse(url).map_err(|_| Fault::new(doing, "a receiver's url is not one"))?;
        let is_loopback = url.host().is_some_and(|host| match host.to_string().as_str() {
            "localhost" => true,
            host => {
                host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
            }
        });
        if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback) {
            return Err(Fault::new(doing, "a receiver's url must be https (http only on loopback)"));
        }
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Fault::new(doing, error))?;
        Ok(Self { client, url })
    }
}

impl Delivery for HttpReceiver {
    async fn deliver(&self, parcel: &Parcel) -> Result<(), Undelivered> {
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/jwt")
            .header("webhook-id", &parcel.id)
            .header("webhook-timestamp", parcel.at)
            .body(parcel.jws.clone());
        let mut response =
            request.send().await.map_err(|error: reqwest::Error| Undelivered::Silent(error.without_url()))?;
        let status = response.status();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let mut read = 0;
        while let Ok(Some(chunk)) = response.chunk().await {
            read += chunk.len();
            if read > MAX_ANSWER_BYTES {
                break;
            }
        }
        if status.is_success() {
            Ok(())
        } else {
            Err(Undelivered::Status { status: status.as_u16(), retry_after_seconds: retry_after })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tls_leaves_the_machine() {
        for good in ["https://vneid.example.vn/hook", "http://127.0.0.1:1/x", "http://localhost/x", "http://[::1]:8/"] {
            assert!(HttpReceiver::new(good).is_ok(), "{good}");
        }
        for bad in [
            "http://vneid.example.vn/",
            "http://127.0.0.1.example.vn/",
            "http://127.0.0.1@example.vn/",
            "ftp://x/",
            "x",
        ] {
            assert!(HttpReceiver::new(bad).is_err(), "{bad}");
        }
    }
}
