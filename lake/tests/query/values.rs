//! Values that are easily wrong: members of absent objects, zeros with a sign, numbers that do not fit.

use serde_json::{Value, json};

use crate::lake::Lake;

const CHANGES: &str = r#"[{"name":"n","type":"int64"},
    {"name":"before","type":{"struct":[{"name":"id","type":"int64","nullable":false},{"name":"note","type":"string"}]}},
    {"name":"o","type":{"struct":[{"name":"p","nullable":false,
        "type":{"struct":[{"name":"x","type":"int64","nullable":false}]}}]}},
    {"name":"l","type":{"list":{"struct":[{"name":"y","type":"int64","nullable":false}]}}}]"#;

async fn changes() -> Lake {
    let records = json!([
        {"n": 1, "before": null, "o": null, "l": [null, {"y": 1}]},
        {"n": 2, "before": {"id": 20}, "o": {"p": {"x": 2}}, "l": null},
        {"n": 3, "l": [{"y": 3}, null]},
        {"n": 4, "before": {"id": 40, "note": "a"}, "o": {"p": {"x": 4}}, "l": []},
    ]);
    Lake::with_records(CHANGES, records).await
}

#[tokio::test]
async fn a_required_member_of_an_absent_object_is_null() {
    let lake = changes().await;
    let ids = vec![Value::Null, json!(20), Value::Null, json!(40)];
    for id in ["before.id", "before['id']", "t.before.id", "get_field(before, 'id')"] {
        assert_eq!(lake.column(&format!("SELECT {id} FROM t ORDER BY n")).await, ids, "{id}");
    }
    assert_eq!(lake.value("SELECT count(*) FROM t WHERE before.id IS NULL").await, 2);
    assert_eq!(lake.value("SELECT count(*) FROM t WHERE before.id IS NOT NULL").await, 2);
    let sums = lake.json("SELECT sum(before.id) AS s, count(before.id) AS c, min(before.id) AS m FROM t").await;
    assert_eq!(sums, [json!({"s": 60, "c": 2, "m": 20})]);
    assert_eq!(lake.column("SELECT n FROM t WHERE before.id >= 2 ORDER BY n").await, [json!(2), json!(4)]);
    assert!(lake.column("SELECT n FROM t WHERE before.id < 2 ORDER BY n").await.is_empty());
    assert_eq!(lake.column("SELECT n FROM t ORDER BY before.id DESC NULLS FIRST, n LIMIT 3").await, [1, 3, 4]);
    assert_eq!(lake.value("SELECT count(DISTINCT coalesce(before.id, -1)) FROM t").await, 3);
    let joined = "SELECT count(*) FROM t JOIN t AS u ON t.before.id = u.before.id";
    assert_eq!(lake.value(joined).await, 2);
    let grouped = lake.json("SELECT before.id AS id, count(*) AS c FROM t GROUP BY before.id ORDER BY id").await;
    assert_eq!(grouped, [json!({"id": 20, "c": 1}), json!({"id": 40, "c": 1}), json!({"id": null, "c": 2})]);
}

#[tokio::test]
async fn absence_reaches_members_of_members_and_of_elements() {
    let lake = changes().await;
    let xs = vec![Value::Null, json!(2), Value::Null, json!(4)];
    assert_eq!(lake.column("SELECT o.p.x FROM t ORDER BY n").await, xs);
    assert_eq!(lake.value("SELECT count(*) FROM t WHERE o.p IS NULL").await, 2);
    assert_eq!(lake.value("SELECT count(*) FROM t WHERE o.p.x > 2").await, 1);
    for member in ["e.y", "e['y']", "x.e.y"] {
        let elements = format!("SELECT {member} AS n FROM (SELECT unnest(l) AS e FROM t) AS x ORDER BY 1");
        assert_eq!(lake.column(&elements).await, [json!(1), json!(3), Value::Null, Value::Null], "{member}");
    }
    assert_eq!(lake.column("SELECT l[1].y FROM t ORDER BY n").await, [Value::Null, Value::Null, json!(3), Value::Null]);
    let unnested = lake.json("SELECT n, unnest(before) FROM t ORDER BY n").await;
    let absent = json!({"n": 1, "t.before.id": null, "t.before.note": null});
    assert_eq!(unnested[0], absent, "{unnested:?}");
    assert_eq!(unnested[1], json!({"n": 2, "t.before.id": 20, "t.before.note": null}));
}

async fn floats() -> Lake {
    let columns = r#"[{"name":"id","type":"int64"},{"name":"f","type":"float64"},
        {"name":"s","type":{"struct":[{"name":"f","type":"float64"}]}},{"name":"l","type":{"list":"float64"}}]"#;
    let records = json!([
        {"id": 1, "f": -0.0, "s": {"f": -0.0}, "l": [-0.0]},
        {"id": 2, "f": 0.0, "s": {"f": 0.0}, "l": [0.0]},
        {"id": 3, "f": 1.5, "s": {"f": 1.5}, "l": [1.5]},
    ]);
    let lake = Lake::with_records(columns, records).await;
    // One object each, so that objects are pruned by what is recorded of them.
    lake.settle_records("t", 3, json!([{"id": 4, "f": -0.0, "s": {"f": -0.0}, "l": [-0.0]}])).await;
    lake.settle_records("t", 4, json!([{"id": 5, "f": 0.0, "s": {"f": 0.0}, "l": [0.0]}])).await;
    lake
}

#[tokio::test]
async fn zero_has_no_sign_wherever_it_is_compared() {
    let lake = floats().await;
    for (condition, count) in [
        ("f = 0.0", 4),
        ("f = 0", 4),
        ("f = -0.0", 4),
        ("0.0 = f", 4),
        ("f <> 0.0", 1),
        ("f < 0.0", 0),
        ("f <= -0.0", 4),
        ("f >= 0.0", 5),
        ("f > -0.0", 1),
        ("f BETWEEN 0.0 AND 1.0", 4),
        ("f BETWEEN -1.0 AND -0.0", 4),
        ("f IN (0.0, 7.0)", 4),
        ("f IN (-0.0, 7, 8, 9, 10)", 4),
        ("f NOT IN (0.0)", 1),
        ("f IS NOT DISTINCT FROM 0.0", 4),
        ("-f = 0.0", 4),
        ("f * -1.0 = 0", 4),
        ("CAST('-0.0' AS DOUBLE) = f", 4),
        ("CAST(CAST(f AS VARCHAR) AS DOUBLE) = 0.0", 4),
        ("round(f - 0.2) = 0.0", 4),
        ("s.f = 0.0", 4),
        ("s.f < 0", 0),
        ("l[1] = 0.0", 4),
        ("array_has(l, 0.0)", 4),
        ("s = named_struct('f', 0.0)", 4),
        ("CASE f WHEN 0.0 THEN true ELSE false END", 4),
    ] {
        let seen = lake.value(&format!("SELECT count(*) FROM t WHERE {condition}")).await;
        assert_eq!(seen, count, "{condition}");
    }
}

#[tokio::test]
async fn zero_has_no_sign_wherever_it_is_grouped_or_joined() {
    let lake = floats().await;
    for (sql, value) in [
        ("SELECT count(DISTINCT f) FROM t", 2),
        ("SELECT count(DISTINCT -f) FROM t", 2),
        ("SELECT count(*) FROM (SELECT DISTINCT f FROM t)", 2),
        ("SELECT count(*) FROM (SELECT s.f FROM t GROUP BY s.f)", 2),
        ("SELECT count(*) FROM (SELECT f FROM t GROUP BY f HAVING count(*) = 4)", 1),
        ("SELECT count(*) FROM t JOIN t AS u ON t.f = u.f", 17),
        ("SELECT count(*) FROM t WHERE f IN (SELECT -f FROM t)", 4),
        ("SELECT count(*) FROM (SELECT f FROM t UNION SELECT -0.0)", 2),
        ("SELECT max(c) FROM (SELECT count(*) OVER (PARTITION BY f) AS c FROM t)", 4),
        ("SELECT max(r) FROM (SELECT dense_rank() OVER (ORDER BY f) AS r FROM t)", 2),
    ] {
        assert_eq!(lake.value(sql).await, value, "{sql}");
    }
    let ids = lake.column("SELECT id AS n FROM t ORDER BY f, id").await;
    assert_eq!(ids, [1, 2, 4, 5, 3]);
    assert_eq!(lake.column("SELECT id AS n FROM t ORDER BY f DESC, id LIMIT 3").await, [3, 1, 2]);
}

#[tokio::test]
async fn not_a_number_is_one_value_above_all_others() {
    let lake = floats().await;
    let nans = "(SELECT f / f AS x FROM t WHERE f = 0 UNION ALL SELECT CAST('NaN' AS DOUBLE) UNION ALL SELECT 1.0)";
    for (sql, value) in [
        (format!("SELECT count(DISTINCT x) FROM {nans}"), 2),
        (format!("SELECT count(*) FROM {nans} WHERE x = CAST('NaN' AS DOUBLE)"), 5),
        (format!("SELECT count(*) FROM {nans} WHERE x > 1e300"), 5),
    ] {
        assert_eq!(lake.value(&sql).await, value, "{sql}");
    }
}

const BIG: &str = r#"[{"name":"id","type":"int64"},{"name":"k","type":"int32"},
    {"name":"d","type":{"decimal":{"precision":38,"scale":0}}},{"name":"m","type":{"decimal":{"precision":7,"scale":2}}}]"#;

async fn big() -> Lake {
    let nines = "9".repeat(38);
    let records = json!([
        {"id": 9_000_000_000_000_000_000_i64, "k": 2_000_000_000, "d": nines, "m": "0.05"},
        {"id": 9_000_000_000_000_000_000_i64, "k": 2_000_000_000, "d": nines, "m": "99999.99"},
        {"id": 1, "k": 7, "d": "1", "m": "-0.05"},
    ]);
    Lake::with_records(BIG, records).await
}

#[tokio::test]
async fn sums_are_exact() {
    let lake = big().await;
    for (sql, sum) in [
        ("SELECT sum(id) FROM t", "18000000000000000001"),
        ("SELECT sum(DISTINCT id) FROM t", "9000000000000000001"),
        ("SELECT sum(DISTINCT id) FROM (SELECT id, k FROM t) HAVING sum(DISTINCT k) > 0", "9000000000000000001"),
        ("SELECT sum(-id) FROM t", "-18000000000000000001"),
        ("SELECT sum(id) FILTER (WHERE k > 7) FROM t", "18000000000000000000"),
        ("SELECT sum(k) FROM t", "4000000007"),
        ("SELECT sum(arrow_cast(id, 'UInt64')) FROM t", "18000000000000000001"),
        ("SELECT max(s) FROM (SELECT k, sum(id) AS s FROM t GROUP BY k)", "18000000000000000000"),
        ("SELECT max(s) FROM (SELECT sum(id) OVER (ORDER BY _offset) AS s FROM t)", "18000000000000000001"),
        (
            "SELECT max(s) FROM (SELECT sum(id) OVER (ORDER BY _offset ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS s \
             FROM t)",
            "18000000000000000000",
        ),
        ("SELECT sum(id + 0) FROM t", "18000000000000000001"),
        ("SELECT sum(CASE WHEN k > 7 THEN 1 ELSE 0 END) FROM t", "2"),
    ] {
        assert_eq!(lake.text(sql).await, sum, "{sql}");
    }
    assert_eq!(lake.text("SELECT sum(m) FROM t").await, "99999.99");
    assert_eq!(lake.value("SELECT sum(id) FROM t WHERE k > 2000000000").await, Value::Null);
    assert_eq!(lake.text("SELECT avg(d) FROM t WHERE k > 7").await, format!("{}.0000", "9".repeat(38)));
    assert_eq!(lake.value("SELECT avg(id) FROM t WHERE k > 7").await, 9e18);
}

#[tokio::test]
async fn a_number_that_does_not_fit_is_an_error_that_shows_a_way() {
    let lake = big().await;
    for sql in [
        "SELECT id + id FROM t",
        "SELECT id + 9000000000000000000 FROM t",
        "SELECT count(*) FROM t WHERE id + id > 0",
        "SELECT count(*) FROM t GROUP BY id * 2",
        "SELECT _offset FROM t ORDER BY id * id",
        "SELECT id * 3 FROM t",
        "SELECT -id - 9000000000000000000 FROM t",
        "SELECT k * k FROM t",
        "SELECT k + k FROM t WHERE k > 7",
        "SELECT -(-9223372036854775807 - 1)",
        "SELECT 9223372036854775807 + 1",
        "SELECT arrow_cast(1, 'UInt64') - arrow_cast(2, 'UInt64')",
        "SELECT d + d FROM t",
        "SELECT d * d FROM t",
        "SELECT d - -d FROM t",
    ] {
        let error = lake.error(sql).await;
        assert!(error.contains("does not fit") && error.contains("CAST"), "{sql}: {error}");
    }
    let error = lake.error("SELECT sum(d) FROM t").await;
    assert!(error.contains("a sum has more than 38 digits"), "{error}");
    let error = lake.error("SELECT sum(d) FROM t GROUP BY k").await;
    assert!(error.contains("a sum has more than 38 digits"), "{error}");
    for sql in [
        "SELECT abs(-9223372036854775807 - 1)",
        "SELECT CAST(id AS INT) FROM t",
        "SELECT CAST(1e300 AS BIGINT)",
        "SELECT CAST(d AS BIGINT) FROM t",
        "SELECT CAST(12345678 AS DECIMAL(7, 2))",
        "SELECT (-9223372036854775807 - 1) / -1",
    ] {
        assert!(!lake.error(sql).await.is_empty(), "{sql}");
    }
}

#[tokio::test]
async fn arithmetic_that_fits_is_as_ever() {
    let lake = big().await;
    let row = lake.json("SELECT id + 1, k * 2.5, m + m, m * 2, -k, 7 / 2, 7 % 4, 1 + NULL FROM t WHERE k = 7").await;
    let names: Vec<&String> = row[0].as_object().expect("an object").keys().collect();
    assert!(names.iter().any(|name| name.contains("id + ")), "{names:?}");
    let mut values: Vec<String> = row[0].as_object().expect("an object").values().map(Value::to_string).collect();
    values.sort();
    assert_eq!(values, ["-0.1", "-0.1", "-7", "17.5", "2", "3", "3", "null"]);
    let sum = "SELECT CAST(id AS DECIMAL(38, 0)) + id FROM t WHERE _offset = 0";
    assert_eq!(lake.text(sum).await, "18000000000000000000");
    assert_eq!(lake.value("SELECT TIMESTAMP '2026-01-02T00:00:00' - INTERVAL '1 day'").await, "2026-01-01T00:00:00");
}

#[tokio::test]
async fn extremes_know_not_a_number_infinities_and_frames_of_nulls() {
    let lake = floats().await;
    let nan = "CAST('NaN' AS DOUBLE)";
    let infinity = "CAST('Infinity' AS DOUBLE)";
    for rows in [format!("(1, {nan}), (1, 4.5), (2, {infinity})"), format!("(2, {infinity}), (1, 4.5), (1, {nan})")] {
        let found = format!(
            "SELECT count(*) FROM (SELECT k, max(f) AS most, min(f) AS least FROM (VALUES {rows}) AS v(k, f) GROUP BY k)
             WHERE (k = 1 AND most = {nan} AND least = 4.5) OR (k = 2 AND most = {infinity} AND least = {infinity})"
        );
        assert_eq!(lake.value(&found).await, 2, "{rows}");
    }
    let frames = "SELECT count(m) FROM (SELECT max(b) OVER (ORDER BY i ROWS BETWEEN CURRENT ROW AND CURRENT ROW) AS m
                  FROM (VALUES (1, true), (2, NULL), (3, false)) AS v(i, b))";
    assert_eq!(lake.value(frames).await, 2);
}

#[tokio::test]
async fn a_float_is_compared_with_a_decimal_as_a_float() {
    let columns = r#"[{"name":"f","type":"float64"},{"name":"d","type":{"decimal":{"precision":10,"scale":2}}}]"#;
    let records = json!([
        {"f": 1e300, "d": 1.5}, {"f": 1e-20, "d": 0}, {"f": 1.5, "d": 1.5}, {"f": -1e300, "d": 0.1}, {"d": 7},
    ]);
    let lake = Lake::with_records(columns, records).await;
    for (condition, count) in [
        ("f = d", 1),
        ("f > d", 2),
        ("f < d", 1),
        ("f IS NOT DISTINCT FROM d", 1),
        ("f BETWEEN d AND d", 1),
        ("d IN (f, 7)", 2),
        ("f IN (SELECT d FROM t)", 1),
        ("d IN (SELECT f FROM t)", 2),
        ("CASE WHEN f > 0 THEN f ELSE d END = 1e300", 1),
        ("CASE d WHEN f THEN true END", 1),
        ("greatest(f, d) = f", 3),
        ("coalesce(f, d) = 7", 1),
        ("d < CAST('inf' AS DOUBLE)", 5),
        ("d = 1.5", 2),
        ("d = 0.1", 1),
        ("d > 1e-20", 4),
        ("d < 1e300", 5),
    ] {
        let sql = format!("SELECT count(*) FROM t WHERE {condition}");
        assert_eq!(lake.value(&sql).await, count, "{condition}");
    }
    assert_eq!(lake.value("SELECT count(*) FROM t JOIN t AS u ON t.f = u.d").await, 2);
    assert_eq!(lake.value("SELECT count(*) FROM (SELECT f FROM t UNION SELECT d FROM t)").await, 8);
    assert_eq!(lake.value("SELECT count(*) FROM (SELECT f FROM t INTERSECT SELECT d FROM t)").await, 1);
    // What became a float below a union or a join is one above it.
    let both = "(SELECT d AS x FROM t UNION ALL SELECT f FROM t)";
    for above in [
        format!("SELECT count(*) FROM {both} AS a JOIN t AS b ON b.d = 7 WHERE a.x > b.d"),
        format!("SELECT count(*) FROM (SELECT * FROM {both} AS a UNION SELECT * FROM {both} AS b) AS c WHERE x > 7"),
    ] {
        assert_eq!(lake.value(&above).await, 1, "{above}");
    }
}
