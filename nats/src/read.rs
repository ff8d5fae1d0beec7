//! Stored messages by offset, without a consumer: reading them, and deleting one.
//!
//! Owns: the choice among the server's kinds of request. Does not own: the requests (`batch`, `leader`), the use of the
//! messages.
//!
//! Many messages of a stream with one copy come in batches from direct gets. A single message (an anchor: absence
//! matters), a stream with replicas (a follower may be behind), and several filters go to the stream's leader, one
//! message per request. A page of a stream with replicas takes what a follower has in a row, and asks the leader for the
//! rest.

mod batch;
mod leader;

use async_nats::jetstream::ErrorCode;
use serde_json::json;

use self::batch::{BATCH_MAX, batch};
pub(super) use self::leader::next_from_leader;
use self::leader::window;
use crate::api::{self, Answer, server_error};
use crate::connection::Connection;
use crate::topic_streams::PartitionStream;
use common::message::Message;
use common::queue::{Page, PageLimits, QueueError};

/// The first server version that answers direct gets in batches.
const BATCH_SERVER: (i64, i64, i64) = (2, 11, 0);

/// Most requests to the leader at once.
const WINDOW_MAX: usize = 64;
/// Bytes of messages that requests at once ask for, as far as the messages before tell.
const WINDOW_BYTES: usize = 8 * 1024 * 1024;

/// The stored messages with `from <= offset < to`.
pub(super) async fn read(
    connection: &Connection,
    stream: &PartitionStream,
    from: u64,
    to: u64,
) -> Result<Vec<Message>, QueueError> {
    let mut messages = Vec::new();
    let mut position = from.max(1);
    let mut is_batched = to.saturating_sub(position) > 1 && !stream.is_leader_needed && may_batch(connection, stream);
    while position < to {
        let found = if is_batched {
            match batch(connection, stream, position, (to - position).min(BATCH_MAX), usize::MAX).await {
                Ok(found) => found,
                // A message that the client cannot read ends the connection; the leader's answers do not.
                Err(error) => {
                    tracing::debug!(stream = %stream.stream, %error, "batched read failed, going on one by one");
                    is_batched = false;
                    continue;
                }
            }
        } else {
            next_from_leader(connection, stream, position).await?.into_iter().collect()
        };
        let Some(last) = found.last() else { break };
        position = last.offset + 1;
        messages.extend(found.into_iter().filter(|message| message.offset < to));
    }
    Ok(messages)
}

/// The first of them that fit the limits, at least one if there is one.
pub(super) async fn page(
    connection: &Connection,
    stream: &PartitionStream,
    (from, to): (u64, u64),
    limits: PageLimits,
) -> Result<Page, QueueError> {
    let mut page = Page { messages: Vec::new(), next_offset: from.max(1) };
    let (mut bytes, mut width) = (0, 1);
    // A follower says nothing of what it passes over, so that only what it has in a row is taken from it.
    let is_dense_needed = stream.is_leader_needed;
    let mut is_batched = may_batch(connection, stream) && (!is_dense_needed || stream.filters.is_empty());
    loop {
        let position = page.next_offset;
        let (messages_room, bytes_room) =
            (limits.messages_max.saturating_sub(page.messages.len()), limits.bytes_max.saturating_sub(bytes));
        if position >= to || !page.messages.is_empty() && (messages_room == 0 || bytes_room == 0) {
            return Ok(page);
        }
        let count = (to - position).min(BATCH_MAX).min(u64::try_from(messages_room.max(1)).unwrap_or(u64::MAX));
        let found = if is_batched {
            match batch(connection, stream, position, count, bytes_room).await {
                Ok(found) if is_dense_needed && !is_dense(&found, position) => {
                    is_batched = false;
                    continue;
                }
                Ok(found) => found,
                // A message that the client cannot read ends the connection; the leader's answers do not.
                Err(error) => {
                    tracing::debug!(stream = %stream.stream, %error, "batched read failed, going on one by one");
                    is_batched = false;
                    continue;
                }
            }
        } else {
            let found = window(connection, stream, position, width.min(usize::try_from(count).unwrap_or(1))).await?;
            width = next_width(width, &found);
            found
        };
        let Some(last) = found.last() else {
            // A mirror has not copied the rest yet.
            page.next_offset = if stream.mirror_of.is_some() { position } else { to };
            return Ok(page);
        };
        page.next_offset = (last.offset + 1).min(to);
        let wanted = found.into_iter().filter(|message| message.offset < to);
        page.messages.extend(wanted.inspect(|message| bytes += message.memory_bytes()));
    }
}

fn may_batch(connection: &Connection, stream: &PartitionStream) -> bool {
    let (major, minor, patch) = BATCH_SERVER;
    stream.allows_direct && stream.filters.len() <= 1 && connection.client.is_server_compatible(major, minor, patch)
}

/// True if the messages are some, one after the other from `position` on.
fn is_dense(messages: &[Message], position: u64) -> bool {
    !messages.is_empty() && (position..).zip(messages).all(|(offset, message)| message.offset == offset)
}

/// The number of requests to make at once after one of `width` found these messages: more in a row of small ones.
fn next_width(width: usize, found: &[Message]) -> usize {
    let bytes: usize = found.iter().map(Message::memory_bytes).sum();
    let fitting = found.len().saturating_mul(WINDOW_BYTES).checked_div(bytes).unwrap_or(1);
    if found.len() == width { (width * 2).min(fitting).clamp(1, WINDOW_MAX) } else { 1 }
}

/// Deletes one message; an absent one is no error. Only for committed messages that cannot be acked.
pub(super) async fn delete(connection: &Connection, stream: &PartitionStream, offset: u64) -> Result<(), QueueError> {
    let request = json!({ "seq": offset, "no_erase": true });
    let subject = format!("STREAM.MSG.DELETE.{}", stream.stream);
    match api::request::<serde_json::Value>(connection, subject, &request).await? {
        Answer::Done(_) => Ok(()),
        Answer::Refused(error) if error.code() == 404 || error.error_code() == ErrorCode::SEQUENCE_NOT_FOUND => Ok(()),
        Answer::Refused(error) => Err(server_error(&format!("message {offset} of stream {}", stream.stream), &error)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn messages(offsets: &[u64], bytes: usize) -> Vec<Message> {
        let message = |offset: &u64| Message {
            offset: *offset,
            timestamp_us: 0,
            key: None,
            headers: vec![],
            subject: Arc::from("t"),
            payload: vec![0; bytes].into(),
            is_awaited: false,
        };
        offsets.iter().map(message).collect()
    }

    #[test]
    fn only_messages_in_a_row_from_the_position_on_are_dense() {
        assert!(is_dense(&messages(&[3, 4, 5], 0), 3));
        assert!(!is_dense(&messages(&[3, 5], 0), 3));
        assert!(!is_dense(&messages(&[4, 5], 0), 3));
        assert!(!is_dense(&[], 3), "a follower that has nothing may be behind");
    }

    #[test]
    fn many_small_messages_in_a_row_are_asked_for_at_once() {
        assert_eq!(next_width(1, &messages(&[1], 10)), 2);
        assert_eq!(next_width(WINDOW_MAX, &messages(&[1; WINDOW_MAX], 10)), WINDOW_MAX);
        assert_eq!(next_width(8, &messages(&[1, 2, 3], 10)), 1, "the stream has holes here");
        assert_eq!(next_width(2, &messages(&[1, 2], WINDOW_BYTES)), 1, "large messages come one by one");
    }
}
