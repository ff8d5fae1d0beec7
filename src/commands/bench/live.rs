//! The live phase: messages at a steady rate, and the time of each until the watermark has passed it.
//!
//! Owns: the pace, and the clock of each message: from before its publish call until a poll of the watermarks finds it
//! below. The figures are therefore late by at most one poll, never early.
//! Does not own: the writer under measurement, waiting for commits as a producer does (`awaited`).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use catalog::MetadataStore;
use common::clock::{Clock, SystemClock};
use common::queue::PublishAck;
use common::{OutgoingMessage, Queue, TopicPartition};
use futures::future::try_join_all;
use ingester::{Before, Commits};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use writer::RunningWriter;

use super::awaited;
use super::figures::{Freshness, LiveReport, rolls_of};
use super::load::Payloads;
use super::measure::Measurement;
use super::pipeline::start_writer;
use super::setup::Bench;
use crate::output;

/// Time between two polls of the watermarks.
pub(super) const POLL: Duration = Duration::from_millis(10);

/// The same for thousands of partitions, where each poll costs a little.
pub(super) const POLL_MANY: Duration = Duration::from_millis(50);

/// Messages go out in this many small bursts a second, spread over the partitions in turn.
const TICKS_PER_SEC: u64 = 100;

/// Room for the bursts of one second: the watcher polls far more often.
const SENT_CHANNEL: usize = 100_000;

/// Time beyond the flush interval within which commits must follow the last message.
const DRAIN_MAX: Duration = Duration::from_secs(60);

/// The settings of the phase.
#[derive(Clone, Copy, Debug)]
pub(super) struct Live {
    /// Messages a second.
    pub(super) rate: u64,
    /// Length of the publishing.
    pub(super) seconds: u64,
    /// Time between two polls of the watermarks.
    pub(super) poll: Duration,
    /// Wait for each commit as a producer does, instead of polling.
    pub(super) is_awaited: bool,
}

/// Messages of one publish call.
#[derive(Debug)]
pub(super) struct Sent {
    /// Place of the partition in `Bench::partitions`.
    place: usize,
    pub(super) last: PublishAck,
    pub(super) messages: u64,
    /// Time before the call.
    pub(super) at_us: i64,
    /// Present if the commit is awaited.
    pub(super) before: Option<Before>,
}

/// Publishes messages at a steady rate and watches them being committed.
pub(super) async fn measure(
    queue: &Arc<dyn Queue>,
    bench: &Bench,
    catalog: &Arc<dyn MetadataStore>,
    live: Live,
) -> anyhow::Result<LiveReport> {
    output::note(&format!("live phase: {} messages a second for {} s", live.rate, live.seconds));
    let objects_before = objects(catalog, bench).await?;
    let mut running = start_writer(queue, bench, catalog).await?;
    let commits = awaited::commits(queue, bench, catalog, &running)?;
    let commits = live.is_awaited.then_some(&commits);
    let measurement = Measurement::start();
    let (sender, receiver) = mpsc::channel(SENT_CHANNEL);
    let watch = async {
        match commits {
            Some(commits) => awaited::watch(commits, receiver, DRAIN_MAX).await,
            None => watch(&running, receiver, bench, live.poll).await,
        }
    };
    let watched = tokio::try_join!(publish(queue.as_ref(), bench, live, commits, sender), watch);
    let budget_peak_bytes = running.budget().used_bytes_peak();
    let elapsed = measurement.seconds();
    let stopped = running.shutdown().await;
    let ((), freshness) = watched?;
    let summary = stopped?;
    let messages = freshness.messages;
    let phase = measurement.finish_after(elapsed, messages, messages * bench.payload_bytes as u64);
    Ok(LiveReport {
        phase,
        rate: live.rate,
        publish_seconds: live.seconds,
        topics: bench.topics().count(),
        partitions: bench.partitions().count(),
        freshness,
        segments: summary.segments,
        segment_bytes: summary.bytes,
        objects: objects(catalog, bench).await?.saturating_sub(objects_before),
        rolls: rolls_of(&summary),
        budget_peak_bytes,
    })
}

/// Number of live objects of the bench's topics.
async fn objects(catalog: &Arc<dyn MetadataStore>, bench: &Bench) -> anyhow::Result<u64> {
    let mut objects = 0;
    for topic in bench.topics() {
        objects += catalog.snapshot(&topic.name).await?.objects.len() as u64;
    }
    Ok(objects)
}

async fn publish(
    queue: &dyn Queue,
    bench: &Bench,
    live: Live,
    commits: Option<&Commits>,
    sent: mpsc::Sender<Sent>,
) -> anyhow::Result<()> {
    let partitions: Vec<TopicPartition> = bench.partitions().collect();
    let mut payloads = Payloads::new(bench.topic.config.format, bench.payload_bytes, 1);
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / u32::try_from(TICKS_PER_SEC).expect("100"));
    // A late burst is caught up at once, so that the rate holds on average.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut published = 0;
    for tick in 1..=live.seconds * TICKS_PER_SEC {
        ticks.tick().await;
        let due = tick * live.rate / TICKS_PER_SEC;
        let mut batches: Vec<Vec<OutgoingMessage>> = vec![Vec::new(); partitions.len()];
        for number in published..due {
            let partition = usize::try_from(number).unwrap_or_default() % partitions.len();
            let message = OutgoingMessage { is_awaited: live.is_awaited, ..OutgoingMessage::new(payloads.next()) };
            batches[partition].push(message);
        }
        published = due;
        let at_us = SystemClock.now_us();
        let calls = partitions.iter().enumerate().zip(batches).filter(|(_, batch)| !batch.is_empty()).map(
            async |((place, partition), batch)| -> anyhow::Result<Sent> {
                let before = match commits {
                    Some(commits) => Some(commits.before(partition).await?),
                    None => None,
                };
                let messages = batch.len() as u64;
                let acks = queue.publish(partition, batch).await?;
                let last = *acks.last().expect("an ack for each message");
                Ok(Sent { place, last, messages, at_us, before })
            },
        );
        for call in try_join_all(calls).await? {
            sent.send(call).await?;
        }
    }
    Ok(())
}

/// Ends when the publisher has ended and everything it sent is committed.
async fn watch(
    running: &RunningWriter,
    mut sent: mpsc::Receiver<Sent>,
    bench: &Bench,
    poll: Duration,
) -> anyhow::Result<Freshness> {
    let places: HashMap<TopicPartition, usize> = bench.partitions().zip(0..).collect();
    let mut waiting: Vec<VecDeque<Sent>> = Vec::new();
    waiting.resize_with(places.len(), VecDeque::new);
    let mut latencies = Latencies::default();
    let drain_max = DRAIN_MAX + bench.settings.flush_interval();
    let mut closed_at: Option<Instant> = None;
    loop {
        tokio::time::sleep(poll).await;
        let status = running.status();
        let now_us = SystemClock.now_us();
        loop {
            match sent.try_recv() {
                Ok(call) => waiting[call.place].push_back(call),
                Err(mpsc::error::TryRecvError::Empty) => break,
                Err(mpsc::error::TryRecvError::Disconnected) => {
                    closed_at.get_or_insert_with(Instant::now);
                    break;
                }
            }
        }
        for partition in &status {
            let calls = &mut waiting[places[&partition.partition]];
            while let Some(call) = calls.pop_front_if(|call| call.last.offset < partition.high_watermark) {
                latencies.add(now_us - call.at_us, call.messages);
            }
        }
        if let Some(closed_at) = closed_at {
            let left = waiting.iter().flatten().map(|call| call.messages).sum::<u64>();
            if left == 0 {
                return Ok(latencies.into_freshness(poll));
            }
            if closed_at.elapsed() > drain_max {
                bail!("{left} messages were not committed {} s after the last was sent", drain_max.as_secs());
            }
        }
    }
}

/// Microseconds, each with a number of messages.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    measured: Vec<(i64, u64)>,
}

impl Latencies {
    pub(super) fn add(&mut self, latency_us: i64, messages: u64) {
        self.measured.push((latency_us.max(0), messages));
    }

    #[expect(clippy::cast_precision_loss, reason = "shown in milliseconds")]
    pub(super) fn into_freshness(mut self, poll: Duration) -> Freshness {
        self.measured.sort_unstable();
        let messages: u64 = self.measured.iter().map(|(_, messages)| messages).sum();
        let percentile = |percent: u64| {
            let mut left = (messages * percent).div_ceil(100);
            let found = self.measured.iter().find(|(_, messages)| {
                let reached = left <= *messages;
                left = left.saturating_sub(*messages);
                reached
            });
            found.map_or(0.0, |(latency_us, _)| *latency_us as f64 / 1000.0)
        };
        let (p50_ms, p99_ms, max_ms) = (percentile(50), percentile(99), percentile(100));
        Freshness { messages, p50_ms, p99_ms, max_ms, poll_ms: poll.as_secs_f64() * 1000.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_count_messages_not_calls() {
        let mut latencies = Latencies::default();
        latencies.add(9_000, 1);
        latencies.add(1_000, 98);
        latencies.add(5_000, 1);
        let freshness = latencies.into_freshness(POLL);
        assert_eq!((freshness.p50_ms, freshness.p99_ms, freshness.max_ms), (1.0, 5.0, 9.0));
        assert_eq!(Latencies::default().into_freshness(POLL).max_ms, 0.0);
    }
}
