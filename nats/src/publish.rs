//! Publishing: pipelined, with each ack awaited, waiting while the stream is full.
//!
//! Owns: the number of messages in flight, and the errors that are waited out.
//! Does not own: repeating a call of unknown outcome; the caller repeats it, with message ids.

use std::collections::VecDeque;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{Error as ServerError, ErrorCode};
use bytes::Bytes;
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

use crate::connection::Connection;
use crate::headers;
use crate::topic_streams::PartitionStream;
use common::message::OutgoingMessage;
use common::queue::{PublishAck, QueueError};

/// Most unacked messages of one call.
const IN_FLIGHT_MAX: usize = 256;

/// Longest wait for a full stream without a stored message.
// Shorter than the limits of whoever waits around it, so that the reason reaches him.
const FULL_WAIT_MAX: Duration = Duration::from_secs(20);
const FULL_DELAY_MIN: Duration = Duration::from_millis(50);
const FULL_DELAY_MAX: Duration = Duration::from_secs(1);

/// The server's code for a message that it never stores as it is.
const BAD_REQUEST: usize = 400;

struct Encoded {
    payload: Bytes,
    headers: Option<HeaderMap>,
}

/// The result of one pass over the messages.
enum Pass {
    Done,
    /// The stream is full; the text is the server's.
    Full(String),
}

struct InFlight<'a> {
    index: usize,
    ack: PublishAckFuture,
    _permit: SemaphorePermit<'a>,
}

/// Publishes `messages` in order. If the stream was full during a call, a small message may have found room before a
/// larger one that was sent ahead of it.
pub(super) async fn publish(
    connection: &Connection,
    to: &PartitionStream,
    messages: Vec<OutgoingMessage>,
) -> Result<Vec<PublishAck>, QueueError> {
    let subject = to.publish_subject.as_ref();
    let subject = subject.map_err(|reason| QueueError::Unsendable { reason: reason.clone() })?;
    let bytes_max = connection.message_bytes_max().min(to.message_bytes_max);
    let encoded = messages.into_iter().map(|message| encode(message, bytes_max)).collect::<Result<Vec<_>, _>>()?;
    let mut acks = vec![None; encoded.len()];
    let mut full_since = None;
    let mut delay = FULL_DELAY_MIN;
    loop {
        let missing = acks.iter().filter(|ack| ack.is_none()).count();
        // One at a time while the stream may still be full, so that a failing pass costs one message.
        let window = if full_since.is_some() { 1 } else { IN_FLIGHT_MAX };
        let reason = match pass(connection, subject, &encoded, &mut acks, window).await? {
            Pass::Done => break,
            Pass::Full(reason) => reason,
        };
        if acks.iter().filter(|ack| ack.is_none()).count() < missing {
            (full_since, delay) = (None, FULL_DELAY_MIN);
        }
        let since = *full_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= FULL_WAIT_MAX {
            let reason = format!("stream {} is full: {reason}", to.stream);
            let is_nothing_stored = acks.iter().all(Option::is_none);
            return Err(if is_nothing_stored { QueueError::Full { reason } } else { QueueError::unavailable(reason) });
        }
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(FULL_DELAY_MAX);
    }
    Ok(acks.into_iter().map(|ack| ack.expect("the last pass left none out")).collect())
}

fn encode(message: OutgoingMessage, bytes_max: usize) -> Result<Encoded, QueueError> {
    let (headers, header_bytes) = headers::encode(&message)?;
    let bytes = header_bytes + message.payload.len();
    if bytes > bytes_max {
        return Err(QueueError::MessageTooLarge { bytes, bytes_max });
    }
    Ok(Encoded { payload: message.payload, headers })
}

/// Sends every unacked message, until one finds the stream full; awaits every ack that can arrive.
async fn pass(
    connection: &Connection,
    subject: &str,
    messages: &[Encoded],
    acks: &mut [Option<PublishAck>],
    window_max: usize,
) -> Result<Pass, QueueError> {
    let mut window = window_max;
    let mut in_flight: VecDeque<InFlight<'_>> = VecDeque::with_capacity(window);
    let mut full = None;
    for (index, message) in messages.iter().enumerate() {
        if acks[index].is_some() {
            continue;
        }
        let permit = loop {
            // Own acks first: waiting for a permit while holding others could wait without end.
            if in_flight.len() < window
                && let Ok(permit) = connection.publish_permits.try_acquire()
            {
                break Some(permit);
            }
            let Some(oldest) = in_flight.pop_front() else {
                break Some(connection.publish_permits.acquire().await.expect("it is never closed"));
            };
            full = settle(connection, subject, oldest, acks).await?;
            if full.is_some() {
                break None;
            }
            window = IN_FLIGHT_MAX;
        };
        let Some(permit) = permit else { break };
        let ack = send(connection, subject, message).await?;
        in_flight.push_back(InFlight { index, ack, _permit: permit });
    }
    for publish in in_flight {
        let reason = settle(connection, subject, publish, acks).await?;
        full = full.or(reason);
    }
    Ok(full.map_or(Pass::Done, Pass::Full))
}

async fn send(connection: &Connection, subject: &str, message: &Encoded) -> Result<PublishAckFuture, QueueError> {
    let mut publish = PublishMessage::build().payload(message.payload.clone());
    if let Some(headers) = &message.headers {
        publish = publish.headers(headers.clone());
    }
    connection
        .jetstream
        .send_publish(subject.to_owned(), publish)
        .await
        .map_err(|error| publish_error(connection, subject, &error))
}

/// Awaits one ack and records it; returns the server's text if the stream was full.
async fn settle(
    connection: &Connection,
    subject: &str,
    publish: InFlight<'_>,
    acks: &mut [Option<PublishAck>],
) -> Result<Option<String>, QueueError> {
    match publish.ack.await {
        Ok(ack) => {
            acks[publish.index] = Some(PublishAck { offset: ack.sequence, duplicate: ack.duplicate });
            Ok(None)
        }
        Err(error) => match server_words(&error) {
            Some(words) if is_full(words) => Ok(Some(words.to_string())),
            // The answer to the only message that was sent.
            Some(words) if acks.len() == 1 && words.code() == BAD_REQUEST => Err(QueueError::unsendable(words)),
            _ => Err(publish_error(connection, subject, &error)),
        },
    }
}

fn server_words(error: &PublishError) -> Option<&ServerError> {
    std::error::Error::source(error).and_then(|source| source.downcast_ref())
}

/// True if the messages lack room that an age limit, a purge or an operator can free.
fn is_full(error: &ServerError) -> bool {
    let words = error.to_string();
    error.error_code() == ErrorCode::STREAM_STORE_FAILED && (words.contains("maximum") && words.contains("exceeded"))
}

fn publish_error(connection: &Connection, subject: &str, error: &PublishError) -> QueueError {
    match error.kind() {
        PublishErrorKind::StreamNotFound => {
            QueueError::unavailable("no stream answered: the server restarts, or the topic's stream was deleted")
        }
        PublishErrorKind::TimedOut => connection.denied(subject).unwrap_or_else(|| {
            QueueError::unavailable(format!(
                "the ack did not come in time: the message may or may not be stored{}",
                connection.because()
            ))
        }),
        kind => match server_words(error) {
            Some(words) if kind == PublishErrorKind::Other && words.code() != 503 => QueueError::refused(words),
            Some(words) => QueueError::unavailable(words),
            None => QueueError::unavailable(error),
        },
    }
}
