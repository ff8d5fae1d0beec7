//! `publish`: messages from a file or standard input into a topic.
//!
//! Owns: the arguments, opening the file, the choice between the queue and a URL.
//! Does not own: cutting, checking and sending (`ingester::feed`), the producer and the report (`feeding`), what an HTTP
//! service asks for (`over_http`).

mod over_http;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::config::Settings;
use common::{AgentUrl, TopicName};
use indicatif::ProgressBar;
use ingester::feed::{Feed, FeedFormat, FeedOptions, Tally};
use ingester::{Acks, Producer, ProducerError};
use serde_json::json;
use service::connect;
use tokio::io::{AsyncBufRead, BufReader};

use self::over_http::HttpService;
use crate::feeding::{self, ResumeId, explained, format_for, report};
use crate::opened::{self, reading_catalog};
use crate::output::{self, UsageError};
use crate::progress;

/// Publish messages from a file or standard input.
///
/// With --url they go to the HTTP service of `siltstone up` or an ingester, and no setting of queue or catalog is needed.
/// Its token, if it asks for one, comes from the environment variable SILTSTONE_TOKEN or from --token-file.
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
    /// Publish over HTTP to this address, such as http://127.0.0.1:8081, instead of to the queue of the settings
    #[arg(long, value_name = "URL")]
    url: Option<AgentUrl>,
    /// With --url: read the token from this file instead of SILTSTONE_TOKEN
    #[arg(long, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,
    /// With --url https://…: also trust the certificate authority in this PEM file; SILTSTONE_CA_FILE unless given
    #[arg(long, value_name = "FILE", requires = "url")]
    ca_file: Option<PathBuf>,
    /// How the input is cut into messages; text for a text topic and ndjson for others, unless given
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Take each message's key from this member of its JSON object
    #[arg(long, value_name = "NAME")]
    key_field: Option<String>,
    /// Publish to this partition, whatever the key
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
    /// Send a partition's messages when there are so many of them, or after 20 ms
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch: u32,
    /// Count a message as published when the queue has stored it (queued), or when a writer has committed it, so that it
    /// is in SQL (committed)
    #[arg(long, value_name = "queued|committed", default_value_t = Acks::Queued)]
    acks: Acks,
    /// Give each message the id NAME:TOPIC:LINE. The command can then be repeated after a failure, from the line that the
    /// error names on: what is stored is not stored again, within the topic's duplicate window (2 minutes, unless topic
    /// create --duplicate-window says otherwise)
    #[arg(long, value_name = "NAME")]
    resume_id: Option<ResumeId>,
    /// Begin at this line, from 1
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u64).range(1..))]
    from_line: u64,
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
    check(&args, settings)?;
    let input = open(&args.file).await?;
    let mut tally = Tally::default();
    match &args.url {
        Some(url) => {
            let service = HttpService::new(url, args.token_file.as_deref(), args.ca_file.as_deref())?;
            let fed = to_service(&service, &args, input, &mut tally).await;
            fed.inspect_err(|error| service.advise(error))?;
        }
        None => to_queue(settings, &args, input, &mut tally).await?,
    }
    output::show(json, &json!({ "topic": args.topic, "published": tally }), || report(&args.topic, &tally))
}

/// Refuses arguments that do not fit together, or the queue.
fn check(args: &Args, settings: &Settings) -> anyhow::Result<()> {
    if args.url.is_none() {
        opened::ensure_shared_queue(settings, "nothing published here would arrive").map_err(|error| {
            UsageError::new(format!(
                "{error}; `siltstone up` takes records at http://{0}/v1/topics/{1}/records, where publish --url http://{0} \
                 sends them, and `siltstone up --stdin {1}` takes lines",
                settings.ingest_addr, args.topic
            ))
        })?;
    }
    if args.key_field.is_some() && args.format.is_some_and(|format| format != Format::Ndjson) {
        return Err(UsageError::new("--key-field needs --format ndjson").into());
    }
    if args.from_line > 1 && args.format == Some(Format::Raw) {
        return Err(UsageError::new("--from-line needs an input of lines, which --format raw is not").into());
    }
    Ok(())
}

async fn to_queue(settings: &Settings, args: &Args, input: Input, tally: &mut Tally) -> anyhow::Result<()> {
    let queue = connect::queue(settings).await?;
    let fed = reading_catalog(settings, async |catalog| {
        let topic = feeding::topic(catalog.as_ref(), &args.topic).await?;
        opened::check_partition(&topic, args.partition)?;
        let format = args.format.map_or_else(|| format_for(&topic, args.key_field.is_some()), FeedFormat::from);
        let mut builder = feeding::producer(&queue, catalog).batch_size(args.batch as usize).acks(args.acks);
        if args.acks == Acks::Committed {
            let commits = feeding::commits(&queue, catalog, opened::storage(settings)?);
            builder = builder.commits(Arc::new(commits));
        }
        feed(args, builder.build().await?, format, input, tally).await
    });
    fed.await
}

async fn to_service(service: &HttpService<'_>, args: &Args, input: Input, tally: &mut Tally) -> anyhow::Result<()> {
    let builder = service.producer().batch_size(args.batch as usize).acks(args.acks);
    let producer = builder.build().await?;
    let topic = over_http::topic(&producer, &args.topic).await?;
    if let Some(topic) = &topic {
        opened::check_partition(topic, args.partition)?;
    }
    let of_topic = || topic.as_ref().map_or(FeedFormat::Ndjson, |topic| format_for(topic, args.key_field.is_some()));
    let format = args.format.map_or_else(of_topic, FeedFormat::from);
    feed(args, producer, format, input, tally).await?;
    // The first message may make the topic; without one it is still absent.
    let is_absent = topic.is_none() && tally.messages == 0;
    if is_absent { Err(ProducerError::TopicNotFound(args.topic.clone()).into()) } else { Ok(()) }
}

/// Publishes the input, and closes the producer.
async fn feed(
    args: &Args,
    producer: Producer,
    format: FeedFormat,
    input: Input,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let (mut reader, input_name, bar) = input;
    let options = FeedOptions {
        input_name,
        format,
        check: !args.no_check,
        key_field: args.key_field.clone(),
        partition: args.partition,
        first_line: args.from_line,
        id_prefix: args.resume_id.clone().map(String::from),
    };
    let confirmed = AtomicU64::new(0);
    let progress = |bytes| {
        bar.inc(bytes);
        confirmed.fetch_add(1, Ordering::Relaxed);
    };
    let feed = Feed { producer: &producer, topic: &args.topic, options: &options, progress: &progress };
    let run = feed.run(reader.as_mut(), tally);
    let fed = match args.acks {
        Acks::Queued => run.await,
        Acks::Committed => feeding::saying_if_nothing_is_committed(run, &producer, &confirmed).await,
    };
    bar.finish_and_clear();
    // The feed has reported what failed.
    producer.close().await.ok();
    fed.map_err(|error| explained(error, &args.topic, tally, args.resume_id.is_some()))
}

type Input = (Box<dyn AsyncBufRead + Send + Unpin>, String, ProgressBar);

async fn open(path: &PathBuf) -> anyhow::Result<Input> {
    if path.as_os_str() == "-" {
        return Ok((Box::new(feeding::standard_input()), feeding::STANDARD_INPUT.to_owned(), ProgressBar::hidden()));
    }
    let shown = path.display().to_string();
    let unreadable = |error: std::io::Error| UsageError::new(format!("{shown}: {error}"));
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let size = file.metadata().await.map_err(unreadable)?.len();
    Ok((
        Box::new(BufReader::with_capacity(feeding::READ_BYTES, file)),
        shown,
        progress::bar(size, "bytes", "publishing"),
    ))
}
