//! A queue in memory that fails in the ways of a test, and notes its requests.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use common::queue::memory::InMemoryQueue;
use common::queue::{Bounds, PublishAck, SubscribeRequest, Subscription};
use common::{OutgoingMessage, Queue, QueueError, TopicDefinition, TopicPartition};
use tokio::sync::RwLock;

#[derive(Debug)]
pub(crate) struct FaultyQueue {
    pub(crate) queue: InMemoryQueue,
    faults: Mutex<Faults>,
    /// Held for writing, it keeps every request from being stored.
    pub(crate) gate: RwLock<()>,
}

#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// So many requests are stored without an answer.
    pub(crate) replies_to_lose: u32,
    /// Requests for this partition are refused.
    pub(crate) refused_partition: Option<u32>,
    /// Requests find no room, and store nothing.
    pub(crate) is_full: bool,
    /// So many requests panic.
    pub(crate) panics: u32,
    /// So many requests are never answered.
    pub(crate) silences: u32,
    pub(crate) is_away: bool,
    /// A request with a larger message is refused before anything is stored.
    pub(crate) bytes_max: Option<usize>,
    /// The payloads of each request that came.
    pub(crate) requests: Vec<Vec<String>>,
    in_progress: u32,
    /// The most requests at once.
    pub(crate) in_progress_max: u32,
}

/// The fate of a request.
enum Meeting {
    Storing,
    Refusal,
    NoRoom,
    TooLarge(usize, usize),
    Panic,
    Silence,
}

impl FaultyQueue {
    pub(crate) fn new() -> Self {
        Self { queue: InMemoryQueue::new(16 * 1024 * 1024), faults: Mutex::default(), gate: RwLock::default() }
    }

    pub(crate) fn faults<T>(&self, look: impl FnOnce(&mut Faults) -> T) -> T {
        look(&mut self.faults.lock().expect("no holder panics"))
    }

    /// From now on messages for this partition are refused.
    pub(crate) fn refuse(&self, partition: Option<u32>) {
        self.faults(|faults| faults.refused_partition = partition);
    }

    /// The sizes of the requests that came.
    pub(crate) fn request_sizes(&self) -> Vec<usize> {
        self.faults(|faults| faults.requests.iter().map(Vec::len).collect())
    }
}

impl Faults {
    fn meet(&mut self, to: &TopicPartition, messages: &[OutgoingMessage]) -> Meeting {
        self.requests.push(messages.iter().map(|m| String::from_utf8_lossy(&m.payload).into_owned()).collect());
        self.in_progress += 1;
        self.in_progress_max = self.in_progress_max.max(self.in_progress);
        let take = |left: &mut u32| {
            let was = *left;
            *left = was.saturating_sub(1);
            was > 0
        };
        if self.refused_partition == Some(to.partition_id) {
            return Meeting::Refusal;
        }
        if self.is_full {
            return Meeting::NoRoom;
        }
        let largest = messages.iter().map(|message| message.payload.len()).max().unwrap_or_default();
        if let Some(bytes_max) = self.bytes_max.filter(|bytes_max| largest > *bytes_max) {
            return Meeting::TooLarge(largest, bytes_max);
        }
        if take(&mut self.panics) {
            return Meeting::Panic;
        }
        if take(&mut self.silences) { Meeting::Silence } else { Meeting::Storing }
    }
}

#[async_trait]
impl Queue for FaultyQueue {
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
        let meeting = self.faults(|faults| faults.meet(to, &messages));
        // As over a network, others run before the answer.
        tokio::task::yield_now().await;
        let _passed = self.gate.read().await;
        match meeting {
            Meeting::NoRoom => return Err(QueueError::Full { reason: "maximum messages exceeded".to_owned() }),
            Meeting::Refusal => return Err(QueueError::refused("by the test")),
            Meeting::TooLarge(bytes, bytes_max) => return Err(QueueError::MessageTooLarge { bytes, bytes_max }),
            Meeting::Panic => panic!("as the test wants"),
            Meeting::Silence => tokio::time::sleep(Duration::MAX).await,
            Meeting::Storing => {}
        }
        let acks = self.queue.publish(to, messages).await?;
        self.faults(|faults| {
            faults.in_progress -= 1;
            if faults.replies_to_lose == 0 {
                return Ok(acks);
            }
            faults.replies_to_lose -= 1;
            Err(QueueError::unavailable("the reply was lost"))
        })
    }
    async fn subscribe(&self, request: SubscribeRequest) -> Result<Box<dyn Subscription>, QueueError> {
        self.queue.subscribe(request).await
    }
    async fn bounds(&self, partition: &TopicPartition) -> Result<Bounds, QueueError> {
        self.queue.bounds(partition).await
    }
    async fn read(&self, partition: &TopicPartition, from: u64, to: u64) -> Result<Vec<common::Message>, QueueError> {
        self.queue.read(partition, from, to).await
    }
    async fn check(&self) -> Result<(), QueueError> {
        let is_away = self.faults(|faults| faults.is_away);
        if is_away { Err(QueueError::unavailable("it is away")) } else { Ok(()) }
    }
}
