//! `gaps`: offsets that the queue no longer held when the writer came.
//!
//! Owns: showing them. Does not own: recording them (the writer).

use catalog::{MetadataStore, RecordedGap};
use common::config::Settings;
use common::{TopicName, TopicPartition};
use serde::Serialize;

use crate::opened::{self, with_catalog};
use crate::output::{self, Align, Table};
use crate::units::{count_text, time_text};

/// List offsets that the queue had lost before they were written.
///
/// Each is a range of messages that limits, a purge or an operator removed from the stream before the writer came. They
/// are recorded, never silent; what they held is gone from the queue.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only of this topic
    topic: Option<TopicName>,
}

#[derive(Debug, Serialize)]
struct Listed {
    #[serde(flatten)]
    partition: TopicPartition,
    incarnation: u32,
    base_offset: u64,
    end_offset: u64,
    count: u64,
    reason: String,
    recorded_at: i64,
}

/// Prints a table with totals, or with `json` a list.
pub(crate) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    let listed = with_catalog(settings, async |catalog| list(catalog.as_ref(), args.topic.as_ref()).await);
    let gaps = listed.await?;
    if json {
        return output::print_json(&gaps);
    }
    if !gaps.is_empty() {
        output::print(&table(&gaps).to_string())?;
    }
    let offsets: u64 = gaps.iter().map(|gap| gap.count).sum();
    output::note(&format!("{} gaps, {} offsets", count_text(gaps.len() as u64), count_text(offsets)));
    Ok(())
}

async fn list(catalog: &dyn MetadataStore, named: Option<&TopicName>) -> anyhow::Result<Vec<Listed>> {
    let mut listed = Vec::new();
    for topic in opened::topics(catalog, named).await? {
        for partition in catalog.list_partitions(&topic).await? {
            let id = TopicPartition::new(topic.clone(), partition.partition_id);
            listed.extend(catalog.list_gaps(&id).await?.into_iter().map(|gap| shown(&id, gap)));
        }
    }
    Ok(listed)
}

fn shown(partition: &TopicPartition, recorded: RecordedGap) -> Listed {
    let RecordedGap { incarnation, gap, created_at } = recorded;
    Listed {
        partition: partition.clone(),
        incarnation: incarnation.0,
        base_offset: gap.range.base(),
        end_offset: gap.range.end(),
        count: gap.range.count(),
        reason: gap.reason,
        recorded_at: created_at,
    }
}

fn table(gaps: &[Listed]) -> Table {
    let mut table = Table::new(&[
        ("TOPIC", Align::Left),
        ("PARTITION", Align::Right),
        ("INCARNATION", Align::Right),
        ("OFFSETS", Align::Right),
        ("COUNT", Align::Right),
        ("RECORDED", Align::Left),
        ("REASON", Align::Left),
    ]);
    for gap in gaps {
        table.row([
            gap.partition.topic.to_string(),
            gap.partition.partition_id.to_string(),
            gap.incarnation.to_string(),
            format!("{}-{}", gap.base_offset, gap.end_offset),
            count_text(gap.count),
            time_text(gap.recorded_at),
            gap.reason.clone(),
        ]);
    }
    table
}
