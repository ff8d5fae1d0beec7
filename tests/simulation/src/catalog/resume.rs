//! The transaction that resumes a halted partition in a new incarnation.
//!
//! Owns: this transaction. Does not own: the start offset, which an operator chooses.

use ::catalog::{CatalogError, IncarnationStart, Partition, PartitionState, Result, ResumePoint};
use common::{Incarnation, TopicPartition};

use super::event::Change;
use super::limits;
use super::state::CatalogState;

impl CatalogState {
    pub(crate) fn resume(
        &mut self,
        partition: &TopicPartition,
        seen: Incarnation,
        at: &ResumePoint,
    ) -> Result<Partition> {
        limits::offset(at.high_watermark)?;
        at.anchor.map_or(Ok(()), |anchor| limits::offset(anchor.offset))?;
        let now = &self.row(partition)?.partition;
        let reason = if now.incarnation != seen {
            Some(format!("its incarnation is {}, not {seen}; somebody resumed it already", now.incarnation))
        } else if now.state != PartitionState::Halted {
            Some("it is not halted; only a halted partition can be resumed".to_owned())
        } else {
            None
        };
        if let Some(reason) = reason {
            return Err(CatalogError::Fenced { partition: partition.clone(), reason });
        }
        let now_ms = self.now_ms;
        let row = self.partitions.get_mut(partition).expect("it was read above");
        row.takeovers = 0;
        row.suspect = None;
        let now = &mut row.partition;
        now.incarnation.0 += 1;
        // The owner before the halt is fenced even if it comes back.
        now.epoch.0 += 1;
        now.owner = None;
        now.state = PartitionState::Active;
        now.halt_reason = None;
        now.high_watermark = at.high_watermark;
        now.anchor = at.anchor;
        now.updated_at = now_ms;
        let now = now.clone();
        let start = IncarnationStart {
            incarnation: now.incarnation,
            start_offset: at.high_watermark,
            reason: limits::note(&at.reason),
            created_at: now_ms,
        };
        self.incarnations.entry(partition.clone()).or_default().push(start);
        self.doom_pending(|upload| upload.partition().as_ref() == Some(partition));
        self.changed(Change::Resumed(partition.clone()));
        Ok(now)
    }
}
