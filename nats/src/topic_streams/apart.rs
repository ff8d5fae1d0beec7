//! A partition's own connection, once it holds messages that end the connection which carries them.
//!
//! Owns: whether the partition needs one, and making it. Does not own: which messages those are (`headers`).
//!
//! The client gives up its connection at headers that it cannot read, and with the connection every subscription on it: one
//! publisher would disturb all topics of the process.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::config::NatsConfig;
use crate::connection::Connection;
use common::ids::TopicPartition;

/// Pause after a failed attempt to connect: a server may limit the connections of a login.
const ATTEMPT_PAUSE: Duration = Duration::from_secs(30);

/// The connection of one partition alone.
#[derive(Default)]
pub(crate) struct Apart {
    is_needed: AtomicBool,
    /// Held while it is made, so that it is made once.
    own: Mutex<Own>,
}

#[derive(Default)]
enum Own {
    #[default]
    Absent,
    Refused(Instant),
    Made(Arc<Connection>),
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

    /// The connection that brings the messages of a partition that needs its own: that one if the server allows it, else the
    /// shared one, over which they come as well.
    pub(crate) async fn or_shared(&self, shared: &Arc<Connection>, config: &NatsConfig) -> Arc<Connection> {
        let mut own = self.own.lock().await;
        match &*own {
            Own::Made(connection) => return Arc::clone(connection),
            Own::Refused(at) if at.elapsed() < ATTEMPT_PAUSE => return Arc::clone(shared),
            // The last connection that a server allows must stay the shared one's, which is about to connect again.
            _ if shared.client.connection_state() != State::Connected => return Arc::clone(shared),
            Own::Refused(_) | Own::Absent => {}
        }
        match Connection::new(config).await {
            Ok(connection) => {
                let connection = Arc::new(connection);
                *own = Own::Made(Arc::clone(&connection));
                connection
            }
            Err(error) => {
                tracing::warn!(%error, "no connection for one partition alone, reading goes on over the shared one");
                *own = Own::Refused(Instant::now());
                Arc::clone(shared)
            }
        }
    }
}

impl fmt::Debug for Apart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Apart").field("is_needed", &self.is_needed()).finish_non_exhaustive()
    }
}
