//! Subqueries that refer to the row around them, and choose among their own rows.

use serde_json::{Value, json};

use crate::lake::Lake;

const TABLES: &str = "WITH t(x, g) AS (VALUES (0, 7), (1, 1), (2, 2)), \
                      s(v, h) AS (VALUES (1, 1), (2, 1), (2, 1), (5, 2))";

async fn rows(lake: &Lake, condition: &str) -> Vec<Value> {
    lake.column(&format!("{TABLES} SELECT x FROM t WHERE {condition} ORDER BY x")).await
}

#[tokio::test]
async fn exists_with_offset_counts_rows() {
    let lake = Lake::in_memory().await;
    for (condition, expected) in [
        ("EXISTS (SELECT 1 FROM s WHERE s.h = t.g OFFSET 2)", json!([1])),
        ("EXISTS (SELECT 1 FROM s WHERE s.h = t.g OFFSET 0)", json!([1, 2])),
        ("EXISTS (SELECT 1 FROM s WHERE s.h = t.g OFFSET 3)", json!([])),
        ("EXISTS (SELECT 1 FROM s WHERE s.h = t.g ORDER BY v LIMIT 1 OFFSET 1)", json!([1])),
        ("EXISTS (SELECT 1 FROM s WHERE s.h = t.g LIMIT 1)", json!([1, 2])),
        ("EXISTS (SELECT 1 FROM s WHERE s.h = t.g LIMIT 0)", json!([])),
        ("NOT EXISTS (SELECT 1 FROM s WHERE s.h = t.g LIMIT 0)", json!([0, 1, 2])),
        ("NOT EXISTS (SELECT 1 FROM s WHERE s.h = t.g OFFSET 1)", json!([0, 2])),
        ("NOT EXISTS (SELECT 1 FROM s WHERE s.h = t.g OFFSET 1) OR g = 1", json!([0, 1, 2])),
        ("EXISTS (SELECT DISTINCT v FROM s WHERE s.h = t.g OFFSET 1)", json!([1])),
        ("EXISTS (SELECT DISTINCT v FROM s WHERE s.h = t.g OFFSET 2)", json!([])),
        ("EXISTS (SELECT v FROM s WHERE s.h = t.g GROUP BY v OFFSET 1)", json!([1])),
        ("EXISTS (SELECT v FROM s WHERE s.h = t.g GROUP BY v OFFSET 2)", json!([])),
        ("EXISTS (SELECT max(v) FROM s WHERE s.h = t.g OFFSET 1)", json!([])),
        ("EXISTS (SELECT 1 FROM s OFFSET 3)", json!([0, 1, 2])),
        ("EXISTS (SELECT 1 FROM (SELECT * FROM s ORDER BY v DESC LIMIT 1) q WHERE q.h = t.g)", json!([2])),
        (
            "EXISTS (SELECT 1 FROM (SELECT v, h, row_number() OVER (PARTITION BY h ORDER BY v) AS n FROM s) q \
          WHERE q.h = t.g AND n > 2)",
            json!([1]),
        ),
        (
            "EXISTS (SELECT 1 FROM (SELECT h, row_number() OVER (PARTITION BY h ORDER BY v) AS n FROM s WHERE s.h = t.g) q \
          WHERE n > 2)",
            json!([1]),
        ),
        ("x IN (SELECT v FROM s LEFT JOIN (VALUES (1)) u(w) ON v = w WHERE s.h = t.g AND w IS NULL)", json!([])),
    ] {
        assert_eq!(json!(rows(&lake, condition).await), expected, "{condition}");
    }
}

#[tokio::test]
async fn a_reference_below_what_chooses_rows_is_refused() {
    let lake = Lake::in_memory().await;
    for (condition, part) in [
        ("EXISTS (SELECT 1 FROM (SELECT v FROM s WHERE s.h = t.g LIMIT 1) q WHERE v > 1)", "below LIMIT"),
        (
            "EXISTS (SELECT 1 FROM (SELECT row_number() OVER (ORDER BY v) AS n FROM s WHERE s.h = t.g) q WHERE n > 1)",
            "window",
        ),
        ("x IN (SELECT row_number() OVER (ORDER BY v) FROM s WHERE s.h = t.g)", "window"),
        ("x = (SELECT v FROM s WHERE s.h = t.g ORDER BY v LIMIT 1)", "below LIMIT"),
        ("EXISTS (SELECT DISTINCT ON (w) w FROM (SELECT v AS w FROM s WHERE s.h = t.g) q)", "DISTINCT ON"),
        (
            "EXISTS (SELECT 1 FROM (VALUES (1)) a(w) LEFT JOIN (SELECT v FROM s WHERE s.h = t.g) q ON v = w WHERE v IS NULL)",
            "outer join",
        ),
    ] {
        let error = lake.error(&format!("{TABLES} SELECT x FROM t WHERE {condition}")).await;
        assert!(error.contains(part) && error.contains("row around"), "{condition}: {error}");
    }
}

#[tokio::test]
async fn a_reference_that_is_not_carried_out_is_named_by_the_error() {
    let lake = Lake::in_memory().await;
    for topic in ["a", "b"] {
        lake.create(topic, 1, r#"{"format":"json","columns":[{"name":"i","type":"int64"}]}"#).await;
    }
    for (sql, part) in [
        ("SELECT a.i, (SELECT count(*) FROM b WHERE b.i > a.i) FROM a", "by = alone"),
        ("SELECT x, EXISTS (SELECT 1 FROM s WHERE s.h = t.g) FROM t", "stand in WHERE"),
        ("SELECT x, x IN (SELECT v FROM s) FROM t", "stand in WHERE"),
        (
            "SELECT x, u FROM (SELECT x, [x, g] AS l FROM t) q CROSS JOIN unnest(q.l) AS w(u)",
            "unnest(l) among the columns",
        ),
        ("SELECT x FROM t WHERE x IN (SELECT v FROM s WHERE s.h = t.g UNION ALL SELECT 1)", "write others as a join"),
    ] {
        let error = lake.error(&format!("{TABLES} {sql}")).await;
        assert!(error.contains(part), "{sql}: {error}");
    }
}
