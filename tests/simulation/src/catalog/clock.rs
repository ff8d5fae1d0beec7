//! The clock of the modelled database.
//!
//! Owns: wall-clock time that follows tokio's time: virtual where that is paused, real elsewhere.
//! Does not own: jumps, which are the server's (`ModelCatalog::jump_clock`).

use std::sync::Arc;

use common::clock::{Clock, SharedClock};
use tokio::time::Instant;

/// 15 June 2025, 15:06:40 UTC: any plausible time.
const START_US: i64 = 1_750_000_000_000_000;

/// Wall-clock time that begins at a fixed moment and passes as tokio's time does.
#[derive(Debug)]
pub struct VirtualClock {
    started: Instant,
}

impl VirtualClock {
    /// A clock that starts now, ready to share.
    pub fn shared() -> SharedClock {
        Arc::new(Self { started: Instant::now() })
    }
}

impl Clock for VirtualClock {
    fn now_us(&self) -> i64 {
        let passed = i64::try_from(self.started.elapsed().as_micros()).expect("a test ends within 292,000 years");
        START_US + passed
    }
}
