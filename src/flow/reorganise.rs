//! Reorganisation of units: planned, looked at beforehand, acting by itself on its day, in waves that can be paused.
//!
//! ```text
//! draft ⇄ scheduled → running ⇄ paused → done        back to draft, or dropped: only before the day
//! ```
//!
//! On the day the unit register changes in one transaction; then every affected record gets a version whose units are the
//! new ones and, in the same transaction, its card is replaced. What the unit confirmed stays confirmed: the decision is the
//! State's own. Records are taken in the order of their names, so that a process that dies is followed by the next one, and
//! nothing is moved twice. A personnel number that the new unit has given to somebody else is led by the old unit's code.

use std::collections::HashMap;

use serde_json::Value;
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
use crate::model::reorganisation::{Moves, UNIT_FIELDS, UnitMove};
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
/// Faults after which a wave ends: it is then not the records.
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
            let page = self.store.records_under(&plan.moves.level_1(), &place, PAGE).await?;
            let is_last = i64::try_from(page.len()).is_ok_and(|length| length < PAGE);
            for stored in page {
                place = stored.handle.to_string();
                let seen = caller.sees(&stored.record.key().unit);
                if let Some((after, renumbered)) = self.after(&plan, &stored, &names).await?.filter(|_| seen) {
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

    /// How many people and cards are affected: reads every record of the level-1 units that people leave.
    pub async fn count_reorganisation(&self, caller: &Caller, id: &str) -> Result<Totals> {
        let plan = self.reorganisation(caller, id).await?;
        let names = self.names_after(&plan).await?;
        let (mut totals, mut place) = (Totals::default(), String::new());
        loop {
            let page = self.store.records_under(&plan.moves.level_1(), &place, 1_000).await?;
            let Some(last) = page.last() else { return Ok(totals) };
            place = last.handle.to_string();
            for stored in page.iter().filter(|stored| caller.sees(&stored.record.key().unit)) {
                let Some((_, renumbered)) = self.after(&plan, stored, &names).await? else { continue };
                totals.records += 1;
                totals.renumbered += u64::from(renumbered);
                for card in self.cards_of_record(&stored.handle).await? {
                    *(if matches!(card.state, State::Locked { .. }) {
                        &mut totals.locked
                    } else {
                        &mut totals.cards
                    }) += 1;
                }
            }
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
        let (from, to): (&'static [Stage], Stage) = match step {
            ReorganisationStep::Start => (&[Stage::Draft], Stage::Scheduled),
            ReorganisationStep::Pause => (&[Stage::Running], Stage::Paused),
            ReorganisationStep::Resume => (&[Stage::Paused], Stage::Running),
            ReorganisationStep::Undo => (&[Stage::Scheduled], Stage::Draft),
        };
        if !self.store.step_reorganisation(id, from, to, &caller.name, self.clock.now()).await? {
            return Err(Refusal::MovedOn("reorganisation").into());
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
            if plan.state == Stage::Scheduled && !self.store.begin_reorganisation(&plan, self.clock.now()).await? {
                continue;
            }
            for _ in 0..WAVES {
                let Some(plan) = self.store.reorganisation(&plan.id).await? else { break };
                if !self.store.lease_wave(&plan, self.clock.now()).await? {
                    break;
                }
                let wave = self.wave(&plan).await?;
                moved += wave.moved;
                let is_last = wave.is_last;
                self.store.end_wave(&plan.id, wave, self.clock.now()).await?;
                if is_last {
                    break;
                }
            }
        }
        Ok(moved)
    }

    async fn wave(&self, plan: &Reorganisation) -> Result<Wave> {
        let page = self.store.records_under(&plan.moves.level_1(), &plan.place, plan.wave_size).await?;
        let is_last = i64::try_from(page.len()).is_ok_and(|length| length < plan.wave_size);
        let place = page.last().map_or_else(|| plan.place.clone(), |stored| stored.handle.to_string());
        let mut wave = Wave { place, is_last, ..Wave::default() };
        let names = self.names_after(plan).await?;
        let mut faults = 0;
        for stored in page {
            if plan.moves.apply(&stored.record, &|_| None).is_none() {
                continue;
            }
            match self.reorganise_record(plan, &stored.handle, &names).await {
                Ok(Moved::Outside) => {}
                Ok(Moved::Done { has_new_card }) => {
                    wave.moved += 1;
                    wave.cards += i64::from(has_new_card);
                }
                Ok(Moved::Failed(reason)) => wave.failures.push((stored.handle, reason)),
                // One record that cannot be read keeps no other from its new unit; several are not the records.
                Err(error) => {
                    tracing::error!(%error, record = stored.handle.as_str(), "a record could not be moved");
                    faults += 1;
                    if faults >= MOST_FAULTS {
                        return Err(error);
                    }
                    wave.failures.push((stored.handle, "fault"));
                }
            }
        }
        if is_last {
            self.move_newcomers(plan, &names).await?;
        }
        Ok(wave)
    }

    /// Records that are still to come go to the new units, too: what waits for their day says so.
    async fn move_newcomers(&self, plan: &Reorganisation, names: &HashMap<String, String>) -> Result<()> {
        let known = |code: &str| name_of(plan, names, code);
        for top in plan.moves.level_1() {
            let mut place = String::new();
            loop {
                let page = self.store.waiting_in(top, &place, PAGE).await?;
                let Some(last) = page.last() else { break };
                place.clone_from(&last.id);
                let mut moved = Vec::new();
                for waiting in page.into_iter().filter(|waiting| waiting.base_version == 0) {
                    if self.store.record(&waiting.key).await?.is_some_and(|stored| stored.removed_at.is_none()) {
                        continue;
                    }
                    let Some(catalogue) = Catalogue::version(&waiting.catalogue) else { continue };
                    let empty = Record::empty(catalogue);
                    let Ok(record) = waiting.patch.apply(&empty) else { continue };
                    if let Some(Ok(after)) = plan.moves.apply(&record, &known) {
                        let (key, patch) = (after.key(), Patch::between(&empty, &after));
                        moved.push(MovedWaiting { id: waiting.id, key, patch });
                    }
                }
                self.store.move_waiting(moved).await?;
            }
        }
        Ok(())
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
            let Some((after, _)) = self.after(plan, &stored, names).await? else { return Ok(Moved::Outside) };
            let origin =
                Origin { way: Way::Reorganisation, reference: plan.id.clone(), actor: plan.created_by.clone() };
            let confirmed_by = stored.standing.confirmed_at.and(stored.confirmed_by.clone());
            let card = self.card_step(&stored, &after, confirmed_by.is_some()).await?;
            let has_new_card = matches!(card, CardStep::Replace { .. });
            let new = IncomingRecord::of(&after, 0, stored.handle.clone());
            let (record, base_version, at) = (stored.handle.clone(), stored.version, self.clock.now());
            let write = VersionWrite { record, base_version, new, origin, confirmed_by, card, at };
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

    /// What a record says afterwards, and whether its number changes; `None` for one that is not affected.
    async fn after(
        &self,
        plan: &Reorganisation,
        stored: &StoredRecord,
        names: &HashMap<String, String>,
    ) -> Result<Option<(Record, bool)>> {
        let known = |code: &str| name_of(plan, names, code);
        let Some(after) = plan.moves.apply(&stored.record, &known) else { return Ok(None) };
        let after = after.map_err(|error| Fault::new("moving a record to its new unit", error))?;
        let (old, new) = (stored.record.key(), after.key());
        let is_taken = new != old && self.store.record(&new).await?.is_some_and(|other| other.handle != stored.handle);
        if !is_taken {
            return Ok(Some((after, false)));
        }
        let mut members = after.members();
        let RecordKey { unit, number } = old;
        members.insert("agency_personnel_number".to_owned(), Value::from(format!("{unit}-{number}")));
        let renamed = after.amended(members);
        let renamed = renamed.map_err(|error| Fault::new("moving a record to its new unit", error))?;
        Ok(Some((renamed, true)))
    }

    /// What units below level 1 are called after the day.
    async fn names_after(&self, plan: &Reorganisation) -> Result<HashMap<String, String>> {
        let mut names = HashMap::new();
        for (code, name) in self.store.unit_names().await? {
            if let Some(to) = plan.moves.destination(&code, "") {
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

enum Moved {
    Outside,
    Done { has_new_card: bool },
    Failed(&'static str),
}

/// What a unit is called after the day.
fn name_of(plan: &Reorganisation, names: &HashMap<String, String>, code: &str) -> Option<String> {
    let level_1 = agencies().on(code, plan.effective_on).map(|agency| agency.name_vi.clone());
    names.get(code).cloned().or(level_1)
}

fn concerns(caller: &Caller, plan: &Reorganisation) -> bool {
    plan.moves.all().iter().any(|one| caller.sees(&one.from) || caller.sees(&one.to))
}
