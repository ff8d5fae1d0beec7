//! `groups list` and `groups delete`.
//!
//! Owns: showing the list, and the answer of a deletion. Does not own: the rows (the catalog).

use common::config::Settings;
use serde_json::json;

use crate::opened::{reading_catalog, with_catalog};
use crate::output::{self, Align, Table};
use crate::units::{count_text, time_text};

/// Prints a table, or with `json` a list.
pub(super) async fn run(settings: &Settings, json: bool) -> anyhow::Result<()> {
    let groups = reading_catalog(settings, async |catalog| Ok(catalog.list_groups().await?)).await?;
    let table = || {
        let mut table = Table::new(&[
            ("GROUP", Align::Left),
            ("MEMBERS", Align::Right),
            ("GENERATION", Align::Right),
            ("CREATED", Align::Left),
            ("CHANGED", Align::Left),
            ("TOPICS", Align::Left),
        ]);
        for group in &groups {
            let topics: Vec<&str> = group.topics.iter().map(|topic| topic.as_str()).collect();
            table.row([
                group.group_id.clone(),
                count_text(group.members),
                group.generation.to_string(),
                time_text(group.created_at),
                time_text(group.updated_at),
                topics.join(","),
            ]);
        }
        if groups.is_empty() { "no groups\n".to_owned() } else { table.to_string() }
    };
    output::show(json, &groups, table)
}

/// Deletes a group.
pub(super) async fn delete(group: &str, settings: &Settings, json: bool) -> anyhow::Result<()> {
    with_catalog(settings, async |catalog| Ok(catalog.delete_consumer_group(group).await?)).await?;
    output::show(json, &json!({ "deleted": group }), || format!("deleted group {group}\n"))
}
