//! A proposal of an official to change their own record: the states that it goes through, and who may move it on.
//!
//! ```text
//! open ──► first_approved ──► approved            four eyes for sensitive fields
//!   │            │
//!   ├────────────┴──────────► approved | refused | withdrawn | expired
//! refused ──► appealed ─────► approved | appeal_refused | withdrawn      once
//! ```

/// Where a proposal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProposalState {
    /// It waits for a reviewer.
    Open,
    /// One of two reviewers approved it.
    FirstApproved,
    /// It became a version of the record. Final.
    Approved,
    /// A reviewer refused it; the person may appeal once.
    Refused,
    /// The person took it back. Final.
    Withdrawn,
    /// The person appealed against the refusal; it waits for another reviewer.
    Appealed,
    /// The refusal was upheld. Final.
    AppealRefused,
    /// Nobody decided, and it can no longer be. Final.
    Expired,
}

impl ProposalState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Open,
        Self::FirstApproved,
        Self::Approved,
        Self::Refused,
        Self::Withdrawn,
        Self::Appealed,
        Self::AppealRefused,
        Self::Expired,
    ];

    /// The word that is stored and told.
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::FirstApproved => "first_approved",
            Self::Approved => "approved",
            Self::Refused => "refused",
            Self::Withdrawn => "withdrawn",
            Self::Appealed => "appealed",
            Self::AppealRefused => "appeal_refused",
            Self::Expired => "expired",
        }
    }

    /// From the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Whether a reviewer has still to decide.
    pub fn is_waiting(self) -> bool {
        matches!(self, Self::Open | Self::FirstApproved | Self::Appealed)
    }

    /// Whether nothing can happen to it any more.
    pub fn is_final(self) -> bool {
        !self.is_waiting() && self != Self::Refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back_and_what_waits_is_not_over() {
        for state in ProposalState::ALL {
            assert_eq!(ProposalState::parse(state.word()), Some(state));
            assert!(!(state.is_waiting() && state.is_final()));
        }
        assert_eq!(ProposalState::parse("Open"), None);
        let may_go_on: Vec<_> = ProposalState::ALL.into_iter().filter(|state| !state.is_final()).collect();
        let expected =
            [ProposalState::Open, ProposalState::FirstApproved, ProposalState::Refused, ProposalState::Appealed];
        assert_eq!(may_go_on, expected);
    }
}
