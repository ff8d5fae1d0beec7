//! Retention: the oldest segments leave the list.
//!
//! Owns: the choice of segments, so that each object goes as a whole or stays. Does not own: the age limit (callers).

use std::collections::{BTreeMap, BTreeSet};

use ::catalog::{ExpiredBefore, FileId, Result, SegmentInfo};
use common::{Incarnation, TopicName, TopicPartition};

use super::event::Change;
use super::lake::Word;
use super::limits;
use super::state::{CatalogState, ObjectName};

/// The cut of each partition: segments of the incarnation that end below it go.
type Cuts = BTreeMap<TopicPartition, (Incarnation, u64)>;

fn goes(cuts: &Cuts, partition: &TopicPartition, segment: &SegmentInfo) -> bool {
    cuts.get(partition).is_some_and(|&(of, cut)| segment.incarnation == of && segment.range.end() < cut)
}

impl CatalogState {
    pub(crate) fn expire_segments(&mut self, topic: &TopicName, before: &[ExpiredBefore]) -> Result<u64> {
        let cuts = self.cuts(topic, before);
        let mut objects: BTreeSet<FileId> = BTreeSet::new();
        let mut expired: BTreeMap<(TopicPartition, u32), u64> = BTreeMap::new();
        let mut deleted = 0;
        for partition in cuts.keys() {
            for segment in self.segments_of(partition).iter().filter(|segment| goes(&cuts, partition, segment)) {
                objects.insert(segment.object.file_id);
                let behind = expired.entry((partition.clone(), segment.incarnation.0)).or_default();
                *behind = segment.range.next().max(*behind);
                deleted += 1;
            }
        }
        if deleted == 0 {
            return Ok(0);
        }
        self.refuse_known_uploads(&objects)?;
        let (ids, names) = (self.ids_by_object(topic), objects.iter().map(|id| self.name_of(*id)).collect());
        for partition in cuts.keys() {
            self.drop_segments(partition, |segment| goes(&cuts, partition, segment));
        }
        let tables = objects.iter().map(|file_id| self.objects[file_id].table).collect();
        let snapshot_id = self.snapshot_of(Word::DeletedFrom, &tables, 0).snapshot_id;
        self.retire(&objects.into_iter().collect::<Vec<_>>(), snapshot_id, &ids);
        for ((partition, incarnation), behind) in expired {
            let known = self.expirations.entry(partition).or_default().entry(incarnation).or_default();
            *known = behind.max(*known);
        }
        self.changed(Change::SegmentsDeleted(names));
        Ok(deleted)
    }

    fn name_of(&self, file_id: FileId) -> ObjectName {
        ObjectName::of(&self.objects[&file_id].object)
    }

    /// Moves the cuts back until no object is cut apart, and no segment goes that is behind one that stays.
    fn cuts(&self, topic: &TopicName, before: &[ExpiredBefore]) -> Cuts {
        let mut cuts = Cuts::new();
        for cut in before {
            let partition = TopicPartition::new(topic.clone(), cut.partition_id);
            let Some(row) = self.partitions.get(&partition) else { continue };
            // An offset that cannot be stored counts as the largest one that can.
            let offset = cut.offset.min(limits::NUMBER_MAX);
            let known = cuts.entry(partition).or_insert((row.partition.incarnation, offset));
            known.1 = known.1.max(offset);
        }
        loop {
            let staying: BTreeSet<FileId> = self
                .partitions_of(topic)
                .flat_map(|(of, _)| self.segments_of(of).iter().map(move |segment| (of, segment)))
                .filter(|(of, segment)| !goes(&cuts, of, segment))
                .map(|(_, segment)| segment.object.file_id)
                .collect();
            let mut lower = cuts.clone();
            for (partition, (incarnation, cut)) in &mut lower {
                let stays = |segment: &&SegmentInfo| {
                    let is_below = segment.incarnation == *incarnation && segment.range.base() < *cut;
                    is_below && (segment.range.end() >= *cut || staying.contains(&segment.object.file_id))
                };
                let first = self.segments_of(partition).iter().filter(stays).map(|segment| segment.range.base()).min();
                *cut = first.unwrap_or(*cut);
            }
            if lower == cuts {
                return cuts;
            }
            cuts = lower;
        }
    }
}
