//! Counts and extremes of whole tables come from the catalog, exactly, or from the rows where it does not know them.

use std::ops::RangeInclusive;
use std::time::Duration;

use catalog::{
    AcquireOutcome, Agent, CommitOutcome, CommitRequest, CommitStore, Gap, Ownership, OwnershipStore, Scope,
    SegmentKind, SegmentStore, UploadIntent,
};
use common::{Anchor, OffsetRange, OwnerId, TopicPartition};
use object_store::path::Path;
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use crate::lake::{Lake, name};
use crate::statistics::{TOPIC, Values, cases, list, record_statistics, values};

/// A new topic, whose partition 0 is in the hands of an agent.
pub(crate) async fn owned(lake: &Lake, topic: &str, partition_count: u32) -> Ownership {
    lake.create(topic, partition_count, "{}").await;
    let owner = OwnerId(Uuid::from_u128(7));
    let agent = Agent { owner, name: "test".to_owned(), scope: Scope::All, contact: Default::default() };
    lake.catalog.heartbeat(&agent).await.expect("registered");
    let partition = TopicPartition::new(name(topic), 0);
    let mut outcomes = lake.catalog.acquire(owner, Duration::from_secs(600), &[partition]).await.expect("asked");
    match outcomes.pop() {
        Some(AcquireOutcome::Acquired(held)) => held,
        other => panic!("{other:?}"),
    }
}

fn range(offsets: &RangeInclusive<u64>) -> OffsetRange {
    OffsetRange::new(*offsets.start(), *offsets.end()).expect("a range")
}

/// Commits a range of which these rows are in an object, and these parts are gaps.
pub(crate) async fn commit(
    lake: &Lake,
    held: &Ownership,
    (all, rows): (RangeInclusive<u64>, RangeInclusive<u64>),
    gaps: &[RangeInclusive<u64>],
) {
    let topic = held.partition.topic.as_str();
    let key = format!("{topic}-{}", all.start());
    let encoded = lake.put(topic, 0, &rows, SegmentKind::Data, &key).await;
    let new = lake::keys::NewKey { id: key.clone(), key: Path::from(key.as_str()) };
    let intent = UploadIntent {
        partition: held.partition.clone(),
        epoch: held.epoch,
        owner: held.owner,
        bucket: String::new(),
        key,
    };
    lake.catalog.record_intents(&[intent]).await.into_iter().for_each(|recorded| recorded.expect("recorded"));
    let request = CommitRequest {
        partition: held.partition.clone(),
        incarnation: held.incarnation,
        epoch: held.epoch,
        owner: held.owner,
        range: range(&all),
        anchor: Anchor { offset: *all.end(), timestamp_us: 1, hash: 1 },
        message_count: range(&rows).count(),
        segments: vec![encoded.segment(SegmentKind::Data, "", &new, 1)],
        gaps: gaps.iter().map(|gap| Gap::lost(range(gap), "for the test")).collect(),
    };
    let outcomes = lake.catalog.commit(&[request]).await;
    assert!(matches!(outcomes.as_slice(), [CommitOutcome::Done(_)]), "{outcomes:?}");
}

const ENDS: &str = "SELECT min(_offset) AS a, max(_offset) AS b, count(*) AS n, min(_timestamp) AS t FROM orders";

#[tokio::test]
async fn offsets_of_committed_messages_are_known_and_those_of_gaps_are_not() {
    let lake = Lake::in_memory().await;
    let held = owned(&lake, "orders", 1).await;
    commit(&lake, &held, (0..=9, 0..=9), &[]).await;
    commit(&lake, &held, (10..=19, 10..=19), &[]).await;
    lake.store.take_opened();
    let answer = json!({"a": 0, "b": 19, "n": 20, "t": "2026-01-01T00:00:00Z"});
    assert_eq!(lake.json(ENDS).await, [answer]);
    assert!(lake.store.take_opened().is_empty(), "the catalog answers");

    // The last offsets were lost: the range says more than the rows.
    commit(&lake, &held, (20..=29, 20..=25), &[26..=29]).await;
    assert_eq!(lake.json(ENDS).await[0]["b"], 25);
    assert!(lake.store.take_opened().is_empty(), "the catalog has the offsets of the rows");

    // Retention takes the first offsets.
    lake.catalog.delete_segments_before(&held.partition, 10).await.expect("expired");
    assert_eq!(lake.number("SELECT min(_offset) AS n FROM orders").await, 10);
    assert!(lake.store.take_opened().is_empty());
    commit(&lake, &held, (30..=39, 30..=39), &[]).await;
    assert_eq!(lake.json(ENDS).await, [json!({"a": 10, "b": 39, "n": 26, "t": "2026-01-01T00:00:10Z"})]);
    assert!(lake.store.take_opened().is_empty());
    let filtered = "SELECT min(_offset) AS n FROM orders WHERE _offset <> 10";
    assert_eq!(lake.number(filtered).await, 11);
}

#[tokio::test]
async fn a_first_offset_that_was_lost_is_no_least_offset() {
    let lake = Lake::in_memory().await;
    let held = owned(&lake, "orders", 1).await;
    commit(&lake, &held, (0..=9, 4..=9), &[0..=3]).await;
    assert_eq!(lake.json(ENDS).await, [json!({"a": 4, "b": 9, "n": 6, "t": "2026-01-01T00:00:04Z"})]);
    // A quarantined message at the end, whose range another commit would have.
    lake.quarantine("orders", 0, 9..=9).await;
    assert_eq!(lake.number("SELECT max(_offset) AS n FROM orders").await, 9);
    assert_eq!(lake.number("SELECT min(_offset) AS n FROM quarantine.orders").await, 9);
}

#[tokio::test]
async fn an_offset_that_no_message_has_is_no_least_offset() {
    let lake = Lake::in_memory().await;
    let held = owned(&lake, "orders", 1).await;
    // The sequences of JetStream begin with 1, and a stream may be read by a filter: neither is a gap.
    commit(&lake, &held, (0..=9, 3..=9), &[]).await;
    commit(&lake, &held, (10..=19, 12..=19), &[]).await;
    lake.store.take_opened();
    assert_eq!(lake.json(ENDS).await, [json!({"a": 3, "b": 19, "n": 15, "t": "2026-01-01T00:00:03Z"})]);
    lake.catalog.delete_segments_before(&held.partition, 10).await.expect("expired");
    assert_eq!(lake.number("SELECT min(_offset) AS n FROM orders").await, 12);
    assert!(lake.store.take_opened().is_empty());
}

#[tokio::test]
async fn a_join_and_a_group_are_not_taken_for_a_whole_table() {
    let lake = Lake::in_memory().await;
    let held = owned(&lake, "orders", 1).await;
    commit(&lake, &held, (0..=9, 0..=9), &[]).await;
    let sql = "SELECT max(o._offset) AS n FROM orders o JOIN (SELECT 3 AS k) ON k = _offset";
    assert_eq!(lake.number(sql).await, 3);
    assert_eq!(lake.number("SELECT max(_offset) AS n FROM (SELECT * FROM orders LIMIT 4)").await, 3);
    assert_eq!(
        lake.number("SELECT count(*) AS n FROM (SELECT max(_offset) FROM orders GROUP BY _offset % 2)").await,
        2
    );
    assert_eq!(lake.number("SELECT max(_offset) FILTER (WHERE _offset < 5) AS n FROM orders").await, 4);
    lake.store.take_opened();
    assert_eq!(lake.number("SELECT (SELECT max(_offset) FROM orders o) AS n").await, 9);
    assert_eq!(lake.number("SELECT max(_offset) AS n FROM (SELECT _row, _offset FROM orders) o").await, 9);
    assert!(lake.store.take_opened().is_empty(), "a subquery over a whole table is one");
}

fn row(i: i64, f: Option<f64>, s: &str) -> Values {
    let s = Some(s.to_owned());
    Values { i: Some(i), j: None, f, s, b: Some(true), d: Some(3), t: Some(5), m: Some(125), x: None }
}

#[tokio::test]
async fn recorded_extremes_answer_unless_a_value_hides_them() {
    let objects = [vec![row(4, Some(1.5), "b"), row(2, None, "a")], vec![row(9, Some(-0.0), "c")]];
    let lake = Lake::in_memory().await;
    list(&lake, &objects).await;
    let sql = "SELECT min(i) AS a, max(i) AS b, min(f) AS c, max(f) AS d, min(d) AS e, max(m) AS g, count(f) AS h, \
               count(j) AS k, max(j) AS l, count(s) AS o, max(b) AS p FROM t";
    let read = lake.json(sql).await;
    assert!(!lake.store.take_opened().is_empty(), "objects as they were written have no recorded columns");
    record_statistics(&lake, &objects, |_| {}).await;
    lake.store.take_opened();
    let simple = "SELECT min(i) AS a, max(i) AS b, count(f) AS h, min(f) AS c, count(j) AS k, max(m) AS g FROM t";
    let known = lake.json(simple).await;
    assert!(lake.store.take_opened().is_empty(), "the catalog answers");
    for name in ["a", "b", "c", "g", "h", "k"] {
        assert_eq!(known[0][name], read[0][name], "{name}");
    }
    assert_eq!(lake.json(sql).await, read);
    // Bounds of text may be cut off, and a column of nulls has none: both are read.
    for sql in ["SELECT max(s) AS n FROM t", "SELECT max(j) AS n FROM t"] {
        lake.json(sql).await;
        assert!(!lake.store.take_opened().is_empty(), "{sql}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(48)))]
    #[test]
    fn an_answer_of_the_catalog_is_that_of_the_rows(
        objects in proptest::collection::vec(proptest::collection::vec(values(), 1..5), 1..5),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let lake = Lake::in_memory().await;
            list(&lake, &objects).await;
            record_statistics(&lake, &objects, |_| {}).await;
            for column in ["i", "j", "f", "s", "b", "d", "t", "m", "x", "_offset", "_row", "_timestamp", "_partition_id"] {
                let sql = format!("SELECT min({column}) AS a, max({column}) AS b, count({column}) AS c, count(*) AS n FROM {TOPIC}");
                let listed = lake.json(&sql).await;
                // A filter that every row passes has the rows read.
                assert_eq!(listed, lake.json(&format!("{sql} WHERE _row >= 0")).await, "{column}");
            }
        });
    }
}
