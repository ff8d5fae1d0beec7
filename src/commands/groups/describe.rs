//! `groups describe`: members, offsets and lag of a group.
//!
//! Owns: showing them. Does not own: the numbers (crate `consumer`).

use catalog::GroupView;
use common::config::Settings;
use consumer::{Lag, lags};
use serde_json::json;

use crate::consuming;
use crate::opened::reading_catalog;
use crate::output::{self, Align, Table};
use crate::units::{count_text, duration_text};

/// Show a group's members, and its offset and lag in each partition.
///
/// LAG is the number of offsets from the group's to the end of the queue, or to the high watermark where the queue cannot be
/// read from here; it is ? where the group's offset is of an earlier history of the partition.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone groups describe billing")]
pub(crate) struct Args {
    /// Name of the group
    group: String,
}

/// Prints two tables, or with `json` an object.
pub(super) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    let found = reading_catalog(settings, async |catalog| {
        let fetcher = consuming::fetcher(settings, catalog).await?;
        Ok(lags(&fetcher, &args.group).await?)
    });
    let (view, lags) = found.await?;
    let answer = json!({
        "group_id": view.group_id,
        "generation": view.generation,
        "members": view.members,
        "partitions": lags,
    });
    output::show(json, &answer, || text(&view, &lags))
}

fn text(view: &GroupView, lags: &[Lag]) -> String {
    let mut members = Table::new(&[
        ("MEMBER", Align::Left),
        ("NAME", Align::Left),
        ("STATE", Align::Left),
        ("SILENT", Align::Right),
        ("PARTITIONS", Align::Right),
        ("TOPICS", Align::Left),
    ]);
    for member in &view.members {
        let topics: Vec<&str> = member.topics.iter().map(|topic| topic.as_str()).collect();
        members.row([
            member.member.to_string(),
            member.name.clone(),
            if member.is_alive() { "alive" } else { "silent" }.to_owned(),
            duration_text(member.silent_for.as_millis() as u64),
            count_text(view.claims.iter().filter(|claim| claim.member == member.member).count() as u64),
            topics.join(","),
        ]);
    }
    let mut offsets = Table::new(&[
        ("TOPIC", Align::Left),
        ("PARTITION", Align::Right),
        ("OFFSET", Align::Right),
        ("WATERMARK", Align::Right),
        ("END", Align::Right),
        ("LAG", Align::Right),
        ("MEMBER", Align::Left),
    ]);
    let number = |number: Option<u64>, absent: &str| number.map_or_else(|| absent.to_owned(), |n| n.to_string());
    for lag in lags {
        let absent = if lag.committed_offset.is_some() { "?" } else { "-" };
        offsets.row([
            lag.partition.topic.to_string(),
            lag.partition.partition_id.to_string(),
            number(lag.committed_offset, "-"),
            lag.high_watermark.to_string(),
            number(lag.queue_end, "?"),
            number(lag.lag, absent),
            lag.member.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    let head = format!("group {}, generation {}\n", view.group_id, view.generation);
    let members = if view.members.is_empty() { "no members\n".to_owned() } else { members.to_string() };
    let offsets = if lags.is_empty() { "no offsets\n".to_owned() } else { offsets.to_string() };
    format!("{head}\n{members}\n{offsets}")
}
