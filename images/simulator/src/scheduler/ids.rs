//! Chance, made repeatable: everything random in one evaluation comes from one seed.
//!
//! The scheduler is a pure function; the seed is made of the evaluation, the snapshot and the
//! time, so a second try of the same evaluation shuffles and names differently.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

use crate::types::Nanos;

/// The source of UUIDs, shuffles and dynamic ports of one evaluation.
pub(crate) struct Chance(StdRng);

impl Chance {
    /// Seeds from what makes this run of the scheduler unique.
    pub(crate) fn new(eval_id: &str, index: u64, now: Nanos) -> Self {
        let mut hash = Sha256::new();
        hash.update(eval_id.as_bytes());
        hash.update(index.to_be_bytes());
        hash.update(now.to_be_bytes());
        Self(StdRng::from_seed(hash.finalize().into()))
    }

    /// A fresh UUID, version 4.
    pub(crate) fn uuid(&mut self) -> String {
        let bytes: [u8; 16] = self.0.random();
        uuid::Builder::from_random_bytes(bytes)
            .into_uuid()
            .to_string()
    }

    /// Shuffles in place.
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        items.shuffle(&mut self.0);
    }

    /// A number between both, inclusive.
    pub(super) fn between(&mut self, low: u16, high: u16) -> u16 {
        self.0.random_range(low..=high.max(low))
    }
}
