//! A topic of the memory queue.
//!
//! Owns: its partitions, and what tells it from an earlier topic of its name. Does not own: which topics there are (`memory`).

use std::sync::{Arc, OnceLock};

use uuid::Uuid;

use super::HISTORY;
use super::partition::Partition;
use crate::ids::TopicPartition;
use crate::topic::TopicDefinition;

/// A topic, and its partitions by number.
pub(super) struct Topic {
    pub(super) definition: TopicDefinition,
    /// Tells the topic from an earlier one of its name.
    pub(super) history: String,
    /// When the catalog's topic was made, once it is known.
    pub(super) since: OnceLock<i64>,
    pub(super) partitions: Vec<Arc<Partition>>,
}

impl Topic {
    pub(super) fn new(definition: &TopicDefinition) -> Self {
        let partition = |id| Arc::new(Partition::new(TopicPartition::new(definition.name.clone(), id)));
        let partitions = (0..definition.partition_count).map(partition).collect();
        let history = format!("{HISTORY}{}", Uuid::now_v7());
        Self { definition: definition.clone(), history, since: OnceLock::new(), partitions }
    }

    /// Drops the messages, and refuses more.
    pub(super) fn close(&self) {
        self.partitions.iter().for_each(|partition| partition.close());
    }
}
