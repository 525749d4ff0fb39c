//! Who may vouch for wallets and keys, and what is asked of keys: the settings, parsed once.

use super::Service;
use crate::clock::UnixSeconds;
use crate::config::{Attester, Certifies, Config, WhenUnavailable};
use crate::credential::attestation::{KeyPolicy, Standing};
use crate::credential::status_list::StatusReference;
use crate::credential::verify::StatusAnswer;
use crate::credential::x509::{self, Anchors};
use crate::error::Fault;
use crate::protocol::oid4vci::Configuration;

/// The attesters by what they are trusted for. One whose root cannot be read is trusted for nothing;
/// [`Service::check_attesters`] tells.
pub(super) struct Attesters {
    /// Roots of wallet attestations, each with the wallet products that it may vouch for; all when empty.
    wallets: Vec<(Vec<String>, Vec<Vec<u8>>)>,
    /// Roots of key attestations; `None` when there are none, and the proof type `attestation` is not offered.
    pub(super) keys: Option<Anchors>,
    policies: Vec<(Configuration, KeyPolicy)>,
    /// Those whose attestations are looked up in a status list, by their place in the settings.
    revoking: Vec<(usize, Anchors, WhenUnavailable)>,
}

/// Why an attestation is not in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotInForce {
    /// The attester says so.
    Revoked,
    /// Its claim names no status list, or no place in it.
    NoPlace,
    /// Nobody can tell now.
    Unknown,
}

impl NotInForce {
    /// For the wallet's developer.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Revoked => "the attestation has been revoked",
            Self::NoPlace => "status of the attestation names no place in a status list",
            Self::Unknown => "whether the attestation has been revoked cannot be told now; try again later",
        }
    }
}

impl Attesters {
    pub(super) fn new(config: &Config) -> Self {
        let roots = |purpose: Certifies| {
            let trusted = config.attesters.iter().filter(|attester| attester.certifies.contains(&purpose));
            trusted.filter_map(|attester| x509::pem_certificates(&attester.root).ok()).flatten().collect::<Vec<_>>()
        };
        let policy = |configuration: Configuration| {
            let asked = config.key_attestations.get(configuration.id()).filter(|asked| asked.required);
            asked.map(|asked| (configuration, KeyPolicy::required(&asked.key_storage, &asked.user_authentication)))
        };
        let attests_wallets = |attester: &&Attester| attester.certifies.contains(&Certifies::Wallets);
        let wallets = config
            .attesters
            .iter()
            .filter(attests_wallets)
            .filter_map(|attester| Some((attester.clients.clone(), x509::pem_certificates(&attester.root).ok()?)));
        let revoking = config.attesters.iter().enumerate().filter_map(|(place, attester)| {
            attester.status_lists.as_ref()?;
            Some((place, Anchors::from_pem(&attester.root).ok()?, attester.status_unavailable))
        });
        Self {
            wallets: wallets.collect(),
            keys: Some(roots(Certifies::Keys)).filter(|roots| !roots.is_empty()).map(Anchors::new),
            policies: Configuration::ALL.into_iter().filter_map(policy).collect(),
            revoking: revoking.collect(),
        }
    }

    /// Whether wallets can be attested at all.
    pub(super) fn attest_wallets(&self) -> bool {
        !self.wallets.is_empty()
    }

    /// The roots that may vouch for a wallet product.
    pub(super) fn of_wallet(&self, client_id: &str) -> Anchors {
        let may = |(clients, _): &&(Vec<String>, _)| clients.is_empty() || clients.iter().any(|own| own == client_id);
        Anchors::new(self.wallets.iter().filter(may).flat_map(|(_, roots)| roots.clone()).collect())
    }

    /// What is asked of the keys of a configuration.
    pub(super) fn policy(&self, configuration: Configuration) -> KeyPolicy {
        let own = self.policies.iter().find(|(known, _)| *known == configuration);
        own.map(|(_, policy)| policy.clone()).unwrap_or_default()
    }
}

impl Service {
    /// Whether an attestation that has been proved is still in force (Token Status List; OpenID4VCI 1.0 appendix D.1 and E,
    /// where `status` is optional). It is looked up when it carries `status` and the settings name its attester's lists;
    /// attestations of others end by their dates alone. When the list does not answer, it is refused unless the attester's
    /// `status_unavailable` says otherwise.
    pub(super) async fn attestation_in_force(&self, standing: &Standing, now: UnixSeconds) -> Result<(), NotInForce> {
        let Some(status) = &standing.status else { return Ok(()) };
        let is_its = |(_, anchors, _): &&(usize, Anchors, _)| anchors.check_path(&standing.chain, now).is_ok();
        let Some((place, _, when_unavailable)) = self.attesters.revoking.iter().find(is_its) else { return Ok(()) };
        let reference = StatusReference::from_json(status).ok_or(NotInForce::NoPlace)?;
        let source = self.statuses.of_attester(*place).ok_or(NotInForce::Unknown)?;
        match self.status_of_other(&reference, source).await {
            StatusAnswer::Known { value: 0, .. } => Ok(()),
            StatusAnswer::Known { .. } => Err(NotInForce::Revoked),
            StatusAnswer::OutOfRange => Err(NotInForce::NoPlace),
            StatusAnswer::Unavailable if *when_unavailable == WhenUnavailable::Accept => Ok(()),
            StatusAnswer::Unavailable => Err(NotInForce::Unknown),
        }
    }

    /// Checks that every attester's root can be read, and that every policy is for a configuration of ours.
    pub fn check_attesters(&self) -> Result<(), Fault> {
        let wrong = |what: String| Err(Fault::new("checking the configuration", what));
        for attester in &self.config.attesters {
            if !x509::pem_certificates(&attester.root)
                .is_ok_and(|roots| !roots.is_empty() && roots.iter().all(|root| x509::public_key(root).is_ok()))
            {
                return wrong(format!(
                    "attester {}: root is no PEM certificate of a P-256 or Ed25519 key",
                    attester.name
                ));
            }
        }
        match self.config.key_attestations.keys().find(|id| Configuration::parse(id).is_none()) {
            Some(id) => wrong(format!("key_attestations.{id}: there is no such credential configuration")),
            None => Ok(()),
        }
    }
}
