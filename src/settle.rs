//! Waits until a writer in this process has committed the messages that were published to it.
//!
//! Owns: noticing that the writer has ended meanwhile. Does not own: the waiting itself (`writer`).

use std::time::Duration;

use anyhow::bail;
use common::TopicPartition;
use futures::FutureExt;
use writer::RunningWriter;

/// Time between two checks of the writer; waiting itself does not depend on it.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Flushes until each partition's watermark is at least the one given.
///
/// # Errors
/// The catalog's, or the writer's own when it ended by itself.
pub(crate) async fn until_committed(
    running: &mut RunningWriter,
    targets: &[(TopicPartition, u64)],
) -> anyhow::Result<()> {
    loop {
        if let Ok(committed) = tokio::time::timeout(LOOK_INTERVAL, running.wait_committed(targets)).await {
            return Ok(committed?);
        }
        if let Some(ended) = running.ended().now_or_never() {
            ended?;
            bail!("the writer ended before everything was committed");
        }
    }
}
