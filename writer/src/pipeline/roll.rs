//! Roll: decides when a batch becomes a segment. Pure.
//!
//! Owns: the reasons and their limits. Does not own: time (the caller passes the batch's age), sealing.

use std::fmt;
use std::time::Duration;

use crate::config::WriterConfig;

/// The reason for closing a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RollReason {
    /// Its encoded size reached the limit.
    Size,
    /// Its first message waited for the longest time allowed.
    Age,
    /// It has the most rows allowed.
    Rows,
    /// The topic's schema changed.
    Schema,
    /// Memory was short, and this open batch was the largest.
    Memory,
    /// A caller requested it.
    Flush,
    /// The writer stops.
    Shutdown,
    /// Earlier owners died here, so that messages are committed a few at a time.
    Isolation,
    /// A producer waits for the commit of a message in it, and everything before it is committed.
    Awaited,
    /// Another partition's batch was due, and goes into the same object.
    Gathered,
    /// The next message is of another UTC day.
    Date,
}

impl RollReason {
    /// All reasons, for metrics and figures.
    pub const ALL: [Self; 11] = [
        Self::Size,
        Self::Age,
        Self::Rows,
        Self::Schema,
        Self::Memory,
        Self::Flush,
        Self::Shutdown,
        Self::Isolation,
        Self::Awaited,
        Self::Gathered,
        Self::Date,
    ];

    /// True if a small batch that is closed for this reason goes into one object with those of other partitions. A full
    /// batch is not small, and isolation wants few messages in a commit.
    pub(crate) fn is_gathered(self) -> bool {
        !matches!(self, Self::Size | Self::Rows | Self::Isolation)
    }

    /// True if the batches of the topic's other partitions are to be closed with it.
    pub(crate) fn calls_others(self) -> bool {
        matches!(self, Self::Age | Self::Memory)
    }

    /// The word in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Age => "age",
            Self::Rows => "rows",
            Self::Schema => "schema",
            Self::Memory => "memory",
            Self::Flush => "flush",
            Self::Shutdown => "shutdown",
            Self::Isolation => "isolation",
            Self::Awaited => "awaited",
            Self::Gathered => "gathered",
            Self::Date => "date",
        }
    }
}

impl fmt::Display for RollReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The limits of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollPolicy {
    bytes_max: usize,
    records_max: usize,
    age_max: Duration,
}

impl From<&WriterConfig> for RollPolicy {
    fn from(config: &WriterConfig) -> Self {
        Self {
            bytes_max: config.segment_bytes_max,
            records_max: config.segment_records_max,
            age_max: config.batch_age_max,
        }
    }
}

impl RollPolicy {
    /// The encoded size of a full batch, in bytes.
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Longest time that a batch may wait.
    pub fn age_max(&self) -> Duration {
        self.age_max
    }

    /// The reason to close a batch of this encoded size and number of rows, if it is full.
    pub fn when_full(&self, encoded_bytes: usize, records: usize) -> Option<RollReason> {
        if encoded_bytes >= self.bytes_max {
            return Some(RollReason::Size);
        }
        (records >= self.records_max).then_some(RollReason::Rows)
    }

    /// The reason to close a batch of this age, if it has waited for the longest time allowed.
    pub fn when_old(&self, age: Duration) -> Option<RollReason> {
        (age >= self.age_max).then_some(RollReason::Age)
    }
}

/// The reason to close a batch that begins at `base_offset`, if it holds an awaited message and everything before it is
/// committed. While an earlier batch is on its way to the catalog, messages gather, so that the time of one commit sets
/// the pace: batches grow with the load, and a failing store or catalog is not asked more often.
pub fn when_awaited(holds_awaited: bool, base_offset: u64, high_watermark: u64) -> Option<RollReason> {
    (holds_awaited && base_offset == high_watermark).then_some(RollReason::Awaited)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_reached_exactly() {
        let policy = RollPolicy { bytes_max: 100, records_max: 10, age_max: Duration::from_secs(5) };
        assert_eq!(policy.when_full(99, 9), None);
        assert_eq!(policy.when_full(100, 0), Some(RollReason::Size));
        assert_eq!(policy.when_full(0, 10), Some(RollReason::Rows));
        assert_eq!(policy.when_old(Duration::from_millis(4_999)), None);
        assert_eq!(policy.when_old(Duration::from_secs(5)), Some(RollReason::Age));
    }

    #[test]
    fn an_awaited_batch_is_closed_when_all_before_it_is_committed() {
        assert_eq!(when_awaited(true, 7, 7), Some(RollReason::Awaited));
        assert_eq!(when_awaited(true, 7, 3), None, "an earlier batch is on its way");
        assert_eq!(when_awaited(false, 7, 7), None, "nobody waits");
    }
}
