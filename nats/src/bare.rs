//! A bare client: it publishes with nothing but the library for NATS, so that a producer's cost can be measured.
//!
//! Owns: the number of messages in flight. Does not own: retries and limits, which it does without (`publish` has them).

use std::collections::VecDeque;

use async_nats::jetstream::context::PublishAckFuture;
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;

use crate::connection::Connection;
use crate::topic_streams::PartitionStream;
use common::queue::QueueError;

/// Publishes each payload under its message id, and waits for every ack.
pub(super) async fn publish(
    connection: &Connection,
    to: &PartitionStream,
    messages: impl Iterator<Item = (String, Bytes)>,
    in_flight_max: usize,
) -> Result<(), QueueError> {
    let subject = to.publish_subject.as_ref();
    let subject = subject.map_err(|reason| QueueError::Unsendable { reason: reason.clone() })?;
    let mut in_flight: VecDeque<PublishAckFuture> = VecDeque::with_capacity(in_flight_max);
    for (id, payload) in messages {
        if in_flight.len() >= in_flight_max {
            settle(in_flight.pop_front()).await?;
        }
        let message = PublishMessage::build().payload(payload).message_id(id);
        let sent = connection.jetstream.send_publish(subject.to_owned(), message).await;
        in_flight.push_back(sent.map_err(|error| QueueError::unavailable(error.to_string()))?);
    }
    while !in_flight.is_empty() {
        settle(in_flight.pop_front()).await?;
    }
    Ok(())
}

async fn settle(oldest: Option<PublishAckFuture>) -> Result<(), QueueError> {
    let Some(ack) = oldest else { return Ok(()) };
    ack.await.map(drop).map_err(|error| QueueError::unavailable(error.to_string()))
}
