//! Who decides about a proposal, until when, and what may be said to refuse one: the rules of a unit's review queue, pure.
//!
//! Decree 27/2026/NĐ-CP has the unit update professional data and sync within three working days, and gives no procedure for
//! what its staff propose. What stands here is derived from it: unit confirmation, four eyes, escalation and appeal are ours.
//!
//! | question | answer |
//! |---|---|
//! | whose decision | an officer of the unit or above; nobody decides about themselves, nor twice |
//! | how many | one; two for sensitive fields and for what the card shows |
//! | until when | the end of the third working day; then the unit above is named |
//! | after an appeal | the unit's head or the unit above, both where it takes two, and never who refused |

use time::{Date, Duration};

use crate::clock::UnixSeconds;
use crate::model::calendar::{Calendar, day_of, start_of};
use crate::model::catalogue::{Catalogue, Field, Privacy};
use crate::model::proposal::ProposalState;
use crate::model::unit::UnitCode;

/// Most working days that are looked at between two instants: whatever waits longer counts as so long.
const MOST_DAYS: i64 = 1_000;
/// The working day in Vietnam, in hours from midnight: morning and afternoon. Derived: offices set their own.
const WORKING_HOURS: [(i64, i64); 2] = [(8, 12), (13, 17)];

/// What a proposal waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// One reviewer.
    One,
    /// Two reviewers, of whom none has spoken.
    Two,
    /// The second of two.
    Second,
    /// A reviewer of an appeal.
    Appeal,
    /// Nobody: it is decided, withdrawn or over.
    Nobody,
}

impl Need {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Two => "two",
            Self::Second => "second",
            Self::Appeal => "appeal",
            Self::Nobody => "nobody",
        }
    }
}

/// Why somebody may not decide about a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// It does not wait for a decision.
    Decided,
    /// It is about themselves, or their right comes from whom it is about.
    Own,
    /// They gave the first approval, or their right comes from who did.
    FirstApprover,
    /// They refused it before, or their right comes from who did.
    DecidedBefore,
    /// An appeal is for the unit's head or the unit above.
    FromAppeal,
    /// They have no right to decide there.
    Scope,
}

impl WhyNot {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Decided => "decided",
            Self::Own => "self",
            Self::FirstApprover => "first_approver",
            Self::DecidedBefore => "decided_before",
            Self::FromAppeal => "from_appeal",
            Self::Scope => "scope",
        }
    }

    /// The sentence of a refusal.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Decided => "the proposal does not wait for a decision",
            Self::Own => "nobody decides about a proposal of their own, nor by a right that comes from who proposed",
            Self::FirstApprover => "the second approval must be somebody else's",
            Self::DecidedBefore => "who refused a proposal does not decide about the appeal",
            Self::FromAppeal => "an appeal is for the head of the unit or the unit above",
            Self::Scope => "no right to decide about proposals of this unit",
        }
    }
}

/// What has happened to a proposal so far, as far as it matters who may go on.
#[derive(Clone, Copy, Debug)]
pub struct Before<'a> {
    /// Where it stands.
    pub state: ProposalState,
    /// Whether the person appealed, at whatever stage it is now.
    pub is_appealed: bool,
    /// Who gave the first approval, and whose right that was.
    pub first_approvers: &'a [String],
    /// Who refused it, and whose right that was.
    pub refusers: &'a [String],
}

/// Who stands before a proposal.
#[derive(Clone, Copy, Debug)]
pub struct Reviewer<'a> {
    /// The officer.
    pub name: &'a str,
    /// Who gave them the right, when it is not their own.
    pub on_behalf_of: Option<&'a str>,
    /// Whether the officer, or who gave them the right, is whom the proposal is about.
    pub is_person: bool,
    /// Whether they head the unit, or stand above it.
    pub is_senior: bool,
}

impl Reviewer<'_> {
    fn is_one_of(&self, names: &[String]) -> bool {
        names.iter().any(|name| name == self.name || Some(name.as_str()) == self.on_behalf_of)
    }

    /// Whether they may decide about the proposal as it stands.
    pub fn may_decide(&self, before: Before<'_>) -> Result<(), WhyNot> {
        if !before.state.is_waiting() {
            Err(WhyNot::Decided)
        } else if self.is_person {
            Err(WhyNot::Own)
        } else if before.state == ProposalState::FirstApproved && self.is_one_of(before.first_approvers) {
            Err(WhyNot::FirstApprover)
        } else if before.is_appealed && self.is_one_of(before.refusers) {
            Err(WhyNot::DecidedBefore)
        } else if before.is_appealed && !self.is_senior {
            Err(WhyNot::FromAppeal)
        } else {
            Ok(())
        }
    }
}

/// What a proposal in `state` with changes in these fields waits for.
pub fn need<'a>(state: ProposalState, catalogue: &Catalogue, fields: impl IntoIterator<Item = &'a str>) -> Need {
    match state {
        ProposalState::Open if needs_two(catalogue, fields) => Need::Two,
        ProposalState::Open => Need::One,
        ProposalState::FirstApproved => Need::Second,
        ProposalState::Appealed => Need::Appeal,
        _ => Need::Nobody,
    }
}

/// Whether approving these changes takes two: one of them is sensitive or stands on the card. An appeal does not do
/// with fewer.
pub fn needs_two<'a>(catalogue: &Catalogue, fields: impl IntoIterator<Item = &'a str>) -> bool {
    fields.into_iter().any(|field| is_sensitive(catalogue, field) || is_on_card(catalogue, field))
}

/// Whether a field, or a column of a list, is sensitive personal data.
pub fn is_sensitive(catalogue: &Catalogue, name: &str) -> bool {
    columns(catalogue, name).any(|field| field.privacy == Privacy::Sensitive)
}

/// Whether the card shows a field. What only moves its life, as the employment status does, it does not show.
pub fn is_on_card(catalogue: &Catalogue, name: &str) -> bool {
    columns(catalogue, name).any(|field| field.card_use.iter().any(|used| used != "lifecycle"))
}

/// A field by its code, or the columns of a list by its name.
pub fn columns<'a>(catalogue: &'a Catalogue, name: &str) -> impl Iterator<Item = &'a Field> + use<'a> {
    let list = catalogue.lists().iter().find(|list| list.name == name);
    let members = list.map(|list| list.members.as_slice()).unwrap_or_default();
    catalogue.field(name).into_iter().chain(members.iter().map(|at| &catalogue.fields()[*at]))
}

/// Vietnamese and English label of a field or list. A list has none in the catalogue; its columns speak for it.
pub fn labels(catalogue: &Catalogue, name: &str) -> (String, String) {
    let join = |label: fn(&Field) -> &str| columns(catalogue, name).map(label).collect::<Vec<_>>().join("; ");
    (join(|field| &field.label_vi), join(|field| &field.label_en))
}

/// The unit that is named beside the proposal's own once its deadline is over; none above level 1.
pub fn escalated_to(unit: &str, due_at: UnixSeconds, now: UnixSeconds) -> Option<UnitCode> {
    if now > due_at { UnitCode::parse(unit)?.parent() } else { None }
}

/// Whose refusal a reason can stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A proposal.
    Proposal,
    /// An appeal.
    Appeal,
    /// A record that waits for the unit's confirmation.
    Confirmation,
}

impl Occasion {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Proposal => "proposal",
            Self::Appeal => "appeal",
            Self::Confirmation => "confirmation",
        }
    }
}

/// Why something is refused. Chosen from a list, so that the person is told in a sentence that somebody thought about.
#[derive(Debug, PartialEq, Eq)]
pub struct RefusalReason {
    /// The code on the wire.
    pub code: &'static str,
    /// The Vietnamese sentence.
    pub vi: &'static str,
    /// The English sentence.
    pub en: &'static str,
    /// Whether it says too little without a note.
    pub needs_note: bool,
    /// What it can refuse.
    pub occasions: &'static [Occasion],
}

impl RefusalReason {
    /// Longest note, in characters.
    pub const MAX_NOTE: usize = 2_000;

    /// Every reason, in the order in which they are offered. The list is ours.
    pub const ALL: [Self; 12] = {
        use Occasion::{Appeal, Confirmation, Proposal};
        const fn reason(
            code: &'static str,
            vi: &'static str,
            en: &'static str,
            needs_note: bool,
            occasions: &'static [Occasion],
        ) -> RefusalReason {
            RefusalReason { code, vi, en, needs_note, occasions }
        }
        [
            reason("evidence_missing", "Thiếu giấy tờ chứng minh", "Evidence is missing", false, &[Proposal, Appeal]),
            reason(
                "evidence_unreadable",
                "Giấy tờ chứng minh không đọc được",
                "The evidence cannot be read",
                false,
                &[Proposal, Appeal],
            ),
            reason(
                "evidence_differs",
                "Giấy tờ chứng minh không khớp với nội dung đề nghị",
                "The evidence says something else than the proposal",
                true,
                &[Proposal, Appeal],
            ),
            reason(
                "wrong_value",
                "Giá trị không đúng",
                "The value is not right",
                true,
                &[Proposal, Appeal, Confirmation],
            ),
            reason("already_recorded", "Hồ sơ đã có nội dung này", "The record already says so", false, &[Proposal]),
            reason(
                "other_proposal",
                "Đã có đề nghị khác về cùng nội dung",
                "Another proposal covers the same",
                false,
                &[Proposal],
            ),
            reason(
                "record_moved_on",
                "Hồ sơ đã thay đổi sau khi đề nghị; đề nghị lập lại trên dữ liệu mới",
                "The record changed after the proposal; please propose again on what it says now",
                false,
                &[Proposal, Appeal],
            ),
            reason(
                "other_procedure",
                "Nội dung này phải thực hiện theo thủ tục khác",
                "This takes another procedure",
                true,
                &[Proposal, Appeal],
            ),
            reason(
                "upheld",
                "Giữ nguyên kết quả: lý do từ chối trước vẫn đúng",
                "Upheld: the refusal was right",
                true,
                &[Appeal],
            ),
            reason("incomplete", "Dữ liệu chưa đầy đủ", "The data are incomplete", true, &[Confirmation]),
            reason(
                "wrong_person",
                "Không phải người của đơn vị",
                "The person is not of this unit",
                false,
                &[Confirmation],
            ),
            reason("other", "Lý do khác", "Another reason", true, &[Proposal, Appeal, Confirmation]),
        ]
    };

    /// From the code, if it can refuse on this occasion.
    pub fn parse(code: &str, occasion: Occasion) -> Option<&'static Self> {
        static ALL: [RefusalReason; 12] = RefusalReason::ALL;
        ALL.iter().find(|reason| reason.code == code && reason.occasions.contains(&occasion))
    }
}

/// Hours of work between two instants, so that a night, a weekend or a holiday is nobody's delay.
pub fn working_hours(calendar: &Calendar, from: UnixSeconds, to: UnixSeconds) -> f64 {
    let (first, last) = (day_of(from), day_of(to));
    let mut seconds = 0;
    let mut day = first;
    for _ in 0..MOST_DAYS {
        if day > last {
            break;
        }
        if calendar.is_working_day(day) {
            let midnight = start_of(day);
            for (begin, end) in WORKING_HOURS {
                let (begin, end) = ((midnight + begin * 3_600).max(from), (midnight + end * 3_600).min(to));
                seconds += (end - begin).max(0);
            }
        }
        day = day.saturating_add(Duration::DAY);
    }
    #[allow(clippy::cast_precision_loss)]
    let hours = seconds as f64 / 3_600.0;
    hours
}

/// `day` itself and the next `count` working days.
pub fn working_days_from(calendar: &Calendar, day: Date, count: usize) -> Vec<Date> {
    let mut days = vec![day];
    let mut next = day;
    while days.len() <= count && next < Date::MAX {
        next = next.saturating_add(Duration::DAY);
        if calendar.is_working_day(next) {
            days.push(next);
        }
    }
    days
}

/// The middle of some values; the mean of the two in the middle of an even number of them.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::{date, datetime};

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_is_sensitive_or_on_the_card_takes_two() {
        let catalogue = Catalogue::current();
        for (fields, is_two) in [
            (&["marital_status"][..], false),
            (&["DS_NGOAINGU", "academic_degree"], false),
            (&["portrait_photo"], true),
            (&["marital_status", "blood_type"], true),
            (&["no_such_field"], false),
            (&["employment_status"], false),
        ] {
            assert_eq!(needs_two(catalogue, fields.iter().copied()), is_two, "{fields:?}");
            let expected = if is_two { Need::Two } else { Need::One };
            assert_eq!(need(ProposalState::Open, catalogue, fields.iter().copied()), expected);
        }
        assert_eq!(need(ProposalState::FirstApproved, catalogue, ["blood_type"]), Need::Second);
        assert_eq!(need(ProposalState::Withdrawn, catalogue, ["blood_type"]), Need::Nobody);
        assert!(labels(catalogue, "DS_NGOAINGU").0.contains("; "), "both columns");
        assert_eq!(labels(catalogue, "no_such_field"), (String::new(), String::new()));
    }

    #[test]
    fn nobody_decides_about_themselves_nor_twice() {
        let nobody = names(&[]);
        let (first, refused) = (names(&["an", "head"]), names(&["binh"]));
        let before = |state, is_appealed| Before { state, is_appealed, first_approvers: &first, refusers: &refused };
        let who = |name, on_behalf_of| Reviewer { name, on_behalf_of, is_person: false, is_senior: false };
        let open =
            Before { state: ProposalState::Open, is_appealed: false, first_approvers: &nobody, refusers: &nobody };
        assert_eq!(who("an", None).may_decide(open), Ok(()));
        assert_eq!(Reviewer { is_person: true, ..who("an", None) }.may_decide(open), Err(WhyNot::Own));
        let second = before(ProposalState::FirstApproved, false);
        assert_eq!(who("an", None).may_decide(second), Err(WhyNot::FirstApprover));
        assert_eq!(who("chi", None).may_decide(second), Ok(()));
        assert_eq!(who("chi", Some("an")).may_decide(second), Err(WhyNot::FirstApprover), "the same eyes");
        assert_eq!(who("head", None).may_decide(second), Err(WhyNot::FirstApprover), "an acted by the head's right");
        let appeal = before(ProposalState::Appealed, true);
        let senior = |name| Reviewer { is_senior: true, ..who(name, None) };
        assert_eq!(senior("binh").may_decide(appeal), Err(WhyNot::DecidedBefore));
        assert_eq!(who("chi", None).may_decide(appeal), Err(WhyNot::FromAppeal));
        assert_eq!(senior("chi").may_decide(appeal), Ok(()));
        assert_eq!(
            who("binh", None).may_decide(before(ProposalState::FirstApproved, true)),
            Err(WhyNot::DecidedBefore)
        );
        let second = before(ProposalState::FirstApproved, true);
        assert_eq!(who("chi", None).may_decide(second), Err(WhyNot::FromAppeal), "at whatever stage it is");
        assert_eq!(senior("chi").may_decide(second), Ok(()));
        for state in ProposalState::ALL.into_iter().filter(|state| !state.is_waiting()) {
            assert_eq!(senior("chi").may_decide(before(state, true)), Err(WhyNot::Decided));
        }
    }

    #[test]
    fn what_is_overdue_is_the_unit_above_s_too() {
        assert_eq!(escalated_to("H26.05", 100, 100), None);
        assert_eq!(escalated_to("H26.05", 100, 101).unwrap().as_str(), "H26");
        assert_eq!(escalated_to("H26", 100, 101), None);
    }

    #[test]
    fn reasons_are_unique_and_fit_their_occasion() {
        let mut codes: Vec<_> = RefusalReason::ALL.iter().map(|reason| reason.code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), RefusalReason::ALL.len());
        assert!(RefusalReason::parse("upheld", Occasion::Proposal).is_none());
        assert!(RefusalReason::parse("upheld", Occasion::Appeal).is_some_and(|reason| reason.needs_note));
        assert!(RefusalReason::parse("UPHELD", Occasion::Appeal).is_none());
    }

    #[test]
    fn nights_and_weekends_are_nobody_s_delay() {
        let friday = datetime!(2026-11-20 16:00 +7).unix_timestamp();
        let monday = datetime!(2026-11-23 09:30 +7).unix_timestamp();
        assert!((working_hours(Calendar::shipped(), friday, monday) - 2.5).abs() < 1e-9);
        let day = datetime!(2026-11-23 00:00 +7).unix_timestamp();
        assert!((working_hours(Calendar::shipped(), day, day + 86_400) - 8.0).abs() < 1e-9, "without lunch");
        assert!(working_hours(Calendar::shipped(), monday, friday).abs() < 1e-9);
        assert_eq!(
            working_days_from(Calendar::shipped(), date!(2026 - 11 - 20), 2),
            [date!(2026 - 11 - 20), date!(2026 - 11 - 23), date!(2026 - 11 - 24)]
        );
    }

    #[test]
    fn the_middle_of_some_values() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
    }

    proptest! {
        #[test]
        fn hours_of_work_never_exceed_time(from in -1_000_000_000_i64..4_000_000_000, span in 0_i64..100_000_000) {
            #[allow(clippy::cast_precision_loss)]
            let span_hours = span as f64 / 3_600.0;
            let hours = working_hours(Calendar::shipped(), from, from + span);
            prop_assert!(hours >= 0.0 && hours <= span_hours + 1e-9);
        }
    }
}
