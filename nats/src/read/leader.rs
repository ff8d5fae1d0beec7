//! Messages from the leader of a stream, one per request.
//!
//! Owns: the leader's form of a message. Does not own: the choice of this kind of request (`read`).

use std::sync::Arc;

use async_nats::jetstream::ErrorCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::json;

use crate::api::{self, Answer, server_error};
use crate::connection::Connection;
use crate::headers::{self, Decoded};
use crate::topic_streams::PartitionStream;
use common::message::Message;
use common::queue::QueueError;

/// The first message with an offset of at least `from` that passes the filters, according to the stream's leader.
pub(crate) async fn next_from_leader(
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
            Answer::Done(found) => first = Some(found.message.decode(stream).map_err(QueueError::unavailable)?),
            Answer::Refused(error) if error.error_code() == ErrorCode::NO_MESSAGE_FOUND => {}
            Answer::Refused(error) => return Err(server_error(&format!("stream {}", stream.stream), &error)),
        }
    }
    Ok(first)
}

/// The messages of `width` requests at once, one for each offset from `from` on: all messages with these offsets, and
/// perhaps the one behind them.
pub(super) async fn window(
    connection: &Connection,
    partition: &PartitionStream,
    from: u64,
    width: usize,
) -> Result<Vec<Message>, QueueError> {
    let offsets = (from..).take(width.max(1));
    let found = stream::iter(offsets.map(|offset| next_from_leader(connection, partition, offset)));
    let found: Vec<Option<Message>> = found.buffered(width.max(1)).try_collect().await?;
    let mut messages: Vec<Message> = found.into_iter().flatten().collect();
    messages.sort_by_key(|message| message.offset);
    messages.dedup_by_key(|message| message.offset);
    Ok(messages)
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
    /// The message. The stream learns from it whether it needs a connection of its own.
    fn decode(self, of: &PartitionStream) -> Result<Message, String> {
        let time = DateTime::parse_from_rfc3339(&self.time).map_err(|error| error.to_string())?;
        let stored = STANDARD.decode(self.hdrs).map_err(|error| error.to_string())?;
        if !headers::are_readable(&stored) {
            of.apart.need(&of.partition, self.seq);
        }
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
