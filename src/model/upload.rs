//! A filled-in form that a unit uploads: its states, and what becomes of its rows.

/// Where an upload stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadState {
    /// The file is coming.
    Receiving,
    /// Its rows are checked; nothing is stored in records.
    Checking,
    /// It can be submitted.
    Checked,
    /// Its good rows are written.
    Submitting,
    /// They are.
    Done,
    /// The file as a whole cannot be read.
    Failed,
    /// Somebody took it back.
    Cancelled,
}

impl UploadState {
    /// Every state.
    pub const ALL: [Self; 7] =
        [Self::Receiving, Self::Checking, Self::Checked, Self::Submitting, Self::Done, Self::Failed, Self::Cancelled];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Receiving => "receiving",
            Self::Checking => "checking",
            Self::Checked => "checked",
            Self::Submitting => "submitting",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// From its word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Whether it stays as it is until somebody does something.
    pub fn rests(self) -> bool {
        !matches!(self, Self::Receiving | Self::Checking | Self::Submitting)
    }
}

/// What a row would do, or did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowOutcome {
    /// A record that is not there.
    New,
    /// Another version of a record.
    Changed,
    /// Nothing.
    Unchanged,
    /// It cannot be taken.
    Faults,
    /// It was written.
    Written,
    /// It waits for its day.
    Waiting,
    /// Somebody else changed the record after the check: it was not written.
    MovedOn,
}

impl RowOutcome {
    /// Every outcome.
    pub const ALL: [Self; 7] =
        [Self::New, Self::Changed, Self::Unchanged, Self::Faults, Self::Written, Self::Waiting, Self::MovedOn];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Faults => "faults",
            Self::Written => "written",
            Self::Waiting => "waiting",
            Self::MovedOn => "moved_on",
        }
    }

    /// From its word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back() {
        for state in UploadState::ALL {
            assert_eq!(UploadState::parse(state.word()), Some(state));
        }
        for outcome in RowOutcome::ALL {
            assert_eq!(RowOutcome::parse(outcome.word()), Some(outcome));
        }
        assert!(UploadState::Checked.rests() && !UploadState::Checking.rests());
    }
}
