//! Correct records of a partition.
//!
//! Owns: histories of commits and their rows in the catalog. Does not own: damage (`tests`).

use std::sync::Arc;

use common::{Anchor, OffsetRange, OwnerId, TopicName};
use proptest::prelude::*;
use uuid::Uuid;

use super::super::*;
use crate::model::{
    FileId, Gap, IncarnationStart, ObjectInfo, Partition, PartitionState, RecordedGap, SegmentKind, SnapshotId, Upload,
    UploadState,
};

/// One commit of a made-up partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) messages: u64,
    pub(super) gap: u64,
    pub(super) quarantined: bool,
    pub(super) takeover: bool,
    /// The start of a new incarnation, counted from the last end.
    pub(super) resumed: Option<u64>,
}

pub(super) fn any_step() -> impl Strategy<Value = Step> {
    let resumed = prop::option::weighted(0.1, 0..50_u64);
    (1..50_u64, 0..5_u64, any::<bool>(), any::<bool>(), resumed).prop_map(
        |(messages, gap, quarantined, takeover, resumed)| Step { messages, gap, quarantined, takeover, resumed },
    )
}

pub(super) fn range(base: u64, end: u64) -> OffsetRange {
    OffsetRange::new(base, end).expect("in order")
}

pub(super) fn segment(id: &str, commit: &CommitRecord, kind: SegmentKind, rows: u64) -> SegmentInfo {
    let object = ObjectInfo {
        file_id: FileId(commit.commit_no * 2 + u64::from(kind == SegmentKind::Quarantine)),
        kind,
        bucket: String::new(),
        key: format!("t/partition=0/{id}.parquet"),
        record_count: rows,
        size_bytes: 10,
        footer_bytes: Some(5),
        checksum: 0,
        schema_version: 1,
        level: 0,
        layout: crate::model::LAYOUT_NOW,
        min_partition_id: 0,
        max_partition_id: 0,
        min_offset: commit.range.base(),
        max_offset: commit.range.end(),
        min_timestamp_us: 0,
        max_timestamp_us: 0,
        begin_snapshot: SnapshotId(commit.commit_no),
        created_at: 0,
    };
    SegmentInfo {
        id: id.to_owned(),
        topic: TopicName::new("t").expect("valid"),
        partition_id: 0,
        incarnation: commit.incarnation,
        kind,
        range: commit.range,
        record_count: rows,
        min_timestamp_us: 0,
        max_timestamp_us: 0,
        schema_version: 1,
        created_at: 0,
        object: Arc::new(object),
    }
}

/// The records of a partition that was committed in these steps.
pub(super) fn records(steps: &[Step]) -> PartitionRecords {
    let owner = OwnerId(Uuid::nil());
    let partition = Partition {
        topic: TopicName::new("t").expect("valid"),
        partition_id: 0,
        high_watermark: 0,
        incarnation: Incarnation(0),
        epoch: Epoch(1),
        owner: Some(owner),
        state: PartitionState::Active,
        halt_reason: None,
        anchor: None,
        commit_no: 0,
        created_at: 0,
        updated_at: 0,
    };
    let (incarnations, commits, segments, gaps, expirations, uploads) = Default::default();
    let mut made =
        PartitionRecords { partition, incarnations, commits, segments, gaps, expirations, uploads, is_dense: true };
    for step in steps {
        let now = &mut made.partition;
        if let Some(further) = step.resumed {
            now.incarnation.0 += 1;
            now.epoch.0 += 1;
            now.high_watermark = now.high_watermark.saturating_sub(20) + further;
            made.incarnations.push(IncarnationStart {
                incarnation: now.incarnation,
                start_offset: now.high_watermark,
                reason: String::new(),
                created_at: 0,
            });
        }
        now.epoch.0 += u64::from(step.takeover);
        now.commit_no += 1;
        let base_offset = now.high_watermark;
        let end_offset = base_offset + step.gap + step.messages - 1;
        let anchor = Anchor { offset: end_offset, timestamp_us: 7, hash: end_offset };
        let id = |kind: &str| format!("t-0-{base_offset}-{kind}-{}", Uuid::from_u128(u128::from(now.commit_no)));
        let commit = CommitRecord {
            incarnation: now.incarnation,
            first_commit_no: now.commit_no,
            commit_no: now.commit_no,
            range: range(base_offset, end_offset),
            epoch: now.epoch,
            owner,
            message_count: step.messages,
            record_count: Some(step.messages),
            quarantined_count: Some(u64::from(step.quarantined)),
            data_segment_id: Some(id("data")),
            quarantine_segment_id: step.quarantined.then(|| id("quarantine")),
            anchor,
            snapshot_id: Some(SnapshotId(now.commit_no)),
            committed_at: 0,
        };
        if step.gap > 0 {
            let gap = Gap::lost(range(base_offset, base_offset + step.gap - 1), "gone");
            made.gaps.push(RecordedGap { incarnation: commit.incarnation, gap, created_at: 0 });
        }
        made.segments.push(segment(&id("data"), &commit, SegmentKind::Data, step.messages));
        if step.quarantined {
            made.segments.push(segment(&id("quarantine"), &commit, SegmentKind::Quarantine, 1));
        }
        now.high_watermark = end_offset + 1;
        now.anchor = Some(anchor);
        made.commits.push(commit);
    }
    made
}

pub(super) fn upload(key: &str, epoch: Option<Epoch>, state: UploadState) -> Upload {
    Upload {
        bucket: String::new(),
        key: key.to_owned(),
        topic: TopicName::new("t").expect("valid"),
        partition_id: Some(0),
        segment_id: None,
        epoch,
        owner: epoch.map(|_| OwnerId(Uuid::nil())),
        state,
        created_at: 0,
        doomed_at: None,
        sweeps: 0,
    }
}
