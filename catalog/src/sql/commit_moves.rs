//! Step 1 of the commit of many partitions: all their watermarks move in one statement.
//!
//! Owns: the compares of [`move_watermark`](super::commit_compares::move_watermark) for a list of requests; each is part of
//! the protocol. Does not own: the judgement of those that did not move (`commit_together`).
//!
//! One statement for each of ten thousand partitions would be ten thousand round trips to a server.

use std::collections::HashMap;

use super::commit_compares::Moved;
use super::commit_rows::CommitColumns;
use super::input;
use super::objects::{TopicLock, tables_of};
use crate::commit::CommitRequest;
use crate::database::{Session, sql, values};
use crate::error::{CatalogError, Result};

/// Step 1 for requests of one topic and owner, each of another partition: what moved, in the order of the requests. `None`
/// where a compare failed. The rows are locked in the order of the partitions, as by every transaction.
pub(super) async fn move_watermarks(
    session: &mut dyn Session,
    requests: &[CommitRequest],
    columns: &[CommitColumns],
) -> Result<Vec<Option<Moved>>> {
    let (Some(first), Some(first_columns)) = (requests.first(), columns.first()) else { return Ok(Vec::new()) };
    let topic = first.partition.topic.as_str();
    let partitions = input::numbers(requests.iter().map(|request| u64::from(request.partition.partition_id)))?;
    let lock = sql!(
        "SELECT partition_id FROM partitions WHERE partition_id IN " numbers_1 " AND topic = $2 ORDER BY partition_id" for_update
    );
    session.fetch(&lock, values![&partitions, topic]).await?;
    let update = sql!(
        "UPDATE partitions SET high_watermark = new_watermark, anchor_offset = new_offset,
                anchor_timestamp_us = new_timestamp_us, anchor_hash = new_hash,
                commit_no = commit_no + 1, takeovers = 0,
                suspect_offset = CASE WHEN suspect_offset >= new_watermark THEN suspect_offset END,
                suspect_times = CASE WHEN suspect_offset >= new_watermark THEN suspect_times ELSE 0 END,
                updated_at = " now_ms "
         FROM " moves_1 " AS moves
         WHERE topic = $2 AND partition_id = of_partition AND incarnation = of_incarnation AND epoch = of_epoch
           AND owner = $3 AND high_watermark = from_watermark AND state = 'active'
         RETURNING CAST(partition_id AS BIGINT), commit_no"
    );
    let moves = moves(requests, columns);
    let moved = session.fetch(&update, values![&moves, topic, &first_columns.owner]).await?;
    let mut commit_numbers = HashMap::with_capacity(moved.len());
    for mut row in moved {
        let partition_id = row.integer("partition_id")?;
        let earlier = commit_numbers.insert(partition_id, row.integer("commit_no")?);
        assert!(earlier.is_none(), "the watermark of {topic}/{partition_id} moved twice");
    }
    if commit_numbers.is_empty() {
        return Ok(requests.iter().map(|_| None).collect());
    }
    let tables = tables_of(session, topic, TopicLock::None).await?;
    // Its partitions are locked, so that it cannot go.
    let tables = tables.ok_or_else(|| CatalogError::NotCommitted(first.partition.clone()))?;
    let moved = |request: &CommitRequest| {
        let commit_no = commit_numbers.remove(&i64::from(request.partition.partition_id))?;
        Some(Moved { commit_no, tables })
    };
    Ok(requests.iter().map(moved).collect())
}

/// The compared and the new values of each request, as a JSON array of the columns of `moves_1`.
fn moves(requests: &[CommitRequest], columns: &[CommitColumns]) -> String {
    let values = |(request, columns): (&CommitRequest, &CommitColumns)| {
        [
            i64::from(request.partition.partition_id),
            columns.incarnation,
            columns.epoch,
            columns.base_offset,
            columns.high_watermark,
            columns.anchor_offset,
            columns.anchor_timestamp_us,
            columns.anchor_hash,
        ]
    };
    let moves: Vec<_> = requests.iter().zip(columns).map(values).collect();
    serde_json::to_string(&moves).expect("numbers are JSON")
}
