//! The order in which rows lie is used, and never changes an answer.

use datafusion::physical_plan::displayable;
use proptest::prelude::*;

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
