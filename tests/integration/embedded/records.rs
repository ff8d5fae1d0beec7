//! Appended records: their places, when they are committed, and what SQL has of them.

use std::collections::BTreeMap;
use std::time::Duration;

use common::partitioner::Partitioner;
use siltstone::{Error, OutgoingMessage, Settings, Siltstone, TIMESTAMP_HEADER};
use tokio::task::JoinSet;

use super::{PARTITIONS, ids, number, opened, opened_with, settings, topic};
use crate::binary::Siltstone as Binary;

/// Longest time of an append that waits for room, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_records_have_their_places_and_are_in_sql_after_a_flush() {
    let folder = tempfile::tempdir().expect("a directory");
    let siltstone = opened(folder.path()).await;
    let mut next: BTreeMap<u32, u64> = BTreeMap::new();
    for id in 0..100 {
        let key = format!("user-{id}");
        let partition = Partitioner::default().partition_of(key.as_bytes(), PARTITIONS);
        let appended =
            siltstone.append(&topic("test"), Some(key.into()), format!("{{\"id\":{id}}}").into(), None).await;
        let appended = appended.expect("appended");
        assert_eq!((&appended.topic, appended.partition), (&topic("test"), partition), "the same as any producer's");
        let expected = next.entry(appended.partition).or_default();
        assert_eq!(appended.offset, *expected, "offsets of a partition have no holes");
        *expected += 1;
    }
    assert_eq!(next.len(), PARTITIONS as usize, "keys are spread");
    assert_eq!(number(&siltstone, "SELECT count(*) FROM test").await, 100, "a record that has a place is in SQL");
    siltstone.query("SET siltstone.hot_tail = off").await.expect("set");
    assert_eq!(number(&siltstone, "SELECT count(*) FROM test").await, 0, "a place is no commit");
    siltstone.flush_all().await.expect("committed");
    assert_eq!(number(&siltstone, "SELECT count(DISTINCT id) FROM test").await, 100);
    assert_eq!(siltstone.close().await.expect("closes").records, 100);

    let binary = Binary::new().with("STORAGE_PATH", folder.path().to_str().expect("UTF-8"));
    binary.run(&["query", "SELECT count(*) AS n FROM test", "--json"]).await.ok().says(&["{\"n\":100}"]);
    binary.run(&["audit", "--deep"]).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_opened_again_goes_on_at_its_watermarks() {
    let folder = tempfile::tempdir().expect("a directory");
    for run in 0..3 {
        let siltstone = Siltstone::open(settings(folder.path())).await.expect("opens");
        match siltstone.create_topic(ids("one", 1)).await {
            Ok(_) => assert_eq!(run, 0),
            Err(Error::TopicExists(name)) => assert_eq!((name, run > 0), (topic("one"), true)),
            Err(error) => panic!("{error}"),
        }
        for at in 0..10 {
            let id = run * 10 + at;
            let appended = siltstone.append(&topic("one"), None, format!("{{\"id\":{id}}}").into(), None).await;
            assert_eq!(appended.expect("appended").offset, id);
        }
        // The close commits what no flush did.
        siltstone.close().await.expect("closes");
    }
    let siltstone = Siltstone::open(settings(folder.path())).await.expect("opens");
    assert_eq!(number(&siltstone, "SELECT count(DISTINCT id) FROM one").await, 30);
    assert_eq!(number(&siltstone, "SELECT count(*) FROM one WHERE id = _offset").await, 30);
    siltstone.close().await.expect("closes");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_many_tasks_and_of_the_producer_are_in_one_flush() {
    let folder = tempfile::tempdir().expect("a directory");
    let siltstone = opened(folder.path()).await;
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let siltstone = siltstone.clone();
        tasks.spawn(async move {
            for at in 0..1250 {
                let record = format!("{{\"id\":{}}}", task * 1250 + at);
                siltstone.append(&topic("test"), None, record.into(), None).await.expect("appended");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("no panic");
    }
    let batch = (10_000..10_500).map(|id| OutgoingMessage::new(format!("{{\"id\":{id}}}"))).collect();
    let sent = siltstone.producer().send_batch(&topic("test"), batch).await.expect("sent");
    assert!(sent.iter().all(Result::is_ok));
    siltstone.flush_all().await.expect("committed");
    assert_eq!(number(&siltstone, "SELECT count(DISTINCT id) FROM test").await, 10_500);
    assert_eq!(number(&siltstone, "SELECT count(*) FROM test").await, 10_500);
    siltstone.flush_all().await.expect("nothing is left");
    siltstone.close().await.expect("closes");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_producer_buffers_is_covered_by_a_flush_and_by_a_close() {
    let folder = tempfile::tempdir().expect("a directory");
    let siltstone = opened(folder.path()).await;
    let enqueue = async |id: u64| {
        let message = OutgoingMessage::new(format!("{{\"id\":{id}}}"));
        drop(siltstone.producer().enqueue(&topic("test"), None, message).await.expect("buffered"));
    };
    enqueue(1).await;
    siltstone.flush_all().await.expect("committed");
    assert_eq!(number(&siltstone, "SELECT count(*) FROM test").await, 1);
    enqueue(2).await;
    assert_eq!(siltstone.close().await.expect("closes").records, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_records_own_time_is_a_header_that_sql_casts_to_a_time() {
    let folder = tempfile::tempdir().expect("a directory");
    let siltstone = opened(folder.path()).await;
    let name = topic("test");
    let append = |id: u64, time| siltstone.append(&name, None, format!("{{\"id\":{id}}}").into(), time);
    assert_eq!(append(1, Some(1_767_225_600_123)).await.expect("appended").timestamp, 1_767_225_600_123);
    assert!(append(2, None).await.expect("appended").timestamp > 1_767_225_600_123, "the time of the call");
    assert!(matches!(append(3, Some(u64::MAX)).await, Err(Error::Timestamp(u64::MAX))));
    siltstone.flush_all().await.expect("committed");
    let with_time = format!("_headers['{TIMESTAMP_HEADER}']");
    let sql =
        format!("SELECT count(*) FROM test WHERE CAST({with_time} AS timestamp) = TIMESTAMP '2026-01-01 00:00:00.123'");
    assert_eq!(number(&siltstone, &sql).await, 1);
    assert_eq!(number(&siltstone, &format!("SELECT count(*) FROM test WHERE {with_time} IS NULL")).await, 1);
    siltstone.close().await.expect("closes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_makes_appends_wait_and_a_commit_makes_room_before_any_batch_is_old() {
    let folder = tempfile::tempdir().expect("a directory");
    let siltstone = opened_with(Settings { queue_memory_bytes: 1 << 20, ..settings(folder.path()) }).await;
    let filler = "x".repeat(100 << 10);
    let appends = async {
        for id in 0..100 {
            let record = format!("{{\"id\":{id},\"filler\":\"{filler}\"}}");
            siltstone.append(&topic("test"), None, record.into(), None).await.expect("appended");
        }
    };
    tokio::time::timeout(DEADLINE, appends).await.expect("ten times the queue's size went through it");
    siltstone.flush_all().await.expect("committed");
    assert_eq!(number(&siltstone, "SELECT count(DISTINCT id) FROM test").await, 100);
    let summary = siltstone.close().await.expect("closes");
    let early: u64 =
        summary.rolls.iter().filter(|(reason, _)| reason.as_str() == "memory").map(|(_, count)| count).sum();
    assert!(early >= 3, "{summary:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_does_not_fit_its_topic_is_committed_to_quarantine() {
    let folder = tempfile::tempdir().expect("a directory");
    let siltstone = opened(folder.path()).await;
    siltstone.append(&topic("test"), None, "no JSON".into(), None).await.expect("appended");
    siltstone.flush_all().await.expect("committed");
    assert_eq!(number(&siltstone, "SELECT count(*) FROM quarantine.test").await, 1);
    let error = siltstone.query("SELECT * FROM tset").await.expect_err("no such table").to_string();
    assert!(error.contains("no table") && error.contains("test"), "{error}");
    siltstone.close().await.expect("closes");
}
