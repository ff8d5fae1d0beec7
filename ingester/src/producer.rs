//! The producer: messages in, their places in the queue out.
//!
//! Owns: the choice of a partition, message ids, repeating what was not confirmed.
//! Does not own: topic metadata (`topics`), storing (the queue).

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use catalog::MetadataStore;
use common::backoff::Backoff;
use common::queue::PublishAck;
use common::{ErrorKind, OutgoingMessage, Queue, QueueError, TopicName, TopicPartition};
use futures::future::join_all;
use uuid::Uuid;

use crate::error::{ProducerError, Result};
use crate::topics::{KnownTopic, Topics};

/// How often messages are offered to a queue that is unavailable before the caller is told.
const ATTEMPTS_MAX: u32 = 3;

/// Where a message went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendResult {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: u32,
    /// Its offset in the partition.
    pub offset: u64,
    /// The queue knew the id that the caller had given the message: `offset` is that of the first one, and
    /// nothing was stored now.
    pub duplicate: bool,
}

/// Sends messages to topics. Share it: all methods take `&self`.
///
/// A result means that the queue *confirmed* the message. An error means that it may or may not be stored; every
/// message has an id (its own, or one given here), so that what is repeated inside is stored once. A caller who
/// repeats must have given the ids.
#[derive(Debug)]
pub struct Producer {
    queue: Arc<dyn Queue>,
    topics: Topics,
}

/// A message that waits for its place, with its number in the batch.
struct Routed {
    index: usize,
    id_of_caller: bool,
}

impl Producer {
    /// A producer into `queue`, which looks topics up in `catalog`.
    pub fn new(queue: Arc<dyn Queue>, catalog: Arc<dyn MetadataStore>) -> Self {
        Self { topics: Topics::new(Arc::clone(&queue), catalog), queue }
    }

    /// Sends one message: to `partition` if given, else by `key`, else in turn.
    ///
    /// # Errors
    /// `TopicNotFound` and `InvalidPartition` send nothing; `Queue` after three attempts, if it was unavailable.
    pub async fn send(
        &self,
        topic: &TopicName,
        key: Option<&[u8]>,
        value: &[u8],
        partition: Option<u32>,
    ) -> Result<SendResult> {
        let key = key.map(Bytes::copy_from_slice);
        let message = OutgoingMessage { key, ..OutgoingMessage::new(Bytes::copy_from_slice(value)) };
        let sent = self.send_batch_to(topic, partition, vec![message]).await?;
        Ok(sent.into_iter().next().expect("one result per message"))
    }

    /// Sends messages, each to the partition of its key or in turn; one result each, in order. Messages of one
    /// partition keep their order; partitions are sent concurrently.
    ///
    /// # Errors
    /// As [`Producer::send`], the first one in order of partitions; any part of the batch may have been stored.
    pub async fn send_batch(&self, topic: &TopicName, messages: Vec<OutgoingMessage>) -> Result<Vec<SendResult>> {
        self.send_batch_to(topic, None, messages).await
    }

    /// The same with all messages to `partition`, if given.
    ///
    /// # Errors
    /// As [`Producer::send_batch`].
    pub async fn send_batch_to(
        &self,
        topic: &TopicName,
        partition: Option<u32>,
        messages: Vec<OutgoingMessage>,
    ) -> Result<Vec<SendResult>> {
        let known = self.topics.get(topic).await?;
        let count = messages.len();
        let groups = group_by_partition(&known, partition, messages)?;
        let sends = groups.into_iter().map(|(partition, (routed, messages))| async move {
            let partition = TopicPartition::new(topic.clone(), partition);
            let acks = self.publish(&partition, messages).await?;
            Ok::<_, ProducerError>((partition, routed, acks))
        });
        // All are driven to their end: giving up on one partition must not leave another's outcome unknown.
        let mut results: Vec<Option<SendResult>> = vec![None; count];
        for sent in join_all(sends).await {
            let (partition, routed, acks) = sent?;
            assert_eq!(routed.len(), acks.len(), "a queue answers each message with one ack");
            for (message, ack) in routed.into_iter().zip(acks) {
                results[message.index] = Some(SendResult {
                    topic: topic.clone(),
                    partition: partition.partition_id,
                    offset: ack.offset,
                    // A duplicate of an id given here is an earlier attempt of this very call.
                    duplicate: ack.duplicate && message.id_of_caller,
                });
            }
        }
        Ok(results.into_iter().map(|result| result.expect("every message is in one group")).collect())
    }

    async fn publish(&self, partition: &TopicPartition, messages: Vec<OutgoingMessage>) -> Result<Vec<PublishAck>> {
        let mut backoff = Backoff::default();
        let mut reopened = false;
        loop {
            // A clone of references: payloads, keys and ids are shared or short.
            match self.queue.publish(partition, messages.clone()).await {
                Ok(acks) => return Ok(acks),
                // Known from before, but made again or closed meanwhile: look once whether it still exists.
                Err(QueueError::TopicUnknown { .. }) if !reopened => {
                    reopened = true;
                    self.topics.refresh(&partition.topic).await?;
                }
                Err(error) if error.kind() == ErrorKind::Unavailable && backoff.attempts() + 1 < ATTEMPTS_MAX => {
                    tracing::warn!(%partition, %error, attempt = backoff.attempts() + 1, "publish not confirmed");
                    backoff.wait().await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

type Groups = BTreeMap<u32, (Vec<Routed>, Vec<OutgoingMessage>)>;

fn group_by_partition(known: &KnownTopic, chosen: Option<u32>, messages: Vec<OutgoingMessage>) -> Result<Groups> {
    let mut groups = Groups::new();
    for (index, mut message) in messages.into_iter().enumerate() {
        let partition = compute_partition(known, message.key.as_deref(), chosen)?;
        let id_of_caller = message.message_id.is_some();
        if !id_of_caller {
            message.message_id = Some(Uuid::now_v7().simple().to_string());
        }
        let (routed, group) = groups.entry(partition).or_default();
        routed.push(Routed { index, id_of_caller });
        group.push(message);
    }
    Ok(groups)
}

fn compute_partition(known: &KnownTopic, key: Option<&[u8]>, chosen: Option<u32>) -> Result<u32> {
    let (topic, partition_count) = (&known.topic, known.topic.partition_count);
    match (chosen, key) {
        (Some(partition), _) if partition < partition_count => Ok(partition),
        (Some(partition), _) => {
            Err(ProducerError::InvalidPartition { topic: topic.name.clone(), partition, partition_count })
        }
        (None, Some(key)) => Ok(topic.config.partitioner.partition_of(key, partition_count)),
        (None, None) => Ok(known.turns.next(partition_count)),
    }
}

#[cfg(test)]
mod tests;
