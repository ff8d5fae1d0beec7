//! A SQLite or PostgreSQL catalog that is locked, damaged or restored to an older state under a real writer.
//!
//! Messages that the catalog forgot are read again from the stream, which still holds them: rows are listed once, and
//! objects that are no longer listed stay in the store.

use std::path::Path;
use std::time::Duration;

use async_nats::jetstream;
use sqlx::{Connection, SqliteConnection};
use support::nats::NatsServer;
use support::postgres;

use super::{Kind, Service, committed, counted, create_orders, files_below, high_watermark, on_nats, publish};
use crate::binary::Siltstone;

const SEGMENTS: u64 = 6;
const MESSAGES_EACH: u64 = 100;
const MESSAGES: u64 = SEGMENTS * MESSAGES_EACH;

async fn on_catalog(url: &str) -> (NatsServer, Siltstone) {
    let (nats, siltstone) = on_nats().await;
    let siltstone = siltstone.with("CATALOG_URL", url).with("FLUSH_INTERVAL_SECS", "1");
    create_orders(&siltstone).await;
    (nats, siltstone)
}

/// Publishes `SEGMENTS` more segments, one after the other.
async fn fill(nats: &NatsServer, siltstone: &Siltstone, from: u64) {
    for segment in from..from + SEGMENTS {
        publish(nats, segment * MESSAGES_EACH..(segment + 1) * MESSAGES_EACH).await;
        committed(siltstone, (segment + 1) * MESSAGES_EACH + 1).await;
    }
}

/// Every message is listed once, according to both the catalog and the rows.
async fn all_once(siltstone: &Siltstone, messages: u64) {
    committed(siltstone, messages + 1).await;
    assert_eq!(counted(siltstone).await, (messages, messages, messages - 1));
}

async fn stop(mut service: Service) {
    service.signal("TERM");
    assert_eq!(service.ended().await, 0, "{}", service.log_text());
}

async fn segments(siltstone: &Siltstone) -> usize {
    let listed = siltstone.run(&["segments", "orders", "--json"]).await.ok().json();
    listed.as_array().expect("a list").len()
}

fn objects(siltstone: &Siltstone) -> usize {
    let files = files_below(&siltstone.path().join("data"));
    files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "parquet")).count()
}

async fn open(path: &Path) -> SqliteConnection {
    SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.expect("opens")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sqlite_file_locked_by_another_process_for_half_a_minute_is_waited_for() {
    let (nats, siltstone) = on_catalog("sqlite:catalog.db").await;
    let service = Service::start(Kind::Writer, &siltstone).await;
    fill(&nats, &siltstone, 0).await;
    let mut stranger = open(&siltstone.path().join("catalog.db")).await;
    let mut lock = stranger.begin_with("BEGIN IMMEDIATE").await.expect("locked");
    publish(&nats, MESSAGES..2 * MESSAGES).await;
    service.fetched(2 * MESSAGES).await;
    // Longer than a statement waits, and much longer than a lease.
    tokio::time::sleep(Duration::from_secs(32)).await;
    let watermark = sqlx::query_scalar::<_, i64>("SELECT high_watermark FROM partitions").fetch_one(&mut *lock).await;
    assert_eq!(watermark.expect("read") as u64, MESSAGES + 1);
    lock.rollback().await.expect("unlocked");
    all_once(&siltstone, 2 * MESSAGES).await;
    stop(service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sqlite_log_cut_after_a_kill_costs_commits_and_no_message() {
    let (nats, siltstone) = on_catalog("sqlite:catalog.db").await;
    let mut service = Service::start(Kind::Writer, &siltstone).await;
    // Kept open, so that a command's end does not checkpoint the log.
    let keeper = open(&siltstone.path().join("catalog.db")).await;
    fill(&nats, &siltstone, 0).await;
    service.process.kill().await.expect("killed");
    let (log, index) = (siltstone.path().join("catalog.db-wal"), siltstone.path().join("catalog.db-shm"));
    let bytes = std::fs::read(&log).expect("it was killed before it could tidy up");
    keeper.close_hard().await.expect("closed");
    std::fs::write(&log, &bytes[..bytes.len() / 4 * 3]).expect("cut");
    std::fs::remove_file(index).expect("removed");
    let kept = high_watermark(&siltstone).await;
    assert!(kept > 1 && kept <= MESSAGES, "some commits are gone, not all: {kept}");
    let before = objects(&siltstone);

    let service = Service::start(Kind::Writer, &siltstone).await;
    fill(&nats, &siltstone, SEGMENTS).await;
    all_once(&siltstone, 2 * MESSAGES).await;
    assert!(before > 0 && objects(&siltstone) > segments(&siltstone).await, "what was forgotten stays, unlisted");
    stop(service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sqlite_catalog_that_contradicts_itself_is_refused_at_the_start() {
    let (nats, siltstone) = on_catalog("sqlite:catalog.db").await;
    let service = Service::start(Kind::Writer, &siltstone).await;
    fill(&nats, &siltstone, 0).await;
    stop(service).await;
    let path = siltstone.path().join("catalog.db");
    for (damage, repair, says) in [
        (
            "UPDATE partitions SET high_watermark = high_watermark - 1",
            "UPDATE partitions SET high_watermark = high_watermark + 1",
            "its watermark is not the end of its last commit",
        ),
        (
            "UPDATE segments SET incarnation = 7 WHERE base_offset = (SELECT max(base_offset) FROM segments)",
            "UPDATE segments SET incarnation = 0",
            "a committed range has no segment, and is not expired",
        ),
    ] {
        let mut connection = open(&path).await;
        sqlx::query(damage).execute(&mut connection).await.expect("damaged");
        let refused = super::run_to_end(Kind::Writer, &siltstone).await;
        refused.fails(1, &["orders/0", says, "restore a backup"]);
        sqlx::query(repair).execute(&mut connection).await.expect("repaired");
        connection.close().await.expect("closed");
    }
    stop(Service::start(Kind::Writer, &siltstone).await).await;
}

/// A catalog that is copied and later restored.
enum Backup {
    Sqlite,
    Postgres { url: String },
}

impl Backup {
    fn url(&self) -> &str {
        match self {
            Self::Sqlite => "sqlite:catalog.db",
            Self::Postgres { url } => url,
        }
    }

    async fn make(&self, siltstone: &Siltstone) {
        match self {
            Self::Sqlite => {
                let path = siltstone.path().join("catalog.db");
                std::fs::copy(path, siltstone.path().join("backup.db")).expect("copied");
            }
            Self::Postgres { url } => self.copy(&format!("{}_backup", name(url)), name(url)).await,
        }
    }

    async fn restore(&self, siltstone: &Siltstone) {
        match self {
            Self::Sqlite => {
                let path = siltstone.path().join("catalog.db");
                assert!(!path.with_extension("db-wal").exists(), "it was closed in good order");
                std::fs::copy(siltstone.path().join("backup.db"), path).expect("restored");
            }
            Self::Postgres { url } => {
                let dropped = postgres::execute(&self.server(), &format!("drop database {}", name(url))).await;
                dropped.expect("dropped");
                self.copy(name(url), &format!("{}_backup", name(url))).await;
            }
        }
    }

    async fn copy(&self, to: &str, from: &str) {
        let copied = postgres::execute(&self.server(), &format!("create database {to} template {from}")).await;
        copied.expect("copied");
    }

    fn server(&self) -> String {
        let (server, _) = self.url().rsplit_once('/').expect("a path");
        format!("{server}/postgres")
    }
}

fn name(url: &str) -> &str {
    url.rsplit('/').next().expect("a name")
}

/// The queue holds all messages, or has dropped half of those that the older catalog lacks.
#[derive(Clone, Copy, PartialEq)]
enum Stream {
    Whole,
    Purged,
}

async fn a_catalog_from_yesterday(backup: Backup, stream: Stream) {
    let (nats, siltstone) = on_catalog(backup.url()).await;
    let service = Service::start(Kind::Writer, &siltstone).await;
    fill(&nats, &siltstone, 0).await;
    stop(service).await;
    backup.make(&siltstone).await;
    let service = Service::start(Kind::Writer, &siltstone).await;
    fill(&nats, &siltstone, SEGMENTS).await;
    stop(service).await;
    let (listed, put) = (segments(&siltstone).await, objects(&siltstone));
    assert_eq!(listed, put);
    backup.restore(&siltstone).await;
    assert_eq!(high_watermark(&siltstone).await, MESSAGES + 1, "as of yesterday");

    let mut lost = 0;
    if stream == Stream::Purged {
        lost = MESSAGES / 2;
        let client = async_nats::connect(nats.url()).await.expect("connected");
        let stream = jetstream::new(client).get_stream("orders-0").await.expect("the stream");
        stream.purge().sequence(MESSAGES + lost + 1).await.expect("purged");
    }
    let service = Service::start(Kind::Writer, &siltstone).await;
    committed(&siltstone, 2 * MESSAGES + 1).await;
    let rows = 2 * MESSAGES - lost;
    assert_eq!(counted(&siltstone).await, (rows, rows, 2 * MESSAGES - 1));
    let gaps = service.metrics().await["siltstone_gap_offsets_total"];
    assert_eq!(gaps, lost as f64, "what is gone from both is told");
    stop(service).await;
    assert!(objects(&siltstone) > put, "new objects hold what was read again");
    let unlisted = objects(&siltstone) - segments(&siltstone).await;
    assert_eq!(unlisted as u64, SEGMENTS, "what the older catalog forgot stays, unlisted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sqlite_catalog_restored_from_a_backup_reads_again_what_it_forgot() {
    a_catalog_from_yesterday(Backup::Sqlite, Stream::Whole).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_catalog_restored_from_a_backup_reads_again_what_it_forgot() {
    let url = postgres::fresh_database().await.expect("a database");
    a_catalog_from_yesterday(Backup::Postgres { url }, Stream::Whole).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_catalog_records_a_gap_for_what_the_stream_no_longer_holds() {
    a_catalog_from_yesterday(Backup::Sqlite, Stream::Purged).await;
}
