//! Steps 1 and 2 of the commit: the watermark moves and intents are consumed, if every compare holds.
//!
//! Owns: the compares. Each is part of the protocol: none may be dropped. Does not own: what else is in the transaction
//! (`commit_judge`).

use super::commit_rows::{CommitColumns, CommitRow, Verdict, fenced, fenced_reason};
use super::partition_row::read_partition;
use super::rows;
use crate::commit::CommitRequest;
use crate::database::{Session, sql, values};
use crate::error::{CatalogError, Result};
use crate::model::NewSegment;

/// Step 1. Gives the number of the commit, or `None` where any of the compares fails.
pub(super) async fn move_watermark(
    session: &mut dyn Session,
    request: &CommitRequest,
    columns: &CommitColumns,
) -> Result<Option<i64>> {
    let update = sql!(
        "UPDATE partitions SET high_watermark = $7, anchor_offset = $8, anchor_timestamp_us = $9, anchor_hash = $10,
                commit_no = commit_no + 1, takeovers = 0,
                suspect_offset = CASE WHEN suspect_offset >= $7 THEN suspect_offset END,
                suspect_times = CASE WHEN suspect_offset >= $7 THEN suspect_times ELSE 0 END,
                updated_at = " now_ms "
         WHERE topic = $1 AND partition_id = $2 AND incarnation = $3 AND epoch = $4 AND owner = $5
           AND high_watermark = $6 AND state = 'active'
         RETURNING commit_no"
    );
    let values = values![
        &request.partition.topic,
        request.partition.partition_id,
        columns.incarnation,
        columns.epoch,
        &columns.owner,
        columns.base_offset,
        columns.high_watermark,
        columns.anchor_offset,
        columns.anchor_timestamp_us,
        columns.anchor_hash,
    ];
    let moved = session.fetch(&update, values).await?;
    assert!(moved.len() <= 1, "{} watermarks of {} moved", moved.len(), request.partition);
    moved.into_iter().next().map(|mut row| row.integer("commit_no")).transpose()
}

/// Step 2. Whether the intent was there to be consumed.
pub(super) async fn consume_intent(
    session: &mut dyn Session,
    request: &CommitRequest,
    columns: &CommitColumns,
    segment: &NewSegment,
) -> Result<bool> {
    let delete = sql!(
        "DELETE FROM uploads WHERE bucket = $1 AND key = $2 AND topic = $3 AND partition_id = $4
            AND epoch = $5 AND owner = $6 AND state = 'pending'"
    );
    let values = values![
        &segment.bucket,
        &segment.key,
        &request.partition.topic,
        request.partition.partition_id,
        columns.epoch,
        &columns.owner,
    ];
    Ok(session.execute(&delete, values).await? == 1)
}

/// What to answer when the watermark did not move.
pub(super) async fn why_not(
    session: &mut dyn Session,
    request: &CommitRequest,
    columns: &CommitColumns,
) -> Result<Verdict> {
    if is_committed(session, request, columns).await? {
        return Ok(Verdict::Done);
    }
    let now = read_partition(session, &request.partition).await?;
    Ok(match fenced_reason(request, now.as_ref()) {
        Some(reason) => Verdict::Refused(fenced(request, reason)),
        // On PostgreSQL the row may change between the two statements.
        None => Verdict::NotDone(CatalogError::NotCommitted(request.partition.clone())),
    })
}

/// Whether this very request is among the commits, whoever owns the partition now.
pub(super) async fn is_committed(
    session: &mut dyn Session,
    request: &CommitRequest,
    columns: &CommitColumns,
) -> Result<bool> {
    let select = sql!(
        "SELECT end_offset, epoch, owner, message_count, data_segment_id, quarantine_segment_id, anchor_offset,
                anchor_timestamp_us, anchor_hash
         FROM commits WHERE topic = $1 AND partition_id = $2 AND incarnation = $3 AND base_offset = $4"
    );
    let values =
        values![&request.partition.topic, request.partition.partition_id, columns.incarnation, columns.base_offset,];
    let found: Option<CommitRow> = rows::only(session.fetch(&select, values).await?)?;
    Ok(found.is_some_and(|row| columns.is(&row)))
}
