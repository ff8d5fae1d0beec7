//! What goes wrong around JetStream, and that nothing is lost or doubled by it.

use std::time::Duration;

use common::memory::MemoryBudget;
use common::queue::nats::AckMode;
use common::queue::{Queue, SubscribeRequest, Subscription};
use common::{Epoch, QueueError, TopicPartition};

use crate::harness::*;

/// Subscribes again, with patience, as a writer does after a loss.
async fn subscribe_again(queue: &dyn Queue, partition: &TopicPartition, from_offset: u64) -> Box<dyn Subscription> {
    let budget = MemoryBudget::new(64 * MIB);
    step(async {
        loop {
            let request =
                SubscribeRequest { partition: partition.clone(), from_offset, epoch: Epoch(1), budget: budget.clone() };
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
        let messages = take(&mut *subscription, 1_500).await;
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
        // The same queue publishes again.
        let from = 5_000 + round * 10;
        step(async {
            let messages: Vec<_> = (from..from + 10)
                .map(|n| common::OutgoingMessage::new(n.to_string()).with_message_id(format!("late-{n}")))
                .collect();
            while queue.publish(&partition, messages.clone()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    }
    let mut subscription = subscribe_again(&queue, &partition, position).await;
    let rest = 5_030 - seen.len();
    seen.extend(numbers(&take(&mut *subscription, rest).await));
    assert_eq!(seen, (0..5_030).collect::<Vec<_>>());
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
    other.open_topic(&topic("orders", 1), &[]).await.expect("opens");
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
    // While nobody calls next(), messages pile up in the client, at most what was pulled.
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
