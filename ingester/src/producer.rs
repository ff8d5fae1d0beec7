//! The producer: sends messages and returns the outcome of each.
//!
//! Owns: the choice of a partition, message ids, repeating unconfirmed messages.
//! Does not own: topic metadata (`topics`), the shapes of an outcome (`outcome`), storing (the queue).

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
use crate::outcome::{SendFailure, SendOutcome, SendResult};
use crate::topics::{KnownTopic, Topics};

/// Attempts at an unavailable queue before the messages count as failed.
const ATTEMPTS_MAX: u32 = 3;

/// Sends messages to topics. Share it: all methods take `&self`.
///
/// A result means that the queue *confirmed* the message. A failure means that it may or may not be stored. Every
/// message has an id (the caller's, or a generated one), so that a repetition inside a call stores it once. A caller
/// that repeats a call must have given the ids.
#[derive(Debug)]
pub struct Producer {
    queue: Arc<dyn Queue>,
    topics: Topics,
}

/// A message on its way to its partition, with its number in the batch.
struct Routed {
    index: usize,
    id_of_caller: bool,
}

impl Producer {
    /// A producer into `queue`, with topics from `catalog`.
    pub fn new(queue: Arc<dyn Queue>, catalog: Arc<dyn MetadataStore>) -> Self {
        Self { topics: Topics::new(Arc::clone(&queue), catalog), queue }
    }

    /// Sends one message: to `partition` if given, else by `key`, else in turn.
    ///
    /// # Errors
    /// `TopicNotFound` and `InvalidPartition` send nothing; `Queue` comes after three attempts, if it was
    /// unavailable.
    pub async fn send(
        &self,
        topic: &TopicName,
        key: Option<&[u8]>,
        value: &[u8],
        partition: Option<u32>,
    ) -> Result<SendResult> {
        let key = key.map(Bytes::copy_from_slice);
        let message = OutgoingMessage { key, ..OutgoingMessage::new(Bytes::copy_from_slice(value)) };
        let outcomes = self.send_batch_to(topic, partition, vec![message]).await?;
        let outcome = outcomes.into_iter().next().expect("one outcome per message");
        outcome.map_err(|failure| Arc::into_inner(failure.error).expect("the error of one message has one holder"))
    }

    /// Sends messages, each to the partition of its key or in turn; returns one outcome each, in order. Messages of
    /// one partition keep their order and share one outcome; partitions are sent concurrently, and the failure of one
    /// does not hide the outcome of another.
    ///
    /// # Errors
    /// An error of the whole call sends nothing: the topic is absent, or cannot be looked up or opened.
    pub async fn send_batch(&self, topic: &TopicName, messages: Vec<OutgoingMessage>) -> Result<Vec<SendOutcome>> {
        self.send_batch_to(topic, None, messages).await
    }

    /// The same with all messages to `partition`, if given.
    ///
    /// # Errors
    /// As [`Producer::send_batch`], and if the topic has no such partition.
    pub async fn send_batch_to(
        &self,
        topic: &TopicName,
        partition: Option<u32>,
        messages: Vec<OutgoingMessage>,
    ) -> Result<Vec<SendOutcome>> {
        let known = self.topics.get(topic).await?;
        let count = messages.len();
        let groups = group_by_partition(&known, partition, messages)?;
        let sends = groups.into_iter().map(|(partition, (routed, messages))| async move {
            let acks = self.publish(&TopicPartition::new(topic.clone(), partition), messages).await;
            (partition, routed, acks)
        });
        // All are driven to their end: the failure of one partition must not leave another's outcome unknown.
        let mut outcomes: Vec<Option<SendOutcome>> = vec![None; count];
        for (partition, routed, acks) in join_all(sends).await {
            match acks {
                Ok(acks) => place(topic, partition, &routed, &acks, &mut outcomes),
                Err((error, is_not_stored)) => {
                    let failure = SendFailure { partition, error: Arc::new(error), is_not_stored };
                    routed.iter().for_each(|message| outcomes[message.index] = Some(Err(failure.clone())));
                }
            }
        }
        Ok(outcomes.into_iter().map(|outcome| outcome.expect("every message is in one group")).collect())
    }

    /// The partition of a message with this key; without a key the next in turn.
    ///
    /// # Errors
    /// The topic is absent, or cannot be looked up or opened.
    pub async fn partition_of(&self, topic: &TopicName, key: Option<&[u8]>) -> Result<TopicPartition> {
        let known = self.topics.get(topic).await?;
        Ok(TopicPartition::new(topic.clone(), compute_partition(&known, key, None)?))
    }

    /// An error comes with true if none of the messages is stored for certain.
    async fn publish(
        &self,
        partition: &TopicPartition,
        messages: Vec<OutgoingMessage>,
    ) -> Result<Vec<PublishAck>, (ProducerError, bool)> {
        let mut backoff = Backoff::default();
        let mut reopened = false;
        loop {
            // Payloads and keys are shared, not copied. Ids are short. Headers are copied: few messages have any, and
            // shared headers would complicate the message type for all its other users.
            match self.queue.publish(partition, messages.clone()).await {
                Ok(acks) => return Ok(acks),
                // A known topic that was recreated or closed meanwhile: look it up once more.
                Err(QueueError::TopicUnknown { .. }) if !reopened => {
                    reopened = true;
                    let is_first = backoff.attempts() == 0;
                    self.topics.refresh(&partition.topic).await.map_err(|error| (error, is_first))?;
                }
                Err(error) if error.kind() == ErrorKind::Unavailable && backoff.attempts() + 1 < ATTEMPTS_MAX => {
                    tracing::warn!(%partition, %error, attempt = backoff.attempts() + 1, "publish not confirmed");
                    backoff.wait().await;
                }
                Err(error) => {
                    // An earlier attempt may have stored some.
                    let is_not_stored = error.is_before_sending() && backoff.attempts() == 0;
                    return Err((error.into(), is_not_stored));
                }
            }
        }
    }
}

/// Stores the acks of one partition at the places of its messages in the batch.
fn place(
    topic: &TopicName,
    partition: u32,
    routed: &[Routed],
    acks: &[PublishAck],
    outcomes: &mut [Option<SendOutcome>],
) {
    assert_eq!(routed.len(), acks.len(), "a queue answers each message with one ack");
    for (message, ack) in routed.iter().zip(acks) {
        // A duplicate of a generated id is an earlier attempt of this call.
        let duplicate = ack.duplicate && message.id_of_caller;
        let sent = SendResult { topic: topic.clone(), partition, offset: ack.offset, duplicate };
        outcomes[message.index] = Some(Ok(sent));
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
pub(crate) mod tests;
