//! The states of a transaction in which somebody is asked to present a card.

/// Where a transaction stands.
///
/// ```text
/// created → response_received → verified | rejected → consumed
///        ↘ wallet_error, expired, cancelled
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresentationState {
    /// Nobody has answered yet.
    Created,
    /// A wallet has answered: its answer is being verified, or is in order and waits for the browser to come back.
    ResponseReceived,
    /// The answer is in order and accepted. The result can be fetched.
    Verified,
    /// The answer was not accepted, or the browser that began did not come back.
    Rejected,
    /// The wallet answered with an error: no card, no consent, not understood.
    WalletError,
    /// The result was fetched.
    Consumed,
    /// Nobody answered in time.
    Expired,
    /// Whoever asked took it back.
    Cancelled,
}

impl PresentationState {
    /// All states.
    pub const ALL: [Self; 8] = [
        Self::Created,
        Self::ResponseReceived,
        Self::Verified,
        Self::Rejected,
        Self::WalletError,
        Self::Consumed,
        Self::Expired,
        Self::Cancelled,
    ];

    /// Its name on the wire and in the store.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::ResponseReceived => "response_received",
            Self::Verified => "verified",
            Self::Rejected => "rejected",
            Self::WalletError => "wallet_error",
            Self::Consumed => "consumed",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of this name.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Whether no wallet can change it any more.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Created | Self::ResponseReceived)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_states() {
        for state in PresentationState::ALL {
            assert_eq!(PresentationState::parse(state.word()), Some(state));
        }
        assert_eq!(PresentationState::parse("open"), None);
    }
}
