//! Publishing that is killed, and metadata that is damaged.
//!
//! Owns: the proof that nothing is published twice or by half, and that damage is found and mended. Does not own: what
//! readers see of a sound table (`iceberg`).

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{lake, publish, read, sqlite};
use crate::binary::{DEADLINE, POLL, Siltstone};
use crate::http::{Server, patient};

async fn rows(lake: &Siltstone) -> usize {
    read(&sqlite(lake), ("topics", "t"), &["rows"]).await.as_array().expect("a list").len()
}

/// Objects of metadata of the topic in the store.
fn metadata(lake: &Siltstone) -> Vec<std::path::PathBuf> {
    let [table] = &files(&lake.data().join("t.iceberg"))[..] else { panic!("one table") };
    files(&table.join("metadata"))
}

fn files(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> =
        std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

#[tokio::test]
async fn killed_at_any_step_the_next_run_publishes_the_same_once() {
    let sound = lake();
    sound.run(&["topic", "create", "t", "--format", "text"]).await.ok();
    for (number, point) in ["publish.manifests", "publish.list", "publish.before", "publish.done"].iter().enumerate() {
        sound.settle("t", &["a line"]).await;
        // Both tables are published: the first one is killed, and an empty quarantine has no manifests.
        let deadly = sound.clone().with("SILTSTONE_FAILPOINTS", &format!("{point}=crash"));
        let killed = deadly.run(&["publish-tables", "t"]).await;
        assert_ne!(killed.code, 0, "{point}: {killed:?}");
        publish(&sound).await;
        assert_eq!(rows(&sound).await, number + 1, "{point}");
        let history = read(&sqlite(&sound), ("topics", "t"), &["history"]).await;
        assert_eq!(history.as_array().expect("a list").len(), number + 1, "{point}: {history}");
        sound.run(&["audit", "--deep"]).await.ok();
    }
}

#[tokio::test]
async fn missing_and_altered_metadata_is_found_and_written_anew() {
    let lake = lake();
    lake.run(&["topic", "create", "t", "--format", "text"]).await.ok();
    lake.settle("t", &["one", "two"]).await;
    publish(&lake).await;
    lake.run(&["audit"]).await.ok();
    for kind in [".metadata.json", "snap-", "-m0.avro"] {
        let objects = metadata(&lake);
        // Earlier ones are still there; readers see the latest.
        let of_kind = objects.iter().filter(|path| path.display().to_string().contains(kind));
        let written = |path: &&std::path::PathBuf| path.metadata().and_then(|of| of.modified()).expect("a file");
        let object = of_kind.max_by_key(written).expect("one");
        let mut bytes = std::fs::read(object).expect("readable");
        *bytes.last_mut().expect("not empty") ^= 1;
        std::fs::write(object, bytes).expect("altered");
        let found = lake.run(&["audit"]).await;
        assert_eq!(found.code, 1, "{found:?}");
        found.says(&["table topics.t: the object of metadata has other bytes", "`siltstone publish-tables`"]);
        std::fs::remove_file(object).expect("deleted");
        let found = lake.run(&["audit"]).await;
        found.says(&["table topics.t: the object of metadata is gone", "1 problem"]);
        lake.run(&["publish-tables"]).await.ok().says(&["written anew"]);
        lake.run(&["audit"]).await.ok();
        assert_eq!(rows(&lake).await, 2);
    }
    let history = read(&sqlite(&lake), ("topics", "t"), &["history"]).await;
    assert_eq!(history, json!([["append", "2"]]), "earlier snapshots are not kept");
}

#[tokio::test]
async fn a_writer_publishes_by_itself() {
    let lake = patient().with("ICEBERG_PUBLISH_INTERVAL_SECS", "1");
    lake.run(&["topic", "create", "t", "--format", "text"]).await.ok();
    lake.settle("t", &["one", "two"]).await;
    let server = Server::start(&lake).await;
    let end = Instant::now() + DEADLINE;
    let tables = format!("{}/iceberg/v1/siltstone/namespaces/topics/tables/t", server.url);
    loop {
        let loaded = support::http::get(&tables).await.expect("an answer");
        if loaded.text().contains("\"total-records\":\"2\"") {
            break;
        }
        assert!(Instant::now() < end, "{}", loaded.text());
        sleep(POLL).await;
    }
    assert_eq!(rows(&lake).await, 2);
    server.stop().await;
    lake.run(&["audit"]).await.ok();
}

#[tokio::test]
async fn a_store_that_nobody_else_reads_is_refused() {
    let lake = lake().with("STORAGE_TYPE", "memory");
    lake.clone()
        .with("ICEBERG_PUBLISH_INTERVAL_SECS", "60")
        .run(&["up"])
        .await
        .fails(2, &["ICEBERG_PUBLISH_INTERVAL_SECS=60 contradicts STORAGE_TYPE=memory"]);
    lake.run(&["topic", "create", "t"]).await.ok();
    lake.run(&["publish-tables"]).await.fails(2, &["STORAGE_TYPE=memory"]);
}
