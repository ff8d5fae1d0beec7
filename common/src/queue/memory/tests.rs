//! Tests of the memory queue's own behaviour; the conformance suite has those of every queue.

use super::*;
use crate::clock::ManualClock;

fn partition() -> TopicPartition {
    TopicPartition::new(TopicName::new("orders").expect("valid"), 0)
}

async fn opened(queue: &InMemoryQueue, next_offset: u64) {
    let definition = TopicDefinition::new(partition().topic, 1);
    queue.open_topic(&definition, None, &[next_offset]).await.expect("opens");
}

#[tokio::test]
async fn numbers_go_on_from_the_watermark_and_never_back() {
    let queue = InMemoryQueue::default();
    opened(&queue, 40).await;
    opened(&queue, 7).await;
    let acks = queue.publish(&partition(), vec![OutgoingMessage::new("a")]).await.expect("stored");
    assert_eq!(acks[0].offset, 40);
    opened(&queue, 100).await;
    let acks = queue.publish(&partition(), vec![OutgoingMessage::new("b")]).await.expect("stored");
    assert_eq!(acks[0].offset, 100);
    let held = queue.read(&partition(), 0, 200).await.expect("reads");
    assert_eq!(held.iter().map(|m| m.offset).collect::<Vec<_>>(), [40, 100]);
}

/// Another process deleted the topic in the catalog and made it again.
#[tokio::test]
async fn a_topic_that_was_made_again_has_no_message_of_the_earlier_one() {
    let queue = InMemoryQueue::default();
    let definition = TopicDefinition::new(partition().topic, 1);
    let open = async |since, next| queue.open_topic(&definition, Some(since), &[next]).await;
    let publish = async || queue.publish(&partition(), vec![OutgoingMessage::new("a")]).await;
    open(100, 3).await.expect("opens");
    publish().await.expect("stored");
    open(100, 3).await.expect("opens again");
    open(200, 0).await.expect("the new one");
    let end = queue.bounds(&partition()).await.expect("open").next_offset;
    assert_eq!((end, queue.used_bytes()), (0, 0));
    assert!(open(100, 3).await.expect_err("late").to_string().contains("deleted and made again"));
    assert_eq!(publish().await.expect("stored")[0].offset, 0);
    queue.close_topic(&definition.name, 100).await;
    publish().await.expect("the new one is still open");
    queue.close_topic(&definition.name, 200).await;
    assert!(matches!(publish().await, Err(QueueError::TopicUnknown { .. })));
    assert_eq!(queue.used_bytes(), 0);
}

#[tokio::test]
async fn timestamps_never_fall_when_the_clock_does() {
    let clock = Arc::new(ManualClock::at(1_000));
    let queue = InMemoryQueue::with_clock(10_000, clock.clone());
    opened(&queue, 0).await;
    queue.publish(&partition(), vec![OutgoingMessage::new("a")]).await.expect("stored");
    clock.set(500);
    queue.publish(&partition(), vec![OutgoingMessage::new("b")]).await.expect("stored");
    let held = queue.read(&partition(), 0, 2).await.expect("reads");
    assert_eq!(held.iter().map(|m| m.timestamp_us).collect::<Vec<_>>(), [1_000, 1_000]);
}

#[tokio::test]
async fn a_message_id_is_forgotten_after_the_window() {
    let clock = Arc::new(ManualClock::at(0));
    let queue = InMemoryQueue::with_clock(10_000, clock.clone());
    opened(&queue, 0).await;
    let message = || vec![OutgoingMessage::new("a").with_message_id("id")];
    queue.publish(&partition(), message()).await.expect("stored");
    let again = queue.publish(&partition(), message()).await.expect("known");
    assert_eq!(again, [PublishAck { offset: 0, duplicate: true }]);
    clock.set(121_000_000);
    let later = queue.publish(&partition(), message()).await.expect("stored");
    assert_eq!(later, [PublishAck { offset: 1, duplicate: false }]);
}

#[tokio::test]
async fn connecting_refuses_what_it_does_not_know() {
    assert!(InMemoryQueue::connect(QueueConfig::default()).await.is_ok());
    let nats = QueueConfig { queue_type: "nats".to_owned(), ..QueueConfig::default() };
    assert!(InMemoryQueue::connect(nats).await.expect_err("type").to_string().contains("\"nats\""));
    let url = QueueConfig { url: "nats://localhost".to_owned(), ..QueueConfig::default() };
    assert!(InMemoryQueue::connect(url).await.expect_err("url").to_string().contains("memory://local"));
    let mut options = QueueConfig::default();
    options.options.insert("capacity_bytes".to_owned(), "many".to_owned());
    assert!(InMemoryQueue::connect(options).await.expect_err("option").to_string().contains("\"many\""));
}

#[tokio::test]
async fn deleting_a_topic_frees_its_bytes_and_ends_its_readers() {
    let queue = InMemoryQueue::default();
    opened(&queue, 0).await;
    let budget = MemoryBudget::new(1_000);
    let request =
        SubscribeRequest { partition: partition(), from_offset: 1, committed: 0, epoch: crate::ids::Epoch(1), budget };
    let mut subscription = queue.subscribe(request).await.expect("subscribes");
    queue.publish(&partition(), vec![OutgoingMessage::new("a")]).await.expect("stored");
    queue.delete_topic(&TopicDefinition::new(partition().topic, 1)).await.expect("deletes");
    assert_eq!(queue.used_bytes(), 0);
    assert!(matches!(subscription.next(1, 1).await, Err(QueueError::SubscriptionLost { .. })));
    let published = queue.publish(&partition(), vec![OutgoingMessage::new("b")]).await;
    assert!(matches!(published, Err(QueueError::TopicUnknown { .. })));
}

#[tokio::test]
async fn a_header_of_two_lines_is_refused_and_nothing_is_stored() {
    let queue = InMemoryQueue::default();
    opened(&queue, 0).await;
    let headers = vec![("a".to_owned(), "one\ntwo".to_owned())];
    let two_lines = OutgoingMessage { headers, ..OutgoingMessage::new("x") };
    let refused =
        queue.publish(&partition(), vec![OutgoingMessage::new("good"), two_lines]).await.expect_err("refused");
    assert!(refused.to_string().contains("header \"a\" holds a line break"), "{refused}");
    assert_eq!(queue.read(&partition(), 0, 9).await.expect("reads"), []);
}
