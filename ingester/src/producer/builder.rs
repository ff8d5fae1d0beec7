//! The builder of a producer.
//!
//! Owns: what must be given, and what each option means. Does not own: allowed values (`options`).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use catalog::MetadataStore;
use common::clock::{SharedClock, system_clock};
use common::{Queue, QueueError};

use super::options::{ConfigError, Options};
use super::{Parts, Producer};
use crate::acks::Acks;
use crate::commits::Commits;
use crate::error::{ProducerError, Result};

/// Builds a [`Producer`]. Queue and catalog are required; options have defaults, and are checked by
/// [`ProducerBuilder::build`].
#[derive(Clone, Default)]
#[must_use]
pub struct ProducerBuilder {
    queue: Option<Arc<dyn Queue>>,
    catalog: Option<Arc<dyn MetadataStore>>,
    commits: Option<Arc<Commits>>,
    clock: Option<SharedClock>,
    options: Options,
}

impl ProducerBuilder {
    /// The queue that messages are sent to. Required.
    pub fn queue(mut self, queue: Arc<dyn Queue>) -> Self {
        self.queue = Some(queue);
        self
    }

    /// The catalog that knows the topics. Required.
    pub fn catalog(mut self, catalog: Arc<dyn MetadataStore>) -> Self {
        self.catalog = Some(catalog);
        self
    }

    /// A partition's enqueued messages are sent when there are so many of them, 1 to 100,000; 100 by default. While they
    /// are on their way, more may gather, which are then sent together.
    pub fn batch_size(mut self, messages: usize) -> Self {
        self.options.batch_size = messages;
        self
    }

    /// An enqueued message is sent after this time, whatever their number, 0 to 60 s; 100 ms by default.
    pub fn batch_timeout(mut self, time: Duration) -> Self {
        self.options.batch_timeout = time;
        self
    }

    /// Longest wait for the queue's answer in one attempt, 1 ms to 1 day; 30 s by default.
    pub fn request_timeout(mut self, time: Duration) -> Self {
        self.options.request_timeout = time;
        self
    }

    /// Attempts, the first included, before messages count as failed, 1 to 100; 3 by default. No attempt is made that
    /// the queue's duplicate window could not tell from a new message.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.options.max_attempts = attempts;
        self
    }

    /// Wait before the second attempt, 1 ms to 10 s; 100 ms by default. Each later wait is twice as long, at most 10 s,
    /// and each has a random addition of at most its own length.
    pub fn retry_backoff(mut self, wait: Duration) -> Self {
        self.options.retry_backoff = wait;
        self
    }

    /// Longest use of a topic's metadata before the catalog is asked again, 1 s to 1 day; 30 s by default.
    pub fn metadata_refresh(mut self, time: Duration) -> Self {
        self.options.metadata_refresh = time;
        self
    }

    /// Bytes of messages that the producer holds, with 160 for each message, 4,096 to 2^40; 32 MiB by default. While they
    /// are in use, sending and enqueueing wait. Records that are packed are held a second time while they are on their way.
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.options.buffer_bytes = bytes;
        self
    }

    /// The event after which a message has its result; [`Acks::Queued`] by default.
    pub fn acks(mut self, acks: Acks) -> Self {
        self.options.acks = acks;
        self
    }

    /// With [`Acks::Committed`], longest wait for the commit after the queue's answer, 1 ms to 1 day; 30 s by default.
    pub fn commit_timeout(mut self, time: Duration) -> Self {
        self.options.commit_timeout = time;
        self
    }

    /// True, the default, if small records of a batch may travel as one message, compressed with LZ4 where that pays. It
    /// counts only for topics that allow it (`TopicOptions::packed`). Records with headers or with an id of the caller are
    /// messages of their own, and so are those that would become several rows.
    pub fn compression_enabled(mut self, is_enabled: bool) -> Self {
        self.options.compression_enabled = is_enabled;
        self
    }

    /// With [`Acks::Committed`], the door to wait at, when a program shares one. By default the producer makes its own,
    /// which cannot read quarantine from the store.
    pub fn commits(mut self, commits: Arc<Commits>) -> Self {
        self.commits = Some(commits);
        self
    }

    /// The clock for the time in results; the machine's by default.
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The producer.
    ///
    /// # Errors
    /// `Config` names the option, its value and what is allowed; `NoAgentsAvailable` if the queue does not answer.
    pub async fn build(self) -> Result<Producer> {
        let queue = self.queue.ok_or_else(|| missing("queue", "a connected queue, which is required"))?;
        let catalog = self.catalog.ok_or_else(|| missing("catalog", "a connected catalog, which is required"))?;
        self.options.check()?;
        let limit = self.options.request_timeout;
        let answered = tokio::time::timeout(limit, queue.check()).await.unwrap_or_else(|_| {
            Err(QueueError::unavailable(format!("it did not answer within {} ms", limit.as_millis())))
        });
        answered.map_err(ProducerError::NoAgentsAvailable)?;
        let commits = match self.options.acks {
            Acks::Queued => None,
            Acks::Committed => Some(
                self.commits
                    .unwrap_or_else(|| Arc::new(Commits::new(Arc::clone(&catalog)).with_queue(Arc::clone(&queue)))),
            ),
        };
        let clock = self.clock.unwrap_or_else(system_clock);
        Ok(Producer::assemble(Parts { queue, catalog, options: self.options, clock, commits }))
    }
}

fn missing(option: &'static str, allowed: &str) -> ConfigError {
    ConfigError { option, value: "none".to_owned(), allowed: allowed.to_owned() }
}

impl fmt::Debug for ProducerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProducerBuilder({:?})", self.options)
    }
}
