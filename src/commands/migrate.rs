//! `migrate`: the catalog gets the schema of this version.
//!
//! Owns: the command. Does not own: the migration (`catalog`).

use common::config::Settings;
use serde_json::json;

use crate::opened::with_catalog;
use crate::output;

/// Upgrade the catalog's schema to the one of this version.
///
/// A writer does so too when it starts, and so does every command that writes. Commands that only read never do: after
/// an upgrade of siltstone they say that the schema is an older one. Programs of an older version refuse a catalog that
/// was upgraded. Nothing is changed when the schema is already the one of this version.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone migrate")]
pub(crate) struct Args {}

/// Upgrades, and says so.
pub(crate) async fn run(_args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    with_catalog(settings, async |catalog| Ok(catalog.check().await?)).await?;
    let place = settings.catalog_place().to_string();
    output::show(json, &json!({ "catalog": place }), || format!("{place} has the schema of this version\n"))
}
