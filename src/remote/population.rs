//! The national population database, as we ask it: the port [`PopulationRegistry`] and the client that speaks plain JSON
//! over HTTP (the simulator; the real SOAP service will be another implementation).

use std::time::Duration;

use crate::error::Fault;
use crate::model::person::{PopulationPerson, PopulationQuery};
use crate::protocol::population::{LookupAnswer, LookupRequest, PersonMessage};

/// Knows people.
///
/// Promises: an answer is the registry's own, about exactly the number that was asked; no answer is ever made up, so
/// `Ok(None)` means that the registry said that it knows nobody.
pub trait PopulationRegistry: Send + Sync {
    /// The person with the number of the query; `None` when the registry knows none.
    fn look_up(
        &self,
        query: &PopulationQuery,
    ) -> impl Future<Output = Result<Option<PopulationPerson>, Unreachable>> + Send;
}

/// No answer that can be used: nothing was learned about the person.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// No connection, or no answer in time.
    #[error("the population registry does not answer: {0}")]
    Silent(reqwest::Error),
    /// An answer that is not one of the contract.
    #[error("the population registry answers with status {0}")]
    Status(u16),
    /// An answer that cannot be read, or is about somebody else.
    #[error("the population registry's answer breaks the contract")]
    Malformed,
}

/// The largest answer.
const MAX_ANSWER_BYTES: usize = 16 << 10;

/// The client of a registry that speaks the messages of [`crate::protocol::population`].
pub struct HttpRegistry {
    client: reqwest::Client,
    url: String,
    key: String,
}

impl HttpRegistry {
    /// For the registry at `base`, with its bearer key and the time that an answer may take.
    pub fn new(base: &str, key: &str, timeout: Duration) -> Result<Self, Fault> {
        let client = reqwest::Client::builder().timeout(timeout).redirect(reqwest::redirect::Policy::none()).build();
        Ok(Self {
            client: client.map_err(|error| Fault::new("preparing to ask the population registry", error))?,
            url: format!("{}/lookup", base.trim_end_matches('/')),
            key: key.to_owned(),
        })
    }
}

impl PopulationRegistry for HttpRegistry {
    async fn look_up(&self, query: &PopulationQuery) -> Result<Option<PopulationPerson>, Unreachable> {
        let silent = |error: reqwest::Error| Unreachable::Silent(error.without_url());
        let request = self.client.post(&self.url).bearer_auth(&self.key).json(&LookupRequest::from(query));
        let mut response = request.send().await.map_err(silent)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(Unreachable::Status(response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(silent)? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER_BYTES {
                return Err(Unreachable::Malformed);
            }
        }
        let answer: LookupAnswer = serde_json::from_slice(&body).map_err(|_| Unreachable::Malformed)?;
        let person = answer.person.map(PersonMessage::parse).transpose().map_err(|_| Unreachable::Malformed)?;
        if person.as_ref().is_some_and(|person| person.personal_number != query.personal_number) {
            return Err(Unreachable::Malformed);
        }
        Ok(person)
    }
}
