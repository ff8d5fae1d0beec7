//! Watchers: the look at the queue beside the pipelines.
//!
//! Owns: querying the queue's bounds for the lag, for the warning of messages that the queue will soon discard uncommitted
//! (`discard` judges), and for messages lost at the queue's end.
//! Does not own: relieving memory (`relief`).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::clock::{Clock, SharedClock};
use common::queue::{Bounds, PageLimits};
use common::{Queue, QueueError, TopicPartition};
use futures::StreamExt;
use tokio::time::MissedTickBehavior;

use crate::service::discard::{Margin, Uncommitted, margin, oldest_us};
use crate::service::metrics;
use crate::service::status::{Progress, StatusBoard};

/// Time between two requests for the queue's bounds.
const LAG_INTERVAL: Duration = Duration::from_secs(5);
/// A page of one message.
const FIRST: PageLimits = PageLimits { messages_max: 1, bytes_max: 1 };
/// Partitions whose queue is queried concurrently.
const LOOKS_AT_ONCE: usize = 32;

/// Refreshes the queue's bounds in the status of every partition. Never returns.
pub(crate) async fn watch_lag(queue: Arc<dyn Queue>, board: StatusBoard, clock: SharedClock) {
    let mut ticks = tokio::time::interval(LAG_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut memory = Memory::default();
    loop {
        ticks.tick().await;
        let partitions = board.all();
        memory.keep(|partition| partitions.iter().any(|(owned, _)| owned == partition));
        let looks = partitions.into_iter().map(|(partition, progress)| {
            let (queue, clock) = (queue.as_ref(), clock.as_ref());
            async move {
                let look = Look::take(queue, &partition, &progress, clock).await;
                (partition, progress, look)
            }
        });
        // Unordered, so that a slow answer delays no other.
        let mut looks = futures::stream::iter(looks).buffer_unordered(LOOKS_AT_ONCE);
        while let Some((partition, progress, look)) = looks.next().await {
            match look {
                Ok(look) => memory.judge(&partition, &progress, look),
                Err(error) => tracing::debug!(%partition, %error, "lag unknown"),
            }
        }
    }
}

/// One look at a partition's queue.
struct Look {
    bounds: Bounds,
    high_watermark: u64,
    margin: Margin,
}

impl Look {
    async fn take(
        queue: &dyn Queue,
        partition: &TopicPartition,
        progress: &Progress,
        clock: &dyn Clock,
    ) -> Result<Self, QueueError> {
        let bounds = queue.bounds(partition).await?;
        let now_us = clock.now_us();
        // What an operator chose to skip is neither lag nor lost by being discarded.
        let start = progress.start.load(Ordering::Relaxed);
        let high_watermark = progress.high_watermark.load(Ordering::Relaxed).max(start);
        let uncommitted = Uncommitted { high_watermark, fetched_us: progress.oldest_timestamp_us() };
        let oldest_us = oldest_us(queue, partition, uncommitted, &bounds, now_us).await;
        let mut judged = margin(&bounds, high_watermark, oldest_us, now_us);
        if judged.warning.is_some() {
            // Offsets above the watermark may be of messages that are not this partition's.
            let first = queue.read_page(partition, high_watermark, bounds.next_offset, FIRST).await?.messages.pop();
            let from = first.as_ref().map_or(bounds.next_offset, |message| message.offset);
            judged = margin(&bounds, from, first.map(|message| message.timestamp_us), now_us);
        }
        Ok(Self { bounds, high_watermark, margin: judged })
    }
}

/// The state that earlier looks leave for the next.
#[derive(Default)]
struct Memory {
    /// Partitions with a logged warning of a small margin.
    warned: HashSet<TopicPartition>,
    ends: HashMap<TopicPartition, End>,
}

impl Memory {
    fn keep(&mut self, is_owned: impl Fn(&TopicPartition) -> bool) {
        self.warned.retain(|partition| is_owned(partition));
        self.ends.retain(|partition, _| is_owned(partition));
    }

    fn judge(&mut self, partition: &TopicPartition, progress: &Progress, look: Look) {
        let Look { bounds, high_watermark, margin } = look;
        let start = progress.start.load(Ordering::Relaxed).min(bounds.next_offset);
        progress.queue_first_offset.store(bounds.first_offset.max(start), Ordering::Relaxed);
        progress.queue_next_offset.store(bounds.next_offset, Ordering::Relaxed);
        if let Some(lost) = self.ends.entry(partition.clone()).or_default().look(bounds.next_offset) {
            ::metrics::counter!(metrics::QUEUE_OFFSETS_LOST).increment(lost);
            tracing::error!(
                %partition, lost, next_offset = bounds.next_offset, history = bounds.history,
                "the queue lost messages at its end that it held before; what of them was read is noticed \
                 when reading starts anew, the rest only here"
            );
        }
        progress.set_margin(&margin);
        warn_of_discard(partition, high_watermark, &bounds, margin, &mut self.warned);
    }
}

/// The furthest known end of a queue.
#[derive(Debug, Default)]
struct End {
    furthest: u64,
    /// Consecutive looks that found a nearer end: a copy of a queue may lag for a moment.
    nearer: u32,
}

impl End {
    /// Records one look; returns the number of lost offsets once the loss is certain.
    fn look(&mut self, next_offset: u64) -> Option<u64> {
        if next_offset >= self.furthest {
            *self = Self { furthest: next_offset, nearer: 0 };
            return None;
        }
        self.nearer += 1;
        if self.nearer < 2 {
            return None;
        }
        let lost = self.furthest - next_offset;
        *self = Self { furthest: next_offset, nearer: 0 };
        Some(lost)
    }
}

/// Logs once after the margin became small, and once after it grew again.
fn warn_of_discard(
    partition: &TopicPartition,
    high_watermark: u64,
    bounds: &Bounds,
    margin: Margin,
    warned: &mut HashSet<TopicPartition>,
) {
    let (first_offset, next_offset) = (bounds.first_offset, bounds.next_offset);
    match margin.warning {
        Some(reason) if warned.insert(partition.clone()) => tracing::warn!(
            %partition, high_watermark, first_offset, next_offset, margin_messages = margin.messages, reason,
            "the queue is about to discard messages that are not committed"
        ),
        None if warned.remove(partition) => {
            tracing::info!(%partition, high_watermark, first_offset, "the queue no longer threatens to discard messages");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use common::clock::system_clock;
    use common::queue::{PublishAck, SubscribeRequest};
    use common::{Message, OutgoingMessage, Subscription, TopicDefinition, TopicName};

    use super::*;

    #[test]
    fn an_end_that_stays_nearer_is_a_loss_and_a_moment_of_it_is_none() {
        let mut end = End::default();
        let looks = [1, 101, 90, 101, 90, 91, 92, 95, 200].map(|next_offset| end.look(next_offset));
        assert_eq!(looks, [None, None, None, None, None, Some(10), None, None, None]);
    }

    /// A queue that answers for one partition and never for the others.
    #[derive(Debug)]
    struct HalfSilent;

    #[async_trait]
    impl Queue for HalfSilent {
        async fn create_topic(&self, _: &TopicDefinition) -> Result<(), QueueError> {
            unreachable!("a look only reads")
        }

        async fn delete_topic(&self, _: &TopicDefinition) -> Result<(), QueueError> {
            unreachable!("a look only reads")
        }

        async fn open_topic(&self, _: &TopicDefinition, _: Option<i64>, _: &[u64]) -> Result<(), QueueError> {
            unreachable!("a look only reads")
        }

        async fn publish(&self, _: &TopicPartition, _: Vec<OutgoingMessage>) -> Result<Vec<PublishAck>, QueueError> {
            unreachable!("a look only reads")
        }

        async fn subscribe(&self, _: SubscribeRequest) -> Result<Box<dyn Subscription>, QueueError> {
            unreachable!("a look only reads")
        }

        async fn bounds(&self, partition: &TopicPartition) -> Result<Bounds, QueueError> {
            if partition.partition_id != 20 {
                std::future::pending::<()>().await;
            }
            Ok(Bounds {
                first_offset: 1,
                next_offset: 7,
                history: String::new(),
                limits: None,
                created_us: None,
                duplicate_window: None,
                omits: None,
            })
        }

        async fn read(&self, _: &TopicPartition, _: u64, _: u64) -> Result<Vec<Message>, QueueError> {
            unreachable!("no limit asks for the age of a message")
        }

        async fn check(&self) -> Result<(), QueueError> {
            unreachable!("a look only reads")
        }
    }

    #[tokio::test]
    async fn a_partition_whose_queue_is_silent_delays_no_other() {
        let board = StatusBoard::default();
        let partition = |id| TopicPartition::new(TopicName::new("t").expect("valid"), id);
        let answered = (0..=20).map(|id| board.insert(partition(id), 0)).next_back().expect("some");
        let watching = watch_lag(Arc::new(HalfSilent), board, system_clock());
        let seen = async {
            while answered.queue_next_offset.load(Ordering::Relaxed) != 7 {
                tokio::task::yield_now().await;
            }
        };
        let seen = tokio::time::timeout(Duration::from_secs(20), seen);
        tokio::select! {
            () = watching => panic!("it never returns"),
            seen = seen => seen.expect("the partition behind the silent ones is looked at"),
        }
    }
}
