//! `topic resume`: a halted partition goes on.
//!
//! Owns: saying what happened and what will follow, and asking before. Does not own: finding the start (`writer::resume`),
//! carrying it out (the catalog).

use std::fmt::Write as _;
use std::io::{self, BufRead, IsTerminal, Write as _};

use anyhow::bail;
use catalog::{MetadataStore, Partition, PartitionState};
use common::TopicName;
use common::config::Settings;
use serde_json::json;
use writer::resume::{self, ResumePlan, Start};

use crate::opened;
use crate::output::{self, UsageError};
use crate::units::{count_text, time_text};

/// Arguments of `topic resume`.
#[derive(Debug, clap::Args)]
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
    let catalog = writer::connect::catalog(settings).await?;
    let resumed = resume(&args, settings, catalog.as_ref(), json).await;
    catalog.close().await;
    resumed
}

async fn resume(args: &Args, settings: &Settings, catalog: &dyn MetadataStore, json: bool) -> anyhow::Result<()> {
    let snapshot = catalog.snapshot(&args.name).await?;
    opened::check_partition(&snapshot, args.partition)?;
    let is_meant = |partition: &&Partition| args.partition.is_none_or(|only| only == partition.partition_id);
    let meant: Vec<&Partition> = snapshot.partitions.iter().filter(is_meant).collect();
    let halted: Vec<&Partition> =
        meant.iter().filter(|partition| partition.state == PartitionState::Halted).copied().collect();
    if halted.is_empty() {
        let text = match args.partition {
            Some(number) => format!("partition {}/{number} is active; there is nothing to resume\n", args.name),
            None => format!("no partition of {} is halted; there is nothing to resume\n", args.name),
        };
        return if json { output::print_json(&json!({ "resumed": [] })) } else { output::print(&text) };
    }
    let queue = opened::queue_of(settings, &snapshot, "nothing tells where it could go on").await?;
    let storage = opened::storage(settings)?;
    let start = args.from.unwrap_or(Start::Safest);
    let mut plans = Vec::new();
    for partition in halted {
        plans.push(resume::plan(catalog, queue.as_ref(), &storage, partition, start).await?);
    }
    if !json {
        plans.iter().try_for_each(|plan| output::print(&explanation(plan)))?;
    }
    if args.dry_run {
        let note = || output::print("dry run: nothing was changed\n");
        return if json { output::print_json(&json!({ "dry_run": true, "plans": plans })) } else { note() };
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

fn explanation(plan: &ResumePlan) -> String {
    let mut text = format!("{} is halted\n", plan.partition);
    let mut line = |name: &str, value: String| {
        let _strings_take_all = writeln!(text, "  {name:<10} {value}");
    };
    let (mark, start, count) = (plan.high_watermark, plan.start_offset, count_text);
    line("why", plan.halt_reason.clone());
    line("committed", format!("every message below offset {mark}, as incarnation {}", plan.incarnation));
    line(
        "the stream",
        match plan.next_offset.checked_sub(plan.first_offset) {
            Some(held) if held > 0 => format!("holds offsets {} to {} now", plan.first_offset, plan.next_offset - 1),
            _ => format!("is empty now; its next message gets offset {}", plan.next_offset),
        },
    );
    line("compared", compared(plan));
    plan.notes.iter().for_each(|note| line("", note.clone()));
    line("it keeps", "all rows that are committed; nothing is deleted".to_owned());
    line("goes on", format!("at offset {start}, as incarnation {}", plan.incarnation.0 + 1));
    if plan.rewritten_max > 0 {
        let end = start + plan.rewritten_max - 1;
        line(
            "beware",
            format!(
                "offsets {start} to {end} were committed once already: what the stream holds there now (at most {} messages) \
             is written as new rows beside the old ones. Where they are the same messages, as in a restored copy, these \
             rows are there twice",
                count(plan.rewritten_max)
            ),
        );
    }
    let left = mark.saturating_sub(start.max(plan.next_offset));
    if left > 0 && plan.next_offset < mark {
        line(
            "",
            format!(
                "the stream lost at least {} messages that are committed; their rows stay. Its next messages get their offsets \
             again, in the new incarnation",
                count(left)
            ),
        );
    }
    if plan.skipped_max > 0 {
        line(
            "beware",
            format!(
                "up to {} messages below offset {start} are not known to be committed and will NOT be written",
                count(plan.skipped_max)
            ),
        );
    }
    line(
        "instead",
        format!(
            "--from first writes everything the stream holds, --from end nothing of it; `siltstone topic delete {}` gives the \
         topic up",
            plan.partition.topic
        ),
    );
    text
}

fn compared(plan: &ResumePlan) -> String {
    match (plan.shared_commit, plan.proven_end) {
        (_, None) => "none of the messages it holds is known to be a committed one".to_owned(),
        (None, Some(end)) => format!("the messages it holds below offset {end} are the committed ones"),
        (Some(commit), Some(end)) => format!(
            "the messages it holds below offset {end} are the committed ones; the last commit it has whole is number {} of \
             {}",
            commit.commit_no,
            time_text(commit.committed_at)
        ),
    }
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
    use common::{Incarnation, TopicPartition};

    use super::*;

    fn plan() -> ResumePlan {
        ResumePlan {
            partition: TopicPartition::new(TopicName::new("orders").expect("valid"), 3),
            incarnation: Incarnation(0),
            halt_reason: "stream_regressed: it is shorter".to_owned(),
            high_watermark: 101,
            first_offset: 1,
            next_offset: 41,
            shared_commit: None,
            proven_end: None,
            start_offset: 1,
            anchor: None,
            rewritten_max: 40,
            skipped_max: 0,
            notes: vec![],
        }
    }

    #[test]
    fn a_stranger_is_told_what_happened_and_what_follows() {
        let text = explanation(&plan());
        for part in [
            "orders/3 is halted",
            "stream_regressed",
            "below offset 101",
            "holds offsets 1 to 40 now",
            "none of the messages",
            "at offset 1, as incarnation 1",
            "at most 40 messages",
            "lost at least 60 messages",
            "--from end",
            "topic delete orders",
        ] {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
        let proven = explanation(&ResumePlan { proven_end: Some(41), start_offset: 41, rewritten_max: 0, ..plan() });
        assert!(proven.contains("below offset 41 are the committed ones") && !proven.contains("beware"), "{proven}");
        let skipping = explanation(&ResumePlan { start_offset: 41, rewritten_max: 0, skipped_max: 40, ..plan() });
        assert!(skipping.contains("will NOT be written"), "{skipping}");
        let empty = explanation(&ResumePlan { first_offset: 1, next_offset: 1, rewritten_max: 0, ..plan() });
        assert!(empty.contains("is empty now"), "{empty}");
    }

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
