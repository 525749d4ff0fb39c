//! Officers of the unit offices, and their accounts' changes. What ends an account, or changes what it may do, ends its
//! sessions in the same transaction.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::{Change, Line, Store, Transaction, failed, office_sessions};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Refusal, Result};
use crate::model::id::Handle;
use crate::model::officer::{Officer, OfficerState};
use crate::model::rights::Role;

pub(super) const COLUMNS: &str = "officers.id, officers.subject, officers.name, officers.unit, officers.role, \
    officers.person, officers.valid_until, officers.blocked_at, officers.signed_in_at, officers.created_at, \
    officers.revision";

/// Which officers are meant.
#[derive(Clone, Debug, Default)]
pub struct OfficerFilter {
    /// Of one of these units or below one; the whole nation when absent, those without a unit among them.
    pub units: Option<Vec<String>>,
    /// Of one of these units, below or above one, or of the nation.
    pub around: Option<Vec<String>>,
    /// Of this unit or below it.
    pub unit: Option<String>,
    /// Of this role.
    pub role: Option<Role>,
    /// In this state.
    pub state: Option<OfficerState>,
    /// Those that come after this one.
    pub after: Option<Handle>,
    /// At most so many.
    pub limit: i64,
}

/// What becomes of an account, if nobody was faster: who changes it looked at `revision`.
#[derive(Clone, Debug)]
pub struct OfficerChange {
    /// The account as it shall be.
    pub officer: Officer,
    /// For example `officer.changed`.
    pub action: &'static str,
    /// Codes, for the audit line.
    pub detail: String,
    /// Whether its sessions end.
    pub ends_sessions: bool,
    /// Who changes it.
    pub actor: String,
    /// Now.
    pub at: UnixSeconds,
}

impl Store {
    /// One officer.
    pub async fn officer(&self, id: &Handle) -> Result<Option<Officer>, Fault> {
        self.officer_where("id", id.as_str()).await
    }

    /// The officer with this account at the sign-in.
    pub async fn officer_of_subject(&self, subject: &str) -> Result<Option<Officer>, Fault> {
        self.officer_where("subject", subject).await
    }

    async fn officer_where(&self, column: &'static str, value: &str) -> Result<Option<Officer>, Fault> {
        let row = sqlx::query(AssertSqlSafe(format!("SELECT {COLUMNS} FROM officers WHERE {column} = $1")))
            .bind(value)
            .fetch_optional(self.readers())
            .await
            .map_err(failed("reading an officer"))?;
        row.as_ref().map(read).transpose()
    }

    /// Officers by name.
    pub async fn officers(&self, filter: &OfficerFilter, now: UnixSeconds) -> Result<Vec<Officer>, Fault> {
        let (mut conditions, mut values) = (vec!["1 = 1".to_owned()], Vec::new());
        let mut add = |condition: String, value: &str| {
            values.push(value.to_owned());
            condition.replace("{}", &format!("${}", values.len()))
        };
        let below = "(unit = {} OR substr(unit, 1, length({}) + 1) = {} || '.')";
        if let Some(units) = &filter.units {
            let any: Vec<_> = units.iter().map(|unit| add(below.into(), unit)).collect();
            conditions.push(if any.is_empty() { "1 = 0".into() } else { format!("({})", any.join(" OR ")) });
        }
        if let Some(around) = &filter.around {
            let mut any = vec!["unit IS NULL".to_owned()];
            any.extend(around.iter().map(|unit| add(below.into(), unit)));
            // Units above are those whose code and a dot this one begins with.
            any.extend(around.iter().map(|unit| add("substr({}, 1, length(unit) + 1) = unit || '.'".into(), unit)));
            conditions.push(format!("({})", any.join(" OR ")));
        }
        conditions.extend(filter.unit.as_deref().map(|unit| add(below.into(), unit)));
        conditions.extend(filter.role.map(|role| add("role = {}".into(), role.word())));
        conditions.extend(filter.state.map(|state| match state {
            OfficerState::Blocked => "blocked_at IS NOT NULL".to_owned(),
            OfficerState::Expired => format!("blocked_at IS NULL AND valid_until <= {now}"),
            OfficerState::Active => format!("blocked_at IS NULL AND (valid_until IS NULL OR valid_until > {now})"),
        }));
        conditions.extend(filter.after.as_ref().map(|after| {
            add(
                "(name, id) > (SELECT earlier.name, earlier.id FROM officers earlier WHERE earlier.id = {})".into(),
                after.as_str(),
            )
        }));
        let statement = format!(
            "SELECT {COLUMNS} FROM officers WHERE {} ORDER BY name, id LIMIT {}",
            conditions.join(" AND "),
            filter.limit
        );
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for value in values {
            query = query.bind(value);
        }
        let rows = query.fetch_all(self.readers()).await.map_err(failed("reading officers"))?;
        rows.iter().map(read).collect()
    }

    /// Enters an officer; refused when the account or the person has one already.
    pub async fn add_officer(&self, officer: Officer, actor: String) -> Result<()> {
        self.write(AddOfficer { officer, actor }).await
    }

    /// Changes an officer. Returns how it is now.
    pub async fn change_officer(&self, change: OfficerChange) -> Result<Officer> {
        self.write(change).await
    }
}

struct AddOfficer {
    officer: Officer,
    actor: String,
}

impl Change for AddOfficer {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        let Self { officer, actor } = self;
        let added = sqlx::query(
            "INSERT INTO officers (id, subject, name, unit, role, person, valid_until, created_at, revision) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
        )
        .bind(officer.id.as_str())
        .bind(&officer.subject)
        .bind(&officer.name)
        .bind(officer.unit.as_deref())
        .bind(officer.role.word())
        .bind(officer.person.as_deref())
        .bind(officer.valid_until)
        .bind(officer.created_at)
        .bind(officer.revision)
        .execute(&mut **transaction)
        .await
        .map_err(failed("entering an officer"))?;
        if added.rows_affected() == 0 {
            return Err(Refusal::OfficerExists.into());
        }
        let detail = format!("{} {}", officer.role, officer.unit.as_deref().unwrap_or("*"));
        note(transaction, officer.created_at, actor, "officer.added", &officer.id, detail);
        Ok(())
    }
}

impl Change for OfficerChange {
    type Done = Officer;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Officer> {
        let Self { officer, action, detail, ends_sessions, actor, at } = self;
        let taken = sqlx::query("SELECT id FROM officers WHERE subject = $1 AND id <> $2")
            .bind(&officer.subject)
            .bind(officer.id.as_str())
            .fetch_optional(&mut **transaction)
            .await
            .map_err(failed("looking for who has an account"))?;
        if taken.is_some() {
            return Err(Refusal::OfficerExists.into());
        }
        let changed = sqlx::query(
            "UPDATE officers SET name = $3, unit = $4, role = $5, valid_until = $6, blocked_at = $7, subject = $8, \
             revision = revision + 1 WHERE id = $1 AND revision = $2",
        )
        .bind(officer.id.as_str())
        .bind(officer.revision)
        .bind(&officer.name)
        .bind(officer.unit.as_deref())
        .bind(officer.role.word())
        .bind(officer.valid_until)
        .bind(officer.blocked_at)
        .bind(&officer.subject)
        .execute(&mut **transaction)
        .await
        .map_err(failed("changing an officer"))?;
        if changed.rows_affected() == 0 {
            return Err(Refusal::MovedOn("officer").into());
        }
        if *ends_sessions {
            office_sessions::end_all(transaction, &officer.id).await?;
        }
        note(transaction, *at, actor, action, &officer.id, detail.clone());
        Ok(Officer { revision: officer.revision + 1, ..officer.clone() })
    }
}

pub(super) fn note(
    transaction: &mut Transaction<'_>,
    at: UnixSeconds,
    actor: &str,
    action: &'static str,
    officer: &Handle,
    detail: String,
) {
    transaction.note(Line { at, actor: actor.to_owned(), action, subject: officer.to_string(), detail });
}

/// A row with the columns of [`COLUMNS`].
pub(super) fn read(row: &AnyRow) -> Result<Officer, Fault> {
    let doing = "reading an officer";
    let text = |column: &str| row.try_get::<String, _>(column).map_err(failed(doing));
    let perhaps = |column: &str| row.try_get::<Option<i64>, _>(column).map_err(failed(doing));
    let broken = |what: &'static str| Fault::new(doing, what);
    Ok(Officer {
        id: Handle::parse(&text("id")?).ok_or_else(|| broken("the name is malformed"))?,
        subject: text("subject")?,
        name: text("name")?,
        unit: row.try_get("unit").map_err(failed(doing))?,
        role: Role::parse(&text("role")?).ok_or_else(|| broken("the role is unknown"))?,
        person: row.try_get("person").map_err(failed(doing))?,
        valid_until: perhaps("valid_until")?,
        blocked_at: perhaps("blocked_at")?,
        signed_in_at: perhaps("signed_in_at")?,
        created_at: row.try_get("created_at").map_err(failed(doing))?,
        revision: row.try_get("revision").map_err(failed(doing))?,
    })
}
