//! `topic describe`: the declared options, the committed part, the messages that still wait in the queue.
//!
//! Owns: putting the three together. Does not own: the numbers (catalog and queue).

use std::fmt::Write;

use catalog::{MetadataStore, Partition, PartitionState, SegmentInfo, SegmentKind, Topic, TopicSnapshot};
use common::config::Settings;
use common::secret::scrubbed;
use common::text::escaped;
use common::topic::KEPT_PAYLOAD;
use common::{TopicName, TopicPartition};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use service::producing::{self, Mapping};

use super::place;
use crate::commands::segments::object_bytes;
use crate::opened::reading_catalog;
use crate::output::{self, Align, Table};
use crate::units::{bytes_text, count_text, duration_text, time_text};

/// Partitions whose bounds are read at once; each read is a round trip.
const BOUNDS_CONCURRENCY: usize = 32;

/// Show a topic's options, where to publish, and how far each partition is committed.
///
/// LAG is the number of offsets that are published and not committed. FIRST, NEXT and LAG come from the queue, and are
/// ? where it cannot be reached.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone topic describe orders")]
pub(crate) struct Args {
    /// Name of the topic
    name: TopicName,
}

/// The answer.
#[derive(Debug, Serialize)]
struct Description {
    topic: Topic,
    partitions: Vec<PartitionDescription>,
    segments: SegmentTotals,
    /// Spreads keys over several partitions.
    #[serde(skip_serializing_if = "Option::is_none")]
    mapping: Option<Mapping>,
    /// Reason why the queue's part is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_unreachable: Option<String>,
}

#[derive(Debug, Serialize)]
struct PartitionDescription {
    #[serde(flatten)]
    partition: Partition,
    /// Oldest offset that the queue holds.
    first_offset: Option<u64>,
    /// Offset that the next message will get.
    next_offset: Option<u64>,
    /// Offsets that are published and not committed.
    lag: Option<u64>,
    segments: SegmentTotals,
    /// Subjects for new messages; none where every subject of a bound stream is read, or the queue has no subjects.
    subjects: Vec<String>,
}

#[derive(Debug, Default, Serialize)]
struct SegmentTotals {
    count: u64,
    rows: u64,
    quarantined: u64,
    bytes: u64,
}

impl SegmentTotals {
    fn of<'a>(segments: impl Iterator<Item = &'a SegmentInfo> + Clone) -> Self {
        let totals = Self { bytes: object_bytes(segments.clone()), ..Self::default() };
        segments.fold(totals, |mut totals, segment| {
            totals.count += 1;
            match segment.kind {
                SegmentKind::Data => totals.rows += segment.record_count,
                SegmentKind::Quarantine => totals.quarantined += segment.record_count,
            }
            totals
        })
    }
}

/// Describes the topic. An unreachable queue is reported, and is no failure.
pub(super) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    let described = reading_catalog(settings, async |catalog| describe(catalog.as_ref(), &args.name, settings).await);
    let description = described.await?;
    output::show(json, &description, || text_of(&description, settings))
}

async fn describe(catalog: &dyn MetadataStore, name: &TopicName, settings: &Settings) -> anyhow::Result<Description> {
    let snapshot = catalog.snapshot(name).await?;
    let definition = snapshot.topic.definition();
    let (bounds, queue_unreachable) = match queue_bounds(&snapshot, settings).await {
        Ok(bounds) => (bounds, None),
        Err(error) => (Vec::new(), Some(scrubbed(&format!("{error:#}")).into_owned())),
    };
    let streams = &snapshot.topic.config.streams;
    let partitions = snapshot.partitions.into_iter().map(|partition| {
        let bounds = bounds.get(partition.partition_id as usize).copied();
        // Chosen for the first history of the stream alone.
        let bound = streams.get(partition.partition_id as usize).filter(|_| partition.incarnation.0 == 0);
        let start = bound.and_then(|bound| bound.from_offset).unwrap_or(0);
        let segments = snapshot.segments.iter().filter(|segment| segment.partition_id == partition.partition_id);
        PartitionDescription {
            first_offset: bounds.map(|(first, _)| first),
            next_offset: bounds.map(|(_, next)| next),
            // An empty stream that starts above the watermark has nothing left to commit but the gap.
            lag: bounds
                .map(|(first, next)| next.saturating_sub(partition.high_watermark.max(first.max(start).min(next)))),
            segments: SegmentTotals::of(segments),
            subjects: producing::subjects(settings, &definition, partition.partition_id),
            partition,
        }
    });
    Ok(Description {
        partitions: partitions.collect(),
        segments: SegmentTotals::of(snapshot.segments.iter()),
        mapping: producing::mapping(settings, &definition),
        topic: snapshot.topic,
        queue_unreachable,
    })
}

/// First and next offset of each partition, by number.
async fn queue_bounds(snapshot: &TopicSnapshot, settings: &Settings) -> anyhow::Result<Vec<(u64, u64)>> {
    let queue = service::connect::shared_queue(settings, "its offsets are not known").await?;
    catalog::open_topic(queue.as_ref(), &snapshot.topic, &snapshot.partitions).await?;
    let name = &snapshot.topic.name;
    let questions = (0..snapshot.topic.partition_count).map(|id| {
        let (queue, partition) = (&queue, TopicPartition::new(name.clone(), id));
        async move { queue.bounds(&partition).await.map(|bounds| (bounds.first_offset, bounds.next_offset)) }
    });
    Ok(stream::iter(questions).buffered(BOUNDS_CONCURRENCY).try_collect().await?)
}

fn text_of(description: &Description, settings: &Settings) -> String {
    let topic = &description.topic;
    let mut text = format!("topic {}\n", topic.name);
    let mut line = |name: &str, value: String| {
        writeln!(text, "  {name:<12} {}", escaped(&value)).expect("writing to a string does not fail");
    };
    line("format", topic.config.format.to_string());
    for (index, column) in topic.config.columns.iter().enumerate() {
        line(if index == 0 { "columns" } else { "" }, column.to_string());
    }
    for (index, argument) in topic.config.reading.arguments().into_iter().enumerate() {
        line(if index == 0 { "notations" } else { "" }, argument);
    }
    line("retention", topic.retention_ms.map_or_else(|| "unlimited".to_owned(), duration_text));
    line("partitioner", topic.config.partitioner.as_str().to_owned());
    for (label, columns) in [("sorted by", &topic.config.sort), ("bloom filters", &topic.config.bloom)] {
        if !columns.is_empty() {
            line(label, columns.join(", "));
        }
    }
    if topic.config.packed {
        line("packing", "small records may travel packed".to_owned());
    }
    if topic.config.keep_payload {
        line("payloads", format!("kept in column {KEPT_PAYLOAD}"));
    }
    for (index, bound) in topic.config.streams.iter().enumerate() {
        let label = if index == 0 { "streams" } else { "" };
        let from = bound.from_offset.map_or_else(String::new, |offset| format!(" from offset {}", count_text(offset)));
        let subjects = bound.subjects.join(",");
        line(label, format!("{} {subjects}", bound.stream).trim_end().to_owned() + &from);
    }
    place::lines(settings, &topic.definition()).into_iter().for_each(|(label, value)| line(label, value));
    line("schema", format!("version {}", topic.schema_version));
    line("created", time_text(topic.created_at));
    let totals = &description.segments;
    line(
        "segments",
        format!(
            "{} with {} rows and {} quarantined, {}",
            count_text(totals.count),
            count_text(totals.rows),
            count_text(totals.quarantined),
            bytes_text(totals.bytes)
        ),
    );
    if let Some(reason) = &description.queue_unreachable {
        line("queue", format!("not reachable: {reason}"));
    }
    let is_halted = |described: &PartitionDescription| described.partition.state == PartitionState::Halted;
    let hint = if description.partitions.iter().any(is_halted) {
        format!("\nhalted partitions go on with `siltstone topic resume {}`\n", topic.name)
    } else {
        String::new()
    };
    format!("{text}\n{}{hint}", partition_table(description))
}

fn partition_table(description: &Description) -> Table {
    let mut table = Table::new(&[
        ("PARTITION", Align::Right),
        ("WATERMARK", Align::Right),
        ("FIRST", Align::Right),
        ("NEXT", Align::Right),
        ("LAG", Align::Right),
        ("SEGMENTS", Align::Right),
        ("BYTES", Align::Right),
        ("EPOCH", Align::Right),
        ("STATE", Align::Left),
        ("OWNER", Align::Left),
    ]);
    let known = |number: Option<u64>| number.map_or_else(|| "?".to_owned(), count_text);
    for described in &description.partitions {
        let partition = &described.partition;
        let word = partition.state.as_str();
        let state = match partition.state {
            PartitionState::Active => word.to_owned(),
            PartitionState::Halted => {
                format!("{word}: {}", partition.halt_reason.as_deref().unwrap_or("no reason given"))
            }
        };
        table.row([
            partition.partition_id.to_string(),
            count_text(partition.high_watermark),
            known(described.first_offset),
            known(described.next_offset),
            known(described.lag),
            count_text(described.segments.count),
            bytes_text(described.segments.bytes),
            partition.epoch.to_string(),
            state,
            partition.owner.map_or_else(|| "-".to_owned(), |owner| owner.to_string()),
        ]);
    }
    table
}
