//! Short statements that ask for much: results beyond the memory, and long chains of operators.

use datafusion::arrow::util::pretty::pretty_format_batches;
use lake::query::{QueryOptions, QuerySession};
use serde_json::json;

use crate::lake::Lake;

const MIB: usize = 1024 * 1024;
const COLUMNS: &str = r#"[{"name":"n","type":"int64"},{"name":"s","type":"string"}]"#;
const ROWS: u64 = 3_000;

/// Rows with the numbers from 0 on, and their texts.
async fn lake() -> Lake {
    let lake = Lake::in_memory().await;
    lake.create("t", 1, &format!(r#"{{"format":"json","columns":{COLUMNS}}}"#)).await;
    let records: Vec<_> = (0..ROWS).map(|n| json!({"n": n, "s": format!("text {n}")})).collect();
    lake.settle_records("t", 0, json!(records)).await;
    lake
}

fn session(lake: &Lake) -> QuerySession {
    lake.session(QueryOptions { memory_bytes_max: 64 * MIB, parallelism: 1, ..QueryOptions::default() })
}

async fn answer(session: &QuerySession, sql: &str) -> Result<String, String> {
    let frame = session.sql(sql).await.map_err(|error| error.to_string())?;
    let rows = frame.collect().await.map_err(|error| error.to_string())?;
    Ok(pretty_format_batches(&rows).map_err(|error| error.to_string())?.to_string())
}

/// The only value of the answer.
async fn value(session: &QuerySession, sql: &str) -> String {
    let table = answer(session, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let row = table.lines().nth(3).expect("a row");
    row.trim_matches('|').trim().to_owned()
}

#[tokio::test]
async fn a_result_beyond_the_memory_is_refused_before_it_is_made() {
    let lake = lake().await;
    let session = session(&lake);
    for (function, sql) in [
        ("repeat", "SELECT repeat('x', 2000000000)"),
        ("repeat", "SELECT length(repeat('xy', 2000000000)) FROM t"),
        ("repeat", "SELECT length(repeat(s, 200000000)) FROM t"),
        ("lpad", "SELECT lpad('x', 2000000000)"),
        ("rpad", "SELECT length(rpad(s, 200000000, 'ab')) FROM t"),
        ("range", "SELECT range(0, 2000000000)"),
        ("range", "SELECT array_length(range(2000000000))"),
        ("range", "SELECT array_length(range(n, -9000000000000000000, -1)) FROM t"),
        ("generate_series", "SELECT count(*) FROM (SELECT unnest(generate_series(1, 10000000000)))"),
        (
            "generate_series",
            "SELECT generate_series(TIMESTAMP '2000-01-01', TIMESTAMP '2200-01-01', INTERVAL '1' SECOND)",
        ),
        ("range", "SELECT array_length(range(DATE '1970-01-01', CAST(95000000 AS DATE), INTERVAL '1 day'))"),
        ("array_repeat", "SELECT array_repeat('x', 2000000000)"),
        ("array_repeat", "SELECT array_length(array_repeat(s, 100000000)) FROM t"),
        ("array_resize", "SELECT array_resize([1], 2000000000, 7)"),
        ("replace", "SELECT length(replace(repeat('x', 1000000), 'x', repeat('y', 1000)))"),
        ("regexp_replace", "SELECT length(regexp_replace(repeat('x', 1000000), 'x', repeat('y', 1000), 'g'))"),
        ("array_to_string", "SELECT length(array_to_string(range(1000000), repeat('x', 1000)))"),
        ("array_replace_all", "SELECT array_replace_all(array_repeat('a', 1000000), 'a', repeat('x', 1000))"),
        ("concat_ws", "SELECT length(concat_ws(repeat('-', 20000000), 'a', 'b', 'c', 'd', 'e', 'f'))"),
        ("unnest", "SELECT count(x || y) FROM (SELECT repeat(s, 1000) AS x, unnest(range(n, 100000)) AS y FROM t)"),
        ("concat", "SELECT length(concat(x, x, x)) FROM (SELECT repeat('x', 30000000 + n - n) AS x FROM t LIMIT 1)"),
        ("||", "SELECT length(x || x || x) FROM (SELECT repeat('x', 30000000 + n - n) AS x FROM t LIMIT 1)"),
    ] {
        let error = answer(&session, sql).await.expect_err(sql);
        let is_named = error.contains(&format!("the result of {function} has ")) && error.contains("67108864");
        assert!(is_named && error.contains("MEMORY_BUDGET_BYTES=67108864"), "{sql}: {error}");
    }
    for sql in
        ["SELECT CAST(NULL AS BIGINT[2000000000])", "SELECT arrow_cast(NULL, 'FixedSizeBinary(2000000000)') FROM t"]
    {
        let error = answer(&session, sql).await.expect_err(sql);
        assert!(error.contains("every value of type") && error.contains("MEMORY_BUDGET_BYTES"), "{sql}: {error}");
    }
}

#[tokio::test]
async fn a_series_that_stands_still_is_refused() {
    let lake = lake().await;
    let session = session(&lake);
    for sql in [
        "SELECT generate_series(DATE '2000-01-01', DATE '2000-01-02', INTERVAL '1 day -24 hours')",
        "SELECT range(DATE '2001-02-01', DATE '2000-01-01', INTERVAL '1 month -28 days')",
        "SELECT generate_series(TIMESTAMP '2001-02-01', TIMESTAMP '2000-01-01', INTERVAL '1 month -28 days')",
        "SELECT range(DATE '2000-01-01' + CAST(n AS INT), DATE '2020-01-01', INTERVAL '1 day -24 hours') FROM t",
    ] {
        let error = answer(&session, sql).await.expect_err(sql);
        assert!(error.contains("its parts must not have opposite signs"), "{sql}: {error}");
    }
    let months = "SELECT array_length(generate_series(DATE '2000-01-31', DATE '2000-12-31', INTERVAL '1 month'))";
    assert_eq!(value(&session, months).await, "12");
    let days =
        "SELECT array_length(generate_series(TIMESTAMP '2000-01-02', TIMESTAMP '2000-01-01', INTERVAL '-12 hours'))";
    assert_eq!(value(&session, days).await, "3");
}

#[tokio::test]
async fn a_function_that_would_compute_for_long_is_refused() {
    let lake = lake().await;
    let session = session(&lake);
    for (function, sql) in [
        ("levenshtein", "SELECT levenshtein(repeat('a', 10000000), repeat('b', 10000000))"),
        ("levenshtein", "SELECT sum(levenshtein(repeat(s, 5000), s || repeat('b', 50000))) FROM t"),
        ("strpos", "SELECT strpos(repeat('a', 30000000), repeat('a', 10000000) || 'b')"),
        ("array_has_all", "SELECT array_has_all(range(1000000), range(1000000))"),
    ] {
        let error = answer(&session, sql).await.expect_err(sql);
        assert!(error.contains(&format!("the work of {function} is ")), "{sql}: {error}");
        assert!(!error.contains("MEMORY_BUDGET_BYTES"), "{sql}: {error}");
    }
    assert_eq!(value(&session, "SELECT levenshtein('kitten', 'sitting')").await, "3");
}

#[tokio::test]
async fn joins_make_pauses_and_keep_their_rows() {
    let lake = lake().await;
    let session = session(&lake);
    for (on, rows) in [("a.n + b.n = 10", "11"), ("a.s = b.s AND a.n + b.n > 10", "2994"), ("a.n < b.n", "4498500")] {
        for kind in ["JOIN", "LEFT JOIN", "FULL JOIN"] {
            let from = format!("FROM t a {kind} t b ON {on}");
            let plan = answer(&session, &format!("EXPLAIN SELECT count(*) {from}")).await.expect("a plan");
            assert!(plan.contains("FewPairs") && plan.contains("HeldRows"), "{from}: {plan}");
            let counted = format!("SELECT count(*) {from} WHERE a.n IS NOT NULL AND b.n IS NOT NULL");
            assert_eq!(value(&session, &counted).await, rows, "{from}");
        }
    }
}

#[tokio::test]
async fn doubling_again_and_again_is_refused() {
    let lake = lake().await;
    let session = session(&lake);
    let cases = [("s", "x || x"), ("s", "concat(x, x)"), ("'text'", "x || x"), ("'text'", "concat(x, x)")];
    for (first, twice) in cases {
        let levels = (1..30).map(|level| format!("l{level} AS (SELECT {twice} AS x FROM l{})", level - 1));
        let levels = levels.collect::<Vec<_>>().join(", ");
        let sql = format!("WITH l0 AS (SELECT {first} AS x FROM t), {levels} SELECT max(length(x)) FROM l29");
        let error = answer(&session, &sql).await.expect_err("2^29 times the text");
        assert!(error.contains("MEMORY_BUDGET_BYTES=67108864"), "{error}");
    }
}

#[tokio::test]
async fn what_fits_is_what_it_was() {
    let lake = lake().await;
    let session = session(&lake);
    for (sql, expected) in [
        ("SELECT repeat('ab', 3) || lpad('7', 3, '0') || rpad('7', 3, 'é')", "ababab0077éé"),
        ("SELECT repeat('ab', -1) || concat('a', NULL, 'b') || concat_ws('-', 'c', 'd')", "abc-d"),
        ("SELECT replace('aXbX', 'X', '--') || regexp_replace('a1b22', '[0-9]+', '<\\0>', 'g')", "a--b--a<1>b<22>"),
        ("SELECT array_to_string(array_repeat(1, 3), ',') || array_to_string(range(1, 8, 3), '.')", "1,1,11.4.7"),
        ("SELECT array_to_string(generate_series(3, 1, -1), '')", "321"),
        ("SELECT NULL || 'a' IS NULL", "true"),
        ("SELECT array_resize([1, 2], 4, 7)[4] + array_length([1] || [2, 3])", "10"),
        ("SELECT sum(length(s || '-' || s)) FROM t WHERE n < 10", "130"),
        // All rows at once would be 300 MB: the query goes on with smaller batches.
        ("SELECT sum(length(repeat(s, 10000))) FROM t WHERE n < 3000", "258900000"),
        // No more than a few of the possible places are there.
        ("SELECT sum(length(replace(repeat(s, 100), '9', repeat('y', 200)))) FROM t WHERE n < 1000", "6759000"),
        ("SELECT count(x) FROM (SELECT repeat('x', 1000000) AS x FROM t)", "3000"),
        // Each row becomes a hundred of 27 kB: no batch of them fits whole.
        (
            "SELECT count(y) FROM (SELECT repeat(s, 3000) AS x, unnest(range(0, 100)) AS y FROM t) WHERE x > ''",
            "300000",
        ),
    ] {
        assert_eq!(value(&session, sql).await, expected, "{sql}");
    }
}

/// The parser's trees are deep: as the program does, this test runs on a large stack.
#[test]
fn long_chains_are_planned_in_a_short_time_and_keep_their_value() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let thread = std::thread::Builder::new().stack_size(256 * MIB);
    let tested = thread.spawn(move || runtime().block_on(long_chains())).expect("a thread");
    tested.join().expect("the test passes");
}

async fn long_chains() {
    let lake = lake().await;
    let session = session(&lake);
    let joined = |count: u64, operator: &str, operand: &dyn Fn(u64) -> String| {
        (0..count).map(operand).collect::<Vec<_>>().join(operator)
    };
    let any = joined(2_000, " OR ", &|n| format!("n > {} AND n < {}", n, n + 2));
    assert_eq!(value(&session, &format!("SELECT count(*) FROM t WHERE {any}")).await, "2000");
    let equal = joined(2_000, " OR ", &|n| format!("n = {}", n * 2));
    assert_eq!(value(&session, &format!("SELECT count(*) FROM t WHERE {equal}")).await, "1500");
    let all = joined(2_000, " AND ", &|n| format!("n <> {n}"));
    assert_eq!(value(&session, &format!("SELECT count(*) FROM t WHERE {all}")).await, "1000");
    let sum = joined(2_000, " + ", &|_| "n".to_owned());
    assert_eq!(value(&session, &format!("SELECT sum({sum}) FROM t WHERE n < 3")).await, "6000");
    let doubles = joined(500, " - ", &|_| "CAST(n AS double)".to_owned());
    assert_eq!(value(&session, &format!("SELECT sum({doubles}) FROM t WHERE n = 2")).await, "-996.0");
    let deeper = joined(2_002, " + ", &|_| "n".to_owned());
    let error = answer(&session, &format!("SELECT sum({deeper}) FROM t")).await.expect_err("too deep");
    assert!(error.contains("more than 2000 operations one around the other"), "{error}");
    let mixed = "SELECT 1 + n * 2 - 3 + n - 5 * n FROM t WHERE n = 10";
    assert_eq!(value(&session, mixed).await, "-22");
    let error =
        answer(&session, "SELECT n + 1 - 2 + 9223372036854775807 FROM t WHERE n = 2").await.expect_err("beyond");
    assert!(error.contains("the result of + does not fit its type"), "{error}");
}
