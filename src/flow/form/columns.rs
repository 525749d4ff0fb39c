//! Which columns a form has, and what people are told of each.

use crate::model::catalogue::{Catalogue, Field, Kind, Required};
use crate::model::cell::LABEL_SEPARATOR;
use crate::model::code_list::{CodeBook, CodeLabels};
use crate::model::rule::Form;

/// Objects of a field of the type list that have columns of their own.
const ITEMS: usize = 2;
/// The most characters of a cell (Excel's limit); a portrait in Base64 has to fit.
const CELL_CHARACTERS: usize = 32_767;

/// A column of the entry sheet.
pub(super) struct Column {
    /// The field code, with its number in a list: what the reader goes by.
    pub(super) code: String,
    /// The group of the catalogue.
    pub(super) group: String,
    /// What people read, in Vietnamese and in English.
    pub(super) label_vi: String,
    pub(super) label_en: String,
    /// Who cannot do without it.
    pub(super) required: Required,
    /// What is told of it, in Vietnamese.
    pub(super) comment: String,
    /// What keeps mistakes out.
    pub(super) check: Check,
}

/// What a spreadsheet checks while somebody types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// Nothing.
    Nothing,
    /// A code of this list is offered.
    List(String),
    /// One of these words.
    Words(Vec<String>),
    /// A unit is offered.
    Unit,
    /// As many characters.
    Exactly(u32),
    /// No more characters.
    AtMost(u32),
}

/// What a group is called.
const GROUPS: [(&str, &str); 22] = [
    ("identity", "Thông tin nhân thân"),
    ("contact", "Liên hệ"),
    ("organisation", "Đơn vị"),
    ("recruitment", "Tuyển dụng"),
    ("work_history", "Quá trình công tác"),
    ("position", "Chức vụ, vị trí việc làm"),
    ("grade_salary", "Ngạch, bậc, lương"),
    ("salary_history", "Quá trình lương"),
    ("allowance_history", "Phụ cấp"),
    ("education", "Trình độ"),
    ("political_training", "Lý luận chính trị, quản lý nhà nước"),
    ("it_language", "Ngoại ngữ, tin học"),
    ("training_history", "Đào tạo, bồi dưỡng"),
    ("party", "Đảng"),
    ("mass_org", "Tổ chức chính trị - xã hội"),
    ("military", "Quân đội"),
    ("health_policy", "Sức khỏe, chính sách"),
    ("family", "Gia đình"),
    ("reward_discipline", "Khen thưởng, kỷ luật"),
    ("assessment", "Đánh giá, xếp loại"),
    ("planning", "Quy hoạch"),
    ("status", "Trạng thái công tác"),
];

/// What a group is called in Vietnamese.
pub(super) fn group_name(group: &str) -> &str {
    GROUPS.iter().find(|(known, _)| *known == group).map_or(group, |(_, name)| name)
}

/// The columns of a form: what is required first, then the rest as the catalogue has it, lists entry by entry.
pub(super) fn columns(catalogue: &Catalogue, codes: &CodeBook, groups: &[String], entries: usize) -> Vec<Column> {
    let wanted = |field: &&Field| field.required != Required::No || groups.is_empty() || groups.contains(&field.group);
    let rank = |field: &&Field| match field.required {
        Required::Interface => 0,
        Required::Card => 1,
        Required::No => 2,
    };
    let mut single: Vec<_> = catalogue.fields().iter().filter(wanted).filter(|field| field.list.is_none()).collect();
    single.sort_by_key(rank);
    let mut columns = Vec::new();
    for field in single {
        match &field.rule.form {
            Form::Items(members) => {
                for entry in 1..=ITEMS.min(entries) {
                    for (name, form) in members {
                        let code = format!("{}[{entry}].{name}", field.code);
                        let mut column = Column::of(code, field, form, codes);
                        column.label_vi = format!("{} {entry}: {}", field.label_vi, member_name(name));
                        column.label_en = format!("{} {entry}: {}", field.label_en, name.replace('_', " "));
                        columns.push(column);
                    }
                }
            }
            form => columns.push(Column::of(field.code.clone(), field, form, codes)),
        }
    }
    for list in catalogue.lists() {
        let mut members: Vec<_> = list.members.iter().map(|at| &catalogue.fields()[*at]).filter(wanted).collect();
        members.sort_by_key(|field| field.number);
        for entry in 1..=entries {
            for field in &members {
                let mut column = Column::of(format!("{}[{entry}]", field.code), field, &field.rule.form, codes);
                column.label_vi = format!("{} (mục {entry})", field.label_vi);
                column.label_en = format!("{} (entry {entry})", field.label_en);
                columns.push(column);
            }
        }
    }
    columns
}

/// The label of a field whose code may have a number and a member: Vietnamese and English.
pub(in crate::flow) fn label_of(catalogue: &Catalogue, code: &str) -> Option<(String, String)> {
    let name = code.split('[').next().unwrap_or_default();
    let field = catalogue.field(name)?;
    let (mut vi, mut en) = (field.label_vi.clone(), field.label_en.clone());
    if let Some((entry, member)) = code.strip_prefix(name).and_then(|rest| rest.strip_prefix('[')?.split_once(']')) {
        vi = format!("{vi} (mục {entry})");
        en = format!("{en} (entry {entry})");
        if let Some(member) = member.strip_prefix('.') {
            vi = format!("{vi}: {}", member_name(member));
            en = format!("{en}: {}", member.replace('_', " "));
        }
    }
    Some((vi, en))
}

/// Members of the list fields in Vietnamese.
fn member_name(member: &str) -> &str {
    match member {
        "relation" => "quan hệ",
        "full_name" => "họ và tên",
        "birth_year" => "năm sinh",
        "personal_id_number" => "số định danh cá nhân",
        "hometown" => "quê quán",
        "occupation" => "nghề nghiệp",
        "form" => "hình thức",
        "decision_number" => "số quyết định",
        "decision_date" => "ngày quyết định",
        "authority" => "cơ quan quyết định",
        "position" => "chức danh",
        "period_from" => "từ ngày",
        "period_to" | "until" => "đến ngày",
        other => other,
    }
}

impl Column {
    fn of(code: String, field: &Field, form: &Form, codes: &CodeBook) -> Self {
        let check = match form {
            Form::List(list) => Check::List(list.clone()),
            Form::OneOf(words) => Check::Words(words.clone()),
            Form::Unit => Check::Unit,
            Form::PersonalNumber => Check::Exactly(12),
            Form::Text(max) | Form::Name(max) | Form::Code(max) | Form::Term(max) => {
                Check::AtMost(u32::try_from(*max).unwrap_or(u32::MAX))
            }
            _ => Check::Nothing,
        };
        let comment = comment(&code, field, form, codes);
        Self {
            code,
            group: field.group.clone(),
            label_vi: field.label_vi.clone(),
            label_en: field.label_en.clone(),
            required: field.required,
            comment,
            check,
        }
    }
}

/// What it is, what is required, the rule, an example.
fn comment(code: &str, field: &Field, form: &Form, codes: &CodeBook) -> String {
    let required = match field.required {
        Required::Interface => "Bắt buộc: thiếu thì dòng bị loại.",
        Required::Card => "Cần để cấp thẻ; có thể bổ sung sau.",
        Required::No => "Không bắt buộc.",
    };
    let mut text = format!("{}\nMã trường: {code}\n{required}\nQuy tắc: giá trị phải {}.", field.label_vi, rule(form));
    if let Some(example) = example(&field.code, form, codes) {
        text.push_str("\nVí dụ: ");
        text.push_str(&example);
    }
    if field.kind == Kind::Image {
        use std::fmt::Write as _;
        let _ = write!(
            text,
            "\nMột ô chứa tối đa {CELL_CHARACTERS} ký tự, tức ảnh khoảng {} KB; ảnh lớn hơn: để trống, cán bộ bổ sung qua VNeID.",
            CELL_CHARACTERS / 4 * 3 / 1000
        );
    }
    if !field.card_use.is_empty() {
        text.push_str("\nDùng cho thẻ.");
    }
    text
}

fn rule(form: &Form) -> String {
    match form {
        Form::Date(_) => format!("{}; cũng nhận ngày/tháng/năm, ví dụ 02/05/1987", form.demand().0),
        Form::List(_) | Form::Unit => format!("{}; chọn trong danh sách, hoặc chỉ nhập mã", form.demand().0),
        form => form.demand().0,
    }
}

/// An example that is nobody's.
fn example(code: &str, form: &Form, codes: &CodeBook) -> Option<String> {
    let by_code = match code {
        "agency_personnel_number" => "CB-0001",
        "personnel_number" => "0001",
        "old_id_number" => "010000001",
        "place_of_birth" | "hometown" => "01",
        "nationality" => "VN",
        "marital_status" => "2",
        "social_insurance_number" => "0100000001",
        "phone_number" => "0900000001",
        "email" => "can.bo@mau.example",
        "grade_code" | "salary_history_grade" => "01.003",
        "training_major" => "7340404",
        "training_country" => "704",
        _ => "",
    };
    if !by_code.is_empty() && !matches!(form, Form::Name(_)) {
        return Some(by_code.to_owned());
    }
    Some(match form {
        Form::Name(_) => "Nguyễn Văn Mẫu".to_owned(),
        Form::PersonalNumber => "001087000000".to_owned(),
        Form::Unit | Form::Agency => "H26.05".to_owned(),
        Form::Date(_) => "02/05/1987 hoặc 19870502".to_owned(),
        Form::Term(_) => "01/06/2021 - 31/05/2026".to_owned(),
        Form::Decimal { .. } => "4,32".to_owned(),
        Form::Integer(low, _) => low.to_string(),
        Form::Range { width: Some(width), low, .. } => format!("{low:0width$}"),
        Form::Range { width: None, low, .. } => low.to_string(),
        Form::OneOf(words) => words.first()?.clone(),
        Form::List(list) => coded(codes, list, codes.codes(list).first()?),
        _ => return None,
    })
}

/// `01 – Kinh`; a label that is only a placeholder says so.
pub(super) fn coded(codes: &CodeBook, list: &str, code: &str) -> String {
    match codes.label(list, code) {
        Some(label) => format!("{code}{LABEL_SEPARATOR}{label}"),
        None => format!("{code}{LABEL_SEPARATOR}{} (nhãn tạm)", codes.label_or_code(list, code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::intake::Layout;

    #[test]
    fn every_column_can_be_read_and_is_told_of() {
        let (catalogue, codes) = (Catalogue::current(), CodeBook::default());
        let all = columns(catalogue, &codes, &[], 3);
        Layout::of(catalogue, all.iter().map(|column| column.code.as_str())).unwrap();
        for field in catalogue.fields() {
            assert!(all.iter().any(|column| column.code.split('[').next() == Some(&field.code)), "{}", field.code);
        }
        for column in &all {
            assert!(column.comment.contains("Quy tắc") && column.comment.len() < 2_000, "{}", column.comment);
            assert!(label_of(catalogue, &column.code).is_some());
            assert_ne!(group_name(&column.group), column.group);
        }
        let few = columns(catalogue, &codes, &["contact".into()], 1);
        let codes: Vec<_> = few.iter().map(|column| column.code.as_str()).collect();
        assert_eq!(codes[..4], ["agency_personnel_number", "full_name", "managing_unit_code", "using_unit_code"]);
        assert_eq!(few.len(), 4 + 5 + 4);
        Layout::of(catalogue, codes).unwrap();
    }

    #[test]
    fn placeholders_say_that_they_are() {
        let mut codes = CodeBook::default();
        assert_eq!(coded(&codes, "MOHA.CHUCVU", "012"), "012 – Mã 012 (nhãn tạm)");
        codes.load("MOHA.CHUCVU", "012", "Giám đốc Sở");
        assert_eq!(coded(&codes, "MOHA.CHUCVU", "012"), "012 – Giám đốc Sở");
        assert_eq!(coded(&codes, "GSO.DANTOC", "01"), "01 – Kinh");
    }
}
