//! `topic`: create, list, describe, update, resume, delete.
//!
//! Owns: the choice among them. Does not own: the work of each.

mod arrangement;
mod beginning;
mod create;
mod delete;
mod describe;
mod infer;
mod list;
mod packing;
mod place;
mod reading;
mod resume;
mod schema;
mod streams;
mod update;

use clap::Subcommand;
use common::config::Settings;

pub(crate) use beginning::{Beginning, parse_beginning};
pub(crate) use create::create_topic;

/// Create, list, describe, update, resume or delete topics
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone topic create orders --column id:int64! --column 'amount:decimal(12,2)'")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Box<create::Args>),
    /// List all topics
    #[command(after_help = "Example: siltstone topic list")]
    List,
    Describe(describe::Args),
    Update(Box<update::Args>),
    Resume(resume::Args),
    Delete(delete::Args),
}

/// Runs the chosen subcommand.
pub(crate) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    match args.command {
        Command::Create(args) => create::run(*args, settings, json).await,
        Command::List => list::run(settings, json).await,
        Command::Describe(args) => describe::run(args, settings, json).await,
        Command::Update(args) => update::run(*args, settings, json).await,
        Command::Resume(args) => resume::run(args, settings, json).await,
        Command::Delete(args) => delete::run(args, settings, json).await,
    }
}
