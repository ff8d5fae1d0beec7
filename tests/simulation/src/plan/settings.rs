//! The settings of a run's writers.
//!
//! Owns: their values, small enough that much happens in a minute. Does not own: the plan.

use std::time::Duration;

use writer::compact::CompactionConfig;

use crate::chance::Chance;

const LEASE: Duration = Duration::from_millis(2_500);
const JANITOR_HOLD: Duration = Duration::from_secs(6);
/// Later than any put that is under way.
const JANITOR_SECOND_SWEEP: Duration = Duration::from_secs(42);

/// Few objects are merged at once, and soon again with others.
pub(super) fn compaction(is_on: bool, end_ms: u64) -> CompactionConfig {
    CompactionConfig {
        is_on,
        target_bytes: 256 * 1024,
        objects_min: 2 + (end_ms / 2 % 4) as usize,
        memory_bytes: 1024 * 1024,
        pause: Duration::from_millis(500 + end_ms % 1_500),
        is_compressed: false,
    }
}

/// Every writer publishes, in two runs of seven: a few versions of each table in a run.
pub(super) fn publish_interval(is_forced: bool, end_ms: u64) -> Option<Duration> {
    let milliseconds = if is_forced { 2_000 + end_ms % 3_000 } else { 5_000 + end_ms % 10_000 };
    (is_forced || end_ms % 7 < 2).then(|| Duration::from_millis(milliseconds))
}

/// Settings that differ from run to run.
pub(super) fn config(chance: &Chance) -> writer::WriterConfig {
    writer::WriterConfig {
        segment_bytes_max: 1024 * 1024,
        segment_records_max: chance.between(2..40) as usize,
        batch_age_max: Duration::from_millis(chance.between(100..2_000)),
        block_size_target: 4096,
        is_compressed: false,
        memory_budget_bytes: chance.pick(&[16 * 1024, 1024 * 1024]),
        lease: LEASE,
        janitor_hold: JANITOR_HOLD,
        janitor_second_sweep: JANITOR_SECOND_SWEEP,
        shutdown_timeout: Duration::from_secs(8),
        ..writer::WriterConfig::default()
    }
}
