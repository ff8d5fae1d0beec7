//! `topic list`.
//!
//! Owns: the table of topics. Does not own: details of one topic (`describe`).

use common::config::Settings;

use crate::output::{self, Align, Table};
use crate::units::{count_text, duration_text, time_text};

/// Lists all topics, by name.
pub(super) async fn run(settings: &Settings, json: bool) -> anyhow::Result<()> {
    let catalog = writer::connect::catalog(settings).await?;
    let topics = catalog.list_topics().await;
    catalog.close().await;
    let topics = topics?;
    if json {
        return output::print_json(&topics);
    }
    if topics.is_empty() {
        return output::print("no topics yet; create one with `siltstone topic create NAME`\n");
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
            topic.retention_ms.map_or_else(|| "for ever".to_owned(), duration_text),
            time_text(topic.created_at),
        ]);
    }
    output::print(&table.to_string())
}
