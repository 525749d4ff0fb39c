//! What is asked: one of two operations about a person, or a page of the change feed.

use super::xml::{Bounds, Element, Node, XmlError};
use super::{LOOK_UP, REQUESTS, SOAP, VERIFY};
use crate::model::id::PersonalNumber;
use crate::model::partial_date::{PartialDate, Precision};
use crate::model::person::AskedNumber;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `XacThucThongTinCongDan`: is there somebody who is so?
    Verify(Question),
    /// `TraCuuThongTinCongDan`: who is it?
    LookUp(Question),
    /// The same operation, asked for who changed.
    Changes(FeedQuestion),
}

/// Who asks. Every question names an officer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sender {
    /// `MaDVC`: the public service that the question is asked for.
    pub service: String,
    /// `MaTichHop`: the code under which the integration was allowed.
    pub integration: String,
    /// `MaCanBo`: the asking officer.
    pub officer: String,
    /// `MaDonVi`; left out when empty, as are the two below.
    pub unit: String,
    /// `TaiKhoan`.
    pub account: String,
    /// `SoDienThoai`.
    pub phone: String,
}

/// A question about a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// `MaYeuCau`: its own for every request.
    pub request: String,
    /// Who asks.
    pub sender: Sender,
    /// `SoDinhDanh` or `SoCMND`.
    pub number: AskedNumber,
    /// `HoVaTen`, sent in upper case.
    pub full_name: String,
    /// `NgayThangNamSinh`: the day, or the year alone.
    pub date_of_birth: PartialDate,
}

/// A question for a page of changed people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedQuestion {
    /// `MaYeuCau`.
    pub request: String,
    /// `TuNgay`: Unix milliseconds.
    pub from: i64,
    /// `DenNgay`: Unix milliseconds.
    pub to: i64,
    /// `Loai`: which kind of change.
    pub kind: String,
    /// `Trang`, from 1 (derived).
    pub page: u32,
    /// `SoBanGhi`: people on a page.
    pub size: u32,
}

/// A request that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Not XML that we read.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// Not one of the operations in a SOAP 1.1 envelope.
    #[error("the request is not an operation of this service")]
    Operation,
    /// An element is missing or wrong.
    #[error("the request has no valid {0}")]
    Element(&'static str),
}

impl Call {
    /// As a SOAP envelope.
    pub fn to_xml(&self) -> String {
        let operation = match self {
            Self::Verify(question) => question.node(VERIFY.0),
            Self::LookUp(question) => question.node(LOOK_UP.0),
            Self::Changes(question) => question.node(),
        };
        Node::new("soapenv:Envelope")
            .declaring("soapenv", SOAP)
            .declaring("dan", REQUESTS)
            .with([Node::new("soapenv:Header"), Node::new("soapenv:Body").with([operation])])
            .to_document()
    }

    /// Reads a request; for the side that is asked. A question asked for changes is known by its `TuNgay`.
    pub fn parse(bytes: &[u8]) -> Result<Self, CallError> {
        let envelope = Element::read(bytes, Bounds::PERSON)?;
        let body = envelope.child("Body").filter(|_| envelope.is(&[SOAP], "Envelope")).ok_or(CallError::Operation)?;
        let [operation] = body.children.as_slice() else { return Err(CallError::Operation) };
        if operation.is(&[REQUESTS], VERIFY.0) {
            Question::parse(operation).map(Self::Verify)
        } else if !operation.is(&[REQUESTS], LOOK_UP.0) {
            Err(CallError::Operation)
        } else if operation.child("TuNgay").is_some() {
            FeedQuestion::parse(operation).map(Self::Changes)
        } else {
            Question::parse(operation).map(Self::LookUp)
        }
    }
}

/// `dan:NAME` with this text.
fn leaf(name: &str, text: &str) -> Node {
    Node::new(format!("dan:{name}")).with_text(text)
}

fn required(element: &Element, name: &'static str) -> Result<String, CallError> {
    element.text_of(name).map(str::to_owned).ok_or(CallError::Element(name))
}

impl Question {
    fn node(&self, operation: &str) -> Node {
        let Sender { service, integration, officer, unit, account, phone } = &self.sender;
        let optional = |name: &str, text: &String| (!text.is_empty()).then(|| leaf(name, text));
        let number = match &self.number {
            AskedNumber::Personal(number) => leaf("SoDinhDanh", number.expose()),
            AskedNumber::Old(number) => leaf("SoCMND", number),
        };
        // A month alone cannot be said.
        let born = match self.date_of_birth.precision() {
            Precision::Day => leaf("NgayThangNam", &self.date_of_birth.to_string()),
            Precision::Month | Precision::Year => leaf("Nam", &self.date_of_birth.year().to_string()),
        };
        Node::new(format!("dan:{operation}"))
            .with([
                leaf("MaYeuCau", &self.request),
                leaf("MaDVC", service),
                leaf("MaTichHop", integration),
                leaf("MaCanBo", officer),
            ])
            .with(optional("MaDonVi", unit))
            .with(optional("TaiKhoan", account))
            .with(optional("SoDienThoai", phone))
            .with([
                number,
                leaf("HoVaTen", &self.full_name.to_uppercase()),
                Node::new("dan:NgayThangNamSinh").with([born]),
            ])
    }

    fn parse(element: &Element) -> Result<Self, CallError> {
        let optional = |name| element.text_of(name).unwrap_or_default().to_owned();
        let personal = |text| PersonalNumber::parse(text).map(AskedNumber::Personal);
        let nine = |text: &str| text.len() == 9 && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = match (element.text_of("SoDinhDanh"), element.text_of("SoCMND")) {
            (Some(text), None) => personal(text).ok_or(CallError::Element("SoDinhDanh"))?,
            (None, Some(text)) if nine(text) => AskedNumber::Old(text.to_owned()),
            (_, Some(_)) => return Err(CallError::Element("SoCMND")),
            (None, None) => return Err(CallError::Element("SoDinhDanh")),
        };
        let born = element.child("NgayThangNamSinh").ok_or(CallError::Element("NgayThangNamSinh"))?;
        let born = match (born.text_of("NgayThangNam"), born.text_of("Nam")) {
            (Some(day), _) => PartialDate::parse(day).filter(|_| day.len() == 8),
            (None, Some(year)) => PartialDate::parse(year).filter(|_| year.len() == 4),
            (None, None) => None,
        };
        Ok(Self {
            request: required(element, "MaYeuCau")?,
            sender: Sender {
                service: required(element, "MaDVC")?,
                integration: required(element, "MaTichHop")?,
                officer: required(element, "MaCanBo")?,
                unit: optional("MaDonVi"),
                account: optional("TaiKhoan"),
                phone: optional("SoDienThoai"),
            },
            number,
            full_name: required(element, "HoVaTen")?,
            date_of_birth: born.ok_or(CallError::Element("NgayThangNamSinh"))?,
        })
    }
}

impl FeedQuestion {
    fn node(&self) -> Node {
        Node::new(format!("dan:{}", LOOK_UP.0)).with([
            leaf("MaYeuCau", &self.request),
            leaf("TuNgay", &self.from.to_string()),
            leaf("DenNgay", &self.to.to_string()),
            leaf("Loai", &self.kind),
            leaf("Trang", &self.page.to_string()),
            leaf("SoBanGhi", &self.size.to_string()),
        ])
    }

    fn parse(element: &Element) -> Result<Self, CallError> {
        fn number<T: std::str::FromStr>(element: &Element, name: &'static str) -> Result<T, CallError> {
            required(element, name)?.parse().map_err(|_| CallError::Element(name))
        }
        Ok(Self {
            request: required(element, "MaYeuCau")?,
            from: number(element, "TuNgay")?,
            to: number(element, "DenNgay")?,
            kind: required(element, "Loai")?,
            page: number(element, "Trang")?,
            size: number(element, "SoBanGhi")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn question() -> Question {
        Question {
            request: "7Q2M8K3D5N9R1T4V.1".into(),
            sender: Sender {
                service: "VPCP".into(),
                integration: "037".into(),
                officer: "cb01".into(),
                unit: "H26".into(),
                ..Sender::default()
            },
            number: AskedNumber::Personal(PersonalNumber::parse("001187012345").unwrap()),
            full_name: "Nguyễn Thị Đào".into(),
            date_of_birth: PartialDate::parse("19870502").unwrap(),
        }
    }

    #[test]
    fn a_question_is_written_as_public_clients_write_it() {
        let expected = concat!(
            r#"<?xml version="1.0" encoding="UTF-8"?>"#,
            r#"<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:dan="http://dancuquocgia.bca">"#,
            "<soapenv:Header/><soapenv:Body><dan:TraCuuThongTinCongDan><dan:MaYeuCau>7Q2M8K3D5N9R1T4V.1</dan:MaYeuCau>",
            "<dan:MaDVC>VPCP</dan:MaDVC><dan:MaTichHop>037</dan:MaTichHop><dan:MaCanBo>cb01</dan:MaCanBo>",
            "<dan:MaDonVi>H26</dan:MaDonVi><dan:SoDinhDanh>001187012345</dan:SoDinhDanh>",
            "<dan:HoVaTen>NGUYỄN THỊ ĐÀO</dan:HoVaTen>",
            "<dan:NgayThangNamSinh><dan:NgayThangNam>19870502</dan:NgayThangNam></dan:NgayThangNamSinh>",
            "</dan:TraCuuThongTinCongDan></soapenv:Body></soapenv:Envelope>",
        );
        assert_eq!(Call::LookUp(question()).to_xml(), expected);
    }

    #[test]
    fn calls_read_back_as_they_were_meant() {
        let upper = Question { full_name: "NGUYỄN THỊ ĐÀO".into(), ..question() };
        let old = Question {
            number: AskedNumber::Old("135602342".into()),
            date_of_birth: PartialDate::parse("1987").unwrap(),
            ..upper.clone()
        };
        let feed = FeedQuestion { request: "x".into(), from: 1, to: 2, kind: "1".into(), page: 3, size: 100 };
        for call in [Call::Verify(upper.clone()), Call::LookUp(old.clone()), Call::LookUp(upper), Call::Changes(feed)] {
            assert_eq!(Call::parse(call.to_xml().as_bytes()), Ok(call));
        }
        let month = Question { date_of_birth: PartialDate::parse("198705").unwrap(), ..old.clone() };
        assert_eq!(Call::parse(Call::LookUp(month).to_xml().as_bytes()), Ok(Call::LookUp(old)));
    }

    #[test]
    fn a_request_without_a_part_names_the_part() {
        let text = Call::LookUp(question()).to_xml();
        let broken = |from: &str, to: &str| Call::parse(text.replace(from, to).as_bytes()).unwrap_err();
        for name in ["MaYeuCau", "MaDVC", "MaTichHop", "MaCanBo", "HoVaTen", "NgayThangNamSinh"] {
            assert_eq!(broken(&format!("dan:{name}>"), "dan:X>"), CallError::Element(name));
        }
        assert_eq!(broken("001187012345", "1187012345"), CallError::Element("SoDinhDanh"));
        assert_eq!(broken("19870502", "1987-05-02"), CallError::Element("NgayThangNamSinh"));
        assert_eq!(broken("dan:TraCuuThongTinCongDan>", "dan:XoaCongDan>"), CallError::Operation);
        assert_eq!(broken("http://dancuquocgia.bca", "http://dancuquocgia.example"), CallError::Operation);
        assert_eq!(
            broken("schemas.xmlsoap.org/soap/envelope/", "www.w3.org/2003/05/soap-envelope"),
            CallError::Operation
        );
    }

    proptest! {
        #[test]
        fn requests_never_panic(name in "\\PC{0,20}", number in "[0-9]{0,14}", date in "[0-9]{0,9}") {
            let text = Call::LookUp(question()).to_xml();
            let text = text.replace("NGUYỄN THỊ ĐÀO", &name).replace("001187012345", &number).replace("19870502", &date);
            let _ = Call::parse(text.as_bytes());
        }
    }
}
