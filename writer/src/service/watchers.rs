//! Watchers: what goes on beside the pipelines.
//!
//! Owns: relieving memory when somebody waits for it, and asking the queue for its bounds, to tell the lag and to warn of
//! messages that it is about to discard uncommitted (`discard` judges) or has lost at its end.
//! Does not own: batches; it only sends commands.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::TopicPartition;
use common::clock::SharedClock;
use common::queue::Bounds;
use tokio::time::MissedTickBehavior;

use crate::ownership::pipeline_tasks::CommandSenders;
use crate::pipeline::assemble::Command;
use crate::pipeline::context::Context;
use crate::service::discard::{Margin, margin, oldest_us};
use crate::service::metrics;
use crate::service::status::StatusBoard;

/// How often the queue's end is asked for.
const LAG_INTERVAL: Duration = Duration::from_secs(5);
/// Time for one rolled batch to give memory back before the next is rolled.
const RELIEF_INTERVAL: Duration = Duration::from_millis(50);

/// Rolls the largest batch while somebody waits for memory. Never returns.
pub(crate) async fn relieve_memory(context: Arc<Context>, board: StatusBoard, commands: CommandSenders) {
    loop {
        context.budget.pressure().await;
        while context.budget.waiters() > 0 {
            if let Some(partition) = board.largest_batch() {
                let sender = commands.lock().expect("no holder panics").get(&partition).cloned();
                // A pipeline that has commands waiting is busy rolling already.
                let _busy = sender.map(|sender| sender.try_send(Command::Relieve));
            }
            tokio::time::sleep(RELIEF_INTERVAL).await;
        }
    }
}

/// Keeps every partition's idea of the queue's bounds fresh. Never returns.
pub(crate) async fn watch_lag(context: Arc<Context>, board: StatusBoard, clock: SharedClock) {
    let mut ticks = tokio::time::interval(LAG_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut warned = HashSet::new();
    let mut ends: HashMap<TopicPartition, End> = HashMap::new();
    loop {
        ticks.tick().await;
        let partitions = board.all();
        warned.retain(|partition| partitions.iter().any(|(owned, _)| owned == partition));
        ends.retain(|partition, _| partitions.iter().any(|(owned, _)| owned == partition));
        for (partition, gauges) in partitions {
            match context.queue.bounds(&partition).await {
                Ok(bounds) => {
                    gauges.queue_first_offset.store(bounds.first_offset, Ordering::Relaxed);
                    gauges.queue_next_offset.store(bounds.next_offset, Ordering::Relaxed);
                    if let Some(lost) = ends.entry(partition.clone()).or_default().look(bounds.next_offset) {
                        ::metrics::counter!(metrics::QUEUE_OFFSETS_LOST).increment(lost);
                        tracing::error!(
                            %partition, lost, next_offset = bounds.next_offset, history = bounds.history,
                            "the queue lost messages at its end that it held before; what of them was read is noticed \
                             when reading starts anew, the rest only here"
                        );
                    }
                    let now_us = clock.now_us();
                    let committed = gauges.high_watermark.load(Ordering::Relaxed);
                    let queue = context.queue.as_ref();
                    let oldest_us = oldest_us(queue, &partition, &gauges, &bounds, committed, now_us).await;
                    let margin = margin(&bounds, committed, oldest_us, now_us);
                    gauges.set_margin(&margin);
                    warn_of_discard(&partition, committed, &bounds, margin, &mut warned);
                }
                Err(error) => tracing::debug!(%partition, %error, "lag unknown"),
            }
        }
    }
}

/// How far a queue has reached.
#[derive(Debug, Default)]
struct End {
    furthest: u64,
    /// Looks in a row at which it was nearer: a copy of a queue may say less for a moment.
    nearer: u32,
}

impl End {
    /// Notes one look; gives how many offsets are gone when that is sure.
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

/// Says it once when the margin becomes small, and once when it no longer is.
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
    use super::*;

    #[test]
    fn an_end_that_stays_nearer_is_a_loss_and_a_moment_of_it_is_none() {
        let mut end = End::default();
        let looks = [1, 101, 90, 101, 90, 91, 92, 95, 200].map(|next_offset| end.look(next_offset));
        assert_eq!(looks, [None, None, None, None, None, Some(10), None, None, None]);
    }
}
