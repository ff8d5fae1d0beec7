//! The offset up to which each partition can be shown.
//!
//! Owns: the choice between the end of the queue and the watermark, partition by partition, and saying it once.
//! Does not own: showing rows (`show`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use catalog::{Partition, Topic};
use common::TopicPartition;
use common::config::Settings;
use consumer::FetchError;
use lake::query::{HotTail, HotTailMode};
use lake::tail::TailSource;
use service::connect;

use crate::{hot_tail, output};

/// The ends of partitions, looked at again and again.
pub(super) struct Ends {
    source: Option<Arc<dyn TailSource>>,
    /// Reasons that were said.
    said: BTreeSet<String>,
}

/// The ends of one look.
#[derive(Debug)]
pub(super) struct Looked {
    /// Of the partitions whose queue can be read.
    ends: BTreeMap<u32, u64>,
}

impl Ends {
    /// Of the configured queue, if it can be read from here.
    pub(super) fn of(settings: &Settings) -> Self {
        let mut ends = Self { source: None, said: BTreeSet::new() };
        match connect::is_shared(settings) {
            true => ends.source = Some(Arc::new(hot_tail::source(settings))),
            false => ends.say(&format!(
                "{}; records are shown once they are committed. With QUEUE_TYPE=nats they are shown at once",
                hot_tail::IN_MEMORY
            )),
        }
        ends
    }

    /// The tail for queries.
    pub(super) fn hot_tail(&self) -> HotTail {
        match &self.source {
            Some(source) => HotTail::of(Arc::clone(source)),
            None => HotTail::unavailable(hot_tail::IN_MEMORY),
        }
    }

    /// Looks at all partitions.
    pub(super) async fn look(&mut self, topic: &Topic, partitions: &[Partition]) -> Looked {
        let mut ends = BTreeMap::new();
        let Some(source) = self.source.clone() else { return Looked { ends } };
        let rows: Vec<&Partition> = partitions.iter().collect();
        let looks = source.ends(topic, &rows).await;
        for (partition, look) in partitions.iter().zip(looks) {
            match look {
                Ok(end) => _ = ends.insert(partition.partition_id, end.next_offset),
                Err(error) => self.say(&format!("only committed records are shown: {error}")),
            }
        }
        Looked { ends }
    }

    /// Says this on standard error, unless it was said before.
    pub(super) fn say(&mut self, reason: &str) {
        if self.said.insert(reason.to_owned()) {
            output::note(reason);
        }
    }
}

impl Looked {
    /// The first offset of the partition that cannot be shown yet.
    pub(super) fn end_of(&self, partition: &Partition) -> u64 {
        self.ends
            .get(&partition.partition_id)
            .copied()
            .unwrap_or(partition.high_watermark)
            .max(partition.high_watermark)
    }

    /// The offset, if the partition has reached it.
    ///
    /// # Errors
    /// As `consume` says it: waiting there would pass over what comes before.
    pub(super) fn offset_within(&self, partition: &Partition, offset: u64) -> Result<u64, FetchError> {
        let end = self.end_of(partition);
        if offset <= end {
            return Ok(offset);
        }
        let has_tail = self.ends.contains_key(&partition.partition_id);
        let partition = TopicPartition::new(partition.topic.clone(), partition.partition_id);
        Err(FetchError::AboveEnd { partition, offset, end, has_tail })
    }

    /// How rows up to that end are asked for: a query that cannot see all of them must fail.
    pub(super) fn mode_of(&self, partition: &Partition) -> HotTailMode {
        match self.ends.contains_key(&partition.partition_id) {
            true => HotTailMode::On,
            false => HotTailMode::Off,
        }
    }
}
