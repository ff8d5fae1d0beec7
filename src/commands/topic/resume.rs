//! `topic resume`: resumes halted partitions.
//!
//! Owns: the confirmation, and the answers. Does not own: the explanation of a plan (`explanation`), finding the start
//! (`writer::resume`), carrying it out (the catalog).

mod explanation;

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::bail;
use catalog::{MetadataStore, Partition, PartitionState, TopicSnapshot};
use common::TopicName;
use common::config::Settings;
use serde_json::json;
use service::connect;
use writer::resume::{self, ResumePlan, Start};

use self::explanation::explanation;
use crate::opened::{self, with_catalog};
use crate::output::{self, UsageError};

/// Let halted partitions go on, after an explanation and from the safest start.
///
/// A partition halts when its stream is no longer the one that was committed from: it was deleted and made again, or
/// restored from an older copy. What is committed stays. The partition goes on in a new incarnation, in which offsets
/// count anew.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone topic resume orders --dry-run")]
pub(crate) struct Args {
    /// Name of the topic
    name: TopicName,
    /// Only this partition; else all that are halted
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
    /// Where to go on: `first` message held, `end` (nothing held is written), or an OFFSET; by default behind the last
    /// message that is proven to be committed
    #[arg(long, value_name = "first|end|OFFSET", value_parser = parse_start)]
    from: Option<Start>,
    /// Say what would happen and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

fn parse_start(text: &str) -> Result<Start, String> {
    match text {
        "first" => Ok(Start::First),
        "end" => Ok(Start::End),
        number => number.parse().map(Start::At).map_err(|_| format!("{text:?} is none of first, end or an offset")),
    }
}

/// Resumes the halted partitions.
pub(super) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    with_catalog(settings, async |catalog| resume(&args, settings, catalog.as_ref(), json).await).await
}

async fn resume(args: &Args, settings: &Settings, catalog: &dyn MetadataStore, json: bool) -> anyhow::Result<()> {
    let snapshot = catalog.snapshot(&args.name).await?;
    opened::check_partition(&snapshot.topic, args.partition)?;
    let is_meant = |partition: &&Partition| args.partition.is_none_or(|only| only == partition.partition_id);
    let meant: Vec<&Partition> = snapshot.partitions.iter().filter(is_meant).collect();
    let halted: Vec<&Partition> =
        meant.iter().filter(|partition| partition.state == PartitionState::Halted).copied().collect();
    if halted.is_empty() {
        let text = match args.partition {
            Some(number) => format!("partition {}/{number} is active; there is nothing to resume\n", args.name),
            None => format!("no partition of {} is halted; there is nothing to resume\n", args.name),
        };
        if args.from.is_some() {
            return Err(UsageError::new(format!(
                "--from: {}; it says where a halted partition goes on. A topic that reads an existing stream from \
                 another place than its first message is made by `siltstone topic create NAME --stream STREAM --from \
                 begin|end|OFFSET|TIME`",
                text.trim_end()
            ))
            .into());
        }
        let answer = match args.dry_run {
            true => json!({ "dry_run": true, "plans": [] }),
            false => json!({ "resumed": [], "plans": [] }),
        };
        return output::show(json, &answer, || text);
    }
    let plans = plans(args, settings, catalog, &snapshot, &halted).await?;
    if !json {
        plans.iter().try_for_each(|plan| output::print(&explanation(plan)))?;
    }
    if args.dry_run {
        let answer = json!({ "dry_run": true, "plans": plans });
        return output::show(json, &answer, || "dry run: nothing was changed\n".to_owned());
    }
    if !args.yes {
        confirm(&args.name, plans.len())?;
    }
    let mut resumed = Vec::new();
    for plan in &plans {
        resumed.push(catalog.resume(&plan.partition, plan.incarnation, &plan.point()).await?);
    }
    if json {
        return output::print_json(&json!({ "resumed": resumed, "plans": plans }));
    }
    resumed.iter().try_for_each(|partition| {
        let (topic, id) = (&partition.topic, partition.partition_id);
        output::print(&format!(
            "resumed {topic}/{id} at offset {} as incarnation {}; a running writer takes it over by itself\n",
            partition.high_watermark, partition.incarnation
        ))
    })
}

async fn plans(
    args: &Args,
    settings: &Settings,
    catalog: &dyn MetadataStore,
    snapshot: &TopicSnapshot,
    halted: &[&Partition],
) -> anyhow::Result<Vec<ResumePlan>> {
    let start = args.from.unwrap_or(Start::Safest);
    if !connect::is_shared(settings)
        && let Some(plans) = halted.iter().map(|partition| resume::plan_in_memory(partition)).collect()
    {
        return match start {
            Start::Safest | Start::First => Ok(plans),
            Start::End | Start::At(_) => Err(UsageError::new(
                "--from: a queue in memory cannot be read from here, so that no other place in it is known than the first; \
                 allowed is --from first, which writes what its process still holds: nothing, once that has ended",
            )
            .into()),
        };
    }
    let queue = opened::queue_of(settings, snapshot, "nothing tells where it could go on").await?;
    let storage = opened::storage(settings)?;
    let mut plans = Vec::with_capacity(halted.len());
    for partition in halted {
        plans.push(resume::plan(catalog, queue.as_ref(), &storage, partition, start).await?);
    }
    Ok(plans)
}

fn confirm(name: &TopicName, count: usize) -> anyhow::Result<()> {
    if !io::stdin().is_terminal() {
        return Err(UsageError::new(format!(
            "topic resume {name}: this begins a new incarnation; standard input is no terminal to ask on, so say --yes, or \
             --dry-run to see what would happen"
        ))
        .into());
    }
    let mut error_stream = io::stderr();
    let partitions = if count == 1 { "this partition".to_owned() } else { format!("these {count} partitions") };
    write!(error_stream, "Resume {partitions}? [y/N] ")?;
    error_stream.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if !matches!(answer.trim(), "y" | "Y" | "yes") {
        bail!("nothing was changed");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_read_as_written() {
        assert_eq!(parse_start("first"), Ok(Start::First));
        assert_eq!(parse_start("end"), Ok(Start::End));
        assert_eq!(parse_start("42"), Ok(Start::At(42)));
        for text in ["", "-1", "last", "1.5"] {
            assert!(parse_start(text).expect_err(text).contains("first, end or an offset"));
        }
    }
}
