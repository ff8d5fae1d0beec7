//! Stored messages by offset, without a consumer: reading them, and deleting one.
//!
//! Owns: the choice among the server's kinds of request. Does not own: the use of the messages.
//!
//! Many messages of a stream with one copy come in batches from direct gets. A single message (an anchor: absence
//! matters), a stream with replicas (a follower may be behind), and several filters go to the stream's leader, one
//! message per request.

use std::sync::Arc;
use std::time::Duration;

use async_nats::client::Request;
use async_nats::jetstream::ErrorCode;
use async_nats::{HeaderMap, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;
use futures::StreamExt;
use serde::Deserialize;
use serde_json::json;

use crate::api::{self, Answer, server_error};
use crate::connection::{Connection, REQUEST_TIMEOUT};
use crate::headers::{self, Decoded};
use crate::topic_streams::PartitionStream;
use common::message::Message;
use common::queue::QueueError;

/// Limits of one answer of batched direct gets, so that the client's channel and the server's buffer can hold it.
const BATCH_MAX: u64 = 1_000;
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The first server version that answers direct gets in batches.
const BATCH_SERVER: (i64, i64, i64) = (2, 11, 0);

/// The stored messages with `from <= offset < to`.
pub(super) async fn read(
    connection: &Connection,
    stream: &PartitionStream,
    from: u64,
    to: u64,
) -> Result<Vec<Message>, QueueError> {
    let mut messages = Vec::new();
    let mut position = from.max(1);
    let (major, minor, patch) = BATCH_SERVER;
    let mut is_batched = to.saturating_sub(position) > 1
        && !stream.is_leader_needed
        && stream.filters.len() <= 1
        && connection.client.is_server_compatible(major, minor, patch);
    while position < to {
        let found = if is_batched {
            match batch(connection, stream, position, (to - position).min(BATCH_MAX)).await {
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

/// The first message with an offset of at least `from` that passes the filters, according to the stream's leader.
pub(super) async fn next_from_leader(
    connection: &Connection,
    stream: &PartitionStream,
    from: u64,
) -> Result<Option<Message>, QueueError> {
    let any = [">".to_owned()];
    let filters = if stream.filters.is_empty() { &any[..] } else { &stream.filters };
    let mut first: Option<Message> = None;
    for filter in filters {
        let request = json!({ "seq": from.max(1), "next_by_subj": filter });
        match api::request::<Found>(connection, format!("STREAM.MSG.GET.{}", stream.stream), &request).await? {
            Answer::Done(found) if first.as_ref().is_some_and(|first| first.offset <= found.message.seq) => {}
            Answer::Done(found) => first = Some(found.message.decode().map_err(QueueError::unavailable)?),
            Answer::Refused(error) if error.error_code() == ErrorCode::NO_MESSAGE_FOUND => {}
            Answer::Refused(error) => return Err(server_error(&format!("stream {}", stream.stream), &error)),
        }
    }
    Ok(first)
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

#[derive(Deserialize)]
struct Found {
    message: Stored,
}

/// A stored message in the leader's form: headers and payload in base64, so that no content can disturb the client,
/// which ends its connection at an unreadable header.
#[derive(Deserialize)]
struct Stored {
    subject: String,
    seq: u64,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
    time: String,
}

impl Stored {
    fn decode(self) -> Result<Message, String> {
        let time = DateTime::parse_from_rfc3339(&self.time).map_err(|error| error.to_string())?;
        let stored = STANDARD.decode(self.hdrs).map_err(|error| error.to_string())?;
        let Decoded { key, headers, is_awaited } = headers::decode_stored(&stored);
        Ok(Message {
            offset: self.seq,
            timestamp_us: time.timestamp_micros(),
            key,
            headers,
            subject: Arc::from(self.subject),
            payload: STANDARD.decode(self.data).map_err(|error| error.to_string())?.into(),
            is_awaited,
        })
    }
}

/// Up to `count` messages from `from` on, in one batch.
async fn batch(
    connection: &Connection,
    stream: &PartitionStream,
    from: u64,
    count: u64,
) -> Result<Vec<Message>, QueueError> {
    let lost = |reason: &dyn std::fmt::Display| {
        QueueError::unavailable(format!("reading stream {} from {from}: {reason}", stream.stream))
    };
    let inbox = connection.client.new_inbox();
    let mut frames = connection.client.subscribe(inbox.clone()).await.map_err(|error| lost(&error))?;
    let filter = stream.filters.first().map_or(">", String::as_str);
    let request = json!({
        "seq": from, "batch": count, "max_bytes": BATCH_BYTES_MAX, "next_by_subj": filter,
    });
    let request = Request::new().inbox(inbox).payload(request.to_string().into());
    let subject = format!("DIRECT.GET.{}", stream.stream);
    connection.jetstream.send_request(subject, request).await.map_err(|error| lost(&error))?;
    let mut messages: Vec<Message> = Vec::new();
    loop {
        let frame = tokio::time::timeout(REQUEST_TIMEOUT + Duration::from_secs(5), frames.next()).await;
        let Ok(Some(frame)) = frame else { return Err(lost(&"no answer")) };
        let headers = frame.headers.unwrap_or_default();
        let Some(message) = message_of(&headers, frame.payload) else {
            return match frame.status.map(|status| status.as_u16()) {
                // End of the batch, or no message at all.
                Some(204 | 404) => Ok(messages),
                Some(status) if status == StatusCode::NO_RESPONDERS.as_u16() => Err(lost(&"no stream answered")),
                _ => Err(lost(&frame.description.unwrap_or_else(|| "an answer that cannot be read".to_owned()))),
            };
        };
        if let (Some(previous), Some(expected)) = (messages.last(), number(&headers, "Nats-Last-Sequence"))
            && previous.offset != expected
        {
            return Err(lost(&format!("offset {expected} was lost on the way")));
        }
        messages.push(message);
    }
}

fn message_of(map: &HeaderMap, payload: bytes::Bytes) -> Option<Message> {
    let offset = number(map, "Nats-Sequence")?;
    let time = DateTime::parse_from_rfc3339(map.get_last("Nats-Time-Stamp")?.as_str()).ok()?;
    let subject = Arc::from(map.get_last("Nats-Subject")?.as_str());
    let Decoded { key, headers, is_awaited } = headers::decode(map);
    Some(Message { offset, timestamp_us: time.timestamp_micros(), key, headers, subject, payload, is_awaited })
}

fn number(map: &HeaderMap, name: &str) -> Option<u64> {
    map.get_last(name)?.as_str().parse().ok()
}
