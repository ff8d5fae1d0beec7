//! The writer's settings for batching, rolling and retrying.
//!
//! Owns: the pipeline's settings, and the constants that no deployment has needed to change.
//! Does not own: reading the environment (common's settings).

use std::time::Duration;

use common::config::Settings;

use crate::operations::compact::CompactionConfig;
use lake::segment::Pages;

/// Most messages of one decoded chunk. Parquet's row-group limit splits only between Arrow batches, so these stay
/// small.
pub(crate) const CHUNK_MESSAGES_MAX: usize = 8192;

/// Most raw bytes of one chunk, a bound of the memory that decoding and encoding hold outside the budget.
pub(crate) const CHUNK_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Concurrent uploads of one partition, so that a slow upload overlaps with the next batch.
pub(crate) const PARTITION_UPLOADS_MAX: usize = 2;

/// Concurrent uploads of all partitions.
pub(crate) const PROCESS_UPLOADS_MAX: usize = 32;

/// Most commits or intents in one transaction.
pub(crate) const GROUP_COMMIT_MAX: usize = 500;

/// Most messages of one fetch.
pub(crate) const FETCH_MESSAGES_MAX: usize = 10_000;

/// Most bytes of one fetch, if the budget is large enough.
pub(crate) const FETCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The janitor deletes an object again after this many holds: 7 days at the default hold of 24 hours.
const SECOND_SWEEP_HOLDS: u32 = 7;
/// Shortest time before the second deletion: a put may be under way for ten minutes.
const SECOND_SWEEP_MIN: Duration = Duration::from_secs(60 * 60);

/// Settings of a writer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterConfig {
    /// Encoded size at which a segment is closed, in bytes.
    pub segment_bytes_max: usize,
    /// Number of rows at which a segment is closed.
    pub segment_records_max: usize,
    /// Waiting time of its first message after which a segment is closed.
    pub batch_age_max: Duration,
    /// Target size of a Parquet data page, in bytes.
    pub block_size_target: usize,
    /// Compress objects; false in simulations alone, which have very many small ones.
    pub is_compressed: bool,
    /// Memory for messages and open segments of all partitions together, in bytes.
    pub memory_budget_bytes: usize,
    /// Failed attempts before an upload or commit is logged as an error; the attempts continue.
    pub upload_retries: u32,
    /// Time without a heartbeat after which another writer may take over.
    pub lease: Duration,
    /// Time for which the janitor keeps an object that is not, or no longer, listed.
    pub janitor_hold: Duration,
    /// Time after which the janitor deletes the object again; longer than any put may be under way.
    pub janitor_second_sweep: Duration,
    /// Merging of small objects.
    pub compaction: CompactionConfig,
    /// Time between two publications of a table for readers of Iceberg; `None` publishes none.
    pub publish_interval: Option<Duration>,
    /// Longest duration of a shutdown.
    pub shutdown_timeout: Duration,
}

impl WriterConfig {
    /// The data pages of objects.
    pub(crate) fn pages(&self) -> Pages {
        Pages { bytes: self.block_size_target, is_compressed: self.is_compressed }
    }
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
            is_compressed: true,
            memory_budget_bytes: settings.memory_budget_bytes,
            upload_retries: settings.upload_retries,
            lease: Duration::from_secs(settings.lease_secs),
            janitor_hold: Duration::from_secs(settings.janitor_hold_secs),
            janitor_second_sweep: (Duration::from_secs(settings.janitor_hold_secs) * SECOND_SWEEP_HOLDS)
                .max(SECOND_SWEEP_MIN),
            compaction: CompactionConfig::of_writer(settings),
            publish_interval: Some(settings.iceberg_publish_interval_secs)
                .filter(|secs| *secs > 0)
                .map(Duration::from_secs),
            shutdown_timeout: Duration::from_secs(settings.shutdown_timeout_secs),
        }
    }
}
