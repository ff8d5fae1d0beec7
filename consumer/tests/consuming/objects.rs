//! Cases: objects that are read whole, cached, or hold rows in another order.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::ErrorKind;
use common::config::Settings;
use consumer::{CacheOptions, FetchParts, Fetcher, GroupConsumer, Limits, Start};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use support::fault_store::{Answer, Fault, FaultStore, Operation};
use writer::Storage;
use writer::compact::{CompactionConfig, Compactor};

use super::lake::*;

/// A store that is far away: the same objects, not in a local directory.
fn cached(lake: &Lake, directory: &std::path::Path) -> Fetcher {
    let cache = CacheOptions { directory: Some(directory.to_owned()), memory_bytes: 0, ..CacheOptions::default() };
    Fetcher::open(FetchParts { cache, ..lake.parts() }).expect("opens")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_on_disk_are_read_again_and_compared() {
    let lake = Lake::new(1, r#"{"format":"raw"}"#).await;
    lake.commit(0, numbered(0..100)).await;
    let of = lake.partition(0);
    let directory = tempfile::tempdir().expect("a directory");
    let read = async |fetcher: Fetcher| {
        let fetched = fetcher.fetch(&request(&of, Start::Begin, 1_000)).await;
        fetched.map(|fetched| values(&fetched.batches))
    };
    assert_eq!(read(cached(&lake, directory.path())).await.expect("read"), numbered(0..100));
    let key = lake.catalog.get_segments(&of).await.expect("listed")[0].object.key.clone();
    let (store, key) = (Arc::clone(&lake.storage.store), Path::parse(&key).expect("a key"));
    let whole: Bytes = store.get(&key).await.expect("there").bytes().await.expect("readable");
    store.delete(&key).await.expect("deleted");
    assert_eq!(read(cached(&lake, directory.path())).await.expect("from disk"), numbered(0..100));
    // A file that somebody altered is as good as absent.
    for entry in std::fs::read_dir(directory.path().join("siltstone-read-cache")).expect("listed") {
        std::fs::write(entry.expect("listed").path(), "altered").expect("written");
    }
    let error = read(cached(&lake, directory.path())).await.expect_err("neither has it");
    assert!(error.to_string().contains(key.as_ref()), "{error}");
    store.put(&key, whole.into()).await.expect("put back");
    assert_eq!(read(cached(&lake, directory.path())).await.expect("read"), numbered(0..100));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_altered_object_gives_no_records() {
    let lake = Lake::new(1, r#"{"format":"raw"}"#).await;
    lake.commit(0, numbered(0..100)).await;
    let of = lake.partition(0);
    let object = lake.catalog.get_segments(&of).await.expect("listed")[0].object.clone();
    let (store, key) = (Arc::clone(&lake.storage.store), Path::parse(&object.key).expect("a key"));
    let mut altered = store.get(&key).await.expect("there").bytes().await.expect("readable").to_vec();
    altered[10] ^= 1;
    store.put(&key, altered.into()).await.expect("put");
    let error = lake.fetcher().fetch(&request(&of, Start::Begin, 10)).await.expect_err("altered");
    assert!(error.to_string().contains("not the listed object"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_does_not_answer_is_no_defect_of_the_object() {
    let lake = Lake::new(1, r#"{"format":"raw"}"#).await;
    lake.commit(0, numbered(0..10)).await;
    let of = lake.partition(0);
    let store = FaultStore::new(Arc::clone(&lake.storage.store));
    store.next(Operation::Get, 1, Fault::before(Answer::Unavailable));
    let storage = Storage { store: store as _, ..lake.storage.clone() };
    let fetcher = Fetcher::open(FetchParts { storage, ..lake.parts() }).expect("opens");
    let error = fetcher.fetch(&request(&of, Start::Begin, 10)).await.expect_err("it does not answer");
    assert!(error.kind() == ErrorKind::Unavailable && error.to_string().contains("at the moment"), "{error}");
    let fetched = fetcher.fetch(&request(&of, Start::Begin, 10)).await.expect("it answers again");
    assert_eq!(values(&fetched.batches), numbered(0..10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_a_sorted_object_come_in_the_order_of_offsets() {
    let options = r#"{"format":"json","sort":["n"],"columns":[{"name":"n","type":"int64"}]}"#;
    let lake = Lake::new(2, options).await;
    for segment in 0..3_u64 {
        // Falling numbers: sorting turns the order round, and mixes the segments.
        let record = |number: u64| format!("{{\"n\":{}}}", (number * 7_919) % 1_000);
        lake.commit(0, (segment * 50..segment * 50 + 50).map(record)).await;
        lake.commit(1, (0..10).map(record)).await;
    }
    merge(&lake).await;
    let (fetcher, of) = (lake.fetcher(), lake.partition(0));
    for records_max in [1, 7, 1_000] {
        let pages = all(&fetcher, &of, Start::Offset(3), records_max).await;
        let read: Vec<i64> = pages.iter().flat_map(|page| offsets(&page.batches)).collect();
        assert_eq!(read, (3..150).collect::<Vec<i64>>(), "pages of {records_max}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_reads_on_in_the_object_that_replaced_the_ones_it_read() {
    let lake = Lake::new(1, r#"{"format":"raw"}"#).await;
    for segment in 0..4 {
        lake.commit(0, numbered(segment * 10..segment * 10 + 10)).await;
    }
    let fetcher = lake.fetcher();
    let limits = Limits { records_max: 15, ..Limits::default() };
    let builder = GroupConsumer::builder(fetcher, "g").subscribe([lake.topic.clone()]).limits(limits);
    let mut member = builder.join().await.expect("joined");
    let first = member.poll(Duration::from_secs(1)).await.expect("polled").expect("some");
    assert_eq!(values(&first.batches), numbered(0..15));
    member.commit().await.expect("committed");
    let before = lake.catalog.get_segments(&lake.partition(0)).await.expect("listed");
    merge(&lake).await;
    for segment in before {
        lake.storage.store.delete(&Path::parse(&segment.object.key).expect("a key")).await.expect("deleted");
    }
    let second = member.poll(Duration::from_secs(1)).await.expect("polled").expect("some");
    assert_eq!((second.first.offset, values(&second.batches)), (15, numbered(15..30)));
    member.commit().await.expect("committed");
    member.close().await.expect("left");
}

/// Merges all data objects into one.
async fn merge(lake: &Lake) {
    let config = CompactionConfig { objects_min: 2, ..CompactionConfig::of_process(&Settings::default()) };
    let (catalog, storage) = (Arc::clone(&lake.catalog), lake.storage.clone());
    let mut compactor = Compactor::new(catalog, storage, config, Duration::from_secs(60));
    compactor.run(std::slice::from_ref(&lake.topic), true, &mut |_| {}).await.expect("merged");
    let segments = lake.catalog.get_segments(&lake.partition(0)).await.expect("listed");
    assert!(segments.iter().all(|segment| segment.object.level > 0), "{segments:?}");
}
