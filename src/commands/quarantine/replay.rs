//! `quarantine replay`: publishes records again.
//!
//! Owns: the report. Does not own: publishing and marking (`writer::quarantine::replay`).

use std::fmt::Write;

use catalog::MetadataStore;
use common::TopicName;
use common::config::Settings;
use serde_json::json;
use writer::decode::TopicTable;
use writer::quarantine::QuarantinedRecord;
use writer::quarantine::replay::{ReplayOptions, ReplayReport, Replayer};

use super::Selection;
use crate::opened;
use crate::output::{self, Reported, UsageError};
use crate::units::count_text;

/// Publish records again, after the topic's columns were changed to fit them.
///
/// Each becomes a new message with the record's bytes, its message's key and headers, and the header
/// Siltstone-Replay-Of: incarnation/partition/offset/row. The record in quarantine stays and is marked once the queue
/// confirmed the new one. What was replayed before is skipped; a repetition after a crash stores nothing twice within
/// the stream's duplicate window.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone quarantine replay orders --dry-run")]
pub(super) struct Args {
    #[command(flatten)]
    selection: Selection,
    /// Also those that were replayed before
    #[arg(long)]
    again: bool,
    /// Also those that still cannot be decoded; they will come back to quarantine
    #[arg(long)]
    force: bool,
    /// Publish to this partition instead of each record's own
    #[arg(long, value_name = "N")]
    to_partition: Option<u32>,
    /// Print what would be published, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Replays, and reports the outcome. Fails when some records still cannot be decoded.
pub(super) async fn run(
    args: Args,
    settings: &Settings,
    catalog: &dyn MetadataStore,
    json: bool,
) -> anyhow::Result<()> {
    let snapshot = catalog.snapshot(&args.selection.topic).await?;
    let segments = args.selection.segments(&snapshot)?;
    if let Some(number) = args.to_partition.filter(|number| *number >= snapshot.topic.partition_count) {
        let (topic, last) = (&snapshot.topic.name, snapshot.topic.partition_count - 1);
        return Err(
            UsageError::new(format!("--to-partition {number}: topic {topic} has partitions 0 to {last}")).into()
        );
    }
    let storage = opened::storage(settings)?;
    let queue = opened::queue_of(settings, &snapshot, &unreachable(settings, &snapshot.topic.name)).await?;
    let options = ReplayOptions {
        filter: args.selection.filter(),
        again: args.again,
        force: args.force,
        is_dry_run: args.dry_run,
        to_partition: args.to_partition,
    };
    let table = TopicTable::new(&snapshot.topic);
    let replayer = Replayer { catalog, queue: queue.as_ref(), storage: &storage, table, options };
    let mut announce = |record: &QuarantinedRecord| {
        if args.dry_run && !json {
            let origin = &record.origin;
            let line = format!("would publish {} offset {} row {}\n", origin.partition, origin.offset, origin.row);
            // The replay continues when its output cannot be written.
            output::print(&line).ok();
        }
    };
    let report = replayer.run(&segments, &mut announce).await?;
    let answer = json!({ "topic": snapshot.topic.name, "dry_run": args.dry_run, "replay": report });
    output::show(json, &answer, || text(&report, args.dry_run))?;
    if report.refused > 0 { Err(Reported.into()) } else { Ok(()) }
}

/// Why nothing can be published from here, and another way.
fn unreachable(settings: &Settings, topic: &TopicName) -> String {
    format!(
        "nothing published from here would arrive: `siltstone --json quarantine show {topic}` prints the records, each with its \
         payload, and `siltstone up` takes them again by POST http://{}/v1/topics/{topic}/records",
        settings.ingest_addr
    )
}

fn text(report: &ReplayReport, is_dry_run: bool) -> String {
    let mut text = String::new();
    for refusal in &report.refusals {
        writeln!(text, "not published: {}: {}", refusal.origin, refusal.reason)
            .expect("writing to a string does not fail");
    }
    let (did, count) = (if is_dry_run { "would publish" } else { "published" }, count_text);
    let mut parts = vec![format!("{did} {} records", count(report.published))];
    if report.duplicates > 0 {
        parts.push(format!("{} of them were in the queue already", count(report.duplicates)));
    }
    if report.skipped > 0 {
        parts.push(format!("skipped {} that were replayed before (--again)", count(report.skipped)));
    }
    if report.refused > 0 {
        parts.push(format!(
            "left {} that still cannot be decoded (mend the columns, or --force)",
            count(report.refused)
        ));
    }
    text.push_str(&parts.join("; "));
    text.push('\n');
    text
}
