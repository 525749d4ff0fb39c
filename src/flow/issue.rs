//! Issuance: the wallet, which holds a grant, fetches a nonce, proves its keys and receives its credentials.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::deferred::GrantedCard;
use super::wallet::WalletCall;
use super::{RequestBody, Service, hash, is_random_name};
use crate::clock::{DAY_SECONDS, HOUR_SECONDS, UnixSeconds};
use crate::config::Config;
use crate::credential::cwt::{self, Identity, QrClaims};
use crate::credential::mdoc;
use crate::credential::official_card::{self, DIGESTS};
use crate::credential::proof::{Expected, Proved};
use crate::credential::sd_jwt::{Disclosable, SignedClaims, Template};
use crate::credential::status_list::StatusReference;
use crate::credential::x509::{self, Anchors};
use crate::credential::{PublicKey, Signer};
use crate::error::{Fault, Refusal, Result};
use crate::keyring::Keyring;
use crate::model::card::CardFacts;
use crate::model::status::ListPurpose;
use crate::protocol::credential_request;
use crate::protocol::mdoc::{NAMESPACE, doctype};
use crate::protocol::oid4vci::{
    self, Configuration, CredentialRequest, Notification, Proofs, ResponseEncryption, Selector,
};
use crate::store::{FoundCard, Grant, Issuance, NewCredential, Recorded};

/// What is prepared once: templates and the documents that never change.
pub(super) struct Templates {
    pub(super) vct: String,
    pub(super) type_metadata: Vec<u8>,
    sd_jwt: Template,
    sd_jwt_eddsa: Template,
    mdoc: mdoc::Template,
}

impl Templates {
    pub(super) fn new(config: &Config, keys: &Keyring) -> Self {
        let vct = format!("{}/types/official-card/1", config.public_url);
        let type_metadata = oid4vci::type_metadata(&vct);
        let integrity =
            format!("sha256-{}", base64::engine::general_purpose::STANDARD.encode(Sha256::digest(&type_metadata)));
        let template =
            |signer: &dyn Signer| Template::new(signer, &vct, &integrity, &config.public_url, DIGESTS, config.specimen);
        Self {
            sd_jwt: template(&*keys.issuer_es256),
            sd_jwt_eddsa: template(&*keys.issuer_eddsa),
            mdoc: mdoc::Template::new(doctype(config.specimen), NAMESPACE, DIGESTS, &keys.status_anchor),
            vct,
            type_metadata,
        }
    }
}

/// The credentials of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedCredentials {
    /// Compact SD-JWT VCs, or CWTs or mdocs in base64url.
    pub credentials: Vec<String>,
    /// For the wallet's notification.
    pub notification_id: String,
}

/// What a credential request is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The credentials.
    Credentials(IssuedCredentials),
    /// They will be there later.
    Later {
        /// By which the wallet asks again.
        transaction_id: String,
        /// Seconds after which it may.
        interval_seconds: i64,
    },
}

/// The answer of the credential endpoint or the deferred one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The answer.
    pub answer: Answer,
    /// How it is to be encrypted, if it is.
    pub encryption: Option<ResponseEncryption>,
}

/// A request that passed all checks.
pub(super) struct Asked {
    pub(super) grant: String,
    pub(super) configuration: Configuration,
    pub(super) keys: Vec<PublicKey>,
    pub(super) nonce: String,
    pub(super) request_hash: String,
    pub(super) deferral: Option<String>,
}

impl Service {
    /// Credential issuer metadata.
    pub fn issuer_metadata(&self) -> Value {
        let (doctype, batch_size) = (doctype(self.config.specimen), self.config.limits.batch_size);
        let (url, vct) = (&self.config.public_url, &self.templates.vct);
        let mut metadata = oid4vci::issuer_metadata(url, &self.configurations, vct, doctype, batch_size);
        for configuration in self.configurations.iter().copied() {
            let required = self.attesters.policy(configuration).metadata();
            metadata["credential_configurations_supported"][configuration.id()]["proof_types_supported"] =
                credential_request::proof_types_metadata(required, self.attesters.keys.is_some());
        }
        let (encryption, key) = (self.config.encryption, self.keys.encryption.public_jwk());
        metadata["credential_request_encryption"] =
            credential_request::request_encryption_metadata(key, encryption.requests_required);
        metadata["credential_response_encryption"] =
            credential_request::response_encryption_metadata(encryption.responses_required);
        metadata
    }

    /// The type metadata of the SD-JWT VC, as immutable bytes.
    pub fn type_metadata(&self) -> &[u8] {
        &self.templates.type_metadata
    }

    /// A fresh `c_nonce`.
    pub fn nonce(&self) -> String {
        self.nonces.issue(&self.chance, self.clock.now())
    }

    /// The credential endpoint. The same request again, because its answer was lost, gets the same credentials signed
    /// again; another request with a used nonce does not. While the record is under review the wallet is told to wait.
    pub async fn issue(&self, call: &WalletCall, body: RequestBody) -> Result<Issued> {
        let grant = self.called(call, "/credential").await?;
        let now = self.clock.now();
        let opened = self.open_request(body)?;
        let request = CredentialRequest::parse(&opened.json)?;
        let configuration = self.selected(&grant, &request.selector)?;
        let encryption = request.response_encryption()?;
        self.check_response_encryption(encryption.as_ref(), opened.was_encrypted)?;
        let proofs = request.proofs(self.config.limits.batch_size)?;
        let (keys, nonce) = self.prove(configuration, &proofs, grant.holder.client.as_deref(), now)?;
        let digests: Vec<String> = proofs.texts().iter().map(|proof| hash(&[proof.as_bytes()])).collect();
        let request_hash = hash(&[grant.id.as_bytes(), configuration.id().as_bytes(), digests.join(" ").as_bytes()]);
        let answer = match self.card_of_grant(&grant).await? {
            GrantedCard::InForce(found) => {
                let asked = Asked { grant: grant.id, configuration, keys, nonce, request_hash, deferral: None };
                Answer::Credentials(self.answer_with(*found, asked).await?)
            }
            GrantedCard::UnderReview => self.defer(&grant, configuration, &keys, nonce, request_hash).await?,
        };
        Ok(Issued { answer, encryption })
    }

    /// What is asked for, if it was granted.
    fn selected(&self, grant: &Grant, selector: &Selector) -> Result<Configuration, Refusal> {
        let granted = grant.configurations.split(' ').filter_map(Configuration::parse);
        let mut granted = granted.filter(|one| self.configurations.contains(one));
        match selector {
            Selector::Configuration(asked) if granted.any(|one| one == *asked) => Ok(*asked),
            Selector::Configuration(asked) if !self.configurations.contains(asked) => {
                Err(Refusal::UnknownCredentialConfiguration)
            }
            Selector::Configuration(_) => Err(Refusal::CredentialRequestDenied("this configuration was not granted")),
            Selector::Identifier(asked) => granted
                .find(|one| grant.by_details && Self::identifier(&grant.id, *one) == *asked)
                .ok_or(Refusal::UnknownCredentialIdentifier),
        }
    }

    /// Writes the issuance down and signs it.
    pub(super) async fn answer_with(&self, found: FoundCard, asked: Asked) -> Result<IssuedCredentials> {
        let now = self.clock.now();
        let (issued_at, expires_at) = self.dates(&found, self.config.limits.credential_validity_days);
        let expires_at = self.within_signer(asked.configuration, expires_at)?;
        let purpose = match asked.configuration {
            Configuration::Qr => ListPurpose::Qr,
            Configuration::SdJwt | Configuration::SdJwtEdDsa | Configuration::Mdoc => ListPurpose::Other,
        };
        let places = self.draw_positions(purpose, asked.keys.len()).await?;
        let rows: Vec<_> = asked
            .keys
            .iter()
            .zip(places)
            .map(|(key, (list, index))| NewCredential {
                holder: URL_SAFE_NO_PAD.encode(key.thumbprint()),
                list,
                index,
                issued_at,
                expires_at,
            })
            .collect();
        let id = self.random_name();
        let unused = rows.iter().map(|row| (row.list, row.index)).collect::<Vec<_>>();
        let issuance = Issuance {
            id: id.clone(),
            nonce: asked.nonce,
            request_hash: asked.request_hash,
            card: found.card.handle.clone(),
            grant: Some(asked.grant),
            deferral: asked.deferral,
            configuration: asked.configuration.id().to_owned(),
            credentials: rows.clone(),
            at: now,
            actor: "wallet".to_owned(),
            max_credentials: self.config.limits.credentials_per_card,
        };
        let (notification_id, rows) = match self.store.record_issuance(issuance).await? {
            Recorded::New => (id, rows),
            Recorded::Again(id, earlier) => {
                self.give_back(unused).await;
                (id, earlier)
            }
            refused => {
                self.give_back(unused).await;
                return Err(match refused {
                    Recorded::NonceUsed => Refusal::InvalidNonce,
                    Recorded::GrantRevoked => Refusal::InvalidToken,
                    _ => Refusal::CredentialRequestDenied(
                        "the card is not in force, or has had as many credentials as a card may have",
                    ),
                }
                .into());
            }
        };
        let credentials = self.sign(asked.configuration, &found, &asked.keys, &rows)?;
        Ok(IssuedCredentials { credentials, notification_id })
    }

    /// The notification endpoint.
    pub async fn notify(&self, call: &WalletCall, body: &[u8]) -> Result<()> {
        let grant = self.called(call, "/notification").await?;
        let notification = Notification::parse(body)?;
        if !is_random_name(&notification.id) {
            return Err(Refusal::InvalidNotificationId.into());
        }
        self.store.note_event(notification.id, grant.id, notification.event, self.clock.now()).await
    }

    /// Proves all keys of a request, which are all different. Its proofs and attestations carry one live nonce; one that is
    /// none of ours is told first, so that the wallet fetches a new one.
    fn prove(
        &self,
        configuration: Configuration,
        proofs: &Proofs,
        wallet_client: Option<&str>,
        now: UnixSeconds,
    ) -> Result<(Vec<PublicKey>, String), Refusal> {
        let nobody = Anchors::default();
        let policy = self.attesters.policy(configuration);
        let expected = Expected {
            audience: &self.config.public_url,
            client: wallet_client,
            attesters: self.attesters.keys.as_ref().unwrap_or(&nobody),
            policy: &policy,
            now,
        };
        let most = self.config.limits.batch_size;
        let proved = match proofs {
            Proofs::Jwt(proofs) => Proved::by_jwt(proofs, &expected, most),
            Proofs::Attestation(_) if self.attesters.keys.is_none() => {
                return Err(Refusal::InvalidProof("the proof type attestation is not supported".into()));
            }
            Proofs::Attestation(attestation) => Proved::by_attestation(attestation, &expected, most),
        };
        let proved = proved.map_err(|error| Refusal::InvalidProof(error.to_string()))?;
        if proved.nonces.iter().any(|nonce| self.nonces.check(nonce, now).is_none()) {
            return Err(Refusal::InvalidNonce);
        }
        match <[String; 1]>::try_from(proved.nonces) {
            Ok([nonce]) => Ok((proved.keys, nonce)),
            Err(_) => Err(Refusal::InvalidProof("all proofs of a request carry the same nonce".into())),
        }
    }

    /// Start and end of a credential, rounded so that those of a batch cannot be linked by them (RFC 9901 10.1): the
    /// start down to the hour, the end to the day, never after the card's.
    pub(super) fn dates(&self, found: &FoundCard, validity_days: i64) -> (UnixSeconds, UnixSeconds) {
        let now = self.clock.now();
        let start = now - now.rem_euclid(HOUR_SECONDS);
        let end = now - now.rem_euclid(DAY_SECONDS) + validity_days * DAY_SECONDS;
        (start, end.min(found.card.valid_until))
    }

    /// The end of a credential, not after that of its signer. Only the signer of mdocs lives so short that it matters: their
    /// readers refuse a card whose signer's certificate is over (ISO/IEC 18013-5 section 9.3.3).
    fn within_signer(&self, configuration: Configuration, expires_at: UnixSeconds) -> Result<UnixSeconds, Fault> {
        if configuration != Configuration::Mdoc {
            return Ok(expires_at);
        }
        let doing = "issuing an mdoc";
        let certificate = self.keys.document_signer.certificates().first().map(Vec::as_slice).unwrap_or_default();
        let (_, end) = x509::validity(certificate).map_err(|error| Fault::new(doing, error))?;
        if end <= self.clock.now() {
            return Err(Fault::new(
                doing,
                "the document signer has expired: `officials-card keys renew document-signer`",
            ));
        }
        Ok(expires_at.min(end))
    }

    /// Signs what was stored.
    fn sign(
        &self,
        configuration: Configuration,
        found: &FoundCard,
        keys: &[PublicKey],
        rows: &[NewCredential],
    ) -> Result<Vec<String>, Fault> {
        let disclosables = match configuration {
            Configuration::SdJwt | Configuration::SdJwtEdDsa => {
                official_card::disclosables(&found.facts, found.card.valid_until)
            }
            Configuration::Qr | Configuration::Mdoc => Vec::new(),
        };
        let elements = match configuration {
            Configuration::Mdoc => official_card::elements(&found.facts, found.card.valid_until),
            _ => Vec::new(),
        };
        let sign_one = |(key, row): (&PublicKey, &NewCredential)| match configuration {
            Configuration::SdJwt => {
                self.sign_sd_jwt(&self.templates.sd_jwt, &*self.keys.issuer_es256, key, row, &disclosables)
            }
            Configuration::SdJwtEdDsa => {
                self.sign_sd_jwt(&self.templates.sd_jwt_eddsa, &*self.keys.issuer_eddsa, key, row, &disclosables)
            }
            Configuration::Qr => Ok(URL_SAFE_NO_PAD.encode(self.sign_qr(found, Some(key), row)?)),
            Configuration::Mdoc => self.sign_mdoc(key, row, &elements),
        };
        keys.iter().zip(rows).map(sign_one).collect()
    }

    fn sign_sd_jwt(
        &self,
        template: &Template,
        signer: &dyn Signer,
        holder: &PublicKey,
        row: &NewCredential,
        claims: &[Disclosable],
    ) -> Result<String, Fault> {
        let signed = SignedClaims {
            issued_at: row.issued_at,
            expires_at: row.expires_at,
            holder,
            status_uri: &self.status_uri(row.list),
            status_index: row.index,
        };
        template.issue(signer, &self.chance, &signed, claims)
    }

    fn sign_mdoc(&self, holder: &PublicKey, row: &NewCredential, elements: &[mdoc::Element]) -> Result<String, Fault> {
        let signed = SignedClaims {
            issued_at: row.issued_at,
            expires_at: row.expires_at,
            holder,
            status_uri: &self.status_uri(row.list),
            status_index: row.index,
        };
        let issued = self.templates.mdoc.issue(&*self.keys.document_signer, &self.chance, &signed, elements)?;
        Ok(URL_SAFE_NO_PAD.encode(issued))
    }

    /// The CWT of the QR code: with the holder's key for a wallet, without for a printed badge.
    pub(super) fn sign_qr(
        &self,
        found: &FoundCard,
        holder: Option<&PublicKey>,
        row: &NewCredential,
    ) -> Result<Vec<u8>, Fault> {
        let index = u32::try_from(row.index).map_err(|error| Fault::new("signing a QR card", error))?;
        let claims = QrClaims {
            issuer: self.config.public_url.clone(),
            issued_at: row.issued_at,
            not_before: row.issued_at,
            expires_at: row.expires_at,
            confirmation: holder.cloned(),
            status: Some(StatusReference { index, uri: self.status_uri(row.list) }),
            identity: self.identity(found.card.handle.as_str(), &found.facts),
        };
        cwt::seal(&claims, &*self.keys.qr)
    }

    fn identity(&self, handle: &str, facts: &CardFacts) -> Identity {
        Identity {
            handle: handle.to_owned(),
            full_name: facts.full_name.clone(),
            photo: None,
            position: facts.position_title.clone().or_else(|| facts.job_position.clone()),
            agency: Some(facts.employing_agency.name.clone()),
            agency_code: Some(facts.employing_agency.code.clone()),
            class: Some(facts.record_type.suffix().to_owned()),
            specimen: self.config.specimen,
        }
    }
}
