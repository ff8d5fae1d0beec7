//! Steps 1 and 2 of the commit: the watermark moves and intents are consumed, if every compare holds.
//!
//! Owns: the compares. Each is part of the protocol: none may be dropped. Does not own: the other statements of the
//! transaction (`commit_judge`).

use super::commit_rows::{CommitColumns, CommitRow, Verdict, fenced, fenced_reason};
use super::partition_row::read_partition;
use super::rows;
use crate::commit::CommitRequest;
use crate::database::{Session, sql, values};
use crate::error::{CatalogError, Result};
use crate::model::{NewSegment, Tables};

/// A watermark that moved: the number of the commit, and the tables of the topic.
pub(super) struct Moved {
    pub(super) commit_no: i64,
    pub(super) tables: Tables,
}

/// Step 1. `None` if any compare fails.
pub(super) async fn move_watermark(
    session: &mut dyn Session,
    request: &CommitRequest,
    columns: &CommitColumns,
) -> Result<Option<Moved>> {
    let update = sql!(
        "UPDATE partitions SET high_watermark = $7, anchor_offset = $8, anchor_timestamp_us = $9, anchor_hash = $10,
                commit_no = commit_no + 1, takeovers = 0,
                suspect_offset = CASE WHEN suspect_offset >= $7 THEN suspect_offset END,
                suspect_times = CASE WHEN suspect_offset >= $7 THEN suspect_times ELSE 0 END,
                updated_at = " now_ms "
         WHERE topic = $1 AND partition_id = $2 AND incarnation = $3 AND epoch = $4 AND owner = $5
           AND high_watermark = $6 AND state = 'active'
         RETURNING commit_no, (SELECT table_id FROM topics WHERE name = $1),
                   (SELECT quarantine_table_id FROM topics WHERE name = $1)"
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
    let Some(mut row) = moved.into_iter().next() else { return Ok(None) };
    Ok(Some(Moved { commit_no: row.integer("commit_no")?, tables: row.tables()? }))
}

/// Step 2. True if the intent was pending and is consumed.
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
        &segment.object.bucket,
        &segment.object.key,
        &request.partition.topic,
        request.partition.partition_id,
        columns.epoch,
        &columns.owner,
    ];
    Ok(session.execute(&delete, values).await? == 1)
}

/// The verdict on a request whose watermark did not move.
pub(super) async fn why_not(
    session: &mut dyn Session,
    request: &CommitRequest,
    columns: &CommitColumns,
) -> Result<Verdict> {
    let found = find_commit(session, request, columns).await?;
    if let Found::Done = found {
        return Ok(Verdict::Done);
    }
    let now = read_partition(session, &request.partition).await?;
    Ok(match found.reason().or_else(|| fenced_reason(request, now.as_ref())) {
        Some(reason) => Verdict::Refused(fenced(request, reason)),
        // On PostgreSQL the row may change between the two statements.
        None => Verdict::NotDone(CatalogError::NotCommitted(request.partition.clone())),
    })
}

/// The result of looking for a request among the commits of its partition.
pub(super) enum Found {
    /// It is one of them; the partition may have another owner now.
    Done,
    /// It may have been one of the commits folded into a run.
    Folded(String),
    /// It is none of them.
    Nothing,
}

impl Found {
    /// The reason why a folded request can no longer be committed; `None` in the other cases.
    pub(super) fn reason(self) -> Option<String> {
        match self {
            Self::Folded(reason) => Some(reason),
            Self::Done | Self::Nothing => None,
        }
    }
}

/// Looks for the request in the commit, or the run, that begins at its base or is the last one before.
pub(super) async fn find_commit(
    session: &mut dyn Session,
    request: &CommitRequest,
    columns: &CommitColumns,
) -> Result<Found> {
    let select = sql!(
        "SELECT base_offset, first_commit_no, commit_no, end_offset, epoch, owner, message_count, data_segment_id,
                quarantine_segment_id, anchor_offset, anchor_timestamp_us, anchor_hash
         FROM commits WHERE topic = $1 AND partition_id = $2 AND incarnation = $3 AND base_offset <= $4
         ORDER BY base_offset DESC LIMIT 1"
    );
    let values =
        values![&request.partition.topic, request.partition.partition_id, columns.incarnation, columns.base_offset];
    let found: Option<CommitRow> = rows::only(session.fetch(&select, values).await?)?;
    Ok(match found {
        Some(row) if columns.is(&row) => Found::Done,
        Some(row) => columns.folded_reason(&row).map_or(Found::Nothing, Found::Folded),
        None => Found::Nothing,
    })
}
