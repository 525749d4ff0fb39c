//! Whose cards are accepted: ours, and those of the issuers of the settings; and how the status of a card of either is told.

use super::Service;
use super::statuses::{SourceId, StatusCounts, Statuses};
use crate::credential::status_list::StatusReference;
use crate::credential::verify::StatusAnswer;
use crate::credential::x509::{self, Anchors, ChainError};
use crate::error::Fault;
use crate::protocol::mdoc;

/// Who has issued a card that has been proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardIssuer<'a> {
    /// We.
    Ours,
    /// An issuer of the settings, by its name there.
    Other(&'a str),
}

impl Service {
    /// The status of a card: of ours as the database has it now, of another issuer's as its status list says.
    ///
    /// For a card of another issuer this may fetch the list, so it is called only once the card is proved: signature,
    /// chain and dates. What nobody can tell is [`StatusAnswer::Unavailable`], never "valid".
    pub async fn status_of_card(&self, reference: &StatusReference, issuer: CardIssuer<'_>) -> StatusAnswer {
        match issuer {
            CardIssuer::Ours => self.status_now(reference, self.clock.now()).await,
            CardIssuer::Other(name) => match self.statuses.of_issuer(name) {
                Some(source) => self.status_of_other(reference, source).await,
                None => StatusAnswer::Unavailable,
            },
        }
    }

    /// The same for a list that is not ours.
    pub(super) async fn status_of_other(&self, reference: &StatusReference, source: SourceId) -> StatusAnswer {
        self.statuses.status(source, reference).await
    }

    /// What the status lists of others have cost and given so far, in this process.
    pub fn status_counts(&self) -> StatusCounts {
        self.statuses.counts()
    }

    /// Ends when no status list of others is being fetched: for tests of the whole.
    pub async fn statuses_settled(&self) {
        self.statuses.settled().await;
    }

    /// Checks that the certificates of every trusted issuer can be read and that none may issue our own types: what our
    /// cards say of an agency is bounded by our trust list, which binds no other root.
    pub fn check_issuers(&self) -> Result<(), Fault> {
        let wrong = |what: String| Err(Fault::new("checking the configuration", what));
        for issuer in &self.config.trusted_issuers {
            if anchors(&issuer.anchors).is_err() {
                return wrong(format!(
                    "trusted_issuers.{}: anchors are no PEM certificates of P-256 or Ed25519 keys",
                    issuer.name
                ));
            }
            if issuer.types.iter().any(|one| {
                *one == self.templates.vct || [mdoc::DOCTYPE, mdoc::SPECIMEN_DOCTYPE].contains(&one.as_str())
            }) {
                return wrong(format!("trusted_issuers.{}: our own type is ours alone", issuer.name));
            }
        }
        Statuses::check(&self.config)
    }
}

/// Anchors from PEM; each must be a certificate of a key that we can check signatures with.
pub(super) fn anchors(pem: &str) -> Result<Anchors, ChainError> {
    for certificate in x509::pem_certificates(pem)? {
        x509::public_key(&certificate)?;
    }
    Anchors::from_pem(pem)
}
