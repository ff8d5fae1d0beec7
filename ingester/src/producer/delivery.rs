//! Delivery: sends the messages of one partition, and repeats what is not confirmed.
//!
//! Owns: the two ways, attempts at a queue with their time limit, and the split that keeps one bad message from failing
//! others. Does not own: batches and their order (`lane`), attempts at agents (`remote`), topic metadata (`topics`).

use std::sync::Arc;
use std::time::Duration;

use common::backoff::Backoff;
use common::queue::PublishAck;
use common::{ErrorKind, OutgoingMessage, Queue, QueueError};
use tokio::time::{Instant, timeout};

use super::batch::Batch;
use super::options::Options;
use crate::error::ProducerError;
use crate::outcome::{Answer, SendFailure};
use crate::remote::Remote;
use crate::topics::Topics;

/// The way of messages.
#[derive(Debug)]
pub(crate) enum Route {
    /// Straight into a queue.
    Queue(Arc<dyn Queue>),
    /// Over HTTP, to agents that put them into their queue.
    Agents(Arc<Remote>),
}

/// Sends messages, and repeats what is not confirmed.
#[derive(Debug)]
pub(crate) struct Delivery {
    route: Route,
    pub(crate) topics: Topics,
    request_timeout: Duration,
    max_attempts: u32,
    retry_backoff: Duration,
}

impl Delivery {
    pub(crate) fn new(route: Route, topics: Topics, options: &Options) -> Self {
        let Options { request_timeout, max_attempts, retry_backoff, .. } = *options;
        Self { route, topics, request_timeout, max_attempts, retry_backoff }
    }

    /// Sends the messages of a batch in order, and returns one answer each. A message that cannot be sent fails alone.
    /// Every message has an id.
    pub(crate) async fn deliver(&self, batch: &Batch) -> Vec<Answer> {
        let Batch { partition, messages, .. } = batch;
        match &self.route {
            Route::Queue(queue) => self.publish_all(queue.as_ref(), batch).await,
            Route::Agents(remote) => remote.deliver(&self.topics, partition, messages).await,
        }
    }

    async fn publish_all(&self, queue: &dyn Queue, batch: &Batch) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(batch.messages.len());
        // The last part is the first in order.
        let mut parts = vec![&batch.messages[..]];
        while let Some(part) = parts.pop() {
            match self.publish(queue, batch, part).await {
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

    /// The queue that messages go to straight away.
    pub(crate) fn queue(&self) -> Option<&dyn Queue> {
        match &self.route {
            Route::Queue(queue) => Some(queue.as_ref()),
            Route::Agents(_) => None,
        }
    }

    /// Publishes messages of one partition in order, all or, if a failure is `is_not_stored`, none.
    pub(crate) async fn publish(
        &self,
        queue: &dyn Queue,
        batch: &Batch,
        messages: &[OutgoingMessage],
    ) -> Result<Vec<PublishAck>, SendFailure> {
        let partition = &batch.partition;
        let mut backoff = Backoff::starting_at(self.retry_backoff);
        let (mut is_reopened, mut is_maybe_stored) = (false, false);
        let now = Instant::now();
        let repeat_until = batch.since().unwrap_or(now) + self.topics.repeat_time(&partition.topic);
        let left = batch.since().map(|_| repeat_until.saturating_duration_since(now));
        let mut limit = left.map_or(self.request_timeout, |left| self.request_timeout.min(left));
        let failure = |error, is_not_stored| SendFailure {
            partition: partition.partition_id,
            error: Arc::new(error),
            is_not_stored,
        };
        if limit.is_zero() {
            let reason = "the first attempt was so long ago that the queue may have forgotten the message's id";
            return Err(failure(QueueError::unavailable(reason).into(), false));
        }
        loop {
            let attempts = backoff.attempts() + 1;
            // Payloads and keys are shared, not copied. Ids are short. Headers are copied: few messages have any, and
            // shared headers would complicate the message type for all its other users.
            let published = timeout(limit, queue.publish(partition, messages.to_vec())).await;
            let error = match published {
                Ok(Ok(acks)) => {
                    assert_eq!(acks.len(), messages.len(), "a queue answers each message with one ack");
                    return Ok(acks);
                }
                // A known topic that was recreated or closed meanwhile: look it up once more.
                Ok(Err(QueueError::TopicUnknown { .. })) if !is_reopened => {
                    is_reopened = true;
                    self.topics.refresh(&partition.topic).await.map_err(|error| failure(error, !is_maybe_stored))?;
                    continue;
                }
                Ok(Err(error)) if error.kind() != ErrorKind::Unavailable => {
                    let is_not_stored = error.is_nothing_stored() && !is_maybe_stored;
                    return Err(failure(error.into(), is_not_stored));
                }
                // It was waited for already.
                Ok(Err(error @ QueueError::Full { .. })) => return Err(failure(error.into(), !is_maybe_stored)),
                Ok(Err(error)) => ProducerError::from(error),
                Err(_) => ProducerError::Timeout { limit: self.request_timeout, attempts },
            };
            is_maybe_stored = true;
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
