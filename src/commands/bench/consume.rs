//! Consuming, measured: every record of local segments, read by one consumer of one process.
//!
//! Owns: filling the lake, reading it, and the figures. Does not own: reading (crate `consumer`), time and memory
//! (`measure`).

use std::fmt;
use std::time::Duration;

use anyhow::{Context, ensure};
use common::TopicPartition;
use common::clock::{Clock, SystemClock};
use common::config::{QueueType, Settings};
use common::topic::Format;
use consumer::{FetchParts, FetchRequest, Fetcher, Limits, OutOfRange, Seen, Start};
use serde::Serialize;
use service::connect;
use siltstone::{Siltstone, TopicName};

use super::load::{self, Payloads};
use super::measure::{Hardware, Measurement, Phase};
use crate::output::{Align, Table};
use crate::units::{bytes_text, count_text};

/// Records that one fetch asks for.
const RECORDS: usize = 50_000;
/// Room of the queue beyond the records.
const QUEUE_SLACK_BYTES: usize = 64 << 20;

/// The figures of consuming. Shown by `Display`.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    build: &'static str,
    hardware: Hardware,
    format: Format,
    payload_bytes: u32,
    segments: u64,
    segment_bytes: u64,
    /// Each run reads everything with an empty cache.
    runs: Vec<Phase>,
}

/// Commits `count` records of `payload_bytes` bytes to a local directory, and reads them `runs` times.
pub(super) async fn measure(settings: &Settings, args: &super::Args) -> anyhow::Result<Report> {
    let (format, payload_bytes, count) = (args.format, args.size, args.messages);
    let run_dir = settings.storage_path.join("bench").join(format!("consume-{}", SystemClock.now_ms()));
    std::fs::create_dir_all(&run_dir).with_context(|| run_dir.display().to_string())?;
    let queue_memory_bytes = (payload_bytes as usize + 1024) * usize::try_from(count)? + QUEUE_SLACK_BYTES;
    let settings = Settings {
        queue_type: QueueType::Memory,
        queue_memory_bytes,
        storage_path: run_dir.clone(),
        catalog_url: None,
        topics: Vec::new(),
        ..settings.clone()
    };
    let topic = TopicName::new("bench-consume")?;
    Box::pin(fill(settings.clone(), &topic, format, payload_bytes, count)).await?;
    let catalog = connect::catalog_to_read(&settings).await?;
    let storage = connect::existing_storage(&settings)?;
    let partition = TopicPartition::new(topic, 0);
    let listed = catalog.get_segments(&partition).await?;
    let mut runs = Vec::new();
    for _ in 0..args.runs {
        let parts = FetchParts {
            catalog: catalog.clone(),
            storage: storage.clone(),
            tail: None,
            commits: None,
            announcements: None,
            cache: ingester::service::cache(&settings),
        };
        runs.push(Box::pin(read(&Fetcher::open(parts)?, &partition, count, payload_bytes)).await?);
    }
    catalog.close().await;
    if !args.keep {
        tokio::fs::remove_dir_all(&run_dir).await?;
    }
    Ok(Report {
        build: if cfg!(debug_assertions) { "debug" } else { "release" },
        hardware: Hardware::read(),
        format,
        payload_bytes,
        segments: listed.len() as u64,
        segment_bytes: listed.iter().map(|segment| segment.object.size_bytes).sum(),
        runs,
    })
}

async fn fill(
    settings: Settings,
    topic: &TopicName,
    format: Format,
    payload_bytes: u32,
    count: u64,
) -> anyhow::Result<()> {
    let siltstone = Siltstone::open(settings).await?;
    siltstone.create_topic(load::topic(topic.clone(), 1, format)).await?;
    let mut payloads = Payloads::new(format, payload_bytes as usize, 1);
    for _ in 0..count {
        siltstone.append(topic, None, payloads.next(), None).await?;
    }
    siltstone.flush_all().await?;
    siltstone.close().await?;
    Ok(())
}

async fn read(fetcher: &Fetcher, partition: &TopicPartition, count: u64, payload_bytes: u32) -> anyhow::Result<Phase> {
    let mut request = FetchRequest {
        partition: partition.clone(),
        start: Start::Begin,
        limits: Limits { records_max: RECORDS, bytes_max: 64 << 20 },
        wait: Duration::ZERO,
        out_of_range: OutOfRange::Error,
        seen: Seen::default(),
    };
    let measurement = Measurement::start();
    let mut records = 0;
    loop {
        let fetched = fetcher.fetch(&request).await?;
        if fetched.records == 0 {
            break;
        }
        records += fetched.records as u64;
        request.start = Start::Position(fetched.next);
    }
    ensure!(records == count, "{records} of {count} records were read");
    Ok(measurement.finish(records, records * u64::from(payload_bytes)))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} build, {} cores of {}", self.build, self.hardware.cores, self.hardware.cpu)?;
        let records = self.runs.first().map_or(0, |run| run.messages);
        let (segments, bytes) = (count_text(self.segments), bytes_text(self.segment_bytes));
        writeln!(
            f,
            "{} {} records of {} bytes in {segments} segments of {bytes} together, read by one consumer, the cache empty",
            count_text(records),
            self.format,
            self.payload_bytes
        )?;
        let mut table = Table::new(&[("RUN", Align::Right), ("RECORDS", Align::Right), ("TARGET", Align::Right)]);
        for (number, run) in self.runs.iter().enumerate() {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is approximate")]
            let rate = format!("{}/s", count_text(run.messages_per_s as u64));
            table.row([(number + 1).to_string(), rate, ">= 1,000,000/s".to_owned()]);
        }
        write!(f, "{table}")
    }
}
