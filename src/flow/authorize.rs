//! The authorization code flow: a wallet pushes its request, the person signs in at VNeID and consents, and the browser
//! brings a code back to the wallet. Who signed in decides whose card it is; a wallet cannot name a person.
//!
//! What VNeID is sent (`state`, `nonce`, PKCE verifier) is derived from the request's name and the browser's cookie under
//! the deployment's secret: any process can take the next step, and nothing of it is stored.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use super::wallet::DpopHeader;
use super::{Service, hash, is_random_name};
use crate::credential::nonce;
use crate::error::{Error, Refusal, Result};
use crate::model::calendar::day_of;
use crate::model::card::{Selector, StateName};
use crate::model::id::{Handle, PersonalNumber};
use crate::model::person::{NotVerified, VerifiedRecord};
use crate::model::record::Record;
use crate::model::unit::UnitDirectory;
use crate::protocol::authorize::{Outcome, PushedRequest, REQUEST_URI, redirection};
use crate::protocol::oid4vci::Configuration;
use crate::protocol::sign_in::Callback;
use crate::remote::sign_in::{ASSURANCE_TOO_LOW, SignInError, VneidSignIn};
use crate::store::{Approval, Authorization, NewAuthorization};

/// Cards of a person that are looked at.
const MOST_CARDS: i64 = 100;

/// Where a browser goes next.
#[derive(Debug)]
pub enum Step {
    /// To this address, with the cookie that binds the request to it.
    Go {
        /// The address.
        to: String,
        /// The cookie to keep.
        cookie: Option<Cookie>,
    },
    /// The person is asked.
    Ask(Consent),
    /// It stays: there is no card for this person.
    NoCard {
        /// The request, for the way back to the wallet.
        id: String,
        /// Why.
        why: WhyNoCard,
    },
    /// It stays: this leads nowhere.
    Stop(Stop),
}

/// A cookie that binds an authorization request to a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// Its name, another for each request.
    pub name: String,
    /// Its value: a secret.
    pub value: String,
    /// Its lifetime in seconds.
    pub max_age: i64,
}

/// What the person is asked.
#[derive(Clone, Debug)]
pub struct Consent {
    /// The request.
    pub id: String,
    /// The wallet product.
    pub wallet: String,
    /// What it would get.
    pub configurations: Vec<Configuration>,
    /// The records that the card could be made from: at least one.
    pub choices: Vec<Choice>,
}

/// A record that a card could be made from.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The record.
    pub record: Handle,
    /// The person, as the record names them.
    pub name: String,
    /// The agency.
    pub agency: String,
    /// Whether it is still under review, so that the card comes later.
    pub is_under_review: bool,
}

/// Why a person gets no card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyNoCard {
    /// No unit has reported a record of the person.
    NoRecord,
    /// There is one, but not one that a card can be made from.
    NotVerified(NotVerified),
    /// The card is locked, or was withdrawn for good.
    NotInForce,
    /// The offer is for somebody else.
    OtherPerson,
    /// The sign-in was not of level 2.
    AssuranceTooLow,
}

/// Why a browser cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The request is unknown, over, used, or of another wallet.
    UnknownRequest,
    /// The request went on in another browser.
    OtherBrowser,
    /// VNeID cannot be reached.
    SignInUnavailable,
    /// VNeID's answer is not acceptable.
    SignInFailed,
}

impl Service {
    /// The pushed authorization request endpoint (RFC 9126). Returns the response.
    pub async fn push(&self, mut request: PushedRequest, dpop: &DpopHeader) -> Result<Value> {
        if self.sign_in.is_none() {
            return Err(Refusal::UnauthorizedClient("there is no sign-in: cards are only given on offers").into());
        }
        let proof = self.dpop_proof(dpop, "/par", None)?;
        let client = self.wallet_client(&request.client).await?;
        let client = client.ok_or(Refusal::InvalidClient("the wallet must authenticate itself"))?;
        let key = self.use_proof(proof).await?.map(|key| URL_SAFE_NO_PAD.encode(key));
        let wrong = Refusal::InvalidTokenRequest;
        if request.client_id.as_ref().is_some_and(|client_id| *client_id != client.wallet.client_id) {
            return Err(wrong("client_id is not the client that authenticated itself").into());
        }
        if !client.wallet.redirect_uris.contains(&request.redirect_uri) {
            return Err(wrong("redirect_uri is not registered").into());
        }
        if key.is_some() && request.dpop_jkt.is_some() && key != request.dpop_jkt {
            return Err(Refusal::InvalidDpopProof("dpop_jkt is not the key of the DPoP proof").into());
        }
        let now = self.clock.now();
        if let Some(offer) = &request.issuer_state
            && !self.is_open_to_sign_in(offer).await?
        {
            return Err(wrong("issuer_state is of no open offer").into());
        }
        let asked = request.configurations.len();
        request.configurations.retain(|one| self.configurations.contains(one));
        match request.configurations.len() {
            0 => return Err(Refusal::InvalidScope.into()),
            left if left < asked && request.by_details => {
                return Err(Refusal::InvalidAuthorizationDetails("a configuration is not offered").into());
            }
            _ => {}
        }
        let expires_in = self.config.limits.request_uri_ttl_seconds;
        let (name, id) = self.random_token();
        let configurations: Vec<_> = request.configurations.iter().map(|one| one.id()).collect();
        let authorization = NewAuthorization {
            id,
            client: client.wallet.client_id.clone(),
            redirect_uri: request.redirect_uri,
            state: request.state,
            code_challenge: request.code_challenge,
            configurations: configurations.join(" "),
            by_details: request.by_details,
            dpop_key: key.or(request.dpop_jkt),
            instance_key: client.instance_key,
            offer: request.issuer_state,
            created_at: now,
            expires_at: now + expires_in,
        };
        self.store.push_request(authorization).await?;
        Ok(json!({"request_uri": format!("{REQUEST_URI}{name}"), "expires_in": expires_in}))
    }

    async fn is_open_to_sign_in(&self, offer: &str) -> Result<bool> {
        if !is_random_name(offer) {
            return Ok(false);
        }
        let offered = self.store.offered_record(offer).await?;
        Ok(offered.is_some_and(|offered| self.clock.now() < offered.expires_at))
    }

    /// The authorization endpoint: a browser comes with a pushed request and is sent to VNeID. It may come again until the
    /// person has decided.
    pub async fn visit(&self, client_id: &str, request_uri: &str) -> Result<Step> {
        let Some(sign_in) = &self.sign_in else { return Ok(Step::Stop(Stop::UnknownRequest)) };
        let Some(name) = request_uri.strip_prefix(REQUEST_URI) else { return Ok(Step::Stop(Stop::UnknownRequest)) };
        let (id, now) = (hash(&[name.as_bytes()]), self.clock.now());
        let max_age = self.config.limits.sign_in_ttl_seconds;
        let (value, browser) = self.random_token();
        let is_open = self.store.visit_request(id.clone(), client_id.to_owned(), browser.clone(), max_age, now).await?;
        if !is_open {
            return Ok(Step::Stop(Stop::UnknownRequest));
        }
        let (nonce, verifier) = self.sign_in_secrets(&id, &browser);
        match sign_in.start(&self.sign_in_state(&id), &nonce, &verifier).await {
            Ok(to) => Ok(Step::Go { to, cookie: Some(Cookie { name: self.cookie_name(&id), value, max_age }) }),
            Err(error) => Ok(stop(&error)),
        }
    }

    /// The name of the cookie that binds a request to a browser; over https one that no other host can plant (RFC 6265bis
    /// section 4.1.3.2).
    pub fn cookie_name(&self, id: &str) -> String {
        let prefix = if self.config.public_url.starts_with("https://") { "__Host-" } else { "" };
        format!("{prefix}authorization-{}", id.get(..16).unwrap_or_default())
    }

    /// The name of the cookie of the request that VNeID's answer is about, if `state` is ours.
    pub fn cookie_of_callback(&self, callback: &Callback) -> Option<String> {
        callback.state.as_deref().and_then(|state| self.request_of_state(state)).map(|id| self.cookie_name(id))
    }

    /// VNeID sends the browser back.
    pub async fn signed_in(&self, callback: &Callback, cookie: Option<&str>) -> Result<Step> {
        let id = callback.state.as_deref().and_then(|state| self.request_of_state(state));
        let (Some(id), Some(sign_in)) = (id, &self.sign_in) else { return Ok(Step::Stop(Stop::UnknownRequest)) };
        let (authorization, browser) = match self.of_browser(id, cookie).await? {
            Ok(found) => found,
            Err(stop) => return Ok(Step::Stop(stop)),
        };
        let signed_in = match self.finish_sign_in(sign_in, callback, id, &browser).await {
            Ok(signed_in) => signed_in,
            Err(SignInError::Denied) => return self.end(&authorization, browser, "sign-in denied").await,
            Err(SignInError::Refused(ASSURANCE_TOO_LOW)) => {
                return Ok(Step::NoCard { id: id.to_owned(), why: WhyNoCard::AssuranceTooLow });
            }
            Err(error) => return Ok(stop(&error)),
        };
        self.limit_person(&signed_in)?;
        if !self.store.note_sign_in(id.to_owned(), browser, signed_in, self.clock.now()).await? {
            return Ok(Step::Stop(Stop::UnknownRequest));
        }
        Ok(Step::Go { to: format!("{}/authorize/{id}", self.config.public_url), cookie: None })
    }

    async fn finish_sign_in(
        &self,
        sign_in: &VneidSignIn,
        callback: &Callback,
        id: &str,
        browser: &str,
    ) -> Result<PersonalNumber, SignInError> {
        let code = sign_in.code(callback).await?;
        let (nonce, verifier) = self.sign_in_secrets(id, browser);
        let signed_in = sign_in.finish(code, &nonce, &verifier, self.clock.now()).await?;
        if signed_in.assurance_level < 2 {
            return Err(SignInError::Refused(ASSURANCE_TOO_LOW));
        }
        Ok(signed_in.person)
    }

    /// What the person who signed in is asked.
    pub async fn consent(&self, id: &str, cookie: Option<&str>) -> Result<Step> {
        let authorization = match self.of_browser(id, cookie).await? {
            Ok((authorization, _)) => authorization,
            Err(stop) => return Ok(Step::Stop(stop)),
        };
        let Some(person) = &authorization.person else { return Ok(Step::Stop(Stop::OtherBrowser)) };
        match self.choices(&authorization, person).await? {
            Err(why) => Ok(Step::NoCard { id: id.to_owned(), why }),
            Ok(choices) => {
                let request = &authorization.request;
                let wallet = self.config.wallet(&request.client);
                Ok(Step::Ask(Consent {
                    id: id.to_owned(),
                    wallet: wallet.map_or_else(|| request.client.clone(), |wallet| wallet.name.clone()),
                    configurations: request.configurations.split(' ').filter_map(Configuration::parse).collect(),
                    choices,
                }))
            }
        }
    }

    /// The person's decision: a yes names the record that the page showed; `None` is a no.
    pub async fn decide(&self, id: &str, cookie: Option<&str>, approved: Option<Option<Handle>>) -> Result<Step> {
        let (authorization, browser) = match self.of_browser(id, cookie).await? {
            Ok(found) => found,
            Err(stop) => return Ok(Step::Stop(stop)),
        };
        let Some(record) = approved else { return self.end(&authorization, browser, "consent denied").await };
        let Some(person) = &authorization.person else { return Ok(Step::Stop(Stop::OtherBrowser)) };
        let choices = match self.choices(&authorization, person).await? {
            Ok(choices) => choices,
            Err(why) => return Ok(Step::NoCard { id: id.to_owned(), why }),
        };
        let chosen = choices.iter().find(|choice| Some(&choice.record) == record.as_ref());
        // A choice that is gone, or none, or of a page that somebody else had opened: ask again.
        let Some(chosen) = chosen else { return self.consent(id, cookie).await };
        let card = if chosen.is_under_review {
            None
        } else {
            match self.card_to_give(person, &chosen.record).await {
                Ok(card) => Some(card),
                Err(Error::Refusal(_)) => {
                    return Ok(Step::NoCard { id: id.to_owned(), why: WhyNoCard::NotInForce });
                }
                Err(fault) => return Err(fault),
            }
        };
        let (code, code_hash) = self.random_token();
        let now = self.clock.now();
        let approval = Approval {
            id: id.to_owned(),
            browser,
            record: chosen.record.clone(),
            card,
            code: code_hash,
            code_expires_at: now + self.config.limits.code_ttl_seconds,
            at: now,
        };
        if !self.store.approve(approval).await? {
            return Ok(Step::Stop(Stop::UnknownRequest));
        }
        Ok(self.back(&authorization, Outcome::Code(&code)))
    }

    /// The card in force, renewed if the record says something else; the one there is while a newer version is under review.
    async fn card_to_give(&self, person: &PersonalNumber, record: &Handle) -> Result<Handle> {
        match self.newest_card(person, record).await {
            Err(Error::Refusal(refusal)) => {
                let in_force = self.cards_in_force(person).await?.into_iter().find(|(of, _)| of == record);
                in_force.and_then(|(_, card)| card).ok_or(Error::Refusal(refusal))
            }
            newest => newest,
        }
    }

    /// The records of a person's cards in force, with the handles of those that are active.
    async fn cards_in_force(&self, person: &PersonalNumber) -> Result<Vec<(Handle, Option<Handle>)>> {
        let (now, cards) = (self.clock.now(), self.store.cards(&Selector::Person(person.clone()), MOST_CARDS).await?);
        let of_record = cards.into_iter().filter_map(|card| match card.state_at(now).name() {
            StateName::Active => Some((card.record, Some(card.handle))),
            StateName::Locked => Some((card.record, None)),
            StateName::Withdrawn | StateName::Expired => None,
        });
        Ok(of_record.collect())
    }

    async fn choices(
        &self,
        authorization: &Authorization,
        person: &PersonalNumber,
    ) -> Result<Result<Vec<Choice>, WhyNoCard>> {
        let offered = match &authorization.request.offer {
            // That it was open counted when the request was pushed; whom it is for counts still.
            Some(offer) => match self.store.offered_record(offer).await? {
                Some(offered) if offered.person == *person => Some(offered),
                _ => return Ok(Err(WhyNoCard::OtherPerson)),
            },
            None => None,
        };
        let in_force = self.cards_in_force(person).await?;
        let (mut choices, mut why) = (Vec::new(), WhyNoCard::NoRecord);
        for stored in self.store.records_of(person).await? {
            if offered.as_ref().is_some_and(|offered| offered.record != stored.handle) {
                continue;
            }
            let card = in_force.iter().find(|(record, _)| *record == stored.handle).map(|(_, card)| card);
            if card.is_some_and(Option::is_none) {
                why = WhyNoCard::NotInForce;
                continue;
            }
            let agency = self.agency(&stored.record).await?;
            let name = stored.record.full_name().to_owned();
            let is_under_review = match VerifiedRecord::new(stored.record, &stored.standing) {
                Ok(_) => false,
                // While a newer version is under review, the card that there is stands.
                Err(NotVerified::Unmatched | NotVerified::Unconfirmed) => card.is_none(),
                Err(reason) => {
                    why = WhyNoCard::NotVerified(reason);
                    continue;
                }
            };
            choices.push(Choice { record: stored.handle, name, agency, is_under_review });
        }
        Ok(if choices.is_empty() { Err(why) } else { Ok(choices) })
    }

    /// The employing agency as the card names it: by the directory, else by the record.
    async fn agency(&self, record: &Record) -> Result<String> {
        let code = record.text("using_unit_code").unwrap_or_default();
        let units = self.store.units_named(day_of(self.clock.now()), &[code]).await?;
        let own_name = || record.text("using_unit_name").unwrap_or(code).to_owned();
        Ok(units.unit_name(code).map_or_else(own_name, Into::into))
    }

    /// An open request and the hash of its browser's cookie, when this is that browser.
    async fn of_browser(&self, id: &str, cookie: Option<&str>) -> Result<Result<(Authorization, String), Stop>> {
        let Some(authorization) = self.store.authorization(id, self.clock.now()).await? else {
            return Ok(Err(Stop::UnknownRequest));
        };
        let browser = cookie.map(|cookie| hash(&[cookie.as_bytes()]));
        match browser.filter(|browser| authorization.browser.as_ref() == Some(browser)) {
            Some(browser) => Ok(Ok((authorization, browser))),
            None => Ok(Err(Stop::OtherBrowser)),
        }
    }

    async fn end(&self, authorization: &Authorization, browser: String, why: &'static str) -> Result<Step> {
        let id = authorization.request.id.clone();
        if !self.store.deny(id, browser, why, self.clock.now()).await? {
            return Ok(Step::Stop(Stop::UnknownRequest));
        }
        Ok(self.back(authorization, Outcome::Denied))
    }

    fn back(&self, authorization: &Authorization, outcome: Outcome<'_>) -> Step {
        let request = &authorization.request;
        let to = redirection(&request.redirect_uri, request.state.as_deref(), &self.config.public_url, outcome);
        Step::Go { to, cookie: None }
    }

    /// `state` of the sign-in: the request's name and a MAC of it.
    fn sign_in_state(&self, id: &str) -> String {
        let mac = nonce::derive(&self.keys.secret, "sign-in state", &[id.as_bytes()]);
        format!("{id}.{}", URL_SAFE_NO_PAD.encode(&mac[..20]))
    }

    fn request_of_state<'a>(&self, state: &'a str) -> Option<&'a str> {
        let (id, _) = state.split_once('.')?;
        bool::from(self.sign_in_state(id).as_bytes().ct_eq(state.as_bytes())).then_some(id)
    }

    /// `nonce` and PKCE verifier of a sign-in: of this browser and no other.
    fn sign_in_secrets(&self, id: &str, browser: &str) -> (String, String) {
        let derived = |purpose| {
            URL_SAFE_NO_PAD.encode(nonce::derive(&self.keys.secret, purpose, &[id.as_bytes(), browser.as_bytes()]))
        };
        (derived("sign-in nonce"), derived("sign-in verifier"))
    }
}

fn stop(error: &SignInError) -> Step {
    tracing::warn!(%error, "a sign-in did not succeed");
    Step::Stop(match error {
        SignInError::Unreachable(_) => Stop::SignInUnavailable,
        SignInError::Denied | SignInError::Refused(_) => Stop::SignInFailed,
    })
}
