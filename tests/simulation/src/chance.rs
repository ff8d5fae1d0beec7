//! Chance from a seed.
//!
//! Owns: every draw of the simulation's own. Does not own: the jitter of the writer's waits, which comes from
//! `fastrand`'s generator of the thread and is seeded with the run.

use std::ops::Range;
use std::sync::{Arc, Mutex};

/// A generator that many parts share. Draws come in the order of the run, which is itself determined by the seed.
#[derive(Clone, Debug)]
pub struct Chance {
    // Held for one draw.
    generator: Arc<Mutex<fastrand::Rng>>,
}

impl Chance {
    /// The generator of `seed`.
    pub fn seeded(seed: u64) -> Self {
        Self { generator: Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))) }
    }

    /// A number of the range; its start when the range is empty.
    pub fn between(&self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return range.start;
        }
        self.generator.lock().expect("no holder panics").u64(range)
    }

    /// A number below `end`.
    pub fn below(&self, end: u64) -> u64 {
        self.between(0..end)
    }

    /// True in `per_mille` of 1000 cases.
    pub fn happens(&self, per_mille: u32) -> bool {
        per_mille > 0 && self.below(1000) < u64::from(per_mille)
    }

    /// One of these.
    pub fn pick<T: Clone>(&self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize].clone()
    }

    /// A generator of its own, so that draws of one part do not shift those of another.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::seeded(self.below(u64::MAX))
    }
}
