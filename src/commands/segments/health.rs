//! `segments --health`: the number of objects of each table, and what compaction has before it.
//!
//! Owns: showing them. Does not own: the figures (`writer::compact`).

use std::collections::BTreeMap;

use common::TopicName;
use common::clock::system_clock;
use common::config::Settings;
use writer::compact::{CompactionConfig, TableHealth, health};

use crate::opened::{reading_catalog, topics};
use crate::output::{self, Align, Table};
use crate::units::{bytes_text, count_text};

/// Prints a table, or with `json` a list.
pub(super) async fn run(topic: Option<&TopicName>, settings: &Settings, json: bool) -> anyhow::Result<()> {
    let config = CompactionConfig::of_process(settings);
    let tables: Vec<TableHealth> = reading_catalog(settings, async |catalog| {
        let mut tables = Vec::new();
        for topic in topics(catalog.as_ref(), topic).await? {
            tables.extend(health(&catalog.snapshot(&topic).await?, &config, system_clock().now_ms()));
        }
        Ok(tables)
    })
    .await?;
    if json {
        return output::print_json(&tables);
    }
    if tables.is_empty() {
        output::note("no segments are listed yet");
        return Ok(());
    }
    output::print(&table(&tables).to_string())
}

fn table(tables: &[TableHealth]) -> Table {
    let mut table = Table::new(&[
        ("TOPIC", Align::Left),
        ("KIND", Align::Left),
        ("OBJECTS", Align::Right),
        ("SIZE", Align::Right),
        ("BY LEVEL", Align::Left),
        ("BELOW 32 MiB", Align::Right),
        ("TO MERGE", Align::Right),
        ("WRITTEN", Align::Right),
    ]);
    for health in tables {
        table.row([
            health.topic.to_string(),
            health.kind.as_str().to_owned(),
            count_text(health.objects),
            bytes_text(health.bytes),
            levels(&health.by_level),
            count_text(health.small),
            match health.due_jobs {
                0 => "-".to_owned(),
                1 => format!("{} in 1 job", count_text(health.due_objects)),
                jobs => format!("{} in {} jobs", count_text(health.due_objects), count_text(jobs)),
            },
            format!("{:.1} times", health.write_amplification),
        ]);
    }
    table
}

/// `0: 12, 1: 3`.
fn levels(by_level: &BTreeMap<u32, u64>) -> String {
    let text = |(level, objects): (&u32, &u64)| format!("{level}: {}", count_text(*objects));
    by_level.iter().map(text).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_listed_from_the_lowest() {
        assert_eq!(levels(&BTreeMap::from([(1, 3), (0, 1_200)])), "0: 1,200, 1: 3");
    }
}
