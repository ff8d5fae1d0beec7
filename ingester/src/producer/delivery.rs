//! Delivery: publishes the messages of one partition, and repeats what is not confirmed.
//!
//! Owns: attempts, their time limit, and the split that keeps one bad message from failing others.
//! Does not own: batches and their order (`lane`), topic metadata (`topics`), storing (the queue).

use std::sync::Arc;
use std::time::Duration;

use common::backoff::Backoff;
use common::queue::PublishAck;
use common::{ErrorKind, OutgoingMessage, Queue, QueueError, TopicPartition};
use tokio::time::{Instant, timeout};

use super::options::Options;
use crate::error::ProducerError;
use crate::outcome::SendFailure;
use crate::topics::Topics;

/// The answer to one message.
pub(crate) type Answer = Result<PublishAck, SendFailure>;

/// Publishes to the queue.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) topics: Topics,
    request_timeout: Duration,
    max_attempts: u32,
    retry_backoff: Duration,
}

impl Delivery {
    pub(crate) fn new(queue: Arc<dyn Queue>, topics: Topics, options: &Options) -> Self {
        let Options { request_timeout, max_attempts, retry_backoff, .. } = *options;
        Self { queue, topics, request_timeout, max_attempts, retry_backoff }
    }

    /// Publishes messages of one partition in order, and returns one answer each. A message that cannot be sent fails
    /// alone. Every message has an id.
    pub(crate) async fn deliver(&self, partition: &TopicPartition, messages: &[OutgoingMessage]) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(messages.len());
        // The last part is the first in order.
        let mut parts = vec![messages];
        while let Some(part) = parts.pop() {
            match self.publish(partition, part).await {
                Ok(acks) => answers.extend(acks.into_iter().map(Ok)),
                Err(failure) if failure.is_not_stored && failure.error.is_of_one_message() && part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
                Err(failure) => answers.extend(std::iter::repeat_n(Err(failure), part.len())),
            }
        }
        answers
    }

    /// Publishes messages of one partition in order, all or, if a failure is `is_not_stored`, none.
    pub(crate) async fn publish(
        &self,
        partition: &TopicPartition,
        messages: &[OutgoingMessage],
    ) -> Result<Vec<PublishAck>, SendFailure> {
        let mut backoff = Backoff::starting_at(self.retry_backoff);
        let mut limit = self.request_timeout;
        let mut is_reopened = false;
        let repeat_until = Instant::now() + self.topics.repeat_time(&partition.topic);
        let failure = |error, is_not_stored| SendFailure {
            partition: partition.partition_id,
            error: Arc::new(error),
            is_not_stored,
        };
        loop {
            let attempts = backoff.attempts() + 1;
            // Payloads and keys are shared, not copied. Ids are short. Headers are copied: few messages have any, and
            // shared headers would complicate the message type for all its other users.
            let published = timeout(limit, self.queue.publish(partition, messages.to_vec())).await;
            let error = match published {
                Ok(Ok(acks)) => {
                    assert_eq!(acks.len(), messages.len(), "a queue answers each message with one ack");
                    return Ok(acks);
                }
                // A known topic that was recreated or closed meanwhile: look it up once more.
                Ok(Err(QueueError::TopicUnknown { .. })) if !is_reopened => {
                    is_reopened = true;
                    self.topics.refresh(&partition.topic).await.map_err(|error| failure(error, attempts == 1))?;
                    continue;
                }
                Ok(Err(error)) if error.kind() != ErrorKind::Unavailable => {
                    // An earlier attempt may have stored some.
                    let is_not_stored = error.is_before_sending() && attempts == 1;
                    return Err(failure(error.into(), is_not_stored));
                }
                Ok(Err(error)) => ProducerError::from(error),
                Err(_) => ProducerError::Timeout { limit: self.request_timeout, attempts },
            };
            let wait = backoff.next_wait();
            let begin = Instant::now() + wait;
            if attempts >= self.max_attempts || begin >= repeat_until {
                return Err(failure(error, false));
            }
            tracing::warn!(%partition, %error, attempt = attempts, "publish not confirmed");
            tokio::time::sleep(wait).await;
            limit = self.request_timeout.min(repeat_until - begin);
        }
    }
}
