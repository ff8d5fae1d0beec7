//! A real S3 client and a real store, with faults on the way between them.

use std::time::Duration;

use support::http_front::{HttpFront, Spoil};
use support::nats::NatsServer;
use support::s3::S3;

use super::{Kind, Service, committed, counted, create_orders, on_nats, publish};
use crate::binary::Siltstone;

const BATCH: u64 = 50;

/// A writer on the shared store behind a front without faults so far.
async fn behind_front() -> (NatsServer, Siltstone, HttpFront, Service) {
    let s3 = S3::shared().expect("an S3 server");
    let front = HttpFront::start(s3.authority()).await.expect("a front");
    let (nats, siltstone) = on_nats().await;
    let siltstone = siltstone
        .with("FLUSH_INTERVAL_SECS", "1")
        .on_s3(&s3)
        .with("CATALOG_URL", "sqlite:catalog.db")
        .with("AWS_ENDPOINT_URL", &front.url());
    create_orders(&siltstone).await;
    let service = Service::start(Kind::Writer, &siltstone).await;
    (nats, siltstone, front, service)
}

/// One batch for each group of spoiled puts; every message must be stored once.
async fn settles(groups: Vec<Vec<Spoil>>) -> (Siltstone, Service) {
    let (nats, siltstone, front, mut service) = behind_front().await;
    let batches = groups.len() as u64;
    for (number, spoils) in (0..).zip(groups) {
        let what = format!("{spoils:?}");
        front.spoil("PUT", spoils);
        publish(&nats, number * BATCH..(number + 1) * BATCH).await;
        committed(&siltstone, (number + 1) * BATCH + 1).await;
        assert_eq!(front.left(), 0, "all were met: {what}");
    }
    let all = batches * BATCH;
    assert_eq!(counted(&siltstone).await, (all, all, all - 1));
    service.signal("TERM");
    assert_eq!(service.ended().await, 0, "{}", service.log_text());
    // The front must answer while the rows are counted.
    drop(front);
    (siltstone, service)
}

const SLOW_DOWN: &str =
    "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>Reduce your rate</Message></Error>";
const CONFLICT: &str = "<?xml version=\"1.0\"?><Error><Code>ConditionalRequestConflict</Code></Error>";
const NO_UPLOAD: &str = "<?xml version=\"1.0\"?><Error><Code>NoSuchUpload</Code></Error>";
const INTERNAL: &str = "<?xml version=\"1.0\"?><Error><Code>InternalError</Code></Error>";
const DENIED: &str = "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>";

#[tokio::test(flavor = "multi_thread")]
async fn an_s3_store_that_answers_5xx_or_loses_replies_gets_each_message_once() {
    // Three in a row are more than the client's own retries.
    settles(vec![
        vec![Spoil::AnswerInstead(503, SLOW_DOWN); 4],
        vec![Spoil::AnswerInstead(429, SLOW_DOWN); 4],
        vec![Spoil::AnswerAfterwards(500)],
        vec![Spoil::LoseReply; 3],
        vec![Spoil::CutBody; 3],
        vec![Spoil::Delay(Duration::from_secs(2))],
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_s3_store_that_answers_with_conflicts_or_empty_successes_gets_each_message_once() {
    settles(vec![
        vec![Spoil::AnswerInstead(409, CONFLICT); 4],
        vec![Spoil::AnswerInstead(412, CONFLICT)],
        vec![Spoil::AnswerInstead(404, NO_UPLOAD)],
        vec![Spoil::AnswerInstead(200, INTERNAL)],
        vec![Spoil::AnswerAfterwards(200)],
        vec![Spoil::AnswerAfterwards(412)],
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_s3_store_that_denies_writing_for_a_while_is_an_alarm_and_gets_each_message_once() {
    let (_siltstone, service) = settles(vec![vec![Spoil::AnswerInstead(403, DENIED); 4]]).await;
    let alarm = service.logged_at_end("upload keeps failing; its batch is kept and tried again");
    assert_eq!(alarm["level"], "ERROR", "{alarm}");
    assert!(alarm["error"].as_str().is_some_and(|text| text.contains("AccessDenied")), "{alarm}");
}
