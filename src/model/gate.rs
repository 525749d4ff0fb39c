//! A gate: whom it lets in. Its policy is a pure rule over what a card says; it travels signed to the checkpoints that
//! stand there (`credential::gate`).

use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use crate::clock::UnixSeconds;
use crate::model::unit::is_within;

/// Most agencies that a policy names.
pub const MAX_AGENCIES: usize = 64;
/// Most people on duty that a policy names: a shift of the largest building, and a document of some 80 KiB.
pub const MAX_DUTY: usize = 2_000;
/// Longest name of a gate, in characters.
pub const MAX_NAME: usize = 120;
/// Longest time that a duty entry reaches from its beginning, in seconds: a month of shifts.
pub const MAX_DUTY_SECONDS: i64 = 31 * 86_400;

/// Steps of the ladder of positions, from the lowest. A word matches a title that begins with it, and of several the
/// longest decides, so `chuyên viên chính` is not taken for `chuyên viên`.
///
/// **Our derivation, nothing official.** No public list ranks positions: the Ministry's position codes were published
/// without labels, and Decision 78/2004's grades rank pay, not authority. The order follows how Vietnamese bodies are
/// built: staff, then heads of divisions, departments and bodies, deputies a step below their heads.
const LADDER: [(&str, &[&str]); 10] = [
    ("nhan-vien", &["nhân viên", "cán sự", "lái xe", "bảo vệ", "văn thư", "kỹ thuật viên"]),
    (
        "chuyen-vien",
        &["chuyên viên", "kế toán viên", "thanh tra viên", "kiểm soát viên", "giáo viên", "giảng viên", "bác sĩ"],
    ),
    (
        "chuyen-vien-chinh",
        &["chuyên viên chính", "thanh tra viên chính", "kế toán viên chính", "giảng viên chính", "bác sĩ chính"],
    ),
    (
        "chuyen-vien-cao-cap",
        &[
            "chuyên viên cao cấp",
            "thanh tra viên cao cấp",
            "kế toán viên cao cấp",
            "giảng viên cao cấp",
            "bác sĩ cao cấp",
        ],
    ),
    (
        "pho-truong-phong",
        &[
            "phó trưởng phòng",
            "phó phòng",
            "phó trưởng ban",
            "phó trưởng khoa",
            "phó hiệu trưởng",
            "phó chủ tịch ủy ban nhân dân xã",
            "phó chủ tịch ủy ban nhân dân phường",
            "phó chủ tịch ủy ban nhân dân đặc khu",
            "phó chủ tịch ubnd xã",
            "phó chủ tịch ubnd phường",
            "phó chủ tịch ubnd đặc khu",
            "phó chủ tịch hội đồng nhân dân xã",
            "phó chủ tịch hội đồng nhân dân phường",
            "phó chủ tịch hội đồng nhân dân đặc khu",
            "phó chủ tịch hđnd xã",
            "phó chủ tịch hđnd phường",
            "phó chủ tịch hđnd đặc khu",
        ],
    ),
    (
        "truong-phong",
        &[
            "trưởng phòng",
            "trưởng ban",
            "trưởng khoa",
            "hiệu trưởng",
            "kế toán trưởng",
            "chủ tịch ủy ban nhân dân xã",
            "chủ tịch ủy ban nhân dân phường",
            "chủ tịch ủy ban nhân dân đặc khu",
            "chủ tịch ubnd xã",
            "chủ tịch ubnd phường",
            "chủ tịch ubnd đặc khu",
            "chủ tịch hội đồng nhân dân xã",
            "chủ tịch hội đồng nhân dân phường",
            "chủ tịch hội đồng nhân dân đặc khu",
            "chủ tịch hđnd xã",
            "chủ tịch hđnd phường",
            "chủ tịch hđnd đặc khu",
        ],
    ),
    (
        "pho-giam-doc",
        &[
            "phó giám đốc",
            "phó cục trưởng",
            "phó vụ trưởng",
            "phó chánh văn phòng",
            "phó chánh thanh tra",
            "phó viện trưởng",
        ],
    ),
    ("giam-doc", &["giám đốc", "cục trưởng", "vụ trưởng", "chánh văn phòng", "chánh thanh tra", "viện trưởng"]),
    (
        "thu-truong",
        &[
            "thứ trưởng",
            "phó tổng kiểm toán",
            "phó tổng thanh tra",
            "phó chủ tịch ủy ban nhân dân",
            "phó chủ tịch ubnd",
            "phó chủ tịch hội đồng nhân dân",
            "phó chủ tịch hđnd",
        ],
    ),
    (
        "bo-truong",
        &[
            "bộ trưởng",
            "tổng kiểm toán",
            "tổng thanh tra",
            "phó thủ tướng",
            "thủ tướng",
            "chủ tịch nước",
            "chủ tịch quốc hội",
            "chủ tịch ủy ban nhân dân",
            "chủ tịch ubnd",
            "chủ tịch hội đồng nhân dân",
            "chủ tịch hđnd",
        ],
    ),
];

/// A step of the ladder of positions; a higher one is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u8);

impl Position {
    /// From the name of a step, for example `truong-phong`.
    pub fn named(name: &str) -> Option<Self> {
        Self::at(LADDER.iter().position(|(step, _)| *step == name)? + 1)
    }

    /// From its number, 1 to 10.
    pub fn numbered(number: i64) -> Option<Self> {
        usize::try_from(number).ok().filter(|number| (1..=LADDER.len()).contains(number)).and_then(Self::at)
    }

    /// Of a title as cards carry it: `Trưởng phòng Tổ chức` is a `truong-phong`. `None` when no step knows the title.
    pub fn of_title(title: &str) -> Option<Self> {
        let title = title.trim().nfc().collect::<String>().to_lowercase();
        let begins = |word: &str| {
            title.strip_prefix(word).is_some_and(|rest| rest.chars().next().is_none_or(|next| !next.is_alphanumeric()))
        };
        let steps = LADDER.iter().enumerate();
        let matches = steps
            .flat_map(|(at, (_, words))| words.iter().filter(|word| begins(word)).map(move |word| (word.len(), at)));
        matches.max().and_then(|(_, at)| Self::at(at + 1))
    }

    /// Its number.
    pub fn number(self) -> u8 {
        self.0
    }

    /// The name of its step.
    pub fn name(self) -> &'static str {
        LADDER[usize::from(self.0) - 1].0
    }

    /// The names of all steps, from the lowest.
    pub fn names() -> impl Iterator<Item = &'static str> {
        LADDER.iter().map(|(name, _)| *name)
    }

    fn at(number: usize) -> Option<Self> {
        u8::try_from(number).ok().map(Self)
    }
}

/// Who is on duty when. Cards stand in it as [`Duty::mark`], under the gate's own salt: the list that lies in a browser
/// names nobody, and two gates' lists cannot be laid on each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Duty {
    /// The gate's salt.
    pub salt: Vec<u8>,
    /// Mark, from when, until when; in the order of the marks.
    pub entries: Vec<([u8; 12], UnixSeconds, UnixSeconds)>,
}

impl Duty {
    /// What stands for a card's handle.
    pub fn mark(salt: &[u8], handle: &str) -> [u8; 12] {
        let mut digest = Sha256::new();
        digest.update(b"vn-officials-card/duty/1");
        digest.update((salt.len() as u64).to_be_bytes());
        digest.update(salt);
        digest.update(handle);
        let mut mark = [0; 12];
        mark.copy_from_slice(&digest.finalize()[..12]);
        mark
    }

    /// Whether the card's holder is on duty at `at`.
    pub fn holds(&self, handle: &str, at: UnixSeconds) -> bool {
        let mark = Self::mark(&self.salt, handle);
        self.entries.iter().any(|(entry, from, until)| *entry == mark && (*from..*until).contains(&at))
    }
}

/// Whom a gate lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatePolicy {
    /// Agencies, each with all below it; none means every agency.
    pub agencies: Vec<String>,
    /// The lowest position.
    pub minimum_position: Option<Position>,
    /// Only people on duty.
    pub duty: Option<Duty>,
    /// The holder must type the checker's digits: a printed copy cannot.
    pub challenge_required: bool,
    /// Printed badges are accepted (and the face is compared).
    pub copies_accepted: bool,
}

impl Default for GatePolicy {
    /// Everybody.
    fn default() -> Self {
        Self {
            agencies: Vec::new(),
            minimum_position: None,
            duty: None,
            challenge_required: false,
            copies_accepted: true,
        }
    }
}

/// What a card says that a gate looks at.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// The card's handle.
    pub handle: Option<&'a str>,
    /// The agency's code.
    pub agency_code: Option<&'a str>,
    /// The position or title.
    pub position: Option<&'a str>,
    /// It is a printed copy.
    pub is_copy: bool,
    /// The holder answered a challenge.
    pub is_challenged: bool,
}

/// Why a gate does not let a valid card in by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Printed copies are not accepted here.
    CopyNotAccepted,
    /// The holder was not asked to type the checker's digits.
    ChallengeRequired,
    /// The card names no agency.
    AgencyUnknown,
    /// The gate is for other agencies.
    OutsideGate,
    /// The card's position stands on no step of the ladder.
    PositionUnknown,
    /// The position is below the gate's.
    PositionBelowGate,
    /// Not on duty now.
    NotOnDuty,
}

impl GatePolicy {
    /// A gate for one agency and all below it.
    pub fn of_agency(code: &str) -> Self {
        Self { agencies: vec![code.to_owned()], ..Self::default() }
    }

    /// The first doubt, in a fixed order.
    pub fn judge(&self, shown: &Shown<'_>, now: UnixSeconds) -> Result<(), Doubt> {
        if shown.is_copy && !self.copies_accepted {
            return Err(Doubt::CopyNotAccepted);
        }
        if self.challenge_required && !shown.is_challenged {
            return Err(Doubt::ChallengeRequired);
        }
        if !self.agencies.is_empty() {
            let code = shown.agency_code.ok_or(Doubt::AgencyUnknown)?;
            if !self.agencies.iter().any(|scope| agency_is_within(code, scope)) {
                return Err(Doubt::OutsideGate);
            }
        }
        if let Some(minimum) = self.minimum_position {
            let position = shown.position.and_then(Position::of_title).ok_or(Doubt::PositionUnknown)?;
            if position < minimum {
                return Err(Doubt::PositionBelowGate);
            }
        }
        match &self.duty {
            Some(duty) if !shown.handle.is_some_and(|handle| duty.holds(handle, now)) => Err(Doubt::NotOnDuty),
            _ => Ok(()),
        }
    }
}

/// Whether an agency code stands at or below `scope` (Decision 20/2020/QĐ-TTg: levels separated by dots): `H26` holds
/// `H26.05` but not `H261`. The empty scope holds all, and no agency at all.
pub fn agency_is_within(agency_code: &str, scope: &str) -> bool {
    scope.is_empty() || is_within(agency_code, scope)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: Shown<'_> = Shown {
        handle: Some("7Q2M8K3D5N9R1T4V"),
        agency_code: Some("H26.05"),
        position: Some("Trưởng phòng Tổ chức"),
        is_copy: false,
        is_challenged: false,
    };

    #[test]
    fn titles_find_their_step() {
        for (title, step) in [
            ("Chuyên viên", Some("chuyen-vien")),
            ("CHUYÊN VIÊN CHÍNH", Some("chuyen-vien-chinh")),
            ("Phó Trưởng phòng", Some("pho-truong-phong")),
            ("Trưởng phòng Tổ chức", Some("truong-phong")),
            ("Phó Chủ tịch UBND tỉnh", Some("thu-truong")),
            ("Phó Chủ tịch Ủy ban nhân dân xã", Some("pho-truong-phong")),
            ("Chủ tịch công đoàn", None),
            ("Chủ tịch Ủy ban nhân dân xã Hoa Sơn", Some("truong-phong")),
            ("Chuyên viênX", None),
            ("Kỵ sĩ", None),
            ("", None),
        ] {
            assert_eq!(Position::of_title(title).map(Position::name), step, "{title}");
        }
        assert!(Position::names().all(|name| Position::named(name).unwrap().name() == name));
        assert!(Position::named("truong-phong") > Position::named("chuyen-vien"));
        assert_eq!(Position::numbered(0), None);
        assert_eq!(Position::numbered(11), None);
    }

    #[test]
    fn a_gate_doubts_in_a_fixed_order() {
        let gate = GatePolicy {
            agencies: vec!["G01".into(), "H26".into()],
            minimum_position: Position::named("truong-phong"),
            duty: Some(Duty { salt: vec![1], entries: vec![(Duty::mark(&[1], "7Q2M8K3D5N9R1T4V"), 100, 200)] }),
            challenge_required: true,
            copies_accepted: false,
        };
        let fine = Shown { is_challenged: true, ..CARD };
        assert_eq!(gate.judge(&fine, 100), Ok(()));
        assert_eq!(gate.judge(&fine, 200), Err(Doubt::NotOnDuty));
        assert_eq!(gate.judge(&Shown { handle: Some("7Q2M8K3D5N9R1T4W"), ..fine }, 100), Err(Doubt::NotOnDuty));
        assert_eq!(gate.judge(&Shown { position: Some("Chuyên viên"), ..fine }, 100), Err(Doubt::PositionBelowGate));
        assert_eq!(gate.judge(&Shown { position: Some("Kỵ sĩ"), ..fine }, 100), Err(Doubt::PositionUnknown));
        assert_eq!(gate.judge(&Shown { agency_code: Some("H261"), ..fine }, 100), Err(Doubt::OutsideGate));
        assert_eq!(gate.judge(&Shown { agency_code: None, ..fine }, 100), Err(Doubt::AgencyUnknown));
        assert_eq!(gate.judge(&CARD, 100), Err(Doubt::ChallengeRequired));
        assert_eq!(gate.judge(&Shown { is_copy: true, ..CARD }, 100), Err(Doubt::CopyNotAccepted));
        assert_eq!(GatePolicy::default().judge(&Shown { is_copy: true, ..CARD }, 0), Ok(()));
    }

    #[test]
    fn marks_of_two_gates_differ() {
        assert_ne!(Duty::mark(&[1], "A"), Duty::mark(&[2], "A"));
        assert_ne!(Duty::mark(&[1, 65], "A"), Duty::mark(&[1], "AA"));
    }
}
