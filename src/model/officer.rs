//! An officer of a unit office: an account of one person, who may do what their role allows.

use crate::clock::UnixSeconds;
use crate::model::id::Handle;
use crate::model::rights::{Reach, Role, rights};

/// The longest name of an account at the sign-in, in bytes (OpenID Connect Core 1.0 section 2: `sub` has at most 255
/// characters).
const MAX_SUBJECT_BYTES: usize = 255;
/// The longest name of an officer, in characters.
const MAX_NAME_LENGTH: usize = 200;

/// An officer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Officer {
    /// The random name, which is the actor of audit lines.
    pub id: Handle,
    /// The account at the sign-in.
    pub subject: String,
    /// The person's name, for others to see.
    pub name: String,
    /// The unit; none for the whole nation.
    pub unit: Option<String>,
    /// What they may do.
    pub role: Role,
    /// A keyed hash of their personal number, once it is known.
    pub person: Option<String>,
    /// When the account ends by itself.
    pub valid_until: Option<UnixSeconds>,
    /// Since when they are blocked.
    pub blocked_at: Option<UnixSeconds>,
    /// When they signed in last.
    pub signed_in_at: Option<UnixSeconds>,
    /// When the account was made.
    pub created_at: UnixSeconds,
    /// Grows with every change.
    pub revision: i64,
}

/// What an account is worth now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum OfficerState {
    /// Can sign in.
    Active,
    /// Was blocked.
    Blocked,
    /// Its term is over.
    Expired,
}

impl Officer {
    /// What the account is worth at this instant.
    pub fn state_at(&self, now: UnixSeconds) -> OfficerState {
        if self.blocked_at.is_some() {
            OfficerState::Blocked
        } else if self.valid_until.is_some_and(|until| until <= now) {
            OfficerState::Expired
        } else {
            OfficerState::Active
        }
    }

    /// The units that the officer is limited to; `None` is the whole nation.
    pub fn units(&self) -> Option<Vec<String>> {
        match (rights().reach(self.role), &self.unit) {
            (Reach::Nation, _) | (Reach::Given, None) => None,
            (Reach::Unit | Reach::Given, Some(unit)) => Some(vec![unit.clone()]),
            // Cannot be: whoever needs a unit and has none has nothing.
            (Reach::Unit, None) => Some(Vec::new()),
        }
    }

    /// Whether a text can name an account: printable ASCII without spaces at its ends, at most 255 characters.
    pub fn is_subject(text: &str) -> bool {
        (1..=MAX_SUBJECT_BYTES).contains(&text.len())
            && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
            && text.trim() == text
    }

    /// Whether a text can be an officer's name.
    pub fn is_name(text: &str) -> bool {
        !text.is_empty()
            && text.trim() == text
            && text.chars().count() <= MAX_NAME_LENGTH
            && !text.chars().any(char::is_control)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn officer(role: Role, unit: Option<&str>) -> Officer {
        Officer {
            id: Handle::parse("0123456789ABCDEF").unwrap(),
            subject: "somebody".into(),
            name: "Nguyễn Thị Hoa".into(),
            unit: unit.map(str::to_owned),
            role,
            person: None,
            valid_until: None,
            blocked_at: None,
            signed_in_at: None,
            created_at: 0,
            revision: 1,
        }
    }

    #[test]
    fn a_reach_ends_at_the_unit_unless_the_role_says_otherwise() {
        let units = |role, unit| officer(role, unit).units();
        assert_eq!(units(Role::Clerk, Some("H26")), Some(vec!["H26".to_owned()]));
        assert_eq!(units(Role::Clerk, None), Some(Vec::new()), "nothing, not everything");
        assert_eq!(units(Role::Inspector, None), None);
        assert_eq!(units(Role::Inspector, Some("H26")), Some(vec!["H26".to_owned()]));
        assert_eq!(units(Role::Operator, None), None);
    }

    #[test]
    fn an_account_ends_by_block_or_by_its_term() {
        let mut own = officer(Role::Clerk, Some("H26"));
        assert_eq!(own.state_at(10), OfficerState::Active);
        own.valid_until = Some(10);
        assert_eq!((own.state_at(9), own.state_at(10)), (OfficerState::Active, OfficerState::Expired));
        own.blocked_at = Some(3);
        assert_eq!(own.state_at(9), OfficerState::Blocked);
    }

    #[test]
    fn names_are_bounded() {
        assert!(Officer::is_subject("hoa.nt@office.example") && Officer::is_name("Nguyễn Thị Hoa"));
        for wrong in ["", " a", "a\n", "hoà", &"x".repeat(256)] {
            assert!(!Officer::is_subject(wrong), "{wrong}");
        }
        for wrong in ["", " a", "a\u{7}b", &"ă".repeat(201)] {
            assert!(!Officer::is_name(wrong), "{wrong}");
        }
    }
}
