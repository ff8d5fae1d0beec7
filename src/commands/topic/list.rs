//! `topic list`: one line per topic.
//!
//! Owns: showing them. Does not own: the topics (the catalog).

use catalog::Topic;
use common::config::Settings;

use crate::opened::reading_catalog;
use crate::output::{self, Align, Table};
use crate::units::{count_text, duration_text, time_text};

/// Lists all topics, by name.
pub(super) async fn run(settings: &Settings, json: bool) -> anyhow::Result<()> {
    let topics = reading_catalog(settings, async |catalog| Ok(catalog.list_topics().await?)).await?;
    output::show(json, &topics, || text(&topics))
}

fn text(topics: &[Topic]) -> String {
    if topics.is_empty() {
        return "no topics yet; create one with `siltstone topic create NAME`\n".to_owned();
    }
    let mut table = Table::new(&[
        ("TOPIC", Align::Left),
        ("PARTITIONS", Align::Right),
        ("FORMAT", Align::Left),
        ("COLUMNS", Align::Right),
        ("RETENTION", Align::Left),
        ("CREATED", Align::Left),
    ]);
    for topic in topics {
        table.row([
            topic.name.to_string(),
            count_text(u64::from(topic.partition_count)),
            topic.config.format.to_string(),
            topic.config.columns.len().to_string(),
            topic.retention_ms.map_or_else(|| "unlimited".to_owned(), duration_text),
            time_text(topic.created_at),
        ]);
    }
    table.to_string()
}
