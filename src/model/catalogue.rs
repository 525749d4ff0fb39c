//! The field catalogue: which fields a personnel record has, and every policy about them, as versioned data
//! (`data/2023/`). A successor with 194 fields (Decree 27/2026/NĐ-CP) is another folder and one line in
//! [`Catalogue::version`].

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::model::rule::{Rule, RuleError};

/// All fields of one version.
#[derive(Debug)]
pub struct Catalogue {
    version: &'static str,
    fields: Vec<Field>,
    lists: Vec<RepeatList>,
    by_code: HashMap<String, usize>,
    /// Fields outside lists, and lists, in the alphabetical order of canonical content.
    order: Vec<Slot>,
}

/// One field.
#[derive(Debug)]
pub struct Field {
    /// Its number, counted from 1; the numbering is ours.
    pub number: u16,
    /// Its code, for example `personal_id_number`.
    pub code: String,
    /// Vietnamese label.
    pub label_vi: String,
    /// English label.
    pub label_en: String,
    /// The group of the dossier, for example `identity`.
    pub group: String,
    /// The declared type.
    pub kind: Kind,
    /// The code list that its values come from.
    pub code_list: Option<String>,
    /// The repeating list that it is a column of: an index into [`Catalogue::lists`].
    pub list: Option<usize>,
    /// What the population database has to do with it.
    pub population_role: PopulationRole,
    /// Whether the employee may propose a change in VNeID.
    pub self_update: bool,
    /// Whether the unit must confirm it.
    pub unit_confirmation: bool,
    /// How private it is.
    pub privacy: Privacy,
    /// Where the card uses it: `front`, `qr`, `card_number`, `card_number_suffix`, `validity`, `lifecycle`.
    pub card_use: Vec<String>,
    /// Who cannot do without it.
    pub required: Required,
    /// Whether it was seen in the national interface (`true`) or is derived (`false`); none is official.
    pub attested: bool,
    /// What a value must look like.
    pub rule: Rule,
    /// The rule as written.
    pub rule_text: String,
    /// Where a packet of the Ministry's synchronisation interface carries it; `None` where the interface has no name for it.
    pub packet: Option<PacketPlace>,
}

/// Where a packet carries a field: names of the interface of 2020, as public code has them (medium certainty).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketPlace {
    /// The section, for example `THONGTINCHUNG`; for a list that stands beside the sections, the list's own name.
    pub section: String,
    /// The member's name, for example `HoVaTen`.
    pub name: String,
}

/// The declared type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A code.
    Code,
    /// A date, often partial.
    Date,
    /// A decimal number.
    Decimal,
    /// A whole number.
    Integer,
    /// A portrait.
    Image,
    /// A list of small objects in one value.
    List,
}

/// What the population database has to do with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PopulationRole {
    /// The query matches on it.
    MatchKey,
    /// The answer is its source.
    Source,
    /// The answer is compared with it.
    Compare,
    /// Nothing.
    None,
}

/// How private a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// Basic personal data.
    Basic,
    /// Sensitive personal data (religion, ethnicity, party, health; set cautiously).
    Sensitive,
    /// About the post, not the person.
    Work,
}

/// Who cannot do without a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Required {
    /// The sync service rejects a record without it; so do we.
    Interface,
    /// No card is issued without it, but the record is taken in.
    Card,
    /// Nobody.
    No,
}

/// A list of entries, each with the same columns.
#[derive(Debug)]
pub struct RepeatList {
    /// The name of the interface, for example `DS_QUATRINH_CONGTAC`.
    pub name: String,
    /// Its columns: indices of fields.
    pub members: Vec<usize>,
}

/// A place at the top level of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// A field outside lists.
    Field(usize),
    /// A repeating list.
    List(usize),
}

/// Data that is not a catalogue.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// Not a table.
    #[error("the catalogue is not CSV: {0}")]
    Csv(#[from] csv::Error),
    /// A column is missing.
    #[error("the catalogue has no column {0}")]
    Column(&'static str),
    /// A cell has a word that is not known there.
    #[error("field {field}: {column} cannot be {value:?}")]
    Word {
        /// Code of the field.
        field: String,
        /// Column.
        column: &'static str,
        /// What it says.
        value: String,
    },
    /// A rule is not in the grammar.
    #[error("field {field}: {error}")]
    Rule {
        /// Code of the field.
        field: String,
        /// The rule.
        error: RuleError,
    },
    /// Two fields have one code, or a rule names a field that is not there.
    #[error("field {0}: its code is not unique, or its rule names an unknown field")]
    Reference(String),
}

impl Catalogue {
    /// The version in use for new imports.
    pub const CURRENT: &'static str = "2023";

    /// The catalogue of that version, parsed once.
    pub fn version(version: &str) -> Option<&'static Self> {
        static OF_2023: LazyLock<Option<Catalogue>> =
            LazyLock::new(|| Catalogue::parse("2023", include_str!("data/2023/fields.csv")).ok());
        match version {
            "2023" => OF_2023.as_ref(),
            _ => None,
        }
    }

    /// The catalogue in use for new imports.
    pub fn current() -> &'static Self {
        Self::version(Self::CURRENT).expect("the embedded catalogue parses: a test reads it")
    }

    /// From the text of `fields.csv`.
    pub fn parse(version: &'static str, text: &str) -> Result<Self, CatalogueError> {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let columns = reader.headers()?.clone();
        let mut catalogue =
            Self { version, fields: Vec::new(), lists: Vec::new(), by_code: HashMap::new(), order: Vec::new() };
        for row in reader.records() {
            let field = catalogue.field_of(&Row { columns: &columns, cells: &row? })?;
            if catalogue.by_code.insert(field.code.clone(), catalogue.fields.len()).is_some() {
                return Err(CatalogueError::Reference(field.code));
            }
            catalogue.fields.push(field);
        }
        let known = |code: &String| catalogue.by_code.contains_key(code);
        if let Some(field) = catalogue.fields.iter().find(|field| !field.rule.not_before.iter().all(known)) {
            return Err(CatalogueError::Reference(field.code.clone()));
        }
        let outside = (0..catalogue.fields.len()).filter(|at| catalogue.fields[*at].list.is_none()).map(Slot::Field);
        catalogue.order = outside.chain((0..catalogue.lists.len()).map(Slot::List)).collect();
        let (fields, lists) = (&catalogue.fields, &catalogue.lists);
        catalogue.order.sort_by_key(|slot| match slot {
            Slot::Field(at) => fields[*at].code.as_str(),
            Slot::List(at) => lists[*at].name.as_str(),
        });
        Ok(catalogue)
    }

    fn field_of(&mut self, row: &Row<'_>) -> Result<Field, CatalogueError> {
        let code = row.cell("code")?.to_owned();
        let rule_text = row.cell("rule")?.to_owned();
        let rule = Rule::parse(&rule_text).map_err(|error| CatalogueError::Rule { field: code.clone(), error })?;
        let list = row.optional("repeat_list")?.map(|name| {
            let list = self.lists.iter().position(|list| list.name == name).unwrap_or_else(|| {
                self.lists.push(RepeatList { name, members: Vec::new() });
                self.lists.len() - 1
            });
            self.lists[list].members.push(self.fields.len());
            self.lists[list].members.sort_by(|one, two| {
                let code_of = |at: &usize| self.fields.get(*at).map_or(code.as_str(), |field| field.code.as_str());
                code_of(one).cmp(code_of(two))
            });
            list
        });
        Ok(Field {
            number: row.cell("no")?.parse().map_err(|_| row.wrong("no"))?,
            label_vi: row.cell("label_vi")?.to_owned(),
            label_en: row.cell("label_en")?.to_owned(),
            group: row.cell("group")?.to_owned(),
            kind: row.word(
                "type",
                &[
                    ("string", Kind::Text),
                    ("code", Kind::Code),
                    ("date", Kind::Date),
                    ("decimal", Kind::Decimal),
                    ("integer", Kind::Integer),
                    ("image", Kind::Image),
                    ("list", Kind::List),
                ],
            )?,
            code_list: row.optional("code_list")?,
            list,
            population_role: row.word(
                "npd_role",
                &[
                    ("match_key", PopulationRole::MatchKey),
                    ("source", PopulationRole::Source),
                    ("compare", PopulationRole::Compare),
                    ("none", PopulationRole::None),
                ],
            )?,
            self_update: row.word("self_update_vneid", &[("yes", true), ("no", false)])?,
            unit_confirmation: row.word("unit_confirmation", &[("yes", true), ("no", false)])?,
            privacy: row.word(
                "privacy_class",
                &[("basic", Privacy::Basic), ("sensitive", Privacy::Sensitive), ("work", Privacy::Work)],
            )?,
            card_use: row.cell("card_use")?.split(';').filter(|word| !word.is_empty()).map(str::to_owned).collect(),
            required: row.word(
                "required",
                &[("interface", Required::Interface), ("card", Required::Card), ("no", Required::No)],
            )?,
            attested: row.word("status", &[("attested", true), ("derived", false)])?,
            packet: row
                .optional("packet_section")?
                .zip(row.optional("packet_name")?)
                .map(|(section, name)| PacketPlace { section, name }),
            code,
            rule,
            rule_text,
        })
    }

    /// The name of this version.
    pub fn name(&self) -> &'static str {
        self.version
    }

    /// Every field, in the order of their numbers.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Every repeating list.
    pub fn lists(&self) -> &[RepeatList] {
        &self.lists
    }

    /// Fields and lists of the top level, in alphabetical order.
    pub fn slots(&self) -> &[Slot] {
        &self.order
    }

    /// The index of a field.
    pub fn index(&self, code: &str) -> Option<usize> {
        self.by_code.get(code).copied()
    }

    /// A field by its code.
    pub fn field(&self, code: &str) -> Option<&Field> {
        self.index(code).map(|at| &self.fields[at])
    }
}

struct Row<'a> {
    columns: &'a csv::StringRecord,
    cells: &'a csv::StringRecord,
}

impl Row<'_> {
    fn cell(&self, column: &'static str) -> Result<&str, CatalogueError> {
        let at = self.columns.iter().position(|name| name == column).ok_or(CatalogueError::Column(column))?;
        Ok(self.cells.get(at).unwrap_or_default())
    }

    fn optional(&self, column: &'static str) -> Result<Option<String>, CatalogueError> {
        self.cell(column).map(|cell| (!cell.is_empty()).then(|| cell.to_owned()))
    }

    fn word<T: Copy>(&self, column: &'static str, words: &[(&str, T)]) -> Result<T, CatalogueError> {
        let cell = self.cell(column)?;
        words.iter().find(|(word, _)| *word == cell).map(|(_, meaning)| *meaning).ok_or_else(|| self.wrong(column))
    }

    fn wrong(&self, column: &'static str) -> CatalogueError {
        let text = |column| self.cell(column).unwrap_or_default().to_owned();
        CatalogueError::Word { field: text("code"), column, value: text(column) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::code_list::shipped;
    use crate::model::rule::Form;

    fn count(holds: impl Fn(&Field) -> bool) -> usize {
        Catalogue::current().fields().iter().filter(|field| holds(field)).count()
    }

    #[test]
    fn the_counts_are_those_of_the_dossier() {
        Catalogue::parse("2023", include_str!("data/2023/fields.csv")).unwrap();
        assert_eq!(count(|_| true), 109);
        assert_eq!(count(|field| field.attested), 80);
        assert_eq!(count(|field| field.packet.is_some()), 80, "what was seen in the interface has a name there");
        for (role, rows) in [
            (PopulationRole::MatchKey, 4),
            (PopulationRole::Source, 7),
            (PopulationRole::Compare, 8),
            (PopulationRole::None, 90),
        ] {
            assert_eq!(count(|field| field.population_role == role), rows, "{role:?}");
        }
        assert_eq!(count(|field| field.self_update), 33);
        assert_eq!(count(|field| field.unit_confirmation), 93);
        assert_eq!(count(|field| field.required == Required::Interface), 4);
        assert_eq!(count(|field| field.required == Required::Card), 5);
        for (privacy, rows) in [(Privacy::Basic, 22), (Privacy::Sensitive, 13), (Privacy::Work, 74)] {
            assert_eq!(count(|field| field.privacy == privacy), rows, "{privacy:?}");
        }
        let numbers: Vec<_> = Catalogue::current().fields().iter().map(|field| field.number).collect();
        assert_eq!(numbers, (1..=109).collect::<Vec<_>>());
    }

    #[test]
    fn the_groups_are_those_of_the_dossier() {
        for (group, rows) in [
            ("identity", 19),
            ("contact", 4),
            ("organisation", 6),
            ("recruitment", 6),
            ("work_history", 5),
            ("position", 7),
            ("grade_salary", 7),
            ("salary_history", 6),
            ("allowance_history", 7),
            ("education", 6),
            ("political_training", 3),
            ("it_language", 4),
            ("training_history", 7),
            ("party", 4),
            ("mass_org", 1),
            ("military", 3),
            ("health_policy", 3),
            ("family", 2),
            ("reward_discipline", 3),
            ("assessment", 3),
            ("planning", 1),
            ("status", 2),
        ] {
            assert_eq!(count(|field| field.group == group), rows, "{group}");
        }
    }

    #[test]
    fn lists_have_their_columns_in_order_and_rules_name_shipped_lists() {
        let catalogue = Catalogue::current();
        let columns: Vec<_> = catalogue.lists().iter().map(|list| (list.name.as_str(), list.members.len())).collect();
        assert_eq!(
            columns,
            [
                ("DS_QUATRINH_CONGTAC", 5),
                ("DS_QUATRINH_LUONG", 6),
                ("DS_QUATRINH_PHUCAP", 7),
                ("DS_NGOAINGU", 2),
                ("DS_TINHOC", 1),
                ("DS_QUATRINH_DAOTAO_BOIDUONG", 7),
                ("DS_KETQUA_DANHGIA_PHANLOAI", 3),
            ]
        );
        for list in catalogue.lists() {
            assert!(list.members.is_sorted_by_key(|at| &catalogue.fields()[*at].code));
        }
        for field in catalogue.fields() {
            if let Form::List(list) = &field.rule.form {
                assert!(shipped().has_list(list), "{list}");
            }
        }
    }

    #[test]
    fn wrong_data_is_named() {
        let text = include_str!("data/2023/fields.csv");
        let broken = |from: &str, to: &str| Catalogue::parse("x", &text.replacen(from, to, 1)).unwrap_err().to_string();
        assert_eq!(broken(",rule\n", ",regel\n"), "the catalogue has no column rule");
        assert_eq!(broken(",personal_number\n", ",magic\n"), "field personal_id_number: not a rule: magic");
        assert!(broken("not_before date_of_birth", "not_before nothing").starts_with("field id_issue_date:"));
        assert!(broken("2,agency_personnel_number", "2,personnel_number").starts_with("field personnel_number:"));
        assert_eq!(broken(",match_key,", ",key,"), "field full_name: npd_role cannot be \"key\"");
    }
}
