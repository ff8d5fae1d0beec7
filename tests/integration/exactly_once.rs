//! The main job on real servers: a stock NATS client's messages are in SQL exactly once, despite kills.

use std::path::Path;
use std::time::Duration;

use support::python;

use crate::deployment::Deployment;

/// Messages of the test without faults; `SILTSTONE_TEST_MESSAGES` sets another number.
const CALM_MESSAGES: u64 = 20_000;
/// Messages of the test with faults.
const ROUGH_MESSAGES: u64 = 200_000;

const PUBLISHING: Duration = Duration::from_secs(300);
const COUNTS: [&str; 4] = ["count(*)", "count(DISTINCT _offset)", "count(DISTINCT n)", "max(n)"];

fn messages(default: u64) -> u64 {
    std::env::var("SILTSTONE_TEST_MESSAGES").map_or(default, |text| text.parse().expect("a number"))
}

fn publisher(deployment: &Deployment, count: u64) -> support::process::Process {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/publish.py");
    let log = deployment.siltstone.path().join("publisher.log");
    python::spawn(script.as_path(), &[&deployment.nats.url(), "orders", &count.to_string()], &log).expect("it starts")
}

async fn check_all_there(deployment: &Deployment, count: u64) {
    for answer in deployment.ask_both(&COUNTS).await {
        assert_eq!(answer, [count, count, count, count - 1]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stock_client_publishes_is_in_sql_once_and_acked() {
    let count = messages(CALM_MESSAGES);
    let mut deployment = Deployment::start().await;
    deployment.start_writer();
    let mut publisher = publisher(&deployment, count);
    assert!(publisher.wait(PUBLISHING).await.expect("it ends").success());
    deployment.wait_for("high_watermark", count + 1).await;
    check_all_there(&deployment, count).await;
    // The ack follows the commit and takes its time, as any message does.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while deployment.acked().await != (count, 0) {
        assert!(tokio::time::Instant::now() < deadline, "acked {:?} of {count}", deployment.acked().await);
    }
    assert_eq!(deployment.stop_writer().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_writer_queue_and_catalog_loses_and_doubles_nothing() {
    let count = messages(ROUGH_MESSAGES);
    let mut deployment = Deployment::start().await;
    deployment.start_writer();
    let mut publisher = publisher(&deployment, count);
    deployment.wait_for("high_watermark", count / 10).await;
    deployment.kill_writer().await;
    deployment.start_writer();
    deployment.wait_for("high_watermark", count / 4).await;
    deployment.nats.kill().await.expect("killed");
    deployment.nats.restart().await.expect("started again");
    deployment.wait_for("high_watermark", count / 2).await;
    deployment.postgres.kill().await.expect("killed");
    deployment.postgres.start_again().await.expect("started again");
    deployment.wait_for("next_offset", count * 3 / 4).await;
    deployment.kill_writer().await;
    deployment.start_writer();
    assert!(publisher.wait(PUBLISHING).await.expect("it ends").success());
    deployment.wait_for("high_watermark", count + 1).await;
    check_all_there(&deployment, count).await;
    assert_eq!(deployment.stop_writer().await, Some(0));
}
