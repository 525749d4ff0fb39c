//! What one lane has seen: a live code that is shown again within two minutes is one code in two hands, or was scanned
//! twice. Only digests are kept, and no longer than that.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::clock::UnixSeconds;

/// How long a code is remembered: longer than its proof is accepted, before and after its moment.
pub const REMEMBERED_SECONDS: i64 = 120;
/// Most codes that are remembered; beyond it the oldest is forgotten. Thirty a second for two minutes.
pub const MAX_REMEMBERED: usize = 4_096;

/// Codes seen lately.
#[derive(Debug, Default)]
pub struct Memory(HashMap<[u8; 16], UnixSeconds>);

impl Memory {
    /// Remembers a card's code of a moment; says how many seconds ago it was first seen, if it was.
    pub fn seen(&mut self, card: &str, proof_time: UnixSeconds, now: UnixSeconds) -> Option<i64> {
        self.0.retain(|_, at| now.saturating_sub(*at).abs() <= REMEMBERED_SECONDS);
        let mut digest = Sha256::new();
        digest.update(proof_time.to_be_bytes());
        digest.update(card);
        let mut name = [0; 16];
        name.copy_from_slice(&digest.finalize()[..16]);
        if let Some(at) = self.0.get(&name) {
            return Some(now.saturating_sub(*at).max(0));
        }
        if self.0.len() >= MAX_REMEMBERED
            && let Some(oldest) = self.0.iter().min_by_key(|(_, at)| **at).map(|(name, _)| *name)
        {
            self.0.remove(&oldest);
        }
        self.0.insert(name, now);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_remembered_for_two_minutes() {
        let mut memory = Memory::default();
        assert_eq!(memory.seen("A", 100, 100), None);
        assert_eq!(memory.seen("A", 100, 107), Some(7));
        assert_eq!(memory.seen("A", 115, 115), None, "the next code of the same card");
        assert_eq!(memory.seen("B", 100, 115), None, "another card");
        assert_eq!(memory.seen("A", 100, 220), Some(120));
        assert_eq!(memory.seen("A", 100, 221), None);
    }

    #[test]
    fn it_is_bounded() {
        let mut memory = Memory::default();
        for card in 0..=MAX_REMEMBERED {
            assert_eq!(memory.seen(&card.to_string(), 0, i64::from(card != 0)), None);
        }
        assert_eq!(memory.0.len(), MAX_REMEMBERED);
        assert_eq!(memory.seen("1", 0, 1), Some(0));
        assert_eq!(memory.seen("0", 0, 1), None, "the oldest was forgotten");
    }
}
