//! Operations on topics and partitions.
//!
//! Owns: the contract of these operations. Does not own: SQL.

use async_trait::async_trait;
use common::topic::TopicOptions;
use common::{TopicName, TopicPartition};

use crate::error::Result;
use crate::model::{Partition, Topic, TopicConfig};

/// Topics and partitions.
#[async_trait]
pub trait TopicStore: Send + Sync {
    /// Creates the topic and all its partitions at watermark 0, in one transaction. Their epochs continue from a
    /// deleted topic of that name, so that requests for that one are never accepted here. Its two tables get new
    /// numbers and uuids, and the change of the lake snapshot is
    /// `created_table:"main"."<name>",created_table:"quarantine"."<name>"` (quotes in the name are doubled) under a new
    /// schema version.
    ///
    /// # Errors
    /// `TopicAlreadyExists`; `TopicExistsAs` if only the case of ASCII letters differs; `Refused` if the definition is
    /// not valid.
    async fn create_topic(&self, topic: TopicConfig) -> Result<Topic>;

    /// Deletes the topic with its partitions, segments, commits, gaps, expirations and consumer offsets, in one
    /// transaction. Its live objects are retired and handed to the janitor, pending intents are doomed, and its highest
    /// epoch is kept for the next topic of that name. The change of the lake snapshot is
    /// `dropped_table:<id>,dropped_table:<id>`.
    ///
    /// # Errors
    /// `TopicNotFound`.
    async fn delete_topic(&self, name: &TopicName) -> Result<()>;

    /// The topic, if it exists.
    async fn get_topic(&self, name: &TopicName) -> Result<Option<Topic>>;

    /// All topics, by name.
    async fn list_topics(&self) -> Result<Vec<Topic>>;

    /// Replaces retention and options of the topic, if its schema version is `seen_version`. If the options differ,
    /// `schema_version` rises, and so does that of the lake, in a snapshot with the change
    /// `altered_table:<id>,altered_table:<id>`. Of two such changes of one version, the second is refused.
    ///
    /// # Errors
    /// `TopicNotFound`; `TopicChanged` if its schema version is another one now; `Refused` if the options are not
    /// valid.
    async fn update_topic_config(
        &self,
        name: &TopicName,
        seen_version: u32,
        retention_ms: Option<u64>,
        config: TopicOptions,
    ) -> Result<Topic>;

    /// [`TopicStore::update_topic_config`] with the retention that the topic has in that moment.
    ///
    /// # Errors
    /// As [`TopicStore::update_topic_config`].
    async fn update_topic_options(&self, name: &TopicName, seen_version: u32, config: TopicOptions) -> Result<Topic>;

    /// The partition, if it exists.
    async fn get_partition(&self, partition: &TopicPartition) -> Result<Option<Partition>>;

    /// The topic's partitions, by number; empty if there is no such topic.
    async fn list_partitions(&self, topic: &TopicName) -> Result<Vec<Partition>>;

    /// Moves an unowned partition's watermark forward, for imports and repairs. The writer never calls it: its
    /// watermark moves in [`CommitStore::commit`](crate::CommitStore::commit) alone. A partition whose watermark was
    /// moved this way has no anchor.
    ///
    /// # Errors
    /// `PartitionNotFound`; `InvalidOffset` if it would move back; `Fenced` while the partition has an owner.
    async fn update_high_watermark(&self, partition: &TopicPartition, high_watermark: u64) -> Result<()>;
}
