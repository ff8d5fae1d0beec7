//! Disks that are full, or that fail under a real process.

use std::path::Path;

use support::nats::NatsServer;
use support::postgres;
use support::small_disk::SmallDisk;
use support::strace::Strace;

use super::{Kind, Service, committed, counted, create_orders, files_below, high_watermark, on_nats, publish};
use crate::binary::Siltstone;

const MESSAGES: u64 = 500;

async fn on_disk(storage: &Path, catalog_url: &str) -> (NatsServer, Siltstone) {
    let (nats, siltstone) = on_nats().await;
    let siltstone = siltstone
        .with("FLUSH_INTERVAL_SECS", "1")
        .with("STORAGE_PATH", storage.to_str().expect("UTF-8"))
        .with("CATALOG_URL", catalog_url);
    create_orders(&siltstone).await;
    (nats, siltstone)
}

async fn all_once(siltstone: &Siltstone, messages: u64) {
    committed(siltstone, messages + 1).await;
    assert_eq!(counted(siltstone).await, (messages, messages, messages - 1));
}

fn is_object(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "parquet")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_the_store_is_waited_for_and_leaves_no_half_written_file() {
    let disk = SmallDisk::mount(8 * 1024).expect("a small disk");
    let (nats, siltstone) = on_disk(&disk.path().join("data"), "sqlite:catalog.db").await;
    let mut service = Service::start(Kind::Writer, &siltstone).await;
    publish(&nats, 0..MESSAGES).await;
    all_once(&siltstone, MESSAGES).await;
    let objects = files_below(disk.path());

    disk.fill().expect("filled");
    publish(&nats, MESSAGES..2 * MESSAGES).await;
    let failing = service.logged("upload keeps failing; its batch is kept and tried again").await;
    assert!(failing["error"].as_str().is_some_and(|text| text.contains("No space left")), "{failing}");
    assert_eq!(service.readiness(503).await["failing_partitions"], serde_json::json!(["orders/0"]));
    assert_eq!(high_watermark(&siltstone).await, MESSAGES + 1);
    disk.free().expect("freed");
    all_once(&siltstone, 2 * MESSAGES).await;
    service.readiness(200).await;
    service.signal("TERM");
    assert_eq!(service.ended().await, 0, "{}", service.log_text());
    let now = files_below(disk.path());
    assert_eq!(now.iter().filter(|path| is_object(path)).count(), objects.len() + 1, "{now:?}");
    assert!(now.iter().all(|path| is_object(path)), "nothing half-written stays: {now:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_store_and_sqlite_catalog_is_waited_for() {
    let disk = SmallDisk::mount(16 * 1024).expect("a small disk");
    let data = disk.path().join("data");
    let catalog = format!("sqlite:{}", data.join("catalog.db").display());
    let (nats, siltstone) = on_disk(&data, &catalog).await;
    let mut service = Service::start(Kind::Writer, &siltstone).await;
    publish(&nats, 0..MESSAGES).await;
    all_once(&siltstone, MESSAGES).await;

    disk.fill().expect("filled");
    publish(&nats, MESSAGES..2 * MESSAGES).await;
    service.metric("siltstone_upload_retries_total", |retries| retries >= 2.0).await;
    disk.free().expect("freed");
    all_once(&siltstone, 2 * MESSAGES).await;
    service.signal("TERM");
    assert_eq!(service.ended().await, 0, "{}", service.log_text());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_whose_sync_failed_is_never_committed_and_its_key_is_given_up() {
    let url = postgres::fresh_database().await.expect("a database");
    let directory = tempfile::tempdir().expect("a directory");
    // The catalog is elsewhere: every sync of this process is for the store.
    let (nats, siltstone) = on_disk(&directory.path().join("data"), &url).await;
    let mut service = Service::start(Kind::Writer, &siltstone).await;
    let mut strace = Strace::attach(service.process.pid(), "fsync:error=EIO:when=1", None).await.expect("attached");
    publish(&nats, 0..MESSAGES).await;
    strace.injected(1).await.expect("a sync failed");
    strace.detach().await.expect("detached");
    all_once(&siltstone, MESSAGES).await;
    let failed = service.logged("upload failed, retrying").await;
    assert_eq!(failed["step"], "sync", "{failed}");
    let key = failed["key"].as_str().expect("a key");
    let read = async |sql: &str| postgres::execute(&url, sql).await.expect("read").trim_end().to_owned();
    assert_eq!(read("select count(*) from segments").await, "1");
    assert_ne!(read("select key from objects").await, key, "another key is listed");
    assert_eq!(read("select key from uploads where state = 'doomed'").await, key, "it is the janitor's");
    service.signal("TERM");
    assert_eq!(service.ended().await, 0, "{}", service.log_text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_fails_in_sqlites_commit_ends_the_process_and_the_next_goes_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let (nats, siltstone) = on_disk(&directory.path().join("data"), "sqlite:catalog.db").await;
    let mut service = Service::start(Kind::Writer, &siltstone).await;
    publish(&nats, 0..MESSAGES).await;
    all_once(&siltstone, MESSAGES).await;
    let log = siltstone.path().join("catalog.db-wal");
    let injection = "fdatasync,fsync:error=EIO";
    let mut strace = Strace::attach(service.process.pid(), injection, Some(&log)).await.expect("attached");
    publish(&nats, MESSAGES..2 * MESSAGES).await;
    strace.injected(1).await.expect("a sync failed");
    assert_eq!(service.ended().await, 1, "{}", service.log_text());
    let failed = service.logged_at_end("failed");
    assert!(failed["error"].as_str().is_some_and(|text| text.contains("disk failed in a commit")), "{failed}");
    drop(strace);
    let mut next = Service::start(Kind::Writer, &siltstone).await;
    all_once(&siltstone, 2 * MESSAGES).await;
    next.signal("TERM");
    assert_eq!(next.ended().await, 0, "{}", next.log_text());
}
