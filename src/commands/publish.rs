//! `publish`: messages from a file or standard input into a topic.
//!
//! Owns: the arguments, opening the file, the report, hints at arguments in errors.
//! Does not own: cutting, checking and sending (`ingester::feed`).

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use catalog::MetadataStore;
use common::TopicName;
use common::config::Settings;
use common::topic::Format as TopicFormat;
use indicatif::ProgressBar;
use ingester::Producer;
use ingester::feed::{Feed, FeedError, FeedFormat, FeedOptions, InputError, LineProblem, Tally};
use serde_json::json;
use service::connect;
use tokio::io::{AsyncBufRead, BufReader};

use crate::opened::{self, reading_catalog};
use crate::output::{self, Align, Table, UsageError};
use crate::progress;
use crate::units::count_text;

/// Publish messages from a file or standard input.
///
/// Any NATS client can publish as well: `siltstone topic describe TOPIC` shows the subjects. Messages with a key go to
/// the partition that the topic's partitioner gives; those without take turns.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone publish orders orders.ndjson --key-field customer")]
pub(crate) struct Args {
    /// Name of the topic
    topic: TopicName,
    /// The file; standard input when absent or -
    #[arg(default_value = "-")]
    file: PathBuf,
    /// How the input is cut into messages; text for a text topic and ndjson for others, unless given
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Take each message's key from this member of its JSON object
    #[arg(long, value_name = "NAME")]
    key_field: Option<String>,
    /// Publish to this partition, whatever the key
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
    /// Send at most this many messages at once, before the first is confirmed
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch: u32,
    /// Publish lines without checking that they are JSON objects, or UTF-8 if they are text
    #[arg(long)]
    no_check: bool,
}

/// The form of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// One JSON object per line, each a message; blank lines are skipped
    Ndjson,
    /// Each line is a message, blank ones too
    Lines,
    /// Each line of UTF-8 is a message, blank ones too; a line ends at LF or CRLF
    Text,
    /// The whole file is one message
    Raw,
}

impl From<Format> for FeedFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Ndjson => Self::Ndjson,
            Format::Lines => Self::Lines,
            Format::Text => Self::Text,
            Format::Raw => Self::Raw,
        }
    }
}

/// Publishes, and reports the partitions of the messages.
pub(crate) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    opened::ensure_shared_queue(settings, "nothing published here would arrive").map_err(|error| {
        UsageError::new(format!(
            "{error}; `siltstone up` takes records at http://{}/v1/topics/{}/records, and `siltstone up --stdin {}` lines",
            settings.ingest_addr, args.topic, args.topic
        ))
    })?;
    if args.key_field.is_some() && args.format.is_some_and(|format| format != Format::Ndjson) {
        return Err(UsageError::new("--key-field needs --format ndjson").into());
    }
    let (mut reader, input_name, bar) = open(&args.file).await?;
    let queue = connect::queue(settings).await?;
    let mut tally = Tally::default();
    let fed = reading_catalog(settings, async |catalog| {
        let format = match args.format {
            Some(format) => format.into(),
            None => format_for(catalog.as_ref(), &args.topic, args.key_field.is_some()).await?,
        };
        let options = FeedOptions {
            input_name,
            format,
            check: !args.no_check,
            key_field: args.key_field,
            partition: args.partition,
            batch_messages: args.batch as usize,
        };
        let producer = Producer::new(queue, Arc::clone(catalog));
        let progress = |bytes| bar.inc(bytes);
        let feed = Feed { producer: &producer, topic: &args.topic, options: &options, progress: &progress };
        let fed = feed.run(reader.as_mut(), &mut tally).await;
        bar.finish_and_clear();
        fed.map_err(|error| explained(error, &args.topic, &tally))
    });
    fed.await?;
    output::show(json, &json!({ "topic": args.topic, "published": tally }), || report(&args.topic, &tally))
}

/// Adds the arguments that help, and shows on standard error where the confirmed messages are when others are not.
/// Shared with `up --stdin`.
pub(super) fn explained(error: FeedError, topic: &TopicName, tally: &Tally) -> anyhow::Error {
    let is_partial = matches!(error, FeedError::Unconfirmed { .. } | FeedError::Refused { .. });
    if is_partial && tally.messages > 0 {
        output::note(report(topic, tally).trim_end());
    }
    let FeedError::Stopped { confirmed, problem: InputError::Line { input, line, problem } } = error else {
        return error.into();
    };
    const NO_CHECK: &str = "(--no-check publishes it as it is)";
    let problem = match problem {
        LineProblem::NotJson(error) => anyhow::Error::new(error).context(format!("not JSON {NO_CHECK}")),
        LineProblem::NotObject => anyhow!("not a JSON object {NO_CHECK}"),
        LineProblem::NotText(error) => anyhow::Error::new(error).context(format!("not UTF-8 {NO_CHECK}")),
        LineProblem::NoJsonForKey(error) => anyhow::Error::new(error).context("not JSON, which --key-field needs"),
        other => other.into(),
    };
    problem
        .context(format!("{input}:{line}"))
        .context(format!("stopped after {confirmed} messages, which are published"))
}

/// The form of input for `topic`, unless the user gives one. Keys are members of JSON, which a text topic may hold too.
/// Shared with `up --stdin`.
pub(super) async fn format_for(
    catalog: &dyn MetadataStore,
    topic: &TopicName,
    has_keys: bool,
) -> anyhow::Result<FeedFormat> {
    let topic = catalog.get_topic(topic).await?;
    let is_text = topic.is_some_and(|topic| topic.config.format == TopicFormat::Text);
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
