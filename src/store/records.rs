//! Personnel records: confirmed by their units, verified ones out. How they come in is `imports`, how they are matched with the
//! population database `matches`.
//!
//! A record has one row at its current version and one row for every version that it ever had. A standing (what the
//! population database and the unit said) is changed by one statement that names the version it was decided on.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::cards::handle;
use super::confirmations::{Own, RETURNED};
use super::imports::ROWS;
use super::reviews::Conditions;
use super::{Change, Line, Store, Transaction, failed};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Result};
use crate::model::catalogue::Catalogue;
use crate::model::id::{Handle, PersonalNumber};
use crate::model::origin::{Origin, Way};
use crate::model::person::MatchOutcome;
use crate::model::quality::Standing;
use crate::model::record::{Record, RecordKey};

/// A record with what the house knows about it.
#[derive(Clone, Debug)]
pub struct StoredRecord {
    /// Its name.
    pub handle: Handle,
    /// Its current version.
    pub version: i64,
    /// Its content; the portrait has its bytes only where the function says so.
    pub record: Record,
    /// Of this version.
    pub standing: Standing,
    /// Who said the unit's word for this version.
    pub confirmed_by: Option<String>,
    /// The last version that the unit confirmed.
    pub confirmed_version: Option<i64>,
    /// When its unit took it back.
    pub removed_at: Option<UnixSeconds>,
}

/// A version of a record.
#[derive(Clone, Debug)]
pub struct StoredVersion {
    /// Counted from 1.
    pub version: i64,
    /// When it came.
    pub at: UnixSeconds,
    /// From where.
    pub origin: Origin,
    /// What it says; the portrait without its bytes.
    pub record: Record,
}

/// Which records of a unit are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFilter {
    /// All that were not taken back.
    All,
    /// Those that wait for the unit's word.
    Unconfirmed,
    /// Those that the population database was not asked about.
    Unmatched,
    /// Those that it does not know, or knows otherwise.
    Discrepant,
    /// Those of people who are not in service.
    OutOfService,
    /// Those that were taken back.
    Removed,
}

/// The unit `$1` and, with `$2` as its code and a dot, all below it: every record's unit is in the register.
pub(super) const UNIT_AND_BELOW: &str =
    "(SELECT $1 UNION SELECT code FROM units WHERE substr(code, 1, length($2)) = $2)";

impl RecordFilter {
    /// On `listed`.
    fn condition(self) -> &'static str {
        match self {
            Self::All => "listed.removed_at IS NULL",
            Self::Unconfirmed => "listed.removed_at IS NULL AND listed.confirmed_at IS NULL",
            Self::Unmatched => "listed.removed_at IS NULL AND listed.population = 'pending'",
            Self::Discrepant => "listed.removed_at IS NULL AND listed.population IN ('not_found', 'mismatched')",
            Self::OutOfService => "listed.removed_at IS NULL AND listed.out_of_service IS NOT NULL",
            Self::Removed => "listed.removed_at IS NOT NULL",
        }
    }
}

/// Which records an officer confirms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// All of the unit and of the units below it.
    All,
    /// Those with these numbers in exactly this unit.
    Numbers(Vec<String>),
}

impl Store {
    /// Every record of a person, portraits with their bytes.
    pub async fn records_of(&self, person: &PersonalNumber) -> Result<Vec<StoredRecord>, Fault> {
        let mut records = self
            .select("records.person = $1 AND records.removed_at IS NULL ORDER BY records.id LIMIT 100", |query| {
                query.bind(person.expose().to_owned())
            })
            .await?;
        for stored in &mut records {
            self.attach_portrait(stored).await?;
        }
        Ok(records)
    }

    /// Every record of a person, also those that their units took back, these last; portraits without their bytes.
    pub async fn held_on(&self, person: &PersonalNumber) -> Result<Vec<StoredRecord>, Fault> {
        let last = "CASE WHEN records.removed_at IS NULL THEN 0 ELSE 1 END";
        let condition = format!("records.person = $1 ORDER BY {last}, records.id LIMIT 100");
        self.select(&condition, |query| query.bind(person.expose().to_owned())).await
    }

    /// The record that a unit keeps under a number, portrait with its bytes.
    pub async fn record(&self, key: &RecordKey) -> Result<Option<StoredRecord>, Fault> {
        let (unit, number) = (key.unit.clone(), key.number.clone());
        let found =
            self.select("records.unit = $1 AND records.number = $2", |query| query.bind(unit).bind(number)).await?;
        let Some(mut stored) = found.into_iter().next() else { return Ok(None) };
        self.attach_portrait(&mut stored).await?;
        Ok(Some(stored))
    }

    /// A record by its name, portrait with its bytes.
    pub async fn record_named(&self, handle: &Handle) -> Result<Option<StoredRecord>, Fault> {
        let name = handle.to_string();
        let Some(mut stored) = self.select("records.id = $1", |query| query.bind(name)).await?.into_iter().next()
        else {
            return Ok(None);
        };
        self.attach_portrait(&mut stored).await?;
        Ok(Some(stored))
    }

    /// Records of a unit and below, in the order of their handles after `after`.
    pub async fn records_in(
        &self,
        unit: &str,
        filter: RecordFilter,
        after: Option<&Handle>,
        limit: i64,
    ) -> Result<Vec<StoredRecord>, Fault> {
        // The page is chosen by the index of units first: by the order of names, every record of the nation would be read.
        let condition = format!(
            "records.id IN (SELECT listed.id FROM records listed WHERE {} AND listed.unit IN {UNIT_AND_BELOW} \
             AND listed.id > $3 ORDER BY listed.id LIMIT $4) ORDER BY records.id",
            filter.condition()
        );
        let (unit, below, after) = (unit.to_owned(), format!("{unit}."), after.map_or("", Handle::as_str).to_owned());
        self.select(&condition, |query| query.bind(unit).bind(below).bind(after).bind(limit)).await
    }

    /// The newest versions of a record, the oldest of them first.
    pub async fn versions_of(&self, record: &Handle, limit: i64) -> Result<Vec<StoredVersion>, Fault> {
        let rows = sqlx::query(
            "SELECT version, at, catalogue, content, way, reference, actor FROM record_versions WHERE record = $1 \
             ORDER BY version DESC LIMIT $2",
        )
        .bind(record.as_str())
        .bind(limit)
        .fetch_all(self.readers())
        .await
        .map_err(failed("reading versions of a record"))?;
        rows.iter().rev().map(stored_version).collect()
    }

    /// What a record said when its unit last confirmed it.
    pub async fn confirmed_version(&self, record: &Handle) -> Result<Option<Record>, Fault> {
        let row = sqlx::query(
            "SELECT record_versions.version, record_versions.at, catalogue, content, way, reference, actor FROM records \
             JOIN record_versions ON record = id AND record_versions.version = confirmed_version WHERE id = $1",
        )
        .bind(record.as_str())
        .fetch_optional(self.readers())
        .await
        .map_err(failed("reading the confirmed version of a record"))?;
        Ok(row.as_ref().map(stored_version).transpose()?.map(|version| version.record))
    }

    /// The contents of every version of a record, oldest first: (version, instant, content).
    pub async fn record_versions(&self, record: &Handle) -> Result<Vec<(i64, UnixSeconds, String)>, Fault> {
        let doing = "reading versions of a record";
        let rows = sqlx::query("SELECT version, at, content FROM record_versions WHERE record = $1 ORDER BY version")
            .bind(record.as_str())
            .fetch_all(self.readers())
            .await
            .map_err(failed(doing))?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)))
            .collect::<Result<_, sqlx::Error>>()
            .map_err(failed(doing))
    }

    /// The unit confirms its records as they stood at `seen_at`: versions that came later stay unconfirmed. Returns how
    /// many are confirmed by this.
    pub async fn confirm_records(
        &self,
        unit: &str,
        which: Confirmed,
        officer: &str,
        seen_at: UnixSeconds,
        at: UnixSeconds,
    ) -> Result<u64> {
        let confirm = Confirm { unit: unit.to_owned(), which, officer: officer.to_owned(), but: None, seen_at, at };
        Ok(self.write(confirm).await?.0)
    }

    /// The same for an officer who does not confirm what is their own, nor with all the rest what was sent back. Returns how
    /// many are confirmed by this, and how many are left out as their own.
    pub async fn confirm_records_of_others(
        &self,
        unit: &str,
        which: Confirmed,
        officer: &str,
        own: Own,
        at: UnixSeconds,
    ) -> Result<(u64, u64)> {
        let (unit, officer) = (unit.to_owned(), officer.to_owned());
        self.write(Confirm { unit, which, officer, but: Some(own), seen_at: at, at }).await
    }

    /// The units that have records: all of which an officer could confirm.
    pub async fn units_with_records(&self) -> Result<Vec<String>, Fault> {
        let doing = "reading the units of records";
        let rows = sqlx::query("SELECT DISTINCT unit FROM records ORDER BY unit").fetch_all(self.readers()).await;
        rows.map_err(failed(doing))?.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(failed(doing))
    }

    /// People, at most `limit`, with a record that is matched and confirmed.
    pub async fn matched_people(&self, limit: i64) -> Result<Vec<PersonalNumber>, Fault> {
        let doing = "reading matched people";
        let rows = sqlx::query(
            "SELECT person FROM records WHERE population = 'matched' AND confirmed_at IS NOT NULL \
             AND removed_at IS NULL AND person IS NOT NULL ORDER BY person LIMIT $1",
        )
        .bind(limit)
        .fetch_all(self.readers())
        .await
        .map_err(failed(doing))?;
        let numbers = rows.iter().map(|row| row.try_get::<String, _>(0)).collect::<Result<Vec<_>, _>>();
        Ok(numbers.map_err(failed(doing))?.iter().filter_map(|number| PersonalNumber::parse(number)).collect())
    }

    pub(super) async fn select(
        &self,
        condition: &str,
        bind: impl FnOnce(
            sqlx::query::Query<'static, sqlx::Any, sqlx::any::AnyArguments>,
        ) -> sqlx::query::Query<'static, sqlx::Any, sqlx::any::AnyArguments>,
    ) -> Result<Vec<StoredRecord>, Fault> {
        let statement = selection("", condition);
        let rows = bind(sqlx::query(AssertSqlSafe(statement))).fetch_all(self.readers()).await;
        rows.map_err(failed("reading records"))?.iter().map(stored).collect()
    }

    /// Gives the portrait of a record its bytes.
    pub async fn attach_portrait(&self, stored: &mut StoredRecord) -> Result<(), Fault> {
        let doing = "reading a portrait";
        let Some(name) = stored.record.portrait().map(|portrait| portrait.name().replace("sha256:", "")) else {
            return Ok(());
        };
        let row =
            sqlx::query("SELECT bytes FROM portraits WHERE sha256 = $1").bind(name).fetch_one(self.readers()).await;
        let bytes = row.map_err(failed(doing))?.try_get(0).map_err(failed(doing))?;
        if stored.record.attach_portrait(bytes) {
            Ok(())
        } else {
            Err(Fault::new(doing, "its bytes are not those it names"))
        }
    }
}

/// Records at their current version, as [`stored`] reads them, with `more` columns (each after a comma).
pub(super) fn selection(more: &str, condition: &str) -> String {
    format!(
        "SELECT records.id, records.version, records.changed_at, records.population, records.population_detail, \
         records.confirmed_at, records.confirmed_by, records.confirmed_version, records.removed_at, \
         record_versions.catalogue, record_versions.content, \
         (SELECT COUNT(*) FROM records other WHERE other.person = records.person AND other.unit = records.unit \
          AND other.id <> records.id AND other.removed_at IS NULL) AS namesakes{more} \
         FROM records JOIN record_versions ON record_versions.record = records.id \
         AND record_versions.version = records.version WHERE {condition}"
    )
}

pub(super) fn stored(row: &AnyRow) -> Result<StoredRecord, Fault> {
    let doing = "reading a record";
    let text = |column: &str| row.try_get::<String, _>(column).map_err(failed(doing));
    let number = |column: &str| row.try_get::<i64, _>(column).map_err(failed(doing));
    let catalogue =
        Catalogue::version(&text("catalogue")?).ok_or_else(|| Fault::new(doing, "its catalogue is not known"))?;
    let record = Record::restore(catalogue, &text("content")?).map_err(|error| Fault::new(doing, error))?;
    let standing = Standing {
        changed_at: number("changed_at")?,
        population: MatchOutcome::parse(&text("population")?, &text("population_detail")?),
        confirmed_at: row.try_get("confirmed_at").map_err(failed(doing))?,
        namesakes: u32::try_from(number("namesakes")?).unwrap_or(u32::MAX),
    };
    let optional = |column: &str| row.try_get::<Option<i64>, _>(column).map_err(failed(doing));
    Ok(StoredRecord {
        handle: handle(row, "id")?,
        version: number("version")?,
        record,
        standing,
        confirmed_by: row.try_get("confirmed_by").map_err(failed(doing))?,
        confirmed_version: optional("confirmed_version")?,
        removed_at: optional("removed_at")?,
    })
}

fn stored_version(row: &AnyRow) -> Result<StoredVersion, Fault> {
    let doing = "reading a version of a record";
    let text = |column: &str| row.try_get::<String, _>(column).map_err(failed(doing));
    let broken = |what: &'static str| Fault::new(doing, what);
    let catalogue = Catalogue::version(&text("catalogue")?).ok_or_else(|| broken("its catalogue is not known"))?;
    let way = Way::parse(&text("way")?).ok_or_else(|| broken("its way is not known"))?;
    Ok(StoredVersion {
        version: row.try_get("version").map_err(failed(doing))?,
        at: row.try_get("at").map_err(failed(doing))?,
        origin: Origin { way, reference: text("reference")?, actor: text("actor")? },
        record: Record::restore(catalogue, &text("content")?).map_err(|error| Fault::new(doing, error))?,
    })
}

struct Confirm {
    unit: String,
    which: Confirmed,
    officer: String,
    but: Option<Own>,
    seen_at: UnixSeconds,
    at: UnixSeconds,
}

impl Change for Confirm {
    type Done = (u64, u64);

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(u64, u64)> {
        let (mut confirmed, mut own) = (0, 0);
        let doing = "confirming records";
        // Some hundred numbers in each statement.
        let chunks: Vec<&[String]> = match &self.which {
            Confirmed::All => vec![&[]],
            Confirmed::Numbers(numbers) => numbers.chunks(ROWS).collect(),
        };
        for numbers in chunks {
            let mut values = Conditions::default();
            let (at, officer) = (values.number(self.at), values.text(&*self.officer));
            let meant = self.meant(&mut values, numbers);
            let but = self.but.as_ref().map(|own| format!("AND NOT {}", own.condition(&mut values, &self.officer)));
            let statement = format!(
                "UPDATE records SET confirmed_at = {at}, confirmed_by = {officer}, confirmed_version = version, \
                 follow_due_at = CASE WHEN out_of_service IS NULL THEN follow_due_at ELSE {at} END \
                 WHERE {meant} {}",
                but.unwrap_or_default()
            );
            let done = values.bind(statement).execute(&mut **transaction).await.map_err(failed(doing))?;
            confirmed += done.rows_affected();
            if let Some(but) = &self.but {
                let mut values = Conditions::default();
                let meant = self.meant(&mut values, numbers);
                let but = but.condition(&mut values, &self.officer);
                let statement = format!("SELECT COUNT(*) FROM records WHERE {meant} AND {but}");
                let row = values.bind(statement).fetch_one(&mut **transaction).await.map_err(failed(doing))?;
                own += row.try_get::<i64, _>(0).map_err(failed(doing))?.unsigned_abs();
            }
        }
        let (actor, subject) = (self.officer.clone(), self.unit.clone());
        let detail = format!("{confirmed} records");
        transaction.note(Line { at: self.at, actor, action: "records.confirmed", subject, detail });
        Ok((confirmed, own))
    }
}

impl Confirm {
    /// The condition on `records`: what waits, and of it those with these numbers or all.
    fn meant(&self, values: &mut Conditions, numbers: &[String]) -> String {
        let (seen_at, unit) = (values.number(self.seen_at), values.text(&*self.unit));
        let which = match &self.which {
            // What the unit sent back is confirmed by who names it only.
            Confirmed::All => {
                let below = values.text(format!("{}.%", self.unit));
                format!("(records.unit = {unit} OR records.unit LIKE {below}) AND NOT {RETURNED}")
            }
            Confirmed::Numbers(_) => {
                let places: Vec<_> = numbers.iter().map(|number| values.text(number)).collect();
                format!("records.unit = {unit} AND records.number IN ({})", places.join(", "))
            }
        };
        format!(
            "records.confirmed_at IS NULL AND records.removed_at IS NULL AND records.changed_at <= {seen_at} AND {which}"
        )
    }
}
