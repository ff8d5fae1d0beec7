//! `agents`: ingesters and writers that are registered in the catalog.
//!
//! Owns: showing them. Does not own: registration and leases (the catalog), the agents themselves.

use std::time::Duration;

use catalog::RegisteredAgent;
use common::AgentGroup;
use common::config::Settings;
use serde_json::json;

use crate::opened::reading_catalog;
use crate::output::{self, Align, Table};
use crate::units::{count_text, duration_text, time_text};

/// List the agents that are alive: ingesters and writers.
///
/// An agent registers in the catalog, renews its lease three times in LEASE_SECS, and is removed when it stops in good
/// order. One that gave no sign for its lease is dead and not listed. Producers that are given a catalog send to the
/// addresses of the ingesters of their group (AGENT_GROUP).
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone agents --group default")]
pub(crate) struct Args {
    /// Only the agents of this group
    #[arg(long, value_name = "NAME")]
    group: Option<AgentGroup>,
}

/// Prints a table, or with `json` a list.
pub(crate) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    let lease = Duration::from_secs(settings.lease_secs);
    let mut agents = reading_catalog(settings, async |catalog| Ok(catalog.list_registered(lease).await?)).await?;
    agents.retain(|agent| args.group.as_ref().is_none_or(|group| agent.contact.group == *group));
    if json {
        return output::print_json(&agents.iter().map(value).collect::<Vec<_>>());
    }
    if agents.is_empty() {
        output::note("no agents are alive; `siltstone up`, or the binaries ingester and writer, start some");
        return Ok(());
    }
    output::print(&table(&agents).to_string())
}

fn value(agent: &RegisteredAgent) -> serde_json::Value {
    json!({
        "role": agent.role,
        "group": agent.contact.group,
        "address": agent.contact.address,
        "name": agent.name,
        "id": agent.id.to_string(),
        "partitions": agent.partitions,
        "started_at": agent.started_at,
        "silent_ms": millis(agent.silent_for),
    })
}

fn table(agents: &[RegisteredAgent]) -> Table {
    let mut table = Table::new(&[
        ("ROLE", Align::Left),
        ("GROUP", Align::Left),
        ("ADDRESS", Align::Left),
        ("NAME", Align::Left),
        ("PARTITIONS", Align::Right),
        ("STARTED", Align::Left),
        ("LAST SIGN", Align::Right),
    ]);
    for agent in agents {
        table.row([
            agent.role.to_string(),
            agent.contact.group.to_string(),
            agent.contact.address.clone().unwrap_or_else(|| "-".to_owned()),
            agent.name.clone(),
            count_text(agent.partitions),
            time_text(agent.started_at),
            duration_text(millis(agent.silent_for)),
        ]);
    }
    table
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
