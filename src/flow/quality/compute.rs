//! From claimed records to their flags: pure work, done off the threads that answer requests.

use std::collections::{HashMap, HashSet};

use crate::clock::UnixSeconds;
use crate::model::calendar::Calendar;
use crate::model::id::Handle;
use crate::model::quality::{Assessment, Standing, Surroundings, assess, is_serving};
use crate::model::record::Record;
use crate::store::{ComputedRecord, Counted, DirtyRecord, Neighbour, PresentRecord};

/// How many records a person has, and in how many the person serves.
#[derive(Default)]
struct Person<'a> {
    by_unit: HashMap<&'a str, (u32, u32)>,
    serving: u32,
}

impl<'a> Person<'a> {
    fn count(&mut self, unit: &'a str, serving: bool) {
        let (records, in_service) = self.by_unit.entry(unit).or_default();
        *records += 1;
        *in_service += u32::from(serving);
        self.serving += u32::from(serving);
    }

    /// Other records of the unit, and records elsewhere in which the person serves.
    fn others(&self, unit: &str) -> (u32, u32) {
        let (records, in_service) = self.by_unit.get(unit).copied().unwrap_or_default();
        (records.saturating_sub(1), self.serving - in_service)
    }
}

/// Computes every record, and names the others that have to be computed next because of it: those of the same people,
/// where person, unit or service changed.
pub fn compute(
    records: Vec<DirtyRecord>,
    neighbours: &[Neighbour],
    calendar: &Calendar,
    now: UnixSeconds,
) -> (Vec<ComputedRecord>, Vec<Handle>) {
    let restored: Vec<(DirtyRecord, Option<(Record, bool)>)> = records
        .into_iter()
        .map(|dirty| {
            let record = dirty.now.as_ref().and_then(|now| restored(&dirty.handle, now));
            let record = record.map(|record| {
                let serving = is_serving(&record);
                (record, serving)
            });
            (dirty, record)
        })
        .collect();
    let ours: HashMap<&Handle, bool> = restored
        .iter()
        .map(|(dirty, record)| (&dirty.handle, record.as_ref().is_some_and(|(_, serving)| *serving)))
        .collect();
    let mut people: HashMap<&str, Person<'_>> = HashMap::new();
    for Neighbour { handle, person, unit, serving } in neighbours {
        // What is computed just now is newer than what was computed before.
        people.entry(person).or_default().count(unit, ours.get(handle).copied().unwrap_or(*serving));
    }
    let computed: Vec<_> =
        restored.iter().map(|(dirty, record)| one(dirty, record.as_ref(), &people, calendar, now)).collect();
    let told = |counted: &Counted| (counted.person.clone(), counted.unit.clone(), counted.serving);
    let moved: HashSet<_> = computed
        .iter()
        .filter_map(|record| {
            let (before, after) = (record.before.as_ref(), record.after.as_ref().map(|(after, ..)| after));
            (before.map(told) != after.map(told)).then_some([before, after])
        })
        .flatten()
        .filter_map(|counted| counted?.person.as_deref())
        .collect();
    let also =
        neighbours.iter().filter(|other| moved.contains(other.person.as_str()) && !ours.contains_key(&other.handle));
    let also = also.map(|other| other.handle.clone()).collect();
    (computed, also)
}

/// A record that cannot be read is nobody's to count; it is told to whoever reads the log.
fn restored(handle: &Handle, present: &PresentRecord) -> Option<Record> {
    present.record().inspect_err(|fault| tracing::error!(%fault, record = %handle, "a record cannot be read")).ok()
}

fn one(
    dirty: &DirtyRecord,
    record: Option<&(Record, bool)>,
    people: &HashMap<&str, Person<'_>>,
    calendar: &Calendar,
    now: UnixSeconds,
) -> ComputedRecord {
    let after = dirty.now.as_ref().zip(record).map(|(present, (record, serving))| {
        let person = present.person.as_deref().and_then(|person| people.get(person));
        let (namesakes, elsewhere) = person.map_or((0, 0), |person| person.others(&present.unit));
        let standing = Standing { namesakes, ..present.standing.clone() };
        let elsewhere = if *serving { elsewhere } else { 0 };
        let surroundings = Surroundings { elsewhere, ..present.surroundings };
        let Assessment { flags, due_at } = assess(record, &standing, &surroundings, calendar, now);
        let counted = Counted {
            unit: present.unit.clone(),
            person: present.person.clone(),
            serving: *serving,
            signed: surroundings.signed_at.is_some(),
            flags,
        };
        (counted, present.version, due_at)
    });
    ComputedRecord { handle: dirty.handle.clone(), revision: dirty.revision, before: dirty.before.clone(), after }
}
