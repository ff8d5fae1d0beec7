//! The builder of a producer.
//!
//! Owns: what each option means. Does not own: allowed values (`options`), and which options go together (`target`).

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use catalog::MetadataStore;
use common::Queue;
use common::clock::{SharedClock, system_clock};
use common::secret::{Secret, SecretUrl};

use super::options::Options;
use super::target::{Opened, Target};
use super::{Parts, Producer};
use crate::acks::Acks;
use crate::commits::Commits;
use crate::error::Result;

/// Builds a [`Producer`]. One of four targets is required: [`queue`](Self::queue) or [`nats`](Self::nats), each with a
/// [`catalog`](Self::catalog); a catalog alone, which lists agents; or one [`address`](Self::address). All other options
/// have defaults, and are checked by [`ProducerBuilder::build`].
#[derive(Clone, Default)]
#[must_use]
pub struct ProducerBuilder {
    target: Target,
    clock: Option<SharedClock>,
    options: Options,
}

impl ProducerBuilder {
    /// The queue that messages are sent to. Needs a catalog.
    pub fn queue(mut self, queue: Arc<dyn Queue>) -> Self {
        self.target.queue = Some(queue);
        self
    }

    /// The URL of the NATS server that messages are sent to, `nats://host:4222` or `tls://host:4222`, perhaps with a login,
    /// or several separated by commas. Needs a catalog. Other ways to log in need a queue made by the crate `nats`.
    pub fn nats(mut self, url: impl Into<SecretUrl>) -> Self {
        self.target.nats = Some(url.into());
        self
    }

    /// The catalog that knows the topics. Given without a queue or NATS, it also lists the agents that messages are sent
    /// to: the living ingesters of [`agent_group`](Self::agent_group).
    pub fn catalog(mut self, catalog: Arc<dyn MetadataStore>) -> Self {
        self.target.catalog = Some(catalog);
        self
    }

    /// The address of the only agent, `http://host:port` or `https://host:port`. It also shows the topics, so that no
    /// catalog is needed.
    pub fn address(mut self, url: impl Into<String>) -> Self {
        self.target.address = Some(url.into());
        self
    }

    /// A token that is sent to agents with every request; none by default.
    pub fn token(mut self, token: impl Into<Secret>) -> Self {
        self.target.token = Some(token.into());
        self
    }

    /// A PEM file with a certificate authority, or several, that is trusted besides the system's: for agents at `https://`
    /// addresses, and for NATS, which must then use TLS. None by default. It is read once.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.target.ca_file = Some(path.into());
        self
    }

    /// The group of agents that are looked for in the catalog; `default` by default.
    pub fn agent_group(mut self, name: impl Into<String>) -> Self {
        self.target.agent_group = Some(name.into());
        self
    }

    /// Time between two looks at the catalog's list of agents, 100 ms to 1 day; 30 s by default. The list is also read
    /// after all known agents failed.
    pub fn agent_refresh_interval(mut self, time: Duration) -> Self {
        self.target.agent_refresh_interval = Some(time);
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

    /// Longest wait for the answer of the queue, or of one agent, in one attempt, 1 ms to 1 day; 30 s by default.
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

    /// With [`Acks::Committed`], longest wait for the commit after the queue's answer, 1 ms to 1 day; 30 s by default. Through
    /// agents it also ends when the queue's duplicate window would, because each wait there is a repeated request.
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

    /// With [`Acks::Committed`] and a queue, the door to wait at, when a program shares one. By default the producer makes its
    /// own, which cannot read quarantine from the store.
    pub fn commits(mut self, commits: Arc<Commits>) -> Self {
        self.target.commits = Some(commits);
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
    /// `Config` names the option, its value and what is allowed. `NoAgentsAvailable` if the queue, or every agent of the
    /// group, does not answer; `AgentConnectionFailed` and `AgentError` of the one address; `Catalog` if it lists no agents.
    pub async fn build(self) -> Result<Producer> {
        let Self { target, clock, options } = self;
        options.check()?;
        let Opened { route, topics, commits } = target.open(&options).await?;
        let clock = clock.unwrap_or_else(system_clock);
        Ok(Producer::assemble(Parts { route, topics, options, clock, commits }))
    }
}

impl fmt::Debug for ProducerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProducerBuilder({:?}, {:?})", self.target, self.options)
    }
}
