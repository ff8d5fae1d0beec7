//! Limits of statements that run, and their ends.

use std::time::Duration;

use catalog::{Callers, Presented};
use common::clock::system_clock;
use futures::StreamExt;
use lake::Storage;

use super::*;

/// Rows without an end that a test would see.
const ENDLESS: &str = "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT n FROM r";

/// A statement that needs more memory than it may have.
const LARGE: &str = "SELECT a FROM (SELECT unnest(range(1, 10000)) AS a) \
                     CROSS JOIN (SELECT unnest(range(1, 10000)) AS b) CROSS JOIN (SELECT unnest(range(1, 10000)) AS c) \
                     ORDER BY a";

const LONG: Duration = Duration::from_secs(120);

fn limits() -> Limits {
    Limits { concurrency: 1, queue: 1, queue_wait: LONG, memory_bytes: 32 << 20, timeout: LONG, rows: u64::MAX }
}

async fn executor(limits: Limits) -> (Arc<Executor>, Client) {
    let catalog = catalog::connect("sqlite::memory:").await.expect("a catalog in memory");
    let callers = Callers::new(Arc::clone(&catalog), system_clock(), true);
    let caller = callers.caller(Presented::Nothing).await.expect("no token is asked for");
    let storage = Storage::memory();
    let store = QueryStore { url: storage.url, store: storage.store };
    let executor = Executor::open(catalog, store, limits).expect("a session");
    let settings = executor.settings();
    (executor, Client { door: Door::Http, caller, additions: None, settings })
}

fn json(text: &str) -> Box<serde_json::value::RawValue> {
    serde_json::value::RawValue::from_string(text.to_owned()).expect("valid JSON")
}

async fn failure(executor: &Arc<Executor>, client: &Client, sql: &str) -> QueryFailure {
    let planned = match executor.plan(client, sql).await {
        Ok(planned) => planned,
        Err(failure) => return failure,
    };
    let mut rows = match planned.run().await {
        Ok(rows) => rows,
        Err(failure) => return failure,
    };
    loop {
        match rows.next().await {
            Some(Ok(_)) => {}
            Some(Err(failure)) => return failure,
            None => panic!("{sql} was answered"),
        }
    }
}

#[tokio::test]
async fn a_query_ends_when_its_rows_are_dropped() {
    let (executor, client) = executor(limits()).await;
    for _ in 0..3 {
        let planned = executor.plan(&client, ENDLESS).await.expect("planned");
        let mut rows = planned.run().await.expect("the only slot is free again");
        rows.next().await.expect("rows").expect("no failure");
    }
}

#[tokio::test]
async fn a_query_whose_rows_nobody_takes_gives_its_slot_back_at_its_deadline() {
    let (executor, client) = executor(Limits { timeout: Duration::from_secs(1), ..limits() }).await;
    let planned = executor.plan(&client, ENDLESS).await.expect("planned");
    let mut untaken = planned.run().await.expect("it runs");
    let second = executor.plan(&client, "SELECT 1").await.expect("it waited for the slot");
    second.run().await.expect("answered");
    let failure = loop {
        match untaken.next().await.expect("an end with a reason") {
            Ok(_) => {}
            Err(failure) => break failure,
        }
    };
    assert_eq!(failure.kind, FailureKind::Timeout);
    assert!(failure.message.contains("QUERY_TIMEOUT_SECS=1"), "{failure}");
}

/// This runtime has one thread, which a statement must not take.
#[tokio::test]
async fn a_statement_that_makes_no_pause_is_answered_at_its_deadline() {
    let (executor, client) = executor(Limits { timeout: Duration::from_secs(1), ..limits() }).await;
    let terms = (0..16).map(|n| format!("levenshtein(repeat('a', 31000), repeat('b', {}))", 31_000 + n));
    let sql = format!("SELECT {}", terms.collect::<Vec<_>>().join(" + "));
    let long = failure(&executor, &client, &sql).await;
    assert_eq!(long.kind, FailureKind::Timeout, "{long}");
}

#[tokio::test]
async fn a_join_without_matches_gives_its_slot_back_at_its_deadline() {
    let (executor, client) = executor(Limits { timeout: Duration::from_secs(2), ..limits() }).await;
    let numbers = "(SELECT unnest(range(1, 400000)) AS n)";
    for join in ["a.n + b.n < -1", "a.n % 2 = b.n % 2 AND a.n + b.n < -1"] {
        let sql = format!("SELECT count(*) FROM {numbers} a JOIN {numbers} b ON {join}");
        let long = failure(&executor, &client, &sql).await;
        assert_eq!(long.kind, FailureKind::Timeout, "{join}: {long}");
        let next = executor.plan(&client, "SELECT 1").await.expect("the only slot is free again");
        next.run().await.expect("it runs");
    }
}

#[tokio::test]
async fn a_refused_growth_says_which_function_it_was() {
    let (executor, client) = executor(limits()).await;
    let large = failure(&executor, &client, "SELECT repeat('x', 2000000000)").await;
    assert_eq!(large.kind, FailureKind::Limit, "{large}");
    let is_whole = large.message.contains("the result of repeat has 2000000000 bytes");
    assert!(is_whole && large.message.contains("QUERY_MEMORY_BYTES=33554432"), "{large}");
    assert!(!large.message.contains("MEMORY_BUDGET_BYTES"), "{large}");
}

#[tokio::test]
async fn a_parameter_that_does_not_fit_is_an_error() {
    let (executor, client) = executor(limits()).await;
    for (place, text, fits) in [
        ("BIGINT", "1.5", false),
        ("BIGINT", "1.50e1", true),
        ("DECIMAL(20, 2)", "9007199254740993.25", true),
        ("DECIMAL(20, 2)", "9007199254740993.255", false),
        ("DECIMAL(20, 2)", "\"1.005\"", false),
        ("DATE", "\"2026-01-01T12:00:00\"", false),
        ("DOUBLE", "0.1", true),
    ] {
        let sql = format!("SELECT CAST(v AS VARCHAR) FROM (SELECT CAST(NULL AS {place}) AS v) WHERE v = $1");
        let planned = executor.plan(&client, &sql).await.expect("planned");
        let values = crate::parameters::from_json(&planned, &[json(text)]);
        assert_eq!(values.is_ok(), fits, "{place} {text}: {values:?}");
        if text.starts_with("9007") && fits {
            let exact = ScalarValue::Decimal128(Some(900_719_925_474_099_325), 20, 2);
            assert_eq!(values.expect("it fits"), [exact]);
        }
    }
}

#[tokio::test]
async fn limits_of_rows_and_memory_name_their_settings() {
    let (executor, client) = executor(Limits { rows: 100, ..limits() }).await;
    let many = failure(&executor, &client, ENDLESS).await;
    assert_eq!(many.kind, FailureKind::Limit);
    assert!(many.message.contains("QUERY_ROWS_MAX=100"), "{many}");
    let large = failure(&executor, &client, LARGE).await;
    assert_eq!(large.kind, FailureKind::Limit, "{large}");
    assert!(large.message.contains("QUERY_MEMORY_BYTES=33554432"), "{large}");
}

#[tokio::test]
async fn only_reading_is_allowed_and_wrong_names_say_what_there_is() {
    let (executor, client) = executor(limits()).await;
    let refused = failure(&executor, &client, "CREATE SCHEMA x").await;
    assert_eq!(refused.kind, FailureKind::NotReading, "{refused}");
    assert!(refused.message.contains("only SELECT, SHOW, DESCRIBE and EXPLAIN"), "{refused}");
    let unplanned = failure(&executor, &client, "INSERT INTO nothing VALUES (1)").await;
    assert_eq!(unplanned.kind, FailureKind::NotReading, "{unplanned}");
    assert!(unplanned.message.ends_with("not INSERT"), "{unplanned}");
    let setting = failure(&executor, &client, "SET datafusion.execution.batch_size = 1").await;
    assert_eq!(setting.kind, FailureKind::Invalid, "{setting}");
    assert!(setting.message.contains("cannot be set here"), "{setting}");
    let unknown = failure(&executor, &client, "SELECT * FROM nothing").await;
    assert_eq!(unknown.kind, FailureKind::Invalid);
    assert!(unknown.message.contains("no table \"nothing\""), "{unknown}");
}

#[tokio::test]
async fn parameters_have_the_types_that_the_statement_wants() {
    let (executor, client) = executor(limits()).await;
    let planned =
        executor.plan(&client, "SELECT n FROM (SELECT unnest(range(1, 9)) AS n) WHERE n = $1").await.expect("planned");
    assert_eq!(planned.parameters().expect("numbered"), [Some(DataType::Int64)]);
    let missing = planned.clone().run().await.expect_err("no value");
    assert!(missing.message.contains("0 parameters are given; the statement has 1"), "{missing}");
    let wrong = crate::parameters::from_json(&planned, &[json("\"x\"")]).expect_err("no number");
    assert!(wrong.message.contains("parameter $1"), "{wrong}");
    let values = crate::parameters::from_json(&planned, &[json("\"4\"")]).expect("a number");
    let mut rows = planned.with_values(values).expect("it fits").run().await.expect("it runs");
    assert_eq!(rows.next().await.expect("a batch").expect("no failure").num_rows(), 1);
}
