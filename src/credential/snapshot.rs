//! The statuses of all cards that are shown as QR codes, in one signed object that a checkpoint carries offline, and the
//! difference between two of them. The status lists of the credentials shown online are not in it.
//!
//! Payload of a snapshot, beside the members 1 to 4 of [`Term`]: 5 is an array of lists `[uri, entries, zlib]`, the last
//! the packed statuses of two bits (Token Status List section 4.1) at level 9. Measured: 2.5 million cards, one in a
//! hundred not valid, are 40 KiB.
//!
//! Payload of a delta: its term is the newer snapshot's; 5 the version that it starts from, 6 the SHA-256 of the content
//! that it leads to, 7 new lists `[uri, entries]`, 8 changes `[position of the list, steps]`. `steps` is one number after
//! another in LEB128: the distance to the changed index (from the one before, plus one) times four, plus the new status.
//! The first distance counts from the list's beginning.
//!
//! The content's digest is SHA-256 over every list in order: the length of its URI in eight bytes, the URI, its entries in
//! eight bytes, its packed statuses; numbers big-endian.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::credential::cbor::{self, Value};
use crate::credential::cose::Sign1;
use crate::credential::signed::{Kind, SignedError, Term, member, payload};
use crate::credential::status_list::{Bits, StatusList};
use crate::credential::{PublicKey, Signer, zlib};
use crate::error::Fault;

/// A snapshot: at most 4 MiB.
pub const SNAPSHOT: Kind =
    Kind { media_type: "application/vnd.vn-officials-card.status-snapshot+cbor", max_bytes: 4 << 20 };
/// A delta: at most 64 KiB; a larger difference is better fetched as a snapshot.
pub const DELTA: Kind = Kind { media_type: "application/vnd.vn-officials-card.status-delta+cbor", max_bytes: 64 << 10 };
/// Most lists of a snapshot.
pub const MAX_LISTS: usize = 1_024;
/// Most bytes of all lists, inflated: 64 million cards.
pub const MAX_INFLATED_BYTES: usize = 16 << 20;

/// One list of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListState {
    /// Its address, which cards name.
    pub uri: String,
    /// How many entries it has.
    pub entries: u32,
    /// The statuses.
    pub statuses: Arc<StatusList>,
}

/// All lists at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Version and times.
    pub term: Term,
    /// The lists, oldest first.
    pub lists: Vec<ListState>,
}

/// Why a delta cannot be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeltaError {
    /// It starts from another version than is held.
    #[error("the delta starts from version {0}")]
    OtherBase(u64),
    /// It leads elsewhere than it says.
    #[error("the delta does not lead to the content that it names")]
    OtherResult,
}

impl Snapshot {
    /// Signs it.
    pub fn seal(&self, signer: &dyn Signer) -> Result<Vec<u8>, Fault> {
        let list = |list: &ListState| {
            Value::Array(vec![
                list.uri.as_str().into(),
                list.entries.into(),
                zlib::deflate(list.statuses.as_bytes()).into(),
            ])
        };
        let lists = self.lists.iter().map(list).collect();
        SNAPSHOT.seal(&payload(&self.term, [(5, Value::Array(lists))]), signer, &[])
    }

    /// Reads one under the signature of the key that `trusted_key` finds, and gives that key too.
    pub fn open(
        bytes: &[u8],
        trusted_key: impl FnOnce(&Sign1) -> Option<PublicKey>,
    ) -> Result<(Self, PublicKey), SignedError> {
        let (payload, signer) = SNAPSHOT.open(bytes, trusted_key)?;
        let wrong = SignedError::Member("lists");
        let members = member(&payload, 5, "lists", Value::as_array)?;
        if members.len() > MAX_LISTS {
            return Err(wrong);
        }
        let mut room = MAX_INFLATED_BYTES;
        let mut lists = Vec::with_capacity(members.len());
        for list in members {
            let Some([Value::Text(uri), entries, Value::Bytes(packed)]) = list.as_array().map(Vec::as_slice) else {
                return Err(wrong);
            };
            let entries = cbor::integer(entries).and_then(|entries| u32::try_from(entries).ok()).ok_or(wrong)?;
            let length = entries.div_ceil(4) as usize;
            room = room.checked_sub(length).ok_or(wrong)?;
            let packed = zlib::inflate(packed, length).map_err(|_| wrong)?;
            let statuses = StatusList::of_two_bits(packed).map_err(|_| wrong)?;
            if statuses.as_bytes().len() != length {
                return Err(wrong);
            }
            lists.push(ListState { uri: uri.clone(), entries, statuses: Arc::new(statuses) });
        }
        Ok((Self { term: Term::from_cbor(&payload)?, lists }, signer))
    }

    /// The list at an address.
    pub fn list(&self, uri: &str) -> Option<&ListState> {
        self.lists.iter().find(|list| list.uri == uri)
    }

    /// SHA-256 of the content, whatever its term.
    pub fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for list in &self.lists {
            digest.update((list.uri.len() as u64).to_be_bytes());
            digest.update(&list.uri);
            digest.update(u64::from(list.entries).to_be_bytes());
            digest.update(list.statuses.as_bytes());
        }
        digest.finalize().into()
    }
}

/// What leads from one snapshot to a newer one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// Version and times of the newer one.
    pub term: Term,
    /// The version that it starts from.
    pub from: u64,
    /// The digest of the newer one.
    pub digest: [u8; 32],
    new_lists: Vec<(String, u32)>,
    changes: Vec<(u32, Vec<u8>)>,
}

impl Delta {
    /// The difference. `None` when the lists of `from` are not the first of `to`, or when the difference would be larger
    /// than a delta may be: then the newer snapshot serves.
    pub fn between(from: &Snapshot, to: &Snapshot) -> Option<Self> {
        let common = to.lists.get(..from.lists.len())?;
        let same = |(one, two): (&ListState, &ListState)| one.uri == two.uri && one.entries == two.entries;
        if !from.lists.iter().zip(common).all(same) {
            return None;
        }
        let mut changes = Vec::new();
        let mut size = 0;
        for (position, list) in (0..).zip(&to.lists) {
            let before = from.lists.get(position as usize).map(|list| list.statuses.as_bytes());
            let steps = steps(before, list.statuses.as_bytes());
            size += steps.len();
            if size > DELTA.max_bytes {
                return None;
            }
            if !steps.is_empty() {
                changes.push((position, steps));
            }
        }
        let new_lists = to.lists[from.lists.len()..].iter().map(|list| (list.uri.clone(), list.entries)).collect();
        Some(Self { term: to.term, from: from.term.version, digest: to.digest(), new_lists, changes })
    }

    /// Signs it.
    pub fn seal(&self, signer: &dyn Signer) -> Result<Vec<u8>, Fault> {
        let lists =
            self.new_lists.iter().map(|(uri, entries)| Value::Array(vec![uri.as_str().into(), (*entries).into()]));
        let changes = self.changes.iter().map(|(at, steps)| Value::Array(vec![(*at).into(), steps.clone().into()]));
        let members = [
            (5, self.from.into()),
            (6, self.digest.to_vec().into()),
            (7, Value::Array(lists.collect())),
            (8, Value::Array(changes.collect())),
        ];
        DELTA.seal(&payload(&self.term, members), signer, &[])
    }

    /// Reads one under the signature of the key that `trusted_key` finds, and gives that key too.
    pub fn open(
        bytes: &[u8],
        trusted_key: impl FnOnce(&Sign1) -> Option<PublicKey>,
    ) -> Result<(Self, PublicKey), SignedError> {
        let (payload, signer) = DELTA.open(bytes, trusted_key)?;
        let number = |value: &Value| cbor::integer(value).and_then(|number| u32::try_from(number).ok());
        let pairs = |label, name| member(&payload, label, name, Value::as_array);
        let new_lists = pairs(7, "new_lists")?.iter().map(|list| match list.as_array().map(Vec::as_slice) {
            Some([Value::Text(uri), entries]) => Some((uri.clone(), number(entries)?)),
            _ => None,
        });
        let changes = pairs(8, "changes")?.iter().map(|change| match change.as_array().map(Vec::as_slice) {
            Some([at, Value::Bytes(steps)]) => Some((number(at)?, steps.clone())),
            _ => None,
        });
        let delta = Self {
            term: Term::from_cbor(&payload)?,
            from: member(&payload, 5, "from", |value| value.as_integer()?.try_into().ok())?,
            digest: member(&payload, 6, "digest", |value| value.as_bytes()?.as_slice().try_into().ok())?,
            new_lists: new_lists.collect::<Option<_>>().ok_or(SignedError::Member("new_lists"))?,
            changes: changes.collect::<Option<_>>().ok_or(SignedError::Member("changes"))?,
        };
        Ok((delta, signer))
    }

    /// The newer snapshot, when `base` is the one that it starts from and the result is the one that it names.
    pub fn apply(&self, base: &Snapshot) -> Result<Snapshot, DeltaError> {
        if base.term.version != self.from || self.from >= self.term.version {
            return Err(DeltaError::OtherBase(self.from));
        }
        let mut lists = base.lists.clone();
        let mut room = MAX_INFLATED_BYTES;
        for (uri, entries) in &self.new_lists {
            let length = entries.div_ceil(4) as usize;
            room = room.checked_sub(length).ok_or(DeltaError::OtherResult)?;
            let statuses = StatusList::new(Bits::Two, *entries, []).map_err(|_| DeltaError::OtherResult)?;
            lists.push(ListState { uri: uri.clone(), entries: *entries, statuses: Arc::new(statuses) });
        }
        if lists.len() > MAX_LISTS {
            return Err(DeltaError::OtherResult);
        }
        for (at, steps) in &self.changes {
            let list = lists.get_mut(*at as usize).ok_or(DeltaError::OtherResult)?;
            walk(steps, Arc::make_mut(&mut list.statuses)).ok_or(DeltaError::OtherResult)?;
        }
        let newer = Snapshot { term: self.term, lists };
        if newer.digest() == self.digest { Ok(newer) } else { Err(DeltaError::OtherResult) }
    }
}

/// The changed entries, as the steps of the module's head. A list that was not there before was all valid.
fn steps(before: Option<&[u8]>, after: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut next = 0;
    for (at, new) in after.iter().enumerate() {
        let old = before.and_then(|before| before.get(at)).copied().unwrap_or(0);
        if old == *new {
            continue;
        }
        for place in 0..4 {
            let status = new >> (2 * place) & 3;
            if old >> (2 * place) & 3 != status {
                let index = 4 * at as u64 + place;
                let mut step = (index - next) << 2 | u64::from(status);
                next = index + 1;
                while step >= 0x80 {
                    out.push(low_byte(step) | 0x80);
                    step >>= 7;
                }
                out.push(low_byte(step));
            }
        }
    }
    out
}

fn low_byte(number: u64) -> u8 {
    number.to_le_bytes()[0]
}

/// Makes the changes; `None` when they do not read or leave the list.
fn walk(steps: &[u8], list: &mut StatusList) -> Option<()> {
    let mut rest = steps.iter();
    let mut next = 0_u64;
    loop {
        let (mut step, mut shift) = (0_u64, 0);
        loop {
            let Some(byte) = rest.next() else { return (shift == 0).then_some(()) };
            if shift > 35 {
                return None;
            }
            step |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let index = next.checked_add(step >> 2)?;
        list.set(u32::try_from(index).ok()?, low_byte(step & 3)).ok()?;
        next = index + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance;
    use crate::credential::test_key::TestKey;
    use proptest::prelude::*;

    fn term(version: u64) -> Term {
        Term { version, issued_at: 1_790_000_000, ttl_seconds: 3600, expires_at: 1_790_259_200 }
    }

    /// Lists of 131,072 entries as an issuer with 2.5 million cards has them; every hundredth is not valid.
    fn nation() -> Snapshot {
        let chance = Chance::seeded([3; 32]);
        let lists = (1..=20).map(|number| {
            let mut statuses = StatusList::new(Bits::Two, 1 << 17, []).unwrap();
            for index in 0..1 << 17 {
                let lot = u16::from_be_bytes(chance.bytes()) % 1000;
                if lot < 10 {
                    statuses.set(index, if lot == 0 { 2 } else { 1 }).unwrap();
                }
            }
            ListState {
                uri: format!("https://the-quoc-gia.moha.gov.vn/s/{number}"),
                entries: 1 << 17,
                statuses: Arc::new(statuses),
            }
        });
        Snapshot { term: term(1), lists: lists.collect() }
    }

    fn open(bytes: &[u8]) -> Snapshot {
        Snapshot::open(bytes, |_| Some(TestKey::new(1).public_key().clone())).unwrap().0
    }

    #[test]
    fn two_and_a_half_million_cards_are_small_and_a_hundred_changes_smaller() {
        let old = nation();
        let bytes = old.seal(&TestKey::new(1)).unwrap();
        println!("2,621,440 cards, 1 % not valid: {} bytes", bytes.len());
        assert!(bytes.len() < 60_000, "{}", bytes.len());
        assert_eq!(open(&bytes), old);
        let mut new = Snapshot { term: term(2), ..old.clone() };
        let chance = Chance::seeded([4; 32]);
        for _ in 0..100 {
            let lot = u32::from_be_bytes(chance.bytes());
            let list = &mut new.lists[lot as usize % 20];
            Arc::make_mut(&mut list.statuses).set(lot >> 15, 1).unwrap();
        }
        let delta = Delta::between(&old, &new).unwrap();
        let bytes = delta.seal(&TestKey::new(1)).unwrap();
        println!("100 changes: {} bytes", bytes.len());
        assert!(bytes.len() < 1_000, "{}", bytes.len());
        let (read, _) = Delta::open(&bytes, |_| Some(TestKey::new(1).public_key().clone())).unwrap();
        assert_eq!(read, delta);
        assert_eq!(read.apply(&old), Ok(new));
    }

    fn small(version: u64, lists: &[&[u8]]) -> Snapshot {
        let list = |(number, statuses): (usize, &&[u8])| ListState {
            uri: format!("https://i/s/{number}"),
            entries: 8,
            statuses: Arc::new(StatusList::of_two_bits(statuses.to_vec()).unwrap()),
        };
        Snapshot { term: term(version), lists: lists.iter().enumerate().map(list).collect() }
    }

    #[test]
    fn a_delta_is_for_its_base_and_leads_where_it_says() {
        let (one, two) = (small(1, &[&[0, 0]]), small(2, &[&[1, 0x80], &[0, 2]]));
        let delta = Delta::between(&one, &two).unwrap();
        assert_eq!(delta.apply(&one), Ok(two.clone()));
        assert_eq!(delta.apply(&two), Err(DeltaError::OtherBase(1)));
        let other_base = small(1, &[&[4, 0]]);
        assert_eq!(delta.apply(&other_base), Err(DeltaError::OtherResult), "a forked base is noticed");
        let lying = Delta { digest: [0; 32], ..delta.clone() };
        assert_eq!(lying.apply(&one), Err(DeltaError::OtherResult));
        let back = Delta { from: 2, term: term(2), ..delta };
        assert_eq!(back.apply(&two), Err(DeltaError::OtherBase(2)), "a version rises");
        assert_eq!(Delta::between(&two, &one), None, "a list does not go");
    }

    #[test]
    fn what_does_not_add_up_is_refused() {
        let key = TestKey::new(1);
        let seal = |lists: Value| SNAPSHOT.seal(&payload(&term(1), [(5, lists)]), &key, &[]).unwrap();
        let list = |entries: i64, bytes: &[u8]| {
            Value::Array(vec![Value::Array(vec!["u".into(), entries.into(), zlib::deflate(bytes).into()])])
        };
        let read = |lists| Snapshot::open(&seal(lists), |_| Some(key.public_key().clone()));
        assert!(read(list(8, &[0, 0])).is_ok());
        for wrong in [list(8, &[0]), list(8, &[0; 3]), list(-1, &[]), list(1 << 32, &[]), list(1 << 27, &[0])] {
            assert_eq!(read(wrong), Err(SignedError::Member("lists")));
        }
        let many =
            Value::Array(vec![Value::Array(vec!["u".into(), 0.into(), zlib::deflate(&[]).into()]); MAX_LISTS + 1]);
        assert_eq!(read(many), Err(SignedError::Member("lists")));
    }

    proptest! {
        #[test]
        fn a_delta_always_leads_there(one in proptest::collection::vec(any::<u8>(), 2), two in proptest::collection::vec(any::<u8>(), 2)) {
            let (one, two) = (small(1, &[&one]), small(2, &[&two]));
            prop_assert_eq!(Delta::between(&one, &two).unwrap().apply(&one), Ok(two));
        }

        #[test]
        fn arbitrary_steps_never_panic(steps in proptest::collection::vec(any::<u8>(), 0..32)) {
            let _ = walk(&steps, &mut StatusList::new(Bits::Two, 64, []).unwrap());
        }
    }
}
