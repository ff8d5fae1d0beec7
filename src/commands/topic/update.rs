//! `topic update`: columns that are added, take more, get another name or go, the notations of values, packed messages,
//! retention.
//!
//! Owns: the arguments, and the answer. Does not own: the rules that keep every older segment readable
//! (`TopicOptions::evolve`), the running writers, which follow the catalog, and quarantined records (`quarantine
//! replay`).

use anyhow::bail;
use catalog::{Topic, UpdateTopicError};
use common::TopicName;
use common::config::Settings;
use common::topic::{ColumnChange, ColumnSpec, Member, TopicOptions};

use super::packing::PackingArgs;
use super::reading::ReadingArgs;
use super::schema::read_columns;
use crate::columns::{parse_column, parse_renaming};
use crate::opened::with_catalog;
use crate::output::{self, UsageError};
use crate::units::{Retention, duration_text, parse_retention};

/// Change columns, the packing of records, or the retention.
///
/// Every older segment stays readable. Running writers follow within a third of LEASE_SECS, without a restart. Other
/// changes of a column need a column of another name.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone topic update orders --column note:string")]
pub(crate) struct Args {
    /// Name of the topic
    name: TopicName,
    /// A column to add, or to let take more: without its mark !, int64 for int32, more members in a struct; with
    /// =MEMBER it reads another member than that of its name; repeat it
    #[arg(long = "column", value_name = "NAME:TYPE[=MEMBER]", value_parser = parse_column)]
    columns: Vec<ColumnSpec>,
    /// The columns to add, or to let take more, as a JSON array: the JSON itself, or the path of a file. Columns that are
    /// not in it stay as they are
    #[arg(long, value_name = "FILE|JSON", conflicts_with = "columns")]
    schema: Option<String>,
    /// A column that tables have no longer; its member is kept in _extra from now on; repeat it
    #[arg(long = "drop-column", value_name = "NAME")]
    drop: Vec<String>,
    /// Another name for a column, which goes on reading the same member; repeat it
    #[arg(long = "rename-column", value_name = "NAME=NEW", value_parser = parse_renaming)]
    rename: Vec<(String, String)>,
    /// How long segments are kept, such as 7d, by the queue's time of publish; none keeps all of them. See `siltstone
    /// retention --help`
    #[arg(long, value_name = "DURATION|none", value_parser = parse_retention)]
    retention: Option<Retention>,
    #[command(flatten)]
    packing: PackingArgs,
    #[command(flatten)]
    reading: ReadingArgs,
}

/// Changes the columns. Writers follow within a third of their lease, without a restart.
pub(crate) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    let declare = match &args.schema {
        Some(schema) => read_columns(schema)?,
        None => args.columns.clone(),
    };
    let change = ColumnChange { drop: args.drop.clone(), rename: args.rename.clone(), declare };
    let is_of_columns = change != ColumnChange::default() || args.reading != ReadingArgs::default();
    if !is_of_columns && args.packing == PackingArgs::default() && args.retention.is_none() {
        return Err(UsageError::new(format!(
            "topic update {}: there is nothing to change; give --column, --schema, --drop-column, --rename-column, --packed, \
             --retention or a notation of values (`siltstone topic update --help`)",
            args.name
        ))
        .into());
    }
    let (before, topic) = with_catalog(settings, async |catalog| {
        let Some(topic) = catalog.get_topic(&args.name).await? else { bail!("topic not found: {}", args.name) };
        let options = changed(&topic.config, &change, &args)?;
        let updated = match args.retention {
            Some(Retention(kept_ms)) => catalog::update_retention(catalog.as_ref(), &topic, kept_ms, options).await,
            None => catalog::update_topic(catalog.as_ref(), &topic, options).await,
        };
        let updated = updated.map_err(|error| match error {
            UpdateTopicError::Invalid(invalid) => UsageError::new(invalid.to_string()).into(),
            UpdateTopicError::Catalog(error) => anyhow::Error::from(error),
        })?;
        Ok((topic, updated))
    })
    .await?;
    if json {
        return output::print_json(&topic);
    }
    output::print(&answer(&before, &topic))?;
    if is_of_columns {
        output::note("running writers follow; `siltstone quarantine replay` publishes what did not fit before");
    }
    if args.retention.is_some_and(|retention| retention.0.is_some()) {
        let name = &topic.name;
        output::note(&format!(
            "running writers take what is older off the list within a minute or two; `siltstone retention {name} --dry-run` \
             shows it"
        ));
    }
    if args.packing != PackingArgs::default() {
        output::note("running producers follow within 30 seconds, unless their metadata_refresh is another");
    }
    Ok(())
}

fn changed(options: &TopicOptions, change: &ColumnChange, args: &Args) -> Result<TopicOptions, UsageError> {
    let mut changed = match *change == ColumnChange::default() {
        true => options.clone(),
        false => options.evolve(change).map_err(|refused| UsageError::new(refused.to_string()))?,
    };
    args.reading.apply(&mut changed.reading);
    args.packing.apply(&mut changed);
    Ok(changed)
}

/// The columns as they are now, and those that read nothing any more.
fn answer(before: &Topic, topic: &Topic) -> String {
    let columns: Vec<String> = topic.config.columns.iter().map(ToString::to_string).collect();
    let mut text = format!("topic {} has schema version {}", topic.name, topic.schema_version);
    if !columns.is_empty() {
        text.push_str(&format!(": {}", columns.join(", ")));
    }
    text.push('\n');
    if topic.config.packed != before.config.packed {
        let travel = if topic.config.packed { "may travel packed" } else { "travel one in a message" };
        text.push_str(&format!("small records {travel} from now on\n"));
    }
    if topic.retention_ms != before.retention_ms {
        let kept =
            topic.retention_ms.map_or_else(|| "without limit".to_owned(), |ms| format!("for {}", duration_text(ms)));
        text.push_str(&format!("segments are kept {kept}\n"));
    }
    let reading = topic.config.reading.arguments();
    if !reading.is_empty() {
        text.push_str(&format!("notations of values: {}\n", reading.join(" ")));
    }
    let read_before = |name: &str| {
        let mut columns = before.config.columns.iter();
        columns.any(|column| column.name == name && column.from == Member::None)
    };
    for column in topic.config.columns.iter().filter(|column| column.from == Member::None && !read_before(&column.name))
    {
        let name = &column.name;
        text.push_str(&format!("column {name} reads no member any more: it shows older rows, and null in new ones\n"));
    }
    text
}
