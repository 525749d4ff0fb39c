//! An officer lends another one the right to decide about proposals, for some days, in a unit and below. Only an own
//! right can be lent, so there is no chain; it ends with the lender's own.

use super::{Caller, Service};
use crate::clock::DAY_SECONDS;
use crate::error::{Refusal, Result};
use crate::model::rights::Role;
use crate::model::unit::{UnitCode, is_within};
use crate::store::Delegation;

/// For how many days a right is lent.
pub const LENT_DAYS: std::ops::RangeInclusive<i64> = 1..=90;

/// What is to be lent.
#[derive(Clone, Debug)]
pub struct NewDelegation {
    /// To whom.
    pub borrower: String,
    /// In this unit and below.
    pub unit: String,
    /// For how long.
    pub days: i64,
    /// Whether it reaches proposals that take two reviewers.
    pub includes_sensitive: bool,
}

/// Whether a right in a unit can be lent to somebody, and used by them: they are of the unit or below it.
pub(super) fn may_borrow(borrower: &Caller, unit: &str) -> bool {
    let is_there = borrower.units().is_some_and(|own| !own.is_empty() && own.iter().all(|own| is_within(own, unit)));
    // Who is there to look changes nothing, whoever asks for it.
    is_there && !matches!(borrower.role(), Some(Role::Inspector | Role::Operator))
}

impl Service {
    /// The caller lends a right of their own.
    ///
    /// # Errors
    ///
    /// [`Refusal::MissingScope`] and [`Refusal::ForeignUnit`] for who has no such right, [`Refusal::NotFound`] for a
    /// borrower who is not of the unit or below it, [`Refusal::TooMuch`] for one too many.
    pub async fn lend(&self, caller: &Caller, new: NewDelegation) -> Result<Delegation> {
        caller.needs("updates:decide")?;
        let unit = UnitCode::parse(&new.unit);
        let unit = unit.ok_or_else(|| Refusal::malformed("body.unit", "must be a unit code such as H26.05"))?;
        caller.may_touch(unit.as_str())?;
        if !LENT_DAYS.contains(&new.days) {
            return Err(Refusal::malformed("body.days", "must be 1 to 90").into());
        }
        if new.borrower == caller.name {
            return Err(Refusal::malformed("body.to", "must be somebody else").into());
        }
        let borrower = self.caller_named(&new.borrower).await?;
        let borrower = borrower
            .filter(|borrower| may_borrow(borrower, unit.as_str()))
            .ok_or(Refusal::NotFound("officer in that unit or below it"))?;
        let now = self.clock.now();
        let delegation = Delegation {
            id: self.random_name(),
            lender: caller.name.clone(),
            borrower: borrower.name,
            unit: unit.to_string(),
            includes_sensitive: new.includes_sensitive,
            created_at: now,
            expires_at: now + new.days * DAY_SECONDS,
            revoked_at: None,
        };
        self.store.lend(delegation.clone()).await?;
        Ok(delegation)
    }

    /// The caller takes back what they lent.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`] when there is nothing of theirs in force.
    pub async fn take_back(&self, caller: &Caller, id: &str) -> Result<()> {
        caller.needs("updates:decide")?;
        if self.store.take_back(id, &caller.name, self.clock.now()).await? {
            Ok(())
        } else {
            Err(Refusal::NotFound("delegation").into())
        }
    }

    /// What the caller lent and may use, newest first.
    pub async fn delegations(
        &self,
        caller: &Caller,
        after: Option<(i64, String)>,
        limit: i64,
    ) -> Result<Vec<Delegation>> {
        caller.needs("updates:decide").or_else(|_| caller.needs("updates:read"))?;
        Ok(self.store.delegations(&caller.name, after, limit).await?)
    }
}
