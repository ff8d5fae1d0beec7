//! The pipeline: from watermark 0 to everything committed.
//!
//! Owns: starting a writer on the bench's topic, waiting for its watermarks, counting its segments.
//! Does not own: the writer, which is the same as the service's, with the same settings.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use catalog::MetadataStore;
use common::Queue;
use service::connect;
use tokio::time::Instant;
use writer::{PartitionStatus, RunningWriter, Writer, WriterConfig};

use super::figures::Pipeline;
use super::measure::{Measurement, Phase};
use super::setup::Bench;
use crate::progress;

/// Time between two polls of the positions; short compared with any phase worth measuring.
const POLL: Duration = Duration::from_millis(10);

/// A writer that neither fetches nor commits for this long has failed; retries within it are shorter.
const STALL_MAX: Duration = Duration::from_secs(60);

/// Runs a writer until `ends` are committed, which must be the messages that the ceiling read.
pub(super) async fn measure(
    queue: &Arc<dyn Queue>,
    bench: &Bench,
    catalog: &Arc<dyn MetadataStore>,
    ends: &[u64],
    ceiling: &Phase,
) -> anyhow::Result<Pipeline> {
    let measurement = Measurement::start();
    let mut running = start_writer(queue, bench, catalog).await?;
    let committed = wait_committed(&running, ends).await;
    let (seconds, budget_peak_bytes) = (measurement.seconds(), running.budget().used_bytes_peak());
    let stopped = running.shutdown().await;
    committed?;
    let summary = stopped?;
    if summary.messages != ceiling.messages {
        bail!("{} messages were read for the ceiling, but {} were committed", ceiling.messages, summary.messages);
    }
    let phase = measurement.finish_after(seconds, ceiling.messages, ceiling.bytes);
    Ok(Pipeline::new(phase, &summary, budget_peak_bytes))
}

/// A writer as the service would start it, for the bench's topics alone.
pub(super) async fn start_writer(
    queue: &Arc<dyn Queue>,
    bench: &Bench,
    catalog: &Arc<dyn MetadataStore>,
) -> anyhow::Result<RunningWriter> {
    let storage = connect::storage(&bench.settings)?;
    let writer = Writer::builder(Arc::clone(queue), storage, Arc::clone(catalog))
        .config(WriterConfig::from(&bench.settings))
        .topics(bench.topics().map(|topic| topic.name.clone()).collect())
        .build();
    Ok(writer.start().await?)
}

async fn wait_committed(running: &RunningWriter, ends: &[u64]) -> anyhow::Result<()> {
    let bar = progress::bar(ends.iter().sum(), "offsets", "writing");
    let mut progressed_at = Instant::now();
    let mut seen_before = (0, 0);
    loop {
        let status = running.status();
        let behind = |at: fn(&PartitionStatus) -> u64| {
            let reached = |status: &&PartitionStatus| at(status) >= ends[status.partition.partition_id as usize];
            ends.len() - status.iter().filter(reached).count()
        };
        if behind(|partition| partition.high_watermark) == 0 {
            bar.finish_and_clear();
            return Ok(());
        }
        if behind(|partition| partition.position) == 0 {
            running.flush().await?;
        }
        let sum = |at: fn(&PartitionStatus) -> u64| status.iter().map(at).sum::<u64>();
        let seen = (sum(|partition| partition.position), sum(|partition| partition.high_watermark));
        if seen != seen_before {
            (seen_before, progressed_at) = (seen, Instant::now());
            bar.set_position(seen.0);
        } else if progressed_at.elapsed() > STALL_MAX {
            bail!("the writer has not moved for {} s; it stands at {status:?}", STALL_MAX.as_secs());
        }
        tokio::time::sleep(POLL).await;
    }
}
