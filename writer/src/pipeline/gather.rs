//! Gather: the small batches of a topic's partitions go into one object.
//!
//! Owns: waiting for the batches that are due together, and one flush at a time for each topic.
//! Does not own: closing batches (`assemble`), a flush (`together`), the order of a partition's commits (`commit`, which
//! hands a batch on after everything before it is committed).
//!
//! Thousands of slow partitions would each put an object at every interval. So when the batch of one partition is due, it
//! calls those of the others, and all that are closed within a moment are written, put and committed as one.

mod members;
mod objects;
mod together;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use catalog::{MetadataStore, NewSegment, Ownership};
use common::{CommitReceipt, TopicName};
use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::FuturesUnordered;
use lake::Storage;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

pub(crate) use self::members::{Member, Members, OpenToken};
use crate::config::WriterConfig;
use crate::pipeline::batch::{Content, SealedBatch};
use crate::pipeline::context::{Limits, Stop};
use crate::pipeline::roll::RollReason;
use crate::service::announce::Unannounced;
use crate::service::status::Progress;

/// A flush begins when no batch has come for so long: those that are due together come one after the other.
const GATHER_PAUSE: Duration = Duration::from_millis(200);
/// Longest time that a closed batch waits for those that are due with it.
const GATHER_WAIT: Duration = Duration::from_secs(1);
/// Most bytes of rows in one flush; the rest follows in the next.
const FLUSH_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Batches that wait to be taken up.
const JOBS_WAITING_MAX: usize = 1_024;

/// Takes small batches. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Gather {
    jobs: mpsc::Sender<Waiting>,
    // A std mutex: held for a look-up.
    topics: Arc<Mutex<BTreeMap<TopicName, Weak<Members>>>>,
}

/// The parts of a flush.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) catalog: Arc<dyn MetadataStore>,
    pub(crate) storage: Storage,
    pub(crate) config: WriterConfig,
    pub(crate) limits: Limits,
    /// Commits are noted here.
    pub(crate) unannounced: Arc<Unannounced>,
}

/// A small batch that begins at its partition's watermark.
#[derive(Debug)]
pub(crate) struct Waiting {
    held: Ownership,
    members: Arc<Members>,
    progress: Arc<Progress>,
    batch: SealedBatch,
    answer: oneshot::Sender<Result<Committed, Stop>>,
}

/// A batch that is committed.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) batch: SealedBatch,
    pub(crate) segments: Vec<NewSegment>,
    pub(crate) receipt: CommitReceipt,
}

/// The batches of one topic.
#[derive(Default)]
struct Topic {
    waiting: Vec<Waiting>,
    bytes: usize,
    /// When the first and the last of them came.
    came: Option<(Instant, Instant)>,
    is_flushing: bool,
}

impl Gather {
    /// The handle and its work, which a task must run until the handle and all its clones are dropped.
    pub(crate) fn new(parts: Parts) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (jobs, waiting) = mpsc::channel(JOBS_WAITING_MAX);
        (Self { jobs, topics: Arc::default() }, run(parts, waiting))
    }

    /// The partitions of a topic that run in this writer.
    pub(crate) fn members(&self, topic: &TopicName) -> Arc<Members> {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = topics.get(topic).and_then(Weak::upgrade) {
            return known;
        }
        topics.retain(|_, members| members.strong_count() > 0);
        let members = Arc::new(Members::default());
        topics.insert(topic.clone(), Arc::downgrade(&members));
        members
    }

    /// Commits a batch together with others, however long it takes. `None` if the process is stopping.
    pub(crate) async fn commit(
        &self,
        held: Ownership,
        members: Arc<Members>,
        progress: Arc<Progress>,
        batch: SealedBatch,
    ) -> Option<Result<Committed, Stop>> {
        assert!(matches!(batch.content, Content::Rows(_)), "only small batches are gathered");
        let (answer, answered) = oneshot::channel();
        self.jobs.send(Waiting { held, members, progress, batch, answer }).await.ok()?;
        answered.await.ok()
    }
}

async fn run(parts: Parts, mut jobs: mpsc::Receiver<Waiting>) {
    let mut topics: BTreeMap<TopicName, Topic> = BTreeMap::new();
    let mut flushes: FuturesUnordered<BoxFuture<'static, TopicName>> = FuturesUnordered::new();
    let (mut arrived, mut is_open) = (Vec::new(), true);
    while is_open || !topics.is_empty() {
        let next = topics.values().filter(|topic| !topic.is_flushing).filter_map(Topic::due).min();
        tokio::select! {
            // Arrivals first, so that a flush takes all that are there.
            biased;
            count = jobs.recv_many(&mut arrived, JOBS_WAITING_MAX), if is_open => is_open = count > 0,
            Some(topic) = flushes.next(), if !flushes.is_empty() => {
                topics.entry(topic).and_modify(|topic| topic.is_flushing = false);
            }
            () = wait_for(next) => {}
        }
        let now = Instant::now();
        for waiting in arrived.drain(..) {
            topics.entry(waiting.held.partition.topic.clone()).or_default().add(waiting, now);
        }
        for (name, topic) in &mut topics {
            if topic.is_ready(now) {
                let flush = topic.take();
                topic.is_flushing = true;
                let (parts, name) = (parts.clone(), name.clone());
                flushes.push(
                    async move {
                        together::commit(&parts, &name, flush).await;
                        name
                    }
                    .boxed(),
                );
            }
        }
        topics.retain(|_, topic| topic.is_flushing || !topic.waiting.is_empty());
    }
}

/// Returns at `due`, if there is such a time.
async fn wait_for(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

impl Topic {
    fn add(&mut self, waiting: Waiting, now: Instant) {
        self.came = Some((self.came.map_or(now, |(first, _)| first), now));
        self.bytes += waiting.batch.memory_bytes();
        self.waiting.push(waiting);
    }

    /// When those that wait have waited long enough, whatever comes.
    fn due(&self) -> Option<Instant> {
        self.came.map(|(first, last)| (last + GATHER_PAUSE).min(first + GATHER_WAIT))
    }

    /// True when a flush is to begin: all open batches have come, or no more come, or there are enough, or a producer waits
    /// for one of them.
    fn is_ready(&self, now: Instant) -> bool {
        let (Some(due), Some(first)) = (self.due(), self.waiting.first()) else { return false };
        if self.is_flushing {
            return false;
        }
        now >= due
            || self.bytes >= FLUSH_BYTES_MAX
            || self.waiting.len() >= first.members.open()
            || self.waiting.iter().any(|waiting| waiting.batch.reason == RollReason::Awaited)
    }

    /// The batches of the next flush: of one day and one version of the schema, in order of partition.
    fn take(&mut self) -> Vec<Waiting> {
        let key = |waiting: &Waiting| (waiting.batch.day(), waiting.batch.schema_version);
        self.waiting.sort_by_key(|waiting| (key(waiting), waiting.held.partition.partition_id));
        let first = self.waiting.first().map(key);
        let mut bytes = 0;
        let fits = |waiting: &Waiting| {
            bytes += waiting.batch.memory_bytes();
            Some(key(waiting)) == first && (bytes <= FLUSH_BYTES_MAX || bytes == waiting.batch.memory_bytes())
        };
        let count = self.waiting.iter().map(fits).take_while(|fits| *fits).count();
        let later = self.waiting.split_off(count);
        // They have waited already.
        self.came = self.came.filter(|_| !later.is_empty());
        self.bytes = later.iter().map(|waiting| waiting.batch.memory_bytes()).sum();
        std::mem::replace(&mut self.waiting, later)
    }
}

#[cfg(test)]
mod tests;
