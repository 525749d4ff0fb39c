//! Telling the client that a transaction ended: its name and how, nothing of the person. At least once, by the row.

use serde::Serialize;

use crate::clock::UnixSeconds;
use crate::error::Result;
use crate::flow::delivery::{CLAIM_SECONDS, PUSHES};
use crate::flow::{Round, Service};
use crate::model::presentation::PresentationState;
use crate::remote::delivery::{Delivery, Parcel};
use crate::store::{Attempt, DueEnd};

/// `typ` of the message.
pub const PRESENTATION_TYPE: &str = "officials-card-presentation+jwt";

/// Steps of one round that ends transactions, some hundred in each.
const ENDING_STEPS: usize = 100;

/// How a transaction ended.
#[derive(Serialize)]
struct EndMessage<'a> {
    /// The issuer identifier.
    iss: &'a str,
    /// The client.
    aud: &'a str,
    /// When it was sent (Unix seconds).
    iat: UnixSeconds,
    /// The transaction.
    id: &'a str,
    /// How it ended; the client fetches the rest.
    state: &'a str,
}

impl Service {
    /// Whether any client wants to be told.
    pub fn tells_presentations(&self) -> bool {
        !self.presenting.receivers.is_empty()
    }

    /// Ends transactions whose time is over and forgets results that have waited long enough. Gives how many rows changed.
    pub async fn end_presentations(&self) -> Result<u64> {
        let mut changed = 0;
        for _ in 0..ENDING_STEPS {
            match self.store.expire_presentations(self.clock.now()).await? {
                0 => break,
                step => changed += step,
            }
        }
        if changed > 0 {
            self.presenting.news.tell();
        }
        Ok(changed)
    }

    /// Tells the ends that are due.
    pub async fn tell_presentations(&self) -> Result<Round> {
        let now = self.clock.now();
        if !self.store.has_due_end(now).await? {
            return Ok(Round::Idle);
        }
        let due = self.store.claim_ends(now, now + CLAIM_SECONDS, PUSHES).await?;
        let attempts = due.iter().map(|end| self.tell_end(end));
        let rounds = futures_util::future::join_all(attempts).await.into_iter().collect::<Result<Vec<_>>>()?;
        Ok(Round::of(&rounds))
    }

    async fn tell_end(&self, end: &DueEnd) -> Result<Round> {
        let Some(receiver) = self.presenting.receivers.get(&end.client) else {
            // Taken out of the configuration meanwhile.
            self.store.settle_end(&end.id, end.attempt, Attempt::Delivered).await?;
            return Ok(Round::Delivered);
        };
        self.tell_end_to(end, receiver).await
    }

    async fn tell_end_to(&self, end: &DueEnd, receiver: &impl Delivery) -> Result<Round> {
        let now = self.clock.now();
        let consumed = PresentationState::Consumed.word();
        let message = EndMessage {
            iss: &self.config.public_url,
            aud: &end.client,
            iat: now,
            id: &end.id,
            // Fetched before this was told: that it can be fetched is what was to be said.
            state: if end.state == consumed { PresentationState::Verified.word() } else { &end.state },
        };
        let jws = self.sign_message(PRESENTATION_TYPE, &message)?;
        let parcel = Parcel { id: format!("presentation-{}", end.id), at: now, jws };
        let (attempt, round) = self.attempt(receiver, &parcel, end.attempt - 1).await;
        if round == Round::Failed {
            tracing::warn!(
                client = end.client,
                attempt = end.attempt,
                "the end of a presentation was not acknowledged"
            );
        }
        self.store.settle_end(&end.id, end.attempt, attempt).await?;
        Ok(round)
    }
}
