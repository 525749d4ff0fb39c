//! What a row changes in a record that is there already: what the header of its file carries, and nothing else. A form
//! limited to some groups leaves the other groups as they stand.
//!
//! ```text
//! a field          carried: the row's value; an empty cell empties it
//!                  but not one that a card cannot do without: nobody pastes a portrait again, and an emptied status would
//!                  give a suspended person a card. Such a field is said anew or stays
//! a list, items    carried as one (NDJSON, a cell of JSON): replaced whole
//!                  in numbered columns: a list that has no more entries than the file has places for is what the row says;
//!                  in a longer one, and where some columns of an entry are missing, places that are filled in say their
//!                  columns anew, empty places and everything behind the last place stay
//! ```
//!
//! The same row twice changes nothing the second time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::catalogue::{Catalogue, Required, Slot};
use crate::model::intake::{MAX_ENTRIES, order_faults};
use crate::model::record::Record;
use crate::model::row_fault::RowFault;
use crate::model::rule::Form;
use crate::model::value::Value;

/// Entries are added at places that a list may have: it stays within its bound.
const _: () = assert!(MAX_ENTRIES <= Form::MAX_ITEMS);

/// What the header of a file, or a line of NDJSON, carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Carried(BTreeMap<Slot, Extent>);

/// How much of a field or list.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Extent {
    Whole,
    /// Numbered columns: place and column, both from 0.
    Columns(BTreeSet<(usize, usize)>),
}

impl Carried {
    /// A column more: of a field or list as one, or at a place of it.
    pub(super) fn add(&mut self, slot: Slot, column: Option<(usize, usize)>) {
        match (self.0.entry(slot).or_insert_with(|| Extent::Columns(BTreeSet::new())), column) {
            (extent, None) => *extent = Extent::Whole,
            (Extent::Columns(columns), Some(column)) => {
                columns.insert(column);
            }
            (Extent::Whole, Some(_)) => {}
        }
    }

    /// Whether a field, or the list that it is a column of, is carried.
    fn has(&self, catalogue: &Catalogue, field: usize) -> bool {
        self.0.contains_key(&catalogue.fields()[field].list.map_or(Slot::Field(field), Slot::List))
    }
}

/// Where the entries of a list, or of a field of objects, stood in a row, for those with empty places between them.
pub(super) type Places = Vec<(Slot, Vec<usize>)>;

/// What a row does to a record that is there already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amendment {
    carried: Arc<Carried>,
    places: Places,
}

impl Amendment {
    pub(super) fn new(carried: Arc<Carried>, places: Places) -> Self {
        Self { carried, places }
    }

    /// Whether nothing that is there can stay: the row says all that its catalogue has.
    pub fn is_whole(&self, row: &Record) -> bool {
        let catalogue = row.catalogue();
        let is_said = |slot: &Slot| match (self.carried.0.get(slot), *slot) {
            (Some(Extent::Whole), Slot::Field(at)) => !stays_if_empty(catalogue, at) || row.parts().0[at].is_some(),
            (extent, Slot::List(_)) => extent == Some(&Extent::Whole),
            _ => false,
        };
        catalogue.slots().iter().all(is_said)
    }

    /// The fields and lists that `row` says: those that are carried, but for empty ones that stay as they are.
    pub fn said(&self, row: &Record) -> BTreeSet<String> {
        let catalogue = row.catalogue();
        let name = |slot: &Slot| match *slot {
            Slot::Field(at) => (row.parts().0[at].is_some() || !stays_if_empty(catalogue, at))
                .then(|| catalogue.fields()[at].code.clone()),
            Slot::List(at) => Some(catalogue.lists()[at].name.clone()),
        };
        self.carried.0.keys().filter_map(name).collect()
    }

    /// What `row` makes of `base`; portraits without their bytes. Both follow one catalogue. `line` is the row's.
    ///
    /// # Errors
    ///
    /// Where a date that the row carries and one that stays contradict each other.
    pub fn apply(&self, base: &Record, row: &Record, line: u64) -> Result<Record, Vec<RowFault>> {
        let catalogue = row.catalogue();
        let (mut values, mut lists) = (base.parts().0.to_vec(), base.parts().1.to_vec());
        for (slot, extent) in &self.carried.0 {
            match (*slot, extent) {
                (Slot::Field(at), Extent::Whole) => {
                    let said = &row.parts().0[at];
                    if said.is_some() || !stays_if_empty(catalogue, at) {
                        values[at].clone_from(said);
                    }
                }
                (Slot::Field(at), Extent::Columns(columns)) => {
                    let Form::Items(members) = &catalogue.fields()[at].rule.form else { continue };
                    let names: Vec<_> = members.iter().map(|(name, _)| name.as_str()).collect();
                    let (there, said) =
                        (entries_of(&names, values[at].as_ref()), entries_of(&names, row.parts().0[at].as_ref()));
                    let items = self.placed(*slot, columns, names.len(), there, said);
                    values[at] = items_of(&names, items);
                }
                (Slot::List(at), Extent::Whole) => lists[at].clone_from(&row.parts().1[at]),
                (Slot::List(at), Extent::Columns(columns)) => {
                    let (list, there) = (&catalogue.lists()[at], std::mem::take(&mut lists[at]));
                    lists[at] = self.placed(*slot, columns, list.members.len(), there, row.parts().1[at].clone());
                }
            }
        }
        self.forget_old_date(base, &mut values, row);
        let is_ours = |fault: &RowFault| {
            let Some(at) = catalogue.index(fault.field.split('[').next().unwrap_or_default()) else { return true };
            let other = catalogue.fields()[at].rule.not_before.as_deref().and_then(|code| catalogue.index(code));
            std::iter::once(at).chain(other).any(|at| self.carried.has(catalogue, at))
        };
        let mut faults = order_faults(catalogue, &values, &lists, line);
        faults.retain(is_ours);
        if faults.is_empty() { Ok(Record::new(catalogue, values, lists)) } else { Err(faults) }
    }

    /// A new status does not hold since the day of the old one.
    fn forget_old_date(&self, base: &Record, values: &mut [Option<Value>], row: &Record) {
        let catalogue = row.catalogue();
        let (status, date) = ("employment_status", "employment_status_date");
        let (Some(status), Some(date)) = (catalogue.index(status), catalogue.index(date)) else { return };
        if values[status] != base.parts().0[status] && self.carried.has(catalogue, date) {
            values[date].clone_from(&row.parts().0[date]);
        }
    }

    /// The entries of a list with those of the row in their places.
    fn placed<T: Clone + PartialEq>(
        &self,
        slot: Slot,
        columns: &BTreeSet<(usize, usize)>,
        width: usize,
        there: Vec<Vec<Option<T>>>,
        said: Vec<Vec<Option<T>>>,
    ) -> Vec<Vec<Option<T>>> {
        let places = columns.last().map_or(0, |(place, _)| place + 1);
        if columns.len() == places * width && there.len() <= places {
            return said;
        }
        let gaps = self.places.iter().find(|(known, _)| *known == slot).map(|(_, places)| places);
        let place_of = |at: usize| gaps.and_then(|places| places.get(at).copied()).unwrap_or(at);
        let said: Vec<_> = said.into_iter().enumerate().map(|(at, entry)| (place_of(at), entry)).collect();
        let says = |place: usize, one: &[Option<T>], other: &[Option<T>]| {
            (0..width).all(|column| !columns.contains(&(place, column)) || one[column] == other[column])
        };
        // Entries move up to the places before them that are empty. What did so when the row came before is there.
        if said.last().is_some_and(|(place, _)| *place >= there.len()) {
            let mut rest = there.iter();
            if said.iter().all(|(place, entry)| rest.any(|known| says(*place, entry, known))) {
                return there;
            }
        }
        let (length, mut entries) = (there.len(), there);
        for (place, entry) in said {
            if place >= length {
                entries.push(entry);
                continue;
            }
            for (column, value) in entry.into_iter().enumerate() {
                if columns.contains(&(place, column)) {
                    entries[place][column] = value;
                }
            }
        }
        entries
    }
}

/// An empty cell says nothing of a field that a card cannot do without.
fn stays_if_empty(catalogue: &Catalogue, field: usize) -> bool {
    catalogue.fields()[field].required == Required::Card
}

/// The objects of a field by their members.
fn entries_of(names: &[&str], value: Option<&Value>) -> Vec<Vec<Option<String>>> {
    let Some(Value::Items(items)) = value else { return Vec::new() };
    let member = |item: &[(String, String)], name: &str| {
        item.iter().find(|(known, _)| known == name).map(|(_, text)| text.clone())
    };
    items.iter().map(|item| names.iter().map(|name| member(item, name)).collect()).collect()
}

fn items_of(names: &[&str], entries: Vec<Vec<Option<String>>>) -> Option<Value> {
    let item = |entry: Vec<Option<String>>| {
        let present = names.iter().zip(entry).filter_map(|(name, text)| Some(((*name).to_owned(), text?)));
        let mut item: Vec<_> = present.collect();
        item.sort();
        item
    };
    (!entries.is_empty()).then(|| Value::Items(entries.into_iter().map(item).collect()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::date;

    use super::*;
    use crate::model::code_list::shipped;
    use crate::model::intake::{Intake, Layout};
    use crate::model::rule::Knowledge;
    use crate::model::unit::UnitRegister;

    const KEY: &str =
        r#""agency_personnel_number":"1","full_name":"An","managing_unit_code":"H26","using_unit_code":"H26""#;

    fn with<T>(run: impl FnOnce(Intake<'_>) -> T) -> T {
        let units = UnitRegister::on(date!(2025 - 12 - 01));
        run(Intake { catalogue: Catalogue::current(), knowledge: Knowledge { units: &units, codes: shipped() } })
    }

    /// What a row of a table makes of a record with these members beside its key.
    fn csv(base: &str, columns: &[(&str, &str)]) -> Result<String, Vec<String>> {
        let base = Record::restore(Catalogue::current(), &format!("{{{KEY}{base}}}")).unwrap();
        over(&base, columns).map(|record| record.content())
    }

    fn over(base: &Record, columns: &[(&str, &str)]) -> Result<Record, Vec<String>> {
        let key = [
            ("agency_personnel_number", "1"),
            ("full_name", "An"),
            ("managing_unit_code", "H26"),
            ("using_unit_code", "H26"),
        ];
        let columns: Vec<_> = key.iter().chain(columns).collect();
        let layout = Layout::of(Catalogue::current(), columns.iter().map(|(name, _)| *name)).unwrap();
        let cells = columns.iter().map(|(_, cell)| crate::model::cell::Cell::Text(cell)).collect::<Vec<_>>();
        let (row, amendment) = with(|intake| intake.row(2, &layout, cells.into_iter())).unwrap();
        let faults = |faults: Vec<RowFault>| faults.into_iter().map(|fault| fault.field).collect();
        amendment.apply(base, &row, 2).map_err(faults)
    }

    fn json(base: &str, line: &str) -> String {
        let base = Record::restore(Catalogue::current(), &format!("{{{KEY}{base}}}")).unwrap();
        let (row, amendment) = with(|intake| intake.json_row(1, &format!("{{{KEY}{line}}}"))).unwrap();
        amendment.apply(&base, &row, 1).unwrap().content()
    }

    /// A list of work history from these years.
    fn history(years: &[u32]) -> String {
        let entries: Vec<_> = years.iter().map(|year| format!(r#"{{"work_history_from":"{year}"}}"#)).collect();
        format!(r#","DS_QUATRINH_CONGTAC":[{}]"#, entries.join(","))
    }

    fn years(content: &str) -> Vec<u32> {
        let content: serde_json::Value = serde_json::from_str(content).unwrap();
        let entries = content["DS_QUATRINH_CONGTAC"].as_array().cloned().unwrap_or_default();
        entries.iter().map(|entry| entry["work_history_from"].as_str().unwrap_or("0").parse().unwrap()).collect()
    }

    #[test]
    fn what_is_not_carried_stays_and_an_empty_cell_empties() {
        let base = r#","email":"a@b.vn","phone_number":"0912345678","salary_coefficient":"3.66""#;
        let changed = csv(base, &[("phone_number", "0900000001")]).unwrap();
        assert!(changed.contains("a@b.vn") && changed.contains("3.66") && changed.contains("0900000001"), "{changed}");
        let emptied = csv(base, &[("phone_number", "")]).unwrap();
        assert!(emptied.contains("a@b.vn") && !emptied.contains("phone_number"), "{emptied}");
        let said = json(base, r#","email":null,"phone_number":"","position_title":"012""#);
        assert!(
            said.contains("3.66") && said.contains("012") && !said.contains("email") && !said.contains("phone"),
            "{said}"
        );
    }

    #[test]
    fn what_a_card_needs_is_said_anew_or_stays() {
        let portrait = format!("sha256:{}", "ab".repeat(32));
        let base = format!(
            r#","portrait_photo":"{portrait}","employment_status":"suspended","employment_status_date":"20260101","date_of_birth":"1987""#
        );
        let empty =
            [("portrait_photo", ""), ("employment_status", ""), ("employment_status_date", ""), ("date_of_birth", "")];
        let same = csv(&base, &empty).unwrap();
        assert!(same.contains(&portrait) && same.contains("suspended") && same.contains("20260101"), "{same}");
        let back = csv(&base, &[("employment_status", "active"), ("employment_status_date", "")]).unwrap();
        assert!(back.contains("active") && !back.contains("20260101"), "not since the day of the old status: {back}");
        let dated = csv(&base, &[("employment_status", "active"), ("employment_status_date", "20260301")]).unwrap();
        assert!(dated.contains("20260301"), "{dated}");
    }

    #[test]
    fn a_list_that_the_file_has_room_for_is_what_it_says() {
        // All columns of three entries of one list.
        let three = |cells: [&'static str; 3]| {
            let catalogue = Catalogue::current();
            let list = catalogue.lists().iter().find(|list| list.name == "DS_QUATRINH_CONGTAC").unwrap();
            let mut columns = Vec::new();
            for (place, cell) in (1..).zip(cells) {
                for member in &list.members {
                    let code = &catalogue.fields()[*member].code;
                    let cell = if code == "work_history_from" { cell } else { "" };
                    columns.push((format!("{code}[{place}]"), cell));
                }
            }
            columns
        };
        let run = |base: &[u32], cells: [&'static str; 3]| {
            let columns = three(cells);
            let columns: Vec<_> = columns.iter().map(|(name, cell)| (name.as_str(), *cell)).collect();
            years(&csv(&history(base), &columns).unwrap())
        };
        assert_eq!(run(&[2001, 2002, 2003], ["2001", "", "2003"]), [2001, 2003]);
        assert_eq!(run(&[2001, 2002], ["", "", ""]), [0; 0]);
        assert_eq!(run(&[], ["", "2002", "2003"]), [2002, 2003]);
        // A longer one keeps what has no place, and what stands where nothing was filled in.
        assert_eq!(run(&[2001, 2002, 2003, 2004, 2005], ["", "", ""]), [2001, 2002, 2003, 2004, 2005]);
        assert_eq!(run(&[2001, 2002, 2003, 2004, 2005], ["2011", "", "2013"]), [2011, 2002, 2013, 2004, 2005]);
    }

    #[test]
    fn columns_of_an_entry_that_are_missing_stay() {
        let base = r#","DS_QUATRINH_CONGTAC":[{"work_history_from":"2001","work_history_to":"2002"},{"work_history_from":"2003"}]"#;
        let changed = csv(base, &[("work_history_from[1]", "2000"), ("work_history_from[2]", "")]).unwrap();
        assert!(
            changed.contains(r#""work_history_from":"2000","work_history_to":"2002"},{"work_history_from":"2003""#),
            "{changed}"
        );
        // The order of dates is looked at with what stays, and only where the row has a part in it.
        let after = csv(base, &[("work_history_from[1]", "2005")]);
        assert_eq!(after, Err(vec!["work_history_to[1]".to_owned()]));
        let wrong = r#","DS_QUATRINH_CONGTAC":[{"work_history_from":"2009","work_history_to":"2002"}]"#;
        assert!(csv(wrong, &[("phone_number", "0900000001")]).is_ok());
    }

    #[test]
    fn objects_of_a_field_behave_like_entries() {
        let rewards = r#","rewards":[{"form":"a"},{"authority":"B","form":"b"},{"form":"c"}]"#;
        let changed = csv(rewards, &[("rewards[1].form", "x"), ("rewards[2].form", "y")]).unwrap();
        assert!(changed.contains(r#""rewards":[{"form":"x"},{"authority":"B","form":"y"},{"form":"c"}]"#), "{changed}");
        let whole = csv(rewards, &[("rewards", r#"[{"form":"z"}]"#)]).unwrap();
        assert!(whole.contains(r#""rewards":[{"form":"z"}]"#), "{whole}");
        let emptied = csv(rewards, &[("rewards", "")]).unwrap();
        assert!(!emptied.contains("rewards"), "{emptied}");
    }

    #[test]
    fn a_row_that_says_everything_needs_nothing_of_what_is_there() {
        let whole = |names: &dyn Fn(&str) -> &'static str| {
            let catalogue = Catalogue::current();
            let fields = catalogue.slots().iter().map(|slot| match slot {
                Slot::Field(at) => catalogue.fields()[*at].code.as_str(),
                Slot::List(at) => catalogue.lists()[*at].name.as_str(),
            });
            let members: Vec<_> = fields.map(|name| format!("\"{name}\":{}", names(name))).collect();
            let (row, amendment) = with(|intake| intake.json_row(1, &format!("{{{}}}", members.join(",")))).unwrap();
            amendment.is_whole(&row)
        };
        let all = |name: &str| match name {
            "agency_personnel_number" => r#""1""#,
            "full_name" => r#""An""#,
            "managing_unit_code" | "using_unit_code" => r#""H26""#,
            "personal_id_number" => r#""001087000001""#,
            "date_of_birth" | "employment_status_date" => r#""2000""#,
            "portrait_photo" => r#""/9j/4AD/2Q==""#,
            "employment_status" => r#""active""#,
            _ => "null",
        };
        // The day of a status is exact.
        let all = move |name: &str| if name == "employment_status_date" { r#""20200101""# } else { all(name) };
        assert!(whole(&all));
        assert!(!whole(&move |name: &str| if name == "portrait_photo" { "null" } else { all(name) }));
    }

    proptest! {
        #[test]
        fn the_same_row_twice_changes_nothing(
            base in prop::collection::vec((2001u32..2004, 0u8..3), 0..6),
            cells in prop::collection::vec((0u32..5, 0u8..5), 1..5),
            others in prop::collection::vec((0u32..5, 0u8..5), 1..5),
        ) {
            let entries: Vec<_> = base.iter().map(|(from, place)| {
                let to = if *place == 0 { String::new() } else { format!(r#","work_history_to":"201{place}""#) };
                format!(r#"{{"work_history_from":"{from}"{to}}}"#)
            }).collect();
            let base = format!(r#","DS_QUATRINH_CONGTAC":[{}],"email":"a@b.vn""#, entries.join(","));
            let mut columns = Vec::new();
            for (at, ((from, _), (_, to))) in cells.iter().zip(&others).enumerate() {
                let cell = |value: u32| if value == 0 { String::new() } else { (2000 + value).to_string() };
                if *from < 4 { columns.push((format!("work_history_from[{}]", at + 1), cell(*from))); }
                if *to < 3 { columns.push((format!("work_history_to[{}]", at + 1), if *to == 0 { String::new() } else { format!("201{to}") })); }
            }
            let columns: Vec<_> = columns.iter().map(|(name, cell)| (name.as_str(), cell.as_str())).collect();
            let base = Record::restore(Catalogue::current(), &format!("{{{KEY}{base}}}")).unwrap();
            let once = over(&base, &columns).unwrap();
            prop_assert!(once.content().contains("a@b.vn"));
            prop_assert!(once.entries("DS_QUATRINH_CONGTAC").len() >= base.entries("DS_QUATRINH_CONGTAC").len());
            prop_assert_eq!(over(&once, &columns).unwrap().content(), once.content());
        }
    }
}
