//! Sealed: a closed batch.
//!
//! Owns: its commit as a request, its rows, which wait for an object that many partitions share, or its own objects, and the footers of these.
//! Does not own: closing it (`batch`).

use std::mem;

use catalog::{CommitRequest, Gap, NewSegment, Ownership, SegmentKind};
use common::clock::utc_day;
use common::memory::MemoryPermit;
use common::{Anchor, OffsetRange};
use lake::footer::{Footer, FooterSegment};
use lake::segment::{EncodedSegment, Pages};
use parquet::errors::ParquetError;

use super::Refusal;
use super::table::KeptRows;
use crate::pipeline::gather::OpenToken;
use crate::pipeline::roll::RollReason;

/// A closed batch, not yet stored.
#[derive(Debug)]
pub(crate) struct SealedBatch {
    pub(crate) range: OffsetRange,
    pub(crate) first_timestamp_us: i64,
    pub(crate) message_count: u64,
    /// Bytes of the messages' payloads.
    pub(crate) payload_bytes: usize,
    pub(crate) anchor: Anchor,
    pub(crate) gaps: Vec<Gap>,
    /// The first record that went to quarantine.
    pub(crate) first_refusal: Option<Refusal>,
    pub(crate) content: Content,
    pub(crate) schema_version: u32,
    pub(crate) reason: RollReason,
    /// Held until its rows are in an object with those of others, or in one of its own.
    pub(super) _open: Option<OpenToken>,
    /// Held until the batch is committed.
    pub(super) _memory: MemoryPermit,
}

/// The rows of a closed batch, of each kind that it has.
#[derive(Debug)]
pub(crate) enum Content {
    /// Few rows, for an object that many partitions share.
    Rows(Vec<(SegmentKind, KeptRows)>),
    /// Objects of its own.
    Encoded(Vec<(SegmentKind, EncodedSegment)>),
}

impl Content {
    /// Memory of the rows or objects, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Self::Rows(rows) => rows.iter().map(|(_, rows)| rows.memory_bytes()).sum(),
            Self::Encoded(segments) => segments.iter().map(|(_, segment)| segment.size_bytes as usize).sum(),
        }
    }
}

impl SealedBatch {
    /// True if its rows wait for an object that many partitions share.
    pub(crate) fn is_gathered(&self) -> bool {
        matches!(self.content, Content::Rows(_))
    }

    /// The commit of the batch by its owner, with these stored segments.
    pub(crate) fn request(&self, held: &Ownership, segments: Vec<NewSegment>) -> CommitRequest {
        CommitRequest {
            partition: held.partition.clone(),
            incarnation: held.incarnation,
            epoch: held.epoch,
            owner: held.owner,
            range: self.range,
            anchor: self.anchor,
            message_count: self.message_count,
            segments,
            gaps: self.gaps.clone(),
        }
    }

    /// Its own objects, which leave it.
    pub(crate) fn take_objects(&mut self) -> Vec<(SegmentKind, EncodedSegment)> {
        match mem::replace(&mut self.content, Content::Encoded(vec![])) {
            Content::Encoded(objects) => objects,
            Content::Rows(_) => unreachable!("a batch is encoded before its upload"),
        }
    }

    /// Size of its own object of data, if it has one.
    pub(crate) fn data_size(&self) -> Option<usize> {
        let Content::Encoded(objects) = &self.content else { return None };
        let data = objects.iter().find(|(kind, _)| *kind == SegmentKind::Data);
        data.map(|(_, object)| object.size_bytes as usize)
    }

    /// Memory of its rows or objects, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.content.memory_bytes()
    }

    /// UTC day of all of its messages, counted from 1970.
    pub(crate) fn day(&self) -> i64 {
        utc_day(self.first_timestamp_us)
    }

    /// The same with objects of its own. Runs on a blocking thread.
    pub(crate) fn alone(mut self, held: &Ownership, pages: Pages) -> Result<Self, ParquetError> {
        if let Content::Rows(tables) = &self.content {
            let mut segments = Vec::new();
            for (kind, rows) in tables {
                let footer = footer_of_one(held, self.range, *kind, self.schema_version);
                segments.push((*kind, rows.encode(pages, footer.pairs())?));
            }
            self.content = Content::Encoded(segments);
        }
        Ok(self)
    }
}

/// The footer of an object with one segment.
pub(crate) fn footer_of_one(held: &Ownership, range: OffsetRange, kind: SegmentKind, schema_version: u32) -> Footer {
    let (partition_id, incarnation) = (held.partition.partition_id, held.incarnation);
    let segment = FooterSegment { partition_id, incarnation, range, epoch: Some(held.epoch) };
    Footer { topic: held.partition.topic.clone(), kind, schema_version, segment: Some(segment) }
}
