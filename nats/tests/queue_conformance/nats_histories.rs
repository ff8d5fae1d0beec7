//! Histories between a stream and its reader: lost acks and deliveries, disconnected clients, forgotten ids, restored
//! streams.

use std::time::Duration;

use async_nats::jetstream::stream::Config;
use common::message::OutgoingMessage;
use common::queue::Queue;
use common::topic::StreamLimits;
use common::{QueueError, TopicPartition};
use nats::{NatsConfig, NatsQueue};
use support::proxy::Mode;

use crate::harness::*;

#[tokio::test]
async fn an_ack_that_is_lost_costs_nothing_and_is_covered_by_the_next() {
    let (Proxied { harness, partition, proxy, queue }, mut subscription) = Proxied::reading(100).await;
    proxy.set(Mode::Stall);
    step(subscription.ack(&receipt(&partition, 61))).await.expect("handed to the network");
    proxy.cut();
    proxy.set(Mode::Pass);
    step(subscription.next(1, MIB)).await.expect_err("the connection is gone, and the ack with it");
    // The position is the catalog's: no message below 61 is delivered again, even if the server counts it as unacked.
    let mut subscription = step(async {
        loop {
            let budget = common::memory::MemoryBudget::new(16 * MIB);
            match queue.subscribe(request(&partition, 61, 61, 1, &budget)).await {
                Ok(subscription) => return subscription,
                Err(error) => assert!(matches!(error, QueueError::Unavailable { .. }), "{error}"),
            }
        }
    })
    .await;
    assert_eq!(offsets(&take(&mut *subscription, 40).await), (61..=100).collect::<Vec<_>>());
    step(subscription.ack(&receipt(&partition, 101))).await.expect("acks");
    step(subscription.ack(&receipt(&partition, 101))).await.expect("acks again");
    let stream = harness.jetstream().await.get_stream("orders-0").await.expect("exists");
    until("the server shows the ack", async || {
        let names: Vec<String> = futures::TryStreamExt::try_collect(stream.consumer_names()).await.expect("lists");
        let mut floors = Vec::new();
        for name in names {
            floors.push(stream.consumer_info(&name).await.expect("answers").ack_floor.stream_sequence);
        }
        floors == [100]
    })
    .await;
}

#[tokio::test]
async fn an_ack_to_a_consumer_that_is_gone_is_harmless() {
    let harness = NatsHarness::start().await;
    let partition = one_partition(&harness).await;
    publish(&harness.queue, &partition, 0..10).await;
    let mut subscription = subscribe(&harness.queue, &partition, 0).await;
    take(&mut *subscription, 10).await;
    let jetstream = harness.jetstream().await;
    let stream = jetstream.get_stream("orders-0").await.expect("exists");
    let names: Vec<String> = futures::TryStreamExt::try_collect(stream.consumer_names()).await.expect("lists");
    stream.delete_consumer(&names[0]).await.expect("deletes");
    step(subscription.ack(&receipt(&partition, 6))).await.expect("nobody answers, nobody asked");
    let mut subscription = subscribe(&harness.queue, &partition, 6).await;
    assert_eq!(offsets(&take(&mut *subscription, 5).await), [6, 7, 8, 9, 10]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_drops_messages_is_noticed_and_nothing_is_skipped() {
    let harness = NatsHarness::start().await;
    let partition = one_partition(&harness).await;
    publish(&harness.queue, &partition, 0..2_000).await;
    let config = NatsConfig { url: harness.server.url().into(), reader_capacity: Some(8), ..NatsConfig::default() };
    let queue = NatsQueue::connect(config).await.expect("connects");
    queue.open_topic(&topic("orders", 1), None, &[]).await.expect("opens");
    let (mut seen, mut losses, mut position) = (Vec::new(), 0, 0);
    while seen.len() < 2_000 {
        let mut subscription = subscribe(&queue, &partition, position).await;
        loop {
            match step(subscription.next(100, MIB)).await {
                Ok(delivery) => {
                    position = delivery.messages.last().expect("some").offset + 1;
                    seen.extend(numbers(&delivery.messages));
                }
                Err(error) => {
                    assert!(matches!(error, QueueError::SubscriptionLost { .. }), "{error}");
                    losses += 1;
                    break;
                }
            }
            if seen.len() >= 2_000 {
                break;
            }
        }
    }
    assert_eq!(seen, (0..2_000).collect::<Vec<_>>());
    assert!(losses > 0, "eight places are too few for pulls of thousands");
}

#[tokio::test]
async fn a_tail_that_is_lost_on_the_way_is_betrayed_by_the_next_heartbeat() {
    let (Proxied { harness, partition, proxy, queue }, mut subscription) = Proxied::reading(10).await;
    // A pull that waits at the server.
    let waiting =
        tokio::spawn(async move { step(subscription.next(100, MIB)).await.map(|delivery| delivery.messages) });
    let stream = harness.jetstream().await.get_stream("orders-0").await.expect("exists");
    until("the pull waits", async || {
        let names: Vec<String> = futures::TryStreamExt::try_collect(stream.consumer_names()).await.expect("lists");
        stream.consumer_info(&names[0]).await.expect("answers").num_waiting > 0
    })
    .await;
    proxy.set(Mode::DropReplies);
    publish(&harness.queue, &partition, 10..13).await;
    let one = "MSG orders.0 1 2\r\n10\r\n".len() as u64;
    step(proxy.lost_at_least(3 * one)).await;
    proxy.set(Mode::Pass);
    // No further message arrives: only the heartbeat shows the loss.
    let error = waiting.await.expect("ends").expect_err("three messages never arrived");
    assert!(matches!(error, QueueError::SubscriptionLost { .. }), "{error}");
    let mut subscription = subscribe(&queue, &partition, 11).await;
    assert_eq!(numbers(&take(&mut *subscription, 3).await), [10, 11, 12]);
}

async fn with_window(harness: &NatsHarness, seconds: u64) -> TopicPartition {
    let mut definition = topic("orders", 1);
    let limits = StreamLimits { duplicate_window_secs: Some(seconds), ..StreamLimits::default() };
    definition.options.stream_limits = Some(limits);
    harness.queue.create_topic(&definition).await.expect("creates");
    partition(&definition, 0)
}

async fn publish_with_id(queue: &NatsQueue, to: &TopicPartition) -> common::queue::PublishAck {
    let message = OutgoingMessage::new("1").with_message_id("the-id");
    step(async {
        loop {
            match queue.publish(to, vec![message.clone()]).await {
                Ok(acks) => return acks[0],
                Err(error) => assert!(matches!(error, QueueError::Unavailable { .. }), "{error}"),
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_message_id_is_known_through_a_killed_server_while_its_window_lasts() {
    let mut harness = NatsHarness::start().await;
    let partition = with_window(&harness, 3_600).await;
    let first = publish_with_id(&harness.queue, &partition).await;
    assert!(!first.duplicate);
    harness.server.kill().await.expect("kills");
    harness.server.restart().await.expect("restarts");
    let again = publish_with_id(&harness.queue, &partition).await;
    assert!(again.duplicate && again.offset == first.offset, "{again:?}");
}

#[tokio::test]
async fn a_message_id_is_forgotten_after_its_window_and_the_second_message_says_the_same_id() {
    let harness = NatsHarness::start().await;
    let partition = with_window(&harness, 1).await;
    publish_with_id(&harness.queue, &partition).await;
    until("the window has passed", async || {
        tokio::time::sleep(Duration::from_millis(300)).await;
        !publish_with_id(&harness.queue, &partition).await.duplicate
    })
    .await;
    let read = step(harness.queue.read(&partition, 0, 100)).await.expect("reads");
    assert_eq!(offsets(&read), [1, 2], "both are messages, and both become rows");
    let ids: Vec<_> = read.iter().map(|message| message.headers.clone()).collect();
    assert_eq!(ids[0], ids[1]);
    assert!(ids[0].iter().any(|(name, id)| name == "Nats-Msg-Id" && id == "the-id"), "{ids:?}");
}

#[tokio::test]
async fn a_store_put_back_to_an_older_copy_shows_an_earlier_end_and_other_messages_under_the_same_creation() {
    let mut harness = NatsHarness::start().await;
    let partition = one_partition(&harness).await;
    publish(&harness.queue, &partition, 0..50).await;
    harness.server.stop_gracefully().await.expect("stops");
    let copy = harness.server.copy_store().expect("copies");
    harness.server.restart().await.expect("restarts");
    until("it is back", async || harness.queue.check().await.is_ok()).await;
    publish(&harness.queue, &partition, 50..100).await;
    let anchor = |messages: &[common::Message]| common::Anchor::of(&messages[0]);
    let before = anchor(&step(harness.queue.read(&partition, 80, 81)).await.expect("reads"));
    let bounds = step(harness.queue.bounds(&partition)).await.expect("bounds");
    harness.server.kill().await.expect("kills");
    harness.server.replace_store(&copy).expect("replaces");
    harness.server.restart().await.expect("restarts");
    until("it is back", async || harness.queue.check().await.is_ok()).await;
    let after = step(harness.queue.bounds(&partition)).await.expect("bounds");
    assert_eq!((bounds.next_offset, after.next_offset, &after.history), (101, 51, &bounds.history));
    publish(&harness.queue, &partition, 50..100).await;
    let now = anchor(&step(harness.queue.read(&partition, 80, 81)).await.expect("reads"));
    assert_eq!((before.offset, before.hash), (now.offset, now.hash), "the very same content");
    assert_ne!(before, now, "and yet another message, by its time");
}

#[tokio::test]
async fn bounds_tell_what_the_streams_limits_discard() {
    let harness = NatsHarness::start().await;
    let jetstream = harness.jetstream().await;
    let limited = Config {
        name: "orders-0".to_owned(),
        subjects: vec!["orders.0".to_owned()],
        max_messages: 10,
        max_bytes: 10_000,
        max_age: Duration::from_secs(3_600),
        ..Config::default()
    };
    jetstream.create_stream(limited).await.expect("makes");
    let definition = topic("orders", 1);
    harness.queue.open_topic(&definition, None, &[]).await.expect("opens");
    let partition = partition(&definition, 0);
    publish(&harness.queue, &partition, 0..25).await;
    let bounds = step(harness.queue.bounds(&partition)).await.expect("bounds");
    let limits = bounds.limits.expect("three of them");
    assert_eq!((bounds.first_offset, bounds.next_offset, limits.messages), (16, 26, 10));
    assert_eq!((limits.messages_max, limits.bytes_max), (Some(10), Some(10_000)));
    assert_eq!(limits.age_max, Some(Duration::from_secs(3_600)));
    assert!(limits.bytes > 0 && limits.first_timestamp_us > 1_600_000_000_000_000);
    // A stream that refuses new messages when full discards none.
    harness.queue.delete_topic(&definition).await.expect("deletes");
    let full = StreamLimits { bytes_max: Some(10_000), ..StreamLimits::default() };
    let mut definition = definition;
    definition.options.stream_limits = Some(full);
    harness.queue.create_topic(&definition).await.expect("creates");
    assert_eq!(step(harness.queue.bounds(&partition)).await.expect("bounds").limits, None);
}
