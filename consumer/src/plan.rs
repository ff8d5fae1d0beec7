//! The place from which a partition is read. Pure.
//!
//! Owns: the way from one place to the next one that can have records, and the refusal of places that cannot be meant. Does
//! not own: reading (`fetch`).

use catalog::{Position, ReadAhead, SegmentInfo};
use common::TopicPartition;

use crate::error::FetchError;

/// The place in the segment at which reading goes on: offsets before the segment have no records any more, or never had.
pub(crate) fn enter(segment: &SegmentInfo, at: Position) -> Position {
    let base = Position { incarnation: segment.incarnation, offset: segment.range.base() };
    at.max(base)
}

/// The place behind all segments: in the current incarnation, at its watermark or above.
pub(crate) fn behind_segments(ahead: &ReadAhead, at: Position) -> Position {
    let now = &ahead.partition;
    let offset = if at.incarnation < now.incarnation { 0 } else { at.offset };
    let first = ahead.start_of(now.incarnation).max(now.high_watermark);
    Position { incarnation: now.incarnation, offset: offset.max(first) }
}

/// Refuses a place that somebody named and that has no records any more, or is none of this partition's. One above the end is
/// found out by who knows the end.
pub(crate) fn check(of: &TopicPartition, ahead: &ReadAhead, at: Position) -> Result<(), FetchError> {
    let now = ahead.partition.incarnation;
    if at.incarnation > now {
        return Err(FetchError::UnknownIncarnation { partition: of.clone(), incarnation: at.incarnation, now });
    }
    let (start, expired) = (ahead.start_of(at.incarnation), ahead.expired_before(at.incarnation));
    let (partition, offset, first) = (of.clone(), at.offset, start.max(expired));
    if offset >= first {
        return Ok(());
    }
    Err(match start >= expired {
        true => FetchError::BeforeStart { partition, incarnation: at.incarnation, offset, first },
        false => FetchError::Expired { partition, offset, first },
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use catalog::{
        Expiration, FileId, IncarnationStart, LAYOUT_NOW, ObjectInfo, Partition, PartitionState, SegmentKind, Topic,
    };
    use common::{Epoch, Incarnation, OffsetRange, TopicName};

    use super::*;

    fn at(incarnation: u32, offset: u64) -> Position {
        Position { incarnation: Incarnation(incarnation), offset }
    }

    fn topic() -> TopicName {
        TopicName::new("t").expect("valid")
    }

    /// The second incarnation of a partition, which began at 5, with watermark 40; retention took what is below 10.
    fn ahead() -> ReadAhead {
        let topic_row = Topic {
            name: topic(),
            partition_count: 1,
            retention_ms: None,
            config: Default::default(),
            schema_version: 1,
            created_at: 0,
            updated_at: 0,
        };
        let partition = Partition {
            topic: topic(),
            partition_id: 0,
            high_watermark: 40,
            incarnation: Incarnation(1),
            epoch: Epoch(1),
            owner: None,
            state: PartitionState::Active,
            halt_reason: None,
            anchor: None,
            commit_no: 1,
            created_at: 0,
            updated_at: 0,
        };
        let incarnation = Incarnation(1);
        let start = IncarnationStart { incarnation, start_offset: 5, reason: String::new(), created_at: 0 };
        ReadAhead {
            topic: topic_row,
            partition,
            segments: vec![],
            incarnations: vec![start],
            expirations: vec![Expiration { incarnation, before_offset: 10 }],
        }
    }

    fn segment(incarnation: u32, base: u64, end: u64) -> SegmentInfo {
        let object = ObjectInfo {
            file_id: FileId(1),
            kind: SegmentKind::Data,
            bucket: String::new(),
            key: "k".to_owned(),
            begin_snapshot: catalog::SnapshotId(1),
            level: 0,
            layout: LAYOUT_NOW,
            record_count: 1,
            size_bytes: 1,
            footer_bytes: None,
            checksum: 0,
            schema_version: 1,
            min_partition_id: 0,
            max_partition_id: 0,
            min_offset: base,
            max_offset: end,
            min_timestamp_us: 0,
            max_timestamp_us: 0,
            created_at: 0,
        };
        SegmentInfo {
            id: "s".to_owned(),
            topic: topic(),
            partition_id: 0,
            incarnation: Incarnation(incarnation),
            kind: SegmentKind::Data,
            range: OffsetRange::new(base, end).expect("in order"),
            record_count: 1,
            min_timestamp_us: 0,
            max_timestamp_us: 0,
            schema_version: 1,
            created_at: 0,
            object: Arc::new(object),
        }
    }

    #[test]
    fn a_segment_is_entered_at_the_place_or_at_its_base() {
        assert_eq!(enter(&segment(1, 10, 19), at(1, 12)), at(1, 12));
        assert_eq!(enter(&segment(1, 10, 19), at(1, 7)), at(1, 10));
        assert_eq!(enter(&segment(1, 10, 19), at(0, 700)), at(1, 10), "an offset of the history before");
    }

    #[test]
    fn behind_the_segments_comes_the_watermark_of_the_current_history() {
        assert_eq!(behind_segments(&ahead(), at(1, 41)), at(1, 41));
        assert_eq!(behind_segments(&ahead(), at(1, 30)), at(1, 40), "the rest has no records");
        assert_eq!(behind_segments(&ahead(), at(0, 700)), at(1, 40));
    }

    #[test]
    fn a_place_that_is_gone_or_foreign_is_refused() {
        let of = TopicPartition::new(topic(), 0);
        let check = |at| check(&of, &ahead(), at);
        assert!(check(at(1, 10)).is_ok() && check(at(0, 0)).is_ok() && check(at(1, 900)).is_ok());
        assert!(matches!(check(at(1, 9)), Err(FetchError::Expired { first: 10, .. })));
        let mut whole = ahead();
        whole.expirations.clear();
        let before = super::check(&of, &whole, at(1, 4)).expect_err("the history begins at 5");
        assert!(matches!(before, FetchError::BeforeStart { first: 5, .. }), "{before}");
        let unknown = check(at(2, 0)).expect_err("no such history");
        assert!(matches!(unknown, FetchError::UnknownIncarnation { now: Incarnation(1), .. }), "{unknown}");
    }
}
