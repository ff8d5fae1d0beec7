//! Window frames by RANGE, as PostgreSQL and DuckDB choose their rows.

use serde_json::json;

use crate::lake::Lake;

#[tokio::test]
async fn nulls_are_apart_in_frames_by_range() {
    let lake = Lake::in_memory().await;
    let few = "(VALUES (NULL),(1),(2),(3),(10)) v(x)";
    let two = "(VALUES (NULL),(NULL),(1),(2),(3),(10)) v(x)";
    for (window, rows, expected) in [
        // In the order of x, nulls last.
        ("ORDER BY x DESC RANGE BETWEEN 5 PRECEDING AND 2 PRECEDING", few, json!([1, 0, 0, 0, 1])),
        ("ORDER BY x NULLS FIRST RANGE BETWEEN 5 PRECEDING AND 2 PRECEDING", few, json!([0, 0, 1, 0, 1])),
        ("ORDER BY x RANGE BETWEEN 5 PRECEDING AND 2 PRECEDING", two, json!([0, 0, 1, 0, 2, 2])),
        ("ORDER BY x RANGE BETWEEN 1 FOLLOWING AND 2 FOLLOWING", two, json!([2, 1, 0, 0, 2, 2])),
        ("ORDER BY x RANGE BETWEEN 1 PRECEDING AND CURRENT ROW", two, json!([1, 2, 2, 1, 2, 2])),
        ("ORDER BY x RANGE BETWEEN UNBOUNDED PRECEDING AND 2 PRECEDING", two, json!([0, 0, 1, 3, 6, 6])),
        ("ORDER BY x NULLS FIRST RANGE BETWEEN UNBOUNDED PRECEDING AND 2 PRECEDING", two, json!([2, 2, 3, 5, 2, 2])),
        ("ORDER BY x RANGE BETWEEN 2 FOLLOWING AND UNBOUNDED FOLLOWING", two, json!([4, 3, 3, 2, 2, 2])),
        ("ORDER BY x DESC RANGE BETWEEN 2 FOLLOWING AND UNBOUNDED FOLLOWING", two, json!([0, 0, 1, 3, 6, 6])),
        ("ORDER BY x RANGE BETWEEN UNBOUNDED PRECEDING AND 2 FOLLOWING", two, json!([3, 3, 3, 4, 6, 6])),
        ("ORDER BY x RANGE BETWEEN 2 PRECEDING AND UNBOUNDED FOLLOWING", two, json!([6, 6, 6, 3, 2, 2])),
        (
            "ORDER BY x RANGE BETWEEN 1 PRECEDING AND 1 FOLLOWING",
            "(VALUES (NULL),(1),(9223372036854775807)) v(x)",
            json!([1, 1, 1]),
        ),
    ] {
        let sql =
            format!("SELECT n FROM (SELECT x, count(*) OVER ({window}) AS n FROM {rows}) t ORDER BY x NULLS LAST");
        assert_eq!(json!(lake.column(&sql).await), expected, "{window}: {rows}");
    }
    let several = format!(
        "SELECT count(*) OVER w AS a, rank() OVER w AS b, sum(x) OVER (ORDER BY x) AS c, first_value(x) OVER w AS d, x \
         FROM {few} WINDOW w AS (ORDER BY x NULLS FIRST RANGE BETWEEN 2 PRECEDING AND 1 PRECEDING) ORDER BY x NULLS LAST"
    );
    assert_eq!(
        lake.json(&several).await,
        [
            json!({"a": 0, "b": 2, "c": 1, "d": null, "x": 1}),
            json!({"a": 1, "b": 3, "c": 3, "d": 1, "x": 2}),
            json!({"a": 2, "b": 4, "c": 6, "d": 1, "x": 3}),
            json!({"a": 0, "b": 5, "c": 16, "d": null, "x": 10}),
            json!({"a": 1, "b": 1, "c": 16, "d": null, "x": null}),
        ]
    );
}

#[tokio::test]
async fn an_offset_has_the_unit_and_the_digits_of_its_order() {
    let lake = Lake::in_memory().await;
    let days = "(VALUES (DATE '2020-01-01'),(DATE '2020-01-31'),(DATE '2020-02-01'),(DATE '2020-03-02')) v(x)";
    let of = |offset: &str, rows: &str| {
        format!(
            "SELECT count(*) OVER (ORDER BY x RANGE BETWEEN {offset} PRECEDING AND CURRENT ROW) AS n FROM {rows} ORDER BY x"
        )
    };
    assert_eq!(lake.column(&of("INTERVAL '1 day'", days)).await, [1, 1, 2, 1]);
    assert_eq!(lake.column(&of("INTERVAL '1 month'", days)).await, [1, 2, 3, 1]);
    let prices = "(VALUES (-0.01::decimal(12,2)),(0::decimal(12,2)),(1.00::decimal(12,2))) v(x)";
    assert_eq!(lake.column(&of("1.00", prices)).await, [1, 2, 2]);
    assert_eq!(lake.column(&of("1.010", prices)).await, [1, 2, 3]);
    for (offset, rows, part) in [
        ("1", days, "has no unit"),
        ("1", "(VALUES (TIMESTAMP '2020-01-01')) v(x)", "has no unit"),
        ("1.005", prices, "more digits behind the point"),
        ("INTERVAL '1 day'", "(VALUES (INTERVAL '1 day')) v(x)", "order by extract(epoch"),
    ] {
        let error = lake.error(&of(offset, rows)).await;
        assert!(error.contains(part), "{offset}: {error}");
    }
}

#[tokio::test]
async fn a_window_has_the_parts_of_the_one_that_it_refines() {
    let lake = Lake::in_memory().await;
    let rows = "FROM (VALUES (1),(2),(3),(4)) v(x)";
    for (over, windows, expected) in [
        ("(w ORDER BY x)", "w AS (PARTITION BY x % 2)", json!([1, 2, 4, 6])),
        ("(w)", "w AS (PARTITION BY x % 2)", json!([4, 6, 4, 6])),
        ("(w ROWS 1 PRECEDING)", "w AS (ORDER BY x DESC)", json!([3, 5, 7, 4])),
        ("v", "w AS (PARTITION BY x % 2), v AS (w ORDER BY x)", json!([1, 2, 4, 6])),
        ("(V ROWS UNBOUNDED PRECEDING)", "W AS (PARTITION BY x % 2), v AS (w ORDER BY x)", json!([1, 2, 4, 6])),
        ("(u ORDER BY x)", "w AS (PARTITION BY x % 2), u AS w", json!([1, 2, 4, 6])),
        ("(\"W\" ORDER BY x)", "w AS (ORDER BY x), \"W\" AS (PARTITION BY x % 2)", json!([1, 2, 4, 6])),
        ("w", "w AS (PARTITION BY x % 2 ORDER BY x ROWS CURRENT ROW)", json!([1, 2, 3, 4])),
    ] {
        let sql = format!("SELECT s FROM (SELECT x, sum(x) OVER {over} AS s {rows} WINDOW {windows}) t ORDER BY x");
        assert_eq!(json!(lake.column(&sql).await), expected, "{over}: {windows}");
    }
    let ordered =
        format!("SELECT x {rows} WINDOW w AS (PARTITION BY x % 2) ORDER BY sum(x) OVER (w ORDER BY x) DESC, x");
    assert_eq!(json!(lake.column(&ordered).await), json!([4, 3, 2, 1]));
    for (over, windows, message) in [
        ("(nosuch ORDER BY x)", "w AS (ORDER BY x)", "no window nosuch before it in this SELECT; windows are w"),
        ("w", "w AS (v ORDER BY x), v AS (ORDER BY x)", "no window v before it in this SELECT; windows are none here"),
        ("(w PARTITION BY x)", "w AS (ORDER BY x)", "no PARTITION BY of its own"),
        ("(w ORDER BY x)", "w AS (ORDER BY x)", "no ORDER BY of its own"),
        ("(w)", "w AS (ORDER BY x ROWS CURRENT ROW)", "cannot have its frame"),
    ] {
        let error = lake.error(&format!("SELECT sum(x) OVER {over} {rows} WINDOW {windows}")).await;
        assert!(error.contains(message), "{over}: {windows}: {error}");
    }
    let outer =
        "SELECT (SELECT sum(y) OVER (w) FROM (VALUES (1)) u(y)) FROM (VALUES (1)) v(x) WINDOW w AS (ORDER BY x)";
    let error = lake.error(outer).await;
    assert!(error.contains("no window w"), "windows are those of one SELECT: {error}");
}

#[tokio::test]
async fn a_default_of_lag_is_a_value_of_the_column_or_refused() {
    let lake = Lake::in_memory().await;
    let rows = "FROM (VALUES (1),(2)) v(x)";
    for (default, expected) in
        [("7", json!([7, 1])), ("2.0", json!([2, 1])), ("-3", json!([-3, 1])), ("NULL", json!([null, 1]))]
    {
        let sql = format!("SELECT l FROM (SELECT x, lag(x, 1, {default}) OVER (ORDER BY x) AS l {rows}) t ORDER BY x");
        assert_eq!(json!(lake.column(&sql).await), expected, "{default}");
    }
    for default in ["2.5", "-2.5"] {
        let error = lake.error(&format!("SELECT lead(x, 1, {default}) OVER (ORDER BY x) {rows}")).await;
        assert!(error.contains("cast the column to a type that has both"), "{default}: {error}");
    }
}
