//! Watchers: what goes on beside the pipelines.
//!
//! Owns: relieving memory when somebody waits for it, and asking the queue for its end to tell the lag.
//! Does not own: batches; it only gives orders.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::assemble::Command;
use crate::context::Context;
use crate::status::StatusBoard;
use crate::supervise::OrderBook;

/// How often the queue's end is asked for.
const LAG_INTERVAL: Duration = Duration::from_secs(5);
/// Time for one rolled batch to give memory back before the next is rolled.
const RELIEF_INTERVAL: Duration = Duration::from_millis(50);

/// Rolls the largest batch while somebody waits for memory. Never returns.
pub(crate) async fn relieve_memory(context: Arc<Context>, board: StatusBoard, orders: OrderBook) {
    loop {
        context.budget.pressure().await;
        while context.budget.waiters() > 0 {
            if let Some(partition) = board.largest_batch() {
                let order = orders.lock().expect("no holder panics").get(&partition).cloned();
                // A pipeline that has orders waiting is busy rolling already.
                let _busy = order.map(|order| order.try_send(Command::Relieve));
            }
            tokio::time::sleep(RELIEF_INTERVAL).await;
        }
    }
}

/// Keeps every partition's idea of the queue's end fresh. Never returns.
pub(crate) async fn watch_lag(context: Arc<Context>, board: StatusBoard) {
    let mut ticks = tokio::time::interval(LAG_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for (partition, gauges) in board.all() {
            match context.queue.bounds(&partition).await {
                Ok(bounds) => {
                    gauges.queue_first_offset.store(bounds.first_offset, Ordering::Relaxed);
                    gauges.queue_next_offset.store(bounds.next_offset, Ordering::Relaxed);
                }
                Err(error) => tracing::debug!(%partition, %error, "lag unknown"),
            }
        }
    }
}
