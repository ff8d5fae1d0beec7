//! The ceiling: reading as the writer reads, and throwing the messages away.
//!
//! Owns: the loop. Does not own: the pipeline that it is compared with (`pipeline`). Nothing is acked, so that the
//! pipeline afterwards reads the same messages.

use std::sync::Arc;

use common::memory::MemoryBudget;
use common::queue::SubscribeRequest;
use common::{Epoch, Queue, TopicPartition};
use tokio::task::JoinSet;

use super::measure::{Measurement, Phase};
use super::setup::Bench;

/// As in the writer's fetch step.
const FETCH_MESSAGES_MAX: usize = 10_000;
const FETCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Reads every partition up to its end, all concurrently.
pub(super) async fn measure(queue: &Arc<dyn Queue>, bench: &Bench, ends: &[u64]) -> anyhow::Result<Phase> {
    let budget = MemoryBudget::new(bench.settings.memory_budget_bytes);
    let measurement = Measurement::start();
    let mut tasks = JoinSet::new();
    for (partition, end) in bench.partitions().zip(ends.iter().copied()).filter(|(_, end)| *end > 0) {
        tasks.spawn(read(Arc::clone(queue), partition, end, budget.clone()));
    }
    let (mut messages, mut bytes) = (0, 0);
    while let Some(finished) = tasks.join_next().await {
        let (read_messages, read_bytes) = finished??;
        messages += read_messages;
        bytes += read_bytes;
    }
    Ok(measurement.finish(messages, bytes))
}

async fn read(
    queue: Arc<dyn Queue>,
    partition: TopicPartition,
    end: u64,
    budget: MemoryBudget,
) -> anyhow::Result<(u64, u64)> {
    // Epoch 0 belongs to no writer: epochs begin at 1.
    let request = SubscribeRequest { partition, from_offset: 0, committed: 0, epoch: Epoch(0), budget };
    let mut subscription = queue.subscribe(request).await?;
    let (mut messages, mut bytes, mut next_offset) = (0, 0, 0);
    while next_offset < end {
        let delivery = subscription.next(FETCH_MESSAGES_MAX, FETCH_BYTES_MAX).await?;
        messages += delivery.messages.len() as u64;
        bytes += delivery.messages.iter().map(|message| message.payload.len() as u64).sum::<u64>();
        next_offset = delivery.messages.last().map_or(next_offset, |message| message.offset + 1);
    }
    subscription.close().await?;
    Ok((messages, bytes))
}
