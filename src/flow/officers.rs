//! Who the officers are: entered, changed, blocked. Operators manage everybody but themselves, a unit head the clerks
//! and confirmers of the own unit and below; nobody changes an account of their own.

use serde::{Deserialize, Deserializer};

use super::{Caller, Service};
use crate::clock::UnixSeconds;
use crate::error::{Refusal, Result};
use crate::model::calendar::day_of;
use crate::model::id::{Handle, PersonalNumber};
use crate::model::officer::{Officer, OfficerState};
use crate::model::rights::{Reach, Role, rights};
use crate::model::text::normalised;
use crate::model::unit::{UnitCode, UnitDirectory};
use crate::store::{OfficerChange, OfficerFilter};

/// An officer that is to be entered.
#[derive(Clone, Debug)]
pub struct NewOfficer {
    /// The account at the sign-in.
    pub subject: String,
    /// The person's name.
    pub name: String,
    /// The unit; none for the whole nation.
    pub unit: Option<String>,
    /// What they may do.
    pub role: Role,
    /// When the account ends by itself.
    pub valid_until: Option<UnixSeconds>,
    /// The person, if it is known who must own the account.
    pub person: Option<PersonalNumber>,
}

/// What is to become of an officer; what is not named stays.
#[derive(Clone, Debug, Default)]
pub struct OfficerEdit {
    /// The account as it was when the caller looked at it.
    pub revision: i64,
    /// The account at the sign-in, where its provider calls it otherwise now.
    pub subject: Option<String>,
    /// The name.
    pub name: Option<String>,
    /// The unit, or none.
    pub unit: Edit<String>,
    /// The role.
    pub role: Option<Role>,
    /// When the account ends, or never.
    pub valid_until: Edit<UnixSeconds>,
}

/// What becomes of something that may be there or not. In JSON: absent, null, or a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Edit<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It becomes this, or nothing.
    Set(Option<T>),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Edit<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self::Set)
    }
}

/// Which officers are looked for.
#[derive(Clone, Debug, Default)]
pub struct OfficerQuery {
    /// Of this unit or below it.
    pub unit: Option<String>,
    /// Of this role.
    pub role: Option<Role>,
    /// In this state.
    pub state: Option<OfficerState>,
    /// Those that come after this one.
    pub after: Option<Handle>,
}

impl Service {
    /// One officer, whoever asks: for stories that name one.
    pub async fn officer(&self, id: &str) -> Result<Option<Officer>> {
        match Handle::parse(id) {
            Some(id) => Ok(self.store.officer(&id).await?),
            None => Ok(None),
        }
    }

    /// One officer that the caller may see.
    pub async fn find_officer(&self, caller: &Caller, id: &Handle) -> Result<Officer> {
        caller.needs("officers:read")?;
        self.visible_officer(caller, id).await
    }

    /// Officers by name, at most `limit`, and whether there are more.
    pub async fn find_officers(
        &self,
        caller: &Caller,
        query: OfficerQuery,
        limit: usize,
    ) -> Result<(Vec<Officer>, bool)> {
        caller.needs("officers:read")?;
        if let Some(unit) = &query.unit {
            caller.may_touch(unit)?;
        }
        let filter = OfficerFilter {
            units: caller.units().map(<[String]>::to_vec),
            unit: query.unit,
            role: query.role,
            state: query.state,
            after: query.after,
            ..OfficerFilter::default()
        };
        self.officer_page(filter, limit).await
    }

    /// Who works around `unit`, or around the caller's own units: in them, below, above, and for the nation. For their
    /// names only: colleagues write to each other and lend each other rights without managing accounts.
    pub async fn colleagues(&self, caller: &Caller, query: OfficerQuery, limit: usize) -> Result<(Vec<Officer>, bool)> {
        caller.needs("updates:read").or_else(|_| caller.needs("records:read"))?;
        if let Some(unit) = &query.unit {
            caller.may_touch(unit)?;
        }
        let around = query.unit.map_or_else(|| caller.units().map(<[String]>::to_vec), |unit| Some(vec![unit]));
        let filter = OfficerFilter {
            around,
            role: query.role,
            state: query.state,
            after: query.after,
            ..OfficerFilter::default()
        };
        self.officer_page(filter, limit).await
    }

    async fn officer_page(&self, filter: OfficerFilter, limit: usize) -> Result<(Vec<Officer>, bool)> {
        let filter = OfficerFilter { limit: i64::try_from(limit + 1).unwrap_or(i64::MAX), ..filter };
        let mut officers = self.store.officers(&filter, self.clock.now()).await?;
        let has_more = officers.len() > limit;
        officers.truncate(limit);
        Ok((officers, has_more))
    }

    /// Enters an officer.
    pub async fn add_officer(&self, caller: &Caller, new: NewOfficer) -> Result<Officer> {
        caller.needs("officers:write")?;
        let officer = Officer {
            id: Handle::random(&self.chance),
            subject: new.subject,
            name: normalised(&new.name).into_owned(),
            unit: new.unit,
            role: new.role,
            person: new.person.as_ref().map(|person| self.person_key(person)),
            valid_until: new.valid_until,
            blocked_at: None,
            signed_in_at: None,
            created_at: self.clock.now(),
            revision: 1,
        };
        check_subject(&officer.subject)?;
        self.check_officer(&officer).await?;
        may_manage(caller, &officer)?;
        self.store.add_officer(officer.clone(), caller.name.clone()).await?;
        Ok(officer)
    }

    /// Changes an officer. What changes their rights ends their sessions.
    pub async fn edit_officer(&self, caller: &Caller, id: &Handle, edit: OfficerEdit) -> Result<Officer> {
        caller.needs("officers:write")?;
        let old = self.visible_officer(caller, id).await?;
        may_manage(caller, &old)?;
        // What was looked at is what was judged just now, and what is changed below.
        if edit.revision != old.revision {
            return Err(Refusal::MovedOn("officer").into());
        }
        let mut officer = old.clone();
        let mut changed = Vec::new();
        if let Some(subject) = edit.subject {
            check_subject(&subject)?;
            officer.subject = subject;
            changed.push("subject".to_owned());
        }
        if let Some(name) = edit.name {
            officer.name = normalised(&name).into_owned();
            changed.push("name".to_owned());
        }
        if let Edit::Set(unit) = edit.unit {
            changed.push(format!("unit {}", unit.as_deref().unwrap_or("*")));
            officer.unit = unit;
        }
        if let Some(role) = edit.role {
            officer.role = role;
            changed.push(format!("role {role}"));
        }
        if let Edit::Set(valid_until) = edit.valid_until {
            officer.valid_until = valid_until;
            changed.push("valid_until".to_owned());
        }
        if changed.is_empty() {
            return Err(Refusal::malformed("body", "names nothing to change").into());
        }
        self.check_officer(&officer).await?;
        // As it was, and as it shall be: nobody lifts an account out of what they may give.
        may_manage(caller, &officer)?;
        // Who sits there signed in by the old account.
        let ends_sessions = (&officer.unit, officer.role, &officer.subject) != (&old.unit, old.role, &old.subject);
        self.change(caller, officer, "officer.changed", changed.join(", "), ends_sessions).await
    }

    /// Blocks an officer, whose sessions end with that, or lets them work again.
    pub async fn block_officer(&self, caller: &Caller, id: &Handle, is_blocked: bool) -> Result<Officer> {
        caller.needs("officers:write")?;
        let officer = self.visible_officer(caller, id).await?;
        may_manage(caller, &officer)?;
        if officer.blocked_at.is_some() == is_blocked {
            return Ok(officer);
        }
        let blocked_at = is_blocked.then(|| self.clock.now());
        let action = if is_blocked { "officer.blocked" } else { "officer.unblocked" };
        self.change(caller, Officer { blocked_at, ..officer }, action, String::new(), is_blocked).await
    }

    async fn change(
        &self,
        caller: &Caller,
        officer: Officer,
        action: &'static str,
        detail: String,
        ends_sessions: bool,
    ) -> Result<Officer> {
        let (actor, at) = (caller.name.clone(), self.clock.now());
        self.store.change_officer(OfficerChange { officer, action, detail, ends_sessions, actor, at }).await
    }

    async fn visible_officer(&self, caller: &Caller, id: &Handle) -> Result<Officer> {
        let found = self.store.officer(id).await?;
        let visible = found.filter(|officer| sees(caller, officer.unit.as_deref()));
        visible.ok_or_else(|| Refusal::NotFound("officer").into())
    }

    /// Names that can be shown, and a unit where the role takes one.
    async fn check_officer(&self, officer: &Officer) -> Result<()> {
        if !Officer::is_name(&officer.name) {
            return Err(Refusal::malformed("body.name", "must be 1 to 200 characters").into());
        }
        let unit = match (rights().reach(officer.role), officer.unit.as_deref()) {
            (Reach::Unit, None) => return Err(Refusal::malformed("body.unit", "this role takes a unit").into()),
            (Reach::Nation, Some(_)) => {
                return Err(Refusal::malformed("body.unit", "this role is for the whole nation").into());
            }
            (_, None) => return Ok(()),
            (_, Some(unit)) => unit,
        };
        let wrong = || Refusal::malformed("body.unit", "is not the code of a unit");
        let code = UnitCode::parse(unit).filter(|code| code.as_str() == unit).ok_or_else(wrong)?;
        let units = self.store.units_named(day_of(self.clock.now()), &[code.as_str()]).await?;
        if units.has_unit(code.as_str()) { Ok(()) } else { Err(wrong().into()) }
    }
}

fn check_subject(subject: &str) -> Result<(), Refusal> {
    let wrong = || Refusal::malformed("body.subject", "must be 1 to 255 printable ASCII characters");
    if Officer::is_subject(subject) { Ok(()) } else { Err(wrong()) }
}

fn sees(caller: &Caller, unit: Option<&str>) -> bool {
    unit.map_or_else(|| caller.units().is_none(), |unit| caller.sees(unit))
}

/// Refuses a caller that may not make or change an account such as this.
fn may_manage(caller: &Caller, officer: &Officer) -> Result<(), Refusal> {
    if !sees(caller, officer.unit.as_deref()) {
        return Err(Refusal::ForeignUnit);
    }
    match caller.role() {
        Some(_) if caller.name == officer.id.as_str() => {
            Err(Refusal::NotManageable("nobody changes an account of their own"))
        }
        Some(role) if !rights().manages(role, officer.role) => {
            Err(Refusal::NotManageable("your role does not manage accounts of that role"))
        }
        // A program stands for nobody who answers for it.
        None if !caller.is_operator() && officer.role == Role::Operator => {
            Err(Refusal::NotManageable("a program does not manage operators"))
        }
        _ => Ok(()),
    }
}
