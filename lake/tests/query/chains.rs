//! Chains of AND and OR of thousands of terms: their values and errors, and the depth of what is evaluated.

use std::future::Future;
use std::sync::Arc;

use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use lake::query::{QueryOptions, QuerySession};
use serde_json::json;

use crate::lake::Lake;

const MIB: usize = 1024 * 1024;

/// The parser's trees are deep: as the program does, these tests run on a large stack.
fn on_a_large_stack<F: Future<Output = ()> + 'static>(test: fn() -> F) {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let thread = std::thread::Builder::new().stack_size(256 * MIB);
    let tested = thread.spawn(move || runtime().block_on(test())).expect("a thread");
    tested.join().expect("the test passes");
}

/// Rows with the numbers from 0 to 2,999, and one without.
async fn session() -> QuerySession {
    let lake = Lake::in_memory().await;
    lake.create("t", 1, r#"{"format":"json","columns":[{"name":"n","type":"int64"}]}"#).await;
    let mut records: Vec<_> = (0..3_000).map(|n| json!({ "n": n })).collect();
    records.push(json!({ "n": null }));
    lake.settle_records("t", 0, json!(records)).await;
    lake.session(QueryOptions { memory_bytes_max: 64 * MIB, parallelism: 1, ..QueryOptions::default() })
}

async fn value(session: &QuerySession, sql: &str) -> String {
    let frame = session.sql(sql).await.unwrap_or_else(|error| panic!("{error}"));
    let rows = frame.collect().await.unwrap_or_else(|error| panic!("{error}"));
    let table = pretty_format_batches(&rows).expect("text").to_string();
    table.lines().nth(3).expect("a row").trim_matches('|').trim().to_owned()
}

fn joined(count: u64, operator: &str, operand: &dyn Fn(u64) -> String) -> String {
    (0..count).map(operand).collect::<Vec<_>>().join(operator)
}

/// The greatest depth of a filter's predicate in the plan.
fn depth(plan: &Arc<dyn ExecutionPlan>) -> usize {
    fn of_expr(expr: &Arc<dyn PhysicalExpr>) -> usize {
        1 + expr.children().into_iter().map(of_expr).max().unwrap_or(0)
    }
    let here = plan.downcast_ref::<FilterExec>().map_or(0, |filter| of_expr(filter.predicate()));
    plan.children().into_iter().map(depth).max().unwrap_or(0).max(here)
}

/// The number of rows for which the chain is true, by a plan that evaluates it flat.
async fn rows(session: &QuerySession, chain: &str) -> String {
    let sql = format!("SELECT count(*) FROM t WHERE {chain}");
    let plan = session.sql(&sql).await.expect("valid").create_physical_plan().await.expect("planned");
    assert!(depth(&plan) < 24, "{} deep", depth(&plan));
    value(session, &sql).await
}

async fn thousands() {
    let session = session().await;
    let any = joined(1_000, " OR ", &|n| format!("n > {n} AND n < {}", n + 2));
    let some = joined(1_000, " OR ", &|n| format!("n * 2 = {}", n * 4));
    let all = |count| joined(count, " AND ", &|n| format!("n <> {}", n + 5));
    let mixed = joined(1_000, " AND ", &|n| format!("(n < {} OR n * 1 > {})", n + 5, n + 5));
    for (chain, expected) in [(&any, "1000"), (&some, "1000"), (&all(1_000), "2000"), (&mixed, "2000")] {
        assert_eq!(rows(&session, chain).await, expected);
        // The row without a number is neither in nor out.
        assert_eq!(value(&session, &format!("SELECT count(*) FROM t WHERE ({chain}) IS NULL")).await, "1");
    }
    assert_eq!(rows(&session, &all(10_000)).await, "5");
}

#[test]
fn chains_of_thousands_of_terms_have_their_value_and_are_evaluated_flat() {
    on_a_large_stack(thousands);
}

async fn errors() {
    let session = session().await;
    let rest = joined(1_000, " AND ", &|n| format!("n <> {}", n + 10));
    // Few rows pass the first term, so that the others are evaluated for these rows alone.
    let guarded = format!("SELECT count(*) FROM t WHERE n > 0 AND n < 100 AND {rest} AND 100 / n > 1");
    assert_eq!(value(&session, &guarded).await, "9");
    let open = format!("SELECT count(*) FROM t WHERE {rest} AND 100 / n > 1");
    let error = session.sql(&open).await.expect("valid").collect().await.expect_err("a zero").to_string();
    assert!(error.contains("Divide by zero"), "{error}");
}

#[test]
fn a_term_is_evaluated_for_the_rows_that_the_terms_before_it_leave() {
    on_a_large_stack(errors);
}
