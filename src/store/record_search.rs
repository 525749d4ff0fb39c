//! Records as an office looks for them: by name, by the number that the unit gave, or by their person.

use sqlx::{AssertSqlSafe, Row};

use super::card_search::{MOST_WORDS, search_name};
use super::cards::handle;
use super::records::{StoredRecord, selection, stored};
use super::{Change, Store, Transaction, failed};
use crate::error::{Fault, Result};
use crate::model::id::{Handle, PersonalNumber};
use crate::model::text::searchable;

/// What a record is looked for by.
#[derive(Clone, Debug)]
pub enum RecordSearch {
    /// Its person.
    Person(PersonalNumber),
    /// The number that the unit gave, whole.
    Number(String),
    /// Words of the name, whatever their case and accents.
    Name(String),
}

impl Store {
    /// Records that were not taken back, of one of these units or below one (the whole nation when absent), by name; at
    /// most `limit`.
    pub async fn search_records(
        &self,
        search: &RecordSearch,
        units: Option<&[String]>,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, Fault> {
        let (mut conditions, mut values) = (vec!["records.removed_at IS NULL".to_owned()], Vec::new());
        let mut place = |value: String| {
            values.push(value);
            format!("${}", values.len())
        };
        match search {
            RecordSearch::Person(person) => {
                conditions.push(format!("records.person = {}", place(person.expose().to_owned())));
            }
            RecordSearch::Number(number) => conditions.push(format!("records.number = {}", place(number.clone()))),
            RecordSearch::Name(name) => {
                for word in searchable(name).split(' ').take(MOST_WORDS) {
                    // Only letters and digits are left of it, so that nothing in it means more to LIKE.
                    conditions.push(format!("records.search_name LIKE {}", place(format!("% {word}%"))));
                }
            }
        }
        if let Some(units) = units {
            let mut below = |unit: &String| {
                let (own, dotted) = (place(unit.clone()), place(format!("{unit}.")));
                // By the index of units: every record's unit is in the register.
                format!(
                    "records.unit IN (SELECT {own} UNION SELECT code FROM units \
                     WHERE substr(code, 1, length({dotted})) = {dotted})"
                )
            };
            let any: Vec<_> = units.iter().map(&mut below).collect();
            conditions.push(if any.is_empty() { "1 = 0".into() } else { format!("({})", any.join(" OR ")) });
        }
        let condition = format!("{} ORDER BY records.search_name, records.id LIMIT {limit}", conditions.join(" AND "));
        let mut query = sqlx::query(AssertSqlSafe(selection("", &condition)));
        for value in values {
            query = query.bind(value);
        }
        let rows = query.fetch_all(self.readers()).await.map_err(failed("looking for records"))?;
        rows.iter().map(stored).collect()
    }

    /// Makes records findable by the name that their present version says, at most `limit`. Returns how many there were.
    pub async fn name_records(&self, limit: usize) -> Result<usize> {
        let doing = "reading records without a name to find";
        let rows = sqlx::query(AssertSqlSafe(selection(
            "",
            &format!("records.named_version < records.version ORDER BY records.id LIMIT {limit}"),
        )))
        .fetch_all(self.readers())
        .await
        .map_err(failed(doing))?;
        let mut names = Vec::with_capacity(rows.len());
        for row in &rows {
            let version: i64 = row.try_get("version").map_err(failed(doing))?;
            names.push((handle(row, "id")?, version, search_name(stored(row)?.record.full_name())));
        }
        let count = names.len();
        self.write(NameRecords { names }).await?;
        Ok(count)
    }
}

struct NameRecords {
    names: Vec<(Handle, i64, String)>,
}

impl Change for NameRecords {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        for (record, version, name) in &self.names {
            sqlx::query("UPDATE records SET search_name = $3, named_version = $2 WHERE id = $1 AND named_version < $2")
                .bind(record.as_str())
                .bind(version)
                .bind(name)
                .execute(&mut **transaction)
                .await
                .map_err(failed("noting a record's name to find"))?;
        }
        Ok(())
    }
}
