//! `audit`: proves that every committed message is there exactly once.
//!
//! Owns: the choice of topics, and showing the proof. Does not own: the checks (`writer::audit`, `catalog::audit`).

use std::fmt::Write;

use catalog::MetadataStore;
use catalog::audit::Check;
use common::TopicName;
use common::config::Settings;
use serde_json::json;
use writer::audit::{Audit, AuditReport};

use crate::commands::segments::object_bytes;
use crate::opened::{self, reading_catalog};
use crate::output::{self, Align, Reported, Table};
use crate::progress;
use crate::units::{bytes_text, count_text};

const NOT_COMPARED: &str = "not compared with the queue";
/// The consequence of a queue that cannot be reached from here.
const CONSEQUENCE: &str = "it cannot be compared";

/// Prove that every committed message is there exactly once.
///
/// From catalog and objects: ranges chain from the first offset to the watermark; every offset is in one segment, in
/// quarantine or in a recorded gap; each object exists with its size and checksum. Against the stream, where it still
/// holds them: the messages are the committed ones. Where tables are published for readers of Iceberg: their metadata
/// is whole and lists the objects of a lake snapshot. Without --deep the rows of a few segments of each partition are
/// decoded and compared, with it all of them. Nothing is changed, and writers may be at work.
///
/// Exit code 0 when all of it holds, 1 when not.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone audit orders --deep")]
pub(crate) struct Args {
    /// Only this topic
    topic: Option<TopicName>,
    /// Only this partition
    #[arg(long, value_name = "N", requires = "topic")]
    partition: Option<u32>,
    /// Decode every object and compare every message that the stream still holds
    #[arg(long)]
    deep: bool,
    /// Do not compare with the stream
    #[arg(long)]
    no_stream: bool,
}

/// Prints a table of checks for each topic and the verdict, or with `json` the reports.
pub(crate) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    let audited = reading_catalog(settings, async |catalog| audit(&args, settings, catalog.as_ref()).await);
    let reports = audited.await?;
    let problems: u64 = reports.iter().map(AuditReport::problem_count).sum();
    let answer = json!({ "clean": problems == 0, "problems": problems, "topics": reports });
    output::show(json, &answer, || text(&reports, problems, args.deep))?;
    if problems > 0 { Err(Reported.into()) } else { Ok(()) }
}

async fn audit(args: &Args, settings: &Settings, catalog: &dyn MetadataStore) -> anyhow::Result<Vec<AuditReport>> {
    let storage = opened::storage(settings)?;
    let mut snapshots = Vec::new();
    for topic in opened::topics(catalog, args.topic.as_ref()).await? {
        snapshots.push(catalog.snapshot(&topic).await?);
    }
    for snapshot in &snapshots {
        opened::check_partition(&snapshot.topic, args.partition)?;
    }
    let wanted = |partition_id| args.partition.is_none_or(|only| only == partition_id);
    let segments = snapshots.iter().flat_map(|snapshot| &snapshot.segments);
    let bytes = object_bytes(segments.filter(|segment| wanted(segment.partition_id)));
    let bar = progress::bar(bytes, "bytes", "auditing");
    let mut reports = Vec::new();
    for snapshot in &snapshots {
        let not_compared = reason_not_to_compare(args, settings);
        let queue =
            match &not_compared {
                Some(_) => None,
                None => Some(opened::queue_of(settings, snapshot, CONSEQUENCE).await.map_err(|error| {
                    anyhow::anyhow!("{error:#}; say --no-stream to audit catalog and objects alone")
                })?),
            };
        let audit = Audit {
            catalog,
            storage: &storage,
            queue: queue.as_deref(),
            partition_id: args.partition,
            is_deep: args.deep,
            memory_bytes_max: settings.memory_budget_bytes,
        };
        let mut report = audit.run(&snapshot.topic.name, &|bytes| bar.inc(bytes)).await?;
        report.notes.extend(not_compared.map(|reason| format!("{NOT_COMPARED}: {reason}")));
        reports.push(report);
    }
    bar.finish_and_clear();
    Ok(reports)
}

fn reason_not_to_compare(args: &Args, settings: &Settings) -> Option<String> {
    if args.no_stream {
        return Some("--no-stream".to_owned());
    }
    opened::ensure_shared_queue(settings, CONSEQUENCE).err().map(|refused| refused.to_string())
}

fn text(reports: &[AuditReport], problems: u64, is_deep: bool) -> String {
    let mut text = String::new();
    for report in reports {
        text.push_str(&report_text(report, is_deep));
    }
    let sum = |of: fn(&AuditReport) -> u64| count_text(reports.iter().map(of).sum());
    let verdict = match problems {
        0 => format!(
            "audit: clean, {} offsets in {} commits, {} objects, {}",
            sum(|report| report.catalog.offsets),
            sum(|report| report.catalog.commits),
            sum(|report| report.objects.objects),
            match sum(|report| report.objects.stream_messages).as_str() {
                "0" => "nothing compared with a stream".to_owned(),
                count => format!("{count} messages as the stream has them"),
            }
        ),
        1 => "audit: 1 problem".to_owned(),
        many => format!("audit: {} problems", count_text(many)),
    };
    format!("{text}{verdict}\n")
}

fn report_text(report: &AuditReport, is_deep: bool) -> String {
    let partitions = if report.partitions == 1 { "partition" } else { "partitions" };
    let mut text = format!("topic {}, {} {partitions}\n", report.topic, count_text(u64::from(report.partitions)));
    let left = Align::Left;
    let mut table = Table::new(&[("CHECK", left), ("LOOKED AT", left), ("HOLDS", left), ("VERDICT", left)]);
    for check in Check::ALL {
        let found = report.problem_counts.get(&check).copied().unwrap_or_default();
        let is_looked_at = match check {
            Check::Stream => report.objects.stream_messages > 0 || found > 0,
            Check::Consumers => report.objects.consumer_offsets > 0 || found > 0,
            Check::Iceberg => report.objects.iceberg_metadata > 0 || found > 0,
            _ => true,
        };
        let verdict = match found {
            0 if is_looked_at => "ok".to_owned(),
            0 => "-".to_owned(),
            1 => "1 problem".to_owned(),
            many => format!("{} problems", count_text(many)),
        };
        table.row([check.word().to_owned(), looked_at(report, check, is_deep), check.claim().to_owned(), verdict]);
    }
    let mut line = |line: String| {
        writeln!(text, "{line}").expect("writing to a string does not fail");
    };
    line(table.to_string());
    for problem in &report.problems {
        line(format!("problem: {problem}"));
        line(format!("         {}", problem.advice));
    }
    let hidden = report.problem_count() - report.problems.len() as u64;
    if hidden > 0 {
        line(format!("problem: {} more like these", count_text(hidden)));
    }
    for note in &report.notes {
        line(format!("note: {note}"));
    }
    text
}

/// The items that a check examined, with counts.
fn looked_at(report: &AuditReport, check: Check, is_deep: bool) -> String {
    let (chain, objects, count) = (&report.catalog, &report.objects, count_text);
    match check {
        Check::Commits => format!("{} commits of {} messages", count(chain.commits), count(chain.messages)),
        Check::Offsets => format!(
            "{} offsets, {} in {} gaps, {} expired",
            count(chain.offsets),
            count(chain.gap_offsets),
            count(chain.gaps),
            count(chain.expired_offsets)
        ),
        Check::Segments => format!(
            "{} listed, {} of them quarantine, {} expired",
            count(chain.segments),
            count(chain.quarantine_segments),
            count(chain.expired_segments)
        ),
        Check::Uploads => format!("{} intents and doomed objects", count(chain.uploads)),
        Check::Objects => {
            let retired = match objects.retired {
                0 => String::new(),
                retired => format!(", {} more in earlier snapshots", count(retired)),
            };
            format!("{} objects, {}{retired}", count(objects.objects), bytes_text(objects.bytes))
        }
        Check::Rows => {
            let sampled = if is_deep { "" } else { ", sampled" };
            format!("{} rows of {} commits{sampled}", count(objects.rows), count(objects.decoded_commits))
        }
        Check::Stream => {
            format!("{} messages held, {} discarded", count(objects.stream_messages), count(objects.stream_discarded))
        }
        Check::Consumers => format!("{} offsets of groups", count(objects.consumer_offsets)),
        Check::Iceberg => match objects.iceberg_metadata {
            0 => "not published".to_owned(),
            metadata => format!("{} objects by {} of metadata", count(objects.iceberg_objects), count(metadata)),
        },
    }
}
