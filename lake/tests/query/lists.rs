//! Columns of lists and objects are compared, counted and put together as any others.

use serde_json::{Value, json};

use crate::lake::Lake;

const COLUMNS: &str = r#"[{"name":"n","type":"int64"},{"name":"l","type":{"list":"int64"}},
    {"name":"st","type":{"struct":[{"name":"a","type":"int64"},{"name":"b","type":{"list":"string"}}]}}]"#;

async fn lists() -> Lake {
    let record = |n: i64, l: Value| json!({"n": n, "l": l, "st": {"a": n % 2, "b": ["x"]}});
    Lake::with_records(
        COLUMNS,
        json!([record(1, json!([1, 2])), record(2, json!([1, 3])), record(3, json!([1, 2])), {"n": 4}]),
    )
    .await
}

#[tokio::test]
async fn a_list_is_compared_with_a_list() {
    let lake = lists().await;
    for (condition, numbers) in [
        ("l = [1, 2]", json!([1, 3])),
        ("l <> [1, 2]", json!([2])),
        ("l IN ([1, 2], [7])", json!([1, 3])),
        ("l IS DISTINCT FROM [1, 2]", json!([2, 4])),
        ("l BETWEEN [1, 2] AND [1, 2, 3]", json!([1, 3])),
        ("l > make_array(1, 2)", json!([2])),
        ("l = (SELECT max(l) FROM t)", json!([2])),
        ("l IN (SELECT l FROM t WHERE n = 3)", json!([1, 3])),
        ("array_concat(l, l) = [1, 2, 1, 2]", json!([1, 3])),
        ("array_append(l, 4) = [1, 3, 4]", json!([2])),
        ("cardinality(_headers) > 0", json!([])),
    ] {
        let sql = format!("SELECT n FROM t WHERE {condition} ORDER BY n");
        assert_eq!(json!(lake.column(&sql).await), numbers, "{condition}");
    }
}

#[tokio::test]
async fn lists_and_objects_are_counted_grouped_and_joined() {
    let lake = lists().await;
    let counts = "SELECT count(DISTINCT l) AS l, count(DISTINCT st) AS st, count(DISTINCT st.b) AS b FROM t";
    assert_eq!(lake.json(counts).await, [json!({"l": 2, "st": 2, "b": 1})]);
    let grouped = "SELECT count(*) FROM t GROUP BY l ORDER BY l NULLS LAST";
    assert_eq!(lake.column(grouped).await, [2, 1, 1]);
    assert_eq!(lake.value("SELECT count(*) FROM t JOIN t AS u ON t.l = u.l").await, 5);
    let united = "SELECT l FROM t UNION ALL SELECT [9, 9] UNION ALL SELECT array_concat(l, l) FROM t";
    assert_eq!(lake.value(&format!("SELECT count(*) FROM ({united})")).await, 9);
    assert_eq!(lake.value(&format!("SELECT max(l) FROM ({united}) x(l)")).await, json!([9, 9]));
    let rows = lake.rows("SELECT array_concat(l, l) AS l, st, [n] AS n, _headers FROM t").await;
    for batch in rows {
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            assert_eq!(field.data_type(), column.data_type());
            assert!(!field.data_type().to_string().contains("field_id"), "{field:?}");
        }
    }
}
