//! The janitor's work: objects to be deleted, history to be folded.
//!
//! Owns: the contract of these operations. Does not own: SQL, deleting objects (the writer's janitor).

use std::time::Duration;

use async_trait::async_trait;
use common::{TopicName, TopicPartition};

use crate::error::Result;
use crate::model::{Folded, Upload};

/// Objects that are not listed, and old history.
#[async_trait]
pub trait JanitorStore: Send + Sync {
    /// Doomed objects of `bucket` that are due: never deleted and doomed for longer than `hold`, or deleted once and
    /// doomed for longer than `second_sweep`, by the database's clock; oldest first, at most `limit`. Never a listed
    /// one, and never one that a kept lake snapshot has.
    async fn due_objects(
        &self,
        bucket: &str,
        hold: Duration,
        second_sweep: Duration,
        limit: u32,
    ) -> Result<Vec<Upload>>;

    /// Records that these objects were deleted. The row of an object is removed after its second deletion. The first
    /// deletion also removes the retired object's row and statistics, so that no lake snapshot has it any more.
    async fn swept(&self, objects: &[Upload]) -> Result<()>;

    /// Dooms the pending intents of replacements whose owner has sent no heartbeat within `lease`; returns how many.
    /// Safe at any time: a replacement needs its pending intent.
    async fn doom_abandoned_replacements(&self, lease: Duration) -> Result<u64>;

    /// Folds commits that are older than `hold` into runs, and thins out lake snapshots, by the database's clock.
    ///
    /// Neighbouring commits of a partition fold if the same live data segment, or none, and the same live quarantine
    /// segment, or none, cover both: each live segment still begins and ends where a run does. The newest commit of a
    /// partition is never folded. Kept are the newest lake snapshot, those of the last minute (of the hold, if that is
    /// shorter), the last of each minute within `hold`, and the one before these: each state of the tables within the hold
    /// can be read, to the minute. Runs in transactions of bounded size, each of which leaves the catalog consistent.
    async fn fold_history(&self, hold: Duration) -> Result<Folded>;

    /// Intents and doomed objects of a partition, by key.
    async fn list_uploads(&self, partition: &TopicPartition) -> Result<Vec<Upload>>;

    /// Intents and doomed objects of a topic that belong to no single partition, by key: those of replacements.
    async fn list_shared_uploads(&self, topic: &TopicName) -> Result<Vec<Upload>>;
}
