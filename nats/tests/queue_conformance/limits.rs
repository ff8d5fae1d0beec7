//! Limits of every queue: sizes, memory, and the effects of a cancelled call.

use std::time::Duration;

use common::memory::MemoryBudget;
use common::message::OutgoingMessage;
use common::{ErrorKind, QueueError};
use futures::FutureExt;

use crate::harness::*;

pub(crate) async fn the_largest_message_passes_and_a_larger_one_is_refused(harness: &dyn Harness) {
    let (queue, partition) = (harness.queue(), one_partition(harness).await);
    let largest = harness.payload_bytes_max();
    let payload = |bytes| OutgoingMessage::new(vec![7_u8; bytes]);
    step(queue.publish(&partition, vec![payload(largest), OutgoingMessage::new("1")])).await.expect("stored");
    let error = step(queue.publish(&partition, vec![OutgoingMessage::new("2"), payload(largest + 1)])).await;
    let error = error.expect_err("too large");
    assert!(matches!(error, QueueError::MessageTooLarge { bytes, bytes_max } if bytes > bytes_max), "{error}");
    assert_eq!(error.kind(), ErrorKind::Poison);
    let mut subscription = subscribe(queue, &partition, 0).await;
    let messages = take(&mut *subscription, 2).await;
    assert_eq!((messages[0].payload.len(), &messages[1].payload[..]), (largest, &b"1"[..]));
    let read = step(queue.read(&partition, messages[0].offset, messages[1].offset)).await.expect("reads");
    assert!(read == messages[..1], "the largest is read by itself");
    let bounds = step(queue.bounds(&partition)).await.expect("bounds");
    assert_eq!(bounds.next_offset, messages[1].offset + 1, "nothing of the refused call was stored");
}

pub(crate) async fn limits_of_a_call_are_kept(harness: &dyn Harness) {
    let (queue, partition) = (harness.queue(), one_partition(harness).await);
    publish(queue, &partition, 0..100).await;
    let mut subscription = subscribe(queue, &partition, 0).await;
    let delivery = step(subscription.next(7, MIB)).await.expect("delivers");
    assert!((1..=7).contains(&delivery.messages.len()));
    let one = step(subscription.next(100, 1)).await.expect("delivers");
    assert_eq!(one.messages.len(), 1, "at least one, however large");
    let rest = take(&mut *subscription, 100 - delivery.messages.len() - 1).await;
    assert_eq!(numbers(&rest).last(), Some(&99));
}

pub(crate) async fn the_budget_is_never_exceeded(harness: &dyn Harness) {
    let (queue, partition) = (harness.queue(), one_partition(harness).await);
    let messages = (0..64).map(|_| OutgoingMessage::new(vec![1_u8; 100_000])).collect();
    step(queue.publish(&partition, messages)).await.expect("stored");
    let budget = MemoryBudget::new(4 * MIB);
    let mut subscription = subscribe_with(queue, &partition, 0, &budget).await;
    let mut taken = 0;
    while taken < 64 {
        taken += step(subscription.next(1_000, MIB)).await.expect("delivers").messages.len();
    }
    assert!(budget.used_bytes_peak() <= budget.capacity_bytes(), "{} bytes", budget.used_bytes_peak());
    assert!(budget.used_bytes_peak() > 0);
    step(subscription.close()).await.expect("closes");
    assert_eq!(budget.used_bytes(), 0, "everything is given back");
}

pub(crate) async fn without_memory_nothing_is_fetched(harness: &dyn Harness) {
    let (queue, partition) = (harness.queue(), one_partition(harness).await);
    publish(queue, &partition, 0..10).await;
    let budget = MemoryBudget::new(4 * MIB);
    let held = budget.try_acquire(4 * MIB).expect("free");
    let mut subscription = subscribe_with(queue, &partition, 0, &budget).await;
    {
        let mut next = subscription.next(10, MIB);
        tokio::select! {
            _ = &mut next => panic!("delivered without memory"),
            () = until("the reader waits for memory", async || budget.waiters() == 1) => {}
        }
        assert_eq!(budget.used_bytes_peak(), budget.capacity_bytes());
    }
    drop(held);
    assert_eq!(numbers(&take(&mut *subscription, 10).await), (0..10).collect::<Vec<_>>());
}

pub(crate) async fn idle_partitions_leave_memory_to_busy_ones(harness: &dyn Harness) {
    let queue = harness.queue();
    let definition = topic("orders", 12);
    queue.create_topic(&definition).await.expect("creates");
    // Room for about three pulls: twelve readers cannot all wait with memory held.
    let budget = MemoryBudget::new(4 * MIB);
    let mut idle = tokio::task::JoinSet::new();
    for id in 0..11 {
        let mut subscription = subscribe_with(queue, &partition(&definition, id), 0, &budget).await;
        idle.spawn(async move { subscription.next(1, MIB).await.map(|delivery| delivery.messages.len()) });
    }
    let busy = partition(&definition, 11);
    let mut subscription = subscribe_with(queue, &busy, 0, &budget).await;
    for round in 0..5 {
        publish(queue, &busy, round * 10..round * 10 + 10).await;
        let messages = take(&mut *subscription, 10).await;
        assert_eq!(numbers(&messages), (round * 10..round * 10 + 10).collect::<Vec<_>>());
    }
    assert!(budget.used_bytes_peak() <= budget.capacity_bytes());
    for id in 0..11 {
        publish(queue, &partition(&definition, id), 0..1).await;
    }
    while let Some(delivered) = step(idle.join_next()).await {
        assert_eq!(delivered.expect("ends").expect("delivers"), 1);
    }
}

pub(crate) async fn a_cancelled_call_loses_nothing(harness: &dyn Harness) {
    let (queue, partition) = (harness.queue(), one_partition(harness).await);
    let budget = MemoryBudget::new(64 * MIB);
    let mut subscription = subscribe_with(queue, &partition, 0, &budget).await;
    let mut messages = Vec::new();
    let mut cancelled = 0;
    for round in 0_u64..200 {
        if round % 10 == 0 {
            publish(queue, &partition, round * 5..round * 5 + 50).await;
        }
        // Cancelled at its first await, or a moment later.
        let taken = if round % 2 == 0 {
            subscription.next(7, MIB).now_or_never()
        } else {
            tokio::time::timeout(Duration::from_micros(round * 20), subscription.next(7, MIB)).await.ok()
        };
        match taken {
            Some(delivery) => messages.extend(delivery.expect("delivers").messages),
            None => cancelled += 1,
        }
    }
    assert!(cancelled > 0, "the case cancelled something");
    messages.extend(take(&mut *subscription, 1_000 - messages.len()).await);
    assert_eq!(numbers(&messages), (0..1_000).collect::<Vec<_>>());
}
