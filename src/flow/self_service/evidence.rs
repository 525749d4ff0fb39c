//! Evidence: looked at, encrypted, kept outside the database, given to the person and to reviewers of their unit.
//!
//! Each file has a key of its own, derived under the deployment's secret from its name; name and person are authenticated
//! with it, so that a file that is put in another's place does not open.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce, UnboundKey};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::sync::OwnedSemaphorePermit;
use zeroize::Zeroizing;

use super::{Official, Service};
use crate::clock::{DAY_SECONDS, UnixSeconds};
use crate::credential::nonce;
use crate::error::{Error, Fault, Refusal, Result};
use crate::flow::is_random_name;
use crate::model::evidence::{self, MediaType, Unacceptable};
use crate::model::id::PersonalNumber;
use crate::model::origin::HOLDER;
use crate::model::text::{is_invisible, normalised};
use crate::model::value::hex;
use crate::store::Evidence;

/// Longest name of a file, in characters.
const MAX_NAME: usize = 120;
/// Before this nothing was decided.
const NEVER: UnixSeconds = UnixSeconds::MIN;
/// Files that one round clears away.
const ROUND: i64 = 200;

/// A file as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct KeptEvidence {
    /// Its name, for proposals.
    #[schema(example = "pQ2bV9kX3mN7rT5wY8zA1c")]
    pub evidence: String,
    /// The file's name.
    #[schema(example = "giay-ket-hon.pdf")]
    pub name: String,
    /// By its content.
    #[schema(example = "application/pdf")]
    pub media_type: String,
    /// Bytes.
    pub size: i64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
    /// When it came (Unix seconds).
    pub created_at: UnixSeconds,
}

impl From<&Evidence> for KeptEvidence {
    fn from(evidence: &Evidence) -> Self {
        Self {
            evidence: evidence.id.clone(),
            name: evidence.name.clone(),
            media_type: evidence.media_type.clone(),
            size: evidence.size,
            sha256: evidence.sha256.clone(),
            created_at: evidence.created_at,
        }
    }
}

/// A file with its bytes.
pub struct EvidenceFile {
    /// What is known of it.
    pub about: Evidence,
    /// Its bytes in the clear.
    pub bytes: Zeroizing<Vec<u8>>,
}

/// A place for a file that is on its way, until it is dropped.
pub struct EvidencePlace(#[allow(dead_code)] OwnedSemaphorePermit);

/// The largest file that is read, in bytes.
pub fn read_limit(service: &Service) -> usize {
    service.config.self_service.evidence_file_bytes
}

impl Service {
    /// A place for a file of evidence: to be taken before its first byte is read.
    pub fn evidence_place(&self) -> Result<EvidencePlace, Refusal> {
        let places = Arc::clone(&self.own.evidence_places);
        places.try_acquire_owned().map(EvidencePlace).map_err(|_| Refusal::Busy("files of evidence"))
    }

    /// Keeps a file. Its kind is what is in it, whatever its name says.
    pub async fn keep_evidence(
        &self,
        official: &Official,
        _place: EvidencePlace,
        name: &str,
        bytes: Zeroizing<Vec<u8>>,
    ) -> Result<KeptEvidence> {
        let settings = &self.config.self_service;
        if bytes.len() > settings.evidence_file_bytes {
            return Err(Refusal::TooMuch(format!("a file may have {} bytes", settings.evidence_file_bytes)).into());
        }
        // Decoding a picture takes its time.
        let looked_at = tokio::task::spawn_blocking(move || (evidence::recognise(&bytes), bytes)).await;
        let (kind, bytes) = looked_at.map_err(|error| Fault::new("looking at evidence", error))?;
        let kind = kind.map_err(|why| Refusal::UnacceptableFile(sentence(why)))?;
        let (id, place) = (self.random_name(), self.random_name());
        let evidence = Evidence {
            name: file_name(name, kind),
            proposal: None,
            person: official.person.clone(),
            media_type: kind.name().to_owned(),
            size: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
            sha256: hex(&Sha256::digest(&*bytes)),
            place,
            created_at: self.clock.now(),
            id,
        };
        let sealed = self.seal_evidence(&evidence, bytes)?;
        // The row first: if we die here, nobody has heard its name, and it is cleared away with whatever is in its place.
        self.store.keep_evidence(evidence.clone(), settings.evidence_files, settings.evidence_bytes).await?;
        if let Err(fault) = self.own.files.put(&evidence.place, &sealed).await {
            self.discard(&evidence, NEVER).await?;
            return Err(fault.into());
        }
        Ok((&evidence).into())
    }

    /// One of the official's own files.
    pub async fn self_evidence(&self, official: &Official, id: &str) -> Result<EvidenceFile> {
        let about = self.own_evidence(official, id).await?;
        self.store.note_evidence_read(HOLDER, &about, self.clock.now()).await?;
        self.open_evidence(about).await
    }

    /// Takes back a file that is of no proposal.
    pub async fn self_remove_evidence(&self, official: &Official, id: &str) -> Result<()> {
        let about = self.own_evidence(official, id).await?;
        if self.discard(&about, NEVER).await? {
            return Ok(());
        }
        Err(Refusal::NotFound("evidence that is of no proposal yet").into())
    }

    /// A file beside a proposal, for a story that knows by what right the proposal is seen. Noted as a read, which the person
    /// sees.
    pub(in crate::flow) async fn evidence_beside(&self, actor: &str, proposal: &str, id: &str) -> Result<EvidenceFile> {
        let missing = || Error::from(Refusal::NotFound("evidence"));
        if !is_random_name(id) {
            return Err(missing());
        }
        let about = self.store.evidence(id).await?;
        let about = about.filter(|about| about.proposal.as_deref() == Some(proposal)).ok_or_else(missing)?;
        self.store.note_evidence_read(actor, &about, self.clock.now()).await?;
        self.open_evidence(about).await
    }

    /// Clears away files that came and were put beside nothing, and those of what was decided long ago. Returns how many.
    pub async fn clear_evidence(&self) -> Result<u64> {
        let (now, settings) = (self.clock.now(), &self.config.self_service);
        let decided = now - settings.decided_evidence_days * DAY_SECONDS;
        let mut cleared = 0;
        for one in self.store.evidence_to_clear(now - settings.unused_evidence_seconds, decided, ROUND).await? {
            match self.discard(&one, decided).await {
                Ok(is_gone) => cleared += u64::from(is_gone),
                // It keeps its row and comes again; the others go.
                Err(error) => tracing::error!(%error, "a file of evidence could not be removed"),
            }
        }
        Ok(cleared)
    }

    /// Removes a file and then its row, so that what is on the disk always has one; `false` when a proposal has it that was
    /// not decided before `decided`.
    async fn discard(&self, evidence: &Evidence, decided: UnixSeconds) -> Result<bool> {
        // A proposal may take it at the same moment: whoever is first has it.
        if !self.store.let_go_of_evidence(&evidence.id, decided).await? {
            return Ok(false);
        }
        self.own.files.remove(&evidence.place).await?;
        self.store.forget_evidence(evidence, self.clock.now()).await?;
        Ok(true)
    }

    async fn own_evidence(&self, official: &Official, id: &str) -> Result<Evidence> {
        let missing = || Error::from(Refusal::NotFound("evidence"));
        if !is_random_name(id) {
            return Err(missing());
        }
        self.store.evidence(id).await?.filter(|about| about.person == official.person).ok_or_else(missing)
    }

    async fn open_evidence(&self, about: Evidence) -> Result<EvidenceFile> {
        let doing = "opening evidence";
        let most = u64::try_from(about.size).unwrap_or(0) + (NONCE_LEN + MAX_TAG_LEN) as u64;
        let sealed = self.own.files.get(&about.place, most).await?;
        let sealed = sealed.ok_or_else(|| Fault::new(doing, "its file is gone"))?;
        let wrong = || Fault::new(doing, "its file is damaged, of another place, or the secret is another one");
        let (iv, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or_else(wrong)?;
        let iv = Nonce::try_assume_unique_for_key(iv).map_err(|_| wrong())?;
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let key = self.evidence_key(&about.id)?;
        let opened = key.open_in_place(iv, Aad::from(bound(&about.id, &about.person)), &mut bytes);
        let length = opened.map_err(|_| wrong())?.len();
        bytes.truncate(length);
        if hex(&Sha256::digest(&*bytes)) != about.sha256 {
            return Err(wrong().into());
        }
        Ok(EvidenceFile { about, bytes })
    }

    fn seal_evidence(&self, evidence: &Evidence, mut bytes: Zeroizing<Vec<u8>>) -> Result<Vec<u8>, Fault> {
        let iv = self.chance.bytes::<NONCE_LEN>();
        let bound = Aad::from(bound(&evidence.id, &evidence.person));
        self.evidence_key(&evidence.id)?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(iv), bound, &mut *bytes)
            .map_err(|_| Fault::new("sealing evidence", "the cipher refused"))?;
        Ok([&iv[..], &bytes].concat())
    }

    fn evidence_key(&self, id: &str) -> Result<LessSafeKey, Fault> {
        let key = Zeroizing::new(nonce::derive(&self.keys.secret, "file of evidence", &[id.as_bytes()]));
        let key = UnboundKey::new(&AES_256_GCM, &*key);
        Ok(LessSafeKey::new(key.map_err(|_| Fault::new("deriving a key", "the cipher refused it"))?))
    }
}

/// What is authenticated with a file: whose it is.
fn bound(id: &str, person: &PersonalNumber) -> Vec<u8> {
    [id.as_bytes(), b"\n", person.expose().as_bytes()].concat()
}

/// A name that can be shown and saved: no folders, nothing invisible, and an end that tells the truth.
fn file_name(name: &str, kind: MediaType) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let shown: String = normalised(last)
        .chars()
        .filter(|character| !is_invisible(*character) && !"\"<>|:*?;%".contains(*character))
        .collect();
    let stem = shown.rsplit_once('.').map_or(shown.as_str(), |(stem, _)| stem).trim_matches(['.', ' ']);
    let stem: String = stem.chars().take(MAX_NAME).collect();
    format!("{}.{}", if stem.is_empty() { "evidence" } else { &stem }, kind.extension())
}

fn sentence(why: Unacceptable) -> &'static str {
    match why {
        Unacceptable::Kind => "the file is not a JPEG, PNG or PDF",
        Unacceptable::Damaged => "the file is damaged, or something is behind its end",
        Unacceptable::TooLarge => "the picture is too large",
        Unacceptable::Active => "the PDF holds scripts or actions; print it to a plain PDF",
        Unacceptable::Carries => "the PDF holds other files; send them by themselves",
        Unacceptable::Opaque => "the PDF is encrypted or packed in an unusual way; print it to a plain PDF",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_tell_the_truth_about_the_file() {
        for (name, shown) in [
            ("Giấy kết hôn.pdf", "Giấy kết hôn.pdf"),
            ("photo.pdf.exe", "photo.pdf.pdf"),
            ("../../etc/passwd", "passwd.pdf"),
            ("C:\\Users\\a\\b.PDF", "b.pdf"),
            ("", "evidence.pdf"),
            ("...", "evidence.pdf"),
            ("a\u{202e}fdp.exe", "afdp.pdf"),
            ("a\r\nSet-Cookie: x=\"1\".pdf", "aSet-Cookie x=1.pdf"),
        ] {
            assert_eq!(file_name(name, MediaType::Pdf), shown, "{name}");
        }
        assert_eq!(file_name(&"a".repeat(500), MediaType::Png).len(), MAX_NAME + 4);
    }

    proptest! {
        #[test]
        fn no_name_leads_anywhere(name in "\\PC{0,200}|[a-z./\\\\\\r\\n\"]{0,40}") {
            let shown = file_name(&name, MediaType::Jpeg);
            prop_assert!(!shown.contains(['/', '\\', '"', '\r', '\n']));
            prop_assert_eq!(shown.rsplit('.').next(), Some("jpg"));
        }
    }
}
