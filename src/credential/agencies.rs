//! The names of agencies by their codes, so that a card may carry the code alone: signed, and carried offline.
//!
//! Payload, beside the members 1 to 4 of [`Term`]: 5 is zlib over lines of code, tab and Vietnamese name, in the order of
//! the codes.

use std::collections::BTreeMap;

use crate::credential::cbor::Value;
use crate::credential::cose::Sign1;
use crate::credential::signed::{Kind, SignedError, Term, member, payload};
use crate::credential::{PublicKey, Signer, zlib};
use crate::error::Fault;

/// A table: at most 4 MiB.
pub const AGENCIES: Kind = Kind { media_type: "application/vnd.vn-officials-card.agencies+cbor", max_bytes: 4 << 20 };
/// Most bytes of the lines: some 200,000 units.
pub const MAX_TEXT_BYTES: usize = 16 << 20;

/// The table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgencyNames {
    /// Version and times.
    pub term: Term,
    /// Vietnamese name by code.
    pub names: BTreeMap<String, String>,
}

impl AgencyNames {
    /// Signs it.
    pub fn seal(&self, signer: &dyn Signer) -> Result<Vec<u8>, Fault> {
        let lines = Self::lines(&self.names);
        if lines.len() > MAX_TEXT_BYTES {
            return Err(Fault::new("sealing the agencies' names", "they are more than are read"));
        }
        AGENCIES.seal(&payload(&self.term, [(5, zlib::deflate(lines.as_bytes()).into())]), signer, &[])
    }

    /// Reads one under the signature of the key that `trusted_key` finds, and gives that key too.
    pub fn open(
        bytes: &[u8],
        trusted_key: impl FnOnce(&Sign1) -> Option<PublicKey>,
    ) -> Result<(Self, PublicKey), SignedError> {
        let (payload, signer) = AGENCIES.open(bytes, trusted_key)?;
        let wrong = SignedError::Member("names");
        let packed = member(&payload, 5, "names", Value::as_bytes)?;
        let lines = zlib::inflate(packed, MAX_TEXT_BYTES).map_err(|_| wrong)?;
        let lines = String::from_utf8(lines).map_err(|_| wrong)?;
        let pair = |line: &str| line.split_once('\t').map(|(code, name)| (code.to_owned(), name.to_owned()));
        let names = lines.lines().map(pair).collect::<Option<_>>().ok_or(wrong)?;
        Ok((Self { term: Term::from_cbor(&payload)?, names }, signer))
    }

    /// The lines that are signed.
    pub fn lines(names: &BTreeMap<String, String>) -> String {
        let mut lines = String::with_capacity(names.len() * 64);
        for (code, name) in names {
            lines.push_str(code);
            lines.push('\t');
            // No name has one of these; one that had would not break the others.
            lines.extend(name.chars().map(|letter| if letter.is_control() { ' ' } else { letter }));
            lines.push('\n');
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::test_key::TestKey;

    #[test]
    fn names_come_back() {
        let term = Term { version: 3, issued_at: 1, ttl_seconds: 1, expires_at: 9 };
        let names = [("H26", "Ủy ban nhân dân thành phố Hà Nội"), ("H26.05", "Sở Nội vụ")];
        let names = names.map(|(code, name)| (code.to_owned(), name.to_owned())).into();
        let table = AgencyNames { term, names };
        let bytes = table.seal(&TestKey::new(1)).unwrap();
        let key = TestKey::new(1).public_key().clone();
        assert_eq!(AgencyNames::open(&bytes, |_| Some(key.clone())), Ok((table, key)));
    }

    fn read(packed: Vec<u8>) -> Result<AgencyNames, SignedError> {
        let term = Term { version: 3, issued_at: 1, ttl_seconds: 1, expires_at: 9 };
        let bytes = AGENCIES.seal(&payload(&term, [(5, packed.into())]), &TestKey::new(1), &[]).unwrap();
        AgencyNames::open(&bytes, |_| Some(TestKey::new(1).public_key().clone())).map(|(table, _)| table)
    }

    #[test]
    fn what_unpacks_to_too_much_is_not_unpacked() {
        assert!(read(zlib::deflate(&vec![b'x'; MAX_TEXT_BYTES + 1])).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_table_never_panics(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80), text in "\\PC{0,40}|[A-Z0-9.\t\n]{0,80}") {
            let _ = read(bytes.clone());
            let _ = read(zlib::deflate(&bytes));
            if let Ok(table) = read(zlib::deflate(text.as_bytes())) {
                proptest::prop_assert!(table.names.len() <= text.lines().count());
            }
        }
    }
}
