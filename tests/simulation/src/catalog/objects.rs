//! The lists of objects: live and retired ones, their segments and statistics.
//!
//! Owns: putting an object on the list and taking it off, and the unique indexes over both lists.
//! Does not own: the causes of these changes (`commit`, `segments`, `expire`, `replace`, `topics`).

use std::collections::BTreeMap;
use std::sync::Arc;

use ::catalog::{
    CatalogError, ColumnStatistics, FileId, LAYOUT_NOW, NewObject, NewSegment, ObjectInfo, Result, RetiredObject,
    SegmentInfo, SegmentKind, SnapshotId, TableId, Upload, UploadState,
};
use common::{Incarnation, OffsetRange, TopicName, TopicPartition};

use super::event::Change;
use super::lake::Listing;
use super::state::{CatalogState, ObjectName, ObjectRow, RetiredRow};

/// The column of which level 0 keeps statistics where they say more than the object's bounds: `_offset`.
const OFFSET_FIELD: i32 = 2;
/// The column of which level 0 keeps statistics always: `_timestamp`.
const TIMESTAMP_FIELD: i32 = 4;

/// The place of a segment.
pub(crate) struct Place<'a> {
    pub(crate) partition: &'a TopicPartition,
    pub(crate) incarnation: Incarnation,
    pub(crate) range: OffsetRange,
}

impl Place<'_> {
    /// Widens the bounds of an object, so that they enclose this segment.
    pub(crate) fn widen(&self, object: &mut ObjectInfo, segment: &NewSegment) {
        let partition_id = self.partition.partition_id;
        object.min_partition_id = object.min_partition_id.min(partition_id);
        object.max_partition_id = object.max_partition_id.max(partition_id);
        object.min_offset = object.min_offset.min(self.range.base());
        object.max_offset = object.max_offset.max(self.range.end());
        object.min_timestamp_us = object.min_timestamp_us.min(segment.min_timestamp_us);
        object.max_timestamp_us = object.max_timestamp_us.max(segment.max_timestamp_us);
    }
}

/// The ids of the segments of each object.
pub(crate) type SegmentIds = BTreeMap<FileId, Vec<String>>;

impl CatalogState {
    /// The table of the topic's records of this kind.
    pub(crate) fn table(&self, topic: &TopicName, kind: SegmentKind) -> Option<TableId> {
        self.tables.get(topic).map(|tables| tables.of(kind))
    }

    /// Puts a segment and its object, which holds its rows alone, on the lists.
    pub(crate) fn list(&mut self, place: &Place<'_>, segment: &NewSegment, listing: Listing) {
        let object = Arc::new(self.object_of(place, segment, listing));
        self.list_object(&place.partition.topic, Arc::clone(&object), &segment.object.statistics);
        self.list_segment(place, segment, object);
    }

    /// The object of a segment, with the segment's bounds.
    pub(crate) fn object_of(&self, place: &Place<'_>, segment: &NewSegment, listing: Listing) -> ObjectInfo {
        let (partition, range) = (place.partition, place.range);
        ObjectInfo {
            level: 0,
            min_partition_id: partition.partition_id,
            max_partition_id: partition.partition_id,
            min_offset: range.base(),
            max_offset: range.end(),
            min_timestamp_us: segment.min_timestamp_us,
            max_timestamp_us: segment.max_timestamp_us,
            ..self.new_object(&segment.object, segment.kind, listing)
        }
    }

    /// Puts a segment on its list.
    pub(crate) fn list_segment(&mut self, place: &Place<'_>, segment: &NewSegment, object: Arc<ObjectInfo>) {
        let (partition, range) = (place.partition, place.range);
        let listed = SegmentInfo {
            id: segment.id.clone(),
            topic: partition.topic.clone(),
            partition_id: partition.partition_id,
            incarnation: place.incarnation,
            kind: segment.kind,
            range,
            record_count: segment.record_count,
            min_timestamp_us: segment.min_timestamp_us,
            max_timestamp_us: segment.max_timestamp_us,
            schema_version: segment.object.schema_version,
            created_at: self.now_ms,
            object,
        };
        self.segment_ids.insert(segment.id.clone());
        let segments = self.segments.entry(partition.clone()).or_default();
        let at = segments.partition_point(|other| order(other) <= order(&listed));
        segments.insert(at, listed);
    }

    /// The object as it is listed now, without bounds.
    pub(crate) fn new_object(&self, object: &NewObject, kind: SegmentKind, listing: Listing) -> ObjectInfo {
        ObjectInfo {
            file_id: listing.first_file_id,
            kind,
            bucket: object.bucket.clone(),
            key: object.key.clone(),
            record_count: object.record_count,
            size_bytes: object.size_bytes,
            footer_bytes: Some(object.footer_bytes),
            checksum: object.checksum,
            schema_version: object.schema_version,
            level: 0,
            layout: LAYOUT_NOW,
            min_partition_id: 0,
            max_partition_id: 0,
            min_offset: 0,
            max_offset: 0,
            min_timestamp_us: 0,
            max_timestamp_us: 0,
            begin_snapshot: listing.snapshot_id,
            created_at: self.now_ms,
        }
    }

    /// Puts an object on the list, with those of its statistics that are kept.
    pub(crate) fn list_object(&mut self, topic: &TopicName, object: Arc<ObjectInfo>, statistics: &[ColumnStatistics]) {
        let table = self.table(topic, object.kind).expect("the topic was looked up");
        let (file_id, level) = (object.file_id, object.level);
        let bounds = [object.min_offset, object.max_offset].map(|end| Some(end.to_string()));
        self.listed.insert(ObjectName::of(&object), file_id);
        self.objects.insert(file_id, ObjectRow { table, topic: topic.clone(), object });
        for of in statistics.iter().filter(|of| match of.field_id {
            TIMESTAMP_FIELD => true,
            OFFSET_FIELD if level == 0 => [of.min.clone(), of.max.clone()] != bounds,
            _ => level > 0,
        }) {
            let storable = |text: &Option<String>| text.clone().filter(|text| !text.contains('\0'));
            let kept = ColumnStatistics { min: storable(&of.min), max: storable(&of.max), ..of.clone() };
            self.statistics.insert((table, of.field_id, file_id), kept);
        }
    }

    /// Undoes the listing of these by the running transaction.
    pub(crate) fn undo_list(&mut self, partition: &TopicPartition, segment: &NewSegment) {
        if let Some(file_id) = self.listed.remove(&ObjectName::new(&segment.object.bucket, &segment.object.key)) {
            self.objects.remove(&file_id);
            self.statistics.retain(|(_, _, of), _| *of != file_id);
        }
        self.segment_ids.remove(&segment.id);
        self.segments.entry(partition.clone()).or_default().retain(|other| other.id != segment.id);
    }

    /// The segments of the topic's live objects.
    pub(crate) fn ids_by_object(&self, topic: &TopicName) -> SegmentIds {
        let mut ids = SegmentIds::new();
        for segment in self.partitions_of(topic).flat_map(|(partition, _)| self.segments_of(partition)) {
            ids.entry(segment.object.file_id).or_default().push(segment.id.clone());
        }
        ids
    }

    /// Takes objects off the list and hands them to the janitor. `ids` are those of the segments as they were.
    pub(crate) fn retire(&mut self, file_ids: &[FileId], end_snapshot: SnapshotId, ids: &SegmentIds) {
        for file_id in file_ids {
            let Some(row) = self.objects.remove(file_id) else { continue };
            let object = ObjectInfo::clone(&row.object);
            let name = ObjectName::of(&object);
            self.listed.remove(&name);
            let is_of_one = object.min_partition_id == object.max_partition_id;
            let segment_id = match ids.get(file_id).map_or(&[][..], Vec::as_slice) {
                [only] => Some(only.clone()),
                _ => None,
            };
            let upload = Upload {
                bucket: object.bucket.clone(),
                key: object.key.clone(),
                topic: row.topic,
                partition_id: is_of_one.then_some(object.min_partition_id),
                segment_id,
                epoch: None,
                owner: None,
                state: UploadState::Doomed,
                created_at: object.created_at,
                doomed_at: Some(self.now_ms),
                sweeps: 0,
            };
            let retired = RetiredObject { object, end_snapshot, retired_at: self.now_ms };
            self.retired.insert(*file_id, RetiredRow { table: row.table, object: retired });
            self.retired_names.insert(name.clone(), *file_id);
            self.changed(Change::Doomed(name.clone()));
            self.uploads.insert(name, upload);
        }
    }

    /// Forgets a retired object, which was deleted.
    pub(crate) fn forget_retired(&mut self, name: &ObjectName) {
        if let Some(file_id) = self.retired_names.remove(name) {
            self.retired.remove(&file_id);
            self.statistics.retain(|(_, _, of), _| *of != file_id);
        }
    }

    /// The number under which the object is, or was, listed.
    pub(crate) fn number_of(&self, name: &ObjectName) -> Option<FileId> {
        self.listed.get(name).or_else(|| self.retired_names.get(name)).copied()
    }

    /// The primary key of `uploads`: an object that is listed must not be there.
    pub(crate) fn refuse_known_uploads<'a>(&self, objects: impl IntoIterator<Item = &'a FileId>) -> Result<()> {
        for file_id in objects {
            let known = self.objects.get(file_id).map(|row| ObjectName::of(&row.object));
            if let Some(name) = known.filter(|name| self.uploads.contains_key(name)) {
                return Err(CatalogError::Inconsistent(format!("{} is in uploads and listed", name.key)));
            }
        }
        Ok(())
    }
}

/// The order in which segments of a partition are listed.
pub(crate) fn order(segment: &SegmentInfo) -> (u32, u64, bool) {
    (segment.incarnation.0, segment.range.base(), segment.kind == SegmentKind::Quarantine)
}
