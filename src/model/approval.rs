//! The state that a competent person approves each month by digital signature (Circular 06/2023/TT-BNV): one document in
//! canonical JSON (RFC 8785), bound to every record of the unit by the root of a Merkle tree, and to the approval before it
//! by its digest. Whoever has the records can compute the root again.
//!
//! The tree is that of RFC 6962 section 2.1 with SHA-256. Its leaves stand in the order of the records' handles (ASCII);
//! a leaf is the text `HANDLE VERSION DIGEST`: three words separated by single spaces, the version in decimal, the digest
//! the SHA-256 of the record's canonical content in lower-case hexadecimal. The form of the document is ours.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::clock::UnixSeconds;
use crate::model::calendar::Month;
use crate::model::id::Handle;
use crate::model::json;
use crate::model::quality::score::Tally;
use crate::model::unit::UnitCode;
use crate::model::value::hex;

/// The member `type` of a document.
pub const DOCUMENT_TYPE: &str = "officials-card/quality-approval/1";
/// The longest document, in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 4096;

/// One record of the approved state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The record.
    pub record: Handle,
    /// Its version.
    pub version: i64,
    /// SHA-256 of the version's canonical content, in hexadecimal.
    pub digest: String,
}

impl Leaf {
    /// The bytes that the tree takes in.
    pub fn text(&self) -> String {
        format!("{} {} {}", self.record, self.version, self.digest)
    }

    /// From its text.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (record, version, digest) = (words.next()?, words.next()?, words.next()?);
        let record = Handle::parse(record).filter(|handle| handle.as_str() == record)?;
        let leaf = Self { record, version: version.parse().ok()?, digest: digest.to_owned() };
        let is_digest = digest.len() == 64 && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (words.next().is_none() && is_digest && leaf.text() == text).then_some(leaf)
    }
}

/// Computes the root over leaves that come one by one, in memory of the tree's height.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Roots of complete subtrees, the largest first, with their heights.
    peaks: Vec<(u32, [u8; 32])>,
}

impl Tree {
    /// Takes in the next leaf.
    pub fn push(&mut self, leaf: &Leaf) {
        let mut height = 0;
        let mut hash: [u8; 32] = Sha256::new().chain_update([0]).chain_update(leaf.text()).finalize().into();
        while self.peaks.last().is_some_and(|(peak, _)| *peak == height) {
            if let Some((_, left)) = self.peaks.pop() {
                hash = node(&left, &hash);
            }
            height += 1;
        }
        self.peaks.push((height, hash));
    }

    /// The root in hexadecimal; that of no leaves is the SHA-256 of nothing.
    pub fn root(&self) -> String {
        let folded = self.peaks.iter().rev().map(|(_, hash)| *hash).reduce(|right, left| node(&left, &right));
        hex(&folded.unwrap_or_else(|| Sha256::digest([]).into()))
    }

    /// Over leaves that are in order already.
    pub fn of<'a>(leaves: impl IntoIterator<Item = &'a Leaf>) -> Self {
        let mut tree = Self::default();
        leaves.into_iter().for_each(|leaf| tree.push(leaf));
        tree
    }
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDocument {
    /// The unit; the state is that of everything below it, too.
    pub unit: UnitCode,
    /// The month.
    pub month: Month,
    /// When the document was made.
    pub at: UnixSeconds,
    /// The field catalogue that new records follow.
    pub catalogue: String,
    /// Counts and the four words.
    pub tally: Tally,
    /// The root over all records.
    pub root: String,
    /// SHA-256 of the document that the unit's last approval signed.
    pub previous: Option<String>,
}

impl StateDocument {
    /// The exact bytes: canonical JSON. Texts are ASCII, numbers are whole, so that RFC 8785 asks for no more than sorted
    /// members.
    pub fn bytes(&self) -> Vec<u8> {
        let [correct, sufficient, clean, live] = self.tally.holds;
        let counts = BTreeMap::from([
            ("all", self.tally.all),
            ("clean", clean),
            ("correct", correct),
            ("live", live),
            ("records", self.tally.records),
            ("sufficient", sufficient),
        ]);
        let members: BTreeMap<&str, Value> = BTreeMap::from([
            ("at", json!(self.at)),
            ("catalogue", json!(self.catalogue)),
            ("counts", json!(counts)),
            ("month", json!(self.month.to_string())),
            ("previous", json!(self.previous)),
            ("root", json!(self.root)),
            ("type", json!(DOCUMENT_TYPE)),
            ("unit", json!(self.unit.as_str())),
        ]);
        serde_json::to_vec(&members).unwrap_or_default()
    }

    /// From the exact bytes; anything that [`StateDocument::bytes`] would write otherwise is none.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MAX_DOCUMENT_BYTES {
            return None;
        }
        let value = json::parse(bytes).ok()?;
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let count = |name: &str| value.get("counts")?.get(name)?.as_i64().filter(|count| *count >= 0);
        let document = Self {
            unit: UnitCode::parse(text("unit")?)?,
            month: Month::parse(text("month")?)?,
            at: value.get("at")?.as_i64()?,
            catalogue: text("catalogue")?.to_owned(),
            tally: Tally {
                records: count("records")?,
                holds: [count("correct")?, count("sufficient")?, count("clean")?, count("live")?],
                all: count("all")?,
            },
            root: text("root")?.to_owned(),
            previous: text("previous").map(str::to_owned),
        };
        (document.bytes() == bytes).then_some(document)
    }

    /// What the next approval of the unit names.
    pub fn digest(bytes: &[u8]) -> String {
        hex(&Sha256::digest(bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chance::Chance;

    fn leaves(count: u64) -> Vec<Leaf> {
        let chance = Chance::seeded([3; 32]);
        let leaf = |at: u64| Leaf {
            record: Handle::random(&chance),
            version: i64::try_from(at).unwrap() + 1,
            digest: hex(&Sha256::digest(at.to_be_bytes())),
        };
        (0..count).map(leaf).collect()
    }

    /// RFC 6962 section 2.1, word for word.
    fn by_the_book(leaves: &[Leaf]) -> [u8; 32] {
        match leaves {
            [] => Sha256::digest([]).into(),
            [leaf] => Sha256::digest([&[0], leaf.text().as_bytes()].concat()).into(),
            _ => {
                let left = leaves.len().next_power_of_two() / 2;
                node(&by_the_book(&leaves[..left]), &by_the_book(&leaves[left..]))
            }
        }
    }

    #[test]
    fn the_tree_is_that_of_rfc_6962() {
        for count in (0..40).chain([63, 64, 65, 127, 1000]) {
            let leaves = leaves(count);
            assert_eq!(Tree::of(&leaves).root(), hex(&by_the_book(&leaves)), "{count}");
        }
    }

    fn document() -> StateDocument {
        StateDocument {
            unit: UnitCode::parse("H26").unwrap(),
            month: Month::parse("2026-11").unwrap(),
            at: 1_795_325_268,
            catalogue: "2023".into(),
            tally: Tally { records: 4, holds: [3, 4, 2, 1], all: 1 },
            root: Tree::default().root(),
            previous: None,
        }
    }

    #[test]
    fn the_document_is_canonical_and_nothing_else_is_read() {
        let bytes = document().bytes();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.starts_with(
            r#"{"at":1795325268,"catalogue":"2023","counts":{"all":1,"clean":2,"correct":3,"live":1,"records":4,"sufficient":4},"month":"2026-11","previous":null,"root":"e3b0"#
        ));
        assert_eq!(StateDocument::parse(&bytes), Some(document()));
        for other in [
            format!("{text}\n"),
            text.replace(":null", ": null"),
            text.replace("\"at\":1795325268,", ""),
            text.replace("\"unit\":\"H26\"", "\"unit\":\"H26\",\"x\":1"),
            text.replace("\"all\":1", "\"all\":-1"),
            text.replace("\"all\":1", "\"all\":1.0"),
            text.replace("approval/1", "approval/2"),
            text.replace("H26", "\\u0048\\u0032\\u0036"),
            "{}".into(),
        ] {
            assert_eq!(StateDocument::parse(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn leaves_are_read_in_one_form_only() {
        let leaf = leaves(1).remove(0);
        assert_eq!(Leaf::parse(&leaf.text()), Some(leaf.clone()));
        for wrong in
            [leaf.text().to_lowercase(), format!("{} ", leaf.text()), leaf.text().replace(" 1 ", " 01 "), String::new()]
        {
            assert_eq!(Leaf::parse(&wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn every_change_of_a_leaf_changes_the_root(count in 1_u64..60, place in 0_usize..60, what in 0_u8..3) {
            let leaves = leaves(count);
            let place = place % leaves.len();
            let mut changed = leaves.clone();
            match what {
                0 => changed[place].version += 1,
                1 => changed[place].digest = hex(&Sha256::digest(b"x")),
                _ => { changed.remove(place); }
            }
            prop_assert_ne!(Tree::of(&leaves).root(), Tree::of(&changed).root());
        }

        #[test]
        fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,120}") {
            let _ = StateDocument::parse(&bytes);
            let _ = Leaf::parse(&text);
        }

        #[test]
        fn what_is_written_is_read(at in 0_i64..9_000_000_000, records in 0_i64..3_000_000, previous in prop::option::of("[0-9a-f]{64}")) {
            let document = StateDocument { at, tally: Tally { records, ..Tally::default() }, previous, ..document() };
            prop_assert_eq!(StateDocument::parse(&document.bytes()), Some(document));
        }
    }
}
