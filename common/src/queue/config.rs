//! The queue to connect to, as plain data.
//!
//! Owns: the shape and the defaults. Does not own: the settings of the services, which are read elsewhere.

use std::collections::BTreeMap;

/// The queue to connect to. The default is a queue in this process's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueConfig {
    /// `memory` or `nats`.
    pub queue_type: String,
    /// Its address: `memory://local`, or `nats://host:port`.
    pub url: String,
    /// Further settings by name; the memory queue accepts `capacity_bytes`.
    pub options: BTreeMap<String, String>,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self { queue_type: "memory".to_owned(), url: "memory://local".to_owned(), options: BTreeMap::new() }
    }
}
