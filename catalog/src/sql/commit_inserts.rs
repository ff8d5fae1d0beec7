//! Step 3 of the commit: the rows that stay, of every request that was accepted.
//!
//! Owns: commits, segments and gaps as rows. Does not own: which requests are accepted (`commit_judge`).

use super::commit_rows::CommitColumns;
use super::{input, rows};
use crate::commit::CommitRequest;
use crate::database::{Insert, Session, Value, values};
use crate::error::Result;

/// Rows of one INSERT: 16 columns each stay far below the 32,766 parameters that SQLite takes.
const ROWS_PER_INSERT: usize = 500;

const COMMITS: Insert = Insert {
    table: "commits",
    columns: "topic, partition_id, incarnation, commit_no, base_offset, end_offset, epoch, owner, message_count, \
              data_segment_id, quarantine_segment_id, anchor_offset, anchor_timestamp_us, anchor_hash, committed_at",
    width: 14,
};

const SEGMENTS: Insert = Insert { table: "segments", columns: rows::columns!(segment_columns), width: 15 };

const GAPS: Insert = Insert {
    table: "gaps",
    columns: "topic, partition_id, incarnation, base_offset, end_offset, reason, created_at",
    width: 6,
};

/// A request whose watermark is moved and whose intents are consumed.
pub(super) struct Accepted<'a> {
    pub(super) request: &'a CommitRequest,
    pub(super) columns: &'a CommitColumns,
    pub(super) commit_no: i64,
}

/// Step 3, the immutable rows.
pub(super) async fn insert_commits(session: &mut dyn Session, accepted: &[Accepted<'_>]) -> Result<()> {
    let mut rows = Vec::with_capacity(accepted.len() * COMMITS.width);
    for Accepted { request, columns, commit_no } in accepted {
        rows.extend_from_slice(values![
            &request.partition.topic,
            request.partition.partition_id,
            columns.incarnation,
            *commit_no,
            columns.base_offset,
            columns.end_offset,
            columns.epoch,
            &columns.owner,
            columns.message_count,
            columns.data_segment_id.as_deref(),
            columns.quarantine_segment_id.as_deref(),
            columns.anchor_offset,
            columns.anchor_timestamp_us,
            columns.anchor_hash,
        ]);
    }
    insert_all(session, &COMMITS, &rows).await
}

/// Step 3, the segments.
pub(super) async fn insert_segments(session: &mut dyn Session, accepted: &[Accepted<'_>]) -> Result<()> {
    let mut rows = Vec::with_capacity(accepted.len() * SEGMENTS.width);
    for Accepted { request, columns, .. } in accepted {
        for segment in &request.segments {
            rows.extend_from_slice(values![
                &segment.id,
                &request.partition.topic,
                request.partition.partition_id,
                columns.incarnation,
                segment.kind.as_str(),
                columns.base_offset,
                columns.end_offset,
                segment.record_count.cast_signed(),
                segment.size_bytes.cast_signed(),
                &segment.bucket,
                &segment.key,
                segment.min_timestamp_us,
                segment.max_timestamp_us,
                segment.checksum,
                segment.schema_version,
            ]);
        }
    }
    insert_all(session, &SEGMENTS, &rows).await
}

/// Step 3, the gaps.
pub(super) async fn insert_gaps(session: &mut dyn Session, accepted: &[Accepted<'_>]) -> Result<()> {
    let mut rows = Vec::new();
    for Accepted { request, columns, .. } in accepted {
        for gap in &request.gaps {
            rows.extend_from_slice(values![
                &request.partition.topic,
                request.partition.partition_id,
                columns.incarnation,
                gap.base_offset.cast_signed(),
                gap.end_offset.cast_signed(),
                input::note(&gap.reason),
            ]);
        }
    }
    insert_all(session, &GAPS, &rows).await
}

async fn insert_all(session: &mut dyn Session, insert: &Insert, rows: &[Value<'_>]) -> Result<()> {
    for chunk in rows.chunks(ROWS_PER_INSERT * insert.width) {
        session.insert(insert, chunk).await?;
    }
    Ok(())
}
