//! The progress of each partition, for people, metrics and readiness, and for the supervisor and the watchers.
//!
//! Owns: the numbers, computing lag and freshness from them, and waking the tasks that wait for progress. The
//! supervisor reads them to abort a pipeline whose watermark the catalog has lost, memory relief to roll the largest
//! batch.
//! Does not own: those decisions. No commit and no ack depends on these numbers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use common::{TopicName, TopicPartition};
use tokio::sync::watch;

use crate::service::discard::Margin;

/// The reason of a partition whose uploads or commits keep failing.
pub(crate) const KEEPS_FAILING: &str = "uploads or commits keep failing; the writer repeats them until they succeed";

/// The status of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionStatus {
    /// The partition.
    pub partition: TopicPartition,
    /// Offset after the last fetched message.
    pub position: u64,
    /// Exclusive: everything below is committed.
    pub high_watermark: u64,
    /// Offset of the queue's oldest message at the last look.
    pub queue_first_offset: u64,
    /// Offset of the queue's next message at the last look.
    pub queue_next_offset: u64,
    /// Memory of the open batch, in bytes.
    pub batch_bytes: usize,
    /// Age of the oldest message that is fetched and not committed; zero if there is none.
    pub freshness: Duration,
    /// Messages that may still be published before the queue discards an uncommitted one, at the last look; `None` if
    /// the queue has no limit on messages or bytes.
    pub discard_margin: Option<u64>,
    /// Time before the queue discards an uncommitted message, at the last look; `None` if the queue has no limit on
    /// age.
    pub discard_margin_time: Option<Duration>,
    /// True if reading, an upload or a commit keeps failing.
    pub failing: bool,
}

impl PartitionStatus {
    /// Uncommitted messages, fetched or still in the queue; an upper bound if offsets are not dense.
    pub fn lag(&self) -> u64 {
        let fetched = self.position.saturating_sub(self.high_watermark);
        fetched + self.queue_next_offset.saturating_sub(self.position.max(self.queue_first_offset))
    }
}

/// The progress of one partition: written mostly by its pipeline, read by any task.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) position: AtomicU64,
    pub(crate) high_watermark: AtomicU64,
    pub(crate) queue_first_offset: AtomicU64,
    pub(crate) queue_next_offset: AtomicU64,
    /// Nothing below is read: an operator chose to begin here.
    pub(crate) start: AtomicU64,
    pub(crate) batch_bytes: AtomicUsize,
    /// True while an upload or commit keeps failing.
    pub(crate) failing: AtomicBool,
    /// True while the queue cannot be read.
    pub(crate) unreadable: AtomicBool,
    /// Counts the steps of all partitions on the board.
    steps: watch::Sender<u64>,
    // A std mutex: held to copy or replace two numbers.
    margin: Mutex<(Option<u64>, Option<Duration>)>,
    // First offset and queue time of each uncommitted batch, oldest first. Never held across an await.
    batches: Mutex<VecDeque<(u64, i64)>>,
}

impl Progress {
    /// Records that everything below `position` is fetched and handed on.
    pub(crate) fn fetched(&self, position: u64) {
        self.position.store(position, Ordering::Relaxed);
        self.steps.send_modify(|steps| *steps += 1);
    }

    pub(crate) fn batch_opened(&self, base_offset: u64, first_timestamp_us: i64) {
        lock(&self.batches).push_back((base_offset, first_timestamp_us));
    }

    /// Records that everything below `high_watermark` is committed, according to a receipt.
    pub(crate) fn committed(&self, high_watermark: u64) {
        let before = self.high_watermark.swap(high_watermark, Ordering::Relaxed);
        assert!(before <= high_watermark, "a watermark only rises: {before}, then {high_watermark}");
        let mut batches = lock(&self.batches);
        while batches.front().is_some_and(|(base_offset, _)| *base_offset < high_watermark) {
            batches.pop_front();
        }
        drop(batches);
        self.steps.send_modify(|steps| *steps += 1);
    }

    /// Number of batches, open ones included, that are not committed.
    pub(crate) fn uncommitted_batches(&self) -> usize {
        lock(&self.batches).len()
    }

    pub(crate) fn set_margin(&self, margin: &Margin) {
        *lock(&self.margin) = (margin.messages, margin.time);
    }

    fn margin(&self) -> (Option<u64>, Option<Duration>) {
        *lock(&self.margin)
    }

    pub(crate) fn oldest_timestamp_us(&self) -> Option<i64> {
        lock(&self.batches).front().map(|(_, timestamp_us)| *timestamp_us)
    }
}

/// The partitions that this writer owns, and its troubles.
#[derive(Clone, Debug, Default)]
pub(crate) struct StatusBoard {
    /// Counts the steps of all partitions, to wake the tasks that wait for progress.
    steps: watch::Sender<u64>,
    // Std mutexes: held to insert, remove or copy, never across an await.
    partitions: Arc<Mutex<BTreeMap<TopicPartition, Arc<Progress>>>>,
    troubles: Arc<Mutex<BTreeMap<Place, String>>>,
}

/// A topic, or one partition of it.
pub(crate) type Place = (TopicName, Option<u32>);

impl StatusBoard {
    pub(crate) fn insert(&self, partition: TopicPartition, high_watermark: u64) -> Arc<Progress> {
        let progress = Arc::new(Progress {
            position: AtomicU64::new(high_watermark),
            high_watermark: AtomicU64::new(high_watermark),
            steps: self.steps.clone(),
            ..Progress::default()
        });
        lock(&self.partitions).insert(partition, Arc::clone(&progress));
        self.steps.send_modify(|steps| *steps += 1);
        progress
    }

    pub(crate) fn remove(&self, partition: &TopicPartition) {
        lock(&self.partitions).remove(partition);
        self.steps.send_modify(|steps| *steps += 1);
    }

    /// Changes whenever a partition comes, goes, fetches or commits.
    pub(crate) fn steps(&self) -> watch::Receiver<u64> {
        self.steps.subscribe()
    }

    /// Position and high watermark of a running partition.
    pub(crate) fn place(&self, partition: &TopicPartition) -> Option<(u64, u64)> {
        let partitions = lock(&self.partitions);
        let progress = partitions.get(partition)?;
        // The watermark is read first, since a later one could be above the position.
        let high_watermark = progress.high_watermark.load(Ordering::Relaxed);
        Some((progress.position.load(Ordering::Relaxed), high_watermark))
    }

    /// True if uploads or commits of a running partition keep failing.
    pub(crate) fn is_failing(&self, partition: &TopicPartition) -> bool {
        lock(&self.partitions).get(partition).is_some_and(|progress| progress.failing.load(Ordering::Relaxed))
    }

    /// The reason why a partition does not get on, if there is one.
    pub(crate) fn trouble_of(&self, partition: &TopicPartition) -> Option<String> {
        if self.is_failing(partition) {
            return Some(KEEPS_FAILING.to_owned());
        }
        let is_set = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        if lock(&self.partitions).get(partition).is_some_and(|progress| is_set(&progress.unreadable)) {
            return Some("the queue cannot be read; the writer tries again until it can".to_owned());
        }
        // A halt or a defect of the partition, or a topic that cannot be opened.
        let troubles = lock(&self.troubles);
        let of = |partition_id| troubles.get(&(partition.topic.clone(), partition_id));
        of(Some(partition.partition_id)).or_else(|| of(None)).cloned()
    }

    pub(crate) fn all(&self) -> Vec<(TopicPartition, Arc<Progress>)> {
        lock(&self.partitions).iter().map(|(partition, progress)| (partition.clone(), Arc::clone(progress))).collect()
    }

    /// High watermark of each running partition, from its last receipt.
    pub(crate) fn watermarks(&self) -> BTreeMap<TopicPartition, u64> {
        let watermark = |(partition, progress): (&TopicPartition, &Arc<Progress>)| {
            (partition.clone(), progress.high_watermark.load(Ordering::Relaxed))
        };
        lock(&self.partitions).iter().map(watermark).collect()
    }

    /// Records that work at `place` is stopped, with the reason, until it is cleared.
    pub(crate) fn trouble(&self, place: Place, reason: String) {
        lock(&self.troubles).insert(place, reason);
    }

    /// Records that work at `place` continues.
    pub(crate) fn clear(&self, place: &Place) {
        lock(&self.troubles).remove(place);
    }

    /// Removes the troubles of deleted topics.
    pub(crate) fn keep_topics(&self, remains: impl Fn(&TopicName) -> bool) {
        lock(&self.troubles).retain(|(topic, _), _| remains(topic));
    }

    /// Every halt, defect and topic that cannot be opened, by `topic` or `topic/partition`, with the reason.
    pub(crate) fn troubles(&self) -> BTreeMap<String, String> {
        let shown = |((topic, partition_id), reason): (&Place, &String)| {
            let place =
                partition_id.map_or_else(|| topic.to_string(), |partition_id| format!("{topic}/{partition_id}"));
            (place, reason.clone())
        };
        lock(&self.troubles).iter().map(shown).collect()
    }

    /// The partitions with an open batch.
    pub(crate) fn open_batches(&self) -> Vec<TopicPartition> {
        let partitions = lock(&self.partitions);
        let open = partitions.iter().filter(|(_, progress)| progress.batch_bytes.load(Ordering::Relaxed) > 0);
        open.map(|(partition, _)| partition.clone()).collect()
    }

    /// The partition whose open batch holds the most memory.
    pub(crate) fn largest_batch(&self) -> Option<TopicPartition> {
        let partitions = lock(&self.partitions);
        let sized =
            partitions.iter().map(|(partition, progress)| (progress.batch_bytes.load(Ordering::Relaxed), partition));
        sized.filter(|(bytes, _)| *bytes > 0).max_by_key(|(bytes, _)| *bytes).map(|(_, partition)| partition.clone())
    }

    pub(crate) fn statuses(&self, now_us: i64) -> Vec<PartitionStatus> {
        let status = |(partition, progress): (TopicPartition, Arc<Progress>)| PartitionStatus {
            partition,
            position: progress.position.load(Ordering::Relaxed),
            high_watermark: progress.high_watermark.load(Ordering::Relaxed),
            queue_first_offset: progress.queue_first_offset.load(Ordering::Relaxed),
            queue_next_offset: progress.queue_next_offset.load(Ordering::Relaxed),
            batch_bytes: progress.batch_bytes.load(Ordering::Relaxed),
            freshness: progress.oldest_timestamp_us().map_or(Duration::ZERO, |oldest_us| {
                Duration::from_micros(now_us.saturating_sub(oldest_us).max(0).unsigned_abs())
            }),
            discard_margin: progress.margin().0,
            discard_margin_time: progress.margin().1,
            failing: progress.failing.load(Ordering::Relaxed) || progress.unreadable.load(Ordering::Relaxed),
        };
        self.all().into_iter().map(status).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder of this lock panics")
}

#[cfg(test)]
mod tests;
