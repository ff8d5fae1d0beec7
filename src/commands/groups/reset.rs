//! `groups reset`: the offsets of a group are set anew.
//!
//! Owns: the arguments, and showing the change. Does not own: the offsets (crate `consumer`), the check that nobody reads
//! (the catalog).

use catalog::{CatalogError, CommittedOffset, ConsumerOffset, MetadataStore};
use common::config::Settings;
use common::{TopicName, TopicPartition};
use consumer::plan_reset;
use serde_json::json;

use crate::commands::topic::{Beginning, parse_beginning};
use crate::consuming;
use crate::opened::with_catalog;
use crate::output::{self, Align, Table, UsageError};

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
    /// Show the change, and make none
    #[arg(long)]
    dry_run: bool,
}

/// Sets the offsets, and prints them.
pub(super) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    let planned = with_catalog(settings, async |catalog| {
        let partitions = partitions(&args, catalog.as_ref()).await?;
        let fetcher = consuming::fetcher(settings, catalog).await?;
        let planned = plan_reset(&fetcher, &args.group, &partitions, args.to.into()).await?;
        if !args.dry_run {
            let offsets: Vec<ConsumerOffset> = planned.iter().map(|(_, offset)| offset.clone()).collect();
            catalog.reset_offsets(&offsets).await?;
        }
        Ok(planned)
    });
    let planned = planned.await?;
    let changes: Vec<_> = planned.iter().map(|(before, after)| change(*before, after)).collect();
    let answer = json!({ "group_id": args.group, "dry_run": args.dry_run, "partitions": changes });
    output::show(json, &answer, || text(&args, &planned))
}

async fn partitions(args: &Args, catalog: &dyn MetadataStore) -> anyhow::Result<Vec<TopicPartition>> {
    let topic = catalog.get_topic(&args.topic).await?;
    let topic = topic.ok_or_else(|| CatalogError::TopicNotFound(args.topic.to_string()))?;
    let of = |partition_id| TopicPartition::new(args.topic.clone(), partition_id);
    match args.partition {
        None => Ok((0..topic.partition_count).map(of).collect()),
        Some(wanted) if wanted < topic.partition_count => Ok(vec![of(wanted)]),
        Some(wanted) => {
            let (name, last) = (&args.topic, topic.partition_count - 1);
            Err(UsageError::new(format!("--partition {wanted}: topic {name} has partitions 0 to {last}")).into())
        }
    }
}

fn change(before: Option<CommittedOffset>, after: &ConsumerOffset) -> serde_json::Value {
    json!({
        "topic": after.topic,
        "partition_id": after.partition_id,
        "before": before.map(|before| json!({ "incarnation": before.incarnation, "offset": before.offset })),
        "after": { "incarnation": after.incarnation, "offset": after.committed_offset },
    })
}

fn text(args: &Args, planned: &[(Option<CommittedOffset>, ConsumerOffset)]) -> String {
    let mut table = Table::new(&[
        ("TOPIC", Align::Left),
        ("PARTITION", Align::Right),
        ("BEFORE", Align::Right),
        ("AFTER", Align::Right),
    ]);
    for (before, after) in planned {
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
