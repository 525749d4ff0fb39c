//! The Ministry's synchronisation interface as public code of August to November 2020 has it (domain dossier, section 1:
//! medium certainty; today's contract, Decision 356/QĐ-BNV, was not seen).
//!
//! ```text
//! POST /apiauth/oauth/login                {username, password} → {access_token, err_code, expired_time}
//! POST /apisyncmsg/syncmsg/servicem0001…6  Authorization: Bearer …
//!      {org_Code, jsonContent: Base64 of {Data: {Header: {Sender_Code, Action_Type, …}, Body: {HOSO_CBCCVC: {…}}}}}
//!      → {message, err_code, transaction_id}
//! ```
//!
//! [`Packet::read`] (packet.rs) turns a call's body into dossiers whose members carry the names of our catalogue;
//! [`Packet::write`] is its inverse, for clients and tests.
//!
//! Ours, not the Ministry's (derived): several dossiers in one call, as an array in place of the one object; and the section
//! [`SUPPLEMENT`], for the fields that the interface of 2020 has no name for, by their codes in our catalogue, and, in every
//! operation, for the day from which all that the dossier says holds ([`EFFECTIVE_ON`]). Clients that know of none of it are
//! served as before.
//!
//! Bounds: a body has at most [`MAX_BODY_BYTES`], a call [`MAX_DOSSIERS`], a list [`MAX_ENTRIES`] entries, JSON nests at most
//! [`MAX_DEPTH`] deep and says no member twice.

mod packet;

use serde_json::{Value, json};
use time::format_description::BorrowedFormatItem;
use time::macros::{format_description, offset};

use crate::clock::UnixSeconds;
use crate::model::catalogue::Catalogue;
pub use crate::model::intake::MAX_ENTRIES;
pub use crate::model::json::MAX_DEPTH;
use crate::model::row_fault::RowFault;
pub use packet::{Dossier, Packet, PacketFault};

/// Where a client logs in, newest first: an earlier version of the interface had another path.
pub const LOGIN_PATHS: [&str; 2] = ["/apiauth/oauth/login", "/authen/login"];
/// What stands before the operation's name.
pub const OPERATIONS_PATH: &str = "/apisyncmsg/syncmsg/";
/// Largest body of a call: a hundred dossiers, or one with every list full and a portrait.
pub const MAX_BODY_BYTES: usize = 4 << 20;
/// Largest body of a login.
pub const MAX_LOGIN_BYTES: usize = 4 << 10;
/// Longest user name and password, in bytes.
pub const MAX_CREDENTIAL_BYTES: usize = 256;
/// Most dossiers of one call.
pub const MAX_DOSSIERS: usize = 100;
/// Most unknown members that an answer and the call log name.
pub const MAX_IGNORED: usize = 50;
/// How long a token lives: 5 hours, as the Ministry's did.
pub const TOKEN_SECONDS: i64 = 5 * 3600;
/// The section for fields that the interface has no name for (ours): members are field codes.
pub const SUPPLEMENT: &str = "THONGTIN_BOSUNG";
/// The member of [`SUPPLEMENT`] that says from which day the dossier holds, if that is not today (ours): `yyyyMMdd` or
/// `yyyy-MM-dd`.
pub const EFFECTIVE_ON: &str = "effective_on";

/// What a call does, by the name of its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// 0001: the whole dossier.
    Whole,
    /// 0002: recruitment and work history.
    Work,
    /// 0003: salary, allowances and position.
    Salary,
    /// 0004: education and training.
    Training,
    /// 0005: other information (party).
    Other,
    /// 0006: assessments.
    Assessments,
}

impl Operation {
    /// All, by their numbers.
    pub const ALL: [Self; 6] = [Self::Whole, Self::Work, Self::Salary, Self::Training, Self::Other, Self::Assessments];

    /// `servicem0001` to `servicem0006`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Whole => "servicem0001",
            Self::Work => "servicem0002",
            Self::Salary => "servicem0003",
            Self::Training => "servicem0004",
            Self::Other => "servicem0005",
            Self::Assessments => "servicem0006",
        }
    }

    /// From the last part of a path. `servicem0001_1` is another name of the first.
    pub fn parse(word: &str) -> Option<Self> {
        let word = if word == "servicem0001_1" { "servicem0001" } else { word };
        Self::ALL.into_iter().find(|operation| operation.word() == word)
    }

    /// `M0001`, as messages name it.
    fn number(self) -> String {
        format!("M{}", &self.word()["servicem".len()..])
    }

    /// Whether its packets carry a section.
    fn carries(self, section: &str) -> bool {
        match self {
            Self::Whole => true,
            Self::Work => section == "TUYENDUNG_QT_CONGTAC",
            Self::Salary => section == "LUONG_PHUCAP_CHUCVU",
            Self::Training => section == "TRINHDO_DAOTAO_BOIDUONG",
            Self::Other => section == "THONGTIN_KHAC" || section == SUPPLEMENT,
            Self::Assessments => section == "DS_KETQUA_DANHGIA_PHANLOAI",
        }
    }

    /// What a client is told when it is done, in the interface's own words.
    pub fn success(self, action: Action) -> String {
        let verb = match (self, action) {
            (_, Action::Del) => "Xóa",
            (_, Action::Add) => "Thêm mới",
            (_, Action::Edit) => "Cập nhật",
        };
        let what = match self {
            Self::Whole => "dữ liệu cán bộ, công chức, viên chức",
            Self::Work => "thông tin về tuyển dụng, quá trình công tác",
            Self::Salary => "thông tin về lương, phụ cấp, chức vụ",
            Self::Training => "thông tin trình độ, đào tạo, bồi dưỡng",
            Self::Other => "thông tin khác",
            Self::Assessments => "kết quả đánh giá, xếp loại",
        };
        format!("{verb} {what} thành công")
    }
}

/// What is to be done with a dossier: `Action_Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A dossier that was not there.
    Add,
    /// Members that are present take the place of what stands; a list that is present replaces the stored one.
    Edit,
    /// 0001: the dossier goes. 0002 to 0004 and 0006: the lists that the packet names are emptied.
    Del,
}

impl Action {
    /// `ADD`, `EDIT` or `DEL`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Edit => "EDIT",
            Self::Del => "DEL",
        }
    }

    /// From the word, exactly.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Add, Self::Edit, Self::Del].into_iter().find(|action| action.word() == word)
    }
}

/// A login: user name and password. It does not print.
pub struct Login {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
}

impl Login {
    /// From a body; `None` unless it is JSON with both, not empty and not over [`MAX_CREDENTIAL_BYTES`].
    pub fn parse(body: &[u8]) -> Option<Self> {
        let body = crate::model::json::parse(body).ok()?;
        let text = |member: &str| {
            let text = body.get(member)?.as_str()?;
            (1..=MAX_CREDENTIAL_BYTES).contains(&text.len()).then(|| text.to_owned())
        };
        Some(Self { username: text("username")?, password: text("password")? })
    }
}

/// The answer to a login. Earlier clients read the token under `token`.
pub fn login_answer(token: &str, expires_at: UnixSeconds) -> Value {
    json!({"access_token": token, "token": token, "err_code": 0, "expired_time": expired_time(expires_at)})
}

/// The answer to a call, or a refusal of either; `transaction` is named once there is one.
pub fn answer(message: &str, succeeded: bool, transaction: Option<&str>) -> Value {
    let mut answer = json!({"message": message, "err_code": i32::from(!succeeded)});
    if let Some(transaction) = transaction {
        answer["transaction_id"] = transaction.into();
    }
    answer
}

/// `HH:mm:ss dd-MM-yyyy` in Vietnam.
fn expired_time(at: UnixSeconds) -> String {
    const FORM: &[BorrowedFormatItem<'_>] = format_description!("[hour]:[minute]:[second] [day]-[month]-[year]");
    let instant = time::OffsetDateTime::from_unix_timestamp(at).ok();
    instant.and_then(|instant| instant.to_offset(offset!(+7)).format(FORM).ok()).unwrap_or_default()
}

/// Where in a packet a fault of a field is, in the interface's names: `THONGTINCHUNG.HoVaTen`,
/// `TUYENDUNG_QT_CONGTAC.DS_QUATRINH_CONGTAC[2].TuNgay`.
pub fn place(catalogue: &Catalogue, field: &str) -> String {
    let (code, entry) = field.strip_suffix(']').and_then(|field| field.split_once('[')).unwrap_or((field, ""));
    if let Some(list) = catalogue.lists().iter().find(|list| list.name == code) {
        let section = list.members.first().and_then(|at| catalogue.fields()[*at].packet.as_ref());
        return section.map_or_else(|| code.to_owned(), |place| within(&place.section, code));
    }
    let Some(known) = catalogue.field(code) else { return code.to_owned() };
    let Some(place) = &known.packet else { return format!("{SUPPLEMENT}.{code}") };
    match known.list {
        Some(list) => format!("{}[{entry}].{}", within(&place.section, &catalogue.lists()[list].name), place.name),
        None => format!("{}.{}", place.section, place.name),
    }
}

fn within(section: &str, list: &str) -> String {
    if section == list { list.to_owned() } else { format!("{section}.{list}") }
}

/// A fault of a field as the client is told: place, shape and rule, never the value.
pub fn complaint(catalogue: &Catalogue, fault: &RowFault) -> String {
    let shape =
        fault.shape.as_ref().map_or("để trống".to_owned(), |shape| format!("có {}", shape.in_vietnamese()));
    format!("{} ({shape}): phải {}", place(catalogue, &fault.field), fault.demand_vi)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_and_actions_go_by_exact_words() {
        for operation in Operation::ALL {
            assert_eq!(Operation::parse(operation.word()), Some(operation));
        }
        assert_eq!(Operation::parse("servicem0001_1"), Some(Operation::Whole));
        assert_eq!((Operation::parse("servicem0007"), Operation::parse("servicem000")), (None, None));
        assert_eq!(Action::parse("EDIT"), Some(Action::Edit));
        assert_eq!((Action::parse("edit"), Action::parse("E")), (None, None));
    }

    #[test]
    fn a_login_is_read_and_answered_as_the_ministry_did() {
        let login = Login::parse(br#"{"username":"hanoi","password":"x"}"#).unwrap();
        assert_eq!((login.username.as_str(), login.password.as_str()), ("hanoi", "x"));
        let long = format!(r#"{{"username":"a","password":"{}"}}"#, "x".repeat(MAX_CREDENTIAL_BYTES + 1));
        for wrong in ["", "[]", r#"{"username":"a"}"#, r#"{"username":"a","password":""}"#, long.as_str()] {
            assert!(Login::parse(wrong.as_bytes()).is_none(), "{wrong}");
        }
        let answer = login_answer("t", 1_795_325_268);
        assert_eq!(
            answer,
            json!({"access_token": "t", "token": "t", "err_code": 0, "expired_time": "12:27:48 22-11-2026"})
        );
    }

    #[test]
    fn a_fault_is_placed_in_the_packet() {
        let at = |field| place(Catalogue::current(), field);
        assert_eq!(at("full_name"), "THONGTINCHUNG.HoVaTen");
        assert_eq!(at("work_history_from[2]"), "TUYENDUNG_QT_CONGTAC.DS_QUATRINH_CONGTAC[2].TuNgay");
        assert_eq!(at("assessment_year[1]"), "DS_KETQUA_DANHGIA_PHANLOAI[1].Nam");
        assert_eq!(at("DS_TINHOC"), "TRINHDO_DAOTAO_BOIDUONG.DS_TINHOC");
        assert_eq!(at("agency_personnel_number"), "HOSO_CBCCVC.SoHieuCBCCVC_BNDP");
        assert_eq!(at("employment_status"), "THONGTIN_BOSUNG.employment_status");
    }
}
