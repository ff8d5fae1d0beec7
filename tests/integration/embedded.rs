//! Siltstone inside another program: the library of the crate, by its public door.

mod bucket;
mod ends;
mod records;

use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use siltstone::{ColumnSpec, ColumnType, Settings, Siltstone, TopicConfig, TopicName, TopicOptions};

#[path = "../../examples/embedded.rs"]
#[expect(dead_code, reason = "its main is for the command line")]
mod example;

const PARTITIONS: u32 = 3;

/// Settings of a lake in `folder` in which only a flush closes a batch.
fn settings(folder: &Path) -> Settings {
    Settings { storage_path: folder.to_owned(), flush_interval_secs: 86_400, ..Settings::default() }
}

fn topic(name: &str) -> TopicName {
    TopicName::new(name).expect("valid")
}

/// A json topic with one column `id`.
fn ids(name: &str, partition_count: u32) -> TopicConfig {
    let config = TopicOptions::json(vec![ColumnSpec::new("id", ColumnType::Int64).required()]);
    TopicConfig { name: topic(name), partition_count, retention_ms: None, config }
}

/// Siltstone in `folder` with the topic `test`.
async fn opened(folder: &Path) -> Arc<Siltstone> {
    opened_with(settings(folder)).await
}

async fn opened_with(settings: Settings) -> Arc<Siltstone> {
    let siltstone = Siltstone::open(settings).await.expect("opens");
    siltstone.create_topic(ids("test", PARTITIONS)).await.expect("created");
    Arc::new(siltstone)
}

/// The one number that the statement answers.
async fn number(siltstone: &Siltstone, sql: &str) -> i64 {
    let rows = siltstone.query(sql).await.expect(sql);
    rows[0].column(0).as_primitive::<Int64Type>().value(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_goes_on_where_its_last_run_ended() {
    let folder = tempfile::tempdir().expect("a directory");
    let first = example::run(folder.path().to_owned()).await.expect("runs");
    assert!(first.contains("| 3      | 7.50"), "{first}");
    let second = example::run(folder.path().to_owned()).await.expect("runs again");
    assert!(second.contains("| 6      | 15.00"), "{second}");
}
