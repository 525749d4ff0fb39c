//! Presentations over the network (OpenID4VP 1.0 with HAIP 1.0): a client asks with a template, a wallet fetches the signed
//! request and answers it, the answer is verified while the wallet waits, and the client reads what it asked for.
//!
//! All links of a transaction are derived from its name under the deployment's secret and kept only as hashes. Whoever
//! sees the QR code learns the request's name, which opens neither the page nor the result.

mod begin;
mod browser;
mod judge;
mod request;
mod respond;
mod sealed;
mod tell;
mod templates;
mod watch;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use subtle::ConstantTimeEq;

use super::Service;
use crate::clock::UnixSeconds;
use crate::config::{Client, Config};
use crate::credential::nonce;
use crate::error::{Fault, Refusal, Result};
use crate::model::presentation::PresentationState;
use crate::protocol::oid4vp::Invocation;
use crate::remote::delivery::HttpReceiver;
use crate::store::Presentation;

pub use begin::{PresentationMade, PresentationRequest};
pub use browser::{PresentPage, PresentStep, PresentStop};
pub use request::RequestFetch;

/// The parts of a [`Service`] that only presentations need.
#[derive(Default)]
pub(super) struct Presenting {
    templates: templates::Templates,
    news: watch::News,
    /// Clients that are told of the end, and where.
    receivers: BTreeMap<String, HttpReceiver>,
    /// Whom a conformance suite's cards are signed by; nobody in a deployment that people can reach.
    suite: judge::SuiteTrust,
    answers: Answers,
}

/// Wallets' answers that counted, in this process.
#[derive(Default)]
struct Answers {
    accepted: AtomicU64,
    rejected: AtomicU64,
    declined: AtomicU64,
}

impl Presenting {
    /// Puts the parts together; settings that cannot be used are told.
    pub(super) fn new(config: &Config, vct: &str) -> Result<Self, Fault> {
        let receiver = |client: &Client| {
            let url = client.presentation_webhook.as_ref()?;
            Some(HttpReceiver::new(url.expose()).map(|receiver| (client.name.clone(), receiver)))
        };
        let templates = templates::Templates::new(config, vct)?;
        Ok(Self {
            suite: judge::SuiteTrust::new(&config.conformance, templates.all())?,
            templates,
            answers: Answers::default(),
            news: watch::News::default(),
            receivers: config.clients.iter().filter_map(receiver).collect::<Result<_, _>>()?,
        })
    }
}

/// How long a result is kept that nobody fetches: as long as somebody at a desk may take.
pub const RESULT_SECONDS: i64 = 600;
/// How long a result is kept that was fetched, so that a repeated fetch and the page still have it.
pub const FETCHED_SECONDS: i64 = 60;

/// The request as it was made: later changes of the configuration do not touch a transaction that has begun.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools)]
struct Terms {
    /// The DCQL query.
    query: Value,
    /// `client_id`, with its prefix. It depends on the certificate, and what the holder signs depends on it.
    client_id: String,
    /// Whether the answer is encrypted.
    encrypted: bool,
    /// Whether the wallet is asked to fetch the request by POST.
    post: bool,
    /// What the link begins with.
    wallet: String,
    /// The agency that the card must be of.
    agency: Option<String>,
    /// Whether the trust of a conformance suite counts.
    conformance: bool,
    /// Whether a card without status is refused even where its issuer allows it.
    status_required: bool,
    /// Whether only cards of this issuer count.
    #[serde(default)]
    only_ours: bool,
    verifier_info: Option<Value>,
    name: [String; 2],
    purpose: [String; 2],
    return_url: Option<String>,
    reference: Option<String>,
}

/// A transaction as its client sees it.
#[derive(Clone, Debug)]
pub struct PresentationAnswer {
    /// Its name.
    pub id: String,
    /// The template.
    pub template: String,
    /// Where it stands.
    pub state: PresentationState,
    /// Since when.
    pub since: UnixSeconds,
    /// Until when an answer counts.
    pub expires_at: UnixSeconds,
    /// The client's own reference.
    pub reference: Option<String>,
    /// Why it was not accepted: a code.
    pub reason: Option<String>,
    /// The claims that were asked for, while they are kept.
    pub result: Option<Value>,
}

/// What a wallet, a browser or a QR code knows a transaction by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Page,
    Request,
    Response,
    /// The code that the browser brings to `return_url`.
    Return,
}

impl Service {
    /// Wallets' answers that counted, in this process and by how they ended; on the same device an accepted one may still
    /// have to come back.
    pub fn presentation_counts(&self) -> [(&'static str, u64); 3] {
        let Answers { accepted, rejected, declined } = &self.presenting.answers;
        [("accepted", accepted), ("rejected", rejected), ("declined", declined)]
            .map(|(outcome, count)| (outcome, count.load(Ordering::Relaxed)))
    }

    /// A secret name of a transaction: 256 bits, the same each time.
    fn presentation_link(&self, link: Link, id: &str) -> String {
        let purpose = match link {
            Link::Page => "presentation page",
            Link::Request => "presentation request",
            Link::Response => "presentation response",
            Link::Return => "presentation return",
        };
        URL_SAFE_NO_PAD.encode(nonce::derive(&self.keys.secret, purpose, &[id.as_bytes()]))
    }

    /// Where the wallet fetches the request.
    fn request_uri(&self, id: &str) -> String {
        format!("{}/vp/{}", self.config.public_url, self.presentation_link(Link::Request, id))
    }

    /// Where the wallet answers.
    fn response_uri(&self, id: &str) -> String {
        format!("{}/vp/{}/response", self.config.public_url, self.presentation_link(Link::Response, id))
    }

    /// The page of a transaction.
    fn present_page_uri(&self, id: &str) -> String {
        format!("{}/present/{}", self.config.public_url, self.presentation_link(Link::Page, id))
    }

    /// Where the browser of an accepted transaction goes on to. On the same device it brings a code there, without which the
    /// result is not handed out: the page belongs to whoever opened it, and only this tells the client that it was the
    /// browser of its own session (OpenID4VP 1.0 section 14.2).
    fn return_address(&self, row: &Presentation, terms: &Terms) -> Result<Option<String>, Fault> {
        let Some(address) = &terms.return_url else { return Ok(None) };
        let address = url::Url::parse(address).map_err(|error| Fault::new("reading a return_url", error));
        let mut address = address?;
        if row.same_device {
            address.query_pairs_mut().append_pair("response_code", &self.presentation_link(Link::Return, &row.id));
        }
        Ok(Some(address.into()))
    }

    /// The link that opens a wallet: nothing but what it must hold, for a QR code is read more easily the less there is in
    /// it.
    fn presentation_wallet_link(&self, id: &str, terms: &Terms) -> String {
        let invocation =
            Invocation { client_id: terms.client_id.clone(), request_uri: self.request_uri(id), by_post: terms.post };
        invocation.link(&terms.wallet)
    }

    /// What the client may see of a transaction, with the code that its user's browser brought or without.
    fn presentation_answer(
        &self,
        row: &Presentation,
        response_code: Option<&str>,
        now: UnixSeconds,
    ) -> Result<PresentationAnswer> {
        let terms = terms(row)?;
        let state = row.state_at(now);
        let needs_code = row.same_device && terms.return_url.is_some();
        let result = row.result_at(now).filter(|_| !needs_code || response_code.is_some());
        let expected = self.presentation_link(Link::Return, &row.id);
        if response_code.is_some_and(|code| !bool::from(code.as_bytes().ct_eq(expected.as_bytes()))) {
            return Err(Refusal::malformed("response_code", "is not that of this transaction").into());
        }
        let result = result.map(|sealed| self.unseal_json("result", &row.id, sealed)).transpose()?;
        let reason = match (row.reason.clone(), row.state, state) {
            // The background has not come by yet.
            (None, PresentationState::ResponseReceived, PresentationState::Rejected) => Some("not_returned".to_owned()),
            (reason, ..) => reason,
        };
        Ok(PresentationAnswer {
            id: row.id.clone(),
            template: row.template.clone(),
            since: if state == row.state { row.since } else { row.expires_at },
            state,
            expires_at: row.expires_at,
            reference: terms.reference,
            reason,
            result,
        })
    }
}

fn terms(row: &Presentation) -> Result<Terms, Fault> {
    serde_json::from_str(&row.terms).map_err(|error| Fault::new("reading the terms of a presentation", error))
}

/// Whether a text could be one of our secret names: nothing else is looked up.
fn is_link(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}
