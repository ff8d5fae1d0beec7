//! Cases: records of a partition from a place on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use catalog::Position;
use common::{Incarnation, OutgoingMessage};
use consumer::{FetchError, FetchRequest, OutOfRange, Start};
use tokio::time::{Instant, timeout};

use super::lake::*;

const RAW: &str = r#"{"format":"raw"}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_any_size_give_every_record_once_and_in_order() {
    let lake = Lake::new(2, RAW).await;
    let mut wanted = Vec::new();
    for segment in 0..7 {
        let payloads = numbered(segment * 100..(segment + 1) * 100);
        wanted.extend(payloads.clone());
        lake.commit(0, payloads).await;
        lake.commit(1, ["of another partition".to_owned()]).await;
    }
    let (fetcher, of) = (lake.fetcher(), lake.partition(0));
    for records_max in [1, 7, 100, 101, 10_000] {
        let pages = all(&fetcher, &of, Start::Begin, records_max).await;
        assert!(pages.iter().all(|page| page.records <= records_max && page.skipped.is_empty()));
        let read: Vec<String> = pages.iter().flat_map(|page| values(&page.batches)).collect();
        assert_eq!(read, wanted, "pages of {records_max}");
        let last = pages.last().expect("some");
        assert_eq!((last.high_watermark, last.end, last.next.offset), (700, None, 700));
    }
    let pages = all(&fetcher, &of, Start::Offset(650), 30).await;
    assert_eq!(offsets(&pages[0].batches), (650..680).collect::<Vec<i64>>());
    let nothing = fetcher.fetch(&request(&of, Start::End, 10)).await.expect("read");
    assert_eq!((nothing.records, nothing.next.offset), (0, 700));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_several_records_is_never_split() {
    let lake = Lake::new(1, r#"{"format":"text"}"#).await;
    lake.commit(0, ["a\nb\nc".to_owned(), "d".to_owned(), "e\nf".to_owned()]).await;
    let (fetcher, of) = (lake.fetcher(), lake.partition(0));
    let pages = all(&fetcher, &of, Start::Begin, 1).await;
    let read: Vec<Vec<String>> = pages.iter().map(|page| values(&page.batches)).collect();
    assert_eq!(read, [vec!["a", "b", "c"], vec!["d"], vec!["e", "f"]]);
    assert_eq!(pages.iter().map(|page| page.next.offset).collect::<Vec<_>>(), [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_ends_with_the_first_record() {
    let lake = Lake::new(1, RAW).await;
    let (fetcher, of) = (lake.fetcher(), lake.partition(0));
    let begun = Instant::now();
    let mut wanted = request(&of, Start::Begin, 10);
    wanted.wait = Duration::from_millis(30);
    assert_eq!(fetcher.fetch(&wanted).await.expect("read").records, 0);
    assert!(begun.elapsed() >= Duration::from_millis(30));
    wanted.wait = Duration::from_secs(60);
    let waiting = fetcher.fetch(&wanted);
    let (fetched, ()) = tokio::join!(waiting, lake.commit(0, numbered(0..3)));
    assert_eq!(values(&fetched.expect("read").batches), numbered(0..3));
    assert!(begun.elapsed() < Duration::from_secs(30), "the commit ended the wait");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_without_records_are_refused_or_moved_as_the_policy_says() {
    let lake = Lake::new(1, RAW).await;
    for segment in 0..3 {
        lake.commit(0, numbered(segment * 10..segment * 10 + 10)).await;
    }
    let (fetcher, of) = (lake.fetcher(), lake.partition(0));
    lake.catalog.delete_segments_before(&of, 20).await.expect("expired");
    let expired = fetcher.fetch(&request(&of, Start::Offset(5), 10)).await.expect_err("gone");
    assert!(matches!(expired, FetchError::Expired { offset: 5, first: 20, .. }), "{expired}");
    assert!(expired.to_string().contains("all below 20"), "{expired}");
    let above = fetcher.fetch(&request(&of, Start::Offset(31), 10)).await.expect_err("never reached");
    assert!(matches!(above, FetchError::AboveEnd { offset: 31, end: 30, .. }), "{above}");
    let foreign = Position { incarnation: Incarnation(1), offset: 0 };
    let unknown = fetcher.fetch(&request(&of, Start::Position(foreign), 10)).await.expect_err("no such history");
    assert!(matches!(unknown, FetchError::UnknownIncarnation { .. }), "{unknown}");
    for start in [Start::Offset(5), Start::Offset(31), Start::Position(foreign)] {
        let moved = |out_of_range| consumer::FetchRequest { out_of_range, ..request(&of, start, 100) };
        let begin = fetcher.fetch(&moved(OutOfRange::Begin)).await.expect("moved");
        assert_eq!(values(&begin.batches), numbered(20..30), "{start:?}");
        let kinds: Vec<_> = begin.skipped.iter().map(|part| (part.kind, part.range.base(), part.range.end())).collect();
        assert_eq!(kinds, [("expired", 0, 19)]);
        let end = fetcher.fetch(&moved(OutOfRange::End)).await.expect("moved");
        assert_eq!((end.records, end.next.offset), (0, 30), "{start:?}");
    }
    let absent = common::TopicPartition::new(name("absent"), 0);
    let error = fetcher.fetch(&request(&absent, Start::Begin, 10)).await.expect_err("no such topic");
    assert!(matches!(error, FetchError::PartitionNotFound(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_is_the_first_record_since_then() {
    let lake = Lake::new(1, RAW).await;
    let (fetcher, of) = (lake.fetcher(), lake.partition(0));
    for segment in 0..3 {
        lake.commit(0, numbered(segment * 10..segment * 10 + 10)).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let segments = lake.catalog.get_segments(&of).await.expect("listed");
    let at = |us| fetcher.position(&of, Start::Time(us));
    assert_eq!(at(i64::MIN).await.expect("found").offset, 0);
    assert_eq!(at(segments[1].min_timestamp_us).await.expect("found").offset, 10);
    assert_eq!(at(segments[1].max_timestamp_us + 1).await.expect("found").offset, 20);
    assert_eq!(at(segments[2].max_timestamp_us + 1).await.expect("the end").offset, 30);
    assert_eq!(fetcher.position(&of, Start::Begin).await.expect("found").offset, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_made_again_is_another_one() {
    let lake = Lake::new(1, RAW).await;
    lake.commit(0, numbered(0..5)).await;
    let (fetcher, of) = (lake.fetcher(), lake.partition(0));
    let first = fetcher.fetch(&request(&of, Start::Begin, 2)).await.expect("read");
    catalog::delete_topic(lake.writer.queue().as_ref(), lake.catalog.as_ref(), &lake.topic).await.expect("deleted");
    tokio::time::sleep(Duration::from_millis(2)).await;
    lake.create(1, RAW).await;
    let mut wanted = request(&of, Start::Position(first.next), 2);
    wanted.seen = first.seen;
    let error = fetcher.fetch(&wanted).await.expect_err("another topic");
    assert!(matches!(error, FetchError::MadeAgain(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_rows_have_todays_columns_and_kept_payloads_are_the_published_bytes() {
    let options = r#"{"format":"json","keep_payload":true,"columns":[{"name":"n","type":"int64"}]}"#;
    let lake = Lake::new(1, options).await;
    let payloads = [r#"{"n":1,"x":[1, 2]}"#, r#"[{"n":2},{"n":3}]"#, r#"{"n":"no number"}"#];
    lake.commit_messages(0, payloads.map(OutgoingMessage::new).to_vec()).await;
    let topic = lake.catalog.get_topic(&lake.topic).await.expect("read").expect("there");
    let mut wider = topic.config.clone();
    wider.columns.push(serde_json::from_str(r#"{"name":"m","type":"string"}"#).expect("a column"));
    catalog::update_topic(lake.catalog.as_ref(), &topic, wider).await.expect("updated");
    let (fetcher, of) = (lake.fetcher(), lake.partition(0));
    let fetched = fetcher.fetch(&request(&of, Start::Begin, 100)).await.expect("read");
    let mut text = Vec::new();
    let mut kept = Vec::new();
    for rows in &fetched.batches {
        consumer::format::write_json(&mut text, rows, consumer::format::Bytes::Text).expect("written");
        let column = consumer::format::payload_column(&fetched.schema, true).expect("kept");
        consumer::format::write_payloads(&mut kept, rows, column).expect("written");
    }
    assert_eq!(String::from_utf8_lossy(&kept), "{\"n\":1,\"x\":[1, 2]}\n{\"n\":2}\n{\"n\":3}\n");
    let lines: Vec<serde_json::Value> =
        String::from_utf8_lossy(&text).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 3, "the quarantined record is none of the table");
    assert!(lines.iter().all(|line| line["m"].is_null()) && lines[0]["n"] == 1);
    assert_eq!(fetched.next.offset, 3, "the offset behind the quarantined message");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_for_an_answer_is_not_held_while_records_are_waited_for() {
    let lake = Lake::new(1, r#"{"format":"raw"}"#).await;
    let (fetcher, of) = (lake.fetcher(), lake.partition(0));
    let waiting = FetchRequest { wait: Duration::MAX, ..request(&of, Start::Begin, 10) };
    let (memory, taken) = (Arc::new(()), AtomicU64::new(0));
    let take = || {
        taken.fetch_add(1, Ordering::SeqCst);
        Some(Arc::clone(&memory))
    };
    let is_free = async {
        while taken.load(Ordering::SeqCst) == 0 || Arc::strong_count(&memory) > 1 {
            tokio::task::yield_now().await;
        }
        lake.commit(0, numbered(0..3)).await;
    };
    let read = async { timeout(Duration::from_secs(60), fetcher.fetch_within(&waiting, take)).await };
    let (read, committed) = tokio::join!(read, timeout(Duration::from_secs(60), is_free));
    committed.expect("the memory was given back");
    let (fetched, held) = read.expect("records ended the wait").expect("read");
    assert_eq!((values(&fetched.batches), Arc::strong_count(&held)), (numbered(0..3), 2));
    let refused = fetcher.fetch_within(&waiting, || None::<()>).await.expect_err("there is no memory");
    assert!(matches!(refused, FetchError::Busy), "{refused}");
}
