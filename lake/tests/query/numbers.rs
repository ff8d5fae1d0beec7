//! Numbers and times whose results are easily near, but wrong: frames that move, casts in conditions, zones.

use serde_json::{Value, json};

use crate::lake::Lake;

#[tokio::test]
async fn a_moving_frame_forgets_what_has_left_it() {
    let lake = Lake::in_memory().await;
    let over = |call: &str, rows: &str| {
        format!(
            "SELECT {call} OVER (ORDER BY k ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS n FROM (VALUES {rows}) AS t(k, f)
             ORDER BY k"
        )
    };
    let large = "(1, 0.1::double), (2, 1e17), (3, 0.1), (4, 0.1), (5, NULL), (6, NULL), (7, 0.1)";
    let null = Value::Null;
    for (call, expected) in [
        ("sum(f)", vec![json!(0.1), json!(1e17), json!(1e17), json!(0.2), json!(0.1), null.clone(), json!(0.1)]),
        ("avg(f)", vec![json!(0.1), json!(5e16), json!(5e16), json!(0.1), json!(0.1), null.clone(), json!(0.1)]),
        ("count(f)", [1, 2, 2, 2, 1, 0, 1].map(|count| json!(count)).to_vec()),
    ] {
        assert_eq!(lake.column(&over(call, large)).await, expected, "{call}");
    }
    for call in ["stddev_pop(f)", "var_pop(f)", "stddev_samp(f)", "var_samp(f)", "regr_syy(f, f)"] {
        for first in ["1e9", "CAST('inf' AS double)"] {
            let rows = format!("(1, {first}::double), (2, 0.1), (3, 0.1), (4, 0.1)");
            let seen = lake.column(&over(call, &rows)).await;
            assert_eq!(seen[2..], [json!(0.0), json!(0.0)], "{call} after {first}");
        }
    }
    let infinite = over("sum(f)", "(1, CAST('inf' AS double)), (2, 0.1), (3, 0.1), (4, 0.1)");
    assert_eq!(lake.column(&infinite).await[2..], [json!(0.2), json!(0.2)]);
}

#[tokio::test]
async fn a_moving_frame_of_any_kind_is_what_its_rows_give() {
    let lake = Lake::in_memory().await;
    let rows = "SELECT i AS k, CASE WHEN i % 7 = 0 THEN NULL ELSE CAST(i * i % 31 AS double) END AS f
                FROM (SELECT unnest(generate_series(1, 60)) AS i)";
    for (frame, begin, end) in [
        ("3 PRECEDING AND 2 FOLLOWING", "u.k >= t.k - 3", "u.k <= t.k + 2"),
        ("CURRENT ROW AND UNBOUNDED FOLLOWING", "u.k >= t.k", "true"),
        ("5 PRECEDING AND 2 PRECEDING", "u.k >= t.k - 5", "u.k <= t.k - 2"),
    ] {
        for (call, of_rows) in [
            ("sum(f)", "sum(u.f)"),
            ("avg(f)", "avg(u.f)"),
            ("var_samp(f)", "var_samp(u.f)"),
            ("stddev_pop(f)", "stddev_pop(u.f)"),
            ("regr_slope(f, k)", "regr_slope(u.f, u.k)"),
        ] {
            let differing = format!(
                "WITH r AS ({rows}), a AS (SELECT k, {call} OVER (ORDER BY k ROWS BETWEEN {frame}) AS x FROM r),
                 b AS (SELECT t.k, {of_rows} AS x FROM r AS t LEFT JOIN r AS u ON {begin} AND {end} GROUP BY t.k)
                 SELECT count(*) FROM a JOIN b ON a.k = b.k
                 WHERE NOT ((a.x IS NULL AND b.x IS NULL) OR coalesce(abs(a.x - b.x) < 0.000001, false))"
            );
            assert_eq!(lake.value(&differing).await, 0, "{call} {frame}");
        }
    }
}

async fn casts() -> Lake {
    let columns = r#"[{"name":"i","type":"int64"},{"name":"d","type":{"decimal":{"precision":10,"scale":2}}},
        {"name":"w","type":{"decimal":{"precision":38,"scale":0}}},{"name":"ts","type":"timestamp"}]"#;
    let records = json!([
        {"i": 1, "d": "1.50", "w": "9007199254740993", "ts": "2020-02-29T12:34:56.789Z"},
        {"i": 5_000_000_000_i64, "d": "99.99", "w": "9007199254740992", "ts": "2020-02-29T12:34:56Z"},
        {"i": 7, "d": "-0.50", "w": "1", "ts": "2020-02-29T12:34:57Z"},
    ]);
    Lake::with_records(columns, records).await
}

#[tokio::test]
async fn a_cast_in_a_condition_is_the_cast_that_is_shown() {
    let lake = casts().await;
    for (cast, conditions) in [
        ("CAST(d AS decimal(10,0))", &["= 100", "= 2", "IN (100, 2, 3, 4, 5)", "<> 100", "> 99", "< 2"][..]),
        ("CAST(d AS decimal(10,1))", &["= 1.5", "= 100.0", "> 99.9"]),
        ("CAST(d AS bigint)", &["= 1", "= 99", "= 2", "= 100", "IN (1, 2)", "NOT IN (1, 2)", ">= 100"]),
        ("CAST(d AS double)", &["= 99.99", "= 1.5", "> 99.98"]),
        ("TRY_CAST(i AS int)", &["NOT IN (1, 2)", "<> 1", "= 1", "IS NULL", "> 2"]),
        ("CAST(w AS double)", &["= 9007199254740992", "> 9007199254740992", "= 9007199254740993"]),
        (
            "CAST(ts AS timestamp(0))",
            &["= '2020-02-29 12:34:56'", "> '2020-02-29 12:34:56'", "<> '2020-02-29 12:34:56'"],
        ),
        ("CAST(ts AS date)", &["= '2020-02-29'", "= '2020-03-01'"]),
    ] {
        for condition in conditions {
            let shown = format!("SELECT count(*) FROM (SELECT {cast} AS x FROM t LIMIT 10) WHERE x {condition}");
            let filtered = format!("SELECT count(*) FROM t WHERE {cast} {condition}");
            let derived = format!("SELECT count(*) FROM (SELECT {cast} AS x FROM t) WHERE x {condition}");
            let counted = format!("SELECT count(*) FILTER (WHERE {cast} {condition}) FROM t");
            let expected = lake.value(&shown).await;
            for sql in [&filtered, &derived, &counted] {
                assert_eq!(lake.value(sql).await, expected, "{sql}");
            }
        }
    }
    for (condition, count) in [
        ("CAST(d AS decimal(10,0)) = 100", 1),
        ("CAST(d AS bigint) = 1", 1),
        ("TRY_CAST(i AS int) NOT IN (1, 2)", 1),
        ("CAST(w AS double) = 9007199254740992", 2),
        ("CAST(ts AS timestamp(0)) = '2020-02-29 12:34:56'", 2),
        ("CAST(i AS decimal(20,0)) = 7", 1),
    ] {
        assert_eq!(lake.value(&format!("SELECT count(*) FROM t WHERE {condition}")).await, count, "{condition}");
    }
}

#[tokio::test]
async fn a_time_with_a_zone_has_one() {
    let lake = Lake::in_memory().await;
    let now = "SELECT abs(date_part('epoch', now() AT TIME ZONE 'Asia/Tokyo') - date_part('epoch', now())) < 1";
    assert_eq!(lake.value(now).await, true);
    let hour = "SELECT date_part('hour', TIMESTAMPTZ '2021-01-01 00:00:00Z' AT TIME ZONE 'Asia/Tokyo')";
    assert_eq!(lake.value(hour).await, 9);
    let day = "SELECT CAST(TIMESTAMPTZ '2021-03-27 23:30:00Z' AT TIME ZONE 'Europe/Berlin' AS date)";
    assert_eq!(lake.value(day).await, "2021-03-28");
    assert_eq!(lake.value("SELECT TIMESTAMPTZ '2021-03-27 23:30:00Z' < now()").await, true);
}

#[tokio::test]
async fn dates_are_so_many_days_apart() {
    let lake = Lake::in_memory().await;
    assert_eq!(lake.value("SELECT DATE '2020-01-03' - DATE '2020-01-01'").await, 2);
    let rows = "(VALUES (DATE '2020-01-03', DATE '2019-12-31')) AS t(a, b)";
    assert_eq!(lake.value(&format!("SELECT a - b FROM {rows} WHERE a - b > 2")).await, 3);
}

#[tokio::test]
async fn an_average_of_decimals_is_rounded() {
    let lake = Lake::in_memory().await;
    let rows =
        "(SELECT k, CAST(y AS decimal(5,2)) AS x FROM (VALUES (1, '0.10'), (1, '0.20'), (1, '0.20'), (2, '-0.10'),
                (2, '-0.20'), (2, '-0.20')) AS v(k, y)) AS t";
    for (sql, average) in [
        ("SELECT avg(x) FROM {} WHERE k = 1", "0.166667"),
        ("SELECT min(a) FROM (SELECT k, avg(x) AS a FROM {} GROUP BY k)", "-0.166667"),
        ("SELECT avg(DISTINCT x) FROM {} WHERE k = 1", "0.150000"),
        (
            "SELECT max(a) FROM (SELECT avg(x) OVER (ORDER BY k ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS a FROM {} WHERE k = 1)",
            "0.166667",
        ),
    ] {
        assert_eq!(lake.text(&sql.replace("{}", rows)).await, average, "{sql}");
    }
    assert_eq!(lake.value(&format!("SELECT avg(x) FROM {rows} WHERE k = 3")).await, Value::Null);
}

async fn wide() -> Lake {
    let columns = r#"[{"name":"i","type":"int64"},{"name":"x","type":{"decimal":{"precision":20,"scale":2}}},
        {"name":"w","type":{"decimal":{"precision":38,"scale":0}}},{"name":"f","type":"float64"}]"#;
    let records = json!([
        {"i": 9_007_199_254_740_992_i64, "x": "12345678901234567.89", "w": "123456789012345678901", "f": 0.1},
        {"i": 9_007_199_254_740_993_i64, "x": "12345678901234567.90", "w": "123456789012345678902", "f": 0.2},
        {"i": i64::MIN, "x": "1.10", "w": "9".repeat(38), "f": 1.5},
        {"i": 1_000_000_000_000_000_001_i64, "x": "0.10", "w": "1", "f": null},
    ]);
    Lake::with_records(columns, records).await
}

#[tokio::test]
async fn a_literal_has_the_digits_that_were_typed() {
    let lake = wide().await;
    for (condition, count) in [
        ("x = 12345678901234567.89", 1),
        ("x <> 12345678901234567.89", 3),
        ("x IN (12345678901234567.89, 1.1)", 2),
        ("x BETWEEN 12345678901234567.895 AND 12345678901234567.90", 1),
        ("CASE x WHEN 12345678901234567.89 THEN true END", 1),
        ("w = 123456789012345678901", 1),
        ("w > 123456789012345678901", 2),
        ("w > 0.5", 4),
        ("w < 1.5", 1),
        ("i = 9007199254740993.0", 1),
        ("i = 9007199254740993", 1),
        ("i > 9007199254740992.5", 2),
        ("i >= 9007199254740992.5 AND i < 1e18", 1),
        ("i > -9223372036854775809", 4),
        ("i < 18446744073709551616", 4),
        ("i = 1e18", 0),
        ("i > 1e18", 1),
        ("i < 1e300", 4),
        ("i IN (9007199254740993.0, 7)", 1),
        ("x + 0.1 = 1.2", 1),
        ("0.1 + x = 1.2", 1),
        ("x * 1.1 = 1.21", 1),
        ("x - 0.1 = 0", 1),
        ("f = 0.1", 1),
        ("f + 0.1 = 0.2", 1),
        ("f * 3.14159265358979323846 > 4.7", 1),
        ("x = f", 0),
        ("x - 1 = f", 0),
        ("0.1 IN (SELECT x FROM t)", 4),
    ] {
        let sql = format!("SELECT count(*) FROM t WHERE {condition}");
        assert_eq!(lake.value(&sql).await, count, "{condition}");
    }
    for (sql, text) in [
        ("SELECT 12345678901234567890123456789012345678::decimal(38,0)", "12345678901234567890123456789012345678"),
        ("SELECT -12345678901234567.89", "-12345678901234567.89"),
        ("SELECT sum(x * 1.1) FROM t WHERE x < 2", "1.320"),
        ("SELECT sum(x + 0.05) FROM t WHERE x < 2", "1.30"),
        ("SELECT coalesce(NULLIF(x, 1.1), 0.5) FROM t WHERE x = 1.1", "0.50"),
    ] {
        assert_eq!(lake.text(sql).await, text, "{sql}");
    }
}

#[tokio::test]
async fn a_literal_beside_integers_floats_and_in_quotients_is_a_double() {
    let lake = wide().await;
    for (sql, value) in [
        ("SELECT 0.1 + 0.2", json!(0.1 + 0.2)),
        ("SELECT 1 / 3.0", json!(1.0 / 3.0)),
        ("SELECT w * 1.0 / 3 FROM t WHERE w = 1", json!(1.0 / 3.0)),
        ("SELECT x / 3.0 FROM t WHERE x = 0.1", json!(0.1 / 3.0)),
        ("SELECT 7 * 0.5", json!(3.5)),
        ("SELECT power(1.5, 2)", json!(2.25)),
        ("SELECT round(2.567, 2)", json!(2.57)),
        ("SELECT sum(f) * 1.0 / count(*) FROM t WHERE f < 0.3", json!((0.1 + 0.2) / 2.0)),
        ("SELECT sum(i) * 1.0 / count(*) FROM t WHERE i > 1e18", json!(1e18)),
        ("SELECT avg(x) > 1.05 FROM t WHERE x = 1.1", json!(true)),
        ("SELECT avg(x) * 2.5 = 2.75 FROM t WHERE x = 1.1", json!(true)),
        ("SELECT 1e3 * 2", json!(2000.0)),
    ] {
        assert_eq!(lake.value(sql).await, value, "{sql}");
    }
}

async fn sentinels() -> Lake {
    let columns = r#"[{"name":"id","type":"int64"},{"name":"until","type":"timestamp"},{"name":"day","type":"date"}]"#;
    let records = json!([
        {"id": 1, "until": "9999-12-31T23:59:59Z", "day": "9999-12-31"},
        {"id": 2, "until": "2026-03-29T01:30:00Z", "day": "2026-03-29"},
        {"id": 3, "until": "0001-01-01T00:00:01Z", "day": "0001-01-01"},
        {"id": 4, "until": null, "day": null},
    ]);
    Lake::with_records(columns, records).await
}

#[tokio::test]
async fn all_years_that_are_stored_can_be_compared() {
    let lake = sentinels().await;
    for (condition, ids) in [
        ("until = '9999-12-31T23:59:59Z'", &[1][..]),
        ("until > '1582-01-01'", &[1, 2]),
        ("until < '1582-01-01'", &[3]),
        ("until > now() + INTERVAL '100 years'", &[1]),
        ("day > now() + INTERVAL '100 years'", &[1]),
        ("day >= TIMESTAMP '2026-01-01 00:00:00'", &[1, 2]),
        ("day = TIMESTAMP '9999-12-31 00:00:00'", &[1]),
        ("until >= DATE '9999-12-31'", &[1]),
        ("until = day", &[]),
        ("until > day", &[1, 2, 3]),
        ("until BETWEEN '0001-01-01' AND '2026-12-31'", &[2, 3]),
        ("until IN ('9999-12-31T23:59:59Z', TIMESTAMP '2026-03-29 01:30:00')", &[1, 2]),
        ("CAST(until AS date) = day", &[1, 2, 3]),
        ("date_trunc('day', until) = day", &[1, 2, 3]),
        ("coalesce(until, now()) >= now()", &[1, 4]),
    ] {
        let sql = format!("SELECT id FROM t WHERE {condition} ORDER BY id");
        assert_eq!(lake.column(&sql).await, ids.iter().map(|id| json!(id)).collect::<Vec<_>>(), "{condition}");
    }
}

#[tokio::test]
async fn all_years_that_are_stored_can_be_computed_with() {
    let lake = sentinels().await;
    for (expr, values) in [
        ("CAST(until AS timestamp)", ["9999-12-31T23:59:59", "2026-03-29T01:30:00", "0001-01-01T00:00:01"]),
        ("CAST(day AS timestamp)", ["9999-12-31T00:00:00", "2026-03-29T00:00:00", "0001-01-01T00:00:00"]),
        (
            "until AT TIME ZONE 'Asia/Tokyo'",
            ["+10000-01-01T08:59:59+09:00", "2026-03-29T10:30:00+09:00", "0001-01-01T09:19:00+09:19"],
        ),
        ("date_trunc('year', until)", ["9999-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z"]),
        ("date_trunc('week', until)", ["9999-12-27T00:00:00Z", "2026-03-23T00:00:00Z", "0001-01-01T00:00:00Z"]),
        ("date_trunc('month', day)", ["9999-12-01T00:00:00", "2026-03-01T00:00:00", "0001-01-01T00:00:00"]),
        (
            "date_bin(INTERVAL '15 minutes', until)",
            ["9999-12-31T23:45:00Z", "2026-03-29T01:30:00Z", "0001-01-01T00:00:00Z"],
        ),
        (
            "date_bin(INTERVAL '3 months', until)",
            ["9999-10-01T00:00:00Z", "2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z"],
        ),
        ("to_char(until, '%Y-%m-%d %H:%M')", ["9999-12-31 23:59", "2026-03-29 01:30", "0001-01-01 00:00"]),
        ("to_char(day, '%d.%m.%Y')", ["31.12.9999", "29.03.2026", "01.01.0001"]),
        ("until - INTERVAL '1 day'", ["9999-12-30T23:59:59Z", "2026-03-28T01:30:00Z", "0000-12-31T00:00:01Z"]),
    ] {
        let sql = format!("SELECT {expr} AS n FROM t WHERE id < 4 ORDER BY id");
        assert_eq!(lake.column(&sql).await, values.map(|value| json!(value)), "{expr}");
    }
    assert_eq!(lake.value("SELECT arrow_typeof(now())").await, "Timestamp(µs, \"UTC\")");
    assert_eq!(lake.value("SELECT TIMESTAMP '9999-12-31 23:59:59'").await, "9999-12-31T23:59:59");
    let error = lake.error("SELECT CAST(until AS timestamp(9)) FROM t").await;
    assert!(!error.is_empty());
}

#[tokio::test]
async fn a_text_without_a_digit_is_no_decimal() {
    let lake = Lake::in_memory().await;
    let texts = "(VALUES (''), (' '), ('.'), ('-'), ('+'), ('1.5'), (NULL)) AS t(x)";
    let tried = format!("SELECT TRY_CAST(x AS decimal(5,2)) AS n FROM {texts}");
    let seen = lake.column(&tried).await;
    assert_eq!(seen.iter().map(Value::is_null).collect::<Vec<_>>(), [true, true, true, true, true, false, true]);
    for text in ["", " ", ".", "-", "+"] {
        let error = lake.error(&format!("SELECT CAST('{text}' AS decimal(5,2))")).await;
        assert!(error.contains("cannot cast the text"), "{text}: {error}");
        assert_eq!(lake.value(&format!("SELECT TRY_CAST('{text}' AS decimal(5,2))")).await, Value::Null, "{text}");
    }
    let error = lake.error(&format!("SELECT CAST(x AS decimal(5,2)) FROM {texts}")).await;
    assert!(error.contains("cannot cast the text"), "{error}");
    assert_eq!(lake.text("SELECT CAST('-.5' AS decimal(5,2))").await, "-0.50");
}

#[tokio::test]
async fn a_local_time_that_a_zone_has_not_once_is_named() {
    let lake = Lake::in_memory().await;
    for (time, words) in [("2021-10-31 02:30:00", "is there twice in"), ("2021-03-28 02:30:00", "does not exist in")] {
        for sql in [
            format!("SELECT CAST('{time}' AS timestamp) AT TIME ZONE 'Europe/Berlin'"),
            format!("SELECT x AT TIME ZONE 'Europe/Berlin' FROM (VALUES (TIMESTAMP '{time}')) AS t(x)"),
        ] {
            let error = lake.error(&sql).await;
            assert!(error.contains(words) && error.contains("Europe/Berlin"), "{sql}: {error}");
        }
    }
    let local = "SELECT CAST('2021-07-01 12:00:00' AS timestamp) AT TIME ZONE 'Europe/Berlin'";
    assert_eq!(lake.value(local).await, "2021-07-01T12:00:00+02:00");
}
