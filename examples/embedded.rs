//! Siltstone inside this program: `cargo run --example embedded`, or with a folder of your choice behind it.
//!
//! Owns: the folder of its data, which stays, so that a second run goes on where this one ended. Does not own: logs and
//! signals, which are the program's.

use std::error::Error;
use std::path::PathBuf;

use siltstone::{ColumnSpec, ColumnType, Settings, Siltstone, TopicConfig, TopicName, TopicOptions, format_table};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("./data/embedded"), PathBuf::from);
    println!("{}", run(folder).await?);
    Ok(())
}

/// Appends three orders and returns the table of all orders in the folder.
pub(crate) async fn run(folder: PathBuf) -> Result<String, Box<dyn Error>> {
    // A queue in memory, a catalog in SQLite, segments in the folder: all in this process.
    let siltstone = Siltstone::open(Settings { storage_path: folder, ..Settings::default() }).await?;

    let orders = TopicName::new("orders")?;
    let columns = vec![
        ColumnSpec::new("id", ColumnType::Int64).required(),
        ColumnSpec::new("amount", ColumnType::Decimal { precision: 12, scale: 2 }),
        ColumnSpec::new("placed", ColumnType::TimestampMs), // the time of the order is a column of it
    ];
    let topic = TopicConfig {
        name: orders.clone(),
        partition_count: 3,
        retention_ms: None,
        config: TopicOptions::json(columns),
    };
    match siltstone.create_topic(topic).await {
        Ok(_) | Err(siltstone::Error::TopicExists(_)) => {}
        Err(error) => return Err(error.into()),
    }

    for id in 1..=3 {
        let record = format!(r#"{{"id":{id},"amount":"{id}.50","placed":{}}}"#, 1_767_225_600_000_u64 + id);
        let key = format!("customer-{}", id % 2);
        // The place is assigned, and the record not durable yet. It waits while the queue is full.
        let appended = siltstone.append(&orders, Some(key.into()), record.into(), None).await?;
        assert!(appended.partition < 3);
    }
    siltstone.flush_all().await?; // everything appended before is committed, or the error names the partitions

    let rows = siltstone.query("SELECT count(*) AS orders, sum(amount) AS amount, max(placed) FROM orders").await?;
    let table = format_table(&rows)?;
    siltstone.close().await?; // commits what is left, and gives the partitions back
    Ok(table)
}
