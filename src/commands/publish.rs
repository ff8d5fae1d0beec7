//! `publish`: messages from a file or standard input into a topic.
//!
//! Owns: the arguments, opening the file, the report. Does not own: cutting and sending (`feed`).

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use common::TopicName;
use common::config::{QueueType, Settings};
use indicatif::ProgressBar;
use ingester::Producer;
use serde_json::json;
use tokio::io::{AsyncBufRead, BufReader};

use crate::feed::{FeedFormat, FeedOptions, Tally, feed};
use crate::output::{self, Align, Table, UsageError};
use crate::progress;
use crate::units::count_text;

/// Arguments of `publish`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the topic
    topic: TopicName,
    /// The file; standard input when absent or -
    #[arg(default_value = "-")]
    file: PathBuf,
    /// How the input is cut into messages
    #[arg(long, value_enum, default_value = "ndjson")]
    format: FeedFormat,
    /// Take each message's key from this member of its JSON object
    #[arg(long, value_name = "NAME")]
    key_field: Option<String>,
    /// Publish to this partition, whatever the key
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
    /// Most messages on their way at once
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch: u32,
    /// Publish ndjson lines without checking that they are JSON objects
    #[arg(long)]
    no_check: bool,
}

/// Publishes, and says where the messages went.
pub(crate) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    if settings.queue_type == QueueType::Memory {
        return Err(UsageError::new(
            "QUEUE_TYPE=memory: that queue lives inside the process that writes, so nothing published here would \
             arrive; set QUEUE_TYPE=nats, or feed the writer itself with `siltstone up --stdin TOPIC`",
        )
        .into());
    }
    if args.key_field.is_some() && args.format != FeedFormat::Ndjson {
        return Err(UsageError::new("--key-field needs --format ndjson").into());
    }
    let (mut reader, source, bar) = open(&args.file).await?;
    let options = FeedOptions {
        source,
        format: args.format,
        check: !args.no_check,
        key_field: args.key_field,
        partition: args.partition,
        batch_messages: args.batch as usize,
    };
    let queue = writer::connect::queue(settings).await?;
    let catalog = writer::connect::catalog(settings).await?;
    let producer = Producer::new(queue, Arc::clone(&catalog));
    let mut tally = Tally::default();
    let fed = feed(&producer, &args.topic, reader.as_mut(), &options, &mut tally, &|bytes| bar.inc(bytes)).await;
    bar.finish_and_clear();
    catalog.close().await;
    fed?;
    if json {
        return output::print_json(&json!({ "topic": args.topic, "published": tally }));
    }
    output::print(&report(&args.topic, &tally))
}

type Input = (Box<dyn AsyncBufRead + Send + Unpin>, String, ProgressBar);

async fn open(path: &PathBuf) -> anyhow::Result<Input> {
    if path.as_os_str() == "-" {
        return Ok((
            Box::new(BufReader::new(tokio::io::stdin())),
            "(standard input)".to_owned(),
            ProgressBar::hidden(),
        ));
    }
    let shown = path.display().to_string();
    let file = tokio::fs::File::open(path).await.with_context(|| shown.clone())?;
    let size = file.metadata().await.with_context(|| shown.clone())?.len();
    Ok((Box::new(BufReader::with_capacity(1 << 20, file)), shown, progress::bar(size, "bytes", "publishing")))
}

/// Shared with `up --stdin`.
pub(super) fn report(topic: &TopicName, tally: &Tally) -> String {
    let mut text = format!("published {} messages to {topic}\n", count_text(tally.messages));
    if tally.partitions.is_empty() {
        return text;
    }
    let right = Align::Right;
    let mut table = Table::new(&[("PARTITION", right), ("MESSAGES", right), ("FIRST", right), ("LAST", right)]);
    for (partition, range) in &tally.partitions {
        let numbers = [u64::from(*partition), range.messages, range.first_offset, range.last_offset];
        table.row(numbers.map(count_text));
    }
    text.push_str(&table.to_string());
    text
}
