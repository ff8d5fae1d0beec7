//! `topic`: create, list, describe, update, resume, delete.
//!
//! Owns: the choice among them. Does not own: the work of each.

mod beginning;
mod create;
mod delete;
mod describe;
mod list;
mod resume;
mod update;

use clap::Subcommand;
use common::config::Settings;

pub(crate) use create::create_topic;

/// Arguments of `topic`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a topic, with the streams it needs in the queue
    Create(Box<create::Args>),
    /// List all topics
    List,
    /// Show a topic's options, its partitions and how far each is committed
    Describe(describe::Args),
    /// Add columns, or let columns take more
    Update(update::Args),
    /// Let halted partitions go on: explains what happened, finds the safest start
    Resume(resume::Args),
    /// Delete a topic with its messages and segments
    Delete(delete::Args),
}

/// Runs the chosen subcommand.
pub(crate) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    match args.command {
        Command::Create(args) => create::run(*args, settings, json).await,
        Command::List => list::run(settings, json).await,
        Command::Describe(args) => describe::run(args, settings, json).await,
        Command::Update(args) => update::run(args, settings, json).await,
        Command::Resume(args) => resume::run(args, settings, json).await,
        Command::Delete(args) => delete::run(args, settings, json).await,
    }
}
