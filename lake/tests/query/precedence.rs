//! Operators reach as far as in standard SQL.

use crate::lake::Lake;

/// Conditions without parentheses, and the same with them.
const CONDITIONS: [(&str, &str); 9] = [
    ("a IS DISTINCT FROM b AND c", "(a IS DISTINCT FROM b) AND c"),
    ("a IS NOT DISTINCT FROM b OR c", "(a IS NOT DISTINCT FROM b) OR c"),
    ("c AND a IS DISTINCT FROM b OR d", "(c AND (a IS DISTINCT FROM b)) OR d"),
    ("a IS DISTINCT FROM b AND c IS DISTINCT FROM d OR a", "((a IS DISTINCT FROM b) AND (c IS DISTINCT FROM d)) OR a"),
    ("a IS DISTINCT FROM b OR c AND d", "(a IS DISTINCT FROM b) OR (c AND d)"),
    ("NOT a IS DISTINCT FROM b AND c", "(NOT (a IS DISTINCT FROM b)) AND c"),
    ("a IS DISTINCT FROM (b AND c)", "a IS DISTINCT FROM (b AND c)"),
    ("a IS DISTINCT FROM NOT b AND c", "(a IS DISTINCT FROM (NOT b)) AND c"),
    ("a IS DISTINCT FROM b = c AND d", "(a IS DISTINCT FROM (b = c)) AND d"),
];

#[tokio::test]
async fn conditions_behind_is_distinct_from_are_not_its_operand() {
    let lake = Lake::in_memory().await;
    let values = ["true", "false", "NULL"];
    let row = |number: usize| {
        let value = |place: u32| format!("CAST({} AS boolean)", values[number / 3_usize.pow(place) % 3]);
        format!("({})", (0..4).map(value).collect::<Vec<_>>().join(", "))
    };
    let rows: Vec<String> = (0..81).map(row).collect();
    let rows = rows.join(", ");
    let mut differing = 0;
    for (plain, meant) in CONDITIONS {
        let asked = format!("SELECT {plain} AS plain, {meant} AS meant FROM (VALUES {rows}) AS v(a, b, c, d)");
        let answer = lake.json(&asked).await;
        assert_eq!(answer.len(), 81);
        for row in answer {
            assert_eq!(row["plain"], row["meant"], "{plain}");
            differing += usize::from(row["plain"].as_bool() == Some(true));
        }
    }
    assert!(differing > 100, "the conditions are true for some rows");
}
