//! Streams of every kind: those accepted, those refused, and the consumers left on them.

#[path = "nats_kinds/bounded.rs"]
mod bounded;
#[path = "nats_kinds/consumed.rs"]
mod consumed;
#[path = "nats_kinds/mirrors.rs"]
mod mirrors;

use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::stream::{Config, ConsumerLimits, RetentionPolicy, Source};
use common::memory::MemoryBudget;
use common::message::OutgoingMessage;
use common::queue::{Queue, Subscription};
use common::topic::{BoundStream, TopicOptions};
use common::{ErrorKind, QueueError, TopicDefinition, TopicPartition};
use nats::{AckMode, NatsQueue};
use tokio::io::AsyncWriteExt;

use crate::harness::*;

/// A topic of one partition, bound to a stream.
fn bound(name: &str, stream: &str, subjects: &[&str]) -> TopicDefinition {
    let subjects = subjects.iter().map(ToString::to_string).collect();
    let streams = vec![BoundStream { stream: stream.to_owned(), subjects, from_offset: None }];
    TopicDefinition { options: TopicOptions { streams, ..TopicOptions::default() }, ..topic(name, 1) }
}

fn config(name: &str, retention: RetentionPolicy) -> Config {
    Config {
        name: name.to_owned(),
        subjects: vec![format!("{name}.>"), name.to_owned()],
        retention,
        ..Config::default()
    }
}

/// A bound topic on a new stream with this retention.
async fn on_stream(harness: &NatsHarness, retention: RetentionPolicy) -> TopicPartition {
    harness.jetstream().await.create_stream(config("S", retention)).await.expect("makes");
    let definition = bound("jobs", "S", &[]);
    harness.queue.open_topic(&definition, None, &[]).await.expect("opens");
    partition(&definition, 0)
}

async fn reader(
    queue: &dyn Queue,
    of: &TopicPartition,
    from_offset: u64,
    committed: u64,
    epoch: u64,
) -> Box<dyn Subscription> {
    let budget = MemoryBudget::new(64 * MIB);
    step(async {
        loop {
            match queue.subscribe(request(of, from_offset, committed, epoch, &budget)).await {
                Ok(subscription) => return subscription,
                Err(QueueError::Unavailable { .. }) => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await
}

/// `(messages held, first, last)` of stream `S`.
async fn held(harness: &NatsHarness) -> (u64, u64, u64) {
    let stream = harness.jetstream().await.get_stream("S").await.expect("exists");
    let state = &stream.cached_info().state;
    (state.messages, state.first_sequence, state.last_sequence)
}

async fn consumers(harness: &NatsHarness) -> Vec<String> {
    let stream = harness.jetstream().await.get_stream("S").await.expect("exists");
    futures::TryStreamExt::try_collect(stream.consumer_names()).await.expect("lists")
}

#[tokio::test]
async fn a_work_queue_that_somebody_else_consumes_is_refused_by_name_and_parts_of_it_can_be_shared() {
    let harness = NatsHarness::start().await;
    let partition = on_stream(&harness, RetentionPolicy::WorkQueue).await;
    let stream = harness.jetstream().await.get_stream("S").await.expect("exists");
    let theirs = pull::Config {
        durable_name: Some("theirs".to_owned()),
        filter_subject: "S.theirs".to_owned(),
        ..pull::Config::default()
    };
    stream.create_consumer(theirs).await.expect("makes");
    let refused = harness.queue.subscribe(request(&partition, 0, 0, 1, &MemoryBudget::new(MIB))).await;
    let error = refused.expect_err("it would take theirs");
    assert!(matches!(error, QueueError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("theirs") && error.to_string().contains("bind"), "{error}");

    let ours = bound("ours", "S", &["S.ours", "S.also"]);
    harness.queue.open_topic(&ours, None, &[]).await.expect("opens");
    let ours = common::TopicPartition::new(ours.name, 0);
    let jetstream = harness.jetstream().await;
    for (number, subject) in ["S.ours", "S.theirs", "S.also", "S.ours"].into_iter().enumerate() {
        jetstream.publish(subject, number.to_string().into()).await.expect("sent").await.expect("stored");
    }
    let mut subscription = reader(&harness.queue, &ours, 0, 0, 1).await;
    assert_eq!(numbers(&take(&mut *subscription, 3).await), [0, 2, 3]);
    step(subscription.ack(&receipt(&ours, 5))).await.expect("acks");
    until("ours are freed, theirs stays", async || held(&harness).await.0 == 1).await;
}

#[tokio::test]
async fn deleting_a_topic_removes_its_consumers_from_streams_of_others() {
    let harness = NatsHarness::start().await;
    let partition = on_stream(&harness, RetentionPolicy::Interest).await;
    let subscription = reader(&harness.queue, &partition, 0, 0, 1).await;
    step(subscription.close()).await.expect("closes");
    assert_eq!(consumers(&harness).await.len(), 1);
    harness.queue.delete_topic(&bound("jobs", "S", &[])).await.expect("deletes");
    assert!(consumers(&harness).await.is_empty(), "or the stream would keep every message for it");
    harness.queue.delete_topic(&bound("gone", "absent", &[])).await.expect("nothing to remove");
}

#[tokio::test]
async fn streams_that_would_lose_messages_are_refused_with_what_to_change() {
    let harness = NatsHarness::start().await;
    let jetstream = harness.jetstream().await;
    let one = Config { max_consumers: 1, ..config("one", RetentionPolicy::Interest) };
    let limits = ConsumerLimits { inactive_threshold: Duration::from_secs(60), max_ack_pending: 0 };
    let forgetful = Config { consumer_limits: Some(limits), ..config("forgetful", RetentionPolicy::Interest) };
    jetstream.create_stream(config("L", RetentionPolicy::Limits)).await.expect("makes");
    let copy = Config {
        mirror: Some(Source { name: "L".to_owned(), ..Source::default() }),
        subjects: vec![],
        ..config("copy", RetentionPolicy::WorkQueue)
    };
    for (stream, part) in [(one, "at least 2"), (forgetful, "inactive_threshold"), (copy, "origin")] {
        let name = stream.name.clone();
        jetstream.create_stream(stream).await.expect("makes");
        let error = harness.queue.open_topic(&bound("t", &name, &[]), None, &[]).await.expect_err("unsafe");
        assert!(matches!(&error, QueueError::Refused { reason } if reason.contains(part)), "{error}");
    }
    let without_acks = connect(&harness.server, AckMode::None).await;
    for retention in [RetentionPolicy::WorkQueue, RetentionPolicy::Interest] {
        let name = format!("{retention:?}");
        jetstream.create_stream(config(&name, retention)).await.expect("makes");
        let error = without_acks.open_topic(&bound("t", &name, &[]), None, &[]).await.expect_err("unsafe");
        assert!(matches!(&error, QueueError::Refused { reason } if reason.contains("QUEUE_ACK=all")), "{error}");
    }
}

#[tokio::test]
async fn a_stream_whose_retention_changes_while_it_is_open_is_refused() {
    let harness = NatsHarness::start().await;
    let partition = on_stream(&harness, RetentionPolicy::Limits).await;
    let jetstream = harness.jetstream().await;
    jetstream.update_stream(config("S", RetentionPolicy::Interest)).await.expect("the server allows it");
    let error = step(harness.queue.bounds(&partition)).await.expect_err("changed");
    assert!(matches!(&error, QueueError::Refused { reason } if reason.contains("restart")), "{error}");
}
