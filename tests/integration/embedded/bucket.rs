//! The library with its segments in a bucket, and its catalog in a file of another folder.
//!
//! The client of a store reads the environment, so each run is a process of its own.

use std::process::Command;
use std::time::Duration;

use support::process::run_well;
use support::s3::S3;

use super::*;

const NAME: &str = "embedded::bucket::ten_thousand_appends_into_a_bucket_are_in_sql_after_a_flush";
/// Set for the process that appends.
const APPENDS: &str = "EMBEDDED_APPENDS";
const RECORDS: i64 = 10_000;

async fn append_and_count() {
    let siltstone = Siltstone::open(Settings::from_env().expect("valid settings")).await.expect("opens");
    let orders = topic("orders");
    siltstone.create_topic(ids("orders", PARTITIONS)).await.expect("created");
    for i in 0..RECORDS {
        let record = format!(r#"{{"id":{i},"amount":{}}}"#, i * 100);
        let key = format!("user-{}", i % 100);
        let appended = siltstone.append(&orders, Some(key.into()), record.into(), None).await.expect("appended");
        assert!(appended.partition < PARTITIONS && appended.timestamp > 0);
    }
    siltstone.flush_all().await.expect("all is committed");
    assert_eq!(number(&siltstone, "SELECT count(DISTINCT id) FROM orders").await, RECORDS);
    assert_eq!(number(&siltstone, "SELECT count(*) FROM orders").await, RECORDS);
    assert_eq!(number(&siltstone, "SELECT count(DISTINCT _key) FROM orders").await, 100);
    assert_eq!(number(&siltstone, "SELECT count(DISTINCT _partition_id) FROM orders").await, i64::from(PARTITIONS));
    siltstone.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_appends_into_a_bucket_are_in_sql_after_a_flush() {
    if std::env::var_os(APPENDS).is_some() {
        return append_and_count().await;
    }
    let s3 = S3::shared().expect("an S3 server");
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", NAME, "--nocapture"]).current_dir(folder.path()).env_clear().env(APPENDS, "1");
    command.env("CATALOG_URL", "sqlite:metadata.db").env("FLUSH_INTERVAL_SECS", "86400");
    command.env("STORAGE_URL", format!("s3://{}/{}", s3.bucket, s3.fresh_prefix()));
    command.env("AWS_ENDPOINT_URL", &s3.endpoint).env("AWS_ALLOW_HTTP", "true").env("AWS_REGION", &s3.region);
    command.env("AWS_ACCESS_KEY_ID", &s3.access_key).env("AWS_SECRET_ACCESS_KEY", &s3.secret_key);
    let said = run_well("appends", command, b"", Duration::from_secs(300)).await.expect("it succeeds");
    assert!(said.contains("1 passed"), "{said}");
    assert!(folder.path().join("metadata.db").is_file(), "the catalog is where it was asked for");
}
