//! Records as an office looks for them: by name, by the number that the unit gave, or by their person.

use sqlx::AssertSqlSafe;

use super::card_search::{MOST_WORDS, search_name};
use super::cards::handle;
use super::records::{StoredRecord, selection, stored};
use super::reviews::Conditions;
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
        let mut conditions = Conditions::default();
        let mut wanted = vec!["records.removed_at IS NULL".to_owned()];
        match search {
            RecordSearch::Person(person) => {
                wanted.push(format!("records.person = {}", conditions.text(person.expose())));
            }
            RecordSearch::Number(number) => wanted.push(format!("records.number = {}", conditions.text(number))),
            RecordSearch::Name(name) => {
                // Only letters and digits are left of a word, so that nothing in it means more to LIKE.
                let words = searchable(name);
                let words = words.split(' ').take(MOST_WORDS);
                wanted.extend(
                    words.map(|word| format!("records.search_name LIKE {}", conditions.text(format!("% {word}%")))),
                );
            }
        }
        if let Some(units) = units {
            let mut below = |unit: &String| {
                let (own, dotted) = (conditions.text(unit), conditions.text(format!("{unit}.")));
                // By the index of units: every record's unit is in the register.
                format!(
                    "records.unit IN (SELECT {own} UNION SELECT code FROM units \
                     WHERE substr(code, 1, length({dotted})) = {dotted})"
                )
            };
            let any: Vec<_> = units.iter().map(&mut below).collect();
            wanted.push(if any.is_empty() { "1 = 0".into() } else { format!("({})", any.join(" OR ")) });
        }
        let condition = format!("{} ORDER BY records.search_name, records.id LIMIT {limit}", wanted.join(" AND "));
        let query = conditions.bind(selection("", &condition));
        let rows = query.fetch_all(self.readers()).await.map_err(failed("looking for records"))?;
        rows.iter().map(stored).collect()
    }

    /// Makes records findable by name that were written before there was such a name, at most `limit`. Returns how many
    /// there were.
    pub async fn name_records(&self, limit: usize) -> Result<usize> {
        let doing = "reading records without a name to find";
        let rows = sqlx::query(AssertSqlSafe(selection(
            "",
            &format!("records.search_name = '' ORDER BY records.id LIMIT {limit}"),
        )))
        .fetch_all(self.readers())
        .await
        .map_err(failed(doing))?;
        let mut names = Vec::with_capacity(rows.len());
        for row in &rows {
            names.push((handle(row, "id")?, search_name(stored(row)?.record.full_name())));
        }
        let count = names.len();
        self.write(NameRecords { names }).await?;
        Ok(count)
    }
}

struct NameRecords {
    names: Vec<(Handle, String)>,
}

impl Change for NameRecords {
    type Done = ();

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        for (record, name) in &self.names {
            sqlx::query("UPDATE records SET search_name = $2 WHERE id = $1 AND search_name = ''")
                .bind(record.as_str())
                .bind(name)
                .execute(&mut **transaction)
                .await
                .map_err(failed("noting a record's name to find"))?;
        }
        Ok(())
    }
}
