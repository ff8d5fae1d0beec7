//! Offsets of consumer groups against the queue.
//!
//! Owns: reading both. Does not own: the check (`catalog::audit`).

use catalog::audit::check_consumers;
use catalog::{ConsumerOffset, Partition};
use common::{TopicName, TopicPartition};

use super::{Audit, AuditReport};
use crate::error::Result;

impl Audit<'_> {
    /// The offsets of all groups in the topic.
    pub(super) async fn consumer_offsets(&self, topic: &TopicName) -> Result<Vec<ConsumerOffset>> {
        let mut offsets = Vec::new();
        for group in self.catalog.list_groups().await? {
            let of_group = self.catalog.get_consumer_offsets(&group.group_id).await?;
            offsets.extend(of_group.into_iter().filter(|offset| &offset.topic == topic));
        }
        Ok(offsets)
    }

    pub(super) async fn audit_consumers(
        &self,
        partition: &Partition,
        offsets: &[ConsumerOffset],
        report: &mut AuditReport,
    ) -> Result<()> {
        let is_of = |offset: &&ConsumerOffset| offset.partition_id == partition.partition_id;
        let offsets: Vec<ConsumerOffset> = offsets.iter().filter(is_of).cloned().collect();
        if offsets.is_empty() {
            return Ok(());
        }
        let of = TopicPartition::new(partition.topic.clone(), partition.partition_id);
        let queue_end = match self.queue {
            Some(queue) => Some(queue.bounds(&of).await?.next_offset),
            None => None,
        };
        report.objects.consumer_offsets += offsets.len() as u64;
        report.add(check_consumers(partition, &offsets, queue_end));
        Ok(())
    }
}
