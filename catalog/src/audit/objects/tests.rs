//! Each contradiction between objects, their segments and their statistics.

use std::collections::BTreeSet;
use std::sync::Arc;

use common::topic::TopicOptions;
use common::{OffsetRange, TopicName};

use super::*;
use crate::model::{
    LAYOUT_NOW, SnapshotId, TableColumn, TableFile, TableId, Tables, Topic, UploadState, quarantine_columns,
    table_columns,
};

fn object(file_id: u64, offsets: (u64, u64), rows: u64) -> ObjectInfo {
    ObjectInfo {
        file_id: FileId(file_id),
        kind: SegmentKind::Data,
        bucket: "lake".to_owned(),
        key: format!("t/{file_id}.parquet"),
        record_count: rows,
        size_bytes: 10,
        footer_bytes: Some(5),
        checksum: 0,
        schema_version: 1,
        level: 0,
        layout: LAYOUT_NOW,
        min_partition_id: 0,
        max_partition_id: 1,
        min_offset: offsets.0,
        max_offset: offsets.1,
        min_timestamp_us: 1_000_000,
        max_timestamp_us: 2_000_000,
        begin_snapshot: SnapshotId(file_id),
        created_at: 0,
    }
}

fn segment(partition_id: u32, offsets: (u64, u64), object: &Arc<ObjectInfo>) -> SegmentInfo {
    SegmentInfo {
        id: format!("t-{partition_id}-{}", offsets.0),
        topic: TopicName::new("t").expect("valid"),
        partition_id,
        incarnation: Incarnation::default(),
        kind: SegmentKind::Data,
        range: OffsetRange::new(offsets.0, offsets.1).expect("in order"),
        record_count: offsets.1 - offsets.0 + 1,
        min_timestamp_us: 1_000_000,
        max_timestamp_us: 2_000_000,
        schema_version: 1,
        created_at: 0,
        object: Arc::clone(object),
    }
}

/// Two objects: the first holds segments of two partitions, the second one more of the first.
fn whole() -> TopicSnapshot {
    let (shared, own) = (Arc::new(object(1, (0, 19), 30)), Arc::new(object(2, (20, 29), 10)));
    let topic = Topic {
        name: TopicName::new("t").expect("valid"),
        partition_count: 2,
        retention_ms: None,
        config: TopicOptions::default(),
        schema_version: 1,
        created_at: 0,
        updated_at: 0,
    };
    TopicSnapshot {
        topic,
        tables: Tables { data: TableId(2), quarantine: TableId(3) },
        partitions: vec![],
        segments: vec![segment(0, (0, 19), &shared), segment(0, (20, 29), &own), segment(1, (5, 14), &shared)],
        objects: vec![shared, own],
        snapshot_id: SnapshotId(2),
        snapshot_time_us: 0,
    }
}

fn column(field_id: i32, min: &str, max: &str) -> ColumnStatistics {
    let (min, max) = (Some(min.to_owned()), Some(max.to_owned()));
    ColumnStatistics { field_id, compressed_bytes: 1, value_count: 30, null_count: 0, min, max }
}

fn upload(key: &str) -> Upload {
    Upload {
        bucket: "lake".to_owned(),
        key: key.to_owned(),
        topic: TopicName::new("t").expect("valid"),
        partition_id: None,
        segment_id: None,
        epoch: None,
        owner: None,
        state: UploadState::Doomed,
        created_at: 0,
        doomed_at: Some(0),
        sweeps: 0,
    }
}

/// The tables as readers see them, if the views are right.
fn seen(snapshot: &TopicSnapshot) -> OpenTables {
    let Tables { data, quarantine } = snapshot.tables;
    let of = |table, columns: Vec<TableColumn>| columns.into_iter().map(move |column| (table, column));
    let file = |object: &Arc<ObjectInfo>| TableFile {
        table_id: if object.kind == SegmentKind::Data { data } else { quarantine },
        path: format!("s3://lake/{}", object.key),
        record_count: object.record_count,
    };
    OpenTables {
        schema: None,
        roots: vec![("lake".to_owned(), "s3://lake/".to_owned())],
        topics: vec![(snapshot.topic.name.clone(), snapshot.tables)],
        columns: of(data, table_columns(&snapshot.topic.config)).chain(of(quarantine, quarantine_columns())).collect(),
        files: Some(snapshot.objects.iter().map(file).collect::<BTreeSet<_>>().into_iter().collect()),
    }
}

/// The problems of these records, as text.
fn found(snapshot: &TopicSnapshot, change: impl FnOnce(&mut ObjectRecords<'_>)) -> Vec<String> {
    let types = BTreeMap::from([(100, BoundType::Decimal)]);
    let mut records = ObjectRecords {
        snapshot,
        retired: vec![],
        uploads: vec![],
        statistics: vec![],
        types,
        tables: seen(snapshot),
        later: snapshot.clone(),
    };
    change(&mut records);
    check_objects(&records).iter().map(ToString::to_string).collect()
}

/// Asserts that exactly one problem is found, with this text.
#[track_caller]
fn assert_found(found: &[String], words: &str) {
    assert!(matches!(found, [only] if only.contains(words)), "{found:#?}");
}

#[test]
fn objects_that_hold_what_their_segments_say_have_no_problem() {
    let snapshot = whole();
    let statistics = vec![
        (FileId(1), column(1, "0", "1")),
        (FileId(1), column(2, "0", "19")),
        (FileId(1), column(4, "1970-01-01 00:00:01+00", "1970-01-01 00:00:02+00")),
        (FileId(1), column(100, "-1.50", "20")),
        (FileId(9), column(4, "listed after the snapshot", "")),
        (FileId(1), column(101, "a column without a type", "")),
    ];
    assert_eq!(found(&snapshot, |records| records.statistics = statistics), [""; 0]);
}

#[test]
fn rows_that_no_segment_or_no_object_has_are_found() {
    let mut snapshot = whole();
    snapshot.segments[2].record_count += 1;
    assert_found(
        &found(&snapshot, |_| {}),
        "segments t/0 offset 0 t/1.parquet: object 1 has 30 rows, its 2 segments have 31",
    );
    let mut snapshot = whole();
    snapshot.segments.remove(1);
    assert_found(&found(&snapshot, |_| {}), "object 2 is listed, but no segment is in it");
}

#[test]
fn bounds_that_are_too_narrow_are_found() {
    let narrow: [fn(&mut ObjectInfo); 6] = [
        |object| object.kind = SegmentKind::Quarantine,
        |object| object.max_partition_id = 0,
        |object| object.min_offset = 1,
        |object| object.max_offset = 18,
        |object| object.min_timestamp_us += 1,
        |object| object.max_timestamp_us -= 1,
    ];
    for change in narrow {
        let mut snapshot = whole();
        change(Arc::make_mut(&mut snapshot.objects[0]));
        assert_found(&found(&snapshot, |_| {}), "object 1 does not enclose segment t-");
    }
}

#[test]
fn a_live_object_that_is_retired_or_doomed_is_found_unless_that_came_after_the_snapshot() {
    let snapshot = whole();
    let retired = |end| RetiredObject { object: object(1, (0, 19), 30), end_snapshot: SnapshotId(end), retired_at: 0 };
    assert_found(&found(&snapshot, |records| records.retired = vec![retired(2)]), "object 1 is listed and retired");
    assert_found(&found(&snapshot, |records| records.uploads = vec![upload("t/1.parquet")]), "is listed and Doomed");
    let later = found(&snapshot, |records| {
        records.retired = vec![retired(3)];
        records.uploads = vec![upload("t/1.parquet"), upload("t/other.parquet")];
    });
    assert_eq!(later, [""; 0]);
}

#[test]
fn numbers_that_fall_are_found() {
    let mut snapshot = whole();
    Arc::make_mut(&mut snapshot.objects[0]).begin_snapshot = SnapshotId(3);
    let problems = found(&snapshot, |_| {});
    assert_eq!(problems.len(), 2, "{problems:#?}");
    let mut snapshot = whole();
    let again = Arc::clone(&snapshot.objects[1]);
    snapshot.objects.push(again);
    assert_found(&found(&snapshot, |_| {}), "object 2 is listed twice");
}

#[test]
fn statistics_that_hide_an_object_are_found() {
    let snapshot = whole();
    let cases = [
        (column(4, "yesterday", "1970-01-01 00:00:02+00"), "has \"yesterday\" as a bound of column 4"),
        (column(4, "1970-01-01 00:00:01.5+00", "1970-01-01 00:00:02+00"), "in column 4, its row says"),
        (column(4, "1970-01-01 00:00:03+00", "1970-01-01 00:00:02+00"), "in the wrong order"),
        (column(1, "0", "2"), "in column 1, its row says (0, 1)"),
        (column(2, "0", "20"), "in column 2, its row says (0, 19)"),
        (column(100, "1,5", "2"), "has \"1,5\" as a bound of column 100, which is no Decimal"),
        (column(100, "2", "1.5"), "in the wrong order"),
        (ColumnStatistics { value_count: 29, ..column(1, "0", "1") }, "has 30 rows, but 29 values of column 1"),
    ];
    for (column, words) in cases {
        assert_found(&found(&snapshot, |records| records.statistics = vec![(FileId(1), column)]), words);
    }
    let absent = ColumnStatistics { min: None, max: None, ..column(4, "", "") };
    assert_eq!(found(&snapshot, |records| records.statistics = vec![(FileId(1), absent)]), [""; 0]);
}

fn files<'r>(records: &'r mut ObjectRecords<'_>) -> &'r mut Vec<TableFile> {
    records.tables.files.as_mut().expect("read")
}

#[test]
fn readers_that_see_other_objects_are_found() {
    let snapshot = whole();
    let lacks = found(&snapshot, |records| drop(files(records).pop()));
    assert_found(&lacks, "readers see s3://lake/t/2.parquet with rows [], it has 10");
    let moved = found(&snapshot, |records| records.tables.roots[0].1 = "s3://other/".to_owned());
    assert_eq!(moved.len(), 4, "{moved:?}");
    let wrong = found(&snapshot, |records| files(records)[0].record_count += 1);
    assert_found(&wrong, "readers see s3://lake/t/1.parquet with rows [31], it has 30");
    let doubled = found(&snapshot, |records| {
        let again = files(records)[0].clone();
        files(records).push(again);
    });
    assert_found(&doubled, "with rows [30, 30], it has 30");
    let more = found(&snapshot, |records| files(records)[1].path.push('x'));
    assert!(more.len() == 2 && more[1].contains("t/2.parquetx, which is not listed"), "{more:?}");
}

#[test]
fn readers_that_see_other_columns_are_found() {
    let snapshot = whole();
    let lacks = found(&snapshot, |records| drop(records.tables.columns.remove(0)));
    assert_found(&lacks, "the data table of readers lacks column _partition_id or has it otherwise");
    let other = found(&snapshot, |records| records.tables.columns.last_mut().expect("one").1.name.push('x'));
    assert_found(&other, "the quarantine table of readers lacks column _incarnation or has it otherwise");
    let changed = found(&snapshot, |records| {
        records.tables.columns.clear();
        records.later.topic.schema_version += 1;
    });
    assert_found(&changed, "the quarantine table of readers lacks column _partition_id");
}

#[test]
fn objects_that_come_and_go_while_an_audit_reads_are_no_problem() {
    let (snapshot, mut later) = (whole(), whole());
    later.objects.remove(1);
    assert_eq!(
        found(&snapshot, |records| {
            files(records).pop();
            records.later = later.clone()
        }),
        [""; 0]
    );
    // Seen, and then retired.
    assert_eq!(found(&snapshot, |records| records.later = later), [""; 0]);
}
