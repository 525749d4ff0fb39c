//! The stories. Each file is one: it knows the order read → decide → store → sign, and nothing of HTTP or SQL.

mod access;
mod approvals;
mod attesters;
pub mod audit;
pub mod authorize;
mod badges;
mod card_search;
mod checkpoint;
mod confirmations;
mod decide;
mod deferred;
mod delegate;
mod delivery;
pub mod enroll;
mod feed;
mod follow;
pub mod form;
mod gates;
pub mod import;
mod issue;
mod issuers;
mod limits;
pub mod lists;
mod metadata;
mod offer;
mod office;
mod officers;
pub mod population;
mod positions;
pub mod present;
mod publish;
pub mod quality;
mod receipts;
pub mod receive;
pub mod records;
pub mod reorganise;
mod reports;
mod review;
mod revoke;
mod sealing;
pub mod self_service;
mod show;
mod statuses;
pub mod sync;
mod token;
pub mod uploads;
mod verify;
mod wallet;
mod workload;

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::chance::Chance;
use crate::clock::{Clock, UnixSeconds};
use crate::config::Config;
use crate::credential::nonce::Nonces;
use crate::credential::presentation::TrustedIssuer;
use crate::credential::wallet_token::WalletTokens;
use crate::error::Fault;
use crate::keyring::Keyring;
use crate::model::code_list::CodeBook;
use crate::protocol::oid4vci::Configuration;
use crate::remote::sign_in::{OfficeSignIn, VneidSignIn};
use crate::store::Store;

pub use crate::credential::verdict::Verdict;
pub use crate::store::Delegation;
pub use crate::store::SyncCall;
pub use crate::store::{ApproverCertificate, CardFilter, ListedCard};
pub use access::Caller;
pub use approvals::{
    ApprovalCheck, ApprovalCheckError, ApprovalFile, ChangedRecord, NewApproverCertificate, QualityApproval,
    check_approval,
};
pub use badges::{BadgeChoice, MOST_BADGES};
pub use card_search::CardSearch;
pub use checkpoint::{CheckpointDocument, KEPT_SNAPSHOTS, Versions};
pub use confirmations::{Confirmation, ConfirmationRequest};
pub use decide::{Approval, Decided, Outcome, Verdict as ReviewVerdict};
pub use delegate::{LENT_DAYS, NewDelegation};
pub use delivery::{DeliveryState, Handover, Round};
pub use feed::{EventsRequest, PAGE_EVENTS, Place, WAIT_SECONDS};
pub use gates::{DutyEntry, GateRules, GateState};
pub use issue::{Answer, Issued, IssuedCredentials};
pub use issuers::CardIssuer;
pub use limits::Traffic;
pub use metadata::{MetadataDocument, MetadataForm};
pub use offer::{MadeOffer, OfferGrant, OfferRequest};
pub use office::{AtWork, OfficeStep, OfficeStop};
pub use officers::{Edit, NewOfficer, OfficerEdit, OfficerQuery};
pub use population::{Connection, PopulationQueryPage, Rematched};
pub use publish::{PublishedStatusList, StatusFormat};
pub use quality::{
    After, Causes, DayScores, FlaggedRecord, MOST_EXPORTED, QualityRound, QualityView, Sheet, Table, TableForm,
    UnitScores,
};
pub use receive::{Became, Expects, Incoming, Received, Says};
pub use reports::{MonthlyReport, ReportApproval, ReportUnit};
pub use review::{
    CLAIM_MINUTES, DecisionItem, EvidenceItem, FieldChange, FieldName, OtherProposal, QueueRequest, Reviewed,
    ReviewedWhole, USUAL_CLAIM_MINUTES,
};
pub use sealing::{MAX_INFLATED_BYTES, Opened, RequestBody, Sealed};
pub use show::{Badge, BadgeFormat};
pub use statuses::StatusCounts;
pub use verify::{Bundle, VerifyRequest, verify_offline};
pub use wallet::{DpopHeader, WalletCall};
pub use workload::Workload;

/// All that the stories need. One per process; cheap to clone.
#[derive(Clone)]
pub struct Service(Arc<Parts>);

/// The parts of a [`Service`].
pub struct Parts {
    /// Settings.
    pub config: Config,
    /// Time.
    pub clock: Clock,
    /// Chance.
    pub chance: Chance,
    store: Store,
    keys: Keyring,
    nonces: Nonces,
    dpop_nonces: Nonces,
    challenges: Nonces,
    wallet_tokens: WalletTokens,
    sign_in: Option<VneidSignIn>,
    office_sign_in: Option<OfficeSignIn>,
    /// What is offered, in the order of [`Configuration::ALL`].
    configurations: Vec<Configuration>,
    templates: issue::Templates,
    attesters: attesters::Attesters,
    statuses: Arc<statuses::Statuses>,
    trusted_issuers: Vec<TrustedIssuer>,
    positions: positions::Positions,
    presenting: present::Presenting,
    own: self_service::SelfService,
    published: publish::Published,
    carried: checkpoint::Carried,
    documents: metadata::Documents,
    limiters: limits::Limiters,
    population: population::Population,
    places: feed::Places,
    labels: Mutex<Option<(UnixSeconds, Arc<CodeBook>)>>,
    /// Where the next round of [`Service::refresh_cards`] goes on.
    refreshing: tokio::sync::Mutex<String>,
    counted: Mutex<Option<revoke::Counts>>,
    passwords: sync::Passwords,
    uploading: uploads::Places,
    stopping: tokio::sync::watch::Sender<bool>,
}

impl std::ops::Deref for Service {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Service {
    /// Puts the parts together. Nothing is read or written yet.
    pub fn new(config: Config, clock: Clock, chance: Chance, store: Store, keys: Keyring) -> Self {
        let templates = issue::Templates::new(&config, &keys);
        Self(Arc::new(Parts {
            nonces: Nonces::new(&keys.secret, "c_nonce"),
            dpop_nonces: Nonces::new(&keys.secret, "DPoP nonce"),
            challenges: Nonces::new(&keys.secret, "attestation challenge"),
            wallet_tokens: WalletTokens::new(&keys.secret),
            // Settings that cannot be used: `check_settings` tells.
            office_sign_in: office_sign_in(&config, &clock).ok().flatten(),
            sign_in: sign_in_at(&config, &clock, "/sign-in/callback").ok().flatten(),
            configurations: Configuration::ALL
                .into_iter()
                .filter(|one| config.configurations.is_empty() || config.configurations.iter().any(|id| id == one.id()))
                .collect(),
            trusted_issuers: issuers::trusted(&config, &keys, &templates.vct),
            // As above.
            presenting: present::Presenting::new(&config, &templates.vct).unwrap_or_default(),
            own: self_service::SelfService::new(&config, &clock),
            templates,
            attesters: attesters::Attesters::new(&config),
            statuses: Arc::new(statuses::Statuses::new(&config, &clock)),
            positions: positions::Positions::default(),
            published: publish::Published::default(),
            carried: checkpoint::Carried::default(),
            documents: metadata::Documents::default(),
            limiters: limits::Limiters::new(&config.rate_limits, &clock),
            population: population::Population::new(&config, &clock, &chance),
            places: feed::Places::default(),
            labels: Mutex::default(),
            refreshing: tokio::sync::Mutex::default(),
            counted: Mutex::default(),
            passwords: sync::Passwords::default(),
            uploading: uploads::Places::new(&config.uploads),
            stopping: tokio::sync::watch::Sender::new(false),
            config,
            clock,
            chance,
            store,
            keys,
        }))
    }

    /// Checks what cannot be seen without the parts: clients, attesters, the sign-in, receivers.
    pub fn check_settings(&self) -> Result<(), Fault> {
        self.check_clients()?;
        self.check_attesters()?;
        self.check_issuers()?;
        self.check_delivery()?;
        self.check_presentations()?;
        self.check_population()?;
        self.check_approvers()?;
        if let Some(id) = self.config.configurations.iter().find(|id| Configuration::parse(id).is_none()) {
            let what = format!("configurations: there is no credential configuration {id}");
            return Err(Fault::new("checking the configuration", what));
        }
        office_sign_in(&self.config, &self.clock)?;
        self_service::check(&self.config, &self.clock)?;
        sign_in_at(&self.config, &self.clock, "/sign-in/callback").map(|_| ())
    }

    /// The store, for the command line and for tests of the whole.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The root certificate as PEM: what verifiers pin.
    pub fn anchor_pem(&self) -> &str {
        &self.keys.anchor_pem
    }

    /// The IACA certificate as PEM: what readers of mdocs pin.
    pub fn iaca_pem(&self) -> &str {
        &self.keys.iaca_pem
    }

    /// The revocation list of the IACA, DER.
    pub fn iaca_crl(&self) -> &[u8] {
        &self.keys.iaca_crl
    }

    /// Tells what goes on without end, as streams to clients do, to end.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Ends once [`Service::stop`] was called.
    pub async fn stopped(&self) {
        // The sender lives as long as this service: only the value can end it.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }

    /// A random name of 128 bits in base64url.
    fn random_name(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.chance.bytes::<16>())
    }

    /// A random token of 256 bits, and the hash under which it is kept.
    fn random_token(&self) -> (String, String) {
        let token = URL_SAFE_NO_PAD.encode(self.chance.bytes::<32>());
        let hash = hash(&[token.as_bytes()]);
        (token, hash)
    }
}

/// The sign-in at VNeID that brings people back to `path`.
fn sign_in_at(config: &Config, clock: &Clock, path: &str) -> Result<Option<VneidSignIn>, Fault> {
    let callback = format!("{}{path}", config.public_url);
    let sign_in = config.sign_in.as_ref().map(|settings| VneidSignIn::new(settings, &callback)).transpose()?;
    Ok(sign_in.map(|sign_in| sign_in.told_time_by(clock.clone())))
}

fn office_sign_in(config: &Config, clock: &Clock) -> Result<Option<OfficeSignIn>, Fault> {
    let callback = format!("{}/office/callback", config.public_url);
    let sign_in = config.office_sign_in.as_ref().map(|settings| OfficeSignIn::new(settings, &callback)).transpose()?;
    Ok(sign_in.map(|sign_in| sign_in.told_time_by(clock.clone())))
}

/// Whether a text could be one of our random names: nothing else is looked up.
fn is_random_name(text: &str) -> bool {
    text.len() == 22 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// SHA-256 of the parts, each preceded by its length, in base64url.
fn hash(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    URL_SAFE_NO_PAD.encode(digest.finalize())
}
