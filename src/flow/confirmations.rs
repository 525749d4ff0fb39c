//! The unit's word on records that others sent: what waits for it, side by side with what the unit confirmed last; given to
//! exactly the version that was seen, not by whom it is about, and not by who uploaded it while the record's unit has
//! somebody else; or refused, and the version goes back to who sent it.

use std::collections::HashSet;

use super::decide::reason_of;
use super::enroll::unit_code;
use super::review::{FieldChange, side_by_side};
use super::{Caller, Service};
use crate::error::{Refusal, Result};
use crate::model::id::Handle;
use crate::model::patch::Patch;
use crate::model::record::Record;
use crate::model::review::Occasion;
use crate::model::rights::{Role, rights};
use crate::store::{ConfirmationFilter, Own, Said, Sent, Unconfirmed};

/// The purpose under which a look at what waits is written down.
const PURPOSE: &str = "unit.confirmation";
/// Working days in which the unit gives its word (Decree 27/2026/NĐ-CP: three after a change).
const WORKING_DAYS: u32 = 3;
/// Records that one call confirms at most.
const MOST_SEEN: usize = 1_000;

/// Which records are listed.
#[derive(Clone, Debug)]
pub struct ConfirmationRequest {
    /// Of this unit and below.
    pub unit: Option<String>,
    /// Those that were sent back, or those that wait.
    pub is_returned: bool,
    /// Unit and handle of the last one that was told.
    pub after: Option<(String, String)>,
    /// Most of them.
    pub limit: i64,
}

/// A record that waits for the unit's word, as one caller sees it.
#[derive(Clone, Debug)]
pub struct Confirmation {
    /// It.
    pub waiting: Unconfirmed,
    /// What it says (`new`, `now`) beside what the unit confirmed last (`old`).
    pub changes: Vec<FieldChange>,
    /// Until when the unit has to say something.
    pub due_at: i64,
    /// Why the caller may not confirm it.
    pub why_not: Option<&'static str>,
}

impl Service {
    /// Records of the caller's units and below that wait for the unit's word. Written down as a look at each.
    ///
    /// # Errors
    ///
    /// [`Refusal::ForeignUnit`] for a unit that the caller does not see.
    pub async fn confirmations(&self, caller: &Caller, request: ConfirmationRequest) -> Result<Vec<Confirmation>> {
        caller.needs("records:read")?;
        if let Some(unit) = &request.unit {
            caller.may_touch(unit)?;
        }
        let filter = ConfirmationFilter {
            visible: caller.units().map(<[String]>::to_vec),
            unit: request.unit,
            is_returned: request.is_returned,
            officer: caller.name.clone(),
            after: request.after,
            limit: request.limit,
        };
        let waiting = self.store.unconfirmed(filter).await?;
        let names: Vec<_> = waiting.iter().map(|one| one.handle.clone()).collect();
        self.store.note_read(&caller.name, &names, PURPOSE, self.clock.now()).await?;
        let (book, calendar) = (self.code_book().await?, self.store.calendar().await?);
        let may_confirm = caller.needs("records:confirm").is_ok();
        let others = self.other_confirmers(caller).await?;
        let mut confirmations = Vec::with_capacity(waiting.len());
        for one in waiting {
            let why_not = if !may_confirm {
                Some("scope")
            } else if one.record.personal_number().is_some_and(|person| self.is_own(caller, &person)) {
                Some("self")
            } else if one.is_own && has_one(&others, &one.record.key().unit) {
                Some("own")
            } else {
                None
            };
            let before = one.confirmed.as_ref().map(|(_, record)| record.clone());
            let before = before.unwrap_or_else(|| Record::empty(one.record.catalogue()));
            let changes = side_by_side(&Patch::between(&before, &one.record), &one.record, &book);
            let due_at = calendar.end_of_working_day_after(one.since, WORKING_DAYS);
            confirmations.push(Confirmation { waiting: one, changes, due_at, why_not });
        }
        Ok(confirmations)
    }

    /// The unit's word on exactly what was seen: handle and version of each. What each became is told.
    pub async fn confirm_seen(
        &self,
        caller: &Caller,
        unit: &str,
        seen: Vec<(Handle, i64)>,
    ) -> Result<Vec<(Handle, Said)>> {
        caller.needs("records:confirm")?;
        let unit = unit_code(unit)?;
        caller.may_touch(unit.as_str())?;
        if !(1..=MOST_SEEN).contains(&seen.len()) {
            return Err(Refusal::malformed("body.records", format!("must be 1 to {MOST_SEEN} records")).into());
        }
        let handles: Vec<_> = seen.iter().map(|(handle, _)| handle.clone()).collect();
        let own = self.own_of(caller, unit.as_str(), Some(&handles)).await?;
        self.store.confirm_seen(unit.as_str(), seen, &caller.name, own, self.clock.now()).await
    }

    /// What of the records that wait in a unit and below, or of these, is the caller's own.
    pub(super) async fn own_of(&self, caller: &Caller, unit: &str, among: Option<&[Handle]>) -> Result<Own> {
        let others = self.other_confirmers(caller).await?;
        let (mut alone_in, mut own) = (HashSet::new(), None);
        for (unit, person) in self.store.unconfirmed_people(unit, among).await? {
            own = own.or_else(|| person.filter(|person| self.is_own(caller, person)));
            if !has_one(&others, &unit) {
                alone_in.insert(unit);
            }
        }
        Ok(Own { alone_in: alone_in.into_iter().collect(), person: own })
    }

    /// The version goes back to who sent it, with a reason; it stays unconfirmed.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`] for a record that the caller does not see, [`Refusal::NotImpartial`] for one about themselves,
    /// [`Refusal::MovedOn`] when there is another version by now or the unit's word is given.
    pub async fn return_record(
        &self,
        caller: &Caller,
        record: &Handle,
        version: i64,
        reason: &str,
        note: Option<&str>,
    ) -> Result<()> {
        caller.needs("records:confirm")?;
        let stored = self.store.record_named(record).await?.filter(|stored| stored.removed_at.is_none());
        let stored =
            stored.filter(|stored| caller.sees(&stored.record.key().unit)).ok_or(Refusal::NotFound("record"))?;
        if stored.record.personal_number().is_some_and(|person| self.is_own(caller, &person)) {
            return Err(Refusal::NotImpartial("nobody sends a record about themselves back").into());
        }
        let (reason, note) = reason_of(reason, note, Occasion::Confirmation)?;
        let (note, officer) = (note.unwrap_or_default(), caller.name.clone());
        self.store.return_record(record, version, Sent { reason, note, officer, at: self.clock.now() }).await
    }

    /// The units of everybody else who gives the unit's word. An officer's peers are officers who are not the nation's; a
    /// program's are programs.
    async fn other_confirmers(&self, caller: &Caller) -> Result<HashSet<String>> {
        if caller.is_officer() {
            let allowed = Role::ALL.into_iter().filter(|role| rights().allows(*role, "records:confirm"));
            let roles: Vec<_> = allowed.map(Role::word).collect();
            return Ok(self.store.officers_units(&roles, &caller.name, self.clock.now()).await?);
        }
        let confirms = |scopes: &[String]| scopes.iter().any(|scope| scope == "records:confirm");
        let others = self.config.clients.iter().filter(|client| client.name != caller.name && confirms(&client.scopes));
        Ok(others.filter_map(|client| client.units.clone()).flatten().collect())
    }
}

/// Whether one of these units is the unit itself or above it.
fn has_one(units: &HashSet<String>, unit: &str) -> bool {
    std::iter::successors(Some(unit), |unit| unit.rsplit_once('.').map(|(above, _)| above))
        .any(|unit| units.contains(unit))
}
