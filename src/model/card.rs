//! The card: what it says, its number, its states and the steps between them (domain dossier, section 2: Decision
//! 06/2008/QĐ-BNV, Decision 838/QĐ-BNV, draft circular of December 2023).

use serde::{Deserialize, Serialize};
use time::Date;

use crate::clock::UnixSeconds;
use crate::error::Refusal;
use crate::model::id::{Handle, PersonalNumber};
use crate::model::unit::UnitCode;

/// The kind of personnel, which is the last part of the card number (Decision 838/QĐ-BNV).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CardType {
    /// Cán bộ: cadre.
    #[serde(rename = "CB")]
    Cadre,
    /// Công chức: civil servant.
    #[serde(rename = "CC")]
    CivilServant,
    /// Viên chức: public employee.
    #[serde(rename = "VC")]
    PublicEmployee,
    /// Cán bộ, công chức cấp xã: commune cadre or civil servant.
    #[serde(rename = "XA")]
    Commune,
    /// Người hoạt động không chuyên trách ở cấp xã: part-time commune worker.
    #[serde(rename = "XA0")]
    CommunePartTime,
    /// Hợp đồng lao động và khác: contract labour and others.
    #[serde(rename = "HĐ")]
    Contract,
}

impl CardType {
    /// All six.
    pub const ALL: [Self; 6] =
        [Self::Cadre, Self::CivilServant, Self::PublicEmployee, Self::Commune, Self::CommunePartTime, Self::Contract];

    /// The suffix of the card number, in NFC.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Cadre => "CB",
            Self::CivilServant => "CC",
            Self::PublicEmployee => "VC",
            Self::Commune => "XA",
            Self::CommunePartTime => "XA0",
            Self::Contract => "HĐ",
        }
    }

    /// From the suffix.
    pub fn parse(suffix: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.suffix() == suffix)
    }
}

/// An agency or unit as the card names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgencyName {
    /// Identifier of Decision 20/2020/QĐ-TTg, for example `H26.05`.
    pub code: String,
    /// Vietnamese name, NFC.
    pub name: String,
}

/// What the card says about its holder: the approved facts of one verified record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardFacts {
    /// Personal identification number.
    pub personal_id_number: PersonalNumber,
    /// Birth name, NFC.
    pub full_name: String,
    /// Date of birth.
    pub date_of_birth: Date,
    /// Gender as the Vietnamese word that the population database gives (`Nam`, `Nữ`), when known.
    pub gender: Option<String>,
    /// The managing body.
    pub managing_agency: AgencyName,
    /// The employing body.
    pub employing_agency: AgencyName,
    /// Position or title held.
    pub position_title: Option<String>,
    /// Job position.
    pub job_position: Option<String>,
    /// Kind of personnel.
    pub record_type: CardType,
    /// Portrait, JPEG.
    pub portrait: Option<Vec<u8>>,
    /// Last day of the term or contract, when the record has one.
    pub term_ends: Option<Date>,
}

impl CardFacts {
    /// `[agency].[personal number].[type]` (Decision 838/QĐ-BNV): contains the personal number, so it is only ever a
    /// disclosable claim.
    pub fn card_number(&self) -> String {
        format!("{}.{}.{}", self.managing_agency.code, self.personal_id_number.expose(), self.record_type.suffix())
    }

    /// Why a card that says this has to be replaced by one that says `new`; `None` when both say the same (Decision
    /// 06/2008/QĐ-BNV: another agency or unit, another position, title or post; domain dossier 2.4: other data).
    pub fn change_to(&self, new: &Self) -> Option<Reason> {
        if self == new {
            None
        } else if self.managing_agency.code != new.managing_agency.code
            || self.employing_agency.code != new.employing_agency.code
        {
            Some(Reason::Transferred)
        } else if (&self.position_title, &self.job_position, self.record_type)
            != (&new.position_title, &new.job_position, new.record_type)
        {
            Some(Reason::PositionChanged)
        } else {
            Some(Reason::DataChanged)
        }
    }

    /// The number with all but the last three digits of its middle part masked: what may be shown.
    pub fn masked_card_number(&self) -> String {
        format!("{}.{}.{}", self.managing_agency.code, self.personal_id_number.masked(), self.record_type.suffix())
    }
}

/// Why a card is locked, unlocked, withdrawn or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The device or card is lost.
    Lost,
    /// The device or card is stolen.
    Stolen,
    /// The holder changes devices.
    DeviceChange,
    /// A discrepancy in the data is under review.
    UnderReview,
    /// It was found again.
    Found,
    /// The review found nothing wrong.
    Cleared,
    /// The holder resigned.
    Resigned,
    /// The holder was dismissed.
    Dismissed,
    /// The holder moved to another agency or unit.
    Transferred,
    /// The holder's position, title or post changed.
    PositionChanged,
    /// The holder retired.
    Retired,
    /// The holder died.
    Deceased,
    /// Name, personal number or portrait changed.
    DataChanged,
    /// The card is damaged.
    Damaged,
    /// The card was issued by mistake.
    IssuedInError,
}

impl Reason {
    /// Every reason, in the order of the documentation.
    pub const ALL: [Self; 15] = [
        Self::Lost,
        Self::Stolen,
        Self::DeviceChange,
        Self::UnderReview,
        Self::Found,
        Self::Cleared,
        Self::Resigned,
        Self::Dismissed,
        Self::Transferred,
        Self::PositionChanged,
        Self::Retired,
        Self::Deceased,
        Self::DataChanged,
        Self::Damaged,
        Self::IssuedInError,
    ];

    /// Whether the person stays who they are and only what the card says about them changed.
    pub fn is_change_of_facts(self) -> bool {
        matches!(self, Self::Transferred | Self::PositionChanged | Self::DataChanged)
    }

    /// The code on the wire, for example `position_changed`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Stolen => "stolen",
            Self::DeviceChange => "device_change",
            Self::UnderReview => "under_review",
            Self::Found => "found",
            Self::Cleared => "cleared",
            Self::Resigned => "resigned",
            Self::Dismissed => "dismissed",
            Self::Transferred => "transferred",
            Self::PositionChanged => "position_changed",
            Self::Retired => "retired",
            Self::Deceased => "deceased",
            Self::DataChanged => "data_changed",
            Self::Damaged => "damaged",
            Self::IssuedInError => "issued_in_error",
        }
    }

    /// From the code.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// Reasons after which the same version of a record makes no further card, whatever it still says: a new card needs a
    /// newer version that the unit has confirmed. Who resigned, retired or moved gets none either, once the unit's record
    /// says so; who was dismissed may be in a hurry.
    pub const ENDING: [Self; 2] = [Self::Dismissed, Self::Deceased];

    /// The steps that this reason can stand for.
    fn steps(self) -> &'static [Step] {
        match self {
            Self::Lost | Self::Stolen => &[Step::Lock, Step::Withdraw, Step::Replace],
            Self::Damaged | Self::DataChanged | Self::PositionChanged | Self::Transferred => {
                &[Step::Withdraw, Step::Replace]
            }
            Self::DeviceChange | Self::UnderReview => &[Step::Lock],
            Self::Found | Self::Cleared => &[Step::Unlock],
            _ => &[Step::Withdraw],
        }
    }
}

/// A step that somebody takes on a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Active to locked.
    Lock,
    /// Locked to active.
    Unlock,
    /// Active or locked to withdrawn, for ever.
    Withdraw,
    /// Withdrawn, and a new card in its place.
    Replace,
}

impl Step {
    /// The past participle for messages and the audit line.
    pub fn done(self) -> &'static str {
        match self {
            Self::Lock => "locked",
            Self::Unlock => "unlocked",
            Self::Withdraw => "withdrawn",
            Self::Replace => "replaced",
        }
    }

    /// The states that the step leads from, and the one that it leads to.
    pub fn moves(self) -> (&'static [StateName], StateName) {
        match self {
            Self::Lock => (&[StateName::Active], StateName::Locked),
            Self::Unlock => (&[StateName::Locked], StateName::Active),
            Self::Withdraw | Self::Replace => (&[StateName::Active, StateName::Locked], StateName::Withdrawn),
        }
    }

    /// Whether `reason` can stand for this step.
    pub fn accepts(self, reason: Reason) -> Result<(), Refusal> {
        if reason.steps().contains(&self) {
            return Ok(());
        }
        let accepted: Vec<_> =
            Reason::ALL.into_iter().filter(|reason| reason.steps().contains(&self)).map(Reason::code).collect();
        Err(Refusal::malformed(
            "reason",
            format!("must be one of {} for a card to be {}", accepted.join(", "), self.done()),
        ))
    }
}

/// The name of a state, as stored and as the status list tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum StateName {
    /// In force.
    Active,
    /// Not to be accepted for now.
    Locked,
    /// Never to be accepted again.
    Withdrawn,
    /// Its term is over.
    Expired,
}

impl StateName {
    /// The word stored and shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Locked => "locked",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
        }
    }

    /// From the word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Active, Self::Locked, Self::Withdrawn, Self::Expired].into_iter().find(|state| state.word() == word)
    }

    /// The value in a Token Status List: 0 VALID, 1 INVALID, 2 SUSPENDED.
    pub fn status(self) -> u8 {
        match self {
            Self::Active => 0,
            Self::Withdrawn | Self::Expired => 1,
            Self::Locked => 2,
        }
    }
}

/// A state with its facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// In force.
    Active,
    /// Not to be accepted for now.
    Locked {
        /// Since when.
        at: UnixSeconds,
        /// Why.
        reason: Reason,
    },
    /// Never to be accepted again.
    Withdrawn {
        /// Since when.
        at: UnixSeconds,
        /// Why.
        reason: Reason,
    },
    /// The term ended.
    Expired {
        /// Since when.
        at: UnixSeconds,
    },
}

impl State {
    /// Its name.
    pub fn name(&self) -> StateName {
        match self {
            Self::Active => StateName::Active,
            Self::Locked { .. } => StateName::Locked,
            Self::Withdrawn { .. } => StateName::Withdrawn,
            Self::Expired { .. } => StateName::Expired,
        }
    }
}

/// One card of one person: every credential issued for it shares its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Its random public name.
    pub handle: Handle,
    /// The record that it was made from.
    pub record: Handle,
    /// The version of that record.
    pub record_version: i64,
    /// The employing unit's code.
    pub unit: String,
    /// The number with its middle part masked.
    pub masked_number: String,
    /// When it was created.
    pub created_at: UnixSeconds,
    /// The instant from which it is expired.
    pub valid_until: UnixSeconds,
    /// The stored state.
    pub state: State,
    /// The card that took its place.
    pub replaced_by: Option<Handle>,
}

impl Card {
    /// The state at `now`: a card whose term is over is expired, whether or not the sweep has noted it, unless it was
    /// withdrawn before.
    pub fn state_at(&self, now: UnixSeconds) -> State {
        match &self.state {
            State::Active | State::Locked { .. } if now >= self.valid_until => State::Expired { at: self.valid_until },
            state => state.clone(),
        }
    }

    /// Whether the card may be replaced at `now`. One that is locked waits for its review, unless it is gone for good.
    pub fn may_be_replaced(&self, reason: Reason, now: UnixSeconds) -> Result<(), Refusal> {
        self.may(Step::Replace, now)?;
        match self.state_at(now) {
            State::Locked { .. } if !matches!(reason, Reason::Lost | Reason::Stolen) => {
                Err(Refusal::CardState { state: StateName::Locked.word(), action: Step::Replace.done() })
            }
            _ => Ok(()),
        }
    }

    /// Whether `step` may be taken at `now`.
    pub fn may(&self, step: Step, now: UnixSeconds) -> Result<(), Refusal> {
        let state = self.state_at(now).name();
        if step.moves().0.contains(&state) {
            Ok(())
        } else {
            Err(Refusal::CardState { state: state.word(), action: step.done() })
        }
    }
}

/// Whose cards are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// One card.
    Card(Handle),
    /// All cards of one person.
    Person(PersonalNumber),
    /// All cards made from one record.
    Record(Handle),
    /// All cards of a unit and of all units below it.
    Unit(UnitCode),
}

/// What a mass change did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// The cards that changed.
    pub cards: Vec<Handle>,
    /// Credentials whose status changed with them.
    pub credentials: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(state: State) -> Card {
        let chance = crate::chance::Chance::seeded([1; 32]);
        Card {
            handle: Handle::random(&chance),
            record: Handle::random(&chance),
            record_version: 1,
            unit: "H26".into(),
            masked_number: "H26.*********345.CC".into(),
            created_at: 0,
            valid_until: 1000,
            state,
            replaced_by: None,
        }
    }

    #[test]
    fn a_change_of_facts_has_its_reason() {
        let agency = |code: &str| AgencyName { code: code.into(), name: "Ủy ban".into() };
        let facts = CardFacts {
            personal_id_number: PersonalNumber::parse("001199000018").unwrap(),
            full_name: "Nguyễn Thị Thử".into(),
            date_of_birth: time::macros::date!(1999 - 03 - 15),
            gender: None,
            managing_agency: agency("H26"),
            employing_agency: agency("H26.05"),
            position_title: None,
            job_position: None,
            record_type: CardType::Contract,
            portrait: None,
            term_ends: None,
        };
        assert_eq!(facts.card_number(), "H26.001199000018.HĐ");
        assert_eq!(facts.masked_card_number(), "H26.*********018.HĐ");
        assert_eq!(facts.change_to(&facts), None);
        let moved = CardFacts { employing_agency: agency("H26.06"), ..facts.clone() };
        assert_eq!(facts.change_to(&moved), Some(Reason::Transferred));
        let promoted = CardFacts { position_title: Some("Trưởng phòng".into()), ..facts.clone() };
        assert_eq!(facts.change_to(&promoted), Some(Reason::PositionChanged));
        let renamed = CardFacts { full_name: "Nguyễn Thị Mới".into(), ..facts.clone() };
        assert_eq!(facts.change_to(&renamed), Some(Reason::DataChanged));
    }

    #[test]
    fn withdrawn_is_final_and_expired_is_over() {
        let withdrawn = card(State::Withdrawn { at: 5, reason: Reason::Resigned });
        for step in [Step::Lock, Step::Unlock, Step::Withdraw] {
            assert!(withdrawn.may(step, 10).is_err());
            assert!(card(State::Active).may(step, 1000).is_err());
        }
        assert_eq!(withdrawn.state_at(2000).name(), StateName::Withdrawn);
    }

    #[test]
    fn locked_and_active_go_back_and_forth() {
        assert!(card(State::Active).may(Step::Lock, 10).is_ok());
        assert!(card(State::Active).may(Step::Unlock, 10).is_err());
        let locked = card(State::Locked { at: 1, reason: Reason::Lost });
        assert!(locked.may(Step::Unlock, 10).is_ok());
        assert!(locked.may(Step::Withdraw, 10).is_ok());
        assert!(locked.may(Step::Lock, 10).is_err());
    }

    #[test]
    fn a_reason_must_fit_its_step() {
        assert!(Step::Withdraw.accepts(Reason::Retired).is_ok());
        assert!(Step::Lock.accepts(Reason::Retired).is_err());
        assert!(Step::Unlock.accepts(Reason::Found).is_ok());
        assert!(Step::Replace.accepts(Reason::Deceased).is_err());
        let locked = card(State::Locked { at: 1, reason: Reason::UnderReview });
        assert!(locked.may_be_replaced(Reason::Damaged, 10).is_err());
        assert!(locked.may_be_replaced(Reason::Stolen, 10).is_ok());
        assert!(card(State::Active).may_be_replaced(Reason::Damaged, 10).is_ok());
        for reason in Reason::ALL {
            assert_eq!(Reason::parse(reason.code()), Some(reason));
        }
    }
}
