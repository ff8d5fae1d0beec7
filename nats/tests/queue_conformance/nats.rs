//! JetStream's own behaviour: streams, consumers, acks visible at the server, refused settings.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, PullConsumer};
use async_nats::jetstream::stream::{Config, RetentionPolicy};
use common::QueueError;
use common::TopicPartition;
use common::message::OutgoingMessage;
use common::queue::{Queue, Subscription};
use common::topic::{BoundStream, StreamLimits};
use nats::{AckMode, NatsConfig, NatsQueue};

use crate::harness::*;

async fn only_consumer(harness: &NatsHarness, stream: &str) -> async_nats::jetstream::consumer::Info {
    let stream = harness.jetstream().await.get_stream(stream).await.expect("exists");
    let names: Vec<_> = futures::TryStreamExt::try_collect(stream.consumer_names()).await.expect("lists");
    let [name]: [String; 1] = names.try_into().expect("one consumer");
    let mut consumer: PullConsumer = stream.get_consumer(&name).await.expect("exists");
    consumer.info().await.expect("answers").clone()
}

#[tokio::test]
async fn an_ack_covers_exactly_what_is_below_the_watermark() {
    let harness = NatsHarness::start().await;
    let (queue, partition) = (harness.queue(), one_partition(&harness).await);
    publish(queue, &partition, 0..1_000).await;
    let mut subscription = subscribe(queue, &partition, 101).await;
    take(&mut *subscription, 900).await;
    // The consumer starts at 101: its delivery 500 carries offset 600.
    for (watermark, pending) in [(601, 400), (601, 400), (1_001, 0)] {
        subscription.ack(&receipt(&partition, watermark)).await.expect("acks");
        until("the server shows the ack", async || {
            let info = only_consumer(&harness, "orders-0").await;
            (info.ack_floor.stream_sequence, info.num_ack_pending) == (watermark - 1, pending)
        })
        .await;
    }
    subscription.close().await.expect("closes");
    let stream = harness.jetstream().await.get_stream("orders-0").await.expect("exists");
    assert_eq!(stream.cached_info().state.consumer_count, 0, "closing deletes the consumer");
}

#[tokio::test]
async fn without_acks_the_consumer_keeps_no_account() {
    let harness = NatsHarness::start().await;
    let queue = connect(&harness.server, AckMode::None).await;
    let definition = topic("orders", 1);
    queue.create_topic(&definition).await.expect("creates");
    let partition = partition(&definition, 0);
    publish(&queue, &partition, 0..3_000).await;
    let mut subscription = subscribe(&queue, &partition, 0).await;
    assert_eq!(numbers(&take(&mut *subscription, 3_000).await), (0..3_000).collect::<Vec<_>>());
    subscription.ack(&receipt(&partition, 2_000)).await.expect("needs nothing");
    let info = only_consumer(&harness, "orders-0").await;
    assert_eq!((info.config.ack_policy, info.num_ack_pending), (AckPolicy::None, 0));
}

#[tokio::test]
async fn a_full_stream_is_waited_for_and_goes_on_after_a_purge() {
    let harness = NatsHarness::start().await;
    let mut definition = topic("orders", 1);
    definition.options.stream_limits = Some(StreamLimits { bytes_max: Some(100_000), ..StreamLimits::default() });
    harness.queue.create_topic(&definition).await.expect("creates");
    let partition = partition(&definition, 0);
    let messages = (0..20_u64).map(|n| OutgoingMessage::new(vec![0_u8; 10_000]).with_message_id(n.to_string()));
    let publishing = tokio::spawn({
        let (queue, partition, messages) = (harness.queue.clone(), partition.clone(), messages.collect());
        async move { queue.publish(&partition, messages).await }
    });
    let stream = harness.jetstream().await.get_stream("orders-0").await.expect("exists");
    for _ in 0..3 {
        until("the stream fills", async || stream.get_info().await.expect("answers").state.messages >= 2).await;
        stream.purge().await.expect("purges");
        if publishing.is_finished() {
            break;
        }
    }
    let acks = step(publishing).await.expect("ends").expect("stored");
    assert_eq!(acks.len(), 20);
    assert!(acks.windows(2).all(|pair| pair[0].offset < pair[1].offset), "in order");
}

#[tokio::test]
async fn a_stream_that_stays_full_stores_nothing_and_says_so_in_the_servers_words() {
    let harness = NatsHarness::start().await;
    let mut definition = topic("orders", 1);
    definition.options.stream_limits = Some(StreamLimits { bytes_max: Some(1_000), ..StreamLimits::default() });
    harness.queue.create_topic(&definition).await.expect("creates");
    let message = vec![OutgoingMessage::new(vec![0_u8; 2_000])];
    let error = step(harness.queue.publish(&partition(&definition, 0), message)).await.expect_err("full");
    assert!(matches!(error, QueueError::Full { .. }) && error.is_nothing_stored(), "{error}");
    assert!(error.to_string().contains("maximum bytes exceeded"), "{error}");
}

#[tokio::test]
async fn streams_are_made_as_the_topic_says_and_differences_are_named() {
    let harness = NatsHarness::start().await;
    let mut definition = topic("orders", 2);
    let limits = StreamLimits { age_max_secs: Some(60), duplicate_window_secs: Some(30), ..StreamLimits::default() };
    definition.options.stream_limits = Some(limits);
    harness.queue.create_topic(&definition).await.expect("creates");
    let stream = harness.jetstream().await.get_stream("orders-0").await.expect("exists");
    let config = &stream.cached_info().config;
    let mut subjects = config.subjects.clone();
    subjects.sort();
    assert_eq!(subjects, ["orders", "orders.0", "orders.0.>"]);
    assert!(config.allow_direct && config.retention == RetentionPolicy::Limits);
    assert_eq!((config.max_age, config.duplicate_window), (Duration::from_secs(60), Duration::from_secs(30)));
    definition.options.stream_limits = None;
    let error = harness.queue.create_topic(&definition).await.expect_err("differs");
    assert!(error.to_string().contains("max_age 60s instead of 0ns"), "{error}");
    let named = harness.queue.create_topic(&topic("a.b", 1)).await.expect_err("not plain");
    assert!(matches!(named, QueueError::Refused { .. }) && named.to_string().contains("letters"), "{named}");
}

#[tokio::test]
async fn missing_streams_are_refused_with_how_to_make_them() {
    let harness = NatsHarness::start().await;
    let error = harness.queue.open_topic(&topic("orders", 1), None, &[]).await.expect_err("no stream");
    assert!(matches!(error, QueueError::TopicUnknown { .. }), "{error}");
    assert!(error.to_string().contains("siltstone topic create"), "{error}");
}

#[tokio::test]
async fn a_wrong_url_is_named_without_its_password() {
    for (url, part) in
        [("nats://me:s3cret@127.0.0.1:1", "nats://me:********@127.0.0.1:1"), ("", "empty"), ("nats://[", "nats://[")]
    {
        let config = NatsConfig { url: url.into(), ..NatsConfig::default() };
        let error = step(NatsQueue::connect(config)).await.expect_err("nothing there").to_string();
        assert!(error.contains(part) && !error.contains("s3cret"), "{error}");
    }
}

async fn bound(harness: &NatsHarness, subjects: &[&str]) -> TopicPartition {
    let config = Config { name: "SHOP".to_owned(), subjects: vec!["shop.>".to_owned()], ..Config::default() };
    let jetstream = harness.jetstream().await;
    jetstream.create_stream(config).await.expect("makes");
    for number in 0..300 {
        let subject = ["shop.orders", "shop.mails", "shop.orders.eu"][number % 3];
        jetstream.publish(subject, number.to_string().into()).await.expect("sent").await.expect("stored");
    }
    let mut definition = topic("shop orders", 1);
    let subjects = subjects.iter().map(ToString::to_string).collect();
    definition.options.streams = vec![BoundStream { stream: "SHOP".to_owned(), subjects, from_offset: None }];
    harness.queue.create_topic(&definition).await.expect("opens");
    partition(&definition, 0)
}

#[tokio::test]
async fn filtered_subjects_of_a_bound_stream_leave_gaps_in_the_offsets() {
    let harness = NatsHarness::start().await;
    let partition = bound(&harness, &["shop.orders", "shop.orders.>"]).await;
    let mut subscription = subscribe(&harness.queue, &partition, 0).await;
    let messages = take(&mut *subscription, 200).await;
    let expected: Vec<u64> = (0..300).filter(|number| number % 3 != 1).collect();
    assert_eq!(numbers(&messages), expected);
    assert_eq!(offsets(&messages), expected.iter().map(|number| number + 1).collect::<Vec<_>>());
    assert_eq!((&*messages[0].subject, &*messages[1].subject), ("shop.orders", "shop.orders.eu"));
    let read = step(harness.queue.read(&partition, 0, 1_000)).await.expect("reads");
    assert_eq!(read, messages);
    subscription.ack(&receipt(&partition, 150)).await.expect("acks");
    until("the server shows the ack", async || {
        let info = only_consumer(&harness, "SHOP").await;
        (info.ack_floor.stream_sequence, info.num_ack_pending) == (148, 101)
    })
    .await;
    let published = step(harness.queue.publish(&partition, vec![OutgoingMessage::new("300")])).await.expect("stored");
    assert_eq!(published[0].offset, 301, "to the first subject without a wildcard");
}

#[tokio::test]
async fn one_filter_is_read_in_batches_and_a_topic_that_is_bound_is_never_deleted() {
    let harness = NatsHarness::start().await;
    let partition = bound(&harness, &["shop.mails"]).await;
    let read = step(harness.queue.read(&partition, 2, 200)).await.expect("reads");
    assert_eq!(numbers(&read), (0..199).filter(|number| number % 3 == 1).collect::<Vec<_>>());
    let mut definition = topic("shop orders", 1);
    definition.options.streams = vec![BoundStream { stream: "SHOP".to_owned(), ..BoundStream::default() }];
    harness.queue.delete_topic(&definition).await.expect("closes");
    assert!(harness.jetstream().await.get_stream("SHOP").await.is_ok());
}

#[tokio::test]
async fn headers_that_command_the_server_are_refused_and_nothing_is_stored() {
    let harness = NatsHarness::start().await;
    let partition = one_partition(&harness).await;
    let rollup =
        OutgoingMessage { headers: vec![("Nats-Rollup".to_owned(), "all".to_owned())], ..OutgoingMessage::new("x") };
    let error = step(harness.queue.publish(&partition, vec![OutgoingMessage::new("1"), rollup])).await;
    let error = error.expect_err("reserved");
    assert!(matches!(error, QueueError::Unsendable { .. }) && error.to_string().contains("Nats-Rollup"), "{error}");
    let bounds = step(harness.queue.bounds(&partition)).await.expect("bounds");
    assert_eq!(bounds.next_offset, 1);
}

#[tokio::test]
async fn messages_of_plain_clients_are_read_whatever_they_look_like() {
    let harness = NatsHarness::start().await;
    let partition = one_partition(&harness).await;
    let client = async_nats::connect(harness.server.url()).await.expect("connects");
    let mut stream = tokio::net::TcpStream::connect(harness.server.address()).await.expect("connects");
    // A status line and a reply subject of the producer's: neither must be taken for the server's.
    let frame = "CONNECT {\"verbose\":false,\"headers\":true}\r\nHPUB orders.0.eu reply.to 28 30\r\nNATS/1.0 409 Consumer Dele\r\nhi\r\nPING\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut stream, frame.as_bytes()).await.expect("writes");
    until("the message is stored", async || {
        step(harness.queue.bounds(&partition)).await.expect("bounds").next_offset == 2
    })
    .await;
    client.publish("orders", "bare".into()).await.expect("sent");
    client.flush().await.expect("flushes");
    let mut subscription: Box<dyn Subscription> = subscribe(&harness.queue, &partition, 0).await;
    let messages = take(&mut *subscription, 2).await;
    let subjects: Vec<&str> = messages.iter().map(|message| &*message.subject).collect();
    assert_eq!(subjects, ["orders.0.eu", "orders"]);
    assert_eq!(&messages[1].payload[..], b"bare");
}
