//! Waiting for the commit in the live phase, as a producer does.
//!
//! Owns: the time of each call until its last message is answered. Does not own: the pace (`live`), the wait
//! (`ingester::Commits`).

use std::sync::Arc;
use std::time::Duration;

use catalog::MetadataStore;
use common::Queue;
use common::clock::{Clock, SystemClock};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use ingester::Commits;
use service::connect;
use tokio::sync::mpsc;
use writer::RunningWriter;

use super::figures::Freshness;
use super::live::{Latencies, Sent};
use super::setup::Bench;

/// A wait as in `siltstone up`, where the writer is in the same process.
pub(super) fn commits(
    queue: &Arc<dyn Queue>,
    bench: &Bench,
    catalog: &Arc<dyn MetadataStore>,
    running: &RunningWriter,
) -> anyhow::Result<Commits> {
    let storage = connect::storage(&bench.settings)?;
    let commits = Commits::new(Arc::clone(catalog)).with_queue(Arc::clone(queue)).with_storage(storage);
    Ok(commits.with_hints(running.commits()))
}

/// Ends when the publisher has ended and everything it sent is answered.
pub(super) async fn watch(
    commits: &Commits,
    mut sent: mpsc::Receiver<Sent>,
    limit: Duration,
) -> anyhow::Result<Freshness> {
    let (mut waits, mut latencies) = (FuturesUnordered::new(), Latencies::default());
    let mut is_open = true;
    while is_open || !waits.is_empty() {
        tokio::select! {
            call = sent.recv(), if is_open => match call {
                Some(call) => waits.push(answer(commits, call, limit)),
                None => is_open = false,
            },
            Some(answered) = waits.next(), if !waits.is_empty() => {
                let (latency_us, messages) = answered?;
                latencies.add(latency_us, messages);
            }
        }
    }
    Ok(latencies.into_freshness(Duration::ZERO))
}

/// The time until the last message of the call is answered, and the number of its messages.
async fn answer(commits: &Commits, call: Sent, limit: Duration) -> anyhow::Result<(i64, u64)> {
    let before = call.before.as_ref().expect("each call of a producer that waits has it");
    commits.wait(before, call.last, limit).await?;
    Ok((SystemClock.now_us() - call.at_us, call.messages))
}
