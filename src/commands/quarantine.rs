//! `quarantine`: records that could not be decoded.
//!
//! Owns: the choice of the subcommand and of the segments. Does not own: the work of each subcommand, reading the
//! records (`writer::quarantine`).

mod list;
mod replay;
mod show;

use std::collections::HashMap;
use std::ops::ControlFlow;

use catalog::{MetadataStore, Replay, SegmentInfo, TopicSnapshot};
use clap::Subcommand;
use common::config::Settings;
use common::{TopicName, TopicPartition};
use writer::quarantine::replay::origin_of;
use writer::quarantine::{Filter, Origin, QuarantineReader, QuarantinedRecord};

use crate::opened::{self, reading_catalog, with_catalog};

/// List, show or replay records that could not be decoded
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone quarantine list orders")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::Args),
    Show(show::Args),
    Replay(replay::Args),
}

/// The records that are meant.
#[derive(Debug, clap::Args)]
struct Selection {
    /// Name of the topic
    topic: TopicName,
    /// Only this partition
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
    /// Only the message at this offset
    #[arg(long, value_name = "OFFSET")]
    offset: Option<u64>,
    /// Only reasons that hold this text
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl Selection {
    fn filter(&self) -> Filter {
        Filter { partition_id: self.partition, offset: self.offset, reason: self.reason.clone() }
    }

    /// Reads these records, each with its segment and its replay, by partition and offset. Stops when `each` breaks.
    async fn for_each(
        &self,
        settings: &Settings,
        catalog: &dyn MetadataStore,
        mut each: impl FnMut(&SegmentInfo, &QuarantinedRecord, Option<&Replay>) -> anyhow::Result<ControlFlow<()>>,
    ) -> anyhow::Result<()> {
        let snapshot = catalog.snapshot(&self.topic).await?;
        let storage = opened::storage(settings)?;
        let filter = self.filter();
        for segment in self.segments(&snapshot)? {
            let partition = TopicPartition::new(segment.topic.clone(), segment.partition_id);
            let replays = catalog.list_replays(&partition).await?;
            let replays: HashMap<Origin, Replay> =
                replays.into_iter().map(|replay| (origin_of(&replay), replay)).collect();
            for record in QuarantineReader::open(&storage, &segment).await? {
                let record = record?;
                if filter.wants(&record) && each(&segment, &record, replays.get(&record.origin))?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The segments that can hold such records, by partition and offset.
    fn segments(&self, snapshot: &TopicSnapshot) -> anyhow::Result<Vec<SegmentInfo>> {
        opened::check_partition(&snapshot.topic, self.partition)?;
        let filter = self.filter();
        Ok(snapshot.segments.iter().filter(|segment| filter.may_be_in(segment)).cloned().collect())
    }
}

/// Runs the chosen subcommand.
pub(crate) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    match args.command {
        Command::List(args) => {
            reading_catalog(settings, async |catalog| list::run(args, settings, catalog.as_ref(), json).await).await
        }
        Command::Show(args) => {
            reading_catalog(settings, async |catalog| show::run(args, settings, catalog.as_ref(), json).await).await
        }
        Command::Replay(args) => {
            with_catalog(settings, async |catalog| replay::run(args, settings, catalog.as_ref(), json).await).await
        }
    }
}
