//! Limits and checks of a session.
//!
//! Owns: their defaults. Does not own: keeping them (`session`).

use super::HotTailSettings;

/// Limits and checks of a session.
#[derive(Clone, Copy, Debug)]
pub struct QueryOptions {
    /// Memory of all running queries together, in bytes; beyond it operators spill to temporary files, in the system's
    /// folder for them, or the query fails.
    pub memory_bytes_max: usize,
    /// Every statement has this memory for itself, instead of a part of it.
    pub memory_of_each: bool,
    /// Partitions that plans are made for: about the number of cores to use. 0 means all.
    pub parallelism: usize,
    /// Read each object whole and compare it with its checksum before any of it is used. Without it a changed byte may
    /// be an error, or another value: Parquet's pages carry no checksums of their own.
    pub verify: bool,
    /// Settings of the hot tail with which sessions begin.
    pub hot_tail: HotTailSettings,
}

impl Default for QueryOptions {
    fn default() -> Self {
        let hot_tail = HotTailSettings::default();
        Self { memory_bytes_max: 512 * 1024 * 1024, memory_of_each: false, parallelism: 0, verify: false, hot_tail }
    }
}
