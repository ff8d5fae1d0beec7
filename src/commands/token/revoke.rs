//! `token revoke`: a token is worth nothing any more.
//!
//! Owns: the command. Does not own: the revocation (the catalog), the time until services know it (`ingester`).

use common::config::Settings;

use crate::opened::with_catalog;
use crate::output;

/// Revoke a token, for good.
///
/// Running services refuse it within a few seconds. Its name is free for another token.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone token revoke shop")]
pub(crate) struct Args {
    /// Name of the token
    name: String,
}

/// Revokes the token.
pub(super) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    let token = with_catalog(settings, async |catalog| Ok(catalog.revoke_token(&args.name).await?)).await?;
    output::show(json, &token, || {
        format!("revoked token {}; running services refuse it within a few seconds\n", token.name)
    })
}
