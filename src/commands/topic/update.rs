//! `topic update`: adds columns, or widens them.
//!
//! Owns: the argument, and the answer. Does not own: the rules that keep every older segment readable
//! (`TopicOptions::evolve`), the running writers, which follow the catalog, and quarantined records (`quarantine
//! replay`).

use anyhow::bail;
use common::TopicName;
use common::config::Settings;
use common::topic::ColumnSpec;

use crate::columns::parse_column;
use crate::opened::with_catalog;
use crate::output::{self, UsageError};

/// Add columns, or let columns take more.
///
/// Every older segment stays readable. Running writers follow within a third of LEASE_SECS, without a restart. Other
/// changes of a column need a column of another name.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone topic update orders --column note:string")]
pub(crate) struct Args {
    /// Name of the topic
    name: TopicName,
    /// A column to add, or to let take more: without its mark !, or int64 for int32; repeat it
    #[arg(long = "column", value_name = "NAME:TYPE", value_parser = parse_column, required = true)]
    columns: Vec<ColumnSpec>,
}

/// Changes the columns. Writers follow within a third of their lease, without a restart.
pub(crate) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    let updated = with_catalog(settings, async |catalog| {
        let Some(topic) = catalog.get_topic(&args.name).await? else { bail!("topic not found: {}", args.name) };
        let options = topic.config.evolve(&args.columns).map_err(|refused| UsageError::new(refused.to_string()))?;
        Ok(catalog.update_topic_config(&args.name, topic.schema_version, topic.retention_ms, options).await?)
    });
    let topic = updated.await?;
    if json {
        return output::print_json(&topic);
    }
    let columns: Vec<String> = topic.config.columns.iter().map(ToString::to_string).collect();
    let (name, version) = (&topic.name, topic.schema_version);
    output::print(&format!("topic {name} has schema version {version}: {}\n", columns.join(", ")))?;
    output::note("running writers follow; `siltstone quarantine replay` publishes what did not fit before");
    Ok(())
}
