//! `topic delete`: from queue and catalog.
//!
//! Owns: the confirmation. Does not own: the order of the two deletions (`catalog::delete_topic`).

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::bail;
use catalog::{CatalogError, MetadataStore};
use common::TopicName;
use common::config::Settings;
use serde_json::json;

use crate::opened::with_catalog;
use crate::output::{self, UsageError};

/// Delete a topic with its messages and segments.
///
/// Streams that Siltstone created are deleted; streams that the topic is bound to stay. The janitor of a running writer
/// deletes the objects after JANITOR_HOLD_SECS.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone topic delete orders")]
pub(crate) struct Args {
    /// Name of the topic
    name: TopicName,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Deletes the topic.
pub(super) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    with_catalog(settings, async |catalog| delete(&args, settings, catalog.as_ref()).await).await?;
    output::show(json, &json!({ "deleted": args.name }), || format!("deleted topic {}\n", args.name))
}

async fn delete(args: &Args, settings: &Settings, catalog: &dyn MetadataStore) -> anyhow::Result<()> {
    let name = &args.name;
    if catalog.get_topic(name).await?.is_none() {
        return Err(CatalogError::TopicNotFound(name.to_string()).into());
    }
    if !args.yes {
        confirm(name)?;
    }
    let queue = service::connect::queue(settings).await?;
    Ok(catalog::delete_topic(queue.as_ref(), catalog, name).await?)
}

fn confirm(name: &TopicName) -> anyhow::Result<()> {
    if !io::stdin().is_terminal() {
        return Err(UsageError::new(format!(
            "topic delete {name}: this deletes its messages and segments; standard input is no terminal to ask on, \
             so say --yes"
        ))
        .into());
    }
    let mut error_stream = io::stderr();
    write!(error_stream, "Delete topic {name} with all its messages and segments? Type its name: ")?;
    error_stream.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if answer.trim_end_matches(['\r', '\n']) != name.as_str() {
        bail!("nothing was deleted");
    }
    Ok(())
}
