//! `gaps`: offsets that the queue no longer held when the writer came.
//!
//! Owns: showing them. Does not own: recording them (the writer).

use catalog::{GapKind, ListedGap, MetadataStore};
use common::config::Settings;
use common::{TopicName, TopicPartition};

use crate::opened::{self, reading_catalog};
use crate::output::{self, Align, Table};
use crate::units::{count_text, time_text};

/// List offsets that were not written, because the queue had lost them.
///
/// Each is a range of messages that limits, a purge or an operator removed from the stream before the writer came (lost),
/// that the stream is meant to forget because it keeps so many messages of each subject (compacted), or that lie before
/// the place at which a topic was told to begin (skipped). They are recorded, never silent; what they held is gone from
/// the queue. Compacted ones are summed up in one line for each partition, unless --all is given.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone gaps orders")]
pub(crate) struct Args {
    /// Only this topic
    topic: Option<TopicName>,
    /// List each compacted range by itself
    #[arg(long)]
    all: bool,
}

/// Prints a table with totals, or with `json` a list.
pub(crate) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    let listed = reading_catalog(settings, async |catalog| list(catalog.as_ref(), args.topic.as_ref()).await);
    let listed = listed.await?;
    let gaps = if args.all { listed } else { summed(listed) };
    if json {
        return output::print_json(&gaps);
    }
    if !gaps.is_empty() {
        output::print(&table(&gaps).to_string())?;
    }
    let of = |number: fn(&ListedGap) -> u64| count_text(gaps.iter().map(number).sum());
    output::note(&format!("{} gaps, {} offsets", of(|gap| gap.gaps), of(|gap| gap.count)));
    Ok(())
}

/// The same with the compacted ranges of each partition and incarnation as one.
fn summed(listed: Vec<ListedGap>) -> Vec<ListedGap> {
    let mut sums: Vec<ListedGap> = Vec::new();
    for gap in listed {
        let is_same = |sum: &&mut ListedGap| {
            (sum.kind, gap.kind) == (GapKind::Compacted, GapKind::Compacted)
                && (&sum.partition, sum.incarnation) == (&gap.partition, gap.incarnation)
        };
        match sums.iter_mut().rev().find(is_same) {
            Some(sum) => {
                sum.end_offset = gap.end_offset;
                sum.count += gap.count;
                sum.gaps += gap.gaps;
                sum.recorded_at = gap.recorded_at;
            }
            None => sums.push(gap),
        }
    }
    sums
}

async fn list(catalog: &dyn MetadataStore, named: Option<&TopicName>) -> anyhow::Result<Vec<ListedGap>> {
    let mut listed = Vec::new();
    for topic in opened::topics(catalog, named).await? {
        for partition in catalog.list_partitions(&topic).await? {
            let id = TopicPartition::new(topic.clone(), partition.partition_id);
            listed.extend(catalog.list_gaps(&id).await?.into_iter().map(|gap| ListedGap::new(&id, gap)));
        }
    }
    Ok(listed)
}

fn table(gaps: &[ListedGap]) -> Table {
    let mut table = Table::new(&[
        ("TOPIC", Align::Left),
        ("PARTITION", Align::Right),
        ("INCARNATION", Align::Right),
        ("OFFSETS", Align::Right),
        ("COUNT", Align::Right),
        ("GAPS", Align::Right),
        ("KIND", Align::Left),
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
            count_text(gap.gaps),
            gap.kind.word().to_owned(),
            time_text(gap.recorded_at),
            gap.reason.clone(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use catalog::{Gap, RecordedGap};
    use common::{Incarnation, OffsetRange};

    use super::*;

    #[test]
    fn what_a_stream_forgets_is_one_line_of_a_partition() {
        let id = |number| TopicPartition::new(TopicName::new("t").expect("valid"), number);
        let range = |base, end| OffsetRange::new(base, end).expect("in order");
        let gap = |number, incarnation, gap| {
            let recorded = RecordedGap { incarnation: Incarnation(incarnation), gap, created_at: 1 };
            ListedGap::new(&id(number), recorded)
        };
        let compacted = |base, end| Gap::compacted(range(base, end), 1);
        let sums = summed(vec![
            gap(0, 0, Gap::skipped(range(1, 4))),
            gap(0, 0, compacted(5, 5)),
            gap(0, 0, Gap::lost(range(7, 7), "purged")),
            gap(0, 0, compacted(8, 9)),
            gap(0, 1, compacted(2, 3)),
            gap(1, 0, compacted(2, 2)),
        ]);
        let seen: Vec<_> =
            sums.iter().map(|sum| (sum.kind, sum.base_offset, sum.end_offset, sum.count, sum.gaps)).collect();
        assert_eq!(
            seen,
            [
                (GapKind::Skipped, 1, 4, 4, 1),
                (GapKind::Compacted, 5, 9, 3, 2),
                (GapKind::Lost, 7, 7, 1, 1),
                (GapKind::Compacted, 2, 3, 2, 1),
                (GapKind::Compacted, 2, 2, 1, 1),
            ]
        );
    }
}
