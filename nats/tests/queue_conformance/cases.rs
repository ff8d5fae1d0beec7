//! Messages in every queue: delivered in order, once, again after a loss, never twice.

use common::message::OutgoingMessage;
use common::queue::{Page, PageLimits};
use common::{ErrorKind, QueueError};

use crate::harness::*;

pub(crate) async fn messages_come_in_order_and_each_once(harness: &dyn Harness) {
    let (queue, partition) = (harness.queue(), one_partition(harness).await);
    let mut subscription = subscribe(queue, &partition, 0).await;
    let mut stored = publish(queue, &partition, 0..1_000).await;
    let mut messages = take(&mut *subscription, 1_000).await;
    stored.extend(publish(queue, &partition, 1_000..3_000).await);
    messages.extend(take(&mut *subscription, 2_000).await);
    assert_eq!(numbers(&messages), (0..3_000).collect::<Vec<_>>());
    assert_eq!(offsets(&messages), stored);
    assert!(stored.windows(2).all(|pair| pair[1] == pair[0] + 1), "offsets are dense");
    assert!(messages.windows(2).all(|pair| pair[0].timestamp_us <= pair[1].timestamp_us));
    assert!(messages[0].timestamp_us > 1_600_000_000_000_000, "microseconds since 1970");
    assert_eq!(&*messages[0].subject, "orders.0");
    step(subscription.close()).await.expect("closes");
}

pub(crate) async fn a_new_subscription_starts_at_the_watermark(harness: &dyn Harness) {
    let (queue, partition) = (harness.queue(), one_partition(harness).await);
    let stored = publish(queue, &partition, 0..100).await;
    let mut subscription = subscribe(queue, &partition, 0).await;
    take(&mut *subscription, 100).await;
    let watermark = stored[60];
    step(subscription.ack(&receipt(&partition, watermark))).await.expect("acks");
    step(subscription.ack(&receipt(&partition, watermark))).await.expect("acks again");
    step(subscription.close()).await.expect("closes");
    let mut subscription = subscribe(queue, &partition, watermark).await;
    let messages = take(&mut *subscription, 40).await;
    assert_eq!(numbers(&messages), (60..100).collect::<Vec<_>>());
    let other = common::TopicPartition::new(partition.topic.clone(), 7);
    let refused = step(subscription.ack(&receipt(&other, watermark))).await;
    assert!(matches!(refused, Err(QueueError::Refused { .. })), "{refused:?}");
}

pub(crate) async fn a_dropped_subscription_loses_nothing(harness: &dyn Harness) {
    let (queue, partition) = (harness.queue(), one_partition(harness).await);
    let stored = publish(queue, &partition, 0..500).await;
    let mut subscription = subscribe(queue, &partition, 0).await;
    take(&mut *subscription, 200).await;
    drop(subscription);
    let mut subscription = subscribe(queue, &partition, stored[100]).await;
    let messages = take(&mut *subscription, 400).await;
    assert_eq!(numbers(&messages), (100..500).collect::<Vec<_>>());
}

pub(crate) async fn a_superseded_subscription_fails(harness: &dyn Harness) {
    let (queue, partition) = (harness.queue(), one_partition(harness).await);
    publish(queue, &partition, 0..10).await;
    let mut earlier = subscribe(queue, &partition, 0).await;
    take(&mut *earlier, 10).await;
    let waiting = tokio::spawn(async move {
        let result = step(earlier.next(10, MIB)).await;
        let again = step(earlier.next(10, MIB)).await;
        (result.map(|delivery| delivery.messages), again.map(|delivery| delivery.messages))
    });
    let mut later = subscribe(queue, &partition, 0).await;
    let (result, again) = waiting.await.expect("ends");
    for result in [result, again] {
        let error = result.expect_err("superseded");
        assert!(matches!(error, QueueError::SubscriptionLost { .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
    assert_eq!(numbers(&take(&mut *later, 10).await), (0..10).collect::<Vec<_>>());
}

pub(crate) async fn a_message_id_is_stored_once(harness: &dyn Harness) {
    let (queue, partition) = (harness.queue(), one_partition(harness).await);
    let message = |number: u64| OutgoingMessage::new(number.to_string()).with_message_id(format!("id-{number}"));
    let first = step(queue.publish(&partition, vec![message(0), message(1)])).await.expect("stored");
    assert!(first.iter().all(|ack| !ack.duplicate));
    let again = step(queue.publish(&partition, vec![message(1), message(2), message(2)])).await.expect("stored");
    assert_eq!(again.iter().map(|ack| ack.duplicate).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(again[0].offset, first[1].offset);
    assert_eq!(again[2].offset, again[1].offset);
    let mut subscription = subscribe(queue, &partition, 0).await;
    assert_eq!(numbers(&take(&mut *subscription, 3).await), [0, 1, 2]);
}

pub(crate) async fn content_comes_back_untouched(harness: &dyn Harness) {
    let (queue, partition) = (harness.queue(), one_partition(harness).await);
    let headers = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let sent = vec![
        OutgoingMessage::new(""),
        OutgoingMessage::new("").with_key(""),
        OutgoingMessage::new("plain").with_key("user-1"),
        OutgoingMessage::new(&b"\x00\xff\r\n"[..]).with_key(&b"\x00\xff binary"[..]),
        OutgoingMessage::new("spaces").with_key(" edge "),
        OutgoingMessage {
            headers: headers(&[("a-trace", "one"), ("a-trace", "two"), ("b-empty", ""), ("c-text", "é: ü")]),
            ..OutgoingMessage::new("headers")
        },
        OutgoingMessage::new("NATS/1.0 409 Consumer Deleted\r\n\r\n"),
        OutgoingMessage::new("awaited").awaited(),
        OutgoingMessage::new("awaited").with_key("user-1").awaited(),
    ];
    step(queue.publish(&partition, sent.clone())).await.expect("stored");
    let mut subscription = subscribe(queue, &partition, 0).await;
    let taken = take(&mut *subscription, sent.len()).await;
    let read = step(queue.read(&partition, 0, u64::MAX)).await.expect("reads");
    assert_eq!(taken, read, "both ways show the same");
    for (sent, taken) in sent.iter().zip(&taken) {
        assert_eq!((&sent.payload, &sent.key, &sent.headers), (&taken.payload, &taken.key, &taken.headers));
        assert_eq!(sent.is_awaited, taken.is_awaited, "{sent:?}");
    }
}

pub(crate) async fn stored_messages_are_read_and_bounded(harness: &dyn Harness) {
    let (queue, partition) = (harness.queue(), one_partition(harness).await);
    let empty = step(queue.bounds(&partition)).await.expect("bounds");
    assert_eq!(empty.first_offset, empty.next_offset);
    let stored = publish(queue, &partition, 0..2_500).await;
    assert_eq!(stored[0], empty.next_offset);
    let bounds = step(queue.bounds(&partition)).await.expect("bounds");
    assert_eq!((bounds.first_offset, bounds.next_offset), (stored[0], stored[2_499] + 1));
    assert_eq!(bounds.history, empty.history);
    for (from, to) in [(0, 2_500), (10, 11), (700, 2_100), (5, 5), (2_499, 2_500)] {
        let to_offset = stored.get(to).copied().unwrap_or(stored[2_499] + 1);
        let messages = step(queue.read(&partition, stored[from], to_offset)).await.expect("reads");
        assert_eq!(numbers(&messages), (from as u64..to as u64).collect::<Vec<_>>());
        assert_eq!(offsets(&messages), stored[from..to]);
    }
    let beyond = step(queue.read(&partition, stored[2_499] + 1, u64::MAX)).await.expect("reads");
    assert!(beyond.is_empty());
    assert!(step(queue.read(&partition, 9, 3)).await.expect("reads").is_empty(), "an empty range");
    step(queue.check()).await.expect("answers");
}

pub(crate) async fn pages_hold_each_stored_message_once(harness: &dyn Harness) {
    let (queue, partition) = (harness.queue(), one_partition(harness).await);
    let stored = publish(queue, &partition, 0..2_500).await;
    let (first, end) = (stored[0], stored[2_499] + 1);
    for (messages_max, bytes_max) in [(1, 1), (1_100, usize::MAX), (usize::MAX, 50_000), (usize::MAX, usize::MAX)] {
        let (mut next, mut seen) = (first, Vec::new());
        // Pages of one message show their shape soon.
        while next < end && seen.len() < 1_300 * messages_max.min(2) {
            let limits = PageLimits { messages_max, bytes_max };
            let page = step(queue.read_page(&partition, next, u64::MAX, limits)).await.expect("reads");
            assert!(!page.messages.is_empty() && page.messages.len() <= messages_max);
            assert!(page.next_offset > page.messages[page.messages.len() - 1].offset);
            seen.extend(offsets(&page.messages));
            next = page.next_offset;
        }
        assert_eq!(seen, stored[..seen.len()]);
        assert!(seen.len() >= 1_300, "{}", seen.len());
    }
    let all = PageLimits { messages_max: usize::MAX, bytes_max: usize::MAX };
    let beyond = step(queue.read_page(&partition, end, end + 5, all)).await.expect("reads");
    assert_eq!(beyond, Page { messages: vec![], next_offset: end + 5 });
    let part = step(queue.read_page(&partition, stored[3], stored[7], all)).await.expect("reads");
    assert_eq!((offsets(&part.messages), part.next_offset), (stored[3..7].to_vec(), stored[7]));
}

pub(crate) async fn an_offset_below_the_first_starts_at_the_first(harness: &dyn Harness) {
    let (queue, partition) = (harness.queue(), one_partition(harness).await);
    let stored = publish(queue, &partition, 0..10).await;
    let mut subscription = subscribe(queue, &partition, 0).await;
    assert_eq!(take(&mut *subscription, 1).await[0].offset, stored[0], "0 is below JetStream's first");
}

pub(crate) async fn unknown_topics_and_partitions_are_named(harness: &dyn Harness) {
    let (queue, known) = (harness.queue(), one_partition(harness).await);
    let unknown = partition(&topic("nowhere", 1), 0);
    let error = step(queue.publish(&unknown, vec![])).await.expect_err("unknown topic");
    assert!(matches!(error, QueueError::TopicUnknown { .. }) && error.to_string().contains("nowhere"), "{error}");
    let beyond = common::TopicPartition::new(known.topic.clone(), 1);
    let error = step(queue.bounds(&beyond)).await.expect_err("unknown partition");
    assert!(matches!(error, QueueError::PartitionUnknown { partition_count: 1, .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Fatal);
}

pub(crate) async fn creating_again_is_harmless_and_differing_is_refused(harness: &dyn Harness) {
    let queue = harness.queue();
    let definition = topic("orders", 2);
    queue.create_topic(&definition).await.expect("creates");
    publish(queue, &partition(&definition, 1), 0..3).await;
    queue.create_topic(&definition).await.expect("creates again");
    queue.open_topic(&definition, None, &[0, 0]).await.expect("opens again");
    let mut subscription = subscribe(queue, &partition(&definition, 1), 0).await;
    assert_eq!(numbers(&take(&mut *subscription, 3).await), [0, 1, 2], "the messages are still there");
    let mut differing = definition.clone();
    differing.options.stream_limits =
        Some(common::topic::StreamLimits { bytes_max: Some(1_000_000), ..Default::default() });
    for differing in [differing, topic("orders", 1)] {
        let error = queue.create_topic(&differing).await.expect_err("differs");
        assert!(matches!(error, QueueError::Refused { .. }), "{error}");
    }
    queue.delete_topic(&definition).await.expect("deletes");
    queue.delete_topic(&definition).await.expect("deletes again");
    queue.create_topic(&topic("orders", 1)).await.expect("creates anew");
}

pub(crate) async fn a_deleted_topic_ends_its_subscription(harness: &dyn Harness) {
    let (queue, partition) = (harness.queue(), one_partition(harness).await);
    publish(queue, &partition, 0..10).await;
    let mut subscription = subscribe(queue, &partition, 0).await;
    take(&mut *subscription, 10).await;
    let waiting = tokio::spawn(async move { step(subscription.next(1, 1)).await.map(|delivery| delivery.messages) });
    queue.delete_topic(&topic("orders", 1)).await.expect("deletes");
    let error = waiting.await.expect("ends").expect_err("the topic is gone");
    assert!(matches!(error, QueueError::SubscriptionLost { .. }), "{error}");
}

pub(crate) async fn every_partition_is_served(harness: &dyn Harness) {
    let (queue, count) = (harness.queue(), harness.many_partitions());
    let definition = topic("many", count);
    queue.create_topic(&definition).await.expect("creates");
    let budget = common::memory::MemoryBudget::new(64 * MIB);
    let mut subscriptions = Vec::new();
    for id in 0..count {
        subscriptions.push(subscribe_with(queue, &partition(&definition, id), 0, &budget).await);
    }
    let readers = subscriptions.into_iter().map(async |mut subscription| {
        let messages = take(&mut *subscription, 20).await;
        numbers(&messages)
    });
    let publisher = async {
        for half in [0..10, 10..20] {
            for id in 0..count {
                publish(queue, &partition(&definition, id), half.clone()).await;
            }
        }
    };
    let (read, ()) = tokio::join!(futures::future::join_all(readers), publisher);
    assert!(read.iter().all(|numbers| *numbers == (0..20).collect::<Vec<_>>()));
    assert_eq!(read.len(), count as usize);
    assert!(budget.used_bytes_peak() <= budget.capacity_bytes());
}
