//! The order in which rows lie is used, and never changes an answer.

use datafusion::physical_plan::displayable;
use proptest::prelude::*;
use serde_json::json;

use crate::lake::Lake;
use crate::statistics::{TOPIC, cases, list, record_statistics, values};

async fn plan(lake: &Lake, sql: &str) -> String {
    let plan = lake.session.sql(sql).await.expect(sql).create_physical_plan().await.expect(sql);
    displayable(plan.as_ref()).indent(false).to_string()
}

#[tokio::test]
async fn rows_of_a_partition_by_offset_are_not_sorted_again() {
    let lake = Lake::in_memory().await;
    lake.create("events", 2, "{}").await;
    for base in [0, 10, 20, 30] {
        lake.settle("events", 0, base..=base + 9).await;
    }
    lake.settle("events", 1, 0..=9).await;
    let sql = "SELECT _offset FROM events WHERE _partition_id = 0 ORDER BY _offset";
    let sorted = plan(&lake, sql).await;
    assert!(!sorted.contains("SortExec"), "{sorted}");
    let offsets: Vec<i64> = lake.json(sql).await.iter().map(|row| row["_offset"].as_i64().expect("a number")).collect();
    assert_eq!(offsets, (0..40).collect::<Vec<_>>());
    let both = plan(&lake, "SELECT _offset FROM events ORDER BY _offset").await;
    assert!(both.contains("SortExec"), "two partitions have no order of their own: {both}");
    let first = lake.json(&format!("{sql} LIMIT 3")).await;
    assert_eq!(first.iter().map(|row| row["_offset"].as_i64().expect("a number")).collect::<Vec<_>>(), [0, 1, 2]);
    let last = lake.json(&format!("{sql} DESC LIMIT 2")).await;
    assert_eq!(last.iter().map(|row| row["_offset"].as_i64().expect("a number")).collect::<Vec<_>>(), [39, 38]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(24)))]
    /// Objects are written by offset: a merged one with another order of columns would be sorted so by the compactor.
    #[test]
    fn an_order_changes_no_answer(
        objects in proptest::collection::vec(proptest::collection::vec(values(), 1..5), 1..5),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let lake = Lake::in_memory().await;
            list(&lake, &objects).await;
            let queries = ["_offset", "_offset DESC", "i, _offset", "_timestamp, _offset"]
                .map(|order| format!("SELECT _offset, i FROM {TOPIC} ORDER BY {order}"));
            let mut before = Vec::new();
            for sql in &queries {
                before.push(lake.json(sql).await);
            }
            record_statistics(&lake, &objects, |_| {}).await;
            for (sql, expected) in queries.iter().zip(before) {
                assert_eq!(lake.json(sql).await, expected, "{sql}");
            }
        });
    }
}

#[tokio::test]
async fn rows_of_several_objects_are_ordered_by_any_expression() {
    let lake = Lake::in_memory().await;
    let columns = r#"{"format":"json","columns":[{"name":"i","type":"int64"},{"name":"s","type":"string"}]}"#;
    lake.create("t", 2, columns).await;
    for partition in 0..2 {
        lake.settle("t", partition, 0..=9).await;
        lake.settle("t", partition, 10..=19).await;
    }
    for order in ["abs(i - 4)", "abs(i - 4.0)", "abs(CAST(i - 4 AS double))", "sqrt(abs(i - 4))"] {
        let sql = format!("SELECT i FROM t ORDER BY {order}, i DESC LIMIT 3");
        assert_eq!(json!(lake.column(&sql).await), json!([4, 4, 5]), "{order}");
    }
    for (order, expected) in [
        ("ln(i + 1)", 0),
        ("log(2, i + 1)", 0),
        ("cosh(i + 0.5)", 0),
        ("abs(length(s)), i", 0),
        ("sqrt(_offset + 1)", 0),
        ("acos(i / 20.0)", 19),
        ("atanh(i / -20.0)", 19),
        ("-acosh(i + 1)", 19),
        ("abs(extract(epoch FROM _timestamp)) DESC", 19),
        ("s LIKE 's1%' AND s LIKE '%9' DESC", 19),
        ("-(CASE WHEN i = 7 THEN 1.5 ELSE 0 END)", 7),
        ("date_trunc('minute', _timestamp) + INTERVAL '1 day', i", 0),
        ("length(s) > 2 DESC, i", 10),
    ] {
        let sql = format!("SELECT i FROM t ORDER BY {order} LIMIT 1");
        assert_eq!(lake.column(&sql).await, [expected], "{order}");
    }
    let ranked = "SELECT rank() OVER (ORDER BY abs(i - 4)) AS r FROM t ORDER BY r LIMIT 3";
    assert_eq!(lake.column(ranked).await, [1, 1, 3]);
    let collected = "SELECT array_agg(i ORDER BY abs(i - 4), i)[1:3] FROM t";
    assert_eq!(lake.column(collected).await, [json!([4, 4, 3])]);
    let longest =
        "SELECT max(CASE WHEN i = 3 THEN INTERVAL '1 month' ELSE INTERVAL '40 hours' END) > INTERVAL '29 days' FROM t";
    assert_eq!(lake.column(longest).await, [true]);
}
