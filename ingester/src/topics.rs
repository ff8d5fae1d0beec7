//! The producer's metadata of topics, used for a while.
//!
//! Owns: the times of looking a topic up, opening it in the queue before the first message, and the time in which a message
//! may be repeated.
//! Does not own: the partition of a message (`producer`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use catalog::{MetadataStore, Topic, TopicConfig};
use common::partitioner::RoundRobin;
use common::topic::Format;
use common::{ErrorKind, Queue, TopicName, TopicPartition};
use tokio::time::Instant;

use crate::error::{ProducerError, Result};
use crate::remote::Remote;

/// The duplicate window of a stream that sets none, and of the queue in memory.
const DUPLICATE_WINDOW_DEFAULT: Duration = Duration::from_secs(120);

/// A topic in the producer's form.
#[derive(Clone, Debug)]
pub(crate) struct KnownTopic {
    pub(crate) topic: Arc<Topic>,
    /// Survives refreshes, so that the turns continue.
    pub(crate) turns: Arc<RoundRobin>,
    /// The duplicate window, if it is the streams' own.
    window: Option<Duration>,
    read_at: Instant,
}

impl KnownTopic {
    /// A topic that is yet to be created.
    pub(crate) fn planned(config: TopicConfig) -> Self {
        let TopicConfig { name, partition_count, retention_ms, config } = config;
        let (schema_version, created_at, updated_at) = (1, 0, 0);
        let topic = Topic { name, partition_count, retention_ms, config, schema_version, created_at, updated_at };
        Self { topic: Arc::new(topic), turns: Arc::default(), window: None, read_at: Instant::now() }
    }
}

/// The place where topics are looked up.
#[derive(Debug)]
pub(crate) enum TopicSource {
    /// A catalog, and the queue that must have the topic open before messages are published to it.
    Queue(Arc<dyn MetadataStore>, Arc<dyn Queue>),
    /// A catalog alone: the agents open topics themselves.
    Catalog(Arc<dyn MetadataStore>),
    /// An agent.
    Agent(Arc<Remote>),
}

/// Topics that were looked up.
#[derive(Debug)]
pub(crate) struct Topics {
    source: TopicSource,
    /// Longest use of a topic's metadata before it is looked up again.
    age_max: Duration,
    // A std mutex: held for a look-up or an insert, never across an await.
    known: Mutex<HashMap<TopicName, KnownTopic>>,
}

impl Topics {
    pub(crate) fn new(source: TopicSource, age_max: Duration) -> Self {
        Self { source, age_max, known: Mutex::default() }
    }

    /// The topic, from memory while it is fresh. An unavailable source does not stop a producer that has sent to the
    /// topic before: it continues with the old metadata.
    pub(crate) async fn get(&self, name: &TopicName) -> Result<KnownTopic> {
        let known = self.remembered(name);
        if let Some(fresh) = known.as_ref().filter(|topic| topic.read_at.elapsed() < self.age_max) {
            return Ok(fresh.clone());
        }
        match (self.refresh(name).await, known) {
            (Err(error), Some(old)) if error.kind() == ErrorKind::Unavailable => {
                tracing::warn!(topic = %name, %error, "topic metadata could not be refreshed; using the old ones");
                Ok(old)
            }
            (result, _) => result,
        }
    }

    /// Looks the topic up, and opens it in the queue.
    pub(crate) async fn refresh(&self, name: &TopicName) -> Result<KnownTopic> {
        let Some(topic) = self.look_up(name).await? else {
            self.forget(name);
            return Err(ProducerError::TopicNotFound(name.clone()));
        };
        let window = self.window_of_bound(&topic).await?;
        let turns = self.remembered(name).map_or_else(Arc::default, |old| old.turns);
        let known = KnownTopic { topic: Arc::new(topic), turns, window, read_at: Instant::now() };
        self.known.lock().expect("no holder of this lock panics").insert(name.clone(), known.clone());
        Ok(known)
    }

    async fn look_up(&self, name: &TopicName) -> Result<Option<Topic>> {
        match &self.source {
            TopicSource::Agent(remote) => remote.topic(name).await,
            TopicSource::Catalog(catalog) => Ok(catalog.get_topic(name).await?),
            TopicSource::Queue(catalog, queue) => {
                let Some(topic) = catalog.get_topic(name).await? else { return Ok(None) };
                let partitions = catalog.list_partitions(name).await?;
                catalog::open_topic(queue.as_ref(), &topic, &partitions).await?;
                Ok(Some(topic))
            }
        }
    }

    /// The shortest duplicate window of the streams that the topic is bound to, which have their own.
    async fn window_of_bound(&self, topic: &Topic) -> Result<Option<Duration>> {
        let TopicSource::Queue(_, queue) = &self.source else { return Ok(None) };
        if topic.config.streams.is_empty() {
            return Ok(None);
        }
        let mut shortest = None;
        for partition_id in 0..topic.partition_count {
            let bounds = queue.bounds(&TopicPartition::new(topic.name.clone(), partition_id)).await?;
            shortest = [shortest, bounds.duplicate_window].into_iter().flatten().min();
        }
        Ok(shortest)
    }

    /// Time from the first attempt of a message in which it may be sent again: the queue still knows its id then. A tenth
    /// of the duplicate window is left for the way to the server. An agent knows the windows of bound streams itself.
    pub(crate) fn repeat_time(&self, name: &TopicName) -> Duration {
        let known = self.remembered(name);
        let of_bound = known.as_ref().and_then(|known| known.window);
        let limits = known.and_then(|known| known.topic.config.stream_limits.clone()).unwrap_or_default();
        let of_limits = limits.duplicate_window_secs.map_or(DUPLICATE_WINDOW_DEFAULT, Duration::from_secs);
        // A stream remembers no id for longer than it keeps messages.
        let kept = limits.age_max_secs.map_or(of_limits, |age| of_limits.min(Duration::from_secs(age)));
        of_bound.unwrap_or(kept) * 9 / 10
    }

    /// The format of the topic's records, if they may travel packed.
    pub(crate) fn packed_format(&self, name: &TopicName) -> Option<Format> {
        let known = self.remembered(name)?;
        known.topic.config.packed.then_some(known.topic.config.format)
    }

    fn remembered(&self, name: &TopicName) -> Option<KnownTopic> {
        self.known.lock().expect("no holder of this lock panics").get(name).cloned()
    }

    /// From now on the topic is looked up again.
    pub(crate) fn forget(&self, name: &TopicName) {
        self.known.lock().expect("no holder of this lock panics").remove(name);
    }
}
