//! Reorganisation of units: planned, looked at beforehand, acting by itself on its day, in waves that can be paused.
//!
//! ```text
//! draft ⇄ scheduled → running ⇄ paused → done        back to draft, or dropped: only before the day
//! ```
//!
//! On the day the unit register changes in one transaction; then every affected record gets a version whose units are the
//! new ones and, in the same transaction, its card is replaced. What the unit confirmed stays confirmed: the decision is the
//! State's own. Records are taken in the order of their names, so that a process that dies is followed by the next one, and
//! nothing is moved twice; what came in behind the wave is found by the next pass: there is one until a pass moves nothing,
//! and one a day later. A personnel number that the new unit has given to somebody else is led by the old unit's code.

use std::collections::{HashMap, HashSet};

use time::Date;

use super::receive::MOST_DAYS_AHEAD;
use super::{Caller, Service};
use crate::error::{Error, Fault, Refusal, Result};
use crate::model::agency::agencies;
use crate::model::calendar::start_of;
use crate::model::card::{Card, Selector, State};
use crate::model::catalogue::Catalogue;
use crate::model::id::Handle;
use crate::model::origin::{Origin, Way};
use crate::model::patch::Patch;
use crate::model::record::{Record, RecordKey};
use crate::model::reorganisation::{MovedFault, Moves, UNIT_FIELDS, UnitMove};
use crate::model::unit::UnitDirectory;
pub use crate::store::Reorganisation;
use crate::store::{CardStep, IncomingRecord, MovedWaiting, Stage, StoredRecord, VersionWrite, Wave};

/// Records of one page of a preview.
pub const PAGE: i64 = 200;
/// Records of one wave, at least, at most, and unless something else is said.
pub const WAVE: (i64, i64, i64) = (1, 2_000, 200);
/// Waves of one round of the background.
const WAVES: usize = 20;
/// Reorganisations that one answer tells.
const MOST: i64 = 200;
/// Failed records that one answer tells.
const MOST_FAILURES: i64 = 10_000;
/// Records that a count reads at once.
const COUNTED: i64 = 1_000;
/// Faults after which a wave ends: the next one goes on behind them.
const MOST_FAULTS: usize = 10;
/// How often a record is tried that somebody else was in the way of.
const ATTEMPTS: usize = 3;

/// A plan that is asked for.
#[derive(Clone, Debug)]
pub struct PlanRequest {
    /// What people call it.
    pub name: String,
    /// The decision behind it.
    pub decision: String,
    /// The day from which it holds.
    pub effective_on: Date,
    /// Records of one wave.
    pub wave_size: Option<i64>,
    /// What moves where.
    pub moves: Vec<UnitMove>,
}

/// What becomes of one person.
#[derive(Debug)]
pub struct Affected {
    /// The record.
    pub stored: StoredRecord,
    /// What it will say.
    pub after: Record,
    /// Its key afterwards, when the number changes because the new unit has given it to somebody else.
    pub renumbered: bool,
    /// The cards in force.
    pub cards: Vec<Card>,
}

/// A page of a preview.
#[derive(Debug)]
pub struct Preview {
    /// In the order of the records' names.
    pub affected: Vec<Affected>,
    /// For the next page, if there may be more.
    pub next: Option<String>,
}

/// How many are affected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// People's records.
    pub records: u64,
    /// Cards in force that will be replaced.
    pub cards: u64,
    /// Cards that are locked: they are replaced when their review is over.
    pub locked: u64,
    /// Personnel numbers that change.
    pub renumbered: u64,
}

impl Service {
    /// Keeps a plan. Returns its name.
    ///
    /// # Errors
    ///
    /// [`Refusal::Malformed`] for moves that do not fit together, a unit that there is not, or a day that is past or too far.
    pub async fn plan_reorganisation(&self, caller: &Caller, request: PlanRequest) -> Result<Reorganisation> {
        caller.needs("reorganisations:write")?;
        let now = self.clock.now();
        let today = self.today();
        if request.effective_on < today || (request.effective_on - today).whole_days() > MOST_DAYS_AHEAD {
            let rule = format!("must be today or at most {MOST_DAYS_AHEAD} days ahead");
            return Err(Refusal::malformed("effective_on", rule).into());
        }
        for (place, text) in [("name", &request.name), ("decision", &request.decision)] {
            if !(1..=300).contains(&text.chars().count()) || text.chars().any(char::is_control) {
                return Err(Refusal::malformed(place, "must have 1 to 300 readable characters").into());
            }
        }
        let wave_size = request.wave_size.unwrap_or(WAVE.2);
        if !(WAVE.0..=WAVE.1).contains(&wave_size) {
            return Err(Refusal::malformed("wave_size", format!("must be {} to {}", WAVE.0, WAVE.1)).into());
        }
        let moves = Moves::new(request.moves).map_err(|fault| Refusal::malformed("moves", fault.to_string()))?;
        self.check_units(caller, &moves, request.effective_on).await?;
        let plan = Reorganisation {
            id: Handle::random(&self.chance).to_string(),
            name: request.name,
            decision: request.decision,
            effective_on: request.effective_on,
            effective_at: start_of(request.effective_on),
            moves,
            wave_size,
            state: Stage::Draft,
            created_by: caller.name.clone(),
            created_at: now,
            started_at: None,
            finished_at: None,
            place: String::new(),
            waves: 0,
            moved: 0,
            cards: 0,
            failed: 0,
        };
        self.store.plan_reorganisation(plan.clone()).await?;
        Ok(plan)
    }

    /// Every unit that moves is the caller's, and every unit that takes people in is there or gets a name.
    async fn check_units(&self, caller: &Caller, moves: &Moves, on: Date) -> Result<()> {
        let codes: Vec<_> = moves.all().iter().flat_map(|one| [one.from.as_str(), one.to.as_str()]).collect();
        let known = self.store.units_named(on, &codes).await?;
        for (at, one) in moves.all().iter().enumerate() {
            caller.may_touch(&one.from)?;
            caller.may_touch(&one.to)?;
            let is_level_1 = !one.to.contains('.');
            let there = known.has_unit(&one.to) || (!is_level_1 && one.to_name.is_some());
            if !there {
                let rule = "must be a unit that there is on that day, or get a name in to_name";
                return Err(Refusal::malformed(format!("moves[{at}].to"), rule).into());
            }
            if is_level_1
                && one.to_name.as_deref().is_some_and(|name| known.unit_name(&one.to).as_deref() != Some(name))
            {
                let rule = "must be left out, or the name of the list: level-1 names come with the program";
                return Err(Refusal::malformed(format!("moves[{at}].to_name"), rule).into());
            }
            if !known.has_unit(&one.from) && !agencies().ever(&one.from) {
                return Err(Refusal::malformed(format!("moves[{at}].from"), "must be a unit that there is").into());
            }
        }
        Ok(())
    }

    /// The reorganisations that touch units of the caller, the newest day first.
    pub async fn reorganisations(&self, caller: &Caller) -> Result<Vec<Reorganisation>> {
        caller.needs("reorganisations:read")?;
        let mut all = self.store.reorganisations(MOST).await?;
        all.retain(|one| concerns(caller, one));
        Ok(all)
    }

    /// One of them.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`] for one that touches no unit of the caller.
    pub async fn reorganisation(&self, caller: &Caller, id: &str) -> Result<Reorganisation> {
        caller.needs("reorganisations:read")?;
        let found = self.store.reorganisation(id).await?.filter(|one| concerns(caller, one));
        found.ok_or_else(|| Refusal::NotFound("reorganisation").into())
    }

    /// Who is affected, a page: with the record as it will be and the cards in force. Noted as read.
    pub async fn preview_reorganisation(&self, caller: &Caller, id: &str, after: &str, limit: i64) -> Result<Preview> {
        caller.needs("records:read")?;
        let plan = self.reorganisation(caller, id).await?;
        let limit = limit.clamp(1, PAGE);
        let wanted = usize::try_from(limit).unwrap_or(1);
        let (mut affected, mut place) = (Vec::new(), after.to_owned());
        let names = self.names_after(&plan).await?;
        let next = loop {
            let page = self.store.records_under(&plan.moves.left(), &place, PAGE).await?;
            let is_last = i64::try_from(page.len()).is_ok_and(|length| length < PAGE);
            for stored in page {
                place = stored.handle.to_string();
                if !sees(caller, &stored.record) {
                    continue;
                }
                if let After::Moved(after, renumbered) = self.after(&plan, &stored, &names, Look::Ahead).await? {
                    let after = *after;
                    let cards = self.cards_of_record(&stored.handle).await?;
                    affected.push(Affected { stored, after, renumbered, cards });
                }
                if affected.len() == wanted {
                    break;
                }
            }
            if affected.len() == wanted {
                break Some(place);
            }
            if is_last {
                break None;
            }
        };
        let handles: Vec<_> = affected.iter().map(|one| one.stored.handle.clone()).collect();
        self.store.note_read(&caller.name, &handles, "reorganisation", self.clock.now()).await?;
        Ok(Preview { affected, next })
    }

    /// How many people and cards of the caller's units are affected: reads every record of the units that people leave.
    pub async fn count_reorganisation(&self, caller: &Caller, id: &str) -> Result<Totals> {
        let plan = self.reorganisation(caller, id).await?;
        let names = self.names_after(&plan).await?;
        let known = |code: &str| name_of(&plan, &names, code);
        let (mut totals, mut place) = (Totals::default(), String::new());
        // Who moves first keeps the number: as the waves will find it, without a look for each.
        let (mut given, mut free) = (HashSet::new(), HashSet::new());
        loop {
            let page = self.store.records_under(&plan.moves.left(), &place, COUNTED).await?;
            let Some(last) = page.last() else { return Ok(totals) };
            place = last.handle.to_string();
            let mut handles = Vec::with_capacity(page.len());
            let mut moves: Vec<(RecordKey, Record, bool)> = Vec::new();
            for stored in page {
                let Some(Ok(after)) = plan.moves.apply(&stored.record, &known) else { continue };
                let before = stored.record.key();
                let is_seen = sees(caller, &stored.record);
                if before != after.key() {
                    moves.push((before, after, is_seen));
                }
                handles.extend(Some(stored.handle).filter(|_| is_seen));
            }
            let keys: Vec<_> = moves.iter().map(|(_, after, _)| after.key()).collect();
            let there = self.store.record_heads(&keys).await?;
            for ((before, after, is_seen), mut key) in moves.into_iter().zip(keys) {
                if given.contains(&key) || there.contains_key(&key) && !free.contains(&key) {
                    totals.renumbered += u64::from(is_seen);
                    if let Ok(renumbered) = Moves::renumbered(&after, &before) {
                        key = renumbered.key();
                    }
                }
                given.insert(key);
                free.insert(before);
            }
            let (active, locked) = self.store.count_cards_of(&handles, self.clock.now()).await?;
            totals.records += u64::try_from(handles.len()).unwrap_or(u64::MAX);
            (totals.cards, totals.locked) = (totals.cards + active, totals.locked + locked);
        }
    }

    /// Schedules a plan, pauses or resumes its waves, or takes it back to its draft before its day.
    ///
    /// # Errors
    ///
    /// [`Refusal::MovedOn`] when it does not stand where the step begins.
    pub async fn step_reorganisation(
        &self,
        caller: &Caller,
        id: &str,
        step: ReorganisationStep,
    ) -> Result<Reorganisation> {
        caller.needs("reorganisations:write")?;
        let plan = self.reorganisation(caller, id).await?;
        for one in plan.moves.all() {
            caller.may_touch(&one.from)?;
            caller.may_touch(&one.to)?;
        }
        let is_over = plan.state == Stage::Done;
        if step == ReorganisationStep::Start {
            self.check_units(caller, &plan.moves, plan.effective_on).await?;
        }
        let begins = step == ReorganisationStep::Start || step == ReorganisationStep::Resume && is_over;
        let alone = async || match self.overlapping(&plan).await? {
            Some(other) if begins => {
                let rule = format!("are of units that another plan moves that is scheduled or has begun: {other}");
                Err(Error::from(Refusal::malformed("moves", rule)))
            }
            _ => Ok(()),
        };
        alone().await?;
        let (from, to): (&'static [Stage], Stage) = match step {
            ReorganisationStep::Start => (&[Stage::Draft], Stage::Scheduled),
            ReorganisationStep::Pause => (&[Stage::Running], Stage::Paused),
            ReorganisationStep::Resume => (&[Stage::Paused, Stage::Done], Stage::Running),
            ReorganisationStep::Undo => (&[Stage::Scheduled], Stage::Draft),
        };
        if !self.store.step_reorganisation(id, from, to, &caller.name, self.clock.now()).await? {
            return Err(Refusal::MovedOn("reorganisation").into());
        }
        if step == ReorganisationStep::Start
            && let Err(error) = alone().await
        {
            // Of two that are scheduled at once neither is.
            self.store
                .step_reorganisation(id, &[Stage::Scheduled], Stage::Draft, &caller.name, self.clock.now())
                .await?;
            return Err(error);
        }
        self.reorganisation(caller, id).await
    }

    /// Forgets a plan that is not scheduled.
    pub async fn drop_reorganisation(&self, caller: &Caller, id: &str) -> Result<()> {
        caller.needs("reorganisations:write")?;
        let plan = self.reorganisation(caller, id).await?;
        for one in plan.moves.all() {
            caller.may_touch(&one.from)?;
            caller.may_touch(&one.to)?;
        }
        if self.store.drop_reorganisation(id, &caller.name, self.clock.now()).await? {
            Ok(())
        } else {
            Err(Refusal::MovedOn("reorganisation").into())
        }
    }

    /// Records of the caller's units that could not be moved, for the officer who looks at them.
    pub async fn reorganisation_failures(&self, caller: &Caller, id: &str) -> Result<Vec<(Handle, String)>> {
        self.reorganisation(caller, id).await?;
        let mut failures = self.store.reorganisation_failures(id, MOST_FAILURES).await?;
        failures.retain(|(_, _, unit)| caller.sees(unit));
        Ok(failures.into_iter().map(|(record, reason, _)| (record, reason)).collect())
    }

    /// Whether the caller may see who of a unit moves: their personnel numbers.
    pub fn sees_who_moves(caller: &Caller, one: &UnitMove) -> bool {
        caller.needs("records:read").is_ok() && caller.sees(&one.from)
    }

    /// Runs what is due: begins plans whose day has come, and runs some waves of each. Returns how many records moved.
    pub async fn reorganise(&self) -> Result<i64> {
        let mut moved = 0;
        for plan in self.store.reorganisations_at_work(self.clock.now()).await? {
            let goes_on = match plan.state {
                Stage::Scheduled => self.store.begin_reorganisation(&plan, self.clock.now()).await?,
                Stage::Done => {
                    // Where another plan has moved the same units since, this one has no more to say.
                    let anew = self.overlapping(&plan).await?.is_none();
                    self.store.check_reorganisation(&plan.id, anew, self.clock.now()).await? && anew
                }
                _ => true,
            };
            if !goes_on {
                continue;
            }
            let names = self.names_after(&plan).await?;
            for _ in 0..WAVES {
                let Some(plan) = self.store.reorganisation(&plan.id).await? else { break };
                if !self.store.lease_wave(&plan, self.clock.now()).await? {
                    break;
                }
                let wave = self.wave(&plan, &names).await?;
                moved += wave.moved;
                if self.store.end_wave(&plan.id, wave, self.clock.now()).await? {
                    break;
                }
            }
        }
        Ok(moved)
    }

    /// Another plan that is scheduled, under way, or began later, with units of this one: what it is called.
    async fn overlapping(&self, plan: &Reorganisation) -> Result<Option<String>> {
        let others = self.store.reorganisations_beside(plan).await?;
        Ok(others.into_iter().find(|other| other.moves.overlaps(&plan.moves)).map(|other| other.name))
    }

    async fn wave(&self, plan: &Reorganisation, names: &HashMap<String, String>) -> Result<Wave> {
        let page = self.store.records_under(&plan.moves.left(), &plan.place, plan.wave_size).await?;
        let is_last = i64::try_from(page.len()).is_ok_and(|length| length < plan.wave_size);
        let place = page.last().map_or_else(|| plan.place.clone(), |stored| stored.handle.to_string());
        let mut wave = Wave { place, is_last, ..Wave::default() };
        let known = |code: &str| name_of(plan, names, code);
        let mut faults = 0;
        for stored in page {
            if plan.moves.apply(&stored.record, &known).is_none() {
                continue;
            }
            match self.reorganise_record(plan, &stored.handle, names).await {
                Ok(Moved::Outside) => {}
                Ok(Moved::Done { has_new_card }) => {
                    wave.moved += 1;
                    wave.cards += i64::from(has_new_card);
                }
                Ok(Moved::Failed(reason)) => wave.failures.push((stored.handle, reason)),
                // What cannot be read or signed keeps no other record from its new unit.
                Err(error) => {
                    tracing::error!(%error, record = stored.handle.as_str(), "a record could not be moved");
                    wave.failures.push((stored.handle.clone(), "fault"));
                    faults += 1;
                    if faults >= MOST_FAULTS {
                        (wave.place, wave.is_last) = (stored.handle.to_string(), false);
                        return Ok(wave);
                    }
                }
            }
        }
        if is_last {
            let failures = self.move_newcomers(plan, names).await?;
            wave.failures.extend(failures);
        }
        Ok(wave)
    }

    /// Records that are still to come go to the new units, too: what waits for their day says so. Returns those that cannot.
    async fn move_newcomers(
        &self,
        plan: &Reorganisation,
        names: &HashMap<String, String>,
    ) -> Result<Vec<(Handle, &'static str)>> {
        let known = |code: &str| name_of(plan, names, code);
        let (mut place, mut failures) = (String::new(), Vec::new());
        loop {
            let page = self.store.newcomers(&place, PAGE).await?;
            let Some(last) = page.last() else { return Ok(failures) };
            place.clone_from(&last.id);
            for waiting in page {
                if self.store.record(&waiting.key).await?.is_some_and(|stored| stored.removed_at.is_none()) {
                    continue;
                }
                let Some(catalogue) = Catalogue::version(&waiting.catalogue) else { continue };
                let empty = Record::empty(catalogue);
                let Ok(record) = waiting.patch.apply(&empty) else { continue };
                let after = match plan.moves.apply(&record, &known) {
                    None => continue,
                    Some(Ok(after)) if self.is_taken(&record.key(), &after.key(), &waiting.record).await? => {
                        Moves::renumbered(&after, &record.key())
                    }
                    Some(after) => after,
                };
                match after {
                    Ok(after) => {
                        let (key, patch) = (after.key(), Patch::between(&empty, &after));
                        self.store.move_waiting(vec![MovedWaiting { id: waiting.id, key, patch }]).await?;
                    }
                    Err(fault) => failures.push((waiting.record, reason_of(&fault))),
                }
            }
        }
    }

    /// Whether the number with which somebody comes to a unit is somebody else's there, or of somebody who is to come.
    async fn is_taken(&self, before: &RecordKey, after: &RecordKey, own: &Handle) -> Result<bool> {
        if before == after {
            return Ok(false);
        }
        if self.store.record(after).await?.is_some_and(|other| other.handle != *own) {
            return Ok(true);
        }
        let waiting = self.store.waiting_of(after).await?;
        Ok(waiting.iter().any(|other| other.base_version == 0 && other.record != *own))
    }

    /// The same before the day, when those who will be moved first have not gone yet, and have not come.
    async fn will_be_taken(
        &self,
        plan: &Reorganisation,
        before: &RecordKey,
        after: &RecordKey,
        own: &Handle,
    ) -> Result<bool> {
        let goes = |record: &Record| plan.moves.apply(record, &|_| None).and_then(Result::ok).map(|after| after.key());
        let earlier = self.store.records_numbered(&after.number, own).await?;
        if before != after && earlier.iter().any(|other| goes(&other.record).as_ref() == Some(after)) {
            return Ok(true);
        }
        let leaves =
            |other: &StoredRecord| other.record.key() == *after && goes(&other.record).is_some_and(|key| key != *after);
        Ok(!earlier.iter().any(leaves) && self.is_taken(before, after, own).await?)
    }

    /// What waits for a record, where it names units: made to what the record says afterwards. What is in conflict already
    /// stays as it is, for the unit to decide.
    async fn waiting_after(
        &self,
        plan: &Reorganisation,
        stored: &StoredRecord,
        after: &Record,
        names: &HashMap<String, String>,
    ) -> Result<Vec<MovedWaiting>> {
        let known = |code: &str| name_of(plan, names, code);
        let mut moved = Vec::new();
        for waiting in self.store.waiting_of(&stored.record.key()).await? {
            let names_units = waiting.patch.fields().any(|field| UNIT_FIELDS.iter().any(|(code, _)| *code == field));
            if !names_units || !waiting.patch.conflicts(&stored.record).is_empty() {
                continue;
            }
            let Ok(then) = waiting.patch.apply(&stored.record) else { continue };
            let then = match plan.moves.apply(&then, &known) {
                Some(Ok(then)) => then,
                _ => then,
            };
            // A number that changes with the move is not changed back.
            let (patch, _) = Patch::between(after, &then).split(|field| field == "agency_personnel_number");
            moved.push(MovedWaiting { id: waiting.id, key: after.key(), patch });
        }
        Ok(moved)
    }

    async fn reorganise_record(
        &self,
        plan: &Reorganisation,
        record: &Handle,
        names: &HashMap<String, String>,
    ) -> Result<Moved> {
        for _ in 0..ATTEMPTS {
            // As it is now, with the portrait's bytes, which a page does not have.
            let current = self.store.record_named(record).await?.filter(|stored| stored.removed_at.is_none());
            let Some(stored) = current else { return Ok(Moved::Outside) };
            let after = match self.after(plan, &stored, names, Look::Now).await? {
                After::Moved(after, _) => *after,
                After::Outside => return Ok(Moved::Outside),
                After::Impossible(reason) => return Ok(Moved::Failed(reason)),
            };
            let origin =
                Origin { way: Way::Reorganisation, reference: plan.id.clone(), actor: plan.created_by.clone() };
            let confirmed_by = stored.standing.confirmed_at.and(stored.confirmed_by.clone());
            let card = self.card_step(&stored, &after, confirmed_by.is_some()).await?;
            let has_new_card = matches!(card, CardStep::Replace { .. });
            let new = IncomingRecord::of(&after, 0, stored.handle.clone());
            let (record, base_version, at) = (stored.handle.clone(), stored.version, self.clock.now());
            let base_confirmed_at = stored.standing.confirmed_at;
            let write = VersionWrite { record, base_version, base_confirmed_at, new, origin, confirmed_by, card, at };
            let waiting = self.waiting_after(plan, &stored, &after, names).await?;
            match self.store.move_record(write, waiting).await {
                Ok(_) => return Ok(Moved::Done { has_new_card }),
                Err(Error::Refusal(Refusal::MovedOn(_) | Refusal::CardState { .. })) => {}
                Err(Error::Refusal(_)) => return Ok(Moved::Failed("refused")),
                Err(fault) => return Err(fault),
            }
        }
        Ok(Moved::Failed("moved_on"))
    }

    /// What becomes of a record.
    async fn after(
        &self,
        plan: &Reorganisation,
        stored: &StoredRecord,
        names: &HashMap<String, String>,
        look: Look,
    ) -> Result<After> {
        let known = |code: &str| name_of(plan, names, code);
        let Some(mut after) = plan.moves.apply(&stored.record, &known) else { return Ok(After::Outside) };
        // In the unit where the plan has brought them, the number may be that of somebody else whom it names.
        if plan.moves.names_people() && self.store.was_moved_by(&stored.handle, &plan.id).await? {
            match plan.moves.of_units().apply(&stored.record, &known) {
                Some(again) => after = again,
                None => return Ok(After::Outside),
            }
        }
        let before = stored.record.key();
        let mut is_taken = false;
        if let Ok(record) = &after {
            let key = record.key();
            is_taken = match look {
                Look::Now => self.is_taken(&before, &key, &stored.handle).await?,
                Look::Ahead => self.will_be_taken(plan, &before, &key, &stored.handle).await?,
            };
            if is_taken {
                after = Moves::renumbered(record, &before);
            }
        }
        match after {
            Ok(after) => Ok(After::Moved(Box::new(after), is_taken)),
            Err(fault @ MovedFault::TooLong) => Ok(After::Impossible(reason_of(&fault))),
            Err(MovedFault::Unreadable(error)) => Err(Fault::new("moving a record to its new unit", error).into()),
        }
    }

    /// What units below level 1 are called after the day.
    async fn names_after(&self, plan: &Reorganisation) -> Result<HashMap<String, String>> {
        let mut names = HashMap::new();
        for (code, name) in self.store.unit_names().await? {
            if let Some(to) = plan.moves.destination(&code, None) {
                names.entry(to.code).or_insert(name);
            } else {
                names.insert(code, name);
            }
        }
        names.extend(plan.moves.named().map(|(code, name)| (code.to_owned(), name.to_owned())));
        Ok(names)
    }

    async fn cards_of_record(&self, record: &Handle) -> Result<Vec<Card>> {
        let now = self.clock.now();
        let mut cards = self.store.cards(&Selector::Record(record.clone()), 10).await?;
        cards.retain(|card| matches!(card.state_at(now), State::Active | State::Locked { .. }));
        Ok(cards)
    }
}

/// A step of a reorganisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReorganisationStep {
    /// It will act on its day.
    Start,
    /// No further wave.
    Pause,
    /// Further waves.
    Resume,
    /// Back to a plan, before its day.
    Undo,
}

/// What becomes of a record.
enum After {
    Outside,
    /// With whether its number changes.
    Moved(Box<Record>, bool),
    Impossible(&'static str),
}

/// From when a record is looked at.
#[derive(Clone, Copy)]
enum Look {
    /// It is moved now.
    Now,
    /// It will be moved when those before it have been.
    Ahead,
}

enum Moved {
    Outside,
    Done { has_new_card: bool },
    Failed(&'static str),
}

/// The word of a failure.
fn reason_of(fault: &MovedFault) -> &'static str {
    match fault {
        MovedFault::TooLong => "too_long",
        MovedFault::Unreadable(_) => "fault",
    }
}

/// What a unit is called after the day.
fn name_of(plan: &Reorganisation, names: &HashMap<String, String>, code: &str) -> Option<String> {
    let level_1 = agencies().on(code, plan.effective_on).map(|agency| agency.name_vi.clone());
    names.get(code).cloned().or(level_1)
}

/// Whether a caller may know of a record: of the own units, or of who works there.
fn sees(caller: &Caller, record: &Record) -> bool {
    let using = record.text("using_unit_code");
    caller.sees(&record.key().unit) || using.is_some_and(|unit| caller.sees(unit))
}

fn concerns(caller: &Caller, plan: &Reorganisation) -> bool {
    plan.moves.all().iter().any(|one| caller.sees(&one.from) || caller.sees(&one.to))
}
