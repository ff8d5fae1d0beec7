//! Joins that merge columns, subqueries with nulls, and operations of sets: what standard SQL says of each row.

use serde_json::{Value, json};

use crate::lake::Lake;

/// The rows with their values in the order of their columns' names.
async fn rows(lake: &Lake, sql: &str) -> Vec<Vec<Value>> {
    let values = |row: Value| row.as_object().expect("an object").values().cloned().collect();
    lake.json(sql).await.into_iter().map(values).collect()
}

const JOINED: &str = "FROM (VALUES (1, 'l'), (2, 'm'), (NULL, 'n')) y(k, a)";
const OTHERS: &str = "(VALUES (2, 'r'), (3, 's'), (NULL, 't')) x(k, b)";

#[tokio::test]
async fn a_merged_column_has_the_value_of_the_side_that_there_is() {
    let lake = Lake::in_memory().await;
    let left = json!([{"k": 1, "a": "l", "b": null}, {"k": 2, "a": "m", "b": "r"}, {"k": null, "a": "n", "b": null}]);
    let right = json!([{"k": 2, "a": "m", "b": "r"}, {"k": 3, "a": null, "b": "s"}, {"k": null, "a": null, "b": "t"}]);
    let full = json!([
        {"k": 1, "a": "l", "b": null}, {"k": 2, "a": "m", "b": "r"}, {"k": 3, "a": null, "b": "s"},
        {"k": null, "a": "n", "b": null}, {"k": null, "a": null, "b": "t"},
    ]);
    for (kind, expected) in [("LEFT", left), ("RIGHT", right), ("FULL", full)] {
        for columns in ["*", "k, a, b", "k, y.a, x.b", "coalesce(k, k) AS k, a, b"] {
            let order = "ORDER BY k NULLS LAST, a NULLS LAST";
            for join in [format!("{kind} JOIN {OTHERS} USING (k)"), format!("NATURAL {kind} JOIN {OTHERS}")] {
                let sql = format!("SELECT {columns} {JOINED} {join} {order}");
                assert_eq!(Value::from(lake.json(&sql).await), expected, "{sql}");
            }
        }
    }
}

#[tokio::test]
async fn a_merged_column_stands_beside_those_that_it_was_made_of() {
    let lake = Lake::in_memory().await;
    let full = format!("{JOINED} FULL JOIN {OTHERS} USING (k)");
    for (sql, expected) in [
        (format!("SELECT k, y.k AS yk, x.k AS xk {full} WHERE y.k IS NULL AND b < 't'"), json!([[3, 3, null]])),
        (format!("SELECT k {full} WHERE k > 1 ORDER BY k"), json!([[2], [3]])),
        (format!("SELECT k, count(*) AS n {full} GROUP BY k ORDER BY k"), json!([[1, 1], [2, 1], [3, 1], [null, 2]])),
        (format!("SELECT max(k) AS a, count(k) AS b, count(y.k) AS c, count(x.k) AS d {full}"), json!([[3, 3, 2, 2]])),
        (format!("SELECT K {full} ORDER BY K DESC NULLS LAST LIMIT 1"), json!([[3]])),
        (format!("SELECT y.* {full} WHERE b = 's'"), json!([[null, null]])),
        (format!("SELECT * EXCEPT (a) {full} WHERE b = 's'"), json!([["s", 3]])),
        (
            format!("SELECT t.k FROM ((VALUES (1)) y(k) FULL JOIN {OTHERS} USING (k)) AS t ORDER BY 1"),
            json!([[1], [2], [3], [null]]),
        ),
        (
            format!(
                "SELECT k, c {full} FULL JOIN (VALUES (3, 'u'), (4, 'v')) z(k, c) USING (k) WHERE c > '' ORDER BY k"
            ),
            json!([["u", 3], ["v", 4]]),
        ),
        (
            "SELECT k FROM (VALUES (1)) a(k) JOIN (VALUES (1)) b(k) USING (k) JOIN (VALUES (1)) c(k) USING (k)"
                .to_owned(),
            json!([[1]]),
        ),
        (
            format!(
                "SELECT k, a {JOINED} WHERE k IN (SELECT k FROM (VALUES (9)) a(k) RIGHT JOIN (VALUES (2)) b(k) USING (k))"
            ),
            json!([["m", 2]]),
        ),
        (
            format!("SELECT j, k FROM (VALUES (1, 5)) y(j, k) RIGHT JOIN (VALUES (1, 6)) x(j, k) USING (j, k)"),
            json!([[1, 6]]),
        ),
        (
            "SELECT v FROM (VALUES (1, 1), (2, 2)) t(v, k) WHERE v NOT IN (SELECT max(k) FROM (VALUES (1)) a(k) \
             JOIN (VALUES (1)) b(k) USING (k) WHERE k > 0 GROUP BY k HAVING k < 9)"
                .to_owned(),
            json!([[2]]),
        ),
        (
            "SELECT u.k, v.k FROM ((VALUES (1)) a(k) FULL JOIN (VALUES (2)) b(k) USING (k)) u \
             JOIN ((VALUES (2)) c(k) FULL JOIN (VALUES (3)) d(k) USING (k)) v ON u.k = v.k"
                .to_owned(),
            json!([[2, 2]]),
        ),
    ] {
        assert_eq!(json!(rows(&lake, &sql).await), expected, "{sql}");
    }
}
