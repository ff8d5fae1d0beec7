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
