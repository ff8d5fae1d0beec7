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
