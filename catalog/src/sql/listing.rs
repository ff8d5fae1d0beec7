//! New segments on the list, and their objects.
//!
//! Owns: the rows that a commit or an import lists, in one snapshot. Does not own: permission to list them
//! (`commit_judge`, `segments`), objects and snapshots as such (`objects`, `snapshots`).

use std::collections::{BTreeSet, HashMap};

use common::{OffsetRange, TopicPartition};

use super::objects::{self, Bounds, insert_all};
use super::snapshots::{Change, Snapshot, advance};
use crate::database::{Insert, Session, values};
use crate::error::Result;
use crate::model::{FileId, NewSegment, TableId, Tables};

const SEGMENTS: Insert = Insert {
    table: "segments",
    columns: "id, topic, partition_id, incarnation, kind, base_offset, end_offset, record_count, min_timestamp_us, \
              max_timestamp_us, schema_version, file_id, created_at",
    width: 12,
    has_time: true,
};

/// A segment with its place. All its values can be stored.
pub(super) struct Placed<'a> {
    pub(super) partition: &'a TopicPartition,
    pub(super) incarnation: i64,
    pub(super) range: OffsetRange,
    pub(super) tables: Tables,
    pub(super) segment: &'a NewSegment,
}

impl Placed<'_> {
    fn table(&self) -> TableId {
        self.tables.of(self.segment.kind)
    }

    /// One partition, the offsets of the segment, and its times.
    fn bounds(&self) -> Bounds {
        let partition_id = self.partition.partition_id;
        Bounds {
            partitions: (partition_id, partition_id),
            offsets: (self.range.base().cast_signed(), self.range.end().cast_signed()),
            timestamps_us: (self.segment.min_timestamp_us, self.segment.max_timestamp_us),
        }
    }
}

/// Lists segments and their objects in a new snapshot; without segments there is no snapshot.
pub(super) async fn list(session: &mut dyn Session, placed: &[Placed<'_>]) -> Result<Option<Snapshot>> {
    if placed.is_empty() {
        return Ok(None);
    }
    let tables: BTreeSet<TableId> = placed.iter().map(Placed::table).collect();
    let (objects, places) = objects_of(placed);
    let snapshot = advance(session, Change::insert(&tables, objects.len() as u64)).await?;
    let file_id = |place: usize| FileId(snapshot.first_file_id + place as u64);
    let listed: Vec<objects::Listed<'_>> = objects
        .iter()
        .enumerate()
        .map(|(place, (placed, bounds))| objects::Listed {
            file_id: file_id(place),
            table_id: placed.table(),
            snapshot: snapshot.id,
            level: 0,
            object: &placed.segment.object,
            bounds: *bounds,
        })
        .collect();
    objects::insert(session, &listed).await?;
    let mut rows = Vec::with_capacity(placed.len() * SEGMENTS.width);
    for (Placed { partition, incarnation, range, segment, .. }, place) in placed.iter().zip(places) {
        rows.extend_from_slice(values![
            &segment.id,
            &partition.topic,
            partition.partition_id,
            *incarnation,
            segment.kind.as_str(),
            range.base().cast_signed(),
            range.end().cast_signed(),
            segment.record_count.cast_signed(),
            segment.min_timestamp_us,
            segment.max_timestamp_us,
            segment.object.schema_version,
            file_id(place).0.cast_signed(),
        ]);
    }
    insert_all(session, &SEGMENTS, &rows).await?;
    Ok(Some(snapshot))
}

/// The objects of these segments in the order of their first segments, with bounds that enclose all of their segments, and
/// the place of each segment's object among them.
fn objects_of<'s>(placed: &'s [Placed<'s>]) -> (Vec<(&'s Placed<'s>, Bounds)>, Vec<usize>) {
    let mut known = HashMap::with_capacity(placed.len());
    let mut objects: Vec<(&Placed<'_>, Bounds)> = Vec::new();
    let mut places = Vec::with_capacity(placed.len());
    for placed in placed {
        let name = (&placed.segment.object.bucket, &placed.segment.object.key);
        let place = *known.entry(name).or_insert(objects.len());
        match objects.get_mut(place) {
            Some((_, bounds)) => *bounds = bounds.and(placed.bounds()),
            None => objects.push((placed, placed.bounds())),
        }
        places.push(place);
    }
    (objects, places)
}
