//! The national population database, as we ask it: the port [`PopulationRegistry`], the client that speaks its SOAP
//! ([`SoapRegistry`]), and the [`Gateway`] that every question of this process goes through: so many a second and at
//! once, people before the background, tried again after a pause, and nothing at all while it does not answer.

mod breaker;
mod client;
mod gateway;
mod limiter;

use std::time::Duration;

use crate::model::person::{PopulationPerson, PopulationQuery};
use crate::protocol::population::AnswerError;

pub use breaker::{Breaker, Circuit, Permit};
pub use client::SoapRegistry;
pub use gateway::{Counts, Gateway, Load, back_off};
pub use limiter::{Lane, Limiter};

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

    /// How long so many questions, asked together, take at most, while nobody else asks.
    fn longest(&self, _questions: u32) -> Duration {
        Duration::ZERO
    }
}

/// No answer that can be used: nothing was learned about the person.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// No connection, no answer in time, or one that broke off.
    #[error("the population registry does not answer: {0}")]
    Silent(reqwest::Error),
    /// An answer that is not one of the contract.
    #[error("the population registry answers with status {0}")]
    Status(u16),
    /// An answer that cannot be read, is half of one, or a fault.
    #[error("the population registry's answer teaches nothing: {0}")]
    Answer(#[from] AnswerError),
    /// An answer about somebody else.
    #[error("the population registry answers about somebody else")]
    SomebodyElse,
    /// It was asked, and whoever waits for the answer does so no longer.
    #[error("the population registry does not answer while somebody waits")]
    Late,
    /// Nothing was asked: it did not answer lately, and is left alone for that long.
    #[error("the population registry did not answer lately and is left alone")]
    Paused(Duration),
    /// Nothing was asked: others were before us for longer than somebody waits.
    #[error("too many questions to the population registry at the same time")]
    Crowded,
}

impl Unreachable {
    /// Whether the same question may be answered in a moment.
    fn may_pass(&self) -> bool {
        match self {
            Self::Silent(_) | Self::Answer(AnswerError::Fault(false)) => true,
            Self::Status(status) => *status >= 500 || matches!(status, 408 | 429),
            Self::Answer(_) | Self::SomebodyElse | Self::Late | Self::Paused(_) | Self::Crowded => false,
        }
    }

    /// Whether the registry is there and works: it gave an answer, though none that teaches anything about this person.
    pub fn is_a_sign_of_life(&self) -> bool {
        self.is_of_this_person() || matches!(self, Self::Answer(AnswerError::Fault(true)))
    }

    /// Whether it is what the registry keeps of this very person that cannot be used: it says so again tomorrow, and nothing
    /// of others.
    pub fn is_of_this_person(&self) -> bool {
        matches!(self, Self::SomebodyElse | Self::Answer(AnswerError::Element(_)))
    }

    /// Whether the question was sent at all.
    pub fn was_sent(&self) -> bool {
        !matches!(self, Self::Paused(_) | Self::Crowded)
    }
}
