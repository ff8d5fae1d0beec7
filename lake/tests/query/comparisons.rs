//! Rows are compared value by value, and with ANY of a list as with IN.

use lake::query::Parameters;
use serde_json::json;

use crate::lake::Lake;

/// Checks the values of expressions.
async fn check(lake: &Lake, cases: &[(&str, serde_json::Value)]) {
    for (expression, expected) in cases {
        assert_eq!(lake.value(&format!("SELECT {expression} AS v")).await, *expected, "{expression}");
    }
}

#[tokio::test]
async fn rows_are_compared_value_by_value() {
    let lake = Lake::in_memory().await;
    let cases = [
        ("(1, NULL) < (1, 2)", json!(null)),
        ("(1, NULL) < (2, 2)", json!(true)),
        ("(1, NULL) <> (1, 2)", json!(null)),
        ("(1, NULL) <> (2, 2)", json!(true)),
        ("(1, NULL) = (1, 2)", json!(null)),
        ("(1, NULL) = (2, 2)", json!(false)),
        ("(NULL, 1) < (1, 0)", json!(null)),
        ("(1, 2, 3) <= (1, 2, 3)", json!(true)),
        ("(1, 2, 3) < (1, 2, 3)", json!(false)),
        ("(1, 2) > (1, 1)", json!(true)),
        ("(2, 0) >= (1, 9)", json!(true)),
        ("ROW(1, 'a') < ROW(1, 'b')", json!(true)),
        ("((1, 2), 3) = ((1, 2), 3)", json!(true)),
        ("(1, 2) IN ((1, NULL), (3, 4))", json!(null)),
        ("(1, 2) NOT IN ((3, NULL), (1, 4))", json!(true)),
        ("(1, 2) IN ((1, NULL), (1, 2))", json!(true)),
        ("(1, 2) BETWEEN (1, 1) AND (1, 3)", json!(true)),
        ("(1, 2) NOT BETWEEN (1, 1) AND (1, 3)", json!(false)),
        ("CASE (1, 2) WHEN (1, NULL) THEN 'a' WHEN (1, 2) THEN 'b' END", json!("b")),
        ("(NULL, 1) IS NULL", json!(false)),
        ("(NULL, 1) IS NOT NULL", json!(false)),
        ("(NULL, NULL) IS NULL", json!(true)),
        ("(1, NULL) IS DISTINCT FROM (1, NULL)", json!(false)),
    ];
    check(&lake, &cases).await;
    let error = lake.error("SELECT (1, 2) = (1, 2, 3)").await;
    assert!(error.contains("a row of 2 values is compared with one of 3"), "{error}");
}

#[tokio::test]
async fn a_page_begins_behind_the_row_before_it() {
    let lake = Lake::in_memory().await;
    let rows = "(VALUES (1, 10), (1, 20), (2, 5), (NULL, 1), (2, NULL)) t(a, b)";
    for (condition, expected) in [
        ("(a, b) > (1, 10)", json!([[1, 20], [2, 5], [2, null]])),
        ("(a, b) < (2, 5)", json!([[1, 10], [1, 20]])),
        ("NOT (a, b) < (2, 5)", json!([[2, 5]])),
        ("(a, b) NOT IN ((1, 10), (2, 6))", json!([[1, 20], [2, 5], [null, 1]])),
        ("(a, b) IN ((1, 10), (2, 5))", json!([[1, 10], [2, 5]])),
    ] {
        let sql = format!("SELECT a, b FROM {rows} WHERE {condition} ORDER BY a, b");
        let found = lake.json(&sql).await.into_iter().map(|row| json!([row["a"], row["b"]]));
        assert_eq!(json!(found.collect::<Vec<_>>()), expected, "{condition}");
    }
    let many: Vec<String> = (0..2_000).map(|n| format!("({n}, {n})")).collect();
    let sql = format!("SELECT count(*) FROM {rows} WHERE (a, b) IN ((1, 20), {})", many.join(", "));
    assert_eq!(lake.value(&sql).await, 1);
}

#[tokio::test]
async fn comparisons_within_comparisons_do_not_grow_without_an_end() {
    let lake = Lake::in_memory().await;
    let nested = (0..20).fold("1".to_owned(), |inner, _| format!("CASE WHEN ({inner}, 1) < (2, 3) THEN 1 END"));
    let error = lake.error(&format!("SELECT {nested}")).await;
    assert!(error.contains("make this statement too large"), "{error}");
}

#[tokio::test]
async fn any_of_a_list_has_three_values() {
    let lake = Lake::in_memory().await;
    let cases = [
        ("1 = ANY([NULL, 2])", json!(null)),
        ("2 = ANY([NULL, 2])", json!(true)),
        ("1 = ANY([1, 2])", json!(true)),
        ("5 < ANY([NULL, 1])", json!(null)),
        ("0 < ANY([NULL, 1])", json!(true)),
        ("5 < ANY([2, 1])", json!(false)),
        ("1 <> ANY([1, NULL])", json!(null)),
        ("NULL = ANY([1])", json!(null)),
        ("1 <> ALL([NULL, 2])", json!(null)),
        ("'a' = ANY(string_to_array('b,a', ','))", json!(true)),
        ("array_has([NULL, 2], 1)", json!(false)),
    ];
    check(&lake, &cases).await;
    let lists = "(VALUES (1, [1, NULL]), (2, [2, 3]), (3, NULL), (4, [NULL, 2])) t(k, l)";
    for (condition, expected) in
        [("1 = ANY(l)", json!([1])), ("NOT (1 = ANY(l))", json!([2])), ("(1 = ANY(l)) IS NULL", json!([3, 4]))]
    {
        let sql = format!("SELECT k FROM {lists} WHERE {condition} ORDER BY k");
        assert_eq!(json!(lake.column(&sql).await), expected, "{condition}");
    }
}

#[tokio::test]
async fn a_number_that_a_name_follows_is_refused() {
    let lake = Lake::in_memory().await;
    for sql in ["SELECT 1_000", "SELECT 0b11", "SELECT 12x", "SELECT 0x10"] {
        let error = lake.error(sql).await;
        assert!(error.contains("is no number; write numbers in decimal digits"), "{sql}: {error}");
    }
    let parameters = Parameters::from([("1".to_owned(), Some("5".to_owned()))]);
    lake.session.sql_with_parameters("SELECT $1::interval, 1e3 AS a", &parameters).await.expect("planned");
}
