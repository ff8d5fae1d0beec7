//! `quarantine list`: numbers of records, by segment and reason.
//!
//! Owns: counting and showing. Does not own: reading records (`Selection`).

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use catalog::{MetadataStore, Replay, SegmentInfo};
use common::TopicPartition;
use common::config::Settings;
use serde::Serialize;
use writer::quarantine::QuarantinedRecord;

use super::Selection;
use crate::output::{self, Align, Table};
use crate::units::count_text;

/// Count the records by segment and reason
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone quarantine list orders --reason int64")]
pub(super) struct Args {
    #[command(flatten)]
    selection: Selection,
}

/// Records of one segment with one reason.
#[derive(Debug, Serialize)]
struct Group {
    #[serde(flatten)]
    partition: TopicPartition,
    incarnation: u32,
    base_offset: u64,
    end_offset: u64,
    key: String,
    reason: String,
    records: u64,
    replayed: u64,
    first_offset: u64,
}

/// Prints the groups by segment, those of each segment by reason.
pub(super) async fn run(
    args: Args,
    settings: &Settings,
    catalog: &dyn MetadataStore,
    json: bool,
) -> anyhow::Result<()> {
    let mut groups: BTreeMap<(u32, u32, u64, String), Group> = BTreeMap::new();
    let count = |segment: &SegmentInfo, record: &QuarantinedRecord, replay: Option<&Replay>| {
        let (incarnation, base_offset) = (segment.incarnation.0, segment.range.base());
        let key = (segment.partition_id, incarnation, base_offset, record.reason.clone());
        let group = groups.entry(key).or_insert_with(|| Group {
            partition: record.origin.partition.clone(),
            incarnation,
            base_offset,
            end_offset: segment.range.end(),
            key: segment.object.key.clone(),
            reason: record.reason.clone(),
            records: 0,
            replayed: 0,
            first_offset: record.origin.offset,
        });
        group.records += 1;
        group.replayed += u64::from(replay.is_some());
        Ok(ControlFlow::Continue(()))
    };
    args.selection.for_each(settings, catalog, count).await?;
    let groups: Vec<Group> = groups.into_values().collect();
    if json {
        return output::print_json(&groups);
    }
    if !groups.is_empty() {
        output::print(&table(&groups).to_string())?;
    }
    let sum = |of: fn(&Group) -> u64| count_text(groups.iter().map(of).sum());
    output::note(&format!("{} records in quarantine, {} replayed", sum(|g| g.records), sum(|g| g.replayed)));
    Ok(())
}

fn table(groups: &[Group]) -> Table {
    let mut table = Table::new(&[
        ("PARTITION", Align::Right),
        ("SEGMENT", Align::Right),
        ("RECORDS", Align::Right),
        ("REPLAYED", Align::Right),
        ("FIRST", Align::Right),
        ("REASON", Align::Left),
    ]);
    for group in groups {
        table.row([
            group.partition.partition_id.to_string(),
            format!("{}-{}", group.base_offset, group.end_offset),
            count_text(group.records),
            count_text(group.replayed),
            group.first_offset.to_string(),
            group.reason.clone(),
        ]);
    }
    table
}
