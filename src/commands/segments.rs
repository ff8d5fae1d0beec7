//! `segments`: the segments that the catalog lists.
//!
//! Owns: filtering and showing. Does not own: the segments.

mod health;

use std::collections::BTreeMap;

use catalog::{FileId, ListedSegment, MetadataStore, SegmentInfo, SegmentKind};
use clap::ValueEnum;
use common::TopicName;
use common::config::Settings;

use crate::opened::{self, reading_catalog};
use crate::output::{self, Align, Table};
use crate::units::{bytes_text, count_text, time_text};

/// List committed segments.
///
/// A segment is the range of offsets of one partition whose rows one object holds. With --health it shows for each table how
/// many objects it has, by level (0 as they were written, one more for each merge), how many are small, which are to be merged,
/// and how often a byte was written.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone segments orders --kind quarantine")]
pub(crate) struct Args {
    /// Only this topic
    topic: Option<TopicName>,
    /// Only this partition
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
    /// Only this kind
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Show the number of objects of each table instead, and what is to be merged
    #[arg(long, conflicts_with_all = ["partition", "kind"])]
    health: bool,
}

/// The kind of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Decoded records
    Data,
    /// Records that could not be decoded
    Quarantine,
}

impl Args {
    fn wants(&self, segment: &SegmentInfo) -> bool {
        let kind = match segment.kind {
            SegmentKind::Data => Kind::Data,
            SegmentKind::Quarantine => Kind::Quarantine,
        };
        self.partition.is_none_or(|partition| partition == segment.partition_id)
            && self.kind.is_none_or(|wanted| wanted == kind)
    }
}

/// Bytes of the objects that hold the rows of these segments, each counted once.
pub(crate) fn object_bytes<'s>(segments: impl IntoIterator<Item = &'s SegmentInfo>) -> u64 {
    let sizes: BTreeMap<FileId, u64> =
        segments.into_iter().map(|segment| (segment.object.file_id, segment.object.size_bytes)).collect();
    sizes.into_values().sum()
}

/// Prints a table with totals, or with `json` the segments as the catalog holds them.
pub(crate) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    if args.health {
        return health::run(args.topic.as_ref(), settings, json).await;
    }
    let listed = reading_catalog(settings, async |catalog| list(&args, catalog.as_ref()).await);
    let segments = listed.await?;
    if json {
        return output::print_json(&segments.iter().map(ListedSegment::from).collect::<Vec<_>>());
    }
    output::print(&table(&segments).to_string())?;
    let records: u64 = segments.iter().map(|segment| segment.record_count).sum();
    let bytes = object_bytes(&segments);
    let count = count_text(segments.len() as u64);
    output::note(&format!("{count} segments, {} records, {}", count_text(records), bytes_text(bytes)));
    Ok(())
}

async fn list(args: &Args, catalog: &dyn MetadataStore) -> anyhow::Result<Vec<SegmentInfo>> {
    let topics = match &args.topic {
        Some(topic) => vec![topic.clone()],
        None => catalog.list_topics().await?.into_iter().map(|topic| topic.name).collect(),
    };
    let mut segments = Vec::new();
    for topic in topics {
        let snapshot = catalog.snapshot(&topic).await?;
        if args.topic.is_some() {
            opened::check_partition(&snapshot.topic, args.partition)?;
        }
        segments.extend(snapshot.segments.into_iter().filter(|segment| args.wants(segment)));
    }
    Ok(segments)
}

fn table(segments: &[SegmentInfo]) -> Table {
    let mut table = Table::new(&[
        ("TOPIC", Align::Left),
        ("PARTITION", Align::Right),
        ("KIND", Align::Left),
        ("OFFSETS", Align::Right),
        ("RECORDS", Align::Right),
        ("SIZE", Align::Right),
        ("CREATED", Align::Left),
        ("KEY", Align::Left),
    ]);
    for segment in segments {
        table.row([
            segment.topic.to_string(),
            segment.partition_id.to_string(),
            segment.kind.as_str().to_owned(),
            format!("{}-{}", segment.range.base(), segment.range.end()),
            count_text(segment.record_count),
            bytes_text(segment.object.size_bytes),
            time_text(segment.created_at),
            segment.object.key.clone(),
        ]);
    }
    table
}
