//! Times in all years: cut, and beside dates.

use serde_json::{Value, json};

use crate::lake::Lake;

#[tokio::test]
async fn times_of_all_years_are_cut() {
    let lake = Lake::in_memory().await;
    for (cut, expected) in [
        ("date_bin(INTERVAL '1 month', TIMESTAMP '1969-12-31 23:59:59.5')", "1969-12-01T00:00:00"),
        ("date_bin(INTERVAL '3 months', TIMESTAMP '1969-12-31 23:59:59.999999')", "1969-10-01T00:00:00"),
        ("date_bin(INTERVAL '7 months', TIMESTAMP '1492-10-12 01:02:03')", "1492-04-01T00:00:00"),
        ("date_bin(INTERVAL '1 month', TIMESTAMP '1492-10-12 01:02:03')", "1492-10-01T00:00:00"),
        ("date_bin(INTERVAL '1 year', TIMESTAMP '9999-12-31 23:59:59.999999')", "9999-01-01T00:00:00"),
        (
            "date_bin(INTERVAL '1 month', TIMESTAMP '2020-03-05', TIMESTAMP '1600-01-10 00:00:00.5')",
            "2020-02-10T00:00:00.500",
        ),
        (
            "date_bin(INTERVAL '1 day', TIMESTAMP '2200-01-01 05:00:00', TIMESTAMP '1700-01-01 06:00:00')",
            "2199-12-31T06:00:00",
        ),
        ("date_bin(INTERVAL '200000 days', TIMESTAMP '0001-01-02', TIMESTAMP '0001-01-01')", "0001-01-01T00:00:00"),
        ("date_bin(INTERVAL '15 minutes', TIMESTAMP '1969-12-31 23:59:59.5')", "1969-12-31T23:45:00"),
        ("date_trunc('year', TIMESTAMP '1500-02-28')", "1500-01-01T00:00:00"),
        ("date_trunc('month', TIMESTAMP '2700-02-28')", "2700-02-01T00:00:00"),
        ("date_trunc('week', TIMESTAMP '1492-10-12')", "1492-10-10T00:00:00"),
        ("date_trunc('quarter', DATE '3100-02-28')", "3100-01-01T00:00:00"),
        ("date_trunc('month', TIMESTAMP '0001-01-31')", "0001-01-01T00:00:00"),
    ] {
        assert_eq!(lake.value(&format!("SELECT {cut} AS v")).await, expected, "{cut}");
        let argument = cut.split_once("TIMESTAMP ").map_or_else(|| cut.split_once("DATE "), Some).expect("a time").1;
        let text = argument.split_once('\'').expect("a text").1.split_once('\'').expect("its end").0;
        let of_rows =
            cut.replacen(&format!("'{text}'"), "", 1).replacen("TIMESTAMP ", "t", 1).replacen("DATE ", "t", 1);
        let sql = format!("SELECT {of_rows} FROM (VALUES (TIMESTAMP '{text}'), (NULL)) v(t)");
        assert_eq!(lake.column(&sql).await, [json!(expected), Value::Null], "{sql}");
    }
    for (stride, part) in [("-1 day", "above zero"), ("0 days", "above zero"), ("1 month 1 day", "not of both")] {
        let error = lake.error(&format!("SELECT date_bin(INTERVAL '{stride}', TIMESTAMP '2000-01-01')")).await;
        assert!(error.contains(part), "{stride}: {error}");
    }
    for year in (1..=9999).step_by(50) {
        for part in ["year", "month", "week"] {
            let sql =
                format!("SELECT date_trunc('{part}', make_date({year}, 12, 31)) <= make_date({year}, 12, 31) AS v");
            assert_eq!(lake.value(&sql).await, true, "{sql}");
        }
    }
}

#[tokio::test]
async fn dates_beside_times_are_of_all_years() {
    let lake = Lake::in_memory().await;
    let rows = "(VALUES (1, DATE '1582-10-10', TIMESTAMP '9999-12-31 23:59:59'), (2, NULL, TIMESTAMP '2000-01-01'), \
                (3, DATE '0001-01-01', NULL)) v(k, d, t)";
    for (sql, expected) in [
        (
            format!("SELECT CASE WHEN d IS NULL THEN t ELSE d END FROM {rows} ORDER BY k"),
            json!(["1582-10-10T00:00:00", "2000-01-01T00:00:00", "0001-01-01T00:00:00"]),
        ),
        (
            format!("SELECT [d, t][1] FROM {rows} ORDER BY k"),
            json!(["1582-10-10T00:00:00", null, "0001-01-01T00:00:00"]),
        ),
        (
            "SELECT x FROM (VALUES (DATE '1000-01-01'), (TIMESTAMP '2000-01-01'), (NULL)) v(x)".to_owned(),
            json!(["1000-01-01T00:00:00", "2000-01-01T00:00:00", null]),
        ),
        (
            format!("SELECT d FROM {rows} UNION SELECT t FROM {rows} ORDER BY 1 NULLS LAST"),
            json!(["0001-01-01T00:00:00", "1582-10-10T00:00:00", "2000-01-01T00:00:00", "9999-12-31T23:59:59", null]),
        ),
        (format!("SELECT count(*) FROM (SELECT t FROM {rows} UNION ALL SELECT d FROM {rows}) u"), json!([6])),
        (
            format!("SELECT k FROM (SELECT d FROM {rows} INTERSECT SELECT t FROM {rows}) u, {rows} ORDER BY 1"),
            json!([1, 2, 3]),
        ),
        (format!("SELECT a.k FROM {rows} JOIN (VALUES (9, TIMESTAMP '1582-10-10')) a(k, d) USING (d)"), json!([9])),
        (format!("SELECT k FROM {rows} WHERE d IN (SELECT TIMESTAMP '1582-10-10')"), json!([1])),
        (
            format!("SELECT k FROM {rows} WHERE TIMESTAMP '1582-10-10' IN (SELECT d FROM {rows}) ORDER BY k"),
            json!([1, 2, 3]),
        ),
        (
            format!("SELECT k FROM {rows} WHERE t >= ALL (SELECT d FROM {rows} WHERE d IS NOT NULL) ORDER BY k"),
            json!([1, 2]),
        ),
        (
            format!("SELECT CASE d WHEN TIMESTAMP '0001-01-01' THEN 1 ELSE 0 END FROM {rows} ORDER BY k"),
            json!([0, 0, 1]),
        ),
    ] {
        assert_eq!(json!(lake.column(&sql).await), expected, "{sql}");
    }
    let zoned = "SELECT CASE WHEN true THEN TIMESTAMPTZ '2020-01-01T00:00:00Z' ELSE DATE '2020-01-01' END AS v";
    assert_eq!(lake.value(zoned).await, "2020-01-01T00:00:00Z");
}

#[tokio::test]
async fn a_time_of_day_stays_one() {
    let lake = Lake::in_memory().await;
    for (sum, expected) in [
        ("TIME '23:00:00' + INTERVAL '2 hours'", "01:00:00"),
        ("TIME '01:00:00' - INTERVAL '2 hours'", "23:00:00"),
        ("INTERVAL '30 minutes' + TIME '10:00:00'", "10:30:00"),
        ("TIME '10:00:00' + INTERVAL '3 days 1 hour'", "11:00:00"),
    ] {
        assert_eq!(lake.value(&format!("SELECT {sum} AS v")).await, expected, "{sum}");
    }
    let rows = "SELECT t + INTERVAL '2 hours' FROM (VALUES (TIME '23:00:00'), (NULL)) v(t)";
    assert_eq!(json!(lake.column(rows).await), json!(["01:00:00", null]));
    assert_eq!(lake.value("SELECT TIME '23:30:00' + INTERVAL '1 hour' < TIME '01:00:00' AS v").await, true);
}
