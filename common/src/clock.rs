//! Wall-clock time, injected so that tests can set it.
//!
//! Owns: the only calls of the system's wall clock. Does not own: timers and time-outs, which are tokio's.
//! No safety decision depends on this clock: leases expire by the database's.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A source of wall-clock time.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Now, in microseconds since the Unix epoch, UTC.
    fn now_us(&self) -> i64;

    /// Now, in milliseconds since the Unix epoch, UTC.
    fn now_ms(&self) -> i64 {
        self.now_us() / 1000
    }
}

/// Microseconds of a UTC day, which has no leap seconds.
pub const DAY_US: i64 = 24 * 3_600 * 1_000_000;

/// The UTC day of a time in microseconds since the Unix epoch: the number of days since 1970-01-01.
pub fn utc_day(time_us: i64) -> i64 {
    time_us.div_euclid(DAY_US)
}

/// A clock shared by many components.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn now_us(&self) -> i64 {
        chrono::Utc::now().timestamp_micros()
    }
}

/// The machine's clock as a shared clock.
pub fn system_clock() -> SharedClock {
    Arc::new(SystemClock)
}

/// A clock that stands still until a test moves it.
#[derive(Debug, Default)]
pub struct ManualClock {
    now_us: AtomicI64,
}

impl ManualClock {
    /// A clock that shows `now_us`.
    pub fn at(now_us: i64) -> Self {
        Self { now_us: AtomicI64::new(now_us) }
    }

    /// Moves the clock to `now_us`, forward or back.
    pub fn set(&self, now_us: i64) {
        self.now_us.store(now_us, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_us(&self) -> i64 {
        self.now_us.load(Ordering::SeqCst)
    }
}
