//! The one way in: whatever brings a record — a unit's system, a form, the official, a reorganisation — ends here.
//!
//! ```text
//! record → what is there now → only what is due: a version   (carries the population match over, or has it asked again)
//!                            → what holds from a later day: a waiting change (the fields that change, on their day)
//!        → all of a call in one transaction, or nothing
//! ```
//!
//! A status (resigned, retired…) whose date lies ahead waits for that date, while everything else that the record says
//! holds at once; `effective_on` makes the whole change wait. On its day a change is made to what the record says then:
//! fields that somebody else changed meanwhile are a conflict, which is shown and decided by the unit, never overwritten.
//! The consequences for cards are [`super::follow`].

use std::collections::BTreeSet;

use time::Date;

use super::{Caller, Service};
use crate::chance::Chance;
use crate::clock::{Clock, UnixSeconds};
use crate::error::{Error, Fault, Refusal, Result};
use crate::model::calendar::{day_of, start_of};
use crate::model::card::Reason;
use crate::model::catalogue::Catalogue;
use crate::model::id::Handle;
use crate::model::origin::{Origin, Way};
use crate::model::partial_date::PartialDate;
use crate::model::patch::Patch;
use crate::model::record::{Record, RecordKey};
use crate::store::{CardStep, IncomingRecord, NewWaiting, Store, StoredRecord, TakenBack, VersionWrite, Waiting};

/// The fields that say whether somebody is in service, and from when.
const STATUS_FIELDS: [&str; 2] = ["employment_status", "employment_status_date"];
/// How far ahead a change may lie, in days: five years, the longest term.
pub const MOST_DAYS_AHEAD: i64 = 5 * 366;
/// How often a call is made again that somebody else was in the way of.
const ATTEMPTS: usize = 5;
/// Waiting changes taken up by one round.
const ROUND: i64 = 500;
/// Faults after which a round ends: it is then not the changes.
const MOST_FAULTS: usize = 100;

/// A record that comes in.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// All that it says, as read by its catalogue's rules.
    pub record: Record,
    /// What has to be there.
    pub expects: Expects,
    /// The day from which it holds, if that is not today.
    pub effective_on: Option<Date>,
    /// Who gives the unit's word with it.
    pub confirmed_by: Option<String>,
    /// What the sender says in it.
    pub says: Says,
}

/// What a sender says of a record; the rest is what was there, put beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// All of it.
    All,
    /// These fields and lists.
    Fields(BTreeSet<String>),
}

impl Says {
    /// What a row of a file says.
    pub(super) fn of_row(row: &IncomingRecord) -> Result<Self, Fault> {
        Ok(row.said()?.map_or(Self::All, Self::Fields))
    }

    /// Whether who says this by that way ends what waits: it comes now, or its status is said otherwise.
    pub(super) fn ends(&self, waiting: &Waiting, way: Way) -> bool {
        waiting.origin.way == way && (waiting.base_version == 0 || self.takes_back(waiting))
    }

    fn field(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Fields(names) => names.contains(name),
        }
    }

    /// Whether a sender who says this takes back what waits: its status, with which nothing else was to change.
    fn takes_back(&self, waiting: &Waiting) -> bool {
        let is_status = |field: &str| STATUS_FIELDS.contains(&field);
        self.field(STATUS_FIELDS[0]) && waiting.patch.fields().all(is_status)
    }
}

/// What has to be there for a record to come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expects {
    /// Nothing.
    New,
    /// The record, at whatever version.
    Existing,
    /// The record at this version.
    Version(i64),
    /// The record at this version at another place, from which this moves it.
    Elsewhere {
        /// Where it stands.
        key: RecordKey,
        /// The version.
        version: i64,
    },
    /// Either.
    Any,
}

/// What became of a record that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    /// It was not there.
    New,
    /// It has a new version.
    Changed,
    /// It was there, the same.
    Unchanged,
    /// Nothing holds before that day.
    Waiting {
        /// The day.
        on: Date,
    },
}

/// A record that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The record.
    pub handle: Handle,
    /// The version that is in force now; 0 for a record that is still to come.
    pub version: i64,
    /// What became of it.
    pub became: Became,
}

impl Service {
    /// Takes records in, all or none.
    ///
    /// # Errors
    ///
    /// [`Refusal::RecordExists`], [`Refusal::NotFound`] or [`Refusal::MovedOn`] where something else is there than was
    /// expected; [`Refusal::Malformed`] for a day that is too far ahead.
    pub async fn receive(&self, origin: &Origin, incoming: Vec<Incoming>) -> Result<Vec<Received>> {
        receive(&self.store, &self.clock, &self.chance, origin, &incoming).await
    }

    /// Takes a record back, as its unit says: it is kept, and its cards are withdrawn.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`] when there is none.
    pub async fn remove_record(&self, origin: &Origin, key: &RecordKey) -> Result<Handle> {
        for _ in 0..ATTEMPTS {
            let found = self.store.record(key).await?.filter(|stored| stored.removed_at.is_none());
            let stored = found.ok_or(Refusal::NotFound("record"))?;
            let (record, version, now) = (&stored.handle, stored.version, self.clock.now());
            match self.store.remove_record(record, version, origin, Reason::IssuedInError, now).await {
                Err(Error::Refusal(Refusal::MovedOn(_))) => {}
                done => return done.map(|()| stored.handle),
            }
        }
        Err(Refusal::MovedOn("record").into())
    }

    /// Acts on the changes whose day has come. Returns how many were acted on.
    pub async fn act_on_waiting(&self) -> Result<u64> {
        let (mut acted, mut faults) = (0, Vec::new());
        for waiting in self.store.due_changes(self.clock.now(), ROUND).await? {
            match self.act_on(&waiting).await {
                Ok(is_done) => acted += u64::from(is_done),
                // One that cannot be made keeps no other from its day.
                Err(error) => {
                    tracing::error!(%error, change = waiting.id, "a waiting change could not be made");
                    faults.push(error);
                    if faults.len() >= MOST_FAULTS {
                        break;
                    }
                }
            }
        }
        faults.pop().map_or(Ok(acted), Err)
    }

    /// Cancels a change that waits.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`] for a change that the caller may not see, [`Refusal::Gone`] for one that does not wait any
    /// more.
    pub async fn cancel_change(&self, caller: &Caller, id: &str) -> Result<()> {
        caller.needs("records:confirm")?;
        let found = self.store.waiting_change(id).await?.filter(|waiting| caller.sees(&waiting.key.unit));
        let waiting = found.ok_or(Refusal::NotFound("change"))?;
        let now = self.clock.now();
        if self.store.end_waiting(&waiting.id, "cancelled", &caller.name, String::new(), now).await? {
            Ok(())
        } else {
            Err(Refusal::Gone("change").into())
        }
    }

    async fn act_on(&self, waiting: &Waiting) -> Result<bool> {
        let now = self.clock.now();
        for _ in 0..ATTEMPTS {
            // By its name: it may have gone to another unit since. One to come is known by its key alone.
            let current = match self.store.record_named(&waiting.record).await? {
                None => self.store.record(&waiting.key).await?,
                named => named,
            };
            let there = current.as_ref().filter(|stored| stored.removed_at.is_none());
            let base = there.map_or_else(|| empty(&waiting.catalogue), |stored| Ok(stored.record.clone()))?;
            let conflicts = match there {
                // Of one to come, too: somebody may have brought it meanwhile.
                Some(_) => waiting.patch.conflicts(&base),
                None if waiting.base_version == 0 => Vec::new(),
                None => vec!["removed".to_owned()],
            };
            if !conflicts.is_empty() {
                return self.store.end_waiting(&waiting.id, "conflict", "system", conflicts.join(","), now).await;
            }
            let Ok(new) = waiting.patch.apply(&base) else {
                // The catalogue has moved on under it: the unit decides, and the next change has its day.
                return self.store.end_waiting(&waiting.id, "conflict", "system", "unreadable".into(), now).await;
            };
            let write = match there {
                Some(stored) if new.content() == stored.record.content() => None,
                _ => {
                    let incoming = IncomingRecord::of(&new, 0, waiting.record.clone());
                    let says = Says::Fields(waiting.patch.fields().map(str::to_owned).collect());
                    let confirmed_by =
                        word(&self.store, there, &new, &says, &waiting.origin, waiting.confirmed_by.as_ref()).await?;
                    Some(version(current.as_ref(), incoming, &waiting.origin, confirmed_by, now))
                }
            };
            match self.store.act_on(&waiting.id, write, now).await {
                Err(Error::Refusal(Refusal::MovedOn(_))) => {}
                done => return done,
            }
        }
        // Others are at it: the next round.
        Ok(false)
    }
}

/// The same without a [`Service`].
pub(super) async fn receive(
    store: &Store,
    clock: &Clock,
    chance: &Chance,
    origin: &Origin,
    incoming: &[Incoming],
) -> Result<Vec<Received>> {
    let now = clock.now();
    for _ in 0..ATTEMPTS {
        let mut plan = Plan::new(origin, chance, now);
        for one in incoming {
            plan.add(store, one).await?;
        }
        let Plan { writes, waiting, taken_back, received, .. } = plan;
        if writes.is_empty() && waiting.is_empty() && taken_back.is_empty() {
            return Ok(received);
        }
        let taken_back = TakenBack { changes: taken_back, actor: origin.actor.clone(), at: now };
        match store.write_versions(writes, waiting, taken_back).await {
            // What is there now is looked at again: who named a version is told when it is another.
            Err(Error::Refusal(Refusal::MovedOn(_))) => {}
            done => return done.map(|()| received),
        }
    }
    Err(Refusal::MovedOn("record").into())
}

/// What a call will write.
struct Plan<'a> {
    now: UnixSeconds,
    today: Date,
    origin: &'a Origin,
    chance: &'a Chance,
    writes: Vec<VersionWrite>,
    waiting: Vec<NewWaiting>,
    /// Changes that wait no more, by what their sender says now.
    taken_back: Vec<String>,
    received: Vec<Received>,
}

impl<'a> Plan<'a> {
    fn new(origin: &'a Origin, chance: &'a Chance, now: UnixSeconds) -> Self {
        let (writes, waiting, taken_back, received) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { now, today: day_of(now), origin, chance, writes, waiting, taken_back, received }
    }

    async fn add(&mut self, store: &Store, one: &Incoming) -> Result<()> {
        let key = one.record.key();
        if self.writes.iter().any(|write| write.new.key == key) || self.waiting.iter().any(|wait| wait.key == key) {
            return Err(Refusal::malformed("record", "comes twice in one call").into());
        }
        let (stands, named) = match &one.expects {
            Expects::Elsewhere { key, version } => (key, Some(*version)),
            Expects::Version(version) => (&key, Some(*version)),
            _ => (&key, None),
        };
        let current = store.record(stands).await?;
        let there = current.as_ref().filter(|stored| stored.removed_at.is_none());
        match (&one.expects, there) {
            (Expects::New, Some(_)) => return Err(Refusal::RecordExists.into()),
            (Expects::New | Expects::Any, None) => {}
            (_, None) => return Err(Refusal::NotFound("record").into()),
            (_, Some(stored)) if named.is_some_and(|version| stored.version != version) => {
                return Err(Refusal::MovedOn("record").into());
            }
            _ => {}
        }
        let earlier = store.waiting_of(stands).await?;
        let known = current.as_ref().map(|stored| &stored.handle).or(earlier.first().map(|waiting| &waiting.record));
        let handle = known.cloned().unwrap_or_else(|| Handle::random(self.chance));
        let base = there.map_or_else(|| Record::empty(one.record.catalogue()), |stored| stored.record.clone());
        let patch = Patch::between(&base, &one.record);
        let (due, later, on) = self.split(patch, one, there.is_none())?;
        let version_now = there.map_or(0, |stored| stored.version);
        let waits_until = on.filter(|_| !later.is_empty());
        if let Some(on) = waits_until {
            self.wait(&earlier, (&handle, &key, version_now), later, on, one);
        } else {
            // Brought forward to today, or not any more.
            let from_then = |waiting: &Waiting| {
                one.effective_on.is_some_and(|on| waiting.due_on >= on)
                    && waiting.patch.fields().all(|field| one.says.field(field))
            };
            let way = self.origin.way;
            let ended =
                |waiting: &&Waiting| one.says.ends(waiting, way) || waiting.origin.way == way && from_then(waiting);
            self.taken_back.extend(earlier.iter().filter(ended).map(|waiting| waiting.id.clone()));
        }
        let (version_after, became) = if due.is_empty() {
            (version_now, waits_until.map_or(Became::Unchanged, |on| Became::Waiting { on }))
        } else {
            let fault = |error| Error::from(Fault::new("applying a change", error));
            let mut new = due.apply(&base).map_err(fault)?;
            if let Some(jpeg) = one.record.portrait().and_then(|portrait| portrait.jpeg()) {
                new.attach_portrait(jpeg.to_vec());
            }
            let incoming = IncomingRecord::of(&new, 0, handle.clone());
            let confirmed_by = word(store, there, &new, &one.says, self.origin, one.confirmed_by.as_ref()).await?;
            let write = version(current.as_ref(), incoming, self.origin, confirmed_by, self.now);
            let version = write.base_version + 1;
            self.writes.push(write);
            (version, if there.is_some() { Became::Changed } else { Became::New })
        };
        self.received.push(Received { handle, version: version_after, became });
        Ok(())
    }

    /// What holds now, what holds later, and from when.
    fn split(&self, patch: Patch, one: &Incoming, is_new: bool) -> Result<(Patch, Patch, Option<Date>)> {
        let is_status = |field: &str| STATUS_FIELDS.contains(&field);
        let dated = one.record.date("employment_status_date").and_then(PartialDate::exact);
        let dated = dated.filter(|on| *on > self.today && patch.fields().any(is_status));
        if let Some(on) = one.effective_on.filter(|on| *on > self.today) {
            // Not before its status does.
            let on = dated.map_or(on, |dated| dated.max(on));
            self.not_too_far(on)?;
            return Ok((Patch::default(), patch, Some(on)));
        }
        let Some(on) = dated else { return Ok((patch, Patch::default(), None)) };
        self.not_too_far(on)?;
        if is_new {
            return Ok((Patch::default(), patch, Some(on)));
        }
        let (now, later) = patch.split(is_status);
        Ok((now, later, Some(on)))
    }

    fn not_too_far(&self, on: Date) -> Result<()> {
        if (on - self.today).whole_days() <= MOST_DAYS_AHEAD {
            return Ok(());
        }
        Err(Refusal::malformed("effective_on", format!("must lie at most {MOST_DAYS_AHEAD} days ahead")).into())
    }

    fn wait(
        &mut self,
        earlier: &[Waiting],
        (record, key, base_version): (&Handle, &RecordKey, i64),
        patch: Patch,
        on: Date,
        one: &Incoming,
    ) {
        // A status has one day, and another day is a correction. Other changes may follow each other.
        let covered = |waiting: &Waiting| waiting.patch.fields().all(|field| patch.fields().any(|own| own == field));
        let corrects = |waiting: &&Waiting| {
            base_version == 0 || covered(waiting) && (waiting.due_on >= on || one.effective_on.is_none())
        };
        let same_way = earlier.iter().filter(|waiting| waiting.origin.way == self.origin.way);
        let (corrected, others): (Vec<_>, Vec<_>) = same_way.clone().partition(corrects);
        // What acts before it is what it will find; what it corrects does not act, and of one to come nothing does.
        let before = others.into_iter().filter(|waiting| waiting.due_on < on && waiting.state == "waiting");
        let patch = if base_version == 0 { patch } else { patch.following(before.map(|waiting| &waiting.patch)) };
        let same = |waiting: &Waiting| waiting.state == "waiting" && waiting.due_on == on && waiting.patch == patch;
        // Who sends the whole record every night says the same thing again.
        if same_way.clone().any(same) {
            return;
        }
        let supersedes = corrected.into_iter().map(|waiting| waiting.id.clone()).collect();
        let brings = patch.fields().any(|field| field == "portrait_photo");
        let portrait = IncomingRecord::of(&one.record, 0, record.clone()).portrait.filter(|_| brings);
        self.waiting.push(NewWaiting {
            portrait,
            id: Handle::random(self.chance).to_string(),
            record: record.clone(),
            key: key.clone(),
            base_version,
            catalogue: Catalogue::CURRENT,
            patch,
            due_on: on,
            due_at: start_of(on),
            origin: self.origin.clone(),
            confirmed_by: one.confirmed_by.clone(),
            created_at: self.now,
            supersedes,
        });
    }
}

/// Whose word the unit's is after a change, if it has been given for all that the record says then: for the version before,
/// or by a sender who says everything that has changed since the last one that was confirmed. An official's own change leaves
/// it as it stands.
pub(super) async fn word(
    store: &Store,
    before: Option<&StoredRecord>,
    new: &Record,
    says: &Says,
    origin: &Origin,
    word: Option<&String>,
) -> Result<Option<String>, Fault> {
    if origin.is_of_holder() {
        return Ok(before.and_then(|stored| stored.confirmed_by.clone()));
    }
    let (Some(word), Some(stored)) = (word, before) else { return Ok(word.cloned()) };
    if stored.standing.confirmed_at.is_some() {
        return Ok(Some(word.clone()));
    }
    let confirmed = store.confirmed_version(&stored.handle).await?;
    let confirmed = confirmed.unwrap_or_else(|| Record::empty(new.catalogue()));
    let says_all = Patch::between(&confirmed, new).fields().all(|field| says.field(field));
    Ok(says_all.then(|| word.clone()))
}

fn version(
    current: Option<&StoredRecord>,
    new: IncomingRecord,
    origin: &Origin,
    confirmed_by: Option<String>,
    at: UnixSeconds,
) -> VersionWrite {
    let record = current.map_or_else(|| new.handle.clone(), |stored| stored.handle.clone());
    let base_version = current.map_or(0, |stored| stored.version);
    let base_confirmed_at = current.and_then(|stored| stored.standing.confirmed_at);
    let (origin, card) = (origin.clone(), CardStep::Keep);
    VersionWrite { record, base_version, base_confirmed_at, new, origin, confirmed_by, card, at }
}

/// The record that a change brings on its day.
pub(super) fn brought(waiting: &Waiting) -> Result<Record, Fault> {
    let record = waiting.patch.apply(&empty(&waiting.catalogue)?);
    record.map_err(|error| Fault::new("reading a waiting change", error))
}

fn empty(catalogue: &str) -> Result<Record, Fault> {
    let catalogue = Catalogue::version(catalogue);
    catalogue.map(Record::empty).ok_or_else(|| Fault::new("reading a waiting change", "its catalogue is not known"))
}
