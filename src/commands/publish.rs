//! `publish`: messages from a file or standard input into a topic.
//!
//! Owns: the arguments, opening the file, the report. Does not own: cutting and sending (`feed`).

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use catalog::MetadataStore;
use common::TopicName;
use common::config::{QueueType, Settings};
use common::topic::Format;
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
    /// How the input is cut into messages; text for a text topic and ndjson for others, unless given
    #[arg(long, value_enum)]
    format: Option<FeedFormat>,
    /// Take each message's key from this member of its JSON object
    #[arg(long, value_name = "NAME")]
    key_field: Option<String>,
    /// Publish to this partition, whatever the key
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
    /// Most messages on their way at once
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch: u32,
    /// Publish lines without checking that they are JSON objects, or UTF-8 if they are text
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
    if args.key_field.is_some() && args.format.is_some_and(|format| format != FeedFormat::Ndjson) {
        return Err(UsageError::new("--key-field needs --format ndjson").into());
    }
    let (mut reader, source, bar) = open(&args.file).await?;
    let queue = writer::connect::queue(settings).await?;
    let catalog = writer::connect::catalog(settings).await?;
    let producer = Producer::new(queue, Arc::clone(&catalog));
    let mut tally = Tally::default();
    let fed = async {
        let format = match args.format {
            Some(format) => format,
            None => format_for(catalog.as_ref(), &args.topic, args.key_field.is_some()).await?,
        };
        let options = FeedOptions {
            source,
            format,
            check: !args.no_check,
            key_field: args.key_field,
            partition: args.partition,
            batch_messages: args.batch as usize,
        };
        feed(&producer, &args.topic, reader.as_mut(), &options, &mut tally, &|bytes| bar.inc(bytes)).await
    };
    let fed = fed.await;
    bar.finish_and_clear();
    catalog.close().await;
    fed?;
    if json {
        return output::print_json(&json!({ "topic": args.topic, "published": tally }));
    }
    output::print(&report(&args.topic, &tally))
}

/// How input for `topic` is cut, unless the user says it. Keys are members of JSON, which a text topic may hold too.
/// Shared with `up --stdin`.
pub(super) async fn format_for(
    catalog: &dyn MetadataStore,
    topic: &TopicName,
    has_keys: bool,
) -> anyhow::Result<FeedFormat> {
    let topic = catalog.get_topic(topic).await?;
    let is_text = topic.is_some_and(|topic| topic.config.format == Format::Text);
    Ok(if is_text && !has_keys { FeedFormat::Text } else { FeedFormat::Ndjson })
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
