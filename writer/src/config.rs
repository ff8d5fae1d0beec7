//! How the writer batches, rolls and retries.
//!
//! Owns: the values the pipeline works with, and the constants nobody has needed to change.
//! Does not own: reading the environment (common's settings).

use std::time::Duration;

use common::config::Settings;

/// Rows of one decoded chunk. Parquet's row-group limit splits only between batches, so batches stay small.
pub(crate) const CHUNK_MESSAGES_MAX: usize = 8192;

/// Raw bytes of one chunk: bounds what decoding and encoding hold beside the budget.
pub(crate) const CHUNK_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Uploads of one partition that run at once, so that a slow store overlaps with the next batch.
pub(crate) const PARTITION_UPLOADS_MAX: usize = 2;

/// Uploads of all partitions that run at once.
pub(crate) const PROCESS_UPLOADS_MAX: usize = 32;

/// Commits or intents that share one transaction.
pub(crate) const GROUP_COMMIT_MAX: usize = 500;

/// Messages of one fetch.
pub(crate) const FETCH_MESSAGES_MAX: usize = 10_000;

/// Bytes of one fetch, when the budget is large enough.
pub(crate) const FETCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The janitor's second deletion comes after this many holds: 7 days at the default hold of 24 hours.
const SECOND_SWEEP_HOLDS: u32 = 7;
/// A put may be under way for ten minutes.
const SECOND_SWEEP_MIN: Duration = Duration::from_secs(60 * 60);

/// Settings of a writer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterConfig {
    /// A segment is closed when its encoded size reaches this, in bytes.
    pub segment_bytes_max: usize,
    /// A segment is closed when it holds this many rows.
    pub segment_records_max: usize,
    /// A segment is closed when its first message has waited this long.
    pub batch_age_max: Duration,
    /// Target size of a Parquet data page, in bytes.
    pub block_size_target: usize,
    /// Memory for messages and open segments in all partitions together, in bytes.
    pub memory_budget_bytes: usize,
    /// Failed attempts before an upload or commit is logged as an error; it goes on.
    pub upload_retries: u32,
    /// After this long without a sign, another writer may take over.
    pub lease: Duration,
    /// How long the janitor leaves an object that is not listed, or no longer.
    pub janitor_hold: Duration,
    /// When it deletes the object once more; longer than any put may be under way.
    pub janitor_second_sweep: Duration,
    /// How long a shutdown may take.
    pub shutdown_timeout: Duration,
}

impl Default for WriterConfig {
    fn default() -> Self {
        Self::from(&Settings::default())
    }
}

impl From<&Settings> for WriterConfig {
    fn from(settings: &Settings) -> Self {
        Self {
            segment_bytes_max: settings.max_segment_size_bytes,
            segment_records_max: settings.max_segment_records,
            batch_age_max: settings.flush_interval(),
            block_size_target: 1024 * 1024,
            memory_budget_bytes: settings.memory_budget_bytes,
            upload_retries: settings.upload_retries,
            lease: Duration::from_secs(settings.lease_secs),
            janitor_hold: Duration::from_secs(settings.janitor_hold_secs),
            janitor_second_sweep: (Duration::from_secs(settings.janitor_hold_secs) * SECOND_SWEEP_HOLDS)
                .max(SECOND_SWEEP_MIN),
            shutdown_timeout: Duration::from_secs(settings.shutdown_timeout_secs),
        }
    }
}
