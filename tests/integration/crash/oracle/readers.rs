//! Every row of the topic, as read by DataFusion and by DuckDB.
//!
//! Owns: the two ways to read. Does not own: the expected rows.

use std::path::Path;

use serde::Deserialize;

use crate::crash::world::World;

/// A row of the topic's table, or of its quarantine: there `text` is the whole payload.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::crash) struct Row {
    pub(in crate::crash) p: u32,
    pub(in crate::crash) o: u64,
    pub(in crate::crash) r: u32,
    pub(in crate::crash) n: Option<u64>,
    pub(in crate::crash) text: String,
    /// The reason for its quarantine.
    pub(in crate::crash) reason: Option<String>,
}

const ROWS: &str = "SELECT _partition_id AS p, _offset AS o, _row AS r, n, text FROM orders";

/// The rows of table and quarantine, as read by the product's own query engine.
pub(in crate::crash) async fn with_datafusion(world: &World) -> [Vec<Row>; 2] {
    let quarantine = "SELECT _partition_id AS p, _offset AS o, _row AS r, reason, CAST(payload AS VARCHAR) AS text FROM quarantine.orders";
    let rows = world.siltstone.run(&["query", "--json", ROWS]).await.ok().out;
    let quarantined = world.siltstone.run(&["query", "--json", quarantine]).await.ok().out;
    [parsed(&rows), parsed(&quarantined)]
}

/// The same, as read by DuckDB.
pub(in crate::crash) async fn with_duckdb(world: &World) -> [Vec<Row>; 2] {
    let views = world.siltstone.run(&["duckdb-sql", "--views"]).await.ok().out;
    let keys = world.s3.as_ref().map(|s3| {
        [("s3_access_key_id", &s3.access_key), ("s3_secret_access_key", &s3.secret_key)]
            .map(|(name, value)| format!("SET {name} = '{value}'"))
    });
    let setup: Vec<&str> = keys.iter().flatten().map(String::as_str).collect();
    let extensions: &[&str] = if world.s3.is_some() { &["httpfs"] } else { &[] };
    let quarantine =
        "SELECT _partition_id AS p, _offset AS o, _row AS r, reason, decode(payload) AS text FROM quarantine_orders";
    let mut tables = [Vec::new(), Vec::new()];
    for (table, sql) in tables.iter_mut().zip([ROWS, quarantine]) {
        let file = world.siltstone.path().join("duckdb.json");
        let sql = format!("{views}COPY ({sql}) TO '{}' (FORMAT json)", file.display());
        support::duckdb::query_with(extensions, &setup, &sql).await.expect("DuckDB answers");
        *table = parsed(&read(&file));
    }
    tables
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).expect("DuckDB wrote it")
}

fn parsed(lines: &str) -> Vec<Row> {
    let row = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    lines.lines().map(row).collect()
}
