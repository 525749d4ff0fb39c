//! A row becomes a [`Record`], or the list of everything that is wrong with it.
//!
//! ```text
//! CSV     header → Layout (once), then each row's cells by their place
//! NDJSON  one object a line; a repeating list is an array of objects under the interface's name
//!         ↓ each value by its field's rule (rule.rs)
//!         ↓ what stands between fields: required, order of dates
//! Record | Vec<RowFault>
//!         ↓ where the record is there already: what the header carries and nothing else (amendment.rs)
//! ```
//!
//! In CSV and in spreadsheets, entry 2 of a repeating list has the columns `work_history_from[2]`, `work_history_to[2]` and
//! so on; empty entries are left out. Fields of the type list hold a JSON array in the cell, or have the columns
//! `rewards[1].form`, `rewards[1].authority` and so on.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::amendment::{Amendment, Carried, Places};
use crate::model::catalogue::{Catalogue, Field, Required, Slot};
use crate::model::cell::{self, Cell};
use crate::model::record::{Entry, Record};
use crate::model::row_fault::{RowFault, Shape};
use crate::model::rule::{Broken, Form, Knowledge, Raw};
use crate::model::text::normalised;
use crate::model::unit::UnitCode;
use crate::model::value::Value;

/// The column of a rejects file that tells what is wrong; ignored when the file comes in again.
pub const FAULTS_COLUMN: &str = "__faults";
/// The most entries in one repeating list.
pub const MAX_ENTRIES: usize = 100;
/// The most columns of a CSV file: every field, and every list to a believable depth.
pub const MAX_COLUMNS: usize = 2_000;
/// The most faults told of one row.
pub const MAX_FAULTS: usize = 50;

/// What each column of a CSV file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    columns: Vec<Column>,
    carried: Arc<Carried>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Ignored,
    /// Without a name: nothing may stand in it.
    Nameless,
    Value(Place),
    /// A member of an object in a field of the type list.
    Member(Member),
}

/// Where a member's value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Member {
    field: usize,
    /// From 0.
    entry: usize,
    /// Its place in the rule of the field.
    place: usize,
}

/// Where a value goes: a field, and the entry when the field is a column of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    field: usize,
    /// From 0.
    entry: Option<usize>,
}

/// A header that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// Nothing in it is a field: most likely the file begins with data, which is not repeated here.
    #[error("tệp không có dòng tiêu đề với mã trường / the file has no header row of field codes")]
    NoHeader,
    /// Columns that the catalogue does not know.
    #[error("cột không có trong danh mục: {} / columns that the catalogue does not know: {}", .0.join(", "), .0.join(", "))]
    Unknown(Vec<String>),
    /// One column twice.
    #[error("cột xuất hiện hai lần: {0} / a column comes twice: {0}")]
    Twice(String),
    /// Columns without which no row can be accepted.
    #[error("thiếu cột bắt buộc: {} / required columns are missing: {}", .0.join(", "), .0.join(", "))]
    Missing(Vec<String>),
    /// Over [`MAX_COLUMNS`].
    #[error("quá {MAX_COLUMNS} cột / more than {MAX_COLUMNS} columns")]
    TooWide,
}

impl Layout {
    /// From the cells of a CSV file's first row.
    pub fn of<'a>(catalogue: &Catalogue, header: impl IntoIterator<Item = &'a str>) -> Result<Self, HeaderFault> {
        let (mut columns, mut unknown) = (Vec::new(), Vec::new());
        for cell in header {
            let name = normalised(cell);
            let Some(column) = column_of(catalogue, &name) else {
                unknown.push(name.chars().take(60).collect());
                continue;
            };
            if matches!(column, Column::Value(_) | Column::Member(_)) && columns.contains(&column) {
                return Err(HeaderFault::Twice(name.into_owned()));
            }
            columns.push(column);
            if columns.len() > MAX_COLUMNS {
                return Err(HeaderFault::TooWide);
            }
        }
        if !unknown.is_empty() {
            unknown.truncate(20);
            return Err(if columns.is_empty() { HeaderFault::NoHeader } else { HeaderFault::Unknown(unknown) });
        }
        let has = |field: usize| columns.contains(&Column::Value(Place { field, entry: None }));
        let required = catalogue.fields().iter().enumerate().filter(|(_, field)| field.required == Required::Interface);
        let missing: Vec<_> = required.filter(|(at, _)| !has(*at)).map(|(_, field)| field.code.clone()).collect();
        if !missing.is_empty() {
            return Err(HeaderFault::Missing(missing));
        }
        let mut carried = Carried::default();
        for column in &columns {
            match column {
                Column::Value(place) => carry(&mut carried, catalogue, *place),
                Column::Member(member) => {
                    carried.add(Slot::Field(member.field), Some((member.entry, member.place)));
                }
                Column::Ignored | Column::Nameless => {}
            }
        }
        Ok(Self { columns, carried: Arc::new(carried) })
    }

    /// How many columns a row has.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// Whether a row names fields, so that it is the header and not a title above it.
    pub fn is_header<'a>(catalogue: &Catalogue, row: impl IntoIterator<Item = &'a str>) -> bool {
        let names_field =
            |cell: &&str| matches!(column_of(catalogue, &normalised(cell)), Some(Column::Value(_) | Column::Member(_)));
        row.into_iter().filter(names_field).take(2).count() == 2
    }
}

/// A field outside lists, or a column at a place of its list.
fn carry(carried: &mut Carried, catalogue: &Catalogue, place: Place) {
    match (catalogue.fields()[place.field].list, place.entry) {
        (Some(list), Some(entry)) => {
            let column = catalogue.lists()[list].members.iter().position(|member| *member == place.field);
            carried.add(Slot::List(list), Some((entry, column.unwrap_or_default())));
        }
        _ => carried.add(Slot::Field(place.field), None),
    }
}

fn column_of(catalogue: &Catalogue, name: &str) -> Option<Column> {
    match name {
        "" => Some(Column::Nameless),
        FAULTS_COLUMN => Some(Column::Ignored),
        name => match place_of(catalogue, name) {
            Some(place) => Some(Column::Value(place)),
            None => member_of(catalogue, name).map(Column::Member),
        },
    }
}

/// `rewards[1].authority`.
fn member_of(catalogue: &Catalogue, name: &str) -> Option<Member> {
    let (list, member) = name.split_once("].")?;
    let (code, entry) = list.split_once('[')?;
    let entry: usize = entry.parse().ok().filter(|entry| (1..=MAX_ENTRIES).contains(entry))?;
    let field = catalogue.index(code)?;
    let Form::Items(members) = &catalogue.fields()[field].rule.form else { return None };
    let place = members.iter().position(|(known, _)| known == member)?;
    Some(Member { field, entry: entry - 1, place })
}

/// `full_name`, or `work_history_from[2]` for columns of lists.
fn place_of(catalogue: &Catalogue, name: &str) -> Option<Place> {
    if let Some((code, entry)) = name.strip_suffix(']').and_then(|name| name.split_once('[')) {
        let entry: usize = entry.parse().ok().filter(|entry| (1..=MAX_ENTRIES).contains(entry))?;
        let field = catalogue.index(code).filter(|at| catalogue.fields()[*at].list.is_some())?;
        return Some(Place { field, entry: Some(entry - 1) });
    }
    let field = catalogue.index(name).filter(|at| catalogue.fields()[*at].list.is_none())?;
    Some(Place { field, entry: None })
}

/// Reads rows into records.
#[derive(Clone, Copy)]
pub struct Intake<'a> {
    /// The fields.
    pub catalogue: &'static Catalogue,
    /// Units and codes.
    pub knowledge: Knowledge<'a>,
}

impl Intake<'_> {
    /// One row of a spreadsheet, whose cells stand in the order of `layout`: the record that it makes where there is none,
    /// and what it does to one that is there.
    pub fn row<'r>(
        &self,
        line: u64,
        layout: &Layout,
        cells: impl ExactSizeIterator<Item = Cell<'r>>,
    ) -> Result<(Record, Amendment), Vec<RowFault>> {
        let mut draft = Draft::new(*self, line);
        if cells.len() != layout.width() {
            draft.row_fault(
                "columns",
                format!("có đúng {} cột như dòng tiêu đề", layout.width()),
                format!("have exactly the {} columns of the header", layout.width()),
            );
            return Err(draft.faults);
        }
        for (column, cell) in layout.columns.iter().zip(cells) {
            match column {
                _ if cell.is_empty() => {}
                Column::Value(place) => draft.put_cell(*place, cell),
                Column::Member(member) => draft.put_member(*member, cell),
                Column::Ignored => {}
                Column::Nameless => draft.nameless(),
            }
        }
        let (record, places) = draft.finish_placed()?;
        Ok((record, Amendment::new(Arc::clone(&layout.carried), places)))
    }

    /// A record with some of its fields and lists said anew, or a new one without `base`. `changes` is what a line of NDJSON
    /// holds; a field that is named has that value and no other, an empty text takes it away, a list that is named is replaced
    /// whole, `null` says nothing. What is not named is left as it stands and not checked again, except how dates follow each
    /// other.
    pub fn amended(
        &self,
        line: u64,
        base: Option<&Record>,
        changes: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Record, Vec<RowFault>> {
        let said = changes.iter().filter(|(_, value)| !value.is_null());
        self.said_anew(line, base, said).0.finish()
    }

    /// One line of NDJSON: the record that it makes where there is none, and what it does to one that is there.
    pub fn json_row(&self, line: u64, text: &str) -> Result<(Record, Amendment), Vec<RowFault>> {
        let (mut draft, mut carried) = (Draft::new(*self, line), Carried::default());
        let Ok(object) = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text) else {
            draft.row_fault(
                "readable",
                "là một đối tượng JSON trên một dòng".into(),
                "be one JSON object on one line".into(),
            );
            return Err(draft.faults);
        };
        for (name, value) in &object {
            let name = normalised(name);
            if name == FAULTS_COLUMN {
                continue;
            }
            if let Some(place) = place_of(self.catalogue, &name) {
                carry(&mut carried, self.catalogue, place);
                draft.put_json(place, value);
            } else if let Some(list) = self.catalogue.lists().iter().position(|list| list.name == name) {
                carried.add(Slot::List(list), None);
                draft.put_list(list, value);
            } else {
                draft.unknown(&name);
            }
        }
        let (record, places) = draft.finish_placed()?;
        Ok((record, Amendment::new(Arc::new(carried), places)))
    }
}

impl Intake<'_> {
    /// The record with other values of some fields and lists, each by its field's rule; a list is replaced whole, `null`
    /// empties. Faults are those of what changes: what else the record says was read when it came.
    pub fn change(
        &self,
        base: &Record,
        changes: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Record, Vec<RowFault>> {
        let (draft, changed) = self.said_anew(1, Some(base), changes.iter());
        draft.finish_change(&changed)
    }
}

impl<'k> Intake<'k> {
    /// A draft with some of the fields and lists of `base` said anew, and which fields those are.
    fn said_anew<'c>(
        &self,
        line: u64,
        base: Option<&Record>,
        changes: impl Iterator<Item = (&'c String, &'c serde_json::Value)>,
    ) -> (Draft<'k>, Vec<usize>) {
        let (mut draft, mut changed) = (Draft::new(*self, line), Vec::new());
        if let Some((values, lists)) = base.map(Record::parts) {
            (draft.values, draft.lists) = (values.to_vec(), lists.to_vec());
        }
        for (name, value) in changes {
            if let Some(place) = place_of(self.catalogue, name).filter(|place| place.entry.is_none()) {
                changed.push(place.field);
                draft.values[place.field] = None;
                draft.put_json(place, value);
            } else if let Some(list) = self.catalogue.lists().iter().position(|list| list.name == *name) {
                changed.extend(self.catalogue.lists()[list].members.iter().copied());
                draft.lists[list].clear();
                draft.put_list(list, value);
            } else {
                draft.unknown(name);
            }
        }
        (draft, changed)
    }
}

/// Objects of a field of the type list, as [`Value::Items`] has them.
type Items = Vec<Vec<(String, String)>>;

/// A record on its way: what was read so far, and what was wrong.
struct Draft<'a> {
    intake: Intake<'a>,
    line: u64,
    values: Vec<Option<Value>>,
    lists: Vec<Vec<Entry>>,
    /// Objects of fields of the type list that came member by member: by field and entry.
    items: BTreeMap<(usize, usize), Vec<(String, String)>>,
    places: Places,
    /// Places whose value was refused: nothing more is said of them.
    refused: Vec<Place>,
    /// The row as a whole could not be read.
    unreadable: bool,
    faults: Vec<RowFault>,
}

impl<'a> Draft<'a> {
    fn new(intake: Intake<'a>, line: u64) -> Self {
        let values = vec![None; intake.catalogue.fields().len()];
        let lists = vec![Vec::new(); intake.catalogue.lists().len()];
        Self {
            intake,
            line,
            values,
            lists,
            items: BTreeMap::new(),
            places: Vec::new(),
            refused: Vec::new(),
            unreadable: false,
            faults: Vec::new(),
        }
    }

    /// A cell: what people and spreadsheets do to values is undone where it is certain, and told where it is not.
    fn put_cell(&mut self, place: Place, cell: Cell<'_>) {
        let field = &self.intake.catalogue.fields()[place.field];
        match cell::read(&field.rule.form, cell, self.intake.knowledge) {
            Ok(None) => {}
            Ok(Some(value)) => self.keep(place, value),
            Err(broken) => {
                self.refused.push(place);
                self.cell_fault(named(field, place.entry), &field.rule.form, &field.rule_text, cell, broken);
            }
        }
    }

    fn put_member(&mut self, member: Member, cell: Cell<'_>) {
        let field = &self.intake.catalogue.fields()[member.field];
        let Form::Items(members) = &field.rule.form else { return };
        let (name, form) = &members[member.place];
        match cell::read(form, cell, self.intake.knowledge) {
            Ok(value) => {
                let text = match value {
                    Some(Value::Text(text)) => text,
                    Some(Value::Date(date)) => date.to_string(),
                    _ => return,
                };
                self.items.entry((member.field, member.entry)).or_default().push((name.clone(), text));
            }
            Err(broken) => {
                self.refused.push(Place { field: member.field, entry: None });
                let named = format!("{}[{}].{name}", field.code, member.entry + 1);
                self.cell_fault(named, form, &field.rule_text, cell, broken);
            }
        }
    }

    /// The objects that came member by member, after those of a JSON cell.
    fn gather_items(&mut self) {
        let mut gathered: BTreeMap<usize, (Vec<usize>, Items)> = BTreeMap::new();
        for ((field, entry), mut item) in std::mem::take(&mut self.items) {
            item.sort();
            let (places, items) = gathered.entry(field).or_default();
            places.push(entry);
            items.push(item);
        }
        for (field, (places, mut items)) in gathered {
            self.note_places(Slot::Field(field), places);
            let mut all = match self.values[field].take() {
                Some(Value::Items(before)) => before,
                _ => Vec::new(),
            };
            all.append(&mut items);
            if all.len() > Form::MAX_ITEMS {
                let code = self.intake.catalogue.fields()[field].code.clone();
                self.list_fault(&code);
            } else {
                self.values[field] = Some(Value::Items(all));
            }
        }
    }

    fn nameless(&mut self) {
        let (vi, en) = ("không có giá trị ở cột không có mã trường", "have no value in a column without a field code");
        self.fault(String::new(), None, "columns", vi.into(), en.into());
    }

    fn put_json(&mut self, place: Place, value: &serde_json::Value) {
        match value {
            serde_json::Value::Null => {}
            serde_json::Value::String(text) => self.put(place, Raw::Text(text)),
            serde_json::Value::Number(number) => self.put(place, Raw::Text(&number.to_string())),
            other => self.put(place, Raw::Json(other)),
        }
    }

    fn put_list(&mut self, list: usize, value: &serde_json::Value) {
        let known = &self.intake.catalogue.lists()[list];
        let entries = match value {
            serde_json::Value::Null => return,
            serde_json::Value::Array(entries) if entries.len() <= MAX_ENTRIES => entries,
            _ => {
                return self.list_fault(&known.name);
            }
        };
        for (entry, object) in entries.iter().enumerate() {
            let Some(object) = object.as_object() else {
                return self.list_fault(&known.name);
            };
            for (name, value) in object {
                let field = self.intake.catalogue.index(&normalised(name)).filter(|at| known.members.contains(at));
                match field {
                    Some(field) => self.put_json(Place { field, entry: Some(entry) }, value),
                    None => self.unknown(name),
                }
            }
        }
    }

    fn put(&mut self, place: Place, raw: Raw<'_>) {
        let field = &self.intake.catalogue.fields()[place.field];
        match field.rule.form.read(raw, self.intake.knowledge) {
            Ok(None) => {}
            Ok(Some(value)) => self.keep(place, value),
            Err(broken) => {
                self.refused.push(place);
                let text = match raw {
                    Raw::Text(text) => Cow::Borrowed(text),
                    Raw::Json(json) => Cow::Owned(json.to_string()),
                };
                let cell = Cell::Text(&text);
                self.cell_fault(named(field, place.entry), &field.rule.form, &field.rule_text, cell, broken.into());
            }
        }
    }

    fn keep(&mut self, place: Place, value: Value) {
        match self.cell(place) {
            Some(cell) => *cell = Some(value),
            None => self.row_fault("entries", "có ít mục hơn".into(), "have fewer entries".into()),
        }
    }

    /// The cell of a place, made when it is not there yet.
    fn cell(&mut self, place: Place) -> Option<&mut Option<Value>> {
        let catalogue = self.intake.catalogue;
        let Some(entry) = place.entry else { return self.values.get_mut(place.field) };
        let list = catalogue.fields()[place.field].list?;
        let members = &catalogue.lists()[list].members;
        let entries = &mut self.lists[list];
        if entry >= MAX_ENTRIES {
            return None;
        }
        while entries.len() <= entry {
            entries.push(vec![None; members.len()]);
        }
        entries[entry].get_mut(members.iter().position(|member| *member == place.field)?)
    }

    fn finish(self) -> Result<Record, Vec<RowFault>> {
        self.finish_placed().map(|(record, _)| record)
    }

    /// The record, and where entries of it stood in the row when there were empty places between them.
    fn finish_placed(mut self) -> Result<(Record, Places), Vec<RowFault>> {
        self.gather_items();
        if !self.unreadable {
            self.check_required();
            self.check_order();
        }
        if !self.faults.is_empty() {
            self.faults.truncate(MAX_FAULTS);
            return Err(self.faults);
        }
        for list in 0..self.lists.len() {
            let is_filled = |entry: &Entry| entry.iter().any(Option::is_some);
            let places = (0..).zip(&self.lists[list]).filter(|(_, entry)| is_filled(entry)).map(|(place, _)| place);
            self.note_places(Slot::List(list), places.collect());
            self.lists[list].retain(is_filled);
        }
        Ok((Record::new(self.intake.catalogue, self.values, self.lists), self.places))
    }

    fn note_places(&mut self, slot: Slot, places: Vec<usize>) {
        if places.last().is_some_and(|last| last + 1 != places.len()) {
            self.places.push((slot, places));
        }
    }

    /// As [`Draft::finish`], but what stands between fields is only looked at where one of them changed.
    fn finish_change(mut self, changed: &[usize]) -> Result<Record, Vec<RowFault>> {
        let catalogue = self.intake.catalogue;
        let is_of_change = |fault: &RowFault| {
            let code = fault.field.split('[').next().unwrap_or_default();
            let Some(at) = catalogue.index(code) else { return true };
            let other = catalogue.fields()[at].rule.not_before.as_deref().and_then(|code| catalogue.index(code));
            changed.contains(&at) || other.is_some_and(|other| changed.contains(&other))
        };
        // What was wrong with the values themselves is all of the change.
        let own = std::mem::take(&mut self.faults);
        self.check_required();
        self.check_order();
        self.faults.retain(is_of_change);
        self.faults.splice(..0, own);
        if !self.faults.is_empty() {
            return Err(self.faults);
        }
        for entries in &mut self.lists {
            entries.retain(|entry| entry.iter().any(Option::is_some));
        }
        Ok(Record::new(catalogue, self.values, self.lists))
    }

    fn check_required(&mut self) {
        for (at, field) in self.intake.catalogue.fields().iter().enumerate() {
            let place = Place { field: at, entry: None };
            if field.required == Required::Interface && self.values[at].is_none() && !self.refused.contains(&place) {
                self.fault(field.code.clone(), None, "required", "có giá trị".into(), "have a value".into());
            }
        }
    }

    fn check_order(&mut self) {
        let room = MAX_FAULTS.saturating_sub(self.faults.len());
        let faults = order_faults(self.intake.catalogue, &self.values, &self.lists, self.line);
        self.faults.extend(faults.into_iter().take(room));
    }

    fn cell_fault(&mut self, field: String, form: &Form, rule: &str, cell: Cell<'_>, broken: cell::Broken) {
        let both = |vi: &str, en: &str| (vi.to_owned(), en.to_owned());
        let (mut demand_vi, mut demand_en) = match broken.rule {
            Broken::Form | Broken::NoSuchCode => form.demand(),
            Broken::Birthplace => both(
                "bắt đầu bằng mã nơi đăng ký khai sinh có trong danh mục 63 tỉnh (Thông tư 07/2016/TT-BCA) hoặc mã quốc gia",
                "open with a birthplace code of the 63-province list (Circular 07/2016/TT-BCA) or a country code",
            ),
            Broken::NoSuchUnit => both(
                "là mã của đơn vị đang có trong danh mục đơn vị",
                "be the code of a unit that exists in the register",
            ),
        };
        // A unit's code says nothing of a person.
        let code = UnitCode::parse(cell.text().trim()).filter(|_| broken.rule == Broken::NoSuchUnit);
        if let Some(now) = code.and_then(|code| self.intake.knowledge.units.successor(code.as_str())) {
            demand_vi = format!("{demand_vi}; đơn vị này nay là {now}");
            demand_en = format!("{demand_en}; now {now}");
        }
        if let Some((vi, en)) = broken.hint.map(cell::Hint::told) {
            demand_vi = format!("{demand_vi}; {vi}");
            demand_en = format!("{demand_en}; {en}");
        }
        self.fault(field, Some(Shape::of(cell.text())), rule, demand_vi, demand_en);
    }

    fn list_fault(&mut self, list: &str) {
        let vi = format!("là mảng không quá {MAX_ENTRIES} đối tượng");
        self.fault(list.to_owned(), None, "entries", vi, format!("be an array of at most {MAX_ENTRIES} objects"));
    }

    /// The name comes from the file, so only its shape is told beyond what looks like a field code.
    fn unknown(&mut self, name: &str) {
        let looks_like_code = name.len() <= 60 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let field = if looks_like_code { name.to_owned() } else { String::new() };
        let vi = "là trường có trong danh mục";
        self.fault(field, Some(Shape::of(name)), "known_column", vi.into(), "be a field of the catalogue".into());
    }

    fn row_fault(&mut self, rule: &str, vi: String, en: String) {
        self.unreadable = true;
        self.fault(String::new(), None, rule, vi, en);
    }

    fn fault(&mut self, field: String, shape: Option<Shape>, rule: &str, demand_vi: String, demand_en: String) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(RowFault { line: self.line, field, shape, rule: rule.to_owned(), demand_vi, demand_en });
        }
    }
}

/// `not_before`: the other date is looked for in the same entry, then in the record.
pub(super) fn order_faults(
    catalogue: &Catalogue,
    values: &[Option<Value>],
    lists: &[Vec<Entry>],
    line: u64,
) -> Vec<RowFault> {
    let date = |field: usize, entry: Option<usize>| {
        let value = match catalogue.fields()[field].list {
            Some(list) => {
                let member = catalogue.lists()[list].members.iter().position(|member| *member == field)?;
                lists[list].get(entry?)?.get(member)?
            }
            None => &values[field],
        };
        match value {
            Some(Value::Date(date)) => Some(*date),
            _ => None,
        }
    };
    let mut faults = Vec::new();
    for (at, field) in catalogue.fields().iter().enumerate() {
        let Some(other) = field.rule.not_before.as_deref().and_then(|code| catalogue.index(code)) else { continue };
        for entry in 0..field.list.map_or(1, |list| lists[list].len()) {
            let entry = field.list.map(|_| entry);
            if let (Some(later), Some(earlier)) = (date(at, entry), date(other, entry))
                && later.certainly_before(earlier)
            {
                let other = &catalogue.fields()[other].code;
                faults.push(RowFault {
                    line,
                    field: named(field, entry),
                    shape: Some(Shape::of(&later.to_string())),
                    rule: field.rule_text.clone(),
                    demand_vi: format!("không sớm hơn {other}"),
                    demand_en: format!("not be earlier than {other}"),
                });
            }
        }
    }
    faults
}

fn named(field: &Field, entry: Option<usize>) -> String {
    entry.map_or_else(|| field.code.clone(), |entry| format!("{}[{}]", field.code, entry + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::date;

    use super::*;
    use crate::model::code_list::shipped;
    use crate::model::unit::UnitRegister;

    const HEADER: [&str; 9] = [
        "agency_personnel_number",
        "full_name",
        "managing_unit_code",
        "using_unit_code",
        "personal_id_number",
        "date_of_birth",
        "work_history_from[1]",
        "work_history_to[1]",
        "work_history_from[3]",
    ];

    fn with<T>(run: impl FnOnce(Intake<'_>) -> T) -> T {
        let mut units = UnitRegister::on(date!(2025 - 12 - 01));
        units.enter("H26.05", "Sở Nội vụ").unwrap();
        let knowledge = Knowledge { units: &units, codes: shipped() };
        run(Intake { catalogue: Catalogue::current(), knowledge })
    }

    fn csv(cells: [&str; 9]) -> Result<Record, Vec<RowFault>> {
        let layout = Layout::of(Catalogue::current(), HEADER).unwrap();
        with(|intake| intake.row(2, &layout, cells.into_iter().map(Cell::Text))).map(|(record, _)| record)
    }

    fn faults(result: Result<Record, Vec<RowFault>>) -> Vec<(String, String)> {
        result.unwrap_err().into_iter().map(|fault| (fault.field, fault.rule)).collect()
    }

    const GOOD: [&str; 9] = [
        "CB 01",
        "Nguye\u{302}\u{303}n Thị  Đào",
        "H26",
        "H26.05",
        "001187012345",
        "1987-05-02",
        "201001",
        "2015",
        "2015",
    ];

    #[test]
    fn the_same_record_by_csv_and_by_json_has_one_content() {
        let record = csv(GOOD).unwrap();
        let content = r#"{"DS_QUATRINH_CONGTAC":[{"work_history_from":"201001","work_history_to":"2015"},{"work_history_from":"2015"}],"agency_personnel_number":"CB 01","date_of_birth":"19870502","full_name":"Nguyễn Thị Đào","managing_unit_code":"H26","personal_id_number":"001187012345","using_unit_code":"H26.05"}"#;
        assert_eq!(record.content(), content);
        let json = with(|intake| intake.json_row(1, content)).unwrap().0;
        assert_eq!(json, record);
        assert_eq!(Record::restore(Catalogue::current(), content).unwrap(), record);
        assert_eq!(record.key().unit, "H26");
        let missing: Vec<_> = record.missing_for_card().collect();
        assert_eq!(missing, ["portrait_photo", "employment_status", "employment_status_date"]);
    }

    #[test]
    fn what_is_named_is_said_anew_and_the_rest_stands() {
        let base = csv(GOOD).unwrap();
        let amended = |base: Option<&Record>, text: &str| {
            let changes = serde_json::from_str(text).unwrap();
            with(|intake| intake.amended(1, base, &changes))
        };
        let same = amended(Some(&base), r#"{"full_name":null,"DS_QUATRINH_CONGTAC":null}"#).unwrap();
        assert_eq!(same, base);
        let text =
            r#"{"date_of_birth":"","full_name":"Lê Thị Đào","DS_QUATRINH_CONGTAC":[{"work_history_from":"2020"}]}"#;
        let changed = amended(Some(&base), text).unwrap();
        assert_eq!((changed.full_name(), changed.date("date_of_birth")), ("Lê Thị Đào", None));
        assert_eq!(changed.entries("DS_QUATRINH_CONGTAC").len(), 1, "replaced whole");
        assert_eq!(changed.personal_number(), base.personal_number());
        let none = amended(Some(&base), r#"{"DS_QUATRINH_CONGTAC":[]}"#).unwrap();
        assert!(none.entries("DS_QUATRINH_CONGTAC").is_empty());
        let whole: serde_json::Value = serde_json::from_str(&base.content()).unwrap();
        assert_eq!(amended(None, &whole.to_string()).unwrap(), base, "a new one");
        assert_eq!(faults(amended(Some(&base), r#"{"full_name":""}"#)), [("full_name".into(), "required".to_owned())]);
        for wrong in [r#"{"work_history_from[1]":"2020"}"#, r#"{"salry":"1"}"#, r#"{"DS_TINHOC":"1"}"#] {
            assert!(amended(Some(&base), wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_fault_of_a_row_is_told_at_once() {
        let row = ["", "An 7", "H26.99", "x", "00118701234", "1987-02-30", "2015", "2014", "2013"];
        assert_eq!(
            faults(csv(row)),
            [
                ("full_name", "name 100"),
                ("managing_unit_code", "unit"),
                ("using_unit_code", "unit"),
                ("personal_id_number", "personal_number"),
                ("date_of_birth", "date partial"),
                ("agency_personnel_number", "required"),
                ("work_history_to[1]", "date partial; not_before work_history_from"),
            ]
            .map(|(field, rule)| (field.to_owned(), rule.to_owned()))
        );
        for fault in csv(row).unwrap_err() {
            assert!(!fault.to_string().contains("00118701234") && !fault.to_string().contains("An 7"));
        }
    }

    #[test]
    fn rows_of_another_width_or_form_are_refused_once() {
        let layout = Layout::of(Catalogue::current(), HEADER).unwrap();
        let short = with(|intake| intake.row(2, &layout, ["a"].into_iter().map(Cell::Text))).map(|(record, _)| record);
        assert_eq!(faults(short), [(String::new(), "columns".to_owned())]);
        for bad in ["", "[]", "1", "{", "{\"full_name\":}"] {
            assert_eq!(
                faults(with(|intake| intake.json_row(1, bad)).map(|(record, _)| record)),
                [(String::new(), "readable".to_owned())],
                "{bad}"
            );
        }
        let odd = r#"{"agency_personnel_number":7,"full_name":["a"],"managing_unit_code":"H26","using_unit_code":"H26",
            "salry":"1","Nguyễn Văn A":1,"DS_TINHOC":[{"it_level":"99"},3],"__faults":"x"}"#;
        let odd = faults(with(|intake| intake.json_row(1, odd)).map(|(record, _)| record));
        let expected = [
            ("DS_TINHOC", "entries"),
            ("", "known_column"),
            ("full_name", "name 100"),
            ("it_level[1]", "list MOHA.TRINHDOTINHOC"),
            ("salry", "known_column"),
        ];
        for (field, rule) in expected {
            assert!(odd.contains(&(field.to_owned(), rule.to_owned())), "{field} {odd:?}");
        }
        assert_eq!(odd.len(), expected.len());
    }

    #[test]
    fn a_header_tells_what_it_lacks() {
        let of = |header: &[&str]| Layout::of(Catalogue::current(), header.iter().copied());
        assert_eq!(of(&["Nguyễn Văn A", "001"]), Err(HeaderFault::NoHeader));
        assert_eq!(of(&["full_name", "salry"]), Err(HeaderFault::Unknown(vec!["salry".into()])));
        assert_eq!(of(&["full_name", "full_name"]), Err(HeaderFault::Twice("full_name".into())));
        assert_eq!(
            of(&["full_name", "work_history_from"]),
            Err(HeaderFault::Unknown(vec!["work_history_from".into()]))
        );
        assert!(
            matches!(of(&["\u{feff}full_name", "__faults"]), Err(HeaderFault::Missing(missing)) if missing.len() == 3)
        );
        assert!(matches!(of(&["full_name", "it_level[101]"]), Err(HeaderFault::Unknown(_))));
        assert!(of(&["full_name", "it_level[0]"]).is_err() && of(&["full_name[1]", "gender"]).is_err());
    }

    #[test]
    fn a_change_is_read_by_the_same_rules_and_answers_for_itself_alone() {
        let base = csv(GOOD).unwrap();
        let change = |changes: serde_json::Value| with(|intake| intake.change(&base, changes.as_object().unwrap()));
        let changed = change(serde_json::json!({"email": "a@b.vn", "date_of_birth": "1987-05-03"})).unwrap();
        assert_eq!(changed.text("email"), Some("a@b.vn"));
        assert_eq!(changed.full_name(), base.full_name());
        assert_eq!(change(serde_json::json!({"email": null})).unwrap(), base);
        for (changes, expected) in [
            (serde_json::json!({"email": "x"}), "email"),
            (serde_json::json!({"full_name": ""}), "full_name"),
            (serde_json::json!({"DS_NGOAINGU": [{"email": "a@b.vn"}]}), "email"),
            (serde_json::json!({"DS_NGOAINGU": 1}), "DS_NGOAINGU"),
            (serde_json::json!({"first_recruitment_date": "1980"}), "first_recruitment_date"),
            // The other end of the same rule.
            (serde_json::json!({"work_history_from[1]": "2010"}), "work_history_from"),
        ] {
            let told = faults(change(changes.clone()));
            assert!(told.len() == 1 && (told[0].0 == expected || told[0].0.is_empty()), "{changes}: {told:?}");
        }
    }

    #[test]
    fn a_successor_is_data_and_is_read_beside_the_version_in_use() {
        // One field more, another one named otherwise.
        let text = include_str!("data/2023/fields.csv");
        let email = text.lines().find(|line| line.contains(",email,")).unwrap();
        let number = text.lines().count();
        let digital = email
            .replacen(&email[..email.find(',').unwrap()], &number.to_string(), 1)
            .replace(",email,", ",second_email,");
        let text = format!("{}{digital}\n", text.replace(",marital_status,", ",family_status,"));
        let successor: &'static Catalogue = Box::leak(Box::new(Catalogue::parse("2027", &text).unwrap()));
        assert_eq!(successor.fields().len(), Catalogue::current().fields().len() + 1);
        let header = ["agency_personnel_number", "full_name", "managing_unit_code", "using_unit_code", "second_email"];
        let cells = ["CB 01", "Nguyễn Thị Đào", "H26", "H26.05", "dao@mau.example"];
        assert!(
            matches!(Layout::of(Catalogue::current(), header), Err(HeaderFault::Unknown(unknown)) if unknown == ["second_email"])
        );
        let layout = Layout::of(successor, header).unwrap();
        let (record, amendment) =
            with(|intake| Intake { catalogue: successor, ..intake }.row(2, &layout, cells.into_iter().map(Cell::Text)))
                .unwrap();
        assert_eq!(record.text("second_email"), Some("dao@mau.example"));
        assert_eq!(Record::restore(successor, &record.content()).unwrap(), record);
        assert!(Record::restore(Catalogue::current(), &record.content()).is_err(), "it is not of the version in use");
        // What was written by the version in use is read by it, and changed by a row of the successor.
        let old = csv(GOOD).unwrap();
        assert_eq!(Record::restore(Catalogue::current(), &old.content()).unwrap(), old);
        let base = Record::restore(successor, &old.content()).unwrap();
        let both = amendment.apply(&base, &record, 2).unwrap();
        assert_eq!(
            (both.text("second_email"), both.date("date_of_birth")),
            (Some("dao@mau.example"), old.date("date_of_birth"))
        );
    }

    proptest! {
        #[test]
        fn rows_never_panic_and_what_goes_in_is_stable(cells in prop::array::uniform9("\\PC{0,30}|[0-9]{4,12}|H26")) {
            if let Ok(record) = csv(cells.each_ref().map(String::as_str)) {
                let content = record.content();
                prop_assert_eq!(with(|intake| intake.json_row(1, &content)).unwrap().0.content(), content);
            }
        }

        #[test]
        fn json_rows_never_panic(text in "\\PC{0,80}|\\{\"[a-zA-Z_]{0,30}\":[\\[{0-9\"a-z}\\],:]{0,20}\\}") {
            let _ = with(|intake| intake.json_row(1, &text));
            let _ = Record::restore(Catalogue::current(), &text);
        }
    }
}
