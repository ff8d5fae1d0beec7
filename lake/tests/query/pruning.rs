//! Segments that cannot matter are not opened.

use lake::query::{SegmentCounts, segment_counts};

use crate::lake::Lake;

/// Two partitions of three segments each: offsets 0–9, 10–19, 20–29. Returns the keys by partition.
async fn six_segments() -> (Lake, [Vec<String>; 2]) {
    let lake = Lake::in_memory().await;
    lake.create("events", 2, "{}").await;
    let mut keys = [Vec::new(), Vec::new()];
    for partition in 0..2 {
        for base in [0, 10, 20] {
            keys[partition as usize].push(lake.settle("events", partition, base..=base + 9).await);
        }
    }
    (lake, keys)
}

async fn assert_opens(lake: &Lake, sql: &str, rows: usize, mut keys: Vec<String>) {
    let plan = lake.session.sql(sql).await.expect(sql).create_physical_plan().await.expect(sql);
    let counts = SegmentCounts { scanned: keys.len(), pruned: 6 - keys.len() };
    assert_eq!(segment_counts(plan.as_ref()), counts, "{sql}");
    assert!(lake.store.take_opened().is_empty(), "planning opened objects: {sql}");
    let found: usize = lake.rows(sql).await.iter().map(|batch| batch.num_rows()).sum();
    assert_eq!(found, rows, "{sql}");
    keys.sort();
    assert_eq!(lake.store.take_opened(), keys, "{sql}");
}

#[tokio::test]
async fn filters_on_partition_offset_and_time_open_only_segments_that_may_match() {
    let (lake, keys) = six_segments().await;
    let only = |wanted: &[(usize, usize)]| wanted.iter().map(|(p, s)| keys[*p][*s].clone()).collect::<Vec<_>>();
    let (a, b, c) = ((0, 0), (0, 1), (0, 2));
    assert_opens(&lake, "SELECT * FROM events WHERE _partition_id = 1", 30, only(&[(1, 0), (1, 1), (1, 2)])).await;
    assert_opens(&lake, "SELECT value FROM events WHERE _offset = 15", 2, only(&[b, (1, 1)])).await;
    assert_opens(&lake, "SELECT _row FROM events WHERE _partition_id = 0 AND _offset >= 20", 10, only(&[c])).await;
    assert_opens(
        &lake,
        "SELECT _key FROM events WHERE _offset BETWEEN 8 AND 10 AND _partition_id < 1",
        3,
        only(&[a, b]),
    )
    .await;
    assert_opens(&lake, "SELECT * FROM events WHERE _timestamp < '2026-01-01T00:00:05Z'", 10, only(&[a, (1, 0)])).await;
    let time = "_timestamp > TIMESTAMP '2026-01-01T00:00:24' AND _partition_id IN (0)";
    assert_opens(&lake, &format!("SELECT * FROM events WHERE {time}"), 5, only(&[c])).await;
    assert_opens(&lake, "SELECT * FROM events WHERE _offset > 1000", 0, vec![]).await;
}

#[tokio::test]
async fn long_lists_of_offsets_open_only_segments_that_hold_one() {
    let (lake, keys) = six_segments().await;
    let offsets: Vec<_> = (0..5).chain(100..200).map(|n| n.to_string()).collect();
    let sql = format!("SELECT * FROM events WHERE _partition_id = 0 AND _offset IN ({})", offsets.join(", "));
    assert_opens(&lake, &sql, 5, vec![keys[0][0].clone()]).await;
}

#[tokio::test]
async fn counts_and_times_come_from_the_catalog_without_opening_anything() {
    let (lake, _) = six_segments().await;
    assert_eq!(lake.number("SELECT count(*) AS n FROM events").await, 60);
    let rows = lake.json("SELECT min(_timestamp) AS a, max(_timestamp) AS b FROM events").await;
    assert_eq!(rows, [serde_json::json!({"a": "2026-01-01T00:00:00Z", "b": "2026-01-01T00:00:29Z"})]);
    assert_eq!(lake.store.take_opened(), Vec::<String>::new());
}

#[tokio::test]
async fn a_range_of_offsets_is_not_taken_for_the_offsets_themselves() {
    let lake = Lake::in_memory().await;
    lake.create("sparse", 1, "{}").await;
    // The offsets around the rows were in quarantine or not there at all.
    lake.settle_within("sparse", 0, 10..=19, 5..=99).await;
    assert_eq!(lake.number("SELECT max(_offset) AS n FROM sparse").await, 19);
    assert_eq!(lake.number("SELECT min(_offset) AS n FROM sparse").await, 10);
    assert_eq!(lake.number("SELECT count(*) AS n FROM sparse WHERE _offset < 1000").await, 10);
}

#[tokio::test]
async fn filtered_counts_are_counted() {
    let (lake, _) = six_segments().await;
    assert_eq!(lake.number("SELECT count(*) AS n FROM events WHERE _offset < 15").await, 30);
    assert_eq!(lake.number("SELECT count(*) AS n FROM events WHERE value = 'v3'").await, 2);
    assert_eq!(lake.number("SELECT count(DISTINCT _offset) AS n FROM events").await, 30);
    assert_eq!(lake.number("SELECT count(_extra_key) AS n FROM (SELECT _key AS _extra_key FROM events)").await, 60);
}

#[tokio::test]
async fn an_object_whose_footer_is_known_is_not_opened_again_where_its_statistics_exclude_it() {
    let (lake, keys) = six_segments().await;
    let sql = "SELECT _row FROM events WHERE _partition_id = 0 AND value = 'v3'";
    let expected = [keys[0].clone(), vec![keys[0][0].clone()]];
    for opened in expected {
        assert_eq!(lake.rows(sql).await.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1);
        assert_eq!(lake.store.take_opened(), opened);
    }
}

#[tokio::test]
async fn a_limit_opens_only_as_many_segments_as_it_needs() {
    let (lake, _) = six_segments().await;
    let rows: usize = lake.rows("SELECT * FROM events LIMIT 12").await.iter().map(|batch| batch.num_rows()).sum();
    assert_eq!(rows, 12);
    let opened = lake.store.take_opened();
    assert!(opened.len() <= 2, "{opened:?}");
    assert_eq!(lake.number("SELECT count(*) AS n FROM (SELECT * FROM events LIMIT 12)").await, 12);
}

#[tokio::test]
async fn explain_analyze_shows_how_many_segments_were_pruned() {
    let (lake, _) = six_segments().await;
    let rows = lake.json("EXPLAIN ANALYZE SELECT * FROM events WHERE _partition_id = 0 AND _offset < 10").await;
    let plan = rows[0]["plan"].as_str().expect("a plan");
    assert!(plan.contains("segments_scanned=1") && plan.contains("segments_pruned=5"), "{plan}");
}
