//! Transactions on segments, and the reads of readers.
//!
//! Owns: listing a segment outside a commit, and the reads. Does not own: the lists (`objects`), filling them by
//! commits (`commit`), emptying them (`expire`).

use std::sync::Arc;

use ::catalog::{
    CatalogError, ColumnStatistics, CommitRecord, Exceptions, Expiration, FileId, ImportedSegment, IncarnationStart,
    LakeSnapshot, ObjectInfo, Position, ReadAhead, ReadFrom, RecordedGap, Result, RetiredObject, SegmentInfo,
    SegmentKind, SnapshotId, TopicSnapshot, View, ViewRequest,
};
use common::{Incarnation, OffsetRange, TopicName, TopicPartition};

use super::event::Change;
use super::lake::Word;
use super::limits;
use super::objects::Place;
use super::state::{CatalogState, ObjectName};

impl CatalogState {
    pub(crate) fn add_segment(&mut self, import: &ImportedSegment) -> Result<()> {
        let (partition, segment, range) = (&import.partition, &import.segment, import.range);
        limits::segment(segment)?;
        limits::only_segment(segment)?;
        limits::offset(range.end())?;
        self.row(partition)?;
        let overlaps = |other: &SegmentInfo| {
            other.incarnation == import.incarnation && other.kind == segment.kind && other.range.overlaps(range)
        };
        let object = ObjectName::new(&segment.object.bucket, &segment.object.key);
        let reason = if self.segments_of(partition).iter().any(overlaps) {
            "a listed segment of the same kind overlaps its range"
        } else if self.segment_ids.contains(&segment.id) || self.number_of(&object).is_some() {
            "its id or its key is listed already"
        } else {
            let table = self.table(&partition.topic, segment.kind).expect("the partition was read above");
            let listing = self.snapshot_of(Word::InsertedInto, &[table].into(), 1);
            self.list(&Place { partition, incarnation: import.incarnation, range }, segment, listing);
            self.changed(Change::SegmentAdded(object));
            return Ok(());
        };
        Err(CatalogError::InvalidOffset { offset: range.base(), reason: reason.to_owned() })
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
            segment.incarnation == incarnation && segment.kind == SegmentKind::Data && segment.range.contains(offset)
        };
        Ok(self.segments_of(partition).iter().find(holds).cloned())
    }

    pub(crate) fn segments_from(&self, of: &TopicPartition, from: ReadFrom, limit: u32) -> Result<Option<ReadAhead>> {
        let Some(row) = self.partitions.get(of) else { return Ok(None) };
        let data = || self.segments_of(of).iter().filter(|segment| segment.kind == SegmentKind::Data);
        let position = match from {
            ReadFrom::Position(position) => Some(position),
            ReadFrom::Offset(offset) => Some(Position { incarnation: row.partition.incarnation, offset }),
            ReadFrom::Time(us) => data()
                .find(|segment| segment.max_timestamp_us >= us)
                .map(|segment| Position { incarnation: segment.incarnation, offset: segment.range.base() }),
        };
        position.map_or(Ok(()), |position| limits::offset(position.offset))?;
        let follows = |segment: &&SegmentInfo, position: Position| {
            segment.incarnation > position.incarnation
                || (segment.incarnation == position.incarnation && segment.range.end() >= position.offset)
        };
        let segments = position.map(|position| data().filter(move |segment| follows(segment, position)));
        Ok(Some(ReadAhead {
            topic: self.topics[&of.topic].clone(),
            partition: row.partition.clone(),
            segments: segments.into_iter().flatten().take(limit as usize).cloned().collect(),
            incarnations: self.list_incarnations(of),
            expirations: self.list_expirations(of),
        }))
    }

    pub(crate) fn snapshot(&self, topic: &TopicName) -> Result<TopicSnapshot> {
        let not_found = || CatalogError::TopicNotFound(topic.to_string());
        let found = self.topics.get(topic).ok_or_else(not_found)?;
        Ok(TopicSnapshot {
            topic: found.clone(),
            tables: self.tables[topic],
            partitions: self.list_partitions(topic),
            segments: self.partitions_of(topic).flat_map(|(of, _)| self.segments_of(of)).cloned().collect(),
            objects: self.objects_of(topic).cloned().collect(),
            snapshot_id: self.head.snapshot_id,
            snapshot_time_us: self.head.time_us,
        })
    }

    /// The model reads everything anew: known snapshots change no answer.
    pub(crate) fn view(&self, request: &ViewRequest) -> View {
        let topics = self.topics.keys().filter(|name| request.topics.contains(name));
        let known = request.known.iter().filter(|known| request.topics.contains(&known.topic.name));
        let all = |wanted: bool| self.partitions.keys().filter(move |_| wanted).cloned();
        let mut uploads: Vec<_> = self.uploads.values().filter(|_| request.uploads).cloned().collect();
        uploads.sort_by(|one, other| (&one.topic, &one.key).cmp(&(&other.topic, &other.key)));
        View {
            snapshot_id: self.head.snapshot_id,
            topics: self.topics.values().filter(|_| request.list_topics).cloned().collect(),
            snapshots: topics.filter_map(|name| self.snapshot(name).ok()).map(Arc::new).collect(),
            lost: known.filter(|known| self.has_lost(known)).map(|known| known.tables).collect(),
            commits: all(request.commits)
                .flat_map(|of| self.list_commits(&of).into_iter().map(move |row| (of.clone(), row)))
                .collect(),
            gaps: all(request.gaps)
                .flat_map(|of| self.list_gaps(&of).into_iter().map(move |row| (of.clone(), row)))
                .collect(),
            agents: if request.agents { self.all_registered() } else { vec![] },
            uploads,
            groups: if request.groups { self.list_groups() } else { vec![] },
            offsets: if request.offsets { self.list_offsets() } else { vec![] },
        }
    }

    /// True when the snapshot is not of this history: its last object never was here, or one that it knew as gone is live.
    fn has_lost(&self, known: &TopicSnapshot) -> bool {
        let Some(last) = known.objects.last().filter(|_| self.tables.get(&known.topic.name) == Some(&known.tables))
        else {
            return false;
        };
        let (live, retired) = (self.objects.get(&last.file_id), self.retired.get(&last.file_id));
        let key = live.map(|row| &row.object.key).or(retired.map(|row| &row.object.object.key));
        let older = self.objects.range(..=last.file_id).filter(|(_, row)| row.topic == known.topic.name);
        let is_back = |file_id: &FileId| known.objects.iter().all(|object| object.file_id != *file_id);
        key != Some(&last.key) || older.map(|(file_id, _)| file_id).any(is_back)
    }

    /// The topic's live objects, by number.
    pub fn objects_of(&self, topic: &TopicName) -> impl Iterator<Item = &Arc<ObjectInfo>> {
        self.objects.values().filter(move |row| &row.topic == topic).map(|row| &row.object)
    }

    pub(crate) fn list_retired(&self, topic: &TopicName) -> Vec<RetiredObject> {
        let Some(tables) = self.tables.get(topic) else { return vec![] };
        let of = self.retired.values().filter(|row| [tables.data, tables.quarantine].contains(&row.table));
        of.map(|row| row.object.clone()).collect()
    }

    pub(crate) fn list_snapshots(&self) -> Vec<LakeSnapshot> {
        self.snapshots.values().cloned().collect()
    }

    pub(crate) fn object_statistics(
        &self,
        topic: &TopicName,
        kind: SegmentKind,
        field_ids: &[i32],
        after: Option<SnapshotId>,
    ) -> Vec<(FileId, ColumnStatistics)> {
        let Some(table) = self.table(topic, kind) else { return vec![] };
        let is_wanted = |&(of, field_id, file_id): &(_, i32, FileId)| {
            let object = self.objects.get(&file_id).map(|row| &row.object);
            let is_listed = object.is_some_and(|object| after.is_none_or(|after| object.begin_snapshot > after));
            of == table && field_ids.contains(&field_id) && is_listed
        };
        let found = self.statistics.iter().filter(|(key, _)| is_wanted(key));
        found.map(|(&(_, _, file_id), statistics)| (file_id, statistics.clone())).collect()
    }

    pub(crate) fn exceptions(&self, partition: &TopicPartition, range: OffsetRange) -> Result<Option<Exceptions>> {
        let Some(row) = self.partitions.get(partition) else { return Ok(None) };
        limits::offset(range.end())?;
        let partition_row = row.partition.clone();
        let incarnation = partition_row.incarnation;
        let gaps = self.list_gaps(partition).into_iter();
        let gaps = gaps.filter(|recorded| recorded.incarnation == incarnation && recorded.gap.range.overlaps(range));
        let is_exception = |segment: &&SegmentInfo| {
            segment.incarnation == incarnation
                && segment.kind == SegmentKind::Quarantine
                && segment.range.overlaps(range)
        };
        let expirations = self.list_expirations(partition).into_iter();
        let expired = expirations.filter(|expiration| expiration.incarnation == incarnation);
        let starts = self.list_incarnations(partition).into_iter();
        let start = starts.filter(|start| start.incarnation == incarnation);
        Ok(Some(Exceptions {
            start_offset: start.map(|start| start.start_offset).next().unwrap_or_default(),
            gaps: gaps.map(|recorded| recorded.gap).collect(),
            quarantine: self.segments_of(partition).iter().filter(is_exception).cloned().collect(),
            expired_before: expired.map(|expiration| expiration.before_offset).next().unwrap_or_default(),
            partition: partition_row,
        }))
    }

    pub(crate) fn list_gaps(&self, partition: &TopicPartition) -> Vec<RecordedGap> {
        let mut gaps = self.gaps.get(partition).cloned().unwrap_or_default();
        gaps.sort_by_key(|recorded| (recorded.incarnation, recorded.gap.range.base()));
        gaps
    }

    pub(crate) fn list_commits(&self, partition: &TopicPartition) -> Vec<CommitRecord> {
        self.commits.get(partition).cloned().unwrap_or_default()
    }

    pub(crate) fn list_incarnations(&self, partition: &TopicPartition) -> Vec<IncarnationStart> {
        self.incarnations.get(partition).cloned().unwrap_or_default()
    }

    pub(crate) fn list_expirations(&self, partition: &TopicPartition) -> Vec<Expiration> {
        let of = self.expirations.get(partition).into_iter().flatten();
        let expiration =
            |(&incarnation, &before_offset)| Expiration { incarnation: Incarnation(incarnation), before_offset };
        of.map(expiration).collect()
    }

    /// Takes the segments that `goes` picks off the list; leaves their objects alone.
    pub(crate) fn drop_segments(&mut self, partition: &TopicPartition, goes: impl Fn(&SegmentInfo) -> bool) {
        let Some(segments) = self.segments.get_mut(partition) else { return };
        let (gone, kept): (Vec<_>, Vec<_>) = std::mem::take(segments).into_iter().partition(goes);
        *segments = kept;
        for segment in gone {
            self.segment_ids.remove(&segment.id);
        }
    }
}
