//! Regular expressions that look for a backslash, which LIKE takes for an escape.

use serde_json::json;

use crate::lake::Lake;

#[tokio::test]
async fn a_regular_expression_finds_backslashes() {
    let lake = Lake::in_memory().await;
    let texts = r"(VALUES (1, '100%'), (2, 'a\b'), (3, 'x'), (4, '\\'), (5, 'abc'), (6, '\')) t(k, s)";
    for (condition, expected) in [
        (r"s ~ '\\'", json!([2, 4, 6])),
        (r"s !~ '\\'", json!([1, 3, 5])),
        (r"s ~ '\\\\'", json!([4])),
        (r"s ~ '\\b'", json!([2])),
        (r"s ~* 'A\\B'", json!([2])),
        (r"s !~* 'A\\B'", json!([1, 3, 4, 5, 6])),
        (r"s ~ '^a\\b$'", json!([2])),
        (r"s ~ '^\\'", json!([4, 6])),
        (r"s ~ '\\|x'", json!([2, 3, 4, 6])),
        (r"s ~ '[\\]'", json!([2, 4, 6])),
        (r"s ~ '\x5cb'", json!([2])),
        (r"s ~ ('\' || '\')", json!([2, 4, 6])),
        (r"s ~ '(?x)\\ # one'", json!([2, 4, 6])),
        (r"regexp_like(s, '\\')", json!([2, 4, 6])),
        (r"regexp_like(s, 'A\\', 'i')", json!([2])),
        (r"s ~ '^a'", json!([2, 5])),
        (r"s ~ '^abc$' OR s ~ '%'", json!([1, 5])),
        (r"s ~ NULL", json!([])),
    ] {
        let sql = format!("SELECT k FROM {texts} WHERE {condition} ORDER BY k");
        assert_eq!(json!(lake.column(&sql).await), expected, "{condition}");
    }
    let inlined = format!(r"SELECT k FROM (SELECT k, s, '\\' AS p FROM {texts}) u WHERE s ~ p ORDER BY k");
    assert_eq!(json!(lake.column(&inlined).await), json!([2, 4, 6]));
}

#[tokio::test]
async fn a_count_of_null_is_null() {
    let lake = Lake::in_memory().await;
    for (call, expected) in [
        ("regexp_count(NULL, 'a')", json!(null)),
        ("regexp_count('a', NULL)", json!(null)),
        ("regexp_count('abab', 'a')", json!(2)),
        ("regexp_count('abab', 'a', 2)", json!(1)),
    ] {
        assert_eq!(lake.value(&format!("SELECT {call} AS v")).await, expected, "{call}");
    }
    let rows = "SELECT regexp_count(s, '[ab]') FROM (VALUES (1, 'abc'), (2, NULL), (3, '')) v(k, s) ORDER BY k";
    assert_eq!(json!(lake.column(rows).await), json!([2, null, 0]));
}

#[tokio::test]
async fn like_has_the_escape_that_it_names() {
    let lake = Lake::in_memory().await;
    let texts =
        r"(VALUES (1, '100%'), (2, '100x'), (3, 'a\b'), (4, 'A_b'), (5, '!'), (6, NULL)) t(k, s)".replace(r"\\", r"\");
    for (condition, expected) in [
        ("s LIKE '100!%%' ESCAPE '!'", json!([1])),
        ("s NOT LIKE '100!%%' ESCAPE '!'", json!([2, 3, 4, 5])),
        ("s ILIKE 'a!_B' ESCAPE '!'", json!([4])),
        (r"s LIKE 'a\b' ESCAPE '!'", json!([3])),
        ("s LIKE '!!' ESCAPE '!'", json!([5])),
        ("s LIKE '%x%' ESCAPE 'x'", json!([1])),
        ("s LIKE p ESCAPE '#'", json!([1, 4])),
        ("s LIKE '1%' ESCAPE '!'", json!([1, 2])),
    ] {
        let condition = condition.replace(r"\\", r"\");
        let sql = format!(
            "SELECT k FROM (SELECT k, s, CASE k WHEN 1 THEN '100#%' ELSE '_#__' END AS p FROM {texts}) u WHERE {condition} ORDER BY k"
        );
        assert_eq!(json!(lake.column(&sql).await), expected, "{condition}");
    }
    assert!(lake.error("SELECT 'a' LIKE 'a!' ESCAPE '!'").await.contains("nothing follows"));
}
