//! A queue on NATS JetStream: a partition is a stream, an offset is its sequence.
//!
//! Owns: the topics opened in this process. Does not own: the connection (`connection`, `api`, `login`,
//! `server_version`), streams (`topic_streams`, `subjects`, `retention`), consumers (`consumer`, `subscription` and its
//! rules), publishing (`publish`), reading (`read`).
//! This crate keeps no position: the catalog has each partition's high watermark.

mod ack_subject;
mod announcements;
mod api;
mod bare;
mod bounded;
mod config;
mod connection;
mod consumer;
#[doc(hidden)]
pub mod contiguity;
mod diagnose;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod headers;
mod held_subjects;
mod intake;
mod login;
mod mirror;
mod monitor;
mod omission;
mod phase;
mod publish;
mod pull_account;
mod read;
mod retention;
mod runs;
mod server_version;
mod silence;
mod status;
pub mod subjects;
mod subscription;
mod topic_streams;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, RwLock};

use async_trait::async_trait;
use bytes::Bytes;

pub use self::announcements::ANNOUNCEMENTS_SUBJECT;
pub use self::config::{AckMode, NatsConfig};
use self::connection::Connection;
use self::subscription::{NatsSubscription, suspect};
use self::topic_streams::PartitionStream;
use common::diagnosis::Finding;
use common::ids::{TopicName, TopicPartition};
use common::message::{Message, OutgoingMessage};
use common::queue::{
    Announcements, Bounds, Page, PageLimits, PublishAck, Queue, QueueError, SubscribeRequest, Subscription,
};
use common::topic::TopicDefinition;

/// A queue on NATS JetStream. Cloning gives another handle of the same connection.
///
/// It reconnects without end; calls made meanwhile return [`QueueError::Unavailable`], and subscriptions that a
/// disconnection disturbed return [`QueueError::SubscriptionLost`].
#[derive(Clone)]
pub struct NatsQueue {
    shared: Arc<Shared>,
}

type Streams = Arc<Vec<Arc<PartitionStream>>>;

struct Shared {
    connection: Arc<Connection>,
    config: NatsConfig,
    // Read once per call, written when a topic is added or removed; never held across an await.
    topics: RwLock<HashMap<TopicName, Streams>>,
}

impl NatsQueue {
    /// Connects to the server.
    ///
    /// # Errors
    /// [`QueueError::Refused`] for an invalid URL, credentials or certificates, [`QueueError::Unavailable`] if no
    /// server answers there; both name the URL without its password.
    pub async fn connect(config: NatsConfig) -> Result<Self, QueueError> {
        let connection = Arc::new(Connection::new(&config).await?);
        Ok(Self { shared: Arc::new(Shared { connection, config, topics: RwLock::default() }) })
    }

    /// Checks settings and files of the login without connecting.
    ///
    /// # Errors
    /// [`QueueError::Refused`] names the setting that is wrong, or the one whose file is.
    pub async fn check_login(config: &NatsConfig) -> Result<(), QueueError> {
        login::options(config).await.map(drop)
    }

    fn connection(&self) -> &Connection {
        &self.shared.connection
    }

    /// The connection that brings the partition's messages.
    async fn connection_of(&self, stream: &PartitionStream) -> Arc<Connection> {
        if !stream.apart.is_needed() {
            return Arc::clone(&self.shared.connection);
        }
        // Boxed: connecting is a large future, and would be part of every request.
        Box::pin(stream.apart.or_shared(&self.shared.connection, &self.shared.config)).await
    }

    fn stream(&self, partition: &TopicPartition) -> Result<Arc<PartitionStream>, QueueError> {
        let topics = self.shared.topics.read().expect("no holder of this lock panics");
        let Some(streams) = topics.get(&partition.topic) else {
            let reason = "it was not opened in this process".to_owned();
            return Err(QueueError::TopicUnknown { topic: partition.topic.clone(), reason });
        };
        let partition_count = u32::try_from(streams.len()).unwrap_or(u32::MAX);
        let found = streams.get(partition.partition_id as usize).cloned();
        found.ok_or_else(|| QueueError::PartitionUnknown { partition: partition.clone(), partition_count })
    }

    /// Publishes payloads under these message ids with nothing but the library for NATS, `in_flight_max` at a time: without
    /// retries, limits and waits for a full stream. For measurements alone.
    ///
    /// # Errors
    /// The first message that was not confirmed; others may be stored.
    pub async fn publish_bare(
        &self,
        to: &TopicPartition,
        messages: impl Iterator<Item = (String, Bytes)> + Send,
        in_flight_max: usize,
    ) -> Result<(), QueueError> {
        bare::publish(self.connection(), &*self.stream(to)?, messages, in_flight_max).await
    }

    /// Deletes the consumers that readers of a bound topic left at its streams: some streams keep messages as long as
    /// one of their consumers exists.
    async fn delete_consumers(&self, topic: &TopicDefinition) -> Result<(), QueueError> {
        for partition_id in 0..topic.partition_count {
            match topic_streams::open_one(self.connection(), topic, partition_id, self.shared.config.ack).await {
                Ok(stream) => consumer::delete_of_partition(self.connection(), &stream).await?,
                // A stream that is gone or cannot be served has no consumers made by Siltstone.
                Err(QueueError::TopicUnknown { .. } | QueueError::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Keeps the open streams that are unchanged, so that running subscriptions stay registered.
    fn insert(&self, topic: &TopicName, streams: Vec<Arc<PartitionStream>>) {
        let mut topics = self.shared.topics.write().expect("no holder of this lock panics");
        let name = |stream: &Arc<PartitionStream>| (stream.stream.clone(), stream.filters.clone());
        let is_same = topics.get(topic).is_some_and(|held| held.iter().map(name).eq(streams.iter().map(name)));
        if !is_same {
            topics.insert(topic.clone(), Arc::new(streams));
        }
    }
}

#[async_trait]
impl Queue for NatsQueue {
    async fn create_topic(&self, topic: &TopicDefinition) -> Result<(), QueueError> {
        topic.validate().map_err(QueueError::refused)?;
        if topic_streams::is_managed(topic) {
            topic_streams::create(self.connection(), topic).await?;
        } else {
            topic_streams::check_bound(self.connection(), topic).await?;
        }
        self.open_topic(topic, None, &[]).await
    }

    async fn delete_topic(&self, topic: &TopicDefinition) -> Result<(), QueueError> {
        self.shared.topics.write().expect("no holder of this lock panics").remove(&topic.name);
        if topic_streams::is_managed(topic) {
            topic_streams::delete(self.connection(), topic).await
        } else {
            self.delete_consumers(topic).await
        }
    }

    async fn open_topic(&self, topic: &TopicDefinition, _: Option<i64>, _: &[u64]) -> Result<(), QueueError> {
        topic.validate().map_err(QueueError::refused)?;
        let streams = topic_streams::open(self.connection(), topic, self.shared.config.ack).await?;
        self.insert(&topic.name, streams);
        Ok(())
    }

    async fn publish(
        &self,
        to: &TopicPartition,
        messages: Vec<OutgoingMessage>,
    ) -> Result<Vec<PublishAck>, QueueError> {
        publish::publish(self.connection(), &*self.stream(to)?, messages).await
    }

    async fn subscribe(&self, request: SubscribeRequest) -> Result<Box<dyn Subscription>, QueueError> {
        let stream = self.stream(&request.partition)?;
        self.connection().check_version()?;
        // First: it tells which connection can bring what follows.
        let first = suspect(self.connection(), &stream, request.from_offset).await?;
        let connection = self.connection_of(&stream).await;
        let subscription = NatsSubscription::new(connection, stream, request, first, self.shared.config.ack).await?;
        Ok(Box::new(subscription))
    }

    async fn bounds(&self, partition: &TopicPartition) -> Result<Bounds, QueueError> {
        let stream = self.stream(partition)?;
        let Some(info) = topic_streams::info(self.connection(), &stream.stream).await? else {
            let reason = format!("stream {} was deleted", stream.stream);
            return Err(QueueError::TopicUnknown { topic: partition.topic.clone(), reason });
        };
        if !stream.retention.is_of(info.config.retention) {
            return Err(QueueError::refused(format!(
                "stream {} was opened with another retention than {:?}; restart this process to read it as it is now",
                stream.stream, info.config.retention
            )));
        }
        let limits = topic_streams::discard_limits(&info);
        let own_end = info.state.last_sequence + 1;
        // A mirror has the origin's numbers; messages that it has not copied yet exist nevertheless.
        let next_offset = match (&stream.mirror_of, &info.mirror) {
            (Some(origin), Some(state)) if state.active.is_none() && own_end == 1 => {
                return Err(QueueError::unavailable(format!(
                    "stream {} is a mirror that has not reached its origin {origin} yet",
                    stream.stream
                )));
            }
            (Some(_), Some(_)) => mirror::end_of_origin(self.connection(), &stream.stream, &info).await?,
            _ => own_end,
        };
        let first_offset = if info.state.messages == 0 { own_end } else { info.state.first_sequence };
        let history = format!("stream {} created {}", stream.stream, info.created);
        let is_copy = info.config.mirror.is_some() || info.config.sources.as_ref().is_some_and(|of| !of.is_empty());
        let created_us = (!is_copy).then(|| (info.created.unix_timestamp_nanos() / 1_000) as i64);
        let omits = omission::of(&info.config);
        let duplicate_window = Some(info.config.duplicate_window);
        Ok(Bounds { first_offset, next_offset, history, limits, created_us, duplicate_window, omits })
    }

    async fn read(
        &self,
        partition: &TopicPartition,
        from_offset: u64,
        to_offset: u64,
    ) -> Result<Vec<Message>, QueueError> {
        let stream = self.stream(partition)?;
        let connection = self.connection_of(&stream).await;
        let messages = read::read(&connection, &stream, from_offset, to_offset).await?;
        if messages.is_empty() && from_offset < to_offset && stream.mirror_of.is_some() {
            mirror::check_copied(self.connection(), &stream, from_offset).await?;
        }
        Ok(messages)
    }

    async fn read_page(
        &self,
        partition: &TopicPartition,
        from_offset: u64,
        to_offset: u64,
        limits: PageLimits,
    ) -> Result<Page, QueueError> {
        let stream = self.stream(partition)?;
        let connection = self.connection_of(&stream).await;
        let page = read::page(&connection, &stream, (from_offset, to_offset), limits).await?;
        if page.messages.is_empty() && from_offset < to_offset && stream.mirror_of.is_some() {
            mirror::check_copied(self.connection(), &stream, from_offset).await?;
            return Ok(Page { next_offset: to_offset, ..page });
        }
        Ok(page)
    }

    async fn check(&self) -> Result<(), QueueError> {
        self.connection().check_connected().await?;
        let answer = api::request::<serde_json::Value>(self.connection(), "INFO".to_owned(), &api::EMPTY).await?;
        answer.expected("JetStream")?;
        self.connection().check_version()
    }

    async fn subjects(&self, stream: &str, pattern: &str) -> Result<Vec<String>, QueueError> {
        held_subjects::list(self.connection(), stream, pattern).await
    }

    fn announcements(&self) -> Option<Arc<dyn Announcements>> {
        let connection = Arc::clone(&self.shared.connection);
        Some(Arc::new(announcements::NatsAnnouncements { connection }))
    }

    async fn diagnose(&self, topics: &[TopicDefinition]) -> Vec<Finding> {
        diagnose::diagnose(self.connection(), &self.shared.config, topics).await
    }
}

impl fmt::Debug for NatsQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsQueue").field("config", &self.shared.config).finish_non_exhaustive()
    }
}
