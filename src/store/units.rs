//! Units and labels that the operator loads.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};
use time::Date;

use super::{Change, Line, Store, Transaction, failed, places};
use crate::clock::UnixSeconds;
use crate::error::{Fault, Result};
use crate::model::code_list::CodeBook;
use crate::model::unit::UnitRegister;

/// Rows of one statement. SQLite looks a parameter's name up by going through all of them, so more rows cost more.
const ROWS: usize = 32;

impl Store {
    /// All units, as valid on `day`. For imports: some ten megabytes for the whole country.
    pub async fn unit_register(&self, day: Date) -> Result<UnitRegister, Fault> {
        let statement = format!("{REGISTER} FROM units");
        let rows = sqlx::query(AssertSqlSafe(statement)).bind(day.to_string()).fetch_all(self.readers()).await;
        register(day, &rows.map_err(failed("reading units"))?)
    }

    /// Codes and names of all loaded units.
    pub async fn unit_names(&self) -> Result<Vec<(String, String)>, Fault> {
        // A level-1 code stands here when a reorganisation has closed it.
        let statement = "SELECT code, name FROM units WHERE code LIKE '%.%' ORDER BY code";
        let rows = sqlx::query(statement).fetch_all(self.readers()).await;
        rows.map_err(failed("reading units"))?.iter().map(pair).collect()
    }

    /// Only these units, of which there is at least one, as valid on `day`.
    pub async fn units_named(&self, day: Date, codes: &[&str]) -> Result<UnitRegister, Fault> {
        let wanted = (2..2 + codes.len()).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ");
        let statement = format!("{REGISTER} FROM units WHERE code IN ({wanted})");
        let query = sqlx::query(AssertSqlSafe(statement)).bind(day.to_string());
        let query = codes.iter().fold(query, |query, code| query.bind(*code));
        register(day, &query.fetch_all(self.readers()).await.map_err(failed("reading units"))?)
    }

    /// The shipped lists with every loaded label over them.
    pub async fn code_book(&self) -> Result<CodeBook, Fault> {
        let doing = "reading code labels";
        let rows = sqlx::query("SELECT list, code, label FROM code_labels").fetch_all(self.readers()).await;
        let mut book = CodeBook::default();
        for row in rows.map_err(failed(doing))? {
            let text = |at: usize| row.try_get::<String, _>(at).map_err(failed(doing));
            book.load(&text(0)?, &text(1)?, &text(2)?);
        }
        Ok(book)
    }

    /// Enters or renames units: codes and names.
    pub async fn save_units(&self, units: Vec<(String, String)>, actor: &str, at: UnixSeconds) -> Result<u64> {
        let rows = units.into_iter().map(|(code, name)| vec![code, name]).collect();
        let audit = Line {
            at,
            actor: actor.to_owned(),
            action: "units.loaded",
            subject: "units".into(),
            detail: String::new(),
        };
        self.write(Load { table: "units (code, name)", key: "code", value: "name", width: 2, rows, audit }).await
    }

    /// Enters or renames codes: list, code and label.
    pub async fn save_labels(&self, labels: Vec<[String; 3]>, actor: &str, at: UnixSeconds) -> Result<u64> {
        let rows = labels.into_iter().map(Vec::from).collect();
        let audit = Line {
            at,
            actor: actor.to_owned(),
            action: "codes.loaded",
            subject: "codes".into(),
            detail: String::new(),
        };
        let (table, key) = ("code_labels (list, code, label)", "list, code");
        self.write(Load { table, key, value: "label", width: 3, rows, audit }).await
    }
}

/// Rows of text that are entered, or change their last column; each key at most once.
struct Load {
    table: &'static str,
    key: &'static str,
    value: &'static str,
    width: usize,
    rows: Vec<Vec<String>>,
    audit: Line,
}

impl Change for Load {
    /// How many rows were entered or changed.
    type Done = u64;

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<u64> {
        let (table, key, value) = (self.table, self.key, self.value);
        let name = table.split(' ').next().unwrap_or_default();
        let mut changed = 0;
        for chunk in self.rows.chunks(ROWS) {
            let statement = format!(
                "INSERT INTO {table} VALUES {} ON CONFLICT ({key}) DO UPDATE SET {value} = excluded.{value} \
                 WHERE {name}.{value} <> excluded.{value}",
                places(chunk.len(), self.width)
            );
            let mut query = sqlx::query(AssertSqlSafe(statement));
            for cell in chunk.iter().flatten() {
                query = query.bind(cell);
            }
            changed += query.execute(&mut **transaction).await.map_err(failed("loading a list"))?.rows_affected();
        }
        let detail = format!("{changed} changed of {}", self.rows.len());
        transaction.note(Line { detail, ..self.audit.clone() });
        Ok(changed)
    }
}

/// Units, and whether they are closed on the day `$1`.
const REGISTER: &str = "SELECT code, name, successor, CASE WHEN closed_on <= $1 THEN 1 ELSE 0 END AS is_closed";

fn register(day: Date, rows: &[AnyRow]) -> Result<UnitRegister, Fault> {
    let doing = failed("reading units");
    let (mut open, mut closed) = (Vec::new(), Vec::new());
    for row in rows {
        let is_closed: i64 = row.try_get(3).map_err(&doing)?;
        if is_closed == 1 {
            closed.push((row.try_get(0).map_err(&doing)?, row.try_get(2).map_err(&doing)?));
        } else {
            open.push(pair(row)?);
        }
    }
    Ok(UnitRegister::restored(day, open, closed))
}

fn pair(row: &AnyRow) -> Result<(String, String), Fault> {
    let text = |at: usize| row.try_get::<String, _>(at).map_err(failed("reading units"));
    Ok((text(0)?, text(1)?))
}
