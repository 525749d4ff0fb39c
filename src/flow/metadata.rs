//! The issuer's metadata as documents: plain or signed (OpenID4VCI 1.0 section 12.2.3), in the languages that were asked
//! for, each made once a day; and the keys of the issuer (SD-JWT VC section 4).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::publish::public_jwk;
use super::{Service, hash};
use crate::clock::{DAY_SECONDS, UnixSeconds};
use crate::credential::{Signer, jws};
use crate::error::Fault;
use crate::protocol::display::{Language, in_languages};

/// How long signed metadata is valid. It is signed again every day, so at least a day is left of what is served.
const SIGNED_DAYS: i64 = 2;

/// The two forms of the metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MetadataForm {
    /// `application/json`.
    Json,
    /// `application/jwt`.
    Jwt,
}

impl MetadataForm {
    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Jwt => "application/jwt",
        }
    }
}

/// A document ready to be served.
#[derive(Debug)]
pub struct MetadataDocument {
    /// The body.
    pub bytes: Vec<u8>,
    /// Its entity tag as it stands in the header. Weak for what is signed: every process signs for itself.
    pub etag: String,
    day: UnixSeconds,
}

/// The documents by form and languages: there are no more of them than ways to order two languages.
#[derive(Default)]
pub(super) struct Documents(Mutex<HashMap<Place, Arc<MetadataDocument>>>);

type Place = (MetadataForm, Vec<Language>);

impl Service {
    /// The issuer's metadata in this form, its display texts in these languages in this order.
    pub fn metadata_document(
        &self,
        form: MetadataForm,
        languages: &[Language],
    ) -> Result<Arc<MetadataDocument>, Fault> {
        let now = self.clock.now();
        // The day tells nothing of who asked when (and a document of a day can be compared with another's).
        let day = now - now.rem_euclid(DAY_SECONDS);
        let place = (form, languages.to_vec());
        let documents = || self.documents.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(document) = documents().get(&place).filter(|document| document.day == day) {
            return Ok(Arc::clone(document));
        }
        let mut metadata = self.issuer_metadata();
        in_languages(&mut metadata, languages);
        let document = match form {
            MetadataForm::Json => {
                let bytes = metadata.to_string().into_bytes();
                MetadataDocument { etag: format!("\"{}\"", &hash(&[&bytes])[..22]), bytes, day }
            }
            MetadataForm::Jwt => self.sign_metadata(metadata, day)?,
        };
        let document = Arc::new(document);
        documents().insert(place, Arc::clone(&document));
        Ok(document)
    }

    fn sign_metadata(&self, mut metadata: Value, day: UnixSeconds) -> Result<MetadataDocument, Fault> {
        let issuer = &self.config.public_url;
        for (name, value) in [
            ("iss", json!(issuer)),
            ("sub", json!(issuer)),
            ("iat", json!(day)),
            ("exp", json!(day + SIGNED_DAYS * DAY_SECONDS)),
        ] {
            metadata[name] = value;
        }
        let signer: &dyn Signer = &*self.keys.metadata;
        let header = jws::header(signer, "openidvci-issuer-metadata+jwt", json!({"x5c": jws::x5c(signer)}));
        let payload = metadata.to_string();
        let etag = format!("W/\"{}\"", &hash(&[payload.as_bytes()])[..22]);
        Ok(MetadataDocument { bytes: jws::sign(signer, &header, payload.as_bytes())?.into_bytes(), etag, day })
    }

    /// JWT VC issuer metadata: the keys that sign the SD-JWT VCs, for verifiers that look them up by `iss` and `kid`.
    /// Whoever follows HAIP takes the chain in `x5c` instead.
    pub fn vc_issuer_metadata(&self) -> Value {
        let keys = [&self.keys.issuer_es256, &self.keys.issuer_eddsa].map(|signer| public_jwk(&**signer));
        json!({"issuer": self.config.public_url, "jwks": {"keys": keys}})
    }
}
