//! What the house knows about records, for whoever may see them. Every answer that shows personal data is written down
//! with who asked and why, and the person can see it.

use std::collections::BTreeMap;

use serde_json::Map;
use time::Date;

use super::{Caller, Service};
use crate::clock::UnixSeconds;
use crate::error::{Refusal, Result};
use crate::model::calendar::day_of;
use crate::model::catalogue::{Catalogue, Privacy};
use crate::model::id::Handle;
use crate::model::origin::Way;
use crate::model::patch::Patch;
use crate::model::quality::{Flag, flags};
use crate::model::record::Record;
use crate::model::text::searchable;
use crate::store::StoredVersion;
pub use crate::store::{RecordFilter, RecordSearch, StoredRecord, Waiting};

/// Records of one page.
pub const PAGE_RECORDS: i64 = 200;
/// Records that one search returns at most.
pub const MOST_FOUND: usize = 100;
/// Records that one step makes findable.
const NAMED_AT_ONCE: usize = 500;
/// Versions that are told of a record, the newest.
const MOST_VERSIONS: i64 = 100;

/// A page of records.
#[derive(Debug)]
pub struct RecordPage {
    /// In the order of their handles.
    pub records: Vec<StoredRecord>,
    /// The last handle, if there may be more.
    pub next: Option<Handle>,
}

/// A record with all that is known about it.
#[derive(Debug)]
pub struct RecordView {
    /// The record.
    pub stored: StoredRecord,
    /// What keeps it from the four words.
    pub flags: Vec<Flag>,
    /// For each field or list, the version that last changed it.
    pub sources: Vec<(String, FieldSource)>,
    /// What waits for its day.
    pub waiting: Vec<Waiting>,
}

/// Where what a field says comes from.
#[derive(Clone, Debug)]
pub struct FieldSource {
    /// The version that brought it.
    pub version: i64,
    /// The way.
    pub way: Way,
    /// When.
    pub at: UnixSeconds,
}

/// A version with what it changed.
#[derive(Debug)]
pub struct VersionView {
    /// The version.
    pub version: StoredVersion,
    /// Against the one before.
    pub changes: Patch,
}

/// A field as people see it.
#[derive(Clone, Copy, Debug)]
pub struct FieldName {
    /// The group of the dossier.
    pub group: &'static str,
    /// Vietnamese label.
    pub label_vi: &'static str,
    /// English label.
    pub label_en: &'static str,
    /// How private it is.
    pub privacy: Privacy,
}

/// What a field or list is called; `None` for a name that the catalogue does not have.
pub fn field_name(catalogue: &'static Catalogue, name: &str) -> Option<FieldName> {
    let list = || catalogue.lists().iter().find(|list| list.name == name).and_then(|list| list.members.first());
    let at = catalogue.index(name).or_else(|| list().copied())?;
    let field = &catalogue.fields()[at];
    Some(FieldName {
        group: &field.group,
        label_vi: &field.label_vi,
        label_en: &field.label_en,
        privacy: field.privacy,
    })
}

impl Service {
    /// Records of a unit and below, a page. Their names are read: a line for each.
    pub async fn list_records(
        &self,
        caller: &Caller,
        unit: &str,
        filter: RecordFilter,
        after: Option<&Handle>,
        limit: i64,
    ) -> Result<RecordPage> {
        caller.needs("records:read")?;
        caller.may_touch(unit)?;
        let limit = limit.clamp(1, PAGE_RECORDS);
        let records = self.store.records_in(unit, filter, after, limit).await?;
        let handles: Vec<_> = records.iter().map(|stored| stored.handle.clone()).collect();
        self.store.note_read(&caller.name, &handles, "list", self.clock.now()).await?;
        let is_full = i64::try_from(records.len()).is_ok_and(|length| length == limit);
        let next = records.last().filter(|_| is_full).map(|stored| stored.handle.clone());
        Ok(RecordPage { records, next })
    }

    /// The records that are looked for, of `unit` and below or wherever the caller may look, by name. Who is found was
    /// read: a line for each.
    ///
    /// # Errors
    ///
    /// [`Refusal::Malformed`] for a name without letters.
    pub async fn search_records(
        &self,
        caller: &Caller,
        search: &RecordSearch,
        unit: Option<&str>,
    ) -> Result<Vec<StoredRecord>> {
        caller.needs("records:read")?;
        if let Some(unit) = unit {
            caller.may_touch(unit)?;
        }
        if matches!(search, RecordSearch::Name(name) if searchable(name).is_empty()) {
            return Err(Refusal::malformed("body.name", "has no letters").into());
        }
        let named = unit.map(|unit| vec![unit.to_owned()]);
        let units = named.as_deref().or_else(|| caller.units());
        let found = self.store.search_records(search, units, MOST_FOUND).await?;
        let handles: Vec<_> = found.iter().map(|stored| stored.handle.clone()).collect();
        self.store.note_read(&caller.name, &handles, "search", self.clock.now()).await?;
        Ok(found)
    }

    /// Makes records findable by name, some hundred at a time. Returns whether there may be more.
    pub async fn name_records(&self) -> Result<bool> {
        Ok(self.store.name_records(NAMED_AT_ONCE).await? == NAMED_AT_ONCE)
    }

    /// How many changes wait for their day in a unit and below, and how many need a decision.
    pub async fn count_changes(&self, caller: &Caller, unit: &str) -> Result<(i64, i64)> {
        caller.needs("records:read")?;
        caller.may_touch(unit)?;
        Ok(self.store.count_waiting(unit).await?)
    }

    /// A record with all that is known about it.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`] for a record that the caller may not see.
    pub async fn read_record(&self, caller: &Caller, handle: &Handle) -> Result<RecordView> {
        let stored = self.readable(caller, handle, "view").await?;
        let versions = self.store.versions_of(handle, MOST_VERSIONS).await?;
        let by_field = sources(&versions);
        let source = |(name, _)| {
            let version = by_field.get(&name)?;
            Some((name, FieldSource { version: version.version, way: version.origin.way, at: version.at }))
        };
        let sources = stored.record.members().into_iter().filter_map(source).collect();
        let waiting = self.store.waiting_of(&stored.record.key()).await?;
        // What surrounds it counts, too; only where that was not computed yet, what the record itself tells.
        let flags = match self.store.quality_of(handle, stored.version).await? {
            Some(found) => found.iter().collect(),
            None => flags(&stored.record, &stored.standing, self.clock.now()),
        };
        Ok(RecordView { stored, flags, sources, waiting })
    }

    /// What a record said, the newest version first.
    pub async fn read_versions(&self, caller: &Caller, handle: &Handle) -> Result<Vec<VersionView>> {
        let stored = self.readable(caller, handle, "history").await?;
        let versions = self.store.versions_of(handle, MOST_VERSIONS).await?;
        let mut before = Record::empty(stored.record.catalogue());
        let mut views = Vec::with_capacity(versions.len());
        for version in versions {
            let changes = Patch::between(&before, &version.record);
            before = version.record.clone();
            views.push(VersionView { version, changes });
        }
        views.reverse();
        Ok(views)
    }

    /// Changes that wait for their day, or for a decision, in a unit and below.
    pub async fn list_changes(
        &self,
        caller: &Caller,
        unit: &str,
        after: &str,
        limit: i64,
    ) -> Result<(Vec<Waiting>, Option<String>)> {
        caller.needs("records:read")?;
        caller.may_touch(unit)?;
        let limit = limit.clamp(1, PAGE_RECORDS);
        let changes = self.store.waiting_in(unit, after, limit).await?;
        let records: Vec<_> = changes.iter().map(|waiting| waiting.record.clone()).collect();
        self.store.note_read(&caller.name, &records, "changes", self.clock.now()).await?;
        let is_full = i64::try_from(changes.len()).is_ok_and(|length| length == limit);
        let next = changes.last().filter(|_| is_full).map(|waiting| waiting.id.clone());
        Ok((changes, next))
    }

    /// Today in Vietnam.
    pub fn today(&self) -> Date {
        day_of(self.clock.now())
    }

    /// A portrait that a record has or had, as its versions name it: SHA-256 in hexadecimal. JPEG.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`] for a record that the caller may not see, and for a portrait that was never its own.
    pub async fn record_portrait(&self, caller: &Caller, handle: &Handle, sha256: &str) -> Result<Vec<u8>> {
        self.readable(caller, handle, "portrait").await?;
        let named = format!("sha256:{sha256}");
        let versions = self.store.versions_of(handle, MOST_VERSIONS).await?;
        let has = |version: &StoredVersion| version.record.portrait().is_some_and(|own| own.name() == named);
        if !versions.iter().any(has) {
            return Err(Refusal::NotFound("portrait").into());
        }
        Ok(self.store.portrait_bytes(sha256).await?.ok_or(Refusal::NotFound("portrait"))?)
    }

    /// A record that the caller may see, noted as read for this purpose.
    pub(super) async fn readable(&self, caller: &Caller, handle: &Handle, purpose: &str) -> Result<StoredRecord> {
        caller.needs("records:read")?;
        let sees = |stored: &StoredRecord| {
            let unit = |field| stored.record.text(field).unwrap_or_default();
            caller.sees(unit("managing_unit_code")) || caller.sees(unit("using_unit_code"))
        };
        let stored = self.store.record_named(handle).await?.filter(sees).ok_or(Refusal::NotFound("record"))?;
        self.store.note_read(&caller.name, std::slice::from_ref(handle), purpose, self.clock.now()).await?;
        Ok(stored)
    }
}

/// By field or list: the version that last changed it.
pub(super) type Sources<'a> = BTreeMap<String, &'a StoredVersion>;

/// Walks the versions, oldest first; what the oldest says came with it or before.
pub(super) fn sources(versions: &[StoredVersion]) -> Sources<'_> {
    let (mut sources, mut before) = (Sources::new(), Map::new());
    for version in versions {
        let now = version.record.members();
        for (name, value) in &now {
            if before.get(name) != Some(value) {
                sources.insert(name.clone(), version);
            }
        }
        // What was emptied has the source of its emptying.
        for name in before.keys().filter(|name| !now.contains_key(*name)) {
            sources.insert(name.clone(), version);
        }
        before = now;
    }
    sources
}
