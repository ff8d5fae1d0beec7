//! Transactions on segments, and what readers read.
//!
//! Owns: the list of live segments and its unique indexes. Does not own: how commits fill it (`commit`).

use ::catalog::{
    CatalogError, CommitRecord, IncarnationStart, RecordedGap, Result, SegmentInfo, SegmentKind, TopicSnapshot, Upload,
    UploadState,
};
use common::{TopicName, TopicPartition};

use super::event::Change;
use super::limits;
use super::state::{CatalogState, ObjectName};

impl CatalogState {
    pub(crate) fn add_segment(&mut self, segment: SegmentInfo) -> Result<()> {
        check_range(&segment)?;
        let partition = TopicPartition::new(segment.topic.clone(), segment.partition_id);
        self.row(&partition)?;
        let overlaps = |other: &SegmentInfo| {
            other.incarnation == segment.incarnation
                && other.kind == segment.kind
                && other.base_offset <= segment.end_offset
                && other.end_offset >= segment.base_offset
        };
        let object = ObjectName::new(&segment.bucket, &segment.key);
        let reason = if self.segments_of(&partition).iter().any(overlaps) {
            "a listed segment of the same kind overlaps its range"
        } else if self.segment_ids.contains(&segment.id) || self.is_listed(&object) {
            "its id or its key is listed already"
        } else {
            self.list(SegmentInfo { created_at: self.now_ms, ..segment });
            self.changed(Change::SegmentAdded(object));
            return Ok(());
        };
        Err(CatalogError::InvalidOffset { offset: segment.base_offset, reason: reason.to_owned() })
    }

    pub(crate) fn find_segment_for_offset(
        &self,
        partition: &TopicPartition,
        offset: u64,
    ) -> Result<Option<SegmentInfo>> {
        limits::offset(offset)?;
        let Some(row) = self.partitions.get(partition) else { return Ok(None) };
        let incarnation = row.partition.incarnation;
        let holds = |segment: &&SegmentInfo| {
            segment.incarnation == incarnation
                && segment.kind == SegmentKind::Data
                && (segment.base_offset..=segment.end_offset).contains(&offset)
        };
        Ok(self.segments_of(partition).iter().find(holds).cloned())
    }

    pub(crate) fn delete_segments_before(&mut self, partition: &TopicPartition, offset: u64) -> Result<u64> {
        let Some(row) = self.partitions.get(partition) else { return Ok(0) };
        let incarnation = row.partition.incarnation;
        // An offset that cannot be stored counts as the largest one that can.
        let offset = offset.min(limits::NUMBER_MAX);
        let goes = |segment: &SegmentInfo| segment.incarnation == incarnation && segment.end_offset < offset;
        let objects: Vec<ObjectName> = self
            .segments_of(partition)
            .iter()
            .filter(|s| goes(s))
            .map(|s| ObjectName::new(&s.bucket, &s.key))
            .collect();
        self.refuse_known_uploads(&objects)?;
        self.unlist(partition, goes);
        let deleted = objects.len() as u64;
        if deleted > 0 {
            self.changed(Change::SegmentsDeleted(objects));
        }
        Ok(deleted)
    }

    pub(crate) fn snapshot(&self, topic: &TopicName) -> Result<TopicSnapshot> {
        let found = self.topics.get(topic).ok_or_else(|| CatalogError::TopicNotFound(topic.to_string()))?;
        let segments = self.partitions_of(topic).flat_map(|(of, _)| self.segments_of(of)).cloned().collect();
        Ok(TopicSnapshot { topic: found.clone(), partitions: self.list_partitions(topic), segments })
    }

    pub(crate) fn list_gaps(&self, partition: &TopicPartition) -> Vec<RecordedGap> {
        let mut gaps = self.gaps.get(partition).cloned().unwrap_or_default();
        gaps.sort_by_key(|recorded| (recorded.incarnation, recorded.gap.base_offset));
        gaps
    }

    pub(crate) fn list_commits(&self, partition: &TopicPartition) -> Vec<CommitRecord> {
        self.commits.get(partition).cloned().unwrap_or_default()
    }

    pub(crate) fn list_incarnations(&self, partition: &TopicPartition) -> Vec<IncarnationStart> {
        self.incarnations.get(partition).cloned().unwrap_or_default()
    }

    /// Puts a segment on the list, in its place.
    pub(crate) fn list(&mut self, segment: SegmentInfo) {
        self.listed.insert(ObjectName::new(&segment.bucket, &segment.key));
        self.segment_ids.insert(segment.id.clone());
        let partition = TopicPartition::new(segment.topic.clone(), segment.partition_id);
        let segments = self.segments.entry(partition).or_default();
        let place = segments.partition_point(|other| order(other) <= order(&segment));
        segments.insert(place, segment);
    }

    /// Takes the segments that `goes` picks off the list, and hands their objects to the janitor.
    pub(crate) fn unlist(&mut self, partition: &TopicPartition, goes: impl Fn(&SegmentInfo) -> bool) {
        let Some(segments) = self.segments.get_mut(partition) else { return };
        let (gone, kept): (Vec<_>, Vec<_>) = std::mem::take(segments).into_iter().partition(goes);
        *segments = kept;
        for segment in gone {
            let object = ObjectName::new(segment.bucket, segment.key);
            self.listed.remove(&object);
            self.segment_ids.remove(&segment.id);
            let upload = Upload {
                bucket: object.bucket.clone(),
                key: object.key.clone(),
                partition: partition.clone(),
                epoch: None,
                owner: None,
                state: UploadState::Doomed,
                created_at: segment.created_at,
                doomed_at: Some(self.now_ms),
                sweeps: 0,
            };
            self.changed(Change::Doomed(object.clone()));
            self.uploads.insert(object, upload);
        }
    }

    /// The primary key of `uploads`: an object that is listed must not be there.
    pub(crate) fn refuse_known_uploads(&self, objects: &[ObjectName]) -> Result<()> {
        match objects.iter().find(|object| self.uploads.contains_key(object)) {
            Some(object) => Err(CatalogError::Inconsistent(format!("{} is in uploads and listed", object.key))),
            None => Ok(()),
        }
    }
}

fn order(segment: &SegmentInfo) -> (u32, u64, bool) {
    (segment.incarnation.0, segment.base_offset, segment.kind == SegmentKind::Quarantine)
}

fn check_range(segment: &SegmentInfo) -> Result<()> {
    if segment.end_offset < segment.base_offset {
        let reason = format!("the range {}..={} is reversed", segment.base_offset, segment.end_offset);
        return Err(CatalogError::InvalidOffset { offset: segment.base_offset, reason });
    }
    for (name, text) in [("segment id", &segment.id), ("bucket", &segment.bucket), ("key", &segment.key)] {
        limits::exact(name, text)?;
    }
    limits::offset(segment.base_offset)?;
    limits::offset(segment.end_offset)?;
    limits::number("record_count", segment.record_count)?;
    limits::number("size_bytes", segment.size_bytes)
}
