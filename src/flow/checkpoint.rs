//! What checkpoints carry: the status snapshot and its deltas, the names of agencies, the rules of gates. A document is
//! signed again when what it is made from has changed, or when half its time to live is over, so a withdrawal is in the
//! next answer of every process; of two processes at once, one chooses the version.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::Stream;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::{Service, hash};
use crate::clock::{DAY_SECONDS, UnixSeconds};
use crate::credential::Signer;
use crate::credential::agencies::{AGENCIES, AgencyNames};
use crate::credential::gate::{GATE, SignedGate};
use crate::credential::signed::Term;
use crate::credential::snapshot::{DELTA, Delta, ListState, SNAPSHOT, Snapshot};
use crate::credential::status_list::{Bits, StatusList};
use crate::error::{Fault, Refusal, Result};
use crate::model::agency::agencies;
use crate::model::calendar::day_of;
use crate::store::{Document, DocumentHead, StatusList as StoredList};

/// Versions of the snapshot that are kept; a delta starts from one of them.
pub const KEPT_SNAPSHOTS: i64 = 128;
/// Versions of any other document that are kept.
const KEPT_DOCUMENTS: i64 = 8;
/// Two processes may publish at once; more often than this something is wrong.
const PUBLISH_ATTEMPTS: usize = 8;
/// How far two clocks may differ.
const CLOCK_SKEW_SECONDS: i64 = 60;
/// Names of agencies change seldom, and old ones do no harm.
const AGENCIES_TTL_SECONDS: i64 = 7 * DAY_SECONDS;
const AGENCIES_LIFETIME_SECONDS: i64 = 90 * DAY_SECONDS;
/// For how long the names are taken as they were read: the table is large.
const AGENCIES_LOOK_SECONDS: i64 = 60;
/// Snapshots that this process has at hand.
const HELD_SNAPSHOTS: usize = 8;
/// Checkpoints that listen for changes at the same time in one process.
const LISTENERS: usize = 2_048;
/// How long one listens before it has to come again: a stop need not wait for longer than that, and a dead one is noticed.
const LISTEN: Duration = Duration::from_mins(5);
/// How often the versions are looked up, once for all who listen.
const LOOK: Duration = Duration::from_secs(1);
/// How often a listener looks at the rules of its own gate: they change seldom, and each listener asks for itself.
const LOOK_AT_GATE: Duration = Duration::from_secs(5);

const STATUSES: &str = "statuses";
const NAMES: &str = "agencies";

/// A signed document, ready to be served.
#[derive(Clone, Debug)]
pub struct CheckpointDocument {
    /// Its version.
    pub version: i64,
    /// The signed object.
    pub bytes: Arc<Vec<u8>>,
    /// Its media type.
    pub media_type: &'static str,
    /// When it was signed.
    pub issued_at: UnixSeconds,
    /// From when it is over.
    pub expires_at: UnixSeconds,
}

/// A signed object, shared.
type Bytes = Arc<Vec<u8>>;
/// What leads from one version to another; `None` where nothing does.
type Deltas = BTreeMap<(i64, i64), Option<Bytes>>;

/// What this process has at hand.
#[derive(Default)]
pub(super) struct Carried {
    building: tokio::sync::Mutex<()>,
    /// Lists as built, by number, with the version that is in them.
    lists: Mutex<HashMap<i64, (i64, Arc<StatusList>)>>,
    snapshots: Mutex<BTreeMap<i64, Arc<Snapshot>>>,
    deltas: Mutex<Deltas>,
    bytes: Mutex<HashMap<String, (i64, Bytes)>>,
    names: Mutex<Option<Named>>,
    /// What all who listen are told, and when it was looked up.
    told: tokio::sync::Mutex<Option<(Instant, Versions)>>,
    listeners: Listeners,
}

/// Names by code, as they were read, and what tells them from others.
#[derive(Clone)]
struct Named {
    read_at: UnixSeconds,
    names: Arc<BTreeMap<String, String>>,
    state: String,
}

struct Listeners(Arc<Semaphore>);

impl Default for Listeners {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LISTENERS)))
    }
}

/// The newest versions, as the stream of changes tells them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Versions {
    /// Of the trust list.
    #[serde(rename = "trust-list")]
    pub trust_list: i64,
    /// Of the status snapshot.
    pub statuses: i64,
    /// Of the names of agencies.
    pub agencies: i64,
    /// Of the gate's rules, for who named a gate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<i64>,
}

/// What the next snapshot follows, and the lists that it is made from.
type Due = (Option<DocumentHead>, Vec<StoredList>);

/// Numbers of lists and the versions of them that a snapshot holds.
fn state_of(lists: impl IntoIterator<Item = (i64, i64)>) -> String {
    lists.into_iter().map(|(id, version)| format!("{id}:{version}")).collect::<Vec<_>>().join(",")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Service {
    /// The status snapshot as of now.
    pub async fn status_snapshot(&self) -> Result<CheckpointDocument> {
        if let Ok(current) = self.current_snapshot().await? {
            return Ok(current);
        }
        // Those who come at the same time wait for one that is built once.
        let _alone = self.carried.building.lock().await;
        for _ in 0..PUBLISH_ATTEMPTS {
            let (newest, lists) = match self.current_snapshot().await? {
                Ok(current) => return Ok(current),
                Err(due) => due,
            };
            let mut built = Vec::with_capacity(lists.len());
            let mut states = Vec::with_capacity(lists.len());
            for list in &lists {
                let (version, statuses) = self.packed(list).await?;
                built.push((list.id, version));
                let entries = u32::try_from(list.size).map_err(|error| Fault::new("building the snapshot", error))?;
                states.push(ListState { uri: self.status_uri(list.id), entries, statuses });
            }
            let limits = &self.config.limits;
            let term = self.term(newest.as_ref(), limits.status_ttl_seconds, limits.status_lifetime_seconds);
            let snapshot = Snapshot { term, lists: states };
            let service = self.clone();
            let sealed = tokio::task::spawn_blocking(move || snapshot.seal(&*service.keys.status_eddsa));
            let bytes = sealed.await.map_err(|error| Fault::new("signing the snapshot", error))??;
            self.publish(STATUSES, state_of(built), &term, bytes, KEPT_SNAPSHOTS).await?;
        }
        Err(Fault::new("publishing the status snapshot", "other processes published other ones").into())
    }

    /// The newest snapshot if it holds what the lists hold now; else what the next one follows and is made from. They are
    /// read in this order: who knows version n and then reads the entries has all that version n has.
    async fn current_snapshot(&self) -> Result<Result<CheckpointDocument, Due>> {
        let newest = self.store.newest_document(STATUSES).await?;
        let mut lists = self.store.status_lists().await?;
        lists.retain(|list| list.purpose.is_carried());
        let state = state_of(lists.iter().map(|list| (list.id, list.version)));
        let ttl_seconds = self.config.limits.status_ttl_seconds;
        Ok(match newest {
            Some(head) if head.state == state && self.is_fresh(&head, ttl_seconds) => {
                Ok(self.held(STATUSES, SNAPSHOT.media_type, &head).await?)
            }
            newest => Err((newest, lists)),
        })
    }

    /// What leads from the snapshot `since` to the newest: `None` when they are the same, a delta where there is one, and
    /// the whole snapshot otherwise.
    pub async fn statuses_since(&self, since: i64) -> Result<Option<CheckpointDocument>> {
        let newest = self.status_snapshot().await?;
        if newest.version == since {
            return Ok(None);
        }
        let key = (since, newest.version);
        let held = lock(&self.carried.deltas).get(&key).cloned();
        let delta = if let Some(delta) = held {
            delta
        } else {
            let delta = self.delta(since, newest.version).await?.map(Arc::new);
            let mut deltas = lock(&self.carried.deltas);
            deltas.retain(|(_, to), _| *to == newest.version);
            // Versions that nobody ever had are not remembered: they would be without end.
            if (newest.version - KEPT_SNAPSHOTS..newest.version).contains(&since) {
                deltas.insert(key, delta.clone());
            }
            delta
        };
        Ok(Some(match delta {
            Some(bytes) if bytes.len() < newest.bytes.len() => {
                CheckpointDocument { bytes, media_type: DELTA.media_type, ..newest }
            }
            _ => newest,
        }))
    }

    async fn delta(&self, since: i64, to: i64) -> Result<Option<Vec<u8>>> {
        let (Some(from), Some(to)) = (self.snapshot_of(since).await?, self.snapshot_of(to).await?) else {
            return Ok(None);
        };
        let delta = Delta::between(&from, &to).map(|delta| delta.seal(&*self.keys.status_eddsa));
        // One that is too large after all is no delta.
        Ok(delta.and_then(Result::ok))
    }

    /// A snapshot that was published, while it is kept.
    async fn snapshot_of(&self, version: i64) -> Result<Option<Arc<Snapshot>>> {
        if let Some(held) = lock(&self.carried.snapshots).get(&version) {
            return Ok(Some(Arc::clone(held)));
        }
        let Some(bytes) = self.store.document(STATUSES, version).await? else { return Ok(None) };
        let key = self.keys.status_eddsa.public_key().clone();
        // One under a key that this process does not have any more: the whole snapshot serves.
        let Ok((snapshot, _)) = Snapshot::open(&bytes, |_| Some(key)) else { return Ok(None) };
        let snapshot = Arc::new(snapshot);
        let mut snapshots = lock(&self.carried.snapshots);
        snapshots.insert(version, Arc::clone(&snapshot));
        while snapshots.len() > HELD_SNAPSHOTS {
            snapshots.pop_first();
        }
        Ok(Some(snapshot))
    }

    /// The names of all agencies, by code.
    pub async fn agency_names(&self) -> Result<CheckpointDocument> {
        for _ in 0..PUBLISH_ATTEMPTS {
            let newest = self.store.newest_document(NAMES).await?;
            let Named { names, state, .. } = self.names().await?;
            if let Some(head) =
                newest.as_ref().filter(|head| head.state == state && self.is_fresh(head, AGENCIES_TTL_SECONDS))
            {
                return self.held(NAMES, AGENCIES.media_type, head).await;
            }
            let term = self.term(newest.as_ref(), AGENCIES_TTL_SECONDS, AGENCIES_LIFETIME_SECONDS);
            let service = self.clone();
            let seal = move || seal_names(term, &names, &*service.keys.status_eddsa);
            let sealed = tokio::task::spawn_blocking(seal).await;
            let bytes = sealed.map_err(|error| Fault::new("signing the agencies' names", error))??;
            self.publish(NAMES, state, &term, bytes, KEPT_DOCUMENTS).await?;
        }
        Err(Fault::new("publishing the agencies' names", "other processes published other ones").into())
    }

    async fn names(&self) -> Result<Named> {
        let now = self.clock.now();
        if let Some(named) = &*lock(&self.carried.names)
            && (0..AGENCIES_LOOK_SECONDS).contains(&(now - named.read_at))
        {
            return Ok(named.clone());
        }
        let day = day_of(now);
        let top = agencies().all().iter().filter(|agency| agency.valid_on(day));
        let top = top.filter_map(|agency| Some((agency.code.clone()?, agency.name_vi.clone())));
        let names: BTreeMap<_, _> = top.chain(self.store.unit_names().await?).collect();
        let state = hash(&[AgencyNames::lines(&names).as_bytes()]);
        let named = Named { read_at: now, names: Arc::new(names), state };
        *lock(&self.carried.names) = Some(named.clone());
        Ok(named)
    }

    /// The rules of a gate, also of a closed one.
    pub async fn gate_document(&self, id: &str) -> Result<CheckpointDocument> {
        let kind = format!("gate:{id}");
        for _ in 0..PUBLISH_ATTEMPTS {
            let newest = self.store.newest_document(&kind).await?;
            let gate = self.gate_row(id).await?;
            let state = gate.revision.to_string();
            let ttl_seconds = self.config.limits.status_ttl_seconds;
            if let Some(head) = newest.as_ref().filter(|head| head.state == state && self.is_fresh(head, ttl_seconds)) {
                return self.held(&kind, GATE.media_type, head).await;
            }
            let term = self.term(newest.as_ref(), ttl_seconds, self.config.limits.status_lifetime_seconds);
            let (name, policy) = Self::policy_of(&gate)?;
            let is_closed = gate.closed_at.is_some();
            let bytes = SignedGate { term, id: gate.id, name, policy, is_closed }.seal(&*self.keys.status_eddsa)?;
            self.publish(&kind, state, &term, bytes, KEPT_DOCUMENTS).await?;
        }
        Err(Fault::new("publishing a gate's rules", "other processes published other ones").into())
    }

    /// The newest versions, first as they are and then whenever one of them has changed.
    pub async fn checkpoint_changes(&self, gate: Option<String>) -> Result<impl Stream<Item = Versions> + use<>> {
        let place = Arc::clone(&self.carried.listeners.0)
            .try_acquire_owned()
            .map_err(|_| Refusal::Busy("checkpoints listen for changes"))?;
        let mut listener = Listener {
            service: self.clone(),
            gate,
            gate_seen: None,
            last: None,
            until: Instant::now() + LISTEN,
            _place: place,
        };
        // Who names a gate that there is not is told so.
        listener.versions().await?;
        Ok(futures_util::stream::unfold(listener, Listener::step))
    }

    /// The newest versions of what every checkpoint carries: looked up once in a while for all who ask, however many.
    async fn shared_versions(&self) -> Result<Versions> {
        let mut told = self.carried.told.lock().await;
        if let Some((at, versions)) = &*told
            && at.elapsed() < LOOK
        {
            return Ok(versions.clone());
        }
        let versions = Versions {
            trust_list: self.trust_list().await?.version,
            statuses: self.status_snapshot().await?.version,
            agencies: self.agency_names().await?.version,
            gate: None,
        };
        *told = Some((Instant::now(), versions.clone()));
        Ok(versions)
    }

    async fn packed(&self, list: &StoredList) -> Result<(i64, Arc<StatusList>)> {
        if let Some((version, statuses)) = lock(&self.carried.lists).get(&list.id)
            && *version >= list.version
        {
            return Ok((*version, Arc::clone(statuses)));
        }
        let doing = "building the snapshot";
        let entries = self.store.status_entries(list.id).await?;
        let size = u32::try_from(list.size).map_err(|error| Fault::new(doing, error))?;
        let others = entries.not_valid.iter().map(|(index, status)| Ok((u32::try_from(*index)?, *status)));
        let others: Vec<_> =
            others.collect::<Result<_, std::num::TryFromIntError>>().map_err(|error| Fault::new(doing, error))?;
        let statuses = StatusList::new(Bits::Two, size, others).map_err(|error| Fault::new(doing, error))?;
        let statuses = Arc::new(statuses);
        lock(&self.carried.lists).insert(list.id, (entries.version, Arc::clone(&statuses)));
        Ok((entries.version, statuses))
    }

    fn is_fresh(&self, head: &DocumentHead, ttl_seconds: i64) -> bool {
        let now = self.clock.now();
        now < head.issued_at + ttl_seconds / 2 && head.issued_at <= now + CLOCK_SKEW_SECONDS
    }

    /// The term of the next version.
    fn term(&self, newest: Option<&DocumentHead>, ttl_seconds: i64, lifetime_seconds: i64) -> Term {
        let now = self.clock.now();
        Term {
            version: newest.map_or(1, |head| head.version + 1).cast_unsigned(),
            issued_at: now,
            ttl_seconds,
            expires_at: now + lifetime_seconds,
        }
    }

    async fn publish(&self, kind: &str, state: String, term: &Term, bytes: Vec<u8>, keep: i64) -> Result<()> {
        let document = Document {
            kind: kind.to_owned(),
            version: term.version.cast_signed(),
            state,
            issued_at: term.issued_at,
            expires_at: term.expires_at,
            bytes,
        };
        self.store.publish_document(document, keep).await.map(|_| ())
    }

    /// A published document with its bytes, read once.
    async fn held(&self, kind: &str, media_type: &'static str, head: &DocumentHead) -> Result<CheckpointDocument> {
        let held = lock(&self.carried.bytes).get(kind).filter(|(version, _)| *version == head.version).cloned();
        let bytes = if let Some((_, bytes)) = held {
            bytes
        } else {
            let bytes = self.store.document(kind, head.version).await?;
            let bytes = bytes.ok_or_else(|| Fault::new("reading a checkpoint's document", "it is gone"))?;
            let bytes = Arc::new(bytes);
            // Rules of gates are small and many: they are read from the database each time.
            if !kind.starts_with("gate:") {
                lock(&self.carried.bytes).insert(kind.to_owned(), (head.version, Arc::clone(&bytes)));
            }
            bytes
        };
        let (issued_at, expires_at) = (head.issued_at, head.expires_at);
        Ok(CheckpointDocument { version: head.version, bytes, media_type, issued_at, expires_at })
    }
}

/// The names of as many agencies as a document holds: of all, or, when those are too many, of the national ones.
fn seal_names(term: Term, names: &BTreeMap<String, String>, signer: &dyn Signer) -> Result<Vec<u8>, Fault> {
    let names = names.clone();
    let all = AgencyNames { term, names };
    all.seal(signer).or_else(|fault| {
        tracing::error!(%fault, units = all.names.len(), "checkpoints get the names of level 1 only");
        let national = all.names.into_iter().filter(|(code, _)| !code.contains('.')).collect();
        AgencyNames { term, names: national }.seal(signer)
    })
}

/// One who listens for changes.
struct Listener {
    service: Service,
    gate: Option<String>,
    gate_seen: Option<(Instant, i64)>,
    last: Option<Versions>,
    until: Instant,
    _place: tokio::sync::OwnedSemaphorePermit,
}

impl Listener {
    async fn step(mut self) -> Option<(Versions, Self)> {
        loop {
            // A fault now may be none in a second; a listener whose gate is gone finds out when it comes again.
            let now = self.versions().await.ok()?;
            if self.last.as_ref() != Some(&now) {
                self.last = Some(now.clone());
                return Some((now, self));
            }
            if Instant::now() >= self.until {
                return None;
            }
            tokio::time::sleep_until(self.until.min(Instant::now() + LOOK)).await;
        }
    }

    async fn versions(&mut self) -> Result<Versions> {
        let shared = self.service.shared_versions().await?;
        let Some(gate) = self.gate.as_deref() else { return Ok(shared) };
        let version = match self.gate_seen {
            Some((at, version)) if at.elapsed() < LOOK_AT_GATE => version,
            _ => {
                let version = self.service.gate_document(gate).await?.version;
                self.gate_seen = Some((Instant::now(), version));
                version
            }
        };
        Ok(Versions { gate: Some(version), ..shared })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::test_key::TestKey;

    #[test]
    fn names_that_are_too_many_leave_the_national_ones() {
        let term = Term { version: 1, issued_at: 1, ttl_seconds: 1, expires_at: 9 };
        let unit = |number: u32| (format!("H26.{number}"), "x".repeat(1000));
        let mut names: BTreeMap<_, _> = (0..20_000).map(unit).collect();
        names.insert("H26".into(), "Tỉnh".into());
        let key = TestKey::new(1);
        let read = |bytes: &[u8]| AgencyNames::open(bytes, |_| Some(key.public_key().clone())).unwrap().0.names;
        let sealed = seal_names(term, &names, &key).unwrap();
        assert_eq!(read(&sealed), BTreeMap::from([("H26".to_owned(), "Tỉnh".to_owned())]));
        names.retain(|code, _| code.len() < 6);
        assert_eq!(read(&seal_names(term, &names, &key).unwrap()), names);
    }
}
