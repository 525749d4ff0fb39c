//! Where in a status list a credential's status stands: an index that nobody can foretell, never given twice.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Which credentials have their entries in a status list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListPurpose {
    /// Cards and badges shown as QR codes: checkpoints carry these lists.
    Qr,
    /// Credentials that are shown online.
    Other,
    /// Both, from before they were told apart: checkpoints carry them, and nothing new gets an entry there.
    Any,
}

impl ListPurpose {
    /// The purposes that new entries are drawn for.
    pub const DRAWN: [Self; 2] = [Self::Qr, Self::Other];

    /// Its word in the database.
    pub fn word(self) -> &'static str {
        match self {
            Self::Qr => "qr",
            Self::Other => "other",
            Self::Any => "any",
        }
    }

    /// From its word; one that is not known could be anything.
    pub fn of_word(word: &str) -> Self {
        Self::DRAWN.into_iter().find(|purpose| purpose.word() == word).unwrap_or(Self::Any)
    }

    /// Whether checkpoints carry the list.
    pub fn is_carried(self) -> bool {
        self != Self::Other
    }
}

/// Rounds of the Feistel network; four make it strong when the half is wide, ten when it is a few bits.
const ROUNDS: u8 = 10;

/// A secret bijection of `0..size`. Counting positions up gives indices in an order that only the key knows (Token
/// Status List section 13.2; HAIP 1.0 asks for unpredictable indices), without a memory of those given before.
///
/// A Feistel network over the next even number of bits, walked until it falls back into the range.
#[derive(Clone)]
pub struct Permutation {
    round: Hmac<Sha256>,
    size: u32,
    half_bits: u32,
}

impl Permutation {
    /// The bijection of `0..size` under `key`. Every list needs a key of its own.
    pub fn new(key: &[u8; 32], size: u32) -> Self {
        let bits = u32::BITS - size.saturating_sub(1).leading_zeros();
        let round = Hmac::new_from_slice(key).expect("HMAC takes keys of every length");
        Self { round, size, half_bits: bits.div_ceil(2).max(1) }
    }

    /// How many indices there are.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// The index for a position; none outside the range.
    pub fn index(&self, position: u32) -> Option<u32> {
        if position >= self.size {
            return None;
        }
        // The network is a bijection of a range less than four times as large, so that the cycle through `position`
        // comes back into ours after four steps on average.
        let mut block = u64::from(position);
        loop {
            block = self.encipher(block);
            match u32::try_from(block) {
                Ok(index) if index < self.size => return Some(index),
                _ => {}
            }
        }
    }

    fn encipher(&self, block: u64) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = (block >> self.half_bits, block & mask);
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ (self.mix(round, right) & mask));
        }
        left << self.half_bits | right
    }

    fn mix(&self, round: u8, half: u64) -> u64 {
        let mut mac = self.round.clone();
        mac.update(&[round]);
        mac.update(&half.to_be_bytes());
        let digest = mac.finalize().into_bytes();
        digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

impl std::fmt::Debug for Permutation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Permutation(0..{})", self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn every_index_is_given_exactly_once(key in any::<[u8; 32]>(), size in 1_u32..600) {
            let permutation = Permutation::new(&key, size);
            let mut given: Vec<_> = (0..size).map(|position| permutation.index(position).unwrap()).collect();
            given.sort_unstable();
            prop_assert_eq!(given, (0..size).collect::<Vec<_>>());
            prop_assert_eq!(permutation.index(size), None);
        }

        #[test]
        fn the_largest_lists_have_an_index_for_every_position(key in any::<[u8; 32]>(), position in any::<u32>()) {
            let permutation = Permutation::new(&key, u32::MAX);
            prop_assert_eq!(permutation.index(position).is_some(), position < u32::MAX);
        }
    }

    #[test]
    fn an_empty_list_gives_nothing() {
        assert_eq!(Permutation::new(&[0; 32], 0).index(0), None);
    }

    #[test]
    fn another_key_is_another_order() {
        let order = |key| (0..64).map(|at| Permutation::new(&[key; 32], 1 << 17).index(at)).collect::<Vec<_>>();
        assert_ne!(order(1), order(2));
        // No arithmetic progression: neighbours do not keep their distance.
        let given: Vec<_> = order(1).into_iter().flatten().map(i64::from).collect();
        assert!(given.windows(3).any(|three| three[1] - three[0] != three[2] - three[1]));
    }
}
