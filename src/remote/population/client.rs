//! The SOAP client: one request, one answer, nothing decided about whether to ask.

use std::time::Duration;

use super::{PopulationRegistry, Unreachable};
use crate::chance::Chance;
use crate::clock::Clock;
use crate::config::{Population, PopulationTimestamp};
use crate::error::Fault;
use crate::model::person::{PopulationPerson, PopulationQuery};
use crate::model::value::hex;
use crate::protocol::population::answer::{self, ChangePage};
use crate::protocol::population::xml::Bounds;
use crate::protocol::population::{AnswerError, Call, FeedQuestion, MEDIA_TYPE, Question, Sender, login};

/// The client of the population database.
pub struct SoapRegistry {
    client: reqwest::Client,
    settings: Population,
    path: String,
    clock: Clock,
    chance: Chance,
}

impl SoapRegistry {
    /// For the registry of these settings.
    pub fn new(settings: Population, clock: Clock, chance: Chance) -> Result<Self, Fault> {
        let doing = "preparing to ask the population registry";
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(settings.timeout_seconds))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Fault::new(doing, error))?;
        let url = url::Url::parse(&settings.url).map_err(|error| Fault::new(doing, error))?;
        let path = settings.path.clone().unwrap_or_else(|| url.path().to_owned());
        Ok(Self { client, settings, path, clock, chance })
    }

    /// Whether there is somebody who is just so (`XacThucThongTinCongDan`): for an integration that is allowed no more than
    /// this. Nothing of ours asks it: a look-up also tells what differs, which a unit has to know.
    pub async fn verify(&self, query: &PopulationQuery) -> Result<bool, Unreachable> {
        let call = Call::Verify(self.question(query, &self.settings.verify_code));
        Ok(answer::verdict(&self.send(&call, Bounds::PERSON).await?)?)
    }

    /// A page of the people who changed from one instant to another (Unix milliseconds).
    pub async fn changes(&self, from: i64, to: i64, page: u32) -> Result<ChangePage, Unreachable> {
        let feed = self.settings.feed.clone().unwrap_or_default();
        let (request, kind, size) = (self.request("feed"), feed.kind, feed.page_size);
        let call = Call::Changes(FeedQuestion { request, from, to, kind, page, size });
        Ok(answer::changes(&self.send(&call, Bounds::PAGE).await?)?)
    }

    fn question(&self, query: &PopulationQuery, integration: &str) -> Question {
        let settings = &self.settings;
        Question {
            request: self.request(query.reference.as_str()),
            sender: Sender {
                service: settings.service_code.clone(),
                integration: integration.to_owned(),
                officer: query.officer.clone(),
                unit: settings.unit.clone(),
                account: settings.account.clone(),
                phone: settings.phone.clone(),
            },
            number: query.number.clone(),
            full_name: query.full_name.clone(),
            date_of_birth: query.date_of_birth,
        }
    }

    /// Names a request: what it is about, and a part of its own.
    fn request(&self, about: &str) -> String {
        format!("{about}-{}", hex(&self.chance.bytes::<6>()))
    }

    /// Now, as the registry wants it. Our clock has whole seconds; its milliseconds are those of another one, which only
    /// makes two requests of one second differ.
    fn timestamp(&self) -> String {
        match self.settings.timestamp {
            PopulationTimestamp::Seconds => self.clock.now().to_string(),
            PopulationTimestamp::Milliseconds => {
                (self.clock.now() * 1000 + i64::from(self.clock.elapsed().subsec_millis())).to_string()
            }
        }
    }

    async fn send(&self, call: &Call, bounds: Bounds) -> Result<Vec<u8>, Unreachable> {
        let silent = |error: reqwest::Error| Unreachable::Silent(error.without_url());
        let settings = &self.settings;
        let timestamp = self.timestamp();
        let authorization = login::authorization(&self.path, &settings.user, &timestamp, settings.secret.expose());
        let mut request = self
            .client
            .post(&settings.url)
            .header("Content-Type", MEDIA_TYPE)
            .header("SOAPAction", "\"\"")
            .header("Authorization", authorization)
            .header(login::TIMESTAMP, &timestamp);
        if let Some(client) = &settings.x_road_client {
            request = request.header(login::X_ROAD_CLIENT, client);
        }
        if let Some(key) = &settings.api_key {
            request = request.header(login::API_KEY, key.expose());
        }
        for name in login::ESB_SOURCE.into_iter().filter(|_| settings.esb_source) {
            request = request.header(name, &settings.user);
        }
        let mut response = request.body(call.to_xml()).send().await.map_err(silent)?;
        let status = response.status().as_u16();
        // SOAP 1.1 section 6.2: a fault comes with status 500.
        if status != 200 && status != 500 {
            return Err(Unreachable::Status(status));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(silent)? {
            body.extend_from_slice(&chunk);
            if body.len() > bounds.bytes {
                return Err(AnswerError::Xml(crate::protocol::population::xml::XmlError::TooMuch).into());
            }
        }
        if status == 500 {
            return Err(match answer::verdict(&body) {
                Err(fault @ AnswerError::Fault(_)) => fault.into(),
                _ => Unreachable::Status(status),
            });
        }
        Ok(body)
    }
}

impl PopulationRegistry for SoapRegistry {
    async fn look_up(&self, query: &PopulationQuery) -> Result<Option<PopulationPerson>, Unreachable> {
        let call = Call::LookUp(self.question(query, &self.settings.look_up_code));
        let person = answer::found(&self.send(&call, Bounds::PERSON).await?)?;
        if person.as_ref().is_some_and(|person| !query.is_about(person)) {
            return Err(Unreachable::SomebodyElse);
        }
        Ok(person)
    }
}
