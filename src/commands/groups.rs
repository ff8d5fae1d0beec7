//! `groups`: consumer groups with their members and lag; setting their offsets; deleting them.
//!
//! Owns: the choice among them. Does not own: the work of each.

mod describe;
mod list;
mod reset;

use clap::Subcommand;
use common::config::Settings;

/// List, describe, reset or delete consumer groups
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone groups describe billing")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List all groups
    #[command(after_help = "Example: siltstone groups list")]
    List,
    Describe(describe::Args),
    Reset(reset::Args),
    /// Delete a group with its offsets; no member may be alive
    #[command(after_help = "Example: siltstone groups delete billing")]
    Delete {
        /// Name of the group
        group: String,
    },
}

/// Runs the chosen subcommand.
pub(crate) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    match args.command {
        Command::List => list::run(settings, json).await,
        Command::Describe(args) => describe::run(args, settings, json).await,
        Command::Reset(args) => reset::run(args, settings, json).await,
        Command::Delete { group } => list::delete(&group, settings, json).await,
    }
}
