//! Transactions on quarantined records that were published again.
//!
//! Owns: the marks. Does not own: publishing.

use ::catalog::{Replay, Result};
use common::TopicPartition;

use super::event::Change;
use super::limits;
use super::state::CatalogState;

impl CatalogState {
    pub(crate) fn mark_replayed(&mut self, replays: &[Replay]) -> Result<()> {
        for replay in replays {
            limits::offset(replay.offset)?;
            limits::offset(replay.new_offset)?;
            self.row(&replay.partition)?;
        }
        for replay in replays {
            let key = (replay.partition.clone(), replay.incarnation.0, replay.offset, replay.row);
            self.replays.insert(key, Replay { replayed_at: self.now_ms, ..replay.clone() });
        }
        self.changed(Change::Other("mark_replayed"));
        Ok(())
    }

    pub(crate) fn list_replays(&self, partition: &TopicPartition) -> Vec<Replay> {
        self.replays.values().filter(|replay| &replay.partition == partition).cloned().collect()
    }
}
