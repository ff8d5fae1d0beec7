//! Publishing the messages of a bench before they are read.
//!
//! Owns: spreading them over the partitions, as fast as the queue confirms. Does not own: their shape (`load`), the steady
//! rate of a live phase (`live`).

use std::sync::Arc;

use common::{OutgoingMessage, Queue};
use tokio::task::JoinSet;

use super::load::Payloads;
use super::measure::{Measurement, Phase};
use super::setup::Bench;
use crate::progress;

/// Messages of one publish call.
const BATCH_MESSAGES: u64 = 1000;

/// Publishes `messages` messages, spread evenly over the partitions, which are filled concurrently.
pub(super) async fn publish_all(queue: &Arc<dyn Queue>, bench: &Bench, messages: u64) -> anyhow::Result<Phase> {
    let partitions = u64::from(bench.topic.partition_count);
    let bar = progress::bar(messages, "messages", "publishing");
    let measurement = Measurement::start();
    let mut tasks: JoinSet<anyhow::Result<()>> = JoinSet::new();
    for partition in bench.partitions() {
        let id = u64::from(partition.partition_id);
        let share = messages / partitions + u64::from(id < messages % partitions);
        let mut payloads = Payloads::new(bench.topic.config.format, bench.payload_bytes, id);
        let (queue, bar) = (Arc::clone(queue), bar.clone());
        tasks.spawn(async move {
            let mut left = share;
            while left > 0 {
                let count = left.min(BATCH_MESSAGES);
                let batch = (0..count).map(|_| OutgoingMessage::new(payloads.next())).collect();
                queue.publish(&partition, batch).await?;
                bar.inc(count);
                left -= count;
            }
            Ok(())
        });
    }
    while let Some(finished) = tasks.join_next().await {
        finished??;
    }
    bar.finish_and_clear();
    Ok(measurement.finish(messages, messages * bench.payload_bytes as u64))
}
