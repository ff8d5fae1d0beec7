//! A partition's row: read, or locked until the end of the transaction.
//!
//! Owns: these reads. Does not own: changes of the row, and the order in which rows are locked (the callers').

use common::TopicPartition;

use super::rows;
use crate::database::{Session, sql, values};
use crate::error::Result;
use crate::model::Partition;

/// The partition as the session sees it.
pub(super) async fn read_partition(session: &mut dyn Session, of: &TopicPartition) -> Result<Option<Partition>> {
    let select = sql!("SELECT " partition_columns " FROM partitions WHERE topic = $1 AND partition_id = $2");
    rows::only(session.fetch(&select, values![&of.topic, of.partition_id]).await?)
}

/// The partition, if it exists; its row is locked until the end of the transaction.
pub(super) async fn lock_partition(session: &mut dyn Session, of: &TopicPartition) -> Result<Option<Partition>> {
    let select = sql!("SELECT " partition_columns " FROM partitions WHERE topic = $1 AND partition_id = $2" for_update);
    rows::only(session.fetch(&select, values![&of.topic, of.partition_id]).await?)
}

/// The partition's incarnation, if it exists; its row is locked until the end of the transaction.
pub(super) async fn lock_incarnation(session: &mut dyn Session, of: &TopicPartition) -> Result<Option<i64>> {
    let select = sql!("SELECT incarnation FROM partitions WHERE topic = $1 AND partition_id = $2" for_update);
    let found = session.fetch(&select, values![&of.topic, of.partition_id]).await?.pop();
    found.map(|mut row| row.integer("incarnation")).transpose()
}
