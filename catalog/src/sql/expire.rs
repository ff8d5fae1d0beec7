//! Retention: the oldest segments of partitions leave the list.
//!
//! Owns: the choice of segments within limits of offsets, and taking chosen objects off the list. Does not own: the
//! choice by age (`retention`), the limits, and deleting objects (the janitor).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use common::{OffsetRange, TopicName, TopicPartition};

use super::input;
use super::objects::{self, TopicLock, tables_of};
use super::partition_row::lock_incarnation;
use super::snapshots::{Change, advance};
use crate::database::{Row, Session, sql, values};
use crate::error::Result;
use crate::model::{ExpiredBefore, FileId, SegmentKind, TableId, Tables};

/// A live segment of a partition's current incarnation that begins below the cut.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    partition_id: u32,
    kind: SegmentKind,
    range: OffsetRange,
    file_id: FileId,
}

/// The cut of each partition: a segment leaves the list if it ends below.
type Cuts = BTreeMap<u32, u64>;

/// See [`SegmentStore::expire_segments`](crate::store::SegmentStore::expire_segments).
pub(super) async fn expire(session: &mut dyn Session, topic: &TopicName, before: &[ExpiredBefore]) -> Result<u64> {
    // This lock keeps others from moving the rows of these segments, or removing segments, until the end.
    let Some(tables) = tables_of(session, topic.as_str(), TopicLock::Exclusive).await? else { return Ok(0) };
    let mut cuts = Cuts::new();
    for ExpiredBefore { partition_id, offset } in before {
        let cut = cuts.entry(*partition_id).or_default();
        *cut = (*offset).min(i64::MAX.unsigned_abs()).max(*cut);
    }
    let (mut places, mut segments, mut live) = (Vec::new(), Vec::new(), HashMap::new());
    for (&partition_id, &cut) in &cuts {
        let partition = TopicPartition::new(topic.clone(), partition_id);
        if let Some(incarnation) = lock_incarnation(session, &partition).await? {
            let place = Place { partition, incarnation };
            segments.extend(place.candidates(session, cut).await?);
            live.extend(place.live_segments(session, cut).await?);
            places.push(place);
        }
    }
    settle(&segments, &live, &mut cuts);
    segments.retain(|segment| segment.range.end() < cuts[&segment.partition_id]);
    if segments.is_empty() {
        return Ok(0);
    }
    let mut leaving = Leaving::default();
    for segment in &segments {
        let place = places.iter().find(|place| place.partition.partition_id == segment.partition_id);
        let incarnation = place.expect("each candidate is of a locked partition").incarnation;
        leaving.add(segment.file_id, tables.of(segment.kind), (segment.partition_id, incarnation), segment.range);
    }
    take_off(session, topic, tables, &leaving).await
}

/// Objects that leave the list with all their segments.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    files: BTreeSet<FileId>,
    of_tables: BTreeSet<TableId>,
    /// The offset behind the last segment, by partition and incarnation.
    ends: BTreeMap<(u32, i64), u64>,
    segments: u64,
}

impl Leaving {
    /// Adds a segment of an object.
    pub(super) fn add(&mut self, file_id: FileId, table: TableId, place: (u32, i64), range: OffsetRange) {
        self.files.insert(file_id);
        self.of_tables.insert(table);
        let end = self.ends.entry(place).or_default();
        *end = range.next().max(*end);
        self.segments += 1;
    }
}

/// Takes the objects off the list in one snapshot, and returns the number of their segments. The topic and the
/// partitions of these segments are locked.
pub(super) async fn take_off(
    session: &mut dyn Session,
    topic: &TopicName,
    tables: Tables,
    leaving: &Leaving,
) -> Result<u64> {
    let upsert = sql!(
        "INSERT INTO expirations (topic, partition_id, incarnation, before_offset) VALUES ($1, $2, $3, $4)
         ON CONFLICT (topic, partition_id, incarnation) DO UPDATE SET before_offset = excluded.before_offset
         WHERE expirations.before_offset < excluded.before_offset"
    );
    let delete = sql!("DELETE FROM segments WHERE file_id IN " numbers_1);
    let files = input::numbers(leaving.files.iter().map(|file| file.0))?;
    let snapshot = advance(session, Change::delete(&leaving.of_tables)).await?;
    let retired = objects::retire(session, &files, snapshot).await?;
    let doomed = objects::doom(session, topic.as_str(), tables, snapshot).await?;
    for ((partition_id, incarnation), end) in &leaving.ends {
        session.execute(&upsert, values![topic, *partition_id, *incarnation, input::offset(*end)?]).await?;
    }
    let taken = session.execute(&delete, values![&files]).await?;
    let dropped = objects::drop_retired(session, tables, snapshot).await?;
    let objects = leaving.files.len() as u64;
    assert!(taken == leaving.segments, "{taken} segments of {topic} went, not {}", leaving.segments);
    assert!([retired, doomed, dropped] == [objects; 3], "{retired}, {doomed}, {dropped} of {objects} objects went");
    Ok(taken)
}

/// Lowers the cuts until each removed segment ends before each remaining one of its partition, and until no object
/// holds both removed and remaining segments. `live` counts the live segments of each object, in all partitions.
fn settle(segments: &[Candidate], live: &HashMap<FileId, u64>, cuts: &mut Cuts) {
    loop {
        let mut goes_of: HashMap<FileId, u64> = HashMap::new();
        for segment in segments.iter().filter(|segment| segment.range.end() < cuts[&segment.partition_id]) {
            *goes_of.entry(segment.file_id).or_default() += 1;
        }
        let mut is_settled = true;
        for segment in segments {
            let cut = cuts.get_mut(&segment.partition_id).expect("each candidate is of a partition with a cut");
            let goes = segment.range.end() < *cut;
            let goes_whole = goes && goes_of.get(&segment.file_id) == live.get(&segment.file_id);
            if !goes_whole && segment.range.base() < *cut {
                *cut = segment.range.base();
                is_settled = false;
            }
        }
        if is_settled {
            return;
        }
    }
}

/// A locked partition, and its current incarnation.
struct Place {
    partition: TopicPartition,
    incarnation: i64,
}

impl Place {
    /// The live segments that begin below the cut.
    async fn candidates(&self, session: &mut dyn Session, cut: u64) -> Result<Vec<Candidate>> {
        let select = sql!(
            "SELECT kind, base_offset, end_offset, file_id FROM segments
             WHERE topic = $1 AND partition_id = $2 AND incarnation = $3 AND base_offset < $4 ORDER BY base_offset"
        );
        let partition_id = self.partition.partition_id;
        let values = values![&self.partition.topic, partition_id, self.incarnation, input::offset(cut)?];
        let candidate = |mut row: Row| {
            let (kind, range) = (row.word("kind")?, row.range()?);
            Ok(Candidate { partition_id, kind, range, file_id: FileId(row.unsigned("file_id")?) })
        };
        session.fetch(&select, values).await?.into_iter().map(candidate).collect()
    }

    /// The number of live segments of each object that holds segments beginning below the cut.
    async fn live_segments(&self, session: &mut dyn Session, cut: u64) -> Result<Vec<(FileId, u64)>> {
        let select = sql!(
            "SELECT file_id, count(*) FROM segments WHERE file_id IN (
                 SELECT file_id FROM segments
                 WHERE topic = $1 AND partition_id = $2 AND incarnation = $3 AND base_offset < $4
             ) GROUP BY file_id"
        );
        let values = values![&self.partition.topic, self.partition.partition_id, self.incarnation, input::offset(cut)?];
        let counted = |mut row: Row| Ok((FileId(row.unsigned("file_id")?), row.unsigned("count")?));
        session.fetch(&select, values).await?.into_iter().map(counted).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(partition_id: u32, base: u64, end: u64, file: u64) -> Candidate {
        let range = OffsetRange::new(base, end).expect("in order");
        Candidate { partition_id, kind: SegmentKind::Data, range, file_id: FileId(file) }
    }

    fn settled<const N: usize>(segments: &[Candidate], live: &[(u64, u64)], cuts: [(u32, u64); N]) -> Vec<u64> {
        let live = live.iter().map(|&(file, count)| (FileId(file), count)).collect();
        let mut cuts = Cuts::from(cuts);
        settle(segments, &live, &mut cuts);
        cuts.into_values().collect()
    }

    #[test]
    fn segments_with_objects_of_their_own_go_below_the_cut() {
        let segments = [candidate(0, 0, 9, 1), candidate(0, 10, 19, 2), candidate(0, 20, 29, 3)];
        assert_eq!(settled(&segments, &[(1, 1), (2, 1), (3, 1)], [(0, 25)]), [20]);
    }

    #[test]
    fn a_segment_whose_object_holds_one_that_stays_stays_with_all_later_ones() {
        let segments = [candidate(0, 0, 9, 1), candidate(0, 10, 19, 2), candidate(0, 20, 29, 3), candidate(1, 0, 9, 2)];
        let live = [(1, 1), (2, 2), (3, 1)];
        assert_eq!(settled(&segments[..3], &live, [(0, 30)]), [10], "partition 1 was not asked for");
        assert_eq!(settled(&segments, &live, [(0, 30), (1, 5)]), [10, 0], "that of partition 1 does not end below");
        assert_eq!(settled(&segments, &live, [(0, 30), (1, 10)]), [30, 10], "both go");
    }

    #[test]
    fn objects_hold_each_other_back_across_partitions() {
        let segments = [candidate(0, 0, 9, 1), candidate(0, 10, 19, 2), candidate(1, 0, 9, 2), candidate(1, 10, 19, 3)];
        // Object 1 also belongs to a partition that keeps its segments: so 2 stays, and with it everything of partition
        // 1.
        assert_eq!(settled(&segments, &[(1, 2), (2, 2), (3, 1)], [(0, 20), (1, 20)]), [0, 0]);
    }

    #[test]
    fn of_ranges_of_two_kinds_the_longer_one_holds_the_shorter_ones_back() {
        let quarantine = Candidate { kind: SegmentKind::Quarantine, ..candidate(0, 10, 19, 2) };
        let segments = [candidate(0, 0, 99, 1), quarantine];
        assert_eq!(settled(&segments, &[(1, 1), (2, 1)], [(0, 50)]), [0]);
        assert_eq!(settled(&segments, &[(1, 1), (2, 1)], [(0, 100)]), [100]);
    }
}
