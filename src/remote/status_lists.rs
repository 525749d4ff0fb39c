//! Fetches status list tokens of others. What is fetched is named by cards, so nothing of it is believed: only addresses
//! under the issuer's prefixes are asked for, at hosts that stand in the internet (or in a network that the settings
//! name), for a bounded time and a bounded number of bytes. Whether a token is good is not decided here.

use std::error::Error;
use std::future::Future;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use flate2::read::GzDecoder;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use tokio::sync::Semaphore;

use crate::config::{Network, StatusFetches, StatusLists, StatusPrefix, is_public};
use crate::error::Fault;

/// How many redirections are followed, each within the same prefixes.
pub const MAX_REDIRECTS: usize = 2;
/// Names that are looked up at once, by the whole process: a lookup cannot be broken off, and a name server that hangs
/// must not take every thread that may wait.
const MAX_LOOKUPS: usize = 16;
static LOOKUPS: Semaphore = Semaphore::const_new(MAX_LOOKUPS);

/// Finds the addresses of a host.
pub trait Lookup: Send + Sync {
    /// All addresses of a name.
    fn addresses(&self, host: String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;
}

/// The system's own name service.
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn addresses(&self, host: String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> {
        Box::pin(async move {
            let permit = LOOKUPS.acquire().await.map_err(io::Error::other)?;
            // Goes on when nobody waits any more, and keeps its permit until its thread is free.
            let found = tokio::spawn(async move {
                let _permit = permit;
                Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
            });
            found.await.map_err(io::Error::other)?
        })
    }
}

/// What a host answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Which of the media types asked for it is.
    pub media_type: &'static str,
    /// The body, without content coding.
    pub bytes: Vec<u8>,
}

/// Why nothing was fetched. The texts are for the log and hold nothing that the host wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfetched {
    /// The address is not under the issuer's prefixes: nobody was asked.
    #[error("the address is outside the issuer's prefixes")]
    NotAllowed,
    /// The host's name leads to no address in the internet or in an allowed network: nobody was asked.
    #[error("the host has no public or allowed address")]
    PrivateAddress,
    /// No connection, no whole answer in time, or one that broke off.
    #[error("no whole answer in time")]
    Silent,
    /// A redirection out of the prefixes, or too many.
    #[error("a redirection that is not followed")]
    Redirected,
    /// Another answer than 200.
    #[error("status {0}")]
    Status(u16),
    /// Neither form of a token.
    #[error("another content type or coding")]
    WrongType,
    /// Larger than the bound, or inflating beyond it.
    #[error("too large")]
    TooLarge,
}

impl Unfetched {
    /// Whether the host as a whole is to blame, so that its other lists need not be tried.
    pub fn is_of_host(self) -> bool {
        matches!(self, Self::Silent | Self::PrivateAddress | Self::Status(429 | 500..))
    }
}

/// The hosts of one issuer's status lists. Clones share connections.
#[derive(Clone)]
pub struct StatusHosts {
    client: Client,
    prefixes: Arc<[StatusPrefix]>,
}

impl StatusHosts {
    /// For the lists of these settings.
    pub fn new(lists: &StatusLists, fetches: &StatusFetches) -> Result<Self, Fault> {
        Self::with_lookup(lists, fetches, Arc::new(SystemLookup))
    }

    /// The same with another name service.
    pub fn with_lookup(lists: &StatusLists, fetches: &StatusFetches, lookup: Arc<dyn Lookup>) -> Result<Self, Fault> {
        let prefixes: Arc<[StatusPrefix]> = lists.prefixes.clone().into();
        let allowed = Arc::clone(&prefixes);
        let redirect = Policy::custom(move |attempt| {
            let is_allowed = holds(&allowed, attempt.url(), attempt.url().as_str());
            // The first address is among the previous ones.
            if is_allowed && attempt.previous().len() <= MAX_REDIRECTS {
                attempt.follow()
            } else {
                attempt.error(Unfetched::Redirected)
            }
        });
        let guard = Guard { lookup, allowed: lists.allow_private_networks.clone().into() };
        let client = Client::builder()
            .connect_timeout(Duration::from_millis(fetches.connect_milliseconds))
            .timeout(Duration::from_millis(fetches.total_milliseconds))
            .redirect(redirect)
            .dns_resolver(Arc::new(guard))
            .no_proxy()
            .referer(false)
            .pool_max_idle_per_host(1)
            .build()
            .map_err(|error| Fault::new("preparing to fetch status lists", error))?;
        Ok(Self { client, prefixes })
    }

    /// Whether a list may stand at this address.
    pub fn may_hold(&self, uri: &str) -> bool {
        Url::parse(uri).is_ok_and(|url| holds(&self.prefixes, &url, uri))
    }

    /// Scheme, host and port of an address: what is one host to a circuit breaker.
    pub fn host_of(uri: &str) -> Option<String> {
        Some(Url::parse(uri).ok()?.origin().ascii_serialization())
    }

    /// Fetches what stands at `uri`: one of `media_types`, the first preferred, in `most` bytes at the most.
    pub async fn fetch(&self, uri: &str, media_types: &[&'static str], most: usize) -> Result<Fetched, Unfetched> {
        let url = Url::parse(uri).ok().filter(|url| holds(&self.prefixes, url, uri)).ok_or(Unfetched::NotAllowed)?;
        let request =
            self.client.get(url).header(ACCEPT, media_types.join(", ")).header(ACCEPT_ENCODING, "gzip").send();
        let mut response = request.await.map_err(|error| unfetched(&error))?;
        if response.status().as_u16() != 200 {
            return Err(Unfetched::Status(response.status().as_u16()));
        }
        let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap_or("unreadable"));
        let named = header(CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let media_type = media_types.iter().find(|known| known.eq_ignore_ascii_case(named));
        let media_type = *media_type.ok_or(Unfetched::WrongType)?;
        let is_gzip = match header(CONTENT_ENCODING) {
            None | Some("identity") => false,
            Some(coding) if coding.eq_ignore_ascii_case("gzip") => true,
            Some(_) => return Err(Unfetched::WrongType),
        };
        let body = read_body(&mut response, most).await?;
        let bytes = if is_gzip { gunzip(&body, most)? } else { body };
        Ok(Fetched { media_type, bytes })
    }
}

fn holds(prefixes: &[StatusPrefix], url: &Url, text: &str) -> bool {
    prefixes.iter().any(|prefix| prefix.holds(url, text))
}

async fn read_body(response: &mut Response, most: usize) -> Result<Vec<u8>, Unfetched> {
    if response.content_length().is_some_and(|length| length > most as u64) {
        return Err(Unfetched::TooLarge);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| Unfetched::Silent)? {
        if body.len() + chunk.len() > most {
            return Err(Unfetched::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What it allocates follows what it has produced, so a bomb costs no more than `most`.
fn gunzip(body: &[u8], most: usize) -> Result<Vec<u8>, Unfetched> {
    let mut bytes = Vec::new();
    GzDecoder::new(body).take(most as u64 + 1).read_to_end(&mut bytes).map_err(|_| Unfetched::WrongType)?;
    if bytes.len() > most { Err(Unfetched::TooLarge) } else { Ok(bytes) }
}

/// Our own reasons lie somewhere below the client's error.
fn unfetched(error: &reqwest::Error) -> Unfetched {
    let mut below: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = below {
        if let Some(own) = error.downcast_ref::<Unfetched>() {
            return *own;
        }
        below = error.source();
    }
    Unfetched::Silent
}

/// Lets only addresses through that may be connected to. The connection is made to these and no others: a name that
/// leads elsewhere a moment later changes nothing.
struct Guard {
    lookup: Arc<dyn Lookup>,
    allowed: Arc<[Network]>,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let is_this_machine = host == "localhost";
        let found = self.lookup.addresses(host);
        let allowed = Arc::clone(&self.allowed);
        Box::pin(async move {
            let may_connect = |address: &IpAddr| {
                if is_this_machine {
                    address.to_canonical().is_loopback()
                } else {
                    is_public(*address) || allowed.iter().any(|network| network.contains(*address))
                }
            };
            let fitting: Vec<_> = found.await?.into_iter().filter(may_connect).collect();
            if fitting.is_empty() {
                return Err(Unfetched::PrivateAddress.into());
            }
            let addresses: Addrs = Box::new(fitting.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}
