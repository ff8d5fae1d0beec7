//! Embedded use, measured: appends one by one from a single task to a single partition, and a segment of full size.
//!
//! Owns: the two phases and their figures. Does not own: the durations that the writer records itself (`recorder`), showing
//! the figures (`report`).

mod recorder;
mod report;

use std::path::PathBuf;

use anyhow::Context;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use common::clock::{Clock, SystemClock};
use common::config::{QueueType, Settings};
use common::topic::Format;
use serde::Serialize;
use siltstone::{Siltstone, TopicName};
use tokio::time::Instant;

use self::recorder::Recorder;
use super::load::{self, Payloads};
use super::measure::{Hardware, Measurement, Phase, per_mille};

pub(super) use self::report::Report;

/// Bytes of a record of the segment of full size: hex digits, of which zstd keeps about a half.
const LARGE_RECORD_BYTES: usize = 64 << 10;
/// Room of the queue beyond the records, so that its size is no part of the figures.
const QUEUE_SLACK_BYTES: usize = 64 << 20;
/// Raw bytes per byte of a segment that are certainly enough.
const RAW_PER_SEGMENT_BYTE: usize = 3;
/// No age closes a batch during the measurement of a segment.
const NEVER_SECS: u64 = 86_400;

/// The figures of embedded use.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figures {
    pub(super) build: &'static str,
    pub(super) hardware: Hardware,
    pub(super) store: String,
    pub(super) format: Format,
    pub(super) payload_bytes: u32,
    /// Until the last record is appended.
    pub(super) append: Phase,
    pub(super) append_latency: Latency,
    /// Until the last record is committed.
    pub(super) committed: Phase,
    /// Time of `flush_all` after the last append.
    pub(super) flush_seconds: f64,
    pub(super) segment: Segment,
}

/// Durations of single appends.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Latency {
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) p999_us: f64,
    pub(super) max_us: f64,
}

/// One segment of full size.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Segment {
    pub(super) bytes: u64,
    pub(super) roll_seconds: f64,
    pub(super) upload_seconds: f64,
    pub(super) commit_seconds: f64,
}

/// Measures with `count` records of `payload_bytes` bytes.
pub(super) async fn measure(
    settings: &Settings,
    format: Format,
    payload_bytes: u32,
    count: u64,
    keep: bool,
) -> anyhow::Result<Report> {
    let run_dir = settings.storage_path.join("bench").join(format!("embedded-{}", SystemClock.now_ms()));
    std::fs::create_dir_all(&run_dir).with_context(|| run_dir.display().to_string())?;
    let recorder = Recorder::install()?;
    let store = match &settings.storage_url {
        Some(url) => url.to_string(),
        None => format!("{}, fsync of file and directory", settings.storage_type.as_str()),
    };
    let small = own_settings(settings, run_dir.clone(), (payload_bytes as usize + 1024) * usize::try_from(count)?);
    let (append, append_latency, committed, flush_seconds) =
        Box::pin(append_all(small, format, payload_bytes, count)).await?;
    let segment_bytes = settings.max_segment_size_bytes;
    let large = own_settings(settings, run_dir.clone(), segment_bytes * (RAW_PER_SEGMENT_BYTE + 1));
    let large = Settings { flush_interval_secs: NEVER_SECS, ..large };
    let segment = Box::pin(full_segment(large, segment_bytes, &recorder)).await?;
    if !keep {
        tokio::fs::remove_dir_all(&run_dir).await?;
    }
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    let hardware = Hardware::read();
    let figures = Figures {
        build,
        hardware,
        store,
        format,
        payload_bytes,
        append,
        append_latency,
        committed,
        flush_seconds,
        segment,
    };
    Ok(Report(figures))
}

/// A queue in memory that holds all records, and a catalog of the run's own.
fn own_settings(settings: &Settings, run_dir: PathBuf, queue_bytes: usize) -> Settings {
    Settings {
        queue_type: QueueType::Memory,
        queue_memory_bytes: queue_bytes + QUEUE_SLACK_BYTES,
        storage_path: run_dir,
        catalog_url: None,
        topics: Vec::new(),
        ..settings.clone()
    }
}

/// Appends every record by itself, then flushes.
async fn append_all(
    settings: Settings,
    format: Format,
    payload_bytes: u32,
    count: u64,
) -> anyhow::Result<(Phase, Latency, Phase, f64)> {
    let siltstone = Siltstone::open(settings).await?;
    let topic = TopicName::new("bench-append")?;
    siltstone.create_topic(load::topic(topic.clone(), 1, format)).await?;
    let mut payloads = Payloads::new(format, payload_bytes as usize, 1);
    let mut nanos = Vec::with_capacity(usize::try_from(count)?);
    let (appending, committing) = (Measurement::start(), Measurement::start());
    for _ in 0..count {
        let payload = payloads.next();
        let started = Instant::now();
        siltstone.append(&topic, None, payload, None).await?;
        nanos.push(u64::try_from(started.elapsed().as_nanos())?);
    }
    let bytes = count * u64::from(payload_bytes);
    let append = appending.finish(count, bytes);
    let flushing = Instant::now();
    siltstone.flush_all().await?;
    let flush_seconds = flushing.elapsed().as_secs_f64();
    let committed = committing.finish(count, bytes);
    siltstone.close().await?;
    Ok((append, Latency::of(nanos), committed, flush_seconds))
}

/// Appends until a segment is closed for its size, and returns its figures.
async fn full_segment(settings: Settings, segment_bytes: usize, recorder: &Recorder) -> anyhow::Result<Segment> {
    let siltstone = Siltstone::open(settings).await?;
    let topic = TopicName::new("bench-segment")?;
    siltstone.create_topic(load::topic(topic.clone(), 1, Format::Raw)).await?;
    let mut payloads = Payloads::new(Format::Raw, LARGE_RECORD_BYTES, 2);
    let before = recorder.taken();
    for _ in 0..segment_bytes * RAW_PER_SEGMENT_BYTE / LARGE_RECORD_BYTES {
        siltstone.append(&topic, None, payloads.next(), None).await?;
    }
    siltstone.flush_all().await?;
    // The first segment is the one of full size; the flush closes the rest.
    let sql = "SELECT size_bytes FROM siltstone.segments WHERE topic = 'bench-segment' ORDER BY base_offset LIMIT 1";
    let rows = siltstone.query(sql).await?;
    let bytes = rows.first().map(|batch| batch.column(0).as_primitive::<UInt64Type>().value(0));
    siltstone.close().await?;
    let durations = recorder.taken().since(&before).first();
    let (roll_seconds, upload_seconds, commit_seconds) = durations.context("the writer recorded no durations")?;
    let bytes = bytes.context("no segment was committed")?;
    Ok(Segment { bytes, roll_seconds, upload_seconds, commit_seconds })
}

impl Latency {
    fn of(mut nanos: Vec<u64>) -> Self {
        nanos.sort_unstable();
        #[expect(clippy::cast_precision_loss, reason = "a latency is approximate")]
        let at = |thousandths| per_mille(&nanos, thousandths).unwrap_or_default() as f64 / 1e3;
        Self { p50_us: at(500), p99_us: at(990), p999_us: at(999), max_us: at(1_000) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_durations() {
        let latency = Latency::of((1..=1_000).map(|number| number * 1_000).collect());
        assert_eq!((latency.p50_us, latency.p99_us, latency.p999_us, latency.max_us), (500.0, 990.0, 999.0, 1_000.0));
        assert_eq!(Latency::of(vec![7_000]).p50_us, 7.0);
    }
}
