//! Casts that would give another value: texts as intervals, and times in a zone as local ones.

use lake::query::{Parameters, write_json_lines};
use serde_json::json;

use crate::lake::Lake;

#[tokio::test]
async fn a_number_without_a_unit_is_seconds() {
    let lake = Lake::in_memory().await;
    let start = "TIMESTAMP '2024-06-01 00:00:00'";
    for (interval, expected) in [
        ("'5'::interval", "2024-06-01T00:00:05"),
        ("INTERVAL '5'", "2024-06-01T00:00:05"),
        ("CAST('1.5' AS interval)", "2024-06-01T00:00:01.500"),
        ("'1 month 2'::interval", "2024-07-01T00:00:02"),
        ("INTERVAL '01:30:00'", "2024-06-01T01:30:00"),
        ("INTERVAL '1 day 01:30'", "2024-06-02T01:30:00"),
        ("'1 day -01:30:05'::interval", "2024-06-01T22:29:55"),
        ("INTERVAL '1 day ago'", "2024-05-31T00:00:00"),
        ("'07:08:09.25'::interval", "2024-06-01T07:08:09.250"),
    ] {
        let sql = format!("SELECT {start} + {interval} AS v");
        assert_eq!(lake.value(&sql).await, expected, "{interval}");
        let of_rows = format!("SELECT {start} + t AS v FROM (SELECT {interval} AS t) x");
        assert_eq!(lake.value(&of_rows).await, expected, "{interval}");
    }
    let texts = "(VALUES (1, '30'), (2, '1 day'), (3, NULL)) v(k, s)";
    let sql = format!("SELECT {start} - s::interval AS v FROM {texts} ORDER BY k");
    assert_eq!(json!(lake.column(&sql).await), json!(["2024-05-31T23:59:30", "2024-05-31T00:00:00", null]));
    assert_eq!(lake.value("SELECT TRY_CAST('x' AS interval) AS v").await, json!(null));
    let error = lake.error("SELECT '25:99'::interval").await;
    assert!(error.contains("is no interval; write one as '1 day 2 hours'"), "{error}");
}

#[tokio::test]
async fn a_parameter_is_an_interval_as_a_cast_is() {
    let lake = Lake::in_memory().await;
    let parameters = Parameters::from([("1".to_owned(), Some("90".to_owned()))]);
    let sql = "SELECT TIMESTAMP '2024-06-01 00:00:00' + $1::interval AS v";
    let frame = lake.session.sql_with_parameters(sql, &parameters).await.expect("planned");
    let mut lines = Vec::new();
    write_json_lines(&mut lines, &frame.collect().await.expect("rows")).expect("JSON");
    assert_eq!(String::from_utf8(lines).expect("UTF-8").trim(), r#"{"v":"2024-06-01T00:01:30"}"#);
}

#[tokio::test]
async fn a_time_in_a_zone_becomes_the_local_time_there() {
    let lake = Lake::in_memory().await;
    let there = "(TIMESTAMPTZ '2024-12-30 03:00:00Z' AT TIME ZONE 'America/New_York')";
    for (expression, expected) in [
        (format!("{there}::timestamp"), json!("2024-12-29T22:00:00")),
        (format!("TRY_CAST({there} AS timestamp)"), json!("2024-12-29T22:00:00")),
        (format!("{there}::date"), json!("2024-12-29")),
        (format!("date_trunc('day', {there}::timestamp)"), json!("2024-12-29T00:00:00")),
        (
            format!("({there}::timestamp AT TIME ZONE 'America/New_York') = TIMESTAMPTZ '2024-12-30 03:00:00Z'"),
            json!(true),
        ),
        ("TIMESTAMPTZ '2024-12-30 03:00:00Z'::timestamp".to_owned(), json!("2024-12-30T03:00:00")),
        (
            "(TIMESTAMPTZ '9999-12-31 23:00:00Z' AT TIME ZONE '+02:00')::timestamp".to_owned(),
            json!("10000-01-01T01:00:00"),
        ),
        ("(NULL::timestamptz AT TIME ZONE 'Asia/Tokyo')::timestamp".to_owned(), json!(null)),
    ] {
        let value = lake.value(&format!("SELECT {expression} AS v")).await;
        let value = value.as_str().map_or(value.clone(), |text| json!(text.trim_start_matches('+')));
        assert_eq!(value, expected, "{expression}");
    }
    let days = "SELECT date_trunc('day', (x AT TIME ZONE 'America/New_York')::timestamp) AS v FROM (VALUES \
                (TIMESTAMPTZ '2024-07-01 03:59:59Z'), (TIMESTAMPTZ '2024-07-01 04:00:00Z'), (NULL)) v(x) ORDER BY 1";
    assert_eq!(json!(lake.column(days).await), json!(["2024-06-30T00:00:00", "2024-07-01T00:00:00", null]));
    let found = "SELECT count(*) FROM (VALUES (TIMESTAMPTZ '2024-07-01 03:59:59Z'), (TIMESTAMPTZ '2024-07-01 04:00:00Z')) \
                 v(x) WHERE (x AT TIME ZONE 'America/New_York')::timestamp < TIMESTAMP '2024-07-01 00:00:00'";
    assert_eq!(lake.value(found).await, 1);
}

#[tokio::test]
async fn a_parameter_below_a_cast_keeps_its_digits() {
    let lake = Lake::in_memory().await;
    for (sql, value, expected) in [
        ("SELECT $1::decimal(38,2) AS v", "12345678901234567890.12", "12345678901234567890.12"),
        ("SELECT CAST($1 AS decimal(10,2)) AS v", "1.005", "1.01"),
        ("SELECT (TIMESTAMP '2024-06-01 00:00:00' + $1)::text AS v", "1 day", "2024-06-02T00:00:00"),
    ] {
        let parameters = Parameters::from([("1".to_owned(), Some(value.to_owned()))]);
        let frame = lake.session.sql_with_parameters(sql, &parameters).await.expect(sql);
        let mut lines = Vec::new();
        write_json_lines(&mut lines, &frame.collect().await.expect(sql)).expect("JSON");
        let line = String::from_utf8(lines).expect("UTF-8");
        assert!(line.contains(expected), "{sql}: {line}");
    }
}

#[tokio::test]
async fn a_pattern_of_a_time_has_a_part_of_it() {
    let lake = Lake::in_memory().await;
    let error = lake.error("SELECT to_char(TIMESTAMP '2024-06-01 01:02:03', 'YYYY-MM-DD')").await;
    assert!(error.contains("has no part of a time; patterns are those of strftime"), "{error}");
    let shown = lake.value("\u{feff}SELECT to_char(TIMESTAMP '2024-06-01 01:02:03', '%d.%m.%Y') AS v").await;
    assert_eq!(shown, "01.06.2024");
}

#[tokio::test]
async fn a_time_is_not_compared_with_a_number() {
    let lake = Lake::in_memory().await;
    for condition in [
        "d > 2024-02-29",
        "d = 5",
        "d IN (1, 2)",
        "d BETWEEN 1 AND 2",
        "CASE d WHEN 5 THEN true END",
        "coalesce(d, 5) = d",
        "t > 5",
    ] {
        let sql = format!(
            "SELECT d FROM (SELECT DATE '2024-01-01' AS d, TIMESTAMP '2024-01-01 00:00:00' AS t) x WHERE {condition}"
        );
        let error = lake.error(&sql).await;
        assert!(error.contains("is compared with a number; write it in quotes"), "{condition}: {error}");
    }
    let of = |value: &str| Parameters::from([("1".to_owned(), Some(value.to_owned()))]);
    let sql = "SELECT TIMESTAMP '2024-01-01 00:00:00' > $1 AS v";
    lake.session.sql_with_parameters(sql, &of("2023-01-01")).await.expect("a time");
    lake.session.sql_with_parameters(sql, &of("1700000000")).await.expect_err("a number");
    assert_eq!(lake.value("SELECT DATE '2024-01-10' - 7 AS v").await, "2024-01-03");
}

#[tokio::test]
async fn an_aggregate_of_a_column_and_that_of_its_cast_are_two() {
    let lake = Lake::in_memory().await;
    let rows = "FROM (VALUES (1.5, 'a'), (2.5, 'b'), (2.5, 'b')) v(x, s)";
    for (columns, expected) in [
        ("sum(x::int) AS a, sum(x) AS b", json!({"a": 5, "b": "6.5"})),
        ("count(DISTINCT x::int) AS a, count(DISTINCT x) AS b", json!({"a": 2, "b": 2})),
        ("max(x::text) AS a, max(x) AS b, max(CAST(x AS int)) AS c", json!({"a": "2.5", "b": "2.5", "c": 2})),
    ] {
        let found = lake.json(&format!("SELECT {columns} {rows}")).await;
        let shown = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        for (name, value) in expected.as_object().expect("an object") {
            assert_eq!(shown(&found[0][name]), shown(value), "{columns}: {name}");
        }
    }
    let groups = format!("SELECT x::text AS t, x::int AS i, count(*) AS n {rows} GROUP BY 1, 2 ORDER BY 1");
    assert_eq!(json!(lake.json(&groups).await), json!([{"t": "1.5", "i": 1, "n": 1}, {"t": "2.5", "i": 2, "n": 2}]));
    let having = format!("SELECT s {rows} GROUP BY s HAVING sum(x::int) > 3 AND sum(x) > 4");
    assert_eq!(json!(lake.column(&having).await), json!(["b"]));
    let windows = format!("SELECT lag(x::text) OVER (ORDER BY x) AS a, lag(x) OVER (ORDER BY x) AS b {rows} LIMIT 1");
    assert_eq!(lake.json(&windows).await.len(), 1);
}
