//! Opening the parts that several commands use: the catalog for one piece of work, the queue with a topic in it, the store.
//!
//! Owns: closing the catalog after the work; the error, with its remedy, when a part cannot be opened from here.
//! Does not own: connecting (`service::connect`).

use std::sync::Arc;

use anyhow::{Context, ensure};
use catalog::{CatalogError, MetadataStore, Topic, TopicSnapshot};
use common::config::{Settings, StorageType};
use common::{Queue, TopicName, TopicPartition};
use lake::Storage;
use service::connect;

use crate::output::UsageError;

/// Runs `work` with the configured catalog, opened to be read: no catalog is made or changed, and no right to write
/// is needed.
pub(crate) async fn reading_catalog<T>(
    settings: &Settings,
    work: impl AsyncFnOnce(&Arc<dyn MetadataStore>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    closing(connect::catalog_to_read(settings).await?, work).await
}

/// Runs `work` with the configured catalog, which must exist, and is upgraded if need be. One that ends with this process is
/// refused: nothing that is written there lasts.
pub(crate) async fn with_catalog<T>(
    settings: &Settings,
    work: impl AsyncFnOnce(&Arc<dyn MetadataStore>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    ensure_lasting_catalog(settings)?;
    closing(connect::existing_catalog(settings).await?, work).await
}

/// Runs `work` with the configured catalog, which is made or upgraded if need be. One that ends with this process is refused.
pub(crate) async fn with_new_catalog<T>(
    settings: &Settings,
    work: impl AsyncFnOnce(&Arc<dyn MetadataStore>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    ensure_lasting_catalog(settings)?;
    closing(connect::catalog(settings).await?, work).await
}

/// Closes the catalog also when `work` fails.
async fn closing<T>(
    catalog: Arc<dyn MetadataStore>,
    work: impl AsyncFnOnce(&Arc<dyn MetadataStore>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let done = work(&catalog).await;
    catalog.close().await;
    done
}

fn ensure_lasting_catalog(settings: &Settings) -> Result<(), UsageError> {
    match connect::is_catalog_kept(settings) {
        true => Ok(()),
        false => Err(UsageError::new(format!(
            "CATALOG_URL={} is a catalog in the memory of this command, and gone with it; allowed here is sqlite:<path> or \
             postgres://user:password@host/database",
            settings.catalog_place()
        ))),
    }
}

/// Refuses a queue that cannot be reached from here. `consequence` is the effect, for the error.
pub(crate) fn ensure_shared_queue(settings: &Settings, consequence: &str) -> Result<(), UsageError> {
    connect::ensure_shared(settings, consequence).map_err(|error| UsageError::new(error.to_string()))
}

/// The configured queue with the topic opened; a queue that cannot be reached from here is refused.
pub(crate) async fn queue_of(
    settings: &Settings,
    snapshot: &TopicSnapshot,
    consequence: &str,
) -> anyhow::Result<Arc<dyn Queue>> {
    ensure_shared_queue(settings, consequence)?;
    let queue = connect::queue(settings).await?;
    let opened = catalog::open_topic(queue.as_ref(), &snapshot.topic, &snapshot.partitions).await;
    opened.with_context(|| format!("topic {} cannot be opened in the queue", snapshot.topic.name))?;
    Ok(queue)
}

/// The configured store, when its objects can be read from another process.
pub(crate) fn storage(settings: &Settings) -> anyhow::Result<Storage> {
    let storage = connect::existing_storage(settings)?;
    ensure!(
        storage.kind != StorageType::Memory,
        UsageError::new(
            "STORAGE_TYPE=memory keeps segments inside the writer's process, where nobody else can read them; choose \
             another store"
        )
    );
    Ok(storage)
}

/// The same, when it is the store of the catalog's objects.
pub(crate) async fn storage_of(settings: &Settings, catalog: &dyn MetadataStore) -> anyhow::Result<Storage> {
    let storage = storage(settings)?;
    storage.check_place(catalog).await?;
    Ok(storage)
}

/// The named topic, which must exist.
pub(crate) async fn topic(catalog: &dyn MetadataStore, name: &TopicName) -> Result<Topic, CatalogError> {
    let topic = catalog.get_topic(name).await?;
    topic.ok_or_else(|| CatalogError::TopicNotFound(name.to_string()))
}

/// The named topic, which must exist, or all topics.
pub(crate) async fn topics(catalog: &dyn MetadataStore, named: Option<&TopicName>) -> anyhow::Result<Vec<TopicName>> {
    match named {
        Some(name) => Ok(vec![topic(catalog, name).await?.name]),
        None => Ok(catalog.list_topics().await?.into_iter().map(|topic| topic.name).collect()),
    }
}

/// An error when the topic has no partition of this number.
pub(crate) fn check_partition(topic: &Topic, partition_id: Option<u32>) -> Result<(), UsageError> {
    let Some(partition_id) = partition_id.filter(|id| *id >= topic.partition_count) else { return Ok(()) };
    let (name, last) = (&topic.name, topic.partition_count - 1);
    Err(UsageError::new(format!("--partition {partition_id}: topic {name} has partitions 0 to {last}")))
}

/// The partitions of the topic, or the one of this number, which must exist.
pub(crate) fn partitions(topic: &Topic, only: Option<u32>) -> Result<Vec<TopicPartition>, UsageError> {
    check_partition(topic, only)?;
    let numbers = only.map_or(0..topic.partition_count, |id| id..id + 1);
    Ok(numbers.map(|id| TopicPartition::new(topic.name.clone(), id)).collect())
}
