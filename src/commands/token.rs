//! `token`: create, list and revoke tokens of the HTTP service.
//!
//! Owns: the choice among them. Does not own: the work of each, asking for a token (`ingester`).

mod create;
mod list;
mod revoke;

use catalog::{Grant, Token};
use clap::Subcommand;
use common::config::Settings;

/// Create, list or revoke tokens of the HTTP service
///
/// Once there is a token, each request needs one that allows it; without any, the service serves its own machine alone.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone token create shop --allow produce:orders")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(create::Args),
    /// List all tokens, also those that are expired or revoked
    #[command(after_help = "Example: siltstone token list")]
    List,
    Revoke(revoke::Args),
}

/// Runs the chosen subcommand.
pub(crate) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    match args.command {
        Command::Create(args) => create::run(args, settings, json).await,
        Command::List => list::run(settings, json).await,
        Command::Revoke(args) => revoke::run(args, settings, json).await,
    }
}

/// The grants of a token on one line.
fn grants_text(token: &Token) -> String {
    token.grants.iter().map(Grant::to_string).collect::<Vec<_>>().join(" ")
}
