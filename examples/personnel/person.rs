//! One synthetic person: a row of the personnel file and what the simulated population database knows.

use std::fmt::Write as _;

use officials_card::model::agency::{Agency, agencies};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::words::{
    FAMILY, GIVEN_MEN, GIVEN_WOMEN, JOBS, MIDDLE_MEN, MIDDLE_WOMEN, MINISTRY_UNITS, POSITIONS, PROVINCE_UNITS, SCHOOLS,
    THIRD_LEVEL,
};

/// The columns of the file, in their order.
pub const COLUMNS: [&str; 62] = [
    "agency_personnel_number",
    "record_type",
    "full_name",
    "gender",
    "date_of_birth",
    "personal_id_number",
    "old_id_number",
    "id_issue_date",
    "place_of_birth",
    "hometown",
    "ethnicity",
    "religion",
    "nationality",
    "marital_status",
    "social_insurance_number",
    "permanent_residence",
    "phone_number",
    "email",
    "managing_unit_code",
    "managing_unit_name",
    "using_unit_code",
    "using_unit_name",
    "work_unit_code",
    "first_recruitment_date",
    "recruiting_agency_code",
    "current_agency_join_date",
    "work_history_from[1]",
    "work_history_to[1]",
    "work_history_agency_code[1]",
    "work_history_from[2]",
    "work_history_to[2]",
    "work_history_agency_code[2]",
    "job_position",
    "position_title",
    "full_time_term",
    "grade_code",
    "grade_from_date",
    "salary_step",
    "salary_coefficient",
    "salary_history_from[1]",
    "salary_history_grade[1]",
    "salary_history_step[1]",
    "salary_history_coefficient[1]",
    "general_education_level",
    "highest_professional_level",
    "political_theory_level",
    "state_management_level",
    "defence_security_training",
    "foreign_language[1]",
    "foreign_language_level[1]",
    "it_level[1]",
    "training_from[1]",
    "training_to[1]",
    "training_institution[1]",
    "party_join_date",
    "party_official_date",
    "family_members",
    "assessment_result[1]",
    "assessment_year[1]",
    "employment_status",
    "employment_status_date",
    "portrait_photo",
];

/// A unit of the synthetic register.
pub struct Unit {
    /// Code of Decision 20/2020.
    pub code: String,
    /// Name.
    pub name: String,
}

/// A person's row, cells in the order of [`COLUMNS`].
pub struct Person {
    /// The cells.
    pub cells: Vec<String>,
    /// Family, middle and given name.
    pub name: [&'static str; 3],
    /// Whether the person is a woman.
    pub woman: bool,
    /// `yyyyMMdd`.
    pub born: String,
}

impl Person {
    /// A cell by its column.
    pub fn cell(&mut self, column: &str) -> &mut String {
        let at = COLUMNS.iter().position(|name| *name == column).expect("the column is in the list");
        &mut self.cells[at]
    }
}

/// Level-1 bodies that people are put under: those in force with a code.
pub fn bodies() -> Vec<&'static Agency> {
    agencies().all().iter().filter(|agency| agency.code.is_some() && agency.valid_to.is_none()).collect()
}

/// Every unit of levels 2 and 3, parents first.
pub fn units() -> Vec<Unit> {
    let mut units = Vec::new();
    for (code, body) in bodies().into_iter().filter_map(|body| Some((body.code.as_deref()?, body))) {
        for (at, name) in second_level(body).iter().enumerate() {
            units.push(Unit { code: format!("{code}.{:02}", at + 1), name: format!("{name} - {}", body.name_vi) });
        }
    }
    let second = units.len();
    for at in 0..second {
        for (third, name) in THIRD_LEVEL.iter().enumerate() {
            let (code, above) = (&units[at].code, units[at].name.split(" - ").next().unwrap_or_default());
            let unit = Unit { code: format!("{code}.{:02}", third + 1), name: format!("{name}, {above}") };
            units.push(unit);
        }
    }
    units
}

fn second_level(body: &Agency) -> &'static [&'static str] {
    if body.kind == "province" { &PROVINCE_UNITS } else { &MINISTRY_UNITS }
}

/// Draws people. Person `number` of a seed is the same whatever the count.
pub struct Town {
    seed: u64,
    bodies: Vec<&'static Agency>,
    birthplaces: Vec<&'static str>,
}

impl Town {
    /// A town of this seed.
    pub fn new(seed: u64) -> Self {
        let birthplaces = agencies().all().iter().filter_map(|agency| agency.birthplace_code.as_deref()).collect();
        Self { seed, bodies: bodies(), birthplaces }
    }

    /// The dice of person `number`.
    pub fn dice(&self, number: u64) -> Dice {
        Dice(ChaCha8Rng::seed_from_u64(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number))
    }

    /// Person `number`, with `portrait` in Base64 (empty for none).
    pub fn person(&self, number: u64, dice: &mut Dice, portrait: String) -> Person {
        let woman = dice.below(100) < 47;
        let family = dice.weighted(&FAMILY);
        let (middle, given) = if woman {
            (dice.one(&MIDDLE_WOMEN), dice.one(&GIVEN_WOMEN))
        } else {
            (dice.one(&MIDDLE_MEN), dice.one(&GIVEN_MEN))
        };
        // Four residues of the birth year keep the serials of four million people apart.
        let year = 1965 + dice.below(9) * 4 + u32::try_from(number / 1_000_000 % 4).unwrap_or_default();
        let born = dice.day_of(year);
        let birthplace = dice.one(&self.birthplaces);
        let serial = (number % 1_000_000 * 786_433 + self.seed % 1_000_000) % 1_000_000;
        let century = (year / 100 - 19) * 2 + u32::from(woman);
        let number_of_person = format!("{birthplace}{century}{:02}{serial:06}", year % 100);

        let body = dice.one(&self.bodies);
        let body_code = body.code.as_deref().unwrap_or_default();
        let second = second_level(body);
        let unit_at = dice.below(u32::try_from(second.len()).unwrap_or(1)) as usize;
        let unit_code = format!("{body_code}.{:02}", unit_at + 1);
        let (kind, grade, coefficient) = [
            ("01", "01.003", 234),
            ("01", "01.002", 440),
            ("02", "06.031", 234),
            ("00", "01.001", 620),
            ("03", "01.004", 186),
            ("06", "01.005", 165),
        ][dice.weighted_index(&[40, 12, 36, 3, 6, 3])];
        let recruited = (year + 22 + dice.below(8)).min(2020);
        let moved = (recruited + 2 + dice.below(6)).min(2024);
        let step = 1 + dice.below(6);
        let coefficient = coefficient + step * 33;
        let coefficient = format!("{}.{:02}", coefficient / 100, coefficient % 100);
        let position = if dice.below(8) == 0 { dice.one(&POSITIONS).0 } else { "" };
        let party = dice.below(3) == 0;
        let status = ["active", "seconded", "suspended", "retired"][dice.weighted_index(&[94, 3, 1, 2])];

        let mut cells = Vec::with_capacity(COLUMNS.len());
        let mut put = |text: String| cells.push(text);
        put(format!("{body_code}-{number:07}"));
        put(kind.into());
        put(format!("{family} {middle} {given}"));
        put(if woman { "2" } else { "1" }.into());
        put(born.clone());
        put(number_of_person);
        put(if dice.below(3) == 0 { format!("{:09}", 10_000_000 + number) } else { String::new() });
        let issued = 2021 + dice.below(2);
        put(dice.day_of(issued));
        put(birthplace[1..].into());
        put(birthplace[1..].into());
        put(dice.weighted(&[("01", 85), ("02", 3), ("03", 3), ("06", 3), ("08", 2), ("12", 2), ("17", 2)]).into());
        put(dice.weighted(&[("00", 85), ("01", 9), ("02", 6)]).into());
        put("VN".into());
        put(dice.weighted(&[("1", 30), ("2", 70)]).into());
        put(format!("{:010}", 100_000_000 + number));
        put(format!("Tổ {}, phường mẫu số {}", 1 + dice.below(40), 1 + dice.below(12)));
        put(format!("09{:08}", number % 100_000_000));
        put(format!("can.bo.{number}@mau.example"));
        put(body_code.into());
        put(body.name_vi.clone());
        put(unit_code.clone());
        put(second[unit_at].into());
        put(format!("{unit_code}.{:02}", 1 + dice.below(3)));
        put(dice.partial(recruited));
        put(body_code.into());
        put(moved.to_string());
        put(dice.month_of(recruited));
        put(moved.to_string());
        put(body_code.into());
        put(moved.to_string());
        put(String::new());
        put(unit_code);
        put(dice.one(&JOBS).0.into());
        put(position.into());
        put(if kind == "00" { "2021-2026" } else { "" }.into());
        put(grade.into());
        put(dice.partial(moved));
        put(step.to_string());
        put(coefficient.clone());
        put(dice.month_of(moved));
        put(grade.into());
        put(step.to_string());
        put(coefficient);
        put("12".into());
        put(format!("{:02}", dice.below(10)));
        put(format!("{:02}", dice.below(5)));
        put(format!("{:02}", dice.below(5)));
        put(dice.below(2).to_string());
        put("01".into());
        put(format!("{:02}", dice.below(11)));
        put(format!("{:02}", dice.below(4)));
        put((year + 18).to_string());
        put((year + 22).to_string());
        put(dice.one(&SCHOOLS).into());
        put(if party { (recruited + 3).to_string() } else { String::new() });
        put(if party { (recruited + 4).to_string() } else { String::new() });
        put(if dice.below(4) == 0 { relatives(dice, year) } else { String::new() });
        put(format!("{:02}", dice.below(4)));
        put("2024".into());
        put(status.into());
        put(dice.day_of(2024));
        put(portrait);
        Person { cells, name: [family, middle, given], woman, born }
    }
}

fn relatives(dice: &mut Dice, year: u32) -> String {
    let mut json = String::new();
    let (family, given) = (dice.weighted(&FAMILY), dice.one(&GIVEN_MEN));
    let _ = write!(json, r#"[{{"relation":"01","full_name":"{family} Văn {given}","birth_year":"{}"}}]"#, year - 27);
    json
}

/// Repeatable dice.
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// 0 up to but not including `end`.
    pub fn below(&mut self, end: u32) -> u32 {
        u32::try_from((u64::from(self.0.next_u32()) * u64::from(end)) >> 32).unwrap_or_default()
    }

    /// One of a few.
    pub fn one<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(u32::try_from(all.len()).unwrap_or(1)) as usize]
    }

    /// The place of one, by weight.
    pub fn weighted_index(&mut self, weights: &[u32]) -> usize {
        let mut left = self.below(weights.iter().sum());
        for (at, weight) in weights.iter().enumerate() {
            if left < *weight {
                return at;
            }
            left -= weight;
        }
        0
    }

    fn weighted(&mut self, all: &[(&'static str, u32)]) -> &'static str {
        let mut left = self.below(all.iter().map(|(_, weight)| weight).sum());
        for (word, weight) in all {
            if left < *weight {
                return word;
            }
            left -= weight;
        }
        all[0].0
    }

    fn day_of(&mut self, year: u32) -> String {
        format!("{year}{:02}{:02}", 1 + self.below(12), 1 + self.below(28))
    }

    fn month_of(&mut self, year: u32) -> String {
        format!("{year}{:02}", 1 + self.below(12))
    }

    /// A year, a month or a day.
    fn partial(&mut self, year: u32) -> String {
        match self.below(3) {
            0 => year.to_string(),
            1 => self.month_of(year),
            _ => self.day_of(year),
        }
    }
}
