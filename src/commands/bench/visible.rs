//! The time from publish to visible in SQL, under load; and that counts are right meanwhile.
//!
//! Owns: the load, the probes, the counts, their figures and the report. Does not own: the queries (`siltstone`).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use common::clock::{Clock, SystemClock};
use common::config::Settings;
use common::topic::Format;
use common::{OutgoingMessage, TopicName};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde::Serialize;
use service::connect;
use siltstone::Siltstone;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::load::{self, Payloads};
use super::measure::{Hardware, per_mille};

/// Time between two batches of the load.
const TICK: Duration = Duration::from_millis(20);
/// Batches of the load on their way at most.
const ON_THE_WAY_MAX: usize = 16;
/// Time between two probes.
const PROBE_PAUSE: Duration = Duration::from_millis(10);

/// The load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) format: Format,
    pub(super) payload_bytes: u32,
    pub(super) partitions: u32,
    pub(super) rate: u64,
    pub(super) seconds: u64,
}

/// The figures.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    build: &'static str,
    hardware: Hardware,
    queue: String,
    payload_bytes: u32,
    partitions: u32,
    seconds: f64,
    /// Messages that the queue confirmed.
    confirmed: i64,
    /// From the call that publishes a message to the first query that has its row.
    visible: Percentiles,
    probes: usize,
    /// Counts of the whole table, and the time of each.
    counts: usize,
    count_ms: Percentiles,
    /// Counts that were smaller than an earlier one, smaller than what was confirmed before, or greater than what was sent.
    wrong_counts: usize,
    last_count: i64,
    segments: u64,
}

/// Durations in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Percentiles {
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

impl Percentiles {
    fn of(mut millis: Vec<f64>) -> Self {
        millis.sort_by(f64::total_cmp);
        let at = |thousandths| per_mille(&millis, thousandths).unwrap_or_default();
        Self { p50_ms: at(500), p99_ms: at(990), max_ms: millis.last().copied().unwrap_or_default() }
    }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:.1} ms, p99 {:.1} ms, at most {:.1} ms", self.p50_ms, self.p99_ms, self.max_ms)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_second = self.confirmed as f64 / self.seconds;
        writeln!(f, "publish to visible in SQL, {} build, queue {}", self.build, self.queue)?;
        writeln!(
            f,
            "load     {} messages of {} bytes in {} partitions, {per_second:.0}/s; {} segments committed meanwhile",
            self.confirmed, self.payload_bytes, self.partitions, self.segments
        )?;
        writeln!(f, "visible  {} ({} probes)", self.visible, self.probes)?;
        writeln!(f, "counts   {} ({} counts, {} wrong)", self.count_ms, self.counts, self.wrong_counts)?;
        writeln!(f, "at last  {} counted, {} confirmed", self.last_count, self.confirmed)
    }
}

/// What the tasks of a run share.
struct Shared {
    siltstone: Siltstone,
    topic: TopicName,
    sent: AtomicI64,
    confirmed: AtomicI64,
    has_ended: AtomicBool,
}

/// Measures under the load, with a writer in this process. The queue's topic and the files are removed at the end.
///
/// # Errors
/// Those of opening, publishing and querying; a count at the end that is not what was confirmed.
pub(super) async fn measure(settings: &Settings, load: Load) -> anyhow::Result<Figures> {
    let name = format!("bench-visible-{}", SystemClock.now_ms());
    let run_dir = settings.storage_path.join("bench").join(&name);
    std::fs::create_dir_all(&run_dir).with_context(|| run_dir.display().to_string())?;
    let own = Settings { storage_path: run_dir.clone(), catalog_url: None, topics: Vec::new(), ..settings.clone() };
    let siltstone = Siltstone::open(own).await?;
    let config = load::topic(TopicName::new(&name)?, load.partitions, load.format);
    let topic = siltstone.create_topic(config).await?;
    let shared = Arc::new(Shared {
        siltstone,
        topic: topic.name.clone(),
        sent: AtomicI64::new(0),
        confirmed: AtomicI64::new(0),
        has_ended: AtomicBool::new(false),
    });
    let figures = Box::pin(run(settings, load, &shared)).await;
    shared.siltstone.close().await?;
    if connect::is_shared(settings) {
        connect::queue(settings).await?.delete_topic(&topic.definition()).await?;
    }
    tokio::fs::remove_dir_all(&run_dir).await?;
    figures
}

async fn run(settings: &Settings, load: Load, shared: &Arc<Shared>) -> anyhow::Result<Figures> {
    let begun = Instant::now();
    let publishing = async {
        let published = shared.publish(load).await;
        shared.has_ended.store(true, Ordering::SeqCst);
        published.map(|()| begun.elapsed().as_secs_f64())
    };
    let (seconds, visible, (counts, wrong_counts)) = tokio::try_join!(publishing, shared.probe(), shared.count())?;
    let confirmed = shared.confirmed.load(Ordering::SeqCst);
    let last_count = shared.number(&format!("SELECT count(*) FROM \"{}\"", shared.topic)).await?;
    ensure!(last_count == confirmed, "{last_count} records are counted at the end, and {confirmed} were confirmed");
    Ok(Figures {
        build: if cfg!(debug_assertions) { "debug" } else { "release" },
        hardware: Hardware::read(),
        queue: connect::queue_place(settings),
        payload_bytes: load.payload_bytes,
        partitions: load.partitions,
        seconds,
        confirmed,
        probes: visible.len(),
        visible: Percentiles::of(visible),
        counts: counts.len(),
        count_ms: Percentiles::of(counts),
        wrong_counts,
        last_count,
        segments: shared.siltstone.summary().segments,
    })
}

impl Shared {
    /// Publishes at the rate, in small batches.
    async fn publish(&self, load: Load) -> anyhow::Result<()> {
        let mut payloads = Payloads::new(load.format, load.payload_bytes as usize, 1);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let count = (load.rate * TICK.as_millis() as u64).div_ceil(1000).max(1);
        let mut on_the_way = FuturesUnordered::new();
        for _ in 0..Duration::from_secs(load.seconds).as_millis() / TICK.as_millis() {
            ticks.tick().await;
            let batch = (0..count).map(|_| OutgoingMessage::new(payloads.next())).collect();
            on_the_way.push(self.send(batch));
            while on_the_way.len() >= ON_THE_WAY_MAX {
                on_the_way.next().await.transpose()?;
            }
        }
        while on_the_way.next().await.transpose()?.is_some() {}
        Ok(())
    }

    async fn send(&self, batch: Vec<OutgoingMessage>) -> anyhow::Result<()> {
        let count = batch.len() as i64;
        self.sent.fetch_add(count, Ordering::SeqCst);
        for outcome in self.siltstone.producer().send_batch(&self.topic, batch).await? {
            outcome.map_err(|failure| anyhow::anyhow!("{}", failure.error))?;
        }
        self.confirmed.fetch_add(count, Ordering::SeqCst);
        Ok(())
    }

    /// Publishes one record after the other, and asks for it until it is there; milliseconds of each.
    async fn probe(&self) -> anyhow::Result<Vec<f64>> {
        let mut payloads = Payloads::new(Format::Json, 100, 2);
        let mut millis = Vec::new();
        while !self.has_ended.load(Ordering::SeqCst) {
            let published_at = Instant::now();
            self.sent.fetch_add(1, Ordering::SeqCst);
            let place = self.siltstone.append(&self.topic, None, payloads.next(), None).await?;
            self.confirmed.fetch_add(1, Ordering::SeqCst);
            let sql = format!(
                "SELECT count(*) FROM \"{}\" WHERE _partition_id = {} AND _offset = {}",
                self.topic, place.partition, place.offset
            );
            while self.number(&sql).await? == 0 {}
            millis.push(published_at.elapsed().as_secs_f64() * 1000.0);
            tokio::time::sleep(PROBE_PAUSE).await;
        }
        Ok(millis)
    }

    /// Counts the whole table again and again; milliseconds of each, and the number of wrong ones.
    async fn count(&self) -> anyhow::Result<(Vec<f64>, usize)> {
        let (mut millis, mut wrong, mut last) = (Vec::new(), 0, 0);
        let sql = format!("SELECT count(*) FROM \"{}\"", self.topic);
        while !self.has_ended.load(Ordering::SeqCst) {
            let (begun, before) = (Instant::now(), self.confirmed.load(Ordering::SeqCst));
            let count = self.number(&sql).await?;
            let after = self.sent.load(Ordering::SeqCst);
            wrong += usize::from(count < last || count < before || count > after);
            last = count;
            millis.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
        Ok((millis, wrong))
    }

    async fn number(&self, sql: &str) -> anyhow::Result<i64> {
        let batches = self.siltstone.query(sql).await?;
        let column = batches.first().context("no answer")?.column(0);
        Ok(column.as_primitive::<Int64Type>().value(0))
    }
}
