//! Where a version of a record came from: the ways in of issue and decree, each with the thing that brought it.

/// The way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// An operator's file.
    Import,
    /// The synchronisation interface of the Ministry: a unit's own system.
    Sync,
    /// A unit's form, through the office.
    Upload,
    /// The official's own proposal.
    Update,
    /// A merger, split or renaming of units.
    Reorganisation,
    /// The national population database.
    Population,
}

impl Way {
    /// All six.
    pub const ALL: [Self; 6] =
        [Self::Import, Self::Sync, Self::Upload, Self::Update, Self::Reorganisation, Self::Population];

    /// The word stored and sent.
    pub fn word(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::Sync => "sync",
            Self::Upload => "upload",
            Self::Update => "update",
            Self::Reorganisation => "reorganisation",
            Self::Population => "population",
        }
    }

    /// From the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.word() == word)
    }
}

/// Where a version came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The way in.
    pub way: Way,
    /// What brought it, in the words of that way: a file's digest, a transaction, an upload, a proposal. Never personal.
    pub reference: String,
    /// Who: a client, an account, an officer; [`HOLDER`] for the official themselves.
    pub actor: String,
}

/// The actor of what an official does for themselves: who they are stands in the record, not in the audit table.
pub const HOLDER: &str = "holder";

impl Origin {
    /// Whether it is the official's own change, which can carry the unit's word over but never gives it.
    pub fn is_of_holder(&self) -> bool {
        self.way == Way::Update && self.actor == HOLDER
    }
}
