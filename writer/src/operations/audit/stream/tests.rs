//! Pages of a queue whose messages are large, or become large.

use async_trait::async_trait;
use common::queue::memory::InMemoryQueue;
use common::queue::{PublishAck, SubscribeRequest};
use common::{Epoch, OutgoingMessage, OwnerId, QueueError, Subscription, TopicDefinition, TopicName};
use uuid::Uuid;

use super::*;

/// Counts the bytes of its answers, and how many are on their way at once.
#[derive(Debug)]
struct Measured {
    queue: InMemoryQueue,
    under_way: AtomicUsize,
    most_at_once: AtomicUsize,
    most_bytes: AtomicUsize,
    reads: AtomicUsize,
}

#[async_trait]
impl Queue for Measured {
    async fn create_topic(&self, topic: &TopicDefinition) -> Result<(), QueueError> {
        self.queue.create_topic(topic).await
    }

    async fn delete_topic(&self, topic: &TopicDefinition) -> Result<(), QueueError> {
        self.queue.delete_topic(topic).await
    }

    async fn open_topic(
        &self,
        topic: &TopicDefinition,
        since: Option<i64>,
        next_offsets: &[u64],
    ) -> Result<(), QueueError> {
        self.queue.open_topic(topic, since, next_offsets).await
    }

    async fn publish(
        &self,
        to: &TopicPartition,
        messages: Vec<OutgoingMessage>,
    ) -> Result<Vec<PublishAck>, QueueError> {
        self.queue.publish(to, messages).await
    }

    async fn subscribe(&self, request: SubscribeRequest) -> Result<Box<dyn Subscription>, QueueError> {
        self.queue.subscribe(request).await
    }

    async fn bounds(&self, partition: &TopicPartition) -> Result<Bounds, QueueError> {
        self.queue.bounds(partition).await
    }

    async fn read(&self, partition: &TopicPartition, from: u64, to: u64) -> Result<Vec<Message>, QueueError> {
        self.most_at_once.fetch_max(self.under_way.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.reads.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        let found = self.queue.read(partition, from, to).await?;
        self.most_bytes.fetch_max(found.iter().map(|message| message.payload.len()).sum(), Ordering::Relaxed);
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        Ok(found)
    }

    async fn check(&self) -> Result<(), QueueError> {
        self.queue.check().await
    }
}

/// A queue with messages of these sizes.
async fn queue_of(partition: &TopicPartition, sizes: impl Iterator<Item = usize>) -> Measured {
    let queue = InMemoryQueue::new(1 << 30);
    queue.open_topic(&TopicDefinition::new(partition.topic.clone(), 1), None, &[0]).await.expect("opened");
    let messages = sizes.map(|size| OutgoingMessage::new(vec![b'x'; size])).collect();
    queue.publish(partition, messages).await.expect("published");
    let zero = || AtomicUsize::new(0);
    Measured { queue, under_way: zero(), most_at_once: zero(), most_bytes: zero(), reads: zero() }
}

/// Compares commits of `each` messages, eight at once, and returns the number of messages that were the same.
async fn compared(queue: &Measured, partition: &TopicPartition, each: usize) -> u64 {
    let bounds = queue.bounds(partition).await.expect("bounds");
    let held = queue.queue.read(partition, 0, bounds.next_offset).await.expect("read");
    let (turn, page) = (Semaphore::new(1), AtomicUsize::new(FIRST_PAGE_MESSAGES));
    let view = StreamView { queue, partition: partition.clone(), bounds, skipped: Vec::new(), turn, page };
    let compare = |messages: &[Message]| {
        let (first, last) = (&messages[0], &messages[messages.len() - 1]);
        let commit = CommitRecord {
            incarnation: Incarnation(0),
            first_commit_no: 1,
            commit_no: 1,
            range: OffsetRange::new(first.offset, last.offset).expect("a range"),
            epoch: Epoch(1),
            owner: OwnerId(Uuid::nil()),
            message_count: messages.len() as u64,
            record_count: None,
            quarantined_count: None,
            data_segment_id: None,
            quarantine_segment_id: None,
            anchor: Anchor::of(last),
            snapshot_id: None,
            committed_at: 0,
        };
        let places: Vec<_> = messages.iter().map(|message| (message.offset, message.timestamp_us)).collect();
        let view = &view;
        async move { view.compare(&commit, &places).await.expect("compared") }
    };
    let all = futures::future::join_all(held.chunks(each).map(compare)).await;
    assert!(all.iter().all(|compared| compared.problems.is_empty() && compared.discarded == 0));
    all.iter().map(|compared| compared.messages).sum()
}

#[tokio::test]
async fn large_messages_are_read_one_page_at_a_time_and_pages_fit_their_size() {
    const SIZE: usize = 4 << 20;
    let partition = TopicPartition::new(TopicName::new("t").expect("valid"), 0);
    let queue = queue_of(&partition, std::iter::repeat_n(SIZE, 32)).await;
    assert_eq!(compared(&queue, &partition, 16).await, 32);
    assert_eq!(queue.most_at_once.into_inner(), 1);
    assert_eq!(queue.most_bytes.into_inner(), FIRST_PAGE_MESSAGES * SIZE, "the first read, and no other");
    // 8 messages, then one at a time: with what the queue adds to each, two of them are more than a page.
    assert_eq!(queue.reads.into_inner(), 1 + 24);
}

#[tokio::test]
async fn small_messages_are_read_in_large_pages_and_a_surprise_is_eight_messages() {
    let partition = TopicPartition::new(TopicName::new("t").expect("valid"), 0);
    let sizes = std::iter::repeat_n(10, 1024).chain(std::iter::repeat_n(2 << 20, 16));
    let queue = queue_of(&partition, sizes).await;
    assert_eq!(compared(&queue, &partition, 1024).await, 1040);
    assert_eq!(queue.most_bytes.into_inner(), FIRST_PAGE_MESSAGES * (2 << 20));
    // 8, 16, 32, 64, 128, 256 three times and the rest; 8 large ones, then three at a time.
    assert_eq!(queue.reads.into_inner(), 9 + 4);
}
