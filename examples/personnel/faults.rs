//! Everything that goes wrong in real files, done on purpose: one fault a row, in turn, so that a few dozen bad rows
//! have every kind.

use crate::person::Person;

/// How a row is spoilt.
#[derive(Clone, Copy)]
pub enum Spoil {
    /// This column says this instead.
    Cell(&'static str, &'static str),
    /// The row has a cell too many.
    Width,
    /// The row is not UTF-8.
    Encoding,
}

/// Every kind of fault.
pub const KINDS: [Spoil; 38] = [
    Spoil::Cell("agency_personnel_number", ""),
    Spoil::Cell("full_name", ""),
    Spoil::Cell("managing_unit_code", ""),
    Spoil::Cell("using_unit_code", ""),
    Spoil::Cell("full_name", "Nguyễn Văn 4n"),
    Spoil::Cell("full_name", "Nguyễn\u{200b} Văn An"),
    Spoil::Cell("personal_id_number", "00109900001"),
    Spoil::Cell("personal_id_number", "003099000017"),
    Spoil::Cell("personal_id_number", "1,09900E+11"),
    Spoil::Cell("old_id_number", "12345678"),
    Spoil::Cell("date_of_birth", "19870230"),
    Spoil::Cell("date_of_birth", "05/13/1987"),
    Spoil::Cell("id_issue_date", "2021"),
    Spoil::Cell("id_issue_date", "19500101"),
    Spoil::Cell("managing_unit_code", "H99"),
    Spoil::Cell("managing_unit_code", "H06"),
    Spoil::Cell("using_unit_code", "h26.05"),
    Spoil::Cell("using_unit_code", "H26.99"),
    Spoil::Cell("record_type", "10"),
    Spoil::Cell("gender", "Nam"),
    Spoil::Cell("ethnicity", "56"),
    Spoil::Cell("nationality", "Việt Nam"),
    Spoil::Cell("social_insurance_number", "123"),
    Spoil::Cell("phone_number", "12345"),
    Spoil::Cell("email", "can.bo.mau.example"),
    Spoil::Cell("job_position", "vị trí 1"),
    Spoil::Cell("grade_code", "1.003"),
    Spoil::Cell("salary_step", "13"),
    Spoil::Cell("salary_coefficient", "13.50"),
    Spoil::Cell("salary_coefficient", "2.345"),
    Spoil::Cell("work_history_to[1]", "1980"),
    Spoil::Cell("party_official_date", "1970"),
    Spoil::Cell("assessment_year[1]", "20x4"),
    Spoil::Cell("employment_status", "đang làm việc"),
    Spoil::Cell("family_members", "bố, mẹ"),
    Spoil::Cell("portrait_photo", "iVBORw0KGgo="),
    Spoil::Width,
    Spoil::Encoding,
];

impl Spoil {
    /// Spoils the cells; what concerns the whole row is left to the writer of the file.
    pub fn apply(self, person: &mut Person) {
        if let Self::Cell(column, text) = self {
            text.clone_into(person.cell(column));
        }
        if let Self::Cell("party_official_date", _) = self {
            "1990".clone_into(person.cell("party_join_date"));
        }
    }
}
