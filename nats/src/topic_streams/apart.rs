//! A partition's own connection, once it holds messages that end the connection which carries them.
//!
//! Owns: whether the partition needs one, and making it. Does not own: which messages those are (`headers`).
//!
//! The client gives up its connection at headers that it cannot read, and with the connection every subscription on it: one
//! publisher would disturb all topics of the process.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::OnceCell;

use crate::config::NatsConfig;
use crate::connection::Connection;
use common::ids::TopicPartition;
use common::queue::QueueError;

/// The connection of one partition alone.
#[derive(Default)]
pub(crate) struct Apart {
    is_needed: AtomicBool,
    connection: OnceCell<Arc<Connection>>,
}

impl Apart {
    /// Records that the client cannot read the headers of a message of the partition.
    pub(crate) fn need(&self, partition: &TopicPartition, offset: u64) {
        if !self.is_needed.swap(true, Ordering::Relaxed) {
            tracing::warn!(%partition, offset,
                "a message has headers that end the connection; from now on the partition is read over one of its own");
        }
    }

    pub(crate) fn is_needed(&self) -> bool {
        self.is_needed.load(Ordering::Relaxed)
    }

    /// The connection, made at the first call.
    pub(crate) async fn connection(&self, config: &NatsConfig) -> Result<Arc<Connection>, QueueError> {
        let make = || async { Connection::new(config).await.map(Arc::new) };
        self.connection.get_or_try_init(make).await.cloned()
    }
}

impl fmt::Debug for Apart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Apart").field("is_needed", &self.is_needed()).finish_non_exhaustive()
    }
}
