//! Routing: the partition of a message.
//!
//! Owns: the choice between the caller's partition, the key and the turns; a call's messages of one partition.
//! Does not own: the hash of a key (`common::partitioner`).

use std::sync::Arc;

use catalog::Topic;
use common::{OutgoingMessage, TopicName, TopicPartition};

use super::Producer;
use super::batch::Origin;
use crate::error::{ProducerError, Result};
use crate::topics::{KnownTopic, Topics};

/// Messages of one partition, with their places in the call.
#[derive(Default)]
pub(crate) struct Group {
    pub(crate) places: Vec<usize>,
    pub(crate) messages: Vec<(OutgoingMessage, Origin)>,
    pub(crate) bytes: usize,
}

impl Producer {
    /// The metadata by which it chooses partitions.
    pub(crate) fn topics(&self) -> &Topics {
        &self.lanes.delivery.topics
    }

    /// The topic, as it was looked up last.
    ///
    /// # Errors
    /// The topic is absent, or cannot be looked up or opened.
    pub async fn topic(&self, name: &TopicName) -> Result<Arc<Topic>> {
        Ok(self.topics().get(name).await?.topic)
    }

    /// The partition of a message with this key; without a key the next in turn.
    ///
    /// # Errors
    /// The topic is absent, or cannot be looked up or opened.
    pub async fn partition_of(&self, topic: &TopicName, key: Option<&[u8]>) -> Result<TopicPartition> {
        let known = self.topics().get(topic).await?;
        Ok(TopicPartition::new(topic.clone(), compute_partition(&known, key, None)?))
    }
}

/// The partition that the caller chose, if there is one, else that of the key, else the next in turn.
pub(crate) fn compute_partition(known: &KnownTopic, key: Option<&[u8]>, chosen: Option<u32>) -> Result<u32> {
    let (topic, partition_count) = (&known.topic, known.topic.partition_count);
    match (chosen, key) {
        (Some(partition), _) if partition < partition_count => Ok(partition),
        (Some(partition), _) => {
            Err(ProducerError::InvalidPartition { topic: topic.name.clone(), partition, partition_count })
        }
        (None, Some(key)) => Ok(topic.config.partitioner.partition_of(key, partition_count)),
        (None, None) => Ok(known.turns.next(partition_count)),
    }
}
