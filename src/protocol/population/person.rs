//! `CongDan`: a person as the answer tells of them.

use super::answer::AnswerError;
use super::xml::{Element, Node};
use crate::model::id::PersonalNumber;
use crate::model::partial_date::{PartialDate, Precision};
use crate::model::person::{NameParts, PopulationPerson};
use crate::model::population::{Address, PopulationFacts, Relative};

/// Longest text that is kept of a part; what is longer says nothing.
const MAX_TEXT_CHARACTERS: usize = 500;

/// A person, when number, name and birth date are whole. What else is missing or has another form says nothing.
pub(super) fn read(element: &Element) -> Result<PopulationPerson, AnswerError> {
    let number = element.text_of("SoDinhDanh").and_then(PersonalNumber::parse);
    Ok(PopulationPerson {
        personal_number: number.ok_or(AnswerError::Element("SoDinhDanh"))?,
        name: name(element).ok_or(AnswerError::Element("HoVaTen"))?,
        date_of_birth: born(element).ok_or(AnswerError::Element("NgayThangNamSinh"))?,
        sex: match element.text_of("GioiTinh") {
            Some("1") => Some("male".into()),
            Some("2") => Some("female".into()),
            _ => None,
        },
        facts: PopulationFacts {
            old_number: old_number(element),
            ethnicity: text(element, "DanToc"),
            religion: text(element, "TonGiao"),
            marital_status: text(element, "TinhTrangHonNhan"),
            blood_type: text(element, "NhomMau"),
            nationality: text(element, "QuocTich"),
            birth_registration: address(element, "NoiDangKyKhaiSinh"),
            hometown: address(element, "QueQuan"),
            permanent_residence: address(element, "ThuongTru"),
            current_residence: address(element, "NoiOHienTai"),
            father: relative(element, "Cha"),
            mother: relative(element, "Me"),
            spouse: relative(element, "VoChong"),
            representative: relative(element, "NguoiDaiDien"),
            household_head: relative(element, "ChuHo"),
            household_number: text(element, "SoSoHoKhau"),
        },
    })
}

/// The name in its parts; all of it may sit in `Ten`, but there must be a `Ten`.
fn name(element: &Element) -> Option<NameParts> {
    let name = element.child("HoVaTen")?;
    let part = |part| text(name, part).unwrap_or_default();
    let parts = NameParts { family: part("Ho"), middle: part("ChuDem"), given: part("Ten") };
    (!parts.given.is_empty()).then_some(parts)
}

/// The day if it is known, else the year; `None` when the two contradict each other.
fn born(element: &Element) -> Option<PartialDate> {
    let born = element.child("NgayThangNamSinh")?;
    let date = |name, precision| match born.text_of(name) {
        Some(text) => PartialDate::parse(text).filter(|date| date.precision() == precision).map(Some),
        None => Some(None),
    };
    match (date("Nam", Precision::Year)?, date("NgayThangNam", Precision::Day)?) {
        (Some(year), Some(day)) => year.agrees_with(day).then_some(day),
        (year, day) => day.or(year),
    }
}

fn text(element: &Element, name: &str) -> Option<String> {
    element.text_of(name).filter(|text| text.chars().count() <= MAX_TEXT_CHARACTERS).map(str::to_owned)
}

fn old_number(element: &Element) -> Option<String> {
    let fits = |text: &&str| [9, 12].contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    element.text_of("SoCMND").filter(fits).map(str::to_owned)
}

fn address(element: &Element, name: &str) -> Option<Address> {
    let element = element.child(name)?;
    let address = Address {
        province: text(element, "MaTinhThanh"),
        district: text(element, "MaQuanHuyen"),
        commune: text(element, "MaPhuongXa"),
        detail: text(element, "ChiTiet"),
        country: text(element, "QuocGia"),
    };
    (address != Address::default()).then_some(address)
}

fn relative(element: &Element, name: &str) -> Option<Relative> {
    let element = element.child(name)?;
    Some(Relative {
        full_name: text(element, "HoVaTen")?,
        nationality: text(element, "QuocTich"),
        personal_number: element.text_of("SoDinhDanh").and_then(PersonalNumber::parse),
        old_number: old_number(element),
        relation: text(element, "QuanHe"),
    })
}

/// The person as the service writes it, empty elements and all.
pub(super) fn write(person: &PopulationPerson) -> Node {
    let facts = &person.facts;
    let leaf = |name: &str, text: Option<&str>| Node::new(format!("ns1:{name}")).with_text(text.unwrap_or_default());
    let sex = match person.sex.as_deref() {
        Some("male") => Some("1"),
        Some("female") => Some("2"),
        _ => None,
    };
    let place = |name: &str, address: &Option<Address>| {
        let address = address.clone().unwrap_or_default();
        Node::new(format!("ns1:{name}")).with([
            leaf("MaTinhThanh", address.province.as_deref()),
            leaf("MaQuanHuyen", address.district.as_deref()),
            leaf("MaPhuongXa", address.commune.as_deref()),
            leaf("ChiTiet", address.detail.as_deref()),
            leaf("QuocGia", address.country.as_deref()),
        ])
    };
    let relative = |name: &str, relative: &Option<Relative>| {
        let relative = relative.clone().unwrap_or_default();
        Node::new(format!("ns1:{name}")).with([
            leaf("HoVaTen", Some(&relative.full_name)),
            leaf("QuocTich", relative.nationality.as_deref()),
            leaf("SoDinhDanh", relative.personal_number.as_ref().map(PersonalNumber::expose)),
            leaf("SoCMND", relative.old_number.as_deref()),
        ])
    };
    let head = facts.household_head.clone().unwrap_or_default();
    let birth = person.date_of_birth;
    let day = (birth.precision() == Precision::Day).then(|| birth.to_string());
    Node::new("ns1:CongDan").with([
        leaf("SoDinhDanh", Some(person.personal_number.expose())),
        leaf("SoCMND", facts.old_number.as_deref()),
        Node::new("ns1:HoVaTen").with([
            leaf("Ho", Some(&person.name.family)),
            leaf("ChuDem", Some(&person.name.middle)),
            leaf("Ten", Some(&person.name.given)),
        ]),
        leaf("GioiTinh", sex),
        leaf("DanToc", facts.ethnicity.as_deref()),
        leaf("TonGiao", facts.religion.as_deref()),
        leaf("TinhTrangHonNhan", facts.marital_status.as_deref()),
        leaf("NhomMau", facts.blood_type.as_deref()),
        Node::new("ns1:NgayThangNamSinh")
            .with([leaf("Nam", Some(&birth.year().to_string()))])
            .with(day.as_deref().map(|day| leaf("NgayThangNam", Some(day)))),
        place("NoiDangKyKhaiSinh", &facts.birth_registration),
        leaf("QuocTich", facts.nationality.as_deref()),
        place("QueQuan", &facts.hometown),
        place("ThuongTru", &facts.permanent_residence),
        place("NoiOHienTai", &facts.current_residence),
        relative("Cha", &facts.father),
        relative("Me", &facts.mother),
        relative("VoChong", &facts.spouse),
        relative("NguoiDaiDien", &facts.representative),
        Node::new("ns1:ChuHo").with([
            leaf("QuanHe", head.relation.as_deref()),
            leaf("SoDinhDanh", head.personal_number.as_ref().map(PersonalNumber::expose)),
            leaf("SoCMND", head.old_number.as_deref()),
            leaf("HoVaTen", Some(&head.full_name)),
        ]),
        leaf("SoSoHoKhau", facts.household_number.as_deref()),
    ])
}
