//! What several commands open: the queue with a topic in it, the store, the topics that are meant.
//!
//! Owns: saying why something cannot be opened from here, and what to do. Does not own: connecting (`writer::connect`).

use std::sync::Arc;

use anyhow::{Context, ensure};
use catalog::{MetadataStore, TopicSnapshot};
use common::config::{QueueType, Settings, StorageType};
use common::{Queue, TopicName};
use lake::Storage;

use crate::output::UsageError;

/// The configured queue with the topic opened. `what` needs it, and cannot be done where the queue is in another
/// process's memory.
pub(crate) async fn queue_of(
    settings: &Settings,
    snapshot: &TopicSnapshot,
    what: &str,
) -> anyhow::Result<Arc<dyn Queue>> {
    ensure!(
        settings.queue_type != QueueType::Memory,
        UsageError::new(format!(
            "QUEUE_TYPE=memory: that queue lives inside the process that writes and cannot be reached from here, so \
             {what}; set QUEUE_TYPE=nats where the topic's messages are on NATS"
        ))
    );
    let queue = writer::connect::queue(settings).await?;
    let next_offsets: Vec<u64> = snapshot.partitions.iter().map(|partition| partition.high_watermark).collect();
    let opened = queue.open_topic(&snapshot.topic.definition(), &next_offsets).await;
    opened.with_context(|| format!("topic {} cannot be opened in the queue", snapshot.topic.name))?;
    Ok(queue)
}

/// The configured store, when its objects can be read from another process.
pub(crate) fn storage(settings: &Settings) -> anyhow::Result<Storage> {
    let storage = writer::connect::storage(settings)?;
    ensure!(
        settings.storage_type != StorageType::Memory && storage.url.scheme() != "memory",
        UsageError::new(
            "STORAGE_TYPE=memory keeps segments inside the writer's process, where nobody else can read them; choose \
             another store"
        )
    );
    Ok(storage)
}

/// The topic that was named, which must exist, or all topics.
pub(crate) async fn topics(catalog: &dyn MetadataStore, named: Option<&TopicName>) -> anyhow::Result<Vec<TopicName>> {
    match named {
        Some(name) => {
            let topic = catalog.get_topic(name).await?;
            let found = topic.ok_or_else(|| catalog::CatalogError::TopicNotFound(name.to_string()))?;
            Ok(vec![found.name])
        }
        None => Ok(catalog.list_topics().await?.into_iter().map(|topic| topic.name).collect()),
    }
}

/// An error when the topic has no partition of this number.
pub(crate) fn check_partition(snapshot: &TopicSnapshot, partition_id: Option<u32>) -> anyhow::Result<()> {
    let Some(partition_id) = partition_id.filter(|id| *id >= snapshot.topic.partition_count) else { return Ok(()) };
    let (name, last) = (&snapshot.topic.name, snapshot.topic.partition_count - 1);
    Err(UsageError::new(format!("--partition {partition_id}: topic {name} has partitions 0 to {last}")).into())
}
