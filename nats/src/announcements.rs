//! Announcements of commits as plain messages of NATS, which no stream keeps.
//!
//! Owns: their subject and their form, and the silence after a login was denied the subject. Does not own: their meaning
//! (`common::queue::announcements`), the events of the connection (`connection`).

use std::fmt;
use std::sync::Arc;

use async_nats::connection::State;
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::connection::Connection;
use common::ids::{TopicName, TopicPartition};
use common::queue::{Announcement, Announcements};

/// The subject on which writers announce what they have committed.
pub const ANNOUNCEMENTS_SUBJECT: &str = "siltstone.commits";

/// Announcements in one message at most: it stays far below the smallest limit that servers are given.
const ENTRIES_MAX: usize = 500;

/// The way of announcements over one connection.
pub(super) struct NatsAnnouncements {
    pub(super) connection: Arc<Connection>,
}

impl fmt::Debug for NatsAnnouncements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsAnnouncements").finish_non_exhaustive()
    }
}

#[async_trait]
impl Announcements for NatsAnnouncements {
    async fn announce(&self, announcements: &[Announcement]) {
        let client = &self.connection.client;
        for part in announcements.chunks(ENTRIES_MAX) {
            // What the client keeps for a server that is away would be old when it arrives.
            if self.connection.is_announcing_denied() || client.connection_state() != State::Connected {
                return;
            }
            if let Err(error) = client.publish(ANNOUNCEMENTS_SUBJECT, encode(part)).await {
                tracing::debug!(%error, "commits are not announced");
            }
        }
    }

    async fn listen(&self) -> Option<BoxStream<'static, Vec<Announcement>>> {
        match self.connection.client.subscribe(ANNOUNCEMENTS_SUBJECT).await {
            Ok(messages) => Some(messages.filter_map(|message| async move { decode(&message.payload) }).boxed()),
            Err(error) => {
                tracing::debug!(%error, "no announcements of commits");
                None
            }
        }
    }
}

/// A JSON array of `[topic, partition, high watermark]`.
fn encode(announcements: &[Announcement]) -> Bytes {
    let entry = |announcement: &Announcement| {
        let Announcement { partition, high_watermark } = announcement;
        (partition.topic.clone(), partition.partition_id, *high_watermark)
    };
    let entries: Vec<(TopicName, u32, u64)> = announcements.iter().map(entry).collect();
    serde_json::to_vec(&entries).expect("names and numbers are JSON").into()
}

/// `None` for what nobody but a stranger sends.
fn decode(payload: &[u8]) -> Option<Vec<Announcement>> {
    let entries: Vec<(TopicName, u32, u64)> = serde_json::from_slice(payload).ok()?;
    let announcement = |(topic, partition_id, high_watermark)| Announcement {
        partition: TopicPartition::new(topic, partition_id),
        high_watermark,
    };
    Some(entries.into_iter().map(announcement).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_read_and_anything_else_is_nothing() {
        let announcement = |topic: &str, partition_id, high_watermark| Announcement {
            partition: TopicPartition::new(TopicName::new(topic).expect("valid"), partition_id),
            high_watermark,
        };
        let sent = [announcement("orders", 3, u64::MAX), announcement("a b \"c\"", 0, 0)];
        let payload = encode(&sent);
        assert_eq!(&payload[..], br#"[["orders",3,18446744073709551615],["a b \"c\"",0,0]]"#);
        assert_eq!(decode(&payload), Some(sent.to_vec()));
        for other in ["", "{}", "[[\"\",0,0]]", "[[\"a\",-1,0]]", "[[\"a\",0,0,0]]", "[[\"a\",0,1e3]]", "\u{0}"] {
            assert_eq!(decode(other.as_bytes()), None, "{other}");
        }
    }
}
