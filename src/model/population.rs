//! What the national population database tells of a person beside the four fields that are matched
//! ([`crate::model::person::compare`]), and what of it stands in a personnel record: the fields whose `npd_role` is
//! `source` or `compare` in the catalogue (domain dossier, section 1: derived).
//!
//! Which code of the answer stands for which code of a record is derived, too: ethnic groups agree in two public lists, of
//! the other lists only single values were seen. A value that does not have the form of its field is left out.

use serde_json::{Value, json};

use crate::model::id::PersonalNumber;
use crate::model::person::PopulationPerson;
use crate::model::record::Record;
use crate::model::text::folded;
use crate::model::value::Value as RecordValue;

/// Everything beyond name, number, birth date and sex. All of it may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PopulationFacts {
    /// `SoCMND`: the number of nine (or twelve) digits from before.
    pub old_number: Option<String>,
    /// `DanToc`.
    pub ethnicity: Option<String>,
    /// `TonGiao`.
    pub religion: Option<String>,
    /// `TinhTrangHonNhan`.
    pub marital_status: Option<String>,
    /// `NhomMau`.
    pub blood_type: Option<String>,
    /// `QuocTich`.
    pub nationality: Option<String>,
    /// `NoiDangKyKhaiSinh`.
    pub birth_registration: Option<Address>,
    /// `QueQuan`.
    pub hometown: Option<Address>,
    /// `ThuongTru`.
    pub permanent_residence: Option<Address>,
    /// `NoiOHienTai`.
    pub current_residence: Option<Address>,
    /// `Cha`.
    pub father: Option<Relative>,
    /// `Me`.
    pub mother: Option<Relative>,
    /// `VoChong`.
    pub spouse: Option<Relative>,
    /// `NguoiDaiDien`.
    pub representative: Option<Relative>,
    /// `ChuHo`.
    pub household_head: Option<Relative>,
    /// `SoSoHoKhau`.
    pub household_number: Option<String>,
}

/// A place, in the statistical codes of the General Statistics Office and in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// `MaTinhThanh`.
    pub province: Option<String>,
    /// `MaQuanHuyen`.
    pub district: Option<String>,
    /// `MaPhuongXa`.
    pub commune: Option<String>,
    /// `ChiTiet`.
    pub detail: Option<String>,
    /// `QuocGia`.
    pub country: Option<String>,
}

/// Somebody of the family or household.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relative {
    /// `HoVaTen`, here in one piece.
    pub full_name: String,
    /// `QuocTich`.
    pub nationality: Option<String>,
    /// `SoDinhDanh`.
    pub personal_number: Option<PersonalNumber>,
    /// `SoCMND`.
    pub old_number: Option<String>,
    /// `QuanHe`: of a head of household only.
    pub relation: Option<String>,
}

impl Address {
    /// The finest code that there is: of the commune (five digits), else of the province (two).
    fn code(&self) -> Option<&str> {
        [&self.commune, &self.province].into_iter().flatten().map(String::as_str).find(|code| digits(code, 2..=5))
    }
}

impl PopulationPerson {
    /// The registry's values of record fields: code and value as [`Record::content`] writes it.
    pub fn values(&self) -> Vec<(&'static str, Value)> {
        let facts = &self.facts;
        let text = |text: &Option<String>| text.as_ref().map(|text| json!(text));
        let checked = |text: &Option<String>, fits: fn(&str) -> bool| {
            text.as_deref().filter(|text| fits(text)).map(|text| json!(text))
        };
        let place = |address: &Option<Address>| address.as_ref().and_then(Address::code).map(|code| json!(code));
        let words = |address: &Option<Address>| address.as_ref().and_then(|address| text(&address.detail));
        let sex = self.sex.as_deref().and_then(sex_code);
        let family: Vec<_> = self.family().map(family_member).collect();
        [
            ("personal_id_number", Some(json!(self.personal_number.expose()))),
            ("full_name", Some(json!(self.name.joined()))),
            ("date_of_birth", Some(json!(self.date_of_birth.to_string()))),
            ("gender", sex.map(|code| json!(code))),
            ("old_id_number", text(&facts.old_number)),
            ("ethnicity", checked(&facts.ethnicity, |code| digits(code, 2..=2))),
            ("religion", checked(&facts.religion, |code| digits(code, 2..=2))),
            ("nationality", checked(&facts.nationality, is_country)),
            ("marital_status", checked(&facts.marital_status, |code| digits(code, 1..=2))),
            ("blood_type", checked(&facts.blood_type, |code| digits(code, 1..=2))),
            ("place_of_birth", place(&facts.birth_registration)),
            ("hometown", place(&facts.hometown)),
            ("permanent_residence", words(&facts.permanent_residence)),
            ("current_residence", words(&facts.current_residence)),
            ("family_members", if family.is_empty() { None } else { Some(Value::Array(family)) }),
        ]
        .into_iter()
        .filter_map(|(code, value)| Some((code, value?)))
        .collect()
    }

    /// Codes of further fields, beside those that are matched, in which the record says something else than the registry.
    /// What either leaves open is no difference; of the family, whoever the registry names must be among the record's.
    pub fn outdated(&self, record: &Record) -> Vec<&'static str> {
        let matched = crate::model::person::MatchOutcome::COMPARED;
        let differs = |code: &str, value: &Value| match (record.value(code), value) {
            (Some(RecordValue::Text(ours)), Value::String(theirs)) => folded(ours) != folded(theirs),
            (Some(RecordValue::Items(items)), Value::Array(_)) => {
                let known = |name: &str| {
                    let is_name = |(key, value): &(String, String)| key == "full_name" && folded(value) == folded(name);
                    items.iter().any(|item| item.iter().any(is_name))
                };
                self.family().any(|(_, relative)| !known(&relative.full_name))
            }
            _ => false,
        };
        let values = self.values();
        let further = values.iter().filter(|(code, _)| !matched.contains(code));
        further.filter(|(code, value)| differs(code, value)).map(|(code, _)| *code).collect()
    }

    /// Parents and spouse.
    fn family(&self) -> impl Iterator<Item = (&'static str, &Relative)> {
        let facts = &self.facts;
        let family = [("father", &facts.father), ("mother", &facts.mother), ("spouse", &facts.spouse)];
        family.into_iter().filter_map(|(relation, relative)| Some((relation, relative.as_ref()?)))
    }
}

/// As an item of `family_members`. The words for relations are ours.
fn family_member((relation, relative): (&str, &Relative)) -> Value {
    let mut item = json!({"relation": relation, "full_name": relative.full_name});
    if let Some(number) = &relative.personal_number {
        item["personal_id_number"] = json!(number.expose());
    }
    item
}

/// The record's code for a sex (list `MOHA.GIOITINH`, derived).
fn sex_code(sex: &str) -> Option<&'static str> {
    match sex {
        "male" => Some("1"),
        "female" => Some("2"),
        _ => None,
    }
}

fn digits(text: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::catalogue::{Catalogue, PopulationRole};
    use crate::model::partial_date::PartialDate;
    use crate::model::person::NameParts;

    fn person() -> PopulationPerson {
        let address = Address {
            province: Some("26".into()),
            commune: Some("09106".into()),
            detail: Some("XÃ LŨNG HÒA".into()),
            ..Address::default()
        };
        let relative = |name: &str| Some(Relative { full_name: name.into(), ..Relative::default() });
        PopulationPerson {
            sex: Some("female".into()),
            facts: PopulationFacts {
                old_number: Some("135602342".into()),
                ethnicity: Some("01".into()),
                religion: Some("không".into()),
                nationality: Some("VN".into()),
                marital_status: Some("2".into()),
                blood_type: Some("00".into()),
                birth_registration: Some(Address { province: Some("26".into()), ..Address::default() }),
                hometown: Some(address.clone()),
                permanent_residence: Some(address.clone()),
                current_residence: Some(address),
                father: relative("TRẦN VĂN A"),
                spouse: relative("LÊ VĂN B"),
                ..PopulationFacts::default()
            },
            ..PopulationPerson::new(
                PersonalNumber::parse("001187012345").unwrap(),
                NameParts { given: "NGUYỄN THỊ ĐÀO".into(), ..NameParts::default() },
                PartialDate::parse("19870502").unwrap(),
            )
        }
    }

    #[test]
    fn what_the_registry_tells_are_values_of_fields_that_it_has_to_do_with() {
        let values = person().values();
        let catalogue = Catalogue::current();
        for (code, value) in &values {
            let field = catalogue.field(code).unwrap();
            assert_ne!(field.population_role, PopulationRole::None, "{code}");
            assert!(field.rule.form.restore(value).is_some(), "{code}");
        }
        let of = |code: &str| values.iter().find(|(known, _)| *known == code).map(|(_, value)| value.clone());
        assert_eq!(
            (of("gender"), of("hometown"), of("place_of_birth")),
            (Some(json!("2")), Some(json!("09106")), Some(json!("26")))
        );
        assert_eq!(of("religion"), None, "a value without the form of its field");
    }

    #[test]
    fn what_a_record_leaves_open_is_not_outdated() {
        let record = |more: &str| {
            let content =
                format!(r#"{{"agency_personnel_number":"1"{more},"full_name":"An","managing_unit_code":"H26"}}"#);
            Record::restore(Catalogue::current(), &content).unwrap()
        };
        assert_eq!(person().outdated(&record("")), Vec::<&str>::new());
        let same = r#","current_residence":"xã Lũng Hòa","ethnicity":"01","family_members":[{"full_name":"Lê Văn B"},{"full_name":"Trần Văn A"}]"#;
        assert_eq!(person().outdated(&record(same)), Vec::<&str>::new());
        let other = r#","blood_type":"01","ethnicity":"02","family_members":[{"full_name":"Lê Văn B"}]"#;
        assert_eq!(person().outdated(&record(other)), ["ethnicity", "blood_type", "family_members"]);
    }
}
