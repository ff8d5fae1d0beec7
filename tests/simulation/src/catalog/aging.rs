//! Retention by age: the oldest objects leave the list.
//!
//! Owns: the age of an object by the database's clock, and the rule that a partition loses its oldest part alone. Does
//! not own: retention by offsets (`expire`). The real catalog limits the objects of one transaction, to more than a
//! simulation makes.

use std::collections::{BTreeMap, BTreeSet};

use ::catalog::{Expired, ExpiredPart, FileId, ObjectInfo, Result, SegmentInfo, SegmentKind};
use common::{Incarnation, TopicName, TopicPartition};

use super::event::Change;
use super::lake::Word;
use super::state::CatalogState;

/// Lead of the writer's clock that decides in place of the database's while the guard is off.
const WRITER_AHEAD_MS: i64 = 3_600_000;

impl CatalogState {
    pub(crate) fn expire_by_age(&mut self, topic: &TopicName) -> Result<Expired> {
        let expired = self.due_by_age(topic);
        let (leaving, _) = self.leaving_by_age(topic);
        if leaving.is_empty() {
            return Ok(expired);
        }
        self.refuse_known_uploads(&leaving)?;
        let ids = self.ids_by_object(topic);
        let partitions: Vec<TopicPartition> = self.partitions_of(topic).map(|(of, _)| of.clone()).collect();
        for of in &partitions {
            self.drop_segments(of, |segment| leaving.contains(&segment.object.file_id));
        }
        let tables = leaving.iter().map(|file_id| self.objects[file_id].table).collect();
        let snapshot_id = self.snapshot_of(Word::DeletedFrom, &tables, 0).snapshot_id;
        let leaving: Vec<FileId> = leaving.into_iter().collect();
        self.retire(&leaving, snapshot_id, &ids);
        for part in &expired.parts {
            let of = TopicPartition::new(topic.clone(), part.partition_id);
            let known = self.expirations.entry(of).or_default().entry(part.incarnation.0).or_default();
            *known = part.before_offset.max(*known);
        }
        let retention_ms = self.topics[topic].retention_ms.unwrap_or_default();
        self.changed(Change::Aged(leaving, retention_ms));
        Ok(expired)
    }

    pub(crate) fn due_by_age(&self, topic: &TopicName) -> Expired {
        let Some(before_us) = self.age_limit_us(topic) else { return Expired::default() };
        let (leaving, held_back) = self.leaving_by_age(topic);
        let mut parts: BTreeMap<(u32, Incarnation), ExpiredPart> = BTreeMap::new();
        let mut expired = Expired {
            before_us: Some(before_us),
            objects: leaving.len() as u64,
            bytes: leaving.iter().map(|file_id| self.objects[file_id].object.size_bytes).sum(),
            held_back,
            ..Expired::default()
        };
        for segment in self.partitions_of(topic).flat_map(|(of, _)| self.segments_of(of)) {
            if !leaving.contains(&segment.object.file_id) {
                continue;
            }
            let (partition_id, incarnation, records) =
                (segment.partition_id, segment.incarnation, segment.record_count);
            match segment.kind {
                SegmentKind::Data => expired.records += records,
                SegmentKind::Quarantine => expired.quarantined += records,
            }
            expired.segments += 1;
            let empty = ExpiredPart { partition_id, incarnation, before_offset: 0, segments: 0, records: 0 };
            let part = parts.entry((partition_id, incarnation)).or_insert(empty);
            part.before_offset = part.before_offset.max(segment.range.next());
            part.segments += 1;
            part.records += records;
        }
        expired.parts = parts.into_values().collect();
        expired
    }

    /// Rows of this time and later stay; `None` while the topic keeps everything.
    fn age_limit_us(&self, topic: &TopicName) -> Option<i64> {
        let retention_ms = i64::try_from(self.topics.get(topic)?.retention_ms?).unwrap_or(i64::MAX);
        let ahead_ms = if self.guards.age_by_database_clock { 0 } else { WRITER_AHEAD_MS };
        Some((self.now_ms + ahead_ms).saturating_sub(retention_ms).saturating_mul(1000))
    }

    /// The objects that are old and wait for none that stays; and the number of old ones that do wait.
    fn leaving_by_age(&self, topic: &TopicName) -> (BTreeSet<FileId>, u64) {
        let Some(before_us) = self.age_limit_us(topic) else { return Default::default() };
        let is_old = |object: &ObjectInfo| newest_us(object) < before_us;
        let old: BTreeSet<FileId> =
            self.objects_of(topic).filter(|object| is_old(object)).map(|object| object.file_id).collect();
        let mut leaving = old.clone();
        let mut settles = !self.guards.age_prefix;
        while !settles {
            let waits = |segment: &&SegmentInfo, behind: &[SegmentInfo]| {
                let stays = |other: &&SegmentInfo| !leaving.contains(&other.object.file_id);
                let first = behind.iter().filter(stays).map(|other| (other.incarnation, other.range.base())).min();
                first.is_some_and(|first| (segment.incarnation, segment.range.end()) >= first)
            };
            let waiting: BTreeSet<FileId> = self
                .partitions_of(topic)
                .map(|(of, _)| self.segments_of(of))
                .flat_map(|all| all.iter().filter(move |segment| waits(segment, all)))
                .map(|segment| segment.object.file_id)
                .collect();
            let before = leaving.len();
            leaving.retain(|file_id| !waiting.contains(file_id));
            settles = leaving.len() == before;
        }
        let held_back = (old.len() - leaving.len()) as u64;
        (leaving, held_back)
    }
}

/// The time from which the age of an object counts: that of its newest row; that of its listing if no row has a time.
pub(crate) fn newest_us(object: &ObjectInfo) -> i64 {
    if object.max_timestamp_us > 0 { object.max_timestamp_us } else { object.created_at * 1000 }
}
