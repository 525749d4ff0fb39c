//! The official's own side: see what the State holds and who looked, propose changes, put evidence beside them, freeze a
//! card.
//!
//! ```text
//! VNeID at level 2, or one's own card presented → a short session → only what is of this person; all else is not there
//! ```
//!
//! A session is an opaque token, kept as a hash. It cannot be prolonged: what is sensitive asks for a sign-in of the last
//! minutes, and freezing a card asks for nothing more, for it must be at once.

mod access;
mod cards;
mod events;
mod evidence;
mod presented;
mod propose;
mod see;
mod sign_in;
mod view;

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{Service, hash, sign_in_at};
use crate::clock::{Clock, UnixSeconds};
use crate::config::Config;
use crate::error::{Fault, Refusal, Result};
use crate::model::id::{Handle, PersonalNumber};
use crate::model::origin::HOLDER;
use crate::protocol::oauth::TokenResponse;
use crate::remote::sign_in::VneidSignIn;
use crate::store::{EvidenceFiles, SelfSession, StoredRecord};
use events::Streams;

pub use access::{AccessLine, AccessPage};
pub use cards::{CardChange, CardChanges, OwnCard};
pub use events::{OwnEvent, OwnState};
pub use evidence::{EvidenceFile, KeptEvidence, read_limit};
pub use presented::{CLIENT, OwnPresentation, PRESENTATION_GRANT, PresentedToken};
pub use propose::{Applied, NewOwnProposal, Outcome, Rejected};
pub use see::{ChangeRule, Export, LegalBasisView, ListView, Overview, Person, PopulationView, RecordView, SourceView};
pub use sign_in::{OwnStep, OwnStop, SessionView};
pub use view::{OwnProposal, ProposalPage};

/// Where VNeID sends browsers back to, below the public URL.
pub const CALLBACK: &str = "/me/callback";
/// Files of evidence that are on their way at the same time in this process, each some ten megabytes.
const EVIDENCE_PLACES: usize = 12;

/// The parts of a [`Service`] that only this side needs.
pub(super) struct SelfService {
    sign_in: Option<VneidSignIn>,
    files: EvidenceFiles,
    evidence_places: Arc<Semaphore>,
    streams: Streams,
}

impl SelfService {
    /// Puts the parts together. Nothing is read or written yet.
    pub(super) fn new(config: &Config, clock: &Clock) -> Self {
        Self {
            // As with the other sign-in: `check_settings` tells what is wrong.
            sign_in: sign_in_at(config, clock, CALLBACK).ok().flatten(),
            files: EvidenceFiles::new(&config.self_service.evidence),
            evidence_places: Arc::new(Semaphore::new(EVIDENCE_PLACES)),
            streams: Streams::default(),
        }
    }
}

/// An official who acts for themselves: somebody with a session.
#[derive(Clone, Debug)]
pub struct Official {
    /// Who.
    pub person: PersonalNumber,
    session: SelfSession,
}

impl Official {
    /// Refuses a sign-in that is older than the settings allow for what is sensitive.
    fn needs_fresh(&self, service: &Service) -> Result<(), Refusal> {
        let max_age_seconds = service.config.self_service.fresh_seconds;
        if service.clock.now() - self.session.signed_in_at <= max_age_seconds {
            return Ok(());
        }
        Err(Refusal::SignInTooOld { max_age_seconds })
    }
}

impl Service {
    /// Who a session's token stands for.
    pub async fn official(&self, token: &str) -> Result<Official> {
        let session = self.store.self_session(&hash(&[token.as_bytes()]), self.clock.now()).await?;
        let session = session.ok_or(Refusal::InvalidToken)?;
        // A wallet product that was taken out of the configuration loses its sessions at once.
        if !session.client.is_empty() && self.config.wallet(&session.client).is_none() {
            return Err(Refusal::InvalidToken.into());
        }
        self.limit_self_service(&session.person)?;
        Ok(Official { person: session.person.clone(), session })
    }

    /// The name of the session's cookie; over https one that no other host can plant (RFC 6265bis section 4.1.3.2).
    pub fn session_cookie_name(&self) -> &'static str {
        if self.config.public_url.starts_with("https://") { "__Host-me" } else { "me" }
    }

    /// Ends the session.
    pub async fn end_session(&self, official: &Official) -> Result<()> {
        self.store.end_self_session(official.session.id.clone()).await
    }

    /// What the session is.
    pub fn session_view(&self, official: &Official) -> SessionView {
        let SelfSession { by_card, signed_in_at, expires_at, .. } = official.session;
        let fresh_until = signed_in_at + self.config.self_service.fresh_seconds;
        SessionView { way: if by_card { "card" } else { "sign_in" }, signed_in_at, expires_at, fresh_until }
    }

    /// Begins a session for an occasion that has none yet, and gives its token.
    async fn begin_session(
        &self,
        person: PersonalNumber,
        by_card: bool,
        client: String,
        occasion: String,
        signed_in_at: UnixSeconds,
    ) -> Result<Option<String>> {
        self.limit_person(&person)?;
        let records = self.store.held_on(&person).await?.into_iter().map(|stored| stored.handle).collect();
        let (token, id) = self.random_token();
        let created_at = self.clock.now();
        let expires_at = created_at + self.config.self_service.session_ttl_seconds;
        let session = SelfSession { id, person, by_card, client, occasion, signed_in_at, created_at, expires_at };
        Ok(self.store.begin_self_session(session, records).await?.then_some(token))
    }

    /// The answer that brings a session's token to a wallet.
    fn session_answer(&self, token: &str) -> serde_json::Value {
        let expires_in = self.config.self_service.session_ttl_seconds;
        TokenResponse { token, expires_in, ..TokenResponse::default() }.to_json()
    }

    /// A record of the official's own; of others it is not said that they are there. The portrait with its bytes.
    async fn own_record(&self, official: &Official, handle: &Handle) -> Result<StoredRecord> {
        let records = self.store.records_of(&official.person).await?;
        let own = records.into_iter().find(|stored| stored.handle == *handle);
        Ok(own.ok_or(Refusal::NotFound("record"))?)
    }

    /// Until when what is proposed at `now` has to be decided.
    async fn decision_due(&self, now: UnixSeconds) -> Result<UnixSeconds, Fault> {
        let calendar = self.store.calendar().await?;
        Ok(calendar.end_of_working_day_after(now, self.config.self_service.decision_working_days))
    }

    /// Notes that the official looked at their own records.
    async fn note_own_read(&self, records: &[Handle], purpose: &str) -> Result<()> {
        self.store.note_read(HOLDER, records, purpose, self.clock.now()).await
    }
}

/// Checks what cannot be seen without the parts.
pub(super) fn check(config: &Config, clock: &Clock) -> Result<(), Fault> {
    sign_in_at(config, clock, CALLBACK).map(|_| ())?;
    if config.client(presented::CLIENT).is_some() {
        let what = format!("a client cannot be called {}: that is what this service calls itself", presented::CLIENT);
        return Err(Fault::new("checking the configuration", what));
    }
    Ok(())
}
