//! The guidance form: a workbook that units without a system fill in and upload. Made from the catalogue and the code lists
//! in force, so that it never says otherwise than the check of an upload (`columns.rs`: which columns there are and what
//! is told of each; `book.rs`: the workbook).

mod book;
mod columns;

use super::{Caller, Service};
use crate::error::{Fault, Refusal, Result};
use crate::model::calendar::day_of;
use crate::model::catalogue::Catalogue;
use crate::model::unit::{UnitCode, UnitDirectory};

pub(super) use book::{cell_text, workbook_fault};
pub(super) use columns::label_of;

/// Numbered columns of each repeating list, unless somebody asks for another number, and the most.
pub const ENTRIES: usize = 3;
/// The most numbered columns of each repeating list.
pub const MOST_ENTRIES: usize = 10;
/// The most units that a drop-down list offers.
const MOST_UNITS: usize = 2_000;

/// What a form is asked to have.
#[derive(Clone, Debug, Default)]
pub struct FormRequest {
    /// The unit that fills it in: it stands in the first rows, and is offered with all units below.
    pub unit: Option<String>,
    /// Groups of the catalogue; all when empty. What is required is always there.
    pub groups: Vec<String>,
    /// Numbered columns of each repeating list; [`ENTRIES`] when absent.
    pub entries: Option<usize>,
}

impl Service {
    /// The guidance form as XLSX: the same bytes for the same catalogue, labels, units and request.
    ///
    /// # Errors
    ///
    /// [`Refusal::ForeignUnit`] for a unit that the caller may not act for, [`Refusal::Malformed`] for a unit or group that
    /// does not exist.
    pub async fn personnel_form(&self, caller: &Caller, request: FormRequest) -> Result<Vec<u8>> {
        caller.needs("records:write")?;
        let catalogue = Catalogue::current();
        let unknown = |group: &&String| !catalogue.fields().iter().any(|field| field.group == **group);
        if request.groups.iter().any(|group| unknown(&group)) {
            return Err(Refusal::malformed("groups", "has a group that the catalogue does not have").into());
        }
        let entries = request.entries.unwrap_or(ENTRIES);
        if !(1..=MOST_ENTRIES).contains(&entries) {
            return Err(Refusal::malformed("entries", format!("must be 1 to {MOST_ENTRIES}")).into());
        }
        let units = match &request.unit {
            Some(unit) => self.units_at_and_below(caller, unit).await?,
            None => Vec::new(),
        };
        let codes = self.store.code_book().await?;
        let made = tokio::task::spawn_blocking(move || {
            let columns = columns::columns(catalogue, &codes, &request.groups, entries);
            book::workbook(catalogue, &codes, &units, &columns)
        });
        made.await.map_err(|error| Fault::new("making a form", error))?.map_err(|error| workbook_fault(error).into())
    }

    async fn units_at_and_below(&self, caller: &Caller, unit: &str) -> Result<Vec<(String, String)>> {
        let code = self.known_unit(caller, unit).await?;
        let register = self.store.unit_register(day_of(self.clock.now())).await?;
        let below = format!("{}.", code.as_str());
        let mut units = self.store.unit_names().await?;
        units.retain(|(unit, _)| unit.starts_with(&below));
        units.truncate(MOST_UNITS - 1);
        let name = register.unit_name(code.as_str()).unwrap_or_default().into_owned();
        units.insert(0, (code.as_str().to_owned(), name));
        Ok(units)
    }

    /// A unit that exists, and that the caller may act for.
    pub(super) async fn known_unit(&self, caller: &Caller, unit: &str) -> Result<UnitCode> {
        let code = UnitCode::parse(unit)
            .ok_or_else(|| Refusal::malformed("unit", "must be a unit code of Decision 20/2020/QĐ-TTg"))?;
        caller.may_touch(code.as_str())?;
        let register = self.store.units_named(day_of(self.clock.now()), &[code.as_str()]).await?;
        if register.has_unit(code.as_str()) {
            Ok(code)
        } else {
            Err(Refusal::malformed("unit", "must be the code of a unit that exists").into())
        }
    }
}
