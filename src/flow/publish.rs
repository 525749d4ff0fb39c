//! What verifiers fetch: status lists, the trust list, and both together for a checkpoint without network.
//!
//! A list is rebuilt when its version in the database has grown, so a withdrawal is visible in the next answer of every
//! process, and re-signed when its `ttl` is over, long before its `exp`.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::{Service, hash};
use crate::clock::UnixSeconds;
use crate::credential::jws;
use crate::credential::status_list::{Bits, StatusList, StatusListToken};
use crate::credential::trust_list::{self, Purpose, TrustList, TrustedKey};
use crate::credential::x509::{Anchors, Use};
use crate::credential::{Signer, x509};
use crate::error::{Fault, Refusal, Result};
use crate::model::value::hex;
use crate::store::{PublishedList, StatusList as StoredList};

/// Two processes may publish at once; more often than this something is wrong.
const PUBLISH_ATTEMPTS: usize = 8;
/// How far two clocks may differ.
const CLOCK_SKEW_SECONDS: i64 = 60;

/// The two forms of a status list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatusFormat {
    /// `application/statuslist+jwt`.
    Jwt,
    /// `application/statuslist+cwt`.
    Cwt,
}

impl StatusFormat {
    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jwt => "application/statuslist+jwt",
            Self::Cwt => "application/statuslist+cwt",
        }
    }
}

/// A signed status list, ready to be served.
#[derive(Debug)]
pub struct PublishedStatusList {
    /// The token.
    pub bytes: Vec<u8>,
    /// The token under gzip; only for the JWT, whose base64 it takes back.
    pub gzip: Option<Vec<u8>>,
    /// Names these bytes, without quotation marks.
    pub etag: String,
    /// When it was signed.
    pub issued_at: UnixSeconds,
    version: i64,
}

/// Signed lists by number and form, and the trust list as read.
#[derive(Default)]
pub(super) struct Published {
    lists: Mutex<HashMap<(i64, StatusFormat), Arc<PublishedStatusList>>>,
    building: tokio::sync::Mutex<()>,
    trust: Mutex<Option<(Vec<u8>, Arc<TrustList>)>>,
}

impl Service {
    /// The address of a status list.
    pub(super) fn status_uri(&self, list: i64) -> String {
        format!("{}/s/{list}", self.config.public_url)
    }

    /// The addresses of all status lists (aggregation, section 9 of the draft).
    pub async fn status_list_uris(&self) -> Result<Vec<String>, Fault> {
        Ok(self.store.status_lists().await?.iter().map(|list| self.status_uri(list.id)).collect())
    }

    /// A status list as of now.
    pub async fn status_list(&self, id: i64, format: StatusFormat) -> Result<Arc<PublishedStatusList>> {
        let stored = self.store.status_list(id).await?.ok_or(Refusal::NotFound("status list"))?;
        let version = stored.version;
        if let Some(current) = self.cached(id, format, version) {
            return Ok(current);
        }
        let _alone = self.published.building.lock().await;
        if let Some(current) = self.cached(id, format, version) {
            return Ok(current);
        }
        let list = Arc::new(self.sign_status_list(&stored, format).await?);
        let mut lists = self.published.lists.lock().unwrap_or_else(PoisonError::into_inner);
        lists.insert((id, format), Arc::clone(&list));
        Ok(list)
    }

    /// What must be well before this process may serve: the database answers, the certificates are valid, the trust
    /// list and the status lists are not over.
    pub async fn readiness(&self) -> Vec<(&'static str, bool)> {
        let now = self.clock.now();
        let keys = &self.keys;
        let certified = |(signer, purpose, anchors): (&dyn Signer, Use, &Anchors)| {
            anchors.check(signer.certificates(), purpose, now).is_ok()
        };
        let keys = keys.certified().into_iter().all(certified);
        let trust_list = self.trust_list().await.is_ok_and(|list| now < list.expires_at);
        let lists = match self.store.status_lists().await {
            Ok(lists) => {
                let mut fine = true;
                for list in lists {
                    let served = self.status_list(list.id, StatusFormat::Jwt).await;
                    let lifetime = self.config.limits.status_lifetime_seconds;
                    fine &= served.is_ok_and(|list| now < list.issued_at + lifetime);
                }
                fine
            }
            Err(_) => false,
        };
        vec![
            ("database", self.store.ping().await.is_ok()),
            ("keys", keys),
            ("trust_list", trust_list),
            ("status_lists", lists),
        ]
    }

    /// Signs again what is due, so that no verifier waits for it.
    pub async fn refresh_published(&self) -> Result<()> {
        self.open_lists_ahead().await?;
        self.trust_list().await?;
        self.store.carry_lists_of_codes(self.clock.now()).await?;
        self.status_snapshot().await?;
        self.agency_names().await?;
        for list in self.store.status_lists().await? {
            self.status_list(list.id, StatusFormat::Jwt).await?;
            self.status_list(list.id, StatusFormat::Cwt).await?;
        }
        Ok(())
    }

    fn cached(&self, id: i64, format: StatusFormat, version: i64) -> Option<Arc<PublishedStatusList>> {
        let lists = self.published.lists.lock().unwrap_or_else(PoisonError::into_inner);
        let list = lists.get(&(id, format))?;
        let due = list.issued_at + self.config.limits.status_ttl_seconds / 2;
        (list.version >= version && self.clock.now() < due).then(|| Arc::clone(list))
    }

    async fn sign_status_list(&self, stored: &StoredList, format: StatusFormat) -> Result<PublishedStatusList> {
        let (id, size) = (stored.id, stored.size);
        let entries = self.store.status_entries(id).await?;
        let issued_at = self.clock.now();
        let service = self.clone();
        let signed = tokio::task::spawn_blocking(move || -> Result<_, Fault> {
            let doing = "building a status list";
            let size = u32::try_from(size).map_err(|error| Fault::new(doing, error))?;
            let others = entries.not_valid.iter().map(|(index, status)| Ok((u32::try_from(*index)?, *status)));
            let others: Vec<_> =
                others.collect::<Result<_, std::num::TryFromIntError>>().map_err(|error| Fault::new(doing, error))?;
            let mut list =
                StatusList::new(Bits::Two, size, others).map_err(|error| Fault::new(doing, error))?.compress();
            list.aggregation_uri = Some(format!("{}/s", service.config.public_url));
            let token = StatusListToken {
                uri: service.status_uri(id),
                issued_at,
                expires_at: Some(issued_at + service.config.limits.status_lifetime_seconds),
                ttl_seconds: Some(service.config.limits.status_ttl_seconds),
                list,
            };
            let (bytes, gzip) = match format {
                StatusFormat::Cwt => (token.to_cwt(&*service.keys.status_eddsa)?, None),
                StatusFormat::Jwt => {
                    let jwt = service.status_jwt(&token)?;
                    let gzip = gzip(&jwt).map_err(|error| Fault::new(doing, error))?;
                    (jwt, Some(gzip))
                }
            };
            Ok((entries.version, bytes, gzip))
        });
        let (version, bytes, gzip) = signed.await.map_err(|error| Fault::new("building a status list", error))??;
        let etag = hash(&[&bytes])[..22].to_owned();
        Ok(PublishedStatusList { bytes, gzip, etag, issued_at, version })
    }

    /// The JWT carries `x5c` for HAIP and `jwk` for the plain profile of the conformance suite.
    fn status_jwt(&self, token: &StatusListToken) -> Result<Vec<u8>, Fault> {
        let signer: &dyn Signer = &*self.keys.status_es256;
        let header = jws::header(
            signer,
            "statuslist+jwt",
            json!({"x5c": jws::x5c(signer), "jwk": signer.public_key().to_jwk()}),
        );
        Ok(jws::sign(signer, &header, token.to_jwt_claims().to_string().as_bytes())?.into_bytes())
    }

    /// The trust list in force. A new version is published when it lacks one of our keys, when half its life is over, or
    /// when it is dated ahead of the clock. Keys of the list before stay in it until they end or are retired, so processes
    /// with different keys (a rotation under way) agree on one list.
    pub async fn trust_list(&self) -> Result<PublishedList> {
        let now = self.clock.now();
        let own = self.trusted_keys()?;
        let minimum_edition = self.config.checkpoint_minimum_edition;
        for _ in 0..PUBLISH_ATTEMPTS {
            let newest = self.store.newest_trust_list().await?;
            // One that is under another root is no list of ours any more, but its version counts.
            let known = newest.as_ref().and_then(|list| self.read_trust_list(&list.bytes).ok());
            let mut keys: Vec<_> =
                known.iter().flat_map(|list| &list.keys).filter(|key| !self.is_retired(key)).cloned().collect();
            let as_before = known.as_ref().is_some_and(|list| list.keys.len() == keys.len());
            keys.retain(|key| now < key.valid_until && !own.iter().any(|own| own.key == key.key));
            keys.extend(own.iter().filter(|key| !self.is_retired(key)).cloned());
            if let (Some(list), Some(known)) = (newest.as_ref(), &known)
                && as_before
                && known.minimum_edition == minimum_edition
                && own.iter().all(|own| known.keys.contains(own) || self.is_retired(own))
                && now < i64::midpoint(list.issued_at, list.expires_at)
                && list.issued_at <= now + CLOCK_SKEW_SECONDS
            {
                return Ok(list.clone());
            }
            let version = newest.map_or(1, |list| list.version + 1);
            let expires_at = now + self.config.limits.trust_list_lifetime_seconds;
            let version_number = version.cast_unsigned();
            let list = TrustList { version: version_number, issued_at: now, expires_at, keys, minimum_edition };
            let bytes = list.seal(&*self.keys.list)?;
            self.store.publish_trust_list(PublishedList { version, issued_at: now, expires_at, bytes }).await?;
        }
        Err(Fault::new("publishing the trust list", "other processes published other lists").into())
    }

    /// Reads a trust list of our own; the last one is kept as read.
    pub(super) fn read_trust_list(&self, bytes: &[u8]) -> Result<Arc<TrustList>, Fault> {
        let mut last = self.published.trust.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((read, list)) = last.as_ref()
            && read == bytes
        {
            return Ok(Arc::clone(list));
        }
        let now = self.clock.now();
        let list = TrustList::accept(None, bytes, |chain| self.keys.anchors.check(chain, Use::TrustList, now))
            .map_err(|error| Fault::new("reading our own trust list", error))?;
        let list = Arc::new(list);
        *last = Some((bytes.to_vec(), Arc::clone(&list)));
        Ok(list)
    }

    /// Whether the operator has retired the key.
    fn is_retired(&self, key: &TrustedKey) -> bool {
        let name = hex(&key.key_id);
        self.config.retired_keys.iter().any(|retired| retired.eq_ignore_ascii_case(&name))
    }

    /// The media type of the trust list.
    pub fn trust_list_media_type(&self) -> &'static str {
        trust_list::MEDIA_TYPE
    }

    fn trusted_keys(&self) -> Result<Vec<TrustedKey>, Fault> {
        let trusted = |signer: &dyn Signer, purpose, agencies: &[&str], status_lists: &[String]| {
            let certificate = signer.certificates().first().map(Vec::as_slice).unwrap_or_default();
            let (valid_from, valid_until) =
                x509::validity(certificate).map_err(|error| Fault::new("reading a certificate", error))?;
            Ok(TrustedKey {
                key_id: TrustedKey::key_id_of(signer.public_key()),
                key: signer.public_key().clone(),
                issuer: self.config.public_url.clone(),
                valid_from,
                valid_until,
                purposes: vec![purpose],
                agencies: agencies.iter().map(|agency| (*agency).to_owned()).collect(),
                status_lists: status_lists.to_vec(),
            })
        };
        let lists = [format!("{}/s/", self.config.public_url)];
        // The empty agency stands for the whole nation.
        Ok(vec![
            trusted(&*self.keys.issuer_es256, Purpose::Issuer, &[""], &lists)?,
            trusted(&*self.keys.issuer_eddsa, Purpose::Issuer, &[""], &lists)?,
            trusted(&*self.keys.qr, Purpose::Issuer, &[""], &lists)?,
            trusted(&*self.keys.status_eddsa, Purpose::Status, &[], &lists)?,
        ])
    }

    /// The public keys that sign QR cards and CWT status lists, as a JWK Set for readers of claim 169.
    pub fn jwks(&self) -> Value {
        let keys = &self.keys;
        let signers = [&keys.qr, &keys.status_eddsa, &keys.issuer_es256, &keys.issuer_eddsa, &keys.status_es256];
        json!({"keys": signers.map(|signer| public_jwk(&**signer))})
    }

    /// All that a checkpoint needs to verify without network: trust list and status lists; those of the credentials that
    /// are shown online only where they are `wanted`.
    pub async fn bundle(&self, wanted: bool) -> Result<super::Bundle> {
        let trust_list = self.trust_list().await?.bytes;
        let mut lists = self.store.status_lists().await?;
        lists.retain(|list| wanted || list.purpose.is_carried());
        let mut status_lists = Vec::new();
        for list in lists {
            let token = self.status_list(list.id, StatusFormat::Cwt).await?;
            status_lists.push((self.status_uri(list.id), token.bytes.clone()));
        }
        Ok(super::Bundle::new(&self.templates.vct, self.clock.now(), trust_list, status_lists))
    }
}

/// The public key of a signer, by the `kid` of our trust list.
pub(super) fn public_jwk(signer: &dyn Signer) -> Value {
    let mut jwk = signer.public_key().to_jwk();
    jwk["kid"] = json!(hex(&TrustedKey::key_id_of(signer.public_key())));
    jwk["alg"] = json!(signer.algorithm().jose_name());
    jwk["use"] = json!("sig");
    jwk["x5c"] = jws::x5c(signer);
    jwk
}

fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(bytes)?;
    encoder.finish()
}
