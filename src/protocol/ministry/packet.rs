//! A call's body and the dossiers in it. Members get the names of our catalogue; what has no name there, or does not belong
//! in the operation, is listed, so that nothing is swallowed.

use std::collections::{BTreeSet, HashMap};

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value, json};
use time::Date;

use super::{Action, EFFECTIVE_ON, MAX_DOSSIERS, MAX_IGNORED, Operation, SUPPLEMENT};
use crate::model::catalogue::Catalogue;
use crate::model::intake::MAX_ENTRIES;
use crate::model::json;
use crate::model::partial_date::PartialDate;
use crate::model::text::normalised;

/// The member that names a dossier within the sending agency.
const NUMBER: &str = "SoHieuCBCCVC_BNDP";
/// The field of our catalogue that it is.
const NUMBER_FIELD: &str = "agency_personnel_number";
/// Base64 as clients write it: with or without padding. Line breaks and the URL's alphabet are turned before.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a call brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The sending agency, `org_Code`.
    pub org_code: String,
    /// `Sender_Code`; empty where the client leaves it out.
    pub sender: String,
    /// `Action_Type`.
    pub action: Action,
    /// At least one.
    pub dossiers: Vec<Dossier>,
    /// Members that we do not know or that the operation does not carry, by their places, each once; at most [`MAX_IGNORED`].
    pub ignored: Vec<String>,
}

/// One dossier of a packet: what it says, in the names of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dossier {
    /// `SoHieuCBCCVC_BNDP`: the number that the sending agency gave, unique within it.
    pub number: String,
    /// The day from which it holds, if it says one: [`EFFECTIVE_ON`].
    pub effective_on: Option<Date>,
    /// Field codes with their texts (empty: taken away), and names of lists with arrays of such objects. For
    /// [`crate::model::intake::Intake::amended`].
    pub content: Map<String, Value>,
}

impl Dossier {
    /// Whether it says anything of general information (`THONGTINCHUNG`).
    pub fn has_general(&self, catalogue: &Catalogue) -> bool {
        let is_general = |code: &String| {
            let place = catalogue.field(code).and_then(|field| field.packet.as_ref());
            place.is_some_and(|place| place.section == "THONGTINCHUNG")
        };
        self.content.keys().any(is_general)
    }

    /// The lists that it names, each emptied: what a DEL of a section does.
    pub fn emptied(&self, catalogue: &Catalogue) -> Map<String, Value> {
        let named = catalogue.lists().iter().filter(|list| self.content.contains_key(&list.name));
        named.map(|list| (list.name.clone(), json!([]))).collect()
    }
}

/// Why a packet cannot be read. Each tells the client in the interface's words and names the place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketFault {
    /// The body is not the JSON object with two texts.
    #[error("Cấu trúc gói tin không đúng định dạng quy định: phải là JSON gồm org_Code và jsonContent!")]
    Body,
    /// `jsonContent` is not Base64 of JSON, or one that nests too deeply or says a member twice.
    #[error(
        "Cấu trúc gói tin json không đúng định dạng quy định: jsonContent phải là Base64 của một văn bản JSON UTF-8!"
    )]
    Content,
    /// `Data.Header` or `Data.Body.HOSO_CBCCVC` is missing.
    #[error("Cấu trúc gói tin json header không đúng định dạng quy định!")]
    Header,
    /// `Action_Type` is another.
    #[error("Không tìm thấy hành động của hàm hoặc không thuộc ADD, DEL, EDIT!")]
    Action,
    /// The operation does not do this.
    #[error("Cấu trúc gói tin json {0} không đúng định dạng quy định, Hành động phải thuộc EDIT hoặc DEL!")]
    NotHere(String),
    /// No dossier, or more than [`MAX_DOSSIERS`].
    #[error("Gói tin phải có từ 1 đến {MAX_DOSSIERS} hồ sơ!")]
    Dossiers,
    /// A dossier without its number.
    #[error("Không tìm thấy số hiệu CBCCVC Bộ ngành địa phương!")]
    Number,
    /// The same number twice in one call.
    #[error("Số hiệu CBCCVC Bộ ngành địa phương xuất hiện hai lần trong một gói tin!")]
    Twice,
    /// A section or list is not of its form.
    #[error("Cấu trúc gói tin json {operation} không đúng định dạng quy định: {place}!")]
    Section {
        /// `M0001`.
        operation: String,
        /// Where.
        place: String,
    },
}

impl PacketFault {
    /// The word of the call log.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Body | Self::Content | Self::Header => "form",
            Self::Action => "action",
            Self::NotHere(_) => "operation",
            Self::Dossiers => "too_many",
            Self::Number => "number",
            Self::Twice => "twice",
            Self::Section { .. } => "section",
        }
    }
}

impl Packet {
    /// Reads the body of a call.
    pub fn read(catalogue: &Catalogue, operation: Operation, body: &[u8]) -> Result<Self, PacketFault> {
        let body = json::parse(body).map_err(|_| PacketFault::Body)?;
        let text = |member: &str| body.get(member).and_then(Value::as_str).ok_or(PacketFault::Body);
        let (org_code, content) = (text("org_Code")?.trim().to_owned(), text("jsonContent")?);
        let content = decoded(content).and_then(|bytes| json::parse(&bytes).ok()).ok_or(PacketFault::Content)?;
        let header = content.pointer("/Data/Header").and_then(Value::as_object).ok_or(PacketFault::Header)?;
        let word = |member: &str| header.get(member).and_then(Value::as_str).unwrap_or_default().trim();
        let action = Action::parse(word("Action_Type")).ok_or(PacketFault::Action)?;
        if operation != Operation::Whole && action == Action::Add {
            return Err(PacketFault::NotHere(operation.number()));
        }
        let dossiers = content.pointer("/Data/Body/HOSO_CBCCVC").ok_or(PacketFault::Header)?;
        let dossiers = match dossiers {
            Value::Array(dossiers) => dossiers.as_slice(),
            Value::Object(_) => std::slice::from_ref(dossiers),
            _ => return Err(PacketFault::Header),
        };
        if !(1..=MAX_DOSSIERS).contains(&dossiers.len()) {
            return Err(PacketFault::Dossiers);
        }
        let mut reader = Reader { names: Names::of(catalogue), catalogue, operation, ignored: BTreeSet::new() };
        let dossiers = dossiers.iter().map(|dossier| reader.dossier(dossier)).collect::<Result<Vec<_>, _>>()?;
        let mut numbers = BTreeSet::new();
        if !dossiers.iter().all(|dossier| numbers.insert(dossier.number.as_str())) {
            return Err(PacketFault::Twice);
        }
        let ignored = reader.ignored.into_iter().collect();
        Ok(Self { org_code, sender: word("Sender_Code").to_owned(), action, dossiers, ignored })
    }

    /// The body of a call that says this.
    pub fn write(&self, catalogue: &Catalogue) -> Value {
        let dossiers: Vec<_> = self.dossiers.iter().map(|dossier| written(catalogue, dossier)).collect();
        let dossiers = match <[Value; 1]>::try_from(dossiers) {
            Ok([only]) => only,
            Err(several) => Value::Array(several),
        };
        let header = json!({"Sender_Code": self.sender, "Action_Type": self.action.word()});
        let content = json!({"Data": {"Header": header, "Body": {"HOSO_CBCCVC": dossiers}}});
        json!({"org_Code": self.org_code, "jsonContent": BASE64.encode(content.to_string())})
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let turned = |byte: u8| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    };
    let text: Vec<_> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).map(turned).collect();
    let mut bytes = BASE64.decode(text).ok()?;
    if bytes.starts_with("\u{feff}".as_bytes()) {
        bytes.drain(..3);
    }
    Some(bytes)
}

fn written(catalogue: &Catalogue, dossier: &Dossier) -> Value {
    let mut sections = Map::from_iter([(NUMBER.to_owned(), json!(dossier.number))]);
    let member_of = |code: &str| match catalogue.field(code).and_then(|field| field.packet.as_ref()) {
        Some(place) => (place.section.clone(), place.name.clone()),
        None => (SUPPLEMENT.to_owned(), code.to_owned()),
    };
    let entry = |entry: &Value| -> Value {
        let members = entry.as_object().into_iter().flatten();
        members.map(|(code, value)| (member_of(code).1, value.clone())).collect::<Map<_, _>>().into()
    };
    for (name, value) in &dossier.content {
        let list = catalogue.lists().iter().find(|list| list.name == *name);
        let (section, member, value) = if let Some(list) = list {
            let first = list.members.first().map_or_else(String::new, |at| catalogue.fields()[*at].code.clone());
            let entries = value.as_array().into_iter().flatten().map(entry).collect::<Vec<_>>();
            (member_of(&first).0, name.clone(), entries.into())
        } else {
            let (section, member) = member_of(name);
            (section, member, value.clone())
        };
        if section == member {
            sections.insert(section, value);
        } else if let Some(members) = sections.entry(section).or_insert_with(|| json!({})).as_object_mut() {
            members.insert(member, value);
        }
    }
    if let Some(day) = dossier.effective_on
        && let Some(members) = sections.entry(SUPPLEMENT).or_insert_with(|| json!({})).as_object_mut()
    {
        members.insert(EFFECTIVE_ON.to_owned(), json!(day.to_string()));
    }
    sections.into()
}

/// The interface's names: section, list (empty outside lists) and member, and the field that each is.
struct Names<'a>(HashMap<(&'a str, &'a str, &'a str), usize>);

impl<'a> Names<'a> {
    fn of(catalogue: &'a Catalogue) -> Self {
        let name = |(at, field): (usize, &'a crate::model::catalogue::Field)| match (&field.packet, field.list) {
            (Some(place), list) => {
                let list = list.map_or("", |list| catalogue.lists()[list].name.as_str());
                ((place.section.as_str(), list, place.name.as_str()), at)
            }
            (None, _) => ((SUPPLEMENT, "", field.code.as_str()), at),
        };
        Self(catalogue.fields().iter().enumerate().map(name).collect())
    }

    fn field(&self, section: &str, list: &str, name: &str) -> Option<usize> {
        self.0.get(&(section, list, name)).copied()
    }

    fn has_section(&self, section: &str) -> bool {
        self.0.keys().any(|(known, ..)| *known == section)
    }
}

struct Reader<'a> {
    catalogue: &'a Catalogue,
    names: Names<'a>,
    operation: Operation,
    ignored: BTreeSet<String>,
}

impl Reader<'_> {
    fn dossier(&mut self, dossier: &Value) -> Result<Dossier, PacketFault> {
        let members = dossier.as_object().ok_or(PacketFault::Header)?;
        // As records keep it, so that one number is one however it is written.
        let number = members.get(NUMBER).and_then(text).map(|number| normalised(&number).into_owned());
        let number = number.filter(|number| !number.is_empty()).ok_or(PacketFault::Number)?;
        let effective_on = self.effective_on(members)?;
        let mut content = Map::new();
        for (section, value) in members {
            let says_its_day_alone = || {
                let members = value.as_object().filter(|_| section == SUPPLEMENT);
                members.is_some_and(|members| !members.is_empty() && members.keys().all(|name| name == EFFECTIVE_ON))
            };
            if section == NUMBER || value.is_null() || says_its_day_alone() {
                continue;
            }
            if !self.operation.carries(section) || !self.names.has_section(section) {
                self.ignore(&[section]);
            } else if self.is_list(section) {
                let entries = self.entries(section, section, value)?;
                content.insert(section.clone(), entries);
            } else {
                self.section(section, value, &mut content)?;
            }
        }
        Ok(Dossier { number, effective_on, content })
    }

    /// The day from which a dossier holds, whatever the operation.
    fn effective_on(&self, members: &Map<String, Value>) -> Result<Option<Date>, PacketFault> {
        let Some(said) = members.get(SUPPLEMENT).and_then(|section| section.get(EFFECTIVE_ON)) else { return Ok(None) };
        let day = |text: &str| PartialDate::parse(text).and_then(PartialDate::exact);
        match text(said) {
            None if said.is_null() => Ok(None),
            Some(text) if text.trim().is_empty() => Ok(None),
            said => {
                let day = said.and_then(|text| day(text.trim()));
                day.map(Some).ok_or_else(|| self.wrong(&format!("{SUPPLEMENT}.{EFFECTIVE_ON}")))
            }
        }
    }

    fn section(&mut self, section: &str, value: &Value, content: &mut Map<String, Value>) -> Result<(), PacketFault> {
        let members = value.as_object().ok_or_else(|| self.wrong(section))?;
        for (name, value) in members.iter().filter(|(_, value)| !value.is_null()) {
            if self.is_list(name) && self.list_is_in(name, section) {
                let entries = self.entries(section, name, value)?;
                content.insert(name.clone(), entries);
            } else if let Some(field) = self.names.field(section, "", name) {
                let code = &self.catalogue.fields()[field].code;
                if code != NUMBER_FIELD {
                    content.insert(code.clone(), text(value).map_or_else(|| value.clone(), Value::String));
                }
            } else if (section, name.as_str()) != (SUPPLEMENT, EFFECTIVE_ON) {
                self.ignore(&[section, name]);
            }
        }
        Ok(())
    }

    fn entries(&mut self, section: &str, list: &str, value: &Value) -> Result<Value, PacketFault> {
        let entries = value.as_array().filter(|entries| entries.len() <= MAX_ENTRIES);
        let mut read = Vec::new();
        for entry in entries.ok_or_else(|| self.wrong(list))? {
            let mut known = Map::new();
            for (name, value) in entry.as_object().ok_or_else(|| self.wrong(list))? {
                if value.is_null() {
                    continue;
                }
                match self.names.field(section, list, name) {
                    Some(field) => {
                        let code = self.catalogue.fields()[field].code.clone();
                        known.insert(code, text(value).map_or_else(|| value.clone(), Value::String));
                    }
                    None if section == list => self.ignore(&[list, name]),
                    None => self.ignore(&[section, list, name]),
                }
            }
            read.push(known.into());
        }
        Ok(Value::Array(read))
    }

    fn is_list(&self, name: &str) -> bool {
        self.catalogue.lists().iter().any(|list| list.name == name)
    }

    fn list_is_in(&self, list: &str, section: &str) -> bool {
        self.names.0.keys().any(|(known, of, _)| *known == section && *of == list)
    }

    /// The name comes from the packet: only what looks like a name of the interface is repeated.
    fn ignore(&mut self, place: &[&str]) {
        let looks_like_name = |part: &&str| {
            (1..=60).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let place = place.iter().map(|part| if looks_like_name(part) { *part } else { "?" }).collect::<Vec<_>>();
        if self.ignored.len() < MAX_IGNORED {
            self.ignored.insert(place.join("."));
        }
    }

    fn wrong(&self, place: &str) -> PacketFault {
        PacketFault::Section { operation: self.operation.number(), place: place.to_owned() }
    }
}

/// A text or a number, which clients write without quotation marks.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::date;

    use super::*;

    fn body(content: &Value) -> Vec<u8> {
        json!({"org_Code": "H26", "jsonContent": BASE64.encode(content.to_string())}).to_string().into_bytes()
    }

    fn packet(action: &str, dossier: &Value) -> Vec<u8> {
        body(&json!({"Data": {
            "Header": {"Sender_Code": "H26", "Action_Type": action, "Sender_Name": "x"},
            "Body": {"HOSO_CBCCVC": dossier},
        }}))
    }

    fn read(operation: Operation, body: &[u8]) -> Result<Packet, PacketFault> {
        Packet::read(Catalogue::current(), operation, body)
    }

    fn sample() -> Value {
        json!({
            "SoHieuCBCCVC_BNDP": "CB.01",
            "THONGTINCHUNG": {"HoVaTen": "Nguyễn Thị Đào", "NgaySinh": "19870502", "TonGiao": null, "MauMat": "đen", "NhanSu_Id": 7},
            "TUYENDUNG_QT_CONGTAC": {"ViTriTuyenDung": "", "DS_QUATRINH_CONGTAC": [{"TuNgay": "2010", "LuongKhoan": "1"}, {"TuNgay": 2015}]},
            "LUONG_PHUCAP_CHUCVU": {},
            "THONGTIN_KHAC": null,
            "THONGTIN_BOSUNG": {"employment_status": "active"},
            "DS_KETQUA_DANHGIA_PHANLOAI": [],
            "Nguyễn Văn A": {},
        })
    }

    #[test]
    fn members_get_the_names_of_the_catalogue_and_the_rest_is_told() {
        let read = read(Operation::Whole, &packet("EDIT", &sample())).unwrap();
        assert_eq!((read.action, read.sender.as_str(), read.org_code.as_str()), (Action::Edit, "H26", "H26"));
        let [dossier] = read.dossiers.as_slice() else { panic!("{read:?}") };
        assert_eq!(dossier.number, "CB.01");
        assert_eq!(
            Value::from(dossier.content.clone()),
            json!({
                "full_name": "Nguyễn Thị Đào", "date_of_birth": "19870502", "recruited_position": "",
                "DS_QUATRINH_CONGTAC": [{"work_history_from": "2010"}, {"work_history_from": "2015"}],
                "DS_KETQUA_DANHGIA_PHANLOAI": [], "employment_status": "active",
            })
        );
        let told = [
            "?",
            "THONGTINCHUNG.MauMat",
            "THONGTINCHUNG.NhanSu_Id",
            "TUYENDUNG_QT_CONGTAC.DS_QUATRINH_CONGTAC.LuongKhoan",
        ];
        assert_eq!(read.ignored, told);
        assert!(dossier.has_general(Catalogue::current()));
        let emptied = Value::from(dossier.emptied(Catalogue::current()));
        assert_eq!(emptied, json!({"DS_QUATRINH_CONGTAC": [], "DS_KETQUA_DANHGIA_PHANLOAI": []}));
    }

    #[test]
    fn an_operation_carries_its_sections_only() {
        let work = read(Operation::Work, &packet("EDIT", &sample())).unwrap();
        let keys: BTreeSet<_> = work.dossiers[0].content.keys().map(String::as_str).collect();
        assert_eq!(keys, BTreeSet::from(["DS_QUATRINH_CONGTAC", "recruited_position"]));
        assert!(work.ignored.contains(&"THONGTINCHUNG".to_owned()));
        let refused = read(Operation::Work, &packet("ADD", &sample())).unwrap_err();
        assert_eq!(refused, PacketFault::NotHere("M0002".into()));
        assert!(refused.to_string().contains("json M0002 không đúng"));
    }

    #[test]
    fn the_day_from_which_it_holds_is_said_in_every_operation() {
        let of = |supplement: Value| {
            let dossier = json!({"SoHieuCBCCVC_BNDP": "1", "LUONG_PHUCAP_CHUCVU": {}, "THONGTIN_BOSUNG": supplement});
            let read = read(Operation::Salary, &packet("EDIT", &dossier))?;
            Ok::<_, PacketFault>((read.dossiers[0].effective_on, read.ignored))
        };
        let day = Some(date!(2026 - 12 - 01));
        for said in [json!("20261201"), json!("2026-12-01"), json!(20_261_201)] {
            assert_eq!(of(json!({"effective_on": said})), Ok((day, vec![])));
        }
        assert_eq!(of(json!({"effective_on": ""})), Ok((None, vec![])));
        let more = of(json!({"effective_on": "20261201", "email": "a@b.vn"}));
        assert_eq!(more, Ok((day, vec!["THONGTIN_BOSUNG".into()])), "the operation does not carry the rest");
        for wrong in [json!("202612"), json!("01/12/2026"), json!([]), json!(true)] {
            let fault = of(json!({"effective_on": wrong})).unwrap_err();
            let place = "THONGTIN_BOSUNG.effective_on".to_owned();
            assert_eq!(fault, PacketFault::Section { operation: "M0003".into(), place });
        }
    }

    #[test]
    fn what_is_not_a_packet_is_told_apart() {
        let whole = |body: &[u8]| read(Operation::Whole, body).unwrap_err();
        for wrong in ["", "[]", "{}", r#"{"org_Code":"H26"}"#, r#"{"org_Code":1,"jsonContent":"e30="}"#] {
            assert_eq!(whole(wrong.as_bytes()), PacketFault::Body, "{wrong}");
        }
        let with = |content: &str| json!({"org_Code": "H26", "jsonContent": content}).to_string();
        for wrong in ["***", "e3", &BASE64.encode("{\"a\":1,\"a\":1}"), &BASE64.encode("[".repeat(40))] {
            assert_eq!(whole(with(wrong).as_bytes()), PacketFault::Content, "{wrong}");
        }
        assert_eq!(whole(&body(&json!({"Data": {}}))), PacketFault::Header);
        assert_eq!(whole(&packet("ADD", &json!("x"))), PacketFault::Header);
        assert_eq!(whole(&packet("add", &sample())), PacketFault::Action);
        assert_eq!(whole(&packet("ADD", &json!([]))), PacketFault::Dossiers);
        assert_eq!(whole(&packet("ADD", &json!({"THONGTINCHUNG": {}}))), PacketFault::Number);
        assert_eq!(whole(&packet("ADD", &json!([sample(), sample()]))), PacketFault::Twice);
        let mut many = vec![sample(); MAX_DOSSIERS + 1];
        assert_eq!(whole(&packet("ADD", &json!(many))), PacketFault::Dossiers);
        for (at, dossier) in many.iter_mut().enumerate() {
            dossier["SoHieuCBCCVC_BNDP"] = json!(at);
        }
        many.pop();
        assert_eq!(read(Operation::Whole, &packet("ADD", &json!(many))).unwrap().dossiers.len(), MAX_DOSSIERS);
        for (section, value) in [
            ("THONGTINCHUNG", json!([])),
            ("TUYENDUNG_QT_CONGTAC", json!({"DS_QUATRINH_CONGTAC": {}})),
            ("TUYENDUNG_QT_CONGTAC", json!({"DS_QUATRINH_CONGTAC": ["x"]})),
            ("DS_KETQUA_DANHGIA_PHANLOAI", json!(vec![json!({}); MAX_ENTRIES + 1])),
        ] {
            let mut dossier = sample();
            dossier[section] = value;
            assert_eq!(whole(&packet("ADD", &dossier)).code(), "section", "{section}");
        }
    }

    #[test]
    fn base64_is_read_as_clients_write_it() {
        let content = json!({"Data": {"Header": {"Action_Type": "DEL"}, "Body": {"HOSO_CBCCVC": {"SoHieuCBCCVC_BNDP": "??>>ÿÿ"}}}});
        let text = BASE64.encode(content.to_string());
        let lines = text.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect::<Vec<_>>();
        let marked = BASE64.encode(format!("\u{feff}{content}"));
        for variant in [
            text.clone(),
            text.trim_end_matches('=').to_owned(),
            text.replace('+', "-").replace('/', "_"),
            lines.join("\r\n"),
            marked,
        ] {
            let body = json!({"org_Code": " H26 ", "jsonContent": variant}).to_string();
            let packet = read(Operation::Whole, body.as_bytes()).unwrap();
            assert_eq!((packet.dossiers[0].number.as_str(), packet.sender.as_str()), ("??>>ÿÿ", ""));
        }
    }

    fn any_dossier() -> impl Strategy<Value = Dossier> {
        let catalogue = Catalogue::current();
        let is_scalar = |field: &&crate::model::catalogue::Field| field.list.is_none() && field.code != NUMBER_FIELD;
        let outside: Vec<_> = catalogue.fields().iter().filter(is_scalar).map(|field| field.code.clone()).collect();
        let scalars = prop::collection::btree_map(prop::sample::select(outside), "\\PC{0,20}", 0..12);
        let list = (0..catalogue.lists().len()).prop_flat_map(move |list| {
            let codes: Vec<_> =
                catalogue.lists()[list].members.iter().map(|at| catalogue.fields()[*at].code.clone()).collect();
            let entry = prop::collection::btree_map(prop::sample::select(codes), "\\PC{0,12}", 0..4);
            (Just(catalogue.lists()[list].name.clone()), prop::collection::vec(entry, 0..4))
        });
        let lists = prop::collection::vec(list, 0..4);
        let day = prop::option::of((0..70_000_i64).prop_map(|days| date!(1990 - 01 - 01) + time::Duration::days(days)));
        ("[A-Z0-9.]{1,12}", day, scalars, lists).prop_map(|(number, effective_on, scalars, lists)| {
            let mut content: Map<_, _> = scalars.into_iter().map(|(code, text)| (code, json!(text))).collect();
            content.extend(lists.into_iter().map(|(name, entries)| (name, json!(entries))));
            Dossier { number, effective_on, content }
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_the_same(
            dossiers in prop::collection::btree_map("[A-Z]{1,8}", any_dossier(), 1..4),
            action in prop::sample::select(vec![Action::Add, Action::Edit, Action::Del]),
        ) {
            let dossiers = dossiers.into_iter().map(|(number, dossier)| Dossier { number, ..dossier }).collect();
            let packet = Packet { org_code: "H26".into(), sender: "H26".into(), action, dossiers, ignored: Vec::new() };
            let body = packet.write(Catalogue::current()).to_string();
            prop_assert_eq!(read(Operation::Whole, body.as_bytes()).unwrap(), packet);
        }

        #[test]
        fn reading_never_panics(
            bytes in prop::collection::vec(any::<u8>(), 0..80),
            text in "\\{\"Data\":\\{\"(Header|Body)\":[\\[{0-9\"A-Z_}\\],:]{0,40}",
            operation in prop::sample::select(Operation::ALL.to_vec()),
        ) {
            let _ = read(operation, &bytes);
            let content = json!({"org_Code": "H26", "jsonContent": BASE64.encode(&text)}).to_string();
            let _ = read(operation, content.as_bytes());
            let _ = read(operation, &packet("EDIT", &serde_json::from_str(&text).unwrap_or(Value::Null)));
        }

        #[test]
        fn any_shape_of_a_dossier_is_read_or_refused(section in prop::sample::select(vec![
            "THONGTINCHUNG", "TUYENDUNG_QT_CONGTAC", "DS_KETQUA_DANHGIA_PHANLOAI", "THONGTIN_BOSUNG", "X",
        ]), name in "HoVaTen|DS_QUATRINH_CONGTAC|\\PC{0,8}", value in prop::sample::select(vec![
            json!(null), json!(true), json!(1.5e300), json!([]), json!({}), json!([[]]), json!([{"TuNgay": {}}]), json!("\u{0}"),
        ])) {
            let dossier = json!({"SoHieuCBCCVC_BNDP": "1", section: {name: value.clone()}, "DS_TINHOC": value});
            if let Ok(read) = read(Operation::Whole, &packet("EDIT", &dossier)) {
                prop_assert!(read.ignored.len() <= MAX_IGNORED);
            }
        }
    }
}
