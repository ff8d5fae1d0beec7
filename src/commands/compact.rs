//! `compact`: merges small objects, as writers do, in a process of its own.
//!
//! Owns: the command, and showing each job. Does not own: compaction (`writer::compact`).

use std::time::Duration;

use common::TopicName;
use common::config::Settings;
use writer::compact::{Compacted, CompactionConfig, Compactor};

use crate::opened::{self, with_catalog};
use crate::output;
use crate::units::{bytes_text, count_text};

/// Merge small objects of a topic and day into large ones.
///
/// Every writer does so too, unless COMPACTION=off. A process of its own may take all of MEMORY_BUDGET_BYTES for it, so its
/// objects become larger, and it takes no CPU from writers on other machines. Any number of processes may run, and each may be
/// killed at any time: what it has not finished is left as it was. Rows, offsets and answers of queries stay the same.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone compact --topic orders --once")]
pub(crate) struct Args {
    /// Only this topic; may be given more than once
    #[arg(long = "topic", value_name = "TOPIC")]
    topics: Vec<TopicName>,
    /// Return when nothing is to be merged, instead of waiting for more
    #[arg(long)]
    once: bool,
}

/// Compacts, and prints a line for each job.
pub(crate) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    with_catalog(settings, async |catalog| {
        let storage = opened::storage_of(settings, catalog.as_ref()).await?;
        for topic in &args.topics {
            opened::topics(catalog.as_ref(), Some(topic)).await?;
        }
        let (config, lease) = (CompactionConfig::of_process(settings), Duration::from_secs(settings.lease_secs));
        let mut compactor = Compactor::new(catalog.clone(), storage.clone(), config, lease);
        let (mut jobs, mut objects) = (0, 0);
        let mut unprinted = Ok(());
        let stopper = compactor.stopper();
        let mut told = |job: &Compacted| {
            jobs += 1;
            objects += job.inputs as u64;
            unprinted = shown(job, json);
            if unprinted.is_err() {
                stopper.cancel();
            }
        };
        compactor.run(&args.topics, args.once, &mut told).await?;
        unprinted?;
        if !json {
            output::note(&match jobs {
                0 => "nothing is to be merged".to_owned(),
                1 => format!("1 job merged {} objects", count_text(objects)),
                _ => format!("{} jobs merged {} objects", count_text(jobs), count_text(objects)),
            });
        }
        Ok(())
    })
    .await
}

fn shown(job: &Compacted, json: bool) -> anyhow::Result<()> {
    if json {
        return output::print_json_text(&format!("{}\n", serde_json::to_string(job)?));
    }
    let quarantine = if job.kind == catalog::SegmentKind::Quarantine { " (quarantine)" } else { "" };
    let (inputs, records) = (count_text(job.inputs as u64), count_text(job.records));
    let (before, after) = (bytes_text(job.input_bytes), bytes_text(job.output_bytes));
    let line =
        format!("{}{quarantine}: {inputs} objects, {before} -> 1 object, {after}; {records} records\n", job.topic);
    output::print(&line)
}
