//! A personnel record: typed, normalised values of one version of the catalogue, with one canonical JSON text and one
//! digest, so that the same record twice is known to be the same.
//!
//! A record comes in by [`crate::model::intake`] and back from the store by [`Record::restore`]. How good it is, is
//! [`crate::model::quality`]'s to say; that a card can be made of it, [`crate::model::person`]'s.

use serde_json::Map;
use sha2::{Digest, Sha256};

use crate::model::card::CardType;
use crate::model::catalogue::{Catalogue, Required, Slot};
use crate::model::code_list::shipped;
use crate::model::id::PersonalNumber;
use crate::model::partial_date::PartialDate;
use crate::model::value::{Portrait, Value, hex};

/// Employment statuses in which a card may be held.
pub const IN_SERVICE: [&str; 2] = ["active", "seconded"];

/// The values of one entry of a repeating list, in the order of its columns.
pub type Entry = Vec<Option<Value>>;

/// One person's record in one unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    catalogue: &'static Catalogue,
    /// By the field's index; `None` for columns of lists.
    values: Vec<Option<Value>>,
    /// By the list's index.
    lists: Vec<Vec<Entry>>,
}

/// What makes two rows the same record: the unit that manages it and the number that it gave the person.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKey {
    /// `managing_unit_code`.
    pub unit: String,
    /// `agency_personnel_number`.
    pub number: String,
}

/// Stored content that is not a record of its catalogue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// Not a JSON object.
    #[error("the stored content is not a JSON object")]
    Json,
    /// The catalogue has no such member, or its value does not fit.
    #[error("the stored member {0} does not fit the catalogue")]
    Member(String),
}

impl Record {
    /// From values that were each read by their field's rule; for [`crate::model::intake`].
    pub(crate) fn new(catalogue: &'static Catalogue, values: Vec<Option<Value>>, lists: Vec<Vec<Entry>>) -> Self {
        Self { catalogue, values, lists }
    }

    /// Values by the field's index and lists by the list's; for [`crate::model::intake`], which changes some of them.
    pub(crate) fn parts(&self) -> (&[Option<Value>], &[Vec<Entry>]) {
        (&self.values, &self.lists)
    }

    /// From the canonical content that [`Record::content`] wrote.
    pub fn restore(catalogue: &'static Catalogue, content: &str) -> Result<Self, RestoreError> {
        let object: Map<String, serde_json::Value> = serde_json::from_str(content).map_err(|_| RestoreError::Json)?;
        let mut values = vec![None; catalogue.fields().len()];
        let mut lists = vec![Vec::new(); catalogue.lists().len()];
        for (name, json) in &object {
            let wrong = || RestoreError::Member(name.clone());
            if let Some(at) = catalogue.index(name) {
                values[at] = Some(catalogue.fields()[at].rule.form.restore(json).ok_or_else(wrong)?);
                continue;
            }
            let list = catalogue.lists().iter().position(|list| list.name == *name).ok_or_else(wrong)?;
            for entry in json.as_array().ok_or_else(wrong)? {
                let entry = entry.as_object().ok_or_else(wrong)?;
                let restored = catalogue.lists()[list].members.iter().map(|at| {
                    let field = &catalogue.fields()[*at];
                    entry.get(&field.code).map(|json| field.rule.form.restore(json).ok_or_else(wrong)).transpose()
                });
                lists[list].push(restored.collect::<Result<Entry, _>>()?);
            }
        }
        Ok(Self { catalogue, values, lists })
    }

    /// The catalogue that it follows.
    pub fn catalogue(&self) -> &'static Catalogue {
        self.catalogue
    }

    /// A value outside lists.
    pub fn value(&self, field: &str) -> Option<&Value> {
        self.values[self.catalogue.index(field)?].as_ref()
    }

    /// A text or code.
    pub fn text(&self, field: &str) -> Option<&str> {
        match self.value(field)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A date.
    pub fn date(&self, field: &str) -> Option<PartialDate> {
        match self.value(field)? {
            Value::Date(date) => Some(*date),
            _ => None,
        }
    }

    /// The entries of a repeating list, by the interface's name.
    pub fn entries(&self, list: &str) -> &[Entry] {
        self.catalogue.lists().iter().position(|known| known.name == list).map_or(&[], |at| &self.lists[at])
    }

    /// Unit and number: what makes it this record and no other.
    pub fn key(&self) -> RecordKey {
        let text = |field| self.text(field).unwrap_or_default().to_owned();
        RecordKey { unit: text("managing_unit_code"), number: text("agency_personnel_number") }
    }

    /// The personal identification number, when the record has it.
    pub fn personal_number(&self) -> Option<PersonalNumber> {
        PersonalNumber::parse(self.text("personal_id_number")?)
    }

    /// Birth name.
    pub fn full_name(&self) -> &str {
        self.text("full_name").unwrap_or_default()
    }

    /// The portrait, when the record has one.
    pub fn portrait(&self) -> Option<&Portrait> {
        match self.value("portrait_photo")? {
            Value::Portrait(portrait) => Some(portrait),
            _ => None,
        }
    }

    /// Gives the portrait its bytes back; `false` when they are not the ones that it names.
    pub fn attach_portrait(&mut self, jpeg: Vec<u8>) -> bool {
        match self.catalogue.index("portrait_photo").and_then(|at| self.values[at].as_mut()) {
            Some(Value::Portrait(portrait)) => portrait.attach(jpeg),
            _ => false,
        }
    }

    /// The card's suffix that the kind of personnel maps to (a derived mapping, in the data); `None` without a kind.
    pub fn card_type(&self) -> Option<CardType> {
        shipped().maps_to("MOHA.DOITUONG", self.text("record_type")?).and_then(CardType::parse)
    }

    /// `male` or `female`, where the code stands for one of the two (a derived mapping, in the data).
    pub fn sex(&self) -> Option<&'static str> {
        shipped().maps_to("MOHA.GIOITINH", self.text("gender")?)
    }

    /// A record of this catalogue that says nothing.
    pub fn empty(catalogue: &'static Catalogue) -> Self {
        let (values, lists) = (vec![None; catalogue.fields().len()], vec![Vec::new(); catalogue.lists().len()]);
        Self { catalogue, values, lists }
    }

    /// What it says, by field code and list name, as [`Record::content`] writes it.
    pub fn members(&self) -> Map<String, serde_json::Value> {
        serde_json::from_str(&self.content()).unwrap_or_default()
    }

    /// The same record with these members in place of its own. A portrait that stays keeps its bytes.
    ///
    /// # Errors
    ///
    /// When a member is not one of the catalogue, or its value does not fit.
    pub fn amended(&self, members: Map<String, serde_json::Value>) -> Result<Self, RestoreError> {
        let mut amended = Self::restore(self.catalogue, &serde_json::Value::Object(members).to_string())?;
        let kept = self.portrait().filter(|kept| amended.portrait().is_some_and(|new| new.name() == kept.name()));
        if let Some(jpeg) = kept.and_then(Portrait::jpeg) {
            amended.attach_portrait(jpeg.to_vec());
        }
        Ok(amended)
    }

    /// The employment status, if it is one in which nobody may hold a card; `None` for a person in service, and for a
    /// record that does not say.
    pub fn out_of_service(&self) -> Option<&str> {
        self.text("employment_status").filter(|status| !IN_SERVICE.contains(status))
    }

    /// The same for two records exactly when all is the same that is compared with the population database: number,
    /// names, birth date and sex. SHA-256, hexadecimal.
    pub fn match_key(&self) -> String {
        let mut digest = Sha256::new();
        for field in ["personal_id_number", "old_id_number", "full_name", "gender"] {
            digest.update(self.text(field).unwrap_or_default());
            digest.update([0]);
        }
        digest.update(self.date("date_of_birth").map(|date| date.to_string()).unwrap_or_default());
        hex(&digest.finalize())
    }

    /// Codes of the fields that a card cannot do without and that are missing here.
    pub fn missing_for_card(&self) -> impl Iterator<Item = &'static str> {
        let fields = self.catalogue.fields().iter().zip(&self.values);
        fields
            .filter(|(field, value)| field.required == Required::Card && value.is_none())
            .map(|(field, _)| field.code.as_str())
    }

    /// The canonical content: JSON, members in alphabetical order, no white space, the portrait by its name. Two records
    /// are the same exactly when their contents are.
    pub fn content(&self) -> String {
        let mut json = String::with_capacity(1024);
        json.push('{');
        for slot in self.catalogue.slots() {
            match *slot {
                Slot::Field(at) => member(&mut json, &self.catalogue.fields()[at].code, self.values[at].as_ref()),
                Slot::List(at) if self.lists[at].is_empty() => {}
                Slot::List(at) => {
                    let list = &self.catalogue.lists()[at];
                    name(&mut json, &list.name);
                    json.push('[');
                    for (place, entry) in self.lists[at].iter().enumerate() {
                        json.push_str(if place > 0 { ",{" } else { "{" });
                        for (field, value) in list.members.iter().zip(entry) {
                            member(&mut json, &self.catalogue.fields()[*field].code, value.as_ref());
                        }
                        json.push('}');
                    }
                    json.push(']');
                }
            }
        }
        json.push('}');
        json
    }

    /// SHA-256 of a content.
    pub fn digest(content: &str) -> [u8; 32] {
        Sha256::digest(content.as_bytes()).into()
    }
}

impl PartialEq for Catalogue {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

fn member(json: &mut String, code: &str, value: Option<&Value>) {
    let Some(value) = value else { return };
    name(json, code);
    match value {
        Value::Text(text) => quoted(json, text),
        Value::Date(date) => quoted(json, &date.to_string()),
        Value::Decimal(decimal) => quoted(json, &decimal.to_string()),
        Value::Integer(integer) => quoted(json, &integer.to_string()),
        Value::Portrait(portrait) => quoted(json, &portrait.name()),
        Value::Items(items) => {
            json.push('[');
            for (place, item) in items.iter().enumerate() {
                json.push_str(if place > 0 { ",{" } else { "{" });
                for (key, text) in item {
                    name(json, key);
                    quoted(json, text);
                }
                json.push('}');
            }
            json.push(']');
        }
    }
}

/// A member's name, with the comma that it needs.
fn name(json: &mut String, name: &str) {
    if !json.ends_with('{') {
        json.push(',');
    }
    quoted(json, name);
    json.push(':');
}

/// A JSON string (RFC 8259 section 7): escapes only what must be escaped.
fn quoted(json: &mut String, text: &str) {
    json.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        json.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => json.push_str("\\\""),
            b'\\' => json.push_str("\\\\"),
            control => {
                json.push_str("\\u00");
                json.push_str(&hex(&[control]));
            }
        }
        rest = &rest[at + 1..];
    }
    json.push_str(rest);
    json.push('"');
}
