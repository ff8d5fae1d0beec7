//! The hot tail: published records in SQL before they are committed, once, while commits and merges go on.

mod commands;
mod doors;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use async_nats::jetstream;
use async_nats::jetstream::stream::{Config, RetentionPolicy};
use common::config::QueueType;
use common::topic::BoundStream;
use siltstone::{ColumnSpec, ColumnType, OutgoingMessage, Settings, Siltstone, TopicConfig, TopicName, TopicOptions};
use support::nats::NatsServer;

const PARTITIONS: u32 = 3;
const ROUNDS: i64 = 60;
const BATCH: i64 = 100;

fn settings(folder: &Path) -> Settings {
    // Only a flush closes a batch; its objects are merged as soon as there are a few.
    Settings {
        storage_path: folder.to_owned(),
        flush_interval_secs: 86_400,
        compaction_min_objects: 4,
        ..Settings::default()
    }
}

fn on_nats(folder: &Path, nats: &NatsServer) -> Settings {
    Settings { queue_type: QueueType::Nats, nats_url: nats.url().into(), ..settings(folder) }
}

fn topic(streams: Vec<BoundStream>) -> TopicConfig {
    let columns = vec![ColumnSpec::new("id", ColumnType::Int64).required()];
    let partition_count = if streams.is_empty() { PARTITIONS } else { streams.len() as u32 };
    let config = TopicOptions { streams, ..TopicOptions::json(columns) };
    TopicConfig { name: TopicName::new("test").expect("valid"), partition_count, retention_ms: None, config }
}

async fn rows(siltstone: &Siltstone, sql: &str) -> Vec<RecordBatch> {
    siltstone.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

async fn number(siltstone: &Siltstone, sql: &str) -> i64 {
    rows(siltstone, sql).await[0].column(0).as_primitive::<Int64Type>().value(0)
}

/// Publishes while counts are taken and batches are committed: each count has every record that was confirmed before it, and
/// none that was not sent.
async fn counts_hold(siltstone: Arc<Siltstone>, partition_count: u32) {
    let (sent, confirmed) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
    // A commit after each round, so that the number of segments does not depend on the machine.
    let (rounds, mut committed) = tokio::sync::watch::channel(0);
    let publishing = {
        let (siltstone, sent, confirmed) = (Arc::clone(&siltstone), Arc::clone(&sent), Arc::clone(&confirmed));
        tokio::spawn(async move {
            for round in 0..ROUNDS {
                // Every tenth record does not fit.
                let record =
                    |id: i64| if id % 10 == 3 { "{\"id\":\"x\"}".to_owned() } else { format!("{{\"id\":{id}}}") };
                let batch = (round * BATCH..(round + 1) * BATCH).map(|id| OutgoingMessage::new(record(id))).collect();
                sent.fetch_add(BATCH, Ordering::SeqCst);
                let name = TopicName::new("test").expect("valid");
                let outcomes = siltstone.producer().send_batch(&name, batch).await.expect("sent");
                assert!(outcomes.iter().all(Result::is_ok));
                confirmed.fetch_add(BATCH, Ordering::SeqCst);
                rounds.send_replace(round);
            }
        })
    };
    let committing = {
        let siltstone = Arc::clone(&siltstone);
        tokio::spawn(async move {
            while committed.changed().await.is_ok() {
                siltstone.flush_all().await.expect("committed");
            }
        })
    };
    let all = "SELECT (SELECT count(*) FROM test) + (SELECT count(*) FROM quarantine.test)";
    let distinct = "SELECT count(*) FROM (SELECT DISTINCT _partition_id, _offset, _row FROM (
        SELECT _partition_id, _offset, _row FROM test UNION ALL SELECT _partition_id, _offset, _row FROM quarantine.test))";
    let (mut last, mut looks) = (0, 0);
    while !publishing.is_finished() || looks < 20 {
        let before = confirmed.load(Ordering::SeqCst);
        let sql = if looks % 2 == 0 { all } else { distinct };
        let count = number(&siltstone, sql).await;
        let after = sent.load(Ordering::SeqCst);
        assert!(before <= count && count <= after, "{before} confirmed, {count} counted, {after} sent");
        assert!(count >= last, "{count} after {last}");
        (last, looks) = (count, looks + 1);
    }
    publishing.await.expect("published");
    let total = ROUNDS * BATCH;
    for sql in [all, distinct] {
        assert_eq!(number(&siltstone, sql).await, total);
    }
    committing.await.expect("committed");
    siltstone.flush_all().await.expect("committed");
    rows(&siltstone, "SET siltstone.hot_tail = off").await;
    for sql in [all, distinct] {
        assert_eq!(number(&siltstone, sql).await, total, "what was seen is committed");
    }
    let partitions = number(&siltstone, "SELECT count(DISTINCT _partition_id) FROM test").await;
    assert_eq!(partitions, i64::from(partition_count));
    siltstone.close().await.expect("closes");
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_over_a_queue_in_memory_have_every_record_once() {
    let folder = tempfile::tempdir().expect("a directory");
    let siltstone = Siltstone::open(settings(folder.path())).await.expect("opens");
    siltstone.create_topic(topic(vec![])).await.expect("created");
    counts_hold(Arc::new(siltstone), PARTITIONS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_over_jetstream_have_every_record_once() {
    let (folder, nats) = (tempfile::tempdir().expect("a directory"), NatsServer::start().await.expect("a server"));
    let siltstone = Siltstone::open(on_nats(folder.path(), &nats)).await.expect("opens");
    siltstone.create_topic(topic(vec![])).await.expect("created");
    counts_hold(Arc::new(siltstone), PARTITIONS).await;
}

/// A work queue drops what is committed, and two partitions share it.
#[tokio::test(flavor = "multi_thread")]
async fn counts_over_a_shared_work_queue_have_every_record_once() {
    let (folder, nats) = (tempfile::tempdir().expect("a directory"), NatsServer::start().await.expect("a server"));
    let context = jetstream::new(async_nats::connect(nats.url()).await.expect("connected"));
    let config = Config {
        name: "JOBS".to_owned(),
        subjects: vec!["jobs.*".to_owned()],
        retention: RetentionPolicy::WorkQueue,
        ..Config::default()
    };
    context.create_stream(config).await.expect("made");
    let bound = |subject: &str| BoundStream {
        stream: "JOBS".to_owned(),
        subjects: vec![subject.to_owned()],
        ..BoundStream::default()
    };
    let siltstone = Siltstone::open(on_nats(folder.path(), &nats)).await.expect("opens");
    siltstone.create_topic(topic(vec![bound("jobs.a"), bound("jobs.b")])).await.expect("created");
    counts_hold(Arc::new(siltstone), 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_the_tail_are_those_that_will_be_committed() {
    let folder = tempfile::tempdir().expect("a directory");
    let siltstone = Siltstone::open(settings(folder.path())).await.expect("opens");
    siltstone.create_topic(topic(vec![])).await.expect("created");
    let name = TopicName::new("test").expect("valid");
    for id in 0..50 {
        let key = (id % 3 == 0).then(|| format!("key {id}").into());
        let value = if id % 7 == 0 { "no JSON".to_owned() } else { format!("{{\"id\":{id},\"more\":[{id}]}}") };
        siltstone.append(&name, key, value.into(), Some(1_767_225_600_000 + id)).await.expect("appended");
    }
    for table in ["test", "quarantine.test"] {
        let sql = format!("SELECT * FROM {table} ORDER BY _partition_id, _offset, _row");
        let hot = rows(&siltstone, &sql).await;
        assert!(hot.iter().map(RecordBatch::num_rows).sum::<usize>() > 5);
        siltstone.flush_all().await.expect("committed");
        rows(&siltstone, "SET siltstone.hot_tail = off").await;
        let committed = rows(&siltstone, &sql).await;
        let text = |batches: &[RecordBatch]| lake::query::format_table(batches).expect("text");
        assert_eq!(text(&hot), text(&committed), "{table}");
        rows(&siltstone, "SET siltstone.hot_tail = on").await;
        // Quarantined messages for the next table.
        siltstone.append(&name, None, "still no JSON".into(), None).await.expect("appended");
        siltstone.append(&name, None, "{\"id\":50}".into(), None).await.expect("appended");
    }
    siltstone.close().await.expect("closes");
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_and_bounds_limit_what_is_read() {
    let folder = tempfile::tempdir().expect("a directory");
    let siltstone = Siltstone::open(settings(folder.path())).await.expect("opens");
    siltstone.create_topic(topic(vec![])).await.expect("created");
    let name = TopicName::new("test").expect("valid");
    for id in 0..300 {
        siltstone.append(&name, None, format!("{{\"id\":{id}}}").into(), None).await.expect("appended");
    }
    let plan = siltstone.query("EXPLAIN SELECT * FROM test WHERE _partition_id = 1 AND _offset >= 90").await;
    let plan = format!("{:?}", plan.expect("explained"));
    assert!(plan.contains("HotTailExec: topic=test, offsets=[1: 90..100]"), "{plan}");
    assert_eq!(number(&siltstone, "SELECT count(*) FROM test WHERE _partition_id = 1 AND _offset >= 90").await, 10);
    assert_eq!(number(&siltstone, "SELECT count(*) FROM test WHERE id IN (5, 250, 1000)").await, 2);

    rows(&siltstone, "SET siltstone.hot_tail_bytes = 1000").await;
    let error = siltstone.query("SELECT count(*) FROM test").await.expect_err("too much").to_string();
    for part in [
        "siltstone.hot_tail_bytes = 1000",
        "300 offsets in 3 ranges are not committed yet",
        "SET siltstone.hot_tail = off",
    ] {
        assert!(error.contains(part), "{part:?} is not in {error}");
    }
    assert_eq!(number(&siltstone, "SELECT count(*) FROM test WHERE _partition_id = 1 AND _offset = 90").await, 1);
    rows(&siltstone, "RESET siltstone.hot_tail_bytes").await;
    assert_eq!(number(&siltstone, "SELECT count(*) FROM test").await, 300);

    let shown = rows(&siltstone, "SHOW siltstone.hot_tail").await;
    let shown = lake::query::format_table(&shown).expect("text");
    assert!(shown.contains("siltstone.hot_tail | auto"), "{shown}");
    for refused in [
        "SET siltstone.hot_tail = maybe",
        "SET datafusion.execution.batch_size = 1",
        "RESET datafusion.execution.batch_size",
    ] {
        siltstone.query(refused).await.expect_err(refused);
    }
    siltstone.close().await.expect("closes");
}
