//! Records that came by an upload or a unit's system and wait for the unit's word: what they say beside what the unit
//! confirmed last, confirmed as they were seen, or sent back.

use std::collections::HashSet;
use std::fmt::Write as _;

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::cards::handle;
use super::reviews::Conditions;
use super::{Change, Line, Store, Transaction, failed};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Refusal, Result};
use crate::model::catalogue::Catalogue;
use crate::model::id::{Handle, PersonalNumber};
use crate::model::origin::{Origin, Way};
use crate::model::record::Record;

/// A condition on `records`: `officer` uploaded or submitted what waits, or a part of it since the unit's last word.
fn uploaded_by(officer: &str) -> String {
    format!(
        "EXISTS (SELECT 1 FROM record_versions uploaded LEFT JOIN uploads ON uploads.id = uploaded.reference \
         WHERE uploaded.record = records.id AND uploaded.version > COALESCE(records.confirmed_version, 0) \
         AND uploaded.way = 'upload' AND {officer} IN (uploaded.actor, uploads.uploaded_by, uploads.submitted_by))"
    )
}

/// The unit sent this version of `records` back.
pub(super) const RETURNED: &str = "EXISTS (SELECT 1 FROM record_returns WHERE record_returns.record = records.id \
    AND record_returns.version = records.version)";

/// Which records are listed.
#[derive(Clone, Debug)]
pub struct ConfirmationFilter {
    /// Units whose records the caller sees, each with those below; `None` is the nation.
    pub visible: Option<Vec<String>>,
    /// Of this unit and below.
    pub unit: Option<String>,
    /// Those that were sent back, or those that wait.
    pub is_returned: bool,
    /// Who asks: what they uploaded is marked.
    pub officer: String,
    /// Unit and handle of the last one that was told.
    pub after: Option<(String, String)>,
    /// Most of them.
    pub limit: i64,
}

/// A record that waits for the unit's word.
#[derive(Clone, Debug)]
pub struct Unconfirmed {
    /// Its name.
    pub handle: Handle,
    /// The version that waits.
    pub version: i64,
    /// When it came.
    pub changed_at: UnixSeconds,
    /// When the oldest version came that the unit has not confirmed: a further change gives no more time for it.
    pub since: UnixSeconds,
    /// What it says; the portrait without its bytes.
    pub record: Record,
    /// From where it came.
    pub origin: Origin,
    /// The version that the unit confirmed last, with what it said.
    pub confirmed: Option<(i64, Record)>,
    /// Whether the officer who asks uploaded it, or a part of what waits.
    pub is_own: bool,
    /// Why it was sent back.
    pub returned: Option<Sent>,
}

/// A version that was sent back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// A code of the list.
    pub reason: String,
    /// The same in the officer's words.
    pub note: String,
    /// Who sent it back.
    pub officer: String,
    /// When.
    pub at: UnixSeconds,
}

/// What became of a record that an officer confirmed as they saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// The unit's word is given.
    Confirmed,
    /// It was given already.
    Already,
    /// There is another version by now.
    MovedOn,
    /// Who uploaded it may not confirm it while somebody else can.
    Own,
    /// It is about the officer themselves.
    OfOneself,
    /// There is no such record in the unit.
    NotFound,
}

/// What an officer does not give the unit's word for: what they uploaded, and what is about them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Units in which nobody else gives it: there it counts also for what the officer uploaded.
    pub alone_in: Vec<String>,
    /// Their own number, if a record of theirs waits.
    pub person: Option<PersonalNumber>,
}

impl Own {
    /// The condition on `records` that they are the officer's own.
    pub(super) fn condition(&self, values: &mut Conditions, officer: &str) -> String {
        let mut own = uploaded_by(&values.text(officer));
        if !self.alone_in.is_empty() {
            let units: Vec<_> = self.alone_in.iter().map(|unit| values.text(unit)).collect();
            own = format!("{own} AND records.unit NOT IN ({})", units.join(", "));
        }
        if let Some(person) = &self.person {
            own = format!("{own} OR COALESCE(records.person, '') = {}", values.text(person.expose()));
        }
        format!("({own})")
    }
}

impl Said {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Already => "already",
            Self::MovedOn => "moved_on",
            Self::Own => "own",
            Self::OfOneself => "self",
            Self::NotFound => "not_found",
        }
    }
}

impl Store {
    /// Records that wait for the unit's word, or were sent back, in the order of their units and handles.
    pub async fn unconfirmed(&self, filter: ConfirmationFilter) -> Result<Vec<Unconfirmed>, Fault> {
        let mut conditions = Conditions::default();
        let limit = conditions.number(filter.limit);
        let uploaded = uploaded_by(&conditions.text(filter.officer));
        if let Some(visible) = &filter.visible {
            conditions.within("records.unit", visible);
        }
        if let Some(unit) = &filter.unit {
            conditions.within("records.unit", std::slice::from_ref(unit));
        }
        if let Some((unit, id)) = filter.after {
            let (unit, id) = (conditions.text(unit), conditions.text(id));
            let _ = write!(
                conditions.text,
                " AND (records.unit > {unit} OR (records.unit = {unit} AND records.id > {id}))"
            );
        }
        let returned = if filter.is_returned { "IS NOT NULL" } else { "IS NULL" };
        let statement = format!(
            "SELECT records.id, records.version, records.changed_at, COALESCE(oldest.at, records.changed_at) AS since, \
             newest.catalogue, newest.content, newest.way, \
             newest.reference, newest.actor, records.confirmed_version, confirmed.catalogue AS confirmed_catalogue, \
             confirmed.content AS confirmed_content, CASE WHEN {uploaded} THEN 1 ELSE 0 END AS is_own, \
             record_returns.reason, record_returns.note, record_returns.officer, record_returns.at AS returned_at \
             FROM records JOIN record_versions newest ON newest.record = records.id AND newest.version = records.version \
             LEFT JOIN record_versions confirmed ON confirmed.record = records.id \
             AND confirmed.version = records.confirmed_version \
             LEFT JOIN record_versions oldest ON oldest.record = records.id \
             AND oldest.version = COALESCE(records.confirmed_version, 0) + 1 \
             LEFT JOIN record_returns ON record_returns.record = records.id AND record_returns.version = records.version \
             WHERE records.confirmed_at IS NULL AND records.removed_at IS NULL AND record_returns.record {returned} {} \
             ORDER BY records.unit, records.id LIMIT {limit}",
            conditions.text
        );
        let rows = conditions.bind(statement).fetch_all(self.readers()).await;
        rows.map_err(failed("reading unconfirmed records"))?.iter().map(unconfirmed).collect()
    }

    /// The unit confirms records, in it or below it, exactly as they were seen: handle and version; without those that are
    /// the officer's own.
    pub async fn confirm_seen(
        &self,
        unit: &str,
        seen: Vec<(Handle, i64)>,
        officer: &str,
        own: Own,
        at: UnixSeconds,
    ) -> Result<Vec<(Handle, Said)>> {
        let (unit, officer) = (unit.to_owned(), officer.to_owned());
        self.write(ConfirmSeen { unit, seen, officer, own, at }).await
    }

    /// Unit and person of the records in a unit or below it that wait for its word; of `among` when that says so.
    pub async fn unconfirmed_people(
        &self,
        unit: &str,
        among: Option<&[Handle]>,
    ) -> Result<Vec<(String, Option<PersonalNumber>)>, Fault> {
        let doing = "reading whose records wait";
        let mut conditions = Conditions::default();
        conditions.within("unit", &[unit.to_owned()]);
        if let Some(among) = among {
            let places: Vec<_> = among.iter().map(|handle| conditions.text(handle.as_str())).collect();
            let _ = write!(conditions.text, " AND id IN ({})", places.join(", "));
        }
        let statement = format!(
            "SELECT DISTINCT unit, person FROM records WHERE confirmed_at IS NULL AND removed_at IS NULL {}",
            conditions.text
        );
        let rows = conditions.bind(statement).fetch_all(self.readers()).await.map_err(failed(doing))?;
        let read = |row: &AnyRow| {
            let person: Option<String> = row.try_get("person")?;
            Ok((row.try_get("unit")?, person.as_deref().and_then(PersonalNumber::parse)))
        };
        rows.iter().map(read).collect::<Result<_, sqlx::Error>>().map_err(failed(doing))
    }

    /// Sends a version back. Refuses with [`Refusal::MovedOn`] when another is there by now, or the unit's word is given.
    pub async fn return_record(&self, record: &Handle, version: i64, sent: Sent) -> Result<()> {
        self.write(Return { record: record.clone(), version, sent }).await
    }

    /// The units of the officers in these roles, without this one: the nation's are of none.
    pub async fn officers_units(
        &self,
        roles: &[&'static str],
        but: &str,
        now: UnixSeconds,
    ) -> Result<HashSet<String>, Fault> {
        let doing = "looking for officers";
        let roles: Vec<_> = roles.iter().map(|role| format!("'{role}'")).collect();
        let statement = format!(
            "SELECT DISTINCT unit FROM officers WHERE role IN ({}) AND blocked_at IS NULL \
             AND (valid_until IS NULL OR valid_until > $1) AND id <> $2 AND unit IS NOT NULL",
            roles.join(", ")
        );
        let rows = sqlx::query(AssertSqlSafe(statement)).bind(now).bind(but).fetch_all(self.readers()).await;
        let rows = rows.map_err(failed(doing))?;
        rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(failed(doing))
    }
}

fn unconfirmed(row: &AnyRow) -> Result<Unconfirmed, Fault> {
    let doing = failed("reading an unconfirmed record");
    let text = |column: &str| row.try_get::<String, _>(column).map_err(&doing);
    let optional = |column: &str| row.try_get::<Option<String>, _>(column).map_err(&doing);
    let way = text("way")?;
    let confirmed_version: Option<i64> = row.try_get("confirmed_version").map_err(&doing)?;
    let confirmed = match (confirmed_version, optional("confirmed_catalogue")?, optional("confirmed_content")?) {
        (Some(version), Some(catalogue), Some(content)) => Some((version, restored(&catalogue, &content)?)),
        _ => None,
    };
    let returned = match (optional("reason")?, optional("note")?, optional("officer")?) {
        (Some(reason), Some(note), Some(officer)) => {
            Some(Sent { reason, note, officer, at: row.try_get("returned_at").map_err(&doing)? })
        }
        _ => None,
    };
    Ok(Unconfirmed {
        handle: handle(row, "id")?,
        version: row.try_get("version").map_err(&doing)?,
        changed_at: row.try_get("changed_at").map_err(&doing)?,
        since: row.try_get("since").map_err(&doing)?,
        record: restored(&text("catalogue")?, &text("content")?)?,
        origin: Origin {
            way: Way::parse(&way).ok_or_else(|| Fault::new("reading an unconfirmed record", "its way is unknown"))?,
            reference: text("reference")?,
            actor: text("actor")?,
        },
        confirmed,
        is_own: row.try_get::<i64, _>("is_own").map_err(&doing)? != 0,
        returned,
    })
}

fn restored(catalogue: &str, content: &str) -> Result<Record, Fault> {
    let doing = "reading a version of a record";
    let catalogue = Catalogue::version(catalogue).ok_or_else(|| Fault::new(doing, "its catalogue is not known"))?;
    Record::restore(catalogue, content).map_err(|error| Fault::new(doing, error))
}

struct ConfirmSeen {
    unit: String,
    seen: Vec<(Handle, i64)>,
    officer: String,
    own: Own,
    at: UnixSeconds,
}

impl Change for ConfirmSeen {
    type Done = Vec<(Handle, Said)>;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Self::Done> {
        let mut said = Vec::with_capacity(self.seen.len());
        for (record, version) in &self.seen {
            said.push((record.clone(), self.confirm(transaction, record, *version).await?));
        }
        let confirmed = said.iter().filter(|(_, said)| *said == Said::Confirmed).count();
        let (actor, subject) = (self.officer.clone(), self.unit.clone());
        let detail = format!("{confirmed} records as seen");
        transaction.note(Line { at: self.at, actor, action: "records.confirmed", subject, detail });
        Ok(said)
    }
}

impl ConfirmSeen {
    async fn confirm(&self, transaction: &mut Transaction<'_>, record: &Handle, version: i64) -> Result<Said> {
        let doing = "confirming a record";
        let mut conditions = Conditions::default();
        let (at, officer) = (conditions.number(self.at), conditions.text(&*self.officer));
        let (handle, seen) = (conditions.text(record.as_str()), conditions.number(version));
        conditions.within("unit", std::slice::from_ref(&self.unit));
        let own = self.own.condition(&mut conditions, &self.officer);
        let statement = format!(
            "UPDATE records SET confirmed_at = {at}, confirmed_by = {officer}, confirmed_version = version, \
             follow_due_at = CASE WHEN out_of_service IS NULL THEN follow_due_at ELSE {at} END \
             WHERE id = {handle} AND version = {seen} AND confirmed_at IS NULL AND removed_at IS NULL \
             {} AND NOT {own}",
            conditions.text
        );
        let confirmed = conditions.bind(statement).execute(&mut **transaction).await.map_err(failed(doing))?;
        if confirmed.rows_affected() == 1 {
            let (actor, subject) = (self.officer.clone(), record.to_string());
            let detail = format!("version {version}");
            transaction.note(Line { at: self.at, actor, action: "record.confirmed", subject, detail });
            return Ok(Said::Confirmed);
        }
        let row = sqlx::query(
            "SELECT version, confirmed_at, person FROM records WHERE id = $1 AND removed_at IS NULL \
             AND (unit = $2 OR substr(unit, 1, length($3)) = $3)",
        )
        .bind(record.as_str())
        .bind(&self.unit)
        .bind(format!("{}.", self.unit))
        .fetch_optional(&mut **transaction)
        .await
        .map_err(failed(doing))?;
        let Some(row) = row else { return Ok(Said::NotFound) };
        let now: i64 = row.try_get("version").map_err(failed(doing))?;
        let confirmed_at: Option<i64> = row.try_get("confirmed_at").map_err(failed(doing))?;
        let person: Option<String> = row.try_get("person").map_err(failed(doing))?;
        Ok(match confirmed_at {
            _ if now != version => Said::MovedOn,
            Some(_) => Said::Already,
            None if person.is_some() && person.as_deref() == self.own.person.as_ref().map(PersonalNumber::expose) => {
                Said::OfOneself
            }
            None => Said::Own,
        })
    }
}

struct Return {
    record: Handle,
    version: i64,
    sent: Sent,
}

impl Change for Return {
    type Done = ();

    fn order(&self) -> &str {
        self.record.as_str()
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        let Sent { reason, note, officer, at } = &self.sent;
        let returned = sqlx::query(
            "INSERT INTO record_returns (record, version, reason, note, officer, at) \
             SELECT id, version, $3, $4, $5, $6 FROM records \
             WHERE id = $1 AND version = $2 AND confirmed_at IS NULL AND removed_at IS NULL \
             ON CONFLICT (record) DO UPDATE SET version = excluded.version, reason = excluded.reason, \
             note = excluded.note, officer = excluded.officer, at = excluded.at",
        )
        .bind(self.record.as_str())
        .bind(self.version)
        .bind(reason)
        .bind(note)
        .bind(officer)
        .bind(at)
        .execute(&mut **transaction)
        .await
        .map_err(failed("sending a record back"))?;
        if returned.rows_affected() == 0 {
            return Err(Refusal::MovedOn("record").into());
        }
        let (actor, subject) = (officer.clone(), self.record.to_string());
        let detail = format!("version {} {reason}", self.version);
        transaction.note(Line { at: *at, actor, action: "record.returned", subject, detail });
        Ok(())
    }
}
