//! Cases: a partition that was resumed in a new history, and retention and replacements under a group's feet.
//!
//! Owns: halting and resuming. Does not own: reading pages (`fetching`), groups in one history (`groups`).

use std::time::Duration;

use catalog::{Ownership, Position, ResumePoint};
use common::Incarnation;
use consumer::{FetchError, GroupConsumer, GroupError, OutOfRange, Start, lags};

use super::lake::*;

const RAW: &str = r#"{"format":"raw"}"#;
const QUIET: Duration = Duration::from_millis(50);

/// The lake goes on in a new history, whose offsets count from 0 again.
async fn resume(lake: &mut Lake) {
    let of = lake.partition(0);
    let row = lake.catalog.get_partition(&of).await.expect("read").expect("there");
    let held = Ownership {
        partition: of.clone(),
        owner: row.owner.expect("the writer holds it"),
        epoch: row.epoch,
        incarnation: row.incarnation,
        high_watermark: row.high_watermark,
        anchor: row.anchor,
        takeovers: 0,
        suspect: None,
    };
    lake.catalog.halt(&held, "the queue was made anew").await.expect("halted");
    lake.writer.shutdown().await.ok();
    let point = ResumePoint { high_watermark: 0, anchor: None, reason: "resumed by the test".to_owned() };
    lake.catalog.resume(&of, row.incarnation, &point).await.expect("resumed");
    lake.start_anew().await;
}

fn place(incarnation: u32, offset: u64) -> Position {
    Position { incarnation: Incarnation(incarnation), offset }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_end_with_a_history_go_on_with_the_start_of_the_next_one() {
    let mut lake = Lake::new(1, RAW).await;
    lake.commit(0, numbered(0..10)).await;
    resume(&mut lake).await;
    lake.commit(0, numbered(100..104)).await;
    let (fetcher, of) = (lake.fetcher(), lake.partition(0));
    let wanted = [numbered(0..10), numbered(100..104)].concat();
    // With 5 and 10, the first history ends with a full page.
    for records_max in [1, 3, 5, 10, 12, 100] {
        let pages = all(&fetcher, &of, Start::Begin, records_max).await;
        let read: Vec<String> = pages.iter().flat_map(|page| values(&page.batches)).collect();
        assert_eq!(read, wanted, "pages of {records_max}");
        assert_eq!(pages.last().expect("some").next, place(1, 4));
    }
    let of_old = fetcher.fetch(&request(&of, Start::Position(place(0, 7)), 100)).await.expect("read");
    assert_eq!(values(&of_old.batches), [numbered(7..10), numbered(100..104)].concat());
    let now =
        fetcher.fetch(&request(&of, Start::Offset(2), 100)).await.expect("an offset is one of the current history");
    assert_eq!(values(&now.batches), numbered(102..104));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_reads_the_rest_of_a_history_and_then_the_next_one() {
    let mut lake = Lake::new(1, RAW).await;
    lake.commit(0, numbered(0..10)).await;
    let member = async |lake: &Lake| {
        GroupConsumer::builder(lake.fetcher(), "g").subscribe([lake.topic.clone()]).join().await.expect("joined")
    };
    let mut first = member(&lake).await;
    first.poll(QUIET).await.expect("polled").expect("some");
    first.commit_to(&lake.partition(0), place(0, 6)).await.expect("committed");
    first.close().await.expect("left");
    resume(&mut lake).await;
    lake.commit(0, numbered(100..103)).await;
    let (_, found) = lags(&lake.fetcher(), "g").await.expect("read");
    assert_eq!((found[0].committed_offset, found[0].lag), (Some(6), None), "offsets of two histories have no distance");
    let mut second = member(&lake).await;
    let mut read = Vec::new();
    while let Some(records) = second.poll(QUIET).await.expect("polled") {
        read.extend(values(&records.batches));
    }
    assert_eq!(read, [numbered(6..10), numbered(100..103)].concat());
    second.commit().await.expect("committed");
    let (_, found) = lags(&lake.fetcher(), "g").await.expect("read");
    assert_eq!((found[0].committed_incarnation, found[0].committed_offset), (Some(Incarnation(1)), Some(3)));
    assert_eq!(found[0].lag, Some(0));
    second.close().await.expect("left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_whose_offset_retention_took_says_so_or_goes_on_where_it_is_told_to() {
    let lake = Lake::new(1, RAW).await;
    for segment in 0..3 {
        lake.commit(0, numbered(segment * 10..segment * 10 + 10)).await;
    }
    let builder = || GroupConsumer::builder(lake.fetcher(), "g").subscribe([lake.topic.clone()]);
    let mut first = builder().join().await.expect("joined");
    first.poll(QUIET).await.expect("polled").expect("some");
    first.commit_to(&lake.partition(0), place(0, 5)).await.expect("committed");
    first.close().await.expect("left");
    lake.catalog.delete_segments_before(&lake.partition(0), 20).await.expect("expired");
    let mut strict = builder().join().await.expect("joined");
    let error = strict.poll(QUIET).await.expect_err("its offset is gone");
    let is_expired = matches!(&error, GroupError::Fetch(FetchError::Expired { offset: 5, first: 20, .. }));
    assert!(is_expired, "{error}");
    strict.close().await.expect("left");
    let mut lenient = builder().out_of_range(OutOfRange::Begin).join().await.expect("joined");
    let records = lenient.poll(QUIET).await.expect("polled").expect("some");
    assert_eq!(values(&records.batches), numbered(20..30));
    assert_eq!(records.skipped.iter().map(|part| part.kind).collect::<Vec<_>>(), ["expired"]);
    assert_eq!(lenient.commit().await.expect("committed"), []);
    lenient.close().await.expect("left");
    let offsets = lake.catalog.get_consumer_offsets("g").await.expect("read");
    assert_eq!(offsets.iter().map(|row| row.committed_offset).collect::<Vec<_>>(), [30]);
}
