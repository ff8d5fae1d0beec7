//! `up`: the writer service, as configured, and the HTTP service that fills its queue; with `--stdin`, fed by standard input.
//!
//! Owns: the choice, the order of the ends of both, and settling standard input before the process ends. Does not own: the
//! services (`writer::service`, `ingester::service`), cutting lines (`ingester::feed`), the producer and the report
//! (`feeding`).

use std::sync::Arc;

use anyhow::bail;
use catalog::AutoCreate;
use common::config::Settings;
use common::{TopicName, TopicPartition};
use ingester::Acks;
use ingester::feed::{Feed, FeedOptions, Tally};
use ingester::http::ApiParts;
use ingester::service::HttpService;
use lake::query::HotTail;
use serde_json::json;
use service::guarded::ensure_guarded;
use service::{Listener, connect};
use serving::{Bound, Doors};
use writer::service::Service;
use writer::{QueueTail, Summary};

use crate::answering;
use crate::consuming::tail_of;
use crate::feeding::{self, ResumeId, explained, format_for, report};
use crate::output::{self, UsageError};
use crate::settle::until_committed;
use crate::units::{bytes_text, count_text};

/// Lines of a partition that are published together.
const BATCH_MESSAGES: usize = 1000;

/// Run the writer, take records and answer queries, until SIGTERM or SIGINT.
///
/// Any program publishes with `POST http://INGEST_ADDR/v1/topics/TOPIC/records`; docs/http.md has the rest. Tools query by
/// POST /v1/query there, and at POSTGRES_ADDR and FLIGHT_ADDR where they are set; docs/sql.md says how. The writer works
/// on the partitions of all topics, or of those in TOPICS; writers on one catalog share them. Its first log lines say where
/// each topic takes messages from. A signal lets it answer requests and commit what was fetched; a second one ends it at
/// once, which loses nothing.
///
/// With --stdin it publishes standard input instead of records over HTTP, and ends when the input has ended and all of it is
/// committed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone up --stdin orders < orders.ndjson")]
pub(crate) struct Args {
    /// Publish the lines of standard input, each a JSON object, or UTF-8 for a text topic, to TOPIC while writing; ends
    /// when the input has ended and everything is committed
    #[arg(long, value_name = "TOPIC")]
    stdin: Option<TopicName>,
    /// With --stdin: take each message's key from this member of its JSON object
    #[arg(long, value_name = "NAME", requires = "stdin")]
    key_field: Option<String>,
    /// With --stdin: publish lines without checking that they are JSON objects, or UTF-8 for a text topic
    #[arg(long, requires = "stdin")]
    no_check: bool,
    /// With --stdin: let the writer commit each message as soon as it can (committed), or when its segment is large or old
    /// enough (queued); both are committed in the end
    #[arg(long, value_name = "queued|committed", default_value_t = Acks::Queued, requires = "stdin")]
    acks: Acks,
    /// With --stdin and QUEUE_TYPE=nats: give each message the id NAME:TOPIC:LINE. The command can then be repeated after
    /// a failure, from the line that the error names on: what is stored is not stored again, within the topic's duplicate
    /// window (2 minutes, unless topic create --duplicate-window says otherwise)
    #[arg(long, value_name = "NAME", requires = "stdin")]
    resume_id: Option<ResumeId>,
    /// With --stdin: begin at this line, from 1
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u64).range(1..), requires = "stdin")]
    from_line: u64,
}

/// Runs until a signal, or until standard input ends.
pub(crate) async fn run(args: Args, settings: Settings, json: bool) -> anyhow::Result<()> {
    let Some(topic) = args.stdin.clone() else {
        return serve(settings).await;
    };
    if !settings.topics.is_empty() && !settings.topics.iter().any(|name| name == topic.as_str()) {
        return Err(UsageError::new(format!("TOPICS={} leaves {topic} out", settings.topics.join(","))).into());
    }
    if args.resume_id.is_some() && !connect::is_shared(&settings) {
        return Err(UsageError::new(
            "--resume-id needs QUEUE_TYPE=nats: a queue in memory forgets the ids of messages with its process",
        )
        .into());
    }
    ensure_listed(&settings, &topic).await?;
    let mut service = Box::pin(Service::start(settings)).await?;
    let fed = feed_stdin(args, &topic, &mut service).await;
    let summary = service.writer.summary();
    let stopped = Box::pin(service.stop()).await;
    let tally = fed?;
    stopped?;
    output::show(json, &answer(&topic, &tally, &summary), || text(&topic, &tally, &summary))
}

/// Refuses a topic that is absent, before a writer takes partitions. A catalog that is absent or older is the start's matter.
async fn ensure_listed(settings: &Settings, topic: &TopicName) -> anyhow::Result<()> {
    let Ok(catalog) = connect::catalog_to_read(settings).await else { return Ok(()) };
    let found = feeding::topic(catalog.as_ref(), topic).await;
    connect::close_catalog(catalog.as_ref()).await;
    found.map(drop)
}

/// Runs both services until a signal. The address is taken first, so that a start that must fail fails at once; requests are
/// answered before the writer drains, because some of them wait for their commit.
async fn serve(settings: Settings) -> anyhow::Result<()> {
    let auto_create = AutoCreate::of(&settings).map_err(|error| UsageError::new(error.to_string()))?;
    ensure_guarded(&settings).await?;
    let listener = Listener::bind_ingest(&settings).await?;
    let bound = Bound::of(&settings).await?;
    // AGENT_URL is the one for producers; the writer is listed with the address of its pages.
    let of_writer = Settings { agent_url: None, ..settings.clone() };
    let service = Box::pin(Service::start(of_writer)).await?;
    let started = Box::pin(open_doors(&settings, &service, listener, bound, auto_create)).await;
    match started {
        Ok((http, doors)) => {
            let drained = async {
                tokio::join!(http.drain(), doors.drain());
            };
            Ok(Box::pin(service.wait_then(drained)).await?)
        }
        Err(refused) => {
            Box::pin(service.stop()).await?;
            Err(refused)
        }
    }
}

/// Opens the doors for records and for queries, over the parts of a running writer.
async fn open_doors(
    settings: &Settings,
    service: &Service,
    listener: Listener,
    bound: Bound,
    auto_create: AutoCreate,
) -> anyhow::Result<(HttpService, Doors)> {
    let tail = Arc::new(QueueTail::of(Arc::clone(&service.queue), settings));
    let hot_tail = HotTail::of(Arc::clone(&tail) as _);
    let executor = answering::executor(settings, &service.catalog, &service.storage, hot_tail)?;
    let parts = ApiParts {
        queue: Arc::clone(&service.queue),
        catalog: Arc::clone(&service.catalog),
        storage: service.storage.clone(),
        hints: Some(service.writer.commits()),
        tail: tail_of(settings, tail),
        is_queue_kept: connect::is_shared(settings),
        cache: ingester::service::cache(settings),
        auto_create,
        queries: Some(answering::endpoint(&executor)),
    };
    let http = HttpService::start(settings, listener, parts).await?;
    match bound.open(settings, &executor, &service.catalog).await {
        Ok(doors) => Ok((http, doors)),
        Err(refused) => {
            http.drain().await;
            Err(refused.into())
        }
    }
}

/// Publishes standard input and returns when all of it is committed. Messages published before a failure are committed
/// as well.
async fn feed_stdin(args: Args, topic: &TopicName, service: &mut Service) -> anyhow::Result<Tally> {
    let found = feeding::topic(service.catalog.as_ref(), topic).await?;
    let options = FeedOptions {
        input_name: feeding::STANDARD_INPUT.to_owned(),
        format: format_for(&found, args.key_field.is_some()),
        check: !args.no_check,
        key_field: args.key_field,
        partition: None,
        first_line: args.from_line,
        id_prefix: args.resume_id.map(String::from),
    };
    let is_resumable = options.id_prefix.is_some();
    let commits = feeding::commits(&service.queue, &service.catalog, service.storage.clone());
    let commits = Arc::new(commits.with_hints(service.writer.commits()));
    let builder = feeding::producer(&service.queue, &service.catalog).commits(commits).acks(args.acks);
    let producer = builder.batch_size(BATCH_MESSAGES).build().await?;
    let mut reader = feeding::standard_input();
    let feed = Feed { producer: &producer, topic, options: &options, progress: &|_| {} };
    let mut tally = Tally::default();
    let fed = tokio::select! {
        fed = feed.run(&mut reader, &mut tally) => fed.map_err(|error| explained(error, topic, &tally, is_resumable)),
        ended = service.writer.ended() => return Err(match ended {
            Ok(()) => anyhow::anyhow!("the writer ended before standard input did"),
            Err(error) => error.into(),
        }),
        signal = service.shell.signal() => Err(anyhow::anyhow!("stopped by {signal} before standard input ended")),
    };
    // The feed has reported what failed. Lines that a signal left in the buffer are published, and committed with the rest.
    tokio::select! {
        closed = producer.close() => drop(closed),
        signal = service.shell.signal() => bail!("stopped by {signal} before everything read was published"),
    }
    let ends: Vec<_> = tally
        .partitions
        .iter()
        .map(|(id, confirmed)| (TopicPartition::new(topic.clone(), *id), confirmed.last_offset + 1))
        .collect();
    tokio::select! {
        committed = until_committed(&mut service.writer, &ends) => committed?,
        signal = service.shell.signal() => bail!("stopped by {signal} before everything published was committed"),
    }
    fed.map(|()| tally)
}

fn answer(topic: &TopicName, tally: &Tally, summary: &Summary) -> serde_json::Value {
    json!({
        "topic": topic,
        "published": tally,
        "committed": { "messages": summary.messages, "records": summary.records, "quarantined": summary.quarantined,
                       "segments": summary.segments, "bytes": summary.bytes },
    })
}

fn text(topic: &TopicName, tally: &Tally, summary: &Summary) -> String {
    format!(
        "{}committed {} records and {} quarantined in {} segments, {}\n",
        report(topic, tally),
        count_text(summary.records),
        count_text(summary.quarantined),
        count_text(summary.segments),
        bytes_text(summary.bytes)
    )
}
