//! Faults around JetStream, which lose and double nothing.

use std::time::Duration;

use common::memory::MemoryBudget;
use common::queue::{Queue, Subscription};
use common::{QueueError, TopicPartition};
use nats::AckMode;
use support::proxy::Mode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::*;

/// Subscribes again after a loss, retrying as a writer does.
async fn subscribe_again(queue: &dyn Queue, partition: &TopicPartition, from_offset: u64) -> Box<dyn Subscription> {
    let budget = MemoryBudget::new(64 * MIB);
    step(async {
        loop {
            let request = request(partition, from_offset, from_offset, 1, &budget);
            match queue.subscribe(request).await {
                Ok(subscription) => return subscription,
                Err(QueueError::Unavailable { .. }) => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_and_doubles_nothing() {
    let mut harness = NatsHarness::start().await;
    let partition = one_partition(&harness).await;
    let queue = harness.queue.clone();
    publish(&queue, &partition, 0..5_000).await;
    let mut position = 0;
    let mut seen = Vec::new();
    for round in 0..3_u64 {
        let mut subscription = subscribe_again(&queue, &partition, position).await;
        let messages = take(&mut *subscription, 1_000).await;
        seen.extend(numbers(&messages));
        position = messages.last().expect("some").offset + 1;
        subscription.ack(&receipt(&partition, position)).await.expect("acks");
        harness.server.kill().await.expect("kills");
        let lost = step(async {
            loop {
                match subscription.next(1, MIB).await {
                    Ok(delivery) => {
                        seen.extend(numbers(&delivery.messages));
                        position = delivery.messages.last().expect("some").offset + 1;
                    }
                    Err(error) => return error,
                }
            }
        });
        assert!(matches!(lost.await, QueueError::SubscriptionLost { .. }));
        harness.server.restart().await.expect("restarts");
        // The same queue object publishes again.
        let from = 5_000 + round * 2_000;
        step(async {
            let messages: Vec<_> = (from..from + 2_000)
                .map(|n| common::OutgoingMessage::new(n.to_string()).with_message_id(format!("late-{n}")))
                .collect();
            while queue.publish(&partition, messages.clone()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    }
    let mut subscription = subscribe_again(&queue, &partition, position).await;
    let rest = 11_000 - seen.len();
    seen.extend(numbers(&take(&mut *subscription, rest).await));
    assert_eq!(seen, (0..11_000).collect::<Vec<_>>());
    step(queue.check()).await.expect("answers");
}

#[tokio::test]
async fn a_consumer_deleted_under_a_reader_ends_its_subscription() {
    let harness = NatsHarness::start().await;
    let partition = one_partition(&harness).await;
    publish(&harness.queue, &partition, 0..10).await;
    let mut subscription = subscribe(&harness.queue, &partition, 0).await;
    take(&mut *subscription, 10).await;
    let waiting = tokio::spawn(async move { step(subscription.next(1, MIB)).await.map(|d| d.messages) });
    let stream = harness.jetstream().await.get_stream("orders-0").await.expect("exists");
    let names: Vec<String> = futures::TryStreamExt::try_collect(stream.consumer_names()).await.expect("lists");
    for name in names {
        stream.delete_consumer(&name).await.expect("deletes");
    }
    let error = waiting.await.expect("ends").expect_err("deleted");
    assert!(matches!(error, QueueError::SubscriptionLost { .. }), "{error}");
    let mut subscription = subscribe(&harness.queue, &partition, 11).await;
    publish(&harness.queue, &partition, 10..11).await;
    assert_eq!(numbers(&take(&mut *subscription, 1).await), [10]);
}

#[tokio::test]
async fn another_process_supersedes_and_leaves_one_consumer() {
    let harness = NatsHarness::start().await;
    let partition = one_partition(&harness).await;
    publish(&harness.queue, &partition, 0..10).await;
    let mut earlier = subscribe(&harness.queue, &partition, 0).await;
    take(&mut *earlier, 10).await;
    let other = connect(&harness.server, AckMode::All).await;
    other.open_topic(&topic("orders", 1), None, &[]).await.expect("opens");
    let mut later = subscribe(&other, &partition, 0).await;
    let error = step(earlier.next(1, MIB)).await.expect_err("superseded");
    assert!(matches!(error, QueueError::SubscriptionLost { .. }), "{error}");
    assert_eq!(numbers(&take(&mut *later, 10).await), (0..10).collect::<Vec<_>>());
    let stream = harness.jetstream().await.get_stream("orders-0").await.expect("exists");
    assert_eq!(stream.cached_info().state.consumer_count, 1);
}

#[tokio::test]
async fn a_purge_ahead_of_the_position_starts_at_the_first_that_is_left() {
    let harness = NatsHarness::start().await;
    let partition = one_partition(&harness).await;
    publish(&harness.queue, &partition, 0..100).await;
    let stream = harness.jetstream().await.get_stream("orders-0").await.expect("exists");
    stream.purge().sequence(51).await.expect("purges");
    stream.delete_message(60).await.expect("deletes");
    let bounds = step(harness.queue.bounds(&partition)).await.expect("bounds");
    assert_eq!((bounds.first_offset, bounds.next_offset), (51, 101));
    let mut subscription = subscribe(&harness.queue, &partition, 10).await;
    let expected: Vec<u64> = (51..=100).filter(|offset| *offset != 60).collect();
    assert_eq!(offsets(&take(&mut *subscription, 49).await), expected);
    assert_eq!(offsets(&step(harness.queue.read(&partition, 0, 1_000)).await.expect("reads")), expected);
    stream.purge().await.expect("purges");
    let bounds = step(harness.queue.bounds(&partition)).await.expect("bounds");
    assert_eq!((bounds.first_offset, bounds.next_offset), (101, 101));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_pauses_finds_everything_in_its_place() {
    let harness = NatsHarness::start().await;
    let partition = one_partition(&harness).await;
    let queue = harness.queue.clone();
    let mut subscription = subscribe(&queue, &partition, 0).await;
    publish(&queue, &partition, 0..1).await;
    take(&mut *subscription, 1).await;
    // Without a call of next(), messages accumulate in the client, at most those pulled.
    for start in (1..60_001).step_by(20_000) {
        publish(&queue, &partition, start..start + 20_000).await;
    }
    let start = std::time::Instant::now();
    let mut next = 1;
    while next < 60_001 {
        for number in numbers(&step(subscription.next(10_000, 16 * MIB)).await.expect("delivers").messages) {
            assert_eq!(number, next);
            next += 1;
        }
    }
    println!("{:.0} messages a second in this build", 60_000.0 / start.elapsed().as_secs_f64());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_cut_again_and_again_lose_and_double_nothing() {
    let Proxied { harness, partition, proxy, queue } = Proxied::start().await;
    for start in (0..20_000).step_by(5_000) {
        publish(&harness.queue, &partition, start..start + 5_000).await;
    }
    let mut seen = Vec::new();
    let mut position = 0;
    while seen.len() < 20_000 {
        let mut subscription = subscribe_again(&queue, &partition, position).await;
        // Each connection serves a few deliveries, then is cut with pulls half served.
        for delivery in 0.. {
            if delivery == 3 && seen.len() < 15_000 {
                proxy.cut();
            }
            match step(subscription.next(500, 16 * MIB)).await {
                Ok(delivery) => {
                    seen.extend(numbers(&delivery.messages));
                    position = delivery.messages.last().expect("some").offset + 1;
                    // An ack over a cut connection may be lost, without harm.
                    let _ = subscription.ack(&receipt(&partition, position)).await;
                }
                Err(error) => {
                    assert!(matches!(error, QueueError::SubscriptionLost { .. }), "{error}");
                    break;
                }
            }
            if seen.len() >= 20_000 {
                break;
            }
        }
    }
    assert_eq!(seen, (0..20_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_connection_that_falls_silent_is_noticed_by_missing_heartbeats() {
    let (Proxied { harness, partition, proxy, queue }, mut subscription) = Proxied::reading(10).await;
    proxy.set(Mode::Stall);
    publish(&harness.queue, &partition, 10..20).await;
    let error = step(subscription.next(100, MIB)).await.expect_err("nothing is heard");
    assert!(matches!(error, QueueError::SubscriptionLost { .. }), "{error}");
    proxy.set(Mode::Pass);
    let mut subscription = subscribe_again(&queue, &partition, 11).await;
    assert_eq!(numbers(&take(&mut *subscription, 10).await), (10..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_publish_whose_acks_are_lost_is_repeated_by_id_and_stored_once() {
    let Proxied { harness, partition, proxy, queue } = Proxied::start().await;
    let messages: Vec<_> = (0..50_u64)
        .map(|number| common::OutgoingMessage::new(number.to_string()).with_message_id(number.to_string()))
        .collect();
    proxy.set(Mode::DropReplies);
    let error = step(queue.publish(&partition, messages.clone())).await.expect_err("no ack comes");
    assert!(matches!(error, QueueError::Unavailable { .. }), "{error}");
    proxy.set(Mode::Pass);
    proxy.cut();
    let acks = step(async {
        loop {
            match queue.publish(&partition, messages.clone()).await {
                Ok(acks) => return acks,
                Err(QueueError::Unavailable { .. }) => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await;
    assert!(acks.iter().all(|ack| ack.duplicate), "they were stored at the first attempt");
    let mut subscription = subscribe(&harness.queue, &partition, 0).await;
    assert_eq!(numbers(&take(&mut *subscription, 50).await), (0..50).collect::<Vec<_>>());
    assert_eq!(step(harness.queue.bounds(&partition)).await.expect("bounds").next_offset, 51);
}

/// Stores messages in `orders.0` whose headers end the client's connection.
async fn publish_unreadable(harness: &NatsHarness, headers: &[&[u8]]) {
    let mut client = tokio::net::TcpStream::connect(harness.server.address()).await.expect("connects");
    client.write_all(b"CONNECT {\"verbose\":false,\"headers\":true}\r\n").await.expect("writes");
    for headers in headers {
        let line = format!("HPUB orders.0 {} {}\r\n", headers.len(), headers.len() + 3);
        client.write_all(&[line.as_bytes(), headers, b"bad\r\n"].concat()).await.expect("writes");
    }
    client.write_all(b"PING\r\n").await.expect("writes");
    let mut answer = Vec::new();
    step(async {
        while !answer.ends_with(b"PONG\r\n") {
            assert!(client.read_buf(&mut answer).await.expect("an answer") > 0, "the server closed the connection");
        }
    })
    .await;
}

/// Reads up to this offset, subscribing again after each loss.
async fn read_up_to(queue: &dyn Queue, partition: &TopicPartition, from: u64, end: u64) -> Vec<common::Message> {
    let mut seen = Vec::new();
    let mut position = from;
    while position < end {
        let mut subscription = subscribe_again(queue, partition, position).await;
        while position < end
            && let Ok(delivery) = step(subscription.next(100, MIB)).await
        {
            position = delivery.messages.last().expect("some").offset + 1;
            seen.extend(delivery.messages);
        }
    }
    seen
}

#[tokio::test]
async fn a_message_whose_headers_the_client_cannot_read_is_delivered_and_stalls_nobody() {
    let harness = NatsHarness::start().await;
    let partition = one_partition(&harness).await;
    publish(&harness.queue, &partition, 0..10).await;
    let unreadable = [&b"NATS/1.0\r\nbad name: \xff\r\n\r\n"[..], b"NATS/1.0\r\nno colon\r\n\r\n"];
    publish_unreadable(&harness, &unreadable).await;
    publish(&harness.queue, &partition, 10..20).await;
    let seen = read_up_to(&harness.queue, &partition, 0, 23).await;
    assert_eq!(offsets(&seen), (1..=22).collect::<Vec<_>>());
    assert_eq!((&seen[10].payload[..], seen[10].headers[0].0.as_str()), (&b"bad"[..], "bad name"));
    let read = step(async {
        loop {
            match harness.queue.read(&partition, 0, 100).await {
                Ok(read) => return read,
                Err(error) => assert!(matches!(error, QueueError::Unavailable { .. }), "{error}"),
            }
        }
    });
    assert_eq!(read.await, seen);
}

#[tokio::test]
async fn messages_with_unreadable_headers_disturb_other_topics_once() {
    let harness = NatsHarness::start().await;
    let orders = one_partition(&harness).await;
    let definition = topic("payments", 1);
    harness.queue.create_topic(&definition).await.expect("creates");
    let payments = partition(&definition, 0);
    let unreadable = &b"NATS/1.0\r\nname: \xff\r\n\r\n"[..];
    publish_unreadable(&harness, &[unreadable]).await;
    assert_eq!(read_up_to(&harness.queue, &orders, 0, 2).await.len(), 1);
    let mut undisturbed = subscribe_again(&harness.queue, &payments, 0).await;
    publish(&harness.queue, &payments, 0..1).await;
    assert_eq!(numbers(&take(&mut *undisturbed, 1).await), [0]);
    publish_unreadable(&harness, &[unreadable; 5]).await;
    assert_eq!(offsets(&read_up_to(&harness.queue, &orders, 2, 7).await), [2, 3, 4, 5, 6]);
    let read = step(harness.queue.read(&orders, 1, 7)).await.expect("one by one over the connection of its own");
    assert_eq!(read.len(), 6);
    publish(&harness.queue, &payments, 1..3).await;
    assert_eq!(numbers(&take(&mut *undisturbed, 2).await), [1, 2], "the same subscription goes on");
}
