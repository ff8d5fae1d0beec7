//! Statistics in stock DuckDB over the attached catalog: any values, any filter, the same rows with and without them.
//!
//! Owns: asking DuckDB. Does not own: values and filters (`statistics`), which asks DataFusion the same.

use std::path::Path;
use std::sync::Mutex;

use proptest::prelude::*;
use support::duckdb_session::DuckDbSession;

use crate::lake::Lake;
use crate::statistics::{TOPIC, Values, cases, filter, list, record_statistics, values};

/// One process for all lakes: its start takes longer than a lake.
static DUCKDB: Mutex<Option<DuckDbSession>> = Mutex::new(None);

fn ask(sql: &str) -> serde_json::Value {
    let mut session = DUCKDB.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let session = session.get_or_insert_with(|| {
        DuckDbSession::start_with(&["ducklake", "sqlite_scanner"]).expect("DuckDB with its extensions")
    });
    let answer = session.ask(&serde_json::to_string(sql).expect("text")).expect("an answer");
    let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    assert!(answer.get("error").is_none(), "{sql}: {answer}");
    answer["rows"].clone()
}

/// The filter with bytes as DuckDB writes them: `X'0102'` is `'\x01\x02'::BLOB` there.
fn in_duckdb(filter: &str) -> String {
    let mut parts = filter.split("X'");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (digits, rest) = part.split_once('\'').expect("a literal ends");
        let bytes: Vec<String> =
            digits.as_bytes().chunks(2).map(|byte| format!("\\x{}", byte.escape_ascii())).collect();
        text.push_str(&format!("'{}'::BLOB{rest}", bytes.concat()));
    }
    text
}

/// The offsets of the rows that DuckDB finds for each filter.
fn found(table: &str, filters: &[String]) -> Vec<serde_json::Value> {
    let sql = |filter: &String| format!("SELECT _offset FROM {table} WHERE {} ORDER BY 1", in_duckdb(filter));
    filters.iter().map(|filter| ask(&sql(filter))).collect()
}

/// The first rows by a column: DuckDB leaves out objects by their bounds, and must read none twice.
fn first(table: &str) -> Vec<serde_json::Value> {
    let orders = [
        "_offset FROM {} ORDER BY _offset LIMIT 4",
        "_offset FROM {} ORDER BY _offset DESC LIMIT 4",
        "_offset, count(*) FROM {} GROUP BY ALL ORDER BY _offset LIMIT 4",
        "_partition_id, _offset FROM {} ORDER BY _partition_id, _offset LIMIT 4",
        "i, _offset FROM {} ORDER BY i, _offset LIMIT 4 OFFSET 2",
        "s, _offset FROM {} ORDER BY s DESC, _offset LIMIT 4",
    ];
    orders.iter().map(|order| ask(&format!("SELECT {}", order.replace("{}", table)))).collect()
}

async fn check(directory: &Path, objects: &[Vec<Values>], filters: &[String]) {
    let lake = Lake::in_directory(directory).await;
    list(&lake, objects).await;
    let files = format!("read_parquet('{}/object-*')", directory.display());
    let table = format!("attached.{TOPIC}");
    let catalog = directory.join("catalog.db");
    ask(&format!("ATTACH 'ducklake:sqlite:{}' AS attached (READ_ONLY)", catalog.display()));
    // Of files alone, DuckDB knows no statistics that the catalog records; of level 0 those of few columns.
    let without = found(&files, filters);
    let of_level_0 = found(&table, filters);
    record_statistics(&lake, objects, |_| {}).await;
    let with = found(&table, filters);
    assert_eq!(first(&table), first(&files), "the first rows");
    ask("DETACH attached");
    for (number, filter) in filters.iter().enumerate() {
        assert_eq!(of_level_0[number], without[number], "level 0: {filter}");
        assert_eq!(with[number], without[number], "all statistics: {filter}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(24)))]
    #[test]
    fn statistics_change_no_answer_of_an_attached_catalog(
        objects in proptest::collection::vec(proptest::collection::vec(values(), 1..5), 1..5),
        filters in proptest::collection::vec(filter(), 10),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let directory = tempfile::tempdir().expect("a directory");
        runtime.block_on(check(directory.path(), &objects, &filters));
    }
}

#[test]
fn wrong_statistics_would_be_noticed() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let directory = tempfile::tempdir().expect("a directory");
    let objects = [vec![row(1), row(2)], vec![row(3)]];
    let found = runtime.block_on(async {
        let lake = Lake::in_directory(directory.path()).await;
        list(&lake, &objects).await;
        record_statistics(&lake, &objects, |column| column.max = column.min.clone()).await;
        let catalog = directory.path().join("catalog.db");
        ask(&format!("ATTACH 'ducklake:sqlite:{}' AS spoiled (READ_ONLY)", catalog.display()));
        ask("SELECT i FROM spoiled.t WHERE i = 2")
    });
    ask("DETACH spoiled");
    assert_eq!(found, serde_json::json!([]), "the reader leaves an object out by its bounds");
}

fn row(i: i64) -> Values {
    Values { i: Some(i), j: None, f: None, s: None, b: None, d: None, t: None, m: None, x: None }
}
