//! The objects of a topic against their segments and their statistics.
//!
//! Owns: these checks as a plain function, and reading the records for it. Does not own: segments against commits
//! (`checks`), the objects' bytes (the writer's audit).

mod tables;

use std::collections::{BTreeMap, HashMap, HashSet};

use common::{Incarnation, TopicPartition};

use super::bounds::{Bound, BoundType};
use super::checks::UPLOAD_LISTED;
use super::problem::{Check, Problem};
use crate::error::Result;
use crate::model::{
    ColumnStatistics, FileId, ObjectInfo, OpenTables, RetiredObject, SegmentInfo, SegmentKind, TopicSnapshot, Upload,
};
use crate::store::MetadataStore;

const SUMS: &str = "rows of the object belong to no segment, or segments have rows that the object lacks: the tables \
    objects and segments were changed by hand, or the database lost writes; restore the catalog from a backup";
const WRONG_OBJECT: &str = "readers may skip the object though it has rows for them: the row was changed by hand, or the \
    database lost writes; restore the catalog from a backup";
const WRONG_STATISTICS: &str = "readers may skip the object though it has rows for them: delete its rows of the table \
    segment_stats";
const LISTED_AND_RETIRED: &str = "the janitor will delete an object that readers need: the table retired_objects was \
    changed by hand, or the database lost writes; restore the catalog from a backup";

/// The types of system columns, by field id.
const SYSTEM_COLUMNS: [(i32, BoundType); 7] = [
    (1, BoundType::Integer),
    (2, BoundType::Integer),
    (3, BoundType::Integer),
    (TIMESTAMP_FIELD_ID, BoundType::Timestamp),
    (5, BoundType::Binary),
    (7, BoundType::Text),
    (13, BoundType::Integer),
];
const TIMESTAMP_FIELD_ID: i32 = 4;

/// The catalog's records of the objects of a topic.
#[derive(Clone, Debug)]
pub struct ObjectRecords<'s> {
    /// Topic, segments and live objects.
    pub snapshot: &'s TopicSnapshot,
    /// Retired objects, read after the snapshot.
    pub retired: Vec<RetiredObject>,
    /// Uploads that belong to no single partition, read after the snapshot.
    pub uploads: Vec<Upload>,
    /// Stored statistics of the columns that have a type, of objects of both kinds.
    pub statistics: Vec<(FileId, ColumnStatistics)>,
    /// The types of columns by field id, without those of system columns.
    pub types: BTreeMap<i32, BoundType>,
    /// The tables as readers of DuckLake see them, read after the snapshot.
    pub tables: OpenTables,
    /// A later snapshot, read after the tables.
    pub later: TopicSnapshot,
}

impl<'s> ObjectRecords<'s> {
    /// Reads the records of the snapshot's objects. `types` are those of the topic's own columns.
    ///
    /// # Errors
    /// As the catalog's own.
    pub async fn load(
        catalog: &dyn MetadataStore,
        snapshot: &'s TopicSnapshot,
        types: BTreeMap<i32, BoundType>,
    ) -> Result<Self> {
        let topic = &snapshot.topic.name;
        let ids: Vec<i32> = SYSTEM_COLUMNS.iter().map(|(id, _)| *id).chain(types.keys().copied()).collect();
        let mut statistics = Vec::new();
        for kind in SegmentKind::ALL {
            statistics.extend(catalog.object_statistics(topic, kind, &ids, None).await?);
        }
        let uploads = catalog.list_shared_uploads(topic).await?;
        let tables = catalog.open_tables(Some(topic)).await?;
        let later = catalog.snapshot(topic).await?;
        Ok(Self { snapshot, retired: catalog.list_retired(topic).await?, uploads, statistics, types, tables, later })
    }
}

/// Checks all records of the objects of a topic.
pub fn check_objects(records: &ObjectRecords<'_>) -> Vec<Problem> {
    let mut segments: HashMap<FileId, Vec<&SegmentInfo>> = HashMap::new();
    for segment in &records.snapshot.segments {
        segments.entry(segment.object.file_id).or_default().push(segment);
    }
    let mut problems = Vec::new();
    for object in &records.snapshot.objects {
        let of = |found, check, advice| problem(records, object, found, check, advice);
        let mine = segments.get(&object.file_id).map_or(&[][..], Vec::as_slice);
        problems.extend(sums(object, mine).map(|found| of(found, Check::Segments, SUMS)));
        problems.extend(bounds(object, mine).map(|found| of(found, Check::Segments, WRONG_OBJECT)));
        problems.extend(not_live(object, records).map(|(found, advice)| of(found, Check::Uploads, advice)));
    }
    problems.extend(numbers(records));
    problems.extend(tables::check(records));
    let objects: HashMap<FileId, &ObjectInfo> =
        records.snapshot.objects.iter().map(|object| (object.file_id, &**object)).collect();
    for (file_id, column) in &records.statistics {
        // An object that was listed after the snapshot is skipped.
        let Some(object) = objects.get(file_id) else { continue };
        let found = statistics(object, column, &records.types);
        problems.extend(found.map(|found| problem(records, object, found, Check::Segments, WRONG_STATISTICS)));
    }
    problems
}

fn problem(
    records: &ObjectRecords<'_>,
    object: &ObjectInfo,
    found: String,
    check: Check,
    advice: &'static str,
) -> Problem {
    let place = TopicPartition::new(records.snapshot.topic.name.clone(), object.min_partition_id);
    let found = format!("object {} {found}", object.file_id);
    Problem::new(check, &place, Incarnation::default(), found, advice).at(object.min_offset).of(&object.key)
}

/// Checks that all rows of a live object are those of its live segments.
fn sums(object: &ObjectInfo, segments: &[&SegmentInfo]) -> Option<String> {
    let rows: u64 = segments.iter().map(|segment| segment.record_count).sum();
    if segments.is_empty() {
        return Some("is listed, but no segment is in it".to_owned());
    }
    (rows != object.record_count)
        .then(|| format!("has {} rows, its {} segments have {rows}", object.record_count, segments.len()))
}

/// Checks that the bounds of an object enclose those of its segments.
fn bounds(object: &ObjectInfo, segments: &[&SegmentInfo]) -> Option<String> {
    let encloses = |segment: &SegmentInfo| {
        let is_of_kind = segment.kind == object.kind;
        let partitions = object.min_partition_id..=object.max_partition_id;
        let offsets = object.min_offset..=object.max_offset;
        let times = object.min_timestamp_us..=object.max_timestamp_us;
        is_of_kind
            && partitions.contains(&segment.partition_id)
            && offsets.contains(&segment.range.base())
            && offsets.contains(&segment.range.end())
            && times.contains(&segment.min_timestamp_us)
            && times.contains(&segment.max_timestamp_us)
    };
    let outside = segments.iter().find(|segment| !encloses(segment))?;
    Some(format!("does not enclose segment {}: its kind, partitions, offsets or times say so", outside.id))
}

/// Checks that a live object is neither retired nor among the uploads. An object that went off the list after the
/// snapshot may be both.
fn not_live(object: &ObjectInfo, records: &ObjectRecords<'_>) -> Option<(String, &'static str)> {
    let snapshot = records.snapshot.snapshot_id;
    let place = (&object.bucket, &object.key);
    let retired = records.retired.iter().find(|retired| {
        retired.object.file_id == object.file_id || (&retired.object.bucket, &retired.object.key) == place
    });
    match retired {
        Some(retired) if retired.end_snapshot > snapshot => return None,
        Some(_) => return Some(("is listed and retired".to_owned(), LISTED_AND_RETIRED)),
        None => {}
    }
    let upload = records.uploads.iter().find(|upload| (&upload.bucket, &upload.key) == place)?;
    Some((format!("is listed and {:?} as well", upload.state), UPLOAD_LISTED))
}

/// Checks that numbers rise: in the order of object numbers, the snapshots that listed the objects never fall, and none
/// is newer than the newest.
fn numbers(records: &ObjectRecords<'_>) -> Vec<Problem> {
    let mut objects: Vec<&ObjectInfo> = records.snapshot.objects.iter().map(|object| &**object).collect();
    objects.sort_by_key(|object| object.file_id);
    let mut seen = HashSet::new();
    let mut problems = Vec::new();
    let mut last = None;
    for object in objects {
        let of = |found: String| problem(records, object, found, Check::Segments, WRONG_OBJECT);
        if !seen.insert(object.file_id) {
            problems.push(of("is listed twice".to_owned()));
        }
        if object.begin_snapshot > records.snapshot.snapshot_id {
            let newest = records.snapshot.snapshot_id;
            problems.push(of(format!("is of snapshot {}, the newest is {newest}", object.begin_snapshot)));
        }
        if last.is_some_and(|last| last > object.begin_snapshot) {
            problems.push(of(format!("is of snapshot {}, one before it of a later one", object.begin_snapshot)));
        }
        last = last.max(Some(object.begin_snapshot));
    }
    problems
}

/// Checks that bounds can be parsed, are in order, and enclose the object's own bounds.
fn statistics(object: &ObjectInfo, column: &ColumnStatistics, types: &BTreeMap<i32, BoundType>) -> Option<String> {
    let id = column.field_id;
    let of_system = SYSTEM_COLUMNS.iter().find(|(of, _)| *of == id).map(|(_, of)| *of);
    let of = of_system.or_else(|| types.get(&id).copied())?;
    let (mut min, mut max) = (None, None);
    for (text, bound) in [(&column.min, &mut min), (&column.max, &mut max)] {
        let Some(text) = text else { continue };
        *bound = Bound::parse(of, text);
        if bound.is_none() {
            return Some(format!("has {text:?} as a bound of column {id}, which is no {of:?}"));
        }
    }
    if let (Some(min), Some(max)) = (&min, &max)
        && min.compare(max).is_none_or(|order| order.is_gt())
    {
        return Some(format!("has bounds of column {id} in the wrong order: {:?}, {:?}", column.min, column.max));
    }
    let known = match id {
        1 => (i64::from(object.min_partition_id), i64::from(object.max_partition_id)),
        2 => (object.min_offset.cast_signed(), object.max_offset.cast_signed()),
        TIMESTAMP_FIELD_ID => (object.min_timestamp_us, object.max_timestamp_us),
        _ => return None,
    };
    let counted = column.value_count.saturating_add(column.null_count);
    if counted != object.record_count {
        return Some(format!("has {} rows, but {counted} values of column {id}", object.record_count));
    }
    let value = |bound: Option<Bound>| match bound {
        Some(Bound::Integer(value)) => Some(value),
        _ => None,
    };
    let (min, max) = (value(min), value(max));
    // Bounds of `_timestamp` enclose the object's times; bounds of partitions and offsets may be narrower, as the first
    // and last offsets of an object may have no rows.
    let is_right = match id {
        TIMESTAMP_FIELD_ID => min.is_none_or(|min| min <= known.0) && max.is_none_or(|max| max >= known.1),
        _ => min.is_none_or(|min| min >= known.0) && max.is_none_or(|max| max <= known.1),
    };
    (!is_right).then(|| format!("has {:?} to {:?} in column {id}, its row says {known:?}", column.min, column.max))
}

#[cfg(test)]
mod tests;
