//! Tests of the tail over a queue in memory, whose messages a test commits and drops step by step.

mod shared;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use async_trait::async_trait;
use catalog::{Partition, SegmentStore, Topic};
use common::queue::memory::InMemoryQueue;
use common::queue::{Bounds, PublishAck, SubscribeRequest};
use common::{
    Anchor, Message, OutgoingMessage, Queue, QueueError, Subscription, TopicDefinition, TopicName, TopicPartition,
};
use lake::schema::OFFSET;
use lake::tail::{TailCursor, TailEnd, TailError, TailLimits, TailRequest, TailRows, TailSource, TailStep};

use super::QueueTail;
use crate::test_lake::{Lake, queue_of};

const ALL: TailLimits = TailLimits { messages_max: usize::MAX, bytes_max: usize::MAX };

/// The offsets of rows and of quarantined records.
fn offsets(rows: &TailRows) -> (Vec<i64>, Vec<i64>) {
    let of = |batches: &[arrow_array::RecordBatch]| {
        let offsets =
            batches.iter().map(|batch| batch.column_by_name(OFFSET).expect("there").as_primitive::<Int64Type>());
        offsets.flat_map(|offsets| offsets.values().to_vec()).collect()
    };
    (of(&rows.rows), of(&rows.quarantine))
}

/// A queue that has dropped its first messages, may have lost its last ones and stored others, and notes what is read of it.
#[derive(Debug)]
struct Drops {
    queue: Mutex<InMemoryQueue>,
    below: AtomicU64,
    reads: Mutex<Vec<(u64, u64)>>,
}

impl Drops {
    fn of(queue: InMemoryQueue) -> Arc<Self> {
        Arc::new(Self { queue: Mutex::new(queue), below: AtomicU64::new(0), reads: Mutex::default() })
    }

    fn queue(&self) -> InMemoryQueue {
        self.queue.lock().expect("whole").clone()
    }

    /// The ranges of more than one offset that were read since the last call.
    fn reads(&self) -> Vec<(u64, u64)> {
        let reads = std::mem::take(&mut *self.reads.lock().expect("whole"));
        reads.into_iter().filter(|(from, to)| to - from > 1).collect()
    }
}

#[async_trait]
impl Queue for Drops {
    async fn create_topic(&self, _: &TopicDefinition) -> Result<(), QueueError> {
        unreachable!("reading makes nothing")
    }

    async fn delete_topic(&self, _: &TopicDefinition) -> Result<(), QueueError> {
        unreachable!("reading deletes nothing")
    }

    async fn open_topic(
        &self,
        topic: &TopicDefinition,
        since: Option<i64>,
        next_offsets: &[u64],
    ) -> Result<(), QueueError> {
        assert!(next_offsets.is_empty(), "reading numbers nothing");
        self.queue().open_topic(topic, since, next_offsets).await
    }

    async fn publish(&self, _: &TopicPartition, _: Vec<OutgoingMessage>) -> Result<Vec<PublishAck>, QueueError> {
        unreachable!("reading publishes nothing")
    }

    async fn subscribe(&self, _: SubscribeRequest) -> Result<Box<dyn Subscription>, QueueError> {
        unreachable!("reading makes no consumer")
    }

    async fn bounds(&self, partition: &TopicPartition) -> Result<Bounds, QueueError> {
        let bounds = self.queue().bounds(partition).await?;
        let first_offset = bounds.first_offset.max(self.below.load(Ordering::Relaxed));
        // A stream that lost its last messages is described as before.
        Ok(Bounds { first_offset, history: "one".to_owned(), ..bounds })
    }

    async fn read(&self, partition: &TopicPartition, from: u64, to: u64) -> Result<Vec<Message>, QueueError> {
        self.reads.lock().expect("whole").push((from, to));
        self.queue().read(partition, from.max(self.below.load(Ordering::Relaxed)), to).await
    }

    async fn check(&self) -> Result<(), QueueError> {
        Ok(())
    }
}

async fn snapshot(lake: &Lake) -> (Arc<Topic>, Partition) {
    let snapshot = lake.catalog.snapshot(&lake.partition.topic).await.expect("there");
    (Arc::new(snapshot.topic), snapshot.partitions[0].clone())
}

async fn end(tail: &QueueTail, topic: &Topic, partition: &Partition) -> Result<TailEnd, TailError> {
    tail.ends(topic, &[partition]).await.pop().expect("one answer")
}

fn request<'r>(topic: &'r Topic, partition: &'r Partition, end: &'r TailEnd) -> TailRequest<'r> {
    let (from_offset, to_offset) = (end.first_offset, end.next_offset);
    TailRequest { topic, partition, from_offset, to_offset, end, after: None, limits: ALL }
}

#[tokio::test]
async fn the_tail_has_what_the_segments_will_have() {
    let mut lake = Lake::new(20).await;
    lake.commit(7).await;
    let tail = QueueTail::new(Arc::new(lake.queue.clone()));
    let (topic, partition) = snapshot(&lake).await;
    let end = end(&tail, &topic, &partition).await.expect("a tail");
    assert_eq!((end.first_offset, end.next_offset), (7, 20));
    let rows = tail.read(request(&topic, &partition, &end)).await.expect("rows");
    // Every fifth message does not fit the column.
    let refused: Vec<i64> = vec![9, 14, 19];
    let good: Vec<i64> = (7..20).filter(|offset| !refused.contains(offset)).collect();
    assert_eq!(offsets(&rows), (good, refused));
    assert_eq!((rows.next_offset, rows.has_holes, rows.gone_before, rows.message_count), (20, false, None, 13));
    let source = crate::pipeline::decode::Source { partition_id: 0, incarnation: partition.incarnation };
    let messages = lake.queue.read(&lake.partition, 7, 20).await.expect("held");
    let decoded = lake.table.decode(source, &messages);
    assert_eq!((rows.rows, rows.quarantine), (vec![decoded.rows.unwrap()], vec![decoded.quarantine.unwrap()]));
}

#[tokio::test]
async fn another_history_gives_no_rows() {
    let mut lake = Lake::new(20).await;
    lake.commit(7).await;
    let (topic, partition) = snapshot(&lake).await;
    let tail = QueueTail::new(Arc::new(lake.queue.clone()));
    let before = end(&tail, &topic, &partition).await.expect("a tail");
    for (history, said) in [
        (vec![(7_000_000, 30)], "is not the one that was read before"),
        (vec![(1_000_000, 3)], "the queue now ends at offset 2"),
    ] {
        let other = QueueTail::new(Arc::new(queue_of(&lake.partition, &history).await));
        let refused = end(&other, &topic, &partition).await.expect_err("another history");
        assert!(matches!(refused, TailError::OtherHistory { .. }), "{refused}");
        assert!(refused.to_string().contains(said), "{refused}");
        let refused = other.read(request(&topic, &partition, &before)).await.expect_err("another history");
        assert!(matches!(refused, TailError::OtherHistory { .. }), "{refused}");
    }
}

#[tokio::test]
async fn a_history_that_changes_between_two_looks_is_noticed_without_a_commit() {
    let lake = Lake::new(20).await;
    let (topic, partition) = snapshot(&lake).await;
    assert_eq!(partition.anchor, None);
    let tail = QueueTail::new(Arc::new(lake.queue.clone()));
    let end = end(&tail, &topic, &partition).await.expect("a tail");
    let last = Anchor::of(&lake.queue.read(&lake.partition, 9, 10).await.expect("held")[0]);
    // The topic is made again.
    let definition = topic.definition();
    lake.queue.delete_topic(&definition).await.expect("deleted");
    let refused = tail.read(request(&topic, &partition, &end)).await.expect_err("gone");
    assert!(matches!(refused, TailError::Queue(_)), "{refused}");
    lake.queue.create_topic(&definition).await.expect("made");
    let refused = tail.read(request(&topic, &partition, &end)).await.expect_err("another queue");
    assert!(refused.to_string().contains("when the reader looked first"), "{refused}");
    // The same with the description of a queue that hides it.
    let other = QueueTail::new(Arc::new(queue_of(&lake.partition, &[(5_000_000, 20)]).await));
    let seen = other.ends(&topic, &[&partition]).await.pop().expect("one").expect("no anchor, no difference");
    let after = TailRequest { after: Some(last), ..request(&topic, &partition, &seen) };
    let refused = other.read(after).await.expect_err("another message");
    assert!(refused.to_string().contains("is not the one that was read before"), "{refused}");
}

/// Twenty messages, of which five are committed, in a queue that can drop some, and a reader of the others.
async fn reading() -> (Lake, Arc<Drops>, QueueTail, TailCursor) {
    let mut lake = Lake::new(20).await;
    lake.commit(5).await;
    let (topic, partition) = snapshot(&lake).await;
    let queue = Drops::of(lake.queue.clone());
    let tail = QueueTail::new(Arc::clone(&queue) as _);
    let end = end(&tail, &topic, &partition).await.expect("a tail");
    (lake, queue, tail, TailCursor::new(topic, partition, end))
}

#[tokio::test]
async fn offsets_that_were_committed_and_dropped_meanwhile_are_found_in_the_catalog() {
    let (mut lake, queue, tail, mut cursor) = reading().await;
    let limits = TailLimits { messages_max: 4, ..ALL };
    let first = cursor.step(&tail, lake.catalog.as_ref(), limits).await.expect("rows");
    assert!(matches!(&first, TailStep::Rows(rows) if rows.next_offset == 9), "{first:?}");
    lake.commit(10).await;
    queue.below.store(15, Ordering::Relaxed);
    let second = cursor.step(&tail, lake.catalog.as_ref(), limits).await.expect("committed");
    assert!(matches!(second, TailStep::Committed(range) if (range.base(), range.next()) == (9, 15)), "{second:?}");
    let third = cursor.step(&tail, lake.catalog.as_ref(), ALL).await.expect("rows");
    assert!(matches!(&third, TailStep::Rows(rows) if rows.message_count == 5), "{third:?}");
    let last = cursor.step(&tail, lake.catalog.as_ref(), ALL).await.expect("the end");
    assert!(matches!(last, TailStep::End), "{last:?}");
}

#[tokio::test]
async fn offsets_that_nobody_has_are_lost_in_so_many_words() {
    let (lake, queue, tail, mut cursor) = reading().await;
    queue.below.store(8, Ordering::Relaxed);
    let first = cursor.step(&tail, lake.catalog.as_ref(), ALL).await.expect("a loss");
    assert!(matches!(first, TailStep::Lost(range) if (range.base(), range.next()) == (5, 8)), "{first:?}");
    let second = cursor.step(&tail, lake.catalog.as_ref(), ALL).await.expect("rows");
    assert!(matches!(&second, TailStep::Rows(rows) if rows.message_count == 12), "{second:?}");
}

#[tokio::test]
async fn a_topic_that_nobody_opened_in_this_process_has_no_messages() {
    let mut lake = Lake::new(20).await;
    lake.commit(5).await;
    let (topic, partition) = snapshot(&lake).await;
    let tail = QueueTail::new(Arc::new(InMemoryQueue::default()));
    let end = end(&tail, &topic, &partition).await.expect("no tail");
    assert_eq!((end.first_offset, end.next_offset), (5, 5));
    let of = TopicPartition::new(TopicName::new("other").expect("valid"), 0);
    assert!(tail.reader.queue.bounds(&of).await.is_err() && tail.reader.queue.bounds(&lake.partition).await.is_err());
}
