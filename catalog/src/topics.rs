//! A topic in the queue and in the catalog at once.
//!
//! Owns: the order in which a topic is created in both and deleted from both, changing its options, and opening a topic in the
//! queue at the catalog's position.
//! Does not own: validating options (`common::topic`), texts for people other than the errors.

use common::topic::{InvalidTopic, TopicOptions, check_retention};
use common::{ErrorKind, Queue, QueueError, TopicDefinition, TopicName};

use crate::error::CatalogError;
use crate::model::{Partition, Topic, TopicConfig};
use crate::store::TopicStore;

impl TopicConfig {
    /// The definition for queue and writer.
    pub fn definition(&self) -> TopicDefinition {
        TopicDefinition { name: self.name.clone(), partition_count: self.partition_count, options: self.config.clone() }
    }

    /// Checks everything that needs neither queue nor catalog.
    ///
    /// # Errors
    /// [`InvalidTopic`] names the first error and the allowed values.
    pub fn validate(&self) -> Result<(), InvalidTopic> {
        self.definition().validate()?;
        check_retention(&self.name, self.retention_ms)
    }
}

/// The reason why a topic was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateTopicError {
    /// The catalog refuses it, has it already or is unreachable. Nothing was created.
    #[error(transparent)]
    Catalog(CatalogError),
    /// The queue did not create it. It is not in the catalog.
    #[error("topic {topic} was not created")]
    Queue {
        /// Name of the topic.
        topic: TopicName,
        /// The error of the queue.
        #[source]
        error: QueueError,
    },
    /// The queue created it, and the catalog did not list it. Creating it again is safe.
    #[error("topic {topic} is not listed in the catalog{}", after_listing(.error))]
    NotListed {
        /// Name of the topic.
        topic: TopicName,
        /// The error of the catalog.
        #[source]
        error: CatalogError,
    },
}

/// The advice after a topic was not listed.
fn after_listing(error: &CatalogError) -> &'static str {
    match error.kind() {
        ErrorKind::Unavailable => "; the queue has it, and the same command may be repeated",
        _ => "",
    }
}

/// Creates the topic in the queue, then in the catalog, so that a listed topic always has its streams. Repeating it
/// after a failure in between is harmless.
///
/// # Errors
/// [`CatalogError::TopicAlreadyExists`] or [`CatalogError::TopicExistsAs`] inside [`CreateTopicError::Catalog`] if the catalog
/// has the topic or its name in another case; otherwise the variant names the one that failed.
pub async fn create_topic(
    queue: &dyn Queue,
    catalog: &dyn TopicStore,
    config: TopicConfig,
) -> Result<Topic, CreateTopicError> {
    let topic = config.name.clone();
    check_retention(&topic, config.retention_ms)
        .map_err(|error| CreateTopicError::Catalog(CatalogError::Refused(error.to_string())))?;
    if catalog.get_topic(&topic).await.map_err(CreateTopicError::Catalog)?.is_some() {
        return Err(CreateTopicError::Catalog(CatalogError::TopicAlreadyExists(topic.to_string())));
    }
    // The catalog would refuse it as well, but only after the queue had made it.
    let listed = catalog.list_topics().await.map_err(CreateTopicError::Catalog)?;
    if let Some(held) = listed.iter().find(|held| held.name.as_str().eq_ignore_ascii_case(topic.as_str())) {
        let (name, existing) = (topic.to_string(), held.name.to_string());
        return Err(CreateTopicError::Catalog(CatalogError::TopicExistsAs { name, existing }));
    }
    if let Err(error) = queue.create_topic(&config.definition()).await {
        return Err(CreateTopicError::Queue { topic, error });
    }
    match catalog.create_topic(config).await {
        Ok(created) => Ok(created),
        Err(error @ (CatalogError::TopicAlreadyExists(_) | CatalogError::TopicExistsAs { .. })) => {
            Err(CreateTopicError::Catalog(error))
        }
        Err(error) => Err(CreateTopicError::NotListed { topic, error }),
    }
}

/// The reason why a topic was not deleted, or only in part.
#[derive(Debug, thiserror::Error)]
pub enum DeleteTopicError {
    /// The catalog has no such topic, or is unreachable. Nothing was deleted.
    #[error(transparent)]
    Catalog(CatalogError),
    /// The queue did not delete it. It is still in the catalog.
    #[error("topic {topic} was not deleted; its messages could not be removed")]
    Queue {
        /// Name of the topic.
        topic: TopicName,
        /// The error of the queue.
        #[source]
        error: QueueError,
    },
    /// The queue deleted it, and the catalog did not. Deleting it again is safe.
    #[error("topic {topic} is gone from the queue but still listed in the catalog; repeat the same command")]
    StillListed {
        /// Name of the topic.
        topic: TopicName,
        /// The error of the catalog.
        #[source]
        error: CatalogError,
    },
}

/// Deletes the topic from the queue, then from the catalog, so that a failure in between can be repeated.
///
/// # Errors
/// [`CatalogError::TopicNotFound`] inside [`DeleteTopicError::Catalog`]; otherwise the variant names the one that failed.
pub async fn delete_topic(
    queue: &dyn Queue,
    catalog: &dyn TopicStore,
    name: &TopicName,
) -> Result<(), DeleteTopicError> {
    let found = catalog.get_topic(name).await.map_err(DeleteTopicError::Catalog)?;
    let absent = || DeleteTopicError::Catalog(CatalogError::TopicNotFound(name.to_string()));
    let definition = found.ok_or_else(absent)?.definition();
    let in_queue = queue.delete_topic(&definition).await;
    in_queue.map_err(|error| DeleteTopicError::Queue { topic: name.clone(), error })?;
    let in_catalog = catalog.delete_topic(name).await;
    in_catalog.map_err(|error| DeleteTopicError::StillListed { topic: name.clone(), error })
}

/// The reason why a topic was not changed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateTopicError {
    /// The options are not valid.
    #[error(transparent)]
    Invalid(#[from] InvalidTopic),
    /// The catalog refuses, or is unreachable.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// Gives `topic`, as the caller read it, other options, and leaves its retention alone. Running writers follow.
///
/// # Errors
/// [`UpdateTopicError::Invalid`] changes nothing; the catalog refuses if the topic was changed since it was read.
pub async fn update_topic(
    catalog: &dyn TopicStore,
    topic: &Topic,
    options: TopicOptions,
) -> Result<Topic, UpdateTopicError> {
    TopicDefinition { options: options.clone(), ..topic.definition() }.validate()?;
    Ok(catalog.update_topic_options(&topic.name, topic.schema_version, options).await?)
}

/// Gives `topic`, as the caller read it, another retention in milliseconds, and these options. `None` keeps everything.
///
/// # Errors
/// As [`update_topic`].
pub async fn update_retention(
    catalog: &dyn TopicStore,
    topic: &Topic,
    retention_ms: Option<u64>,
    options: TopicOptions,
) -> Result<Topic, UpdateTopicError> {
    TopicDefinition { options: options.clone(), ..topic.definition() }.validate()?;
    check_retention(&topic.name, retention_ms)?;
    Ok(catalog.update_topic_config(&topic.name, topic.schema_version, retention_ms, options).await?)
}

/// Opens the topic in the queue: a queue that does not outlive its process continues numbering from the watermarks of
/// `partitions`, which are all of the topic's, by number, and drops what it has of an earlier topic of that name.
///
/// # Errors
/// As [`Queue::open_topic`].
pub async fn open_topic(queue: &dyn Queue, topic: &Topic, partitions: &[Partition]) -> Result<(), QueueError> {
    let next_offsets: Vec<u64> = partitions.iter().map(|partition| partition.high_watermark).collect();
    queue.open_topic(&topic.definition(), Some(topic.created_at), &next_offsets).await
}
