//! Gates and their rules.

use sqlx::Row;

use super::{Change, Line, Store, Transaction, failed};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Refusal, Result};

/// A gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Its random id.
    pub id: String,
    /// The unit that runs it.
    pub unit: String,
    /// Its rules, in JSON.
    pub rules: String,
    /// The salt of its list of people on duty, in base64.
    pub salt: String,
    /// Grows with every change.
    pub revision: i64,
    /// When it was made.
    pub created_at: UnixSeconds,
    /// When it was changed last.
    pub changed_at: UnixSeconds,
    /// When it was closed.
    pub closed_at: Option<UnixSeconds>,
}

impl Store {
    /// One gate, closed or not.
    pub async fn gate(&self, id: &str) -> Result<Option<Gate>, Fault> {
        let row = sqlx::query(
            "SELECT id, unit, rules, salt, revision, created_at, changed_at, closed_at FROM gates WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(self.readers())
        .await
        .map_err(failed("reading a gate"))?;
        row.map(|row| -> Result<_, sqlx::Error> {
            Ok(Gate {
                id: row.try_get(0)?,
                unit: row.try_get(1)?,
                rules: row.try_get(2)?,
                salt: row.try_get(3)?,
                revision: row.try_get(4)?,
                created_at: row.try_get(5)?,
                changed_at: row.try_get(6)?,
                closed_at: row.try_get(7)?,
            })
        })
        .transpose()
        .map_err(failed("reading a gate"))
    }

    /// Opens a gate.
    pub async fn open_gate(&self, gate: Gate, actor: String) -> Result<()> {
        self.write(OpenGate { gate, actor }).await
    }

    /// Changes the rules of a gate of this unit that is open, or closes it (no rules).
    pub async fn change_gate(
        &self,
        id: String,
        unit: String,
        rules: Option<String>,
        actor: String,
        at: UnixSeconds,
    ) -> Result<()> {
        self.write(ChangeGate { id, unit, rules, actor, at }).await
    }
}

struct OpenGate {
    gate: Gate,
    actor: String,
}

impl Change for OpenGate {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        let gate = &self.gate;
        sqlx::query(
            "INSERT INTO gates (id, unit, rules, salt, revision, created_at, changed_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(&gate.id)
        .bind(&gate.unit)
        .bind(&gate.rules)
        .bind(&gate.salt)
        .bind(gate.revision)
        .bind(gate.created_at)
        .bind(gate.changed_at)
        .execute(&mut **transaction)
        .await
        .map_err(failed("opening a gate"))?;
        transaction.note(line(&self.actor, "gate.opened", &gate.id, &gate.unit, gate.created_at));
        Ok(())
    }
}

struct ChangeGate {
    id: String,
    unit: String,
    rules: Option<String>,
    actor: String,
    at: UnixSeconds,
}

impl Change for ChangeGate {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        let changed = match &self.rules {
            Some(rules) => sqlx::query(
                "UPDATE gates SET rules = $3, revision = revision + 1, changed_at = $4 \
                 WHERE id = $1 AND unit = $2 AND closed_at IS NULL",
            )
            .bind(&self.id)
            .bind(&self.unit)
            .bind(rules)
            .bind(self.at),
            None => sqlx::query(
                "UPDATE gates SET closed_at = $3, revision = revision + 1, changed_at = $3 \
                 WHERE id = $1 AND unit = $2 AND closed_at IS NULL",
            )
            .bind(&self.id)
            .bind(&self.unit)
            .bind(self.at),
        };
        let changed = changed.execute(&mut **transaction).await.map_err(failed("changing a gate"))?;
        if changed.rows_affected() == 0 {
            return Err(Refusal::Gone("gate").into());
        }
        let action = if self.rules.is_some() { "gate.changed" } else { "gate.closed" };
        transaction.note(line(&self.actor, action, &self.id, &self.unit, self.at));
        Ok(())
    }
}

fn line(actor: &str, action: &'static str, id: &str, unit: &str, at: UnixSeconds) -> Line {
    // The id is a capability: the audit table gets what names it and opens nothing.
    let subject = format!("gate {}…", id.get(..6).unwrap_or_default());
    Line { at, actor: actor.to_owned(), action, subject, detail: unit.to_owned() }
}
