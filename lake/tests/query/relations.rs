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
            "SELECT j, k FROM (VALUES (1, 5)) y(j, k) RIGHT JOIN (VALUES (1, 6)) x(j, k) USING (j, k)".to_owned(),
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

/// The numbers and null of a few sets.
const SETS: [(&str, &[Option<i64>]); 4] =
    [("(1), (NULL)", &[Some(1), None]), ("(1), (3)", &[Some(1), Some(3)]), ("(NULL)", &[None]), ("(7)", &[Some(7)])];

/// The value of `x IN (set)`.
fn is_in(x: Option<i64>, set: &[Option<i64>]) -> Option<bool> {
    match x {
        _ if set.is_empty() => Some(false),
        Some(x) if set.contains(&Some(x)) => Some(true),
        Some(_) if !set.contains(&None) => Some(false),
        _ => None,
    }
}

#[tokio::test]
async fn membership_in_a_subquery_has_three_values() {
    let lake = Lake::in_memory().await;
    let empty = ("(0)", [].as_slice());
    for (values, set) in SETS.into_iter().chain([empty]) {
        let references = format!("(SELECT v FROM (VALUES {values}) s(v) WHERE v IS DISTINCT FROM 0 AND t.y = t.y)");
        for subquery in [references.replace(" AND t.y = t.y", ""), references] {
            for (condition, holds) in [
                ("x IN @ OR y > 9", (|value| value == Some(true)) as fn(Option<bool>) -> bool),
                ("x NOT IN @", |value| value == Some(false)),
                ("x NOT IN @ OR y > 9", |value| value == Some(false)),
                ("NOT (x IN @ OR y > 9)", |value| value == Some(false)),
                ("(x IN @) IS NULL", |value| value.is_none()),
                ("(x NOT IN @) IS NOT NULL", |value| value.is_some()),
                ("CASE WHEN x NOT IN @ THEN true ELSE y > 9 END", |value| value == Some(false)),
                ("coalesce(x IN @, true)", |value| value != Some(false)),
            ] {
                let table = "(VALUES (1, 1), (2, 1), (NULL, 1)) t(x, y)";
                let sql = format!("SELECT x FROM {table} WHERE {} ORDER BY x", condition.replace('@', &subquery));
                let expected: Vec<Value> =
                    [Some(1), Some(2), None].into_iter().filter(|x| holds(is_in(*x, set))).map(|x| json!(x)).collect();
                assert_eq!(lake.column(&sql).await, expected, "{sql}");
            }
        }
    }
}

#[tokio::test]
async fn not_in_with_a_reference_looks_at_its_rows_alone() {
    let lake = Lake::in_memory().await;
    let sql = "SELECT x FROM (VALUES (1, 1), (2, 1), (3, 2), (NULL, 3), (4, NULL)) t(x, g) WHERE x NOT IN \
               (SELECT v FROM (VALUES (1, 1), (NULL, 2)) s(v, h) WHERE s.h = t.g) ORDER BY x";
    assert_eq!(lake.column(sql).await, [json!(2), json!(4), Value::Null]);
    for (condition, expected) in [
        ("x IN (SELECT count(*) FROM s WHERE s.h = t.g)", json!([0, 1])),
        ("x NOT IN (SELECT count(*) + 1 FROM s WHERE s.h = t.g)", json!([0, 1])),
        ("x NOT IN (SELECT max(v) FROM s WHERE s.h = t.g)", json!([])),
        ("x NOT IN (SELECT max(v) FROM s WHERE s.h = t.g) OR g > 5", json!([0])),
        ("x <> (SELECT max(v) + 1 FROM s WHERE s.h = t.g)", json!([1])),
        ("x > (SELECT count(*) - 1 FROM s WHERE s.h = t.g)", json!([0, 1])),
        ("x > (SELECT -count(*) FROM s WHERE s.h = t.g)", json!([1])),
        ("NOT EXISTS (SELECT 1 FROM s WHERE s.h = t.g)", json!([0])),
        ("EXISTS (SELECT max(v) FROM s WHERE s.h = t.g)", json!([0, 1])),
        ("x IN (SELECT max(v) FROM s WHERE s.h = t.g HAVING count(*) > 0)", json!([1])),
    ] {
        let sql = format!(
            "WITH t(x, g) AS (VALUES (0, 7), (1, 1)), s(v, h) AS (VALUES (1, 1)) SELECT x FROM t WHERE {condition} ORDER BY x"
        );
        assert_eq!(json!(lake.column(&sql).await), expected, "{sql}");
    }
}

#[tokio::test]
async fn a_comparison_with_all_rows_or_any_has_three_values() {
    let lake = Lake::in_memory().await;
    for (condition, expected) in [
        ("x > ALL (SELECT v FROM s WHERE v < 3)", json!([3])),
        ("x > ALL (SELECT v FROM s)", json!([])),
        ("(x > ALL (SELECT v FROM s)) IS NULL", json!([3, null])),
        ("x > ALL (SELECT v FROM s WHERE v > 5)", json!([1, 3, null])),
        ("x >= ANY (SELECT v FROM s)", json!([1, 3])),
        ("x <> ALL (SELECT v FROM s WHERE v IS NOT NULL)", json!([3])),
        ("x = ANY (SELECT v FROM s) OR y > 9", json!([1])),
        ("x < ALL (SELECT v FROM s WHERE v = t.y)", json!([1])),
    ] {
        let sql = format!(
            "WITH t(x, y) AS (VALUES (1, 2), (3, 2), (NULL, 2)), s(v) AS (VALUES (1), (2), (NULL)) \
             SELECT x FROM t WHERE {condition} ORDER BY x"
        );
        assert_eq!(json!(lake.column(&sql).await), expected, "{sql}");
    }
}

#[tokio::test]
async fn set_operations_with_all_count_equal_rows() {
    let lake = Lake::in_memory().await;
    let of = |values: &str| format!("SELECT v, 1 AS one FROM (VALUES {values}) s(v)");
    for (left, operation, right, expected) in [
        ("('a'), ('a'), ('b')", "INTERSECT ALL", "('a'), ('b'), ('b')", json!(["a", "b"])),
        ("('a'), ('a'), ('b')", "EXCEPT ALL", "('a')", json!(["a", "b"])),
        ("('a'), ('a'), (NULL), (NULL)", "INTERSECT ALL", "(NULL), ('a'), ('a'), ('a')", json!(["a", "a", null])),
        ("('a'), (NULL), (NULL), (NULL)", "EXCEPT ALL", "(NULL), ('a'), ('a')", json!([null, null])),
        ("('a'), ('a'), ('b')", "INTERSECT", "('a'), ('b'), ('b')", json!(["a", "b"])),
        ("('a'), ('a'), ('b')", "EXCEPT", "('b')", json!(["a"])),
    ] {
        let sql = format!("SELECT v FROM ({} {operation} {}) t ORDER BY v", of(left), of(right));
        assert_eq!(json!(lake.column(&sql).await), expected, "{sql}");
    }
    let thrice =
        "SELECT count(*) FROM (SELECT v FROM (VALUES (1), (1), (1)) a(v) EXCEPT ALL SELECT 1 EXCEPT ALL SELECT 1) t";
    assert_eq!(lake.value(thrice).await, 1);
}

#[tokio::test]
async fn similar_to_has_the_patterns_of_the_standard() {
    let lake = Lake::in_memory().await;
    for (condition, expected) in [
        ("'abc' SIMILAR TO 'a|b'", json!(false)),
        ("'abc' SIMILAR TO 'a%'", json!(true)),
        ("'abc' SIMILAR TO '_b_'", json!(true)),
        ("'abc' NOT SIMILAR TO '(a|b)+c'", json!(false)),
        ("'a.c' SIMILAR TO 'a.c' AND NOT 'abc' SIMILAR TO 'a.c'", json!(true)),
        ("'a%c' SIMILAR TO 'a!%c' ESCAPE '!' AND NOT 'abc' SIMILAR TO 'a!%c' ESCAPE '!'", json!(true)),
        ("'abab' SIMILAR TO '(ab){2}' AND NOT 'ababab' SIMILAR TO '(ab){2}'", json!(true)),
        ("'x' SIMILAR TO '[^a-w]' AND 'Ä' SIMILAR TO '[[:upper:]]'", json!(true)),
        ("E'a\\nb' SIMILAR TO 'a_b' AND '' SIMILAR TO '%'", json!(true)),
        ("'abc' SIMILAR TO NULL", Value::Null),
    ] {
        assert_eq!(lake.value(&format!("SELECT {condition} AS v")).await, expected, "{condition}");
        let columns = "SELECT CASE WHEN t LIKE 'a%' THEN t SIMILAR TO p END AS v FROM (VALUES ('abc', 'a%')) v(t, p)";
        assert_eq!(lake.value(columns).await, true);
    }
    assert!(lake.error("SELECT 'a' SIMILAR TO '*a'").await.contains("follows nothing"));
}

#[tokio::test]
async fn the_columns_of_a_recursive_query_have_their_names_within_it() {
    let lake = Lake::in_memory().await;
    for sql in [
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT n FROM r ORDER BY n",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT N + 1 FROM R WHERE r.n < 3) SELECT N FROM r ORDER BY n",
        "WITH RECURSIVE r(n, m) AS (VALUES (1, 2) UNION ALL SELECT n + 1, m FROM r WHERE n <= m) SELECT n FROM r ORDER BY n",
        "WITH RECURSIVE r AS (SELECT 1 AS n, 2 AS m UNION ALL SELECT n + 1, m FROM r WHERE n <= m) SELECT n FROM r ORDER BY n",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION SELECT n % 3 + 1 FROM r) SELECT n FROM r ORDER BY n",
    ] {
        assert_eq!(lake.column(sql).await, [1, 2, 3], "{sql}");
    }
}

#[tokio::test]
async fn a_clause_that_is_not_carried_out_is_refused_by_its_name() {
    let lake = Lake::in_memory().await;
    let rows = "(VALUES (1, 'a'), (2, 'b')) v(x, s)";
    for (sql, message) in [
        (format!("SELECT x, count(*) FROM {rows} GROUP BY x WITH ROLLUP"), "write GROUP BY ROLLUP (…)"),
        (format!("SELECT x, count(*) FROM {rows} GROUP BY x WITH TOTALS"), "TOTALS is not carried out"),
        ("SELECT count(*) FROM siltstone.topics TABLESAMPLE BERNOULLI (10)".to_owned(), "TABLESAMPLE"),
        ("SELECT count(*) FROM siltstone.topics TABLESAMPLE SYSTEM (1 PERCENT)".to_owned(), "TABLESAMPLE"),
        ("SELECT count(*) FROM siltstone.topics PARTITION (p0)".to_owned(), "filter by _partition_id"),
        ("SELECT * FROM siltstone.topics WITH ORDINALITY".to_owned(), "row_number() OVER ()"),
        (format!("SELECT * ILIKE 's%' FROM {rows}"), "* ILIKE is not carried out"),
        (format!("SELECT lower(s) OVER () FROM {rows}"), "lower is no aggregate, and takes no OVER"),
        (format!("SELECT lower(s) FILTER (WHERE false) FROM {rows}"), "lower is no aggregate, and takes no FILTER"),
        (format!("SELECT lower(DISTINCT s) FROM {rows}"), "lower is no aggregate, and takes no DISTINCT"),
        (format!("SELECT lower(s ORDER BY x) FROM {rows}"), "lower is no aggregate, and takes no ORDER BY"),
        (format!("SELECT x FROM {rows} ORDER BY x FETCH FIRST 1 ROW WITH TIES"), "WITH TIES is not carried out"),
        (format!("SELECT x FROM {rows} LIMIT 1 FETCH FIRST 1 ROW ONLY"), "not both"),
    ] {
        let error = lake.error(&sql).await;
        assert!(error.contains(message), "{sql}: {error}");
    }
    for (sql, expected) in [
        (format!("SELECT x FROM {rows} ORDER BY x DESC FETCH FIRST 1 ROW ONLY"), json!([2])),
        (format!("SELECT x FROM {rows} ORDER BY x OFFSET 1 ROW FETCH NEXT 5 ROWS ONLY"), json!([2])),
        (format!("SELECT x FROM {rows} ORDER BY x DESC FETCH FIRST ROW ONLY"), json!([2])),
        (format!("SELECT count(DISTINCT x) FILTER (WHERE x > 1) FROM {rows}"), json!([1])),
    ] {
        assert_eq!(json!(lake.column(&sql).await), expected, "{sql}");
    }
}
