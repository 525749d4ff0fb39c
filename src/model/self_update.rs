//! What an official may change in their own record, and what a change needs: the catalogue's columns `self_update_vneid`,
//! `unit_confirmation` and `npd_role`, and a small table with the legal basis of each group. All of it is derived: no
//! published rule says which field an official may propose.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::model::catalogue::{Catalogue, Field, PopulationRole};
use crate::model::review::{is_on_card, is_sensitive};

/// How a field or list of a record can come to say something else, as far as its official is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// By the official, at once: nobody has to confirm it.
    AtOnce,
    /// By a proposal that the unit decides about.
    Proposal,
    /// By the population database, which can be asked again.
    Rematch,
    /// By the unit alone.
    Unit,
}

impl How {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::AtOnce => "at_once",
            Self::Proposal => "proposal",
            Self::Rematch => "rematch",
            Self::Unit => "unit",
        }
    }

    fn of(field: &Field) -> Self {
        match field.population_role {
            PopulationRole::MatchKey | PopulationRole::Source => Self::Rematch,
            _ if !field.self_update => Self::Unit,
            _ if field.unit_confirmation => Self::Proposal,
            _ => Self::AtOnce,
        }
    }
}

/// Whether a proposal needs evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvidenceRule {
    /// No.
    None,
    /// It helps.
    Asked,
    /// Without it there is no proposal.
    Required,
}

impl EvidenceRule {
    /// The word in the table and on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Asked => "asked",
            Self::Required => "required",
        }
    }
}

/// Why the State holds the fields of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegalBasis {
    /// In Vietnamese.
    pub vi: String,
    /// In English.
    pub en: String,
    /// How well it is known: `high`, `medium`, `low` or `derived`; never official.
    pub certainty: String,
    /// Whether a proposal about the group needs evidence.
    pub evidence: EvidenceRule,
}

/// The legal bases by group, in the order of their names.
pub fn legal_bases() -> &'static BTreeMap<String, LegalBasis> {
    static BASES: LazyLock<BTreeMap<String, LegalBasis>> =
        LazyLock::new(|| parse(include_str!("data/2023/legal_bases.csv")).unwrap_or_default());
    &BASES
}

fn parse(text: &str) -> Option<BTreeMap<String, LegalBasis>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let row = |row: csv::Result<csv::StringRecord>| {
        let row = row.ok()?;
        let cell = |at: usize| row.get(at).map(str::to_owned);
        let evidence = match row.get(4)? {
            "none" => EvidenceRule::None,
            "asked" => EvidenceRule::Asked,
            "required" => EvidenceRule::Required,
            _ => return None,
        };
        Some((cell(0)?, LegalBasis { vi: cell(1)?, en: cell(2)?, certainty: cell(3)?, evidence }))
    };
    reader.records().map(row).collect()
}

/// A field outside lists or a whole list, by the name that a change of it has.
#[derive(Clone, Debug)]
pub struct Changeable {
    /// How it can change.
    pub how: How,
    /// Whether it is sensitive personal data.
    pub is_sensitive: bool,
    /// Whether the card shows it.
    pub is_on_card: bool,
    /// Whether a proposal needs evidence.
    pub evidence: EvidenceRule,
}

impl Changeable {
    /// What the catalogue says about a field or list; `None` when it has none of that name, or the field is a column of a
    /// list, which changes whole.
    pub fn of(catalogue: &Catalogue, name: &str) -> Option<Self> {
        let columns: Vec<&Field> = match catalogue.lists().iter().find(|list| list.name == name) {
            Some(list) => list.members.iter().map(|at| &catalogue.fields()[*at]).collect(),
            None => vec![catalogue.field(name).filter(|field| field.list.is_none())?],
        };
        let first = How::of(columns.first()?);
        // A list is as open as its least open column.
        let how = if columns.iter().all(|field| How::of(field) == first) { first } else { How::Unit };
        let basis = columns.last().and_then(|field| legal_bases().get(&field.group)).filter(|_| how == How::Proposal);
        let evidence = basis.map_or(EvidenceRule::None, |basis| basis.evidence);
        Some(Self {
            how,
            is_sensitive: is_sensitive(catalogue, name),
            is_on_card: is_on_card(catalogue, name),
            evidence,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn how(name: &str) -> Option<&'static str> {
        Changeable::of(Catalogue::current(), name).map(|changeable| changeable.how.word())
    }

    #[test]
    fn the_catalogue_decides_who_changes_what() {
        for (name, expected) in [
            ("phone_number", Some("at_once")),
            ("email", Some("at_once")),
            ("current_residence", Some("at_once")),
            ("marital_status", Some("proposal")),
            ("portrait_photo", Some("proposal")),
            ("DS_NGOAINGU", Some("proposal")),
            ("full_name", Some("rematch")),
            ("personal_id_number", Some("rematch")),
            ("religion", Some("rematch")),
            ("position_title", Some("unit")),
            ("full_time_term", Some("unit")),
            ("employment_status", Some("unit")),
            ("DS_QUATRINH_CONGTAC", Some("unit")),
            ("foreign_language", None),
            ("no_such_field", None),
        ] {
            assert_eq!(how(name), expected, "{name}");
        }
        let portrait = Changeable::of(Catalogue::current(), "portrait_photo").unwrap();
        assert!(portrait.is_on_card && !portrait.is_sensitive);
        assert!(Changeable::of(Catalogue::current(), "health_status").unwrap().is_sensitive);
    }

    #[test]
    fn every_group_has_its_basis_and_none_is_called_official() {
        let bases = parse(include_str!("data/2023/legal_bases.csv")).unwrap();
        for field in Catalogue::current().fields() {
            assert!(bases.contains_key(&field.group), "{}", field.group);
        }
        for (group, basis) in bases {
            assert!(["high", "medium", "low", "derived"].contains(&basis.certainty.as_str()), "{group}");
            assert!(!basis.vi.is_empty() && !basis.en.is_empty());
        }
    }
}
