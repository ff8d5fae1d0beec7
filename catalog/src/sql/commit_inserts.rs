//! Step 3 of the commit: the inserted rows of every accepted request.
//!
//! Owns: commits and gaps as rows, and the order in which all rows are inserted. Does not own: accepting requests
//! (`commit_judge`), segments and objects as rows (`listing`).

use super::commit_rows::CommitColumns;
use super::input;
use super::listing::{self, Placed};
use super::objects::insert_all;
use super::snapshots::Snapshot;
use crate::commit::CommitRequest;
use crate::database::{Insert, Session, values};
use crate::error::Result;
use crate::model::{SegmentKind, Tables};

const COMMITS: Insert = Insert {
    table: "commits",
    columns: "topic, partition_id, incarnation, first_commit_no, commit_no, base_offset, end_offset, epoch, owner, \
              message_count, record_count, quarantined_count, data_segment_id, quarantine_segment_id, anchor_offset, \
              anchor_timestamp_us, anchor_hash, snapshot_id, committed_at",
    width: 18,
    has_time: true,
};

const GAPS: Insert = Insert {
    table: "gaps",
    columns: "topic, partition_id, incarnation, base_offset, end_offset, kind, reason, created_at",
    width: 7,
    has_time: true,
};

/// A request whose watermark has moved and whose intents are consumed.
pub(super) struct Accepted<'a> {
    pub(super) request: &'a CommitRequest,
    pub(super) columns: &'a CommitColumns,
    pub(super) commit_no: i64,
    pub(super) tables: Tables,
}

/// Step 3. The lock on the newest snapshot is the last one taken; segments, objects, and commits with their snapshot
/// are inserted after it.
pub(super) async fn insert(session: &mut dyn Session, accepted: &[Accepted<'_>]) -> Result<()> {
    insert_gaps(session, accepted).await?;
    let placed: Vec<Placed<'_>> = accepted
        .iter()
        .flat_map(|Accepted { request, columns, tables, .. }| {
            request.segments.iter().map(|segment| Placed {
                partition: &request.partition,
                incarnation: columns.incarnation,
                range: request.range,
                tables: *tables,
                segment,
            })
        })
        .collect();
    let snapshot = listing::list(session, &placed).await?;
    insert_commits(session, accepted, snapshot).await
}

async fn insert_commits(
    session: &mut dyn Session,
    accepted: &[Accepted<'_>],
    snapshot: Option<Snapshot>,
) -> Result<()> {
    let mut rows = Vec::with_capacity(accepted.len() * COMMITS.width);
    for Accepted { request, columns, commit_no, .. } in accepted {
        let listed_in = snapshot.filter(|_| !request.segments.is_empty());
        rows.extend_from_slice(values![
            &request.partition.topic,
            request.partition.partition_id,
            columns.incarnation,
            *commit_no,
            *commit_no,
            columns.base_offset,
            columns.end_offset,
            columns.epoch,
            &columns.owner,
            columns.message_count,
            listed_rows(request, SegmentKind::Data),
            listed_rows(request, SegmentKind::Quarantine),
            columns.data_segment_id.as_deref(),
            columns.quarantine_segment_id.as_deref(),
            columns.anchor_offset,
            columns.anchor_timestamp_us,
            columns.anchor_hash,
            listed_in.map(|snapshot| snapshot.id.0.cast_signed()),
        ]);
    }
    insert_all(session, &COMMITS, &rows).await
}

/// Number of rows that the request lists in segments of the kind.
fn listed_rows(request: &CommitRequest, kind: SegmentKind) -> i64 {
    let of_kind = request.segments.iter().filter(|segment| segment.kind == kind);
    of_kind.map(|segment| segment.record_count.cast_signed()).sum()
}

async fn insert_gaps(session: &mut dyn Session, accepted: &[Accepted<'_>]) -> Result<()> {
    let mut rows = Vec::new();
    for Accepted { request, columns, .. } in accepted {
        for gap in &request.gaps {
            rows.extend_from_slice(values![
                &request.partition.topic,
                request.partition.partition_id,
                columns.incarnation,
                gap.range.base().cast_signed(),
                gap.range.end().cast_signed(),
                gap.kind.word(),
                input::note(&gap.reason),
            ]);
        }
    }
    insert_all(session, &GAPS, &rows).await
}
