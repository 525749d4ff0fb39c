//! A line of the file of people.

use officials_card::model::id::PersonalNumber;
use officials_card::model::partial_date::PartialDate;
use officials_card::model::person::{NameParts, PopulationPerson};
use officials_card::model::population::{Address, PopulationFacts, Relative};
use serde::{Deserialize, Serialize};

/// A person as the registry knows them. Only number, name and birth date are needed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonLine {
    /// Twelve digits.
    pub personal_id_number: String,
    /// The name in its parts.
    pub name: NameLine,
    /// `yyyy` or `yyyyMMdd`.
    pub date_of_birth: String,
    /// `male` or `female`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gender: Option<String>,
    /// Nine or twelve digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_id_number: Option<String>,
    /// Code of the ethnic group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ethnicity: Option<String>,
    /// Code of the religion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub religion: Option<String>,
    /// Code of the marital status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marital_status: Option<String>,
    /// Code of the blood type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blood_type: Option<String>,
    /// Two letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nationality: Option<String>,
    /// Where the birth was registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub birth_registration: Option<AddressLine>,
    /// Where the family comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hometown: Option<AddressLine>,
    /// Where the person is registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permanent_residence: Option<AddressLine>,
    /// Where the person lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_residence: Option<AddressLine>,
    /// The father.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub father: Option<RelativeLine>,
    /// The mother.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mother: Option<RelativeLine>,
    /// Husband or wife.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spouse: Option<RelativeLine>,
    /// A representative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub representative: Option<RelativeLine>,
    /// The head of the household.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub household_head: Option<RelativeLine>,
    /// The number of the household's book.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub household_number: Option<String>,
}

/// A name in the parts `Ho`, `ChuDem`, `Ten`; all of it may sit in the last.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NameLine {
    /// Family name.
    #[serde(default)]
    pub family: String,
    /// Middle name.
    #[serde(default)]
    pub middle: String,
    /// Given name.
    pub given: String,
}

/// A place.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AddressLine {
    /// Two digits.
    pub province: Option<String>,
    /// Three digits.
    pub district: Option<String>,
    /// Five digits.
    pub commune: Option<String>,
    /// In words.
    pub detail: Option<String>,
    /// Two letters.
    pub country: Option<String>,
}

/// Somebody of the family.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RelativeLine {
    /// In one piece.
    pub full_name: String,
    /// Two letters.
    pub nationality: Option<String>,
    /// Twelve digits.
    pub personal_id_number: Option<String>,
    /// Nine digits.
    pub old_id_number: Option<String>,
    /// To the head of the household.
    pub relation: Option<String>,
}

impl PersonLine {
    /// The person, when number, birth date and sex have their forms.
    pub fn parse(self) -> Result<PopulationPerson, &'static str> {
        if !self.gender.as_ref().is_none_or(|sex| sex == "male" || sex == "female") {
            return Err("a gender is male or female");
        }
        let NameLine { family, middle, given } = self.name;
        Ok(PopulationPerson {
            personal_number: PersonalNumber::parse(&self.personal_id_number).ok_or("a number has twelve digits")?,
            name: NameParts { family, middle, given },
            date_of_birth: PartialDate::parse(&self.date_of_birth).ok_or("a birth date is a year or a day")?,
            sex: self.gender,
            facts: PopulationFacts {
                old_number: self.old_id_number,
                ethnicity: self.ethnicity,
                religion: self.religion,
                marital_status: self.marital_status,
                blood_type: self.blood_type,
                nationality: self.nationality,
                birth_registration: self.birth_registration.map(Into::into),
                hometown: self.hometown.map(Into::into),
                permanent_residence: self.permanent_residence.map(Into::into),
                current_residence: self.current_residence.map(Into::into),
                father: self.father.map(Into::into),
                mother: self.mother.map(Into::into),
                spouse: self.spouse.map(Into::into),
                representative: self.representative.map(Into::into),
                household_head: self.household_head.map(Into::into),
                household_number: self.household_number,
            },
        })
    }
}

impl From<AddressLine> for Address {
    fn from(line: AddressLine) -> Self {
        let AddressLine { province, district, commune, detail, country } = line;
        Self { province, district, commune, detail, country }
    }
}

impl From<RelativeLine> for Relative {
    fn from(line: RelativeLine) -> Self {
        let RelativeLine { full_name, nationality, personal_id_number, old_id_number, relation } = line;
        let personal_number = personal_id_number.as_deref().and_then(PersonalNumber::parse);
        Self { full_name, nationality, personal_number, old_number: old_id_number, relation }
    }
}
