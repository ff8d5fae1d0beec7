//! `demo`: the whole path in one process, from published orders to a query over Parquet.
//!
//! Owns: the steps, and the check that nothing is missing. Does not own: the orders (`orders`), the report (`report`),
//! the queue, writer, catalog and reader, which are those of a real set-up.
//!
//! Each run has a directory of its own, so that no run can touch the files of another.

mod orders;
mod report;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, ensure};
use catalog::MetadataStore;
use common::clock::{Clock, SystemClock};
use common::config::{QueueType, Settings, StorageType};
use common::{OutgoingMessage, Queue, TopicName, TopicPartition};
use ingester::Producer;
use service::connect;
use tokio::time::Instant;
use writer::{Writer, WriterConfig};

use self::orders::Orders;
use self::report::Report;
use super::topic::create_topic;
use crate::opened::with_new_catalog;
use crate::progress;
use crate::settle::until_committed;

const BATCH_MESSAGES: usize = 1000;

/// Show it all in one process: publish orders, settle them into Parquet, query.
///
/// Needs no server: queue and catalog of a run are its own, in a directory of its own. At the end the table and the
/// quarantine must hold exactly what was published.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone demo --records 1000000")]
pub(crate) struct Args {
    /// How many orders to publish
    #[arg(long, value_name = "N", default_value = "100000", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    records: u64,
    /// Where to put the run's own directory
    #[arg(long, value_name = "DIR", default_value = "./data/demo")]
    dir: PathBuf,
    /// Delete the run's directory at the end
    #[arg(long)]
    discard: bool,
}

/// Runs the demo.
///
/// # Errors
/// When anything fails, and when the table plus the quarantine do not hold exactly the published orders.
pub(crate) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    let run_dir = new_run_dir(&args.dir)?;
    let demo = demo_settings(settings, run_dir);
    let queue = connect::queue(&demo).await?;
    let settled = with_new_catalog(&demo, async |catalog| {
        let seconds = Box::pin(settle_orders(&args, &demo, queue, catalog)).await?;
        Report::collect(args.records, seconds, &demo, catalog).await
    });
    let report = settled.await?;
    report.print(json, !args.discard)?;
    report.check()?;
    if args.discard {
        tokio::fs::remove_dir_all(&demo.storage_path).await?;
    }
    Ok(())
}

/// Publishes and writes at the same time, until everything is committed. Returns the seconds taken.
async fn settle_orders(
    args: &Args,
    settings: &Settings,
    queue: Arc<dyn Queue>,
    catalog: &Arc<dyn MetadataStore>,
) -> anyhow::Result<f64> {
    let topic = orders::topic();
    let name = topic.name.clone();
    create_topic(queue.as_ref(), catalog.as_ref(), topic).await?;
    let storage = connect::storage(settings)?;
    let writer = Writer::builder(Arc::clone(&queue), storage, Arc::clone(catalog))
        .config(WriterConfig::from(settings))
        .topics(vec![name.clone()])
        .build();
    let started = Instant::now();
    let mut running = writer.start().await?;
    let published = publish_orders(args.records, &name, Producer::new(queue, Arc::clone(catalog))).await;
    let settled = match published {
        Ok(ends) => until_committed(&mut running, &ends).await,
        Err(error) => Err(error),
    };
    let seconds = started.elapsed().as_secs_f64();
    let stopped = running.shutdown().await;
    settled?;
    stopped?;
    Ok(seconds)
}

/// Returns the offset after the last order of each partition.
async fn publish_orders(
    records: u64,
    topic: &TopicName,
    producer: Producer,
) -> anyhow::Result<Vec<(TopicPartition, u64)>> {
    let bar = progress::bar(records, "orders", "publishing");
    let mut orders = Orders::new(records);
    let mut ends = BTreeMap::new();
    let (mut confirmed, mut failed) = (0, 0);
    loop {
        let batch: Vec<OutgoingMessage> = orders.by_ref().take(BATCH_MESSAGES).collect();
        if batch.is_empty() {
            break;
        }
        let mut first_failure = None;
        for outcome in producer.send_batch(topic, batch).await? {
            match outcome {
                Ok(sent) => {
                    confirmed += 1;
                    ends.insert(TopicPartition::new(sent.topic, sent.partition), sent.offset + 1);
                }
                Err(failure) => {
                    failed += 1;
                    first_failure.get_or_insert(failure);
                }
            }
        }
        if let Some(failure) = first_failure {
            return Err(anyhow::Error::new(failure)
                .context(format!("{confirmed} orders are published; of {failed} more that is not certain")));
        }
        bar.set_position(confirmed);
    }
    bar.finish_and_clear();
    Ok(ends.into_iter().collect())
}

fn demo_settings(settings: &Settings, run_dir: PathBuf) -> Settings {
    Settings {
        queue_type: QueueType::Memory,
        storage_type: StorageType::Local,
        storage_path: run_dir,
        storage_url: None,
        catalog_url: None,
        topics: Vec::new(),
        ..settings.clone()
    }
}

fn new_run_dir(parent: &PathBuf) -> anyhow::Result<PathBuf> {
    let now = chrono::DateTime::from_timestamp_micros(SystemClock.now_us()).context("the clock is out of range")?;
    let run_dir = parent.join(format!("run-{}", now.format("%Y%m%d-%H%M%S-%6f")));
    std::fs::create_dir_all(parent).with_context(|| format!("--dir {}", parent.display()))?;
    std::fs::create_dir(&run_dir).with_context(|| format!("--dir {}", run_dir.display()))?;
    ensure!(run_dir.to_str().is_some(), "--dir {}: the path is not UTF-8", run_dir.display());
    Ok(run_dir)
}
