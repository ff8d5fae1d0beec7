//! `topic create`: in the queue first, then in the catalog, so that a listed topic always has its streams.
//!
//! Owns: options made of arguments, and the answer when the topic exists.
//! Does not own: the rules for options (`common::topic`), the order of the two creations (`catalog::create_topic`).

use anyhow::bail;
use catalog::{CatalogError, CreateTopicError, MetadataStore, Topic, TopicConfig};
use common::config::{Settings, StorageType};
use common::partitioner::Partitioner;
use common::topic::{ColumnSpec, Format, TopicOptions};
use common::{Queue, QueueError, TopicName};
use service::connect;

use super::arrangement::ArrangementArgs;
use super::beginning::{self, Beginning};
use super::infer::{self, Request, Source, parse_source, words};
use super::packing::PackingArgs;
use super::place;
use super::reading::ReadingArgs;
use super::schema::read_options;
use super::streams::StreamArgs;
use crate::columns::{format_parser, parse_column};
use crate::opened::with_new_catalog;
use crate::output::{self, UsageError};
use crate::units::{Retention, parse_retention};

/// Create a topic, with the streams it needs in the queue.
///
/// Columns make a json topic; without them each payload is kept as it is. The answer says where to publish. Running
/// writers take the new partitions over within a third of LEASE_SECS.
///
/// Repeating the command after a failure in between is harmless.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone topic create orders --column id:int64! --column 'amount:decimal(12,2)'")]
pub(crate) struct Args {
    /// Name of the topic
    name: TopicName,
    /// Number of partitions; by default one, or one per --stream
    #[arg(long, value_name = "N")]
    partitions: Option<u32>,
    /// What a payload is; raw by default, json when columns are given
    #[arg(long, value_parser = format_parser())]
    format: Option<Format>,
    /// A column of a json topic, such as id:int64! amount:decimal(12,2) tags:list(string); repeat it. The
    /// mark ! means that a record without it goes to quarantine; id:string=_id reads the member _id
    #[arg(long = "column", value_name = "NAME:TYPE[=MEMBER]", value_parser = parse_column)]
    columns: Vec<ColumnSpec>,
    /// The columns as a JSON array, or all options as a JSON object: the JSON itself, or the path of a file
    #[arg(long, value_name = "FILE|JSON", conflicts_with = "columns")]
    schema: Option<String>,
    /// Propose the columns from a sample: a FILE of JSON objects or of an array of them, - for standard input, or the
    /// first N messages of each --stream. It shows why each column has its type, and creates nothing without --yes
    #[arg(long, value_name = "FILE|N", value_parser = parse_source, conflicts_with_all = ["columns", "schema"])]
    infer: Option<Source>,
    /// With --infer: create the topic with the proposed columns
    #[arg(long, requires = "infer")]
    yes: bool,
    /// How long segments are kept, such as 7d, by the queue's time of publish; none, the default, keeps all of them
    #[arg(long, value_name = "DURATION|none", value_parser = parse_retention, default_value = "none")]
    retention: Retention,
    /// How keys are spread: siphash, or nats as in the server's {{partition(n,…)}} mapping
    #[arg(long, value_parser = ["siphash", "nats"])]
    partitioner: Option<String>,
    #[command(flatten)]
    streams: StreamArgs,
    #[command(flatten)]
    arrangement: ArrangementArgs,
    #[command(flatten)]
    packing: PackingArgs,
    /// Keep the bytes of each record of a json topic too, in column _payload
    #[arg(long)]
    keep_payload: bool,
    #[command(flatten)]
    reading: ReadingArgs,
}

/// Creates the topic, or shows what a sample proposes.
pub(crate) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    args.streams.check(settings)?;
    let (beginning, source, is_wanted) = (args.streams.from, args.infer.clone(), args.yes);
    let Some(source) = source else {
        let topic = create(config_of(args)?, beginning, settings).await?;
        return output::show(json, &topic, || text(&topic, settings));
    };
    let format = args.format.unwrap_or(Format::Json);
    let config = unchecked(Args { format: Some(format), ..args })?;
    let request = Request { source, config, beginning, words: words(std::env::args().skip(1)) };
    let proposal = infer::propose(request, settings).await?;
    let created = match is_wanted {
        true => Some(create(proposal.config.clone(), beginning, settings).await?),
        false => None,
    };
    infer::show(&proposal, created.as_ref(), json)
}

async fn create(mut config: TopicConfig, beginning: Option<Beginning>, settings: &Settings) -> anyhow::Result<Topic> {
    let queue = connect::queue(settings).await?;
    if let Some(beginning) = beginning {
        config.config = beginning::settle(beginning, &config.definition(), queue.as_ref()).await?;
    }
    let created =
        with_new_catalog(settings, async |catalog| create_topic(queue.as_ref(), catalog.as_ref(), config).await);
    let topic = created.await?;
    make_directory(settings);
    Ok(topic)
}

/// Makes the directory of a local store, so that a reader can tell an empty one from a mistyped path.
fn make_directory(settings: &Settings) {
    if settings.storage_type == StorageType::Local
        && let Err(error) = connect::storage(settings)
    {
        tracing::warn!(%error, "the writer could not store segments here");
    }
}

/// Creates the topic in queue and catalog. Repeating it after a failure in between is harmless.
pub(crate) async fn create_topic(
    queue: &dyn Queue,
    catalog: &dyn MetadataStore,
    config: TopicConfig,
) -> anyhow::Result<Topic> {
    let name = config.name.clone();
    match catalog::create_topic(queue, catalog, config).await {
        Ok(topic) => Ok(topic),
        Err(CreateTopicError::Catalog(CatalogError::TopicAlreadyExists(_))) => {
            if let Some(topic) = with_missing_streams(queue, catalog, &name).await? {
                return Ok(topic);
            }
            bail!("topic {name} exists already; `siltstone topic describe {name}` shows it")
        }
        Err(error) => Err(error.into()),
    }
}

/// Makes the streams of a topic that exists again which were deleted; `None` if there was none to make.
async fn with_missing_streams(
    queue: &dyn Queue,
    catalog: &dyn MetadataStore,
    name: &TopicName,
) -> anyhow::Result<Option<Topic>> {
    let Some(topic) = catalog.get_topic(name).await? else { return Ok(None) };
    if !topic.config.streams.is_empty() {
        return Ok(None);
    }
    let partitions = catalog.list_partitions(name).await?;
    match catalog::open_topic(queue, &topic, &partitions).await {
        Err(QueueError::TopicUnknown { .. }) => queue.create_topic(&topic.definition()).await?,
        _ => return Ok(None),
    }
    output::note(&format!(
        "topic {name} exists already; its streams that were missing are made again. A partition with committed messages is halted \
         by its writer: `siltstone topic resume {name} --help`"
    ));
    Ok(Some(topic))
}

fn text(topic: &Topic, settings: &Settings) -> String {
    let head = format!("created topic {}: {}\n", topic.name, summary(topic));
    let lines = place::lines(settings, &topic.definition());
    lines.into_iter().fold(head, |text, (label, line)| format!("{text}  {label:<12} {line}\n"))
}

fn summary(topic: &Topic) -> String {
    let partitions = if topic.partition_count == 1 { "partition" } else { "partitions" };
    let columns: Vec<String> = topic.config.columns.iter().map(ToString::to_string).collect();
    let rows = if columns.is_empty() { "payloads".to_owned() } else { format!("with {}", columns.join(", ")) };
    format!("{} {partitions}, {} {rows}", topic.partition_count, topic.config.format)
}

fn config_of(args: Args) -> Result<TopicConfig, UsageError> {
    let config = unchecked(args)?;
    config.definition().validate().map_err(|error| UsageError::new(error.to_string()))?;
    Ok(config)
}

/// The arguments as a topic, whose columns may still be missing.
fn unchecked(args: Args) -> Result<TopicConfig, UsageError> {
    let mut options = match &args.schema {
        Some(schema) => read_options(schema)?,
        None => {
            let columns = args.columns.iter().map(ColumnSpec::settled).collect();
            TopicOptions { columns, ..TopicOptions::default() }
        }
    };
    args.reading.apply(&mut options.reading);
    args.arrangement.apply(&mut options);
    args.packing.apply(&mut options);
    options.keep_payload |= args.keep_payload;
    options.format = match args.format {
        Some(format) => format,
        None if !options.columns.is_empty() => Format::Json,
        None => options.format,
    };
    match args.partitioner.as_deref() {
        Some("nats") => options.partitioner = Partitioner::Nats,
        Some(_) => options.partitioner = Partitioner::Siphash,
        None => {}
    }
    args.streams.apply(&mut options);
    let bound = u32::try_from(options.streams.len()).unwrap_or(u32::MAX);
    let partition_count = args.partitions.unwrap_or(bound.max(1));
    Ok(TopicConfig { name: args.name, partition_count, retention_ms: args.retention.0, config: options })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct TestCli {
        #[command(flatten)]
        args: Args,
    }

    fn config(args: &[&str]) -> Result<TopicConfig, String> {
        let cli = TestCli::try_parse_from([&["create"], args].concat()).map_err(|error| error.to_string())?;
        config_of(cli.args).map_err(|error| error.to_string())
    }

    #[test]
    fn columns_make_a_json_topic() {
        let made = config(&["t", "--column", "id:int64!", "--column", "at:timestamp"]).expect("valid");
        assert_eq!((made.config.format, made.config.columns.len(), made.partition_count), (Format::Json, 2, 1));
        let schema = r#"[{"name":"id","type":"int64","nullable":false},{"name":"at","type":"timestamp"}]"#;
        assert_eq!(config(&["t", "--schema", schema]).expect("valid").config, made.config);
    }

    #[test]
    fn an_options_object_is_taken_whole_and_arguments_win() {
        let schema = r#"{"format":"json","columns":[{"name":"a","type":"json"}],"stream_limits":{"replicas":3}}"#;
        let made = config(&["t", "--schema", schema, "--max-age", "90s", "--retention", "7d"]).expect("valid");
        let limits = made.config.stream_limits.expect("given");
        assert_eq!((limits.replicas, limits.age_max_secs), (Some(3), Some(90)));
        assert_eq!(made.retention_ms, Some(604_800_000));
    }

    #[test]
    fn each_bound_stream_is_a_partition() {
        let made = config(&["t", "--stream", "A", "--stream", "B:x.>,y"]).expect("valid");
        assert_eq!(made.partition_count, 2);
        assert_eq!(made.config.streams[1].subjects, ["x.>", "y"]);
        assert!(config(&["t", "--stream", "A", "--partitions", "3"]).expect_err("one stream").contains("3 partitions"));
    }

    #[test]
    fn a_sample_is_not_taken_with_columns_or_half() {
        assert!(config(&["t", "--yes"]).expect_err("of what").contains("--infer"));
        let both = config(&["t", "--infer", "a", "--column", "a:json"]).expect_err("both");
        assert!(both.contains("cannot be used with"));
    }

    #[test]
    fn records_travel_packed_where_that_is_asked_for() {
        let packed = |args: &[&str]| config(&[&["t"], args].concat()).expect("valid").config.packed;
        let all = r#"{"format":"raw","packed":true}"#;
        assert!(packed(&["--packed"]) && packed(&["--schema", all]));
        assert!(!packed(&[]) && !packed(&["--schema", all, "--packed=false"]));
    }

    #[test]
    fn mistakes_are_named() {
        assert!(config(&["t", "--format", "json"]).expect_err("none").contains("at least one column"));
        assert!(config(&["t", "--format", "raw", "--column", "a:json"]).expect_err("raw").contains("takes no columns"));
        assert!(config(&["t", "--schema", "/no/such/file"]).expect_err("absent").contains("/no/such/file"));
        assert!(config(&["t", "--schema", "[1]"]).expect_err("not a column").contains("--schema"));
        assert!(config(&["t", "--partitions", "0"]).expect_err("zero").contains("1..="));
        assert!(config(&["t", "--retention", "soon"]).expect_err("no duration").contains("not a duration"));
        assert!(config(&["a\nb"]).expect_err("control").contains("control character"));
    }
}
