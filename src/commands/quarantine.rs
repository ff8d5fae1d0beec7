//! `quarantine`: records that could not be decoded.
//!
//! Owns: the choice of the subcommand and of the segments. Does not own: the work of each subcommand, reading the
//! records (`writer::quarantine`).

mod list;
mod replay;
mod show;

use catalog::{SegmentInfo, TopicSnapshot};
use clap::Subcommand;
use common::TopicName;
use common::config::Settings;
use writer::quarantine::Filter;

use crate::opened::{self, reading_catalog, with_catalog};

/// Arguments of `quarantine`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Count the records by segment and reason
    List(list::Args),
    /// Show records whole, with the reason
    Show(show::Args),
    /// Publish records again, after the topic's columns were mended
    Replay(replay::Args),
}

/// The records that are meant.
#[derive(Debug, clap::Args)]
struct Selection {
    /// Name of the topic
    topic: TopicName,
    /// Only of this partition
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
    /// Only of the message at this offset
    #[arg(long)]
    offset: Option<u64>,
    /// Only with a reason that holds this text
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl Selection {
    fn filter(&self) -> Filter {
        Filter { partition_id: self.partition, offset: self.offset, reason: self.reason.clone() }
    }

    /// The segments that can hold such records, by partition and offset.
    fn segments(&self, snapshot: &TopicSnapshot) -> anyhow::Result<Vec<SegmentInfo>> {
        opened::check_partition(snapshot, self.partition)?;
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
