//! Gates: made, changed and closed by the unit that runs them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{Caller, Service, is_random_name};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Refusal, Result};
use crate::model::gate::{Duty, GatePolicy, MAX_AGENCIES, MAX_DUTY, MAX_DUTY_SECONDS, MAX_NAME, Position};
use crate::model::id::Handle;
use crate::model::text::normalised;
use crate::model::unit::UnitCode;
use crate::store::Gate;

const SCOPE: &str = "gates:write";

/// The rules of a gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GateRules {
    /// The unit that runs the gate: one of yours, or below one. It cannot be changed.
    #[schema(example = "H26")]
    pub unit: String,
    /// The gate's name, 1 to 120 characters.
    #[schema(example = "Cổng chính")]
    pub name: String,
    /// Agency codes that are let in, each with all below it; at most 64. None means every agency.
    #[serde(default)]
    #[schema(example = json!(["H26"]))]
    pub agencies: Vec<String>,
    /// The lowest position: `nhan-vien`, `chuyen-vien`, `chuyen-vien-chinh`, `chuyen-vien-cao-cap`, `pho-truong-phong`,
    /// `truong-phong`, `pho-giam-doc`, `giam-doc`, `thu-truong` or `bo-truong`. The order is this system's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_position: Option<String>,
    /// Only these people, at these times; at most 2,000 entries. Absent means that duty does not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duty: Option<Vec<DutyEntry>>,
    /// The holder must type the digits that the checker shows.
    #[serde(default)]
    pub challenge_required: bool,
    /// Printed badges are accepted.
    #[serde(default = "yes")]
    pub copies_accepted: bool,
}

/// Somebody on duty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DutyEntry {
    /// The card.
    #[schema(example = "7Q2M8K3D5N9R1T4V")]
    pub card: String,
    /// From when (Unix seconds).
    pub from: UnixSeconds,
    /// Until when; at most 31 days later.
    pub until: UnixSeconds,
}

/// A gate as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct GateState {
    /// Its random id: who has it can install a checkpoint there, so hand it to nobody else.
    pub id: String,
    /// Its rules.
    #[serde(flatten)]
    pub rules: GateRules,
    /// Where a checkpoint fetches the signed rules.
    pub document: String,
    /// The link that installs a checkpoint.
    pub install: String,
    /// When it was changed last (Unix seconds).
    pub changed_at: UnixSeconds,
    /// When it was closed (Unix seconds).
    pub closed_at: Option<UnixSeconds>,
}

fn yes() -> bool {
    true
}

impl Service {
    /// Makes a gate.
    pub async fn open_gate(&self, caller: &Caller, rules: GateRules) -> Result<GateState> {
        caller.needs(SCOPE)?;
        let rules = checked(rules)?;
        caller.may_touch(&rules.unit)?;
        let now = self.clock.now();
        let gate = Gate {
            id: self.random_name(),
            unit: rules.unit.clone(),
            rules: to_text(&rules)?,
            salt: STANDARD.encode(self.chance.bytes::<16>()),
            revision: 1,
            created_at: now,
            changed_at: now,
            closed_at: None,
        };
        self.store.open_gate(gate.clone(), caller.name.clone()).await?;
        self.gate_state(gate)
    }

    /// A gate of the caller's units.
    pub async fn gate(&self, caller: &Caller, id: &str) -> Result<GateState> {
        self.gate_state(self.own_gate(caller, id).await?)
    }

    /// Gives a gate other rules.
    pub async fn change_gate(&self, caller: &Caller, id: &str, rules: GateRules) -> Result<GateState> {
        let gate = self.own_gate(caller, id).await?;
        let rules = checked(rules)?;
        if rules.unit != gate.unit {
            return Err(Refusal::malformed("body.unit", "cannot be changed: open a gate of the other unit").into());
        }
        let (text, now) = (to_text(&rules)?, self.clock.now());
        self.store.change_gate(gate.id, gate.unit, Some(text), caller.name.clone(), now).await?;
        self.gate(caller, id).await
    }

    /// Closes a gate for good: its checkpoints stop when they learn it.
    pub async fn close_gate(&self, caller: &Caller, id: &str) -> Result<()> {
        let gate = self.own_gate(caller, id).await?;
        self.store.change_gate(gate.id, gate.unit, None, caller.name.clone(), self.clock.now()).await
    }

    async fn own_gate(&self, caller: &Caller, id: &str) -> Result<Gate> {
        caller.needs(SCOPE)?;
        let gate = self.gate_row(id).await?;
        // Whether others have a gate of this name is nobody's business.
        if caller.sees(&gate.unit) { Ok(gate) } else { Err(Refusal::NotFound("gate").into()) }
    }

    pub(super) async fn gate_row(&self, id: &str) -> Result<Gate> {
        let gate = if is_random_name(id) { self.store.gate(id).await? } else { None };
        gate.ok_or(Refusal::NotFound("gate").into())
    }

    /// The name and policy of a gate.
    pub(super) fn policy_of(gate: &Gate) -> Result<(String, GatePolicy), Fault> {
        let doing = "reading a gate's rules";
        let rules: GateRules = serde_json::from_str(&gate.rules).map_err(|error| Fault::new(doing, error))?;
        let salt = STANDARD.decode(&gate.salt).map_err(|error| Fault::new(doing, error))?;
        let mark = |entry: &DutyEntry| (Duty::mark(&salt, &entry.card), entry.from, entry.until);
        let entries = rules.duty.as_ref().map(|duty| {
            let mut entries: Vec<_> = duty.iter().map(mark).collect();
            entries.sort_unstable();
            entries
        });
        // A step that only a newer program knows must not read as none.
        let unknown = || Fault::new(doing, "its minimum position is not known");
        let minimum_position = rules.minimum_position.as_deref().map(|name| Position::named(name).ok_or_else(unknown));
        let minimum_position = minimum_position.transpose()?;
        let policy = GatePolicy {
            agencies: rules.agencies,
            minimum_position,
            duty: entries.map(|entries| Duty { salt, entries }),
            challenge_required: rules.challenge_required,
            copies_accepted: rules.copies_accepted,
        };
        Ok((rules.name, policy))
    }

    fn gate_state(&self, gate: Gate) -> Result<GateState> {
        let rules = serde_json::from_str(&gate.rules).map_err(|error| Fault::new("reading a gate's rules", error))?;
        let public_url = &self.config.public_url;
        Ok(GateState {
            document: format!("{public_url}/checkpoint/data/gates/{}", gate.id),
            // In the fragment: it stands in no log.
            install: format!("{public_url}/checkpoint#gate={}", gate.id),
            id: gate.id,
            rules,
            changed_at: gate.changed_at,
            closed_at: gate.closed_at,
        })
    }
}

fn to_text(rules: &GateRules) -> Result<String, Fault> {
    serde_json::to_string(rules).map_err(|error| Fault::new("keeping a gate's rules", error))
}

/// Rules within their bounds, in the form in which they are kept.
fn checked(mut rules: GateRules) -> Result<GateRules, Refusal> {
    let wrong = |place: &str, rule: &str| Err(Refusal::malformed(format!("body.{place}"), rule));
    let code = |place: String, code: &str| match UnitCode::parse(code) {
        Some(code) => Ok(code.as_str().to_owned()),
        None => Err(Refusal::malformed(place, "is not a unit code of Decision 20/2020/QĐ-TTg")),
    };
    rules.unit = code("body.unit".into(), &rules.unit)?;
    rules.name = normalised(&rules.name).into_owned();
    if rules.name.is_empty() || rules.name.chars().count() > MAX_NAME || rules.name.chars().any(char::is_control) {
        return wrong("name", "must have 1 to 120 characters");
    }
    if rules.agencies.len() > MAX_AGENCIES {
        return wrong("agencies", "has at most 64 codes");
    }
    for (at, agency) in rules.agencies.iter_mut().enumerate() {
        *agency = code(format!("body.agencies[{at}]"), agency)?;
    }
    if rules.minimum_position.as_deref().is_some_and(|name| Position::named(name).is_none()) {
        let names: Vec<_> = Position::names().collect();
        return wrong("minimum_position", &format!("must be one of {}", names.join(", ")));
    }
    let duty = rules.duty.as_deref_mut().unwrap_or_default();
    if duty.len() > MAX_DUTY {
        return wrong("duty", "has at most 2000 entries");
    }
    for (at, entry) in duty.iter_mut().enumerate() {
        let place = |member| format!("duty[{at}].{member}");
        let Some(card) = Handle::parse(&entry.card) else {
            return wrong(&place("card"), "is not the name of a card");
        };
        card.as_str().clone_into(&mut entry.card);
        let seconds = entry.until.checked_sub(entry.from);
        if !seconds.is_some_and(|seconds| (1..=MAX_DUTY_SECONDS).contains(&seconds)) {
            return wrong(&place("until"), "must be later than from, by 31 days at most");
        }
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_of_a_newer_program_is_not_absent() {
        let gate = |rules: &str| Gate {
            id: "gate".into(),
            unit: "H26".into(),
            rules: rules.into(),
            salt: String::new(),
            revision: 1,
            created_at: 1,
            changed_at: 1,
            closed_at: None,
        };
        let policy = |rules| Service::policy_of(&gate(rules)).map(|(_, policy)| policy.minimum_position);
        let known = policy(r#"{"unit": "H26", "name": "Cổng", "minimum_position": "truong-phong"}"#);
        assert_eq!(known.unwrap(), Position::named("truong-phong"));
        assert!(policy(r#"{"unit": "H26", "name": "Cổng", "minimum_position": "a-later-one"}"#).is_err());
        assert!(policy(r#"{"unit": "H26", "name": "Cổng", "a_later_rule": true}"#).is_err());
    }
}
