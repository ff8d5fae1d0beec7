//! `groups reset`: the offsets of a group are set anew.
//!
//! Owns: the arguments, and showing the change. Does not own: the offsets (crate `consumer`), the check that nobody reads
//! (the catalog).

use catalog::{ConsumerOffset, MetadataStore};
use common::config::Settings;
use common::{TopicName, TopicPartition};
use consumer::{PlannedOffset, check_reset, plan_reset};
use serde_json::json;

use crate::commands::topic::{Beginning, parse_beginning};
use crate::consuming;
use crate::opened::{self, with_catalog};
use crate::output::{self, Align, Table};

/// Set the offsets of a group in a topic.
///
/// The group goes on from there. No member may be alive: end them first, or wait until their leases expire.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone groups reset billing --topic orders --to begin --dry-run")]
pub(crate) struct Args {
    /// Name of the group; it is made if it does not exist
    group: String,
    /// The topic
    #[arg(long, value_name = "TOPIC")]
    topic: TopicName,
    /// Only this partition
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
    /// `begin`, `end`, an OFFSET, or the first record since a TIME such as 2026-01-31T00:00:00Z
    #[arg(long, value_name = "begin|end|OFFSET|TIME", value_parser = parse_beginning)]
    to: Beginning,
    /// Show the change, and make none. It fails where the reset would
    #[arg(long)]
    dry_run: bool,
}

/// Sets the offsets, and prints them.
pub(super) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    let planned = with_catalog(settings, async |catalog| {
        let partitions = partitions(&args, catalog.as_ref()).await?;
        let fetcher = consuming::fetcher(settings, catalog).await?;
        let planned = plan_reset(&fetcher, &args.group, &partitions, args.to.into()).await?;
        if args.dry_run {
            check_reset(catalog.as_ref(), &args.group).await?;
        } else {
            let offsets: Vec<ConsumerOffset> = planned.iter().map(|planned| planned.row.clone()).collect();
            catalog.reset_offsets(&offsets).await?;
        }
        Ok(planned)
    });
    let planned = planned.await?;
    let answer = json!({ "group_id": args.group, "dry_run": args.dry_run, "partitions": planned });
    output::show(json, &answer, || text(&args, &planned))
}

async fn partitions(args: &Args, catalog: &dyn MetadataStore) -> anyhow::Result<Vec<TopicPartition>> {
    let topic = opened::topic(catalog, &args.topic).await?;
    Ok(opened::partitions(&topic, args.partition)?)
}

fn text(args: &Args, planned: &[PlannedOffset]) -> String {
    let mut table = Table::new(&[
        ("TOPIC", Align::Left),
        ("PARTITION", Align::Right),
        ("BEFORE", Align::Right),
        ("AFTER", Align::Right),
    ]);
    for PlannedOffset { before, row: after } in planned {
        table.row([
            after.topic.to_string(),
            after.partition_id.to_string(),
            before.map_or_else(|| "-".to_owned(), |before| before.offset.to_string()),
            after.committed_offset.to_string(),
        ]);
    }
    let did = if args.dry_run { "would be set; nothing was changed" } else { "are set" };
    format!("{table}offsets of group {} {did}\n", args.group)
}
