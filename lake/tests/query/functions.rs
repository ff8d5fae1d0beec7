//! Functions of texts, bytes and numbers whose arguments mean what is written.

use serde_json::json;

use crate::lake::Lake;

async fn check(lake: &Lake, cases: &[(&str, serde_json::Value)]) {
    for (expression, expected) in cases {
        assert_eq!(lake.value(&format!("SELECT {expression} AS v")).await, *expected, "{expression}");
    }
}

#[tokio::test]
async fn a_new_text_is_what_is_written() {
    let lake = Lake::in_memory().await;
    let cases = [
        ("replace('abc', '', '-')", json!("abc")),
        ("replace('abc', NULL, '-')", json!(null)),
        ("replace('abc', '', NULL)", json!(null)),
        ("replace('abcb', 'b', '-')", json!("a-c-")),
        ("regexp_replace('price', 'price', '$5')", json!("$5")),
        ("regexp_replace('abc', 'b', '[$1]')", json!("a[$1]c")),
        (r"regexp_replace('abc', '(b)', '<\1>')", json!("a<b>c")),
        (r"regexp_replace('abc', 'b', '<\&>')", json!("a<b>c")),
        (r"regexp_replace('abc', 'b', '\\')", json!(r"a\c")),
        (r"regexp_replace('abc', '(b)', '\\1')", json!(r"a\1c")),
        (r"regexp_replace('abcabc', '(b)', '\1$', 'g')", json!("ab$cab$c")),
        ("regexp_replace('abc', 'b', NULL)", json!(null)),
    ];
    check(&lake, &cases).await;
    let rows =
        "(VALUES (1, 'aba', '', '$0'), (2, 'aba', 'b', '-'), (3, NULL, 'a', 'b'), (4, 'aba', 'a', NULL)) v(k, s, a, b)";
    let replaced = format!("SELECT replace(s, a, b) FROM {rows} ORDER BY k");
    assert_eq!(json!(lake.column(&replaced).await), json!(["aba", "a-a", null, null]));
    let replaced = format!("SELECT regexp_replace(s, 'b', b) FROM {rows} ORDER BY k");
    assert_eq!(json!(lake.column(&replaced).await), json!(["a$0a", "a-a", null, null]));
}

#[tokio::test]
async fn bytes_are_counted_whatever_they_are() {
    let lake = Lake::in_memory().await;
    let cases = [
        ("length(x'c3a9')", json!(2)),
        ("octet_length(x'ff00fe')", json!(3)),
        ("bit_length(x'ff00fe')", json!(24)),
        ("length('é')", json!(1)),
        ("octet_length('é')", json!(2)),
        ("encode(substr(x'00ff10', 2, 1), 'hex')", json!("ff")),
        ("encode(substring(x'00ff10' FROM 2), 'hex')", json!("ff10")),
        ("encode(substr(x'00ff10', -1, 3), 'hex')", json!("00")),
        ("encode(substr(x'00ff10', 9), 'hex')", json!("")),
        ("substr(x'00ff10', NULL)", json!(null)),
        ("substr('abc', 2)", json!("bc")),
        ("substring('abc' FROM 2 FOR 1)", json!("b")),
    ];
    check(&lake, &cases).await;
    let rows = "(VALUES (1, x'ff'), (2, NULL), (3, x'0001')) v(k, b)";
    let lengths = format!("SELECT length(b) FROM {rows} ORDER BY k");
    assert_eq!(json!(lake.column(&lengths).await), json!([1, null, 2]));
    assert_eq!(lake.value(&format!("SELECT sum(octet_length(b)) FROM {rows}")).await, 3);
    assert!(lake.error("SELECT substr(x'00', 1, -1)").await.contains("no negative length"));
    assert!(lake.error("SELECT octet_length(5)").await.contains("octet_length"));
}

#[tokio::test]
async fn integers_are_computed_in_doubles() {
    let lake = Lake::in_memory().await;
    for expression in ["atan2(1, 2)", "atan2(1.0, 2)", "atan2(x, 2)", "atan2(1, x + 1)"] {
        let sql = format!("SELECT {expression} AS v FROM (VALUES (1)) v(x)");
        assert_eq!(lake.value(&sql).await, json!(0.463_647_609_000_806_1), "{expression}");
    }
    assert_eq!(lake.value("SELECT nanvl(16777217, 1) AS v").await, json!(16_777_217.0));
}

#[tokio::test]
async fn a_pattern_that_is_none_is_told() {
    let lake = Lake::in_memory().await;
    for condition in ["s ~ '['", "s ~ 'a{1000000}'", "regexp_replace(s, '(', '') = ''", "regexp_like(s, '*')", "s ~ s"]
    {
        let sql = format!("SELECT s FROM (VALUES ('['), ('b')) t(s) WHERE {condition}");
        let error = match lake.session.sql(&sql).await {
            Ok(frame) => frame.collect().await.expect_err(&sql),
            Err(lake::query::QueryError::Query(error)) => error,
            Err(other) => panic!("{sql}: {other}"),
        };
        let told = lake::query::invalid_pattern(&error).unwrap_or_else(|| panic!("{sql}: {error}"));
        assert!(told.starts_with("invalid regular expression: ") && !told.contains("bug"), "{sql}: {told}");
    }
}

#[tokio::test]
async fn a_percentile_lies_between_two_values() {
    let lake = Lake::in_memory().await;
    let of = |fraction: &str, order: &str, values: &str| {
        format!("SELECT percentile_cont({fraction}) WITHIN GROUP (ORDER BY x {order}) AS v FROM (VALUES {values}) v(x)")
    };
    for (fraction, order, values, expected) in [
        ("0.333333333", "", "(0::double), (1000000000)", json!(333_333_333.0)),
        ("0.25", "", "(1), (2), (3), (4)", json!(1.75)),
        ("0.25", "DESC", "(1), (2), (3), (4)", json!(3.25)),
        ("0.5", "", "(1), (NULL), (4)", json!(2.5)),
        ("0", "", "(3), (1)", json!(1.0)),
        ("1", "", "(3), (1)", json!(3.0)),
        ("0.5", "", "(NULL::double)", json!(null)),
    ] {
        assert_eq!(lake.value(&of(fraction, order, values)).await, expected, "{fraction} of {values} {order}");
    }
    let grouped = "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x) AS v FROM (VALUES (1, 1), (1, 2), (2, 7)) v(g, x) \
                   GROUP BY g ORDER BY g";
    assert_eq!(json!(lake.column(grouped).await), json!([1.5, 7.0]));
    let moving = "SELECT quantile_cont(x, 0.5) OVER (ORDER BY x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS v \
                  FROM (VALUES (1), (2), (4)) v(x) ORDER BY x";
    assert_eq!(json!(lake.column(moving).await), json!([1.0, 1.5, 3.0]));
}
