//! `bench`: the cost that the pipeline adds to reading, measured in one run of one process.
//!
//! Owns: the order of the phases. First the ceiling (the same subscription loop, throwing messages away), then
//! the pipeline to committed segments, both over the same messages; their ratio is the figure that travels
//! between machines. A live phase then measures freshness.
//! Does not own: each phase (`publish`, `ceiling`, `pipeline`, `live`), the messages (`load`), the figures (`figures`),
//! showing them (`report`); other measurements: embedded use (`embedded`), consuming (`consume`), the way into the queue
//! (`producing`), hot tails (`visible`).

mod awaited;
mod ceiling;
mod consume;
mod embedded;
mod figures;
mod live;
mod load;
mod measure;
mod pipeline;
mod producing;
mod publish;
mod report;
mod setup;
mod visible;

use std::path::PathBuf;

use anyhow::bail;
use common::TopicName;
use common::config::{QueueType, Settings, StorageType};
use common::topic::Format;

use self::figures::{LiveReport, Run};
use self::live::Live;
use self::producing::Way;
use self::report::Report;
use self::setup::Bench;
use crate::columns::format_parser;
use crate::opened;
use crate::output::{self, UsageError};

/// Measure the pipeline against the queue's own reading speed.
///
/// First a consumer that throws messages away reads them all, then the pipeline commits the same messages: the ratio of
/// the two speeds is the figure that travels between machines. A live phase then measures the time from publish to
/// commit. Only a release build gives figures worth having.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone bench --queue nats --runs 7")]
pub(crate) struct Args {
    /// The queue; by default as QUEUE_TYPE says
    #[arg(long, value_parser = ["memory", "nats"])]
    queue: Option<String>,
    /// How many messages each run reads
    #[arg(long, value_name = "N", default_value = "1000000", value_parser = clap::value_parser!(u64).range(1..))]
    messages: u64,
    /// Bytes of each payload
    #[arg(long, value_name = "BYTES", default_value = "200", value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    size: u32,
    /// Format of the topic; a json topic declares five columns
    #[arg(long, default_value = Format::Json.as_str(), value_parser = format_parser())]
    format: Format,
    /// Partitions of the topic
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    partitions: u32,
    /// Use this topic of the configured catalog, made if absent and kept; else one of the run's own, deleted at
    /// the end. No other writer should be running on it
    #[arg(long, value_name = "NAME")]
    topic: Option<TopicName>,
    /// Publish nothing: read again what --topic holds
    #[arg(long, requires = "topic")]
    reread: bool,
    /// Put segments and catalog into this directory instead of the configured store
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Keep segments and catalog
    #[arg(long)]
    keep: bool,
    /// Repeat, and report the best and the median
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Messages per second of the live phase
    #[arg(long, value_name = "N", default_value = "5000", value_parser = clap::value_parser!(u64).range(100..=10_000_000))]
    live_rate: u64,
    /// Length of the live phase, 0 for none; several times FLUSH_INTERVAL_SECS gives meaningful percentiles
    #[arg(long, value_name = "SECONDS", default_value = "20")]
    live_seconds: u64,
    /// Wait for the commit of each message of the live phase, as a producer with acks=committed does
    #[arg(long, value_name = "WHEN", default_value = "queued", value_parser = ["queued", "committed"])]
    acks: String,
    /// Instead of all that: memory queue with so many partitions, one message per second for each
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000),
          conflicts_with_all = ["queue", "messages", "partitions", "topic", "reread", "runs", "live_rate", "live_seconds"])]
    many_partitions: Option<u32>,
    /// With --many-partitions: spread them over so many topics, a divisor of their number
    #[arg(long, value_name = "N", default_value = "1", requires = "many_partitions",
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    many_topics: u32,
    /// Instead of all that: appends one by one by the library in this process, memory queue, and a segment of full size
    #[arg(long, conflicts_with_all = ["queue", "partitions", "topic", "reread", "runs", "live_rate", "live_seconds", "many_partitions"])]
    embedded: bool,
    /// Instead of all that: commit --messages to a local directory, and read them as a consumer does, --runs times
    #[arg(long, conflicts_with_all = ["queue", "partitions", "topic", "reread", "live_rate", "live_seconds", "many_partitions", "embedded", "producer", "http"])]
    consume: bool,
    /// Instead of all that: the library that publishes, in this process, against the queue without it (memory), or a bare
    /// client that publishes the same bytes (nats); then the time of an answer with --clients
    #[arg(long, conflicts_with_all = ["topic", "reread", "live_rate", "live_seconds", "acks", "many_partitions", "embedded", "http"])]
    producer: bool,
    /// Instead of all that: records over HTTP, with the service and its clients in this process; then the time of an
    /// answer with --clients
    #[arg(long, conflicts_with_all = ["topic", "reread", "live_rate", "live_seconds", "acks", "many_partitions", "embedded"])]
    http: bool,
    /// Instead of all that: the time from publish to visible in SQL while messages come at --live-rate for --live-seconds,
    /// with a writer in this process, and counts of the whole table that are compared with what was confirmed
    #[arg(long, conflicts_with_all = ["topic", "reread", "runs", "many_partitions", "embedded", "producer", "http"])]
    visible: bool,
    /// With --producer and --http: time answers with so many clients, each with one record at a time
    #[arg(long, value_name = "N,…", default_value = "1,64,1000", value_delimiter = ',',
          value_parser = clap::value_parser!(u16).range(1..))]
    clients: Vec<u16>,
    /// Length of the phase of each of --clients, once for acks=queued and once for acks=committed; 0 for none
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = clap::value_parser!(u64).range(..=3600))]
    client_seconds: u64,
    /// Length of --many-partitions
    #[arg(long, value_name = "SECONDS", default_value = "30", requires = "many_partitions",
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
}

impl Args {
    fn is_awaited(&self) -> bool {
        self.acks == "committed"
    }

    /// The way into the queue that is to be measured, if it is one.
    fn way(&self) -> Option<Way> {
        match (self.producer, self.http) {
            (true, _) => Some(Way::Library),
            (false, true) => Some(Way::Http),
            (false, false) => None,
        }
    }
}

/// Runs the bench.
pub(crate) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    let settings = bench_settings(&args, settings)?;
    if cfg!(debug_assertions) {
        output::note("warning: this is a debug build; figures of a release build are many times higher");
    }
    if args.embedded {
        let report = Box::pin(embedded::measure(&settings, args.format, args.size, args.messages, args.keep)).await?;
        return output::show(json, &report, || report.to_string());
    }
    if args.consume {
        let report = Box::pin(consume::measure(&settings, &args)).await?;
        return output::show(json, &report, || report.to_string());
    }
    if args.visible {
        let Args { format, partitions, live_rate: rate, live_seconds: seconds, .. } = args;
        let load = visible::Load { format, payload_bytes: args.size, partitions, rate, seconds };
        let figures = Box::pin(visible::measure(&settings, load)).await?;
        return output::show(json, &figures, || figures.to_string());
    }
    let bench = Box::pin(Bench::prepare(&args, settings)).await?;
    if let Some(way) = args.way() {
        let Args { messages, runs, client_seconds, .. } = args;
        let clients = args.clients.iter().map(|clients| usize::from(*clients)).collect();
        let scale = producing::Scale { messages, runs, clients, client_seconds };
        let outcome = Box::pin(producing::measure(&bench, way, &scale)).await;
        let cleaned = bench.clean_up(args.keep).await;
        let report = outcome?;
        cleaned?;
        return output::show(json, &report, || report.to_string());
    }
    let outcome = match args.many_partitions {
        Some(partitions) => Box::pin(many_partitions(&bench, partitions, &args)).await,
        None => Box::pin(throughput(&bench, &args)).await,
    };
    let cleaned = bench.clean_up(args.keep).await;
    let report = outcome?;
    cleaned?;
    output::show(json, &report, || report.to_string())
}

async fn throughput(bench: &Bench, args: &Args) -> anyhow::Result<Report> {
    let mut runs = Vec::new();
    for number in 1..=args.runs {
        output::note(&format!("run {number} of {}", args.runs));
        runs.push(Box::pin(one_run(bench, number, args)).await?);
    }
    let is_awaited = args.is_awaited();
    let live = match args.live_seconds {
        0 => None,
        seconds => {
            let live = Live { rate: args.live_rate, seconds, poll: live::POLL, is_awaited };
            Some(Box::pin(live_phase(bench, live, 1)).await?)
        }
    };
    Ok(Report::new(bench.describe(), runs, live))
}

async fn one_run(bench: &Bench, number: u32, args: &Args) -> anyhow::Result<Run> {
    let queue = bench.queue().await?;
    let is_published = args.reread || (number > 1 && bench.queue_is_durable());
    let publish = if is_published { None } else { Some(publish::publish_all(&queue, bench, args.messages).await?) };
    let ends = bench.ends(queue.as_ref()).await?;
    let ceiling = ceiling::measure(&queue, bench, &ends).await?;
    let catalog = bench.fresh_catalog().await?;
    let pipeline = Box::pin(pipeline::measure(&queue, bench, &catalog, &ends, &ceiling)).await;
    bench.forget(catalog).await?;
    Ok(Run::new(publish, ceiling, pipeline?))
}

async fn live_phase(bench: &Bench, settings: Live, topics: u32) -> anyhow::Result<LiveReport> {
    let live = bench.live_bench(topics).await?;
    let queue = live.queue().await?;
    let catalog = live.fresh_catalog().await?;
    let measured = Box::pin(live::measure(&queue, &live, &catalog, settings)).await;
    live.forget(catalog).await?;
    live.drop_topic().await?;
    measured
}

async fn many_partitions(bench: &Bench, partitions: u32, args: &Args) -> anyhow::Result<Report> {
    let (seconds, is_awaited) = (args.seconds, args.is_awaited());
    let live = Live { rate: u64::from(partitions), seconds, poll: live::POLL_MANY, is_awaited };
    let live = Box::pin(live_phase(bench, live, args.many_topics)).await?;
    Ok(Report::new(bench.describe(), Vec::new(), Some(live)))
}

fn bench_settings(args: &Args, settings: &Settings) -> anyhow::Result<Settings> {
    let mut settings = settings.clone();
    if let Some(partitions) = args.many_partitions.filter(|partitions| partitions % args.many_topics != 0) {
        let text = format!("--many-topics {} does not divide --many-partitions {partitions}", args.many_topics);
        bail!(UsageError::new(text));
    }
    match args.queue.as_deref() {
        Some("nats") => settings.queue_type = QueueType::Nats,
        Some(_) => settings.queue_type = QueueType::Memory,
        None => {}
    }
    if args.many_partitions.is_some() {
        settings.queue_type = QueueType::Memory;
    }
    if args.topic.is_some() {
        opened::ensure_shared_queue(&settings, "--topic has no messages there (--queue nats reads them)")?;
    }
    if let Some(dir) = &args.dir {
        settings.storage_type = StorageType::Local;
        settings.storage_path.clone_from(dir);
        settings.storage_url = None;
        settings.catalog_url = None;
    }
    Ok(settings)
}
