//! The memory queue's own behaviour: back-pressure by bytes, many concurrent publishers.

use std::sync::Arc;

use common::message::{Message, OutgoingMessage};
use common::queue::Queue;
use common::queue::memory::InMemoryQueue;

use crate::harness::*;

#[tokio::test]
async fn publishing_waits_while_full_and_goes_on_after_an_ack() {
    let queue = Arc::new(InMemoryQueue::new(10_000));
    let definition = topic("orders", 1);
    queue.create_topic(&definition).await.expect("creates");
    let partition = partition(&definition, 0);
    let publisher = tokio::spawn({
        let (queue, partition) = (Arc::clone(&queue), partition.clone());
        async move { publish(&*queue, &partition, 0..500).await.len() }
    });
    let mut subscription = subscribe(&*queue, &partition, 0).await;
    let mut messages: Vec<Message> = Vec::new();
    let mut waited = 0;
    while messages.len() < 500 {
        messages.extend(step(subscription.next(1_000, MIB)).await.expect("delivers").messages);
        waited += queue.waiting_publishers();
        assert!(queue.used_bytes() <= 10_000);
        let watermark = messages.last().expect("some").offset + 1;
        subscription.ack(&receipt(&partition, watermark)).await.expect("acks");
    }
    assert!(waited > 0, "the publisher had to wait");
    assert_eq!(publisher.await.expect("ends"), 500);
    assert_eq!(numbers(&messages), (0..500).collect::<Vec<_>>());
    assert_eq!(queue.used_bytes(), 0);
}

#[tokio::test]
async fn a_publisher_that_gives_up_waiting_leaves_the_queue_usable() {
    let queue = InMemoryQueue::new(1_000);
    let definition = topic("orders", 1);
    queue.create_topic(&definition).await.expect("creates");
    let partition = partition(&definition, 0);
    let payload = || vec![OutgoingMessage::new(vec![0_u8; 700])];
    queue.publish(&partition, payload()).await.expect("stored");
    let waiting = tokio::time::timeout(std::time::Duration::from_millis(20), queue.publish(&partition, payload()));
    assert!(waiting.await.is_err(), "it waits");
    let mut subscription = subscribe(&queue, &partition, 0).await;
    take(&mut *subscription, 1).await;
    subscription.ack(&receipt(&partition, 1)).await.expect("acks");
    let acks = step(queue.publish(&partition, payload())).await.expect("stored");
    assert_eq!(acks[0].offset, 1, "what was given up is not stored");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_publishers_keep_their_own_order_over_a_million_messages() {
    let queue = Arc::new(InMemoryQueue::new(512 * MIB));
    let definition = topic("orders", 4);
    queue.create_topic(&definition).await.expect("creates");
    let mut publishers = tokio::task::JoinSet::new();
    for publisher in 0..8_u64 {
        let (queue, partition) = (Arc::clone(&queue), partition(&definition, (publisher % 4) as u32));
        publishers.spawn(async move {
            for round in 0..125_u64 {
                let payload = |n: u64| OutgoingMessage::new([publisher.to_le_bytes(), n.to_le_bytes()].concat());
                let messages = (round * 1_000..(round + 1) * 1_000).map(payload).collect();
                queue.publish(&partition, messages).await.expect("stored");
            }
        });
    }
    publishers.join_all().await;
    for id in 0..4 {
        let mut subscription = subscribe(&*queue, &partition(&definition, id), 0).await;
        let mut next = std::collections::HashMap::new();
        let mut count = 0;
        while count < 250_000 {
            for message in step(subscription.next(10_000, 16 * MIB)).await.expect("delivers").messages {
                assert_eq!(message.offset, count);
                count += 1;
                let (publisher, number) = message.payload.split_at(8);
                let expected = next.entry(publisher.to_vec()).or_insert(0_u64);
                assert_eq!(number, expected.to_le_bytes());
                *expected += 1;
            }
        }
    }
}
