//! Streams of every kind: work queues and interest streams, where acks and consumers delete messages; mirrors, sources,
//! sealed streams.

use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::stream::{Config, ConsumerLimits, RetentionPolicy, Source};
use common::memory::MemoryBudget;
use common::message::OutgoingMessage;
use common::queue::nats::{AckMode, NatsQueue};
use common::queue::{Queue, Subscription};
use common::topic::{BoundStream, TopicOptions};
use common::{ErrorKind, QueueError, TopicDefinition, TopicPartition};
use tokio::io::AsyncWriteExt;

use crate::harness::*;

/// A topic of one partition, bound to a stream.
fn bound(name: &str, stream: &str, subjects: &[&str]) -> TopicDefinition {
    let subjects = subjects.iter().map(ToString::to_string).collect();
    let streams = vec![BoundStream { stream: stream.to_owned(), subjects }];
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
    harness.queue.open_topic(&definition, &[]).await.expect("opens");
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
async fn a_work_queue_is_read_in_order_and_freed_of_exactly_what_is_committed() {
    let harness = NatsHarness::start().await;
    let partition = on_stream(&harness, RetentionPolicy::WorkQueue).await;
    publish(&harness.queue, &partition, 0..5_000).await;
    let mut subscription = reader(&harness.queue, &partition, 0, 0, 1).await;
    let messages = take(&mut *subscription, 5_000).await;
    assert_eq!(offsets(&messages), (1..=5_000).collect::<Vec<_>>());
    assert_eq!(held(&harness).await, (5_000, 1, 5_000), "reading frees nothing");
    for watermark in [1_001, 1_001, 4_001, 5_001] {
        step(subscription.ack(&receipt(&partition, watermark))).await.expect("acks");
        let left = 5_001 - watermark;
        until("the acks arrive", async || held(&harness).await == (left, watermark, 5_000)).await;
    }
    publish(&harness.queue, &partition, 5_000..5_010).await;
    assert_eq!(numbers(&take(&mut *subscription, 10).await), (5_000..5_010).collect::<Vec<_>>());
    let bounds = step(harness.queue.bounds(&partition)).await.expect("bounds");
    assert_eq!((bounds.first_offset, bounds.next_offset), (5_001, 5_011));
    assert!(step(harness.queue.read(&partition, 5_000, 5_001)).await.expect("reads").is_empty(), "the anchor is gone");
}

#[tokio::test]
async fn an_interest_stream_is_freed_of_exactly_what_is_committed() {
    let harness = NatsHarness::start().await;
    let partition = on_stream(&harness, RetentionPolicy::Interest).await;
    let mut subscription = reader(&harness.queue, &partition, 0, 0, 1).await;
    publish(&harness.queue, &partition, 0..1_000).await;
    assert_eq!(numbers(&take(&mut *subscription, 1_000).await), (0..1_000).collect::<Vec<_>>());
    assert_eq!(held(&harness).await, (1_000, 1, 1_000), "reading frees nothing");
    for watermark in [401, 1_001] {
        step(subscription.ack(&receipt(&partition, watermark))).await.expect("acks");
        until("the ack arrives", async || held(&harness).await == (1_001 - watermark, watermark, 1_000)).await;
    }
}

/// What a writer does, with a catalog in a variable: reads, commits some of what it read, acks some of what it
/// committed, and starts anew after every loss.
struct Writer<'a> {
    queue: &'a NatsQueue,
    partition: &'a TopicPartition,
    committed: Vec<u64>,
    read: Vec<u64>,
    epoch: u64,
}

impl Writer<'_> {
    fn watermark(&self) -> u64 {
        self.committed.len() as u64 + 1
    }

    /// Reads up to `count` messages, re-attaching after a loss.
    async fn read(&mut self, count: usize) -> Box<dyn Subscription> {
        let mut subscription = self.attach().await;
        while self.read.len() < count {
            match step(subscription.next(count - self.read.len(), MIB)).await {
                Ok(delivery) => self.read.extend(numbers(&delivery.messages)),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                    subscription = self.attach().await;
                }
            }
        }
        subscription
    }

    async fn attach(&self) -> Box<dyn Subscription> {
        let position = self.watermark() + self.read.len() as u64;
        reader(self.queue, self.partition, position, self.watermark(), self.epoch).await
    }

    /// Commits the first `count` of what was read.
    fn commit(&mut self, count: usize) {
        self.committed.extend(self.read.drain(..count));
    }

    /// What a crash leaves: the catalog.
    fn crash(&mut self) {
        self.read.clear();
        self.epoch += 1;
    }
}

/// Crashes of the writer and kills of the server between reading, committing and acking.
async fn crashes_lose_and_double_nothing(retention: RetentionPolicy) {
    let mut harness = NatsHarness::start().await;
    let partition = on_stream(&harness, retention).await;
    let queue = harness.queue.clone();
    // The first reader comes before the first message: an interest stream stores nothing without one.
    let first = reader(&queue, &partition, 0, 0, 1).await;
    step(first.close()).await.expect("closes");
    let mut writer = Writer { queue: &queue, partition: &partition, committed: vec![], read: vec![], epoch: 2 };
    for round in 0..12_u64 {
        let numbers = round * 500..round * 500 + 500;
        let messages: Vec<_> =
            numbers.map(|n| OutgoingMessage::new(n.to_string()).with_message_id(format!("id-{n}"))).collect();
        step(async {
            while queue.publish(&partition, messages.clone()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        let mut subscription = writer.read(400).await;
        writer.commit(250);
        if round % 2 == 0 {
            // Its effect may or may not survive a killed server.
            let _ = step(subscription.ack(&receipt(&partition, writer.watermark()))).await;
        }
        match round % 4 {
            // Attached again with 150 uncommitted messages in memory, and killed then: the stream must still have them.
            0 => {
                drop(subscription);
                drop(writer.attach().await);
                writer.crash();
            }
            1 => writer.crash(),
            2 => {
                harness.server.kill().await.expect("kills");
                harness.server.restart().await.expect("restarts");
            }
            _ => {
                writer.crash();
                step(subscription.close()).await.expect("closes");
                harness.server.kill().await.expect("kills");
                harness.server.restart().await.expect("restarts");
            }
        }
    }
    let left = 6_000 - writer.committed.len();
    let mut subscription = writer.read(left).await;
    writer.commit(left);
    assert_eq!(writer.committed, (0..6_000).collect::<Vec<_>>());
    // One more message, so that there is a new receipt whatever became of the acks before.
    publish(&queue, &partition, 6_000..6_001).await;
    take(&mut *subscription, 1).await;
    step(subscription.ack(&receipt(&partition, 6_002))).await.expect("acks");
    until("everything is freed", async || held(&harness).await.0 == 0).await;
    assert_eq!(consumers(&harness).await.len(), 1, "earlier consumers are gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_work_queue_loses_and_doubles_nothing_through_takeovers_and_killed_servers() {
    crashes_lose_and_double_nothing(RetentionPolicy::WorkQueue).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interest_stream_loses_and_doubles_nothing_through_takeovers_and_killed_servers() {
    crashes_lose_and_double_nothing(RetentionPolicy::Interest).await;
}

#[tokio::test]
async fn an_interest_stream_keeps_what_was_read_and_not_committed_and_what_comes_while_nobody_reads() {
    let harness = NatsHarness::start().await;
    let partition = on_stream(&harness, RetentionPolicy::Interest).await;
    let mut subscription = reader(&harness.queue, &partition, 0, 0, 1).await;
    publish(&harness.queue, &partition, 0..100).await;
    take(&mut *subscription, 100).await;
    step(subscription.ack(&receipt(&partition, 31))).await.expect("acks");
    // Attached again at the position, with 30 messages committed.
    drop(subscription);
    let mut subscription = reader(&harness.queue, &partition, 101, 31, 1).await;
    publish(&harness.queue, &partition, 100..110).await;
    assert_eq!(numbers(&take(&mut *subscription, 10).await), (100..110).collect::<Vec<_>>());
    until("the ack arrived", async || held(&harness).await == (80, 31, 110)).await;
    step(subscription.close()).await.expect("closes");
    publish(&harness.queue, &partition, 110..120).await;
    assert_eq!(held(&harness).await, (90, 31, 120), "the consumer outlives its reader");
    let mut subscription = reader(&harness.queue, &partition, 31, 31, 2).await;
    assert_eq!(offsets(&take(&mut *subscription, 90).await), (31..=120).collect::<Vec<_>>());
    let [name]: [String; 1] = consumers(&harness).await.try_into().expect("one");
    assert!(name.contains("-e2-"), "{name}");
}

#[tokio::test]
async fn a_reader_of_an_earlier_epoch_gets_no_consumer_beside_the_owners() {
    for retention in [RetentionPolicy::WorkQueue, RetentionPolicy::Interest] {
        let harness = NatsHarness::start().await;
        let partition = on_stream(&harness, retention).await;
        let mut owner = reader(&harness.queue, &partition, 0, 0, 5).await;
        publish(&harness.queue, &partition, 0..10).await;
        let other = connect(&harness.server, AckMode::All).await;
        other.open_topic(&bound("jobs", "S", &[]), &[]).await.expect("opens");
        let zombie = other.subscribe(request(&partition, 0, 0, 4, &MemoryBudget::new(MIB))).await;
        let error = zombie.expect_err("a later epoch owns it");
        assert!(matches!(error, QueueError::Unavailable { .. }), "{error}");
        assert!(error.to_string().contains("epoch 5") && error.to_string().contains("-e5-"), "{error}");
        assert_eq!(numbers(&take(&mut *owner, 10).await), (0..10).collect::<Vec<_>>());
        assert_eq!(consumers(&harness).await.len(), 1);
    }
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
    harness.queue.open_topic(&ours, &[]).await.expect("opens");
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
async fn a_work_queue_message_that_the_client_cannot_read_is_handed_over_and_freed() {
    let harness = NatsHarness::start().await;
    let partition = on_stream(&harness, RetentionPolicy::WorkQueue).await;
    publish(&harness.queue, &partition, 0..3).await;
    let mut client = tokio::net::TcpStream::connect(harness.server.address()).await.expect("connects");
    let headers = b"NATS/1.0\r\nno colon\r\n\r\n";
    let line = format!("HPUB S {} {}\r\n", headers.len(), headers.len() + 1);
    let connect = b"CONNECT {\"verbose\":false,\"headers\":true}\r\n";
    client.write_all(&[&connect[..], line.as_bytes(), headers, b"3\r\nPING\r\n"].concat()).await.expect("writes");
    until("it is stored", async || held(&harness).await.0 == 4).await;
    publish(&harness.queue, &partition, 4..6).await;
    let queue = harness.queue.clone();
    let mut writer = Writer { queue: &queue, partition: &partition, committed: vec![], read: vec![], epoch: 1 };
    drop(writer.read(4).await);
    writer.commit(4);
    // While it is in the stream it disturbs every connection that reads; the ack removes it.
    step(async {
        loop {
            let mut subscription = writer.attach().await;
            if subscription.ack(&receipt(&partition, 5)).await.is_ok()
                && harness.queue.read(&partition, 4, 5).await.is_ok_and(|read| read.is_empty())
            {
                break;
            }
        }
    })
    .await;
    drop(writer.read(2).await);
    writer.commit(2);
    assert_eq!(writer.committed, (0..6).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_consumer_deleted_by_hand_on_an_interest_stream_shows_as_missing_offsets() {
    let harness = NatsHarness::start().await;
    let partition = on_stream(&harness, RetentionPolicy::Interest).await;
    publish(&harness.queue, &partition, 0..5).await;
    let mut subscription = reader(&harness.queue, &partition, 0, 0, 1).await;
    publish(&harness.queue, &partition, 5..10).await;
    assert_eq!(offsets(&take(&mut *subscription, 5).await), [6, 7, 8, 9, 10], "nobody wanted the first five");
    let stream = harness.jetstream().await.get_stream("S").await.expect("exists");
    for name in consumers(&harness).await {
        stream.delete_consumer(&name).await.expect("deletes");
    }
    publish(&harness.queue, &partition, 10..12).await;
    let bounds = step(harness.queue.bounds(&partition)).await.expect("bounds");
    assert_eq!((bounds.first_offset, bounds.next_offset), (13, 13), "the writer records 6 to 12 as a gap");
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
        let error = harness.queue.open_topic(&bound("t", &name, &[]), &[]).await.expect_err("unsafe");
        assert!(matches!(&error, QueueError::Refused { reason } if reason.contains(part)), "{error}");
    }
    let without_acks = connect(&harness.server, AckMode::None).await;
    for retention in [RetentionPolicy::WorkQueue, RetentionPolicy::Interest] {
        let name = format!("{retention:?}");
        jetstream.create_stream(config(&name, retention)).await.expect("makes");
        let error = without_acks.open_topic(&bound("t", &name, &[]), &[]).await.expect_err("unsafe");
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

async fn mirror(harness: &NatsHarness) -> TopicPartition {
    let source = Source { name: "L".to_owned(), ..Source::default() };
    let copy = Config { mirror: Some(source), subjects: vec![], ..config("M", RetentionPolicy::Limits) };
    harness.jetstream().await.create_stream(copy).await.expect("makes");
    let definition = bound("copied", "M", &[]);
    harness.queue.open_topic(&definition, &[]).await.expect("opens");
    partition(&definition, 0)
}

#[tokio::test]
async fn a_mirror_is_read_with_the_sequences_of_its_origin_and_cannot_be_published_to() {
    let harness = NatsHarness::start().await;
    let jetstream = harness.jetstream().await;
    let origin = jetstream.create_stream(config("L", RetentionPolicy::Limits)).await.expect("makes");
    for number in 0..50 {
        jetstream.publish("L", number.to_string().into()).await.expect("sent").await.expect("stored");
    }
    origin.purge().sequence(21).await.expect("purges");
    let partition = mirror(&harness).await;
    let mut subscription = subscribe(&harness.queue, &partition, 0).await;
    let messages = take(&mut *subscription, 30).await;
    assert_eq!((numbers(&messages), offsets(&messages)), ((20..50).collect(), (21..=50).collect()));
    jetstream.publish("L.more", "50".into()).await.expect("sent").await.expect("stored");
    assert_eq!(offsets(&take(&mut *subscription, 1).await), [51]);
    step(subscription.ack(&receipt(&partition, 52))).await.expect("acks");
    let bounds = step(harness.queue.bounds(&partition)).await.expect("bounds");
    assert_eq!((bounds.first_offset, bounds.next_offset), (21, 52));
    let refused = step(harness.queue.publish(&partition, vec![OutgoingMessage::new("x")])).await.expect_err("a mirror");
    assert!(matches!(&refused, QueueError::Refused { reason } if reason.contains("mirror of L")), "{refused}");
}

#[tokio::test]
async fn a_mirror_that_is_made_anew_is_waited_for_and_never_taken_for_a_shorter_history() {
    let harness = NatsHarness::start().await;
    let jetstream = harness.jetstream().await;
    jetstream.create_stream(config("L", RetentionPolicy::Limits)).await.expect("makes");
    for number in 0..200 {
        jetstream.publish("L", number.to_string().into()).await.expect("sent").await.expect("stored");
    }
    let partition = mirror(&harness).await;
    let ends = async || harness.queue.bounds(&partition).await.ok().map(|bounds| bounds.next_offset);
    until("it is copied", async || ends().await == Some(201)).await;
    jetstream.delete_stream("M").await.expect("deletes");
    mirror(&harness).await;
    // From its first moment on, an answer is either the origin's end or that there is none yet.
    until("it is copied again", async || {
        let bounds = harness.queue.bounds(&partition).await;
        let read = harness.queue.read(&partition, 200, 201).await;
        match bounds {
            Ok(bounds) => assert_eq!(bounds.next_offset, 201),
            Err(error) => assert!(matches!(error, QueueError::Unavailable { .. }), "{error}"),
        }
        read.is_ok_and(|read| read.len() == 1)
    })
    .await;
}

#[tokio::test]
async fn a_stream_with_sources_has_sequences_of_its_own_and_a_sealed_one_is_read_and_not_written() {
    let harness = NatsHarness::start().await;
    let jetstream = harness.jetstream().await;
    let mut sources = Vec::new();
    for name in ["A", "B"] {
        jetstream.create_stream(config(name, RetentionPolicy::Limits)).await.expect("makes");
        sources.push(Source { name: name.to_owned(), ..Source::default() });
        for number in 0..20 {
            jetstream.publish(name, number.to_string().into()).await.expect("sent").await.expect("stored");
        }
    }
    let sum = Config { sources: Some(sources), subjects: vec![], ..config("S", RetentionPolicy::Limits) };
    jetstream.create_stream(sum).await.expect("makes");
    let definition = bound("sum", "S", &[]);
    harness.queue.open_topic(&definition, &[]).await.expect("opens");
    let partition = partition(&definition, 0);
    let mut subscription = subscribe(&harness.queue, &partition, 0).await;
    let messages = take(&mut *subscription, 40).await;
    assert_eq!(offsets(&messages), (1..=40).collect::<Vec<_>>());
    for name in ["A", "B"] {
        let of_one: Vec<_> = messages.iter().filter(|message| &*message.subject == name).cloned().collect();
        assert_eq!(numbers(&of_one), (0..20).collect::<Vec<_>>(), "each source in its order");
    }
    let refused = step(harness.queue.publish(&partition, vec![OutgoingMessage::new("x")])).await.expect_err("sources");
    assert!(refused.to_string().contains("publish to its sources"), "{refused}");

    let sealed =
        Config { sealed: true, ..jetstream.get_stream("A").await.expect("exists").cached_info().config.clone() };
    jetstream.update_stream(sealed).await.expect("seals");
    let definition = bound("sealed", "A", &[]);
    harness.queue.open_topic(&definition, &[]).await.expect("opens");
    let partition = common::TopicPartition::new(definition.name, 0);
    let mut subscription = subscribe(&harness.queue, &partition, 0).await;
    assert_eq!(numbers(&take(&mut *subscription, 20).await), (0..20).collect::<Vec<_>>());
    let refused = step(harness.queue.publish(&partition, vec![OutgoingMessage::new("x")])).await.expect_err("sealed");
    assert!(matches!(&refused, QueueError::Refused { reason } if reason.contains("sealed")), "{refused}");
}
