//! What comes back: a verdict, people, a page of changed people, or a fault.

use super::xml::{Bounds, Element, Node, XmlError};
use super::{ANSWERS, REQUESTS, SOAP, person};
use crate::model::id::PersonalNumber;
use crate::model::person::PopulationPerson;

/// Why nothing was learned from an answer. Never says what stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Not XML that we read.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// The service refuses: a SOAP fault that blames us (`Client`), or itself.
    #[error("the answer is a SOAP fault of the {}", if *.0 { "client" } else { "server" })]
    Fault(bool),
    /// Not the answer of this operation.
    #[error("the answer is not of this operation")]
    Operation,
    /// A part of a person is missing or contradicts another: half an answer is none.
    #[error("the answer has no valid {0}")]
    Element(&'static str),
}

/// A page of the change feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangePage {
    /// Who changed. Some people have no personal number that we could know them by.
    pub people: Vec<PersonalNumber>,
    /// How many entries the page has. The one after the last has none.
    pub entries: usize,
}

/// The verdict of `XacThucThongTinCongDan`: `KetQuaXacThuc/TonTai`.
pub fn verdict(bytes: &[u8]) -> Result<bool, AnswerError> {
    let result = payload(bytes, Bounds::PERSON, "KetQuaXacThuc")?;
    match result.text_of("TonTai") {
        Some("true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        _ => Err(AnswerError::Element("TonTai")),
    }
}

/// The person of `TraCuuThongTinCongDan`: `CongdanCollection/CongDan`. An empty collection is nobody; several people are no
/// answer to a question about one.
pub fn found(bytes: &[u8]) -> Result<Option<PopulationPerson>, AnswerError> {
    let collection = payload(bytes, Bounds::PERSON, "CongdanCollection")?;
    let mut people = citizens(&collection);
    let found = people.next().map(person::read).transpose()?;
    if people.next().is_some() {
        return Err(AnswerError::Element("CongDan"));
    }
    Ok(found)
}

/// A page of the change feed: only who changed is read.
pub fn changes(bytes: &[u8]) -> Result<ChangePage, AnswerError> {
    let collection = payload(bytes, Bounds::PAGE, "CongdanCollection")?;
    let people: Vec<_> = citizens(&collection).collect();
    let number = |person: &&Element| PersonalNumber::parse(person.text_of("SoDinhDanh")?);
    Ok(ChangePage { entries: people.len(), people: people.iter().filter_map(number).collect() })
}

fn citizens(collection: &Element) -> impl Iterator<Item = &Element> {
    collection.children.iter().filter(|child| child.is(&[&collection.namespace], "CongDan"))
}

/// The one element in the body, which must be `name`.
fn payload(bytes: &[u8], bounds: Bounds, name: &str) -> Result<Element, AnswerError> {
    let envelope = Element::read(bytes, bounds)?;
    if !envelope.is(&[SOAP], "Envelope") {
        return Err(AnswerError::Operation);
    }
    let body = envelope.children.into_iter().find(|child| child.is(&[SOAP], "Body")).ok_or(AnswerError::Operation)?;
    let [payload] = <[Element; 1]>::try_from(body.children).map_err(|_| AnswerError::Operation)?;
    if payload.is(&[SOAP], "Fault") {
        // SOAP 1.1 section 4.4: faultcode and faultstring have no namespace.
        let code = payload.children.iter().find(|child| child.name == "faultcode");
        return Err(AnswerError::Fault(code.is_some_and(|code| code.text.contains("Client"))));
    }
    if payload.is(&[ANSWERS, REQUESTS], name) { Ok(payload) } else { Err(AnswerError::Operation) }
}

/// What the service answers; for the side that is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A verdict.
    Verdict(bool),
    /// A person, or nobody.
    Found(Option<Box<PopulationPerson>>),
    /// A page of changed people.
    Changes(Vec<PersonalNumber>),
    /// A fault: whether the client is to blame, and what to tell it.
    Fault(bool, String),
}

impl Answer {
    /// As a SOAP envelope.
    pub fn to_xml(&self) -> String {
        let collection = || Node::new("ns1:CongdanCollection").declaring("ns1", ANSWERS);
        let payload =
            match self {
                Self::Verdict(exists) => Node::new("ns1:KetQuaXacThuc")
                    .declaring("ns1", ANSWERS)
                    .with([Node::new("ns1:TonTai").with_text(if *exists { "true" } else { "false" })]),
                Self::Found(found) => collection().with(found.as_deref().map(person::write)),
                Self::Changes(numbers) => collection().with(numbers.iter().map(|number| {
                    Node::new("ns1:CongDan").with([Node::new("ns1:SoDinhDanh").with_text(number.expose())])
                })),
                Self::Fault(is_client, text) => Node::new("soapenv:Fault").with([
                    Node::new("faultcode").with_text(if *is_client { "soapenv:Client" } else { "soapenv:Server" }),
                    Node::new("faultstring").with_text(text),
                ]),
            };
        Node::new("soapenv:Envelope")
            .declaring("soapenv", SOAP)
            .with([Node::new("soapenv:Header"), Node::new("soapenv:Body").with([payload])])
            .to_document()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::partial_date::PartialDate;
    use crate::model::person::NameParts;
    use crate::model::population::{Address, PopulationFacts, Relative};

    fn somebody() -> PopulationPerson {
        let text = |text: &str| Some(text.to_owned());
        let address = Some(Address {
            province: text("26"),
            district: text("252"),
            commune: text("09106"),
            detail: text("XÃ LŨNG HÒA"),
            country: text("VN"),
        });
        let relative = |relation: Option<&str>| {
            Some(Relative {
                full_name: "TRẦN <A> & B".into(),
                nationality: relation.is_none().then(|| "VN".into()),
                personal_number: PersonalNumber::parse("001087012345"),
                old_number: text("135602342"),
                relation: relation.map(str::to_owned),
            })
        };
        PopulationPerson {
            sex: text("female"),
            facts: PopulationFacts {
                old_number: text("135602343"),
                ethnicity: text("01"),
                religion: text("00"),
                marital_status: text("2"),
                blood_type: text("00"),
                nationality: None,
                birth_registration: address.clone(),
                hometown: address.clone(),
                permanent_residence: address.clone(),
                current_residence: address,
                father: relative(None),
                mother: relative(None),
                spouse: relative(None),
                representative: relative(None),
                household_head: relative(Some("CH01")),
                household_number: text("cm41"),
            },
            ..PopulationPerson::new(
                PersonalNumber::parse("001187012345").unwrap(),
                NameParts { family: "NGUYỄN".into(), middle: "THỊ".into(), given: "ĐÀO".into() },
                PartialDate::parse("19870502").unwrap(),
            )
        }
    }

    fn text() -> String {
        Answer::Found(Some(Box::new(somebody()))).to_xml()
    }

    /// The shape of an answer of the real service that stands in public code; the person is made up.
    const RECORDED: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/">
    <soapenv:Header xmlns:dan="http://dancuquocgia.bca"/>
    <soapenv:Body xmlns:dan="http://dancuquocgia.bca">
        <ns1:CongdanCollection xmlns:ns1="http://www.mic.gov.vn/dancu/1.0">
            <ns1:CongDan>
                <ns1:SoDinhDanh>026092000001</ns1:SoDinhDanh>
                <ns1:SoCMND>135600001</ns1:SoCMND>
                <ns1:HoVaTen><ns1:Ho/><ns1:ChuDem/><ns1:Ten>ĐÀO VĂN THỬ</ns1:Ten></ns1:HoVaTen>
                <ns1:GioiTinh>1</ns1:GioiTinh>
                <ns1:NgayThangNamSinh><ns1:Nam>1992</ns1:Nam><ns1:NgayThangNam>19921122</ns1:NgayThangNam></ns1:NgayThangNamSinh>
                <ns1:QuocTich/>
                <ns1:Cha><ns1:HoVaTen>ĐÀO VĂN A</ns1:HoVaTen><ns1:SoDinhDanh>123456</ns1:SoDinhDanh></ns1:Cha>
            </ns1:CongDan>
        </ns1:CongdanCollection>
    </soapenv:Body>
</soapenv:Envelope>"#;

    #[test]
    fn an_answer_as_it_was_recorded_is_read() {
        let person = found(RECORDED.as_bytes()).unwrap().unwrap();
        assert_eq!((person.name.joined().as_str(), person.sex.as_deref()), ("ĐÀO VĂN THỬ", Some("male")));
        assert_eq!(person.date_of_birth.to_string(), "19921122");
        assert_eq!((person.facts.old_number.as_deref(), &person.facts.nationality), (Some("135600001"), &None));
        let father = person.facts.father.unwrap();
        assert_eq!((father.full_name.as_str(), father.personal_number), ("ĐÀO VĂN A", None));
    }

    #[test]
    fn a_person_reads_back_whole() {
        assert_eq!(found(text().as_bytes()), Ok(Some(somebody())));
        assert_eq!(found(Answer::Found(None).to_xml().as_bytes()), Ok(None));
        let year = PopulationPerson { date_of_birth: PartialDate::parse("1987").unwrap(), ..somebody() };
        assert_eq!(found(Answer::Found(Some(Box::new(year.clone()))).to_xml().as_bytes()), Ok(Some(year)));
    }

    #[test]
    fn half_an_answer_is_none() {
        let broken = |from: &str, to: &str| found(text().replace(from, to).as_bytes()).unwrap_err();
        let birth = "<ns1:Nam>1987</ns1:Nam><ns1:NgayThangNam>19870502</ns1:NgayThangNam>";
        assert_eq!(broken(birth, ""), AnswerError::Element("NgayThangNamSinh"));
        assert_eq!(broken(birth, "<ns1:Nam/>"), AnswerError::Element("NgayThangNamSinh"));
        assert_eq!(broken("<ns1:Nam>1987<", "<ns1:Nam>1988<"), AnswerError::Element("NgayThangNamSinh"));
        assert_eq!(broken("19870502", "19870532"), AnswerError::Element("NgayThangNamSinh"));
        assert_eq!(broken("<ns1:SoDinhDanh>001187012345</ns1:SoDinhDanh>", ""), AnswerError::Element("SoDinhDanh"));
        let name = "<ns1:Ho>NGUYỄN</ns1:Ho><ns1:ChuDem>THỊ</ns1:ChuDem><ns1:Ten>ĐÀO</ns1:Ten>";
        for gap in ["", "<ns1:Ho>NGUYỄN</ns1:Ho>", "<ns1:Ten> </ns1:Ten>"] {
            assert_eq!(broken(name, gap), AnswerError::Element("HoVaTen"), "{gap}");
        }
        // What is not needed may be missing, or say nothing.
        for (from, to) in [("<ns1:GioiTinh>2</ns1:GioiTinh>", ""), ("<ns1:GioiTinh>2<", "<ns1:GioiTinh>0<")] {
            assert_eq!(found(text().replace(from, to).as_bytes()).unwrap().unwrap().sex, None);
        }
    }

    #[test]
    fn what_is_not_the_answer_teaches_nothing() {
        let fault = |is_client| Answer::Fault(is_client, "001187012345".into()).to_xml();
        for is_client in [true, false] {
            let error = found(fault(is_client).as_bytes()).unwrap_err();
            assert_eq!(error, AnswerError::Fault(is_client));
            assert!(!error.to_string().contains("001187"));
        }
        assert_eq!(verdict(text().as_bytes()), Err(AnswerError::Operation));
        assert_eq!(found(Answer::Verdict(true).to_xml().as_bytes()), Err(AnswerError::Operation));
        assert_eq!(verdict(Answer::Verdict(true).to_xml().as_bytes()), Ok(true));
        assert_eq!(verdict(Answer::Verdict(false).to_xml().as_bytes()), Ok(false));
        let other = text().replace("http://www.mic.gov.vn/dancu/1.0", "urn:other");
        assert_eq!(found(other.as_bytes()), Err(AnswerError::Operation));
        let person = text();
        let one = &person[person.find("<ns1:CongDan>").unwrap()..person.find("</ns1:CongdanCollection>").unwrap()];
        assert_eq!(found(person.replace(one, &one.repeat(2)).as_bytes()), Err(AnswerError::Element("CongDan")));
        assert_eq!(found(b"<html><body/></html>"), Err(AnswerError::Operation));
    }

    #[test]
    fn a_page_names_who_changed() {
        let numbers: Vec<_> =
            ["001187012345", "001187012346"].map(|number| PersonalNumber::parse(number).unwrap()).to_vec();
        let text = Answer::Changes(numbers.clone()).to_xml();
        assert_eq!(changes(text.as_bytes()), Ok(ChangePage { people: numbers.clone(), entries: 2 }));
        let old = text.replace("001187012345", "135602342");
        assert_eq!(changes(old.as_bytes()), Ok(ChangePage { people: numbers[1..].to_vec(), entries: 2 }));
    }

    proptest! {
        #[test]
        fn answers_never_panic(at in 0usize..4000, length in 0usize..40, with in "\\PC{0,10}|<[a-z:/]{0,6}>|&[a-z#0-9]{0,5};") {
            let mut characters: Vec<_> = text().chars().collect();
            let at = at.min(characters.len());
            let end = (at + length).min(characters.len());
            characters.splice(at..end, with.chars());
            let text: String = characters.into_iter().collect();
            let _ = (found(text.as_bytes()), verdict(text.as_bytes()), changes(text.as_bytes()));
        }

        #[test]
        fn names_survive_however_they_are_cut(family in "[\\PC&&[^\\s]]{1,8}", given in "[\\PC&&[^\\s]]{1,8}") {
            let name = NameParts { family, middle: String::new(), given };
            let person = PopulationPerson { name: name.clone(), ..somebody() };
            let read = found(Answer::Found(Some(Box::new(person))).to_xml().as_bytes()).unwrap().unwrap();
            prop_assert_eq!(read.name, name);
        }
    }
}
