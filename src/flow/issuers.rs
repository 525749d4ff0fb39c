//! Whose cards are accepted: ours, and those of the issuers of the settings; and how the status of a card of either is told.

use super::Service;
use super::statuses::{SourceId, StatusCounts, Statuses};
use crate::config::{Config, StatusNeed, StatusPrefix};
use crate::credential::presentation::{SignedFor, StatusPolicy, TrustedIssuer};
use crate::credential::status_list::StatusReference;
use crate::credential::verify::StatusAnswer;
use crate::credential::x509::{self, Anchors, ChainError};
use crate::error::Fault;
use crate::keyring::Keyring;
use crate::protocol::mdoc;

/// How many of the trusted issuers are ourselves: of SD-JWT cards, and of mdocs.
const OURS: usize = 2;

/// Who has issued a card that has been proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardIssuer<'a> {
    /// We.
    Ours,
    /// An issuer of the settings, by its name there.
    Other(&'a str),
}

impl Service {
    /// Whom a presentation may come from: ourselves first, then the issuers of the settings in their order. Our own SD-JWT
    /// cards need the trust list besides.
    pub fn trusted_issuers(&self) -> &[TrustedIssuer] {
        &self.trusted_issuers
    }

    /// Who the issuer at a place of [`Service::trusted_issuers`] is.
    pub fn card_issuer(&self, place: usize) -> CardIssuer<'_> {
        if place < OURS {
            return CardIssuer::Ours;
        }
        CardIssuer::Other(self.trusted_issuers.get(place).map_or("", |issuer| &issuer.name))
    }

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

/// Ourselves and the issuers of the settings. One whose anchors cannot be read is left out; [`Service::check_issuers`]
/// tells.
pub(super) fn trusted(config: &Config, keys: &Keyring, vct: &str) -> Vec<TrustedIssuer> {
    let own = |name: &str, anchors: &Anchors, kind: String, issuers| TrustedIssuer {
        name: name.to_owned(),
        anchors: anchors.clone(),
        types: vec![kind],
        signed_for: SignedFor::Own,
        issuers,
        status: StatusPolicy::Required,
        status_lists: vec![format!("{}/s/", config.public_url)],
        pinned_signers: Vec::new(),
    };
    let iss = Some(vec![config.public_url.clone()]);
    let ours = [
        own("own cards", &keys.anchors, vct.to_owned(), iss),
        own("own mdocs", &keys.iaca, mdoc::doctype(config.specimen).to_owned(), None),
    ];
    let others = config.trusted_issuers.iter().filter_map(|issuer| {
        let prefixes = issuer.status_lists.iter().flat_map(|lists| &lists.prefixes);
        Some(TrustedIssuer {
            name: issuer.name.clone(),
            anchors: anchors(&issuer.anchors).ok()?,
            types: issuer.types.clone(),
            signed_for: match issuer.document_usages.as_slice() {
                [] => SignedFor::Anything,
                usages => SignedFor::Documents(usages.to_vec()),
            },
            issuers: Some(issuer.issuers.clone()).filter(|issuers| !issuers.is_empty()),
            status: match issuer.status {
                StatusNeed::Required => StatusPolicy::Required,
                StatusNeed::IfPresent => StatusPolicy::IfPresent,
            },
            status_lists: prefixes.map(StatusPrefix::as_str).map(str::to_owned).collect(),
            pinned_signers: Vec::new(),
        })
    });
    ours.into_iter().chain(others).collect()
}

/// Anchors from PEM; each must be a certificate of a key that we can check signatures with.
pub(super) fn anchors(pem: &str) -> Result<Anchors, ChainError> {
    for certificate in x509::pem_certificates(pem)? {
        x509::public_key(&certificate)?;
    }
    Anchors::from_pem(pem)
}
