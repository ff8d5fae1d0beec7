//! Queries over more than their memory: they go on in temporary files.

use lake::query::{QueryOptions, QuerySession};
use serde_json::json;

use crate::lake::Lake;

const MIB: usize = 1024 * 1024;
const ROWS: u64 = 16_000;
const COLUMNS: &str = r#"[{"name":"n","type":"int64"},{"name":"s","type":"string"}]"#;

/// Rows of 2 kB, 32 MB in all, in four segments; no two texts are the same.
async fn wide() -> Lake {
    let lake = Lake::in_memory().await;
    lake.create("t", 1, &format!(r#"{{"format":"json","columns":{COLUMNS}}}"#)).await;
    for first in (0..ROWS).step_by(4000) {
        let text = |n: u64| format!("{:08}{}", n.wrapping_mul(7_919) % ROWS, "x".repeat(1992));
        let records: Vec<_> = (first..first + 4000).map(|n| json!({"n": n, "s": text(n)})).collect();
        lake.settle_records("t", first, json!(records)).await;
    }
    lake
}

fn session(lake: &Lake, memory: usize) -> QuerySession {
    lake.session(QueryOptions { memory_bytes_max: memory, ..QueryOptions::default() })
}

async fn numbers(session: &QuerySession, sql: &str) -> Vec<i64> {
    let rows = session.sql(sql).await.expect(sql).collect().await.expect(sql);
    let mut lines = Vec::new();
    lake::query::write_json_lines(&mut lines, &rows).expect("JSON");
    let lines = String::from_utf8(lines).expect("UTF-8");
    let rows = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    rows.map(|row| row["n"].as_i64().expect("a number")).collect()
}

#[tokio::test]
async fn more_than_the_memory_is_sorted_grouped_and_joined() {
    let lake = wide().await;
    for memory in [16 * MIB, 24 * MIB] {
        let session = session(&lake, memory);
        let sorted = numbers(&session, "SELECT n, s FROM t ORDER BY s").await;
        let mut expected: Vec<i64> = (0..ROWS as i64).collect();
        expected.sort_by_key(|n| n.wrapping_mul(7_919) % ROWS as i64);
        let wrong = sorted.iter().zip(&expected).position(|(seen, wanted)| seen != wanted);
        assert_eq!((sorted.len(), wrong), (expected.len(), None), "{memory}");
        let grouped = "SELECT count(*) AS n FROM (SELECT s, count(*) AS c FROM t GROUP BY s) WHERE c = 1";
        assert_eq!(numbers(&session, grouped).await, [ROWS as i64], "{memory}");
        let joined = "SELECT count(*) AS n FROM t JOIN t AS u ON t.s = u.s WHERE t.s || u.s <> ''";
        assert_eq!(numbers(&session, joined).await, [ROWS as i64], "{memory}");
        let window = "SELECT max(r) AS n FROM (SELECT row_number() OVER (ORDER BY s) AS r, s FROM t)";
        assert_eq!(numbers(&session, window).await, [ROWS as i64], "{memory}");
    }
}

#[tokio::test]
async fn a_query_that_cannot_do_with_its_memory_names_the_setting() {
    let lake = wide().await;
    let session = session(&lake, MIB);
    let frame = session.sql("SELECT count(x) FROM (SELECT array_agg(s) AS x FROM t)").await.expect("plans");
    let error = frame.collect().await.expect_err("too much").to_string();
    assert!(error.contains("MEMORY_BUDGET_BYTES=1048576"), "{error}");
    assert!(!error.contains("datafusion."), "{error}");
}
