//! Subjects: a message for each subject that a topic names arrives in the partition that it is named for.

use std::collections::BTreeSet;

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::{Config, RetentionPolicy};
use common::TopicDefinition;
use common::partitioner::Partitioner;
use common::queue::{Queue, QueueError};
use common::topic::BoundStream;
use nats::subjects;
use support::nats::{NatsOptions, NatsServer};

use crate::harness::*;

const PARTITIONS: u32 = 3;
const KEYS: u32 = 100;

/// Publishes as any client does; returns the stream that stored the message.
async fn publish_to(jetstream: &Context, subject: String) -> String {
    let sent = jetstream.publish(subject.clone(), "x".into()).await.expect("sent");
    step(async move { sent.await }).await.unwrap_or_else(|error| panic!("{subject}: {error}")).stream
}

#[tokio::test]
async fn every_subject_of_a_partition_is_stored_in_its_stream() {
    let harness = NatsHarness::start().await;
    let topic = topic("orders", PARTITIONS);
    harness.queue.create_topic(&topic).await.expect("creates");
    let jetstream = harness.jetstream().await;
    for partition_id in 0..PARTITIONS {
        let subjects = subjects::subjects(&topic, partition_id);
        assert_eq!(subjects.len(), if partition_id == 0 { 3 } else { 2 });
        for subject in &subjects {
            let stored = publish_to(&jetstream, subject.replace('>', "any.thing")).await;
            assert_eq!(stored, format!("orders-{partition_id}"), "{subject}");
        }
        let bounds = step(harness.queue.bounds(&partition(&topic, partition_id))).await.expect("bounds");
        assert_eq!(bounds.next_offset, 1 + subjects.len() as u64);
    }
}

#[tokio::test]
async fn the_mapping_spreads_keys_as_the_partitioner_nats_does_and_leaves_other_subjects_alone() {
    let topic = topic("orders", PARTITIONS);
    let mapping = subjects::mapping(&topic).expect("several partitions");
    let options = NatsOptions { lines: vec![mapping.to_string()], ..NatsOptions::default() };
    let harness = NatsHarness::on(NatsServer::start_with(options).await.expect("a NATS server")).await;
    harness.queue.create_topic(&topic).await.expect("creates");
    let jetstream = harness.jetstream().await;
    let mut used = BTreeSet::new();
    for key in (0..KEYS).map(|number| format!("user-{number}")) {
        let partition_id = Partitioner::Nats.partition_of(key.as_bytes(), PARTITIONS);
        let stored = publish_to(&jetstream, mapping.subject_of(&key)).await;
        assert_eq!(stored, format!("orders-{partition_id}"), "{key}");
        let partition = partition(&topic, partition_id);
        let next = step(harness.queue.bounds(&partition)).await.expect("bounds").next_offset;
        let read = step(harness.queue.read(&partition, next - 1, next)).await.expect("reads");
        assert_eq!(*read[0].subject, *format!("orders.{partition_id}.{key}"));
        used.insert(partition_id);
    }
    assert_eq!(used.len(), PARTITIONS as usize, "each partition has keys");
    // A mapping over the partitions' own subjects would send Siltstone's messages elsewhere.
    for partition_id in 0..PARTITIONS {
        assert_eq!(publish_to(&jetstream, format!("orders.{partition_id}")).await, format!("orders-{partition_id}"));
    }
}

#[tokio::test]
async fn the_subjects_of_a_bound_stream_are_those_that_are_read_of_it() {
    let harness = NatsHarness::start().await;
    let jetstream = harness.jetstream().await;
    let config = async_nats::jetstream::stream::Config {
        name: "EVENTS".to_owned(),
        subjects: vec!["shop.>".to_owned()],
        ..Default::default()
    };
    jetstream.create_stream(config).await.expect("makes");
    let mut topic: TopicDefinition = topic("orders", 1);
    topic.options.streams =
        vec![BoundStream { stream: "EVENTS".to_owned(), subjects: vec!["shop.orders".to_owned()], from_offset: None }];
    harness.queue.open_topic(&topic, None, &[]).await.expect("opens");
    let [subject]: [String; 1] = subjects::subjects(&topic, 0).try_into().expect("one");
    assert_eq!(publish_to(&jetstream, subject).await, "EVENTS");
    let mut subscription = subscribe(&harness.queue, &partition(&topic, 0), 0).await;
    assert_eq!(offsets(&take(&mut *subscription, 1).await), [1]);
}

#[tokio::test]
async fn the_subjects_that_a_stream_holds_are_listed_by_a_pattern() {
    let harness = NatsHarness::start().await;
    let jetstream = harness.jetstream().await;
    let stream = |name: &str, retention| Config {
        name: name.to_owned(),
        subjects: vec![format!("{name}.>")],
        retention,
        ..Config::default()
    };
    jetstream.create_stream(stream("LOGS", RetentionPolicy::Limits)).await.expect("made");
    jetstream.create_stream(stream("WANTED", RetentionPolicy::Interest)).await.expect("made");
    for subject in ["LOGS.web", "LOGS.app", "LOGS.web", "LOGS.a.b"] {
        assert_eq!(publish_to(&jetstream, subject.to_owned()).await, "LOGS");
    }
    let listed = async |stream: &str, pattern: &str| step(harness.queue.subjects(stream, pattern)).await;
    assert_eq!(listed("LOGS", "LOGS.*").await.expect("listed"), ["LOGS.app", "LOGS.web"]);
    assert_eq!(listed("LOGS", "LOGS.>").await.expect("listed").len(), 3);
    assert!(listed("LOGS", "OTHER.>").await.expect("listed").is_empty());
    for (stream, part) in
        [("ABSENT", "does not exist"), ("WANTED", "keeps only what a consumer wants"), ("A.B", "invalid")]
    {
        let error = listed(stream, ">").await.expect_err(part);
        assert!(matches!(error, QueueError::Refused { .. }) && error.to_string().contains(part), "{error}");
    }
    let memory = common::queue::memory::InMemoryQueue::default();
    let error = memory.subjects("LOGS", ">").await.expect_err("it has no streams");
    assert!(error.to_string().contains("no streams with subjects"), "{error}");
}
