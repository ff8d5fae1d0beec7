//! Cases: records that are in the queue and not committed yet.
//!
//! Owns: a tail whose queue can lose what it had. Does not own: the tail itself (`writer`).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use catalog::{Membership, Partition, Topic};
use common::queue::memory::InMemoryQueue;
use common::{MemberId, OutgoingMessage, Queue, TopicPartition};
use consumer::{FetchError, FetchParts, Fetcher, GroupConsumer, GroupError, OutOfRange, ResetTo, Start, plan_reset};
use lake::tail::{TailEnd, TailError, TailRequest, TailRows, TailSource};
use uuid::Uuid;
use writer::QueueTail;

use super::lake::*;

const RAW: &str = r#"{"format":"raw"}"#;
const QUIET: Duration = Duration::from_millis(50);

/// The tail of a queue that another one can take the place of, and the messages that its readers saw before.
#[derive(Debug)]
struct Replaceable {
    tail: Mutex<Arc<QueueTail>>,
    after: Mutex<Vec<Option<u64>>>,
    /// The partitions whose ends were asked for.
    asked: Mutex<BTreeSet<u32>>,
}

impl Replaceable {
    fn new(queue: &Arc<dyn Queue>) -> Arc<Self> {
        let tail = Mutex::new(Arc::new(QueueTail::new(Arc::clone(queue))));
        Arc::new(Self { tail, after: Mutex::default(), asked: Mutex::default() })
    }

    fn replace(&self, queue: Arc<dyn Queue>) {
        *self.tail.lock().expect("no panic") = Arc::new(QueueTail::new(queue));
    }

    fn tail(&self) -> Arc<QueueTail> {
        Arc::clone(&self.tail.lock().expect("no panic"))
    }
}

#[async_trait]
impl TailSource for Replaceable {
    async fn ends(&self, topic: &Topic, partitions: &[&Partition]) -> Vec<Result<TailEnd, TailError>> {
        self.asked.lock().expect("no panic").extend(partitions.iter().map(|of| of.partition_id));
        self.tail().ends(topic, partitions).await
    }

    async fn read(&self, request: TailRequest<'_>) -> Result<TailRows, TailError> {
        self.after.lock().expect("no panic").push(request.after.map(|anchor| anchor.offset));
        self.tail().read(request).await
    }
}

fn fetcher(lake: &Lake, tail: &Arc<Replaceable>) -> Fetcher {
    Fetcher::open(FetchParts { tail: Some(Arc::clone(tail) as _), ..lake.parts() }).expect("opens")
}

async fn publish(queue: &dyn Queue, of: &TopicPartition, values: Vec<String>) {
    queue.publish(of, values.into_iter().map(OutgoingMessage::new).collect()).await.expect("published");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_follow_each_other_through_segments_and_queue_and_name_the_last_one_seen() {
    let lake = Lake::new(1, RAW).await;
    lake.commit(0, numbered(0..10)).await;
    let queue = Arc::clone(lake.writer.queue());
    publish(queue.as_ref(), &lake.partition(0), numbered(10..20)).await;
    let tail = Replaceable::new(&queue);
    let (fetcher, of) = (fetcher(&lake, &tail), lake.partition(0));
    let first = fetcher.fetch(&request(&of, Start::Begin, 12)).await.expect("read");
    assert_eq!(values(&first.batches), numbered(0..12), "the seam is in the middle of an answer");
    assert_eq!((first.high_watermark, first.end), (10, Some(20)));
    for (fetcher, end) in [(fetcher.clone(), 20), (fetcher.without_tail(), 10)] {
        let planned = plan_reset(&fetcher, "g", std::slice::from_ref(&of), ResetTo::End).await.expect("planned");
        assert_eq!(planned[0].row.committed_offset, end);
    }
    let mut next = request(&of, Start::Position(first.next), 5);
    next.seen = first.seen;
    let second = fetcher.fetch(&next).await.expect("read");
    assert_eq!(values(&second.batches), numbered(12..17));
    let seen: Vec<Option<u64>> = tail.after.lock().expect("no panic").clone();
    assert_eq!(seen, [None, Some(11)], "each read names the message before it");
    lake.writer.flush().await.expect("committed");
    let mut last = request(&of, Start::Position(second.next), 100);
    last.seen = second.seen;
    assert_eq!(values(&fetcher.fetch(&last).await.expect("read").batches), numbered(17..20), "committed meanwhile");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_lost_what_was_read_is_an_error_and_no_record_is_passed_over() {
    let lake = Lake::new(1, RAW).await;
    let (queue, of) = (Arc::clone(lake.writer.queue()), lake.partition(0));
    publish(queue.as_ref(), &of, numbered(0..15)).await;
    let tail = Replaceable::new(&queue);
    let fetcher = fetcher(&lake, &tail);
    let mut member =
        GroupConsumer::builder(fetcher.clone(), "g").subscribe([lake.topic.clone()]).join().await.expect("joined");
    let mut read = Vec::new();
    while let Some(records) = member.poll(QUIET).await.expect("polled") {
        read.extend(values(&records.batches));
    }
    assert_eq!(read, numbered(0..15));
    // Nothing was committed, so that the catalog has no message to compare.
    let other: Arc<dyn Queue> = Arc::new(InMemoryQueue::default());
    let topic = lake.catalog.get_topic(&lake.topic).await.expect("read").expect("there");
    other.open_topic(&topic.definition(), None, &[]).await.expect("opened");
    publish(other.as_ref(), &of, numbered(100..120)).await;
    tail.replace(other);
    let error = member.poll(QUIET).await.expect_err("offsets 0 to 14 are other messages now");
    assert!(is_of_another_history(&error), "{error}");
    assert_eq!(member.commit().await.expect("committed"), []);
    member.close().await.expect("left");
    // The next member knows the last message that the group read.
    let join = async || {
        let builder = GroupConsumer::builder(fetcher.clone(), "g").subscribe([lake.topic.clone()]);
        builder.join().await.expect("joined")
    };
    let mut next = join().await;
    let error = next.poll(QUIET).await.expect_err("they still are");
    assert!(is_of_another_history(&error), "{error}");
    next.close().await.expect("left");
    let begin = plan_reset(&fetcher, "g", std::slice::from_ref(&of), ResetTo::Begin).await.expect("planned");
    lake.catalog.reset_offsets(&[begin[0].row.clone()]).await.expect("set");
    let mut after = join().await;
    let records = after.poll(QUIET).await.expect("polled").expect("some");
    assert_eq!(values(&records.batches), numbered(100..120), "an operator decided where to go on");
    after.close().await.expect("left");
}

fn is_of_another_history(error: &GroupError) -> bool {
    matches!(error, GroupError::Fetch(FetchError::Tail(TailError::OtherHistory { .. })))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_went_back_commits_where_it_is() {
    let lake = Lake::new(1, RAW).await;
    let (queue, of) = (Arc::clone(lake.writer.queue()), lake.partition(0));
    publish(queue.as_ref(), &of, numbered(0..15)).await;
    let tail = Replaceable::new(&queue);
    let fetcher = fetcher(&lake, &tail);
    let join = async || {
        let builder = GroupConsumer::builder(fetcher.clone(), "g").subscribe([lake.topic.clone()]);
        builder.out_of_range(OutOfRange::Begin).join().await.expect("joined")
    };
    let mut first = join().await;
    assert_eq!(first.poll(QUIET).await.expect("polled").expect("some").records, 15);
    first.commit().await.expect("committed");
    first.close().await.expect("left");
    let shorter: Arc<dyn Queue> = Arc::new(InMemoryQueue::default());
    let topic = lake.catalog.get_topic(&lake.topic).await.expect("read").expect("there");
    shorter.open_topic(&topic.definition(), None, &[]).await.expect("opened");
    publish(shorter.as_ref(), &of, numbered(100..105)).await;
    tail.replace(Arc::clone(&shorter));
    let mut second = join().await;
    let records = second.poll(QUIET).await.expect("polled").expect("some");
    assert_eq!(values(&records.batches), numbered(100..105), "the committed place was above the end");
    assert_eq!(second.commit().await.expect("committed"), []);
    second.close().await.expect("left");
    publish(shorter.as_ref(), &of, numbered(105..120)).await;
    let mut third = join().await;
    let records = third.poll(QUIET).await.expect("polled").expect("some");
    assert_eq!(values(&records.batches), numbered(105..120), "not from the old place on");
    third.close().await.expect("left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_are_no_records_are_no_end() {
    let lake = Lake::new(1, r#"{"format":"json","columns":[{"name":"n","type":"int64"}]}"#).await;
    let (queue, of) = (Arc::clone(lake.writer.queue()), lake.partition(0));
    let refused = (0..20).map(|n| format!("no JSON {n}"));
    publish(queue.as_ref(), &of, refused.chain([r#"{"n":1}"#.to_owned()]).collect()).await;
    let tail = Replaceable::new(&queue);
    let fetched = fetcher(&lake, &tail).fetch(&request(&of, Start::Begin, 3)).await.expect("read");
    assert_eq!((offsets(&fetched.batches), fetched.next.offset), (vec![20], 21), "three messages are read at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn committed_records_are_read_whatever_the_queue_says_and_a_place_above_them_is_waited_for() {
    let lake = Lake::new(1, RAW).await;
    lake.commit(0, numbered(0..10)).await;
    let of = lake.partition(0);
    let other: Arc<dyn Queue> = Arc::new(InMemoryQueue::default());
    let topic = lake.catalog.get_topic(&lake.topic).await.expect("read").expect("there");
    other.open_topic(&topic.definition(), None, &[]).await.expect("opened");
    let tail = Replaceable::new(&other);
    let fetcher = fetcher(&lake, &tail);
    let fetched = fetcher.fetch(&request(&of, Start::Begin, 100)).await.expect("read");
    assert_eq!(values(&fetched.batches), numbered(0..10));
    let next = fetcher.fetch(&request(&of, Start::Position(fetched.next), 100)).await.expect("read");
    assert_eq!(next.records, 0);
    assert!(next.only_committed.is_some_and(|reason| reason.contains("read before")), "the reason is said");
    // Somebody with the queue was at 12, which no segment has yet.
    let ahead = catalog::Position { offset: 12, ..fetched.next };
    let moved = |start| consumer::FetchRequest { out_of_range: OutOfRange::Begin, ..request(&of, start, 100) };
    let waiting = lake.fetcher().fetch(&moved(Start::Position(ahead))).await.expect("read");
    assert_eq!((waiting.records, waiting.next.offset), (0, 12), "it does not begin anew");
    lake.commit(0, numbered(10..14)).await;
    let come = lake.fetcher().fetch(&moved(Start::Position(ahead))).await.expect("read");
    assert_eq!(values(&come.batches), numbered(12..14));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_asks_for_the_ends_of_its_partitions_alone() {
    let lake = Lake::new(4, RAW).await;
    let tail = Replaceable::new(lake.writer.queue());
    let (topics, lease) = (vec![lake.topic.clone()], Duration::from_secs(30));
    let other = MemberId(Uuid::now_v7());
    let membership = Membership { group_id: "g".to_owned(), member: other, name: "other".to_owned(), topics, lease };
    lake.catalog.join_group(&membership).await.expect("joined");
    lake.catalog.claim("g", other, &[lake.partition(1), lake.partition(3)]).await.expect("claimed");
    let builder = GroupConsumer::builder(fetcher(&lake, &tail), "g").subscribe([lake.topic.clone()]);
    let mut member = builder.join().await.expect("joined");
    assert!(member.poll(QUIET).await.expect("polled").is_none());
    assert_eq!(*tail.asked.lock().expect("no panic"), BTreeSet::from([0, 2]));
}
