//! Looking into JSON text: undeclared members and columns of type `json`.

use serde_json::{Value, json};

use crate::lake::Lake;

async fn events() -> Lake {
    let columns = r#"[{"name":"id","type":"int64"},{"name":"doc","type":"json"}]"#;
    let records = json!([
        {"id": 1, "_extra": r#"{"city":"Oslo","tags":["a","b"],"geo":{"lat":59.91},"n":123456789012345678901234567890}"#,
         "doc": "[1,2,{\"x\":true}]"},
        {"id": 2, "_extra": r#"{"city":"Rome","n":7,"none":null}"#, "doc": "\"text\""},
        {"id": 3, "_extra": null, "doc": null},
    ]);
    Lake::with_records(columns, records).await
}

#[tokio::test]
async fn operators_and_functions_look_into_extra_members() {
    let lake = events().await;
    for (expr, values) in [
        ("_extra->>'city'", json!(["Oslo", "Rome", null])),
        ("_extra->'city'", json!(["\"Oslo\"", "\"Rome\"", null])),
        ("_extra->>'n'", json!(["123456789012345678901234567890", "7", null])),
        ("_extra->>'none'", json!([null, null, null])),
        ("_extra->'none'", json!([null, "null", null])),
        ("_extra->'tags'->>0", json!(["a", null, null])),
        ("_extra->'tags'->>-1", json!(["b", null, null])),
        ("json_get_float(_extra, 'geo', 'lat')", json!([59.91, null, null])),
        ("json_get_int(_extra, 'n')", json!([null, 7, null])),
        ("json_get_str(_extra, 'city')", json!(["Oslo", "Rome", null])),
        ("json_get(_extra, 'geo')", json!(["{\"lat\":59.91}", null, null])),
        ("json_length(_extra)", json!([4, 3, null])),
        ("json_contains(_extra, 'geo', 'lat')", json!([true, false, null])),
        ("json_get_bool(doc, 2, 'x')", json!([true, null, null])),
        ("doc->>1", json!(["2", null, null])),
        ("JSON_GET_TEXT(doc)", json!(["[1,2,{\"x\":true}]", "text", null])),
    ] {
        let seen = Value::Array(lake.column(&format!("SELECT {expr} AS n FROM t ORDER BY id")).await);
        assert_eq!(seen, values, "{expr}");
    }
}

#[tokio::test]
async fn what_was_found_can_be_filtered_grouped_and_sorted() {
    let lake = events().await;
    for (sql, value) in [
        ("SELECT count(*) FROM t WHERE _extra->>'city' = 'Oslo'", 1),
        ("SELECT count(*) FROM t WHERE _extra->>'city' = 'Oslo' OR _extra->>'city' LIKE 'R%'", 2),
        ("SELECT count(*) FROM t WHERE _extra->>'city' IS NULL", 1),
        ("SELECT count(*) FROM t WHERE 'Rome' = _extra->>'city'", 1),
        ("SELECT count(*) FROM t WHERE _extra->>'city' = _extra->>'city' AND NOT _extra->'geo'->>'lat' IS NULL", 1),
        ("SELECT count(*) FROM t WHERE _extra->>'city' IN ('Oslo', 'Rome') AND _extra->>'city' NOT LIKE 'O%'", 1),
        ("SELECT count(*) FROM t WHERE _extra->>'n' BETWEEN '6' AND '8'", 1),
        ("SELECT count(*) FROM t WHERE _extra->>'city' || '!' = 'Oslo!'", 1),
        ("SELECT _extra->>'n'::BIGINT + 1 FROM t WHERE id = 2", 8),
        ("SELECT 1 + json_get_int(_extra, 'n') FROM t WHERE id = 2", 8),
        ("SELECT count(*) FROM t WHERE CAST(_extra->>'n' AS DECIMAL(38, 0)) > 7", 1),
        ("SELECT count(DISTINCT _extra->'city') FROM t", 2),
        ("SELECT count(*) FROM (SELECT _extra->>'city', count(*) FROM t GROUP BY _extra->>'city')", 3),
    ] {
        assert_eq!(lake.value(sql).await, value, "{sql}");
    }
    assert_eq!(
        lake.json("SELECT _extra->>'city' FROM t ORDER BY _extra->>'city' DESC NULLS LAST LIMIT 1").await,
        [json!({"_extra ->> 'city'": "Rome"})]
    );
    let error = lake.error("SELECT id->>'a' FROM t").await;
    assert!(error.contains("looks into JSON text, not into Int64"), "{error}");
}
