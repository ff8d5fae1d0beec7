//! `quarantine list`: numbers of records, by segment and reason.
//!
//! Owns: counting and showing. Does not own: reading records (`writer::quarantine`).

use std::collections::{BTreeMap, HashSet};

use catalog::MetadataStore;
use common::TopicPartition;
use common::config::Settings;
use serde::Serialize;
use writer::quarantine::replay::origin_of;
use writer::quarantine::{Origin, QuarantineReader};

use super::Selection;
use crate::opened;
use crate::output::{self, Align, Table};
use crate::units::count_text;

/// Arguments of `quarantine list`.
#[derive(Debug, clap::Args)]
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
    let snapshot = catalog.snapshot(&args.selection.topic).await?;
    let storage = opened::storage(settings)?;
    let filter = args.selection.filter();
    let mut groups = Vec::new();
    for segment in args.selection.segments(&snapshot)? {
        let partition = TopicPartition::new(segment.topic.clone(), segment.partition_id);
        let replays = catalog.list_replays(&partition).await?;
        let replayed: HashSet<Origin> = replays.iter().map(origin_of).collect();
        let mut by_reason: BTreeMap<String, Group> = BTreeMap::new();
        for record in QuarantineReader::open(&storage, &segment).await? {
            let record = record?;
            if !filter.wants(&record) {
                continue;
            }
            let group = by_reason.entry(record.reason.clone()).or_insert_with(|| Group {
                partition: partition.clone(),
                incarnation: segment.incarnation.0,
                base_offset: segment.range.base(),
                end_offset: segment.range.end(),
                key: segment.object.key.clone(),
                reason: record.reason.clone(),
                records: 0,
                replayed: 0,
                first_offset: record.origin.offset,
            });
            group.records += 1;
            group.replayed += u64::from(replayed.contains(&record.origin));
        }
        groups.extend(by_reason.into_values());
    }
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
