//! Many messages in one answer, by a direct get.
//!
//! Owns: the request, and that nothing of its answer was lost on the way. Does not own: the choice of this kind of
//! request (`read`).

use std::sync::Arc;
use std::time::Duration;

use async_nats::client::Request;
use async_nats::{HeaderMap, StatusCode};
use chrono::DateTime;
use futures::StreamExt;
use serde_json::json;

use crate::connection::{Connection, REQUEST_TIMEOUT};
use crate::headers::{self, Decoded};
use crate::topic_streams::PartitionStream;
use common::message::Message;
use common::queue::QueueError;

/// Limits of one answer of batched direct gets, so that the client's channel and the server's buffer can hold it.
pub(super) const BATCH_MAX: u64 = 1_000;
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Fewer bytes are not worth a request.
const BATCH_BYTES_MIN: usize = 64 * 1024;

/// Up to `count` messages from `from` on and about `bytes_max` bytes, in one batch.
pub(super) async fn batch(
    connection: &Connection,
    stream: &PartitionStream,
    from: u64,
    count: u64,
    bytes_max: usize,
) -> Result<Vec<Message>, QueueError> {
    let lost = |reason: &dyn std::fmt::Display| {
        QueueError::unavailable(format!("reading stream {} from {from}: {reason}", stream.stream))
    };
    let mut losses = connection.losses();
    let inbox = connection.client.new_inbox();
    let mut frames = connection.client.subscribe(inbox.clone()).await.map_err(|error| lost(&error))?;
    let filter = stream.filters.first().map_or(">", String::as_str);
    let request = json!({
        "seq": from, "batch": count, "max_bytes": bytes_max.clamp(BATCH_BYTES_MIN, BATCH_BYTES_MAX), "next_by_subj": filter,
    });
    let request = Request::new().inbox(inbox).payload(request.to_string().into());
    let subject = format!("DIRECT.GET.{}", stream.stream);
    connection.jetstream.send_request(subject, request).await.map_err(|error| lost(&error))?;
    let mut messages: Vec<Message> = Vec::new();
    loop {
        let frame = tokio::select! {
            biased;
            // Frames first: those that arrived before a disturbance are good.
            frame = tokio::time::timeout(REQUEST_TIMEOUT + Duration::from_secs(5), frames.next()) => frame,
            _ = losses.changed() => return Err(lost(&"the connection was disturbed")),
        };
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
