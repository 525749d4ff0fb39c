//! Issuance: the wallet redeems its offer, fetches a nonce, proves its keys and receives its credentials.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Service, hash, is_random_name};
use crate::clock::{DAY_SECONDS, HOUR_SECONDS, UnixSeconds};
use crate::config::Config;
use crate::credential::cwt::{self, Identity, QrClaims};
use crate::credential::mdoc;
use crate::credential::official_card::{self, DIGESTS};
use crate::credential::proof::Proof;
use crate::credential::sd_jwt::{Disclosable, SignedClaims, Template};
use crate::credential::status_list::StatusReference;
use crate::credential::{PublicKey, Signer, x509};
use crate::error::{Fault, Refusal, Result};
use crate::keyring::Keyring;
use crate::model::card::{CardFacts, StateName};
use crate::protocol::mdoc::{NAMESPACE, doctype};
use crate::protocol::oauth::{self, ClientAssertion};
use crate::protocol::oid4vci::{self, Configuration, CredentialRequest, Notification};
use crate::store::{FoundCard, Issuance, NewCredential, Recorded, Redemption};

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

impl Service {
    /// Credential issuer metadata.
    pub fn issuer_metadata(&self) -> Value {
        let doctype = doctype(self.config.specimen);
        oid4vci::issuer_metadata(&self.config.public_url, &self.templates.vct, doctype, self.config.limits.batch_size)
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
    pub async fn issue(&self, token: &str, body: &[u8]) -> Result<IssuedCredentials> {
        let now = self.clock.now();
        let token_hash = hash(&[token.as_bytes()]);
        let token = self.store.wallet_token(&token_hash, now).await?.ok_or(Refusal::InvalidToken)?;
        let request = CredentialRequest::parse(body, self.config.limits.batch_size)?;
        if !token.configurations.split(' ').any(|offered| offered == request.configuration.id()) {
            return Err(Refusal::CredentialRequestDenied("this configuration was not offered").into());
        }
        let (keys, nonce) = self.prove(&request.proofs, token.wallet_client.as_deref(), now)?;
        if token.found.card.state_at(now).name() != StateName::Active {
            return Err(Refusal::CredentialRequestDenied("the card is not in force").into());
        }
        let digests: Vec<String> = request.proofs.iter().map(|proof| hash(&[proof.as_bytes()])).collect();
        let request_hash =
            hash(&[token.offer.as_bytes(), request.configuration.id().as_bytes(), digests.join(" ").as_bytes()]);
        let (issued_at, expires_at) = self.dates(&token.found, self.config.limits.credential_validity_days);
        let expires_at = self.within_signer(request.configuration, expires_at)?;
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
            configuration: request.configuration.id().to_owned(),
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
        let credentials = self.sign(request.configuration, &token.found, &keys, &rows)?;
        Ok(IssuedCredentials { credentials, notification_id })
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

    /// Proves all keys of a request, which share one live nonce and are all different.
    fn prove(
        &self,
        proofs: &[String],
        wallet_client: Option<&str>,
        now: UnixSeconds,
    ) -> Result<(Vec<PublicKey>, String), Refusal> {
        let mut keys: Vec<PublicKey> = Vec::with_capacity(proofs.len());
        let mut nonce: Option<String> = None;
        for proof in proofs {
            let proof = Proof::verify(proof, &self.config.public_url, wallet_client, now)
                .map_err(|error| Refusal::InvalidProof(error.to_string()))?;
            if nonce.as_ref().is_some_and(|nonce| *nonce != proof.nonce) {
                return Err(Refusal::InvalidProof("all proofs of a request carry the same nonce".into()));
            }
            if keys.contains(&proof.key) {
                return Err(Refusal::InvalidProof("all proofs of a request are by different keys".into()));
            }
            nonce = Some(proof.nonce);
            keys.push(proof.key);
        }
        let nonce = nonce.ok_or_else(|| Refusal::InvalidProof("proofs is missing".into()))?;
        self.nonces.check(&nonce, now).ok_or(Refusal::InvalidNonce)?;
        Ok((keys, nonce))
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
