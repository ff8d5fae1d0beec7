//! Transactions of consumer groups.
//!
//! Owns: groups and their offsets. Does not own: the meaning of an offset, which is the consumer's.

use ::catalog::{CatalogError, ConsumerOffset, Position, Result};
use common::TopicPartition;

use super::event::Change;
use super::limits;
use super::state::{CatalogState, GroupRow, OffsetRow};

impl CatalogState {
    pub(crate) fn ensure_consumer_group(&mut self, group_id: &str) -> Result<()> {
        check_group(group_id)?;
        let now_ms = self.now_ms;
        self.groups.entry(group_id.to_owned()).or_insert(GroupRow::new(now_ms));
        self.changed(Change::Other("ensure_consumer_group"));
        Ok(())
    }

    pub(crate) fn commit_offset(&mut self, offset: ConsumerOffset) -> Result<()> {
        check_group(&offset.group_id)?;
        limits::offset(offset.committed_offset)?;
        let before = (self.members.clone(), self.claims.clone(), self.groups.clone());
        let group_id = offset.group_id.clone();
        let written = self.be_idle(&group_id).and_then(|()| self.set_offset(offset));
        if written.is_err() {
            (self.members, self.claims, self.groups) = before;
            return written;
        }
        self.touch_group(&group_id);
        self.changed(Change::Other("commit_offset"));
        Ok(())
    }

    /// Makes the group, or notes the time of a change.
    pub(crate) fn touch_group(&mut self, group_id: &str) {
        let now_ms = self.now_ms;
        self.groups.entry(group_id.to_owned()).or_insert(GroupRow::new(now_ms)).updated_at = now_ms;
    }

    /// Writes the row of the offset. The caller has checked who may.
    pub(crate) fn set_offset(&mut self, offset: ConsumerOffset) -> Result<()> {
        limits::offset(offset.committed_offset)?;
        offset.metadata.as_deref().map_or(Ok(()), |text| limits::exact("metadata", text))?;
        let partition = TopicPartition::new(offset.topic, offset.partition_id);
        let incarnation = self.row(&partition)?.partition.incarnation;
        if offset.incarnation > incarnation {
            let reason = format!("its incarnation is {}, that of the partition {incarnation}", offset.incarnation);
            return Err(CatalogError::InvalidOffset { offset: offset.committed_offset, reason });
        }
        let row = OffsetRow {
            incarnation: offset.incarnation,
            committed_offset: offset.committed_offset,
            metadata: offset.metadata,
            committed_at: self.now_ms,
        };
        self.offsets.insert((offset.group_id, partition), row);
        Ok(())
    }

    pub(crate) fn get_committed_offset(&self, group_id: &str, partition: &TopicPartition) -> Result<Option<Position>> {
        check_group(group_id)?;
        let row = self.offsets.get(&(group_id.to_owned(), partition.clone()));
        Ok(row.map(|row| row.position()))
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
        if !self.groups.contains_key(group_id) {
            return Err(CatalogError::GroupNotFound(group_id.to_owned()));
        }
        let before = (self.members.clone(), self.claims.clone(), self.groups.clone());
        if let Err(error) = self.be_idle(group_id) {
            (self.members, self.claims, self.groups) = before;
            return Err(error);
        }
        self.groups.remove(group_id);
        self.offsets.retain(|(group, _), _| group != group_id);
        self.changed(Change::Other("delete_consumer_group"));
        Ok(())
    }
}

/// Refuses an id that no group can have.
pub(crate) fn check_group(group_id: &str) -> Result<()> {
    if group_id.is_empty() {
        return Err(CatalogError::Refused("the consumer group's id is empty; allowed is any other text".to_owned()));
    }
    limits::exact("consumer group id", group_id)
}
