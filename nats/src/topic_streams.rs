//! The streams of a topic: one per partition.
//!
//! Owns: their names and settings; creating, checking and deleting them.
//! Does not own: their subjects (`subjects`), reading or writing their messages. A stream is changed only by `create_topic` and `delete_topic`,
//! and only if it is managed.

mod apart;
mod losses;
mod managed;
mod taken;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::stream::{Config, DeleteStatus, DiscardPolicy, Info};
use futures::{StreamExt, TryStreamExt, stream};

use self::apart::Apart;
use self::losses::{LOSSES_SUSPECT, Losses};
use crate::api::{self, Answer, EMPTY, server_error};
use crate::bounded::Bounded;
use crate::config::AckMode;
use crate::connection::Connection;
use crate::retention::{Retention, retention_of};
use crate::subjects::own_subject;
use common::ids::TopicPartition;
use common::queue::{DiscardLimits, QueueError};
use common::topic::TopicDefinition;

/// Concurrent requests: creating a stream writes to disk, checking one does not.
const CREATES_MAX: usize = 16;
const CHECKS_MAX: usize = 64;

/// The stream of one partition.
#[derive(Debug)]
pub(super) struct PartitionStream {
    pub(super) partition: TopicPartition,
    /// Its name.
    pub(super) stream: String,
    /// The subjects to read; empty means all.
    pub(super) filters: Vec<String>,
    /// The readers' actions that delete messages.
    pub(super) retention: Retention,
    /// Its limits for consumers.
    pub(super) bounded: Bounded,
    /// The origin that it copies, sequences included.
    pub(super) mirror_of: Option<String>,
    /// The subject for new messages, or the reason why there is none.
    pub(super) publish_subject: Result<String, String>,
    /// The stream's own limit of a message's size.
    pub(super) message_bytes_max: usize,
    /// True if only the leader certainly holds every message: requests then go to it alone.
    pub(super) is_leader_needed: bool,
    /// True if every copy of it answers direct gets.
    pub(super) allows_direct: bool,
    /// Number of the latest subscription in this process.
    pub(super) reader: AtomicU64,
    /// The positions at which readers lost their connection, to find a message that causes the loss.
    pub(super) losses: Losses,
    /// Its own connection, if it needs one.
    pub(super) apart: Apart,
}

impl PartitionStream {
    /// True if the message at this position may be what ends the connection. On a connection of its own, of which others
    /// have nothing, the first loss is enough.
    pub(super) fn is_suspect(&self, position: u64) -> bool {
        self.losses.at(position) >= if self.apart.is_needed() { 1 } else { LOSSES_SUSPECT }
    }
}

/// Name and filters of a partition's stream.
pub(super) fn stream_of(topic: &TopicDefinition, partition_id: u32) -> (String, Vec<String>) {
    match topic.options.streams.get(partition_id as usize) {
        Some(bound) => (bound.stream.clone(), bound.subjects.clone()),
        None => (format!("{}-{partition_id}", topic.name), Vec::new()),
    }
}

pub(super) fn is_managed(topic: &TopicDefinition) -> bool {
    topic.options.streams.is_empty()
}

/// Creates the missing managed streams of `topic`, and compares the existing ones.
pub(super) async fn create(connection: &Connection, topic: &TopicDefinition) -> Result<(), QueueError> {
    check_plain(topic)?;
    let beyond = format!("{}-{}", topic.name, topic.partition_count);
    if info(connection, &beyond).await?.is_some() {
        return Err(QueueError::refused(format!(
            "topic {} exists with more than {} partitions: there is a stream {beyond}",
            topic.name, topic.partition_count
        )));
    }
    let configs: Vec<Config> = (0..topic.partition_count).map(|id| managed::config(topic, id)).collect();
    stream::iter(configs.into_iter().map(|config| create_one(connection, config)))
        .buffer_unordered(CREATES_MAX)
        .try_collect()
        .await
}

async fn create_one(connection: &Connection, config: Config) -> Result<(), QueueError> {
    if let Some(held) = info(connection, &config.name).await? {
        return managed::compare(&held.config, &config);
    }
    let answer = api::request::<Info>(connection, format!("STREAM.CREATE.{}", config.name), &config).await?;
    if matches!(&answer, Answer::Refused(error) if error.error_code() == ErrorCode::STREAM_SUBJECT_OVERLAP) {
        return Err(taken::overlapping(connection, &config).await);
    }
    answer.expected(&format!("stream {} cannot be made", config.name)).map(|_| ())
}

/// Refuses a bound topic with subjects that its streams do not take, or that it would read twice. Streams that are absent are no matter of this function.
pub(super) async fn check_bound(connection: &Connection, topic: &TopicDefinition) -> Result<(), QueueError> {
    taken::check_apart(topic)?;
    for bound in topic.options.streams.iter().filter(|bound| !bound.subjects.is_empty()) {
        if let Some(info) = info(connection, &bound.stream).await? {
            taken::check_taken(&info.config, &bound.subjects)?;
        }
    }
    Ok(())
}

/// Deletes the managed streams of `topic`.
pub(super) async fn delete(connection: &Connection, topic: &TopicDefinition) -> Result<(), QueueError> {
    check_plain(topic)?;
    let names: Vec<String> = (0..topic.partition_count).map(|id| stream_of(topic, id).0).collect();
    stream::iter(names.into_iter().map(|name| delete_one(connection, name)))
        .buffer_unordered(CREATES_MAX)
        .try_collect()
        .await
}

async fn delete_one(connection: &Connection, name: String) -> Result<(), QueueError> {
    match api::request::<DeleteStatus>(connection, format!("STREAM.DELETE.{name}"), &EMPTY).await? {
        Answer::Done(_) => Ok(()),
        Answer::Refused(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(()),
        Answer::Refused(error) => Err(server_error(&format!("stream {name} cannot be deleted"), &error)),
    }
}

/// Checks that every partition's stream exists and can be served.
pub(super) async fn open(
    connection: &Connection,
    topic: &TopicDefinition,
    ack: AckMode,
) -> Result<Vec<Arc<PartitionStream>>, QueueError> {
    if is_managed(topic) {
        check_plain(topic)?;
    }
    stream::iter((0..topic.partition_count).map(|id| open_one(connection, topic, id, ack)))
        .buffered(CHECKS_MAX)
        .try_collect()
        .await
}

/// Checks that the stream of one partition exists and can be served.
pub(super) async fn open_one(
    connection: &Connection,
    topic: &TopicDefinition,
    partition_id: u32,
    ack: AckMode,
) -> Result<Arc<PartitionStream>, QueueError> {
    let (stream, filters) = stream_of(topic, partition_id);
    check_stream_name(&stream)?;
    let Some(info) = info(connection, &stream).await? else {
        let hint = if is_managed(topic) {
            format!("if it was deleted, `siltstone topic create {}` makes it again", topic.name)
        } else {
            "it is bound to the topic and must be made beforehand".to_owned()
        };
        let reason = format!("stream {stream} does not exist; {hint}");
        return Err(QueueError::TopicUnknown { topic: topic.name.clone(), reason });
    };
    let retention = retention_of(&info.config, ack).map_err(QueueError::refused)?;
    let begins_late = topic.options.streams.get(partition_id as usize).is_some_and(|bound| bound.from_offset.is_some());
    if retention.deletes() && begins_late {
        return Err(QueueError::refused(format!(
            "stream {stream} keeps a message until it is acked, so that none can be skipped: read it from its first one"
        )));
    }
    let bounded = Bounded::of(&info.config);
    if let Some(reason) = bounded.disadvantage(retention) {
        tracing::warn!(%stream, reason, "a limit of the stream");
    }
    if filters.iter().any(|filter| has_wildcard(filter)) {
        tracing::warn!(%stream, ?filters, "a wildcard filter costs the server about ten times as much per message");
    }
    if let Err(error) = taken::check_taken(&info.config, &filters) {
        tracing::warn!(%stream, %error, "the stream was changed: nothing new comes to a part of the topic");
    }
    let publish_subject = publish_subject(topic, partition_id, &info.config, &filters);
    let mirror_of = info.config.mirror.as_ref().map(|origin| origin.name.clone());
    Ok(Arc::new(PartitionStream {
        partition: TopicPartition::new(topic.name.clone(), partition_id),
        retention,
        bounded,
        mirror_of,
        publish_subject,
        message_bytes_max: usize::try_from(info.config.max_message_size)
            .ok()
            .filter(|max| *max > 0)
            .unwrap_or(usize::MAX),
        allows_direct: info.config.allow_direct,
        is_leader_needed: !info.config.allow_direct || info.config.num_replicas > 1,
        stream,
        filters,
        reader: AtomicU64::new(0),
        losses: Losses::default(),
        apart: Apart::default(),
    }))
}

/// Settings and state of a stream; `None` if it does not exist.
pub(super) async fn info(connection: &Connection, stream: &str) -> Result<Option<Info>, QueueError> {
    match api::request::<Info>(connection, format!("STREAM.INFO.{stream}"), &EMPTY).await? {
        Answer::Done(info) => Ok(Some(info)),
        Answer::Refused(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
        Answer::Refused(error) => Err(server_error(&format!("stream {stream} cannot be read"), &error)),
    }
}

fn check_plain(topic: &TopicDefinition) -> Result<(), QueueError> {
    if topic.name.is_plain() {
        return Ok(());
    }
    Err(QueueError::refused(format!(
        "topic {:?} cannot be a NATS stream: allowed are letters, digits, _ and -; or bind it to existing streams",
        topic.name
    )))
}

pub(super) fn check_stream_name(stream: &str) -> Result<(), QueueError> {
    let is_valid = |c: char| !c.is_whitespace() && !c.is_control() && !".*>/\\".contains(c);
    if !stream.is_empty() && stream.chars().all(is_valid) {
        return Ok(());
    }
    Err(QueueError::refused(format!("stream name {stream:?} is invalid: it is empty or holds a space, . * > / or \\")))
}

fn publish_subject(
    topic: &TopicDefinition,
    partition_id: u32,
    config: &Config,
    filters: &[String],
) -> Result<String, String> {
    let stream = &config.name;
    if config.sealed {
        return Err(format!("stream {stream} is sealed: it takes no more messages"));
    }
    if let Some(origin) = &config.mirror {
        return Err(format!("stream {stream} is a mirror of {}: publish there", origin.name));
    }
    if is_managed(topic) {
        return Ok(own_subject(topic, partition_id));
    }
    if let Some(transform) = config.subject_transform.as_ref().filter(|_| !filters.is_empty()) {
        return Err(format!(
            "stream {stream} stores subjects under other names ({}): publish to the ones that it takes, {}, with a NATS client",
            transform.destination,
            config.subjects.join(", ")
        ));
    }
    let candidates = if filters.is_empty() { &config.subjects } else { filters };
    let plain = candidates.iter().find(|subject| !has_wildcard(subject));
    if let Some(subject) = plain.filter(|subject| !taken::is_taken(config, subject)) {
        return Err(format!("stream {stream} takes {}, and not {subject}", config.subjects.join(", ")));
    }
    plain.cloned().ok_or_else(|| {
        if candidates.is_empty() {
            format!("stream {stream} has no subjects of its own: publish to its sources")
        } else {
            format!("stream {stream} has only wildcard subjects: publish to one of them with a NATS client")
        }
    })
}

/// The stream's limits beyond which it discards messages, committed or not.
pub(super) fn discard_limits(info: &Info) -> Option<DiscardLimits> {
    let config = &info.config;
    // With the other policy a full stream refuses new messages instead of discarding old ones.
    let discards_old = config.discard == DiscardPolicy::Old;
    let most = |limit: i64| u64::try_from(limit).ok().filter(|limit| *limit > 0 && discards_old);
    let (messages_max, bytes_max) = (most(config.max_messages), most(config.max_bytes));
    let age_max = (!config.max_age.is_zero()).then_some(config.max_age);
    (messages_max.is_some() || bytes_max.is_some() || age_max.is_some()).then(|| DiscardLimits {
        messages: info.state.messages,
        messages_max,
        bytes: info.state.bytes,
        bytes_max,
        first_timestamp_us: i64::try_from(info.state.first_timestamp.unix_timestamp_nanos() / 1_000).unwrap_or(0),
        age_max,
    })
}

fn has_wildcard(subject: &str) -> bool {
    subject.split('.').any(|token| token == "*" || token == ">")
}
