//! Issuance: the wallet redeems its offer, fetches a nonce, proves its keys and receives its credentials.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{RequestBody, Service, hash, is_random_name};
use crate::clock::{DAY_SECONDS, HOUR_SECONDS, UnixSeconds};
use crate::config::Config;
use crate::credential::cwt::{self, Identity, QrClaims};
use crate::credential::official_card::{self, DIGESTS};
use crate::credential::proof::{Expected, Proved};
use crate::credential::sd_jwt::{Disclosable, SignedClaims, Template};
use crate::credential::status_list::StatusReference;
use crate::credential::x509::Anchors;
use crate::credential::{PublicKey, Signer};
use crate::error::{Fault, Refusal, Result};
use crate::keyring::Keyring;
use crate::model::card::{CardFacts, StateName};
use crate::protocol::credential_request;
use crate::protocol::oauth::{self, ClientAssertion};
use crate::protocol::oid4vci::{
    self, Configuration, CredentialRequest, Notification, Proofs, ResponseEncryption, Selector,
};
use crate::store::{FoundCard, Issuance, NewCredential, Recorded, Redemption};

/// What is prepared once: templates and the documents that never change.
pub(super) struct Templates {
    pub(super) vct: String,
    pub(super) type_metadata: Vec<u8>,
    sd_jwt: Template,
    sd_jwt_eddsa: Template,
}

impl Templates {
    pub(super) fn new(config: &Config, keys: &Keyring) -> Self {
        let vct = format!("{}/types/official-card/1", config.public_url);
        let type_metadata = oid4vci::type_metadata(&vct);
        let integrity =
            format!("sha256-{}", base64::engine::general_purpose::STANDARD.encode(Sha256::digest(&type_metadata)));
        let template =
            |signer: &dyn Signer| Template::new(signer, &vct, &integrity, &config.public_url, DIGESTS, config.specimen);
        Self { sd_jwt: template(&*keys.issuer_es256), sd_jwt_eddsa: template(&*keys.issuer_eddsa), vct, type_metadata }
    }
}

/// The credentials of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedCredentials {
    /// Compact SD-JWT VCs, or CWTs in base64url.
    pub credentials: Vec<String>,
    /// For the wallet's notification.
    pub notification_id: String,
    /// How the answer is to be encrypted, if it is.
    pub encryption: Option<ResponseEncryption>,
}

impl Service {
    /// Credential issuer metadata.
    pub fn issuer_metadata(&self) -> Value {
        let mut metadata =
            oid4vci::issuer_metadata(&self.config.public_url, &self.templates.vct, self.config.limits.batch_size);
        for configuration in Configuration::ALL {
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

    /// The token endpoint for a wallet: redeems an offer once. Returns the token response.
    pub async fn wallet_token(
        &self,
        code: &str,
        tx_code: Option<&str>,
        client: Option<&ClientAssertion>,
    ) -> Result<Value> {
        let wallet_client = match client {
            Some(client) => Some(self.authenticate(client).await?.name.clone()),
            None => None,
        };
        let offer = self.offer_of_code(code).ok_or(Refusal::InvalidGrant("the pre-authorized code is unknown"))?;
        let tx_code = tx_code.ok_or(Refusal::InvalidTokenRequest("tx_code is missing"))?;
        let right_tx_code = bool::from(self.tx_code_of(offer).as_bytes().ct_eq(tx_code.as_bytes()));
        let (token, token_hash) = self.random_token();
        let now = self.clock.now();
        let ttl = self.config.limits.wallet_token_ttl_seconds;
        let redemption = Redemption {
            offer: offer.to_owned(),
            right_tx_code,
            wallet_client,
            token_hash,
            token_expires_at: now + ttl,
            max_attempts: self.config.limits.tx_code_attempts,
            at: now,
        };
        self.store.redeem_offer(redemption).await?;
        if right_tx_code {
            Ok(oauth::token_response(&token, ttl, None))
        } else {
            Err(Refusal::InvalidGrant("the transaction code is wrong").into())
        }
    }

    /// A fresh `c_nonce`.
    pub fn nonce(&self) -> String {
        self.nonces.issue(&self.chance, self.clock.now())
    }

    /// The credential endpoint. The same request again, because its answer was lost, gets the same credentials signed
    /// again; another request with a used nonce does not.
    pub async fn issue(&self, token: &str, body: RequestBody) -> Result<IssuedCredentials> {
        let now = self.clock.now();
        let token_hash = hash(&[token.as_bytes()]);
        let token = self.store.wallet_token(&token_hash, now).await?.ok_or(Refusal::InvalidToken)?;
        let opened = self.open_request(body)?;
        let request = CredentialRequest::parse(&opened.json)?;
        let Selector::Configuration(configuration) = request.selector else {
            // Identifiers are only given with authorization_details, which this grant does not use.
            return Err(Refusal::UnknownCredentialIdentifier.into());
        };
        if !token.configurations.split(' ').any(|offered| offered == configuration.id()) {
            return Err(Refusal::CredentialRequestDenied("this configuration was not offered").into());
        }
        let encryption = request.response_encryption()?;
        self.check_response_encryption(encryption.as_ref(), opened.was_encrypted)?;
        let proofs = request.proofs(self.config.limits.batch_size)?;
        let (keys, nonce) = self.prove(configuration, &proofs, token.wallet_client.as_deref(), now)?;
        if token.found.card.state_at(now).name() != StateName::Active {
            return Err(Refusal::CredentialRequestDenied("the card is not in force").into());
        }
        let digests: Vec<String> = proofs.texts().iter().map(|proof| hash(&[proof.as_bytes()])).collect();
        let request_hash = hash(&[token.offer.as_bytes(), configuration.id().as_bytes(), digests.join(" ").as_bytes()]);
        let (issued_at, expires_at) = self.dates(&token.found, self.config.limits.credential_validity_days);
        let places = self.draw_positions(keys.len()).await?;
        let rows: Vec<_> = keys
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
            nonce,
            request_hash,
            card: token.found.card.handle.clone(),
            token: Some((token.offer, token_hash)),
            configuration: configuration.id().to_owned(),
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
                    Recorded::TokenReplaced => Refusal::InvalidToken,
                    _ => Refusal::CredentialRequestDenied(
                        "the card is not in force, or has had as many credentials as a card may have",
                    ),
                }
                .into());
            }
        };
        let credentials = self.sign(configuration, &token.found, &keys, &rows)?;
        Ok(IssuedCredentials { credentials, notification_id, encryption })
    }

    /// The notification endpoint.
    pub async fn notify(&self, token: &str, body: &[u8]) -> Result<()> {
        let now = self.clock.now();
        let token_hash = hash(&[token.as_bytes()]);
        self.store.wallet_token(&token_hash, now).await?.ok_or(Refusal::InvalidToken)?;
        let notification = Notification::parse(body)?;
        if !is_random_name(&notification.id) {
            return Err(Refusal::InvalidNotificationId.into());
        }
        self.store.note_event(notification.id, token_hash, notification.event, now).await
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
            Configuration::Qr => Vec::new(),
        };
        let sign_one = |(key, row): (&PublicKey, &NewCredential)| match configuration {
            Configuration::SdJwt => {
                self.sign_sd_jwt(&self.templates.sd_jwt, &*self.keys.issuer_es256, key, row, &disclosables)
            }
            Configuration::SdJwtEdDsa => {
                self.sign_sd_jwt(&self.templates.sd_jwt_eddsa, &*self.keys.issuer_eddsa, key, row, &disclosables)
            }
            Configuration::Qr => Ok(URL_SAFE_NO_PAD.encode(self.sign_qr(found, Some(key), row)?)),
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
