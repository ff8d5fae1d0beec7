//! Virtual time as wall-clock time.
//!
//! Owns: the moment at which a run begins. Does not own: timers, which are tokio's, paused and advanced by it.

use std::sync::atomic::{AtomicI64, Ordering};

use common::clock::Clock;
use tokio::time::Instant;

/// Begin of every run: 2024-01-01, 00:00 UTC, in microseconds.
pub const BEGIN_US: i64 = 1_704_067_200_000_000;

/// The runtime's time since the clock was made, after [`BEGIN_US`]; it can be set wrong.
#[derive(Debug)]
pub struct VirtualClock {
    started: Instant,
    error_us: AtomicI64,
}

impl VirtualClock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self { started: Instant::now(), error_us: AtomicI64::new(0) }
    }

    /// Milliseconds since the start, regardless of the clock's error.
    pub fn elapsed_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Sets the clock forward or back.
    pub fn jump_us(&self, by_us: i64) {
        self.error_us.fetch_add(by_us, Ordering::SeqCst);
    }
}

impl Clock for VirtualClock {
    fn now_us(&self) -> i64 {
        BEGIN_US + self.started.elapsed().as_micros() as i64 + self.error_us.load(Ordering::SeqCst)
    }
}
