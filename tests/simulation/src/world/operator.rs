//! The operator, who resumes halted partitions.
//!
//! Owns: the time and the offset of a resume: the oracle's knowledge stands for a person's findings.

use std::time::Duration;

use catalog::{OwnershipStore, PartitionState, ResumePoint};
use tokio::time::Instant;

use super::World;

impl World {
    /// Resumes partitions that have been halted for a while.
    pub(super) async fn operate(&mut self) {
        let halted: Vec<_> = self.around.catalog.inspect(|state| {
            let rows = state.partitions.iter();
            let halted = rows.filter(|(_, row)| row.partition.state == PartitionState::Halted);
            halted.map(|(partition, row)| (partition.clone(), row.partition.clone())).collect()
        });
        for (partition, row) in halted {
            let notices = Instant::now() + Duration::from_millis(self.chance.between(500..6_000));
            let at = *self.resumes.entry(partition.clone()).or_insert(notices);
            if Instant::now() < at {
                continue;
            }
            self.resumes.remove(&partition);
            self.counts.resumes += 1;
            let offset = self.around.oracle.resume_offset(&partition, row.incarnation, row.high_watermark);
            let anchor = self.around.oracle.histories(|histories| {
                let present = histories.of(&partition).last()?;
                let before = present.messages.get(&offset.checked_sub(1)?)?;
                (!before.is_removed).then_some(before.anchor)
            });
            let point = ResumePoint { high_watermark: offset, anchor, reason: "the operator looked".to_owned() };
            self.around.trace.note("operator", format!("{partition} goes on at {offset}"));
            if let Err(error) = self.around.catalog.resume(&partition, row.incarnation, &point).await {
                self.around.oracle.report(13, format!("{partition} cannot be resumed: {error}"));
            }
        }
    }
}
