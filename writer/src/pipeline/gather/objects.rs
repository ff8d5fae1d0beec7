//! Objects: the rows of many batches in one object of each kind.
//!
//! Owns: their order, by partition and offset, and the segment of each batch in an object. Does not own: Parquet, the put.

use std::sync::Arc;

use arrow_array::RecordBatch;
use catalog::{NewObject, NewSegment, SegmentKind};
use common::{OffsetRange, TopicName, TopicPartition};
use lake::footer::Footer;
use lake::keys::NewKey;
use lake::segment::{EncodedSegment, SegmentEncoder};
use parquet::errors::ParquetError;

use super::Waiting;
use crate::pipeline::batch::{Content, KeptRows};

/// Encodes the rows of one kind of all batches, which come in order of partition; `None` if there are none. Runs on a
/// blocking thread.
pub(super) fn encode(
    rows: &[RecordBatch],
    topic: TopicName,
    kind: SegmentKind,
    schema_version: u32,
    page_bytes: usize,
) -> Result<Option<EncodedSegment>, ParquetError> {
    let Some(first) = rows.first() else { return Ok(None) };
    let mut encoder = SegmentEncoder::new(&first.schema(), page_bytes)?;
    encoder.write_all(rows)?;
    let footer = Footer { topic, kind, schema_version, segment: None };
    encoder.finish(footer.pairs()).map(Some)
}

/// The rows of one kind, batch after batch. Cheap: they share their memory.
pub(super) fn rows_of(waiting: &[Waiting], kind: SegmentKind) -> Vec<RecordBatch> {
    waiting.iter().filter_map(|waiting| kept(waiting, kind)).flat_map(KeptRows::batches).cloned().collect()
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
