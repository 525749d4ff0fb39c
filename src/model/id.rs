//! Names of things: the personal identification number (secret-ish, masked wherever it prints) and random handles
//! (public).

use std::fmt;

use crate::chance::Chance;

/// The 12-digit personal identification number of the Law on Identification. It never prints whole: `Debug` and
/// `Display` show the mask.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PersonalNumber(String);

impl PersonalNumber {
    /// From exactly twelve ASCII digits.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| Self(text.to_owned()))
    }

    /// The whole number, for storage, matching and the disclosable claim only.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// `*********345`: the last three digits.
    pub fn masked(&self) -> String {
        format!("*********{}", &self.0[9..])
    }
}

impl fmt::Debug for PersonalNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.masked())
    }
}

impl fmt::Display for PersonalNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.masked())
    }
}

/// A random public name of 80 bits: 16 characters of Crockford's base 32, upper case, so that it stays in the
/// alphanumeric mode of a QR code and can be read out loud.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle(String);

const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl Handle {
    /// A fresh one.
    pub fn random(chance: &Chance) -> Self {
        let bits = chance.bytes::<10>().iter().fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
        Self((0..16).rev().map(|at| char::from(CROCKFORD[(bits >> (5 * at)) as usize & 31])).collect())
    }

    /// From its 16 characters; lower case is accepted.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_uppercase();
        (text.len() == 16 && text.bytes().all(|byte| CROCKFORD.contains(&byte))).then_some(Self(text))
    }

    /// The 16 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_personal_number_never_prints_whole() {
        let number = PersonalNumber::parse("001099012345").unwrap();
        assert_eq!(format!("{number} {number:?}"), "*********345 *********345");
        assert!(PersonalNumber::parse("00109901234").is_none());
        assert!(PersonalNumber::parse("00109901234٣").is_none());
    }

    #[test]
    fn handles_are_random_and_parse_back() {
        let chance = Chance::seeded([7; 32]);
        let handle = Handle::random(&chance);
        assert_ne!(handle, Handle::random(&chance));
        assert_eq!(Handle::parse(&handle.as_str().to_lowercase()), Some(handle));
        assert_eq!(Handle::parse("ILOU000000000000"), None);
    }
}
