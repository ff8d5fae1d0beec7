//! Transactions of consumer groups.
//!
//! Owns: groups and their offsets. Does not own: the meaning of an offset, which is the consumer's.

use ::catalog::{CatalogError, CommittedOffset, ConsumerOffset, Result};
use common::TopicPartition;

use super::event::Change;
use super::limits;
use super::state::{CatalogState, GroupRow, OffsetRow};

impl CatalogState {
    pub(crate) fn ensure_consumer_group(&mut self, group_id: &str) -> Result<()> {
        check_group(group_id)?;
        let now_ms = self.now_ms;
        self.groups.entry(group_id.to_owned()).or_insert(GroupRow { created_at: now_ms, updated_at: now_ms });
        self.changed(Change::Other("ensure_consumer_group"));
        Ok(())
    }

    pub(crate) fn commit_offset(&mut self, offset: ConsumerOffset) -> Result<()> {
        limits::offset(offset.committed_offset)?;
        offset.metadata.as_deref().map_or(Ok(()), |text| limits::exact("metadata", text))?;
        check_group(&offset.group_id)?;
        let partition = TopicPartition::new(offset.topic, offset.partition_id);
        let incarnation = self.row(&partition)?.partition.incarnation;
        if offset.incarnation > incarnation {
            let reason = format!("its incarnation is {}, that of the partition {incarnation}", offset.incarnation);
            return Err(CatalogError::InvalidOffset { offset: offset.committed_offset, reason });
        }
        let now_ms = self.now_ms;
        let new = GroupRow { created_at: now_ms, updated_at: now_ms };
        self.groups.entry(offset.group_id.clone()).or_insert(new).updated_at = now_ms;
        let row = OffsetRow {
            incarnation: offset.incarnation,
            committed_offset: offset.committed_offset,
            metadata: offset.metadata,
            committed_at: now_ms,
        };
        self.offsets.insert((offset.group_id, partition), row);
        self.changed(Change::Other("commit_offset"));
        Ok(())
    }

    pub(crate) fn get_committed_offset(
        &self,
        group_id: &str,
        partition: &TopicPartition,
    ) -> Result<Option<CommittedOffset>> {
        check_group(group_id)?;
        let row = self.offsets.get(&(group_id.to_owned(), partition.clone()));
        Ok(row.map(|row| CommittedOffset { incarnation: row.incarnation, offset: row.committed_offset }))
    }

    pub(crate) fn get_consumer_offsets(&self, group_id: &str) -> Result<Vec<ConsumerOffset>> {
        check_group(group_id)?;
        let of_group = self.offsets.iter().filter(|((group, _), _)| group == group_id);
        let offsets = of_group.map(|((group, partition), row)| ConsumerOffset {
            group_id: group.clone(),
            topic: partition.topic.clone(),
            partition_id: partition.partition_id,
            incarnation: row.incarnation,
            committed_offset: row.committed_offset,
            metadata: row.metadata.clone(),
        });
        Ok(offsets.collect())
    }

    pub(crate) fn delete_consumer_group(&mut self, group_id: &str) -> Result<()> {
        check_group(group_id)?;
        if self.groups.remove(group_id).is_none() {
            return Err(CatalogError::GroupNotFound(group_id.to_owned()));
        }
        self.offsets.retain(|(group, _), _| group != group_id);
        self.changed(Change::Other("delete_consumer_group"));
        Ok(())
    }
}

fn check_group(group_id: &str) -> Result<()> {
    if group_id.is_empty() {
        return Err(CatalogError::Refused("the consumer group's id is empty; allowed is any other text".to_owned()));
    }
    limits::exact("consumer group id", group_id)
}
