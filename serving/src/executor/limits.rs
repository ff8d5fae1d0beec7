//! The limits of statements.
//!
//! Owns: the settings that give them. Does not own: keeping them (`slots`, `run`).

use std::time::Duration;

use common::config::Settings;
use lake::query::QueryOptions;

/// The limits of statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Queries that run at once.
    pub concurrency: usize,
    /// Queries that may wait for a slot.
    pub queue: usize,
    /// Longest wait for a slot.
    pub queue_wait: Duration,
    /// Bytes of memory of one query.
    pub memory_bytes: usize,
    /// Longest time of one query, from its slot to the last row that its client took.
    pub timeout: Duration,
    /// Most rows of one answer.
    pub rows: u64,
}

impl Limits {
    /// Those that the settings name.
    pub fn of(settings: &Settings) -> Self {
        Self {
            concurrency: settings.query_concurrency,
            queue: settings.query_queue,
            queue_wait: Duration::from_secs(settings.query_queue_secs),
            memory_bytes: settings.query_memory_bytes,
            timeout: Duration::from_secs(settings.query_timeout_secs),
            rows: settings.query_rows_max,
        }
    }

    /// The options of a session whose statements keep these limits.
    pub fn options(&self) -> QueryOptions {
        QueryOptions { memory_bytes_max: self.memory_bytes, memory_of_each: true, ..QueryOptions::default() }
    }
}
