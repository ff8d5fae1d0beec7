//! Objects: the rows of many batches in one object of each kind.
//!
//! Owns: their order, by partition and offset, and the segment of each batch in an object. Does not own: Parquet, the put.

use std::sync::Arc;

use arrow_array::RecordBatch;
use catalog::{NewObject, NewSegment, SegmentKind};
use common::{OffsetRange, TopicName, TopicPartition};
use lake::footer::Footer;
use lake::keys::NewKey;
use lake::segment::{EncodedSegment, Pages, SegmentEncoder};
use parquet::errors::ParquetError;

use super::Waiting;
use crate::pipeline::batch::{Content, KeptRows, footer_of_one};

/// The rows of one kind of all batches, in order of partition.
pub(super) struct Rows {
    footer: Footer,
    batches: Vec<RecordBatch>,
}

impl Rows {
    /// Those of a flush; `None` if there are none. Cheap: rows share their memory.
    pub(super) fn of(flush: &[Waiting], topic: &TopicName, kind: SegmentKind) -> Option<Self> {
        let with_rows = || flush.iter().filter_map(|waiting| Some((waiting, kept(waiting, kind)?)));
        let (first, _) = with_rows().next()?;
        let schema_version = first.batch.schema_version;
        let footer = match with_rows().nth(1) {
            None => footer_of_one(&first.held, first.batch.range, kind, schema_version),
            Some(_) => Footer { topic: topic.clone(), kind, schema_version, segment: None },
        };
        Some(Self { footer, batches: with_rows().flat_map(|(_, rows)| rows.batches()).cloned().collect() })
    }

    /// One object of them. Runs on a blocking thread.
    pub(super) fn encode(&self, pages: Pages) -> Result<EncodedSegment, ParquetError> {
        let first = self.batches.first().expect("a batch has rows of a kind or none of it");
        let mut encoder = SegmentEncoder::new(&first.schema(), pages)?;
        encoder.write_all(&self.batches)?;
        encoder.finish(self.footer.pairs())
    }
}

/// The segment of a batch in the object of a kind, if it has rows of that kind.
pub(super) fn segment_of(
    waiting: &Waiting,
    kind: SegmentKind,
    object: &Arc<NewObject>,
    name: &NewKey,
) -> Option<NewSegment> {
    let rows = kept(waiting, kind)?;
    let (min_timestamp_us, max_timestamp_us) = rows.timestamps_us();
    Some(NewSegment {
        id: segment_id(&waiting.held.partition, waiting.batch.range, name),
        kind,
        record_count: rows.record_count(),
        min_timestamp_us,
        max_timestamp_us,
        object: Arc::clone(object),
    })
}

/// `<topic>-<partition>-<base_offset>-<uuid>`, with the uuid of the object.
fn segment_id(partition: &TopicPartition, range: OffsetRange, name: &NewKey) -> String {
    let uuid = name.id.get(name.id.len().saturating_sub(36)..).unwrap_or(&name.id);
    format!("{}-{}-{}-{uuid}", partition.topic, partition.partition_id, range.base())
}

fn kept(waiting: &Waiting, kind: SegmentKind) -> Option<&KeptRows> {
    match &waiting.batch.content {
        Content::Rows(tables) => tables.iter().find_map(|(of, rows)| (*of == kind).then_some(rows)),
        Content::Encoded(_) => None,
    }
}
