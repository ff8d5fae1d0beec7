//! Spans of time: intervals, and differences of times, as PostgreSQL and DuckDB compare them and take them apart.

use serde_json::{Value, json};

use crate::lake::Lake;

#[tokio::test]
async fn spans_are_compared_by_their_length() {
    let lake = Lake::in_memory().await;
    let four_days = "TIMESTAMP '2000-01-05' - TIMESTAMP '2000-01-01'";
    for (condition, expected) in [
        (format!("{four_days} > INTERVAL '1 day'"), json!(true)),
        (format!("{four_days} = INTERVAL '4 days'"), json!(true)),
        (format!("INTERVAL '1 month' > {four_days}"), json!(true)),
        (format!("{four_days} BETWEEN INTERVAL '3 days' AND INTERVAL '96 hours'"), json!(true)),
        (format!("{four_days} IN (INTERVAL '1 day', INTERVAL '96 hours')"), json!(true)),
        (format!("{four_days} IS DISTINCT FROM INTERVAL '4 days'"), json!(false)),
        (format!("CASE {four_days} WHEN INTERVAL '4 days' THEN 'four' ELSE 'other' END"), json!("four")),
        (format!("nullif({four_days}, INTERVAL '4 days') IS NULL"), json!(true)),
        (format!("greatest({four_days}, INTERVAL '1 day') = {four_days}"), json!(true)),
        (format!("least({four_days}, INTERVAL '1 day') = INTERVAL '24 hours'"), json!(true)),
        (format!("{four_days} IN (SELECT INTERVAL '4 days')"), json!(true)),
        ("INTERVAL '25 hours' > INTERVAL '1 day'".to_owned(), json!(true)),
        ("INTERVAL '1 year' = INTERVAL '360 days'".to_owned(), json!(true)),
        ("INTERVAL '-1 day' < INTERVAL '1 hour'".to_owned(), json!(true)),
        ("TIME '10:00' - TIME '09:00' < INTERVAL '1 day'".to_owned(), json!(true)),
        ("now() - TIMESTAMPTZ '2020-01-01T00:00:00Z' > INTERVAL '1 day'".to_owned(), json!(true)),
        (format!("{four_days} > NULL"), Value::Null),
        ("TIMESTAMP '9999-12-31' - TIMESTAMP '0001-01-01' > INTERVAL '9000 years'".to_owned(), json!(true)),
    ] {
        let in_where = format!("SELECT v FROM (SELECT 1) t(n) CROSS JOIN (SELECT {condition} AS v) u");
        let sql = if condition.contains("SELECT") {
            format!("SELECT count(*) > 0 AS v FROM (VALUES (1)) t(n) WHERE {condition}")
        } else {
            in_where
        };
        assert_eq!(lake.value(&sql).await, expected, "{condition}");
    }
}

#[tokio::test]
async fn rows_are_found_ordered_and_joined_by_the_length_of_spans() {
    let lake = Lake::in_memory().await;
    let spans = "(VALUES (1, INTERVAL '1 day'), (2, INTERVAL '25 hours'), (3, INTERVAL '1 month'), (4, INTERVAL '23 hours'), \
                 (5, NULL)) t(k, i)";
    for (sql, expected) in [
        (format!("SELECT k FROM {spans} ORDER BY i NULLS FIRST"), json!([5, 4, 1, 2, 3])),
        (format!("SELECT k FROM {spans} ORDER BY i DESC NULLS LAST LIMIT 2"), json!([3, 2])),
        (format!("SELECT k FROM {spans} WHERE i > INTERVAL '24 hours' ORDER BY k"), json!([2, 3])),
        (format!("SELECT k FROM {spans} JOIN (VALUES (INTERVAL '24 hours')) u(j) ON i = j"), json!([1])),
        (format!("SELECT k FROM {spans} JOIN (VALUES (INTERVAL '24 hours')) u(i) USING (i)"), json!([1])),
        (format!("SELECT row_number() OVER (ORDER BY i) AS n FROM {spans} ORDER BY k"), json!([2, 3, 4, 1, 5])),
        (format!("SELECT k FROM {spans} WHERE i = (SELECT max(i) FROM {spans})"), json!([3])),
        (format!("SELECT k FROM {spans} WHERE i = (SELECT min(i) FILTER (WHERE k > 1) FROM {spans})"), json!([4])),
        (format!("SELECT count(DISTINCT j) FROM (SELECT i AS j FROM {spans} UNION ALL SELECT INTERVAL '24 hours') u"), json!([4])),
        (
            "SELECT max(a - b) > INTERVAL '1 day' FROM (VALUES (TIMESTAMP '2000-01-03', TIMESTAMP '2000-01-01')) v(a, b)"
                .to_owned(),
            json!([true]),
        ),
        (
            "SELECT k FROM (VALUES (1, TIMESTAMP '2000-01-03'), (2, TIMESTAMP '2000-01-01 05:00:00')) v(k, ts) \
             WHERE ts - TIMESTAMP '2000-01-01' < INTERVAL '1 day'"
                .to_owned(),
            json!([2]),
        ),
    ] {
        assert_eq!(json!(lake.column(&sql).await), expected, "{sql}");
    }
    for refused in [
        format!("SELECT i FROM {spans} GROUP BY i"),
        format!("SELECT DISTINCT i FROM {spans}"),
        format!("SELECT max(i) OVER (ORDER BY k) FROM {spans}"),
        format!("SELECT i FROM {spans} UNION SELECT INTERVAL '1 day'"),
    ] {
        let error = lake.error(&refused).await;
        assert!(error.contains("takes no interval") && error.contains("extract(epoch"), "{refused}: {error}");
    }
    let error = lake.error("SELECT greatest(INTERVAL '1 month', INTERVAL '1 day')").await;
    assert!(error.contains("compare with CASE"), "{error}");
}

#[tokio::test]
async fn parts_of_spans_are_whole() {
    let lake = Lake::in_memory().await;
    for (part, span, expected) in [
        ("epoch", "TIMESTAMP '2000-01-01 01:00:01.75' - TIMESTAMP '2000-01-01'", json!(3601.75)),
        ("epoch", "TIMESTAMP '1900-03-01' - TIMESTAMP '2000-01-01'", json!(-3_150_576_000.0)),
        ("epoch", "TIMESTAMP '2000-01-01 00:00:17.472086' - TIMESTAMP '2000-01-01'", json!(17.472_086)),
        ("epoch", "INTERVAL '1 year 1 month 1 day 1.5 seconds'", json!(34_236_001.5)),
        ("epoch", "TIMESTAMP '9999-12-31' - TIMESTAMP '0001-01-01'", json!(315_537_811_200.0)),
        ("day", "TIMESTAMP '2000-03-01 05:06:07.25' - TIMESTAMP '2000-01-01'", json!(60)),
        ("hour", "TIMESTAMP '2000-03-01 05:06:07.25' - TIMESTAMP '2000-01-01'", json!(5)),
        ("minute", "TIMESTAMP '2000-03-01 05:06:07.25' - TIMESTAMP '2000-01-01'", json!(6)),
        ("second", "TIMESTAMP '2000-03-01 05:06:07.25' - TIMESTAMP '2000-01-01'", json!(7)),
        ("millisecond", "TIMESTAMP '2000-03-01 05:06:07.25' - TIMESTAMP '2000-01-01'", json!(7_250)),
        ("microseconds", "TIMESTAMP '2000-01-01' - TIMESTAMP '2000-03-01 05:06:07.25'", json!(-7_250_000)),
        ("millisecond", "INTERVAL '5.5 seconds'", json!(5_500)),
        ("microsecond", "INTERVAL '59.999999 seconds'", json!(59_999_999)),
        ("hour", "INTERVAL '2 days 36 hours'", json!(36)),
        ("month", "INTERVAL '14 months'", json!(2)),
    ] {
        for call in [format!("extract({part} FROM {span})"), format!("date_part('{part}', {span})")] {
            assert_eq!(lake.value(&format!("SELECT {call} AS v")).await, expected, "{call}");
        }
    }
    let of_rows = "SELECT extract(epoch FROM a - b) FROM (VALUES (TIMESTAMP '2000-01-01 01:00:01.75', TIMESTAMP '2000-01-01'), \
                   (NULL, TIMESTAMP '2000-01-01')) v(a, b)";
    assert_eq!(lake.column(of_rows).await, [json!(3601.75), Value::Null]);
    assert!(lake.error("SELECT extract(dow FROM INTERVAL '1 day')").await.contains("does not support"));
    assert_eq!(lake.value("SELECT extract(year FROM TIMESTAMP '2026-05-06') AS v").await, 2026);
}
