//! Opening: the preparation of a subscription at the server before its first pull.
//!
//! Owns: the order of the steps, in which nothing is lost. Does not own: the consumer's settings (`consumer`),
//! reading.

use std::sync::atomic::Ordering;

use async_nats::Subscriber;
use tokio::sync::watch;

use super::pull_requests::PullRequests;
use crate::config::AckMode;
use crate::connection::Connection;
use crate::intake::Intake;
use crate::topic_streams::PartitionStream;
use crate::{consumer, read};
use common::message::Message;
use common::queue::{QueueError, SubscribeRequest};

/// A consumer at the server, and the parts of this process that read it.
pub(super) struct Opened {
    pub(super) consumer: String,
    /// Number of this subscription among those of the partition in this process.
    pub(super) reader: u64,
    pub(super) losses: watch::Receiver<u64>,
    pub(super) frames: Subscriber,
    pub(super) requests: PullRequests,
    pub(super) intake: Intake,
}

/// The next message, fetched without a consumer if it may be what ended the connection here before.
pub(crate) async fn suspect(
    connection: &Connection,
    stream: &PartitionStream,
    from_offset: u64,
) -> Result<Option<Message>, QueueError> {
    if !stream.is_suspect(from_offset) {
        return Ok(None);
    }
    tracing::warn!(partition = %stream.partition, offset = from_offset,
        "the connection was lost here before, the next message is fetched by itself");
    read::next_from_leader(connection, stream, from_offset).await
}

/// Creates the consumer of a new subscription, which supersedes the earlier ones of this process.
pub(super) async fn open(
    connection: &Connection,
    stream: &PartitionStream,
    request: &SubscribeRequest,
    ack_mode: AckMode,
) -> Result<Opened, QueueError> {
    // Subscribed before the consumer is created: any loss after this ends the subscription.
    let losses = connection.losses();
    let reader = stream.reader.fetch_add(1, Ordering::SeqCst) + 1;
    let inbox = connection.client.new_inbox();
    let frames = connection.client.subscribe(format!("{inbox}.*")).await.map_err(QueueError::unavailable)?;
    let from_offset = request.from_offset;
    let acks = stream.bounded.acks(stream.retention, ack_mode);
    let wanted =
        consumer::Wanted { epoch: request.epoch, from_offset, committed: request.committed.min(from_offset), acks };
    let made = consumer::make(connection, stream, &wanted).await?;
    let consumer = made.name;
    let pull_subject = connection.api_subject(&format!("CONSUMER.MSG.NEXT.{}.{consumer}", stream.stream));
    let requests = PullRequests::new(connection.client.clone(), pull_subject, inbox);
    let intake = Intake::new(made.start, from_offset, acks, connection.message_bytes_max());
    Ok(Opened { consumer, reader, losses, frames, requests, intake })
}
