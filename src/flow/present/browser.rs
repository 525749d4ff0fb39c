//! The page of a transaction, and the way back from the wallet on the same device.
//!
//! The first browser that begins on the page is the one that the transaction belongs to, by a cookie. To look at the
//! address is not to begin: programs that preview links do. A wallet on the same
//! device brings the browser back with a response code; only that browser with that code makes the answer count, so that
//! nobody has a stranger's presentation accepted as theirs by sending them a link (OpenID4VP 1.0 section 14.2, HAIP 1.0
//! section 5.1).

use serde_json::Value;
use subtle::ConstantTimeEq;

use super::{is_link, terms};
use crate::clock::UnixSeconds;
use crate::error::{Error, Refusal, Result};
use crate::flow::authorize::Cookie;
use crate::flow::{Place, Service, hash};
use crate::model::presentation::PresentationState;
use crate::store::{Presentation, PresentationName, Returned};

/// How long the page can be looked at after the transaction is over.
const PAGE_SECONDS: i64 = 600;

/// Where a browser goes next.
#[derive(Debug)]
pub enum PresentStep {
    /// It sees the page.
    Page(Box<PresentPage>),
    /// The page belongs to nobody yet: this browser can begin, at this address.
    Begin(String),
    /// It began, and goes on to this address with this cookie.
    Begun(String, Cookie),
    /// It is sent on.
    Go(String),
    /// It leads nowhere.
    Stop(PresentStop),
}

/// Why a browser cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresentStop {
    /// There is no such page, or no longer.
    Unknown,
    /// Another browser opened it first, or the wallet came back to another one.
    OtherBrowser,
}

/// What the page shows.
#[derive(Clone, Debug)]
pub struct PresentPage {
    /// Its address.
    pub address: String,
    /// What it is called, in Vietnamese and English.
    pub name: [String; 2],
    /// Why it is asked.
    pub purpose: [String; 2],
    /// Who asks: the client's name.
    pub client: String,
    /// The agency that the card must be of.
    pub agency: Option<String>,
    /// The claims that are asked for, by the names of the first level.
    pub claims: Vec<String>,
    /// Whether browser and wallet are on the same device.
    pub same_device: bool,
    /// Where it stands.
    pub state: PresentationState,
    /// Whether an answer in order waits for the browser to come back.
    pub awaits_return: bool,
    /// Until when an answer counts.
    pub expires_at: UnixSeconds,
    /// The link that opens a wallet.
    pub link: String,
    /// The link as a QR code, SVG; only across devices and while nobody has answered.
    pub qr_svg: Option<String>,
    /// What was presented, for whoever checks: only across devices, and while it is kept.
    pub result: Option<Value>,
    /// Where the browser can go at the end.
    pub return_url: Option<String>,
}

impl Service {
    /// Shows the page to the browser that it belongs to, and whether it can still begin to another one.
    pub async fn present_page(&self, token: &str, cookie: impl Fn(&str) -> Option<String>) -> Result<PresentStep> {
        let Some(row) = self.presentation_on_page(token).await? else {
            return Ok(PresentStep::Stop(PresentStop::Unknown));
        };
        if self.is_browser_of(&row, &cookie) {
            return Ok(PresentStep::Page(Box::new(self.present_view(row)?)));
        }
        let is_open = !row.state_at(self.clock.now()).is_over();
        if row.browser.is_some() || !is_open {
            return Ok(PresentStep::Stop(PresentStop::OtherBrowser));
        }
        Ok(PresentStep::Begin(self.present_page_uri(&row.id)))
    }

    /// Binds the page to the browser that begins: the first one.
    pub async fn present_begin(&self, token: &str, cookie: impl Fn(&str) -> Option<String>) -> Result<PresentStep> {
        let row = match self.present_page(token, &cookie).await? {
            PresentStep::Begin(_) => self.presentation_on_page(token).await?,
            PresentStep::Page(page) => return Ok(PresentStep::Go(page.address)),
            other => return Ok(other),
        };
        let Some(row) = row else { return Ok(PresentStep::Stop(PresentStop::Unknown)) };
        let (value, browser) = self.random_token();
        if !self.store.bind_browser(row.id.clone(), browser).await? {
            return Ok(PresentStep::Stop(PresentStop::OtherBrowser));
        }
        let max_age = row.expires_at - self.clock.now() + PAGE_SECONDS;
        let cookie = Cookie { name: self.present_cookie_name(&row.id), value, max_age };
        Ok(PresentStep::Begun(self.present_page_uri(&row.id), cookie))
    }

    /// The wallet brings the browser back. Once, and only the browser that began: any other makes the answer rejected.
    pub async fn present_return(&self, code: &str, cookie: impl Fn(&str) -> Option<String>) -> Result<PresentStep> {
        let unknown = Ok(PresentStep::Stop(PresentStop::Unknown));
        if !is_link(code) {
            return unknown;
        }
        let code = hash(&[code.as_bytes()]);
        let Some(row) = self.store.presentation(PresentationName::ResponseCode, &code).await? else { return unknown };
        let browser = cookie(&self.present_cookie_name(&row.id)).map(|value| hash(&[value.as_bytes()]));
        let now = self.clock.now();
        let returned = self.store.return_presentation(row.id.clone(), code, browser, now).await?;
        self.presenting.news.tell();
        Ok(match returned {
            Returned::Accepted => {
                let on = self.return_address(&row, &terms(&row)?)?;
                PresentStep::Go(on.unwrap_or_else(|| self.present_page_uri(&row.id)))
            }
            // A reload of the address that it came back to.
            Returned::Nothing if self.is_browser_of(&row, &cookie) => PresentStep::Go(self.present_page_uri(&row.id)),
            Returned::Nothing => PresentStep::Stop(PresentStop::Unknown),
            Returned::Rejected => PresentStep::Stop(PresentStop::OtherBrowser),
        })
    }

    /// The transaction of a page, for the browser that it belongs to and no other: what its script asks for.
    pub(super) async fn presentation_of_browser(
        &self,
        token: &str,
        cookie: impl Fn(&str) -> Option<String>,
    ) -> Result<Presentation> {
        let row = self.presentation_on_page(token).await?;
        let row = row.filter(|row| self.is_browser_of(row, &cookie));
        row.ok_or_else(|| Error::from(Refusal::NotFound("presentation")))
    }

    /// The name of the transaction of a page and a place for a stream of events about it.
    pub async fn present_stream(
        &self,
        token: &str,
        cookie: impl Fn(&str) -> Option<String>,
    ) -> Result<(String, Place)> {
        let row = self.presentation_of_browser(token, cookie).await?;
        Ok((row.id, self.page_place()?))
    }

    /// The name of the cookie that binds a transaction to a browser.
    fn present_cookie_name(&self, id: &str) -> String {
        let prefix = if self.config.public_url.starts_with("https://") { "__Host-" } else { "" };
        format!("{prefix}presentation-{}", id.get(..16).unwrap_or_default())
    }

    async fn presentation_on_page(&self, token: &str) -> Result<Option<Presentation>> {
        if !is_link(token) {
            return Ok(None);
        }
        let row = self.store.presentation(PresentationName::Page, &hash(&[token.as_bytes()])).await?;
        Ok(row.filter(|row| self.clock.now() < row.expires_at + PAGE_SECONDS))
    }

    fn is_browser_of(&self, row: &Presentation, cookie: &impl Fn(&str) -> Option<String>) -> bool {
        let value = cookie(&self.present_cookie_name(&row.id)).map(|value| hash(&[value.as_bytes()]));
        match (value, &row.browser) {
            (Some(value), Some(browser)) => bool::from(value.as_bytes().ct_eq(browser.as_bytes())),
            _ => false,
        }
    }

    fn present_view(&self, row: Presentation) -> Result<PresentPage> {
        let now = self.clock.now();
        let state = row.state_at(now);
        let terms = terms(&row)?;
        let shows_code = !row.same_device && state == PresentationState::Created;
        let result = row.result_at(now).filter(|_| !row.same_device);
        let is_accepted = matches!(state, PresentationState::Verified | PresentationState::Consumed);
        let return_url = if is_accepted { self.return_address(&row, &terms)? } else { terms.return_url.clone() };
        Ok(PresentPage {
            address: self.present_page_uri(&row.id),
            link: self.presentation_wallet_link(&row.id, &terms),
            qr_svg: shows_code.then(|| self.presentation_symbol(&row).map(|symbol| symbol.svg())).transpose()?,
            result: result.map(|sealed| self.unseal_json("result", &row.id, sealed)).transpose()?,
            claims: asked_claims(&terms.query),
            name: terms.name,
            purpose: terms.purpose,
            agency: terms.agency,
            return_url,
            same_device: row.same_device,
            state,
            awaits_return: row.awaits_return,
            expires_at: row.expires_at,
            client: row.client,
        })
    }
}

/// The names of the claims in a query: the first step of a path, of an mdoc the second.
fn asked_claims(query: &Value) -> Vec<String> {
    let mut names = Vec::new();
    for credential in query["credentials"].as_array().into_iter().flatten() {
        let place = usize::from(credential["format"] == "mso_mdoc");
        for claim in credential["claims"].as_array().into_iter().flatten() {
            let name = claim["path"][place].as_str().unwrap_or_default().to_owned();
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}
