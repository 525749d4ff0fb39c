//! The only place that draws randomness. A ChaCha12 generator in user space, seeded and reseeded from the system:
//! sound for salts, handles and codes, and forty times cheaper than a system call for each.

use std::sync::{Mutex, PoisonError};

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Draws between two reseedings from the system.
#[cfg(feature = "server")]
const DRAWS_PER_SEED: u32 = 1 << 16;

/// A source of unpredictable bytes, shared by reference.
pub struct Chance(Mutex<Source>);

struct Source {
    generator: ChaCha12Rng,
    /// Draws left until the next seed; `None` for a fixed seed.
    #[cfg_attr(not(feature = "server"), allow(dead_code))]
    draws_left: Option<u32>,
}

impl Chance {
    /// Seeded by the operating system.
    #[cfg(feature = "server")]
    pub fn system() -> Self {
        Self(Mutex::new(Source { generator: system_generator(), draws_left: Some(DRAWS_PER_SEED) }))
    }

    /// Repeatable, for tests and for hosts that bring their own 32 random bytes (the browser).
    pub fn seeded(seed: [u8; 32]) -> Self {
        Self(Mutex::new(Source { generator: ChaCha12Rng::from_seed(seed), draws_left: None }))
    }

    /// Fills `bytes`.
    pub fn fill(&self, bytes: &mut [u8]) {
        let mut source = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        #[cfg(feature = "server")]
        match &mut source.draws_left {
            Some(0) => *source = Source { generator: system_generator(), draws_left: Some(DRAWS_PER_SEED) },
            Some(left) => *left -= 1,
            None => {}
        }
        source.generator.fill_bytes(bytes);
    }

    /// `N` fresh bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }
}

impl std::fmt::Debug for Chance {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Chance")
    }
}

#[cfg(feature = "server")]
#[allow(clippy::disallowed_methods)]
fn system_generator() -> ChaCha12Rng {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("the operating system has randomness");
    ChaCha12Rng::from_seed(seed)
}
